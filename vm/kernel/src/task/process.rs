//! `Process`: what the threads of a thread group share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use abi::signal::{CLD_DUMPED, CLD_EXITED, CLD_KILLED};

use super::limits::Limits;
use super::{Pid, Tid};
use crate::signal::{Actions, SignalQueue};
use crate::stop::{Outcome, Stop};
use crate::timer::{IntervalTimers, PosixTimer};
use crate::trace::report::Ended;
use crate::tty::Tty;
use crate::wait::WaitQueue;

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// It called `exit` with this status, 0 to 255.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// Which.
        signal: u32,
        /// Whether a shell says "core dumped".
        core: bool,
    },
}

impl ExitStatus {
    /// What a child's end is called (`CLD_*`), and with what value.
    pub fn child_code(self) -> (i32, u32) {
        match self {
            ExitStatus::Code(code) => (CLD_EXITED, u32::from(code)),
            ExitStatus::Signal { signal, core: false } => (CLD_KILLED, signal),
            ExitStatus::Signal { signal, core: true } => (CLD_DUMPED, signal),
        }
    }

    /// The status word of `wait(2)`.
    pub fn wait_status(self) -> u32 {
        match self {
            ExitStatus::Code(code) => u32::from(code) << 8,
            ExitStatus::Signal { signal, core } => signal | if core { 0x80 } else { 0 },
        }
    }
}

/// Where a process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessState {
    /// Alive.
    Running,
    /// Stopped by this signal.
    Stopped(u32),
    /// Ended, not yet waited for.
    Zombie(ExitStatus),
}

/// A process.
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Its parent; 0 for those the host started.
    pub parent: Cell<Pid>,
    /// Process group.
    pub group: Cell<Pid>,
    /// Session.
    pub session: Cell<Pid>,
    /// Its threads that have not ended.
    pub threads: RefCell<Vec<Tid>>,
    /// Its children, zombies included.
    pub children: RefCell<Vec<Pid>>,
    /// Where it is in its life.
    pub state: Cell<ProcessState>,
    /// A stop that `wait` has not reported yet.
    pub stop_unreported: Cell<bool>,
    /// A continuation that `wait` has not reported yet.
    pub continue_unreported: Cell<bool>,
    /// All threads are to end with this status.
    pub exiting: Cell<Option<ExitStatus>>,
    /// Signal its parent gets when it ends.
    pub exit_signal: Cell<u32>,
    /// What signals do.
    pub actions: RefCell<Rc<RefCell<Actions>>>,
    /// Signals sent to the process.
    pub pending: RefCell<SignalQueue>,
    /// Woken when a child has something to report, or a signal comes.
    pub child_events: WaitQueue,
    /// Woken when a signal is queued, for `signalfd`.
    pub signal_events: WaitQueue,
    /// Woken when it has ended, and when it has been waited for.
    pub ended: WaitQueue,
    /// Tracees of its threads that have ended, which `wait` has not said yet.
    pub ended_tracees: RefCell<Vec<Ended>>,
    /// It has ended, and its tracer hears of that before its parent does.
    pub held_by_tracer: Cell<bool>,
    /// Resource limits.
    pub limits: RefCell<Limits>,
    /// Controlling terminal.
    pub tty: RefCell<Option<Rc<Tty>>>,
    /// A session leader whose terminal has been hung up: the group that was in the foreground, which hears of the leader's
    /// end; 0 is none.
    pub lost_foreground: Cell<Pid>,
    /// It has started another program since it was forked.
    pub has_executed: Cell<bool>,
    /// `PR_SET_CHILD_SUBREAPER`.
    pub is_subreaper: Cell<bool>,
    /// `PR_SET_DUMPABLE`.
    pub dumpable: Cell<bool>,
    /// Time on the processor of threads that have ended.
    pub ended_cpu_time_ns: Cell<u64>,
    /// Time on the processor of children waited for.
    pub children_cpu_time_ns: Cell<u64>,
    /// When it started, on the monotonic clock.
    pub start_ns: Cell<u64>,
    /// Most pages it ever had.
    pub peak_pages: Cell<u32>,
    /// `setitimer`.
    pub interval_timers: RefCell<IntervalTimers>,
    /// `timer_create`.
    pub posix_timers: RefCell<BTreeMap<i32, PosixTimer>>,
    /// Nice value.
    pub nice: Cell<i32>,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adjustment: Cell<i32>,
    /// What a privileged process last set it to: others can't go below.
    pub oom_score_adjustment_min: Cell<i32>,
    /// `PR_SET_THP_DISABLE`; without effect.
    pub no_huge_pages: Cell<bool>,
    /// Who has logged in, and in which session, whatever ids the process has now (`/proc/PID/loginuid`, `sessionid`); -1 if
    /// nobody has.
    pub login: Cell<(u32, u32)>,
    /// `personality(2)`.
    pub personality: Cell<u32>,
    /// What it has read from files of all kinds.
    pub reads: Transfers,
    /// What it has written to them.
    pub writes: Transfers,
}

/// Calls that read, or write, and what they came to (`/proc/PID/io`).
#[derive(Default, Debug)]
pub struct Transfers {
    /// Calls, failed ones among them.
    pub calls: Cell<u64>,
    /// Bytes.
    pub bytes: Cell<u64>,
}

impl Transfers {
    /// Counts a call, once it is over.
    pub fn count(&self, outcome: &Outcome<u64>) {
        if matches!(outcome, Err(Stop::Wait(_))) {
            return;
        }
        self.calls.set(self.calls.get() + 1);
        self.bytes.set(self.bytes.get() + outcome.as_ref().map_or(0, |bytes| *bytes));
    }
}

impl Process {
    /// A process without threads.
    pub fn new(pid: Pid, parent: Pid, start_ns: u64) -> Self {
        Self {
            pid,
            parent: Cell::new(parent),
            group: Cell::new(pid),
            session: Cell::new(pid),
            threads: RefCell::default(),
            children: RefCell::default(),
            state: Cell::new(ProcessState::Running),
            stop_unreported: Cell::new(false),
            continue_unreported: Cell::new(false),
            exiting: Cell::new(None),
            exit_signal: Cell::new(abi::signal::SIGCHLD),
            actions: RefCell::default(),
            pending: RefCell::default(),
            child_events: WaitQueue::default(),
            signal_events: WaitQueue::default(),
            ended: WaitQueue::default(),
            ended_tracees: RefCell::default(),
            held_by_tracer: Cell::new(false),
            limits: RefCell::default(),
            tty: RefCell::default(),
            lost_foreground: Cell::new(0),
            has_executed: Cell::new(false),
            is_subreaper: Cell::new(false),
            dumpable: Cell::new(true),
            ended_cpu_time_ns: Cell::new(0),
            children_cpu_time_ns: Cell::new(0),
            start_ns: Cell::new(start_ns),
            peak_pages: Cell::new(0),
            interval_timers: RefCell::default(),
            posix_timers: RefCell::default(),
            nice: Cell::new(0),
            oom_score_adjustment: Cell::new(0),
            oom_score_adjustment_min: Cell::new(0),
            no_huge_pages: Cell::new(false),
            login: Cell::new((u32::MAX, u32::MAX)),
            personality: Cell::new(0),
            reads: Transfers::default(),
            writes: Transfers::default(),
        }
    }

    /// What signals do.
    pub fn actions(&self) -> Rc<RefCell<Actions>> {
        self.actions.borrow().clone()
    }

    /// Whether it has ended.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state.get(), ProcessState::Zombie(_))
    }

    /// Whether job control has stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state.get(), ProcessState::Stopped(_))
    }
}
