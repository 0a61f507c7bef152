//! What waits in a socket to be received: a stream's bytes, or messages.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use super::Socket;
use super::control::Control;
use super::memory::{Held, PIECE_BYTES};
use crate::files::OpenFile;
use crate::task::Pid;

/// Who made a socket, as `SO_PEERCRED` tells.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct PeerCredentials {
    pub pid: Pid,
    pub uid: u32,
    pub gid: u32,
}

/// A `struct sockaddr_*` as programs see it. Which one it is, is up to the socket's family.
pub type RawAddress = Vec<u8>;

/// How a datagram came (`IP_PKTINFO` and its relatives).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The address it was sent to.
    pub to: IpAddr,
    /// The port it was sent to; of an error nobody knows.
    pub port: Option<u16>,
    /// `IP_TTL`, `IPV6_HOPLIMIT`.
    pub hops: u8,
    /// `IP_TOS`, `IPV6_TCLASS`.
    pub class: u8,
}

/// What comes with bytes.
#[derive(Clone, Default)]
pub struct Attached {
    /// Files (`SCM_RIGHTS`), not yet anybody's.
    pub files: Vec<Rc<OpenFile>>,
    /// Who sent it, among unix sockets.
    pub sender: PeerCredentials,
    /// The sender's address.
    pub from: Option<RawAddress>,
    /// How it came, among datagrams of the Internet.
    pub delivery: Option<Delivery>,
    /// When, in nanoseconds since 1970.
    pub time_ns: u64,
    /// Datagrams lost before it.
    pub drops: u32,
    /// The error it is about, from a socket's queue of those (`IP_RECVERR`).
    pub error: Option<Control>,
}

/// What is sent in one go.
#[derive(Default)]
pub struct Message {
    /// The bytes, or what is left of them.
    pub bytes: VecDeque<u8>,
    /// What comes with them.
    pub attached: Attached,
    /// What it takes of the memory for all sockets.
    pub held: Held,
    /// What it counts for at its sender, which waits for that to be less.
    pub charge: Option<Charge>,
}

/// What a message counts for at its sender until it is received.
pub struct Charge {
    /// That much.
    pub held: Held,
    /// The sender.
    pub sender: Weak<dyn Socket>,
}

/// What was taken from an inbox.
#[derive(Default)]
pub struct Received {
    /// The bytes; none at the end.
    pub bytes: Vec<u8>,
    /// What came with them.
    pub attached: Attached,
    /// Bytes of the message it was part of; of a stream, as many as were taken.
    pub full_len: usize,
    /// What the bytes are (`msg_flags`): the urgent one (`MSG_OOB`), or what an error quotes (`MSG_ERRQUEUE`).
    pub flags: u32,
    /// Who sent what is not in the inbox any more, if that counted there.
    pub released: Option<Weak<dyn Socket>>,
}

/// Messages, or the bytes of a stream, whose pieces are joined unless something comes with them.
#[derive(Default)]
pub struct Inbox {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Inbox {
    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages in it.
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is nothing in it: a message without bytes is something.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of the first message.
    pub fn first_bytes(&self) -> usize {
        self.messages.front().map_or(0, |message| message.bytes.len())
    }

    /// Adds a message that keeps its boundaries.
    pub fn push_message(&mut self, message: Message) {
        self.bytes += message.bytes.len();
        self.messages.push_back(message);
    }

    /// Adds bytes to a stream; they join those before if both come from the same sender and without files.
    pub fn push_stream(&mut self, mut message: Message) {
        let joins = |last: &Message| {
            let (last, next) = (&last.attached, &message.attached);
            last.files.is_empty() && next.files.is_empty() && last.sender == next.sender
        };
        match self.messages.back_mut() {
            Some(last) if joins(last) => {
                self.bytes += message.bytes.len();
                last.bytes.extend(message.bytes);
                // It is no piece of its own any more.
                message.held.release(PIECE_BYTES);
                last.held.absorb(message.held);
            }
            _ if message.bytes.is_empty() => {}
            _ => self.push_message(message),
        }
    }

    /// Takes the first message and gives up to `len` of its bytes; the rest is lost. With `peek` it stays.
    pub fn take_message(&mut self, len: usize, peek: bool) -> Option<Received> {
        let first = self.messages.front()?;
        let full_len = first.bytes.len();
        let bytes = copy_front(&first.bytes, len);
        let (attached, released) = match peek {
            true => (first.attached.clone(), None),
            false => {
                self.bytes -= full_len;
                let message = self.messages.pop_front()?;
                (message.attached, message.charge.map(|charge| charge.sender))
            }
        };
        Some(Received { bytes, attached, full_len, flags: 0, released })
    }

    /// Takes up to `len` bytes of a stream, and the files that come with the first of them; it goes on with what
    /// follows, up to the next files or another sender. With `peek` all of it stays.
    pub fn take_stream(&mut self, len: usize, peek: bool) -> Option<Received> {
        let first = self.messages.front_mut()?;
        let mut bytes = copy_front(&first.bytes, len);
        let attached = match peek {
            true => first.attached.clone(),
            false => {
                let (sender, time_ns) = (first.attached.sender, first.attached.time_ns);
                Attached { files: std::mem::take(&mut first.attached.files), sender, time_ns, ..Attached::default() }
            }
        };
        for next in self.messages.iter().skip(1) {
            if bytes.len() >= len || !next.attached.files.is_empty() || next.attached.sender != attached.sender {
                break;
            }
            bytes.extend(copy_front(&next.bytes, len - bytes.len()));
        }
        let released = if peek { None } else { self.drop_front(bytes.len()) };
        let full_len = bytes.len();
        Some(Received { bytes, attached, full_len, flags: 0, released })
    }

    /// Drops bytes of a stream. Returns who sent them, if something counted there does no longer.
    pub fn drop_front(&mut self, len: usize) -> Option<Weak<dyn Socket>> {
        let mut left = len.min(self.bytes);
        let mut released = None;
        self.bytes -= left;
        while let Some(first) = self.messages.front_mut() {
            if first.bytes.len() > left {
                first.bytes.drain(..left);
                first.held.release(left);
                break;
            }
            left -= first.bytes.len();
            let charge = self.messages.pop_front().and_then(|message| message.charge);
            released = charge.map(|charge| charge.sender).or(released);
        }
        released
    }

    /// Who waits for something here to be received.
    pub fn senders(&self) -> Vec<Weak<dyn Socket>> {
        self.messages.iter().filter_map(|message| Some(message.charge.as_ref()?.sender.clone())).collect()
    }

    /// Takes everything out: files in it are the caller's to close.
    pub fn clear(&mut self) -> Vec<Rc<OpenFile>> {
        self.bytes = 0;
        self.messages.drain(..).flat_map(|message| message.attached.files).collect()
    }
}

/// The first bytes of a queue, up to `len`.
fn copy_front(bytes: &VecDeque<u8>, len: usize) -> Vec<u8> {
    let (front, back) = bytes.as_slices();
    let split = len.min(front.len());
    let rest = (len - split).min(back.len());
    [&front[..split], &back[..rest]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8], uid: u32) -> Message {
        let sender = PeerCredentials { pid: 1, uid, gid: 0 };
        Message {
            bytes: bytes.iter().copied().collect(),
            attached: Attached { sender, ..Attached::default() },
            ..Message::default()
        }
    }

    #[test]
    fn a_stream_has_no_boundaries_but_between_senders() {
        let mut inbox = Inbox::default();
        for (bytes, uid) in [(&b"one"[..], 1), (b"two", 1), (b"", 2), (b"three", 2)] {
            inbox.push_stream(message(bytes, uid));
        }
        assert_eq!((inbox.messages(), inbox.bytes()), (2, 11));
        assert_eq!(inbox.take_stream(4, true).unwrap().bytes, b"onet");
        assert_eq!(inbox.take_stream(4, false).unwrap().bytes, b"onet");
        assert_eq!(inbox.take_stream(100, false).unwrap().bytes, b"wo");
        assert_eq!(inbox.take_stream(100, false).unwrap().bytes, b"three");
        assert!(inbox.take_stream(100, false).is_none() && inbox.is_empty() && inbox.bytes() == 0);
    }

    #[test]
    fn messages_keep_their_boundaries_and_lose_what_is_not_taken() {
        let mut inbox = Inbox::default();
        inbox.push_message(message(b"one", 1));
        inbox.push_message(message(b"", 1));
        assert_eq!(inbox.take_message(2, true).unwrap().full_len, 3);
        assert_eq!(inbox.take_message(2, false).unwrap().bytes, b"on");
        assert_eq!(inbox.take_message(9, false).unwrap().full_len, 0);
        assert!(inbox.take_message(9, false).is_none() && inbox.bytes() == 0);
    }
}
