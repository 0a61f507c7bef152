//! Settings of a terminal: `TCGETS` and its relatives, of three generations (`ioctl_tty(2)`).

use std::rc::Rc;

use abi::Errno;
use abi::tty::*;

use super::Tty;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// Whether a request is one of these.
pub(super) fn is_about_settings(request: u32) -> bool {
    let gets = matches!(request, TCGETS | TCGETS2 | TCGETA | TIOCGLCKTRMIOS | TIOCGSOFTCAR);
    gets || setter(request).is_some() || matches!(request, TIOCSLCKTRMIOS | TIOCSSOFTCAR)
}

/// How many bytes a request to change settings comes with, and whether input is thrown away.
fn setter(request: u32) -> Option<(usize, bool)> {
    match request {
        TCSETS | TCSETSW => Some((Termios::SIZE, false)),
        TCSETSF => Some((Termios::SIZE, true)),
        TCSETS2 | TCSETSW2 => Some((Termios::SIZE2, false)),
        TCSETSF2 => Some((Termios::SIZE2, true)),
        TCSETA | TCSETAW => Some((Termios::SIZE_OLD, false)),
        TCSETAF => Some((Termios::SIZE_OLD, true)),
        _ => None,
    }
}

impl Kernel {
    /// Answers a request that [`is_about_settings`].
    pub(super) fn tty_settings(
        &mut self,
        tty: &Rc<Tty>,
        task: &Rc<Task>,
        request: u32,
        arg: u64,
        by_master: bool,
    ) -> Outcome<()> {
        let mm = task.mm()?;
        let now = tty.discipline.borrow().termios;
        if let Some((len, flush_input)) = setter(request) {
            let mut bytes = vec![0; len];
            mm.read_user(arg, &mut bytes)?;
            if !by_master {
                self.check_foreground_change(tty, task)?;
            }
            let new = if len == Termios::SIZE_OLD { now.with_old(&bytes) } else { Termios::decode(&bytes) };
            self.set_termios(tty, new, flush_input);
            return Ok(());
        }
        match request {
            TCGETS | TCGETS2 => mm.write_user(arg, &now.encode(request == TCGETS2)),
            TCGETA => mm.write_user(arg, &now.encode_old()),
            TIOCGLCKTRMIOS => mm.write_user(arg, &tty.locks.get().encode(false)),
            TIOCSLCKTRMIOS if !task.credentials().is_privileged() => Err(Errno::EPERM.into()),
            TIOCSLCKTRMIOS => {
                let mut bytes = [0; Termios::SIZE];
                mm.read_user(arg, &mut bytes)?;
                tty.locks.set(Termios::decode(&bytes));
                Ok(())
            }
            TIOCGSOFTCAR => mm.write_u32(arg, u32::from(now.cflag & CLOCAL != 0)),
            TIOCSSOFTCAR => {
                let local = if mm.read_u32(arg)? != 0 { CLOCAL } else { 0 };
                self.set_termios(tty, Termios { cflag: now.cflag & !CLOCAL | local, ..now }, false);
                Ok(())
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn set_termios(&mut self, tty: &Rc<Tty>, termios: Termios, flush_input: bool) {
        {
            let mut discipline = tty.discipline.borrow_mut();
            if flush_input {
                discipline.flush_input();
            }
            let old = discipline.termios;
            discipline.set_termios(termios.except_locked(&old, &tty.locks.get()));
        }
        self.wake(&tty.queue);
    }
}
