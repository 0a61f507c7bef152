//! Which addresses of a region's accesses differ by constants: slots are followed as *values*, a number for what nobody
//! knows plus a constant.
//!
//! Numbers name definitions as in static single assignment form: what one operation computes, or what several ways to
//! a block disagree about. So wherever a block is dominated by another, the same number means the same bits in both, and
//! what has been checked there need not be checked here. Function calls that were inlined leave the stack pointer as it
//! was, which is why ways are compared rather than writes counted.
//!
//! In 32-bit code sums wrap at 2^32, so values there are numbers modulo 2^32.
//!
//! Source: Cytron et al., "Efficiently Computing Static Single Assignment Form and the Control Dependence Graph" (1991);
//! the optimistic iteration is that of Wegman and Zadeck's constant propagation (1991).

use cpu::Mode;
use cpu::ir::{Addr, Op, Slot, slot};
use cpu::reg::RSP;
use cpu::state::SLOT_COUNT;
use cpu::x87::spec::{Operand, Spec};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use super::shape::Shape;
use super::{NodeId, Region};
use crate::touched::touched;

/// Slots that outlive a block.
const GUEST: usize = slot::NEW_FLAGS.0 as usize;

/// Rounds over the blocks until nothing changes; there are hardly ever more than four.
const ROUNDS_MAX: usize = 12;

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Value {
    number: u32,
    plus: i64,
}

/// Number of the slot that is always 0: constants are sums with it.
const ZERO: u32 = 0;

/// Set in the numbers of addresses that are compared with no other.
const ALONE: u32 = 1 << 31;

/// Constants beyond which a sum may wrap at 2^64.
const FAR: u64 = 1 << 62;

type Slots = [Value; GUEST];

/// What an address is made of: the numbers of its base's and index's values, and the shift.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    base: u32,
    index: u32,
    shift: u8,
}

impl Key {
    /// Whether the address is a constant.
    pub fn is_constant(self) -> bool {
        self.base == ZERO && self.index == ZERO
    }
}

/// A load or store.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Index of its operation in the block.
    pub op: usize,
    /// Accesses with the same key differ in `at`.
    pub key: Key,
    /// The address without what the key stands for.
    pub at: i64,
    /// How many bytes.
    pub bytes: i64,
    /// Whether it is a store.
    pub writes: bool,
}

/// Bytes that a region touches, as far as they have a key in common: a stack frame, a structure.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first byte, as [`Access::at`] counts.
    pub start: i64,
    /// Past the last.
    pub end: i64,
    /// It lies around the stack pointer.
    pub is_stack: bool,
}

/// A region's accesses.
#[derive(Debug)]
pub struct Accesses {
    /// Of each block.
    pub by_node: Vec<Vec<Access>>,
    /// From the first byte to the last of all with a key.
    pub spans: HashMap<Key, Span>,
}

/// Address, bytes, and whether it is a store.
fn access_of(op: &Op) -> Option<(Addr, i64, bool)> {
    use Op::*;
    Some(match *op {
        Load8(m) => (m.addr, 1, false),
        Load16(m) => (m.addr, 2, false),
        Load32(m) => (m.addr, 4, false),
        Load64(m) => (m.addr, 8, false),
        Store8(m) => (m.addr, 1, true),
        Store16(m) => (m.addr, 2, true),
        Store32(m) => (m.addr, 4, true),
        Store64(m) => (m.addr, 8, true),
        VLoad32(m) => (m.addr, 4, false),
        VLoad64(m) => (m.addr, 8, false),
        VLoad128(m) | VLoad128Aligned(m) => (m.addr, 16, false),
        VStore32(m) => (m.addr, 4, true),
        VStore64(m) => (m.addr, 8, true),
        VStore128(m) | VStore128Aligned(m) => (m.addr, 16, true),
        Helper { helper: cpu::helper::Helper::X87, a, imm, .. } => {
            let spec = Spec::decode(imm);
            if !is_x87_access(spec) {
                return None;
            }
            (Addr::at(Slot(a)), spec.memory_bytes().into(), spec.writes_memory())
        }
        _ => return None,
    })
}

/// Whether an instruction of the x87 unit has a memory operand that emitted code accesses itself.
fn is_x87_access(spec: Spec) -> bool {
    !spec.is_environment() && spec.operand != Operand::Bcd && spec.memory_bytes() != 0
}

/// What an operation does to slots: `dst` becomes `src` plus a constant, if it is that simple.
fn sum_of(op: &Op, mode: Mode) -> Option<(Slot, Slot, i64)> {
    let wraps = mode == Mode::Compat;
    match op {
        Op::AddImm64(o) => Some((o.dst, o.a, o.imm.into())),
        Op::AddImm32(o) if wraps => Some((o.dst, o.a, o.imm.into())),
        Op::Move(o) => Some((o.dst, o.src, 0)),
        Op::Zext32(o) if wraps => Some((o.dst, o.src, 0)),
        Op::Lea(o) if o.addr.index == slot::ZERO => Some((o.value, o.addr.base, o.addr.disp.into())),
        Op::Lea32(o) if wraps && o.addr.index == slot::ZERO => Some((o.value, o.addr.base, o.addr.disp.into())),
        Op::Const { dst, value } => Some((*dst, slot::ZERO, (*value).into())),
        Op::Const64 { dst, low, high } => Some((*dst, slot::ZERO, (u64::from(*high) << 32 | u64::from(*low)) as i64)),
        _ => None,
    }
}

/// Follows slots through a block.
struct Walk {
    slots: [Value; SLOT_COUNT],
    mode: Mode,
    /// The number of the next operation's first result.
    next: u32,
}

impl Walk {
    /// `first`: number of the block's first result.
    fn new(entry: &Slots, mode: Mode, first: u32) -> Self {
        let mut slots = [Value { number: ZERO, plus: 0 }; SLOT_COUNT];
        slots[..GUEST].copy_from_slice(entry);
        slots[usize::from(slot::ZERO.0)] = Value { number: ZERO, plus: 0 };
        Self { slots, mode, next: first }
    }

    fn of(&self, slot: Slot) -> Value {
        self.slots[usize::from(slot.0) % SLOT_COUNT]
    }

    fn step(&mut self, op: &Op) {
        if let Some((dst, src, more)) = sum_of(op, self.mode) {
            let value = self.of(src);
            self.slots[usize::from(dst.0) % SLOT_COUNT] = Value { plus: value.plus.wrapping_add(more), ..value };
        } else {
            let mut writes = touched(op).writes;
            while writes != 0 {
                let index = writes.trailing_zeros();
                writes &= writes - 1;
                self.slots[index as usize] = Value { number: self.next + index, plus: 0 };
            }
        }
        self.next += SLOT_COUNT as u32;
    }

    fn access(&self, index: usize, op: &Op) -> Option<Access> {
        let (addr, bytes, writes) = access_of(op)?;
        let (base, scaled) = (self.of(addr.base), self.of(addr.index));
        let at = base.plus.wrapping_add(scaled.plus << addr.shift).wrapping_add(addr.disp.into());
        let at = if self.mode == Mode::Compat { i64::from(at as i32) } else { at };
        if at.unsigned_abs() > FAR {
            // Sums near the wrap at 2^64 stand alone.
            let key = Key { base: self.next | ALONE, index: ZERO, shift: 0 };
            return Some(Access { op: index, key, at: 0, bytes, writes });
        }
        // Nothing times anything is nothing.
        let shift = if scaled.number == ZERO { 0 } else { addr.shift };
        Some(Access { op: index, key: Key { base: base.number, index: scaled.number, shift }, at, bytes, writes })
    }
}

/// The search for what slots hold where blocks begin.
struct Search<'a> {
    region: &'a Region,
    /// Where each block's results are numbered from; numbers before the first stand for disagreement.
    first: Vec<u32>,
    predecessors: Vec<Vec<NodeId>>,
    /// Blocks that can be entered from elsewhere.
    is_target: Vec<bool>,
    entry: Vec<Option<Slots>>,
    exit: Vec<Option<Slots>>,
}

/// The number for what the ways to a block disagree about.
fn disagreement(node: NodeId, slot: usize) -> Value {
    Value { number: 1 + (node * GUEST + slot) as u32, plus: 0 }
}

impl<'a> Search<'a> {
    fn new(region: &'a Region, shape: &Shape) -> Self {
        let count = region.nodes.len();
        let mut next = 1 + (count * GUEST) as u32;
        let first = region.nodes.iter().map(|node| {
            let first = next;
            next += (node.block.ops.len() * SLOT_COUNT) as u32;
            first
        });
        let first = first.collect();
        let mut predecessors = vec![Vec::new(); count];
        for (from, node) in region.nodes.iter().enumerate() {
            for to in node.successors().filter(|to| !shape.rerouted.contains(&(from, *to))) {
                predecessors[to].push(from);
            }
        }
        let mut is_target = vec![false; count];
        shape.targets.iter().for_each(|target| is_target[*target] = true);
        Self { region, first, predecessors, is_target, entry: vec![None; count], exit: vec![None; count] }
    }

    fn unknown(node: NodeId) -> Slots {
        std::array::from_fn(|slot| disagreement(node, slot))
    }

    /// What the ways to a block known so far agree about; what they once disagreed about stays so.
    fn meet(&self, node: NodeId) -> Slots {
        if self.is_target[node] {
            return Self::unknown(node);
        }
        let mut ways = self.predecessors[node].iter().filter_map(|from| self.exit[*from].as_ref());
        let Some(first) = ways.next() else { return Self::unknown(node) };
        let mut met = *first;
        let mut disagree = |slots: &Slots| {
            for slot in 0..GUEST {
                if met[slot] != slots[slot] {
                    met[slot] = disagreement(node, slot);
                }
            }
        };
        ways.for_each(&mut disagree);
        let before = self.entry[node].unwrap_or(*first);
        for (slot, value) in before.iter().enumerate().filter(|(slot, value)| **value == disagreement(node, *slot)) {
            met[slot] = *value;
        }
        met
    }

    fn walk(&self, node: NodeId, entry: &Slots) -> Walk {
        Walk::new(entry, self.region.mode, self.first[node])
    }

    /// Goes over the blocks until nothing changes; whether that has happened.
    fn run(&mut self, sequence: &[NodeId]) -> bool {
        for _ in 0..ROUNDS_MAX {
            let mut changed = false;
            for node in sequence.iter().copied() {
                let entry = self.meet(node);
                if self.entry[node] == Some(entry) {
                    continue;
                }
                changed = true;
                let mut walk = self.walk(node, &entry);
                self.region.nodes[node].block.ops.iter().for_each(|op| walk.step(op));
                self.entry[node] = Some(entry);
                let mut exit = entry;
                exit.copy_from_slice(&walk.slots[..GUEST]);
                self.exit[node] = Some(exit);
            }
            if !changed {
                return true;
            }
        }
        false
    }
}

/// A region's accesses, with keys.
pub fn accesses(region: &Region, shape: &Shape) -> Accesses {
    let mut sequence: Vec<NodeId> = (0..region.nodes.len()).collect();
    sequence.sort_unstable_by_key(|node| shape.order[*node]);
    let mut search = Search::new(region, shape);
    let is_settled = search.run(&sequence);
    let mut stack = HashSet::default();
    let mut found = Accesses { by_node: vec![Vec::new(); region.nodes.len()], spans: HashMap::default() };
    for (node, entry) in search.entry.iter().enumerate() {
        let entry = entry.filter(|_| is_settled).unwrap_or_else(|| Search::unknown(node));
        let mut walk = search.walk(node, &entry);
        stack.insert(walk.slots[RSP].number);
        for (index, op) in region.nodes[node].block.ops.iter().enumerate() {
            found.by_node[node].extend(walk.access(index, op));
            walk.step(op);
            stack.insert(walk.slots[RSP].number);
        }
    }
    stack.remove(&ZERO);
    for access in found.by_node.iter().flatten() {
        let is_stack = access.key.index == ZERO && stack.contains(&access.key.base);
        let new = Span { start: access.at, end: access.at + access.bytes, is_stack };
        let span = found.spans.entry(access.key).or_insert(new);
        span.start = span.start.min(new.start);
        span.end = span.end.max(new.end);
    }
    found
}
