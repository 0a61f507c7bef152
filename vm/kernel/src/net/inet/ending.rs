//! How TCP connections end (RFC 9293, 3.6): in halves, at once, and what stays of them.

use std::net::SocketAddr;
use std::rc::Weak;

use abi::Errno;
use abi::socket::SO_REUSEADDR;

use super::ports::TimeWait;
use super::tcp::{Backlog, Phase, State, TcpSocket};
use crate::files::Io;
use crate::kernel::Kernel;
use crate::stop::Outcome;

impl TcpSocket {
    /// Says that this side sends nothing more.
    pub(super) fn send_fin(&self, k: &mut Kernel) {
        let peer = self.peer();
        match (self.state.get(), peer) {
            (State::Established, Some(_)) if self.is_its_own_peer() => {
                self.finished.set(true);
                self.remember(k, false);
                self.end(k);
                k.tell_listeners(&self.core.listeners, Io::HangUp);
            }
            (State::Established, peer) => {
                self.state.set(State::FinWait2);
                if let Some(peer) = peer {
                    peer.receive_fin();
                    peer.state.set(State::CloseWait);
                    peer.appear(k);
                    peer.core.wake(k);
                    // Linux tells of the end, and of its place in the stream.
                    let both = peer.core.shut_out.get();
                    k.tell_listeners(&peer.core.listeners, if both { Io::HangUp } else { Io::Input });
                    k.tell_listeners(&peer.core.listeners, Io::Input);
                }
            }
            (State::CloseWait, Some(peer)) => {
                peer.receive_fin();
                peer.remember(k, false);
                peer.end(k);
                self.end(k);
                k.tell_listeners(&peer.core.listeners, Io::HangUp);
            }
            (State::CloseWait, None) => {
                let forgotten = self.forget_other_side(k);
                if let (Some((local, remote)), Some(ended)) = (self.other_way(), forgotten) {
                    let ended = TimeWait { half_open: false, since_ns: k.host.monotonic_ns(), ..ended };
                    k.net.time_waits.add(local, remote, ended);
                }
                self.end(k);
            }
            _ => {}
        }
    }

    fn receive_fin(&self) {
        self.core.shut_in.set(true);
        self.finished.set(true);
    }

    /// Addresses as the other side sees them.
    fn other_way(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.endpoint.remote.get().map(|remote| (remote, self.endpoint.local.get()))
    }

    /// Lets the other side's addresses go, which is gone but for them.
    fn forget_other_side(&self, k: &mut Kernel) -> Option<TimeWait> {
        let (local, remote) = self.other_way()?;
        k.net.time_waits.remove(local, remote)
    }

    /// Keeps its addresses taken for a while.
    fn remember(&self, k: &mut Kernel, half_open: bool) {
        if let (local, Some(remote)) = self.addresses() {
            let (reuse, since_ns) = (self.core.options.is_on(SO_REUSEADDR), k.host.monotonic_ns());
            let ended = TimeWait { half_open, reuse, since_ns, family: self.core.family };
            k.net.time_waits.add(local, remote, ended);
        }
    }

    /// The connection is over.
    pub(super) fn end(&self, k: &mut Kernel) {
        self.state.set(State::Close);
        self.core.shut_in.set(true);
        self.core.shut_out.set(true);
        self.peer.take();
        if !self.endpoint.port_is_bound.get() {
            k.net.tcp.remove(self);
        }
        self.core.wake(k);
    }

    /// The other side does not know this connection, or no longer (`tcp_reset`).
    pub(super) fn receive_reset(&self, k: &mut Kernel) {
        let errno = match self.state.get() {
            State::SynSent => Errno::ECONNREFUSED,
            State::CloseWait => Errno::EPIPE,
            State::Close => return,
            _ => Errno::ECONNRESET,
        };
        self.vanish(k);
        self.core.error.set(Some(errno));
        self.end(k);
        k.tell_listeners(&self.core.listeners, Io::Error);
    }

    /// Ends the connection without ado: the other side is told so.
    pub(super) fn abort(&self, k: &mut Kernel) {
        match self.peer() {
            Some(peer) => peer.receive_reset(k),
            None => drop(self.forget_other_side(k)),
        }
        self.end(k);
    }

    /// Sends to a side that is gone: it answers with a reset.
    pub(super) fn send_into_the_void(&self, k: &mut Kernel) {
        self.forget_other_side(k);
        self.receive_reset(k);
    }

    /// Sends away all who wait at a listener.
    fn stop_listening(&self, k: &mut Kernel) {
        let Backlog { ready, deferred, knocking, .. } = self.backlog.take();
        // These were never told of, nor is their client.
        for server in deferred {
            server.vanish(k);
        }
        for server in ready {
            k.net.forget(server.core.cookie);
            server.abort(k);
            k.net.tcp.remove(&server);
        }
        for client in knocking.iter().filter_map(Weak::upgrade) {
            if client.state.get() == State::SynSent {
                client.receive_reset(k);
            }
        }
    }

    /// Makes it a socket that can be connected (anew): `connect` with `AF_UNSPEC`, or after failure.
    pub(super) fn disconnect(&self, k: &mut Kernel) {
        let before = self.state.get();
        match before {
            State::Listen => self.stop_listening(k),
            State::Established | State::FinWait2 | State::CloseWait => self.abort(k),
            State::SynSent | State::SynRecv | State::Close => {}
        }
        let was_connected = !matches!(before, State::Listen | State::Close);
        self.core.error.set(was_connected.then_some(Errno::ECONNRESET));
        self.state.set(State::Close);
        self.phase.set(Phase::Unconnected);
        self.core.inbox.borrow_mut().clear();
        self.urgent.take();
        self.core.shut_in.set(false);
        self.core.shut_out.set(false);
        self.finished.set(false);
        self.release_addresses(k);
        self.core.wake(k);
    }

    /// `shutdown(2)`.
    pub(super) fn shut(&self, k: &mut Kernel, input: bool, output: bool) -> Outcome<()> {
        let (core, state) = (&self.core, self.state.get());
        match state {
            State::Listen if !input => return Ok(()),
            State::Listen | State::SynSent => {
                self.disconnect(k);
                return Ok(());
            }
            _ => {}
        }
        core.shut_in.set(core.shut_in.get() | input);
        core.shut_out.set(core.shut_out.get() | output);
        if output {
            self.send_fin(k);
        }
        core.wake(k);
        if state == State::Close { Err(Errno::ENOTCONN.into()) } else { Ok(()) }
    }

    /// The last descriptor is gone.
    pub(super) fn close_connection(&self, k: &mut Kernel) {
        let unread = !self.core.inbox.borrow().is_empty();
        match self.state.get() {
            State::Listen => self.stop_listening(k),
            State::Established | State::FinWait2 | State::CloseWait => {
                if unread || self.core.options.linger.get() == (true, 0) {
                    self.abort(k);
                } else {
                    self.send_fin(k);
                    self.leave_half_open(k);
                }
            }
            State::SynSent | State::SynRecv | State::Close => {}
        }
        self.state.set(State::Close);
        self.core.inbox.borrow_mut().clear();
        k.net.tcp.remove(self);
        self.core.wake(k);
    }

    /// The other side may still send, though nobody will read it.
    fn leave_half_open(&self, k: &mut Kernel) {
        if self.state.get() != State::FinWait2 {
            return;
        }
        self.remember(k, true);
        if let Some(peer) = self.peer() {
            peer.peer.take();
            peer.core.wake(k);
        }
    }
}
