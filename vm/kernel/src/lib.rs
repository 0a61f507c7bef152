//! The Linux kernel layer: answers the system calls of guest programs.
//!
//! Everything runs on one host thread. [`Kernel::run_slice`] lets tasks run in turn on an [`cpu::Engine`]; whatever
//! an engine stops for ends in [`syscall`], [`mm`] or [`signal`]. An operation that can't complete returns
//! [`stop::Stop::Wait`]; the task sleeps, and the whole system call is made again when what it waits for may have
//! happened. So nothing ever blocks the host.
//!
//! **Invariant:** nothing here knows JavaScript, files of the host, or how an engine works.
//!
//! | module | subject |
//! |---|---|
//! | [`kernel`] | `Kernel`: all state |
//! | [`host`] | what the host lends |
//! | [`hosted`] | programs the host starts |
//! | [`sched`] | running, sleeping, waking |
//! | [`wait`] | wait queues |
//! | [`stop`] | why an operation has no result yet: an errno, or something to wait for |
//! | [`trace`] | tracing: what debuggers and strace use |
//! | [`timer`] | what happens at a time |
//! | [`task`] | tasks, processes, their beginning and end |
//! | [`credentials`] | on whose behalf a task acts |
//! | [`mm`] | memory maps and page faults |
//! | [`oom`] | what happens when memory runs out |
//! | [`load`] | load averages |
//! | [`log`] | the kernel log |
//! | [`exec`] | starting programs |
//! | [`seccomp`] | filters on system calls |
//! | [`signal`] | signals |
//! | [`futex`] | sleeping on a word of memory |
//! | [`ipc`] | shared memory, semaphores and message queues of System V |
//! | [`files`] | open files: pipes, devices, sockets and others |
//! | [`tty`] | terminals |
//! | [`vfs`] | paths, mounts, permissions |
//! | [`fs`] | file systems |
//! | [`syscall`] | the system calls |

pub mod bpf;
pub mod credentials;
pub mod exec;
pub mod files;
pub mod fs;
pub mod futex;
pub mod host;
pub mod hosted;
pub mod ipc;
pub mod kernel;
pub mod load;
pub mod log;
pub mod mm;
pub mod net;
pub mod oom;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod stop;
pub mod syscall;
pub mod task;
pub mod timer;
pub mod trace;
pub mod tty;
pub mod vfs;
pub mod wait;

pub use host::{Host, MemoryPool};
pub use hosted::{Hosted, Login, Output, SpawnRequest, Stdio};
pub use kernel::Kernel;
pub use sched::Slice;
pub use task::{ExitStatus, Pid};
