//! Block groups: how many, and where each one's tables lie.

use anyhow::{Result, bail};

use super::{BLOCK_BYTES, INODE_BYTES};

/// One bit for each in a bitmap of one block.
pub const BLOCKS_PER_GROUP: u64 = BLOCK_BYTES as u64 * 8;
const INODES_PER_GROUP_MAX: u64 = BLOCK_BYTES as u64 * 8;
const INODES_PER_BLOCK: u64 = (BLOCK_BYTES / INODE_BYTES) as u64;
const DESCRIPTOR_BYTES: u64 = 32;
/// The size is a multiple of this (32 MiB), so that the last group always has room for its own tables.
const SIZE_UNIT_BLOCKS: u64 = 8192;
/// One inode for so many bytes of disk, as mke2fs's default.
const BYTES_PER_INODE: u64 = 16 << 10;

/// Number and shape of the groups.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub blocks: u64,
    pub groups: u64,
    pub inodes_per_group: u64,
}

impl Geometry {
    /// Room for `inodes` inodes and `data_blocks` blocks that are no tables.
    pub fn new(inodes: u64, data_blocks: u64) -> Result<Self> {
        let mut blocks = data_blocks.next_multiple_of(SIZE_UNIT_BLOCKS);
        loop {
            if blocks > u64::from(u32::MAX) {
                bail!("an ext2 file system of 4 KiB blocks ends at 16 TiB; this image needs more");
            }
            let geometry = Self::of_size(inodes, blocks)?;
            let table_blocks: u64 = (0..geometry.groups).map(|group| geometry.table_blocks(group)).sum();
            if blocks - table_blocks >= data_blocks {
                return Ok(geometry);
            }
            blocks += SIZE_UNIT_BLOCKS;
        }
    }

    fn of_size(inodes: u64, blocks: u64) -> Result<Self> {
        let groups = blocks.div_ceil(BLOCKS_PER_GROUP);
        let inodes = inodes.max(blocks * BLOCK_BYTES as u64 / BYTES_PER_INODE);
        let inodes_per_group = inodes.div_ceil(groups).next_multiple_of(INODES_PER_BLOCK);
        if inodes_per_group > INODES_PER_GROUP_MAX {
            bail!("{inodes} files are too many for a disk of {} bytes: ask for more free space", blocks << 12);
        }
        Ok(Geometry { blocks, groups, inodes_per_group })
    }

    pub fn size_bytes(&self) -> u64 {
        self.blocks * BLOCK_BYTES as u64
    }

    pub fn first_block(&self, group: u64) -> u64 {
        group * BLOCKS_PER_GROUP
    }

    /// Blocks in `group`; the last one may be short.
    pub fn group_blocks(&self, group: u64) -> u64 {
        (self.blocks - self.first_block(group)).min(BLOCKS_PER_GROUP)
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

    pub fn descriptor_blocks(&self) -> u64 {
        (self.groups * DESCRIPTOR_BYTES).div_ceil(BLOCK_BYTES as u64)
    }

    pub fn block_bitmap(&self, group: u64) -> u64 {
        let copies = if Self::has_superblock(group) { 1 + self.descriptor_blocks() } else { 0 };
        self.first_block(group) + copies
    }

    pub fn inode_bitmap(&self, group: u64) -> u64 {
        self.block_bitmap(group) + 1
    }

    pub fn inode_table(&self, group: u64) -> u64 {
        self.block_bitmap(group) + 2
    }

    /// The first block of `group` that can hold data.
    pub fn first_data_block(&self, group: u64) -> u64 {
        self.inode_table(group) + self.inodes_per_group / INODES_PER_BLOCK
    }

    fn table_blocks(&self, group: u64) -> u64 {
        self.first_data_block(group) - self.first_block(group)
    }

    /// Byte offset of inode `number`.
    pub fn inode_offset(&self, number: u32) -> u64 {
        let index = u64::from(number) - 1;
        let (group, position) = (index / self.inodes_per_group, index % self.inodes_per_group);
        self.inode_table(group) * BLOCK_BYTES as u64 + position * INODE_BYTES as u64
    }
}
