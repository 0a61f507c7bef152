//! PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: strings in vectors, compared character by character.
//!
//! Source: Intel SDM vol. 2, 4.1 "Imm8 control byte operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM".

use super::{join, lanes};

/// A string in a vector: its characters as numbers, and how many of them count.
struct Characters {
    values: [i32; 16],
    length: usize,
}

/// What a comparison comes to.
pub struct Compared {
    /// A bit for each character of `b` ("IntRes2").
    pub bits: u32,
    /// `a` (`b`) ends within its vector.
    pub ends: [bool; 2],
    /// Characters in a vector: 8 or 16.
    pub count: usize,
}

/// Fields of the control byte.
mod control {
    pub const WORDS: u8 = 1;
    pub const SIGNED: u8 = 2;
    pub const NEGATE: u8 = 1 << 4;
    pub const VALID_ONLY: u8 = 1 << 5;
    /// The last match's index; a mask of lanes rather than of bits.
    pub const OTHER_OUTPUT: u8 = 1 << 6;
}

impl Characters {
    /// `length`: as a register has it, or up to the first zero.
    fn new(vector: u128, control: u8, length: Option<i64>) -> Self {
        let count = if control & control::WORDS != 0 { 8 } else { 16 };
        let values = std::array::from_fn(|i| match control & (control::WORDS | control::SIGNED) {
            0 => lanes!(u8, vector)[i].into(),
            control::WORDS => lanes!(u16, vector)[i % 8].into(),
            control::SIGNED => lanes!(i8, vector)[i].into(),
            _ => lanes!(i16, vector)[i % 8].into(),
        });
        let length = match length {
            Some(length) => length.unsigned_abs().min(count as u64) as usize,
            None => values[..count].iter().position(|value| *value == 0).unwrap_or(count),
        };
        Self { values, length }
    }

    fn valid(&self) -> &[i32] {
        &self.values[..self.length]
    }
}

/// Compares as `control` says.
pub fn compare(control: u8, a: u128, b: u128, lengths: Option<[i64; 2]>) -> Compared {
    let count = if control & control::WORDS != 0 { 8 } else { 16 };
    let a = Characters::new(a, control, lengths.map(|lengths| lengths[0]));
    let b = Characters::new(b, control, lengths.map(|lengths| lengths[1]));
    let matches = |i: usize| match control >> 2 & 3 {
        0 => i < b.length && a.valid().contains(&b.values[i]),
        1 => i < b.length && a.valid().chunks_exact(2).any(|range| (range[0]..=range[1]).contains(&b.values[i])),
        // Past both ends all is equal.
        2 if i < a.length && i < b.length => a.values[i] == b.values[i],
        2 => i >= a.length && i >= b.length,
        // `a` is found at `i`, as far as the vector goes.
        _ => (0..a.length.min(count - i)).all(|k| i + k < b.length && a.values[k] == b.values[i + k]),
    };
    let found = (0..count).fold(0, |bits, i| bits | u32::from(matches(i)) << i);
    let inverted = match (control & control::NEGATE != 0, control & control::VALID_ONLY != 0) {
        (false, _) => 0,
        (true, false) => (1 << count) - 1,
        (true, true) => (1 << b.length) - 1,
    };
    Compared { bits: found ^ inverted, ends: [a.length < count, b.length < count], count }
}

impl Compared {
    /// What the instructions that end in I leave in ECX.
    pub fn index(&self, control: u8) -> u32 {
        match self.bits {
            0 => self.count as u32,
            bits if control & control::OTHER_OUTPUT != 0 => bits.ilog2(),
            bits => bits.trailing_zeros(),
        }
    }

    /// What those that end in M leave in XMM0.
    pub fn mask(&self, control: u8) -> u128 {
        let ones = |i: usize| self.bits >> i & 1 != 0;
        match (control & control::OTHER_OUTPUT != 0, self.count) {
            (false, _) => self.bits.into(),
            (true, 8) => join::<[u16; 8]>(std::array::from_fn(|i| if ones(i) { u16::MAX } else { 0 })),
            (true, _) => join::<[u8; 16]>(std::array::from_fn(|i| if ones(i) { u8::MAX } else { 0 })),
        }
    }
}
