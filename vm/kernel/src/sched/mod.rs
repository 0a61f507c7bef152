//! The scheduler: runs tasks in turn, and lets them sleep and wake.
//!
//! | module | subject |
//! |---|---|
//! | [`exits`] | why a program has stopped running |
//! | [`calls`] | making system calls |
//! | [`waits`] | sleeping and waking |

mod calls;
mod exits;
mod waits;

use std::rc::Rc;

use abi::signal::*;
use cpu::{Engine, Exception, Exit};

use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::Stop;
use crate::task::{RunState, Task};
use crate::trace::watch;

/// Guest instructions a task runs before it is another's turn: a few milliseconds, so typing stays pleasant.
const QUANTUM_INSTRUCTIONS: u64 = 400_000;
/// What a system call counts for, so that a task that does little else has its turns cut too.
const CALL_COST_INSTRUCTIONS: u64 = 400;
/// What a page fault counts for: it bounds the memory that can be taken between two looks at how much there is.
const FAULT_COST_INSTRUCTIONS: u64 = 100;

/// What a slice of running came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slice {
    /// The budget is used up, or there is more to do.
    Ran,
    /// Every task sleeps. Something must come from outside, or this time (monotonic clock).
    Idle {
        /// When the next timer is due.
        wake_at_ns: Option<u64>,
    },
    /// There are no tasks.
    AllExited,
}

impl Kernel {
    /// Runs tasks for about `budget` guest instructions, or until none can run.
    pub fn run_slice(&mut self, engine: &mut dyn Engine, budget: u64) -> Slice {
        if let Some(since_ns) = self.idle_since_ns.take() {
            self.idle_ns += self.host.monotonic_ns().saturating_sub(since_ns);
        }
        self.load.advance(self.host.monotonic_ns(), self.ready.len());
        let mut spent = 0;
        while spent < budget {
            self.fire_timers();
            let Some(tid) = self.ready.pop_front() else {
                self.tell(engine);
                self.idle_since_ns = Some(self.host.monotonic_ns());
                return match self.tasks.tasks().is_empty() {
                    true => Slice::AllExited,
                    false => Slice::Idle { wake_at_ns: self.timers.next_ns() },
                };
            };
            if let Some(task) = self.task(tid).filter(|task| task.run_state.get() == RunState::Ready) {
                spent += self.run_task(engine, &task, QUANTUM_INSTRUCTIONS.min(budget - spent));
            }
        }
        self.tell(engine);
        Slice::Ran
    }

    /// Lets one task run until it sleeps, ends or has had its turn; returns what that cost.
    fn run_task(&mut self, engine: &mut dyn Engine, task: &Rc<Task>, quantum: u64) -> u64 {
        let start_ns = self.host.monotonic_ns();
        self.set_file_time();
        self.context_switches += 1;
        self.tasks.set_current(Some(task.clone()));
        let mut spent = 0;
        if task.call.borrow().is_some() {
            self.make_call(task);
            spent += CALL_COST_INSTRUCTIONS;
        }
        while task.call.borrow().is_none() && self.can_return_to_program(task) && spent < quantum {
            let before = engine.instructions();
            let (exit, hits) = self.run_program(engine, task, quantum - spent);
            spent += engine.instructions() - before + 1;
            spent += match exit {
                Exit::Syscall | Exit::Sysenter | Exit::Interrupt(_) => CALL_COST_INSTRUCTIONS,
                Exit::Fault(_) => FAULT_COST_INSTRUCTIONS,
                _ => 0,
            };
            match hits {
                0 => self.handle_exit(task, exit),
                hits => self.handle_watched(task, exit, hits),
            }
        }
        self.check_memory(task);
        self.tell_watchers();
        self.tell(engine);
        let used_ns = self.host.monotonic_ns().saturating_sub(start_ns);
        task.cpu_time_ns.set(task.cpu_time_ns.get() + used_ns);
        self.charge_cpu_time(&task.process);
        if task.run_state.get() == RunState::Ready && !self.ready.contains(&task.tid()) {
            self.ready.push_back(task.tid());
        }
        self.tasks.set_current(None);
        spent
    }

    /// Acts on signals; returns whether the task goes on in its program now.
    fn can_return_to_program(&mut self, task: &Rc<Task>) -> bool {
        if task.run_state.get() != RunState::Ready {
            return false;
        }
        if task.is_traced() && self.has_trace_work(task) && self.trace_before_signals(task) {
            return false;
        }
        let was_in_call = task.saved_blocked.get().is_some() || task.interrupted.get().is_some();
        if (self.has_signal(task) || was_in_call || self.has_trace_work(task))
            && let Err(Stop::Wait(wait)) = self.deliver_signals(task)
        {
            self.sleep(task, wait);
        }
        task.run_state.get() == RunState::Ready
    }

    /// Runs a task; returns what it stopped for, and what of its debug registers has to do with that.
    fn run_program(&mut self, engine: &mut dyn Engine, task: &Rc<Task>, budget: u64) -> (Exit, u64) {
        let Ok(mm) = task.mm() else { return (Exit::Interrupted, 0) };
        if self.swap_in(&mm).is_err() {
            self.kill_for_memory(&task.process);
            return (Exit::Interrupted, 0);
        }
        self.tell(engine);
        let steps = task.with_trace(|trace| trace.resume.steps());
        if steps.is_some() {
            task.call_number.set(None);
        }
        if task.with_trace(|trace| trace.debug.is_active()) == Some(true) {
            return watch::run(task, engine, &mm, budget, steps == Some(true));
        }
        let mut cpu = task.cpu.borrow_mut();
        let mut space = mm.space.borrow_mut();
        if steps == Some(true) {
            return (engine.step(&mut cpu, &mut space), 0);
        }
        (engine.run(&mut cpu, &mut space, budget), 0)
    }

    /// A task has done what its debug registers watch for.
    fn handle_watched(&mut self, task: &Rc<Task>, exit: Exit, hits: u64) {
        let rip = task.cpu.borrow().rip;
        task.with_trace(|trace| trace.debug.note(hits, trace.resume.steps()));
        if exit != Exit::Exception(Exception::Debug) {
            self.handle_exit(task, exit);
        }
        let code = if task.with_trace(|trace| trace.resume.steps()) == Some(true) { TRAP_TRACE } else { TRAP_HWBKPT };
        self.force_signal(task, SigInfo::fault(SIGTRAP, code, rip).with_trap(1, 0));
    }

    fn tell(&mut self, engine: &mut dyn Engine) {
        for (parent, child) in self.forked_spaces.drain(..) {
            if let Some(child) = child.upgrade() {
                engine.forked(parent, &mut child.space.borrow_mut());
            }
        }
        for space in self.moved_spaces.drain(..) {
            engine.moved(space);
        }
        for space in self.dead_spaces.drain(..) {
            engine.forget(space);
        }
    }
}
