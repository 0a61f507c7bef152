//! Block groups: where each keeps its bitmaps and its part of the inode table, and what is free in it.

use super::Ext2;
use super::bytes::{set_u16, u16_at, u32_at};
use crate::stop::Outcome;
use abi::Errno;

/// Bytes of a group descriptor.
pub(super) const DESCRIPTOR_LEN: usize = 32;

/// Counters in a group descriptor.
#[derive(Clone, Copy)]
pub(super) enum Count {
    FreeBlocks = 12,
    FreeInodes = 14,
    Directories = 16,
}

/// A group's places, checked to be on the disk.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) block_bitmap: u32,
    pub(super) inode_bitmap: u32,
    pub(super) inode_table: u32,
    pub(super) free_blocks: u16,
    pub(super) free_inodes: u16,
}

impl Ext2 {
    /// The descriptor of a group that exists.
    pub(super) fn group(&mut self, group: u32) -> Outcome<Group> {
        let (block, at) = self.descriptor_place(group);
        let bytes = self.store.read(block)?;
        let raw = &bytes[at..at + DESCRIPTOR_LEN];
        let descriptor = Group {
            block_bitmap: u32_at(raw, 0),
            inode_bitmap: u32_at(raw, 4),
            inode_table: u32_at(raw, 8),
            free_blocks: u16_at(raw, Count::FreeBlocks as usize),
            free_inodes: u16_at(raw, Count::FreeInodes as usize),
        };
        let table_end = descriptor.inode_table.checked_add(self.layout.inode_table_blocks());
        let on_disk = self.layout.is_data_block(descriptor.block_bitmap)
            && self.layout.is_data_block(descriptor.inode_bitmap)
            && self.layout.is_data_block(descriptor.inode_table)
            && table_end.is_some_and(|end| end <= self.layout.blocks);
        if on_disk { Ok(descriptor) } else { Err(Errno::EUCLEAN.into()) }
    }

    /// Adds to a counter of a group.
    pub(super) fn count_in_group(&mut self, group: u32, count: Count, add: i16) -> Outcome<()> {
        let (block, at) = self.descriptor_place(group);
        let bytes = self.store.write(block)?;
        let at = at + count as usize;
        let value = u16_at(bytes, at).saturating_add_signed(add);
        set_u16(bytes, at, value);
        Ok(())
    }

    /// Whether `block`, of `group`, holds metadata of the file system itself.
    pub(super) fn is_metadata(&mut self, group: u32, block: u32) -> Outcome<bool> {
        let descriptor = self.group(group)?;
        let table = descriptor.inode_table..descriptor.inode_table + self.layout.inode_table_blocks();
        let supers = if self.layout.group_has_super(group) {
            1 + self.layout.group_table_blocks() + self.layout.reserved_gdt_blocks
        } else {
            0
        };
        let copies = block - self.layout.group_start(group) < supers;
        Ok(copies || block == descriptor.block_bitmap || block == descriptor.inode_bitmap || table.contains(&block))
    }

    fn descriptor_place(&self, group: u32) -> (u32, usize) {
        let per_block = self.layout.descriptors_per_block();
        let block = self.layout.first_data_block + 1 + group / per_block;
        (block, (group % per_block) as usize * DESCRIPTOR_LEN)
    }
}
