//! `Writer`: puts data, block maps and inodes where the plan leaves room for them.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use super::allocation::{Blocks, Set};
use super::directory::{self, FileType, Place, Target};
use super::plan::{DIRECT, FAST_SYMLINK_BYTES_MAX, LOST_AND_FOUND, LOST_AND_FOUND_INODE, POINTERS, Plan, Planned};
use super::tables::Tables;
use super::{BLOCK_BYTES, INODE_BYTES, plan, put_u16, put_u32, xattr};
use crate::image::tree::{Content, Data, DeviceKind, Metadata, Tree};
use crate::progress::Progress;

/// Data copied at a time.
const COPY_BYTES: usize = 1 << 20;
const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
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
    tree: &'a Tree,
    plan: &'a Plan,
    progress: &'a Progress,
    blocks: Blocks<'a>,
}

impl<'a> Writer<'a> {
    pub fn new(image: &'a File, tree: &'a Tree, plan: &'a Plan, progress: &'a Progress) -> Self {
        Writer { image, tree, plan, progress, blocks: Blocks::new(&plan.geometry) }
    }

    /// Writes the whole file system.
    pub fn write_all(mut self) -> Result<()> {
        self.progress.start("writing the file system", self.plan.data_bytes);
        self.write_lost_and_found()?;
        // Blocks of directories, which get them from several layers.
        let mut directories = HashMap::new();
        for layer in &self.plan.layers {
            for (position, count) in &layer.directory_blocks {
                let blocks: &mut Vec<u32> = directories.entry(*position).or_default();
                self.take(self.plan.nodes[*position].links > 0, *count, blocks)?;
            }
            for planned in &self.plan.nodes[layer.nodes.clone()] {
                self.write_node(planned)?;
            }
        }
        // Last, since their attributes may be of any layer: these then move nothing else.
        for (position, planned) in self.plan.nodes.iter().enumerate().filter(|(_, planned)| planned.links > 0) {
            if let Some(blocks) = directories.remove(&position) {
                self.write_directory(planned, blocks)?;
            }
        }
        self.progress.finish();
        self.write_tables()
    }

    /// Takes `count` blocks, or leaves them free if what would have them is gone.
    fn take(&mut self, is_there: bool, count: u64, taken: &mut Vec<u32>) -> Result<()> {
        for _ in 0..count {
            if is_there {
                taken.push(self.blocks.take()?);
            } else {
                self.blocks.skip()?;
            }
        }
        Ok(())
    }

    fn write_tables(self) -> Result<()> {
        let mut inodes = Set::default();
        let mut directories = vec![LOST_AND_FOUND_INODE];
        inodes.insert(LOST_AND_FOUND_INODE.into());
        for planned in self.plan.nodes.iter().filter(|planned| planned.links > 0) {
            inodes.insert(planned.inode.into());
            if let Content::Directory(_) = self.tree.node(planned.node).content {
                directories.push(planned.inode);
            }
        }
        let time_s = self.plan.newest_mtime_s as u32;
        let blocks = self.blocks.used();
        Tables { geometry: &self.plan.geometry, blocks, inodes, directories, time_s }.write(self.image)
    }

    fn write_lost_and_found(&mut self) -> Result<()> {
        let (blocks, body) = self.map(BLOCK_BYTES as u64, 0o040_000)?;
        self.write_block(blocks[0], &directory::lost_and_found(plan::ROOT_INODE))?;
        let metadata = Metadata { mtime_s: self.plan.newest_mtime_s, ..Metadata::of_root(0o700) };
        self.write_inode(LOST_AND_FOUND_INODE, 2, &metadata, body)
    }

    /// Writes anything but a directory.
    fn write_node(&mut self, planned: &Planned) -> Result<()> {
        let node = self.tree.node(planned.node);
        if let Content::Directory(_) = node.content {
            return Ok(());
        }
        if planned.links == 0 {
            return self.take(false, plan::file_blocks(node)?, &mut Vec::new());
        }
        let body = match &node.content {
            Content::File(data) => self.write_file(data)?,
            Content::Symlink(to) => self.write_symlink(to)?,
            Content::Device { kind, major, minor } => device(*kind, *major, *minor),
            Content::Fifo | Content::Directory(_) => Body::without_data(0o010_000),
        };
        self.write_inode(planned.inode, planned.links, &node.metadata, body)
    }

    fn write_directory(&mut self, planned: &Planned, blocks: Vec<u32>) -> Result<()> {
        let packed: Vec<_> = directory::blocks(self.tree, planned.node).collect();
        let mut given = blocks.into_iter();
        let mut next = || given.next().context("a directory was planned too small");
        let size = (packed.len() * BLOCK_BYTES) as u64;
        let (blocks, body) = map(self.image, size, 0o040_000, &mut next)?;
        for (packed, block) in packed.iter().zip(blocks) {
            let entries: Vec<_> = packed.places.iter().filter_map(|place| self.entry(planned, place)).collect();
            write_block(self.image, block, &directory::block(&entries))?;
        }
        self.write_inode(planned.inode, planned.links, &self.tree.node(planned.node).metadata, body)
    }

    /// Name, inode and type of what `place` in the directory `planned` stands for.
    fn entry<'p>(&self, planned: &Planned, place: &Place<'p>) -> Option<(&'p [u8], u32, u8)> {
        let own = |inode| Some((place.name, inode, FileType::DIRECTORY));
        match (place.target, place.name) {
            (Target::Gone, _) => None,
            (Target::Node(node), name) => {
                Some((name, self.plan.inode(node), FileType::of(&self.tree.node(node).content)))
            }
            (Target::Own, b".") => own(planned.inode),
            (Target::Own, LOST_AND_FOUND) => own(LOST_AND_FOUND_INODE),
            (Target::Own, _) => own(planned.parent_inode),
        }
    }

    fn write_file(&mut self, data: &Data) -> Result<Body> {
        let (blocks, body) = self.map(data.len(), 0o100_000)?;
        let mut buffer = vec![0; COPY_BYTES.min(data.len() as usize)];
        let mut position = 0;
        for run in blocks.chunks(COPY_BYTES / BLOCK_BYTES) {
            let len = (data.len() - position).min((run.len() * BLOCK_BYTES) as u64) as usize;
            // The image is sparse: zeros are there already.
            if !data.is_hole(position, len as u64) {
                data.read_at(position, &mut buffer[..len]).context("a layer ends in the middle of a file")?;
                for (piece, block) in buffer[..len].chunks(BLOCK_BYTES).zip(run) {
                    if *piece != ZEROS[..piece.len()] {
                        self.write_block(*block, piece)?;
                    }
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

    /// Takes and maps blocks for `size` bytes; returns them in order.
    fn map(&mut self, size: u64, format: u16) -> Result<(Vec<u32>, Body)> {
        map(self.image, size, format, &mut || self.blocks.take())
    }

    fn write_block(&self, block: u32, bytes: &[u8]) -> Result<()> {
        write_block(self.image, block, bytes)
    }

    fn write_inode(&mut self, number: u32, links: u32, metadata: &Metadata, mut body: Body) -> Result<()> {
        let mut xattr_block = 0;
        if let Some(bytes) = xattr::block(&metadata.xattrs)? {
            xattr_block = self.blocks.take()?;
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

/// Maps blocks for `size` bytes that `next` gives; returns them in order.
fn map(image: &File, size: u64, format: u16, next: &mut dyn FnMut() -> Result<u32>) -> Result<(Vec<u32>, Body)> {
    let count = size.div_ceil(BLOCK_BYTES as u64);
    let mut mapping = Mapping { image, next, count, blocks: Vec::with_capacity(count as usize), used: 0 };
    let mut pointers = [0; INODE_POINTERS];
    for (position, pointer) in pointers.iter_mut().enumerate() {
        if (mapping.blocks.len() as u64) < count {
            *pointer = mapping.level((position as u64 + 1).saturating_sub(DIRECT) as u32)?;
        }
    }
    ensure!(mapping.blocks.len() as u64 == count, "a file of {size} bytes is too large for ext2");
    Ok((mapping.blocks, Body { format, size, blocks: mapping.used, pointers }))
}

/// A block map in the making. A block of numbers comes before those it lists, on the disk too.
struct Mapping<'a> {
    image: &'a File,
    next: &'a mut dyn FnMut() -> Result<u32>,
    /// Blocks of data wanted.
    count: u64,
    /// Those there are.
    blocks: Vec<u32>,
    /// These and blocks of numbers.
    used: u64,
}

impl Mapping<'_> {
    /// A block of data (level 0) or a block of numbers with all below it.
    fn level(&mut self, level: u32) -> Result<u32> {
        let block = (self.next)()?;
        self.used += 1;
        if level == 0 {
            self.blocks.push(block);
            return Ok(block);
        }
        let mut numbers = [0; BLOCK_BYTES];
        for position in 0..POINTERS as usize {
            if self.blocks.len() as u64 == self.count {
                break;
            }
            put_u32(&mut numbers, position * 4, self.level(level - 1)?);
        }
        write_block(self.image, block, &numbers)?;
        Ok(block)
    }
}

fn write_block(image: &File, block: u32, bytes: &[u8]) -> Result<()> {
    Ok(image.write_all_at(bytes, u64::from(block) * BLOCK_BYTES as u64)?)
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
