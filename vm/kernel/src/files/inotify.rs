//! `inotify(7)`: what happens to watched files, as a file to read.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::rc::{Rc, Weak};

use abi::inotify::*;
use abi::poll::{POLLIN, POLLRDNORM};
use abi::tty::FIONREAD;
use abi::{Errno, Writer};

use super::{FileObject, Io, Listeners, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::watch::{Event, Watcher};
use crate::vfs::{Location, Watches};
use crate::wait::WaitQueue;

/// Events that wait to be read; more come to one that says so (`fs.inotify.max_queued_events`).
pub const EVENTS_MAX: usize = 16_384;
/// Watches of one instance: Linux's lower bound for all instances of a user (`fs.inotify.max_user_watches`).
pub const WATCHES_MAX: usize = 8192;
/// Instances that one user may have (`fs.inotify.max_user_instances`).
pub const INSTANCES_MAX: usize = 128;
/// Bytes of a `struct inotify_event` without name; also what names are padded to.
const RECORD_BYTES: usize = 16;

/// An event that waits to be read.
#[derive(PartialEq, Eq)]
struct Queued {
    descriptor: i32,
    mask: u32,
    cookie: u32,
    name: Option<Vec<u8>>,
}

impl Queued {
    fn name_bytes(&self) -> usize {
        self.name.as_ref().map_or(0, |name| (name.len() + 1).next_multiple_of(RECORD_BYTES))
    }

    fn bytes(&self) -> usize {
        RECORD_BYTES + self.name_bytes()
    }

    fn encode(&self) -> Vec<u8> {
        let head = Writer::new().i32(self.descriptor).u32(self.mask).u32(self.cookie).u32(self.name_bytes() as u32);
        head.raw(self.name.as_deref().unwrap_or_default()).pad_to(self.bytes()).finish()
    }

    /// Whether `next` need not be queued behind this.
    fn says_as_much_as(&self, next: &Queued) -> bool {
        (self.descriptor, self.mask, &self.name) == (next.descriptor, next.mask, &next.name)
    }
}

/// An instance: a queue of events, and the descriptors of its watches.
pub struct Inotify {
    /// Itself, as a watcher.
    own: Weak<Inotify>,
    /// Whose it is.
    uid: u32,
    queue: RefCell<VecDeque<Queued>>,
    descriptors: RefCell<BTreeSet<i32>>,
    last_descriptor: Cell<i32>,
    /// Woken when an event comes.
    arrived: WaitQueue,
    /// Who is signalled then.
    listeners: Listeners,
}

impl Inotify {
    /// An instance without watches, of that user.
    pub fn new(uid: u32) -> Rc<Self> {
        Rc::new_cyclic(|own| Self {
            own: own.clone(),
            uid,
            queue: RefCell::default(),
            descriptors: RefCell::default(),
            last_descriptor: Cell::new(0),
            arrived: WaitQueue::default(),
            listeners: Listeners::default(),
        })
    }

    /// Whose it is.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    fn watcher(&self) -> Weak<dyn Watcher> {
        self.own.clone()
    }

    /// `inotify_add_watch(2)`: the descriptor.
    pub fn watch(&self, watches: &Watches, file: &Location, mask: u32) -> Outcome<i32> {
        let kept = mask & (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK);
        let watcher = self.watcher();
        if let Some((descriptor, old)) = watches.find(file, &watcher) {
            if mask & IN_MASK_CREATE != 0 {
                return Err(Errno::EEXIST.into());
            }
            let kept = if mask & IN_MASK_ADD != 0 { kept | old } else { kept };
            watches.set(file, &watcher, descriptor, kept);
            return Ok(descriptor);
        }
        let descriptor = self.free_descriptor().ok_or(Errno::ENOSPC)?;
        self.descriptors.borrow_mut().insert(descriptor);
        watches.set(file, &watcher, descriptor, kept);
        Ok(descriptor)
    }

    /// Numbers are not used again before all others have been.
    fn free_descriptor(&self) -> Option<i32> {
        let used = self.descriptors.borrow();
        if used.len() >= WATCHES_MAX {
            return None;
        }
        let last = self.last_descriptor.get();
        let descriptor = (last.saturating_add(1)..i32::MAX).chain(1..=last).find(|number| !used.contains(number))?;
        self.last_descriptor.set(descriptor);
        Some(descriptor)
    }

    /// `inotify_rm_watch(2)`.
    pub fn unwatch(&self, watches: &Watches, descriptor: i32) -> Outcome<()> {
        if !watches.remove(&self.watcher(), Some(descriptor)) {
            return Err(Errno::EINVAL.into());
        }
        self.ended(descriptor);
        Ok(())
    }

    fn push(&self, event: Queued) {
        let mut queue = self.queue.borrow_mut();
        if queue.back().is_some_and(|last| last.says_as_much_as(&event)) {
            return;
        }
        if queue.len() < EVENTS_MAX {
            queue.push_back(event);
        } else if queue.len() == EVENTS_MAX {
            queue.push_back(Queued { descriptor: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: None });
        }
    }
}

impl Watcher for Inotify {
    fn notice(&self, descriptor: i32, event: &Event<'_>) {
        let name = event.name.map(<[u8]>::to_vec);
        self.push(Queued { descriptor, mask: event.mask, cookie: event.cookie, name });
    }

    fn ended(&self, descriptor: i32) {
        self.descriptors.borrow_mut().remove(&descriptor);
        self.push(Queued { descriptor, mask: IN_IGNORED, cookie: 0, name: None });
    }

    fn queue(&self) -> &WaitQueue {
        &self.arrived
    }

    fn listeners(&self) -> &Listeners {
        &self.listeners
    }
}

/// An instance as an open file: it ends when that is closed.
pub struct InotifyFile(pub Rc<Inotify>);

impl FileObject for InotifyFile {
    fn read(&self, _kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let mut queue = self.0.queue.borrow_mut();
        let first = queue.front().ok_or(self.0.arrived.stop())?;
        if first.bytes() > to.len() {
            return Err(Errno::EINVAL.into());
        }
        let mut len = 0;
        while let Some(event) = queue.front().filter(|event| len + event.bytes() <= to.len()) {
            to[len..len + event.bytes()].copy_from_slice(&event.encode());
            len += event.bytes();
            queue.pop_front();
        }
        Ok(len)
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let events = if self.0.queue.borrow().is_empty() { 0 } else { POLLIN | POLLRDNORM };
        Readiness::on(&self.0.arrived, events)
    }

    fn listeners(&self, _file: &OpenFile) -> Option<Vec<&Listeners>> {
        Some(vec![&self.0.listeners])
    }

    fn ioctl(&self, _kernel: &mut Kernel, task: &Rc<Task>, _file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        if request != FIONREAD {
            return Err(Errno::ENOTTY.into());
        }
        let bytes: usize = self.0.queue.borrow().iter().map(Queued::bytes).sum();
        task.mm()?.write_u32(arg, bytes as u32).map(|()| 0)
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        kernel.vfs.watches().remove(&self.0.watcher(), None);
        kernel.inotify_instances.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&self.0.own));
    }

    fn describe(&self, kernel: &Kernel) -> String {
        let mut text = String::new();
        for (descriptor, device, ino, mask) in kernel.vfs.watches().of(&self.0.watcher()) {
            let mask = mask & IN_ALL_EVENTS;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "inotify wd:{descriptor:x} ino:{:x} sdev:{device:x} mask:{mask:x} ignored_mask:0 ",
                ino.0
            );
        }
        text
    }
}

impl Kernel {
    /// A new instance for `task`.
    pub fn make_inotify(&mut self, task: &Rc<Task>) -> Outcome<Rc<Inotify>> {
        let uid = task.credentials().uid;
        let own = self.inotify_instances.iter().filter_map(Weak::upgrade).filter(|other| other.uid() == uid).count();
        if own >= INSTANCES_MAX {
            return Err(Errno::EMFILE.into());
        }
        let instance = Inotify::new(uid);
        self.inotify_instances.push(Rc::downgrade(&instance));
        Ok(instance)
    }

    /// Wakes those who wait for events of files that have come.
    pub(crate) fn tell_watchers(&mut self) {
        for watcher in self.vfs.clone().watches().take_news() {
            self.wake(watcher.queue());
            self.tell_listeners(watcher.listeners(), Io::Input);
        }
    }
}
