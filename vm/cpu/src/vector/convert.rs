//! Between integers and floating point, as the default MXCSR says. Values that don't fit become the "integer indefinite", the most negative one.

use std::array::from_fn;

use super::{join, lanes};
use crate::ir::Conversion;

/// Rounds to nearest, or towards zero.
fn integral(value: f64, truncate: bool) -> f64 {
    if truncate { value.trunc() } else { value.round_ties_even() }
}

/// To a 32-bit integer; an `f32` widened to `f64` first loses nothing.
fn to_i32(value: f64, truncate: bool) -> i32 {
    let whole = integral(value, truncate);
    if (-2_147_483_648.0..2_147_483_648.0).contains(&whole) { whole as i32 } else { i32::MIN }
}

/// To a 64-bit integer.
fn to_i64(value: f64, truncate: bool) -> i64 {
    let whole = integral(value, truncate);
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

/// `f64` to `f32`, likewise.
fn narrow(value: f64) -> f32 {
    if value.is_nan() {
        let bits = value.to_bits();
        let sign = ((bits >> 63) as u32) << 31;
        return f32::from_bits(sign | 0x7fc0_0000 | (bits >> 29) as u32 & 0x003f_ffff);
    }
    value as f32
}

/// Computes one conversion.
pub fn eval(conversion: Conversion, a: u128, b: u128) -> u128 {
    use Conversion as C;
    let (f32s, f64s, i32s) = (lanes!(f32, b), lanes!(f64, b), lanes!(i32, b));
    let merge32 = |value: f32| a & !0xffff_ffff | u128::from(value.to_bits());
    let merge64 = |value: f64| a >> 64 << 64 | u128::from(value.to_bits());
    let low32 = |value: i32| u128::from(value as u32);
    let low64 = |value: i64| u128::from(value as u64);
    let f32_to_i32 = |i: usize, truncate| to_i32(f64::from(f32s[i]), truncate);
    let f64_to_i32 = |i: usize, truncate| to_i32(f64s[i], truncate);
    match conversion {
        C::I32x4ToF32x4 => join::<[f32; 4]>(from_fn(|i| i32s[i] as f32)),
        C::I32x2ToF64x2 => join([f64::from(i32s[0]), f64::from(i32s[1])]),
        C::F32x4ToI32x4 => join::<[i32; 4]>(from_fn(|i| f32_to_i32(i, false))),
        C::F32x4ToI32x4Truncated => join::<[i32; 4]>(from_fn(|i| f32_to_i32(i, true))),
        C::F64x2ToI32x2 => join([f64_to_i32(0, false), f64_to_i32(1, false), 0, 0]),
        C::F64x2ToI32x2Truncated => join([f64_to_i32(0, true), f64_to_i32(1, true), 0, 0]),
        C::F32x2ToF64x2 => join([widen(f32s[0]), widen(f32s[1])]),
        C::F64x2ToF32x2 => join([narrow(f64s[0]), narrow(f64s[1]), 0.0, 0.0]),
        C::MergeF32ToF64 => merge64(widen(f32s[0])),
        C::MergeF64ToF32 => merge32(narrow(f64s[0])),
        C::MergeI32ToF32 => merge32(i32s[0] as f32),
        C::MergeI64ToF32 => merge32(b as i64 as f32),
        C::MergeI32ToF64 => merge64(f64::from(i32s[0])),
        C::MergeI64ToF64 => merge64(b as i64 as f64),
        C::F32ToI32 => low32(f32_to_i32(0, false)),
        C::F32ToI32Truncated => low32(f32_to_i32(0, true)),
        C::F32ToI64 => low64(to_i64(f32s[0].into(), false)),
        C::F32ToI64Truncated => low64(to_i64(f32s[0].into(), true)),
        C::F64ToI32 => low32(f64_to_i32(0, false)),
        C::F64ToI32Truncated => low32(f64_to_i32(0, true)),
        C::F64ToI64 => low64(to_i64(f64s[0], false)),
        C::F64ToI64Truncated => low64(to_i64(f64s[0], true)),
        C::MergeI32x2ToF32x2 => {
            let low = join([i32s[0] as f32, i32s[1] as f32, 0.0, 0.0]);
            a >> 64 << 64 | low
        }
        C::F32x2ToI32x2 => join([f32_to_i32(0, false), f32_to_i32(1, false), 0, 0]),
        C::F32x2ToI32x2Truncated => join([f32_to_i32(0, true), f32_to_i32(1, true), 0, 0]),
    }
}
