//! Numbers of 128 bits, for functions whose results are to be right in 64: products, quotients, sums, and power series.
//!
//! Everything is truncated, which costs a unit in the last place a time: some fifty of those do not reach the 64th bit
//! but in one of 2^50 cases.

use super::arith::multiply_wide;
use super::number::{BIAS, Parts, Rounded, round_to};
use super::status;

/// A positive number: significand * 2^(exponent - 127), the highest bit set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    pub exponent: i32,
    pub significand: u128,
}

/// The high 128 bits of a product. A fraction of 2^128 times another is one again.
pub(super) fn multiply_high(a: u128, b: u128) -> u128 {
    let ((a1, a0), (b1, b0)) = (halves(a), halves(b));
    let wide = |(high, low): (u64, u64)| u128::from(high) << 64 | u128::from(low);
    let (middle, carry) = wide(multiply_wide(a1, b0)).overflowing_add(wide(multiply_wide(a0, b1)));
    let (middle, more) = middle.overflowing_add(multiply_wide(a0, b0).0.into());
    let carries = u128::from(carry) + u128::from(more);
    wide(multiply_wide(a1, b1)).wrapping_add(middle >> 64).wrapping_add(carries << 64)
}

fn halves(value: u128) -> (u64, u64) {
    ((value >> 64) as u64, value as u64)
}

impl Wide {
    pub(super) const ONE: Wide = Wide { exponent: 0, significand: 1 << 127 };
    /// pi, ln 2 and log2 e to 128 bits.
    pub(super) const PI: Wide = Wide { exponent: 1, significand: 0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1 };
    pub(super) const LN_2: Wide = Wide { exponent: -1, significand: 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af };
    pub(super) const LOG2_E: Wide = Wide { exponent: 0, significand: 0xb8aa_3b29_5c17_f0bb_be87_fed0_691d_3e88 };

    /// The magnitude of a number.
    pub(super) fn of(parts: Parts) -> Wide {
        Wide { exponent: parts.exponent - BIAS, significand: u128::from(parts.mantissa) << 64 }
    }

    /// value * 2^scale; `None` if it is zero.
    pub(super) fn scaled(value: u128, scale: i32) -> Option<Wide> {
        let shift = value.leading_zeros();
        (value != 0).then(|| Wide { exponent: 127 - shift as i32 + scale, significand: value << shift })
    }

    /// A fraction of 2^128.
    pub(super) fn fraction(value: u128) -> Wide {
        Wide::scaled(value.max(1), -128).unwrap_or(Wide::ONE)
    }

    /// The same as a fraction of 2^128; it must be less than 1.
    pub(super) fn to_fraction(self) -> u128 {
        let shift = -1 - self.exponent;
        if shift >= 128 { 0 } else { self.significand >> shift.max(0) }
    }

    pub(super) fn times(self, other: Wide) -> Wide {
        let product = multiply_high(self.significand, other.significand);
        let shift = product.leading_zeros();
        Wide { exponent: self.exponent + other.exponent + 1 - shift as i32, significand: product << shift }
    }

    /// A bit of the quotient at a time.
    pub(super) fn over(self, divisor: Wide) -> Wide {
        let is_less = self.significand < divisor.significand;
        let exponent = self.exponent - divisor.exponent - i32::from(is_less);
        let mut rest = if is_less { self.significand } else { self.significand - divisor.significand };
        let mut quotient = u128::from(!is_less);
        for _ in 0..127 + u32::from(is_less) {
            let overflows = rest >> 127 != 0;
            rest <<= 1;
            quotient <<= 1;
            if overflows || rest >= divisor.significand {
                rest = rest.wrapping_sub(divisor.significand);
                quotient |= 1;
            }
        }
        Wide { exponent, significand: quotient }
    }

    pub(super) fn plus(self, other: Wide) -> Wide {
        let (large, small) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let (sum, carry) = large.significand.overflowing_add(small.aligned(large.exponent));
        if carry {
            return Wide { exponent: large.exponent + 1, significand: sum >> 1 | 1 << 127 };
        }
        Wide { exponent: large.exponent, significand: sum }
    }

    /// The difference's magnitude, and whether it is negative; `None` for zero.
    pub(super) fn minus(self, other: Wide) -> Option<(Wide, bool)> {
        let exponent = self.exponent.max(other.exponent);
        let (a, b) = (self.aligned(exponent), other.aligned(exponent));
        Some((Wide::scaled(a.abs_diff(b), exponent - 127)?, b > a))
    }

    fn aligned(self, exponent: i32) -> u128 {
        let shift = exponent - self.exponent;
        if shift >= 128 { 0 } else { self.significand >> shift }
    }

    /// As an 80-bit number that is known not to be exact.
    pub(super) fn rounded(self, sign: u16, control: u16) -> Rounded {
        let (high, low) = halves(self.significand);
        // The last bits are not certain, but some bit below is set.
        let mut rounded = round_to(64, control, sign, self.exponent + BIAS, (high, low | 1));
        rounded.flags |= status::PRECISION;
        rounded
    }

    /// The same for one that is exact. Processors report it like the others.
    pub(super) fn rounded_exactly(self, sign: u16, control: u16) -> Rounded {
        let rounded = round_to(64, control, sign, self.exponent + BIAS, halves(self.significand));
        let is_tiny = rounded.value.exponent() == 0;
        rounded.with(status::PRECISION | if is_tiny { status::UNDERFLOW } else { 0 })
    }
}

/// Coefficients of a power series as fractions of 2^128.
pub(super) type Series<const N: usize> = [u128; N];

/// 1 / (first * (first + 1) ...): every `step`th reciprocal of a factorial from 1/first! on.
pub(super) const fn factorials<const N: usize>(first: u128, step: u128) -> Series<N> {
    let mut series = [0; N];
    let (mut product, mut n, mut i) = (1u128, 1, 0);
    while i < N {
        let until = first + step * i as u128;
        while n <= until {
            product *= n;
            n += 1;
        }
        series[i] = u128::MAX / product;
        i += 1;
    }
    series
}

/// 1/3, 1/5, 1/7 and so on.
pub(super) const fn odd_reciprocals<const N: usize>() -> Series<N> {
    let mut series = [0; N];
    let mut i = 0;
    while i < N {
        series[i] = u128::MAX / (2 * i as u128 + 3);
        i += 1;
    }
    series
}

/// 1 + z * (c0 + z * (c1 + ...)), or with every other sign turned 1 - z * (c0 - z * (c1 - ...)).
pub(super) fn sum_series(z: u128, alternating: bool, coefficients: &[u128]) -> Wide {
    let inner = coefficients.iter().rev().fold(0, |sum, coefficient| {
        let product = multiply_high(z, sum);
        if alternating { coefficient - product } else { coefficient + product }
    });
    let product = multiply_high(z, inner);
    if alternating { Wide::fraction(u128::MAX - product) } else { Wide::ONE.plus(Wide::fraction(product)) }
}
