//! What waits in sockets takes memory: whose, and how much.
//!
//! Linux counts the buffers that carry bytes, with all that is around them (`truesize`), not the bytes: programs see it
//! in how much a unix socket takes before it must wait ([`buffer_bytes`]).

use std::cell::Cell;
use std::rc::Rc;

use abi::Errno;

/// Bytes that all sockets together may hold, each piece counted with [`PIECE_BYTES`] more: what sockets may take of a
/// tab. Linux has such a limit for each protocol (`net.ipv4.tcp_mem`, `udp_mem`), by the memory there is.
pub const TOTAL_BYTES_MAX: u64 = 128 << 20;
/// What a piece takes beside its bytes: its place in a queue, and what comes with it.
pub const PIECE_BYTES: usize = 256;

/// A count of bytes that are held.
#[derive(Clone, Default)]
pub struct Account(Rc<Cell<u64>>);

impl Account {
    /// Bytes that are held.
    pub fn bytes(&self) -> u64 {
        self.0.get()
    }

    /// Holds bytes, for as long as the value lives.
    pub fn hold(&self, bytes: u64) -> Held {
        self.0.set(self.0.get() + bytes);
        Held { account: Some(self.clone()), bytes }
    }

    /// Holds a piece of that many bytes, in the account of all sockets.
    ///
    /// # Errors
    /// `ENOBUFS` if sockets hold too much already.
    pub fn hold_piece(&self, bytes: usize) -> Result<Held, Errno> {
        let held_bytes = (bytes + PIECE_BYTES) as u64;
        if self.bytes() + held_bytes > TOTAL_BYTES_MAX { Err(Errno::ENOBUFS) } else { Ok(self.hold(held_bytes)) }
    }
}

/// Bytes that are held.
#[derive(Default)]
pub struct Held {
    account: Option<Account>,
    bytes: u64,
}

impl Held {
    /// Holds what another of the same account does, too.
    pub fn absorb(&mut self, mut other: Held) {
        if self.account.is_none() {
            *self = other;
        } else {
            self.bytes += std::mem::take(&mut other.bytes);
        }
    }

    /// Lets some go.
    pub fn release(&mut self, bytes: usize) {
        let released = self.bytes.min(bytes as u64);
        self.bytes -= released;
        if let Some(account) = &self.account {
            account.0.set(account.0.get() - released);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.0.set(account.0.get() - self.bytes);
        }
    }
}

const PAGE_BYTES: usize = 4096;
/// Bytes of a `struct sk_buff`, and of the `struct skb_shared_info` at the end of its first part.
const BUFFER_BYTES: usize = 256;
const SHARED_BYTES: usize = 320;
/// What the first part holds at most, if it is a page (`SKB_MAX_HEAD`), or four (`SKB_MAX_ALLOC`).
const HEAD_BYTES_MAX: usize = PAGE_BYTES - SHARED_BYTES;
const LONG_HEAD_BYTES_MAX: usize = 4 * PAGE_BYTES - SHARED_BYTES;
/// Bytes of a stream in pages of their own (`UNIX_SKB_FRAGS_SZ`), and thus in one piece.
const PAGES_BYTES_MAX: usize = 8 * PAGE_BYTES;
#[allow(missing_docs)]
pub const STREAM_PIECE_BYTES_MAX: usize = HEAD_BYTES_MAX + PAGES_BYTES_MAX;

/// Bytes that Linux takes to send `len` bytes in one piece, of a stream or as a message (`unix_stream_sendmsg`,
/// `unix_dgram_sendmsg`; `sock_alloc_send_pskb`). What does not fit the first part is in pages.
pub fn buffer_bytes(len: usize, is_stream: bool) -> u64 {
    let head_max = if is_stream { HEAD_BYTES_MAX } else { LONG_HEAD_BYTES_MAX };
    let in_pages = len.saturating_sub(head_max).next_multiple_of(PAGE_BYTES);
    let in_head = len.saturating_sub(in_pages);
    // Allocations are powers of two from here on.
    let head = (in_head.next_multiple_of(64) + SHARED_BYTES).next_power_of_two();
    (BUFFER_BYTES + head + in_pages) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_until_it_is_gone() {
        let account = Account::default();
        let mut one = account.hold(10);
        one.absorb(account.hold(5));
        assert_eq!(account.bytes(), 15);
        one.release(4);
        assert_eq!(account.bytes(), 11);
        one.release(100);
        drop(one);
        assert_eq!(account.bytes(), 0);
        let all = account.hold_piece(TOTAL_BYTES_MAX as usize - 1000);
        assert!(all.is_ok() && account.hold_piece(1000).is_err() && account.hold_piece(100).is_ok());
    }

    #[test]
    fn buffers_are_as_long_as_linux_makes_them() {
        for (len, stream, message) in [
            (1, 768, 768),
            (192, 768, 768),
            (193, 1280, 1280),
            (1000, 2304, 2304),
            (4096, 256 + 512 + 4096, 8448),
            (10_000, 256 + 4096 + 8192, 16_640),
            (36_544, 256 + 4096 + 32_768, 256 + 16_384 + 20_480),
        ] {
            assert_eq!((buffer_bytes(len, true), buffer_bytes(len, false)), (stream, message), "{len}");
        }
    }
}
