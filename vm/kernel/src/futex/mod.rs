//! Futexes: sleeping on a word of memory (`futex(2)`).
//!
//! | module | subject |
//! |---|---|
//! | [`key`] | what identifies a word |
//! | [`pi`] | locks that the kernel hands over: priority inheritance |
//!
//! A task sleeps on one word or on several (`futex_waitv(2)`); it stands in the queue of each, and whoever wakes it
//! takes it out of all.

pub mod key;
pub mod pi;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use abi::Errno;

use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::stop::{Outcome, Wait};
use crate::task::{Task, Tid};

pub use key::FutexKey;

/// What a task is to find at a word it sleeps on.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    /// Which word.
    pub key: FutexKey,
    /// Where the task has it.
    pub addr: u64,
    /// What it must be for the task to sleep.
    pub expected: u32,
    /// Which wakers concern it.
    pub bitset: u32,
}

/// A task's own note of the futexes it sleeps on.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The words.
    pub(crate) keys: Vec<FutexKey>,
    /// Which of them it has been woken for, or whether it has been given the lock.
    pub(crate) woken: Option<usize>,
    /// For what it waits.
    pub(crate) purpose: Purpose,
}

/// What a waiter waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To be woken.
    Wake,
    /// To be given the lock whose word is there.
    Lock(u64),
    /// To be moved to the lock whose word is there (`FUTEX_WAIT_REQUEUE_PI`).
    Move { key: FutexKey, addr: u64 },
}

#[derive(Clone, Copy)]
struct Waiter {
    tid: Tid,
    bitset: u32,
    /// Which of the task's words this is.
    index: usize,
}

/// All words that someone sleeps on, each with its sleepers in order of arrival.
#[derive(Default)]
pub struct Futexes {
    waiters: HashMap<FutexKey, VecDeque<Waiter>>,
    /// Who holds the locks that someone waits for.
    owners: HashMap<FutexKey, Tid>,
}

impl Futexes {
    fn add(&mut self, key: FutexKey, waiter: Waiter) {
        self.waiters.entry(key).or_default().push_back(waiter);
    }

    /// Takes a task out of the queues of these words.
    fn remove(&mut self, keys: &[FutexKey], tid: Tid) {
        for key in keys {
            let Some(queue) = self.waiters.get_mut(key) else { continue };
            queue.retain(|waiter| waiter.tid != tid);
            if queue.is_empty() {
                self.waiters.remove(key);
                self.owners.remove(key);
            }
        }
    }

    fn queue(&self, key: &FutexKey) -> Vec<Waiter> {
        self.waiters.get(key).map(|queue| queue.iter().copied().collect()).unwrap_or_default()
    }
}

impl Kernel {
    /// Sleeps while every word is what it should be, until woken; returns only errors, as [`Self::futex_resume`] is
    /// asked first when the call is made again. The call's deadline has been set by the caller.
    pub fn futex_wait(&mut self, task: &Rc<Task>, awaited: &[Awaited]) -> Outcome<usize> {
        let mm = task.mm()?;
        for word in awaited {
            if mm.read_u32(word.addr)? != word.expected {
                return Err(Errno::EAGAIN.into());
            }
        }
        self.enqueue(task, awaited, Purpose::Wake)
    }

    /// Puts a task into queues; returns only errors.
    fn enqueue(&mut self, task: &Rc<Task>, awaited: &[Awaited], purpose: Purpose) -> Outcome<usize> {
        if self.deadline_passed(task) {
            return Err(Errno::ETIMEDOUT.into());
        }
        for (index, word) in awaited.iter().enumerate() {
            self.futexes.add(word.key, Waiter { tid: task.tid(), bitset: word.bitset, index });
        }
        let keys = awaited.iter().map(|word| word.key).collect();
        *task.futex.borrow_mut() = Some(Waiting { keys, woken: None, purpose });
        Err(Wait::Listed.into())
    }

    /// For a task that waits already: what it has been woken for. `None` if it does not wait yet.
    pub fn futex_resume(&mut self, task: &Rc<Task>) -> Outcome<Option<usize>> {
        let Some(waiting) = task.futex.borrow().clone() else { return Ok(None) };
        if let Some(woken) = waiting.woken {
            task.futex.take();
            return Ok(Some(woken));
        }
        if self.deadline_passed(task) {
            self.futex_cancel(task);
            return Err(Errno::ETIMEDOUT.into());
        }
        Err(Wait::Listed.into())
    }

    /// A task no longer waits: a signal came, or it has ended.
    pub fn futex_cancel(&mut self, task: &Rc<Task>) {
        if let Some(waiting) = task.futex.take() {
            self.futexes.remove(&waiting.keys, task.tid());
        }
    }

    /// Wakes up to `count` tasks that sleep on a word; returns how many.
    ///
    /// # Errors
    /// `EINVAL` if one of them waits for a lock.
    pub fn futex_wake(&mut self, key: FutexKey, count: u32, bitset: u32) -> Outcome<u32> {
        let mut woken = 0;
        for waiter in self.futexes.queue(&key) {
            if woken >= count {
                break;
            }
            if self.purpose_of(waiter.tid) != Some(Purpose::Wake) {
                return Err(Errno::EINVAL.into());
            }
            if waiter.bitset & bitset != 0 {
                self.wake_waiter(waiter);
                woken += 1;
            }
        }
        Ok(woken)
    }

    /// The same for a word of the kernel's choosing, in memory that is private to those who wait.
    pub(crate) fn futex_wake_one(&mut self, mm: &Rc<Mm>, addr: u64) {
        let _ = self.futex_wake(FutexKey::at(mm, addr), 1, u32::MAX);
    }

    fn purpose_of(&self, tid: Tid) -> Option<Purpose> {
        self.task(tid).and_then(|task| task.futex.borrow().as_ref().map(|waiting| waiting.purpose))
    }

    fn wake_waiter(&mut self, waiter: Waiter) {
        let Some(task) = self.task(waiter.tid) else { return };
        let keys = match task.futex.borrow_mut().as_mut() {
            Some(waiting) => {
                waiting.woken = Some(waiter.index);
                waiting.keys.clone()
            }
            None => return,
        };
        self.futexes.remove(&keys, waiter.tid);
        self.wake_task(&task);
    }

    /// Wakes up to `wake` tasks and lets up to `moved` others sleep on another word instead; returns both counts.
    ///
    /// # Errors
    /// `EINVAL` if one of them waits for a lock.
    pub fn futex_requeue(&mut self, from: FutexKey, to: FutexKey, wake: u32, moved: u32) -> Outcome<(u32, u32)> {
        let woken = self.futex_wake(from, wake, u32::MAX)?;
        if from == to {
            return Ok((woken, 0));
        }
        let mut count = 0;
        for waiter in self.futexes.queue(&from) {
            if count >= moved {
                break;
            }
            if self.purpose_of(waiter.tid) != Some(Purpose::Wake) {
                return Err(Errno::EINVAL.into());
            }
            self.move_waiter(waiter, from, to, Purpose::Wake);
            count += 1;
        }
        Ok((woken, count))
    }

    /// Lets a task sleep on another word than so far.
    fn move_waiter(&mut self, waiter: Waiter, from: FutexKey, to: FutexKey, purpose: Purpose) {
        let Some(task) = self.task(waiter.tid) else { return };
        self.futexes.remove(&[from], waiter.tid);
        self.futexes.add(to, waiter);
        if let Some(waiting) = task.futex.borrow_mut().as_mut() {
            waiting.keys.iter_mut().filter(|key| **key == from).for_each(|key| *key = to);
            waiting.purpose = purpose;
        }
    }
}
