//! The classic BPF machine (`linux/filter.h`; McCanne and Jacobson, 1993): small programs that look at data and return a
//! number. Filters on system calls ([`crate::seccomp`]) and on what sockets receive ([`crate::net::filter`]) are such
//! programs; what data they look at, and which instructions each may have, is theirs to say.

use abi::Errno;

/// Most instructions of one program (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;
/// Words of a program's own memory.
const MEMORY_WORDS: usize = 16;
/// Loads from here on ask for something other than data (`SKF_AD_OFF`).
const ELSEWHERE: u32 = -0x1000_i32 as u32;

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
#[allow(missing_docs)]
pub mod op {
    pub const LD_IMM: u16 = 0x00;
    pub const LDX_IMM: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const JA: u16 = 0x05;
    pub const RET_K: u16 = 0x06;
    pub const TAX: u16 = 0x07;
    pub const RET_A: u16 = 0x16;
    pub const LD_ABS: u16 = 0x20;
    pub const LD_ABS_HALF: u16 = 0x28;
    pub const LD_ABS_BYTE: u16 = 0x30;
    pub const LD_IND: u16 = 0x40;
    pub const LD_IND_HALF: u16 = 0x48;
    pub const LD_IND_BYTE: u16 = 0x50;
    pub const LD_MEM: u16 = 0x60;
    pub const LDX_MEM: u16 = 0x61;
    pub const LD_LEN: u16 = 0x80;
    pub const LDX_LEN: u16 = 0x81;
    pub const NEG: u16 = 0x84;
    pub const TXA: u16 = 0x87;
    /// Four times the low half of a byte: the length of an IPv4 header.
    pub const LDX_HEADER: u16 = 0xb1;
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
    pub const MOD: u16 = 0x94;
    pub const XOR: u16 = 0xa4;
    pub const JEQ: u16 = 0x15;
    pub const JGT: u16 = 0x25;
    pub const JGE: u16 = 0x35;
    pub const JSET: u16 = 0x45;
}

/// What a program looks at.
pub trait Data {
    /// Its length.
    fn length(&self) -> u32;

    /// `bytes` (1, 2 or 4) of it from `at` on. `None` ends the program with 0.
    fn load(&self, at: u32, bytes: usize) -> Option<u32>;

    /// What is asked for with offsets beyond all data, which is not in it; A and X are given. `None` if there is no such
    /// thing.
    fn load_elsewhere(&self, at: u32, a: u32, x: u32) -> Option<u32> {
        let _ = (at, a, x);
        None
    }
}

/// Whether a program always ends, and does only what there is (`bpf_check_classic`). `is_elsewhere` says whether an offset
/// from [`Data::load_elsewhere`] exists.
///
/// # Errors
/// `EINVAL` if it does not.
pub fn check(program: &[Instruction], is_elsewhere: impl Fn(u32) -> bool) -> Result<(), Errno> {
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
        if !is_known(i, left, stored, &is_elsewhere) {
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

/// Whether there is such an instruction, `left` others following it.
fn is_known(i: &Instruction, left: usize, stored: u32, is_elsewhere: &impl Fn(u32) -> bool) -> bool {
    match i.code {
        op::LD_ABS | op::LD_ABS_HALF | op::LD_ABS_BYTE => i.k < ELSEWHERE || is_elsewhere(i.k),
        op::LD_IMM
        | op::LDX_IMM
        | op::LD_LEN
        | op::LDX_LEN
        | op::LD_IND
        | op::LD_IND_HALF
        | op::LD_IND_BYTE
        | op::LDX_HEADER
        | op::TAX
        | op::TXA
        | op::NEG
        | op::RET_K
        | op::RET_A => true,
        op::LD_MEM | op::LDX_MEM => (i.k as usize) < MEMORY_WORDS && stored >> i.k & 1 != 0,
        op::ST | op::STX => (i.k as usize) < MEMORY_WORDS,
        op::JA => (i.k as usize) < left,
        code => match code & !op::FROM_X {
            op::DIV | op::MOD => code & op::FROM_X != 0 || i.k != 0,
            op::LSH | op::RSH => code & op::FROM_X != 0 || i.k < 32,
            op::ADD | op::SUB | op::MUL | op::OR | op::AND | op::XOR => true,
            op::JEQ | op::JGT | op::JGE | op::JSET => usize::from(i.jump_true.max(i.jump_false)) < left,
            _ => false,
        },
    }
}

/// Runs a checked program.
pub fn run(program: &[Instruction], data: &impl Data) -> u32 {
    try_run(program, data).unwrap_or(0)
}

/// `None` where a load or a division fails, which ends a program with 0.
fn try_run(program: &[Instruction], data: &impl Data) -> Option<u32> {
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; MEMORY_WORDS]);
    let mut at = 0;
    while let Some(i) = program.get(at) {
        at += 1;
        let operand = if i.code & op::FROM_X != 0 { x } else { i.k };
        let mut branch = |holds: bool| at += usize::from(if holds { i.jump_true } else { i.jump_false });
        match i.code {
            op::RET_K => return Some(i.k),
            op::RET_A => return Some(a),
            op::LD_ABS | op::LD_ABS_HALF | op::LD_ABS_BYTE if i.k >= ELSEWHERE => {
                a = data.load_elsewhere(i.k, a, x)?;
            }
            op::LD_ABS => a = data.load(i.k, 4)?,
            op::LD_ABS_HALF => a = data.load(i.k, 2)?,
            op::LD_ABS_BYTE => a = data.load(i.k, 1)?,
            op::LD_IND => a = data.load(x.wrapping_add(i.k), 4)?,
            op::LD_IND_HALF => a = data.load(x.wrapping_add(i.k), 2)?,
            op::LD_IND_BYTE => a = data.load(x.wrapping_add(i.k), 1)?,
            op::LDX_HEADER => x = (data.load(i.k, 1)? & 0xf) * 4,
            op::LD_IMM => a = i.k,
            op::LDX_IMM => x = i.k,
            op::LD_LEN => a = data.length(),
            op::LDX_LEN => x = data.length(),
            op::LD_MEM => a = memory[i.k as usize % MEMORY_WORDS],
            op::LDX_MEM => x = memory[i.k as usize % MEMORY_WORDS],
            op::ST => memory[i.k as usize % MEMORY_WORDS] = a,
            op::STX => memory[i.k as usize % MEMORY_WORDS] = x,
            op::TAX => x = a,
            op::TXA => a = x,
            op::NEG => a = a.wrapping_neg(),
            op::JA => at += i.k as usize,
            code => match code & !op::FROM_X {
                op::JEQ => branch(a == operand),
                op::JGT => branch(a > operand),
                op::JGE => branch(a >= operand),
                op::JSET => branch(a & operand != 0),
                operation => a = calculate(operation, a, operand)?,
            },
        }
    }
    None
}

fn calculate(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        op::ADD => a.wrapping_add(operand),
        op::SUB => a.wrapping_sub(operand),
        op::MUL => a.wrapping_mul(operand),
        op::DIV => a.checked_div(operand)?,
        op::MOD => a.checked_rem(operand)?,
        op::OR => a | operand,
        op::AND => a & operand,
        op::XOR => a ^ operand,
        op::LSH => a.wrapping_shl(operand),
        op::RSH => a.wrapping_shr(operand),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(&'static [u8]);

    impl Data for Bytes {
        fn length(&self) -> u32 {
            self.0.len() as u32
        }

        fn load(&self, at: u32, bytes: usize) -> Option<u32> {
            let loaded = self.0.get(at as usize..)?.get(..bytes)?;
            Some(loaded.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
        }
    }

    fn instruction(code: u16, jump_true: u8, jump_false: u8, k: u32) -> Instruction {
        Instruction { code, jump_true, jump_false, k }
    }

    #[test]
    fn programs_that_might_go_wrong_are_refused() {
        let ret = instruction(op::RET_K, 0, 0, 1);
        for (bad, why) in [
            (vec![], "empty"),
            (vec![instruction(op::LD_ABS, 0, 0, 0)], "no end"),
            (vec![instruction(op::LD_ABS, 0, 0, ELSEWHERE), ret], "no data"),
            (vec![instruction(op::LD_MEM, 0, 0, 0), ret], "not stored"),
            (vec![instruction(op::JEQ, 1, 0, 0), ret], "past the end"),
            (vec![instruction(op::DIV, 0, 0, 0), ret], "by zero"),
        ] {
            assert_eq!(check(&bad, |_| false), Err(Errno::EINVAL), "{why}");
        }
        let good = [instruction(op::ST, 0, 0, 3), instruction(op::LD_MEM, 0, 0, 3), ret];
        assert_eq!(check(&good, |_| false), Ok(()));
    }

    #[test]
    fn programs_look_at_data() {
        let data = Bytes(&[0x45, 1, 2, 3, 4]);
        let result = |code, k| run(&[instruction(code, 0, 0, k), instruction(op::RET_A, 0, 0, 0)], &data);
        assert_eq!(result(op::LD_ABS, 1), 0x0102_0304);
        assert_eq!(result(op::LD_ABS_HALF, 0), 0x4501);
        assert_eq!(result(op::LD_ABS, 2), 0);
        let header = [op::LDX_HEADER, op::TXA, op::RET_A].map(|code| instruction(code, 0, 0, 0));
        assert_eq!(run(&header, &data), 20);
    }
}
