//! Sockets (`socket(7)`): what they have in common, and the families.
//!
//! A [`Socket`] is what a descriptor of one ([`file::SocketFile`]) stands for. Every socket has a [`Core`]: its type,
//! its [`options`], its pending error, and an [`inbox`] that senders put bytes or messages into. A connection is two
//! sockets that know each other; there are no packets in between, since nothing is lost on the way. What a network
//! would show is there nevertheless: refusals, resets, half-closed connections, ports that stay taken for a while.
//!
//! The machine has one network interface, the loopback ([`interface`]). Addresses that are not its own can't be
//! reached, as on a Linux with nothing plugged in.
//!
//! | module | subject |
//! |---|---|
//! | [`inbox`] | what waits in a socket |
//! | [`memory`] | what that takes of memory, and how much may be taken |
//! | [`options`] | options that every socket has |
//! | [`control`], [`stamps`] | what a receiver is told besides; when something came |
//! | [`filter`] | programs that say which packets are received |
//! | [`file`] | sockets as files: reading, writing, waiting, timeouts |
//! | [`unix`] | `AF_UNIX` |
//! | [`inet`] | `AF_INET`, `AF_INET6`: TCP and UDP |
//! | [`netlink`] | `AF_NETLINK`: asking for interfaces, addresses, routes |
//! | [`interface`] | the loopback interface and its `ioctl`s |
//! | [`inventory`] | which sockets there are |
//! | [`report`] | `/proc/net` |
//!
//! **Invariant:** no borrow of an inbox or a backlog is held while another socket is entered.

pub mod control;
pub mod file;
pub mod filter;
pub mod inbox;
pub mod inet;
pub mod interface;
pub mod inventory;
pub mod memory;
pub mod netlink;
pub mod options;
pub mod report;
pub mod stamps;
pub mod unix;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Errno;
use abi::socket::*;

use crate::files::{Io, Listeners, OpenFile, Ownership};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::wait::WaitQueue;
use filter::Packet;
use inbox::{Inbox, Look, PeerCredentials, RawAddress, Received};
use inet::address::Endpoint;
use inet::ping::PingSocket;
use inet::ports::{Ports, TimeWaits};
use inet::raw::RawSockets;
use inet::tcp::TcpSocket;
use inet::udp::UdpSocket;
use netlink::NetlinkPorts;
use options::Options;
use unix::names::UnixNames;
use unix::passing::Passing;

/// Connections that wait to be accepted, at most (`net.core.somaxconn`).
pub const BACKLOG_MAX: usize = 4096;

/// What all sockets have.
pub struct Core {
    /// `AF_*`.
    pub family: u32,
    /// `SOCK_*`.
    pub kind: u32,
    /// `IPPROTO_*` or `NETLINK_*`.
    pub protocol: u32,
    /// Names the socket for as long as the machine runs (`SO_COOKIE`).
    pub cookie: u64,
    /// Of its descriptor; 0 before it has one.
    pub inode: Cell<u64>,
    /// Who made it.
    pub uid: Cell<u32>,
    /// Whom `SIGURG` goes to, as its open file says.
    pub ownership: Cell<Ownership>,
    /// Who is signalled when something happens (`O_ASYNC`).
    pub listeners: Listeners,
    /// `SOL_SOCKET`, and numbers of other levels.
    pub options: Options,
    /// What went wrong since a call last told (`SO_ERROR`).
    pub error: Cell<Option<Errno>>,
    /// Datagrams that there was no room for.
    pub drops: Cell<u32>,
    /// Nothing more will come in.
    pub shut_in: Cell<bool>,
    /// Nothing more will go out.
    pub shut_out: Cell<bool>,
    /// What has come in.
    pub inbox: RefCell<Inbox>,
    /// Woken when something comes in, and at whatever changes the socket's state.
    pub arrivals: WaitQueue,
    /// Woken when there is room in the inbox, for those who send here.
    pub room: WaitQueue,
}

impl Core {
    /// A new socket's, with buffers of so many bytes for sending and receiving.
    pub fn new(family: u32, kind: u32, protocol: u32, send_bytes: u32, receive_bytes: u32) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            family,
            kind,
            protocol,
            cookie: NEXT.fetch_add(1, Ordering::Relaxed),
            inode: Cell::new(0),
            uid: Cell::new(0),
            ownership: Cell::default(),
            listeners: Listeners::default(),
            options: Options::new(send_bytes, receive_bytes),
            error: Cell::default(),
            drops: Cell::new(0),
            shut_in: Cell::new(false),
            shut_out: Cell::new(false),
            inbox: RefCell::default(),
            arrivals: WaitQueue::default(),
            room: WaitQueue::default(),
        }
    }

    /// The pending error, which is told once.
    pub fn take_error(&self) -> Outcome<()> {
        self.error.take().map_or(Ok(()), |errno| Err(errno.into()))
    }

    /// `SO_MEMINFO`: bytes received and their limit, to be sent and their limit, promised, ahead, of options, beyond what
    /// fits, lost. What is sent is received at once.
    pub fn memory(&self) -> Vec<u8> {
        let received = self.inbox.borrow().bytes() as u32;
        let (receive, send) = (self.options.receive_bytes.get(), self.options.send_bytes.get());
        let writer = abi::Writer::new().u32(received).u32(receive).u32(0).u32(send);
        writer.pad_to(8 * 4).u32(self.drops.get()).finish()
    }

    /// Whether looks may begin elsewhere than reads do (`SO_PEEK_OFF`).
    pub fn has_looks(&self) -> bool {
        self.family == AF_UNIX || (matches!(self.family, AF_INET | AF_INET6) && self.kind != SOCK_RAW)
    }

    /// How a call with these flags (`MSG_*`) takes what is in the inbox.
    pub fn look(&self, flags: u32) -> Look {
        let from = usize::try_from(self.options.peek_offset.get()).ok();
        if flags & MSG_PEEK != 0 { Look::Peek { from } } else { Look::Take }
    }

    /// A look has gone `len` bytes on, or so many bytes were taken: the next look begins accordingly (`SO_PEEK_OFF`).
    pub fn move_look(&self, look: Look, len: usize) {
        let (offset, len) = (self.options.peek_offset.get(), i32::try_from(len).unwrap_or(i32::MAX));
        self.options.peek_offset.set(match look {
            _ if offset < 0 => offset,
            Look::Peek { .. } => offset.saturating_add(len),
            Look::Take => offset.saturating_sub(len).max(0),
        });
    }

    /// How many bytes of a packet are received, of which at least `least` are if any, as its filter says. `None` if it is
    /// not received at all.
    pub fn filtered(&self, packet: &Packet<'_>, least: usize) -> Option<usize> {
        match &*self.options.filter.borrow() {
            Some(filter) => filter.judge(packet, least),
            None => Some(usize::MAX),
        }
    }

    /// Something has come in: wakes who waits for it, and signals who wants that.
    pub fn announce(&self, kernel: &mut Kernel, io: Io) {
        kernel.wake(&self.arrivals);
        kernel.tell_listeners(&self.listeners, io);
    }

    /// Wakes everyone who waits for anything here.
    pub fn wake(&self, kernel: &mut Kernel) {
        kernel.wake(&self.arrivals);
        kernel.wake(&self.room);
    }
}

/// What a call sends.
pub struct Outgoing {
    /// Where to, if the call says so.
    pub to: Option<RawAddress>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Files that go with them; those left here when the call is over are closed.
    pub files: Vec<Rc<OpenFile>>,
    /// Who sends.
    pub sender: PeerCredentials,
    /// Control messages of the family: level, type, contents.
    pub control: Vec<(u32, u32, Vec<u8>)>,
    /// `MSG_*`.
    pub flags: u32,
}

/// What a family's sockets do. An operation that would block returns `Wait`; the callers know about `O_NONBLOCK`,
/// `MSG_DONTWAIT` and timeouts.
#[allow(unused_variables)]
pub trait Socket: Any {
    /// What all sockets have.
    fn core(&self) -> &Core;

    /// Its addresses, if it is one of the Internet.
    fn endpoint(&self) -> Option<&Endpoint> {
        None
    }

    /// Whether messages keep their boundaries.
    fn has_messages(&self) -> bool {
        self.core().kind != SOCK_STREAM
    }

    /// `bind(2)`.
    fn bind(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, address: &[u8]) -> Outcome<()>;

    /// `connect(2)`.
    fn connect(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, address: &[u8], nonblocking: bool) -> Outcome<()>;

    /// `listen(2)`.
    fn listen(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, backlog: usize) -> Outcome<()> {
        Err(Errno::EOPNOTSUPP.into())
    }

    /// `accept(2)`.
    fn accept(self: Rc<Self>, k: &mut Kernel) -> Outcome<Rc<dyn Socket>> {
        Err(Errno::EOPNOTSUPP.into())
    }

    /// `getsockname(2)`.
    fn local_address(&self) -> RawAddress;

    /// `getpeername(2)`.
    fn peer_address(&self) -> Outcome<RawAddress>;

    /// The other side's address, as `accept(2)` tells it: also when that is gone already.
    fn accepted_address(&self) -> Outcome<RawAddress> {
        self.peer_address()
    }

    /// `shutdown(2)`: of what comes in, of what goes out.
    fn shutdown(&self, k: &mut Kernel, input: bool, output: bool) -> Outcome<()>;

    /// Sends; returns how many bytes were taken.
    fn send(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize>;

    /// Takes up to `len` bytes, or a message; `flags` are `MSG_*`.
    fn receive(&self, k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received>;

    /// `getsockopt(2)`, but for what [`options::get`] answers.
    fn get_option(&self, k: &mut Kernel, level: u32, option: u32) -> Outcome<Vec<u8>> {
        Err(if level == SOL_SOCKET { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP }.into())
    }

    /// `setsockopt(2)`, but for what [`options::set`] answers.
    fn set_option(&self, k: &mut Kernel, t: &Rc<Task>, level: u32, option: u32, value: &[u8]) -> Outcome<()> {
        Err(if level == SOL_SOCKET { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP }.into())
    }

    /// `FIONREAD`: bytes that a read would give.
    fn readable_bytes(&self) -> Outcome<usize> {
        let inbox = self.core().inbox.borrow();
        Ok(if self.has_messages() { inbox.first_bytes() } else { inbox.bytes() })
    }

    /// `SIOCOUTQ`: bytes that have not arrived.
    fn unsent_bytes(&self) -> Outcome<usize> {
        Ok(0)
    }

    /// `SIOCATMARK`: whether the next byte is the urgent one.
    fn is_at_mark(&self) -> Outcome<bool> {
        Err(Errno::ENOTTY.into())
    }

    /// The other side of a connection, if it has room for what this one sends.
    fn receiver(&self) -> Option<Rc<dyn Socket>> {
        None
    }

    /// Woken when there is room for what this one sends, if that does not depend on the other side.
    fn own_room(&self) -> Option<&WaitQueue> {
        None
    }

    /// `POLL*`.
    fn readiness(&self) -> u32;

    /// The last descriptor is gone.
    fn close(&self, k: &mut Kernel);
}

/// What the machine knows of its sockets.
#[derive(Default)]
pub struct Net {
    /// All sockets, by cookie.
    all: BTreeMap<u64, Weak<dyn Socket>>,
    /// Unix sockets that have an address.
    pub unix_names: UnixNames,
    /// Files on their way between unix sockets.
    pub passing: Passing,
    /// TCP ports in use.
    pub tcp: Ports<TcpSocket>,
    /// UDP ports in use.
    pub udp: Ports<UdpSocket>,
    /// UDP-Lite ports in use.
    pub udplite: Ports<UdpSocket>,
    /// Sockets of ping, by their numbers.
    ping: [Ports<PingSocket>; 2],
    /// Raw sockets.
    pub raw: RawSockets,
    /// Connections that are over, but whose addresses can't be had yet.
    pub time_waits: TimeWaits,
    /// Netlink sockets.
    pub netlink: NetlinkPorts,
    /// What waits in all sockets.
    pub memory: memory::Account,
    /// What the loopback interface has carried.
    pub carried: interface::Carried,
}

impl Net {
    /// Sockets of ping of IPv4 or of IPv6, by their numbers.
    pub fn ping(&mut self, is_v6: bool) -> &mut Ports<PingSocket> {
        &mut self.ping[usize::from(is_v6)]
    }

    /// Adds a socket to those listed.
    pub fn register(&mut self, socket: &Rc<dyn Socket>) {
        self.all.insert(socket.core().cookie, Rc::downgrade(socket));
    }

    /// Takes a socket out.
    pub fn forget(&mut self, cookie: u64) {
        self.all.remove(&cookie);
    }

    /// All sockets, in the order they were made.
    pub fn sockets(&self) -> Vec<Rc<dyn Socket>> {
        self.all.values().filter_map(Weak::upgrade).collect()
    }
}

/// A socket as what it is, if it is that.
pub fn downcast<T: Socket>(socket: &Rc<dyn Socket>) -> Option<Rc<T>> {
    let any: Rc<dyn Any> = socket.clone();
    any.downcast().ok()
}
