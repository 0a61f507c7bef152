//! `CpuState`: everything the processor remembers of one task between two instructions.

use crate::fpu::Fpu;

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
    pub(crate) flag_kind: crate::flags::FlagKind,
    /// 64-bit or 32-bit code.
    pub mode: Mode,
    /// SSE control and status.
    pub mxcsr: u32,
    /// Flags besides the status flags and DF: TF, AC, ID.
    pub(crate) other_flags: u64,
    /// x87 and MMX.
    pub fpu: Fpu,
}

/// MXCSR at reset: all exceptions masked, round to nearest.
pub const MXCSR_DEFAULT: u32 = 0x1f80;

impl Default for CpuState {
    fn default() -> Self {
        Self {
            slots: [0; SLOT_COUNT],
            vectors: [0; VECTOR_COUNT],
            rip: 0,
            flag_kind: crate::flags::FlagKind::default(),
            mode: Mode::Long,
            mxcsr: MXCSR_DEFAULT,
            other_flags: 0,
            fpu: Fpu::default(),
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

    /// Base of the FS segment (thread-local storage on x86-64).
    pub fn fs_base(&self) -> u64 {
        self.slots[crate::ir::slot::FS_BASE as usize]
    }

    /// Sets the base of the FS segment.
    pub fn set_fs_base(&mut self, base: u64) {
        self.slots[crate::ir::slot::FS_BASE as usize] = base;
    }

    /// Base of the GS segment (thread-local storage on i386).
    pub fn gs_base(&self) -> u64 {
        self.slots[crate::ir::slot::GS_BASE as usize]
    }

    /// Sets the base of the GS segment.
    pub fn set_gs_base(&mut self, base: u64) {
        self.slots[crate::ir::slot::GS_BASE as usize] = base;
    }
}

impl CpuState {
    /// RFLAGS as a program would push them.
    pub fn rflags(&self) -> u64 {
        todo!("being built")
    }

    /// Sets the flags a user program may set; the others stay.
    pub fn set_rflags(&mut self, _value: u64) {
        todo!("being built")
    }

    /// Writes the 512-byte FXSAVE image: x87, MXCSR, XMM (Intel SDM vol. 1, 10.5.1).
    pub fn fxsave(&self, _image: &mut [u8; 512]) {
        todo!("being built")
    }

    /// Reads an FXSAVE image back.
    pub fn fxrstor(&mut self, _image: &[u8; 512]) {
        todo!("being built")
    }
}
