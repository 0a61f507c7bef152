//! The line discipline: what a terminal does to bytes on their way (`termios(3)`, Linux's `N_TTY`).
//!
//! It knows nothing of tasks: signals and echo are handed back to the caller.

use std::collections::VecDeque;

use abi::tty::*;

/// Longest line that can be edited, as with Linux; more is dropped until it ends.
const LINE_BYTES_MAX: usize = 4095;
/// Bytes that wait to be read; more are dropped.
const INPUT_BYTES_MAX: usize = 64 * 1024;
pub(super) const TAB_WIDTH: usize = 8;

/// What input caused besides bytes to read.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Effects {
    /// What to show.
    pub echo: Vec<u8>,
    /// Signals for the foreground process group.
    pub signals: Vec<u32>,
}

/// Settings and buffers of one terminal.
#[derive(Default)]
pub struct Discipline {
    /// The settings.
    pub termios: Termios,
    /// Lines that can be read. An empty one is an end of file.
    ready: VecDeque<Vec<u8>>,
    /// The line being typed.
    edit: Vec<u8>,
    /// The next byte is taken as it is (after `VLNEXT`).
    literal: bool,
    /// Where the cursor is, for tabs.
    column: usize,
    /// Where it was when the line being typed began.
    edit_column: usize,
    /// Output is held (`^S`).
    pub stopped: bool,
}

impl Discipline {
    fn local(&self, flag: u32) -> bool {
        self.termios.lflag & flag != 0
    }

    fn input_flag(&self, flag: u32) -> bool {
        self.termios.iflag & flag != 0
    }

    fn is(&self, byte: u8, index: usize) -> bool {
        self.termios.cc[index] == byte && byte != DISABLED
    }

    fn is_extended(&self, byte: u8, index: usize) -> bool {
        self.local(IEXTEN) && self.is(byte, index)
    }

    /// Takes typed bytes.
    pub fn input(&mut self, bytes: &[u8]) -> Effects {
        let mut effects = Effects::default();
        bytes.iter().for_each(|byte| self.input_byte(*byte, &mut effects));
        effects
    }

    fn input_byte(&mut self, byte: u8, effects: &mut Effects) {
        let byte = if self.input_flag(ISTRIP) { byte & 0x7f } else { byte };
        if std::mem::take(&mut self.literal) {
            return self.add(byte, effects);
        }
        if self.stopped && self.input_flag(IXANY) && !self.is(byte, VSTOP) {
            self.stopped = false;
        }
        if self.input_flag(IXON) && (self.is(byte, VSTART) || self.is(byte, VSTOP)) {
            self.stopped = self.is(byte, VSTOP);
            return;
        }
        if self.local(ISIG)
            && let Some(signal) = self.signal_of(byte)
        {
            return self.signal(byte, signal, effects);
        }
        let byte = match byte {
            b'\r' if self.input_flag(IGNCR) => return,
            b'\r' if self.input_flag(ICRNL) => b'\n',
            b'\n' if self.input_flag(INLCR) => b'\r',
            byte => byte,
        };
        if !self.local(ICANON) || !self.edit_byte(byte, effects) {
            self.add(byte, effects);
        }
    }

    fn signal_of(&self, byte: u8) -> Option<u32> {
        let keys = [(VINTR, abi::signal::SIGINT), (VQUIT, abi::signal::SIGQUIT), (VSUSP, abi::signal::SIGTSTP)];
        keys.iter().find(|(index, _)| self.is(byte, *index)).map(|(_, signal)| *signal)
    }

    fn signal(&mut self, byte: u8, signal: u32, effects: &mut Effects) {
        if !self.local(NOFLSH) {
            self.flush_input();
        }
        self.stopped = false;
        self.echo_byte(byte, effects);
        effects.signals.push(signal);
    }

    /// Line editing; returns whether the byte was a command.
    fn edit_byte(&mut self, byte: u8, effects: &mut Effects) -> bool {
        if self.is(byte, VERASE) {
            self.erase(1, effects);
        } else if self.is_extended(byte, VWERASE) {
            self.erase(self.word_characters(), effects);
        } else if self.is(byte, VKILL) {
            self.kill_line(effects);
        } else if self.is_extended(byte, VLNEXT) {
            self.literal = true;
            if self.local(ECHO) && self.local(ECHOCTL) {
                effects.echo.extend_from_slice(b"^\x08");
            }
        } else if self.is_extended(byte, VREPRINT) {
            self.reprint(byte, effects);
        } else if self.is(byte, VEOF) {
            self.finish_line();
        } else if byte == b'\n' || self.is(byte, VEOL) || self.is_extended(byte, VEOL2) {
            self.edit.push(byte);
            if self.local(ECHO) || (byte == b'\n' && self.local(ECHONL)) {
                self.echo_output(&[byte], effects);
            }
            self.finish_line();
        } else {
            return false;
        }
        true
    }

    /// Adds an ordinary byte.
    fn add(&mut self, byte: u8, effects: &mut Effects) {
        if self.local(ICANON) {
            if self.edit.len() >= LINE_BYTES_MAX {
                return;
            }
            if self.edit.is_empty() {
                self.edit_column = self.column;
            }
            self.edit.push(byte);
        } else {
            if self.available() >= INPUT_BYTES_MAX {
                return;
            }
            match self.ready.back_mut() {
                Some(last) => last.push(byte),
                None => self.ready.push_back(vec![byte]),
            }
        }
        self.echo_byte(byte, effects);
    }

    fn finish_line(&mut self) {
        let line = std::mem::take(&mut self.edit);
        if self.available() + line.len() <= INPUT_BYTES_MAX {
            self.ready.push_back(line);
        }
    }

    // ---- echo ----

    fn echo_byte(&mut self, byte: u8, effects: &mut Effects) {
        if !self.local(ECHO) {
            return;
        }
        let shows_caret = self.local(ECHOCTL) && is_control(byte) && byte != b'\t' && byte != b'\n';
        if shows_caret {
            self.echo_output(&[b'^', byte ^ 0x40], effects);
        } else {
            self.echo_output(&[byte], effects);
        }
    }

    fn echo_output(&mut self, bytes: &[u8], effects: &mut Effects) {
        let shown = self.output(bytes);
        effects.echo.extend(shown);
    }

    fn erase(&mut self, characters: usize, effects: &mut Effects) {
        for _ in 0..characters {
            let start = self.character_start();
            if start == self.edit.len() {
                return;
            }
            let before = self.width_of_edit();
            // Going back over a tab leaves nothing to blank out.
            let step: &[u8] = if self.edit[start] == b'\t' { b"\x08" } else { b"\x08 \x08" };
            self.edit.truncate(start);
            let width = before.saturating_sub(self.width_of_edit());
            if !self.local(ECHO) {
                continue;
            }
            if self.local(ECHOE) {
                effects.echo.extend(step.repeat(width));
                self.column = self.column.saturating_sub(width);
            } else {
                self.echo_byte(self.termios.cc[VERASE], effects);
            }
        }
    }

    fn kill_line(&mut self, effects: &mut Effects) {
        if self.local(ECHO) && self.local(ECHOK) && self.local(ECHOKE) && self.local(ECHOE) {
            return self.erase(self.edit.len(), effects);
        }
        self.edit.clear();
        self.echo_byte(self.termios.cc[VKILL], effects);
        if self.local(ECHOK) {
            self.echo_output(b"\n", effects);
        }
    }

    fn reprint(&mut self, byte: u8, effects: &mut Effects) {
        self.echo_byte(byte, effects);
        self.echo_output(b"\n", effects);
        self.edit.clone().iter().for_each(|byte| self.echo_byte(*byte, effects));
    }

    /// Where the last character of the line starts.
    fn character_start(&self) -> usize {
        let is_continuation = |byte: &u8| self.input_flag(IUTF8) && byte & 0xc0 == 0x80;
        self.edit.iter().rposition(|byte| !is_continuation(byte)).unwrap_or(0)
    }

    /// Characters back to the start of the last word.
    fn word_characters(&self) -> usize {
        let is_continuation = |byte: &u8| self.input_flag(IUTF8) && byte & 0xc0 == 0x80;
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let characters: Vec<u8> = self.edit.iter().copied().filter(|byte| !is_continuation(byte)).rev().collect();
        let gap = characters.iter().take_while(|byte| !is_word(byte)).count();
        gap + characters[gap..].iter().take_while(|byte| is_word(byte)).count()
    }

    /// Columns that the line being typed takes on the screen.
    fn width_of_edit(&self) -> usize {
        let mut column = self.edit_column;
        for byte in &self.edit {
            column += match byte {
                b'\t' => TAB_WIDTH - column % TAB_WIDTH,
                byte if is_control(*byte) => {
                    if self.local(ECHOCTL) {
                        2
                    } else {
                        0
                    }
                }
                byte if self.input_flag(IUTF8) && byte & 0xc0 == 0x80 => 0,
                _ => 1,
            };
        }
        column - self.edit_column
    }

    // ---- output ----

    /// What a program's bytes become on the screen.
    pub fn output(&mut self, bytes: &[u8]) -> Vec<u8> {
        let flag = |flag: u32| self.termios.oflag & flag != 0;
        if !flag(OPOST) {
            return bytes.to_vec();
        }
        let mut shown = Vec::with_capacity(bytes.len() + 16);
        for byte in bytes {
            match byte {
                b'\n' if self.termios.oflag & ONLCR != 0 => {
                    self.column = 0;
                    shown.extend_from_slice(b"\r\n");
                }
                b'\n' if self.termios.oflag & ONLRET != 0 => {
                    self.column = 0;
                    shown.push(b'\n');
                }
                b'\r' if self.termios.oflag & ONOCR != 0 && self.column == 0 => {}
                b'\r' if self.termios.oflag & OCRNL != 0 => shown.push(b'\n'),
                b'\r' => {
                    self.column = 0;
                    shown.push(b'\r');
                }
                b'\t' => {
                    let width = TAB_WIDTH - self.column % TAB_WIDTH;
                    self.column += width;
                    match self.termios.oflag & TABDLY == XTABS {
                        true => shown.extend(std::iter::repeat_n(b' ', width)),
                        false => shown.push(b'\t'),
                    }
                }
                0x08 => {
                    self.column = self.column.saturating_sub(1);
                    shown.push(0x08);
                }
                byte => {
                    let is_continuation = self.termios.iflag & IUTF8 != 0 && byte & 0xc0 == 0x80;
                    self.column += usize::from(!is_control(*byte) && !is_continuation);
                    let upper = self.termios.oflag & OLCUC != 0;
                    shown.push(if upper { byte.to_ascii_uppercase() } else { *byte });
                }
            }
        }
        shown
    }

    // ---- reading ----

    /// Bytes that can be read now.
    pub fn available(&self) -> usize {
        self.ready.iter().map(Vec::len).sum()
    }

    /// Lines that can be read now; without canonical mode all there is counts as one.
    pub fn lines(&self) -> usize {
        self.ready.len()
    }

    /// Whether there is more to read than when there were so many lines: a line, or without canonical mode anything.
    pub fn has_news_since(&self, lines: usize) -> bool {
        if self.local(ICANON) { self.lines() > lines } else { self.available() > 0 }
    }

    /// Whether a read has something to return: in canonical mode a line, otherwise `min` bytes.
    pub fn is_readable(&self) -> bool {
        if self.local(ICANON) {
            return !self.ready.is_empty();
        }
        let min = if self.termios.cc[VTIME] == 0 { usize::from(self.termios.cc[VMIN]).max(1) } else { 1 };
        self.available() >= min
    }

    /// Takes what a read returns: at most one line in canonical mode.
    pub fn read(&mut self, to: &mut [u8]) -> usize {
        let mut len = 0;
        while let Some(line) = self.ready.front_mut() {
            let take = line.len().min(to.len() - len);
            to[len..len + take].copy_from_slice(&line[..take]);
            line.drain(..take);
            len += take;
            if line.is_empty() {
                self.ready.pop_front();
            }
            if self.local(ICANON) || len == to.len() {
                break;
            }
        }
        len
    }

    /// Forgets what has been typed.
    pub fn flush_input(&mut self) {
        self.ready.clear();
        self.edit.clear();
        self.literal = false;
    }

    /// Changes the settings; what has been typed can be read under the new ones.
    pub fn set_termios(&mut self, termios: Termios) {
        let was_canonical = self.local(ICANON);
        self.termios = termios;
        if was_canonical && !self.local(ICANON) {
            let mut typed: Vec<u8> = self.ready.drain(..).flatten().collect();
            typed.append(&mut self.edit);
            if !typed.is_empty() {
                self.ready.push_back(typed);
            }
        }
        if termios.iflag & IXON == 0 {
            self.stopped = false;
        }
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(discipline: &mut Discipline) -> Vec<u8> {
        let mut to = [0; 100];
        let len = discipline.read(&mut to);
        to[..len].to_vec()
    }

    #[test]
    fn lines_are_edited_and_echoed() {
        let mut tty = Discipline::default();
        tty.termios.iflag |= IUTF8;
        let effects = tty.input("aé\x7fb x\x17c\r".as_bytes());
        assert_eq!(effects.echo, "aé\x08 \x08b x\x08 \x08c\r\n".as_bytes());
        assert_eq!(read_line(&mut tty), b"ab c\n");
        assert!(!tty.is_readable());
    }

    #[test]
    fn end_of_file_is_an_empty_line() {
        let mut tty = Discipline::default();
        tty.input(b"ab\x04\x04");
        assert_eq!(read_line(&mut tty), b"ab");
        assert!(tty.is_readable());
        assert_eq!(read_line(&mut tty), b"");
        assert!(!tty.is_readable());
    }

    #[test]
    fn interrupt_flushes_and_signals() {
        let mut tty = Discipline::default();
        let effects = tty.input(b"abc\x03");
        assert_eq!(effects.signals, [abi::signal::SIGINT]);
        assert_eq!(effects.echo, b"abc^C");
        tty.input(b"\n");
        assert_eq!(read_line(&mut tty), b"\n");
    }

    #[test]
    fn literal_next_takes_anything() {
        let mut tty = Discipline::default();
        tty.input(b"a\x16\x03\n");
        assert_eq!(read_line(&mut tty), b"a\x03\n");
    }

    #[test]
    fn raw_mode_passes_everything_on() {
        let mut tty = Discipline::default();
        tty.input(b"typed");
        let mut raw = Termios::default();
        raw.lflag &= !(ICANON | ECHO | ISIG);
        raw.iflag = 0;
        tty.set_termios(raw);
        assert_eq!(tty.input(b"\x03\r").echo, b"");
        assert_eq!(read_line(&mut tty), b"typed\x03\r");
    }

    #[test]
    fn erasing_a_tab_goes_back_to_where_it_began() {
        let mut tty = Discipline::default();
        tty.output(b"$ ");
        let effects = tty.input(b"a\t\x7f");
        assert_eq!(effects.echo, [b"a\t".to_vec(), b"\x08".repeat(5)].concat());
    }
}
