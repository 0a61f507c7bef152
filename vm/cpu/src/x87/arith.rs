//! Addition, multiplication, division, square root and comparison of 80-bit numbers, correctly rounded.
//!
//! Each operation has two ways: one for normal operands, round to nearest and 64 bits, which nearly all are, and one
//! for everything. WebAssembly multiplies and divides 64 bits at most, so wider products and quotients are made here.

use std::cmp::Ordering;

use super::number::{
    BIAS, Class, HALF, INTEGER, Parts, Rounded, Rounding, choose_nan, normalize_and_round, pass_nan, round,
    shift_right_sticky,
};
use super::spec::Operation;
use super::status;
use crate::fpu::F80;

/// All 128 bits of a product.
#[inline(always)]
pub(super) fn multiply_wide(a: u64, b: u64) -> (u64, u64) {
    const LOW: u64 = 0xffff_ffff;
    let (a1, a0, b1, b0) = (a >> 32, a & LOW, b >> 32, b & LOW);
    let (low, middle) = (a0 * b0, a1 * b0);
    let middle = middle + (low >> 32);
    let other = a0 * b1 + (middle & LOW);
    (a1 * b1 + (middle >> 32) + (other >> 32), other << 32 | low & LOW)
}

/// Quotient and remainder of (high, low) by a divisor whose highest bit is set and that is greater than `high`
/// (Knuth, TAOCP vol. 2, 4.3.1, algorithm D, in base 2^32).
#[inline(always)]
pub(super) fn divide_wide(high: u64, low: u64, divisor: u64) -> (u64, u64) {
    const BASE: u64 = 1 << 32;
    const LOW: u64 = BASE - 1;
    let (d1, d0) = (divisor >> 32, divisor & LOW);
    let digit = |rest: u64, next: u64| {
        let mut q = rest / d1;
        let mut r = rest - q * d1;
        while q >= BASE || q * d0 > (r << 32 | next) {
            q -= 1;
            r += d1;
            if r >= BASE {
                break;
            }
        }
        (q, (rest << 32 | next).wrapping_sub(q.wrapping_mul(divisor)))
    };
    let (q1, rest) = digit(high, low >> 32);
    let (q0, rest) = digit(rest, low & LOW);
    (q1 << 32 | q0, rest)
}

/// A 128-bit significand as rounding to nearest with 64 bits leaves it; `None` outside the range of normal numbers.
#[inline(always)]
fn nearest(sign: u32, exponent: i32, (high, low): (u64, u64)) -> Option<Rounded> {
    // Overflows past a half, and at a half if the last bit is odd.
    let up = low.overflowing_add(HALF - 1 + (high & 1)).1;
    let mantissa = high.wrapping_add(up.into());
    if mantissa == 0 || (exponent - 1) as u32 >= 0x7ffe {
        return nearest_rare(sign, exponent, mantissa, low, up);
    }
    let flags = (u32::from(low != 0) << 5 | u32::from(up) << 9) as u16;
    Some(Rounded { value: F80 { mantissa, sign_exponent: (sign | exponent as u32) as u16 }, flags })
}

#[cold]
fn nearest_rare(sign: u32, exponent: i32, mantissa: u64, low: u64, up: bool) -> Option<Rounded> {
    let carry = mantissa == 0;
    let exponent = exponent + i32::from(carry);
    if !(1..0x7fff).contains(&exponent) {
        return None;
    }
    let flags = if low != 0 { status::PRECISION } else { 0 } | if up { status::C1 } else { 0 };
    let mantissa = if carry { INTEGER } else { mantissa };
    Some(Rounded { value: F80 { mantissa, sign_exponent: sign as u16 | exponent as u16 }, flags })
}

/// Two numbers rounded to nearest with 64 bits; `None` where the other way must be taken.
#[inline(always)]
pub(super) fn fast(operation: Operation, a: F80, b: F80) -> Option<Rounded> {
    let negated = |value: F80| F80 { sign_exponent: value.sign_exponent ^ 0x8000, ..value };
    match operation {
        Operation::Add => fast_add(a, b),
        Operation::Sub => fast_add(a, negated(b)),
        Operation::SubReversed => fast_add(negated(a), b),
        Operation::Mul => fast_mul(a, b),
        Operation::Div => fast_div(a, b),
        _ => fast_div(b, a),
    }
}

/// The parts of a normal number.
#[inline(always)]
fn whole(value: F80) -> Parts {
    Parts { sign: value.sign(), exponent: value.exponent().into(), mantissa: value.mantissa }
}

/// The exponents of two normal numbers; `None` if one of them is none, or within `margin` of the range's ends.
#[inline(always)]
fn exponents(a: F80, b: F80, margin: i32) -> Option<(i32, i32)> {
    let (x, y) = (i32::from(a.exponent()), i32::from(b.exponent()));
    let is_inside = |exponent: i32| ((exponent - margin) as u32) < (0x7fff - 2 * margin) as u32;
    // The integer bits are set.
    let is_normal = ((a.mantissa & b.mantissa) as i64) < 0;
    if is_normal && is_inside(x) && is_inside(y) { Some((x, y)) } else { None }
}

/// Neither branches on which operand is larger, nor on a carry: processors can't foresee those.
#[inline(always)]
fn fast_add(a: F80, b: F80) -> Option<Rounded> {
    // A result may have up to 64 digits fewer.
    let (x, y) = exponents(a, b, 66)?;
    let ahead = y - x;
    let swap = ahead > 0;
    let (high, other) = if swap { (b.mantissa, a.mantissa) } else { (a.mantissa, b.mantissa) };
    let exponent = if swap { y } else { x };
    let by = ahead.unsigned_abs();
    if by > 63 {
        return None;
    }
    let sign = u32::from(if swap { b.sign_exponent } else { a.sign_exponent }) & 0x8000;
    let (aligned, low) = (other >> by, other << 1 << (63 - by));
    if (a.sign_exponent ^ b.sign_exponent) & 0x8000 != 0 {
        return fast_difference(sign, exponent, high, aligned, low);
    }
    let (total, carry) = high.overflowing_add(aligned);
    let one = u64::from(carry);
    let low = low >> one | low & 1 | (total & one) << 63;
    nearest(sign, exponent + one as i32, (total >> one | one << 63, low))
}

#[inline(always)]
fn fast_difference(sign: u32, exponent: i32, high: u64, aligned: u64, low: u64) -> Option<Rounded> {
    let (difference, is_negative) = high.overflowing_sub(aligned);
    if is_negative {
        // The exponents are the same.
        let shift = difference.wrapping_neg().leading_zeros();
        let mantissa = difference.wrapping_neg() << shift;
        return nearest(sign ^ 0x8000, exponent - shift as i32, (mantissa, 0));
    }
    let total = difference.wrapping_sub(u64::from(low != 0));
    let low = low.wrapping_neg();
    if total == 0 {
        return if low == 0 { Some(Rounded::exact(F80::ZERO)) } else { None };
    }
    let shift = total.leading_zeros();
    let total = total << shift | low >> 1 >> (63 - shift);
    nearest(sign, exponent - shift as i32, (total, low << shift))
}

#[inline(always)]
fn fast_mul(a: F80, b: F80) -> Option<Rounded> {
    let (x, y) = exponents(a, b, 1)?;
    let (high, low) = multiply_wide(a.mantissa, b.mantissa);
    let missing = high >> 63 ^ 1;
    let exponent = x + y - (BIAS - 1) - missing as i32;
    let sign = u32::from(a.sign_exponent ^ b.sign_exponent) & 0x8000;
    nearest(sign, exponent, (high << missing | low >> 63 & missing, low << missing))
}

#[inline(always)]
fn fast_div(a: F80, b: F80) -> Option<Rounded> {
    exponents(a, b, 1)?;
    let (sign, exponent, significand) = quotient(whole(a), whole(b));
    nearest(sign.into(), exponent, significand)
}

/// A sum to 128 bits, not normalised where digits cancel out.
#[inline(always)]
fn sum(a: Parts, b: Parts) -> (u16, i32, (u64, u64)) {
    let swap = b.exponent > a.exponent || b.exponent == a.exponent && b.mantissa > a.mantissa;
    let (a, b) = if swap { (b, a) } else { (a, b) };
    let by = (a.exponent - b.exponent) as u32;
    let (high, low) = if by < 64 {
        // Two shifts, since one by 64 is none.
        (b.mantissa >> by, b.mantissa << 1 << (63 - by))
    } else {
        shift_right_sticky((b.mantissa, 0), by)
    };
    if a.sign != b.sign {
        let borrow = u64::from(low != 0);
        return (a.sign, a.exponent, (a.mantissa - high - borrow, low.wrapping_neg()));
    }
    let (total, carry) = a.mantissa.overflowing_add(high);
    if carry {
        let low = total << 63 | low >> 1 | low & 1;
        return (a.sign, a.exponent + 1, (INTEGER | total >> 1, low));
    }
    (a.sign, a.exponent, (total, low))
}

#[inline(always)]
fn product(a: Parts, b: Parts) -> (u16, i32, (u64, u64)) {
    let (high, low) = multiply_wide(a.mantissa, b.mantissa);
    let exponent = a.exponent + b.exponent - BIAS;
    let sign = a.sign ^ b.sign;
    if high >> 63 != 0 {
        (sign, exponent + 1, (high, low))
    } else {
        (sign, exponent, (high << 1 | low >> 63, low << 1))
    }
}

#[inline(always)]
fn quotient(a: Parts, b: Parts) -> (u16, i32, (u64, u64)) {
    let exponent = a.exponent - b.exponent + BIAS;
    let (exponent, high, low) = if a.mantissa >= b.mantissa {
        (exponent, a.mantissa >> 1, a.mantissa << 63)
    } else {
        (exponent - 1, a.mantissa, 0)
    };
    let (quotient, rest) = divide_wide(high, low, b.mantissa);
    (a.sign ^ b.sign, exponent, (quotient, remainder_as_fraction(rest, b.mantissa)))
}

/// A fraction that is on the same side of a half as `rest / divisor`.
#[inline(always)]
fn remainder_as_fraction(rest: u64, divisor: u64) -> u64 {
    if rest == 0 {
        return 0;
    }
    match rest.cmp(&(divisor - rest)) {
        Ordering::Less => 1,
        Ordering::Equal => HALF,
        Ordering::Greater => HALF | 1,
    }
}

/// The result if one operand is zero and the other normal, where nothing is to be rounded.
pub(super) fn with_zero(operation: Operation, a: F80, b: F80) -> Option<F80> {
    let is_zero = |value: F80| value.mantissa == 0 && value.exponent() == 0;
    match operation {
        Operation::Mul if is_zero(a) && b.is_normal() || is_zero(b) && a.is_normal() => {
            Some(F80::zero(a.sign() ^ b.sign()))
        }
        Operation::Add if is_zero(a) && b.is_normal() => Some(b),
        Operation::Add | Operation::Sub if is_zero(b) && a.is_normal() => Some(a),
        _ => None,
    }
}

/// Any operands, precision and rounding; `denormal` says whether one was a denormal number in memory.
#[inline(never)]
pub(super) fn arithmetic(operation: Operation, a: F80, b: F80, denormal: u16, control: u16) -> Rounded {
    let (x, y) = (a.class(), b.class());
    if x.is_nan() || y.is_nan() {
        return choose_nan(a, b);
    }
    let negated = |value: F80| F80 { sign_exponent: value.sign_exponent ^ 0x8000, ..value };
    let denormal = if x == Class::Denormal || y == Class::Denormal { status::DENORMAL } else { denormal };
    let result = match operation {
        Operation::Add => add(a, b, control),
        Operation::Sub => add(a, negated(b), control),
        Operation::SubReversed => add(negated(a), b, control),
        Operation::Mul => multiply(a, b, control),
        Operation::Div => divide(a, b, control),
        _ => divide(b, a, control),
    };
    // Invalid operations and divisions by zero are found before denormal operands.
    if result.flags & (status::INVALID | status::ZERO_DIVIDE) != 0 { result } else { result.with(denormal) }
}

/// The zero that numbers of opposite signs add up to.
fn cancelled(control: u16) -> F80 {
    F80::zero(if Rounding::of(control) == Rounding::Down { 0x8000 } else { 0 })
}

fn add(a: F80, b: F80, control: u16) -> Rounded {
    use Class::{Infinity, Zero};
    match (a.class(), b.class()) {
        (Infinity, Infinity) if a.sign() != b.sign() => Rounded::invalid(),
        (Infinity, _) => Rounded::exact(a),
        (_, Infinity) => Rounded::exact(b),
        (Zero, Zero) => Rounded::exact(if a.sign() == b.sign() { a } else { cancelled(control) }),
        // Even so the result is rounded.
        (Zero, _) => same(b, control),
        (_, Zero) => same(a, control),
        _ => {
            let (sign, exponent, significand) = sum(Parts::of(a), Parts::of(b));
            if significand == (0, 0) {
                return Rounded::exact(cancelled(control));
            }
            normalize_and_round(control, sign, exponent, significand)
        }
    }
}

fn same(value: F80, control: u16) -> Rounded {
    let Parts { sign, exponent, mantissa } = Parts::of(value);
    round(control, sign, exponent, (mantissa, 0))
}

fn multiply(a: F80, b: F80, control: u16) -> Rounded {
    use Class::{Infinity, Zero};
    let sign = a.sign() ^ b.sign();
    match (a.class(), b.class()) {
        (Infinity, Zero) | (Zero, Infinity) => Rounded::invalid(),
        (Infinity, _) | (_, Infinity) => Rounded::exact(F80::infinity(sign)),
        (Zero, _) | (_, Zero) => Rounded::exact(F80::zero(sign)),
        _ => {
            let (sign, exponent, significand) = product(Parts::of(a), Parts::of(b));
            round(control, sign, exponent, significand)
        }
    }
}

fn divide(a: F80, b: F80, control: u16) -> Rounded {
    use Class::{Infinity, Zero};
    let sign = a.sign() ^ b.sign();
    match (a.class(), b.class()) {
        (Infinity, Infinity) | (Zero, Zero) => Rounded::invalid(),
        (Infinity, _) => Rounded::exact(F80::infinity(sign)),
        (_, Infinity) | (Zero, _) => Rounded::exact(F80::zero(sign)),
        (_, Zero) => Rounded { value: F80::infinity(sign), flags: status::ZERO_DIVIDE },
        _ => {
            let (sign, exponent, significand) = quotient(Parts::of(a), Parts::of(b));
            round(control, sign, exponent, significand)
        }
    }
}

/// A square root.
pub(super) fn square_root(value: F80, control: u16) -> Rounded {
    let denormal = match value.class() {
        Class::Quiet | Class::Signaling | Class::Unsupported => return pass_nan(value),
        Class::Zero => return Rounded::exact(value),
        _ if value.sign() != 0 => return Rounded::invalid(),
        Class::Infinity => return Rounded::exact(value),
        Class::Denormal => status::DENORMAL,
        Class::Normal => 0,
    };
    let (exponent, significand) = root(Parts::of(value));
    round(control, 0, exponent, significand).with(denormal)
}

/// The same for a normal positive number, rounded to nearest with 64 bits.
#[inline(always)]
pub(super) fn fast_square_root(value: F80) -> Option<Rounded> {
    let (exponent, significand) = root(whole(value));
    nearest(0, exponent, significand)
}

#[inline(always)]
fn root(value: Parts) -> (i32, (u64, u64)) {
    let power = value.exponent - BIAS;
    // An even power of two, and a significand of 127 or 128 bits.
    let (high, low) = if power & 1 == 0 { (value.mantissa >> 1, value.mantissa << 63) } else { (value.mantissa, 0) };
    let (root, rest) = integer_root(high, low);
    let fraction = match rest {
        (0, 0) => 0,
        (0, rest) if rest <= root => 1,
        _ => HALF | 1,
    };
    (BIAS + (power >> 1), (root, fraction))
}

/// The integer part of the square root of (high, low), `high` at least 2^62, and what is left.
#[inline(always)]
fn integer_root(high: u64, low: u64) -> (u64, (u64, u64)) {
    const TWO_16: f64 = 65536.0;
    // 52 bits, then one step of Newton's method for the rest. Signed conversions are cheaper in WebAssembly.
    let half = ((high >> 1) as i64 as f64).sqrt() * (std::f64::consts::SQRT_2 * (1u64 << 31) as f64);
    let guess = (half as i64 as u64) << 1;
    let per_rest = TWO_16 / (half * 4.0);
    // Less than 2^79 is left, of which the upper bits do.
    let (over, under) = left(high, low, guess);
    let correction = ((over << 48 | under >> 16) as i64 as f64 * per_rest) as i64;
    let mut root = guess.checked_add_signed(correction).unwrap_or(u64::MAX);
    let (mut over, mut under) = left(high, low, root);
    while over >> 63 != 0 {
        // Too large: 2 * root - 1 more is left for the next lower one.
        root -= 1;
        let (sum, carry) = under.overflowing_add(root << 1 | 1);
        (over, under) = (over.wrapping_add(root >> 63).wrapping_add(carry.into()), sum);
    }
    while over > root >> 63 || over == root >> 63 && under > root << 1 {
        let (difference, borrow) = under.overflowing_sub(root << 1 | 1);
        (over, under) = (over.wrapping_sub(root >> 63).wrapping_sub(borrow.into()), difference);
        root += 1;
    }
    (root, (over, under))
}

/// (high, low) - root^2, modulo 2^128.
#[inline(always)]
fn left(high: u64, low: u64, root: u64) -> (u64, u64) {
    let (h, l) = multiply_wide(root, root);
    let (under, borrow) = low.overflowing_sub(l);
    (high.wrapping_sub(h).wrapping_sub(borrow.into()), under)
}

/// How two numbers compare; `None` for NaNs.
#[inline(always)]
pub(super) fn order(a: F80, b: F80) -> Option<Ordering> {
    if !(a.is_normal() && b.is_normal()) {
        return order_any(a, b);
    }
    if a.sign() != b.sign() {
        return Some(if a.sign() == 0 { Ordering::Greater } else { Ordering::Less });
    }
    let magnitudes = (a.exponent(), a.mantissa).cmp(&(b.exponent(), b.mantissa));
    Some(if a.sign() == 0 { magnitudes } else { magnitudes.reverse() })
}

fn order_any(a: F80, b: F80) -> Option<Ordering> {
    let (x, y) = (a.class(), b.class());
    if x.is_nan() || y.is_nan() {
        return None;
    }
    let key = |value: F80, class: Class| {
        // A denormal number with an integer bit equals a normal one.
        let exponent = if class == Class::Denormal { value.exponent().max(1) } else { value.exponent() };
        let magnitude = i128::from(exponent) << 64 | i128::from(value.mantissa);
        if value.sign() == 0 { magnitude } else { -magnitude }
    };
    Some(key(a, x).cmp(&key(b, y)))
}
