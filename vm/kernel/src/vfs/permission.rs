//! Permission bits (`path_resolution(7)`, `inode(7)`).

use super::{Attributes, FileKind, Location};
use crate::credentials::Credentials;
use crate::stop::Outcome;
use abi::Errno;
use abi::capability::{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER};

/// Set-user-ID bit.
pub(super) const SET_UID: u16 = 0o4000;
/// Set-group-ID bit.
pub(super) const SET_GID: u16 = 0o2000;
/// Sticky bit: in such a directory only owners remove entries.
pub(super) const STICKY: u16 = 0o1000;

/// Kinds of access, as the three bits of a mode.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    /// Execute; for a directory, search.
    pub execute: bool,
}

impl Access {
    /// Read.
    pub const READ: Self = Self { read: true, write: false, execute: false };
    /// Write.
    pub const WRITE: Self = Self { read: false, write: true, execute: false };
    /// Execute or search.
    pub const EXECUTE: Self = Self { read: false, write: false, execute: true };
    /// What changing a directory's entries needs.
    pub(super) const CHANGE_ENTRIES: Self = Self { read: false, write: true, execute: true };

    fn bits(self) -> u16 {
        u16::from(self.read) << 2 | u16::from(self.write) << 1 | u16::from(self.execute)
    }
}

/// Whether the permission bits of a file let `who` do `access`.
pub(super) fn permitted(who: &Credentials, file: &Attributes, access: Access) -> bool {
    let is_directory = file.kind == FileKind::Directory;
    if who.has(CAP_DAC_OVERRIDE) && (!access.execute || is_directory || file.mode & 0o111 != 0) {
        return true;
    }
    if who.has(CAP_DAC_READ_SEARCH) && !access.write && (is_directory || !access.execute) {
        return true;
    }
    let class = if who.fsuid == file.uid {
        file.mode >> 6
    } else if who.in_group(file.gid) {
        file.mode >> 3
    } else {
        file.mode
    };
    access.bits() & !class & 7 == 0
}

impl Location {
    /// Fails with `EACCES` unless `who` may do `access`; with `EROFS` if it is to be written and can't be.
    ///
    /// `access(2)` is this with the real ids in place of the effective ones.
    pub fn check_access(&self, who: &Credentials, access: Access) -> Outcome<()> {
        let is_data = matches!(self.kind(), FileKind::Regular | FileKind::Directory | FileKind::Symlink);
        if access.write && is_data && self.is_read_only() {
            return Err(Errno::EROFS.into());
        }
        self.check_bits(who, access)
    }

    /// [`Self::check_access`] without regard to read-only mounts.
    pub(super) fn check_bits(&self, who: &Credentials, access: Access) -> Outcome<()> {
        if who.has(CAP_DAC_OVERRIDE) && (self.is_directory() || !access.execute) {
            return Ok(());
        }
        let granted =
            permitted(who, &self.attributes()?, access) || self.dentry.volume.enter().is_askers_own(self.ino());
        if granted { Ok(()) } else { Err(Errno::EACCES.into()) }
    }

    /// Whether the sticky bit of this directory keeps `who` from removing `victim`.
    pub(super) fn sticky_forbids(&self, who: &Credentials, victim: &Location) -> Outcome<bool> {
        if who.has(CAP_FOWNER) {
            return Ok(false);
        }
        let dir = self.attributes()?;
        Ok(dir.mode & STICKY != 0 && who.fsuid != dir.uid && who.fsuid != victim.attributes()?.uid)
    }
}
