//! Shifts and rotates.

use iced_x86::OpKind;

use super::arith::{Forms, OR, SHL, SHR, form};
use super::{Lifted, Lifter, RCX, Unknown};
use crate::flags::{FlagKind, FlagOp, Width};
use crate::helper::{Helper, LEFT};
use crate::ir::{Binary, Op, Slot, WithImm, slot};

impl Lifter<'_> {
    pub(super) fn shift(&mut self, forms: Forms<Binary>, flag: FlagOp) -> Lifted {
        let width = self.width(0);
        let value = match flag {
            FlagOp::Shl => self.read(0)?,
            FlagOp::Shr if width == Width::W8 || width == Width::W16 => self.read_zero_extended(0)?,
            FlagOp::Sar if width == Width::W8 || width == Width::W16 => self.read_sign_extended(0)?,
            _ => self.read(0)?,
        };
        let mask = if width == Width::W64 { 63 } else { 31 };
        let kind = FlagKind::new(flag, width);
        if self.inst.op1_kind() == OpKind::Register {
            let count = self.with_imm(Op::AndImm32, RCX, mask);
            let result = self.binary(form(forms, width), value, count);
            let before = self.unary(Op::Move, value);
            self.write(0, result)?;
            self.emit(Op::SetShiftFlags { kind, a: before, b: count });
            self.known = None;
            return Ok(());
        }
        let count = self.inst.try_immediate(1).map_err(|_| Unknown)? as i32 & mask;
        let amount = self.constant(count as u64);
        let before = self.unary(Op::Move, value);
        let op = match flag {
            FlagOp::Shl => form((Op::ShlImm32, Op::ShlImm64), width),
            FlagOp::Shr => form((Op::ShrImm32, Op::ShrImm64), width),
            _ => form((Op::SarImm32, Op::SarImm64), width),
        };
        let result = match self.direct(0) {
            Some(dst) => {
                self.emit(op(WithImm { dst, a: value, imm: count }));
                dst
            }
            None => {
                let result = self.with_imm(op, value, count);
                self.write(0, result)?;
                result
            }
        };
        if count != 0 {
            self.set_flags(kind, before, amount, Some(result));
        }
        Ok(())
    }

    pub(super) fn rotate(&mut self, helper: Helper, direction: u32) -> Lifted {
        let width = self.width(0);
        let (value, count) = (self.read(0)?, self.read(1)?);
        let dst = self.scratch();
        self.emit(Op::Helper { helper, a: dst.0, b: value.0, c: count.0, imm: width as u32 | direction });
        let wide = width == Width::W64 || width == Width::W32;
        let result = if helper == Helper::Rotate && wide {
            // The helper is then needed for the flags alone, and goes with them.
            let left = if direction == LEFT { count } else { self.binary(Op::Sub32, slot::ZERO, count) };
            self.binary(form((Op::Rotl32, Op::Rotl64), width), value, left)
        } else {
            dst
        };
        self.write(0, result)?;
        self.take_new_flags();
        Ok(())
    }

    pub(super) fn double_shift(&mut self, direction: u32) -> Lifted {
        let width = self.width(0);
        let (value, filler, count) = (self.read(0)?, self.read(1)?, self.read(2)?);
        let dst = self.scratch();
        let imm = width as u32 | direction | u32::from(count.0) << 8;
        self.emit(Op::Helper { helper: Helper::DoubleShift, a: dst.0, b: value.0, c: filler.0, imm });
        // The helper is then needed for the flags alone, and goes with them.
        let narrow = width == Width::W16;
        let result = if narrow { dst } else { self.double_shifted(width, direction, value, filler, count) };
        self.write(0, result)?;
        self.take_new_flags();
        Ok(())
    }

    /// What SHLD and SHRD of 32 or 64 bits compute: the value shifted one way, the filler by the rest the other way.
    fn double_shifted(&mut self, width: Width, direction: u32, value: Slot, filler: Slot, count: Slot) -> Slot {
        let (toward, back) = if direction == LEFT { (SHL, SHR) } else { (SHR, SHL) };
        let shifted = self.binary(form(toward, width), value, count);
        // By one first, so that a count of 0 shifts everything out.
        let one = self.constant(1);
        let almost = self.binary(form(back, width), filler, one);
        let rest = self.unary(form((Op::Not32, Op::Not64), width), count);
        let filled = self.binary(form(back, width), almost, rest);
        self.binary(form(OR, width), shifted, filled)
    }
}
