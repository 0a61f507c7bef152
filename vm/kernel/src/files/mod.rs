//! Open files: what descriptors stand for.
//!
//! An [`OpenFile`] is Linux's open file description: flags and position, shared by all descriptors made by `dup` and
//! `fork`. What it does is up to its [`FileObject`].
//!
//! | module | subject |
//! |---|---|
//! | [`table`] | descriptors of a process |
//! | [`count`] | how many files the machine may have open |
//! | [`open`] | from a path to an open file |
//! | [`owner`], [`listeners`] | whom signals about a file go to, and when |
//! | [`regular`] | regular files and directories |
//! | [`pipe`] | pipes and FIFOs |
//! | [`device`] | `/dev/null` and its relatives |
//! | [`kmsg`] | the kernel log |
//! | [`proc`] | files whose text the kernel makes up |
//! | [`eventfd`], [`timerfd`], [`signalfd`], [`epoll`], [`inotify`], [`pidfd`] | kernel objects as files |
//! | [`mqueue`] | POSIX message queues |
//! | [`lock`] | `flock` and record locks |
//! | [`anonymous`] | inodes of files without a path |

pub mod anonymous;
pub mod count;
pub mod device;
pub mod epoll;
pub mod eventfd;
pub mod inotify;
pub mod kmsg;
pub mod listeners;
pub mod lock;
pub mod mqueue;
pub mod open;
pub mod owner;
pub mod pidfd;
pub mod pipe;
pub mod proc;
pub mod regular;
pub mod signalfd;
pub mod table;
pub mod timerfd;

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use abi::Errno;
use abi::file::{O_ACCMODE, O_APPEND, O_NONBLOCK, O_PATH, O_RDONLY, O_WRONLY};
use abi::inotify::{IN_CLOSE_NOWRITE, IN_CLOSE_WRITE};

use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{DirEntry, FileKind, Location, Writing};
use crate::wait::{QueueId, WaitQueue};

pub use listeners::{Io, Listeners};
pub use owner::{Owner, Ownership};
pub use table::FdTable;

/// What a poller learns of a file: the events it has now, and the queues that announce others.
#[derive(Default)]
pub struct Readiness {
    /// `POLL*`.
    pub events: u32,
    /// Where to wait for more, and how many events each has had.
    pub queues: Vec<(QueueId, u64)>,
}

impl Readiness {
    /// A file that never blocks.
    pub fn always(events: u32) -> Self {
        Self { events, queues: Vec::new() }
    }

    /// Events, and the one queue that announces them.
    pub fn on(queue: &WaitQueue, events: u32) -> Self {
        Self { events, queues: vec![(queue.id(), queue.events())] }
    }

    /// Adds a queue.
    #[must_use]
    pub fn and(mut self, queue: &WaitQueue) -> Self {
        self.queues.push((queue.id(), queue.events()));
        self
    }
}

/// What an open file does. An operation that would block returns `Wait`; the caller knows about `O_NONBLOCK`.
#[allow(unused_variables)]
pub trait FileObject: Any {
    /// Reads; `position` matters only to seekable files.
    fn read(&self, kernel: &mut Kernel, file: &OpenFile, position: u64, to: &mut [u8]) -> Outcome<usize> {
        Err(Errno::EINVAL.into())
    }

    /// Writes; `position` matters only to seekable files.
    fn write(&self, kernel: &mut Kernel, file: &OpenFile, position: u64, from: &[u8]) -> Outcome<usize> {
        Err(Errno::EINVAL.into())
    }

    /// Whether it has a position.
    fn is_seekable(&self) -> bool {
        false
    }

    /// `lseek(2)`, for an object whose position is its own affair; `None` for any other.
    fn seek(&self, kernel: &Kernel, offset: i64, whence: u32) -> Option<Outcome<u64>> {
        None
    }

    /// Whether a single call may ask not to wait (`RWF_NOWAIT`, Linux's `FMODE_NOWAIT`).
    fn can_refuse_to_wait(&self) -> bool {
        false
    }

    /// What there is to do now, and what announces more (`poll(2)`).
    fn poll(&self, kernel: &Kernel, file: &OpenFile) -> Readiness {
        use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};
        Readiness::always(POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)
    }

    /// Lists that `O_ASYNC` puts an open file of it into; `None` if it has no effect.
    fn listeners(&self, file: &OpenFile) -> Option<Vec<&Listeners>> {
        None
    }

    /// `ioctl(2)`.
    fn ioctl(&self, kernel: &mut Kernel, task: &Rc<Task>, file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        Err(Errno::ENOTTY.into())
    }

    /// Entries of a directory.
    fn read_dir(&self, file: &OpenFile, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        Err(Errno::ENOTDIR.into())
    }

    /// The last descriptor is gone; the object is dropped next.
    fn release(&self, kernel: &mut Kernel, file: &OpenFile) {}

    /// Bytes that wait in it, in the kernel layer's own memory.
    fn held_bytes(&self) -> usize {
        0
    }

    /// A line or more for `/proc/PID/fdinfo`.
    fn describe(&self, kernel: &Kernel) -> String {
        String::new()
    }
}

/// An open file description.
pub struct OpenFile {
    /// What it does.
    pub object: Rc<dyn FileObject>,
    /// The inode it stands for.
    pub location: Location,
    /// `O_*`: access mode and status flags.
    pub flags: Cell<u32>,
    /// Where the next `read` or `write` starts.
    pub position: Cell<u64>,
    /// Whom signals about it go to (`F_SETOWN`), and which (`F_SETSIG`).
    pub ownership: Cell<Ownership>,
    /// That it is counted, once it has had a descriptor.
    counted: OnceCell<count::Counted>,
    /// It keeps its mount from becoming read-only.
    _writing: Option<Writing>,
}

impl OpenFile {
    /// A description with position 0.
    pub fn new(object: Rc<dyn FileObject>, location: Location, flags: u32) -> Rc<Self> {
        let is_written = flags & O_PATH == 0 && flags & O_ACCMODE != O_RDONLY && location.kind() == FileKind::Regular;
        let _writing = is_written.then(|| location.mount().writing());
        let (position, ownership, counted) = Default::default();
        Rc::new(Self { object, location, flags: Cell::new(flags), position, ownership, counted, _writing })
    }

    /// The object, if it is of that type.
    pub fn object_as<T: FileObject>(&self) -> Option<&T> {
        let object: &dyn Any = &*self.object;
        object.downcast_ref()
    }

    /// Whether all flags are set.
    pub fn has(&self, flags: u32) -> bool {
        self.flags.get() & flags == flags
    }

    /// Whether it only points to a file.
    pub fn is_path_only(&self) -> bool {
        self.has(O_PATH)
    }

    /// Whether it was opened for reading.
    pub fn is_readable(&self) -> bool {
        !self.is_path_only() && self.flags.get() & O_ACCMODE != O_WRONLY
    }

    /// Whether it was opened for writing.
    pub fn is_writable(&self) -> bool {
        !self.is_path_only() && self.flags.get() & O_ACCMODE != O_RDONLY
    }

    /// Whether operations fail rather than wait.
    pub fn is_nonblocking(&self) -> bool {
        self.has(O_NONBLOCK)
    }

    /// Whether every write goes to the end.
    pub fn appends(&self) -> bool {
        self.has(O_APPEND)
    }
}

impl Kernel {
    /// Drops a reference to an open file; with the last one the file is closed.
    pub fn close_file(&mut self, file: Rc<OpenFile>) {
        // Its locks know it by its address, which it has no more once it is out of the counted box.
        let description = lock::description(&file);
        if let Some(file) = Rc::into_inner(file) {
            if let Some(queue) = self.locks.release_description(&file.location, description) {
                self.wake(&queue);
            }
            if !file.is_path_only() {
                file.location.notify(if file.is_writable() { IN_CLOSE_WRITE } else { IN_CLOSE_NOWRITE });
            }
            self.closing.push_back(file);
            self.release_closed();
        }
    }

    /// Releases what has been closed, and what is closed by that, one after the other: a guest may send sockets through
    /// sockets through sockets, deeper than our stack.
    pub(crate) fn release_closed(&mut self) {
        if std::mem::replace(&mut self.is_releasing, true) {
            return;
        }
        loop {
            while let Some(file) = self.closing.pop_front() {
                file.object.clone().release(self, &file);
            }
            if !self.close_unreachable_sockets() {
                break;
            }
        }
        self.is_releasing = false;
    }
}
