//! Code that uses addresses from 4 GiB on: compiled in the end, and as exact as the interpreter.

use std::rc::Rc;

use cpu::{CpuState, Engine, Exception, Exit, Interpreter};
use jit::Jit;
use jit::native::Wasmtime;
use memory::{Access, AddressSpace, BLOCK_BYTES, GuestAddr, HostMemory, PAGE_SIZE, PageState};

/// Where code is: at a low address, or at a high one whose block has the low one's place.
const LOW_CODE: u64 = 0x40_0000;
const HIGH_CODE: u64 = 0x10_0200_0000;
/// Two blocks that programs see one after the other, of which this many pages are there; they lie the other way round.
const HIGH: u64 = 0x6020_0000_0000;
const PLACES: [u64; 2] = [0x9001_0000, 0x9000_0000];
const DATA_BYTES: u64 = BLOCK_BYTES + 2 * PAGE_SIZE;

/// Adds up the 64-bit words from RSI to RDI, one at an odd address among them, and counts each up:
///
/// ```text
///  0 mov r8,rsi
///  3 add rax,[r8]
///  6 add rax,[r8+3]
///  a inc qword [r8]
///  d add r8,8
/// 11 cmp r8,rdi
/// 14 jb 3
/// 16 dec edx
/// 18 jne 0
/// 1a int3
/// ```
const PROGRAM: &[u8] =
    b"\x49\x89\xf0\x49\x03\x00\x49\x03\x40\x03\x49\xff\x00\x49\x83\xc0\x08\x49\x39\xf8\x72\xed\xff\xca\x75\xe6\xcc";

const RAX: usize = 0;
const RDX: usize = 2;
const RSI: usize = 6;
const RDI: usize = 7;

fn machine(code: u64) -> AddressSpace {
    let mut space = AddressSpace::new(HostMemory::new().expect("4 GiB of addresses"));
    let open = PageState::PRESENT | PageState::READ | PageState::WRITE;
    space.set_state(GuestAddr(LOW_CODE).page().unwrap(), open | PageState::EXEC);
    space.place_block(GuestAddr(HIGH_CODE), GuestAddr(LOW_CODE));
    for (block, place) in PLACES.into_iter().enumerate() {
        space.place_block(GuestAddr(HIGH + block as u64 * BLOCK_BYTES), GuestAddr(place));
    }
    for at in (0..DATA_BYTES).step_by(PAGE_SIZE as usize) {
        let page = space.page_of(GuestAddr(HIGH + at)).unwrap();
        space.set_state(page, open);
    }
    space.write(GuestAddr(code), PROGRAM).unwrap();
    for at in (0..DATA_BYTES).step_by(8) {
        space.store64(HIGH + at, at * 0x0123_4567_89ab).unwrap();
    }
    space
}

/// Runs the program over a range; returns RAX and why it ended.
fn run(engine: &mut impl Engine, space: &mut AddressSpace, code: u64, bytes: u64, rounds: u64) -> (u64, Exit) {
    let mut cpu = CpuState::default();
    cpu.rip = code;
    cpu.slots[RDX] = rounds;
    cpu.slots[RSI] = HIGH;
    cpu.slots[RDI] = HIGH + bytes;
    let exit = loop {
        match engine.run(&mut cpu, space, 100_000) {
            Exit::Interrupted => {}
            exit => break exit,
        }
    };
    (cpu.slots[RAX], exit)
}

#[test]
fn high_addresses_are_compiled_and_exact() {
    compare(LOW_CODE);
}

#[test]
fn code_at_high_addresses_is_compiled_too() {
    compare(HIGH_CODE);
}

/// Runs the program interpreted and compiled.
fn compare(code: u64) {
    let mut interpreter = Interpreter::new(Box::new(|| 0));
    let mut jit = Jit::new(Wasmtime::new().expect("a runtime"), Rc::new(|| 0)).together(1);
    let (mut expected, mut space) = (machine(code), machine(code));
    // The last word would lie half on a page that is not there.
    for (bytes, rounds) in [(DATA_BYTES - 8, 300), (DATA_BYTES - 8, 300), (DATA_BYTES + PAGE_SIZE, 1)] {
        let (sum, exit) = run(&mut interpreter, &mut expected, code, bytes, rounds);
        let before = jit.instructions();
        let interpreted =
            |jit: &Jit<Wasmtime>| jit.counters().iter().find(|(name, _)| *name == "interpreted").unwrap().1;
        let (ran, stayed) = (before, interpreted(&jit));
        assert_eq!(run(&mut jit, &mut space, code, bytes, rounds), (sum, exit));
        if rounds == 1 {
            let fault = memory::Fault { addr: GuestAddr(HIGH + DATA_BYTES), access: Access::Read };
            assert_eq!(exit, Exit::Fault(fault));
        } else {
            assert!(matches!(exit, Exit::Exception(Exception::Breakpoint)), "{exit:?}");
        }
        if ran > 0 && rounds > 1 {
            let (all, slow) = (jit.instructions() - ran, interpreted(&jit) - stayed);
            assert!(slow * 500 < all, "{slow} of {all} instructions were interpreted");
        }
    }
    let (mut one, mut other) = (vec![0; DATA_BYTES as usize], vec![0; DATA_BYTES as usize]);
    expected.read(GuestAddr(HIGH), &mut one).unwrap();
    space.read(GuestAddr(HIGH), &mut other).unwrap();
    assert_eq!(one, other);
}
