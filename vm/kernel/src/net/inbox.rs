//! What waits in a socket to be received: a stream's bytes, or messages.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use super::Socket;
use super::control::Control;
use super::inet::ip_options::IpOptions;
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Who sent it.
    pub from: SocketAddr,
    /// The address it was sent to.
    pub to: SocketAddr,
    /// `IP_TTL`, `IPV6_HOPLIMIT`.
    pub hops: u8,
    /// `IP_TOS`, `IPV6_TCLASS`.
    pub class: u8,
    /// Options of IPv4, as they have arrived.
    pub options: IpOptions,
    /// Bytes of each datagram that it consists of, if there are several (`UDP_GRO`).
    pub segment: Option<u16>,
}

/// What comes with bytes.
#[derive(Clone, Default)]
pub struct Attached {
    /// Files (`SCM_RIGHTS`), not yet anybody's.
    pub files: Vec<Rc<OpenFile>>,
    /// What those count for at the user who sent them.
    pub passing: Option<Rc<Held>>,
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
    /// It has been looked at.
    pub was_seen: bool,
}

/// What a message counts for at its sender until it is received.
pub struct Charge {
    /// That much.
    pub held: Held,
    /// The sender.
    pub sender: Weak<dyn Socket>,
}

/// How something is taken from an inbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// It is not there any more.
    Take,
    /// It stays (`MSG_PEEK`).
    Peek {
        /// The look begins so many bytes on (`SO_PEEK_OFF`).
        from: Option<usize>,
    },
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
    /// Bytes of it that a look has passed.
    pub offset: usize,
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

    /// Takes the first message and gives up to `len` of its bytes; the rest is lost. A look leaves it there, and may be
    /// at a later one.
    pub fn take_message(&mut self, len: usize, look: Look) -> Option<Received> {
        let (index, offset) = match look {
            Look::Peek { from: Some(from) } => self.message_at(from)?,
            _ => (0, 0),
        };
        let message = self.messages.get_mut(index)?;
        let full_len = message.bytes.len();
        let bytes = copy_from(&message.bytes, offset, len);
        let (attached, released) = match look {
            Look::Peek { .. } => {
                message.was_seen = true;
                (message.attached.clone(), None)
            }
            Look::Take => {
                self.bytes -= full_len;
                let message = self.messages.pop_front()?;
                (message.attached, message.charge.map(|charge| charge.sender))
            }
        };
        Some(Received { bytes, attached, full_len, offset, flags: 0, released })
    }

    /// The message in which a look begins `from` bytes on, and where in it. Those that end there are passed; one
    /// without bytes only if it has been seen (`__skb_try_recv_from_queue`).
    fn message_at(&self, mut from: usize) -> Option<(usize, usize)> {
        for (index, message) in self.messages.iter().enumerate() {
            let len = message.bytes.len();
            let is_passed = from >= len && (len > 0 || from > 0 || message.was_seen);
            if !is_passed {
                return Some((index, from));
            }
            from -= len;
        }
        None
    }

    /// Takes up to `len` bytes of a stream, and the files that come with the first of them; it goes on with what
    /// follows, up to the next files or another sender. A look leaves all of it.
    pub fn take_stream(&mut self, len: usize, look: Look) -> Option<Received> {
        let mut offset = if let Look::Peek { from } = look { from.unwrap_or(0) } else { 0 };
        let mut index = 0;
        while offset > 0 && offset >= self.messages.get(index)?.bytes.len() {
            offset -= self.messages[index].bytes.len();
            index += 1;
        }
        let first = self.messages.get_mut(index)?;
        let mut bytes = copy_from(&first.bytes, offset, len);
        let attached = match look {
            Look::Peek { .. } => first.attached.clone(),
            Look::Take => {
                let (sender, time_ns) = (first.attached.sender, first.attached.time_ns);
                let (files, passing) = (std::mem::take(&mut first.attached.files), first.attached.passing.take());
                Attached { files, passing, sender, time_ns, ..Attached::default() }
            }
        };
        for next in self.messages.iter().skip(index + 1) {
            if bytes.len() >= len || !next.attached.files.is_empty() || next.attached.sender != attached.sender {
                break;
            }
            bytes.extend(copy_from(&next.bytes, 0, len - bytes.len()));
        }
        let released = if look == Look::Take { self.drop_front(bytes.len()) } else { None };
        let full_len = bytes.len();
        Some(Received { bytes, attached, full_len, released, ..Received::default() })
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

    /// Files that come with what is in it.
    pub fn files(&self) -> impl Iterator<Item = &Rc<OpenFile>> {
        self.messages.iter().flat_map(|message| &message.attached.files)
    }

    /// Takes everything out: files in it are the caller's to close.
    pub fn clear(&mut self) -> Vec<Rc<OpenFile>> {
        self.bytes = 0;
        self.messages.drain(..).flat_map(|message| message.attached.files).collect()
    }
}

/// The bytes of a queue from `offset` on, up to `len` of them.
fn copy_from(bytes: &VecDeque<u8>, offset: usize, len: usize) -> Vec<u8> {
    let (front, back) = bytes.as_slices();
    let front_rest = front.get(offset..).unwrap_or_default();
    let back_rest = back.get(offset.saturating_sub(front.len())..).unwrap_or_default();
    let split = len.min(front_rest.len());
    [&front_rest[..split], &back_rest[..(len - split).min(back_rest.len())]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look::Peek { from: None };

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
        assert_eq!(inbox.take_stream(4, LOOK).unwrap().bytes, b"onet");
        assert_eq!(inbox.take_stream(4, Look::Take).unwrap().bytes, b"onet");
        assert_eq!(inbox.take_stream(100, Look::Take).unwrap().bytes, b"wo");
        assert_eq!(inbox.take_stream(100, Look::Take).unwrap().bytes, b"three");
        assert!(inbox.take_stream(100, Look::Take).is_none() && inbox.is_empty() && inbox.bytes() == 0);
    }

    #[test]
    fn messages_keep_their_boundaries_and_lose_what_is_not_taken() {
        let mut inbox = Inbox::default();
        inbox.push_message(message(b"one", 1));
        inbox.push_message(message(b"", 1));
        assert_eq!(inbox.take_message(2, LOOK).unwrap().full_len, 3);
        assert_eq!(inbox.take_message(2, Look::Take).unwrap().bytes, b"on");
        assert_eq!(inbox.take_message(9, Look::Take).unwrap().full_len, 0);
        assert!(inbox.take_message(9, Look::Take).is_none() && inbox.bytes() == 0);
    }

    #[test]
    fn looks_go_on_where_they_are_told_to() {
        let mut inbox = Inbox::default();
        for bytes in [&b"one"[..], b"", b"three"] {
            inbox.push_message(message(bytes, 1));
        }
        let look = |inbox: &mut Inbox, from| {
            let received = inbox.take_message(9, Look::Peek { from: Some(from) });
            received.map(|received| (received.bytes, received.offset))
        };
        assert_eq!(look(&mut inbox, 1), Some((b"ne".to_vec(), 1)));
        assert_eq!(look(&mut inbox, 3), Some((Vec::new(), 0)));
        assert_eq!(look(&mut inbox, 3), Some((b"three".to_vec(), 0)));
        assert_eq!(look(&mut inbox, 8), None);
        let mut stream = |from| inbox.take_stream(3, Look::Peek { from: Some(from) }).map(|received| received.bytes);
        assert_eq!((stream(2), stream(4), stream(8)), (Some(b"eth".to_vec()), Some(b"hre".to_vec()), None));
    }
}
