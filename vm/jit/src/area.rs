//! The area: what generated code and the engine share. It lies in a memory that generated code imports beside the
//! guest's: the engine's own in the browser, one of 256 KiB natively.

use std::mem::offset_of;

use cpu::CpuState;
use cpu::flags::FlagKind;
use cpu::ir::{Slot, VSlot};

/// Entries of the jump cache, a power of two: some ten thousand addresses are jumped to in a large program's hot code. An
/// address may be in one of two neighbours.
pub const JUMPS: usize = 1 << 14;

/// Where compiled code for an address begins, if it has been jumped to lately.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct Jump {
    /// The guest address.
    pub rip: u64,
    /// Address space it is valid in; 0 in an empty entry.
    pub space: u32,
    /// Region it belongs to.
    pub region: u32,
    /// Index of the region's function in the function table.
    pub function: u32,
    /// Which of the region's entries.
    pub label: u32,
    /// Up to 32 bytes.
    pub unused: [u32; 2],
}

/// See the module.
#[repr(C)]
pub struct Area {
    /// Registers of the running task.
    pub cpu: CpuState,
    /// Guest instructions left to run.
    pub fuel: i32,
    /// The running address space.
    pub space: u32,
    /// Jump cache.
    pub jumps: [Jump; JUMPS],
}

/// Size of a jump cache entry as a shift.
pub const JUMP_SHIFT: u32 = 5;
const _: () = assert!(size_of::<Jump>() == 1 << JUMP_SHIFT);

impl Default for Area {
    fn default() -> Self {
        Self { cpu: CpuState::default(), fuel: 0, space: 0, jumps: [Jump::default(); JUMPS] }
    }
}

/// Index in the jump cache where an address is looked for first, as generated code does; then at the index whose last bit
/// differs.
pub fn jump_index(rip: u64) -> usize {
    ((rip as u32).wrapping_mul(JUMP_HASH) >> JUMP_HASH_SHIFT) as usize
}

impl Area {
    /// The jump cache's entry for an address.
    pub fn jump(&self, rip: u64, space: u32) -> Option<&Jump> {
        self.find_jump(rip, space).map(|index| &self.jumps[index])
    }

    /// Index of the jump cache's entry for an address.
    pub fn find_jump(&self, rip: u64, space: u32) -> Option<usize> {
        let first = jump_index(rip);
        let is_it = |index: &usize| self.jumps[*index].rip == rip && self.jumps[*index].space == space;
        [first, first ^ 1].into_iter().find(is_it)
    }

    /// Forgets an entry of a region.
    pub fn forget_jump(&mut self, rip: u64, region: u32) {
        let first = jump_index(rip);
        for index in [first, first ^ 1] {
            if self.jumps[index].rip == rip && self.jumps[index].region == region {
                self.jumps[index] = Jump::default();
            }
        }
    }

    /// Adds an entry; the one in its place moves next door, the one there is forgotten. Returns its index.
    pub fn add_jump(&mut self, jump: Jump) -> usize {
        let first = jump_index(jump.rip);
        self.jumps[first ^ 1] = std::mem::replace(&mut self.jumps[first], jump);
        first
    }
}

/// Multiplier of the hash: 2^32 divided by the golden ratio (Knuth, TAOCP vol. 3, 6.4).
pub const JUMP_HASH: u32 = 0x9e37_79b1;

/// What leaves an index of the product.
pub const JUMP_HASH_SHIFT: u32 = 32 - JUMPS.trailing_zeros();

/// Offsets of the area's parts from its start, in bytes.
pub mod offset {
    use super::*;

    const CPU: usize = offset_of!(Area, cpu);

    /// Of a slot.
    pub fn slot(slot: Slot) -> u64 {
        (CPU + offset_of!(CpuState, slots) + 8 * usize::from(slot.0)) as u64
    }

    /// Of a vector slot.
    pub fn vector(slot: VSlot) -> u64 {
        (CPU + offset_of!(CpuState, vectors) + 16 * usize::from(slot.0)) as u64
    }

    /// Of MXCSR.
    pub const MXCSR: u64 = (CPU + offset_of!(CpuState, mxcsr)) as u64;
    /// Of the x87 unit.
    pub const FPU: u64 = (CPU + offset_of!(CpuState, fpu)) as u64;

    /// Of the kind of the lazy flags, 16 bits as [`FlagKind::code`] has them.
    pub const FLAG_KIND: u64 = (CPU + offset_of!(CpuState, flag_kind)) as u64;
    const _: () = assert!(size_of::<FlagKind>() == 2 && offset_of!(FlagKind, op) == 0);

    /// Of the next instruction's address.
    pub const RIP: u64 = (CPU + offset_of!(CpuState, rip)) as u64;
    /// Of the fuel.
    pub const FUEL: u64 = offset_of!(Area, fuel) as u64;
    /// Of the running space.
    pub const SPACE: u64 = offset_of!(Area, space) as u64;
    /// Of the jump cache.
    pub const JUMPS: u64 = offset_of!(Area, jumps) as u64;
}
