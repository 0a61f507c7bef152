//! Vector operations that touch flags or memory.

use memory::GuestAddr;

use super::{Context, Trap};
use crate::ir::VSlot;
use crate::state::reg::{RAX, RCX, RDX};
use crate::state::rflags::{CF, OF, SF, ZF};
use crate::vector::strings;

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

/// Which of PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strings {
    /// The control byte.
    pub control: u8,
    /// The result is a mask.
    pub to_mask: bool,
    /// Lengths are in RAX and RDX, or EAX and EDX if not `wide`.
    pub explicit: bool,
    /// 64-bit lengths.
    pub wide: bool,
}

impl Strings {
    /// As an operation's `imm`.
    pub fn encode(self) -> u32 {
        let Self { control, to_mask, explicit, wide } = self;
        u32::from(control) | u32::from(to_mask) << 8 | u32::from(explicit) << 9 | u32::from(wide) << 10
    }

    /// What [`Self::encode`] made.
    pub fn decode(imm: u32) -> Self {
        let bit = |at: u32| imm >> at & 1 != 0;
        Self { control: imm as u8, to_mask: bit(8), explicit: bit(9), wide: bit(10) }
    }
}

pub(super) fn compare_strings(cx: &mut Context<'_>, a: u8, b: u8, spec: Strings) {
    let length = |register| {
        let value = cx.cpu.gpr(register);
        if spec.wide { value.cast_signed() } else { (value as i32).into() }
    };
    let lengths = spec.explicit.then(|| [length(RAX), length(RDX)]);
    let compared = strings::compare(spec.control, cx.vector(a), cx.vector(b), lengths);
    if spec.to_mask {
        cx.set_vector(VSlot(0), compared.mask(spec.control));
    } else {
        cx.cpu.set_gpr(RCX, compared.index(spec.control).into());
    }
    let [a_ends, b_ends] = compared.ends;
    let flags = [(compared.bits != 0, CF), (b_ends, ZF), (a_ends, SF), (compared.bits & 1 != 0, OF)];
    cx.set_new_flags(flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag));
}
