//! System calls at random: whatever a program passes, the kernel layer must neither panic nor hang.

mod machine;

use cpu::{CpuState, Engine, Exit, reg};
use kernel::{Slice, Stdio};
use machine::Machine;
use memory::{AddressSpace, SpaceId};

/// A processor that runs no program: it only makes system calls, with arguments that are likely to hurt.
struct RandomCalls {
    random: u64,
    calls: u64,
}

/// Calls that would end the test's process, or only wait: of x86-64, and of i386.
const LEFT_OUT: [u64; 8] = [15, 34, 60, 130, 231, 59, 322, 62];
const LEFT_OUT_I386: [u64; 8] = [1, 11, 29, 37, 72, 179, 252, 358];
/// Those of i386 that return from a signal handler: to nowhere, mostly.
const RETURNS_I386: [u64; 2] = [119, 173];

impl RandomCalls {
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn argument(&mut self, stack: u64) -> u64 {
        const EDGES: [u64; 14] =
            [0, 1, 2, 4095, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffe0_0000, 1 << 47, 1 << 63, !0, !99, !4095];
        match self.next() % 8 {
            0 => EDGES[self.next() as usize % EDGES.len()],
            1 => self.next(),
            2 | 3 => self.next() % 32,
            4 => 1 << (self.next() % 64),
            5 => (stack & !4095) | (self.next() % 8192),
            _ => stack.wrapping_sub(self.next() % 65536) & !7,
        }
    }
}

impl Engine for RandomCalls {
    fn step(&mut self, cpu: &mut CpuState, space: &mut AddressSpace) -> Exit {
        self.run(cpu, space, 1)
    }

    fn run(&mut self, cpu: &mut CpuState, space: &mut AddressSpace, _budget: u64) -> Exit {
        self.calls += 1;
        let stack = 0xffbf_f000;
        let way_in = match self.next() % 8 {
            0 => Exit::Sysenter,
            1..=4 => Exit::Interrupt(0x80),
            _ => Exit::Syscall,
        };
        let left_out = if way_in == Exit::Syscall { LEFT_OUT } else { LEFT_OUT_I386 };
        let number = loop {
            let number = self.next() % 460;
            let returns = way_in != Exit::Syscall && RETURNS_I386.contains(&number);
            if !left_out.contains(&number) && (!returns || self.next().is_multiple_of(8)) {
                break number;
            }
        };
        if self.next().is_multiple_of(256) {
            cpu.set_gpr(reg::RSP, self.argument(stack));
        }
        cpu.set_gpr(reg::RAX, number);
        use reg::*;
        for index in [RDI, RSI, RDX, R10, R8, R9, RBX, RCX, RBP] {
            let value = self.argument(stack);
            cpu.set_gpr(index, value);
        }
        // Memory full of surprises for calls that take structs, and now and then a path.
        for _ in 0..4 {
            let (addr, value) = (stack.wrapping_sub(self.next() % 4096), self.argument(stack));
            let _ = space.store64(addr & !7, value);
        }
        let path = [&b"/proc/self/fd/1\0"[..], b"/dev/ptmx\0", b"/tmp/x\0", b"..\0", b"/dev/tty\0"];
        let path = path[self.next() as usize % path.len()];
        let addr = stack.wrapping_sub(self.next() % 65536) & !7;
        let _ = space.write(memory::GuestAddr(addr), path);
        way_in
    }

    fn forked(&mut self, _parent: SpaceId, _child: &mut AddressSpace) {}

    fn forget(&mut self, _space: SpaceId) {}

    fn instructions(&self) -> u64 {
        self.calls
    }
}

#[test]
fn random_calls_do_no_harm() {
    for seed in 1..=60_u64 {
        let mut machine = Machine::new();
        machine.install("/bin/true", "/bin/true");
        let mut engine = RandomCalls { random: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed), calls: 0 };
        let mut starts = 0;
        while engine.calls < 10_000 && starts < 1_000 {
            // It may have damaged its own program, or lost the root directory.
            if machine.try_spawn(&["/bin/true"], Stdio::Console).is_err() {
                break;
            }
            starts += 1;
            for _ in 0..100 {
                if machine.kernel.run_slice(&mut engine, 20_000) != Slice::Ran {
                    break;
                }
            }
        }
    }
}
