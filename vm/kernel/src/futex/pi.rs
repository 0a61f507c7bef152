//! Locks that the kernel hands over (`FUTEX_LOCK_PI` and its relatives, `futex(2)`).
//!
//! The word of such a lock is the number of the task that holds it; [`FUTEX_WAITERS`] makes the holder give it back
//! through the kernel, which passes it on to the waiter with the highest priority, or the first of those. As all tasks
//! run alike, whatever their priority, the holder inherits none.

use std::rc::Rc;

use abi::Errno;
use abi::process::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};

use super::{Awaited, FutexKey, Purpose, Waiter};
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::stop::Outcome;
use crate::task::{Task, Tid};

/// Locks followed from holder to holder in search of a circle (`kernel.max_lock_depth`).
const CHAIN_MAX: usize = 1024;

/// A lock as a task names it.
#[derive(Clone, Copy)]
pub struct Lock {
    /// Which word.
    pub key: FutexKey,
    /// Where the task has it.
    pub addr: u64,
}

impl Kernel {
    /// `FUTEX_LOCK_PI`: takes a lock, waiting for it if it is held. The call's deadline has been set by the caller.
    pub fn futex_lock(&mut self, task: &Rc<Task>, lock: Lock) -> Outcome<()> {
        let mm = task.mm()?;
        if self.take_free(task.tid(), &mm, lock, false)? {
            return Ok(());
        }
        self.claim(task.tid(), &mm, lock)?;
        let awaited = Awaited { key: lock.key, addr: lock.addr, expected: 0, bitset: u32::MAX };
        self.enqueue(task, &[awaited], Purpose::Lock(lock.addr)).map(drop)
    }

    /// `FUTEX_TRYLOCK_PI`.
    pub fn futex_try_lock(&mut self, task: &Rc<Task>, lock: Lock) -> Outcome<()> {
        let mm = task.mm()?;
        if self.take_free(task.tid(), &mm, lock, false)? {
            return Ok(());
        }
        self.claim(task.tid(), &mm, lock)?;
        Err(Errno::EAGAIN.into())
    }

    /// Gives a lock that nobody holds to a task; returns whether that was so.
    fn take_free(&mut self, tid: Tid, mm: &Rc<Mm>, lock: Lock, waiters: bool) -> Outcome<bool> {
        let word = mm.read_u32(lock.addr)?;
        if word & FUTEX_TID_MASK == tid as u32 {
            return Err(Errno::EDEADLK.into());
        }
        if word & FUTEX_TID_MASK != 0 || self.futexes.owners.contains_key(&lock.key) {
            return Ok(false);
        }
        let waiters = if waiters { FUTEX_WAITERS } else { 0 };
        mm.write_u32(lock.addr, word & FUTEX_OWNER_DIED | waiters | tid as u32)?;
        Ok(true)
    }

    /// Before `tid` waits for a lock: notes who holds it, and makes the holder come here to give it back.
    fn claim(&mut self, tid: Tid, mm: &Rc<Mm>, lock: Lock) -> Outcome<()> {
        let word = mm.read_u32(lock.addr)?;
        let owner = (word & FUTEX_TID_MASK) as Tid;
        mm.write_u32(lock.addr, word | FUTEX_WAITERS)?;
        match self.futexes.owners.get(&lock.key) {
            // Somebody has changed the word behind the lock's back.
            Some(known) if *known != owner => return Err(Errno::EINVAL.into()),
            Some(_) => {}
            None if self.task(owner).is_none() => return Err(Errno::ESRCH.into()),
            None => {}
        }
        if self.waits_for(owner, tid) {
            return Err(Errno::EDEADLK.into());
        }
        self.futexes.owners.insert(lock.key, owner);
        Ok(())
    }

    /// Whether `tid` waits for a lock of `holder`'s, or for one of somebody who does.
    fn waits_for(&self, tid: Tid, holder: Tid) -> bool {
        let mut at = tid;
        for _ in 0..CHAIN_MAX {
            if at == holder {
                return true;
            }
            let waiting = self.task(at).and_then(|task| task.futex.borrow().clone());
            let lock = waiting.filter(|waiting| matches!(waiting.purpose, Purpose::Lock(_)) && waiting.woken.is_none());
            let owner = lock.and_then(|waiting| self.futexes.owners.get(waiting.keys.first()?).copied());
            match owner {
                Some(owner) => at = owner,
                None => return false,
            }
        }
        true
    }

    /// `FUTEX_UNLOCK_PI`: gives a lock back, to whoever waits for it.
    pub fn futex_unlock(&mut self, task: &Rc<Task>, lock: Lock) -> Outcome<()> {
        let mm = task.mm()?;
        let word = mm.read_u32(lock.addr)?;
        if word & FUTEX_TID_MASK != task.tid() as u32 {
            return Err(Errno::EPERM.into());
        }
        match self.futexes.owners.get(&lock.key) {
            None if self.futexes.waiters.contains_key(&lock.key) => Err(Errno::EINVAL.into()),
            None => mm.write_u32(lock.addr, 0),
            Some(owner) if *owner != task.tid() => Err(Errno::EINVAL.into()),
            Some(_) => self.hand_over(lock.key, 0),
        }
    }

    /// Gives a lock to its next waiter, with `died` in its word.
    fn hand_over(&mut self, key: FutexKey, died: u32) -> Outcome<()> {
        let waiters = self.futexes.queue(&key);
        let priority = |waiter: &Waiter| self.task(waiter.tid).map_or(0, |task| task.scheduling.get().1);
        // The first of those with the highest priority.
        let Some(next) = waiters.iter().rev().max_by_key(|waiter| priority(waiter)).copied() else { return Ok(()) };
        if let (Some(task), Some(Purpose::Lock(addr))) = (self.task(next.tid), self.purpose_of(next.tid)) {
            let mm = task.mm()?;
            let died = died | mm.read_u32(addr)? & FUTEX_OWNER_DIED;
            mm.write_u32(addr, next.tid as u32 | FUTEX_WAITERS | died)?;
        }
        // With the last waiter the note goes, too.
        self.futexes.owners.insert(key, next.tid);
        self.wake_waiter(next);
        Ok(())
    }

    /// The locks a task holds that others wait for go to them: it has ended.
    pub(crate) fn hand_over_locks_of(&mut self, tid: Tid) {
        let held = |(key, owner): (&FutexKey, &Tid)| (*owner == tid).then_some(*key);
        let keys: Vec<FutexKey> = self.futexes.owners.iter().filter_map(held).collect();
        for key in keys {
            // A word that is no longer there is its waiters' problem.
            if self.hand_over(key, FUTEX_OWNER_DIED).is_err() {
                self.futexes.owners.remove(&key);
            }
        }
    }

    /// `FUTEX_WAIT_REQUEUE_PI`: sleeps until somebody moves the task to `lock`, and then until it has that.
    pub fn futex_wait_to_lock(&mut self, task: &Rc<Task>, awaited: Awaited, lock: Lock) -> Outcome<()> {
        if task.mm()?.read_u32(awaited.addr)? != awaited.expected {
            return Err(Errno::EAGAIN.into());
        }
        self.enqueue(task, &[awaited], Purpose::Move { key: lock.key, addr: lock.addr }).map(drop)
    }

    /// `FUTEX_CMP_REQUEUE_PI`: the first waiter gets the lock if it is free; up to `moved` others wait for it. Returns
    /// how many both are.
    pub fn futex_requeue_to_lock(&mut self, mm: &Rc<Mm>, from: FutexKey, lock: Lock, moved: u32) -> Outcome<u32> {
        let waiters = self.futexes.queue(&from);
        let Some(first) = waiters.first().copied() else { return Ok(0) };
        let mut count = 0;
        for waiter in waiters {
            let Some(Purpose::Move { key, addr }) = self.purpose_of(waiter.tid) else {
                return Err(Errno::EINVAL.into());
            };
            if key != lock.key {
                return Err(Errno::EINVAL.into());
            }
            if waiter.tid == first.tid && self.take_free(waiter.tid, mm, lock, moved > 0)? {
                self.wake_waiter(waiter);
                count += 1;
                continue;
            }
            // One is woken, or would be if the lock were free.
            if count > moved {
                break;
            }
            self.claim(waiter.tid, mm, lock)?;
            self.move_waiter(waiter, from, lock.key, Purpose::Lock(addr));
            count += 1;
        }
        Ok(count)
    }
}
