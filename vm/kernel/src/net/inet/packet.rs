//! Packets as bytes: headers of IP (RFC 791, RFC 8200) and UDP (RFC 768), and checksums (RFC 1071). Raw sockets and filters
//! see them; between sockets of other kinds there are none.

use std::net::{IpAddr, SocketAddr};

use abi::Writer;
use abi::socket::*;

use super::datagrams::Way;
use super::ip_options::IpOptions;

/// Bytes of a header of IPv4 without options, of IPv6, of UDP, of ICMP's echoes.
pub(super) const IP_BYTES: usize = 20;
#[allow(missing_docs)]
pub(super) const IPV6_BYTES: usize = 40;
#[allow(missing_docs)]
pub(super) const UDP_BYTES: usize = 8;
#[allow(missing_docs)]
pub(super) const ECHO_BYTES: usize = 8;
/// "Don't fragment".
const DONT_FRAGMENT: u16 = 0x4000;
/// `ETH_P_IP`, `ETH_P_IPV6`.
const ETHERNET_IP: u16 = 0x0800;
const ETHERNET_IPV6: u16 = 0x86dd;

/// The sum that a checksum is the complement of, in words of 16 bits.
pub(super) fn sum(parts: &[&[u8]]) -> u16 {
    let mut total = 0_u32;
    let mut odd = false;
    for byte in parts.iter().copied().flatten() {
        total += u32::from(*byte) << if odd { 0 } else { 8 };
        odd = !odd;
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// What checksums cover besides the packet: both addresses, the protocol, the length.
pub(super) fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let writer = Writer::new();
    let writer = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => writer.raw(&from.octets()).raw(&to.octets()),
        (from, to) => {
            let [from, to] = [from, to].map(|ip| super::address::mapped(ip).octets());
            writer.raw(&from).raw(&to)
        }
    };
    writer.raw(&(len as u32).to_be_bytes()).raw(&[0, 0, 0, protocol]).finish()
}

/// The header of IP of a packet with `len` bytes behind it. That of IPv4 says `id`.
pub(super) fn ip_header(way: &Way, protocol: u8, len: usize, id: u16) -> Vec<u8> {
    match (way.from.ip(), way.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let options = way.options.bytes();
            let words = ((IP_BYTES + options.len()) / 4) as u8;
            let total = (IP_BYTES + options.len() + len) as u16;
            let flags = if way.is_whole { DONT_FRAGMENT } else { 0 };
            let head = Writer::new().u8(0x40 | words).u8(way.class).raw(&total.to_be_bytes());
            let head = head.raw(&id.to_be_bytes()).raw(&flags.to_be_bytes()).u8(way.hops).u8(protocol).u16(0);
            let mut header = head.raw(&from.octets()).raw(&to.octets()).raw(options).finish();
            let checksum = !sum(&[&header]);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header
        }
        (from, to) => {
            let first = 6 << 28 | u32::from(way.class) << 20;
            let head = Writer::new().raw(&first.to_be_bytes()).raw(&(len as u16).to_be_bytes());
            let [from, to] = [from, to].map(|ip| super::address::mapped(ip).octets());
            head.u8(protocol).u8(way.hops).raw(&from).raw(&to).finish()
        }
    }
}

/// The header of UDP of a datagram. Its checksum covers what is not in the packet only: the rest is left to a device, which
/// on this network never does it.
pub(super) fn udp_header(way: &Way, protocol: u8, len: usize) -> Vec<u8> {
    let total = UDP_BYTES + len;
    let pseudo = pseudo_header(way.from.ip(), way.to.ip(), protocol, total);
    let writer = Writer::new().raw(&way.from.port().to_be_bytes()).raw(&way.to.port().to_be_bytes());
    writer.raw(&(total as u16).to_be_bytes()).raw(&sum(&[&pseudo]).to_be_bytes()).finish()
}

/// The protocol of a packet on an Ethernet.
pub(super) fn ethernet_protocol(way: &Way) -> u16 {
    if way.to.is_ipv4() { ETHERNET_IP } else { ETHERNET_IPV6 }
}

/// A packet of IPv4 that a program has made: its way, its protocol, and where its contents begin. `None` if it is none.
pub(super) fn parse_ip(bytes: &[u8]) -> Option<(Way, u8, usize)> {
    let header_bytes = usize::from(bytes.first()? & 0xf) * 4;
    let header = bytes.get(..header_bytes).filter(|header| header.len() >= IP_BYTES && header[0] >> 4 == 4)?;
    let address = |at: usize| {
        let octets: [u8; 4] = header[at..at + 4].try_into().ok()?;
        Some(SocketAddr::new(octets.into(), 0))
    };
    let options = IpOptions::parse(&header[IP_BYTES..], true).ok()?;
    let is_whole = header[6] & (DONT_FRAGMENT >> 8) as u8 != 0;
    let way = Way { from: address(12)?, to: address(16)?, hops: header[8], class: header[1], is_whole, options };
    Some((way, header[9], header_bytes))
}

/// The number of a protocol as headers have it.
pub(super) const fn number(protocol: u32) -> u8 {
    assert!(protocol < 256);
    protocol as u8
}

/// ICMP's, UDP's.
pub(super) const ICMP: u8 = number(IPPROTO_ICMP);
#[allow(missing_docs)]
pub(super) const ICMPV6: u8 = number(IPPROTO_ICMPV6);
#[allow(missing_docs)]
pub(super) const UDP: u8 = number(IPPROTO_UDP);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_add_up() {
        let way = Way {
            from: "127.0.0.1:1".parse().unwrap(),
            to: "127.0.0.2:2".parse().unwrap(),
            hops: 64,
            class: 0,
            is_whole: true,
            options: IpOptions::default(),
        };
        let header = ip_header(&way, UDP, 100, 0);
        assert_eq!((header.len(), sum(&[&header])), (IP_BYTES, 0xffff));
        let (parsed, protocol, start) = parse_ip(&header).unwrap();
        assert_eq!((parsed.from.ip(), parsed.to.ip(), protocol, start), (way.from.ip(), way.to.ip(), UDP, IP_BYTES));
        assert_eq!(sum(&[&[1, 2, 3], &[4]]), sum(&[&[1, 2], &[3, 4]]));
    }
}
