//! Sleeping and waking.

use std::rc::Rc;

use crate::kernel::Kernel;
use crate::stop::Wait;
use crate::task::{RunState, Task};
use crate::timer::TimerEvent;
use crate::wait::{QueueId, WaitQueue};

impl Kernel {
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
