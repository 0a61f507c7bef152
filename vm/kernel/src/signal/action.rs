//! What a process does with signals.

use abi::Layout;
use abi::signal::*;

use super::SignalSet;

/// What `sigaction(2)` set for one signal.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Action {
    /// `SIG_DFL`, `SIG_IGN`, or the handler's address.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Where the handler returns to (`SA_RESTORER`).
    pub restorer: u64,
    /// Signals blocked while it runs.
    pub mask: SignalSet,
    /// Whose structs the handler is to find: those of whoever installed it.
    pub layout: Layout,
}

/// What a signal does to a process that has not asked for anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultAction {
    /// It ends.
    Terminate,
    /// It ends, and would leave a core dump.
    Core,
    /// Nothing.
    Ignore,
    /// It stops.
    Stop,
    /// It goes on.
    Continue,
}

impl DefaultAction {
    /// That of a signal (`signal(7)`).
    pub fn of(signal: u32) -> Self {
        match signal {
            SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV | SIGXCPU | SIGXFSZ | SIGSYS => Self::Core,
            SIGCHLD | SIGURG | SIGWINCH => Self::Ignore,
            SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => Self::Stop,
            SIGCONT => Self::Continue,
            _ => Self::Terminate,
        }
    }
}

/// The actions of a process, by signal.
#[derive(Clone)]
pub struct Actions([Action; SIGNAL_MAX as usize]);

impl Default for Actions {
    fn default() -> Self {
        Self([Action::default(); SIGNAL_MAX as usize])
    }
}

impl Actions {
    /// That of a signal (1 to 64).
    pub fn get(&self, signal: u32) -> Action {
        self.0[signal as usize - 1]
    }

    /// Sets that of a signal (1 to 64).
    pub fn set(&mut self, signal: u32, action: Action) {
        self.0[signal as usize - 1] = action;
    }

    /// Whether a signal is dropped as soon as it is sent.
    pub fn ignores(&self, signal: u32) -> bool {
        match self.get(signal).handler {
            SIG_IGN => true,
            SIG_DFL => DefaultAction::of(signal) == DefaultAction::Ignore,
            _ => false,
        }
    }

    /// `execve` keeps what is ignored, and nothing else.
    pub fn reset_handlers(&mut self) {
        for action in &mut self.0 {
            let handler = if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
            *action = Action { handler, ..Action::default() };
        }
    }

    /// `CLONE_CLEAR_SIGHAND` drops handlers too, and keeps what is ignored.
    pub fn ignored(&self) -> SignalSet {
        (1..=SIGNAL_MAX)
            .filter(|signal| self.get(*signal).handler == SIG_IGN)
            .fold(SignalSet::default(), |set, signal| set.with(SignalSet::of(&[signal])))
    }

    /// Signals with a handler.
    pub fn caught(&self) -> SignalSet {
        (1..=SIGNAL_MAX)
            .filter(|signal| self.get(*signal).handler > SIG_IGN)
            .fold(SignalSet::default(), |set, signal| set.with(SignalSet::of(&[signal])))
    }
}
