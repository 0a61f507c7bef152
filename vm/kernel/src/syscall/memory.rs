//! Memory maps: `mmap` and its relatives.

use std::rc::Rc;

use abi::Errno;
use abi::file::{O_ACCMODE, O_RDONLY, O_RDWR};
use abi::memory::*;
use abi::process::{READ_IMPLIES_EXEC, RLIM_INFINITY, RLIMIT_AS, RLIMIT_DATA};
use memory::{HIGH_END, PAGE_SIZE};

use super::memfd;
use crate::files::device::Device;
use crate::files::regular::Regular;
use crate::kernel::Kernel;
use crate::mm::{Backing, Moving, Placement, SharedObject, Vma, VmaFlags};
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::FileKind;

/// How much `mincore` looks at, at a time: reservations may have terabytes.
const MINCORE_BYTES: usize = 16 << 20;

/// Flags that `MAP_SHARED_VALIDATE` lets pass: those that are older than it (`LEGACY_MAP_MASK` of Linux).
const VALID_FLAGS: u32 = MAP_TYPE
    | MAP_FIXED
    | MAP_ANONYMOUS
    | MAP_32BIT
    | MAP_GROWSDOWN
    | MAP_DENYWRITE
    | MAP_EXECUTABLE
    | MAP_LOCKED
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_NONBLOCK
    | MAP_STACK;

const PROT_MASK: u32 = PROT_READ | PROT_WRITE | PROT_EXEC;

/// The rights asked for, and what they bring with them for old programs.
fn prot_arg(t: &Rc<Task>, prot: u32) -> u32 {
    let implies = prot & PROT_READ != 0 && t.process.personality.get() & READ_IMPLIES_EXEC != 0;
    prot & PROT_MASK | if implies { PROT_EXEC } else { 0 }
}

pub(super) fn mmap(
    k: &mut Kernel,
    t: &Rc<Task>,
    addr: u64,
    len: u64,
    prot: u32,
    flags: u32,
    fd: i32,
    offset: u64,
) -> Outcome<u64> {
    if !offset.is_multiple_of(PAGE_SIZE) || offset.checked_add(len).is_none() {
        return Err(Errno::EINVAL.into());
    }
    check_huge(t, flags, fd)?;
    let shared = is_shared(flags)?;
    let (grows_down, no_reserve) = (flags & MAP_GROWSDOWN != 0, flags & MAP_NORESERVE != 0);
    let mut vma_flags = VmaFlags { grows_down, no_reserve, ..VmaFlags::default() };
    let backing = match flags & MAP_ANONYMOUS {
        0 => file_backing(k, t, fd, offset, prot, shared, &mut vma_flags)?,
        _ if shared => Backing::Shared { object: SharedObject::new(None), offset: 0 },
        _ => Backing::Anonymous,
    };
    if grows_down && !matches!(backing, Backing::Anonymous) {
        return Err(Errno::EINVAL.into());
    }
    let placement = match addr {
        addr if flags & MAP_FIXED_NOREPLACE == MAP_FIXED_NOREPLACE => Placement::FixedNoReplace(addr),
        addr if flags & MAP_FIXED != 0 => Placement::Fixed(addr),
        addr if flags & MAP_32BIT != 0 => Placement::LowHint(addr),
        addr => Placement::Hint(addr),
    };
    let is_memory = if shared { flags & MAP_ANONYMOUS != 0 } else { prot & PROT_WRITE != 0 };
    if is_memory && !no_reserve {
        check_charge(k, len)?;
    }
    if !shared && prot & PROT_WRITE != 0 && !vma_flags.grows_down {
        check_data(t, len)?;
    }
    let limit_bytes = t.process.limits.borrow().soft(RLIMIT_AS);
    Ok(t.mm()?.map(placement, len, prot_arg(t, prot), vma_flags, backing, limit_bytes)?)
}

/// There are no huge pages, as on a Linux whose administrator has set none aside: programs that ask for them are told so,
/// and do with small ones.
fn check_huge(t: &Rc<Task>, flags: u32, fd: i32) -> Outcome<()> {
    if flags & MAP_HUGETLB == 0 {
        return Ok(());
    }
    if flags & MAP_ANONYMOUS == 0 {
        t.usable_file(fd)?;
        return Err(Errno::EINVAL.into());
    }
    match flags & MAP_HUGE_MASK << MAP_HUGE_SHIFT {
        0 | MAP_HUGE_2MB | MAP_HUGE_1GB => Err(Errno::ENOMEM.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Whether others see what is written. Who has flags validated learns of those that don't hold for the file, as `MAP_SYNC`
/// never does here; nothing else is mapped that way.
fn is_shared(flags: u32) -> Outcome<bool> {
    match flags & MAP_TYPE {
        MAP_SHARED => Ok(true),
        MAP_PRIVATE => Ok(false),
        MAP_SHARED_VALIDATE if flags & MAP_ANONYMOUS != 0 => Err(Errno::EINVAL.into()),
        MAP_SHARED_VALIDATE if flags & !VALID_FLAGS != 0 => Err(Errno::EOPNOTSUPP.into()),
        MAP_SHARED_VALIDATE => Ok(true),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Linux's heuristics let programs map as often as they like what they say they may use, but never more than there is at
/// a time (`vm.overcommit_memory` is 0).
fn check_charge(k: &Kernel, len: u64) -> Outcome<()> {
    if len > k.memory_limit_bytes { Err(Errno::ENOMEM.into()) } else { Ok(()) }
}

/// Whether there may be so many more bytes of data (`RLIMIT_DATA`).
fn check_data(t: &Rc<Task>, more_bytes: u64) -> Outcome<()> {
    let limit = t.process.limits.borrow().soft(RLIMIT_DATA);
    if limit == RLIM_INFINITY || t.mm()?.maps.borrow().data_bytes().saturating_add(more_bytes) <= limit {
        return Ok(());
    }
    Err(Errno::ENOMEM.into())
}

fn file_backing(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    offset: u64,
    prot: u32,
    shared: bool,
    flags: &mut VmaFlags,
) -> Outcome<Backing> {
    let file = t.usable_file(fd)?;
    if !file.is_readable() {
        return Err(Errno::EACCES.into());
    }
    let writes = file.flags.get() & O_ACCMODE == O_RDWR && !file.appends();
    if shared && prot & PROT_WRITE != 0 && !writes {
        return Err(Errno::EACCES.into());
    }
    flags.never_execute = file.location.mount().flags().no_exec;
    if prot & PROT_EXEC != 0 && flags.never_execute {
        return Err(Errno::EPERM.into());
    }
    let unwritable = shared && file.location.is_sealed(memfd::UNWRITABLE);
    if unwritable && prot & PROT_WRITE != 0 {
        return Err(Errno::EPERM.into());
    }
    flags.never_write = shared && (!writes || unwritable);
    if file.object_as::<Device>() == Some(&Device::Zero) {
        let object = || SharedObject::new(None);
        return Ok(if shared { Backing::Shared { object: object(), offset: 0 } } else { Backing::Anonymous });
    }
    if file.object_as::<Regular>().is_none() || file.location.kind() != FileKind::Regular {
        return Err(Errno::ENODEV.into());
    }
    // A shared mapping that can never be written shows the same as a private one, as long as nobody else maps the
    // file shared; being exact about that costs little.
    if shared && (writes || file.flags.get() & O_ACCMODE == O_RDONLY) {
        return Ok(Backing::Shared { object: k.shared.of(&file.location), offset });
    }
    // Others must see what has been written through shared mappings.
    if let Some(object) = k.shared.get(&file.location) {
        object.flush()?;
    }
    Ok(Backing::File { file: file.location.clone(), offset })
}

pub(super) fn munmap(k: &mut Kernel, t: &Rc<Task>, addr: u64, len: u64) -> Outcome<u64> {
    t.mm()?.unmap(addr, len)?;
    k.sweep_segments();
    // What can't be written now is tried again when the disk has news.
    let _ = k.shared.write_back();
    Ok(0)
}

pub(super) fn mprotect(k: &mut Kernel, t: &Rc<Task>, addr: u64, len: u64, prot: u32) -> Outcome<u64> {
    if prot & !(PROT_MASK | PROT_GROWSDOWN | PROT_GROWSUP) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mm = t.mm()?;
    if prot & PROT_WRITE != 0 {
        let end = addr.saturating_add(len);
        let mut parts = mm.parts(addr..end);
        parts.retain(|vma| !vma.is_shared() && !vma.is_data());
        check_data(t, parts.iter().map(Vma::len).sum())?;
        check_charge(k, parts.iter().filter(|vma| !vma.flags.no_reserve).map(Vma::len).sum())?;
    }
    mm.protect(addr, len, prot_arg(t, prot))?;
    Ok(0)
}

/// The processor has no protection keys: there is only the one that is none.
pub(super) fn pkey_mprotect(k: &mut Kernel, t: &Rc<Task>, addr: u64, len: u64, prot: u32, key: i32) -> Outcome<u64> {
    if key == -1 { mprotect(k, t, addr, len, prot) } else { Err(Errno::EINVAL.into()) }
}

pub(super) fn pkey_alloc(_k: &mut Kernel, _t: &Rc<Task>, _flags: u64, _rights: u64) -> Outcome<u64> {
    Err(Errno::EINVAL.into())
}

pub(super) fn pkey_free(_k: &mut Kernel, _t: &Rc<Task>, _key: i32) -> Outcome<u64> {
    Err(Errno::EINVAL.into())
}

pub(super) fn mremap(
    k: &mut Kernel,
    t: &Rc<Task>,
    addr: u64,
    old_len: u64,
    new_len: u64,
    flags: u32,
    new_addr: u64,
) -> Outcome<u64> {
    let may_move = flags & MREMAP_MAYMOVE != 0;
    let fixed = flags & MREMAP_FIXED != 0;
    let keeps = flags & MREMAP_DONTUNMAP != 0;
    let known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    if flags & !known != 0 || ((fixed || keeps) && !may_move) || (keeps && old_len != new_len) {
        return Err(Errno::EINVAL.into());
    }
    let limit_bytes = t.process.limits.borrow().soft(RLIMIT_AS);
    let way = match (fixed, may_move) {
        (true, _) => Moving::To(new_addr),
        (false, true) if keeps && !new_addr.is_multiple_of(PAGE_SIZE) => return Err(Errno::EINVAL.into()),
        (false, true) if keeps => Moving::Away(new_addr),
        (false, true) => Moving::IfNeeded,
        (false, false) => Moving::Never,
    };
    let mm = t.mm()?;
    let is_charged = |vma: &Vma| vma.is_data() && !vma.flags.no_reserve;
    if new_len > old_len && mm.maps_at(addr).borrow().find(addr).is_some_and(is_charged) {
        check_charge(k, new_len - old_len)?;
    }
    Ok(mm.remap(addr, old_len, new_len, way, keeps, limit_bytes)?)
}

pub(super) fn brk(_k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let limits = t.process.limits.borrow();
    let (data, space) = (limits.soft(RLIMIT_DATA), limits.soft(RLIMIT_AS));
    drop(limits);
    let mm = t.mm()?;
    if addr.saturating_sub(mm.heap_start.get()) > data && addr > mm.heap_end.get() {
        return Ok(mm.heap_end.get());
    }
    Ok(mm.set_heap_end(addr, space))
}

pub(super) fn madvise(_k: &mut Kernel, t: &Rc<Task>, addr: u64, len: u64, advice: u32) -> Outcome<u64> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let mm = t.mm()?;
    match advice {
        MADV_DONTNEED | MADV_FREE => mm.discard(addr, len)?,
        MADV_DONTFORK | MADV_DOFORK => {
            mm.advise(addr, len, |flags| flags.dont_fork = advice == MADV_DONTFORK)?;
        }
        MADV_WIPEONFORK | MADV_KEEPONFORK => {
            mm.advise(addr, len, |flags| flags.wipe_on_fork = advice == MADV_WIPEONFORK)?;
        }
        MADV_NORMAL..=MADV_WILLNEED
        | MADV_HUGEPAGE
        | MADV_NOHUGEPAGE
        | MADV_DONTDUMP
        | MADV_DODUMP
        | MADV_COLD
        | MADV_PAGEOUT => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

pub(super) fn msync(k: &mut Kernel, t: &Rc<Task>, addr: u64, len: u64, flags: u32) -> Outcome<u64> {
    let both = MS_SYNC | MS_ASYNC;
    if !addr.is_multiple_of(PAGE_SIZE) || flags & !(both | MS_INVALIDATE) != 0 || flags & both == both {
        return Err(Errno::EINVAL.into());
    }
    let end = addr.saturating_add(len).min(HIGH_END).next_multiple_of(PAGE_SIZE);
    if end < addr || !t.mm()?.covers(addr..end) {
        return Err(Errno::ENOMEM.into());
    }
    k.shared.write_back().map(|()| 0)
}

pub(super) fn mincore(_k: &mut Kernel, t: &Rc<Task>, addr: u64, len: u64, vector: u64) -> Outcome<u64> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL.into());
    }
    let end = addr.checked_add(len).filter(|end| *end <= HIGH_END).ok_or(Errno::ENOMEM)?;
    let range = addr..end.next_multiple_of(PAGE_SIZE);
    let mm = t.mm()?;
    if !mm.covers(range.clone()) {
        return Err(Errno::ENOMEM.into());
    }
    for (index, start) in range.clone().step_by(MINCORE_BYTES).enumerate() {
        let bytes = mm.residence(start..range.end.min(start + MINCORE_BYTES as u64));
        mm.write_user(vector.wrapping_add((index * MINCORE_BYTES) as u64 / PAGE_SIZE), &bytes)?;
    }
    Ok(0)
}

/// `mlock` and its relatives: nothing is ever paged out.
pub(super) fn mlock(_k: &mut Kernel, t: &Rc<Task>, addr: u64, len: u64) -> Outcome<u64> {
    let start = addr & !(PAGE_SIZE - 1);
    let end = addr.checked_add(len).and_then(crate::mm::vma::page_align_up).ok_or(Errno::EINVAL)?;
    if t.mm()?.covers(start..end) { Ok(0) } else { Err(Errno::ENOMEM.into()) }
}

pub(super) fn mlockall(_k: &mut Kernel, _t: &Rc<Task>) -> Outcome<u64> {
    Ok(0)
}
