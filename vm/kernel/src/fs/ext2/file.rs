//! Contents of regular files, and of symbolic links.

use super::inode::{Inode, POINTERS, inode_number};
use super::superblock::field;
use super::{Ext2, corrupt, features};
use crate::stop::{Outcome, Stop, Wait};
use crate::vfs::{FileKind, Ino};
use abi::Errno;

/// Longest target of a symbolic link that is kept in the inode itself, with its terminating NUL.
const FAST_LINK_LEN: usize = POINTERS * 4;
/// Bytes read from the device at a time, so that one read doesn't need more chunks at once than it keeps.
const READ_BYTES_MAX: u64 = 1 << 20;
/// Sizes from here on need the `large_file` feature.
const LARGE_SIZE: u64 = 1 << 31;

impl Ext2 {
    /// Reads from a file; fewer bytes than asked only at its end.
    pub(super) fn read_file(&mut self, ino: Ino, offset: u64, to: &mut [u8]) -> Outcome<usize> {
        let inode = self.inode(inode_number(ino)?)?;
        if inode.kind != FileKind::Regular {
            return Err(Errno::EINVAL.into());
        }
        let left = inode.size_bytes.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        self.read_contents(&inode, offset, &mut to[..len])?;
        Ok(len)
    }

    /// Fills `to` from `offset` on. If something has to be fetched, all that is wanted is asked for.
    fn read_contents(&mut self, inode: &Inode, offset: u64, to: &mut [u8]) -> Outcome<()> {
        let block_size = self.layout.block_size as u64;
        let mut pending = false;
        let mut done = 0;
        while done < to.len() {
            let at = offset + done as u64;
            let skip = at % block_size;
            let left = ((to.len() - done) as u64).min(READ_BYTES_MAX);
            let run = self.map(inode, at / block_size, (skip + left).div_ceil(block_size))?;
            let len = left.min(run.len * block_size - skip) as usize;
            let piece = &mut to[done..done + len];
            match run.start {
                None => piece.fill(0),
                Some(start) => match self.store.read_bytes(start, skip as usize, piece) {
                    Err(Stop::Wait(Wait::Disk)) => pending = true,
                    result => result?,
                },
            }
            done += len;
        }
        if pending { Err(Stop::Wait(Wait::Disk)) } else { Ok(()) }
    }

    /// Writes to a file; fewer bytes than given if the disk is full or the file as large as can be.
    pub(super) fn write_file(&mut self, ino: Ino, offset: u64, from: &[u8]) -> Outcome<usize> {
        let mut inode = self.inode(inode_number(ino)?)?;
        if inode.kind != FileKind::Regular {
            return Err(Errno::EINVAL.into());
        }
        if from.is_empty() {
            return Ok(0);
        }
        let room = self.file_size_max().saturating_sub(offset);
        if room == 0 {
            return Err(Errno::EFBIG.into());
        }
        let from = &from[..from.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        if offset > inode.size_bytes {
            self.zero_tail(&inode)?;
        }
        let written = self.write_contents(&mut inode, offset, from)?;
        if written == 0 {
            return Err(Errno::ENOSPC.into());
        }
        let end = offset + written as u64;
        if end > inode.size_bytes {
            self.set_size(&mut inode, end)?;
        }
        (inode.modified, inode.changed) = (self.now, self.now);
        self.save(&inode)?;
        Ok(written)
    }

    fn write_contents(&mut self, inode: &mut Inode, offset: u64, from: &[u8]) -> Outcome<usize> {
        let block_size = self.layout.block_size;
        let mut done = 0;
        while done < from.len() {
            let at = offset + done as u64;
            let skip = (at % block_size as u64) as usize;
            let len = (block_size - skip).min(from.len() - done);
            let logical = at / block_size as u64;
            let mapped = self.map(inode, logical, 1)?.start;
            let block = match mapped {
                Some(block) => block,
                None if self.counter(field::FREE_BLOCKS)? < Self::ALLOCATED_MAX => break,
                None => self.map_or_allocate(inode, logical, true)?.0,
            };
            // A new block is all zeros already; of an old one the rest must be kept.
            let bytes = match mapped {
                Some(_) if len == block_size => self.store.write_new(block, true)?,
                _ => self.store.write_data(block)?,
            };
            bytes[skip..skip + len].copy_from_slice(&from[done..done + len]);
            done += len;
        }
        Ok(done)
    }

    /// Truncates or extends a file, whose inode the caller saves.
    pub(super) fn resize(&mut self, inode: &mut Inode, size_bytes: u64) -> Outcome<()> {
        if inode.kind != FileKind::Regular {
            return Err(Errno::EINVAL.into());
        }
        if size_bytes > self.file_size_max() {
            return Err(Errno::EFBIG.into());
        }
        if size_bytes < inode.size_bytes {
            self.free_blocks_after(inode, size_bytes.div_ceil(self.layout.block_size as u64))?;
        } else {
            self.zero_tail(inode)?;
        }
        self.set_size(inode, size_bytes)?;
        self.zero_tail(inode)?;
        (inode.modified, inode.changed) = (self.now, self.now);
        Ok(())
    }

    /// Zeroes the last block past the file's end: it becomes visible when the file grows.
    fn zero_tail(&mut self, inode: &Inode) -> Outcome<()> {
        let skip = (inode.size_bytes % self.layout.block_size as u64) as usize;
        let logical = inode.size_bytes / self.layout.block_size as u64;
        if skip > 0
            && let Some(block) = self.map(inode, logical, 1)?.start
        {
            let mut tail = vec![0; self.layout.block_size - skip];
            self.store.read_bytes(block, skip, &mut tail)?;
            if tail.iter().any(|byte| *byte != 0) {
                self.store.write_data(block)?[skip..].fill(0);
            }
        }
        Ok(())
    }

    fn set_size(&mut self, inode: &mut Inode, size_bytes: u64) -> Outcome<()> {
        inode.size_bytes = size_bytes;
        if size_bytes >= LARGE_SIZE {
            let flags = self.counter(field::RO_COMPAT)?;
            if flags & features::LARGE_FILE == 0 {
                self.set_counter(field::RO_COMPAT, flags | features::LARGE_FILE)?;
            }
        }
        Ok(())
    }

    /// Largest file: what the pointers reach, and what can be counted in 32 bits of sectors, its indirect blocks
    /// included.
    pub(super) fn file_size_max(&self) -> u64 {
        if self.layout.revision == 0 {
            return LARGE_SIZE - 1;
        }
        let pointers = self.layout.pointers_per_block();
        let reached = 12 + pointers + pointers.pow(2) + pointers.pow(3);
        let counted = u64::from(u32::MAX) / u64::from(self.sectors_per_block());
        let triple = counted - 12 - pointers - pointers.pow(2);
        let tables = 3 + pointers + triple.div_ceil(pointers) + triple.div_ceil(pointers.pow(2));
        reached.min(counted - tables) * self.layout.block_size as u64
    }

    /// Target of a symbolic link.
    pub(super) fn link_target(&mut self, ino: Ino) -> Outcome<Vec<u8>> {
        let inode = self.inode(inode_number(ino)?)?;
        if inode.kind != FileKind::Symlink {
            return Err(Errno::EINVAL.into());
        }
        let len = match usize::try_from(inode.size_bytes) {
            Ok(len) if len <= self.layout.block_size => len,
            _ => return corrupt(),
        };
        if self.is_fast_link(&inode) {
            let bytes: Vec<u8> = inode.pointers.iter().flat_map(|pointer| pointer.to_le_bytes()).collect();
            return if len < FAST_LINK_LEN { Ok(bytes[..len].to_vec()) } else { corrupt() };
        }
        let mut target = vec![0; len];
        self.read_contents(&inode, 0, &mut target)?;
        Ok(target)
    }

    /// Whether the target is in the inode: it is if no block is counted but that of the extended attributes.
    pub(super) fn is_fast_link(&self, inode: &Inode) -> bool {
        let for_xattrs = if inode.xattr_block != 0 { self.sectors_per_block() } else { 0 };
        inode.kind == FileKind::Symlink && inode.sectors == for_xattrs
    }

    /// Gives a new symbolic link its target.
    pub(super) fn set_link_target(&mut self, inode: &mut Inode, target: &[u8]) -> Outcome<()> {
        if target.len() >= self.layout.block_size {
            return Err(Errno::ENAMETOOLONG.into());
        }
        inode.size_bytes = target.len() as u64;
        if target.len() < FAST_LINK_LEN {
            let mut bytes = [0; FAST_LINK_LEN];
            bytes[..target.len()].copy_from_slice(target);
            for (pointer, bytes) in inode.pointers.iter_mut().zip(bytes.chunks_exact(4)) {
                *pointer = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            return Ok(());
        }
        let (block, _) = self.map_or_allocate(inode, 0, true)?;
        self.store.write_new(block, true)?[..target.len()].copy_from_slice(target);
        Ok(())
    }
}
