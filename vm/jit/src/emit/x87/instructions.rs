//! The instructions.

use std::mem::offset_of;

use cpu::fpu::{CONTROL_BITS, CONTROL_FIXED, Fpu};
use cpu::ir::{Addr, Slot, slot};
use cpu::x87::compiled::{Call, FLAGS_SHIFT, QUIET, TRUNCATE};
use cpu::x87::spec::{Constant, Operand, Operation, Spec};
use cpu::x87::status;
use wasm_encoder::{MemArg, ValType};

use super::Source;
use super::stack::Start;
use crate::emit::{Emitter, extended};

const RAX: Slot = Slot(cpu::reg::RAX as u8);

impl Emitter<'_> {
    pub(super) fn x87_load(&mut self, index: usize, operand: Slot, spec: Spec) {
        self.start();
        self.need_room();
        let new = if spec.operand == Operand::Register {
            let register = self.number(spec.st);
            let (old, new) = (self.value(register), self.take_value());
            self.s().local_get(old.mantissa).local_set(new.mantissa);
            self.s().local_get(old.exponent).local_set(new.exponent);
            new
        } else {
            self.memory_value(index, operand, spec.operand, false)
        };
        self.push(new);
    }

    pub(super) fn x87_constant(&mut self, constant: Constant) {
        self.need_room();
        let value = self.take_value();
        let (mantissa, exponent) = if constant == Constant::One { (i64::MIN, 0x3fff) } else { (0, 0) };
        self.s().i64_const(mantissa).local_set(value.mantissa);
        self.s().i32_const(exponent).local_set(value.exponent);
        self.push(value);
    }

    pub(super) fn x87_store(&mut self, index: usize, operand: Slot, spec: Spec) {
        self.start();
        let top = self.stack.top;
        let value = self.value(top);
        match spec.operand {
            Operand::Register => {
                let to = self.number(spec.st);
                if to != top {
                    let new = self.take_value();
                    self.s().local_get(value.mantissa).local_set(new.mantissa);
                    self.s().local_get(value.exponent).local_set(new.exponent);
                    self.fill(to);
                    self.set_value(to, new);
                }
                self.note_nothing();
            }
            Operand::F80 => {
                let (base, at) = self.checked(index, Addr::at(operand), false);
                let exponent = MemArg { offset: at.offset + 8, ..at };
                self.s().local_get(base).local_get(value.mantissa).i64_store(at);
                self.s().local_get(base).local_get(value.exponent).i32_store16(exponent);
                self.note_nothing();
            }
            Operand::F64 => {
                let (base, at) = self.checked(index, Addr::at(operand), false);
                let bits = self.narrow_double(value);
                self.s().local_get(base).local_get(bits).i64_store(at);
                self.locals.give(ValType::I64, bits);
            }
            kind => {
                let (base, at) = self.checked(index, Addr::at(operand), false);
                let truncate = if spec.operation == Operation::StoreTruncated { TRUNCATE } else { 0 };
                let bits = self.locals.take(ValType::I64);
                self.narrow(value, kind as u32 | truncate, bits);
                self.s().local_get(base).local_get(bits);
                match kind.bytes() {
                    2 => self.s().i64_store16(at),
                    4 => self.s().i64_store32(at),
                    _ => self.s().i64_store(at),
                };
                self.locals.give(ValType::I64, bits);
            }
        }
        self.pops(spec.pops);
    }

    pub(super) fn x87_arithmetic(&mut self, index: usize, operand: Slot, spec: Spec) {
        self.start();
        let top = self.stack.top;
        let st0 = self.value(top);
        let source = self.source(index, operand, spec);
        let (other, register) = match source {
            Source::Register(register) => (self.value(register), register),
            Source::Memory(value) => (value, top),
        };
        let (a, b) = if spec.to_register { (other, st0) } else { (st0, other) };
        let (call, is_reversed) = match spec.operation {
            Operation::Add => (Call::Add, false),
            Operation::Sub => (Call::Sub, false),
            Operation::SubReversed => (Call::Sub, true),
            Operation::Mul => (Call::Mul, false),
            Operation::Div => (Call::Div, false),
            _ => (Call::Div, true),
        };
        let (a, b) = if is_reversed { (b, a) } else { (a, b) };
        self.push_unit();
        self.push_value(a);
        self.push_value(b);
        let result = match extended::LOCAL.iter().position(|local| *local == call) {
            Some(local) => self.computed_here(local as u32),
            None => self.computed(call),
        };
        if let Source::Memory(value) = source {
            self.give_value(value);
        }
        self.set_value(if spec.to_register { register } else { top }, result);
        self.pops(spec.pops);
    }

    pub(super) fn x87_root(&mut self) {
        self.start();
        let top = self.stack.top;
        let value = self.value(top);
        self.push_unit();
        self.push_value(value);
        self.s().i64_const(0).i32_const(0);
        let result = self.computed(Call::Root);
        self.set_value(top, result);
    }

    pub(super) fn x87_compare(&mut self, index: usize, operand: Slot, spec: Spec) {
        self.start();
        let top = self.stack.top;
        let st0 = self.value(top);
        let quiet = matches!(spec.operation, Operation::CompareUnordered | Operation::CompareUnorderedToFlags);
        let quiet = if quiet { QUIET } else { 0 };
        let source = if spec.operation == Operation::Test { None } else { Some(self.source(index, operand, spec)) };
        self.push_unit();
        self.push_value(st0);
        match source {
            None => {
                self.s().i64_const(0).i32_const(0);
            }
            Some(Source::Register(register)) => {
                let value = self.value(register);
                self.push_value(value);
            }
            Some(Source::Memory(value)) => {
                self.push_value(value);
                self.give_value(value);
            }
        }
        self.s().i32_const(0xffff).i32_and().i32_const(quiet as i32).i32_or();
        let flags = self.locals.take(ValType::I64);
        let outcome = self.x87_call(Call::Compare, flags);
        self.note_comparison(spec, flags, outcome);
        self.locals.give(ValType::I64, flags);
        self.locals.give(ValType::I32, outcome);
        self.pops(spec.pops);
    }

    fn note_comparison(&mut self, spec: Spec, flags: u32, outcome: u32) {
        let Start { status, .. } = self.start();
        let conditions = if spec.sets_flags() { 0 } else { status::C0 | status::C1 | status::C2 | status::C3 };
        self.s().local_get(status).i32_const((!conditions).into()).i32_and();
        self.s().local_get(outcome).i32_const(FLAGS_SHIFT as i32).i32_shr_u().i32_or();
        if spec.sets_flags() {
            self.s().local_set(status).local_get(flags);
            self.set_narrow(slot::NEW_FLAGS);
        } else {
            self.s().local_get(flags).i32_wrap_i64().i32_const(8).i32_shl().i32_or().local_set(status);
        }
        self.stack.noted = true;
    }

    pub(super) fn x87_control(&mut self, index: usize, operand: Slot, spec: Spec) {
        let control = self.unit(offset_of!(Fpu, control));
        if spec.operation == Operation::StoreControl {
            let (base, at) = self.checked(index, Addr::at(operand), false);
            self.s().local_get(base).i32_const(0).i32_load16_u(control).i32_store16(at);
            return;
        }
        self.start();
        let (base, at) = self.checked(index, Addr::at(operand), false);
        // Exceptions may be pending now, and arithmetic another.
        self.leave_stack();
        self.s().i32_const(0).local_get(base).i32_load16_u(at);
        self.s().i32_const(CONTROL_BITS.into()).i32_and();
        self.s().i32_const(CONTROL_FIXED.into()).i32_or().i32_store16(control);
    }

    pub(super) fn x87_status(&mut self, index: usize, operand: Slot, spec: Spec) {
        let Start { top, status, .. } = self.start();
        let (word, by) = (self.locals.take(ValType::I32), self.stack.top);
        // Nothing is pending within a block.
        let kept = !(status::SUMMARY | status::BUSY | 7 << 11);
        self.s().local_get(status).i32_const(kept.into()).i32_and();
        self.s().local_get(top).i32_const(4).i32_shr_u().i32_const(by.into()).i32_add();
        self.s().i32_const(7).i32_and().i32_const(11).i32_shl().i32_or().local_set(word);
        if spec.operation == Operation::StoreStatus {
            let (base, at) = self.checked(index, Addr::at(operand), false);
            self.s().local_get(base).local_get(word).i32_store16(at);
        } else {
            self.get(RAX);
            self.s().i64_const(!0xffff).i64_and().local_get(word).i64_extend_i32_u().i64_or();
            self.set(RAX);
        }
        self.locals.give(ValType::I32, word);
    }

    pub(super) fn x87_exchange(&mut self, with: u8) {
        self.start();
        let (top, other) = (self.stack.top, self.number(with));
        let (a, b) = (self.value(top), self.value(other));
        if top != other {
            self.stack.values[usize::from(top)] = None;
            self.stack.values[usize::from(other)] = None;
            self.set_value(top, b);
            self.set_value(other, a);
        }
        self.note_nothing();
    }

    pub(super) fn x87_sign(&mut self, operation: Operation) {
        self.start();
        let top = self.stack.top;
        let (old, new) = (self.value(top), self.take_value());
        self.s().local_get(old.mantissa).local_set(new.mantissa).local_get(old.exponent);
        if operation == Operation::Absolute {
            self.s().i32_const(0x7fff).i32_and();
        } else {
            self.s().i32_const(0x8000).i32_xor();
        }
        self.s().local_set(new.exponent);
        self.set_value(top, new);
        self.note_nothing();
    }
}
