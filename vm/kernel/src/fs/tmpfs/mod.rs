//! tmpfs: a complete file system in memory (`tmpfs(5)`). The base of /dev, /dev/shm, of memfds, and of a root
//! file system in tests.
//!
//! | module | subject |
//! |---|---|
//! | [`pages`] | contents of regular files |
//! | [`directory`] | contents of directories |
//! | [`operations`] | what it can be asked |
//! | [`options`] | what can be said when it is mounted |

mod directory;
mod operations;
mod options;
mod pages;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::stop::Outcome;
use crate::vfs::{Attributes, FileKind, Ino, NewFile, Timestamp};
use abi::Errno;
use abi::file::F_SEAL_SEAL;
use directory::Entries;
pub use options::{BYTES_MAX, Options};
use pages::{PAGE, Pages};

/// `TMPFS_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0x0102_1994;
/// Longest name.
const NAME_LEN_MAX: usize = 255;
/// Bytes of extended attributes of one file, names and values: as much as one value may have (`XATTR_SIZE_MAX`).
const XATTRS_LEN_MAX: usize = 64 * 1024;
/// Largest file: offsets are signed.
const FILE_SIZE_MAX: u64 = i64::MAX as u64;
const ROOT: Ino = Ino(1);

enum Content {
    File(Pages),
    Directory(Entries),
    Symlink(Box<[u8]>),
    /// Device nodes, FIFOs, sockets.
    Node,
}

struct Node {
    attributes: Attributes,
    content: Content,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `F_SEAL_*`: at first that there will be no others.
    seals: u32,
    holders: u32,
}

/// A file system in memory.
pub struct Tmpfs {
    nodes: HashMap<Ino, Node>,
    last_ino: u64,
    now: Timestamp,
    type_name: &'static str,
    pages: u64,
    pages_max: u64,
    /// Pages that this and others may still take together.
    shared: Rc<Cell<u64>>,
    /// Inodes and further names of theirs: each costs memory.
    names: u64,
    names_max: u64,
}

impl Tmpfs {
    /// An empty one that holds at most `size_bytes_max` of file contents and one name for every page of that. The
    /// root directory is root's, with `mode`.
    pub fn new(size_bytes_max: u64, mode: u16) -> Self {
        Self::with_type(size_bytes_max, mode, "tmpfs")
    }

    /// The same under another type name (`devtmpfs`).
    pub fn with_type(size_bytes_max: u64, mode: u16, type_name: &'static str) -> Self {
        let pages_max = size_bytes_max / PAGE;
        let names_max = pages_max.max(1024);
        let nodes = HashMap::new();
        let now = Timestamp::default();
        let shared = Rc::new(Cell::new(u64::MAX / 2));
        let mut tmpfs = Self { nodes, last_ino: 0, now, type_name, pages: 0, pages_max, shared, names: 0, names_max };
        let new = NewFile { kind: FileKind::Directory, mode, uid: 0, gid: 0, rdev: 0, target: b"" };
        let root = tmpfs.add_node(&new, ROOT);
        debug_assert_eq!(root, ROOT);
        tmpfs
    }

    /// The same, taking its pages from those that several have together.
    #[must_use]
    pub fn sharing(mut self, pages: Rc<Cell<u64>>) -> Self {
        self.shared = pages;
        self
    }

    /// The same with a root directory, and so many inodes, as options say.
    #[must_use]
    pub fn configured(mut self, options: &Options) -> Self {
        if let Some(root) = self.nodes.get_mut(&ROOT) {
            root.attributes.uid = options.uid.unwrap_or(0);
            root.attributes.gid = options.gid.unwrap_or(0);
        }
        self.names_max = options.inodes.unwrap_or(self.names_max);
        self
    }

    /// Pages it can still take.
    fn pages_free(&self) -> u64 {
        self.pages_max.saturating_sub(self.pages).min(self.shared.get())
    }

    /// Notes that a file has got from `before` pages to `after`.
    fn account(&mut self, before: u64, after: u64) {
        self.pages = self.pages + after - before;
        self.shared.set((self.shared.get() + before).saturating_sub(after));
    }

    fn node(&self, ino: Ino) -> Outcome<&Node> {
        self.nodes.get(&ino).ok_or(Errno::ESTALE.into())
    }

    fn node_mut(&mut self, ino: Ino) -> Outcome<&mut Node> {
        self.nodes.get_mut(&ino).ok_or(Errno::ESTALE.into())
    }

    fn entries(&self, dir: Ino) -> Outcome<&Entries> {
        match &self.node(dir)?.content {
            Content::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR.into()),
        }
    }

    fn entry(&self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        self.entries(dir)?.get(name).ok_or(Errno::ENOENT.into())
    }

    /// Entries of a directory that is about to be changed.
    fn entries_mut(&mut self, dir: Ino) -> Outcome<&mut Entries> {
        let now = self.now;
        let node = self.node_mut(dir)?;
        match &mut node.content {
            Content::Directory(entries) => {
                (node.attributes.modified, node.attributes.changed) = (now, now);
                Ok(entries)
            }
            _ => Err(Errno::ENOTDIR.into()),
        }
    }

    fn is_directory(&self, ino: Ino) -> bool {
        self.entries(ino).is_ok()
    }

    /// Fails unless `name` can be added to `dir`.
    fn check_room(&self, dir: Ino, name: &[u8]) -> Outcome<()> {
        if name.len() > NAME_LEN_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        if self.entries(dir)?.get(name).is_some() {
            return Err(Errno::EEXIST.into());
        }
        self.check_names()
    }

    fn check_names(&self) -> Outcome<()> {
        if self.names >= self.names_max { Err(Errno::ENOSPC.into()) } else { Ok(()) }
    }

    fn add_node(&mut self, new: &NewFile<'_>, parent: Ino) -> Ino {
        self.last_ino += 1;
        self.names += 1;
        let ino = Ino(self.last_ino);
        let content = match new.kind {
            FileKind::Regular => Content::File(Pages::default()),
            FileKind::Directory => Content::Directory(Entries::new(parent)),
            FileKind::Symlink => Content::Symlink(new.target.into()),
            _ => Content::Node,
        };
        let attributes = Attributes {
            ino,
            kind: new.kind,
            mode: new.mode & 0o7777,
            uid: new.uid,
            gid: new.gid,
            links: if new.kind == FileKind::Directory { 2 } else { 1 },
            size_bytes: new.target.len() as u64,
            blocks: 0,
            block_size: PAGE as u32,
            rdev: new.rdev,
            accessed: self.now,
            modified: self.now,
            changed: self.now,
        };
        self.nodes.insert(ino, Node { attributes, content, xattrs: BTreeMap::new(), seals: F_SEAL_SEAL, holders: 0 });
        ino
    }

    /// Adds to the link count of an inode that is known to exist.
    fn add_links(&mut self, ino: Ino, count: i32) {
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.attributes.links = node.attributes.links.saturating_add_signed(count);
            node.attributes.changed = now;
        }
        self.free_if_unused(ino);
    }

    fn free_if_unused(&mut self, ino: Ino) {
        let Some(node) = self.nodes.get(&ino) else { return };
        if node.attributes.links > 0 || node.holders > 0 {
            return;
        }
        if let Content::File(pages) = &node.content {
            self.account(pages.count(), 0);
        }
        self.names -= 1;
        self.nodes.remove(&ino);
    }

    /// The inode loses a name in `dir`; the entry itself is dealt with by the caller.
    fn drop_link(&mut self, dir: Ino, ino: Ino) {
        if self.is_directory(ino) {
            self.add_links(ino, -2);
            self.add_links(dir, -1);
        } else {
            if self.nodes.get(&ino).is_some_and(|node| node.attributes.links > 1) {
                self.names -= 1;
            }
            self.add_links(ino, -1);
        }
    }

    /// A directory has moved from below `from` to below `to`.
    fn reparent(&mut self, ino: Ino, from: Ino, to: Ino) -> Outcome<()> {
        let now = self.now;
        let node = self.node_mut(ino)?;
        node.attributes.changed = now;
        if let Content::Directory(entries) = &mut node.content
            && from != to
        {
            entries.parent = to;
            self.add_links(from, -1);
            self.add_links(to, 1);
        }
        Ok(())
    }

    fn resize(&mut self, ino: Ino, size_bytes: u64) -> Outcome<()> {
        if size_bytes > FILE_SIZE_MAX {
            return Err(Errno::EFBIG.into());
        }
        let node = self.nodes.get_mut(&ino).ok_or(Errno::ESTALE)?;
        let Content::File(pages) = &mut node.content else { return Err(Errno::EINVAL.into()) };
        let before = pages.count();
        pages.truncate(size_bytes);
        let after = pages.count();
        node.attributes.size_bytes = size_bytes;
        node.attributes.modified = self.now;
        self.account(before, after);
        Ok(())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        self.account(self.pages, 0);
    }
}
