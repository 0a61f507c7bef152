//! Tracing: `ptrace(2)`.

constants! { requests: u32 {
    PTRACE_TRACEME = 0; PTRACE_PEEKTEXT = 1; PTRACE_PEEKDATA = 2; PTRACE_PEEKUSER = 3; PTRACE_POKETEXT = 4;
    PTRACE_POKEDATA = 5; PTRACE_POKEUSER = 6; PTRACE_CONT = 7; PTRACE_KILL = 8; PTRACE_SINGLESTEP = 9;
    PTRACE_GETREGS = 12; PTRACE_SETREGS = 13; PTRACE_GETFPREGS = 14; PTRACE_SETFPREGS = 15; PTRACE_ATTACH = 16;
    PTRACE_DETACH = 17; PTRACE_GETFPXREGS = 18; PTRACE_SETFPXREGS = 19; PTRACE_SYSCALL = 24;
    PTRACE_SETOPTIONS = 0x4200; PTRACE_GETEVENTMSG = 0x4201; PTRACE_GETSIGINFO = 0x4202;
    PTRACE_SETSIGINFO = 0x4203; PTRACE_GETREGSET = 0x4204; PTRACE_SETREGSET = 0x4205; PTRACE_SEIZE = 0x4206;
    PTRACE_INTERRUPT = 0x4207; PTRACE_LISTEN = 0x4208; PTRACE_GETSIGMASK = 0x420a; PTRACE_SETSIGMASK = 0x420b;
    PTRACE_GET_SYSCALL_INFO = 0x420e;
} }

constants! { options: u32 {
    PTRACE_O_TRACESYSGOOD = 1; PTRACE_O_TRACEFORK = 2; PTRACE_O_TRACEVFORK = 4; PTRACE_O_TRACECLONE = 8;
    PTRACE_O_TRACEEXEC = 0x10; PTRACE_O_TRACEVFORKDONE = 0x20; PTRACE_O_TRACEEXIT = 0x40;
    PTRACE_O_TRACESECCOMP = 0x80; PTRACE_O_EXITKILL = 0x10_0000; PTRACE_O_MASK = 0x30_00ff;
    PTRACE_EVENT_FORK = 1; PTRACE_EVENT_VFORK = 2; PTRACE_EVENT_CLONE = 3; PTRACE_EVENT_EXEC = 4;
    PTRACE_EVENT_VFORK_DONE = 5; PTRACE_EVENT_EXIT = 6;
} }

/// What only kernel headers have (`linux/ptrace.h`, `linux/elf.h`, `linux/audit.h`, `linux/errno.h`).
#[allow(missing_docs)]
mod kernel {
    pub const PTRACE_EVENT_STOP: u32 = 128;
    pub const PTRACE_EVENT_SECCOMP: u32 = 7;
    pub const PTRACE_SYSEMU: u32 = 31;
    pub const PTRACE_SYSEMU_SINGLESTEP: u32 = 32;
    pub const SYSCALL_INFO_SECCOMP: u8 = 3;
    pub const PTRACE_GET_THREAD_AREA: u32 = 25;
    pub const PTRACE_SET_THREAD_AREA: u32 = 26;
    pub const PTRACE_ARCH_PRCTL: u32 = 30;
    pub const SYSCALL_INFO_NONE: u8 = 0;
    pub const SYSCALL_INFO_ENTRY: u8 = 1;
    pub const SYSCALL_INFO_EXIT: u8 = 2;
    pub const NT_PRSTATUS: u32 = 1;
    pub const NT_FPREGSET: u32 = 2;
    pub const NT_PRXFPREG: u32 = 0x46e6_2b7f;
    /// An XSAVE area.
    pub const NT_X86_XSTATE: u32 = 0x202;
    /// The shadow stack, which the processor does not claim to have.
    pub const NT_X86_SHSTK: u32 = 0x204;
    pub const AUDIT_ARCH_I386: u32 = 0x4000_0003;
    pub const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    /// Results of interrupted calls, which only tracers see: made again if the handler says so; if there is none.
    pub const ERESTARTSYS: u64 = 512;
    pub const ERESTARTNOINTR: u64 = 513;
    pub const ERESTARTNOHAND: u64 = 514;
}
pub use kernel::*;
