//! `open(2)`, as far as paths and files are concerned; descriptors are the caller's business.

use super::dentry::Dentry;
use super::permission::{Access, STICKY};
use super::walk::{Last, Walk};
use super::{At, Context, FileKind, Location, NewFile, SetAttributes, Vfs};
use crate::stop::Outcome;
use abi::Errno;

/// How a file is to be opened: the flags of `open(2)` that have to do with finding it.
#[derive(Clone, Copy, Default, Debug)]
pub struct OpenHow {
    /// Access wanted, `O_RDONLY`, `O_WRONLY`, `O_RDWR`; `execute` is for `execve(2)`.
    pub access: Access,
    /// `O_CREAT`, and the mode the file then gets.
    pub create: Option<u16>,
    /// `O_EXCL`: it must be created, even a symbolic link in the way is an error.
    pub exclusive: bool,
    /// `O_TRUNC`.
    pub truncate: bool,
    /// `O_DIRECTORY`.
    pub directory: bool,
    /// `O_NOFOLLOW`.
    pub no_follow: bool,
    /// `O_TMPFILE`, and the mode: the path is the directory it could be linked into. With `exclusive`, never.
    pub unnamed: Option<u16>,
    /// `O_PATH`: the file is only pointed to, its permissions don't matter.
    pub path_only: bool,
    /// `O_NOATIME`, which only its owner may ask for.
    pub no_atime: bool,
}

/// An opened file.
pub struct Opened {
    /// The file.
    pub location: Location,
    /// Whether it was created just now.
    pub created: bool,
    /// Whether it was there, and has been emptied.
    pub truncated: bool,
}

impl Vfs {
    /// Finds, and if asked to creates or empties, the file to be opened.
    pub fn open(&self, context: &Context<'_>, path: At<'_>, how: &OpenHow) -> Outcome<Opened> {
        if let Some(mode) = how.unnamed {
            return self.open_unnamed(context, path, how, mode);
        }
        if let (Some(mode), false) = (how.create, how.path_only) {
            return self.open_or_create(context, path, how, mode);
        }
        let location = self.resolve(context, path, !how.no_follow)?;
        if how.directory && !location.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        let truncated = if how.path_only { false } else { may_open(context, &location, how)? };
        Ok(Opened { location, created: false, truncated })
    }

    fn open_or_create(&self, context: &Context<'_>, path: At<'_>, how: &OpenHow, mode: u16) -> Outcome<Opened> {
        let mut walk = Walk::new(self, context, path)?;
        loop {
            let name = match walk.advance()? {
                Last::Name(name, false) => name,
                Last::Name(_, true) => return Err(Errno::EISDIR.into()),
                _ => return Err(if how.exclusive { Errno::EEXIST } else { Errno::EISDIR }.into()),
            };
            let dentry = self.child(&walk.at, &name)?;
            let Some(found) = self.positive(&walk.at, dentry) else {
                let new = NewFile { kind: FileKind::Regular, mode, uid: 0, gid: 0, rdev: 0, target: b"" };
                let location = self.create_in(context, &walk.at, &name, new)?;
                return Ok(Opened { location, created: true, truncated: false });
            };
            if how.exclusive {
                return Err(Errno::EEXIST.into());
            }
            walk.check_mount(&found)?;
            let location = if found.kind() == FileKind::Symlink && !how.no_follow {
                match walk.follow(&found, false)? {
                    Some(location) => location,
                    None => continue,
                }
            } else {
                found
            };
            if location.is_directory() {
                return Err(Errno::EISDIR.into());
            }
            check_sticky(context, &walk.at, &location)?;
            let truncated = may_open(context, &location, how)?;
            return Ok(Opened { location, created: false, truncated });
        }
    }

    fn open_unnamed(&self, context: &Context<'_>, path: At<'_>, how: &OpenHow, mode: u16) -> Outcome<Opened> {
        if !how.access.write {
            return Err(Errno::EINVAL.into());
        }
        let dir = self.resolve(context, path, !how.no_follow)?;
        if !dir.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        dir.check_access(context.credentials, Access::CHANGE_ENTRIES)?;
        let new = NewFile { kind: FileKind::Regular, mode, uid: 0, gid: 0, rdev: 0, target: b"" };
        let new = dir.owned_by(context, new)?;
        let ino = dir.change(|file_system, dir| file_system.create_unnamed(dir, &new))?;
        let dentry = Dentry::unnamed(&dir.dentry, ino, !how.exclusive);
        Ok(Opened { location: Location::new(dir.mount.clone(), dentry), created: true, truncated: false })
    }
}

/// In a sticky directory that everybody writes to, somebody else's device or socket is not what `O_CREAT` was meant to
/// make. (The same for regular files and FIFOs is off by default, see `protected_regular` in `proc_sys_fs(5)`.)
fn check_sticky(context: &Context<'_>, dir: &Location, found: &Location) -> Outcome<()> {
    if matches!(found.kind(), FileKind::Regular | FileKind::Fifo) {
        return Ok(());
    }
    let (dir, owner) = (dir.attributes()?, found.attributes()?.uid);
    let shared = dir.mode & (STICKY | 0o002) == STICKY | 0o002;
    if shared && owner != dir.uid && owner != context.credentials.fsuid {
        return Err(Errno::EACCES.into());
    }
    Ok(())
}

/// Checks that an existing file may be opened, and as the last step empties it if asked to; returns whether it did.
fn may_open(context: &Context<'_>, location: &Location, how: &OpenHow) -> Outcome<bool> {
    let access = Access { write: how.access.write || how.truncate, ..how.access };
    let flags = location.mount().flags();
    match location.kind() {
        FileKind::Symlink => return Err(Errno::ELOOP.into()),
        FileKind::Directory if access.write => return Err(Errno::EISDIR.into()),
        FileKind::Directory if access.execute => return Err(Errno::EACCES.into()),
        FileKind::CharDevice | FileKind::BlockDevice if flags.no_dev => return Err(Errno::EACCES.into()),
        FileKind::Regular if access.execute && flags.no_exec => return Err(Errno::EACCES.into()),
        kind if access.execute && kind != FileKind::Regular => return Err(Errno::EACCES.into()),
        _ => {}
    }
    location.check_access(context.credentials, access)?;
    if location.kind() == FileKind::Socket {
        return Err(Errno::ENXIO.into());
    }
    if how.no_atime && !context.credentials.owns(location.attributes()?.uid) {
        return Err(Errno::EPERM.into());
    }
    if how.truncate && location.kind() == FileKind::Regular {
        let attributes = location.attributes()?;
        let mode = attributes.mode_without_privileges(context.credentials);
        let set = SetAttributes { size_bytes: Some(0), mode, ..SetAttributes::default() };
        location.change(|file_system, ino| file_system.set_attributes(ino, &set))?;
        return Ok(true);
    }
    Ok(false)
}
