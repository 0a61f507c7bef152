//! Random bytes as code, run by the interpreter and by compiled code: whatever they mean, both do the same, and neither
//! panics. No processor runs these: they would do anything.

use cpu::Mode;
use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use super::engines::{End, How, eager, interpreter, whole};
use super::generate::{MIDDLE, Rng, random_state};
use super::host::{CODE, DATA_BYTES};
use super::program::Program;
use super::seeds;

/// Instructions after which nobody looks any more. Most bytes end in a fault long before.
const LIMIT: u64 = 200;

/// Pieces of code after which engines start afresh: the native runtime keeps all code.
const BYTES_PER_ENGINE: u64 = 2000;

/// Bytes that begin something more often than chance would have it: prefixes, escapes, branches.
const LIKELY: [u8; 24] = [
    0x66, 0xf2, 0xf3, 0x0f, 0x48, 0x4c, 0x41, 0x67, 0xf0, 0x64, 0xe8, 0xeb, 0xe9, 0x74, 0x75, 0xc3, 0xff, 0xd9, 0xdd,
    0x8b, 0x89, 0x83, 0xa4, 0x90,
];

/// Some code of random bytes; every other byte is likely to begin something.
pub fn random_bytes(rng: &mut Rng, count: usize) -> Vec<u8> {
    let likely = rng.below(3);
    (0..count).map(|_| if rng.below(4) < likely { LIKELY[rng.below(24) as usize] } else { rng.next() as u8 }).collect()
}

/// Whether the two engines may differ in an instruction's results.
fn is_exempt(mnemonic: Mnemonic) -> bool {
    // How many instructions have run when it is read.
    matches!(mnemonic, Mnemonic::Rdtsc | Mnemonic::Rdtscp)
}

fn program(seed: u64, mode: Mode) -> Program {
    let mut rng = Rng::new(seed ^ 0x5eed);
    for _ in 0..4 {
        rng.next();
    }
    let count = 1 + rng.below(60) as usize;
    let bytes = random_bytes(&mut rng, count);
    let mut state = random_state(&mut rng);
    for register in 0..16 {
        // Something to get hold of.
        if rng.below(2) == 0 {
            state.gpr[register] = MIDDLE + 8 * rng.below(16);
        }
        if mode == Mode::Compat {
            state.gpr[register] = if register < 8 { state.gpr[register] & 0xffff_ffff } else { 0 };
        }
    }
    state.mxcsr = 0x1f80;
    let data = (0..DATA_BYTES).map(|_| rng.next() as u8).collect();
    let start = CODE + 0x1000 - rng.below(64);
    Program { rip: start, start, bytes, state, data, items: Vec::new() }
}

fn compare(mode: Mode, count: u64) {
    let (mut interpreter, mut whole, mut eager) = (interpreter(), whole(), eager());
    let mut failures = Vec::new();
    let mut ends = std::collections::BTreeMap::<String, u64>::new();
    let how = How { mode, budget: LIMIT, limit: LIMIT, pages_come_and_go: false };
    let mut ran = 0;
    let done = seeds(count, |seed| {
        ran += 1;
        if ran % BYTES_PER_ENGINE == 0 {
            (whole, eager) = (super::engines::whole(), super::engines::eager());
        }
        let program = program(seed, mode);
        let bits = if mode == Mode::Long { 64 } else { 32 };
        let decoder = Decoder::with_ip(bits, &program.bytes, program.start, DecoderOptions::NONE);
        if decoder.into_iter().any(|inst| is_exempt(inst.mnemonic())) {
            return true;
        }
        let ours = interpreter.run(&program, how);
        let end = format!("{:?}", ours.end);
        *ends.entry(end.split(' ').next().unwrap_or_default().to_string()).or_default() += 1;
        let compiled = whole.prepared(&program, how, |engine, cpu, space| engine.compile_now(cpu, space));
        let half = eager.run(&program, How { budget: 5, ..how });
        // Where they stop for want of fuel differs.
        if ours.end == End::Endless {
            return true;
        }
        for (name, other) in [("compiled", compiled), ("half compiled", half)] {
            if let Some(difference) = ours.difference(&other) {
                let bytes = &program.bytes;
                failures.push(format!("SEQUENCES_SEED={seed}: {name}: {difference}\n{mode:?} {bytes:02x?}"));
            }
        }
        failures.len() < 5
    });
    println!("{mode:?}: {done} pieces of code; {ends:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn random_bytes_do_the_same_interpreted_and_compiled() {
    compare(Mode::Long, 400);
    compare(Mode::Compat, 400);
}
