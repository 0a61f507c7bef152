//! A file system whose every byte has to be waited for the first time, as a disk's that comes over the network.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use kernel::fs::tmpfs::Tmpfs;
use kernel::stop::{Outcome, Stop, Wait};
use kernel::vfs::{Attributes, DirEntry, FileSystem, FileSystemStatus, Ino, NewFile, SetAttributes, Timestamp};

/// Accesses that have been waited for; now and then all are forgotten, as by a cache that is full.
#[derive(Default)]
pub struct Arrivals {
    pub slow: Cell<bool>,
    pub waits: Cell<u64>,
    arrived: RefCell<HashSet<u64>>,
}

const ARRIVED_MAX: usize = 3000;

impl Arrivals {
    fn wait_for(&self, what: impl Hash) -> Outcome<()> {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let mut arrived = self.arrived.borrow_mut();
        if !self.slow.get() || arrived.contains(&hasher.finish()) {
            return Ok(());
        }
        if arrived.len() >= ARRIVED_MAX {
            arrived.clear();
        }
        arrived.insert(hasher.finish());
        self.waits.set(self.waits.get() + 1);
        Err(Stop::Wait(Wait::Disk))
    }
}

/// The file system.
pub struct Slow {
    pub inner: Tmpfs,
    pub arrivals: Rc<Arrivals>,
}

/// Delegates a call after it has been waited for.
macro_rules! slow {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty, key $key:expr;)*) => { $(
        fn $name(&mut self, $($arg: $ty),*) -> Outcome<$ret> {
            self.arrivals.wait_for((stringify!($name), $key))?;
            self.inner.$name($($arg),*)
        }
    )* };
}

impl FileSystem for Slow {
    fn root(&self) -> Ino {
        self.inner.root()
    }

    fn set_time(&mut self, now: Timestamp) {
        self.inner.set_time(now);
    }

    fn retain(&mut self, ino: Ino) {
        self.inner.retain(ino);
    }

    fn release(&mut self, ino: Ino) {
        self.inner.release(ino);
    }

    slow! {
        lookup(dir: Ino, name: &[u8]) -> Ino, key (dir, name);
        attributes(ino: Ino) -> Attributes, key ino;
        set_attributes(ino: Ino, set: &SetAttributes) -> (), key ino;
        read(ino: Ino, offset: u64, to: &mut [u8]) -> usize, key (ino, offset / 65536);
        write(ino: Ino, offset: u64, from: &[u8]) -> usize, key (ino, offset / 65536);
        read_link(ino: Ino) -> Vec<u8>, key ino;
        read_dir(dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> (), key (dir, cookie);
        create(dir: Ino, name: &[u8], new: &NewFile<'_>) -> Ino, key (dir, name);
        create_unnamed(dir: Ino, new: &NewFile<'_>) -> Ino, key dir;
        link(dir: Ino, name: &[u8], ino: Ino) -> (), key (dir, name);
        unlink(dir: Ino, name: &[u8]) -> (), key (dir, name);
        remove_dir(dir: Ino, name: &[u8]) -> (), key (dir, name);
        rename(from: (Ino, &[u8]), to: (Ino, &[u8])) -> (), key (from, to);
        exchange(one: (Ino, &[u8]), other: (Ino, &[u8])) -> (), key (one, other);
        touch(ino: Ino) -> (), key ino;
        seals(ino: Ino) -> u32, key ino;
        set_seals(ino: Ino, seals: u32) -> (), key ino;
        allocate(ino: Ino, start: u64, end: u64) -> (), key (ino, start, end);
        punch(ino: Ino, start: u64, end: u64) -> (), key (ino, start, end);
        rename_leaving_whiteout(from: (Ino, &[u8]), to: (Ino, &[u8]), mark: &NewFile<'_>) -> (), key (from, to);
        get_xattr(ino: Ino, name: &[u8]) -> Vec<u8>, key (ino, name);
        list_xattrs(ino: Ino) -> Vec<Vec<u8>>, key ino;
        set_xattr(ino: Ino, name: &[u8], value: Option<&[u8]>) -> (), key (ino, name);
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        self.inner.status()
    }

    fn type_name(&self) -> &'static str {
        "slow"
    }
}
