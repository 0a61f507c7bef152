//! Allocating and freeing blocks and inodes: bitmaps, and the counts in group descriptors and superblock.
//!
//! Files are kept near their directory, blocks of a file one after the other, directories apart where there is room
//! (what the `ext2` documentation of Linux calls its allocation policy, simplified).

use super::bytes::{set_u32, u32_at};
use super::group::Count;
use super::superblock::{SUPERBLOCK_LEN, SUPERBLOCK_OFFSET, field};
use super::{Ext2, corrupt};
use crate::stop::Outcome;
use abi::Errno;

/// The first clear bit in `from..end`.
fn find_clear(bitmap: &[u8], from: u32, end: u32) -> Option<u32> {
    let mut at = from;
    while at < end {
        let byte = bitmap[at as usize / 8];
        if byte == 0xff {
            at = (at / 8 + 1) * 8;
            continue;
        }
        if byte & 1 << (at % 8) == 0 {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The first clear bit at or after `goal`, or else before it.
fn find_clear_near(bitmap: &[u8], goal: u32, end: u32) -> Option<u32> {
    find_clear(bitmap, goal, end).or_else(|| find_clear(bitmap, 0, goal.min(end)))
}

impl Ext2 {
    /// A counter in the superblock, see [`field`].
    pub(super) fn counter(&mut self, field: usize) -> Outcome<u32> {
        let (block, at) = self.superblock_place();
        Ok(u32_at(&self.store.read(block)?[at..at + SUPERBLOCK_LEN], field))
    }

    /// Sets a counter in the superblock.
    pub(super) fn set_counter(&mut self, field: usize, value: u32) -> Outcome<()> {
        let (block, at) = self.superblock_place();
        set_u32(&mut self.store.write(block)?[at..at + SUPERBLOCK_LEN], field, value);
        Ok(())
    }

    fn count_in_superblock(&mut self, field: usize, add: i32) -> Outcome<()> {
        let value = self.counter(field)?.saturating_add_signed(add);
        self.set_counter(field, value)
    }

    fn superblock_place(&self) -> (u32, usize) {
        let at = SUPERBLOCK_OFFSET as usize % self.layout.block_size;
        (self.layout.first_data_block, at)
    }

    /// Takes a free block, at `goal` or as near after it as can be.
    pub(super) fn allocate_block(&mut self, goal: u32) -> Outcome<u32> {
        let goal = if self.layout.is_data_block(goal) { goal } else { self.layout.first_data_block };
        let first = (goal - self.layout.first_data_block) / self.layout.blocks_per_group;
        for step in 0..self.layout.groups {
            let group = (first + step) % self.layout.groups;
            let descriptor = self.group(group)?;
            if descriptor.free_blocks == 0 {
                continue;
            }
            let near = if step == 0 { goal - self.layout.group_start(group) } else { 0 };
            let len = self.layout.group_len(group);
            let bitmap = self.store.read(descriptor.block_bitmap)?;
            let Some(index) = find_clear_near(&bitmap, near, len) else { continue };
            let block = self.layout.group_start(group) + index;
            if self.is_metadata(group, block)? {
                return corrupt();
            }
            self.store.write(descriptor.block_bitmap)?[index as usize / 8] |= 1 << (index % 8);
            self.count_in_group(group, Count::FreeBlocks, -1)?;
            self.count_in_superblock(field::FREE_BLOCKS, -1)?;
            return Ok(block);
        }
        Err(Errno::ENOSPC.into())
    }

    /// Gives a block back. One that is free already, or not a file's, means a damaged file system.
    pub(super) fn free_block(&mut self, block: u32) -> Outcome<()> {
        if !self.layout.is_data_block(block) {
            return corrupt();
        }
        let group = (block - self.layout.first_data_block) / self.layout.blocks_per_group;
        if self.is_metadata(group, block)? {
            return corrupt();
        }
        let index = block - self.layout.group_start(group);
        let bitmap = self.group(group)?.block_bitmap;
        let byte = &mut self.store.write(bitmap)?[index as usize / 8];
        if *byte & 1 << (index % 8) == 0 {
            return corrupt();
        }
        *byte &= !(1 << (index % 8));
        self.count_in_group(group, Count::FreeBlocks, 1)?;
        self.count_in_superblock(field::FREE_BLOCKS, 1)
    }

    /// Takes a free inode, for a file in the directory `parent`.
    pub(super) fn allocate_inode(&mut self, parent: u32, is_directory: bool) -> Outcome<u32> {
        if self.counter(field::FREE_INODES)? == 0 {
            return Err(Errno::ENOSPC.into());
        }
        let near = (parent - 1) / self.layout.inodes_per_group;
        let first = if is_directory { self.group_for_directory(near)? } else { near };
        for step in 0..self.layout.groups {
            let group = (first + step) % self.layout.groups;
            let descriptor = self.group(group)?;
            if descriptor.free_inodes == 0 {
                continue;
            }
            // The first inodes are reserved whatever their bits say.
            let start = if group == 0 { self.layout.first_ino - 1 } else { 0 };
            let bitmap = self.store.read(descriptor.inode_bitmap)?;
            let Some(index) = find_clear(&bitmap, start, self.layout.inodes_per_group) else { continue };
            self.store.write(descriptor.inode_bitmap)?[index as usize / 8] |= 1 << (index % 8);
            self.count_in_group(group, Count::FreeInodes, -1)?;
            if is_directory {
                self.count_in_group(group, Count::Directories, 1)?;
            }
            self.count_in_superblock(field::FREE_INODES, -1)?;
            return Ok(group * self.layout.inodes_per_group + index + 1);
        }
        Err(Errno::ENOSPC.into())
    }

    /// The first group from `near` on with as much free as the average.
    fn group_for_directory(&mut self, near: u32) -> Outcome<u32> {
        let blocks = self.counter(field::FREE_BLOCKS)? / self.layout.groups;
        let inodes = self.counter(field::FREE_INODES)? / self.layout.groups;
        for step in 0..self.layout.groups {
            let group = (near + step) % self.layout.groups;
            let descriptor = self.group(group)?;
            let roomy = u32::from(descriptor.free_inodes) >= inodes && u32::from(descriptor.free_blocks) >= blocks;
            if roomy && descriptor.free_inodes > 0 {
                return Ok(group);
            }
        }
        Ok(near)
    }

    /// Gives an inode back.
    pub(super) fn free_inode(&mut self, ino: u32, is_directory: bool) -> Outcome<()> {
        if ino < self.layout.first_ino || ino > self.layout.inodes {
            return corrupt();
        }
        let group = (ino - 1) / self.layout.inodes_per_group;
        let index = (ino - 1) % self.layout.inodes_per_group;
        let bitmap = self.group(group)?.inode_bitmap;
        let byte = &mut self.store.write(bitmap)?[index as usize / 8];
        if *byte & 1 << (index % 8) == 0 {
            return corrupt();
        }
        *byte &= !(1 << (index % 8));
        self.count_in_group(group, Count::FreeInodes, 1)?;
        if is_directory {
            self.count_in_group(group, Count::Directories, -1)?;
        }
        self.count_in_superblock(field::FREE_INODES, 1)
    }
}
