//! The initial stack: arguments, environment, auxiliary vector (System V ABI for x86-64, 3.4.1; for i386, 2.3.1).

use std::rc::Rc;

use abi::process::*;
use abi::{Errno, Layout};
use cpu::features;
use memory::PAGE_SIZE;

use crate::mm::{Mm, STACK_TOP};
use crate::stop::Outcome;

/// Longest argument or environment string (`MAX_ARG_STRLEN`).
pub const STRING_BYTES_MAX: usize = 128 * 1024;
/// Most bytes of strings, whatever the stack limit (`_STK_LIM / 4 * 3`).
pub const STRINGS_BYTES_MAX: u64 = 6 << 20;

/// What a new program is told.
pub struct Arguments {
    /// `argv`.
    pub args: Vec<Vec<u8>>,
    /// `environ`.
    pub env: Vec<Vec<u8>>,
}

impl Arguments {
    /// Refuses what Linux would not pass on.
    pub fn check(&self, stack_limit_bytes: u64) -> Result<(), Errno> {
        let strings = || self.args.iter().chain(&self.env);
        let bytes: u64 = strings().map(|string| string.len() as u64 + 1 + 8).sum();
        let limit = (stack_limit_bytes / 4).clamp(32 * PAGE_SIZE, STRINGS_BYTES_MAX);
        if bytes > limit || strings().any(|string| string.len() >= STRING_BYTES_MAX) {
            return Err(Errno::E2BIG);
        }
        Ok(())
    }
}

/// What the auxiliary vector says besides constants.
pub struct Auxiliary<'a> {
    /// How long pointers are.
    pub words: Layout,
    /// `AT_PHDR`, `AT_PHNUM`.
    pub program_headers: (u64, u64),
    /// `AT_BASE`: where the interpreter is.
    pub interpreter_base: u64,
    /// `AT_ENTRY`.
    pub entry: u64,
    /// Real and effective user and group.
    pub ids: [u32; 4],
    /// `AT_SECURE`.
    pub secure: bool,
    /// `AT_RANDOM`.
    pub random: [u8; 16],
    /// `AT_EXECFN`.
    pub path: &'a [u8],
}

/// CPUID leaf 1, EDX.
const HARDWARE_CAPABILITIES: u64 = features::word(features::Word::Leaf1Edx) as u64;

/// Puts it all below [`STACK_TOP`], where a stack must be mapped; returns the stack pointer.
pub fn build(mm: &Rc<Mm>, arguments: &Arguments, auxiliary: &Auxiliary<'_>) -> Outcome<u64> {
    // From the top: the path, the environment strings, the argument strings, platform, random bytes, vectors.
    let mut at = STACK_TOP - 8;
    let path = push(mm, &mut at, auxiliary.path)?;
    let env_end = at;
    let env = push_all(mm, &mut at, &arguments.env)?;
    mm.environment.set((at, env_end));
    let args_end = at;
    let args = push_all(mm, &mut at, &arguments.args)?;
    mm.arguments.set((at, args_end));
    let platform: &[u8] = if auxiliary.words.is_32() { b"i686" } else { b"x86_64" };
    let platform = push(mm, &mut at, platform)?;
    at = (at & !15) - 16;
    mm.write_user(at, &auxiliary.random)?;
    let random = at;

    let vector = encode_auxiliary(auxiliary, mm.vdso.get(), platform, random, path);
    let count = auxiliary.words.writer().word(args.len() as u64);
    let pointers = args.iter().fold(count, |writer, addr| writer.word(*addr)).word(0);
    let block = env.iter().fold(pointers, |writer, addr| writer.word(*addr)).word(0).raw(&vector).finish();
    let stack = (at - block.len() as u64) & !15;
    mm.write_user(stack, &block)?;
    *mm.auxiliary.borrow_mut() = vector;
    Ok(stack)
}

fn push(mm: &Rc<Mm>, at: &mut u64, string: &[u8]) -> Outcome<u64> {
    *at -= string.len() as u64 + 1;
    mm.write_user(*at, &[string, b"\0"].concat())?;
    Ok(*at)
}

/// Pushes strings so that they lie in memory in their order.
fn push_all(mm: &Rc<Mm>, at: &mut u64, strings: &[Vec<u8>]) -> Outcome<Vec<u64>> {
    let mut addrs = Vec::with_capacity(strings.len());
    for string in strings.iter().rev() {
        addrs.push(push(mm, at, string)?);
    }
    addrs.reverse();
    Ok(addrs)
}

fn encode_auxiliary(auxiliary: &Auxiliary<'_>, vdso: u64, platform: u64, random: u64, path: u64) -> Vec<u8> {
    let [uid, euid, gid, egid] = auxiliary.ids.map(u64::from);
    let entries = [
        (AT_HWCAP, HARDWARE_CAPABILITIES),
        (AT_PAGESZ, PAGE_SIZE),
        (AT_CLKTCK, abi::time::USER_HZ),
        (AT_PHDR, auxiliary.program_headers.0),
        (AT_PHENT, super::elf::program_header_bytes(auxiliary.words) as u64),
        (AT_PHNUM, auxiliary.program_headers.1),
        (AT_BASE, auxiliary.interpreter_base),
        (AT_FLAGS, 0),
        (AT_ENTRY, auxiliary.entry),
        (AT_UID, uid),
        (AT_EUID, euid),
        (AT_GID, gid),
        (AT_EGID, egid),
        (AT_SECURE, u64::from(auxiliary.secure)),
        (AT_RANDOM, random),
        (AT_HWCAP2, features::HARDWARE_CAPABILITIES_2),
        (AT_EXECFN, path),
        (AT_PLATFORM, platform),
        (AT_NULL, 0),
    ];
    let system = match vdso {
        0 => &[][..],
        vdso => &[(AT_SYSINFO, vdso + super::vdso::image().vsyscall), (AT_SYSINFO_EHDR, vdso)],
    };
    let all = system.iter().chain(&entries);
    all.fold(auxiliary.words.writer(), |writer, (key, value)| writer.word(*key).word(*value)).finish()
}
