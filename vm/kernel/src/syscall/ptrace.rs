//! `ptrace(2)`.

use std::rc::Rc;

use abi::Errno;
use abi::ptrace::*;
use abi::signal::SIGKILL;

use super::prctl::arch_prctl_of;
use super::signal::read_info;
use super::thread_area;
use crate::kernel::Kernel;
use crate::signal::{SigInfo, SignalSet};
use crate::stop::Outcome;
use crate::task::Task;
use crate::trace::{Resume, registers};

/// Where the debug registers are in `struct user`, and its size, of 64-bit and 32-bit programs.
const USER_64: (u64, u64) = (848, 912);
const USER_32: (u64, u64) = (252, 284);
/// Bytes of a kernel `sigset_t`.
const SET_BYTES: u64 = 8;

pub(super) fn ptrace(k: &mut Kernel, t: &Rc<Task>, request: u64, pid: i32, addr: u64, data: u64) -> Outcome<u64> {
    let request = u32::try_from(request).map_err(|_| Errno::EIO)?;
    if request == PTRACE_TRACEME {
        return k.trace_me(t).map(|()| 0);
    }
    let other = k.task(pid).ok_or(Errno::ESRCH)?;
    match request {
        PTRACE_ATTACH => return k.trace_attach(t, &other, false, 0).map(|()| 0),
        PTRACE_SEIZE => {
            if addr != 0 {
                return Err(Errno::EIO.into());
            }
            let options = options_arg(data)?;
            return k.trace_attach(t, &other, true, options).map(|()| 0);
        }
        _ => {}
    }
    if other.with_trace(|trace| trace.tracer) != Some(t.tid()) {
        return Err(Errno::ESRCH.into());
    }
    match request {
        PTRACE_KILL => {
            k.signal_process(&other.process, SigInfo::kernel(SIGKILL));
            return Ok(0);
        }
        PTRACE_INTERRUPT if other.with_trace(|trace| trace.seized) == Some(true) => {
            k.trace_interrupt(&other);
            return Ok(0);
        }
        PTRACE_INTERRUPT => return Err(Errno::EIO.into()),
        _ => {}
    }
    let listening = other.with_trace(|trace| trace.listening) == Some(true);
    if !other.is_trace_stopped() || listening {
        return Err(Errno::ESRCH.into());
    }
    match request {
        PTRACE_CONT
        | PTRACE_SYSCALL
        | PTRACE_SINGLESTEP
        | PTRACE_SYSEMU
        | PTRACE_SYSEMU_SINGLESTEP
        | PTRACE_DETACH
        | PTRACE_LISTEN => resume(k, &other, request, data),
        PTRACE_SETOPTIONS => {
            let options = options_arg(data)?;
            other.with_trace(|trace| trace.options = options);
            Ok(0)
        }
        PTRACE_GETEVENTMSG => {
            let message = other.with_trace(|trace| trace.message).unwrap_or(0);
            t.write_word(data, message).map(|()| 0)
        }
        PTRACE_GETSIGINFO | PTRACE_SETSIGINFO => signal_info(t, &other, request, data),
        PTRACE_GETSIGMASK | PTRACE_SETSIGMASK => signal_mask(k, t, &other, request, addr, data),
        PTRACE_GET_SYSCALL_INFO => {
            let kind = other.with_trace(|trace| trace.stop.as_ref().map(|stop| stop.kind)).flatten();
            let info = registers::call_info(&other, kind);
            let len = info.len().min(usize::try_from(addr).unwrap_or(usize::MAX));
            t.mm()?.write_user(data, &info[..len])?;
            Ok(info.len() as u64)
        }
        _ => state(t, &other, request, addr, data),
    }
}

fn options_arg(data: u64) -> Outcome<u32> {
    let options = u32::try_from(data).map_err(|_| Errno::EINVAL)?;
    if options & !PTRACE_O_MASK != 0 { Err(Errno::EINVAL.into()) } else { Ok(options) }
}

fn resume(k: &mut Kernel, other: &Rc<Task>, request: u32, data: u64) -> Outcome<u64> {
    let signal = u32::try_from(data).map_err(|_| Errno::EIO)?;
    let how = match request {
        PTRACE_SYSCALL => Resume::ToSyscall,
        PTRACE_SINGLESTEP => Resume::Step,
        PTRACE_SYSEMU => Resume::ToEmulated,
        PTRACE_SYSEMU_SINGLESTEP => Resume::StepEmulated,
        PTRACE_LISTEN => return k.trace_listen(other).map(|()| 0),
        PTRACE_DETACH => {
            if signal > abi::signal::SIGNAL_MAX {
                return Err(Errno::EIO.into());
            }
            k.trace_detach(other, signal);
            return Ok(0);
        }
        _ => Resume::Continue,
    };
    k.trace_resume(other, how, signal).map(|()| 0)
}

fn signal_info(t: &Rc<Task>, other: &Rc<Task>, request: u32, data: u64) -> Outcome<u64> {
    let info = other.with_trace(|trace| trace.stop.as_ref().and_then(|stop| stop.info.clone())).flatten();
    let info = info.ok_or(Errno::EINVAL)?;
    if request == PTRACE_GETSIGINFO {
        t.mm()?.write_user(data, &info.encode(t.layout()))?;
        return Ok(0);
    }
    let info = read_info(t, data)?;
    other.with_trace(|trace| {
        if let Some(stop) = &mut trace.stop {
            stop.info = Some(info);
        }
    });
    Ok(0)
}

fn signal_mask(k: &mut Kernel, t: &Rc<Task>, other: &Rc<Task>, request: u32, size: u64, data: u64) -> Outcome<u64> {
    if size != SET_BYTES {
        return Err(Errno::EINVAL.into());
    }
    if request == PTRACE_GETSIGMASK {
        let mask = other.saved_blocked.get().unwrap_or(other.blocked.get());
        return t.mm()?.write_u64(data, mask.0).map(|()| 0);
    }
    let mask = SignalSet(t.mm()?.read_u64(data)?);
    k.trace_set_mask(other, mask);
    Ok(0)
}

/// Memory and registers.
fn state(t: &Rc<Task>, other: &Rc<Task>, request: u32, addr: u64, data: u64) -> Outcome<u64> {
    let layout = t.layout();
    let word_bytes = layout.word_bytes as usize;
    match request {
        PTRACE_PEEKTEXT | PTRACE_PEEKDATA => {
            let mut bytes = vec![0; word_bytes];
            other.mm()?.read_forced(addr, &mut bytes).map_err(not_there)?;
            t.write_word(data, registers::word(&bytes, layout)).map(|()| 0)
        }
        PTRACE_POKETEXT | PTRACE_POKEDATA => {
            other.mm()?.write_forced(addr, &data.to_le_bytes()[..word_bytes]).map_err(not_there)?;
            Ok(0)
        }
        PTRACE_PEEKUSER | PTRACE_POKEUSER => user(t, other, request, addr, data),
        PTRACE_GETREGS => give(t, data, &registers::read_all(other, layout)),
        PTRACE_SETREGS => {
            registers::write_all(other, layout, &t.struct_arg(data, registers::bytes(layout))?);
            Ok(0)
        }
        PTRACE_GETFPREGS if layout.is_32() => give(t, data, &registers::read_x87(other)),
        PTRACE_SETFPREGS if layout.is_32() => {
            registers::write_x87(other, &t.struct_arg(data, registers::X87_BYTES as u64)?);
            Ok(0)
        }
        PTRACE_GETFPXREGS | PTRACE_SETFPXREGS if !layout.is_32() => Err(Errno::EIO.into()),
        PTRACE_GETFPREGS | PTRACE_GETFPXREGS => give(t, data, &registers::read_fxsave(other)),
        PTRACE_SETFPREGS | PTRACE_SETFPXREGS => {
            registers::write_fxsave(other, &t.struct_arg(data, 512)?);
            Ok(0)
        }
        PTRACE_GETREGSET | PTRACE_SETREGSET => register_set(t, other, request, addr, data),
        PTRACE_GET_THREAD_AREA | PTRACE_SET_THREAD_AREA => {
            thread_area::of_tracee(t, other, addr, data, request == PTRACE_SET_THREAD_AREA)
        }
        PTRACE_ARCH_PRCTL if !layout.is_32() => arch_prctl_of(t, other, data as u32, addr),
        _ => Err(Errno::EIO.into()),
    }
}

fn give(t: &Rc<Task>, addr: u64, bytes: &[u8]) -> Outcome<u64> {
    t.mm()?.write_user(addr, bytes).map(|()| 0)
}

/// Memory that is not there is an error of input for a debugger.
fn not_there(stop: crate::stop::Stop) -> crate::stop::Stop {
    if stop.is(Errno::EFAULT) { Errno::EIO.into() } else { stop }
}

/// A word of `struct user`: a register, or one of the debug registers.
fn user(t: &Rc<Task>, other: &Rc<Task>, request: u32, offset: u64, data: u64) -> Outcome<u64> {
    let layout = t.layout();
    let (debug_registers, size) = if layout.is_32() { USER_32 } else { USER_64 };
    if !offset.is_multiple_of(layout.word_bytes) || offset >= size {
        return Err(Errno::EIO.into());
    }
    if let Some(from) = offset.checked_sub(debug_registers) {
        let index = from / layout.word_bytes;
        if request == PTRACE_PEEKUSER {
            let value = other.with_trace(|trace| trace.debug.get(index)).unwrap_or(0);
            return t.write_word(data, value).map(|()| 0);
        }
        let set = other.with_trace(|trace| trace.debug.set(index, data));
        return Ok(set.unwrap_or(Ok(())).map(|()| 0)?);
    }
    if request == PTRACE_PEEKUSER {
        return t.write_word(data, registers::read_one(other, layout, offset).unwrap_or(0)).map(|()| 0);
    }
    if registers::write_one(other, layout, offset, data) { Ok(0) } else { Err(Errno::EIO.into()) }
}

/// `PTRACE_GETREGSET`, `PTRACE_SETREGSET`: by the kind of program that is traced.
fn register_set(t: &Rc<Task>, other: &Rc<Task>, request: u32, kind: u64, vector: u64) -> Outcome<u64> {
    let own = t.layout();
    let bytes = t.struct_arg(vector, 2 * own.word_bytes)?;
    let mut reader = own.reader(&bytes);
    let (addr, len) = (reader.word(), reader.word());
    let layout = registers::native_layout(other);
    let (unit, all) = match kind as u32 {
        NT_PRSTATUS => (layout.word_bytes, registers::read_all(other, layout)),
        NT_FPREGSET if layout.is_32() => (4, registers::read_x87(other)),
        NT_FPREGSET => (8, registers::read_fxsave(other)),
        NT_PRXFPREG if layout.is_32() => (4, registers::read_fxsave(other)),
        NT_X86_XSTATE => (8, registers::read_xsave(other)),
        NT_X86_SHSTK => return Err(Errno::ENODEV.into()),
        _ => return Err(Errno::EINVAL.into()),
    };
    if len % unit != 0 {
        return Err(Errno::EINVAL.into());
    }
    let len = len.min(all.len() as u64);
    if request == PTRACE_GETREGSET {
        t.mm()?.write_user(addr, &all[..len as usize])?;
    } else {
        let bytes = t.struct_arg(addr, len)?;
        match kind as u32 {
            NT_PRSTATUS => registers::write_all(other, layout, &bytes),
            NT_FPREGSET if layout.is_32() => registers::write_x87(other, &bytes),
            NT_X86_XSTATE => registers::write_xsave(other, &bytes)?,
            _ => registers::write_fxsave(other, &bytes),
        }
    }
    t.write_word(vector.wrapping_add(own.word_bytes), len).map(|()| 0)
}
