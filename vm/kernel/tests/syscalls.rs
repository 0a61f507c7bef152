//! Guest C programs, run on this computer's Linux and in the machine: output and status must be the same.

mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use kernel::ExitStatus;
use machine::{Finished, Machine};

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/syscalls")
}

/// How a guest program is linked.
#[derive(Clone, Copy, PartialEq)]
enum Link {
    Static,
    StaticPie,
    Dynamic,
}

/// How a guest program is compiled.
#[derive(Clone, Copy, PartialEq)]
struct Form {
    bits: u8,
    link: Link,
}

const FORMS: [Form; 4] = [
    Form { bits: 64, link: Link::Static },
    Form { bits: 64, link: Link::Dynamic },
    Form { bits: 32, link: Link::Static },
    Form { bits: 32, link: Link::Dynamic },
];
/// How often Linux is asked until it answers as the machine has.
const ANSWERS_MAX: usize = 3;
/// Within which it answers, however busy this computer is.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// Lines that differ, of those shown.
const DIFFERENCES_MAX: usize = 50;
const ONLY_64: &[Form] = FORMS.split_at(2).0;
/// For programs that take long: their libraries make no difference.
const ONLY_STATIC: &[Form] = &[FORMS[0], FORMS[2]];
const ONLY_32: &[Form] = FORMS.split_at(2).1;

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let link = match self.link {
            Link::Static => "static",
            Link::StaticPie => "static-pie",
            Link::Dynamic => "dynamic",
        };
        write!(f, "{}-{link}", self.bits)
    }
}

/// Compiles a guest program.
fn compile(name: &str, form: Form) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{form}"));
    let mut compiler = Command::new("gcc");
    compiler.args(["-O1", "-w", "-pthread", "-o"]).arg(&program).arg(sources().join(format!("{name}.c")));
    // A plain i386 has no intrinsics for SSE; it computes with the x87 stack either way.
    compiler.arg(format!("-m{}", form.bits)).arg("-msse2");
    match form.link {
        Link::Static => compiler.arg("-static"),
        Link::StaticPie => compiler.arg("-static-pie"),
        Link::Dynamic => &mut compiler,
    };
    compiler.arg("-lm");
    assert!(compiler.status().expect("gcc runs").success(), "{name} does not compile as {form}");
    program
}

/// Runs a program on this computer.
fn run_here(arguments: &[&str]) -> Finished {
    use std::os::unix::process::ExitStatusExt;
    let (answered, deadline) = mpsc::channel::<()>();
    let program = arguments[0].to_owned();
    std::thread::spawn(move || {
        if deadline.recv_timeout(ANSWER_MAX) == Err(RecvTimeoutError::Timeout) {
            // Nobody but the program can end the wait for it, or for what it has started.
            eprintln!("{program} hangs on this computer's Linux");
            std::process::exit(1);
        }
    });
    // With every signal at its default: whoever runs the tests in the background has some ignored, and programs inherit
    // that.
    let output = Command::new("env")
        .arg("--default-signal")
        .args(arguments)
        .stdin(Stdio::null())
        .current_dir("/tmp")
        .output()
        .unwrap();
    drop(answered);
    let status = match output.status.signal() {
        Some(signal) => ExitStatus::Signal { signal: signal as u32, core: output.status.core_dumped() },
        None => ExitStatus::Code(output.status.code().unwrap() as u8),
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished { status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn compare(name: &str, forms: &[Form]) {
    for form in forms {
        let program = compile(name, *form);
        let arguments = [program.to_str().unwrap()];
        let name = format!("{name}-{form}");
        compare_on(&name, Machine::new(), &arguments, false);
        // In other forms it would be the same again, and take as long.
        if *form == forms[0] {
            // With a disk where everything has to be waited for, calls are made again and again.
            compare_on(&name, Machine::new(), &arguments, true);
            compare_on(&name, Machine::compiling(), &arguments, false);
        }
    }
}

/// Runs a program with arguments that may be further programs. Linux does some things in its own time, such as what is typed,
/// and on a busy computer that shows: ours must be one of its answers.
fn compare_on(name: &str, mut machine: Machine, arguments: &[&str], slow: bool) {
    // The same paths, so that programs see the same names.
    for argument in arguments.iter().filter(|argument| argument.starts_with('/')) {
        machine.install(argument, argument);
    }
    machine.arrivals.slow.set(slow);
    let actual = machine.run(arguments, b"");
    assert_eq!(machine.arrivals.waits.get() > 0, slow);
    let mut expected = run_here(arguments);
    for _ in 1..ANSWERS_MAX {
        if expected != actual {
            expected = run_here(arguments);
        }
    }
    let lines = expected.stdout.lines().zip(actual.stdout.lines()).enumerate();
    let differing = lines.filter(|(_, (here, there))| here != there);
    let differing: String = differing
        .take(DIFFERENCES_MAX)
        .map(|(number, (here, there))| format!("\nline {}: {here}\n  not    {there}", number + 1))
        .collect();
    assert!(differing.is_empty(), "{name} (slow: {slow}): Linux says{differing}");
    assert_eq!(actual, expected, "{name}");
}

macro_rules! programs {
    ($($forms:expr => $($name:ident),*;)*) => {
        $($( #[test] fn $name() { compare(stringify!($name), $forms); } )*)*

        const PROGRAMS: &[&str] = &[$($( stringify!($name) ),*),*];
    };
}

programs! {
    &FORMS => aio, altstack, bad_pointers, buffers, capabilities, clocks, credentials, devices, epoll, faults, files, float,
        fpe, futex_pi, ids, inotify, locks, memory, mounts, mqueue, mqueue_files, mxcsr, netlink, nowait, openat2,
        pidfd, pipe, prctl, proc, process, ptrace, ptrace_more, scheduling, sealing, seccomp, selectors, sigio, signals,
        sock_diag, socket_options, splice, sysv_msg, sysv_sem, sysv_shm, tcp, tcp_defer, tcp_errors, threads, time, tty,
        tty_ioctls, udp, udp_errors, unix, urgent, x87_pointers, xsave;
    ONLY_STATIC => filters, ip_messages, limits, many, multicast, option_numbers, passing, peeking, raw, segmentation, several,
        tcp_states, timestamps, tty_control, tty_numbers, tty_reads, tty_session, waiting;
    ONLY_32 => i386_calls, i386_signals;
    ONLY_64 => far, high_program, int80, large, reserve;
}

/// Programs of either kind execute the other.
#[test]
fn cross() {
    let programs = FORMS.map(|form| compile("cross", form));
    let [static_64, dynamic_64, static_32, dynamic_32] = programs.each_ref().map(|path| path.to_str().unwrap());
    let pies = [32, 64].map(|bits| compile("cross", Form { bits, link: Link::StaticPie }));
    let [pie_32, pie_64] = pies.each_ref().map(|path| path.to_str().unwrap());
    let chain = [static_64, static_32, dynamic_64, pie_32, dynamic_32, static_32, pie_64, dynamic_64];
    for slow in [false, true] {
        compare_on("cross", Machine::new(), &chain, slow);
    }
    compare_on("cross", Machine::compiling(), &chain, false);
}

/// Programs with many processes, which share memory, look into each other and fork, where there are memories for three of
/// them at a time.
#[test]
fn more_processes_than_memories() {
    for name in
        ["process", "threads", "sysv_shm", "signals", "ptrace", "files", "scheduling", "futex_pi", "waiting", "many"]
    {
        for form in ONLY_STATIC {
            let program = compile(name, *form);
            compare_on(
                &format!("{name}-{form} in few memories"),
                Machine::compiling_in(3),
                &[program.to_str().unwrap()],
                false,
            );
        }
    }
}

/// Here only a disk that has to be waited for lacks what Linux has been told to forget.
#[test]
fn absent() {
    for form in ONLY_STATIC {
        let program = compile("absent", *form);
        compare_on(&format!("absent-{form}"), Machine::new(), &[program.to_str().unwrap()], true);
    }
}

/// What is said of programs that crash is compared only when asked for, by `LOG_CRASHES=1`: this computer's log takes ten of
/// them in five seconds, from all its programs, and says it in its version's words.
#[test]
fn kmsg() {
    let with_crashes = std::env::var_os("LOG_CRASHES").is_some();
    for form in ONLY_STATIC {
        let program = compile("kmsg", *form);
        let program = program.to_str().unwrap();
        let arguments = [&[program][..], if with_crashes { &["crashes"] } else { &[] }].concat();
        compare_on(&format!("kmsg-{form}"), Machine::new(), &arguments, false);
    }
}

/// Settings, typing and output at random: what either side of a pseudo-terminal reads.
///
/// `TTY_SEED=7 TTY_ROUNDS=10000 cargo test -p kernel --test syscalls tty_random` goes on for that long.
#[test]
fn tty_random() {
    /// Rounds of one machine.
    const ROUNDS: u64 = 200;
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let program = compile("tty_random", FORMS[0]);
    let (first, rounds) = (setting("TTY_SEED").unwrap_or(1), setting("TTY_ROUNDS").unwrap_or(ROUNDS));
    for seed in (first..first + rounds).step_by(ROUNDS as usize) {
        let arguments = [program.to_str().unwrap(), &seed.to_string(), &ROUNDS.to_string()];
        compare_on(&format!("tty_random from {seed}"), Machine::new(), &arguments, false);
    }
}

#[test]
fn every_program_is_run() {
    let mut there: Vec<String> = std::fs::read_dir(sources())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".c")?.to_owned()))
        .collect();
    there.sort();
    let mut run = [PROGRAMS, &["absent", "cross", "kmsg", "tty_random"]].concat();
    run.sort_unstable();
    assert_eq!(there, run);
}
