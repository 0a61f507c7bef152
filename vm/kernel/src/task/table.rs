//! `TaskTable`: tasks and processes by number.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use abi::Errno;

use super::look::AsksWith;
use super::{Pid, Process, Task, Tid};
use crate::stop::Outcome;

/// Numbers go from 1 to this and then start over (`kernel.pid_max`).
pub const PID_MAX: i32 = 32_768;
/// Most tasks at a time: each costs about 3 KiB of ours.
pub const TASKS_MAX: usize = 4096;

/// All tasks and processes. Shared with procfs.
#[derive(Default)]
pub struct TaskTable {
    tasks: RefCell<BTreeMap<Tid, Rc<Task>>>,
    processes: RefCell<BTreeMap<Pid, Rc<Process>>>,
    last: Cell<i32>,
    /// The task that makes the call being answered: `/proc/self`.
    current: RefCell<Option<Rc<Task>>>,
    /// Tasks made since the machine started.
    pub forks: Cell<u64>,
}

impl TaskTable {
    /// A number that no task, process, group or session has.
    pub fn free_number(&self) -> Option<i32> {
        if self.tasks.borrow().len() >= TASKS_MAX {
            return None;
        }
        let processes = self.processes.borrow();
        let used = |number: i32| {
            self.tasks.borrow().contains_key(&number)
                || processes.contains_key(&number)
                || processes.values().any(|process| process.group.get() == number || process.session.get() == number)
        };
        let last = self.last.get();
        let number = (last + 1..PID_MAX).chain(1..=last).find(|number| !used(*number))?;
        self.last.set(number);
        Some(number)
    }

    /// A number that came to nothing is the next one again.
    pub fn return_number(&self, number: i32) {
        if self.last.get() == number {
            self.last.set(number - 1);
        }
    }

    /// The task that makes the call being answered.
    pub fn current(&self) -> Option<Rc<Task>> {
        self.current.borrow().clone()
    }

    /// Says which task runs.
    pub fn set_current(&self, task: Option<Rc<Task>>) {
        *self.current.borrow_mut() = task;
    }

    /// Fails with `EACCES` unless the task that makes the call may look into `other` by way of `/proc`.
    pub fn check_look(&self, other: &Task) -> Outcome<()> {
        match self.current() {
            Some(current) if !current.may_look_into(other, AsksWith::Files) => Err(Errno::EACCES.into()),
            _ => Ok(()),
        }
    }

    /// Adds a task (and with the first one its process).
    pub fn add(&self, task: &Rc<Task>) {
        self.forks.set(self.forks.get() + 1);
        self.tasks.borrow_mut().insert(task.tid(), task.clone());
        task.process.threads.borrow_mut().push(task.tid());
        self.processes.borrow_mut().entry(task.process.pid).or_insert_with(|| task.process.clone());
    }

    /// Forgets a task that has ended.
    pub fn remove_task(&self, tid: Tid) {
        if let Some(task) = self.tasks.borrow_mut().remove(&tid) {
            task.process.threads.borrow_mut().retain(|thread| *thread != tid);
        }
    }

    /// Gives the only thread of a process its process's number (`execve` from another thread).
    pub fn replace(&self, old: Tid, task: &Rc<Task>) {
        self.remove_task(old);
        self.tasks.borrow_mut().insert(task.tid(), task.clone());
        task.process.threads.borrow_mut().push(task.tid());
    }

    /// Forgets a process that has been waited for.
    pub fn remove_process(&self, pid: Pid) {
        self.processes.borrow_mut().remove(&pid);
    }

    /// A task.
    pub fn task(&self, tid: Tid) -> Option<Rc<Task>> {
        self.tasks.borrow().get(&tid).cloned()
    }

    /// A process, zombies included.
    pub fn process(&self, pid: Pid) -> Option<Rc<Process>> {
        self.processes.borrow().get(&pid).cloned()
    }

    /// All processes, ascending.
    pub fn processes(&self) -> Vec<Rc<Process>> {
        self.processes.borrow().values().cloned().collect()
    }

    /// All tasks, ascending.
    pub fn tasks(&self) -> Vec<Rc<Task>> {
        self.tasks.borrow().values().cloned().collect()
    }

    /// How many tasks a user has.
    pub fn count_of(&self, uid: u32) -> u64 {
        self.tasks.borrow().values().filter(|task| task.credentials().uid == uid).count() as u64
    }

    /// The threads of a process.
    pub fn threads(&self, process: &Process) -> Vec<Rc<Task>> {
        process.threads.borrow().iter().filter_map(|tid| self.task(*tid)).collect()
    }

    /// Some living thread of a process: the first, if it still lives.
    pub fn main_thread(&self, process: &Process) -> Option<Rc<Task>> {
        self.task(process.pid).or_else(|| self.threads(process).into_iter().next())
    }

    /// The processes of a group.
    pub fn group(&self, group: Pid) -> Vec<Rc<Process>> {
        self.processes.borrow().values().filter(|process| process.group.get() == group).cloned().collect()
    }

    /// Whether a session has a group of that number.
    pub fn session_has_group(&self, session: Pid, group: Pid) -> bool {
        self.group(group).iter().any(|process| process.session.get() == session)
    }
}
