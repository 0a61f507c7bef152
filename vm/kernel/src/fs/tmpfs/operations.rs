//! What any file system can be asked, answered by one in memory.

use super::directory::FIRST_COOKIE;
use super::pages::PAGE;
use super::{Content, FILE_SIZE_MAX, MAGIC, NAME_LEN_MAX, Node, Options, ROOT, Tmpfs, XATTRS_LEN_MAX};
use crate::stop::Outcome;
use crate::vfs::{
    Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, NewFile, SetAttributes, Timestamp,
};
use abi::Errno;

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
