//! Addresses from 4 GiB on: room that programs reserve, and the little of it that they use.
//!
//! Whoever runs WebAssembly reserves 10 GiB for a memory of a few pages, so that no index leads out of it; others reserve
//! room for a heap that could be as large as the machine. What is reserved (`PROT_NONE`) costs nothing, and can lie here.
//! What is then made accessible of it gets the place below 4 GiB with the same lower 32 bits, if nothing else is there: so
//! engines find its bytes with what they do for all others ([`memory`]). Such a mapping is in the set with those 32 bits,
//! and the upper half in its [`VmaFlags`]; it can't be executed, show a file, or be moved.

use std::ops::Range;
use std::rc::Rc;

use abi::Errno;
use abi::memory::PROT_NONE;
use memory::{GUEST_TOP, HIGH_END, HIGH_START, PAGE_SIZE};

use super::vma::{VMA_COUNT_MAX, page_align_up};
use super::{Backing, MAP_TOP, Mm, UPPER_AREA, Vma, VmaFlags};

/// V8 uses what comes after this: indices may be negative.
const GUARD_BYTES: u64 = 2 << 30;

/// Steps in which a place for a reservation is looked for.
const STEP_BYTES: u64 = 64 << 20;

/// Left to the heap that `brk` moves, which grows upward as memories do.
const HEAP_ROOM_BYTES: u64 = 512 << 20;

impl Vma {
    /// Where the program sees it.
    pub fn shown(&self) -> Range<u64> {
        let upper = u64::from(self.flags.upper) * HIGH_START;
        self.start + upper..self.end + upper
    }

    /// Numbers of its pages.
    pub(super) fn page_numbers(&self) -> Range<u32> {
        (self.start / PAGE_SIZE) as u32..(self.end / PAGE_SIZE) as u32
    }
}

/// The parts of a range with their upper halves, as ranges of the lower 32 bits.
fn by_upper(range: Range<u64>) -> impl Iterator<Item = (u8, Range<u64>)> {
    let uppers = range.start / HIGH_START..range.end.div_ceil(HIGH_START);
    uppers.map(move |upper| {
        let base = upper * HIGH_START;
        (upper as u8, range.start.max(base) - base..range.end.min(base + HIGH_START) - base)
    })
}

impl Mm {
    /// The parts of mappings that a program sees in a range, ascending; without what is only reserved.
    pub(super) fn parts(&self, range: Range<u64>) -> Vec<Vma> {
        let maps = self.maps.borrow();
        let of_one = |(upper, range): (u8, Range<u64>)| {
            let parts = maps.in_range(range).into_iter();
            parts.filter(move |part| part.flags.upper == upper)
        };
        let range = range.start..range.end.min(HIGH_END);
        if range.is_empty() { Vec::new() } else { by_upper(range).flat_map(of_one).collect() }
    }

    /// All that a program sees mapped, and where, ascending.
    pub fn mappings(&self) -> Vec<(Range<u64>, Vma)> {
        let reserved = self.reserved.borrow();
        let maps = self.maps.borrow();
        let both = maps.iter().map(|vma| (vma.shown(), vma.clone()));
        let mut all: Vec<_> = both.chain(reserved.iter().map(|vma| (vma.start..vma.end, vma.clone()))).collect();
        all.sort_by_key(|(range, _)| range.start);
        all
    }

    /// Bytes mapped.
    pub fn mapped_bytes(&self) -> u64 {
        self.maps.borrow().bytes() + self.reserved.borrow().bytes()
    }

    /// Whether every page of a range is mapped.
    pub fn covers(&self, range: Range<u64>) -> bool {
        let mapped: u64 = self.parts(range.clone()).iter().map(Vma::len).sum();
        let reserved: u64 = self.reserved.borrow().in_range(range.clone()).iter().map(Vma::len).sum();
        mapped + reserved == range.end.saturating_sub(range.start)
    }

    /// Reserves `len` bytes that must not be accessed; returns where. `limit_bytes` is `RLIMIT_AS`.
    ///
    /// # Errors
    /// `ENOMEM` if there is no such room, or may not be.
    pub fn reserve(&self, len: u64, limit_bytes: u64) -> Result<u64, Errno> {
        let len = page_align_up(len).filter(|len| *len <= HIGH_END).ok_or(Errno::ENOMEM)?;
        if self.mapped_bytes().saturating_add(len) > limit_bytes || self.mapping_count() >= VMA_COUNT_MAX {
            return Err(Errno::ENOMEM);
        }
        let mut taken = self.reserved.borrow().clone();
        self.maps.borrow().iter().filter(|vma| vma.flags.upper != 0).for_each(|vma| taken.insert(nothing(vma.shown())));
        let low = self.roomiest();
        let starts = (1..HIGH_END / HIGH_START).map(|upper| upper * HIGH_START + low);
        let mut fitting = starts.filter(|start| start + len <= HIGH_END && taken.is_free(*start..start + len));
        let start = fitting.next().ok_or(Errno::ENOMEM)?;
        self.reserved.borrow_mut().insert(nothing(start..start + len));
        Ok(start)
    }

    fn mapping_count(&self) -> usize {
        self.maps.borrow().count() + self.reserved.borrow().count()
    }

    /// The lower 32 bits with which a reservation begins best: where what is used of it, at its beginning or 2 GiB on, can
    /// grow furthest before it meets what is there already, and is furthest from where others grow.
    fn roomiest(&self) -> u64 {
        let reserved = self.reserved.borrow();
        let grow = |vma: &Vma| [vma.start % HIGH_START, (vma.start + GUARD_BYTES) % HIGH_START];
        let others: Vec<u64> = reserved.iter().flat_map(grow).collect();
        let room = |low: u64| {
            let apart = others.iter().map(|other| other.abs_diff(low)).min().unwrap_or(u64::MAX);
            self.room_at(low).min(apart)
        };
        let places = (0..HIGH_START).step_by(STEP_BYTES as usize);
        places.max_by_key(|low| room(*low).min(room((low + GUARD_BYTES) % HIGH_START))).unwrap_or(0)
    }

    /// Free bytes below 4 GiB from an address on.
    fn room_at(&self, low: u64) -> u64 {
        let maps = self.maps.borrow();
        let lower_area = self.heap_end.get() + HEAP_ROOM_BYTES..MAP_TOP;
        let areas = [lower_area, UPPER_AREA];
        let Some(area) = areas.into_iter().find(|area| area.contains(&low)) else { return 0 };
        match maps.find(low) {
            Some(_) => 0,
            None => maps.next_from(low).map_or(area.end, |next| next.start.min(area.end)) - low,
        }
    }

    /// Maps a range of high addresses, replacing what is there unless `keeps`.
    ///
    /// # Errors
    /// `EEXIST` if there was something to be kept, `ENOMEM` if it can't be there.
    pub(super) fn map_high(
        self: &Rc<Self>,
        range: Range<u64>,
        keeps: bool,
        prot: u32,
        backing: &Backing,
        limit_bytes: u64,
    ) -> Result<u64, Errno> {
        let fits = range.end <= HIGH_END && matches!(backing, Backing::Anonymous);
        if !fits || self.mapped_bytes().saturating_add(range.end - range.start) > limit_bytes {
            return Err(Errno::ENOMEM);
        }
        if keeps && !(self.parts(range.clone()).is_empty() && self.reserved.borrow().is_free(range.clone())) {
            return Err(Errno::EEXIST);
        }
        self.unmap_range(range.clone());
        if prot == PROT_NONE {
            self.reserved.borrow_mut().insert(nothing(range.clone()));
        } else {
            self.claim(range.clone(), prot)?;
        }
        Ok(range.start)
    }

    /// `mprotect(2)` of what is reserved from the start of a range on; returns where that ends.
    pub(super) fn protect_reserved(&self, range: Range<u64>, prot: u32) -> Result<u64, Errno> {
        let mut at = range.start;
        let parts = self.reserved.borrow().in_range(range);
        for part in parts {
            if part.start != at {
                break;
            }
            if prot != PROT_NONE {
                self.claim(part.start..part.end, prot)?;
                self.reserved.borrow_mut().remove(part.start..part.end);
            }
            at = part.end;
        }
        Ok(at)
    }

    /// Gives high addresses their place below 4 GiB.
    fn claim(&self, range: Range<u64>, prot: u32) -> Result<(), Errno> {
        for (upper, low) in by_upper(range) {
            let mut maps = self.maps.borrow_mut();
            if low.end > GUEST_TOP || !maps.is_free(low.clone()) || maps.count() >= VMA_COUNT_MAX {
                return Err(Errno::ENOMEM);
            }
            let flags = VmaFlags { upper, ..VmaFlags::default() };
            let vma = Vma { start: low.start, end: low.end, prot, flags, backing: Backing::Anonymous };
            self.space.borrow_mut().set_upper(vma.page_numbers(), upper);
            maps.insert(vma);
        }
        Ok(())
    }
}

/// What a reservation is in lists of mappings.
fn nothing(range: Range<u64>) -> Vma {
    let flags = VmaFlags::default();
    Vma { start: range.start, end: range.end, prot: PROT_NONE, flags, backing: Backing::Anonymous }
}

/// Copies what is reserved to a child's memory, and where the mappings it inherits are seen.
pub(super) fn inherit(parent: &Mm, child: &Mm) {
    *child.reserved.borrow_mut() = parent.reserved.borrow().clone();
    let maps = child.maps.borrow();
    let mut space = child.space.borrow_mut();
    for vma in maps.iter().filter(|vma| vma.flags.upper != 0) {
        space.set_upper(vma.page_numbers(), vma.flags.upper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_split_at_4_gib() {
        let split = |range| by_upper(range).collect::<Vec<_>>();
        assert_eq!(split(0x1000..0x3000), [(0, 0x1000..0x3000)]);
        assert_eq!(split(0x1_ffff_f000..0x2_0000_1000), [(1, 0xffff_f000..HIGH_START), (2, 0..0x1000)]);
        assert_eq!(split(0x1_0000_0000..0x2_0000_0000), [(1, 0..HIGH_START)]);
    }
}
