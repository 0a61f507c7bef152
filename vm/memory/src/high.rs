//! Where the bytes of high addresses are: those from [`GUEST_TOP`] on.
//!
//! Programs reserve far more than 4 GiB and use little of it. What they use lies in *blocks* below [`GUEST_TOP`], wherever the
//! kernel layer has room for one; a table says which block is where. Generated code finds the blocks that were used last in
//! the *lookaside*, one entry for all blocks with the same hash, at the end of the host's memory.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::address::{GUEST_TOP, GuestAddr, HOST_BASE, PAGE_SIZE};

/// Bytes of a block; it begins at a multiple of that, and so does its place.
pub const BLOCK_BYTES: u64 = 1 << BLOCK_BITS;

/// The bits of an address that say where in its block it lies.
pub const BLOCK_BITS: u32 = 16;

/// Past the last high address: Linux's `TASK_SIZE`.
pub const HIGH_END: u64 = (1 << 47) - PAGE_SIZE;

/// Host offset of the lookaside.
pub const LOOKASIDE: u64 = HOST_BASE + GUEST_TOP;

/// Entries of the lookaside, of 8 bytes each.
pub const LOOKASIDE_ENTRIES: u64 = 1 << 16;

/// A block's number, shifted by so many bits and exclusive-ored to itself, is its hash: allocators like addresses whose
/// lower 36 bits are zero, so the lower bits alone would not do.
pub const HASH_SHIFT: u32 = 15;

/// Which entry of the lookaside is a block's.
pub(crate) fn lookaside_index(block: u64) -> u64 {
    (block ^ block >> HASH_SHIFT) % LOOKASIDE_ENTRIES
}

/// Blocks and their places, by number.
#[derive(Clone, Default)]
pub struct Blocks {
    places: BTreeMap<u64, u16>,
}

impl Blocks {
    /// Where the block with this number is, as an entry of the lookaside has it: the number of the block, and in the last
    /// [`BLOCK_BITS`] that of its place.
    pub(crate) fn entry(&self, block: u64) -> Option<u64> {
        self.places.get(&block).map(|place| block << BLOCK_BITS | u64::from(*place))
    }

    /// Where the byte at a high address is, if its block is anywhere.
    pub fn find(&self, addr: GuestAddr) -> Option<GuestAddr> {
        let place = u64::from(*self.places.get(&(addr.0 >> BLOCK_BITS))?);
        Some(GuestAddr((place << BLOCK_BITS) + addr.0 % BLOCK_BYTES))
    }

    /// The parts of a range of high addresses that are in blocks, and where each begins.
    pub fn in_range(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, u64)> {
        let blocks = range.start >> BLOCK_BITS..range.end.div_ceil(BLOCK_BYTES).max(range.start >> BLOCK_BITS);
        let parts = self.places.range(blocks).map(move |(block, place)| {
            let start = block << BLOCK_BITS;
            let part = range.start.max(start)..range.end.min(start + BLOCK_BYTES);
            let low = (u64::from(*place) << BLOCK_BITS) + part.start.saturating_sub(start);
            (part, low)
        });
        parts.filter(|(part, _)| !part.is_empty())
    }

    pub(crate) fn insert(&mut self, block: u64, low: GuestAddr) {
        self.places.insert(block, (low.0 >> BLOCK_BITS) as u16);
    }

    pub(crate) fn remove(&mut self, block: u64) -> Option<GuestAddr> {
        self.places.remove(&block).map(|place| GuestAddr(u64::from(place) << BLOCK_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_blocks() {
        let mut blocks = Blocks::default();
        blocks.insert(0x6_0000, GuestAddr(0x7f00_0000));
        blocks.insert(0x6_0002, GuestAddr(0x1000_0000));
        let found: Vec<_> = blocks.in_range(0x6_0000_8000..0x6_0002_3000).collect();
        assert_eq!(found, [(0x6_0000_8000..0x6_0001_0000, 0x7f00_8000), (0x6_0002_0000..0x6_0002_3000, 0x1000_0000)]);
        assert_eq!(blocks.find(GuestAddr(0x6_0002_1234)), Some(GuestAddr(0x1000_1234)));
        assert_eq!(blocks.find(GuestAddr(0x6_0001_1234)), None);
        assert_eq!(blocks.in_range(0x6_0000_8000..0x6_0000_8000).count(), 0);
    }

    #[test]
    fn allocators_favourite_addresses_have_entries_of_their_own() {
        let starts = (0x60..0x70u64).flat_map(|upper| [upper << 40, upper << 40 | 0xe << 32]);
        let mut seen: Vec<_> = starts.map(|start| lookaside_index(start >> BLOCK_BITS)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 32);
    }
}
