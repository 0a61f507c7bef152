//! Signals.

use std::rc::Rc;

use abi::Errno;
use abi::signal::*;
use cpu::reg;

use crate::kernel::Kernel;
use crate::signal::info::Detail;
use crate::signal::send::Target;
use crate::signal::{Action, AltStack, FrameKind, SigInfo, SignalSet, valid_signal};
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
    let layout = t.layout();
    let wanted = match new {
        0 => None,
        addr => {
            let bytes = t.struct_arg(addr, 3 * layout.word_bytes + 8)?;
            let mut reader = layout.reader(&bytes);
            let (handler, flags, restorer) = (reader.word(), reader.word(), reader.word());
            Some(Action { handler, flags, restorer, mask: SignalSet(reader.u64()), layout })
        }
    };
    if old != 0 {
        t.mm()?.prepare_write(old, 3 * layout.word_bytes as usize + 8)?;
    }
    let before = change_action(t, signal, wanted)?;
    if old != 0 {
        let writer = layout.writer().word(before.handler).word(before.flags).word(before.restorer);
        t.mm()?.write_user(old, &writer.u64(before.mask.0).finish())?;
    }
    Ok(0)
}

/// Sets what a signal does, if that is wanted, and returns what it did.
pub(super) fn change_action(t: &Rc<Task>, signal: u32, wanted: Option<Action>) -> Outcome<Action> {
    if !valid_signal(signal) || (wanted.is_some() && SignalSet::UNSTOPPABLE.has(signal)) {
        return Err(Errno::EINVAL.into());
    }
    let actions = t.process.actions();
    let before = actions.borrow().get(signal);
    if let Some(action) = wanted {
        let mask = action.mask.without(SignalSet::UNSTOPPABLE);
        actions.borrow_mut().set(signal, Action { mask, ..action });
        if actions.borrow().ignores(signal) {
            let set = SignalSet::of(&[signal]);
            t.process.pending.borrow_mut().discard(set);
            t.pending.borrow_mut().discard(set);
        }
    }
    Ok(before)
}

pub(super) fn rt_sigprocmask(_k: &mut Kernel, t: &Rc<Task>, how: u32, set: u64, old: u64, size: usize) -> Outcome<u64> {
    check_set_size(size)?;
    let before = t.blocked.get();
    let after = match set {
        0 => before,
        addr => {
            let set = read_set(t, addr)?;
            masked(before, how, set)?
        }
    };
    if old != 0 {
        t.mm()?.write_u64(old, before.0)?;
    }
    t.blocked.set(after);
    Ok(0)
}

/// What is blocked after `sigprocmask`.
pub(super) fn masked(before: SignalSet, how: u32, set: SignalSet) -> Outcome<SignalSet> {
    let after = match how {
        SIG_BLOCK => before.with(set),
        SIG_UNBLOCK => before.without(set),
        SIG_SETMASK => set,
        _ => return Err(Errno::EINVAL.into()),
    };
    Ok(after.without(SignalSet::UNSTOPPABLE))
}

/// The signals that wait because they are blocked.
pub(super) fn pending(t: &Rc<Task>) -> SignalSet {
    let pending = t.pending.borrow().set().with(t.process.pending.borrow().set());
    SignalSet(pending.0 & t.blocked.get().0)
}

pub(super) fn rt_sigpending(_k: &mut Kernel, t: &Rc<Task>, set: u64, size: usize) -> Outcome<u64> {
    check_set_size(size)?;
    t.mm()?.write_u64(set, pending(t).0).map(|()| 0)
}

pub(super) fn rt_sigreturn(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    let kind = if t.layout().is_32() { FrameKind::WithInfo32 } else { FrameKind::WithInfo64 };
    k.return_from_handler(t, kind)?;
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
    suspend(t, set)
}

/// Sleeps with these signals blocked until a handler has run.
pub(super) fn suspend(t: &Rc<Task>, set: SignalSet) -> Outcome<u64> {
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
            t.mm()?.write_user(info, &taken.encode(t.layout()))?;
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
    let layout = t.layout();
    let now = t.alt_stack.get();
    let stack_pointer = t.cpu.borrow().gpr(reg::RSP);
    let wanted = match new {
        0 => None,
        addr => {
            let bytes = t.struct_arg(addr, 3 * layout.word_bytes)?;
            let mut reader = layout.reader(&bytes);
            let (start, flags) = (reader.word(), reader.u32());
            reader.align();
            Some(AltStack { start, flags, len: reader.word() })
        }
    };
    // Nothing is told if nothing can be set.
    let next = wanted.map(|wanted| now.replaced(wanted, stack_pointer)).transpose()?;
    if old != 0 {
        let told = layout.writer().word(now.start).word(now.told_flags(stack_pointer).into()).word(now.len);
        t.mm()?.write_user(old, &told.finish())?;
    }
    t.alt_stack.set(next.unwrap_or(now));
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
    let info = read_info(t, addr)?;
    if !to_self && (info.code >= 0 || info.code == SI_TKILL) {
        return Err(Errno::EPERM.into());
    }
    Ok(SigInfo { signal, ..info })
}

/// A `siginfo_t` of a program.
pub(super) fn read_info(t: &Rc<Task>, addr: u64) -> Outcome<SigInfo> {
    let layout = t.layout();
    let bytes = t.struct_arg(addr, 128)?;
    let mut reader = layout.reader(&bytes);
    let (signal, _errno, code) = (reader.u32(), reader.i32(), reader.i32());
    reader.align();
    Ok(SigInfo { signal, code, detail: Detail::Raw { bytes: reader.rest().into(), layout } })
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
