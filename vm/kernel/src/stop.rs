//! `Stop`: why a kernel operation has no result (yet).

use abi::Errno;
use disk::BlockError;

use crate::wait::QueueId;

/// Result of anything a system call does.
pub type Outcome<T> = Result<T, Stop>;

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The operation failed; the guest is told.
    Errno(Errno),
    /// It can't be completed yet. The caller undoes what it did, the task sleeps, and the whole system call is made
    /// again when what it waits for may have happened.
    Wait(Wait),
}

/// What a sleeping task waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// A chunk of the disk. Not interruptible by signals, like Linux's disk sleep.
    Disk,
    /// An event on one queue.
    On(QueueId),
    /// An event on any of the queues that the call has put into [`crate::task::Call::queues`], its deadline, or a
    /// signal.
    Listed,
    /// Nothing but its next turn (`sched_yield`).
    Turn,
    /// A signal that has just been sent to it.
    Signal,
    /// The end of `vfork`: only a deadly signal comes before it.
    Vfork(QueueId),
}

impl Stop {
    /// Whether it is this errno.
    pub fn is(self, errno: Errno) -> bool {
        self == Stop::Errno(errno)
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Errno(errno)
    }
}

impl From<Wait> for Stop {
    fn from(wait: Wait) -> Self {
        Stop::Wait(wait)
    }
}

impl From<BlockError> for Stop {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Pending => Stop::Wait(Wait::Disk),
            BlockError::Failed(_) => Stop::Errno(Errno::EIO),
            BlockError::Full => Stop::Errno(Errno::ENOSPC),
        }
    }
}
