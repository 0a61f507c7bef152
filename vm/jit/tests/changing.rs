//! Code that is written to a page others run on, as engines of scripting languages do: what has not changed goes on as
//! compiled code, and is not compiled again.

use std::rc::Rc;

use cpu::{CpuState, Engine, Exception, Exit};
use jit::Jit;
use jit::native::Wasmtime;
use memory::{AddressSpace, GuestAddr, HostMemory, PAGE_SIZE, PageState};

const CODE: u64 = 0x40_0000;
const STACK: u64 = 0x50_0000;

/// Between any two runs of the inner loop, a function on the same page is changed and called:
///
/// ```text
///  0 mov ecx,2000
///  5 add rbx,rcx
///  8 dec ecx
///  a jne 5
///  c add dword [rel 41h],1
/// 13 call 40h
/// 18 add rbx,rax
/// 1b dec edx
/// 1d jne 0
/// 1f int3
/// 40 mov eax,1
/// 45 ret
/// ```
const PROGRAM: [(u64, &[u8]); 2] = [
    (0, b"\xb9\xd0\x07\0\0\x48\x01\xcb\xff\xc9\x75\xf9\x83\x05\x2e\0\0\0\x01\xe8\x28\0\0\0\x48\x01\xc3\xff\xca\x75\xe1\xcc"),
    (0x40, b"\xb8\x01\0\0\0\xc3"),
];

const INNER: u64 = 2000;
const ROUNDS: u64 = 4000;
const RDX: usize = 2;
const RBX: usize = 3;
const RSP: usize = 4;

fn machine() -> AddressSpace {
    let mut space = AddressSpace::new(HostMemory::new().expect("4 GiB of addresses"));
    let open = PageState::PRESENT | PageState::READ | PageState::WRITE;
    space.set_state(GuestAddr(CODE).page().unwrap(), open | PageState::EXEC);
    space.set_state(GuestAddr(STACK).page().unwrap(), open);
    for (at, bytes) in PROGRAM {
        space.write(GuestAddr(CODE + at), bytes).unwrap();
    }
    space
}

fn counter(engine: &impl Engine, name: &str) -> u64 {
    engine.counters().iter().find(|(other, _)| *other == name).expect("a counter").1
}

#[test]
fn code_beside_changing_code_stays_compiled() {
    let mut space = machine();
    let mut engine = Jit::new(Wasmtime::new().expect("a runtime"), Rc::new(|| 0)).together(1);
    let mut cpu = CpuState::default();
    cpu.rip = CODE;
    cpu.slots[RDX] = ROUNDS;
    cpu.slots[RSP] = STACK + PAGE_SIZE;
    let exit = engine.run(&mut cpu, &mut space, u64::MAX);
    assert!(matches!(exit, Exit::Exception(Exception::Breakpoint)), "{exit:?}");
    let added: u64 = (1..=ROUNDS).map(|round| INNER * (INNER + 1) / 2 + 1 + round).sum();
    assert_eq!(cpu.slots[RBX], added);

    let (regions, interpreted) = (counter(&engine, "regions"), counter(&engine, "interpreted"));
    let instructions = engine.instructions();
    assert!(regions <= 8, "{regions} regions for one loop and what is around it");
    assert!(interpreted * 500 < instructions, "{interpreted} of {instructions} instructions were interpreted");
}
