//! `epoll(7)`: a set of files to wait for, as a file.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::poll::*;

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::wait::{QueueId, WaitQueue};

/// Events and the data registered with them.
type Reports = Vec<(u32, u64)>;

/// How deep sets may contain each other.
const NESTING_MAX: usize = 5;
/// Fewest files in a set for which it is worth looking for closed ones.
const PRUNE_MIN: usize = 32;
/// Bits of the events that say how rather than what.
const INPUT_FLAGS: u32 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;

/// A file in a set. It leaves by itself when it is closed.
struct Interest {
    file: Weak<OpenFile>,
    events: u32,
    data: u64,
    /// Events its queues had had when it was last reported (edge-triggered).
    seen: RefCell<Option<Vec<(QueueId, u64)>>>,
    /// Reported once, and not armed again (`EPOLLONESHOT`).
    disarmed: Cell<bool>,
}

/// The set.
#[derive(Default)]
pub struct Epoll {
    interests: RefCell<BTreeMap<(i32, usize), Interest>>,
    /// How many there are when closed ones are next looked for.
    prune_at: Cell<usize>,
    /// Woken when the set changes.
    changed: WaitQueue,
    /// Where the next report starts, so that no file starves.
    start: Cell<usize>,
}

fn key(fd: i32, file: &Rc<OpenFile>) -> (i32, usize) {
    (fd, Rc::as_ptr(file) as usize)
}

impl Epoll {
    /// `epoll_ctl(2)`.
    pub fn control(
        &self,
        kernel: &mut Kernel,
        operation: u32,
        fd: i32,
        file: &Rc<OpenFile>,
        events: u32,
        data: u64,
    ) -> Outcome<()> {
        let mut interests = self.interests.borrow_mut();
        let key = key(fd, file);
        // Files that are closed leave when as many have come as there were; one whose place is taken, at once.
        if interests.get(&key).is_some_and(|interest| interest.file.strong_count() == 0) {
            interests.remove(&key);
        }
        if interests.len() >= self.prune_at.get() {
            interests.retain(|_, interest| interest.file.strong_count() > 0);
            self.prune_at.set(PRUNE_MIN.max(2 * interests.len()));
        }
        let interest =
            Interest { file: Rc::downgrade(file), events, data, seen: RefCell::default(), disarmed: Cell::new(false) };
        match (operation, interests.contains_key(&key)) {
            (EPOLL_CTL_ADD, true) => return Err(Errno::EEXIST.into()),
            (EPOLL_CTL_MOD | EPOLL_CTL_DEL, false) => return Err(Errno::ENOENT.into()),
            (EPOLL_CTL_MOD, true) if interests.get(&key).is_some_and(|old| old.events & EPOLLEXCLUSIVE != 0) => {
                return Err(Errno::EINVAL.into());
            }
            (EPOLL_CTL_ADD | EPOLL_CTL_MOD, _) => {
                interests.insert(key, interest);
            }
            (EPOLL_CTL_DEL, true) => {
                interests.remove(&key);
            }
            _ => return Err(Errno::EINVAL.into()),
        }
        drop(interests);
        kernel.wake(&self.changed);
        Ok(())
    }

    /// Whether `file` is this set, or a set that contains it at some depth.
    pub fn is_within(&self, file: &OpenFile, depth: usize) -> bool {
        if depth > NESTING_MAX {
            return true;
        }
        let Some(other) = file.object_as::<Epoll>() else { return false };
        if std::ptr::eq(self, other) {
            return true;
        }
        let members: Vec<Rc<OpenFile>> =
            other.interests.borrow().values().filter_map(|interest| interest.file.upgrade()).collect();
        members.iter().any(|member| self.is_within(member, depth + 1))
    }

    /// Events to report, at most `max`, and where to wait for others. `take` makes them reported.
    pub fn collect(&self, kernel: &Kernel, max: usize, take: bool) -> (Reports, Vec<(QueueId, u64)>) {
        let interests = self.interests.borrow();
        let mut reports = Vec::new();
        let mut queues = vec![(self.changed.id(), self.changed.events())];
        let start = self.start.get() % interests.len().max(1);
        for (index, interest) in interests.values().enumerate().cycle().skip(start).take(interests.len()) {
            let Some(file) = interest.file.upgrade().filter(|_| !interest.disarmed.get()) else { continue };
            let readiness = file.object.poll(kernel, &file);
            let events = readiness.events & (interest.events & !INPUT_FLAGS | POLLERR | POLLHUP);
            let is_edge = interest.events & EPOLLET != 0;
            let is_new = !is_edge || interest.seen.borrow().as_ref() != Some(&readiness.queues);
            queues.extend(readiness.queues.iter().copied());
            if events == 0 || !is_new || reports.len() >= max {
                continue;
            }
            reports.push((events, interest.data));
            if take {
                interest.disarmed.set(interest.events & EPOLLONESHOT != 0);
                *interest.seen.borrow_mut() = Some(readiness.queues);
                self.start.set(index + 1);
            }
        }
        (reports, queues)
    }
}

impl FileObject for Epoll {
    fn poll(&self, kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let (reports, queues) = self.collect(kernel, 1, false);
        Readiness { events: if reports.is_empty() { 0 } else { POLLIN | POLLRDNORM }, queues }
    }
}
