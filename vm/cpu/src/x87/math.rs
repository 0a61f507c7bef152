//! Remainder, scaling, and the transcendental functions in `f64`'s precision.

use rustc_apfloat::Float;
use rustc_apfloat::ieee::X87DoubleExtended as Extended;

use super::spec::Operation;
use super::status;
use super::value::{approximate, choose_nan, from_f64, indefinite};
use crate::fpu::Fpu;

/// Arguments at or past 2^63 are left for the program to reduce.
const ARGUMENT_LIMIT: f64 = 9_223_372_036_854_775_808.0;

pub(super) fn run(fpu: &mut Fpu, operation: Operation, exceptions: &mut u16) {
    match operation {
        Operation::Scale => scale(fpu),
        Operation::Remainder => remainder(fpu, false, exceptions),
        Operation::RemainderNearest => remainder(fpu, true, exceptions),
        Operation::Extract => extract(fpu, exceptions),
        Operation::Sine | Operation::Cosine | Operation::SineCosine | Operation::Tangent => angle(fpu, operation),
        Operation::PowerMinusOne => {
            let x = approximate(fpu.st(0));
            fpu.set_st(0, from_f64((x * std::f64::consts::LN_2).exp_m1().to_bits()));
        }
        Operation::ArcTangent => two(fpu, |x, y| y.atan2(x)),
        Operation::YLog2X => two(fpu, |x, y| y * x.log2()),
        Operation::YLog2XPlusOne => two(fpu, |x, y| y * x.ln_1p() * std::f64::consts::LOG2_E),
        _ => {}
    }
}

/// A function of ST(0) and ST(1): the result replaces ST(1), ST(0) goes.
fn two(fpu: &mut Fpu, function: impl Fn(f64, f64) -> f64) {
    let (x, y) = (approximate(fpu.st(0)), approximate(fpu.st(1)));
    fpu.set_st(1, from_f64(function(x, y).to_bits()));
    fpu.pop();
}

fn angle(fpu: &mut Fpu, operation: Operation) {
    let x = approximate(fpu.st(0));
    fpu.set_conditions(status::C2, 0);
    if x.abs() >= ARGUMENT_LIMIT {
        fpu.set_conditions(status::C2, status::C2);
        return;
    }
    let (sine, cosine) = (from_f64(x.sin().to_bits()), from_f64(x.cos().to_bits()));
    match operation {
        Operation::Sine => fpu.set_st(0, sine),
        Operation::Cosine => fpu.set_st(0, cosine),
        Operation::SineCosine => {
            fpu.set_st(0, sine);
            fpu.push(cosine);
        }
        _ => {
            fpu.set_st(0, from_f64(x.tan().to_bits()));
            fpu.push(from_f64(1f64.to_bits()));
        }
    }
}

/// ST(0) and ST(1), unless one is empty or NaN: that then settles ST(0).
fn operands(fpu: &mut Fpu) -> Option<(Extended, Extended)> {
    let valid = fpu.both_valid(1);
    let (a, b) = (fpu.st(0), fpu.st(1));
    if valid && !a.is_nan() && !b.is_nan() {
        return Some((a, b));
    }
    fpu.set_st(0, if valid { choose_nan(a, b) } else { indefinite() });
    None
}

/// FSCALE: ST(0) times two to the integral part of ST(1).
fn scale(fpu: &mut Fpu) {
    let Some((value, by)) = operands(fpu) else { return };
    if by.is_infinite() {
        // Times infinity, or by it: to zero or infinity, and invalid where that is undecided.
        let undecided = if by.is_negative() { value.is_infinite() } else { value.is_zero() };
        let limit = if by.is_negative() { Extended::ZERO } else { Extended::INFINITY };
        let signed = if value.is_negative() { -limit } else { limit };
        return fpu.set_st(0, if undecided { indefinite() } else { signed });
    }
    let by = approximate(by).trunc().clamp(-70_000.0, 70_000.0) as i32;
    fpu.set_st(0, value.scalbn_r(by, fpu.rounding()));
}

/// FXTRACT: exponent to ST(0), significand pushed.
fn extract(fpu: &mut Fpu, exceptions: &mut u16) {
    let value = fpu.st(0);
    if value.is_zero() {
        *exceptions |= status::ZERO_DIVIDE;
        fpu.set_st(0, -Extended::INFINITY);
        return fpu.push(value);
    }
    if value.is_nan() || value.is_infinite() {
        let nan = choose_nan(value, value);
        fpu.set_st(0, if value.is_nan() { nan } else { Extended::INFINITY });
        return fpu.push(if value.is_nan() { nan } else { value });
    }
    let exponent = value.ilogb();
    fpu.set_st(0, Extended::from_i128(exponent.into()).value);
    fpu.push(value.scalbn(-exponent));
}

/// FPREM (truncating) and FPREM1 (to nearest). The quotient's low three bits go to C0, C3, C1; C2 says that the
/// program must go on (never: the whole reduction is done at once).
fn remainder(fpu: &mut Fpu, nearest: bool, exceptions: &mut u16) {
    fpu.set_conditions(status::C0 | status::C1 | status::C2 | status::C3, 0);
    let Some((a, b)) = operands(fpu) else { return };
    if a.is_infinite() || b.is_zero() {
        *exceptions |= status::INVALID;
        return fpu.set_st(0, indefinite());
    }
    if a.is_zero() || b.is_infinite() {
        return;
    }
    let (result, quotient) = reduce(a.abs(), b.abs(), nearest);
    let bit = |i: u32, condition: u16| if quotient >> i & 1 != 0 { condition } else { 0 };
    fpu.set_conditions(0, bit(2, status::C0) | bit(1, status::C3) | bit(0, status::C1));
    let negative = a.is_negative() != (result.is_negative() && !result.is_zero());
    fpu.set_st(0, if negative { -result.abs() } else { result.abs() });
}

/// |a| reduced by |b|, and the quotient's low bits, by subtracting b * 2^n from the largest n down.
fn reduce(a: Extended, b: Extended, nearest: bool) -> (Extended, u64) {
    let mut rest = a;
    let mut quotient = 0u64;
    for n in (0..=(a.ilogb() - b.ilogb()).max(0)).rev() {
        let step = b.scalbn(n);
        quotient <<= 1;
        if rest >= step {
            rest = (rest - step).value;
            quotient |= 1;
        }
    }
    if nearest {
        // Up to the next multiple if that is nearer, or as near and the quotient odd.
        let distance = (b - rest).value;
        if distance < rest || distance == rest && quotient & 1 != 0 {
            return (-distance, quotient.wrapping_add(1));
        }
    }
    (rest, quotient)
}
