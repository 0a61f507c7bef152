//! AES, SHA and carry-less multiplication.
//!
//! Sources: Intel SDM vol. 2; FIPS 197 for AES's tables, which are computed here, FIPS 180-4 for SHA's functions.

use std::array::from_fn;

use super::{join, lanes};
use crate::ir::{Aes, Sha};

// ---- AES ----

/// Product in AES's field of 256 elements.
const fn product(mut a: u8, mut b: u8) -> u8 {
    let mut sum = 0;
    while b != 0 {
        sum ^= if b & 1 != 0 { a } else { 0 };
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        b >>= 1;
    }
    sum
}

/// SubBytes: the affine transform of the inverse.
const SUBSTITUTE: [u8; 256] = {
    let mut table = [0; 256];
    // 3 generates the field, 0xf6 is its inverse: as one goes through all elements, the other goes through their inverses.
    let (mut element, mut inverse) = (1u8, 1u8);
    let mut i = 0;
    while i < 255 {
        let x = inverse;
        table[element as usize] = x ^ x.rotate_left(1) ^ x.rotate_left(2) ^ x.rotate_left(3) ^ x.rotate_left(4) ^ 0x63;
        element = product(element, 3);
        inverse = product(inverse, 0xf6);
        i += 1;
    }
    table[0] = 0x63;
    table
};

const SUBSTITUTE_BACK: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[SUBSTITUTE[i] as usize] = i as u8;
        i += 1;
    }
    table
};

/// What a substituted byte of a column's first row contributes to the mixed column.
const fn mixed(substitute: &[u8; 256], factors: [u8; 4]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = substitute[i];
        table[i] = u32::from_le_bytes([
            product(byte, factors[0]),
            product(byte, factors[1]),
            product(byte, factors[2]),
            product(byte, factors[3]),
        ]);
        i += 1;
    }
    table
}

const MIX: [u32; 256] = mixed(&SUBSTITUTE, [2, 1, 1, 3]);
const MIX_BACK: [u32; 256] = mixed(&SUBSTITUTE_BACK, [14, 9, 13, 11]);

/// Column `column`'s bytes after ShiftRows; `step` is 1, or 3 for its inverse.
fn shifted(state: &[u8; 16], column: usize, step: usize) -> [usize; 4] {
    from_fn(|row| state[4 * ((column + step * row) % 4) + row].into())
}

/// A round with MixColumns, without the key.
fn round(state: u128, table: &[u32; 256], step: usize) -> u128 {
    let state = state.to_le_bytes();
    join::<[u32; 4]>(from_fn(|column| {
        let bytes = shifted(&state, column, step);
        (0..4).fold(0, |sum, row| sum ^ table[bytes[row]].rotate_left(8 * row as u32))
    }))
}

/// A round without MixColumns, without the key.
fn last_round(state: u128, table: &[u8; 256], step: usize) -> u128 {
    let state = state.to_le_bytes();
    join::<[[u8; 4]; 4]>(from_fn(|column| shifted(&state, column, step).map(|byte| table[byte])))
}

fn substitute_word(word: u32) -> u32 {
    u32::from_le_bytes(word.to_le_bytes().map(|byte| SUBSTITUTE[usize::from(byte)]))
}

/// Computes one of AES's instructions.
pub fn aes(op: Aes, a: u128, b: u128, imm: u8) -> u128 {
    match op {
        Aes::Encrypt => round(a, &MIX, 1) ^ b,
        Aes::EncryptLast => last_round(a, &SUBSTITUTE, 1) ^ b,
        Aes::Decrypt => round(a, &MIX_BACK, 3) ^ b,
        Aes::DecryptLast => last_round(a, &SUBSTITUTE_BACK, 3) ^ b,
        Aes::InverseMixColumns => {
            // The table undoes a substitution first, so the bytes are substituted before.
            let column = |bytes: [u8; 4]| {
                let mixed = |row: usize| MIX_BACK[usize::from(SUBSTITUTE[usize::from(bytes[row])])];
                (0..4).fold(0, |sum, row| sum ^ mixed(row).rotate_left(8 * row as u32))
            };
            join(lanes!(u32, b).map(|word| column(word.to_le_bytes())))
        }
        Aes::KeyAssist => {
            let words = lanes!(u32, b);
            let (first, third) = (substitute_word(words[1]), substitute_word(words[3]));
            let rotated = |word: u32| word.rotate_right(8) ^ u32::from(imm);
            join([first, rotated(first), third, rotated(third)])
        }
    }
}

// ---- carry-less multiplication ----

/// Four bits of one factor at a time.
pub fn carryless_multiply(a: u128, b: u128, imm: u8) -> u128 {
    let half = |value: u128, high: bool| if high { (value >> 64) as u64 } else { value as u64 };
    let (a, b) = (u128::from(half(a, imm & 1 != 0)), half(b, imm & 16 != 0));
    let multiples: [u128; 16] =
        from_fn(|i| (0..4).fold(0, |sum, bit| sum ^ if i >> bit & 1 != 0 { a << bit } else { 0 }));
    (0..16).rev().fold(0, |sum, i| sum << 4 ^ multiples[(b >> (4 * i) & 15) as usize])
}

// ---- SHA ----

/// Computes one of SHA's instructions that have two operands. Words are numbered from the low end.
pub fn sha(op: Sha, a: u128, b: u128, imm: u8) -> u128 {
    let (x, y) = (lanes!(u32, a), lanes!(u32, b));
    match op {
        Sha::Sha1Rounds => sha1_rounds(x, y, imm),
        Sha::Sha1NextE => join([y[0], y[1], y[2], y[3].wrapping_add(x[3].rotate_left(30))]),
        Sha::Sha1Message1 => join([x[0] ^ y[2], x[1] ^ y[3], x[2] ^ x[0], x[3] ^ x[1]]),
        Sha::Sha1Message2 => {
            let oldest = (x[3] ^ y[2]).rotate_left(1);
            let next = |word: u32, other: u32| (word ^ other).rotate_left(1);
            join([next(x[0], oldest), next(x[1], y[0]), next(x[2], y[1]), oldest])
        }
        Sha::Sha256Message1 => {
            let sigma = |word: u32| word.rotate_right(7) ^ word.rotate_right(18) ^ word >> 3;
            let next = [x[1], x[2], x[3], y[0]];
            join::<[u32; 4]>(from_fn(|i| x[i].wrapping_add(sigma(next[i]))))
        }
        Sha::Sha256Message2 => {
            let sigma = |word: u32| word.rotate_right(17) ^ word.rotate_right(19) ^ word >> 10;
            let first = x[0].wrapping_add(sigma(y[2]));
            let second = x[1].wrapping_add(sigma(y[3]));
            join([first, second, x[2].wrapping_add(sigma(first)), x[3].wrapping_add(sigma(second))])
        }
    }
}

/// Four rounds; A is the top word of the state, and E has been added to the first message word, the top one.
fn sha1_rounds(state: [u32; 4], message: [u32; 4], imm: u8) -> u128 {
    let [mut d, mut c, mut b, mut a] = state;
    let mut e = 0u32;
    for word in message.into_iter().rev() {
        let (mixed, constant): (u32, u32) = match imm & 3 {
            0 => (b & c ^ !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c ^ b & d ^ c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = [mixed, a.rotate_left(5), word, e, constant].into_iter().fold(0, u32::wrapping_add);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    join([d, c, b, a])
}

/// SHA256RNDS2: `state` has C, D, G, H from the top, `other` A, B, E, F; `words` has a message word and constant for each
/// of two rounds.
pub fn sha256_rounds(state: u128, other: u128, words: u128) -> u128 {
    let ([mut h, mut g, mut d, mut c], [mut f, mut e, mut b, mut a]) = (lanes!(u32, state), lanes!(u32, other));
    for word in [words as u32, (words >> 32) as u32] {
        let chosen = e & f ^ !e & g;
        let majority = a & b ^ a & c ^ b & c;
        let sum_e = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let sum_a = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let first = [chosen, sum_e, word, h].into_iter().fold(0, u32::wrapping_add);
        let next = [first, majority, sum_a].into_iter().fold(0, u32::wrapping_add);
        (h, g, f, e) = (g, f, e, first.wrapping_add(d));
        (d, c, b, a) = (c, b, a, next);
    }
    join([f, e, b, a])
}
