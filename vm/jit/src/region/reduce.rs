//! Keeps hot loops whole: a loop that is entered in two places can't be a WebAssembly loop, and would go through the
//! dispatcher at every turn. Where the second way in is hardly ever taken (compilers jump into the middle of a loop to
//! skip its first test), it leaves the region instead.

use super::discover::Source;
use super::shape::Shape;
use super::{Edge, NodeId, Region};

/// Rounds until every loop is whole or has two ways in that are taken often.
const ROUNDS_MAX: usize = 3;

/// Lets cold ways into the middle of loops lead out of a region.
pub fn keep_loops_whole(region: &mut Region, source: &dyn Source) {
    for _ in 0..ROUNDS_MAX {
        let shape = Shape::of(region);
        let cold = cold_ways_in(region, &shape, source);
        if cold.is_empty() {
            return;
        }
        for (from, to) in cold {
            let rip = region.nodes[to].block.rip;
            let node = &mut region.nodes[from];
            node.edges.iter_mut().filter(|edge| **edge == Edge::To(to)).for_each(|edge| *edge = Edge::Out(rip));
            node.guards.retain(|guard| guard.to != to);
        }
        region.drop_unreached();
    }
}

/// Branches into loops past the block that a branch from within leads back to, from blocks that have hardly run.
fn cold_ways_in(region: &Region, shape: &Shape, source: &dyn Source) -> Vec<(NodeId, NodeId)> {
    let mut predecessors = vec![Vec::new(); region.nodes.len()];
    for (from, node) in region.nodes.iter().enumerate() {
        node.successors().for_each(|to| predecessors[to].push(from));
    }
    let is_cold = |from: NodeId| !source.is_frequent(region.nodes[from].block.rip);
    let mut cold = Vec::new();
    for (back, header) in shape.rerouted.iter().copied() {
        let body = body(&predecessors, back, header);
        for (to, _) in body.iter().enumerate().filter(|(node, inside)| **inside && *node != header) {
            cold.extend(
                predecessors[to].iter().filter(|from| !body[**from] && is_cold(**from)).map(|from| (*from, to)),
            );
        }
    }
    cold
}

/// The blocks of the loop that a branch from `back` to `header` closes, as far as it is hot: what leads to `back` without
/// passing the header, and is led to from the header.
fn body(predecessors: &[Vec<NodeId>], back: NodeId, header: NodeId) -> Vec<bool> {
    let mut successors = vec![Vec::new(); predecessors.len()];
    for (to, from) in predecessors.iter().enumerate().flat_map(|(to, all)| all.iter().map(move |from| (to, *from))) {
        successors[from].push(to);
    }
    let backward = reach(predecessors, back, header);
    let forward = reach(&successors, header, back);
    let mut body: Vec<bool> = backward.into_iter().zip(forward).map(|(leads, is_led_to)| leads && is_led_to).collect();
    (body[back], body[header]) = (true, true);
    body
}

/// What is reached from a node, not going on past `end`.
fn reach(next: &[Vec<NodeId>], start: NodeId, end: NodeId) -> Vec<bool> {
    let mut reached = vec![false; next.len()];
    let mut stack = vec![start];
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut reached[node], true) && (node != end || node == start) {
            stack.extend(&next[node]);
        }
    }
    reached
}
