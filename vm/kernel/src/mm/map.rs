//! Changing mappings: `mmap`, `munmap`, `mprotect`, `mremap`, `brk`, `madvise`.

use std::ops::Range;
use std::rc::Rc;

use abi::Errno;
use abi::memory::{PROT_EXEC, PROT_READ, PROT_WRITE};
use memory::{GUEST_TOP, GuestAddr, HIGH_END, PAGE_SIZE, PageState};

use super::vma::{VMA_COUNT_MAX, page_align_up};
use super::{Backing, MAP_MIN, Mm, UPPER_AREA, Vma, VmaFlags, pages};

/// Where a mapping is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Anywhere; there if it is free and not 0.
    Hint(u64),
    /// As above, but below 2 GiB (`MAP_32BIT`).
    LowHint(u64),
    /// There, replacing what is mapped.
    Fixed(u64),
    /// There, or not at all.
    FixedNoReplace(u64),
}

/// Whether `mremap` may move a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moving {
    /// It must stay.
    Never,
    /// Anywhere, if there is no room where it is.
    IfNeeded,
    /// Anywhere else; there if it is free and not 0.
    Away(u64),
    /// There.
    To(u64),
}

type Result<T> = std::result::Result<T, Errno>;

/// Room below [`GUEST_TOP`] that only blocks get, for the mappings above: what thousands of threads use of their stacks.
const BLOCKS_ROOM_BYTES: u64 = 512 << 20;

impl Mm {
    /// A page-aligned, non-empty range where something can be mapped.
    ///
    /// # Errors
    /// `EINVAL` for an unaligned start or no bytes, `ENOMEM` for what lies too high.
    fn page_range(&self, addr: u64, len: u64) -> Result<Range<u64>> {
        let len = page_align_up(len).ok_or(Errno::ENOMEM)?;
        if !addr.is_multiple_of(PAGE_SIZE) || len == 0 {
            return Err(Errno::EINVAL);
        }
        let end = addr.checked_add(len).filter(|end| *end <= self.addresses_end.get()).ok_or(Errno::ENOMEM)?;
        Ok(addr..end)
    }

    /// Maps `len` bytes; returns where. `limit_bytes` is `RLIMIT_AS`.
    pub fn map(
        self: &Rc<Self>,
        placement: Placement,
        len: u64,
        prot: u32,
        flags: VmaFlags,
        backing: Backing,
        limit_bytes: u64,
    ) -> Result<u64> {
        let len = page_align_up(len).filter(|len| *len <= HIGH_END).ok_or(Errno::ENOMEM)?;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if let Placement::Fixed(addr) | Placement::FixedNoReplace(addr) = placement
            && addr.saturating_add(len) > GUEST_TOP
        {
            let keeps = matches!(placement, Placement::FixedNoReplace(_));
            return self.map_high(self.page_range(addr, len)?, keeps, prot, flags, &backing, limit_bytes);
        }
        let start = match self.place(placement, len) {
            found if self.may_go_high(placement) && self.leaves_no_room_below(found, len) => {
                let range = self.find_high(len).ok_or(Errno::ENOMEM)?;
                return self.map_high(range, true, prot, flags, &backing, limit_bytes);
            }
            start => start?,
        };
        let replaced: u64 = match placement {
            Placement::Fixed(_) => self.maps.borrow().in_range(start..start + len).iter().map(Vma::len).sum(),
            _ => 0,
        };
        let over = self.mapped_bytes().saturating_add(len - replaced) > limit_bytes;
        if over || self.mapping_count() >= VMA_COUNT_MAX {
            return Err(Errno::ENOMEM);
        }
        if matches!(placement, Placement::Fixed(_)) {
            self.unmap_range(start..start + len);
        }
        if let Backing::Shared { object, .. } = &backing {
            object.add_mapper(self);
        }
        self.maps.borrow_mut().insert(Vma { start, end: start + len, prot, flags, backing });
        Ok(start)
    }

    fn place(&self, placement: Placement, len: u64) -> Result<u64> {
        let maps = self.maps.borrow();
        match placement {
            Placement::Hint(hint) | Placement::LowHint(hint) => {
                let upper = match placement {
                    Placement::Hint(_) => UPPER_AREA,
                    _ => UPPER_AREA.start..UPPER_AREA.start,
                };
                let hint = hint & !(PAGE_SIZE - 1);
                let fits = hint >= MAP_MIN && hint.checked_add(len).is_some_and(|end| end <= upper.end);
                if fits && maps.is_free(hint..hint + len) {
                    return Ok(hint);
                }
                let found = maps.find_free(len, self.low_area(), false);
                found.or_else(|| maps.find_free(len, upper, true)).ok_or(Errno::ENOMEM)
            }
            Placement::Fixed(addr) | Placement::FixedNoReplace(addr) => {
                let range = self.page_range(addr, len)?;
                if addr < MAP_MIN {
                    return Err(Errno::EPERM);
                }
                if matches!(placement, Placement::FixedNoReplace(_)) && !maps.is_free(range.clone()) {
                    return Err(Errno::EEXIST);
                }
                // What others hold here can't go elsewhere.
                if maps.in_range(range).iter().any(|part| part.flags.is_block) {
                    return Err(Errno::ENOMEM);
                }
                Ok(addr)
            }
        }
    }

    /// Whether a mapping does not fit below [`GUEST_TOP`], or would take what room there must be for blocks: what is mapped
    /// above may be touched anywhere.
    fn leaves_no_room_below(&self, place: Result<u64>, len: u64) -> bool {
        place.is_err() || GUEST_TOP.saturating_sub(self.maps.borrow().bytes()) < BLOCKS_ROOM_BYTES + len
    }

    /// Whether a mapping that has no room below [`GUEST_TOP`] may be above.
    fn may_go_high(&self, placement: Placement) -> bool {
        matches!(placement, Placement::Hint(_)) && self.addresses_end.get() > GUEST_TOP
    }

    /// `munmap(2)`.
    pub fn unmap(&self, addr: u64, len: u64) -> Result<()> {
        let range = self.page_range(addr, len).map_err(|_| Errno::EINVAL)?;
        self.unmap_range(range);
        Ok(())
    }

    pub(super) fn unmap_range(&self, range: Range<u64>) {
        self.unmap_parts(&self.parts(range.clone()));
        self.release_blocks(range);
    }

    fn unmap_parts(&self, parts: &[Vma]) {
        self.drop_pages(parts);
        for part in parts {
            self.empty_blocks(part);
            self.maps_at(part.start).borrow_mut().remove(part.start..part.end);
        }
    }

    /// Drops the pages of parts of mappings, saving what others still need of them.
    fn drop_pages(&self, parts: &[Vma]) {
        for part in parts {
            if !part.is_shared() {
                self.unmap_pages(part);
                continue;
            }
            for place in self.places_of(part) {
                let Backing::Shared { object, offset } = &place.backing else { continue };
                object.leave(self, &place, *offset);
            }
        }
    }

    /// Drops all pages and mappings.
    pub(super) fn unmap_all(&self) {
        self.unmap_range(0..HIGH_END);
    }

    /// `mprotect(2)`.
    pub fn protect(&self, addr: u64, len: u64, prot: u32) -> Result<()> {
        if !addr.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let range = self.page_range(addr, len)?;
        let parts = self.parts(range.clone());
        let forbids = |part: &Vma| {
            (part.flags.never_write && prot & PROT_WRITE != 0) || (part.flags.never_execute && prot & PROT_EXEC != 0)
        };
        if parts.iter().any(forbids) {
            return Err(Errno::EACCES);
        }
        // Like Linux, what comes before a hole is changed.
        let mut at = range.start;
        for part in &parts {
            if at != part.start {
                return Err(Errno::ENOMEM);
            }
            let maps = self.maps_at(part.start);
            let splits = maps.borrow().find(part.start).is_some_and(|whole| whole.len() != part.len());
            if splits && self.mapping_count() >= VMA_COUNT_MAX {
                return Err(Errno::ENOMEM);
            }
            maps.borrow_mut().change(part.start..part.end, |vma| vma.prot = prot);
            self.protect_blocks(part, prot);
            self.close_pages(&Vma { prot, ..part.clone() });
            at = part.end;
        }
        if at == range.end { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Takes from present pages what their mapping no longer allows; what it allows anew comes with the next fault.
    fn close_pages(&self, vma: &Vma) {
        let pages = self.pages_of(vma);
        let mut space = self.space.borrow_mut();
        let open = vma.page_state() | PageState::COW | PageState::CODE;
        for page in pages {
            let state = space.state(page);
            let mut closed = PageState(state.0 & open.0);
            if state.has(PageState::WRITE_UNDER_CODE) && open.has(PageState::WRITE) {
                closed |= PageState::WRITE_UNDER_CODE;
            }
            if state.has(PageState::PRESENT) && closed != state {
                space.set_state(page, closed.without(PageState::CODE | PageState::WRITE_UNDER_CODE));
            }
        }
    }

    /// `brk(2)`: moves the end of the heap if it can, and returns where it is.
    pub fn set_heap_end(self: &Rc<Self>, wanted: u64, limit_bytes: u64) -> u64 {
        let (start, end) = (self.heap_start.get(), self.heap_end.get());
        let (Some(old_top), Some(new_top)) = (page_align_up(end), page_align_up(wanted)) else { return end };
        if wanted < start || new_top > self.heap_top() {
            return end;
        }
        if new_top < old_top {
            self.unmap_range(new_top..old_top);
        } else if new_top > old_top {
            let flags = VmaFlags { heap: true, ..VmaFlags::default() };
            let (prot, placement) = (PROT_READ | PROT_WRITE, Placement::FixedNoReplace(old_top));
            if self.map(placement, new_top - old_top, prot, flags, Backing::Anonymous, limit_bytes).is_err() {
                return end;
            }
        }
        self.heap_end.set(wanted);
        wanted
    }

    /// `mremap(2)`; with `keeps` the old mapping stays, empty (`MREMAP_DONTUNMAP`).
    pub fn remap(
        self: &Rc<Self>,
        addr: u64,
        old_len: u64,
        new_len: u64,
        moving: Moving,
        keeps: bool,
        limit_bytes: u64,
    ) -> Result<u64> {
        let new_len = page_align_up(new_len).filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
        let old = self.page_range(addr, old_len.max(1)).map_err(|_| Errno::EINVAL)?;
        // One that goes past the top is two to us.
        if (old.start..old.end - 1).contains(&(GUEST_TOP - 1)) {
            return Err(Errno::ENOMEM);
        }
        let found = self.maps_at(addr).borrow().find(addr).filter(|vma| !vma.flags.is_block).cloned();
        let vma = found.ok_or(Errno::EFAULT)?;
        if old.end > vma.end {
            return Err(Errno::EFAULT);
        }
        let old_len = if old_len == 0 { 0 } else { old.end - old.start };
        if matches!(moving, Moving::Never | Moving::IfNeeded) && old_len > 0 {
            if new_len <= old_len {
                self.unmap_range(addr + new_len..old.end);
                return Ok(addr);
            }
            let more = old.end..addr.saturating_add(new_len);
            let end = if addr < GUEST_TOP { UPPER_AREA.end } else { HIGH_END };
            if old.end == vma.end && more.end <= end && self.maps_at(addr).borrow().is_free(more.clone()) {
                let backing = vma.backing.advanced(more.start - vma.start);
                let (placement, len) = (Placement::FixedNoReplace(more.start), more.end - more.start);
                return self.map(placement, len, vma.prot, vma.flags, backing, limit_bytes).map(|_| addr);
            }
        }
        let placement = match moving {
            Moving::Never => return Err(Errno::ENOMEM),
            Moving::IfNeeded => Placement::Hint(0),
            Moving::Away(hint) => Placement::Hint(hint),
            Moving::To(to) if to < old.end && to.saturating_add(new_len) > old.start => return Err(Errno::EINVAL),
            Moving::To(to) => Placement::Fixed(to),
        };
        let new =
            self.map(placement, new_len, vma.prot, vma.flags, vma.backing.advanced(addr - vma.start), limit_bytes)?;
        if old_len > 0 {
            if let Err(error) = self.move_pages(&vma, old.start..old.start + old_len.min(new_len), new) {
                self.unmap_range(new..new + new_len);
                return Err(error);
            }
            if keeps { self.drop_pages(&self.parts(old)) } else { self.unmap_range(old) }
        }
        Ok(new)
    }

    /// Moves the pages of a private mapping; those of a shared one come back by themselves.
    ///
    /// # Errors
    /// `ENOMEM`, having moved none, if there is no place for those that would be at high addresses.
    fn move_pages(&self, vma: &Vma, from: Range<u64>, to: u64) -> Result<()> {
        if vma.is_shared() {
            return Ok(());
        }
        let mut moves = Vec::new();
        for (range, low) in self.placed(from.clone()) {
            for page in pages(low..low + (range.end - range.start)) {
                if self.space.borrow().state(page) != PageState::ABSENT {
                    let target = GuestAddr(to + (range.start - from.start) + (page.start().0 - low));
                    moves.push((page, self.place_of(target).ok_or(Errno::ENOMEM)?));
                }
            }
        }
        let mut bytes = [0; PAGE_SIZE as usize];
        for (page, target) in moves {
            if self.space.borrow().state(page).has(PageState::INHERITED) {
                self.take_inherited(page, vma);
            }
            let mut space = self.space.borrow_mut();
            space.read_page(page, &mut bytes);
            space.fill_page(target, &bytes);
            space.set_state(target, vma.page_state());
        }
        Ok(())
    }

    /// `MADV_DONTNEED`: drops pages; they come back as zeroes or as the file has them.
    pub fn discard(&self, addr: u64, len: u64) -> Result<()> {
        let range = self.page_range(addr, len)?;
        self.drop_pages(&self.parts(range.clone()));
        if self.covers(range) { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Changes flags of all mappings in a range (`madvise`).
    pub fn advise(&self, addr: u64, len: u64, change: impl Fn(&mut VmaFlags)) -> Result<()> {
        let range = self.page_range(addr, len)?;
        for part in self.parts(range.clone()) {
            self.maps_at(part.start).borrow_mut().change(part.start..part.end, |vma| change(&mut vma.flags));
        }
        if self.covers(range) { Ok(()) } else { Err(Errno::ENOMEM) }
    }
}
