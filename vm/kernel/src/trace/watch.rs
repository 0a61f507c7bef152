//! Debug registers (Intel SDM vol. 3, 17.2): breakpoints, and watchpoints for what is written.
//!
//! There is no hardware for them here. A task that has some set runs instruction by instruction, and what it watches is
//! compared after each: a write that changes nothing goes unseen, which debuggers don't mind. Watching what is read
//! can't be done, and is refused.

use std::rc::Rc;

use abi::Errno;
use cpu::{Engine, Exception, Exit};
use memory::{AddressSpace, GuestAddr};

use crate::mm::Mm;
use crate::task::Task;

/// How many addresses there are.
const COUNT: usize = 4;
/// The registers that say what has happened, and what is to be watched.
const STATUS: u64 = 6;
const CONTROL: u64 = 7;
/// Bits of DR7 that mean nothing.
const CONTROL_RESERVED: u64 = 0xffff_ffff_0000_fc00;
/// Of DR6: the instruction was a single step.
const STEPPED: u64 = 0x4000;
/// Instructions of one turn: each is lifted anew.
const STEPS_MAX: u64 = 4000;

/// A task's debug registers.
#[derive(Clone, Default, Debug)]
pub struct DebugRegisters {
    addresses: [u64; COUNT],
    status: u64,
    control: u64,
    /// The breakpoint it has stopped at, which lets it go on.
    passed: Option<u64>,
}

/// What is watched at an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Execution,
    Writing,
}

struct Watched {
    bit: u64,
    addr: u64,
    kind: Kind,
    len: usize,
}

impl DebugRegisters {
    /// The value of a register.
    pub fn get(&self, index: u64) -> u64 {
        match index {
            STATUS => self.status,
            CONTROL => self.control,
            index => self.addresses.get(index as usize).copied().unwrap_or(0),
        }
    }

    /// Sets a register.
    ///
    /// # Errors
    /// `EIO` for one there is not, `EINVAL` for what can't be watched.
    pub fn set(&mut self, index: u64, value: u64) -> Result<(), Errno> {
        let mut changed = self.clone();
        match index {
            STATUS => changed.status = value,
            CONTROL => changed.control = value & !CONTROL_RESERVED,
            index => {
                if value >= 1 << 47 {
                    return Err(Errno::EINVAL);
                }
                *changed.addresses.get_mut(index as usize).ok_or(Errno::EIO)? = value;
            }
        }
        changed.watched()?;
        *self = changed;
        Ok(())
    }

    /// Whether anything is watched.
    pub fn is_active(&self) -> bool {
        self.control & 0xff != 0
    }

    /// Notes what a trap was for.
    pub fn note(&mut self, hits: u64, stepped: bool) {
        self.status = hits | if stepped { STEPPED } else { 0 };
    }

    fn watched(&self) -> Result<Vec<Watched>, Errno> {
        let mut all = Vec::new();
        for (index, addr) in self.addresses.iter().enumerate() {
            if self.control >> (2 * index) & 3 == 0 {
                continue;
            }
            let bits = self.control >> (16 + 4 * index) & 15;
            let len = [1, 2, 8, 4][bits as usize >> 2];
            let kind = match bits & 3 {
                0 if len == 1 => Kind::Execution,
                1 => Kind::Writing,
                _ => return Err(Errno::EINVAL),
            };
            if !addr.is_multiple_of(len as u64) {
                return Err(Errno::EINVAL);
            }
            all.push(Watched { bit: 1 << index, addr: *addr, kind, len });
        }
        Ok(all)
    }
}

fn values(watched: &[Watched], space: &AddressSpace) -> Vec<[u8; 8]> {
    let value = |watch: &Watched| {
        let mut bytes = [0; 8];
        // What is not there is nothing, until it comes.
        if watch.kind == Kind::Writing && space.read(GuestAddr(watch.addr), &mut bytes[..watch.len]).is_err() {
            bytes = [0; 8];
        }
        bytes
    };
    watched.iter().map(value).collect()
}

/// Runs a task that watches something, until it has seen that or has had its turn, or for one instruction if it
/// `steps`. Returns what it stopped for, and which addresses that concerns, a bit each.
pub(crate) fn run(task: &Rc<Task>, engine: &mut dyn Engine, mm: &Rc<Mm>, budget: u64, steps: bool) -> (Exit, u64) {
    let debug = task.with_trace(|trace| trace.debug.clone()).unwrap_or_default();
    let watched = debug.watched().unwrap_or_default();
    let (mut cpu, mut space) = (task.cpu.borrow_mut(), mm.space.borrow_mut());
    let mut passed = debug.passed;
    for _ in 0..budget.clamp(1, STEPS_MAX) {
        let rip = cpu.rip;
        let at = |watch: &&Watched| watch.kind == Kind::Execution && watch.addr == rip;
        let stops = watched.iter().find(at).filter(|_| passed.take() != Some(rip));
        if let Some(stop) = stops {
            task.with_trace(|trace| trace.debug.passed = Some(rip));
            return (Exit::Exception(Exception::Debug), stop.bit);
        }
        let before = values(&watched, &space);
        let exit = engine.step(&mut cpu, &mut space);
        let done = exit == Exit::Exception(Exception::Debug);
        if done || matches!(exit, Exit::Syscall | Exit::Sysenter | Exit::Interrupt(_)) {
            task.with_trace(|trace| trace.debug.passed = None);
        }
        let after = values(&watched, &space);
        let changed = watched.iter().zip(before.iter().zip(&after)).filter(|(_, (before, after))| before != after);
        let hits = changed.fold(0, |hits, (watch, _)| hits | watch.bit);
        if hits != 0 || !done || steps {
            return (exit, hits);
        }
    }
    (Exit::Interrupted, 0)
}
