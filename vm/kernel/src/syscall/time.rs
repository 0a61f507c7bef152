//! Clocks and timers.

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYS_TIME;
use abi::signal::{SIGALRM, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID};
use abi::time::*;

use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::{Outcome, Stop, Wait};
use crate::task::{Call, Restart, Task};
use crate::timer::{PosixTimer, Schedule, TimerEvent};

/// Timers a process may have.
const TIMERS_MAX: usize = 1024;
/// Resolution that clocks claim.
const RESOLUTION_NS: u64 = 1;
const COARSE_RESOLUTION_NS: u64 = 4_000_000;

/// Writes a `struct timespec`.
pub(super) fn give_timespec(t: &Rc<Task>, addr: u64, ns: u64) -> Outcome<()> {
    t.mm()?.write_user(addr, &t.layout().writer().timespec(ns).finish())
}

/// What a clock says now.
pub(super) fn clock_now(k: &Kernel, t: &Rc<Task>, clock: u32) -> Outcome<u64> {
    match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI | CLOCK_REALTIME_ALARM => Ok(k.realtime_ns()),
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => {
            Ok(k.uptime_ns())
        }
        CLOCK_PROCESS_CPUTIME_ID => Ok(k.process_cpu_time_ns(&t.process)),
        CLOCK_THREAD_CPUTIME_ID => Ok(t.cpu_time_ns.get()),
        clock => cpu_clock(k, t, clock),
    }
}

impl Kernel {
    /// A signal ends the call `t` is in: tells a sleeper how long it would have slept.
    ///
    /// # Errors
    /// `EFAULT` if that can't be written.
    pub(crate) fn give_time_left(&self, t: &Rc<Task>, call: &Call) -> Outcome<()> {
        if call.time_left_at == 0 {
            return Ok(());
        }
        let left_ns = call.deadline_ns.unwrap_or(0).saturating_sub(self.host.monotonic_ns());
        t.mm()?.write_user(call.time_left_at, &call.layout.writer().timespec(left_ns).finish())
    }
}

/// Whether sleeps and timers can go by a clock: some are only to be looked at.
fn may_time(clock: u32) -> bool {
    !matches!(clock, CLOCK_MONOTONIC_RAW | CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE)
}

/// Clocks of particular processes and threads: the number is the complement of the id, shifted (`clock_getcpuclockid(3)`).
fn cpu_clock(k: &Kernel, t: &Rc<Task>, clock: u32) -> Outcome<u64> {
    const IS_THREAD: u32 = 4;
    let clock = clock as i32;
    if clock >= 0 {
        return Err(Errno::EINVAL.into());
    }
    let id = !(clock >> 3);
    if clock as u32 & IS_THREAD != 0 {
        let thread = if id == 0 { t.clone() } else { k.task(id).ok_or(Errno::EINVAL)? };
        return Ok(thread.cpu_time_ns.get());
    }
    let process = if id == 0 { t.process.clone() } else { k.tasks.process(id).ok_or(Errno::EINVAL)? };
    Ok(k.process_cpu_time_ns(&process))
}

pub(super) fn clock_gettime(k: &mut Kernel, t: &Rc<Task>, clock: u32, addr: u64) -> Outcome<u64> {
    let now = clock_now(k, t, clock)?;
    give_timespec(t, addr, now).map(|()| 0)
}

pub(super) fn clock_getres(k: &mut Kernel, t: &Rc<Task>, clock: u32, addr: u64) -> Outcome<u64> {
    clock_now(k, t, clock)?;
    let coarse = matches!(clock, CLOCK_REALTIME_COARSE | CLOCK_MONOTONIC_COARSE);
    if addr != 0 {
        let resolution = if coarse { COARSE_RESOLUTION_NS } else { RESOLUTION_NS };
        give_timespec(t, addr, resolution)?;
    }
    Ok(0)
}

pub(super) fn clock_settime(k: &mut Kernel, t: &Rc<Task>, clock: u32, addr: u64) -> Outcome<u64> {
    if clock != CLOCK_REALTIME {
        return Err(Errno::EINVAL.into());
    }
    let wanted = t.timespec_arg(addr)?;
    set_realtime(k, t, wanted)
}

pub(super) fn set_realtime(k: &mut Kernel, t: &Rc<Task>, wanted_ns: u64) -> Outcome<u64> {
    if !t.credentials().has(CAP_SYS_TIME) {
        return Err(Errno::EPERM.into());
    }
    k.realtime_shift_ns = (wanted_ns as i64).wrapping_sub(k.host.realtime_ns() as i64);
    Ok(0)
}

pub(super) fn gettimeofday(k: &mut Kernel, t: &Rc<Task>, addr: u64, zone: u64) -> Outcome<u64> {
    let mm = t.mm()?;
    if addr != 0 {
        mm.write_user(addr, &t.layout().writer().timeval(k.realtime_ns()).finish())?;
    }
    if zone != 0 {
        mm.write_u64(zone, 0)?;
    }
    Ok(0)
}

pub(super) fn settimeofday(k: &mut Kernel, t: &Rc<Task>, addr: u64, _zone: u64) -> Outcome<u64> {
    match addr {
        0 => Ok(0),
        addr => {
            let wanted = t.timeval_arg(addr)?;
            set_realtime(k, t, wanted)
        }
    }
}

pub(super) fn time(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let seconds = k.realtime_ns() / SECOND_NS;
    if addr != 0 {
        t.write_word(addr, seconds)?;
    }
    Ok(seconds)
}

pub(super) fn times(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let ticks = |ns: u64| ns / (SECOND_NS / USER_HZ);
    if addr != 0 {
        let own = ticks(k.process_cpu_time_ns(&t.process));
        let children = ticks(t.process.children_cpu_time_ns.get());
        let bytes = t.layout().writer().word(own).word(0).word(children).word(0).finish();
        t.mm()?.write_user(addr, &bytes)?;
    }
    Ok(ticks(k.uptime_ns()))
}

// ---- sleeping ----

pub(super) fn nanosleep(k: &mut Kernel, t: &Rc<Task>, wanted: u64, left: u64) -> Outcome<u64> {
    clock_nanosleep(k, t, CLOCK_MONOTONIC, 0, wanted, left)
}

pub(super) fn clock_nanosleep(
    k: &mut Kernel,
    t: &Rc<Task>,
    clock: u32,
    flags: u32,
    wanted: u64,
    left: u64,
) -> Outcome<u64> {
    if clock == CLOCK_THREAD_CPUTIME_ID || !may_time(clock) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let wanted_ns = t.timespec_arg(wanted)?;
    let absolute = flags & TIMER_ABSTIME != 0;
    let timeout_ns = match absolute {
        true => wanted_ns.saturating_sub(clock_now(k, t, clock)?),
        false => clock_now(k, t, clock).map(|_| wanted_ns)?,
    };
    k.set_timeout(t, Some(timeout_ns));
    if k.deadline_passed(t) {
        return Ok(0);
    }
    if !absolute && left != 0 {
        // Only who is interrupted is told, but then the page must be there.
        match t.mm()?.prepare_write(left, t.layout().timespec_bytes() as usize) {
            Err(wait @ Stop::Wait(_)) => return Err(wait),
            _ => t.with_call(|call| call.time_left_at = left),
        }
    }
    t.with_call(|call| call.restart = Restart::Never);
    Err(Wait::Listed.into())
}

// ---- interval timers ----

pub(super) fn alarm(k: &mut Kernel, t: &Rc<Task>, seconds: u32) -> Outcome<u64> {
    let now_ns = k.host.monotonic_ns();
    let left_ns = t.process.interval_timers.borrow().real.remaining_ns(now_ns);
    set_real_timer(k, t, u64::from(seconds) * SECOND_NS, 0);
    Ok(left_ns.div_ceil(SECOND_NS))
}

fn set_real_timer(k: &mut Kernel, t: &Rc<Task>, value_ns: u64, interval_ns: u64) {
    let next_ns = if value_ns == 0 { 0 } else { k.host.monotonic_ns().saturating_add(value_ns) };
    t.process.interval_timers.borrow_mut().real = Schedule { next_ns, interval_ns };
    if next_ns != 0 {
        k.timers.add(next_ns, TimerEvent::Interval { pid: t.process.pid });
    }
}

fn interval_timer(k: &Kernel, t: &Rc<Task>, which: u32) -> Outcome<(Schedule, u64)> {
    let timers = *t.process.interval_timers.borrow();
    match which {
        ITIMER_REAL => Ok((timers.real, k.host.monotonic_ns())),
        ITIMER_VIRTUAL => Ok((timers.user, k.process_cpu_time_ns(&t.process))),
        ITIMER_PROF => Ok((timers.profile, k.process_cpu_time_ns(&t.process))),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn getitimer(k: &mut Kernel, t: &Rc<Task>, which: u32, addr: u64) -> Outcome<u64> {
    let (schedule, now_ns) = interval_timer(k, t, which)?;
    let bytes = t.layout().writer().timeval(schedule.interval_ns).timeval(schedule.remaining_ns(now_ns));
    t.mm()?.write_user(addr, &bytes.finish()).map(|()| 0)
}

pub(super) fn setitimer(k: &mut Kernel, t: &Rc<Task>, which: u32, new: u64, old: u64) -> Outcome<u64> {
    let (_, now_ns) = interval_timer(k, t, which)?;
    let (interval_ns, value_ns) = match new {
        0 => (0, 0),
        addr => (t.timeval_arg(addr)?, t.timeval_arg(addr.wrapping_add(t.layout().timeval_bytes()))?),
    };
    if old != 0 {
        getitimer(k, t, which, old)?;
    }
    let next_ns = if value_ns == 0 { 0 } else { now_ns.saturating_add(value_ns) };
    match which {
        ITIMER_VIRTUAL => t.process.interval_timers.borrow_mut().user = Schedule { next_ns, interval_ns },
        ITIMER_PROF => t.process.interval_timers.borrow_mut().profile = Schedule { next_ns, interval_ns },
        _ => set_real_timer(k, t, value_ns, interval_ns),
    }
    Ok(0)
}

// ---- POSIX timers ----

pub(super) fn timer_create(k: &mut Kernel, t: &Rc<Task>, clock: u32, event: u64, id: u64) -> Outcome<u64> {
    clock_now(k, t, clock)?;
    if !may_time(clock) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let mm = t.mm()?;
    let mut timers = t.process.posix_timers.borrow_mut();
    if timers.len() >= TIMERS_MAX {
        return Err(Errno::EAGAIN.into());
    }
    let number = (0..).find(|number| !timers.contains_key(number)).ok_or(Errno::EAGAIN)?;
    let mut timer = PosixTimer {
        clock,
        schedule: Schedule::default(),
        signal: SIGALRM,
        value: number as u64,
        thread: None,
        overrun: 0,
    };
    if event != 0 {
        let bytes = t.struct_arg(event, 64)?;
        let mut reader = t.layout().reader(&bytes);
        let (value, signal, notify, tid) = (reader.word(), reader.u32(), reader.u32(), reader.i32());
        timer.value = value;
        timer.signal = signal;
        match notify {
            SIGEV_SIGNAL => {}
            SIGEV_NONE => timer.signal = 0,
            SIGEV_THREAD_ID => timer.thread = Some(tid),
            _ => return Err(Errno::EINVAL.into()),
        }
        if notify != SIGEV_NONE && !crate::signal::valid_signal(signal) {
            return Err(Errno::EINVAL.into());
        }
    }
    mm.write_u32(id, number as u32)?;
    timers.insert(number, timer);
    Ok(0)
}

/// `struct itimerspec` as a schedule on the monotonic clock.
pub(super) fn schedule_arg(k: &Kernel, t: &Rc<Task>, clock: u32, absolute: bool, addr: u64) -> Outcome<Schedule> {
    let value_addr = addr.wrapping_add(t.layout().timespec_bytes());
    let (interval_ns, value_ns) = (t.timespec_arg(addr)?, t.timespec_arg(value_addr)?);
    if value_ns == 0 {
        return Ok(Schedule::default());
    }
    let wait_ns = match absolute {
        true => value_ns.saturating_sub(clock_now(k, t, clock)?),
        false => value_ns,
    };
    Ok(Schedule { next_ns: k.host.monotonic_ns().saturating_add(wait_ns).max(1), interval_ns })
}

/// Writes the `struct itimerspec` of a schedule.
pub(super) fn give_schedule(k: &Kernel, t: &Rc<Task>, addr: u64, schedule: Schedule) -> Outcome<()> {
    let left_ns = schedule.remaining_ns(k.host.monotonic_ns());
    let bytes = t.layout().writer().timespec(schedule.interval_ns).timespec(left_ns).finish();
    t.mm()?.write_user(addr, &bytes)
}

pub(super) fn timer_settime(k: &mut Kernel, t: &Rc<Task>, id: i32, flags: u32, new: u64, old: u64) -> Outcome<u64> {
    if new == 0 {
        return Err(Errno::EINVAL.into());
    }
    let timer = t.process.posix_timers.borrow().get(&id).copied().ok_or(Errno::EINVAL)?;
    let schedule = schedule_arg(k, t, timer.clock, flags & TIMER_ABSTIME != 0, new)?;
    if old != 0 {
        give_schedule(k, t, old, timer.schedule)?;
    }
    t.process.posix_timers.borrow_mut().insert(id, PosixTimer { schedule, overrun: 0, ..timer });
    if schedule.next_ns != 0 {
        k.timers.add(schedule.next_ns, TimerEvent::Posix { pid: t.process.pid, id });
    }
    Ok(0)
}

pub(super) fn timer_gettime(k: &mut Kernel, t: &Rc<Task>, id: i32, addr: u64) -> Outcome<u64> {
    let timer = t.process.posix_timers.borrow().get(&id).copied().ok_or(Errno::EINVAL)?;
    give_schedule(k, t, addr, timer.schedule).map(|()| 0)
}

pub(super) fn timer_getoverrun(_k: &mut Kernel, t: &Rc<Task>, id: i32) -> Outcome<u64> {
    let timer = t.process.posix_timers.borrow().get(&id).copied().ok_or(Errno::EINVAL)?;
    Ok(timer.overrun as u64)
}

pub(super) fn timer_delete(_k: &mut Kernel, t: &Rc<Task>, id: i32) -> Outcome<u64> {
    t.process.posix_timers.borrow_mut().remove(&id).map(|_| 0).ok_or(Errno::EINVAL.into())
}
