//! Waiting for any of several files: `poll`, `select`.

use std::rc::Rc;

use abi::poll::*;
use abi::process::RLIMIT_NOFILE;
use abi::{Errno, Reader, Writer};

use super::signal::{block_for_call, optional_set};
use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::{Outcome, Stop, Wait};
use crate::task::{Restart, Task};

const MILLI_NS: u64 = 1_000_000;
const READ_EVENTS: u32 = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
const WRITE_EVENTS: u32 = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
const EXCEPT_EVENTS: u32 = POLLPRI;

/// A descriptor, the events wanted of it, and those it has.
struct Polled {
    fd: i32,
    wanted: u32,
    found: u32,
}

/// Looks at all files; sleeps unless one has an event or the time is over. Returns how many have.
fn wait_for_any(k: &mut Kernel, t: &Rc<Task>, files: &mut [Polled], timeout_ns: Option<u64>) -> Outcome<usize> {
    let mut count = 0;
    let mut queues = Vec::new();
    for polled in files.iter_mut().filter(|polled| polled.fd >= 0) {
        polled.found = match t.usable_file(polled.fd) {
            Ok(file) => {
                let readiness = file.object.clone().poll(k, &file);
                queues.extend(readiness.queues.iter().map(|(queue, _)| *queue));
                readiness.events & (polled.wanted | POLLERR | POLLHUP)
            }
            Err(_) => POLLNVAL,
        };
        count += usize::from(polled.found != 0);
    }
    k.set_timeout(t, timeout_ns);
    if count > 0 || timeout_ns == Some(0) || k.deadline_passed(t) {
        return Ok(count);
    }
    t.with_call(|call| {
        call.queues = queues;
        call.restart = Restart::Never;
    });
    Err(Wait::Listed.into())
}

pub(super) fn poll(k: &mut Kernel, t: &Rc<Task>, fds: u64, count: usize, timeout_ms: i32) -> Outcome<u64> {
    let timeout_ns = u64::try_from(timeout_ms).ok().map(|ms| ms * MILLI_NS);
    poll_files(k, t, fds, count, timeout_ns)
}

pub(super) fn ppoll(
    k: &mut Kernel,
    t: &Rc<Task>,
    fds: u64,
    count: usize,
    timeout: u64,
    mask: u64,
    mask_size: usize,
) -> Outcome<u64> {
    let timeout_ns = t.optional_timespec_arg(timeout)?;
    block_for_call(t, optional_set(t, mask, mask_size)?);
    let outcome = poll_files(k, t, fds, count, timeout_ns);
    if outcome.is_ok() {
        give_time_left(k, t, timeout, Writer::timespec)?;
    }
    outcome
}

/// `ppoll`, `select` and `pselect6` tell how much of the timeout was left, if they can.
fn give_time_left(k: &Kernel, t: &Rc<Task>, addr: u64, encode: impl Fn(Writer, u64) -> Writer) -> Outcome<()> {
    let Some(deadline_ns) = t.with_call(|call| call.deadline_ns).filter(|_| addr != 0) else { return Ok(()) };
    let left_ns = deadline_ns.saturating_sub(k.host.monotonic_ns());
    match t.mm()?.write_user(addr, &encode(t.layout().writer(), left_ns).finish()) {
        // It may be read-only.
        Err(Stop::Errno(_)) => Ok(()),
        outcome => outcome,
    }
}

fn poll_files(k: &mut Kernel, t: &Rc<Task>, fds: u64, count: usize, timeout_ns: Option<u64>) -> Outcome<u64> {
    const POLLFD_BYTES: usize = 8;
    if count as u64 > t.process.limits.borrow().soft(RLIMIT_NOFILE) {
        return Err(Errno::EINVAL.into());
    }
    let mm = t.mm()?;
    let mut bytes = vec![0; count * POLLFD_BYTES];
    mm.read_user(fds, &mut bytes)?;
    let mut reader = Reader::new(&bytes);
    let mut files = Vec::with_capacity(count);
    for _ in 0..count {
        let (fd, wanted, _found) = (reader.i32(), reader.u16(), reader.u16());
        files.push(Polled { fd, wanted: u32::from(wanted), found: 0 });
    }
    let ready = wait_for_any(k, t, &mut files, timeout_ns)?;
    for (index, polled) in files.iter().enumerate() {
        let addr = fds.wrapping_add((index * POLLFD_BYTES) as u64 + 6);
        mm.write_user(addr, &(polled.found as u16).to_le_bytes())?;
    }
    Ok(ready as u64)
}

pub(super) fn select(
    k: &mut Kernel,
    t: &Rc<Task>,
    count: i32,
    read: u64,
    write: u64,
    except: u64,
    timeout: u64,
) -> Outcome<u64> {
    let timeout_ns = match timeout {
        0 => None,
        addr => {
            // Microseconds may be more than a second here.
            let (seconds, micros) = t.raw_timeval_arg(addr)?;
            let [seconds, micros] = [seconds, micros].map(u64::try_from).map(|part| part.map_err(|_| Errno::EINVAL));
            Some(seconds?.saturating_mul(SECOND_NS).saturating_add(micros?.saturating_mul(1000)))
        }
    };
    let outcome = select_files(k, t, count, [read, write, except], timeout_ns);
    if outcome.is_ok() {
        give_time_left(k, t, timeout, Writer::timeval)?;
    }
    outcome
}

pub(super) fn pselect6(
    k: &mut Kernel,
    t: &Rc<Task>,
    count: i32,
    read: u64,
    write: u64,
    except: u64,
    timeout: u64,
    mask: u64,
) -> Outcome<u64> {
    let timeout_ns = t.optional_timespec_arg(timeout)?;
    let mask = match mask {
        0 => None,
        addr => {
            let len_addr = addr.wrapping_add(t.layout().word_bytes);
            optional_set(t, t.read_word(addr)?, t.read_word(len_addr)? as usize)?
        }
    };
    block_for_call(t, mask);
    let outcome = select_files(k, t, count, [read, write, except], timeout_ns);
    if outcome.is_ok() {
        give_time_left(k, t, timeout, Writer::timespec)?;
    }
    outcome
}

fn select_files(k: &mut Kernel, t: &Rc<Task>, count: i32, sets: [u64; 3], timeout_ns: Option<u64>) -> Outcome<u64> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?.min(t.fd_table()?.borrow().capacity());
    let word_bytes = t.layout().word_bytes as usize;
    let bytes = count.div_ceil(8 * word_bytes) * word_bytes;
    let mm = t.mm()?;
    let mut wanted = [vec![0; bytes], vec![0; bytes], vec![0; bytes]];
    for (set, addr) in wanted.iter_mut().zip(sets) {
        if addr != 0 {
            mm.read_user(addr, set)?;
        }
    }
    let kinds = [READ_EVENTS, WRITE_EVENTS, EXCEPT_EVENTS];
    let has = |set: &[u8], fd: usize| set[fd / 8] & 1 << (fd % 8) != 0;
    let mut files = Vec::new();
    for fd in 0..count {
        let events = wanted.iter().zip(kinds).filter(|(set, _)| has(set, fd)).fold(0, |all, (_, kind)| all | kind);
        if events != 0 {
            t.usable_file(fd as i32)?;
            files.push(Polled { fd: fd as i32, wanted: events, found: 0 });
        }
    }
    wait_for_any(k, t, &mut files, timeout_ns)?;
    let mut found = 0;
    for ((set, addr), kind) in wanted.iter().zip(sets).zip(kinds) {
        let mut result = vec![0; bytes];
        for polled in &files {
            let fd = polled.fd as usize;
            if has(set, fd) && polled.found & kind != 0 {
                result[fd / 8] |= 1 << (fd % 8);
                found += 1;
            }
        }
        if addr != 0 {
            mm.write_user(addr, &result)?;
        }
    }
    Ok(found)
}
