//! The kernel log as files: `/dev/kmsg`, a record a read, and `/proc/kmsg`, which is `syslog(2)` as a file
//! (`Documentation/ABI/testing/dev-kmsg`, `proc(5)`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use abi::Errno;
use abi::file::{O_ACCMODE, O_WRONLY, SEEK_DATA, SEEK_END, SEEK_SET};
use abi::poll::{POLLERR, POLLIN, POLLPRI, POLLRDNORM};

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::log::rate::{Rate, RateLimit};
use crate::log::settings::UserMessages;
use crate::log::{FACILITY_USER, RECORD_BYTES_MAX, level};
use crate::stop::Outcome;
use crate::syscall::syslog;
use crate::task::Task;
use crate::vfs::Location;

/// An open `/dev/kmsg`.
pub struct Kmsg {
    /// The record it reads next.
    next: Cell<u64>,
    limit: RefCell<RateLimit>,
}

impl Kernel {
    /// Opens `/dev/kmsg`.
    pub(super) fn open_kmsg(&mut self, task: &Rc<Task>, location: Location, flags: u32) -> Outcome<Rc<OpenFile>> {
        if self.log.settings.user_messages == UserMessages::Off {
            return Err(Errno::EPERM.into());
        }
        if flags & O_ACCMODE != O_WRONLY {
            syslog::check(self, task, syslog::READ_ALL)?;
        }
        let kmsg = Kmsg { next: Cell::new(self.log.first()), limit: RefCell::default() };
        Ok(OpenFile::new(Rc::new(kmsg), location, flags))
    }
}

impl FileObject for Kmsg {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let log = &kernel.log;
        let record = log.from(self.next.get()).next().ok_or(log.arrived.stop())?;
        if record.sequence != self.next.replace(record.sequence) {
            // What was to come is gone; the next read gives what is left.
            return Err(Errno::EPIPE.into());
        }
        // A buffer that is too small loses the record, as with Linux.
        self.next.set(record.sequence + 1);
        let bytes = record.extended();
        to.get_mut(..bytes.len()).ok_or(Errno::EINVAL)?.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        if from.len() > RECORD_BYTES_MAX {
            return Err(Errno::EINVAL.into());
        }
        let is_logged = match kernel.log.settings.user_messages {
            UserMessages::On => true,
            UserMessages::Off => false,
            UserMessages::Limited => {
                let mut limit = self.limit.borrow_mut();
                limit.renew(kernel.uptime_ns(), Rate::USUAL);
                limit.admits(Rate::USUAL)
            }
        };
        if is_logged {
            let (priority, text) = split_priority(from);
            let default_level = (kernel.log.settings.default_level as u8) & level::MASK;
            let level = priority.map_or(default_level, |priority| priority as u8 & level::MASK);
            // There are 256 facilities; programs can't pretend to be the kernel's.
            let facility = priority.map_or(0, |priority| (priority >> 3) as u8);
            let facility = if facility == 0 { FACILITY_USER } else { facility };
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
            let text = text[..end].strip_suffix(b"\n").unwrap_or(&text[..end]);
            kernel.record(facility, level, text);
        }
        Ok(from.len())
    }

    fn seek(&self, kernel: &Kernel, offset: i64, whence: u32) -> Option<Outcome<u64>> {
        let next = match whence {
            _ if offset != 0 => return Some(Err(Errno::ESPIPE.into())),
            SEEK_SET => kernel.log.first(),
            SEEK_DATA => kernel.log.cleared,
            SEEK_END => kernel.log.next(),
            _ => return Some(Err(Errno::EINVAL.into())),
        };
        self.next.set(next);
        Some(Ok(0))
    }

    fn poll(&self, kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let events = match kernel.log.from(self.next.get()).next() {
            None => 0,
            Some(record) if record.sequence == self.next.get() => POLLIN | POLLRDNORM,
            Some(_) => POLLIN | POLLRDNORM | POLLERR | POLLPRI,
        };
        Readiness::on(&kernel.log.arrived, events)
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        let refused = self.limit.borrow_mut().take_refused();
        if refused > 0 {
            let name = kernel.tasks.current().map(|task| task.name.borrow().clone()).unwrap_or_default();
            let what = format!(": {refused} output lines suppressed due to ratelimiting");
            kernel.say(level::WARNING, [&name[..], what.as_bytes()].concat());
        }
    }
}

/// The number in `<number>text`, of which 32 bits count, and the text; all is text if there is none.
fn split_priority(line: &[u8]) -> (Option<u32>, &[u8]) {
    let digits = line.strip_prefix(b"<").unwrap_or_default();
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits.get(len) != Some(&b'>') {
        return (None, line);
    }
    let number = |value: u32, digit: &u8| value.wrapping_mul(10).wrapping_add((digit - b'0').into());
    (Some(digits[..len].iter().fold(0, number)), &digits[len + 1..])
}

/// An open `/proc/kmsg`.
pub struct ProcKmsg;

impl Kernel {
    /// Opens `/proc/kmsg`.
    pub(super) fn open_proc_kmsg(&mut self, task: &Rc<Task>) -> Outcome<Rc<ProcKmsg>> {
        syslog::check(self, task, syslog::OPEN)?;
        Ok(Rc::new(ProcKmsg))
    }
}

impl FileObject for ProcKmsg {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        let (bytes, read) = syslog::unread(&kernel.log, to.len());
        if bytes.is_empty() {
            return Err(kernel.log.arrived.stop());
        }
        to[..bytes.len()].copy_from_slice(&bytes);
        kernel.log.read = read;
        Ok(bytes.len())
    }

    fn poll(&self, kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let has_unread = kernel.log.next() > kernel.log.read.sequence;
        Readiness::on(&kernel.log.arrived, if has_unread { POLLIN | POLLRDNORM } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_as_linux_does() {
        assert_eq!(split_priority(b"<12>text"), (Some(12), &b"text"[..]));
        assert_eq!(split_priority(b"<>text"), (Some(0), &b"text"[..]));
        assert_eq!(split_priority(b"<4294967299>"), (Some(3), &b""[..]));
        for plain in [&b"text"[..], b"", b"<", b"<12", b"<-1>text", b"< 1>text", b"12>text"] {
            assert_eq!(split_priority(plain), (None, plain));
        }
    }
}
