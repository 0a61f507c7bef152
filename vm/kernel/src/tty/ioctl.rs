//! Terminal `ioctl`s (`ioctl_tty(2)`).

use std::rc::Rc;

use abi::capability::CAP_SYS_ADMIN;
use abi::signal::SIGTTOU;
use abi::tty::*;
use abi::{Errno, Reader, Writer};

use super::file::TtyFile;
use super::job::controls;
use super::pty::Pty;
use super::{Screen, Tty, WindowSize};
use crate::files::OpenFile;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// Bytes of `struct serial_struct`.
const SERIAL_BYTES: usize = 72;
/// The same for 32-bit programs.
const SERIAL_BYTES_32: usize = 60;

/// What an `ioctl` is made on.
pub(super) struct Side<'a> {
    /// The terminal: of a pseudo-terminal the side that programs run on.
    pub(super) tty: &'a Rc<Tty>,
    /// The pair, if it is the other side.
    pub(super) master: Option<&'a Rc<Pty>>,
    /// The open file.
    pub(super) file: &'a OpenFile,
}

impl Side<'_> {
    /// Whether it is the controlling terminal of a task. The other side of a pseudo-terminal never is.
    fn controls(&self, task: &Rc<Task>) -> bool {
        self.master.is_none() && controls(self.tty, task)
    }

    fn exclusive(&self) -> &std::cell::Cell<bool> {
        self.master.map_or(&self.tty.exclusive, |pty| &pty.exclusive)
    }
}

impl Kernel {
    /// An `ioctl` that either side of a pseudo-terminal understands.
    pub(super) fn tty_ioctl(&mut self, side: &Side<'_>, task: &Rc<Task>, request: u32, arg: u64) -> Outcome<u64> {
        let (mm, tty) = (task.mm()?, side.tty);
        let may_ask = side.master.is_some() || controls(tty, task);
        match request {
            TIOCGWINSZ => mm.write_user(arg, &encode_window(tty.window.get()))?,
            TIOCSWINSZ => {
                let mut bytes = [0; 8];
                mm.read_user(arg, &mut bytes)?;
                self.tty_resize(tty, decode_window(&bytes));
            }
            TIOCGPGRP if may_ask => mm.write_u32(arg, tty.foreground.get() as u32)?,
            TIOCGSID if may_ask && tty.session.get() != 0 => mm.write_u32(arg, tty.session.get() as u32)?,
            TIOCSPGRP => self.set_foreground(tty, task, arg)?,
            TIOCSCTTY => self.set_controlling(side, task, arg as u32 == 1)?,
            TIOCNOTTY if side.controls(task) => {
                if task.process.session.get() == task.process.pid {
                    self.give_up_tty(&task.process, false);
                }
                task.process.tty.take();
            }
            TIOCEXCL | TIOCNXCL => side.exclusive().set(request == TIOCEXCL),
            TIOCGEXCL => mm.write_u32(arg, side.exclusive().get().into())?,
            TIOCGDEV => mm.write_u32(arg, tty.rdev as u32)?,
            TIOCGETD => mm.write_u32(arg, N_TTY)?,
            TIOCSETD => {
                self.check_side(side, task)?;
                // There is no other.
                if mm.read_u32(arg)? != N_TTY {
                    return Err(Errno::EINVAL.into());
                }
            }
            // Nothing is ever left to send, and breaks mean nothing.
            TCSBRK | TCSBRKP | TIOCSBRK | TIOCCBRK => self.check_side(side, task)?,
            TIOCCONS => self.take_console(side, task)?,
            TIOCVHANGUP => {
                if !task.credentials().has(CAP_SYS_ADMIN) {
                    return Err(Errno::EPERM.into());
                }
                match side.master {
                    Some(pty) => pty.hang_up_master(self),
                    None => self.hang_up(tty, false),
                }
            }
            FIONREAD => {
                let len = side.master.map_or_else(|| tty.discipline.borrow().available(), |pty| pty.available());
                mm.write_u32(arg, len as u32)?;
            }
            TIOCOUTQ => mm.write_u32(arg, 0)?,
            TCFLSH => self.flush(side, task, arg)?,
            TCXONC => self.hold(side, task, arg)?,
            TIOCSTI => self.fake_input(side, task, arg)?,
            // Nobody has a serial port, which is found out when what it shall be set to has been read.
            TIOCSSERIAL => {
                let len = if task.layout().is_32() { SERIAL_BYTES_32 } else { SERIAL_BYTES };
                mm.read_user(arg, &mut vec![0; len])?;
                return Err(Errno::ENOTTY.into());
            }
            _ => return self.settings_ioctl(tty, task, request, arg),
        }
        Ok(0)
    }

    /// The side that plays screen and keyboard is nobody's controlling terminal, so that job control doesn't bind it.
    fn check_side(&mut self, side: &Side<'_>, task: &Rc<Task>) -> Outcome<()> {
        if side.master.is_some() { Ok(()) } else { self.check_foreground(side.tty, task, SIGTTOU) }
    }

    /// `tcflush(3)`. What has reached the reader's own buffer is no longer the writer's to drop.
    fn flush(&mut self, side: &Side<'_>, task: &Rc<Task>, which: u64) -> Outcome<()> {
        let which = u32::try_from(which).unwrap_or(u32::MAX);
        let (input, output) = (matches!(which, TCIFLUSH | TCIOFLUSH), matches!(which, TCOFLUSH | TCIOFLUSH));
        let tty = side.tty;
        if input && side.master.is_none() {
            tty.arriving.borrow_mut().clear();
        }
        self.check_side(side, task)?;
        if !input && !output {
            return Err(Errno::EINVAL.into());
        }
        match (side.master, &tty.screen) {
            (Some(_), Screen::Pty(shown)) => {
                if input {
                    shown.clear();
                }
                if output {
                    tty.arriving.borrow_mut().clear();
                }
            }
            (_, screen) => {
                let mut discipline = tty.discipline.borrow_mut();
                if input {
                    discipline.flush_input();
                }
                if let (true, Screen::Pty(shown)) = (output, screen) {
                    shown.drop_waiting();
                    discipline.report_dropped_output();
                }
            }
        }
        self.pass_on_stuck_input(tty);
        self.wake(&tty.queue);
        Ok(())
    }

    /// `tcflow(3)`.
    fn hold(&mut self, side: &Side<'_>, task: &Rc<Task>, how: u64) -> Outcome<()> {
        self.check_side(side, task)?;
        let tty = side.tty;
        let how = u32::try_from(how).unwrap_or(u32::MAX);
        match (how, side.master) {
            (TCOOFF | TCOON, None) => tty.discipline.borrow_mut().hold(how == TCOOFF),
            (TCOOFF | TCOON, Some(pty)) => pty.held.set(how == TCOOFF),
            (TCIOFF | TCION, None) => {
                let key = tty.discipline.borrow_mut().flow_key(how == TCIOFF);
                self.show(tty, key.as_slice());
            }
            (TCIOFF | TCION, Some(_)) => {
                // The other side's own keys, which nobody can change.
                let key = Termios::default().cc[if how == TCIOFF { VSTOP } else { VSTART }];
                self.tty_input(tty, &[key]);
            }
            _ => return Err(Errno::EINVAL.into()),
        }
        self.wake(&tty.queue);
        Ok(())
    }

    fn fake_input(&mut self, side: &Side<'_>, task: &Rc<Task>, arg: u64) -> Outcome<()> {
        if !side.controls(task) && !task.credentials().has(CAP_SYS_ADMIN) {
            return Err(Errno::EPERM.into());
        }
        let mut byte = [0];
        task.mm()?.read_user(arg, &mut byte)?;
        match side.master {
            Some(_) => self.show(side.tty, &byte),
            None => self.fake_typing(side.tty, byte[0]),
        }
        Ok(())
    }

    /// `TIOCCONS`: what is written to the console appears here; made on the console, that ends.
    fn take_console(&mut self, side: &Side<'_>, task: &Rc<Task>) -> Outcome<()> {
        if side.master.is_some() {
            return Err(Errno::EINVAL.into());
        }
        if !task.credentials().has(CAP_SYS_ADMIN) {
            return Err(Errno::EPERM.into());
        }
        if side.file.object_as::<TtyFile>().is_some_and(TtyFile::is_console) {
            self.console_taken = None;
            return Ok(());
        }
        if !side.file.is_writable() {
            return Err(Errno::EBADF.into());
        }
        if self.console_redirect().is_some() {
            return Err(Errno::EBUSY.into());
        }
        self.console_taken = Some((side.tty.clone(), side.tty.hangups.get()));
        Ok(())
    }

    /// The terminal that has taken the console's output, unless it has been hung up since.
    pub(super) fn console_redirect(&mut self) -> Option<Rc<Tty>> {
        self.console_taken.take_if(|(tty, hangups)| tty.hangups.get() != *hangups);
        self.console_taken.as_ref().map(|(tty, _)| tty.clone())
    }
}

fn encode_window(window: WindowSize) -> Vec<u8> {
    let (width, height) = window.pixels;
    Writer::new().u16(window.rows).u16(window.columns).u16(width).u16(height).finish()
}

fn decode_window(bytes: &[u8]) -> WindowSize {
    let mut reader = Reader::new(bytes);
    WindowSize { rows: reader.u16(), columns: reader.u16(), pixels: (reader.u16(), reader.u16()) }
}
