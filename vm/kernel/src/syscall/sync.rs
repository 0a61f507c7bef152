//! To the disk: `fsync` and its relatives, and advice about what will be read.

use std::rc::Rc;

use abi::Errno;

use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::FileKind;

pub(super) fn fsync(_k: &mut Kernel, t: &Rc<Task>, fd: i32) -> Outcome<u64> {
    let file = t.usable_file(fd)?;
    match file.location.kind() {
        FileKind::Regular | FileKind::Directory => file.location.sync().map(|()| 0),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn sync(k: &mut Kernel, _t: &Rc<Task>) -> Outcome<u64> {
    k.shared.write_back()?;
    k.vfs.sync().map(|()| 0)
}

pub(super) fn syncfs(_k: &mut Kernel, t: &Rc<Task>, fd: i32) -> Outcome<u64> {
    t.usable_file(fd)?.location.sync().map(|()| 0)
}

/// Whatever part of a file it is, all of it goes.
pub(super) fn sync_file_range(
    _k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    offset: i64,
    len: i64,
    flags: u32,
) -> Outcome<u64> {
    const FLAGS: u32 = 7;
    let file = t.usable_file(fd)?;
    if flags & !FLAGS != 0 || offset < 0 || len < 0 || offset.checked_add(len).is_none() {
        return Err(Errno::EINVAL.into());
    }
    match file.location.kind() {
        FileKind::Regular if file.object.is_seekable() => file.location.sync().map(|()| 0),
        FileKind::Directory | FileKind::BlockDevice | FileKind::Symlink => Ok(0),
        _ => Err(Errno::ESPIPE.into()),
    }
}

/// Advice that has no effect here.
pub(super) fn fadvise64(_k: &mut Kernel, t: &Rc<Task>, fd: i32) -> Outcome<u64> {
    let file = t.usable_file(fd)?;
    if file.object.is_seekable() { Ok(0) } else { Err(Errno::ESPIPE.into()) }
}
