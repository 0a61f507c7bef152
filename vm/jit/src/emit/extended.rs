//! Functions that every module has: sums, differences and products of 80-bit numbers where both are normal, to be rounded
//! to nearest with 64 bits, and far from the ends of the range, which are nearly all. They give the others to Rust
//! ([`cpu::x87::compiled`], where the same is written more plainly). A call within a module, with all results in
//! registers, takes half the time of one out of it.

use std::mem::offset_of;

use cpu::fpu::Fpu;
use cpu::x87::compiled::{Call, FLAGS_SHIFT};
use wasm_encoder::{BlockType, BranchHint, Function, InstructionSink, MemArg, MemArgTarget, ValType};

use super::{ENGINE, FIRST_X87};

/// Operations with a function here, in the order of the functions.
pub(super) const LOCAL: [Call; 3] = [Call::Add, Call::Sub, Call::Mul];

/// A function's parameters: the unit's address, two numbers (significand, sign and exponent), and what is not 0 if
/// the control word asks for something else.
pub(super) const PARAMETERS: [ValType; 6] =
    [ValType::I32, ValType::I64, ValType::I32, ValType::I64, ValType::I32, ValType::I32];
/// Its results: a significand, and an outcome as [`Fpu::outcome`] has it.
pub(super) const RESULTS: [ValType; 2] = [ValType::I64, ValType::I32];

const UNIT: u32 = 0;
const A: Value = Value { mantissa: 1, exponent: 2 };
const B: Value = Value { mantissa: 3, exponent: 4 };
const SPECIAL: u32 = 5;

const SIGN: i32 = 0x8000;
const EXPONENT: i32 = 0x7fff;
/// What exponents count from, less one.
const BIAS_BELOW: i32 = 0x3ffe;
/// Where an outcome has the inexact flag and C1.
const INEXACT_SHIFT: i32 = FLAGS_SHIFT as i32 + 5;
const UP_SHIFT: i32 = FLAGS_SHIFT as i32 + 9;
const LOW: i64 = 0xffff_ffff;

/// Locals with a number.
#[derive(Clone, Copy)]
struct Value {
    mantissa: u32,
    exponent: u32,
}

/// Locals with a significand of 128 bits, and the exponent and sign that go with it.
#[derive(Clone, Copy)]
struct Unrounded {
    high: u32,
    low: u32,
    exponent: u32,
    sign: u32,
}

struct Builder {
    code: Vec<u8>,
    types: Vec<ValType>,
    hints: Vec<BranchHint>,
}

/// Makes one of the functions.
pub(super) fn function(call: Call) -> (Function, Vec<BranchHint>) {
    let mut builder = Builder { code: Vec::new(), types: Vec::new(), hints: Vec::new() };
    builder.body(call);
    let mut function = Function::new_with_locals_types(builder.types);
    let shift = function.byte_len() as u32;
    function.raw(builder.code);
    for hint in &mut builder.hints {
        hint.branch_func_offset += shift;
    }
    (function, builder.hints)
}

/// What stands for it where nothing calls it.
pub(super) fn unused() -> Function {
    let mut function = Function::new([]);
    function.instructions().unreachable().end();
    function
}

impl Builder {
    fn s(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }

    fn local(&mut self, ty: ValType) -> u32 {
        self.types.push(ty);
        (PARAMETERS.len() + self.types.len() - 1) as u32
    }

    fn locals<const N: usize>(&mut self, ty: ValType) -> [u32; N] {
        std::array::from_fn(|_| self.local(ty))
    }

    fn body(&mut self, call: Call) {
        self.s().block(BlockType::Empty);
        if call == Call::Mul {
            self.product()
        } else {
            self.sum(call == Call::Sub)
        }
        self.s().end();
        // The other way.
        let outcome = MemArg {
            offset: offset_of!(Fpu, outcome) as u64,
            align: 2,
            target: MemArgTarget::Memory(ENGINE),
            ordering: None,
        };
        self.s().local_get(UNIT);
        for value in [A, B] {
            self.s().local_get(value.mantissa).local_get(value.exponent);
        }
        self.s().call(FIRST_X87 + call as u32).local_get(UNIT).i32_load(outcome).end();
    }

    /// Pops an i32: goes the other way if it is not 0, out of `depth` more blocks.
    fn slow_if(&mut self, depth: u32) {
        self.hints.push(BranchHint { branch_func_offset: self.code.len() as u32, branch_hint_value: 0 });
        self.s().br_if(depth);
    }

    /// Locals with both exponents. The other way unless both are at least `margin` away from the range's ends, and both
    /// integer bits set.
    fn exponents(&mut self, margin: i32) -> [u32; 2] {
        let both = self.locals(ValType::I32);
        self.s().local_get(A.mantissa).local_get(B.mantissa).i64_and().i64_const(0).i64_ge_s();
        self.slow_if(0);
        self.s().local_get(SPECIAL);
        self.slow_if(0);
        for (exponent, value) in both.into_iter().zip([A, B]) {
            self.s().local_get(value.exponent).i32_const(EXPONENT).i32_and().local_tee(exponent);
            self.s().i32_const(margin).i32_sub().i32_const(EXPONENT - 2 * margin).i32_ge_u();
            self.slow_if(0);
        }
        both
    }

    fn unrounded(&mut self) -> Unrounded {
        let ([high, low], [exponent, sign]) = (self.locals(ValType::I64), self.locals(ValType::I32));
        Unrounded { high, low, exponent, sign }
    }

    fn sum(&mut self, is_difference: bool) {
        // A difference may have up to 64 digits fewer; those that are further apart are rare.
        let [x, y] = self.exponents(66);
        let ([ahead, by, other], sum) = (self.locals(ValType::I32), self.unrounded());
        // Not in place: a NaN that goes the other way must keep its sign.
        self.s().local_get(B.exponent).i32_const(if is_difference { SIGN } else { 0 }).i32_xor().local_set(other);
        self.s().local_get(y).local_get(x).i32_sub().local_tee(ahead);
        self.s().local_get(ahead).i32_const(31).i32_shr_s().local_tee(by).i32_xor();
        self.s().local_get(by).i32_sub().local_tee(by).i32_const(63).i32_gt_u();
        self.slow_if(0);
        let small = self.aligned([x, y], ahead, by, other, sum);
        self.s().local_get(A.exponent).local_get(other).i32_xor();
        self.s().i32_const(SIGN).i32_and().i32_eqz().if_(BlockType::Empty);
        self.add_aligned(sum, small);
        self.s().else_();
        self.subtract_aligned(sum, small);
        self.s().end();
        self.round(sum);
    }

    /// The operand with the larger exponent goes to `sum.high`, the other's part that meets it to the local returned, and
    /// what lies below to `sum.low`.
    fn aligned(&mut self, [x, y]: [u32; 2], ahead: u32, by: u32, other: u32, sum: Unrounded) -> u32 {
        let [small, distance] = self.locals(ValType::I64);
        let picks = [
            (B.mantissa, A.mantissa, sum.high),
            (A.mantissa, B.mantissa, small),
            (y, x, sum.exponent),
            (other, A.exponent, sum.sign),
        ];
        for (if_ahead, otherwise, to) in picks {
            self.s().local_get(if_ahead).local_get(otherwise);
            self.s().local_get(ahead).i32_const(0).i32_gt_s().select().local_set(to);
        }
        self.s().local_get(sum.sign).i32_const(SIGN).i32_and().local_set(sum.sign);
        self.s().local_get(by).i64_extend_i32_u().local_set(distance);
        // Two shifts, since one by 64 is none.
        self.s().local_get(small).i64_const(1).i64_shl();
        self.s().local_get(distance).i64_const(63).i64_xor().i64_shl().local_set(sum.low);
        self.s().local_get(small).local_get(distance).i64_shr_u().local_set(small);
        small
    }

    fn add_aligned(&mut self, Unrounded { high, low, exponent, .. }: Unrounded, small: u32) {
        let carry = self.local(ValType::I64);
        self.s().local_get(high).local_get(small).i64_add().local_tee(high);
        self.s().local_get(small).i64_lt_u().i64_extend_i32_u().local_set(carry);
        // One digit further down if there is a carry; no bit gets lost.
        self.s().local_get(low).local_get(carry).i64_shr_u().local_get(low).i64_const(1).i64_and().i64_or();
        self.s().local_get(high).local_get(carry).i64_and().i64_const(63).i64_shl().i64_or().local_set(low);
        self.s().local_get(high).local_get(carry).i64_shr_u();
        self.s().local_get(carry).i64_const(63).i64_shl().i64_or().local_set(high);
        self.s().local_get(exponent).local_get(carry).i32_wrap_i64().i32_add().local_set(exponent);
    }

    fn subtract_aligned(&mut self, Unrounded { high, low, exponent, sign }: Unrounded, small: u32) {
        let [negative, shift] = self.locals(ValType::I64);
        // Only with equal exponents, and then nothing lies below.
        self.s().i64_const(0).local_get(high).local_get(small).i64_lt_u();
        self.s().i64_extend_i32_u().i64_sub().local_set(negative);
        self.s().local_get(high).local_get(small).i64_sub();
        self.s().local_get(low).i64_const(0).i64_ne().i64_extend_i32_u().i64_sub();
        self.s().local_get(negative).i64_xor().local_get(negative).i64_sub().local_tee(high);
        // Nothing is left, or nearly.
        self.s().i64_eqz();
        self.slow_if(1);
        self.s().local_get(negative).i32_wrap_i64().i32_const(SIGN).i32_and();
        self.s().local_get(sign).i32_xor().local_set(sign);
        self.s().i64_const(0).local_get(low).i64_sub().local_set(low);
        self.s().local_get(high).i64_clz().local_set(shift);
        self.s().local_get(high).local_get(shift).i64_shl();
        self.s().local_get(low).i64_const(1).i64_shr_u();
        self.s().local_get(shift).i64_const(63).i64_xor().i64_shr_u().i64_or().local_set(high);
        self.s().local_get(low).local_get(shift).i64_shl().local_set(low);
        self.s().local_get(exponent).local_get(shift).i32_wrap_i64().i32_sub().local_set(exponent);
    }

    fn product(&mut self) {
        let [x, y] = self.exponents(1);
        let product = self.unrounded();
        let Unrounded { high, low, exponent, sign } = product;
        self.s().local_get(x).local_get(y).i32_add().i32_const(BIAS_BELOW).i32_sub().local_tee(exponent);
        self.s().i32_const(2).i32_sub().i32_const(EXPONENT - 4).i32_ge_u();
        self.slow_if(0);
        self.multiply(product);
        let missing = self.local(ValType::I64);
        self.s().local_get(high).i64_const(63).i64_shr_u().i64_const(1).i64_xor().local_set(missing);
        self.s().local_get(high).local_get(missing).i64_shl();
        self.s().local_get(low).i64_const(63).i64_shr_u().local_get(missing).i64_and().i64_or().local_set(high);
        self.s().local_get(low).local_get(missing).i64_shl().local_set(low);
        self.s().local_get(exponent).local_get(missing).i32_wrap_i64().i32_sub().local_set(exponent);
        self.s().local_get(A.exponent).local_get(B.exponent).i32_xor().i32_const(SIGN).i32_and().local_set(sign);
        self.round(product);
    }

    /// All 128 bits.
    fn multiply(&mut self, Unrounded { high, low, .. }: Unrounded) {
        let [a1, a0, b1, b0, first, second] = self.locals(ValType::I64);
        for (value, upper, lower) in [(A, a1, a0), (B, b1, b0)] {
            self.s().local_get(value.mantissa).i64_const(32).i64_shr_u().local_set(upper);
            self.s().local_get(value.mantissa).i64_const(LOW).i64_and().local_set(lower);
        }
        self.s().local_get(a0).local_get(b0).i64_mul().local_tee(low).i64_const(32).i64_shr_u();
        self.s().local_get(a1).local_get(b0).i64_mul().i64_add().local_tee(first).i64_const(LOW).i64_and();
        self.s().local_get(a0).local_get(b1).i64_mul().i64_add().local_set(second);
        self.s().local_get(a1).local_get(b1).i64_mul().local_get(first).i64_const(32).i64_shr_u().i64_add();
        self.s().local_get(second).i64_const(32).i64_shr_u().i64_add().local_set(high);
        self.s().local_get(second).i64_const(32).i64_shl();
        self.s().local_get(low).i64_const(LOW).i64_and().i64_or().local_set(low);
    }

    /// Returns it rounded to nearest, to even between two. The flags are above sign and exponent.
    fn round(&mut self, Unrounded { high, low, exponent, sign }: Unrounded) {
        let up = self.local(ValType::I32);
        // Past a half, or at a half after an odd digit, this overflows.
        self.s().local_get(high).i64_const(1).i64_and().i64_const(i64::MAX).i64_add();
        self.s().local_get(low).i64_add().local_get(low).i64_lt_u().local_set(up);
        self.s().local_get(low).i64_const(0).i64_ne().i32_const(INEXACT_SHIFT).i32_shl();
        self.s().local_get(up).i32_const(UP_SHIFT).i32_shl().i32_or();
        self.s().local_get(sign).i32_or().local_get(exponent).i32_or().local_set(exponent);
        self.s().local_get(high).local_get(up).i64_extend_i32_u().i64_add().local_tee(high).i64_eqz();
        self.hints.push(BranchHint { branch_func_offset: self.code.len() as u32, branch_hint_value: 0 });
        // All ones became the next power of two.
        self.s().if_(BlockType::Empty).i64_const(i64::MIN).local_set(high);
        self.s().local_get(exponent).i32_const(1).i32_add().local_set(exponent).end();
        self.s().local_get(high).local_get(exponent).return_();
    }
}
