//! `Plan`: everything that must be known before the first byte is written: which nodes there are, their inode
//! numbers, link counts, and how large the disk has to be.

use std::collections::HashMap;

use anyhow::{Result, bail};

use super::geometry::Geometry;
use super::{BLOCK_BYTES, FreeSpace, directory, xattr};
use crate::image::tree::{Content, NodeId, Tree};

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

/// A node and its place in the image.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub node: NodeId,
    pub inode: u32,
    /// The directory that has it; for files with several names, any.
    pub parent_inode: u32,
    pub links: u32,
}

/// See the module.
pub struct Plan {
    pub geometry: Geometry,
    /// Directories first, then the rest, each in the order of a walk.
    pub nodes: Vec<Planned>,
    pub inodes: HashMap<NodeId, u32>,
    pub newest_mtime_s: i64,
    pub data_bytes: u64,
}

impl Plan {
    pub fn new(tree: &Tree, free: FreeSpace) -> Result<Self> {
        let mut nodes = walk(tree)?;
        nodes.sort_by_key(|planned| !is_directory(tree, planned.node));
        let inodes: HashMap<_, _> = nodes.iter().map(|planned| (planned.node, planned.inode)).collect();
        let (mut blocks, mut data_bytes, mut newest_mtime_s) = (1, 0, 0); // One for lost+found.
        for planned in &nodes {
            blocks += blocks_of(tree, planned)?;
            let node = tree.node(planned.node);
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
        Ok(Plan { geometry, nodes, inodes, newest_mtime_s, data_bytes })
    }
}

fn is_directory(tree: &Tree, node: NodeId) -> bool {
    matches!(tree.node(node).content, Content::Directory(_))
}

/// Numbers all reachable nodes.
fn walk(tree: &Tree) -> Result<Vec<Planned>> {
    let mut nodes = vec![Planned { node: NodeId::ROOT, inode: ROOT_INODE, parent_inode: ROOT_INODE, links: 3 }];
    let mut positions = HashMap::from([(NodeId::ROOT, 0)]);
    let mut pending = vec![0];
    while let Some(directory) = pending.pop() {
        let Planned { node, inode: parent_inode, .. } = nodes[directory];
        let mut subdirectories = Vec::new();
        for (name, child) in tree.entries(node) {
            if node == NodeId::ROOT && name == LOST_AND_FOUND {
                continue; // Every file system has its own.
            }
            if let Some(position) = positions.get(&child) {
                nodes[*position].links += 1;
                continue;
            }
            let position = nodes.len();
            let inode = LOST_AND_FOUND_INODE + position as u32;
            let is_directory = is_directory(tree, child);
            nodes.push(Planned { node: child, inode, parent_inode, links: if is_directory { 2 } else { 1 } });
            positions.insert(child, position);
            if is_directory {
                nodes[directory].links += 1;
                subdirectories.push(position);
            }
        }
        pending.extend(subdirectories.into_iter().rev());
    }
    match nodes.iter().find(|planned| planned.links > LINKS_MAX) {
        Some(planned) => bail!("a file or directory with {} links; ext2 allows {LINKS_MAX}", planned.links),
        None => Ok(nodes),
    }
}

fn blocks_of(tree: &Tree, planned: &Planned) -> Result<u64> {
    let node = tree.node(planned.node);
    let data = match &node.content {
        Content::Directory(_) => directory::entry_blocks(tree, planned.node).count() as u64,
        Content::File(data) => data.len().div_ceil(BLOCK_BYTES as u64),
        Content::Symlink(to) => u64::from(to.len() > FAST_SYMLINK_BYTES_MAX),
        Content::Device { .. } | Content::Fifo => 0,
    };
    let xattr = u64::from(xattr::block(&node.metadata.xattrs)?.is_some());
    Ok(data + indirect_blocks(data) + xattr)
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
