//! `signalfd(2)`: pending signals as a file.

use std::cell::Cell;

use abi::Errno;
use abi::poll::{POLLIN, POLLRDNORM};

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::signal::SignalSet;
use crate::stop::Outcome;

/// Bytes of `struct signalfd_siginfo`.
const RECORD_BYTES: usize = 128;

/// Reads the signals of whoever reads it.
pub struct SignalFd {
    /// The signals it accepts.
    pub mask: Cell<SignalSet>,
}

impl FileObject for SignalFd {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let task = kernel.current()?;
        if to.len() < RECORD_BYTES {
            return Err(Errno::EINVAL.into());
        }
        let mut len = 0;
        for record in to.chunks_exact_mut(RECORD_BYTES) {
            let own = task.pending.borrow_mut().take(self.mask.get());
            let Some(info) = own.or_else(|| task.process.pending.borrow_mut().take(self.mask.get())) else { break };
            record.copy_from_slice(&info.encode_for_signalfd());
            len += RECORD_BYTES;
        }
        if len == 0 { Err(task.process.signal_events.stop()) } else { Ok(len) }
    }

    fn can_refuse_to_wait(&self) -> bool {
        true
    }

    fn poll(&self, kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let Ok(task) = kernel.current() else { return Readiness::default() };
        let pending = task.pending.borrow().set().with(task.process.pending.borrow().set());
        let events = if pending.0 & self.mask.get().0 != 0 { POLLIN | POLLRDNORM } else { 0 };
        Readiness::on(&task.process.signal_events, events)
    }
}
