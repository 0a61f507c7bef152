//! Netlink messages and attributes (`netlink(7)`, `rtnetlink(7)`).

use abi::socket::*;
use abi::{Errno, Reader, Writer};

/// Bytes of a `struct nlmsghdr`.
pub const HEADER_BYTES: usize = 16;
/// Types below are netlink's own (`NLMSG_MIN_TYPE`).
pub const TYPES_MIN: u16 = 16;
/// Bytes of a `struct rtattr`.
const ATTRIBUTE_BYTES: usize = 4;

/// A request.
pub struct Request<'a> {
    /// `RTM_*` or the like.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u32,
    /// Answers carry it.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
    /// All of it.
    whole: &'a [u8],
}

impl Request<'_> {
    /// Whether it asks for everything there is.
    pub fn is_dump(&self) -> bool {
        self.flags & NLM_F_DUMP == NLM_F_DUMP
    }

    /// Starts an answer, a message of some type; [`finish`] ends it.
    pub fn reply(&self, port: u32, kind: u32) -> Writer {
        let flags = if self.is_dump() { NLM_F_MULTI } else { 0 };
        Writer::new().u32(0).u16(kind as u16).u16(flags as u16).u32(self.sequence).u32(port)
    }

    /// The message that ends a dump.
    pub fn done(&self, port: u32) -> Vec<u8> {
        finish(self.reply(port, NLMSG_DONE).i32(0))
    }

    /// The message that says what became of it (`NLMSG_ERROR`). Failures carry the whole request unless the program
    /// wants answers short.
    pub fn status(&self, port: u32, errno: Option<Errno>, short: bool) -> Vec<u8> {
        let carried = if errno.is_none() || short { &self.whole[..HEADER_BYTES] } else { self.whole };
        let capped = if carried.len() < self.whole.len() { 0x100 } else { 0 };
        let head = Writer::new().u32(0).u16(NLMSG_ERROR as u16).u16(capped).u32(self.sequence).u32(port);
        finish(head.i32(errno.map_or(0, |errno| -i32::from(errno.0))).raw(carried))
    }
}

/// The requests in a message sent, as far as they are whole.
pub fn requests(bytes: &[u8]) -> impl Iterator<Item = Request<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut reader = Reader::new(rest);
        let (len, kind, flags, sequence) = (reader.u32() as usize, reader.u16(), reader.u16(), reader.u32());
        let whole = rest.get(..len).filter(|_| len >= HEADER_BYTES)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Request { kind, flags: flags.into(), sequence, body: &whole[HEADER_BYTES..], whole })
    })
}

/// Ends a message: its length becomes known.
pub fn finish(writer: Writer) -> Vec<u8> {
    let mut bytes = writer.finish();
    let len = bytes.len() as u32;
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Appends an attribute, and what makes the next one start at a multiple of four.
pub fn attribute(writer: Writer, kind: u16, value: &[u8]) -> Writer {
    let writer = writer.u16((ATTRIBUTE_BYTES + value.len()) as u16).u16(kind).raw(value);
    (value.len()..value.len().next_multiple_of(4)).fold(writer, |writer, _| writer.u8(0))
}

/// The value of an attribute among others.
pub fn find_attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = bytes;
    while rest.len() >= ATTRIBUTE_BYTES {
        let mut reader = Reader::new(rest);
        let (len, kind) = (usize::from(reader.u16()), reader.u16());
        let value = rest.get(ATTRIBUTE_BYTES..len)?;
        if kind & 0x3fff == wanted {
            return Some(value);
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// Puts messages together as they are received.
pub fn in_datagrams(messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    /// Bytes of one: a program's buffer is 8 KiB at least (`NLMSG_GOODSIZE`).
    const DATAGRAM_BYTES: usize = 8192;
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for message in messages {
        match datagrams.last_mut() {
            Some(last) if last.len() + message.len() <= DATAGRAM_BYTES => last.extend(message),
            _ => datagrams.push(message),
        }
    }
    datagrams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_end_where_their_length_says() {
        let one = finish(Writer::new().u32(0).u16(18).u16(0x301).u32(7).u32(0).u8(9));
        let bytes = [&one[..], &one[..], &[1, 2, 3]].concat();
        let found: Vec<_> = requests(&bytes).map(|request| (request.kind, request.is_dump(), request.body)).collect();
        assert_eq!(found, [(18, true, &[9][..]), (18, true, &[9][..])]);
        // Lengths that lie lead nowhere.
        for len in [0u32, 15, 18, u32::MAX] {
            let mut bytes = one.clone();
            bytes[..4].copy_from_slice(&len.to_le_bytes());
            assert!(requests(&bytes[..17]).next().is_none(), "{len}");
        }
    }

    #[test]
    fn attributes_are_found() {
        let bytes = attribute(attribute(Writer::new(), 3, b"lo\0"), 4, &[1]).finish();
        assert_eq!(bytes.len(), 16);
        assert_eq!(find_attribute(&bytes, 4), Some(&[1][..]));
        assert_eq!(find_attribute(&bytes, 5), None);
        assert_eq!(find_attribute(&[200, 0, 4, 0, 1], 4), None);
    }
}
