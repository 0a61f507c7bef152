//! What is known of the stack, and where its registers are.

use std::mem::offset_of;

use cpu::fpu::{F80, Fpu};
use cpu::x87::compiled::FLAGS_SHIFT;
use cpu::x87::status;
use wasm_encoder::{MemArg, ValType};

use super::Value;
use crate::area::offset;
use crate::emit::{Emitter, ExitPoint};

/// What is known of the stack in the block at hand. Registers are numbered from what was the top at its start.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::emit) struct Stack {
    /// `None` as long as the block has had no floating-point instruction.
    pub(super) start: Option<Start>,
    /// The number of ST(0).
    pub(super) top: u8,
    /// Registers that hold something, as far as it is known, and those that don't.
    valid: u8,
    empty: u8,
    /// Registers filled and emptied since the start.
    filled: u8,
    emptied: u8,
    /// Top and tags, or the status word, are not what memory says.
    moved: bool,
    pub(super) noted: bool,
    pub(super) values: [Option<Value>; 8],
    /// Locals with the registers' offsets.
    places: [Option<u32>; 8],
}

/// Locals with what the unit held at the block's start, the same in all blocks of a function.
#[derive(Clone, Copy, Debug)]
pub(in crate::emit) struct Start {
    /// 16 times the top.
    pub(super) top: u32,
    /// Bit i: register i, from the top, holds something.
    valid: u32,
    /// The status word; kept up to date.
    pub(super) status: u32,
    /// Not 0 unless the control word is [`PLAIN`].
    pub(super) special: u32,
    /// How the stack has moved since, set where the function is left before the block's end; see [`Stack::moves`].
    moves: u32,
}

/// Control bits that matter to arithmetic, and what they are in nearly all programs: everything masked, 64 bits, round
/// to nearest.
const CONTROL: i32 = 0x0f3f;
/// See [`CONTROL`].
const PLAIN: i32 = 0x033f;

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

impl Emitter<'_> {
    /// A field of the unit.
    pub(super) fn unit(&self, field: usize) -> MemArg {
        self.area(offset::FPU + field as u64)
    }

    /// A field of the register whose offset is on the stack.
    fn register(&self, field: usize) -> MemArg {
        self.unit(offset_of!(Fpu, registers) + field)
    }

    pub(super) fn start(&mut self) -> Start {
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
    pub(super) fn leave_if_pending(&mut self, status: Option<u32>) {
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
    pub(super) fn leave_if(&mut self) {
        let rip = self.rip;
        self.if_unlikely();
        self.leave(ExitPoint::Side { rip });
        self.end_if();
    }

    /// Before the function may be left ahead of the block's end: notes what is to be written back then.
    pub(in crate::emit) fn note_moves(&mut self) {
        if let Some(Start { moves, .. }) = self.stack.start
            && (self.stack.moved || self.stack.noted)
        {
            let code = self.stack.moves();
            self.s().i32_const(code).local_set(moves);
        }
    }

    /// At the function's end: writes back what a block that was left has not.
    pub(in crate::emit) fn write_stack_back(&mut self) {
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
    pub(in crate::emit) fn leave_stack(&mut self) {
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

    pub(super) fn take_value(&mut self) -> Value {
        Value { mantissa: self.locals.take(ValType::I64), exponent: self.locals.take(ValType::I32) }
    }

    pub(super) fn give_value(&mut self, value: Value) {
        self.locals.give(ValType::I64, value.mantissa);
        self.locals.give(ValType::I32, value.exponent);
    }

    /// Number of ST(i).
    pub(super) fn number(&self, i: u8) -> u8 {
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
    pub(super) fn need_room(&mut self) {
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
    pub(super) fn value(&mut self, register: u8) -> Value {
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
    pub(super) fn set_value(&mut self, register: u8, value: Value) {
        let place = self.place(register);
        let [mantissa, exponent] =
            [offset_of!(F80, mantissa), offset_of!(F80, sign_exponent)].map(|field| self.register(field));
        self.s().local_get(place).local_get(value.mantissa).i64_store(mantissa);
        self.s().local_get(place).local_get(value.exponent).i32_store16(exponent);
        if let Some(old) = self.stack.values[usize::from(register)].replace(value) {
            self.give_value(old);
        }
    }

    pub(super) fn fill(&mut self, register: u8) {
        let bit = 1u8 << register;
        let stack = &mut self.stack;
        (stack.valid, stack.empty) = (stack.valid | bit, stack.empty & !bit);
        (stack.filled, stack.emptied) = (stack.filled | bit, stack.emptied & !bit);
        stack.moved = true;
    }

    /// Pushes a value onto a stack with room for it.
    pub(super) fn push(&mut self, value: Value) {
        self.stack.top = self.number(7);
        let register = self.stack.top;
        self.fill(register);
        self.set_value(register, value);
        self.note_nothing();
    }

    pub(super) fn pops(&mut self, count: u8) {
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
    pub(super) fn note_nothing(&mut self) {
        let Start { status, .. } = self.start();
        self.s().local_get(status).i32_const((!status::C1).into()).i32_and().local_set(status);
        self.stack.noted = true;
    }

    /// Notes an outcome's flags, and C1.
    pub(super) fn note(&mut self, outcome: u32) {
        let Start { status, .. } = self.start();
        self.note_nothing();
        self.s().local_get(outcome).i32_const(FLAGS_SHIFT as i32).i32_shr_u();
        self.s().local_get(status).i32_or().local_set(status);
    }
}
