//! `timerfd_create(2)`: a timer as a file.

use std::cell::Cell;
use std::rc::Rc;

use abi::Errno;
use abi::poll::{POLLIN, POLLRDNORM};

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::timer::Schedule;
use crate::wait::WaitQueue;

/// A timer.
#[derive(Default)]
pub struct TimerFd {
    /// When it runs out, on the monotonic clock.
    pub schedule: Cell<Schedule>,
    /// Its clock, `CLOCK_*`.
    pub clock: u32,
    /// Woken when it runs out.
    pub queue: WaitQueue,
    expirations: Cell<u64>,
}

impl TimerFd {
    /// A timer that is off.
    pub fn new(clock: u32) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Counts expirations up to now; returns whether there are new ones.
    pub fn expire(&self, now_ns: u64) -> bool {
        let mut schedule = self.schedule.get();
        let times = schedule.expire(now_ns);
        self.schedule.set(schedule);
        self.expirations.set(self.expirations.get().saturating_add(times));
        times > 0
    }

    /// Sets it anew; expirations not read yet are forgotten.
    pub fn set(&self, schedule: Schedule) {
        self.schedule.set(schedule);
        self.expirations.set(0);
    }
}

/// The file, which holds the timer by a counted reference of its own so that events can find it.
pub struct TimerFile(pub Rc<TimerFd>);

impl FileObject for TimerFile {
    fn read(&self, _kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let to = to.first_chunk_mut::<8>().ok_or(Errno::EINVAL)?;
        match self.0.expirations.take() {
            0 => Err(self.0.queue.stop()),
            count => {
                *to = count.to_le_bytes();
                Ok(8)
            }
        }
    }

    fn can_refuse_to_wait(&self) -> bool {
        true
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let events = if self.0.expirations.get() > 0 { POLLIN | POLLRDNORM } else { 0 };
        Readiness::on(&self.0.queue, events)
    }
}
