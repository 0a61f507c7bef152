//! Drops what nobody reads: notes of flags that are overwritten first (most arithmetic's), and scratch values.

use super::{Mark, Op, Slot, slot};
use crate::vector::exact;

/// A set of slots.
#[derive(Clone, Copy)]
struct Live(u64);

impl Live {
    fn has(self, slot: Slot) -> bool {
        self.0 >> (slot.0 & 63) & 1 != 0
    }

    fn add(&mut self, slot: Slot) {
        self.0 |= 1 << (slot.0 & 63);
    }

    fn remove(&mut self, slot: Slot) {
        self.0 &= !(1 << (slot.0 & 63));
    }
}

/// Removes dead operations of a block and moves its marks along. `flags_live_out` says whether whatever runs next may
/// look at the flags.
pub fn remove(ops: &mut Vec<Op>, marks: &mut [Mark], flags_live_out: bool) {
    let alive = find(ops, flags_live_out).alive;
    let mut new_index = Vec::with_capacity(ops.len());
    let mut count = 0;
    for keep in &alive {
        new_index.push(count);
        count += u16::from(*keep);
    }
    for mark in marks.iter_mut() {
        mark.op = new_index.get(usize::from(mark.op)).copied().unwrap_or(count);
    }
    let mut index = 0;
    ops.retain(|_| {
        index += 1;
        alive[index - 1]
    });
}

/// Whether a block looks at the flags it starts with, or leaves them for whoever comes after it to look at.
pub fn flags_live_in(ops: &[Op], flags_live_out: bool) -> bool {
    find(ops, flags_live_out).flags_live_in
}

/// What a walk from a block's end to its start finds.
struct Found {
    /// For each operation, whether it is needed.
    alive: Vec<bool>,
    flags_live_in: bool,
}

fn find(ops: &[Op], flags_live_out: bool) -> Found {
    let mut alive = vec![true; ops.len()];
    let mut flags_live = flags_live_out;
    // Whether an instruction yet to come looks at the flags, be it through the slots they were computed from. If the
    // block is left before it, it will find itself in another block and look at the flags themselves.
    let mut flags_wanted = flags_live_out;
    // Guest registers, segment bases, the direction flag and FIP outlive the block; scratch does not.
    let guest_state = Live((1 << slot::NEW_FLAGS.0) - 1);
    let mut live = guest_state;
    for (index, op) in ops.iter().enumerate().rev() {
        let operands = op.operands();
        let written = || operands.writes.iter().filter(|slot| **slot != slot::ZERO);
        alive[index] = match op {
            Op::SetFlags { .. } | Op::SetShiftFlags { .. } => flags_live,
            _ => !operands.pure_value || written().any(|slot| live.has(*slot)),
        };
        if !alive[index] {
            continue;
        }
        match op {
            Op::SetFlags { .. } => (flags_live, flags_wanted) = (false, false),
            Op::GetFlags { .. } | Op::Condition { .. } | Op::BranchFlags { .. } => flags_live = true,
            Op::JumpFar { .. } | Op::Syscall | Op::Sysenter | Op::Interrupt { .. } | Op::Raise { .. } => {
                flags_live = true;
            }
            Op::Helper { helper, .. } if helper.reads_flags() => flags_live = true,
            _ => {}
        }
        flags_wanted |= flags_live || stands_for_flags(op);
        written().for_each(|slot| live.remove(*slot));
        operands.reads.iter().for_each(|slot| live.add(*slot));
        if may_leave(op) {
            live.0 |= guest_state.0;
            flags_live |= flags_wanted;
        }
    }
    Found { alive, flags_live_in: flags_live || flags_wanted }
}

/// Whether an operation may have been lifted from an instruction that looks at the flags.
fn stands_for_flags(op: &Op) -> bool {
    use Op::*;
    matches!(
        op,
        Compare { .. }
            | BranchEq32(_)
            | BranchLtU32(_)
            | BranchLeU32(_)
            | BranchLtS32(_)
            | BranchLeS32(_)
            | BranchEq64(_)
            | BranchLtU64(_)
            | BranchLeU64(_)
            | BranchLtS64(_)
            | BranchLeS64(_)
    )
}

/// Whether an operation may end the block early (a fault, an exception): all guest state must be exact before it, even
/// what the rest of the block would overwrite. Helpers may also use registers that their operands don't list.
fn may_leave(op: &Op) -> bool {
    if let Op::Vector { op, .. } = op {
        return exact::depends_on_control(*op);
    }
    !op.operands().pure_value
        && !matches!(
            op,
            Op::SetFlags { .. }
                | Op::SetShiftFlags { .. }
                | Op::VFromSlot32 { .. }
                | Op::VFromSlot64 { .. }
                | Op::VMove { .. }
                | Op::VFromMmx { .. }
                | Op::VToMmx { .. }
        )
}
