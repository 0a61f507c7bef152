//! Terminal `ioctl`s about settings (`termios(3)`, `TCSETS(2const)`).

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;
use abi::signal::SIGTTOU;
use abi::tty::*;

use super::Tty;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// The struct that a request carries.
fn form_of(request: u32) -> TermiosForm {
    match request {
        TCGETA | TCSETA | TCSETAW | TCSETAF => TermiosForm::Termio,
        TCGETS2 | TCSETS2 | TCSETSW2 | TCSETSF2 => TermiosForm::Termios2,
        _ => TermiosForm::Termios,
    }
}

impl Kernel {
    /// An `ioctl` about settings; those of a pseudo-terminal are the same on both sides.
    pub(super) fn settings_ioctl(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, request: u32, arg: u64) -> Outcome<u64> {
        let mm = task.mm()?;
        let (form, termios) = (form_of(request), *tty.discipline.borrow().termios());
        match request {
            TCGETS | TCGETS2 | TCGETA => mm.write_user(arg, &termios.encode(form))?,
            TCSETS | TCSETSW | TCSETSF | TCSETS2 | TCSETSW2 | TCSETSF2 | TCSETA | TCSETAW | TCSETAF => {
                self.check_foreground(tty, task, SIGTTOU)?;
                let mut bytes = vec![0; form.size()];
                mm.read_user(arg, &mut bytes)?;
                // Nothing is ever left to send, so there is nothing to wait for.
                if matches!(request, TCSETSF | TCSETSF2 | TCSETAF) {
                    tty.discipline.borrow_mut().flush_input();
                }
                self.set_termios(tty, termios.updated(form, &bytes).with_speeds());
            }
            TIOCGSOFTCAR => mm.write_u32(arg, u32::from(termios.cflag & CLOCAL != 0))?,
            TIOCSSOFTCAR => {
                let local = if mm.read_u32(arg)? != 0 { CLOCAL } else { 0 };
                self.set_termios(tty, Termios { cflag: termios.cflag & !CLOCAL | local, ..termios });
            }
            TIOCGLCKTRMIOS => mm.write_user(arg, &tty.locked_settings.get().encode(form))?,
            TIOCSLCKTRMIOS => {
                if !task.credentials().has(CAP_SYS_ADMIN) {
                    return Err(Errno::EPERM.into());
                }
                let mut bytes = vec![0; form.size()];
                mm.read_user(arg, &mut bytes)?;
                tty.locked_settings.set(Termios::NONE.updated(form, &bytes));
            }
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }

    fn set_termios(&mut self, tty: &Rc<Tty>, mut termios: Termios) {
        let old = *tty.discipline.borrow().termios();
        termios = termios.keeping(&old, &tty.locked_settings.get());
        if matches!(tty.screen, super::Screen::Pty(_)) {
            // There is no line whose bytes could be anything else.
            termios.cflag = termios.cflag & !(CSIZE | PARENB) | CS8 | CREAD;
        }
        let mut effects = tty.effects(self);
        tty.discipline.borrow_mut().set_termios(termios, &mut effects);
        self.apply_effects(tty, effects);
        self.pass_on_stuck_input(tty);
        self.wake(&tty.queue);
    }
}
