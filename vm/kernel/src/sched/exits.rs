//! Why a program has stopped running: calls, page faults, exceptions, interrupts.

use std::rc::Rc;

use abi::i386::SYSTEM_CALL_VECTOR;
use abi::signal::*;
use cpu::{Exception, Exit, Mode, reg};
use memory::{Access, Fault};

use crate::exec::vdso;
use crate::kernel::Kernel;
use crate::mm::FaultError;
use crate::signal::SigInfo;
use crate::stop::Stop;
use crate::syscall::{Abi, set_result};
use crate::task::Task;

/// Number of the exception #GP.
const GENERAL_PROTECTION: u8 = 13;
/// First address that no 64-bit pointer of a program can hold.
const CANONICAL_END: u64 = 1 << 47;

impl Kernel {
    pub(super) fn handle_exit(&mut self, task: &Rc<Task>, exit: Exit) {
        match exit {
            Exit::Syscall => self.start_call(task, Abi::X86_64),
            Exit::Interrupt(SYSTEM_CALL_VECTOR) => self.start_call(task, Abi::I386),
            Exit::Sysenter => self.enter_by_sysenter(task),
            Exit::Interrupted => {}
            Exit::Fault(fault) => {
                self.faulted = true;
                let Ok(mm) = task.mm() else { return };
                match mm.resolve(fault.addr, fault.access) {
                    Ok(()) => {}
                    Err(FaultError::Wait(wait)) => self.sleep(task, wait),
                    Err(FaultError::Full) => self.kill_for_memory(&task.process),
                    Err(FaultError::Signal { signal, code }) => {
                        self.force_exception(task, fault_info(signal, code, fault));
                    }
                }
            }
            Exit::Exception(exception) => self.handle_exception(task, exception),
            Exit::Interrupt(vector) => self.handle_interrupt(task, vector),
        }
    }

    fn handle_exception(&mut self, task: &Rc<Task>, exception: Exception) {
        let rip = task.cpu.borrow().rip;
        let info = match exception {
            Exception::Divide => SigInfo::fault(SIGFPE, FPE_INTDIV, rip),
            Exception::X87 => {
                SigInfo::fault(SIGFPE, floating_point_code(task.cpu.borrow().fpu.pending()), rip).with_trap(16, 0)
            }
            Exception::Simd => {
                let mxcsr = task.cpu.borrow().mxcsr;
                let unmasked = mxcsr & !(mxcsr >> 7) & 0x3f;
                SigInfo::fault(SIGFPE, floating_point_code(unmasked as u16), rip).with_trap(19, 0)
            }
            Exception::Debug => {
                task.with_trace(|trace| trace.debug.note(0, true));
                SigInfo::fault(SIGTRAP, TRAP_TRACE, rip).with_trap(1, 0)
            }
            Exception::Breakpoint => SigInfo::kernel(SIGTRAP).with_trap(3, 0),
            Exception::InvalidOpcode => {
                self.log_unknown_instruction(task, rip);
                SigInfo::fault(SIGILL, ILL_ILLOPN, rip).with_trap(6, 0)
            }
            Exception::Overflow => SigInfo::kernel(SIGSEGV).with_trap(4, 0),
            Exception::Bound => SigInfo::kernel(SIGSEGV).with_trap(5, 0),
            Exception::GeneralProtection(code) => SigInfo::kernel(SIGSEGV).with_trap(GENERAL_PROTECTION, code),
        };
        self.force_exception(task, info);
    }

    fn log_unknown_instruction(&mut self, task: &Rc<Task>, rip: u64) {
        let bytes = task.mm().and_then(|mm| mm.peek(rip, 15)).unwrap_or_default();
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = String::from_utf8_lossy(&task.name.borrow()).into_owned();
        self.log_once(format!("{name}[{}]: unknown instruction at {rip:#x}: {}", task.tid(), hex.join(" ")));
    }

    /// An `int` with a vector that is no system call's. Programs may use two others (`int3`'s and `into`'s), as traps;
    /// any other is a fault, so the instruction has not happened.
    fn handle_interrupt(&mut self, task: &Rc<Task>, vector: u8) {
        const INSTRUCTION_BYTES: u64 = 2;
        /// A bit of the error code: it is about an interrupt vector.
        const IN_INTERRUPT_TABLE: u16 = 2;
        match vector {
            3 => self.handle_exception(task, Exception::Breakpoint),
            4 => self.handle_exception(task, Exception::Overflow),
            _ => {
                let rip = task.cpu.borrow().rip;
                task.cpu.borrow_mut().rip = rip.wrapping_sub(INSTRUCTION_BYTES);
                let code = u16::from(vector) << 3 | IN_INTERRUPT_TABLE;
                self.handle_exception(task, Exception::GeneralProtection(code));
            }
        }
    }

    /// `sysenter` tells nobody where it was: it always returns into the vDSO, which has put the sixth argument on the
    /// stack (`do_SYSENTER_32`).
    fn enter_by_sysenter(&mut self, task: &Rc<Task>) {
        let Ok(mm) = task.mm() else { return };
        let stack = task.cpu.borrow().gpr(reg::RSP) & 0xffff_ffff;
        let argument = match mm.read_u32(stack) {
            Ok(argument) => Ok(argument),
            Err(Stop::Errno(errno)) => Err(errno),
            Err(Stop::Wait(wait)) => return self.sleep(task, wait),
        };
        {
            let mut cpu = task.cpu.borrow_mut();
            cpu.rip = mm.vdso.get() + vdso::image().landing_pad;
            cpu.mode = Mode::Compat;
            match argument {
                Ok(argument) => cpu.set_gpr(reg::RBP, argument.into()),
                Err(errno) => set_result(&mut cpu, errno.to_result()),
            }
        }
        if argument.is_ok() {
            self.start_call(task, Abi::I386);
        }
    }
}

fn fault_info(signal: u32, code: i32, fault: Fault) -> SigInfo {
    /// Exception number and error code bits of a page fault (Intel SDM vol. 3, 4.7).
    const PAGE_FAULT: u8 = 14;
    const PRESENT: u16 = 1;
    const WRITE: u16 = 2;
    const USER: u16 = 4;
    const FETCH: u16 = 16;
    let addr = fault.addr.0;
    // The processor raises #GP, not #PF, for an address that is not canonical, and then nobody knows the address.
    if (CANONICAL_END..u64::MAX - CANONICAL_END).contains(&addr) {
        return SigInfo::kernel(SIGSEGV).with_trap(GENERAL_PROTECTION, 0);
    }
    let access = match fault.access {
        Access::Read => 0,
        Access::Write => WRITE,
        Access::Execute => FETCH,
    };
    let present = if code == SEGV_ACCERR { PRESENT } else { 0 };
    SigInfo::fault(signal, code, addr).with_trap(PAGE_FAULT, USER | access | present)
}

/// SIGFPE's `si_code` for unmasked exceptions of either unit (Linux's `fpu__exception_code`).
fn floating_point_code(exceptions: u16) -> i32 {
    use cpu::x87::status::{DENORMAL, INVALID, OVERFLOW, UNDERFLOW, ZERO_DIVIDE};
    match exceptions {
        e if e & INVALID != 0 => FPE_FLTINV,
        e if e & ZERO_DIVIDE != 0 => FPE_FLTDIV,
        e if e & OVERFLOW != 0 => FPE_FLTOVF,
        e if e & (DENORMAL | UNDERFLOW) != 0 => FPE_FLTUND,
        _ => FPE_FLTRES,
    }
}
