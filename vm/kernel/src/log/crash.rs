//! Programs that a processor exception ends: one line each, as Linux on x86 has them (`debug.exception-trace`,
//! `arch/x86/mm/fault.c`, `arch/x86/kernel/traps.c`).

use std::rc::Rc;

use abi::signal::{SIG_DFL, SIG_IGN, SIGKILL, SIGSEGV};
use cpu::reg;

use super::level::{INFO, WARNING};
use crate::kernel::Kernel;
use crate::signal::{FrameKind, SigInfo, info::Detail};
use crate::task::Task;

/// Numbers of exceptions (Intel SDM vol. 3, 6.15), and what they are called in the log.
const TRAPS: [(u8, &str); 6] = [
    (0, "trap divide error"),
    (3, "trap int3"),
    (4, "trap overflow"),
    (5, "trap bounds"),
    (6, "trap invalid opcode"),
    (13, "general protection fault"),
];
const PAGE_FAULT: u8 = 14;

/// Bytes of code that are shown, before the instruction and from it on.
const CODE_BYTES: (u64, usize) = (42, 22);

impl Kernel {
    /// Forces the signal of an exception on a task, and says so if that will be its end.
    pub(crate) fn force_exception(&mut self, task: &Rc<Task>, info: SigInfo) {
        let (trap, error) = match info.detail {
            Detail::Fault { trap, error, .. } | Detail::Exception { trap, error } => (trap, error),
            _ => return self.force_signal(task, info),
        };
        match (trap, &info.detail) {
            (PAGE_FAULT, Detail::Fault { addr, .. }) if info.signal == SIGSEGV => {
                self.say_page_fault(task, *addr, error)
            }
            _ => self.say_trap(task, info.signal, trap, error),
        }
        self.force_signal(task, info);
    }

    fn say_page_fault(&mut self, task: &Rc<Task>, addr: u64, error: u16) {
        if is_handled(task, SIGSEGV) || !self.may_say_crash("show_signal_msg") {
            return;
        }
        let (ip, sp) = pointers(task);
        let what = format!(": segfault at {addr:x} ip {ip:016x} sp {sp:016x} error {error:x}");
        let on = b" likely on CPU 0 (core 0, socket 0)";
        self.say(INFO, [&who(task)[..], what.as_bytes(), &place(task, ip), on].concat());
        self.say(INFO, code_at(task, ip));
    }

    fn say_trap(&mut self, task: &Rc<Task>, signal: u32, trap: u8, error: u16) {
        let Some((_, name)) = TRAPS.iter().find(|(number, _)| *number == trap) else { return };
        if is_handled(task, signal) || !self.may_say_crash("show_signal") {
            return;
        }
        let (ip, sp) = pointers(task);
        let what = format!(" {name} ip:{ip:x} sp:{sp:x} error:{error:x}");
        self.say(INFO, [b"traps: ", &who(task)[..], what.as_bytes(), &place(task, ip)].concat());
    }

    /// A handler returns by a frame that is none.
    pub(crate) fn say_bad_frame(&mut self, task: &Rc<Task>, kind: FrameKind, stack_pointer: u64) {
        if !self.may_say_crash("signal_fault") {
            return;
        }
        // The handler's return, and for i386's old frames the library, have taken a word each from the stack.
        let (name, taken_bytes) = match kind {
            FrameKind::WithInfo64 => ("rt_sigreturn", 8),
            FrameKind::WithInfo32 => ("32bit rt sigreturn", 4),
            FrameKind::Plain32 => ("32bit sigreturn", 8),
        };
        let call = task.call.borrow().as_ref().map_or(0, |call| call.number);
        let (frame, (ip, _)) = (stack_pointer.wrapping_sub(taken_bytes), pointers(task));
        let what = format!(" bad frame in {name} frame:{frame:016x} ip:{ip:x} sp:{stack_pointer:x} orax:{call:x}");
        self.say(INFO, [&who(task)[..], what.as_bytes(), &place(task, ip)].concat());
    }

    /// Whether a crash may be logged now; `function` is Linux's that does so.
    fn may_say_crash(&mut self, function: &str) -> bool {
        if !self.log.settings.shows_crashes {
            return false;
        }
        let (now_ns, rate) = (self.uptime_ns(), self.log.settings.rate);
        if self.log.limit.renew(now_ns, rate) {
            let missed = self.log.limit.take_refused();
            if missed > 0 {
                self.say(WARNING, format!("{function}: {missed} callbacks suppressed"));
            }
        }
        self.log.limit.admits(rate)
    }
}

/// Whether a program can be expected to go on after a signal, or someone else is to tell what happened.
fn is_handled(task: &Rc<Task>, signal: u32) -> bool {
    let handler = task.process.actions().borrow().get(signal).handler;
    let is_dying = task.process.exiting.get().is_some() || task.process.pending.borrow().set().has(SIGKILL);
    !matches!(handler, SIG_DFL | SIG_IGN) || is_dying || task.is_traced()
}

fn pointers(task: &Rc<Task>) -> (u64, u64) {
    let cpu = task.cpu.borrow();
    (cpu.rip, cpu.gpr(reg::RSP))
}

fn who(task: &Rc<Task>) -> Vec<u8> {
    [&task.name.borrow()[..], format!("[{}]", task.tid()).as_bytes()].concat()
}

/// The mapped file that an instruction is in: where in the file, and where the mapping is.
fn place(task: &Rc<Task>, ip: u64) -> Vec<u8> {
    let Ok(mm) = task.mm() else { return Vec::new() };
    let maps = mm.maps_at(ip).borrow();
    let Some(vma) = maps.find(ip).filter(|vma| !vma.flags.is_block) else { return Vec::new() };
    let (Some(file), offset) = vma.file() else { return Vec::new() };
    let offset = ip - vma.start + offset;
    let range = format!("[{offset:x},{:x}+{:x}]", vma.start, vma.len());
    [b" in ", &file.name()[..], range.as_bytes()].concat()
}

/// The code around an instruction.
fn code_at(task: &Rc<Task>, ip: u64) -> String {
    let (before, len) = (ip.wrapping_sub(CODE_BYTES.0), CODE_BYTES.0 as usize + CODE_BYTES.1);
    let bytes = task.mm().and_then(|mm| mm.peek(before, len)).unwrap_or_default();
    if bytes.len() < len {
        return format!("Code: Unable to access opcode bytes at {before:#x}.");
    }
    let mark = |(index, byte): (usize, &u8)| match index as u64 == CODE_BYTES.0 {
        true => format!("<{byte:02x}>"),
        false => format!("{byte:02x}"),
    };
    let words: Vec<String> = bytes.iter().enumerate().map(mark).collect();
    format!("Code: {}", words.join(" "))
}
