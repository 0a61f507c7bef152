//! System calls of traced tasks.

use std::rc::Rc;

use abi::Errno;
use abi::ptrace::*;
use abi::signal::*;
use cpu::reg;

use super::{Next, Resume, StopKind};
use crate::kernel::Kernel;
use crate::signal::{Action, SigInfo};
use crate::syscall::{Abi, set_result};
use crate::task::{Call, Restart, Task};

/// Bytes of `syscall` as of `int 0x80`, by which a call is made again.
const SYSCALL_INSTRUCTION_BYTES: u64 = 2;
/// A call number that stands for no call: a tracer has taken it away.
const NO_CALL: u32 = u32::MAX;
/// Beside a trap's signal: it is a call's (`PTRACE_O_TRACESYSGOOD`).
const GOOD: u32 = 0x80;

/// A call that a signal has interrupted.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted {
    number: u64,
    deadline_ns: Option<u64>,
}

impl Kernel {
    fn trace_call_stop(&mut self, task: &Rc<Task>, kind: StopKind) {
        let good = task.with_trace(|trace| trace.has(PTRACE_O_TRACESYSGOOD)) == Some(true);
        self.trace_trap(task, kind, SIGTRAP | if good { GOOD } else { 0 });
    }

    /// A traced task makes a call: it may have to stop first. What its registers say from now on is that it is in one.
    pub(crate) fn trace_call_entry(&mut self, task: &Rc<Task>) {
        let Some((number, abi)) = task.call.borrow().as_ref().map(|call| (call.number, call.abi)) else { return };
        task.call_number.set(Some(number));
        task.call_abi.set(abi);
        if let Some(interrupted) = task.interrupted.take().filter(|interrupted| interrupted.number == number) {
            task.with_call(|call| call.deadline_ns = interrupted.deadline_ns);
        }
        let resume = task.with_trace(|trace| trace.resume).unwrap_or_default();
        if resume == Resume::ToSyscall || resume.emulates() {
            set_result(&mut task.cpu.borrow_mut(), Errno::ENOSYS.to_result());
            task.with_call(|call| (call.entering, call.emulated) = (true, resume.emulates()));
            self.trace_call_stop(task, StopKind::SyscallEntry);
        }
    }

    /// A filter says that a call is for the task's tracer to decide on. Returns whether there is one, and the task has
    /// stopped.
    pub(crate) fn trace_filtered(&mut self, task: &Rc<Task>, data: u16) -> bool {
        if task.with_trace(|trace| trace.has(PTRACE_O_TRACESECCOMP)) != Some(true) {
            return false;
        }
        set_result(&mut task.cpu.borrow_mut(), Errno::ENOSYS.to_result());
        task.with_call(|call| (call.entering, call.asked) = (true, true));
        task.with_trace(|trace| trace.message = data.into());
        self.trace_trap(task, StopKind::Filter, PTRACE_EVENT_SECCOMP << 8 | SIGTRAP);
        true
    }

    /// A task goes on after it has stopped at a call: the call is now what the registers say. Returns whether there is
    /// one left.
    pub(crate) fn trace_call_entered(&mut self, task: &Rc<Task>) -> bool {
        let (_, args) = task.call_abi.get().registers(&task.cpu.borrow());
        let emulated = task.with_call(|call| call.emulated);
        let number = task.call_number.get().filter(|number| *number as u32 != NO_CALL && !emulated);
        match number {
            Some(number) => task.with_call(|call| (call.entering, call.number, call.args) = (false, number, args)),
            None => {
                task.call.take();
                self.trace_call_exit(task);
            }
        }
        number.is_some()
    }

    /// A traced task returns from a call: it may have to stop.
    pub(crate) fn trace_call_exit(&mut self, task: &Rc<Task>) {
        // It has stopped in the midst of it, and returns once it goes on.
        if task.is_trace_stopped() {
            task.with_trace(|trace| trace.next = Some(Next::ReturnFromCall));
            return;
        }
        match task.with_trace(|trace| trace.resume) {
            Some(Resume::ToSyscall) => self.trace_call_stop(task, StopKind::SyscallExit),
            Some(Resume::Step) => {
                let rip = task.cpu.borrow().rip;
                self.force_signal(task, SigInfo::fault(SIGTRAP, TRAP_BRKPT, rip).with_trap(1, 0));
            }
            _ => {}
        }
    }

    /// Ends the call that a traced task sleeps in: its registers say that it was interrupted.
    pub(crate) fn trace_interrupt_call(&mut self, task: &Rc<Task>) {
        if task.call.borrow().as_ref().is_none_or(|call| call.entering) {
            return;
        }
        let Some(call) = task.call.take() else { return };
        self.futex_cancel(task);
        self.semaphore_cancel(task);
        task.call_number.set(Some(call.number));
        task.call_abi.set(call.abi);
        let told = self.give_time_left(task, &call);
        let result = if told.is_ok() { interrupted_result(&call) } else { Errno::EFAULT.to_result() };
        set_result(&mut task.cpu.borrow_mut(), result);
        task.interrupted.set(Some(Interrupted { number: call.number, deadline_ns: call.deadline_ns }));
        self.trace_call_exit(task);
    }
}

/// What the registers say of an interrupted call.
fn interrupted_result(call: &Call) -> u64 {
    match call.restart {
        _ if call.done > 0 => call.done,
        Restart::IfAsked => ERESTARTSYS.wrapping_neg(),
        Restart::Never => ERESTARTNOHAND.wrapping_neg(),
        Restart::Always => ERESTARTNOINTR.wrapping_neg(),
    }
}

/// What becomes of a call whose registers say that it was interrupted, when `action`'s handler is entered, or the
/// program goes on without one (`None`).
pub(crate) fn settle_interrupted(task: &Rc<Task>, action: Option<&Action>) {
    let Some(number) = task.call_number.get() else { return };
    let mut cpu = task.cpu.borrow_mut();
    let result = match task.call_abi.get() {
        Abi::X86_64 => cpu.gpr(reg::RAX),
        Abi::I386 => cpu.gpr(reg::RAX) as i32 as u64,
    };
    let again = match (result.wrapping_neg(), action) {
        (ERESTARTSYS, Some(action)) => action.flags & SA_RESTART != 0,
        (ERESTARTNOHAND, Some(_)) => false,
        (ERESTARTSYS | ERESTARTNOHAND, None) | (ERESTARTNOINTR, _) => true,
        _ => return,
    };
    if again {
        cpu.set_gpr(reg::RAX, number);
        cpu.rip = cpu.rip.wrapping_sub(SYSCALL_INSTRUCTION_BYTES);
    } else {
        set_result(&mut cpu, Errno::EINTR.to_result());
        task.interrupted.set(None);
    }
    task.call_number.set(None);
}
