//! Tracing (`ptrace(2)`): tasks that stop for another, their tracer, at what happens to them.
//!
//! A task stops by becoming [`RunState::Traced`] wherever it is: about to make a call, about to return from one, about
//! to act on a signal, in the middle of `clone`. What it has to do when it goes on is in its [`Trace`] and in its
//! [`crate::task::Call`], so no stack is kept.
//!
//! A call that a signal interrupts ends for a traced task: its registers then say so, as they do on Linux, and a
//! tracer may change them. What is to be made of it is decided when the task returns to its program.
//!
//! | module | subject |
//! |---|---|
//! | [`stops`] | stopping and going on |
//! | [`calls`] | system calls of traced tasks |
//! | [`events`] | fork, exec, exit |
//! | [`report`] | what `wait` tells a tracer |
//! | [`watch`] | debug registers |
//! | [`registers`] | registers as tracers see them |

pub mod calls;
pub mod events;
pub mod registers;
pub mod report;
pub mod stops;
pub mod watch;

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYS_PTRACE;
use abi::signal::SIGSTOP;

use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::Outcome;
use crate::task::look::AsksWith;
use crate::task::{ExitStatus, Pid, RunState, Task, Tid};

/// How a traced task runs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Resume {
    /// Until something happens.
    #[default]
    Continue,
    /// Until the next call begins or ends.
    ToSyscall,
    /// For one instruction.
    Step,
    /// Until the next call, which is not made (`PTRACE_SYSEMU`).
    ToEmulated,
    /// For one instruction; a call is not made (`PTRACE_SYSEMU_SINGLESTEP`).
    StepEmulated,
}

impl Resume {
    /// Whether it runs for one instruction.
    pub fn steps(self) -> bool {
        matches!(self, Resume::Step | Resume::StepEmulated)
    }

    /// Whether its tracer makes its calls.
    pub fn emulates(self) -> bool {
        matches!(self, Resume::ToEmulated | Resume::StepEmulated)
    }
}

/// What a task has stopped for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopKind {
    /// A signal that it is about to act on.
    Signal,
    /// A call that it is about to make.
    SyscallEntry,
    /// A call that it is about to return from.
    SyscallExit,
    /// `PTRACE_EVENT_*`, or a trap that is no signal.
    Event,
    /// Its process has been stopped.
    Group,
    /// A filter wants its tracer to be asked about a call (`SECCOMP_RET_TRACE`).
    Filter,
}

/// A stop.
#[derive(Clone, Debug)]
pub struct TraceStop {
    /// For what.
    pub kind: StopKind,
    /// What `wait` says: the signal, and above it the event.
    pub code: u32,
    /// What `PTRACE_GETSIGINFO` says.
    pub info: Option<SigInfo>,
    /// Whether `wait` has said so.
    pub reported: bool,
}

/// What a task does once it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It returns from its call, for which it stops again if that is wanted.
    ReturnFromCall,
    /// It ends.
    End(ExitStatus),
}

/// Who traces a task, and how.
#[derive(Clone)]
pub struct Trace {
    /// The tracing thread.
    pub tracer: Tid,
    /// Its process.
    pub tracer_process: Pid,
    /// By `PTRACE_SEIZE`: stops are told apart from signals.
    pub seized: bool,
    /// `PTRACE_O_*`.
    pub options: u32,
    /// Where it has stopped, if it has.
    pub stop: Option<TraceStop>,
    /// How it runs.
    pub resume: Resume,
    /// `PTRACE_LISTEN`: it stays stopped with its process.
    pub listening: bool,
    /// It is to stop for no signal (`PTRACE_INTERRUPT`, a new task, `SIGCONT`).
    pub trap: bool,
    /// A signal that the tracer has let through.
    pub injected: Option<SigInfo>,
    /// `PTRACE_GETEVENTMSG`.
    pub message: u64,
    /// What it does once it goes on.
    pub next: Option<Next>,
    /// Its end has been announced.
    pub end_announced: bool,
    /// Whether whoever began it was privileged: only then may the task gain rights by `execve`.
    pub privileged: bool,
    /// Its debug registers.
    pub debug: watch::DebugRegisters,
    /// The end of the `vfork` it is in is to be announced.
    pub vfork_announced: bool,
}

impl Trace {
    /// A trace by `tracer`.
    pub fn new(tracer: &Rc<Task>, seized: bool, options: u32) -> Self {
        Self {
            tracer: tracer.tid(),
            tracer_process: tracer.process.pid,
            seized,
            options,
            stop: None,
            resume: Resume::Continue,
            listening: false,
            trap: false,
            injected: None,
            message: 0,
            next: None,
            end_announced: false,
            vfork_announced: false,
            privileged: false,
            debug: watch::DebugRegisters::default(),
        }
    }

    /// Whether an option is set.
    pub fn has(&self, option: u32) -> bool {
        self.options & option != 0
    }
}

impl Task {
    /// Whether it is traced.
    pub fn is_traced(&self) -> bool {
        self.trace.borrow().is_some()
    }

    /// Looks at or changes its trace, if it has one.
    pub fn with_trace<T>(&self, change: impl FnOnce(&mut Trace) -> T) -> Option<T> {
        self.trace.borrow_mut().as_mut().map(change)
    }

    /// The process that traces it.
    pub fn tracer_process(&self) -> Option<Pid> {
        self.with_trace(|trace| trace.tracer_process)
    }

    /// Whether it is stopped for its tracer.
    pub fn is_trace_stopped(&self) -> bool {
        self.run_state.get() == RunState::Traced
    }
}

impl Kernel {
    /// `PTRACE_TRACEME`.
    pub fn trace_me(&mut self, task: &Rc<Task>) -> Outcome<()> {
        let parent = self.tasks.process(task.process.parent.get());
        let tracer = parent.and_then(|parent| self.tasks.main_thread(&parent)).ok_or(Errno::EPERM)?;
        let (own, theirs) = (task.credentials(), tracer.credentials());
        let may_do_more = theirs.capabilities.permitted.contains(own.capabilities.permitted);
        if task.is_traced() || !(may_do_more || theirs.has(CAP_SYS_PTRACE)) {
            return Err(Errno::EPERM.into());
        }
        let privileged = task.credentials().has(CAP_SYS_PTRACE);
        *task.trace.borrow_mut() = Some(Trace { privileged, ..Trace::new(&tracer, false, 0) });
        self.tracees += 1;
        Ok(())
    }

    /// `PTRACE_ATTACH`, `PTRACE_SEIZE`.
    pub fn trace_attach(&mut self, tracer: &Rc<Task>, task: &Rc<Task>, seized: bool, options: u32) -> Outcome<()> {
        if Rc::ptr_eq(&tracer.process, &task.process) || !tracer.may_look_into(task, AsksWith::Real) || task.is_traced()
        {
            return Err(Errno::EPERM.into());
        }
        let privileged = tracer.credentials().has(CAP_SYS_PTRACE);
        *task.trace.borrow_mut() = Some(Trace { privileged, ..Trace::new(tracer, seized, options) });
        self.tracees += 1;
        if task.run_state.get() == RunState::Stopped {
            // It is stopped already, and has only to say so.
            let signal = match task.process.state.get() {
                crate::task::ProcessState::Stopped(signal) => signal,
                _ => SIGSTOP,
            };
            self.trace_group_stop(task, signal);
        } else if !seized {
            let info = SigInfo::user(SIGSTOP, abi::signal::SI_USER, tracer.process.pid, tracer.credentials().uid);
            self.signal_task(task, info);
        }
        Ok(())
    }

    /// Ends a trace; the task goes on as if nobody had watched.
    pub fn trace_detach(&mut self, task: &Rc<Task>, signal: u32) {
        let Some(trace) = task.trace.take() else { return };
        self.tracees -= 1;
        if let Some(info) = trace.injected.or_else(|| injection(trace.stop.as_ref(), signal, trace.tracer_process)) {
            task.pending.borrow_mut().push(info);
        }
        if task.is_trace_stopped() {
            if task.process.is_stopped() {
                task.run_state.set(RunState::Stopped);
            } else {
                self.make_ready(task);
            }
        }
        if let Some(Next::End(status)) = trace.next {
            self.exit_process(&task.process, status);
        }
    }

    /// A tracer has ended: its tracees are free, or dead if it wanted that.
    pub(crate) fn end_traces_by(&mut self, tracer: &Rc<Task>) {
        if self.tracees == 0 {
            return;
        }
        for task in self.tasks.tasks() {
            if task.with_trace(|trace| trace.tracer) != Some(tracer.tid()) {
                continue;
            }
            let kills = task.with_trace(|trace| trace.has(abi::ptrace::PTRACE_O_EXITKILL)) == Some(true);
            if kills {
                self.signal_process(&task.process, SigInfo::kernel(abi::signal::SIGKILL));
            }
            self.trace_detach(&task, 0);
        }
    }
}

/// The signal that a tracer lets a stopped task act on.
fn injection(stop: Option<&TraceStop>, signal: u32, tracer: Pid) -> Option<SigInfo> {
    let stop = stop.filter(|_| signal != 0)?;
    match stop.kind {
        StopKind::Signal => Some(match &stop.info {
            Some(info) if info.signal == signal => info.clone(),
            _ => SigInfo::user(signal, abi::signal::SI_USER, tracer, 0),
        }),
        StopKind::SyscallEntry | StopKind::SyscallExit => Some(SigInfo::kernel(signal)),
        StopKind::Event | StopKind::Filter | StopKind::Group => None,
    }
}
