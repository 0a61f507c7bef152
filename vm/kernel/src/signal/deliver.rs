//! Acting on pending signals: what happens whenever a task is about to return to its program.

use std::rc::Rc;

use abi::Errno;
use abi::signal::*;
use cpu::reg;

use super::frame::{self, Frame, Popped};
use super::{Action, AltStack, DefaultAction, FrameKind, SigInfo, SignalSet};
use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop};
use crate::syscall::set_result;
use crate::task::{ExitStatus, Process, Restart, Task};
use crate::trace::calls::settle_interrupted;

/// Bytes of `syscall` as of `int 0x80`, by which a call is made again after a handler.
const SYSCALL_INSTRUCTION_BYTES: u64 = 2;

impl Kernel {
    /// Whether a task has a signal to act on.
    pub fn has_signal(&self, task: &Rc<Task>) -> bool {
        let pending = task.pending.borrow().set().with(task.process.pending.borrow().set());
        !pending.without(task.blocked.get()).is_empty()
    }

    /// Acts on all signals that `task` has pending. Afterwards it may have ended or stopped.
    ///
    /// # Errors
    /// Only `Wait`: the stack a frame goes to is not there yet.
    pub fn deliver_signals(&mut self, task: &Rc<Task>) -> Outcome<()> {
        while let Some(info) = self.take_signal(task) {
            let signal = info.signal;
            let action = task.process.actions().borrow().get(signal);
            match action.handler {
                SIG_IGN => {}
                SIG_DFL => {
                    if self.default_action(task, signal) {
                        return Ok(());
                    }
                }
                _ => {
                    self.enter_handler(task, &action, info)?;
                    self.trace_handler_entered(task);
                }
            }
            if task.is_trace_stopped() {
                break;
            }
        }
        if task.is_trace_stopped() {
            return Ok(());
        }
        if task.call.borrow().is_none()
            && let Some(blocked) = task.saved_blocked.take()
        {
            task.blocked.set(blocked);
        }
        settle_interrupted(task, None);
        Ok(())
    }

    /// Returns whether the task no longer runs.
    fn default_action(&mut self, task: &Rc<Task>, signal: u32) -> bool {
        match DefaultAction::of(signal) {
            DefaultAction::Ignore | DefaultAction::Continue => false,
            DefaultAction::Stop => {
                // Nobody could ever continue an orphaned group that its terminal stopped.
                if signal != SIGSTOP && self.is_orphaned_group(task.process.group.get()) {
                    return false;
                }
                self.stop_process(&task.process, signal);
                true
            }
            kind @ (DefaultAction::Terminate | DefaultAction::Core) => {
                // The bit says that a core was dumped, for which there must be leave.
                let allowed = task.process.limits.borrow().soft(abi::process::RLIMIT_CORE) > 0;
                let core = kind == DefaultAction::Core && allowed;
                let status = ExitStatus::Signal { signal, core };
                if !self.trace_death(task, status) {
                    self.exit_process(&task.process, status);
                }
                true
            }
        }
    }

    fn enter_handler(&mut self, task: &Rc<Task>, action: &Action, info: SigInfo) -> Outcome<()> {
        let signal = info.signal;
        settle_interrupted(task, Some(action));
        let before = task.cpu.borrow().clone();
        let call = task.call.take();
        if let Some(call) = &call {
            let told = self.give_time_left(task, call);
            finish_interrupted(task, call, action);
            if told.is_err() {
                set_result(&mut task.cpu.borrow_mut(), Errno::EFAULT.to_result());
            }
            self.futex_cancel(task);
            self.semaphore_cancel(task);
        }
        let blocked = task.saved_blocked.get().unwrap_or(task.blocked.get());
        let alt_stack = task.alt_stack.get();
        let wants_alt = action.flags & SA_ONSTACK != 0 && alt_stack.len > 0;
        let on_alt_stack = wants_alt && !alt_stack.contains(before.gpr(reg::RSP));
        let frame = Frame { action, info: &info, blocked, alt_stack, on_alt_stack };
        match frame.push(&mut task.cpu.borrow_mut(), &task.mm()?) {
            Ok(()) => {}
            Err(wait @ Stop::Wait(_)) => {
                *task.cpu.borrow_mut() = before;
                *task.call.borrow_mut() = call;
                // A tracer has let it through already.
                let again = info.clone();
                if task.with_trace(|trace| trace.injected = Some(info)).is_none() {
                    task.pending.borrow_mut().push(again);
                }
                return Err(wait);
            }
            Err(Stop::Errno(_)) => {
                // No stack for the handler: as if SIGSEGV had no handler.
                task.process.actions().borrow_mut().set(SIGSEGV, Action::default());
                self.force_signal(task, SigInfo::kernel(SIGSEGV));
                return Ok(());
            }
        }
        task.saved_blocked.set(None);
        if alt_stack.is_disarmed_by_use() {
            task.alt_stack.set(AltStack::DISARMED);
        }
        let own = if action.flags & SA_NODEFER != 0 { SignalSet::default() } else { SignalSet::of(&[signal]) };
        task.blocked.set(task.blocked.get().with(action.mask).with(own).without(SignalSet::UNSTOPPABLE));
        if action.flags & SA_RESETHAND != 0 {
            // Its flags stay, as sigaction can tell.
            task.process.actions().borrow_mut().set(signal, Action { handler: SIG_DFL, ..*action });
        }
        Ok(())
    }

    /// Whether no member of a group has a parent in another group of the same session (`setpgid(2)`).
    pub fn is_orphaned_group(&self, group: i32) -> bool {
        let held = |process: &Rc<Process>| {
            let parent = self.tasks.process(process.parent.get());
            parent.is_some_and(|parent| {
                parent.group.get() != group && parent.session.get() == process.session.get() && !parent.is_zombie()
            })
        };
        !self.tasks.group(group).iter().any(held)
    }

    /// `sigreturn(2)`, `rt_sigreturn(2)`.
    pub fn return_from_handler(&mut self, task: &Rc<Task>, kind: FrameKind) -> Outcome<()> {
        let handlers = task.cpu.borrow().gpr(reg::RSP);
        let popped = frame::pop(kind, &mut task.cpu.borrow_mut(), &task.mm()?);
        match popped {
            Ok(Popped { blocked, alt_stack }) => {
                task.blocked.set(blocked);
                // As if the handler had asked for it: on x86-64 at its end, when a stack that it is on can't be changed
                // unless it was disarmed, on i386 after it.
                let now = task.alt_stack.get();
                let stack_pointer =
                    if kind == FrameKind::WithInfo64 { handlers } else { task.cpu.borrow().gpr(reg::RSP) };
                let restored = alt_stack.and_then(|wanted| now.replaced(wanted, stack_pointer).ok());
                task.alt_stack.set(restored.unwrap_or(now));
                task.call_number.set(None);
            }
            Err(Stop::Errno(_)) => {
                self.say_bad_frame(task, kind, handlers);
                self.force_signal(task, SigInfo::kernel(SIGSEGV));
            }
            Err(wait) => return Err(wait),
        }
        Ok(())
    }
}

/// Takes the next signal for a task to act on.
pub(crate) fn next_signal(task: &Rc<Task>) -> Option<SigInfo> {
    if task.is_dead() || task.process.exiting.get().is_some() {
        return None;
    }
    let wanted = SignalSet(!task.blocked.get().0);
    let deadly = task.process.pending.borrow_mut().take(SignalSet::of(&[SIGKILL]));
    if deadly.is_some() {
        return deadly;
    }
    let own = task.pending.borrow_mut().take(wanted);
    own.or_else(|| task.process.pending.borrow_mut().take(wanted))
}

fn restarts(restart: Restart, action: &Action) -> bool {
    restart == Restart::Always || (restart == Restart::IfAsked && action.flags & SA_RESTART != 0)
}

/// Decides what becomes of a system call that a handler interrupts.
fn finish_interrupted(task: &Rc<Task>, call: &crate::task::Call, action: &Action) {
    let mut cpu = task.cpu.borrow_mut();
    if call.done > 0 {
        set_result(&mut cpu, call.done);
    } else if restarts(call.restart, action) {
        cpu.set_gpr(reg::RAX, call.number);
        cpu.rip = cpu.rip.wrapping_sub(SYSCALL_INSTRUCTION_BYTES);
    } else {
        set_result(&mut cpu, Errno::EINTR.to_result());
    }
}
