//! CPUID, time stamp, saved state.

use memory::GuestAddr;

use super::{Context, Trap};
use crate::exit::Exception;
use crate::features;
use crate::state::reg::{RAX, RBX, RCX, RDX};

pub(super) fn cpuid(cx: &mut Context<'_>) {
    let values = features::leaf(cx.cpu.gpr(RAX) as u32, cx.cpu.gpr(RCX) as u32);
    for (index, value) in [RAX, RBX, RCX, RDX].into_iter().zip(values) {
        cx.cpu.set_gpr(index, value.into());
    }
}

pub(super) fn time_stamp(cx: &mut Context<'_>, with_processor: bool) {
    let now = (cx.time_stamp)();
    cx.cpu.set_gpr(RAX, now & 0xffff_ffff);
    cx.cpu.set_gpr(RDX, now >> 32);
    if with_processor {
        cx.cpu.set_gpr(RCX, 0);
    }
}

/// Addresses have 48 bits, sign-extended.
pub(super) fn check_canonical(addr: u64) -> Result<(), Trap> {
    let unused = 64 - features::ADDRESS_BITS.1;
    let extended = (addr << unused).cast_signed() >> unused;
    if extended.cast_unsigned() == addr { Ok(()) } else { Err(Exception::GeneralProtection.into()) }
}

/// FXSAVE and FXRSTOR want an address that is a multiple of 16.
fn aligned(addr: u64) -> Result<GuestAddr, Trap> {
    if addr.is_multiple_of(16) { Ok(GuestAddr(addr)) } else { Err(Exception::GeneralProtection.into()) }
}

pub(super) fn fxsave(cx: &mut Context<'_>, addr: u8) -> Result<(), Trap> {
    let addr = aligned(cx.get(addr))?;
    let mut image = [0; 512];
    cx.cpu.fxsave(&mut image);
    // The last 96 bytes are the program's own.
    cx.space.check_writable(addr, 416)?;
    Ok(cx.space.write(addr, &image[..416])?)
}

pub(super) fn fxrestore(cx: &mut Context<'_>, addr: u8) -> Result<(), Trap> {
    let addr = aligned(cx.get(addr))?;
    let mut image = [0; 512];
    cx.space.read(addr, &mut image)?;
    let mxcsr = u32::from_le_bytes([image[24], image[25], image[26], image[27]]);
    if mxcsr & !MXCSR_MASK != 0 {
        return Err(Exception::GeneralProtection.into());
    }
    cx.cpu.fxrstor(&image);
    Ok(())
}

/// Bits of MXCSR that may be set (DAZ included).
pub const MXCSR_MASK: u32 = 0xffff;

pub(super) fn write_mxcsr(cx: &mut Context<'_>, src: u8) -> Result<(), Trap> {
    let value = cx.get(src) as u32;
    if value & !MXCSR_MASK != 0 {
        return Err(Exception::GeneralProtection.into());
    }
    cx.cpu.mxcsr = value;
    Ok(())
}
