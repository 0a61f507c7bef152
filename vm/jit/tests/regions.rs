//! Which blocks become a region, and how its loops are seen.

use std::collections::BTreeSet;

use cpu::Mode;
use jit::region::discover::{Source, discover};
use jit::region::shape::Shape;
use jit::region::{Edge, Region};

const START: u64 = 0x40_0000;

/// A loop, and code beside it that jumps into its middle:
///
/// ```text
///  0 test edi,edi
///  2 je 10h
///  4 add eax,ecx
///  6 inc edx
///  8 cmp eax,edx
///  a jne 4
///  c ret
/// 10 nop
/// 11 jmp 8
/// ```
const LOOP: [u8; 0x13] =
    [0x85, 0xff, 0x74, 0x0c, 0x01, 0xc8, 0xff, 0xc2, 0x39, 0xd0, 0x75, 0xf8, 0xc3, 0x90, 0x90, 0x90, 0x90, 0xeb, 0xf5];

struct Code {
    rare: Vec<u64>,
    compiled: Vec<u64>,
}

impl Source for Code {
    fn fetch(&self, rip: u64, to: &mut [u8]) -> usize {
        let there = LOOP.get(rip.wrapping_sub(START) as usize..).unwrap_or_default();
        let count = there.len().min(to.len());
        to[..count].copy_from_slice(&there[..count]);
        count
    }

    fn is_warm(&self, rip: u64) -> bool {
        rip.wrapping_sub(START) < LOOP.len() as u64
    }

    fn is_frequent(&self, rip: u64) -> bool {
        !self.is_rare(rip)
    }

    fn is_rare(&self, rip: u64) -> bool {
        self.rare.contains(&(rip - START))
    }

    fn is_compiled(&self, rip: u64) -> bool {
        self.compiled.contains(&(rip - START))
    }

    fn targets(&self, _rip: u64) -> &[u64] {
        &[]
    }
}

fn region(rare: &[u64], compiled: &[u64]) -> Region {
    discover(&Code { rare: rare.into(), compiled: compiled.into() }, START, Mode::Long).expect("code")
}

/// Where the block at an address leads.
fn edges(region: &Region, rip: u64) -> Vec<Result<u64, u64>> {
    let node = region.nodes.iter().find(|node| node.block.rip == START + rip).expect("a block there");
    let to = |edge: &Edge| match edge {
        Edge::To(node) => Ok(region.nodes[*node].block.rip - START),
        Edge::Out(rip) => Err(rip - START),
    };
    node.edges.iter().map(to).collect()
}

#[test]
fn blocks_end_where_others_begin() {
    let region = region(&[], &[]);
    let addresses = || {
        let of = |node: &jit::region::Node| {
            let rip = node.block.rip;
            node.block.marks.iter().map(move |mark| rip + u64::from(mark.offset)).collect::<Vec<_>>()
        };
        region.nodes.iter().flat_map(of)
    };
    assert_eq!(addresses().count(), addresses().collect::<BTreeSet<_>>().len(), "an instruction is there twice");
    assert_eq!(addresses().count(), 9);
    assert_eq!(edges(&region, 4), [Ok(8)]);
}

#[test]
fn a_cold_way_into_a_loop_leaves_the_region() {
    let whole = region(&[0x10], &[]);
    assert_eq!(edges(&whole, 0x11 - 1), [Err(8)], "the jump into the loop");
    assert!(Shape::of(&whole).rerouted.is_empty(), "the loop is whole");
    let broken = region(&[], &[]);
    assert_eq!(edges(&broken, 0x10), [Ok(8)]);
    assert!(!Shape::of(&broken).rerouted.is_empty(), "two ways in that are taken often need the dispatcher");
}

#[test]
fn small_regions_take_in_what_others_have() {
    assert_eq!(edges(&region(&[], &[8]), 4), [Ok(8)]);
}
