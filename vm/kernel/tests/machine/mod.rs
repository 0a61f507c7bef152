//! A machine in memory: a tmpfs with programs of this computer, the interpreter, a host that records.
#![allow(dead_code, missing_docs)] // Each test file uses part of it.

pub mod slow;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use cpu::{Engine, Interpreter};
use jit::Jit;
use jit::native::Wasmtime;
use kernel::fs::tmpfs::Tmpfs;
use kernel::stop::Stop;
use kernel::vfs::FileSystem;
use kernel::{ExitStatus, Host, Kernel, MemoryPool, Output, Pid, Slice, SpawnRequest, Stdio};
use memory::HostMemory;

/// What the machine showed on its console and logged.
#[derive(Default)]
pub struct Recorded {
    pub console: Vec<u8>,
    /// Bytes the console takes altogether, if there is a limit.
    pub console_bytes_max: Option<usize>,
    pub log: Vec<String>,
}

struct TestHost {
    start: Instant,
    recorded: Rc<RefCell<Recorded>>,
    random: u64,
}

impl Host for TestHost {
    fn monotonic_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64 + 1
    }

    fn realtime_ns(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
    }

    fn fill_random(&mut self, to: &mut [u8]) {
        for byte in to {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.random >> 56) as u8;
        }
    }

    fn console_output(&mut self, bytes: &[u8]) {
        self.recorded.borrow_mut().console.extend_from_slice(bytes);
    }

    fn console_room(&self) -> usize {
        let recorded = self.recorded.borrow();
        recorded.console_bytes_max.map_or(usize::MAX, |max| max.saturating_sub(recorded.console.len()))
    }

    fn log(&mut self, line: &str) {
        eprintln!("[guest kernel] {line}");
        self.recorded.borrow_mut().log.push(line.to_owned());
    }
}

/// Memories of which there may be so many more, and those that have come back: code is bound to them.
struct Pool {
    more: u32,
    free: Vec<HostMemory>,
}

impl MemoryPool for Pool {
    fn allocate(&mut self) -> Option<HostMemory> {
        if let Some(memory) = self.free.pop() {
            return Some(memory);
        }
        self.more = self.more.checked_sub(1)?;
        HostMemory::new().ok()
    }

    fn give_back(&mut self, memory: HostMemory) {
        self.free.push(memory);
    }
}

/// Memories that suffice for every test that is not about how many there are.
const MEMORIES: u32 = 4096;

/// The machine.
pub struct Machine {
    pub kernel: Kernel,
    pub engine: Box<dyn Engine>,
    pub recorded: Rc<RefCell<Recorded>>,
    /// Makes the root file system slow, once it is.
    pub arrivals: Rc<slow::Arrivals>,
}

fn interpreter() -> Box<dyn Engine> {
    let start = Instant::now();
    Box::new(Interpreter::new(Box::new(move || start.elapsed().as_nanos() as u64)))
}

/// What a program came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Machine {
    /// A machine with an empty tmpfs and the standard mounts, its programs interpreted.
    pub fn new() -> Self {
        Self::with_engine(interpreter(), MEMORIES)
    }

    /// The same on another root file system.
    pub fn on(root: Box<dyn FileSystem>) -> Self {
        Self::with(interpreter(), root, Rc::default(), MEMORIES)
    }

    /// The same, with so many memories for its processes.
    pub fn on_in(root: Box<dyn FileSystem>, memories: u32) -> Self {
        Self::with(interpreter(), root, Rc::default(), memories)
    }

    /// The same, its programs compiled as soon as a block has run a few times, with so little room for compiled code
    /// that all of it is dropped now and then.
    pub fn compiling() -> Self {
        Self::with_engine(Self::compiler(), MEMORIES)
    }

    /// The same, with so many memories for its processes.
    pub fn compiling_in(memories: u32) -> Self {
        Self::with_engine(Self::compiler(), memories)
    }

    fn compiler() -> Box<dyn Engine> {
        const HOT_RUNS: u32 = 16;
        const REGIONS: usize = 60;
        let start = Instant::now();
        let time_stamp = Rc::new(move || start.elapsed().as_nanos() as u64);
        Box::new(Jit::new(Wasmtime::new().unwrap(), time_stamp).hot_after(HOT_RUNS).keep_regions(REGIONS))
    }

    fn with_engine(engine: Box<dyn Engine>, memories: u32) -> Self {
        let arrivals = Rc::<slow::Arrivals>::default();
        let root = slow::Slow { inner: Tmpfs::new(1 << 30, 0o755), arrivals: arrivals.clone() };
        Self::with(engine, Box::new(root), arrivals, memories)
    }

    fn with(engine: Box<dyn Engine>, root: Box<dyn FileSystem>, arrivals: Rc<slow::Arrivals>, memories: u32) -> Self {
        let recorded = Rc::<RefCell<Recorded>>::default();
        let host = TestHost { start: Instant::now(), recorded: recorded.clone(), random: 1 };
        let mut kernel = Kernel::new(Box::new(host), Box::new(Pool { more: memories, free: Vec::new() }), root, "root");
        kernel.mount_standard().unwrap();
        let mut machine = Self { kernel, engine, recorded, arrivals };
        for directory in ["/bin", "/tmp", "/etc", "/lib64", "/lib", "/lib/x86_64-linux-gnu", "/root"] {
            machine.mkdir(directory);
        }
        machine.put("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n", 0o644);
        machine
    }

    pub fn mkdir(&mut self, path: &str) {
        self.kernel.make_directory(path.as_bytes(), if path == "/tmp" { 0o1777 } else { 0o755 }).unwrap();
    }

    pub fn put(&mut self, path: &str, bytes: &[u8], mode: u16) {
        self.kernel.put_file(path.as_bytes(), bytes, mode).unwrap();
    }

    /// Copies a file of this computer into the machine.
    pub fn copy(&mut self, from: &str, to: &str) {
        let bytes = std::fs::read(from).unwrap_or_else(|error| panic!("{from}: {error}"));
        self.put(to, &bytes, 0o755);
    }

    /// Copies a program of this computer, and the libraries it needs.
    pub fn install(&mut self, from: &str, to: &str) {
        self.make_parents(to);
        self.copy(from, to);
        let needed = std::process::Command::new("ldd").arg(from).output().unwrap();
        // The C library loads this one by itself when a thread is cancelled.
        let needed = String::from_utf8_lossy(&needed.stdout) + " /lib/x86_64-linux-gnu/libgcc_s.so.1";
        let other = if needed.contains("ld-linux.so.2") { " /lib32/libgcc_s.so.1" } else { "" };
        let needed = needed + other;
        for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
            self.make_parents(library);
            self.copy(library, library);
        }
    }

    fn make_parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/').skip(1) {
            // Most are there already.
            let _ = self.kernel.make_directory(&path.as_bytes()[..end], 0o755);
        }
    }

    pub fn spawn(&mut self, argv: &[&str], stdio: Stdio) -> Pid {
        self.try_spawn(argv, stdio).unwrap_or_else(|stop| panic!("{argv:?}: {stop:?}"))
    }

    pub fn try_spawn(&mut self, argv: &[&str], stdio: Stdio) -> kernel::stop::Outcome<Pid> {
        let request = SpawnRequest {
            argv: argv.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
            env: vec![b"PATH=/bin".to_vec(), b"LC_ALL=C".to_vec()],
            cwd: b"/tmp".to_vec(),
            user: String::new(),
            stdio,
        };
        loop {
            match self.kernel.spawn(&request) {
                Err(Stop::Wait(_)) => self.kernel.disk_arrived(),
                outcome => return outcome,
            }
        }
    }

    /// Runs until the first process ends, or nothing can ever happen again.
    pub fn run_until_exit(&mut self, pid: Pid, seconds_max: u64) -> Finished {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + Duration::from_secs(seconds_max);
        loop {
            assert!(Instant::now() < deadline, "{pid} runs too long; so far {:?}", String::from_utf8_lossy(&stdout));
            let waits_before = self.arrivals.waits.get();
            let slice = self.kernel.run_slice(&mut *self.engine, 5_000_000);
            stdout.extend(self.kernel.take_output(pid, Output::Stdout));
            stderr.extend(self.kernel.take_output(pid, Output::Stderr));
            if let Some(status) = self.kernel.exit_status(pid) {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return Finished { status, stdout: text(stdout), stderr: text(stderr) };
            }
            let waits = self.arrivals.waits.get();
            self.kernel.disk_arrived();
            if let Slice::Idle { wake_at_ns } = slice
                && waits == waits_before
            {
                let so_far = String::from_utf8_lossy(&stdout);
                assert!(wake_at_ns.is_some(), "{pid} waits for ever; so far {so_far:?}");
                std::thread::sleep(Duration::from_micros(500));
            }
        }
    }

    /// Runs a program with input.
    pub fn run(&mut self, argv: &[&str], input: &[u8]) -> Finished {
        let pid = self.spawn(argv, Stdio::Pipes);
        assert_eq!(self.kernel.feed_stdin(pid, input), input.len());
        self.kernel.close_stdin(pid);
        self.run_until_exit(pid, 60)
    }
}
