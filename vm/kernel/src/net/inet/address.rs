//! Addresses of the Internet: as programs write them, which are ours, which can be reached.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::groups::Membership;
use super::ip_options::IpOptions;
use crate::net::Core;
use crate::net::inbox::RawAddress;
use crate::stop::Outcome;

/// Bytes of a `struct sockaddr_in`, and the least of a `struct sockaddr_in6` (RFC 2133 had no scope).
const INET_BYTES: usize = 16;
const INET6_BYTES_MIN: usize = 24;
/// First port that needs no privilege (`net.ipv4.ip_unprivileged_port_start`).
pub const UNPRIVILEGED_PORT: u16 = 1024;

/// Where what is sent to an address goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Here.
    Local,
    /// To everyone on the loopback network.
    Broadcast,
    /// To the members of a group.
    Multicast,
    /// Nowhere: there is no route.
    Nowhere,
}

/// Where what is sent to an address goes. The routes are those of the loopback interface alone.
pub fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) if ip == Ipv4Addr::new(127, 255, 255, 255) => Reach::Broadcast,
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => Reach::Local,
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unspecified() => Reach::Local,
        IpAddr::V4(ip) if ip.is_multicast() => Reach::Multicast,
        IpAddr::V6(ip) if ip.is_multicast() => Reach::Multicast,
        _ => Reach::Nowhere,
    }
}

/// Whether an address may be bound: ours, any of ours, or one of several receivers'.
pub fn is_bindable(ip: IpAddr) -> bool {
    reach(ip) != Reach::Nowhere || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// The address of a destination: sending to "any" means oneself.
pub fn destination(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The address that a socket without one of its own sends from.
pub fn source(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The address "any" of a family.
pub fn any(family: u32) -> IpAddr {
    if family == AF_INET { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// The family of a raw address.
pub fn family_of(raw: &[u8]) -> u32 {
    Reader::new(raw).u16().into()
}

/// Reads a `struct sockaddr_in` or `sockaddr_in6`, for a socket of that family.
pub fn parse(family: u32, raw: &[u8]) -> Outcome<SocketAddr> {
    let least = if family == AF_INET { INET_BYTES } else { INET6_BYTES_MIN };
    if raw.len() < least {
        return Err(Errno::EINVAL.into());
    }
    if family_of(raw) != family {
        return Err(Errno::EAFNOSUPPORT.into());
    }
    Ok(parse_known(raw))
}

/// Where `connect(2)` of a socket of that family goes; `None` is to nobody any more (`AF_UNSPEC`).
pub fn parse_peer(family: u32, raw: &[u8]) -> Outcome<Option<SocketAddr>> {
    if raw.len() < 2 {
        return Err(Errno::EINVAL.into());
    }
    if family_of(raw) == AF_UNSPEC { Ok(None) } else { parse(family, raw).map(Some) }
}

/// Reads either, whatever the length.
pub fn parse_known(raw: &[u8]) -> SocketAddr {
    let mut reader = Reader::new(raw);
    let (family, port) = (u32::from(reader.u16()), reader.u16().swap_bytes());
    let ip = if family == AF_INET {
        IpAddr::from(reader.u32().to_le_bytes())
    } else {
        let _flow = reader.u32();
        let halves = [reader.u64(), reader.u64()].map(u64::to_le_bytes);
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&halves[0]);
        octets[8..].copy_from_slice(&halves[1]);
        IpAddr::from(octets).to_canonical()
    };
    SocketAddr::new(ip, port)
}

/// An address in the form of IPv6.
pub fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// The `struct sockaddr_in` or `sockaddr_in6` that a socket of a family shows.
pub fn raw(family: u32, address: SocketAddr) -> RawAddress {
    let writer = Writer::new().u16(family as u16).raw(&address.port().to_be_bytes());
    match (family, address.ip()) {
        (AF_INET, IpAddr::V4(ip)) => writer.raw(&ip.octets()).pad_to(INET_BYTES).finish(),
        // An IPv4 socket has no address of IPv6.
        (AF_INET, IpAddr::V6(_)) => writer.pad_to(INET_BYTES).finish(),
        (_, ip) => writer.u32(0).raw(&mapped(ip).octets()).u32(0).finish(),
    }
}

/// Both addresses of a socket.
pub struct Endpoint {
    /// Its own: the address may be "any", and the port is 0 until it has one.
    pub local: Cell<SocketAddr>,
    /// The other side's, if it has been named.
    pub remote: Cell<Option<SocketAddr>>,
    /// `bind` chose its address, its port: they stay when the connection is over.
    pub address_is_bound: Cell<bool>,
    #[allow(missing_docs)]
    pub port_is_bound: Cell<bool>,
    /// The port is its own. After a connection it may still show one that is not.
    pub holds_port: Cell<bool>,
    /// Groups it has joined.
    pub(super) groups: RefCell<Vec<Membership>>,
    /// By which interface, and from which address, it sends to groups (`IP_MULTICAST_IF`); 0 and "any" if it has not said.
    pub group_interface: Cell<(u32, Ipv4Addr)>,
    /// `IP_OPTIONS`.
    pub(super) options: RefCell<IpOptions>,
}

impl Endpoint {
    /// Nothing named yet.
    pub fn new(family: u32) -> Self {
        Self {
            local: Cell::new(SocketAddr::new(any(family), 0)),
            remote: Cell::default(),
            address_is_bound: Cell::new(false),
            port_is_bound: Cell::new(false),
            holds_port: Cell::new(false),
            groups: RefCell::default(),
            group_interface: Cell::new((0, Ipv4Addr::UNSPECIFIED)),
            options: RefCell::default(),
        }
    }

    /// The port it shows, 0 if it never had one.
    pub fn port(&self) -> u16 {
        self.local.get().port()
    }

    /// Changes the address.
    pub fn set_ip(&self, ip: IpAddr) {
        self.local.set(SocketAddr::new(ip, self.port()));
    }

    /// Changes the port.
    pub fn set_port(&self, port: u16) {
        self.local.set(SocketAddr::new(self.local.get().ip(), port));
    }

    /// Whether what is sent to `ip` is for it, and how particularly: 0 is not at all.
    pub fn claim(&self, core: &Core, ip: IpAddr) -> u32 {
        let own = self.local.get().ip();
        match (own, ip) {
            (own, ip) if own == ip => 3,
            (IpAddr::V4(own), IpAddr::V4(_)) if own.is_unspecified() => 2,
            (IpAddr::V6(own), IpAddr::V6(_)) if own.is_unspecified() => 2,
            (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() && !is_v6_only(core) => 1,
            _ => 0,
        }
    }

    /// Whether some address is for this one as well as for another.
    pub fn overlaps(&self, core: &Core, other: &Endpoint, other_core: &Core) -> bool {
        self.claim(core, other.local.get().ip()) > 0 || other.claim(other_core, self.local.get().ip()) > 0
    }
}

/// Whether an IPv6 socket keeps off IPv4.
pub fn is_v6_only(core: &Core) -> bool {
    core.options.number(IPPROTO_IPV6, IPV6_V6ONLY).unwrap_or(0) != 0
}

/// Whether a socket bound to an address hears of IPv6 only for that reason.
pub fn is_v6_by_address(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if !ip.is_unspecified())
}

/// Refuses a destination of IPv4 to an IPv6 socket that keeps off it.
pub fn check_destination(core: &Core, to: SocketAddr) -> Outcome<()> {
    let is_refused = core.family == AF_INET6 && to.is_ipv4() && is_v6_only(core);
    if is_refused { Err(Errno::ENETUNREACH.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for (family, text, shown) in [
            (AF_INET, "127.0.0.1:80", "127.0.0.1:80"),
            (AF_INET6, "[::1]:65535", "[::1]:65535"),
            (AF_INET6, "127.0.0.2:1", "127.0.0.2:1"),
        ] {
            let bytes = raw(family, text.parse().unwrap());
            assert_eq!(bytes.len(), if family == AF_INET { 16 } else { 28 });
            assert_eq!(parse(family, &bytes).unwrap().to_string(), shown);
        }
        assert!(parse(AF_INET, &[2, 0, 0, 80]).is_err());
        assert!(parse(AF_INET6, &raw(AF_INET6, "[::1]:1".parse().unwrap())[..24]).is_ok());
    }

    #[test]
    fn only_the_loopback_network_can_be_reached() {
        for (text, expected) in [
            ("127.0.0.1", Reach::Local),
            ("127.9.8.7", Reach::Local),
            ("127.255.255.255", Reach::Broadcast),
            ("10.0.0.1", Reach::Nowhere),
            ("224.0.0.1", Reach::Multicast),
            ("::1", Reach::Local),
            ("2001:db8::1", Reach::Nowhere),
        ] {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }
}
