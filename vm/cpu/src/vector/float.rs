//! Floating-point lanes as the default MXCSR has them: the host's own arithmetic, with x86's rules for NaN, minimum and
//! maximum.

use std::array::from_fn;

use super::{join, lanes};
use crate::ir::{FloatOp, Shape};

/// What both lane types need.
trait Value: Copy + PartialOrd + bytemuck::Pod {
    const ALL_ONES: Self;
    const ZERO: Self;
    fn arith(op: FloatOp, a: Self, b: Self) -> Self;
    fn round(self, mode: u8) -> Self;
}

macro_rules! value {
    ($ty:ty, $bits:ty, $quiet:expr, $default_nan:expr) => {
        impl Value for $ty {
            const ALL_ONES: Self = <$ty>::from_bits(<$bits>::MAX);
            const ZERO: Self = 0.0;

            fn arith(op: FloatOp, a: Self, b: Self) -> Self {
                let result = match op {
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

            fn round(self, mode: u8) -> Self {
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

value!(f32, u32, 0x0040_0000, 0xffc0_0000);
value!(f64, u64, 0x0008_0000_0000_0000, 0xfff8_0000_0000_0000);

/// One lane's result.
fn lane<T: Value>(op: FloatOp, a: T, b: T, imm: u8) -> T {
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
        FloatOp::Round => b.round(if imm & 4 != 0 { 0 } else { imm }),
        _ => T::arith(op, a, b),
    }
}

/// CMPPS's predicates 0 to 7.
pub(super) fn compare<T: PartialOrd>(a: T, b: T, predicate: u8) -> bool {
    let plain = match predicate & 3 {
        0 => a == b,
        1 => a < b,
        2 => a <= b,
        _ => a.partial_cmp(&b).is_none(),
    };
    plain != (predicate & 4 != 0)
}

/// Computes one floating-point operation.
pub fn eval(op: FloatOp, shape: Shape, a: u128, b: u128, imm: u8) -> u128 {
    match shape {
        Shape::Scalar32 => {
            let low = lane(op, f32::from_bits(a as u32), f32::from_bits(b as u32), imm);
            a & !0xffff_ffff | u128::from(low.to_bits())
        }
        Shape::Scalar64 => {
            let low = lane(op, f64::from_bits(a as u64), f64::from_bits(b as u64), imm);
            a >> 64 << 64 | u128::from(low.to_bits())
        }
        Shape::Packed32 => {
            let (a, b) = (lanes!(f32, a), lanes!(f32, b));
            join::<[f32; 4]>(from_fn(|i| lane(op, a[i], b[i], imm)))
        }
        Shape::Packed64 => {
            let (a, b) = (lanes!(f64, a), lanes!(f64, b));
            join::<[f64; 2]>(from_fn(|i| lane(op, a[i], b[i], imm)))
        }
    }
}

/// HADDPS and its relatives: sums (differences) of neighbours, `a`'s then `b`'s.
pub fn horizontal(shape: Shape, a: u128, b: u128, subtract: bool) -> u128 {
    let op = if subtract { FloatOp::Sub } else { FloatOp::Add };
    if matches!(shape, Shape::Packed64) {
        let (a, b) = (lanes!(f64, a), lanes!(f64, b));
        return join([lane(op, a[0], a[1], 0), lane(op, b[0], b[1], 0)]);
    }
    let (a, b) = (lanes!(f32, a), lanes!(f32, b));
    let sum = |v: &[f32; 4], i: usize| lane(op, v[i], v[i + 1], 0);
    join([sum(&a, 0), sum(&a, 2), sum(&b, 0), sum(&b, 2)])
}

/// DPPS, DPPD: products of the lanes chosen by `imm`'s upper half, summed; the sum goes to those chosen by the lower
/// half. In which order processors add shows in NaNs alone: DPPS does it in each lane anew.
pub fn dot_product(shape: Shape, a: u128, b: u128, imm: u8) -> u128 {
    let chosen = |bit: usize| imm >> bit & 1 != 0;
    if matches!(shape, Shape::Packed64) {
        let (a, b) = (lanes!(f64, a), lanes!(f64, b));
        let product = |i: usize| if chosen(4 + i) { lane(FloatOp::Mul, a[i], b[i], 0) } else { 0.0 };
        let sum = |i: usize| lane(FloatOp::Add, product(i), product(i ^ 1), 0);
        return join::<[f64; 2]>(from_fn(|i| if chosen(i) { sum(i) } else { 0.0 }));
    }
    let (a, b) = (lanes!(f32, a), lanes!(f32, b));
    let product = |i: usize| if chosen(4 + i) { lane(FloatOp::Mul, a[i], b[i], 0) } else { 0.0 };
    let pair = |i: usize| lane(FloatOp::Add, product(i ^ 1), product(i), 0);
    let sum = |i: usize| lane(FloatOp::Add, pair(i), pair(i ^ 2), 0);
    join::<[f32; 4]>(from_fn(|i| if chosen(i) { sum(i) } else { 0.0 }))
}

/// ADDSUBPS, ADDSUBPD.
pub fn add_sub(shape: Shape, a: u128, b: u128) -> u128 {
    let sums = eval(FloatOp::Add, shape, a, b, 0);
    let differences = eval(FloatOp::Sub, shape, a, b, 0);
    let even: u128 = if matches!(shape, Shape::Packed64) { u64::MAX.into() } else { 0xffff_ffff_0000_0000_ffff_ffff };
    differences & even | sums & !even
}
