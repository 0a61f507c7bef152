//! Groups of receivers (`ip(7)`, `ipv6(7)`; RFC 1112, RFC 3376): which a socket has joined, and whom of their senders it
//! hears.
//!
//! The interface is the loopback, over which groups of IPv4 work if the sender names it (`IP_MULTICAST_IF`); there is no
//! route otherwise, and none at all to groups of IPv6, as on Linux.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use abi::socket::*;
use abi::{Errno, Reader};

use super::address::{self, Endpoint, Reach, reach};
use super::options::value;
use crate::net::{Core, interface};
use crate::stop::Outcome;

/// Groups that a socket may join (`net.ipv4.igmp_max_memberships`), and senders that it may name for each
/// (`igmp_max_msf`).
const GROUPS_MAX: usize = 20;
const SENDERS_MAX: usize = 10;
/// Bytes of a `struct sockaddr_storage` in the requests of RFC 3678, which are for both families.
const STORAGE_BYTES: usize = 128;

/// A group that a socket has joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    group: IpAddr,
    /// Only those of its senders are heard that are named; otherwise all but those.
    is_selective: bool,
    senders: Vec<IpAddr>,
}

/// What is asked for of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Join,
    Leave,
    /// Of one sender: hear it alone, no longer; do not hear it, hear it again.
    JoinSender,
    LeaveSender,
    Block,
    Unblock,
}

impl Change {
    fn of(level: u32, option: u32) -> Option<Self> {
        Some(match (level, option) {
            (IPPROTO_IP, IP_ADD_MEMBERSHIP) | (IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP) | (_, MCAST_JOIN_GROUP) => Self::Join,
            (IPPROTO_IP, IP_DROP_MEMBERSHIP) | (IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP) | (_, MCAST_LEAVE_GROUP) => {
                Self::Leave
            }
            (IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP) | (_, MCAST_JOIN_SOURCE_GROUP) => Self::JoinSender,
            (IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP) | (_, MCAST_LEAVE_SOURCE_GROUP) => Self::LeaveSender,
            (IPPROTO_IP, IP_BLOCK_SOURCE) | (_, MCAST_BLOCK_SOURCE) => Self::Block,
            (IPPROTO_IP, IP_UNBLOCK_SOURCE) | (_, MCAST_UNBLOCK_SOURCE) => Self::Unblock,
            _ => return None,
        })
    }

    fn is_about_sender(self) -> bool {
        !matches!(self, Self::Join | Self::Leave)
    }
}

/// A request, read.
struct Request {
    group: IpAddr,
    sender: Option<IpAddr>,
    /// The loopback interface is named.
    is_here: bool,
}

fn ipv4(reader: &mut Reader<'_>) -> IpAddr {
    reader.u32().to_le_bytes().into()
}

/// The address in a `struct sockaddr_storage`.
fn stored(raw: &[u8]) -> Option<IpAddr> {
    let family = address::family_of(raw);
    matches!(family, AF_INET | AF_INET6).then(|| address::parse_known(raw).ip())
}

impl Request {
    /// Reads what an option's value says; `word_bytes` long are a program's words.
    fn read(change: Change, level: u32, option: u32, raw: &[u8]) -> Outcome<Self> {
        let invalid = Errno::EINVAL;
        let mut reader = Reader::new(raw);
        if (MCAST_JOIN_GROUP..=MCAST_LEAVE_SOURCE_GROUP).contains(&option) {
            // Addresses are aligned to a word of the program, which shows in the length.
            let addresses = if change.is_about_sender() { 2 } else { 1 };
            let start = raw.len().checked_sub(addresses * STORAGE_BYTES).filter(|start| matches!(start, 4..=8));
            let start = start.ok_or(invalid)?;
            let group = stored(&raw[start..]).ok_or(Errno::EADDRNOTAVAIL)?;
            let sender = if change.is_about_sender() { stored(&raw[start + STORAGE_BYTES..]) } else { None };
            return Ok(Self { group, sender, is_here: reader.u32() == interface::INDEX });
        }
        let is_ours = |ip: IpAddr| reach(ip) == Reach::Local && !ip.is_unspecified();
        match (level, raw.len()) {
            (IPPROTO_IP, 12..) if change.is_about_sender() => {
                let (group, interface, sender) = (ipv4(&mut reader), ipv4(&mut reader), ipv4(&mut reader));
                Ok(Self { group, sender: Some(sender), is_here: is_ours(interface) })
            }
            (IPPROTO_IP, 8..) if !change.is_about_sender() => {
                let (group, ip) = (ipv4(&mut reader), ipv4(&mut reader));
                let index = if raw.len() >= 12 { reader.u32() } else { 0 };
                // Without an interface the route decides, and there is none.
                let is_here = if index != 0 { index == interface::INDEX } else { is_ours(ip) };
                Ok(Self { group, sender: None, is_here })
            }
            (IPPROTO_IPV6, 20..) => {
                let group: [u8; 16] = std::array::from_fn(|_| reader.u8());
                Ok(Self { group: group.into(), sender: None, is_here: reader.u32() == interface::INDEX })
            }
            _ => Err(invalid.into()),
        }
    }
}

/// `setsockopt` of what is about groups. `None` for other options.
pub(super) fn set(core: &Core, endpoint: &Endpoint, level: u32, option: u32, raw: &[u8]) -> Option<Outcome<()>> {
    if level == IPPROTO_IPV6 && core.family != AF_INET6 {
        return None;
    }
    if !matches!(level, IPPROTO_IP | IPPROTO_IPV6) {
        return None;
    }
    if (level, option) == (IPPROTO_IP, IP_MULTICAST_IF) {
        return Some(set_interface(core, endpoint, raw));
    }
    let change = Change::of(level, option)?;
    Some(Request::read(change, level, option, raw).and_then(|request| apply(endpoint, change, request)))
}

fn apply(endpoint: &Endpoint, change: Change, request: Request) -> Outcome<()> {
    let Request { group, sender, is_here } = request;
    if !group.is_multicast() {
        return Err(Errno::EINVAL.into());
    }
    if !is_here {
        return Err(Errno::ENODEV.into());
    }
    let mut groups = endpoint.groups.borrow_mut();
    let known = groups.iter().position(|member| member.group == group);
    match (change, known) {
        (Change::Join, Some(_)) => Err(Errno::EADDRINUSE.into()),
        (Change::Join | Change::JoinSender, None) if groups.len() >= GROUPS_MAX => Err(Errno::ENOBUFS.into()),
        (Change::Join | Change::JoinSender, None) => {
            let is_selective = change == Change::JoinSender;
            groups.push(Membership { group, is_selective, senders: sender.into_iter().collect() });
            Ok(())
        }
        (Change::Leave, Some(index)) => {
            groups.swap_remove(index);
            Ok(())
        }
        (Change::Leave, None) => Err(Errno::EADDRNOTAVAIL.into()),
        (_, None) => Err(Errno::EINVAL.into()),
        (_, Some(index)) => {
            let sender = sender.ok_or(Errno::EINVAL)?;
            let is_left = groups[index].change(change, sender)?;
            if is_left {
                groups.swap_remove(index);
            }
            Ok(())
        }
    }
}

impl Membership {
    /// Changes whom of the group's senders are heard. Returns whether nobody is any more, which leaves the group.
    fn change(&mut self, change: Change, sender: IpAddr) -> Outcome<bool> {
        let is_selective = matches!(change, Change::JoinSender | Change::LeaveSender);
        if self.is_selective != is_selective && !self.senders.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        self.is_selective = is_selective;
        let known = self.senders.iter().position(|other| *other == sender);
        match (matches!(change, Change::JoinSender | Change::Block), known) {
            (true, Some(_)) | (false, None) => return Err(Errno::EADDRNOTAVAIL.into()),
            (true, None) if self.senders.len() >= SENDERS_MAX => return Err(Errno::ENOBUFS.into()),
            (true, None) => self.senders.push(sender),
            (false, Some(index)) => drop(self.senders.swap_remove(index)),
        }
        Ok(self.is_selective && self.senders.is_empty())
    }
}

/// `IP_MULTICAST_IF`: by which interface, and from which address, is sent to groups.
fn set_interface(core: &Core, endpoint: &Endpoint, raw: &[u8]) -> Outcome<()> {
    if core.kind == SOCK_STREAM {
        return Err(Errno::EINVAL.into());
    }
    let mut reader = Reader::new(raw);
    let (ip, index) = match raw.len() {
        0..4 => return Err(Errno::EINVAL.into()),
        4..8 => (reader.u32(), 0),
        8..12 => {
            let _group = reader.u32();
            (reader.u32(), 0)
        }
        _ => {
            let _group = reader.u32();
            (reader.u32(), reader.u32())
        }
    };
    let ip = Ipv4Addr::from(ip.to_le_bytes());
    let is_known = match index {
        0 => ip.is_unspecified() || reach(ip.into()) == Reach::Local,
        index => index == interface::INDEX,
    };
    if !is_known {
        return Err(Errno::EADDRNOTAVAIL.into());
    }
    let is_named = index != 0 || !ip.is_unspecified();
    endpoint.group_interface.set((if is_named { interface::INDEX } else { 0 }, ip));
    Ok(())
}

/// Whether a socket has joined a group.
pub(super) fn is_member(endpoint: &Endpoint, group: IpAddr) -> bool {
    endpoint.groups.borrow().iter().any(|member| member.group == group)
}

/// Whether a socket hears what a sender sends to a group: if it has not joined it, when it hears all that comes.
pub(super) fn hears(core: &Core, endpoint: &Endpoint, group: IpAddr, from: SocketAddr) -> bool {
    match endpoint.groups.borrow().iter().find(|member| member.group == group) {
        Some(member) => member.is_selective == member.senders.contains(&from.ip()),
        None => value(core, IPPROTO_IP, IP_MULTICAST_ALL) != 0,
    }
}
