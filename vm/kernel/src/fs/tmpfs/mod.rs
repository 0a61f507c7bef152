//! tmpfs: a complete file system in memory (`tmpfs(5)`). The base of /dev, /run, /dev/shm, of memfds, and of a root
//! file system in tests.
//!
//! | module | subject |
//! |---|---|
//! | [`pages`] | contents of regular files |
//! | [`directory`] | contents of directories |
//! | [`options`] | what can be said when it is mounted |

mod directory;
mod options;
mod pages;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::stop::Outcome;
use crate::vfs::{
    Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, NewFile, SetAttributes, Timestamp,
};
use abi::Errno;
use abi::file::F_SEAL_SEAL;
use directory::{Entries, FIRST_COOKIE};
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

impl FileSystem for Tmpfs {
    fn root(&self) -> Ino {
        ROOT
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn lookup(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        self.entry(dir, name)
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        let node = self.node(ino)?;
        let attributes = node.attributes;
        Ok(match &node.content {
            Content::File(pages) => Attributes { blocks: pages.count() * (PAGE / 512), ..attributes },
            Content::Directory(entries) => Attributes { size_bytes: entries.size_bytes(), ..attributes },
            Content::Symlink(_) | Content::Node => attributes,
        })
    }

    fn set_attributes(&mut self, ino: Ino, set: &SetAttributes) -> Outcome<()> {
        if let Some(size_bytes) = set.size_bytes {
            self.resize(ino, size_bytes)?;
        }
        let now = self.now;
        let attributes = &mut self.node_mut(ino)?.attributes;
        attributes.mode = set.mode.unwrap_or(attributes.mode) & 0o7777;
        attributes.uid = set.uid.unwrap_or(attributes.uid);
        attributes.gid = set.gid.unwrap_or(attributes.gid);
        attributes.accessed = set.accessed.unwrap_or(attributes.accessed);
        attributes.modified = set.modified.unwrap_or(attributes.modified);
        attributes.changed = now;
        Ok(())
    }

    fn read(&mut self, ino: Ino, offset: u64, to: &mut [u8]) -> Outcome<usize> {
        let node = self.node(ino)?;
        let Content::File(pages) = &node.content else { return Err(Errno::EINVAL.into()) };
        let left = node.attributes.size_bytes.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        pages.read(offset, &mut to[..len]);
        Ok(len)
    }

    fn write(&mut self, ino: Ino, offset: u64, from: &[u8]) -> Outcome<usize> {
        let end = offset.checked_add(from.len() as u64).filter(|end| *end <= FILE_SIZE_MAX).ok_or(Errno::EFBIG)?;
        let free = self.pages_free();
        let node = self.nodes.get_mut(&ino).ok_or(Errno::ESTALE)?;
        let Content::File(pages) = &mut node.content else { return Err(Errno::EINVAL.into()) };
        let before = pages.count();
        let written = pages.write(offset, from, free);
        let after = pages.count();
        if written == 0 && !from.is_empty() {
            // None can have been added, then.
            return Err(Errno::ENOSPC.into());
        }
        if written > 0 {
            let end = end - (from.len() - written) as u64;
            node.attributes.size_bytes = node.attributes.size_bytes.max(end);
            (node.attributes.modified, node.attributes.changed) = (self.now, self.now);
        }
        self.account(before, after);
        Ok(written)
    }

    fn read_link(&mut self, ino: Ino) -> Outcome<Vec<u8>> {
        match &self.node(ino)?.content {
            Content::Symlink(target) => Ok(target.to_vec()),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn read_dir(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        let entries = self.entries(dir)?;
        let dots: [(&[u8], Ino); 2] = [(b".", dir), (b"..", entries.parent)];
        for (index, (name, ino)) in (0..FIRST_COOKIE).zip(dots) {
            let entry = DirEntry { ino, kind: FileKind::Directory, name: name.into(), next_cookie: index + 1 };
            if index >= cookie && !each(entry) {
                return Ok(());
            }
        }
        for (at, name, ino) in entries.starting_at(cookie) {
            let kind = self.node(ino)?.attributes.kind;
            if !each(DirEntry { ino, kind, name: name.into(), next_cookie: at + 1 }) {
                break;
            }
        }
        Ok(())
    }

    fn create(&mut self, dir: Ino, name: &[u8], new: &NewFile<'_>) -> Outcome<Ino> {
        self.check_room(dir, name)?;
        if self.node(dir)?.attributes.links == 0 {
            return Err(Errno::ENOENT.into());
        }
        let ino = self.add_node(new, dir);
        self.entries_mut(dir)?.insert(name, ino);
        if new.kind == FileKind::Directory {
            self.add_links(dir, 1);
        }
        Ok(ino)
    }

    fn create_unnamed(&mut self, _dir: Ino, new: &NewFile<'_>) -> Outcome<Ino> {
        self.check_names()?;
        let ino = self.add_node(new, ROOT);
        self.node_mut(ino)?.attributes.links = 0;
        Ok(ino)
    }

    fn link(&mut self, dir: Ino, name: &[u8], ino: Ino) -> Outcome<()> {
        self.check_room(dir, name)?;
        let links = self.node(ino)?.attributes.links;
        self.entries_mut(dir)?.insert(name, ino);
        // The first name was paid for when the inode was made.
        self.names += u64::from(links > 0);
        self.add_links(ino, 1);
        Ok(())
    }

    fn unlink(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        let ino = self.entry(dir, name)?;
        if self.is_directory(ino) {
            return Err(Errno::EISDIR.into());
        }
        self.entries_mut(dir)?.remove(name);
        self.drop_link(dir, ino);
        Ok(())
    }

    fn remove_dir(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        let ino = self.entry(dir, name)?;
        if !self.entries(ino)?.is_empty() {
            return Err(Errno::ENOTEMPTY.into());
        }
        self.entries_mut(dir)?.remove(name);
        self.drop_link(dir, ino);
        Ok(())
    }

    fn rename(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8])) -> Outcome<()> {
        let moved = self.entry(from.0, from.1)?;
        if to.1.len() > NAME_LEN_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let there = self.entries(to.0)?.get(to.1);
        if there == Some(moved) {
            return Ok(());
        }
        if let Some(there) = there {
            match (self.is_directory(moved), self.entries(there)) {
                (true, Ok(entries)) if !entries.is_empty() => return Err(Errno::ENOTEMPTY.into()),
                (true, Err(_)) => return Err(Errno::ENOTDIR.into()),
                (false, Ok(_)) => return Err(Errno::EISDIR.into()),
                _ => {}
            }
        }
        self.entries_mut(from.0)?.remove(from.1);
        self.entries_mut(to.0)?.insert(to.1, moved);
        if let Some(there) = there {
            self.drop_link(to.0, there);
        }
        self.reparent(moved, from.0, to.0)
    }

    fn exchange(&mut self, one: (Ino, &[u8]), other: (Ino, &[u8])) -> Outcome<()> {
        let (first, second) = (self.entry(one.0, one.1)?, self.entry(other.0, other.1)?);
        self.entries_mut(one.0)?.insert(one.1, second);
        self.entries_mut(other.0)?.insert(other.1, first);
        self.reparent(first, one.0, other.0)?;
        self.reparent(second, other.0, one.0)
    }

    fn touch(&mut self, ino: Ino) -> Outcome<()> {
        let now = self.now;
        self.node_mut(ino)?.attributes.accessed = now;
        Ok(())
    }

    fn retain(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.holders += 1;
        }
    }

    fn release(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.holders = node.holders.saturating_sub(1);
        }
        self.free_if_unused(ino);
    }

    fn get_xattr(&mut self, ino: Ino, name: &[u8]) -> Outcome<Vec<u8>> {
        self.node(ino)?.xattrs.get(name).cloned().ok_or(Errno::ENODATA.into())
    }

    fn list_xattrs(&mut self, ino: Ino) -> Outcome<Vec<Vec<u8>>> {
        Ok(self.node(ino)?.xattrs.keys().cloned().collect())
    }

    fn set_xattr(&mut self, ino: Ino, name: &[u8], value: Option<&[u8]>) -> Outcome<()> {
        let now = self.now;
        let node = self.node_mut(ino)?;
        match value {
            Some(value) => {
                let others = node.xattrs.iter().filter(|(other, _)| *other != name);
                let used: usize = others.map(|(name, value)| name.len() + value.len()).sum();
                if used + name.len() + value.len() > XATTRS_LEN_MAX {
                    return Err(Errno::ENOSPC.into());
                }
                node.xattrs.insert(name.to_vec(), value.to_vec());
            }
            None => {
                node.xattrs.remove(name).ok_or(Errno::ENODATA)?;
            }
        }
        node.attributes.changed = now;
        Ok(())
    }

    fn seals(&mut self, ino: Ino) -> Outcome<u32> {
        match self.node(ino)? {
            Node { content: Content::File(_), seals, .. } => Ok(*seals),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn set_seals(&mut self, ino: Ino, seals: u32) -> Outcome<()> {
        self.node_mut(ino)?.seals = seals;
        Ok(())
    }

    fn allocate(&mut self, ino: Ino, start: u64, end: u64) -> Outcome<()> {
        let free = self.pages_free();
        let node = self.nodes.get_mut(&ino).ok_or(Errno::ESTALE)?;
        let Content::File(pages) = &mut node.content else { return Err(Errno::EINVAL.into()) };
        let added = pages.allocate(start, end, free).ok_or(Errno::ENOSPC)?;
        self.account(0, added);
        Ok(())
    }

    fn punch(&mut self, ino: Ino, start: u64, end: u64) -> Outcome<()> {
        let now = self.now;
        let node = self.nodes.get_mut(&ino).ok_or(Errno::ESTALE)?;
        let Content::File(pages) = &mut node.content else { return Err(Errno::EINVAL.into()) };
        let before = pages.count();
        pages.punch(start, end);
        let after = pages.count();
        (node.attributes.modified, node.attributes.changed) = (now, now);
        self.account(before, after);
        Ok(())
    }

    fn rename_leaving_whiteout(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8]), mark: &NewFile<'_>) -> Outcome<()> {
        self.check_names()?;
        self.rename(from, to)?;
        self.create(from.0, from.1, mark).map(drop)
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        let blocks_free = self.pages_free();
        Ok(FileSystemStatus {
            magic: MAGIC,
            block_size: PAGE,
            blocks: self.pages_max,
            blocks_free,
            blocks_available: blocks_free,
            files: self.names_max,
            files_free: self.names_max.saturating_sub(self.names),
            name_len_max: NAME_LEN_MAX as u64,
        })
    }

    /// Only limits can be changed, and not to less than is there.
    fn reconfigure(&mut self, options: &str) -> Outcome<()> {
        let options = Options::parse(options)?;
        let (pages, names) = (options.pages.unwrap_or(self.pages_max), options.inodes.unwrap_or(self.names_max));
        if pages < self.pages || names < self.names {
            return Err(Errno::EINVAL.into());
        }
        (self.pages_max, self.names_max) = (pages, names);
        Ok(())
    }

    fn type_name(&self) -> &'static str {
        self.type_name
    }
}
