//! Processes: `clone(2)`, `wait(2)`, `prctl(2)`, resource limits, the auxiliary vector, `futex(2)`.

constants! { clone_flags: u64 {
    CSIGNAL = 0xff; CLONE_VM = 0x100; CLONE_FS = 0x200; CLONE_FILES = 0x400; CLONE_SIGHAND = 0x800;
    CLONE_PIDFD = 0x1000; CLONE_PTRACE = 0x2000; CLONE_VFORK = 0x4000; CLONE_PARENT = 0x8000;
    CLONE_THREAD = 0x1_0000; CLONE_NEWNS = 0x2_0000; CLONE_SYSVSEM = 0x4_0000; CLONE_SETTLS = 0x8_0000;
    CLONE_PARENT_SETTID = 0x10_0000; CLONE_CHILD_CLEARTID = 0x20_0000; CLONE_DETACHED = 0x40_0000;
    CLONE_UNTRACED = 0x80_0000; CLONE_CHILD_SETTID = 0x100_0000; CLONE_NEWCGROUP = 0x200_0000;
    CLONE_NEWUTS = 0x400_0000; CLONE_NEWIPC = 0x800_0000; CLONE_NEWUSER = 0x1000_0000;
    CLONE_NEWPID = 0x2000_0000; CLONE_NEWNET = 0x4000_0000; CLONE_IO = 0x8000_0000;
} }

/// `CLONE_CLEAR_SIGHAND`, for `clone3` only.
pub const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

constants! { wait_options: u32 {
    WNOHANG = 1; WUNTRACED = 2; WSTOPPED = 2; WEXITED = 4; WCONTINUED = 8; WNOWAIT = 0x0100_0000;
    __WNOTHREAD = 0x2000_0000; __WALL = 0x4000_0000; __WCLONE = 0x8000_0000; P_ALL = 0; P_PID = 1; P_PGID = 2;
    P_PIDFD = 3;
} }

constants! { prctl_options: u32 {
    PR_SET_PDEATHSIG = 1; PR_GET_PDEATHSIG = 2; PR_GET_DUMPABLE = 3; PR_SET_DUMPABLE = 4; PR_GET_KEEPCAPS = 7;
    PR_SET_KEEPCAPS = 8; PR_GET_TIMING = 13; PR_SET_TIMING = 14; PR_SET_NAME = 15; PR_GET_NAME = 16;
    PR_GET_SECCOMP = 21; PR_SET_SECCOMP = 22; PR_CAPBSET_READ = 23; PR_CAPBSET_DROP = 24; PR_GET_TSC = 25;
    PR_SET_TSC = 26; PR_GET_SECUREBITS = 27; PR_SET_SECUREBITS = 28;
    PR_SET_TIMERSLACK = 29; PR_GET_TIMERSLACK = 30;
    PR_TASK_PERF_EVENTS_DISABLE = 31; PR_TASK_PERF_EVENTS_ENABLE = 32; PR_MCE_KILL = 33; PR_MCE_KILL_GET = 34;
    PR_SET_CHILD_SUBREAPER = 36; PR_GET_CHILD_SUBREAPER = 37; PR_SET_NO_NEW_PRIVS = 38; PR_GET_NO_NEW_PRIVS = 39;
    PR_SET_THP_DISABLE = 41; PR_GET_THP_DISABLE = 42; PR_CAP_AMBIENT = 47;
} }

constants! { limits: usize {
    RLIMIT_CPU = 0; RLIMIT_FSIZE = 1; RLIMIT_DATA = 2; RLIMIT_STACK = 3; RLIMIT_CORE = 4; RLIMIT_RSS = 5;
    RLIMIT_NPROC = 6; RLIMIT_NOFILE = 7; RLIMIT_MEMLOCK = 8; RLIMIT_AS = 9; RLIMIT_LOCKS = 10;
    RLIMIT_SIGPENDING = 11; RLIMIT_MSGQUEUE = 12; RLIMIT_NICE = 13; RLIMIT_RTPRIO = 14; RLIMIT_RTTIME = 15;
} }

/// Number of resource limits.
pub const RLIMIT_COUNT: usize = 16;
/// No limit.
pub const RLIM_INFINITY: u64 = u64::MAX;

constants! { auxiliary_vector: u64 {
    AT_NULL = 0; AT_PHDR = 3; AT_PHENT = 4; AT_PHNUM = 5; AT_PAGESZ = 6; AT_BASE = 7; AT_FLAGS = 8; AT_ENTRY = 9;
    AT_UID = 11; AT_EUID = 12; AT_GID = 13; AT_EGID = 14; AT_PLATFORM = 15; AT_HWCAP = 16; AT_CLKTCK = 17;
    AT_SECURE = 23; AT_RANDOM = 25; AT_HWCAP2 = 26; AT_EXECFN = 31; AT_SYSINFO_EHDR = 33;
} }

/// Where i386 programs call the kernel (`asm/auxvec.h`).
pub const AT_SYSINFO: u64 = 32;

constants! { futex_operations: u32 {
    FUTEX_WAIT = 0; FUTEX_WAKE = 1; FUTEX_REQUEUE = 3; FUTEX_CMP_REQUEUE = 4; FUTEX_WAKE_OP = 5;
    FUTEX_LOCK_PI = 6;
    FUTEX_UNLOCK_PI = 7; FUTEX_TRYLOCK_PI = 8; FUTEX_WAIT_REQUEUE_PI = 11; FUTEX_CMP_REQUEUE_PI = 12;
    FUTEX_LOCK_PI2 = 13; FUTEX_WAIT_BITSET = 9; FUTEX_WAKE_BITSET = 10; FUTEX_PRIVATE_FLAG = 128; FUTEX_CLOCK_REALTIME = 256;
    FUTEX_WAITERS = 0x8000_0000; FUTEX_OWNER_DIED = 0x4000_0000; FUTEX_TID_MASK = 0x3fff_ffff;
} }

constants! { miscellaneous: u32 {
    RUSAGE_THREAD = 1; GRND_NONBLOCK = 1; GRND_RANDOM = 2; PRIO_PROCESS = 0; PRIO_PGRP = 1; PRIO_USER = 2;
    SCHED_OTHER = 0; SCHED_FIFO = 1; SCHED_RR = 2; SCHED_BATCH = 3; SCHED_IDLE = 5;
} }

/// `personality(2)` (`linux/personality.h`).
#[allow(missing_docs)]
mod personality {
    pub const PER_MASK: u32 = 0xff;
    pub const PER_LINUX32: u32 = 8;
    pub const READ_IMPLIES_EXEC: u32 = 0x0040_0000;
}
pub use personality::*;

/// `ARCH_SET_GS` and its relatives (`asm/prctl.h`).
#[allow(missing_docs)]
pub mod arch_prctl {
    pub const ARCH_SET_GS: u32 = 0x1001;
    pub const ARCH_SET_FS: u32 = 0x1002;
    pub const ARCH_GET_FS: u32 = 0x1003;
    pub const ARCH_GET_GS: u32 = 0x1004;
}

/// What calls with 16-bit ids say of a user or group that has a longer one (`overflowuid`).
pub const OVERFLOW_ID: u16 = 65534;

/// An id as calls with 16-bit ids report it.
pub fn short_id(id: u32) -> u16 {
    u16::try_from(id).unwrap_or(OVERFLOW_ID)
}

/// An id as calls with 16-bit ids take it: all ones still means "none".
pub fn long_id(id: u16) -> u32 {
    if id == u16::MAX { u32::MAX } else { id.into() }
}
