//! UDP (`udp(7)`, RFC 768) and UDP-Lite (`udplite(7)`, RFC 3828): datagrams. The two differ in checksums, which
//! nothing needs here, and in whose ports are whose.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use abi::Errno;
use abi::poll::*;
use abi::socket::*;

use super::address::{self, Endpoint};
use super::errors::ErrorQueue;
use super::options;
use super::ports::{Bound, Ports};
use super::sending::Datagram;
use super::tcp::check_bind;
use crate::files::Io;
use crate::kernel::Kernel;
use crate::net::inbox::{Message, RawAddress, Received};
use crate::net::options::{BUFFER_BYTES, number};
use crate::net::{Core, Outgoing, Socket};
use crate::stop::Outcome;
use crate::task::Task;

/// What a waiting datagram counts for beside its bytes (`truesize` of a small one): it bounds how many wait.
const OVERHEAD_BYTES: usize = 768;

/// A UDP socket.
pub struct UdpSocket {
    pub(super) core: Core,
    pub(super) endpoint: Endpoint,
    pub(super) errors: ErrorQueue,
    /// A datagram that is kept until it is complete (`UDP_CORK`).
    pub(super) corked: RefCell<Option<Datagram>>,
}

impl Bound for UdpSocket {
    fn core(&self) -> &Core {
        &self.core
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn shares_by_reuse(&self) -> bool {
        true
    }
}

impl UdpSocket {
    /// A socket without an address.
    pub fn new(family: u32, protocol: u32) -> Rc<Self> {
        let core = Core::new(family, SOCK_DGRAM, protocol, BUFFER_BYTES, BUFFER_BYTES);
        Rc::new(Self {
            core,
            endpoint: Endpoint::new(family),
            errors: ErrorQueue::default(),
            corked: RefCell::default(),
        })
    }

    /// Its addresses: its own, the other side's.
    pub fn addresses(&self) -> (SocketAddr, Option<SocketAddr>) {
        (self.endpoint.local.get(), self.endpoint.remote.get())
    }

    /// Its protocol's ports.
    pub(super) fn ports<'a>(&self, k: &'a mut Kernel) -> &'a mut Ports<UdpSocket> {
        if self.core.protocol == IPPROTO_UDPLITE { &mut k.net.udplite } else { &mut k.net.udp }
    }

    fn take_port(self: &Rc<Self>, k: &mut Kernel, port: u16) -> Outcome<()> {
        let random = u32::from_le_bytes(k.random_bytes());
        self.ports(k).bind(self, port, random, |_| true)
    }

    /// The port it sends from, which it gets now if it has none.
    pub(super) fn ensure_port(self: &Rc<Self>, k: &mut Kernel) -> Outcome<()> {
        if self.endpoint.holds_port.get() {
            return Ok(());
        }
        self.take_port(k, 0).map_err(|_| Errno::EAGAIN.into())
    }

    /// Whether there is memory for what has come in and `len` bytes more: datagrams and errors share it.
    pub(super) fn has_room(&self, len: usize) -> bool {
        let inbox = self.core.inbox.borrow();
        let (errors, quoted_bytes) = self.errors.size();
        let used_bytes = inbox.bytes() + quoted_bytes + (inbox.messages() + errors) * OVERHEAD_BYTES;
        used_bytes + len <= self.core.options.receive_bytes.get() as usize
    }

    /// Puts a datagram into the inbox; it is lost if there is no room.
    pub(super) fn deliver(&self, k: &mut Kernel, mut message: Message, from: SocketAddr) {
        message.attached.from = Some(address::raw(self.core.family, from));
        if let Ok(held) = k.net.memory.hold_piece(message.bytes.len())
            && self.has_room(0)
        {
            message.held = held;
            message.attached.drops = self.core.drops.get();
            self.core.inbox.borrow_mut().push_message(message);
            self.core.announce(k, Io::Input);
        } else {
            self.core.drops.set(self.core.drops.get().wrapping_add(1));
        }
    }

    fn disconnect(self: &Rc<Self>, k: &mut Kernel) {
        self.endpoint.remote.set(None);
        if !self.endpoint.address_is_bound.get() {
            self.endpoint.set_ip(address::any(self.core.family));
        }
        if !self.endpoint.port_is_bound.get() {
            self.ports(k).remove(self);
            self.endpoint.set_port(0);
        }
    }
}

impl Socket for UdpSocket {
    fn core(&self) -> &Core {
        &self.core
    }

    fn bind(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, raw: &[u8]) -> Outcome<()> {
        let to = options::bind_address(&self.core, raw)?;
        check_bind(t, to)?;
        if self.endpoint.holds_port.get() {
            return Err(Errno::EINVAL.into());
        }
        self.endpoint.set_ip(to.ip());
        if let Err(stop) = self.take_port(k, to.port()) {
            self.endpoint.set_ip(address::any(self.core.family));
            return Err(stop);
        }
        self.endpoint.address_is_bound.set(!to.ip().is_unspecified());
        self.endpoint.port_is_bound.set(to.port() != 0);
        Ok(())
    }

    fn connect(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, raw: &[u8], _nonblocking: bool) -> Outcome<()> {
        if raw.len() < 2 {
            return Err(Errno::EINVAL.into());
        }
        if address::family_of(raw) == AF_UNSPEC {
            self.disconnect(k);
            return Ok(());
        }
        let to = address::parse(self.core.family, raw)?;
        address::check_destination(&self.core, to)?;
        let to = address::destination(to);
        self.check_reach(to)?;
        self.ensure_port(k)?;
        if self.endpoint.local.get().ip().is_unspecified() {
            self.endpoint.set_ip(address::source(to.ip()));
        }
        self.endpoint.remote.set(Some(to));
        Ok(())
    }

    fn local_address(&self) -> RawAddress {
        address::raw(self.core.family, self.endpoint.local.get())
    }

    fn peer_address(&self) -> Outcome<RawAddress> {
        let remote = self.endpoint.remote.get().filter(|remote| remote.port() != 0).ok_or(Errno::ENOTCONN)?;
        Ok(address::raw(self.core.family, remote))
    }

    /// Takes effect even though an unconnected socket is told that it is not connected, as on Linux.
    fn shutdown(&self, k: &mut Kernel, input: bool, output: bool) -> Outcome<()> {
        let core = &self.core;
        core.shut_in.set(core.shut_in.get() | input);
        core.shut_out.set(core.shut_out.get() | output);
        core.wake(k);
        if self.endpoint.remote.get().is_some() { Ok(()) } else { Err(Errno::ENOTCONN.into()) }
    }

    fn send(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        self.send_datagram(k, out)
    }

    fn receive(&self, _k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received> {
        let core = &self.core;
        if flags & MSG_ERRQUEUE != 0 {
            return self.receive_error(len);
        }
        core.take_error()?;
        let look = core.look(flags);
        let taken = core.inbox.borrow_mut().take_message(len, look);
        match taken {
            Some(received) => {
                core.options.stamps.remember(received.attached.time_ns);
                let tells_all = flags & MSG_TRUNC != 0;
                core.move_look(look, if tells_all { received.full_len } else { received.bytes.len() });
                Ok(received)
            }
            None if core.shut_in.get() => Ok(Received::default()),
            None => Err(core.arrivals.stop()),
        }
    }

    fn get_option(&self, k: &mut Kernel, level: u32, option: u32) -> Outcome<Vec<u8>> {
        match (level, option) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(number(0)),
            _ => options::get(k, &self.core, &self.endpoint, level, option),
        }
    }

    fn set_option(&self, k: &mut Kernel, t: &Rc<Task>, level: u32, option: u32, value: &[u8]) -> Outcome<()> {
        options::set(&self.core, &self.endpoint, &t.credentials(), level, option, value)?;
        let is_about_errors = matches!((level, option), (IPPROTO_IP, IP_RECVERR) | (IPPROTO_IPV6, IPV6_RECVERR));
        if is_about_errors && options::value(&self.core, level, option) == 0 {
            self.errors.clear();
        }
        if (level, option) == (IPPROTO_UDP, UDP_CORK) && options::value(&self.core, level, option) == 0 {
            self.uncork(k);
        }
        Ok(())
    }

    fn readiness(&self) -> u32 {
        let core = &self.core;
        let mut events = POLLOUT | POLLWRNORM | POLLWRBAND;
        if core.error.get().is_some() || !self.errors.is_empty() {
            events |= POLLERR;
            if core.options.is_on(SO_SELECT_ERR_QUEUE) {
                events |= POLLPRI;
            }
        }
        if core.shut_in.get() {
            events |= POLLRDHUP | POLLIN | POLLRDNORM;
        }
        if core.shut_in.get() && core.shut_out.get() {
            events |= POLLHUP;
        }
        if !core.inbox.borrow().is_empty() {
            events |= POLLIN | POLLRDNORM;
        }
        events
    }

    fn close(&self, k: &mut Kernel) {
        self.ports(k).remove(self);
        self.core.inbox.borrow_mut().clear();
        self.errors.clear();
        self.corked.take();
        self.core.wake(k);
    }
}
