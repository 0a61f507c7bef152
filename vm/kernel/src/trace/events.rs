//! Events that a tracer may ask for: fork, exec, exit.

use std::rc::Rc;

use abi::process::{CLONE_PTRACE, CLONE_UNTRACED, CLONE_VFORK};
use abi::ptrace::*;
use abi::signal::*;

use super::{Next, StopKind, Trace};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::task::clone::CloneArgs;
use crate::task::{ExitStatus, Task, Tid};

impl Kernel {
    fn trace_event(&mut self, task: &Rc<Task>, event: u32, message: u64) {
        task.with_trace(|trace| trace.message = message);
        self.trace_trap(task, StopKind::Event, event << 8 | SIGTRAP);
    }

    /// A traced task has made another: that may be traced too, and its parent stops. Returns whether it does.
    pub(crate) fn trace_clone(&mut self, task: &Rc<Task>, child: &Rc<Task>, args: &CloneArgs) -> bool {
        let Some(trace) = task.trace.borrow().clone() else { return false };
        let (event, option) = match args {
            args if args.flags & CLONE_VFORK != 0 => (PTRACE_EVENT_VFORK, PTRACE_O_TRACEVFORK),
            args if args.exit_signal != SIGCHLD => (PTRACE_EVENT_CLONE, PTRACE_O_TRACECLONE),
            _ => (PTRACE_EVENT_FORK, PTRACE_O_TRACEFORK),
        };
        let announced = trace.has(option) && args.flags & CLONE_UNTRACED == 0;
        if announced || args.flags & CLONE_PTRACE != 0 {
            self.trace_child(child, &trace);
        }
        if args.flags & CLONE_VFORK != 0 && trace.has(PTRACE_O_TRACEVFORKDONE) {
            task.with_trace(|trace| trace.vfork_announced = true);
        }
        if announced {
            self.trace_event(task, event, child.tid() as u64);
        }
        announced
    }

    /// A new task has its parent's tracer, for which it stops at once.
    fn trace_child(&mut self, child: &Rc<Task>, of: &Trace) {
        let Some(tracer) = self.task(of.tracer) else { return };
        let mut trace = Trace { privileged: of.privileged, ..Trace::new(&tracer, of.seized, of.options) };
        if of.seized {
            trace.trap = true;
        } else {
            child.pending.borrow_mut().push(SigInfo::user(SIGSTOP, SI_USER, 0, 0));
        }
        *child.trace.borrow_mut() = Some(trace);
        self.tracees += 1;
    }

    /// `vfork` is over. Returns whether the task stops for that.
    pub(crate) fn trace_vfork_done(&mut self, task: &Rc<Task>, child: Tid) -> bool {
        let due = task.with_trace(|trace| std::mem::take(&mut trace.vfork_announced)) == Some(true);
        if due {
            self.trace_event(task, PTRACE_EVENT_VFORK_DONE, child as u64);
        }
        due
    }

    /// A traced task has started another program; it was thread `former`.
    pub(crate) fn trace_exec(&mut self, task: &Rc<Task>, former: Tid) {
        let Some((wanted, seized)) = task.with_trace(|trace| (trace.has(PTRACE_O_TRACEEXEC), trace.seized)) else {
            return;
        };
        if wanted {
            self.trace_event(task, PTRACE_EVENT_EXEC, former as u64);
        } else if !seized {
            self.signal_task(task, SigInfo::user(SIGTRAP, SI_USER, task.process.pid, task.credentials().uid));
        }
    }

    /// A traced task is about to end. Returns whether it stops before; it then ends when it goes on.
    pub(crate) fn trace_end(&mut self, task: &Rc<Task>, status: ExitStatus) -> bool {
        let wanted = task.with_trace(|trace| trace.has(PTRACE_O_TRACEEXIT) && !trace.end_announced) == Some(true);
        if wanted {
            task.with_trace(|trace| trace.end_announced = true);
            self.trace_event(task, PTRACE_EVENT_EXIT, status.wait_status().into());
        }
        wanted
    }

    /// The same for one that a signal ends: there is no call to be made again.
    pub(crate) fn trace_death(&mut self, task: &Rc<Task>, status: ExitStatus) -> bool {
        let stops = self.trace_end(task, status);
        if stops {
            task.with_trace(|trace| trace.next = Some(Next::End(status)));
        }
        stops
    }
}
