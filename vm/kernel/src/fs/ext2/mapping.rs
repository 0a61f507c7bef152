//! Block mapping: which block of the disk holds which block of a file.
//!
//! An inode has twelve direct pointers, then one each to a block of pointers, a block of such blocks, and a block of
//! blocks of such blocks. A zero pointer anywhere is a hole. Depth bounds every walk, whatever a damaged disk says.

use super::bytes::{set_u32, u32_at};
use super::inode::{DIRECT, Inode};
use super::{Ext2, corrupt};
use crate::stop::Outcome;
use abi::Errno;

/// Consecutive blocks of a file that are consecutive on the disk too, or a hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// First block on the disk; `None` for a hole.
    pub(super) start: Option<u32>,
    /// Blocks, at least 1.
    pub(super) len: u64,
}

/// The way from an inode to a pointer.
struct Way {
    /// Index of the pointer in the inode.
    root: usize,
    /// Indices in the blocks of pointers that follow.
    indices: [usize; 3],
    /// How many of these.
    depth: usize,
}

impl Ext2 {
    /// The way to the pointer of a file's block.
    fn way(&self, logical: u64) -> Outcome<Way> {
        if logical < DIRECT as u64 {
            return Ok(Way { root: logical as usize, indices: [0; 3], depth: 0 });
        }
        let pointers = self.layout.pointers_per_block();
        let (mut rest, mut span) = (logical - DIRECT as u64, pointers);
        for depth in 1..=3 {
            if rest < span {
                let mut indices = [0; 3];
                for index in indices[..depth].iter_mut().rev() {
                    *index = (rest % pointers) as usize;
                    rest /= pointers;
                }
                return Ok(Way { root: DIRECT + depth - 1, indices, depth });
            }
            rest -= span;
            span *= pointers;
        }
        Err(Errno::EFBIG.into())
    }

    /// Where the block `logical` of a file is, and at most `max` that follow it.
    pub(super) fn map(&mut self, inode: &Inode, logical: u64, max: u64) -> Outcome<Run> {
        let way = self.way(logical)?;
        let first = self.checked_pointer(inode.pointers[way.root])?;
        if way.depth == 0 {
            return self.run_in(max, |index| (way.root + index < DIRECT).then(|| inode.pointers[way.root + index]));
        }
        let pointers = self.layout.pointers_per_block();
        let mut table = first;
        for level in 0..way.depth {
            let Some(block) = table else {
                // A hole as far as the missing block of pointers would reach.
                let span = pointers.pow((way.depth - level) as u32);
                let at = way.indices[level..way.depth].iter().fold(0, |at, index| at * pointers + *index as u64);
                return Ok(Run { start: None, len: (span - at).min(max) });
            };
            let bytes = self.store.read(block)?;
            let index = way.indices[level];
            if level == way.depth - 1 {
                return self.run_in(max, |ahead| {
                    let at = (index + ahead) * 4;
                    (at < bytes.len()).then(|| u32_at(&bytes, at))
                });
            }
            table = self.checked_pointer(u32_at(&bytes, index * 4))?;
        }
        corrupt()
    }

    /// The run that begins with the pointer `at(0)`, of those that `at` knows.
    fn run_in(&self, max: u64, at: impl Fn(usize) -> Option<u32>) -> Outcome<Run> {
        let start = self.checked_pointer(at(0).unwrap_or(0))?;
        let mut len = 1;
        while len < max {
            let expected = start.map_or(0, |start| start.saturating_add(len as u32));
            if at(len as usize) != Some(expected) {
                break;
            }
            len += 1;
        }
        if let Some(start) = start
            && u64::from(start) + len > u64::from(self.layout.blocks)
        {
            return corrupt();
        }
        Ok(Run { start, len })
    }

    /// A pointer as read from the disk: `None` if zero, an error if out of range.
    fn checked_pointer(&self, pointer: u32) -> Outcome<Option<u32>> {
        match pointer {
            0 => Ok(None),
            _ if self.layout.is_data_block(pointer) => Ok(Some(pointer)),
            _ => corrupt(),
        }
    }

    /// The block of the disk for block `logical` of a file, allocated if there is none, and whether it was.
    pub(super) fn map_or_allocate(&mut self, inode: &mut Inode, logical: u64, is_data: bool) -> Outcome<(u32, bool)> {
        let way = self.way(logical)?;
        let mut goal = self.goal(inode, logical)?;
        let mut new;
        let mut block;
        (block, new) = match self.checked_pointer(inode.pointers[way.root])? {
            Some(block) => (block, false),
            None => {
                let block = self.allocate_for(inode, goal, way.depth == 0 && is_data)?;
                inode.pointers[way.root] = block;
                (block, true)
            }
        };
        for level in 0..way.depth {
            let at = way.indices[level] * 4;
            let pointer = u32_at(&self.store.read(block)?, at);
            let table = block;
            (block, new) = match self.checked_pointer(pointer)? {
                Some(block) => (block, false),
                None => {
                    if new {
                        goal = block + 1;
                    }
                    let block = self.allocate_for(inode, goal, level == way.depth - 1 && is_data)?;
                    set_u32(self.store.write(table)?, at, block);
                    (block, true)
                }
            };
        }
        Ok((block, new))
    }

    /// Blocks that [`Self::map_or_allocate`] can need at most.
    pub(super) const ALLOCATED_MAX: u32 = 4;

    fn allocate_for(&mut self, inode: &mut Inode, goal: u32, is_data: bool) -> Outcome<u32> {
        let block = self.allocate_block(goal)?;
        self.store.write_new(block, is_data)?;
        inode.sectors = inode.sectors.checked_add(self.sectors_per_block()).ok_or(Errno::EFBIG)?;
        Ok(block)
    }

    /// Where a new block of a file had best be: after the block before it, or in the inode's group.
    fn goal(&mut self, inode: &Inode, logical: u64) -> Outcome<u32> {
        if logical > 0
            && let Some(before) = self.map(inode, logical - 1, 1)?.start
        {
            return Ok(before + 1);
        }
        Ok(self.layout.group_start((inode.ino - 1) / self.layout.inodes_per_group))
    }

    pub(super) fn sectors_per_block(&self) -> u32 {
        self.layout.block_size as u32 / 512
    }

    /// Frees all blocks of a file but the first `keep`.
    pub(super) fn free_blocks_after(&mut self, inode: &mut Inode, keep: u64) -> Outcome<()> {
        for index in 0..DIRECT {
            if index as u64 >= keep && inode.pointers[index] != 0 {
                self.free_of(inode, inode.pointers[index])?;
                inode.pointers[index] = 0;
            }
        }
        let (mut base, mut span) = (DIRECT as u64, self.layout.pointers_per_block());
        for level in 1..=3 {
            let root = DIRECT + level as usize - 1;
            if keep < base + span
                && let Some(table) = self.checked_pointer(inode.pointers[root])?
            {
                self.free_tree(inode, table, level, keep.saturating_sub(base))?;
                if keep <= base {
                    inode.pointers[root] = 0;
                }
            }
            base += span;
            span *= self.layout.pointers_per_block();
        }
        Ok(())
    }

    /// Frees what lies below a block of pointers, all but the first `keep` blocks, and itself if none are kept.
    /// Ends on a damaged disk too, because nothing can be freed twice.
    fn free_tree(&mut self, inode: &mut Inode, table: u32, level: u32, keep: u64) -> Outcome<()> {
        let span = self.layout.pointers_per_block().pow(level - 1);
        let bytes = self.store.read(table)?;
        for index in (keep / span) as usize..bytes.len() / 4 {
            let Some(block) = self.checked_pointer(u32_at(&bytes, index * 4))? else { continue };
            let kept_below = keep.saturating_sub(index as u64 * span);
            if level == 1 {
                self.free_of(inode, block)?;
            } else {
                self.free_tree(inode, block, level - 1, kept_below)?;
            }
            if keep > 0 && kept_below == 0 {
                set_u32(self.store.write(table)?, index * 4, 0);
            }
        }
        if keep == 0 { self.free_of(inode, table) } else { Ok(()) }
    }

    /// Frees a block of a file.
    pub(super) fn free_of(&mut self, inode: &mut Inode, block: u32) -> Outcome<()> {
        self.free_block(block)?;
        inode.sectors = inode.sectors.saturating_sub(self.sectors_per_block());
        Ok(())
    }
}
