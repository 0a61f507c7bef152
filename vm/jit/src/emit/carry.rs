//! Addition and subtraction with a carry (ADC, SBB). Where their flags are looked at, they are computed at once: numbers
//! of many words are added by one after the other, and each looks at the last one's carry.

use cpu::flags::{Condition, Width};
use cpu::ir::{Binary, Op, Slot, slot};
use cpu::rflags::{AF, OF, PF, SF, ZF};
use wasm_encoder::ValType;

use super::{Emitter, one};

/// Locals of one such operation: operands cut to their width, the result, which may go beyond it, and the carry out.
struct Sum {
    a: u32,
    b: u32,
    result: u32,
    carry: u32,
}

impl Emitter<'_> {
    /// Whether an operation of the block at hand looks at the flags that the one at `index` leaves in `NEW_FLAGS`.
    pub(super) fn new_flags_read(&self, index: usize) -> bool {
        let ops = self.region.nodes[self.node].block.ops.iter().skip(index + 1).map(Op::operands);
        // An operation may do both.
        ops.take_while(|op| op.reads.contains(&slot::NEW_FLAGS) || !op.writes.contains(&slot::NEW_FLAGS))
            .any(|op| op.reads.contains(&slot::NEW_FLAGS))
    }

    /// ADC or SBB whose flags nobody needs. Of a result of 8 or 16 bits only the low bits mean anything.
    pub(super) fn with_carry(&mut self, is_wide: bool, o: Binary, subtract: bool) {
        if is_wide {
            self.get(o.a);
            self.get(o.b);
            self.pick(subtract, one!(i64_sub), one!(i64_add));
            self.condition(Condition::B);
            self.s().i64_extend_i32_u();
            self.pick(subtract, one!(i64_sub), one!(i64_add));
            self.set(o.dst);
        } else {
            self.get32(o.a);
            self.get32(o.b);
            self.pick(subtract, one!(i32_sub), one!(i32_add));
            self.condition(Condition::B);
            self.pick(subtract, one!(i32_sub), one!(i32_add));
            self.set32(o.dst);
        }
    }

    /// The same with the flags, which go to `NEW_FLAGS`.
    pub(super) fn with_carry_and_flags(&mut self, width: Width, Binary { dst, a, b }: Binary, subtract: bool) {
        let [local_a, local_b, result] = std::array::from_fn(|_| self.locals.take(ValType::I64));
        let sum = Sum { a: local_a, b: local_b, result, carry: self.locals.take(ValType::I32) };
        self.condition(Condition::B);
        self.s().local_set(sum.carry);
        for (slot, local) in [(a, sum.a), (b, sum.b)] {
            self.cut(slot, width);
            self.s().local_set(local);
        }
        if width == Width::W64 {
            self.sum_64(&sum, subtract)
        } else {
            self.sum_narrow(&sum, width, subtract)
        }
        self.flags_of_sum(&sum, width, subtract);
        self.s().local_get(sum.result);
        match width {
            Width::W64 => self.set(dst),
            Width::W32 => {
                self.s().i32_wrap_i64();
                self.set32(dst);
            }
            narrow => {
                self.s().i64_const(narrow.mask() as i64).i64_and();
                self.set_narrow(dst);
            }
        }
        for local in [sum.a, sum.b, sum.result] {
            self.locals.give(ValType::I64, local);
        }
        self.locals.give(ValType::I32, sum.carry);
    }

    /// Pushes the bits of a slot that a width has.
    fn cut(&mut self, slot: Slot, width: Width) {
        match width {
            Width::W64 => self.get(slot),
            Width::W32 => {
                self.get32(slot);
                self.s().i64_extend_i32_u();
            }
            narrow => {
                self.get(slot);
                self.s().i64_const(narrow.mask() as i64).i64_and();
            }
        }
    }

    fn sum_64(&mut self, sum: &Sum, subtract: bool) {
        let between = self.locals.take(ValType::I64);
        let Sum { a, b, result, carry } = *sum;
        self.s().local_get(a).local_get(b);
        self.pick(subtract, one!(i64_sub), one!(i64_add));
        self.s().local_tee(between).local_get(carry).i64_extend_i32_u();
        self.pick(subtract, one!(i64_sub), one!(i64_add));
        self.s().local_set(result);
        if subtract {
            self.s().local_get(between).local_get(carry).i64_extend_i32_u().i64_lt_u();
            self.s().local_get(a).local_get(b).i64_lt_u();
        } else {
            self.s().local_get(result).local_get(between).i64_lt_u();
            self.s().local_get(between).local_get(a).i64_lt_u();
        }
        self.s().i32_or().local_set(carry);
        self.locals.give(ValType::I64, between);
    }

    /// In 64 bits, where the carry shows above the operands' width.
    fn sum_narrow(&mut self, sum: &Sum, width: Width, subtract: bool) {
        let Sum { a, b, result, carry } = *sum;
        self.s().local_get(a).local_get(b);
        self.pick(subtract, one!(i64_sub), one!(i64_add));
        self.s().local_get(carry).i64_extend_i32_u();
        self.pick(subtract, one!(i64_sub), one!(i64_add));
        self.s().local_tee(result).i64_const(width.bits().into()).i64_shr_u();
        self.s().i32_wrap_i64().i32_const(1).i32_and().local_set(carry);
    }

    fn flags_of_sum(&mut self, sum: &Sum, width: Width, subtract: bool) {
        let Sum { a, b, result, carry } = *sum;
        let top = i64::from(width.bits()) - 1;
        self.s().local_get(carry);
        self.s().local_get(result).i32_wrap_i64().i32_const(0xff).i32_and().i32_popcnt();
        self.flag_from_bit(PF, true);
        self.s().local_get(a).local_get(b).i64_xor().local_get(result).i64_xor().i32_wrap_i64();
        self.s().i32_const(AF as i32).i32_and().i32_or();
        // Shifted so that what lies above the width is gone.
        self.s().local_get(result).i64_const(63 - top).i64_shl().i64_eqz();
        self.flag_from_bit(ZF, false);
        self.s().local_get(result).i64_const(top).i64_shr_u().i32_wrap_i64();
        self.flag_from_bit(SF, false);
        // Overflow: the result's sign is neither operand's; when subtracting, the second's is the other way round.
        self.s().local_get(a).local_get(result).i64_xor().local_get(b);
        self.s().local_get(if subtract { a } else { result }).i64_xor().i64_and();
        self.s().i64_const(top).i64_shr_u().i32_wrap_i64();
        self.flag_from_bit(OF, false);
        self.set32(slot::NEW_FLAGS);
    }

    /// Pops a number, and flags below it; pushes the flags with one that is the number's lowest bit, or its opposite.
    fn flag_from_bit(&mut self, flag: u64, opposite: bool) {
        if opposite {
            self.s().i32_const(-1).i32_xor();
        }
        self.s().i32_const(1).i32_and().i32_const(flag.trailing_zeros() as i32).i32_shl().i32_or();
    }
}
