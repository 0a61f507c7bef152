//! The floating-point stack.
//!
//! Within a block, how far the stack has moved since the block's start is known, so a register is a place relative to
//! that, and its value is kept in two locals: the significand, and sign and exponent. Values go to memory at once, since
//! a store costs next to nothing; top, tags and status word only where the block ends ([`Emitter::leave_stack`]) or, in
//! one place for all, where the function is left ([`Emitter::write_stack_back`]).
//! Arithmetic is done by functions of Rust's that know nothing of the stack ([`cpu::x87::compiled`]). What is rare, and
//! whatever would end in an exception that is not masked, is left to the interpreter.

use std::mem::offset_of;

use cpu::fpu::{CONTROL_BITS, CONTROL_FIXED, F80, Fpu};
use cpu::ir::{Addr, Op, Slot, slot};
use cpu::x87::compiled::{Call, FLAGS_SHIFT, QUIET, TRUNCATE};
use cpu::x87::spec::{Constant, Operand, Operation, Spec};
use cpu::x87::status;
use wasm_encoder::{MemArg, ValType};

use super::{Emitter, ExitPoint, FIRST_EXTENDED, FIRST_X87, extended};
use crate::area::offset;

/// A value in locals: an i64 and an i32.
#[derive(Clone, Copy, Debug)]
struct Value {
    mantissa: u32,
    exponent: u32,
}

/// What is known of the stack in the block at hand. Registers are numbered from what was the top at its start.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Stack {
    /// `None` as long as the block has had no floating-point instruction.
    start: Option<Start>,
    /// The number of ST(0).
    top: u8,
    /// Registers that hold something, as far as it is known, and those that don't.
    valid: u8,
    empty: u8,
    /// Registers filled and emptied since the start.
    filled: u8,
    emptied: u8,
    /// Top and tags, or the status word, are not what memory says.
    moved: bool,
    noted: bool,
    values: [Option<Value>; 8],
    /// Locals with the registers' offsets.
    places: [Option<u32>; 8],
}

/// Locals with what the unit held at the block's start, the same in all blocks of a function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// 16 times the top.
    top: u32,
    /// Bit i: register i, from the top, holds something.
    valid: u32,
    /// The status word; kept up to date.
    status: u32,
    /// Not 0 unless the control word is [`PLAIN`].
    special: u32,
    /// How the stack has moved since, set where the function is left before the block's end; see [`Stack::moves`].
    moves: u32,
}

/// Control bits that matter to arithmetic, and what they are in nearly all programs: everything masked, 64 bits, round
/// to nearest.
const CONTROL: i32 = 0x0f3f;
/// See [`CONTROL`].
const PLAIN: i32 = 0x033f;

const RAX: Slot = Slot(cpu::reg::RAX as u8);

/// Bits of [`Stack::moves`] from which on it has the registers filled and emptied; the lowest have the top.
const FILLED: i32 = 8;
/// See [`FILLED`].
const EMPTIED: i32 = 16;

impl Stack {
    /// How the stack has moved since the block's start, as one number that is not 0.
    fn moves(&self) -> i32 {
        i32::from(self.top) | i32::from(self.filled) << FILLED | i32::from(self.emptied) << EMPTIED | 1 << 24
    }
}

/// What an instruction works on besides ST(0).
enum Source {
    Register(u8),
    Memory(Value),
}

impl Emitter<'_> {
    /// Emits an instruction of the unit.
    pub(super) fn x87(&mut self, index: usize, op: &Op, operand: Slot, imm: u32) {
        let spec = Spec::decode(imm);
        use Operation as O;
        match spec.operation {
            O::Load if spec.operand != Operand::Bcd => self.x87_load(index, operand, spec),
            O::Store | O::StoreTruncated if spec.operand != Operand::Bcd => self.x87_store(index, operand, spec),
            O::Add | O::Sub | O::SubReversed | O::Mul | O::Div | O::DivReversed => {
                self.x87_arithmetic(index, operand, spec);
            }
            O::Compare | O::CompareUnordered | O::CompareToFlags | O::CompareUnorderedToFlags | O::Test => {
                self.x87_compare(index, operand, spec);
            }
            O::Exchange => self.x87_exchange(spec.st),
            O::ChangeSign | O::Absolute => self.x87_sign(spec.operation),
            O::SquareRoot => self.x87_root(),
            O::Constant if matches!(Constant::from_index(spec.st), Constant::One | Constant::Zero) => {
                self.x87_constant(Constant::from_index(spec.st));
            }
            // Within a block an exception is either masked or ends in the interpreter.
            O::Wait if self.stack.start.is_some() => {}
            O::Wait => self.leave_if_pending(None),
            O::StoreControl | O::LoadControl => self.x87_control(index, operand, spec),
            O::StoreStatus | O::StoreStatusAx => self.x87_status(index, operand, spec),
            _ => self.perform(op),
        }
    }

    // ---- the stack ----

    /// A field of the unit.
    fn unit(&self, field: usize) -> MemArg {
        self.area(offset::FPU + field as u64)
    }

    /// A field of the register whose offset is on the stack.
    fn register(&self, field: usize) -> MemArg {
        self.unit(offset_of!(Fpu, registers) + field)
    }

    fn start(&mut self) -> Start {
        match self.stack.start {
            Some(start) => start,
            None => {
                let start = self.enter_stack();
                self.stack.start = Some(start);
                start
            }
        }
    }

    /// Looks at the unit; leaves if an exception is pending.
    fn enter_stack(&mut self) -> Start {
        let start = *self.stack_locals.get_or_insert_with(|| {
            let [top, valid, status, special, moves] = std::array::from_fn(|_| self.locals.fresh(ValType::I32));
            Start { top, valid, status, special, moves }
        });
        let Start { top, valid, status, special, .. } = start;
        let [at_top, at_valid] = [offset_of!(Fpu, top), offset_of!(Fpu, valid)].map(|field| self.unit(field));
        self.leave_if_pending(Some(status));
        // Twice the same eight bits: what falls out at the bottom is still there at the top.
        self.s().i32_const(0).i32_load8_u(at_valid).i32_const(0x101).i32_mul();
        self.s().i32_const(0).i32_load8_u(at_top).local_tee(top).i32_shr_u().local_set(valid);
        self.s().local_get(top).i32_const(4).i32_shl().local_set(top);
        let control = self.unit(offset_of!(Fpu, control));
        self.s().i32_const(0).i32_load16_u(control).i32_const(CONTROL).i32_and();
        self.s().i32_const(PLAIN).i32_ne().local_set(special);
        start
    }

    /// Leaves if an exception is pending; the status word goes to a local if one is given.
    fn leave_if_pending(&mut self, status: Option<u32>) {
        let [at_status, at_control] = [offset_of!(Fpu, status), offset_of!(Fpu, control)].map(|field| self.unit(field));
        self.s().i32_const(0).i32_load16_u(at_status);
        if let Some(status) = status {
            self.s().local_tee(status);
        }
        self.s().i32_const(0).i32_load16_u(at_control).i32_const(-1).i32_xor().i32_and();
        self.s().i32_const(status::EXCEPTIONS.into()).i32_and();
        self.leave_if();
    }

    /// Pops an i32: if it is not 0, the instruction at hand is left to the interpreter.
    fn leave_if(&mut self) {
        let rip = self.rip;
        self.if_unlikely();
        self.leave(ExitPoint::Side { rip });
        self.end_if();
    }

    /// Before the function may be left ahead of the block's end: notes what is to be written back then.
    pub(super) fn note_moves(&mut self) {
        if let Some(Start { moves, .. }) = self.stack.start
            && (self.stack.moved || self.stack.noted)
        {
            let code = self.stack.moves();
            self.s().i32_const(code).local_set(moves);
        }
    }

    /// At the function's end: writes back what a block that was left has not.
    pub(super) fn write_stack_back(&mut self) {
        let Some(Start { moves, status, .. }) = self.stack_locals else { return };
        self.s().local_get(moves);
        self.if_();
        self.write_top(|emitter| {
            emitter.s().local_get(moves);
        });
        let at_status = self.unit(offset_of!(Fpu, status));
        self.s().i32_const(0).local_get(status).i32_store16(at_status);
        self.end_if();
    }

    /// Writes top and tags, moved as the number says that `moves` pushes.
    fn write_top(&mut self, moves: impl Fn(&mut Self)) {
        let Some(Start { top, valid, .. }) = self.stack_locals else { return };
        let [at_top, at_valid] = [offset_of!(Fpu, top), offset_of!(Fpu, valid)].map(|field| self.unit(field));
        self.s().i32_const(0).local_get(top).i32_const(4).i32_shr_u();
        moves(self);
        self.s().i32_add().i32_const(7).i32_and().i32_store8(at_top);
        self.s().i32_const(0).local_get(valid);
        moves(self);
        self.s().i32_const(EMPTIED).i32_shr_u().i32_const(-1).i32_xor().i32_and();
        moves(self);
        self.s().i32_const(FILLED).i32_shr_u().i32_or().i32_const(0xff).i32_and().i32_const(0x101).i32_mul();
        // To the left by the top, which is to the right by what is missing to eight.
        self.s().i32_const(8).local_get(top).i32_const(4).i32_shr_u().i32_sub().i32_shr_u();
        self.s().i32_store8(at_valid);
    }

    /// Writes everything back: the block ends here, or something else goes on with the unit.
    pub(super) fn leave_stack(&mut self) {
        let Stack { start, values, places, moved, noted, .. } = self.stack;
        if let Some(Start { status, moves, .. }) = start {
            self.s().i32_const(0).local_set(moves);
            if moved {
                let code = self.stack.moves();
                self.write_top(|emitter| {
                    emitter.s().i32_const(code);
                });
            }
            if noted {
                let at_status = self.unit(offset_of!(Fpu, status));
                self.s().i32_const(0).local_get(status).i32_store16(at_status);
            }
        }
        self.stack = Stack::default();
        values.into_iter().flatten().for_each(|value| self.give_value(value));
        places.into_iter().flatten().for_each(|local| self.locals.give(ValType::I32, local));
    }

    fn take_value(&mut self) -> Value {
        Value { mantissa: self.locals.take(ValType::I64), exponent: self.locals.take(ValType::I32) }
    }

    fn give_value(&mut self, value: Value) {
        self.locals.give(ValType::I64, value.mantissa);
        self.locals.give(ValType::I32, value.exponent);
    }

    /// Number of ST(i).
    fn number(&self, i: u8) -> u8 {
        self.stack.top.wrapping_add(i) & 7
    }

    /// Leaves if a register is empty.
    fn need_valid(&mut self, register: u8) {
        let Start { valid, .. } = self.start();
        let bit = 1u8 << register;
        if self.stack.valid & bit != 0 {
            return;
        }
        if self.stack.empty & bit != 0 {
            self.s().i32_const(1);
        } else {
            self.s().local_get(valid).i32_const(bit.into()).i32_and().i32_eqz();
        }
        self.leave_if();
        self.stack.valid |= bit;
        self.stack.empty &= !bit;
    }

    /// Leaves if there is no room for one more.
    fn need_room(&mut self) {
        let Start { valid, .. } = self.start();
        let bit = 1u8 << self.number(7);
        if self.stack.empty & bit != 0 {
            return;
        }
        if self.stack.valid & bit != 0 {
            self.s().i32_const(1);
        } else {
            self.s().local_get(valid).i32_const(bit.into()).i32_and();
        }
        self.leave_if();
        self.stack.empty |= bit;
        self.stack.valid &= !bit;
    }

    /// The offset of a register, in a local.
    fn place(&mut self, register: u8) -> u32 {
        let Start { top, .. } = self.start();
        if let Some(place) = self.stack.places[usize::from(register)] {
            return place;
        }
        let place = self.locals.take(ValType::I32);
        let all = (size_of::<F80>() * 7) as i32;
        let ahead = i32::from(register) * size_of::<F80>() as i32;
        self.s().local_get(top).i32_const(ahead).i32_add().i32_const(all).i32_and().local_set(place);
        self.stack.places[usize::from(register)] = Some(place);
        place
    }

    /// The value of a register that holds one.
    fn value(&mut self, register: u8) -> Value {
        self.need_valid(register);
        if let Some(value) = self.stack.values[usize::from(register)] {
            return value;
        }
        let (place, value) = (self.place(register), self.take_value());
        let [mantissa, exponent] =
            [offset_of!(F80, mantissa), offset_of!(F80, sign_exponent)].map(|field| self.register(field));
        self.s().local_get(place).i64_load(mantissa).local_set(value.mantissa);
        self.s().local_get(place).i32_load16_u(exponent).local_set(value.exponent);
        self.stack.values[usize::from(register)] = Some(value);
        value
    }

    /// A register gets a value, whose locals are its own from now on.
    fn set_value(&mut self, register: u8, value: Value) {
        let place = self.place(register);
        let [mantissa, exponent] =
            [offset_of!(F80, mantissa), offset_of!(F80, sign_exponent)].map(|field| self.register(field));
        self.s().local_get(place).local_get(value.mantissa).i64_store(mantissa);
        self.s().local_get(place).local_get(value.exponent).i32_store16(exponent);
        if let Some(old) = self.stack.values[usize::from(register)].replace(value) {
            self.give_value(old);
        }
    }

    fn fill(&mut self, register: u8) {
        let bit = 1u8 << register;
        let stack = &mut self.stack;
        (stack.valid, stack.empty) = (stack.valid | bit, stack.empty & !bit);
        (stack.filled, stack.emptied) = (stack.filled | bit, stack.emptied & !bit);
        stack.moved = true;
    }

    /// Pushes a value onto a stack with room for it.
    fn push(&mut self, value: Value) {
        self.stack.top = self.number(7);
        let register = self.stack.top;
        self.fill(register);
        self.set_value(register, value);
        self.note_nothing();
    }

    fn pops(&mut self, count: u8) {
        for _ in 0..count {
            let bit = 1u8 << self.stack.top;
            let stack = &mut self.stack;
            (stack.valid, stack.empty) = (stack.valid & !bit, stack.empty | bit);
            (stack.filled, stack.emptied) = (stack.filled & !bit, stack.emptied | bit);
            stack.moved = true;
            stack.top = (stack.top + 1) & 7;
        }
    }

    // ---- the status word ----

    /// Clears C1.
    fn note_nothing(&mut self) {
        let Start { status, .. } = self.start();
        self.s().local_get(status).i32_const((!status::C1).into()).i32_and().local_set(status);
        self.stack.noted = true;
    }

    /// Notes an outcome's flags, and C1.
    fn note(&mut self, outcome: u32) {
        let Start { status, .. } = self.start();
        self.note_nothing();
        self.s().local_get(outcome).i32_const(FLAGS_SHIFT as i32).i32_shr_u();
        self.s().local_get(status).i32_or().local_set(status);
    }

    // ---- calls ----

    /// Calls a function whose arguments are on the stack; its result is on it then, its outcome in a local. Leaves if
    /// there is more to it.
    fn x87_call(&mut self, call: Call, result: u32) -> u32 {
        let outcome = self.locals.take(ValType::I32);
        let at = self.unit(offset_of!(Fpu, outcome));
        self.s().call(FIRST_X87 + call as u32).local_set(result);
        self.s().i32_const(0).i32_load(at).local_tee(outcome).i32_const(0).i32_lt_s();
        self.leave_if();
        outcome
    }

    /// Pushes the first argument of all functions.
    fn push_unit(&mut self) {
        let unit = self.settings.area.wrapping_add(offset::FPU as u32);
        self.s().i32_const(unit as i32);
    }

    fn push_value(&mut self, value: Value) {
        self.s().local_get(value.mantissa).local_get(value.exponent);
    }

    /// A number that a function computes, in locals of its own; the flags that come with it are noted.
    fn computed(&mut self, call: Call) -> Value {
        let mantissa = self.locals.take(ValType::I64);
        let outcome = self.x87_call(call, mantissa);
        self.note(outcome);
        // Above sign and exponent there are flags still: nobody looks at them.
        Value { mantissa, exponent: outcome }
    }

    /// The same by a function of this module.
    fn computed_here(&mut self, local: u32) -> Value {
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
    fn memory_value(&mut self, index: usize, operand: Slot, kind: Operand, is_strict: bool) -> Value {
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
    fn narrow(&mut self, value: Value, kind: u32, bits: u32) {
        self.push_unit();
        self.push_value(value);
        self.s().i64_const(0).i32_const(kind as i32);
        let outcome = self.x87_call(Call::Narrow, bits);
        self.note(outcome);
        self.locals.give(ValType::I32, outcome);
    }

    /// A value as a double: here if it is normal, stays so, and is to be rounded to nearest.
    fn narrow_double(&mut self, value: Value) -> u32 {
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

    fn source(&mut self, index: usize, operand: Slot, spec: Spec) -> Source {
        if spec.operand == Operand::Register {
            let register = self.number(spec.st);
            self.value(register);
            Source::Register(register)
        } else {
            Source::Memory(self.memory_value(index, operand, spec.operand, true))
        }
    }

    // ---- instructions ----

    fn x87_load(&mut self, index: usize, operand: Slot, spec: Spec) {
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

    fn x87_constant(&mut self, constant: Constant) {
        self.need_room();
        let value = self.take_value();
        let (mantissa, exponent) = if constant == Constant::One { (i64::MIN, 0x3fff) } else { (0, 0) };
        self.s().i64_const(mantissa).local_set(value.mantissa);
        self.s().i32_const(exponent).local_set(value.exponent);
        self.push(value);
    }

    fn x87_store(&mut self, index: usize, operand: Slot, spec: Spec) {
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

    fn x87_arithmetic(&mut self, index: usize, operand: Slot, spec: Spec) {
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

    fn x87_root(&mut self) {
        self.start();
        let top = self.stack.top;
        let value = self.value(top);
        self.push_unit();
        self.push_value(value);
        self.s().i64_const(0).i32_const(0);
        let result = self.computed(Call::Root);
        self.set_value(top, result);
    }

    fn x87_compare(&mut self, index: usize, operand: Slot, spec: Spec) {
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

    fn x87_control(&mut self, index: usize, operand: Slot, spec: Spec) {
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

    fn x87_status(&mut self, index: usize, operand: Slot, spec: Spec) {
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

    fn x87_exchange(&mut self, with: u8) {
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

    fn x87_sign(&mut self, operation: Operation) {
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
