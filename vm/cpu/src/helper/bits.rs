//! Checksums, scattered and gathered bits.

use super::Context;

/// What a byte does to a CRC-32C, by its value (Intel SDM vol. 2, CRC32; the polynomial is 0x11EDC6F41, reversed).
const CRC32C: [u32; 256] = {
    const POLYNOMIAL_REVERSED: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = sum >> 1 ^ if sum & 1 != 0 { POLYNOMIAL_REVERSED } else { 0 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

/// CRC-32C over the data's bytes, least significant bit first.
pub(super) fn crc32(cx: &mut Context<'_>, dst: u8, crc: u8, data: u8, imm: u32) {
    let bytes = usize::from(super::width(imm).bytes());
    let start = cx.get(crc) as u32;
    let data = cx.get(data).to_le_bytes();
    let sum = data[..bytes].iter().fold(start, |sum, byte| sum >> 8 ^ CRC32C[usize::from(sum as u8 ^ byte)]);
    cx.set(dst, sum.into());
}

/// PDEP: the source's low bits, in order, go where the mask has ones.
pub(super) fn deposit(cx: &mut Context<'_>, dst: u8, source: u8, mask: u8) {
    let (mut source, mut mask) = (cx.get(source), cx.get(mask));
    let mut result = 0;
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        result |= if source & 1 != 0 { lowest } else { 0 };
        source >>= 1;
        mask ^= lowest;
    }
    cx.set(dst, result);
}

/// PEXT: the source's bits where the mask has ones, next to each other.
pub(super) fn extract(cx: &mut Context<'_>, dst: u8, source: u8, mask: u8) {
    let (source, mut mask) = (cx.get(source), cx.get(mask));
    let (mut result, mut place) = (0, 1u64);
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        result |= if source & lowest != 0 { place } else { 0 };
        place = place.wrapping_shl(1);
        mask ^= lowest;
    }
    cx.set(dst, result);
}
