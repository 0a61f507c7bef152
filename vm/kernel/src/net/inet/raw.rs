//! Raw sockets (`raw(7)`): packets of a protocol as they are. They see what UDP and ICMP send, and what they send each
//! other; TCP has no packets here.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::capability::CAP_NET_RAW;
use abi::socket::*;

use super::address::{self, Endpoint};
use super::datagrams::{Datagrams, Way};
use super::groups;
use super::header::Header;
use super::icmp::{arrive, seal};
use super::options;
use super::packet::{self, ICMP, ICMPV6, IP_BYTES, IPV6_BYTES};
use super::tcp::check_bind;
use crate::kernel::Kernel;
use crate::net::filter::Packet;
use crate::net::inbox::{Delivery, RawAddress, Received};
use crate::net::options::{int_value, number};
use crate::net::{Core, Outgoing, Socket};
use crate::stop::Outcome;
use crate::task::Task;

/// Types of messages of ICMP that are not received (`ICMP_FILTER`, `ICMPV6_FILTER`), a bit each.
const FILTER_WORDS: usize = 8;
/// Bytes of `ICMP_FILTER`, which has room for the first 32 types.
const ICMP_FILTER_BYTES: usize = 4;

/// All raw sockets.
#[derive(Default)]
pub struct RawSockets(Vec<Weak<RawSocket>>);

impl RawSockets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn all(&self) -> Vec<Rc<RawSocket>> {
        self.0.iter().filter_map(Weak::upgrade).collect()
    }
}

/// A raw socket.
pub struct RawSocket {
    pub(super) datagrams: Datagrams,
    /// Messages of ICMP that are not wanted.
    unwanted: RefCell<[u32; FILTER_WORDS]>,
    /// The program makes headers itself (`IP_HDRINCL`).
    makes_headers: Cell<bool>,
    /// Where in what it sends checksums are put, of IPv6 (`IPV6_CHECKSUM`); negative is nowhere.
    checksum_at: Cell<i32>,
}

impl RawSocket {
    /// A socket for a protocol.
    pub fn new(k: &mut Kernel, family: u32, protocol: u32) -> Rc<Self> {
        let socket = Rc::new(Self {
            datagrams: Datagrams::new(family, SOCK_RAW, protocol),
            unwanted: RefCell::default(),
            makes_headers: Cell::new(protocol == IPPROTO_RAW),
            checksum_at: Cell::new(if protocol == IPPROTO_ICMPV6 { 2 } else { -1 }),
        });
        socket.datagrams.core.options.turn(SO_REUSEADDR, true);
        // What it shows as its port.
        socket.datagrams.endpoint.set_port(protocol as u16);
        k.net.raw.0.retain(|other| other.strong_count() > 0);
        k.net.raw.0.push(Rc::downgrade(&socket));
        socket
    }

    /// Its addresses: its own, the other side's.
    pub fn addresses(&self) -> (SocketAddr, Option<SocketAddr>) {
        (self.datagrams.endpoint.local.get(), self.datagrams.endpoint.remote.get())
    }

    fn is_v6(&self) -> bool {
        self.datagrams.core.family == AF_INET6
    }

    /// Takes a packet if it is for this one: of IPv4 with its header.
    pub(super) fn receive_packet(
        &self,
        k: &mut Kernel,
        header: &[u8],
        contents: &[u8],
        protocol: u8,
        delivery: &Delivery,
        time_ns: u64,
    ) {
        let Datagrams { core, endpoint, .. } = &self.datagrams;
        let (from, to) = (delivery.from, delivery.to);
        let is_ours = core.protocol == u32::from(protocol)
            && self.is_v6() == to.is_ipv6()
            && endpoint.claim(core, to.ip()) > 0
            && endpoint.remote.get().is_none_or(|remote| remote.ip() == from.ip())
            && (!to.ip().is_multicast() || groups::hears(core, endpoint, to.ip(), from));
        if !is_ours || core.shut_in.get() || self.is_unwanted(protocol, contents) {
            return;
        }
        let start = if self.is_v6() { header.len() } else { 0 };
        let ethernet = if self.is_v6() { 0x86dd } else { 0x0800 };
        let packet = Packet { head: header, body: contents, start, protocol: ethernet };
        let Some(kept) = core.filtered(&packet, 1) else { return };
        let mut bytes = [&header[start..], contents].concat();
        bytes.truncate(kept);
        let without_port = |address: SocketAddr| SocketAddr::new(address.ip(), 0);
        let delivery = Delivery { from: without_port(from), to: without_port(to), ..delivery.clone() };
        self.datagrams.deliver(k, &bytes, delivery, time_ns);
    }

    fn is_unwanted(&self, protocol: u8, contents: &[u8]) -> bool {
        let kinds = if protocol == ICMP { 32 } else { 256 };
        let Some(kind) = contents.first().map(|kind| usize::from(*kind)) else { return false };
        let is_message = matches!(protocol, ICMP | ICMPV6);
        is_message && kind < kinds && self.unwanted.borrow()[kind / 32] >> (kind % 32) & 1 != 0
    }

    /// Sends a packet whose header the program has made. What it leaves out is put in.
    fn send_whole(&self, k: &mut Kernel, source: IpAddr, mut packet: Vec<u8>) -> Outcome<usize> {
        let len = packet.len();
        let header_bytes = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
        if len < IP_BYTES || header_bytes > len {
            return Err(Errno::EINVAL.into());
        }
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        if let IpAddr::V4(source) = source
            && packet[12..16] == [0; 4]
        {
            packet[12..16].copy_from_slice(&source.octets());
        }
        // What is no packet is lost on the way.
        if let Some((way, protocol, start)) = packet::parse_ip(&packet) {
            arrive(k, &way, protocol, &packet[start..]);
        }
        Ok(len)
    }

    /// Puts the checksum where the program wants it.
    fn put_checksum(&self, way: &Way, protocol: u8, contents: &mut [u8]) -> Outcome<()> {
        let Ok(at) = usize::try_from(self.checksum_at.get()) else { return Ok(()) };
        if !self.is_v6() {
            return Ok(());
        }
        if protocol == ICMPV6 && contents.len() >= 4 {
            seal(way, contents);
            return Ok(());
        }
        let place = at..at + 2;
        contents.get_mut(place.clone()).ok_or(Errno::EINVAL)?.fill(0);
        let pseudo = packet::pseudo_header(way.from.ip(), way.to.ip(), protocol, contents.len());
        let checksum = !packet::sum(&[&pseudo, contents]);
        contents[place].copy_from_slice(&checksum.to_be_bytes());
        Ok(())
    }
}

impl Socket for RawSocket {
    fn core(&self) -> &Core {
        &self.datagrams.core
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.datagrams.endpoint)
    }

    fn bind(self: Rc<Self>, _k: &mut Kernel, t: &Rc<Task>, raw: &[u8]) -> Outcome<()> {
        let Datagrams { core, endpoint, .. } = &self.datagrams;
        let to = address::parse(core.family, raw)?;
        check_bind(t, SocketAddr::new(to.ip(), 0))?;
        if to.is_ipv4() != (core.family == AF_INET) {
            return Err(Errno::EADDRNOTAVAIL.into());
        }
        endpoint.set_ip(to.ip());
        endpoint.address_is_bound.set(!to.ip().is_unspecified());
        Ok(())
    }

    fn connect(self: Rc<Self>, _k: &mut Kernel, _t: &Rc<Task>, raw: &[u8], _nonblocking: bool) -> Outcome<()> {
        match address::parse_peer(self.datagrams.core.family, raw)? {
            Some(to) => self.datagrams.connect_to(address::destination(to)),
            None => {
                self.datagrams.disconnect();
                Ok(())
            }
        }
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
        let core = &self.datagrams.core;
        let mut contents = std::mem::take(&mut out.bytes);
        let len = contents.len();
        if len > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE.into());
        }
        if out.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let to = SocketAddr::new(address::destination(self.datagrams.target(out)?).ip(), 0);
        let header = Header::said(&out.control, to.ip(), core.protocol, t.credentials().has(CAP_NET_RAW))?;
        core.take_error()?;
        let source = self.datagrams.route(to.ip(), &header)?;
        if self.makes_headers.get() && !self.is_v6() {
            return self.send_whole(k, source, contents);
        }
        let way = self.datagrams.way(SocketAddr::new(source, 0), to, &header);
        let header_bytes = if self.is_v6() { IPV6_BYTES } else { IP_BYTES + way.options.bytes().len() };
        if header_bytes + len > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE.into());
        }
        let protocol = header.protocol.unwrap_or(core.protocol as u8);
        self.put_checksum(&way, protocol, &mut contents)?;
        arrive(k, &way, protocol, &contents);
        Ok(len)
    }

    fn receive(&self, _k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        self.datagrams.receive(len, flags)
    }

    fn get_option(&self, k: &mut Kernel, level: u32, option: u32) -> Outcome<Vec<u8>> {
        let core = &self.datagrams.core;
        match (level, option) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(number(0)),
            (IPPROTO_IP, IP_HDRINCL) if !self.is_v6() => Ok(number(self.makes_headers.get().into())),
            (IPPROTO_RAW, ICMP_FILTER) if core.protocol == IPPROTO_ICMP => Ok(number(self.unwanted.borrow()[0])),
            (IPPROTO_ICMPV6, ICMP_FILTER) if core.protocol == IPPROTO_ICMPV6 => {
                Ok(self.unwanted.borrow().iter().flat_map(|word| word.to_le_bytes()).collect())
            }
            (IPPROTO_IPV6 | IPPROTO_RAW, IPV6_CHECKSUM) if self.is_v6() => Ok(number(self.checksum_at.get() as u32)),
            (IPPROTO_RAW, _) => Err(if self.is_v6() { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP }.into()),
            _ => options::get(k, core, &self.datagrams.endpoint, level, option),
        }
    }

    fn set_option(&self, _k: &mut Kernel, t: &Rc<Task>, level: u32, option: u32, value: &[u8]) -> Outcome<()> {
        let core = &self.datagrams.core;
        match (level, option) {
            (IPPROTO_IP, IP_HDRINCL) if !self.is_v6() => {
                self.makes_headers.set(options::small_number(value)? != 0);
                Ok(())
            }
            (IPPROTO_RAW, ICMP_FILTER) if core.protocol == IPPROTO_ICMP => {
                self.set_unwanted(value, ICMP_FILTER_BYTES);
                Ok(())
            }
            (IPPROTO_ICMPV6, ICMP_FILTER) if core.protocol == IPPROTO_ICMPV6 => {
                self.set_unwanted(value, 4 * FILTER_WORDS);
                Ok(())
            }
            (IPPROTO_IPV6 | IPPROTO_RAW, IPV6_CHECKSUM) if self.is_v6() => {
                let at = int_value(value)?;
                // That of ICMP has its place.
                if (core.protocol == IPPROTO_ICMPV6 && level == IPPROTO_IPV6) || (at > 0 && at & 1 != 0) {
                    return Err(Errno::EINVAL.into());
                }
                self.checksum_at.set(at.max(-1));
                Ok(())
            }
            (IPPROTO_RAW, _) => Err(if self.is_v6() { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP }.into()),
            _ => options::set(core, &self.datagrams.endpoint, &t.credentials(), level, option, value),
        }
    }

    fn readiness(&self) -> u32 {
        self.datagrams.readiness()
    }

    fn close(&self, k: &mut Kernel) {
        k.net.raw.0.retain(|other| other.upgrade().is_some_and(|other| !std::ptr::eq(&*other, self)));
        self.datagrams.close(k);
    }
}

impl RawSocket {
    fn set_unwanted(&self, value: &[u8], bytes_max: usize) {
        let mut unwanted = self.unwanted.borrow_mut();
        let mut bytes: Vec<u8> = unwanted.iter().flat_map(|word| word.to_le_bytes()).collect();
        let len = value.len().min(bytes_max);
        bytes[..len].copy_from_slice(&value[..len]);
        for (word, bytes) in unwanted.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
    }
}
