//! Pseudo-terminals (`pty(7)`): a terminal whose screen and keyboard are another program.
//!
//! Linux has a line discipline on the other side, too, which does nothing to bytes but keep some of them: see [`Shown`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;
use abi::file::make_device;
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM};
use abi::signal::{SIGINT, SIGQUIT, SIGTSTP};
use abi::tty::*;

use super::ioctl::Side;
use super::{PTY_BYTES_MAX, Screen, Tty, TtyFile, WindowSize};
use crate::files::device::number::PTS_MAJOR;
use crate::files::{FileObject, Listeners, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::Location;

/// Most pairs at a time (`/proc/sys/kernel/pty/max`).
pub const PTYS_MAX: u32 = 4096;
/// Bytes that the other side's line discipline keeps for its reader.
const KEPT_BYTES_MAX: usize = 4095;

/// Output of a terminal, until somebody on the other side reads it: what its line discipline keeps, and what waits for
/// room there, which the terminal may still drop.
#[derive(Default)]
pub(super) struct Shown(RefCell<VecDeque<u8>>);

impl Shown {
    pub(super) fn room(&self) -> usize {
        (KEPT_BYTES_MAX + PTY_BYTES_MAX).saturating_sub(self.0.borrow().len())
    }

    /// Adds bytes; those that find no room are lost. Only who has not asked for any loses some.
    pub(super) fn add(&self, bytes: &[u8]) {
        let len = bytes.len().min(self.room());
        self.0.borrow_mut().extend(&bytes[..len]);
    }

    pub(super) fn drop_waiting(&self) {
        self.0.borrow_mut().truncate(KEPT_BYTES_MAX);
    }

    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    fn available(&self) -> usize {
        self.0.borrow().len().min(KEPT_BYTES_MAX)
    }

    fn read(&self, to: &mut [u8]) -> usize {
        let len = to.len().min(self.available());
        for (to, from) in to.iter_mut().zip(self.0.borrow_mut().drain(..len)) {
            *to = from;
        }
        len
    }
}

/// A pair: the terminal, and what its other side has set.
pub struct Pty {
    /// The terminal.
    pub tty: Rc<Tty>,
    /// Its number below `/dev/pts`.
    pub index: u32,
    /// Who owns the node.
    pub owner: Cell<(u32, u32)>,
    /// Permission bits of the node.
    pub mode: Cell<u16>,
    locked: Cell<bool>,
    /// The other side writes nothing (`TCXONC` on it),
    pub(super) held: Cell<bool>,
    /// is nobody else's (`TIOCEXCL`), as it is anyway,
    pub(super) exclusive: Cell<bool>,
    /// and has been hung up.
    dead: Cell<bool>,
}

impl Pty {
    fn shown(&self) -> Option<&Shown> {
        if let Screen::Pty(shown) = &self.tty.screen { Some(shown) } else { None }
    }

    /// Bytes that the other side can read.
    pub(super) fn available(&self) -> usize {
        self.shown().map_or(0, Shown::available)
    }

    /// The other side is hung up by itself: its descriptors are dead, the terminal knows nothing of it.
    pub(super) fn hang_up_master(&self, kernel: &mut Kernel) {
        self.dead.set(true);
        kernel.wake(&self.tty.queue);
    }
}

/// All pairs. Shared with devpts, which shows them.
#[derive(Default)]
pub struct PtyTable {
    pairs: RefCell<BTreeMap<u32, Weak<Pty>>>,
}

impl PtyTable {
    /// The pair of a number.
    pub fn get(&self, index: u32) -> Option<Rc<Pty>> {
        self.pairs.borrow().get(&index)?.upgrade()
    }

    /// Numbers in use, ascending.
    pub fn indices(&self) -> Vec<u32> {
        self.pairs.borrow().iter().filter(|(_, pty)| pty.strong_count() > 0).map(|(index, _)| *index).collect()
    }

    fn add(&self, owner: (u32, u32)) -> Result<Rc<Pty>, Errno> {
        let mut pairs = self.pairs.borrow_mut();
        pairs.retain(|_, pty| pty.strong_count() > 0);
        let index = (0..PTYS_MAX).find(|index| !pairs.contains_key(index)).ok_or(Errno::ENOSPC)?;
        let window = WindowSize { rows: 0, columns: 0, pixels: (0, 0) };
        let tty = Tty::new(make_device(PTS_MAJOR, index), Screen::Pty(Shown::default()), window);
        let pty = Rc::new(Pty {
            tty,
            index,
            owner: Cell::new(owner),
            mode: Cell::new(0o620),
            locked: Cell::new(true),
            held: Cell::new(false),
            exclusive: Cell::new(false),
            dead: Cell::new(false),
        });
        pairs.insert(index, Rc::downgrade(&pty));
        Ok(pty)
    }
}

impl Kernel {
    /// Opens `/dev/ptmx`: a new pair.
    pub fn open_ptmx(&mut self, task: &Rc<Task>, location: Location, flags: u32) -> Outcome<Rc<OpenFile>> {
        let who = task.credentials();
        let pty = self.ptys.add((who.fsuid, who.fsgid))?;
        Ok(OpenFile::new(Rc::new(PtyMaster { pty }), location, flags))
    }

    /// Opens `/dev/pts/index`. Who can't, because it is locked, spoils it for who has it open already.
    pub fn open_pts(&mut self, task: &Rc<Task>, index: u32) -> Outcome<Rc<Tty>> {
        let pty = self.ptys.get(index).ok_or(Errno::ENXIO)?;
        if pty.tty.other_gone.get() {
            return Err(Errno::EIO.into());
        }
        check_exclusive(&pty.tty, task)?;
        if pty.locked.get() {
            pty.tty.failed.set(true);
            return Err(Errno::EIO.into());
        }
        Ok(pty.tty.clone())
    }

    fn open_peer(&mut self, task: &Rc<Task>, pty: &Rc<Pty>, flags: u32) -> Outcome<u64> {
        use crate::vfs::At;
        let path = format!("/dev/pts/{}", pty.index);
        let (fs, who) = (task.fs_state(), task.credentials());
        let location = self.vfs.resolve(&fs.context(&who), At::cwd(path.as_bytes()), true)?;
        let tty = self.open_pts(task, pty.index)?;
        let file = OpenFile::new(Rc::new(TtyFile::new(tty)), location, flags);
        let close_on_exec = flags & abi::file::O_CLOEXEC != 0;
        self.add_file(task, file, close_on_exec).map(|fd| fd as u64)
    }

    /// `TIOCSIG`: signals the foreground.
    fn signal_from_master(&mut self, tty: &Rc<Tty>, signal: u32) -> Outcome<()> {
        if ![SIGINT, SIGQUIT, SIGTSTP].contains(&signal) {
            return Err(Errno::EINVAL.into());
        }
        if tty.foreground.get() > 0 {
            self.signal_group(tty.foreground.get(), &SigInfo::kernel(signal));
        }
        Ok(())
    }
}

/// Whether a terminal may be opened once more (`TIOCEXCL`).
///
/// # Errors
/// `EBUSY` if not.
pub(crate) fn check_exclusive(tty: &Tty, task: &Rc<Task>) -> Outcome<()> {
    let is_refused = tty.exclusive.get() && tty.opened.get() > 0 && !task.credentials().has(CAP_SYS_ADMIN);
    if is_refused { Err(Errno::EBUSY.into()) } else { Ok(()) }
}

/// A descriptor of the side that plays screen and keyboard.
pub struct PtyMaster {
    /// The pair.
    pub pty: Rc<Pty>,
}

impl PtyMaster {
    fn others_are_gone(&self) -> bool {
        self.pty.tty.opened_ever.get() && self.pty.tty.opened.get() == 0
    }
}

impl FileObject for PtyMaster {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let tty = &self.pty.tty;
        let Some(shown) = self.pty.shown().filter(|_| !self.pty.dead.get()) else { return Ok(0) };
        if to.is_empty() {
            return Ok(0);
        }
        // In packet mode every read starts with a byte that says what there is: data, or news of the terminal.
        let packet = tty.discipline.borrow().packet();
        if let Some(status) = packet.filter(|status| *status != 0) {
            tty.discipline.borrow_mut().take_packet();
            to[0] = status;
            return Ok(1);
        }
        if shown.available() == 0 {
            return Err(if self.others_are_gone() { Errno::EIO.into() } else { tty.queue.stop() });
        }
        let header = usize::from(packet.is_some());
        to[..header].fill(TIOCPKT_DATA);
        let len = shown.read(&mut to[header..]);
        kernel.wake(&tty.queue);
        Ok(header + len)
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        let tty = &self.pty.tty;
        if self.pty.dead.get() {
            return Err(Errno::EIO.into());
        }
        let len = if self.pty.held.get() { 0 } else { kernel.tty_input(tty, from) };
        if len == 0 && !from.is_empty() { Err(tty.queue.stop()) } else { Ok(len) }
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let tty = &self.pty.tty;
        if self.pty.dead.get() {
            let all = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLERR;
            return Readiness::on(&tty.queue, all);
        }
        let readable = if self.pty.available() > 0 { POLLIN | POLLRDNORM } else { 0 };
        let has_news = tty.discipline.borrow().packet().is_some_and(|status| status != 0);
        let news = if has_news { POLLPRI | POLLIN | POLLRDNORM } else { 0 };
        let gone = if self.others_are_gone() { POLLHUP } else { 0 };
        let has_room = !self.pty.held.get() && tty.arriving_room() > 0;
        let writable = if has_room { POLLOUT | POLLWRNORM } else { 0 };
        Readiness::on(&tty.queue, readable | news | gone | writable)
    }

    fn listeners(&self, _file: &OpenFile) -> Option<Vec<&Listeners>> {
        Some(vec![&self.pty.tty.output_listeners])
    }

    fn ioctl(&self, kernel: &mut Kernel, task: &Rc<Task>, file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        let pty = &self.pty;
        let mm = task.mm()?;
        if pty.dead.get() {
            return Err(if request == TIOCSPGRP { Errno::ENOTTY } else { Errno::EIO }.into());
        }
        match request {
            TIOCGPTN => mm.write_u32(arg, pty.index)?,
            TIOCSPTLCK => pty.locked.set(mm.read_u32(arg)? != 0),
            TIOCGPTLCK => mm.write_u32(arg, u32::from(pty.locked.get()))?,
            TIOCPKT => pty.tty.discipline.borrow_mut().set_packet(mm.read_u32(arg)? != 0),
            TIOCGPKT => mm.write_u32(arg, u32::from(pty.tty.discipline.borrow().packet().is_some()))?,
            TIOCSIG => kernel.signal_from_master(&pty.tty, arg as u32)?,
            TIOCGPTPEER => return kernel.open_peer(task, pty, arg as u32),
            _ => return kernel.tty_ioctl(&Side { tty: &pty.tty, master: Some(pty), file }, task, request, arg),
        }
        Ok(0)
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        kernel.lose_master(&self.pty.tty);
    }
}
