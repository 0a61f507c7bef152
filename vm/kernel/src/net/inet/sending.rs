//! How datagrams are sent: where to, from where, when.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use abi::socket::*;
use abi::{Errno, Reader};

use super::address::{self, Reach, reach};
use super::options::value;
use super::udp::UdpSocket;
use crate::kernel::Kernel;
use crate::net::Outgoing;
use crate::net::inbox::{Attached, Delivery, Message};
use crate::stop::Outcome;

/// Bytes that fit a datagram: 65535 of IP less the headers (IPv4), less UDP's alone (IPv6).
const BYTES_MAX: usize = 65_507;
const BYTES_MAX_V6: usize = 65_527;

/// A datagram on its way, or kept until it is complete.
pub(super) struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    /// Time to live, class of service.
    hops: u8,
    class: u8,
    bytes: Vec<u8>,
}

impl UdpSocket {
    /// Refuses destinations that can't be reached.
    pub(super) fn check_reach(&self, to: SocketAddr) -> Outcome<()> {
        match (reach(to.ip()), to.ip()) {
            (_, IpAddr::V6(ip)) if ip.is_unicast_link_local() => Err(Errno::EINVAL.into()),
            (Reach::Local, _) => Ok(()),
            (Reach::Broadcast, _) if self.core.options.is_on(SO_BROADCAST) => Ok(()),
            (Reach::Broadcast, _) => Err(Errno::EACCES.into()),
            _ => Err(Errno::ENETUNREACH.into()),
        }
    }

    /// Where a datagram goes: the address the call names, or the one it is connected to.
    fn target(&self, out: &Outgoing) -> Outcome<SocketAddr> {
        let Some(raw) = &out.to else {
            return self.endpoint.remote.get().ok_or(Errno::EDESTADDRREQ.into());
        };
        if self.core.family == AF_INET6 && raw.len() >= 2 {
            match address::family_of(raw) {
                // An IPv6 socket may send to an address of IPv4.
                AF_INET if raw.len() < 16 => return Err(Errno::EINVAL.into()),
                AF_INET if address::is_v6_only(&self.core) => return Err(Errno::ENETUNREACH.into()),
                AF_INET => return nonzero_port(address::parse_known(raw)),
                AF_UNSPEC => return self.endpoint.remote.get().ok_or(Errno::EDESTADDRREQ.into()),
                _ => {}
            }
        }
        let mut raw = raw.clone();
        if self.core.family == AF_INET && address::family_of(&raw) == AF_UNSPEC && raw.len() >= 16 {
            raw[0] = AF_INET as u8;
        }
        let to = address::parse(self.core.family, &raw)?;
        address::check_destination(&self.core, to)?;
        nonzero_port(to)
    }

    /// The address it sends from, which a control message may say.
    fn source(&self, out: &Outgoing, to: IpAddr) -> Outcome<IpAddr> {
        for (level, kind, body) in &out.control {
            let mut reader = Reader::new(body);
            let wanted = match (*level, *kind) {
                (IPPROTO_IP, IP_PKTINFO) if body.len() >= 12 => {
                    let (_interface, ip) = (reader.u32(), reader.u32());
                    IpAddr::from(ip.to_le_bytes())
                }
                (IPPROTO_IPV6, IPV6_PKTINFO) if body.len() >= 20 => {
                    IpAddr::from(std::array::from_fn::<u8, 16, _>(|_| reader.u8())).to_canonical()
                }
                (SOL_SOCKET, SCM_RIGHTS | SCM_CREDENTIALS) => continue,
                (IPPROTO_IP, IP_TTL | IP_TOS | IP_RETOPTS) | (IPPROTO_IPV6, IPV6_HOPLIMIT | IPV6_TCLASS) => continue,
                _ => return Err(Errno::EINVAL.into()),
            };
            match reach(wanted) {
                _ if wanted.is_unspecified() => {}
                Reach::Local => return Ok(wanted),
                _ if wanted.is_ipv4() => return Err(Errno::ENETUNREACH.into()),
                _ => return Err(Errno::EINVAL.into()),
            }
        }
        let own = self.endpoint.local.get().ip();
        let is_usable = !own.is_unspecified() && reach(own) == Reach::Local;
        Ok(if is_usable { own } else { address::source(to) })
    }

    /// Time to live and class of what is sent, which a control message may say.
    fn header(&self, out: &Outgoing, to: SocketAddr) -> (u8, u8) {
        let (level, hops, class, message_hops) = match to {
            SocketAddr::V4(_) => (IPPROTO_IP, IP_TTL, IP_TOS, IP_TTL),
            SocketAddr::V6(_) => (IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_TCLASS, IPV6_HOPLIMIT),
        };
        let said = |wanted: u32| {
            let found = out.control.iter().find(|(at, kind, _)| (*at, *kind) == (level, wanted));
            found.map(|(.., body)| Reader::new(body).i32())
        };
        let hops = said(message_hops).unwrap_or_else(|| value(&self.core, level, hops));
        let class = said(class).unwrap_or_else(|| value(&self.core, level, class));
        (hops as u8, class as u8)
    }

    /// `send(2)` and its relatives. With `UDP_CORK` or `MSG_MORE` bytes are kept for one datagram, which goes when a call
    /// says neither; the first of the calls says where to.
    pub(super) fn send_datagram(self: Rc<Self>, k: &mut Kernel, out: &mut Outgoing) -> Outcome<usize> {
        let len = out.bytes.len();
        if len > usize::from(u16::MAX) {
            return Err(Errno::EMSGSIZE.into());
        }
        if out.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let begun = self.corked.take();
        let mut datagram = match begun {
            Some(begun) => begun,
            None => self.begin_datagram(k, out)?,
        };
        let max = if datagram.to.is_ipv4() { BYTES_MAX } else { BYTES_MAX_V6 };
        if datagram.bytes.len() + len > max {
            // What was kept is lost, too.
            return Err(self.refuse_length(k, datagram.to).into());
        }
        datagram.bytes.append(&mut out.bytes);
        if out.flags & MSG_MORE != 0 || value(&self.core, IPPROTO_UDP, UDP_CORK) != 0 {
            *self.corked.borrow_mut() = Some(datagram);
        } else {
            self.transmit(k, datagram);
        }
        Ok(len)
    }

    /// A datagram without contents yet.
    fn begin_datagram(self: &Rc<Self>, k: &mut Kernel, out: &Outgoing) -> Outcome<Datagram> {
        let to = address::destination(self.target(out)?);
        let source = self.source(out, to.ip())?;
        self.core.take_error()?;
        if self.core.shut_out.get() {
            return Err(Errno::EPIPE.into());
        }
        self.check_reach(to)?;
        self.ensure_port(k)?;
        let from = SocketAddr::new(source, self.endpoint.port());
        let (hops, class) = self.header(out, to);
        Ok(Datagram { from, to, hops, class, bytes: Vec::new() })
    }

    /// Sends what was kept, if anything was: `UDP_CORK` is off again.
    pub(super) fn uncork(&self, k: &mut Kernel) {
        if let Some(datagram) = self.corked.take() {
            self.transmit(k, datagram);
        }
    }

    fn transmit(&self, k: &mut Kernel, datagram: Datagram) {
        let Datagram { from, to, hops, class, bytes } = datagram;
        let delivery = Some(Delivery { to: to.ip(), port: Some(to.port()), hops, class });
        let attached = Attached { delivery, time_ns: k.realtime_ns(), ..Attached::default() };
        k.net.carried.count(bytes.len());
        let is_broadcast = reach(to.ip()) == Reach::Broadcast;
        match self.ports(k).receiver(from, to, |_| true) {
            Some(receiver) => {
                receiver.deliver(k, Message { bytes: bytes.into(), attached, ..Message::default() }, from)
            }
            None if is_broadcast => {}
            None => self.refuse(k, from, to, &bytes),
        }
    }
}

fn nonzero_port(to: SocketAddr) -> Outcome<SocketAddr> {
    if to.port() == 0 { Err(Errno::EINVAL.into()) } else { Ok(to) }
}
