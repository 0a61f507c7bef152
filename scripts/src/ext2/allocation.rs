//! Which blocks and inodes are in use.

use anyhow::{Result, ensure};

use super::geometry::{BLOCKS_PER_GROUP, Geometry};

/// A set of numbers, as one bit each up to the highest.
#[derive(Default)]
pub struct Set(Vec<u64>);

impl Set {
    pub fn insert(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    pub fn contains(&self, number: u64) -> bool {
        self.0.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// Gives out blocks in the order of the disk, leaving out what belongs to tables.
pub struct Blocks<'a> {
    geometry: &'a Geometry,
    next: u64,
    used: Set,
}

impl<'a> Blocks<'a> {
    pub fn new(geometry: &'a Geometry) -> Self {
        Blocks { geometry, next: geometry.first_data_block(0), used: Set::default() }
    }

    /// The next block, which is in use from now on.
    pub fn take(&mut self) -> Result<u32> {
        let block = self.skip()?;
        self.used.insert(block);
        Ok(block as u32)
    }

    /// Passes over a block, which stays free.
    pub fn skip(&mut self) -> Result<u64> {
        let block = self.next;
        ensure!(block < self.geometry.blocks(), "the disk was planned too small");
        self.next += 1;
        if self.next.is_multiple_of(BLOCKS_PER_GROUP) {
            self.next = self.geometry.first_data_block(self.next / BLOCKS_PER_GROUP);
        }
        Ok(block)
    }

    /// Blocks that were taken.
    pub fn used(self) -> Set {
        self.used
    }
}
