//! Between 80-bit numbers and what memory operands hold.

use super::number::{
    BIAS, Class, EXPONENT_MAX, INTEGER, Parts, Rounded, Rounding, pass_nan, round_significand, shift_right_sticky,
};
use super::status;
use crate::fpu::F80;

/// A format narrower than 80 bits.
#[derive(Clone, Copy)]
struct Format {
    /// Bits of the significand that are stored.
    fraction_bits: u32,
    exponent_bits: u32,
}

const SINGLE: Format = Format { fraction_bits: 23, exponent_bits: 8 };
const DOUBLE: Format = Format { fraction_bits: 52, exponent_bits: 11 };

impl Format {
    const fn exponent_max(self) -> u64 {
        (1 << self.exponent_bits) - 1
    }

    /// Between this format's biased exponents and ours.
    const fn rebias(self) -> i32 {
        BIAS - (self.exponent_max() >> 1) as i32
    }

    fn sign(self, bits: u64) -> u16 {
        (bits >> (self.fraction_bits + self.exponent_bits) << 15) as u16
    }

    /// To 80 bits, always exact. Signalling NaNs stay what they are; a denormal number is reported.
    #[inline(always)]
    fn widen(self, bits: u64) -> Rounded {
        let exponent = bits >> self.fraction_bits & self.exponent_max();
        let fraction = bits << (63 - self.fraction_bits) & (INTEGER - 1);
        if exponent.wrapping_sub(1) < self.exponent_max() - 1 {
            let sign_exponent = self.sign(bits) | (exponent as i32 + self.rebias()) as u16;
            return Rounded::exact(F80 { mantissa: INTEGER | fraction, sign_exponent });
        }
        self.widen_special(bits, exponent, fraction)
    }

    #[cold]
    fn widen_special(self, bits: u64, exponent: u64, fraction: u64) -> Rounded {
        let sign = self.sign(bits);
        if exponent != 0 {
            return Rounded::exact(F80 { mantissa: INTEGER | fraction, sign_exponent: sign | EXPONENT_MAX });
        }
        if fraction == 0 {
            return Rounded::exact(F80::zero(sign));
        }
        let shift = fraction.leading_zeros();
        let exponent = (self.rebias() + 1 - shift as i32) as u16;
        Rounded { value: F80 { mantissa: fraction << shift, sign_exponent: sign | exponent }, flags: status::DENORMAL }
    }

    /// From 80 bits: the bits and the exceptions. With an unmasked overflow or underflow they are not to be used.
    #[inline(always)]
    fn narrow(self, value: F80, control: u16) -> (u64, u16) {
        let exponent = i32::from(value.exponent()) - self.rebias();
        if !value.is_normal() || !(1..self.exponent_max() as i32 - 1).contains(&exponent) {
            return self.narrow_special(value, control);
        }
        let bits = self.fraction_bits + 1;
        let how = Rounding::of(control);
        let (mantissa, carry, inexact, up) = round_significand(how, bits, value.sign(), (value.mantissa, 0));
        let exponent = exponent as u64 + u64::from(carry);
        let flags = if inexact { status::PRECISION } else { 0 } | if up { status::C1 } else { 0 };
        (self.pack(value.sign(), exponent, mantissa), flags)
    }

    fn pack(self, sign: u16, exponent: u64, mantissa: u64) -> u64 {
        let fraction = mantissa << 1 >> (64 - self.fraction_bits);
        u64::from(sign >> 15) << (self.fraction_bits + self.exponent_bits) | exponent << self.fraction_bits | fraction
    }

    #[cold]
    fn narrow_special(self, value: F80, control: u16) -> (u64, u16) {
        let sign = value.sign();
        match value.class() {
            Class::Zero => return (self.pack(sign, 0, 0), 0),
            Class::Infinity => return (self.pack(sign, self.exponent_max(), 0), 0),
            Class::Quiet | Class::Signaling | Class::Unsupported => {
                let Rounded { value, flags } = pass_nan(value);
                return (self.pack(value.sign(), self.exponent_max(), value.mantissa), flags);
            }
            Class::Normal | Class::Denormal => {}
        }
        let how = Rounding::of(control);
        let bits = self.fraction_bits + 1;
        let parts = Parts::of(value);
        let exponent = parts.exponent - self.rebias();
        let (mantissa, carry, inexact, up) = round_significand(how, bits, sign, (parts.mantissa, 0));
        let flags = if inexact { status::PRECISION } else { 0 } | if up { status::C1 } else { 0 };
        let rounded = exponent + i32::from(carry);
        if rounded >= self.exponent_max() as i32 {
            return self.overflow(how, sign);
        }
        if rounded >= 1 {
            let mantissa = if carry { INTEGER } else { mantissa };
            return (self.pack(sign, rounded as u64, mantissa), flags);
        }
        if control & status::UNDERFLOW == 0 {
            return (0, status::UNDERFLOW);
        }
        let (mantissa, _, inexact, up) =
            round_significand(how, bits, sign, shift_right_sticky((parts.mantissa, 0), (1 - exponent) as u32));
        let flags = if inexact { status::UNDERFLOW | status::PRECISION } else { 0 } | if up { status::C1 } else { 0 };
        (self.pack(sign, mantissa >> 63, mantissa), flags)
    }

    fn overflow(self, how: Rounding, sign: u16) -> (u64, u16) {
        let to_infinity = how == Rounding::Nearest || how == if sign == 0 { Rounding::Up } else { Rounding::Down };
        let flags = status::OVERFLOW | status::PRECISION;
        if to_infinity {
            return (self.pack(sign, self.exponent_max(), 0), flags | status::C1);
        }
        (self.pack(sign, self.exponent_max() - 1, u64::MAX), flags)
    }
}

#[inline(always)]
pub(super) fn from_f32(bits: u64) -> Rounded {
    SINGLE.widen(bits & 0xffff_ffff)
}

#[inline(always)]
pub(super) fn from_f64(bits: u64) -> Rounded {
    DOUBLE.widen(bits)
}

#[inline(always)]
pub(super) fn to_f32(value: F80, control: u16) -> (u64, u16) {
    SINGLE.narrow(value, control)
}

#[inline(always)]
pub(super) fn to_f64(value: F80, control: u16) -> (u64, u16) {
    DOUBLE.narrow(value, control)
}

#[inline(always)]
pub(super) fn from_int(value: i64) -> F80 {
    if value == 0 {
        return F80::ZERO;
    }
    let magnitude = value.unsigned_abs();
    let shift = magnitude.leading_zeros();
    let sign = if value < 0 { 0x8000 } else { 0 };
    F80 { mantissa: magnitude << shift, sign_exponent: sign | (BIAS as u16 + 63 - shift as u16) }
}

/// To an integer of 16, 32 or 64 bits; what doesn't fit is invalid and becomes the most negative one.
#[inline(always)]
pub(super) fn to_int(value: F80, bits: u32, how: Rounding) -> (u64, u16) {
    let limit = 1u64 << (bits - 1);
    let indefinite = (limit.wrapping_neg(), status::INVALID);
    let Some((magnitude, flags)) = whole_part(value, how) else { return indefinite };
    let is_negative = value.sign() != 0;
    if magnitude > limit - u64::from(!is_negative) {
        return indefinite;
    }
    (if is_negative { magnitude.wrapping_neg() } else { magnitude }, flags)
}

/// A magnitude rounded to an integer; `None` if it has more than 64 bits or is none.
#[inline(always)]
fn whole_part(value: F80, how: Rounding) -> Option<(u64, u16)> {
    let Parts { sign, exponent, mantissa } = match value.class() {
        Class::Zero => return Some((0, 0)),
        Class::Normal | Class::Denormal => Parts::of(value),
        _ => return None,
    };
    let right = BIAS + 63 - exponent;
    if right < 0 {
        return None;
    }
    let (high, low) = shift_right_sticky((mantissa, 0), right as u32);
    let (whole, carry, inexact, up) = round_significand(how, 64, sign, (high, low));
    if carry {
        return None;
    }
    Some((whole, if inexact { status::PRECISION } else { 0 } | if up { status::C1 } else { 0 }))
}

/// FRNDINT: to an integer that is still an 80-bit number.
pub(super) fn round_to_int(value: F80, control: u16) -> Rounded {
    let denormal = match value.class() {
        Class::Zero | Class::Infinity => return Rounded::exact(value),
        Class::Quiet | Class::Signaling | Class::Unsupported => return pass_nan(value),
        Class::Denormal => status::DENORMAL,
        Class::Normal if value.exponent() >= BIAS as u16 + 63 => return Rounded::exact(value),
        Class::Normal => 0,
    };
    let (whole, flags) = whole_part(value, Rounding::of(control)).unwrap_or((INTEGER, 0));
    let shift = whole.leading_zeros();
    let rounded = if whole == 0 {
        F80::ZERO
    } else {
        F80 { mantissa: whole << shift, sign_exponent: BIAS as u16 + 63 - shift as u16 }
    };
    Rounded { value: rounded.with_sign(value.sign()), flags: flags | denormal }
}

/// Decimal digits of a packed number.
const DIGITS: u32 = 18;

/// FBLD's operand: 18 digits, two in a byte, and a sign. Digits beyond 9 count as what they are.
pub(super) fn from_bcd(low: u64, high: u16) -> F80 {
    let digits = |word: u64, count: u32| (0..count).rev().fold(0u64, |sum, i| sum * 10 + (word >> (4 * i) & 15));
    let magnitude = digits(high.into(), 2) * 10u64.pow(16) + digits(low, 16);
    from_int(magnitude as i64).with_sign(high & 0x8000)
}

/// FBSTP's: `None` for what has more digits or is no number.
pub(super) fn to_bcd(value: F80, how: Rounding) -> ((u64, u16), u16) {
    match whole_part(value, how) {
        Some((magnitude, flags)) if magnitude < 10u64.pow(DIGITS) => {
            let mut rest = magnitude;
            let mut digits = |count: u32| {
                (0..count).fold(0u64, |word, i| {
                    let digit = rest % 10;
                    rest /= 10;
                    word | digit << (4 * i)
                })
            };
            let low = digits(16);
            ((low, digits(2) as u16 | value.sign()), flags)
        }
        _ => ((0xc000_0000_0000_0000, 0xffff), status::INVALID),
    }
}
