//! `syslog(2)`: the kernel log as one stream for all who read it, and what is shown on the console.

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYSLOG;

use super::buffers::check_addresses;
use crate::kernel::Kernel;
use crate::log::{BUFFER_BYTES, Cursor, Log, Record};
use crate::stop::{Outcome, Stop};
use crate::task::Task;

const CLOSE: u32 = 0;
/// `SYSLOG_ACTION_OPEN`
pub const OPEN: u32 = 1;
const READ: u32 = 2;
/// `SYSLOG_ACTION_READ_ALL`
pub const READ_ALL: u32 = 3;
const READ_CLEAR: u32 = 4;
const CLEAR: u32 = 5;
const CONSOLE_OFF: u32 = 6;
const CONSOLE_ON: u32 = 7;
const CONSOLE_LEVEL: u32 = 8;
const SIZE_UNREAD: u32 = 9;
const SIZE_BUFFER: u32 = 10;

/// Whether a task may do something with the log: everything takes `CAP_SYSLOG`, unless `dmesg_restrict` leaves reading to
/// everybody.
///
/// # Errors
/// `EPERM`
pub fn check(k: &Kernel, t: &Rc<Task>, action: u32) -> Outcome<()> {
    let is_restricted = k.log.settings.is_restricted || !matches!(action, READ_ALL | SIZE_BUFFER);
    if is_restricted && !t.credentials().has(CAP_SYSLOG) { Err(Errno::EPERM.into()) } else { Ok(()) }
}

pub(super) fn syslog(k: &mut Kernel, t: &Rc<Task>, action: u32, buf: u64, len: i32) -> Outcome<u64> {
    check(k, t, action)?;
    match action {
        CLOSE | OPEN => {}
        READ..=READ_CLEAR => {
            let len = usize::try_from(len).ok().filter(|_| buf != 0).ok_or(Errno::EINVAL)?;
            if len == 0 {
                return Ok(0);
            }
            check_addresses(&[(buf, len)])?;
            return match action {
                READ => read(k, t, buf, len),
                _ => read_all(k, t, buf, len, action == READ_CLEAR),
            };
        }
        CLEAR => k.log.cleared = k.log.next(),
        CONSOLE_OFF => {
            let settings = &mut k.log.settings;
            settings.console_level_before.get_or_insert(settings.console_level);
            settings.console_level = settings.console_level_min;
        }
        CONSOLE_ON => {
            let settings = &mut k.log.settings;
            settings.console_level = settings.console_level_before.take().unwrap_or(settings.console_level);
        }
        CONSOLE_LEVEL if (1..=8).contains(&len) => {
            let settings = &mut k.log.settings;
            settings.console_level = len.max(settings.console_level_min);
            settings.console_level_before = None;
        }
        SIZE_UNREAD => return Ok(unread(&k.log, usize::MAX).0.len() as u64),
        SIZE_BUFFER => return Ok(BUFFER_BYTES as u64),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

/// What has not been read yet, `room` bytes of it at most, and where that ends: with a record, unless not even the
/// first has room.
pub fn unread(log: &Log, room: usize) -> (Vec<u8>, Cursor) {
    let mut bytes = Vec::new();
    let mut read = log.read;
    for record in log.from(read.sequence) {
        if record.sequence != read.sequence {
            // What has been read half is gone.
            read = Cursor { sequence: record.sequence, bytes: 0 };
        }
        let lines = record.lines();
        let rest = lines.get(read.bytes..).unwrap_or_default();
        if bytes.len() + rest.len() <= room {
            bytes.extend_from_slice(rest);
            read = Cursor { sequence: record.sequence + 1, bytes: 0 };
        } else {
            if bytes.is_empty() {
                bytes.extend_from_slice(&rest[..room]);
                read.bytes += room;
            }
            break;
        }
    }
    (bytes, read)
}

/// `SYSLOG_ACTION_READ`
fn read(k: &mut Kernel, t: &Rc<Task>, buf: u64, len: usize) -> Outcome<u64> {
    let (bytes, read) = unread(&k.log, len);
    if bytes.is_empty() {
        return Err(k.log.arrived.stop());
    }
    let written = t.mm()?.write_user(buf, &bytes);
    if !matches!(written, Err(Stop::Wait(_))) {
        k.log.read = read;
    }
    written.map(|()| bytes.len() as u64)
}

/// `SYSLOG_ACTION_READ_ALL`: the last records since the log was cleared, as many as there is room for.
fn read_all(k: &mut Kernel, t: &Rc<Task>, buf: u64, len: usize, clears: bool) -> Outcome<u64> {
    let mut room = len;
    let fits = |lines: &Vec<u8>| {
        let fits = lines.len() <= room;
        room = room.saturating_sub(lines.len());
        fits
    };
    let mut lines: Vec<Vec<u8>> = k.log.from(k.log.cleared).rev().map(Record::lines).take_while(fits).collect();
    lines.reverse();
    let bytes = lines.concat();
    let written = t.mm()?.write_user(buf, &bytes);
    if clears && !matches!(written, Err(Stop::Wait(_))) {
        k.log.cleared = k.log.next();
    }
    written.map(|()| bytes.len() as u64)
}
