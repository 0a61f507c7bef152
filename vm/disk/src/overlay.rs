//! What the guest has written: blocks in memory that hide the image's.

use std::collections::BTreeMap;

/// Unit of copy-on-write: the guest's page and the image's usual block size, so that most writes cover whole blocks.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes a guest may write before the disk is full, unless the host says otherwise: a wasm memory ends at 4 GiB and
/// has to hold the rest of the machine as well.
pub const OVERLAY_BYTES_MAX: usize = 1 << 30;

/// Written blocks by block number.
pub struct Overlay {
    limit_blocks: usize,
    blocks: BTreeMap<u64, Box<[u8; BLOCK_BYTES]>>,
}

impl Overlay {
    /// Nothing written, room for `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Overlay { limit_blocks: limit_bytes / BLOCK_BYTES, blocks: BTreeMap::new() }
    }

    /// The block, if it was written.
    #[must_use]
    pub fn get(&self, block: u64) -> Option<&[u8; BLOCK_BYTES]> {
        self.blocks.get(&block).map(|bytes| &**bytes)
    }

    /// Whether the block was written.
    #[must_use]
    pub fn contains(&self, block: u64) -> bool {
        self.blocks.contains_key(&block)
    }

    /// Whether all `blocks` can be written without exceeding the limit.
    #[must_use]
    pub fn has_room_for(&self, blocks: std::ops::RangeInclusive<u64>) -> bool {
        let count = (blocks.end() - blocks.start()).saturating_add(1);
        let written_already = self.blocks.range(blocks).count();
        let new_blocks = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(written_already);
        self.blocks.len().saturating_add(new_blocks) <= self.limit_blocks
    }

    /// The block to write to; it begins as zeros, so that whoever writes part of it fills it first.
    ///
    /// The caller has asked [`Self::has_room_for`].
    pub fn block_mut(&mut self, block: u64) -> &mut [u8; BLOCK_BYTES] {
        self.blocks.entry(block).or_insert_with(|| Box::new([0; BLOCK_BYTES]))
    }

    /// Bytes held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }

    /// All written blocks in order, for a host that keeps them.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, &[u8; BLOCK_BYTES])> {
        self.blocks.iter().map(|(block, bytes)| (*block, &**bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_blocks_once() {
        let mut overlay = Overlay::new(3 * BLOCK_BYTES + 1);
        overlay.block_mut(5).fill(1);
        overlay.block_mut(6).fill(2);
        assert!(overlay.has_room_for(4..=6));
        assert!(!overlay.has_room_for(3..=6));
        assert!(!overlay.has_room_for(0..=u64::MAX));
        assert_eq!((overlay.get(5).map(|block| block[0]), overlay.contains(4)), (Some(1), false));
        assert_eq!(overlay.blocks().map(|(block, _)| block).collect::<Vec<_>>(), [5, 6]);
    }
}
