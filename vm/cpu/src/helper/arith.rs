//! Carries, rotates, division.

use super::{Context, LEFT, Trap, width};
use crate::exit::Exception;
use crate::flags::{Width, add_with_carry, sub_with_borrow};
use crate::state::reg::{RAX, RBX, RCX, RDX};
use crate::state::rflags::{CF, OF, STATUS, ZF};

fn carry(cx: &Context<'_>) -> u64 {
    cx.cpu.status_flags() & CF
}

pub(super) fn add_carry(cx: &mut Context<'_>, dst: u8, a: u8, b: u8, imm: u32) {
    let (result, flags) = add_with_carry(width(imm), cx.get(a), cx.get(b), carry(cx));
    finish(cx, dst, width(imm), result, flags);
}

pub(super) fn sub_borrow(cx: &mut Context<'_>, dst: u8, a: u8, b: u8, imm: u32) {
    let (result, flags) = sub_with_borrow(width(imm), cx.get(a), cx.get(b), carry(cx));
    finish(cx, dst, width(imm), result, flags);
}

fn finish(cx: &mut Context<'_>, dst: u8, width: Width, result: u64, flags: u64) {
    cx.set(dst, result & width.mask());
    cx.set_new_flags(flags);
}

/// Shift counts are five bits wide, six for 64-bit operands.
fn masked_count(width: Width, count: u64) -> u32 {
    count as u32 & if width == Width::W64 { 63 } else { 31 }
}

/// Status flags with CF and OF replaced.
fn with_carry_overflow(flags: u64, carry: bool, overflow: bool) -> u64 {
    flags & !(CF | OF) | if carry { CF } else { 0 } | if overflow { OF } else { 0 }
}

pub(super) fn rotate(cx: &mut Context<'_>, dst: u8, value: u8, count: u8, imm: u32) {
    let width = width(imm);
    let (bits, left) = (width.bits(), imm & LEFT != 0);
    let value = cx.get(value) & width.mask();
    let count = masked_count(width, cx.get(count));
    let old = cx.cpu.status_flags();
    let by = count % bits;
    let by = if left || by == 0 { by } else { bits - by };
    let result = if by == 0 { value } else { (value << by | value >> (bits - by)) & width.mask() };
    let flags = match (count, left) {
        (0, _) => old,
        (_, true) => with_carry_overflow(old, result & 1 != 0, width.is_negative(result) != (result & 1 != 0)),
        (_, false) => with_carry_overflow(old, width.is_negative(result), width.is_negative(result ^ result << 1)),
    };
    finish(cx, dst, width, result, flags);
}

pub(super) fn rotate_carry(cx: &mut Context<'_>, dst: u8, value: u8, count: u8, imm: u32) {
    let width = width(imm);
    let (bits, left) = (width.bits(), imm & LEFT != 0);
    let value = cx.get(value) & width.mask();
    let old = cx.cpu.status_flags();
    // One bit wider than the operand: the carry is on top.
    let wide = u128::from(value) | u128::from(old & CF) << bits;
    let count = masked_count(width, cx.get(count)) % (bits + 1);
    let by = if left || count == 0 { count } else { bits + 1 - count };
    let turned = if by == 0 { wide } else { wide << by | wide >> (bits + 1 - by) };
    let (result, carry) = (turned as u64 & width.mask(), turned >> bits & 1 != 0);
    let overflow = if left { width.is_negative(result) != carry } else { width.is_negative(result ^ result << 1) };
    let flags = if count == 0 { old } else { with_carry_overflow(old, carry, overflow) };
    finish(cx, dst, width, result, flags);
}

pub(super) fn double_shift(cx: &mut Context<'_>, dst: u8, value: u8, filler: u8, imm: u32) {
    let width = width(imm);
    let bits = width.bits();
    let count = masked_count(width, cx.get((imm >> 8) as u8));
    let (value, filler) = (cx.get(value) & width.mask(), cx.get(filler) & width.mask());
    let old = cx.cpu.status_flags();
    if count == 0 {
        return finish(cx, dst, width, value, old);
    }
    let (result, carry) = if imm & LEFT != 0 {
        let joined = u128::from(value) << bits | u128::from(filler);
        let turned = joined.rotate_left(128 - 2 * bits).rotate_left(count);
        let again = if count > bits { value >> (2 * bits - count) } else { 0 };
        ((turned >> (128 - bits)) as u64 | again, turned & 1 != 0)
    } else {
        let joined = u128::from(filler) << bits | u128::from(value);
        // A 16-bit operand shifted by more than its width gets its own bits again.
        let again = if count > bits { value << (2 * bits - count) } else { 0 };
        ((joined >> count) as u64 | again, joined >> (count - 1) & 1 != 0)
    };
    let sign_changed = width.is_negative(result ^ value);
    let (_, flags) = add_with_carry(width, result, 0, 0);
    finish(cx, dst, width, result, with_carry_overflow(flags, carry, sign_changed) & STATUS);
}

pub(super) fn divide_unsigned(cx: &mut Context<'_>, divisor: u8, imm: u32) -> Result<(), Trap> {
    let width = width(imm);
    let divisor = u128::from(cx.get(divisor) & width.mask());
    let dividend = dividend(cx, width);
    let quotient = dividend.checked_div(divisor).ok_or(Exception::Divide)?;
    if quotient > u128::from(width.mask()) {
        return Err(Exception::Divide.into());
    }
    store_quotient(cx, width, quotient as u64, (dividend % divisor) as u64);
    Ok(())
}

pub(super) fn divide_signed(cx: &mut Context<'_>, divisor: u8, imm: u32) -> Result<(), Trap> {
    let width = width(imm);
    let divisor = i128::from(width.sign_extend(cx.get(divisor)));
    let unused = 128 - 2 * width.bits();
    let dividend = (dividend(cx, width) << unused).cast_signed() >> unused;
    let quotient = dividend.checked_div(divisor).ok_or(Exception::Divide)?;
    if quotient != i128::from(width.sign_extend(quotient as u64)) {
        return Err(Exception::Divide.into());
    }
    store_quotient(cx, width, quotient as u64, (dividend % divisor) as u64);
    Ok(())
}

/// RDX:RAX of the width, AX for bytes.
fn dividend(cx: &Context<'_>, width: Width) -> u128 {
    let (low, high) = (cx.cpu.gpr(RAX), cx.cpu.gpr(RDX));
    if width == Width::W8 {
        return u128::from(low & 0xffff);
    }
    u128::from(low & width.mask()) | u128::from(high & width.mask()) << width.bits()
}

fn store_quotient(cx: &mut Context<'_>, width: Width, quotient: u64, remainder: u64) {
    if width == Width::W8 {
        let ax = quotient & 0xff | (remainder & 0xff) << 8;
        let rax = cx.cpu.gpr(RAX) & !0xffff | ax;
        return cx.cpu.set_gpr(RAX, rax);
    }
    write_gpr(cx, RAX, width, quotient);
    write_gpr(cx, RDX, width, remainder);
}

/// Writes a register as an instruction of that width does.
pub(super) fn write_gpr(cx: &mut Context<'_>, index: usize, width: Width, value: u64) {
    let old = cx.cpu.gpr(index);
    let new = match width {
        Width::W64 | Width::W32 => value & width.mask(),
        narrow => old & !narrow.mask() | value & narrow.mask(),
    };
    cx.cpu.set_gpr(index, new);
}

/// CMPXCHG8B and CMPXCHG16B; the latter wants an aligned address.
pub(super) fn compare_exchange_wide(cx: &mut Context<'_>, addr: u8, bytes: u32) -> Result<(), Trap> {
    let addr = cx.get(addr);
    let pair = |cx: &Context<'_>, low: usize, high: usize, width: Width| {
        u128::from(cx.cpu.gpr(low) & width.mask()) | u128::from(cx.cpu.gpr(high) & width.mask()) << width.bits()
    };
    let width = if bytes == 16 { Width::W64 } else { Width::W32 };
    if bytes == 16 && !addr.is_multiple_of(16) {
        return Err(Exception::GeneralProtection(0).into());
    }
    let expected = pair(cx, RAX, RDX, width);
    let replacement = pair(cx, RBX, RCX, width);
    let old = if bytes == 16 { cx.space.load128(addr)? } else { cx.space.load64(addr)?.into() };
    let equal = old == expected;
    let new = if equal { replacement } else { old };
    // The processor writes in either case.
    if bytes == 16 {
        cx.space.store128(addr, new)?
    } else {
        cx.space.store64(addr, new as u64)?
    }
    if !equal {
        write_gpr(cx, RAX, width, old as u64);
        write_gpr(cx, RDX, width, (old >> width.bits()) as u64);
    }
    let flags = cx.cpu.status_flags() & !ZF | if equal { ZF } else { 0 };
    cx.set_new_flags(flags);
    Ok(())
}
