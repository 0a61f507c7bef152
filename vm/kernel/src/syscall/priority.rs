//! I/O priorities and scheduling attributes: remembered and shown, since all tasks run alike.

use abi::capability::CAP_SYS_NICE;
use std::rc::Rc;

use abi::{Errno, Writer};

use super::system::{set_policy, task_of};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// Whom an I/O priority is about (`ioprio_set(2)`).
mod who {
    pub const PROCESS: u32 = 1;
    pub const GROUP: u32 = 2;
    pub const USER: u32 = 3;
}

/// Classes of I/O priorities, above 13 bits of level.
mod class {
    pub const NONE: u32 = 0;
    pub const REAL_TIME: u32 = 1;
    pub const BEST_EFFORT: u32 = 2;
    pub const IDLE: u32 = 3;
}

fn chosen(k: &Kernel, t: &Rc<Task>, which: u32, who: i32) -> Outcome<Vec<Rc<Task>>> {
    let all = k.tasks.tasks();
    let tasks: Vec<Rc<Task>> = match (which, who) {
        (who::PROCESS, 0) => vec![t.clone()],
        (who::PROCESS, tid) => k.task(tid).into_iter().collect(),
        (who::GROUP, group) => {
            let group = if group == 0 { t.process.group.get() } else { group };
            all.into_iter().filter(|task| task.process.group.get() == group).collect()
        }
        (who::USER, uid) => all.into_iter().filter(|task| task.credentials().uid == uid as u32).collect(),
        _ => return Err(Errno::EINVAL.into()),
    };
    if tasks.is_empty() { Err(Errno::ESRCH.into()) } else { Ok(tasks) }
}

pub(super) fn ioprio_get(k: &mut Kernel, t: &Rc<Task>, which: u32, who: i32) -> Outcome<u64> {
    let priorities = chosen(k, t, which, who)?;
    // The lower number is the higher priority, but none at all is not.
    let weight = |priority: &u16| if *priority == 0 { u32::from(u16::MAX) } else { u32::from(*priority) };
    let best = priorities.iter().map(|task| task.io_priority.get()).min_by_key(weight);
    Ok(best.unwrap_or_default().into())
}

pub(super) fn ioprio_set(k: &mut Kernel, t: &Rc<Task>, which: u32, who: i32, priority: u32) -> Outcome<u64> {
    let (class, level) = (priority >> 13, priority & 7);
    let own = t.credentials();
    match class {
        class::REAL_TIME if !own.has(CAP_SYS_NICE) => return Err(Errno::EPERM.into()),
        class::REAL_TIME | class::BEST_EFFORT | class::IDLE => {}
        class::NONE if level == 0 => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    for task in chosen(k, t, which, who)? {
        let theirs = task.credentials().uid;
        if ![own.uid, own.euid].contains(&theirs) && !own.has(CAP_SYS_NICE) {
            return Err(Errno::EPERM.into());
        }
        task.io_priority.set(priority as u16);
    }
    Ok(0)
}

/// Bytes of a `struct sched_attr` at first, and of the one known here.
const ATTRIBUTES_BYTES_MIN: u32 = 48;
const ATTRIBUTES_BYTES: u32 = 56;

pub(super) fn sched_setattr(k: &mut Kernel, t: &Rc<Task>, tid: i32, addr: u64, flags: u32) -> Outcome<u64> {
    const FLAGS: u64 = 0x7f;
    if addr == 0 || tid < 0 || flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mm = t.mm()?;
    let size = match mm.read_u32(addr)? {
        0 => ATTRIBUTES_BYTES_MIN,
        size => size,
    };
    let bytes = if (ATTRIBUTES_BYTES_MIN..=4096).contains(&size) { t.struct_arg(addr, size.into())? } else { vec![] };
    if bytes.is_empty() || bytes.iter().skip(ATTRIBUTES_BYTES as usize).any(|byte| *byte != 0) {
        mm.write_u32(addr, ATTRIBUTES_BYTES)?;
        return Err(Errno::E2BIG.into());
    }
    let mut reader = abi::Reader::new(&bytes);
    let (_size, policy, flags) = (reader.u32(), reader.u32(), reader.u64());
    let (nice, priority) = (reader.i32(), reader.u32());
    if policy > i32::MAX as u32 || flags & !FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let task = task_of(k, t, tid)?;
    let nice = nice.clamp(-20, 19);
    let is_fair = matches!(policy, abi::process::SCHED_OTHER | abi::process::SCHED_BATCH);
    if is_fair && nice < task.process.nice.get() && !t.credentials().has(CAP_SYS_NICE) {
        return Err(Errno::EPERM.into());
    }
    set_policy(t, &task, policy, priority as i32)?;
    if is_fair {
        task.process.nice.set(nice);
    }
    Ok(0)
}

pub(super) fn sched_getattr(k: &mut Kernel, t: &Rc<Task>, tid: i32, addr: u64, size: u32, flags: u32) -> Outcome<u64> {
    if addr == 0 || tid < 0 || flags != 0 || !(ATTRIBUTES_BYTES_MIN..=4096).contains(&size) {
        return Err(Errno::EINVAL.into());
    }
    let task = task_of(k, t, tid)?;
    let (policy, priority) = task.scheduling.get();
    let is_fair = matches!(policy, abi::process::SCHED_OTHER | abi::process::SCHED_BATCH);
    let nice = if is_fair { task.process.nice.get() } else { 0 };
    let len = size.min(ATTRIBUTES_BYTES);
    let head = Writer::new().u32(len).u32(policy).u64(0).i32(nice).u32(priority as u32);
    let bytes = head.pad_to(ATTRIBUTES_BYTES as usize).finish();
    t.mm()?.write_user(addr, &bytes[..len as usize]).map(|()| 0)
}
