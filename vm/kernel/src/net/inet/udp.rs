//! UDP (`udp(7)`, RFC 768) and UDP-Lite (`udplite(7)`, RFC 3828): datagrams. The two differ in checksums, which
//! nothing needs here, and in whose ports are whose.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use abi::Errno;
use abi::socket::*;

use super::address::{self, Endpoint};
use super::datagrams::Datagrams;
use super::options;
use super::ports::{Bound, Ports};
use super::sending::Datagram;
use super::tcp::check_bind;
use crate::kernel::Kernel;
use crate::net::inbox::{RawAddress, Received};
use crate::net::options::number;
use crate::net::{Core, Outgoing, Socket};
use crate::stop::Outcome;
use crate::task::Task;

/// A UDP socket.
pub struct UdpSocket {
    pub(super) datagrams: Datagrams,
    /// A datagram that is kept until it is complete (`UDP_CORK`).
    pub(super) corked: RefCell<Option<Datagram>>,
}

impl Bound for UdpSocket {
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

impl UdpSocket {
    /// A socket without an address.
    pub fn new(family: u32, protocol: u32) -> Rc<Self> {
        Rc::new(Self { datagrams: Datagrams::new(family, SOCK_DGRAM, protocol), corked: RefCell::default() })
    }

    /// Its addresses: its own, the other side's.
    pub fn addresses(&self) -> (SocketAddr, Option<SocketAddr>) {
        let endpoint = &self.datagrams.endpoint;
        (endpoint.local.get(), endpoint.remote.get())
    }

    /// Its protocol's ports.
    pub(super) fn ports<'a>(&self, k: &'a mut Kernel) -> &'a mut Ports<UdpSocket> {
        if self.datagrams.core.protocol == IPPROTO_UDPLITE { &mut k.net.udplite } else { &mut k.net.udp }
    }

    fn take_port(self: &Rc<Self>, k: &mut Kernel, port: u16) -> Outcome<()> {
        let random = u32::from_le_bytes(k.random_bytes());
        self.ports(k).bind(self, port, random, |_| true)
    }

    /// The port it sends from, which it gets now if it has none.
    pub(super) fn ensure_port(self: &Rc<Self>, k: &mut Kernel) -> Outcome<()> {
        if self.datagrams.endpoint.holds_port.get() {
            return Ok(());
        }
        self.take_port(k, 0).map_err(|_| Errno::EAGAIN.into())
    }

    fn disconnect(self: &Rc<Self>, k: &mut Kernel) {
        let endpoint = &self.datagrams.endpoint;
        self.datagrams.disconnect();
        if !endpoint.port_is_bound.get() {
            self.ports(k).remove(self);
            endpoint.set_port(0);
        }
    }
}

impl Socket for UdpSocket {
    fn core(&self) -> &Core {
        &self.datagrams.core
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.datagrams.endpoint)
    }

    fn bind(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, raw: &[u8]) -> Outcome<()> {
        let Datagrams { core, endpoint, .. } = &self.datagrams;
        let to = options::bind_address(core, raw)?;
        check_bind(t, to)?;
        if endpoint.holds_port.get() {
            return Err(Errno::EINVAL.into());
        }
        endpoint.set_ip(to.ip());
        if let Err(stop) = self.take_port(k, to.port()) {
            endpoint.set_ip(address::any(core.family));
            return Err(stop);
        }
        endpoint.address_is_bound.set(!to.ip().is_unspecified());
        endpoint.port_is_bound.set(to.port() != 0);
        Ok(())
    }

    fn connect(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, raw: &[u8], _nonblocking: bool) -> Outcome<()> {
        let core = &self.datagrams.core;
        let Some(to) = address::parse_peer(core.family, raw)? else {
            self.disconnect(k);
            return Ok(());
        };
        address::check_destination(core, to)?;
        let to = address::destination(to);
        self.datagrams.route(to.ip(), &Default::default())?;
        self.ensure_port(k)?;
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

    fn send(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        self.send_datagram(k, t, out)
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

    fn set_option(&self, k: &mut Kernel, t: &Rc<Task>, level: u32, option: u32, value: &[u8]) -> Outcome<()> {
        let Datagrams { core, endpoint, errors } = &self.datagrams;
        options::set(core, endpoint, &t.credentials(), level, option, value)?;
        let is_about_errors = matches!((level, option), (IPPROTO_IP, IP_RECVERR) | (IPPROTO_IPV6, IPV6_RECVERR));
        if is_about_errors && options::value(core, level, option) == 0 {
            errors.clear();
        }
        if (level, option) == (IPPROTO_UDP, UDP_CORK) && options::value(core, level, option) == 0 {
            self.uncork(k);
        }
        Ok(())
    }

    fn readiness(&self) -> u32 {
        self.datagrams.readiness()
    }

    fn close(&self, k: &mut Kernel) {
        self.ports(k).remove(self);
        self.corked.take();
        self.datagrams.close(k);
    }
}
