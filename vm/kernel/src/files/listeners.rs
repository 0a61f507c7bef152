//! Signals when a file can be read or written: `O_ASYNC` (`fcntl(2)`, `F_SETSIG`).
//!
//! Whatever can be asked for them (pipes, sockets, terminals, inotify) has a list of the open files that do. It signals at
//! the same moments as Linux does (`kill_fasync`, `sk_wake_async`), which are fewer than those at which it wakes sleepers.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use abi::file::O_ASYNC;
use abi::poll::*;
use abi::signal::*;

use super::{OpenFile, Owner};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::signal::info::Detail;
use crate::task::Task;
use crate::tty::TtyFile;
use crate::tty::pty::PtyMaster;

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Io {
    /// There is something to read.
    Input,
    /// There is room again.
    Output,
    /// Something went wrong.
    Error,
    /// There is something urgent to read.
    Urgent,
    /// The other side is gone.
    HangUp,
}

impl Io {
    /// `si_code` and `si_band`.
    fn details(self) -> (i32, u32) {
        match self {
            Io::Input => (POLL_IN, POLLIN | POLLRDNORM),
            Io::Output => (POLL_OUT, POLLOUT | POLLWRNORM | POLLWRBAND),
            Io::Error => (POLL_ERR, POLLERR),
            Io::Urgent => (POLL_PRI, POLLPRI | POLLRDBAND),
            Io::HangUp => (POLL_HUP, POLLHUP | POLLERR),
        }
    }
}

/// Open files whose owners want a signal, each with the descriptor it was asked by. At most as many as files are open.
#[derive(Default)]
pub struct Listeners(RefCell<Vec<(Weak<OpenFile>, i32)>>);

impl Listeners {
    fn add(&self, file: &Rc<OpenFile>, fd: i32) {
        self.remove(file);
        self.0.borrow_mut().push((Rc::downgrade(file), fd));
    }

    fn remove(&self, file: &Rc<OpenFile>) {
        self.0.borrow_mut().retain(|(other, _)| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), &**file));
    }
}

impl OpenFile {
    /// Turns signals on or off for `task`. Returns false if the file has none.
    pub fn set_async(self: &Rc<Self>, task: &Rc<Task>, fd: i32, on: bool) -> bool {
        let Some(listeners) = self.object.listeners(self) else { return false };
        if on && self.ownership.get().owner == Owner::Nobody && self.is_terminal() {
            let owner = match self.object_as::<TtyFile>().map_or(0, |file| file.tty.foreground.get()) {
                0 => Owner::Process(task.process.pid),
                group => Owner::Group(group),
            };
            self.set_owner(&task.credentials(), owner);
        }
        for list in listeners {
            if on { list.add(self, fd) } else { list.remove(self) }
        }
        let flags = self.flags.get();
        self.flags.set(if on { flags | O_ASYNC } else { flags & !O_ASYNC });
        true
    }

    /// Terminals have somebody to signal even if nobody was named (`__tty_fasync`).
    fn is_terminal(&self) -> bool {
        self.object_as::<TtyFile>().is_some() || self.object_as::<PtyMaster>().is_some()
    }
}

/// The signal that tells of something: `SIGIO`, or the one asked for, with details (`send_sigio_to_task`).
fn io_signal(signal: u32, io: Io, fd: i32) -> SigInfo {
    let (code, band) = io.details();
    match signal {
        0 => SigInfo::kernel(SIGIO),
        // For these, codes of that size mean something else.
        SIGILL | SIGFPE | SIGSEGV | SIGBUS | SIGTRAP | SIGCHLD | SIGSYS => {
            SigInfo { signal, code: SI_SIGIO, detail: Detail::Io { band, fd } }
        }
        _ => SigInfo { signal, code, detail: Detail::Io { band, fd } },
    }
}

impl Kernel {
    /// Signals the owners of all files in a list.
    pub(crate) fn tell_listeners(&mut self, listeners: &Listeners, io: Io) {
        if listeners.0.borrow().is_empty() {
            return;
        }
        let told: Vec<(Rc<OpenFile>, i32)> =
            listeners.0.borrow().iter().filter_map(|(file, fd)| Some((file.upgrade()?, *fd))).collect();
        for (file, fd) in told {
            let ownership = file.ownership.get();
            self.signal_owner(ownership, &io_signal(ownership.signal, io, fd), &SigInfo::kernel(SIGIO));
        }
    }
}
