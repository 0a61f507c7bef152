//! The intermediate representation: what one basic block of guest code does, as a list of small operations.
//!
//! A block is straight-line code: [`Op`]s that compute, then one that leaves. Operands are *slots*: general registers,
//! segment bases and scratch values share one numbering ([`Slot`]), vector registers and vector scratch another
//! ([`VSlot`]), so an operation reads guest registers in place. The interpreter runs the list as it is; the JIT gives
//! each slot a wasm local.
//!
//! **Values.** A slot holds 64 bits. An operation named `…32` reads the low half of its operands and writes a
//! zero-extended result, like the processor's own 32-bit operations. Of an 8- or 16-bit value only the low bits mean
//! anything; who needs the others extends it first.
//!
//! **Precise faults.** Within one guest instruction everything that can fault comes before everything that changes a
//! guest register, the flags or memory, so a fault leaves the instruction as if it had not begun.
//!
//! **Flags.** Only [`Op::SetFlags`] and [`Op::SetShiftFlags`] change the status flags, and they only note how the
//! flags would follow (see [`crate::flags`]); [`dead`] drops notes nobody reads.

pub mod dead;
pub mod operands;
mod vector;

pub use vector::{Aes, Conversion, FloatOp, Lane, Sha, Shape, VectorOp};

use crate::exit::Exception;
use crate::flags::{Condition, FlagKind};
use crate::helper::Helper;

/// An integer value of a block: a guest register or scratch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot(pub u8);

/// A vector value of a block: an XMM register or scratch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VSlot(pub u8);

/// Who owns which slot.
pub mod slot {
    use super::Slot;

    /// Base of the FS segment.
    pub const FS_BASE: Slot = Slot(16);
    /// Base of the GS segment.
    pub const GS_BASE: Slot = Slot(17);
    /// Always 0; never written.
    pub const ZERO: Slot = Slot(18);
    /// First operand of the lazy flags.
    pub const FLAG_A: Slot = Slot(19);
    /// Second operand of the lazy flags.
    pub const FLAG_B: Slot = Slot(20);
    /// The direction flag, 0 or 1.
    pub const DIRECTION: Slot = Slot(21);
    /// Where the last x87 instruction was that is not about the unit's control: FIP.
    pub const X87_INSTRUCTION: Slot = Slot(22);
    /// Where an operation with a carry leaves its status flags, for `SetFlags(Bits)`.
    pub const NEW_FLAGS: Slot = Slot(23);
    /// First scratch slot; the rest up to [`crate::state::SLOT_COUNT`] are scratch too.
    pub const SCRATCH: u8 = 24;
    /// First scratch vector slot.
    pub const VECTOR_SCRATCH: u8 = 16;
}

/// A memory operand: base + (index << shift) + displacement, modulo 2^64.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addr {
    pub base: Slot,
    pub index: Slot,
    pub shift: u8,
    pub disp: i32,
}

impl Addr {
    /// The address a slot holds.
    pub fn at(base: Slot) -> Self {
        Self { base, index: slot::ZERO, shift: 0, disp: 0 }
    }

    /// The same, `bytes` further on.
    pub fn plus(self, bytes: i32) -> Self {
        Self { disp: self.disp.wrapping_add(bytes), ..self }
    }
}

/// Operands of an operation with one input.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unary {
    pub dst: Slot,
    pub src: Slot,
}

/// Operands of an operation with two inputs.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binary {
    pub dst: Slot,
    pub a: Slot,
    pub b: Slot,
}

/// Operands of an operation with an input and a constant (sign-extended).
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WithImm {
    pub dst: Slot,
    pub a: Slot,
    pub imm: i32,
}

/// Operands of a load or store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mem {
    /// Destination of a load, source of a store.
    pub value: Slot,
    /// Where.
    pub addr: Addr,
}

/// Operands of a vector load or store.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VMem {
    pub value: VSlot,
    pub addr: Addr,
}

/// A two-way exit: leaves by exit `exit` when the comparison fails, by `exit + 1` when it holds.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fork {
    pub a: Slot,
    pub b: Slot,
    pub exit: u32,
}

/// A comparison of two slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Compare {
    Eq32,
    Ne32,
    LtU32,
    LeU32,
    LtS32,
    LeS32,
    Eq64,
    Ne64,
    LtU64,
    LeU64,
    LtS64,
    LeS64,
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)] // The groups' comments say what the names leave open.
pub enum Op {
    // ---- moves and extensions ----
    Const {
        dst: Slot,
        value: i32,
    },
    /// Halves, so that an `Op` stays at 12 bytes.
    Const64 {
        dst: Slot,
        low: u32,
        high: u32,
    },
    Move(Unary),
    Zext8(Unary),
    Zext16(Unary),
    Zext32(Unary),
    Sext8To32(Unary),
    Sext8To64(Unary),
    Sext16To32(Unary),
    Sext16To64(Unary),
    Sext32To64(Unary),
    /// Bits 8 to 15, as AH is of RAX.
    High8(Unary),
    /// Replaces the low 8 bits, bits 8 to 15, or the low 16 bits of `dst`.
    Insert8(Unary),
    InsertHigh8(Unary),
    Insert16(Unary),
    /// `dst` becomes `src` if `condition` is not 0.
    MoveIf {
        dst: Slot,
        src: Slot,
        condition: Slot,
    },

    // ---- arithmetic; shift and rotate counts are taken modulo the width ----
    Add32(Binary),
    Add64(Binary),
    Sub32(Binary),
    Sub64(Binary),
    And32(Binary),
    And64(Binary),
    Or32(Binary),
    Or64(Binary),
    Xor32(Binary),
    Xor64(Binary),
    Mul32(Binary),
    Mul64(Binary),
    MulHighU64(Binary),
    MulHighS64(Binary),
    Shl32(Binary),
    Shl64(Binary),
    Shr32(Binary),
    Shr64(Binary),
    Sar32(Binary),
    Sar64(Binary),
    Rotl32(Binary),
    Rotl64(Binary),
    AddImm32(WithImm),
    AddImm64(WithImm),
    AndImm32(WithImm),
    AndImm64(WithImm),
    ShlImm32(WithImm),
    ShlImm64(WithImm),
    ShrImm32(WithImm),
    ShrImm64(WithImm),
    SarImm32(WithImm),
    SarImm64(WithImm),
    Not32(Unary),
    Not64(Unary),
    Swap32(Unary),
    Swap64(Unary),
    /// Leading and trailing zeros; the width for 0.
    Clz32(Unary),
    Clz64(Unary),
    Ctz32(Unary),
    Ctz64(Unary),
    Popcnt64(Unary),
    /// Address arithmetic, 64 or 32 bits wide.
    Lea(Mem),
    Lea32(Mem),

    // ---- memory; loads zero-extend ----
    Load8(Mem),
    Load16(Mem),
    Load32(Mem),
    Load64(Mem),
    Store8(Mem),
    Store16(Mem),
    Store32(Mem),
    Store64(Mem),

    // ---- flags ----
    /// The status flags are those of `kind` applied to `a` and `b`.
    SetFlags {
        kind: FlagKind,
        a: Slot,
        b: Slot,
    },
    /// The same, unless `b` (a shift count, already masked) is 0: then they stay.
    SetShiftFlags {
        kind: FlagKind,
        a: Slot,
        b: Slot,
    },
    /// The status flags as RFLAGS has them.
    GetFlags {
        dst: Slot,
    },
    /// 1 if the condition holds, else 0.
    Condition {
        dst: Slot,
        condition: Condition,
    },
    Compare {
        compare: Compare,
        dst: Slot,
        a: Slot,
        b: Slot,
    },

    // ---- vectors ----
    VLoad32(VMem),
    VLoad64(VMem),
    VLoad128(VMem),
    /// #GP unless the address is a multiple of 16.
    VLoad128Aligned(VMem),
    VStore32(VMem),
    VStore64(VMem),
    VStore128(VMem),
    VStore128Aligned(VMem),
    VMove {
        dst: VSlot,
        src: VSlot,
    },
    /// Low 32 or 64 bits, the rest 0.
    VFromSlot32 {
        dst: VSlot,
        src: Slot,
    },
    VFromSlot64 {
        dst: VSlot,
        src: Slot,
    },
    VToSlot32 {
        dst: Slot,
        src: VSlot,
    },
    VToSlot64 {
        dst: Slot,
        src: VSlot,
    },
    Vector {
        op: VectorOp,
        dst: VSlot,
        a: VSlot,
        b: VSlot,
        imm: u8,
    },
    /// MMX registers alias the x87 stack; touching one puts the stack into MMX state.
    VFromMmx {
        dst: VSlot,
        index: u8,
    },
    VToMmx {
        index: u8,
        src: VSlot,
    },

    // ---- the rest ----
    /// A Rust function; what `a`, `b`, `c` and `imm` mean is the helper's affair.
    Helper {
        helper: Helper,
        a: u8,
        b: u8,
        c: u8,
        imm: u32,
    },

    // ---- exits, always last ----
    Jump {
        exit: u32,
    },
    JumpIndirect {
        src: Slot,
    },
    /// To the code segment that `selector` stands for, which has been checked: code may be of the other mode there.
    JumpFar {
        src: Slot,
        selector: Slot,
    },
    BranchEq32(Fork),
    BranchLtU32(Fork),
    BranchLeU32(Fork),
    BranchLtS32(Fork),
    BranchLeS32(Fork),
    BranchEq64(Fork),
    BranchLtU64(Fork),
    BranchLeU64(Fork),
    BranchLtS64(Fork),
    BranchLeS64(Fork),
    BranchFlags {
        condition: Condition,
        exit: u32,
    },
    /// rip is past the instruction.
    Syscall,
    /// rip is at the instruction.
    Sysenter,
    Interrupt {
        vector: u8,
    },
    /// rip is at the instruction, or past it where the processor has it so.
    Raise {
        exception: Exception,
    },
}

/// Most guest instructions in one block: bounds how long a block runs between looks at the budget.
pub const BLOCK_INSTRUCTIONS_MAX: usize = 64;

/// Where guest instructions begin within a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Index of the instruction's first operation.
    pub op: u16,
    /// Bytes from the block's first instruction to this one.
    pub offset: u16,
}

/// A lifted basic block.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Address of its first instruction.
    pub rip: u64,
    /// The operations; the last is an exit.
    pub ops: Vec<Op>,
    /// One for each instruction, ascending; where a block ends by length, the following instruction is not among them.
    pub marks: Vec<Mark>,
    /// Addresses of the exits that operations name by index.
    pub exits: Vec<u64>,
    /// Bytes the translation depends on: its instructions', and any looked at beyond them.
    pub depends_on: u16,
    /// Where the call that ends the block returns to, if one does.
    pub returns_to: Option<u64>,
    /// It ends with a `ret`.
    pub is_return: bool,
}

impl Op {
    /// The same operation with its exits counted from `first`.
    #[must_use]
    pub fn with_exits_from(mut self, first: u32) -> Op {
        use Op::*;
        match &mut self {
            Jump { exit } | BranchFlags { exit, .. } => *exit += first,
            BranchEq32(f) | BranchLtU32(f) | BranchLeU32(f) | BranchLtS32(f) | BranchLeS32(f) | BranchEq64(f)
            | BranchLtU64(f) | BranchLeU64(f) | BranchLtS64(f) | BranchLeS64(f) => f.exit += first,
            _ => {}
        }
        self
    }
}
