//! Echo: what typing shows, kept until there is room on the screen for it.

use std::collections::VecDeque;

use abi::tty::{OPOST, Termios};

use super::output::Cursor;

/// Echo is shown when a batch of input has been dealt with, or whenever there is so much of it.
const BLOCK_BYTES: usize = 256;
/// With more than this left over, the oldest is dropped.
const BYTES_MAX: usize = 4096 - (BLOCK_BYTES + 32);

/// A step of it.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// A byte, on which output is processed.
    Byte(u8),
    /// A control character, as `^X`.
    Caret(u8),
    /// The column is one less: the byte before only continued a character.
    Back,
    /// The line being typed starts here.
    LineStart,
    /// Back over a tab that follows so many columns.
    EraseTab { columns: usize, after_tab: bool },
}

impl Step {
    /// Bytes that it takes in Linux's buffer, which decides when echo is shown and dropped.
    fn size(self) -> usize {
        match self {
            Step::Byte(byte) if byte != 0xff => 1,
            Step::EraseTab { .. } => 3,
            _ => 2,
        }
    }
}

/// Steps that have not been shown.
#[derive(Default)]
pub(super) struct Echo {
    steps: VecDeque<Step>,
    /// Their size,
    bytes: usize,
    /// of those that are complete,
    marked: usize,
    /// and of those that are to be shown.
    committed: usize,
}

impl Echo {
    pub(super) fn add(&mut self, step: Step) {
        self.bytes += step.size();
        self.steps.push_back(step);
    }

    /// Bytes of all steps.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All that has been added is complete. Returns whether it is to be shown at once.
    pub(super) fn mark(&mut self) -> bool {
        self.marked = self.bytes;
        let is_due = self.bytes >= BLOCK_BYTES && self.bytes % BLOCK_BYTES <= self.committed % BLOCK_BYTES;
        if is_due {
            self.committed = self.bytes;
        }
        is_due
    }

    /// What is complete is to be shown.
    pub(super) fn commit_marked(&mut self) {
        self.committed = self.marked;
    }

    /// Everything is to be shown. Returns whether that is news: otherwise somebody has tried to show it before.
    pub(super) fn commit_all(&mut self) -> bool {
        std::mem::replace(&mut self.committed, self.bytes) != self.bytes
    }

    /// Shows what is to be shown, as far as there is room for.
    pub(super) fn show(&mut self, cursor: &mut Cursor, termios: &Termios, room: usize, shown: &mut Vec<u8>) {
        let end = shown.len().saturating_add(room);
        while self.committed > 0
            && let Some(step) = self.steps.front()
            && perform(*step, cursor, termios, end.saturating_sub(shown.len()), shown)
        {
            self.drop_first();
        }
        while self.committed >= BYTES_MAX {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let size = self.steps.pop_front().map_or(0, Step::size);
        for count in [&mut self.bytes, &mut self.marked, &mut self.committed] {
            *count = count.saturating_sub(size);
        }
    }
}

/// Does a step if there is room for what it shows.
fn perform(step: Step, cursor: &mut Cursor, termios: &Termios, room: usize, shown: &mut Vec<u8>) -> bool {
    let mut put = |bytes: &[u8]| {
        let fits = bytes.len() <= room;
        if fits {
            shown.extend_from_slice(bytes);
        }
        fits
    };
    match step {
        Step::Byte(0xff) => {
            let done = put(&[0xff]);
            cursor.column += usize::from(done);
            done
        }
        Step::Byte(byte) if termios.oflag & OPOST != 0 => cursor.show(byte, termios, room, shown),
        Step::Byte(byte) => put(&[byte]),
        Step::Caret(byte) => {
            let done = put(&[b'^', byte ^ 0x40]);
            cursor.column += if done { 2 } else { 0 };
            done
        }
        Step::Back => {
            cursor.go_back();
            true
        }
        Step::LineStart => {
            cursor.line_start = cursor.column;
            true
        }
        Step::EraseTab { columns, after_tab } => {
            let width = cursor.tab_width(columns, after_tab);
            let done = put(&[0x08; 8][..width]);
            cursor.column = cursor.column.saturating_sub(if done { width } else { 0 });
            done
        }
    }
}
