//! Integer arithmetic and logic.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, RAX};
use crate::flags::{Condition, FlagKind, FlagOp, Width};
use crate::helper::{Helper, LEFT};
use crate::ir::{Addr, Binary, Compare, Mem, Op, Slot, WithImm, slot};

/// An operation's 32- and 64-bit forms.
pub(super) type Forms<T> = (fn(T) -> Op, fn(T) -> Op);

pub(super) const ADD: Forms<Binary> = (Op::Add32, Op::Add64);
pub(super) const SUB: Forms<Binary> = (Op::Sub32, Op::Sub64);
pub(super) const AND: Forms<Binary> = (Op::And32, Op::And64);
pub(super) const OR: Forms<Binary> = (Op::Or32, Op::Or64);
pub(super) const XOR: Forms<Binary> = (Op::Xor32, Op::Xor64);
pub(super) const SHL: Forms<Binary> = (Op::Shl32, Op::Shl64);
pub(super) const SHR: Forms<Binary> = (Op::Shr32, Op::Shr64);
pub(super) const SAR: Forms<Binary> = (Op::Sar32, Op::Sar64);

/// The form for a width; 8- and 16-bit values are computed in 32.
pub(super) fn form<T>(forms: Forms<T>, width: Width) -> fn(T) -> Op {
    if width == Width::W64 { forms.1 } else { forms.0 }
}

impl Lifter<'_> {
    /// Lifts the instruction if it belongs here.
    pub(super) fn arith(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        Some(match self.mnemonic() {
            M::Mov => self.mov(),
            M::Movnti => self.mov(),
            M::Movzx => self.movzx(),
            M::Movsx | M::Movsxd => self.movsx(),
            M::Movbe => self.movbe(),
            M::Lea => self.lea(),
            M::Xchg => self.xchg(),
            M::Bswap => self.bswap(),
            M::Cbw | M::Cwde | M::Cdqe => self.widen_accumulator(),
            M::Cwd | M::Cdq | M::Cqo => self.sign_to_rdx(),

            M::Add => self.add_sub(ADD, FlagOp::Add),
            M::Sub => self.add_sub(SUB, FlagOp::Sub),
            M::Cmp => self.cmp(),
            M::And => self.logic(AND),
            M::Or => self.logic(OR),
            M::Xor => self.logic(XOR),
            M::Test => self.test(),
            M::Adc => self.with_carry(Helper::AddCarry),
            M::Sbb => self.with_carry(Helper::SubBorrow),
            M::Inc => self.step(1, FlagOp::Inc),
            M::Dec => self.step(-1, FlagOp::Dec),
            M::Neg => self.neg(),
            M::Not => self.not(),
            M::Xadd => self.xadd(),
            M::Cmpxchg => self.cmpxchg(),
            M::Cmpxchg8b => self.cmpxchg_wide(8),
            M::Cmpxchg16b => self.cmpxchg_wide(16),

            M::Shl | M::Sal => self.shift(SHL, FlagOp::Shl),
            M::Shr => self.shift(SHR, FlagOp::Shr),
            M::Sar => self.shift(SAR, FlagOp::Sar),
            M::Rol => self.rotate(Helper::Rotate, LEFT),
            M::Ror => self.rotate(Helper::Rotate, 0),
            M::Rcl => self.rotate(Helper::RotateCarry, LEFT),
            M::Rcr => self.rotate(Helper::RotateCarry, 0),
            M::Shld => self.double_shift(LEFT),
            M::Shrd => self.double_shift(0),

            M::Mul => self.multiply_wide(false),
            M::Imul if self.inst.op_count() == 1 => self.multiply_wide(true),
            M::Imul => self.multiply(),
            M::Div => self.divide(Helper::DivideU),
            M::Idiv => self.divide(Helper::DivideS),
            _ => return None,
        })
    }

    fn add_sub(&mut self, forms: Forms<Binary>, flag: FlagOp) -> Lifted {
        let width = self.width(0);
        let (a, b) = (self.read(0)?, self.read(1)?);
        let kind = FlagKind::new(flag, width);
        if let Some(dst) = self.direct(0) {
            // The flags go first, while `a` is still there.
            self.set_flags(kind, a, b, None);
            self.emit(self.add_sub_op(forms, flag, width, dst, a, b));
            if let Some(known) = &mut self.known {
                known.result = Some(dst);
            }
            return Ok(());
        }
        let result = self.binary(form(forms, width), a, b);
        if self.is_memory(0) {
            self.write(0, result)?;
            self.set_flags(kind, a, b, Some(result));
            return Ok(());
        }
        self.set_flags(kind, a, b, Some(result));
        self.write(0, result)
    }

    /// With a constant folded in where the second operand is one.
    fn add_sub_op(&self, forms: Forms<Binary>, flag: FlagOp, width: Width, dst: Slot, a: Slot, b: Slot) -> Op {
        let constant = match self.inst.op1_kind() {
            OpKind::Register | OpKind::Memory => None,
            _ => self.inst.try_immediate(1).ok(),
        };
        let signed = constant.map(|value| if flag == FlagOp::Sub { value.wrapping_neg() } else { value });
        match signed.and_then(|value| i32::try_from(value as i64).ok()) {
            Some(imm) => form((Op::AddImm32, Op::AddImm64), width)(WithImm { dst, a, imm }),
            None => form(forms, width)(Binary { dst, a, b }),
        }
    }

    fn cmp(&mut self) -> Lifted {
        let (a, b) = (self.read(0)?, self.read(1)?);
        self.set_flags(FlagKind::new(FlagOp::Sub, self.width(0)), a, b, None);
        Ok(())
    }

    fn logic(&mut self, forms: Forms<Binary>) -> Lifted {
        let width = self.width(0);
        let kind = FlagKind::new(FlagOp::Logic, width);
        let same = self.inst.op1_kind() == OpKind::Register
            && self.inst.op0_kind() == OpKind::Register
            && self.inst.op0_register() == self.inst.op1_register();
        if let Some(dst) = self.direct(0).filter(|_| same && self.mnemonic() == Mnemonic::Xor) {
            self.emit(Op::Const { dst, value: 0 });
            self.set_flags(kind, slot::ZERO, slot::ZERO, Some(slot::ZERO));
            return Ok(());
        }
        let (a, b) = (self.read(0)?, self.read(1)?);
        if let Some(dst) = self.direct(0) {
            self.emit(form(forms, width)(Binary { dst, a, b }));
            self.set_flags(kind, dst, slot::ZERO, Some(dst));
            return Ok(());
        }
        let result = self.binary(form(forms, width), a, b);
        self.write(0, result)?;
        self.set_flags(kind, result, slot::ZERO, Some(result));
        Ok(())
    }

    fn test(&mut self) -> Lifted {
        let width = self.width(0);
        let (a, b) = (self.read(0)?, self.read(1)?);
        let result = if a == b { a } else { self.binary(form(AND, width), a, b) };
        self.set_flags(FlagKind::new(FlagOp::Logic, width), result, slot::ZERO, Some(result));
        Ok(())
    }

    fn with_carry(&mut self, helper: Helper) -> Lifted {
        let width = self.width(0);
        let (a, b) = (self.read(0)?, self.read(1)?);
        let dst = self.scratch();
        self.emit(Op::Helper { helper, a: dst.0, b: a.0, c: b.0, imm: width as u32 });
        self.write(0, dst)?;
        self.take_new_flags();
        Ok(())
    }

    /// INC and DEC: the carry flag stays.
    fn step(&mut self, by: i32, flag: FlagOp) -> Lifted {
        let width = self.width(0);
        let a = self.read(0)?;
        let carry = self.scratch();
        self.emit(Op::Condition { dst: carry, condition: Condition::B });
        let add = form((Op::AddImm32, Op::AddImm64), width);
        let result = match self.direct(0) {
            Some(dst) => {
                self.emit(add(WithImm { dst, a, imm: by }));
                dst
            }
            None => {
                let result = self.with_imm(add, a, by);
                self.write(0, result)?;
                result
            }
        };
        self.set_flags(FlagKind::new(flag, width), result, carry, Some(result));
        Ok(())
    }

    fn neg(&mut self) -> Lifted {
        let width = self.width(0);
        let a = self.read(0)?;
        let kind = FlagKind::new(FlagOp::Sub, width);
        if let Some(dst) = self.direct(0) {
            self.set_flags(kind, slot::ZERO, a, None);
            self.emit(form(SUB, width)(Binary { dst, a: slot::ZERO, b: a }));
            return Ok(());
        }
        let result = self.binary(form(SUB, width), slot::ZERO, a);
        // A copy: the register form overwrites `a`.
        let before = self.unary(Op::Move, a);
        self.write(0, result)?;
        self.set_flags(kind, slot::ZERO, before, Some(result));
        Ok(())
    }

    fn not(&mut self) -> Lifted {
        let value = self.read(0)?;
        self.write_unary(0, form((Op::Not32, Op::Not64), self.width(0)), value)
    }

    fn xadd(&mut self) -> Lifted {
        let width = self.width(0);
        let (old, addend) = (self.read(0)?, self.read(1)?);
        let old = self.unary(Op::Move, old);
        let addend = self.unary(Op::Move, addend);
        let sum = self.binary(form(ADD, width), old, addend);
        if self.is_memory(0) {
            self.write(0, sum)?;
            self.write(1, old)?;
        } else {
            self.write(1, old)?;
            self.write(0, sum)?;
        }
        self.set_flags(FlagKind::new(FlagOp::Add, width), old, addend, Some(sum));
        Ok(())
    }

    fn cmpxchg(&mut self) -> Lifted {
        let width = self.width(0);
        let (old, new) = (self.read(0)?, self.read(1)?);
        let old = self.zero_extend_copy(width, old);
        let expected = self.zero_extend_copy(width, RAX);
        let equal = self.scratch();
        self.emit(Op::Compare { compare: Compare::Eq64, dst: equal, a: old, b: expected });
        match self.direct(0) {
            // A register is written only if they are equal.
            Some(dst) => {
                let new = self.zero_extend_copy(width, new);
                self.emit(Op::MoveIf { dst, src: new, condition: equal });
            }
            // Memory is written in either case.
            None => {
                let value = self.unary(Op::Move, old);
                self.emit(Op::MoveIf { dst: value, src: new, condition: equal });
                self.write(0, value)?;
            }
        }
        let accumulator = match width {
            Width::W8 => Register::AL,
            Width::W16 => Register::AX,
            Width::W32 => Register::EAX,
            Width::W64 => Register::RAX,
        };
        // RAX stays whole when they are equal.
        let before = self.unary(Op::Move, RAX);
        self.write_register(accumulator, old)?;
        self.emit(Op::MoveIf { dst: RAX, src: before, condition: equal });
        self.set_flags(FlagKind::new(FlagOp::Sub, width), expected, old, None);
        Ok(())
    }

    fn zero_extend_copy(&mut self, width: Width, value: Slot) -> Slot {
        if width == Width::W64 { self.unary(Op::Move, value) } else { self.zero_extend(width, value) }
    }

    fn cmpxchg_wide(&mut self, bytes: u32) -> Lifted {
        let addr = self.address()?;
        let at = self.flat(addr);
        self.emit(Op::Helper { helper: Helper::CompareExchangeWide, a: at.0, b: 0, c: 0, imm: bytes });
        self.take_new_flags();
        Ok(())
    }

    /// An address in a slot.
    pub(super) fn flat(&mut self, addr: Addr) -> Slot {
        let value = self.scratch();
        self.emit(Op::Lea(Mem { value, addr }));
        value
    }
}
