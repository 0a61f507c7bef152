//! Directories: lists of entries, block by block.
//!
//! An entry is `inode: u32, record length: u16, name length: u8, kind: u8`, then the name; entries fill each block
//! exactly. Inode 0 marks an unused one. Without the `filetype` feature the kind is the upper half of the name's
//! length. The index of a hashed directory hides in unused entries: it is not used, and dropped when an entry is added.

use std::collections::HashMap;
use std::rc::Rc;

use super::bytes::{set_u16, set_u32, u16_at, u32_at};
use super::inode::{FLAG_INDEX, Inode, inode_number};
use super::names::{self, Hint};
use super::superblock::field;
use super::{Ext2, corrupt};
use crate::stop::{Outcome, Stop};
use crate::vfs::{DirEntry, FileKind, Ino};
use abi::Errno;

/// Blocks of a directory that are asked for at once when they aren't here: most directories whole.
const FETCHED_TOGETHER: u64 = 64;
/// Longest name.
pub(super) const NAME_LEN_MAX: usize = 255;
/// Bytes of an entry before its name.
const HEADER_LEN: usize = 8;

/// Kinds by the number entries have for them.
const KINDS: [Option<FileKind>; 8] = [
    None,
    Some(FileKind::Regular),
    Some(FileKind::Directory),
    Some(FileKind::CharDevice),
    Some(FileKind::BlockDevice),
    Some(FileKind::Fifo),
    Some(FileKind::Socket),
    Some(FileKind::Symlink),
];

/// Bytes an entry with a name of that length needs.
fn entry_len(name_len: usize) -> usize {
    (HEADER_LEN + name_len).next_multiple_of(4)
}

/// An entry in a block, checked to lie within it.
#[derive(Clone, Copy)]
struct Entry {
    /// Where in the block it starts.
    at: usize,
    /// To the next one.
    len: usize,
    ino: u32,
    name_len: usize,
    /// Number of the kind; 0 if not known.
    kind: u8,
}

impl Entry {
    fn read(block: &[u8], at: usize, has_file_types: bool) -> Outcome<Self> {
        if at + HEADER_LEN > block.len() {
            return corrupt();
        }
        let len = usize::from(u16_at(block, at + 4));
        let (name_len, kind) = (usize::from(block[at + 6]), block[at + 7]);
        let kind = if has_file_types { kind } else { 0 };
        let fits = len.is_multiple_of(4) && len >= entry_len(name_len) && at + len <= block.len();
        if fits { Ok(Self { at, len, ino: u32_at(block, at), name_len, kind }) } else { corrupt() }
    }

    fn name<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        &block[self.at + HEADER_LEN..self.at + HEADER_LEN + self.name_len]
    }

    /// Bytes that are in use.
    fn used(&self) -> usize {
        if self.ino == 0 { 0 } else { entry_len(self.name_len) }
    }
}

/// The entries of a block.
fn entries(block: &[u8], has_file_types: bool) -> impl Iterator<Item = Outcome<Entry>> {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let entry = Entry::read(block, at.filter(|at| *at < block.len())?, has_file_types);
        at = entry.as_ref().ok().map(|entry| entry.at + entry.len);
        Some(entry)
    })
}

/// Writes an entry of `len` bytes.
fn put(block: &mut [u8], at: usize, len: usize, ino: u32, name: &[u8], kind: u8) {
    set_u32(block, at, ino);
    set_u16(block, at + 4, len as u16);
    block[at + 6] = name.len() as u8;
    block[at + 7] = kind;
    block[at + HEADER_LEN..at + HEADER_LEN + name.len()].copy_from_slice(name);
}

/// An entry that was looked for.
pub(super) struct Found {
    block: u32,
    at: usize,
    pub(super) ino: u32,
}

impl Ext2 {
    /// Blocks of a directory. A size beyond the disk's is not believed.
    fn directory_blocks(&self, dir: &Inode) -> Outcome<u64> {
        let blocks = dir.size_bytes / self.layout.block_size as u64;
        if blocks <= u64::from(self.layout.blocks) { Ok(blocks) } else { corrupt() }
    }

    /// The disk's block for a directory's, and its contents; there are no holes. If it has to be fetched, so probably
    /// have those that follow: they are asked for at the same time.
    fn directory_block(&mut self, dir: &Inode, index: u64) -> Outcome<(u32, Rc<[u8]>)> {
        let Some(block) = self.map(dir, index, 1)?.start else { return corrupt() };
        let bytes = self.store.read(block);
        if let Err(Stop::Wait(_)) = bytes {
            let left = self.directory_blocks(dir)?.saturating_sub(index);
            let run = self.map(dir, index, left.clamp(1, FETCHED_TOGETHER))?;
            for next in 1..run.len {
                let _ = self.store.read(block + next as u32);
            }
        }
        Ok((block, bytes?))
    }

    /// Looks an entry up.
    pub(super) fn find(&mut self, dir: &Inode, name: &[u8]) -> Outcome<Option<Found>> {
        let blocks = self.directory_blocks(dir)?;
        if blocks >= names::BLOCKS_MIN {
            match self.names.hint(dir.ino, name) {
                Hint::Search => {}
                Hint::SearchAndIndex => self.index_names(dir, blocks)?,
                Hint::Absent => return Ok(None),
                Hint::InBlock(block) => {
                    let bytes = self.store.read(block)?;
                    if let Some(found) = self.find_in(block, &bytes, name)? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        for index in 0..blocks {
            let (block, bytes) = self.directory_block(dir, index)?;
            if let Some(found) = self.find_in(block, &bytes, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in(&self, block: u32, bytes: &[u8], name: &[u8]) -> Outcome<Option<Found>> {
        for entry in entries(bytes, self.layout.has_file_types) {
            let entry = entry?;
            if entry.name_len == name.len() && entry.ino != 0 && entry.name(bytes) == name {
                return Ok(Some(Found { block, at: entry.at, ino: entry.ino }));
            }
        }
        Ok(None)
    }

    /// Makes an index of a directory's names.
    fn index_names(&mut self, dir: &Inode, blocks: u64) -> Outcome<()> {
        let mut names = HashMap::new();
        for index in 0..blocks {
            let (block, bytes) = self.directory_block(dir, index)?;
            for entry in entries(&bytes, self.layout.has_file_types) {
                let entry = entry?;
                if entry.ino != 0 {
                    names.entry(entry.name(&bytes).into()).or_insert(block);
                }
            }
        }
        self.names.set(dir.ino, names);
        Ok(())
    }

    /// Looks up an entry that must be there and be an ordinary file's.
    pub(super) fn entry(&mut self, dir: &Inode, name: &[u8]) -> Outcome<Found> {
        if name.len() > NAME_LEN_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let found = self.find(dir, name)?.ok_or(Errno::ENOENT)?;
        let valid = found.ino == super::ROOT || found.ino >= self.layout.first_ino;
        if valid && found.ino <= self.layout.inodes { Ok(found) } else { corrupt() }
    }

    /// Reports entries, see [`crate::vfs::FileSystem::read_dir`]. A cookie is the entry's place in the directory.
    pub(super) fn list(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        let dir = self.directory(dir)?;
        let block_size = self.layout.block_size as u64;
        for index in cookie / block_size..self.directory_blocks(&dir)? {
            let (_, bytes) = self.directory_block(&dir, index)?;
            // From the start of the block, because the entry there may have been merged into the one before it.
            for entry in entries(&bytes, self.layout.has_file_types) {
                let entry = entry?;
                let place = index * block_size + entry.at as u64;
                if entry.ino == 0 || place < cookie {
                    continue;
                }
                let kind = match KINDS.get(usize::from(entry.kind)) {
                    Some(Some(kind)) => *kind,
                    _ => self.inode(entry.ino)?.kind,
                };
                let (ino, next_cookie) = (Ino(u64::from(entry.ino)), place + entry.len as u64);
                if !each(DirEntry { ino, kind, name: entry.name(&bytes).to_vec(), next_cookie }) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether there is nothing but `.` and `..`.
    pub(super) fn is_empty(&mut self, dir: &Inode) -> Outcome<bool> {
        for index in 0..self.directory_blocks(dir)? {
            let (_, bytes) = self.directory_block(dir, index)?;
            for entry in entries(&bytes, self.layout.has_file_types) {
                let entry = entry?;
                if entry.ino != 0 && !matches!(entry.name(&bytes), b"." | b"..") {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Number an entry has for the kind.
    fn kind_number(&self, kind: FileKind) -> u8 {
        if !self.layout.has_file_types {
            return 0;
        }
        KINDS.iter().position(|known| *known == Some(kind)).unwrap_or(0) as u8
    }

    /// Adds an entry whose name is known to be free. The caller saves `dir`.
    pub(super) fn add_entry(&mut self, dir: &mut Inode, name: &[u8], ino: u32, kind: FileKind) -> Outcome<()> {
        let kind = self.kind_number(kind);
        let need = entry_len(name.len());
        let blocks = self.directory_blocks(dir)?;
        let start = self.room_hint.filter(|hint| hint.0 == dir.ino).map_or(0, |hint| hint.1).min(blocks);
        dir.flags &= !FLAG_INDEX;
        (dir.modified, dir.changed) = (self.now, self.now);
        for index in (start..blocks).chain(0..start) {
            let (block, bytes) = self.directory_block(dir, index)?;
            for entry in entries(&bytes, self.layout.has_file_types) {
                let entry = entry?;
                if entry.len - entry.used() < need {
                    continue;
                }
                let bytes = self.store.write(block)?;
                let at = entry.at + entry.used();
                put(bytes, at, entry.len - entry.used(), ino, name, kind);
                if entry.ino != 0 {
                    set_u16(bytes, entry.at + 4, entry.used() as u16);
                }
                self.room_hint = Some((dir.ino, index));
                self.names.insert(dir.ino, name, block);
                return Ok(());
            }
        }
        let block = self.grow_directory(dir, blocks)?;
        let bytes = self.store.write(block)?;
        put(bytes, 0, bytes.len(), ino, name, kind);
        self.names.insert(dir.ino, name, block);
        Ok(())
    }

    /// Adds a block, to be filled by the caller.
    fn grow_directory(&mut self, dir: &mut Inode, blocks: u64) -> Outcome<u32> {
        let block_size = self.layout.block_size as u64;
        if (blocks + 1) * block_size > u64::from(u32::MAX) {
            return Err(Errno::ENOSPC.into());
        }
        if self.counter(field::FREE_BLOCKS)? < Self::ALLOCATED_MAX {
            return Err(Errno::ENOSPC.into());
        }
        let (block, _) = self.map_or_allocate(dir, blocks, false)?;
        dir.size_bytes = (blocks + 1) * block_size;
        self.room_hint = Some((dir.ino, blocks));
        Ok(block)
    }

    /// Removes an entry: it is merged into the one before it, or if it is the first of its block marked unused. The
    /// caller saves `dir`.
    pub(super) fn remove_entry(&mut self, dir: &mut Inode, name: &[u8], found: &Found) -> Outcome<()> {
        let has_file_types = self.layout.has_file_types;
        let bytes = self.store.write(found.block)?;
        let entry = Entry::read(bytes, found.at, has_file_types)?;
        let mut before = None;
        for other in entries(bytes, has_file_types) {
            let other = other?;
            if other.at + other.len == found.at {
                before = Some(other);
            }
        }
        match before {
            Some(before) => set_u16(bytes, before.at + 4, (before.len + entry.len) as u16),
            None => set_u32(bytes, found.at, 0),
        }
        self.names.remove(dir.ino, name);
        self.room_hint = self.room_hint.filter(|hint| hint.0 != dir.ino);
        (dir.modified, dir.changed) = (self.now, self.now);
        Ok(())
    }

    /// Makes an entry stand for another file.
    pub(super) fn redirect_entry(&mut self, found: &Found, ino: u32, kind: FileKind) -> Outcome<()> {
        let kind = self.kind_number(kind);
        let bytes = self.store.write(found.block)?;
        set_u32(bytes, found.at, ino);
        bytes[found.at + 7] = kind;
        Ok(())
    }

    /// The first block of a new directory. The caller saves `dir`.
    pub(super) fn fill_new_directory(&mut self, dir: &mut Inode, parent: u32) -> Outcome<()> {
        let kind = self.kind_number(FileKind::Directory);
        let ino = dir.ino;
        let block = self.grow_directory(dir, 0)?;
        let bytes = self.store.write(block)?;
        let len = bytes.len();
        put(bytes, 0, entry_len(1), ino, b".", kind);
        put(bytes, entry_len(1), len - entry_len(1), parent, b"..", kind);
        Ok(())
    }

    /// Makes `..` of a directory that has moved stand for its new parent.
    pub(super) fn set_parent(&mut self, dir: &Inode, parent: u32) -> Outcome<()> {
        let found = self.find(dir, b"..")?;
        match found {
            Some(found) => self.redirect_entry(&found, parent, FileKind::Directory),
            None => corrupt(),
        }
    }

    /// The inode number, checked, of an entry in a directory.
    pub(super) fn lookup_entry(&mut self, dir: Ino, name: &[u8]) -> Outcome<u32> {
        inode_number(dir)?;
        let dir = self.directory(dir)?;
        Ok(self.entry(&dir, name)?.ino)
    }
}
