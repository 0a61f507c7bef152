//! What each [`VectorOp`] computes: functions of two 128-bit values, an immediate and, if need be, MXCSR.
//!
//! | module | subject |
//! |---|---|
//! | [`int`] | integer lanes, shuffles, masks |
//! | [`float`] | arithmetic and comparison of `f32` and `f64` lanes |
//! | [`exact`] | the same as MXCSR says, exceptions and all |
//! | [`convert`] | between integers and floating point |
//! | [`crypto`] | AES, SHA, carry-less multiplication |
//! | [`strings`] | PCMPESTRI and its relatives |
//!
//! Source: Intel SDM vol. 2, "Operation" of each instruction.

pub mod convert;
pub mod crypto;
pub mod exact;
pub mod float;
pub mod int;
pub mod strings;

use crate::ir::VectorOp;
use crate::state::{CpuState, Floats};
use exact::Unmasked;

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

impl CpuState {
    /// Computes one operation, floating point as MXCSR says.
    ///
    /// # Errors
    /// An exception that is not masked.
    #[inline]
    pub fn compute(&mut self, op: VectorOp, a: u128, b: u128, imm: u8) -> Result<u128, Unmasked> {
        if self.floats() == Floats::Exact && exact::depends_on_control(op) {
            return exact::eval(op, a, b, imm, &mut self.mxcsr);
        }
        Ok(eval(op, a, b, imm))
    }
}

/// Computes one operation, floating point as the default MXCSR says.
pub fn eval(op: VectorOp, a: u128, b: u128, imm: u8) -> u128 {
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
        V::Float(op, shape) => float::eval(op, shape, a, b, imm),
        V::Convert(conversion) => convert::eval(conversion, a, b),
        V::HorizontalAddFloat(shape) => float::horizontal(shape, a, b, false),
        V::HorizontalSubFloat(shape) => float::horizontal(shape, a, b, true),
        V::AddSubFloat(shape) => float::add_sub(shape, a, b),
        V::DotProduct(shape) => float::dot_product(shape, a, b, imm),
        V::CarrylessMultiply => crypto::carryless_multiply(a, b, imm),
        V::Aes(op) => crypto::aes(op, a, b, imm),
        V::Sha(op) => crypto::sha(op, a, b, imm),
        _ => int::eval(op, a, b, imm),
    }
}
