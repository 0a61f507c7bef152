//! The line discipline: what a terminal does to bytes on their way (`termios(3)`, Linux's `N_TTY`).
//!
//! It knows nothing of tasks: what input causes is handed back to the caller as [`Effects`].
//!
//! | module | subject |
//! |---|---|
//! | [`receive`] | what typed bytes do |
//! | [`edit`] | editing of lines |
//! | [`input`] | bytes to be read, and the line being edited |
//! | [`echo`] | what typing shows |
//! | [`output`] | what programs' bytes become on the screen |
//! | [`ctype`] | kinds of bytes |

mod ctype;
mod echo;
mod edit;
mod input;
mod output;
mod receive;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use abi::tty::*;

use echo::Echo;
use input::Input;
use output::Cursor;

/// What happened besides bytes that can be read.
#[derive(Default, Debug)]
pub struct Effects {
    /// What to show.
    pub shown: Vec<u8>,
    /// Bytes there is room for on the screen.
    room: usize,
    /// Signals for the foreground process group.
    pub signals: Vec<u32>,
    /// What has been shown but not looked at is to be dropped.
    pub drops_output: bool,
    /// How often somebody is to be told that there is something to read.
    pub news: usize,
}

impl Effects {
    /// Nothing yet, on a screen with so much room.
    pub fn on(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    fn room_left(&self) -> usize {
        self.room.saturating_sub(self.shown.len())
    }
}

/// Bytes on their way to the discipline, which takes no more than it has room for.
#[derive(Default)]
pub struct Arriving {
    bytes: VecDeque<u8>,
    /// There was no room for more of them.
    is_stuck: bool,
    /// How many of them have been searched for those that hold output, which act at once.
    searched: usize,
}

impl Arriving {
    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// Whether they wait for room in the discipline, rather than for one.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Settings and buffers of one terminal.
pub struct Discipline {
    termios: Termios,
    /// Bytes that may be more than ordinary ones. It is not looked at for bytes that nothing can happen to.
    special: [bool; 256],
    /// No setting asks for anything to be done to input.
    raw: bool,
    input: Input,
    echo: Echo,
    cursor: Cursor,
    /// The next byte is taken as it is (after `VLNEXT`).
    literal: bool,
    /// Erased characters are being shown (`ECHOPRT`).
    erasing: bool,
    /// Output is held,
    stopped: bool,
    /// by a program (`TCXONC`), so that no key makes it go on.
    held: bool,
    /// What the other side is told about in packet mode; `None` without it.
    packet: Option<u8>,
}

impl Default for Discipline {
    fn default() -> Self {
        let mut discipline = Self {
            termios: Termios::default(),
            special: [false; 256],
            raw: false,
            input: Input::default(),
            echo: Echo::default(),
            cursor: Cursor::default(),
            literal: false,
            erasing: false,
            stopped: false,
            held: false,
            packet: None,
        };
        discipline.find_special();
        discipline
    }
}

impl Discipline {
    fn local(&self, flag: u32) -> bool {
        self.termios.lflag & flag != 0
    }

    fn input_flag(&self, flag: u32) -> bool {
        self.termios.iflag & flag != 0
    }

    /// Whether a byte is the control character. One that is switched off is zero, which no special byte is.
    fn is(&self, byte: u8, index: usize) -> bool {
        self.termios.cc[index] == byte
    }

    fn is_extended(&self, byte: u8, index: usize) -> bool {
        self.local(IEXTEN) && self.is(byte, index)
    }

    /// Whether lines are edited here.
    fn edits_lines(&self) -> bool {
        self.local(ICANON) && !self.local(EXTPROC)
    }

    // ---- settings ----

    /// The settings.
    pub fn termios(&self) -> &Termios {
        &self.termios
    }

    /// Changes the settings; what has been typed can be read under the new ones.
    pub fn set_termios(&mut self, termios: Termios, effects: &mut Effects) {
        let old = std::mem::replace(&mut self.termios, termios);
        self.report_settings(&old);
        if (old.lflag ^ termios.lflag) & (ICANON | EXTPROC) != 0 {
            self.input.forget_lines(self.local(ICANON));
            (self.erasing, self.literal) = (false, false);
        }
        self.find_special();
        if old.iflag & IXON != 0 && !self.input_flag(IXON) && !self.held {
            self.start();
            self.show_complete_echo(effects);
        }
    }

    /// Tells the other side of changes that it may want to know of.
    fn report_settings(&mut self, old: &Termios) {
        let has_flow = |termios: &Termios| {
            let keys = (termios.cc[VSTOP], termios.cc[VSTART]);
            termios.iflag & IXON != 0 && keys == (0x13, 0x11)
        };
        match (has_flow(old), has_flow(&self.termios)) {
            (false, true) => self.report(TIOCPKT_DOSTOP, TIOCPKT_NOSTOP),
            (true, false) => self.report(TIOCPKT_NOSTOP, TIOCPKT_DOSTOP),
            _ => {}
        }
        if (old.lflag | self.termios.lflag) & EXTPROC != 0 {
            self.report(TIOCPKT_IOCTL, 0);
        }
    }

    fn find_special(&mut self) {
        let mut special = [false; 256];
        let mut set = |is_on: bool, bytes: &[u8]| {
            bytes.iter().filter(|_| is_on).for_each(|byte| special[usize::from(*byte)] = true);
        };
        let (canonical, extended) = (self.local(ICANON), self.local(ICANON) && self.local(IEXTEN));
        let key = |index: usize| self.termios.cc[index];
        set(self.input_flag(IGNCR | ICRNL), b"\r");
        set(self.input_flag(INLCR), b"\n");
        set(canonical, &[key(VERASE), key(VKILL), key(VEOF), b'\n', key(VEOL)]);
        set(extended, &[key(VWERASE), key(VLNEXT), key(VEOL2)]);
        set(extended && self.local(ECHO), &[key(VREPRINT)]);
        set(self.input_flag(IXON), &[key(VSTART), key(VSTOP)]);
        set(self.local(ISIG), &[key(VINTR), key(VQUIT), key(VSUSP)]);
        special[usize::from(DISABLED)] = false;
        self.special = special;
        let acts = ISTRIP | IUCLC | IGNCR | ICRNL | INLCR | IXON | PARMRK;
        self.raw = !self.input_flag(acts) && !self.local(ICANON | ISIG | ECHO);
    }

    /// Starts anew, with these settings. Output that is held stays so.
    pub fn reset(&mut self, termios: Termios) {
        let (stopped, held, packet) = (self.stopped, self.held, self.packet.map(|_| 0));
        *self = Self { termios, stopped, held, packet, ..Self::default() };
        self.find_special();
    }

    // ---- packet mode ----

    /// Turns packet mode of the other side on or off.
    pub fn set_packet(&mut self, on: bool) {
        self.packet = if on { self.packet.or(Some(0)) } else { None };
    }

    /// What there is to tell the other side in packet mode; `None` without it.
    pub fn packet(&self) -> Option<u8> {
        self.packet
    }

    /// The same, and it has been told.
    pub fn take_packet(&mut self) -> Option<u8> {
        self.packet.as_mut().map(std::mem::take)
    }

    fn report(&mut self, set: u8, clear: u8) {
        if let Some(status) = &mut self.packet {
            *status = *status & !clear | set;
        }
    }

    // ---- holding output ----

    /// Whether output is held.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn stop(&mut self) {
        if !self.stopped {
            self.stopped = true;
            self.report(TIOCPKT_STOP, TIOCPKT_START);
        }
    }

    fn start(&mut self) {
        if self.stopped && !self.held {
            self.stopped = false;
            self.report(TIOCPKT_START, TIOCPKT_STOP);
        }
    }

    /// A program holds output (`TCOOFF`), or lets it go on (`TCOON`).
    pub fn hold(&mut self, on: bool) {
        if self.held == on {
            return;
        }
        self.held = on;
        if on { self.stop() } else { self.start() }
    }

    /// A program sends the byte that stops or starts whoever types (`TCIOFF`, `TCION`): past output that a key holds, but
    /// not past what a program does.
    pub fn flow_key(&mut self, stops: bool) -> Option<u8> {
        let key = self.termios.cc[if stops { VSTOP } else { VSTART }];
        if key == DISABLED {
            return None;
        }
        if self.stopped {
            self.start();
            if self.stopped {
                return None;
            }
            self.stop();
        }
        Some(key)
    }

    // ---- output ----

    /// Shows what a program writes, as far as there is room; returns how many of its bytes that are.
    pub fn output(&mut self, bytes: &[u8], effects: &mut Effects) -> usize {
        self.show_complete_echo(effects);
        if self.stopped {
            return 0;
        }
        if self.termios.oflag & OPOST == 0 {
            let len = bytes.len().min(effects.room_left());
            effects.shown.extend_from_slice(&bytes[..len]);
            return len;
        }
        let mut written = 0;
        for byte in bytes {
            let room = effects.room_left();
            if !self.cursor.show(*byte, &self.termios, room, &mut effects.shown) {
                break;
            }
            written += 1;
        }
        written
    }

    /// Shows the echo that is to be shown.
    fn show_echo(&mut self, effects: &mut Effects) {
        let room = if self.stopped { 0 } else { effects.room_left() };
        self.echo.show(&mut self.cursor, &self.termios, room, &mut effects.shown);
    }

    /// Shows all echo that is complete.
    fn show_complete_echo(&mut self, effects: &mut Effects) {
        self.echo.commit_marked();
        self.show_echo(effects);
    }

    // ---- reading ----

    /// Bytes that can be read, as `FIONREAD` tells.
    pub fn available(&self) -> usize {
        if self.edits_lines() { self.input.finished_shown() } else { self.input.len() }
    }

    /// Whether there is anything to read, be it an end of file.
    pub fn has_input(&self) -> bool {
        let len = if self.edits_lines() { self.input.finished() } else { self.input.len() };
        len > 0
    }

    /// Whether a poller is told that there is something to read: a line, or `VMIN` bytes if no time is set for them.
    pub fn is_readable(&self) -> bool {
        let (min, time) = (self.termios.cc[VMIN], self.termios.cc[VTIME]);
        if self.edits_lines() || time != 0 { self.has_input() } else { self.input.len() >= usize::from(min).max(1) }
    }

    /// Bytes a read waits for, if it does not wait for a line.
    pub fn wanted(&self) -> Option<usize> {
        (!self.local(ICANON)).then_some(usize::from(self.termios.cc[VMIN]))
    }

    /// Takes what a read returns: at most one line in canonical mode.
    pub fn read(&mut self, to: &mut [u8]) -> usize {
        if self.edits_lines() {
            self.input.read_line(to)
        } else if self.local(ICANON) {
            self.input.read_edited_elsewhere(to, self.termios.cc[VEOF])
        } else {
            self.input.read_bytes(to, usize::from(self.termios.cc[VMIN]))
        }
    }

    /// Forgets what has been typed.
    pub fn flush_input(&mut self) {
        self.input.clear();
        self.erasing = false;
        self.report(TIOCPKT_FLUSHREAD, 0);
    }

    /// The other side forgets what has been shown, and is told.
    pub fn report_dropped_output(&mut self) {
        self.report(TIOCPKT_FLUSHWRITE, 0);
    }
}
