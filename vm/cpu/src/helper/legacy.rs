//! What 32-bit code has from earlier days: decimal adjustment, checks of bounds, selectors and descriptors.
//!
//! The descriptor table is the one Linux gives a program on a 64-bit kernel: see [`crate::segment`].
//!
//! Sources: Intel SDM vol. 2; vol. 3, 3.4 and 5.8; `arch/x86/include/asm/segment.h`.

use super::{Context, Trap};
use crate::exit::Exception;
use crate::flags::{FlagKind, FlagOp, Width, status};
use crate::segment::{PROCESSOR_NUMBER, USER_CODE_32, USER_CODE_64, USER_DATA};
use crate::state::CpuState;
use crate::state::reg::RAX;
use crate::state::rflags::{AF, CF, OF, ZF};

/// Adjustments of AL and AH.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Decimal {
    /// DAA
    AdjustAfterAdd,
    /// DAS
    AdjustAfterSub,
    /// AAA
    UnpackAfterAdd,
    /// AAS
    UnpackAfterSub,
    /// AAM
    Split,
    /// AAD
    Join,
}

/// What is asked about a selector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Query {
    /// LAR
    Rights,
    /// LSL
    Limit,
    /// VERR
    Readable,
    /// VERW
    Writable,
}

/// ZF, SF and PF of AL.
fn of_al(al: u64) -> u64 {
    status(FlagKind::new(FlagOp::Logic, Width::W8), al, 0)
}

/// The base of AAM and AAD is in `imm`'s second byte.
pub(super) fn decimal(cx: &mut Context<'_>, imm: u32) -> Result<(), Trap> {
    let what = {
        use Decimal::*;
        [AdjustAfterAdd, AdjustAfterSub, UnpackAfterAdd, UnpackAfterSub, Split, Join][(imm & 7) as usize % 6]
    };
    let base = u64::from(imm >> 8 & 0xff);
    let flags = cx.cpu.status_flags();
    let ax = cx.cpu.gpr(RAX) & 0xffff;
    let (al, ah) = (ax & 0xff, ax >> 8);
    let adjust = al & 15 > 9 || flags & AF != 0;
    let (ax, flags) = match what {
        Decimal::AdjustAfterAdd | Decimal::AdjustAfterSub => {
            let high = al > 0x99 || flags & CF != 0;
            let by = if adjust { 6 } else { 0 } + if high { 0x60 } else { 0 };
            let adds = what == Decimal::AdjustAfterAdd;
            let new = if adds { al + by } else { al.wrapping_sub(by) } & 0xff;
            // Subtraction borrows where it adjusts the low digit of less than 6, too.
            let carry = high || !adds && adjust && al < 6;
            let flags = of_al(new) | if adjust { AF } else { 0 } | if carry { CF } else { 0 };
            (ah << 8 | new, flags)
        }
        Decimal::UnpackAfterAdd | Decimal::UnpackAfterSub => {
            let by = if adjust { 0x106 } else { 0 };
            let sum = if what == Decimal::UnpackAfterAdd { ax + by } else { ax.wrapping_sub(by) };
            let flags = flags & !(AF | CF) | if adjust { AF | CF } else { 0 };
            (sum & 0xff0f, flags)
        }
        Decimal::Split => {
            let high = al.checked_div(base).ok_or(Exception::Divide)?;
            let low = al % base;
            (high << 8 | low, of_al(low))
        }
        Decimal::Join => {
            let joined = (al + ah * base) & 0xff;
            (joined, of_al(joined))
        }
    };
    let rax = cx.cpu.gpr(RAX) & !0xffff | ax;
    cx.cpu.set_gpr(RAX, rax);
    cx.set_new_flags(flags);
    Ok(())
}

/// BOUND.
pub(super) fn bound(cx: &Context<'_>, index: u8, lower: u8, upper: u8, imm: u32) -> Result<(), Trap> {
    let [index, lower, upper] = [index, lower, upper].map(|slot| super::width(imm).sign_extend(cx.get(slot)));
    if (lower..=upper).contains(&index) { Ok(()) } else { Err(Exception::Bound.into()) }
}

/// What a selector stands for: the upper half of its descriptor without the base, and the limit in bytes. Those of the
/// kernel are as good as nothing.
fn descriptor(cpu: &CpuState, selector: u16) -> Option<(u32, u32)> {
    Some(match selector | 3 {
        USER_CODE_32 => (0x00cf_fb00, u32::MAX),
        USER_DATA => (0x00cf_f300, u32::MAX),
        USER_CODE_64 => (0x00af_fb00, u32::MAX),
        PROCESSOR_NUMBER => (0x0040_f500, 0),
        _ => {
            let descriptor = cpu.tls_of(selector)?;
            (descriptor.rights(), descriptor.limit_bytes())
        }
    })
}

/// Bits of a descriptor's upper half: code, and (of data) that it may be written.
const IS_CODE: u32 = 1 << 11;
const IS_WRITABLE: u32 = 1 << 9;

/// LAR, LSL, VERR, VERW: what a selector stands for, if a program may know it.
pub(super) fn describe(cx: &mut Context<'_>, dst: u8, selector: u8, imm: u32) {
    let what = [Query::Rights, Query::Limit, Query::Readable, Query::Writable][(imm & 3) as usize];
    let found = descriptor(cx.cpu, cx.get(selector) as u16).and_then(|(rights, limit)| match what {
        Query::Rights => Some(rights.into()),
        Query::Limit => Some(limit.into()),
        // There is no code that can't be read.
        Query::Readable => Some(0),
        Query::Writable => (rights & (IS_CODE | IS_WRITABLE) == IS_WRITABLE).then_some(0),
    });
    cx.set(dst, found.unwrap_or(0));
    let flags = cx.cpu.status_flags() & !ZF | if found.is_some() { ZF } else { 0 };
    cx.set_new_flags(flags);
}

/// Far jumps, calls and returns (`is_return`), which can go to 64-bit and to 32-bit code.
pub(super) fn far_transfer(cx: &Context<'_>, selector: u8, is_return: bool) -> Result<(), Trap> {
    let selector = cx.get(selector) as u16;
    // A return may not raise its privilege.
    let allowed = [USER_CODE_64, USER_CODE_32].contains(&if is_return { selector } else { selector | 3 });
    if allowed { Ok(()) } else { Err(Exception::of_selector(selector).into()) }
}

/// INTO.
pub(super) fn overflow(cx: &Context<'_>) -> Result<(), Trap> {
    let overflows = cx.cpu.status_flags() & OF != 0;
    if overflows { Err(Exception::Overflow.into()) } else { Ok(()) }
}
