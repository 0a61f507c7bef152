//! What a task says of itself with `prctl(2)`, and nothing here depends on: kept so that it reads what it has set.

use std::cell::Cell;

/// Nanoseconds that timers may be late, to begin with (`init_task`).
const TIMER_SLACK_NS: u64 = 50_000;

/// What is to happen when memory turns out to be broken (`PR_MCE_KILL_GET`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryFailure {
    /// The task is killed when it touches the memory.
    KillLate = 0,
    /// It is killed at once.
    KillEarly = 1,
    /// What the system does otherwise.
    AsSystem = 2,
}

/// What it says.
#[derive(Clone)]
pub struct Remarks {
    /// `PR_SET_TIMERSLACK`, in nanoseconds.
    pub timer_slack_ns: Cell<u64>,
    /// What that was at first.
    initial_timer_slack_ns: u64,
    /// `PR_MCE_KILL`.
    pub memory_failure: Cell<MemoryFailure>,
}

impl Default for Remarks {
    fn default() -> Self {
        Self {
            timer_slack_ns: Cell::new(TIMER_SLACK_NS),
            initial_timer_slack_ns: TIMER_SLACK_NS,
            memory_failure: Cell::new(MemoryFailure::AsSystem),
        }
    }
}

impl Remarks {
    /// Those of a new task of a task with these.
    pub fn inherited(&self) -> Self {
        Self { initial_timer_slack_ns: self.timer_slack_ns.get(), ..self.clone() }
    }

    /// Sets the timer slack; 0 is that at first.
    pub fn set_timer_slack(&self, slack_ns: u64) {
        self.timer_slack_ns.set(if slack_ns == 0 { self.initial_timer_slack_ns } else { slack_ns });
    }
}
