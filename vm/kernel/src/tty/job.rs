//! Controlling terminals and job control (`credentials(7)`, `tcsetpgrp(3)`).

use std::rc::Rc;

use abi::Errno;
use abi::signal::{SIG_IGN, SIGCONT, SIGHUP, SIGTTIN, SIGTTOU};

use super::Tty;
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::Outcome;
use crate::task::{Pid, Process, Task};

impl Kernel {
    /// Makes a terminal the controlling one of the session that `process` leads.
    pub fn take_tty(&mut self, process: &Rc<Process>, tty: &Rc<Tty>) {
        tty.session.set(process.session.get());
        tty.foreground.set(process.group.get());
        for member in self.tasks.processes() {
            if member.session.get() == process.session.get() {
                *member.tty.borrow_mut() = Some(tty.clone());
            }
        }
    }

    /// What opening a terminal does for a session leader that has none.
    pub fn take_tty_on_open(&mut self, process: &Rc<Process>, tty: &Rc<Tty>) {
        let leads = process.session.get() == process.pid;
        if leads && process.tty.borrow().is_none() && tty.session.get() == 0 {
            self.take_tty(process, tty);
        }
    }

    /// A session leader gives up its terminal, or ends: the foreground is hung up, and the session has none.
    pub fn give_up_tty(&mut self, leader: &Rc<Process>) {
        let Some(tty) = leader.tty.take() else { return };
        let foreground = tty.foreground.get();
        tty.session.set(0);
        tty.foreground.set(0);
        for member in self.tasks.processes() {
            if member.session.get() == leader.session.get() {
                member.tty.take();
            }
        }
        if foreground > 0 {
            self.signal_group(foreground, &SigInfo::kernel(SIGHUP));
            self.signal_group(foreground, &SigInfo::kernel(SIGCONT));
        }
    }

    /// The other side of a terminal is gone.
    pub fn hang_up(&mut self, tty: &Rc<Tty>) {
        if tty.hung_up.replace(true) {
            return;
        }
        self.wake(&tty.queue);
        let session = tty.session.replace(0);
        if session == 0 {
            return;
        }
        let foreground = tty.foreground.replace(0);
        for member in self.tasks.processes() {
            if member.session.get() == session {
                member.tty.take();
            }
        }
        if let Some(leader) = self.tasks.process(session) {
            self.signal_process(&leader, SigInfo::kernel(SIGHUP));
            self.signal_process(&leader, SigInfo::kernel(SIGCONT));
        }
        if foreground > 0 && foreground != session {
            self.signal_group(foreground, &SigInfo::kernel(SIGHUP));
        }
    }

    /// A process in the background may not read: it is stopped (`SIGTTIN`), and the read made again afterwards.
    pub(super) fn check_foreground_read(&mut self, tty: &Rc<Tty>, task: &Rc<Task>) -> Outcome<()> {
        if !is_background(tty, task) {
            return Ok(());
        }
        if is_deaf(task, SIGTTIN) || self.is_orphaned_group(task.process.group.get()) {
            return Err(Errno::EIO.into());
        }
        self.signal_group(task.process.group.get(), &SigInfo::kernel(SIGTTIN));
        Err(tty.queue.stop())
    }

    /// A process in the background may not change settings (nor write, with `TOSTOP`): it is stopped (`SIGTTOU`).
    pub(super) fn check_foreground_change(&mut self, tty: &Rc<Tty>, task: &Rc<Task>) -> Outcome<()> {
        if !is_background(tty, task) || is_deaf(task, SIGTTOU) {
            return Ok(());
        }
        if self.is_orphaned_group(task.process.group.get()) {
            return Err(Errno::EIO.into());
        }
        self.signal_group(task.process.group.get(), &SigInfo::kernel(SIGTTOU));
        Err(tty.queue.stop())
    }

    /// `tcsetpgrp(3)`.
    pub(super) fn set_foreground(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, group: Pid) -> Outcome<()> {
        if !controls(tty, task) {
            return Err(Errno::ENOTTY.into());
        }
        self.check_foreground_change(tty, task)?;
        if group < 0 {
            return Err(Errno::EINVAL.into());
        }
        if self.tasks.group(group).is_empty() {
            return Err(Errno::ESRCH.into());
        }
        if !self.tasks.session_has_group(task.process.session.get(), group) {
            return Err(Errno::EPERM.into());
        }
        tty.foreground.set(group);
        Ok(())
    }
}

/// Whether a terminal is the controlling one of a task.
pub(super) fn controls(tty: &Rc<Tty>, task: &Rc<Task>) -> bool {
    task.process.tty.borrow().as_ref().is_some_and(|own| Rc::ptr_eq(own, tty))
}

fn is_background(tty: &Rc<Tty>, task: &Rc<Task>) -> bool {
    controls(tty, task) && tty.foreground.get() != task.process.group.get()
}

fn is_deaf(task: &Rc<Task>, signal: u32) -> bool {
    task.blocked.get().has(signal) || task.process.actions().borrow().get(signal).handler == SIG_IGN
}
