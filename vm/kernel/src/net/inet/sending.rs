//! How UDP's datagrams are sent: where to, from where, when, in how many pieces.

use std::net::SocketAddr;
use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_NET_RAW;
use abi::socket::*;

use super::address::{self, Endpoint, Reach, reach};
use super::datagrams::Way;
use super::errors::Refused;
use super::header::Header;
use super::options::{MTU_BYTES, value};
use super::packet::{self, UDP_BYTES};
use super::udp::UdpSocket;
use super::{groups, icmp};
use crate::kernel::Kernel;
use crate::net::filter::Packet;
use crate::net::inbox::Delivery;
use crate::net::{Net, Outgoing, Socket};
use crate::stop::Outcome;
use crate::task::Task;

/// Bytes that fit a datagram: 65535 of IP less the headers (IPv4), less UDP's alone (IPv6).
const BYTES_MAX: usize = 65_507;
const BYTES_MAX_V6: usize = 65_527;
/// Pieces that one call has cut (`UDP_MAX_SEGMENTS`).
const SEGMENTS_MAX: usize = 128;

/// A datagram on its way, or kept until it is complete.
pub(super) struct Datagram {
    way: Way,
    /// Bytes of each piece it is cut into, if it is longer; 0 is all.
    segment_bytes: usize,
    bytes: Vec<u8>,
}

impl UdpSocket {
    /// `send(2)` and its relatives. With `UDP_CORK` or `MSG_MORE` bytes are kept for one datagram, which goes when a call
    /// says neither; the first of the calls says where to.
    pub(super) fn send_datagram(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        let len = out.bytes.len();
        if len > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE.into());
        }
        if out.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let begun = self.corked.take();
        let mut datagram = match begun {
            Some(begun) => begun,
            None => self.begin_datagram(k, t, out)?,
        };
        let core = &self.datagrams.core;
        let max = if datagram.way.to.is_ipv4() { BYTES_MAX } else { BYTES_MAX_V6 };
        if datagram.bytes.len() + len > max {
            // What was kept is lost, too.
            return Err(self.datagrams.refuse_length(k, datagram.way.to).into());
        }
        datagram.bytes.append(&mut out.bytes);
        if out.flags & MSG_MORE != 0 || value(core, IPPROTO_UDP, UDP_CORK) != 0 {
            *self.corked.borrow_mut() = Some(datagram);
        } else {
            self.transmit(k, datagram)?;
        }
        if out.flags & MSG_ZEROCOPY != 0 && core.options.is_on(SO_ZEROCOPY) {
            self.datagrams.errors.note_copy(k, core);
        }
        Ok(len)
    }

    /// A datagram without contents yet.
    fn begin_datagram(self: &Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &Outgoing) -> Outcome<Datagram> {
        let core = &self.datagrams.core;
        let to = address::destination(self.datagrams.target(out)?);
        if to.port() == 0 {
            return Err(Errno::EINVAL.into());
        }
        let header = Header::said(&out.control, to.ip(), core.protocol, t.credentials().has(CAP_NET_RAW))?;
        core.take_error()?;
        if core.shut_out.get() {
            return Err(Errno::EPIPE.into());
        }
        let source = self.datagrams.route(to.ip(), &header)?;
        self.ensure_port(k)?;
        let from = SocketAddr::new(source, self.datagrams.endpoint.port());
        let segment = header.segment.unwrap_or_else(|| value(core, IPPROTO_UDP, UDP_SEGMENT) as u16);
        let way = self.datagrams.way(from, to, &header);
        Ok(Datagram { way, segment_bytes: segment.into(), bytes: Vec::new() })
    }

    /// Sends what was kept, if anything was: `UDP_CORK` is off again.
    pub(super) fn uncork(&self, k: &mut Kernel) {
        if let Some(datagram) = self.corked.take() {
            // What can't be sent is lost, and nobody is told.
            let _ = self.transmit(k, datagram);
        }
    }

    fn transmit(&self, k: &mut Kernel, datagram: Datagram) -> Outcome<()> {
        let Datagram { way, segment_bytes, bytes } = datagram;
        let headers_bytes = if way.to.is_ipv4() { 20 + 8 } else { 40 + 8 };
        if segment_bytes > 0 && headers_bytes + bytes.len().min(segment_bytes) > MTU_BYTES as usize {
            return Err(Errno::EMSGSIZE.into());
        }
        let is_cut = segment_bytes > 0 && bytes.len() > segment_bytes;
        if is_cut && bytes.len() > segment_bytes * SEGMENTS_MAX {
            return Err(Errno::EINVAL.into());
        }
        if is_cut && self.datagrams.core.options.is_on(SO_NO_CHECK) {
            return Err(Errno::EINVAL.into());
        }
        if is_cut && self.datagrams.core.protocol == IPPROTO_UDPLITE {
            return Err(Errno::EIO.into());
        }
        k.net.carried.count(bytes.len());
        let protocol = self.datagrams.core.protocol;
        let segment = is_cut.then_some(segment_bytes as u16);
        for piece in bytes.chunks(if is_cut { segment_bytes } else { bytes.len().max(1) }) {
            let head = packet::udp_header(&way, protocol as u8, piece.len());
            icmp::show(k, &way, protocol as u8, &[&head, piece]);
        }
        if !take_in(k, protocol, &way, &bytes, segment) {
            let refused = Refused { way: &way, bytes: &bytes };
            self.datagrams.refuse(k, &refused);
            icmp::answer_unreachable(k, &refused);
        }
        Ok(())
    }

    /// Takes a datagram, or its pieces one by one unless they are wanted together (`UDP_GRO`).
    fn receive_datagram(&self, k: &mut Kernel, way: &Way, bytes: &[u8], delivery: &Delivery, time_ns: u64) {
        let joins = value(&self.datagrams.core, IPPROTO_UDP, UDP_GRO) != 0;
        match delivery.segment {
            Some(segment) if !joins => {
                let delivery = Delivery { segment: None, ..delivery.clone() };
                for piece in bytes.chunks(segment.into()) {
                    self.receive_one(k, way, piece, delivery.clone(), time_ns);
                }
            }
            _ => self.receive_one(k, way, bytes, delivery.clone(), time_ns),
        }
    }

    /// Takes a datagram as far as its filter lets.
    fn receive_one(&self, k: &mut Kernel, way: &Way, bytes: &[u8], delivery: Delivery, time_ns: u64) {
        let core = &self.datagrams.core;
        let mut kept = bytes.len();
        if core.options.filter.borrow().is_some() {
            let head = packet::udp_header(way, core.protocol as u8, bytes.len());
            let ip = packet::ip_header(way, core.protocol as u8, head.len() + bytes.len(), 0);
            let (start, head) = (ip.len(), [ip, head].concat());
            let packet = Packet { head: &head, body: bytes, start, protocol: packet::ethernet_protocol(way) };
            let Some(filtered) = core.filtered(&packet, UDP_BYTES) else {
                core.drops.set(core.drops.get().wrapping_add(1));
                return;
            };
            kept = kept.min(filtered - UDP_BYTES);
        }
        self.datagrams.deliver(k, &bytes[..kept], delivery, time_ns);
    }
}

/// A datagram arrives, which consists of segments if it is longer than one. Returns whether anybody has its port.
pub(super) fn take_in(k: &mut Kernel, protocol: u32, way: &Way, bytes: &[u8], segment: Option<u16>) -> bool {
    let time_ns = k.realtime_ns();
    let Some(delivery) = way.delivery(time_ns) else { return true };
    let delivery = Delivery { segment, ..delivery };
    let receivers = receivers(&k.net, protocol, way);
    for receiver in &receivers {
        receiver.receive_datagram(k, way, bytes, &delivery, time_ns);
    }
    !receivers.is_empty() || reach(way.to.ip()) != Reach::Local
}

/// Whom what goes some way is for: one socket, or of a group or a broadcast all that hear it.
fn receivers(net: &Net, protocol: u32, way: &Way) -> Vec<Rc<UdpSocket>> {
    let ports = if protocol == IPPROTO_UDPLITE { &net.udplite } else { &net.udp };
    let (from, to) = (way.from, way.to);
    let is_group = to.ip().is_multicast();
    match reach(to.ip()) {
        Reach::Local => ports.receiver(from, to, |_| true).into_iter().collect(),
        _ if is_group && !is_joined(net, to) => Vec::new(),
        _ => {
            let hears = |socket: &Rc<UdpSocket>| {
                let (core, endpoint) = (&socket.datagrams.core, &socket.datagrams.endpoint);
                endpoint.claim(core, to.ip()) > 0
                    && endpoint.remote.get().is_none_or(|remote| remote == from)
                    && (!is_group || groups::hears(core, endpoint, to.ip(), from))
            };
            ports.at(to.port()).filter(hears).collect()
        }
    }
}

/// Whether the interface takes what is sent to a group: some socket has joined it, or it is everybody's ("all hosts",
/// RFC 1112).
pub(super) fn is_joined(net: &Net, group: SocketAddr) -> bool {
    const ALL_HOSTS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(224, 0, 0, 1);
    let is_member = |socket: &Rc<dyn Socket>| {
        Socket::endpoint(&**socket).is_some_and(|endpoint: &Endpoint| groups::is_member(endpoint, group.ip()))
    };
    group.ip() == ALL_HOSTS || net.sockets().iter().any(is_member)
}
