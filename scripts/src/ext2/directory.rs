//! Packing directory entries (`struct ext2_dir_entry_2`) into blocks.

use super::plan::{LOST_AND_FOUND, LOST_AND_FOUND_INODE};
use super::{BLOCK_BYTES, put_u16, put_u32};
use crate::image::tree::{Content, DeviceKind, NodeId, Tree};

/// inode, record length, name length, file type.
const HEADER_BYTES: usize = 8;

/// An entry before it has a place.
pub struct Entry<'a> {
    pub name: &'a [u8],
    /// `None` for the three names a directory has by itself.
    pub node: Option<NodeId>,
}

/// The entries of `directory` cut into the blocks they go to.
pub fn entry_blocks(tree: &Tree, directory: NodeId) -> impl Iterator<Item = Vec<Entry<'_>>> {
    let own: &[&[u8]] = if directory == NodeId::ROOT { &[b".", b"..", LOST_AND_FOUND] } else { &[b".", b".."] };
    let is_kept = move |name: &[u8]| directory != NodeId::ROOT || name != LOST_AND_FOUND;
    let entries = tree.entries(directory).filter(move |(name, _)| is_kept(name));
    let own = own.iter().map(|name| Entry { name, node: None });
    let mut entries = own.chain(entries.map(|(name, node)| Entry { name, node: Some(node) })).peekable();
    std::iter::from_fn(move || {
        let (mut block, mut used) = (Vec::new(), 0);
        while let Some(entry) = entries.next_if(|entry| used + record_bytes(entry.name) <= BLOCK_BYTES) {
            used += record_bytes(entry.name);
            block.push(entry);
        }
        (!block.is_empty()).then_some(block)
    })
}

/// A block of entries, each with its inode and file type. The last record reaches to the end.
pub fn block(entries: &[(&[u8], u32, u8)]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    let mut offset = 0;
    for (position, (name, inode, file_type)) in entries.iter().enumerate() {
        let is_last = position + 1 == entries.len();
        let len = if is_last { BLOCK_BYTES - offset } else { record_bytes(name) };
        put_u32(&mut block, offset, *inode);
        put_u16(&mut block, offset + 4, len as u16);
        block[offset + 6] = name.len() as u8;
        block[offset + 7] = *file_type;
        block[offset + HEADER_BYTES..offset + HEADER_BYTES + name.len()].copy_from_slice(name);
        offset += len;
    }
    block
}

/// The whole of a directory that is empty, as lost+found is.
pub fn lost_and_found(root_inode: u32) -> [u8; BLOCK_BYTES] {
    let directory = FileType::DIRECTORY;
    block(&[(b".", LOST_AND_FOUND_INODE, directory), (b"..", root_inode, directory)])
}

fn record_bytes(name: &[u8]) -> usize {
    (HEADER_BYTES + name.len()).next_multiple_of(4)
}

/// `EXT2_FT_…`
pub struct FileType;

impl FileType {
    pub const DIRECTORY: u8 = 2;

    pub fn of(content: &Content) -> u8 {
        match content {
            Content::File(_) => 1,
            Content::Directory(_) => Self::DIRECTORY,
            Content::Device { kind: DeviceKind::Character, .. } => 3,
            Content::Device { kind: DeviceKind::Block, .. } => 4,
            Content::Fifo => 5,
            Content::Symlink(_) => 7,
        }
    }
}
