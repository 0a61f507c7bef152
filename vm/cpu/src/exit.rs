//! `Exit`: why an engine stopped running guest code. The only thing the kernel layer hears from it.

use memory::Fault;

/// Why [`crate::Engine::run`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// A `syscall` instruction ran: rip is past it, rcx and r11 are as the processor leaves them.
    Syscall,
    /// A `sysenter` instruction is at rip; only the kernel knows where it leads.
    Sysenter,
    /// An `int n` instruction ran (0x80 is i386 Linux's system call): rip is past it.
    Interrupt(u8),
    /// A memory access needs the kernel layer: rip is at the instruction, no part of which (or, for a repeated string
    /// instruction, whole iterations only) has taken effect.
    Fault(Fault),
    /// The instruction at rip can't complete.
    Exception(Exception),
    /// The budget is used up, or [`crate::Engine::run`] was asked to return: go on whenever you like.
    Interrupted,
}

/// Processor exceptions other than page faults (Intel SDM vol. 3, 6.15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exception {
    /// #DE: division by zero or a quotient too large.
    Divide,
    /// #DB: single step (`TF`); rip is past the instruction.
    Debug,
    /// #BP: `int3`; rip is past it.
    Breakpoint,
    /// #OF: `into`; rip is past it.
    Overflow,
    /// #BR: `bound`.
    Bound,
    /// #UD: no such instruction, or none we know.
    InvalidOpcode,
    /// #GP: a privileged instruction, a misaligned SSE operand, a non-canonical address, a selector that can't be used.
    /// With the error code: the selector without its privilege level, otherwise 0.
    GeneralProtection(u16),
    /// #MF: a pending unmasked x87 exception.
    X87,
    /// #XM: an unmasked SSE exception.
    Simd,
}

impl Exception {
    /// #GP about a selector.
    pub fn of_selector(selector: u16) -> Self {
        Exception::GeneralProtection(selector & !3)
    }

    /// How far past the start of its instruction rip is: a "trap" of one byte is complete when it is reported.
    pub fn bytes_past(self) -> u64 {
        if matches!(self, Exception::Breakpoint | Exception::Overflow) { 1 } else { 0 }
    }
}
