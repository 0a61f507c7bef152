//! Runs a program in every way there is, and tells the first difference.

use std::rc::Rc;

use cpu::{CpuState, Engine, Exception, Exit, Interpreter, Mode};
use jit::Jit;
use jit::native::Wasmtime;
use memory::{Access, AddressSpace, Fault, GuestAddr, HostMemory, PAGE_SIZE, PageState};
use nix::sys::signal::Signal;

use super::host::{CODE, CODE_BYTES, DATA, DATA_BYTES, Host, READ_ONLY, READ_ONLY_BYTES};
use super::program::Program;
use super::state::State;

/// Instructions after which a program counts as endless: far more than any runs.
const BUDGET_MAX: u64 = 1 << 22;

/// Why a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Breakpoint,
    /// Of an access.
    Fault {
        addr: u64,
    },
    GeneralProtection,
    /// A division, or an exception of the x87 unit or SSE.
    Arithmetic,
    InvalidOpcode,
    /// `syscall`, `int n`, and whatever else only random bytes do.
    Other,
    Endless,
}

/// How to run a program.
#[derive(Clone, Copy)]
pub struct How {
    pub mode: Mode,
    /// Instructions at a time.
    pub budget: u64,
    /// Instructions in all, about.
    pub limit: u64,
    /// The data's pages are not there at first, come when they are needed, and go while the program pauses, as they do
    /// where memory is brought in on demand and copied on write.
    pub pages_come_and_go: bool,
}

impl How {
    fn at_once() -> Self {
        Self { mode: Mode::Long, budget: BUDGET_MAX, limit: BUDGET_MAX, pages_come_and_go: false }
    }

    fn paused(budget: u64) -> Self {
        Self { budget, ..Self::at_once() }
    }

    fn demanding(budget: u64) -> Self {
        Self { pages_come_and_go: true, ..Self::paused(budget) }
    }
}

/// What a program left behind.
pub struct Outcome {
    pub end: End,
    pub state: State,
    pub rip: u64,
    pub code: Vec<u8>,
    pub data: Vec<u8>,
    /// Whether MXCSR's exceptions were noted.
    pub notes: bool,
}

/// What there is to tell about a program that ran everywhere alike.
pub struct Run {
    pub instructions: u64,
    pub faulted: bool,
}

/// Runs a program on the processor.
pub fn processor(host: &mut Host, program: &Program) -> Outcome {
    // Everything but the program is `int3`.
    host.memory(CODE, CODE_BYTES).fill(0xcc);
    host.memory(program.start, program.bytes.len()).copy_from_slice(&program.bytes);
    host.memory(DATA, DATA_BYTES).copy_from_slice(&program.data);
    let (state, rip, signal, addr) = host.go(&program.state, program.rip);
    let end = match signal {
        Signal::SIGTRAP => End::Breakpoint,
        // An address that is not canonical comes without it; so does a misaligned one.
        Signal::SIGSEGV | Signal::SIGBUS if addr == 0 => End::GeneralProtection,
        Signal::SIGSEGV | Signal::SIGBUS => End::Fault { addr },
        Signal::SIGFPE => End::Arithmetic,
        Signal::SIGILL => End::InvalidOpcode,
        _ => End::Other,
    };
    let (code, data) = (host.memory(CODE, CODE_BYTES).to_vec(), host.memory(DATA, DATA_BYTES).to_vec());
    Outcome { end, state, rip, code, data, notes: true }
}

/// An engine with its memory.
pub struct Guest<E> {
    pub engine: E,
    pub space: AddressSpace,
}

impl<E: Engine> Guest<E> {
    pub fn new(engine: E) -> Self {
        let mut space = AddressSpace::new(HostMemory::new().expect("4 GiB of addresses"));
        let mut open = |from: u64, bytes: usize, state: PageState| {
            for page in 0..bytes as u64 / PAGE_SIZE {
                space.set_state(GuestAddr(from + page * PAGE_SIZE).page().unwrap(), state | PageState::PRESENT);
            }
        };
        let data = PageState::READ | PageState::WRITE;
        open(CODE, CODE_BYTES, data | PageState::EXEC);
        open(DATA, DATA_BYTES, data);
        open(READ_ONLY, READ_ONLY_BYTES, PageState::READ);
        let mut guest = Self { engine, space };
        guest.space.write(GuestAddr(CODE), &[0xcc; CODE_BYTES]).unwrap();
        guest
    }

    /// Puts a program where it runs, without touching what is there already: that would end its translations.
    fn load(&mut self, program: &Program) {
        let mut code = vec![0xcc; CODE_BYTES];
        let at = (program.start - CODE) as usize;
        code[at..at + program.bytes.len()].copy_from_slice(&program.bytes);
        let mut there = vec![0; CODE_BYTES];
        self.space.read(GuestAddr(CODE), &mut there).unwrap();
        if there != code {
            self.space.write(GuestAddr(CODE), &code).unwrap();
        }
        self.space.write(GuestAddr(DATA), &program.data).unwrap();
    }

    /// Runs a loaded program `budget` instructions at a time.
    pub fn run(&mut self, program: &Program, how: How) -> Outcome {
        self.prepared(program, how, |_, _, _| {})
    }

    /// Opens a page of the data for an access that has failed; `false` if that was right.
    fn open(&mut self, fault: Fault) -> bool {
        let is_data = (DATA..DATA + DATA_BYTES as u64).contains(&fault.addr.0);
        let Some(page) = fault.addr.page().filter(|_| is_data) else { return false };
        let state = match fault.access {
            Access::Write => PageState::READ | PageState::WRITE,
            _ => PageState::READ,
        };
        self.space.set_state(page, state | PageState::PRESENT);
        true
    }

    /// Closes the data's pages, or lets them be read only.
    fn close(&mut self, state: PageState) {
        for page in 0..DATA_BYTES as u64 / PAGE_SIZE {
            self.space.set_state(GuestAddr(DATA + page * PAGE_SIZE).page().unwrap(), state | PageState::PRESENT);
        }
    }

    /// The same, with something to do before.
    pub fn prepared(
        &mut self,
        program: &Program,
        how: How,
        prepare: impl FnOnce(&mut E, &CpuState, &mut AddressSpace),
    ) -> Outcome {
        let How { mode, budget, limit, pages_come_and_go } = how;
        self.close(PageState::READ | PageState::WRITE);
        self.load(program);
        let mut cpu = CpuState::default();
        cpu.mode = mode;
        program.state.to_cpu(&mut cpu);
        cpu.rip = program.rip;
        prepare(&mut self.engine, &cpu, &mut self.space);
        let first = self.engine.instructions();
        if pages_come_and_go {
            self.close(PageState::ABSENT);
        }
        let mut pauses = 0;
        let end = loop {
            match self.engine.run(&mut cpu, &mut self.space, budget) {
                Exit::Interrupted if self.engine.instructions() - first > limit => break End::Endless,
                Exit::Interrupted => {
                    pauses += 1;
                    if pages_come_and_go && pauses % 3 == 0 {
                        self.close(if pauses % 2 == 0 { PageState::READ } else { PageState::ABSENT });
                    }
                }
                Exit::Fault(fault) if pages_come_and_go && self.open(fault) => {}
                Exit::Exception(Exception::Breakpoint) => break End::Breakpoint,
                Exit::Exception(Exception::GeneralProtection(_)) => break End::GeneralProtection,
                Exit::Exception(Exception::Divide | Exception::X87 | Exception::Simd) => break End::Arithmetic,
                Exit::Exception(Exception::InvalidOpcode) => break End::InvalidOpcode,
                Exit::Fault(fault) => break End::Fault { addr: fault.addr.0 },
                _ => break End::Other,
            }
        };
        self.close(PageState::READ | PageState::WRITE);
        let (mut code, mut data) = (vec![0; CODE_BYTES], vec![0; DATA_BYTES]);
        self.space.read(GuestAddr(CODE), &mut code).unwrap();
        self.space.read(GuestAddr(DATA), &mut data).unwrap();
        Outcome { end, state: State::from_cpu(&cpu), rip: cpu.rip, code, data, notes: cpu.looks_at_mxcsr }
    }
}

pub fn interpreter() -> Guest<Interpreter> {
    Guest::new(Interpreter::new(Box::new(|| 0)))
}

fn jit() -> Jit<Wasmtime> {
    Jit::new(Wasmtime::new().unwrap(), Rc::new(|| 0))
}

/// Compiles as soon as two blocks have run twice, along with what has run once.
pub fn eager() -> Guest<Jit<Wasmtime>> {
    Guest::new(jit().hot_after(2).warm_after(1).together(2))
}

/// Compiles all it can see at once.
pub fn whole() -> Guest<Jit<Wasmtime>> {
    Guest::new(jit().hot_after(2).warm_after(0).together(1))
}

/// All of them.
pub struct Engines {
    interpreter: Guest<Interpreter>,
    whole: Guest<Jit<Wasmtime>>,
    eager: Guest<Jit<Wasmtime>>,
}

impl Engines {
    pub fn new() -> Self {
        Self { interpreter: interpreter(), whole: whole(), eager: eager() }
    }

    /// Forgets all translations.
    pub fn renew(&mut self) {
        self.interpreter.engine = interpreter().engine;
        self.whole.engine = jit().hot_after(2).warm_after(0).together(1);
        self.eager.engine = jit().hot_after(2).warm_after(1).together(2);
    }

    /// Runs a program everywhere; `Err` is the first difference.
    pub fn difference(
        &mut self,
        program: &Program,
        processor: impl FnOnce(&Program) -> Outcome,
    ) -> Result<Run, String> {
        let before = self.interpreter.engine.instructions();
        let ours = self.interpreter.run(program, How::at_once());
        let instructions = self.interpreter.engine.instructions() - before;
        if ours.end == End::Endless {
            return Err("the interpreter does not come to an end".to_string());
        }
        check("the interpreter", processor(program).difference(&ours))?;
        for (name, how) in [("3 at a time", How::paused(3)), ("pages on demand", How::demanding(5))] {
            let other = self.interpreter.run(program, how);
            check(&format!("the interpreter, {name}"), ours.difference(&other))?;
        }
        let now = |engine: &mut Jit<Wasmtime>, cpu: &CpuState, space: &mut AddressSpace| engine.compile_now(cpu, space);
        let hows = [
            ("at once", How::at_once()),
            ("7 at a time", How::paused(7)),
            ("at once again", How::at_once()),
            ("3 at a time", How::paused(3)),
            ("pages on demand", How::demanding(BUDGET_MAX)),
            ("pages come and go", How::demanding(20)),
        ];
        for (name, how) in hows {
            let other = self.whole.prepared(program, how, now);
            check(&format!("compiled, {name}"), ours.difference(&other))?;
            let other = self.eager.run(program, how);
            check(&format!("half compiled, {name}"), ours.difference(&other))?;
        }
        Ok(Run { instructions, faulted: ours.end != End::Breakpoint })
    }
}

fn check(what: &str, difference: Option<String>) -> Result<(), String> {
    difference.map_or(Ok(()), |difference| Err(format!("{what}: {difference}")))
}

impl Outcome {
    /// The first thing in which `other` differs. Status flags and the x87 unit count at the end only: where an instruction
    /// faults, we keep those flags that it and what follows will look at.
    pub fn difference(&self, other: &Outcome) -> Option<String> {
        if !self.end.is_like(other.end) || self.rip != other.rip {
            return Some(format!("{:x?} at {:#x}, ours {:x?} at {:#x}", self.end, self.rip, other.end, other.rip));
        }
        let (a, b) = (&self.state, &other.state);
        let names = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15";
        for (i, name) in names.split(' ').enumerate() {
            if a.gpr[i] != b.gpr[i] {
                return Some(format!("{name} {:#x}, ours {:#x}, at {:#x}", a.gpr[i], b.gpr[i], self.rip));
            }
        }
        let status = if self.end == End::Breakpoint { cpu::rflags::STATUS } else { 0 };
        let compared = status | cpu::rflags::DF;
        if (a.flags ^ b.flags) & compared != 0 {
            let (a, b) = (a.flags & compared, b.flags & compared);
            return Some(format!("flags {a:#x}, ours {b:#x}, at {:#x}", self.rip));
        }
        if let Some(i) = (0..16).find(|i| a.xmm[*i] != b.xmm[*i]) {
            return Some(format!("xmm{i} {:#034x}, ours {:#034x}, at {:#x}", a.xmm[i], b.xmm[i], self.rip));
        }
        for (name, a, b) in [("data", &self.data, &other.data), ("code", &self.code, &other.code)] {
            if let Some(at) = (0..a.len()).find(|at| a[*at] != b[*at]) {
                let word = |bytes: &[u8]| format!("{:02x?}", &bytes[at..(at + 16).min(bytes.len())]);
                return Some(format!("{name} at +{at:#x}: {}, ours {}", word(a), word(b)));
            }
        }
        let compared = if self.notes && other.notes { 0xffff } else { 0xffc0 };
        if (a.mxcsr ^ b.mxcsr) & compared != 0 {
            return Some(format!("mxcsr {:#x}, ours {:#x} (of {compared:#x})", a.mxcsr, b.mxcsr));
        }
        // MMX instructions put the stack into MMX state before a store of theirs that faults.
        if matches!(self.end, End::Breakpoint | End::Arithmetic) { fpu_difference(a, b) } else { None }
    }
}

fn fpu_difference(a: &State, b: &State) -> Option<String> {
    let top = a.status >> 11 & 7;
    let words = |s: &State| (s.control, s.status, s.valid);
    if words(a) != words(b) {
        return Some(format!("control, status, tags {:x?}, ours {:x?}", words(a), words(b)));
    }
    let is_valid = |i: usize| a.valid >> ((usize::from(top) + i) & 7) & 1 != 0;
    let i = (0..8).find(|i| is_valid(*i) && a.st[*i] != b.st[*i])?;
    Some(format!("st{i} {:x?}, ours {:x?}", a.st[i], b.st[i]))
}

impl End {
    /// Whether a signal handler sees the same. An address that is not canonical is not told, which looks like null. Where
    /// an operand lies on two bad pages and is both read and written, processors differ in which they look at first.
    fn is_like(self, other: End) -> bool {
        let canonical = |addr: u64| addr != 0 && ((addr as i64) << 16 >> 16) as u64 == addr;
        match (self, other) {
            (End::Fault { addr: a }, End::Fault { addr: b }) if canonical(a) && canonical(b) => a.abs_diff(b) < 16,
            (End::Fault { addr }, End::GeneralProtection) | (End::GeneralProtection, End::Fault { addr }) => {
                !canonical(addr)
            }
            (a, b) => a == b,
        }
    }
}
