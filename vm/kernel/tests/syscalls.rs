//! Guest C programs, run on this computer's Linux and in the machine: output and status must be the same.

mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kernel::ExitStatus;
use machine::{Finished, Machine};

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/syscalls")
}

/// Compiles a guest program.
fn compile(name: &str, is_static: bool) -> PathBuf {
    let kind = if is_static { "static" } else { "dynamic" };
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{kind}"));
    let mut compiler = Command::new("gcc");
    compiler.args(["-O1", "-w", "-pthread", "-o"]).arg(&program).arg(sources().join(format!("{name}.c")));
    if is_static {
        compiler.arg("-static");
    }
    compiler.arg("-lm");
    assert!(compiler.status().expect("gcc runs").success(), "{name} does not compile");
    program
}

/// Runs a program on this computer.
fn run_here(program: &Path) -> Finished {
    use std::os::unix::process::ExitStatusExt;
    // With every signal at its default: whoever runs the tests in the background has some ignored, and programs inherit
    // that.
    let output = Command::new("env")
        .arg("--default-signal")
        .arg(program)
        .stdin(Stdio::null())
        .current_dir("/tmp")
        .output()
        .unwrap();
    let status = match output.status.signal() {
        Some(signal) => ExitStatus::Signal { signal: signal as u32, core: output.status.core_dumped() },
        None => ExitStatus::Code(output.status.code().unwrap() as u8),
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished { status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn compare(name: &str) {
    // With a quick disk, and with one where everything has to be waited for: calls are then made again and again.
    for (is_static, slow) in [(true, false), (false, false), (true, true), (false, true)] {
        compare_on(name, Machine::new(), is_static, slow);
    }
    for is_static in [true, false] {
        compare_on(name, Machine::compiling(), is_static, false);
    }
}

fn compare_on(name: &str, mut machine: Machine, is_static: bool, slow: bool) {
    let program = compile(name, is_static);
    let expected = run_here(&program);
    // The same path, so that programs see the same name of their own.
    let path = program.to_str().unwrap();
    machine.install(path, path);
    machine.arrivals.slow.set(slow);
    let actual = machine.run(&[path], b"");
    assert_eq!(machine.arrivals.waits.get() > 0, slow);
    let lines = expected.stdout.lines().zip(actual.stdout.lines()).enumerate();
    for (number, (here, there)) in lines {
        assert_eq!(
            there,
            here,
            "{name} (slow: {slow}), line {}: the machine says the left, Linux the right",
            number + 1
        );
    }
    assert_eq!(actual, expected, "{name}");
}

macro_rules! programs {
    ($($name:ident),*) => { $( #[test] fn $name() { compare(stringify!($name)); } )* };
}

programs!(epoll, faults, files, float, fpe, ids, memory, pipe, proc, process, signals, threads, time, tty, unix);

#[test]
fn every_program_is_run() {
    let mut there: Vec<String> = std::fs::read_dir(sources())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".c")?.to_owned()))
        .collect();
    there.sort();
    let run = [
        "epoll", "faults", "files", "float", "fpe", "ids", "memory", "pipe", "proc", "process", "signals", "threads",
        "time", "tty", "unix",
    ];
    assert_eq!(there, run);
}
