//! `Plan`: everything that must be known before the first byte is written: which nodes there are, their inode
//! numbers, link counts, and how large the disk has to be.
//!
//! What a layer brings is numbered and placed behind all that the layers below it brought, whether that is still there or
//! not. So numbers and places of a layer don't depend on the layers above it.

use std::ops::Range;

use anyhow::{Result, bail};

use super::geometry::Geometry;
use super::{BLOCK_BYTES, FreeSpace, directory, xattr};
use crate::image::tree::{Content, Node, NodeId, Tree};

/// Fixed by the format.
pub const ROOT_INODE: u32 = 2;
/// First inode number that is not reserved; e2fsck's rescue directory, as every mke2fs gives it.
pub const LOST_AND_FOUND_INODE: u32 = 11;
pub const LOST_AND_FOUND: &[u8] = b"lost+found";
/// `EXT2_LINK_MAX`
const LINKS_MAX: u32 = 32_000;
/// Numbers in an indirect block.
pub const POINTERS: u64 = (BLOCK_BYTES / 4) as u64;
/// Blocks an inode maps itself.
pub const DIRECT: u64 = 12;
/// Longest target of a link that lies in its inode.
pub const FAST_SYMLINK_BYTES_MAX: usize = 59;

/// A node that has, or had in some layer, a place in the image.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub node: NodeId,
    pub inode: u32,
    /// Names it has; none if it is gone: then its place stays free.
    pub links: u32,
    /// The directory that has it; for files with several names, any.
    pub parent_inode: u32,
}

/// What a layer adds to the disk.
#[derive(Clone, Debug, Default)]
pub struct PlannedLayer {
    /// Directories that get blocks, own ones and those of layers below: position among the nodes, and how many, those of
    /// the block map included.
    pub directory_blocks: Vec<(usize, u64)>,
    /// Positions of its own nodes.
    pub nodes: Range<usize>,
}

/// See the module.
pub struct Plan {
    pub geometry: Geometry,
    /// Layer after layer; in each directories first, then the rest, each in the order of a walk.
    pub nodes: Vec<Planned>,
    pub layers: Vec<PlannedLayer>,
    /// Inode numbers by the node's index; 0 for those without.
    inodes: Vec<u32>,
    pub newest_mtime_s: i64,
    pub data_bytes: u64,
}

impl Plan {
    /// Plans `tree`, whose last layer has ended.
    pub fn new(tree: &Tree, free: FreeSpace) -> Result<Self> {
        let (nodes, mut layers, inodes) = number(tree)?;
        let (mut blocks, mut data_bytes, mut newest_mtime_s) = (1, 0, 0); // One for lost+found.
        for (position, planned) in nodes.iter().enumerate() {
            let node = tree.node(planned.node);
            blocks += match &node.content {
                Content::Directory(_) => plan_directory(tree, position, planned.node, &mut layers),
                _ => file_blocks(node)?,
            };
            if planned.links == 0 {
                continue;
            }
            if let Content::Directory(_) = node.content {
                blocks += xattr_blocks(node)?;
            }
            newest_mtime_s = newest_mtime_s.max(node.metadata.mtime_s);
            if let Content::File(data) = &node.content {
                data_bytes += data.len();
            }
        }
        let free_bytes = free.min_bytes.max(blocks * BLOCK_BYTES as u64 / 100 * free.percent);
        let free_blocks = free_bytes.div_ceil(BLOCK_BYTES as u64);
        let inodes_needed = u64::from(LOST_AND_FOUND_INODE) + nodes.len() as u64;
        let inodes_wanted = inodes_needed + inodes_needed / 100 * free.percent;
        let geometry = Geometry::new(inodes_wanted, blocks + free_blocks)?;
        Ok(Plan { geometry, nodes, layers, inodes, newest_mtime_s, data_bytes })
    }

    /// The inode number of a node that has a place.
    pub fn inode(&self, node: NodeId) -> u32 {
        self.inodes[node.index()]
    }
}

/// Gives every node of every layer a number, in the order they came, and counts the names it has now.
fn number(tree: &Tree) -> Result<(Vec<Planned>, Vec<PlannedLayer>, Vec<u32>)> {
    let mut nodes: Vec<Planned> = Vec::new();
    let mut layers = Vec::new();
    // Number and position of a node follow from each other.
    let mut inodes = vec![0; tree.node_count()];
    let position_of = |inode: u32| if inode == ROOT_INODE { 0 } else { (inode - LOST_AND_FOUND_INODE) as usize };
    for layer in tree.layers() {
        let first = nodes.len();
        for node in layer {
            let inode = match nodes.len() {
                0 => ROOT_INODE,
                position => LOST_AND_FOUND_INODE + position as u32,
            };
            inodes[node.index()] = inode;
            nodes.push(Planned { node: *node, inode, links: 0, parent_inode: ROOT_INODE });
        }
        layers.push(PlannedLayer { directory_blocks: Vec::new(), nodes: first..nodes.len() });
    }
    // The root is its own parent; lost+found names it, too.
    nodes[0].links = 3;
    let mut pending = vec![NodeId::ROOT];
    while let Some(directory) = pending.pop() {
        let parent_inode = inodes[directory.index()];
        for (name, child) in tree.entries(directory) {
            if directory == NodeId::ROOT && name == LOST_AND_FOUND {
                continue; // Every file system has its own.
            }
            let planned = &mut nodes[position_of(inodes[child.index()])];
            planned.parent_inode = parent_inode;
            planned.links += 1;
            if let Content::Directory(_) = tree.node(child).content {
                planned.links += 1;
                nodes[position_of(parent_inode)].links += 1;
                pending.push(child);
            }
        }
    }
    match nodes.iter().find(|planned| planned.links > LINKS_MAX) {
        Some(planned) => bail!("a file or directory with {} links; ext2 allows {LINKS_MAX}", planned.links),
        None => Ok((nodes, layers, inodes)),
    }
}

/// Notes in which layers a directory gets its blocks; returns their number.
fn plan_directory(tree: &Tree, position: usize, node: NodeId, layers: &mut [PlannedLayer]) -> u64 {
    let own_layer = layers.partition_point(|layer| layer.nodes.end <= position);
    let (mut data, mut all) = (0, 0);
    for block in directory::blocks(tree, node) {
        data += 1;
        let added = data + indirect_blocks(data) - all;
        all += added;
        let list = &mut layers[block.layer.unwrap_or(own_layer)].directory_blocks;
        match list.last_mut() {
            Some((last, count)) if *last == position => *count += added,
            _ => list.push((position, added)),
        }
    }
    all
}

/// Blocks of anything but a directory: data, block map, attributes.
pub fn file_blocks(node: &Node) -> Result<u64> {
    let data = match &node.content {
        Content::File(data) => data.len().div_ceil(BLOCK_BYTES as u64),
        Content::Symlink(to) => u64::from(to.len() > FAST_SYMLINK_BYTES_MAX),
        Content::Directory(_) | Content::Device { .. } | Content::Fifo => 0,
    };
    Ok(data + indirect_blocks(data) + xattr_blocks(node)?)
}

fn xattr_blocks(node: &Node) -> Result<u64> {
    Ok(u64::from(xattr::block(&node.metadata.xattrs)?.is_some()))
}

/// Blocks needed to map `data` blocks.
fn indirect_blocks(data: u64) -> u64 {
    let single = data.saturating_sub(DIRECT).div_ceil(POINTERS);
    let double = data.saturating_sub(DIRECT + POINTERS).div_ceil(POINTERS * POINTERS);
    let triple = data.saturating_sub(DIRECT + POINTERS + POINTERS * POINTERS).div_ceil(POINTERS.pow(3));
    // A triply mapped file has a second level of indirect blocks under its third.
    let under_triple = data.saturating_sub(DIRECT + POINTERS + POINTERS * POINTERS).div_ceil(POINTERS * POINTERS);
    single + double.min(1) + under_triple + triple
}
