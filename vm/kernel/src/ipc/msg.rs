//! Message queues (`msgop(2)`).

use std::collections::VecDeque;

use abi::Errno;
use abi::ipc::IpcPerm;

use super::{Object, Use};
use crate::wait::WaitQueue;

/// Most queues (`kernel.msgmni`).
pub const QUEUES_MAX: usize = 32_000;
/// Longest message (`kernel.msgmax`).
pub const MESSAGE_BYTES_MAX: usize = 8192;
/// Bytes a queue holds unless its owner says otherwise (`kernel.msgmnb`).
pub const QUEUE_BYTES_MAX: u64 = 16_384;
/// Bytes that all queues together hold: they are in our own memory.
pub const BYTES_MAX: u64 = 64 << 20;

/// A message.
pub struct Message {
    /// Its type, positive.
    pub kind: i64,
    /// What it says.
    pub text: Vec<u8>,
}

/// Which message is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The first.
    Any,
    /// The first of that type.
    Kind(i64),
    /// The first of any other type (`MSG_EXCEPT`).
    Other(i64),
    /// The first of the lowest type up to that.
    UpTo(i64),
    /// The one at that place (`MSG_COPY`).
    Place(usize),
}

/// A queue of messages.
pub struct MessageQueue {
    /// Whose it is.
    pub perm: IpcPerm,
    /// The messages.
    pub messages: VecDeque<Message>,
    /// Bytes in it.
    pub bytes: u64,
    /// Bytes it takes.
    pub bytes_max: u64,
    /// When it was last changed other than by sending and receiving.
    pub changed_at: u64,
    /// Who sent last.
    pub sent: Use,
    /// Who received last.
    pub received: Use,
    /// Woken when a message comes or goes, or the queue is removed.
    pub changes: WaitQueue,
}

impl Object for MessageQueue {
    fn perm(&self) -> &IpcPerm {
        &self.perm
    }

    fn perm_mut(&mut self) -> &mut IpcPerm {
        &mut self.perm
    }

    const COUNT_MAX: usize = QUEUES_MAX;
}

impl MessageQueue {
    /// An empty queue.
    pub fn new(perm: IpcPerm, now: u64) -> Self {
        Self {
            perm,
            messages: VecDeque::new(),
            bytes: 0,
            bytes_max: QUEUE_BYTES_MAX,
            changed_at: now,
            sent: Use::default(),
            received: Use::default(),
            changes: WaitQueue::default(),
        }
    }

    /// Whether a message of `len` bytes fits.
    pub fn has_room(&self, len: usize) -> bool {
        self.bytes + len as u64 <= self.bytes_max && (self.messages.len() as u64) < self.bytes_max
    }

    /// Adds a message.
    pub fn push(&mut self, message: Message, by: Use) {
        self.bytes += message.text.len() as u64;
        self.messages.push_back(message);
        self.sent = by;
    }

    /// Where the wanted message is.
    pub fn find(&self, wanted: Wanted) -> Option<usize> {
        let mut kinds = self.messages.iter().map(|message| message.kind);
        match wanted {
            Wanted::Any => (!self.messages.is_empty()).then_some(0),
            Wanted::Kind(kind) => kinds.position(|other| other == kind),
            Wanted::Other(kind) => kinds.position(|other| other != kind),
            Wanted::UpTo(most) => {
                let lowest = kinds.filter(|kind| *kind <= most).min()?;
                self.find(Wanted::Kind(lowest))
            }
            Wanted::Place(place) => (place < self.messages.len()).then_some(place),
        }
    }

    /// Takes a message out.
    pub fn take(&mut self, place: usize, by: Use) -> Result<Message, Errno> {
        let message = self.messages.remove(place).ok_or(Errno::ENOMSG)?;
        self.bytes -= message.text.len() as u64;
        self.received = by;
        Ok(message)
    }
}
