//! What unix sockets carry: bytes, messages, files.
//!
//! What a socket has sent and nobody has received counts at the sender, as in Linux: it may send while that is less than
//! its buffer (`SO_SNDBUF`), and is told that it may (`POLLOUT`) while it is a quarter at most.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::socket::*;

use super::UnixSocket;
use super::names::{find, name_of, raw_name};
use crate::files::Io;
use crate::kernel::Kernel;
use crate::net::filter::Packet;
use crate::net::inbox::{Attached, Charge, Inbox, Look, Message, Received};
use crate::net::memory::{STREAM_PIECE_BYTES_MAX, buffer_bytes};
use crate::net::{Outgoing, Socket, downcast};
use crate::stop::Outcome;
use crate::task::Task;

/// Messages that may wait at a socket for those that it does not send to, less one (`net.unix.max_dgram_qlen`).
pub const DATAGRAMS_MAX: usize = 10;
/// What of a message's buffer is not for its bytes, when it is checked against `SO_SNDBUF`.
const MESSAGE_OVERHEAD_BYTES: usize = 32;
/// Of half a buffer, what a piece of a stream leaves free.
const PIECE_RESERVE_BYTES: usize = 64;

/// Something that a socket has sent was received, or is lost: it may have room again.
pub(super) fn tell_sender(k: &mut Kernel, sender: &Weak<dyn Socket>) {
    let Some(sender) = sender.upgrade().as_ref().and_then(downcast::<UnixSocket>) else { return };
    if sender.is_writable() {
        k.wake(&sender.sendable);
        k.tell_listeners(&sender.core.listeners, Io::Output);
    }
}

impl UnixSocket {
    fn send_bytes_max(&self) -> usize {
        self.core.options.send_bytes.get() as usize
    }

    /// Whether a poller is told that it may send.
    pub(super) fn is_writable(&self) -> bool {
        self.sent.bytes() * 4 <= self.send_bytes_max() as u64
    }

    /// Whether it may send at all.
    fn has_room(&self) -> bool {
        self.sent.bytes() < self.send_bytes_max() as u64
    }

    /// Whether too many messages wait at another for this one to send there. Between two that send to each other there
    /// is no such limit.
    pub(super) fn is_kept_waiting_by(&self, other: &UnixSocket) -> bool {
        let is_ours = std::ptr::eq(other, self) || other.peer().is_some_and(|peer| std::ptr::eq(&*peer, self));
        self.is_datagram() && !is_ours && other.core.inbox.borrow().messages() > DATAGRAMS_MAX
    }

    /// Where a message goes: the address it names, or the other side.
    fn target(&self, k: &mut Kernel, t: &Rc<Task>, out: &Outgoing) -> Outcome<Rc<UnixSocket>> {
        match &out.to {
            Some(_) if !self.is_datagram() && self.is_connected() => Err(Errno::EISCONN.into()),
            Some(_) if !self.is_datagram() => Err(Errno::EOPNOTSUPP.into()),
            Some(address) => {
                let target = find(k, t, &name_of(address)?)?;
                let excludes_us = target.peer().is_some_and(|peer| !std::ptr::eq(&*peer, self));
                match (target.core.kind == SOCK_DGRAM, excludes_us) {
                    (false, _) => Err(Errno::EPROTOTYPE.into()),
                    (true, true) => Err(Errno::EPERM.into()),
                    (true, false) => Ok(target),
                }
            }
            None => self.peer().ok_or_else(|| {
                let was_connected = if self.is_datagram() { self.connected.take() } else { self.connected.get() };
                match (was_connected, self.core.kind) {
                    (false, _) => Errno::ENOTCONN,
                    (true, SOCK_DGRAM) => Errno::ECONNREFUSED,
                    (true, _) => Errno::EPIPE,
                }
                .into()
            }),
        }
    }

    /// Puts a piece into the inbox of another, and into this one's account.
    fn put(self: &Rc<Self>, k: &mut Kernel, target: &UnixSocket, bytes: &[u8], attached: Attached) -> Outcome<()> {
        let held = k.net.memory.hold_piece(bytes.len())?;
        let sender: Rc<dyn Socket> = self.clone();
        let charged = self.sent.hold(buffer_bytes(bytes.len(), !self.has_messages()));
        let charge = Some(Charge { held: charged, sender: Rc::downgrade(&sender) });
        let message = Message { bytes: VecDeque::from(bytes.to_vec()), attached, held, charge, was_seen: false };
        target.core.inbox.borrow_mut().push_message(message);
        Ok(())
    }

    /// What comes with a piece. Those after the first of a stream have no files.
    fn attached(&self, k: &mut Kernel, out: &mut Outgoing) -> Outcome<Attached> {
        let sender = k.current()?;
        let passing = k.net.passing.send(&sender, &out.files)?;
        let files = std::mem::take(&mut out.files);
        let from = self.name.borrow().as_ref().map(raw_name);
        // Bytes of a stream have no time.
        let time_ns = if self.has_messages() { k.realtime_ns() } else { 0 };
        Ok(Attached { files, passing, sender: out.sender, from, time_ns, ..Attached::default() })
    }

    /// `send(2)`: a message, or as many pieces of a stream as go.
    pub(super) fn send_some(self: &Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        if out.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if self.core.shut_out.get() {
            return Err(Errno::EPIPE.into());
        }
        let target = self.target(k, t, out)?;
        if target.core.shut_in.get() {
            return Err(Errno::EPIPE.into());
        }
        let sent =
            if self.has_messages() { self.send_message(k, &target, out)? } else { self.send_stream(k, &target, out)? };
        target.core.announce(k, Io::Input);
        Ok(sent)
    }

    fn send_message(self: &Rc<Self>, k: &mut Kernel, target: &UnixSocket, out: &mut Outgoing) -> Outcome<usize> {
        let len = out.bytes.len();
        if len > self.send_bytes_max() - MESSAGE_OVERHEAD_BYTES {
            return Err(Errno::EMSGSIZE.into());
        }
        if !self.has_room() {
            return Err(self.sendable.stop());
        }
        if self.is_kept_waiting_by(target) {
            return Err(target.core.room.stop());
        }
        // What its filter does not take is lost, and the sender is not told.
        let packet = Packet { head: &out.bytes, ..Packet::default() };
        let Some(kept) = target.core.filtered(&packet, 1) else { return Ok(len) };
        let attached = self.attached(k, out)?;
        self.put(k, target, &out.bytes[..kept.min(len)], attached)?;
        Ok(len)
    }

    fn send_stream(self: &Rc<Self>, k: &mut Kernel, target: &UnixSocket, out: &mut Outgoing) -> Outcome<usize> {
        let piece_max = (self.send_bytes_max() / 2 - PIECE_RESERVE_BYTES).min(STREAM_PIECE_BYTES_MAX);
        let mut taken = 0;
        while taken < out.bytes.len() && self.has_room() {
            let end = out.bytes.len().min(taken + piece_max);
            let attached = self.attached(k, out)?;
            match self.put(k, target, &out.bytes[taken..end], attached) {
                Err(stop) if taken == 0 => return Err(stop),
                Err(_) => break,
                Ok(()) => taken = end,
            }
        }
        if taken == 0 && !out.bytes.is_empty() { Err(self.sendable.stop()) } else { Ok(taken) }
    }

    /// `recv(2)`: a message, or bytes of a stream.
    pub(super) fn receive_some(&self, k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received> {
        let is_unconnected = !self.connected.get() && !self.is_datagram();
        if flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if self.is_listening() || is_unconnected {
            return Err(if self.core.kind == SOCK_STREAM { Errno::EINVAL } else { Errno::ENOTCONN }.into());
        }
        let look = self.core.look(flags);
        let taken = {
            let take = if self.has_messages() { Inbox::take_message } else { Inbox::take_stream };
            take(&mut self.core.inbox.borrow_mut(), len, look)
        };
        let Some(mut received) = taken else {
            self.core.take_error()?;
            let ended = self.core.shut_in.get() || (!self.is_datagram() && self.peer().is_none());
            return if ended { Ok(Received::default()) } else { Err(self.core.arrivals.stop()) };
        };
        // What a look has passed is not part of it here. A message goes as a whole.
        received.full_len -= std::mem::take(&mut received.offset);
        let is_whole = look == Look::Take && self.has_messages();
        self.core.move_look(look, if is_whole { received.full_len } else { received.bytes.len() });
        // Those who were kept waiting.
        if look == Look::Take && self.is_datagram() && self.core.inbox.borrow().messages() == DATAGRAMS_MAX {
            k.wake(&self.core.room);
        }
        if let Some(sender) = &received.released {
            tell_sender(k, sender);
        }
        Ok(received)
    }
}
