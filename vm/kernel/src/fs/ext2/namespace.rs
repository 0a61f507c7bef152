//! Changing directories: creating, linking, removing and moving files. All of it within a transaction.

use super::Ext2;
use super::directory::{Found, NAME_LEN_MAX};
use super::inode::{Inode, inode_number};
use crate::stop::Outcome;
use crate::vfs::{FileKind, Ino, NewFile};
use abi::Errno;

/// Most links an inode can have (Linux: `EXT2_LINK_MAX`).
const LINKS_MAX: u16 = 32_000;

impl Ext2 {
    pub(super) fn create_entry(&mut self, dir: Ino, name: &[u8], new: &NewFile<'_>) -> Outcome<Ino> {
        let mut dir = self.directory_for_new(dir, name)?;
        let is_directory = new.kind == FileKind::Directory;
        if is_directory && dir.links >= LINKS_MAX {
            return Err(Errno::EMLINK.into());
        }
        let mut inode = self.create_inode(dir.ino, new)?;
        inode.links = 1;
        if is_directory {
            inode.links = 2;
            dir.links += 1;
            self.fill_new_directory(&mut inode, dir.ino)?;
        }
        self.add_entry(&mut dir, name, inode.ino, new.kind)?;
        self.save(&inode)?;
        self.save(&dir)?;
        Ok(Ino(u64::from(inode.ino)))
    }

    /// A file without a name starts as an orphan.
    pub(super) fn create_orphan(&mut self, dir: Ino, new: &NewFile<'_>) -> Outcome<Ino> {
        let mut inode = self.create_inode(inode_number(dir)?, new)?;
        self.add_orphan(&mut inode)?;
        self.save(&inode)?;
        self.orphans.insert(inode.ino);
        Ok(Ino(u64::from(inode.ino)))
    }

    fn create_inode(&mut self, parent: u32, new: &NewFile<'_>) -> Outcome<Inode> {
        let ino = self.allocate_inode(parent, new.kind == FileKind::Directory)?;
        // There may have been a directory of that number.
        self.names.forget(ino);
        let mut inode = Inode::new(ino, new.kind, self.layout.inode_size, self.now);
        (inode.mode, inode.uid, inode.gid) = (new.mode, new.uid, new.gid);
        match new.kind {
            FileKind::Symlink => self.set_link_target(&mut inode, new.target)?,
            FileKind::CharDevice | FileKind::BlockDevice => inode.set_rdev(new.rdev),
            _ => {}
        }
        Ok(inode)
    }

    pub(super) fn link_entry(&mut self, dir: Ino, name: &[u8], ino: Ino) -> Outcome<()> {
        let mut dir = self.directory_for_new(dir, name)?;
        let mut inode = self.inode(inode_number(ino)?)?;
        if inode.is_directory() {
            return Err(Errno::EPERM.into());
        }
        if inode.links >= LINKS_MAX {
            return Err(Errno::EMLINK.into());
        }
        if inode.links == 0 {
            self.remove_orphan(&mut inode)?;
        }
        inode.links += 1;
        inode.changed = self.now;
        self.add_entry(&mut dir, name, inode.ino, inode.kind)?;
        self.save(&inode)?;
        self.save(&dir)
    }

    pub(super) fn unlink_entry(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        let mut dir = self.directory(dir)?;
        let found = self.entry(&dir, name)?;
        let inode = self.inode(found.ino)?;
        if inode.is_directory() {
            return Err(Errno::EISDIR.into());
        }
        self.remove_entry(&mut dir, name, &found)?;
        self.save(&dir)?;
        self.drop_links(inode, 1)
    }

    pub(super) fn remove_directory(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        let mut dir = self.directory(dir)?;
        let found = self.entry(&dir, name)?;
        let inode = self.inode(found.ino)?;
        if !inode.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        if !self.is_empty(&inode)? {
            return Err(Errno::ENOTEMPTY.into());
        }
        self.remove_entry(&mut dir, name, &found)?;
        dir.links = dir.links.saturating_sub(1);
        self.save(&dir)?;
        let links = inode.links;
        self.drop_links(inode, links)
    }

    /// A file loses links; the last makes it an orphan.
    fn drop_links(&mut self, mut inode: Inode, count: u16) -> Outcome<()> {
        inode.links = inode.links.saturating_sub(count);
        inode.changed = self.now;
        if inode.links == 0 {
            self.add_orphan(&mut inode)?;
            self.orphans.insert(inode.ino);
            self.unheld_orphans.push(inode.ino);
        }
        self.save(&inode)
    }

    pub(super) fn move_entry(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8])) -> Outcome<()> {
        let from_dir = self.directory(from.0)?;
        let moved = self.entry(&from_dir, from.1)?.ino;
        let mut moved = self.inode(moved)?;
        let mut to_dir = self.directory_for_name(to.0, to.1)?;
        let there = self.find(&to_dir, to.1)?;
        match there {
            Some(there) if there.ino == moved.ino => return Ok(()),
            Some(there) => self.replace_entry(&mut to_dir, &there, &moved)?,
            None => {
                self.add_entry(&mut to_dir, to.1, moved.ino, moved.kind)?;
                self.save(&to_dir)?;
            }
        }
        // Both may be the same directory: its inode has to be read again.
        let mut from_dir = self.directory(from.0)?;
        let found = self.entry(&from_dir, from.1)?;
        self.remove_entry(&mut from_dir, from.1, &found)?;
        self.save(&from_dir)?;
        self.reparent(&moved, from.0, to.0)?;
        moved.changed = self.now;
        self.save(&moved)
    }

    /// Makes an entry stand for `moved` instead of what it stood for, which loses a link.
    fn replace_entry(&mut self, dir: &mut Inode, there: &Found, moved: &Inode) -> Outcome<()> {
        let victim = self.inode(there.ino)?;
        match (moved.is_directory(), victim.is_directory()) {
            (true, false) => return Err(Errno::ENOTDIR.into()),
            (false, true) => return Err(Errno::EISDIR.into()),
            (true, true) if !self.is_empty(&victim)? => return Err(Errno::ENOTEMPTY.into()),
            _ => {}
        }
        self.redirect_entry(there, moved.ino, moved.kind)?;
        (dir.modified, dir.changed) = (self.now, self.now);
        if victim.is_directory() {
            dir.links = dir.links.saturating_sub(1);
        }
        self.save(dir)?;
        let links = if victim.is_directory() { victim.links } else { 1 };
        self.drop_links(victim, links)
    }

    pub(super) fn exchange_entries(&mut self, one: (Ino, &[u8]), other: (Ino, &[u8])) -> Outcome<()> {
        let (one_dir, other_dir) = (self.directory(one.0)?, self.directory(other.0)?);
        let (first, second) = (self.entry(&one_dir, one.1)?, self.entry(&other_dir, other.1)?);
        let (mut first_inode, mut second_inode) = (self.inode(first.ino)?, self.inode(second.ino)?);
        self.redirect_entry(&first, second_inode.ino, second_inode.kind)?;
        self.redirect_entry(&second, first_inode.ino, first_inode.kind)?;
        for dir in [one.0, other.0] {
            let mut dir = self.directory(dir)?;
            (dir.modified, dir.changed) = (self.now, self.now);
            self.save(&dir)?;
        }
        self.reparent(&first_inode, one.0, other.0)?;
        self.reparent(&second_inode, other.0, one.0)?;
        (first_inode.changed, second_inode.changed) = (self.now, self.now);
        self.save(&first_inode)?;
        self.save(&second_inode)
    }

    /// If a directory has moved from below `from` to below `to`: its `..`, and their link counts.
    fn reparent(&mut self, moved: &Inode, from: Ino, to: Ino) -> Outcome<()> {
        if !moved.is_directory() || from == to {
            return Ok(());
        }
        self.set_parent(moved, inode_number(to)?)?;
        let mut from = self.directory(from)?;
        from.links = from.links.saturating_sub(1);
        self.save(&from)?;
        let mut to = self.directory(to)?;
        if to.links >= LINKS_MAX {
            return Err(Errno::EMLINK.into());
        }
        to.links += 1;
        self.save(&to)
    }

    /// A directory in which a name is going to be used.
    fn directory_for_name(&mut self, dir: Ino, name: &[u8]) -> Outcome<Inode> {
        if name.len() > NAME_LEN_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let dir = self.directory(dir)?;
        if dir.links == 0 { Err(Errno::ENOENT.into()) } else { Ok(dir) }
    }

    /// A directory in which a name is free.
    fn directory_for_new(&mut self, dir: Ino, name: &[u8]) -> Outcome<Inode> {
        let dir = self.directory_for_name(dir, name)?;
        if self.find(&dir, name)?.is_some() { Err(Errno::EEXIST.into()) } else { Ok(dir) }
    }
}
