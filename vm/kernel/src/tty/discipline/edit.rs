//! Editing of lines (canonical mode).

use abi::tty::*;

use super::ctype::{is_alphanumeric, is_continuation, is_control};
use super::echo::Step;
use super::{Discipline, Effects};

/// What is erased.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Erase {
    Character,
    Word,
    Line,
}

impl Discipline {
    /// What a byte does to the line; returns whether it does anything but become part of it.
    pub(super) fn edit(&mut self, byte: u8, effects: &mut Effects) -> bool {
        if self.is(byte, VERASE) {
            self.erase(Erase::Character);
        } else if self.is(byte, VKILL) || self.is_extended(byte, VWERASE) {
            if self.is(byte, VWERASE) { self.erase(Erase::Word) } else { self.kill_line() }
        } else if self.is_extended(byte, VLNEXT) {
            self.take_next_literally(effects);
            return true;
        } else if self.is_extended(byte, VREPRINT) && self.local(ECHO) {
            self.reprint(byte);
        } else if byte == b'\n' {
            if self.local(ECHO | ECHONL) {
                self.echo.add(Step::Byte(byte));
            }
            self.end_line(byte, effects);
        } else if self.is(byte, VEOF) {
            self.end_line(DISABLED, effects);
            return true;
        } else if self.is(byte, VEOL) || self.is_extended(byte, VEOL2) {
            if self.local(ECHO) {
                self.note_line_start();
                self.echo_byte(byte);
            }
            if byte == 0xff && self.input_flag(PARMRK) {
                self.input.add(byte);
            }
            self.end_line(byte, effects);
        } else {
            return false;
        }
        self.mark_echo(effects);
        true
    }

    fn end_line(&mut self, byte: u8, effects: &mut Effects) {
        self.input.end_line(byte);
        effects.news += 1;
    }

    fn take_next_literally(&mut self, effects: &mut Effects) {
        self.literal = true;
        if self.local(ECHO) {
            self.finish_erasing();
            if self.local(ECHOCTL) {
                b"^\x08".iter().for_each(|byte| self.echo.add(Step::Byte(*byte)));
                self.mark_echo(effects);
            }
        }
    }

    fn reprint(&mut self, byte: u8) {
        self.finish_erasing();
        self.echo_byte(byte);
        self.echo.add(Step::Byte(b'\n'));
        let line: Vec<u8> = self.input.edited().collect();
        line.into_iter().for_each(|byte| self.echo_byte(byte));
    }

    /// Drops the line. Either it vanishes character by character, or the key is shown.
    fn kill_line(&mut self) {
        let vanishes = self.local(ECHOK) && self.local(ECHOKE) && self.local(ECHOE);
        if self.local(ECHO) && vanishes || self.input.edited().len() == 0 {
            return self.erase(Erase::Line);
        }
        self.input.erase(usize::MAX);
        if self.local(ECHO) {
            self.finish_erasing();
            self.echo_byte(self.termios.cc[VKILL]);
            if self.local(ECHOK) {
                self.echo.add(Step::Byte(b'\n'));
            }
        }
    }

    fn erase(&mut self, what: Erase) {
        if self.input.edited().len() == 0 {
            return;
        }
        let mut in_word = false;
        while let Some(character) = self.last_character() {
            if what == Erase::Word {
                let is_word = is_alphanumeric(character[0]) || character[0] == b'_';
                if in_word && !is_word {
                    break;
                }
                in_word |= is_word;
            }
            self.input.erase(character.len());
            if self.local(ECHO) {
                self.echo_erased(&character, what);
            }
            if what == Erase::Character {
                break;
            }
        }
        if self.local(ECHO) && self.input.edited().len() == 0 {
            self.finish_erasing();
        }
    }

    /// The last character of the line, unless its beginning is missing.
    fn last_character(&self) -> Option<Vec<u8>> {
        let continues = |byte: u8| self.input_flag(IUTF8) && is_continuation(byte);
        let line = self.input.edited();
        let len = self.input.edited().rev().take_while(|byte| continues(*byte)).count() + 1;
        let start = line.len().checked_sub(len)?;
        Some(line.skip(start).collect())
    }

    fn echo_erased(&mut self, character: &[u8], what: Erase) {
        let first = character[0];
        if self.local(ECHOPRT) {
            if !std::mem::replace(&mut self.erasing, true) {
                self.echo.add(Step::Byte(b'\\'));
            }
            self.echo_byte(first);
            for byte in &character[1..] {
                self.echo.add(Step::Byte(*byte));
                self.echo.add(Step::Back);
            }
        } else if what == Erase::Character && !self.local(ECHOE) {
            self.echo_byte(self.termios.cc[VERASE]);
        } else if first == b'\t' {
            let (columns, after_tab) = self.columns_since_tab();
            self.echo.add(Step::EraseTab { columns, after_tab });
        } else {
            let shows_caret = self.local(ECHOCTL);
            let columns = if is_control(first) { if shows_caret { 2 } else { 0 } } else { 1 };
            b"\x08 \x08".repeat(columns).iter().for_each(|byte| self.echo.add(Step::Byte(*byte)));
        }
    }

    /// Columns that the line takes, back to a tab or to its start, and whether there is a tab.
    fn columns_since_tab(&self) -> (usize, bool) {
        let mut columns = 0;
        for byte in self.input.edited().rev() {
            match byte {
                b'\t' => return (columns, true),
                byte if is_control(byte) => columns += if self.local(ECHOCTL) { 2 } else { 0 },
                byte if self.input_flag(IUTF8) && is_continuation(byte) => {}
                _ => columns += 1,
            }
        }
        (columns, false)
    }
}
