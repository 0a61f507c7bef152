//! Stopping for a tracer, and going on.

use std::rc::Rc;

use abi::Errno;
use abi::ptrace::*;
use abi::signal::*;

use super::{Next, Resume, StopKind, Trace, TraceStop, injection};
use crate::kernel::Kernel;
use crate::signal::info::Detail;
use crate::signal::{SigInfo, SignalSet};
use crate::stop::Outcome;
use crate::task::{ProcessState, RunState, Task};

impl Kernel {
    /// Stops a task for its tracer.
    pub(super) fn trace_stop(&mut self, task: &Rc<Task>, kind: StopKind, code: u32, info: Option<SigInfo>) {
        if task.with_trace(|trace| trace.stop = Some(TraceStop { kind, code, info, reported: false })).is_none() {
            return;
        }
        self.leave_queues(task);
        task.run_state.set(RunState::Traced);
        self.tell_tracer(task, code);
    }

    /// Stops a task with a trap: what it says of itself is that it sent the signal.
    pub(super) fn trace_trap(&mut self, task: &Rc<Task>, kind: StopKind, code: u32) {
        let info = SigInfo::user(code & 0x7f, code as i32, task.tid(), task.credentials().uid);
        self.trace_stop(task, kind, code, Some(info));
    }

    fn tell_tracer(&mut self, task: &Rc<Task>, code: u32) {
        let tracer = task.tracer_process().and_then(|pid| self.tasks.process(pid));
        let Some(tracer) = tracer else { return };
        self.wake(&tracer.child_events);
        let action = tracer.actions().borrow().get(SIGCHLD);
        if action.handler != SIG_IGN && action.flags & SA_NOCLDSTOP == 0 {
            let detail = Detail::Child { pid: task.tid(), uid: task.credentials().uid, status: code & 0x7f };
            self.signal_process(&tracer, SigInfo { signal: SIGCHLD, code: CLD_TRAPPED, detail });
        }
    }

    /// Its process is stopped by a signal: a traced task stops for its tracer instead.
    pub(crate) fn trace_group_stop(&mut self, task: &Rc<Task>, signal: u32) {
        self.trace_interrupt_call(task);
        let seized = task.with_trace(|trace| trace.seized) == Some(true);
        match seized {
            true => self.trace_trap(task, StopKind::Group, PTRACE_EVENT_STOP << 8 | signal),
            false => self.trace_stop(task, StopKind::Group, signal, None),
        }
    }

    /// Its process is told to go on: a tracer by `PTRACE_SEIZE` hears of that.
    pub(crate) fn trace_group_continue(&mut self, task: &Rc<Task>) {
        if task.with_trace(|trace| trace.seized) == Some(true) {
            self.trace_trap_soon(task);
        }
    }

    /// A task stops for no signal as soon as it can: at once if its tracer listens, after the stop that it is in
    /// otherwise.
    fn trace_trap_soon(&mut self, task: &Rc<Task>) {
        task.with_trace(|trace| trace.trap = true);
        if task.with_trace(|trace| std::mem::take(&mut trace.listening)) == Some(true) {
            self.trace_take_trap(task);
        } else {
            self.wake_for_signal(task, false);
        }
    }

    /// Stops for no signal, if that is due: what `wait` says is whether its process is stopped.
    fn trace_take_trap(&mut self, task: &Rc<Task>) -> bool {
        let due = task.with_trace(|trace| std::mem::take(&mut trace.trap)) == Some(true);
        if due {
            let (kind, signal) = match task.process.state.get() {
                ProcessState::Stopped(signal) => (StopKind::Group, signal),
                _ => (StopKind::Event, SIGTRAP),
            };
            self.trace_trap(task, kind, PTRACE_EVENT_STOP << 8 | signal);
        }
        due
    }

    /// `PTRACE_LISTEN`: it stays as it is, unless something has happened meanwhile.
    pub fn trace_listen(&mut self, task: &Rc<Task>) -> Outcome<()> {
        let is_event_stop = |trace: &mut Trace| {
            trace.seized && trace.stop.as_ref().is_some_and(|stop| stop.code >> 8 == PTRACE_EVENT_STOP)
        };
        if task.with_trace(is_event_stop) != Some(true) {
            return Err(Errno::EIO.into());
        }
        if !self.trace_take_trap(task) {
            task.with_trace(|trace| trace.listening = true);
        }
        Ok(())
    }

    /// The next signal for a task to act on. A traced task stops before it does, unless its tracer has just let this
    /// one through.
    pub(crate) fn take_signal(&mut self, task: &Rc<Task>) -> Option<SigInfo> {
        let info = crate::signal::deliver::next_signal(task);
        if !task.is_traced() {
            return info;
        }
        let info = match task.with_trace(|trace| trace.injected.take()).flatten() {
            Some(injected) => {
                if let Some(info) = info {
                    task.pending.borrow_mut().push_front(info);
                }
                if !task.blocked.get().has(injected.signal) {
                    return Some(injected);
                }
                task.pending.borrow_mut().push(injected);
                crate::signal::deliver::next_signal(task)?
            }
            None => info?,
        };
        if info.signal == SIGKILL {
            return Some(info);
        }
        self.trace_stop(task, StopKind::Signal, info.signal, Some(info));
        None
    }

    /// What a traced task does before it looks for signals: ends, if that is what it stopped for, or stops because its
    /// tracer asked for that. Returns whether it no longer runs.
    pub(crate) fn trace_before_signals(&mut self, task: &Rc<Task>) -> bool {
        match task.with_trace(|trace| trace.next.take()).flatten() {
            Some(Next::End(status)) => {
                self.exit_process(&task.process, status);
                return true;
            }
            Some(Next::ReturnFromCall) => self.trace_call_exit(task),
            None => {}
        }
        if task.is_trace_stopped() {
            return true;
        }
        self.trace_take_trap(task)
    }

    /// Whether a traced task has to be looked after before it runs.
    pub(crate) fn has_trace_work(&self, task: &Rc<Task>) -> bool {
        let due = |trace: &mut Trace| trace.trap || trace.injected.is_some() || trace.next.is_some();
        task.with_trace(due).unwrap_or(false)
    }

    /// `PTRACE_CONT` and its relatives.
    pub fn trace_resume(&mut self, task: &Rc<Task>, resume: Resume, signal: u32) -> Outcome<()> {
        if signal > SIGNAL_MAX {
            return Err(Errno::EIO.into());
        }
        let Some(stop) = task.with_trace(|trace| trace.stop.take()).flatten() else { return Err(Errno::ESRCH.into()) };
        let tracer = task.tracer_process().unwrap_or_default();
        let info = injection(Some(&stop), signal, tracer);
        task.with_trace(|trace| (trace.resume, trace.listening) = (resume, false));
        match (stop.kind, info) {
            (StopKind::Signal, info) => drop(task.with_trace(|trace| trace.injected = info)),
            (_, Some(info)) => drop(task.pending.borrow_mut().push(info)),
            (StopKind::Group, None) if task.process.is_stopped() => {
                task.process.state.set(ProcessState::Running);
            }
            _ => {}
        }
        self.make_ready(task);
        Ok(())
    }

    /// `PTRACE_INTERRUPT`.
    pub fn trace_interrupt(&mut self, task: &Rc<Task>) {
        self.trace_trap_soon(task);
    }

    /// A handler has been entered: a task that steps stops at its first instruction.
    pub(crate) fn trace_handler_entered(&mut self, task: &Rc<Task>) {
        if task.with_trace(|trace| trace.resume.steps()) == Some(true) {
            self.trace_trap(task, StopKind::Event, SIGTRAP);
        }
    }

    /// A killed task does not stay stopped.
    pub(crate) fn trace_killed(&mut self, task: &Rc<Task>) {
        if task.is_trace_stopped() {
            task.with_trace(|trace| (trace.stop, trace.next) = (None, None));
            self.make_ready(task);
        }
    }

    /// Whether signals of a task that it ignores are kept: its tracer wants to know of them.
    pub(crate) fn keeps_ignored(&self, task: &Task, signal: u32) -> bool {
        task.is_traced() && signal != SIGKILL
    }

    /// Signals that a tracer sees as blocked, and sets.
    pub fn trace_set_mask(&mut self, task: &Rc<Task>, mask: SignalSet) {
        task.blocked.set(mask.without(SignalSet::UNSTOPPABLE));
    }
}
