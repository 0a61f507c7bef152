//! High addresses: room that programs reserve, and the little of it that they use.
//!
//! Whoever runs WebAssembly reserves 10 GiB for a memory of a few pages, so that no index leads out of it; others reserve
//! room for a heap that could be as large as the machine, or keep a byte of their own for eight of the program's
//! (AddressSanitizer). From [`GUEST_TOP`] on all of that is free. What is touched of it gets *blocks* below, 64 KiB each, that
//! hold its bytes ([`memory::high`]): the mappings there say so, can't be accessed by themselves, and are not listed.
//!
//! In blocks of what shows a file or is shared there are mappings of the same: whoever looks for places of a file's pages
//! finds them there.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use abi::Errno;
use abi::memory::PROT_NONE;
use memory::{BLOCK_BYTES, GUEST_TOP, GuestAddr, HIGH_END, PAGE_SIZE, PageIndex, PageState};

use super::vma::VMA_COUNT_MAX;
use super::{Backing, Mm, SharedObject, UPPER_AREA, Vma, VmaFlags, VmaSet, pages};

impl Vma {
    /// Whether there are mappings in blocks that say what it shows: it is high, and not just memory.
    fn is_shown_in_blocks(&self) -> bool {
        self.start >= GUEST_TOP && !matches!(self.backing, Backing::Anonymous)
    }
}

impl Mm {
    /// The mappings among which one at an address is.
    pub fn maps_at(&self, addr: u64) -> &RefCell<VmaSet> {
        if addr < GUEST_TOP { &self.maps } else { &self.high }
    }

    /// The parts of mappings in a range, ascending.
    pub fn parts(&self, range: Range<u64>) -> Vec<Vma> {
        let mut parts = Vec::new();
        if range.start < range.end.min(GUEST_TOP) {
            parts = self.maps.borrow().in_range(range.start..range.end.min(GUEST_TOP));
            parts.retain(|part| !part.flags.is_block);
        }
        if range.start.max(GUEST_TOP) < range.end {
            parts.extend(self.high.borrow().in_range(range.start.max(GUEST_TOP)..range.end));
        }
        parts
    }

    /// All mappings, ascending.
    pub fn mappings(&self) -> Vec<Vma> {
        let mut all = self.parts(0..HIGH_END);
        // One that goes past the top is two to us only.
        if let Some(at) = all.iter().position(|vma| vma.start == GUEST_TOP)
            && at > 0
            && all[at - 1].continues_into(&all[at])
        {
            all[at - 1].end = all.remove(at).end;
        }
        all
    }

    /// What of its mappings is shared with others.
    pub fn shared_objects(&self) -> Vec<Rc<SharedObject>> {
        let mut objects: Vec<Rc<SharedObject>> = Vec::new();
        for vma in self.maps.borrow().iter().chain(self.high.borrow().iter()) {
            if let Backing::Shared { object, .. } = &vma.backing
                && !objects.iter().any(|known| Rc::ptr_eq(known, object))
            {
                objects.push(object.clone());
            }
        }
        objects
    }

    /// Bytes mapped.
    pub fn mapped_bytes(&self) -> u64 {
        let maps = self.maps.borrow();
        let low: u64 = maps.iter().filter(|vma| !vma.flags.is_block).map(Vma::len).sum();
        low + self.high.borrow().bytes()
    }

    pub(super) fn mapping_count(&self) -> usize {
        self.maps.borrow().count() + self.high.borrow().count()
    }

    /// Whether every page of a range is mapped.
    pub fn covers(&self, range: Range<u64>) -> bool {
        let mapped: u64 = self.parts(range.clone()).iter().map(Vma::len).sum();
        mapped == range.end.saturating_sub(range.start)
    }

    /// Whether an address is mapped.
    pub fn is_mapped(&self, addr: u64) -> bool {
        self.maps_at(addr).borrow().find(addr).is_some_and(|vma| !vma.flags.is_block)
    }

    /// The pieces of a range that have places, and where these begin. It may not go past [`GUEST_TOP`].
    pub(super) fn placed(&self, range: Range<u64>) -> Vec<(Range<u64>, u64)> {
        match range.start < GUEST_TOP {
            true => vec![(range.clone(), range.start)],
            false => self.space.borrow().blocks().in_range(range).collect(),
        }
    }

    /// Where the pages of a part of a mapping are, as far as there is a place for them.
    pub(super) fn pages_of(&self, part: &Vma) -> impl Iterator<Item = PageIndex> + use<> {
        let pieces = self.placed(part.start..part.end).into_iter();
        pieces.flat_map(|(range, low)| pages(low..low + (range.end - range.start)))
    }

    /// Which pages of a range are in memory, a byte for each (`mincore`).
    pub fn residence(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; ((range.end - range.start) / PAGE_SIZE) as usize];
        let in_memory = PageState::PRESENT | PageState::INHERITED;
        for part in self.parts(range.clone()) {
            for (piece, low) in self.placed(part.start..part.end) {
                let first = ((piece.start - range.start) / PAGE_SIZE) as usize;
                for (byte, page) in bytes[first..].iter_mut().zip(pages(low..low + (piece.end - piece.start))) {
                    *byte = u8::from(self.space.borrow().state(page).0 & in_memory.0 != 0);
                }
            }
        }
        bytes
    }

    /// How many pages of a mapping are in memory.
    pub fn resident_pages(&self, vma: &Vma) -> u64 {
        let space = self.space.borrow();
        self.pages_of(vma).filter(|page| space.state(*page).has(PageState::PRESENT)).count() as u64
    }

    /// The highest addresses that are free.
    pub(super) fn find_high(&self, len: u64) -> Option<Range<u64>> {
        let area = GUEST_TOP.next_multiple_of(1 << 32)..HIGH_END / BLOCK_BYTES * BLOCK_BYTES;
        // Beginning where blocks do, the fewest are half used.
        let start = self.high.borrow().find_free(len.checked_next_multiple_of(BLOCK_BYTES)?, area, false)?;
        Some(start..start + len)
    }

    /// Maps a range that ends at a high address, replacing what is there unless `keeps`.
    ///
    /// # Errors
    /// `EEXIST` if there was something to be kept, `ENOMEM` if it can't be there.
    pub(super) fn map_high(
        self: &Rc<Self>,
        range: Range<u64>,
        keeps: bool,
        prot: u32,
        flags: VmaFlags,
        backing: &Backing,
        limit_bytes: u64,
    ) -> Result<u64, Errno> {
        let low = range.start.min(GUEST_TOP)..GUEST_TOP;
        let has_blocks = self.maps.borrow().in_range(low.clone()).iter().any(|part| part.flags.is_block);
        let can_be_split = low.is_empty() || matches!(backing, Backing::Anonymous);
        let fits = range.end <= HIGH_END && can_be_split && !has_blocks;
        let over = self.mapped_bytes().saturating_add(range.end - range.start) > limit_bytes;
        if !fits || over || self.mapping_count() >= VMA_COUNT_MAX {
            return Err(Errno::ENOMEM);
        }
        if keeps && !self.parts(range.clone()).is_empty() {
            return Err(Errno::EEXIST);
        }
        self.unmap_range(range.clone());
        for part in [low, range.start.max(GUEST_TOP)..range.end] {
            if !part.is_empty() {
                let vma = Vma { start: part.start, end: part.end, prot, flags, backing: backing.clone() };
                if let Backing::Shared { object, .. } = backing {
                    object.add_mapper(self);
                }
                self.maps_at(part.start).borrow_mut().insert(vma.clone());
                self.show_in_blocks(&vma);
            }
        }
        Ok(range.start)
    }

    /// Has the blocks of a part of a mapping show what it shows, if that is a file's bytes or shared.
    fn show_in_blocks(&self, vma: &Vma) {
        if !vma.is_shown_in_blocks() {
            return;
        }
        let flags = VmaFlags { is_block: true, never_write: vma.flags.never_write, ..VmaFlags::default() };
        let mut maps = self.maps.borrow_mut();
        for (range, low) in self.placed(vma.start..vma.end) {
            let end = low + (range.end - range.start);
            maps.remove(low..end);
            let backing = vma.backing.advanced(range.start - vma.start);
            maps.insert(Vma { start: low, end, prot: vma.prot, flags, backing });
        }
    }

    /// The mappings that say what a part of a mapping shows: itself, or those in its blocks.
    pub(super) fn places_of(&self, part: &Vma) -> Vec<Vma> {
        if !part.is_shown_in_blocks() {
            return vec![part.clone()];
        }
        let space = self.space.borrow();
        let maps = self.maps.borrow();
        let blocks = space.blocks().in_range(part.start..part.end);
        blocks.flat_map(|(range, low)| maps.in_range(low..low + (range.end - range.start))).collect()
    }

    /// The mapping that says what a page of one shows: itself, or that in its block.
    pub(super) fn holder_of(&self, vma: Vma, page: PageIndex) -> Vma {
        match vma.is_shown_in_blocks() {
            true => self.maps.borrow().find(page.start().0).cloned().unwrap_or(vma),
            false => vma,
        }
    }

    /// The page with the byte at an address; if that is high, in a block that is found a place now if it has none.
    /// `None` says that the space is full.
    pub(super) fn place_of(&self, addr: GuestAddr) -> Option<PageIndex> {
        let known = self.space.borrow().page_of(addr);
        let page = known.or_else(|| self.place_block(addr));
        if page.is_none() {
            self.is_full.set(true);
        }
        page
    }

    fn place_block(&self, addr: GuestAddr) -> Option<PageIndex> {
        let (low, upper) = (self.low_area(), UPPER_AREA);
        // A place for two holds one that begins where a block may.
        let room = 2 * BLOCK_BYTES - PAGE_SIZE;
        let mut maps = self.maps.borrow_mut();
        let found = maps.find_free(room, low, false).or_else(|| maps.find_free(room, upper, true))?;
        let start = found.next_multiple_of(BLOCK_BYTES);
        maps.insert(empty_block(start..start + BLOCK_BYTES));
        drop(maps);
        let block = addr.0 / BLOCK_BYTES * BLOCK_BYTES;
        self.space.borrow_mut().place_block(GuestAddr(block), GuestAddr(start));
        for part in self.high.borrow().in_range(block..block + BLOCK_BYTES) {
            self.show_in_blocks(&part);
        }
        self.space.borrow().page_of(addr)
    }

    /// Changes what may be done with what blocks show of a mapping.
    pub(super) fn protect_blocks(&self, part: &Vma, prot: u32) {
        if part.is_shown_in_blocks() {
            for place in self.places_of(part) {
                self.maps.borrow_mut().change(place.start..place.end, |vma| vma.prot = prot);
            }
        }
    }

    /// Forgets what blocks show of a mapping that is about to go.
    pub(super) fn empty_blocks(&self, part: &Vma) {
        if !part.is_shown_in_blocks() {
            return;
        }
        for place in self.places_of(part) {
            let mut maps = self.maps.borrow_mut();
            maps.remove(place.start..place.end);
            maps.insert(empty_block(place.start..place.end));
        }
    }

    /// Gives back the places of blocks in a range of which nothing is mapped any more.
    pub(super) fn release_blocks(&self, range: Range<u64>) {
        let range = range.start.max(GUEST_TOP) / BLOCK_BYTES * BLOCK_BYTES..range.end.next_multiple_of(BLOCK_BYTES);
        if range.is_empty() {
            return;
        }
        let high = self.high.borrow();
        let mut space = self.space.borrow_mut();
        let placed: Vec<u64> = space.blocks().in_range(range).map(|(block, _)| block.start).collect();
        for block in placed.into_iter().filter(|block| high.is_free(*block..block + BLOCK_BYTES)) {
            if let Some(low) = space.take_block(GuestAddr(block)) {
                self.maps.borrow_mut().remove(low.0..low.0 + BLOCK_BYTES);
            }
        }
    }

    /// Copies high mappings to a child, whose blocks are where this space's are; their pages it inherits already.
    pub(super) fn inherit_high(&self, child: &Rc<Mm>) {
        child.space.borrow_mut().inherit_blocks(&self.space.borrow());
        child.high.borrow_mut().clone_from(&self.high.borrow());
        for vma in self.high.borrow().iter() {
            if let Backing::Shared { object, .. } = &vma.backing {
                object.add_mapper(child);
            }
        }
        let not_inherited = |vma: &&Vma| vma.flags.dont_fork || vma.flags.wipe_on_fork;
        let others: Vec<Vma> = self.high.borrow().iter().filter(not_inherited).cloned().collect();
        for vma in others {
            match vma.flags.dont_fork {
                true => child.unmap_range(vma.start..vma.end),
                false => child.unmap_pages(&vma),
            }
        }
    }
}

/// What a block is in lists of mappings, or a part of one, that shows memory.
fn empty_block(range: Range<u64>) -> Vma {
    let flags = VmaFlags { is_block: true, ..VmaFlags::default() };
    Vma { start: range.start, end: range.end, prot: PROT_NONE, flags, backing: Backing::Anonymous }
}
