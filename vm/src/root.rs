//! The root file system: ext2 on a disk that the host goes on feeding while the kernel layer reads it.

use std::cell::RefCell;
use std::rc::Rc;

use disk::{BlockDevice, BlockError, ChunkSource, Disk};
use kernel::fs::ext2::{Ext2, MountError, Superblock};

/// A disk with two owners: the file system above it and the host, which delivers chunks.
pub struct SharedDisk<S> {
    /// The disk.
    pub disk: Rc<RefCell<Disk<S>>>,
    /// Hears why bytes can't be had; the guest is told no more than `EIO`.
    pub on_failure: Box<dyn Fn(&str)>,
}

impl<S> SharedDisk<S> {
    fn heard<T>(&self, result: Result<T, BlockError>) -> Result<T, BlockError> {
        if let Err(BlockError::Failed(why)) = &result {
            (self.on_failure)(why);
        }
        result
    }
}

impl<S: ChunkSource> BlockDevice for SharedDisk<S> {
    fn size_bytes(&self) -> u64 {
        self.disk.borrow().size_bytes()
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        let result = self.disk.borrow_mut().read(offset, to);
        self.heard(result)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        let result = self.disk.borrow_mut().write(offset, from);
        self.heard(result)
    }
}

/// Mounts the ext2 file system on a disk; `None` while its first bytes are still being fetched.
///
/// # Errors
/// What is wrong with the disk, for whoever made it.
pub fn mount(mut device: Box<dyn BlockDevice>, log: &mut dyn FnMut(&str)) -> Result<Option<Ext2>, String> {
    let superblock = match Superblock::read(&mut *device) {
        Ok(superblock) => superblock,
        Err(MountError::Pending) => return Ok(None),
        Err(error) => return Err(format!("the disk can't be mounted: {error}")),
    };
    let root = Ext2::new(device, superblock, false);
    if !root.unwritable_features().is_empty() {
        log(&format!("the disk is read-only because of ext2 features: {}", root.unwritable_features().join(", ")));
    }
    Ok(Some(root))
}
