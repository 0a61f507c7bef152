//! Integer arithmetic and logic, shifts, multiplication and division, data movement.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, Unknown};
use crate::flags::{Condition, FlagKind, FlagOp, Width};
use crate::helper::{Helper, LEFT};
use crate::ir::{Addr, Binary, Compare, Mem, Op, Slot, Unary, WithImm, slot};
use crate::state::reg;

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

const RAX: Slot = Slot(reg::RAX as u8);
const RCX: Slot = Slot(reg::RCX as u8);
pub(super) const RDX: Slot = Slot(reg::RDX as u8);

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

    // ---- moves ----

    fn mov(&mut self) -> Lifted {
        if self.inst.op0_kind() == OpKind::Register
            && let Some(dst) = self.direct(0)
        {
            return self.mov_direct(dst);
        }
        let value = self.read(1)?;
        self.write(0, value)
    }

    /// Into a 32- or 64-bit register without scratch between.
    fn mov_direct(&mut self, dst: Slot) -> Lifted {
        let width = self.width(0);
        match self.inst.op1_kind() {
            OpKind::Register => {
                let src = self.read(1)?;
                let operands = Unary { dst, src };
                self.emit(if width == Width::W64 { Op::Move(operands) } else { Op::Zext32(operands) });
            }
            OpKind::Memory => {
                let addr = self.address()?;
                self.load_to(dst, width, addr);
            }
            _ => {
                let value = self.inst.try_immediate(1).map_err(|_| Unknown)?;
                self.set_constant(dst, value & width.mask());
            }
        }
        Ok(())
    }

    fn movzx(&mut self) -> Lifted {
        let value = self.read_zero_extended(1)?;
        self.write(0, value)
    }

    fn movsx(&mut self) -> Lifted {
        let (from, to) = (self.width(1), self.width(0));
        let value = self.read(1)?;
        let op = match (from, to) {
            (Width::W8, Width::W64) => Op::Sext8To64,
            (Width::W16, Width::W64) => Op::Sext16To64,
            (Width::W32, Width::W64) => Op::Sext32To64,
            (Width::W8, _) => Op::Sext8To32,
            (Width::W16, _) => Op::Sext16To32,
            _ => Op::Zext32,
        };
        self.write_unary(0, op, value)
    }

    fn swap_bytes(&mut self, width: Width, value: Slot) -> Slot {
        match width {
            Width::W64 => self.unary(Op::Swap64, value),
            Width::W32 => self.unary(Op::Swap32, value),
            _ => {
                let swapped = self.unary(Op::Swap32, value);
                self.with_imm(Op::ShrImm32, swapped, 16)
            }
        }
    }

    fn movbe(&mut self) -> Lifted {
        let value = self.read(1)?;
        let swapped = self.swap_bytes(self.width(0), value);
        self.write(0, swapped)
    }

    fn bswap(&mut self) -> Lifted {
        let width = self.width(0);
        if width == Width::W16 {
            // Undefined; processors clear the register's low half.
            return self.write(0, slot::ZERO);
        }
        let value = self.read(0)?;
        let op = if width == Width::W64 { Op::Swap64 } else { Op::Swap32 };
        self.write_unary(0, op, value)
    }

    fn lea(&mut self) -> Lifted {
        let width = self.width(0);
        let addr = self.offset()?;
        if let Some(value) = self.direct(0) {
            let mem = Mem { value, addr };
            self.emit(if width == Width::W64 { Op::Lea(mem) } else { Op::Lea32(mem) });
            return Ok(());
        }
        let value = self.scratch();
        self.emit(Op::Lea32(Mem { value, addr }));
        self.write(0, value)
    }

    fn xchg(&mut self) -> Lifted {
        let (left, right) = (self.read(0)?, self.read(1)?);
        // Registers are read in place: take the first value out of the way.
        let left = if self.is_memory(0) { left } else { self.unary(Op::Move, left) };
        let right = if self.is_memory(1) { right } else { self.unary(Op::Move, right) };
        // Memory first: it may fault.
        if self.is_memory(1) {
            self.write(1, left)?;
            return self.write(0, right);
        }
        self.write(0, right)?;
        self.write(1, left)
    }

    fn widen_accumulator(&mut self) -> Lifted {
        let (op, register): (fn(Unary) -> Op, _) = match self.mnemonic() {
            Mnemonic::Cbw => (Op::Sext8To32, Register::AX),
            Mnemonic::Cwde => (Op::Sext16To32, Register::EAX),
            _ => (Op::Sext32To64, Register::RAX),
        };
        let value = self.unary(op, RAX);
        self.write_register(register, value)
    }

    fn sign_to_rdx(&mut self) -> Lifted {
        let (width, register) = match self.mnemonic() {
            Mnemonic::Cwd => (Width::W16, Register::DX),
            Mnemonic::Cdq => (Width::W32, Register::EDX),
            _ => (Width::W64, Register::RDX),
        };
        let value = self.sign_extend(width, RAX);
        let sign = self.with_imm(Op::SarImm64, value, 63);
        self.write_register(register, sign)
    }

    // ---- addition, subtraction, logic ----

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

    // ---- shifts and rotates ----

    fn shift(&mut self, forms: Forms<Binary>, flag: FlagOp) -> Lifted {
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

    fn rotate(&mut self, helper: Helper, direction: u32) -> Lifted {
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

    fn double_shift(&mut self, direction: u32) -> Lifted {
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

    // ---- multiplication and division ----

    /// MUL and IMUL into RDX:RAX (AX for bytes).
    fn multiply_wide(&mut self, signed: bool) -> Lifted {
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
    fn multiply(&mut self) -> Lifted {
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

    fn divide(&mut self, helper: Helper) -> Lifted {
        let width = self.width(0);
        let divisor = self.read(0)?;
        self.emit(Op::Helper { helper, a: divisor.0, b: 0, c: 0, imm: width as u32 });
        Ok(())
    }
}
