//! Writing an ext2 file system from a [`Tree`], without mounting anything, without root, and always the same bytes
//! for the same tree.
//!
//! `mke2fs -d` takes directory entries in the order the host's file system lists them and needs root for owners and
//! device nodes; this writer takes both from the tree. What it writes, e2fsck accepts without remarks.
//!
//! Blocks are 4 KiB, inodes 256 bytes. Features: `ext_attr`, `filetype`, `sparse_super`, `large_file`.
//!
//! Layer follows upon layer. In each, directories come first and files follow in the order of a walk, so that what a
//! boot touches lies close together and few chunks are fetched. Inode numbers and blocks of a layer depend on the layers
//! below it only; what a layer above takes away leaves free places. So two images with the same lower layers have the
//! same chunks for them, but for those with directories that the upper layers change. What such a layer changes besides
//! its own: superblock, descriptors and bitmaps, and a directory's inode.
//!
//! Time is the newest modification time of any file: no clock is looked at.
//!
//! | module | subject |
//! |---|---|
//! | [`allocation`] | blocks given out, sets of what is in use |
//! | [`geometry`] | block groups, where their tables lie |
//! | [`plan`] | inode numbers and the size an image needs |
//! | [`writer`] | data, block maps, inodes |
//! | [`directory`] | packing directory entries |
//! | [`xattr`] | extended attribute blocks |
//! | [`tables`] | superblock, group descriptors, bitmaps |
//!
//! Sources: "The Second Extended File System" (D. Poirier), Linux `fs/ext2/ext2.h`, ext4's documentation of the
//! on-disk format for the fields ext2 shares.

mod allocation;
mod directory;
mod geometry;
mod plan;
mod tables;
#[cfg(test)]
mod tests;
mod writer;
mod xattr;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use crate::image::tree::Tree;
use crate::progress::Progress;

pub const BLOCK_BYTES: usize = 4096;
pub const INODE_BYTES: usize = 256;

/// How much of the disk is left for the guest to write to.
#[derive(Clone, Copy, Debug)]
pub struct FreeSpace {
    /// At least this many bytes.
    pub min_bytes: u64,
    /// And this share of what is used.
    pub percent: u64,
}

impl Default for FreeSpace {
    /// Unwritten blocks are zero, so they cost nothing to store or send.
    fn default() -> Self {
        FreeSpace { min_bytes: 256 << 20, percent: 25 }
    }
}

/// Writes `tree` as a file system to the file `path`; returns the image's size in bytes. Ends the tree's last layer.
pub fn write(tree: &mut Tree, path: &Path, free: FreeSpace, progress: &Progress) -> Result<u64> {
    tree.end_layer();
    let plan = plan::Plan::new(tree, free)?;
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let size_bytes = plan.geometry.size_bytes();
    file.set_len(size_bytes)?;
    let written = writer::Writer::new(&file, tree, &plan, progress).write_all();
    written.with_context(|| format!("writing {}", path.display()))?;
    Ok(size_bytes)
}

/// Stores little-endian numbers at fixed offsets of an on-disk structure.
fn put_u16(bytes: &mut [u8], offset: usize, value: u16) {
    bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}
