//! `Engine`: the seam between guest code and kernel. Interpreter and JIT both stand behind it.

use memory::{AddressSpace, SpaceId};

use crate::exit::Exit;
use crate::state::CpuState;

/// Something that runs guest instructions.
pub trait Engine {
    /// Runs the task whose registers are `cpu` in `space` until something needs the kernel layer or about
    /// `budget` instructions have run. `cpu` is exact whenever this returns.
    fn run(&mut self, cpu: &mut CpuState, space: &mut AddressSpace, budget: u64) -> Exit;

    /// Runs one instruction, as with the trap flag set: if nothing else comes of it, that is [`Exception::Debug`].
    ///
    /// [`Exception::Debug`]: crate::Exception::Debug
    fn step(&mut self, cpu: &mut CpuState, space: &mut AddressSpace) -> Exit;

    /// `child` has just become a copy of `parent` (fork), each page present or still inherited: translations valid
    /// there are valid here, until one of their pages changes.
    fn forked(&mut self, parent: SpaceId, child: &mut AddressSpace);

    /// `space` has another memory behind it than before.
    fn moved(&mut self, space: SpaceId);

    /// `space` is gone for good.
    fn forget(&mut self, space: SpaceId);

    /// Guest instructions run so far, for measuring.
    fn instructions(&self) -> u64;

    /// Further counters, by name.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
