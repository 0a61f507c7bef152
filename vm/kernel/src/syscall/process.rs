//! Making, ending and waiting for processes.

use std::cell::RefCell;
use std::rc::Rc;

use abi::file::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use abi::process::*;
use abi::signal::SIGCHLD;
use abi::{Errno, Reader};

use crate::exec::Arguments;
use crate::files::pidfd::PidFd;
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::signal::info::Detail;
use crate::stop::{Outcome, Stop, Wait};
use crate::syscall::limits::{encode_usage, usage_bytes};
use crate::task::clone::{CloneArgs, NAMESPACES};
use crate::task::reap::Which;
use crate::task::{ExitStatus, Restart, Task};

pub(super) fn fork(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    start(k, t, &CloneArgs { exit_signal: SIGCHLD, ..CloneArgs::default() })
}

pub(super) fn vfork(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    start(k, t, &CloneArgs { flags: CLONE_VM | CLONE_VFORK, exit_signal: SIGCHLD, ..CloneArgs::default() })
}

pub(super) fn clone(
    k: &mut Kernel,
    t: &Rc<Task>,
    flags: u64,
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
) -> Outcome<u64> {
    let exit_signal = (flags & CSIGNAL) as u32;
    let flags = (flags & 0xffff_ffff) & !CSIGNAL;
    // The older call has one place for both.
    start(k, t, &CloneArgs { flags, exit_signal, stack, parent_tid, child_tid, tls, pidfd: parent_tid })
}

pub(super) fn clone3(k: &mut Kernel, t: &Rc<Task>, args: u64, size: usize) -> Outcome<u64> {
    const ARGS_BYTES_MIN: usize = 64;
    const ARGS_BYTES: usize = 88;
    if size < ARGS_BYTES_MIN {
        return Err(Errno::EINVAL.into());
    }
    if size > 4096 {
        return Err(Errno::E2BIG.into());
    }
    let mut bytes = vec![0; size];
    t.mm()?.read_user(args, &mut bytes)?;
    if bytes.iter().skip(ARGS_BYTES).any(|byte| *byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    let mut reader = Reader::new(&bytes);
    let (flags, pidfd, child_tid, parent_tid) = (reader.u64(), reader.u64(), reader.u64(), reader.u64());
    let (exit_signal, stack, stack_len, tls) = (reader.u64(), reader.u64(), reader.u64(), reader.u64());
    let set_tids = reader.u64();
    if exit_signal > 64 || flags & CSIGNAL != 0 || set_tids != 0 || (stack == 0) != (stack_len == 0) {
        return Err(Errno::EINVAL.into());
    }
    let stack = stack.wrapping_add(stack_len);
    start(k, t, &CloneArgs { flags, exit_signal: exit_signal as u32, stack, parent_tid, child_tid, tls, pidfd })
}

/// Makes a task, and if that is wanted a descriptor of it.
fn clone_with_descriptor(k: &mut Kernel, t: &Rc<Task>, args: &CloneArgs) -> Outcome<Rc<Task>> {
    if args.flags & CLONE_PIDFD == 0 {
        return k.clone_task(t, args);
    }
    let mm = t.mm()?;
    mm.prepare_write(args.pidfd, 4)?;
    k.check_room_for_file(t)?;
    let child = k.clone_task(t, args)?;
    // None of this fails any more.
    let file = k.open_process(t, child.process.clone(), 0);
    let fd = k.add_file(t, file, true)?;
    mm.write_u32(args.pidfd, fd as u32)?;
    Ok(child)
}

/// Makes a task; after `vfork` waits until it has ended or started another program.
fn start(k: &mut Kernel, t: &Rc<Task>, args: &CloneArgs) -> Outcome<u64> {
    let child = match t.with_call(|call| call.memo) {
        Some(tid) => tid as i32,
        None => {
            let child = clone_with_descriptor(k, t, args)?;
            t.with_call(|call| call.memo = Some(child.tid() as u64));
            if k.trace_clone(t, &child, args) {
                return Err(Wait::Turn.into());
            }
            child.tid()
        }
    };
    match k.task(child).filter(|child| child.vfork_pending.get()) {
        Some(running) => Err(Wait::Vfork(running.vfork_done.id()).into()),
        None if k.trace_vfork_done(t, child) => Err(Wait::Turn.into()),
        None => Ok(child as u64),
    }
}

/// Stops sharing directories and descriptors with other tasks.
pub(super) fn unshare(_k: &mut Kernel, t: &Rc<Task>, flags: u64) -> Outcome<u64> {
    const HARMLESS: u64 = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
    const OWN: u64 = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
    if flags & !(HARMLESS | OWN | NAMESPACES) != 0 {
        return Err(Errno::EINVAL.into());
    }
    // What a task that is alone has anyway.
    if flags & OWN != 0 && t.process.threads.borrow().len() > 1 {
        return Err(Errno::EINVAL.into());
    }
    if flags & NAMESPACES != 0 {
        return Err(Errno::EPERM.into());
    }
    if flags & CLONE_FS != 0 {
        let own = t.fs_state();
        *t.fs.borrow_mut() = Rc::new(RefCell::new(own));
    }
    if flags & CLONE_FILES != 0 {
        let own = t.fd_table()?.borrow().clone();
        *t.files.borrow_mut() = Some(Rc::new(RefCell::new(own)));
    }
    Ok(0)
}

/// There is one namespace of each kind, and nothing that stands for it.
pub(super) fn setns(_k: &mut Kernel, t: &Rc<Task>, fd: i32, _kind: u32) -> Outcome<u64> {
    t.usable_file(fd)?;
    Err(Errno::EINVAL.into())
}

/// Made by nobody: calls that are made again are made again as they were.
pub(super) fn restart_syscall(_k: &mut Kernel, _t: &Rc<Task>) -> Outcome<u64> {
    Err(Errno::EINTR.into())
}

pub(super) fn execve(k: &mut Kernel, t: &Rc<Task>, path: u64, args: u64, env: u64) -> Outcome<u64> {
    execveat(k, t, AT_FDCWD, path, args, env, 0)
}

pub(super) fn execveat(
    k: &mut Kernel,
    t: &Rc<Task>,
    dirfd: i32,
    path: u64,
    args: u64,
    env: u64,
    flags: u32,
) -> Outcome<u64> {
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = t.path_arg_at(dirfd, path)?;
    let arguments = Arguments { args: t.strings_arg(args)?, env: t.strings_arg(env)? };
    // A script's interpreter must be able to open what it is given.
    let shown = match dirfd {
        AT_FDCWD => path.path.clone(),
        _ if path.path.first() == Some(&b'/') => path.path.clone(),
        fd if path.is_empty() => format!("/dev/fd/{fd}").into_bytes(),
        fd => [format!("/dev/fd/{fd}/").as_bytes(), &path.path].concat(),
    };
    let file = match path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        true => t.file(dirfd)?.location.clone(),
        false => super::path::locate(k, t, &path, flags & AT_SYMLINK_NOFOLLOW == 0)?,
    };
    k.execute(t, &shown, file, arguments)?;
    Ok(0)
}

pub(super) fn exit(k: &mut Kernel, t: &Rc<Task>, status: i32) -> Outcome<u64> {
    let status = ExitStatus::Code(status as u8);
    if k.trace_end(t, status) {
        return Err(Wait::Turn.into());
    }
    k.exit_task(t, status);
    Ok(0)
}

pub(super) fn exit_group(k: &mut Kernel, t: &Rc<Task>, status: i32) -> Outcome<u64> {
    let status = ExitStatus::Code(status as u8);
    if k.trace_end(t, status) {
        return Err(Wait::Turn.into());
    }
    k.exit_process(&t.process, status);
    Ok(0)
}

pub(super) fn wait4(k: &mut Kernel, t: &Rc<Task>, pid: i32, status: u64, options: u32, usage: u64) -> Outcome<u64> {
    let known = WNOHANG | WUNTRACED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD;
    if options & !known != 0 {
        return Err(Errno::EINVAL.into());
    }
    let which = match pid {
        i32::MIN => return Err(Errno::ESRCH.into()),
        -1 => Which::Any,
        0 => Which::Group(t.process.group.get()),
        pid if pid < 0 => Which::Group(-pid),
        pid => Which::Process(pid),
    };
    let mm = t.mm()?;
    // The child is gone once it has been reported, be it to a bad address; what has to come from the disk comes first.
    for (addr, len) in [(status, 4), (usage, usage_bytes(t.layout()))] {
        if let Err(wait @ Stop::Wait(_)) = mm.prepare_write(addr, len) {
            return Err(wait);
        }
    }
    let Some(report) = k.wait_for_child(t, which, options | WEXITED)? else { return Ok(0) };
    if status != 0 {
        mm.write_u32(status, report.status)?;
    }
    if usage != 0 {
        mm.write_user(usage, &encode_usage(t.layout(), report.cpu_time_ns, 0))?;
    }
    Ok(report.pid as u64)
}

pub(super) fn waitid(
    k: &mut Kernel,
    t: &Rc<Task>,
    kind: u32,
    id: i32,
    info: u64,
    options: u32,
    usage: u64,
) -> Outcome<u64> {
    let events = WEXITED | WSTOPPED | WCONTINUED;
    let known = events | WNOHANG | WNOWAIT | __WALL | __WCLONE | __WNOTHREAD;
    if options & !known != 0 || options & events == 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut never_waits = false;
    let which = match kind {
        P_ALL => Which::Any,
        P_PID if id > 0 => Which::Process(id),
        P_PIDFD if id >= 0 => {
            let file = t.usable_file(id)?;
            let pidfd = file.object_as::<PidFd>().ok_or(Errno::EBADF)?;
            never_waits = file.is_nonblocking();
            Which::Process(pidfd.0.pid)
        }
        P_PGID if id == 0 => Which::Group(t.process.group.get()),
        P_PGID if id > 0 => Which::Group(id),
        _ => return Err(Errno::EINVAL.into()),
    };
    let mm = t.mm()?;
    if info != 0 {
        mm.prepare_write(info, 128)?;
    }
    let report = match k.wait_for_child(t, which, options) {
        Err(Stop::Wait(_)) if never_waits => return Err(Errno::EAGAIN.into()),
        report => report?,
    };
    if info != 0 {
        let bytes = match &report {
            Some(r) => {
                let detail = Detail::Child { pid: r.pid, uid: r.uid, status: r.value };
                SigInfo { signal: SIGCHLD, code: r.code, detail }.encode(t.layout())
            }
            None => vec![0; 128],
        };
        mm.write_user(info, &bytes)?;
    }
    if let (Some(report), true) = (&report, usage != 0) {
        mm.write_user(usage, &encode_usage(t.layout(), report.cpu_time_ns, 0))?;
    }
    Ok(0)
}

pub(super) fn pause(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    t.with_call(|call| call.restart = Restart::Never);
    Err(Wait::Listed.into())
}
