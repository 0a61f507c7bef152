//! Guest instructions per second of the interpreter on four small loops: `cargo run --release -p cpu --example mips`.

use std::time::Instant;

use cpu::{CpuState, Engine, Exit, Interpreter, reg};
use memory::{AddressSpace, GuestAddr, HostMemory, PageIndex, PageState};

/// Name and machine code of a loop body; RCX counts down, RBX points to data, the stack is usable.
const LOOPS: [(&str, &[u8]); 4] = [
    // add rax, rdx; xor rdx, rax; lea rsi, [rax+rdx*4]; shr rsi, 3
    ("arithmetic", &[0x48, 0x01, 0xd0, 0x48, 0x31, 0xc2, 0x48, 0x8d, 0x34, 0x90, 0x48, 0xc1, 0xee, 0x03]),
    // mov rax, [rbx]; add rax, [rbx+8]; mov [rbx+16], rax; movzx edx, byte [rbx+1]
    ("memory", &[0x48, 0x8b, 0x03, 0x48, 0x03, 0x43, 0x08, 0x48, 0x89, 0x43, 0x10, 0x0f, 0xb6, 0x53, 0x01]),
    // call +2; jmp +1; ret
    ("calls", &[0xe8, 0x02, 0x00, 0x00, 0x00, 0xeb, 0x01, 0xc3]),
    // movsd xmm0, [rbx]; addsd xmm0, xmm1; mulsd xmm0, xmm1; movsd [rbx], xmm0
    (
        "floating point",
        &[0xf2, 0x0f, 0x10, 0x03, 0xf2, 0x0f, 0x58, 0xc1, 0xf2, 0x0f, 0x59, 0xc1, 0xf2, 0x0f, 0x11, 0x03],
    ),
];

fn main() {
    let mut space = AddressSpace::new(HostMemory::new().expect("4 GiB of addresses"));
    let open = PageState::READ | PageState::WRITE | PageState::EXEC | PageState::PRESENT;
    (1..8).for_each(|page| space.set_state(PageIndex(page), open));
    let mut engine = Interpreter::new(Box::new(|| 0));
    for (name, body) in LOOPS {
        let mut code = body.to_vec();
        // dec rcx; jnz start; ud2
        code.extend([0x48, 0xff, 0xc9, 0x75, (-(body.len() as i8) - 5) as u8, 0x0f, 0x0b]);
        space.write(GuestAddr(0x1000), &code).expect("mapped");
        let mut cpu = CpuState::default();
        cpu.rip = 0x1000;
        cpu.set_gpr(reg::RCX, 20_000_000);
        cpu.set_gpr(reg::RBX, 0x4000);
        cpu.set_gpr(reg::RSP, 0x7000);
        let (start, before) = (Instant::now(), engine.instructions());
        let exit = engine.run(&mut cpu, &mut space, u64::MAX);
        assert!(matches!(exit, Exit::Exception(_)), "{exit:?}");
        let instructions = (engine.instructions() - before) as f64;
        println!("{name:15} {:7.0} MIPS", instructions / start.elapsed().as_secs_f64() / 1e6);
    }
}
