//! Operations of several instructions.

use cpu::ir::{Lane, Shape, VectorOp};
use wasm_encoder::ValType;

use super::super::{Emitter, Sink, one};
use super::{Operands, by_lane, bytes, lane_bits, words};

impl Emitter<'_> {
    /// Emits such an operation, if it is one.
    pub(super) fn composed(&mut self, op: VectorOp, o: Operands) -> bool {
        match op {
            VectorOp::AndNot => {
                self.vget(o.b);
                self.vget(o.a);
                self.s().v128_andnot();
            }
            VectorOp::ShlBytes | VectorOp::ShrBytes => {
                // As one lookup: an index past the end gives 0.
                let by = i32::from(o.imm.min(16));
                let from = |i: usize| i as i32 + if op == VectorOp::ShlBytes { -by } else { by };
                let index = |i| u8::try_from(from(i)).ok().filter(|at| *at < 16).unwrap_or(0x80);
                self.vget(o.a);
                self.s().v128_const(i128::from_le_bytes(std::array::from_fn(index))).i8x16_swizzle();
            }
            VectorOp::Permute8 => {
                // An index with its top bit set gives 0 in both; otherwise PSHUFB looks at four bits.
                self.vget(o.a);
                self.vget(o.b);
                self.s().v128_const(bytes(0x8f)).v128_and().i8x16_swizzle();
            }
            VectorOp::MulEvenU32 => self.multiply_even(o, one!(i64x2_extmul_low_i32x4_u)),
            VectorOp::MulEvenS32 => self.multiply_even(o, one!(i64x2_extmul_low_i32x4_s)),
            VectorOp::MulHighS16 => {
                self.multiply_high_lanes(o, one!(i32x4_extmul_low_i16x8_s), one!(i32x4_extmul_high_i16x8_s))
            }
            VectorOp::MulHighU16 => {
                self.multiply_high_lanes(o, one!(i32x4_extmul_low_i16x8_u), one!(i32x4_extmul_high_i16x8_u))
            }
            VectorOp::Shl(lane) | VectorOp::Shr(lane) | VectorOp::Sar(lane) => {
                return self.shift_by_register(op, lane, o);
            }
            VectorOp::MulHighRound16 => self.multiply_high_rounded(o),
            VectorOp::MulAddU8S8 => self.multiply_add_bytes(o),
            VectorOp::SumDiff8 => self.sum_differences(o),
            VectorOp::InsertFloat => self.insert_float(o),
            _ => return self.of_source(op, o) || self.of_neighbours(op, o) || self.signed(op, o),
        }
        self.vset(o.dst);
        true
    }

    /// Operations of `b` alone, lane by lane.
    fn of_source(&mut self, op: VectorOp, o: Operands) -> bool {
        match op {
            VectorOp::Abs(lane) => {
                let sink: Option<Sink> = by_lane!(lane, L8: i8x16_abs, L16: i16x8_abs, L32: i32x4_abs);
                let Some(sink) = sink else { return false };
                self.vget(o.b);
                sink(&mut self.s());
            }
            VectorOp::SignMask(lane) => {
                self.vget(o.b);
                self.negative_lanes(lane);
            }
            VectorOp::ExtendS(from, to) => {
                self.vget(o.b);
                self.extend(
                    from,
                    to,
                    [one!(i16x8_extend_low_i8x16_s), one!(i32x4_extend_low_i16x8_s), one!(i64x2_extend_low_i32x4_s)],
                );
            }
            VectorOp::ExtendU(from, to) => {
                self.vget(o.b);
                self.extend(
                    from,
                    to,
                    [one!(i16x8_extend_low_i8x16_u), one!(i32x4_extend_low_i16x8_u), one!(i64x2_extend_low_i32x4_u)],
                );
            }
            _ => return false,
        }
        self.vset(o.dst);
        true
    }

    /// Widens the low lanes of the vector pushed last, doubling the width at each step.
    fn extend(&mut self, from: Lane, to: Lane, steps: [Sink; 3]) {
        for (step, bits) in steps.into_iter().zip([8, 16, 32]) {
            if lane_bits(from) <= bits && bits < lane_bits(to) {
                step(&mut self.s());
            }
        }
    }

    /// Pops a vector; pushes all ones where its lanes are negative.
    fn negative_lanes(&mut self, lane: Lane) {
        self.s().v128_const(0);
        match lane {
            Lane::L8 => self.s().i8x16_lt_s(),
            Lane::L16 => self.s().i16x8_lt_s(),
            Lane::L32 => self.s().i32x4_lt_s(),
            Lane::L64 => self.s().i64x2_lt_s(),
        };
    }

    /// Sums and differences of neighbours: the even lanes of both operands and the odd ones.
    fn of_neighbours(&mut self, op: VectorOp, o: Operands) -> bool {
        let (bytes, sink): (u8, Sink) = match op {
            VectorOp::HorizontalAdd(Lane::L16) => (2, one!(i16x8_add)),
            VectorOp::HorizontalAdd(_) => (4, one!(i32x4_add)),
            VectorOp::HorizontalSub(Lane::L16) => (2, one!(i16x8_sub)),
            VectorOp::HorizontalSub(_) => (4, one!(i32x4_sub)),
            VectorOp::HorizontalAddSat16 => (2, one!(i16x8_add_sat_s)),
            VectorOp::HorizontalSubSat16 => (2, one!(i16x8_sub_sat_s)),
            VectorOp::HorizontalAddFloat(Shape::Packed32) => (4, one!(f32x4_add)),
            VectorOp::HorizontalAddFloat(_) => (8, one!(f64x2_add)),
            VectorOp::HorizontalSubFloat(Shape::Packed32) => (4, one!(f32x4_sub)),
            VectorOp::HorizontalSubFloat(_) => (8, one!(f64x2_sub)),
            VectorOp::AddSubFloat(shape) => return self.add_and_subtract(shape, o),
            _ => return false,
        };
        for odd in [0, 1] {
            self.vget(o.a);
            self.vget(o.b);
            self.s().i8x16_shuffle(every_other(bytes, odd));
        }
        sink(&mut self.s());
        self.vset(o.dst);
        true
    }

    /// ADDSUBPS, ADDSUBPD: odd lanes of the sums, even ones of the differences.
    fn add_and_subtract(&mut self, shape: Shape, o: Operands) -> bool {
        let (bytes, sinks): (u8, [Sink; 2]) = match shape {
            Shape::Packed32 => (4, [one!(f32x4_sub), one!(f32x4_add)]),
            _ => (8, [one!(f64x2_sub), one!(f64x2_add)]),
        };
        for sink in sinks {
            self.vget(o.a);
            self.vget(o.b);
            sink(&mut self.s());
        }
        self.s().i8x16_shuffle(std::array::from_fn(|i| i as u8 + 16 * (i as u8 / bytes % 2)));
        self.vset(o.dst);
        true
    }

    /// PSIGNB and its relatives: `a` negated where `b` is negative, 0 where it is 0.
    fn signed(&mut self, op: VectorOp, o: Operands) -> bool {
        let VectorOp::Sign(lane) = op else { return false };
        let subtract: Option<Sink> = by_lane!(lane, L8: i8x16_sub, L16: i16x8_sub, L32: i32x4_sub);
        let equal: Option<Sink> = by_lane!(lane, L8: i8x16_eq, L16: i16x8_eq, L32: i32x4_eq);
        let (Some(subtract), Some(equal)) = (subtract, equal) else { return false };
        let sign = self.locals.take(ValType::V128);
        self.vget(o.a);
        self.vget(o.b);
        self.negative_lanes(lane);
        self.s().local_tee(sign).v128_xor().local_get(sign);
        subtract(&mut self.s());
        self.vget(o.b);
        self.s().v128_const(0);
        equal(&mut self.s());
        self.s().v128_andnot();
        self.locals.give(ValType::V128, sign);
        self.vset(o.dst);
        true
    }

    fn insert_float(&mut self, o: Operands) {
        let (from, to) = (o.imm >> 6, o.imm >> 4 & 3);
        self.vget(o.a);
        self.vget(o.b);
        self.s().i8x16_shuffle(std::array::from_fn(|i| {
            let (lane, byte) = (i as u8 / 4, i as u8 % 4);
            if lane == to { 16 + 4 * from + byte } else { i as u8 }
        }));
        if o.imm & 15 != 0 {
            let kept = (0..4).filter(|lane| o.imm >> lane & 1 == 0);
            let mask = kept.fold(0, |mask, lane| mask | i128::from(u32::MAX) << (32 * lane));
            self.s().v128_const(mask).v128_and();
        }
    }

    /// Products of the even 32-bit lanes.
    fn multiply_even(&mut self, o: Operands, sink: Sink) {
        for operand in [o.a, o.b] {
            self.vget(operand);
            self.vget(operand);
            self.s().i8x16_shuffle(every_other(4, 0));
        }
        sink(&mut self.s());
    }

    /// PMULHRSW: as WebAssembly's product of fractions, but the product of two -1 is -1.
    fn multiply_high_rounded(&mut self, o: Operands) {
        self.vget(o.a);
        self.vget(o.b);
        self.s().i16x8_q15mulr_sat_s();
        for operand in [o.a, o.b] {
            self.vget(operand);
            self.s().v128_const(words(0x8000)).i16x8_eq();
        }
        self.s().v128_and().v128_xor();
    }

    /// PMADDUBSW: products of even bytes and of odd ones, each of which fits.
    fn multiply_add_bytes(&mut self, o: Operands) {
        self.vget(o.a);
        self.s().v128_const(words(0x00ff)).v128_and();
        self.vget(o.b);
        self.s().i32_const(8).i16x8_shl().i32_const(8).i16x8_shr_s().i16x8_mul();
        self.vget(o.a);
        self.s().i32_const(8).i16x8_shr_u();
        self.vget(o.b);
        self.s().i32_const(8).i16x8_shr_s().i16x8_mul().i16x8_add_sat_s();
    }

    /// PSADBW: differences, then sums of twice as many bytes at each step.
    fn sum_differences(&mut self, o: Operands) {
        let sums = self.locals.take(ValType::V128);
        for sink in [one!(i8x16_max_u) as Sink, one!(i8x16_min_u)] {
            self.vget(o.a);
            self.vget(o.b);
            sink(&mut self.s());
        }
        self.s().i8x16_sub().i16x8_extadd_pairwise_i8x16_u().i32x4_extadd_pairwise_i16x8_u().local_tee(sums);
        self.s().i32_const(32).i64x2_shr_u().local_get(sums).i32x4_add();
        self.s().v128_const(i128::from(u32::MAX) << 64 | i128::from(u32::MAX)).v128_and();
        self.locals.give(ValType::V128, sums);
    }

    /// The upper halves of 16-bit products.
    fn multiply_high_lanes(&mut self, o: Operands, low: Sink, high: Sink) {
        for half in [low, high] {
            self.vget(o.a);
            self.vget(o.b);
            half(&mut self.s());
        }
        self.s().i8x16_shuffle([2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31]);
    }
}

/// The even (`odd` 0) or odd (1) lanes of both operands.
fn every_other(bytes: u8, odd: u8) -> [u8; 16] {
    std::array::from_fn(|i| {
        let (lane, byte) = (i as u8 / bytes, i as u8 % bytes);
        (2 * lane + odd) * bytes + byte
    })
}
