//! What TCP connections carry: bytes, and the urgent byte.

use std::collections::VecDeque;
use std::rc::Rc;

use abi::Errno;
use abi::poll::*;
use abi::signal::SIGURG;
use abi::socket::*;

use super::address::{self, Endpoint};
use super::options;
use super::tcp::{State, TcpSocket, check_bind};
use crate::files::Io;
use crate::kernel::Kernel;
use crate::net::inbox::{Attached, Look, Message, RawAddress, Received};
use crate::net::memory::Held;
use crate::net::options::number;
use crate::net::{Core, Outgoing, Socket};
use crate::signal::SigInfo;
use crate::stop::Outcome;
use crate::task::Task;

/// The byte sent last with `MSG_OOB`. It is in the stream, too; reads stop before it, and then skip it unless
/// `SO_OOBINLINE` is on.
#[derive(Clone, Copy, Debug)]
pub struct Urgent {
    /// Bytes in the inbox before it.
    ahead: usize,
    byte: u8,
    /// It has been received by itself.
    taken: bool,
}

impl TcpSocket {
    /// Bytes that may be under way to this side from one with such a buffer.
    fn capacity(&self, send_bytes: u32) -> usize {
        self.core.options.receive_bytes.get() as usize + send_bytes as usize
    }

    /// Whether a sender is told that there is room: unless two thirds are taken.
    fn invites(&self, send_bytes: u32) -> bool {
        self.core.inbox.borrow().bytes() < self.capacity(send_bytes) * 2 / 3
    }

    fn is_inline(&self) -> bool {
        self.core.options.is_on(SO_OOBINLINE)
    }

    /// Bytes that a read gives before it stops: at the urgent byte, or at the end.
    fn bytes_ahead(&self) -> usize {
        let bytes = self.core.inbox.borrow().bytes();
        match self.urgent.get() {
            Some(urgent) if urgent.ahead > 0 => urgent.ahead,
            Some(_) if !self.is_inline() => bytes.saturating_sub(1),
            _ => bytes,
        }
    }

    fn check_sendable(&self) -> Outcome<()> {
        match self.state.get() {
            State::SynSent => Err(self.core.arrivals.stop()),
            State::Established | State::CloseWait if !self.core.shut_out.get() && self.core.error.get().is_none() => {
                Ok(())
            }
            _ => Err(self.core.error.take().unwrap_or(Errno::EPIPE).into()),
        }
    }

    /// Puts bytes into the inbox, the last of them an urgent one.
    fn deliver(&self, bytes: VecDeque<u8>, held: Held, urgent: bool, time_ns: u64) {
        let mut inbox = self.core.inbox.borrow_mut();
        if let Some(byte) = bytes.back().copied().filter(|_| urgent) {
            // The one before is passed if it is next.
            if !self.is_inline() && self.urgent.get().is_some_and(|urgent| urgent.ahead == 0) {
                inbox.drop_front(1);
            }
            self.urgent.set(Some(Urgent { ahead: inbox.bytes() + bytes.len() - 1, byte, taken: false }));
        }
        self.received_bytes.set(self.received_bytes.get() + bytes.len() as u64);
        inbox.push_stream(Message {
            bytes,
            attached: Attached { time_ns, ..Attached::default() },
            held,
            ..Message::default()
        });
    }

    fn send_bytes(&self, k: &mut Kernel, out: &mut Outgoing) -> Outcome<usize> {
        if out.flags & MSG_FASTOPEN != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        self.check_sendable()?;
        let Some(peer) = self.peer() else {
            self.send_into_the_void(k);
            return Ok(out.bytes.len());
        };
        if peer.core.shut_in.get() && peer.core.shut_out.get() {
            peer.receive_reset(k);
            self.receive_reset(k);
            return Ok(out.bytes.len());
        }
        let capacity = peer.capacity(self.core.options.send_bytes.get());
        let room = capacity.saturating_sub(peer.core.inbox.borrow().bytes());
        if room == 0 && !out.bytes.is_empty() {
            return Err(peer.core.room.stop());
        }
        let is_whole = out.bytes.len() <= room;
        let mut bytes: VecDeque<u8> = std::mem::take(&mut out.bytes).into();
        bytes.truncate(room);
        let taken = bytes.len();
        if taken > 0 {
            let held = k.net.memory.hold_piece(taken)?;
            self.sent_bytes.set(self.sent_bytes.get() + taken as u64);
            k.net.carried.count(taken);
            let urgent = is_whole && out.flags & MSG_OOB != 0;
            peer.deliver(bytes, held, urgent, k.realtime_ns());
            peer.appear(k);
            if urgent {
                let info = SigInfo::kernel(SIGURG);
                k.signal_owner(peer.core.ownership.get(), &info, &info);
                // Once as urgent, once for its place in the stream.
                k.tell_listeners(&peer.core.listeners, Io::Urgent);
                k.tell_listeners(&peer.core.listeners, Io::Input);
            }
            peer.core.announce(k, Io::Input);
            if out.flags & MSG_ZEROCOPY != 0 && self.core.options.is_on(SO_ZEROCOPY) {
                self.errors.note_copy(k, &self.core);
            }
        }
        Ok(taken)
    }

    /// Takes the urgent byte by itself (`MSG_OOB`).
    fn receive_urgent(&self, peek: bool) -> Outcome<Received> {
        match self.urgent.get() {
            Some(urgent) if !self.is_inline() && !urgent.taken => {
                self.urgent.set(Some(Urgent { taken: !peek, ..urgent }));
                Ok(Received { bytes: vec![urgent.byte], full_len: 1, flags: MSG_OOB, ..Received::default() })
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// Passes the urgent byte, if that is the next one.
    fn skip_urgent(&self) {
        let is_next = self.urgent.get().is_some_and(|urgent| urgent.ahead == 0);
        if is_next && !self.is_inline() {
            self.core.inbox.borrow_mut().drop_front(1);
        }
        if is_next {
            self.urgent.take();
        }
    }

    /// Takes bytes there are. `None` if there are none to be read.
    fn take_bytes(&self, k: &mut Kernel, len: usize, flags: u32) -> Option<Received> {
        let look = self.core.look(flags);
        let from = if let Look::Peek { from } = look { from.unwrap_or(0) } else { 0 };
        if self.bytes_ahead() <= from {
            return None;
        }
        let was_inviting = self.invites(0);
        if look == Look::Take {
            self.skip_urgent();
        }
        let len = len.min(self.bytes_ahead() - from);
        let is_urgent_next = self.urgent.get().is_some_and(|urgent| urgent.ahead == 0);
        let at = match look {
            // A look goes past the urgent byte that stays.
            Look::Peek { .. } if is_urgent_next && !self.is_inline() => Look::Peek { from: Some(from + 1) },
            Look::Peek { .. } => Look::Peek { from: Some(from) },
            Look::Take => Look::Take,
        };
        let mut received = self.core.inbox.borrow_mut().take_stream(len, at)?;
        self.core.move_look(look, received.full_len);
        if flags & MSG_TRUNC != 0 {
            received.bytes.clear();
        }
        if look == Look::Take {
            let ahead = |urgent: Urgent| Urgent { ahead: urgent.ahead.saturating_sub(received.full_len), ..urgent };
            self.urgent.set(self.urgent.get().map(ahead));
            if !was_inviting {
                k.wake(&self.core.room);
                if let Some(peer) = self.peer() {
                    k.tell_listeners(&peer.core.listeners, Io::Output);
                }
            }
        }
        Some(received)
    }
}

impl Socket for TcpSocket {
    fn core(&self) -> &Core {
        &self.core
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn bind(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, raw: &[u8]) -> Outcome<()> {
        let to = options::bind_address(&self.core, raw)?;
        check_bind(t, to)?;
        if self.state.get() != State::Close || self.endpoint.holds_port.get() {
            return Err(Errno::EINVAL.into());
        }
        self.endpoint.set_ip(to.ip());
        let without_port = to.port() == 0 && self.core.options.number(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) == Some(1);
        if !without_port && let Err(stop) = self.take_port(k, to.port()) {
            self.endpoint.set_ip(address::any(self.core.family));
            return Err(stop);
        }
        self.endpoint.address_is_bound.set(!to.ip().is_unspecified());
        self.endpoint.port_is_bound.set(to.port() != 0);
        Ok(())
    }

    fn connect(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, address: &[u8], nonblocking: bool) -> Outcome<()> {
        self.connect_to(k, address, nonblocking)
    }

    fn listen(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, backlog: usize) -> Outcome<()> {
        self.start_listening(k, backlog)
    }

    fn accept(self: Rc<Self>, k: &mut Kernel) -> Outcome<Rc<dyn Socket>> {
        self.take_connection(k).map(|socket| socket as Rc<dyn Socket>)
    }

    fn local_address(&self) -> RawAddress {
        address::raw(self.core.family, self.endpoint.local.get())
    }

    fn peer_address(&self) -> Outcome<RawAddress> {
        match (self.state.get(), self.endpoint.remote.get()) {
            (State::Close | State::SynSent, _) | (_, None) => Err(Errno::ENOTCONN.into()),
            (_, Some(remote)) => Ok(address::raw(self.core.family, remote)),
        }
    }

    fn accepted_address(&self) -> Outcome<RawAddress> {
        let remote = self.endpoint.remote.get().ok_or(Errno::ENOTCONN)?;
        Ok(address::raw(self.core.family, remote))
    }

    fn shutdown(&self, k: &mut Kernel, input: bool, output: bool) -> Outcome<()> {
        self.shut(k, input, output)
    }

    fn send(self: Rc<Self>, k: &mut Kernel, _t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        self.send_bytes(k, out)
    }

    fn receive(&self, k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received> {
        let core = &self.core;
        if flags & MSG_ERRQUEUE != 0 {
            return self.errors.take(core, len);
        }
        if self.state.get() == State::Listen {
            return Err(Errno::ENOTCONN.into());
        }
        if flags & MSG_OOB != 0 {
            return self.receive_urgent(flags & MSG_PEEK != 0);
        }
        if let Some(received) = self.take_bytes(k, len, flags) {
            return Ok(received);
        }
        if self.finished.get() {
            return Ok(Received::default());
        }
        core.take_error()?;
        match self.state.get() {
            _ if core.shut_in.get() => Ok(Received::default()),
            State::Close => Err(Errno::ENOTCONN.into()),
            _ => Err(core.arrivals.stop()),
        }
    }

    fn get_option(&self, k: &mut Kernel, level: u32, option: u32) -> Outcome<Vec<u8>> {
        match (level, option) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(number((self.state.get() == State::Listen).into())),
            (IPPROTO_TCP, TCP_INFO) => Ok(options::tcp_info(self)),
            _ => options::get(k, &self.core, &self.endpoint, level, option),
        }
    }

    fn set_option(&self, _k: &mut Kernel, t: &Rc<Task>, level: u32, option: u32, value: &[u8]) -> Outcome<()> {
        options::set(&self.core, &self.endpoint, &t.credentials(), level, option, value)
    }

    fn readable_bytes(&self) -> Outcome<usize> {
        match (self.state.get(), self.urgent.get()) {
            (State::Listen, _) => Err(Errno::EINVAL.into()),
            (_, Some(urgent)) if !self.is_inline() => Ok(urgent.ahead),
            _ => Ok(self.core.inbox.borrow().bytes()),
        }
    }

    fn unsent_bytes(&self) -> Outcome<usize> {
        if self.state.get() == State::Listen { Err(Errno::EINVAL.into()) } else { Ok(0) }
    }

    fn is_at_mark(&self) -> Outcome<bool> {
        Ok(self.urgent.get().is_some_and(|urgent| urgent.ahead == 0))
    }

    fn receiver(&self) -> Option<Rc<dyn Socket>> {
        self.peer().map(|peer| peer as Rc<dyn Socket>)
    }

    fn readiness(&self) -> u32 {
        let (core, state) = (&self.core, self.state.get());
        if state == State::Listen {
            return if self.backlog.borrow().ready.is_empty() { 0 } else { POLLIN | POLLRDNORM };
        }
        let mut events = if core.error.get().is_some() || !self.errors.is_empty() { POLLERR } else { 0 };
        if core.shut_in.get() {
            events |= POLLIN | POLLRDNORM | POLLRDHUP;
        }
        if (core.shut_in.get() && core.shut_out.get()) || state == State::Close {
            events |= POLLHUP;
        }
        if state == State::SynSent {
            return events;
        }
        let enough = core.options.number(SOL_SOCKET, SO_RCVLOWAT).unwrap_or(1) as usize;
        if self.bytes_ahead() >= enough {
            events |= POLLIN | POLLRDNORM;
        }
        let send_bytes = core.options.send_bytes.get();
        if core.shut_out.get() || self.peer().is_none_or(|peer| peer.invites(send_bytes)) {
            events |= POLLOUT | POLLWRNORM;
        }
        if self.urgent.get().is_some_and(|urgent| !urgent.taken) {
            events |= POLLPRI;
        }
        events
    }

    fn close(&self, k: &mut Kernel) {
        self.close_connection(k);
    }
}
