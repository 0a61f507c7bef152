//! Keeps hot loops whole: a loop that is entered in two places can't be a WebAssembly loop, and would go through the
//! dispatcher at every turn. Where the second way in is hardly ever taken (compilers jump into the middle of a loop to
//! skip its first test), it leaves the region instead.

use super::discover::Source;
use super::shape::Shape;
use super::{Edge, NodeId, Region};

/// Lets ways from cold code back into hot code lead out of a region, if that mends loops.
pub fn keep_loops_whole(region: &mut Region, source: &dyn Source) {
    // Without any, there is no need to know the shape.
    let ways = ways_back(region, source);
    if ways.is_empty() {
        return;
    }
    let broken = Shape::of(region).rerouted.len();
    if broken == 0 {
        return;
    }
    let mut cut = region.clone();
    for (from, to) in ways {
        let rip = region.nodes[to].block.rip;
        let node = &mut cut.nodes[from];
        node.edges.iter_mut().filter(|edge| **edge == Edge::To(to)).for_each(|edge| *edge = Edge::Out(rip));
        node.guards.retain(|guard| guard.to != to);
    }
    cut.drop_unreached();
    if Shape::of(&cut).rerouted.len() < broken {
        *region = cut;
    }
}

/// Branches from blocks that have hardly run to others that come from elsewhere too.
fn ways_back(region: &Region, source: &dyn Source) -> Vec<(NodeId, NodeId)> {
    let is_rare: Vec<bool> = region.nodes.iter().map(|node| source.is_rare(node.block.rip)).collect();
    let mut is_led_to = vec![false; region.nodes.len()];
    for (node, _) in region.nodes.iter().zip(&is_rare).filter(|(_, is_rare)| !**is_rare) {
        node.successors().for_each(|to| is_led_to[to] = true);
    }
    let rare = region.nodes.iter().enumerate().filter(|(from, _)| is_rare[*from]);
    rare.flat_map(|(from, node)| node.successors().map(move |to| (from, to)))
        .filter(|(_, to)| !is_rare[*to] && is_led_to[*to])
        .collect()
}
