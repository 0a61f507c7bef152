//! System V shared memory: `shmget(2)`, `shmop(2)`, `shmctl(2)`.

use std::rc::Rc;

use abi::ipc::*;
use abi::memory::{PROT_EXEC, PROT_READ, PROT_WRITE};
use abi::process::RLIMIT_AS;
use abi::{Errno, Layout};
use memory::PAGE_SIZE;

use super::ipc::read_owner;
use crate::ipc::shm::{Attachment, PAGES_MAX, SEGMENT_BYTES_MAX, SEGMENTS_MAX, Segment};
use crate::ipc::{Asked, check_access, check_owner, new_perm, set_owner};
use crate::kernel::Kernel;
use crate::mm::{Backing, Placement, VmaFlags};
use crate::stop::Outcome;
use crate::task::Task;

/// Permission bits for reading and for writing, in all three places.
const READ: u32 = 0o444;
const WRITE: u32 = 0o222;
const EXECUTE: u32 = 0o111;

pub(super) fn shmget(k: &mut Kernel, t: &Rc<Task>, key: i32, size: u64, flags: u32) -> Outcome<u64> {
    let (asked, who) = (Asked { key, flags }, t.credentials());
    k.sweep_segments();
    let fits = |segment: &Segment| if size <= segment.size_bytes { Ok(()) } else { Err(Errno::EINVAL) };
    if let Some(id) = k.ipc.segments.find(asked, &who, fits)? {
        return Ok(id as u64);
    }
    if size == 0 || size > SEGMENT_BYTES_MAX {
        return Err(Errno::EINVAL.into());
    }
    if flags & SHM_HUGETLB != 0 {
        return Err(Errno::ENOMEM.into()); // There are no huge pages: see `mmap`.
    }
    Ok(k.make_segment(new_perm(asked, &who), size, t.process.pid)? as u64)
}

pub(super) fn shmat(k: &mut Kernel, t: &Rc<Task>, id: i32, addr: u64, flags: u32) -> Outcome<u64> {
    if id < 0 {
        return Err(Errno::EINVAL.into());
    }
    let placement = attach_placement(addr, flags)?;
    let (mut prot, mut wanted) = match flags & SHM_RDONLY {
        0 => (PROT_READ | PROT_WRITE, READ | WRITE),
        _ => (PROT_READ, READ),
    };
    if flags & SHM_EXEC != 0 {
        (prot, wanted) = (prot | PROT_EXEC, wanted | EXECUTE);
    }
    let now = k.realtime_seconds();
    let (pid, limit_bytes) = (t.process.pid, t.process.limits.borrow().soft(RLIMIT_AS));
    let segment = k.ipc.segments.get(id)?;
    check_access(&segment.perm, &t.credentials(), wanted)?;
    let len = segment.pages() * PAGE_SIZE;
    let mm = t.mm()?;
    if let Placement::FixedNoReplace(start) = placement
        && !mm.parts(start..start.saturating_add(len)).is_empty()
    {
        return Err(Errno::EINVAL.into());
    }
    let vma_flags = VmaFlags { never_write: flags & SHM_RDONLY != 0, ..VmaFlags::default() };
    let backing = Backing::Shared { object: segment.object.clone(), offset: 0 };
    let start = mm.map(placement, len, prot, vma_flags, backing, limit_bytes)?;
    segment.note(pid, now, Attachment::Begins);
    Ok(start)
}

fn attach_placement(addr: u64, flags: u32) -> Outcome<Placement> {
    let start = addr & !(PAGE_SIZE - 1);
    match addr {
        0 if flags & SHM_REMAP != 0 => Err(Errno::EINVAL.into()),
        0 => Ok(Placement::Hint(0)),
        _ if start != addr && flags & SHM_RND == 0 => Err(Errno::EINVAL.into()),
        _ if start == 0 && flags & SHM_REMAP != 0 => Err(Errno::EINVAL.into()),
        _ if flags & SHM_REMAP != 0 => Ok(Placement::Fixed(start)),
        _ => Ok(Placement::FixedNoReplace(start)),
    }
}

pub(super) fn shmdt(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let mm = t.mm()?;
    let now = k.realtime_seconds();
    // The first mapping that starts as far from `addr` as it starts into its segment.
    let found = mm.mappings().iter().find_map(|vma| match &vma.backing {
        Backing::Shared { object, offset } if vma.start.checked_sub(*offset) == Some(addr) => Some(object.clone()),
        _ => None,
    });
    let object = found.filter(|_| addr.is_multiple_of(PAGE_SIZE)).ok_or(Errno::EINVAL)?;
    let is_it = |segment: &Segment| Rc::ptr_eq(&segment.object, &object);
    let found = k.ipc.segments.iter_mut().find(|(_, segment)| is_it(segment));
    let (_, segment) = found.ok_or(Errno::EINVAL)?;
    segment.note(t.process.pid, now, Attachment::Ends);
    let end = addr + segment.pages() * PAGE_SIZE;
    let parts = mm.parts(addr..end);
    for part in parts {
        let is_part = matches!(&part.backing, Backing::Shared { object: other, offset }
            if Rc::ptr_eq(other, &object) && part.start.checked_sub(*offset) == Some(addr));
        if is_part {
            mm.unmap(part.start, part.end - part.start)?;
        }
    }
    k.sweep_segments();
    Ok(0)
}

pub(super) fn shmctl(k: &mut Kernel, t: &Rc<Task>, id: i32, command: u32, buf: u64) -> Outcome<u64> {
    k.sweep_segments();
    let (who, layout) = (t.credentials(), t.layout());
    match command {
        IPC_INFO => {
            t.mm()?.write_user(buf, &encode_limits(layout))?;
            Ok(k.ipc.segments.index_max())
        }
        SHM_INFO => {
            let (count, pages) = (k.ipc.segments.count(), k.ipc.segments.iter().map(|(_, s)| s.pages()).sum());
            let resident: u64 = k.ipc.segments.iter().map(|(_, s)| s.object.page_count()).sum();
            let head = layout.writer().u32(count as u32).align().word(pages).word(resident);
            t.mm()?.write_user(buf, &head.word(0).word(0).word(0).finish())?;
            Ok(k.ipc.segments.index_max())
        }
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => {
            let (number, segment) = match command {
                IPC_STAT => (0, k.ipc.segments.get(id)?),
                _ => k.ipc.segments.at(id)?,
            };
            if command != SHM_STAT_ANY {
                check_access(&segment.perm, &who, READ)?;
            }
            t.mm()?.write_user(buf, &encode(segment, layout))?;
            Ok(number as u64)
        }
        IPC_SET => {
            let (uid, gid, mode) = read_owner(t, buf)?;
            let now = k.realtime_seconds();
            let segment = k.ipc.segments.get(id)?;
            check_owner(&segment.perm, &who)?;
            set_owner(&mut segment.perm, uid, gid, mode);
            segment.created.time = now;
            Ok(0)
        }
        IPC_RMID => {
            let segment = k.ipc.segments.get(id)?;
            check_owner(&segment.perm, &who)?;
            // Those who have it attached keep it, and its number until then; its key is free.
            segment.perm.mode |= SHM_DEST;
            segment.perm.key = IPC_PRIVATE;
            k.sweep_segments();
            Ok(0)
        }
        SHM_LOCK | SHM_UNLOCK => {
            let segment = k.ipc.segments.get(id)?;
            check_owner(&segment.perm, &who)?;
            let locked = if command == SHM_LOCK { SHM_LOCKED } else { 0 };
            segment.perm.mode = segment.perm.mode & !SHM_LOCKED | locked;
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `struct shmid64_ds`.
fn encode(s: &Segment, layout: Layout) -> Vec<u8> {
    let head = s.perm.write(layout.writer()).word(s.size_bytes);
    let times = head.u64(s.attached_at).u64(s.detached_at).u64(s.created.time);
    times.i32(s.created.pid).i32(s.last_pid).word(s.object.mapping_count() as u64).word(0).word(0).finish()
}

/// `struct shminfo64`: 32-bit programs are told no more than they can address.
fn encode_limits(layout: Layout) -> Vec<u8> {
    let shmmax = if layout.is_32() { i32::MAX as u64 } else { SEGMENT_BYTES_MAX };
    let count = SEGMENTS_MAX as u64;
    let known = [shmmax, 1, count, count, PAGES_MAX];
    known.into_iter().chain([0; 4]).fold(layout.writer(), abi::Writer::word).finish()
}
