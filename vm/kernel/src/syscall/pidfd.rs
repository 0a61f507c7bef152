//! Processes as descriptors: `pidfd_open(2)`, `pidfd_send_signal(2)`, `pidfd_getfd(2)`.

use std::rc::Rc;

use abi::Errno;
use abi::file::{O_NONBLOCK, O_RDWR};

use super::signal::read_info;
use crate::files::OpenFile;
use crate::files::pidfd::PidFd;
use crate::fs::procfs;
use crate::kernel::Kernel;
use crate::signal::send::Target;
use crate::signal::{SigInfo, valid_signal};
use crate::stop::Outcome;
use crate::task::look::AsksWith;
use crate::task::{Process, Task};

/// Signal scopes: a pidfd stands for a whole process here, so the first two say the same.
const SIGNAL_THREAD: u32 = 1;
const SIGNAL_THREAD_GROUP: u32 = 2;
const SIGNAL_PROCESS_GROUP: u32 = 4;

impl Kernel {
    /// Opens a process as a file.
    pub(super) fn open_process(&mut self, task: &Rc<Task>, process: Rc<Process>, flags: u32) -> Rc<OpenFile> {
        let location = self.anonymous.named(&self.vfs, &task.credentials(), "[pidfd]");
        OpenFile::new(Rc::new(PidFd(process)), location, O_RDWR | flags & O_NONBLOCK)
    }
}

pub(super) fn pidfd_open(k: &mut Kernel, t: &Rc<Task>, pid: i32, flags: u32) -> Outcome<u64> {
    if flags & !O_NONBLOCK != 0 || pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let process = match k.tasks.process(pid) {
        Some(process) => process,
        // A thread that is not its process's first.
        None if k.task(pid).is_some() => return Err(Errno::ENOENT.into()),
        None => return Err(Errno::ESRCH.into()),
    };
    let file = k.open_process(t, process, flags);
    k.add_file(t, file, true).map(|fd| fd as u64)
}

/// The process that a descriptor stands for.
pub(super) fn process_of(k: &Kernel, t: &Rc<Task>, fd: i32) -> Outcome<Rc<Process>> {
    let file = t.usable_file(fd)?;
    let pidfd = file.object_as::<PidFd>().ok_or(Errno::EBADF)?;
    if pidfd.is_known(k) { Ok(pidfd.0.clone()) } else { Err(Errno::ESRCH.into()) }
}

pub(super) fn pidfd_send_signal(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    signal: u32,
    info: u64,
    flags: u32,
) -> Outcome<u64> {
    let known = SIGNAL_THREAD | SIGNAL_THREAD_GROUP | SIGNAL_PROCESS_GROUP;
    if flags & !known != 0 || flags.count_ones() > 1 {
        return Err(Errno::EINVAL.into());
    }
    let file = t.usable_file(fd)?;
    // A directory of `/proc` will do too.
    let directory_of = procfs::process_of(&file.location);
    let pid = file.object_as::<PidFd>().map(|pidfd| pidfd.0.pid).or(directory_of).ok_or(Errno::EBADF)?;
    let info = match info {
        0 => SigInfo::user(signal, abi::signal::SI_USER, t.process.pid, t.credentials().uid),
        addr => {
            let info = read_info(t, addr)?;
            if info.signal != signal {
                return Err(Errno::EINVAL.into());
            }
            // Only the kernel and `kill` itself may claim to be those.
            if pid != t.process.pid && (info.code >= 0 || info.code == abi::signal::SI_TKILL) {
                return Err(Errno::EPERM.into());
            }
            info
        }
    };
    let process = match directory_of {
        Some(pid) => k.tasks.process(pid).ok_or(Errno::ESRCH)?,
        None => process_of(k, t, fd)?,
    };
    if signal != 0 && !valid_signal(signal) {
        return Err(Errno::EINVAL.into());
    }
    let target = match flags {
        SIGNAL_PROCESS_GROUP => Target::Group(process.group.get()),
        _ => Target::Process(process.pid),
    };
    k.kill(t, target, &info).map(|()| 0)
}

pub(super) fn pidfd_getfd(k: &mut Kernel, t: &Rc<Task>, pidfd: i32, fd: i32, flags: u32) -> Outcome<u64> {
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    let process = process_of(k, t, pidfd)?;
    let other = k.tasks.main_thread(&process).ok_or(Errno::ESRCH)?;
    if !t.may_look_into(&other, AsksWith::Real) {
        return Err(Errno::EPERM.into());
    }
    let file = other.file(fd)?;
    k.add_file(t, file, true).map(|fd| fd as u64)
}
