//! The x87 unit's instructions: 80-bit results, flags and condition codes as the processor has them.
//!
//! Memory is [`run`]'s business alone; [`execute`] works on registers and on a memory operand's bits, so that compiled
//! code, which makes its accesses itself, shares everything else.
//!
//! | module | subject |
//! |---|---|
//! | [`spec`] | an instruction packed into a helper's immediate |
//! | [`compiled`] | what compiled code calls |
//! | [`stack`] | registers, exceptions |
//! | [`number`] | numbers taken apart, rounded and put together |
//! | [`arith`] | addition to square root, comparison |
//! | [`convert`] | what memory operands hold |
//! | [`math`] | remainder, scaling, constants |
//! | [`transcendental`] | sine to logarithm |
//! | [`wide`] | 128-bit arithmetic for those |
//! | [`environment`] | FNSTENV, FNSAVE and back |
//!
//! Instruction and operand pointers are as on processors that have deprecated segments there and tell of operands and
//! opcodes only after exceptions that are not masked ([`crate::features`]). Where the last instruction was, the lifter
//! notes. Source: Intel SDM vol. 1, chapter 8.

mod arith;
pub mod compiled;
mod convert;
mod environment;
mod math;
mod number;
pub mod spec;
mod stack;
mod transcendental;
mod wide;

use memory::GuestAddr;

use crate::exit::Exception;
use crate::flags::order_status;
use crate::fpu::{F80, Fpu};
use crate::helper::{Context, Trap};
use crate::ir::slot;
use crate::state::reg::RAX;
use number::{Class, INDEFINITE, Rounded, Rounding, pass_nan};
use spec::{Constant, Operand, Operation, Spec};

/// Bits of the status word.
pub mod status {
    #![allow(missing_docs)]
    pub const INVALID: u16 = 1 << 0;
    pub const DENORMAL: u16 = 1 << 1;
    pub const ZERO_DIVIDE: u16 = 1 << 2;
    pub const OVERFLOW: u16 = 1 << 3;
    pub const UNDERFLOW: u16 = 1 << 4;
    pub const PRECISION: u16 = 1 << 5;
    pub const STACK_FAULT: u16 = 1 << 6;
    /// Some unmasked exception is pending.
    pub const SUMMARY: u16 = 1 << 7;
    pub const C0: u16 = 1 << 8;
    pub const C1: u16 = 1 << 9;
    pub const C2: u16 = 1 << 10;
    pub const C3: u16 = 1 << 14;
    /// The same as [`SUMMARY`].
    pub const BUSY: u16 = 1 << 15;
    /// The six exceptions that can be masked.
    pub const EXCEPTIONS: u16 = 0x3f;
    /// Those found before there is a result: unmasked, they leave everything as it was.
    pub(super) const BEFORE: u16 = INVALID | DENORMAL | ZERO_DIVIDE;
    pub(super) const CONDITIONS: u16 = C0 | C1 | C2 | C3;
}

/// What is left to do for an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing.
    Done,
    /// To write the memory operand.
    Store(u64, u16),
    /// To set AX, or for comparisons the flags.
    Value(u16),
    /// To raise #MF: an earlier exception is pending, and the instruction has done nothing.
    Pending,
}

/// Runs the instruction that `imm` describes; `operand` is the slot of its memory address, or of a condition.
///
/// # Errors
/// Memory faults, and #MF for an exception that an earlier instruction left pending.
pub fn run(cx: &mut Context<'_>, operand: u8, imm: u32) -> Result<(), Trap> {
    let spec = Spec::decode(imm);
    if spec.operation.waits() && cx.cpu.fpu.pending() != 0 {
        return Err(Exception::X87.into());
    }
    let addr = cx.operand(operand);
    match spec.operation {
        Operation::StoreEnvironment => return environment::store(cx, addr, spec.narrow),
        Operation::LoadEnvironment => return environment::load(cx, addr, spec.narrow),
        Operation::Save => return environment::save(cx, addr, spec.narrow),
        Operation::Restore => return environment::restore(cx, addr, spec.narrow),
        _ => {}
    }
    let mut value = [0; 16];
    let bytes = usize::from(spec.memory_bytes());
    if spec.writes_memory() {
        cx.space.check_writable(GuestAddr(addr), bytes as u64)?;
    } else if bytes != 0 {
        cx.space.read(GuestAddr(addr), &mut value[..bytes])?;
    } else if spec.operation == Operation::MoveIf {
        value[0] = u8::from(addr != 0);
    }
    let value = u128::from_le_bytes(value);
    match execute(&mut cx.cpu.fpu, spec, value as u64, (value >> 64) as u16) {
        Outcome::Done => {}
        Outcome::Store(low, high) => {
            let value = u128::from(high) << 64 | u128::from(low);
            cx.space.write(GuestAddr(addr), &value.to_le_bytes()[..bytes])?;
        }
        Outcome::Value(flags) if spec.sets_flags() => cx.set_slot(slot::NEW_FLAGS, flags.into()),
        Outcome::Value(ax) => {
            let rax = cx.cpu.gpr(RAX) & !0xffff | u64::from(ax);
            cx.cpu.set_gpr(RAX, rax);
        }
        Outcome::Pending => return Err(Exception::X87.into()),
    }
    let fpu = &mut cx.cpu.fpu;
    if fpu.pending() != 0 && !spec.operation.is_control() {
        fpu.last_opcode = spec.opcode;
        if bytes != 0 {
            fpu.last_operand = addr;
        }
    }
    Ok(())
}

/// Runs an instruction but for its memory access; `low` and `high` are what it has read there, `low` FCMOVcc's
/// condition.
pub fn execute(fpu: &mut Fpu, spec: Spec, low: u64, high: u16) -> Outcome {
    if spec.operation.waits() && fpu.pending() != 0 {
        return Outcome::Pending;
    }
    match spec.operation {
        Operation::Load => load(fpu, spec, low, high),
        Operation::Store | Operation::StoreTruncated => return store(fpu, spec),
        Operation::Add
        | Operation::Sub
        | Operation::SubReversed
        | Operation::Mul
        | Operation::Div
        | Operation::DivReversed => arithmetic(fpu, spec, memory_operand(spec, low)),
        Operation::Compare
        | Operation::CompareUnordered
        | Operation::CompareToFlags
        | Operation::CompareUnorderedToFlags => return compare(fpu, spec, memory_operand(spec, low)),
        Operation::StoreControl => return Outcome::Store(fpu.control.into(), 0),
        Operation::LoadControl => fpu.set_control(low as u16),
        Operation::StoreStatus => return Outcome::Store(fpu.status_word().into(), 0),
        Operation::StoreStatusAx => return Outcome::Value(fpu.status_word()),
        Operation::MoveIf => move_if(fpu, spec.st, low != 0),
        _ => on_stack(fpu, spec),
    }
    Outcome::Done
}

fn load(fpu: &mut Fpu, spec: Spec, low: u64, high: u16) {
    let new = match spec.operand {
        Operand::Register => {
            if !fpu.is_valid(spec.st) {
                if fpu.underflow() {
                    fpu.push_anyway(INDEFINITE);
                }
                return;
            }
            Rounded::exact(fpu.st(spec.st))
        }
        Operand::F80 => Rounded::exact(F80 { mantissa: low, sign_exponent: high }),
        Operand::Bcd => Rounded::exact(convert::from_bcd(low, high)),
        _ => {
            let wide = memory_operand(spec, low).unwrap_or(Rounded::exact(F80::ZERO));
            if wide.value.class() == Class::Signaling { pass_nan(wide.value) } else { wide }
        }
    };
    fpu.push(new);
}

/// A memory operand as 80 bits; `None` for a register.
#[inline(always)]
fn memory_operand(spec: Spec, bits: u64) -> Option<Rounded> {
    Some(match spec.operand {
        Operand::F32 => convert::from_f32(bits),
        Operand::F64 => convert::from_f64(bits),
        Operand::I16 => Rounded::exact(convert::from_int((bits as i16).into())),
        Operand::I32 => Rounded::exact(convert::from_int((bits as i32).into())),
        Operand::I64 => Rounded::exact(convert::from_int(bits as i64)),
        Operand::Register | Operand::F80 | Operand::Bcd => return None,
    })
}

fn store(fpu: &mut Fpu, spec: Spec) -> Outcome {
    let source = if fpu.is_valid(0) {
        fpu.clear_c1();
        fpu.st(0)
    } else {
        if !fpu.underflow() {
            return Outcome::Done;
        }
        INDEFINITE
    };
    let control = fpu.control;
    let how = if spec.operation == Operation::StoreTruncated { Rounding::Truncate } else { Rounding::of(control) };
    let ((low, high), flags) = match spec.operand {
        Operand::Register => {
            fpu.set_st(spec.st, source);
            fpu.pops(spec.pops);
            return Outcome::Done;
        }
        Operand::F80 => ((source.mantissa, source.sign_exponent), 0),
        Operand::Bcd => convert::to_bcd(source, how),
        other => {
            let (bits, flags) = match other {
                Operand::F32 => convert::to_f32(source, control),
                Operand::F64 => convert::to_f64(source, control),
                Operand::I16 => convert::to_int(source, 16, how),
                Operand::I32 => convert::to_int(source, 32, how),
                _ => convert::to_int(source, 64, how),
            };
            ((bits, 0), flags)
        }
    };
    let prevented = flags & !control & (status::BEFORE | status::OVERFLOW | status::UNDERFLOW);
    if prevented != 0 {
        fpu.raise(prevented);
        return Outcome::Done;
    }
    fpu.raise(flags);
    fpu.pops(spec.pops);
    Outcome::Store(low, high)
}

#[inline(always)]
fn arithmetic(fpu: &mut Fpu, spec: Spec, operand: Option<Rounded>) {
    let is_memory = operand.is_some();
    if !fpu.is_valid(0) || !is_memory && !fpu.is_valid(spec.st) {
        return arithmetic_underflow(fpu, spec);
    }
    let operand = operand.unwrap_or_else(|| Rounded::exact(fpu.st(spec.st)));
    let top = fpu.st(0);
    // ST(i) as destination: ST(i) op ST(0).
    let (a, b) = if spec.to_register { (operand.value, top) } else { (top, operand.value) };
    let destination = if spec.to_register { spec.st } else { 0 };
    if fpu.is_plain()
        && operand.flags == 0
        && let Some(result) = arith::fast(spec.operation, a, b)
    {
        fpu.settle(destination, result);
        return fpu.pops(spec.pops);
    }
    let result = arith::arithmetic(spec.operation, a, b, operand.flags, fpu.control);
    if fpu.settle(destination, result) {
        fpu.pops(spec.pops);
    }
}

#[cold]
fn arithmetic_underflow(fpu: &mut Fpu, spec: Spec) {
    if fpu.underflow() {
        fpu.set_st(if spec.to_register { spec.st } else { 0 }, INDEFINITE);
        fpu.pops(spec.pops);
    }
}

#[inline(always)]
fn compare(fpu: &mut Fpu, spec: Spec, operand: Option<Rounded>) -> Outcome {
    let is_quiet = matches!(spec.operation, Operation::CompareUnordered | Operation::CompareUnorderedToFlags);
    let operand = match operand {
        Some(operand) => operand,
        None if fpu.is_valid(spec.st) => Rounded::exact(fpu.st(spec.st)),
        None => Rounded { value: INDEFINITE, flags: status::INVALID | status::STACK_FAULT },
    };
    let top = if fpu.is_valid(0) {
        Rounded::exact(fpu.st(0))
    } else {
        Rounded { value: INDEFINITE, flags: status::INVALID | status::STACK_FAULT }
    };
    let (order, flags) = if operand.value.is_normal() && top.value.is_normal() && operand.flags == 0 {
        (arith::order(top.value, operand.value), 0)
    } else {
        compare_any(top, operand, is_quiet)
    };
    let conditions = order_status(order) as u16;
    let outcome = if spec.sets_flags() {
        if flags & status::STACK_FAULT != 0 {
            fpu.clear_c1();
        }
        Outcome::Value(conditions)
    } else {
        // C0, C2 and C3 are where SAHF finds CF, PF and ZF.
        fpu.set_conditions(status::CONDITIONS, conditions << 8);
        Outcome::Done
    };
    fpu.raise(flags);
    if flags & !fpu.control & status::BEFORE == 0 {
        fpu.pops(spec.pops);
    }
    outcome
}

#[inline(never)]
fn compare_any(a: Rounded, b: Rounded, is_quiet: bool) -> (Option<std::cmp::Ordering>, u16) {
    if (a.flags | b.flags) & status::STACK_FAULT != 0 {
        return (None, status::INVALID | status::STACK_FAULT);
    }
    let (x, y) = (a.value.class(), b.value.class());
    if x.is_nan() || y.is_nan() {
        let is_invalid = !is_quiet || x.is_invalid() || y.is_invalid();
        return (None, if is_invalid { status::INVALID } else { 0 });
    }
    let denormal = if x == Class::Denormal || y == Class::Denormal { status::DENORMAL } else { 0 };
    (arith::order(a.value, b.value), a.flags | b.flags | denormal)
}

fn move_if(fpu: &mut Fpu, from: u8, condition: bool) {
    if !fpu.is_valid(0) || !fpu.is_valid(from) {
        if fpu.underflow() {
            fpu.set_st(0, INDEFINITE);
        }
        return;
    }
    // C1 stays.
    if condition {
        fpu.set_st(0, fpu.st(from));
    }
}

/// Instructions that stay on the stack.
fn on_stack(fpu: &mut Fpu, spec: Spec) {
    match spec.operation {
        Operation::Exchange => exchange(fpu, spec.st),
        Operation::Constant => {
            fpu.push(Rounded::exact(math::constant(Constant::from_index(spec.st), fpu.control)));
        }
        Operation::ChangeSign | Operation::Absolute => fpu.replace(|_, value| {
            let sign = if spec.operation == Operation::Absolute { 0 } else { value.sign() ^ 0x8000 };
            Rounded::exact(value.with_sign(sign))
        }),
        Operation::Test => {
            compare(fpu, Spec::new(Operation::Compare), Some(Rounded::exact(F80::ZERO)));
        }
        Operation::Examine => examine(fpu),
        Operation::SquareRoot => fpu.replace(|fpu, value| {
            let fast = fpu.is_plain() && value.is_normal() && value.sign() == 0;
            let root = if fast { arith::fast_square_root(value) } else { None };
            root.unwrap_or_else(|| arith::square_root(value, fpu.control))
        }),
        Operation::RoundToInt => fpu.replace(|fpu, value| convert::round_to_int(value, fpu.control)),
        Operation::Free => {
            fpu.clear_c1();
            fpu.valid &= !(1 << fpu.physical(spec.st));
            fpu.pops(spec.pops);
        }
        Operation::IncrementTop | Operation::DecrementTop => {
            fpu.clear_c1();
            let step = if spec.operation == Operation::IncrementTop { 1 } else { 7 };
            fpu.top = (fpu.top + step) & 7;
        }
        Operation::Init => fpu.init(),
        Operation::ClearExceptions => fpu.status &= !(status::EXCEPTIONS | status::STACK_FAULT),
        // Like every MMX instruction it resets the stack.
        Operation::Empty => (fpu.top, fpu.valid) = (0, 0),
        Operation::Wait => {}
        Operation::Scale | Operation::Remainder | Operation::RemainderNearest | Operation::Extract => {
            math::run(fpu, spec.operation);
        }
        _ => transcendental::run(fpu, spec.operation),
    }
}

fn exchange(fpu: &mut Fpu, with: u8) {
    let mut both = [(0, fpu.st(0)), (with, fpu.st(with))];
    fpu.clear_c1();
    if !fpu.is_valid(0) || !fpu.is_valid(with) {
        for (i, value) in &mut both {
            if !fpu.is_valid(*i) {
                *value = INDEFINITE;
            }
        }
        if !fpu.underflow() {
            return;
        }
    }
    fpu.set_st(0, both[1].1);
    fpu.set_st(with, both[0].1);
}

/// FXAM: the class of ST(0) in C3, C2, C0, its sign in C1.
fn examine(fpu: &mut Fpu) {
    let value = fpu.st(0);
    let class = match value.class() {
        _ if !fpu.is_valid(0) => status::C3 | status::C0,
        Class::Unsupported => 0,
        Class::Quiet | Class::Signaling => status::C0,
        Class::Infinity => status::C2 | status::C0,
        Class::Zero => status::C3,
        Class::Denormal => status::C3 | status::C2,
        Class::Normal => status::C2,
    };
    let sign = if value.sign() != 0 { status::C1 } else { 0 };
    fpu.set_conditions(status::CONDITIONS, class | sign);
}
