//! Files on their way between processes (`SCM_RIGHTS`): how many a user may have there, and sockets that only hold each
//! other.
//!
//! A socket that waits in an inbox is open for as long as the inbox is. If that inbox is its own, or that of one that
//! waits in its, nobody will ever receive or close any of them: Linux looks for such sockets when a unix socket is closed
//! (`net/unix/garbage.c`), and so does [`Kernel::close_unreachable_sockets`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::{Rc, Weak};

use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE};
use abi::process::RLIMIT_NOFILE;

use super::UnixSocket;
use crate::files::OpenFile;
use crate::kernel::Kernel;
use crate::net::downcast;
use crate::net::file::SocketFile;
use crate::net::memory::{Account, Held};
use crate::task::Task;

/// Of unix sockets that may be on their way, one in so many is closed before unreachable ones are looked for.
const SOCKETS_PER_CLOSE: usize = 16;

/// Files that have been sent and not been received.
#[derive(Default)]
pub struct Passing {
    /// How many, by the user who has sent them.
    by_user: HashMap<u32, Account>,
    /// The unix sockets that have been among them, by their places.
    sockets: HashMap<*const OpenFile, Weak<OpenFile>>,
    /// Unix sockets that were closed since unreachable ones were looked for.
    closed: usize,
}

impl Passing {
    /// Counts files that a task sends, for as long as the value lives.
    ///
    /// # Errors
    /// `ETOOMANYREFS` if its user has more on their way than the task may have open.
    pub(super) fn send(&mut self, t: &Rc<Task>, files: &[Rc<OpenFile>]) -> Result<Option<Rc<Held>>, Errno> {
        if files.is_empty() {
            return Ok(None);
        }
        let who = t.credentials();
        self.by_user.retain(|_, account| account.bytes() > 0);
        let account = self.by_user.entry(who.uid).or_default();
        let may_have_more = who.has(CAP_SYS_RESOURCE) || who.has(CAP_SYS_ADMIN);
        if account.bytes() > t.process.limits.borrow().soft(RLIMIT_NOFILE) && !may_have_more {
            return Err(Errno::ETOOMANYREFS);
        }
        let held = Some(Rc::new(account.hold(files.len() as u64)));
        let sockets = files.iter().filter(|file| socket_of(file).is_some());
        self.sockets.extend(sockets.map(|file| (Rc::as_ptr(file), Rc::downgrade(file))));
        Ok(held)
    }

    /// A unix socket has been closed.
    pub(super) fn note_close(&mut self) {
        self.closed += 1;
    }

    /// It is time to look, however few were closed.
    pub(crate) fn look_now(&mut self) {
        self.closed = self.sockets.len();
    }

    /// Sockets that may be on their way, if it is time to look whether they can be reached.
    fn candidates(&mut self) -> Vec<Rc<OpenFile>> {
        // Asked whenever any file is closed.
        if self.closed == 0 {
            return Vec::new();
        }
        if self.by_user.values().all(|account| account.bytes() == 0) {
            self.sockets.clear();
        }
        if self.closed * SOCKETS_PER_CLOSE < self.sockets.len() {
            return Vec::new();
        }
        self.closed = 0;
        self.sockets.retain(|_, file| file.strong_count() > 0);
        self.sockets.values().filter_map(Weak::upgrade).collect()
    }
}

fn socket_of(file: &OpenFile) -> Option<Rc<UnixSocket>> {
    downcast(&file.object_as::<SocketFile>()?.0)
}

/// A socket, and connections that wait to be accepted there.
fn with_waiting(file: &OpenFile) -> Vec<Rc<UnixSocket>> {
    let Some(socket) = socket_of(file) else { return Vec::new() };
    let waiting = socket.backlog.borrow().iter().flatten().cloned().collect();
    [vec![socket], waiting].concat()
}

/// Which of `candidates` wait in the inboxes of the one at `index`, as often as they do.
fn held_by(candidates: &[Rc<OpenFile>], indices: &HashMap<*const OpenFile, usize>, index: usize) -> Vec<usize> {
    let mut held = Vec::new();
    for socket in with_waiting(&candidates[index]) {
        let inbox = socket.core.inbox.borrow();
        held.extend(inbox.files().filter_map(|file| indices.get(&Rc::as_ptr(file))));
    }
    held
}

/// Those of `candidates` that nobody holds but others of them.
fn unreachable(candidates: &[Rc<OpenFile>]) -> Vec<usize> {
    let indices: HashMap<_, _> = candidates.iter().enumerate().map(|(index, file)| (Rc::as_ptr(file), index)).collect();
    let holds: Vec<_> = (0..candidates.len()).map(|index| held_by(candidates, &indices, index)).collect();
    let mut held_inside = vec![0; candidates.len()];
    holds.iter().flatten().for_each(|index| held_inside[*index] += 1);
    // One more reference is that of `candidates` itself.
    let is_held_outside = |index: &usize| Rc::strong_count(&candidates[*index]) > held_inside[*index] + 1;
    let mut to_visit: VecDeque<usize> = (0..candidates.len()).filter(is_held_outside).collect();
    let mut reachable: HashSet<usize> = to_visit.iter().copied().collect();
    while let Some(index) = to_visit.pop_front() {
        to_visit.extend(holds[index].iter().copied().filter(|held| reachable.insert(*held)));
    }
    (0..candidates.len()).filter(|index| !reachable.contains(index)).collect()
}

impl Kernel {
    /// Closes sockets that only hold each other, with everything else in their inboxes, if it is time to look for some.
    /// Returns whether there were any.
    pub(crate) fn close_unreachable_sockets(&mut self) -> bool {
        let candidates = self.net.passing.candidates();
        if candidates.is_empty() {
            return false;
        }
        let unreachable = unreachable(&candidates);
        let sockets: Vec<_> = unreachable.into_iter().flat_map(|index| with_waiting(&candidates[index])).collect();
        drop(candidates);
        for socket in &sockets {
            let files = socket.core.inbox.borrow_mut().clear();
            files.into_iter().for_each(|file| self.close_file(file));
        }
        !sockets.is_empty()
    }
}
