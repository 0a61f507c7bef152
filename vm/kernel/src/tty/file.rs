//! Descriptors of a terminal: reading, writing, polling.

use std::rc::Rc;

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::signal::{SIGTTIN, SIGTTOU};
use abi::tty::{TOSTOP, VTIME};

use super::Tty;
use super::discipline::Effects;
use crate::files::{FileObject, Listeners, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::{Outcome, Wait};
use crate::task::Task;

/// Nanoseconds in the unit of `VTIME`.
const TENTH_NS: u64 = 100_000_000;

/// A descriptor of a terminal.
pub struct TtyFile {
    /// The terminal.
    pub tty: Rc<Tty>,
    /// How often it had been hung up when it was opened.
    hangups: u32,
    /// It was opened as the console, whose output another terminal may have taken (`TIOCCONS`).
    is_console: bool,
}

impl TtyFile {
    /// Another descriptor of a terminal.
    pub fn new(tty: Rc<Tty>) -> Self {
        tty.opened.set(tty.opened.get() + 1);
        tty.opened_ever.set(true);
        tty.failed.set(false);
        tty.detached.set(false);
        let hangups = tty.hangups.get();
        Self { tty, hangups, is_console: false }
    }

    /// A descriptor of the console, whichever terminal that is.
    pub fn console(tty: Rc<Tty>) -> Self {
        Self { is_console: true, ..Self::new(tty) }
    }

    /// Whether it was opened as the console.
    pub(super) fn is_console(&self) -> bool {
        self.is_console
    }

    /// Whether the terminal has been hung up since it was opened.
    pub(super) fn is_dead(&self) -> bool {
        self.hangups != self.tty.hangups.get()
    }
}

impl Kernel {
    fn tty_read(&mut self, file: &OpenFile, tty: &Rc<Tty>, task: &Rc<Task>, to: &mut [u8]) -> Outcome<usize> {
        self.check_foreground(tty, task, SIGTTIN)?;
        if to.is_empty() {
            return Ok(0);
        }
        let Some(min) = tty.discipline.borrow().wanted() else {
            return if tty.discipline.borrow().has_input() {
                Ok(self.take_input(tty, to))
            } else {
                Err(tty.queue.stop())
            };
        };
        let (time, available) = {
            let discipline = tty.discipline.borrow();
            (u64::from(discipline.termios().cc[VTIME]), discipline.available())
        };
        let is_partial = available > 0 && (file.is_nonblocking() || self.has_signal(task));
        if available >= min.max(1).min(to.len()) || is_partial || (min == 0 && time == 0) {
            return Ok(self.take_input(tty, to));
        }
        if time > 0 && (min == 0 || available > 0) && self.input_is_late(task, min, time * TENTH_NS, available) {
            return Ok(self.take_input(tty, to));
        }
        Err(Wait::On(tty.queue.id()).into())
    }

    /// Whether a raw read has waited long enough: a timer runs from its start if `VMIN` is 0, otherwise since the last
    /// byte.
    fn input_is_late(&mut self, task: &Rc<Task>, min: usize, time_ns: u64, available: usize) -> bool {
        let is_fresh = task.with_call(|call| call.memo.replace(available as u64) != Some(available as u64));
        if is_fresh && min > 0 {
            task.with_call(|call| call.deadline_ns = None);
        }
        self.set_timeout(task, Some(time_ns));
        self.deadline_passed(task)
    }

    fn take_input(&mut self, tty: &Rc<Tty>, to: &mut [u8]) -> usize {
        let len = tty.discipline.borrow_mut().read(to);
        self.pass_on_stuck_input(tty);
        len
    }

    fn tty_write(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, from: &[u8]) -> Outcome<usize> {
        if tty.discipline.borrow().termios().lflag & TOSTOP != 0 {
            self.check_foreground(tty, task, SIGTTOU)?;
        }
        self.write_to_screen(tty, from)
    }

    /// Shows what there is room for.
    pub(super) fn write_to_screen(&mut self, tty: &Rc<Tty>, from: &[u8]) -> Outcome<usize> {
        let mut effects = Effects::on(tty.screen_room(self));
        let len = tty.discipline.borrow_mut().output(from, &mut effects);
        self.apply_effects(tty, effects);
        if len == 0 && !from.is_empty() { Err(tty.queue.stop()) } else { Ok(len) }
    }
}

impl FileObject for TtyFile {
    fn read(&self, kernel: &mut Kernel, file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let task = kernel.current()?;
        if self.is_dead() {
            // Who was waiting hears of the other side's end first.
            let was_waiting = task.with_call(|call| call.is_retry);
            return if was_waiting && self.tty.other_gone.get() { Err(Errno::EIO.into()) } else { Ok(0) };
        }
        if self.tty.failed.get() {
            return Err(Errno::EIO.into());
        }
        kernel.tty_read(file, &self.tty, &task, to)
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        let taken = if self.is_console { kernel.console_redirect() } else { None };
        if let Some(tty) = taken {
            return kernel.write_to_screen(&tty, from);
        }
        if self.is_dead() || self.tty.failed.get() {
            return Err(Errno::EIO.into());
        }
        let task = kernel.current()?;
        kernel.tty_write(&self.tty, &task, from)
    }

    fn poll(&self, kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let tty = &self.tty;
        if self.is_dead() {
            let all = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLERR;
            return Readiness::on(&tty.queue, all);
        }
        let readable = if tty.discipline.borrow().is_readable() { POLLIN | POLLRDNORM } else { 0 };
        let writable = if tty.room(kernel) > 0 { POLLOUT | POLLWRNORM } else { 0 };
        Readiness::on(&tty.queue, readable | writable)
    }

    fn listeners(&self, _file: &OpenFile) -> Option<Vec<&Listeners>> {
        Some(vec![&self.tty.listeners])
    }

    fn ioctl(&self, kernel: &mut Kernel, task: &Rc<Task>, file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        if self.is_dead() {
            return Err(if request == abi::tty::TIOCSPGRP { Errno::ENOTTY } else { Errno::EIO }.into());
        }
        let side = super::ioctl::Side { tty: &self.tty, master: None, file };
        kernel.tty_ioctl(&side, task, request, arg)
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        self.tty.opened.set(self.tty.opened.get().saturating_sub(1));
        if self.tty.opened.get() == 0 {
            self.tty.failed.set(true);
            kernel.wake(&self.tty.queue);
        }
    }
}
