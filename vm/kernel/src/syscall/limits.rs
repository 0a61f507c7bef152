//! Resource limits, priorities and resource use.

use abi::capability::{CAP_SYS_NICE, CAP_SYS_RESOURCE};
use std::rc::Rc;

use abi::process::*;
use abi::{Errno, Layout};

use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::limits::Limit;
use crate::task::{Process, Task};

/// A `struct rlimit`; in 32 bits, all ones stand for what does not fit.
fn limit_arg(t: &Rc<Task>, addr: u64, layout: Layout) -> Outcome<Limit> {
    let bytes = t.struct_arg(addr, 2 * layout.word_bytes)?;
    let mut reader = layout.reader(&bytes);
    let long = |limit: u64| if layout.is_32() && limit == u64::from(u32::MAX) { RLIM_INFINITY } else { limit };
    Ok(Limit { soft: long(reader.word()), hard: long(reader.word()) })
}

fn give_limit(t: &Rc<Task>, addr: u64, limit: Limit, layout: Layout) -> Outcome<()> {
    let word_max = if layout.is_32() { u32::MAX.into() } else { u64::MAX };
    let bytes = layout.writer().word(limit.soft.min(word_max)).word(limit.hard.min(word_max)).finish();
    t.mm()?.write_user(addr, &bytes)
}

pub(super) fn limit_of(process: &Process, resource: usize) -> Outcome<Limit> {
    if resource < RLIMIT_COUNT { Ok(process.limits.borrow().0[resource]) } else { Err(Errno::EINVAL.into()) }
}

pub(super) fn getrlimit(_k: &mut Kernel, t: &Rc<Task>, resource: usize, addr: u64) -> Outcome<u64> {
    give_limit(t, addr, limit_of(&t.process, resource)?, t.layout()).map(|()| 0)
}

pub(super) fn setrlimit(k: &mut Kernel, t: &Rc<Task>, resource: usize, addr: u64) -> Outcome<u64> {
    let now = limit_of(&t.process, resource)?;
    let wanted = limit_arg(t, addr, t.layout())?;
    check_limit(t, resource, now, wanted)?;
    set_limit(k, &t.process, resource, wanted);
    Ok(0)
}

fn set_limit(k: &Kernel, process: &Process, resource: usize, limit: Limit) {
    process.limits.borrow_mut().0[resource] = limit;
    // How far the stack grows follows at once.
    if resource == RLIMIT_STACK
        && let Some(Ok(mm)) = k.tasks.main_thread(process).map(|task| task.mm())
    {
        mm.set_stack_limit(limit.soft);
    }
}

fn check_limit(t: &Rc<Task>, resource: usize, now: Limit, wanted: Limit) -> Outcome<()> {
    if wanted.soft > wanted.hard {
        return Err(Errno::EINVAL.into());
    }
    let raises = wanted.hard > now.hard;
    let too_many = resource == RLIMIT_NOFILE && wanted.hard > crate::task::limits::DESCRIPTORS_MAX;
    if (raises && !t.credentials().has(CAP_SYS_RESOURCE)) || too_many { Err(Errno::EPERM.into()) } else { Ok(()) }
}

pub(super) fn prlimit64(k: &mut Kernel, t: &Rc<Task>, pid: i32, resource: usize, new: u64, old: u64) -> Outcome<u64> {
    let process = match pid {
        0 => t.process.clone(),
        pid => {
            let other = k.task(pid).ok_or(Errno::ESRCH)?;
            check_may_limit(t, &other)?;
            other.process.clone()
        }
    };
    let now = limit_of(&process, resource)?;
    let wanted = if new == 0 { None } else { Some(limit_arg(t, new, Layout::X86_64)?) };
    if let Some(wanted) = wanted {
        check_limit(t, resource, now, wanted)?;
    }
    if old != 0 {
        give_limit(t, old, now, Layout::X86_64)?;
    }
    if let Some(wanted) = wanted {
        set_limit(k, &process, resource, wanted);
    }
    Ok(0)
}

/// Another's limits are its user's to see and to change, and root's (`prlimit(2)`).
fn check_may_limit(t: &Rc<Task>, other: &Rc<Task>) -> Outcome<()> {
    let (own, theirs) = (t.credentials(), other.credentials());
    let same_user = [theirs.euid, theirs.suid, theirs.uid].iter().all(|id| *id == own.uid);
    let same_group = [theirs.egid, theirs.sgid, theirs.gid].iter().all(|id| *id == own.gid);
    let may = own.has(CAP_SYS_RESOURCE) || Rc::ptr_eq(&t.process, &other.process) || (same_user && same_group);
    if may { Ok(()) } else { Err(Errno::EPERM.into()) }
}

/// Bytes of a `struct rusage`: two times and 14 figures.
pub(super) fn usage_bytes(layout: Layout) -> usize {
    18 * layout.word_bytes as usize
}

/// `struct rusage`.
pub(super) fn encode_usage(layout: Layout, cpu_time_ns: u64, peak_pages: u32) -> Vec<u8> {
    let times = layout.writer().timeval(cpu_time_ns).timeval(0);
    times.word(u64::from(peak_pages) * 4).pad_to(usage_bytes(layout)).finish()
}

pub(super) fn getrusage(k: &mut Kernel, t: &Rc<Task>, who: i32, addr: u64) -> Outcome<u64> {
    const RUSAGE_SELF: i32 = 0;
    const RUSAGE_CHILDREN: i32 = -1;
    let (process, layout) = (&t.process, t.layout());
    let pages = t.mm()?.space.borrow().present_pages().max(process.peak_pages.get());
    let usage = match who {
        RUSAGE_SELF => encode_usage(layout, k.process_cpu_time_ns(process), pages),
        RUSAGE_CHILDREN => encode_usage(layout, process.children_cpu_time_ns.get(), 0),
        who if who == RUSAGE_THREAD as i32 => encode_usage(layout, t.cpu_time_ns.get(), pages),
        _ => return Err(Errno::EINVAL.into()),
    };
    t.mm()?.write_user(addr, &usage).map(|()| 0)
}

fn prioritized(k: &Kernel, t: &Rc<Task>, which: u32, who: i32) -> Outcome<Vec<Rc<Process>>> {
    let processes: Vec<Rc<Process>> = match (which, who) {
        (PRIO_PROCESS, 0) => vec![t.process.clone()],
        (PRIO_PROCESS, pid) => k.task(pid).map(|task| task.process.clone()).into_iter().collect(),
        (PRIO_PGRP, 0) => k.tasks.group(t.process.group.get()),
        (PRIO_PGRP, group) => k.tasks.group(group),
        (PRIO_USER, uid) => {
            let uid = if uid == 0 { t.credentials().uid } else { uid as u32 };
            let owned =
                |process: &Rc<Process>| k.tasks.main_thread(process).is_some_and(|m| m.credentials().uid == uid);
            k.tasks.processes().into_iter().filter(owned).collect()
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    if processes.is_empty() { Err(Errno::ESRCH.into()) } else { Ok(processes) }
}

pub(super) fn getpriority(k: &mut Kernel, t: &Rc<Task>, which: u32, who: i32) -> Outcome<u64> {
    let lowest = prioritized(k, t, which, who)?.iter().map(|process| process.nice.get()).min();
    Ok((20 - lowest.unwrap_or(0)) as u64)
}

/// The value is remembered and shown; all tasks run alike.
pub(super) fn setpriority(k: &mut Kernel, t: &Rc<Task>, which: u32, who: i32, nice: i32) -> Outcome<u64> {
    let nice = nice.clamp(-20, 19);
    for process in prioritized(k, t, which, who)? {
        let own = t.credentials();
        let theirs = k.tasks.main_thread(&process).map(|task| task.credentials());
        if !own.has(CAP_SYS_NICE) && theirs.is_some_and(|theirs| own.euid != theirs.uid && own.euid != theirs.euid) {
            return Err(Errno::EPERM.into());
        }
        if nice < process.nice.get() && !t.credentials().has(CAP_SYS_NICE) {
            return Err(Errno::EACCES.into());
        }
        process.nice.set(nice);
    }
    Ok(0)
}
