//! Between integers and floating point. Values that don't fit become the "integer indefinite", the most negative one.

use std::array::from_fn;
use std::cmp::Ordering;

use super::{join, lanes};
use crate::ir::Conversion;

/// Rounds as MXCSR says, or towards zero.
fn integral(value: f64, mxcsr: u32, truncate: bool) -> f64 {
    match mxcsr >> 13 & 3 {
        _ if truncate => value.trunc(),
        0 => value.round_ties_even(),
        1 => value.floor(),
        2 => value.ceil(),
        _ => value.trunc(),
    }
}

/// To a 32-bit integer; an `f32` widened to `f64` first loses nothing.
fn to_i32(value: f64, mxcsr: u32, truncate: bool) -> i32 {
    let whole = integral(value, mxcsr, truncate);
    if (-2_147_483_648.0..2_147_483_648.0).contains(&whole) { whole as i32 } else { i32::MIN }
}

/// To a 64-bit integer.
fn to_i64(value: f64, mxcsr: u32, truncate: bool) -> i64 {
    let whole = integral(value, mxcsr, truncate);
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) { whole as i64 } else { i64::MIN }
}

/// `f32` to `f64`, NaN made quiet with its payload kept at the top.
fn widen(value: f32) -> f64 {
    if value.is_nan() {
        let bits = value.to_bits();
        let sign = u64::from(bits >> 31) << 63;
        return f64::from_bits(sign | 0x7ff8_0000_0000_0000 | u64::from(bits & 0x003f_ffff) << 29);
    }
    f64::from(value)
}

/// `f64` to `f32`, likewise, rounded as MXCSR says.
fn narrow(value: f64, mxcsr: u32) -> f32 {
    if value.is_nan() {
        let bits = value.to_bits();
        let sign = ((bits >> 63) as u32) << 31;
        return f32::from_bits(sign | 0x7fc0_0000 | (bits >> 29) as u32 & 0x003f_ffff);
    }
    let nearest = value as f32;
    match correction(f64::from(nearest).partial_cmp(&value), value < 0.0, mxcsr) {
        Correction::Down => nearest.next_down(),
        Correction::Up => nearest.next_up(),
        Correction::None => nearest,
    }
}

/// What a value rounded to nearest needs in another rounding mode.
enum Correction {
    Down,
    Up,
    None,
}

/// `rounded` is how the value rounded to nearest compares with the exact one, whose sign is `is_negative`.
fn correction(rounded: Option<Ordering>, is_negative: bool, mxcsr: u32) -> Correction {
    let toward_zero = mxcsr >> 13 & 3 == 3;
    let down = mxcsr >> 13 & 3 == 1 || toward_zero && !is_negative;
    let up = mxcsr >> 13 & 3 == 2 || toward_zero && is_negative;
    match rounded {
        Some(Ordering::Greater) if down => Correction::Down,
        Some(Ordering::Less) if up => Correction::Up,
        _ => Correction::None,
    }
}

/// An integer as floating point, rounded once, as MXCSR says.
macro_rules! int_to_float {
    ($name:ident, $ty:ty) => {
        fn $name(value: i64, mxcsr: u32) -> $ty {
            let nearest = value as $ty;
            match correction((nearest as i128).partial_cmp(&i128::from(value)), value < 0, mxcsr) {
                Correction::Down => nearest.next_down(),
                Correction::Up => nearest.next_up(),
                Correction::None => nearest,
            }
        }
    };
}

int_to_float!(int_to_f32, f32);
int_to_float!(int_to_f64, f64);

/// Computes one conversion.
pub fn eval(conversion: Conversion, a: u128, b: u128, mxcsr: u32) -> u128 {
    use Conversion as C;
    let (f32s, f64s, i32s) = (lanes!(f32, b), lanes!(f64, b), lanes!(i32, b));
    let merge32 = |value: f32| a & !0xffff_ffff | u128::from(value.to_bits());
    let merge64 = |value: f64| a >> 64 << 64 | u128::from(value.to_bits());
    let low32 = |value: i32| u128::from(value as u32);
    let low64 = |value: i64| u128::from(value as u64);
    let f32_to_i32 = |i: usize, truncate| to_i32(f64::from(f32s[i]), mxcsr, truncate);
    let f64_to_i32 = |i: usize, truncate| to_i32(f64s[i], mxcsr, truncate);
    match conversion {
        C::I32x4ToF32x4 => join::<[f32; 4]>(from_fn(|i| int_to_f32(i32s[i].into(), mxcsr))),
        C::I32x2ToF64x2 => join([f64::from(i32s[0]), f64::from(i32s[1])]),
        C::F32x4ToI32x4 => join::<[i32; 4]>(from_fn(|i| f32_to_i32(i, false))),
        C::F32x4ToI32x4Truncated => join::<[i32; 4]>(from_fn(|i| f32_to_i32(i, true))),
        C::F64x2ToI32x2 => join([f64_to_i32(0, false), f64_to_i32(1, false), 0, 0]),
        C::F64x2ToI32x2Truncated => join([f64_to_i32(0, true), f64_to_i32(1, true), 0, 0]),
        C::F32x2ToF64x2 => join([widen(f32s[0]), widen(f32s[1])]),
        C::F64x2ToF32x2 => join([narrow(f64s[0], mxcsr), narrow(f64s[1], mxcsr), 0.0, 0.0]),
        C::MergeF32ToF64 => merge64(widen(f32s[0])),
        C::MergeF64ToF32 => merge32(narrow(f64s[0], mxcsr)),
        C::MergeI32ToF32 => merge32(int_to_f32(i32s[0].into(), mxcsr)),
        C::MergeI64ToF32 => merge32(int_to_f32(b as i64, mxcsr)),
        C::MergeI32ToF64 => merge64(f64::from(i32s[0])),
        C::MergeI64ToF64 => merge64(int_to_f64(b as i64, mxcsr)),
        C::F32ToI32 => low32(f32_to_i32(0, false)),
        C::F32ToI32Truncated => low32(f32_to_i32(0, true)),
        C::F32ToI64 => low64(to_i64(f32s[0].into(), mxcsr, false)),
        C::F32ToI64Truncated => low64(to_i64(f32s[0].into(), mxcsr, true)),
        C::F64ToI32 => low32(f64_to_i32(0, false)),
        C::F64ToI32Truncated => low32(f64_to_i32(0, true)),
        C::F64ToI64 => low64(to_i64(f64s[0], mxcsr, false)),
        C::F64ToI64Truncated => low64(to_i64(f64s[0], mxcsr, true)),
        C::MergeI32x2ToF32x2 => {
            let low = join([int_to_f32(i32s[0].into(), mxcsr), int_to_f32(i32s[1].into(), mxcsr), 0.0, 0.0]);
            a >> 64 << 64 | low
        }
        C::F32x2ToI32x2 => join([f32_to_i32(0, false), f32_to_i32(1, false), 0, 0]),
        C::F32x2ToI32x2Truncated => join([f32_to_i32(0, true), f32_to_i32(1, true), 0, 0]),
    }
}
