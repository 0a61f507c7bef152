//! Vector operations that touch flags or memory.

use memory::GuestAddr;

use super::{Context, Trap};
use crate::state::rflags::{CF, ZF};

pub(super) fn test(cx: &mut Context<'_>, a: u8, b: u8) {
    let (a, b) = (cx.vector(a), cx.vector(b));
    let zero = if a & b == 0 { ZF } else { 0 };
    let carry = if !a & b == 0 { CF } else { 0 };
    cx.set_new_flags(zero | carry);
}

/// Stores the bytes whose mask byte has its top bit set.
pub(super) fn masked_store(cx: &mut Context<'_>, mask: u8, data: u8, addr: u8, bytes: u32) -> Result<(), Trap> {
    let (mask, data) = (cx.vector(mask).to_le_bytes(), cx.vector(data).to_le_bytes());
    let addr = GuestAddr(cx.get(addr));
    let chosen = |i: &u64| mask[*i as usize % 16] & 0x80 != 0;
    for i in (0..u64::from(bytes)).filter(chosen) {
        cx.space.check_writable(addr + i, 1)?;
    }
    for i in (0..u64::from(bytes)).filter(chosen) {
        cx.space.write(addr + i, &data[i as usize % 16..][..1])?;
    }
    Ok(())
}

/// CRC-32C over the data's bytes, least significant bit first.
pub(super) fn crc32(cx: &mut Context<'_>, dst: u8, crc: u8, data: u8, imm: u32) {
    const POLYNOMIAL_REVERSED: u32 = 0x82f6_3b78;
    let bytes = usize::from(super::width(imm).bytes());
    let mut sum = cx.get(crc) as u32;
    for byte in &cx.get(data).to_le_bytes()[..bytes] {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 != 0 { POLYNOMIAL_REVERSED } else { 0 };
        }
    }
    cx.set(dst, sum.into());
}
