//! What typed bytes do.

use abi::signal::{SIGINT, SIGQUIT, SIGTSTP};
use abi::tty::*;

use super::ctype::{is_control, to_lower};
use super::echo::Step;
use super::{Arriving, Discipline, Effects};

impl Discipline {
    /// Takes the bytes there is room for.
    pub fn receive(&mut self, arriving: &mut Arriving, effects: &mut Effects) {
        loop {
            let room = self.input.room(self.local(ICANON), self.input_flag(PARMRK));
            let len = arriving.bytes.len().min(room);
            if len == 0 {
                break;
            }
            let searched = arriving.searched.min(len);
            arriving.searched -= searched;
            let batch: Vec<u8> = arriving.bytes.drain(..len).collect();
            self.receive_batch(&batch, searched, effects);
        }
        if self.input_flag(IXON) {
            for byte in arriving.bytes.range(arriving.searched..) {
                self.control_flow(*byte, effects);
            }
        }
        arriving.searched = arriving.bytes.len();
        arriving.is_stuck = arriving.searched > 0;
    }

    /// Takes bytes, of which the first `searched` have held output already if they do.
    fn receive_batch(&mut self, bytes: &[u8], searched: usize, effects: &mut Effects) {
        let changes = self.input_flag(ISTRIP) || self.input_flag(IUCLC) && self.local(IEXTEN);
        if self.raw || self.local(EXTPROC) && !changes {
            bytes.iter().for_each(|byte| self.input.add(*byte));
        } else {
            for (index, byte) in bytes.iter().enumerate() {
                self.receive_byte(*byte, index < searched, effects);
            }
            if self.local(ECHO | ECHONL) && self.echo.commit_all() {
                self.show_echo(effects);
            }
        }
        if !self.edits_lines() && self.input.len() > 0 {
            effects.news += 1;
        }
    }

    fn receive_byte(&mut self, byte: u8, searched: bool, effects: &mut Effects) {
        let byte = if self.input_flag(ISTRIP) { byte & 0x7f } else { byte };
        let byte = if self.input_flag(IUCLC) && self.local(IEXTEN) { to_lower(byte) } else { byte };
        if std::mem::take(&mut self.literal) {
            self.receive_ordinary(byte, effects);
        } else if self.local(EXTPROC) {
            self.input.add(byte);
        } else if self.special[usize::from(byte)] {
            self.receive_special(byte, searched, effects);
        } else {
            self.receive_ordinary(byte, effects);
        }
    }

    fn receive_ordinary(&mut self, byte: u8, effects: &mut Effects) {
        self.restart_by_any(effects);
        if self.local(ECHO) {
            self.finish_erasing();
            self.note_line_start();
            self.echo_byte(byte);
            self.mark_echo(effects);
        }
        self.add(byte);
    }

    fn receive_special(&mut self, byte: u8, searched: bool, effects: &mut Effects) {
        if self.input_flag(IXON) && (self.is(byte, VSTART) || self.is(byte, VSTOP)) {
            if !searched {
                self.control_flow(byte, effects);
            }
            return;
        }
        if self.local(ISIG)
            && let Some(signal) = self.signal_of(byte)
        {
            return self.signal(byte, signal, effects);
        }
        self.restart_by_any(effects);
        let byte = match byte {
            b'\r' if self.input_flag(IGNCR) => return,
            b'\r' if self.input_flag(ICRNL) => b'\n',
            b'\n' if self.input_flag(INLCR) => b'\r',
            byte => byte,
        };
        if self.local(ICANON) && self.edit(byte, effects) {
            return;
        }
        if self.local(ECHO) {
            self.finish_erasing();
            if byte == b'\n' {
                self.echo.add(Step::Byte(byte));
            } else {
                self.note_line_start();
                self.echo_byte(byte);
            }
            self.mark_echo(effects);
        }
        self.add(byte);
    }

    /// Adds a byte to what can be read. With `PARMRK` 0xff begins a mark, and so stands twice for itself.
    fn add(&mut self, byte: u8) {
        if byte == 0xff && self.input_flag(PARMRK) {
            self.input.add(byte);
        }
        self.input.add(byte);
    }

    /// Stops or starts output, if the byte is one that does.
    fn control_flow(&mut self, byte: u8, effects: &mut Effects) {
        if self.is(byte, VSTART) {
            self.start();
            self.show_complete_echo(effects);
        } else if self.is(byte, VSTOP) {
            self.stop();
        }
    }

    /// With `IXANY` any byte makes output go on.
    fn restart_by_any(&mut self, effects: &mut Effects) {
        if self.stopped && !self.held && self.input_flag(IXON) && self.input_flag(IXANY) {
            self.start();
            self.show_complete_echo(effects);
        }
    }

    fn signal_of(&self, byte: u8) -> Option<u32> {
        let keys = [(VINTR, SIGINT), (VQUIT, SIGQUIT), (VSUSP, SIGTSTP)];
        keys.iter().find(|(index, _)| self.is(byte, *index)).map(|(_, signal)| *signal)
    }

    fn signal(&mut self, byte: u8, signal: u32, effects: &mut Effects) {
        effects.signals.push(signal);
        if !self.local(NOFLSH) {
            self.echo.clear();
            effects.shown.clear();
            effects.drops_output = true;
            self.report_dropped_output();
            self.flush_input();
        }
        if self.input_flag(IXON) {
            self.start();
        }
        if self.local(ECHO) {
            self.echo_byte(byte);
            self.mark_echo(effects);
        } else {
            self.show_complete_echo(effects);
        }
    }

    // ---- echo ----

    /// Echoes a byte, a control character as `^X` if that is asked for.
    pub(super) fn echo_byte(&mut self, byte: u8) {
        let shows_caret = self.local(ECHOCTL) && is_control(byte) && byte != b'\t';
        self.echo.add(if shows_caret { Step::Caret(byte) } else { Step::Byte(byte) });
    }

    /// A unit of echo is complete.
    pub(super) fn mark_echo(&mut self, effects: &mut Effects) {
        if self.echo.mark() {
            self.show_echo(effects);
        }
    }

    /// The first byte of a line is about to be echoed.
    pub(super) fn note_line_start(&mut self) {
        if self.input.is_at_line_start() {
            self.echo.add(Step::LineStart);
        }
    }

    /// Ends the list of characters that `ECHOPRT` shows as they are erased.
    pub(super) fn finish_erasing(&mut self) {
        if std::mem::take(&mut self.erasing) {
            self.echo.add(Step::Byte(b'/'));
        }
    }
}
