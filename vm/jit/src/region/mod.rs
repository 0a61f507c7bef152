//! Regions: the pieces of guest code that are compiled together, as control-flow graphs of lifted blocks.
//!
//! | module | subject |
//! |---|---|
//! | [`discover`] | which blocks belong together |
//! | [`shape`] | dominators, loops, and what can't be structured |
//! | [`flags`] | which blocks need the flags, and what kind they are where a block begins |

pub mod discover;
pub mod flags;
pub mod shape;

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
