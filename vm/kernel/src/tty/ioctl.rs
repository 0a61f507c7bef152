//! Terminal `ioctl`s (`ioctl_tty(2)`).

use std::rc::Rc;

use abi::tty::*;
use abi::{Errno, Reader, Writer};

use super::job::controls;
use super::settings::is_about_settings;
use super::{Tty, WindowSize};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

impl Kernel {
    /// An `ioctl` of a terminal; `by_master` is the other side of a pseudo-terminal, whom job control doesn't bind.
    pub(super) fn tty_ioctl(
        &mut self,
        tty: &Rc<Tty>,
        task: &Rc<Task>,
        request: u32,
        arg: u64,
        by_master: bool,
    ) -> Outcome<u64> {
        let mm = task.mm()?;
        if tty.hung_up.get() && !by_master {
            return Err(Errno::EIO.into());
        }
        match request {
            request if is_about_settings(request) => self.tty_settings(tty, task, request, arg, by_master)?,
            TIOCGWINSZ => mm.write_user(arg, &encode_window(tty.window.get()))?,
            TIOCSWINSZ => {
                let mut bytes = [0; 8];
                mm.read_user(arg, &mut bytes)?;
                self.tty_resize(tty, decode_window(&bytes));
            }
            TIOCGPGRP if by_master || controls(tty, task) => mm.write_u32(arg, tty.foreground.get() as u32)?,
            TIOCGSID if tty.session.get() != 0 && (by_master || controls(tty, task)) => {
                mm.write_u32(arg, tty.session.get() as u32)?
            }
            TIOCSPGRP => {
                let group = mm.read_u32(arg)? as i32;
                self.set_foreground(tty, task, group)?;
            }
            TIOCSCTTY => self.set_controlling(tty, task, arg)?,
            TIOCNOTTY if controls(tty, task) => self.leave_tty(task),
            FIONREAD => mm.write_u32(arg, tty.discipline.borrow().available() as u32)?,
            TIOCOUTQ => mm.write_u32(arg, 0)?,
            TCFLSH => self.flush(tty, arg)?,
            TCXONC => self.hold(tty, arg)?,
            TIOCSTI => self.fake_input(tty, task, arg)?,
            TIOCEXCL | TIOCNXCL if !by_master => tty.exclusive.set(request == TIOCEXCL),
            TIOCGEXCL => mm.write_u32(arg, u32::from(!by_master && tty.exclusive.get()))?,
            // There is one line discipline, number 0.
            TIOCGETD => mm.write_u32(arg, 0)?,
            TIOCSETD if mm.read_u32(arg)? != 0 => return Err(Errno::EINVAL.into()),
            // Nothing is ever left to send, breaks mean nothing, and nobody can be locked out of a master.
            TIOCSETD | TCSBRK | TCSBRKP | TIOCSBRK | TIOCCBRK | TIOCEXCL | TIOCNXCL => {}
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }

    fn set_controlling(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, steal: u64) -> Outcome<()> {
        let process = &task.process;
        let session = process.session.get();
        if session == process.pid && tty.session.get() == session {
            return Ok(());
        }
        if session != process.pid || process.tty.borrow().is_some() {
            return Err(Errno::EPERM.into());
        }
        if tty.session.get() != 0 {
            if steal != 1 || !task.credentials().is_privileged() {
                return Err(Errno::EPERM.into());
            }
            for member in self.tasks.processes() {
                if member.session.get() == tty.session.get() {
                    member.tty.take();
                }
            }
        }
        self.take_tty(process, tty);
        Ok(())
    }

    fn leave_tty(&mut self, task: &Rc<Task>) {
        if task.process.session.get() == task.process.pid {
            self.give_up_tty(&task.process);
        } else {
            task.process.tty.take();
        }
    }

    fn flush(&mut self, tty: &Rc<Tty>, which: u64) -> Outcome<()> {
        let which = u32::try_from(which).map_err(|_| Errno::EINVAL)?;
        if which > TCIOFLUSH {
            return Err(Errno::EINVAL.into());
        }
        if which != TCOFLUSH {
            tty.discipline.borrow_mut().flush_input();
        }
        if let (true, super::Screen::Pty(output)) = (which != TCIFLUSH, &tty.screen) {
            output.borrow_mut().clear();
        }
        self.wake(&tty.queue);
        Ok(())
    }

    fn hold(&mut self, tty: &Rc<Tty>, how: u64) -> Outcome<()> {
        match u32::try_from(how) {
            Ok(TCOOFF) => tty.discipline.borrow_mut().stopped = true,
            Ok(TCOON) => {
                tty.discipline.borrow_mut().stopped = false;
                self.wake(&tty.queue);
            }
            Ok(TCIOFF | TCION) => {}
            _ => return Err(Errno::EINVAL.into()),
        }
        Ok(())
    }

    fn fake_input(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, arg: u64) -> Outcome<()> {
        if !task.credentials().is_privileged() {
            return Err(Errno::EPERM.into());
        }
        let mut byte = [0];
        task.mm()?.read_user(arg, &mut byte)?;
        self.tty_input(tty, &byte);
        Ok(())
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
