//! Inodes: their form on disk, reading and saving them.

use super::Ext2;
use super::bytes::{set_u16, set_u32, u16_at, u32_at};
use crate::stop::Outcome;
use crate::vfs::{Attributes, FileKind, Ino, Timestamp};
use abi::Errno;

/// Direct block pointers in an inode.
pub(super) const DIRECT: usize = 12;
/// All pointers: direct, indirect, double and triple indirect.
pub(super) const POINTERS: usize = 15;
/// The directory has a hash index, which linear readers see as unused entries.
pub(super) const FLAG_INDEX: u32 = 0x1000;
/// Length of the part that all inodes have; the rest is described by its `extra_isize` field.
pub(super) const BASE_LEN: usize = 128;
/// Extra part of new inodes: up to and including the project id.
const EXTRA_LEN: u16 = 32;

/// An inode, as far as it is understood. Fields it doesn't have stay on disk as they are.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) ino: u32,
    pub(super) kind: FileKind,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u16,
    pub(super) size_bytes: u64,
    /// 512-byte units, indirect and attribute blocks included.
    pub(super) sectors: u32,
    pub(super) flags: u32,
    pub(super) accessed: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) changed: Timestamp,
    /// When it was deleted, in seconds; while it is an orphan, the next orphan.
    pub(super) deleted: u32,
    /// Block pointers; the target of a fast symbolic link; the number of a device.
    pub(super) pointers: [u32; POINTERS],
    pub(super) xattr_block: u32,
    /// Bytes of the extra part, 0 if there is none.
    pub(super) extra_len: u16,
    /// Its other bytes are to be cleared when it is saved.
    is_new: bool,
}

/// The `S_IFMT` part of a mode.
fn format_bits(kind: FileKind) -> u16 {
    match kind {
        FileKind::Fifo => 0o01_0000,
        FileKind::CharDevice => 0o02_0000,
        FileKind::Directory => 0o04_0000,
        FileKind::BlockDevice => 0o06_0000,
        FileKind::Regular => 0o10_0000,
        FileKind::Symlink => 0o12_0000,
        FileKind::Socket => 0o14_0000,
    }
}

const KINDS: [FileKind; 7] = [
    FileKind::Fifo,
    FileKind::CharDevice,
    FileKind::Directory,
    FileKind::BlockDevice,
    FileKind::Regular,
    FileKind::Symlink,
    FileKind::Socket,
];

/// Seconds in the base part, as a signed number; the extra part has two more bits of them and the nanoseconds.
fn time_at(raw: &[u8], at: usize, extra_at: usize, extra_len: u16) -> Timestamp {
    let seconds = i64::from(u32_at(raw, at) as i32);
    if BASE_LEN + usize::from(extra_len) < extra_at + 4 {
        return Timestamp { seconds, nanoseconds: 0 };
    }
    let extra = u32_at(raw, extra_at);
    Timestamp { seconds: seconds + (i64::from(extra & 3) << 32), nanoseconds: (extra >> 2).min(999_999_999) }
}

fn set_time(raw: &mut [u8], at: usize, extra_at: usize, extra_len: u16, time: Timestamp) {
    let has_extra = BASE_LEN + usize::from(extra_len) >= extra_at + 4;
    let epochs = if has_extra { 3 } else { 0 };
    let seconds = time.seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX) + (epochs << 32));
    set_u32(raw, at, seconds as u32);
    if has_extra {
        let epoch = (seconds - i64::from(seconds as i32)) >> 32;
        set_u32(raw, extra_at, (epoch as u32 & 3) | time.nanoseconds << 2);
    }
}

impl Inode {
    /// A new inode without contents.
    pub(super) fn new(ino: u32, kind: FileKind, inode_size: usize, now: Timestamp) -> Self {
        Self {
            ino,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            links: 0,
            size_bytes: 0,
            sectors: 0,
            flags: 0,
            accessed: now,
            modified: now,
            changed: now,
            deleted: 0,
            pointers: [0; POINTERS],
            xattr_block: 0,
            extra_len: if inode_size > BASE_LEN { EXTRA_LEN } else { 0 },
            is_new: true,
        }
    }

    fn parse(ino: u32, raw: &[u8]) -> Outcome<Self> {
        let mode = u16_at(raw, 0);
        let kind = KINDS.into_iter().find(|kind| format_bits(*kind) == mode & 0o17_0000).ok_or(Errno::EUCLEAN)?;
        let mut pointers = [0; POINTERS];
        for (index, pointer) in pointers.iter_mut().enumerate() {
            *pointer = u32_at(raw, 40 + 4 * index);
        }
        let extra_len = if raw.len() > BASE_LEN { u16_at(raw, 128) } else { 0 };
        let extra_fits = extra_len % 4 == 0 && BASE_LEN + usize::from(extra_len) <= raw.len();
        let extra_len = if extra_fits { extra_len } else { 0 };
        let high = if kind == FileKind::Regular { u32_at(raw, 108) } else { 0 };
        Ok(Self {
            ino,
            kind,
            mode: mode & 0o7777,
            uid: u32::from(u16_at(raw, 2)) | u32::from(u16_at(raw, 120)) << 16,
            gid: u32::from(u16_at(raw, 24)) | u32::from(u16_at(raw, 122)) << 16,
            links: u16_at(raw, 26),
            size_bytes: u64::from(u32_at(raw, 4)) | u64::from(high) << 32,
            sectors: u32_at(raw, 28),
            flags: u32_at(raw, 32),
            accessed: time_at(raw, 8, 140, extra_len),
            changed: time_at(raw, 12, 132, extra_len),
            modified: time_at(raw, 16, 136, extra_len),
            deleted: u32_at(raw, 20),
            pointers,
            xattr_block: u32_at(raw, 104),
            extra_len,
            is_new: false,
        })
    }

    fn store(&self, raw: &mut [u8]) {
        if self.is_new {
            // The generation tells inodes that had this number before from this one (NFS).
            let generation = u32_at(raw, 100).wrapping_add(1);
            raw.fill(0);
            set_u32(raw, 100, generation);
        }
        if raw.len() > BASE_LEN {
            set_u16(raw, 128, self.extra_len);
        }
        set_u16(raw, 0, format_bits(self.kind) | self.mode & 0o7777);
        set_u16(raw, 2, self.uid as u16);
        set_u16(raw, 120, (self.uid >> 16) as u16);
        set_u16(raw, 24, self.gid as u16);
        set_u16(raw, 122, (self.gid >> 16) as u16);
        set_u16(raw, 26, self.links);
        set_u32(raw, 4, self.size_bytes as u32);
        if self.kind == FileKind::Regular {
            set_u32(raw, 108, (self.size_bytes >> 32) as u32);
        }
        set_u32(raw, 28, self.sectors);
        set_u32(raw, 32, self.flags);
        set_time(raw, 8, 140, self.extra_len, self.accessed);
        set_time(raw, 12, 132, self.extra_len, self.changed);
        set_time(raw, 16, 136, self.extra_len, self.modified);
        if self.is_new && self.extra_len >= EXTRA_LEN {
            // When it was created.
            set_time(raw, 144, 148, self.extra_len, self.changed);
        }
        set_u32(raw, 20, self.deleted);
        for (index, pointer) in self.pointers.iter().enumerate() {
            set_u32(raw, 40 + 4 * index, *pointer);
        }
        set_u32(raw, 104, self.xattr_block);
    }

    /// Device number of a device node, in the encoding of `makedev(3)`. On disk there are two: 8 bits each of major
    /// and minor in the first pointer, or 12 and 20 bits in the second.
    pub(super) fn rdev(&self) -> u64 {
        if !matches!(self.kind, FileKind::CharDevice | FileKind::BlockDevice) {
            return 0;
        }
        let (old, new) = (self.pointers[0], self.pointers[1]);
        let (major, minor) = if old != 0 {
            (old >> 8 & 0xff, old & 0xff)
        } else {
            (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00)
        };
        let (major, minor) = (u64::from(major), u64::from(minor));
        (minor & 0xff) | major << 8 | (minor & !0xff) << 12
    }

    /// The reverse of [`Self::rdev`].
    pub(super) fn set_rdev(&mut self, rdev: u64) {
        let (major, minor) = (rdev >> 8 & 0xfff, rdev & 0xff | rdev >> 12 & 0xf_ff00);
        if major < 256 && minor < 256 {
            self.pointers[0] = (major << 8 | minor) as u32;
        } else {
            self.pointers[1] = (minor & 0xff | major << 8 | (minor & !0xff) << 12) as u32;
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// What `stat` tells.
    pub(super) fn attributes(&self, block_size: usize) -> Attributes {
        Attributes {
            ino: Ino(u64::from(self.ino)),
            kind: self.kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            links: u32::from(self.links),
            size_bytes: self.size_bytes,
            blocks: u64::from(self.sectors),
            block_size: block_size as u32,
            rdev: self.rdev(),
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
        }
    }
}

impl Ext2 {
    /// Reads an inode.
    pub(super) fn inode(&mut self, ino: u32) -> Outcome<Inode> {
        let (block, at) = self.inode_place(ino)?;
        let bytes = self.store.read(block)?;
        Inode::parse(ino, &bytes[at..at + self.layout.inode_size])
    }

    /// Reads a directory's inode.
    pub(super) fn directory(&mut self, ino: Ino) -> Outcome<Inode> {
        let inode = self.inode(inode_number(ino)?)?;
        if inode.is_directory() { Ok(inode) } else { Err(Errno::ENOTDIR.into()) }
    }

    /// Writes an inode back.
    pub(super) fn save(&mut self, inode: &Inode) -> Outcome<()> {
        inode.store(self.inode_bytes(inode.ino)?);
        Ok(())
    }

    /// The bytes of an inode, to be changed.
    pub(super) fn inode_bytes(&mut self, ino: u32) -> Outcome<&mut [u8]> {
        let (block, at) = self.inode_place(ino)?;
        let len = self.layout.inode_size;
        Ok(&mut self.store.write(block)?[at..at + len])
    }

    /// Block of the inode table, and where in it the inode is.
    pub(super) fn inode_place(&mut self, ino: u32) -> Outcome<(u32, usize)> {
        if ino == 0 || ino > self.layout.inodes {
            return Err(Errno::EUCLEAN.into());
        }
        let table = self.group((ino - 1) / self.layout.inodes_per_group)?.inode_table;
        let at = (ino - 1) as usize % self.layout.inodes_per_group as usize * self.layout.inode_size;
        Ok((table + (at / self.layout.block_size) as u32, at % self.layout.block_size))
    }
}

/// The number on disk.
pub(super) fn inode_number(ino: Ino) -> Outcome<u32> {
    u32::try_from(ino.0).map_err(|_| Errno::ESTALE.into())
}
