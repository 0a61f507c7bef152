//! Futexes and what threads tell the kernel about themselves.

use std::rc::Rc;

use abi::process::*;
use abi::{Errno, Layout};

use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::Outcome;
use crate::task::Task;

/// Bytes of `struct robust_list_head`.
fn robust_list_bytes(layout: Layout) -> u64 {
    3 * layout.word_bytes
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
    let command = operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL.into());
    }
    let mm = t.mm()?;
    // For commands that move waiters, the timeout's place holds a second count.
    let count2 = timeout as u32;
    match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            let bitset = if command == FUTEX_WAIT { u32::MAX } else { value3 };
            if bitset == 0 {
                return Err(Errno::EINVAL.into());
            }
            let realtime = operation & FUTEX_CLOCK_REALTIME != 0;
            set_futex_timeout(k, t, timeout, command == FUTEX_WAIT_BITSET, realtime)?;
            k.futex_wait(t, addr, value, bitset).map(|()| 0)
        }
        FUTEX_WAKE | FUTEX_WAKE_BITSET => {
            let bitset = if command == FUTEX_WAKE { u32::MAX } else { value3 };
            if bitset == 0 {
                return Err(Errno::EINVAL.into());
            }
            Ok(u64::from(k.futex_wake(&mm, addr, value, bitset)))
        }
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
            if !addr2.is_multiple_of(4) {
                return Err(Errno::EINVAL.into());
            }
            if command == FUTEX_CMP_REQUEUE && mm.read_u32(addr)? != value3 {
                return Err(Errno::EAGAIN.into());
            }
            let (woken, moved) = k.futex_requeue(&mm, addr, addr2, value, count2);
            let counted = if command == FUTEX_CMP_REQUEUE { woken + moved } else { woken };
            Ok(u64::from(counted))
        }
        FUTEX_WAKE_OP => {
            let holds = operate(t, addr2, value3)?;
            let mut woken = k.futex_wake(&mm, addr, value, u32::MAX);
            if holds {
                woken += k.futex_wake(&mm, addr2, count2, u32::MAX);
            }
            Ok(u64::from(woken))
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// `FUTEX_WAIT` counts from now, `FUTEX_WAIT_BITSET` names a time.
fn set_futex_timeout(k: &mut Kernel, t: &Rc<Task>, addr: u64, absolute: bool, realtime: bool) -> Outcome<()> {
    let Some(wanted_ns) = t.optional_timespec_arg(addr)? else { return Ok(()) };
    let timeout_ns = match (absolute, realtime) {
        (false, _) => wanted_ns,
        (true, true) => wanted_ns.saturating_sub(k.realtime_ns()),
        (true, false) => wanted_ns.saturating_sub(k.uptime_ns()),
    };
    // Longer than the machine will run is for ever.
    k.set_timeout(t, Some(timeout_ns.min(u64::MAX / 2 - SECOND_NS)));
    Ok(())
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
