//! Regions: the pieces of guest code that are compiled together, as control-flow graphs of lifted blocks.
//!
//! | module | subject |
//! |---|---|
//! | [`discover`] | which blocks belong together |
//! | `reduce` | which branches leave for the sake of loops |
//! | [`shape`] | dominators, loops, and what can't be structured |
//! | [`values`] | which addresses differ by constants |
//! | [`flags`] | which blocks need the flags, and what kind they are where a block begins |

pub mod discover;
pub mod flags;
mod reduce;
pub mod shape;
pub mod values;

use cpu::Mode;
use cpu::ir::Block;

/// Index of a block in its region.
pub type NodeId = usize;

/// Where a block's exit leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// Another block of the region.
    To(NodeId),
    /// Out of it, to an address.
    Out(u64),
}

/// A block of a region.
#[derive(Clone, Debug)]
pub struct Node {
    /// The block. Its exits are `edges`' addresses.
    pub block: Block,
    /// One for each of the block's exits.
    pub edges: Vec<Edge>,
    /// Where its indirect jump is likely to lead; more than a few are in order.
    pub guards: Vec<Guard>,
}

/// A likely target of an indirect jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guard {
    /// Its address.
    pub rip: u64,
    /// Its block.
    pub to: NodeId,
}

impl Node {
    /// Blocks of the region that may come next.
    pub fn successors(&self) -> impl Iterator<Item = NodeId> {
        let direct = self.edges.iter().filter_map(|edge| match edge {
            Edge::To(node) => Some(*node),
            Edge::Out(_) => None,
        });
        direct.chain(self.guards.iter().map(|guard| guard.to))
    }
}

/// What is compiled together.
#[derive(Clone, Debug)]
pub struct Region {
    /// 64-bit or 32-bit code.
    pub mode: Mode,
    /// The blocks; the first is the one that was hot.
    pub nodes: Vec<Node>,
    /// Blocks that can be entered from outside or by an indirect jump, the first one first.
    pub entries: Vec<NodeId>,
    /// The code it was lifted from: address and bytes of each piece.
    pub pieces: Vec<(u64, Box<[u8]>)>,
}

impl Region {
    /// Drops blocks that nothing leads to any more.
    fn drop_unreached(&mut self) {
        let mut reached = vec![false; self.nodes.len()];
        let mut stack = self.entries.clone();
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut reached[node], true) {
                stack.extend(self.nodes[node].successors());
            }
        }
        let mut kept = 0..;
        let renumbered: Vec<Option<NodeId>> =
            reached.iter().map(|reached| if *reached { kept.next() } else { None }).collect();
        let new = |node: NodeId| renumbered[node].expect("what leads from a block that is reached is reached");
        let mut reached = reached.into_iter();
        self.nodes.retain(|_| reached.next() == Some(true));
        for node in &mut self.nodes {
            for edge in &mut node.edges {
                if let Edge::To(to) = edge {
                    *to = new(*to);
                }
            }
            node.guards.iter_mut().for_each(|guard| guard.to = new(guard.to));
        }
        self.entries.iter_mut().for_each(|entry| *entry = new(*entry));
    }
}
