//! `rtnetlink(7)`: the loopback interface, its addresses, and the routes that follow from them. All of it is fixed:
//! nobody has `CAP_NET_ADMIN`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::message::{Request, attribute, find_attribute, finish, in_datagrams};
use crate::kernel::Kernel;
use crate::net::inet::address::{Reach, reach, source};
use crate::net::inet::options::MTU_BYTES;
use crate::net::interface::{self, Carried, FLAGS, INDEX, NAME, PREFIX_BITS, QUEUE_PACKETS};

/// Bytes of the structs that requests start with: `ifinfomsg`, `rtmsg`.
const LINK_BYTES: usize = 16;
const ROUTE_BYTES: usize = 12;
/// The routing table of addresses that are ours, its protocol ("by the kernel"), kinds of routes, scopes.
const TABLE_LOCAL: u8 = 255;
const BY_KERNEL: u8 = 2;
const LOCAL: u8 = 2;
const BROADCAST: u8 = 3;
const SCOPE_HOST: u8 = 254;
const SCOPE_LINK: u8 = 253;
/// An address that was not given for a time (`IFA_F_PERMANENT`).
const PERMANENT: u8 = 0x80;

/// Answers a request: messages received one after the other.
pub fn answer(k: &mut Kernel, request: &Request<'_>, port: u32, strict: bool) -> Result<Vec<Vec<u8>>, Errno> {
    let family = request.body.first().copied().map_or(0, u32::from);
    let wants = |wanted: u32| family == AF_UNSPEC || family == wanted;
    let carried = k.net.carried;
    let answers = match (u32::from(request.kind), request.is_dump()) {
        (RTM_GETLINK, true) => vec![link(request, port, carried)],
        (RTM_GETLINK, false) => {
            check_link(request)?;
            return Ok(vec![link(request, port, carried)]);
        }
        (RTM_GETADDR, true) => {
            let index = Reader::new(request.body.get(4..).unwrap_or_default()).u32();
            let is_other = strict && index != 0 && index != INDEX;
            if is_other {
                return Err(Errno::ENODEV);
            }
            let all = [(AF_INET, Ipv4Addr::LOCALHOST.into(), PREFIX_BITS), (AF_INET6, Ipv6Addr::LOCALHOST.into(), 128)];
            let shown = all.into_iter().filter(|(family, ..)| wants(*family));
            shown.map(|(family, ip, bits)| address(request, port, family, ip, bits)).collect()
        }
        (RTM_GETROUTE, true) => routes(request, port, family),
        (RTM_GETROUTE, false) => return route_to(request, port, family).map(|route| vec![route]),
        (RTM_GETRULE, true) => {
            let families = [AF_INET, AF_INET6].into_iter().filter(|family| wants(*family));
            families.flat_map(|family| rules(request, port, family)).collect()
        }
        // No neighbours, and no tables of what else Linux lists.
        (RTM_GETNEIGH, true) => Vec::new(),
        // Requests to change things come as new, delete, and for links set: the kinds are in fours.
        (kind, _) if kind < RTM_GETRULE && !matches!(kind % 4, 2) => return Err(Errno::EPERM),
        (kind, _) if kind == RTM_NEWRULE || kind == RTM_NEWRULE + 1 => return Err(Errno::EPERM),
        _ => return Err(Errno::EOPNOTSUPP),
    };
    Ok(in_datagrams(answers.into_iter().chain([request.done(port)]).collect()))
}

/// Whether a request for one interface means the one there is.
fn check_link(request: &Request<'_>) -> Result<(), Errno> {
    const NAME_ATTRIBUTE: u16 = 3;
    const ALTERNATIVE_NAME: u16 = 53;
    let index = Reader::new(request.body.get(4..).unwrap_or_default()).u32();
    let attributes = request.body.get(LINK_BYTES..).unwrap_or_default();
    let name = find_attribute(attributes, NAME_ATTRIBUTE).or_else(|| find_attribute(attributes, ALTERNATIVE_NAME));
    let trimmed = name.and_then(|name| name.split(|byte| *byte == 0).next());
    match (index, trimmed) {
        (INDEX, _) | (0, Some(NAME)) => Ok(()),
        (0, None) => Err(Errno::EINVAL),
        _ => Err(Errno::ENODEV),
    }
}

/// `RTM_NEWLINK`: the interface.
fn link(request: &Request<'_>, port: u32, carried: Carried) -> Vec<u8> {
    /// `IFLA_*` (`linux/if_link.h`), and what they hold here.
    const NO_QUEUE: &[u8] = b"noqueue\0";
    const OPERATIONAL_STATE: u16 = 16;
    const STATISTICS_64: u16 = 23;
    const STATISTICS: u16 = 7;
    let counts = [carried.packets, carried.packets, carried.bytes, carried.bytes];
    let pad = |writer: Writer| writer.pad_to(STATISTICS_64_BYTES).finish();
    let wide = pad(counts.iter().fold(Writer::new(), |writer, count| writer.u64(*count)));
    let narrow = counts.iter().fold(Writer::new(), |writer, count| writer.u32(*count as u32));
    let narrow = narrow.pad_to(STATISTICS_64_BYTES / 2).finish();
    /// Bytes of a `struct rtnl_link_stats64`: 25 counts.
    const STATISTICS_64_BYTES: usize = 200;
    let writer = request.reply(port, RTM_NEWLINK);
    let writer = writer.u8(0).u8(0).u16(ARPHRD_LOOPBACK as u16).u32(INDEX).u32(FLAGS).u32(0);
    let name = [NAME, b"\0"].concat();
    let attributes: [(u16, &[u8]); 15] = [
        (3, &name),
        (13, &QUEUE_PACKETS.to_le_bytes()),
        (OPERATIONAL_STATE, &[0]),
        (17, &[0]),
        (4, &MTU_BYTES.to_le_bytes()),
        (50, &0u32.to_le_bytes()),
        (51, &0u32.to_le_bytes()),
        (27, &0u32.to_le_bytes()),
        (30, &0u32.to_le_bytes()),
        (31, &1u32.to_le_bytes()),
        (32, &1u32.to_le_bytes()),
        (33, &[1]),
        (1, &[0; 6]),
        (2, &[0; 6]),
        (6, NO_QUEUE),
    ];
    let writer = attributes.iter().fold(writer, |writer, (kind, value)| attribute(writer, *kind, value));
    finish(attribute(attribute(writer, STATISTICS_64, &wide), STATISTICS, &narrow))
}

/// `RTM_NEWADDR`: an address of the interface.
fn address(request: &Request<'_>, port: u32, family: u32, ip: IpAddr, bits: u8) -> Vec<u8> {
    /// `struct ifa_cacheinfo`: valid forever, made as the machine started.
    const FOREVER: [u32; 4] = [u32::MAX, u32::MAX, 0, 0];
    let writer = request.reply(port, RTM_NEWADDR);
    let writer = writer.u8(family as u8).u8(bits).u8(PERMANENT).u8(SCOPE_HOST).u32(INDEX);
    let octets = octets(ip);
    let mut attributes: Vec<(u16, Vec<u8>)> = vec![(1, octets.clone())];
    if family == AF_INET {
        attributes.extend([(2, octets), (3, [NAME, b"\0"].concat())]);
    }
    attributes.push((8, u32::from(PERMANENT).to_le_bytes().to_vec()));
    attributes.push((6, FOREVER.iter().flat_map(|number| number.to_le_bytes()).collect()));
    finish(attributes.iter().fold(writer, |writer, (kind, value)| attribute(writer, *kind, value)))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// `RTM_NEWROUTE`: all routes, which are those to our own addresses.
fn routes(request: &Request<'_>, port: u32, family: u32) -> Vec<Vec<u8>> {
    let own = Ipv4Addr::LOCALHOST;
    let all: [(u32, IpAddr, u8, u8, u8, Option<IpAddr>); 4] = [
        (AF_INET, Ipv4Addr::new(127, 0, 0, 0).into(), PREFIX_BITS, SCOPE_HOST, LOCAL, Some(own.into())),
        (AF_INET, own.into(), 32, SCOPE_HOST, LOCAL, Some(own.into())),
        (AF_INET, Ipv4Addr::new(127, 255, 255, 255).into(), 32, SCOPE_LINK, BROADCAST, Some(own.into())),
        (AF_INET6, Ipv6Addr::LOCALHOST.into(), 128, 0, LOCAL, None),
    ];
    // A dump may be of one table only.
    let table = request.body.get(4).copied().unwrap_or(0);
    let asked = all.into_iter().filter(|(of, ..)| family == AF_UNSPEC || family == *of);
    let asked = asked.filter(|_| table == 0 || table == TABLE_LOCAL);
    let route = |(family, to, bits, scope, kind, preferred): (u32, IpAddr, u8, u8, u8, Option<IpAddr>)| {
        let writer = request.reply(port, RTM_NEWROUTE);
        let writer =
            writer.u8(family as u8).u8(bits).u8(0).u8(0).u8(TABLE_LOCAL).u8(BY_KERNEL).u8(scope).u8(kind).u32(0);
        let mut writer = attribute(writer, 15, &u32::from(TABLE_LOCAL).to_le_bytes());
        writer = attribute(writer, 1, &octets(to));
        if let Some(preferred) = preferred {
            writer = attribute(writer, 7, &octets(preferred));
        }
        finish(attribute(writer, 4, &INDEX.to_le_bytes()))
    };
    asked.map(route).collect()
}

/// The route that one address takes (`ip route get`).
fn route_to(request: &Request<'_>, port: u32, family: u32) -> Result<Vec<u8>, Errno> {
    const MAIN_TABLE: u8 = 254;
    const CLONED: u32 = 0x200;
    const LOCAL_FLAG: u32 = 0x8000_0000;
    let to = find_attribute(request.body.get(ROUTE_BYTES..).unwrap_or_default(), 1);
    let to = match (family, to) {
        (AF_INET, Some(bytes)) => <[u8; 4]>::try_from(bytes).map(IpAddr::from).map_err(|_| Errno::EINVAL)?,
        (AF_INET6, Some(bytes)) => <[u8; 16]>::try_from(bytes).map(IpAddr::from).map_err(|_| Errno::EINVAL)?,
        (AF_INET, None) => Ipv4Addr::LOCALHOST.into(),
        _ => return Err(Errno::EINVAL),
    };
    if reach(to) != Reach::Local {
        return Err(Errno::ENETUNREACH);
    }
    let bits = if family == AF_INET { 32 } else { 128 };
    let writer = request.reply(port, RTM_NEWROUTE).u8(family as u8).u8(bits).u8(0).u8(0);
    let writer = writer.u8(MAIN_TABLE).u8(0).u8(0).u8(LOCAL).u32(CLONED | LOCAL_FLAG);
    let writer = attribute(writer, 15, &u32::from(MAIN_TABLE).to_le_bytes());
    let writer = attribute(attribute(writer, 1, &octets(to)), 4, &interface::INDEX.to_le_bytes());
    Ok(finish(attribute(writer, 7, &octets(source(to)))))
}

/// `RTM_NEWRULE`: the tables in which routes are looked for, in this order.
fn rules(request: &Request<'_>, port: u32, family: u32) -> Vec<Vec<u8>> {
    const LOOK_UP: u8 = 1;
    const TABLES: [(u8, u32); 3] = [(TABLE_LOCAL, 0), (254, 32_766), (253, 32_767)];
    // IPv6 has no default table.
    let count = if family == AF_INET { 3 } else { 2 };
    let rule = |(table, priority): &(u8, u32)| {
        let writer = request.reply(port, RTM_NEWRULE).u8(family as u8).u8(0).u8(0).u8(0);
        let writer = writer.u8(*table).u8(0).u8(0).u8(LOOK_UP).u32(0);
        let writer = attribute(writer, 15, &u32::from(*table).to_le_bytes());
        let writer = if *priority == 0 { writer } else { attribute(writer, 6, &priority.to_le_bytes()) };
        finish(writer)
    };
    TABLES.iter().take(count).map(rule).collect()
}
