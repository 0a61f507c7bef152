//! Options that are numbers: which there are, what they are at first, what they take.

use std::ops::RangeInclusive;

use abi::Errno;
use abi::socket::*;

use super::options::check_level;
use crate::net::Core;
use crate::stop::Outcome;

/// An option that is a number.
pub(super) struct Number {
    level: u32,
    option: u32,
    /// Its value at first.
    pub initial: i32,
    /// Values it takes; others are `EINVAL`.
    pub values: RangeInclusive<i32>,
    /// What is not zero becomes one.
    pub is_switch: bool,
}

const fn row(level: u32, option: u32, initial: i32, values: RangeInclusive<i32>) -> Number {
    Number { level, option, initial, values, is_switch: false }
}

/// A switch: it takes any number, and what is not zero is one.
const fn switch(level: u32, option: u32, initial: i32) -> Number {
    Number { level, option, initial, values: ANY, is_switch: true }
}

/// An option takes any number, or is looked at by itself.
const ANY: RangeInclusive<i32> = i32::MIN..=i32::MAX;
/// Bytes of a segment on the loopback interface: its MTU less the headers.
pub(super) const SEGMENT_BYTES: u32 = 65_483;
/// Bytes of what is sent in one piece: half of the first window (`tcp_bound_to_half_wnd`).
pub(super) const SENT_SEGMENT_BYTES: u32 = 32_741;
/// `TCP_MAXSEG` before a connection (`TCP_MSS_DEFAULT`).
pub(super) const SEGMENT_BYTES_INITIAL: i32 = 536;
/// The interface's MTU.
pub const MTU_BYTES: u32 = 65_536;
/// Time to live, hop limit (`net.ipv4.ip_default_ttl`).
pub const HOPS: i32 = 64;

const NUMBERS: [Number; 83] = [
    row(IPPROTO_IP, IP_TOS, 0, 0..=255),
    row(IPPROTO_IP, IP_TTL, HOPS, 1..=255),
    switch(IPPROTO_IP, IP_PKTINFO, 0),
    row(IPPROTO_IP, IP_MTU_DISCOVER, 1, 0..=5),
    switch(IPPROTO_IP, IP_RECVERR, 0),
    switch(IPPROTO_IP, IP_RECVOPTS, 0),
    switch(IPPROTO_IP, IP_RECVTTL, 0),
    switch(IPPROTO_IP, IP_RECVORIGDSTADDR, 0),
    switch(IPPROTO_IP, IP_CHECKSUM, 0),
    switch(IPPROTO_IP, IP_RECVFRAGSIZE, 0),
    row(IPPROTO_IP, IP_UNICAST_IF, 0, ANY),
    row(IPPROTO_IP, IP_LOCAL_PORT_RANGE, 0, ANY),
    switch(IPPROTO_IP, IP_RECVTOS, 0),
    switch(IPPROTO_IP, IP_RETOPTS, 0),
    switch(IPPROTO_IP, IP_FREEBIND, 0),
    switch(IPPROTO_IP, IP_TRANSPARENT, 0),
    row(IPPROTO_IP, IP_MINTTL, 0, 0..=255),
    switch(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0),
    row(IPPROTO_IP, IP_MULTICAST_TTL, 1, 0..=255),
    switch(IPPROTO_IP, IP_MULTICAST_LOOP, 1),
    row(IPPROTO_IP, IP_MULTICAST_ALL, 1, 0..=1),
    row(IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOPS, 0..=255),
    row(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1, 0..=255),
    row(IPPROTO_IPV6, IPV6_MULTICAST_IF, 0, 0..=1),
    row(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1, 0..=1),
    switch(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 1),
    row(IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1, 0..=5),
    switch(IPPROTO_IPV6, IPV6_RECVERR, 0),
    switch(IPPROTO_IPV6, IPV6_V6ONLY, 0),
    switch(IPPROTO_IPV6, IPV6_RECVPKTINFO, 0),
    switch(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0),
    switch(IPPROTO_IPV6, IPV6_RECVTCLASS, 0),
    row(IPPROTO_IPV6, IPV6_TCLASS, 0, 0..=255),
    switch(IPPROTO_IPV6, IPV6_DONTFRAG, 0),
    switch(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1),
    row(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, 0, 0..=0x1fff),
    switch(IPPROTO_IPV6, IPV6_FREEBIND, 0),
    switch(IPPROTO_IPV6, IPV6_2292PKTINFO, 0),
    switch(IPPROTO_IPV6, IPV6_2292HOPOPTS, 0),
    switch(IPPROTO_IPV6, IPV6_2292DSTOPTS, 0),
    switch(IPPROTO_IPV6, IPV6_2292RTHDR, 0),
    switch(IPPROTO_IPV6, IPV6_2292HOPLIMIT, 0),
    switch(IPPROTO_IPV6, IPV6_FLOWINFO, 0),
    switch(IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 0),
    switch(IPPROTO_IPV6, IPV6_ROUTER_ALERT_ISOLATE, 0),
    row(IPPROTO_IPV6, IPV6_MTU, 0, ANY),
    switch(IPPROTO_IPV6, IPV6_RECVHOPOPTS, 0),
    switch(IPPROTO_IPV6, IPV6_RECVRTHDR, 0),
    switch(IPPROTO_IPV6, IPV6_RECVDSTOPTS, 0),
    switch(IPPROTO_IPV6, IPV6_RECVPATHMTU, 0),
    row(IPPROTO_IPV6, IPV6_MINHOPCOUNT, 0, 0..=255),
    switch(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 0),
    switch(IPPROTO_IPV6, IPV6_TRANSPARENT, 0),
    row(IPPROTO_IPV6, IPV6_UNICAST_IF, 0, ANY),
    switch(IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 0),
    row(IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 0, 0..=0xffff),
    row(IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, 0, 0..=0xffff),
    switch(IPPROTO_UDP, UDP_CORK, 0),
    row(IPPROTO_UDP, UDP_SEGMENT, 0, 0..=0xffff),
    switch(IPPROTO_UDP, UDP_GRO, 0),
    switch(IPPROTO_UDP, UDP_NO_CHECK6_TX, 0),
    switch(IPPROTO_UDP, UDP_NO_CHECK6_RX, 0),
    switch(IPPROTO_TCP, TCP_NODELAY, 0),
    row(IPPROTO_TCP, TCP_MAXSEG, SEGMENT_BYTES_INITIAL, 0..=32_767),
    switch(IPPROTO_TCP, TCP_CORK, 0),
    row(IPPROTO_TCP, TCP_KEEPIDLE, 7200, 1..=32_767),
    row(IPPROTO_TCP, TCP_KEEPINTVL, 75, 1..=32_767),
    row(IPPROTO_TCP, TCP_KEEPCNT, 9, 1..=127),
    row(IPPROTO_TCP, TCP_SYNCNT, 6, 1..=127),
    row(IPPROTO_TCP, TCP_LINGER2, 60, ANY),
    row(IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, ANY),
    row(IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, ANY),
    switch(IPPROTO_TCP, TCP_QUICKACK, 1),
    row(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 0, 0..=1),
    row(IPPROTO_TCP, TCP_THIN_DUPACK, 0, 0..=1),
    row(IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0..=i32::MAX),
    row(IPPROTO_TCP, TCP_FASTOPEN, 0, 0..=i32::MAX),
    row(IPPROTO_TCP, TCP_SAVE_SYN, 0, 0..=2),
    row(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0, 0..=1),
    row(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 0, 0..=1),
    row(IPPROTO_TCP, TCP_INQ, 0, 0..=1),
    row(IPPROTO_TCP, TCP_TX_DELAY, 0, 0..=i32::MAX),
    row(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, ANY),
];

/// An option that a socket has.
///
/// # Errors
/// `ENOPROTOOPT`, `EOPNOTSUPP`: there is no such option, or level.
pub(super) fn find(core: &Core, level: u32, option: u32) -> Outcome<&'static Number> {
    check_level(core, level)?;
    let found = NUMBERS.iter().find(|number| (number.level, number.option) == (level, option));
    found.ok_or(Errno::ENOPROTOOPT.into())
}

/// The value of an option that is a number, as it was set or is at first.
pub fn value(core: &Core, level: u32, option: u32) -> i32 {
    // An IPv6 socket hears of no group of IPv4 that it has not joined.
    if (core.family, level, option) == (AF_INET6, IPPROTO_IP, IP_MULTICAST_ALL) {
        return core.options.number(level, option).unwrap_or(0);
    }
    let initial = || NUMBERS.iter().find(|number| (number.level, number.option) == (level, option));
    core.options.number(level, option).or_else(|| initial().map(|number| number.initial)).unwrap_or(0)
}
