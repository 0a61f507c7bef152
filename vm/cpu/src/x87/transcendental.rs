//! Sine, cosine, tangent, arc tangent, powers of two and logarithms.
//!
//! Results are those of 128-bit arithmetic, rounded once: right but for one in very many, where processors are within one
//! unit in the last place (SDM vol. 1, 8.3.10). Angles are reduced as processors do it, by a pi of 66 bits, so that
//! sines of large angles are theirs.

use super::number::{BIAS, Class, INDEFINITE, Parts, Rounded, choose_nan, pass_nan};
use super::spec::Operation;
use super::status;
use super::wide::{Series, Wide, factorials, odd_reciprocals, sum_series};
use crate::fpu::{F80, Fpu};

/// 1/3!, 1/5! and so on, for x up to pi/4.
const SINE: Series<14> = factorials(3, 2);
/// 1/2!, 1/4! and so on.
const COSINE: Series<14> = factorials(2, 2);
/// 1/2!, 1/3! and so on, for x up to ln 2.
const EXPONENTIAL: Series<28> = factorials(2, 1);
/// 1/3, 1/5 and so on, for x up to tan(pi/8).
const ARC_TANGENT: Series<44> = odd_reciprocals();
/// The same for x up to (sqrt 2 - 1) / (sqrt 2 + 1).
const LOGARITHM: Series<22> = odd_reciprocals();

/// A half of the processor's pi, in units of 2^-67.
const HALF_PI: u128 = 0xc_90fd_aa22_168c_234c;

/// Exponent of the first angle that is left for the program to reduce.
const ANGLE_LIMIT: u16 = BIAS as u16 + 63;

pub(super) fn run(fpu: &mut Fpu, operation: Operation) {
    match operation {
        Operation::Sine | Operation::Cosine => fpu.angle(operation),
        Operation::SineCosine | Operation::Tangent => two_results(fpu, operation),
        Operation::PowerMinusOne => fpu.replace(|fpu, value| power_minus_one(value, fpu.control)),
        Operation::ArcTangent => two(fpu, arc_tangent),
        Operation::YLog2X => two(fpu, y_log2_x),
        _ => two(fpu, y_log2_x_plus_one),
    }
}

/// A function of ST(0) and ST(1): the result replaces ST(1), ST(0) goes.
fn two(fpu: &mut Fpu, function: fn(F80, F80, u16) -> Rounded) {
    match fpu.two_operands(1) {
        Ok((x, y)) => {
            let result = function(x, y, fpu.control);
            if fpu.settle(1, result) {
                fpu.pop();
            }
        }
        Err(true) => fpu.pop(),
        Err(false) => {}
    }
}

/// The flag that denormal operands are reported with.
fn denormals(operands: &[F80]) -> u16 {
    if operands.iter().any(|value| value.class() == Class::Denormal) { status::DENORMAL } else { 0 }
}

impl Fpu {
    fn angle(&mut self, operation: Operation) {
        if !self.is_valid(0) {
            self.set_conditions(status::C2, 0);
            return self.replace(|_, value| Rounded::exact(value));
        }
        let value = self.st(0);
        if is_too_large(value) {
            return self.set_conditions(status::C1 | status::C2, status::C2);
        }
        self.set_conditions(status::C2, 0);
        self.replace(|fpu, value| {
            let (sine, cosine) = sine_and_cosine(value, fpu.control);
            if operation == Operation::Sine { sine } else { cosine }
        });
    }
}

fn is_too_large(value: F80) -> bool {
    value.class() == Class::Normal && value.exponent() >= ANGLE_LIMIT
}

/// FSINCOS and FPTAN: one result replaces ST(0), another is pushed.
fn two_results(fpu: &mut Fpu, operation: Operation) {
    let is_room = fpu.has_room();
    if !fpu.is_valid(0) || !is_room {
        fpu.set_conditions(status::C2, 0);
        let masked = if fpu.is_valid(0) { fpu.overflow() } else { fpu.underflow() };
        if masked {
            fpu.set_st(0, INDEFINITE);
            fpu.push_anyway(INDEFINITE);
        }
        return;
    }
    let value = fpu.st(0);
    if is_too_large(value) {
        return fpu.set_conditions(status::C1 | status::C2, status::C2);
    }
    fpu.set_conditions(status::C2, 0);
    let (first, second) = if operation == Operation::SineCosine {
        sine_and_cosine(value, fpu.control)
    } else {
        let tangent = tangent(value, fpu.control);
        let is_nan = tangent.value.class().is_nan();
        (tangent, Rounded::exact(if is_nan { tangent.value } else { F80::ONE }))
    };
    if fpu.settle(0, first) {
        let c1 = fpu.status & status::C1;
        fpu.push(second);
        if operation == Operation::Tangent {
            fpu.raise(c1);
        }
    }
}

// ---- angles ----

/// An angle less what makes whole quarter turns: how many (modulo 4), the rest's magnitude, at most an eighth of a
/// turn, and whether the rest is negative. The angle's sign is left aside.
fn reduce(angle: Parts) -> (u32, Option<Wide>, bool) {
    let exponent = angle.exponent - BIAS;
    if exponent < -1 {
        return (0, Some(Wide::of(angle)), false);
    }
    // In units of 2^-67 the angle is an integer. Its remainder is found some bits at a time.
    let (mut rest, mut turns, mut left) = (u128::from(angle.mantissa), 0u128, (exponent + 4) as u32);
    while left != 0 {
        let step = left.min(56);
        rest <<= step;
        turns = (turns << step) | (rest / HALF_PI);
        rest %= HALF_PI;
        left -= step;
    }
    if rest > HALF_PI / 2 {
        return (turns.wrapping_add(1) as u32 & 3, Wide::scaled(HALF_PI - rest, -67), true);
    }
    (turns as u32 & 3, Wide::scaled(rest, -67), false)
}

/// Sine and cosine of an angle up to pi/4.
fn series(angle: Wide) -> (Wide, Wide) {
    let square = angle.times(angle).to_fraction();
    (angle.times(sum_series(square, true, &SINE)), sum_series(square, true, &COSINE))
}

/// Magnitudes of sine and cosine, which are given as `None` for zero, and whether they are negative.
type Both = ((Option<Wide>, bool), (Option<Wide>, bool));

fn both(value: F80) -> Both {
    let parts = Parts::of(value);
    let (turns, rest, is_negative) = reduce(parts);
    let (sine, cosine) = match rest {
        Some(rest) => {
            let (sine, cosine) = series(rest);
            ((Some(sine), is_negative), (Some(cosine), false))
        }
        None => ((None, false), (Some(Wide::ONE), false)),
    };
    let turned = |(value, sign): (Option<Wide>, bool)| (value, !sign);
    let (sine, cosine) = match turns {
        0 => (sine, cosine),
        1 => (cosine, turned(sine)),
        2 => (turned(sine), turned(cosine)),
        _ => (turned(cosine), sine),
    };
    ((sine.0, sine.1 != (parts.sign != 0)), cosine)
}

fn sine_and_cosine(value: F80, control: u16) -> (Rounded, Rounded) {
    match value.class() {
        Class::Zero => return (Rounded::exact(value), Rounded::exact(F80::ONE)),
        Class::Infinity => return (Rounded::invalid(), Rounded::invalid()),
        Class::Quiet | Class::Signaling | Class::Unsupported => return (pass_nan(value), pass_nan(value)),
        Class::Denormal | Class::Normal => {}
    }
    if let Some(sine) = tiny(value, control) {
        return (sine, Rounded::exact(F80::ONE).with(denormals(&[value]) | status::PRECISION));
    }
    let (sine, cosine) = both(value);
    let rounded = |(magnitude, is_negative): (Option<Wide>, bool)| {
        let sign = sign_of(is_negative);
        magnitude.map_or(Rounded::exact(F80::zero(sign)), |magnitude| magnitude.rounded(sign, control))
    };
    (rounded(sine), rounded(cosine))
}

/// A number near zero is its own sine and tangent, rounding aside.
fn tiny(value: F80, control: u16) -> Option<Rounded> {
    let is_tiny = value.exponent() < BIAS as u16 - 70;
    is_tiny.then(|| Wide::of(Parts::of(value)).rounded_exactly(value.sign(), control).with(denormals(&[value])))
}

fn sign_of(is_negative: bool) -> u16 {
    if is_negative { 0x8000 } else { 0 }
}

fn tangent(value: F80, control: u16) -> Rounded {
    match value.class() {
        Class::Zero => return Rounded::exact(value),
        Class::Infinity => return Rounded::invalid(),
        Class::Quiet | Class::Signaling | Class::Unsupported => return pass_nan(value),
        Class::Denormal | Class::Normal => {}
    }
    if let Some(tangent) = tiny(value, control) {
        return tangent;
    }
    let (sine, cosine) = both(value);
    let sign = sign_of(sine.1 != cosine.1);
    match (sine.0, cosine.0) {
        (Some(sine), Some(cosine)) => sine.over(cosine).rounded(sign, control),
        (None, _) => Rounded::exact(F80::zero(sign)),
        (_, None) => Rounded { value: F80::infinity(sign), flags: status::ZERO_DIVIDE },
    }
}

/// FPATAN: the angle of the point (x, y).
fn arc_tangent(x: F80, y: F80, control: u16) -> Rounded {
    use Class::{Infinity, Zero};
    let (a, b) = (x.class(), y.class());
    if a.is_nan() || b.is_nan() {
        return choose_nan(x, y);
    }
    let denormal = denormals(&[x, y]);
    let is_left = x.sign() != 0;
    let half_pi = Wide { exponent: Wide::PI.exponent - 1, ..Wide::PI };
    let quarter_pi = Wide { exponent: Wide::PI.exponent - 2, ..Wide::PI };
    let magnitude = match (a, b) {
        (Infinity, Infinity) if is_left => half_pi.plus(quarter_pi),
        (Infinity, Infinity) => quarter_pi,
        (_, Zero) | (Infinity, _) if is_left => Wide::PI,
        (_, Zero) | (Infinity, _) => return Rounded::exact(F80::zero(y.sign())).with(denormal),
        (Zero, _) | (_, Infinity) => half_pi,
        _ => {
            let y_sign = y.sign();
            let (x, y) = (Wide::of(Parts::of(x)), Wide::of(Parts::of(y)));
            let is_steep = (y.exponent, y.significand) > (x.exponent, x.significand);
            let ratio = if is_steep { x.over(y) } else { y.over(x) };
            if !is_steep && !is_left && ratio.exponent < -70 {
                // Its own arc tangent.
                return ratio.rounded_exactly(y_sign, control).with(denormal);
            }
            let angle = angle_of(ratio);
            let difference = |from: Wide| from.minus(angle).map_or(from, |(difference, _)| difference);
            match (is_steep, is_left) {
                (false, false) => angle,
                (true, false) => difference(half_pi),
                (true, true) => half_pi.plus(angle),
                (false, true) => difference(Wide::PI),
            }
        }
    };
    magnitude.rounded(y.sign(), control).with(denormal)
}

/// The arc tangent of a number up to 1.
fn angle_of(ratio: Wide) -> Wide {
    let by_series = |ratio: Wide| ratio.times(sum_series(ratio.times(ratio).to_fraction(), true, &ARC_TANGENT));
    // tan(pi/8) is 0.414: above it, the angle to the diagonal is smaller.
    let is_large = ratio.exponent > -2 || ratio.exponent == -2 && ratio.significand > 0xd4 << 120;
    if !is_large {
        return by_series(ratio);
    }
    let quarter_pi = Wide { exponent: Wide::PI.exponent - 2, ..Wide::PI };
    match Wide::ONE.minus(ratio) {
        None => quarter_pi,
        Some((distance, _)) => {
            let rest = by_series(distance.over(Wide::ONE.plus(ratio)));
            quarter_pi.minus(rest).map_or(quarter_pi, |(angle, _)| angle)
        }
    }
}

// ---- powers and logarithms ----

/// F2XM1: 2^x - 1 for x from -1 to 1.
fn power_minus_one(x: F80, control: u16) -> Rounded {
    let half = F80 { sign_exponent: 0xbffe, ..F80::ONE };
    match x.class() {
        Class::Zero => return Rounded::exact(x),
        Class::Infinity if x.sign() == 0 => return Rounded::exact(x),
        Class::Infinity => return Rounded::exact(F80::ONE.with_sign(0x8000)),
        Class::Quiet | Class::Signaling | Class::Unsupported => return pass_nan(x),
        // The manual leaves the rest open; processors leave the operand.
        Class::Normal if x.exponent() >= BIAS as u16 => {
            let value = if x == F80::ONE.with_sign(0x8000) { half } else { x };
            return Rounded::exact(value).with(status::PRECISION);
        }
        Class::Denormal | Class::Normal => {}
    }
    let y = Wide::of(Parts::of(x)).times(Wide::LN_2);
    let factor = sum_series(y.to_fraction(), x.sign() != 0, &EXPONENTIAL);
    y.times(factor).rounded(x.sign(), control).with(denormals(&[x]))
}

/// The logarithm to base 2 of 1 + x, x being `distance` with a sign: its magnitude.
fn log2_near_one(distance: Wide, is_negative: bool) -> Wide {
    // ln(1 + x) = 2 * artanh(x / (2 + x)).
    let two = Wide { exponent: 1, ..Wide::ONE };
    let sum = if is_negative { two.minus(distance).map_or(two, |(sum, _)| sum) } else { two.plus(distance) };
    let ratio = distance.over(sum);
    let logarithm = ratio.times(sum_series(ratio.times(ratio).to_fraction(), false, &LOGARITHM)).times(Wide::LOG2_E);
    Wide { exponent: logarithm.exponent + 1, ..logarithm }
}

/// The logarithm's magnitude and whether it is negative, if it is not an integer; that integer otherwise.
fn log2(x: Wide) -> Result<(Wide, bool), i32> {
    // x = m * 2^e with m from sqrt(1/2) to sqrt(2).
    let is_large = x.significand > 0xb504 << 112;
    let e = x.exponent + i32::from(is_large);
    let m = Wide { exponent: -i32::from(is_large), ..x };
    let Some((distance, is_negative)) = m.minus(Wide::ONE) else { return Err(e) };
    let fraction = log2_near_one(distance, is_negative);
    let Some(whole) = Wide::scaled(u128::from(e.unsigned_abs()), 0) else { return Ok((fraction, is_negative)) };
    if (e < 0) == is_negative {
        return Ok((whole.plus(fraction), is_negative));
    }
    let sum = whole.minus(fraction).map_or(whole, |(sum, _)| sum);
    Ok((sum, e < 0))
}

/// FYL2X: y * log2(x).
fn y_log2_x(x: F80, y: F80, control: u16) -> Rounded {
    use Class::{Infinity, Zero};
    let (a, b) = (x.class(), y.class());
    if a.is_nan() || b.is_nan() {
        return choose_nan(x, y);
    }
    let denormal = denormals(&[x, y]);
    if a == Zero {
        return match b {
            Zero => Rounded::invalid(),
            Infinity => Rounded::exact(F80::infinity(y.sign() ^ 0x8000)),
            _ => Rounded { value: F80::infinity(y.sign() ^ 0x8000), flags: status::ZERO_DIVIDE },
        };
    }
    if x.sign() != 0 {
        return Rounded::invalid();
    }
    if a == Infinity {
        return if b == Zero { Rounded::invalid() } else { Rounded::exact(F80::infinity(y.sign())).with(denormal) };
    }
    let logarithm = log2(Wide::of(Parts::of(x)));
    let is_negative = logarithm.map_or_else(|whole| whole < 0, |(_, is_negative)| is_negative);
    let sign = y.sign() ^ sign_of(is_negative);
    match (b, logarithm) {
        (Infinity, Err(0)) => Rounded::invalid(),
        (Infinity, _) => Rounded::exact(F80::infinity(sign)).with(denormal),
        (Zero, _) | (_, Err(0)) => Rounded::exact(F80::zero(sign)).with(denormal),
        (_, Err(whole)) => {
            let whole = Wide::scaled(u128::from(whole.unsigned_abs()), 0).unwrap_or(Wide::ONE);
            Wide::of(Parts::of(y)).times(whole).rounded_exactly(sign, control).with(denormal)
        }
        (_, Ok((magnitude, _))) => Wide::of(Parts::of(y)).times(magnitude).rounded(sign, control).with(denormal),
    }
}

/// FYL2XP1: y * log2(x + 1), exact for small x.
fn y_log2_x_plus_one(x: F80, y: F80, control: u16) -> Rounded {
    use Class::{Infinity, Zero};
    let (a, b) = (x.class(), y.class());
    if a.is_nan() || b.is_nan() {
        return choose_nan(x, y);
    }
    let denormal = denormals(&[x, y]);
    let sign = x.sign() ^ y.sign();
    if a == Infinity {
        return if x.sign() != 0 || b == Zero {
            Rounded::invalid()
        } else {
            Rounded::exact(F80::infinity(sign)).with(denormal)
        };
    }
    match b {
        Infinity if a == Zero => return Rounded::invalid(),
        Infinity => return Rounded::exact(F80::infinity(sign)).with(denormal),
        Zero => return Rounded::exact(F80::zero(sign)).with(denormal),
        _ if a == Zero => return Rounded::exact(F80::zero(sign)).with(denormal),
        _ => {}
    }
    let distance = Wide::of(Parts::of(x));
    let is_negative = x.sign() != 0;
    let logarithm = if distance.exponent < -1 {
        Some(log2_near_one(distance, is_negative))
    } else {
        let sum = if is_negative { Wide::ONE.minus(distance) } else { Some((Wide::ONE.plus(distance), false)) };
        match sum {
            Some((sum, false)) => log2(sum).map_or_else(
                |whole| Wide::scaled(u128::from(whole.unsigned_abs()), 0),
                |(magnitude, _)| Some(magnitude),
            ),
            _ => None,
        }
    };
    match logarithm {
        Some(logarithm) => Wide::of(Parts::of(y)).times(logarithm).rounded(sign, control).with(denormal),
        None => Rounded::invalid(),
    }
}
