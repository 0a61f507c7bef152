//! Shared memory (`shmget(2)`, `shmop(2)`): segments, and who has them attached.

use std::rc::Rc;

use abi::Errno;
use abi::ipc::{IpcPerm, SHM_DEST};
use memory::PAGE_SIZE;

use super::{Object, Use};
use crate::kernel::{Kernel, SECOND_NS};
use crate::mm::{Backing, Mm, SharedObject};
use crate::task::Pid;

/// Most segments (`kernel.shmmni`).
pub const SEGMENTS_MAX: usize = 4096;
/// Largest segment as programs are told (`kernel.shmmax`): pages exist only once they are used.
pub const SEGMENT_BYTES_MAX: u64 = u64::MAX - (1 << 24);
/// Pages of all segments as programs are told (`kernel.shmall`).
pub const PAGES_MAX: u64 = u64::MAX - (1 << 24);
/// Bytes that all segments together really may have: what no address space shows is kept in our own memory.
pub const BYTES_MAX: u64 = 1 << 30;

/// A segment.
pub struct Segment {
    /// Whose it is.
    pub perm: IpcPerm,
    /// Size asked for.
    pub size_bytes: u64,
    /// Its memory.
    pub object: Rc<SharedObject>,
    /// Who made it; when it was last changed.
    pub created: Use,
    /// Who attached or detached it last.
    pub last_pid: Pid,
    /// When it was last attached.
    pub attached_at: u64,
    /// When it was last detached.
    pub detached_at: u64,
}

impl Object for Segment {
    fn perm(&self) -> &IpcPerm {
        &self.perm
    }

    fn perm_mut(&mut self) -> &mut IpcPerm {
        &mut self.perm
    }

    const COUNT_MAX: usize = SEGMENTS_MAX;
}

impl Segment {
    /// Pages it takes.
    pub fn pages(&self) -> u64 {
        self.size_bytes.div_ceil(PAGE_SIZE)
    }
}

/// What happens to an address space that may show segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// It has come to show them.
    Begins,
    /// It is about to cease to.
    Ends,
}

impl Kernel {
    /// Seconds since 1970.
    pub(crate) fn realtime_seconds(&self) -> u64 {
        self.realtime_ns() / SECOND_NS
    }

    /// Adds a segment.
    ///
    /// # Errors
    /// `ENOSPC` if that would be too many or too much.
    pub fn make_segment(&mut self, perm: IpcPerm, size_bytes: u64, creator: Pid) -> Result<i32, Errno> {
        let used: u64 = self.ipc.segments.iter().map(|(_, segment)| segment.pages() * PAGE_SIZE).sum();
        if size_bytes.saturating_add(used) > BYTES_MAX {
            return Err(Errno::ENOSPC);
        }
        let created = Use { pid: creator, time: self.realtime_seconds() };
        let object = SharedObject::new(None);
        self.ipc.segments.add(Segment {
            perm,
            size_bytes,
            object,
            created,
            last_pid: 0,
            attached_at: 0,
            detached_at: 0,
        })
    }

    /// Notes that `pid` has attached, or is about to detach, all segments that `mm` shows.
    pub(crate) fn note_attachments(&mut self, mm: &Rc<Mm>, pid: Pid, what: Attachment) {
        if self.ipc.segments.count() == 0 {
            return;
        }
        let now = self.realtime_seconds();
        for (_, segment) in self.ipc.segments.iter_mut() {
            if mm.shows(&segment.object) {
                segment.note(pid, now, what);
            }
        }
    }

    /// Removes segments that are to go with the last who uses them, if nobody does.
    pub(crate) fn sweep_segments(&mut self) {
        let gone = |segment: &Segment| segment.perm.mode & SHM_DEST != 0 && segment.object.mapping_count() == 0;
        let ids: Vec<i32> = self.ipc.segments.iter().filter(|(_, segment)| gone(segment)).map(|(id, _)| id).collect();
        for id in ids {
            self.ipc.segments.remove(id);
        }
    }
}

impl Segment {
    /// Notes that `pid` attaches or detaches it.
    pub fn note(&mut self, pid: Pid, now: u64, what: Attachment) {
        self.last_pid = pid;
        match what {
            Attachment::Begins => self.attached_at = now,
            Attachment::Ends => self.detached_at = now,
        }
    }
}

impl Mm {
    /// Whether any mapping shows that object.
    pub fn shows(&self, wanted: &Rc<SharedObject>) -> bool {
        let maps = self.maps.borrow();
        maps.iter().any(|vma| matches!(&vma.backing, Backing::Shared { object, .. } if Rc::ptr_eq(object, wanted)))
    }
}
