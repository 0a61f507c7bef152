//! `Store`: blocks of the disk, cached, and changed in transactions.
//!
//! Blocks written during a transaction are kept aside. [`Store::commit`] makes them count all at once and can't fail;
//! [`Store::rollback`] forgets them. This is what lets any operation stop half-way, at an error or because a chunk of
//! the disk has to be fetched, as if it had never begun. Committed blocks that the device can't take yet (it may have
//! to fetch what surrounds them) stay here until it can.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use disk::BlockDevice;

use crate::stop::{Outcome, Stop, Wait};
use abi::Errno;

/// Metadata kept in memory: the directories, inodes and indirect blocks of a compiler run or a shell session.
const CACHE_BYTES_MAX: usize = 16 << 20;
/// Committed blocks that the device hasn't taken yet; beyond it, whoever writes waits.
const UNWRITTEN_BYTES_MAX: usize = 64 << 20;
/// The same if the device has no memory left; what is written then still includes making room by removing files.
const UNWRITTEN_BYTES_FULL_MAX: usize = 1 << 20;

/// A block's new contents.
struct Change {
    bytes: Rc<[u8]>,
    /// File contents are not worth caching.
    is_data: bool,
}

struct Cached {
    bytes: Rc<[u8]>,
    recently_used: bool,
}

/// See the module's documentation.
pub(super) struct Store {
    device: Box<dyn BlockDevice>,
    block_size: usize,
    blocks: u32,
    cache: HashMap<u32, Cached>,
    /// The blocks in the cache, oldest first.
    queue: VecDeque<u32>,
    transaction: BTreeMap<u32, Change>,
    unwritten: BTreeMap<u32, Change>,
}

impl Store {
    pub(super) fn new(device: Box<dyn BlockDevice>, block_size: usize, blocks: u32) -> Self {
        let (cache, queue) = (HashMap::new(), VecDeque::new());
        let (transaction, unwritten) = (BTreeMap::new(), BTreeMap::new());
        Self { device, block_size, blocks, cache, queue, transaction, unwritten }
    }

    /// A block of metadata.
    pub(super) fn read(&mut self, block: u32) -> Outcome<Rc<[u8]>> {
        if let Some(change) = self.transaction.get(&block).or_else(|| self.unwritten.get(&block)) {
            return Ok(change.bytes.clone());
        }
        if let Some(cached) = self.cache.get_mut(&block) {
            cached.recently_used = true;
            return Ok(cached.bytes.clone());
        }
        let mut bytes = vec![0; self.block_size];
        self.device.read(self.offset(block)?, &mut bytes)?;
        let bytes: Rc<[u8]> = bytes.into();
        self.remember(block, bytes.clone());
        Ok(bytes)
    }

    /// A block of metadata, to be changed in this transaction.
    pub(super) fn write(&mut self, block: u32) -> Outcome<&mut [u8]> {
        let bytes = self.read(block)?;
        Ok(self.change(block, bytes, false))
    }

    /// A block whose old contents don't matter, zeroed.
    pub(super) fn write_new(&mut self, block: u32, is_data: bool) -> Outcome<&mut [u8]> {
        self.offset(block)?;
        let zeros = vec![0; self.block_size].into();
        self.transaction.remove(&block);
        Ok(self.change(block, zeros, is_data))
    }

    /// A block of a file's contents, to be changed in part.
    pub(super) fn write_data(&mut self, block: u32) -> Outcome<&mut [u8]> {
        let bytes = match self.transaction.get(&block).or_else(|| self.unwritten.get(&block)) {
            Some(change) => change.bytes.clone(),
            None => {
                let mut bytes = vec![0; self.block_size];
                self.device.read_contents(self.offset(block)?, &mut bytes)?;
                bytes.into()
            }
        };
        Ok(self.change(block, bytes, true))
    }

    fn change(&mut self, block: u32, bytes: Rc<[u8]>, is_data: bool) -> &mut [u8] {
        let change = self.transaction.entry(block).or_insert(Change { bytes, is_data });
        Rc::make_mut(&mut change.bytes)
    }

    /// Reads file contents, which may span consecutive blocks, straight from the device.
    pub(super) fn read_bytes(&mut self, block: u32, skip: usize, to: &mut [u8]) -> Outcome<()> {
        let start = self.offset(block)? + skip as u64;
        self.device.read_contents(start, to)?;
        let end = start + to.len() as u64;
        let last = (end / self.block_size as u64).try_into().unwrap_or(u32::MAX);
        for changes in [&self.unwritten, &self.transaction] {
            for (changed, change) in changes.range(block..=last) {
                let from = u64::from(*changed) * self.block_size as u64;
                let (first, last) = (from.max(start), (from + self.block_size as u64).min(end));
                if first < last {
                    let bytes = &change.bytes[(first - from) as usize..(last - from) as usize];
                    to[(first - start) as usize..(last - start) as usize].copy_from_slice(bytes);
                }
            }
        }
        Ok(())
    }

    /// Asks before a transaction whether there is room for another.
    pub(super) fn begin(&mut self) -> Outcome<()> {
        debug_assert!(self.transaction.is_empty(), "transactions don't nest");
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let Err(stop) = self.flush() else { return Ok(()) };
        let full = stop == Stop::Errno(Errno::ENOSPC);
        let bytes_max = if full { UNWRITTEN_BYTES_FULL_MAX } else { UNWRITTEN_BYTES_MAX };
        if self.unwritten.len() * self.block_size > bytes_max { Err(stop) } else { Ok(()) }
    }

    /// Makes the transaction count.
    pub(super) fn commit(&mut self) {
        self.unwritten.append(&mut self.transaction);
        // What the device can't take now it is offered again, at the latest in `sync`.
        let _ = self.flush();
    }

    /// Forgets the transaction.
    pub(super) fn rollback(&mut self) {
        self.transaction.clear();
    }

    /// Brings all committed blocks to the device.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        let mut stop = None;
        let mut left = BTreeMap::new();
        for (block, change) in std::mem::take(&mut self.unwritten) {
            match self.device.write(u64::from(block) * self.block_size as u64, &change.bytes) {
                Ok(()) if change.is_data => drop(self.cache.remove(&block)),
                Ok(()) => self.remember(block, change.bytes),
                Err(error) => {
                    let error = Stop::from(error);
                    // An error that lasts is more telling than one that passes.
                    stop = stop.filter(|stop| *stop != Stop::Wait(Wait::Disk)).or(Some(error));
                    left.insert(block, change);
                }
            }
        }
        self.unwritten = left;
        stop.map_or(Ok(()), Err)
    }

    fn offset(&self, block: u32) -> Outcome<u64> {
        if block >= self.blocks {
            return Err(Errno::EUCLEAN.into());
        }
        Ok(u64::from(block) * self.block_size as u64)
    }

    fn remember(&mut self, block: u32, bytes: Rc<[u8]>) {
        if self.cache.insert(block, Cached { bytes, recently_used: true }).is_some() {
            return;
        }
        self.queue.push_back(block);
        while self.queue.len() * self.block_size > CACHE_BYTES_MAX {
            let Some(oldest) = self.queue.pop_front() else { return };
            match self.cache.get_mut(&oldest) {
                Some(cached) if cached.recently_used => {
                    cached.recently_used = false;
                    self.queue.push_back(oldest);
                }
                _ => drop(self.cache.remove(&oldest)),
            }
        }
    }
}
