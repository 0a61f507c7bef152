//! The scheduler: runs tasks in turn, and lets them sleep and wake.

use std::rc::Rc;

use abi::i386::SYSTEM_CALL_VECTOR;
use abi::signal::*;
use cpu::{Engine, Exception, Exit, Mode, reg};
use memory::{Access, Fault};

use crate::exec::vdso;
use crate::kernel::Kernel;
use crate::mm::FaultError;
use crate::signal::SigInfo;
use crate::stop::{Outcome, Stop, Wait};
use crate::syscall::{Abi, set_result};
use crate::task::{Call, RunState, Task};
use crate::timer::TimerEvent;
use crate::trace::watch;
use crate::wait::{QueueId, WaitQueue};

/// Guest instructions a task runs before it is another's turn: a few milliseconds, so typing stays pleasant.
const QUANTUM_INSTRUCTIONS: u64 = 400_000;
/// What a system call counts for, so that a task that does little else has its turns cut too.
const CALL_COST_INSTRUCTIONS: u64 = 400;
/// What a page fault counts for: it bounds the memory that can be taken between two looks at how much there is.
const FAULT_COST_INSTRUCTIONS: u64 = 100;
/// Number of the exception #GP.
const GENERAL_PROTECTION: u8 = 13;
/// First address that no 64-bit pointer of a program can hold.
const CANONICAL_END: u64 = 1 << 47;

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
        self.tell(engine);
        let Ok(mm) = task.mm() else { return (Exit::Interrupted, 0) };
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
        for space in self.dead_spaces.drain(..) {
            engine.forget(space);
        }
    }

    fn handle_exit(&mut self, task: &Rc<Task>, exit: Exit) {
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

    // ---- system calls ----

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

    fn start_call(&mut self, task: &Rc<Task>, abi: Abi) {
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
    fn make_call(&mut self, task: &Rc<Task>) {
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

    // ---- sleeping and waking ----

    /// Puts a task to sleep.
    pub(crate) fn sleep(&mut self, task: &Rc<Task>, wait: Wait) {
        let (queues, state): (Vec<QueueId>, RunState) = match wait {
            Wait::Turn => return self.make_ready(task),
            Wait::Disk => {
                self.disk_waiters.push(task.tid());
                (Vec::new(), RunState::SleepingOnDisk)
            }
            Wait::On(queue) => (vec![queue], RunState::Sleeping),
            Wait::Signal => (Vec::new(), RunState::Sleeping),
            Wait::Vfork(queue) => (vec![queue], RunState::SleepingHard),
            Wait::Listed => (task.with_call(|call| std::mem::take(&mut call.queues)), RunState::Sleeping),
        };
        for queue in &queues {
            self.waiters.add(*queue, task.tid());
        }
        *task.waiting_on.borrow_mut() = queues;
        task.run_state.set(state);
        task.sleep_count.set(task.sleep_count.get() + 1);
        let deadline_ns = task.call.borrow().as_ref().and_then(|call| call.deadline_ns);
        if let Some(deadline_ns) = deadline_ns.filter(|_| state == RunState::Sleeping) {
            let event = TimerEvent::Wake { tid: task.tid(), sleep: task.sleep_count.get() };
            self.timers.add(deadline_ns, event);
        }
    }

    /// Announces an event: everyone who waits for it looks again.
    pub(crate) fn wake(&mut self, queue: &WaitQueue) {
        queue.count_event();
        self.wake_queue(queue.id());
    }

    /// The same for a queue that can't be borrowed meanwhile, and that no edge-triggered `epoll` looks at.
    pub(crate) fn wake_queue(&mut self, queue: QueueId) {
        for tid in self.waiters.take(queue) {
            if let Some(task) = self.task(tid) {
                self.wake_task(&task);
            }
        }
    }

    /// Wakes a task if it sleeps.
    pub(crate) fn wake_task(&mut self, task: &Rc<Task>) {
        if matches!(task.run_state.get(), RunState::Sleeping | RunState::SleepingHard | RunState::SleepingOnDisk) {
            self.make_ready(task);
        }
    }

    /// Wakes a task that has got a signal, if its sleep may be ended by that.
    pub(crate) fn wake_for_signal(&mut self, task: &Rc<Task>, deadly: bool) {
        let state = task.run_state.get();
        if state == RunState::Sleeping || (deadly && state == RunState::SleepingHard) {
            self.make_ready(task);
        }
    }

    /// Puts a task into the queue of those that can run.
    pub(crate) fn make_ready(&mut self, task: &Rc<Task>) {
        self.leave_queues(task);
        task.run_state.set(RunState::Ready);
        self.ready.push_back(task.tid());
    }

    /// Takes a task out of every queue.
    pub(crate) fn leave_queues(&mut self, task: &Rc<Task>) {
        let tid = task.tid();
        match task.run_state.get() {
            RunState::Ready => self.ready.retain(|other| *other != tid),
            RunState::SleepingOnDisk => self.disk_waiters.retain(|other| *other != tid),
            _ => {}
        }
        for queue in task.waiting_on.take() {
            self.waiters.remove(queue, tid);
        }
        task.sleep_count.set(task.sleep_count.get() + 1);
    }

    /// The disk has news: tasks that wait for it look again.
    pub fn disk_arrived(&mut self) {
        let _ = self.shared.write_back();
        for tid in std::mem::take(&mut self.disk_waiters) {
            if let Some(task) = self.task(tid) {
                self.make_ready(&task);
            }
        }
    }

    /// Whether the call that `task` is in has waited long enough.
    pub(crate) fn deadline_passed(&self, task: &Rc<Task>) -> bool {
        let deadline_ns = task.call.borrow().as_ref().and_then(|call| call.deadline_ns);
        deadline_ns.is_some_and(|deadline_ns| self.host.monotonic_ns() >= deadline_ns)
    }

    /// Sets the deadline of the call that `task` is in, unless an earlier attempt has.
    pub(crate) fn set_timeout(&self, task: &Rc<Task>, timeout_ns: Option<u64>) {
        let Some(timeout_ns) = timeout_ns else { return };
        let deadline_ns = self.host.monotonic_ns().saturating_add(timeout_ns);
        task.with_call(|call| call.deadline_ns.get_or_insert(deadline_ns).to_owned());
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
