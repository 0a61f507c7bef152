//! Signals.

use std::rc::Rc;

use abi::signal::*;
use abi::{Errno, Reader, Writer};
use cpu::reg;

use crate::kernel::Kernel;
use crate::signal::info::Detail;
use crate::signal::send::Target;
use crate::signal::{Action, AltStack, SigInfo, SignalSet, frame, valid_signal};
use crate::stop::{Outcome, Wait};
use crate::task::{Restart, Task};

/// Bytes of the kernel's `sigset_t`.
const SET_BYTES: usize = 8;

fn read_set(t: &Rc<Task>, addr: u64) -> Outcome<SignalSet> {
    Ok(SignalSet(t.mm()?.read_u64(addr)?))
}

fn check_set_size(size: usize) -> Outcome<()> {
    if size == SET_BYTES { Ok(()) } else { Err(Errno::EINVAL.into()) }
}

pub(super) fn rt_sigaction(
    _k: &mut Kernel,
    t: &Rc<Task>,
    signal: u32,
    new: u64,
    old: u64,
    size: usize,
) -> Outcome<u64> {
    check_set_size(size)?;
    if !valid_signal(signal) || (new != 0 && SignalSet::UNSTOPPABLE.has(signal)) {
        return Err(Errno::EINVAL.into());
    }
    let mm = t.mm()?;
    let actions = t.process.actions();
    let before = actions.borrow().get(signal);
    let wanted = match new {
        0 => None,
        addr => {
            let mut bytes = [0; 32];
            mm.read_user(addr, &mut bytes)?;
            let mut reader = Reader::new(&bytes);
            let (handler, flags, restorer) = (reader.u64(), reader.u64(), reader.u64());
            let mask = SignalSet(reader.u64()).without(SignalSet::UNSTOPPABLE);
            Some(Action { handler, flags, restorer, mask })
        }
    };
    if old != 0 {
        let bytes = Writer::new().u64(before.handler).u64(before.flags).u64(before.restorer).u64(before.mask.0);
        mm.write_user(old, &bytes.finish())?;
    }
    if let Some(action) = wanted {
        actions.borrow_mut().set(signal, action);
        if actions.borrow().ignores(signal) {
            let set = SignalSet::of(&[signal]);
            t.process.pending.borrow_mut().discard(set);
            t.pending.borrow_mut().discard(set);
        }
    }
    Ok(0)
}

pub(super) fn rt_sigprocmask(_k: &mut Kernel, t: &Rc<Task>, how: u32, set: u64, old: u64, size: usize) -> Outcome<u64> {
    check_set_size(size)?;
    let before = t.blocked.get();
    let after = match set {
        0 => before,
        addr => {
            let set = read_set(t, addr)?;
            match how {
                SIG_BLOCK => before.with(set),
                SIG_UNBLOCK => before.without(set),
                SIG_SETMASK => set,
                _ => return Err(Errno::EINVAL.into()),
            }
        }
    };
    if old != 0 {
        t.mm()?.write_u64(old, before.0)?;
    }
    t.blocked.set(after.without(SignalSet::UNSTOPPABLE));
    Ok(0)
}

pub(super) fn rt_sigpending(_k: &mut Kernel, t: &Rc<Task>, set: u64, size: usize) -> Outcome<u64> {
    check_set_size(size)?;
    let pending = t.pending.borrow().set().with(t.process.pending.borrow().set());
    t.mm()?.write_u64(set, pending.0 & t.blocked.get().0).map(|()| 0)
}

pub(super) fn rt_sigreturn(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    k.return_from_handler(t)?;
    // The registers are those of the interrupted program now.
    t.call.take();
    Ok(0)
}

/// Blocks `set` instead of what is blocked now, until the call is over or a handler has run.
pub(super) fn block_for_call(t: &Rc<Task>, set: Option<SignalSet>) {
    let is_retry = t.with_call(|call| call.is_retry);
    if let (Some(set), false) = (set, is_retry) {
        t.saved_blocked.set(Some(t.blocked.get()));
        t.blocked.set(set.without(SignalSet::UNSTOPPABLE));
    }
}

/// A signal mask argument that may be absent.
pub(super) fn optional_set(t: &Rc<Task>, addr: u64, size: usize) -> Outcome<Option<SignalSet>> {
    if addr == 0 {
        return Ok(None);
    }
    check_set_size(size)?;
    read_set(t, addr).map(Some)
}

pub(super) fn rt_sigsuspend(_k: &mut Kernel, t: &Rc<Task>, set: u64, size: usize) -> Outcome<u64> {
    check_set_size(size)?;
    let set = read_set(t, set)?;
    block_for_call(t, Some(set));
    t.with_call(|call| call.restart = Restart::Never);
    Err(Wait::Listed.into())
}

pub(super) fn rt_sigtimedwait(
    k: &mut Kernel,
    t: &Rc<Task>,
    set: u64,
    info: u64,
    timeout: u64,
    size: usize,
) -> Outcome<u64> {
    check_set_size(size)?;
    let wanted = read_set(t, set)?.without(SignalSet::UNSTOPPABLE);
    let timeout = t.optional_timespec_arg(timeout)?;
    if info != 0 {
        t.mm()?.prepare_write(info, 128)?;
    }
    let own = t.pending.borrow_mut().take(wanted);
    if let Some(taken) = own.or_else(|| t.process.pending.borrow_mut().take(wanted)) {
        if info != 0 {
            t.mm()?.write_user(info, &taken.encode())?;
        }
        return Ok(u64::from(taken.signal));
    }
    k.set_timeout(t, timeout);
    if k.deadline_passed(t) {
        return Err(Errno::EAGAIN.into());
    }
    let queue = t.process.signal_events.id();
    t.with_call(|call| {
        call.restart = Restart::Never;
        call.queues.push(queue);
    });
    Err(Wait::Listed.into())
}

pub(super) fn sigaltstack(_k: &mut Kernel, t: &Rc<Task>, new: u64, old: u64) -> Outcome<u64> {
    let mm = t.mm()?;
    let now = t.alt_stack.get();
    let in_use = now.contains(t.cpu.borrow().gpr(reg::RSP));
    let wanted = match new {
        0 => None,
        addr => {
            let (start, flags, len) = (mm.read_u64(addr)?, mm.read_u32(addr + 8)?, mm.read_u64(addr + 16)?);
            Some((start, flags, len))
        }
    };
    let flags = frame::stack_flags(now, &t.cpu.borrow());
    if old != 0 {
        mm.write_user(old, &Writer::new().u64(now.start).u64(flags).u64(now.len).finish())?;
    }
    if let Some((start, flags, len)) = wanted {
        const SS_AUTODISARM: u32 = 1 << 31;
        if in_use {
            return Err(Errno::EPERM.into());
        }
        let stack = match flags & !SS_AUTODISARM {
            SS_DISABLE => AltStack::default(),
            0 | SS_ONSTACK if len < MINSIGSTKSZ => return Err(Errno::ENOMEM.into()),
            0 | SS_ONSTACK => AltStack { start, len },
            _ => return Err(Errno::EINVAL.into()),
        };
        t.alt_stack.set(stack);
    }
    Ok(0)
}

fn from_user(t: &Rc<Task>, signal: u32, code: i32) -> SigInfo {
    SigInfo::user(signal, code, t.process.pid, t.credentials().uid)
}

pub(super) fn kill(k: &mut Kernel, t: &Rc<Task>, pid: i32, signal: u32) -> Outcome<u64> {
    let target = match pid {
        0 => Target::Group(t.process.group.get()),
        -1 => Target::All,
        i32::MIN => return Err(Errno::ESRCH.into()),
        pid if pid < 0 => Target::Group(-pid),
        pid => Target::Process(pid),
    };
    k.kill(t, target, &from_user(t, signal, SI_USER)).map(|()| 0)
}

pub(super) fn tkill(k: &mut Kernel, t: &Rc<Task>, tid: i32, signal: u32) -> Outcome<u64> {
    send_to_thread(k, t, None, tid, signal, from_user(t, signal, SI_TKILL))
}

pub(super) fn tgkill(k: &mut Kernel, t: &Rc<Task>, pid: i32, tid: i32, signal: u32) -> Outcome<u64> {
    if pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    send_to_thread(k, t, Some(pid), tid, signal, from_user(t, signal, SI_TKILL))
}

fn send_to_thread(
    k: &mut Kernel,
    t: &Rc<Task>,
    pid: Option<i32>,
    tid: i32,
    signal: u32,
    info: SigInfo,
) -> Outcome<u64> {
    if tid <= 0 || (signal != 0 && !valid_signal(signal)) {
        return Err(Errno::EINVAL.into());
    }
    let target = k.task(tid).filter(|task| pid.is_none_or(|pid| task.process.pid == pid)).ok_or(Errno::ESRCH)?;
    k.kill_thread(t, &target, info).map(|()| 0)
}

/// A `siginfo_t` from the program. Only a process may pretend to itself that the kernel sent it.
fn info_arg(t: &Rc<Task>, addr: u64, signal: u32, to_self: bool) -> Outcome<SigInfo> {
    let mut bytes = [0; 128];
    t.mm()?.read_user(addr, &mut bytes)?;
    let code = Reader::new(&bytes[8..]).i32();
    if !to_self && (code >= 0 || code == SI_TKILL) {
        return Err(Errno::EPERM.into());
    }
    Ok(SigInfo { signal, code, detail: Detail::Raw(bytes[16..].into()) })
}

pub(super) fn rt_sigqueueinfo(k: &mut Kernel, t: &Rc<Task>, pid: i32, signal: u32, info: u64) -> Outcome<u64> {
    let info = info_arg(t, info, signal, pid == t.process.pid)?;
    k.kill(t, Target::Process(pid), &info).map(|()| 0)
}

pub(super) fn rt_tgsigqueueinfo(
    k: &mut Kernel,
    t: &Rc<Task>,
    pid: i32,
    tid: i32,
    signal: u32,
    info: u64,
) -> Outcome<u64> {
    let info = info_arg(t, info, signal, pid == t.process.pid)?;
    send_to_thread(k, t, Some(pid), tid, signal, info)
}
