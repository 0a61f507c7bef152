//! POSIX message queues (`mq_overview(7)`): named queues of messages with priorities, as files of
//! [`crate::fs::mqueue`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use abi::Errno;
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::signal::SI_MESGQ;
use abi::{Layout, Writer};

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::net::file::SocketFile;
use crate::net::netlink::NetlinkSocket;
use crate::signal::SigInfo;
use crate::signal::info::Detail;
use crate::stop::Outcome;
use crate::task::{Pid, Task};
use crate::vfs::Ino;
use crate::wait::WaitQueue;

/// Queues of all users, but for root's (`fs.mqueue.queues_max`).
pub const QUEUES_MAX: usize = 256;
/// Most messages of a queue (`fs.mqueue.msg_max`), and what it has unless it is said.
pub const MESSAGES_MAX: i64 = 10;
/// Longest message (`fs.mqueue.msgsize_max`), and what it is unless it is said.
pub const MESSAGE_BYTES_MAX: i64 = 8192;
/// What root may have instead of both.
pub const ROOT_MESSAGES_MAX: i64 = 65_536;
/// See [`ROOT_MESSAGES_MAX`].
pub const ROOT_MESSAGE_BYTES_MAX: i64 = 16 << 20;
/// Priorities go up to this, exclusive (`MQ_PRIO_MAX`).
pub const PRIORITIES: u32 = 32_768;
/// Bytes of messages that all queues together hold: they are in our own memory.
pub const BYTES_MAX: usize = 64 << 20;
/// What each message, and each priority of one, counts beside its bytes (`struct msg_msg`, `posix_msg_tree_node`).
const OVERHEAD_BYTES: u64 = 48;

/// All queues: those that have a name, and those without one that are still open.
#[derive(Default)]
pub struct MessageQueues {
    by_inode: RefCell<BTreeMap<Ino, Rc<MessageQueue>>>,
    /// Bytes of messages in all of them.
    bytes: Rc<Cell<usize>>,
}

/// A queue.
pub struct MessageQueue {
    /// Messages it holds.
    pub messages_max: usize,
    /// Longest message it takes.
    pub message_bytes_max: usize,
    /// Who made it, and so whose limit it counts towards.
    pub maker: u32,
    messages: RefCell<BTreeMap<u32, VecDeque<Vec<u8>>>>,
    count: Cell<usize>,
    bytes: Cell<usize>,
    all_bytes: Rc<Cell<usize>>,
    /// Whom the next message is announced to.
    pub notified: RefCell<Option<Notified>>,
    /// Woken when a message comes or goes.
    changes: WaitQueue,
    /// Where those stand who wait for a message.
    receivers: WaitQueue,
}

/// Who wants to hear of a message in an empty queue (`mq_notify(3)`).
pub struct Notified {
    /// The process.
    pub pid: Pid,
    /// How.
    pub way: Way,
}

/// How a process hears of a message.
pub enum Way {
    /// Not at all; nobody else does either.
    None,
    /// By a signal.
    Signal {
        /// Which.
        signal: u32,
        /// `sigev_value`.
        value: u64,
        /// How its structs look.
        layout: Layout,
    },
    /// By bytes to a netlink socket, which a thread of the C library reads.
    Socket {
        /// The open socket.
        file: Rc<OpenFile>,
        /// The bytes; the last one says what has happened.
        cookie: Vec<u8>,
    },
}

/// Last byte of a cookie: a message has come, or there will be no announcement.
const WOKEN: u8 = 1;
const REMOVED: u8 = 2;

impl MessageQueues {
    /// Bytes that the queues made by a user may take, at most (`RLIMIT_MSGQUEUE`).
    pub fn reserved_by(&self, uid: u32) -> u64 {
        let queues = self.by_inode.borrow();
        let own = queues.values().filter(|queue| queue.maker == uid);
        own.map(|queue| reserved_bytes(queue.messages_max as u64, queue.message_bytes_max as u64)).sum()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_inode.borrow().len()
    }

    /// The queue that a file is. One that was made as files are has the usual limits.
    pub fn get(&self, ino: Ino, maker: u32) -> Rc<MessageQueue> {
        let found = self.by_inode.borrow().get(&ino).cloned();
        found.unwrap_or_else(|| self.make(ino, maker, MESSAGES_MAX as usize, MESSAGE_BYTES_MAX as usize))
    }

    /// The file is gone, and with it the queue.
    pub fn forget(&self, ino: Ino) {
        self.by_inode.borrow_mut().remove(&ino);
    }

    /// A new queue, for a new file.
    pub fn make(&self, ino: Ino, maker: u32, messages_max: usize, message_bytes_max: usize) -> Rc<MessageQueue> {
        let queue = Rc::new(MessageQueue {
            messages_max,
            message_bytes_max,
            maker,
            messages: RefCell::default(),
            count: Cell::new(0),
            bytes: Cell::new(0),
            all_bytes: self.bytes.clone(),
            notified: RefCell::default(),
            changes: WaitQueue::default(),
            receivers: WaitQueue::default(),
        });
        self.by_inode.borrow_mut().insert(ino, queue.clone());
        queue
    }
}

/// Bytes that a queue may take.
pub fn reserved_bytes(messages_max: u64, message_bytes_max: u64) -> u64 {
    let priorities = messages_max.min(PRIORITIES.into());
    messages_max * (message_bytes_max + OVERHEAD_BYTES) + priorities * OVERHEAD_BYTES
}

impl MessageQueue {
    /// Messages in it.
    pub fn len(&self) -> usize {
        self.count.get()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a message.
    ///
    /// # Errors
    /// A wait if there is no room.
    pub fn send(&self, k: &mut Kernel, t: &Rc<Task>, bytes: Vec<u8>, priority: u32) -> Outcome<()> {
        if self.len() >= self.messages_max {
            return Err(self.changes.stop());
        }
        if self.all_bytes.get() + bytes.len() > BYTES_MAX {
            return Err(Errno::ENOMEM.into());
        }
        let was_empty = self.is_empty();
        self.account(bytes.len() as isize, 1);
        self.messages.borrow_mut().entry(priority).or_default().push_back(bytes);
        // Somebody who waits for it takes it, and then it is no news.
        let is_awaited = k.waiters.has(self.receivers.id());
        k.wake(&self.receivers);
        k.wake(&self.changes);
        if was_empty && !is_awaited {
            self.announce(k, t);
        }
        Ok(())
    }

    /// The next message: the oldest of those with the highest priority. It stays until [`Self::remove`].
    ///
    /// # Errors
    /// A wait if there is none.
    pub fn peek(&self) -> Outcome<(Vec<u8>, u32)> {
        let messages = self.messages.borrow();
        let next = messages.last_key_value().and_then(|(priority, queue)| Some((queue.front()?.clone(), *priority)));
        next.ok_or(self.receivers.stop())
    }

    /// Takes the message that [`Self::peek`] has shown.
    pub fn remove(&self, k: &mut Kernel) {
        let mut messages = self.messages.borrow_mut();
        let Some(mut last) = messages.last_entry() else { return };
        let taken = last.get_mut().pop_front();
        if last.get().is_empty() {
            last.remove();
        }
        drop(messages);
        self.account(-(taken.map_or(0, |bytes| bytes.len()) as isize), -1);
        k.wake(&self.changes);
    }

    fn account(&self, bytes: isize, messages: isize) {
        self.count.set(self.count.get().saturating_add_signed(messages));
        self.bytes.set(self.bytes.get().saturating_add_signed(bytes));
        self.all_bytes.set(self.all_bytes.get().saturating_add_signed(bytes));
    }

    /// Tells who asked for it that a message has come; once.
    fn announce(&self, k: &mut Kernel, t: &Rc<Task>) {
        let Some(Notified { pid, way }) = self.notified.take() else { return };
        match way {
            Way::None => {}
            Way::Signal { signal, value, layout } => {
                let Some(process) = k.tasks.process(pid) else { return };
                let writer = layout.writer().i32(t.process.pid).u32(t.credentials().uid).word(value);
                let detail = Detail::Raw { bytes: writer.finish().into(), layout };
                k.signal_process(&process, SigInfo { signal, code: SI_MESGQ, detail });
            }
            Way::Socket { file, cookie } => tell_socket(k, file, cookie, WOKEN),
        }
    }

    /// Whoever was to be told will not be.
    pub fn forget_notified(&self, k: &mut Kernel) {
        let notified = self.notified.take();
        if let Some(Notified { way: Way::Socket { file, cookie }, .. }) = notified {
            tell_socket(k, file, cookie, REMOVED);
        }
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        self.all_bytes.set(self.all_bytes.get().saturating_sub(self.bytes.get()));
    }
}

fn tell_socket(k: &mut Kernel, file: Rc<OpenFile>, mut cookie: Vec<u8>, what: u8) {
    if let Some(last) = cookie.last_mut() {
        *last = what;
    }
    if let Some(socket) = netlink_of(&file) {
        socket.deliver(k, cookie);
    }
    k.close_file(file);
}

/// The netlink socket that a file is.
pub fn netlink_of(file: &OpenFile) -> Option<&NetlinkSocket> {
    let socket: &dyn std::any::Any = &*file.object_as::<SocketFile>()?.0;
    socket.downcast_ref()
}

/// An open queue.
pub struct QueueFile(pub Rc<MessageQueue>);

impl FileObject for QueueFile {
    /// What `cat` shows of a queue.
    fn read(&self, _kernel: &mut Kernel, _file: &OpenFile, position: u64, to: &mut [u8]) -> Outcome<usize> {
        let notified = self.0.notified.borrow();
        let (kind, signal, pid) = match &*notified {
            None => (0, 0, 0),
            Some(Notified { pid, way: Way::None }) => (1, 0, *pid),
            Some(Notified { pid, way: Way::Signal { signal, .. } }) => (0, *signal, *pid),
            Some(Notified { pid, way: Way::Socket { .. } }) => (2, 0, *pid),
        };
        let size = self.0.bytes.get();
        let text = format!("QSIZE:{size:<10} NOTIFY:{kind:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n");
        let rest = usize::try_from(position).ok().and_then(|start| text.as_bytes().get(start..)).unwrap_or_default();
        let len = rest.len().min(to.len());
        to[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let readable = if self.0.is_empty() { 0 } else { POLLIN | POLLRDNORM };
        let writable = if self.0.len() < self.0.messages_max { POLLOUT | POLLWRNORM } else { 0 };
        Readiness::on(&self.0.changes, readable | writable)
    }
}

/// `struct mq_attr`.
pub fn encode_attributes(layout: Layout, queue: &MessageQueue, flags: u32) -> Vec<u8> {
    let figures = [flags as usize, queue.messages_max, queue.message_bytes_max, queue.len()];
    let writer: Writer = figures.iter().fold(layout.writer(), |writer, figure| writer.word(*figure as u64));
    writer.pad_to(8 * layout.word_bytes as usize).finish()
}
