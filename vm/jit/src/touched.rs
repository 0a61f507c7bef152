//! What operations touch, registers that only helpers know of included: what analysis and emission ask.

use cpu::helper::Helper;
use cpu::ir::{Op, Slot, VSlot, slot};
use cpu::reg;

/// Slots and vectors, by bit.
#[derive(Clone, Copy, Default, Debug)]
pub struct Touched {
    /// Slots read.
    pub reads: u64,
    /// Slots written.
    pub writes: u64,
    /// Vector slots read.
    pub vector_reads: u32,
    /// Vector slots written.
    pub vector_writes: u32,
    /// It looks at the lazy flags.
    pub flags: bool,
}

const XMM: u32 = 0xffff;
const XMM0: u32 = 1;

fn bits(slots: [Slot; 3]) -> u64 {
    slots.iter().filter(|slot| **slot != slot::ZERO).fold(0, |bits, slot| bits | 1 << slot.0)
}

fn general(registers: &[usize]) -> u64 {
    registers.iter().fold(0, |bits, register| bits | 1 << register)
}

/// Everything an operation touches.
pub fn touched(op: &Op) -> Touched {
    let operands = op.operands();
    let mut touched = Touched { reads: bits(operands.reads), writes: bits(operands.writes), ..Touched::default() };
    let one = |slot: VSlot| 1u32 << slot.0;
    match *op {
        Op::VLoad32(m) | Op::VLoad64(m) | Op::VLoad128(m) | Op::VLoad128Aligned(m) => {
            touched.vector_writes = one(m.value);
        }
        Op::VStore32(m) | Op::VStore64(m) | Op::VStore128(m) | Op::VStore128Aligned(m) => {
            touched.vector_reads = one(m.value);
        }
        Op::VMove { dst, src } => (touched.vector_reads, touched.vector_writes) = (one(src), one(dst)),
        Op::VFromSlot32 { dst, .. } | Op::VFromSlot64 { dst, .. } | Op::VFromMmx { dst, .. } => {
            touched.vector_writes = one(dst);
        }
        Op::VToSlot32 { src, .. } | Op::VToSlot64 { src, .. } | Op::VToMmx { src, .. } => {
            touched.vector_reads = one(src);
        }
        Op::Vector { dst, a, b, .. } => {
            (touched.vector_reads, touched.vector_writes) = (one(a) | one(b), one(dst));
        }
        Op::GetFlags { .. } | Op::Condition { .. } | Op::BranchFlags { .. } => touched.flags = true,
        Op::SetShiftFlags { .. } => touched.flags = true,
        Op::Helper { helper, a, b, c, .. } => touch_helper(&mut touched, helper, [a, b, c]),
        _ => {}
    }
    touched
}

/// What helpers touch beyond their operand lists.
fn touch_helper(touched: &mut Touched, helper: Helper, [a, b, c]: [u8; 3]) {
    use reg::{RAX, RBX, RCX, RDI, RDX, RSI};
    touched.flags = helper.reads_flags();
    match helper {
        Helper::String => {
            let registers = general(&[RAX, RCX, RSI, RDI]);
            touched.reads |= registers | 1 << slot::DIRECTION.0;
            touched.writes |= registers;
        }
        Helper::CompareExchangeWide => touched.reads |= general(&[RAX, RBX, RCX, RDX]),
        Helper::Cpuid => touched.writes |= general(&[RAX, RBX, RCX, RDX]),
        // The untouched half of a narrow result stays.
        Helper::TimeStamp => touched.reads |= general(&[RAX, RCX, RDX]),
        Helper::FxSave | Helper::XSave => {
            touched.reads |= 1 << slot::X87_INSTRUCTION.0;
            touched.vector_reads = XMM;
        }
        Helper::FxRestore | Helper::XRestore => {
            touched.reads |= 1 << slot::X87_INSTRUCTION.0;
            touched.writes |= 1 << slot::X87_INSTRUCTION.0;
            (touched.vector_reads, touched.vector_writes) = (XMM, XMM);
        }
        Helper::CompareStrings => {
            touched.vector_reads = 1 << a | 1 << b;
            touched.vector_writes = XMM0;
        }
        Helper::Sha256Rounds => {
            touched.vector_reads = 1 << a | 1 << b | 1 << c;
            touched.vector_writes = 1 << a;
        }
        Helper::TestVector => touched.vector_reads = 1 << a | 1 << b,
        Helper::MaskedStore => touched.vector_reads = 1 << a | 1 << b,
        _ => {}
    }
}
