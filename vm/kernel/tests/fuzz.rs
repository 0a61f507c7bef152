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
    /// Calls to make, if not any.
    only: Option<&'static [u64]>,
}

/// Calls of x86-64 about sockets, and those that sockets are read, written, waited for and closed with.
const SOCKET_CALLS: [u64; 32] = [
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 288, 299, 307, 41, 49, 50, 42, 43, 0, 1, 7, 16, 20, 40,
    72, 213, 233,
];

/// Addresses and requests that sockets understand: `sockaddr_in`, `sockaddr_in6`, `sockaddr_un`, `sockaddr_nl`, a
/// request for all interfaces, a control message.
const SOCKET_STRUCTS: [&[u8]; 7] = [
    &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[10, 0, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    &[1, 0, 0, b'a'],
    &[16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[32, 0, 0, 0, 18, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0],
];

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

impl RandomCalls {
    /// Arguments that let a call about sockets do something, mostly.
    fn socket_arguments(&mut self, cpu: &mut CpuState, space: &mut AddressSpace, number: u64, stack: u64) {
        const SOCKET: u64 = 41;
        const SOCKET_PAIR: u64 = 53;
        let bytes = SOCKET_STRUCTS[self.next() as usize % SOCKET_STRUCTS.len()];
        let addr = stack.wrapping_sub(self.next() % 512) & !7;
        let _ = space.write(memory::GuestAddr(addr), bytes);
        if self.next().is_multiple_of(8) {
            return;
        }
        if matches!(number, SOCKET | SOCKET_PAIR) {
            cpu.set_gpr(reg::RDI, [1, 2, 2, 2, 10, 10, 16][self.next() as usize % 7]);
            let nonblocking = if self.next().is_multiple_of(4) { 0 } else { 0x800 };
            cpu.set_gpr(reg::RSI, (1 + self.next() % 5) | nonblocking);
            cpu.set_gpr(reg::RDX, [0, 0, 0, 4, 15][self.next() as usize % 5]);
        } else {
            cpu.set_gpr(reg::RDI, 3 + self.next() % 12);
            cpu.set_gpr(reg::RSI, addr);
            cpu.set_gpr(reg::RDX, bytes.len() as u64);
            if self.next().is_multiple_of(2) {
                cpu.set_gpr(reg::R10, (self.next() % 128) | 0x40);
            }
            cpu.set_gpr(reg::R8, addr);
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
            _ if self.only.is_some() => Exit::Syscall,
            0 => Exit::Sysenter,
            1..=4 => Exit::Interrupt(0x80),
            _ => Exit::Syscall,
        };
        let left_out = if way_in == Exit::Syscall { LEFT_OUT } else { LEFT_OUT_I386 };
        let number = loop {
            if let Some(only) = self.only {
                break only[self.next() as usize % only.len()];
            }
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
        if self.only.is_some() {
            self.socket_arguments(cpu, space, number, stack);
        }
        let path = [&b"/proc/self/fd/1\0"[..], b"/dev/ptmx\0", b"/tmp/x\0", b"..\0", b"/dev/tty\0"];
        let path = path[self.next() as usize % path.len()];
        let addr = stack.wrapping_sub(self.next() % 65536) & !7;
        let _ = space.write(memory::GuestAddr(addr), path);
        way_in
    }

    fn forked(&mut self, _parent: SpaceId, _child: &mut AddressSpace) {}

    fn moved(&mut self, _space: SpaceId) {}

    fn forget(&mut self, _space: SpaceId) {}

    fn instructions(&self) -> u64 {
        self.calls
    }
}

#[test]
fn random_calls_do_no_harm() {
    make_calls(60, None);
}

#[test]
fn random_calls_about_sockets_do_no_harm() {
    make_calls(30, Some(&SOCKET_CALLS));
}

fn make_calls(seeds: u64, only: Option<&'static [u64]>) {
    for seed in 1..=seeds {
        let mut machine = Machine::new();
        machine.install("/bin/true", "/bin/true");
        let mut engine = RandomCalls { random: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed), calls: 0, only };
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
