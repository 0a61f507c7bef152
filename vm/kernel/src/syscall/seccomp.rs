//! Filters on system calls: `seccomp(2)`, and what they make of a call.

use abi::capability::CAP_SYS_ADMIN;
use std::rc::Rc;

use abi::ptrace::{AUDIT_ARCH_I386, AUDIT_ARCH_X86_64};
use abi::signal::{SIGKILL, SIGSYS};
use abi::{Errno, Writer};

use super::filter::{program_arg, program_bytes};
use super::{Abi, set_result};
use crate::kernel::Kernel;
use crate::seccomp::{Filters, Seccomp, action};
use crate::signal::SigInfo;
use crate::signal::info::Detail;
use crate::stop::Outcome;
use crate::task::{ExitStatus, Task};

const SET_MODE_STRICT: u32 = 0;
const SET_MODE_FILTER: u32 = 1;
const GET_ACTION_AVAIL: u32 = 2;
/// Flags of a filter: for all threads, logged, with speculation; and what an error among threads is.
const TSYNC: u32 = 1;
const LOG: u32 = 2;
const SPEC_ALLOW: u32 = 4;
const TSYNC_ESRCH: u32 = 16;

pub(super) fn seccomp(k: &mut Kernel, t: &Rc<Task>, operation: u32, flags: u32, args: u64) -> Outcome<u64> {
    match operation {
        SET_MODE_STRICT if flags != 0 || args != 0 => Err(Errno::EINVAL.into()),
        SET_MODE_STRICT => set_strict(t),
        SET_MODE_FILTER => set_filter(k, t, flags, args),
        GET_ACTION_AVAIL if flags != 0 => Err(Errno::EINVAL.into()),
        GET_ACTION_AVAIL => {
            let action = t.mm()?.read_u32(args)?;
            let known = action::ALL.contains(&action) && action != action::USER_NOTIF;
            if known { Ok(0) } else { Err(Errno::EOPNOTSUPP.into()) }
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `prctl(PR_SET_SECCOMP)`, by which it was first reached.
pub(super) fn set_mode(k: &mut Kernel, t: &Rc<Task>, mode: u64, args: u64) -> Outcome<u64> {
    match mode {
        1 => set_strict(t),
        2 => set_filter(k, t, 0, args),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn set_strict(t: &Rc<Task>) -> Outcome<u64> {
    let is_filtered = matches!(*t.seccomp.borrow(), Seccomp::Filtered(_));
    if is_filtered {
        return Err(Errno::EINVAL.into());
    }
    *t.seccomp.borrow_mut() = Seccomp::Strict;
    Ok(0)
}

fn set_filter(k: &mut Kernel, t: &Rc<Task>, flags: u32, args: u64) -> Outcome<u64> {
    if flags & !(TSYNC | LOG | SPEC_ALLOW | TSYNC_ESRCH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let program = program_arg(t, &t.struct_arg(args, program_bytes(t))?)?;
    if !t.no_new_privileges.get() && !t.credentials().has(CAP_SYS_ADMIN) {
        return Err(Errno::EACCES.into());
    }
    let earlier = match &*t.seccomp.borrow() {
        Seccomp::Off => None,
        Seccomp::Strict => return Err(Errno::EINVAL.into()),
        Seccomp::Filtered(filters) => Some(filters.clone()),
    };
    let threads = k.tasks.threads(&t.process);
    if flags & TSYNC != 0 {
        // The others must have no filters but those that this one has.
        let follows = |other: &Seccomp| match (other, &earlier) {
            (Seccomp::Off, _) => true,
            (Seccomp::Filtered(theirs), Some(ours)) => Rc::ptr_eq(theirs, ours),
            _ => false,
        };
        if let Some(other) = threads.iter().find(|other| !follows(&other.seccomp.borrow())) {
            return if flags & TSYNC_ESRCH != 0 { Err(Errno::ESRCH.into()) } else { Ok(other.tid() as u64) };
        }
    }
    let filters = Filters::add(program, earlier)?;
    let receivers = if flags & TSYNC != 0 { threads } else { vec![t.clone()] };
    for task in receivers {
        *task.seccomp.borrow_mut() = Seccomp::Filtered(filters.clone());
        if t.no_new_privileges.get() {
            task.no_new_privileges.set(true);
        }
    }
    Ok(0)
}

impl Kernel {
    /// Asks a task's filters about the call it is about to make. Returns whether it is to be made.
    pub(crate) fn may_call(&mut self, task: &Rc<Task>, abi: Abi, number: u64, args: [u64; 6]) -> bool {
        let seccomp = task.seccomp.borrow().clone();
        let result = match seccomp {
            Seccomp::Off => return true,
            Seccomp::Strict => {
                let allowed =
                    matches!(abi.name(number), Some("read" | "write" | "exit" | "rt_sigreturn" | "sigreturn"));
                if !allowed {
                    self.exit_task(task, ExitStatus::Signal { signal: SIGKILL, core: false });
                }
                return allowed;
            }
            Seccomp::Filtered(filters) => {
                let head = Writer::new().u32(number as u32).u32(architecture(abi)).u64(task.cpu.borrow().rip);
                filters.judge(&args.into_iter().fold(head, Writer::u64).finish())
            }
        };
        let data = (result & !action::MASK) as u16;
        match result & action::MASK {
            action::ALLOW | action::LOG => return true,
            action::ERRNO => self.refuse(task, u64::from(data.min(4095)).wrapping_neg()),
            action::TRACE if task.with_call(|call| call.asked) => return true,
            action::TRACE if self.trace_filtered(task, data) => return false,
            // Nobody traces for that, or listens.
            action::TRACE | action::USER_NOTIF => self.refuse(task, Errno::ENOSYS.to_result()),
            action::TRAP => {
                task.call.take();
                set_result(&mut task.cpu.borrow_mut(), number);
                let addr = task.cpu.borrow().rip;
                let detail = Detail::Call { addr, number: number as u32, arch: architecture(abi), errno: data.into() };
                const SYS_SECCOMP: i32 = 1;
                self.force_signal(task, SigInfo { signal: SIGSYS, code: SYS_SECCOMP, detail });
            }
            action::KILL_THREAD if task.process.threads.borrow().len() > 1 => {
                self.exit_task(task, ExitStatus::Signal { signal: SIGSYS, core: false });
            }
            _ => {
                let core = task.process.limits.borrow().soft(abi::process::RLIMIT_CORE) > 0;
                self.exit_process(&task.process, ExitStatus::Signal { signal: SIGSYS, core });
            }
        }
        false
    }

    /// Ends a call that is not made with a result.
    fn refuse(&mut self, task: &Rc<Task>, result: u64) {
        task.call.take();
        set_result(&mut task.cpu.borrow_mut(), result);
    }
}

fn architecture(abi: Abi) -> u32 {
    match abi {
        Abi::X86_64 => AUDIT_ARCH_X86_64,
        Abi::I386 => AUDIT_ARCH_I386,
    }
}
