//! What has operands of its own: general registers, flags, control state.

use iced_x86::Mnemonic;

use super::super::{Lifted, Lifter, Unit};
use crate::flags::{FlagKind, FlagOp, Width};
use crate::helper::vector::Strings;
use crate::helper::{COMPACT, Helper, SIGNALING, SINGLE, WIDE};
use crate::ir::Lane::{L8, L16, L32, L64};
use crate::ir::{Lane, Op, Slot, VSlot, VectorOp, slot};

/// What some instructions use without naming it.
const XMM0: VSlot = VSlot(0);

impl Lifter<'_> {
    pub(super) fn vector_special(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        Some(match self.mnemonic() {
            M::Comiss => self.compare_float(|dst, src| Op::VToSlot32 { dst, src }, SINGLE | SIGNALING),
            M::Ucomiss => self.compare_float(|dst, src| Op::VToSlot32 { dst, src }, SINGLE),
            M::Comisd => self.compare_float(|dst, src| Op::VToSlot64 { dst, src }, SIGNALING),
            M::Ucomisd => self.compare_float(|dst, src| Op::VToSlot64 { dst, src }, 0),
            M::Ptest => self.test_vector(),
            M::Pmovmskb => self.move_mask(L8),
            M::Movmskps => self.move_mask(L32),
            M::Movmskpd => self.move_mask(L64),
            M::Pextrb => self.extract(L8),
            M::Pextrw => self.extract(L16),
            M::Pextrd | M::Extractps => self.extract(L32),
            M::Pextrq => self.extract(L64),
            M::Pinsrw => self.insert(L16),
            M::Pinsrb => self.insert(L8),
            M::Pinsrd => self.insert(L32),
            M::Pinsrq => self.insert(L64),
            M::Pblendvb => self.blend_by_sign(L8),
            M::Blendvps => self.blend_by_sign(L32),
            M::Blendvpd => self.blend_by_sign(L64),
            M::Pcmpestri | M::Pcmpestri64 => self.compare_strings(false, true),
            M::Pcmpestrm | M::Pcmpestrm64 => self.compare_strings(true, true),
            M::Pcmpistri => self.compare_strings(false, false),
            M::Pcmpistrm => self.compare_strings(true, false),
            M::Sha256rnds2 => self.sha256_rounds(),
            M::Maskmovdqu | M::Maskmovq => self.masked_store(),
            M::Pslldq => self.shift_bytes(VectorOp::ShlBytes),
            M::Psrldq => self.shift_bytes(VectorOp::ShrBytes),
            M::Ldmxcsr => self.load_mxcsr(),
            M::Stmxcsr => self.store_mxcsr(),
            M::Fxsave => self.state_image(Helper::FxSave, 0),
            M::Fxsave64 => self.state_image(Helper::FxSave, WIDE),
            M::Fxrstor => self.state_image(Helper::FxRestore, 0),
            M::Fxrstor64 => self.state_image(Helper::FxRestore, WIDE),
            // Everything is always in use and may have changed, so XSAVEOPT has nothing to leave out.
            M::Xsave | M::Xsaveopt => self.state_image(Helper::XSave, 0),
            M::Xsave64 | M::Xsaveopt64 => self.state_image(Helper::XSave, WIDE),
            M::Xsavec => self.state_image(Helper::XSave, COMPACT),
            M::Xsavec64 => self.state_image(Helper::XSave, COMPACT | WIDE),
            M::Xrstor => self.state_image(Helper::XRestore, 0),
            M::Xrstor64 => self.state_image(Helper::XRestore, WIDE),
            M::Xgetbv => self.helper(Helper::ReadControl, 0),
            _ => return None,
        })
    }

    fn compare_float(&mut self, low: fn(Slot, VSlot) -> Op, imm: u32) -> Lifted {
        let b = self.read_vector(1, true)?;
        let a = self.xmm(self.inst.op0_register())?;
        let (low_a, low_b) = (self.scratch(), self.scratch());
        self.emit(low(low_a, a));
        self.emit(low(low_b, b));
        self.emit(Op::Helper { helper: Helper::FloatOperands, a: low_a.0, b: low_b.0, c: 0, imm });
        let width = if imm & SINGLE != 0 { Width::W32 } else { Width::W64 };
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

    fn extract(&mut self, lane: Lane) -> Lifted {
        let imm = self.inst.immediate8() & if self.inst.op1_register().is_mm() { 3 } else { 15 };
        let src = self.read_vector(1, true)?;
        self.vector_to_general(VectorOp::Extract(lane), src, imm)
    }

    /// PBLENDVB, BLENDVPS, BLENDVPD: lanes of the source where XMM0's have their top bit set.
    fn blend_by_sign(&mut self, lane: Lane) -> Lifted {
        let b = self.read_vector(1, true)?;
        let dst = self.xmm(self.inst.op0_register())?;
        let mask = self.vector(VectorOp::SignMask(lane), XMM0, XMM0, 0);
        let kept = self.vector(VectorOp::AndNot, mask, dst, 0);
        let taken = self.vector(VectorOp::And, mask, b, 0);
        self.emit(Op::Vector { op: VectorOp::Or, dst, a: kept, b: taken, imm: 0 });
        Ok(())
    }

    fn compare_strings(&mut self, to_mask: bool, explicit: bool) -> Lifted {
        let b = self.read_vector(1, false)?;
        let a = self.xmm(self.inst.op0_register())?;
        let wide = matches!(self.mnemonic(), Mnemonic::Pcmpestri64 | Mnemonic::Pcmpestrm64);
        let spec = Strings { control: self.inst.immediate8(), to_mask, explicit, wide };
        self.emit(Op::Helper { helper: Helper::CompareStrings, a: a.0, b: b.0, c: 0, imm: spec.encode() });
        self.take_new_flags();
        Ok(())
    }

    fn sha256_rounds(&mut self) -> Lifted {
        let other = self.read_vector(1, true)?;
        let state = self.xmm(self.inst.op0_register())?;
        self.emit(Op::Helper { helper: Helper::Sha256Rounds, a: state.0, b: other.0, c: XMM0.0, imm: 0 });
        Ok(())
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
        self.note_look(Unit::Sse);
        self.emit(Op::Helper { helper: Helper::ReadMxcsr, a: value.0, b: 0, c: 0, imm: 0 });
        self.write(0, value)
    }

    fn state_image(&mut self, helper: Helper, imm: u32) -> Lifted {
        let addr = self.address()?;
        let at = self.flat(addr);
        self.emit(Op::Helper { helper, a: at.0, b: slot::ZERO.0, c: 0, imm });
        Ok(())
    }
}
