//! MOVS, STOS, LODS, SCAS and CMPS, alone and repeated.
//!
//! Registers advance with every element, so a fault in the middle leaves a state from which the same instruction goes
//! on (Intel SDM vol. 1, 7.3.9.2). Forward runs of MOVS and STOS go page by page in bulk.

use memory::GuestAddr;

use super::{Context, Trap, arith::write_gpr};
use crate::flags::{Width, sub_with_borrow};
use crate::ir::slot;
use crate::state::reg::{RAX, RCX, RDI, RSI};
use crate::state::rflags::ZF;

/// Which instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Move,
    Store,
    Load,
    Scan,
    Compare,
}

/// Its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// None.
    Once,
    /// REP, REPE.
    WhileEqual,
    /// REPNE.
    WhileNotEqual,
}

/// A string instruction, packed into a helper's `imm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spec {
    /// Which.
    pub kind: Kind,
    /// Of the elements.
    pub width: Width,
    /// Prefix.
    pub repeat: Repeat,
    /// Whether addresses and counts are 32 bits wide.
    pub addr32: bool,
}

impl Spec {
    /// To an immediate.
    pub fn encode(self) -> u32 {
        self.kind as u32 | (self.width as u32) << 4 | (self.repeat as u32) << 8 | u32::from(self.addr32) << 12
    }

    /// Back from one.
    pub fn decode(imm: u32) -> Spec {
        use Kind::*;
        Spec {
            kind: [Move, Store, Load, Scan, Compare][(imm & 15) as usize % 5],
            width: Width::from_bytes(1 << (imm >> 4 & 3)),
            repeat: [Repeat::Once, Repeat::WhileEqual, Repeat::WhileNotEqual][(imm >> 8 & 15) as usize % 3],
            addr32: imm >> 12 & 1 != 0,
        }
    }
}

/// Elements after which a repeated instruction makes a pause, so that signals and other tasks get their turn.
const ELEMENTS_MAX: u64 = 1 << 16;

/// Bytes moved through a buffer at once.
const BULK_BYTES: usize = 4096;

pub(super) fn run(cx: &mut Context<'_>, source_base: u8, spec: Spec) -> Result<(), Trap> {
    let flags = cx.cpu.status_flags();
    cx.set_new_flags(flags);
    if spec.repeat == Repeat::Once {
        return element(cx, source_base, spec);
    }
    let mut left = ELEMENTS_MAX;
    while count(cx, spec) != 0 {
        if left == 0 {
            return Err(Trap::Again);
        }
        let bulk = bulk(cx, source_base, spec);
        if bulk != 0 {
            left = left.saturating_sub(bulk);
            continue;
        }
        left -= 1;
        element(cx, source_base, spec)?;
        let remaining = count(cx, spec) - 1;
        write_gpr(cx, RCX, address_width(spec), remaining);
        let equal = cx.get(slot::NEW_FLAGS.0) & ZF != 0;
        let compares = matches!(spec.kind, Kind::Scan | Kind::Compare);
        if compares && equal != (spec.repeat == Repeat::WhileEqual) {
            break;
        }
    }
    Ok(())
}

fn address_width(spec: Spec) -> Width {
    if spec.addr32 { Width::W32 } else { Width::W64 }
}

fn count(cx: &Context<'_>, spec: Spec) -> u64 {
    cx.cpu.gpr(RCX) & address_width(spec).mask()
}

/// Address in a register, plus a segment base for sources.
fn address(cx: &Context<'_>, index: usize, base: u8, spec: Spec) -> u64 {
    (cx.cpu.gpr(index) & address_width(spec).mask()).wrapping_add(cx.get(base))
}

fn advance(cx: &mut Context<'_>, index: usize, spec: Spec, elements: u64) {
    let bytes = elements.wrapping_mul(u64::from(spec.width.bytes()));
    let step = if cx.get(slot::DIRECTION.0) == 0 { bytes } else { bytes.wrapping_neg() };
    let value = cx.cpu.gpr(index).wrapping_add(step);
    write_gpr(cx, index, address_width(spec), value);
}

fn load(cx: &Context<'_>, addr: u64, width: Width) -> Result<u64, Trap> {
    Ok(match width {
        Width::W8 => cx.space.load8(addr)?.into(),
        Width::W16 => cx.space.load16(addr)?.into(),
        Width::W32 => cx.space.load32(addr)?.into(),
        Width::W64 => cx.space.load64(addr)?,
    })
}

fn store(cx: &mut Context<'_>, addr: u64, width: Width, value: u64) -> Result<(), Trap> {
    match width {
        Width::W8 => cx.space.store8(addr, value as u8)?,
        Width::W16 => cx.space.store16(addr, value as u16)?,
        Width::W32 => cx.space.store32(addr, value as u32)?,
        Width::W64 => cx.space.store64(addr, value)?,
    }
    Ok(())
}

/// One element; registers other than the count advance.
fn element(cx: &mut Context<'_>, source_base: u8, spec: Spec) -> Result<(), Trap> {
    let width = spec.width;
    let source = address(cx, RSI, source_base, spec);
    let destination = address(cx, RDI, slot::ZERO.0, spec);
    match spec.kind {
        Kind::Move => {
            let value = load(cx, source, width)?;
            store(cx, destination, width, value)?;
        }
        Kind::Store => store(cx, destination, width, cx.cpu.gpr(RAX))?,
        Kind::Load => {
            let value = load(cx, source, width)?;
            write_gpr(cx, RAX, width, value);
        }
        Kind::Scan | Kind::Compare => {
            let left = if spec.kind == Kind::Scan { cx.cpu.gpr(RAX) } else { load(cx, source, width)? };
            let right = load(cx, destination, width)?;
            let (_, flags) = sub_with_borrow(width, left, right, 0);
            cx.set_new_flags(flags);
        }
    }
    if matches!(spec.kind, Kind::Move | Kind::Load | Kind::Compare) {
        advance(cx, RSI, spec, 1);
    }
    if spec.kind != Kind::Load {
        advance(cx, RDI, spec, 1);
    }
    Ok(())
}

/// Does as many elements of a forward MOVS or STOS at once as lie within one page on either side and don't overlap
/// in a way that matters. Returns how many; 0 leaves the work, and the faults, to [`element`].
fn bulk(cx: &mut Context<'_>, source_base: u8, spec: Spec) -> u64 {
    if cx.get(slot::DIRECTION.0) != 0 || !matches!(spec.kind, Kind::Move | Kind::Store) {
        return 0;
    }
    let size = u64::from(spec.width.bytes());
    let source = address(cx, RSI, source_base, spec);
    let destination = address(cx, RDI, slot::ZERO.0, spec);
    let room = |addr: u64| BULK_BYTES as u64 - addr % BULK_BYTES as u64;
    let mut bytes = count(cx, spec).saturating_mul(size).min(room(destination));
    if spec.kind == Kind::Move {
        bytes = bytes.min(room(source));
        let ahead = destination.wrapping_sub(source);
        if ahead != 0 {
            // Copying forward onto bytes still to be read repeats a pattern: stop short of them.
            bytes = bytes.min(ahead);
        }
    }
    let elements = bytes / size;
    let bytes = (elements * size) as usize;
    let mut buffer = [0; BULK_BYTES];
    let data = &mut buffer[..bytes];
    let done = match spec.kind {
        Kind::Move => cx.space.read(GuestAddr(source), data).is_ok(),
        _ => {
            let value = cx.cpu.gpr(RAX).to_le_bytes();
            data.iter_mut().enumerate().for_each(|(i, byte)| *byte = value[i % size as usize]);
            true
        }
    };
    if elements == 0 || !done || cx.space.write(GuestAddr(destination), data).is_err() {
        return 0;
    }
    if spec.kind == Kind::Move {
        advance(cx, RSI, spec, elements);
    }
    advance(cx, RDI, spec, elements);
    let remaining = count(cx, spec) - elements;
    write_gpr(cx, RCX, address_width(spec), remaining);
    elements
}
