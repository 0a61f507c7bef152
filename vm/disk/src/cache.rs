//! Decoded chunks kept in memory, the least recently used dropped first.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::digest::ChunkDigest;

/// Decoded chunks and index pages held at a time: 64 MiB, enough for a compiler run's working set without evicting
/// what is still wanted, little beside the guest's own memory.
pub const CACHE_BYTES_MAX: usize = 64 << 20;

struct Entry {
    bytes: Rc<[u8]>,
    /// Key in `ChunkCache::by_use`.
    last_use: u64,
}

/// A bounded map from digest to content.
pub struct ChunkCache {
    limit_bytes: usize,
    held_bytes: usize,
    uses: u64,
    entries: HashMap<ChunkDigest, Entry>,
    /// Oldest use first.
    by_use: BTreeMap<u64, ChunkDigest>,
}

impl ChunkCache {
    /// An empty cache for `limit_bytes` of content.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        ChunkCache { limit_bytes, held_bytes: 0, uses: 0, entries: HashMap::new(), by_use: BTreeMap::new() }
    }

    /// The content of `digest`, which counts as a use of it.
    pub fn get(&mut self, digest: &ChunkDigest) -> Option<Rc<[u8]>> {
        let entry = self.entries.get_mut(digest)?;
        self.uses += 1;
        self.by_use.remove(&entry.last_use);
        entry.last_use = self.uses;
        self.by_use.insert(self.uses, *digest);
        Some(Rc::clone(&entry.bytes))
    }

    /// Whether `digest` is there; not a use.
    #[must_use]
    pub fn contains(&self, digest: &ChunkDigest) -> bool {
        self.entries.contains_key(digest)
    }

    /// Adds content, dropping the least recently used beyond the limit, though never what was just added.
    pub fn insert(&mut self, digest: ChunkDigest, bytes: Rc<[u8]>) {
        self.uses += 1;
        self.held_bytes += bytes.len();
        if let Some(old) = self.entries.insert(digest, Entry { bytes, last_use: self.uses }) {
            self.held_bytes -= old.bytes.len();
            self.by_use.remove(&old.last_use);
        }
        self.by_use.insert(self.uses, digest);
        while self.held_bytes > self.limit_bytes && self.entries.len() > 1 {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(old) = self.entries.remove(&oldest) {
                self.held_bytes -= old.bytes.len();
            }
        }
    }

    /// Bytes of content held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: u8, len: usize) -> (ChunkDigest, Rc<[u8]>) {
        let bytes = vec![number; len];
        (ChunkDigest::of(&bytes), bytes.into())
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut cache = ChunkCache::new(300);
        let chunks: Vec<_> = (1..=4).map(|number| content(number, 100)).collect();
        for (digest, bytes) in &chunks[..3] {
            cache.insert(*digest, bytes.clone());
        }
        assert!(cache.get(&chunks[0].0).is_some());
        cache.insert(chunks[3].0, chunks[3].1.clone());
        let held: Vec<_> = chunks.iter().map(|(digest, _)| cache.contains(digest)).collect();
        assert_eq!((held, cache.held_bytes()), (vec![true, false, true, true], 300));
    }

    #[test]
    fn the_newest_stays_even_if_it_is_too_large() {
        let mut cache = ChunkCache::new(10);
        for number in 1..=3 {
            let (digest, bytes) = content(number, 100);
            cache.insert(digest, bytes.clone());
            cache.insert(digest, bytes);
            assert_eq!((cache.get(&digest).map(|bytes| bytes.len()), cache.held_bytes()), (Some(100), 100));
        }
    }
}
