//! `prctl`, `arch_prctl`, `personality`.

use std::rc::Rc;

use abi::Errno;
use abi::process::arch_prctl::*;
use abi::process::*;
use cpu::segment::Segment;

use crate::exec::NAME_BYTES_MAX;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::task::remarks::MemoryFailure;

/// Reading the time stamp counter is not a fault (`PR_TSC_ENABLE`).
const TSC_ENABLED: u32 = 1;

pub(super) fn prctl(k: &mut Kernel, t: &Rc<Task>, option: u32, a: u64, b: u64, c: u64, d: u64) -> Outcome<u64> {
    let args = [a, b, c, d];
    if let Some(outcome) = super::capability::prctl(t, option, args) {
        return outcome;
    }
    let mm = t.mm()?;
    let process = &t.process;
    let [arg, rest @ ..] = args;
    match option {
        PR_SET_NAME => {
            let mut bytes = mm.peek(arg, NAME_BYTES_MAX)?;
            bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
            *t.name.borrow_mut() = bytes;
        }
        PR_GET_NAME => {
            let mut bytes = t.name.borrow().clone();
            bytes.resize(NAME_BYTES_MAX + 1, 0);
            mm.write_user(arg, &bytes)?;
        }
        PR_SET_PDEATHSIG => {
            let signal = u32::try_from(arg).ok().filter(|signal| *signal <= 64).ok_or(Errno::EINVAL)?;
            t.parent_death_signal.set(signal);
        }
        PR_GET_PDEATHSIG => mm.write_u32(arg, t.parent_death_signal.get())?,
        PR_GET_DUMPABLE => return Ok(u64::from(process.dumpable.get())),
        PR_SET_DUMPABLE if arg <= 1 => process.dumpable.set(arg == 1),
        PR_SET_CHILD_SUBREAPER => process.is_subreaper.set(arg != 0),
        PR_GET_CHILD_SUBREAPER => mm.write_u32(arg, u32::from(process.is_subreaper.get()))?,
        PR_SET_NO_NEW_PRIVS if arg == 1 && rest == [0; 3] => t.no_new_privileges.set(true),
        PR_GET_NO_NEW_PRIVS if args == [0; 4] => return Ok(u64::from(t.no_new_privileges.get())),
        PR_GET_SECCOMP => return Ok(t.seccomp.borrow().mode()),
        PR_SET_SECCOMP => return super::seccomp::set_mode(k, t, arg, rest[0]),
        // Without effect from here on: there are no counters, no faults of the time stamp counter and no broken memory.
        PR_GET_TSC => mm.write_u32(arg, TSC_ENABLED)?,
        PR_SET_TSC if arg == u64::from(TSC_ENABLED) => {}
        PR_SET_TIMING if arg == 0 => {}
        PR_TASK_PERF_EVENTS_DISABLE | PR_TASK_PERF_EVENTS_ENABLE | PR_GET_TIMING => {}
        _ => return remark(t, option, args),
    }
    Ok(0)
}

/// What a task says of itself, and may read again.
fn remark(t: &Task, option: u32, args: [u64; 4]) -> Outcome<u64> {
    const CLEAR: u64 = 0;
    const SET: u64 = 1;
    let remarks = &t.remarks;
    let failure = &remarks.memory_failure;
    match (option, args) {
        (PR_GET_TIMERSLACK, _) => return Ok(remarks.timer_slack_ns.get()),
        (PR_SET_TIMERSLACK, [slack_ns, ..]) => remarks.set_timer_slack(slack_ns),
        (PR_GET_THP_DISABLE, [0, 0, 0, 0]) => return Ok(u64::from(t.process.no_huge_pages.get())),
        (PR_SET_THP_DISABLE, [disable, 0, 0, 0]) => t.process.no_huge_pages.set(disable != 0),
        (PR_MCE_KILL_GET, [0, 0, 0, 0]) => return Ok(failure.get() as u64),
        (PR_MCE_KILL, [CLEAR, 0, 0, 0]) => failure.set(MemoryFailure::AsSystem),
        (PR_MCE_KILL, [SET, how, 0, 0]) => failure.set(match how {
            0 => MemoryFailure::KillLate,
            1 => MemoryFailure::KillEarly,
            2 => MemoryFailure::AsSystem,
            _ => return Err(Errno::EINVAL.into()),
        }),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

pub(super) fn arch_prctl(_k: &mut Kernel, t: &Rc<Task>, code: u32, addr: u64) -> Outcome<u64> {
    arch_prctl_of(t, t, code, addr)
}

/// The same for a task that `t` traces, or itself.
pub(super) fn arch_prctl_of(t: &Rc<Task>, other: &Rc<Task>, code: u32, addr: u64) -> Outcome<u64> {
    const USER_END: u64 = 1 << 47;
    match code {
        ARCH_SET_FS | ARCH_SET_GS if addr >= USER_END => return Err(Errno::EPERM.into()),
        // The null selector, which has no base of its own.
        ARCH_SET_FS => {
            other.cpu.borrow_mut().load_selector_or_null(Segment::Fs, 0);
            other.cpu.borrow_mut().set_fs_base(addr);
        }
        ARCH_SET_GS => {
            other.cpu.borrow_mut().load_selector_or_null(Segment::Gs, 0);
            other.cpu.borrow_mut().set_gs_base(addr);
        }
        ARCH_GET_FS => {
            let base = other.cpu.borrow().fs_base();
            t.mm()?.write_u64(addr, base)?;
        }
        ARCH_GET_GS => {
            let base = other.cpu.borrow().gs_base();
            t.mm()?.write_u64(addr, base)?;
        }
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}

pub(super) fn personality(_k: &mut Kernel, t: &Rc<Task>, persona: u32) -> Outcome<u64> {
    const QUERY: u32 = u32::MAX;
    let old = t.process.personality.get();
    if persona != QUERY {
        t.process.personality.set(persona);
    }
    Ok(u64::from(old))
}
