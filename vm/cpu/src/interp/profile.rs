//! What a JIT needs of the interpreter: which code is hot and what is known of it.

use memory::{AddressSpace, PageIndex};

use super::Interpreter;
use super::cache::NEVER_HOT;
use crate::state::Mode;

impl Interpreter {
    /// From now on blocks that have run `runs` times are reported by [`Self::run_cold`].
    pub fn report_hot_after(&mut self, runs: u32) {
        self.cache.heat_first = runs;
        self.cache.heat.fill(runs);
    }

    /// Makes `space` the one whose code runs. To be called before anything else here when another's code ran last.
    pub fn enter(&mut self, space: &mut AddressSpace) {
        self.cache.enter(space);
    }

    /// How often the block at an address has run, if there is one.
    pub fn runs(&self, rip: u64, mode: Mode) -> Option<u32> {
        self.cache.runs(rip, mode)
    }

    /// Where the indirect jump at an address has led.
    pub fn targets(&self, rip: u64) -> &[u64] {
        self.cache.targets.get(&rip).map_or(&[], Vec::as_slice)
    }

    /// Where the function begins that the code at an address is most likely part of.
    pub fn function(&self, rip: u64) -> Option<u64> {
        self.cache.functions.range(..=rip).next_back().copied()
    }

    /// Whether the block at an address is one that has run lately and is not hot; then `runs` are added to its runs.
    pub fn is_cold(&mut self, rip: u64, mode: Mode, runs: u32) -> bool {
        self.cache.is_cold(rip, mode, runs)
    }

    /// The block at an address is compiled: report it whenever it is about to run.
    pub fn always_hot(&mut self, rip: u64, mode: Mode) {
        self.cache.hot_rips.insert(rip);
        self.cache.set_heat(rip, mode, 1);
    }

    /// The block at an address is not worth reporting before it has run `runs` times more.
    pub fn cool(&mut self, rip: u64, mode: Mode, runs: u32) {
        self.cache.set_heat(rip, mode, runs);
    }

    /// The block at an address can't be compiled: never report it again.
    pub fn never_hot(&mut self, rip: u64, mode: Mode) {
        self.cache.set_heat(rip, mode, NEVER_HOT);
    }

    /// Nothing is compiled any more.
    pub fn forget_hot(&mut self) {
        self.cache.hot_rips.clear();
        let first = self.cache.heat_first;
        self.cache.heat.fill(first);
    }

    /// Pages of the space entered last whose code has changed since the last call.
    pub fn take_dropped_pages(&mut self) -> Vec<PageIndex> {
        std::mem::take(&mut self.cache.dropped)
    }

    /// Drops code of pages that have changed.
    pub fn drop_stale(&mut self, space: &mut AddressSpace) {
        self.cache.drop_stale(space);
    }
}
