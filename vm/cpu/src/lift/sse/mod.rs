//! MMX and SSE.
//!
//! | module | subject |
//! |---|---|
//! | [`table`] | which [`VectorOp`] a mnemonic is |
//! | [`moves`] | moves and conversions |
//! | [`special`] | what has operands of its own: general registers, flags, control state |

mod moves;
mod special;
mod table;

use iced_x86::OpKind;

use super::{Lifted, Lifter, Unknown};
use crate::ir::Lane::{L16, L64};
use crate::ir::{Op, VSlot, VectorOp};

impl Lifter<'_> {
    /// Lifts the instruction if it belongs here.
    pub(super) fn sse(&mut self) -> Option<Lifted> {
        if self.inst.op0_register().is_ymm() || self.inst.op0_register().is_zmm() {
            return None;
        }
        if let Some(lifted) = self.vector_move() {
            return Some(lifted);
        }
        if let Some((op, shape)) = table::float_op(self.mnemonic()) {
            return Some(self.apply(VectorOp::Float(op, shape)));
        }
        if let Some(op) = table::vector_op(self.mnemonic()) {
            return Some(self.apply(op));
        }
        if let Some(op) = table::conversion(self.mnemonic()) {
            return Some(self.convert(op));
        }
        self.vector_special()
    }

    /// MMX form: the same operation on the low half.
    fn is_mmx(&self) -> bool {
        self.inst.op0_register().is_mm()
    }

    /// dst = op(dst, src, imm).
    fn apply(&mut self, op: VectorOp) -> Lifted {
        if self.inst.op0_kind() != OpKind::Register {
            return Err(Unknown);
        }
        let b = if self.inst.op1_kind() == OpKind::Immediate8 {
            // PSLLW and its like with a constant count.
            let a = self.read_vector(0, true)?;
            let shifted = self.vector(immediate_shift(op)?, a, a, self.inst.immediate8());
            return self.write_vector(0, shifted);
        } else {
            self.read_vector(1, true)?
        };
        let a = self.read_vector(0, true)?;
        let last = self.inst.op_count() - 1;
        let mut imm = if self.inst.op_kind(last) == OpKind::Immediate8 { self.inst.immediate8() } else { 0 };
        if op == VectorOp::InsertFloat && self.is_memory(1) {
            // The number in memory, not one of four.
            imm &= 0x3f;
        }
        if self.is_mmx() {
            let result = self.apply_mmx(op, a, b, imm);
            return self.write_vector(0, result);
        }
        let dst = self.xmm(self.inst.op0_register())?;
        self.emit(Op::Vector { op, dst, a, b, imm });
        Ok(())
    }

    /// Operations whose lanes move need arranging on 64-bit values; the others work on the low half as they are.
    fn apply_mmx(&mut self, op: VectorOp, a: VSlot, b: VSlot, imm: u8) -> VSlot {
        match op {
            VectorOp::PackS(_)
            | VectorOp::PackU(_)
            | VectorOp::HorizontalAdd(_)
            | VectorOp::HorizontalSub(_)
            | VectorOp::HorizontalAddSat16
            | VectorOp::HorizontalSubSat16 => {
                let both = self.vector(VectorOp::UnpackLow(L64), a, b, 0);
                self.vector(op, both, both, imm)
            }
            VectorOp::UnpackHigh(lane) => {
                let all = self.vector(VectorOp::UnpackLow(lane), a, b, 0);
                self.vector(VectorOp::ShrBytes, all, all, 8)
            }
            VectorOp::Align => {
                let both = self.vector(VectorOp::UnpackLow(L64), b, a, 0);
                self.vector(VectorOp::ShrBytes, both, both, imm)
            }
            VectorOp::Permute8 => {
                // Indices are three bits wide here.
                let limit = self.constant(0x8787_8787_8787_8787);
                let mask = self.vector_scratch();
                self.emit(Op::VFromSlot64 { dst: mask, src: limit });
                let index = self.vector(VectorOp::And, b, mask, 0);
                self.vector(op, a, index, 0)
            }
            VectorOp::Insert(L16) => self.vector(op, a, b, imm & 3),
            _ => self.vector(op, a, b, imm),
        }
    }
}

/// The form of a shift that takes its count from the immediate.
fn immediate_shift(op: VectorOp) -> Result<VectorOp, Unknown> {
    Ok(match op {
        VectorOp::Shl(lane) => VectorOp::ShlImm(lane),
        VectorOp::Shr(lane) => VectorOp::ShrImm(lane),
        VectorOp::Sar(lane) => VectorOp::SarImm(lane),
        _ => return Err(Unknown),
    })
}
