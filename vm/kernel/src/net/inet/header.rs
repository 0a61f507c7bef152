//! What the header of a datagram is to be, as far as the call that sends it says so, by control messages (`ip(7)`,
//! `ipv6(7)`, `udp(7)`).

use std::net::{IpAddr, Ipv6Addr};

use abi::socket::*;
use abi::{Errno, Reader};

use super::ip_options::IpOptions;
use crate::net::control::Control;
use crate::stop::Outcome;

/// What a call says of a datagram's header.
#[derive(Clone, Default)]
pub(super) struct Header {
    /// The address it is sent from (`IP_PKTINFO`, `IPV6_PKTINFO`).
    pub source: Option<IpAddr>,
    /// The interface it is sent by; 0 is any.
    pub interface: u32,
    /// Time to live, hop limit.
    pub hops: Option<u8>,
    /// Class of service.
    pub class: Option<u8>,
    /// Options of IPv4 (`IP_RETOPTS`).
    pub options: Option<IpOptions>,
    /// Bytes of each datagram that it is cut into (`UDP_SEGMENT`).
    pub segment: Option<u16>,
    /// The protocol, for raw sockets.
    pub protocol: Option<u8>,
}

fn refused<T>() -> Outcome<T> {
    Err(Errno::EINVAL.into())
}

/// An `int` in a range.
fn int(body: &[u8], values: std::ops::RangeInclusive<i32>) -> Outcome<i32> {
    let value = if body.len() == 4 { Reader::new(body).i32() } else { return refused() };
    if values.contains(&value) { Ok(value) } else { refused() }
}

impl Header {
    /// What control messages say of a datagram to an address of IPv4 or IPv6 (`ip_cmsg_send`, `ip6_datagram_send_ctl`,
    /// `udp_cmsg_send`). Messages at other levels are not looked at.
    pub fn said(control: &[Control], to: IpAddr, protocol: u32, is_privileged: bool) -> Outcome<Self> {
        let mut header = Self::default();
        for (level, kind, body) in control {
            match *level {
                SOL_SOCKET => Self::check_socket(*kind, body, is_privileged)?,
                IPPROTO_UDP if protocol != IPPROTO_UDP => {}
                IPPROTO_UDP => match (*kind, body[..].try_into()) {
                    (UDP_SEGMENT, Ok(bytes)) => header.segment = Some(u16::from_le_bytes(bytes)),
                    _ => return refused(),
                },
                IPPROTO_IP if to.is_ipv4() => header.read_ip(*kind, body, is_privileged)?,
                IPPROTO_IPV6 if to.is_ipv6() => header.read_ipv6(*kind, body)?,
                // To an address of IPv4 an IPv6 socket may say it like this, too.
                IPPROTO_IPV6 if *kind == IPV6_PKTINFO && body.len() == 20 => {
                    let (ip, interface) = packet_info(body);
                    let Some(ip) = ip.to_ipv4_mapped() else { return refused() };
                    (header.source, header.interface) = (Some(ip.into()), interface);
                }
                _ => {}
            }
        }
        Ok(header)
    }

    /// Messages for any socket: they are taken, and have no effect on this network.
    fn check_socket(kind: u32, body: &[u8], is_privileged: bool) -> Outcome<()> {
        /// `SOF_TIMESTAMPING_TX_*`: what of a packet's way out may be stamped.
        const STAMPED: i32 = 1 << 0 | 1 << 1 | 1 << 8 | 1 << 9;
        match kind {
            SCM_RIGHTS | SCM_CREDENTIALS => Ok(()),
            SO_MARK if !is_privileged => Err(Errno::EPERM.into()),
            SO_MARK => int(body, i32::MIN..=i32::MAX).map(drop),
            SO_PRIORITY => match int(body, i32::MIN..=i32::MAX)? {
                0..=6 => Ok(()),
                _ if is_privileged => Ok(()),
                _ => Err(Errno::EPERM.into()),
            },
            SO_TIMESTAMPING | SO_TIMESTAMPING_NEW => match int(body, i32::MIN..=i32::MAX)? {
                flags if flags & !STAMPED == 0 => Ok(()),
                _ => refused(),
            },
            _ => refused(),
        }
    }

    fn read_ip(&mut self, kind: u32, body: &[u8], is_privileged: bool) -> Outcome<()> {
        match (kind, body.len()) {
            (IP_RETOPTS, len) => {
                let options = &body[..len.min(IpOptions::BYTES_MAX)];
                self.options = Some(IpOptions::parse(options, is_privileged)?);
            }
            (IP_PKTINFO, 12) => {
                let mut reader = Reader::new(body);
                let (interface, ip) = (reader.u32(), reader.u32());
                self.interface = interface;
                self.source = Some(IpAddr::from(ip.to_le_bytes())).filter(|ip| !ip.is_unspecified());
            }
            (IP_TTL, _) => self.hops = Some(int(body, 1..=255)? as u8),
            (IP_TOS, 1) => self.class = Some(body[0]),
            (IP_TOS, _) => self.class = Some(int(body, 0..=255)? as u8),
            (IP_PROTOCOL, _) => self.protocol = Some(int(body, 1..=255)? as u8),
            _ => return refused(),
        }
        Ok(())
    }

    fn read_ipv6(&mut self, kind: u32, body: &[u8]) -> Outcome<()> {
        match (kind, body.len()) {
            (IPV6_PKTINFO | IPV6_2292PKTINFO, 20) => {
                let (ip, interface) = packet_info(body);
                self.interface = interface;
                self.source = Some(IpAddr::from(ip)).filter(|ip| !ip.is_unspecified());
            }
            (IPV6_HOPLIMIT | IPV6_2292HOPLIMIT, _) => {
                self.hops = u8::try_from(int(body, -1..=255)?).ok();
            }
            // Linux takes -1 as it is.
            (IPV6_TCLASS, _) => self.class = Some(int(body, -1..=255)? as u8),
            (IPV6_DONTFRAG, _) => drop(int(body, 0..=1)?),
            _ => return refused(),
        }
        Ok(())
    }
}

/// The address and the interface in a `struct in6_pktinfo`.
fn packet_info(body: &[u8]) -> (Ipv6Addr, u32) {
    let mut reader = Reader::new(body);
    let ip = std::array::from_fn::<u8, 16, _>(|_| reader.u8());
    (ip.into(), reader.u32())
}
