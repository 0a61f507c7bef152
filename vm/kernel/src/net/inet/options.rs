//! Options of IP, IPv6, TCP and UDP.
//!
//! Most are numbers that a program sets and reads back, listed in [`super::numbers`] with their limits. Of these, the ones that
//! show on a network without distance have an effect: `IPV6_V6ONLY`, the header that a datagram arrives with, what a
//! receiver asks to be told of it, groups of receivers ([`super::groups`]); [`super::deferral`] is another. Keep-alives,
//! retransmissions, congestion and delayed segments don't happen here, so the options about them can have none.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use abi::capability::CAP_NET_RAW;
use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::address::{self, Endpoint};
use super::deferral::rounded_seconds;
use super::groups;
use super::ip_options::IpOptions;
pub use super::numbers::{HOPS, MTU_BYTES, value};
use super::numbers::{Number, SEGMENT_BYTES, SEGMENT_BYTES_INITIAL, SENT_SEGMENT_BYTES, find};
use super::ports::EPHEMERAL;
use super::tcp::{State, TcpSocket};
use crate::credentials::Credentials;
use crate::kernel::Kernel;
use crate::net::options::number;
use crate::net::{Core, interface};
use crate::stop::Outcome;

/// Names of congestion control algorithms, the only one there is.
pub const CONGESTION: &[u8] = b"cubic";
/// Bytes of such a name (`TCP_CA_NAME_MAX`).
const CONGESTION_BYTES: usize = 16;

/// Refuses levels that a socket does not have.
pub(super) fn check_level(core: &Core, level: u32) -> Outcome<()> {
    let unsupported = match level {
        IPPROTO_IP => false,
        IPPROTO_IPV6 => core.family != AF_INET6,
        IPPROTO_TCP | IPPROTO_UDP | IPPROTO_UDPLITE if core.protocol == level => false,
        // IPv6 hands on only what is IP's.
        _ if core.family == AF_INET6 => return Err(Errno::ENOPROTOOPT.into()),
        _ => true,
    };
    if unsupported { Err(Errno::EOPNOTSUPP.into()) } else { Ok(()) }
}

/// `getsockopt` at the levels of the Internet.
pub fn get(_k: &mut Kernel, core: &Core, endpoint: &Endpoint, level: u32, option: u32) -> Outcome<Vec<u8>> {
    match (level, option) {
        (SOL_SOCKET, _) => return Err(Errno::ENOPROTOOPT.into()),
        (IPPROTO_IP, IP_OPTIONS) => return Ok(endpoint.options.borrow().bytes().to_vec()),
        (IPPROTO_IP, IP_MULTICAST_IF) => return Ok(endpoint.group_interface.get().1.octets().to_vec()),
        (IPPROTO_IP, IP_HDRINCL | IP_ROUTER_ALERT) => return Ok(number(0)),
        (IPPROTO_IP, IP_PKTOPTIONS) if core.kind == SOCK_STREAM => return Ok(Vec::new()),
        (IPPROTO_TCP, TCP_CONGESTION) if core.protocol == IPPROTO_TCP => {
            return Ok(Writer::new().raw(CONGESTION).pad_to(CONGESTION_BYTES).finish());
        }
        (IPPROTO_IP, IP_MTU) | (IPPROTO_IPV6, IPV6_MTU) => {
            check_level(core, level)?;
            let connected = endpoint.remote.get().ok_or(Errno::ENOTCONN);
            // IPv4 packets are no longer than their length field can say.
            let bytes = if level == IPPROTO_IP { MTU_BYTES - 1 } else { MTU_BYTES };
            return connected.map(|_| number(bytes)).map_err(Into::into);
        }
        (IPPROTO_TCP, TCP_MAXSEG) if core.protocol == IPPROTO_TCP && endpoint.remote.get().is_some() => {
            return Ok(number(SENT_SEGMENT_BYTES));
        }
        _ => {}
    }
    find(core, level, option)?;
    Ok(number(value(core, level, option) as u32))
}

/// The number in a value: an `int`, or a byte.
///
/// # Errors
/// `EINVAL` if there is none.
pub(super) fn small_number(value: &[u8]) -> Outcome<i32> {
    number_in(IPPROTO_IP, IP_TTL, value)
}

/// The number in a value. Options of IP take a byte too, or most of them nothing for zero; so do a few of IPv6.
fn number_in(level: u32, option: u32, value: &[u8]) -> Outcome<i32> {
    const NEEDS_A_BYTE: [u32; 7] =
        [IP_TTL, IP_FREEBIND, IP_TRANSPARENT, IP_MINTTL, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL];
    const NEEDS_ALL: [u32; 2] = [IP_UNICAST_IF, IP_LOCAL_PORT_RANGE];
    const NEEDS_NONE_V6: [u32; 3] = [IPV6_DONTFRAG, IPV6_AUTOFLOWLABEL, IPV6_RECVFRAGSIZE];
    match (level, value.len()) {
        (_, 4..) => Ok(Reader::new(value).i32()),
        (IPPROTO_IP, 1..) if !NEEDS_ALL.contains(&option) => Ok(value[0].into()),
        (IPPROTO_IP, 0) if !NEEDS_ALL.contains(&option) && !NEEDS_A_BYTE.contains(&option) => Ok(0),
        (IPPROTO_IPV6, _) if NEEDS_NONE_V6.contains(&option) => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// The number that an option becomes, if it takes the one wanted.
fn number_for(core: &Core, row: &Number, level: u32, option: u32, wanted: i32) -> Outcome<i32> {
    /// Bits of the class of service that TCP has for itself (RFC 3168).
    const CONGESTION_BITS: i32 = 3;
    /// Least bytes of an IPv6 packet that need not be cut (RFC 8200).
    const MTU_BYTES_MIN_V6: i32 = 1280;
    const SEGMENT_BYTES_MIN: i32 = 88;
    let is_stream = core.protocol == IPPROTO_TCP;
    let own_class = if is_stream { !CONGESTION_BITS } else { !0 };
    // -1 is the value at first, where zero is not.
    let number = match (level, option) {
        (IPPROTO_IP, IP_MULTICAST_TTL) if is_stream => return Err(Errno::EINVAL.into()),
        (IPPROTO_IP, IP_TTL | IP_MULTICAST_TTL)
        | (IPPROTO_IPV6, IPV6_UNICAST_HOPS | IPV6_MULTICAST_HOPS | IPV6_TCLASS)
            if wanted == -1 =>
        {
            row.initial
        }
        (IPPROTO_IP, IP_TOS) => wanted & 0xff & own_class,
        (IPPROTO_IPV6, IPV6_TCLASS) if row.values.contains(&wanted) => wanted & own_class,
        (IPPROTO_IP, IP_UNICAST_IF) | (IPPROTO_IPV6, IPV6_UNICAST_IF) => {
            let index = (wanted as u32).swap_bytes();
            return if index <= interface::INDEX { Ok(wanted) } else { Err(Errno::EADDRNOTAVAIL.into()) };
        }
        (IPPROTO_IP, IP_LOCAL_PORT_RANGE) => {
            let (first, last) = halves(wanted);
            let is_empty = first != 0 && last != 0 && first > last;
            return if is_empty { Err(Errno::EINVAL.into()) } else { Ok(wanted) };
        }
        (IPPROTO_IPV6, IPV6_MULTICAST_IF) if wanted as u32 > interface::INDEX => return Err(Errno::ENODEV.into()),
        (IPPROTO_IPV6, IPV6_MTU) if wanted != 0 && wanted < MTU_BYTES_MIN_V6 => return Err(Errno::EINVAL.into()),
        (IPPROTO_TCP, TCP_MAXSEG) if wanted == 0 => row.initial,
        (IPPROTO_TCP, TCP_MAXSEG) if wanted < SEGMENT_BYTES_MIN => return Err(Errno::EINVAL.into()),
        (IPPROTO_TCP, TCP_DEFER_ACCEPT) => rounded_seconds(wanted),
        _ if row.is_switch => i32::from(wanted != 0),
        _ => wanted,
    };
    if row.values.contains(&number) { Ok(number) } else { Err(Errno::EINVAL.into()) }
}

/// The two halves of a number: first and last port (`IP_LOCAL_PORT_RANGE`).
fn halves(number: i32) -> (u16, u16) {
    (number as u16, (number as u32 >> 16) as u16)
}

/// The ports that a socket may be given without asking for a certain one (`inet_sk_get_local_port_range`).
pub(super) fn ephemeral_ports(core: &Core) -> RangeInclusive<u16> {
    let (first, last) = halves(value(core, IPPROTO_IP, IP_LOCAL_PORT_RANGE));
    let (all_first, all_last) = (*EPHEMERAL.start(), *EPHEMERAL.end());
    let first = if first != 0 && first <= all_last { first.max(all_first) } else { all_first };
    let last = if last != 0 && last >= first { last.min(all_last) } else { all_last };
    first..=last
}

/// `setsockopt` at the levels of the Internet.
pub fn set(core: &Core, endpoint: &Endpoint, who: &Credentials, level: u32, option: u32, raw: &[u8]) -> Outcome<()> {
    if let Some(outcome) = groups::set(core, endpoint, level, option, raw) {
        return outcome;
    }
    match (level, option) {
        (SOL_SOCKET, _) => return Err(Errno::ENOPROTOOPT.into()),
        (IPPROTO_TCP, TCP_CONGESTION) if core.protocol == IPPROTO_TCP => {
            let name = raw.split(|byte| *byte == 0).next().unwrap_or_default();
            return if name == CONGESTION { Ok(()) } else { Err(Errno::ENOENT.into()) };
        }
        (IPPROTO_IP, IP_OPTIONS) => {
            *endpoint.options.borrow_mut() = IpOptions::parse(raw, who.has(CAP_NET_RAW))?;
            return Ok(());
        }
        // For raw sockets only, which there are none of.
        (IPPROTO_IP, IP_ROUTER_ALERT) => return Err(Errno::EINVAL.into()),
        _ => {}
    }
    let row = find(core, level, option)?;
    let number = number_for(core, row, level, option, number_in(level, option, raw)?)?;
    let is_transparent = matches!((level, option), (IPPROTO_IP, IP_TRANSPARENT) | (IPPROTO_IPV6, IPV6_TRANSPARENT));
    if is_transparent && number != 0 && !who.has(CAP_NET_RAW) {
        return Err(Errno::EPERM.into());
    }
    if (level, option) == (IPPROTO_IPV6, IPV6_V6ONLY) && endpoint.holds_port.get() {
        return Err(Errno::EINVAL.into());
    }
    core.options.set_number(level, option, number);
    Ok(())
}

/// The address that `bind` is given (`inet_bind`, `inet6_bind`). An IPv4 socket takes "any" without a family, too.
pub fn bind_address(core: &Core, raw: &[u8]) -> Outcome<SocketAddr> {
    let parsed = address::parse(core.family, raw);
    match parsed {
        Err(stop) if core.family == AF_INET && stop.is(Errno::EAFNOSUPPORT) => {
            let mut reader = Reader::new(raw);
            let (family, port, ip) = (reader.u16(), reader.u16().swap_bytes(), reader.u32());
            let is_any = u32::from(family) == AF_UNSPEC && ip == 0;
            if is_any { Ok(SocketAddr::new(address::any(AF_INET), port)) } else { Err(stop) }
        }
        Ok(to) if core.family == AF_INET6 && to.is_ipv4() && address::is_v6_only(core) => Err(Errno::EINVAL.into()),
        parsed => parsed,
    }
}

/// `struct tcp_info` (`linux/tcp.h`): what is true of a connection without distance, loss and delay.
pub fn tcp_info(socket: &TcpSocket) -> Vec<u8> {
    /// Bytes of the struct, up to `tcpi_snd_wnd`.
    const BYTES: usize = 232;
    /// Retransmission timeout and delayed acknowledgement at first, in microseconds.
    const RETRANSMIT_US: u32 = 200_000;
    const ACKNOWLEDGE_US: u32 = 40_000;
    const WINDOW_SEGMENTS: u32 = 10;
    let state = socket.state();
    let (unacked, sacked) = match state {
        State::Listen => {
            let backlog = socket.backlog.borrow();
            (backlog.ready.len() as u32, backlog.max as u32)
        }
        _ => (0, 0),
    };
    // Time stamps, selective acknowledgements, window scaling: what Linux uses with itself (`TCPI_OPT_*`).
    let is_connected = socket.addresses().1.is_some();
    let (agreed, scales) = if is_connected { (7, 0xaa) } else { (0, 0) };
    let (own_segment, segment, path) = match state {
        _ if is_connected => (SENT_SEGMENT_BYTES, SEGMENT_BYTES, MTU_BYTES - 1),
        State::Listen => (0, 0, 0),
        _ => (SEGMENT_BYTES_INITIAL as u32, 0, 0),
    };
    let receive_bytes = socket.core.options.receive_bytes.get();
    let writer = Writer::new().u8(state as u8).u8(0).u8(0).u8(0).u8(0).u8(agreed).u8(scales).u8(0);
    let writer = writer.u32(RETRANSMIT_US).u32(ACKNOWLEDGE_US).u32(own_segment).u32(SEGMENT_BYTES_INITIAL as u32);
    let writer = writer.u32(unacked).u32(sacked).u32(0).u32(0).u32(0);
    // Times of the last events; path MTU, window limits, round trips.
    let writer = writer.u32(0).u32(0).u32(0).u32(0).u32(path).u32(receive_bytes).u32(0).u32(0);
    let writer = writer.u32(i32::MAX as u32).u32(WINDOW_SEGMENTS).u32(segment).u32(3).u32(0).u32(receive_bytes);
    let writer = writer.u32(0).u64(u64::MAX).u64(u64::MAX);
    let writer = writer.u64(socket.sent_bytes.get()).u64(socket.received_bytes.get());
    writer.pad_to(BYTES).finish()
}
