//! Futexes and what threads tell the kernel about themselves.

use std::rc::Rc;

use abi::process::*;
use abi::time::{CLOCK_MONOTONIC, CLOCK_REALTIME};
use abi::{Errno, Layout, Reader};

use crate::futex::pi::Lock;
use crate::futex::{Awaited, FutexKey};
use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::Outcome;
use crate::task::{Restart, Task};

/// Bytes of `struct robust_list_head`.
fn robust_list_bytes(layout: Layout) -> u64 {
    3 * layout.word_bytes
}

/// What `futex` was asked to do, besides its command.
struct Request {
    addr: u64,
    operation: u32,
    value: u32,
    /// A time, or for commands that move waiters a second count.
    timeout: u64,
    addr2: u64,
    value3: u32,
}

impl Request {
    fn is_shared(&self) -> bool {
        self.operation & FUTEX_PRIVATE_FLAG == 0
    }

    /// The word at one of the addresses, for a command that only looks at it.
    fn looked_at(&self, t: &Rc<Task>, addr: u64) -> Outcome<FutexKey> {
        FutexKey::named(&t.mm()?, addr, self.is_shared(), true)
    }

    /// The same for a command that changes it.
    fn changed(&self, t: &Rc<Task>, addr: u64) -> Outcome<Lock> {
        Ok(Lock { key: FutexKey::named(&t.mm()?, addr, self.is_shared(), false)?, addr })
    }

    fn awaited(&self, t: &Rc<Task>, bitset: u32) -> Outcome<Awaited> {
        if bitset == 0 {
            return Err(Errno::EINVAL.into());
        }
        Ok(Awaited { key: self.looked_at(t, self.addr)?, addr: self.addr, expected: self.value, bitset })
    }
}

pub(super) fn futex(
    k: &mut Kernel,
    t: &Rc<Task>,
    addr: u64,
    operation: u32,
    value: u32,
    timeout: u64,
    addr2: u64,
    value3: u32,
) -> Outcome<u64> {
    let request = Request { addr, operation, value, timeout, addr2, value3 };
    let command = operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    let is_realtime = operation & FUTEX_CLOCK_REALTIME != 0;
    if is_realtime && !matches!(command, FUTEX_WAIT_BITSET | FUTEX_WAIT_REQUEUE_PI | FUTEX_LOCK_PI2) {
        return Err(Errno::ENOSYS.into());
    }
    let clock = match command {
        FUTEX_WAIT => Clock::FromNow,
        FUTEX_LOCK_PI => Clock::Realtime,
        _ if is_realtime => Clock::Realtime,
        _ => Clock::Monotonic,
    };
    match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI | FUTEX_LOCK_PI2 | FUTEX_WAIT_REQUEUE_PI => {
            if k.futex_resume(t)?.is_some() {
                return Ok(0);
            }
            set_futex_timeout(k, t, timeout, clock)?;
            wait(k, t, &request, command).map(|()| 0)
        }
        FUTEX_TRYLOCK_PI => {
            let lock = request.changed(t, addr)?;
            k.futex_try_lock(t, lock).map(|()| 0)
        }
        FUTEX_UNLOCK_PI => {
            // Who does not hold it learns that first.
            if t.mm()?.read_u32(addr)? & FUTEX_TID_MASK != t.tid() as u32 {
                return Err(Errno::EPERM.into());
            }
            let lock = request.changed(t, addr)?;
            k.futex_unlock(t, lock).map(|()| 0)
        }
        _ => wake(k, t, &request, command).map(u64::from),
    }
}

/// Commands that sleep.
fn wait(k: &mut Kernel, t: &Rc<Task>, request: &Request, command: u32) -> Outcome<()> {
    match command {
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
            t.with_call(|call| call.restart = Restart::Always);
            let lock = request.changed(t, request.addr)?;
            k.futex_lock(t, lock)
        }
        FUTEX_WAIT_REQUEUE_PI => {
            t.with_call(|call| call.restart = Restart::Always);
            if request.addr == request.addr2 {
                return Err(Errno::EINVAL.into());
            }
            let lock = request.changed(t, request.addr2)?;
            let awaited = request.awaited(t, u32::MAX)?;
            k.futex_wait_to_lock(t, awaited, lock)
        }
        _ => {
            let bitset = if command == FUTEX_WAIT { u32::MAX } else { request.value3 };
            let awaited = request.awaited(t, bitset)?;
            k.futex_wait(t, &[awaited]).map(drop)
        }
    }
}

/// Commands that wake; they return how many.
fn wake(k: &mut Kernel, t: &Rc<Task>, request: &Request, command: u32) -> Outcome<u32> {
    let Request { addr, value, addr2, value3, .. } = *request;
    let count2 = request.timeout as u32;
    match command {
        FUTEX_WAKE | FUTEX_WAKE_BITSET => {
            let bitset = if command == FUTEX_WAKE { u32::MAX } else { value3 };
            if bitset == 0 {
                return Err(Errno::EINVAL.into());
            }
            k.futex_wake(request.looked_at(t, addr)?, value, bitset)
        }
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
            if (value as i32) < 0 || (count2 as i32) < 0 {
                return Err(Errno::EINVAL.into());
            }
            let (from, to) = (request.looked_at(t, addr)?, request.looked_at(t, addr2)?);
            if command == FUTEX_CMP_REQUEUE && t.mm()?.read_u32(addr)? != value3 {
                return Err(Errno::EAGAIN.into());
            }
            let (woken, moved) = k.futex_requeue(from, to, value, count2)?;
            Ok(if command == FUTEX_CMP_REQUEUE { woken + moved } else { woken })
        }
        FUTEX_CMP_REQUEUE_PI => {
            if value != 1 || (count2 as i32) < 0 || addr == addr2 {
                return Err(Errno::EINVAL.into());
            }
            let (from, lock) = (request.looked_at(t, addr)?, request.changed(t, addr2)?);
            let mm = t.mm()?;
            if mm.read_u32(addr)? != value3 {
                return Err(Errno::EAGAIN.into());
            }
            k.futex_requeue_to_lock(&mm, from, lock, count2)
        }
        FUTEX_WAKE_OP => {
            let (first, second) = (request.looked_at(t, addr)?, request.changed(t, addr2)?);
            let holds = operate(t, addr2, value3)?;
            let woken = k.futex_wake(first, value, u32::MAX)?;
            Ok(if holds { woken + k.futex_wake(second.key, count2, u32::MAX)? } else { woken })
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// What a timeout counts from.
#[derive(Clone, Copy)]
enum Clock {
    FromNow,
    Realtime,
    Monotonic,
}

fn set_futex_timeout(k: &mut Kernel, t: &Rc<Task>, addr: u64, clock: Clock) -> Outcome<()> {
    let Some(wanted_ns) = t.optional_timespec_arg(addr)? else { return Ok(()) };
    let timeout_ns = match clock {
        Clock::FromNow => wanted_ns,
        Clock::Realtime => wanted_ns.saturating_sub(k.realtime_ns()),
        Clock::Monotonic => wanted_ns.saturating_sub(k.uptime_ns()),
    };
    // Longer than the machine will run is for ever.
    k.set_timeout(t, Some(timeout_ns.min(u64::MAX / 2 - SECOND_NS)));
    // A handler would have it wait anew, and too long.
    t.with_call(|call| call.restart = Restart::Never);
    Ok(())
}

/// Sleeps on any of several words; returns which one somebody woke it for.
pub(super) fn futex_waitv(
    k: &mut Kernel,
    t: &Rc<Task>,
    waiters: u64,
    count: u32,
    flags: u32,
    timeout: u64,
    clock: u32,
) -> Outcome<u64> {
    const COUNT_MAX: u32 = 128;
    const WAITER_BYTES: u64 = 24;
    if let Some(index) = k.futex_resume(t)? {
        return Ok(index as u64);
    }
    if flags != 0 || count == 0 || count > COUNT_MAX || waiters == 0 {
        return Err(Errno::EINVAL.into());
    }
    if timeout != 0 {
        let clock = match clock {
            CLOCK_MONOTONIC => Clock::Monotonic,
            CLOCK_REALTIME => Clock::Realtime,
            _ => return Err(Errno::EINVAL.into()),
        };
        set_futex_timeout(k, t, timeout, clock)?;
    }
    let bytes = t.struct_arg(waiters, u64::from(count) * WAITER_BYTES)?;
    let words = bytes.chunks_exact(WAITER_BYTES as usize).map(waiter_arg).collect::<Outcome<Vec<_>>>()?;
    let mm = t.mm()?;
    let mut awaited = Vec::with_capacity(words.len());
    for (addr, expected, shared) in words {
        let key = FutexKey::named(&mm, addr, shared, true)?;
        awaited.push(Awaited { key, addr, expected, bitset: u32::MAX });
    }
    k.futex_wait(t, &awaited).map(|index| index as u64)
}

/// A `struct futex_waitv`: address, expected value, whether others may share it.
fn waiter_arg(bytes: &[u8]) -> Outcome<(u64, u32, bool)> {
    const FUTEX2_SIZE_MASK: u32 = 3;
    const FUTEX2_SIZE_U32: u32 = 2;
    let mut reader = Reader::new(bytes);
    let (value, addr, flags, reserved) = (reader.u64(), reader.u64(), reader.u32(), reader.u32());
    let known = FUTEX2_SIZE_MASK | FUTEX_PRIVATE_FLAG;
    if flags & !known != 0 || flags & FUTEX2_SIZE_MASK != FUTEX2_SIZE_U32 || reserved != 0 {
        return Err(Errno::EINVAL.into());
    }
    let expected = u32::try_from(value).map_err(|_| Errno::EINVAL)?;
    Ok((addr, expected, flags & FUTEX_PRIVATE_FLAG == 0))
}

/// The operation and comparison of `FUTEX_WAKE_OP`; returns whether the old value compares.
fn operate(t: &Rc<Task>, addr: u64, encoded: u32) -> Outcome<bool> {
    let sign_extend = |bits: u32| ((bits << 20) as i32) >> 20;
    let operation = encoded >> 28;
    let argument = sign_extend(encoded >> 12 & 0xfff);
    let compared = sign_extend(encoded & 0xfff);
    let argument = if operation & 8 != 0 { 1_i32.wrapping_shl(argument as u32) } else { argument };
    let mm = t.mm()?;
    let old = mm.read_u32(addr)? as i32;
    let new = match operation & 7 {
        0 => argument,
        1 => old.wrapping_add(argument),
        2 => old | argument,
        3 => old & !argument,
        4 => old ^ argument,
        _ => return Err(Errno::ENOSYS.into()),
    };
    mm.write_u32(addr, new as u32)?;
    match encoded >> 24 & 0xf {
        0 => Ok(old == compared),
        1 => Ok(old != compared),
        2 => Ok(old < compared),
        3 => Ok(old <= compared),
        4 => Ok(old > compared),
        5 => Ok(old >= compared),
        _ => Err(Errno::ENOSYS.into()),
    }
}

pub(super) fn set_tid_address(_k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    t.clear_child_tid.set(addr);
    Ok(t.tid() as u64)
}

pub(super) fn set_robust_list(_k: &mut Kernel, t: &Rc<Task>, head: u64, size: u64) -> Outcome<u64> {
    if size != robust_list_bytes(t.layout()) {
        return Err(Errno::EINVAL.into());
    }
    t.robust_list(t.layout()).set(head);
    Ok(0)
}

pub(super) fn get_robust_list(k: &mut Kernel, t: &Rc<Task>, tid: i32, head: u64, size: u64) -> Outcome<u64> {
    let task = if tid == 0 { t.clone() } else { k.task(tid).ok_or(Errno::ESRCH)? };
    let layout = t.layout();
    t.write_word(size, robust_list_bytes(layout))?;
    t.write_word(head, task.robust_list(layout).get()).map(|()| 0)
}
