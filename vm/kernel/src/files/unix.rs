//! Unix sockets (`unix(7)`): streams, datagrams and sequenced packets between processes of this machine.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::poll::*;
use abi::socket::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use abi::tty::FIONREAD;

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop};
use crate::task::{Pid, Task};
use crate::vfs::Location;
use crate::wait::WaitQueue;

/// Bytes that wait in one socket (`net.core.rmem_default`).
const INBOX_BYTES_MAX: usize = 212_992;
/// Messages that wait in one socket (`net.unix.max_dgram_qlen`, less strictly).
const INBOX_MESSAGES_MAX: usize = 512;
/// Connections that wait to be accepted (`net.core.somaxconn`).
pub const BACKLOG_MAX: usize = 4096;

/// Who made a socket, as `SO_PEERCRED` tells.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct PeerCredentials {
    pub pid: Pid,
    pub uid: u32,
    pub gid: u32,
}

/// A socket's address: a path, or bytes after a zero byte (abstract).
pub type Name = Vec<u8>;

/// What is sent in one go.
pub struct Message {
    /// The bytes, or what is left of them.
    pub bytes: VecDeque<u8>,
    /// Files that go with it (`SCM_RIGHTS`).
    pub files: Vec<Rc<OpenFile>>,
    /// Who sent it.
    pub sender: PeerCredentials,
    /// The sender's address.
    pub from: Option<Name>,
}

/// A unix socket.
pub struct UnixSocket {
    /// `SOCK_STREAM`, `SOCK_DGRAM` or `SOCK_SEQPACKET`.
    pub kind: u32,
    /// Its address.
    pub name: RefCell<Option<Name>>,
    /// Who made it.
    pub owner: Cell<PeerCredentials>,
    /// Who made the other side, when it was connected.
    pub peer_owner: Cell<PeerCredentials>,
    inbox: RefCell<VecDeque<Message>>,
    peer: RefCell<Weak<UnixSocket>>,
    /// It has been connected at some time.
    connected: Cell<bool>,
    /// Connections to be accepted; `None` unless it listens.
    backlog: RefCell<Option<VecDeque<Rc<UnixSocket>>>>,
    backlog_max: Cell<usize>,
    /// Nothing more will come in, go out.
    shut_in: Cell<bool>,
    shut_out: Cell<bool>,
    /// Woken at anything that happens to it.
    pub queue: WaitQueue,
}

impl UnixSocket {
    /// An unconnected socket.
    pub fn new(kind: u32, owner: PeerCredentials) -> Rc<Self> {
        Rc::new(Self {
            kind,
            name: RefCell::default(),
            owner: Cell::new(owner),
            peer_owner: Cell::default(),
            inbox: RefCell::default(),
            peer: RefCell::default(),
            connected: Cell::new(false),
            backlog: RefCell::default(),
            backlog_max: Cell::new(0),
            shut_in: Cell::new(false),
            shut_out: Cell::new(false),
            queue: WaitQueue::default(),
        })
    }

    /// Connects two sockets with each other.
    pub fn pair(one: &Rc<Self>, other: &Rc<Self>) {
        for (this, that) in [(one, other), (other, one)] {
            *this.peer.borrow_mut() = Rc::downgrade(that);
            this.peer_owner.set(that.owner.get());
            this.connected.set(true);
        }
    }

    /// Whether messages keep their boundaries.
    pub fn has_messages(&self) -> bool {
        self.kind != SOCK_STREAM
    }

    /// Whether it accepts connections.
    pub fn is_listening(&self) -> bool {
        self.backlog.borrow().is_some()
    }

    /// Whether it is, or was, connected.
    pub fn is_connected(&self) -> bool {
        self.connected.get()
    }

    /// The other side.
    pub fn peer(&self) -> Option<Rc<UnixSocket>> {
        self.peer.borrow().upgrade()
    }

    /// Starts accepting connections.
    pub fn listen(&self, backlog: usize) -> Outcome<()> {
        if self.kind == SOCK_DGRAM {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if self.name.borrow().is_none() || self.connected.get() {
            return Err(Errno::EINVAL.into());
        }
        self.backlog_max.set(backlog.min(BACKLOG_MAX) + 1);
        self.backlog.borrow_mut().get_or_insert_default();
        Ok(())
    }

    /// Takes a connection.
    pub fn accept(&self, kernel: &mut Kernel) -> Outcome<Rc<UnixSocket>> {
        let taken = match &mut *self.backlog.borrow_mut() {
            None => return Err(Errno::EINVAL.into()),
            Some(backlog) => backlog.pop_front(),
        };
        match taken {
            Some(socket) => {
                kernel.wake(&self.queue);
                Ok(socket)
            }
            None if self.shut_in.get() => Err(Errno::EINVAL.into()),
            None => Err(self.queue.stop()),
        }
    }

    /// Connects to a listening socket, or sets where datagrams go.
    pub fn connect(self: &Rc<Self>, kernel: &mut Kernel, to: &Rc<UnixSocket>) -> Outcome<()> {
        if self.kind != to.kind {
            return Err(Errno::EPROTOTYPE.into());
        }
        if self.kind == SOCK_DGRAM {
            *self.peer.borrow_mut() = Rc::downgrade(to);
            self.connected.set(true);
            return Ok(());
        }
        if self.connected.get() {
            return Err(Errno::EISCONN.into());
        }
        let server = UnixSocket::new(self.kind, to.owner.get());
        match &mut *to.backlog.borrow_mut() {
            None => return Err(Errno::ECONNREFUSED.into()),
            Some(_) if to.shut_in.get() => return Err(Errno::ECONNREFUSED.into()),
            Some(backlog) if backlog.len() >= to.backlog_max.get() => return Err(to.queue.stop()),
            Some(backlog) => backlog.push_back(server.clone()),
        }
        *server.name.borrow_mut() = to.name.borrow().clone();
        UnixSocket::pair(self, &server);
        kernel.wake(&to.queue);
        Ok(())
    }

    fn inbox_bytes(&self) -> usize {
        self.inbox.borrow().iter().map(|message| message.bytes.len()).sum()
    }

    fn has_room(&self, len: usize) -> bool {
        let used = self.inbox_bytes();
        let messages = self.inbox.borrow().len();
        messages < INBOX_MESSAGES_MAX
            && if self.has_messages() { used + len <= INBOX_BYTES_MAX || used == 0 } else { used < INBOX_BYTES_MAX }
    }

    /// Sends to `to`, or to the other side. Returns how many bytes were taken; the files go with the first.
    pub fn send(&self, kernel: &mut Kernel, to: Option<Rc<UnixSocket>>, message: Message) -> Result<usize, Refused> {
        let refuse = |stop: Stop, message: Message| Err(Refused { stop, files: message.files });
        if self.shut_out.get() {
            return refuse(Errno::EPIPE.into(), message);
        }
        let Some(target) = to.or_else(|| self.peer()) else {
            let errno = match (self.connected.get(), self.kind) {
                (false, _) => Errno::ENOTCONN,
                (true, SOCK_DGRAM) => Errno::ECONNREFUSED,
                (true, _) => Errno::EPIPE,
            };
            return refuse(errno.into(), message);
        };
        if target.shut_in.get() {
            return refuse(Errno::EPIPE.into(), message);
        }
        let len = message.bytes.len();
        if self.has_messages() && len > INBOX_BYTES_MAX {
            return refuse(Errno::EMSGSIZE.into(), message);
        }
        if !target.has_room(len) {
            return refuse(target.queue.stop(), message);
        }
        let room = INBOX_BYTES_MAX - target.inbox_bytes().min(INBOX_BYTES_MAX);
        let mut message = message;
        if !self.has_messages() {
            message.bytes.truncate(room);
        }
        let taken = message.bytes.len();
        if taken > 0 || self.has_messages() {
            target.deliver(message);
        }
        kernel.wake(&target.queue);
        Ok(taken)
    }

    /// Puts a message into the inbox; bytes of a stream join those before.
    fn deliver(&self, message: Message) {
        let mut inbox = self.inbox.borrow_mut();
        if let (false, true, Some(last)) = (self.has_messages(), message.files.is_empty(), inbox.back_mut())
            && last.files.is_empty()
            && last.sender == message.sender
        {
            last.bytes.extend(message.bytes);
            return;
        }
        inbox.push_back(message);
    }

    /// Takes bytes, and the files that come with them. With `peek` they stay.
    pub fn receive(&self, kernel: &mut Kernel, len: usize, peek: bool) -> Outcome<Received> {
        if self.is_listening() || (!self.connected.get() && self.kind != SOCK_DGRAM) {
            return Err(if self.kind == SOCK_STREAM { Errno::EINVAL } else { Errno::ENOTCONN }.into());
        }
        let mut inbox = self.inbox.borrow_mut();
        let Some(first) = inbox.front_mut() else {
            let ended = self.shut_in.get() || (self.kind != SOCK_DGRAM && self.peer().is_none());
            return if ended { Ok(Received::default()) } else { Err(self.queue.stop()) };
        };
        let full_len = first.bytes.len();
        let taken = len.min(full_len);
        let mut received = Received {
            bytes: first.bytes.iter().copied().take(taken).collect(),
            files: if peek { first.files.clone() } else { std::mem::take(&mut first.files) },
            sender: first.sender,
            from: first.from.clone(),
            full_len,
        };
        if peek {
            return Ok(received);
        }
        first.bytes.drain(..taken);
        if self.has_messages() || first.bytes.is_empty() {
            inbox.pop_front();
        }
        // A stream goes on with what follows, up to the next message that brings files.
        while !self.has_messages() && received.bytes.len() < len {
            let Some(next) = inbox.front_mut().filter(|next| next.files.is_empty()) else { break };
            let more = next.bytes.len().min(len - received.bytes.len());
            received.bytes.extend(next.bytes.drain(..more));
            if next.bytes.is_empty() {
                inbox.pop_front();
            }
        }
        drop(inbox);
        kernel.wake(&self.queue);
        if let Some(peer) = self.peer() {
            kernel.wake(&peer.queue);
        }
        Ok(received)
    }

    /// `shutdown(2)`.
    pub fn shutdown(&self, kernel: &mut Kernel, input: bool, output: bool) -> Outcome<()> {
        if !self.connected.get() && !self.is_listening() {
            return Err(Errno::ENOTCONN.into());
        }
        let peer = self.peer().filter(|_| self.kind != SOCK_DGRAM);
        if input {
            self.shut_in.set(true);
            if let Some(peer) = &peer {
                peer.shut_out.set(true);
            }
        }
        if output {
            self.shut_out.set(true);
            if let Some(peer) = &peer {
                peer.shut_in.set(true);
            }
        }
        kernel.wake(&self.queue);
        if let Some(peer) = peer {
            kernel.wake(&peer.queue);
        }
        Ok(())
    }

    /// The last descriptor is gone.
    fn close(&self, kernel: &mut Kernel) {
        let waiting: Vec<Rc<UnixSocket>> = self.backlog.take().into_iter().flatten().collect();
        for socket in waiting {
            socket.close(kernel);
        }
        for message in self.inbox.take() {
            message.files.into_iter().for_each(|file| kernel.close_file(file));
        }
        if let Some(peer) = self.peer().filter(|_| self.kind != SOCK_DGRAM) {
            peer.shut_in.set(true);
            peer.peer.take();
            kernel.wake(&peer.queue);
        }
        kernel.wake(&self.queue);
    }

    fn readiness(&self) -> u32 {
        if let Some(backlog) = &*self.backlog.borrow() {
            return if backlog.is_empty() { 0 } else { POLLIN | POLLRDNORM };
        }
        let is_stream = self.kind != SOCK_DGRAM;
        let gone = is_stream && self.connected.get() && self.peer().is_none();
        let mut events = 0;
        if !self.inbox.borrow().is_empty() || self.shut_in.get() || gone {
            events |= POLLIN | POLLRDNORM;
        }
        if self.shut_in.get() || gone {
            events |= POLLRDHUP;
        }
        if gone || (self.shut_in.get() && self.shut_out.get()) || (is_stream && !self.connected.get()) {
            events |= POLLHUP;
        }
        let has_room = self.peer().is_none_or(|peer| peer.has_room(1));
        if has_room {
            events |= POLLOUT | POLLWRNORM;
        }
        events
    }
}

/// What [`UnixSocket::receive`] took.
#[derive(Default)]
pub struct Received {
    /// The bytes; none at the end.
    pub bytes: Vec<u8>,
    /// Files, not yet anybody's.
    pub files: Vec<Rc<OpenFile>>,
    /// Who sent it.
    pub sender: PeerCredentials,
    /// The sender's address.
    pub from: Option<Name>,
    /// Bytes of the message it was part of.
    pub full_len: usize,
}

/// A message that was not taken: why, and the files it carried.
pub struct Refused {
    /// Why.
    pub stop: Stop,
    /// Its files.
    pub files: Vec<Rc<OpenFile>>,
}

/// A descriptor of a socket.
pub struct SocketFile(pub Rc<UnixSocket>);

impl FileObject for SocketFile {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let received = self.0.receive(kernel, to.len(), false)?;
        to[..received.bytes.len()].copy_from_slice(&received.bytes);
        received.files.into_iter().for_each(|file| kernel.close_file(file));
        Ok(received.bytes.len())
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        let sender = kernel.current().map(|task| peer_credentials(&task)).unwrap_or_default();
        let name = self.0.name.borrow().clone();
        let message = Message { bytes: from.iter().copied().collect(), files: Vec::new(), sender, from: name };
        self.0.send(kernel, None, message).map_err(|refused| refused.stop)
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let readiness = Readiness::on(&self.0.queue, self.0.readiness());
        match self.0.peer() {
            Some(peer) => readiness.and(&peer.queue),
            None => readiness,
        }
    }

    fn ioctl(&self, _kernel: &mut Kernel, task: &Rc<Task>, _file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        match request {
            FIONREAD => task.mm()?.write_u32(arg, self.0.inbox_bytes() as u32).map(|()| 0),
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        kernel.unix_names.forget(&self.0);
        self.0.close(kernel);
    }
}

/// Who a task is to its peers.
pub fn peer_credentials(task: &Rc<Task>) -> PeerCredentials {
    let who = task.credentials();
    PeerCredentials { pid: task.process.pid, uid: who.euid, gid: who.egid }
}

/// Whether a socket type is offered.
pub fn is_known_kind(kind: u32) -> bool {
    matches!(kind, SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET)
}

/// Sockets that have an address: by inode, or by abstract name.
#[derive(Default)]
pub struct UnixNames {
    by_inode: HashMap<(u64, u64), Weak<UnixSocket>>,
    by_name: BTreeMap<Name, Weak<UnixSocket>>,
}

impl UnixNames {
    /// Binds a socket to the node at `location`.
    pub fn bind_node(&mut self, location: &Location, socket: &Rc<UnixSocket>) {
        self.by_inode.insert((location.device(), location.ino().0), Rc::downgrade(socket));
    }

    /// Binds a socket to an abstract name.
    pub fn bind_abstract(&mut self, name: &Name, socket: &Rc<UnixSocket>) -> Outcome<()> {
        if self.by_name.get(name).is_some_and(|other| other.strong_count() > 0) {
            return Err(Errno::EADDRINUSE.into());
        }
        self.by_name.insert(name.clone(), Rc::downgrade(socket));
        Ok(())
    }

    /// The socket behind a node.
    pub fn at_node(&self, location: &Location) -> Outcome<Rc<UnixSocket>> {
        let found = self.by_inode.get(&(location.device(), location.ino().0)).and_then(Weak::upgrade);
        found.ok_or(Errno::ECONNREFUSED.into())
    }

    /// The socket with an abstract name.
    pub fn at_name(&self, name: &Name) -> Outcome<Rc<UnixSocket>> {
        self.by_name.get(name).and_then(Weak::upgrade).ok_or(Errno::ECONNREFUSED.into())
    }

    fn forget(&mut self, socket: &Rc<UnixSocket>) {
        if socket.name.borrow().is_some() {
            let other =
                |weak: &Weak<UnixSocket>| weak.strong_count() > 0 && !std::ptr::eq(weak.as_ptr(), Rc::as_ptr(socket));
            self.by_inode.retain(|_, weak| other(weak));
            self.by_name.retain(|_, weak| other(weak));
        }
    }
}
