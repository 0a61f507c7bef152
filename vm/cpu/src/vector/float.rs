//! Floating-point lanes, with x86's rules for NaN, minimum and maximum, and MXCSR's rounding.
//!
//! Rounding to nearest, which practically every program keeps, is the host's own arithmetic. The other modes go
//! through `rustc_apfloat`.

use std::array::from_fn;

use rustc_apfloat::ieee::{Double, Single};
use rustc_apfloat::{Float as Soft, Round, StatusAnd};

use super::{join, lanes};
use crate::ir::{FloatOp, Shape};

/// Rounding mode in MXCSR or the x87 control word: bits 0 and 1 after shifting.
pub fn rounding(control: u32) -> Round {
    match control & 3 {
        0 => Round::NearestTiesToEven,
        1 => Round::TowardNegative,
        2 => Round::TowardPositive,
        _ => Round::TowardZero,
    }
}

/// Rounding mode bits of MXCSR.
fn mode(mxcsr: u32) -> u32 {
    mxcsr >> 13 & 3
}

/// What both lane types need.
trait Value: Copy + PartialOrd + bytemuck::Pod {
    const ALL_ONES: Self;
    const ZERO: Self;
    fn arith(op: FloatOp, a: Self, b: Self, mode: u32) -> Self;
    fn is_nan(self) -> bool;
    fn round(self, mode: u32) -> Self;
}

macro_rules! value {
    ($ty:ty, $bits:ty, $soft:ty, $quiet:expr, $default_nan:expr) => {
        impl Value for $ty {
            const ALL_ONES: Self = <$ty>::from_bits(<$bits>::MAX);
            const ZERO: Self = 0.0;

            fn arith(op: FloatOp, a: Self, b: Self, mode: u32) -> Self {
                let result = match op {
                    _ if mode != 0 && !matches!(op, FloatOp::Reciprocal | FloatOp::ReciprocalSqrt) => {
                        soft_arith!($ty, $bits, $soft, op, a, b, mode)
                    }
                    FloatOp::Add => a + b,
                    FloatOp::Sub => a - b,
                    FloatOp::Mul => a * b,
                    FloatOp::Div => a / b,
                    FloatOp::Sqrt => b.sqrt(),
                    FloatOp::Reciprocal => 1.0 / b,
                    _ => 1.0 / b.sqrt(),
                };
                if !result.is_nan() {
                    return result;
                }
                // The first NaN operand made quiet; a fresh NaN is the negative default one.
                let unary = matches!(op, FloatOp::Sqrt | FloatOp::Reciprocal | FloatOp::ReciprocalSqrt);
                let source = if a.is_nan() && !unary { a } else { b };
                let bits = if source.is_nan() { source.to_bits() | $quiet } else { $default_nan };
                <$ty>::from_bits(bits)
            }

            fn is_nan(self) -> bool {
                self.is_nan()
            }

            fn round(self, mode: u32) -> Self {
                if self.is_nan() {
                    return <$ty>::from_bits(self.to_bits() | $quiet);
                }
                match mode & 3 {
                    0 => self.round_ties_even(),
                    1 => self.floor(),
                    2 => self.ceil(),
                    _ => self.trunc(),
                }
            }
        }
    };
}

/// Arithmetic in another rounding mode than to nearest.
macro_rules! soft_arith {
    ($ty:ty, $bits:ty, $soft:ty, $op:expr, $a:expr, $b:expr, $mode:expr) => {{
        let to_soft = |value: $ty| <$soft>::from_bits(value.to_bits().into());
        let (a, b, round) = (to_soft($a), to_soft($b), rounding($mode));
        let StatusAnd { value, .. } = match $op {
            FloatOp::Add => a.add_r(b, round),
            FloatOp::Sub => a.sub_r(b, round),
            FloatOp::Mul => a.mul_r(b, round),
            FloatOp::Div => a.div_r(b, round),
            _ => {
                return directed_sqrt(
                    $b.into(),
                    $mode,
                    |v| v as $ty,
                    |v| v.to_bits() as u64,
                    |v| <$ty>::from_bits(v as $bits),
                );
            }
        };
        <$ty>::from_bits(value.to_bits() as $bits)
    }};
}

/// A square root rounded as `mode` says: the nearest one, corrected by one unit where its square is off.
fn directed_sqrt<T: Copy + Into<f64>>(
    value: f64,
    mode: u32,
    narrow: impl Fn(f64) -> T,
    bits: impl Fn(T) -> u64,
    from_bits: impl Fn(u64) -> T,
) -> T {
    let nearest = narrow(value.sqrt());
    let root: f64 = nearest.into();
    if !(root > 0.0 && root.is_finite()) {
        return if value < 0.0 { narrow(-f64::NAN) } else { nearest };
    }
    // Scaled, so that the square of a tiny root does not underflow. Powers of two are exact.
    let up = if root < 1e-100 { 2f64.powi(500) } else { 1.0 };
    let error = (root * up).mul_add(root * up, -(value * up * up));
    match mode & 3 {
        2 if error < 0.0 => from_bits(bits(nearest) + 1),
        1 | 3 if error > 0.0 => from_bits(bits(nearest) - 1),
        _ => nearest,
    }
}

value!(f32, u32, Single, 0x0040_0000, 0xffc0_0000);
value!(f64, u64, Double, 0x0008_0000_0000_0000, 0xfff8_0000_0000_0000);

/// One lane's result.
fn lane<T: Value>(op: FloatOp, a: T, b: T, imm: u8, mxcsr: u32) -> T {
    match op {
        // If either is NaN or both are zero, the second operand.
        FloatOp::Min => {
            if a < b {
                a
            } else {
                b
            }
        }
        FloatOp::Max => {
            if a > b {
                a
            } else {
                b
            }
        }
        FloatOp::Compare => {
            if compare(a, b, imm) {
                T::ALL_ONES
            } else {
                T::ZERO
            }
        }
        FloatOp::Round => b.round(if imm & 4 != 0 { mode(mxcsr) } else { u32::from(imm) }),
        _ => T::arith(op, a, b, mode(mxcsr)),
    }
}

/// CMPPS's predicates 0 to 7.
fn compare<T: Value>(a: T, b: T, predicate: u8) -> bool {
    let plain = match predicate & 3 {
        0 => a == b,
        1 => a < b,
        2 => a <= b,
        _ => a.is_nan() || b.is_nan(),
    };
    plain != (predicate & 4 != 0)
}

/// Computes one floating-point operation.
pub fn eval(op: FloatOp, shape: Shape, a: u128, b: u128, imm: u8, mxcsr: u32) -> u128 {
    match shape {
        Shape::Scalar32 => {
            let low = lane(op, f32::from_bits(a as u32), f32::from_bits(b as u32), imm, mxcsr);
            a & !0xffff_ffff | u128::from(low.to_bits())
        }
        Shape::Scalar64 => {
            let low = lane(op, f64::from_bits(a as u64), f64::from_bits(b as u64), imm, mxcsr);
            a >> 64 << 64 | u128::from(low.to_bits())
        }
        Shape::Packed32 => {
            let (a, b) = (lanes!(f32, a), lanes!(f32, b));
            join::<[f32; 4]>(from_fn(|i| lane(op, a[i], b[i], imm, mxcsr)))
        }
        Shape::Packed64 => {
            let (a, b) = (lanes!(f64, a), lanes!(f64, b));
            join::<[f64; 2]>(from_fn(|i| lane(op, a[i], b[i], imm, mxcsr)))
        }
    }
}

/// HADDPS and its relatives: sums (differences) of neighbours, `a`'s then `b`'s.
pub fn horizontal(shape: Shape, a: u128, b: u128, subtract: bool, mxcsr: u32) -> u128 {
    let op = if subtract { FloatOp::Sub } else { FloatOp::Add };
    if matches!(shape, Shape::Packed64) {
        let (a, b) = (lanes!(f64, a), lanes!(f64, b));
        return join([lane(op, a[0], a[1], 0, mxcsr), lane(op, b[0], b[1], 0, mxcsr)]);
    }
    let (a, b) = (lanes!(f32, a), lanes!(f32, b));
    let sum = |v: &[f32; 4], i: usize| lane(op, v[i], v[i + 1], 0, mxcsr);
    join([sum(&a, 0), sum(&a, 2), sum(&b, 0), sum(&b, 2)])
}

/// DPPS, DPPD: products of the lanes chosen by `imm`'s upper half, summed; the sum goes to those chosen by the lower
/// half. In which order processors add shows in NaNs alone: DPPS does it in each lane anew.
pub fn dot_product(shape: Shape, a: u128, b: u128, imm: u8, mxcsr: u32) -> u128 {
    let chosen = |bit: usize| imm >> bit & 1 != 0;
    if matches!(shape, Shape::Packed64) {
        let (a, b) = (lanes!(f64, a), lanes!(f64, b));
        let product = |i: usize| if chosen(4 + i) { lane(FloatOp::Mul, a[i], b[i], 0, mxcsr) } else { 0.0 };
        let sum = |i: usize| lane(FloatOp::Add, product(i), product(i ^ 1), 0, mxcsr);
        return join::<[f64; 2]>(from_fn(|i| if chosen(i) { sum(i) } else { 0.0 }));
    }
    let (a, b) = (lanes!(f32, a), lanes!(f32, b));
    let product = |i: usize| if chosen(4 + i) { lane(FloatOp::Mul, a[i], b[i], 0, mxcsr) } else { 0.0 };
    let pair = |i: usize| lane(FloatOp::Add, product(i ^ 1), product(i), 0, mxcsr);
    let sum = |i: usize| lane(FloatOp::Add, pair(i), pair(i ^ 2), 0, mxcsr);
    join::<[f32; 4]>(from_fn(|i| if chosen(i) { sum(i) } else { 0.0 }))
}

/// ADDSUBPS, ADDSUBPD.
pub fn add_sub(shape: Shape, a: u128, b: u128, mxcsr: u32) -> u128 {
    let sums = eval(FloatOp::Add, shape, a, b, 0, mxcsr);
    let differences = eval(FloatOp::Sub, shape, a, b, 0, mxcsr);
    let even: u128 = if matches!(shape, Shape::Packed64) { u64::MAX.into() } else { 0xffff_ffff_0000_0000_ffff_ffff };
    differences & even | sums & !even
}
