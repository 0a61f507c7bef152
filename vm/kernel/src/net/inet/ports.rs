//! Who has which port.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::socket::{SO_REUSEADDR, SO_REUSEPORT};

use super::address::Endpoint;
use super::options::ephemeral_ports;
use crate::kernel::SECOND_NS;
use crate::net::Core;
use crate::stop::Outcome;

/// Ports given to sockets that don't ask for a certain one (`net.ipv4.ip_local_port_range`).
pub const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;
/// How long a connection's addresses stay taken after its end (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT_NS: u64 = 60 * SECOND_NS;
/// How long before the same two addresses may be connected anew (`net.ipv4.tcp_tw_reuse` on the loopback interface).
const REUSE_NS: u64 = SECOND_NS;
/// Ended connections remembered (`net.ipv4.tcp_max_tw_buckets`): any more are just gone, as on Linux.
const TIME_WAITS_MAX: usize = 4096;

/// A socket that can have a port.
pub trait Bound {
    /// What all sockets have.
    fn core(&self) -> &Core;
    /// Its addresses.
    fn endpoint(&self) -> &Endpoint;
    /// Whether `SO_REUSEADDR` lets others share its port.
    fn shares_by_reuse(&self) -> bool;
}

/// Whether two sockets can't have the same port (`inet_csk_bind_conflict`).
fn conflicts<S: Bound>(new: &S, old: &S) -> bool {
    let (new_core, old_core) = (new.core(), old.core());
    let both = |option: u32| new_core.options.is_on(option) && old_core.options.is_on(option);
    if !new.endpoint().overlaps(new_core, old.endpoint(), old_core) {
        return false;
    }
    let reuse = both(SO_REUSEADDR) && old.shares_by_reuse();
    let group = both(SO_REUSEPORT) && new_core.uid.get() == old_core.uid.get();
    !reuse && !group
}

/// Sockets by port, and by cookie.
pub struct Ports<S> {
    by_port: HashMap<u16, BTreeMap<u64, Weak<S>>>,
}

impl<S> Default for Ports<S> {
    fn default() -> Self {
        Self { by_port: HashMap::new() }
    }
}

impl<S: Bound> Ports<S> {
    /// Sockets that have a port.
    pub fn at(&self, port: u16) -> impl Iterator<Item = Rc<S>> {
        self.by_port.get(&port).into_iter().flat_map(|sockets| sockets.values().filter_map(Weak::upgrade))
    }

    /// Whether nobody has a port.
    fn is_free(&self, port: u16) -> bool {
        self.by_port.get(&port).is_none_or(BTreeMap::is_empty)
    }

    /// Adds a socket under the port that it has.
    pub fn add(&mut self, socket: &Rc<S>) {
        let sockets = self.by_port.entry(socket.endpoint().port()).or_default();
        sockets.insert(socket.core().cookie, Rc::downgrade(socket));
        socket.endpoint().holds_port.set(true);
    }

    /// Takes a socket away.
    pub fn remove(&mut self, socket: &S) {
        let port = socket.endpoint().port();
        if !socket.endpoint().holds_port.take() {
            return;
        }
        if let Some(sockets) = self.by_port.get_mut(&port) {
            sockets.remove(&socket.core().cookie);
            if sockets.is_empty() {
                self.by_port.remove(&port);
            }
        }
    }

    /// Whether a socket can't have a port since another has it.
    pub fn is_taken(&self, port: u16, socket: &S) -> bool {
        self.at(port).any(|other| other.core().cookie != socket.core().cookie && conflicts(socket, &*other))
    }

    /// A port that nobody has and that `fits`, looked for from a random place on.
    pub fn ephemeral(&self, socket: &S, random: u32, fits: impl Fn(u16) -> bool) -> Option<u16> {
        let ports = ephemeral_ports(socket.core());
        let count = u32::from(ports.end() - ports.start()) + 1;
        let port = |offset: u32| ports.start() + (random.wrapping_add(offset) % count) as u16;
        (0..count).map(port).find(|port| self.is_free(*port) && fits(*port))
    }

    /// Gives a socket the port it asks for, or with 0 any.
    pub fn bind(&mut self, socket: &Rc<S>, port: u16, random: u32, fits: impl Fn(u16) -> bool) -> Outcome<()> {
        let port = match port {
            0 => self.ephemeral(socket, random, fits).ok_or(Errno::EADDRINUSE)?,
            port if self.is_taken(port, socket) || !fits(port) => return Err(Errno::EADDRINUSE.into()),
            port => port,
        };
        socket.endpoint().set_port(port);
        self.add(socket);
        Ok(())
    }

    /// The socket that what comes from `from` to `to` is for, among those that `takes` lets: the most particular one,
    /// and of a group that shares the port (`SO_REUSEPORT`) always the same for the same sender.
    pub fn receiver(&self, from: SocketAddr, to: SocketAddr, takes: impl Fn(&S) -> bool) -> Option<Rc<S>> {
        let score = |socket: &Rc<S>| {
            let endpoint = socket.endpoint();
            let claim = endpoint.claim(socket.core(), to.ip());
            match endpoint.remote.get() {
                _ if claim == 0 || !takes(socket) => 0,
                Some(remote) if remote == from => claim + 4,
                Some(_) => 0,
                None => claim,
            }
        };
        let scored: Vec<(u32, Rc<S>)> = self.at(to.port()).map(|socket| (score(&socket), socket)).collect();
        let best = scored.iter().map(|(score, _)| *score).max().filter(|score| *score > 0)?;
        let mut equals: Vec<Rc<S>> =
            scored.into_iter().filter(|(score, _)| *score == best).map(|(_, socket)| socket).collect();
        let shared = equals.iter().all(|socket| socket.core().options.is_on(SO_REUSEPORT));
        // Without a group it is the one bound last.
        let index = if shared { usize::from(from.port()) % equals.len() } else { equals.len() - 1 };
        Some(equals.swap_remove(index))
    }
}

/// An ended connection.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    /// The other side may still send (`FIN_WAIT2`); otherwise that is over too (`TIME_WAIT`).
    pub half_open: bool,
    /// Its socket had `SO_REUSEADDR`.
    pub reuse: bool,
    /// Since when.
    pub since_ns: u64,
    /// `AF_*` of its socket.
    pub family: u32,
}

/// Ended connections: by port, own address, the other's address.
#[derive(Default)]
pub struct TimeWaits {
    ended: BTreeMap<(u16, SocketAddr, SocketAddr), TimeWait>,
}

impl TimeWaits {
    /// Remembers a connection that has ended on this side.
    pub fn add(&mut self, local: SocketAddr, remote: SocketAddr, ended: TimeWait) {
        if self.ended.len() >= TIME_WAITS_MAX {
            self.prune(ended.since_ns);
        }
        if self.ended.len() < TIME_WAITS_MAX {
            self.ended.insert((local.port(), local, remote), ended);
        }
    }

    /// Forgets a connection.
    pub fn remove(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<TimeWait> {
        self.ended.remove(&(local.port(), local, remote))
    }

    fn prune(&mut self, now_ns: u64) {
        self.ended.retain(|_, ended| now_ns.saturating_sub(ended.since_ns) < TIME_WAIT_NS);
    }

    /// Those not over yet, with the nanoseconds each has left.
    pub fn list(&mut self, now_ns: u64) -> Vec<(SocketAddr, SocketAddr, TimeWait, u64)> {
        self.prune(now_ns);
        let left = |ended: &TimeWait| TIME_WAIT_NS - now_ns.saturating_sub(ended.since_ns).min(TIME_WAIT_NS);
        self.ended.iter().map(|((_, local, remote), ended)| (*local, *remote, *ended, left(ended))).collect()
    }

    /// Whether an ended connection keeps a socket from having a port.
    pub fn is_taken(&self, port: u16, socket: &impl Bound, now_ns: u64) -> bool {
        let reuse = socket.core().options.is_on(SO_REUSEADDR);
        let any = SocketAddr::new(super::address::any(abi::socket::AF_INET), 0);
        let mut at_port = self.ended.range((port, any, any)..).take_while(|((at, ..), _)| *at == port);
        at_port.any(|((_, local, _), ended)| {
            let is_over = now_ns.saturating_sub(ended.since_ns) >= TIME_WAIT_NS;
            let is_shared = reuse && ended.reuse;
            !(is_over || is_shared) && socket.endpoint().claim(socket.core(), local.ip()) > 0
        })
    }

    /// Whether an ended connection keeps two addresses from being connected.
    pub fn keeps_apart(&self, local: SocketAddr, remote: SocketAddr, now_ns: u64) -> bool {
        let ended = self.ended.get(&(local.port(), local, remote));
        ended.is_some_and(|ended| now_ns.saturating_sub(ended.since_ns) < REUSE_NS)
    }
}
