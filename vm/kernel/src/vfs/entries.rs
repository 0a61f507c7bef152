//! Making and removing directory entries: `mkdir(2)`, `mknod(2)`, `symlink(2)`, `link(2)`, `unlink(2)`, `rmdir(2)`.

use std::rc::Rc;

use super::dentry::Dentry;
use super::permission::{Access, SET_GID, SET_UID, permitted};
use super::walk::{Last, Walk};
use super::{At, Context, FileKind, Location, NewFile, Vfs};
use crate::credentials::Credentials;
use crate::stop::Outcome;
use abi::Errno;
use abi::capability::{CAP_FOWNER, CAP_FSETID, CAP_MKNOD};
use abi::inotify::{IN_ATTRIB, IN_CREATE};

/// Permission bits a new directory can get.
const DIRECTORY_MODE: u16 = 0o1777;

impl Vfs {
    /// Makes a directory.
    pub fn mkdir(&self, context: &Context<'_>, path: At<'_>, mode: u16) -> Outcome<Location> {
        let new = new_file(FileKind::Directory, mode & DIRECTORY_MODE);
        self.create(context, path, new)
    }

    /// Makes a device node, FIFO, socket or empty file.
    pub fn mknod(
        &self,
        context: &Context<'_>,
        path: At<'_>,
        kind: FileKind,
        mode: u16,
        rdev: u64,
    ) -> Outcome<Location> {
        match kind {
            FileKind::Directory => Err(Errno::EPERM.into()),
            FileKind::Symlink => Err(Errno::EINVAL.into()),
            FileKind::CharDevice | FileKind::BlockDevice => {
                self.create(context, path, NewFile { rdev, ..new_file(kind, mode) })
            }
            _ => self.create(context, path, new_file(kind, mode)),
        }
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, context: &Context<'_>, target: &[u8], path: At<'_>) -> Outcome<Location> {
        if target.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        self.create(context, path, NewFile { target, ..new_file(FileKind::Symlink, 0o777) })
    }

    /// Makes `path` another name of `file`.
    pub fn link(&self, context: &Context<'_>, file: &Location, path: At<'_>) -> Outcome<()> {
        let (dir, name) = self.place_for_new(context, path, false)?;
        if !Rc::ptr_eq(&file.mount, &dir.mount) {
            return Err(Errno::EXDEV.into());
        }
        if !file.may_be_linked_by(context.credentials)? {
            return Err(Errno::EPERM.into());
        }
        check_may_add(context, &dir)?;
        if file.is_directory() {
            return Err(Errno::EPERM.into());
        }
        if file.is_deleted() && !file.dentry.linkable() && file.attributes()?.links == 0 {
            return Err(Errno::ENOENT.into());
        }
        dir.change(|file_system, dir| file_system.link(dir, &name, file.ino()))?;
        self.cache.keep(dir.dentry.add_child(&name, file.dentry.inode()));
        file.notify_inode(IN_ATTRIB);
        dir.notify_entry(IN_CREATE, &name, file.kind(), 0);
        Ok(())
    }

    /// Removes a name of a file that is not a directory.
    pub fn unlink(&self, context: &Context<'_>, path: At<'_>) -> Outcome<()> {
        let mut walk = Walk::new(self, context, path)?;
        let Last::Name(name, slashes) = walk.advance()? else { return Err(Errno::EISDIR.into()) };
        let dir = walk.at;
        let victim = self.entry(&dir, &name)?;
        if slashes {
            return Err(if victim.is_directory() { Errno::EISDIR } else { Errno::ENOTDIR }.into());
        }
        check_may_remove(context, &dir, &victim, false)?;
        dir.change(|file_system, dir| file_system.unlink(dir, &name))?;
        self.forget(&victim);
        dir.notify_removal(&name, victim);
        Ok(())
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, context: &Context<'_>, path: At<'_>) -> Outcome<()> {
        let mut walk = Walk::new(self, context, path)?;
        let name = match walk.advance()? {
            Last::Name(name, _) => name,
            Last::Root => return Err(Errno::EBUSY.into()),
            Last::Dot => return Err(Errno::EINVAL.into()),
            Last::DotDot => return Err(Errno::ENOTEMPTY.into()),
        };
        let dir = walk.at;
        let victim = self.entry(&dir, &name)?;
        check_may_remove(context, &dir, &victim, true)?;
        dir.change(|file_system, dir| file_system.remove_dir(dir, &name))?;
        self.forget(&victim);
        dir.notify_removal(&name, victim);
        Ok(())
    }

    /// Creates `new`, whose owner is still open, at `path`.
    fn create(&self, context: &Context<'_>, path: At<'_>, new: NewFile<'_>) -> Outcome<Location> {
        let (dir, name) = self.place_for_new(context, path, new.kind == FileKind::Directory)?;
        self.create_in(context, &dir, &name, new)
    }

    /// Creates `new`, whose owner is still open, as `name`, which is known to be free.
    pub(super) fn create_in(
        &self,
        context: &Context<'_>,
        dir: &Location,
        name: &[u8],
        new: NewFile<'_>,
    ) -> Outcome<Location> {
        check_may_add(context, dir)?;
        let is_device = matches!(new.kind, FileKind::CharDevice | FileKind::BlockDevice);
        if is_device && !context.credentials.has(CAP_MKNOD) {
            return Err(Errno::EPERM.into());
        }
        let new = dir.owned_by(context, new)?;
        let ino = dir.change(|file_system, dir| file_system.create(dir, name, &new))?;
        let dentry = dir.dentry.add_child(name, Some((ino, new.kind)));
        self.cache.keep(dentry.clone());
        dir.notify_entry(IN_CREATE, name, new.kind, 0);
        Ok(Location::new(dir.mount.clone(), dentry))
    }

    /// Directory and name for something new. Only a directory's name may be followed by slashes.
    fn place_for_new(&self, context: &Context<'_>, path: At<'_>, directory: bool) -> Outcome<(Location, Vec<u8>)> {
        let mut walk = Walk::new(self, context, path)?;
        let Last::Name(name, slashes) = walk.advance()? else { return Err(Errno::EEXIST.into()) };
        if self.child(&walk.at, &name)?.inode().is_some() {
            return Err(Errno::EEXIST.into());
        }
        if slashes && !directory {
            return Err(Errno::ENOENT.into());
        }
        Ok((walk.at, name))
    }

    /// The file has lost this name. What is remembered not to be in it, if it is a directory, would keep it alive.
    pub(super) fn forget(&self, file: &Location) {
        file.dentry.set_deleted();
        self.cache.forget(&file.dentry);
        for child in file.dentry.cached_children() {
            self.cache.forget(&child);
        }
    }

    /// The entry itself, even if something is mounted on it.
    pub(super) fn entry(&self, dir: &Location, name: &[u8]) -> Outcome<Location> {
        let dentry = self.child(dir, name)?;
        if dentry.inode().is_none() {
            return Err(Errno::ENOENT.into());
        }
        Ok(Location::new(dir.mount.clone(), dentry))
    }
}

impl Location {
    /// Whether `who` may make a hard link to this file of somebody else's: only if it could as well be copied
    /// (`protected_hardlinks` in `proc_sys_fs(5)`, which distributions set).
    fn may_be_linked_by(&self, who: &Credentials) -> Outcome<bool> {
        if who.has(CAP_FOWNER) {
            return Ok(true);
        }
        let file = self.attributes()?;
        let privileged = file.mode & SET_UID != 0 || file.mode & (SET_GID | 0o010) == SET_GID | 0o010;
        let read_write = Access { read: true, write: true, execute: false };
        let harmless = file.kind == FileKind::Regular && !privileged && permitted(who, &file, read_write);
        Ok(who.fsuid == file.uid || harmless)
    }

    /// Completes a file to be created in this directory: owner, group (`mount(8)`: a directory with the setgid bit
    /// hands its group down), umask.
    pub(super) fn owned_by<'n>(&self, context: &Context<'_>, new: NewFile<'n>) -> Outcome<NewFile<'n>> {
        let who = context.credentials;
        let dir = self.attributes()?;
        let mut mode = if new.kind == FileKind::Symlink { 0o777 } else { new.mode & 0o7777 & !context.umask };
        let mut gid = who.fsgid;
        if dir.mode & SET_GID != 0 {
            gid = dir.gid;
            if new.kind == FileKind::Directory {
                mode |= SET_GID;
            } else if mode & 0o010 != 0 && !who.in_group(gid) && !who.has(CAP_FSETID) {
                mode &= !SET_GID;
            }
        }
        Ok(NewFile { mode, uid: who.fsuid, gid, ..new })
    }
}

fn new_file(kind: FileKind, mode: u16) -> NewFile<'static> {
    NewFile { kind, mode, uid: 0, gid: 0, rdev: 0, target: b"" }
}

/// Whether entries may be added to `dir`.
pub(super) fn check_may_add(context: &Context<'_>, dir: &Location) -> Outcome<()> {
    if dir.is_deleted() {
        return Err(Errno::ENOENT.into());
    }
    dir.check_access(context.credentials, Access::CHANGE_ENTRIES)
}

/// Whether `victim` may be removed from `dir`, as a directory or as something else.
pub(super) fn check_may_remove(
    context: &Context<'_>,
    dir: &Location,
    victim: &Location,
    directory: bool,
) -> Outcome<()> {
    dir.check_access(context.credentials, Access::CHANGE_ENTRIES)?;
    if dir.sticky_forbids(context.credentials, victim)? {
        return Err(Errno::EPERM.into());
    }
    match (directory, victim.is_directory()) {
        (true, false) => return Err(Errno::ENOTDIR.into()),
        (false, true) => return Err(Errno::EISDIR.into()),
        _ => {}
    }
    if is_mount_point(&victim.dentry) { Err(Errno::EBUSY.into()) } else { Ok(()) }
}

/// Whether something is mounted there.
pub(super) fn is_mount_point(dentry: &Dentry) -> bool {
    dentry.mounts_here.get() > 0
}
