//! Linux as programs see it: error numbers, system-call numbers, flags and structs.
//!
//! The crates that carry the kernel's headers pick their module by the build machine's architecture
//! and so have nothing for wasm32; the numbers are therefore kept here, and tests compare them with
//! those crates on the native side.
//!
//! | module | subject |
//! |---|---|
//! | [`capability`] | capabilities |
//! | [`errno`] | error numbers, names, descriptions |
//! | [`file`] | `open`, `fcntl`, `*at`, `stat` |
//! | [`inotify`] | watching files |
//! | [`ipc`] | shared memory, semaphores and message queues of System V |
//! | [`memory`] | `mmap` and its relatives |
//! | [`process`] | `clone`, `wait`, `prctl`, resource limits, auxiliary vector |
//! | [`ptrace`] | tracing |
//! | [`signal`] | signals, `sigaction`, `siginfo` codes |
//! | [`poll`] | `poll`, `epoll`, `eventfd` |
//! | [`time`] | clocks and timers |
//! | [`tty`] | `termios` and terminal `ioctl`s |
//! | [`socket`] | sockets |
//! | [`layout`] | putting structs together byte by byte |
//! | [`x86_64`], [`i386`] | names of the calls by number |

#[macro_use]
mod constants;

pub mod capability;
pub mod errno;
pub mod file;
pub mod i386;
pub mod inotify;
pub mod ipc;
pub mod layout;
pub mod memory;
pub mod poll;
pub mod process;
pub mod ptrace;
pub mod signal;
pub mod socket;
pub mod time;
pub mod tty;
pub mod x86_64;

pub use errno::Errno;
pub use layout::{Layout, Reader, Writer};

/// Finds a call in a list that ascends by number.
fn name_in(names: &[(u16, &'static str)], number: u64) -> Option<&'static str> {
    let index = names.binary_search_by_key(&number, |(number, _)| u64::from(*number)).ok()?;
    Some(names[index].1)
}
