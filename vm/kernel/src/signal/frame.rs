//! The stack frame of a signal handler on x86-64: `struct rt_sigframe` of `arch/x86/include/asm/sigframe.h`.
//!
//! ```text
//! higher   interrupted stack, and the 128 bytes below it that the ABI leaves to leaf functions
//!          floating-point state (`fpstate`), 64-byte aligned
//!          siginfo_t, 128 bytes
//!          ucontext_t, 304 bytes
//! lower    return address: the restorer, which calls rt_sigreturn
//! ```

use std::rc::Rc;

use abi::signal::SA_SIGINFO;
use abi::{Errno, Layout, Reader, Writer};
use cpu::segment::{Segment, USER_CODE_32, USER_CODE_64};
use cpu::{CpuState, Mode, reg, rflags};

use super::{Action, AltStack, SigInfo, SignalSet, fpstate, frame32};
use crate::mm::Mm;
use crate::stop::Outcome;

const RED_ZONE_BYTES: u64 = 128;
const FPSTATE_BYTES: u64 = fpstate::BYTES as u64;
const FRAME_BYTES: u64 = 8 + UCONTEXT_BYTES + 128;
const UCONTEXT_BYTES: u64 = 304;
/// `UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`.
const UC_FLAGS: u64 = 7;
/// The general registers in the order of `struct sigcontext`.
const ORDER: [usize; 16] = [
    reg::R8,
    reg::R9,
    reg::R10,
    reg::R11,
    reg::R12,
    reg::R13,
    reg::R14,
    reg::R15,
    reg::RDI,
    reg::RSI,
    reg::RBP,
    reg::RBX,
    reg::RDX,
    reg::RAX,
    reg::RCX,
    reg::RSP,
];

/// The kinds of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// x86-64's only one.
    WithInfo64,
    /// i386's for a handler with `SA_SIGINFO`.
    WithInfo32,
    /// i386's for any other.
    Plain32,
}

impl FrameKind {
    /// That of a handler.
    pub fn of(action: &Action) -> Self {
        match action.layout.is_32() {
            false => Self::WithInfo64,
            true if action.flags & SA_SIGINFO != 0 => Self::WithInfo32,
            true => Self::Plain32,
        }
    }
}

/// What a handler is to find.
pub struct Frame<'a> {
    /// What the process asked for.
    pub action: &'a Action,
    /// What came.
    pub info: &'a SigInfo,
    /// Signals blocked again after it.
    pub blocked: SignalSet,
    /// The alternate stack, as `ucontext_t` tells it.
    pub alt_stack: AltStack,
    /// Whether to start at the top of the alternate stack.
    pub on_alt_stack: bool,
}

impl Frame<'_> {
    /// Pushes the frame and makes `cpu` enter the handler.
    pub fn push(&self, cpu: &mut CpuState, mm: &Rc<Mm>) -> Outcome<()> {
        match FrameKind::of(self.action) {
            FrameKind::WithInfo64 => self.push_64(cpu, mm)?,
            kind => frame32::push(self, kind, cpu, mm)?,
        }
        cpu.rip = self.action.handler;
        // A pending exception would end the handler at its first floating-point instruction.
        cpu.reset_floating_point();
        let flags = cpu.rflags() & !(rflags::DF | rflags::TF);
        cpu.set_rflags(flags);
        Ok(())
    }

    /// Where the frame goes below; `reserved` bytes under the stack pointer are the interrupted function's.
    pub(super) fn stack(&self, cpu: &CpuState, reserved: u64) -> u64 {
        match self.on_alt_stack {
            true => self.alt_stack.start.wrapping_add(self.alt_stack.len),
            false => cpu.gpr(reg::RSP).wrapping_sub(reserved),
        }
    }

    /// Address, exception number and error code of a fault.
    pub(super) fn fault(&self) -> (u64, u8, u16) {
        match self.info.detail {
            super::info::Detail::Fault { addr, trap, error } => (addr, trap, error),
            super::info::Detail::Exception { trap, error } => (0, trap, error),
            _ => (0, 0, 0),
        }
    }

    fn push_64(&self, cpu: &mut CpuState, mm: &Rc<Mm>) -> Outcome<()> {
        let stack = self.stack(cpu, RED_ZONE_BYTES);
        let floating = stack.wrapping_sub(FPSTATE_BYTES) & !63;
        let frame = (floating.wrapping_sub(FRAME_BYTES) & !15).wrapping_sub(8);
        let bytes = self.encode(cpu, floating);
        // A stack pointer near zero would have the frame wrap around the end of addresses.
        let len = floating.wrapping_add(FPSTATE_BYTES).checked_sub(frame).ok_or(Errno::EFAULT)?;
        mm.prepare_write(frame, len as usize)?;
        mm.write_user(floating, &fpstate::encode(cpu, 0))?;
        mm.write_user(frame, &bytes)?;
        cpu.set_gpr(reg::RDI, u64::from(self.info.signal));
        cpu.set_gpr(reg::RSI, frame + 8 + UCONTEXT_BYTES);
        cpu.set_gpr(reg::RDX, frame + 8);
        cpu.set_gpr(reg::RAX, 0);
        cpu.set_gpr(reg::RSP, frame);
        cpu.mode = Mode::Long;
        Ok(())
    }

    fn encode(&self, cpu: &CpuState, floating: u64) -> Vec<u8> {
        let (fault_addr, trap, error) = self.fault();
        let head = Writer::new().u64(self.action.restorer).u64(UC_FLAGS).u64(0);
        let head = head.u64(self.alt_stack.start).u32(self.alt_stack.flags).u32(0).u64(self.alt_stack.len);
        let registers = ORDER.iter().fold(head, |writer, index| writer.u64(cpu.gpr(*index)));
        let registers = registers.u64(cpu.rip).u64(cpu.rflags() | rflags::IF | rflags::FIXED);
        let segments = registers.u16(cpu.selector(Segment::Cs)).u16(0).u16(0).u16(cpu.selector(Segment::Ss));
        let rest = segments.u64(error.into()).u64(trap.into()).u64(self.blocked.0).u64(fault_addr).u64(floating);
        rest.pad_to(8 + 296).u64(self.blocked.0).raw(&self.info.encode(Layout::X86_64)).finish()
    }
}

/// What is no register of what a frame brings back.
pub struct Popped {
    /// Signals to block.
    pub blocked: SignalSet,
    /// The alternate stack as it was when the handler was entered, if the frame says.
    pub alt_stack: Option<AltStack>,
}

/// Undoes [`Frame::push`] (`rt_sigreturn`): restores the registers.
pub fn pop(kind: FrameKind, cpu: &mut CpuState, mm: &Rc<Mm>) -> Outcome<Popped> {
    let popped = match kind {
        FrameKind::WithInfo64 => pop_64(cpu, mm)?,
        kind => frame32::pop(kind, cpu, mm)?,
    };
    Ok(Popped { blocked: popped.blocked.without(SignalSet::UNSTOPPABLE), ..popped })
}

/// The mode that a code segment selector stands for.
///
/// # Errors
/// `EFAULT` if it is none of the two.
pub(crate) fn mode_of(selector: u16) -> Outcome<Mode> {
    match selector | 3 {
        USER_CODE_64 => Ok(Mode::Long),
        USER_CODE_32 => Ok(Mode::Compat),
        _ => Err(Errno::EFAULT.into()),
    }
}

fn pop_64(cpu: &mut CpuState, mm: &Rc<Mm>) -> Outcome<Popped> {
    let mut bytes = [0; UCONTEXT_BYTES as usize];
    // The restorer's `ret` has taken the return address away.
    mm.read_user(cpu.gpr(reg::RSP), &mut bytes)?;
    let mut stack = Reader::new(&bytes[16..]);
    let (start, stack_flags, _, len) = (stack.u64(), stack.u32(), stack.u32(), stack.u64());
    let mut reader = Reader::new(&bytes[40..]);
    let registers: Vec<u64> = ORDER.iter().map(|_| reader.u64()).collect();
    let (rip, flags) = (reader.u64(), reader.u64());
    let mode = mode_of(reader.u16())?;
    let floating = Reader::new(&bytes[40 + 184..]).u64();
    let blocked = Reader::new(&bytes[296..]).u64();
    if floating != 0 {
        fpstate::restore(cpu, mm, floating)?;
    }
    for (index, value) in ORDER.iter().zip(registers) {
        cpu.set_gpr(*index, value);
    }
    cpu.rip = rip;
    cpu.mode = mode;
    cpu.set_rflags(flags);
    let alt_stack = AltStack { start, len, flags: stack_flags };
    Ok(Popped { blocked: SignalSet(blocked), alt_stack: Some(alt_stack) })
}
