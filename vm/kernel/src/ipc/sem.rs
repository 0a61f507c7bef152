//! Sets of semaphores (`semop(2)`).
//!
//! Whoever changes a value carries out the operations of those who wait for that, in the order they came, as Linux
//! does: so nobody overtakes a waiter. A waiter then only learns that its operations have been done.

use std::collections::BTreeMap;
use std::rc::Rc;

use abi::Errno;
use abi::ipc::{IPC_NOWAIT, IpcPerm, SEM_UNDO};

use super::{Object, Use};
use crate::kernel::Kernel;
use crate::stop::{Outcome, Wait};
use crate::task::{Pid, Task, Tid};

/// Most sets (`kernel.sem`, the fourth number).
pub const SETS_MAX: usize = 32_000;
/// Most semaphores in a set.
pub const SET_LEN_MAX: usize = 32_000;
/// Semaphores of all sets as programs are told.
pub const SEMAPHORES_MAX: u32 = 1_024_000_000;
/// Semaphores that all sets really may have: each takes 8 bytes of our own memory.
pub const SEMAPHORES_KEPT_MAX: usize = 1 << 20;
/// Most operations in one call.
pub const OPERATIONS_MAX: usize = 500;
/// Largest value.
pub const VALUE_MAX: i32 = 32_767;

/// One semaphore.
#[derive(Clone, Copy, Default, Debug)]
pub struct Semaphore {
    /// Its value.
    pub value: i32,
    /// Who changed it last.
    pub pid: Pid,
}

/// A set of them.
pub struct SemaphoreSet {
    /// Whose it is.
    pub perm: IpcPerm,
    /// The semaphores.
    pub semaphores: Vec<Semaphore>,
    /// When it was last changed other than by operations.
    pub changed_at: u64,
    /// When operations were last carried out.
    pub operated_at: u64,
    /// What is added to the values when a process ends (`SEM_UNDO`).
    undo: BTreeMap<Pid, BTreeMap<usize, i32>>,
    /// Who waits, in order of arrival.
    waiters: Vec<Waiter>,
}

/// An operation of `semop(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Which semaphore.
    pub index: usize,
    /// What is added; 0 waits for the value to become 0.
    pub change: i32,
    /// `IPC_NOWAIT`, `SEM_UNDO`.
    pub flags: u32,
}

/// A task that waits until its operations can be carried out.
#[derive(Clone)]
struct Waiter {
    tid: Tid,
    pid: Pid,
    operations: Rc<[Operation]>,
    /// The one that can't be carried out.
    blocked_by: Operation,
}

/// Tasks that wait, and for those that need not any more, what their call came to.
#[derive(Default)]
pub struct Waiting {
    by_task: BTreeMap<Tid, (i32, Option<Result<(), Errno>>)>,
}

/// Why operations were not carried out.
enum Refusal {
    /// An error.
    Errno(Errno),
    /// This one has to wait.
    Blocked(Operation),
}

impl Object for SemaphoreSet {
    fn perm(&self) -> &IpcPerm {
        &self.perm
    }

    fn perm_mut(&mut self) -> &mut IpcPerm {
        &mut self.perm
    }

    const COUNT_MAX: usize = SETS_MAX;
}

impl SemaphoreSet {
    /// A set of `len` semaphores, all 0.
    pub fn new(perm: IpcPerm, len: usize, now: u64) -> Self {
        let semaphores = vec![Semaphore::default(); len];
        Self { perm, semaphores, changed_at: now, operated_at: 0, undo: BTreeMap::new(), waiters: Vec::new() }
    }

    /// Carries out all operations for `pid`, or none.
    fn operate(&mut self, operations: &[Operation], pid: Pid) -> Result<(), Refusal> {
        let mut values: BTreeMap<usize, i32> = BTreeMap::new();
        let mut undo = self.undo.get(&pid).cloned().unwrap_or_default();
        for operation in operations {
            let value = values.entry(operation.index).or_insert(self.semaphores[operation.index].value);
            let result = *value + operation.change;
            if (operation.change == 0 && *value != 0) || result < 0 {
                return Err(Refusal::Blocked(*operation));
            }
            if result > VALUE_MAX {
                return Err(Refusal::Errno(Errno::ERANGE));
            }
            *value = result;
            if operation.flags & SEM_UNDO != 0 {
                let adjustment = undo.entry(operation.index).or_default();
                *adjustment -= operation.change;
                if !(-VALUE_MAX - 1..=VALUE_MAX).contains(adjustment) {
                    return Err(Refusal::Errno(Errno::ERANGE));
                }
            }
        }
        for (index, value) in values {
            self.semaphores[index] = Semaphore { value, pid };
        }
        undo.retain(|_, adjustment| *adjustment != 0);
        match undo.is_empty() {
            true => self.undo.remove(&pid),
            false => self.undo.insert(pid, undo),
        };
        Ok(())
    }

    /// Sets the value of a semaphore; nobody's end changes that any more.
    pub fn set(&mut self, index: usize, value: i32, by: Use) {
        self.semaphores[index] = Semaphore { value, pid: by.pid };
        self.undo.values_mut().for_each(|undo| {
            undo.remove(&index);
        });
        self.changed_at = by.time;
    }

    /// How many wait for a semaphore to grow, or with `zero` to become 0.
    pub fn waiting_for(&self, index: usize, zero: bool) -> usize {
        let blocked = |waiter: &&Waiter| waiter.blocked_by.index == index && (waiter.blocked_by.change == 0) == zero;
        self.waiters.iter().filter(blocked).count()
    }

    /// Carries out what has become possible; returns who need not wait any more, and what it came to.
    fn release(&mut self, now: u64) -> Vec<(Tid, Result<(), Errno>)> {
        let mut released = Vec::new();
        let mut at = 0;
        while at < self.waiters.len() {
            let waiter = self.waiters[at].clone();
            let result = match self.operate(&waiter.operations, waiter.pid) {
                Err(Refusal::Blocked(operation)) => {
                    let may_wait = operation.flags & IPC_NOWAIT == 0;
                    self.waiters[at].blocked_by = operation;
                    at += 1;
                    if may_wait {
                        continue;
                    }
                    at -= 1;
                    Err(Errno::EAGAIN)
                }
                Err(Refusal::Errno(errno)) => Err(errno),
                Ok(()) => {
                    self.operated_at = now;
                    Ok(())
                }
            };
            self.waiters.remove(at);
            released.push((waiter.tid, result));
            // Values have changed: those who came first are looked at first again.
            if result.is_ok() && waiter.operations.iter().any(|operation| operation.change != 0) {
                at = 0;
            }
        }
        released
    }
}

impl Kernel {
    /// `semop(2)`: carries out operations on the set `id`, or waits until they can be.
    pub fn semaphore_operate(&mut self, task: &Rc<Task>, id: i32, operations: &[Operation]) -> Outcome<()> {
        let tid = task.tid();
        if let Some((_, result)) = self.ipc.waiting.by_task.get(&tid).copied() {
            let passed = self.deadline_passed(task).then_some(Err(Errno::EAGAIN));
            let Some(result) = result.or(passed) else { return Err(Wait::Listed.into()) };
            self.semaphore_cancel(task);
            return result.map_err(Into::into);
        }
        let (now, pid) = (self.realtime_seconds(), task.process.pid);
        let set = self.ipc.semaphores.get(id)?;
        match set.operate(operations, pid) {
            Ok(()) => {
                set.operated_at = now;
                self.semaphore_changed(id);
                Ok(())
            }
            Err(Refusal::Errno(errno)) => Err(errno.into()),
            Err(Refusal::Blocked(operation)) if operation.flags & IPC_NOWAIT != 0 => Err(Errno::EAGAIN.into()),
            Err(Refusal::Blocked(_)) if self.deadline_passed(task) => Err(Errno::EAGAIN.into()),
            Err(Refusal::Blocked(blocked_by)) => {
                let set = self.ipc.semaphores.get(id)?;
                set.waiters.push(Waiter { tid, pid, operations: operations.into(), blocked_by });
                self.ipc.waiting.by_task.insert(tid, (id, None));
                Err(Wait::Listed.into())
            }
        }
    }

    /// A task no longer waits: it has its result, a signal came, or it has ended.
    pub(crate) fn semaphore_cancel(&mut self, task: &Rc<Task>) {
        let Some((id, _)) = self.ipc.waiting.by_task.remove(&task.tid()) else { return };
        if let Ok(set) = self.ipc.semaphores.get(id) {
            set.waiters.retain(|waiter| waiter.tid != task.tid());
        }
    }

    /// Values of a set have changed: lets those go on who waited for that.
    pub fn semaphore_changed(&mut self, id: i32) {
        let now = self.realtime_seconds();
        let Ok(set) = self.ipc.semaphores.get(id) else { return };
        let released = set.release(now);
        self.semaphore_release(id, released);
    }

    fn semaphore_release(&mut self, id: i32, released: Vec<(Tid, Result<(), Errno>)>) {
        for (tid, result) in released {
            self.ipc.waiting.by_task.insert(tid, (id, Some(result)));
            if let Some(task) = self.task(tid) {
                self.wake_task(&task);
            }
        }
    }

    /// `IPC_RMID`.
    pub fn semaphore_remove(&mut self, id: i32) {
        if let Some(set) = self.ipc.semaphores.remove(id) {
            let released = set.waiters.iter().map(|waiter| (waiter.tid, Err(Errno::EIDRM))).collect();
            self.semaphore_release(id, released);
        }
    }

    /// Whether a process has asked for something to be undone when it ends.
    pub(crate) fn has_semaphore_undo(&mut self, pid: Pid) -> bool {
        self.ipc.semaphores.iter_mut().any(|(_, set)| set.undo.contains_key(&pid))
    }

    /// A process has ended: undoes what it asked to have undone.
    pub(crate) fn semaphore_undo(&mut self, pid: Pid) {
        let now = self.realtime_seconds();
        let mut changed = Vec::new();
        for (id, set) in self.ipc.semaphores.iter_mut() {
            let Some(undo) = set.undo.remove(&pid) else { continue };
            for (index, adjustment) in undo {
                let value = (set.semaphores[index].value + adjustment).clamp(0, VALUE_MAX);
                set.semaphores[index] = Semaphore { value, pid };
            }
            set.operated_at = now;
            changed.push(id);
        }
        changed.into_iter().for_each(|id| self.semaphore_changed(id));
    }
}
