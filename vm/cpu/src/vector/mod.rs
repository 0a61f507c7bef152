//! What each [`VectorOp`] computes: pure functions of two 128-bit values, an immediate and MXCSR.
//!
//! | module | subject |
//! |---|---|
//! | [`int`] | integer lanes, shuffles, masks |
//! | [`float`] | arithmetic and comparison of `f32` and `f64` lanes |
//! | [`convert`] | between integers and floating point |
//! | [`crypto`] | AES, SHA, carry-less multiplication |
//! | [`strings`] | PCMPESTRI and its relatives |
//!
//! Source: Intel SDM vol. 2, "Operation" of each instruction.

pub mod convert;
pub mod crypto;
pub mod float;
pub mod int;
pub mod strings;

use crate::ir::VectorOp;

/// Lane `index` of a value seen as an array.
macro_rules! lanes {
    ($ty:ty, $value:expr) => {
        bytemuck::cast::<u128, [$ty; 16 / size_of::<$ty>()]>($value)
    };
}
pub(crate) use lanes;

/// A value from an array of lanes.
pub(crate) fn join<T: bytemuck::Pod>(lanes: T) -> u128 {
    bytemuck::cast(lanes)
}

/// Computes one operation.
pub fn eval(op: VectorOp, a: u128, b: u128, imm: u8, mxcsr: u32) -> u128 {
    use VectorOp as V;
    match op {
        V::And => a & b,
        V::AndNot => !a & b,
        V::Or => a | b,
        V::Xor => a ^ b,
        V::MoveLow32 => a & !0xffff_ffff | b & 0xffff_ffff,
        V::MoveLow64 => a >> 64 << 64 | u128::from(b as u64),
        V::Low32 => u128::from(b as u32),
        V::Low64 => u128::from(b as u64),
        V::HighToLow => a >> 64 << 64 | b >> 64,
        V::Float(op, shape) => float::eval(op, shape, a, b, imm, mxcsr),
        V::Convert(conversion) => convert::eval(conversion, a, b, mxcsr),
        V::HorizontalAddFloat(shape) => float::horizontal(shape, a, b, false, mxcsr),
        V::HorizontalSubFloat(shape) => float::horizontal(shape, a, b, true, mxcsr),
        V::AddSubFloat(shape) => float::add_sub(shape, a, b, mxcsr),
        V::DotProduct(shape) => float::dot_product(shape, a, b, imm, mxcsr),
        V::CarrylessMultiply => crypto::carryless_multiply(a, b, imm),
        V::Aes(op) => crypto::aes(op, a, b, imm),
        V::Sha(op) => crypto::sha(op, a, b, imm),
        _ => int::eval(op, a, b, imm),
    }
}
