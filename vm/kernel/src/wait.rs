//! Wait queues: how a task that sleeps hears of what it waits for.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stop::{Stop, Wait};
use crate::task::Tid;

/// Names a queue for as long as the process runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct QueueId(u64);

/// Something that tasks wait for. Part of the object whose state it announces.
#[derive(Debug)]
pub struct WaitQueue {
    id: QueueId,
    events: Cell<u64>,
}

impl Default for WaitQueue {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { id: QueueId(NEXT.fetch_add(1, Ordering::Relaxed)), events: Cell::new(0) }
    }
}

impl WaitQueue {
    /// Its name.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// How often it has been woken: edge-triggered `epoll` compares.
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    /// What an operation returns that has to wait for it.
    pub fn stop(&self) -> Stop {
        Stop::Wait(Wait::On(self.id))
    }

    /// Counts an event; the caller wakes the waiters.
    pub(crate) fn count_event(&self) {
        self.events.set(self.events.get() + 1);
    }
}

/// Who waits for what.
#[derive(Default)]
pub struct Waiters {
    by_queue: HashMap<QueueId, Vec<Tid>>,
}

impl Waiters {
    /// Adds a task to a queue.
    pub fn add(&mut self, queue: QueueId, tid: Tid) {
        self.by_queue.entry(queue).or_default().push(tid);
    }

    /// Whether anyone stands in a queue.
    pub fn has(&self, queue: QueueId) -> bool {
        self.by_queue.contains_key(&queue)
    }

    /// Takes everyone from a queue.
    pub fn take(&mut self, queue: QueueId) -> Vec<Tid> {
        self.by_queue.remove(&queue).unwrap_or_default()
    }

    /// Takes one task from a queue.
    pub fn remove(&mut self, queue: QueueId, tid: Tid) {
        if let Some(waiters) = self.by_queue.get_mut(&queue) {
            waiters.retain(|waiter| *waiter != tid);
            if waiters.is_empty() {
                self.by_queue.remove(&queue);
            }
        }
    }
}
