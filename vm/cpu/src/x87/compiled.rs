//! What compiled code calls. It keeps the stack in locals and has these functions compute: each takes one or two numbers
//! and returns a significand or a memory operand's bits. What comes with those is in [`Fpu::outcome`].

use std::cmp::Ordering;

use super::number::{Class, Rounded, Rounding};
use super::spec::{Operand, Operation, Spec};
use super::{arith, compare_any, convert, status};
use crate::flags::order_status;
use crate::fpu::{F80, Fpu};

/// [`Fpu::outcome`] after an exception that is not masked: the instruction must be interpreted, since there is more to
/// it than a value.
pub const LEFT: i32 = -1;

/// Where [`Fpu::outcome`] has the status word's new bits, C1 among them; below them is a result's sign and exponent.
pub const FLAGS_SHIFT: u32 = 16;

/// Takes significands, and signs and exponents as [`F80`] has them.
pub type Function = fn(fpu: &mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64;

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident => $function:ident,)*) => {
        /// The functions, by name.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Call { $($(#[$doc])* $variant,)* }

        impl Call {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Call] = &[$(Call::$variant,)*];

            /// The function.
            pub const fn function(self) -> Function {
                match self { $(Call::$variant => $function,)* }
            }
        }
    };
}

functions! {
    /// a + b.
    Add => add,
    /// a - b.
    Sub => sub,
    /// a * b.
    Mul => mul,
    /// a / b.
    Div => div,
    /// The square root of a.
    Root => root,
    /// A comparison, quiet if [`QUIET`] is set in b's exponent; CF, PF and ZF are returned.
    Compare => compare,
    /// From the bits of a memory operand, b's exponent being the number of its [`Operand`].
    Widen => widen,
    /// To the bits of one; truncating if [`TRUNCATE`] is set in its number.
    Narrow => narrow,
}

/// See [`Call::Compare`].
pub const QUIET: u32 = 1 << 16;
/// See [`Call::Narrow`].
pub const TRUNCATE: u32 = 1 << 16;

fn number(mantissa: u64, exponent: u32) -> F80 {
    F80 { mantissa, sign_exponent: exponent as u16 }
}

#[inline(always)]
fn finish(fpu: &mut Fpu, Rounded { value, flags }: Rounded) -> u64 {
    fpu.outcome = i32::from(value.sign_exponent) | i32::from(flags) << FLAGS_SHIFT;
    value.mantissa
}

/// The same where an exception may not be masked.
fn finish_any(fpu: &mut Fpu, result: Rounded) -> u64 {
    let mantissa = finish(fpu, result);
    if result.flags & !fpu.control & status::EXCEPTIONS != 0 {
        fpu.outcome = LEFT;
    }
    mantissa
}

#[inline(always)]
fn compute(fpu: &mut Fpu, operation: Operation, a: F80, b: F80) -> u64 {
    if fpu.is_plain()
        && let Some(result) = arith::fast(operation, a, b)
    {
        return finish(fpu, result);
    }
    compute_any(fpu, operation, a, b)
}

#[inline(never)]
fn compute_any(fpu: &mut Fpu, operation: Operation, a: F80, b: F80) -> u64 {
    if let Some(value) = arith::with_zero(operation, a, b)
        && fpu.is_plain()
    {
        return finish(fpu, Rounded::exact(value));
    }
    let result = arith::arithmetic(operation, a, b, 0, fpu.control);
    finish_any(fpu, result)
}

fn add(fpu: &mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64 {
    compute(fpu, Operation::Add, number(a, a_exponent), number(b, b_exponent))
}

fn sub(fpu: &mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64 {
    compute(fpu, Operation::Sub, number(a, a_exponent), number(b, b_exponent))
}

fn mul(fpu: &mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64 {
    compute(fpu, Operation::Mul, number(a, a_exponent), number(b, b_exponent))
}

fn div(fpu: &mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64 {
    compute(fpu, Operation::Div, number(a, a_exponent), number(b, b_exponent))
}

fn root(fpu: &mut Fpu, a: u64, a_exponent: u32, _: u64, _: u32) -> u64 {
    let value = number(a, a_exponent);
    if fpu.is_plain()
        && value.is_normal()
        && value.sign() == 0
        && let Some(result) = arith::fast_square_root(value)
    {
        return finish(fpu, result);
    }
    let result = arith::square_root(value, fpu.control);
    finish_any(fpu, result)
}

fn compare(fpu: &mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64 {
    let is_quiet = b_exponent & QUIET != 0;
    let (a, b) = (number(a, a_exponent), number(b, b_exponent));
    if a.is_normal() && b.is_normal() {
        fpu.outcome = 0;
        return flags_of(arith::order(a, b));
    }
    let (order, flags) = compare_any(Rounded::exact(a), Rounded::exact(b), is_quiet);
    finish_any(fpu, Rounded { value: F80::ZERO, flags });
    flags_of(order)
}

fn flags_of(order: Option<Ordering>) -> u64 {
    order_status(order)
}

/// A denormal number in memory is reported as such. Signalling NaNs are left to the interpreter, since loads and
/// arithmetic treat them differently.
fn widen(fpu: &mut Fpu, bits: u64, _: u32, _: u64, operand: u32) -> u64 {
    let spec = Spec { operand: Operand::of_number(operand), ..Spec::new(Operation::Load) };
    let wide = super::memory_operand(spec, bits).unwrap_or(Rounded::exact(F80::ZERO));
    let mantissa = finish_any(fpu, wide);
    if wide.value.class() == Class::Signaling {
        fpu.outcome = LEFT;
    }
    mantissa
}

fn narrow(fpu: &mut Fpu, a: u64, a_exponent: u32, _: u64, operand: u32) -> u64 {
    let (value, control) = (number(a, a_exponent), fpu.control);
    let how = if operand & TRUNCATE != 0 { Rounding::Truncate } else { Rounding::of(control) };
    let (bits, flags) = match Operand::of_number(operand) {
        Operand::F64 => convert::to_f64(value, control),
        Operand::F32 => convert::to_f32(value, control),
        Operand::I16 => convert::to_int(value, 16, how),
        Operand::I32 => convert::to_int(value, 32, how),
        _ => convert::to_int(value, 64, how),
    };
    finish_any(fpu, Rounded { value: F80::ZERO, flags });
    bits
}
