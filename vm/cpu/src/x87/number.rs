//! 80-bit numbers taken apart and put together: classes, NaN rules, rounding to what the control word asks for.
//!
//! Source: Intel SDM vol. 1, 4.8 (NaNs), 8.1.5 (precision and rounding control), 8.5 (exceptions and their responses).

use super::status;
use crate::fpu::F80;

/// The sign's bit in [`F80::sign_exponent`].
pub(super) const SIGN: u16 = 0x8000;
/// Exponent of infinities and NaNs.
pub(super) const EXPONENT_MAX: u16 = 0x7fff;
/// What exponents of numbers are counted from.
pub(super) const BIAS: i32 = 0x3fff;
/// The integer bit, set in all normal numbers.
pub(super) const INTEGER: u64 = 1 << 63;
/// The bit that makes a NaN quiet.
const QUIET: u64 = 1 << 62;
/// Half of a unit in the last place, in the fraction that rounding drops.
pub(super) const HALF: u64 = 1 << 63;
/// What is added to or taken from an exponent when an unmasked overflow or underflow leaves its result in a register.
const WRAP: i32 = 0x6000;

/// The NaN of invalid operations: negative, quiet, no payload.
pub(super) const INDEFINITE: F80 = F80 { mantissa: 3 << 62, sign_exponent: 0xffff };

/// What bits stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Zero,
    Normal,
    /// Also one with its integer bit set, which counts as normal from then on.
    Denormal,
    Infinity,
    Quiet,
    Signaling,
    /// The integer bit is clear though the exponent is not 0, as MMX instructions can leave it (SDM vol. 1, 8.2.2).
    Unsupported,
}

impl Class {
    /// Whether computing with it is invalid by itself.
    pub(super) fn is_invalid(self) -> bool {
        matches!(self, Class::Signaling | Class::Unsupported)
    }

    pub(super) fn is_nan(self) -> bool {
        matches!(self, Class::Quiet | Class::Signaling | Class::Unsupported)
    }
}

impl F80 {
    pub(super) const ZERO: F80 = F80 { mantissa: 0, sign_exponent: 0 };
    pub(super) const ONE: F80 = F80 { mantissa: INTEGER, sign_exponent: BIAS as u16 };

    pub(super) fn infinity(sign: u16) -> F80 {
        F80 { mantissa: INTEGER, sign_exponent: sign | EXPONENT_MAX }
    }

    pub(super) fn zero(sign: u16) -> F80 {
        F80 { mantissa: 0, sign_exponent: sign }
    }

    #[inline(always)]
    pub(super) fn sign(self) -> u16 {
        self.sign_exponent & SIGN
    }

    /// The biased exponent.
    #[inline(always)]
    pub(super) fn exponent(self) -> u16 {
        self.sign_exponent & EXPONENT_MAX
    }

    /// Neither zero nor denormal, infinite, NaN, or no number at all.
    #[inline(always)]
    pub(super) fn is_normal(self) -> bool {
        self.exponent().wrapping_sub(1) < EXPONENT_MAX - 1 && self.mantissa >> 63 != 0
    }

    pub(super) fn class(self) -> Class {
        match self.exponent() {
            0 if self.mantissa == 0 => Class::Zero,
            0 => Class::Denormal,
            _ if self.mantissa >> 63 == 0 => Class::Unsupported,
            EXPONENT_MAX if self.mantissa == INTEGER => Class::Infinity,
            EXPONENT_MAX if self.mantissa & QUIET != 0 => Class::Quiet,
            EXPONENT_MAX => Class::Signaling,
            _ => Class::Normal,
        }
    }

    /// The same NaN, quiet.
    pub(super) fn quieted(self) -> F80 {
        if self.class() == Class::Unsupported { INDEFINITE } else { F80 { mantissa: self.mantissa | QUIET, ..self } }
    }

    /// A denormal number with an integer bit, as the normal one it is.
    pub(super) fn normal(self) -> F80 {
        let is_denormal = self.exponent() == 0 && self.mantissa >> 63 != 0;
        F80 { sign_exponent: self.sign_exponent | u16::from(is_denormal), ..self }
    }

    pub(super) fn with_sign(self, sign: u16) -> F80 {
        F80 { sign_exponent: self.exponent() | sign, ..self }
    }
}

/// A number other than zero: ±mantissa * 2^(exponent - BIAS - 63), the mantissa's highest bit set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub sign: u16,
    pub exponent: i32,
    pub mantissa: u64,
}

impl Parts {
    /// Of a normal or denormal number.
    #[inline(always)]
    pub(super) fn of(value: F80) -> Parts {
        let shift = value.mantissa.leading_zeros();
        let exponent = i32::from(value.exponent().max(1)) - shift as i32;
        Parts { sign: value.sign(), exponent, mantissa: value.mantissa << (shift & 63) }
    }
}

/// A result, and the exception flags and C1 that come with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounded {
    pub value: F80,
    pub flags: u16,
}

impl Rounded {
    pub(super) fn exact(value: F80) -> Rounded {
        Rounded { value, flags: 0 }
    }

    pub(super) fn invalid() -> Rounded {
        Rounded { value: INDEFINITE, flags: status::INVALID }
    }

    pub(super) fn with(self, flags: u16) -> Rounded {
        Rounded { flags: self.flags | flags, ..self }
    }
}

/// The result if one of two operands is NaN: the one with the larger significand, made quiet (SDM vol. 1, table 4-7).
pub(super) fn choose_nan(a: F80, b: F80) -> Rounded {
    let (x, y) = (a.class(), b.class());
    let flags = if x.is_invalid() || y.is_invalid() { status::INVALID } else { 0 };
    let value = if x == Class::Unsupported || y == Class::Unsupported {
        INDEFINITE
    } else if !x.is_nan() {
        b
    } else if !y.is_nan() {
        a
    } else if x != y {
        // A signalling NaN gives way to a quiet one.
        if x == Class::Signaling { b } else { a }
    } else if a.mantissa == b.mantissa {
        if a.sign() == 0 { a } else { b }
    } else if a.mantissa > b.mantissa {
        a
    } else {
        b
    };
    Rounded { value: value.quieted(), flags }
}

/// A function's result if its operand is NaN.
pub(super) fn pass_nan(a: F80) -> Rounded {
    choose_nan(a, a)
}

/// How to round, from a control word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rounding {
    Nearest,
    Down,
    Up,
    Truncate,
}

impl Rounding {
    pub(super) fn of(control: u16) -> Rounding {
        [Rounding::Nearest, Rounding::Down, Rounding::Up, Rounding::Truncate][usize::from(control >> 10 & 3)]
    }

    /// Whether a magnitude goes up to the next one, when `fraction` (in units of 2^-64) is dropped.
    #[inline(always)]
    pub(super) fn is_up(self, sign: u16, is_odd: bool, fraction: u64) -> bool {
        match self {
            Rounding::Nearest => fraction > HALF || fraction == HALF && is_odd,
            Rounding::Down => fraction != 0 && sign != 0,
            Rounding::Up => fraction != 0 && sign == 0,
            Rounding::Truncate => false,
        }
    }
}

/// Significant bits that the control word's precision field asks for.
pub(super) fn precision(control: u16) -> u32 {
    match control >> 8 & 3 {
        0 => 24,
        2 => 53,
        // 1 is reserved.
        _ => 64,
    }
}

/// Rounds a significand of 128 bits to its `bits` highest; gives the carry out of it, and whether something was lost
/// and whether the magnitude grew.
#[inline(always)]
pub(super) fn round_significand(
    how: Rounding,
    bits: u32,
    sign: u16,
    (high, low): (u64, u64),
) -> (u64, bool, bool, bool) {
    let unit = 1u64 << (64 - bits);
    let dropped = high & (unit - 1);
    let fraction = if bits == 64 { low } else { dropped << bits | u64::from(low != 0) };
    let kept = high - dropped;
    let up = how.is_up(sign, kept & unit != 0, fraction);
    let (rounded, carry) = kept.overflowing_add(if up { unit } else { 0 });
    (rounded, carry, fraction != 0, up)
}

/// (high, low) shifted right, what falls out kept as one bit.
#[inline(always)]
pub(super) fn shift_right_sticky((high, low): (u64, u64), by: u32) -> (u64, u64) {
    match by {
        0 => (high, low),
        1..64 => (high >> by, high << (64 - by) | low >> by | u64::from(low << (64 - by) != 0)),
        64 => (0, high | u64::from(low != 0)),
        65..128 => (0, high >> (by - 64) | u64::from(high << (128 - by) != 0 || low != 0)),
        _ => (0, u64::from(high | low != 0)),
    }
}

/// The number ±(high + low / 2^64) * 2^(exponent - BIAS - 63), whose highest bit is set, rounded to `bits` bits as
/// `control` says, with its responses to overflow and underflow.
pub(super) fn round_to(bits: u32, control: u16, sign: u16, exponent: i32, significand: (u64, u64)) -> Rounded {
    let how = Rounding::of(control);
    let (mantissa, carry, inexact, up) = round_significand(how, bits, sign, significand);
    let (mantissa, rounded) = if carry { (INTEGER, exponent + 1) } else { (mantissa, exponent) };
    let flags = if inexact { status::PRECISION } else { 0 } | if up { status::C1 } else { 0 };
    let pack = |exponent: i32| F80 { mantissa, sign_exponent: sign | exponent as u16 };
    if rounded > 0x7ffe {
        if control & status::OVERFLOW == 0 {
            if rounded - WRAP > 0x7ffe {
                // FSCALE alone gets so far.
                let flags = status::OVERFLOW | status::PRECISION | status::C1;
                return Rounded { value: F80::infinity(sign), flags };
            }
            return Rounded { value: pack(rounded - WRAP), flags: flags | status::OVERFLOW };
        }
        return overflow(bits, how, sign);
    }
    if rounded < 1 {
        if control & status::UNDERFLOW == 0 {
            if rounded + WRAP < 1 {
                let flags = status::UNDERFLOW | status::PRECISION;
                return Rounded { value: F80::zero(sign), flags };
            }
            return Rounded { value: pack(rounded + WRAP), flags: flags | status::UNDERFLOW };
        }
        return underflow(bits, how, sign, shift_right_sticky(significand, (1 - exponent) as u32));
    }
    Rounded { value: pack(rounded), flags }
}

/// Infinity, or the largest number where rounding leads towards zero.
fn overflow(bits: u32, how: Rounding, sign: u16) -> Rounded {
    let flags = status::OVERFLOW | status::PRECISION;
    let to_infinity = how == Rounding::Nearest || how == if sign == 0 { Rounding::Up } else { Rounding::Down };
    if to_infinity {
        return Rounded { value: F80::infinity(sign), flags: flags | status::C1 };
    }
    let mantissa = u64::MAX << (64 - bits);
    Rounded { value: F80 { mantissa, sign_exponent: sign | (EXPONENT_MAX - 1) }, flags }
}

/// A denormal number. Its last bit is where a normal number's would be.
fn underflow(bits: u32, how: Rounding, sign: u16, significand: (u64, u64)) -> Rounded {
    let (mantissa, _, inexact, up) = round_significand(how, bits, sign, significand);
    let flags = if inexact { status::UNDERFLOW | status::PRECISION } else { 0 } | if up { status::C1 } else { 0 };
    // Rounded up to the smallest normal number it has that number's exponent.
    let exponent = (mantissa >> 63) as u16;
    Rounded { value: F80 { mantissa, sign_exponent: sign | exponent }, flags }
}

/// The same with the precision that the control word asks for.
pub(super) fn round(control: u16, sign: u16, exponent: i32, significand: (u64, u64)) -> Rounded {
    round_to(precision(control), control, sign, exponent, significand)
}

/// The same for a significand whose highest bit need not be set, but that is not 0.
pub(super) fn normalize_and_round(control: u16, sign: u16, exponent: i32, significand: (u64, u64)) -> Rounded {
    let ((high, low), shift) = normalize(significand);
    round(control, sign, exponent - shift as i32, (high, low))
}

/// Shifts out leading zeros; says how many.
pub(super) fn normalize((high, low): (u64, u64)) -> ((u64, u64), u32) {
    match high.leading_zeros() {
        0 => ((high, low), 0),
        64 => {
            let shift = low.leading_zeros() & 63;
            ((low << shift, 0), 64 + shift)
        }
        shift => ((high << shift | low >> (64 - shift), low << shift), shift),
    }
}
