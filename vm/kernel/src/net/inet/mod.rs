//! Internet sockets (`ip(7)`, `ipv6(7)`): TCP and UDP over the loopback interface, which is the only one.
//!
//! | module | subject |
//! |---|---|
//! | [`address`] | addresses: as programs write them, which are ours, which can be reached |
//! | [`ports`] | who has which port |
//! | [`tcp`], [`ending`] | connections: how they come about, how they end |
//! | [`deferral`] | connections that a listener is told of when something has come through them |
//! | [`stream`] | what connections carry |
//! | [`udp`], [`sending`] | datagrams |
//! | [`errors`] | what comes back for datagrams that nobody takes |
//! | [`options`], [`numbers`] | options of IP, IPv6, TCP and UDP |
//!
//! Inside, an IPv4 address is always that: IPv6 sockets show it as `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).

pub mod address;
pub mod deferral;
pub mod ending;
pub mod errors;
pub mod numbers;
pub mod options;
pub mod ports;
pub mod sending;
pub mod stream;
pub mod tcp;
pub mod udp;

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_NET_RAW;
use abi::socket::*;

use super::Socket;
use crate::credentials::Credentials;
use crate::stop::Outcome;

/// A new socket of the Internet, if there is such a thing (`inet_create`).
pub fn create(who: &Credentials, family: u32, kind: u32, protocol: u32) -> Outcome<Rc<dyn Socket>> {
    /// Protocols end here (`IPPROTO_MAX`).
    const PROTOCOLS: u32 = 263;
    if protocol >= PROTOCOLS {
        return Err(Errno::EINVAL.into());
    }
    let echo = if family == AF_INET { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    match (kind, protocol) {
        (SOCK_STREAM, 0 | IPPROTO_TCP) => Ok(tcp::TcpSocket::new(family)),
        (SOCK_DGRAM, 0 | IPPROTO_UDP) => Ok(udp::UdpSocket::new(family, IPPROTO_UDP)),
        (SOCK_DGRAM, IPPROTO_UDPLITE) => Ok(udp::UdpSocket::new(family, IPPROTO_UDPLITE)),
        // Nobody is in the groups that may (`net.ipv4.ping_group_range`).
        (SOCK_DGRAM, protocol) if protocol == echo => Err(Errno::EACCES.into()),
        (SOCK_RAW, 0) if who.has(CAP_NET_RAW) => Err(Errno::EPROTONOSUPPORT.into()),
        // Nobody has CAP_NET_RAW, as in a container that was not given it.
        (SOCK_RAW, _) => Err(Errno::EPERM.into()),
        (SOCK_STREAM | SOCK_DGRAM, _) => Err(Errno::EPROTONOSUPPORT.into()),
        _ => Err(Errno::ESOCKTNOSUPPORT.into()),
    }
}
