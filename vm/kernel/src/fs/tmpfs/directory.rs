//! `Entries`: contents of a directory, in the order in which they were made, so that reading it goes on where it
//! stopped whatever has been added or removed meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::vfs::Ino;

/// Cookie of the first entry; those below are `.` and `..`.
pub(super) const FIRST_COOKIE: u64 = 2;

/// Names and what they stand for.
pub(super) struct Entries {
    by_name: HashMap<Rc<[u8]>, (u64, Ino)>,
    by_cookie: BTreeMap<u64, Rc<[u8]>>,
    next_cookie: u64,
    /// The directory above.
    pub(super) parent: Ino,
}

impl Entries {
    pub(super) fn new(parent: Ino) -> Self {
        Self { by_name: HashMap::new(), by_cookie: BTreeMap::new(), next_cookie: FIRST_COOKIE, parent }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Ino> {
        self.by_name.get(name).map(|entry| entry.1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What a directory says of its size: so much for each entry, `.` and `..` too (`BOGO_DIRENT_SIZE`).
    pub(super) fn size_bytes(&self) -> u64 {
        const ENTRY_BYTES: u64 = 20;
        (self.by_name.len() as u64 + 2) * ENTRY_BYTES
    }

    /// Adds an entry, or makes an existing one stand for `ino`.
    pub(super) fn insert(&mut self, name: &[u8], ino: Ino) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.1 = ino;
            return;
        }
        let name: Rc<[u8]> = name.into();
        self.by_name.insert(name.clone(), (self.next_cookie, ino));
        self.by_cookie.insert(self.next_cookie, name);
        self.next_cookie += 1;
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some((cookie, _)) = self.by_name.remove(name) {
            self.by_cookie.remove(&cookie);
        }
    }

    /// Entries from `cookie` on, each with its own.
    pub(super) fn starting_at(&self, cookie: u64) -> impl Iterator<Item = (u64, &[u8], Ino)> {
        self.by_cookie.range(cookie..).filter_map(|(cookie, name)| Some((*cookie, &**name, self.get(name)?)))
    }
}
