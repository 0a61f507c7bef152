//! Calls of Rust's functions, and operands in memory: numbers of other widths.

use std::mem::offset_of;

use cpu::fpu::Fpu;
use cpu::ir::{Addr, Slot};
use cpu::x87::compiled::{Call, FLAGS_SHIFT};
use cpu::x87::spec::{Operand, Spec};
use cpu::x87::status;
use wasm_encoder::{MemArg, ValType};

use super::stack::Start;
use super::{Source, Value};
use crate::area::offset;
use crate::emit::{Emitter, FIRST_EXTENDED, FIRST_X87};

impl Emitter<'_> {
    // ---- calls ----

    /// Calls a function whose arguments are on the stack; its result is on it then, its outcome in a local. Leaves if
    /// there is more to it.
    pub(super) fn x87_call(&mut self, call: Call, result: u32) -> u32 {
        let outcome = self.locals.take(ValType::I32);
        let at = self.unit(offset_of!(Fpu, outcome));
        self.s().call(FIRST_X87 + call as u32).local_set(result);
        self.s().i32_const(0).i32_load(at).local_tee(outcome).i32_const(0).i32_lt_s();
        self.leave_if();
        outcome
    }

    /// Pushes the first argument of all functions.
    pub(super) fn push_unit(&mut self) {
        let unit = self.settings.area.wrapping_add(offset::FPU as u32);
        self.s().i32_const(unit as i32);
    }

    pub(super) fn push_value(&mut self, value: Value) {
        self.s().local_get(value.mantissa).local_get(value.exponent);
    }

    /// A number that a function computes, in locals of its own; the flags that come with it are noted.
    pub(super) fn computed(&mut self, call: Call) -> Value {
        let mantissa = self.locals.take(ValType::I64);
        let outcome = self.x87_call(call, mantissa);
        self.note(outcome);
        // Above sign and exponent there are flags still: nobody looks at them.
        Value { mantissa, exponent: outcome }
    }

    /// The same by a function of this module.
    pub(super) fn computed_here(&mut self, local: u32) -> Value {
        let Start { special, .. } = self.start();
        let value = self.take_value();
        self.uses_extended = true;
        self.s().local_get(special).call(FIRST_EXTENDED + local);
        self.s().local_set(value.exponent).local_set(value.mantissa);
        self.s().local_get(value.exponent).i32_const(0).i32_lt_s();
        self.leave_if();
        self.note(value.exponent);
        value
    }

    // ---- memory operands ----

    /// Loads a memory operand. Arithmetic `is_strict`: it leaves the rarer kinds to the interpreter.
    pub(super) fn memory_value(&mut self, index: usize, operand: Slot, kind: Operand, is_strict: bool) -> Value {
        self.start();
        let (base, at) = self.checked(index, Addr::at(operand), false);
        let value = self.take_value();
        self.s().local_get(base);
        if kind == Operand::F80 {
            let exponent = MemArg { offset: at.offset + 8, ..at };
            self.s().i64_load(at).local_set(value.mantissa);
            self.s().local_get(base).i32_load16_u(exponent).local_set(value.exponent);
            return value;
        }
        match kind {
            Operand::I16 => self.s().i64_load16_u(at),
            Operand::F32 | Operand::I32 => self.s().i64_load32_u(at),
            _ => self.s().i64_load(at),
        };
        let bits = self.locals.take(ValType::I64);
        self.s().local_set(bits);
        if kind == Operand::F64 {
            self.widen_double(bits, value, is_strict);
        } else {
            self.widen(bits, value, kind, is_strict);
        }
        self.locals.give(ValType::I64, bits);
        value
    }

    /// A double to 80 bits: here if it is normal.
    fn widen_double(&mut self, bits: u32, value: Value, is_strict: bool) {
        let Value { mantissa, exponent } = value;
        // Zero is nothing rare among those that are not.
        self.s().local_get(bits).i64_const(11).i64_shl().i64_const(i64::MIN).i64_or().local_set(mantissa);
        self.s().local_get(bits).i64_const(52).i64_shr_u().i32_wrap_i64().local_tee(exponent);
        self.s().i32_const(0x7ff).i32_and().i32_const(1).i32_sub().i32_const(0x7fe).i32_ge_u();
        self.if_unlikely();
        self.s().local_get(bits).i64_const(1).i64_shl().i64_eqz();
        self.if_();
        self.s().i64_const(0).local_set(mantissa);
        self.s().local_get(exponent).i32_const(4).i32_shl().local_set(exponent);
        self.else_();
        self.widen(bits, value, Operand::F64, is_strict);
        self.end_if();
        self.else_();
        // The sign moves up, and exponents count from another number.
        self.s().local_get(exponent).i32_const(0x800).i32_and().i32_const(4).i32_shl();
        self.s().local_get(exponent).i32_const(0x7ff).i32_and().i32_const(0x3fff - 0x3ff).i32_add();
        self.s().i32_or().local_set(exponent);
        self.end_if();
    }

    /// Anything to 80 bits.
    fn widen(&mut self, bits: u32, value: Value, kind: Operand, is_strict: bool) {
        self.push_unit();
        self.s().local_get(bits).i32_const(0).i64_const(0).i32_const(kind as i32);
        let outcome = self.x87_call(Call::Widen, value.mantissa);
        if is_strict {
            // A denormal number may be reported or not.
            self.s().local_get(outcome).i32_const(FLAGS_SHIFT as i32).i32_shr_u();
            self.leave_if();
        } else {
            self.note(outcome);
        }
        self.s().local_get(outcome).i32_const(0xffff).i32_and().local_set(value.exponent);
        self.locals.give(ValType::I32, outcome);
    }

    /// A value as the bits of a memory operand.
    pub(super) fn narrow(&mut self, value: Value, kind: u32, bits: u32) {
        self.push_unit();
        self.push_value(value);
        self.s().i64_const(0).i32_const(kind as i32);
        let outcome = self.x87_call(Call::Narrow, bits);
        self.note(outcome);
        self.locals.give(ValType::I32, outcome);
    }

    /// A value as a double: here if it is normal, stays so, and is to be rounded to nearest.
    pub(super) fn narrow_double(&mut self, value: Value) -> u32 {
        let Start { status, special, .. } = self.start();
        let [bits, low] = std::array::from_fn(|_| self.locals.take(ValType::I64));
        let exponent = self.locals.take(ValType::I32);
        let Value { mantissa, exponent: sign_exponent } = value;
        self.s().local_get(sign_exponent).i32_const(0x7fff).i32_and();
        self.s().i32_const(0x3fff - 0x3ff + 1).i32_sub().local_tee(exponent);
        self.s().i32_const(0x7fd).i32_ge_u().local_get(special).i32_or();
        self.s().local_get(mantissa).i64_const(0).i64_ge_s().i32_or();
        self.if_unlikely();
        self.narrow(value, Operand::F64 as u32, bits);
        self.else_();
        // The integer bit counts the exponent up by one, and so does a carry.
        self.s().local_get(exponent).local_get(sign_exponent).i32_const(0x8000).i32_and();
        self.s().i32_const(4).i32_shr_u().i32_or().i64_extend_i32_u().i64_const(52).i64_shl();
        self.s().local_get(mantissa).i64_const(11).i64_shr_u().local_tee(bits).i64_add();
        // Half of what is dropped, less one for an even last digit.
        self.s().local_get(mantissa).i64_const(0x7ff).i64_and().local_set(low);
        self.s().local_get(bits).i64_const(1).i64_and().local_get(low).i64_add().i64_const(0x3ff).i64_add();
        self.s().i64_const(11).i64_shr_u().local_tee(bits).i64_add();
        self.s().local_get(status).i32_const((!status::C1).into()).i32_and();
        self.s().local_get(bits).i32_wrap_i64().i32_const(9).i32_shl().i32_or();
        self.s().local_get(low).i64_const(0).i64_ne().i32_const(5).i32_shl().i32_or().local_set(status);
        self.s().local_set(bits);
        self.end_if();
        self.stack.noted = true;
        self.locals.give(ValType::I64, low);
        self.locals.give(ValType::I32, exponent);
        bits
    }

    pub(super) fn source(&mut self, index: usize, operand: Slot, spec: Spec) -> Source {
        if spec.operand == Operand::Register {
            let register = self.number(spec.st);
            self.value(register);
            Source::Register(register)
        } else {
            Source::Memory(self.memory_value(index, operand, spec.operand, true))
        }
    }
}
