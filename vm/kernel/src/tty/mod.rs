//! Terminals (`tty(4)`, `pty(7)`, `termios(3)`).
//!
//! | module | subject |
//! |---|---|
//! | [`discipline`] | what a terminal does to bytes |
//! | [`file`] | descriptors of a terminal: reading, writing, polling |
//! | [`pty`] | pseudo-terminals: pairs, and their other side |
//! | [`job`] | controlling terminals and job control |
//! | [`hangup`] | ends of terminals and of those who control them |
//! | [`ioctl`] | `ioctl_tty(2)` |
//! | [`settings`] | those of them about settings |

pub mod discipline;
pub mod file;
pub mod hangup;
pub mod ioctl;
pub mod job;
pub mod pty;
pub mod settings;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use abi::tty::{HUPCL, IUTF8, Termios};

use crate::files::{Io, Listeners};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::task::Pid;
use crate::wait::WaitQueue;
use discipline::{Arriving, Discipline, Effects};
use pty::Shown;

pub use file::TtyFile;
pub use pty::PtyTable;

/// Bytes that wait for the line discipline, beyond those it keeps itself (Linux's default for a terminal's buffers); more
/// that a person types are lost.
const TYPED_BYTES_MAX: usize = 64 * 1024;
/// The same for a pseudo-terminal, in either direction: who writes more than that waits.
const PTY_BYTES_MAX: usize = 8192;

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
    Pty(Shown),
}

/// A terminal, as programs on it see it.
pub struct Tty {
    /// Its device number.
    pub rdev: u64,
    screen: Screen,
    pub(crate) discipline: RefCell<Discipline>,
    /// What has been typed and does not fit into the discipline.
    arriving: RefCell<Arriving>,
    /// Settings that can't be changed (`TIOCSLCKTRMIOS`), as a mask.
    locked_settings: Cell<Termios>,
    pub(crate) window: Cell<WindowSize>,
    /// The session it controls; 0 is none.
    pub(crate) session: Cell<Pid>,
    /// The group that may read, and that signals go to.
    pub(crate) foreground: Cell<Pid>,
    /// The other side is gone for good.
    other_gone: Cell<bool>,
    /// How often it has been hung up: descriptors from before are dead.
    hangups: Cell<u32>,
    /// It has been hung up and not opened since: it takes no input, which waits.
    detached: Cell<bool>,
    /// Nobody has it open, or somebody could not open it: reading and writing fail until somebody can.
    failed: Cell<bool>,
    /// Only the privileged may open it once more (`TIOCEXCL`).
    exclusive: Cell<bool>,
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
            arriving: RefCell::default(),
            locked_settings: Cell::new(Termios::NONE),
            window: Cell::new(window),
            session: Cell::new(0),
            foreground: Cell::new(0),
            other_gone: Cell::new(false),
            hangups: Cell::new(0),
            detached: Cell::new(false),
            failed: Cell::new(false),
            exclusive: Cell::new(false),
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
        tty.discipline.borrow_mut().set_termios(tty.first_settings(), &mut Effects::default());
        tty
    }

    /// Settings that it has before anybody changes them.
    fn first_settings(&self) -> Termios {
        let termios = Termios::default();
        match self.screen {
            // As Linux's own console: UTF-8, and a modem that is never there is to be hung up.
            Screen::Console => Termios { iflag: termios.iflag | IUTF8, cflag: termios.cflag | HUPCL, ..termios },
            Screen::Pty(_) => termios,
        }
    }

    /// Bytes of output there is room for.
    fn room(&self, kernel: &Kernel) -> usize {
        if self.discipline.borrow().is_stopped() {
            return 0;
        }
        self.screen_room(kernel)
    }

    /// The same if output is not held.
    fn screen_room(&self, kernel: &Kernel) -> usize {
        match &self.screen {
            Screen::Console => kernel.host.console_room(),
            Screen::Pty(shown) => shown.room(),
        }
    }

    /// Bytes of input there is room for.
    fn arriving_room(&self) -> usize {
        let max = match self.screen {
            Screen::Console => TYPED_BYTES_MAX,
            Screen::Pty(_) => PTY_BYTES_MAX,
        };
        max.saturating_sub(self.arriving.borrow().waiting())
    }

    /// Effects of what is done to it by others than those who write. They may show as much as there is room for, but what a
    /// person types is shown however full the console is: it is little.
    fn effects(&self, kernel: &Kernel) -> Effects {
        match self.screen {
            Screen::Console => Effects::on(usize::MAX),
            Screen::Pty(_) => Effects::on(self.screen_room(kernel)),
        }
    }
}

impl Kernel {
    /// Bytes come from the keyboard, or from the other side of a pseudo-terminal; returns how many there was room for.
    pub(crate) fn tty_input(&mut self, tty: &Rc<Tty>, bytes: &[u8]) -> usize {
        let len = bytes.len().min(tty.arriving_room());
        tty.arriving.borrow_mut().add(&bytes[..len]);
        if !tty.detached.get() {
            self.pass_on_input(tty);
        }
        len
    }

    /// There may be room again for what waits for it.
    fn pass_on_stuck_input(&mut self, tty: &Rc<Tty>) {
        if tty.arriving.borrow().is_stuck() {
            self.pass_on_input(tty);
        }
    }

    /// The line discipline takes what it has room for.
    fn pass_on_input(&mut self, tty: &Rc<Tty>) {
        let mut effects = tty.effects(self);
        tty.discipline.borrow_mut().receive(&mut tty.arriving.borrow_mut(), &mut effects);
        self.apply_effects(tty, effects);
        self.wake(&tty.queue);
    }

    /// A program types (`TIOCSTI`): before whatever is on its way, and lost if there is no room.
    fn fake_typing(&mut self, tty: &Rc<Tty>, byte: u8) {
        let (mut arriving, mut effects) = (Arriving::default(), tty.effects(self));
        arriving.add(&[byte]);
        tty.discipline.borrow_mut().receive(&mut arriving, &mut effects);
        self.apply_effects(tty, effects);
        self.wake(&tty.queue);
    }

    fn apply_effects(&mut self, tty: &Rc<Tty>, effects: Effects) {
        if let (true, Screen::Pty(shown)) = (effects.drops_output, &tty.screen) {
            shown.drop_waiting();
        }
        self.show(tty, &effects.shown);
        for signal in effects.signals {
            if tty.foreground.get() > 0 {
                self.signal_group(tty.foreground.get(), &SigInfo::kernel(signal));
            }
        }
        for _ in 0..effects.news {
            self.tell_listeners(&tty.listeners, Io::Input);
        }
    }

    /// Puts bytes on the screen as they are.
    fn show(&mut self, tty: &Rc<Tty>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match &tty.screen {
            Screen::Console => self.host.console_output(bytes),
            Screen::Pty(shown) => {
                shown.add(bytes);
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
}
