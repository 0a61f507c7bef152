//! Finds the blocks of a region: those reached from a hot one by direct branches, calls and returns to calls, and by
//! indirect jumps as far as their targets are known, unless they have hardly ever run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cpu::Mode;
use cpu::ir::{Block, Op};
use cpu::lift::{WINDOW_BYTES, lift_part};

use super::{Edge, Node, NodeId, Region};

/// Blocks in one region: the browser's optimising compiler takes 14 ms for 100 and gets slower than linear.
const NODES_MAX: usize = 120;

/// Operations in one region, for the same reason.
const OPS_MAX: usize = 4000;

/// Where guest code is looked up.
pub trait Source {
    /// Copies code bytes from an address on; returns how many there are.
    fn fetch(&self, rip: u64, to: &mut [u8]) -> usize;
    /// Whether code at an address has run often enough to be worth compiling along.
    fn is_warm(&self, rip: u64) -> bool;
    /// Where an indirect jump at an address has led.
    fn targets(&self, rip: u64) -> &[u64];
}

fn lift_at(source: &dyn Source, rip: u64, mode: Mode, is_leader: &dyn Fn(u64) -> bool) -> Option<(Block, Box<[u8]>)> {
    let mut window = [0; WINDOW_BYTES];
    let length = source.fetch(rip, &mut window);
    let block = lift_part(&window[..length], rip, mode, is_leader)?;
    let bytes = window[..usize::from(block.depends_on).min(length)].into();
    Some((block, bytes))
}

/// Address of a block's last instruction.
pub fn last_instruction(block: &Block) -> u64 {
    block.rip + block.marks.last().map_or(0, |mark| u64::from(mark.offset))
}

/// What the search has found.
#[derive(Default)]
struct Search {
    blocks: BTreeMap<u64, (Block, Box<[u8]>)>,
    /// Addresses that something comes back or jumps to by way of a register or the stack.
    entries: BTreeSet<u64>,
    queue: VecDeque<u64>,
    ops: usize,
}

impl Search {
    fn run(&mut self, source: &dyn Source, head: u64, mode: Mode) {
        self.queue.push_back(head);
        while let Some(rip) = self.queue.pop_front() {
            if self.blocks.contains_key(&rip) || self.blocks.len() >= NODES_MAX || self.ops >= OPS_MAX {
                continue;
            }
            let Some((block, bytes)) = lift_at(source, rip, mode, &|_| false) else { continue };
            self.ops += block.ops.len();
            self.follow(source, &block);
            self.blocks.insert(rip, (block, bytes));
        }
    }

    fn follow(&mut self, source: &dyn Source, block: &Block) {
        self.queue.extend(block.exits.iter().filter(|rip| source.is_warm(**rip)));
        if let Some(back) = block.returns_to.filter(|rip| source.is_warm(*rip)) {
            self.entries.insert(back);
            self.queue.push_back(back);
        }
        let jumps = matches!(block.ops.last(), Some(Op::JumpIndirect { .. })) && !block.is_return;
        if jumps && block.returns_to.is_none() {
            for target in source.targets(last_instruction(block)).iter().filter(|rip| source.is_warm(**rip)) {
                self.entries.insert(*target);
                self.queue.push_back(*target);
            }
        }
    }

    /// Ends blocks where others begin, so that no code is there twice.
    fn split(&mut self, source: &dyn Source, mode: Mode) {
        let leaders: BTreeSet<u64> = self.blocks.keys().copied().collect();
        for (rip, (block, bytes)) in &mut self.blocks {
            let inside = |mark: &cpu::ir::Mark| mark.offset > 0 && leaders.contains(&(rip + u64::from(mark.offset)));
            if block.marks.iter().any(inside)
                && let Some(shorter) = lift_at(source, *rip, mode, &|rip| leaders.contains(&rip))
            {
                (*block, *bytes) = shorter;
            }
        }
    }
}

/// The region around the block at `head`; `None` if there is no code.
pub fn discover(source: &dyn Source, head: u64, mode: Mode) -> Option<Region> {
    let mut search = Search::default();
    search.run(source, head, mode);
    search.split(source, mode);
    let Search { mut blocks, entries, .. } = search;
    let first = blocks.remove(&head)?;
    let all: Vec<(Block, Box<[u8]>)> = std::iter::once(first).chain(blocks.into_values()).collect();
    let index: BTreeMap<u64, NodeId> = all.iter().enumerate().map(|(index, (block, _))| (block.rip, index)).collect();
    let edge = |rip: &u64| index.get(rip).map_or(Edge::Out(*rip), |node| Edge::To(*node));
    let entries =
        std::iter::once(0).chain(entries.iter().filter_map(|rip| index.get(rip).copied()).filter(|n| *n != 0));
    let entries = entries.collect();
    let pieces = all.iter().map(|(block, bytes)| (block.rip, bytes.clone())).collect();
    let nodes =
        all.into_iter().map(|(block, _)| Node { edges: block.exits.iter().map(edge).collect(), block }).collect();
    Some(Region { mode, nodes, entries, pieces })
}
