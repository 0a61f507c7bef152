//! Tasks (threads) and processes (thread groups).
//!
//! Both are shared (`Rc`) with cells inside: everything runs on one host thread, and a call often needs several tasks
//! at once. **Invariant:** no borrow of a cell outlives the statement or block it is made in; in particular none is
//! held while a file system or another task is entered.
//!
//! | module | subject |
//! |---|---|
//! | [`process`] | what threads of a process share |
//! | [`table`] | finding both by number |
//! | [`clone`] | making tasks |
//! | [`exit`] | ending them |
//! | [`reap`] | `wait` |
//! | [`group`] | process groups and sessions |
//! | [`limits`] | resource limits |
//! | [`look`] | who may look into whom |

pub mod clone;
pub mod exit;
pub mod group;
pub mod limits;
pub mod look;
pub mod process;
pub mod reap;
pub mod remarks;
pub mod table;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use abi::{Errno, Layout};
use cpu::CpuState;

use crate::credentials::Credentials;
use crate::files::{FdTable, OpenFile};
use crate::mm::Mm;
use crate::seccomp::Seccomp;
use crate::signal::{AltStack, SignalQueue, SignalSet};
use crate::stop::Outcome;
use crate::syscall::Abi;
use crate::trace::Trace;
use crate::trace::calls::Interrupted;
use crate::vfs::{Context, Location};
use crate::wait::{QueueId, WaitQueue};

pub use process::{ExitStatus, Process, ProcessState};
pub use table::TaskTable;

/// Number of a task.
pub type Tid = i32;
/// Number of a process: that of its first task.
pub type Pid = i32;

/// Whether a task can run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// It runs, or is in the queue to do so.
    Ready,
    /// It waits; a signal may end that.
    Sleeping,
    /// It waits; only a deadly signal may end that.
    SleepingHard,
    /// It waits for the disk.
    SleepingOnDisk,
    /// Its process is stopped by job control.
    Stopped,
    /// It is stopped for its tracer.
    Traced,
    /// It has ended.
    Dead,
}

/// What an interrupted system call does after a signal handler (`signal(7)`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Restart {
    /// It is made again if the handler was installed with `SA_RESTART`.
    #[default]
    IfAsked,
    /// It fails with `EINTR`.
    Never,
    /// It is made again after any handler.
    Always,
}

/// A system call being made. It survives sleeping, so what a call must remember between attempts is here.
#[derive(Clone, Default)]
pub struct Call {
    /// Which table it is in.
    pub abi: Abi,
    /// What its structs look like.
    pub layout: Layout,
    /// Its number.
    pub number: u64,
    /// Its arguments.
    pub args: [u64; 6],
    /// When waiting ends by itself, on the monotonic clock.
    pub deadline_ns: Option<u64>,
    /// When it is to end as a whole, if that ends no single wait.
    pub until_ns: Option<u64>,
    /// Bytes already moved.
    pub done: u64,
    /// Bytes taken from a stream that are still to be given to the program.
    pub stash: Vec<u8>,
    /// Whatever else the call must remember.
    pub memo: Option<u64>,
    /// A file being opened, already visible to others (a FIFO that waits for its other side).
    pub opening: Option<Rc<OpenFile>>,
    /// What a signal handler does to it.
    pub restart: Restart,
    /// Where the time that is left goes when a signal ends it (`clock_nanosleep`); 0 is nowhere.
    pub time_left_at: u64,
    /// What it waits for, with `Wait::Listed`.
    pub queues: Vec<QueueId>,
    /// It has slept at least once.
    pub is_retry: bool,
    /// A tracer has stopped it before it was made, and may have changed it.
    pub entering: bool,
    /// The tracer makes it itself.
    pub emulated: bool,
    /// A filter has had the tracer asked.
    pub asked: bool,
}

/// Working directory, root and file mode mask; threads share one (`CLONE_FS`).
#[derive(Clone)]
pub struct FsState {
    /// `/` and the end of `..`.
    pub root: Location,
    /// Where relative paths start.
    pub cwd: Location,
    /// Permission bits that new files don't get.
    pub umask: u16,
}

/// A thread.
pub struct Task {
    /// Its number; `execve` in another thread than the first changes it.
    pub number: Cell<Tid>,
    /// The process it belongs to.
    pub process: Rc<Process>,
    /// Registers.
    pub cpu: RefCell<CpuState>,
    /// Whether it can run.
    pub run_state: Cell<RunState>,
    /// The system call it is in.
    pub call: RefCell<Option<Call>>,
    /// Queues it is in while it sleeps.
    pub waiting_on: RefCell<Vec<QueueId>>,
    /// Counts sleeps, so that a timer that comes late is recognised.
    pub sleep_count: Cell<u64>,
    /// Its memory; none once it has ended.
    pub mm: RefCell<Option<Rc<Mm>>>,
    /// Descriptors; none once it has ended.
    pub files: RefCell<Option<Rc<RefCell<FdTable>>>>,
    /// Directories.
    pub fs: RefCell<Rc<RefCell<FsState>>>,
    /// On whose behalf it acts.
    pub credentials: RefCell<Rc<Credentials>>,
    /// Blocked signals.
    pub blocked: Cell<SignalSet>,
    /// The blocked signals to go back to after the next handler (`sigsuspend`, `ppoll`).
    pub saved_blocked: Cell<Option<SignalSet>>,
    /// Signals sent to this thread.
    pub pending: RefCell<SignalQueue>,
    /// Alternate signal stack.
    pub alt_stack: Cell<AltStack>,
    /// What `ps` calls it: at most 15 bytes.
    pub name: RefCell<Vec<u8>>,
    /// Word to clear, and futex to wake, when the thread ends.
    pub clear_child_tid: Cell<u64>,
    /// Heads of the lists of futexes it holds: of 64-bit and of 32-bit pointers.
    pub robust_lists: [Cell<u64>; 2],
    /// Woken when it ends or starts another program (`vfork`).
    pub vfork_done: WaitQueue,
    /// Whether a `vfork` parent waits for it.
    pub vfork_pending: Cell<bool>,
    /// Time on the processor.
    pub cpu_time_ns: Cell<u64>,
    /// The futexes it sleeps on, see [`crate::futex`].
    pub futex: RefCell<Option<crate::futex::Waiting>>,
    /// `PR_SET_PDEATHSIG`.
    pub parent_death_signal: Cell<u32>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: Cell<bool>,
    /// What it has said of itself otherwise (`prctl(2)`).
    pub remarks: remarks::Remarks,
    /// Scheduling class and priority it asked for; all run alike.
    pub scheduling: Cell<(u32, i32)>,
    /// What restricts its calls.
    pub seccomp: RefCell<Seccomp>,
    /// `ioprio_set(2)`; without effect.
    pub io_priority: Cell<u16>,
    /// Memory policy, and whether it names the only node (`set_mempolicy(2)`); without effect.
    pub memory_policy: Cell<(u32, bool)>,
    /// Who traces it, if anybody does.
    pub trace: RefCell<Option<Trace>>,
    /// While it is traced: the call it is in, or has just returned from (`orig_rax`), and which table that is in.
    pub call_number: Cell<Option<u64>>,
    /// See [`Self::call_number`].
    pub call_abi: Cell<Abi>,
    /// The call that was interrupted, if it may be made again.
    pub interrupted: Cell<Option<Interrupted>>,
}

impl Task {
    /// Its memory.
    ///
    /// # Errors
    /// `EFAULT` once it has ended.
    pub fn mm(&self) -> Outcome<Rc<Mm>> {
        self.mm.borrow().clone().ok_or(Errno::EFAULT.into())
    }

    /// Its descriptors.
    pub fn fd_table(&self) -> Outcome<Rc<RefCell<FdTable>>> {
        self.files.borrow().clone().ok_or(Errno::EBADF.into())
    }

    /// An open file.
    pub fn file(&self, fd: i32) -> Outcome<Rc<OpenFile>> {
        let file = self.fd_table()?.borrow().get(fd)?;
        Ok(file)
    }

    /// An open file that is not merely pointed to (`O_PATH`).
    pub fn usable_file(&self, fd: i32) -> Outcome<Rc<OpenFile>> {
        let file = self.file(fd)?;
        if file.is_path_only() { Err(Errno::EBADF.into()) } else { Ok(file) }
    }

    /// Its credentials.
    pub fn credentials(&self) -> Rc<Credentials> {
        self.credentials.borrow().clone()
    }

    /// Its directories.
    pub fn fs_state(&self) -> FsState {
        self.fs.borrow().borrow().clone()
    }

    /// What the structs of the call it is in look like.
    pub fn layout(&self) -> Layout {
        self.call.borrow().as_ref().map_or_else(Layout::default, |call| call.layout)
    }

    /// Changes what it remembers of the call it is in.
    pub fn with_call<T>(&self, change: impl FnOnce(&mut Call) -> T) -> T {
        change(self.call.borrow_mut().get_or_insert_default())
    }

    /// Head of its list of futexes with such pointers.
    pub fn robust_list(&self, layout: Layout) -> &Cell<u64> {
        &self.robust_lists[usize::from(layout.is_32())]
    }

    /// Its number.
    pub fn tid(&self) -> Tid {
        self.number.get()
    }

    /// Whether it is the first thread of its process.
    pub fn is_leader(&self) -> bool {
        self.tid() == self.process.pid
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.run_state.get() == RunState::Dead
    }
}

impl FsState {
    /// What paths mean for `who`.
    pub fn context<'a>(&'a self, who: &'a Credentials) -> Context<'a> {
        Context { root: &self.root, cwd: &self.cwd, credentials: who, umask: self.umask }
    }
}
