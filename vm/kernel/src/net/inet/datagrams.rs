//! What sockets of datagrams have in common, UDP's, raw ones, and those of ping: where what they send goes, and what they
//! have received.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use abi::Errno;
use abi::poll::*;
use abi::socket::*;

use super::address::{self, Endpoint, Reach, reach};
use super::errors::ErrorQueue;
use super::header::Header;
use super::ip_options::IpOptions;
use super::options::value;
use crate::files::Io;
use crate::kernel::Kernel;
use crate::net::inbox::{Attached, Delivery, Message, RawAddress, Received};
use crate::net::options::BUFFER_BYTES;
use crate::net::{Core, Outgoing, interface};
use crate::stop::Outcome;

/// What a waiting datagram counts for beside its bytes (`truesize` of a small one): it bounds how many wait.
const OVERHEAD_BYTES: usize = 768;

/// The common part of a socket of datagrams.
pub(super) struct Datagrams {
    pub core: Core,
    pub endpoint: Endpoint,
    pub errors: ErrorQueue,
}

/// Where a datagram comes from and goes to, and its header.
#[derive(Clone)]
pub(super) struct Way {
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// Time to live, class of service.
    pub hops: u8,
    pub class: u8,
    /// Routers may not cut it, so that the sender finds out what fits.
    pub is_whole: bool,
    /// Options of IPv4.
    pub options: IpOptions,
}

impl Way {
    /// How a receiver is told that a datagram came that has gone this way. `None` if nobody here takes it.
    pub fn delivery(&self, time_ns: u64) -> Option<Delivery> {
        let mut options = self.options.clone();
        if options.has_route() {
            return None;
        }
        let ip = |ip: IpAddr| if let IpAddr::V4(ip) = ip { ip } else { Ipv4Addr::UNSPECIFIED };
        options.pass(ip(self.from.ip()), time_ns);
        options.pass(ip(self.to.ip()), time_ns);
        let (from, to, hops, class) = (self.from, self.to, self.hops, self.class);
        Some(Delivery { from, to, hops, class, options, segment: None })
    }
}

impl Datagrams {
    /// A socket's without an address.
    pub fn new(family: u32, kind: u32, protocol: u32) -> Self {
        Self {
            core: Core::new(family, kind, protocol, BUFFER_BYTES, BUFFER_BYTES),
            endpoint: Endpoint::new(family),
            errors: ErrorQueue::default(),
        }
    }

    /// `getsockname(2)`.
    pub fn local_address(&self) -> RawAddress {
        address::raw(self.core.family, self.endpoint.local.get())
    }

    /// `getpeername(2)`.
    ///
    /// # Errors
    /// `ENOTCONN`
    pub fn peer_address(&self) -> Outcome<RawAddress> {
        let remote = self.endpoint.remote.get().filter(|remote| remote.port() != 0).ok_or(Errno::ENOTCONN)?;
        Ok(address::raw(self.core.family, remote))
    }

    /// Forgets where it is connected to, and its address if only that connection chose it.
    pub fn disconnect(&self) {
        self.endpoint.remote.set(None);
        if !self.endpoint.address_is_bound.get() {
            self.endpoint.set_ip(address::any(self.core.family));
        }
    }

    // ---- sending ----

    /// Where a datagram goes: the address the call names, or the one it is connected to. Its port may be 0.
    pub fn target(&self, out: &Outgoing) -> Outcome<SocketAddr> {
        let Some(raw) = &out.to else {
            return self.endpoint.remote.get().ok_or(Errno::EDESTADDRREQ.into());
        };
        if self.core.family == AF_INET6 && raw.len() >= 2 {
            match address::family_of(raw) {
                // An IPv6 socket may send to an address of IPv4.
                AF_INET if raw.len() < 16 => return Err(Errno::EINVAL.into()),
                AF_INET if address::is_v6_only(&self.core) => return Err(Errno::ENETUNREACH.into()),
                AF_INET => return Ok(address::parse_known(raw)),
                AF_UNSPEC => return self.endpoint.remote.get().ok_or(Errno::EDESTADDRREQ.into()),
                _ => {}
            }
        }
        let mut raw = raw.clone();
        if self.core.family == AF_INET && address::family_of(&raw) == AF_UNSPEC && raw.len() >= 16 {
            raw[0] = AF_INET as u8;
        }
        let to = address::parse(self.core.family, &raw)?;
        address::check_destination(&self.core, to)?;
        Ok(to)
    }

    /// The interface it is bound to; 0 is any.
    pub fn bound_interface(&self) -> u32 {
        self.core.options.number(SOL_SOCKET, SO_BINDTOIFINDEX).unwrap_or(0) as u32
    }

    /// The address to send from, if there is a way to `to` (`ip_route_output_key`).
    pub fn route(&self, to: IpAddr, header: &Header) -> Outcome<IpAddr> {
        let own =
            Some(self.endpoint.local.get().ip()).filter(|own| !own.is_unspecified() && reach(*own) == Reach::Local);
        let (group_interface, group_ip) = self.endpoint.group_interface.get();
        let mut interface = if header.interface != 0 { header.interface } else { self.bound_interface() };
        let mut source = header.source.or(own);
        if to.is_multicast() && to.is_ipv4() {
            interface = if interface == 0 { group_interface } else { interface };
            source = source.or(Some(IpAddr::from(group_ip)).filter(|ip| !ip.is_unspecified()));
        }
        if to.is_ipv6() && interface > interface::INDEX {
            return Err(Errno::ENODEV.into());
        }
        match source {
            Some(ip) if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => return Err(Errno::EINVAL.into()),
            Some(ip) if reach(ip) != Reach::Local => {
                return Err(if ip.is_ipv4() { Errno::ENETUNREACH } else { Errno::EINVAL }.into());
            }
            Some(ip) if ip.is_ipv4() != to.is_ipv4() => return Err(Errno::EINVAL.into()),
            _ if interface > interface::INDEX => return Err(Errno::ENODEV.into()),
            _ => {}
        }
        let is_to_all = to == IpAddr::V4(Ipv4Addr::BROADCAST);
        match (reach(to), to) {
            (_, IpAddr::V6(ip)) if ip.is_unicast_link_local() => Err(Errno::EINVAL.into()),
            (Reach::Local, _) => Ok(source.unwrap_or(address::source(to))),
            (Reach::Broadcast, _) => {
                self.check_broadcast()?;
                Ok(source.unwrap_or(address::source(to)))
            }
            (Reach::Multicast, IpAddr::V4(_)) if interface != 0 => Ok(source.unwrap_or(Ipv4Addr::UNSPECIFIED.into())),
            _ if is_to_all && interface != 0 => {
                self.check_broadcast()?;
                Ok(source.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))
            }
            _ => Err(Errno::ENETUNREACH.into()),
        }
    }

    fn check_broadcast(&self) -> Outcome<()> {
        if self.core.options.is_on(SO_BROADCAST) { Ok(()) } else { Err(Errno::EACCES.into()) }
    }

    /// Time to live and class of what is sent, if the call does not say so, by the socket's options.
    pub fn way(&self, from: SocketAddr, to: SocketAddr, header: &Header) -> Way {
        /// `IP_PMTUDISC_WANT`, `IP_PMTUDISC_PROBE`: these, and what is between, find out what fits.
        const WANT: i32 = 1;
        const PROBE: i32 = 3;
        let (level, hops, class) = match to {
            SocketAddr::V4(_) if to.ip().is_multicast() => (IPPROTO_IP, IP_MULTICAST_TTL, IP_TOS),
            SocketAddr::V4(_) => (IPPROTO_IP, IP_TTL, IP_TOS),
            SocketAddr::V6(_) => (IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_TCLASS),
        };
        let hops = header.hops.unwrap_or_else(|| value(&self.core, level, hops) as u8);
        let class = header.class.unwrap_or_else(|| value(&self.core, level, class) as u8);
        let own_options = || if to.is_ipv4() { self.endpoint.options.borrow().clone() } else { IpOptions::default() };
        let options = header.options.clone().unwrap_or_else(own_options);
        let is_whole = matches!(value(&self.core, IPPROTO_IP, IP_MTU_DISCOVER), WANT..=PROBE);
        Way { from, to, hops, class, is_whole, options }
    }

    /// Connects, for what a socket sends without saying where to.
    pub fn connect_to(&self, to: SocketAddr) -> Outcome<()> {
        let source = self.route(to.ip(), &Header::default())?;
        if self.endpoint.local.get().ip().is_unspecified() {
            self.endpoint.set_ip(source);
        }
        self.endpoint.remote.set(Some(to));
        Ok(())
    }

    // ---- receiving ----

    /// Whether there is memory for what has come in and `len` bytes more: datagrams and errors share it.
    pub fn has_room(&self, len: usize) -> bool {
        let inbox = self.core.inbox.borrow();
        let (errors, quoted_bytes) = self.errors.size();
        let used_bytes = inbox.bytes() + quoted_bytes + (inbox.messages() + errors) * OVERHEAD_BYTES;
        used_bytes + len <= self.core.options.receive_bytes.get() as usize
    }

    /// Puts a datagram into the inbox; it is lost if there is no room.
    pub fn deliver(&self, k: &mut Kernel, bytes: &[u8], delivery: Delivery, time_ns: u64) {
        let from = Some(address::raw(self.core.family, delivery.from));
        if let Ok(held) = k.net.memory.hold_piece(bytes.len())
            && self.has_room(0)
        {
            let drops = self.core.drops.get();
            let attached = Attached { from, delivery: Some(delivery), time_ns, drops, ..Attached::default() };
            let message = Message { bytes: bytes.to_vec().into(), attached, held, ..Message::default() };
            self.core.inbox.borrow_mut().push_message(message);
            self.core.announce(k, Io::Input);
        } else {
            self.core.drops.set(self.core.drops.get().wrapping_add(1));
        }
    }

    /// `recv(2)`: a datagram, or an error (`MSG_ERRQUEUE`).
    pub fn receive(&self, len: usize, flags: u32) -> Outcome<Received> {
        let core = &self.core;
        if flags & MSG_ERRQUEUE != 0 {
            return self.errors.take(core, len);
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

    /// `shutdown(2)`. Takes effect even though an unconnected socket is told that it is not connected, as on Linux.
    pub fn shutdown(&self, k: &mut Kernel, input: bool, output: bool) -> Outcome<()> {
        let core = &self.core;
        core.shut_in.set(core.shut_in.get() | input);
        core.shut_out.set(core.shut_out.get() | output);
        core.wake(k);
        if self.endpoint.remote.get().is_some() { Ok(()) } else { Err(Errno::ENOTCONN.into()) }
    }

    /// `POLL*`.
    pub fn readiness(&self) -> u32 {
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

    /// The last descriptor is gone.
    pub fn close(&self, k: &mut Kernel) {
        self.core.inbox.borrow_mut().clear();
        self.errors.clear();
        self.core.wake(k);
    }
}
