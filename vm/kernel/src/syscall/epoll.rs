//! `epoll(7)`.

use std::rc::Rc;

use abi::poll::*;
use abi::{Errno, Writer};

use super::signal::{block_for_call, optional_set};
use crate::files::epoll::Epoll;
use crate::files::{OpenFile, device::Device, regular};
use crate::kernel::Kernel;
use crate::stop::{Outcome, Wait};
use crate::task::{Restart, Task};

/// Most events one call reports.
const EVENTS_MAX: i32 = (i32::MAX as u32 / 12) as i32;
/// All that may be asked for together with `EPOLLEXCLUSIVE` (`EPOLLEXCLUSIVE_OK_BITS`).
const EXCLUSIVE_EVENTS: u32 =
    POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
const MILLI_NS: u64 = 1_000_000;

pub(super) fn epoll_create(k: &mut Kernel, t: &Rc<Task>, size: i32) -> Outcome<u64> {
    if size <= 0 {
        return Err(Errno::EINVAL.into());
    }
    epoll_create1(k, t, 0)
}

pub(super) fn epoll_create1(k: &mut Kernel, t: &Rc<Task>, flags: u32) -> Outcome<u64> {
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL.into());
    }
    let location = k.anonymous.named(&k.vfs, &t.credentials(), "[eventpoll]");
    let file = OpenFile::new(Rc::new(Epoll::default()), location, abi::file::O_RDWR);
    k.add_file(t, file, flags & EPOLL_CLOEXEC != 0).map(|fd| fd as u64)
}

pub(super) fn epoll_ctl(k: &mut Kernel, t: &Rc<Task>, epfd: i32, operation: u32, fd: i32, event: u64) -> Outcome<u64> {
    let (set, file) = (t.usable_file(epfd)?, t.usable_file(fd)?);
    let (events, data) = match operation {
        EPOLL_CTL_DEL => (0, 0),
        _ => (t.mm()?.read_u32(event)?, t.mm()?.read_u64(event.wrapping_add(4))?),
    };
    // Files that are always ready can't be waited for.
    let is_plain = file.object_as::<regular::Regular>().is_some() || file.object_as::<regular::Directory>().is_some();
    if is_plain || file.object_as::<Device>().is_some_and(|device| *device != Device::Random) {
        return Err(Errno::EPERM.into());
    }
    let epoll = set.object_as::<Epoll>().ok_or(Errno::EINVAL)?;
    if Rc::ptr_eq(&set, &file) {
        return Err(Errno::EINVAL.into());
    }
    // Exclusive from the beginning or never, and only of what is no set itself.
    let asks_exclusive = operation != EPOLL_CTL_DEL && events & EPOLLEXCLUSIVE != 0;
    let may_be_exclusive = operation == EPOLL_CTL_ADD && events & !EXCLUSIVE_EVENTS == 0;
    if asks_exclusive && (!may_be_exclusive || file.object_as::<Epoll>().is_some()) {
        return Err(Errno::EINVAL.into());
    }
    if operation == EPOLL_CTL_ADD && epoll.is_within(&file, 0) {
        return Err(Errno::ELOOP.into());
    }
    epoll.control(k, operation, fd, &file, events, data).map(|()| 0)
}

pub(super) fn epoll_wait(
    k: &mut Kernel,
    t: &Rc<Task>,
    epfd: i32,
    events: u64,
    max: i32,
    timeout_ms: i32,
) -> Outcome<u64> {
    let timeout_ns = u64::try_from(timeout_ms).ok().map(|ms| ms * MILLI_NS);
    wait(k, t, epfd, events, max, timeout_ns)
}

pub(super) fn epoll_pwait(
    k: &mut Kernel,
    t: &Rc<Task>,
    epfd: i32,
    events: u64,
    max: i32,
    timeout_ms: i32,
    mask: u64,
) -> Outcome<u64> {
    block_for_call(t, optional_set(t, mask, 8)?);
    epoll_wait(k, t, epfd, events, max, timeout_ms)
}

pub(super) fn epoll_pwait2(
    k: &mut Kernel,
    t: &Rc<Task>,
    epfd: i32,
    events: u64,
    max: i32,
    timeout: u64,
    mask: u64,
) -> Outcome<u64> {
    let timeout_ns = t.optional_timespec_arg(timeout)?;
    block_for_call(t, optional_set(t, mask, 8)?);
    wait(k, t, epfd, events, max, timeout_ns)
}

fn wait(k: &mut Kernel, t: &Rc<Task>, epfd: i32, events: u64, max: i32, timeout_ns: Option<u64>) -> Outcome<u64> {
    const EVENT_BYTES: usize = 12;
    if !(1..=EVENTS_MAX).contains(&max) {
        return Err(Errno::EINVAL.into());
    }
    // What is collected is bounded by the files in the set.
    let max = max as usize;
    let set = t.usable_file(epfd)?;
    let epoll = set.object_as::<Epoll>().ok_or(Errno::EINVAL)?;
    let (pending, queues) = epoll.collect(k, max, false);
    if !pending.is_empty() {
        // What is reported must arrive: edges come only once.
        t.mm()?.prepare_write(events, pending.len() * EVENT_BYTES)?;
        let (reports, _) = epoll.collect(k, max, true);
        let encode = |writer: Writer, (events, data): &(u32, u64)| writer.u32(*events).u64(*data);
        t.mm()?.write_user(events, &reports.iter().fold(Writer::new(), encode).finish())?;
        return Ok(reports.len() as u64);
    }
    k.set_timeout(t, timeout_ns);
    if timeout_ns == Some(0) || k.deadline_passed(t) {
        return Ok(0);
    }
    t.with_call(|call| {
        call.queues = queues.iter().map(|(queue, _)| *queue).collect();
        call.restart = Restart::Never;
    });
    Err(Wait::Listed.into())
}
