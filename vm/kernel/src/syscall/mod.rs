//! System calls: one table row each, thin handlers grouped by subject.
//!
//! A handler takes typed arguments and returns the call's result. When it can't complete it returns
//! `Stop::Wait` and is called again later with the same arguments, so it must not have changed anything
//! that it could not recognise: what it has to remember is in [`crate::task::Call`].
//!
//! The same handlers serve 64-bit and 32-bit programs. They read and write structs by the [`abi::Layout`] of the call
//! ([`Task::layout`]), which its row in the table gives.
//!
//! | module | subject |
//! |---|---|
//! | [`table`] | all calls, of x86-64 and of i386 |
//! | [`args`] | typed arguments |
//! | [`shm`], [`sem`], [`msg`], [`ipc`] | shared memory, semaphores, message queues of System V |
//! | [`ia32`] | what only 32-bit programs call |
//! | [`thread_area`] | thread-local storage of 32-bit programs |
//! | [`rw`], [`rw_flags`] | reading and writing |
//! | [`sync`] | to the disk |
//! | [`aio`] | asynchronous I/O |
//! | [`transfer`] | from file to file: sendfile, splice, copy_file_range |
//! | [`fd`] | descriptors |
//! | [`path`] | paths: making, removing, renaming |
//! | [`attributes`] | chmod, chown, times, sizes, extended attributes |
//! | [`stat`] | stat, statx, statfs, getdents |
//! | [`memory`] | mmap and its relatives |
//! | [`mount`] | mounts and roots |
//! | [`mq`] | POSIX message queues |
//! | [`memfd`] | files in memory, and sealing them |
//! | [`ptrace`] | tracing |
//! | [`pidfd`], [`peek`] | processes as descriptors; looking into others |
//! | [`process`] | making, ending, waiting for processes |
//! | [`capability`] | capabilities |
//! | [`ids`] | user, group, process-group and session ids |
//! | [`priority`], [`nodes`] | priorities, where memory is to be |
//! | [`limits`] | limits, priorities, resource use |
//! | [`seccomp`] | filters on calls |
//! | [`prctl`] | prctl and arch_prctl |
//! | [`signal`] | signals |
//! | [`time`] | clocks and timers |
//! | [`adjust`] | adjusting the clock |
//! | [`poll`] | poll, select |
//! | [`epoll`] | epoll |
//! | [`event`] | eventfd, timerfd, signalfd |
//! | [`inotify`] | watching files |
//! | [`futex`] | futexes |
//! | [`socket`], [`message`], [`control`] | sockets; sending and receiving, and what goes with that |
//! | [`system`], [`syslog`] | the machine as a whole; the kernel log |

// A call has up to six arguments, besides the kernel and the task.
#![allow(clippy::too_many_arguments)]

pub mod adjust;
pub mod aio;
pub mod args;
pub mod attributes;
mod buffers;
pub mod capability;
pub mod control;
pub mod epoll;
pub mod event;
pub mod fd;
mod filter;
pub mod futex;
pub mod ia32;
pub mod ids;
pub mod inotify;
pub mod ipc;
pub mod limits;
pub mod memfd;
pub mod memory;
pub mod message;
pub mod mount;
pub mod mq;
pub mod msg;
pub mod nodes;
pub mod path;
pub mod peek;
pub mod pidfd;
pub mod poll;
pub mod prctl;
pub mod priority;
pub mod process;
pub mod ptrace;
pub mod rw;
pub mod rw_flags;
pub mod seccomp;
pub mod sem;
pub mod shm;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod sync;
pub mod syslog;
pub mod system;
pub mod table;
pub mod thread_area;
pub mod time;
pub mod transfer;

use std::rc::Rc;

use abi::Errno;
use cpu::{CpuState, Mode, reg};

use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// By which convention a program calls.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Abi {
    /// `syscall`.
    #[default]
    X86_64,
    /// `int 0x80` and `sysenter`, be it in 64-bit code.
    I386,
}

impl Abi {
    /// Its calls.
    pub fn table(self) -> &'static [table::Row] {
        match self {
            Abi::X86_64 => table::x86_64::TABLE,
            Abi::I386 => table::i386::TABLE,
        }
    }

    /// Name of a call, answered or not.
    pub fn name(self, number: u64) -> Option<&'static str> {
        match self {
            Abi::X86_64 => abi::x86_64::name(number),
            Abi::I386 => abi::i386::name(number),
        }
    }

    /// Number and arguments, from their registers.
    pub fn registers(self, cpu: &CpuState) -> (u64, [u64; 6]) {
        let number = cpu.gpr(reg::RAX);
        match self {
            Abi::X86_64 => {
                let args = [reg::RDI, reg::RSI, reg::RDX, reg::R10, reg::R8, reg::R9].map(|index| cpu.gpr(index));
                (number, args)
            }
            Abi::I386 => {
                let args = [reg::RBX, reg::RCX, reg::RDX, reg::RSI, reg::RDI, reg::RBP];
                (number & 0xffff_ffff, args.map(|index| cpu.gpr(index) & 0xffff_ffff))
            }
        }
    }
}

/// Leaves a call's result where the program looks for it.
pub fn set_result(cpu: &mut CpuState, value: u64) {
    let value = if cpu.mode == Mode::Compat { value & 0xffff_ffff } else { value };
    cpu.set_gpr(reg::RAX, value);
}

/// Makes a system call.
pub fn dispatch(kernel: &mut Kernel, task: &Rc<Task>, abi: Abi, number: u64, args: [u64; 6]) -> Outcome<u64> {
    match table::find(abi.table(), number) {
        Some(row) => {
            task.with_call(|call| call.layout = row.layout);
            (row.handler)(kernel, task, args)
        }
        None => {
            let name = abi.name(number).map_or(format!("number {number}"), str::to_owned);
            kernel.log_once(format!("unknown system call: {name}"));
            Err(Errno::ENOSYS.into())
        }
    }
}
