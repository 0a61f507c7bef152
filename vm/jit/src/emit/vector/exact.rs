//! Arithmetic for programs that look at MXCSR: here as long as that says what nearly all want and inexact results are
//! noted already, and all numbers are ordinary; otherwise Rust computes.

use cpu::helper::{Helper, SINGLE};
use cpu::ir::{Conversion, FloatOp, Op, Shape, Slot, VSlot, VectorOp};
use cpu::vector::exact::{USUAL, USUAL_BITS};
use wasm_encoder::ValType;

use super::Operands;
use crate::area::offset;
use crate::emit::Emitter;

/// Where results wait until they turn out to be ordinary. The lifter leaves it alone.
const RESULT: VSlot = VSlot(cpu::state::VECTOR_COUNT as u8 - 1);

/// A number to look at.
#[derive(Clone, Copy)]
enum Number {
    /// A vector's low lane, or all of its lanes.
    Lanes(VSlot, Shape),
    Slot(Slot, Shape),
}

/// What of a result shows that it needs no further thought.
#[derive(Clone, Copy)]
enum Good {
    /// Whatever it is: it is exact, or inexact at most.
    Always,
    /// A normal number or zero.
    Ordinary(Shape),
    /// A normal number: a zero may be too small a number.
    Normal(Shape),
    /// An integer of so many bits, not the one that stands for what does not fit.
    Integer(u32),
}

impl Emitter<'_> {
    /// Emits an operation that MXCSR has a say in.
    pub(in crate::emit) fn exact(&mut self, op: &Op) {
        match *op {
            Op::Helper { helper: Helper::FloatOperands, a, b, imm, .. } => {
                let shape = if imm & SINGLE != 0 { Shape::Scalar32 } else { Shape::Scalar64 };
                let slow = self.is_mxcsr_special();
                [a, b].into_iter().for_each(|slot| self.or_odd(slow, Number::Slot(Slot(slot), shape), true));
                self.s().local_get(slow);
                self.if_unlikely();
                self.perform(op);
                self.end_if();
                self.locals.give(ValType::I32, slow);
            }
            Op::Vector { op: which, dst, a, b, imm } => match quick(which) {
                Some((operands, good)) => self.quickly(op, which, Operands { dst, a, b, imm }, operands, good),
                None => self.perform(op),
            },
            _ => self.perform(op),
        }
    }

    /// Computes here and looks whether that was right. `operands` are looked at too: `b`, and `a` unless it is not used.
    fn quickly(&mut self, op: &Op, which: VectorOp, o: Operands, operands: Option<(Shape, bool)>, good: Good) {
        let slow = self.is_mxcsr_special();
        if let Some((shape, uses_a)) = operands {
            self.or_odd(slow, Number::Lanes(o.b, shape), true);
            if uses_a && o.a != o.b {
                self.or_odd(slow, Number::Lanes(o.a, shape), true);
            }
        }
        if !self.compute(which, Operands { dst: RESULT, ..o }) {
            self.locals.give(ValType::I32, slow);
            return self.perform(op);
        }
        match good {
            Good::Always => {}
            Good::Ordinary(shape) => self.or_odd(slow, Number::Lanes(RESULT, shape), true),
            Good::Normal(shape) => self.or_odd(slow, Number::Lanes(RESULT, shape), false),
            Good::Integer(bits) => {
                self.vget(RESULT);
                self.s().i64x2_extract_lane(0).i64_const((1u64 << (bits - 1)) as i64).i64_eq();
                self.s().local_get(slow).i32_or().local_set(slow);
            }
        }
        self.s().local_get(slow);
        self.if_unlikely();
        self.perform(op);
        self.else_();
        self.vget(RESULT);
        self.vset(o.dst);
        self.end_if();
        self.locals.give(ValType::I32, slow);
    }

    /// A local that is not 0 if MXCSR is not as usual.
    fn is_mxcsr_special(&mut self) -> u32 {
        let slow = self.locals.take(ValType::I32);
        let at = self.area(offset::MXCSR);
        self.s().i32_const(0).i32_load(at).i32_const(USUAL_BITS as i32).i32_and();
        self.s().i32_const(USUAL as i32).i32_ne().local_set(slow);
        slow
    }

    /// Sets `slow` if a number is infinite, NaN or denormal, or, unless it `may_be_zero`, zero.
    fn or_odd(&mut self, slow: u32, number: Number, may_be_zero: bool) {
        let shape = match number {
            Number::Lanes(_, shape) | Number::Slot(_, shape) => shape,
        };
        if matches!(shape, Shape::Packed32 | Shape::Packed64) {
            let Number::Lanes(slot, _) = number else { return };
            return self.or_odd_lanes(slow, slot, shape, may_be_zero);
        }
        // Without the sign, the exponents that are odd are the first and the last, next to each other once it is
        // counted up.
        let is_single = shape == Shape::Scalar32;
        let kind = if is_single { ValType::I32 } else { ValType::I64 };
        let bits = self.locals.take(kind);
        match number {
            Number::Lanes(slot, _) => self.vget(slot),
            Number::Slot(slot, _) if is_single => self.get32(slot),
            Number::Slot(slot, _) => self.get(slot),
        }
        let is_slot = matches!(number, Number::Slot(..));
        if is_single {
            if !is_slot {
                self.s().i32x4_extract_lane(0);
            }
            self.s().i32_const(1).i32_shl().local_tee(bits).i32_const(1 << 24).i32_add().i32_const(1 << 25).i32_lt_u();
            if may_be_zero {
                self.s().local_get(bits).i32_const(0).i32_ne().i32_and();
            }
        } else {
            if !is_slot {
                self.s().i64x2_extract_lane(0);
            }
            self.s().i64_const(1).i64_shl().local_tee(bits).i64_const(1 << 53).i64_add().i64_const(1 << 54).i64_lt_u();
            if may_be_zero {
                self.s().local_get(bits).i64_const(0).i64_ne().i32_and();
            }
        }
        self.s().local_get(slow).i32_or().local_set(slow);
        self.locals.give(kind, bits);
    }

    /// The same of all lanes.
    fn or_odd_lanes(&mut self, slow: u32, slot: VSlot, shape: Shape, may_be_zero: bool) {
        let shifted = self.locals.take(ValType::V128);
        self.vget(slot);
        self.s().i32_const(1);
        if shape == Shape::Packed32 {
            self.s().i32x4_shl().local_tee(shifted).v128_const(super::dwords(1 << 24)).i32x4_add();
            self.s().v128_const(super::dwords(1 << 25)).i32x4_lt_u();
        } else {
            let one = 1i128 << 53;
            self.s().i64x2_shl().local_tee(shifted).v128_const(one << 64 | one).i64x2_add();
            self.s().i32_const(54).i64x2_shr_u().v128_const(0).i64x2_eq();
        }
        if may_be_zero {
            self.s().local_get(shifted).v128_const(0);
            if shape == Shape::Packed32 {
                self.s().i32x4_ne();
            } else {
                self.s().i64x2_ne();
            }
            self.s().v128_and();
        }
        self.s().v128_any_true().local_get(slow).i32_or().local_set(slow);
        self.locals.give(ValType::V128, shifted);
    }
}

/// What to look at around an operation that is computed here: the operands' shape and whether `a` is one, and the result.
fn quick(op: VectorOp) -> Option<(Option<(Shape, bool)>, Good)> {
    use Conversion as C;
    use FloatOp as F;
    let (single, double) = (Some((Shape::Scalar32, false)), Some((Shape::Scalar64, false)));
    Some(match op {
        VectorOp::Float(op, shape) => match op {
            F::Add | F::Sub => (Some((shape, true)), Good::Ordinary(shape)),
            F::Mul | F::Div => (Some((shape, true)), Good::Normal(shape)),
            F::Sqrt => (Some((shape, false)), Good::Ordinary(shape)),
            F::Min | F::Max | F::Compare => (Some((shape, true)), Good::Always),
            F::Round => (Some((shape, false)), Good::Always),
            F::Reciprocal | F::ReciprocalSqrt => return None,
        },
        VectorOp::Convert(conversion) => match conversion {
            C::I32x4ToF32x4
            | C::I32x2ToF64x2
            | C::MergeI32ToF32
            | C::MergeI64ToF32
            | C::MergeI32ToF64
            | C::MergeI64ToF64
            | C::MergeI32x2ToF32x2 => (None, Good::Always),
            C::MergeF32ToF64 => (single, Good::Always),
            C::MergeF64ToF32 => (double, Good::Normal(Shape::Scalar32)),
            C::F32ToI32 | C::F32ToI32Truncated => (single, Good::Integer(32)),
            C::F64ToI32 | C::F64ToI32Truncated => (double, Good::Integer(32)),
            C::F32ToI64 | C::F32ToI64Truncated => (single, Good::Integer(64)),
            C::F64ToI64 | C::F64ToI64Truncated => (double, Good::Integer(64)),
            _ => return None,
        },
        _ => return None,
    })
}
