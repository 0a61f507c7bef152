//! `Section`: a stretch of a file, and tar archives in it, read without trusting them.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};

/// Bytes of headers that one tar entry may have: twice the names (4 KiB each) and attributes (64 KiB) that Linux allows, and
/// then some. They are read into memory, whatever length an archive says they have.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// `len` bytes of a file from `offset` on.
#[derive(Clone, Debug)]
pub struct Section {
    pub file: Arc<File>,
    pub offset: u64,
    pub len: u64,
}

impl Section {
    /// The whole of a file.
    pub fn of_file(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Section { file: Arc::new(file), offset: 0, len })
    }

    /// The part of it from `offset` on that has `len` bytes, if it goes that far.
    pub fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let is_inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        is_inside.then(|| Section { file: Arc::clone(&self.file), offset: self.offset + offset, len })
    }

    /// Fills `to` from the start, as far as there is something; returns how much was read.
    pub fn start(&self, to: &mut [u8]) -> io::Result<usize> {
        let len = to.len().min(usize::try_from(self.len).unwrap_or(usize::MAX));
        self.file.read_exact_at(&mut to[..len], self.offset)?;
        Ok(len)
    }

    /// All of it, from the start.
    pub fn reader(&self) -> Reader {
        Reader { section: self.clone(), position: 0, budget: Rc::new(Cell::new(u64::MAX)) }
    }

    /// Hands every entry of the tar archive to `handle`. Contents of files are not read.
    pub fn for_each_entry(&self, mut handle: impl FnMut(&mut tar::Entry<'_, Reader>) -> Result<()>) -> Result<()> {
        let reader = self.reader();
        let budget = Rc::clone(&reader.budget);
        budget.set(HEADER_BYTES_MAX);
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries_with_seek()? {
            handle(&mut entry.context("it is no tar archive, or was cut short")?)?;
            budget.set(HEADER_BYTES_MAX);
        }
        Ok(())
    }
}

/// Reads a section.
pub struct Reader {
    section: Section,
    position: u64,
    /// How much may be read until it is raised again.
    budget: Rc<Cell<u64>>,
}

impl Read for Reader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.section.len.saturating_sub(self.position);
        let len = to.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(budget) = self.budget.get().checked_sub(len as u64) else {
            let why = format!("an entry has more than {HEADER_BYTES_MAX} bytes of names and attributes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        let read = self.section.file.read_at(&mut to[..len], self.section.offset + self.position)?;
        self.budget.set(budget);
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.section.len.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
