//! Control flow: the function's frame, the walk over the dominator tree, branches, exits.

use std::mem::offset_of;

use cpu::flags::Condition;
use cpu::ir::{Compare, Fork, Op};
use wasm_encoder::{BlockType, BranchHint, MemArg, ValType};

use super::locals::{FUEL, LABEL};
use super::{Emitter, ExitPoint, FIND, Facts, TYPE_REGION};
use crate::area::{JUMP_HASH, JUMP_HASH_SHIFT, JUMP_SHIFT, Jump, offset};
use crate::region::{Edge, Guard, NodeId};
use crate::running::NOT_FOUND;

/// Number of the exit point that all regions share.
pub const EXIT_GO: u32 = 0;

/// Guards that are compared with one after another.
const LINEAR_GUARDS_MAX: usize = 4;

/// A construct around the code at hand that can be branched to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Branches leave with an exit point's number.
    Leave,
    Dispatch,
    /// Branches go to the address in `next`.
    Go,
    /// Branches leave to the engine, which finds the address in `next`.
    Miss,
    /// Branches go to a node that begins a loop.
    Loop(NodeId),
    /// Branches go to a node behind the end.
    Block(NodeId),
    /// An `if`.
    Arm,
}

impl Emitter<'_> {
    // ---- frames ----

    fn depth(&self, frame: Frame) -> u32 {
        let at = self.frames.iter().rposition(|other| *other == frame).expect("the frame is open");
        (self.frames.len() - 1 - at) as u32
    }

    fn branch_to(&mut self, frame: Frame) {
        let depth = self.depth(frame);
        self.s().br(depth);
    }

    /// Pops an i32: what follows, up to [`Self::end_if`], runs if it is not 0, which it hardly ever is.
    pub(super) fn if_unlikely(&mut self) {
        self.hints.push(BranchHint { branch_func_offset: self.code.len() as u32, branch_hint_value: 0 });
        self.s().if_(BlockType::Empty);
        self.frames.push(Frame::Arm);
    }

    /// Pops an i32: what follows, up to [`Self::end_if`], runs if it is not 0, and after [`Self::else_`] otherwise.
    pub(super) fn if_(&mut self) {
        self.s().if_(BlockType::Empty);
        self.frames.push(Frame::Arm);
    }

    pub(super) fn else_(&mut self) {
        self.s().else_();
    }

    pub(super) fn end_if(&mut self) {
        self.frames.pop();
        self.s().end();
    }

    /// Leaves by an exit point.
    pub(super) fn leave(&mut self, point: ExitPoint) {
        self.note_moves();
        self.push_exit(point);
        self.branch_to(Frame::Leave);
    }

    /// Pushes an exit point's number.
    fn push_exit(&mut self, point: ExitPoint) {
        // Most come from the same instruction as the last.
        if self.exits.last() != Some(&point) {
            self.exits.push(point);
        }
        let number = self.settings.first_exit as usize + self.exits.len() - 1;
        self.s().i32_const(number as i32);
    }

    /// Pushes what [`Self::side_exit_if`] leaves with and [`Self::end_checks`] drops.
    pub(super) fn begin_checks(&mut self) {
        let rip = self.rip;
        self.note_moves();
        self.push_exit(ExitPoint::Side { rip });
    }

    /// Pops an i32: if it is not 0, the instruction at hand is left to the interpreter.
    pub(super) fn side_exit_if(&mut self) {
        self.hints.push(BranchHint { branch_func_offset: self.code.len() as u32, branch_hint_value: 0 });
        let leave = self.depth(Frame::Leave);
        self.s().br_if(leave);
    }

    /// See [`Self::begin_checks`].
    pub(super) fn end_checks(&mut self) {
        self.s().drop();
    }

    // ---- the function ----

    /// The root of the dominator tree.
    fn dispatcher(&self) -> NodeId {
        self.region.nodes.len()
    }

    pub(super) fn function(&mut self) {
        self.s().block(BlockType::Result(ValType::I32));
        self.frames.push(Frame::Leave);
        self.s().loop_(BlockType::Empty);
        self.frames.push(Frame::Dispatch);
        self.s().block(BlockType::Empty);
        self.frames.push(Frame::Go);
        self.subtree(self.dispatcher(), false);
        self.frames.pop();
        self.s().end();
        self.go();
        self.frames.pop();
        self.s().end().unreachable();
        self.frames.pop();
        self.s().end();
        self.write_back();
        self.s().end();
    }

    /// Pops an exit point's number, writes everything back, and pushes the number again.
    fn write_back(&mut self) {
        let number = self.locals.take(ValType::I32);
        self.s().local_set(number);
        self.spill();
        self.write_stack_back();
        let fuel = self.area(offset::FUEL);
        self.s().i32_const(0).local_get(FUEL).i32_store(fuel).local_get(number);
        self.locals.give(ValType::I32, number);
    }

    /// Goes to the address in `next`: within this function, in another region, or by way of the engine.
    fn go(&mut self) {
        let (entry, next) = (self.locals.take(ValType::I32), self.next);
        let [label, region, function] = [offset_of!(Jump, label), offset_of!(Jump, region), offset_of!(Jump, function)]
            .map(|at| self.jump_field(at));
        self.s().block(BlockType::Empty);
        self.frames.push(Frame::Miss);
        self.s().local_get(FUEL).i32_const(0).i32_lt_s();
        let miss = self.depth(Frame::Miss);
        self.s().br_if(miss);
        self.look_up(entry);
        if self.shape.targets.len() > 1 {
            let own = self.settings.region as i32;
            self.s().local_get(entry).i32_load(label).local_set(LABEL);
            self.s().local_get(entry).i32_load(region).i32_const(own).i32_eq();
            let depth = self.depth(Frame::Dispatch);
            self.s().br_if(depth);
        }
        self.spill();
        self.s().local_get(entry).i32_load(label).local_get(FUEL);
        self.s().local_get(entry).i32_load(function).return_call_indirect(0, TYPE_REGION);
        self.end_if();
        let rip = self.area(offset::RIP);
        self.s().i32_const(0).local_get(next).i64_store(rip).i32_const(EXIT_GO as i32);
        self.branch_to(Frame::Leave);
        self.locals.give(ValType::I32, entry);
    }

    /// A field of the jump cache's entry whose offset within the cache is on the stack.
    fn jump_field(&self, at: usize) -> MemArg {
        self.area(offset::JUMPS + at as u64)
    }

    /// Leaves the offset of the jump cache's entry for `next` in a local, or branches to the miss.
    fn look_up(&mut self, entry: u32) {
        let next = self.next;
        self.s().local_get(next).i32_wrap_i64().i32_const(JUMP_HASH as i32).i32_mul();
        self.s().i32_const(JUMP_HASH_SHIFT as i32).i32_shr_u().i32_const(JUMP_SHIFT as i32).i32_shl();
        self.s().local_set(entry);
        let (rip, space) = (self.jump_field(offset_of!(Jump, rip)), self.jump_field(offset_of!(Jump, space)));
        let current = self.area(offset::SPACE);
        self.s().local_get(entry).i64_load(rip).local_get(next).i64_ne();
        self.s().local_get(entry).i32_load(space).i32_const(0).i32_load(current).i32_ne().i32_or();
        self.if_unlikely();
        self.s().local_get(next).call(FIND).local_tee(entry).i32_const(NOT_FOUND as i32).i32_eq();
        let miss = self.depth(Frame::Miss);
        self.s().br_if(miss);
        self.end_if();
    }

    // ---- the walk over the dominator tree ----

    /// Emits a node with everything it dominates. It `inherits` what is known where the branch to it is.
    fn subtree(&mut self, node: NodeId, inherits: bool) {
        let is_dispatcher = node == self.dispatcher();
        let is_loop = self.shape.is_header[node] && !is_dispatcher;
        if is_loop {
            self.s().loop_(BlockType::Empty);
            self.frames.push(Frame::Loop(node));
        }
        let shape = self.shape;
        let merges = &shape.merges[node];
        for merge in merges.iter().rev() {
            self.s().block(BlockType::Empty);
            self.frames.push(Frame::Block(*merge));
        }
        let checked = self.checks.count();
        if is_dispatcher {
            self.dispatch();
        } else {
            self.node(node, inherits && !is_loop);
        }
        for merge in merges {
            self.frames.pop();
            self.s().end();
            self.subtree(*merge, false);
        }
        self.release_checks(checked);
        if is_loop {
            self.frames.pop();
            self.s().end().unreachable();
        }
    }

    /// To the entry that the label names.
    fn dispatch(&mut self) {
        let shape = self.shape;
        if let [target] = shape.targets[..] {
            return self.forward(target);
        }
        let labels: Vec<u32> = shape.targets.iter().map(|target| self.depth(Frame::Block(*target))).collect();
        let first = labels[0];
        self.s().local_get(LABEL).br_table(labels, first);
    }

    fn forward(&mut self, to: NodeId) {
        if self.shape.is_merge[to] {
            self.pay();
            self.branch_to(Frame::Block(to));
            return;
        }
        if self.shape.is_header[to] {
            self.pay();
        }
        let (facts, unpaid) = (self.facts, self.unpaid);
        self.subtree(to, true);
        (self.facts, self.unpaid) = (facts, unpaid);
    }

    fn node(&mut self, node: NodeId, inherits: bool) {
        let region = self.region;
        let block = &region.nodes[node].block;
        if self.shape.is_header[node] {
            self.check_fuel(block.rip);
        }
        if !inherits {
            self.facts = Facts::new(self.kinds[node]);
            self.unpaid = 0;
        }
        self.unpaid += block.marks.len() as i32;
        self.operations(node);
        let last = block.ops.last().expect("a block ends with an exit");
        self.leave_stack();
        self.terminator(node, last);
    }

    /// Reduces the fuel by the instructions on the way here.
    fn pay(&mut self) {
        let unpaid = self.unpaid;
        if unpaid != 0 {
            self.s().local_get(FUEL).i32_const(unpaid).i32_sub().local_set(FUEL);
        }
    }

    fn check_fuel(&mut self, rip: u64) {
        self.s().local_get(FUEL).i32_const(0).i32_lt_s();
        self.if_unlikely();
        self.leave(ExitPoint::Pause { rip });
        self.end_if();
    }

    /// The operations of a block but the last.
    fn operations(&mut self, node: NodeId) {
        let region = self.region;
        let block = &region.nodes[node].block;
        self.node = node;
        self.checks.plan(node);
        let mut marks = block.marks.iter().peekable();
        let mut fused = false;
        for (index, op) in block.ops.iter().enumerate() {
            while let Some(mark) = marks.next_if(|mark| usize::from(mark.op) <= index) {
                let rip = block.rip + u64::from(mark.offset);
                self.leave_if_stale(rip);
                self.rip = rip;
            }
            // Its first half has been emitted with the one before.
            if std::mem::take(&mut fused) {
                continue;
            }
            if let Some(next) = block.ops.get(index + 1) {
                fused = self.fused(op, next);
                if !fused {
                    self.operation(index, op);
                }
                self.facts.kind = self.facts.kind.after(op);
            }
        }
    }

    /// Leaves before the instruction at `rip` if the one before has changed code.
    fn leave_if_stale(&mut self, rip: u64) {
        if let Some(stale) = self.stale.take() {
            self.s().local_get(stale);
            self.if_unlikely();
            self.leave(ExitPoint::Pause { rip });
            self.end_if();
            self.locals.give(ValType::I32, stale);
        }
    }

    // ---- terminators ----

    fn terminator(&mut self, node: NodeId, op: &Op) {
        match *op {
            Op::Jump { exit } => {
                // A block that ends by length, after an instruction that may have changed code.
                self.leave_if_stale(self.region.nodes[node].block.exits[exit as usize]);
                self.follow(node, exit);
            }
            Op::JumpIndirect { src } => {
                let next = self.next;
                self.get(src);
                self.s().local_set(next);
                self.guards(node, &self.region.nodes[node].guards);
                self.pay();
                self.branch_to(Frame::Go);
            }
            Op::BranchEq32(f) => self.fork(node, Compare::Eq32, f),
            Op::BranchLtU32(f) => self.fork(node, Compare::LtU32, f),
            Op::BranchLeU32(f) => self.fork(node, Compare::LeU32, f),
            Op::BranchLtS32(f) => self.fork(node, Compare::LtS32, f),
            Op::BranchLeS32(f) => self.fork(node, Compare::LeS32, f),
            Op::BranchEq64(f) => self.fork(node, Compare::Eq64, f),
            Op::BranchLtU64(f) => self.fork(node, Compare::LtU64, f),
            Op::BranchLeU64(f) => self.fork(node, Compare::LeU64, f),
            Op::BranchLtS64(f) => self.fork(node, Compare::LtS64, f),
            Op::BranchLeS64(f) => self.fork(node, Compare::LeS64, f),
            Op::BranchFlags { condition, exit } => self.fork_flags(node, condition, exit),
            Op::Syscall => {
                let rip = self.rip;
                self.pay();
                self.leave(ExitPoint::Syscall { rip });
            }
            Op::Interrupt { vector } => {
                let rip = self.rip;
                self.pay();
                self.leave(ExitPoint::Interrupt { rip, vector });
            }
            Op::Sysenter | Op::Raise { .. } => {
                let rip = self.rip;
                self.leave(ExitPoint::Side { rip });
            }
            // Its selector would have been checked before: code does not get here.
            Op::JumpFar { .. } => {
                self.s().unreachable();
            }
            // A block always ends with one of the above.
            _ => unreachable!("a block that ends with {op:?}"),
        }
    }

    /// Branches to the guard that the address in `next` belongs to; goes on here if there is none.
    fn guards(&mut self, node: NodeId, guards: &[Guard]) {
        let next = self.next;
        if guards.len() <= LINEAR_GUARDS_MAX {
            for guard in guards {
                self.s().local_get(next).i64_const(guard.rip as i64).i64_eq().if_(BlockType::Empty);
                self.frames.push(Frame::Arm);
                self.enter(node, guard.to);
                self.end_if();
            }
            return;
        }
        let (low, high) = guards.split_at(guards.len() / 2);
        self.s().local_get(next).i64_const(high[0].rip as i64).i64_lt_u().if_(BlockType::Empty);
        self.frames.push(Frame::Arm);
        self.guards(node, low);
        self.s().else_();
        self.guards(node, high);
        self.end_if();
    }

    fn fork_flags(&mut self, node: NodeId, condition: Condition, exit: u32) {
        self.condition(condition);
        self.fork_on_stack(node, exit);
    }

    fn fork(&mut self, node: NodeId, compare: Compare, fork: Fork) {
        self.compared(compare, fork.a, fork.b);
        self.fork_on_stack(node, fork.exit);
    }

    /// Pops an i32: exit `exit` if it is 0, the next one otherwise.
    fn fork_on_stack(&mut self, node: NodeId, exit: u32) {
        self.s().if_(BlockType::Empty);
        self.frames.push(Frame::Arm);
        self.follow(node, exit + 1);
        self.s().else_();
        self.follow(node, exit);
        self.frames.pop();
        self.s().end().unreachable();
    }

    /// Takes an exit of a node.
    fn follow(&mut self, node: NodeId, exit: u32) {
        match self.region.nodes[node].edges[exit as usize] {
            Edge::Out(rip) => {
                let next = self.next;
                self.s().i64_const(rip as i64).local_set(next);
                self.pay();
                self.branch_to(Frame::Go);
            }
            Edge::To(to) => self.enter(node, to),
        }
    }

    /// From one node to another.
    fn enter(&mut self, from: NodeId, to: NodeId) {
        if self.shape.rerouted.contains(&(from, to)) {
            let label = self.shape.label(to).expect("a rerouted branch leads to one of the dispatcher's targets");
            self.pay();
            self.check_fuel(self.region.nodes[to].block.rip);
            self.s().i32_const(label as i32).local_set(LABEL);
            self.branch_to(Frame::Dispatch);
        } else if self.shape.is_backward(from, to) {
            self.pay();
            self.branch_to(Frame::Loop(to));
        } else {
            self.forward(to);
        }
    }
}
