//! The x87 unit's instructions, in full 80-bit precision (`rustc_apfloat`).
//!
//! | module | subject |
//! |---|---|
//! | [`spec`] | an instruction packed into a helper's immediate |
//! | [`value`] | 80-bit values: arithmetic, conversions, classes |
//! | [`math`] | remainder, scaling, transcendental functions |
//! | [`environment`] | FNSTENV, FNSAVE and back |
//!
//! Precision control other than 64 bits is not applied, and transcendental functions have `f64`'s precision: the JIT
//! issue takes those on. Source: Intel SDM vol. 1, chapter 8.

mod environment;
mod math;
pub mod spec;
mod value;

use rustc_apfloat::Float;
use rustc_apfloat::ieee::X87DoubleExtended as Extended;

use crate::exit::Exception;
use crate::flags::order_status;
use crate::fpu::{CONTROL_DEFAULT, F80, Fpu};
use crate::helper::{Context, Trap};
use crate::ir::slot;
use crate::state::reg::RAX;
use spec::{Constant, Operand, Operation, Spec};

/// Exception flags of the status word.
mod status {
    pub const INVALID: u16 = 1 << 0;
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
    pub const BUSY: u16 = 1 << 15;
    /// The six exceptions that can be masked.
    pub const EXCEPTIONS: u16 = 0x3f;
}

impl Fpu {
    fn rounding(&self) -> rustc_apfloat::Round {
        crate::vector::float::rounding(u32::from(self.control >> 10))
    }

    fn is_valid(&self, i: u8) -> bool {
        self.valid >> self.physical(i) & 1 != 0
    }

    /// Notes exceptions.
    fn raise(&mut self, exceptions: u16) {
        self.status |= exceptions;
        if self.status & !self.control & status::EXCEPTIONS != 0 {
            self.status |= status::SUMMARY | status::BUSY;
        }
    }

    /// Whether ST(0) and ST(i) both hold values; notes the stack fault otherwise.
    fn both_valid(&mut self, i: u8) -> bool {
        let both = self.is_valid(0) && self.is_valid(i);
        if !both {
            self.raise(status::INVALID | status::STACK_FAULT);
            self.set_conditions(status::C1, 0);
        }
        both
    }

    /// ST(i); an empty register reads as the default NaN.
    fn st(&mut self, i: u8) -> Extended {
        value::from_f80(self.raw(i))
    }

    /// The bits of ST(i), which need not be a number's: what only moves must not change.
    fn raw(&mut self, i: u8) -> F80 {
        if !self.is_valid(i) {
            self.raise(status::INVALID | status::STACK_FAULT);
            self.set_conditions(status::C1, 0);
            return value::to_f80(value::indefinite());
        }
        self.registers[self.physical(i)]
    }

    fn set_st(&mut self, i: u8, new: Extended) {
        self.set_raw(i, value::to_f80(new));
    }

    fn set_raw(&mut self, i: u8, new: F80) {
        let register = self.physical(i);
        self.registers[register] = new;
        self.valid |= 1 << register;
    }

    fn push(&mut self, new: Extended) {
        self.push_raw(value::to_f80(new));
    }

    fn push_raw(&mut self, new: F80) {
        self.top = self.top.wrapping_sub(1) & 7;
        let register = self.physical(0);
        if self.valid >> register & 1 != 0 {
            self.raise(status::INVALID | status::STACK_FAULT);
            self.status |= status::C1;
            self.registers[register] = value::to_f80(value::indefinite());
        } else {
            self.registers[register] = new;
        }
        self.valid |= 1 << register;
    }

    fn pop(&mut self) {
        self.valid &= !(1 << self.physical(0));
        self.top = (self.top + 1) & 7;
    }

    fn set_conditions(&mut self, mask: u16, conditions: u16) {
        self.status = self.status & !mask | conditions;
    }
}

/// Runs the instruction that `imm` describes; `operand` is the slot of its memory address, or of a condition.
///
/// # Errors
/// Memory faults, and #MF for an exception that an earlier instruction left pending.
pub fn run(cx: &mut Context<'_>, operand: u8, imm: u32) -> Result<(), Trap> {
    let spec = Spec::decode(imm);
    let fpu = &cx.cpu.fpu;
    if spec.operation.waits() && fpu.status & !fpu.control & status::EXCEPTIONS != 0 {
        return Err(Exception::X87.into());
    }
    let addr = cx.operand(operand);
    match spec.operation {
        Operation::Load | Operation::Store | Operation::StoreTruncated => transfer(cx, spec, addr)?,
        Operation::Add
        | Operation::Sub
        | Operation::SubReversed
        | Operation::Mul
        | Operation::Div
        | Operation::DivReversed => arithmetic(cx, spec, addr)?,
        Operation::Compare | Operation::CompareUnordered | Operation::CompareToFlags => compare(cx, spec, addr)?,
        Operation::StoreControl => cx.space.store16(addr, cx.cpu.fpu.control)?,
        Operation::LoadControl => cx.cpu.fpu.control = cx.space.load16(addr)? & 0x1f7f | 0x40,
        Operation::StoreStatus => cx.space.store16(addr, cx.cpu.fpu.status_word())?,
        Operation::StoreStatusAx => {
            let ax = u64::from(cx.cpu.fpu.status_word());
            let rax = cx.cpu.gpr(RAX) & !0xffff | ax;
            cx.cpu.set_gpr(RAX, rax);
        }
        Operation::StoreEnvironment => environment::store(cx, addr)?,
        Operation::LoadEnvironment => environment::load(cx, addr)?,
        Operation::Save => environment::save(cx, addr)?,
        Operation::Restore => environment::restore(cx, addr)?,
        Operation::MoveIf => {
            let fpu = &mut cx.cpu.fpu;
            if !fpu.both_valid(spec.st) {
                fpu.set_st(0, value::indefinite());
            } else if addr != 0 {
                let raw = fpu.registers[fpu.physical(spec.st)];
                let top = fpu.physical(0);
                fpu.registers[top] = raw;
            }
        }
        _ => stack(&mut cx.cpu.fpu, spec),
    }
    Ok(())
}

/// Loads and stores, FXCH's memory cousins.
fn transfer(cx: &mut Context<'_>, spec: Spec, addr: u64) -> Result<(), Trap> {
    if spec.operation == Operation::Load {
        if spec.operand == Operand::F80 {
            let mantissa = cx.space.load64(addr)?;
            let sign_exponent = cx.space.load16(addr.wrapping_add(8))?;
            cx.cpu.fpu.push_raw(F80 { mantissa, sign_exponent });
        } else if spec.operand == Operand::Register {
            let new = cx.cpu.fpu.raw(spec.st);
            cx.cpu.fpu.push_raw(new);
        } else {
            let new = load(cx, spec, addr)?;
            cx.cpu.fpu.push(new);
        }
        return Ok(());
    }
    let fpu = &mut cx.cpu.fpu;
    let before = fpu.clone();
    let old = fpu.st(0);
    let round =
        if spec.operation == Operation::StoreTruncated { rustc_apfloat::Round::TowardZero } else { fpu.rounding() };
    let mut exceptions = 0;
    let stored = match spec.operand {
        Operand::Register => {
            let raw = fpu.registers[fpu.physical(0)];
            fpu.set_st(spec.st, old);
            let register = fpu.physical(spec.st);
            if before.is_valid(0) {
                fpu.registers[register] = raw;
            }
            Ok(())
        }
        Operand::F80 => {
            let F80 { mantissa, sign_exponent } =
                if before.is_valid(0) { fpu.registers[fpu.physical(0)] } else { value::to_f80(old) };
            let mut bytes = [0; 10];
            bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
            bytes[8..].copy_from_slice(&sign_exponent.to_le_bytes());
            let addr = memory::GuestAddr(addr);
            cx.space.check_writable(addr, 10).and_then(|()| cx.space.write(addr, &bytes))
        }
        Operand::F32 => cx.space.store32(addr, value::to_f32(old, round, &mut exceptions)),
        Operand::F64 => cx.space.store64(addr, value::to_f64(old, round, &mut exceptions)),
        Operand::I16 => cx.space.store16(addr, value::to_int(old, 16, round, &mut exceptions) as u16),
        Operand::I32 => cx.space.store32(addr, value::to_int(old, 32, round, &mut exceptions) as u32),
        Operand::I64 => cx.space.store64(addr, value::to_int(old, 64, round, &mut exceptions) as u64),
    };
    if let Err(fault) = stored {
        cx.cpu.fpu = before;
        return Err(fault.into());
    }
    finish(&mut cx.cpu.fpu, spec, exceptions);
    Ok(())
}

/// A memory operand, or ST(i).
fn load(cx: &mut Context<'_>, spec: Spec, addr: u64) -> Result<Extended, Trap> {
    Ok(match spec.operand {
        Operand::Register | Operand::F80 => cx.cpu.fpu.st(spec.st),
        Operand::F32 => value::from_f32(cx.space.load32(addr)?),
        Operand::F64 => value::from_f64(cx.space.load64(addr)?),
        Operand::I16 => value::from_int((cx.space.load16(addr)? as i16).into()),
        Operand::I32 => value::from_int((cx.space.load32(addr)? as i32).into()),
        Operand::I64 => value::from_int(cx.space.load64(addr)? as i64),
    })
}

fn arithmetic(cx: &mut Context<'_>, spec: Spec, addr: u64) -> Result<(), Trap> {
    let source = load(cx, spec, addr)?;
    let fpu = &mut cx.cpu.fpu;
    let top = fpu.st(0);
    // ST(i) as destination: ST(i) op ST(0).
    let (a, b) = if spec.to_register { (source, top) } else { (top, source) };
    let mut exceptions = 0;
    let other = if spec.operand == Operand::Register { spec.st } else { 0 };
    let result = if fpu.both_valid(other) {
        value::arithmetic(spec.operation, a, b, fpu.rounding(), &mut exceptions)
    } else {
        value::indefinite()
    };
    fpu.set_st(if spec.to_register { spec.st } else { 0 }, result);
    finish(fpu, spec, exceptions);
    Ok(())
}

fn compare(cx: &mut Context<'_>, spec: Spec, addr: u64) -> Result<(), Trap> {
    let source = load(cx, spec, addr)?;
    let top = cx.cpu.fpu.st(0);
    let order = top.partial_cmp(&source);
    let (unordered, less, equal) = (order.is_none(), top < source, order == Some(std::cmp::Ordering::Equal));
    if spec.operation == Operation::CompareToFlags {
        cx.set_slot(slot::NEW_FLAGS, order_status(order));
    }
    let fpu = &mut cx.cpu.fpu;
    if spec.operation != Operation::CompareToFlags {
        let conditions = match (unordered, less, equal) {
            (true, ..) => status::C3 | status::C2 | status::C0,
            (_, true, _) => status::C0,
            (_, _, true) => status::C3,
            _ => 0,
        };
        fpu.set_conditions(status::C3 | status::C2 | status::C1 | status::C0, conditions);
    }
    finish(fpu, spec, if unordered { status::INVALID } else { 0 });
    Ok(())
}

fn finish(fpu: &mut Fpu, spec: Spec, exceptions: u16) {
    fpu.raise(exceptions);
    for _ in 0..spec.pops {
        fpu.pop();
    }
}

/// Instructions that stay on the stack.
fn stack(fpu: &mut Fpu, spec: Spec) {
    let mut exceptions = 0;
    match spec.operation {
        Operation::Exchange => {
            let (a, b) = (fpu.raw(0), fpu.raw(spec.st));
            fpu.set_raw(0, b);
            fpu.set_raw(spec.st, a);
        }
        Operation::Constant => fpu.push_raw(value::constant(Constant::from_index(spec.st), fpu.control)),
        Operation::ChangeSign | Operation::Absolute => {
            if !fpu.is_valid(0) {
                let fault = fpu.st(0);
                return fpu.set_st(0, fault);
            }
            let register = fpu.physical(0);
            let sign = &mut fpu.registers[register].sign_exponent;
            *sign = if spec.operation == Operation::Absolute { *sign & 0x7fff } else { *sign ^ 0x8000 };
        }
        Operation::Test => {
            let top = fpu.st(0);
            let conditions = match top.partial_cmp(&Extended::ZERO) {
                None => status::C3 | status::C2 | status::C0,
                Some(std::cmp::Ordering::Less) => status::C0,
                Some(std::cmp::Ordering::Equal) => status::C3,
                Some(std::cmp::Ordering::Greater) => 0,
            };
            fpu.set_conditions(status::C3 | status::C2 | status::C1 | status::C0, conditions);
        }
        Operation::Examine => examine(fpu),
        Operation::SquareRoot => {
            let root = value::square_root(fpu.st(0), fpu.rounding(), &mut exceptions);
            fpu.set_st(0, root);
        }
        Operation::RoundToInt => {
            let whole = value::round_to_int(fpu.st(0), fpu.rounding(), &mut exceptions);
            fpu.set_st(0, whole);
        }
        Operation::Free => fpu.valid &= !(1 << fpu.physical(spec.st)),
        Operation::IncrementTop => fpu.top = (fpu.top + 1) & 7,
        Operation::DecrementTop => fpu.top = fpu.top.wrapping_sub(1) & 7,
        Operation::Init => {
            (fpu.control, fpu.status, fpu.top, fpu.valid) = (CONTROL_DEFAULT, 0, 0, 0);
        }
        Operation::ClearExceptions => fpu.status &= !(status::BUSY | status::SUMMARY | 0x7f),
        // Like every MMX instruction it resets the stack.
        Operation::Empty => (fpu.top, fpu.valid) = (0, 0),
        _ => math::run(fpu, spec.operation, &mut exceptions),
    }
    finish(fpu, spec, exceptions);
}

/// FXAM: the class of ST(0) in C3, C2, C0, its sign in C1.
fn examine(fpu: &mut Fpu) {
    let register = fpu.physical(0);
    let F80 { mantissa, sign_exponent } = fpu.registers[register];
    let class = match sign_exponent & 0x7fff {
        _ if !fpu.is_valid(0) => status::C3 | status::C0,
        // No number at all.
        1.. if mantissa >> 63 == 0 => 0,
        0x7fff if mantissa == 1 << 63 => status::C2 | status::C0,
        0x7fff => status::C0,
        0 if mantissa == 0 => status::C3,
        0 => status::C3 | status::C2,
        _ => status::C2,
    };
    let sign = if sign_exponent & 0x8000 != 0 { status::C1 } else { 0 };
    fpu.set_conditions(status::C3 | status::C2 | status::C1 | status::C0, class | sign);
}
