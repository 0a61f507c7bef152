//! Reading and writing with flags for one call: `preadv2(2)`, `pwritev2(2)`.

use std::rc::Rc;

use abi::Errno;

use super::rw::{Patience, Place, place_at, read_patiently, readable, writable, write_patiently};
use crate::files::OpenFile;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// `RWF_*` (`linux/fs.h`).
const HIPRI: u32 = 1;
const DSYNC: u32 = 2;
const SYNC: u32 = 4;
const NOWAIT: u32 = 8;
const APPEND: u32 = 16;

pub(super) fn preadv2(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    iov: u64,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> Outcome<u64> {
    let file = readable(t, fd)?;
    let place = place_arg(&file, offset)?;
    let vector = t.vector_arg(iov, count)?;
    let patience = patience_arg(&file, flags)?;
    read_patiently(k, t, &file, &vector, place, patience)
}

pub(super) fn pwritev2(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    iov: u64,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> Outcome<u64> {
    let file = writable(t, fd)?;
    let place = place_arg(&file, offset)?;
    let vector = t.vector_arg(iov, count)?;
    let patience = patience_arg(&file, flags)?;
    let place = if flags & APPEND != 0 { Place::End { moves: place == Place::Position } } else { place };
    write_patiently(k, t, &file, &vector, place, patience)
}

/// Where it takes place: -1 is the file's position.
fn place_arg(file: &OpenFile, offset: i64) -> Outcome<Place> {
    if offset == -1 { Ok(Place::Position) } else { place_at(file, offset) }
}

/// What the flags ask for. That a write is on the disk when it returns, they need not ask for: nothing is kept anywhere
/// else. `RWF_HIPRI` is advice.
///
/// # Errors
/// `EOPNOTSUPP` for flags that are not known, or that the file does not take.
fn patience_arg(file: &OpenFile, flags: u32) -> Outcome<Patience> {
    let is_unknown = flags & !(HIPRI | DSYNC | SYNC | NOWAIT | APPEND) != 0;
    match flags & NOWAIT != 0 {
        _ if is_unknown => Err(Errno::EOPNOTSUPP.into()),
        true if !file.object.can_refuse_to_wait() => Err(Errno::EOPNOTSUPP.into()),
        true => Ok(Patience::None),
        false => Ok(Patience::OfFile),
    }
}
