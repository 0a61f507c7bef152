//! Superblock, group descriptors and bitmaps, once it is known what they have to say.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Result;

use super::allocation::Set;
use super::geometry::{BLOCKS_PER_GROUP, Geometry, INODES_PER_GROUP};
use super::plan::LOST_AND_FOUND_INODE;
use super::{BLOCK_BYTES, INODE_BYTES, put_u16, put_u32};

/// The same for every image: nothing mounts two of them by UUID, and the same tree must give the same bytes.
const UUID: [u8; 16] = *b"edgebox\x00ext2\x00\x00\x00\x01";
const SUPERBLOCK_OFFSET: usize = 1024;
const DESCRIPTOR_BYTES: usize = 32;
const FEATURE_COMPAT_EXT_ATTR: u32 = 0x8;
const FEATURE_INCOMPAT_FILETYPE: u32 = 0x2;
const FEATURE_RO_COMPAT_SPARSE_SUPER_LARGE_FILE: u32 = 0x1 | 0x2;
/// `user_xattr` and `acl`, which mke2fs sets as well.
const DEFAULT_MOUNT_OPTIONS: u32 = 0x4 | 0x8;

/// What has been allocated in a group.
#[derive(Clone, Copy, Default)]
struct Use {
    blocks: u64,
    inodes: u64,
    directories: u64,
}

/// Usage of the whole disk.
pub struct Tables<'a> {
    pub geometry: &'a Geometry,
    /// Blocks in use, but for those of tables.
    pub blocks: Set,
    /// Inode numbers in use, all but the reserved ones.
    pub inodes: Set,
    /// Inode numbers of all directories.
    pub directories: Vec<u32>,
    pub time_s: u32,
}

impl Tables<'_> {
    /// Writes bitmaps, descriptors and superblocks of all groups. Copies of the last two say nothing of what is free, as
    /// Linux, too, keeps that only in the first: so they are the same whatever is on the disk.
    pub fn write(&self, image: &File) -> Result<()> {
        let mut uses = Vec::with_capacity(self.geometry.groups as usize);
        for group in 0..self.geometry.groups {
            let (blocks, inodes) = (self.block_bitmap(group), self.inode_bitmap(group));
            image.write_all_at(&blocks, self.geometry.block_bitmap(group) * BLOCK_BYTES as u64)?;
            image.write_all_at(&inodes, self.geometry.inode_bitmap(group) * BLOCK_BYTES as u64)?;
            let unused = BLOCKS_PER_GROUP - INODES_PER_GROUP;
            uses.push(Use { blocks: count(&blocks), inodes: count(&inodes) - unused, directories: 0 });
        }
        for inode in &self.directories {
            uses[(u64::from(*inode - 1) / INODES_PER_GROUP) as usize].directories += 1;
        }
        let full = Use { blocks: BLOCKS_PER_GROUP, inodes: INODES_PER_GROUP, directories: 0 };
        let copied = vec![full; uses.len()];
        for group in (0..self.geometry.groups).filter(|group| Geometry::has_superblock(*group)) {
            let start = self.geometry.first_block(group) * BLOCK_BYTES as u64;
            let (in_block, uses) = if group == 0 { (SUPERBLOCK_OFFSET as u64, &uses) } else { (0, &copied) };
            image.write_all_at(&self.superblock(uses, group), start + in_block)?;
            image.write_all_at(&self.descriptors(uses), start + BLOCK_BYTES as u64)?;
        }
        Ok(())
    }

    fn block_bitmap(&self, group: u64) -> [u8; BLOCK_BYTES] {
        let geometry = self.geometry;
        let first = geometry.first_block(group);
        let superblock = first..first + geometry.superblock_blocks(group);
        let tables = geometry.block_bitmap(group)..geometry.first_data_block(group);
        bitmap(|position| {
            let block = first + position;
            superblock.contains(&block) || tables.contains(&block) || self.blocks.contains(block)
        })
    }

    /// Bits beyond the group's inodes stand for nothing and are set.
    fn inode_bitmap(&self, group: u64) -> [u8; BLOCK_BYTES] {
        bitmap(|position| {
            let inode = group * INODES_PER_GROUP + position + 1;
            let is_reserved = inode < u64::from(LOST_AND_FOUND_INODE);
            position >= INODES_PER_GROUP || is_reserved || self.inodes.contains(inode)
        })
    }

    fn descriptors(&self, uses: &[Use]) -> Vec<u8> {
        let geometry = self.geometry;
        let mut bytes = vec![0; uses.len() * DESCRIPTOR_BYTES];
        for ((group, usage), descriptor) in (0..).zip(uses).zip(bytes.chunks_exact_mut(DESCRIPTOR_BYTES)) {
            put_u32(descriptor, 0, geometry.block_bitmap(group) as u32);
            put_u32(descriptor, 4, geometry.inode_bitmap(group) as u32);
            put_u32(descriptor, 8, geometry.inode_table(group) as u32);
            put_u16(descriptor, 12, (BLOCKS_PER_GROUP - usage.blocks) as u16);
            put_u16(descriptor, 14, (INODES_PER_GROUP - usage.inodes) as u16);
            put_u16(descriptor, 16, usage.directories as u16);
        }
        bytes
    }

    fn superblock(&self, uses: &[Use], group: u64) -> [u8; 1024] {
        let geometry = self.geometry;
        let used_blocks: u64 = uses.iter().map(|usage| usage.blocks).sum();
        let used_inodes: u64 = uses.iter().map(|usage| usage.inodes).sum();
        let time_s = if group == 0 { self.time_s } else { 0 };
        let log_block_size = (BLOCK_BYTES / 1024).ilog2();
        let mut bytes = [0; 1024];
        for (offset, value) in [
            (0, geometry.inodes() as u32),
            (4, geometry.blocks() as u32),
            (12, (geometry.blocks() - used_blocks) as u32),
            (16, (geometry.inodes() - used_inodes) as u32),
            (24, log_block_size),
            (28, log_block_size), // fragments are blocks
            (32, BLOCKS_PER_GROUP as u32),
            (36, BLOCKS_PER_GROUP as u32),
            (40, INODES_PER_GROUP as u32),
            (48, time_s),               // last written
            (64, time_s),               // last checked
            (76, 1),                    // revision with variable inode size
            (84, LOST_AND_FOUND_INODE), // first inode that is not reserved
            (92, FEATURE_COMPAT_EXT_ATTR),
            (96, FEATURE_INCOMPAT_FILETYPE),
            (100, FEATURE_RO_COMPAT_SPARSE_SUPER_LARGE_FILE),
            (256, DEFAULT_MOUNT_OPTIONS),
            (264, time_s), // made
        ] {
            put_u32(&mut bytes, offset, value);
        }
        for (offset, value) in [
            (54, u16::MAX), // never check because of the number of mounts
            (56, 0xEF53),   // magic
            (58, 1),        // cleanly unmounted
            (60, 1),        // on errors, continue
            (88, INODE_BYTES as u16),
            (90, group as u16),
            (348, 32), // extra inode bytes at least
            (350, 32), // and wanted
        ] {
            put_u16(&mut bytes, offset, value);
        }
        bytes[104..120].copy_from_slice(&UUID);
        bytes[120..127].copy_from_slice(b"edgebox");
        bytes[236..252].copy_from_slice(&UUID); // seed of directory hashes
        bytes[252] = 1; // half MD4, the usual one
        bytes
    }
}

/// A bitmap of the positions that are in use.
fn bitmap(is_used: impl Fn(u64) -> bool) -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    for (position, byte) in bytes.iter_mut().enumerate() {
        for bit in 0..8 {
            *byte |= u8::from(is_used(position as u64 * 8 + bit)) << bit;
        }
    }
    bytes
}

fn count(bitmap: &[u8]) -> u64 {
    bitmap.iter().map(|byte| u64::from(byte.count_ones())).sum()
}
