//! MMX and SSE: tables from mnemonics to [`VectorOp`]s, and the moves.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, Unknown};
use crate::flags::{FlagKind, FlagOp, Width};
use crate::helper::Helper;
use crate::ir::{Conversion, FloatOp, Lane, Op, Shape, Slot, VMem, VSlot, VectorOp, slot};

use Lane::{L8, L16, L32, L64};

impl Lifter<'_> {
    /// Lifts the instruction if it belongs here.
    pub(super) fn sse(&mut self) -> Option<Lifted> {
        if self.inst.op0_register().is_ymm() || self.inst.op0_register().is_zmm() {
            return None;
        }
        if let Some(lifted) = self.vector_move() {
            return Some(lifted);
        }
        if let Some((op, shape)) = float_op(self.mnemonic()) {
            return Some(self.apply(VectorOp::Float(op, shape)));
        }
        if let Some(op) = integer_op(self.mnemonic()).or_else(|| extended_op(self.mnemonic())) {
            return Some(self.apply(op));
        }
        if let Some(op) = conversion(self.mnemonic()) {
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
        let imm = if self.inst.op_kind(last) == OpKind::Immediate8 { self.inst.immediate8() } else { 0 };
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

    // ---- moves ----

    fn vector_move(&mut self) -> Option<Lifted> {
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

    fn convert(&mut self, conversion: Conversion) -> Lifted {
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
        let a = if self.is_mmx() { b } else { self.read_vector(0, true)? };
        let result = self.vector(op, a, b, 0);
        self.write_vector(0, result)
    }

    // ---- the rest ----

    fn vector_special(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        Some(match self.mnemonic() {
            M::Comiss | M::Ucomiss => self.compare_float(|dst, src| Op::VToSlot32 { dst, src }, Width::W32),
            M::Comisd | M::Ucomisd => self.compare_float(|dst, src| Op::VToSlot64 { dst, src }, Width::W64),
            M::Ptest => self.test_vector(),
            M::Pmovmskb => self.move_mask(L8),
            M::Movmskps => self.move_mask(L32),
            M::Movmskpd => self.move_mask(L64),
            M::Pextrw => self.extract_word(),
            M::Pinsrw => self.insert(L16),
            M::Pinsrb => self.insert(L8),
            M::Pinsrd => self.insert(L32),
            M::Pinsrq => self.insert(L64),
            M::Maskmovdqu | M::Maskmovq => self.masked_store(),
            M::Pslldq => self.shift_bytes(VectorOp::ShlBytes),
            M::Psrldq => self.shift_bytes(VectorOp::ShrBytes),
            M::Ldmxcsr => self.load_mxcsr(),
            M::Stmxcsr => self.store_mxcsr(),
            M::Fxsave | M::Fxsave64 => self.state_image(Helper::FxSave),
            M::Fxrstor | M::Fxrstor64 => self.state_image(Helper::FxRestore),
            _ => return None,
        })
    }

    fn compare_float(&mut self, low: fn(Slot, VSlot) -> Op, width: Width) -> Lifted {
        let b = self.read_vector(1, true)?;
        let a = self.xmm(self.inst.op0_register())?;
        let (low_a, low_b) = (self.scratch(), self.scratch());
        self.emit(low(low_a, a));
        self.emit(low(low_b, b));
        self.set_flags(FlagKind::new(FlagOp::Float, width), low_a, low_b, None);
        Ok(())
    }

    fn test_vector(&mut self) -> Lifted {
        let b = self.read_vector(1, true)?;
        let a = self.xmm(self.inst.op0_register())?;
        self.emit(Op::Helper { helper: Helper::TestVector, a: a.0, b: b.0, c: 0, imm: 0 });
        self.take_new_flags();
        Ok(())
    }

    /// An integer computed from a vector into a general register.
    fn vector_to_general(&mut self, op: VectorOp, src: VSlot, imm: u8) -> Lifted {
        let result = self.vector(op, src, src, imm);
        let dst = self.scratch();
        self.emit(Op::VToSlot64 { dst, src: result });
        self.write(0, dst)
    }

    fn move_mask(&mut self, lane: Lane) -> Lifted {
        let src = self.read_vector(1, true)?;
        self.vector_to_general(VectorOp::MoveMask(lane), src, 0)
    }

    fn extract_word(&mut self) -> Lifted {
        let lanes = if self.inst.op1_register().is_mm() { 3 } else { 7 };
        let src = self.read_vector(1, true)?;
        self.vector_to_general(VectorOp::Extract16, src, self.inst.immediate8() & lanes)
    }

    fn insert(&mut self, lane: Lane) -> Lifted {
        let value = self.read(1)?;
        let b = self.vector_scratch();
        self.emit(Op::VFromSlot64 { dst: b, src: value });
        let a = self.read_vector(0, true)?;
        let imm = self.inst.immediate8() & if self.is_mmx() { 3 } else { 15 };
        let result = self.vector(VectorOp::Insert(lane), a, b, imm);
        self.write_vector(0, result)
    }

    fn masked_store(&mut self) -> Lifted {
        let bytes = if self.inst.op1_register().is_mm() { 8 } else { 16 };
        let (data, mask) = (self.read_vector(1, false)?, self.read_vector(2, false)?);
        let mut at = crate::ir::Addr::at(crate::ir::Slot(crate::state::reg::RDI as u8));
        if let Some(base) = self.segment_base() {
            at = crate::ir::Addr { base, index: at.base, ..at };
        }
        let addr = self.flat(at);
        self.emit(Op::Helper { helper: Helper::MaskedStore, a: mask.0, b: data.0, c: addr.0, imm: bytes });
        Ok(())
    }

    fn shift_bytes(&mut self, op: VectorOp) -> Lifted {
        let dst = self.xmm(self.inst.op0_register())?;
        self.emit(Op::Vector { op, dst, a: dst, b: dst, imm: self.inst.immediate8() });
        Ok(())
    }

    fn load_mxcsr(&mut self) -> Lifted {
        let value = self.read(0)?;
        self.emit(Op::Helper { helper: Helper::WriteMxcsr, a: value.0, b: 0, c: 0, imm: 0 });
        Ok(())
    }

    fn store_mxcsr(&mut self) -> Lifted {
        let value = self.scratch();
        self.emit(Op::Helper { helper: Helper::ReadMxcsr, a: value.0, b: 0, c: 0, imm: 0 });
        self.write(0, value)
    }

    fn state_image(&mut self, helper: Helper) -> Lifted {
        let addr = self.address()?;
        let at = self.flat(addr);
        self.emit(Op::Helper { helper, a: at.0, b: slot::ZERO.0, c: 0, imm: 0 });
        Ok(())
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

fn float_op(mnemonic: Mnemonic) -> Option<(FloatOp, Shape)> {
    use FloatOp as F;
    use Mnemonic as M;
    use Shape::{Packed32 as Ps, Packed64 as Pd, Scalar32 as Ss, Scalar64 as Sd};
    Some(match mnemonic {
        M::Addps => (F::Add, Ps),
        M::Addpd => (F::Add, Pd),
        M::Addss => (F::Add, Ss),
        M::Addsd => (F::Add, Sd),
        M::Subps => (F::Sub, Ps),
        M::Subpd => (F::Sub, Pd),
        M::Subss => (F::Sub, Ss),
        M::Subsd => (F::Sub, Sd),
        M::Mulps => (F::Mul, Ps),
        M::Mulpd => (F::Mul, Pd),
        M::Mulss => (F::Mul, Ss),
        M::Mulsd => (F::Mul, Sd),
        M::Divps => (F::Div, Ps),
        M::Divpd => (F::Div, Pd),
        M::Divss => (F::Div, Ss),
        M::Divsd => (F::Div, Sd),
        M::Minps => (F::Min, Ps),
        M::Minpd => (F::Min, Pd),
        M::Minss => (F::Min, Ss),
        M::Minsd => (F::Min, Sd),
        M::Maxps => (F::Max, Ps),
        M::Maxpd => (F::Max, Pd),
        M::Maxss => (F::Max, Ss),
        M::Maxsd => (F::Max, Sd),
        M::Sqrtps => (F::Sqrt, Ps),
        M::Sqrtpd => (F::Sqrt, Pd),
        M::Sqrtss => (F::Sqrt, Ss),
        M::Sqrtsd => (F::Sqrt, Sd),
        M::Rcpps => (F::Reciprocal, Ps),
        M::Rcpss => (F::Reciprocal, Ss),
        M::Rsqrtps => (F::ReciprocalSqrt, Ps),
        M::Rsqrtss => (F::ReciprocalSqrt, Ss),
        M::Cmpps => (F::Compare, Ps),
        M::Cmppd => (F::Compare, Pd),
        M::Cmpss => (F::Compare, Ss),
        M::Cmpsd => (F::Compare, Sd),
        _ => return None,
    })
}

/// SSE2's integer operations (and MMX's), logic and shuffles.
fn integer_op(mnemonic: Mnemonic) -> Option<VectorOp> {
    use Mnemonic as M;
    use VectorOp as V;
    Some(match mnemonic {
        M::Andps | M::Andpd | M::Pand => V::And,
        M::Andnps | M::Andnpd | M::Pandn => V::AndNot,
        M::Orps | M::Orpd | M::Por => V::Or,
        M::Xorps | M::Xorpd | M::Pxor => V::Xor,
        M::Paddb => V::Add(L8),
        M::Paddw => V::Add(L16),
        M::Paddd => V::Add(L32),
        M::Paddq => V::Add(L64),
        M::Psubb => V::Sub(L8),
        M::Psubw => V::Sub(L16),
        M::Psubd => V::Sub(L32),
        M::Psubq => V::Sub(L64),
        M::Paddsb => V::AddSatS(L8),
        M::Paddsw => V::AddSatS(L16),
        M::Paddusb => V::AddSatU(L8),
        M::Paddusw => V::AddSatU(L16),
        M::Psubsb => V::SubSatS(L8),
        M::Psubsw => V::SubSatS(L16),
        M::Psubusb => V::SubSatU(L8),
        M::Psubusw => V::SubSatU(L16),
        M::Pminub => V::MinU(L8),
        M::Pminsw => V::MinS(L16),
        M::Pmaxub => V::MaxU(L8),
        M::Pmaxsw => V::MaxS(L16),
        M::Pavgb => V::Average(L8),
        M::Pavgw => V::Average(L16),
        M::Pcmpeqb => V::CompareEq(L8),
        M::Pcmpeqw => V::CompareEq(L16),
        M::Pcmpeqd => V::CompareEq(L32),
        M::Pcmpgtb => V::CompareGtS(L8),
        M::Pcmpgtw => V::CompareGtS(L16),
        M::Pcmpgtd => V::CompareGtS(L32),
        M::Psllw => V::Shl(L16),
        M::Pslld => V::Shl(L32),
        M::Psllq => V::Shl(L64),
        M::Psrlw => V::Shr(L16),
        M::Psrld => V::Shr(L32),
        M::Psrlq => V::Shr(L64),
        M::Psraw => V::Sar(L16),
        M::Psrad => V::Sar(L32),
        M::Pmullw => V::MulLow16,
        M::Pmulhw => V::MulHighS16,
        M::Pmulhuw => V::MulHighU16,
        M::Pmuludq => V::MulEvenU32,
        M::Pmaddwd => V::MulAdd16,
        M::Psadbw => V::SumDiff8,
        M::Punpcklbw => V::UnpackLow(L8),
        M::Punpcklwd => V::UnpackLow(L16),
        M::Punpckldq | M::Unpcklps => V::UnpackLow(L32),
        M::Punpcklqdq | M::Unpcklpd => V::UnpackLow(L64),
        M::Punpckhbw => V::UnpackHigh(L8),
        M::Punpckhwd => V::UnpackHigh(L16),
        M::Punpckhdq | M::Unpckhps => V::UnpackHigh(L32),
        M::Punpckhqdq | M::Unpckhpd => V::UnpackHigh(L64),
        M::Packsswb => V::PackS(L16),
        M::Packssdw => V::PackS(L32),
        M::Packuswb => V::PackU(L16),
        M::Shufps => V::Shuffle32,
        M::Shufpd => V::Shuffle64,
        M::Pshufd => V::Permute32,
        M::Pshufhw => V::PermuteHigh16,
        M::Pshuflw | M::Pshufw => V::PermuteLow16,
        _ => return None,
    })
}

/// SSE3, SSSE3 and what SSE4.1 and 4.2 add in the same shape.
fn extended_op(mnemonic: Mnemonic) -> Option<VectorOp> {
    use Mnemonic as M;
    use VectorOp as V;
    Some(match mnemonic {
        M::Movddup => V::DupLow64,
        M::Movshdup => V::DupOdd32,
        M::Movsldup => V::DupEven32,
        M::Haddps => V::HorizontalAddFloat(Shape::Packed32),
        M::Haddpd => V::HorizontalAddFloat(Shape::Packed64),
        M::Hsubps => V::HorizontalSubFloat(Shape::Packed32),
        M::Hsubpd => V::HorizontalSubFloat(Shape::Packed64),
        M::Addsubps => V::AddSubFloat(Shape::Packed32),
        M::Addsubpd => V::AddSubFloat(Shape::Packed64),
        M::Pshufb => V::Permute8,
        M::Palignr => V::Align,
        M::Pabsb => V::Abs(L8),
        M::Pabsw => V::Abs(L16),
        M::Pabsd => V::Abs(L32),
        M::Psignb => V::Sign(L8),
        M::Psignw => V::Sign(L16),
        M::Psignd => V::Sign(L32),
        M::Phaddw => V::HorizontalAdd(L16),
        M::Phaddd => V::HorizontalAdd(L32),
        M::Phsubw => V::HorizontalSub(L16),
        M::Phsubd => V::HorizontalSub(L32),
        M::Phaddsw => V::HorizontalAddSat16,
        M::Phsubsw => V::HorizontalSubSat16,
        M::Pmaddubsw => V::MulAddU8S8,
        M::Pmulhrsw => V::MulHighRound16,
        M::Pminsb => V::MinS(L8),
        M::Pminsd => V::MinS(L32),
        M::Pminuw => V::MinU(L16),
        M::Pminud => V::MinU(L32),
        M::Pmaxsb => V::MaxS(L8),
        M::Pmaxsd => V::MaxS(L32),
        M::Pmaxuw => V::MaxU(L16),
        M::Pmaxud => V::MaxU(L32),
        M::Pmulld => V::MulLow32,
        M::Pmuldq => V::MulEvenS32,
        M::Pcmpeqq => V::CompareEq(L64),
        M::Pcmpgtq => V::CompareGtS(L64),
        M::Packusdw => V::PackU(L32),
        M::Pblendw => V::Blend(L16),
        M::Blendps => V::Blend(L32),
        M::Blendpd => V::Blend(L64),
        M::Roundps => V::Float(FloatOp::Round, Shape::Packed32),
        M::Roundpd => V::Float(FloatOp::Round, Shape::Packed64),
        M::Roundss => V::Float(FloatOp::Round, Shape::Scalar32),
        M::Roundsd => V::Float(FloatOp::Round, Shape::Scalar64),
        _ => return None,
    })
}

fn conversion(mnemonic: Mnemonic) -> Option<Conversion> {
    use Conversion as C;
    use Mnemonic as M;
    Some(match mnemonic {
        M::Cvtdq2ps => C::I32x4ToF32x4,
        M::Cvtdq2pd | M::Cvtpi2pd => C::I32x2ToF64x2,
        M::Cvtps2dq => C::F32x4ToI32x4,
        M::Cvttps2dq => C::F32x4ToI32x4Truncated,
        M::Cvtpd2dq | M::Cvtpd2pi => C::F64x2ToI32x2,
        M::Cvttpd2dq | M::Cvttpd2pi => C::F64x2ToI32x2Truncated,
        M::Cvtps2pd => C::F32x2ToF64x2,
        M::Cvtpd2ps => C::F64x2ToF32x2,
        M::Cvtss2sd => C::MergeF32ToF64,
        M::Cvtsd2ss => C::MergeF64ToF32,
        M::Cvtsi2ss => C::MergeI32ToF32,
        M::Cvtsi2sd => C::MergeI32ToF64,
        M::Cvtss2si => C::F32ToI32,
        M::Cvttss2si => C::F32ToI32Truncated,
        M::Cvtsd2si => C::F64ToI32,
        M::Cvttsd2si => C::F64ToI32Truncated,
        M::Cvtpi2ps => C::MergeI32x2ToF32x2,
        M::Cvtps2pi => C::F32x2ToI32x2,
        M::Cvttps2pi => C::F32x2ToI32x2Truncated,
        _ => return None,
    })
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
