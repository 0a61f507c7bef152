//! Remainder, scaling, the parts of a number, constants.

use super::arith::divide_wide;
use super::number::{
    BIAS, Class, INDEFINITE, INTEGER, Parts, Rounded, Rounding, choose_nan, normalize_and_round, pass_nan, round_to,
};
use super::spec::{Constant, Operation};
use super::{convert, status};
use crate::fpu::{F80, Fpu};

pub(super) fn run(fpu: &mut Fpu, operation: Operation) {
    match operation {
        Operation::Scale => scale(fpu),
        Operation::Remainder => remainder(fpu, false),
        Operation::RemainderNearest => remainder(fpu, true),
        _ => extract(fpu),
    }
}

/// FSCALE: ST(0) times two to the integral part of ST(1).
fn scale(fpu: &mut Fpu) {
    if let Ok((value, by)) = fpu.two_operands(0) {
        let result = scaled(value, by, fpu.control);
        fpu.settle(0, result);
    }
}

fn scaled(value: F80, by: F80, control: u16) -> Rounded {
    let (x, y) = (value.class(), by.class());
    if x.is_nan() || y.is_nan() {
        return choose_nan(value, by);
    }
    let denormal = if x == Class::Denormal || y == Class::Denormal { status::DENORMAL } else { 0 };
    if y == Class::Infinity {
        // Times infinity, or by it: to zero or infinity, and invalid where that is undecided.
        let is_down = by.sign() != 0;
        if x == if is_down { Class::Infinity } else { Class::Zero } {
            return Rounded::invalid();
        }
        let limit = if is_down { F80::zero(value.sign()) } else { F80::infinity(value.sign()) };
        return Rounded::exact(limit).with(denormal);
    }
    if matches!(x, Class::Zero | Class::Infinity) || y == Class::Zero {
        return Rounded::exact(value.normal()).with(denormal);
    }
    // More than the whole range of exponents is as good as all of it.
    let magnitude = convert::to_int(by.with_sign(0), 64, Rounding::Truncate);
    let magnitude =
        if magnitude.1 & status::INVALID != 0 { i32::from(i16::MAX) * 4 } else { magnitude.0.min(131_068) as i32 };
    let Parts { sign, exponent, mantissa } = Parts::of(value);
    let exponent = if by.sign() == 0 { exponent + magnitude } else { exponent - magnitude };
    // Precision control does not apply.
    round_to(64, control, sign, exponent, (mantissa, 0)).with(denormal)
}

/// FXTRACT: exponent to ST(0), significand pushed.
fn extract(fpu: &mut Fpu) {
    fpu.clear_c1();
    if !fpu.is_valid(0) {
        if fpu.underflow() {
            fpu.set_st(0, INDEFINITE);
            fpu.push_anyway(INDEFINITE);
        }
        return;
    }
    if !fpu.has_room() {
        if fpu.overflow() {
            fpu.set_st(0, INDEFINITE);
            fpu.push_anyway(INDEFINITE);
        }
        return;
    }
    let value = fpu.st(0);
    let (exponent, significand) = match value.class() {
        Class::Zero => (Rounded { value: F80::infinity(0x8000), flags: status::ZERO_DIVIDE }, value),
        Class::Infinity => (Rounded::exact(F80::infinity(0)), value),
        Class::Quiet | Class::Signaling | Class::Unsupported => (pass_nan(value), pass_nan(value).value),
        class => {
            let parts = Parts::of(value);
            let exponent = Rounded::exact(convert::from_int((parts.exponent - BIAS).into()));
            let denormal = if class == Class::Denormal { status::DENORMAL } else { 0 };
            let significand = F80 { mantissa: parts.mantissa, sign_exponent: BIAS as u16 | parts.sign };
            (exponent.with(denormal), significand)
        }
    };
    if fpu.settle(0, exponent) {
        fpu.push(Rounded::exact(significand));
    }
}

/// FPREM (truncating) and FPREM1 (to nearest). The quotient's low three bits go to C0, C3, C1. C2 says that the
/// exponents were too far apart for one go, and that the program must go on.
fn remainder(fpu: &mut Fpu, nearest: bool) {
    fpu.set_conditions(status::C2, 0);
    let Ok((a, b)) = fpu.two_operands(0) else { return };
    let (result, conditions) = reduced(a, b, nearest, fpu.control);
    if fpu.settle(0, result)
        && let Some(conditions) = conditions
    {
        fpu.set_conditions(status::CONDITIONS, conditions);
    }
}

/// Exponents further apart are reduced in steps.
const STEP_MAX: i32 = 63;

/// The condition codes stay as they are if there is no quotient.
fn reduced(a: F80, b: F80, nearest: bool, control: u16) -> (Rounded, Option<u16>) {
    let (x, y) = (a.class(), b.class());
    if x.is_nan() || y.is_nan() {
        return (choose_nan(a, b), None);
    }
    if x == Class::Infinity || y == Class::Zero {
        return (Rounded::invalid(), None);
    }
    let denormal = if x == Class::Denormal || y == Class::Denormal { status::DENORMAL } else { 0 };
    if x == Class::Zero {
        return (Rounded::exact(a.normal()).with(denormal), Some(0));
    }
    if y == Class::Infinity {
        let a = Parts::of(a);
        return (rebuilt(a.sign, a.exponent, a.mantissa, control).with(denormal), Some(0));
    }
    let (result, conditions) = reduce(Parts::of(a), Parts::of(b), nearest, control);
    (result.with(denormal), Some(conditions))
}

fn reduce(a: Parts, b: Parts, nearest: bool, control: u16) -> (Rounded, u16) {
    let distance = a.exponent - b.exponent;
    if distance > STEP_MAX {
        let step = distance & 31 | 32;
        let (_, rest) = divide_shifted(a.mantissa, step as u32, b.mantissa);
        return (rebuilt(a.sign, a.exponent - step, rest, control), status::C2);
    }
    // Both in units of the divisor's last place; a smaller dividend has a quotient of 0.
    let (mut quotient, rest) = match distance {
        0.. => divide_shifted(a.mantissa, distance as u32, b.mantissa),
        _ => (0, a.mantissa),
    };
    let exponent = a.exponent.min(b.exponent);
    let mut sign = a.sign;
    let mut result = rest;
    if nearest {
        // Compared with half of the divisor, which lies higher by as much as the exponents differ.
        let whole = match distance {
            0.. => u128::from(b.mantissa),
            -1 => u128::from(b.mantissa) << 1,
            // More than twice the dividend.
            _ => u128::MAX,
        };
        let to_next = whole - u128::from(rest);
        if to_next < rest.into() || to_next == rest.into() && quotient & 1 != 0 {
            result = to_next as u64;
            sign ^= 0x8000;
            quotient = quotient.wrapping_add(1);
        }
    }
    let bit = |i: u32, condition: u16| if quotient >> i & 1 != 0 { condition } else { 0 };
    let conditions = bit(2, status::C0) | bit(1, status::C3) | bit(0, status::C1);
    if result == 0 {
        return (Rounded::exact(F80::zero(a.sign)), conditions);
    }
    (rebuilt(sign, exponent, result, control), conditions)
}

fn rebuilt(sign: u16, exponent: i32, mantissa: u64, control: u16) -> Rounded {
    if mantissa == 0 {
        return Rounded::exact(F80::zero(sign));
    }
    // Exact: nothing is lost of a remainder.
    normalize_and_round(control | 0x300, sign, exponent, (mantissa, 0))
}

/// mantissa * 2^by divided by a divisor with its highest bit set; `by` at most 63. The quotient may lack a 65th bit.
fn divide_shifted(mantissa: u64, by: u32, divisor: u64) -> (u64, u64) {
    let (first, mantissa) = if mantissa >= divisor { (1u64, mantissa - divisor) } else { (0, mantissa) };
    if by == 0 {
        return (first, mantissa);
    }
    // Now less than the divisor, so each step of up to 63 bits has a quotient below 2^63.
    let (high, low) = (mantissa >> (64 - by), mantissa << by);
    let (quotient, rest) = divide_wide(high, low, divisor);
    (quotient.wrapping_add(first.wrapping_shl(by)), rest)
}

/// FLD1 and its siblings, rounded as the control word says.
pub(super) fn constant(constant: Constant, control: u16) -> F80 {
    // Rounded down, and whether the next one up is nearer.
    let (mantissa, sign_exponent, nearer_up) = match constant {
        Constant::Zero => return F80::ZERO,
        Constant::One => return F80::ONE,
        Constant::Log2Of10 => (0xd49a_784b_cd1b_8afe, 0x4000, false),
        Constant::Log2OfE => (0xb8aa_3b29_5c17_f0bb, 0x3fff, true),
        Constant::Pi => (0xc90f_daa2_2168_c234, 0x4000, true),
        Constant::Log10Of2 => (0x9a20_9a84_fbcf_f798, 0x3ffd, true),
        Constant::LnOf2 => (0xb172_17f7_d1cf_79ab, 0x3ffe, true),
    };
    debug_assert!(mantissa >= INTEGER);
    let up = match Rounding::of(control) {
        Rounding::Nearest => nearer_up,
        Rounding::Up => true,
        _ => false,
    };
    F80 { mantissa: mantissa + u64::from(up), sign_exponent }
}
