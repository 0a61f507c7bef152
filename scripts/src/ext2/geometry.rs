//! Block groups: how many, and where each one's tables lie.
//!
//! Everything has its place by rules that don't depend on how full the disk is: groups are all of the same size and the
//! last one is whole, every group has as many inodes, and descriptors have more room than they need. So an image with a
//! little more in it has the rest where it was.

use anyhow::{Result, bail};

use super::{BLOCK_BYTES, INODE_BYTES};

/// One bit for each in a bitmap of one block: 128 MiB.
pub const BLOCKS_PER_GROUP: u64 = BLOCK_BYTES as u64 * 8;
/// One inode for 16 KiB of disk, as mke2fs's default. Disks of many small files get more groups.
pub const INODES_PER_GROUP: u64 = BLOCKS_PER_GROUP / 4;
const INODES_PER_BLOCK: u64 = (BLOCK_BYTES / INODE_BYTES) as u64;
const DESCRIPTOR_BYTES: u64 = 32;
/// Inode tables and data start at multiples of this, so that a chunk has nothing of two groups' tables and what is before
/// them: blocks of a chunk (`disk::layout::CHUNK_BYTES`).
const ALIGNMENT: u64 = disk::layout::CHUNK_BYTES as u64 / BLOCK_BYTES as u64;

/// Number and shape of the groups.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub groups: u64,
    /// Blocks at the start of a group for superblock, descriptors and bitmaps. What is left of them is free.
    head_blocks: u64,
}

impl Geometry {
    /// Room for `inodes` inodes and `data_blocks` blocks that are no tables.
    pub fn new(inodes: u64, data_blocks: u64) -> Result<Self> {
        let mut groups = inodes.div_ceil(INODES_PER_GROUP).max(data_blocks.div_ceil(BLOCKS_PER_GROUP)).max(1);
        loop {
            if groups * BLOCKS_PER_GROUP > u64::from(u32::MAX) {
                bail!("an ext2 file system of 4 KiB blocks ends at 16 TiB; this image needs more");
            }
            let geometry = Self::of_groups(groups);
            let room = BLOCKS_PER_GROUP - geometry.first_data_block(0);
            if groups * room >= data_blocks {
                return Ok(geometry);
            }
            groups = data_blocks.div_ceil(room);
        }
    }

    fn of_groups(groups: u64) -> Self {
        let descriptors = (groups * DESCRIPTOR_BYTES).div_ceil(BLOCK_BYTES as u64);
        Geometry { groups, head_blocks: (1 + descriptors + 2).next_multiple_of(ALIGNMENT) }
    }

    pub fn blocks(&self) -> u64 {
        self.groups * BLOCKS_PER_GROUP
    }

    pub fn inodes(&self) -> u64 {
        self.groups * INODES_PER_GROUP
    }

    pub fn size_bytes(&self) -> u64 {
        self.blocks() * BLOCK_BYTES as u64
    }

    pub fn first_block(&self, group: u64) -> u64 {
        group * BLOCKS_PER_GROUP
    }

    /// Whether `group` has copies of superblock and descriptors (`sparse_super`).
    pub fn has_superblock(group: u64) -> bool {
        let is_power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        group <= 1 || is_power_of(3) || is_power_of(5) || is_power_of(7)
    }

    /// Blocks of superblock and descriptors at the start of `group`.
    pub fn superblock_blocks(&self, group: u64) -> u64 {
        let descriptors = (self.groups * DESCRIPTOR_BYTES).div_ceil(BLOCK_BYTES as u64);
        if Self::has_superblock(group) { 1 + descriptors } else { 0 }
    }

    pub fn block_bitmap(&self, group: u64) -> u64 {
        self.first_block(group) + self.head_blocks - 2
    }

    pub fn inode_bitmap(&self, group: u64) -> u64 {
        self.block_bitmap(group) + 1
    }

    pub fn inode_table(&self, group: u64) -> u64 {
        self.block_bitmap(group) + 2
    }

    /// The first block of `group` behind its tables.
    pub fn first_data_block(&self, group: u64) -> u64 {
        self.inode_table(group) + INODES_PER_GROUP / INODES_PER_BLOCK
    }

    /// Byte offset of inode `number`.
    pub fn inode_offset(&self, number: u32) -> u64 {
        let index = u64::from(number) - 1;
        let (group, position) = (index / INODES_PER_GROUP, index % INODES_PER_GROUP);
        self.inode_table(group) * BLOCK_BYTES as u64 + position * INODE_BYTES as u64
    }
}
