//! Watching files: `inotify(7)`.

use std::rc::Rc;

use abi::Errno;
use abi::file::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_NONBLOCK, O_RDONLY};
use abi::inotify::*;

use super::path::resolve;
use crate::files::OpenFile;
use crate::files::inotify::{Inotify, InotifyFile};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::Access;
use crate::vfs::watch::Watcher;

/// Everything a mask may contain (Linux: `ALL_INOTIFY_BITS`).
const KNOWN: u32 = IN_ALL_EVENTS
    | IN_UNMOUNT
    | IN_Q_OVERFLOW
    | IN_IGNORED
    | IN_ONLYDIR
    | IN_DONT_FOLLOW
    | IN_EXCL_UNLINK
    | IN_MASK_CREATE
    | IN_MASK_ADD
    | IN_ISDIR
    | IN_ONESHOT;

pub(super) fn inotify_init(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    inotify_init1(k, t, 0)
}

pub(super) fn inotify_init1(k: &mut Kernel, t: &Rc<Task>, flags: u32) -> Outcome<u64> {
    if flags & !(IN_CLOEXEC | IN_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let instance = k.make_inotify(t)?;
    let location = k.anonymous.named(&k.vfs, &t.credentials(), "inotify");
    let file = OpenFile::new(Rc::new(InotifyFile(instance)), location, O_RDONLY | flags & O_NONBLOCK);
    k.add_file(t, file, flags & IN_CLOEXEC != 0).map(|fd| fd as u64)
}

fn instance(t: &Rc<Task>, fd: i32) -> Outcome<Rc<Inotify>> {
    let file = t.usable_file(fd)?;
    let file = file.object_as::<InotifyFile>().ok_or(Errno::EINVAL)?;
    Ok(file.0.clone())
}

pub(super) fn inotify_add_watch(k: &mut Kernel, t: &Rc<Task>, fd: i32, path: u64, mask: u32) -> Outcome<u64> {
    if mask & KNOWN == 0 {
        return Err(Errno::EINVAL.into());
    }
    t.usable_file(fd)?;
    if mask & (IN_MASK_ADD | IN_MASK_CREATE) == IN_MASK_ADD | IN_MASK_CREATE {
        return Err(Errno::EINVAL.into());
    }
    let instance = instance(t, fd)?;
    let flags = if mask & IN_DONT_FOLLOW != 0 { AT_SYMLINK_NOFOLLOW } else { 0 };
    let file = resolve(k, t, AT_FDCWD, path, flags)?;
    if mask & IN_ONLYDIR != 0 && !file.is_directory() {
        return Err(Errno::ENOTDIR.into());
    }
    file.check_access(&t.credentials(), Access::READ)?;
    instance.watch(k.vfs.watches(), &file, mask).map(|descriptor| descriptor as u64)
}

pub(super) fn inotify_rm_watch(k: &mut Kernel, t: &Rc<Task>, fd: i32, descriptor: i32) -> Outcome<u64> {
    let instance = instance(t, fd)?;
    instance.unwatch(k.vfs.watches(), descriptor)?;
    k.wake(instance.queue());
    Ok(0)
}
