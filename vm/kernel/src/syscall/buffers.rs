//! Copying between the program's buffers and our own.

use std::rc::Rc;

use abi::Errno;
use memory::PAGE_SIZE;

use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::Task;

/// End of the addresses that programs can have (`TASK_SIZE_MAX`).
const USER_END: u64 = (1 << 47) - PAGE_SIZE;

/// Bytes a call moves before it is another task's turn: a few milliseconds' worth, after which memory is counted, too.
const TURN_BYTES: usize = 8 << 20;

/// A call that has moved `done` bytes, the last `moved` of them since it was last asked, gives way to others now and
/// then, and ends early if a signal has come. Returns whether it goes on.
pub(super) fn goes_on(k: &Kernel, t: &Rc<Task>, done: usize, moved: usize) -> Outcome<bool> {
    if done / TURN_BYTES == (done - moved) / TURN_BYTES {
        return Ok(true);
    }
    if k.has_signal(t) {
        return Ok(false);
    }
    t.with_call(|call| call.done = done as u64);
    Err(Wait::Turn.into())
}

/// Whether buffers lie where programs can have memory at all (`access_ok`).
///
/// # Errors
/// `EFAULT` if not.
pub(super) fn check_addresses(vector: &[(u64, usize)]) -> Outcome<()> {
    let fits = |(addr, len): &(u64, usize)| addr.checked_add(*len as u64).is_some_and(|end| end <= USER_END);
    if vector.iter().all(fits) { Ok(()) } else { Err(Errno::EFAULT.into()) }
}

/// The parts of the program's buffers that `len` bytes from `skip` bytes on are in: each part's address, and which of
/// the bytes.
fn parts(vector: &[(u64, usize)], skip: usize, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let (mut skip, mut at) = (skip, 0);
    vector.iter().filter_map(move |(addr, room)| {
        let skipped = skip.min(*room);
        skip -= skipped;
        let part = at..at + (len - at).min(room - skipped);
        at = part.end;
        (!part.is_empty()).then_some((addr.wrapping_add(skipped as u64), part))
    })
}

/// Copies bytes into the program's buffers, from `skip` bytes into them on.
pub(super) fn scatter(t: &Rc<Task>, vector: &[(u64, usize)], skip: usize, bytes: &[u8]) -> Outcome<()> {
    let mm = t.mm()?;
    parts(vector, skip, bytes.len()).try_for_each(|(addr, part)| mm.write_user(addr, &bytes[part]))
}

/// Copies bytes out of the program's buffers, from `skip` bytes into them on.
pub(super) fn gather(t: &Rc<Task>, vector: &[(u64, usize)], skip: usize, to: &mut [u8]) -> Outcome<()> {
    let mm = t.mm()?;
    parts(vector, skip, to.len()).try_for_each(|(addr, part)| mm.read_user(addr, &mut to[part]))
}

/// As [`scatter`], up to the first byte that can't be written; returns how many were.
pub(super) fn scatter_some(t: &Rc<Task>, vector: &[(u64, usize)], skip: usize, bytes: &[u8]) -> Outcome<usize> {
    match scatter(t, vector, skip, bytes) {
        Ok(()) => Ok(bytes.len()),
        Err(Stop::Errno(_)) => {
            by_page(vector, skip, bytes.len(), |skip, piece| scatter(t, vector, skip, &bytes[piece]))
        }
        Err(wait) => Err(wait),
    }
}

/// As [`gather`], up to the first byte that can't be read; returns how many were.
pub(super) fn gather_some(t: &Rc<Task>, vector: &[(u64, usize)], skip: usize, to: &mut [u8]) -> Outcome<usize> {
    match gather(t, vector, skip, to) {
        Ok(()) => Ok(to.len()),
        Err(Stop::Errno(_)) => by_page(vector, skip, to.len(), |skip, piece| gather(t, vector, skip, &mut to[piece])),
        Err(wait) => Err(wait),
    }
}

/// Copies page by page until it fails; an error only if nothing was copied.
fn by_page(
    vector: &[(u64, usize)],
    skip: usize,
    len: usize,
    mut copy: impl FnMut(usize, std::ops::Range<usize>) -> Outcome<()>,
) -> Outcome<usize> {
    let mut done = 0;
    while done < len {
        let Some((addr, part)) = parts(vector, skip + done, len - done).next() else { break };
        let in_page = (PAGE_SIZE - addr % PAGE_SIZE) as usize;
        let end = done + part.len().min(in_page);
        match copy(skip + done, done..end) {
            Ok(()) => done = end,
            Err(Stop::Errno(_)) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done)
}
