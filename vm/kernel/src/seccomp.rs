//! Filters on system calls (`seccomp(2)`): programs of the classic BPF machine that look at a call before it is made.
//!
//! Source: `seccomp(2)`, `linux/filter.h`; which programs are accepted is what Linux accepts.

use std::rc::Rc;

use abi::Errno;

/// Most instructions of one filter.
pub const INSTRUCTIONS_MAX: usize = 4096;
/// Most instructions of all filters of a task, each counted with some more.
const CHAIN_MAX: usize = 32_768;
const CHAIN_EXTRA: usize = 4;
/// Bytes of `struct seccomp_data`: what a filter looks at.
const DATA_BYTES: usize = 64;
/// Words of a filter's own memory.
const MEMORY_WORDS: usize = 16;

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

/// One instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// Instructions skipped if a condition holds.
    pub jump_true: u8,
    /// Instructions skipped otherwise.
    pub jump_false: u8,
    /// Its operand.
    pub k: u32,
}

/// Operations: class, size or operation, mode or source.
mod op {
    pub const LD_IMM: u16 = 0x00;
    pub const LDX_IMM: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const JA: u16 = 0x05;
    pub const RET_K: u16 = 0x06;
    pub const TAX: u16 = 0x07;
    pub const RET_A: u16 = 0x16;
    pub const LD_ABS: u16 = 0x20;
    pub const LD_MEM: u16 = 0x60;
    pub const LDX_MEM: u16 = 0x61;
    pub const LD_LEN: u16 = 0x80;
    pub const LDX_LEN: u16 = 0x81;
    pub const NEG: u16 = 0x84;
    pub const TXA: u16 = 0x87;
    /// The second operand is X instead of the constant.
    pub const FROM_X: u16 = 0x08;
    pub const ADD: u16 = 0x04;
    pub const SUB: u16 = 0x14;
    pub const MUL: u16 = 0x24;
    pub const DIV: u16 = 0x34;
    pub const OR: u16 = 0x44;
    pub const AND: u16 = 0x54;
    pub const LSH: u16 = 0x64;
    pub const RSH: u16 = 0x74;
    pub const XOR: u16 = 0xa4;
    pub const JEQ: u16 = 0x15;
    pub const JGT: u16 = 0x25;
    pub const JGE: u16 = 0x35;
    pub const JSET: u16 = 0x45;
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
        let results = self.iter().map(|filter| run(&filter.program, data));
        // As signed numbers, what is more restrictive is less.
        results.min_by_key(|result| (result & action::MASK) as i32).unwrap_or(action::ALLOW)
    }
}

/// Whether a program always ends, and looks at nothing that is not there.
fn check(program: &[Instruction]) -> Result<(), Errno> {
    let ends = program.last().is_some_and(|last| matches!(last.code, op::RET_K | op::RET_A));
    if !ends || program.len() > INSTRUCTIONS_MAX {
        return Err(Errno::EINVAL);
    }
    // Which words of memory have surely been stored to, wherever execution comes from.
    let mut stored_at = vec![u32::MAX; program.len()];
    let mut stored = 0;
    for (at, i) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        stored &= stored_at[at];
        let known = match i.code {
            op::LD_ABS => i.k.is_multiple_of(4) && (i.k as usize) < DATA_BYTES,
            op::LD_IMM
            | op::LDX_IMM
            | op::LD_LEN
            | op::LDX_LEN
            | op::TAX
            | op::TXA
            | op::NEG
            | op::RET_K
            | op::RET_A => true,
            op::LD_MEM | op::LDX_MEM => (i.k as usize) < MEMORY_WORDS && stored >> i.k & 1 != 0,
            op::ST | op::STX => (i.k as usize) < MEMORY_WORDS,
            op::JA => (i.k as usize) < left,
            code => match code & !op::FROM_X {
                op::DIV => code & op::FROM_X != 0 || i.k != 0,
                op::LSH | op::RSH => code & op::FROM_X != 0 || i.k < 32,
                op::ADD | op::SUB | op::MUL | op::OR | op::AND | op::XOR => true,
                op::JEQ | op::JGT | op::JGE | op::JSET => usize::from(i.jump_true.max(i.jump_false)) < left,
                _ => false,
            },
        };
        if !known {
            return Err(Errno::EINVAL);
        }
        let mut leads_to = |distance: usize| stored_at[at + 1 + distance] &= stored;
        match i.code {
            op::ST | op::STX => stored |= 1 << i.k,
            op::JA => {
                leads_to(i.k as usize);
                stored = u32::MAX;
            }
            code if code & 7 == op::JA => {
                leads_to(i.jump_true.into());
                leads_to(i.jump_false.into());
                stored = u32::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Runs a checked program.
fn run(program: &[Instruction], data: &[u8]) -> u32 {
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; MEMORY_WORDS]);
    let mut at = 0;
    while let Some(i) = program.get(at) {
        at += 1;
        let operand = if i.code & op::FROM_X != 0 { x } else { i.k };
        let mut branch = |holds: bool| at += usize::from(if holds { i.jump_true } else { i.jump_false });
        match i.code {
            op::RET_K => return i.k,
            op::RET_A => return a,
            op::LD_ABS => {
                let word = data.get(i.k as usize..).and_then(|rest| rest.first_chunk::<4>());
                a = word.map_or(0, |word| u32::from_le_bytes(*word));
            }
            op::LD_IMM => a = i.k,
            op::LDX_IMM => x = i.k,
            op::LD_LEN => a = DATA_BYTES as u32,
            op::LDX_LEN => x = DATA_BYTES as u32,
            op::LD_MEM => a = memory[i.k as usize % MEMORY_WORDS],
            op::LDX_MEM => x = memory[i.k as usize % MEMORY_WORDS],
            op::ST => memory[i.k as usize % MEMORY_WORDS] = a,
            op::STX => memory[i.k as usize % MEMORY_WORDS] = x,
            op::TAX => x = a,
            op::TXA => a = x,
            op::NEG => a = a.wrapping_neg(),
            op::JA => at += i.k as usize,
            code => match code & !op::FROM_X {
                op::ADD => a = a.wrapping_add(operand),
                op::SUB => a = a.wrapping_sub(operand),
                op::MUL => a = a.wrapping_mul(operand),
                op::DIV => match a.checked_div(operand) {
                    Some(quotient) => a = quotient,
                    None => return action::KILL_THREAD,
                },
                op::OR => a |= operand,
                op::AND => a &= operand,
                op::XOR => a ^= operand,
                op::LSH => a = a.wrapping_shl(operand),
                op::RSH => a = a.wrapping_shr(operand),
                op::JEQ => branch(a == operand),
                op::JGT => branch(a > operand),
                op::JGE => branch(a >= operand),
                op::JSET => branch(a & operand != 0),
                _ => return action::KILL_THREAD,
            },
        }
    }
    action::KILL_THREAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u16, jump_true: u8, jump_false: u8, k: u32) -> Instruction {
        Instruction { code, jump_true, jump_false, k }
    }

    #[test]
    fn programs_that_might_go_wrong_are_refused() {
        let ret = instruction(op::RET_K, 0, 0, action::ALLOW);
        for (bad, why) in [
            (vec![], "empty"),
            (vec![instruction(op::LD_ABS, 0, 0, 0)], "no end"),
            (vec![instruction(op::LD_ABS, 0, 0, 2), ret], "misaligned"),
            (vec![instruction(op::LD_ABS, 0, 0, 64), ret], "past the data"),
            (vec![instruction(op::LD_MEM, 0, 0, 0), ret], "not stored"),
            (vec![instruction(op::JEQ, 1, 0, 0), ret], "past the end"),
            (vec![instruction(op::DIV, 0, 0, 0), ret], "by zero"),
        ] {
            assert_eq!(check(&bad), Err(Errno::EINVAL), "{why}");
        }
        assert_eq!(check(&[instruction(op::ST, 0, 0, 3), instruction(op::LD_MEM, 0, 0, 3), ret]), Ok(()));
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
