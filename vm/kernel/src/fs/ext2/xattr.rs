//! Extended attributes: in the inode after its extra part, and in a block of their own.
//!
//! An entry is `name length: u8, name index: u8, value offset: u16, value inode: u32 (unused), value length: u32,
//! hash: u32`, then the name without its prefix, which the index stands for. Entries grow from the start of their
//! area, values from its end. In a block, entries are sorted and hashed, and inodes may share it.

use super::bytes::{set_u16, set_u32, u16_at, u32_at};
use super::inode::{BASE_LEN, Inode, inode_number};
use super::superblock::field;
use super::{Ext2, corrupt, features};
use crate::stop::Outcome;
use crate::vfs::Ino;
use abi::Errno;

/// Marks an area in an inode and a block.
const MAGIC: u32 = 0xea02_0000;
/// Bytes of the mark in an inode.
const INODE_HEADER_LEN: usize = 4;
/// Bytes of a block's header: magic, reference count, number of blocks (1), hash, checksum, padding.
const BLOCK_HEADER_LEN: usize = 32;
const REFERENCES: usize = 4;
const ENTRY_LEN: usize = 16;
/// References to a block, so that a damaged count can't grow without end (Linux: `EXT2_XATTR_REFCOUNT_MAX`).
const REFERENCES_MAX: u32 = 1024;

/// Prefixes by name index. ACLs have a format of their own on disk and are left alone.
const PREFIXES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];

/// An attribute as it is on disk.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Attribute {
    index: u8,
    /// The name after its prefix; its length comes first in the order of entries.
    name_len: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Attribute {
    fn new(index: u8, name: &[u8], value: &[u8]) -> Self {
        Self { index, name_len: name.len(), name: name.to_vec(), value: value.to_vec() }
    }

    fn full_name(&self) -> Option<Vec<u8>> {
        let prefix = PREFIXES.iter().find(|prefix| prefix.0 == self.index)?.1;
        Some([prefix, &self.name].concat())
    }

    /// Bytes that it takes, entry and value.
    fn len(&self) -> usize {
        ENTRY_LEN + self.name_len.next_multiple_of(4) + self.value.len().next_multiple_of(4)
    }

    /// The hash of name and value that an entry in a block has.
    fn hash(&self) -> u32 {
        let mut hash = self.name.iter().fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        for word in self.value.chunks(4) {
            let mut bytes = [0; 4];
            bytes[..word.len()].copy_from_slice(word);
            hash = hash.rotate_left(16) ^ u32::from_le_bytes(bytes);
        }
        hash
    }
}

/// The index for the prefix of a full name, and the rest.
fn split_name(name: &[u8]) -> Outcome<(u8, &[u8])> {
    for (index, prefix) in PREFIXES {
        if let Some(rest) = name.strip_prefix(prefix) {
            return if rest.is_empty() { Err(Errno::EINVAL.into()) } else { Ok((index, rest)) };
        }
    }
    Err(Errno::EOPNOTSUPP.into())
}

/// Reads the attributes whose entries start at `first` of an area; value offsets count from `base`.
fn parse(area: &[u8], first: usize, base: usize, all: &mut Vec<Attribute>) -> Outcome<()> {
    let mut at = first;
    // Four zero bytes end the list; so does the end of the area.
    while at + 4 <= area.len() && u32_at(area, at) != 0 {
        if at + ENTRY_LEN > area.len() {
            return corrupt();
        }
        let (name_len, index) = (usize::from(area[at]), area[at + 1]);
        let value_at = base + usize::from(u16_at(area, at + 2));
        let value_len = u32_at(area, at + 8) as usize;
        let name = area.get(at + ENTRY_LEN..at + ENTRY_LEN + name_len);
        let value = if value_len == 0 { Some(&[][..]) } else { area.get(value_at..value_at.saturating_add(value_len)) };
        let (Some(name), Some(value)) = (name, value) else { return corrupt() };
        all.push(Attribute::new(index, name, value));
        at += ENTRY_LEN + name_len.next_multiple_of(4);
    }
    Ok(())
}

/// Writes attributes, which fit, into an area that is zero from `first` on. Returns the hashes.
fn fill(area: &mut [u8], first: usize, base: usize, all: &[Attribute], hashed: bool) -> Vec<u32> {
    let (mut at, mut value_at) = (first, area.len());
    for attribute in all {
        area[at] = attribute.name_len as u8;
        area[at + 1] = attribute.index;
        if !attribute.value.is_empty() {
            value_at -= attribute.value.len().next_multiple_of(4);
            set_u16(area, at + 2, (value_at - base) as u16);
            area[value_at..value_at + attribute.value.len()].copy_from_slice(&attribute.value);
        }
        set_u32(area, at + 8, attribute.value.len() as u32);
        set_u32(area, at + 12, if hashed { attribute.hash() } else { 0 });
        area[at + ENTRY_LEN..at + ENTRY_LEN + attribute.name_len].copy_from_slice(&attribute.name);
        at += ENTRY_LEN + attribute.name_len.next_multiple_of(4);
    }
    all.iter().map(Attribute::hash).collect()
}

impl Ext2 {
    /// Where in its bytes an inode's attributes can be, mark included.
    fn inode_area(&self, inode: &Inode) -> Option<std::ops::Range<usize>> {
        let area = BASE_LEN + usize::from(inode.extra_len)..self.layout.inode_size;
        (inode.extra_len > 0 && area.len() >= INODE_HEADER_LEN + ENTRY_LEN).then_some(area)
    }

    /// All attributes of an inode: those in it, those in its block.
    fn attributes_of(&mut self, inode: &Inode) -> Outcome<Vec<Attribute>> {
        let mut all = Vec::new();
        if let Some(area) = self.inode_area(inode) {
            let (block, at) = self.inode_place(inode.ino)?;
            let bytes = self.store.read(block)?;
            let area = &bytes[at + area.start..at + area.end];
            if u32_at(area, 0) == MAGIC {
                parse(area, INODE_HEADER_LEN, INODE_HEADER_LEN, &mut all)?;
            }
        }
        if inode.xattr_block != 0 {
            let bytes = self.xattr_block(inode)?;
            parse(&bytes, BLOCK_HEADER_LEN, 0, &mut all)?;
        }
        Ok(all)
    }

    fn xattr_block(&mut self, inode: &Inode) -> Outcome<std::rc::Rc<[u8]>> {
        if !self.layout.is_data_block(inode.xattr_block) {
            return corrupt();
        }
        let bytes = self.store.read(inode.xattr_block)?;
        if u32_at(&bytes, 0) == MAGIC && u32_at(&bytes, 8) == 1 { Ok(bytes) } else { corrupt() }
    }

    pub(super) fn xattr(&mut self, ino: Ino, name: &[u8]) -> Outcome<Vec<u8>> {
        let (index, name) = split_name(name)?;
        let inode = self.inode(inode_number(ino)?)?;
        let all = self.attributes_of(&inode)?;
        let found = all.into_iter().find(|attribute| attribute.index == index && attribute.name == name);
        found.map(|attribute| attribute.value).ok_or(Errno::ENODATA.into())
    }

    pub(super) fn xattr_names(&mut self, ino: Ino) -> Outcome<Vec<Vec<u8>>> {
        let inode = self.inode(inode_number(ino)?)?;
        Ok(self.attributes_of(&inode)?.iter().filter_map(Attribute::full_name).collect())
    }

    /// Sets or removes an attribute, and saves the inode.
    pub(super) fn change_xattr(&mut self, ino: Ino, name: &[u8], value: Option<&[u8]>) -> Outcome<()> {
        let (index, name) = split_name(name)?;
        let mut inode = self.inode(inode_number(ino)?)?;
        let mut all = self.attributes_of(&inode)?;
        let before = all.len();
        all.retain(|attribute| (attribute.index, &*attribute.name) != (index, name));
        match value {
            Some(value) => all.push(Attribute::new(index, name, value)),
            None if all.len() == before => return Err(Errno::ENODATA.into()),
            None => {}
        }
        all.sort();
        self.fill_inode_area(&inode, &mut all)?;
        self.fill_xattr_block(&mut inode, &all)?;
        inode.changed = self.now;
        self.save(&inode)
    }

    /// Puts as many attributes as fit into the inode, and takes them out of `all`.
    fn fill_inode_area(&mut self, inode: &Inode, all: &mut Vec<Attribute>) -> Outcome<()> {
        let Some(area) = self.inode_area(inode) else { return Ok(()) };
        // Four zero bytes end the list.
        let mut room = area.len() - INODE_HEADER_LEN - 4;
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for attribute in all.drain(..) {
            match room.checked_sub(attribute.len()) {
                Some(left) => {
                    room = left;
                    inside.push(attribute);
                }
                None => outside.push(attribute),
            }
        }
        *all = outside;
        let bytes = &mut self.inode_bytes(inode.ino)?[area];
        bytes.fill(0);
        if !inside.is_empty() {
            set_u32(bytes, 0, MAGIC);
            fill(bytes, INODE_HEADER_LEN, INODE_HEADER_LEN, &inside, false);
        }
        Ok(())
    }

    /// Makes the inode's attribute block hold `all`; there is none for none.
    fn fill_xattr_block(&mut self, inode: &mut Inode, all: &[Attribute]) -> Outcome<()> {
        if all.is_empty() {
            return self.drop_xattr_block(inode);
        }
        let need: usize = all.iter().map(Attribute::len).sum();
        if BLOCK_HEADER_LEN + need + 4 > self.layout.block_size {
            return Err(Errno::ENOSPC.into());
        }
        let shared = inode.xattr_block != 0 && u32_at(&self.xattr_block(inode)?, REFERENCES) > 1;
        if shared {
            self.drop_xattr_block(inode)?;
        }
        if inode.xattr_block == 0 {
            let goal = self.layout.group_start((inode.ino - 1) / self.layout.inodes_per_group);
            inode.xattr_block = self.allocate_block(goal)?;
            inode.sectors = inode.sectors.checked_add(self.sectors_per_block()).ok_or(Errno::EFBIG)?;
        }
        let bytes = self.store.write_new(inode.xattr_block, false)?;
        let hashes = fill(bytes, BLOCK_HEADER_LEN, 0, all, true);
        set_u32(bytes, 0, MAGIC);
        set_u32(bytes, REFERENCES, 1);
        set_u32(bytes, 8, 1);
        set_u32(bytes, 12, hashes.iter().fold(0u32, |sum, hash| sum.rotate_left(16) ^ hash));
        let compat = self.counter(field::COMPAT)?;
        if compat & features::EXT_ATTR == 0 {
            self.set_counter(field::COMPAT, compat | features::EXT_ATTR)?;
        }
        Ok(())
    }

    /// Takes the attribute block away from an inode; the last to have it frees it.
    pub(super) fn drop_xattr_block(&mut self, inode: &mut Inode) -> Outcome<()> {
        if inode.xattr_block == 0 {
            return Ok(());
        }
        let references = u32_at(&self.xattr_block(inode)?, REFERENCES);
        if references > REFERENCES_MAX {
            return corrupt();
        }
        if references > 1 {
            set_u32(self.store.write(inode.xattr_block)?, REFERENCES, references - 1);
            inode.sectors = inode.sectors.saturating_sub(self.sectors_per_block());
        } else {
            self.free_of(inode, inode.xattr_block)?;
        }
        inode.xattr_block = 0;
        Ok(())
    }
}
