//! `Volume`: a file system in use, shared by the mounts and directory entries that refer to it.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;

use super::{FileSystem, Ino, Timestamp, Watches};
use crate::stop::Outcome;
use abi::Errno;

/// A file system in use (Linux: super block). It is dropped with the last mount, open file or cached entry.
pub struct Volume {
    /// `st_dev`: an anonymous device, major 0.
    pub(super) device: u64,
    /// Whether lookups must always ask the file system.
    pub(super) volatile: bool,
    /// Whether nothing in it can be changed.
    read_only: Cell<bool>,
    /// Name of its type. Kept here because procfs shows it while it is being read itself.
    pub(super) type_name: &'static str,
    file_system: RefCell<Box<dyn FileSystem>>,
    /// Inodes whose holders are gone, to be released at the next use: directory entries are dropped at times when
    /// the file system can't be entered.
    released: RefCell<Vec<Ino>>,
    clock: Rc<Cell<Timestamp>>,
    /// Who watches its files.
    pub(super) watches: Rc<Watches>,
}

impl Volume {
    pub(super) fn new(
        file_system: Box<dyn FileSystem>,
        device: u64,
        clock: Rc<Cell<Timestamp>>,
        watches: Rc<Watches>,
    ) -> Rc<Self> {
        Rc::new(Self {
            device,
            volatile: file_system.is_volatile(),
            read_only: Cell::new(file_system.is_read_only()),
            type_name: file_system.type_name(),
            file_system: RefCell::new(file_system),
            released: RefCell::default(),
            clock,
            watches,
        })
    }

    /// The file system, told the time and who has gone. Hold the result no longer than one call.
    pub(super) fn enter(&self) -> RefMut<'_, Box<dyn FileSystem>> {
        let mut file_system = self.file_system.borrow_mut();
        file_system.set_time(self.clock.get());
        for ino in self.released.borrow_mut().drain(..) {
            file_system.release(ino);
        }
        file_system
    }

    /// Whether nothing in it can be changed.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only.get()
    }

    /// Forbids changes, or allows them again.
    ///
    /// # Errors
    /// `EROFS` if the file system can't do them.
    pub(super) fn set_read_only(&self, read_only: bool) -> Outcome<()> {
        if !read_only && self.enter().is_read_only() {
            return Err(Errno::EROFS.into());
        }
        self.read_only.set(read_only);
        Ok(())
    }

    /// Queues the release of one hold on `ino`.
    pub(super) fn release_later(&self, ino: Ino) {
        self.released.borrow_mut().push(ino);
    }

    /// The time new timestamps get.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.get()
    }
}
