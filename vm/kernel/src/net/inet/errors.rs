//! Errors that come back for datagrams, kept until they are fetched with `MSG_ERRQUEUE` (`ip(7)`, `IP_RECVERR`;
//! RFC 792, RFC 4443).
//!
//! The only ones here: nobody has the port ("port unreachable"), and a datagram that is too long for a packet, which is
//! refused before it is sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use abi::socket::*;
use abi::{Errno, Writer};

use super::address;
use super::options::{MTU_BYTES, value};
use super::udp::UdpSocket;
use crate::files::Io;
use crate::kernel::Kernel;
use crate::net::Socket;
use crate::net::inbox::{Attached, Delivery, Received};
use crate::stop::Outcome;

/// Bytes of a datagram that its error quotes. Of IPv4: 576 bytes are in an answer, less its headers and the quoted
/// ones, 20 and 8 bytes each (`icmp_send`). Of IPv6: 1280 bytes, less 40 and 8 twice (`icmp6_send`).
const QUOTED_BYTES_MAX: usize = 576 - 2 * (20 + 8);
const QUOTED_BYTES_MAX_V6: usize = 1280 - 2 * (40 + 8);
/// Class of service of an answer of ICMP ("internetwork control", RFC 791).
const CONTROL_CLASS: u8 = 0xc0;

/// Where an error comes from (`SO_EE_ORIGIN_*`, `linux/errqueue.h`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Local = 1,
    Icmp = 2,
    Icmp6 = 3,
}

/// An error that waits.
pub(super) struct QueuedError {
    errno: Errno,
    origin: Origin,
    /// `ee_info`.
    info: u32,
    /// Where the datagram was sent to.
    to: SocketAddr,
    /// What was in it, as far as it is quoted.
    quoted: Vec<u8>,
    /// Whom it came from, and who gets the answer, if there was one.
    offender: Option<(IpAddr, IpAddr)>,
    time_ns: u64,
}

impl QueuedError {
    fn is_answer(&self) -> bool {
        self.origin != Origin::Local
    }

    /// The `struct sock_extended_err`, and the offender's address behind it, as a control message.
    fn told(&self, family: u32) -> (u32, u32, Vec<u8>) {
        // ICMP's "destination unreachable: port unreachable", of either version.
        let (kind, code) = match self.origin {
            Origin::Local => (0, 0),
            Origin::Icmp => (3, 3),
            Origin::Icmp6 => (1, 4),
        };
        let head = Writer::new().u32(self.errno.0.into()).u8(self.origin as u8).u8(kind).u8(code).u8(0);
        let head = head.u32(self.info).u32(0);
        let offender = self.offender.map(|(ip, _)| address::raw(family, SocketAddr::new(ip, 0)));
        let unnamed = address::raw(family, SocketAddr::new(address::any(family), 0)).len();
        let body = head.raw(&offender.unwrap_or_else(|| vec![0; unnamed])).finish();
        if family == AF_INET { (IPPROTO_IP, IP_RECVERR, body) } else { (IPPROTO_IPV6, IPV6_RECVERR, body) }
    }
}

/// The errors of a socket. Each counts for memory as a datagram does: see [`UdpSocket::has_room`].
#[derive(Default)]
pub(super) struct ErrorQueue(RefCell<VecDeque<QueuedError>>);

impl ErrorQueue {
    /// Errors in it, and bytes that they quote.
    pub fn size(&self) -> (usize, usize) {
        let queue = self.0.borrow();
        (queue.len(), queue.iter().map(|error| error.quoted.len()).sum())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Forgets them: the program wants to be told no more.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

impl UdpSocket {
    /// Whether the program asks to be told of errors of what it sends to an address.
    fn asks_for_errors(&self, to: SocketAddr) -> bool {
        let (level, option) = if to.is_ipv4() { (IPPROTO_IP, IP_RECVERR) } else { (IPPROTO_IPV6, IPV6_RECVERR) };
        value(&self.core, level, option) != 0
    }

    /// Keeps an error; it is lost if there is no room.
    fn queue_error(&self, k: &mut Kernel, error: QueuedError) {
        if self.has_room(error.quoted.len()) {
            self.errors.0.borrow_mut().push_back(error);
            self.core.announce(k, Io::Error);
        }
    }

    /// Nobody has the port that this socket has sent to: the answer to that is an error for a socket that is connected
    /// there, and for one that asks to be told unless it is connected elsewhere.
    pub(super) fn refuse(&self, k: &mut Kernel, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let remote = self.endpoint.remote.get();
        let asks = self.asks_for_errors(to);
        let is_for_us = remote == Some(to) || (remote.is_none() && asks);
        if !is_for_us {
            return;
        }
        self.core.error.set(Some(Errno::ECONNREFUSED));
        if asks {
            let (origin, max) = match to {
                SocketAddr::V4(_) => (Origin::Icmp, QUOTED_BYTES_MAX),
                SocketAddr::V6(_) => (Origin::Icmp6, QUOTED_BYTES_MAX_V6),
            };
            let quoted = bytes[..bytes.len().min(max)].to_vec();
            let (errno, offender) = (Errno::ECONNREFUSED, Some((to.ip(), from.ip())));
            self.queue_error(k, QueuedError { errno, origin, info: 0, to, quoted, offender, time_ns: k.realtime_ns() });
        }
        self.core.announce(k, Io::Error);
    }

    /// A datagram does not fit a packet. It is not sent, and the error is told with the most that a packet can have.
    pub(super) fn refuse_length(&self, k: &mut Kernel, to: SocketAddr) -> Errno {
        if self.asks_for_errors(to) {
            let info = if to.is_ipv4() { MTU_BYTES - 1 } else { MTU_BYTES };
            let port = self.endpoint.remote.get().map_or(0, |remote| remote.port());
            let (errno, to, quoted) = (Errno::EMSGSIZE, SocketAddr::new(to.ip(), port), Vec::new());
            let (origin, offender, time_ns) = (Origin::Local, None, k.realtime_ns());
            self.queue_error(k, QueuedError { errno, origin, info, to, quoted, offender, time_ns });
        }
        Errno::EMSGSIZE
    }

    /// Takes the first error (`MSG_ERRQUEUE`), which is never waited for. The next one that came from afar becomes the
    /// pending one (`sock_dequeue_err_skb`).
    pub(super) fn receive_error(&self, len: usize) -> Outcome<Received> {
        let (error, next) = {
            let mut queue = self.errors.0.borrow_mut();
            let error = queue.pop_front().ok_or(Errno::EAGAIN)?;
            (error, queue.front().filter(|next| next.is_answer()).map(|next| next.errno))
        };
        if next.is_some() || error.is_answer() {
            self.core.error.set(next);
        }
        let family = self.core().family;
        let delivery = error.offender.map(|(_, to)| {
            let class = if error.origin == Origin::Icmp { CONTROL_CLASS } else { 0 };
            Delivery { to, port: None, hops: super::options::HOPS as u8, class }
        });
        let attached = Attached {
            from: Some(address::raw(family, error.to)),
            delivery,
            time_ns: error.time_ns,
            error: Some(error.told(family)),
            ..Attached::default()
        };
        let full_len = error.quoted.len();
        let mut bytes = error.quoted;
        bytes.truncate(len);
        Ok(Received { bytes, attached, full_len, flags: MSG_ERRQUEUE, released: None })
    }
}
