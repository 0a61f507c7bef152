//! Sockets of ping (`icmp(7)`): echoes of ICMP for those who may not have raw sockets. Its number among them, by which
//! answers find it, is a socket's port.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_NET_RAW;
use abi::socket::*;

use super::address::{self, Endpoint};
use super::datagrams::{Datagrams, Way};
use super::header::Header;
use super::icmp::{ECHO, ECHO_V6, arrive, seal};
use super::options;
use super::packet::{ECHO_BYTES, ICMP, ICMPV6, ethernet_protocol, ip_header};
use super::ports::Bound;
use crate::credentials::Credentials;
use crate::kernel::Kernel;
use crate::net::filter::Packet;
use crate::net::inbox::{RawAddress, Received};
use crate::net::options::number;
use crate::net::{Core, Outgoing, Socket};
use crate::stop::Outcome;
use crate::task::Task;

/// Groups whose members may have such sockets: all (`net.ipv4.ping_group_range`), as Debian's systemd and Docker set it.
pub const GROUPS: std::ops::RangeInclusive<u32> = 0..=i32::MAX as u32;

/// A socket of ping.
pub struct PingSocket {
    pub(super) datagrams: Datagrams,
    /// `bind` chose its number.
    is_bound: Cell<bool>,
}

impl Bound for PingSocket {
    fn core(&self) -> &Core {
        &self.datagrams.core
    }

    fn endpoint(&self) -> &Endpoint {
        &self.datagrams.endpoint
    }

    fn shares_by_reuse(&self) -> bool {
        true
    }
}

impl PingSocket {
    /// A socket, for those who may have one.
    ///
    /// # Errors
    /// `EACCES` for those who are in no group that may.
    pub fn new(who: &Credentials, family: u32) -> Outcome<Rc<Self>> {
        let may = GROUPS.contains(&who.egid) || who.groups.iter().any(|group| GROUPS.contains(group));
        if !may {
            return Err(Errno::EACCES.into());
        }
        let protocol = if family == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
        let datagrams = Datagrams::new(family, SOCK_DGRAM, protocol);
        // Two may have the same number.
        datagrams.core.options.turn(SO_REUSEADDR, true);
        Ok(Rc::new(Self { datagrams, is_bound: Cell::new(false) }))
    }

    /// Its addresses: its own, the other side's.
    pub fn addresses(&self) -> (SocketAddr, Option<SocketAddr>) {
        (self.datagrams.endpoint.local.get(), self.datagrams.endpoint.remote.get())
    }

    fn is_v6(&self) -> bool {
        self.datagrams.core.family == AF_INET6
    }

    fn take_number(self: &Rc<Self>, k: &mut Kernel, number: u16) -> Outcome<()> {
        let random = u32::from_le_bytes(k.random_bytes());
        k.net.ping(self.is_v6()).bind(self, number, random, |_| true)
    }

    fn ensure_number(self: &Rc<Self>, k: &mut Kernel) -> Outcome<()> {
        if self.datagrams.endpoint.holds_port.get() { Ok(()) } else { self.take_number(k, 0) }
    }

    /// Takes an answer, unless its filter does not.
    pub(super) fn receive_message(&self, k: &mut Kernel, way: &Way, message: &[u8]) {
        let time_ns = k.realtime_ns();
        let Some(delivery) = way.delivery(time_ns) else { return };
        let head = ip_header(way, if self.is_v6() { ICMPV6 } else { ICMP }, message.len(), 0);
        let packet = Packet { head: &head, body: message, start: head.len(), protocol: ethernet_protocol(way) };
        if let Some(kept) = self.datagrams.core.filtered(&packet, 1) {
            self.datagrams.deliver(k, &message[..kept.min(message.len())], delivery, time_ns);
        }
    }
}

impl Socket for PingSocket {
    fn core(&self) -> &Core {
        &self.datagrams.core
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.datagrams.endpoint)
    }

    fn bind(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, raw: &[u8]) -> Outcome<()> {
        let Datagrams { core, endpoint, .. } = &self.datagrams;
        let to = address::parse(core.family, raw)?;
        if !address::is_bindable(to.ip()) || to.is_ipv4() != (core.family == AF_INET) {
            return Err(Errno::EADDRNOTAVAIL.into());
        }
        if endpoint.holds_port.get() {
            return Err(Errno::EINVAL.into());
        }
        endpoint.set_ip(to.ip());
        if let Err(stop) = self.take_number(k, to.port()) {
            endpoint.set_ip(address::any(core.family));
            return Err(stop);
        }
        endpoint.address_is_bound.set(!to.ip().is_unspecified());
        self.is_bound.set(to.port() != 0);
        Ok(())
    }

    fn connect(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, raw: &[u8], _nonblocking: bool) -> Outcome<()> {
        let Datagrams { core, endpoint, .. } = &self.datagrams;
        let Some(to) = address::parse_peer(core.family, raw)? else {
            self.datagrams.disconnect();
            if !self.is_bound.get() {
                k.net.ping(self.is_v6()).remove(&self);
                endpoint.set_port(0);
            }
            return Ok(());
        };
        let to = address::destination(to);
        self.datagrams.route(to.ip(), &Header::default())?;
        self.ensure_number(k)?;
        self.datagrams.connect_to(to)
    }

    fn local_address(&self) -> RawAddress {
        self.datagrams.local_address()
    }

    fn peer_address(&self) -> Outcome<RawAddress> {
        self.datagrams.peer_address()
    }

    fn shutdown(&self, k: &mut Kernel, input: bool, output: bool) -> Outcome<()> {
        self.datagrams.shutdown(k, input, output)
    }

    /// Sends an echo: its number and its checksum are put in here.
    fn send(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        let core = &self.datagrams.core;
        let mut message = std::mem::take(&mut out.bytes);
        if message.len() > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE.into());
        }
        if message.len() < ECHO_BYTES {
            return Err(Errno::EINVAL.into());
        }
        if out.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let echo = if self.is_v6() { ECHO_V6 } else { ECHO };
        if message[..2] != [echo, 0] {
            return Err(Errno::EINVAL.into());
        }
        let to = SocketAddr::new(address::destination(self.datagrams.target(out)?).ip(), 0);
        if to.is_ipv4() == self.is_v6() {
            return Err(Errno::EINVAL.into());
        }
        let header = Header::said(&out.control, to.ip(), core.protocol, t.credentials().has(CAP_NET_RAW))?;
        core.take_error()?;
        let source = self.datagrams.route(to.ip(), &header)?;
        self.ensure_number(k)?;
        let way = self.datagrams.way(SocketAddr::new(source, 0), to, &header);
        message[4..6].copy_from_slice(&self.datagrams.endpoint.port().to_be_bytes());
        seal(&way, &mut message);
        arrive(k, &way, if self.is_v6() { ICMPV6 } else { ICMP }, &message);
        Ok(message.len())
    }

    fn receive(&self, _k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received> {
        self.datagrams.receive(len, flags)
    }

    fn get_option(&self, k: &mut Kernel, level: u32, option: u32) -> Outcome<Vec<u8>> {
        match (level, option) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(number(0)),
            _ => options::get(k, &self.datagrams.core, &self.datagrams.endpoint, level, option),
        }
    }

    fn set_option(&self, _k: &mut Kernel, t: &Rc<Task>, level: u32, option: u32, value: &[u8]) -> Outcome<()> {
        options::set(&self.datagrams.core, &self.datagrams.endpoint, &t.credentials(), level, option, value)
    }

    fn readiness(&self) -> u32 {
        self.datagrams.readiness()
    }

    fn close(&self, k: &mut Kernel) {
        k.net.ping(self.is_v6()).remove(self);
        self.datagrams.close(k);
    }
}
