//! The stack frames of signal handlers on i386: `struct sigframe_ia32` and `struct rt_sigframe_ia32` of
//! `arch/x86/include/asm/sigframe.h`, `struct _fpstate_32` of `asm/sigcontext.h`.
//!
//! ```text
//! higher   interrupted stack
//!          floating-point state (`fpstate`), 64-byte aligned
//!          x87 state as FSAVE has it, and two words: 112 bytes
//!          instructions that return, for who has no restorer: debuggers look for them
//!          with SA_SIGINFO: siginfo_t, ucontext_t; otherwise struct sigcontext, and room for an older x87 state
//!          the handler's arguments: signal; with SA_SIGINFO, two addresses
//! lower    return address: the restorer, or the vDSO, which call sigreturn
//! ```

use std::rc::Rc;

use abi::signal::SA_RESTORER;
use abi::{Errno, Layout, Reader, Writer};
use cpu::fpu::F80;
use cpu::segment::{Segment, USER_DATA};
use cpu::x87::spec::OPCODE_BITS;
use cpu::{CpuState, Mode, reg};

use super::frame::{Frame, FrameKind};
use super::frame::{Popped, mode_of};
use super::{AltStack, SignalSet, fpstate};
use crate::exec::vdso;
use crate::mm::Mm;
use crate::stop::Outcome;

const X87_BYTES: usize = 112;
/// In `uc_flags`: the floating-point state is an XSAVE area.
const UC_FP_XSTATE: u32 = 1;
const CONTEXT_BYTES: usize = 88;
/// Of `_fpstate_32`, which is no longer there.
const OLD_FPSTATE_BYTES: usize = 624;
const INFO_BYTES: usize = 128;
const RETURN_CODE_BYTES: usize = 8;

/// Where parts of the frame without `siginfo_t` are.
mod plain {
    use super::*;
    pub const CONTEXT: usize = 8;
    pub const HIGH_MASK: usize = CONTEXT + CONTEXT_BYTES + OLD_FPSTATE_BYTES;
    pub const RETURN_CODE: usize = HIGH_MASK + 4;
}

/// Where parts of the other frame are.
mod with_info {
    use super::*;
    pub const INFO: usize = 16;
    pub const UCONTEXT: usize = INFO + INFO_BYTES;
    pub const CONTEXT: usize = UCONTEXT + 20;
    pub const MASK: usize = CONTEXT + CONTEXT_BYTES;
    pub const RETURN_CODE: usize = MASK + 8;
}

impl FrameKind {
    fn bytes(self) -> usize {
        RETURN_CODE_BYTES + if self == FrameKind::Plain32 { plain::RETURN_CODE } else { with_info::RETURN_CODE }
    }

    /// Where the registers are.
    fn context_at(self) -> usize {
        if self == FrameKind::Plain32 { plain::CONTEXT } else { with_info::CONTEXT }
    }

    /// Bytes that the way back has popped when `sigreturn` is called.
    fn popped_bytes(self) -> u64 {
        if self == FrameKind::Plain32 { 8 } else { 4 }
    }
}

/// The general registers in the order of `struct sigcontext`.
const ORDER: [usize; 8] = [reg::RDI, reg::RSI, reg::RBP, reg::RSP, reg::RBX, reg::RDX, reg::RCX, reg::RAX];
/// The data segments in that order.
const SEGMENTS: [Segment; 4] = [Segment::Gs, Segment::Fs, Segment::Es, Segment::Ds];

/// Pushes the frame; the caller sets rip and flags.
pub(super) fn push(frame: &Frame<'_>, kind: FrameKind, cpu: &mut CpuState, mm: &Rc<Mm>) -> Outcome<()> {
    let extended = frame.stack(cpu, 0).wrapping_sub(fpstate::BYTES as u64) & 0xffff_ffc0;
    let floating = extended.wrapping_sub(X87_BYTES as u64) & 0xffff_ffff;
    // As after a call: the stack pointer plus 4 is a multiple of 16.
    let start = (floating.wrapping_sub(kind.bytes() as u64 - 4) & 0xffff_fff0).wrapping_sub(4) & 0xffff_ffff;
    // Nothing can lie across the end of memory.
    let len = extended.checked_sub(start).ok_or(Errno::EFAULT)? as usize + fpstate::BYTES;
    let bytes = match kind {
        FrameKind::Plain32 => encode_plain(frame, cpu, mm, start, floating),
        _ => encode_with_info(frame, cpu, mm, start, floating),
    };
    mm.prepare_write(start, len)?;
    mm.write_user(start, &bytes)?;
    mm.write_user(floating, &encode_x87(cpu))?;
    mm.write_user(extended, &fpstate::encode(cpu, X87_BYTES))?;
    // The arguments are in registers too, for handlers compiled with -mregparm=3.
    let (info, context) = match kind {
        FrameKind::Plain32 => (0, 0),
        _ => (start + with_info::INFO as u64, start + with_info::UCONTEXT as u64),
    };
    cpu.set_gpr(reg::RAX, frame.info.signal.into());
    cpu.set_gpr(reg::RDX, info);
    cpu.set_gpr(reg::RCX, context);
    cpu.set_gpr(reg::RSP, start);
    cpu.mode = Mode::Compat;
    for segment in [Segment::Ds, Segment::Es] {
        cpu.load_selector_or_null(segment, USER_DATA);
    }
    Ok(())
}

fn encode_plain(frame: &Frame<'_>, cpu: &CpuState, mm: &Rc<Mm>, start: u64, fpstate: u64) -> Vec<u8> {
    // popl %eax; movl $sigreturn, %eax; int $0x80
    let code = Writer::new().u16(0xb858).u32(vdso::SIGRETURN_NUMBER.into()).u16(0x80cd).finish();
    let back = return_address(frame, mm, vdso::image().sigreturn, start + plain::RETURN_CODE as u64);
    let head = Writer::new().u32(back).u32(frame.info.signal);
    let context = context(head, frame, cpu, fpstate);
    context.pad_to(plain::HIGH_MASK).u32((frame.blocked.0 >> 32) as u32).raw(&code).finish()
}

fn encode_with_info(frame: &Frame<'_>, cpu: &CpuState, mm: &Rc<Mm>, start: u64, fpstate: u64) -> Vec<u8> {
    // movl $rt_sigreturn, %eax; int $0x80
    let code = Writer::new().u8(0xb8).u32(vdso::RT_SIGRETURN_NUMBER.into()).u16(0x80cd).u8(0).finish();
    let back = return_address(frame, mm, vdso::image().rt_sigreturn, start + with_info::RETURN_CODE as u64);
    let at = |offset: usize| start as u32 + offset as u32;
    let head = Writer::new().u32(back).u32(frame.info.signal).u32(at(with_info::INFO)).u32(at(with_info::UCONTEXT));
    let head = head.raw(&frame.info.encode(Layout::I386)).u32(UC_FP_XSTATE).u32(0);
    let stack = head.u32(frame.alt_stack.start as u32).u32(frame.alt_stack.flags);
    let context = context(stack.u32(frame.alt_stack.len as u32), frame, cpu, fpstate);
    context.u64(frame.blocked.0).raw(&code).finish()
}

fn return_address(frame: &Frame<'_>, mm: &Rc<Mm>, in_vdso: u64, in_frame: u64) -> u32 {
    let addr = match mm.vdso.get() {
        _ if frame.action.flags & SA_RESTORER != 0 => frame.action.restorer,
        0 => in_frame,
        vdso => vdso + in_vdso,
    };
    addr as u32
}

/// `struct sigcontext_32`.
fn context(head: Writer, frame: &Frame<'_>, cpu: &CpuState, fpstate: u64) -> Writer {
    let (fault_addr, trap, error) = frame.fault();
    let segments = SEGMENTS.iter().fold(head, |writer, segment| writer.u32(cpu.selector(*segment).into()));
    let registers = ORDER.iter().fold(segments, |writer, index| writer.u32(cpu.gpr(*index) as u32));
    let place = registers.u32(trap.into()).u32(error.into()).u32(cpu.rip as u32);
    let place = place.u32(cpu.selector(Segment::Cs).into()).u32(cpu.rflags() as u32);
    let place = place.u32(cpu.gpr(reg::RSP) as u32).u32(cpu.selector(Segment::Ss).into());
    place.u32(fpstate as u32).u32(frame.blocked.0 as u32).u32(fault_addr as u32)
}

/// The x87 registers as FSAVE has them, the status word again, and 0 for "an FXSAVE image follows".
pub(crate) fn encode_x87(cpu: &CpuState) -> Vec<u8> {
    let fpu = &cpu.fpu;
    let word = |value: u16| 0xffff_0000 | u32::from(value);
    let head = Writer::new().u32(word(fpu.control)).u32(word(fpu.status_word())).u32(word(fpu.tag_word()));
    // The kernel has no other segments to tell, and leaves out the opcode.
    let instruction = head.u32(cpu.x87_instruction() as u32).u32(cpu.selector(Segment::Cs).into());
    let pointers = instruction.u32(fpu.last_operand as u32).u32(word(cpu.selector(Segment::Ds)));
    let registers = (0..8).fold(pointers, |writer, i| {
        let F80 { mantissa, sign_exponent } = fpu.registers[fpu.physical(i)];
        writer.u64(mantissa).u16(sign_exponent)
    });
    registers.u16(fpu.status_word()).u16(0).finish()
}

/// Takes x87 state back, which counts more than that of the FXSAVE image behind it.
pub(crate) fn decode_x87(cpu: &mut CpuState, bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let (control, status, tags) = (reader.u32() as u16, reader.u32() as u16, reader.u32() as u16);
    let (instruction, code, operand) = (reader.u32(), reader.u32(), reader.u32());
    let mut reader = Reader::new(&bytes[28..]);
    cpu.fpu.control = control;
    cpu.fpu.set_status_word(status);
    cpu.fpu.set_tag_word(tags);
    cpu.set_x87_instruction(instruction.into());
    (cpu.fpu.last_opcode, cpu.fpu.last_operand) = ((code >> 16) as u16 & OPCODE_BITS, operand.into());
    for i in 0..8 {
        let register = cpu.fpu.physical(i);
        cpu.fpu.registers[register] = F80 { mantissa: reader.u64(), sign_exponent: reader.u16() };
    }
}

/// Undoes [`push`]: restores the registers, returns the signals to block.
pub(super) fn pop(kind: FrameKind, cpu: &mut CpuState, mm: &Rc<Mm>) -> Outcome<Popped> {
    let start = (cpu.gpr(reg::RSP) as u32).wrapping_sub(kind.popped_bytes() as u32);
    let mut bytes = vec![0; kind.bytes()];
    mm.read_user(start.into(), &mut bytes)?;
    let mut reader = Reader::new(&bytes[kind.context_at()..]);
    let selectors = SEGMENTS.map(|_| reader.u32() as u16);
    let registers = ORDER.map(|_| reader.u32());
    let (_trap, _error, rip) = (reader.u32(), reader.u32(), reader.u32());
    let (code, flags, _stack) = (reader.u32() as u16, reader.u32(), reader.u32());
    let (stack_segment, floating, low_mask) = (reader.u32() as u16, reader.u32(), reader.u32());
    let mode = mode_of(code)?;
    if stack_segment | 3 != USER_DATA {
        return Err(Errno::EFAULT.into());
    }
    if floating != 0 {
        let mut x87 = [0; X87_BYTES];
        mm.read_user(floating.into(), &mut x87)?;
        fpstate::restore(cpu, mm, u64::from(floating) + X87_BYTES as u64)?;
        decode_x87(cpu, &x87);
    }
    for (index, value) in ORDER.iter().zip(registers) {
        cpu.set_gpr(*index, value.into());
    }
    cpu.rip = rip.into();
    cpu.mode = mode;
    cpu.set_rflags(flags.into());
    for (segment, selector) in SEGMENTS.iter().zip(selectors) {
        cpu.load_selector_or_null(*segment, selector);
    }
    if kind == FrameKind::Plain32 {
        let blocked = u64::from(Reader::new(&bytes[plain::HIGH_MASK..]).u32()) << 32 | u64::from(low_mask);
        return Ok(Popped { blocked: SignalSet(blocked), alt_stack: None });
    }
    let blocked = Reader::new(&bytes[with_info::MASK..]).u64();
    let mut stack = Reader::new(&bytes[with_info::UCONTEXT + 8..]);
    let (start, flags, len) = (stack.u32().into(), stack.u32(), stack.u32().into());
    Ok(Popped { blocked: SignalSet(blocked), alt_stack: Some(AltStack { start, len, flags }) })
}
