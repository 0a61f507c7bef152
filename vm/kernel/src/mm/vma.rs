//! `Vma`: a range of pages mapped alike; and the sorted set of all of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use abi::memory::{PROT_EXEC, PROT_READ, PROT_WRITE};
use memory::{Access, PAGE_SIZE, PageState};

use super::shared::SharedObject;
use crate::vfs::Location;

/// What a mapping shows.
#[derive(Clone)]
#[allow(missing_docs)] // The fields are named in the variants' lines.
pub enum Backing {
    /// Zeroes, private.
    Anonymous,
    /// A file's bytes from `offset` on, private.
    File { file: Location, offset: u64 },
    /// Memory or a file's bytes shared by all who map them.
    Shared { object: Rc<SharedObject>, offset: u64 },
}

impl Backing {
    /// The same, seen from `bytes` further on.
    pub(super) fn advanced(&self, bytes: u64) -> Backing {
        match self {
            Backing::Anonymous => Backing::Anonymous,
            Backing::File { file, offset } => Backing::File { file: file.clone(), offset: offset + bytes },
            Backing::Shared { object, offset } => Backing::Shared { object: object.clone(), offset: offset + bytes },
        }
    }

    /// Whether `next` goes on where this ends after `len` bytes.
    fn continues(&self, len: u64, next: &Backing) -> bool {
        match (self, next) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (Backing::File { file: a, offset: at }, Backing::File { file: b, offset: to }) => {
                a.is(b) && at + len == *to
            }
            (Backing::Shared { object: a, offset: at }, Backing::Shared { object: b, offset: to }) => {
                Rc::ptr_eq(a, b) && at + len == *to
            }
            _ => false,
        }
    }
}

/// What the kernel keeps a mapping for, beyond its bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct VmaFlags {
    /// Grows downward when touched below its start: the stack.
    pub grows_down: bool,
    /// `MADV_DONTFORK`.
    pub dont_fork: bool,
    /// `MADV_WIPEONFORK`.
    pub wipe_on_fork: bool,
    /// The file (or its mount) does not allow `PROT_WRITE`.
    pub never_write: bool,
    /// Its mount does not allow `PROT_EXEC`.
    pub never_execute: bool,
    /// `MAP_NORESERVE`: it may be larger than all memory.
    pub no_reserve: bool,
    /// The heap that `brk` moves.
    pub heap: bool,
    /// It holds a block of high addresses, and is nobody's otherwise ([`super::high`]).
    pub is_block: bool,
}

/// A mapping.
#[derive(Clone)]
pub struct Vma {
    /// First address; page-aligned.
    pub start: u64,
    /// Address after the last; page-aligned.
    pub end: u64,
    /// `PROT_READ`, `PROT_WRITE`, `PROT_EXEC`.
    pub prot: u32,
    /// What else it is.
    pub flags: VmaFlags,
    /// Its bytes.
    pub backing: Backing,
}

impl Vma {
    /// Whether `prot` allows an access. x86 has no write-only or execute-only pages.
    pub fn allows(&self, access: Access) -> bool {
        match access {
            Access::Read => self.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) != 0,
            Access::Write => self.prot & PROT_WRITE != 0,
            Access::Execute => self.prot & PROT_EXEC != 0,
        }
    }

    /// State of a present page of it that nothing else restrains.
    pub fn page_state(&self) -> PageState {
        let mut state = PageState::PRESENT;
        for (access, bit) in
            [(Access::Read, PageState::READ), (Access::Write, PageState::WRITE), (Access::Execute, PageState::EXEC)]
        {
            if self.allows(access) {
                state |= bit;
            }
        }
        state
    }

    /// The file that it shows, if it is one, and which of the bytes it begins with.
    pub fn file(&self) -> (Option<&Location>, u64) {
        match &self.backing {
            Backing::Anonymous => (None, 0),
            Backing::File { file, offset } => (Some(file), *offset),
            Backing::Shared { object, offset } => (object.file(), *offset),
        }
    }

    /// Whether it counts as data.
    pub fn is_data(&self) -> bool {
        self.prot & PROT_WRITE != 0 && !self.is_shared() && !self.flags.grows_down
    }

    /// Whether it is shared between processes.
    pub fn is_shared(&self) -> bool {
        matches!(self.backing, Backing::Shared { .. })
    }

    /// Bytes in it.
    #[allow(clippy::len_without_is_empty)] // None is.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// The part of it in `range`.
    fn slice(&self, range: Range<u64>) -> Vma {
        let start = range.start.max(self.start);
        let end = range.end.min(self.end);
        Vma { start, end, backing: self.backing.advanced(start - self.start), ..self.clone() }
    }

    /// Whether `next` goes on where this ends, as part of it.
    pub(super) fn continues_into(&self, next: &Vma) -> bool {
        self.end == next.start
            && self.prot == next.prot
            && self.flags == next.flags
            && self.backing.continues(self.len(), &next.backing)
    }
}

/// All mappings of an address space, by start address, never overlapping.
#[derive(Clone, Default)]
pub struct VmaSet {
    map: BTreeMap<u64, Vma>,
}

/// Most mappings a process may have (`vm.max_map_count`).
pub const VMA_COUNT_MAX: usize = 65_530;

impl VmaSet {
    /// The mapping that contains an address.
    pub fn find(&self, addr: u64) -> Option<&Vma> {
        self.map.range(..=addr).next_back().map(|(_, vma)| vma).filter(|vma| addr < vma.end)
    }

    /// The first mapping at or above an address.
    pub fn next_from(&self, addr: u64) -> Option<&Vma> {
        self.map.range(addr..).next().map(|(_, vma)| vma)
    }

    /// All mappings, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Vma> {
        self.map.values()
    }

    /// Number of mappings.
    pub fn count(&self) -> usize {
        self.map.len()
    }

    /// Bytes mapped.
    pub fn bytes(&self) -> u64 {
        self.iter().map(Vma::len).sum()
    }

    /// Bytes of data: private, and to be written (`RLIMIT_DATA`).
    pub fn data_bytes(&self) -> u64 {
        self.iter().filter(|vma| vma.is_data()).map(Vma::len).sum()
    }

    /// The parts of mappings that lie in a range, ascending.
    pub fn in_range(&self, range: Range<u64>) -> Vec<Vma> {
        let first = self.find(range.start).map_or(range.start, |vma| vma.start);
        self.map.range(first..range.end).map(|(_, vma)| vma.slice(range.clone())).collect()
    }

    /// Whether nothing is mapped in a range.
    pub fn is_free(&self, range: Range<u64>) -> bool {
        self.find(range.start).is_none() && self.map.range(range).next().is_none()
    }

    /// Unmaps a range; returns what was there.
    pub fn remove(&mut self, range: Range<u64>) -> Vec<Vma> {
        let gone = self.in_range(range.clone());
        for part in &gone {
            let Some(whole) = self.find(part.start).cloned() else { continue };
            self.map.remove(&whole.start);
            for rest in [whole.slice(whole.start..part.start), whole.slice(part.end..whole.end)] {
                if rest.start < rest.end {
                    self.map.insert(rest.start, rest);
                }
            }
        }
        gone
    }

    /// Maps a range, which must be free, joining it with like neighbours.
    pub fn insert(&mut self, mut vma: Vma) {
        if let Some(before) = self.map.range(..vma.start).next_back().map(|(_, before)| before.clone())
            && before.continues_into(&vma)
        {
            self.map.remove(&before.start);
            vma = Vma { end: vma.end, ..before };
        }
        if let Some(after) = self.map.get(&vma.end).cloned()
            && vma.continues_into(&after)
        {
            self.map.remove(&after.start);
            vma.end = after.end;
        }
        self.map.insert(vma.start, vma);
    }

    /// Changes every mapped part of a range.
    pub fn change(&mut self, range: Range<u64>, change: impl Fn(&mut Vma)) {
        for mut part in self.remove(range) {
            change(&mut part);
            self.insert(part);
        }
    }

    /// A free range of `len` bytes within `area`: the highest, or the lowest if `upward`.
    pub fn find_free(&self, len: u64, area: Range<u64>, upward: bool) -> Option<u64> {
        let mut gaps = Vec::new();
        let mut at = area.start;
        for vma in self.in_range(area.clone()) {
            gaps.push(at..vma.start);
            at = vma.end;
        }
        gaps.push(at..area.end);
        let mut fitting = gaps.into_iter().filter(|gap| gap.end.saturating_sub(gap.start) >= len);
        if upward { fitting.next().map(|gap| gap.start) } else { fitting.next_back().map(|gap| gap.end - len) }
    }
}

/// Rounds up to a page; `None` past the end of addresses.
pub fn page_align_up(bytes: u64) -> Option<u64> {
    Some(bytes.checked_add(PAGE_SIZE - 1)? & !(PAGE_SIZE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(start: u64, end: u64, prot: u32) -> Vma {
        Vma { start, end, prot, flags: VmaFlags::default(), backing: Backing::Anonymous }
    }

    fn ranges(set: &VmaSet) -> Vec<(u64, u64, u32)> {
        set.iter().map(|vma| (vma.start, vma.end, vma.prot)).collect()
    }

    #[test]
    fn unmapping_the_middle_leaves_two() {
        let mut set = VmaSet::default();
        set.insert(anonymous(0x1000, 0x5000, 3));
        set.remove(0x2000..0x3000);
        assert_eq!(ranges(&set), [(0x1000, 0x2000, 3), (0x3000, 0x5000, 3)]);
        assert!(set.is_free(0x2000..0x3000));
    }

    #[test]
    fn protection_changes_split_and_join() {
        let mut set = VmaSet::default();
        set.insert(anonymous(0x1000, 0x5000, 3));
        set.change(0x2000..0x3000, |vma| vma.prot = 1);
        assert_eq!(ranges(&set), [(0x1000, 0x2000, 3), (0x2000, 0x3000, 1), (0x3000, 0x5000, 3)]);
        set.change(0x2000..0x3000, |vma| vma.prot = 3);
        assert_eq!(ranges(&set), [(0x1000, 0x5000, 3)]);
    }

    #[test]
    fn free_ranges_are_found_from_either_side() {
        let mut set = VmaSet::default();
        set.insert(anonymous(0x3000, 0x4000, 3));
        assert_eq!(set.find_free(0x1000, 0x1000..0x8000, false), Some(0x7000));
        assert_eq!(set.find_free(0x1000, 0x1000..0x8000, true), Some(0x1000));
        assert_eq!(set.find_free(0x3000, 0x1000..0x8000, true), Some(0x4000));
        assert_eq!(set.find_free(0x5000, 0x1000..0x8000, true), None);
    }
}
