//! Output: what programs write becomes what the screen shows (`OPOST`).

use abi::tty::*;

use super::ctype::{is_continuation, is_control, to_upper};

const TAB_WIDTH: usize = 8;

/// Where the cursor is, as far as the terminal knows.
#[derive(Default)]
pub(super) struct Cursor {
    pub(super) column: usize,
    /// Where it was when the line being typed began.
    pub(super) line_start: usize,
}

impl Cursor {
    pub(super) fn go_back(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    fn start_line(&mut self) {
        (self.column, self.line_start) = (0, 0);
    }

    /// Columns to go back over a tab that follows `columns` others, since another tab or the start of the line.
    pub(super) fn tab_width(&self, columns: usize, after_tab: bool) -> usize {
        let start = if after_tab { 0 } else { self.line_start };
        TAB_WIDTH - (start + columns) % TAB_WIDTH
    }

    /// Shows a byte, if there is room for all it becomes; returns whether there was.
    pub(super) fn show(&mut self, byte: u8, termios: &Termios, room: usize, shown: &mut Vec<u8>) -> bool {
        let flag = |flag: u32| termios.oflag & flag != 0;
        if room == 0 {
            return false;
        }
        let mut byte = byte;
        match byte {
            b'\n' => {
                if flag(ONLRET) {
                    self.column = 0;
                }
                if flag(ONLCR) {
                    if room < 2 {
                        return false;
                    }
                    shown.push(b'\r');
                    self.column = 0;
                }
                self.line_start = self.column;
            }
            b'\r' if flag(ONOCR) && self.column == 0 => return true,
            b'\r' if flag(OCRNL) => {
                byte = b'\n';
                if flag(ONLRET) {
                    self.start_line();
                }
            }
            b'\r' => self.start_line(),
            b'\t' => {
                let width = TAB_WIDTH - self.column % TAB_WIDTH;
                if termios.oflag & TABDLY == XTABS {
                    if room < width {
                        return false;
                    }
                    shown.extend(std::iter::repeat_n(b' ', width - 1));
                    byte = b' ';
                }
                self.column += width;
            }
            0x08 => self.go_back(),
            byte if is_control(byte) => {}
            _ => {
                if flag(OLCUC) {
                    byte = to_upper(byte);
                }
                self.column += usize::from(termios.iflag & IUTF8 == 0 || !is_continuation(byte));
            }
        }
        shown.push(byte);
        true
    }
}
