//! CPUID, time stamp, saved state.

use memory::GuestAddr;

use super::{Context, Trap};
use crate::exit::Exception;
use crate::state::reg::{RAX, RBX, RCX, RDX};

/// Feature bits of CPUID leaf 1, EDX (Intel SDM vol. 2, CPUID): only what works.
pub const FEATURES_EDX: u32 = 1 << 0 // FPU
    | 1 << 4 // TSC
    | 1 << 8 // CMPXCHG8B
    | 1 << 15 // CMOV
    | 1 << 19 // CLFLUSH
    | 1 << 23 // MMX
    | 1 << 24 // FXSAVE
    | 1 << 25 // SSE
    | 1 << 26; // SSE2

/// Feature bits of CPUID leaf 1, ECX.
pub const FEATURES_ECX: u32 = 1 << 0 // SSE3
    | 1 << 13 // CMPXCHG16B
    | 1 << 31; // a hypervisor runs this

/// EAX, EBX, ECX, EDX for a leaf.
fn leaf(eax: u32) -> [u32; 4] {
    let text = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    match eax {
        // "GenuineIntel": the vendor whose undefined corners we follow.
        0 => [1, text(b"Genu"), text(b"ntel"), text(b"ineI")],
        // Family 6, model 15, stepping 11; CLFLUSH lines of 64 bytes.
        1 => [0x0000_06fb, 8 << 8, FEATURES_ECX, FEATURES_EDX],
        0x4000_0000 => [0x4000_0000, text(b"edge"), text(b"box "), text(b"wasm")],
        0x8000_0000 => [0x8000_0008, 0, 0, 0],
        // LAHF in 64-bit mode; SYSCALL, NX, long mode.
        0x8000_0001 => [0, 0, 1, 1 << 11 | 1 << 20 | 1 << 29],
        0x8000_0002 => [text(b"edge"), text(b"box "), text(b"x86-"), text(b"64 C")],
        0x8000_0003 => [text(b"PU  "), 0, 0, 0],
        // 32 physical, 48 virtual address bits.
        0x8000_0008 => [32 | 48 << 8, 0, 0, 0],
        _ => [0; 4],
    }
}

pub(super) fn cpuid(cx: &mut Context<'_>) {
    let values = leaf(cx.cpu.gpr(RAX) as u32);
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
