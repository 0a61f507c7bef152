//! Flags across a region's blocks: who needs them (backwards), and which operation they come from (forwards).

use cpu::flags::FlagKind;
use cpu::ir::{Op, dead};

use super::{Edge, Region};

/// What is known of the flags' kind where a block begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing leads here (yet).
    Unreached,
    /// All ways here have set flags of this kind last.
    Known(FlagKind),
    /// It differs, or is anybody's guess.
    Varied,
}

impl Kind {
    fn join(self, other: Kind) -> Kind {
        match (self, other) {
            (Kind::Unreached, kind) | (kind, Kind::Unreached) => kind,
            (a, b) if a == b => a,
            _ => Kind::Varied,
        }
    }

    /// After an operation.
    pub fn after(self, op: &Op) -> Kind {
        match op {
            Op::SetFlags { kind, .. } => Kind::Known(*kind),
            Op::SetShiftFlags { kind, .. } => self.join(Kind::Known(*kind)),
            _ => self,
        }
    }

    /// The kind, if there is one.
    pub fn known(self) -> Option<FlagKind> {
        match self {
            Kind::Known(kind) => Some(kind),
            _ => None,
        }
    }
}

/// Drops operations nobody needs from every block, knowing who comes after whom.
pub fn remove_dead(region: &mut Region) {
    let count = region.nodes.len();
    let mut live_in = vec![false; count];
    let mut changed = true;
    while changed {
        changed = false;
        for index in (0..count).rev() {
            let live = dead::flags_live_in(&region.nodes[index].block.ops, live_out(region, &live_in, index));
            changed |= live != live_in[index];
            live_in[index] = live;
        }
    }
    for index in 0..count {
        let live = live_out(region, &live_in, index);
        let block = &mut region.nodes[index].block;
        dead::remove(&mut block.ops, &mut block.marks, live);
    }
}

fn live_out(region: &Region, live_in: &[bool], index: usize) -> bool {
    let edges = &region.nodes[index].edges;
    edges.is_empty()
        || edges.iter().any(|edge| match edge {
            Edge::To(node) => live_in[*node],
            Edge::Out(_) => true,
        })
}

/// The kind of the flags at each block's start.
pub fn kinds(region: &Region, targets: &[usize]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Unreached; region.nodes.len()];
    for target in targets {
        kinds[*target] = Kind::Varied;
    }
    let mut changed = true;
    while changed {
        changed = false;
        for (index, node) in region.nodes.iter().enumerate() {
            if kinds[index] == Kind::Unreached {
                continue;
            }
            let out = node.block.ops.iter().fold(kinds[index], Kind::after);
            for edge in &node.edges {
                let Edge::To(to) = edge else { continue };
                let new = kinds[*to].join(out);
                changed |= new != kinds[*to];
                kinds[*to] = new;
            }
        }
    }
    kinds
}
