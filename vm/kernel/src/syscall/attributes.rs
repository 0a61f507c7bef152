//! Changing what files are: modes, owners, times, sizes, extended attributes.

use std::rc::Rc;

use abi::Errno;
use abi::file::*;
use abi::inotify::IN_MODIFY;

use super::memfd;
use super::path::{locate, resolve};
use crate::files::open::SMALL_FILE_BYTES_MAX;
use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{FileKind, Location, SetTime, Timestamp};

pub(super) fn chmod(k: &mut Kernel, t: &Rc<Task>, path: u64, mode: u16) -> Outcome<u64> {
    fchmodat(k, t, AT_FDCWD, path, mode)
}

pub(super) fn fchmod(_k: &mut Kernel, t: &Rc<Task>, fd: i32, mode: u16) -> Outcome<u64> {
    t.usable_file(fd)?.location.chmod(&t.credentials(), mode & 0o7777).map(|()| 0)
}

pub(super) fn fchmodat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, mode: u16) -> Outcome<u64> {
    resolve(k, t, dirfd, path, 0)?.chmod(&t.credentials(), mode & 0o7777).map(|()| 0)
}

fn change_owner(t: &Rc<Task>, location: &Location, uid: u32, gid: u32) -> Outcome<u64> {
    let id = |id: u32| (id != u32::MAX).then_some(id);
    location.chown(&t.credentials(), id(uid), id(gid)).map(|()| 0)
}

pub(super) fn chown(k: &mut Kernel, t: &Rc<Task>, path: u64, uid: u32, gid: u32) -> Outcome<u64> {
    change_owner(t, &locate(k, t, &t.path_arg(path)?, true)?, uid, gid)
}

pub(super) fn lchown(k: &mut Kernel, t: &Rc<Task>, path: u64, uid: u32, gid: u32) -> Outcome<u64> {
    change_owner(t, &locate(k, t, &t.path_arg(path)?, false)?, uid, gid)
}

pub(super) fn fchown(_k: &mut Kernel, t: &Rc<Task>, fd: i32, uid: u32, gid: u32) -> Outcome<u64> {
    change_owner(t, &t.usable_file(fd)?.location, uid, gid)
}

pub(super) fn fchownat(
    k: &mut Kernel,
    t: &Rc<Task>,
    dirfd: i32,
    path: u64,
    uid: u32,
    gid: u32,
    flags: u32,
) -> Outcome<u64> {
    change_owner(t, &resolve(k, t, dirfd, path, flags)?, uid, gid)
}

// ---- times ----

pub(super) fn utimensat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, times: u64, flags: u32) -> Outcome<u64> {
    let times = match times {
        0 => [SetTime::Now; 2],
        addr => [set_time(t, addr)?, set_time(t, addr.wrapping_add(t.layout().timespec_bytes()))?],
    };
    set_times(k, t, dirfd, path, flags, times)
}

/// Sets the times of what a path names, or of an open file if there is no path.
fn set_times(k: &Kernel, t: &Rc<Task>, dirfd: i32, path: u64, flags: u32, times: [SetTime; 2]) -> Outcome<u64> {
    let location = match path {
        0 if dirfd != AT_FDCWD => t.usable_file(dirfd)?.location.clone(),
        path => resolve(k, t, dirfd, path, flags)?,
    };
    location.set_times(&t.credentials(), times[0], times[1]).map(|()| 0)
}

fn set_time(t: &Rc<Task>, addr: u64) -> Outcome<SetTime> {
    let layout = t.layout();
    let bytes = t.struct_arg(addr, layout.timespec_bytes())?;
    let (seconds, nanos) = layout.reader(&bytes).timespec();
    match u32::try_from(nanos) {
        Ok(UTIME_NOW) => Ok(SetTime::Now),
        Ok(UTIME_OMIT) => Ok(SetTime::Keep),
        Ok(nanoseconds) if u64::from(nanoseconds) < SECOND_NS => Ok(SetTime::To(Timestamp { seconds, nanoseconds })),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn utime(k: &mut Kernel, t: &Rc<Task>, path: u64, times: u64) -> Outcome<u64> {
    let second = |seconds: i64| SetTime::To(Timestamp { seconds, nanoseconds: 0 });
    let times = match times {
        0 => [SetTime::Now; 2],
        addr => {
            // Two times as `long`s: what a struct timeval is made of.
            let (accessed, modified) = t.raw_timeval_arg(addr)?;
            [second(accessed), second(modified)]
        }
    };
    set_times(k, t, AT_FDCWD, path, 0, times)
}

pub(super) fn utimes(k: &mut Kernel, t: &Rc<Task>, path: u64, times: u64) -> Outcome<u64> {
    futimesat(k, t, AT_FDCWD, path, times)
}

pub(super) fn futimesat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, times: u64) -> Outcome<u64> {
    let time = |addr: u64| -> Outcome<SetTime> {
        let (seconds, micros) = t.raw_timeval_arg(addr)?;
        let micros = u32::try_from(micros).ok().filter(|micros| *micros < 1_000_000).ok_or(Errno::EINVAL)?;
        Ok(SetTime::To(Timestamp { seconds, nanoseconds: micros * 1000 }))
    };
    let times = match times {
        0 => [SetTime::Now; 2],
        addr => [time(addr)?, time(addr.wrapping_add(t.layout().timeval_bytes()))?],
    };
    set_times(k, t, dirfd, path, 0, times)
}

// ---- sizes ----

pub(super) fn truncate(k: &mut Kernel, t: &Rc<Task>, path: u64, size: i64) -> Outcome<u64> {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    let location = locate(k, t, &t.path_arg(path)?, true)?;
    if location.kind() == FileKind::Regular && size > location.attributes()?.size_bytes {
        super::rw::check_size_limit(k, t, size)?;
    }
    location.truncate(&t.credentials(), size)?;
    forget_shared(k, &location, size);
    Ok(0)
}

pub(super) fn ftruncate(k: &mut Kernel, t: &Rc<Task>, fd: i32, size: i64) -> Outcome<u64> {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    let file = t.usable_file(fd)?;
    let too_long = size > SMALL_FILE_BYTES_MAX && !file.has(O_LARGEFILE);
    if !file.is_writable() || too_long {
        return Err(Errno::EINVAL.into());
    }
    if let Some(object) = k.shared.get(&file.location) {
        object.flush()?;
    }
    memfd::check_resize(&file, size)?;
    if size > file.location.attributes()?.size_bytes {
        super::rw::check_size_limit(k, t, size)?;
    }
    file.location.resize(&t.credentials(), size)?;
    forget_shared(k, &file.location, size);
    Ok(0)
}

/// What lies past the new end must not be seen through mappings any more.
fn forget_shared(k: &Kernel, location: &Location, size: u64) {
    if let Some(object) = k.shared.get(location) {
        object.forget(size..u64::MAX);
    }
}

pub(super) fn fallocate(k: &mut Kernel, t: &Rc<Task>, fd: i32, mode: u32, offset: i64, len: i64) -> Outcome<u64> {
    const PUNCH: u32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    let file = t.usable_file(fd)?;
    let (Ok(offset), Ok(len)) = (u64::try_from(offset), u64::try_from(len)) else { return Err(Errno::EINVAL.into()) };
    if len == 0 {
        return Err(Errno::EINVAL.into());
    }
    // Neither tmpfs nor ext2 knows other modes.
    if !matches!(mode, 0 | FALLOC_FL_KEEP_SIZE | PUNCH) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if !file.is_writable() {
        return Err(Errno::EBADF.into());
    }
    match file.location.kind() {
        FileKind::Regular => {}
        FileKind::Fifo => return Err(Errno::ESPIPE.into()),
        _ => return Err(Errno::ENODEV.into()),
    }
    let end = offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok()).ok_or(Errno::EFBIG)?;
    if let Some(object) = k.shared.get(&file.location) {
        object.flush()?;
    }
    let size = file.location.attributes()?.size_bytes;
    if mode == PUNCH {
        if file.location.is_sealed(memfd::UNWRITABLE) {
            return Err(Errno::EPERM.into());
        }
        file.location.punch(offset..end)?;
        if let Some(object) = k.shared.get(&file.location) {
            object.forget(offset..end);
        }
    } else {
        if end > size && mode == 0 {
            super::rw::check_size_limit(k, t, end)?;
        }
        if end > size && file.location.is_sealed(F_SEAL_GROW) {
            return Err(Errno::EPERM.into());
        }
        file.location.allocate(offset..end)?;
        if mode == 0 && end > size {
            file.location.resize(&t.credentials(), end)?;
        }
    }
    file.location.notify(IN_MODIFY);
    Ok(0)
}

// ---- extended attributes ----

fn name_arg(t: &Rc<Task>, addr: u64) -> Outcome<Vec<u8>> {
    t.mm()?.read_string(addr, NAME_MAX + 1, Errno::ERANGE)
}

fn give_value(t: &Rc<Task>, value: &[u8], buf: u64, size: usize) -> Outcome<u64> {
    if size == 0 {
        return Ok(value.len() as u64);
    }
    if value.len() > size {
        return Err(Errno::ERANGE.into());
    }
    t.mm()?.write_user(buf, value)?;
    Ok(value.len() as u64)
}

/// Generates the three forms of an extended-attribute call: by path, by path without following, by descriptor.
macro_rules! by_path_or_fd {
    ($path:ident, $link:ident, $fd:ident => $with:ident($($arg:ident: $ty:ty),*)) => {
        pub(super) fn $path(k: &mut Kernel, t: &Rc<Task>, path: u64, $($arg: $ty),*) -> Outcome<u64> {
            $with(t, &locate(k, t, &t.path_arg(path)?, true)?, $($arg),*)
        }
        pub(super) fn $link(k: &mut Kernel, t: &Rc<Task>, path: u64, $($arg: $ty),*) -> Outcome<u64> {
            $with(t, &locate(k, t, &t.path_arg(path)?, false)?, $($arg),*)
        }
        pub(super) fn $fd(_k: &mut Kernel, t: &Rc<Task>, fd: i32, $($arg: $ty),*) -> Outcome<u64> {
            $with(t, &t.usable_file(fd)?.location, $($arg),*)
        }
    };
}

by_path_or_fd!(getxattr, lgetxattr, fgetxattr => get_with(name: u64, buf: u64, size: usize));
by_path_or_fd!(setxattr, lsetxattr, fsetxattr => set_with(name: u64, value: u64, size: usize, flags: u32));
by_path_or_fd!(listxattr, llistxattr, flistxattr => list_with(buf: u64, size: usize));
by_path_or_fd!(removexattr, lremovexattr, fremovexattr => remove_with(name: u64));

fn get_with(t: &Rc<Task>, location: &Location, name: u64, buf: u64, size: usize) -> Outcome<u64> {
    let value = location.get_xattr(&t.credentials(), &name_arg(t, name)?)?;
    give_value(t, &value, buf, size)
}

fn set_with(t: &Rc<Task>, location: &Location, name: u64, value: u64, size: usize, flags: u32) -> Outcome<u64> {
    const VALUE_BYTES_MAX: usize = 65_536;
    if size > VALUE_BYTES_MAX {
        return Err(Errno::E2BIG.into());
    }
    let exists = match flags {
        0 => None,
        XATTR_CREATE => Some(false),
        XATTR_REPLACE => Some(true),
        _ => return Err(Errno::EINVAL.into()),
    };
    let mut bytes = vec![0; size];
    t.mm()?.read_user(value, &mut bytes)?;
    location.set_xattr(&t.credentials(), &name_arg(t, name)?, &bytes, exists).map(|()| 0)
}

fn list_with(t: &Rc<Task>, location: &Location, buf: u64, size: usize) -> Outcome<u64> {
    let mut bytes = Vec::new();
    for name in location.list_xattrs(&t.credentials())? {
        bytes.extend(name);
        bytes.push(0);
    }
    give_value(t, &bytes, buf, size)
}

fn remove_with(t: &Rc<Task>, location: &Location, name: u64) -> Outcome<u64> {
    location.remove_xattr(&t.credentials(), &name_arg(t, name)?).map(|()| 0)
}
