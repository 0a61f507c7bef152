//! Filters on system calls (`seccomp(2)`): programs of the classic BPF machine that look at a call before it is made.
//!
//! Source: `seccomp(2)`, `linux/filter.h`; which programs are accepted is what Linux accepts.

use std::rc::Rc;

use abi::Errno;

use crate::bpf::{self, Instruction, op};

/// Most instructions of all filters of a task, each counted with some more.
const CHAIN_MAX: usize = 32_768;
const CHAIN_EXTRA: usize = 4;
/// Bytes of `struct seccomp_data`: what a filter looks at.
const DATA_BYTES: usize = 64;

/// What becomes of a call: the upper half of a filter's result, the lower is data.
#[allow(missing_docs)]
pub mod action {
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    pub const KILL_THREAD: u32 = 0;
    pub const TRAP: u32 = 0x0003_0000;
    pub const ERRNO: u32 = 0x0005_0000;
    pub const USER_NOTIF: u32 = 0x7fc0_0000;
    pub const TRACE: u32 = 0x7ff0_0000;
    pub const LOG: u32 = 0x7ffc_0000;
    pub const ALLOW: u32 = 0x7fff_0000;
    /// All of them.
    pub const ALL: [u32; 8] = [KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, USER_NOTIF, TRACE, LOG, ALLOW];
    /// The bits of an action.
    pub const MASK: u32 = 0xffff_0000;
}

/// What restricts a task's calls.
#[derive(Clone, Default)]
pub enum Seccomp {
    /// Nothing.
    #[default]
    Off,
    /// Reading, writing, and ending are all it may do.
    Strict,
    /// Filters, the latest first.
    Filtered(Rc<Filters>),
}

impl Seccomp {
    /// The mode as programs know it.
    pub fn mode(&self) -> u64 {
        match self {
            Seccomp::Off => 0,
            Seccomp::Strict => 1,
            Seccomp::Filtered(_) => 2,
        }
    }

    /// How many filters there are.
    pub fn filter_count(&self) -> usize {
        let Seccomp::Filtered(filters) = self else { return 0 };
        filters.iter().count()
    }
}

/// Filters, the latest first.
pub struct Filters {
    program: Vec<Instruction>,
    earlier: Option<Rc<Filters>>,
}

impl Filters {
    /// Adds a filter to those there are.
    ///
    /// # Errors
    /// `EINVAL` for a program that is none, `ENOMEM` if there are too many.
    pub fn add(program: Vec<Instruction>, earlier: Option<Rc<Filters>>) -> Result<Rc<Self>, Errno> {
        check(&program)?;
        let filters = Self { program, earlier };
        let total: usize = filters.iter().map(|filter| filter.program.len() + CHAIN_EXTRA).sum();
        if total > CHAIN_MAX { Err(Errno::ENOMEM) } else { Ok(Rc::new(filters)) }
    }

    fn iter(&self) -> impl Iterator<Item = &Filters> {
        std::iter::successors(Some(self), |filter| filter.earlier.as_deref())
    }

    /// What becomes of a call: of all filters' results the most restrictive.
    pub fn judge(&self, data: &[u8]) -> u32 {
        let results = self.iter().map(|filter| bpf::run(&filter.program, &CallData(data)));
        // As signed numbers, what is more restrictive is less.
        results.min_by_key(|result| (result & action::MASK) as i32).unwrap_or(action::ALLOW)
    }
}

/// Whether a program may be a filter on calls: words of the call's data are all it may load (`seccomp_check_filter`).
fn check(program: &[Instruction]) -> Result<(), Errno> {
    bpf::check(program, |_| false)?;
    let is_allowed = |i: &Instruction| match i.code {
        op::LD_ABS => i.k.is_multiple_of(4) && (i.k as usize) < DATA_BYTES,
        op::LD_ABS_HALF | op::LD_ABS_BYTE | op::LD_IND | op::LD_IND_HALF | op::LD_IND_BYTE | op::LDX_HEADER => false,
        code => code & !op::FROM_X != op::MOD,
    };
    if program.iter().all(is_allowed) { Ok(()) } else { Err(Errno::EINVAL) }
}

/// What a filter looks at: a `struct seccomp_data`, in words of this processor.
struct CallData<'a>(&'a [u8]);

impl bpf::Data for CallData<'_> {
    fn length(&self) -> u32 {
        DATA_BYTES as u32
    }

    fn load(&self, at: u32, _bytes: usize) -> Option<u32> {
        self.0.get(at as usize..)?.first_chunk::<4>().map(|word| u32::from_le_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u16, jump_true: u8, jump_false: u8, k: u32) -> Instruction {
        Instruction { code, jump_true, jump_false, k }
    }

    #[test]
    fn only_words_of_a_call_can_be_looked_at() {
        let ret = instruction(op::RET_K, 0, 0, action::ALLOW);
        for (code, k) in [(op::LD_ABS, 2), (op::LD_ABS, 64), (op::LD_ABS_BYTE, 0), (op::LD_IND, 0), (op::MOD, 3)] {
            assert_eq!(check(&[instruction(code, 0, 0, k), ret]), Err(Errno::EINVAL), "{code:x}");
        }
        assert_eq!(check(&[instruction(op::LD_ABS, 0, 0, 60), ret]), Ok(()));
    }

    #[test]
    fn the_most_restrictive_result_counts() {
        let always = |k| vec![instruction(op::RET_K, 0, 0, k)];
        let first = Filters::add(always(action::ERRNO | 5), None).unwrap();
        let both = Filters::add(always(action::ALLOW), Some(first)).unwrap();
        assert_eq!(both.judge(&[0; DATA_BYTES]), action::ERRNO | 5);
        let all = Filters::add(always(action::KILL_PROCESS), Some(both)).unwrap();
        assert_eq!(all.judge(&[0; DATA_BYTES]), action::KILL_PROCESS);
    }
}
