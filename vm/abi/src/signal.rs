//! Signals: numbers, `sigaction(2)` flags, `siginfo` codes.

constants! { signals: u32 {
    SIGHUP = 1; SIGINT = 2; SIGQUIT = 3; SIGILL = 4; SIGTRAP = 5; SIGABRT = 6; SIGBUS = 7; SIGFPE = 8; SIGKILL = 9;
    SIGUSR1 = 10; SIGSEGV = 11; SIGUSR2 = 12; SIGPIPE = 13; SIGALRM = 14; SIGTERM = 15; SIGSTKFLT = 16;
    SIGCHLD = 17; SIGCONT = 18; SIGSTOP = 19; SIGTSTP = 20; SIGTTIN = 21; SIGTTOU = 22; SIGURG = 23; SIGXCPU = 24;
    SIGXFSZ = 25; SIGVTALRM = 26; SIGPROF = 27; SIGWINCH = 28; SIGIO = 29; SIGPWR = 30; SIGSYS = 31;
    SIG_BLOCK = 0; SIG_UNBLOCK = 1; SIG_SETMASK = 2; SS_ONSTACK = 1; SS_DISABLE = 2;
    SIGEV_SIGNAL = 0; SIGEV_NONE = 1; SIGEV_THREAD = 2; SIGEV_THREAD_ID = 4;
} }

constants! { actions: u64 {
    SA_NOCLDSTOP = 1; SA_NOCLDWAIT = 2; SA_SIGINFO = 4; SA_ONSTACK = 0x0800_0000; SA_RESTART = 0x1000_0000;
    SA_NODEFER = 0x4000_0000; SA_RESETHAND = 0x8000_0000;
} }

constants! { codes: i32 {
    SI_USER = 0; SI_KERNEL = 0x80; SI_QUEUE = -1; SI_TIMER = -2; SI_MESGQ = -3; SI_TKILL = -6; CLD_EXITED = 1; CLD_KILLED = 2;
    CLD_DUMPED = 3; CLD_TRAPPED = 4; CLD_STOPPED = 5; CLD_CONTINUED = 6;
    BUS_ADRALN = 1; BUS_ADRERR = 2; TRAP_BRKPT = 1; TRAP_TRACE = 2; TRAP_HWBKPT = 4;
} }

/// `si_code`s that the C library's Rust binding has no names for (`asm-generic/siginfo.h`).
#[allow(missing_docs)]
mod more_codes {
    pub const ILL_ILLOPN: i32 = 2;
    pub const FPE_INTDIV: i32 = 1;
    pub const FPE_INTOVF: i32 = 2;
    pub const FPE_FLTDIV: i32 = 3;
    pub const FPE_FLTOVF: i32 = 4;
    pub const FPE_FLTUND: i32 = 5;
    pub const FPE_FLTRES: i32 = 6;
    pub const FPE_FLTINV: i32 = 7;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const POLL_IN: i32 = 1;
    pub const POLL_OUT: i32 = 2;
    pub const POLL_ERR: i32 = 4;
    pub const POLL_PRI: i32 = 5;
    pub const POLL_HUP: i32 = 6;
    pub const SI_SIGIO: i32 = -5;
}
pub use more_codes::*;

/// In `ss_flags`: a handler that runs on the stack finds none (`sigaltstack(2)`).
pub const SS_AUTODISARM: u32 = 1 << 31;

/// `SA_RESTORER`: the action names the function that a handler returns to.
pub const SA_RESTORER: u64 = 0x0400_0000;
/// Highest signal number.
pub const SIGNAL_MAX: u32 = 64;
/// First real-time signal, as the kernel counts.
pub const SIGRTMIN: u32 = 32;
/// `SIG_DFL`.
pub const SIG_DFL: u64 = 0;
/// `SIG_IGN`.
pub const SIG_IGN: u64 = 1;
/// Smallest alternate stack.
pub const MINSIGSTKSZ: u64 = 2048;
