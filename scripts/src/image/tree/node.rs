//! `Node`: a file, directory, link or device.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::Entries;
use crate::holes::is_hole;
use crate::image::section::Section;

/// Where a regular file's bytes are.
#[derive(Clone, Debug)]
pub enum Data {
    /// A part of an open file.
    Section(Section),
    /// A file of the host, opened when it is read.
    Path { path: Arc<Path>, len: u64 },
    /// In memory, for the few files the tool makes itself.
    Bytes(Vec<u8>),
}

impl Data {
    /// Bytes in the file.
    pub fn len(&self) -> u64 {
        match self {
            Data::Section(section) => section.len,
            Data::Path { len, .. } => *len,
            Data::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether the `len` bytes from `position` on are known to be zero without reading them.
    pub fn is_hole(&self, position: u64, len: u64) -> bool {
        match self {
            Data::Section(section) => is_hole(&*section.file, section.offset + position, len),
            Data::Path { .. } | Data::Bytes(_) => false,
        }
    }

    /// Fills `to` from `position` on; the caller stays within [`Self::len`].
    pub fn read_at(&self, position: u64, to: &mut [u8]) -> io::Result<()> {
        match self {
            Data::Section(section) => section.file.read_exact_at(to, section.offset + position),
            Data::Path { path, .. } => File::open(path)?.read_exact_at(to, position),
            Data::Bytes(bytes) => {
                let start = position as usize;
                let from = bytes.get(start..start + to.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                to.copy_from_slice(from);
                Ok(())
            }
        }
    }
}

/// Character or block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceKind {
    /// `S_IFCHR`
    Character,
    /// `S_IFBLK`
    Block,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Content {
    /// What it contains.
    Directory(Entries),
    /// A regular file.
    File(Data),
    /// A symbolic link's target.
    Symlink(Vec<u8>),
    /// A device node.
    Device { kind: DeviceKind, major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
}

/// What every node has besides its content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime_s: i64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Metadata {
    /// Root's, with `mode`.
    pub fn of_root(mode: u16) -> Self {
        Metadata { mode, ..Metadata::default() }
    }
}

/// A file, directory, … with all its names.
#[derive(Clone, Debug)]
pub struct Node {
    pub metadata: Metadata,
    pub content: Content,
}

impl Node {
    /// An empty directory.
    pub fn directory(metadata: Metadata) -> Self {
        Node { metadata, content: Content::Directory(Entries::default()) }
    }
}
