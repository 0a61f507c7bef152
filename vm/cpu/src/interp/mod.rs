//! The interpreter: runs IR as it is, block after block.
//!
//! | module | subject |
//! |---|---|
//! | [`cache`] | lifted blocks, shared by all address spaces, and which of them are valid where |
//! | [`execute`] | the loop over operations |
//! | [`profile`] | what a JIT asks |

mod cache;
mod execute;
mod profile;

use memory::{AddressSpace, SpaceId};

use crate::engine::Engine;
use crate::exit::{Exception, Exit};
use crate::state::CpuState;
use cache::{BlockCache, BlockId};

/// An [`Engine`] without code generation.
pub struct Interpreter {
    cache: BlockCache,
    time_stamp: Box<dyn Fn() -> u64>,
    instructions: u64,
    /// Address of the instruction whose rest runs apart from its block.
    tail_rip: u64,
}

/// What the loop over operations came back for.
enum Next {
    /// rip names the next block; the exit that led there, if it can be linked.
    Block { link: Option<u32> },
    /// The block at rip has run often enough to be worth compiling, or has been compiled.
    Hot,
    /// The kernel layer's turn.
    Exit(Exit),
}

impl Interpreter {
    /// `time_stamp` is what RDTSC reads.
    pub fn new(time_stamp: Box<dyn Fn() -> u64>) -> Self {
        Self { cache: BlockCache::default(), time_stamp, instructions: 0, tail_rip: 0 }
    }

    /// Runs until something needs the kernel layer, the fuel is used up, or (`None`) the block at rip is hot. With
    /// `must_run` the first block runs even if it is hot.
    pub fn run_cold(
        &mut self,
        cpu: &mut CpuState,
        space: &mut AddressSpace,
        fuel: &mut i64,
        mut must_run: bool,
    ) -> Option<Exit> {
        let mut from = None;
        loop {
            let block = match self.block(cpu, space) {
                Ok(block) => block,
                Err(exit) => return Some(exit),
            };
            if let Some(from) = from {
                self.cache.link(from, block);
            }
            if self.cache.is_hot(block) && !must_run {
                return None;
            }
            must_run = false;
            match self.execute(block, cpu, space, fuel) {
                Next::Block { link } => from = link,
                Next::Hot => return None,
                Next::Exit(exit) => return Some(exit),
            }
            if *fuel <= 0 {
                return Some(Exit::Interrupted);
            }
        }
    }

    fn block(&mut self, cpu: &CpuState, space: &mut AddressSpace) -> Result<BlockId, Exit> {
        self.cache.find(cpu.rip, cpu.mode, space)
    }
}

impl Engine for Interpreter {
    fn run(&mut self, cpu: &mut CpuState, space: &mut AddressSpace, budget: u64) -> Exit {
        self.cache.enter(space);
        let budget = budget.min(i64::MAX as u64) as i64;
        let mut fuel = budget;
        let exit = loop {
            // Nobody compiles here: what is hot is interpreted on.
            if let Some(exit) = self.run_cold(cpu, space, &mut fuel, true) {
                break exit;
            }
        };
        self.instructions = self.instructions.wrapping_add(budget.wrapping_sub(fuel) as u64);
        exit
    }

    fn step(&mut self, cpu: &mut CpuState, space: &mut AddressSpace) -> Exit {
        self.cache.enter(space);
        let (block, first_link) = match self.cache.lift_alone(cpu.rip, cpu.mode, space) {
            Ok(alone) => alone,
            Err(exit) => return exit,
        };
        let mut fuel = 1;
        let next = self.execute(block, cpu, space, &mut fuel);
        self.cache.drop_alone(block, first_link);
        self.instructions = self.instructions.wrapping_add(1);
        match next {
            // It has led to a block that there was no fuel for, or is one iteration of a repeated one.
            Next::Exit(Exit::Interrupted) | Next::Block { .. } | Next::Hot => Exit::Exception(Exception::Debug),
            Next::Exit(exit) => exit,
        }
    }

    fn forked(&mut self, parent: SpaceId, child: &mut AddressSpace) {
        self.cache.forked(parent, child);
    }

    /// Blocks know no memory.
    fn moved(&mut self, _space: SpaceId) {}

    fn forget(&mut self, space: SpaceId) {
        self.cache.forget(space);
    }

    fn instructions(&self) -> u64 {
        self.instructions
    }
}
