//! Registers as tracers see them: `struct user_regs_struct`, of both kinds of programs (`sys/user.h`).

use std::rc::Rc;

use abi::{Errno, Layout, Reader};
use cpu::saved::{self, Header};
use cpu::segment::Segment;
use cpu::{CpuState, Mode, reg};

use crate::syscall::Abi;
use crate::task::Task;

/// What a tracer calls a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Register {
    General(usize),
    /// The number of the call it is in, or all ones.
    Call,
    Instruction,
    Flags,
    Selector(Segment),
    FsBase,
    GsBase,
}

use Register::*;

/// Of 64-bit programs.
const REGISTERS_64: [Register; 27] = [
    General(reg::R15),
    General(reg::R14),
    General(reg::R13),
    General(reg::R12),
    General(reg::RBP),
    General(reg::RBX),
    General(reg::R11),
    General(reg::R10),
    General(reg::R9),
    General(reg::R8),
    General(reg::RAX),
    General(reg::RCX),
    General(reg::RDX),
    General(reg::RSI),
    General(reg::RDI),
    Call,
    Instruction,
    Selector(Segment::Cs),
    Flags,
    General(reg::RSP),
    Selector(Segment::Ss),
    FsBase,
    GsBase,
    Selector(Segment::Ds),
    Selector(Segment::Es),
    Selector(Segment::Fs),
    Selector(Segment::Gs),
];

/// Of 32-bit programs.
const REGISTERS_32: [Register; 17] = [
    General(reg::RBX),
    General(reg::RCX),
    General(reg::RDX),
    General(reg::RSI),
    General(reg::RDI),
    General(reg::RBP),
    General(reg::RAX),
    Selector(Segment::Ds),
    Selector(Segment::Es),
    Selector(Segment::Fs),
    Selector(Segment::Gs),
    Call,
    Instruction,
    Selector(Segment::Cs),
    Flags,
    General(reg::RSP),
    Selector(Segment::Ss),
];

/// The registers that a tracer of that kind knows, in their order.
fn registers(layout: Layout) -> &'static [Register] {
    if layout.is_32() { &REGISTERS_32 } else { &REGISTERS_64 }
}

/// How the registers of a task are laid out for those who ask for its own kind.
pub fn native_layout(task: &Task) -> Layout {
    if task.cpu.borrow().mode == Mode::Compat { Layout::I386 } else { Layout::X86_64 }
}

/// Bytes of all registers.
pub fn bytes(layout: Layout) -> u64 {
    registers(layout).len() as u64 * layout.word_bytes
}

/// All registers of a stopped task.
pub fn read_all(task: &Task, layout: Layout) -> Vec<u8> {
    registers(layout).iter().fold(layout.writer(), |to, register| to.word(get(task, *register))).finish()
}

/// Sets the first registers of a stopped task.
pub fn write_all(task: &Rc<Task>, layout: Layout, bytes: &[u8]) {
    let mut reader = layout.reader(bytes);
    for register in registers(layout).iter().take(bytes.len() / layout.word_bytes as usize) {
        set(task, *register, reader.word(), layout);
    }
}

/// The register at an offset of `struct user`.
pub fn read_one(task: &Task, layout: Layout, offset: u64) -> Option<u64> {
    registers(layout).get((offset / layout.word_bytes) as usize).map(|register| get(task, *register))
}

/// Sets the register at an offset of `struct user`. Returns whether there is one.
pub fn write_one(task: &Rc<Task>, layout: Layout, offset: u64, value: u64) -> bool {
    let register = registers(layout).get((offset / layout.word_bytes) as usize);
    register.map(|register| set(task, *register, value, layout)).is_some()
}

fn get(task: &Task, register: Register) -> u64 {
    let cpu = task.cpu.borrow();
    match register {
        General(index) => cpu.gpr(index),
        Call => {
            let current = task.call.borrow().as_ref().filter(|call| !call.entering).map(|call| call.number);
            current.or(task.call_number.get()).unwrap_or(u64::MAX)
        }
        Instruction => cpu.rip,
        Flags => cpu.rflags(),
        Selector(segment) => cpu.selector(segment).into(),
        FsBase => cpu.fs_base(),
        GsBase => cpu.gs_base(),
    }
}

fn set(task: &Rc<Task>, register: Register, value: u64, layout: Layout) {
    let mut cpu = task.cpu.borrow_mut();
    match register {
        General(index) => cpu.set_gpr(index, value),
        Call => {
            let is_none = if layout.is_32() { value as u32 == u32::MAX } else { value as i64 == -1 };
            task.call_number.set((!is_none).then_some(value));
        }
        Instruction => cpu.rip = value,
        // Steps are taken in another way.
        Flags => cpu.set_rflags(value & !cpu::rflags::TF),
        Selector(segment) if cpu.selector(segment) != value as u16 => set_selector(&mut cpu, segment, value as u16),
        Selector(_) => {}
        FsBase => cpu.set_fs_base(value),
        GsBase => cpu.set_gs_base(value),
    }
}

/// Code and stack segments follow from the mode.
fn set_selector(cpu: &mut CpuState, segment: Segment, selector: u16) {
    match segment {
        Segment::Cs => {
            if let Ok(mode) = crate::signal::frame::mode_of(selector) {
                cpu.mode = mode;
            }
        }
        Segment::Ss => {}
        _ => {
            // As the base is a register of its own for 64-bit programs, it stays.
            let (fs, gs) = (cpu.fs_base(), cpu.gs_base());
            cpu.load_selector_or_null(segment, selector);
            if cpu.mode == Mode::Long {
                cpu.set_fs_base(fs);
                cpu.set_gs_base(gs);
            }
        }
    }
}

/// `struct ptrace_syscall_info`: architecture, where it is, and for a call what it is or what it came to.
pub fn call_info(task: &Task, kind: Option<super::StopKind>) -> Vec<u8> {
    use abi::ptrace::*;
    let cpu = task.cpu.borrow();
    let abi = task.call_abi.get();
    let (arch, layout) = match abi {
        Abi::X86_64 => (AUDIT_ARCH_X86_64, Layout::X86_64),
        Abi::I386 => (AUDIT_ARCH_I386, Layout::I386),
    };
    let operation = match kind {
        Some(super::StopKind::SyscallEntry) => SYSCALL_INFO_ENTRY,
        Some(super::StopKind::SyscallExit) => SYSCALL_INFO_EXIT,
        Some(super::StopKind::Filter) => SYSCALL_INFO_SECCOMP,
        _ => SYSCALL_INFO_NONE,
    };
    let head = abi::Writer::new().u8(operation).pad_to(4).u32(arch).u64(cpu.rip).u64(cpu.gpr(reg::RSP));
    match operation {
        SYSCALL_INFO_ENTRY | SYSCALL_INFO_SECCOMP => {
            let (_, args) = abi.registers(&cpu);
            let head = head.u64(task.call_number.get().unwrap_or(u64::MAX));
            let call = args.into_iter().fold(head, abi::Writer::u64);
            if operation == SYSCALL_INFO_ENTRY {
                return call.finish();
            }
            // What the filter says.
            let said = task.with_trace(|trace| trace.message).unwrap_or(0);
            call.u32(said as u32).finish()
        }
        SYSCALL_INFO_EXIT => {
            let value = cpu.gpr(reg::RAX);
            let value = if layout.is_32() { i64::from(value as i32) } else { value as i64 };
            let is_error = (-4095..0).contains(&value);
            head.i64(value).u8(is_error.into()).finish()
        }
        _ => head.finish(),
    }
}

/// `struct user_i387_struct` of 32-bit programs: the first 108 bytes are FSAVE's.
pub fn read_x87(task: &Task) -> Vec<u8> {
    crate::signal::frame32::encode_x87(&task.cpu.borrow())[..X87_BYTES].to_vec()
}

/// Sets x87 registers from what [`read_x87`] gives.
pub fn write_x87(task: &Task, bytes: &[u8]) {
    let mut all = read_x87(task);
    let len = bytes.len().min(all.len());
    all[..len].copy_from_slice(&bytes[..len]);
    crate::signal::frame32::decode_x87(&mut task.cpu.borrow_mut(), &all);
}

/// Bytes of an FSAVE image.
pub const X87_BYTES: usize = 108;

/// The FXSAVE image.
pub fn read_fxsave(task: &Task) -> Vec<u8> {
    let mut image = [0; 512];
    task.cpu.borrow().fxsave(&mut image);
    image.to_vec()
}

/// Sets x87 and SSE registers from an FXSAVE image, or its beginning.
pub fn write_fxsave(task: &Task, bytes: &[u8]) {
    let mut image = [0; 512];
    let mut cpu = task.cpu.borrow_mut();
    cpu.fxsave(&mut image);
    let len = bytes.len().min(image.len());
    image[..len].copy_from_slice(&bytes[..len]);
    cpu.fxrstor(&image, cpu::saved::VECTORS);
}

/// The XSAVE area, with a note of what is enabled.
pub fn read_xsave(task: &Task) -> Vec<u8> {
    task.cpu.borrow().xsave(&saved::ENABLED.to_le_bytes()).to_vec()
}

/// Sets x87 and SSE registers from a whole XSAVE area.
///
/// # Errors
/// `EFAULT` for less, `EINVAL` for what the processor would not take.
pub fn write_xsave(task: &Task, bytes: &[u8]) -> Result<(), Errno> {
    let area: &[u8; saved::XSAVE_BYTES] = bytes.try_into().map_err(|_| Errno::EFAULT)?;
    let (image, header) = area.split_first_chunk().ok_or(Errno::EFAULT)?;
    let header = Header::read(header.first_chunk().ok_or(Errno::EFAULT)?).map_err(|_| Errno::EINVAL)?;
    if saved::mxcsr(image) & !saved::MXCSR_MASK != 0 {
        return Err(Errno::EINVAL);
    }
    task.cpu.borrow_mut().restore_components(image, saved::ENABLED, header, saved::VECTORS);
    Ok(())
}

/// The first word of something, as a debugger's `PEEK` gives it.
pub fn word(bytes: &[u8], layout: Layout) -> u64 {
    if layout.is_32() { Reader::new(bytes).u32().into() } else { Reader::new(bytes).u64() }
}
