//! Control messages that tell a receiver more (`cmsg(3)`), but for the files among them.

use std::net::{IpAddr, Ipv4Addr};

use abi::socket::*;
use abi::{Layout, Writer};

use super::inbox::{Attached, Delivery};
use super::inet::address::{self, Reach};
use super::inet::options::value;
use super::{Core, interface};

/// A control message: level, type, contents.
pub type Control = (u32, u32, Vec<u8>);

/// What a socket's options ask to be told of what was received.
pub fn told(core: &Core, attached: &Attached, layout: Layout) -> Vec<Control> {
    let options = &core.options;
    let mut told = options.stamps.told(layout, attached.time_ns, core.family == AF_UNIX);
    if options.is_on(SO_RXQ_OVFL) && attached.drops != 0 {
        told.push((SOL_SOCKET, SO_RXQ_OVFL, attached.drops.to_le_bytes().to_vec()));
    }
    if core.family == AF_UNIX && options.is_on(SO_PASSCRED) {
        let sender = attached.sender;
        told.push((
            SOL_SOCKET,
            SCM_CREDENTIALS,
            Writer::new().i32(sender.pid).u32(sender.uid).u32(sender.gid).finish(),
        ));
    }
    if core.protocol == IPPROTO_TCP && value(core, IPPROTO_TCP, TCP_INQ) != 0 {
        // Bytes left; one for an end that was not read yet.
        let left = core.inbox.borrow().bytes().max(usize::from(core.shut_in.get()));
        told.push((IPPROTO_TCP, TCP_INQ, (left as u32).to_le_bytes().to_vec()));
    }
    if let Some(delivery) = &attached.delivery {
        told.extend(delivered(core, delivery));
    }
    told.extend(attached.error.clone());
    told
}

/// Where a datagram was sent to, with which header, and of how many it consists.
fn delivered(core: &Core, delivery: &Delivery) -> Vec<Control> {
    let mut told = Vec::new();
    let asks = |level: u32, option: u32| value(core, level, option) != 0;
    let number = |number: u8| u32::from(number).to_le_bytes().to_vec();
    let original = |family: u32| address::raw(family, delivery.to);
    if let Some(segment) = delivery.segment {
        told.push((IPPROTO_UDP, UDP_GRO, u32::from(segment).to_le_bytes().to_vec()));
    }
    if core.family == AF_INET6 {
        let to = address::mapped(delivery.to.ip()).octets();
        let info = || Writer::new().raw(&to).u32(interface::INDEX).finish();
        if asks(IPPROTO_IPV6, IPV6_RECVPKTINFO) {
            told.push((IPPROTO_IPV6, IPV6_PKTINFO, info()));
        }
        let bodies = [
            (IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, number(delivery.hops)),
            (IPV6_RECVTCLASS, IPV6_TCLASS, number(delivery.class)),
            (IPV6_2292PKTINFO, IPV6_2292PKTINFO, info()),
            (IPV6_2292HOPLIMIT, IPV6_2292HOPLIMIT, number(delivery.hops)),
            (IPV6_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR, original(AF_INET6)),
        ];
        let wanted = bodies.into_iter().filter(|(option, ..)| delivery.to.is_ipv6() && asks(IPPROTO_IPV6, *option));
        told.extend(wanted.map(|(_, kind, body)| (IPPROTO_IPV6, kind, body)));
    }
    if let IpAddr::V4(to) = delivery.to.ip() {
        let info = Writer::new().u32(interface::INDEX).raw(&own_address(delivery).octets()).raw(&to.octets()).finish();
        let options = &delivery.options;
        let bodies = [
            (IP_PKTINFO, IP_PKTINFO, info),
            (IP_RECVTTL, IP_TTL, number(delivery.hops)),
            (IP_RECVTOS, IP_TOS, vec![delivery.class]),
            (IP_RECVOPTS, IP_RECVOPTS, options.bytes().to_vec()),
            (IP_RETOPTS, IP_RETOPTS, options.answer().bytes().to_vec()),
            (IP_RECVORIGDSTADDR, IP_RECVORIGDSTADDR, original(AF_INET)),
        ];
        // Options are told of if there are any.
        let wanted = bodies.into_iter().filter(|(option, _, body)| asks(IPPROTO_IP, *option) && !body.is_empty());
        told.extend(wanted.map(|(_, kind, body)| (IPPROTO_IP, kind, body)));
    }
    told
}

/// The address that an answer to a datagram would be sent from (`ipi_spec_dst`, `fib_compute_spec_dst`).
fn own_address(delivery: &Delivery) -> Ipv4Addr {
    match (delivery.to.ip(), address::reach(delivery.to.ip())) {
        (IpAddr::V4(to), Reach::Local) => to,
        _ if delivery.from.ip().is_unspecified() => Ipv4Addr::UNSPECIFIED,
        _ => Ipv4Addr::LOCALHOST,
    }
}
