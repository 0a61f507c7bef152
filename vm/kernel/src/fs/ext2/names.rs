//! `NameIndex`: which block of a directory holds which name, for large directories that are searched often. Directories
//! on disk are searched from start to end, and the hash index some have is not used.

use std::collections::HashMap;

/// Directories smaller than this are searched faster than indexed.
pub(super) const BLOCKS_MIN: u64 = 4;
/// Searches before an index pays for itself: making one takes as long as about so many.
const SEARCHES_MIN: u32 = 8;
/// Directories remembered: those of a library path, and one or two being written to.
const DIRECTORIES_MAX: usize = 8;
/// Names in an index, about 80 bytes each. Larger directories are searched.
const NAMES_MAX: usize = 64 * 1024;

/// The block of each name.
type Names = HashMap<Box<[u8]>, u32>;

struct Known {
    dir: u32,
    searches: u32,
    too_large: bool,
    names: Option<Names>,
}

/// What the index says about a name.
pub(super) enum Hint {
    /// Nothing.
    Search,
    /// Nothing, but it would be worth while to have an index of this directory.
    SearchAndIndex,
    /// There is none of that name.
    Absent,
    /// It is in this block of the disk.
    InBlock(u32),
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct NameIndex {
    /// Least recently used first.
    known: Vec<Known>,
    /// Changed by the transaction that is going on.
    touched: bool,
}

impl NameIndex {
    /// Where to look for `name`; counts the search.
    pub(super) fn hint(&mut self, dir: u32, name: &[u8]) -> Hint {
        let known = match self.known.iter().position(|known| known.dir == dir) {
            Some(index) => self.known.remove(index),
            None => Known { dir, searches: 0, too_large: false, names: None },
        };
        if self.known.len() >= DIRECTORIES_MAX {
            self.known.remove(0);
        }
        self.known.push(known);
        let Some(known) = self.known.last_mut() else { return Hint::Search };
        known.searches = known.searches.saturating_add(1);
        match &known.names {
            Some(names) => names.get(name).map_or(Hint::Absent, |block| Hint::InBlock(*block)),
            None if known.searches >= SEARCHES_MIN && !known.too_large => Hint::SearchAndIndex,
            None => Hint::Search,
        }
    }

    /// Remembers all names of a directory.
    pub(super) fn set(&mut self, dir: u32, names: Names) {
        if let Some(known) = self.known.iter_mut().find(|known| known.dir == dir) {
            known.too_large = names.len() > NAMES_MAX;
            known.names = (!known.too_large).then_some(names);
        }
    }

    /// A name has been added, in a transaction.
    pub(super) fn insert(&mut self, dir: u32, name: &[u8], block: u32) {
        if let Some(names) = self.names_of(dir) {
            names.insert(name.into(), block);
            if names.len() > NAMES_MAX {
                self.forget(dir);
            }
        }
    }

    /// A name has been removed, in a transaction.
    pub(super) fn remove(&mut self, dir: u32, name: &[u8]) {
        if let Some(names) = self.names_of(dir) {
            names.remove(name);
        }
    }

    fn names_of(&mut self, dir: u32) -> Option<&mut Names> {
        let names = self.known.iter_mut().find(|known| known.dir == dir)?.names.as_mut()?;
        self.touched = true;
        Some(names)
    }

    /// The directory is another one now, or gone.
    pub(super) fn forget(&mut self, dir: u32) {
        self.known.retain(|known| known.dir != dir);
    }

    /// The transaction counts.
    pub(super) fn commit(&mut self) {
        self.touched = false;
    }

    /// The transaction has never been.
    pub(super) fn rollback(&mut self) {
        if std::mem::take(&mut self.touched) {
            self.known.clear();
        }
    }
}
