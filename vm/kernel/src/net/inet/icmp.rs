//! Packets that are not between two sockets of one protocol: what raw sockets and those of ping send, and the answers to
//! it (ICMP, RFC 792; RFC 4443).

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use abi::Writer;
use abi::socket::*;

use super::address::{Reach, reach};
use super::datagrams::Way;
use super::errors::Refused;
use super::ip_options::IpOptions;
use super::options::HOPS;
use super::packet::{self, ECHO_BYTES, ICMP, ICMPV6, UDP, UDP_BYTES};
use super::ping::PingSocket;
use super::sending::take_in;
use crate::kernel::Kernel;

/// Types of messages: echoes and the answers to them, and what is said of a port that nobody has, with its code.
pub(super) const ECHO: u8 = 8;
const ECHO_ANSWER: u8 = 0;
const UNREACHABLE: (u8, u8) = (3, 3);
pub(super) const ECHO_V6: u8 = 128;
const ECHO_ANSWER_V6: u8 = 129;
const UNREACHABLE_V6: (u8, u8) = (1, 4);
/// Bytes of the packet that an answer quotes: 576 bytes of IPv4, 1280 of IPv6, less the answer's own headers.
const QUOTED_BYTES_MAX: usize = 576 - 20 - 8;
const QUOTED_BYTES_MAX_V6: usize = 1280 - 40 - 8;

/// The other way, as answers go.
fn back(way: &Way) -> Way {
    let (from, to) = (way.to, way.from);
    let class = if way.to.is_ipv4() { way.class } else { 0 };
    Way { from, to, hops: HOPS as u8, class, is_whole: false, options: IpOptions::default() }
}

/// Sets the checksum of a message of ICMP, over addresses too if it is of version 6.
pub(super) fn seal(way: &Way, message: &mut [u8]) {
    message[2..4].fill(0);
    let pseudo = packet::pseudo_header(way.from.ip(), way.to.ip(), ICMPV6, message.len());
    let covered: &[u8] = if way.to.is_ipv4() { &[] } else { &pseudo };
    let checksum = !packet::sum(&[covered, message]);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

/// A packet arrives: raw sockets get copies, and its protocol has it.
pub(super) fn arrive(k: &mut Kernel, way: &Way, protocol: u8, contents: &[u8]) {
    if reach(way.to.ip()) == Reach::Nowhere || way.options.has_route() {
        return;
    }
    k.net.carried.count(contents.len());
    show(k, way, protocol, &[contents]);
    match (protocol, way.to) {
        (ICMP, SocketAddr::V4(_)) => receive_message(k, way, contents),
        (ICMPV6, SocketAddr::V6(_)) => receive_message(k, way, contents),
        (UDP, _) => receive_datagram(k, way, contents),
        _ => {}
    }
}

/// Shows a packet to raw sockets that want such.
pub(super) fn show(k: &mut Kernel, way: &Way, protocol: u8, contents: &[&[u8]]) {
    if k.net.raw.is_empty() {
        return;
    }
    let contents = contents.concat();
    let id = packet_id(k);
    let time_ns = k.realtime_ns();
    let Some(delivery) = way.delivery(time_ns) else { return };
    let arrived = Way { options: delivery.options.clone(), ..way.clone() };
    let header = packet::ip_header(&arrived, protocol, contents.len(), id);
    for socket in k.net.raw.all() {
        socket.receive_packet(k, &header, &contents, protocol, &delivery, time_ns);
    }
}

/// What tells pieces of a packet from those of others; at random, as no packet is cut.
fn packet_id(k: &mut Kernel) -> u16 {
    u16::from_le_bytes(k.random_bytes()).max(1)
}

fn receive_message(k: &mut Kernel, way: &Way, message: &[u8]) {
    let is_v6 = way.to.is_ipv6();
    let pseudo = packet::pseudo_header(way.from.ip(), way.to.ip(), ICMPV6, message.len());
    let covered: &[u8] = if is_v6 { &pseudo } else { &[] };
    if message.len() < ECHO_BYTES || packet::sum(&[covered, message]) != 0xffff {
        return;
    }
    match (is_v6, message[0]) {
        (false, ECHO) | (true, ECHO_V6) if reach(way.to.ip()) == Reach::Local => {
            let arrived = way.delivery(k.realtime_ns()).map(|delivery| delivery.options).unwrap_or_default();
            let answer_way = Way { options: arrived.answer(), ..back(way) };
            let mut answer = message.to_vec();
            answer[0] = if is_v6 { ECHO_ANSWER_V6 } else { ECHO_ANSWER };
            seal(&answer_way, &mut answer);
            arrive(k, &answer_way, if is_v6 { ICMPV6 } else { ICMP }, &answer);
        }
        (false, ECHO_ANSWER) | (true, ECHO_ANSWER_V6) => {
            let number = u16::from_be_bytes([message[4], message[5]]);
            let to = SocketAddr::new(way.to.ip(), number);
            let receiver: Option<Rc<PingSocket>> =
                k.net.ping(is_v6).receiver(SocketAddr::new(way.from.ip(), 0), to, |_| true);
            if let Some(receiver) = receiver {
                receiver.receive_message(k, way, message);
            }
        }
        _ => {}
    }
}

/// A datagram that a raw socket has sent.
fn receive_datagram(k: &mut Kernel, way: &Way, contents: &[u8]) {
    let Some((header, bytes)) = contents.split_first_chunk::<UDP_BYTES>() else { return };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let pseudo = packet::pseudo_header(way.from.ip(), way.to.ip(), UDP, contents.len());
    let is_damaged = word(6) != 0 && packet::sum(&[&pseudo, contents]) != 0xffff;
    let Some(bytes) = usize::from(word(4)).checked_sub(UDP_BYTES).and_then(|len| bytes.get(..len)) else { return };
    if is_damaged {
        return;
    }
    let (from, to) = (SocketAddr::new(way.from.ip(), word(0)), SocketAddr::new(way.to.ip(), word(2)));
    let way = Way { from, to, ..way.clone() };
    let is_taken = take_in(k, IPPROTO_UDP, &way, bytes, None);
    if !is_taken {
        answer_unreachable(k, &Refused { way: &way, bytes });
    }
}

/// Nobody has the port that a datagram was sent to: says so in a packet, which raw sockets see. The sender's own socket is
/// told otherwise ([`super::errors`]).
pub(super) fn answer_unreachable(k: &mut Kernel, refused: &Refused<'_>) {
    let Refused { way, bytes } = refused;
    if k.net.raw.is_empty() {
        return;
    }
    let id = packet_id(k);
    let header = packet::ip_header(way, UDP, UDP_BYTES + bytes.len(), id);
    let udp = packet::udp_header(way, UDP, bytes.len());
    let mut quoted = [&header[..], &udp, bytes].concat();
    let is_v6 = matches!(way.to.ip(), IpAddr::V6(_));
    let ((kind, code), max) =
        if is_v6 { (UNREACHABLE_V6, QUOTED_BYTES_MAX_V6) } else { (UNREACHABLE, QUOTED_BYTES_MAX) };
    quoted.truncate(max);
    let answer_way = Way { class: if is_v6 { 0 } else { way.class | super::errors::CONTROL_CLASS }, ..back(way) };
    let mut message = Writer::new().u8(kind).u8(code).u16(0).u32(0).raw(&quoted).finish();
    seal(&answer_way, &mut message);
    k.net.carried.count(message.len());
    show(k, &answer_way, if is_v6 { ICMPV6 } else { ICMP }, &[&message]);
}
