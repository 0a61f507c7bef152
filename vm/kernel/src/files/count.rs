//! How many files the machine has open, and how many it may have (`proc(5)`, `/proc/sys/fs/file-max`).

use std::cell::Cell;
use std::rc::Rc;

use abi::Errno;

/// Open files at first, and at most: Linux allows as many as fit a tenth of the memory, 1 KiB for each. The limit is for
/// root, too, since it is the tab's memory.
pub const FILES_MAX: u64 = 262_144;

/// The count, and its limit. A file counts from when it first gets a descriptor until it is gone.
pub struct FileCount {
    open: Rc<Cell<u64>>,
    max: Cell<u64>,
}

impl Default for FileCount {
    fn default() -> Self {
        Self { open: Rc::default(), max: Cell::new(FILES_MAX) }
    }
}

impl FileCount {
    /// Files there are.
    pub fn open(&self) -> u64 {
        self.open.get()
    }

    /// `file-max`.
    pub fn max(&self) -> u64 {
        self.max.get()
    }

    /// Changes the limit, which is never higher than at first.
    pub fn set_max(&self, max: u64) {
        self.max.set(max.min(FILES_MAX));
    }

    /// Whether there may be one more.
    ///
    /// # Errors
    /// `ENFILE` if not.
    pub fn check(&self) -> Result<(), Errno> {
        if self.open.get() < self.max.get() { Ok(()) } else { Err(Errno::ENFILE) }
    }

    /// Counts one, for as long as the value lives.
    ///
    /// # Errors
    /// `ENFILE` if there are too many.
    pub fn count(&self) -> Result<Counted, Errno> {
        self.check()?;
        self.open.set(self.open.get() + 1);
        Ok(Counted(self.open.clone()))
    }
}

/// A file that is counted.
pub struct Counted(Rc<Cell<u64>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_while_they_live() {
        let files = FileCount::default();
        files.set_max(2);
        let held = (files.count().ok().unwrap(), files.count().ok().unwrap());
        assert_eq!((files.open(), files.count().err()), (2, Some(Errno::ENFILE)));
        drop(held);
        assert_eq!((files.open(), files.check()), (0, Ok(())));
        files.set_max(u64::MAX);
        assert_eq!(files.max(), FILES_MAX);
    }
}
