//! 80-bit values: arithmetic with x87's rules for NaN, conversions.

use rustc_apfloat::ieee::{Double, Single, X87DoubleExtended as Extended};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};

use super::spec::{Constant, Operation};
use super::status;
use crate::fpu::F80;

/// Bit that makes a NaN quiet.
const QUIET: u64 = 1 << 62;

pub(super) fn from_f80(value: F80) -> Extended {
    Extended::from_bits(u128::from(value.sign_exponent) << 64 | u128::from(value.mantissa))
}

pub(super) fn to_f80(value: Extended) -> F80 {
    let bits = value.to_bits();
    F80 { mantissa: bits as u64, sign_exponent: (bits >> 64) as u16 }
}

/// The NaN of invalid operations: negative, quiet, no payload.
pub(super) fn indefinite() -> Extended {
    from_f80(F80 { mantissa: 3 << 62, sign_exponent: 0xffff })
}

/// The status word's bits for what an operation reported.
pub(super) fn exceptions(status: Status) -> u16 {
    [
        (Status::INVALID_OP, status::INVALID),
        (Status::DIV_BY_ZERO, status::ZERO_DIVIDE),
        (Status::OVERFLOW, status::OVERFLOW),
        (Status::UNDERFLOW, status::UNDERFLOW),
        (Status::INEXACT, status::PRECISION),
    ]
    .iter()
    .filter(|(flag, _)| status.intersects(*flag))
    .fold(0, |sum, (_, bit)| sum | bit)
}

/// Whether a value is none: the integer bit is clear though the exponent is not 0, as MMX instructions can leave it.
/// Such operands are invalid (SDM vol. 1, 8.2.2). [`from_f80`] makes NaNs of them.
fn is_unsupported(value: Extended) -> bool {
    value.is_nan() && to_f80(value).mantissa >> 63 == 0
}

/// Whether computing with a value is invalid by itself.
fn is_invalid(value: Extended) -> bool {
    value.is_signaling() || is_unsupported(value)
}

fn quiet(value: Extended) -> Extended {
    if is_unsupported(value) {
        return indefinite();
    }
    let F80 { mantissa, sign_exponent } = to_f80(value);
    from_f80(F80 { mantissa: mantissa | QUIET, sign_exponent })
}

/// Of two operands at least one of which is NaN: the one with the larger significand, made quiet (SDM vol. 1, 4.8.3.5).
pub(super) fn choose_nan(a: Extended, b: Extended) -> Extended {
    if is_unsupported(a) || is_unsupported(b) {
        return indefinite();
    }
    if !a.is_nan() {
        return quiet(b);
    }
    if !b.is_nan() {
        return quiet(a);
    }
    // A signalling NaN gives way to a quiet one.
    if a.is_signaling() != b.is_signaling() {
        return if a.is_signaling() { b } else { a };
    }
    let (x, y) = (to_f80(a), to_f80(b));
    quiet(match x.mantissa.cmp(&y.mantissa) {
        std::cmp::Ordering::Greater => a,
        std::cmp::Ordering::Less => b,
        std::cmp::Ordering::Equal => {
            if x.sign_exponent & 0x8000 == 0 {
                a
            } else {
                b
            }
        }
    })
}

pub(super) fn arithmetic(op: Operation, a: Extended, b: Extended, round: Round, raised: &mut u16) -> Extended {
    if a.is_nan() || b.is_nan() {
        if is_invalid(a) || is_invalid(b) {
            *raised |= status::INVALID;
        }
        return choose_nan(a, b);
    }
    let StatusAnd { status, value } = match op {
        Operation::Add => a.add_r(b, round),
        Operation::Sub => a.sub_r(b, round),
        Operation::SubReversed => b.sub_r(a, round),
        Operation::Mul => a.mul_r(b, round),
        Operation::Div => a.div_r(b, round),
        _ => b.div_r(a, round),
    };
    *raised |= exceptions(status);
    if value.is_nan() { indefinite() } else { value }
}

/// From another format; denormals and NaNs included.
pub(super) fn from_f32(bits: u32) -> Extended {
    widen(Single::from_bits(bits.into()))
}

pub(super) fn from_f64(bits: u64) -> Extended {
    widen(Double::from_bits(bits.into()))
}

fn widen<F: FloatConvert<Extended>>(value: F) -> Extended {
    let wide = value.convert(&mut false).value;
    if wide.is_nan() { quiet(wide) } else { wide }
}

pub(super) fn to_f32(value: Extended, round: Round, raised: &mut u16) -> u32 {
    narrow::<Single>(value, round, raised) as u32
}

pub(super) fn to_f64(value: Extended, round: Round, raised: &mut u16) -> u64 {
    narrow::<Double>(value, round, raised) as u64
}

fn narrow<F: Float>(value: Extended, round: Round, raised: &mut u16) -> u128
where
    Extended: FloatConvert<F>,
{
    if is_invalid(value) {
        *raised |= status::INVALID;
    }
    let value = if value.is_nan() { quiet(value) } else { value };
    let StatusAnd { status, value } = value.convert_r(round, &mut false);
    *raised |= exceptions(status);
    value.to_bits()
}

pub(super) fn from_int(value: i64) -> Extended {
    Extended::from_i128(value.into()).value
}

/// To an integer of `bits`; what doesn't fit becomes the most negative one.
pub(super) fn to_int(value: Extended, bits: usize, round: Round, raised: &mut u16) -> i64 {
    let StatusAnd { status, value: whole } = value.to_i128_r(bits, round, &mut false);
    if status.intersects(Status::INVALID_OP) {
        *raised |= status::INVALID;
        return i64::MIN >> (64 - bits);
    }
    *raised |= exceptions(status);
    whole as i64
}

/// The nearest `f64`, for functions computed in that precision.
pub(super) fn approximate(value: Extended) -> f64 {
    f64::from_bits(to_f64(value, Round::NearestTiesToEven, &mut 0))
}

/// To an integer that is still an 80-bit value.
pub(super) fn round_to_int(value: Extended, round: Round, raised: &mut u16) -> Extended {
    if value.is_nan() {
        *raised |= if is_invalid(value) { status::INVALID } else { 0 };
        return quiet(value);
    }
    let StatusAnd { status, value } = value.round_to_integral(round);
    *raised |= exceptions(status);
    value
}

/// A square root, correctly rounded: the integer root of the significand with a bit to round by.
pub(super) fn square_root(value: Extended, round: Round, raised: &mut u16) -> Extended {
    if value.is_nan() {
        *raised |= if is_invalid(value) { status::INVALID } else { 0 };
        return quiet(value);
    }
    if value.is_zero() || value.is_infinite() && !value.is_negative() {
        return value;
    }
    if value.is_negative() {
        *raised |= status::INVALID;
        return indefinite();
    }
    // value = significand * 2^exponent with an even exponent and a significand of 127 or 128 bits.
    let mut exponent = value.ilogb() - 63;
    let mut significand = u128::from(to_f80(value.scalbn(-exponent - 63)).mantissa) << 63;
    exponent -= 63;
    if exponent % 2 != 0 {
        significand <<= 1;
        exponent -= 1;
    }
    let root = significand.isqrt();
    let exact = root * root == significand;
    *raised |= if exact { 0 } else { status::PRECISION };
    let up = match round {
        Round::TowardPositive => !exact,
        Round::NearestTiesToEven => significand - root * root > root,
        _ => false,
    };
    let root = root + u128::from(up);
    Extended::from_u128(root).value.scalbn(exponent / 2)
}

/// FLD1 and its siblings, rounded as the control word says.
pub(super) fn constant(constant: Constant, control: u16) -> F80 {
    // Rounded down, and whether the next one up is nearer.
    let (mantissa, sign_exponent, nearer_up) = match constant {
        Constant::Zero => return F80::default(),
        Constant::One => return F80 { mantissa: 1 << 63, sign_exponent: 0x3fff },
        Constant::Log2Of10 => (0xd49a_784b_cd1b_8afe, 0x4000, false),
        Constant::Log2OfE => (0xb8aa_3b29_5c17_f0bb, 0x3fff, true),
        Constant::Pi => (0xc90f_daa2_2168_c234, 0x4000, true),
        Constant::Log10Of2 => (0x9a20_9a84_fbcf_f798, 0x3ffd, true),
        Constant::LnOf2 => (0xb172_17f7_d1cf_79ab, 0x3ffe, true),
    };
    let up = match control >> 10 & 3 {
        0 => nearer_up,
        2 => true,
        _ => false,
    };
    F80 { mantissa: mantissa + u64::from(up), sign_exponent }
}
