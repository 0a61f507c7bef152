//! SSE: vector operations as WebAssembly's 128-bit ones. What has no short equivalent is carried out by Rust.
//!
//! | module | subject |
//! |---|---|
//! | [`composed`] | operations of several instructions |
//! | [`exact`] | what MXCSR has a say in, for programs that look at it |
//! | [`float`] | floating point: arithmetic, comparisons, conversions |

mod composed;
mod exact;
mod float;

use cpu::helper::Helper;
use cpu::ir::{Conversion, Lane, Op, Slot, VSlot, VectorOp, slot};
use cpu::rflags::ZF;
use cpu::state::Floats;
use cpu::vector::exact as floats;
use wasm_encoder::ValType;

use super::{Emitter, Sink, one};

/// The instruction for each lane width there is one for: 8, 16, 32, 64 bits.
macro_rules! by_lane {
    ($lane:expr, $($l:ident: $name:ident),*) => {
        match $lane { $( Lane::$l => Some(one!($name) as Sink), )* #[allow(unreachable_patterns)] _ => None }
    };
}
use by_lane;

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

    /// Whether an operation has to do what MXCSR says, and note there what happens.
    pub(super) fn obeys_mxcsr(&self, op: &Op) -> bool {
        self.settings.floats == Floats::Exact
            && match op {
                Op::Vector { op, .. } => floats::depends_on_control(*op),
                Op::Helper { helper, .. } => *helper == Helper::FloatOperands,
                _ => false,
            }
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
                self.shift(op, o) || self.integer_in_vector(op, o) || self.low(op, o) || self.composed(op, o)
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

    // ---- integers of vectors ----

    /// PTEST: ZF if no bit is set in both, CF if none is in `b` alone.
    pub(super) fn test_vector(&mut self, a: VSlot, b: VSlot) {
        self.vget(b);
        self.vget(a);
        self.s().v128_and().v128_any_true().i32_eqz().i32_const(ZF.trailing_zeros() as i32).i32_shl();
        self.vget(b);
        self.vget(a);
        self.s().v128_andnot().v128_any_true().i32_eqz().i32_or();
        self.set32(slot::NEW_FLAGS);
    }

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
            VectorOp::Extract(lane) => {
                self.vget(b);
                match lane {
                    Lane::L8 => self.s().i8x16_extract_lane_u(imm & 15).i64_extend_i32_u(),
                    Lane::L16 => self.s().i16x8_extract_lane_u(imm & 7).i64_extend_i32_u(),
                    Lane::L32 => self.s().i32x4_extract_lane(imm & 3).i64_extend_i32_u(),
                    Lane::L64 => self.s().i64x2_extract_lane(imm & 1),
                };
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
        if self.obeys_mxcsr(first) || self.obeys_mxcsr(second) {
            return false;
        }
        match (*first, *second) {
            (Op::Vector { op, dst, b, imm, .. }, Op::VToSlot64 { dst: slot, src })
                if dst == src && dst.0 >= slot::VECTOR_SCRATCH && self.integer_of(op, b, imm) =>
            {
                let is_narrow = match op {
                    VectorOp::Extract(lane) => lane != Lane::L64,
                    op => matches!(op, VectorOp::MoveMask(_)),
                };
                if is_narrow {
                    self.set_narrow(slot)
                } else {
                    self.set(slot)
                }
                true
            }
            (Op::VFromSlot32 { dst, src } | Op::VFromSlot64 { dst, src }, Op::Vector { op, dst: to, a, b, imm })
                if dst == b && a != b && dst.0 >= slot::VECTOR_SCRATCH =>
            {
                let o = Operands { dst: to, a, b, imm };
                self.converted_integer(op, src, o) || self.inserted_integer(op, src, o)
            }
            _ => false,
        }
    }

    /// CVTSI2SD and its relatives, straight from a general register.
    fn converted_integer(&mut self, op: VectorOp, src: Slot, o: Operands) -> bool {
        use Conversion as C;
        let VectorOp::Convert(conversion) = op else { return false };
        if !matches!(conversion, C::MergeI32ToF32 | C::MergeI64ToF32 | C::MergeI32ToF64 | C::MergeI64ToF64) {
            return false;
        }
        self.vget(o.a);
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
        self.vset(o.dst);
        true
    }

    /// PINSRB and its relatives, likewise.
    fn inserted_integer(&mut self, op: VectorOp, src: Slot, o: Operands) -> bool {
        let VectorOp::Insert(lane) = op else { return false };
        self.vget(o.a);
        if lane == Lane::L64 {
            self.get(src)
        } else {
            self.get32(src)
        }
        match lane {
            Lane::L8 => self.s().i8x16_replace_lane(o.imm & 15),
            Lane::L16 => self.s().i16x8_replace_lane(o.imm & 7),
            Lane::L32 => self.s().i32x4_replace_lane(o.imm & 3),
            Lane::L64 => self.s().i64x2_replace_lane(o.imm & 1),
        };
        self.vset(o.dst);
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

/// A vector of equal bytes, 16-bit or 32-bit numbers.
fn bytes(value: u8) -> i128 {
    i128::from_le_bytes([value; 16])
}

fn words(value: u16) -> i128 {
    (0..8).fold(0, |all, lane| all | i128::from(value) << (16 * lane))
}

fn dwords(value: u32) -> i128 {
    (0..4).fold(0, |all, lane| all | i128::from(value) << (32 * lane))
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
