//! Controlling terminals and job control (`credentials(7)`, `tcsetpgrp(3)`).

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;
use abi::signal::{SIG_IGN, SIGTTIN, SIGTTOU};

use super::Tty;
use super::ioctl::Side;
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::{Outcome, Wait};
use crate::task::{Pid, Process, Task};

impl Kernel {
    /// Makes a terminal the controlling one of the session that `process` leads; other members have it only if they
    /// inherit it.
    pub fn take_tty(&mut self, process: &Rc<Process>, tty: &Rc<Tty>) {
        tty.session.set(process.session.get());
        tty.foreground.set(process.group.get());
        process.lost_foreground.set(0);
        *process.tty.borrow_mut() = Some(tty.clone());
    }

    /// What opening a terminal for reading does for a session leader that has none.
    pub fn take_tty_on_open(&mut self, process: &Rc<Process>, tty: &Rc<Tty>) {
        let leads = process.session.get() == process.pid;
        if leads && process.tty.borrow().is_none() && tty.session.get() == 0 {
            self.take_tty(process, tty);
        }
    }

    /// A process in the background may not read (`SIGTTIN`), change settings, nor, with `TOSTOP`, write (`SIGTTOU`): it is
    /// stopped, and does it again afterwards.
    pub(super) fn check_foreground(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, signal: u32) -> Outcome<()> {
        let (group, foreground) = (task.process.group.get(), tty.foreground.get());
        if !controls(tty, task) || foreground == 0 || foreground == group {
            return Ok(());
        }
        if is_deaf(task, signal) {
            return if signal == SIGTTIN { Err(Errno::EIO.into()) } else { Ok(()) };
        }
        if self.is_orphaned_group(group) {
            return Err(Errno::EIO.into());
        }
        self.signal_group(group, &SigInfo::kernel(signal));
        Err(Wait::Signal.into())
    }

    /// `TIOCSCTTY`: a session leader takes a terminal, with `steal` and privilege even another session's.
    pub(super) fn set_controlling(&mut self, side: &Side<'_>, task: &Rc<Task>, steal: bool) -> Outcome<()> {
        let (process, tty) = (&task.process, side.tty);
        let session = process.session.get();
        let is_privileged = task.credentials().has(CAP_SYS_ADMIN);
        if session == process.pid && tty.session.get() == session {
            return Ok(());
        }
        if session != process.pid || process.tty.borrow().is_some() {
            return Err(Errno::EPERM.into());
        }
        if tty.session.get() != 0 {
            if !steal || !is_privileged {
                return Err(Errno::EPERM.into());
            }
            self.take_from_session(tty.session.get());
        }
        if !side.file.is_readable() && !is_privileged {
            return Err(Errno::EPERM.into());
        }
        self.take_tty(process, tty);
        Ok(())
    }

    /// No member of a session has a controlling terminal any more.
    pub(super) fn take_from_session(&mut self, session: Pid) {
        for member in self.tasks.processes().iter().filter(|member| member.session.get() == session) {
            member.tty.take();
        }
    }

    /// `tcsetpgrp(3)`.
    pub(super) fn set_foreground(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, arg: u64) -> Outcome<()> {
        self.check_foreground(tty, task, SIGTTOU).map_err(|stop| match stop {
            stop if stop.is(Errno::EIO) => Errno::ENOTTY.into(),
            stop => stop,
        })?;
        let session = task.process.session.get();
        if !controls(tty, task) || tty.session.get() != session {
            return Err(Errno::ENOTTY.into());
        }
        let group = task.mm()?.read_u32(arg)? as Pid;
        if group < 0 {
            return Err(Errno::EINVAL.into());
        }
        // A process's number will do as well if no group has it.
        let session_of_group = match self.tasks.group(group).first() {
            Some(member) => Some(member.session.get()),
            None => self.tasks.process(group).map(|process| process.session.get()),
        };
        match session_of_group {
            None => Err(Errno::ESRCH.into()),
            Some(of_group) if of_group != session => Err(Errno::EPERM.into()),
            Some(_) => {
                tty.foreground.set(group);
                Ok(())
            }
        }
    }
}

/// Whether a terminal is the controlling one of a task.
pub(super) fn controls(tty: &Rc<Tty>, task: &Rc<Task>) -> bool {
    task.process.tty.borrow().as_ref().is_some_and(|own| Rc::ptr_eq(own, tty))
}

fn is_deaf(task: &Rc<Task>, signal: u32) -> bool {
    task.blocked.get().has(signal) || task.process.actions().borrow().get(signal).handler == SIG_IGN
}
