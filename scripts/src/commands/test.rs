//! `edgebox test`: everything that can fail, in one run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::Result;

use crate::command::Cmd;
use crate::commands::image::{self, ImageArgs};
use crate::paths::Paths;
use crate::server::{self, Server};
use crate::tools;
use crate::wasm;

/// Install what tests need and run all of them.
#[derive(clap::Args, Debug)]
pub struct TestArgs {
    /// Run only these stages.
    #[arg(value_enum)]
    pub stages: Vec<Stage>,
}

/// A part of the tests.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// rustfmt finds nothing to do.
    Format,
    /// Clippy; its warnings are errors if CI=true.
    Lint,
    /// The crates' own tests.
    Rust,
    /// The Worker and the page, served by wrangler: over HTTP and in Chromium.
    Web,
}

const STAGES: [Stage; 4] = [Stage::Format, Stage::Lint, Stage::Rust, Stage::Web];

/// Where tests for Node.js's test runner lie; their names end in this.
const NODE_TEST_DIRECTORIES: [&str; 2] = ["scripts/tests", "site/tests"];
const NODE_TEST_SUFFIX: &str = ".test.mjs";

/// Tests counted over all runners.
#[derive(Clone, Copy, Default)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Returns whether all tests passed; the last line printed is the count, whatever happened.
pub fn run(paths: &Paths, args: &TestArgs) -> bool {
    // Asked now: once `cargo test` has built this program anew, the file we run from is no more.
    let tool = std::env::current_exe().unwrap_or_else(|_| "edgebox".into());
    let mut tally = Tally::default();
    for stage in STAGES.into_iter().filter(|stage| args.stages.is_empty() || args.stages.contains(stage)) {
        let start = Instant::now();
        println!("\n=== {stage:?}");
        let outcome = match stage {
            Stage::Format => checked(&cargo(paths, "fmt").args(["--all", "--check"])),
            Stage::Lint => lint(paths),
            Stage::Rust => rust(paths),
            Stage::Web => web(paths, &tool),
        };
        tally.add(outcome.unwrap_or_else(|error| {
            eprintln!("{error:#}");
            Tally { passed: 0, failed: 1 }
        }));
        println!("=== {stage:?} took {} s", start.elapsed().as_secs());
    }
    let Tally { passed, failed } = tally;
    println!("\n{passed} passed, {failed} failed");
    failed == 0
}

fn cargo(paths: &Paths, subcommand: &str) -> Cmd {
    Cmd::new("cargo").arg(subcommand).dir(paths.root())
}

/// Crates that have code for wasm32 only, which a native check does not see.
const WASM_CRATES: [&str; 4] = ["--package", "edge", "--package", "vm"];

fn lint(paths: &Paths) -> Result<Tally> {
    wasm::ensure_target()?;
    let clippy = cargo(paths, "clippy").args(["--locked"]);
    let native = clippy.clone().args(["--workspace", "--all-targets"]);
    let wasm = clippy.args(WASM_CRATES).args(["--target", wasm::TARGET]);
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let strictness: &[&str] = if is_ci { &["--", "--deny", "warnings"] } else { &[] };
    let mut tally = checked(&native.args(strictness.iter().copied()))?;
    tally.add(checked(&wasm.args(strictness.iter().copied()))?);
    Ok(tally)
}

/// A check that passes or fails as a whole.
fn checked(command: &Cmd) -> Result<Tally> {
    let is_success = command.to_command().status()?.success();
    Ok(Tally { passed: u64::from(is_success), failed: u64::from(!is_success) })
}

/// What the crates' tests run, and Debian's packages with it: a judge of file systems, a second C library, the other
/// userland, and what writes images and compresses them.
const RUST_TEST_PROGRAMS: [(&str, &str); 5] = [
    ("e2fsck", "e2fsprogs"),
    ("musl-gcc", "musl-tools"),
    ("busybox", "busybox-static"),
    ("buildah", "buildah"),
    ("zstd", "zstd"),
];

fn rust(paths: &Paths) -> Result<Tally> {
    for (program, package) in RUST_TEST_PROGRAMS {
        tools::ensure_debian_package(program, package)?;
    }
    // Guest programs are compiled for i386 too.
    tools::ensure_i386_compiler()?;
    // A failure in one crate must not hide those in others.
    counted(&cargo(paths, "test").args(["--locked", "--workspace", "--no-fail-fast"]))
}

/// Other people's programs that tests in browsers need, and Debian's packages with them: a server to be compared with,
/// clients, a judge of file systems, and what says of guests' programs what it must say in the guest.
const WEB_TEST_PROGRAMS: [(&str, &str); 8] = [
    ("nginx", "nginx"),
    ("curl", "curl"),
    ("nbdkit", "nbdkit"),
    ("nbdcopy", "libnbd-bin"),
    ("qemu-img", "qemu-utils"),
    ("e2fsck", "e2fsprogs"),
    ("gcc", "gcc"),
    ("valgrind", "valgrind"),
];

fn web(paths: &Paths, tool: &Path) -> Result<Tally> {
    for (program, package) in WEB_TEST_PROGRAMS {
        tools::ensure_debian_package(program, package)?;
    }
    let (chromium, firefox) = (tools::ensure_chromium()?, tools::ensure_firefox()?);
    // Before the rest: it goes into wrangler's storage with it.
    for name in ["i386", "software", "cpython", "runtimes", "trixie"] {
        image::run(paths, &ImageArgs::of_project(paths, name))?;
    }
    let node = server::build(paths)?;
    let server = Server::start(&node, server::free_port()?, true)?;
    let mut tests = Vec::new();
    for directory in NODE_TEST_DIRECTORIES {
        collect_node_tests(&paths.root().join(directory), &mut tests)?;
    }
    let mut command = node.command().args(["--test", "--test-reporter=spec", "--test-concurrency=1"]);
    for test in &tests {
        command = command.path(test);
    }
    let command = command.env("EDGEBOX_TOOL", tool);
    let command = command.env("EDGEBOX_URL", server.url()).env("EDGEBOX_DISK", paths.disk());
    let command = command.env("EDGEBOX_RAW_IMAGE", paths.raw_image("default"));
    counted(&command.env("EDGEBOX_CHROMIUM", chromium).env("EDGEBOX_FIREFOX", firefox))
}

fn collect_node_tests(directory: &Path, tests: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
    let first_new = tests.len();
    for entry in entries {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(NODE_TEST_SUFFIX) {
            tests.push(path);
        }
    }
    tests[first_new..].sort();
    Ok(())
}

/// Runs a test runner, showing what it prints and adding up its summaries.
fn counted(command: &Cmd) -> Result<Tally> {
    let mut child = command.to_command().stdout(Stdio::piped()).spawn()?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            tally.add(summary(&line));
        }
    }
    let is_success = child.wait()?.success();
    if !is_success && tally.failed == 0 {
        tally.failed = 1; // It did not get as far as a summary.
    }
    Ok(tally)
}

/// The counts in a summary line: `test result: ok. 3 passed; 0 failed; …` of cargo, `ℹ pass 3` of Node.js.
fn summary(line: &str) -> Tally {
    let words: Vec<&str> = line.split_whitespace().collect();
    let count_before = |what: &str| {
        let position = words.iter().position(|word| word.trim_end_matches(';') == what)?;
        words.get(position.checked_sub(1)?)?.parse().ok()
    };
    match words.as_slice() {
        ["test", "result:", ..] => Tally {
            passed: count_before("passed").unwrap_or_default(),
            failed: count_before("failed").unwrap_or_default(),
        },
        ["ℹ", "pass", count] => Tally { passed: count.parse().unwrap_or_default(), failed: 0 },
        ["ℹ", "fail" | "cancelled", count] => Tally { passed: 0, failed: count.parse().unwrap_or_default() },
        _ => Tally::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let counts = |line| (summary(line).passed, summary(line).failed);
        assert_eq!(counts("test result: FAILED. 9 passed; 2 failed; 0 ignored; finished in 1.2s"), (9, 2));
        assert_eq!(counts("ℹ pass 12"), (12, 0));
        assert_eq!(counts("ℹ fail 3"), (0, 3));
        assert_eq!(counts("ℹ duration_ms 3"), (0, 0));
        assert_eq!(counts("test result_of ... ok"), (0, 0));
    }
}
