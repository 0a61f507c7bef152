//! Packing directory entries (`struct ext2_dir_entry_2`) into blocks.

use super::plan::{LOST_AND_FOUND, LOST_AND_FOUND_INODE};
use super::{BLOCK_BYTES, put_u16, put_u32};
use crate::image::tree::{Content, DeviceKind, NodeId, Tree};

/// inode, record length, name length, file type.
const HEADER_BYTES: usize = 8;

/// A name in a directory.
pub struct Place<'a> {
    pub name: &'a [u8],
    pub target: Target,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// One of the names that a directory has by itself.
    Own,
    Node(NodeId),
    /// Nothing any more.
    Gone,
}

/// Names that share a block of a directory.
pub struct Block<'a> {
    /// The layer that brought the first of them, and the block with it; `None` for the block that came with the directory.
    pub layer: Option<usize>,
    pub places: Vec<Place<'a>>,
}

/// The blocks of the directory `node`. Names of a layer go behind those of the layers below it, so that these stay in
/// their blocks.
pub fn blocks(tree: &Tree, node: NodeId) -> impl Iterator<Item = Block<'_>> {
    let is_root = node == NodeId::ROOT;
    let mut sorted: Vec<_> = tree.places(node).filter(|(_, name, _)| !is_root || *name != LOST_AND_FOUND).collect();
    sorted.sort_by_key(|(layer, ..)| *layer);
    let own: &[&[u8]] = if is_root { &[b".", b"..", LOST_AND_FOUND] } else { &[b".", b".."] };
    let own = own.iter().map(|name| (None, Place { name, target: Target::Own }));
    let named = sorted
        .into_iter()
        .map(|(layer, name, node)| (Some(layer), Place { name, target: node.map_or(Target::Gone, Target::Node) }));
    let mut all = own.chain(named).peekable();
    std::iter::from_fn(move || {
        let (mut layer, mut places, mut used) = (None, Vec::new(), 0);
        while let Some((of, place)) = all.next_if(|(_, place)| used + record_bytes(place.name) <= BLOCK_BYTES) {
            used += record_bytes(place.name);
            if places.is_empty() {
                layer = of;
            }
            places.push(place);
        }
        (!places.is_empty()).then_some(Block { layer, places })
    })
}

/// A block of entries, each with its inode and file type. The last record reaches to the end; a block without entries is
/// one record for nothing.
pub fn block(entries: &[(&[u8], u32, u8)]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    put_u16(&mut block, 4, BLOCK_BYTES as u16);
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
