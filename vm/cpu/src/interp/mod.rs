//! The interpreter: runs IR as it is, block after block.
//!
//! | module | subject |
//! |---|---|
//! | [`cache`] | lifted blocks, shared by all address spaces, and which of them are valid where |
//! | [`execute`] | the loop over operations |

mod cache;
mod execute;

use memory::{AddressSpace, SpaceId};

use crate::engine::Engine;
use crate::exit::Exit;
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
    /// The kernel layer's turn.
    Exit(Exit),
}

impl Interpreter {
    /// `time_stamp` is what RDTSC reads.
    pub fn new(time_stamp: Box<dyn Fn() -> u64>) -> Self {
        Self { cache: BlockCache::default(), time_stamp, instructions: 0, tail_rip: 0 }
    }

    fn block(&mut self, cpu: &CpuState, space: &mut AddressSpace) -> Result<BlockId, Exit> {
        self.cache.find(cpu.rip, cpu.mode, space)
    }
}

impl Engine for Interpreter {
    fn run(&mut self, cpu: &mut CpuState, space: &mut AddressSpace, budget: u64) -> Exit {
        self.cache.enter(space);
        let mut fuel = budget.min(i64::MAX as u64) as i64;
        let mut link = None;
        let exit = loop {
            let block = match self.block(cpu, space) {
                Ok(block) => block,
                Err(exit) => break exit,
            };
            if let Some(link) = link {
                self.cache.link(link, block);
            }
            match self.execute(block, cpu, space, &mut fuel) {
                Next::Block { link: from } => link = from,
                Next::Exit(exit) => break exit,
            }
            if fuel <= 0 {
                break Exit::Interrupted;
            }
        };
        self.instructions =
            self.instructions.wrapping_add((budget.min(i64::MAX as u64) as i64).wrapping_sub(fuel) as u64);
        exit
    }

    fn forked(&mut self, parent: SpaceId, child: &mut AddressSpace) {
        self.cache.forked(parent, child);
    }

    fn forget(&mut self, space: SpaceId) {
        self.cache.forget(space);
    }

    fn instructions(&self) -> u64 {
        self.instructions
    }
}
