//! Multiplication and division.

use iced_x86::Register;

use super::{Lifted, Lifter, RAX, RDX};
use crate::flags::{FlagKind, FlagOp, Width};
use crate::helper::Helper;
use crate::ir::{Compare, Op, Slot, Unary, slot};

impl Lifter<'_> {
    /// MUL and IMUL into RDX:RAX (AX for bytes).
    pub(super) fn multiply_wide(&mut self, signed: bool) -> Lifted {
        let width = self.width(0);
        let source = self.read(0)?;
        let (low, high) = if width == Width::W64 {
            let low = self.binary(Op::Mul64, RAX, source);
            let high = self.binary(if signed { Op::MulHighS64 } else { Op::MulHighU64 }, RAX, source);
            (low, high)
        } else {
            let (a, b) = if signed {
                (self.sign_extend(width, RAX), self.sign_extend(width, source))
            } else {
                (self.zero_extend(width, RAX), self.zero_extend(width, source))
            };
            let product = self.binary(Op::Mul64, a, b);
            let bits = width.bits() as i32;
            (product, self.with_imm(if signed { Op::SarImm64 } else { Op::ShrImm64 }, product, bits))
        };
        let overflow = self.product_overflow(width, low, high, signed);
        match width {
            Width::W8 => self.write_register(Register::AX, low)?,
            Width::W16 => {
                self.write_register(Register::AX, low)?;
                self.write_register(Register::DX, high)?;
            }
            Width::W32 => {
                self.write_register(Register::EAX, low)?;
                self.write_register(Register::EDX, high)?;
            }
            Width::W64 => {
                self.emit(Op::Move(Unary { dst: RAX, src: low }));
                self.emit(Op::Move(Unary { dst: RDX, src: high }));
            }
        }
        self.set_flags(FlagKind::new(FlagOp::Mul, width), low, overflow, None);
        Ok(())
    }

    /// Whether the high half is more than an extension of the low one.
    fn product_overflow(&mut self, width: Width, low: Slot, high: Slot, signed: bool) -> Slot {
        let expected = if signed {
            let low = self.sign_extend(width, low);
            self.with_imm(Op::SarImm64, low, 63)
        } else {
            slot::ZERO
        };
        let dst = self.scratch();
        self.emit(Op::Compare { compare: Compare::Ne64, dst, a: high, b: expected });
        dst
    }

    /// IMUL with two or three operands.
    pub(super) fn multiply(&mut self) -> Lifted {
        let width = self.width(0);
        let first = if self.inst.op_count() == 2 { 0 } else { 1 };
        let (a, b) = (self.read(first)?, self.read(first + 1)?);
        if width == Width::W64 {
            let high = self.binary(Op::MulHighS64, a, b);
            let low = self.binary(Op::Mul64, a, b);
            let overflow = self.product_overflow(width, low, high, true);
            self.write(0, low)?;
            self.set_flags(FlagKind::new(FlagOp::Mul, width), low, overflow, None);
            return Ok(());
        }
        let (a, b) = (self.sign_extend(width, a), self.sign_extend(width, b));
        let product = self.binary(Op::Mul64, a, b);
        let high = self.with_imm(Op::SarImm64, product, width.bits() as i32);
        let overflow = self.product_overflow(width, product, high, true);
        self.write(0, product)?;
        self.set_flags(FlagKind::new(FlagOp::Mul, width), product, overflow, None);
        Ok(())
    }

    pub(super) fn divide(&mut self, helper: Helper) -> Lifted {
        let width = self.width(0);
        let divisor = self.read(0)?;
        self.emit(Op::Helper { helper, a: divisor.0, b: 0, c: 0, imm: width as u32 });
        Ok(())
    }
}
