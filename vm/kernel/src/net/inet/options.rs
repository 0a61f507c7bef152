//! Options of IP, IPv6, TCP and UDP.
//!
//! Most are numbers that a program sets and reads back, listed in [`NUMBERS`] with their limits. Of these, the ones that
//! show on a network without distance have an effect: `IPV6_V6ONLY`, the time to live and class of service that a
//! datagram arrives with, and what a receiver asks to be told of it. Keep-alives, retransmissions, congestion and
//! delayed segments don't happen here, so the options about them can have none; nor has `TCP_DEFER_ACCEPT`, which is
//! about waking a server less often.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::address::{self, Endpoint, Reach, reach};
use super::tcp::{State, TcpSocket};
use crate::credentials::Credentials;
use crate::kernel::Kernel;
use crate::net::options::number;
use crate::net::{Core, interface};
use crate::stop::Outcome;

/// An option that is a number.
struct Number {
    level: u32,
    option: u32,
    /// Its value at first.
    initial: i32,
    /// Values it takes; others are `EINVAL`.
    values: RangeInclusive<i32>,
}

const fn row(level: u32, option: u32, initial: i32, values: RangeInclusive<i32>) -> Number {
    Number { level, option, initial, values }
}

/// A switch: what is not zero is one.
const SWITCH: RangeInclusive<i32> = i32::MIN..=i32::MAX;
/// Bytes of a segment on the loopback interface: its MTU less the headers.
const SEGMENT_BYTES: u32 = 65_483;
/// `TCP_MAXSEG` before a connection (`TCP_MSS_DEFAULT`).
const SEGMENT_BYTES_INITIAL: i32 = 536;
/// The interface's MTU.
pub const MTU_BYTES: u32 = 65_536;
/// Time to live, hop limit (`net.ipv4.ip_default_ttl`).
pub const HOPS: i32 = 64;

const NUMBERS: [Number; 49] = [
    row(IPPROTO_IP, IP_TOS, 0, 0..=255),
    row(IPPROTO_IP, IP_TTL, HOPS, 1..=255),
    row(IPPROTO_IP, IP_PKTINFO, 0, SWITCH),
    row(IPPROTO_IP, IP_MTU_DISCOVER, 1, 0..=5),
    row(IPPROTO_IP, IP_RECVERR, 0, SWITCH),
    row(IPPROTO_IP, IP_RECVTTL, 0, SWITCH),
    row(IPPROTO_IP, IP_RECVTOS, 0, SWITCH),
    row(IPPROTO_IP, IP_RETOPTS, 0, SWITCH),
    row(IPPROTO_IP, IP_FREEBIND, 0, SWITCH),
    row(IPPROTO_IP, IP_TRANSPARENT, 0, SWITCH),
    row(IPPROTO_IP, IP_MINTTL, 0, 0..=255),
    row(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, SWITCH),
    row(IPPROTO_IP, IP_MULTICAST_TTL, 1, 0..=255),
    row(IPPROTO_IP, IP_MULTICAST_LOOP, 1, SWITCH),
    row(IPPROTO_IP, IP_MULTICAST_ALL, 1, 0..=1),
    row(IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOPS, 0..=255),
    row(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1, 0..=255),
    row(IPPROTO_IPV6, IPV6_MULTICAST_IF, 0, 0..=1),
    row(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1, 0..=1),
    row(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 1, SWITCH),
    row(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1, 0..=5),
    row(IPPROTO_IPV6, IPV6_RECVERR, 0, SWITCH),
    row(IPPROTO_IPV6, IPV6_V6ONLY, 0, SWITCH),
    row(IPPROTO_IPV6, IPV6_RECVPKTINFO, 0, SWITCH),
    row(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0, SWITCH),
    row(IPPROTO_IPV6, IPV6_RECVTCLASS, 0, SWITCH),
    row(IPPROTO_IPV6, IPV6_TCLASS, 0, 0..=255),
    row(IPPROTO_IPV6, IPV6_DONTFRAG, 0, SWITCH),
    row(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1, SWITCH),
    row(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, 0, 0..=0x1fff),
    row(IPPROTO_IPV6, IPV6_FREEBIND, 0, SWITCH),
    row(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 0, 0..=0xffff),
    row(IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, 0, 0..=0xffff),
    row(IPPROTO_TCP, TCP_NODELAY, 0, SWITCH),
    row(IPPROTO_TCP, TCP_MAXSEG, SEGMENT_BYTES_INITIAL, 88..=32_767),
    row(IPPROTO_TCP, TCP_CORK, 0, SWITCH),
    row(IPPROTO_TCP, TCP_KEEPIDLE, 7200, 1..=32_767),
    row(IPPROTO_TCP, TCP_KEEPINTVL, 75, 1..=32_767),
    row(IPPROTO_TCP, TCP_KEEPCNT, 9, 1..=127),
    row(IPPROTO_TCP, TCP_SYNCNT, 6, 1..=127),
    row(IPPROTO_TCP, TCP_LINGER2, 60, i32::MIN..=i32::MAX),
    row(IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, i32::MIN..=i32::MAX),
    row(IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, i32::MIN..=i32::MAX),
    row(IPPROTO_TCP, TCP_QUICKACK, 1, SWITCH),
    row(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0, 0..=1),
    row(IPPROTO_TCP, TCP_THIN_DUPACK, 0, 0..=1),
    row(IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0..=i32::MAX),
    row(IPPROTO_TCP, TCP_FASTOPEN, 0, 0..=i32::MAX),
    row(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, i32::MIN..=i32::MAX),
];

/// Names of congestion control algorithms, the only one there is.
const CONGESTION: &[u8] = b"cubic";
/// Bytes of such a name (`TCP_CA_NAME_MAX`).
const CONGESTION_BYTES: usize = 16;

/// Refuses levels that a socket does not have.
fn check_level(core: &Core, level: u32) -> Outcome<()> {
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

fn find(core: &Core, level: u32, option: u32) -> Outcome<&'static Number> {
    check_level(core, level)?;
    let found = NUMBERS.iter().find(|number| (number.level, number.option) == (level, option));
    found.ok_or(Errno::ENOPROTOOPT.into())
}

/// The value of an option that is a number, as it was set or is at first.
pub fn value(core: &Core, level: u32, option: u32) -> i32 {
    let initial = || NUMBERS.iter().find(|number| (number.level, number.option) == (level, option));
    core.options.number(level, option).or_else(|| initial().map(|number| number.initial)).unwrap_or(0)
}

/// `getsockopt` at the levels of the Internet.
pub fn get(_k: &mut Kernel, core: &Core, endpoint: &Endpoint, level: u32, option: u32) -> Outcome<Vec<u8>> {
    match (level, option) {
        (SOL_SOCKET, _) => return Err(Errno::ENOPROTOOPT.into()),
        (IPPROTO_IP, IP_OPTIONS) => return Ok(Vec::new()),
        (IPPROTO_IP, IP_MULTICAST_IF) => return Ok(number(0)),
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
            return Ok(number(SEGMENT_BYTES));
        }
        _ => {}
    }
    find(core, level, option)?;
    Ok(number(value(core, level, option) as u32))
}

/// The number in a value: options of IP take a byte too.
fn number_in(level: u32, value: &[u8]) -> Outcome<i32> {
    match value.len() {
        4.. => Ok(Reader::new(value).i32()),
        1.. if level == IPPROTO_IP => Ok(value[0].into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `setsockopt` at the levels of the Internet.
pub fn set(core: &Core, endpoint: &Endpoint, who: &Credentials, level: u32, option: u32, raw: &[u8]) -> Outcome<()> {
    match (level, option) {
        (SOL_SOCKET, _) => return Err(Errno::ENOPROTOOPT.into()),
        (IPPROTO_IP, IP_ADD_MEMBERSHIP | IP_DROP_MEMBERSHIP | IP_MULTICAST_IF)
        | (IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP | IPV6_DROP_MEMBERSHIP) => {
            return set_multicast(core, endpoint, level, option, raw);
        }
        (IPPROTO_TCP, TCP_CONGESTION) if core.protocol == IPPROTO_TCP => {
            let name = raw.split(|byte| *byte == 0).next().unwrap_or_default();
            return if name == CONGESTION { Ok(()) } else { Err(Errno::ENOENT.into()) };
        }
        (IPPROTO_IP, IP_OPTIONS) if raw.is_empty() => return Ok(()),
        _ => {}
    }
    let row = find(core, level, option)?;
    let wanted = number_in(level, raw)?;
    let is_switch = row.values == SWITCH && matches!(row.initial, 0 | 1) && !matches!(option, TCP_DEFER_ACCEPT);
    // -1 is the value at first, where zero is not.
    let wanted = match (level, option) {
        (IPPROTO_IP, IP_TTL | IP_MULTICAST_TTL)
        | (IPPROTO_IPV6, IPV6_UNICAST_HOPS | IPV6_MULTICAST_HOPS | IPV6_TCLASS)
            if wanted == -1 =>
        {
            row.initial
        }
        (IPPROTO_IP, IP_TOS) => wanted & 0xff,
        (IPPROTO_IP | IPPROTO_IPV6 | IPPROTO_TCP | IPPROTO_UDP, _) if is_switch && level != IPPROTO_TCP => {
            i32::from(wanted != 0)
        }
        (IPPROTO_TCP, TCP_NODELAY | TCP_CORK | TCP_QUICKACK) => i32::from(wanted != 0),
        _ => wanted,
    };
    match (level, option) {
        (IPPROTO_IP, IP_TRANSPARENT) if wanted != 0 && !who.is_privileged() => return Err(Errno::EPERM.into()),
        (IPPROTO_IPV6, IPV6_V6ONLY) if endpoint.holds_port.get() => return Err(Errno::EINVAL.into()),
        _ if !row.values.contains(&wanted) => return Err(Errno::EINVAL.into()),
        _ => {}
    }
    core.options.set_number(level, option, wanted);
    Ok(())
}

/// Groups can be joined, on the one interface; what is sent to them goes nowhere, as there is no route.
fn set_multicast(core: &Core, endpoint: &Endpoint, level: u32, option: u32, raw: &[u8]) -> Outcome<()> {
    if level == IPPROTO_IPV6 && core.family != AF_INET6 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let mut reader = Reader::new(raw);
    match (level, raw.len()) {
        (IPPROTO_IP, 4) if option == IP_MULTICAST_IF => {
            let interface = IpAddr::from(reader.u32().to_le_bytes());
            let known = reach(interface) == Reach::Local;
            if known { Ok(()) } else { Err(Errno::EADDRNOTAVAIL.into()) }
        }
        (IPPROTO_IP, 8..) => {
            let (group, interface) = (reader.u32().to_le_bytes(), IpAddr::from(reader.u32().to_le_bytes()));
            // Without an interface the route decides, and there is none.
            let is_ours = reach(interface) == Reach::Local && !interface.is_unspecified();
            change_membership(endpoint, group.into(), is_ours, option == IP_ADD_MEMBERSHIP)
        }
        (IPPROTO_IPV6, 20..) => {
            let group: [u8; 16] = std::array::from_fn(|_| reader.u8());
            let is_ours = reader.u32() == interface::INDEX;
            change_membership(endpoint, group.into(), is_ours, option == IPV6_ADD_MEMBERSHIP)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Joins or leaves a group.
fn change_membership(endpoint: &Endpoint, group: IpAddr, is_ours: bool, joins: bool) -> Outcome<()> {
    /// Groups that a socket may join (`net.ipv4.igmp_max_memberships`).
    const GROUPS_MAX: usize = 20;
    let mut groups = endpoint.groups.borrow_mut();
    match groups.iter().position(|member| *member == group) {
        _ if !group.is_multicast() => Err(Errno::EINVAL.into()),
        _ if !is_ours => Err(Errno::ENODEV.into()),
        Some(_) if joins => Err(Errno::EADDRINUSE.into()),
        None if joins && groups.len() >= GROUPS_MAX => Err(Errno::ENOBUFS.into()),
        None if joins => {
            groups.push(group);
            Ok(())
        }
        Some(index) => {
            groups.swap_remove(index);
            Ok(())
        }
        None => Err(Errno::EADDRNOTAVAIL.into()),
    }
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
    let segment = if socket.addresses().1.is_some() { SEGMENT_BYTES } else { SEGMENT_BYTES_INITIAL as u32 };
    let receive_bytes = socket.core.options.receive_bytes.get();
    let writer = Writer::new().u8(state as u8).u8(0).u8(0).u8(0).u8(0).u8(0).u8(0x77).u8(0);
    let writer = writer.u32(RETRANSMIT_US).u32(ACKNOWLEDGE_US).u32(segment).u32(segment);
    let writer = writer.u32(unacked).u32(sacked).u32(0).u32(0).u32(0);
    // Times of the last events; path MTU, window limits, round trips.
    let writer = writer.u32(0).u32(0).u32(0).u32(0).u32(MTU_BYTES).u32(receive_bytes).u32(0).u32(0);
    let writer = writer.u32(i32::MAX as u32).u32(WINDOW_SEGMENTS).u32(segment).u32(3).u32(0).u32(receive_bytes);
    let writer = writer.u32(0).u64(u64::MAX).u64(u64::MAX);
    let writer = writer.u64(socket.sent_bytes.get()).u64(socket.received_bytes.get());
    writer.pad_to(BYTES).finish()
}
