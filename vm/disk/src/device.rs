//! `BlockDevice`: what a file system needs of the disk below it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Why bytes of a disk are not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlockError {
    /// They are being fetched: try again when the disk says that something has arrived.
    Pending,
    /// They can't be had; the text names what and why.
    Failed(String),
    /// There is no memory left for what the guest writes.
    Full,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockError::Pending => f.write_str("not here yet"),
            BlockError::Failed(why) => f.write_str(why),
            BlockError::Full => f.write_str("there is no memory left to write to"),
        }
    }
}

impl std::error::Error for BlockError {}

/// A disk that is read and written by byte range.
pub trait BlockDevice {
    /// Bytes on the disk.
    fn size_bytes(&self) -> u64;

    /// Fills `to` from `offset` on.
    ///
    /// # Errors
    /// [`BlockError::Pending`] has started whatever fetching is needed; `to` is then unspecified.
    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError>;

    /// [`Self::read`], of what a file contains: neither tables nor directories, which a file system reads by the other one.
    /// A device for which that makes no difference leaves this as it is.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_contents(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.read(offset, to)
    }

    /// Replaces the bytes from `offset` on.
    ///
    /// # Errors
    /// As [`Self::read`]; a write of part of a block may need the block first. Nothing is written then.
    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError>;
}

/// A disk that the host holds on to, to tell it of arrivals, while a file system reads it.
impl<D: BlockDevice + ?Sized> BlockDevice for Rc<RefCell<D>> {
    fn size_bytes(&self) -> u64 {
        self.borrow().size_bytes()
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.borrow_mut().read(offset, to)
    }

    fn read_contents(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.borrow_mut().read_contents(offset, to)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        self.borrow_mut().write(offset, from)
    }
}

/// A disk image held in memory, for tests and small tools.
impl BlockDevice for Vec<u8> {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        let range = byte_range(offset, to.len(), self.len())?;
        to.copy_from_slice(&self[range]);
        Ok(())
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        let range = byte_range(offset, from.len(), self.len())?;
        self[range].copy_from_slice(from);
        Ok(())
    }
}

/// The indices of `len` bytes from `offset` on a disk of `size` bytes.
fn byte_range(offset: u64, len: usize, size: usize) -> Result<std::ops::Range<usize>, BlockError> {
    let end = offset.checked_add(len as u64).filter(|end| *end <= size as u64);
    let end =
        end.ok_or_else(|| BlockError::Failed(format!("{len} bytes at {offset} lie past the disk's end ({size})")))?;
    Ok(offset as usize..end as usize)
}
