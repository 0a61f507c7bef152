//! The shape of a region's graph: an order, dominators, loops. What WebAssembly's structured control flow can't express
//! (loops with several entries, jumps to computed addresses) goes through one place, the *dispatcher*: a loop around
//! everything with a `br_table` at its start.
//!
//! Sources: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm" (2001); Ramsey, "Beyond Relooper" (ICFP 2022).

use super::{NodeId, Region};
use rustc_hash::FxHashSet as HashSet;

/// See the module. The dispatcher is the node after the region's last.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Position in reverse postorder, by node; the dispatcher's is 0.
    pub order: Vec<usize>,
    /// Nodes that each node immediately dominates and that several branches lead to, in order.
    pub merges: Vec<Vec<NodeId>>,
    /// Whether a node begins a loop.
    pub is_header: Vec<bool>,
    /// Whether several forward branches lead to a node.
    pub is_merge: Vec<bool>,
    /// What the dispatcher's labels mean; the region's entries come first.
    pub targets: Vec<NodeId>,
    /// Branches that go through the dispatcher.
    pub rerouted: HashSet<(NodeId, NodeId)>,
}

struct Graph {
    successors: Vec<Vec<NodeId>>,
}

impl Graph {
    fn new(region: &Region) -> Self {
        let edges = |node: &super::Node| {
            let mut to: Vec<NodeId> = node.successors().collect();
            to.sort_unstable();
            to.dedup();
            to
        };
        let mut successors: Vec<Vec<NodeId>> = region.nodes.iter().map(edges).collect();
        successors.push(region.entries.clone());
        Self { successors }
    }

    fn root(&self) -> NodeId {
        self.successors.len() - 1
    }

    /// Nodes in reverse postorder.
    fn reverse_postorder(&self) -> Vec<NodeId> {
        let mut seen = vec![false; self.successors.len()];
        let mut postorder = Vec::with_capacity(seen.len());
        let mut stack = vec![(self.root(), 0)];
        seen[self.root()] = true;
        while let Some((node, next)) = stack.last_mut() {
            match self.successors[*node].get(*next) {
                Some(to) => {
                    *next += 1;
                    if !std::mem::replace(&mut seen[*to], true) {
                        stack.push((*to, 0));
                    }
                }
                None => {
                    postorder.push(*node);
                    stack.pop();
                }
            }
        }
        postorder.reverse();
        postorder
    }

    fn predecessors(&self) -> Vec<Vec<NodeId>> {
        let mut all = vec![Vec::new(); self.successors.len()];
        for (from, to) in self.edges() {
            all[to].push(from);
        }
        all
    }

    fn edges(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        self.successors.iter().enumerate().flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
    }
}

/// Immediate dominators, as positions in reverse postorder.
fn dominators(order: &[usize], sequence: &[NodeId], predecessors: &[Vec<NodeId>]) -> Vec<usize> {
    const UNKNOWN: usize = usize::MAX;
    let mut dominator = vec![UNKNOWN; sequence.len()];
    dominator[0] = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for (position, node) in sequence.iter().enumerate().skip(1) {
            let mut new = UNKNOWN;
            for other in predecessors[*node].iter().map(|node| order[*node]).filter(|at| dominator[*at] != UNKNOWN) {
                new = if new == UNKNOWN { other } else { common(&dominator, new, other) };
            }
            if dominator[position] != new {
                dominator[position] = new;
                changed = true;
            }
        }
    }
    dominator
}

fn common(dominator: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        while a > b {
            a = dominator[a];
        }
        while b > a {
            b = dominator[b];
        }
    }
    a
}

fn dominates(dominator: &[usize], above: usize, mut below: usize) -> bool {
    while below > above {
        below = dominator[below];
    }
    below == above
}

impl Shape {
    /// Analyses a region's graph.
    pub fn of(region: &Region) -> Self {
        let mut graph = Graph::new(region);
        let mut rerouted = HashSet::default();
        loop {
            let sequence = graph.reverse_postorder();
            let mut order = vec![usize::MAX; graph.successors.len()];
            for (position, node) in sequence.iter().enumerate() {
                order[*node] = position;
            }
            let predecessors = graph.predecessors();
            let dominator = dominators(&order, &sequence, &predecessors);
            let backward = |from: NodeId, to: NodeId| order[to] <= order[from];
            let odd: Vec<(NodeId, NodeId)> = graph
                .edges()
                .filter(|(from, to)| backward(*from, *to) && !dominates(&dominator, order[*to], order[*from]))
                .collect();
            if odd.is_empty() {
                return Self::finish(&graph, order, &sequence, &predecessors, &dominator, rerouted);
            }
            let root = graph.root();
            for (from, to) in odd {
                graph.successors[from].retain(|node| *node != to);
                rerouted.insert((from, to));
                if !graph.successors[root].contains(&to) {
                    graph.successors[root].push(to);
                }
            }
        }
    }

    fn finish(
        graph: &Graph,
        order: Vec<usize>,
        sequence: &[NodeId],
        predecessors: &[Vec<NodeId>],
        dominator: &[usize],
        rerouted: HashSet<(NodeId, NodeId)>,
    ) -> Self {
        let targets = graph.successors[graph.root()].clone();
        let count = order.len();
        let mut shape = Self {
            merges: vec![Vec::new(); count],
            is_header: vec![false; count],
            is_merge: vec![false; count],
            order,
            targets,
            rerouted,
        };
        for node in sequence {
            let at = shape.order[*node];
            let forward = predecessors[*node].iter().filter(|from| shape.order[**from] < at).count();
            shape.is_header[*node] = predecessors[*node].len() > forward;
            // The dispatcher's table needs a label for each of its targets.
            let listed = shape.targets.len() > 1 && shape.targets.contains(node);
            shape.is_merge[*node] = forward > 1 || listed;
            if shape.is_merge[*node] {
                shape.merges[sequence[dominator[at]]].push(*node);
            }
        }
        shape
    }

    /// Whether a branch goes back to the start of a loop it is in.
    pub fn is_backward(&self, from: NodeId, to: NodeId) -> bool {
        self.order[to] <= self.order[from]
    }

    /// The dispatcher's label for a node.
    pub fn label(&self, node: NodeId) -> Option<u32> {
        self.targets.iter().position(|target| *target == node).map(|label| label as u32)
    }
}
