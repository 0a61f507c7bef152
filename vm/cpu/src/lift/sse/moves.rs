//! Moves and conversions.

use iced_x86::{Mnemonic, OpKind, Register};

use super::super::{Lifted, Lifter};
use crate::flags::Width;
use crate::ir::Lane::L64;
use crate::ir::{Conversion, Op, VMem, VectorOp};

impl Lifter<'_> {
    pub(super) fn vector_move(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        Some(match self.mnemonic() {
            M::Movaps | M::Movapd | M::Movdqa | M::Movntps | M::Movntpd | M::Movntdq | M::Movntdqa => {
                self.move_whole(true)
            }
            M::Movups | M::Movupd | M::Movdqu | M::Lddqu => self.move_whole(false),
            M::Movss => self.move_scalar(VectorOp::MoveLow32),
            M::Movsd if !self.inst.is_string_instruction() => self.move_scalar(VectorOp::MoveLow64),
            M::Movd => self.move_general(Width::W32),
            M::Movq => self.move_general(Width::W64),
            M::Movntq | M::Movq2dq | M::Movdq2q => self.move_general(Width::W64),
            M::Movlps | M::Movlpd => self.move_half(false),
            M::Movhps | M::Movhpd => self.move_half(true),
            M::Movlhps => self.apply(VectorOp::UnpackLow(L64)),
            M::Movhlps => self.apply(VectorOp::HighToLow),
            _ => return None,
        })
    }

    fn move_whole(&mut self, aligned: bool) -> Lifted {
        if !self.is_memory(0) {
            let src = self.read_vector(1, aligned)?;
            return self.write_vector(0, src);
        }
        let value = self.xmm(self.inst.op1_register())?;
        let mem = VMem { value, addr: self.address()? };
        self.emit(if aligned { Op::VStore128Aligned(mem) } else { Op::VStore128(mem) });
        Ok(())
    }

    /// MOVSS, MOVSD: memory clears the rest of the register, another register leaves it.
    fn move_scalar(&mut self, merge: VectorOp) -> Lifted {
        let wide = merge == VectorOp::MoveLow64;
        if self.is_memory(0) {
            let value = self.xmm(self.inst.op1_register())?;
            let mem = VMem { value, addr: self.address()? };
            self.emit(if wide { Op::VStore64(mem) } else { Op::VStore32(mem) });
            return Ok(());
        }
        if self.is_memory(1) {
            let src = self.read_vector(1, false)?;
            return self.write_vector(0, src);
        }
        self.apply(merge)
    }

    /// MOVD, MOVQ between any two of general register, memory, MMX and XMM.
    fn move_general(&mut self, width: Width) -> Lifted {
        let is_vector = |register: Register| register.is_xmm() || register.is_mm();
        let wide = width == Width::W64;
        if self.inst.op1_kind() == OpKind::Register && is_vector(self.inst.op1_register()) {
            let src = self.read_vector(1, false)?;
            if self.is_memory(0) {
                let mem = VMem { value: src, addr: self.address()? };
                self.emit(if wide { Op::VStore64(mem) } else { Op::VStore32(mem) });
                return Ok(());
            }
            if is_vector(self.inst.op0_register()) {
                let low = self.vector(VectorOp::Low64, src, src, 0);
                return self.write_vector(0, low);
            }
            let dst = self.scratch();
            self.emit(if wide { Op::VToSlot64 { dst, src } } else { Op::VToSlot32 { dst, src } });
            return self.write(0, dst);
        }
        let src = self.read(1)?;
        let dst = self.vector_scratch();
        self.emit(if wide { Op::VFromSlot64 { dst, src } } else { Op::VFromSlot32 { dst, src } });
        self.write_vector(0, dst)
    }

    /// MOVLPS, MOVHPS and their doubles.
    fn move_half(&mut self, high: bool) -> Lifted {
        if self.is_memory(0) {
            let whole = self.xmm(self.inst.op1_register())?;
            let addr = self.address()?;
            let value = if high { self.vector(VectorOp::HighToLow, whole, whole, 0) } else { whole };
            self.emit(Op::VStore64(VMem { value, addr }));
            return Ok(());
        }
        let b = self.read_vector(1, false)?;
        let dst = self.xmm(self.inst.op0_register())?;
        let op = if high { VectorOp::UnpackLow(L64) } else { VectorOp::MoveLow64 };
        self.emit(Op::Vector { op, dst, a: dst, b, imm: 0 });
        Ok(())
    }

    // ---- conversions ----

    pub(super) fn convert(&mut self, conversion: Conversion) -> Lifted {
        use Conversion as C;
        let from_general = matches!(conversion, C::MergeI32ToF32 | C::MergeI32ToF64);
        let b = if from_general {
            let value = self.read(1)?;
            let dst = self.vector_scratch();
            self.emit(Op::VFromSlot64 { dst, src: value });
            dst
        } else {
            self.read_vector(1, true)?
        };
        let wide = from_general && self.width(1) == Width::W64
            || self.inst.op0_register().is_gpr() && self.width(0) == Width::W64;
        let op = VectorOp::Convert(if wide { widen(conversion) } else { conversion });
        if self.inst.op0_register().is_gpr() {
            let result = self.vector(op, b, b, 0);
            let dst = self.scratch();
            self.emit(Op::VToSlot64 { dst, src: result });
            return self.write(0, dst);
        }
        // An MMX register puts the x87 stack into MMX state even if the conversion raises an exception.
        let a = self.read_vector(0, true)?;
        let result = self.vector(op, a, b, 0);
        self.write_vector(0, result)
    }
}

/// The form for a 64-bit general register.
fn widen(conversion: Conversion) -> Conversion {
    use Conversion as C;
    match conversion {
        C::MergeI32ToF32 => C::MergeI64ToF32,
        C::MergeI32ToF64 => C::MergeI64ToF64,
        C::F32ToI32 => C::F32ToI64,
        C::F32ToI32Truncated => C::F32ToI64Truncated,
        C::F64ToI32 => C::F64ToI64,
        C::F64ToI32Truncated => C::F64ToI64Truncated,
        other => other,
    }
}
