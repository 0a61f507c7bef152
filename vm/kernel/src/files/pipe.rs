//! Pipes and FIFOs (`pipe(7)`).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::file::{O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use abi::poll::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
use abi::tty::FIONREAD;

use super::{FileObject, Io, Listeners, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{FileKind, Location};
use crate::wait::WaitQueue;

/// Bytes a pipe holds unless told otherwise.
const CAPACITY_BYTES: usize = 64 * 1024;
/// Most it can be told (`/proc/sys/fs/pipe-max-size`).
pub const CAPACITY_BYTES_MAX: usize = 1024 * 1024;
/// Writes up to this size are never torn apart (`PIPE_BUF`).
const ATOMIC_BYTES: usize = 4096;

/// What both ends share.
pub struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    capacity: Cell<usize>,
    readers: Cell<u32>,
    writers: Cell<u32>,
    /// Ends ever opened, so that an open that waits for the other side notices one that has come and gone.
    readers_ever: Cell<u64>,
    writers_ever: Cell<u64>,
    /// It has no path: opening it anew (`/dev/fd/N`) does not wait for the other side.
    is_anonymous: Cell<bool>,
    /// Woken when there is something to read, or nobody writes any more.
    readable: WaitQueue,
    /// Woken when there is room, or nobody reads any more.
    writable: WaitQueue,
    /// Who is signalled at the same occasions.
    input_listeners: Listeners,
    output_listeners: Listeners,
}

impl Default for Pipe {
    fn default() -> Self {
        let bytes = RefCell::default();
        let (readers, writers, readers_ever, writers_ever) = Default::default();
        let capacity = Cell::new(CAPACITY_BYTES);
        let (is_anonymous, readable, writable) = Default::default();
        let (input_listeners, output_listeners) = Default::default();
        Self {
            bytes,
            capacity,
            readers,
            writers,
            readers_ever,
            writers_ever,
            is_anonymous,
            readable,
            writable,
            input_listeners,
            output_listeners,
        }
    }
}

impl Pipe {
    /// Takes up to `to.len()` bytes; 0 if there are none and nobody can write any more.
    pub fn read(&self, kernel: &mut Kernel, to: &mut [u8]) -> Outcome<usize> {
        let mut bytes = self.bytes.borrow_mut();
        if bytes.is_empty() && !to.is_empty() {
            return if self.writers.get() == 0 { Ok(0) } else { Err(self.readable.stop()) };
        }
        let was_full = self.capacity.get().saturating_sub(bytes.len()) < ATOMIC_BYTES;
        let len = to.len().min(bytes.len());
        let (front, back) = bytes.as_slices();
        let split = len.min(front.len());
        to[..split].copy_from_slice(&front[..split]);
        to[split..len].copy_from_slice(&back[..len - split]);
        bytes.drain(..len);
        drop(bytes);
        if len > 0 && was_full {
            kernel.wake(&self.writable);
        }
        if len > 0 {
            kernel.tell_listeners(&self.output_listeners, Io::Output);
        }
        Ok(len)
    }

    /// Puts bytes back that were just read, but could not be given to whoever asked for them.
    pub fn unread(&self, bytes: &[u8]) {
        let mut all = self.bytes.borrow_mut();
        all.extend(bytes);
        all.rotate_right(bytes.len());
    }

    /// Up to `len` bytes, which stay; none if there are none and nobody can write any more.
    pub fn peek(&self, len: usize) -> Outcome<Vec<u8>> {
        let bytes = self.bytes.borrow();
        if bytes.is_empty() && self.writers.get() > 0 {
            return Err(self.readable.stop());
        }
        Ok(bytes.iter().take(len).copied().collect())
    }

    /// Adds bytes, as many as there is room for.
    pub fn write(&self, kernel: &mut Kernel, from: &[u8]) -> Outcome<usize> {
        if self.readers.get() == 0 {
            return Err(Errno::EPIPE.into());
        }
        if from.is_empty() {
            return Ok(0);
        }
        let room = self.room();
        if room == 0 || (from.len() <= ATOMIC_BYTES && room < from.len()) {
            return Err(self.writable.stop());
        }
        let len = from.len().min(room);
        self.bytes.borrow_mut().extend(&from[..len]);
        kernel.wake(&self.readable);
        kernel.tell_listeners(&self.input_listeners, Io::Input);
        Ok(len)
    }

    /// Adds what there is room for, whatever the size: the host needs no atomicity.
    pub fn write_some(&self, kernel: &mut Kernel, from: &[u8]) -> Outcome<usize> {
        let room = self.room();
        if room == 0 && self.readers.get() > 0 && !from.is_empty() {
            return Err(self.writable.stop());
        }
        self.write(kernel, &from[..from.len().min(room)])
    }

    fn room(&self) -> usize {
        self.capacity.get().saturating_sub(self.bytes.borrow().len())
    }

    fn wake_both(&self, kernel: &mut Kernel) {
        kernel.wake(&self.readable);
        kernel.wake(&self.writable);
    }

    /// Bytes in it.
    #[allow(clippy::len_without_is_empty)] // Nobody asks: see `is_finished`.
    pub fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    /// Whether it will never have bytes again.
    pub fn is_finished(&self) -> bool {
        self.len() == 0 && self.writers.get() == 0
    }

    /// Bytes it holds (`F_GETPIPE_SZ`).
    pub fn capacity(&self) -> usize {
        self.capacity.get()
    }

    /// Changes how much it holds (`F_SETPIPE_SZ`).
    pub fn set_capacity(&self, wanted: usize) -> Outcome<usize> {
        if wanted > CAPACITY_BYTES_MAX {
            return Err(Errno::EPERM.into());
        }
        let capacity = wanted.max(ATOMIC_BYTES).next_power_of_two();
        if self.len() > capacity {
            return Err(Errno::EBUSY.into());
        }
        self.capacity.set(capacity);
        Ok(capacity)
    }
}

/// One end, or with `O_RDWR` both. It counts as long as it lives.
pub struct PipeEnd {
    /// What both ends share.
    pub pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
    /// Ends of the other side that had ever been when this was opened.
    others_ever: u64,
}

impl PipeEnd {
    /// An end opened with an access mode.
    pub fn new(pipe: Rc<Pipe>, flags: u32) -> Self {
        let reads = flags & O_ACCMODE != O_WRONLY;
        let writes = flags & O_ACCMODE != O_RDONLY;
        if reads {
            pipe.readers.set(pipe.readers.get() + 1);
            pipe.readers_ever.set(pipe.readers_ever.get() + 1);
        }
        if writes {
            pipe.writers.set(pipe.writers.get() + 1);
            pipe.writers_ever.set(pipe.writers_ever.get() + 1);
        }
        let others_ever = if reads { pipe.writers_ever.get() } else { pipe.readers_ever.get() };
        Self { pipe, reads, writes, others_ever }
    }

    /// Whether the other side of a FIFO is, or has meanwhile been, there.
    fn has_met_other_side(&self) -> bool {
        let pipe = &self.pipe;
        let (others, ever) = match self.reads {
            true => (pipe.writers.get(), pipe.writers_ever.get()),
            false => (pipe.readers.get(), pipe.readers_ever.get()),
        };
        others > 0 || ever != self.others_ever
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        pipe.readers.set(pipe.readers.get() - u32::from(self.reads));
        pipe.writers.set(pipe.writers.get() - u32::from(self.writes));
    }
}

impl FileObject for PipeEnd {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        self.pipe.read(kernel, to)
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        self.pipe.write(kernel, from)
    }

    fn can_refuse_to_wait(&self) -> bool {
        true
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let pipe = &self.pipe;
        let mut events = 0;
        if self.reads {
            events |= if pipe.len() > 0 { POLLIN | POLLRDNORM } else { 0 };
            events |= if pipe.writers.get() == 0 && pipe.writers_ever.get() > 0 { POLLHUP } else { 0 };
        }
        if self.writes {
            events |= if pipe.room() >= ATOMIC_BYTES { POLLOUT | POLLWRNORM } else { 0 };
            events |= if pipe.readers.get() == 0 { POLLERR } else { 0 };
        }
        match (self.reads, self.writes) {
            (true, false) => Readiness::on(&pipe.readable, events),
            (false, true) => Readiness::on(&pipe.writable, events),
            _ => Readiness::on(&pipe.readable, events).and(&pipe.writable),
        }
    }

    fn listeners(&self, _file: &OpenFile) -> Option<Vec<&Listeners>> {
        let both = [(self.reads, &self.pipe.input_listeners), (self.writes, &self.pipe.output_listeners)];
        Some(both.into_iter().filter(|(is_there, _)| *is_there).map(|(_, list)| list).collect())
    }

    fn ioctl(&self, _kernel: &mut Kernel, task: &Rc<Task>, _file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        match request {
            FIONREAD => task.mm()?.write_u32(arg, self.pipe.len() as u32).map(|()| 0),
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn held_bytes(&self) -> usize {
        self.pipe.len()
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        // The count falls when this is dropped, before anyone who is woken can look.
        let pipe = &self.pipe;
        pipe.wake_both(kernel);
        let (readers, writers) =
            (pipe.readers.get() - u32::from(self.reads), pipe.writers.get() - u32::from(self.writes));
        if (readers == 0) != (writers == 0) {
            kernel.tell_listeners(&pipe.input_listeners, Io::Input);
            kernel.tell_listeners(&pipe.output_listeners, Io::Output);
        }
    }
}

/// Pipes that have their full capacity (`fs.pipe-user-pages-soft`): what is in them is in our own memory.
const FULL_PIPES_MAX: usize = 1024;
/// Capacity of further ones, two pages.
const SMALL_CAPACITY_BYTES: usize = 8192;

/// FIFOs and pipes that are open, by device and inode: `/proc/self/fd/N` opens a pipe anew.
#[derive(Default)]
pub struct Fifos {
    by_inode: HashMap<(u64, u64), Weak<Pipe>>,
}

impl Fifos {
    fn of(&mut self, location: &Location) -> Rc<Pipe> {
        let key = (location.device(), location.ino().0);
        if let Some(pipe) = self.by_inode.get(&key).and_then(Weak::upgrade) {
            return pipe;
        }
        self.by_inode.retain(|_, pipe| pipe.strong_count() > 0);
        let pipe = Rc::new(Pipe::default());
        if self.by_inode.len() >= FULL_PIPES_MAX {
            pipe.capacity.set(SMALL_CAPACITY_BYTES);
        }
        self.by_inode.insert(key, Rc::downgrade(&pipe));
        pipe
    }
}

impl Kernel {
    /// A new pipe: its reading and its writing end.
    pub fn make_pipe(&mut self, task: &Rc<Task>, flags: u32) -> (Rc<OpenFile>, Rc<OpenFile>) {
        self.make_pipe_for(&task.credentials(), flags)
    }

    /// A new pipe owned by `who`.
    pub fn make_pipe_for(&mut self, who: &crate::credentials::Credentials, flags: u32) -> (Rc<OpenFile>, Rc<OpenFile>) {
        let location = self.anonymous.numbered(&self.vfs, FileKind::Fifo, who, "pipe");
        let pipe = self.fifos.of(&location);
        pipe.is_anonymous.set(true);
        let end =
            |access: u32| OpenFile::new(Rc::new(PipeEnd::new(pipe.clone(), access)), location.clone(), flags | access);
        (end(O_RDONLY), end(O_WRONLY))
    }

    /// Opens a FIFO, waiting for the other side as `fifo(7)` says.
    pub fn open_fifo(&mut self, task: &Rc<Task>, location: Location, flags: u32) -> Outcome<Rc<OpenFile>> {
        let opening = task.with_call(|call| call.opening.take());
        let file = match opening {
            Some(file) => file,
            None => {
                let pipe = self.fifos.of(&location);
                let no_reader = pipe.readers.get() == 0 && flags & O_ACCMODE == O_WRONLY;
                if no_reader && flags & O_NONBLOCK != 0 {
                    return Err(Errno::ENXIO.into());
                }
                let end = PipeEnd::new(pipe.clone(), flags);
                pipe.wake_both(self);
                OpenFile::new(Rc::new(end), location, flags)
            }
        };
        let Some(end) = file.object_as::<PipeEnd>() else { return Err(Errno::ENXIO.into()) };
        let never_waits = end.pipe.is_anonymous.get() || flags & O_NONBLOCK != 0 || flags & O_ACCMODE == O_RDWR;
        if never_waits || end.has_met_other_side() {
            return Ok(file);
        }
        let queue = if end.reads { &end.pipe.readable } else { &end.pipe.writable };
        let stop = queue.stop();
        task.with_call(|call| call.opening = Some(file));
        Err(stop)
    }
}
