//! Asynchronous I/O (`io_submit(2)`), carried out when it is submitted: what is read later has happened already.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use abi::memory::{PROT_READ, PROT_WRITE};
use abi::{Errno, Reader, Writer};
use memory::{PAGE_SIZE, SpaceId};

use super::rw::{Place, place_at, read_vector, readable, writable, write_vector};
use super::signal::{block_for_call, optional_set};
use crate::files::OpenFile;
use crate::files::eventfd::EventFd;
use crate::kernel::Kernel;
use crate::mm::{Backing, Placement, VmaFlags};
use crate::stop::{Outcome, Stop};
use crate::task::{Restart, Task};
use crate::wait::WaitQueue;

/// Events that all contexts together hold (`fs.aio-max-nr`).
pub const EVENTS_MAX: usize = 65_536;
/// Bytes of a `struct iocb`.
const REQUEST_BYTES: u64 = 64;
/// An eventfd is to be told.
const FLAG_EVENTFD: u32 = 1;

/// What is asked for.
mod operation {
    pub const PREAD: u16 = 0;
    pub const PWRITE: u16 = 1;
    pub const FSYNC: u16 = 2;
    pub const FDSYNC: u16 = 3;
    pub const PREADV: u16 = 7;
    pub const PWRITEV: u16 = 8;
}

/// A context: requests that have been carried out, and of which nobody has heard.
pub struct Context {
    capacity: usize,
    events: VecDeque<Event>,
    arrived: WaitQueue,
}

/// `struct io_event`.
struct Event {
    data: u64,
    request: u64,
    result: u64,
}

/// All contexts, by address space and number.
pub type Contexts = HashMap<(SpaceId, u64), Context>;

/// `struct iocb`.
struct Request {
    data: u64,
    operation: u16,
    fd: i32,
    buf: u64,
    len: u64,
    offset: i64,
    flags: u32,
    eventfd: i32,
}

impl Request {
    fn read(t: &Rc<Task>, addr: u64) -> Outcome<Self> {
        let bytes = t.struct_arg(addr, REQUEST_BYTES)?;
        let mut reader = Reader::new(&bytes);
        let (data, _key, _rw_flags) = (reader.u64(), reader.u32(), reader.u32());
        let (operation, _priority, fd) = (reader.u16(), reader.u16(), reader.i32());
        let (buf, len, offset) = (reader.u64(), reader.u64(), reader.i64());
        let (reserved, flags, eventfd) = (reader.u64(), reader.u32(), reader.i32());
        if reserved != 0 || i64::try_from(len).is_err() {
            return Err(Errno::EINVAL.into());
        }
        Ok(Self { data, operation, fd, buf, len, offset, flags, eventfd })
    }
}

fn key(t: &Rc<Task>, number: u64) -> Outcome<(SpaceId, u64)> {
    let id = t.mm()?.space.borrow().id();
    Ok((id, number))
}

pub(super) fn io_setup(k: &mut Kernel, t: &Rc<Task>, count: u32, addr: u64) -> Outcome<u64> {
    let mm = t.mm()?;
    if t.read_word(addr)? != 0 || count == 0 {
        return Err(Errno::EINVAL.into());
    }
    let held: usize = k.aio.values().map(|context| context.capacity).sum();
    let capacity = count as usize;
    if held.saturating_add(capacity) > EVENTS_MAX {
        return Err(Errno::EAGAIN.into());
    }
    // A context is known by the address of a page, which C libraries look into: it is not a ring that they know.
    let limit_bytes = t.process.limits.borrow().soft(abi::process::RLIMIT_AS);
    let (prot, flags) = (PROT_READ | PROT_WRITE, VmaFlags::default());
    let number = mm.map(Placement::Hint(0), PAGE_SIZE, prot, flags, Backing::Anonymous, limit_bytes)?;
    t.write_word(addr, number)?;
    let context = Context { capacity, events: VecDeque::new(), arrived: WaitQueue::default() };
    k.aio.insert(key(t, number)?, context);
    Ok(0)
}

pub(super) fn io_destroy(k: &mut Kernel, t: &Rc<Task>, number: u64) -> Outcome<u64> {
    let context = k.aio.remove(&key(t, number)?).ok_or(Errno::EINVAL)?;
    t.mm()?.unmap(number, PAGE_SIZE)?;
    k.wake(&context.arrived);
    Ok(0)
}

pub(super) fn io_submit(k: &mut Kernel, t: &Rc<Task>, number: u64, count: i64, requests: u64) -> Outcome<u64> {
    let key = key(t, number)?;
    if count < 0 || !k.aio.contains_key(&key) {
        return Err(Errno::EINVAL.into());
    }
    let word_bytes = t.layout().word_bytes;
    let mut done = t.with_call(|call| call.memo.unwrap_or(0));
    while done < count as u64 {
        let submitted = t.read_word(requests.wrapping_add(done * word_bytes)).and_then(|addr| submit(k, t, key, addr));
        match submitted {
            Ok(()) => {
                done += 1;
                t.with_call(|call| (call.memo, call.done) = (Some(done), 0));
            }
            Err(wait @ Stop::Wait(_)) => return Err(wait),
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done)
}

fn submit(k: &mut Kernel, t: &Rc<Task>, key: (SpaceId, u64), addr: u64) -> Outcome<()> {
    let request = Request::read(t, addr)?;
    let file = t.usable_file(request.fd)?;
    let listener = match request.flags & FLAG_EVENTFD {
        0 => None,
        _ => {
            let listener = t.usable_file(request.eventfd)?;
            listener.object_as::<EventFd>().ok_or(Errno::EINVAL)?;
            Some(listener)
        }
    };
    let has_room = k.aio.get(&key).is_some_and(|context| context.events.len() < context.capacity);
    if !has_room {
        return Err(Errno::EAGAIN.into());
    }
    let result = match carry_out(k, t, &file, &request) {
        Ok(result) => result,
        Err(Stop::Errno(errno)) if is_refusal(errno) => return Err(errno.into()),
        Err(Stop::Errno(errno)) => errno.to_result(),
        Err(wait) => return Err(wait),
    };
    if let Some(context) = k.aio.get_mut(&key) {
        context.events.push_back(Event { data: request.data, request: addr, result });
        let queue = context.arrived.id();
        k.wake_queue(queue);
    }
    if let Some(listener) = listener {
        // It may be full; then whoever reads it knows enough.
        let _ = listener.object.write(k, &listener, 0, &1_u64.to_le_bytes());
    }
    Ok(())
}

/// What is wrong with a request itself is said at once.
fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::EINVAL | Errno::EBADF | Errno::EFAULT)
}

fn carry_out(k: &mut Kernel, t: &Rc<Task>, file: &Rc<OpenFile>, request: &Request) -> Outcome<u64> {
    let place = match file.object.is_seekable() {
        true => place_at(file, request.offset)?,
        false => Place::Position,
    };
    let plain = || vec![(request.buf, usize::try_from(request.len).unwrap_or(usize::MAX))];
    let vector = || t.vector_arg(request.buf, request.len as usize);
    match request.operation {
        operation::PREAD => read_vector(k, t, &readable(t, request.fd)?, &plain(), place),
        operation::PWRITE => write_vector(k, t, &writable(t, request.fd)?, &plain(), place),
        operation::PREADV => read_vector(k, t, &readable(t, request.fd)?, &vector()?, place),
        operation::PWRITEV => write_vector(k, t, &writable(t, request.fd)?, &vector()?, place),
        operation::FSYNC | operation::FDSYNC => super::sync::fsync(k, t, request.fd),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn io_getevents(
    k: &mut Kernel,
    t: &Rc<Task>,
    number: u64,
    least: i64,
    most: i64,
    events: u64,
    timeout: u64,
) -> Outcome<u64> {
    t.with_call(|call| call.restart = Restart::Never);
    let timeout_ns = t.optional_timespec_arg(timeout)?;
    let context = k.aio.get(&key(t, number)?).ok_or(Errno::EINVAL)?;
    if least < 0 || most < least {
        return Err(Errno::EINVAL.into());
    }
    let count = context.events.len().min(most as usize);
    let queue = context.arrived.id();
    k.set_timeout(t, timeout_ns);
    if (count as i64) < least && !k.deadline_passed(t) {
        t.with_call(|call| call.queues.push(queue));
        return Err(crate::stop::Wait::Listed.into());
    }
    let context = k.aio.get_mut(&key(t, number)?).ok_or(Errno::EINVAL)?;
    let encode = |to: Writer, event: &Event| to.u64(event.data).u64(event.request).u64(event.result).u64(0);
    let bytes = context.events.iter().take(count).fold(Writer::new(), encode).finish();
    t.mm()?.write_user(events, &bytes)?;
    context.events.drain(..count);
    Ok(count as u64)
}

pub(super) fn io_pgetevents(
    k: &mut Kernel,
    t: &Rc<Task>,
    number: u64,
    least: i64,
    most: i64,
    events: u64,
    timeout: u64,
    set: u64,
) -> Outcome<u64> {
    if set != 0 {
        let layout = t.layout();
        let bytes = t.struct_arg(set, 2 * layout.word_bytes)?;
        let mut reader = layout.reader(&bytes);
        let (mask, size) = (reader.word(), reader.word());
        let mask = optional_set(t, mask, size as usize)?;
        block_for_call(t, mask);
    }
    let outcome = io_getevents(k, t, number, least, most, events, timeout);
    if !matches!(outcome, Err(Stop::Wait(_)))
        && let Some(blocked) = t.saved_blocked.take()
    {
        t.blocked.set(blocked);
    }
    outcome
}

/// Everything has been carried out: there is nothing to cancel.
pub(super) fn io_cancel(k: &mut Kernel, t: &Rc<Task>, number: u64, _request: u64, _result: u64) -> Outcome<u64> {
    k.aio.get(&key(t, number)?).ok_or(Errno::EINVAL)?;
    Err(Errno::EINVAL.into())
}
