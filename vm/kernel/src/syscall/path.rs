//! Paths: where a task stands, and making, removing and renaming files.

use std::rc::Rc;

use abi::Errno;
use abi::file::*;

use super::args::PathArg;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{Access, FileKind, Location, RenameMode};

/// The file a path argument leads to; with `AT_EMPTY_PATH` in `flags`, the descriptor's own.
pub(super) fn resolve(k: &Kernel, t: &Rc<Task>, dirfd: i32, path: u64, flags: u32) -> Outcome<Location> {
    resolve_following(k, t, dirfd, path, flags, flags & AT_SYMLINK_NOFOLLOW == 0)
}

pub(super) fn resolve_following(
    k: &Kernel,
    t: &Rc<Task>,
    dirfd: i32,
    path: u64,
    flags: u32,
    follow: bool,
) -> Outcome<Location> {
    let empty_allowed = flags & AT_EMPTY_PATH != 0;
    if empty_allowed && path == 0 {
        return start_of(t, dirfd);
    }
    let path = t.path_arg_at(dirfd, path)?;
    if path.is_empty() && empty_allowed {
        return start_of(t, dirfd);
    }
    locate(k, t, &path, follow)
}

fn start_of(t: &Rc<Task>, dirfd: i32) -> Outcome<Location> {
    if dirfd == AT_FDCWD { Ok(t.fs_state().cwd) } else { Ok(t.file(dirfd)?.location.clone()) }
}

pub(super) fn locate(k: &Kernel, t: &Rc<Task>, path: &PathArg, follow: bool) -> Outcome<Location> {
    let (fs, who) = (t.fs_state(), t.credentials());
    k.vfs.resolve(&fs.context(&who), path.at(), follow)
}

pub(super) fn getcwd(_k: &mut Kernel, t: &Rc<Task>, buf: u64, size: usize) -> Outcome<u64> {
    let fs = t.fs_state();
    if fs.cwd.is_deleted() {
        return Err(Errno::ENOENT.into());
    }
    let mut path = fs.cwd.path(&fs.root);
    if !fs.cwd.is_below(&fs.root) {
        path.splice(..0, *b"(unreachable)");
    }
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG.into());
    }
    if path.len() > size {
        return Err(Errno::ERANGE.into());
    }
    t.mm()?.write_user(buf, &path)?;
    Ok(path.len() as u64)
}

pub(super) fn chdir(k: &mut Kernel, t: &Rc<Task>, path: u64) -> Outcome<u64> {
    let location = locate(k, t, &t.path_arg(path)?, true)?;
    enter(t, location)
}

pub(super) fn fchdir(_k: &mut Kernel, t: &Rc<Task>, fd: i32) -> Outcome<u64> {
    enter(t, t.file(fd)?.location.clone())
}

fn enter(t: &Rc<Task>, location: Location) -> Outcome<u64> {
    check_directory(t, &location)?;
    t.fs.borrow().borrow_mut().cwd = location;
    Ok(0)
}

pub(super) fn check_directory(t: &Rc<Task>, location: &Location) -> Outcome<()> {
    if !location.is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    location.check_access(&t.credentials(), Access::EXECUTE)
}

pub(super) fn umask(_k: &mut Kernel, t: &Rc<Task>, mask: u32) -> Outcome<u64> {
    let old = std::mem::replace(&mut t.fs.borrow().borrow_mut().umask, mask as u16 & 0o777);
    Ok(u64::from(old))
}

pub(super) fn mkdir(k: &mut Kernel, t: &Rc<Task>, path: u64, mode: u16) -> Outcome<u64> {
    mkdirat(k, t, AT_FDCWD, path, mode)
}

pub(super) fn mkdirat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, mode: u16) -> Outcome<u64> {
    let path = t.path_arg_at(dirfd, path)?;
    let (fs, who) = (t.fs_state(), t.credentials());
    k.vfs.mkdir(&fs.context(&who), path.at(), mode).map(|_| 0)
}

pub(super) fn rmdir(k: &mut Kernel, t: &Rc<Task>, path: u64) -> Outcome<u64> {
    unlinkat(k, t, AT_FDCWD, path, AT_REMOVEDIR)
}

pub(super) fn unlink(k: &mut Kernel, t: &Rc<Task>, path: u64) -> Outcome<u64> {
    unlinkat(k, t, AT_FDCWD, path, 0)
}

pub(super) fn unlinkat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, flags: u32) -> Outcome<u64> {
    let path = t.path_arg_at(dirfd, path)?;
    let (fs, who) = (t.fs_state(), t.credentials());
    let context = fs.context(&who);
    match flags {
        0 => k.vfs.unlink(&context, path.at()).map(|()| 0),
        AT_REMOVEDIR => k.vfs.rmdir(&context, path.at()).map(|()| 0),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn mknod(k: &mut Kernel, t: &Rc<Task>, path: u64, mode: u32, rdev: u64) -> Outcome<u64> {
    mknodat(k, t, AT_FDCWD, path, mode, rdev)
}

pub(super) fn mknodat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, mode: u32, rdev: u64) -> Outcome<u64> {
    let path = t.path_arg_at(dirfd, path)?;
    let kind = match mode & S_IFMT {
        0 | S_IFREG => FileKind::Regular,
        S_IFIFO => FileKind::Fifo,
        S_IFSOCK => FileKind::Socket,
        S_IFCHR => FileKind::CharDevice,
        S_IFBLK => FileKind::BlockDevice,
        S_IFDIR => return Err(Errno::EPERM.into()),
        _ => return Err(Errno::EINVAL.into()),
    };
    let (fs, who) = (t.fs_state(), t.credentials());
    k.vfs.mknod(&fs.context(&who), path.at(), kind, (mode & 0o7777) as u16, rdev).map(|_| 0)
}

pub(super) fn symlink(k: &mut Kernel, t: &Rc<Task>, target: u64, path: u64) -> Outcome<u64> {
    symlinkat(k, t, target, AT_FDCWD, path)
}

pub(super) fn symlinkat(k: &mut Kernel, t: &Rc<Task>, target: u64, dirfd: i32, path: u64) -> Outcome<u64> {
    let target = t.mm()?.read_string(target, PATH_MAX, Errno::ENAMETOOLONG)?;
    let path = t.path_arg_at(dirfd, path)?;
    let (fs, who) = (t.fs_state(), t.credentials());
    k.vfs.symlink(&fs.context(&who), &target, path.at()).map(|_| 0)
}

pub(super) fn link(k: &mut Kernel, t: &Rc<Task>, old: u64, new: u64) -> Outcome<u64> {
    linkat(k, t, AT_FDCWD, old, AT_FDCWD, new, 0)
}

pub(super) fn linkat(
    k: &mut Kernel,
    t: &Rc<Task>,
    old_dir: i32,
    old: u64,
    new_dir: i32,
    new: u64,
    flags: u32,
) -> Outcome<u64> {
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = resolve_following(k, t, old_dir, old, flags, flags & AT_SYMLINK_FOLLOW != 0)?;
    let path = t.path_arg_at(new_dir, new)?;
    let (fs, who) = (t.fs_state(), t.credentials());
    k.vfs.link(&fs.context(&who), &file, path.at()).map(|()| 0)
}

pub(super) fn rename(k: &mut Kernel, t: &Rc<Task>, old: u64, new: u64) -> Outcome<u64> {
    renameat2(k, t, AT_FDCWD, old, AT_FDCWD, new, 0)
}

pub(super) fn renameat(k: &mut Kernel, t: &Rc<Task>, old_dir: i32, old: u64, new_dir: i32, new: u64) -> Outcome<u64> {
    renameat2(k, t, old_dir, old, new_dir, new, 0)
}

pub(super) fn renameat2(
    k: &mut Kernel,
    t: &Rc<Task>,
    old_dir: i32,
    old: u64,
    new_dir: i32,
    new: u64,
    flags: u32,
) -> Outcome<u64> {
    let mode = match flags {
        0 => RenameMode::Replace,
        RENAME_NOREPLACE => RenameMode::NoReplace,
        RENAME_EXCHANGE => RenameMode::Exchange,
        RENAME_WHITEOUT => RenameMode::Whiteout { no_replace: false },
        flags if flags == RENAME_WHITEOUT | RENAME_NOREPLACE => RenameMode::Whiteout { no_replace: true },
        _ => return Err(Errno::EINVAL.into()),
    };
    let (old, new) = (t.path_arg_at(old_dir, old)?, t.path_arg_at(new_dir, new)?);
    let (fs, who) = (t.fs_state(), t.credentials());
    k.vfs.rename(&fs.context(&who), old.at(), new.at(), mode).map(|()| 0)
}

pub(super) fn readlink(k: &mut Kernel, t: &Rc<Task>, path: u64, buf: u64, size: i32) -> Outcome<u64> {
    readlinkat(k, t, AT_FDCWD, path, buf, size)
}

pub(super) fn readlinkat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, buf: u64, size: i32) -> Outcome<u64> {
    let size = usize::try_from(size).ok().filter(|size| *size > 0).ok_or(Errno::EINVAL)?;
    let path = t.path_arg_at(dirfd, path)?;
    let location = if path.is_empty() { start_of(t, dirfd)? } else { locate(k, t, &path, false)? };
    if path.is_empty() && location.kind() != FileKind::Symlink {
        return Err(Errno::ENOENT.into());
    }
    let target = location.read_link(&t.fs_state().root)?;
    let len = target.len().min(size);
    t.mm()?.write_user(buf, &target[..len])?;
    Ok(len as u64)
}

pub(super) fn access(k: &mut Kernel, t: &Rc<Task>, path: u64, mode: u32) -> Outcome<u64> {
    faccessat2(k, t, AT_FDCWD, path, mode, 0)
}

pub(super) fn faccessat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, mode: u32) -> Outcome<u64> {
    faccessat2(k, t, dirfd, path, mode, 0)
}

pub(super) fn faccessat2(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, mode: u32, flags: u32) -> Outcome<u64> {
    if mode & !(R_OK | W_OK | X_OK) != 0 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let who = t.credentials();
    let who = if flags & AT_EACCESS == 0 { Rc::new(who.with_real_ids()) } else { who };
    let fs = t.fs_state();
    let path = t.path_arg_at(dirfd, path)?;
    let location = match path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        true => start_of(t, dirfd)?,
        false => k.vfs.resolve(&fs.context(&who), path.at(), flags & AT_SYMLINK_NOFOLLOW == 0)?,
    };
    let access = Access { read: mode & R_OK != 0, write: mode & W_OK != 0, execute: mode & X_OK != 0 };
    if access.execute && location.kind() == FileKind::Regular && location.mount().flags().no_exec {
        return Err(Errno::EACCES.into());
    }
    if mode != 0 {
        location.check_access(&who, access)?;
    }
    Ok(0)
}

/// Handles that outlive descriptors are for file servers: no file system here makes any.
pub(super) fn name_to_handle_at(
    k: &mut Kernel,
    t: &Rc<Task>,
    dirfd: i32,
    path: u64,
    _handle: u64,
    _mount: u64,
    flags: u32,
) -> Outcome<u64> {
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    resolve_following(k, t, dirfd, path, flags, flags & AT_SYMLINK_FOLLOW != 0)?;
    Err(Errno::EOPNOTSUPP.into())
}
