//! Internet sockets (`ip(7)`, `ipv6(7)`): TCP, UDP and ICMP over the loopback interface, which is the only one.
//!
//! | module | subject |
//! |---|---|
//! | [`address`] | addresses: as programs write them, which are ours, which can be reached |
//! | [`ports`] | who has which port |
//! | [`tcp`], [`ending`] | connections: how they come about, how they end |
//! | [`deferral`] | connections that a listener is told of when something has come through them |
//! | [`stream`] | what connections carry |
//! | [`udp`], [`sending`] | UDP |
//! | [`datagrams`], [`header`] | what all datagrams have in common; what their headers are to be |
//! | [`ping`], [`raw`] | echoes; packets as they are |
//! | [`icmp`], [`packet`] | how these arrive, and are answered; their bytes |
//! | [`ip_options`] | options in the header of IPv4 |
//! | [`groups`] | groups of receivers |
//! | [`errors`] | what comes back for datagrams that nobody takes |
//! | [`options`], [`numbers`] | options of IP, IPv6, TCP and UDP |
//!
//! Inside, an IPv4 address is always that: IPv6 sockets show it as `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).

pub mod address;
pub mod datagrams;
pub mod deferral;
pub mod ending;
pub mod errors;
pub mod groups;
pub mod header;
pub mod icmp;
pub mod ip_options;
pub mod numbers;
pub mod options;
pub mod packet;
pub mod ping;
pub mod ports;
pub mod raw;
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
use crate::kernel::Kernel;
use crate::stop::Outcome;

/// A new socket of the Internet, if there is such a thing (`inet_create`).
pub fn create(k: &mut Kernel, who: &Credentials, family: u32, kind: u32, protocol: u32) -> Outcome<Rc<dyn Socket>> {
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
        (SOCK_DGRAM, protocol) if protocol == echo => Ok(ping::PingSocket::new(who, family)?),
        (SOCK_RAW, _) if !who.has(CAP_NET_RAW) => Err(Errno::EPERM.into()),
        (SOCK_RAW, 0) => Err(Errno::EPROTONOSUPPORT.into()),
        (SOCK_RAW, _) => Ok(raw::RawSocket::new(k, family, protocol)),
        (SOCK_STREAM | SOCK_DGRAM, _) => Err(Errno::EPROTONOSUPPORT.into()),
        _ => Err(Errno::ESOCKTNOSUPPORT.into()),
    }
}
