//! Terminals (`tty(4)`, `pty(7)`, `termios(3)`).
//!
//! | module | subject |
//! |---|---|
//! | [`discipline`] | what a terminal does to bytes |
//! | [`job`] | controlling terminals and job control |
//! | [`pty`] | pseudo-terminals |
//! | [`ioctl`] | `ioctl_tty(2)` |
//! | [`settings`] | those of its requests that are about settings |

pub mod discipline;
pub mod ioctl;
pub mod job;
pub mod pty;
pub mod settings;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use abi::Errno;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::tty::{HUPCL, ICANON, IUTF8, TOSTOP, Termios, VMIN, VTIME};

use crate::files::{FileObject, Io, Listeners, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::{Outcome, Wait};
use crate::task::{Pid, Task};
use crate::wait::WaitQueue;
use discipline::{Discipline, Effects, TAB_WIDTH};

pub use pty::PtyTable;

/// Bytes of output that wait for the reader of a pseudo-terminal.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Nanoseconds in the unit of `VTIME`.
const TENTH_NS: u64 = 100_000_000;

/// Size of the window, as `TIOCGWINSZ` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// Pixels; 0 is unknown.
    pub pixels: (u16, u16),
}

/// Where output goes.
enum Screen {
    /// To the host.
    Console,
    /// To whoever reads the other side.
    Pty(RefCell<VecDeque<u8>>),
}

/// A terminal, as programs on it see it.
pub struct Tty {
    /// Its device number.
    pub rdev: u64,
    screen: Screen,
    pub(crate) discipline: RefCell<Discipline>,
    pub(crate) window: Cell<WindowSize>,
    /// Which of its settings may not be changed, as bits and characters that are not 0.
    pub(crate) locks: Cell<Termios>,
    /// Only the privileged may open it once more (`TIOCEXCL`).
    pub(crate) exclusive: Cell<bool>,
    /// The session it controls; 0 is none.
    pub(crate) session: Cell<Pid>,
    /// The group that may read, and that signals go to.
    pub(crate) foreground: Cell<Pid>,
    /// The other side is gone.
    pub(crate) hung_up: Cell<bool>,
    /// Descriptors of this side, and whether there ever was one.
    opened: Cell<u32>,
    opened_ever: Cell<bool>,
    /// Woken when there is input, or room for output, or the other side goes.
    pub(crate) queue: WaitQueue,
    /// Who is signalled when there is input, on this side, and output, on the other.
    listeners: Listeners,
    output_listeners: Listeners,
}

impl Tty {
    fn new(rdev: u64, screen: Screen, window: WindowSize) -> Rc<Self> {
        Rc::new(Self {
            rdev,
            screen,
            discipline: RefCell::default(),
            window: Cell::new(window),
            locks: Cell::new(Termios::none()),
            exclusive: Cell::new(false),
            session: Cell::new(0),
            foreground: Cell::new(0),
            hung_up: Cell::new(false),
            opened: Cell::new(0),
            opened_ever: Cell::new(false),
            queue: WaitQueue::default(),
            listeners: Listeners::default(),
            output_listeners: Listeners::default(),
        })
    }

    /// The terminal the host shows.
    pub fn console() -> Rc<Self> {
        let window = WindowSize { rows: 24, columns: 80, pixels: (0, 0) };
        let tty = Self::new(crate::files::device::number::TTY1, Screen::Console, window);
        // As Linux's own console: UTF-8, and a modem that is never there is to be hung up.
        let termios = tty.discipline.borrow().termios;
        let (iflag, cflag) = (termios.iflag | IUTF8, termios.cflag | HUPCL);
        tty.discipline.borrow_mut().set_termios(Termios { iflag, cflag, ..termios });
        tty
    }

    /// Bytes of output there is room for.
    fn room(&self, kernel: &Kernel) -> usize {
        match &self.screen {
            Screen::Console => kernel.host.console_room(),
            Screen::Pty(bytes) => OUTPUT_BYTES_MAX.saturating_sub(bytes.borrow().len()),
        }
    }
}

impl Kernel {
    /// Bytes come from the keyboard, or from the other side of a pseudo-terminal.
    pub(crate) fn tty_input(&mut self, tty: &Rc<Tty>, bytes: &[u8]) {
        let before = tty.discipline.borrow().lines();
        let effects = tty.discipline.borrow_mut().input(bytes);
        self.apply_effects(tty, effects);
        self.wake(&tty.queue);
        // In canonical mode only a line is news.
        if tty.discipline.borrow().has_news_since(before) {
            self.tell_listeners(&tty.listeners, Io::Input);
        }
    }

    fn apply_effects(&mut self, tty: &Rc<Tty>, effects: Effects) {
        self.show(tty, &effects.echo);
        for signal in effects.signals {
            if tty.foreground.get() > 0 {
                self.signal_group(tty.foreground.get(), &SigInfo::kernel(signal));
            }
        }
    }

    /// Puts bytes on the screen as they are.
    fn show(&mut self, tty: &Rc<Tty>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match &tty.screen {
            Screen::Console => self.host.console_output(bytes),
            Screen::Pty(output) => {
                output.borrow_mut().extend(bytes);
                self.wake(&tty.queue);
                self.tell_listeners(&tty.output_listeners, Io::Input);
            }
        }
    }

    /// Changes the size of the window; programs hear of it by `SIGWINCH`.
    pub(crate) fn tty_resize(&mut self, tty: &Rc<Tty>, window: WindowSize) {
        if tty.window.replace(window) != window && tty.foreground.get() > 0 {
            self.signal_group(tty.foreground.get(), &SigInfo::kernel(abi::signal::SIGWINCH));
        }
    }

    fn tty_read(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, to: &mut [u8]) -> Outcome<usize> {
        if tty.hung_up.get() {
            return Ok(0);
        }
        self.check_foreground_read(tty, task)?;
        let (termios, available) = {
            let discipline = tty.discipline.borrow();
            (discipline.termios, discipline.available())
        };
        let canonical = termios.lflag & ICANON != 0;
        if to.is_empty() || tty.discipline.borrow().is_readable() && (canonical || termios.cc[VTIME] == 0) {
            return Ok(tty.discipline.borrow_mut().read(to));
        }
        if canonical {
            return Err(tty.queue.stop());
        }
        let (min, time) = (usize::from(termios.cc[VMIN]), u64::from(termios.cc[VTIME]));
        let enough = available >= min.max(1).min(to.len());
        if enough || (min == 0 && time == 0) {
            return Ok(tty.discipline.borrow_mut().read(to));
        }
        self.wait_for_input(tty, task, min, time * TENTH_NS, available, to)
    }

    /// A raw read that has not got enough: with `VTIME` a timer runs, from the start if `VMIN` is 0, otherwise since
    /// the last byte.
    fn wait_for_input(
        &mut self,
        tty: &Rc<Tty>,
        task: &Rc<Task>,
        min: usize,
        time_ns: u64,
        available: usize,
        to: &mut [u8],
    ) -> Outcome<usize> {
        if time_ns > 0 && (min == 0 || available > 0) {
            let fresh = task.with_call(|call| call.memo.replace(available as u64) != Some(available as u64));
            if fresh && min > 0 {
                task.with_call(|call| call.deadline_ns = None);
            }
            self.set_timeout(task, Some(time_ns));
            if self.deadline_passed(task) {
                return Ok(tty.discipline.borrow_mut().read(to));
            }
        }
        Err(Wait::On(tty.queue.id()).into())
    }

    fn tty_write(&mut self, tty: &Rc<Tty>, task: &Rc<Task>, from: &[u8]) -> Outcome<usize> {
        if tty.hung_up.get() {
            return Err(Errno::EIO.into());
        }
        if tty.discipline.borrow().termios.lflag & TOSTOP != 0 {
            self.check_foreground_change(tty, task)?;
        }
        // Output may grow eightfold: with XTABS a tab becomes that many blanks.
        let len = from.len().min(tty.room(self) / TAB_WIDTH);
        if tty.discipline.borrow().stopped || (len == 0 && !from.is_empty()) {
            return Err(tty.queue.stop());
        }
        let shown = tty.discipline.borrow_mut().output(&from[..len]);
        self.show(tty, &shown);
        Ok(len)
    }
}

/// A descriptor of a terminal.
pub struct TtyFile {
    /// The terminal.
    pub tty: Rc<Tty>,
}

impl TtyFile {
    /// Another descriptor of a terminal.
    pub fn new(tty: Rc<Tty>) -> Self {
        tty.opened.set(tty.opened.get() + 1);
        tty.opened_ever.set(true);
        Self { tty }
    }
}

impl FileObject for TtyFile {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let task = kernel.current()?;
        kernel.tty_read(&self.tty, &task, to)
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        let task = kernel.current()?;
        kernel.tty_write(&self.tty, &task, from)
    }

    fn poll(&self, kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let tty = &self.tty;
        if tty.hung_up.get() {
            let all = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLERR;
            return Readiness::on(&tty.queue, all);
        }
        let discipline = tty.discipline.borrow();
        let readable = if discipline.is_readable() { POLLIN | POLLRDNORM } else { 0 };
        let has_room = !discipline.stopped && tty.room(kernel) >= TAB_WIDTH;
        Readiness::on(&tty.queue, readable | if has_room { POLLOUT | POLLWRNORM } else { 0 })
    }

    fn listeners(&self, _file: &OpenFile) -> Option<Vec<&Listeners>> {
        Some(vec![&self.tty.listeners])
    }

    fn ioctl(&self, kernel: &mut Kernel, task: &Rc<Task>, _file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        kernel.tty_ioctl(&self.tty, task, request, arg, false)
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        self.tty.opened.set(self.tty.opened.get().saturating_sub(1));
        if self.tty.opened.get() == 0 {
            kernel.wake(&self.tty.queue);
        }
    }
}
