//! This machine's processor: a traced child whose code and data pages are shared with us.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cpu::Mode;
use cpu::fpu::F80;
use nix::libc::user_fpregs_struct;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::ptrace::{self, regset};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::generate::Case;
use super::state::{Outcome, State};

/// Where code lies, in the child and in the guest.
pub const CODE: u64 = 0x1000_0000;
pub const CODE_BYTES: usize = 0x4000;
/// Where data lies.
pub const DATA: u64 = 0x2000_0000;
pub const DATA_BYTES: usize = 0x2000;
/// A page after the data that can only be read; after it there is nothing.
pub const READ_ONLY: u64 = DATA + DATA_BYTES as u64;
pub const READ_ONLY_BYTES: usize = 0x1000;

/// Linux's segments of 32-bit programs. 64-bit ones have no data segments.
const CODE_SEGMENT_32: u64 = 0x23;
const DATA_SEGMENT_32: u64 = 0x2b;

/// One at a time: they lie at the same addresses.
static ONE: Mutex<()> = Mutex::new(());

/// A stopped child to single-step.
pub struct Host {
    _one: MutexGuard<'static, ()>,
    child: Pid,
    regs: nix::libc::user_regs_struct,
    fpregs: user_fpregs_struct,
}

fn map(addr: u64, bytes: usize, protection: ProtFlags) {
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED_NOREPLACE;
    // SAFETY: fresh pages at a place nothing else uses.
    unsafe { mmap_anonymous(NonZeroUsize::new(addr as usize), NonZeroUsize::new(bytes).unwrap(), protection, flags) }
        .expect("fixed pages");
}

fn slice(addr: u64, bytes: usize) -> &'static mut [u8] {
    // SAFETY: mapped by `Host::start` for good; the child is stopped whenever we look.
    unsafe { std::slice::from_raw_parts_mut(addr as *mut u8, bytes) }
}

impl Host {
    pub fn start() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let data = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        map(CODE, CODE_BYTES, data | ProtFlags::PROT_EXEC);
        map(DATA, DATA_BYTES, data);
        map(READ_ONLY, READ_ONLY_BYTES, ProtFlags::PROT_READ);
        // SAFETY: the child only stops itself.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Child => {
                ptrace::traceme().expect("traceme");
                raise(Signal::SIGSTOP).expect("stop");
                unreachable!("the child runs test instructions only");
            }
            ForkResult::Parent { child } => {
                waitpid(child, None).expect("child stops");
                ptrace::setoptions(child, ptrace::Options::PTRACE_O_EXITKILL).expect("options");
                let regs = ptrace::getregs(child).expect("registers");
                let fpregs = ptrace::getregset::<regset::NT_PRFPREG>(child).expect("floating point");
                Self { _one: one, child, regs, fpregs }
            }
        }
    }

    pub fn run(&mut self, case: &Case) -> Outcome {
        slice(case.rip, case.bytes.len() + 1)[..case.bytes.len()].copy_from_slice(&case.bytes);
        slice(case.rip, case.bytes.len() + 1)[case.bytes.len()] = 0xcc;
        slice(DATA, DATA_BYTES).copy_from_slice(&case.data);
        self.load(&case.state, case.rip, case.mode);
        let mut signal;
        loop {
            ptrace::step(self.child, None).expect("step");
            signal = match waitpid(self.child, None).expect("wait") {
                WaitStatus::Stopped(_, Signal::SIGTRAP) => None,
                // A non-canonical address relative to the stack registers is a stack fault.
                WaitStatus::Stopped(_, Signal::SIGBUS) => Some("SIGSEGV"),
                WaitStatus::Stopped(_, other) => Some(other.as_str()),
                other => panic!("{other:?} at {:02x?}", case.bytes),
            };
            // A repeated string instruction steps an element at a time.
            let rip = ptrace::getregs(self.child).expect("registers").rip;
            if signal.is_some() || rip != case.rip || !case.may_pause {
                break;
            }
        }
        let regs = ptrace::getregs(self.child).expect("registers");
        let fpregs = self.floating_point(&regs);
        Outcome { state: state_of(&regs, &fpregs), rip: regs.rip, data: slice(DATA, DATA_BYTES).to_vec(), signal }
    }

    /// Runs from `rip` to the next signal; returns it with the address it is about. Nothing ends code that goes round in
    /// circles.
    pub fn go(&mut self, state: &State, rip: u64) -> (State, u64, Signal, u64) {
        self.load(state, rip, Mode::Long);
        ptrace::cont(self.child, None).expect("run");
        let signal = match waitpid(self.child, None).expect("wait") {
            WaitStatus::Stopped(_, signal) => signal,
            other => panic!("{other:?}"),
        };
        let info = ptrace::getsiginfo(self.child).expect("signal");
        let regs = ptrace::getregs(self.child).expect("registers");
        let fpregs = self.floating_point(&regs);
        // SAFETY: only read for signals that have an address.
        let addr = unsafe { info.si_addr() } as u64;
        (state_of(&regs, &fpregs), regs.rip, signal, addr)
    }

    /// The child's memory, of the three mappings above.
    pub fn memory(&mut self, addr: u64, bytes: usize) -> &mut [u8] {
        slice(addr, bytes)
    }

    fn load(&mut self, state: &State, rip: u64, mode: Mode) {
        let State { gpr, flags, bases, xmm, st, control, status, valid, mxcsr } = state;
        let mut regs = self.regs;
        [regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi] = gpr[..8].try_into().unwrap();
        [regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15] = gpr[8..].try_into().unwrap();
        regs.eflags = *flags | 0x202;
        [regs.fs_base, regs.gs_base] = *bases;
        regs.rip = rip;
        // Or the kernel would restart a system call.
        regs.orig_rax = u64::MAX;
        self.set_mode(&regs, Mode::Long);
        let mut fp = self.fpregs;
        fp.cwd = *control;
        fp.swd = *status;
        fp.ftw = u16::from(*valid);
        fp.mxcsr = *mxcsr;
        for (i, register) in st.iter().enumerate() {
            fp.st_space[4 * i] = register.mantissa as u32;
            fp.st_space[4 * i + 1] = (register.mantissa >> 32) as u32;
            fp.st_space[4 * i + 2] = register.sign_exponent.into();
        }
        for (i, value) in xmm.iter().enumerate() {
            for part in 0..4 {
                fp.xmm_space[4 * i + part] = (value >> (32 * part)) as u32;
            }
        }
        ptrace::setregset::<regset::NT_PRFPREG>(self.child, fp).expect("floating point");
        self.set_mode(&regs, mode);
    }

    /// Sets the registers, and what code they are to run.
    fn set_mode(&mut self, regs: &nix::libc::user_regs_struct, mode: Mode) {
        let mut regs = *regs;
        (regs.cs, regs.ds, regs.es) = (self.regs.cs, self.regs.ds, self.regs.es);
        if mode == Mode::Compat {
            (regs.cs, regs.ds, regs.es) = (CODE_SEGMENT_32, DATA_SEGMENT_32, DATA_SEGMENT_32);
        }
        ptrace::setregs(self.child, regs).expect("registers");
    }

    /// The floating-point registers; the kernel hands out others while the child runs 32-bit code.
    fn floating_point(&mut self, regs: &nix::libc::user_regs_struct) -> user_fpregs_struct {
        // The kernel does not take back every segment base that code can set.
        let (fs_base, gs_base) = (self.regs.fs_base, self.regs.gs_base);
        self.set_mode(&nix::libc::user_regs_struct { fs_base, gs_base, ..*regs }, Mode::Long);
        ptrace::getregset::<regset::NT_PRFPREG>(self.child).expect("floating point")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = ptrace::kill(self.child);
        let _ = waitpid(self.child, None);
        for (addr, bytes) in [(CODE, CODE_BYTES), (DATA, DATA_BYTES), (READ_ONLY, READ_ONLY_BYTES)] {
            // SAFETY: mapped by `start`; the slices into it do not outlive the host.
            let _ = unsafe { munmap(NonNull::new(addr as *mut c_void).unwrap(), bytes) };
        }
    }
}

fn state_of(regs: &nix::libc::user_regs_struct, fp: &user_fpregs_struct) -> State {
    let st = |i: usize| F80 {
        mantissa: u64::from(fp.st_space[4 * i]) | u64::from(fp.st_space[4 * i + 1]) << 32,
        sign_exponent: fp.st_space[4 * i + 2] as u16,
    };
    let xmm = |i: usize| (0..4).fold(0, |value, part| value | u128::from(fp.xmm_space[4 * i + part]) << (32 * part));
    State {
        gpr: [
            regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi, regs.r8, regs.r9, regs.r10,
            regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
        ],
        flags: regs.eflags,
        bases: [regs.fs_base, regs.gs_base],
        xmm: std::array::from_fn(xmm),
        st: std::array::from_fn(st),
        control: fp.cwd,
        status: fp.swd,
        valid: fp.ftw as u8,
        mxcsr: fp.mxcsr,
    }
}
