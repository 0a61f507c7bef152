//! Sending signals.

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_KILL;
use abi::process::RLIMIT_SIGPENDING;
use abi::signal::*;

use super::info::Detail;
use super::{SigInfo, SignalSet, valid_signal};
use crate::credentials::Credentials;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::{Pid, Process, ProcessState, RunState, Task};

/// Whom `kill(2)` addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// One process.
    Process(Pid),
    /// Every process of a group.
    Group(Pid),
    /// Every process but the first and the sender.
    All,
}

/// Whether `who` may signal a task of `whom` (`kill(2)`).
fn may_signal(who: &Credentials, whom: &Credentials) -> bool {
    who.has(CAP_KILL) || [who.uid, who.euid].iter().any(|id| *id == whom.uid || *id == whom.suid)
}

impl Kernel {
    /// `kill(2)` for `sender`; signal 0 only asks whether it could be sent.
    pub fn kill(&mut self, sender: &Rc<Task>, target: Target, info: &SigInfo) -> Outcome<()> {
        let signal = info.signal;
        if signal != 0 && !valid_signal(signal) {
            return Err(Errno::EINVAL.into());
        }
        let processes = match target {
            Target::Process(pid) => self.tasks.process(pid).into_iter().collect(),
            Target::Group(group) => self.tasks.group(group),
            Target::All => {
                let mut all = self.tasks.processes();
                all.retain(|process| process.pid != 1 && process.pid != sender.process.pid);
                all
            }
        };
        let mut result = Err(Errno::ESRCH.into());
        for process in processes {
            match self.check_may_signal(sender, &process, signal) {
                Ok(()) => {
                    self.check_queue(&process, info)?;
                    if signal != 0 {
                        self.signal_process(&process, info.clone());
                    }
                    result = Ok(());
                }
                Err(stop) if result.is_err() => result = Err(stop),
                Err(_) => {}
            }
        }
        result
    }

    /// `tgkill(2)`.
    pub fn kill_thread(&mut self, sender: &Rc<Task>, target: &Rc<Task>, info: SigInfo) -> Outcome<()> {
        self.check_may_signal(sender, &target.process, info.signal)?;
        self.check_queue(&target.process, &info)?;
        if info.signal != 0 {
            self.signal_task(target, info);
        }
        Ok(())
    }

    /// Whether another signal of `sigqueue`'s may wait for a process's user (`RLIMIT_SIGPENDING`).
    fn check_queue(&self, process: &Rc<Process>, info: &SigInfo) -> Outcome<()> {
        if info.signal < SIGRTMIN || info.code == SI_USER {
            return Ok(());
        }
        let Some(uid) = self.tasks.main_thread(process).map(|task| task.credentials().uid) else { return Ok(()) };
        let own = self.tasks.tasks().into_iter().filter(|task| task.credentials().uid == uid);
        let waiting: usize = own
            .map(|task| {
                let of_process = if task.is_leader() { task.process.pending.borrow().len() } else { 0 };
                task.pending.borrow().len() + of_process
            })
            .sum();
        let limit = process.limits.borrow().soft(RLIMIT_SIGPENDING);
        if waiting as u64 >= limit { Err(Errno::EAGAIN.into()) } else { Ok(()) }
    }

    /// Whether another signal of that kind may wait.
    pub(crate) fn takes(&self, process: &Rc<Process>, info: &SigInfo) -> bool {
        self.check_queue(process, info).is_ok()
    }

    fn check_may_signal(&self, sender: &Rc<Task>, process: &Rc<Process>, signal: u32) -> Outcome<()> {
        let same_session = process.session.get() == sender.process.session.get();
        if Rc::ptr_eq(process, &sender.process) || (signal == SIGCONT && same_session) {
            return Ok(());
        }
        // A zombie has no credentials left; signalling it succeeds and does nothing.
        let Some(target) = self.tasks.main_thread(process) else { return Ok(()) };
        if may_signal(&sender.credentials(), &target.credentials()) { Ok(()) } else { Err(Errno::EPERM.into()) }
    }

    /// Sends a signal to a process: whichever of its threads does not block it will act on it.
    pub fn signal_process(&mut self, process: &Rc<Process>, info: SigInfo) {
        if process.is_zombie() || !self.prepare_signal(process, info.signal) {
            return;
        }
        let Some(main) = self.tasks.main_thread(process) else { return };
        let signal = info.signal;
        let ignored = process.actions().borrow().ignores(signal) && !self.keeps_ignored(&main, signal);
        if ignored && !main.blocked.get().has(signal) {
            return;
        }
        process.pending.borrow_mut().push(info);
        self.wake(&process.signal_events);
        self.wake(&process.child_events);
        let threads = self.tasks.threads(process);
        if signal == SIGKILL {
            for thread in &threads {
                self.wake_for_signal(thread, true);
                self.trace_killed(thread);
            }
        } else if let Some(thread) = threads.iter().find(|thread| !thread.blocked.get().has(signal)) {
            self.wake_for_signal(thread, false);
        }
    }

    /// Sends a signal to every process of a group.
    pub fn signal_group(&mut self, group: Pid, info: &SigInfo) {
        for process in self.tasks.group(group) {
            self.signal_process(&process, info.clone());
        }
    }

    /// Sends a signal to one thread.
    pub fn signal_task(&mut self, task: &Rc<Task>, info: SigInfo) {
        let process = task.process.clone();
        if task.is_dead() || !self.prepare_signal(&process, info.signal) {
            return;
        }
        let signal = info.signal;
        let ignored = process.actions().borrow().ignores(signal) && !self.keeps_ignored(task, signal);
        if ignored && !task.blocked.get().has(signal) {
            return;
        }
        task.pending.borrow_mut().push(info);
        self.wake(&process.signal_events);
        if !task.blocked.get().has(signal) {
            self.wake_for_signal(task, signal == SIGKILL);
        }
    }

    /// Sends a signal that an instruction of `task` caused: it can't be ignored or blocked.
    pub fn force_signal(&mut self, task: &Rc<Task>, info: SigInfo) {
        let signal = info.signal;
        let actions = task.process.actions();
        let blocked = task.blocked.get().has(signal);
        if blocked || actions.borrow().get(signal).handler == SIG_IGN {
            actions.borrow_mut().set(signal, super::Action::default());
            task.blocked.set(task.blocked.get().without(SignalSet::of(&[signal])));
        }
        task.pending.borrow_mut().push(info);
    }

    /// What sending does at once, before the target runs: stop and continue signals cancel each other, and
    /// `SIGCONT` and `SIGKILL` wake a stopped process. Returns false when there is nothing left to queue.
    fn prepare_signal(&mut self, process: &Rc<Process>, signal: u32) -> bool {
        let opposite = match signal {
            SIGCONT => SignalSet::STOPPING,
            _ if SignalSet::STOPPING.has(signal) => SignalSet::of(&[SIGCONT]),
            SIGKILL => SignalSet::default(),
            _ => return true,
        };
        process.pending.borrow_mut().discard(opposite);
        for thread in self.tasks.threads(process) {
            thread.pending.borrow_mut().discard(opposite);
        }
        if matches!(signal, SIGCONT | SIGKILL) && process.is_stopped() {
            self.continue_process(process, signal == SIGCONT);
        }
        if signal == SIGCONT && self.tracees > 0 {
            for thread in self.tasks.threads(process) {
                self.trace_group_continue(&thread);
            }
        }
        true
    }

    /// Stops all threads of a process.
    pub fn stop_process(&mut self, process: &Rc<Process>, signal: u32) {
        process.state.set(ProcessState::Stopped(signal));
        process.stop_unreported.set(true);
        process.continue_unreported.set(false);
        for thread in self.tasks.threads(process) {
            match thread.is_traced() {
                true if thread.is_trace_stopped() => {}
                true => self.trace_group_stop(&thread, signal),
                false => {
                    self.leave_queues(&thread);
                    thread.run_state.set(RunState::Stopped);
                }
            }
        }
        // A parent that traces it knows.
        let tracer = self.tasks.main_thread(process).and_then(|main| main.tracer_process());
        if tracer != Some(process.parent.get()) {
            self.notify_parent(process, CLD_STOPPED, signal);
        }
    }

    /// Lets a stopped process go on; calls that its threads were in are made again.
    fn continue_process(&mut self, process: &Rc<Process>, report: bool) {
        process.state.set(ProcessState::Running);
        process.stop_unreported.set(false);
        for thread in self.tasks.threads(process) {
            if thread.run_state.get() == RunState::Stopped {
                self.make_ready(&thread);
            }
        }
        if report {
            process.continue_unreported.set(true);
            self.notify_parent(process, CLD_CONTINUED, SIGCONT);
        }
    }

    /// Tells the parent that a child has changed state (`SIGCHLD`), and wakes it if it waits for that.
    pub fn notify_parent(&mut self, child: &Rc<Process>, code: i32, status: u32) {
        let Some(parent) = self.tasks.process(child.parent.get()) else { return };
        self.wake(&parent.child_events);
        let ended = matches!(code, CLD_EXITED | CLD_KILLED | CLD_DUMPED);
        let signal = if ended { child.exit_signal.get() } else { SIGCHLD };
        let quiet = !ended && parent.actions().borrow().get(SIGCHLD).flags & SA_NOCLDSTOP != 0;
        if quiet || !valid_signal(signal) {
            return;
        }
        let uid = self.tasks.main_thread(child).map_or(0, |task| task.credentials().uid);
        self.signal_process(&parent, SigInfo { signal, code, detail: Detail::Child { pid: child.pid, uid, status } });
    }
}
