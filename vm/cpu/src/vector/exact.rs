//! Floating point exactly as MXCSR says: rounding, denormals taken or flushed as zeros, and which exceptions happen.
//!
//! The host's arithmetic, which knows none of that, serves programs that never look at MXCSR ([`super::float`]). Here
//! `rustc_apfloat` computes, and tells what happened.
//!
//! Source: Intel SDM vol. 1, 4.9 (exceptions and their order), 10.2.3 (MXCSR), 11.5; vol. 2 of each instruction.

use rustc_apfloat::ieee::{Double, Quad, Single};
use rustc_apfloat::{ExpInt, Float, FloatConvert, Round, Status, StatusAnd};

use crate::ir::{Conversion, FloatOp, Shape, VectorOp};
use crate::state::MXCSR_DEFAULT;

/// Rounding modes as MXCSR, shifted, and ROUNDPS number them: bits 0 and 1.
fn rounding(control: u32) -> Round {
    match control & 3 {
        0 => Round::NearestTiesToEven,
        1 => Round::TowardNegative,
        2 => Round::TowardPositive,
        _ => Round::TowardZero,
    }
}

/// MXCSR's exceptions, as they happen; their masks are 7 bits further up.
pub mod exception {
    #![allow(missing_docs)]
    pub const INVALID: u32 = 1 << 0;
    pub const DENORMAL: u32 = 1 << 1;
    pub const ZERO_DIVIDE: u32 = 1 << 2;
    pub const OVERFLOW: u32 = 1 << 3;
    pub const UNDERFLOW: u32 = 1 << 4;
    pub const PRECISION: u32 = 1 << 5;
    /// Those found before there is a result.
    pub const BEFORE: u32 = INVALID | DENORMAL | ZERO_DIVIDE;
    /// All of them.
    pub const ALL: u32 = 0x3f;
}
use exception::*;

/// What MXCSR has nearly always in these bits: round to nearest, everything masked, inexact results noted. What becomes of
/// denormals does not matter where there are none.
pub const USUAL: u32 = MXCSR_DEFAULT | PRECISION;
/// See [`USUAL`].
pub const USUAL_BITS: u32 = 0xffff & !(ALL | DENORMALS_ARE_ZEROS | FLUSH_TO_ZERO) | PRECISION;

/// How far up in MXCSR exceptions' masks are.
const MASKS_SHIFT: u32 = 7;
/// MXCSR: operands that are denormal count as zeros.
const DENORMALS_ARE_ZEROS: u32 = 1 << 6;
/// MXCSR: results that would be denormal become zeros.
const FLUSH_TO_ZERO: u32 = 1 << 15;

/// MXCSR, as operations ask it.
#[derive(Clone, Copy)]
struct Control(u32);

impl Control {
    fn round(self) -> Round {
        rounding(self.0 >> 13)
    }

    /// The exceptions that are masked.
    fn masks(self) -> u32 {
        self.0 >> MASKS_SHIFT & ALL
    }

    fn is_masked(self, exception: u32) -> bool {
        self.masks() & exception != 0
    }

    fn flushes_operands(self) -> bool {
        self.0 & DENORMALS_ARE_ZEROS != 0
    }

    fn flushes_results(self) -> bool {
        self.0 & FLUSH_TO_ZERO != 0 && self.is_masked(UNDERFLOW)
    }
}

/// A lane's bits, and what happened on the way to them.
#[derive(Clone, Copy)]
struct Outcome {
    bits: u64,
    happened: u32,
}

impl Outcome {
    fn plain(bits: u64) -> Self {
        Self { bits, happened: 0 }
    }
}

/// A format of lanes.
trait Format: Float + FloatConvert<Self::Wide> {
    /// Holds products of two, and products of one and a number one bit longer, exactly.
    type Wide: FloatConvert<Self>;
    const QUIET: u64;
    const DEFAULT_NAN: u64;
    /// The host's result, if operands and result are such that it is exact, or inexact and nothing else.
    fn by_host(op: FloatOp, a: u64, b: u64) -> Option<u64>;
    /// The square root rounded to nearest, and how its square compares with the number.
    fn nearest_root(bits: u64) -> (u64, std::cmp::Ordering);
}

/// The sign of root² - value, which is computed without an error.
fn root_error(root: f64, value: f64) -> std::cmp::Ordering {
    // Scaled, so that the square of a tiny root does not underflow. Powers of two are exact.
    let up = if root < 1e-100 { 2f64.powi(500) } else { 1.0 };
    let error = (root * up).mul_add(root * up, -(value * up * up));
    error.partial_cmp(&0.0).unwrap_or(std::cmp::Ordering::Equal)
}

/// [`Format::by_host`].
macro_rules! by_host {
    ($ty:ty, $bits:ty) => {
        fn by_host(op: FloatOp, a: u64, b: u64) -> Option<u64> {
            let [x, y] = [a, b].map(|bits| <$ty>::from_bits(bits as $bits));
            let result = match op {
                FloatOp::Add => x + y,
                FloatOp::Sub => x - y,
                FloatOp::Mul => x * y,
                FloatOp::Div => x / y,
                _ => return None,
            };
            let is_good = |value: $ty| value == 0.0 || value.is_normal();
            // A zero may be too small a number, unless it comes of one.
            let is_exact_zero = result == 0.0 && (x == 0.0 || op == FloatOp::Mul && y == 0.0);
            let is_sum = matches!(op, FloatOp::Add | FloatOp::Sub);
            let is_good = is_good(x) && is_good(y) && (result.is_normal() || is_exact_zero || is_sum && result == 0.0);
            is_good.then(|| result.to_bits().into())
        }
    };
}

impl Format for Single {
    type Wide = Double;
    const QUIET: u64 = 1 << 22;
    const DEFAULT_NAN: u64 = 0xffc0_0000;

    by_host!(f32, u32);

    fn nearest_root(bits: u64) -> (u64, std::cmp::Ordering) {
        let value = f32::from_bits(bits as u32);
        let root = value.sqrt();
        (root.to_bits().into(), root_error(root.into(), value.into()))
    }
}

impl Format for Double {
    type Wide = Quad;
    const QUIET: u64 = 1 << 51;
    const DEFAULT_NAN: u64 = 0xfff8_0000_0000_0000;

    by_host!(f64, u64);

    fn nearest_root(bits: u64) -> (u64, std::cmp::Ordering) {
        let value = f64::from_bits(bits);
        let root = value.sqrt();
        (root.to_bits(), root_error(root, value))
    }
}

fn from_bits<F: Float>(bits: u64) -> F {
    F::from_bits(bits.into())
}

fn bits<F: Float>(value: F) -> u64 {
    value.to_bits() as u64
}

fn widen<F: Format>(value: F) -> F::Wide {
    value.convert(&mut false).value
}

/// An operand, which may be flushed to zero.
fn operand<F: Float>(bits: u64, control: Control) -> F {
    let value = from_bits::<F>(bits);
    if control.flushes_operands() && value.is_denormal() { F::ZERO.copy_sign(value) } else { value }
}

/// What NaNs among the operands make of an instruction: the first of them, quiet.
fn nan_of<F: Format>(operands: &[F]) -> Option<Outcome> {
    let first = operands.iter().find(|value| value.is_nan())?;
    let happened = if operands.iter().any(|value| value.is_signaling()) { INVALID } else { 0 };
    Some(Outcome { bits: bits(*first) | F::QUIET, happened })
}

fn denormal_among<F: Float>(operands: &[F]) -> u32 {
    if operands.iter().any(|value| value.is_denormal()) { DENORMAL } else { 0 }
}

/// An exact result as a quotient.
struct Quotient<W> {
    dividend: W,
    divisor: W,
    /// The dividend is a sum that has lost bits, which don't matter to its exponent.
    is_cut: bool,
}

impl<W: Float> Quotient<W> {
    fn of(dividend: W, divisor: W) -> Self {
        Self { dividend, divisor, is_cut: false }
    }

    fn whole(dividend: W) -> Self {
        Self::of(dividend, W::from_u128(1).value)
    }

    fn sum(StatusAnd { status, value }: StatusAnd<W>) -> Self {
        Self { is_cut: status.contains(Status::INEXACT), ..Self::whole(value) }
    }
}

/// Whether an exact result stays below the normal numbers even if it is rounded as if there were no least exponent. Only
/// asked if it was rounded to the least normal number.
fn is_tiny<F: Float, W: Float>(exact: &Quotient<W>, is_negative: bool, round: Round) -> bool {
    let least = W::from_u128(1).value.scalbn(F::MIN_EXP);
    // The number below it would have one more bit: half of that is what to nearest rounds up, the whole what away does.
    let below = |bits: usize| (least - least.scalbn(-(bits as ExpInt))).value;
    let up = if is_negative { Round::TowardNegative } else { Round::TowardPositive };
    let (limit, included) = match round {
        Round::NearestTiesToEven => (below(F::PRECISION + 1), false),
        round if round == up => (below(F::PRECISION), true),
        _ => (least, false),
    };
    let (limit, dividend) = ((limit * exact.divisor.abs()).value, exact.dividend.abs());
    dividend < limit || included && dividend == limit
}

/// Whether an exact result that was rounded to the largest number would have had a larger exponent if there were one.
fn is_huge<F: Float, W: Float>(exact: &Quotient<W>) -> bool {
    let limit = W::from_u128(1).value.scalbn(F::MAX_EXP + 1);
    exact.dividend.abs() >= (limit * exact.divisor.abs()).value
}

/// Whether rounding loses something of an exact result even if exponents have no limits.
fn loses<F: Float, W: FloatConvert<F>>(exact: &Quotient<W>) -> bool {
    let StatusAnd { status, value } = exact.dividend / exact.divisor;
    let mut loses_info = exact.is_cut || status.contains(Status::INEXACT);
    if !loses_info {
        let _ = value.scalbn(-value.ilogb()).convert(&mut loses_info);
    }
    loses_info
}

/// What comes of a rounded result that is not a NaN. `exact` is asked where that does not tell enough.
fn finish<F: Float, W: FloatConvert<F>>(
    result: StatusAnd<F>,
    before: u32,
    control: Control,
    exact: impl Fn() -> Quotient<W>,
) -> Outcome {
    let StatusAnd { status, value } = result;
    let inexact = status.contains(Status::INEXACT);
    let mut happened = before | if inexact { PRECISION } else { 0 };
    if status.contains(Status::OVERFLOW) || inexact && value.is_largest() && is_huge::<F, W>(&exact()) {
        happened |= OVERFLOW;
    }
    let may_be_tiny = || is_tiny::<F, W>(&exact(), value.is_negative(), control.round());
    let tiny =
        value.is_denormal() || inexact && (value.is_zero() || value.abs().is_smallest_normalized() && may_be_tiny());
    if tiny && control.flushes_results() {
        return Outcome { bits: bits(F::ZERO.copy_sign(value)), happened: before | UNDERFLOW | PRECISION };
    }
    if tiny && (inexact || !control.is_masked(UNDERFLOW)) {
        happened |= UNDERFLOW;
    }
    // Whoever handles these is told of the precision that a result without limits has lost.
    if happened & (OVERFLOW | UNDERFLOW) & !control.masks() != 0 && !loses::<F, W>(&exact()) {
        happened &= !PRECISION;
    }
    Outcome { bits: bits(value), happened }
}

fn arithmetic<F: Format>(op: FloatOp, a: u64, b: u64, control: Control) -> Outcome {
    if control.0 & USUAL_BITS == USUAL
        && let Some(bits) = F::by_host(op, a, b)
    {
        return Outcome::plain(bits);
    }
    let (a, b) = (operand::<F>(a, control), operand::<F>(b, control));
    if op == FloatOp::Sqrt {
        return root(b, control);
    }
    if let Some(nan) = nan_of(&[a, b]) {
        return nan;
    }
    let round = control.round();
    let result = match op {
        FloatOp::Add => a.add_r(b, round),
        FloatOp::Sub => a.sub_r(b, round),
        FloatOp::Mul => a.mul_r(b, round),
        _ => a.div_r(b, round),
    };
    if result.status.contains(Status::INVALID_OP) {
        return Outcome { bits: F::DEFAULT_NAN, happened: INVALID };
    }
    if result.status.contains(Status::DIV_BY_ZERO) {
        return Outcome { bits: bits(result.value), happened: ZERO_DIVIDE };
    }
    finish(result, denormal_among(&[a, b]), control, || match op {
        FloatOp::Add => Quotient::sum(widen(a).add_r(widen(b), Round::TowardZero)),
        FloatOp::Sub => Quotient::sum(widen(a).sub_r(widen(b), Round::TowardZero)),
        FloatOp::Mul => Quotient::whole((widen(a) * widen(b)).value),
        _ => Quotient::of(widen(a), widen(b)),
    })
}

fn root<F: Format>(value: F, control: Control) -> Outcome {
    if let Some(nan) = nan_of(&[value]) {
        return nan;
    }
    if value.is_zero() || value.is_pos_infinity() {
        return Outcome::plain(bits(value));
    }
    if value.is_negative() {
        return Outcome { bits: F::DEFAULT_NAN, happened: INVALID };
    }
    let (nearest, error) = F::nearest_root(bits(value));
    let bits = match control.round() {
        Round::TowardPositive if error.is_lt() => nearest + 1,
        Round::TowardNegative | Round::TowardZero if error.is_gt() => nearest - 1,
        _ => nearest,
    };
    Outcome { bits, happened: denormal_among(&[value]) | if error.is_eq() { 0 } else { PRECISION } }
}

/// What a comparison notes; signaling ones don't take NaNs of any kind.
fn compared<F: Format>(a: F, b: F, is_signaling: bool) -> u32 {
    match nan_of(&[a, b]) {
        Some(_) if is_signaling => INVALID,
        Some(nan) => nan.happened,
        None => denormal_among(&[a, b]),
    }
}

/// MIN and MAX: if either is NaN or both are zero, the second operand.
fn extreme<F: Format>(is_min: bool, a: u64, b: u64, control: Control) -> Outcome {
    let (a, b) = (operand::<F>(a, control), operand::<F>(b, control));
    let takes_a = if is_min { a < b } else { a > b };
    Outcome { bits: bits(if takes_a { a } else { b }), happened: compared(a, b, true) }
}

/// CMPPS and its relatives.
fn compare<F: Format>(a: u64, b: u64, predicate: u8, control: Control) -> Outcome {
    let (a, b) = (operand::<F>(a, control), operand::<F>(b, control));
    let ones = if F::BITS == 32 { u64::from(u32::MAX) } else { u64::MAX };
    let bits = if super::float::compare(a, b, predicate) { ones } else { 0 };
    Outcome { bits, happened: compared(a, b, matches!(predicate & 3, 1 | 2)) }
}

/// ROUNDPS and its relatives.
fn round<F: Format>(b: u64, imm: u8, control: Control) -> Outcome {
    const CURRENT: u8 = 4;
    const QUIETLY: u8 = 8;
    let value = operand::<F>(b, control);
    if let Some(nan) = nan_of(&[value]) {
        return nan;
    }
    let how = if imm & CURRENT != 0 { control.round() } else { rounding(imm.into()) };
    let StatusAnd { status, value } = value.round_to_integral(how);
    let is_noted = status.contains(Status::INEXACT) && imm & QUIETLY == 0;
    Outcome { bits: bits(value), happened: if is_noted { PRECISION } else { 0 } }
}

fn lane<F: Format>(op: FloatOp, a: u64, b: u64, imm: u8, control: Control) -> Outcome {
    match op {
        FloatOp::Min | FloatOp::Max => extreme::<F>(op == FloatOp::Min, a, b, control),
        FloatOp::Compare => compare::<F>(a, b, imm, control),
        FloatOp::Round => round::<F>(b, imm, control),
        _ => arithmetic::<F>(op, a, b, control),
    }
}

// ---- conversions ----

/// To a wider or narrower format, a NaN keeping the top of its payload.
fn convert<F: Format + FloatConvert<G>, G: Format>(value: u64, control: Control) -> Outcome {
    let value = operand::<F>(value, control);
    if value.is_nan() {
        let (from, to) = (F::PRECISION - 1, G::PRECISION - 1);
        let fraction = bits(value) & ((1 << from) - 1);
        let fraction = if to > from { fraction << (to - from) } else { fraction >> (from - to) };
        let sign = if value.is_negative() { 1 << (G::BITS - 1) } else { 0 };
        let exponent = bits(G::INFINITY);
        let happened = if value.is_signaling() { INVALID } else { 0 };
        return Outcome { bits: sign | exponent | G::QUIET | fraction, happened };
    }
    let result: StatusAnd<G> = value.convert_r(control.round(), &mut false);
    // Where there is anything to ask, the source's format is the wider one.
    finish(result, denormal_among(&[value]), control, || Quotient::whole(value))
}

/// To an integer of `width` bits; the most negative one stands for what does not fit.
fn to_integer<F: Format>(value: u64, width: u32, truncates: bool, control: Control) -> Outcome {
    let value = operand::<F>(value, control);
    let round = if truncates { Round::TowardZero } else { control.round() };
    let mut is_exact = false;
    let StatusAnd { status, value: integer } = value.to_i128_r(width as usize, round, &mut is_exact);
    let mask = u64::MAX >> (64 - width);
    if value.is_nan() || status.contains(Status::INVALID_OP) {
        return Outcome { bits: 1 << (width - 1), happened: INVALID };
    }
    Outcome { bits: integer as u64 & mask, happened: if is_exact { 0 } else { PRECISION } }
}

fn from_integer<F: Format>(value: i64, control: Control) -> Outcome {
    let StatusAnd { status, value } = F::from_i128_r(value.into(), control.round());
    Outcome { bits: bits(value), happened: if status.contains(Status::INEXACT) { PRECISION } else { 0 } }
}

// ---- vectors ----

/// Collects lanes.
#[derive(Default)]
struct Lanes {
    value: u128,
    happened: u32,
}

impl Lanes {
    fn put(&mut self, at: usize, width: u32, Outcome { bits, happened }: Outcome) {
        let mask = u128::from(u64::MAX >> (64 - width)) << (at as u32 * width);
        self.value = self.value & !mask | u128::from(bits) << (at as u32 * width);
        self.happened |= happened;
    }
}

/// Bits of a lane.
fn width_of(shape: Shape) -> u32 {
    if matches!(shape, Shape::Scalar32 | Shape::Packed32) { 32 } else { 64 }
}

fn take(value: u128, at: usize, width: u32) -> u64 {
    (value >> (at as u32 * width)) as u64 & u64::MAX >> (64 - width)
}

/// A floating-point operation by the width of its lanes.
fn lane_of(width: u32, op: FloatOp, a: u64, b: u64, imm: u8, control: Control) -> Outcome {
    if width == 32 { lane::<Single>(op, a, b, imm, control) } else { lane::<Double>(op, a, b, imm, control) }
}

/// Lane by lane; scalar operations keep `a`'s others.
fn lanewise(shape: Shape, a: u128, op: impl Fn(usize) -> FloatOp, b: u128, imm: u8, control: Control) -> Lanes {
    let width = width_of(shape);
    let is_scalar = matches!(shape, Shape::Scalar32 | Shape::Scalar64);
    let mut lanes = Lanes { value: a, happened: 0 };
    for at in 0..if is_scalar { 1 } else { 128 / width as usize } {
        lanes.put(at, width, lane_of(width, op(at), take(a, at, width), take(b, at, width), imm, control));
    }
    lanes
}

/// Sums or differences of neighbours, `a`'s then `b`'s.
fn horizontal(shape: Shape, a: u128, b: u128, op: FloatOp, control: Control) -> Lanes {
    let width = width_of(shape);
    let half = 64 / width as usize;
    let mut lanes = Lanes::default();
    for at in 0..2 * half {
        let (value, pair) = if at < half { (a, at) } else { (b, at - half) };
        let [first, second] = [2 * pair, 2 * pair + 1].map(|index| take(value, index, width));
        lanes.put(at, width, lane_of(width, op, first, second, 0, control));
    }
    lanes
}

/// DPPS, DPPD: see [`super::float::dot_product`].
fn dot_product(shape: Shape, a: u128, b: u128, imm: u8, control: Control) -> Lanes {
    let width = width_of(shape);
    let count = 128 / width as usize;
    let chosen = |bit: usize| imm >> bit & 1 != 0;
    let mut products = Lanes::default();
    for at in (0..count).filter(|at| chosen(4 + at)) {
        let product = lane_of(width, FloatOp::Mul, take(a, at, width), take(b, at, width), 0, control);
        products.put(at, width, product);
    }
    if products.happened & !control.masks() != 0 {
        return products;
    }
    let mut lanes = Lanes { value: 0, happened: products.happened };
    let mut add = |a: u64, b: u64| {
        let sum = lane_of(width, FloatOp::Add, a, b, 0, control);
        lanes.happened |= sum.happened;
        sum.bits
    };
    let product = |at: usize| take(products.value, at, width);
    let sums: Vec<u64> = (0..count)
        .map(|at| {
            if count == 2 {
                return add(product(at), product(at ^ 1));
            }
            let (first, second) = (add(product(at ^ 1), product(at)), add(product(at ^ 3), product(at ^ 2)));
            add(first, second)
        })
        .collect();
    for at in (0..count).filter(|at| chosen(*at)) {
        lanes.put(at, width, Outcome::plain(sums[at]));
    }
    lanes
}

fn conversion(conversion: Conversion, a: u128, b: u128, control: Control) -> Lanes {
    use Conversion as C;
    let (single, double) = (|at| take(b, at, 32), |at| take(b, at, 64));
    let integer = |at| i64::from(take(b, at, 32) as i32);
    let narrow = |at| convert::<Double, Single>(double(at), control);
    let wide = |at| convert::<Single, Double>(single(at), control);
    let single_to = |at, width, truncates| to_integer::<Single>(single(at), width, truncates, control);
    let double_to = |at, width, truncates| to_integer::<Double>(double(at), width, truncates, control);
    let mut lanes = Lanes { value: a, happened: 0 };
    let merges = matches!(
        conversion,
        C::MergeF32ToF64
            | C::MergeF64ToF32
            | C::MergeI32ToF32
            | C::MergeI64ToF32
            | C::MergeI32ToF64
            | C::MergeI64ToF64
            | C::MergeI32x2ToF32x2
    );
    if !merges {
        lanes.value = 0;
    }
    let mut put = |count: usize, width: u32, lane: &dyn Fn(usize) -> Outcome| {
        (0..count).for_each(|at| lanes.put(at, width, lane(at)));
    };
    match conversion {
        C::I32x4ToF32x4 => put(4, 32, &|at| from_integer::<Single>(integer(at), control)),
        C::I32x2ToF64x2 => put(2, 64, &|at| from_integer::<Double>(integer(at), control)),
        C::F32x4ToI32x4 => put(4, 32, &|at| single_to(at, 32, false)),
        C::F32x4ToI32x4Truncated => put(4, 32, &|at| single_to(at, 32, true)),
        C::F64x2ToI32x2 => put(2, 32, &|at| double_to(at, 32, false)),
        C::F64x2ToI32x2Truncated => put(2, 32, &|at| double_to(at, 32, true)),
        C::F32x2ToF64x2 => put(2, 64, &wide),
        C::F64x2ToF32x2 => put(2, 32, &narrow),
        C::MergeF32ToF64 => put(1, 64, &wide),
        C::MergeF64ToF32 => put(1, 32, &narrow),
        C::MergeI32ToF32 => put(1, 32, &|at| from_integer::<Single>(integer(at), control)),
        C::MergeI64ToF32 => put(1, 32, &|_| from_integer::<Single>(b as i64, control)),
        C::MergeI32ToF64 => put(1, 64, &|at| from_integer::<Double>(integer(at), control)),
        C::MergeI64ToF64 => put(1, 64, &|_| from_integer::<Double>(b as i64, control)),
        C::F32ToI32 => put(1, 32, &|at| single_to(at, 32, false)),
        C::F32ToI32Truncated => put(1, 32, &|at| single_to(at, 32, true)),
        C::F32ToI64 => put(1, 64, &|at| single_to(at, 64, false)),
        C::F32ToI64Truncated => put(1, 64, &|at| single_to(at, 64, true)),
        C::F64ToI32 => put(1, 32, &|at| double_to(at, 32, false)),
        C::F64ToI32Truncated => put(1, 32, &|at| double_to(at, 32, true)),
        C::F64ToI64 => put(1, 64, &|at| double_to(at, 64, false)),
        C::F64ToI64Truncated => put(1, 64, &|at| double_to(at, 64, true)),
        C::MergeI32x2ToF32x2 => put(2, 32, &|at| from_integer::<Single>(integer(at), control)),
        C::F32x2ToI32x2 => put(2, 32, &|at| single_to(at, 32, false)),
        C::F32x2ToI32x2Truncated => put(2, 32, &|at| single_to(at, 32, true)),
    }
    lanes
}

/// Whether an operation is floating-point arithmetic that MXCSR has a say in. Approximate reciprocals are not.
pub fn depends_on_control(op: VectorOp) -> bool {
    use VectorOp as V;
    match op {
        V::Float(op, _) => !matches!(op, FloatOp::Reciprocal | FloatOp::ReciprocalSqrt),
        V::Convert(_) | V::HorizontalAddFloat(_) | V::HorizontalSubFloat(_) | V::AddSubFloat(_) | V::DotProduct(_) => {
            true
        }
        _ => false,
    }
}

/// An exception happened that is not masked: there is no result. The status has been noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unmasked;

/// Notes what happened in MXCSR.
///
/// # Errors
/// [`Unmasked`]. What is found out before there are results hides what would be found out after.
fn note(mxcsr: &mut u32, happened: u32) -> Result<(), Unmasked> {
    let unmasked = happened & !Control(*mxcsr).masks();
    *mxcsr |= if unmasked & BEFORE != 0 { happened & BEFORE } else { happened };
    if unmasked == 0 { Ok(()) } else { Err(Unmasked) }
}

/// Computes an operation that [`depends_on_control`].
///
/// # Errors
/// [`Unmasked`].
pub fn eval(op: VectorOp, a: u128, b: u128, imm: u8, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    use VectorOp as V;
    let control = Control(*mxcsr);
    let lanes = match op {
        V::Float(op, shape) => lanewise(shape, a, |_| op, b, imm, control),
        V::Convert(which) => conversion(which, a, b, control),
        V::HorizontalAddFloat(shape) => horizontal(shape, a, b, FloatOp::Add, control),
        V::HorizontalSubFloat(shape) => horizontal(shape, a, b, FloatOp::Sub, control),
        V::AddSubFloat(shape) => {
            lanewise(shape, a, |at| if at % 2 == 0 { FloatOp::Sub } else { FloatOp::Add }, b, imm, control)
        }
        V::DotProduct(shape) => dot_product(shape, a, b, imm, control),
        _ => return Ok(super::eval(op, a, b, imm)),
    };
    note(mxcsr, lanes.happened)?;
    Ok(lanes.value)
}

/// COMISS, UCOMISD and their relatives: the operands as they are to be compared.
///
/// # Errors
/// [`Unmasked`].
pub fn operands(
    is_single: bool,
    is_signaling: bool,
    operands: [u64; 2],
    mxcsr: &mut u32,
) -> Result<[u64; 2], Unmasked> {
    fn of<F: Format>([a, b]: [u64; 2], is_signaling: bool, control: Control) -> ([u64; 2], u32) {
        let (a, b) = (operand::<F>(a, control), operand::<F>(b, control));
        ([bits(a), bits(b)], compared(a, b, is_signaling))
    }
    let control = Control(*mxcsr);
    let (flushed, happened) = if is_single {
        of::<Single>(operands.map(|bits| bits & 0xffff_ffff), is_signaling, control)
    } else {
        of::<Double>(operands, is_signaling, control)
    };
    note(mxcsr, happened)?;
    Ok(flushed)
}
