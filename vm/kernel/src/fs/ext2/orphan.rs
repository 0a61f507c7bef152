//! Orphans: inodes without links that someone still holds open, and those whose freeing had to wait.
//!
//! They are chained through their `deleted` field from the superblock, as ext3 does it, so that neither e2fsck nor the
//! next mount loses them.

use std::collections::HashSet;

use super::inode::Inode;
use super::superblock::field;
use super::{Ext2, corrupt};
use crate::stop::{Outcome, Stop};
use crate::vfs::FileKind;

impl Ext2 {
    /// Puts an inode that has lost its last link on the list. The caller saves it.
    pub(super) fn add_orphan(&mut self, inode: &mut Inode) -> Outcome<()> {
        inode.deleted = self.counter(field::LAST_ORPHAN)?;
        self.set_counter(field::LAST_ORPHAN, inode.ino)
    }

    /// Takes an inode off the list. The caller saves it.
    pub(super) fn remove_orphan(&mut self, inode: &mut Inode) -> Outcome<()> {
        let next = std::mem::take(&mut inode.deleted);
        let mut at = self.counter(field::LAST_ORPHAN)?;
        if at == inode.ino {
            return self.set_counter(field::LAST_ORPHAN, next);
        }
        for _ in 0..self.layout.inodes {
            let mut before = self.inode(at)?;
            if before.deleted == inode.ino {
                before.deleted = next;
                return self.save(&before);
            }
            at = before.deleted;
        }
        corrupt()
    }

    /// Frees an orphan, its blocks and attributes.
    fn free_orphan(&mut self, ino: u32) -> Outcome<()> {
        let mut inode = self.inode(ino)?;
        if inode.links > 0 {
            // It has got a name meanwhile (`linkat(2)` on an unnamed file), or its unlinking was rolled back.
            return Ok(());
        }
        self.remove_orphan(&mut inode)?;
        self.drop_xattr_block(&mut inode)?;
        let may_have_blocks = matches!(inode.kind, FileKind::Regular | FileKind::Directory | FileKind::Symlink);
        if may_have_blocks && !self.is_fast_link(&inode) {
            self.free_blocks_after(&mut inode, 0)?;
        }
        inode.size_bytes = 0;
        // e2fsck takes small numbers here for the next orphan's.
        inode.deleted = u32::try_from(self.now.seconds).unwrap_or(0).max(self.layout.inodes);
        self.save(&inode)?;
        self.free_inode(ino, inode.is_directory())
    }

    /// Frees the orphans nobody holds, each in a transaction of its own. One whose freeing has to wait stays.
    pub(super) fn free_orphans(&mut self) -> Outcome<()> {
        if !self.orphans_listed {
            self.list_orphans()?;
        }
        while let Some(ino) = self.unheld_orphans.pop() {
            // It may be listed twice, or held again since.
            if self.holders.contains_key(&ino) || !self.orphans.contains(&ino) {
                continue;
            }
            match self.free_orphan(ino) {
                Ok(()) => {
                    self.store.commit();
                    self.orphans.remove(&ino);
                }
                Err(stop) => {
                    self.store.rollback();
                    if let Stop::Wait(_) = stop {
                        self.unheld_orphans.push(ino);
                        return Err(stop);
                    }
                    // Damaged: it stays on the list for e2fsck.
                }
            }
        }
        Ok(())
    }

    /// Finds the orphans that the last user of the disk left.
    fn list_orphans(&mut self) -> Outcome<()> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut at = self.counter(field::LAST_ORPHAN)?;
        while at != 0 && seen.insert(at) {
            let inode = match self.inode(at) {
                Ok(inode) => inode,
                Err(stop @ Stop::Wait(_)) => return Err(stop),
                Err(Stop::Errno(_)) => break,
            };
            if inode.links == 0 {
                found.push(at);
            }
            at = inode.deleted;
        }
        // The head of the list last: it is the quickest to take off, and popped first.
        found.reverse();
        self.orphans.extend(&found);
        self.unheld_orphans.append(&mut found);
        self.orphans_listed = true;
        Ok(())
    }
}
