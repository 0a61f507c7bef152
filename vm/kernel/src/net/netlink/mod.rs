//! Netlink sockets (`netlink(7)`): how programs ask the kernel for interfaces, addresses and routes.
//!
//! | protocol | answers |
//! |---|---|
//! | `NETLINK_ROUTE` | [`route`]: reads everything, changes nothing |
//! | `NETLINK_SOCK_DIAG` | [`diag`]: which sockets of the Internet there are |
//! | `NETLINK_KOBJECT_UEVENT` | none: nothing is plugged in or out |
//!
//! | module | subject |
//! |---|---|
//! | [`message`] | messages and attributes |
//! | [`route`] | `rtnetlink(7)` |
//! | [`diag`] | `sock_diag(7)` |

pub mod diag;
pub mod message;
pub mod route;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use abi::capability::CAP_NET_ADMIN;
use abi::poll::*;
use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::inbox::{Attached, Message, RawAddress, Received};
use super::options::{BUFFER_BYTES, number};
use super::{Core, Outgoing, Socket};
use crate::files::Io;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use message::Request;

/// Options that are on or off.
const SWITCHES: [u32; 7] = [
    NETLINK_PKTINFO,
    NETLINK_BROADCAST_ERROR,
    NETLINK_NO_ENOBUFS,
    NETLINK_LISTEN_ALL_NSID,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
];

/// Bytes of a `struct sockaddr_nl`.
const ADDRESS_BYTES: usize = 12;
/// Requests answered of one message sent: each is 16 bytes at least, each answer a few hundred.
const REQUESTS_MAX: usize = 64;
/// Groups a socket can be a member of (`RTNLGRP_MAX`).
const GROUPS_MAX: u32 = 37;

/// Netlink sockets by protocol and port.
#[derive(Default)]
pub struct NetlinkPorts {
    by_port: BTreeMap<(u32, u32), Weak<NetlinkSocket>>,
}

/// A netlink socket.
pub struct NetlinkSocket {
    core: Core,
    /// `nl_pid`; 0 until it has one.
    port: Cell<u32>,
    /// Whether it has one.
    bound: Cell<bool>,
    /// Groups it is a member of, a bit each. Nothing is ever sent to them.
    groups: Cell<u64>,
    /// The port it is connected to; only the kernel's answers.
    remote: Cell<Option<u32>>,
    /// What of a list does not fit the inbox yet. Bounded by what there is to list.
    rest: RefCell<VecDeque<Vec<u8>>>,
}

/// Whether there is such a protocol.
pub fn is_known_protocol(protocol: u32) -> bool {
    matches!(protocol, NETLINK_ROUTE | NETLINK_SOCK_DIAG | NETLINK_KOBJECT_UEVENT)
}

impl NetlinkSocket {
    /// A socket without a port.
    pub fn new(kind: u32, protocol: u32) -> Rc<Self> {
        let core = Core::new(AF_NETLINK, kind, protocol, BUFFER_BYTES, BUFFER_BYTES);
        let (port, bound, groups, remote, rest) = Default::default();
        Rc::new(Self { core, port, bound, groups, remote, rest })
    }

    /// Gives it a port: the one asked for, or one that says which process it belongs to.
    fn take_port(self: &Rc<Self>, k: &mut Kernel, t: &Rc<Task>, wanted: u32) -> Outcome<()> {
        let protocol = self.core.protocol;
        let ports = &mut k.net.netlink.by_port;
        ports.retain(|_, socket| socket.strong_count() > 0);
        let own = t.process.pid as u32;
        let port = match wanted {
            // Beyond the processes, downwards from where Linux starts.
            0 if ports.contains_key(&(protocol, own)) => (0..u32::MAX - 4096)
                .rev()
                .find(|port| !ports.contains_key(&(protocol, *port)))
                .ok_or(Errno::EADDRINUSE)?,
            0 => own,
            wanted if ports.contains_key(&(protocol, wanted)) => return Err(Errno::EADDRINUSE.into()),
            wanted => wanted,
        };
        ports.insert((protocol, port), Rc::downgrade(self));
        self.port.set(port);
        self.bound.set(true);
        Ok(())
    }

    /// `nl_pid`, protocol and groups, for `/proc/net/netlink`.
    pub fn describe(&self) -> (u32, u32, u64) {
        (self.core.protocol, self.port.get(), self.groups.get())
    }

    /// Puts an answer of the kernel's into the inbox; if there is no room it is lost, and the program is told.
    pub(crate) fn deliver(&self, k: &mut Kernel, bytes: Vec<u8>) {
        let used = self.core.inbox.borrow().bytes();
        let fits = used + bytes.len() <= self.core.options.receive_bytes.get() as usize;
        let held = k.net.memory.hold_piece(bytes.len()).ok().filter(|_| fits);
        if held.is_none() {
            self.core.error.set(Some(Errno::ENOBUFS));
        }
        if let Some(held) = held {
            let attached = Attached { from: Some(raw(0, 0)), time_ns: k.realtime_ns(), ..Attached::default() };
            self.core.inbox.borrow_mut().push_message(Message {
                bytes: bytes.into(),
                attached,
                held,
                ..Message::default()
            });
        }
        self.core.announce(k, Io::Input);
    }

    /// Answers the requests in a message.
    fn ask(&self, k: &mut Kernel, bytes: &[u8]) {
        for request in message::requests(bytes).take(REQUESTS_MAX) {
            let answers = self.answer(k, &request);
            let acknowledges = request.flags & NLM_F_ACK != 0;
            match answers {
                Ok(answers) if request.is_dump() => {
                    self.rest.borrow_mut().extend(answers);
                    self.go_on(k);
                }
                Ok(answers) => {
                    for answer in answers {
                        self.deliver(k, answer);
                    }
                    if acknowledges && !request.is_dump() {
                        self.deliver(k, request.status(self.port.get(), None, self.caps_answers()));
                    }
                }
                Err(errno) => self.deliver(k, request.status(self.port.get(), Some(errno), self.caps_answers())),
            }
        }
    }

    /// Puts as much of a list into the inbox as fits, one piece at least.
    fn go_on(&self, k: &mut Kernel) {
        let limit = self.core.options.receive_bytes.get() as usize;
        loop {
            let used = self.core.inbox.borrow().bytes();
            let fits = |next: &&Vec<u8>| used == 0 || used + next.len() <= limit;
            if self.rest.borrow().front().filter(fits).is_none() {
                break;
            }
            let next = self.rest.borrow_mut().pop_front();
            next.into_iter().for_each(|next| self.deliver(k, next));
        }
    }

    fn caps_answers(&self) -> bool {
        self.core.options.number(SOL_NETLINK, NETLINK_CAP_ACK).is_some_and(|on| on != 0)
    }

    fn answer(&self, k: &mut Kernel, request: &Request<'_>) -> Result<Vec<Vec<u8>>, Errno> {
        if request.flags & NLM_F_REQUEST == 0 || request.kind < message::TYPES_MIN {
            return Ok(Vec::new());
        }
        // One list at a time.
        if request.is_dump() && !self.rest.borrow().is_empty() {
            return Err(Errno::EBUSY);
        }
        match self.core.protocol {
            NETLINK_ROUTE => {
                let strict = self.core.options.number(SOL_NETLINK, NETLINK_GET_STRICT_CHK).is_some_and(|on| on != 0);
                route::answer(k, request, self.port.get(), strict)
            }
            NETLINK_SOCK_DIAG => diag::answer(k, request, self.port.get()).map(message::in_datagrams),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
}

/// A `struct sockaddr_nl`.
fn raw(port: u32, groups: u32) -> RawAddress {
    Writer::new().u16(AF_NETLINK as u16).u16(0).u32(port).u32(groups).finish()
}

/// Port and groups in a `struct sockaddr_nl`.
fn parse(address: &[u8]) -> Outcome<(u32, u32)> {
    let mut reader = Reader::new(address);
    if address.len() < ADDRESS_BYTES || u32::from(reader.u16()) != AF_NETLINK {
        return Err(Errno::EINVAL.into());
    }
    let _pad = reader.u16();
    Ok((reader.u32(), reader.u32()))
}

impl Socket for NetlinkSocket {
    fn core(&self) -> &Core {
        &self.core
    }

    fn bind(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, address: &[u8]) -> Outcome<()> {
        let (port, groups) = parse(address)?;
        // Groups of the other protocols are for the privileged.
        if groups != 0 && !matches!(self.core.protocol, NETLINK_ROUTE | NETLINK_KOBJECT_UEVENT) {
            return Err(Errno::EPERM.into());
        }
        match (self.bound.get(), port) {
            (true, port) if port != self.port.get() => return Err(Errno::EINVAL.into()),
            (true, _) => {}
            (false, port) => self.take_port(k, t, port)?,
        }
        self.groups.set(self.groups.get() & !0xffff_ffff | u64::from(groups));
        Ok(())
    }

    fn connect(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, address: &[u8], _nonblocking: bool) -> Outcome<()> {
        if address.len() >= 2 && u32::from(Reader::new(address).u16()) == AF_UNSPEC {
            self.remote.set(None);
            return Ok(());
        }
        let (port, _) = parse(address)?;
        if !self.bound.get() {
            self.take_port(k, t, 0)?;
        }
        self.remote.set(Some(port));
        Ok(())
    }

    fn local_address(&self) -> RawAddress {
        raw(self.port.get(), self.groups.get() as u32)
    }

    fn peer_address(&self) -> Outcome<RawAddress> {
        Ok(raw(self.remote.get().unwrap_or(0), 0))
    }

    fn shutdown(&self, _k: &mut Kernel, _input: bool, _output: bool) -> Outcome<()> {
        Err(Errno::EOPNOTSUPP.into())
    }

    fn send(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        if out.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let (port, groups) = match &out.to {
            Some(address) => parse(address)?,
            None => (self.remote.get().unwrap_or(0), 0),
        };
        if groups != 0 && !t.credentials().has(CAP_NET_ADMIN) {
            return Err(Errno::EPERM.into());
        }
        if !self.bound.get() {
            self.take_port(k, t, 0)?;
        }
        let len = out.bytes.len();
        if len > self.core.options.send_bytes.get() as usize - 32 {
            return Err(Errno::EMSGSIZE.into());
        }
        match port {
            0 => self.ask(k, &out.bytes),
            // Programs can't talk to each other here.
            _ => return Err(Errno::ECONNREFUSED.into()),
        }
        Ok(len)
    }

    fn receive(&self, k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        self.core.take_error()?;
        let taken = self.core.inbox.borrow_mut().take_message(len, self.core.look(flags));
        self.go_on(k);
        taken.ok_or_else(|| self.core.arrivals.stop())
    }

    fn get_option(&self, _k: &mut Kernel, level: u32, option: u32) -> Outcome<Vec<u8>> {
        match (level, option) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(number(0)),
            (SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS) => Ok(self.groups.get().to_le_bytes().to_vec()),
            (SOL_NETLINK, option) if SWITCHES.contains(&option) => {
                Ok(number(self.core.options.number(level, option).unwrap_or(0) as u32))
            }
            _ => Err(Errno::ENOPROTOOPT.into()),
        }
    }

    fn set_option(&self, _k: &mut Kernel, _t: &Rc<Task>, level: u32, option: u32, value: &[u8]) -> Outcome<()> {
        if level != SOL_NETLINK {
            return Err(Errno::ENOPROTOOPT.into());
        }
        let value = super::options::int_value(value)?;
        match option {
            NETLINK_ADD_MEMBERSHIP | NETLINK_DROP_MEMBERSHIP => {
                if !(1..=GROUPS_MAX as i32).contains(&value) {
                    return Err(Errno::EINVAL.into());
                }
                let bit = 1 << (value - 1);
                let others = self.groups.get() & !bit;
                self.groups.set(if option == NETLINK_ADD_MEMBERSHIP { others | bit } else { others });
            }
            option if SWITCHES.contains(&option) => {
                self.core.options.set_number(level, option, i32::from(value != 0));
            }
            _ => return Err(Errno::ENOPROTOOPT.into()),
        }
        Ok(())
    }

    fn readiness(&self) -> u32 {
        let mut events = POLLOUT | POLLWRNORM | POLLWRBAND;
        if self.core.error.get().is_some() {
            events |= POLLERR;
        }
        if !self.core.inbox.borrow().is_empty() {
            events |= POLLIN | POLLRDNORM;
        }
        events
    }

    fn close(&self, k: &mut Kernel) {
        if self.bound.get() {
            k.net.netlink.by_port.remove(&(self.core.protocol, self.port.get()));
        }
        self.core.inbox.borrow_mut().clear();
        self.rest.take();
    }
}
