//! Signals (`signal(7)`).
//!
//! | module | subject |
//! |---|---|
//! | [`info`] | what came with a signal, and queues of pending ones |
//! | [`action`] | what a process does with them |
//! | [`alt_stack`] | the stack they may ask for |
//! | [`send`] | sending: who may, whom it reaches, stopping and continuing |
//! | [`deliver`] | acting on pending signals when a task returns to its program |
//! | [`frame`], [`frame32`] | the stack frame of a handler, on x86-64 and on i386 |
//! | `fpstate` | the floating-point state in it |

pub mod action;
pub mod alt_stack;
pub mod deliver;
mod fpstate;
pub mod frame;
pub mod frame32;
pub mod info;
pub mod send;

use abi::signal::*;

pub use action::{Action, Actions, DefaultAction};
pub use alt_stack::AltStack;
pub use frame::FrameKind;
pub use info::{SigInfo, SignalQueue};

/// A set of signals: bit `n - 1` is signal `n`, as in the guest's `sigset_t`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// Those that can't be blocked, caught or ignored.
    pub const UNSTOPPABLE: SignalSet = SignalSet::of(&[SIGKILL, SIGSTOP]);
    /// Those that stop a process by default.
    pub const STOPPING: SignalSet = SignalSet::of(&[SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]);
    /// Those that an instruction causes; they go first.
    pub const SYNCHRONOUS: SignalSet = SignalSet::of(&[SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS]);

    /// The set of these signals.
    pub const fn of(signals: &[u32]) -> SignalSet {
        let mut bits = 0;
        let mut index = 0;
        while index < signals.len() {
            bits |= 1 << (signals[index] - 1);
            index += 1;
        }
        SignalSet(bits)
    }

    /// Whether a signal (1 to 64) is in it.
    pub fn has(self, signal: u32) -> bool {
        self.0 & SignalSet::of(&[signal]).0 != 0
    }

    /// With the signals of `other`.
    #[must_use]
    pub fn with(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 | other.0)
    }

    /// Without the signals of `other`.
    #[must_use]
    pub fn without(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & !other.0)
    }

    /// The lowest signal in it.
    pub fn first(self) -> Option<u32> {
        (self.0 != 0).then(|| self.0.trailing_zeros() + 1)
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A signal number, if it is one.
pub fn valid_signal(signal: u32) -> bool {
    (1..=SIGNAL_MAX).contains(&signal)
}
