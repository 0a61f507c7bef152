//! Bits: tests, scans, counts, and what BMI1 and BMI2 do.

use iced_x86::{Mnemonic, OpKind};

use super::arith::{ADD, AND, Forms, OR, SAR, SHL, SHR, SUB, XOR, form};
use super::{Lifted, Lifter, RDX, Unknown};
use crate::flags::{Condition, FlagKind, FlagOp, Width};
use crate::helper::Helper;
use crate::ir::{Addr, Binary, Compare, Op, Slot, slot};
use crate::state::rflags;

impl Lifter<'_> {
    /// Lifts the instruction if it belongs here.
    pub(super) fn bits(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        Some(match self.mnemonic() {
            M::Bt => self.bit_test(None),
            M::Bts => self.bit_test(Some(OR)),
            M::Btr => self.bit_test(Some(AND)),
            M::Btc => self.bit_test(Some(XOR)),
            M::Bsf => self.bit_scan(false),
            M::Bsr => self.bit_scan(true),
            M::Tzcnt => self.count_zeros(false),
            M::Lzcnt => self.count_zeros(true),
            M::Popcnt => self.popcnt(),
            M::Crc32 => self.crc32(),

            M::Andn => self.and_not(),
            M::Blsi => self.lowest_bit(Lowest::Isolate),
            M::Blsmsk => self.lowest_bit(Lowest::MaskUpTo),
            M::Blsr => self.lowest_bit(Lowest::Reset),
            M::Bextr => self.extract_bits(),
            M::Bzhi => self.zero_high_bits(),
            M::Pdep => self.gather_bits(Helper::DepositBits),
            M::Pext => self.gather_bits(Helper::ExtractBits),
            M::Rorx => self.rotate_without_flags(),
            M::Sarx => self.shift_without_flags(SAR),
            M::Shlx => self.shift_without_flags(SHL),
            M::Shrx => self.shift_without_flags(SHR),
            M::Mulx => self.multiply_without_flags(),
            M::Adcx => self.add_one_carry(Condition::B, rflags::CF),
            M::Adox => self.add_one_carry(Condition::O, rflags::OF),
            _ => return None,
        })
    }

    // ---- tests, scans, counts ----

    /// BT, and BTS, BTR, BTC with what they do to the bit.
    fn bit_test(&mut self, change: Option<Forms<Binary>>) -> Lifted {
        let width = self.width(0);
        let index = self.read(1)?;
        if self.is_memory(0) && self.inst.op1_kind() == OpKind::Register {
            self.bit_string_address(width, index)?;
        }
        let value = self.read(0)?;
        let at = self.with_imm(Op::AndImm32, index, width.bits() as i32 - 1);
        let shifted = self.binary(Op::Shr64, value, at);
        let bit = self.with_imm(Op::AndImm32, shifted, 1);
        if let Some(forms) = change {
            let one = self.constant(1);
            let mut mask = self.binary(Op::Shl64, one, at);
            if self.mnemonic() == Mnemonic::Btr {
                mask = self.unary(Op::Not64, mask);
            }
            let result = self.binary(forms.1, value, mask);
            self.write(0, result)?;
        }
        self.set_carry(bit);
        Ok(())
    }

    /// With a register as index, the bit may lie anywhere before or after the operand.
    fn bit_string_address(&mut self, width: Width, index: Slot) -> Lifted {
        let addr = self.address()?;
        let index = self.sign_extend(width, index);
        let bytes = self.with_imm(Op::SarImm64, index, 3);
        let offset = self.with_imm(Op::AndImm64, bytes, -i32::from(width.bytes()));
        let base = self.flat(addr);
        let sum = Addr { base, index: offset, shift: 0, disp: 0 };
        self.addr = Some(match self.address_bytes() {
            2 => self.wrap16(sum),
            4 => self.wrap32(sum),
            _ => sum,
        });
        Ok(())
    }

    /// CF becomes bit 0 of a slot (whose other bits are 0), the other flags stay.
    pub(super) fn set_carry(&mut self, bit: Slot) {
        self.set_flag(rflags::CF, bit);
    }

    /// The same for any one flag.
    pub(super) fn set_flag(&mut self, flag: u64, bit: Slot) {
        let old = self.scratch();
        self.emit(Op::GetFlags { dst: old });
        let others = self.with_imm(Op::AndImm64, old, !(flag as i32));
        let place = flag.trailing_zeros() as i32;
        let new = if place == 0 { bit } else { self.with_imm(Op::ShlImm64, bit, place) };
        let flags = self.binary(Op::Or64, others, new);
        self.set_flags(FlagKind::BITS, flags, slot::ZERO, None);
    }

    fn bit_scan(&mut self, reverse: bool) -> Lifted {
        let width = self.width(0);
        let source = self.read_zero_extended(1)?;
        let source = self.unary(Op::Move, source);
        let found = if reverse {
            let zeros = self.unary(Op::Clz64, source);
            let last = self.constant(63);
            self.binary(Op::Sub64, last, zeros)
        } else {
            self.unary(Op::Ctz64, source)
        };
        // The destination stays whole when there is no bit to find.
        let old = self.gpr(self.inst.op0_register())?;
        let before = self.unary(Op::Move, old);
        self.write(0, found)?;
        let none = self.scratch();
        self.emit(Op::Compare { compare: Compare::Eq64, dst: none, a: source, b: slot::ZERO });
        self.emit(Op::MoveIf { dst: old, src: before, condition: none });
        self.set_flags(FlagKind::new(FlagOp::Logic, width), source, slot::ZERO, Some(source));
        Ok(())
    }

    fn count_zeros(&mut self, leading: bool) -> Lifted {
        let width = self.width(0);
        let source = self.read_zero_extended(1)?;
        let source = self.unary(Op::Move, source);
        let bits = width.bits() as i32;
        let result = if leading {
            let zeros = self.unary(Op::Clz64, source);
            self.with_imm(Op::AddImm64, zeros, bits - 64)
        } else if width == Width::W64 {
            self.unary(Op::Ctz64, source)
        } else {
            // A bit past the top bounds the count.
            let guard = self.constant(1 << bits);
            let guarded = self.binary(Op::Or64, source, guard);
            self.unary(Op::Ctz64, guarded)
        };
        self.write(0, result)?;
        let (zero, none) = (self.is_zero(result), self.is_zero(source));
        let zero = self.with_imm(Op::ShlImm32, zero, rflags::ZF.trailing_zeros() as i32);
        let flags = self.binary(Op::Or64, zero, none);
        self.set_flags(FlagKind::BITS, flags, slot::ZERO, None);
        Ok(())
    }

    fn is_zero(&mut self, value: Slot) -> Slot {
        let dst = self.scratch();
        self.emit(Op::Compare { compare: Compare::Eq64, dst, a: value, b: slot::ZERO });
        dst
    }

    fn popcnt(&mut self) -> Lifted {
        let source = self.read_zero_extended(1)?;
        let count = self.unary(Op::Popcnt64, source);
        self.write(0, count)?;
        let zero = self.is_zero(count);
        let flags = self.with_imm(Op::ShlImm32, zero, rflags::ZF.trailing_zeros() as i32);
        self.set_flags(FlagKind::BITS, flags, slot::ZERO, None);
        Ok(())
    }

    fn crc32(&mut self) -> Lifted {
        let (crc, data) = (self.read(0)?, self.read(1)?);
        let dst = self.scratch();
        let imm = self.width(1) as u32;
        self.emit(Op::Helper { helper: Helper::Crc32, a: dst.0, b: crc.0, c: data.0, imm });
        self.write_register(self.inst.op0_register().full_register(), dst)
    }

    // ---- BMI1, BMI2, ADX ----

    fn and_not(&mut self) -> Lifted {
        let width = self.width(0);
        let (not, value) = (self.read(1)?, self.read(2)?);
        let inverted = self.unary(form((Op::Not32, Op::Not64), width), not);
        let dst = self.write_binary(form(AND, width), inverted, value)?;
        self.set_flags(FlagKind::new(FlagOp::Logic, width), dst, slot::ZERO, Some(dst));
        Ok(())
    }

    /// Writes a result of 32 or 64 bits to the first operand, a register; returns its slot.
    fn write_binary(&mut self, op: fn(Binary) -> Op, a: Slot, b: Slot) -> Result<Slot, Unknown> {
        let dst = self.direct(0).ok_or(Unknown)?;
        self.emit(op(Binary { dst, a, b }));
        Ok(dst)
    }

    fn lowest_bit(&mut self, what: Lowest) -> Lifted {
        let width = self.width(0);
        let source = self.read(1)?;
        let carry = self.scratch();
        let compare = match (what == Lowest::Isolate, width) {
            (true, Width::W64) => Compare::Ne64,
            (true, _) => Compare::Ne32,
            (false, Width::W64) => Compare::Eq64,
            (false, _) => Compare::Eq32,
        };
        self.emit(Op::Compare { compare, dst: carry, a: source, b: slot::ZERO });
        let other = match what {
            Lowest::Isolate => self.binary(form(SUB, width), slot::ZERO, source),
            _ => self.with_imm(form((Op::AddImm32, Op::AddImm64), width), source, -1),
        };
        let forms = if what == Lowest::MaskUpTo { XOR } else { AND };
        let dst = self.write_binary(form(forms, width), source, other)?;
        self.set_flags(FlagKind::new(FlagOp::LogicCarry, width), dst, carry, Some(dst));
        Ok(())
    }

    /// BEXTR: as many bits as the control's second byte says, from where its first byte says.
    fn extract_bits(&mut self) -> Lifted {
        let width = self.width(0);
        let (source, control) = (self.read_zero_extended(1)?, self.read(2)?);
        let start = self.unary(Op::Zext8, control);
        let length = self.unary(Op::High8, control);
        let shifted = self.binary(Op::Shr64, source, start);
        // Counts beyond 63 shift everything out.
        let limit = self.constant(64);
        let within = self.scratch();
        self.emit(Op::Compare { compare: Compare::LtU64, dst: within, a: start, b: limit });
        let all = self.binary(Op::Sub64, slot::ZERO, within);
        let field = self.binary(Op::And64, shifted, all);
        let (keep, _) = self.low_bits(length, limit);
        let dst = self.write_binary(Op::And64, field, keep)?;
        self.set_flags(FlagKind::new(FlagOp::Logic, width), dst, slot::ZERO, Some(dst));
        Ok(())
    }

    /// A mask of the low `count` bits, of all if `count` is not below `limit`; and whether it is not.
    fn low_bits(&mut self, count: Slot, limit: Slot) -> (Slot, Slot) {
        let ones = self.constant(u64::MAX);
        let high = self.binary(Op::Shl64, ones, count);
        let keep = self.unary(Op::Not64, high);
        let beyond = self.scratch();
        self.emit(Op::Compare { compare: Compare::LeU64, dst: beyond, a: limit, b: count });
        self.emit(Op::MoveIf { dst: keep, src: ones, condition: beyond });
        (keep, beyond)
    }

    fn zero_high_bits(&mut self) -> Lifted {
        let width = self.width(0);
        let (source, control) = (self.read_zero_extended(1)?, self.read(2)?);
        let count = self.unary(Op::Zext8, control);
        let limit = self.constant(width.bits().into());
        let (keep, beyond) = self.low_bits(count, limit);
        let dst = self.write_binary(Op::And64, source, keep)?;
        self.set_flags(FlagKind::new(FlagOp::LogicCarry, width), dst, beyond, Some(dst));
        Ok(())
    }

    fn gather_bits(&mut self, helper: Helper) -> Lifted {
        let (source, mask) = (self.read_zero_extended(1)?, self.read_zero_extended(2)?);
        let dst = self.direct(0).ok_or(Unknown)?;
        self.emit(Op::Helper { helper, a: dst.0, b: source.0, c: mask.0, imm: 0 });
        Ok(())
    }

    fn rotate_without_flags(&mut self) -> Lifted {
        let width = self.width(0);
        let source = self.read(1)?;
        let left = u64::from(self.inst.immediate8()).wrapping_neg() & u64::from(width.bits() - 1);
        let count = self.constant(left);
        self.write_binary(form((Op::Rotl32, Op::Rotl64), width), source, count)?;
        Ok(())
    }

    fn shift_without_flags(&mut self, forms: Forms<Binary>) -> Lifted {
        let (source, count) = (self.read(1)?, self.read(2)?);
        self.write_binary(form(forms, self.width(0)), source, count)?;
        Ok(())
    }

    /// MULX: RDX times the source; the high half goes to the first operand, and is what stays if both are one register.
    fn multiply_without_flags(&mut self) -> Lifted {
        let (low, high) = if self.width(0) == Width::W64 {
            let source = self.read(2)?;
            (self.binary(Op::Mul64, RDX, source), self.binary(Op::MulHighU64, RDX, source))
        } else {
            let source = self.read_zero_extended(2)?;
            let factor = self.zero_extend(Width::W32, RDX);
            let product = self.binary(Op::Mul64, factor, source);
            (product, self.with_imm(Op::ShrImm64, product, 32))
        };
        self.write(1, low)?;
        self.write(0, high)
    }

    /// ADCX, ADOX: addition with a carry that comes from one flag and goes there; the other flags stay.
    fn add_one_carry(&mut self, condition: Condition, flag: u64) -> Lifted {
        let width = self.width(0);
        let (a, b) = (self.read(0)?, self.read(1)?);
        let carry = self.scratch();
        self.emit(Op::Condition { dst: carry, condition });
        let below = if width == Width::W64 { Compare::LtU64 } else { Compare::LtU32 };
        let (first, second) = (self.scratch(), self.scratch());
        let sum = self.binary(form(ADD, width), a, b);
        self.emit(Op::Compare { compare: below, dst: first, a: sum, b: a });
        let total = self.binary(form(ADD, width), sum, carry);
        self.emit(Op::Compare { compare: below, dst: second, a: total, b: sum });
        let out = self.binary(Op::Or32, first, second);
        self.write(0, total)?;
        self.set_flag(flag, out);
        Ok(())
    }
}

/// BLSI, BLSMSK, BLSR.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lowest {
    Isolate,
    MaskUpTo,
    Reset,
}
