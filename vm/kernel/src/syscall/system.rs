//! The machine as a whole: names, figures, randomness, scheduling.

use std::rc::Rc;

use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_NICE, CAP_SYS_TTY_CONFIG};
use abi::process::*;

use super::buffers::{check_addresses, goes_on, scatter_some};
use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::{Outcome, Stop, Wait};
use crate::task::Task;

/// What `uname -r` says: the kernel whose behaviour is followed.
pub const RELEASE: &str = "6.1.0-edgebox";
/// What `uname -v` says.
pub const VERSION: &str = "#1 SMP PREEMPT edgebox";
const NAME_BYTES_MAX: usize = 64;
/// Random bytes made in one go.
const RANDOM_PIECE_BYTES: usize = 64 * 1024;

pub(super) fn uname(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    give_names(k, t, addr, 6, NAME_BYTES_MAX + 1)
}

/// Writes the first `count` names, each cut to so many bytes with its terminator.
pub(super) fn give_names(k: &Kernel, t: &Rc<Task>, addr: u64, count: usize, bytes_each: usize) -> Outcome<u64> {
    // What `setarch i686` is for.
    let is_linux32 = t.process.personality.get() & PER_MASK == PER_LINUX32;
    let machine: &[u8] = if is_linux32 { b"i686" } else { b"x86_64" };
    let (host, domain) = (k.host_name.borrow().clone(), k.domain_name.borrow().clone());
    let fields: [&[u8]; 6] = [b"Linux", &host, RELEASE.as_bytes(), VERSION.as_bytes(), machine, &domain];
    let mut bytes = Vec::new();
    for (index, field) in fields[..count].iter().enumerate() {
        bytes.extend_from_slice(&field[..field.len().min(bytes_each - 1)]);
        bytes.resize((index + 1) * bytes_each, 0);
    }
    t.mm()?.write_user(addr, &bytes).map(|()| 0)
}

fn name_arg(t: &Rc<Task>, addr: u64, len: i32) -> Outcome<Vec<u8>> {
    if !t.credentials().has(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM.into());
    }
    let len = usize::try_from(len).ok().filter(|len| *len <= NAME_BYTES_MAX).ok_or(Errno::EINVAL)?;
    let mut name = vec![0; len];
    t.mm()?.read_user(addr, &mut name)?;
    Ok(name)
}

pub(super) fn sethostname(k: &mut Kernel, t: &Rc<Task>, addr: u64, len: i32) -> Outcome<u64> {
    *k.host_name.borrow_mut() = name_arg(t, addr, len)?;
    Ok(0)
}

pub(super) fn setdomainname(k: &mut Kernel, t: &Rc<Task>, addr: u64, len: i32) -> Outcome<u64> {
    *k.domain_name.borrow_mut() = name_arg(t, addr, len)?;
    Ok(0)
}

pub(super) fn vhangup(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    if !t.credentials().has(CAP_SYS_TTY_CONFIG) {
        return Err(Errno::EPERM.into());
    }
    k.hang_up_own(t);
    Ok(0)
}

/// Fixed-point one of load averages in `struct sysinfo` (`SI_LOAD_SHIFT` is 16).
const SI_LOAD_UNIT: u32 = 1 << 16;

pub(super) fn sysinfo(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let (total, used) = (k.memory_limit_bytes, k.used_memory_bytes().min(k.memory_limit_bytes));
    let layout = t.layout();
    // Where bytes don't fit a `long`, pages do.
    let unit = if layout.is_32() && total > u32::MAX.into() { memory::PAGE_SIZE } else { 1 };
    let shared = k.tmpfs_bytes();
    let [one, five, fifteen] = k.load.averages().map(|average| (average * f64::from(SI_LOAD_UNIT)) as u64);
    let head = layout.writer().word(k.uptime_ns() / SECOND_NS).word(one).word(five).word(fifteen);
    let free = (total - used).saturating_sub(shared);
    let head = head.word(total / unit).word(free / unit).word(shared / unit).word(0).word(0).word(0);
    let processes = k.tasks.tasks().len() as u16;
    let bytes = head.u16(processes).u16(0).align().word(0).word(0).u32(unit as u32);
    let bytes = bytes.pad_to(if layout.is_32() { 64 } else { 112 }).finish();
    t.mm()?.write_user(addr, &bytes).map(|()| 0)
}

pub(super) fn getrandom(k: &mut Kernel, t: &Rc<Task>, addr: u64, len: usize, flags: u32) -> Outcome<u64> {
    const GRND_INSECURE: u32 = 4;
    if flags & !(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let vector = [(addr, len.min(abi::file::RW_COUNT_MAX))];
    check_addresses(&vector)?;
    let mut done = t.with_call(|call| call.done as usize);
    let mut buffer = vec![0; len.min(RANDOM_PIECE_BYTES)];
    while done < vector[0].1 {
        let piece = &mut buffer[..RANDOM_PIECE_BYTES.min(vector[0].1 - done)];
        k.host.fill_random(piece);
        match scatter_some(t, &vector, done, piece) {
            Ok(given) => {
                done += given;
                t.with_call(|call| call.done = done as u64);
                if !goes_on(k, t, done, given)? {
                    break;
                }
            }
            Err(Stop::Errno(_)) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done as u64)
}

pub(super) fn getcpu(_k: &mut Kernel, t: &Rc<Task>, cpu: u64, node: u64) -> Outcome<u64> {
    for addr in [cpu, node].into_iter().filter(|addr| *addr != 0) {
        t.mm()?.write_u32(addr, 0)?;
    }
    Ok(0)
}

/// Calls that only the superuser may make, and that this machine has no use for.
pub(super) fn privileged(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    let errno = if t.credentials().has(CAP_SYS_ADMIN) { Errno::ENOSYS } else { Errno::EPERM };
    Err(errno.into())
}

/// Facilities that a kernel may be built without.
pub(super) fn absent(_k: &mut Kernel, _t: &Rc<Task>) -> Outcome<u64> {
    Err(Errno::ENOSYS.into())
}

/// One processor, so every other one has seen everything.
pub(super) fn membarrier(_k: &mut Kernel, _t: &Rc<Task>, command: u32) -> Outcome<u64> {
    const SUPPORTED: u64 = 0b1_1111;
    if command == 0 { Ok(SUPPORTED) } else { Ok(0) }
}

// ---- scheduling ----

pub(super) fn sched_yield(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    // The first attempt gives way, the second, after everyone else's turn, returns.
    let had_turn = t.with_call(|call| call.memo.replace(1).is_some());
    if had_turn { Ok(0) } else { Err(Wait::Turn.into()) }
}

pub(super) fn task_of(k: &Kernel, t: &Rc<Task>, tid: i32) -> Outcome<Rc<Task>> {
    match tid {
        0 => Ok(t.clone()),
        tid if tid < 0 => Err(Errno::EINVAL.into()),
        tid => k.task(tid).ok_or(Errno::ESRCH.into()),
    }
}

pub(super) fn sched_getaffinity(k: &mut Kernel, t: &Rc<Task>, tid: i32, size: usize, mask: u64) -> Outcome<u64> {
    if size == 0 || !size.is_multiple_of(t.layout().word_bytes as usize) {
        return Err(Errno::EINVAL.into());
    }
    running_on(k, t, tid)?;
    let len = size.min(8);
    t.mm()?.write_user(mask, &1u64.to_le_bytes()[..len])?;
    Ok(len as u64)
}

/// Whose processors are asked for: here a negative number is a task that does not exist, not a bad argument.
fn running_on(k: &Kernel, t: &Rc<Task>, tid: i32) -> Outcome<Rc<Task>> {
    if tid == 0 { Ok(t.clone()) } else { k.task(tid).ok_or(Errno::ESRCH.into()) }
}

pub(super) fn sched_setaffinity(k: &mut Kernel, t: &Rc<Task>, tid: i32, size: usize, mask: u64) -> Outcome<u64> {
    running_on(k, t, tid)?;
    let mut byte = [0];
    if size > 0 {
        t.mm()?.read_user(mask, &mut byte)?;
    }
    if byte[0] & 1 != 0 { Ok(0) } else { Err(Errno::EINVAL.into()) }
}

pub(super) fn sched_getscheduler(k: &mut Kernel, t: &Rc<Task>, tid: i32) -> Outcome<u64> {
    Ok(u64::from(task_of(k, t, tid)?.scheduling.get().0))
}

pub(super) fn sched_getparam(k: &mut Kernel, t: &Rc<Task>, tid: i32, param: u64) -> Outcome<u64> {
    if param == 0 {
        return Err(Errno::EINVAL.into());
    }
    let (_, priority) = task_of(k, t, tid)?.scheduling.get();
    t.mm()?.write_u32(param, priority as u32).map(|()| 0)
}

/// The class is remembered and shown; all tasks run alike.
pub(super) fn sched_setscheduler(k: &mut Kernel, t: &Rc<Task>, tid: i32, policy: u32, param: u64) -> Outcome<u64> {
    const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;
    if param == 0 {
        return Err(Errno::EINVAL.into());
    }
    let task = task_of(k, t, tid)?;
    let priority = t.mm()?.read_u32(param)? as i32;
    set_policy(t, &task, policy & !SCHED_RESET_ON_FORK, priority)
}

/// Sets the class and priority of `task` for `t`.
pub(super) fn set_policy(t: &Rc<Task>, task: &Rc<Task>, policy: u32, priority: i32) -> Outcome<u64> {
    let valid = match policy {
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE => priority == 0,
        SCHED_FIFO | SCHED_RR => (1..=99).contains(&priority),
        _ => false,
    };
    if !valid {
        return Err(Errno::EINVAL.into());
    }
    if priority > 0 && !t.credentials().has(CAP_SYS_NICE) {
        return Err(Errno::EPERM.into());
    }
    task.scheduling.set((policy, priority));
    Ok(0)
}

pub(super) fn sched_setparam(k: &mut Kernel, t: &Rc<Task>, tid: i32, param: u64) -> Outcome<u64> {
    let (policy, _) = task_of(k, t, tid)?.scheduling.get();
    sched_setscheduler(k, t, tid, policy, param)
}

pub(super) fn sched_get_priority_max(_k: &mut Kernel, _t: &Rc<Task>, policy: u32) -> Outcome<u64> {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(99),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn sched_get_priority_min(_k: &mut Kernel, _t: &Rc<Task>, policy: u32) -> Outcome<u64> {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(1),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(super) fn sched_rr_get_interval(k: &mut Kernel, t: &Rc<Task>, tid: i32, addr: u64) -> Outcome<u64> {
    const INTERVAL_NS: u64 = 4_000_000;
    task_of(k, t, tid)?;
    super::time::give_timespec(t, addr, INTERVAL_NS).map(|()| 0)
}
