//! System calls: one table row each, thin handlers grouped by subject.
//!
//! A handler takes typed arguments and returns the call's result. When it can't complete it returns
//! `Stop::Wait` and is called again later with the same arguments, so it must not have changed anything
//! that it could not recognise: what it has to remember is in [`crate::task::Call`].
//!
//! | module | subject |
//! |---|---|
//! | [`table`] | all calls of x86-64 |
//! | [`args`] | typed arguments |
//! | [`rw`] | reading and writing |
//! | [`transfer`] | from file to file: sendfile, splice, copy_file_range |
//! | [`fd`] | descriptors |
//! | [`path`] | paths: making, removing, renaming |
//! | [`attributes`] | chmod, chown, times, sizes, extended attributes |
//! | [`stat`] | stat, statx, statfs, getdents |
//! | [`memory`] | mmap and its relatives |
//! | [`process`] | making, ending, waiting for processes |
//! | [`ids`] | user, group, process-group and session ids |
//! | [`limits`] | limits, priorities, resource use |
//! | [`prctl`] | prctl and arch_prctl |
//! | [`signal`] | signals |
//! | [`time`] | clocks and timers |
//! | [`poll`] | poll, select |
//! | [`epoll`] | epoll |
//! | [`event`] | eventfd, timerfd, signalfd |
//! | [`futex`] | futexes |
//! | [`socket`], [`message`] | sockets; sending and receiving |
//! | [`system`] | the machine as a whole |

// A call has up to six arguments, besides the kernel and the task.
#![allow(clippy::too_many_arguments)]

pub mod args;
pub mod attributes;
pub mod epoll;
pub mod event;
pub mod fd;
pub mod futex;
pub mod ids;
pub mod limits;
pub mod memory;
pub mod message;
pub mod path;
pub mod poll;
pub mod prctl;
pub mod process;
pub mod rw;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod system;
pub mod table;
pub mod time;
pub mod transfer;

use std::rc::Rc;

use abi::Errno;

use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// Makes a system call of x86-64.
pub fn dispatch(kernel: &mut Kernel, task: &Rc<Task>, number: u64, args: [u64; 6]) -> Outcome<u64> {
    match table::lookup(number) {
        Some(row) => (row.handler)(kernel, task, args),
        None => {
            let name = abi::x86_64::name(number).map_or(format!("number {number}"), str::to_owned);
            kernel.log_once(format!("unknown system call: {name}"));
            Err(Errno::ENOSYS.into())
        }
    }
}
