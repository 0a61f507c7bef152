//! Control messages that tell a receiver more (`cmsg(3)`), but for the files among them.

use std::net::{IpAddr, SocketAddr};

use abi::socket::*;
use abi::{Layout, Writer};

use super::inbox::{Attached, Delivery};
use super::inet::{address, options::value};
use super::{Core, interface};

/// A control message: level, type, contents.
pub type Control = (u32, u32, Vec<u8>);

/// What a socket's options ask to be told of what was received.
pub fn told(core: &Core, attached: &Attached, layout: Layout) -> Vec<Control> {
    let mut told = Vec::new();
    let options = &core.options;
    let stamps = [
        (SO_TIMESTAMP, layout.writer().timeval(attached.time_ns)),
        (SO_TIMESTAMP_NEW, Layout::X86_64.writer().timeval(attached.time_ns)),
        (SO_TIMESTAMPNS, Layout { time_bytes: layout.word_bytes, ..layout }.writer().timespec(attached.time_ns)),
        (SO_TIMESTAMPNS_NEW, Layout::X86_64.writer().timespec(attached.time_ns)),
    ];
    for (option, stamp) in stamps {
        if options.is_on(option) && attached.time_ns != 0 {
            told.push((SOL_SOCKET, option, stamp.finish()));
        }
    }
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
    if let Some(delivery) = attached.delivery {
        told.extend(delivered(core, delivery));
    }
    told.extend(attached.error.clone());
    told
}

/// Where a datagram was sent to, and with which header.
fn delivered(core: &Core, delivery: Delivery) -> Vec<Control> {
    let mut told = Vec::new();
    let asks = |level: u32, option: u32| value(core, level, option) != 0;
    let number = |number: u8| u32::from(number).to_le_bytes().to_vec();
    let address = delivery.port.map(|port| SocketAddr::new(delivery.to, port));
    if core.family == AF_INET6 {
        if asks(IPPROTO_IPV6, IPV6_RECVPKTINFO) {
            let to = address::mapped(delivery.to).octets();
            told.push((IPPROTO_IPV6, IPV6_PKTINFO, Writer::new().raw(&to).u32(interface::INDEX).finish()));
        }
        if asks(IPPROTO_IPV6, IPV6_2292PKTINFO) {
            let to = address::mapped(delivery.to).octets();
            told.push((IPPROTO_IPV6, IPV6_2292PKTINFO, Writer::new().raw(&to).u32(interface::INDEX).finish()));
        }
        if asks(IPPROTO_IPV6, IPV6_2292HOPLIMIT) && delivery.to.is_ipv6() {
            told.push((IPPROTO_IPV6, IPV6_2292HOPLIMIT, number(delivery.hops)));
        }
        if asks(IPPROTO_IPV6, IPV6_RECVHOPLIMIT) && delivery.to.is_ipv6() {
            told.push((IPPROTO_IPV6, IPV6_HOPLIMIT, number(delivery.hops)));
        }
        if asks(IPPROTO_IPV6, IPV6_RECVTCLASS) && delivery.to.is_ipv6() {
            told.push((IPPROTO_IPV6, IPV6_TCLASS, number(delivery.class)));
        }
        if let Some(to) = address.filter(|to| to.is_ipv6() && asks(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR)) {
            told.push((IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, address::raw(AF_INET6, to)));
        }
    }
    if let IpAddr::V4(to) = delivery.to {
        if asks(IPPROTO_IP, IP_PKTINFO) {
            let info = Writer::new().u32(interface::INDEX).raw(&to.octets()).raw(&to.octets()).finish();
            told.push((IPPROTO_IP, IP_PKTINFO, info));
        }
        if asks(IPPROTO_IP, IP_RECVTTL) {
            told.push((IPPROTO_IP, IP_TTL, number(delivery.hops)));
        }
        if asks(IPPROTO_IP, IP_RECVTOS) {
            told.push((IPPROTO_IP, IP_TOS, vec![delivery.class]));
        }
        if let Some(to) = address.filter(|_| asks(IPPROTO_IP, IP_RECVORIGDSTADDR)) {
            told.push((IPPROTO_IP, IP_RECVORIGDSTADDR, address::raw(AF_INET, to)));
        }
    }
    told
}
