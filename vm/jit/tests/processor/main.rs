//! Instructions run on this machine's own processor, on the interpreter and as compiled code, results compared.
//!
//! Every form the decoder's tables know (a `Code` of iced-x86) that a 64-bit or 32-bit user program can execute and whose
//! feature we claim is encoded with random operands and run from random registers, flags, vectors and memory, by
//! single-stepping a child process on the one side. Flags the manual leaves undefined are not compared. The seed is fixed; `PROCESSOR_CASES` sets the cases per form, `PROCESSOR_SEED` another seed,
//! `PROCESSOR_FORM` a part of a form's name.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // Shared memory with a traced child.

mod generate;
#[allow(dead_code)] // The test of sequences uses the rest.
mod host;
mod state;

use cpu::{CpuState, Engine, Exception, Exit, Interpreter, Mode};
use generate::{Case, Rng};
use host::Host;
use iced_x86::{Code, Formatter, NasmFormatter};
use jit::Jit;
use jit::native::Wasmtime;
use memory::{AddressSpace, GuestAddr, HostMemory, PAGE_SIZE, PageState};
use state::{Outcome, State};
use std::collections::BTreeMap;
use std::rc::Rc;

/// An engine under test.
trait Tested: Engine {
    /// Called before each case.
    fn prepare(&mut self, cpu: &CpuState, space: &mut AddressSpace);
}

impl Tested for Interpreter {
    fn prepare(&mut self, _cpu: &CpuState, _space: &mut AddressSpace) {}
}

impl Tested for Jit<Wasmtime> {
    fn prepare(&mut self, cpu: &CpuState, space: &mut AddressSpace) {
        self.compile_now(cpu, space);
    }
}

/// An engine with one address space laid out like the child's.
struct Guest {
    engine: Box<dyn Tested>,
    space: AddressSpace,
}

impl Guest {
    fn new(engine: Box<dyn Tested>) -> Self {
        let mut space = AddressSpace::new(HostMemory::new().expect("4 GiB of addresses"));
        let open = PageState::READ | PageState::WRITE | PageState::PRESENT;
        for page in 0..host::CODE_BYTES as u64 / PAGE_SIZE {
            space.set_state(GuestAddr(host::CODE + page * PAGE_SIZE).page().unwrap(), open | PageState::EXEC);
        }
        for page in 0..host::DATA_BYTES as u64 / PAGE_SIZE {
            space.set_state(GuestAddr(host::DATA + page * PAGE_SIZE).page().unwrap(), open);
        }
        let readable = PageState::READ | PageState::PRESENT;
        for page in 0..host::READ_ONLY_BYTES as u64 / PAGE_SIZE {
            space.set_state(GuestAddr(host::READ_ONLY + page * PAGE_SIZE).page().unwrap(), readable);
        }
        Self { engine, space }
    }

    fn run(&mut self, case: &Case) -> Outcome {
        let mut code = case.bytes.clone();
        code.push(0xcc);
        self.space.write(GuestAddr(case.rip), &code).unwrap();
        self.space.write(GuestAddr(host::DATA), &case.data).unwrap();
        let mut cpu = CpuState::default();
        case.state.to_cpu(&mut cpu);
        cpu.rip = case.rip;
        cpu.mode = case.mode;
        self.engine.prepare(&cpu, &mut self.space);
        let mut budget = 1;
        let signal = loop {
            match self.engine.run(&mut cpu, &mut self.space, budget) {
                Exit::Exception(Exception::Breakpoint) => {
                    cpu.rip -= 1;
                    break None;
                }
                Exit::Interrupted if cpu.rip == case.rip && case.may_pause => budget = 1,
                Exit::Interrupted => break None,
                Exit::Fault(_)
                | Exit::Exception(Exception::GeneralProtection(_) | Exception::Bound | Exception::Overflow) => {
                    break Some("SIGSEGV");
                }
                Exit::Exception(Exception::Divide | Exception::X87 | Exception::Simd) => break Some("SIGFPE"),
                Exit::Exception(Exception::InvalidOpcode) => break Some("SIGILL"),
                other => panic!("{other:?}"),
            }
        };
        let mut data = vec![0; host::DATA_BYTES];
        self.space.read(GuestAddr(host::DATA), &mut data).unwrap();
        Outcome { state: State::from_cpu(&cpu), rip: cpu.rip, data, signal }
    }
}

fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn interpreted_instructions_do_what_the_processor_does() {
    compare(Guest::new(Box::new(Interpreter::new(Box::new(|| 0)))), Mode::Long, 40);
    compare(Guest::new(Box::new(Interpreter::new(Box::new(|| 0)))), Mode::Compat, 40);
}

#[test]
fn compiled_instructions_do_what_the_processor_does() {
    // Each case is compiled anew, which takes a millisecond.
    let jit = Jit::new(Wasmtime::new().unwrap(), Rc::new(|| 0));
    compare(Guest::new(Box::new(jit)), Mode::Long, 8);
    let jit = Jit::new(Wasmtime::new().unwrap(), Rc::new(|| 0));
    compare(Guest::new(Box::new(jit)), Mode::Compat, 8);
}

fn compare(mut guest: Guest, mode: Mode, cases: usize) {
    let cases: usize = setting("PROCESSOR_CASES", cases);
    let seed: u64 = setting("PROCESSOR_SEED", 1);
    let wanted: String = setting("PROCESSOR_FORM", String::new());
    let mut host = Host::start();
    let mut forms = 0;
    let mut total = 0;
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures: Vec<String> = Vec::new();
    for code in Code::values().filter(|code| generate::applies(*code, mode)) {
        if !format!("{code:?}").contains(&wanted) {
            continue;
        }
        if let Some(reason) = generate::left_out(code, mode) {
            *skipped.entry(reason).or_default() += 1;
            continue;
        }
        let mut rng = Rng::new(seed ^ (code as u64) << 32);
        let mut encoded = 0;
        let mut failed = 0;
        for _ in 0..cases {
            let Some(case) = generate::case(code, mode, &mut rng) else { continue };
            encoded += 1;
            let (ours, real) = (guest.run(&case), host.run(&case));
            if let Some(difference) = real.difference(&ours, &case) {
                failed += 1;
                if failed == 1 {
                    let mut text = String::new();
                    NasmFormatter::new().format(&case.instruction, &mut text);
                    failures.push(format!("{code:?}: {text} ({:02x?}): {difference}", case.bytes));
                }
            }
        }
        forms += usize::from(encoded > 0);
        total += encoded;
        if encoded == 0 {
            failures.push(format!("{code:?}: could not be encoded"));
        }
    }
    println!("{mode:?}: {forms} forms, {total} cases; left out: {skipped:?}");
    assert!(failures.is_empty(), "{} forms differ:\n{}", failures.len(), failures.join("\n"));
}
