//! Kernel objects as files: `eventfd`, `timerfd`, `signalfd`.

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_WAKE_ALARM;
use abi::file::{O_NONBLOCK, O_RDWR};
use abi::poll::*;
use abi::time::{CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM};

use super::time::{give_schedule, schedule_arg};
use crate::files::eventfd::EventFd;
use crate::files::signalfd::SignalFd;
use crate::files::timerfd::{TimerFd, TimerFile};
use crate::files::{FileObject, OpenFile};
use crate::kernel::Kernel;
use crate::signal::SignalSet;
use crate::stop::Outcome;
use crate::task::Task;

/// The flags for close-on-exec and nonblocking are the same for all of these.
const CLOEXEC: u32 = EFD_CLOEXEC;

fn add(k: &mut Kernel, t: &Rc<Task>, object: Rc<dyn FileObject>, name: &str, flags: u32) -> Outcome<u64> {
    let location = k.anonymous.named(&k.vfs, &t.credentials(), name);
    let file = OpenFile::new(object, location, O_RDWR | flags & O_NONBLOCK);
    k.add_file(t, file, flags & CLOEXEC != 0).map(|fd| fd as u64)
}

pub(super) fn eventfd(k: &mut Kernel, t: &Rc<Task>, count: u32) -> Outcome<u64> {
    eventfd2(k, t, count, 0)
}

pub(super) fn eventfd2(k: &mut Kernel, t: &Rc<Task>, count: u32, flags: u32) -> Outcome<u64> {
    if flags & !(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let object = EventFd::new(u64::from(count), flags & EFD_SEMAPHORE != 0);
    add(k, t, Rc::new(object), "[eventfd]", flags)
}

pub(super) fn timerfd_create(k: &mut Kernel, t: &Rc<Task>, clock: u32, flags: u32) -> Outcome<u64> {
    if flags & !(TFD_CLOEXEC | TFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    match clock {
        CLOCK_REALTIME | CLOCK_MONOTONIC | CLOCK_BOOTTIME => {}
        // They would wake the machine (`CAP_WAKE_ALARM`).
        CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM if t.credentials().has(CAP_WAKE_ALARM) => {}
        CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM => return Err(Errno::EPERM.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    add(k, t, Rc::new(TimerFile(Rc::new(TimerFd::new(clock)))), "[timerfd]", flags)
}

fn with_timer<T>(t: &Rc<Task>, fd: i32, then: impl FnOnce(&Rc<TimerFd>) -> Outcome<T>) -> Outcome<T> {
    let file = t.usable_file(fd)?;
    let timer = file.object_as::<TimerFile>().ok_or(Errno::EINVAL)?;
    then(&timer.0)
}

pub(super) fn timerfd_settime(k: &mut Kernel, t: &Rc<Task>, fd: i32, flags: u32, new: u64, old: u64) -> Outcome<u64> {
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL.into());
    }
    with_timer(t, fd, |timer| {
        let schedule = schedule_arg(k, t, timer.clock, flags & TFD_TIMER_ABSTIME != 0, new)?;
        if old != 0 {
            give_schedule(k, t, old, timer.schedule.get())?;
        }
        timer.set(schedule);
        k.schedule_file_timer(timer);
        Ok(0)
    })
}

pub(super) fn timerfd_gettime(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64) -> Outcome<u64> {
    with_timer(t, fd, |timer| {
        give_schedule(k, t, addr, timer.schedule.get())?;
        Ok(0)
    })
}

pub(super) fn signalfd(k: &mut Kernel, t: &Rc<Task>, fd: i32, mask: u64, size: usize) -> Outcome<u64> {
    signalfd4(k, t, fd, mask, size, 0)
}

pub(super) fn signalfd4(k: &mut Kernel, t: &Rc<Task>, fd: i32, mask: u64, size: usize, flags: u32) -> Outcome<u64> {
    if size != 8 || flags & !(SFD_CLOEXEC | SFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mask = SignalSet(t.mm()?.read_u64(mask)?).without(SignalSet::UNSTOPPABLE);
    if fd == -1 {
        let object = SignalFd { mask: std::cell::Cell::new(mask) };
        return add(k, t, Rc::new(object), "[signalfd]", flags);
    }
    let file = t.usable_file(fd)?;
    file.object_as::<SignalFd>().ok_or(Errno::EINVAL)?.mask.set(mask);
    Ok(fd as u64)
}
