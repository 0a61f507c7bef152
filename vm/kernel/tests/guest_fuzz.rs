//! System calls at random, made by programs (`vm/tests/fuzz`): whatever they pass, the kernel layer must neither panic
//! nor hang, nobody else's memory or file may change, and the disk must be one that e2fsck accepts.
//!
//! `SYSCALL_FUZZ_SECONDS=600 SYSCALL_FUZZ_SEED=7 cargo test -p kernel --test guest_fuzz` goes on for that long, with
//! other seeds.

mod common;
mod machine;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Disk, e2fsck, mke2fs};
use kernel::fs::ext2::{Ext2, Superblock};
use kernel::{ExitStatus, Slice};
use machine::Machine;

/// Rounds of one machine; the next one has a disk and a kernel of its own.
const ROUNDS: u64 = 4;
/// Most that a machine may take for its rounds, on a computer that has other things to do.
const SECONDS_MAX: u64 = 600;
/// Fewer than there are processes, so that they are swapped out.
const MEMORIES: u32 = 4;
/// So that programs meet it.
const MEMORY_BYTES: u64 = 256 << 20;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn compile(bits: u8) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("calls-{bits}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/calls.c");
    let mut compiler = Command::new("gcc");
    compiler.args(["-O1", "-w", "-static", &format!("-m{bits}"), "-o"]).arg(&program).arg(source);
    assert!(compiler.status().expect("gcc runs").success());
    program
}

/// The rounds of one machine, from a seed on.
fn rounds(program: &Path, seed: u64, who: &str) {
    let disk = Disk::new(mke2fs(&[], None, "96M"));
    let superblock = Superblock::read(&mut disk.clone()).unwrap();
    let root = Box::new(Ext2::new(Box::new(disk.clone()), superblock, false));
    let mut machine = Machine::on_in(root, MEMORIES);
    machine.kernel.set_memory_limit(MEMORY_BYTES);
    machine.install(program.to_str().unwrap(), "/bin/calls");
    let pid = machine.spawn(&["calls", &seed.to_string(), &ROUNDS.to_string(), who], kernel::Stdio::Pipes);
    let finished = machine.run_until_exit(pid, SECONDS_MAX);
    assert_eq!((finished.stdout.as_str(), finished.status), ("survived\n", ExitStatus::Code(0)), "seed {seed}, {who}");
    println!("seed {seed}, {who}: {}", finished.stderr.trim());
    machine.kernel.forget(pid);
    assert_eq!(machine.kernel.run_slice(&mut *machine.engine, 1), Slice::AllExited, "seed {seed}, {who}");
    assert_eq!(machine.kernel.used_memory_bytes(), 0);
    common::retry(|| machine.kernel.shut_down()).unwrap();
    drop(machine);
    e2fsck(&disk.image.borrow());
}

fn fuzz(bits: u8, who: &str) {
    let program = compile(bits);
    let seconds = setting("SYSCALL_FUZZ_SECONDS", 0);
    let mut seed = setting("SYSCALL_FUZZ_SEED", 1);
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        rounds(&program, seed, who);
        seed += ROUNDS;
        if Instant::now() >= end {
            return;
        }
    }
}

#[test]
fn calls_of_a_user_in_64_bits() {
    fuzz(64, "user");
}

#[test]
fn calls_of_a_user_in_32_bits() {
    fuzz(32, "user");
}

#[test]
fn calls_of_root_in_64_bits() {
    fuzz(64, "root");
}

#[test]
fn calls_of_root_in_32_bits() {
    fuzz(32, "root");
}
