//! Pseudo-terminals (`pty(7)`): a terminal whose screen and keyboard are another program.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::file::make_device;
use abi::poll::{POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::signal::{SIGINT, SIGQUIT, SIGTSTP};
use abi::tty::*;

use super::{Screen, Tty, TtyFile, WindowSize};
use crate::files::device::number::PTS_MAJOR;
use crate::files::{FileObject, Listeners, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::Location;

/// Most pairs at a time (`/proc/sys/kernel/pty/max`).
pub const PTYS_MAX: u32 = 4096;

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
    packet: Cell<bool>,
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
        let tty = Tty::new(make_device(PTS_MAJOR, index), Screen::Pty(RefCell::default()), window);
        let pty = Rc::new(Pty {
            tty,
            index,
            owner: Cell::new(owner),
            mode: Cell::new(0o620),
            locked: Cell::new(true),
            packet: Cell::new(false),
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

    /// Opens `/dev/pts/index`.
    pub fn open_pts(&mut self, index: u32) -> Outcome<Rc<Tty>> {
        let pty = self.ptys.get(index).ok_or(Errno::ENXIO)?;
        if pty.locked.get() || pty.tty.hung_up.get() { Err(Errno::EIO.into()) } else { Ok(pty.tty.clone()) }
    }
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
        let Screen::Pty(output) = &tty.screen else { return Err(Errno::EIO.into()) };
        if output.borrow().is_empty() {
            return Err(if self.others_are_gone() { Errno::EIO.into() } else { tty.queue.stop() });
        }
        // In packet mode every read starts with a byte that says "data".
        let header = usize::from(self.pty.packet.get());
        let Some(body) = to.get_mut(header..) else { return Ok(0) };
        let len = body.len().min(output.borrow().len());
        for (to, from) in body.iter_mut().zip(output.borrow_mut().drain(..len)) {
            *to = from;
        }
        to[..header].fill(0);
        kernel.wake(&tty.queue);
        Ok(header + len)
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        if self.others_are_gone() {
            return Err(Errno::EIO.into());
        }
        kernel.tty_input(&self.pty.tty, from);
        Ok(from.len())
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let tty = &self.pty.tty;
        let has_output = matches!(&tty.screen, Screen::Pty(output) if !output.borrow().is_empty());
        let readable = if has_output { POLLIN | POLLRDNORM } else { 0 };
        let gone = if self.others_are_gone() { POLLHUP } else { 0 };
        Readiness::on(&tty.queue, readable | gone | POLLOUT | POLLWRNORM)
    }

    fn listeners(&self, _file: &OpenFile) -> Option<Vec<&Listeners>> {
        Some(vec![&self.pty.tty.output_listeners])
    }

    fn ioctl(&self, kernel: &mut Kernel, task: &Rc<Task>, _file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        let pty = &self.pty;
        let mm = task.mm()?;
        match request {
            TIOCGPTN => mm.write_u32(arg, pty.index)?,
            TIOCSPTLCK => pty.locked.set(mm.read_u32(arg)? != 0),
            TIOCGPTLCK => mm.write_u32(arg, u32::from(pty.locked.get()))?,
            TIOCPKT => pty.packet.set(mm.read_u32(arg)? != 0),
            TIOCGPKT => mm.write_u32(arg, u32::from(pty.packet.get()))?,
            TIOCSIG => kernel.signal_foreground(&pty.tty, arg)?,
            TIOCGPTPEER => return kernel.open_peer(task, pty, arg as u32),
            FIONREAD => {
                let Screen::Pty(output) = &pty.tty.screen else { return Err(Errno::EIO.into()) };
                mm.write_u32(arg, output.borrow().len() as u32)?;
            }
            _ => return kernel.tty_ioctl(&pty.tty, task, request, arg, true),
        }
        Ok(0)
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        kernel.hang_up(&self.pty.tty);
    }
}

impl Kernel {
    /// Signals of the keyboard can be sent without a key.
    fn signal_foreground(&mut self, tty: &Tty, signal: u64) -> Outcome<()> {
        let signal = u32::try_from(signal).ok().filter(|signal| [SIGINT, SIGQUIT, SIGTSTP].contains(signal));
        let info = SigInfo::kernel(signal.ok_or(Errno::EINVAL)?);
        if tty.foreground.get() > 0 {
            self.signal_group(tty.foreground.get(), &info);
        }
        Ok(())
    }

    fn open_peer(&mut self, task: &Rc<Task>, pty: &Rc<Pty>, flags: u32) -> Outcome<u64> {
        use crate::vfs::At;
        let path = format!("/dev/pts/{}", pty.index);
        let (fs, who) = (task.fs_state(), task.credentials());
        let location = self.vfs.resolve(&fs.context(&who), At::cwd(path.as_bytes()), true)?;
        let file = OpenFile::new(Rc::new(TtyFile::new(pty.tty.clone())), location, flags);
        let close_on_exec = flags & abi::file::O_CLOEXEC != 0;
        self.add_file(task, file, close_on_exec).map(|fd| fd as u64)
    }
}
