//! Making system calls: once, or again and again until what they wait for is there.

use std::rc::Rc;

use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop, Wait};
use crate::syscall::{Abi, set_result};
use crate::task::{Call, RunState, Task};

impl Kernel {
    pub(super) fn start_call(&mut self, task: &Rc<Task>, abi: Abi) {
        let (number, args) = abi.registers(&task.cpu.borrow());
        let call = Call { abi, number, args, ..Call::default() };
        *task.call.borrow_mut() = Some(call);
        if task.is_traced() || task.interrupted.get().is_some() {
            self.trace_call_entry(task);
            if task.is_trace_stopped() {
                return;
            }
        }
        self.make_call(task);
    }

    /// Makes the call that `task` is in, for the first time or again.
    pub(super) fn make_call(&mut self, task: &Rc<Task>) {
        let entering = task.call.borrow().as_ref().is_some_and(|call| call.entering);
        if entering && !self.trace_call_entered(task) {
            return;
        }
        let call = task.call.borrow().as_ref().map(|call| (call.abi, call.number, call.args));
        let Some((abi, number, args)) = call else { return };
        let is_new = !task.with_call(|call| call.is_retry);
        if is_new && !self.may_call(task, abi, number, args) {
            // Its tracer may be deciding about it.
            let is_over = task.call.borrow().is_none();
            if task.is_traced() && !task.is_dead() && is_over {
                self.trace_call_exit(task);
            }
            return;
        }
        task.with_call(|call| call.queues.clear());
        let outcome = crate::syscall::dispatch(self, task, abi, number, args);
        self.tell_watchers();
        if self.traces_calls {
            self.trace_call(task, abi.name(number), args, &outcome);
        }
        let value = match outcome {
            Ok(value) => value,
            Err(Stop::Errno(errno)) => errno.to_result(),
            Err(Stop::Wait(wait)) => return self.wait_in_call(task, wait),
        };
        // `rt_sigreturn` and `execve` have taken the call away: the registers are theirs.
        if !task.is_dead() && task.call.take().is_some() {
            set_result(&mut task.cpu.borrow_mut(), value);
        }
        if task.is_traced() && !task.is_dead() {
            self.trace_call_exit(task);
        }
    }

    /// Logs a call and its result, much as strace does.
    fn trace_call(&mut self, task: &Rc<Task>, name: Option<&str>, args: [u64; 6], outcome: &Outcome<u64>) {
        let name = name.unwrap_or("unknown");
        let args: Vec<String> = args.iter().map(|arg| format!("{arg:#x}")).collect();
        self.host.log(&format!("[{}] {name}({}) = {outcome:x?}", task.tid(), args.join(", ")));
    }

    /// A call can't go on: a signal interrupts it, or the task sleeps.
    fn wait_in_call(&mut self, task: &Rc<Task>, wait: Wait) {
        if task.is_dead() || task.run_state.get() == RunState::Stopped {
            return;
        }
        task.with_call(|call| call.is_retry = true);
        if task.is_trace_stopped() {
            return;
        }
        let interruptible = matches!(wait, Wait::On(_) | Wait::Listed | Wait::Signal);
        if interruptible && task.is_traced() && (self.has_signal(task) || self.has_trace_work(task)) {
            return self.trace_interrupt_call(task);
        }
        if interruptible && self.has_signal(task) {
            let delivered = self.deliver_signals(task);
            if let Err(Stop::Wait(wait)) = delivered {
                return self.sleep(task, wait);
            }
            let interrupted = task.call.borrow().is_none();
            if interrupted || task.run_state.get() != RunState::Ready {
                return;
            }
        }
        self.sleep(task, wait);
    }
}
