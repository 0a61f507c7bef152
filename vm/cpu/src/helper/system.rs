//! CPUID, time stamp, saving and restoring state.

use memory::GuestAddr;

use super::{COMPACT, Context, SIGNALING, SINGLE, Trap, WIDE};
use crate::exit::Exception;
use crate::features;
use crate::saved::{self, FXSAVE_BYTES, Header, MXCSR_MASK, XSAVE_BYTES};
use crate::state::Floats;
use crate::state::reg::{RAX, RBX, RCX, RDX};
use crate::vector::exact;

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
    if extended.cast_unsigned() == addr { Ok(()) } else { Err(Exception::GeneralProtection(0).into()) }
}

/// What is saved wants an address that is a multiple of this many bytes.
fn aligned(addr: u64, bytes: u64) -> Result<GuestAddr, Trap> {
    if addr.is_multiple_of(bytes) { Ok(GuestAddr(addr)) } else { Err(Exception::GeneralProtection(0).into()) }
}

/// All of the state, its pointers as wide as `imm` says.
fn image_of(cx: &Context<'_>, imm: u32) -> [u8; FXSAVE_BYTES] {
    let mut image = [0; FXSAVE_BYTES];
    cx.cpu.fxsave(&mut image);
    if imm & WIDE == 0 {
        saved::narrow_pointers(&mut image);
    }
    image
}

pub(super) fn fxsave(cx: &mut Context<'_>, addr: u8, imm: u32) -> Result<(), Trap> {
    let addr = aligned(cx.get(addr), 16)?;
    let image = image_of(cx, imm);
    // What comes after the last vector is the program's own.
    let [_, vectors] = saved::parts(saved::SSE, cx.cpu.vector_count());
    cx.space.check_writable(addr, vectors.end as u64)?;
    Ok(cx.space.write(addr, &image[..vectors.end])?)
}

/// Reads what begins with an image, whose pointers become 64 bits wide.
fn read_image(cx: &mut Context<'_>, addr: GuestAddr, imm: u32, bytes: &mut [u8]) -> Result<(), Trap> {
    cx.space.read(addr, bytes)?;
    if imm & WIDE == 0 {
        saved::narrow_pointers(bytes);
    }
    Ok(())
}

pub(super) fn fxrestore(cx: &mut Context<'_>, addr: u8, imm: u32) -> Result<(), Trap> {
    let addr = aligned(cx.get(addr), 16)?;
    let mut image = [0; FXSAVE_BYTES];
    read_image(cx, addr, imm, &mut image)?;
    check_mxcsr(&image)?;
    let vectors = cx.cpu.vector_count();
    cx.cpu.fxrstor(&image, vectors);
    Ok(())
}

/// The components that EDX:EAX asks for.
fn wanted(cx: &Context<'_>) -> u64 {
    (cx.cpu.gpr(RDX) << 32 | cx.cpu.gpr(RAX) & 0xffff_ffff) & saved::ENABLED
}

/// XSAVE, XSAVEOPT and XSAVEC.
pub(super) fn xsave(cx: &mut Context<'_>, addr: u8, imm: u32) -> Result<(), Trap> {
    let addr = aligned(cx.get(addr), 64)?;
    let wanted = wanted(cx);
    let header_at = addr + FXSAVE_BYTES as u64;
    let mut present = [0; 8];
    cx.space.read(header_at, &mut present)?;
    cx.space.check_writable(addr, XSAVE_BYTES as u64)?;
    let image = image_of(cx, imm);
    for component in [saved::X87, saved::SSE].into_iter().filter(|component| wanted & component != 0) {
        for part in saved::parts(component, cx.cpu.vector_count()) {
            cx.space.write(addr + part.start as u64, &image[part])?;
        }
    }
    if imm & COMPACT != 0 {
        let header = Header { present: wanted, compaction: saved::COMPACTED | wanted };
        return Ok(cx.space.write(header_at, &header.bytes())?);
    }
    let present = u64::from_le_bytes(present) | wanted;
    Ok(cx.space.write(header_at, &present.to_le_bytes())?)
}

pub(super) fn xrestore(cx: &mut Context<'_>, addr: u8, imm: u32) -> Result<(), Trap> {
    let addr = aligned(cx.get(addr), 64)?;
    let mut area = [0; XSAVE_BYTES];
    read_image(cx, addr, imm, &mut area)?;
    let (image, header) = area.split_first_chunk().expect("an image and a header");
    let header = header.first_chunk().expect("all of it");
    let header = Header::read(header).map_err(|_| Exception::GeneralProtection(0))?;
    let wanted = wanted(cx);
    let reads_mxcsr = wanted & saved::SSE & if header.compaction & saved::COMPACTED == 0 { !0 } else { header.present };
    if reads_mxcsr != 0 {
        check_mxcsr(image)?;
    }
    let vectors = cx.cpu.vector_count();
    cx.cpu.restore_components(image, wanted, header, vectors);
    Ok(())
}

/// XGETBV: what is enabled, or in use, which is the same here.
pub(super) fn read_control(cx: &mut Context<'_>) -> Result<(), Trap> {
    if cx.cpu.gpr(RCX) & 0xffff_ffff > 1 {
        return Err(Exception::GeneralProtection(0).into());
    }
    cx.cpu.set_gpr(RAX, saved::ENABLED);
    cx.cpu.set_gpr(RDX, 0);
    Ok(())
}

/// COMISS, COMISD, UCOMISS, UCOMISD.
pub(super) fn float_operands(cx: &mut Context<'_>, a: u8, b: u8, imm: u32) -> Result<(), Trap> {
    if cx.cpu.floats() == Floats::Exact {
        let operands = [cx.get(a), cx.get(b)];
        let [new_a, new_b] = exact::operands(imm & SINGLE != 0, imm & SIGNALING != 0, operands, &mut cx.cpu.mxcsr)?;
        cx.set(a, new_a);
        cx.set(b, new_b);
    }
    Ok(())
}

/// An image's MXCSR must have no reserved bits.
fn check_mxcsr(image: &[u8; FXSAVE_BYTES]) -> Result<(), Trap> {
    if saved::mxcsr(image) & !MXCSR_MASK != 0 { Err(Exception::GeneralProtection(0).into()) } else { Ok(()) }
}

pub(super) fn write_mxcsr(cx: &mut Context<'_>, src: u8) -> Result<(), Trap> {
    let value = cx.get(src) as u32;
    if value & !MXCSR_MASK != 0 {
        return Err(Exception::GeneralProtection(0).into());
    }
    (cx.cpu.mxcsr, cx.cpu.looks_at_mxcsr) = (value, true);
    Ok(())
}
