//! `eventfd(2)`: a counter as a file.

use std::cell::Cell;

use abi::Errno;
use abi::poll::{POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM};

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::wait::WaitQueue;

/// Largest count.
const COUNT_MAX: u64 = u64::MAX - 1;

/// A counter.
pub struct EventFd {
    count: Cell<u64>,
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    /// A counter that starts at `count`; a semaphore is read one by one.
    pub fn new(count: u64, semaphore: bool) -> Self {
        Self { count: Cell::new(count), semaphore, queue: WaitQueue::default() }
    }
}

impl FileObject for EventFd {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let to = to.first_chunk_mut::<8>().ok_or(Errno::EINVAL)?;
        let count = self.count.get();
        if count == 0 {
            return Err(self.queue.stop());
        }
        let taken = if self.semaphore { 1 } else { count };
        self.count.set(count - taken);
        *to = taken.to_le_bytes();
        kernel.wake(&self.queue);
        Ok(8)
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        let added = u64::from_le_bytes(*from.first_chunk::<8>().ok_or(Errno::EINVAL)?);
        if added > COUNT_MAX {
            return Err(Errno::EINVAL.into());
        }
        let count = self.count.get();
        if added > COUNT_MAX - count {
            return Err(self.queue.stop());
        }
        self.count.set(count + added);
        kernel.wake(&self.queue);
        Ok(8)
    }

    fn can_refuse_to_wait(&self) -> bool {
        true
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let readable = if self.count.get() > 0 { POLLIN | POLLRDNORM } else { 0 };
        let writable = if self.count.get() < COUNT_MAX { POLLOUT | POLLWRNORM } else { 0 };
        Readiness::on(&self.queue, readable | writable)
    }

    fn describe(&self, _kernel: &Kernel) -> String {
        format!("eventfd-count: {:16x}\n", self.count.get())
    }
}
