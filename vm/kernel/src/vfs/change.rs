//! Changing attributes: `chmod(2)`, `chown(2)`, `utimensat(2)`, `truncate(2)`.

use super::permission::{Access, SET_GID, SET_UID};
use super::xattr::CAPABILITIES;
use super::{Attributes, FileKind, Location, SetAttributes, Timestamp};
use crate::credentials::Credentials;
use crate::stop::Outcome;
use abi::Errno;
use abi::capability::{CAP_CHOWN, CAP_FSETID};

/// What `utimensat(2)` does with one of the times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetTime {
    /// `UTIME_OMIT`.
    Keep,
    /// `UTIME_NOW`.
    Now,
    /// To this.
    To(Timestamp),
}

impl Attributes {
    /// The mode a file has after `who` has written to it: only the privileged keep setuid and setgid bits. `None` if
    /// it stays as it is.
    pub(super) fn mode_without_privileges(&self, who: &Credentials) -> Option<u16> {
        if who.has(CAP_FSETID) { None } else { self.mode_without_set_ids(who) }
    }

    /// A setgid bit without group execution once meant mandatory locking, and members of the group don't clear it.
    fn mode_without_set_ids(&self, who: &Credentials) -> Option<u16> {
        let keeps_group = self.mode & 0o010 == 0 && (who.in_group(self.gid) || who.has(CAP_FSETID));
        let group = if keeps_group { 0 } else { SET_GID };
        let mode = self.mode & !(SET_UID | group);
        (self.kind != FileKind::Directory && mode != self.mode).then_some(mode)
    }
}

impl Location {
    /// Sets the permission bits.
    pub fn chmod(&self, who: &Credentials, mode: u16) -> Outcome<()> {
        if self.kind() == FileKind::Symlink {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let old = self.attributes()?;
        self.check_writable()?;
        if !who.owns(old.uid) {
            return Err(Errno::EPERM.into());
        }
        let mut mode = mode & 0o7777;
        if !who.in_group(old.gid) && !who.has(CAP_FSETID) {
            mode &= !SET_GID;
        }
        self.set(&SetAttributes { mode: Some(mode), ..SetAttributes::default() })
    }

    /// Sets owner and group; `None` stays as it is.
    pub fn chown(&self, who: &Credentials, uid: Option<u32>, gid: Option<u32>) -> Outcome<()> {
        let old = self.attributes()?;
        self.check_writable()?;
        let mine = who.fsuid == old.uid;
        let may_any = who.has(CAP_CHOWN);
        let uid_allowed = may_any || uid.is_none_or(|uid| mine && uid == old.uid);
        let gid_allowed = may_any || gid.is_none_or(|gid| mine && (gid == old.gid || who.in_group(gid)));
        // Even if neither changes, setuid and setgid bits are cleared, which only the owner may do.
        let mode = old.mode_without_set_ids(who);
        let mode_allowed = mode.is_none() || who.owns(old.uid);
        if !(uid_allowed && gid_allowed && mode_allowed) {
            return Err(Errno::EPERM.into());
        }
        self.drop_capabilities(&old)?;
        self.set(&SetAttributes { uid, gid, mode, ..SetAttributes::default() })
    }

    /// Sets access and modification times.
    pub fn set_times(&self, who: &Credentials, accessed: SetTime, modified: SetTime) -> Outcome<()> {
        if (accessed, modified) == (SetTime::Keep, SetTime::Keep) {
            return Ok(());
        }
        self.check_writable()?;
        let old = self.attributes()?;
        if !who.owns(old.uid) {
            if (accessed, modified) != (SetTime::Now, SetTime::Now) {
                return Err(Errno::EPERM.into());
            }
            self.check_access(who, Access::WRITE)?;
        }
        let value = |time: SetTime| match time {
            SetTime::Keep => None,
            SetTime::Now => Some(self.now()),
            SetTime::To(time) => Some(time),
        };
        let set = SetAttributes { accessed: value(accessed), modified: value(modified), ..SetAttributes::default() };
        self.set(&set)
    }

    /// Sets the size, for one who may write to the file (`truncate(2)`).
    pub fn truncate(&self, who: &Credentials, size_bytes: u64) -> Outcome<()> {
        match self.kind() {
            FileKind::Directory => return Err(Errno::EISDIR.into()),
            FileKind::Regular => {}
            _ => return Err(Errno::EINVAL.into()),
        }
        self.check_access(who, Access::WRITE)?;
        self.resize(who, size_bytes)
    }

    /// Sets the size through a descriptor open for writing (`ftruncate(2)`).
    pub fn resize(&self, who: &Credentials, size_bytes: u64) -> Outcome<()> {
        if self.kind() != FileKind::Regular {
            return Err(Errno::EINVAL.into());
        }
        if i64::try_from(size_bytes).is_err() {
            return Err(Errno::EINVAL.into());
        }
        let old = self.attributes()?;
        self.drop_capabilities(&old)?;
        let mode = old.mode_without_privileges(who);
        self.set(&SetAttributes { size_bytes: Some(size_bytes), mode, ..SetAttributes::default() })
    }

    /// Clears setuid and setgid bits and capabilities, as a write by `who` does: to be called before the first of a series
    /// of writes.
    pub fn drop_privileges(&self, who: &Credentials) -> Outcome<()> {
        if self.kind() != FileKind::Regular {
            return Ok(());
        }
        let old = self.attributes()?;
        self.drop_capabilities(&old)?;
        match old.mode_without_privileges(who) {
            None => Ok(()),
            mode => self.set(&SetAttributes { mode, ..SetAttributes::default() }),
        }
    }

    /// Takes its capabilities from a file that is about to change.
    fn drop_capabilities(&self, attributes: &Attributes) -> Outcome<()> {
        // What can't be executed gives none; looking for them takes a while.
        if attributes.kind != FileKind::Regular || attributes.mode & 0o111 == 0 {
            return Ok(());
        }
        if self.file_capabilities()?.is_some() {
            self.change(|file_system, ino| file_system.set_xattr(ino, CAPABILITIES, None))?;
        }
        Ok(())
    }

    /// Whether one of these things may no longer be done to it (`F_SEAL_*`).
    pub fn is_sealed(&self, seals: u32) -> bool {
        self.seals().is_ok_and(|sealed| sealed & seals != 0)
    }

    /// What may no longer be done to it.
    ///
    /// # Errors
    /// `EINVAL` if it is no file that can be sealed.
    pub fn seals(&self) -> Outcome<u32> {
        self.dentry.volume.enter().seals(self.ino())
    }

    /// Seals it further.
    pub fn add_seals(&self, seals: u32) -> Outcome<()> {
        let before = self.seals()?;
        self.dentry.volume.enter().set_seals(self.ino(), before | seals)
    }

    /// A file that was just made may be sealed.
    pub fn allow_seals(&self) -> Outcome<()> {
        self.dentry.volume.enter().set_seals(self.ino(), 0)
    }

    /// Takes room for bytes, see [`super::FileSystem::allocate`].
    pub fn allocate(&self, range: std::ops::Range<u64>) -> Outcome<()> {
        self.change(|file_system, ino| file_system.allocate(ino, range.start, range.end))
    }

    /// Makes bytes zeroes that take no room, see [`super::FileSystem::punch`].
    pub fn punch(&self, range: std::ops::Range<u64>) -> Outcome<()> {
        self.change(|file_system, ino| file_system.punch(ino, range.start, range.end))
    }

    fn set(&self, set: &SetAttributes) -> Outcome<()> {
        self.change(|file_system, ino| file_system.set_attributes(ino, set))?;
        self.notify_change(set);
        Ok(())
    }

    fn check_writable(&self) -> Outcome<()> {
        if self.is_read_only() { Err(Errno::EROFS.into()) } else { Ok(()) }
    }
}
