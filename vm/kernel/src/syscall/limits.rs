//! Resource limits, priorities and resource use.

use std::rc::Rc;

use abi::process::*;
use abi::{Errno, Writer};

use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::Outcome;
use crate::task::limits::Limit;
use crate::task::{Process, Task};

pub(super) fn getrlimit(k: &mut Kernel, t: &Rc<Task>, resource: usize, addr: u64) -> Outcome<u64> {
    prlimit64(k, t, 0, resource, 0, addr)
}

pub(super) fn setrlimit(k: &mut Kernel, t: &Rc<Task>, resource: usize, addr: u64) -> Outcome<u64> {
    prlimit64(k, t, 0, resource, addr, 0)
}

pub(super) fn prlimit64(k: &mut Kernel, t: &Rc<Task>, pid: i32, resource: usize, new: u64, old: u64) -> Outcome<u64> {
    let process = if pid == 0 { t.process.clone() } else { k.tasks.process(pid).ok_or(Errno::ESRCH)? };
    if resource >= RLIMIT_COUNT {
        return Err(Errno::EINVAL.into());
    }
    let mm = t.mm()?;
    let now = process.limits.borrow().0[resource];
    let wanted = match new {
        0 => None,
        addr => Some(Limit { soft: mm.read_u64(addr)?, hard: mm.read_u64(addr.wrapping_add(8))? }),
    };
    if let Some(wanted) = wanted {
        if wanted.soft > wanted.hard {
            return Err(Errno::EINVAL.into());
        }
        let raises = wanted.hard > now.hard;
        let too_many = resource == RLIMIT_NOFILE && wanted.hard > crate::task::limits::DESCRIPTORS_MAX;
        if (raises && !t.credentials().is_privileged()) || too_many {
            return Err(Errno::EPERM.into());
        }
    }
    if old != 0 {
        mm.write_user(old, &Writer::new().u64(now.soft).u64(now.hard).finish())?;
    }
    if let Some(wanted) = wanted {
        process.limits.borrow_mut().0[resource] = wanted;
    }
    Ok(0)
}

/// `struct rusage`, 144 bytes.
pub(super) fn encode_usage(cpu_time_ns: u64, peak_pages: u32) -> Vec<u8> {
    let micros = |ns: u64| Writer::new().u64(ns / SECOND_NS).u64(ns % SECOND_NS / 1000);
    micros(cpu_time_ns).u64(0).u64(0).u64(u64::from(peak_pages) * 4).pad_to(144).finish()
}

pub(super) fn getrusage(k: &mut Kernel, t: &Rc<Task>, who: i32, addr: u64) -> Outcome<u64> {
    const RUSAGE_SELF: i32 = 0;
    const RUSAGE_CHILDREN: i32 = -1;
    let process = &t.process;
    let pages = t.mm()?.space.borrow().present_pages().max(process.peak_pages.get());
    let usage = match who {
        RUSAGE_SELF => encode_usage(k.process_cpu_time_ns(process), pages),
        RUSAGE_CHILDREN => encode_usage(process.children_cpu_time_ns.get(), 0),
        who if who == RUSAGE_THREAD as i32 => encode_usage(t.cpu_time_ns.get(), pages),
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
        if nice < process.nice.get() && !t.credentials().is_privileged() {
            return Err(Errno::EACCES.into());
        }
        process.nice.set(nice);
    }
    Ok(0)
}
