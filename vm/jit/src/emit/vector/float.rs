//! Floating point: arithmetic, comparisons, conversions.
//!
//! It is that of the default MXCSR (round to nearest, exceptions masked, denormals kept). Where a program has set another,
//! or looks at it, Rust computes ([`cpu::vector::exact`]).

use cpu::ir::{Conversion, FloatOp, Shape, VSlot, VectorOp};
use wasm_encoder::ValType;

use super::super::{Emitter, Sink, one};
use super::{Operands, dwords};

macro_rules! float_sink {
    ($op:expr, $add:ident, $sub:ident, $mul:ident, $div:ident) => {
        match $op {
            FloatOp::Add => Some(one!($add) as Sink),
            FloatOp::Sub => Some(one!($sub)),
            FloatOp::Mul => Some(one!($mul)),
            FloatOp::Div => Some(one!($div)),
            _ => None,
        }
    };
}

impl Emitter<'_> {
    pub(super) fn float(&mut self, op: FloatOp, shape: Shape, o: Operands) -> bool {
        match op {
            FloatOp::Compare => return self.compare_floats(shape, o),
            FloatOp::Round => return self.round(shape, o),
            FloatOp::Sqrt => {
                let sink: Sink = match shape {
                    Shape::Scalar32 => one!(f32_sqrt),
                    Shape::Scalar64 => one!(f64_sqrt),
                    Shape::Packed32 => one!(f32x4_sqrt),
                    Shape::Packed64 => one!(f64x2_sqrt),
                };
                return self.of_b(shape, o, sink);
            }
            FloatOp::Reciprocal | FloatOp::ReciprocalSqrt => {
                return self.reciprocal(op == FloatOp::ReciprocalSqrt, shape, o);
            }
            FloatOp::Min | FloatOp::Max => return self.extreme(op == FloatOp::Min, shape, o),
            _ => {}
        }
        let sink: Option<Sink> = match shape {
            Shape::Scalar32 => float_sink!(op, f32_add, f32_sub, f32_mul, f32_div),
            Shape::Scalar64 => float_sink!(op, f64_add, f64_sub, f64_mul, f64_div),
            Shape::Packed32 => float_sink!(op, f32x4_add, f32x4_sub, f32x4_mul, f32x4_div),
            Shape::Packed64 => float_sink!(op, f64x2_add, f64x2_sub, f64x2_mul, f64x2_div),
        };
        let Some(sink) = sink else { return false };
        match shape {
            Shape::Packed32 | Shape::Packed64 => self.simple(o, sink),
            _ => {
                self.vget(o.a);
                self.low_lane(shape, o.a);
                self.low_lane(shape, o.b);
                sink(&mut self.s());
                self.merge_low(shape);
                self.vset(o.dst);
                true
            }
        }
    }

    /// Pushes a vector's low lane.
    fn low_lane(&mut self, shape: Shape, slot: VSlot) {
        self.vget(slot);
        self.pick(
            shape == Shape::Scalar32,
            |s| {
                s.f32x4_extract_lane(0);
            },
            |s| {
                s.f64x2_extract_lane(0);
            },
        );
    }

    /// Pops a number into the low lane of the vector below it.
    fn merge_low(&mut self, shape: Shape) {
        self.pick(
            shape == Shape::Scalar32,
            |s| {
                s.f32x4_replace_lane(0);
            },
            |s| {
                s.f64x2_replace_lane(0);
            },
        );
    }

    /// An operation of `b`, whose other lanes come from `a` if it is scalar.
    fn of_b(&mut self, shape: Shape, o: Operands, sink: Sink) -> bool {
        if matches!(shape, Shape::Packed32 | Shape::Packed64) {
            self.vget(o.b);
            sink(&mut self.s());
        } else {
            self.vget(o.a);
            self.low_lane(shape, o.b);
            sink(&mut self.s());
            self.merge_low(shape);
        }
        self.vset(o.dst);
        true
    }

    /// RCPPS, RSQRTPS and their scalars, exactly: they exist for single precision only.
    fn reciprocal(&mut self, of_root: bool, shape: Shape, o: Operands) -> bool {
        match shape {
            Shape::Packed32 => {
                self.s().v128_const(dwords(1f32.to_bits()));
                self.vget(o.b);
                if of_root {
                    self.s().f32x4_sqrt();
                }
                self.s().f32x4_div();
            }
            Shape::Scalar32 => {
                self.vget(o.a);
                self.s().f32_const(1.0.into());
                self.low_lane(shape, o.b);
                if of_root {
                    self.s().f32_sqrt();
                }
                self.s().f32_div();
                self.merge_low(shape);
            }
            _ => return false,
        }
        self.vset(o.dst);
        true
    }

    /// MINPS: a < b ? a : b, which is WebAssembly's "pseudo-minimum" of b and a.
    fn extreme(&mut self, is_min: bool, shape: Shape, o: Operands) -> bool {
        let is_single = matches!(shape, Shape::Scalar32 | Shape::Packed32);
        let is_scalar = matches!(shape, Shape::Scalar32 | Shape::Scalar64);
        if is_scalar {
            self.vget(o.a);
        }
        self.vget(o.b);
        self.vget(o.a);
        match (is_single, is_min) {
            (true, true) => self.s().f32x4_pmin(),
            (true, false) => self.s().f32x4_pmax(),
            (false, true) => self.s().f64x2_pmin(),
            (false, false) => self.s().f64x2_pmax(),
        };
        if is_scalar {
            self.pick(
                is_single,
                |s| {
                    s.f32x4_extract_lane(0);
                },
                |s| {
                    s.f64x2_extract_lane(0);
                },
            );
            self.merge_low(shape);
        }
        self.vset(o.dst);
        true
    }

    fn round(&mut self, shape: Shape, o: Operands) -> bool {
        // The current mode is that to nearest.
        let mode = if o.imm & 4 != 0 { 0 } else { o.imm & 3 };
        let sink: Sink = match (shape, mode) {
            (Shape::Scalar32, 0) => one!(f32_nearest),
            (Shape::Scalar32, 1) => one!(f32_floor),
            (Shape::Scalar32, 2) => one!(f32_ceil),
            (Shape::Scalar32, _) => one!(f32_trunc),
            (Shape::Scalar64, 0) => one!(f64_nearest),
            (Shape::Scalar64, 1) => one!(f64_floor),
            (Shape::Scalar64, 2) => one!(f64_ceil),
            (Shape::Scalar64, _) => one!(f64_trunc),
            (Shape::Packed32, 0) => one!(f32x4_nearest),
            (Shape::Packed32, 1) => one!(f32x4_floor),
            (Shape::Packed32, 2) => one!(f32x4_ceil),
            (Shape::Packed32, _) => one!(f32x4_trunc),
            (Shape::Packed64, 0) => one!(f64x2_nearest),
            (Shape::Packed64, 1) => one!(f64x2_floor),
            (Shape::Packed64, 2) => one!(f64x2_ceil),
            (Shape::Packed64, _) => one!(f64x2_trunc),
        };
        self.of_b(shape, o, sink)
    }

    /// CMPPS and its relatives. Scalar ones compare whole vectors and keep the low lane.
    fn compare_floats(&mut self, shape: Shape, o: Operands) -> bool {
        let is_single = matches!(shape, Shape::Scalar32 | Shape::Packed32);
        let is_scalar = matches!(shape, Shape::Scalar32 | Shape::Scalar64);
        if is_scalar {
            self.vget(o.a);
        }
        if o.imm & 3 == 3 {
            // Unordered: either differs from itself.
            for operand in [o.a, o.b] {
                self.vget(operand);
                self.vget(operand);
                self.pick(is_single, one!(f32x4_ne), one!(f64x2_ne));
            }
            self.s().v128_or();
        } else {
            self.vget(o.a);
            self.vget(o.b);
            match (is_single, o.imm & 3) {
                (true, 0) => self.s().f32x4_eq(),
                (true, 1) => self.s().f32x4_lt(),
                (true, _) => self.s().f32x4_le(),
                (false, 0) => self.s().f64x2_eq(),
                (false, 1) => self.s().f64x2_lt(),
                (false, _) => self.s().f64x2_le(),
            };
        }
        if o.imm & 4 != 0 {
            self.s().v128_not();
        }
        if is_scalar {
            if is_single {
                self.s().i32x4_extract_lane(0).i32x4_replace_lane(0);
            } else {
                self.s().i64x2_extract_lane(0).i64x2_replace_lane(0);
            }
        }
        self.vset(o.dst);
        true
    }

    // ---- conversions ----

    pub(super) fn convert(&mut self, conversion: Conversion, o: Operands) -> bool {
        use Conversion as C;
        match conversion {
            C::I32x4ToF32x4 => self.converted(o, one!(f32x4_convert_i32x4_s)),
            C::I32x2ToF64x2 => self.converted(o, one!(f64x2_convert_low_i32x4_s)),
            C::F32x2ToF64x2 => self.converted(o, one!(f64x2_promote_low_f32x4)),
            C::F64x2ToF32x2 => self.converted(o, one!(f32x4_demote_f64x2_zero)),
            C::MergeF32ToF64 => self.merged(o, |s| {
                s.f32x4_extract_lane(0).f64_promote_f32().f64x2_replace_lane(0);
            }),
            C::MergeF64ToF32 => self.merged(o, |s| {
                s.f64x2_extract_lane(0).f32_demote_f64().f32x4_replace_lane(0);
            }),
            C::MergeI32ToF32 => self.merged(o, |s| {
                s.i32x4_extract_lane(0).f32_convert_i32_s().f32x4_replace_lane(0);
            }),
            C::MergeI64ToF32 => self.merged(o, |s| {
                s.i64x2_extract_lane(0).f32_convert_i64_s().f32x4_replace_lane(0);
            }),
            C::MergeI32ToF64 => self.merged(o, |s| {
                s.i32x4_extract_lane(0).f64_convert_i32_s().f64x2_replace_lane(0);
            }),
            C::MergeI64ToF64 => self.merged(o, |s| {
                s.i64x2_extract_lane(0).f64_convert_i64_s().f64x2_replace_lane(0);
            }),
            C::F32x4ToI32x4 => self.singles_to_integers(o, true),
            C::F32x4ToI32x4Truncated => self.singles_to_integers(o, false),
            C::F64x2ToI32x2 => self.doubles_to_integers(o, true),
            C::F64x2ToI32x2Truncated => self.doubles_to_integers(o, false),
            _ => return self.integer_in_vector(VectorOp::Convert(conversion), o),
        }
        true
    }

    fn converted(&mut self, o: Operands, sink: Sink) {
        self.vget(o.b);
        sink(&mut self.s());
        self.vset(o.dst);
    }

    /// `sink` takes `a` and `b`.
    fn merged(&mut self, o: Operands, sink: Sink) {
        self.vget(o.a);
        self.vget(o.b);
        sink(&mut self.s());
        self.vset(o.dst);
    }

    /// Pushes the low number as an integer, an i64. What does not fit becomes the most negative integer: WebAssembly's
    /// saturating conversion gives that for numbers too low, so only too high ones and NaN remain.
    pub(super) fn integral(&mut self, b: VSlot, from_single: bool, to_64: bool, round: bool) {
        // Every f32 is an f64.
        let value = self.locals.take(ValType::F64);
        self.vget(b);
        if from_single {
            self.s().f32x4_extract_lane(0).f64_promote_f32();
        } else {
            self.s().f64x2_extract_lane(0);
        }
        if round {
            self.s().f64_nearest();
        }
        self.s().local_tee(value);
        if to_64 {
            self.s().i64_trunc_sat_f64_s().i64_const(i64::MIN);
            self.s().local_get(value).f64_const(9_223_372_036_854_775_808.0.into()).f64_lt().select();
        } else {
            self.s().i32_trunc_sat_f64_s().i32_const(i32::MIN);
            self.s().local_get(value).f64_const(2_147_483_648.0.into()).f64_lt().select().i64_extend_i32_u();
        }
        self.locals.give(ValType::F64, value);
    }

    /// CVTPS2DQ, CVTTPS2DQ: saturated, then the lanes that are too high or NaN replaced.
    fn singles_to_integers(&mut self, o: Operands, round: bool) {
        let value = self.locals.take(ValType::V128);
        self.vget(o.b);
        if round {
            self.s().f32x4_nearest();
        }
        self.s().local_tee(value).i32x4_trunc_sat_f32x4_s().v128_const(dwords(0x8000_0000));
        self.s().local_get(value).v128_const(dwords(2_147_483_648f32.to_bits())).f32x4_lt().v128_bitselect();
        self.locals.give(ValType::V128, value);
        self.vset(o.dst);
    }

    /// CVTPD2DQ, CVTTPD2DQ, likewise; the upper half becomes 0.
    fn doubles_to_integers(&mut self, o: Operands, round: bool) {
        const EVEN: [u8; 16] = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
        let limit = i128::from(2_147_483_648f64.to_bits());
        let value = self.locals.take(ValType::V128);
        self.vget(o.b);
        if round {
            self.s().f64x2_nearest();
        }
        self.s().local_tee(value).i32x4_trunc_sat_f64x2_s_zero().v128_const(0x8000_0000_8000_0000);
        self.s().local_get(value).v128_const(limit << 64 | limit).f64x2_lt().local_tee(value);
        self.s().local_get(value).i8x16_shuffle(EVEN).v128_bitselect();
        self.locals.give(ValType::V128, value);
        self.vset(o.dst);
    }
}
