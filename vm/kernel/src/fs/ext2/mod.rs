//! ext2: the file system on the disk, read and written in full. File systems that use what only ext3 and ext4 have are
//! refused by name.
//!
//! On disk: a superblock at byte 1024; then groups of blocks, each with a bitmap of its blocks, a bitmap of its inodes,
//! a part of the inode table, and blocks of data, found through a table of group descriptors after the superblock. An
//! inode points to its blocks through up to three levels of indirection; a directory is a file of entries.
//!
//! **Invariants:** every operation is one transaction, so that it can stop anywhere and be repeated ([`store`]). All
//! state but who holds which inode is in blocks, or can be had from them again. Numbers from the disk are checked where they are used as
//! places on it (`EUCLEAN`), and no loop is bounded by them alone.
//!
//! | module | subject |
//! |---|---|
//! | [`superblock`] | geometry, features, why a disk can't be mounted |
//! | [`features`] | names of features |
//! | [`store`] | cached blocks, transactions |
//! | [`group`] | group descriptors |
//! | [`alloc`] | bitmaps and counts |
//! | [`inode`] | inodes |
//! | [`mapping`] | from a file's blocks to the disk's |
//! | [`file`] | contents of files and symbolic links |
//! | [`directory`] | entries of a directory |
//! | [`names`] | an index of names, in memory |
//! | [`namespace`] | creating, linking, removing, moving |
//! | [`orphan`] | inodes in use without a name |
//! | [`xattr`] | extended attributes |
//!
//! Sources: Documentation/filesystems/ext2.rst and ext4/ of Linux; e2fsprogs is the judge of what we write.

mod alloc;
mod bytes;
mod directory;
mod features;
mod file;
mod group;
mod inode;
mod mapping;
mod names;
mod namespace;
mod orphan;
mod store;
mod superblock;
mod xattr;

use std::collections::{HashMap, HashSet};

use disk::BlockDevice;

use crate::stop::Outcome;
use crate::vfs::{Attributes, DirEntry, FileSystem, FileSystemStatus, Ino, NewFile, SetAttributes, Timestamp};
use abi::Errno;
use inode::inode_number;
use names::NameIndex;
use store::Store;
use superblock::field;
pub use superblock::{MountError, Superblock};

/// `EXT2_SUPER_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0xef53;
/// Inode of the root directory.
const ROOT: u32 = 2;

/// A mounted ext2 file system.
pub struct Ext2 {
    store: Store,
    layout: Superblock,
    now: Timestamp,
    read_only: bool,
    /// How often each inode is retained.
    holders: HashMap<u32, u32>,
    /// Inodes without links. May name some that have links, never misses one.
    orphans: HashSet<u32>,
    /// Those nobody holds, to be freed at the next opportunity.
    unheld_orphans: Vec<u32>,
    /// The list on the disk has been read.
    orphans_listed: bool,
    /// The directory that last got an entry, and the first of its blocks that may have room for another.
    room_hint: Option<(u32, u64)>,
    names: NameIndex,
}

/// What is on the disk makes no sense.
fn corrupt<T>() -> Outcome<T> {
    Err(Errno::EUCLEAN.into())
}

impl Ext2 {
    /// Mounts the file system on `device` that [`Superblock::read`] has found there. It is read-only if asked for, or
    /// if it has features that can only be read, see [`Self::unwritable_features`].
    pub fn new(device: Box<dyn BlockDevice>, superblock: Superblock, read_only: bool) -> Self {
        let layout = superblock;
        Self {
            store: Store::new(device, layout.block_size, layout.blocks),
            read_only: read_only || !layout.unwritable.is_empty(),
            layout,
            now: Timestamp::default(),
            holders: HashMap::new(),
            orphans: HashSet::new(),
            unheld_orphans: Vec::new(),
            orphans_listed: false,
            room_hint: None,
            names: NameIndex::default(),
        }
    }

    /// Names of the features because of which it can only be read.
    pub fn unwritable_features(&self) -> &[String] {
        &self.layout.unwritable
    }

    /// Runs `change`, all of whose effects on the disk come to pass or none.
    fn transact<T>(&mut self, change: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.read_only {
            return Err(Errno::EROFS.into());
        }
        self.store.begin()?;
        // What can't be freed yet is no reason for this operation to wait.
        let _ = self.free_orphans();
        let result = change(self);
        match result {
            Ok(_) => {
                self.store.commit();
                self.names.commit();
            }
            Err(_) => {
                self.store.rollback();
                self.names.rollback();
            }
        }
        result
    }

    /// Blocks that hold no file's data: superblocks, descriptors, bitmaps, inode tables.
    fn overhead_blocks(&self) -> u64 {
        let copies = (0..self.layout.groups).filter(|group| self.layout.group_has_super(*group)).count() as u64;
        let tables = u64::from(self.layout.groups) * u64::from(2 + self.layout.inode_table_blocks());
        u64::from(self.layout.first_data_block) + copies * u64::from(1 + self.layout.group_table_blocks()) + tables
    }
}

impl FileSystem for Ext2 {
    fn root(&self) -> Ino {
        Ino(u64::from(ROOT))
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn lookup(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        Ok(Ino(u64::from(self.lookup_entry(dir, name)?)))
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        Ok(self.inode(inode_number(ino)?)?.attributes(self.layout.block_size))
    }

    fn set_attributes(&mut self, ino: Ino, set: &SetAttributes) -> Outcome<()> {
        self.transact(|ext2| {
            let mut inode = ext2.inode(inode_number(ino)?)?;
            if let Some(size_bytes) = set.size_bytes {
                ext2.resize(&mut inode, size_bytes)?;
            }
            inode.mode = set.mode.unwrap_or(inode.mode);
            inode.uid = set.uid.unwrap_or(inode.uid);
            inode.gid = set.gid.unwrap_or(inode.gid);
            inode.accessed = set.accessed.unwrap_or(inode.accessed);
            inode.modified = set.modified.unwrap_or(inode.modified);
            inode.changed = ext2.now;
            ext2.save(&inode)
        })
    }

    fn read(&mut self, ino: Ino, offset: u64, to: &mut [u8]) -> Outcome<usize> {
        self.read_file(ino, offset, to)
    }

    fn write(&mut self, ino: Ino, offset: u64, from: &[u8]) -> Outcome<usize> {
        self.transact(|ext2| ext2.write_file(ino, offset, from))
    }

    fn read_link(&mut self, ino: Ino) -> Outcome<Vec<u8>> {
        self.link_target(ino)
    }

    fn read_dir(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        self.list(dir, cookie, each)
    }

    fn create(&mut self, dir: Ino, name: &[u8], new: &NewFile<'_>) -> Outcome<Ino> {
        self.transact(|ext2| ext2.create_entry(dir, name, new))
    }

    fn create_unnamed(&mut self, dir: Ino, new: &NewFile<'_>) -> Outcome<Ino> {
        self.transact(|ext2| ext2.create_orphan(dir, new))
    }

    fn link(&mut self, dir: Ino, name: &[u8], ino: Ino) -> Outcome<()> {
        self.transact(|ext2| ext2.link_entry(dir, name, ino))
    }

    fn unlink(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        self.transact(|ext2| ext2.unlink_entry(dir, name))
    }

    fn remove_dir(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        self.transact(|ext2| ext2.remove_directory(dir, name))
    }

    fn rename(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8])) -> Outcome<()> {
        self.transact(|ext2| ext2.move_entry(from, to))
    }

    fn exchange(&mut self, one: (Ino, &[u8]), other: (Ino, &[u8])) -> Outcome<()> {
        self.transact(|ext2| ext2.exchange_entries(one, other))
    }

    fn touch(&mut self, ino: Ino) -> Outcome<()> {
        self.transact(|ext2| {
            let mut inode = ext2.inode(inode_number(ino)?)?;
            inode.accessed = ext2.now;
            ext2.save(&inode)
        })
    }

    fn retain(&mut self, ino: Ino) {
        if let Ok(ino) = inode_number(ino) {
            *self.holders.entry(ino).or_default() += 1;
        }
    }

    fn release(&mut self, ino: Ino) {
        let Ok(ino) = inode_number(ino) else { return };
        let Some(count) = self.holders.get_mut(&ino) else { return };
        *count -= 1;
        if *count == 0 {
            self.holders.remove(&ino);
            if self.orphans.contains(&ino) {
                self.unheld_orphans.push(ino);
            }
        }
    }

    fn get_xattr(&mut self, ino: Ino, name: &[u8]) -> Outcome<Vec<u8>> {
        self.xattr(ino, name)
    }

    fn list_xattrs(&mut self, ino: Ino) -> Outcome<Vec<Vec<u8>>> {
        self.xattr_names(ino)
    }

    fn set_xattr(&mut self, ino: Ino, name: &[u8], value: Option<&[u8]>) -> Outcome<()> {
        self.transact(|ext2| ext2.change_xattr(ino, name, value))
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        if !self.read_only {
            self.free_orphans()?;
        }
        let blocks_free = u64::from(self.counter(field::FREE_BLOCKS)?);
        Ok(FileSystemStatus {
            magic: MAGIC,
            block_size: self.layout.block_size as u64,
            blocks: u64::from(self.layout.blocks).saturating_sub(self.overhead_blocks()),
            blocks_free,
            blocks_available: blocks_free.saturating_sub(u64::from(self.layout.blocks_reserved)),
            files: u64::from(self.layout.inodes),
            files_free: u64::from(self.counter(field::FREE_INODES)?),
            name_len_max: directory::NAME_LEN_MAX as u64,
        })
    }

    fn sync(&mut self) -> Outcome<()> {
        if self.read_only {
            return Ok(());
        }
        self.store.flush()?;
        self.free_orphans()?;
        self.store.flush()
    }

    fn type_name(&self) -> &'static str {
        "ext2"
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }
}
