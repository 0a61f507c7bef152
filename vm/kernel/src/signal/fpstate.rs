//! The floating-point state in a signal frame: an XSAVE area, with a note for user space in bytes that the processor
//! leaves alone (`struct _fpx_sw_bytes`), and a word behind it that says the area is whole.
//!
//! Source: `arch/x86/include/uapi/asm/sigcontext.h`, `arch/x86/kernel/fpu/signal.c`.

use std::rc::Rc;

use abi::{Errno, Reader, Writer};
use cpu::CpuState;
use cpu::saved::{self, FXSAVE_BYTES, Header, XSAVE_BYTES};

use crate::mm::Mm;
use crate::stop::Outcome;

/// Bytes it takes in all.
pub const BYTES: usize = XSAVE_BYTES + 4;

/// `FP_XSTATE_MAGIC1`: begins the note.
const MAGIC_1: u32 = 0x4650_5853;
/// `FP_XSTATE_MAGIC2`: the word behind the area.
const MAGIC_2: u32 = 0x4650_5845;

/// The state of a processor, with `before` bytes in front of it that belong to it too.
pub fn encode(cpu: &CpuState, before: usize) -> Vec<u8> {
    let note = Writer::new().u32(MAGIC_1).u32((before + BYTES) as u32).u64(saved::ENABLED).u32(XSAVE_BYTES as u32);
    Writer::new().raw(&cpu.xsave(&note.finish())).u32(MAGIC_2).finish()
}

/// Restores the state at an address. A handler may have put a mere FXSAVE image there, or have taken components away.
pub fn restore(cpu: &mut CpuState, mm: &Rc<Mm>, addr: u64) -> Outcome<()> {
    let mut image = [0; FXSAVE_BYTES];
    mm.read_user(addr, &mut image)?;
    let mut note = Reader::new(&image[saved::FREE_AT..]);
    let (magic, extended_bytes, components, area_bytes) = (note.u32(), note.u32(), note.u64(), note.u32() as usize);
    let may_be_whole = magic == MAGIC_1 && area_bytes == XSAVE_BYTES && area_bytes <= extended_bytes as usize;
    let header = if may_be_whole { read_header(mm, addr)? } else { None };
    match header {
        Some(header) => {
            let present = header.present & components;
            cpu.restore_components(&image, saved::ENABLED, Header { present, ..header }, saved::VECTORS);
        }
        None => cpu.fxrstor(&image, saved::VECTORS),
    }
    Ok(())
}

/// The header, if the area is whole.
fn read_header(mm: &Rc<Mm>, addr: u64) -> Outcome<Option<Header>> {
    let mut rest = [0; BYTES - FXSAVE_BYTES];
    mm.read_user(addr + FXSAVE_BYTES as u64, &mut rest)?;
    let (header, magic) = rest.split_first_chunk().ok_or(Errno::EFAULT)?;
    if Reader::new(magic).u32() != MAGIC_2 {
        return Ok(None);
    }
    Ok(Some(Header::read(header).map_err(|_| Errno::EFAULT)?))
}
