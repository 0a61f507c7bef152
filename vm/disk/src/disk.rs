//! `Disk`: a block device over manifest, index, chunk cache and overlay.
//!
//! Index pages and chunks take the same path: looked up in the cache, otherwise fetched, verified against their
//! digest, and cached. The root page and the leaves in use are touched by every read, so the cache keeps them.
//!
//! A chunk that is wanted and not there is in one of three states: *in flight*; *stalled* because the server could
//! not be reached, until the host calls [`Disk::retry_stalled`]; or *failed*, which the next read is told once, so
//! that a later one tries again.
//!
//! Boot packs are fetched when the first read comes, other packs when a read wakes them, before what is wanted. Reads that a
//! pack answers wait for it; if it can't be had, they go to chunks like all others.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::cache::{CACHE_BYTES_MAX, ChunkCache};
use crate::device::{BlockDevice, BlockError};
use crate::digest::{ChunkDigest, DIGEST_BYTES};
use crate::index::{self, IndexPage};
use crate::layout::Layout;
use crate::manifest::Manifest;
use crate::overlay::{BLOCK_BYTES, OVERLAY_BYTES_MAX, Overlay};
use crate::packs::Packs;
use crate::readahead::ReadAhead;
use crate::source::{ChunkSource, Delivery, Fetch, FetchError};

/// Longest read: all its chunks must be in the cache at the same time, beside those of other readers.
pub const READ_BYTES_MAX: usize = 8 << 20;

/// Chunks under way at which nothing more is fetched ahead, so that what is wanted now does not queue behind it.
pub const IN_FLIGHT_MAX_FOR_READ_AHEAD: usize = 16;

/// What has happened so far, for progress display and measurements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DiskStats {
    /// Fetches started.
    pub requests: u64,
    /// Of these, second attempts because something else than the chunk was delivered.
    pub refetches: u64,
    /// Chunks, index pages and packs that arrived and were right.
    pub chunks_arrived: u64,
    /// Their size, uncompressed.
    pub bytes_arrived: u64,
    /// Chunks being waited for at the moment.
    pub chunks_waiting: u64,
    /// Bytes of memory that hold what the guest wrote.
    pub overlay_bytes: u64,
    /// Packs that could not be had.
    pub packs_lost: u64,
}

enum State {
    InFlight,
    Stalled(String),
    Failed(String),
}

/// A chunk or page that is not there.
struct Wanted {
    /// What it must have, in bytes.
    len: usize,
    is_refetch: bool,
    state: State,
}

/// Why a delivery is of no use.
enum Trouble {
    Temporary(String),
    Lasting(String),
}

/// A disk that is fetched as it is read, and written in memory.
pub struct Disk<S> {
    layout: Layout,
    index_root: ChunkDigest,
    source: S,
    cache: ChunkCache,
    packs: Packs,
    /// The boot packs have been asked for.
    has_begun: bool,
    overlay: Overlay,
    read_ahead: ReadAhead,
    wanted: BTreeMap<ChunkDigest, Wanted>,
    stats: DiskStats,
}

impl<S: ChunkSource> Disk<S> {
    /// Opens an image; nothing is fetched before the first read.
    pub fn new(manifest: &Manifest, source: S) -> Self {
        Self::with_limits(manifest, source, CACHE_BYTES_MAX, OVERLAY_BYTES_MAX)
    }

    /// [`Self::new`] with other bounds on chunks cached and blocks written.
    pub fn with_limits(manifest: &Manifest, source: S, cache_bytes: usize, overlay_bytes: usize) -> Self {
        Disk {
            layout: manifest.layout,
            index_root: manifest.index_root,
            source,
            cache: ChunkCache::new(cache_bytes),
            packs: Packs::new(manifest.layout, &manifest.packs),
            has_begun: false,
            overlay: Overlay::new(overlay_bytes),
            read_ahead: ReadAhead::default(),
            wanted: BTreeMap::new(),
            stats: DiskStats::default(),
        }
    }

    /// Takes the result of a fetch that the source had only started. One that nobody waits for is ignored.
    pub fn arrived(&mut self, digest: &ChunkDigest, result: Result<Delivery, FetchError>) {
        let is_awaited = self.wanted.get(digest).is_some_and(|wanted| matches!(wanted.state, State::InFlight));
        if let Some(wanted) = is_awaited.then(|| self.wanted.remove(digest)).flatten() {
            self.settle(*digest, wanted, result);
        }
    }

    /// Digests being waited for, in flight or stalled.
    pub fn waiting(&self) -> impl Iterator<Item = ChunkDigest> {
        self.wanted.iter().filter(|(_, wanted)| !matches!(wanted.state, State::Failed(_))).map(|(digest, _)| *digest)
    }

    /// Why the server could not be reached, if anything waits for it to come back.
    #[must_use]
    pub fn stalled(&self) -> Option<&str> {
        self.wanted.values().find_map(|wanted| match &wanted.state {
            State::Stalled(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// Fetches again whatever could not be reached. The host calls it, with growing pauses.
    pub fn retry_stalled(&mut self) {
        let is_stalled = |(digest, wanted): (&ChunkDigest, &Wanted)| {
            matches!(wanted.state, State::Stalled(_)).then_some((*digest, wanted.len, wanted.is_refetch))
        };
        let stalled: Vec<_> = self.wanted.iter().filter_map(is_stalled).collect();
        for (digest, len, is_refetch) in stalled {
            self.start(digest, len, is_refetch);
        }
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        let overlay_bytes = self.overlay.held_bytes() as u64;
        let packs_lost = self.packs.lost_count() as u64;
        DiskStats { chunks_waiting: self.waiting().count() as u64, overlay_bytes, packs_lost, ..self.stats }
    }

    /// What the guest wrote.
    #[must_use]
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// Asks for the boot packs, once.
    fn begin(&mut self) {
        if !self.has_begun {
            self.has_begun = true;
            for (digest, len) in self.packs.of_boot() {
                self.start(digest, len, false);
            }
        }
    }

    fn start(&mut self, digest: ChunkDigest, len: usize, is_refetch: bool) {
        self.stats.requests += 1;
        let wanted = Wanted { len, is_refetch, state: State::InFlight };
        match self.source.fetch(&digest, is_refetch) {
            Fetch::Started => {
                self.wanted.insert(digest, wanted);
            }
            Fetch::Done(result) => {
                self.wanted.remove(&digest);
                self.settle(digest, wanted, result);
            }
        }
    }

    /// Verifies a delivery: caches what is right, fetches once more what is not, notes what can't be had.
    fn settle(&mut self, digest: ChunkDigest, mut wanted: Wanted, result: Result<Delivery, FetchError>) {
        match verify(&digest, wanted.len, result) {
            Ok(bytes) => {
                self.stats.chunks_arrived += 1;
                self.stats.bytes_arrived += bytes.len() as u64;
                self.keep(digest, bytes.into());
            }
            Err(Trouble::Temporary(why)) => {
                wanted.state = State::Stalled(why);
                self.wanted.insert(digest, wanted);
            }
            Err(Trouble::Lasting(_)) if !wanted.is_refetch => {
                self.stats.refetches += 1;
                self.start(digest, wanted.len, true);
            }
            Err(Trouble::Lasting(_)) if self.packs.awaits(&digest) => self.packs.lost(&digest),
            Err(Trouble::Lasting(why)) => {
                wanted.state = State::Failed(format!("chunk {digest} can't be had: {why}, twice"));
                self.wanted.insert(digest, wanted);
            }
        }
    }

    /// Takes what has been verified.
    fn keep(&mut self, digest: ChunkDigest, bytes: Rc<[u8]>) {
        if !self.packs.awaits(&digest) {
            return self.cache.insert(digest, bytes);
        }
        for page in self.packs.arrived(&digest, bytes) {
            // Whether it is a page of this index is seen when it is looked for.
            self.cache.insert(ChunkDigest::of(&page), page);
        }
    }

    /// The `len` bytes called `digest`; `None` for zeros.
    fn content(&mut self, digest: ChunkDigest, len: usize) -> Result<Option<Rc<[u8]>>, BlockError> {
        if digest.is_zero() {
            return Ok(None);
        }
        if !self.cache.contains(&digest) {
            match self.wanted.get(&digest).map(|wanted| &wanted.state) {
                None => self.start(digest, len, false),
                Some(State::InFlight | State::Stalled(_)) => return Err(BlockError::Pending),
                Some(State::Failed(_)) => {}
            }
        }
        if let Some(bytes) = self.cache.get(&digest) {
            return if bytes.len() == len { Ok(Some(bytes)) } else { Err(wrong_length(&digest, bytes.len(), len)) };
        }
        match self.wanted.get(&digest).map(|wanted| &wanted.state) {
            Some(State::Failed(why)) => {
                let failed = BlockError::Failed(why.clone());
                self.wanted.remove(&digest);
                Err(failed)
            }
            _ => Err(BlockError::Pending),
        }
    }

    /// An entry of an index page; an absent (all-zero) page has zero digests.
    fn page_entry(&mut self, page: ChunkDigest, entries: usize, position: usize) -> Result<ChunkDigest, BlockError> {
        let len = entries.saturating_mul(DIGEST_BYTES);
        let Some(bytes) = self.content(page, len)? else { return Ok(ChunkDigest::ZERO) };
        let entry = IndexPage::new(bytes, entries).and_then(|page| page.digest(position));
        entry.ok_or_else(|| BlockError::Failed(format!("index page {page} has no entry {position}")))
    }

    /// Chunk `chunk` of the image; `None` for zeros.
    fn chunk(&mut self, chunk: u64) -> Result<Option<Rc<[u8]>>, BlockError> {
        let (leaf, position) = index::place_of(chunk);
        let leaf_page = self.page_entry(self.index_root, self.layout.leaf_count() as usize, leaf as usize)?;
        let digest = self.page_entry(leaf_page, self.layout.leaf_len(leaf), position)?;
        self.content(digest, self.layout.chunk_len(chunk))
    }

    /// Fills `to` from the image, ignoring the overlay. The range must not cross a block boundary.
    fn read_image(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        match self.packs.read(offset, to) {
            Some(outcome) => outcome,
            None => self.read_chunk(offset, to),
        }
    }

    /// [`Self::read_image`] from a chunk.
    fn read_chunk(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        let (chunk, start) = self.layout.locate(offset);
        match self.chunk(chunk)? {
            None => to.fill(0),
            Some(bytes) => {
                let from = bytes.get(start..start + to.len());
                let from = from.ok_or_else(|| BlockError::Failed(format!("chunk {chunk} ends too early")))?;
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Starts fetching `chunks` nobody has asked for yet.
    fn fetch_ahead(&mut self, chunks: Range<u64>) {
        for chunk in chunks.start..chunks.end.min(self.layout.chunk_count()) {
            if self.wanted.len() >= IN_FLIGHT_MAX_FOR_READ_AHEAD {
                break;
            }
            // Whoever really reads the chunk learns what is wrong with it.
            let _ = self.chunk(chunk);
        }
    }

    fn check_range(&self, offset: u64, len: usize) -> Result<(), BlockError> {
        if self.layout.contains(offset, len as u64) {
            return Ok(());
        }
        let size = self.layout.size_bytes();
        Err(BlockError::Failed(format!("{len} bytes at {offset} lie past the disk's end ({size})")))
    }

    /// Copies the image's bytes of `block` into the overlay, if a write will not cover all of it.
    fn prepare_block(&mut self, block: u64, written: &Range<u64>) -> Result<(), BlockError> {
        let range = block_range(block, self.layout.size_bytes());
        let is_covered = written.start <= range.start && range.end <= written.end;
        if is_covered || self.overlay.contains(block) {
            return Ok(());
        }
        let mut bytes = [0; BLOCK_BYTES];
        let len = (range.end - range.start) as usize;
        self.read_image(range.start, &mut bytes[..len])?;
        *self.overlay.block_mut(block) = bytes;
        Ok(())
    }
}

/// Decodes a delivery and compares it with its name.
fn verify(digest: &ChunkDigest, len: usize, result: Result<Delivery, FetchError>) -> Result<Vec<u8>, Trouble> {
    let delivery = result.map_err(|error| match error {
        FetchError::Unreachable(why) => Trouble::Temporary(why),
        FetchError::Missing(_) => Trouble::Lasting(error.to_string()),
    })?;
    delivery.open(digest, len).map_err(|damage| Trouble::Lasting(format!("it is damaged ({damage})")))
}

fn wrong_length(digest: &ChunkDigest, len: usize, expected: usize) -> BlockError {
    BlockError::Failed(format!("the image is damaged: chunk {digest} has {len} bytes where {expected} belong"))
}

/// The bytes of block `block` on a disk of `size` bytes.
fn block_range(block: u64, size: u64) -> Range<u64> {
    let start = block * BLOCK_BYTES as u64;
    start..(start + BLOCK_BYTES as u64).min(size)
}

/// Cuts `len` bytes from `offset` on at block boundaries: block, start in the block, range in the buffer.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let position = offset + done as u64;
        let start = (position % BLOCK_BYTES as u64) as usize;
        let end = len.min(done + BLOCK_BYTES - start);
        let piece = (done < len).then_some((position / BLOCK_BYTES as u64, start, done..end));
        done = end;
        piece
    })
}

impl<S: ChunkSource> BlockDevice for Disk<S> {
    fn size_bytes(&self) -> u64 {
        self.layout.size_bytes()
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.check_range(offset, to.len())?;
        if to.len() > READ_BYTES_MAX {
            return Err(BlockError::Failed(format!("a read of {} bytes: read {READ_BYTES_MAX} at a time", to.len())));
        }
        if to.is_empty() {
            return Ok(());
        }
        self.begin();
        // Every missing chunk is asked for before the first one is waited for.
        let mut outcome = Ok(());
        let mut chunks: Option<Range<u64>> = None;
        let requests_before = self.stats.requests;
        for (block, start, range) in pieces(offset, to.len()) {
            let piece_offset = offset + range.start as u64;
            let to = &mut to[range];
            for (digest, len) in self.packs.woken_by(block) {
                self.start(digest, len, false);
            }
            if let Some(written) = self.overlay.get(block) {
                to.copy_from_slice(&written[start..start + to.len()]);
                continue;
            }
            let read = self.packs.read(piece_offset, to).unwrap_or_else(|| {
                let chunk = self.layout.locate(piece_offset).0;
                chunks = Some(chunks.as_ref().map_or(chunk, |chunks| chunks.start)..chunk + 1);
                self.read_chunk(piece_offset, to)
            });
            match read {
                Ok(()) => {}
                Err(BlockError::Pending) => outcome = Err(BlockError::Pending),
                Err(failed) => return Err(failed),
            }
        }
        if let Some(chunks) = chunks {
            let waits = outcome.is_err() && self.stats.requests > requests_before;
            let ahead = self.read_ahead.after_read(&chunks, waits);
            self.fetch_ahead(ahead);
        }
        outcome
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        self.check_range(offset, from.len())?;
        if from.is_empty() {
            return Ok(());
        }
        let written = offset..offset + from.len() as u64;
        let first = written.start / BLOCK_BYTES as u64;
        let last = (written.end - 1) / BLOCK_BYTES as u64;
        if !self.overlay.has_room_for(first..=last) {
            return Err(BlockError::Full);
        }
        self.begin();
        // Only the first and the last block can be covered in part; both are asked for at once. A block copied for
        // a write that then has to wait holds what the image holds, so nothing is written yet.
        let head = self.prepare_block(first, &written);
        let tail = self.prepare_block(last, &written);
        head.and(tail)?;
        for (block, start, range) in pieces(offset, from.len()) {
            let from = &from[range];
            self.overlay.block_mut(block)[start..start + from.len()].copy_from_slice(from);
        }
        Ok(())
    }
}
