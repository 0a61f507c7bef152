//! TCP (`tcp(7)`, RFC 9293): how connections come about. How they end is in [`super::ending`].
//!
//! Both ends of every connection are here, so each step of the handshakes happens at once, and states that wait for an
//! answer from afar (`FIN_WAIT1`, `LAST_ACK`, `CLOSING`) are never seen; `SYN_RECV` is only where a listener wants
//! to know of a connection when something has come through it ([`super::deferral`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::capability::CAP_NET_BIND_SERVICE;
use abi::socket::*;

use super::address::{self, Endpoint, Reach, reach};
use super::deferral::Deferral;
use super::errors::ErrorQueue;
use super::options;
use super::ports::Bound;
use super::stream::Urgent;
use crate::files::Io;
use crate::kernel::{Kernel, SECOND_NS};
use crate::net::{BACKLOG_MAX, Core, Socket};
use crate::stop::Outcome;
use crate::task::Task;
use crate::timer::TimerEvent;

/// Bytes of the buffers unless told otherwise (`net.ipv4.tcp_wmem`, `tcp_rmem`).
const SEND_BYTES: u32 = 16_384;
const RECEIVE_BYTES: u32 = 131_072;

/// The state of a connection, with Linux's numbers (`net/tcp_states.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Both sides may send.
    Established = 1,
    /// It has knocked at a listener whose backlog is full.
    SynSent = 2,
    /// Its listener is not told of it yet: only shown, since the client is right to think it established.
    SynRecv = 3,
    /// This side has sent its last byte.
    FinWait2 = 5,
    /// There is no connection, or no more.
    Close = 7,
    /// The other side has sent its last byte.
    CloseWait = 8,
    /// It waits for connections.
    Listen = 10,
}

/// What `connect` has come to, for the program (`socket_state`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It has not been called, or has failed.
    Unconnected,
    /// It was called, and has not told what came of it.
    Connecting,
    /// It has succeeded.
    Connected,
}

/// Connections that wait at a listener.
#[derive(Default)]
pub struct Backlog {
    /// Those to be accepted.
    pub ready: VecDeque<Rc<TcpSocket>>,
    /// Those it is not told of yet (`TCP_DEFER_ACCEPT`). No more than `max`.
    pub(super) deferred: Vec<Rc<TcpSocket>>,
    /// Clients that there was no room for. Bounded by the clients' own descriptors.
    pub(super) knocking: VecDeque<Weak<TcpSocket>>,
    /// Most that may wait to be accepted.
    pub max: usize,
}

/// A TCP socket.
pub struct TcpSocket {
    pub(super) core: Core,
    pub(super) endpoint: Endpoint,
    pub(super) state: Cell<State>,
    pub(super) phase: Cell<Phase>,
    /// The other side, while it has a descriptor or may get one.
    pub(super) peer: RefCell<Weak<TcpSocket>>,
    /// The other side has said that nothing more comes.
    pub(super) finished: Cell<bool>,
    pub(super) backlog: RefCell<Backlog>,
    pub(super) urgent: Cell<Option<Urgent>>,
    /// Notes of buffers that may be used again (`MSG_ZEROCOPY`).
    pub(super) errors: ErrorQueue,
    /// Its listener, while that is not told of it, and whether it may be.
    pub(super) deferral: RefCell<Deferral>,
    /// When it gives up knocking, on the monotonic clock.
    knocks_until_ns: Cell<u64>,
    /// Bytes sent and received, for `TCP_INFO`.
    pub(super) sent_bytes: Cell<u64>,
    pub(super) received_bytes: Cell<u64>,
}

impl Bound for TcpSocket {
    fn core(&self) -> &Core {
        &self.core
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn shares_by_reuse(&self) -> bool {
        self.state.get() != State::Listen
    }
}

impl TcpSocket {
    /// An unconnected socket.
    pub fn new(family: u32) -> Rc<Self> {
        Rc::new(Self {
            core: Core::new(family, SOCK_STREAM, IPPROTO_TCP, SEND_BYTES, RECEIVE_BYTES),
            endpoint: Endpoint::new(family),
            state: Cell::new(State::Close),
            phase: Cell::new(Phase::Unconnected),
            peer: RefCell::default(),
            finished: Cell::new(false),
            backlog: RefCell::default(),
            urgent: Cell::default(),
            errors: ErrorQueue::default(),
            deferral: RefCell::default(),
            knocks_until_ns: Cell::new(0),
            sent_bytes: Cell::new(0),
            received_bytes: Cell::new(0),
        })
    }

    /// Its state, as it is shown.
    pub fn state(&self) -> State {
        if self.is_deferred() { State::SynRecv } else { self.state.get() }
    }

    /// Its addresses: its own, the other side's.
    pub fn addresses(&self) -> (SocketAddr, Option<SocketAddr>) {
        (self.endpoint.local.get(), self.endpoint.remote.get())
    }

    /// Connections that wait to be accepted.
    pub fn waiting(&self) -> usize {
        self.backlog.borrow().ready.len()
    }

    /// Connections that may wait to be accepted.
    pub fn backlog_max(&self) -> usize {
        self.backlog.borrow().max
    }

    /// The other side.
    pub fn peer(&self) -> Option<Rc<TcpSocket>> {
        self.peer.borrow().upgrade()
    }

    // ---- ports ----

    /// Takes the port it asks for, or with 0 any.
    pub(super) fn take_port(self: &Rc<Self>, k: &mut Kernel, port: u16) -> Outcome<()> {
        let (random, now_ns) = (u32::from_le_bytes(k.random_bytes()), k.host.monotonic_ns());
        let net = &mut k.net;
        net.tcp.bind(self, port, random, |port| !net.time_waits.is_taken(port, &**self, now_ns))
    }

    /// Gives up what `connect` chose, unless `bind` did.
    pub(super) fn release_addresses(&self, k: &mut Kernel) {
        self.endpoint.remote.set(None);
        if !self.endpoint.port_is_bound.get() {
            k.net.tcp.remove(self);
        }
        if !self.endpoint.address_is_bound.get() {
            self.endpoint.set_ip(address::any(self.core.family));
        }
    }

    /// Finds a port from which `to` can be connected, unless it has one.
    fn take_source_port(self: &Rc<Self>, k: &mut Kernel, to: SocketAddr) -> Outcome<()> {
        let (random, now_ns) = (u32::from_le_bytes(k.random_bytes()), k.host.monotonic_ns());
        let net = &mut k.net;
        let ip = self.endpoint.local.get().ip();
        if self.endpoint.holds_port.get() {
            let is_same = |other: Rc<TcpSocket>| other.addresses() == (self.endpoint.local.get(), Some(to));
            let is_taken = net.tcp.at(self.endpoint.port()).any(is_same)
                || net.time_waits.keeps_apart(self.endpoint.local.get(), to, now_ns);
            return if is_taken { Err(Errno::EADDRNOTAVAIL.into()) } else { Ok(()) };
        }
        let fits = |port| !net.time_waits.keeps_apart(SocketAddr::new(ip, port), to, now_ns);
        let port = net.tcp.ephemeral(self, random, fits).ok_or(Errno::EADDRNOTAVAIL)?;
        self.endpoint.set_port(port);
        net.tcp.add(self);
        Ok(())
    }

    // ---- beginning ----

    /// `connect(2)`.
    pub(super) fn connect_to(self: &Rc<Self>, k: &mut Kernel, raw: &[u8], nonblocking: bool) -> Outcome<()> {
        if raw.len() < 2 {
            return Err(Errno::EINVAL.into());
        }
        if address::family_of(raw) == AF_UNSPEC {
            self.disconnect(k);
            return Ok(());
        }
        match (self.phase.get(), self.state.get()) {
            (Phase::Connected, _) => Err(Errno::EISCONN.into()),
            (Phase::Connecting, _) => self.finish_connecting(k, nonblocking),
            (Phase::Unconnected, State::Close) => {
                self.start_connecting(k, address::parse(self.core.family, raw)?)?;
                self.phase.set(Phase::Connecting);
                if nonblocking { Err(Errno::EINPROGRESS.into()) } else { self.finish_connecting(k, false) }
            }
            (Phase::Unconnected, _) => Err(Errno::EISCONN.into()),
        }
    }

    fn finish_connecting(&self, k: &mut Kernel, nonblocking: bool) -> Outcome<()> {
        match self.state.get() {
            State::SynSent if nonblocking => Err(Errno::EALREADY.into()),
            State::SynSent => Err(self.core.arrivals.stop()),
            State::Close => {
                let errno = self.core.error.take().unwrap_or(Errno::ECONNABORTED);
                self.disconnect(k);
                Err(errno.into())
            }
            _ => {
                self.phase.set(Phase::Connected);
                Ok(())
            }
        }
    }

    fn start_connecting(self: &Rc<Self>, k: &mut Kernel, to: SocketAddr) -> Outcome<()> {
        address::check_destination(&self.core, to)?;
        let to = address::destination(to);
        if matches!(to.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return Err(Errno::EINVAL.into());
        }
        if reach(to.ip()) != Reach::Local {
            return Err(Errno::ENETUNREACH.into());
        }
        if self.endpoint.local.get().ip().is_unspecified() {
            self.endpoint.set_ip(address::source(to.ip()));
        }
        let taken = self.take_source_port(k, to);
        if taken.is_err() {
            self.release_addresses(k);
            return taken;
        }
        self.endpoint.remote.set(Some(to));
        self.core.shut_in.set(false);
        self.core.shut_out.set(false);
        self.finished.set(false);
        self.state.set(State::SynSent);
        if self.endpoint.local.get() == to {
            self.meet_itself(k);
            return Ok(());
        }
        let listener = k.net.tcp.receiver(self.endpoint.local.get(), to, |other| other.state.get() == State::Listen);
        match listener {
            None => self.receive_reset(k),
            Some(listener) if listener.is_full() => {
                let knocking = &mut listener.backlog.borrow_mut().knocking;
                knocking.retain(|client| client.strong_count() > 0);
                knocking.push_back(Rc::downgrade(self));
                self.limit_knocking(k);
            }
            Some(listener) => listener.admit(k, self),
        }
        Ok(())
    }

    /// Is connected to itself, as one whose both sides knock at the same time (RFC 9293, 3.5).
    fn meet_itself(self: &Rc<Self>, k: &mut Kernel) {
        *self.peer.borrow_mut() = Rc::downgrade(self);
        self.state.set(State::Established);
        self.core.wake(k);
        k.tell_listeners(&self.core.listeners, Io::Output);
    }

    /// Whether it is connected to itself.
    pub(super) fn is_its_own_peer(&self) -> bool {
        self.peer().is_some_and(|peer| std::ptr::eq(&*peer, self))
    }

    /// Sets the time at which it gives up: `TCP_USER_TIMEOUT`, or when Linux would have knocked as often as
    /// `TCP_SYNCNT` says, waiting one second after the first time and then twice as long after each.
    fn limit_knocking(self: &Rc<Self>, k: &mut Kernel) {
        const MILLI_NS: u64 = 1_000_000;
        let own_ms = options::value(&self.core, IPPROTO_TCP, TCP_USER_TIMEOUT) as u64;
        let retries = options::value(&self.core, IPPROTO_TCP, TCP_SYNCNT) as u32;
        let seconds = (1u64 << (retries + 1).min(32)) - 1;
        let limit_ns = if own_ms > 0 { own_ms * MILLI_NS } else { seconds * SECOND_NS };
        let until_ns = k.host.monotonic_ns().saturating_add(limit_ns);
        self.knocks_until_ns.set(until_ns);
        k.timers.add(until_ns, TimerEvent::Knocking(Rc::downgrade(self)));
    }

    /// Gives up knocking, if it still does and it is time.
    pub(crate) fn give_up(&self, k: &mut Kernel, now_ns: u64) {
        if self.state.get() == State::SynSent && now_ns >= self.knocks_until_ns.get() {
            self.core.error.set(Some(Errno::ETIMEDOUT));
            self.end(k);
        }
    }

    /// Whether no more connections can wait to be accepted. One more than asked for can, as on Linux.
    pub(super) fn is_full(&self) -> bool {
        let backlog = self.backlog.borrow();
        backlog.ready.len() > backlog.max
    }

    /// Establishes a connection with a client that has knocked at this listener.
    fn admit(self: &Rc<Self>, k: &mut Kernel, client: &Rc<TcpSocket>) {
        let Some(local) = client.endpoint.remote.get() else { return };
        let server = TcpSocket::new(self.core.family);
        server.core.options.inherit(&self.core.options);
        server.core.options.set_number(IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
        server.core.uid.set(self.core.uid.get());
        server.endpoint.local.set(local);
        server.endpoint.remote.set(Some(client.endpoint.local.get()));
        for (this, that) in [(client, &server), (&server, client)] {
            *this.peer.borrow_mut() = Rc::downgrade(that);
            this.state.set(State::Established);
        }
        server.phase.set(Phase::Connected);
        k.net.tcp.add(&server);
        let listed: Rc<dyn Socket> = server.clone();
        k.net.register(&listed);
        client.core.wake(k);
        k.tell_listeners(&client.core.listeners, Io::Output);
        if !self.defer(k, &server) {
            self.backlog.borrow_mut().ready.push_back(server);
            self.core.announce(k, Io::Input);
        }
    }

    /// `listen(2)`.
    pub(super) fn start_listening(self: &Rc<Self>, k: &mut Kernel, backlog: usize) -> Outcome<()> {
        if self.phase.get() != Phase::Unconnected || !matches!(self.state.get(), State::Close | State::Listen) {
            return Err(Errno::EINVAL.into());
        }
        if self.state.get() == State::Close {
            if !self.endpoint.holds_port.get() {
                self.take_port(k, 0)?;
            }
            self.state.set(State::Listen);
            if k.net.tcp.is_taken(self.endpoint.port(), &**self) {
                self.state.set(State::Close);
                return Err(Errno::EADDRINUSE.into());
            }
            self.core.shut_in.set(false);
            self.core.shut_out.set(false);
        }
        self.backlog.borrow_mut().max = backlog.min(BACKLOG_MAX);
        Ok(())
    }

    /// `accept(2)`.
    pub(super) fn take_connection(self: &Rc<Self>, k: &mut Kernel) -> Outcome<Rc<TcpSocket>> {
        if self.state.get() != State::Listen {
            return Err(Errno::EINVAL.into());
        }
        let taken = self.backlog.borrow_mut().ready.pop_front();
        let taken = taken.ok_or_else(|| self.core.arrivals.stop())?;
        self.take_deferred(k);
        while !self.is_full() {
            let next = self.backlog.borrow_mut().knocking.pop_front();
            match next.map(|client| client.upgrade()) {
                Some(Some(client)) if client.state.get() == State::SynSent => self.admit(k, &client),
                Some(_) => {}
                None => break,
            }
        }
        Ok(taken)
    }
}

/// Refuses a port that needs privilege, and an address that is not ours.
pub(super) fn check_bind(t: &Rc<Task>, to: SocketAddr) -> Outcome<()> {
    let is_privileged = (1..address::UNPRIVILEGED_PORT).contains(&to.port());
    match to.ip() {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Err(Errno::EINVAL.into()),
        ip if !address::is_bindable(ip) => Err(Errno::EADDRNOTAVAIL.into()),
        _ if is_privileged && !t.credentials().has(CAP_NET_BIND_SERVICE) => Err(Errno::EACCES.into()),
        _ => Ok(()),
    }
}
