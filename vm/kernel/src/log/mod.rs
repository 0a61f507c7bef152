//! The kernel log: what the kernel layer says about the machine, and what programs write to `/dev/kmsg`.
//!
//! A [`Record`] is one message. [`Log`] keeps the last of them; whoever reads has a position of its own in it, which is
//! the number of the record that comes next: an open `/dev/kmsg` ([`crate::files::kmsg`]) and `syslog(2)`
//! ([`crate::syscall::syslog`]). What is urgent enough is shown to whoever runs the machine, too: that is what the
//! console is to Linux.
//!
//! | module | subject |
//! |---|---|
//! | [`boot`] | what is said while the machine starts |
//! | [`crash`] | programs that a processor exception ends |
//! | [`rate`] | how much is said at a time |
//! | [`settings`] | what of it can be set in `/proc/sys` |
//!
//! Sources: `syslog(2)`, `Documentation/ABI/testing/dev-kmsg`, `Documentation/admin-guide/sysctl/kernel.rst`.

pub mod boot;
pub mod crash;
pub mod rate;
pub mod settings;

use std::collections::VecDeque;
use std::fmt::Write;
use std::rc::Rc;

use crate::kernel::{Kernel, SECOND_NS};
use crate::wait::WaitQueue;
use rate::RateLimit;
use settings::Settings;

/// Bytes of text that are kept (`CONFIG_LOG_BUF_SHIFT` is 17 with Debian).
pub const BUFFER_BYTES: usize = 1 << 17;
/// Records that are kept, however short: Linux takes 32 bytes of text for the average.
const RECORDS_MAX: usize = BUFFER_BYTES / 32;
/// Bytes of a record's text, and of what may be written to `/dev/kmsg` at once (`PRINTKRB_RECORD_MAX`).
pub const RECORD_BYTES_MAX: usize = 1024;

/// How urgent a message is (`syslog(3)`): the less, the more.
pub mod level {
    /// Errors.
    pub const ERROR: u8 = 3;
    /// Warnings.
    pub const WARNING: u8 = 4;
    /// What is normal, but significant.
    pub const NOTICE: u8 = 5;
    /// All else.
    pub const INFO: u8 = 6;
    /// The bits of a priority that are the level; the others are the facility.
    pub const MASK: u8 = 7;
}

/// Facility of messages that programs have written (`LOG_USER`); the kernel's own is 0.
pub const FACILITY_USER: u8 = 1;

/// A message.
pub struct Record {
    /// How many have come before it since the machine started.
    pub sequence: u64,
    /// Who says it.
    pub facility: u8,
    /// How urgent it is.
    pub level: u8,
    /// When it was said, by the monotonic clock since the machine started.
    pub at_ns: u64,
    /// What was said; it may have several lines.
    pub text: Box<[u8]>,
}

impl Record {
    fn priority(&self) -> u32 {
        u32::from(self.facility) << 3 | u32::from(self.level)
    }

    /// As `syslog(2)` shows it: each line with priority and time.
    pub fn lines(&self) -> Vec<u8> {
        let (seconds, micros) = (self.at_ns / SECOND_NS, self.at_ns % SECOND_NS / 1000);
        let head = format!("<{}>[{seconds:5}.{micros:06}] ", self.priority());
        let lines = self.text.split(|byte| *byte == b'\n');
        lines.flat_map(|line| [head.as_bytes(), line, b"\n"].concat()).collect()
    }

    /// As `/dev/kmsg` shows it: one line, with everything in it escaped that is not plain ASCII.
    pub fn extended(&self) -> Vec<u8> {
        let mut line = format!("{},{},{},-;", self.priority(), self.sequence, self.at_ns / 1000);
        for byte in &self.text {
            match byte {
                b'\\' | 0..b' ' | 127.. => {
                    // Writing to a string does not fail.
                    let _ = write!(line, "\\x{byte:02x}");
                }
                plain => line.push(char::from(*plain)),
            }
        }
        line.push('\n');
        line.into_bytes()
    }
}

/// How far `syslog(2)` has read: all who use it share one position.
#[derive(Clone, Copy, Default)]
pub struct Cursor {
    /// The next record.
    pub sequence: u64,
    /// Bytes of it, as [`Record::lines`] gives it, that have been read.
    pub bytes: usize,
}

/// The last messages.
#[derive(Default)]
pub struct Log {
    records: VecDeque<Record>,
    /// Number of the next record.
    next: u64,
    /// Bytes of text in all records.
    bytes: usize,
    /// How far `syslog(2)` has read.
    pub read: Cursor,
    /// First record since `syslog(2)` was last asked to forget them.
    pub cleared: u64,
    /// Woken by each message.
    pub arrived: Rc<WaitQueue>,
    /// What the machine's superuser may set.
    pub settings: Settings,
    /// Bounds what is said because of what programs do.
    pub(crate) limit: RateLimit,
}

impl Log {
    /// Number of the first record that is kept.
    pub fn first(&self) -> u64 {
        self.next - self.records.len() as u64
    }

    /// Number of the record that comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The records from one number on, or those of them that are left.
    pub fn from(&self, sequence: u64) -> impl DoubleEndedIterator<Item = &Record> {
        let gone = sequence.saturating_sub(self.first()).min(self.records.len() as u64);
        self.records.range(gone as usize..)
    }

    /// Adds a message, at the cost of the oldest.
    fn add(&mut self, facility: u8, level: u8, at_ns: u64, text: &[u8]) {
        let text = &text[..text.len().min(RECORD_BYTES_MAX)];
        while self.records.len() >= RECORDS_MAX || self.bytes + text.len() > BUFFER_BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.text.len();
        }
        self.bytes += text.len();
        self.records.push_back(Record { sequence: self.next, facility, level, at_ns, text: text.into() });
        self.next += 1;
    }
}

impl Kernel {
    /// Puts a message of the kernel's own into the log.
    pub(crate) fn say(&mut self, level: u8, text: impl AsRef<[u8]>) {
        self.record(0, level, text.as_ref());
    }

    /// Puts a message into the log, shows it to whoever runs the machine if it is urgent, and tells those who wait.
    pub(crate) fn record(&mut self, facility: u8, level: u8, text: &[u8]) {
        let now_ns = self.uptime_ns();
        self.log.add(facility, level, now_ns, text);
        if i32::from(level) < self.log.settings.console_level {
            self.host.log(&String::from_utf8_lossy(text));
        }
        let arrived = self.log.arrived.clone();
        self.wake(&arrived);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(log: &Log, from: u64) -> Vec<u64> {
        log.from(from).map(|record| record.sequence).collect()
    }

    #[test]
    fn the_oldest_records_make_room() {
        let mut log = Log::default();
        for _ in 0..BUFFER_BYTES / RECORD_BYTES_MAX + 3 {
            log.add(0, level::INFO, 0, &[b'x'; RECORD_BYTES_MAX + 1]);
        }
        assert_eq!((log.first(), log.next()), (3, 131));
        assert_eq!(sequences(&log, 129), [129, 130]);
        assert_eq!(sequences(&log, 0).first(), Some(&3));
        assert!(sequences(&log, 1000).is_empty());
        for _ in 0..RECORDS_MAX + 1 {
            log.add(0, level::INFO, 0, b"");
        }
        assert_eq!(log.next() - log.first(), RECORDS_MAX as u64);
    }

    #[test]
    fn records_as_programs_see_them() {
        let mut log = Log::default();
        log.add(FACILITY_USER, level::WARNING, 12_345_678_901, "tab\tback\\slash\nä".as_bytes());
        let record = log.from(0).next().unwrap();
        let extended = String::from_utf8(record.extended()).unwrap();
        assert_eq!(extended, "12,0,12345678,-;tab\\x09back\\x5cslash\\x0a\\xc3\\xa4\n");
        let lines = String::from_utf8(record.lines()).unwrap();
        assert_eq!(lines, "<12>[   12.345678] tab\tback\\slash\n<12>[   12.345678] ä\n");
    }
}
