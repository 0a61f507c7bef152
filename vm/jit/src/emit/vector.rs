//! SSE: vector operations as WebAssembly's 128-bit ones. What has no short equivalent is carried out by Rust.
//!
//! Floating point here is that of the default MXCSR (round to nearest, exceptions masked, denormals kept); the engine
//! runs nothing compiled while a program has set another.

use cpu::ir::{Conversion, FloatOp, Lane, Op, Shape, Slot, VSlot, VectorOp, slot};
use wasm_encoder::ValType;

use super::{Emitter, Sink, one};

/// The instruction for each lane width there is one for: 8, 16, 32, 64 bits.
macro_rules! by_lane {
    ($lane:expr, $($l:ident: $name:ident),*) => {
        match $lane { $( Lane::$l => Some(one!($name) as Sink), )* #[allow(unreachable_patterns)] _ => None }
    };
}

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

/// Operands of an [`Op::Vector`].
#[derive(Clone, Copy)]
struct Operands {
    dst: VSlot,
    a: VSlot,
    b: VSlot,
    imm: u8,
}

impl Emitter<'_> {
    /// Emits an operation that involves vectors, if it is short.
    pub(super) fn vector(&mut self, op: &Op) -> bool {
        match *op {
            Op::VMove { dst, src } => {
                self.vget(src);
                self.vset(dst);
            }
            Op::VFromSlot32 { dst, src } => {
                self.s().v128_const(0);
                self.get32(src);
                self.s().i32x4_replace_lane(0);
                self.vset(dst);
            }
            Op::VFromSlot64 { dst, src } => {
                self.s().v128_const(0);
                self.get(src);
                self.s().i64x2_replace_lane(0);
                self.vset(dst);
            }
            Op::VToSlot32 { dst, src } => {
                self.vget(src);
                self.s().i32x4_extract_lane(0);
                self.set32(dst);
            }
            Op::VToSlot64 { dst, src } => {
                self.vget(src);
                self.s().i64x2_extract_lane(0);
                self.set(dst);
            }
            Op::Vector { op, dst, a, b, imm } => return self.compute(op, Operands { dst, a, b, imm }),
            _ => return false,
        }
        true
    }

    fn compute(&mut self, op: VectorOp, o: Operands) -> bool {
        match op {
            VectorOp::Float(op, shape) => self.float(op, shape, o),
            VectorOp::Convert(conversion) => self.convert(conversion, o),
            _ => {
                if let Some(sink) = two_operands(op) {
                    return self.simple(o, sink);
                }
                if let Some(lanes) = shuffled(op, o.imm) {
                    self.vget(o.a);
                    self.vget(o.b);
                    self.s().i8x16_shuffle(lanes);
                    self.vset(o.dst);
                    return true;
                }
                self.shift(op, o)
                    || self.absolute(op, o)
                    || self.integer_in_vector(op, o)
                    || self.low(op, o)
                    || self.odd(op, o)
            }
        }
    }

    fn simple(&mut self, o: Operands, sink: Sink) -> bool {
        self.vget(o.a);
        self.vget(o.b);
        sink(&mut self.s());
        self.vset(o.dst);
        true
    }

    /// Shifts of lanes by an immediate.
    fn shift(&mut self, op: VectorOp, o: Operands) -> bool {
        let (lane, sink) = match op {
            VectorOp::ShlImm(lane) => (lane, by_lane!(lane, L16: i16x8_shl, L32: i32x4_shl, L64: i64x2_shl)),
            VectorOp::ShrImm(lane) => (lane, by_lane!(lane, L16: i16x8_shr_u, L32: i32x4_shr_u, L64: i64x2_shr_u)),
            VectorOp::SarImm(lane) => (lane, by_lane!(lane, L16: i16x8_shr_s, L32: i32x4_shr_s, L64: i64x2_shr_s)),
            _ => return false,
        };
        let Some(sink): Option<Sink> = sink else { return false };
        let bits = lane_bits(lane);
        let is_arithmetic = matches!(op, VectorOp::SarImm(_));
        if u32::from(o.imm) >= bits && !is_arithmetic {
            self.s().v128_const(0);
        } else {
            self.vget(o.a);
            self.s().i32_const(u32::from(o.imm).min(bits - 1) as i32);
            sink(&mut self.s());
        }
        self.vset(o.dst);
        true
    }

    /// Absolute values.
    fn absolute(&mut self, op: VectorOp, o: Operands) -> bool {
        let VectorOp::Abs(lane) = op else { return false };
        let Some(sink): Option<Sink> = by_lane!(lane, L8: i8x16_abs, L16: i16x8_abs, L32: i32x4_abs) else {
            return false;
        };
        self.vget(o.b);
        sink(&mut self.s());
        self.vset(o.dst);
        true
    }

    // ---- integers of vectors ----

    /// Operations whose result is an integer in the low lane, the rest 0: pushes the integer, an i64.
    fn integer_of(&mut self, op: VectorOp, b: VSlot, imm: u8) -> bool {
        use Conversion as C;
        match op {
            VectorOp::MoveMask(lane) => {
                let sink: Option<Sink> =
                    by_lane!(lane, L8: i8x16_bitmask, L16: i16x8_bitmask, L32: i32x4_bitmask, L64: i64x2_bitmask);
                let Some(sink) = sink else { return false };
                self.vget(b);
                sink(&mut self.s());
                self.s().i64_extend_i32_u();
            }
            VectorOp::Extract16 => {
                self.vget(b);
                self.s().i16x8_extract_lane_u(imm & 7).i64_extend_i32_u();
            }
            VectorOp::Convert(C::F32ToI32 | C::F32ToI32Truncated) => {
                self.integral(b, true, false, op == VectorOp::Convert(C::F32ToI32));
            }
            VectorOp::Convert(C::F32ToI64 | C::F32ToI64Truncated) => {
                self.integral(b, true, true, op == VectorOp::Convert(C::F32ToI64));
            }
            VectorOp::Convert(C::F64ToI32 | C::F64ToI32Truncated) => {
                self.integral(b, false, false, op == VectorOp::Convert(C::F64ToI32));
            }
            VectorOp::Convert(C::F64ToI64 | C::F64ToI64Truncated) => {
                self.integral(b, false, true, op == VectorOp::Convert(C::F64ToI64));
            }
            _ => return false,
        }
        true
    }

    /// Such an operation whose result goes to a vector after all.
    fn integer_in_vector(&mut self, op: VectorOp, o: Operands) -> bool {
        if !self.integer_of(op, o.b, o.imm) {
            return false;
        }
        let value = self.locals.take(ValType::I64);
        self.s().local_set(value).v128_const(0).local_get(value).i64x2_replace_lane(0);
        self.locals.give(ValType::I64, value);
        self.vset(o.dst);
        true
    }

    /// Two operations that only pass a value through a scratch vector, as one. Returns whether they were.
    pub(super) fn fused(&mut self, first: &Op, second: &Op) -> bool {
        match (*first, *second) {
            (Op::Vector { op, dst, b, imm, .. }, Op::VToSlot64 { dst: slot, src })
                if dst == src && dst.0 >= slot::VECTOR_SCRATCH && self.integer_of(op, b, imm) =>
            {
                let is_narrow = matches!(op, VectorOp::MoveMask(_) | VectorOp::Extract16);
                if is_narrow {
                    self.set_narrow(slot)
                } else {
                    self.set(slot)
                }
                true
            }
            (Op::VFromSlot32 { dst, src } | Op::VFromSlot64 { dst, src }, Op::Vector { op, dst: to, a, b, .. })
                if dst == b && a != b && dst.0 >= slot::VECTOR_SCRATCH =>
            {
                self.converted_integer(op, src, a, to)
            }
            _ => false,
        }
    }

    /// CVTSI2SD and its relatives, straight from a general register.
    fn converted_integer(&mut self, op: VectorOp, src: Slot, a: VSlot, dst: VSlot) -> bool {
        use Conversion as C;
        let VectorOp::Convert(conversion) = op else { return false };
        if !matches!(conversion, C::MergeI32ToF32 | C::MergeI64ToF32 | C::MergeI32ToF64 | C::MergeI64ToF64) {
            return false;
        }
        self.vget(a);
        if matches!(conversion, C::MergeI32ToF32 | C::MergeI32ToF64) {
            self.get32(src)
        } else {
            self.get(src)
        }
        match conversion {
            C::MergeI32ToF32 => self.s().f32_convert_i32_s().f32x4_replace_lane(0),
            C::MergeI64ToF32 => self.s().f32_convert_i64_s().f32x4_replace_lane(0),
            C::MergeI32ToF64 => self.s().f64_convert_i32_s().f64x2_replace_lane(0),
            _ => self.s().f64_convert_i64_s().f64x2_replace_lane(0),
        };
        self.vset(dst);
        true
    }

    /// Operations that replace low lanes of `a`, or a chosen one.
    fn low(&mut self, op: VectorOp, o: Operands) -> bool {
        match op {
            VectorOp::MoveLow32 => {
                self.vget(o.a);
                self.vget(o.b);
                self.s().f32x4_extract_lane(0).f32x4_replace_lane(0);
            }
            VectorOp::MoveLow64 => {
                self.vget(o.a);
                self.vget(o.b);
                self.s().f64x2_extract_lane(0).f64x2_replace_lane(0);
            }
            VectorOp::Low32 => {
                self.s().v128_const(0);
                self.vget(o.b);
                self.s().f32x4_extract_lane(0).f32x4_replace_lane(0);
            }
            VectorOp::Low64 => {
                self.s().v128_const(0);
                self.vget(o.b);
                self.s().f64x2_extract_lane(0).f64x2_replace_lane(0);
            }
            VectorOp::Insert(lane) => {
                self.vget(o.a);
                self.vget(o.b);
                match lane {
                    Lane::L8 => self.s().i8x16_extract_lane_u(0).i8x16_replace_lane(o.imm & 15),
                    Lane::L16 => self.s().i16x8_extract_lane_u(0).i16x8_replace_lane(o.imm & 7),
                    Lane::L32 => self.s().i32x4_extract_lane(0).i32x4_replace_lane(o.imm & 3),
                    Lane::L64 => self.s().i64x2_extract_lane(0).i64x2_replace_lane(o.imm & 1),
                };
            }
            _ => return false,
        }
        self.vset(o.dst);
        true
    }

    /// What takes a few instructions.
    fn odd(&mut self, op: VectorOp, o: Operands) -> bool {
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
                self.s().v128_const(i128::from_le_bytes([0x8f; 16])).v128_and().i8x16_swizzle();
            }
            VectorOp::MulEvenU32 => {
                const EVEN: [u8; 16] = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
                for operand in [o.a, o.b] {
                    self.vget(operand);
                    self.vget(operand);
                    self.s().i8x16_shuffle(EVEN);
                }
                self.s().i64x2_extmul_low_i32x4_u();
            }
            VectorOp::MulHighS16 => {
                self.multiply_high_lanes(o, one!(i32x4_extmul_low_i16x8_s), one!(i32x4_extmul_high_i16x8_s))
            }
            VectorOp::MulHighU16 => {
                self.multiply_high_lanes(o, one!(i32x4_extmul_low_i16x8_u), one!(i32x4_extmul_high_i16x8_u))
            }
            VectorOp::Shl(lane) | VectorOp::Shr(lane) | VectorOp::Sar(lane) => {
                return self.shift_by_register(op, lane, o);
            }
            _ => return false,
        }
        self.vset(o.dst);
        true
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

    /// Shifts of every lane by `b`'s low 64 bits; counts of the lane's width or more shift everything out.
    fn shift_by_register(&mut self, op: VectorOp, lane: Lane, o: Operands) -> bool {
        let sink: Option<Sink> = match op {
            VectorOp::Shl(_) => by_lane!(lane, L16: i16x8_shl, L32: i32x4_shl, L64: i64x2_shl),
            VectorOp::Shr(_) => by_lane!(lane, L16: i16x8_shr_u, L32: i32x4_shr_u, L64: i64x2_shr_u),
            _ => by_lane!(lane, L16: i16x8_shr_s, L32: i32x4_shr_s),
        };
        let Some(sink) = sink else { return false };
        let last = i64::from(lane_bits(lane)) - 1;
        let count = self.locals.take(ValType::I64);
        self.vget(o.b);
        self.s().i64x2_extract_lane(0).local_set(count);
        self.vget(o.a);
        // For arithmetic shifts the largest count does what all larger ones do.
        self.s().local_get(count).i64_const(last).local_get(count).i64_const(last).i64_lt_u().select().i32_wrap_i64();
        sink(&mut self.s());
        if !matches!(op, VectorOp::Sar(_)) {
            self.s().v128_const(0).local_get(count).i64_const(last).i64_le_u().select();
        }
        self.locals.give(ValType::I64, count);
        self.vset(o.dst);
        true
    }

    // ---- floating point ----

    fn float(&mut self, op: FloatOp, shape: Shape, o: Operands) -> bool {
        match op {
            FloatOp::Compare => return self.compare_floats(shape, o),
            FloatOp::Round if o.imm & 4 == 0 => return self.round(shape, o),
            FloatOp::Sqrt => {
                let sink: Sink = match shape {
                    Shape::Scalar32 => one!(f32_sqrt),
                    Shape::Scalar64 => one!(f64_sqrt),
                    Shape::Packed32 => one!(f32x4_sqrt),
                    Shape::Packed64 => one!(f64x2_sqrt),
                };
                return self.of_b(shape, o, sink);
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
        let sink: Sink = match (shape, o.imm & 3) {
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

    fn convert(&mut self, conversion: Conversion, o: Operands) -> bool {
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
            C::F32x4ToI32x4Truncated => self.packed_to_integers(o),
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
    fn integral(&mut self, b: VSlot, from_single: bool, to_64: bool, round: bool) {
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

    /// CVTTPS2DQ: saturated, then the lanes that are too high or NaN replaced.
    fn packed_to_integers(&mut self, o: Operands) {
        let splat = |value: u32| (0..4).fold(0u128, |all, lane| all | u128::from(value) << (32 * lane)) as i128;
        self.vget(o.b);
        self.s().i32x4_trunc_sat_f32x4_s().v128_const(splat(0x8000_0000));
        self.vget(o.b);
        self.s().v128_const(splat(2_147_483_648f32.to_bits())).f32x4_lt().v128_bitselect();
        self.vset(o.dst);
    }
}

fn lane_bits(lane: Lane) -> u32 {
    match lane {
        Lane::L8 => 8,
        Lane::L16 => 16,
        Lane::L32 => 32,
        Lane::L64 => 64,
    }
}

/// Operations that are one instruction of both operands.
fn two_operands(op: VectorOp) -> Option<Sink> {
    use VectorOp as V;
    match op {
        V::And => Some(one!(v128_and) as Sink),
        V::Or => Some(one!(v128_or)),
        V::Xor => Some(one!(v128_xor)),
        V::Add(lane) => by_lane!(lane, L8: i8x16_add, L16: i16x8_add, L32: i32x4_add, L64: i64x2_add),
        V::Sub(lane) => by_lane!(lane, L8: i8x16_sub, L16: i16x8_sub, L32: i32x4_sub, L64: i64x2_sub),
        V::AddSatS(lane) => by_lane!(lane, L8: i8x16_add_sat_s, L16: i16x8_add_sat_s),
        V::AddSatU(lane) => by_lane!(lane, L8: i8x16_add_sat_u, L16: i16x8_add_sat_u),
        V::SubSatS(lane) => by_lane!(lane, L8: i8x16_sub_sat_s, L16: i16x8_sub_sat_s),
        V::SubSatU(lane) => by_lane!(lane, L8: i8x16_sub_sat_u, L16: i16x8_sub_sat_u),
        V::MinS(lane) => by_lane!(lane, L8: i8x16_min_s, L16: i16x8_min_s, L32: i32x4_min_s),
        V::MinU(lane) => by_lane!(lane, L8: i8x16_min_u, L16: i16x8_min_u, L32: i32x4_min_u),
        V::MaxS(lane) => by_lane!(lane, L8: i8x16_max_s, L16: i16x8_max_s, L32: i32x4_max_s),
        V::MaxU(lane) => by_lane!(lane, L8: i8x16_max_u, L16: i16x8_max_u, L32: i32x4_max_u),
        V::Average(lane) => by_lane!(lane, L8: i8x16_avgr_u, L16: i16x8_avgr_u),
        V::CompareEq(lane) => by_lane!(lane, L8: i8x16_eq, L16: i16x8_eq, L32: i32x4_eq, L64: i64x2_eq),
        V::CompareGtS(lane) => by_lane!(lane, L8: i8x16_gt_s, L16: i16x8_gt_s, L32: i32x4_gt_s, L64: i64x2_gt_s),
        V::MulLow16 => Some(one!(i16x8_mul)),
        V::MulLow32 => Some(one!(i32x4_mul)),
        V::MulAdd16 => Some(one!(i32x4_dot_i16x8_s)),
        V::PackS(Lane::L16) => Some(one!(i8x16_narrow_i16x8_s)),
        V::PackU(Lane::L16) => Some(one!(i8x16_narrow_i16x8_u)),
        V::PackS(Lane::L32) => Some(one!(i16x8_narrow_i32x4_s)),
        V::PackU(Lane::L32) => Some(one!(i16x8_narrow_i32x4_u)),
        _ => None,
    }
}

/// Operations that pick bytes of `a` (0 to 15) and `b` (16 to 31).
fn shuffled(op: VectorOp, imm: u8) -> Option<[u8; 16]> {
    use VectorOp as V;
    let select = |i: u8| imm >> (2 * i) & 3;
    // From a list of 32-bit (16-bit, 64-bit) lanes, numbered through both operands.
    let of32 = |lanes: [u8; 4]| std::array::from_fn(|i| lanes[i / 4] * 4 + i as u8 % 4);
    let of16 = |lanes: [u8; 8]| std::array::from_fn(|i| lanes[i / 2] * 2 + i as u8 % 2);
    let of64 = |lanes: [u8; 2]| std::array::from_fn(|i| lanes[i / 8] * 8 + i as u8 % 8);
    Some(match op {
        V::Shuffle32 => of32([select(0), select(1), 4 + select(2), 4 + select(3)]),
        V::Shuffle64 => of64([imm & 1, 2 + (imm >> 1 & 1)]),
        V::Permute32 => of32(std::array::from_fn(|i| 4 + select(i as u8))),
        V::PermuteLow16 => of16(std::array::from_fn(|i| 8 + if i < 4 { select(i as u8) } else { i as u8 })),
        V::PermuteHigh16 => of16(std::array::from_fn(|i| 8 + if i < 4 { i as u8 } else { 4 + select(i as u8 - 4) })),
        V::DupLow64 => of64([2, 2]),
        V::DupOdd32 => of32([5, 5, 7, 7]),
        V::DupEven32 => of32([4, 4, 6, 6]),
        V::HighToLow => of64([3, 1]),
        V::UnpackLow(lane) => interleaved(lane, 0),
        V::UnpackHigh(lane) => interleaved(lane, 1),
        // Bytes of b, then of a.
        V::Align if imm <= 16 => std::array::from_fn(|i| {
            let at = i as u8 + imm;
            if at < 16 { 16 + at } else { at - 16 }
        }),
        V::Blend(lane) => {
            let bytes = lane_bits(lane) as u8 / 8;
            std::array::from_fn(|i| i as u8 + if imm >> (i as u8 / bytes) & 1 != 0 { 16 } else { 0 })
        }
        _ => return None,
    })
}

fn interleaved(lane: Lane, half: u8) -> [u8; 16] {
    let bytes = lane_bits(lane) as u8 / 8;
    std::array::from_fn(|i| {
        let (at, byte) = (i as u8 / bytes, i as u8 % bytes);
        let from = half * (8 / bytes) + at / 2;
        (at % 2) * 16 + from * bytes + byte
    })
}
