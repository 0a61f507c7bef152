//! `sock_diag(7)`: sockets of the Internet, as `ss` asks for them. Those of other families programs find in `/proc/net`,
//! as on a Linux without the modules for them.

use std::net::{IpAddr, SocketAddr};

use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::message::{Request, attribute, finish};
use crate::kernel::Kernel;
use crate::net::inet::tcp::TcpSocket;
use crate::net::inet::{address, options};
use crate::net::inventory::{self, Entry};
use crate::net::{downcast, interface};

/// `SOCK_DIAG_BY_FAMILY` (`linux/sock_diag.h`): the only request there is, and the type of its answers.
const BY_FAMILY: u32 = 20;
/// Bytes of a `struct inet_diag_req_v2` (`linux/inet_diag.h`).
const REQUEST_BYTES: usize = 56;
/// Milliseconds of a nanosecond.
const MILLI_NS: u64 = 1_000_000;

/// `INET_DIAG_*`: attributes of answers. Those up to 8 are asked for, by a bit each, but for the last.
mod kind {
    pub const MEMORY: u16 = 1;
    pub const INFO: u16 = 2;
    pub const CONGESTION: u16 = 4;
    pub const TOS: u16 = 5;
    pub const TCLASS: u16 = 6;
    pub const SOCKET_MEMORY: u16 = 7;
    pub const SHUTDOWN: u16 = 8;
    pub const V6_ONLY: u16 = 11;
}

/// What is asked for.
struct Wanted {
    family: u32,
    protocol: u32,
    /// Attributes, a bit each, from the first on.
    extensions: u8,
    /// States, a bit each, by their numbers.
    states: u32,
    /// Ports: its own, the other side's; 0 is any.
    ports: (u16, u16),
    /// Both addresses, as they are written.
    addresses: ([u8; 16], [u8; 16]),
    /// The socket's cookie, unless that does not matter.
    cookie: Option<u64>,
}

impl Wanted {
    fn parse(body: &[u8]) -> Result<Self, Errno> {
        if body.len() < REQUEST_BYTES {
            return Err(Errno::EINVAL);
        }
        let mut reader = Reader::new(body);
        let (family, protocol, extensions, _) = (reader.u8(), reader.u8(), reader.u8(), reader.u8());
        let states = reader.u32();
        let ports = (reader.u16().swap_bytes(), reader.u16().swap_bytes());
        let mut octets = || std::array::from_fn(|_| reader.u8());
        let addresses = (octets(), octets());
        let (_interface, cookie) = (reader.u32(), u64::from(reader.u32()) | u64::from(reader.u32()) << 32);
        let cookie = (cookie != u64::MAX).then_some(cookie);
        let (family, protocol) = (family.into(), protocol.into());
        Ok(Self { family, protocol, extensions, states, ports, addresses, cookie })
    }

    fn asks(&self, kind: u16) -> bool {
        self.extensions >> (kind - 1) & 1 != 0
    }

    /// Whether a dump has an entry.
    fn lists(&self, entry: &Entry) -> bool {
        let fits = |wanted: u16, port: u16| wanted == 0 || wanted == port;
        let remote_port = entry.remote.map_or(0, |remote| remote.port());
        self.states >> entry.state & 1 != 0 && fits(self.ports.0, entry.local.port()) && fits(self.ports.1, remote_port)
    }

    /// Whether it is the one socket that is asked for.
    fn is(&self, entry: &Entry) -> bool {
        let written =
            |address: Option<SocketAddr>| address.map_or([0; 16], |address| octets(self.family, address.ip()));
        let remote_port = entry.remote.map_or(0, |remote| remote.port());
        self.ports == (entry.local.port(), remote_port)
            && self.addresses.1 == written(entry.remote)
            && (self.addresses.0 == written(Some(entry.local)) || entry.local.ip().is_unspecified())
    }
}

/// Answers a request.
///
/// # Errors
/// `ENOENT` for what only `/proc/net` tells of and for a socket that is not there, `EINVAL` for what is no request.
pub fn answer(k: &mut Kernel, request: &Request<'_>, port: u32) -> Result<Vec<Vec<u8>>, Errno> {
    if u32::from(request.kind) != BY_FAMILY || request.body.first().is_some_and(|family| u32::from(*family) >= AF_MAX) {
        return Err(Errno::EINVAL);
    }
    match request.body.first().map(|family| u32::from(*family)) {
        Some(AF_INET | AF_INET6) => {}
        _ => return Err(Errno::ENOENT),
    }
    let wanted = Wanted::parse(request.body)?;
    let entries = match wanted.protocol {
        IPPROTO_TCP => inventory::tcp(k, wanted.family),
        IPPROTO_UDP | IPPROTO_UDPLITE => inventory::udp(k, wanted.family, wanted.protocol),
        _ => return Err(Errno::ENOENT),
    };
    if request.is_dump() {
        let listed = entries.iter().filter(|entry| wanted.lists(entry));
        let mut answers: Vec<Vec<u8>> = listed.map(|entry| describe(&wanted, entry, request, port)).collect();
        answers.push(request.done(port));
        return Ok(answers);
    }
    let found = entries.iter().find(|entry| wanted.is(entry)).ok_or(Errno::ENOENT)?;
    let is_other = wanted.cookie.is_some_and(|cookie| found.core().is_none_or(|core| core.cookie != cookie));
    if is_other { Err(Errno::ENOENT) } else { Ok(vec![describe(&wanted, found, request, port)]) }
}

/// An address as answers have it.
fn octets(family: u32, ip: IpAddr) -> [u8; 16] {
    let mut octets = [0; 16];
    match (family, ip) {
        (AF_INET, IpAddr::V4(ip)) => octets[..4].copy_from_slice(&ip.octets()),
        (AF_INET, IpAddr::V6(_)) => {}
        (_, ip) => octets = address::mapped(ip).octets(),
    }
    octets
}

/// A `struct inet_diag_msg`, and the attributes asked for.
fn describe(wanted: &Wanted, entry: &Entry, request: &Request<'_>, port: u32) -> Vec<u8> {
    const TIME_WAIT_TIMER: u8 = 3;
    let (family, core) = (entry.family, entry.core());
    let remote = entry.remote.unwrap_or(SocketAddr::new(address::any(family), 0));
    let timer = if entry.left_ns.is_some() { TIME_WAIT_TIMER } else { 0 };
    let bound = core.is_some_and(|core| core.options.is_on(SO_BINDTODEVICE));
    let writer = request.reply(port, BY_FAMILY).u8(family as u8).u8(entry.state as u8).u8(timer).u8(0);
    let writer = writer.raw(&entry.local.port().to_be_bytes()).raw(&remote.port().to_be_bytes());
    let writer = writer.raw(&octets(family, entry.local.ip())).raw(&octets(family, remote.ip()));
    let writer = writer.u32(if bound { interface::INDEX } else { 0 }).u64(core.map_or(0, |core| core.cookie));
    let expires_ms = entry.left_ns.unwrap_or(0) / MILLI_NS;
    let writer = writer.u32(expires_ms as u32).u32(entry.received).u32(entry.backlog_max.unwrap_or(0));
    let (uid, inode) = core.map_or((0, 0), |core| (core.uid.get(), core.inode.get()));
    finish(attributes(writer.u32(uid).u32(inode as u32), wanted, entry))
}

fn attributes(writer: Writer, wanted: &Wanted, entry: &Entry) -> Writer {
    let Some(core) = entry.core() else { return writer };
    let number = |level: u32, option: u32| options::value(core, level, option) as u8;
    let shut = u8::from(core.shut_in.get()) | u8::from(core.shut_out.get()) << 1;
    let mut writer = attribute(writer, kind::SHUTDOWN, &[shut]);
    if wanted.asks(kind::TOS) {
        writer = attribute(writer, kind::TOS, &[number(IPPROTO_IP, IP_TOS)]);
    }
    let is_unconnected = entry.remote.is_none();
    if entry.family == AF_INET6 {
        if wanted.asks(kind::TCLASS) {
            writer = attribute(writer, kind::TCLASS, &[number(IPPROTO_IPV6, IPV6_TCLASS)]);
        }
        if is_unconnected {
            let only = address::is_v6_only(core) || address::is_v6_by_address(entry.local.ip());
            writer = attribute(writer, kind::V6_ONLY, &[only.into()]);
        }
    }
    let received = entry.core().map_or(0, |core| core.inbox.borrow().bytes() as u32);
    if wanted.asks(kind::MEMORY) {
        // Received, to be sent, promised, being sent.
        writer = attribute(writer, kind::MEMORY, &Writer::new().u32(received).u32(0).u32(0).u32(0).finish());
    }
    if wanted.asks(kind::SOCKET_MEMORY) {
        writer = attribute(writer, kind::SOCKET_MEMORY, &core.memory());
    }
    let socket = entry.socket.as_ref().and_then(downcast::<TcpSocket>);
    if let Some(socket) = socket {
        if wanted.asks(kind::INFO) {
            writer = attribute(writer, kind::INFO, &options::tcp_info(&socket));
        }
        if wanted.asks(kind::CONGESTION) {
            writer = attribute(writer, kind::CONGESTION, &[options::CONGESTION, b"\0"].concat());
        }
    }
    writer
}
