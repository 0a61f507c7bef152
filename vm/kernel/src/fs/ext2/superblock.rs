//! The superblock: geometry and features of the file system.

use std::fmt;

use disk::{BlockDevice, BlockError};

use super::bytes::{u16_at, u32_at};
use super::features;

/// Where the superblock starts on the disk, and its length, in bytes.
pub(super) const SUPERBLOCK_OFFSET: u64 = 1024;
pub(super) const SUPERBLOCK_LEN: usize = 1024;
const MAGIC: u16 = 0xef53;

/// Fields that change while the file system is mounted; they are kept in the block itself.
pub(super) mod field {
    pub(in super::super) const FREE_BLOCKS: usize = 12;
    pub(in super::super) const FREE_INODES: usize = 16;
    pub(in super::super) const COMPAT: usize = 92;
    pub(in super::super) const RO_COMPAT: usize = 100;
    pub(in super::super) const LAST_ORPHAN: usize = 232;
}

/// Why a disk can't be mounted as ext2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MountError {
    /// The superblock is being fetched: try again later.
    Pending,
    /// It can't be read; the text says why.
    Device(String),
    /// There is no ext2 file system on it.
    NotExt2,
    /// It uses features that are not supported, by name as in `mke2fs -O`.
    Unsupported(Vec<String>),
    /// It contradicts itself; the text says how.
    Corrupt(String),
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountError::Pending => f.write_str("the superblock has not arrived yet"),
            MountError::Device(why) => write!(f, "the superblock can't be read: {why}"),
            MountError::NotExt2 => f.write_str("not an ext2 file system (no magic number in its superblock)"),
            MountError::Unsupported(names) => {
                let list = names.join(", ");
                write!(f, "not plain ext2: {list} not supported; make the image with `mke2fs -t ext2`")
            }
            MountError::Corrupt(how) => write!(f, "damaged ext2 superblock: {how}; try e2fsck"),
        }
    }
}

impl std::error::Error for MountError {}

impl From<BlockError> for MountError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Pending => MountError::Pending,
            error => MountError::Device(error.to_string()),
        }
    }
}

/// Geometry and features, checked to be consistent.
#[derive(Clone, Debug)]
pub struct Superblock {
    pub(super) block_size: usize,
    pub(super) blocks: u32,
    pub(super) blocks_reserved: u32,
    /// The block that holds the superblock, 1 with blocks of 1 KiB and 0 otherwise.
    pub(super) first_data_block: u32,
    pub(super) blocks_per_group: u32,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) groups: u32,
    pub(super) inode_size: usize,
    /// Lowest inode number of ordinary files.
    pub(super) first_ino: u32,
    pub(super) reserved_gdt_blocks: u32,
    /// Revision 0 has no features and inodes of 128 bytes.
    pub(super) revision: u32,
    pub(super) has_file_types: bool,
    pub(super) has_sparse_supers: bool,
    /// Features that forbid writing.
    pub(super) unwritable: Vec<String>,
}

impl Superblock {
    /// Reads and checks the superblock of a disk.
    ///
    /// # Errors
    /// [`MountError::Pending`] if it has to be fetched first.
    pub fn read(device: &mut dyn BlockDevice) -> Result<Self, MountError> {
        if device.size_bytes() < SUPERBLOCK_OFFSET + SUPERBLOCK_LEN as u64 {
            return Err(MountError::NotExt2);
        }
        let mut raw = [0; SUPERBLOCK_LEN];
        device.read(SUPERBLOCK_OFFSET, &mut raw)?;
        let superblock = Self::parse(&raw)?;
        let size_bytes = u64::from(superblock.blocks) * superblock.block_size as u64;
        if size_bytes > device.size_bytes() {
            let (want, have) = (size_bytes, device.size_bytes());
            return Err(MountError::Corrupt(format!("it claims {want} bytes, the disk has {have}")));
        }
        Ok(superblock)
    }

    fn parse(raw: &[u8; SUPERBLOCK_LEN]) -> Result<Self, MountError> {
        if u16_at(raw, 56) != MAGIC {
            return Err(MountError::NotExt2);
        }
        let revision = u32_at(raw, 76);
        let (incompat, ro_compat) =
            if revision == 0 { (0, 0) } else { (u32_at(raw, 96), u32_at(raw, field::RO_COMPAT)) };
        let unreadable = features::unreadable(incompat);
        if !unreadable.is_empty() {
            return Err(MountError::Unsupported(unreadable));
        }
        let log_block_size = u32_at(raw, 24);
        if log_block_size > 2 {
            return Err(MountError::Unsupported(vec![format!("block size 2^{} KiB", log_block_size)]));
        }
        let mut superblock = Self {
            block_size: 1024 << log_block_size,
            blocks: u32_at(raw, 4),
            blocks_reserved: u32_at(raw, 8),
            first_data_block: u32_at(raw, 20),
            blocks_per_group: u32_at(raw, 32),
            inodes: u32_at(raw, 0),
            inodes_per_group: u32_at(raw, 40),
            groups: 0,
            inode_size: if revision == 0 { 128 } else { usize::from(u16_at(raw, 88)) },
            first_ino: if revision == 0 { 11 } else { u32_at(raw, 84) },
            reserved_gdt_blocks: u32::from(u16_at(raw, 206)),
            revision,
            has_file_types: incompat & features::FILETYPE != 0,
            has_sparse_supers: ro_compat & features::SPARSE_SUPER != 0,
            unwritable: features::unwritable(ro_compat),
        };
        superblock.check().map_err(|how| MountError::Corrupt(how.to_owned()))?;
        Ok(superblock)
    }

    /// Checks the geometry and works out the number of groups.
    fn check(&mut self) -> Result<(), &'static str> {
        let bits = 8 * self.block_size as u32;
        if self.first_data_block != u32::from(self.block_size == 1024) {
            return Err("first data block");
        }
        if self.blocks_per_group < 8 || self.blocks_per_group > bits {
            return Err("blocks per group");
        }
        if !self.inode_size.is_power_of_two() || self.inode_size < 128 || self.inode_size > self.block_size {
            return Err("inode size");
        }
        if self.inodes_per_group == 0 || self.inodes_per_group > bits {
            return Err("inodes per group");
        }
        if self.blocks <= self.first_data_block {
            return Err("number of blocks");
        }
        if self.first_ino < 11 {
            return Err("first inode");
        }
        self.groups = (self.blocks - self.first_data_block).div_ceil(self.blocks_per_group);
        if self.groups.checked_mul(self.inodes_per_group) != Some(self.inodes) {
            return Err("number of inodes");
        }
        if u64::from(self.group_table_blocks()) + 2 > u64::from(self.blocks) {
            return Err("group descriptors past the end");
        }
        Ok(())
    }

    /// Pointers in an indirect block.
    pub(super) fn pointers_per_block(&self) -> u64 {
        self.block_size as u64 / 4
    }

    /// Group descriptors in a block.
    pub(super) fn descriptors_per_block(&self) -> u32 {
        self.block_size as u32 / super::group::DESCRIPTOR_LEN as u32
    }

    /// Blocks taken by the group descriptors.
    pub(super) fn group_table_blocks(&self) -> u32 {
        self.groups.div_ceil(self.descriptors_per_block())
    }

    /// Blocks taken by a group's part of the inode table.
    pub(super) fn inode_table_blocks(&self) -> u32 {
        (u64::from(self.inodes_per_group) * self.inode_size as u64).div_ceil(self.block_size as u64) as u32
    }

    /// First block of a group.
    pub(super) fn group_start(&self, group: u32) -> u32 {
        self.first_data_block + group * self.blocks_per_group
    }

    /// Blocks in a group; the last may be short.
    pub(super) fn group_len(&self, group: u32) -> u32 {
        self.blocks_per_group.min(self.blocks - self.group_start(group))
    }

    /// Whether a group starts with a copy of superblock and group descriptors.
    pub(super) fn group_has_super(&self, group: u32) -> bool {
        let power_of = |base: u32| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        !self.has_sparse_supers || group <= 1 || power_of(3) || power_of(5) || power_of(7)
    }

    /// Whether `block` can belong to a file.
    pub(super) fn is_data_block(&self, block: u32) -> bool {
        block > self.first_data_block && block < self.blocks
    }
}
