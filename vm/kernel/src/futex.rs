//! Futexes: sleeping on a word of memory (`futex(2)`).

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use abi::Errno;
use memory::SpaceId;

use crate::kernel::Kernel;
use crate::mm::{Backing, Mm};
use crate::stop::{Outcome, Wait};
use crate::task::{Task, Tid};

/// What identifies a word: its address in one space, or its place in shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FutexKey {
    /// In one address space.
    Private(SpaceId, u64),
    /// In shared memory: the object's address in our own memory, and the offset.
    Shared(usize, u64),
}

/// A task's own note of the futex it sleeps on.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    key: FutexKey,
    woken: bool,
}

#[derive(Clone, Copy)]
struct Waiter {
    tid: Tid,
    bitset: u32,
}

/// All words that someone sleeps on, each with its sleepers in order of arrival.
#[derive(Default)]
pub struct Futexes {
    waiters: HashMap<FutexKey, VecDeque<Waiter>>,
}

fn key_of(mm: &Rc<Mm>, addr: u64) -> FutexKey {
    let maps = mm.maps.borrow();
    match maps.find(addr).map(|vma| (vma.start, &vma.backing)) {
        Some((start, Backing::Shared { object, offset })) => {
            FutexKey::Shared(Rc::as_ptr(object) as usize, offset + addr - start)
        }
        _ => FutexKey::Private(mm.space.borrow().id(), addr),
    }
}

impl Kernel {
    /// Sleeps while the word at `addr` is `expected`, until woken. The call's deadline has been set by the caller.
    pub fn futex_wait(&mut self, task: &Rc<Task>, addr: u64, expected: u32, bitset: u32) -> Outcome<()> {
        if let Some(waiting) = task.futex.get() {
            return self.go_on_waiting(task, waiting);
        }
        let mm = task.mm()?;
        if mm.read_u32(addr)? != expected {
            return Err(Errno::EAGAIN.into());
        }
        let key = key_of(&mm, addr);
        let waiter = Waiter { tid: task.tid(), bitset };
        self.futexes.waiters.entry(key).or_default().push_back(waiter);
        task.futex.set(Some(Waiting { key, woken: false }));
        if self.deadline_passed(task) {
            self.futex_cancel(task);
            return Err(Errno::ETIMEDOUT.into());
        }
        Err(Wait::Listed.into())
    }

    fn go_on_waiting(&mut self, task: &Rc<Task>, waiting: Waiting) -> Outcome<()> {
        if waiting.woken {
            task.futex.set(None);
            return Ok(());
        }
        if self.deadline_passed(task) {
            self.futex_cancel(task);
            return Err(Errno::ETIMEDOUT.into());
        }
        Err(Wait::Listed.into())
    }

    /// A task no longer waits: a signal came, or it has ended.
    pub fn futex_cancel(&mut self, task: &Rc<Task>) {
        let Some(waiting) = task.futex.take() else { return };
        if let Some(queue) = self.futexes.waiters.get_mut(&waiting.key) {
            queue.retain(|waiter| waiter.tid != task.tid());
            if queue.is_empty() {
                self.futexes.waiters.remove(&waiting.key);
            }
        }
    }

    /// Wakes up to `count` tasks that sleep on `addr`; returns how many.
    pub fn futex_wake(&mut self, mm: &Rc<Mm>, addr: u64, count: u32, bitset: u32) -> u32 {
        let key = key_of(mm, addr);
        let Some(queue) = self.futexes.waiters.get_mut(&key) else { return 0 };
        let mut woken = Vec::new();
        queue.retain(|waiter| {
            let chosen = (woken.len() as u32) < count && waiter.bitset & bitset != 0;
            if chosen {
                woken.push(waiter.tid);
            }
            !chosen
        });
        if queue.is_empty() {
            self.futexes.waiters.remove(&key);
        }
        for tid in &woken {
            let Some(task) = self.tasks.task(*tid) else { continue };
            task.futex.set(Some(Waiting { key, woken: true }));
            self.wake_task(&task);
        }
        woken.len() as u32
    }

    /// Wakes up to `wake` tasks and lets up to `moved` others sleep on `to` instead; returns both counts.
    pub fn futex_requeue(&mut self, mm: &Rc<Mm>, from: u64, to: u64, wake: u32, moved: u32) -> (u32, u32) {
        let woken = self.futex_wake(mm, from, wake, u32::MAX);
        let (old, new) = (key_of(mm, from), key_of(mm, to));
        let Some(queue) = self.futexes.waiters.get_mut(&old).filter(|_| old != new) else { return (woken, 0) };
        let count = queue.len().min(moved as usize);
        let movers: Vec<Waiter> = queue.drain(..count).collect();
        if queue.is_empty() {
            self.futexes.waiters.remove(&old);
        }
        for task in movers.iter().filter_map(|waiter| self.tasks.task(waiter.tid)) {
            task.futex.set(Some(Waiting { key: new, woken: false }));
        }
        self.futexes.waiters.entry(new).or_default().extend(movers);
        (woken, count as u32)
    }
}
