//! Integer operations.

use cpu::flags::Width;
use cpu::helper::Helper;
use cpu::ir::{Binary, Compare, Op, Slot, Unary, VSlot, WithImm, slot};
use cpu::reg;
use wasm_encoder::ValType;

use super::{Emitter, Sink, one};

const RAX: Slot = Slot(reg::RAX as u8);
const RDX: Slot = Slot(reg::RDX as u8);

impl Emitter<'_> {
    fn bin32(&mut self, o: Binary, op: Sink) {
        self.get32(o.a);
        self.get32(o.b);
        op(&mut self.s());
        self.set32(o.dst);
    }

    fn bin64(&mut self, o: Binary, op: Sink) {
        self.get(o.a);
        self.get(o.b);
        op(&mut self.s());
        self.set(o.dst);
    }

    fn imm32(&mut self, o: WithImm, op: Sink) {
        self.get32(o.a);
        self.s().i32_const(o.imm);
        op(&mut self.s());
        self.set32(o.dst);
    }

    fn imm64(&mut self, o: WithImm, op: Sink) {
        self.get(o.a);
        self.s().i64_const(o.imm.into());
        op(&mut self.s());
        self.set(o.dst);
    }

    fn unary32(&mut self, o: Unary, op: Sink) {
        self.get32(o.src);
        op(&mut self.s());
        self.set32(o.dst);
    }

    fn unary64(&mut self, o: Unary, op: Sink) {
        self.get(o.src);
        op(&mut self.s());
        self.set(o.dst);
    }

    fn compare32(&mut self, a: Slot, b: Slot, op: Sink) {
        self.get32(a);
        self.get32(b);
        op(&mut self.s());
    }

    fn compare64(&mut self, a: Slot, b: Slot, op: Sink) {
        self.get(a);
        self.get(b);
        op(&mut self.s());
    }

    /// Emits an operation that is not an exit.
    pub(super) fn operation(&mut self, index: usize, op: &Op) {
        match *op {
            Op::Load8(m) => self.load(index, m, 1),
            Op::Load16(m) => self.load(index, m, 2),
            Op::Load32(m) => self.load(index, m, 4),
            Op::Load64(m) => self.load(index, m, 8),
            Op::Store8(m) => self.store(index, m, 1),
            Op::Store16(m) => self.store(index, m, 2),
            Op::Store32(m) => self.store(index, m, 4),
            Op::Store64(m) => self.store(index, m, 8),
            Op::VLoad32(m) => self.vector_load(index, m, 4, false),
            Op::VLoad64(m) => self.vector_load(index, m, 8, false),
            Op::VLoad128(m) => self.vector_load(index, m, 16, false),
            Op::VLoad128Aligned(m) => self.vector_load(index, m, 16, true),
            Op::VStore32(m) => self.vector_store(index, m, 4, false),
            Op::VStore64(m) => self.vector_store(index, m, 8, false),
            Op::VStore128(m) => self.vector_store(index, m, 16, false),
            Op::VStore128Aligned(m) => self.vector_store(index, m, 16, true),
            Op::SetFlags { kind, a, b } => self.set_flags(kind, a, b),
            Op::SetShiftFlags { kind, a, b } => self.set_shift_flags(kind, a, b),
            Op::GetFlags { dst } => {
                self.status();
                self.set32(dst);
            }
            Op::Condition { dst, condition } => {
                self.condition(condition);
                self.set_bool(dst);
            }
            Op::Compare { compare, dst, a, b } => {
                self.compared(compare, a, b);
                self.set_bool(dst);
            }
            _ if self.obeys_mxcsr(op) => self.exact(op),
            Op::Helper { helper: Helper::FloatOperands, .. } => {}
            Op::Helper { helper: Helper::TestVector, a, b, .. } => self.test_vector(VSlot(a), VSlot(b)),
            Op::Helper { helper: helper @ (Helper::AddCarry | Helper::SubBorrow), a, b, c, imm } => {
                let (width, o) = (Width::from_bytes(1 << (imm & 3)), Binary { dst: Slot(a), a: Slot(b), b: Slot(c) });
                let subtract = helper == Helper::SubBorrow;
                if self.new_flags_read(index) {
                    self.with_carry_and_flags(width, o, subtract);
                } else {
                    self.with_carry(width == Width::W64, o, subtract);
                }
            }
            Op::Helper { helper: Helper::X87, a, imm, .. } => self.x87(index, op, Slot(a), imm),
            Op::Helper { helper, a, imm, .. } => self.helper(op, helper, a, imm),
            _ => {
                if !self.moves(op) && !self.arithmetic(op) && !self.shifts(op) && !self.vector(op) {
                    self.perform(op);
                }
            }
        }
    }

    /// Moves, extensions and insertions.
    fn moves(&mut self, op: &Op) -> bool {
        match *op {
            Op::Const { dst, value } => {
                self.s().i64_const(value.into());
                if value >= 0 { self.set_narrow(dst) } else { self.set(dst) }
            }
            Op::Const64 { dst, low, high } => {
                self.s().i64_const((u64::from(low) | u64::from(high) << 32) as i64);
                self.set(dst);
            }
            Op::Move(o) => {
                let (narrow, bool) = (self.facts.is_narrow >> o.src.0 & 1, self.facts.is_bool >> o.src.0 & 1);
                self.get(o.src);
                self.set(o.dst);
                self.facts.is_narrow |= narrow << o.dst.0;
                self.facts.is_bool |= bool << o.dst.0;
            }
            Op::Zext8(o) => self.masked(o, 0xff),
            Op::Zext16(o) => self.masked(o, 0xffff),
            Op::Zext32(o) => {
                if self.facts.is_narrow >> o.src.0 & 1 != 0 {
                    self.get(o.src);
                    self.set_narrow(o.dst);
                } else {
                    self.get32(o.src);
                    self.set32(o.dst);
                }
            }
            Op::Sext8To32(o) => self.unary32(o, one!(i32_extend8_s)),
            Op::Sext16To32(o) => self.unary32(o, one!(i32_extend16_s)),
            Op::Sext8To64(o) => self.unary64(o, one!(i64_extend8_s)),
            Op::Sext16To64(o) => self.unary64(o, one!(i64_extend16_s)),
            Op::Sext32To64(o) => {
                self.get32(o.src);
                self.s().i64_extend_i32_s();
                self.set(o.dst);
            }
            Op::High8(o) => {
                self.get(o.src);
                self.s().i64_const(8).i64_shr_u().i64_const(0xff).i64_and();
                self.set_narrow(o.dst);
            }
            Op::Insert8(o) => self.insert(o, 0xff, 0),
            Op::InsertHigh8(o) => self.insert(o, 0xff, 8),
            Op::Insert16(o) => self.insert(o, 0xffff, 0),
            Op::MoveIf { dst, src, condition } => {
                let narrow = self.facts.is_narrow >> src.0 & self.facts.is_narrow >> dst.0 & 1;
                self.get(src);
                self.get(dst);
                if self.facts.is_bool >> condition.0 & 1 != 0 {
                    self.get32(condition);
                } else {
                    self.get(condition);
                    self.s().i64_const(0).i64_ne();
                }
                self.s().select();
                self.set(dst);
                self.facts.is_narrow |= narrow << dst.0;
            }
            _ => return false,
        }
        true
    }

    fn masked(&mut self, o: Unary, mask: i64) {
        self.get(o.src);
        self.s().i64_const(mask).i64_and();
        self.set_narrow(o.dst);
    }

    /// Replaces bits of the destination by the source's low ones.
    fn insert(&mut self, o: Unary, mask: i64, at: i64) {
        let narrow = self.facts.is_narrow >> o.dst.0 & 1;
        self.get(o.dst);
        self.s().i64_const(!(mask << at)).i64_and();
        self.get(o.src);
        self.s().i64_const(mask).i64_and();
        if at != 0 {
            self.s().i64_const(at).i64_shl();
        }
        self.s().i64_or();
        self.set(o.dst);
        self.facts.is_narrow |= narrow << o.dst.0;
    }

    fn arithmetic(&mut self, op: &Op) -> bool {
        match *op {
            Op::Add32(o) => self.bin32(o, one!(i32_add)),
            Op::Add64(o) => self.bin64(o, one!(i64_add)),
            Op::Sub32(o) => self.bin32(o, one!(i32_sub)),
            Op::Sub64(o) => self.bin64(o, one!(i64_sub)),
            Op::And32(o) => self.bin32(o, one!(i32_and)),
            Op::And64(o) => self.bin64(o, one!(i64_and)),
            Op::Or32(o) => self.bin32(o, one!(i32_or)),
            Op::Or64(o) => self.bin64(o, one!(i64_or)),
            Op::Xor32(o) => self.bin32(o, one!(i32_xor)),
            Op::Xor64(o) => self.bin64(o, one!(i64_xor)),
            Op::Mul32(o) => self.bin32(o, one!(i32_mul)),
            Op::Mul64(o) => self.bin64(o, one!(i64_mul)),
            Op::MulHighU64(o) => {
                self.multiply_high(o.a, o.b);
                self.set(o.dst);
            }
            Op::MulHighS64(o) => self.multiply_high_signed(o),
            Op::AddImm32(o) => self.imm32(o, one!(i32_add)),
            Op::AddImm64(o) => self.imm64(o, one!(i64_add)),
            Op::AndImm32(o) => self.imm32(o, one!(i32_and)),
            Op::AndImm64(o) => self.imm64(o, one!(i64_and)),
            Op::Not32(o) => {
                self.get32(o.src);
                self.s().i32_const(-1).i32_xor();
                self.set32(o.dst);
            }
            Op::Not64(o) => {
                self.get(o.src);
                self.s().i64_const(-1).i64_xor();
                self.set(o.dst);
            }
            Op::Lea(m) => {
                self.address(m.addr);
                self.set(m.value);
            }
            Op::Lea32(m) => {
                self.address(m.addr);
                self.s().i32_wrap_i64();
                self.set32(m.value);
            }
            _ => return false,
        }
        true
    }

    /// Shifts, rotates and counts. WebAssembly takes shift counts modulo the width, as the IR does.
    fn shifts(&mut self, op: &Op) -> bool {
        match *op {
            Op::Shl32(o) => self.bin32(o, one!(i32_shl)),
            Op::Shl64(o) => self.bin64(o, one!(i64_shl)),
            Op::Shr32(o) => self.bin32(o, one!(i32_shr_u)),
            Op::Shr64(o) => self.bin64(o, one!(i64_shr_u)),
            Op::Sar32(o) => self.bin32(o, one!(i32_shr_s)),
            Op::Sar64(o) => self.bin64(o, one!(i64_shr_s)),
            Op::Rotl32(o) => self.bin32(o, one!(i32_rotl)),
            Op::Rotl64(o) => self.bin64(o, one!(i64_rotl)),
            Op::ShlImm32(o) => self.imm32(o, one!(i32_shl)),
            Op::ShlImm64(o) => self.imm64(o, one!(i64_shl)),
            Op::ShrImm32(o) => self.imm32(o, one!(i32_shr_u)),
            Op::ShrImm64(o) => self.imm64(o, one!(i64_shr_u)),
            Op::SarImm32(o) => self.imm32(o, one!(i32_shr_s)),
            Op::SarImm64(o) => self.imm64(o, one!(i64_shr_s)),
            Op::Clz32(o) => self.unary32(o, one!(i32_clz)),
            Op::Clz64(o) => self.unary64(o, one!(i64_clz)),
            Op::Ctz32(o) => self.unary32(o, one!(i32_ctz)),
            Op::Ctz64(o) => self.unary64(o, one!(i64_ctz)),
            Op::Popcnt64(o) => self.unary64(o, one!(i64_popcnt)),
            Op::Swap32(o) => self.swap32(o),
            Op::Swap64(o) => self.swap64(o),
            _ => return false,
        }
        true
    }

    fn swap32(&mut self, o: Unary) {
        // Bytes 0 and 2 turned right, 1 and 3 left.
        self.get32(o.src);
        self.s().i32_const(0x00ff_00ff).i32_and().i32_const(8).i32_rotr();
        self.get32(o.src);
        self.s().i32_const(0xff00_ff00u32 as i32).i32_and().i32_const(8).i32_rotl().i32_or();
        self.set32(o.dst);
    }

    fn swap64(&mut self, o: Unary) {
        // Through a vector: one shuffle.
        let lanes = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8];
        let value = self.locals.take(ValType::V128);
        self.get(o.src);
        self.s().i64x2_splat().local_tee(value).local_get(value).i8x16_shuffle(lanes).i64x2_extract_lane(0);
        self.locals.give(ValType::V128, value);
        self.set(o.dst);
    }

    /// Pushes the high half of an unsigned product.
    fn multiply_high(&mut self, a: Slot, b: Slot) {
        let low = 0xffff_ffffi64;
        let [a_low, a_high, b_low, b_high, middle] = std::array::from_fn(|_| self.locals.take(ValType::I64));
        for (slot, half_low, half_high) in [(a, a_low, a_high), (b, b_low, b_high)] {
            self.get(slot);
            self.s().i64_const(low).i64_and().local_set(half_low);
            self.get(slot);
            self.s().i64_const(32).i64_shr_u().local_set(half_high);
        }
        // middle = a_high * b_low + (a_low * b_low >> 32), which can't wrap.
        self.s().local_get(a_high).local_get(b_low).i64_mul();
        self.s().local_get(a_low).local_get(b_low).i64_mul().i64_const(32).i64_shr_u().i64_add().local_set(middle);
        // a_high * b_high + (middle >> 32) + ((a_low * b_high + low half of middle) >> 32)
        self.s().local_get(a_high).local_get(b_high).i64_mul();
        self.s().local_get(middle).i64_const(32).i64_shr_u().i64_add();
        self.s().local_get(a_low).local_get(b_high).i64_mul();
        self.s().local_get(middle).i64_const(low).i64_and().i64_add().i64_const(32).i64_shr_u().i64_add();
        for local in [a_low, a_high, b_low, b_high, middle] {
            self.locals.give(ValType::I64, local);
        }
    }

    fn multiply_high_signed(&mut self, o: Binary) {
        self.multiply_high(o.a, o.b);
        for (sign, other) in [(o.a, o.b), (o.b, o.a)] {
            self.get(sign);
            self.s().i64_const(63).i64_shr_s();
            self.get(other);
            self.s().i64_and().i64_sub();
        }
        self.set(o.dst);
    }

    /// Pushes 1 if a comparison holds, else 0, an i32.
    pub(super) fn compared(&mut self, compare: Compare, a: Slot, b: Slot) {
        match compare {
            Compare::Eq32 => self.compare32(a, b, one!(i32_eq)),
            Compare::Ne32 => self.compare32(a, b, one!(i32_ne)),
            Compare::LtU32 => self.compare32(a, b, one!(i32_lt_u)),
            Compare::LeU32 => self.compare32(a, b, one!(i32_le_u)),
            Compare::LtS32 => self.compare32(a, b, one!(i32_lt_s)),
            Compare::LeS32 => self.compare32(a, b, one!(i32_le_s)),
            Compare::Eq64 => self.compare64(a, b, one!(i64_eq)),
            Compare::Ne64 => self.compare64(a, b, one!(i64_ne)),
            Compare::LtU64 => self.compare64(a, b, one!(i64_lt_u)),
            Compare::LeU64 => self.compare64(a, b, one!(i64_le_u)),
            Compare::LtS64 => self.compare64(a, b, one!(i64_lt_s)),
            Compare::LeS64 => self.compare64(a, b, one!(i64_le_s)),
        }
    }

    // ---- helpers that are short where nothing unusual happens ----

    fn helper(&mut self, op: &Op, helper: Helper, a: u8, imm: u32) {
        let width = Width::from_bytes(1 << (imm & 3));
        match (helper, width) {
            (Helper::DivideU | Helper::DivideS, Width::W32) => self.divide32(Slot(a), helper == Helper::DivideS),
            (Helper::DivideU, Width::W64) => self.divide64(op, Slot(a), false),
            (Helper::DivideS, Width::W64) => self.divide64(op, Slot(a), true),
            // The other mode's code is no business of this region's.
            (Helper::FarTransfer, _) => {
                let rip = self.rip;
                self.leave(super::ExitPoint::Side { rip });
            }
            _ => self.perform(op),
        }
    }

    /// EDX:EAX divided. What would raise #DE is left to the interpreter.
    fn divide32(&mut self, divisor: Slot, signed: bool) {
        let [n, d, q] = std::array::from_fn(|_| self.locals.take(ValType::I64));
        self.begin_checks();
        self.get(RDX);
        self.s().i64_const(32).i64_shl();
        self.get32(RAX);
        self.s().i64_extend_i32_u().i64_or().local_set(n);
        self.get32(divisor);
        self.pick(signed, one!(i64_extend_i32_s), one!(i64_extend_i32_u));
        self.s().local_tee(d).i64_eqz();
        if signed {
            // The one quotient of 64 bits that overflows.
            self.s().local_get(d).i64_const(-1).i64_eq().local_get(n).i64_const(i64::MIN).i64_eq().i32_and().i32_or();
        }
        self.side_exit_if();
        self.s().local_get(n).local_get(d);
        self.pick(signed, one!(i64_div_s), one!(i64_div_u));
        self.s().local_tee(q).local_get(q);
        if signed {
            self.s().i64_extend32_s();
        } else {
            self.s().i64_const(0xffff_ffff).i64_and();
        }
        self.s().i64_ne();
        self.side_exit_if();
        self.end_checks();
        self.s().local_get(n).local_get(q).local_get(d).i64_mul().i64_sub().i32_wrap_i64();
        self.set32(RDX);
        self.s().local_get(q).i32_wrap_i64();
        self.set32(RAX);
        for local in [n, d, q] {
            self.locals.give(ValType::I64, local);
        }
    }

    /// RDX:RAX divided, where RDX is only RAX's extension and the quotient fits; Rust does the rest.
    fn divide64(&mut self, op: &Op, divisor: Slot, signed: bool) {
        let [n, d] = std::array::from_fn(|_| self.locals.take(ValType::I64));
        self.get(divisor);
        self.s().local_set(d);
        self.get(RAX);
        self.s().local_set(n);
        self.get(RDX);
        if signed {
            self.s().local_get(n).i64_const(63).i64_shr_s().i64_eq();
            // Neither 0 nor -1.
            self.s().local_get(d).i64_const(1).i64_add().i64_const(1).i64_gt_u().i32_and();
        } else {
            self.s().i64_eqz().local_get(d).i64_eqz().i32_eqz().i32_and();
        }
        self.s().if_(wasm_encoder::BlockType::Empty);
        self.frames.push(super::control::Frame::Arm);
        self.s().local_get(n).local_get(d);
        self.pick(signed, one!(i64_div_s), one!(i64_div_u));
        self.set(RAX);
        self.s().local_get(n);
        self.get(RAX);
        self.s().local_get(d).i64_mul().i64_sub();
        self.set(RDX);
        self.s().else_();
        self.perform(op);
        self.end_if();
        for local in [n, d] {
            self.locals.give(ValType::I64, local);
        }
        debug_assert!(slot::ZERO != RAX);
    }
}
