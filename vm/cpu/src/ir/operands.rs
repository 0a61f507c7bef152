//! Which slots an operation reads and writes: what passes over the IR and the JIT's register allocation ask.

use super::{Binary, Fork, Mem, Op, Slot, Unary, WithImm, slot};

/// Slots an operation touches. Vector slots are not listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operands {
    /// Slots it reads; unused places repeat [`slot::ZERO`].
    pub reads: [Slot; 3],
    /// Slots it writes; unused places repeat [`slot::ZERO`].
    pub writes: [Slot; 3],
    /// Whether it does nothing but write `writes`: it can't fault, leave, or touch memory, flags or vectors.
    pub pure_value: bool,
}

const Z: Slot = slot::ZERO;

fn value(dst: Slot, reads: [Slot; 3]) -> Operands {
    Operands { reads, writes: [dst, Z, Z], pure_value: true }
}

fn effect(reads: [Slot; 3], dst: Slot) -> Operands {
    Operands { reads, writes: [dst, Z, Z], pure_value: false }
}

impl Op {
    /// What this operation touches.
    pub fn operands(&self) -> Operands {
        use Op::*;
        match *self {
            Const { dst, .. } | Const64 { dst, .. } | GetFlags { dst } | Condition { dst, .. } => value(dst, [Z; 3]),
            Move(u) | Zext8(u) | Zext16(u) | Zext32(u) | Sext8To32(u) | Sext8To64(u) | Sext16To32(u)
            | Sext16To64(u) | Sext32To64(u) | High8(u) | Not32(u) | Not64(u) | Swap32(u) | Swap64(u) | Clz32(u)
            | Clz64(u) | Ctz32(u) | Ctz64(u) | Popcnt64(u) => value(u.dst, [u.src, Z, Z]),
            Insert8(Unary { dst, src }) | InsertHigh8(Unary { dst, src }) | Insert16(Unary { dst, src }) => {
                value(dst, [dst, src, Z])
            }
            MoveIf { dst, src, condition } => value(dst, [dst, src, condition]),
            Add32(b) | Add64(b) | Sub32(b) | Sub64(b) | And32(b) | And64(b) | Or32(b) | Or64(b) | Xor32(b)
            | Xor64(b) | Mul32(b) | Mul64(b) | MulHighU64(b) | MulHighS64(b) | Shl32(b) | Shl64(b) | Shr32(b)
            | Shr64(b) | Sar32(b) | Sar64(b) | Rotl32(b) | Rotl64(b) => {
                let Binary { dst, a, b } = b;
                value(dst, [a, b, Z])
            }
            AddImm32(w) | AddImm64(w) | AndImm32(w) | AndImm64(w) | ShlImm32(w) | ShlImm64(w) | ShrImm32(w)
            | ShrImm64(w) | SarImm32(w) | SarImm64(w) => {
                let WithImm { dst, a, .. } = w;
                value(dst, [a, Z, Z])
            }
            Lea(Mem { value: dst, addr }) | Lea32(Mem { value: dst, addr }) => value(dst, [addr.base, addr.index, Z]),
            Compare { dst, a, b, .. } => value(dst, [a, b, Z]),
            Load8(m) | Load16(m) | Load32(m) | Load64(m) => effect([m.addr.base, m.addr.index, Z], m.value),
            Store8(m) | Store16(m) | Store32(m) | Store64(m) => effect([m.addr.base, m.addr.index, m.value], Z),
            SetFlags { a, b, .. } | SetShiftFlags { a, b, .. } => effect([a, b, Z], Z),
            VLoad32(m) | VLoad64(m) | VLoad128(m) | VLoad128Aligned(m) | VStore32(m) | VStore64(m) | VStore128(m)
            | VStore128Aligned(m) => effect([m.addr.base, m.addr.index, Z], Z),
            VFromSlot32 { src, .. } | VFromSlot64 { src, .. } => effect([src, Z, Z], Z),
            VToSlot32 { dst, .. } | VToSlot64 { dst, .. } => value(dst, [Z; 3]),
            VMove { .. } | Vector { .. } | VFromMmx { .. } | VToMmx { .. } => effect([Z; 3], Z),
            Helper { helper, a, b, c, imm } => helper.operands(a, b, c, imm),
            BranchEq32(f) | BranchLtU32(f) | BranchLeU32(f) | BranchLtS32(f) | BranchLeS32(f) | BranchEq64(f)
            | BranchLtU64(f) | BranchLeU64(f) | BranchLtS64(f) | BranchLeS64(f) => {
                let Fork { a, b, .. } = f;
                effect([a, b, Z], Z)
            }
            JumpIndirect { src } => effect([src, Z, Z], Z),
            JumpFar { src, selector } => effect([src, selector, Z], Z),
            Jump { .. } | BranchFlags { .. } | Syscall | Sysenter | Interrupt { .. } | Raise { .. } => {
                effect([Z; 3], Z)
            }
        }
    }
}
