//! `CpuState`: everything the processor remembers of one task between two instructions.

use crate::flags::{self, FlagKind};
use crate::fpu::Fpu;
use crate::ir::slot;
use crate::segment::Segments;
use crate::vector::exact::exception;

/// Indices of the general registers in [`CpuState::slots`], in the processor's encoding order.
#[allow(missing_docs)]
pub mod reg {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R10: usize = 10;
    pub const R11: usize = 11;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;
}

/// Bits of RFLAGS (Intel SDM vol. 1, 3.4.3).
#[allow(missing_docs)]
pub mod rflags {
    pub const CF: u64 = 1 << 0;
    /// Always set.
    pub const FIXED: u64 = 1 << 1;
    pub const PF: u64 = 1 << 2;
    pub const AF: u64 = 1 << 4;
    pub const ZF: u64 = 1 << 6;
    pub const SF: u64 = 1 << 7;
    pub const TF: u64 = 1 << 8;
    pub const IF: u64 = 1 << 9;
    pub const DF: u64 = 1 << 10;
    pub const OF: u64 = 1 << 11;
    pub const AC: u64 = 1 << 18;
    pub const ID: u64 = 1 << 21;
    /// The six that arithmetic sets.
    pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;
    /// Those a user program may change with `popf`.
    pub const USER: u64 = STATUS | TF | DF | AC | ID;
}

/// Width of addresses and default operands.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// 64-bit code.
    #[default]
    Long,
    /// 32-bit protected-mode code with flat segments.
    Compat,
}

/// How vectors' floating-point arithmetic is to be done.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub enum Floats {
    /// As the host does it: as the default MXCSR says, exceptions unnoticed, since nobody has ever looked.
    #[default]
    Plain,
    /// As MXCSR says, exceptions noted there.
    Exact,
}

/// Entries in [`CpuState::slots`].
pub const SLOT_COUNT: usize = 64;
/// Entries in [`CpuState::vectors`].
pub const VECTOR_COUNT: usize = 32;

/// One task's processor state.
///
/// Integer registers and the scratch values of IR programs share one array of slots, vector registers
/// and vector scratch another, so that every IR operand is one small index. See [`crate::ir::slot`]
/// for who owns which index; outside this crate use the methods.
#[derive(Clone)]
#[repr(C)]
pub struct CpuState {
    /// General registers (0 to 15), segment bases, lazy flags, scratch.
    pub slots: [u64; SLOT_COUNT],
    /// XMM registers (0 to 15), scratch.
    pub vectors: [u128; VECTOR_COUNT],
    /// Address of the next instruction.
    pub rip: u64,
    /// How the flags are to be computed from the lazy-flag slots.
    pub flag_kind: FlagKind,
    /// 64-bit or 32-bit code.
    pub mode: Mode,
    /// SSE control and status.
    pub mxcsr: u32,
    /// The task has set MXCSR by LDMXCSR, or asked both units for what has happened, as `fetestexcept(3)` does. Reading
    /// MXCSR alone does not count: libraries do that for the rounding mode.
    pub looks_at_mxcsr: bool,
    /// Flags besides the status flags and DF: TF, AC, ID.
    pub(crate) other_flags: u64,
    /// x87 and MMX.
    pub fpu: Fpu,
    /// Selectors and thread-local storage descriptors.
    pub segments: Segments,
}

/// MXCSR at reset: all exceptions masked, round to nearest.
pub const MXCSR_DEFAULT: u32 = 0x1f80;

impl Default for CpuState {
    fn default() -> Self {
        Self {
            slots: [0; SLOT_COUNT],
            vectors: [0; VECTOR_COUNT],
            rip: 0,
            flag_kind: FlagKind::default(),
            mode: Mode::Long,
            mxcsr: MXCSR_DEFAULT,
            looks_at_mxcsr: false,
            other_flags: 0,
            fpu: Fpu::default(),
            segments: Segments::default(),
        }
    }
}

impl CpuState {
    /// Value of a general register, by [`reg`] index.
    pub fn gpr(&self, index: usize) -> u64 {
        self.slots[..16][index]
    }

    /// Sets a general register, by [`reg`] index.
    pub fn set_gpr(&mut self, index: usize, value: u64) {
        self.slots[..16][index] = value;
    }

    /// FIP: where the last x87 instruction was.
    pub fn x87_instruction(&self) -> u64 {
        self.slots[slot::X87_INSTRUCTION.0 as usize]
    }

    /// Sets FIP.
    pub fn set_x87_instruction(&mut self, rip: u64) {
        self.slots[slot::X87_INSTRUCTION.0 as usize] = rip;
    }

    /// Base of the FS segment (thread-local storage on x86-64).
    pub fn fs_base(&self) -> u64 {
        self.slots[slot::FS_BASE.0 as usize]
    }

    /// Sets the base of the FS segment.
    pub fn set_fs_base(&mut self, base: u64) {
        self.slots[slot::FS_BASE.0 as usize] = base;
    }

    /// Base of the GS segment (thread-local storage on i386).
    pub fn gs_base(&self) -> u64 {
        self.slots[slot::GS_BASE.0 as usize]
    }

    /// Sets the base of the GS segment.
    pub fn set_gs_base(&mut self, base: u64) {
        self.slots[slot::GS_BASE.0 as usize] = base;
    }
}

impl CpuState {
    /// How floating-point arithmetic is to be done.
    pub fn floats(&self) -> Floats {
        let is_default = self.mxcsr & !exception::ALL == MXCSR_DEFAULT;
        if is_default && !self.looks_at_mxcsr { Floats::Plain } else { Floats::Exact }
    }

    /// Copies everything but scratch.
    pub fn copy_guest_state(&mut self, from: &CpuState) {
        let (slots, vectors) = (usize::from(slot::NEW_FLAGS.0), usize::from(slot::VECTOR_SCRATCH));
        self.slots[..slots].copy_from_slice(&from.slots[..slots]);
        self.vectors[..vectors].copy_from_slice(&from.vectors[..vectors]);
        (self.rip, self.flag_kind, self.mode) = (from.rip, from.flag_kind, from.mode);
        (self.mxcsr, self.looks_at_mxcsr) = (from.mxcsr, from.looks_at_mxcsr);
        self.other_flags = from.other_flags;
        self.fpu.clone_from(&from.fpu);
        self.segments = from.segments;
    }

    /// What a `syscall` instruction at `rip` does to the registers (Intel SDM vol. 2, SYSCALL).
    pub fn enter_syscall(&mut self, rip: u64) {
        self.rip = rip + 2;
        let flags = self.rflags();
        self.set_gpr(reg::RCX, self.rip);
        self.set_gpr(reg::R11, flags);
    }

    /// The six status flags in RFLAGS' places.
    pub fn status_flags(&self) -> u64 {
        flags::status(self.flag_kind, self.slots[slot::FLAG_A.0 as usize], self.slots[slot::FLAG_B.0 as usize])
    }

    /// RFLAGS as a program would push them.
    pub fn rflags(&self) -> u64 {
        let direction = if self.slots[slot::DIRECTION.0 as usize] != 0 { rflags::DF } else { 0 };
        self.status_flags() | direction | self.other_flags | rflags::FIXED | rflags::IF
    }

    /// Sets the flags a user program may set; the others stay.
    pub fn set_rflags(&mut self, value: u64) {
        self.set_system_flags(value);
        self.flag_kind = FlagKind::BITS;
        self.slots[slot::FLAG_A.0 as usize] = value & rflags::STATUS;
    }

    /// Sets DF, TF, AC and ID alone.
    pub(crate) fn set_system_flags(&mut self, value: u64) {
        self.slots[slot::DIRECTION.0 as usize] = u64::from(value & rflags::DF != 0);
        self.other_flags = value & (rflags::TF | rflags::AC | rflags::ID);
    }

    /// x87, MMX and SSE as a new program finds them.
    pub fn reset_floating_point(&mut self) {
        self.fpu = Fpu::default();
        self.mxcsr = MXCSR_DEFAULT;
        self.vectors[..16].fill(0);
    }
}
