//! Superblock, group descriptors and bitmaps, once it is known what they have to say.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Result;

use super::geometry::{BLOCKS_PER_GROUP, Geometry};
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

/// Usage of the whole disk. Blocks and inodes are given out from the front, so a count says it all.
pub struct Tables<'a> {
    pub geometry: &'a Geometry,
    /// The first block that was not given out.
    pub next_block: u64,
    /// Inodes from 1 up to this one are in use.
    pub last_inode: u32,
    /// Inode numbers of all directories.
    pub directories: Vec<u32>,
    pub time_s: u32,
}

impl Tables<'_> {
    /// Writes bitmaps, descriptors and superblocks of all groups.
    pub fn write(&self, image: &File) -> Result<()> {
        let uses: Vec<Use> = (0..self.geometry.groups).map(|group| self.usage(group)).collect();
        for (group, usage) in (0..).zip(&uses) {
            self.write_bitmaps(image, group, usage)?;
        }
        let descriptors = self.descriptors(&uses);
        for group in (0..self.geometry.groups).filter(|group| Geometry::has_superblock(*group)) {
            let start = self.geometry.first_block(group) * BLOCK_BYTES as u64;
            let in_block = if group == 0 { SUPERBLOCK_OFFSET as u64 } else { 0 };
            image.write_all_at(&self.superblock(&uses, group), start + in_block)?;
            image.write_all_at(&descriptors, start + BLOCK_BYTES as u64)?;
        }
        Ok(())
    }

    fn usage(&self, group: u64) -> Use {
        let first = self.geometry.first_block(group);
        // Tables are in use even in groups that nothing was put into.
        let used_until = self.next_block.max(self.geometry.first_data_block(group));
        let inodes_before = group * self.geometry.inodes_per_group;
        let inode_range = inodes_before + 1..=inodes_before + self.geometry.inodes_per_group;
        let is_here = |inode: &&u32| inode_range.contains(&u64::from(**inode));
        Use {
            blocks: (used_until - first).min(self.geometry.group_blocks(group)),
            inodes: u64::from(self.last_inode).saturating_sub(inodes_before).min(self.geometry.inodes_per_group),
            directories: self.directories.iter().filter(is_here).count() as u64,
        }
    }

    fn write_bitmaps(&self, image: &File, group: u64, usage: &Use) -> Result<()> {
        let geometry = self.geometry;
        let blocks = bitmap(usage.blocks, geometry.group_blocks(group));
        image.write_all_at(&blocks, geometry.block_bitmap(group) * BLOCK_BYTES as u64)?;
        let inodes = bitmap(usage.inodes, geometry.inodes_per_group);
        image.write_all_at(&inodes, geometry.inode_bitmap(group) * BLOCK_BYTES as u64)?;
        Ok(())
    }

    fn descriptors(&self, uses: &[Use]) -> Vec<u8> {
        let geometry = self.geometry;
        let mut bytes = vec![0; uses.len() * DESCRIPTOR_BYTES];
        for ((group, usage), descriptor) in (0..).zip(uses).zip(bytes.chunks_exact_mut(DESCRIPTOR_BYTES)) {
            put_u32(descriptor, 0, geometry.block_bitmap(group) as u32);
            put_u32(descriptor, 4, geometry.inode_bitmap(group) as u32);
            put_u32(descriptor, 8, geometry.inode_table(group) as u32);
            put_u16(descriptor, 12, (geometry.group_blocks(group) - usage.blocks) as u16);
            put_u16(descriptor, 14, (geometry.inodes_per_group - usage.inodes) as u16);
            put_u16(descriptor, 16, usage.directories as u16);
        }
        bytes
    }

    fn superblock(&self, uses: &[Use], group: u64) -> [u8; 1024] {
        let geometry = self.geometry;
        let used_blocks: u64 = uses.iter().map(|usage| usage.blocks).sum();
        let inodes = geometry.inodes_per_group * geometry.groups;
        let log_block_size = (BLOCK_BYTES / 1024).ilog2();
        let mut bytes = [0; 1024];
        for (offset, value) in [
            (0, inodes as u32),
            (4, geometry.blocks as u32),
            (12, (geometry.blocks - used_blocks) as u32),
            (16, (inodes - u64::from(self.last_inode)) as u32),
            (24, log_block_size),
            (28, log_block_size), // fragments are blocks
            (32, BLOCKS_PER_GROUP as u32),
            (36, BLOCKS_PER_GROUP as u32),
            (40, geometry.inodes_per_group as u32),
            (48, self.time_s),          // last written
            (64, self.time_s),          // last checked
            (76, 1),                    // revision with variable inode size
            (84, LOST_AND_FOUND_INODE), // first inode that is not reserved
            (92, FEATURE_COMPAT_EXT_ATTR),
            (96, FEATURE_INCOMPAT_FILETYPE),
            (100, FEATURE_RO_COMPAT_SPARSE_SUPER_LARGE_FILE),
            (256, DEFAULT_MOUNT_OPTIONS),
            (264, self.time_s), // made
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

/// A bitmap whose first `used` bits are set, and all those from `len` on, which stand for nothing.
fn bitmap(used: u64, len: u64) -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    for (position, byte) in bytes.iter_mut().enumerate() {
        for bit in 0..8 {
            let number = position as u64 * 8 + bit;
            *byte |= u8::from(number < used || number >= len) << bit;
        }
    }
    bytes
}
