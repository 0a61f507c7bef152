//! `Writer`: puts data, block maps and inodes where the plan leaves room for them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use super::directory::{self, FileType};
use super::plan::{DIRECT, FAST_SYMLINK_BYTES_MAX, LOST_AND_FOUND, LOST_AND_FOUND_INODE, POINTERS, Plan, Planned};
use super::tables::Tables;
use super::{BLOCK_BYTES, INODE_BYTES, plan, put_u16, put_u32, xattr};
use crate::image::tree::{Content, Data, DeviceKind, Metadata, Tree};
use crate::progress::Progress;

/// Data copied at a time.
const COPY_BYTES: usize = 1 << 20;
/// Places for block numbers in an inode.
const INODE_POINTERS: usize = 15;
/// Bytes beyond the classic inode that are in use: the fields up to the creation time.
const EXTRA_BYTES: u16 = 32;

/// The part of an inode that says what it is and where its data are.
struct Body {
    /// `S_IF…`
    format: u16,
    size: u64,
    /// Blocks in use, maps included.
    blocks: u64,
    pointers: [u32; INODE_POINTERS],
}

impl Body {
    fn without_data(format: u16) -> Self {
        Body { format, size: 0, blocks: 0, pointers: [0; INODE_POINTERS] }
    }
}

pub struct Writer<'a> {
    image: &'a File,
    plan: &'a Plan,
    progress: &'a Progress,
    next_block: u64,
}

impl<'a> Writer<'a> {
    pub fn new(image: &'a File, plan: &'a Plan, progress: &'a Progress) -> Self {
        Writer { image, plan, progress, next_block: plan.geometry.first_data_block(0) }
    }

    /// Writes the whole file system.
    pub fn write_all(mut self, tree: &Tree) -> Result<()> {
        self.progress.start("writing the file system", self.plan.data_bytes);
        self.write_lost_and_found()?;
        for planned in &self.plan.nodes {
            self.write_node(tree, planned)?;
        }
        let is_directory = |planned: &&Planned| matches!(tree.node(planned.node).content, Content::Directory(_));
        let directories = self.plan.nodes.iter().filter(is_directory).map(|planned| planned.inode);
        let tables = Tables {
            geometry: &self.plan.geometry,
            next_block: self.next_block,
            last_inode: LOST_AND_FOUND_INODE + self.plan.nodes.len() as u32 - 1,
            directories: directories.chain([LOST_AND_FOUND_INODE]).collect(),
            time_s: self.plan.newest_mtime_s as u32,
        };
        tables.write(self.image)?;
        self.progress.finish();
        Ok(())
    }

    fn write_lost_and_found(&mut self) -> Result<()> {
        let (blocks, body) = self.map(BLOCK_BYTES as u64, 0o040_000)?;
        self.write_block(blocks[0], &directory::lost_and_found(plan::ROOT_INODE))?;
        let metadata = Metadata { mtime_s: self.plan.newest_mtime_s, ..Metadata::of_root(0o700) };
        self.write_inode(LOST_AND_FOUND_INODE, 2, &metadata, body)
    }

    fn write_node(&mut self, tree: &Tree, planned: &Planned) -> Result<()> {
        let node = tree.node(planned.node);
        let body = match &node.content {
            Content::Directory(_) => self.write_directory(tree, planned)?,
            Content::File(data) => self.write_file(data)?,
            Content::Symlink(to) => self.write_symlink(to)?,
            Content::Device { kind, major, minor } => device(*kind, *major, *minor),
            Content::Fifo => Body::without_data(0o010_000),
        };
        self.write_inode(planned.inode, planned.links, &node.metadata, body)
    }

    fn write_directory(&mut self, tree: &Tree, planned: &Planned) -> Result<Body> {
        let packed: Vec<_> = directory::entry_blocks(tree, planned.node).collect();
        let (blocks, body) = self.map((packed.len() * BLOCK_BYTES) as u64, 0o040_000)?;
        for (entries, block) in packed.iter().zip(blocks) {
            let entries: Vec<_> = entries
                .iter()
                .map(|entry| match (entry.node, entry.name) {
                    (Some(node), name) => (name, self.plan.inodes[&node], FileType::of(&tree.node(node).content)),
                    (None, b".") => (entry.name, planned.inode, FileType::DIRECTORY),
                    (None, LOST_AND_FOUND) => (entry.name, LOST_AND_FOUND_INODE, FileType::DIRECTORY),
                    (None, _) => (entry.name, planned.parent_inode, FileType::DIRECTORY),
                })
                .collect();
            self.write_block(block, &directory::block(&entries))?;
        }
        Ok(body)
    }

    fn write_file(&mut self, data: &Data) -> Result<Body> {
        let (blocks, body) = self.map(data.len(), 0o100_000)?;
        let mut buffer = vec![0; COPY_BYTES.min(data.len() as usize)];
        let mut position = 0;
        for run in blocks.chunks(COPY_BYTES / BLOCK_BYTES) {
            let len = (data.len() - position).min((run.len() * BLOCK_BYTES) as u64) as usize;
            data.read_at(position, &mut buffer[..len]).context("a layer ends in the middle of a file")?;
            for (piece, block) in buffer[..len].chunks(BLOCK_BYTES).zip(run) {
                // The image is sparse: zeros are there already.
                if piece.iter().any(|byte| *byte != 0) {
                    self.write_block(*block, piece)?;
                }
            }
            position += len as u64;
            self.progress.add(len as u64);
        }
        Ok(body)
    }

    fn write_symlink(&mut self, to: &[u8]) -> Result<Body> {
        ensure!(!to.is_empty() && to.len() < BLOCK_BYTES, "a symbolic link's target has {} bytes", to.len());
        if to.len() > FAST_SYMLINK_BYTES_MAX {
            let (blocks, body) = self.map(to.len() as u64, 0o120_000)?;
            self.write_block(blocks[0], to)?;
            return Ok(body);
        }
        let mut bytes = [0; INODE_POINTERS * 4];
        bytes[..to.len()].copy_from_slice(to);
        let mut body = Body { size: to.len() as u64, ..Body::without_data(0o120_000) };
        for (pointer, word) in body.pointers.iter_mut().zip(bytes.chunks_exact(4)) {
            *pointer = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        }
        Ok(body)
    }

    /// Allocates and maps blocks for `size` bytes; returns them in order.
    fn map(&mut self, size: u64, format: u16) -> Result<(Vec<u32>, Body)> {
        let count = size.div_ceil(BLOCK_BYTES as u64);
        let mut blocks = Vec::with_capacity(count as usize);
        let mut body = Body { format, size, blocks: 0, pointers: [0; INODE_POINTERS] };
        for (position, pointer) in body.pointers.iter_mut().enumerate() {
            if (blocks.len() as u64) < count {
                let level = (position as u64 + 1).saturating_sub(DIRECT) as u32;
                *pointer = self.map_level(level, count, &mut blocks, &mut body.blocks)?;
            }
        }
        ensure!(blocks.len() as u64 == count, "a file of {size} bytes is too large for ext2");
        Ok((blocks, body))
    }

    /// Allocates a block of data (level 0) or a block of numbers, and all below it, until `count` data blocks.
    fn map_level(&mut self, level: u32, count: u64, blocks: &mut Vec<u32>, used: &mut u64) -> Result<u32> {
        let block = self.allocate()?;
        *used += 1;
        if level == 0 {
            blocks.push(block);
            return Ok(block);
        }
        let mut numbers = [0; BLOCK_BYTES];
        for position in 0..POINTERS as usize {
            if blocks.len() as u64 == count {
                break;
            }
            put_u32(&mut numbers, position * 4, self.map_level(level - 1, count, blocks, used)?);
        }
        self.write_block(block, &numbers)?;
        Ok(block)
    }

    fn allocate(&mut self) -> Result<u32> {
        let geometry = &self.plan.geometry;
        let block = self.next_block;
        ensure!(block < geometry.blocks, "the disk was planned too small");
        self.next_block += 1;
        let group = self.next_block / super::geometry::BLOCKS_PER_GROUP;
        if group < geometry.groups && self.next_block == geometry.first_block(group) {
            self.next_block = geometry.first_data_block(group);
        }
        Ok(block as u32)
    }

    fn write_block(&self, block: u32, bytes: &[u8]) -> Result<()> {
        Ok(self.image.write_all_at(bytes, u64::from(block) * BLOCK_BYTES as u64)?)
    }

    fn write_inode(&mut self, number: u32, links: u32, metadata: &Metadata, mut body: Body) -> Result<()> {
        let mut xattr_block = 0;
        if let Some(bytes) = xattr::block(&metadata.xattrs)? {
            xattr_block = self.allocate()?;
            self.write_block(xattr_block, &bytes)?;
            body.blocks += 1;
        }
        let mut bytes = [0; INODE_BYTES];
        put_u16(&mut bytes, 0, body.format | metadata.mode);
        put_u16(&mut bytes, 2, metadata.uid as u16);
        put_u32(&mut bytes, 4, body.size as u32);
        put_u16(&mut bytes, 24, metadata.gid as u16);
        put_u16(&mut bytes, 26, links as u16);
        put_u32(&mut bytes, 28, u32::try_from(body.blocks * (BLOCK_BYTES as u64 / 512)).context("a file over 2 TiB")?);
        for (position, pointer) in body.pointers.iter().enumerate() {
            put_u32(&mut bytes, 40 + position * 4, *pointer);
        }
        put_u32(&mut bytes, 104, xattr_block);
        put_u32(&mut bytes, 108, (body.size >> 32) as u32);
        put_u16(&mut bytes, 120, (metadata.uid >> 16) as u16);
        put_u16(&mut bytes, 122, (metadata.gid >> 16) as u16);
        put_u16(&mut bytes, 128, EXTRA_BYTES);
        // Access, change and modification time, each with two more bits of seconds for the time after 2038.
        for (offset, extra_offset) in [(8, 140), (12, 132), (16, 136)] {
            put_u32(&mut bytes, offset, metadata.mtime_s as u32);
            let epoch = (metadata.mtime_s - i64::from(metadata.mtime_s as i32)) >> 32;
            put_u32(&mut bytes, extra_offset, epoch as u32 & 3);
        }
        Ok(self.image.write_all_at(&bytes, self.plan.geometry.inode_offset(number))?)
    }
}

/// Small numbers in Linux's old form, others in the new one, each in its own place.
fn device(kind: DeviceKind, major: u32, minor: u32) -> Body {
    let mut body = Body::without_data(match kind {
        DeviceKind::Character => 0o020_000,
        DeviceKind::Block => 0o060_000,
    });
    if major < 256 && minor < 256 {
        body.pointers[0] = major << 8 | minor;
    } else {
        body.pointers[1] = (minor & 0xff) | major << 8 | (minor & !0xff) << 12;
    }
    body
}
