//! Random sequences of instructions, run on this machine's own processor, on the interpreter and as compiled code,
//! results compared: registers, defined flags, vectors, memory, and where and why a sequence ends.
//!
//! A sequence is a program of several functions with branches, loops, calls and computed jumps ([`program`]); in some it
//! faults, in some it overwrites its own code. Each runs at once on the processor, in the interpreter, compiled as a
//! whole before it starts, and with an engine that goes from interpreted to compiled code on the way, the last three
//! also with small budgets, so that they stop and go on everywhere. A difference is shown with what remains of the
//! program when everything that does not matter for it has been replaced by NOPs.
//!
//! Seeds are fixed. `SEQUENCES_SEED` is the first one, `SEQUENCES_COUNT` how many there are of each kind, and
//! `SEQUENCES_SECONDS` runs each kind for that long instead. For hours of it, with other seeds than before:
//!
//! ```sh
//! SEQUENCES_SECONDS=600 SEQUENCES_SEED=$RANDOM$RANDOM cargo test -p jit --test sequences -- --nocapture
//! ```

#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // Shared memory with a traced child.

// The test of single instructions uses the rest of these.
#[allow(dead_code)]
#[path = "../processor/generate.rs"]
mod generate;
#[allow(dead_code)]
#[path = "../processor/host.rs"]
mod host;
#[allow(dead_code)]
#[path = "../processor/state.rs"]
mod state;

mod bytes;
mod engines;
mod program;
mod shrink;

use std::time::{Duration, Instant};

use engines::{Engines, processor};
use host::Host;
use program::{Forms, Wishes, program};

/// Programs after which engines start afresh: the native runtime keeps all code.
const PROGRAMS_PER_ENGINE: u64 = 100;

/// Differences after which a test stops.
const FAILURES_MAX: usize = 5;

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Calls `run` with seeds until there are enough.
fn seeds(count: u64, mut run: impl FnMut(u64) -> bool) -> u64 {
    let first: u64 = setting("SEQUENCES_SEED").unwrap_or(1);
    let until = setting("SEQUENCES_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let count = setting("SEQUENCES_COUNT").unwrap_or(count);
    let mut done = 0;
    while until.map_or(done < count, |until| Instant::now() < until) {
        let seed = first.wrapping_add(done);
        done += 1;
        if !run(seed) {
            break;
        }
    }
    done
}

fn compare(wishes: Wishes, count: u64) {
    let forms = Forms::new();
    let mut host = Host::start();
    let mut engines = Engines::new();
    let mut failures = Vec::new();
    let (mut instructions, mut faults, mut ran) = (0, 0, 0u64);
    let done = seeds(count, |seed| {
        if ran % PROGRAMS_PER_ENGINE == PROGRAMS_PER_ENGINE - 1 {
            engines.renew();
        }
        ran += 1;
        let program = program(seed, &forms, wishes);
        match engines.difference(&program, |program| processor(&mut host, program)) {
            Ok(run) => {
                instructions += run.instructions;
                faults += u64::from(run.faulted);
            }
            Err(found) => {
                let small = shrink::shrink(program, &found, |program| {
                    // The same from scratch, so that nothing is left of what ran before.
                    Engines::new().difference(program, |program| processor(&mut host, program)).err()
                });
                failures.push(format!("SEQUENCES_SEED={seed}: {found}\n{small}"));
            }
        }
        failures.len() < FAILURES_MAX
    });
    println!("{wishes:?}: {done} programs, {instructions} instructions, {faults} ended in a fault");
    assert!(failures.is_empty(), "{} programs differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn sequences_do_what_the_processor_does() {
    compare(Wishes::default(), 50);
}

#[test]
fn faults_within_sequences_are_those_of_the_processor() {
    compare(Wishes { faults: true, ..Wishes::default() }, 50);
}

#[test]
fn code_that_changes_does_what_the_processor_does() {
    compare(Wishes { modifies_code: true, ..Wishes::default() }, 50);
}

#[test]
fn the_floating_point_stack_does_what_the_processors_does() {
    compare(Wishes { stack: true, ..Wishes::default() }, 50);
}
