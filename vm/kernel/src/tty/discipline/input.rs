//! What has been typed: bytes to be read, and the line being edited behind them.

use std::collections::VecDeque;

use abi::tty::DISABLED;

/// Bytes that are kept, one of them for the end of a line that is too long (Linux's `N_TTY_BUF_SIZE`).
const BYTES_MAX: usize = 4096;
/// A program's bytes are handed to it in pieces of this size. It shows in a read that has to wait for more bytes than that:
/// it gets one piece.
const PIECE_BYTES: usize = 64;

/// A byte, and whether it ends a line. One that does and is zero stands for an end of file.
#[derive(Clone, Copy)]
struct Typed {
    byte: u8,
    ends_line: bool,
}

impl Typed {
    fn is_end_of_file(self) -> bool {
        self.ends_line && self.byte == DISABLED
    }
}

/// The buffer. Positions count all bytes since it was last empty and forgotten.
#[derive(Default)]
pub(super) struct Input {
    bytes: VecDeque<Typed>,
    /// Position of the first byte to be read.
    tail: u64,
    /// Position of the line being edited. Without canonical mode it stays behind.
    line: u64,
}

impl Input {
    fn head(&self) -> u64 {
        self.tail + self.bytes.len() as u64
    }

    /// All bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of finished lines.
    pub(super) fn finished(&self) -> usize {
        self.line.saturating_sub(self.tail) as usize
    }

    /// The same without ends of file.
    pub(super) fn finished_shown(&self) -> usize {
        self.bytes.iter().take(self.finished()).filter(|typed| !typed.is_end_of_file()).count()
    }

    /// Whether the next byte begins a line.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.line == self.head()
    }

    /// Bytes there is room for (`n_tty_receive_buf_common`). With none left, a line that nobody can read yet takes one
    /// more, so that it can be edited and ended; what was there before goes.
    pub(super) fn room(&mut self, canonical: bool, may_triple: bool) -> usize {
        let free = BYTES_MAX as i64 - self.bytes.len() as i64;
        let room = if may_triple { (free + 2) / 3 } else { free } - 1;
        if room > 0 {
            return room as usize;
        }
        let overflows = canonical && self.line == self.tail;
        if overflows && room < 0 {
            self.bytes.pop_back();
        }
        usize::from(overflows)
    }

    /// Adds a byte.
    pub(super) fn add(&mut self, byte: u8) {
        self.push(Typed { byte, ends_line: false });
    }

    /// Adds the byte that ends a line.
    pub(super) fn end_line(&mut self, byte: u8) {
        self.push(Typed { byte, ends_line: true });
        self.line = self.head();
    }

    fn push(&mut self, typed: Typed) {
        if self.bytes.len() < BYTES_MAX {
            self.bytes.push_back(typed);
        }
    }

    /// The line being edited.
    pub(super) fn edited(&self) -> impl DoubleEndedIterator<Item = u8> + ExactSizeIterator + '_ {
        let start = self.finished().min(self.bytes.len());
        self.bytes.range(start..).map(|typed| typed.byte)
    }

    /// Shortens the line being edited by its last bytes.
    pub(super) fn erase(&mut self, count: usize) {
        let len = self.edited().len().saturating_sub(count);
        self.bytes.truncate(self.finished() + len);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Canonical mode begins or ends: what is there can be read, without it or as a line.
    pub(super) fn forget_lines(&mut self, canonical: bool) {
        self.bytes.iter_mut().for_each(|typed| typed.ends_line = false);
        self.line = self.tail;
        if let Some(last) = self.bytes.back_mut().filter(|_| canonical) {
            last.ends_line = true;
            self.line = self.head();
        }
    }

    fn take(&mut self) -> Option<Typed> {
        let typed = self.bytes.pop_front()?;
        self.tail += 1;
        Some(typed)
    }

    /// Takes a line, or as much of it as there is room for. An end of file right behind goes with it.
    pub(super) fn read_line(&mut self, to: &mut [u8]) -> usize {
        let is_readable = |input: &Self| input.tail < input.line;
        let mut len = 0;
        while len < to.len() && is_readable(self) {
            let Some(typed) = self.take() else { break };
            if typed.is_end_of_file() {
                return len;
            }
            to[len] = typed.byte;
            len += 1;
            if typed.ends_line {
                return len;
            }
        }
        let next_is_end = self.bytes.front().is_some_and(|typed| typed.is_end_of_file());
        if !to.is_empty() && is_readable(self) && next_is_end {
            self.take();
        }
        len
    }

    /// Takes bytes without regard to lines, for a read that waits for `min` of them.
    pub(super) fn read_bytes(&mut self, to: &mut [u8], min: usize) -> usize {
        let most = if min > PIECE_BYTES { PIECE_BYTES } else { usize::MAX };
        let len = to.len().min(self.bytes.len()).min(most);
        for place in &mut to[..len] {
            *place = self.take().map_or(0, |typed| typed.byte);
        }
        len
    }

    /// Takes bytes while another program edits lines (`EXTPROC`): an end-of-file character in a piece of its own, and
    /// nothing behind it, is an end of file.
    pub(super) fn read_edited_elsewhere(&mut self, to: &mut [u8], end_of_file: u8) -> usize {
        let len = self.read_bytes(to, 0);
        let is_end = len % PIECE_BYTES == 1 && to[len - 1] == end_of_file && self.bytes.is_empty();
        if is_end { len - 1 } else { len }
    }
}
