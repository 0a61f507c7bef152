//! Descriptors: opening, closing, duplicating, `fcntl`, `ioctl`, pipes.

use std::rc::Rc;

use abi::Errno;
use abi::file::*;
use abi::process::RLIMIT_NOFILE;
use abi::signal::SIGNAL_MAX;
use abi::socket::{FIOGETOWN, FIOSETOWN, SIOCGPGRP, SIOCSPGRP};
use abi::tty::{FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX};

use super::memfd;
use crate::files::lock::LockArg;
use crate::files::pipe::PipeEnd;
use crate::files::{OpenFile, Owner};
use crate::kernel::Kernel;
use crate::net::file::SocketFile;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::Task;
use crate::vfs::{At, Restrict};

/// Status flags that `F_SETFL` can change.
const SETTABLE: u32 = O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK;
/// All flags of `open(2)`; only `openat2` minds others.
const OPEN_FLAGS: u32 = O_ACCMODE
    | O_CREAT
    | O_EXCL
    | O_NOCTTY
    | O_TRUNC
    | O_APPEND
    | O_NONBLOCK
    | O_SYNC
    | O_ASYNC
    | O_DIRECT
    | O_LARGEFILE
    | O_NOATIME
    | O_CLOEXEC
    | O_PATH
    | O_NOFOLLOW
    | O_TMPFILE;
const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;

pub(super) fn open(k: &mut Kernel, t: &Rc<Task>, path: u64, flags: u32, mode: u32) -> Outcome<u64> {
    openat(k, t, AT_FDCWD, path, flags, mode)
}

pub(super) fn creat(k: &mut Kernel, t: &Rc<Task>, path: u64, mode: u32) -> Outcome<u64> {
    openat(k, t, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode)
}

pub(super) fn openat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, flags: u32, mode: u32) -> Outcome<u64> {
    let path = t.path_arg_at(dirfd, path)?;
    k.check_room_for_file(t)?;
    let file = k.open(t, path.at(), flags, mode)?;
    k.add_file(t, file, flags & O_CLOEXEC != 0).map(|fd| fd as u64)
}

pub(super) fn openat2(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, how: u64, size: usize) -> Outcome<u64> {
    const HOW_BYTES: usize = 24;
    if size < HOW_BYTES {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let bytes = t.struct_arg(how, size as u64)?;
    if bytes[HOW_BYTES..].iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    let mut reader = abi::Reader::new(&bytes);
    let (flags, mode, resolve) = (reader.u64(), reader.u64(), reader.u64());
    let flags = u32::try_from(flags).ok().filter(|flags| flags & !OPEN_FLAGS == 0).ok_or(Errno::EINVAL)?;
    let creates = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    let mode_fits = if creates { mode <= 0o7777 } else { mode == 0 };
    let path_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if !mode_fits || (flags & O_PATH != 0 && flags & !path_flags != 0) {
        return Err(Errno::EINVAL.into());
    }
    let restrict = restrict_arg(resolve)?;
    let mut path = t.path_arg_at(dirfd, path)?;
    if restrict.in_root && dirfd != AT_FDCWD {
        // Absolute paths start there too.
        path.start = Some(t.file(dirfd)?.location.clone());
    }
    k.check_room_for_file(t)?;
    let file = k.open(t, At { restrict, ..path.at() }, flags, mode as u32)?;
    k.add_file(t, file, flags & O_CLOEXEC != 0).map(|fd| fd as u64)
}

/// `RESOLVE_*`.
fn restrict_arg(resolve: u64) -> Outcome<Restrict> {
    const NO_XDEV: u64 = 1;
    const NO_MAGICLINKS: u64 = 2;
    const NO_SYMLINKS: u64 = 4;
    const BENEATH: u64 = 8;
    const IN_ROOT: u64 = 16;
    // Only what is in memory: whoever asks for that can wait all the same.
    const CACHED: u64 = 32;
    let known = NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH | IN_ROOT | CACHED;
    if resolve & !known != 0 || resolve & (BENEATH | IN_ROOT) == BENEATH | IN_ROOT {
        return Err(Errno::EINVAL.into());
    }
    let has = |flag: u64| resolve & flag != 0;
    Ok(Restrict {
        mounts: has(NO_XDEV),
        magic_links: has(NO_MAGICLINKS),
        symlinks: has(NO_SYMLINKS),
        outside: has(BENEATH),
        in_root: has(IN_ROOT),
    })
}

pub(super) fn close(k: &mut Kernel, t: &Rc<Task>, fd: i32) -> Outcome<u64> {
    k.close_fd(t, fd).map(|()| 0)
}

pub(super) fn close_range(k: &mut Kernel, t: &Rc<Task>, first: u32, last: u32, flags: u32) -> Outcome<u64> {
    if first > last || flags & !(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        let own = t.fd_table()?.borrow().clone();
        *t.files.borrow_mut() = Some(Rc::new(std::cell::RefCell::new(own)));
    }
    let table = t.fd_table()?;
    let inside = |fd: i32| (first..=last).contains(&(fd as u32));
    if flags & CLOSE_RANGE_CLOEXEC != 0 {
        let fds: Vec<i32> = table.borrow().iter().map(|(fd, _)| fd).filter(|fd| inside(*fd)).collect();
        fds.into_iter().try_for_each(|fd| table.borrow_mut().set_close_on_exec(fd, true))?;
        return Ok(0);
    }
    let closed = table.borrow_mut().remove_where(|fd, _| inside(fd));
    closed.into_iter().for_each(|file| k.drop_descriptor(file, t.process.pid));
    Ok(0)
}

pub(super) fn dup(_k: &mut Kernel, t: &Rc<Task>, fd: i32) -> Outcome<u64> {
    duplicate(t, fd, 0, false)
}

fn duplicate(t: &Rc<Task>, fd: i32, min: usize, close_on_exec: bool) -> Outcome<u64> {
    let limit = t.process.limits.borrow().soft(RLIMIT_NOFILE);
    let file = t.file(fd)?;
    if min as u64 >= limit {
        return Err(Errno::EINVAL.into());
    }
    let fd = t.fd_table()?.borrow_mut().add(file, close_on_exec, min, limit)?;
    Ok(fd as u64)
}

pub(super) fn dup2(k: &mut Kernel, t: &Rc<Task>, old: i32, new: i32) -> Outcome<u64> {
    if old == new {
        t.file(old)?;
        return Ok(new as u64);
    }
    dup3(k, t, old, new, 0)
}

pub(super) fn dup3(k: &mut Kernel, t: &Rc<Task>, old: i32, new: i32, flags: u32) -> Outcome<u64> {
    if flags & !O_CLOEXEC != 0 || old == new {
        return Err(Errno::EINVAL.into());
    }
    let file = t.file(old)?;
    let limit = t.process.limits.borrow().soft(RLIMIT_NOFILE);
    if new < 0 || new as u64 >= limit {
        return Err(Errno::EBADF.into());
    }
    let replaced = t.fd_table()?.borrow_mut().replace(new, file, flags & O_CLOEXEC != 0);
    if let Some(replaced) = replaced {
        k.drop_descriptor(replaced, t.process.pid);
    }
    Ok(new as u64)
}

pub(super) fn fcntl(k: &mut Kernel, t: &Rc<Task>, fd: i32, command: u32, arg: u64) -> Outcome<u64> {
    let file = t.file(fd)?;
    let allowed_on_path = matches!(command, F_DUPFD | F_DUPFD_CLOEXEC | F_GETFD | F_SETFD | F_GETFL);
    if file.is_path_only() && !allowed_on_path {
        return Err(Errno::EBADF.into());
    }
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let min = usize::try_from(arg as i32).map_err(|_| Errno::EINVAL)?;
            duplicate(t, fd, min, command == F_DUPFD_CLOEXEC)
        }
        F_GETFD => Ok(u64::from(t.fd_table()?.borrow().close_on_exec(fd)?)),
        F_SETFD => {
            t.fd_table()?.borrow_mut().set_close_on_exec(fd, arg as u32 & FD_CLOEXEC != 0)?;
            Ok(0)
        }
        F_GETFL => Ok(u64::from(file.flags.get())),
        F_SETFL => {
            let wanted = arg as u32;
            if (wanted ^ file.flags.get()) & O_ASYNC != 0 {
                // A file that has no such signals does not mind.
                file.set_async(t, fd, wanted & O_ASYNC != 0);
            }
            file.flags.set(file.flags.get() & !SETTABLE | wanted & SETTABLE);
            Ok(0)
        }
        F_GETOWN => Ok(file.ownership.get().owner.number() as u64),
        F_SETOWN => {
            file.set_owner(&t.credentials(), Owner::of_number(k, arg as i32)?);
            Ok(0)
        }
        F_SETSIG if arg > SIGNAL_MAX.into() => Err(Errno::EINVAL.into()),
        F_SETSIG => {
            file.set_signal(arg as u32);
            Ok(0)
        }
        F_GETSIG => Ok(file.ownership.get().signal.into()),
        F_GETOWN_EX => file.ownership.get().owner.write(t, arg).map(|()| 0),
        F_SETOWN_EX => {
            file.set_owner(&t.credentials(), Owner::read(k, t, arg)?);
            Ok(0)
        }
        F_GETLK64 | F_SETLK64 | F_SETLKW64 if !t.layout().is_32() => Err(Errno::EINVAL.into()),
        F_GETLK | F_GETLK64 | F_OFD_GETLK => k.get_record_lock(t, &file, &LockArg::new(t, command, arg)).map(|()| 0),
        F_SETLK | F_SETLKW | F_SETLK64 | F_SETLKW64 | F_OFD_SETLK | F_OFD_SETLKW => {
            let wait = matches!(command, F_SETLKW | F_SETLKW64 | F_OFD_SETLKW);
            k.set_record_lock(t, &file, &LockArg::new(t, command, arg), wait).map(|()| 0)
        }
        F_GETPIPE_SZ => Ok(pipe_of(&file)?.pipe.capacity() as u64),
        F_SETPIPE_SZ => Ok(pipe_of(&file)?.pipe.set_capacity(arg as u32 as usize)? as u64),
        F_ADD_SEALS => memfd::add_seals(k, &file, arg as u32).map(|()| 0),
        F_GET_SEALS => file.location.seals().map(u64::from),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn pipe_of(file: &Rc<OpenFile>) -> Outcome<&PipeEnd> {
    file.object_as::<PipeEnd>().ok_or(Errno::EBADF.into())
}

pub(super) fn flock(k: &mut Kernel, t: &Rc<Task>, fd: i32, operation: u32) -> Outcome<u64> {
    let file = t.usable_file(fd)?;
    match k.flock(&file, operation & !LOCK_NB) {
        Err(Stop::Wait(Wait::On(_))) if operation & LOCK_NB != 0 => Err(Errno::EAGAIN.into()),
        outcome => outcome.map(|()| 0),
    }
}

pub(super) fn ioctl(k: &mut Kernel, t: &Rc<Task>, fd: i32, request: u32, arg: u64) -> Outcome<u64> {
    let file = t.usable_file(fd)?;
    match request {
        FIOCLEX | FIONCLEX => {
            t.fd_table()?.borrow_mut().set_close_on_exec(fd, request == FIOCLEX)?;
            Ok(0)
        }
        FIONBIO => {
            let on = t.mm()?.read_u32(arg)? != 0;
            file.flags.set(if on { file.flags.get() | O_NONBLOCK } else { file.flags.get() & !O_NONBLOCK });
            Ok(0)
        }
        FIOASYNC => {
            let on = t.mm()?.read_u32(arg)? != 0;
            let is_set = on == file.has(O_ASYNC) || file.set_async(t, fd, on);
            if is_set { Ok(0) } else { Err(Errno::ENOTTY.into()) }
        }
        FIOSETOWN | SIOCSPGRP if file.object_as::<SocketFile>().is_some() => {
            let number = t.mm()?.read_u32(arg)? as i32;
            file.set_owner(&t.credentials(), Owner::of_number(k, number)?);
            Ok(0)
        }
        FIOGETOWN | SIOCGPGRP if file.object_as::<SocketFile>().is_some() => {
            t.mm()?.write_u32(arg, file.ownership.get().owner.number() as u32).map(|()| 0)
        }
        _ => file.object.clone().ioctl(k, t, &file, request, arg),
    }
}

pub(super) fn pipe(k: &mut Kernel, t: &Rc<Task>, fds: u64) -> Outcome<u64> {
    pipe2(k, t, fds, 0)
}

pub(super) fn pipe2(k: &mut Kernel, t: &Rc<Task>, fds: u64, flags: u32) -> Outcome<u64> {
    if flags & !(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0 {
        return Err(Errno::EINVAL.into());
    }
    t.mm()?.prepare_write(fds, 8)?;
    let (reader, writer) = k.make_pipe(t, flags & O_NONBLOCK);
    add_pair(k, t, [reader, writer], flags & O_CLOEXEC != 0, fds)
}

/// Gives two files numbers and stores them at `addr`, which is writable.
pub(super) fn add_pair(
    k: &mut Kernel,
    t: &Rc<Task>,
    files: [Rc<OpenFile>; 2],
    close_on_exec: bool,
    addr: u64,
) -> Outcome<u64> {
    let [one, other] = files;
    let first = match k.add_file(t, one, close_on_exec) {
        Ok(fd) => fd,
        Err(stop) => {
            k.close_file(other);
            return Err(stop);
        }
    };
    let second = match k.add_file(t, other, close_on_exec) {
        Ok(fd) => fd,
        Err(stop) => {
            k.close_fd(t, first)?;
            return Err(stop);
        }
    };
    let bytes = abi::Writer::new().i32(first).i32(second).finish();
    t.mm()?.write_user(addr, &bytes)?;
    Ok(0)
}
