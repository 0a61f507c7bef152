//! The register stack, and what exceptions do to it.

use super::number::{INDEFINITE, Rounded};
use super::status;
use crate::fpu::{F80, Fpu};

impl Fpu {
    #[inline(always)]
    pub(super) fn is_valid(&self, i: u8) -> bool {
        self.valid >> self.physical(i) & 1 != 0
    }

    /// The bits of ST(i), whether it is valid or not.
    #[inline(always)]
    pub(super) fn st(&self, i: u8) -> F80 {
        self.registers[self.physical(i)]
    }

    #[inline(always)]
    pub(super) fn set_st(&mut self, i: u8, new: F80) {
        let register = self.physical(i);
        self.registers[register] = new;
        self.valid |= 1 << register;
    }

    /// Round to nearest with 64 bits, every exception masked: what programs that don't care have.
    #[inline(always)]
    pub(super) fn is_plain(&self) -> bool {
        self.control & 0x0f3f == 0x033f
    }

    #[inline(always)]
    pub(super) fn clear_c1(&mut self) {
        self.status &= !status::C1;
    }

    /// Notes exceptions, and C1 if it is among them.
    #[inline(always)]
    pub(super) fn raise(&mut self, flags: u16) {
        self.status |= flags;
    }

    pub(super) fn set_conditions(&mut self, mask: u16, conditions: u16) {
        self.status = self.status & !mask | conditions;
    }

    /// Notes that an empty register was read; says whether the indefinite NaN takes its place.
    #[cold]
    pub(super) fn underflow(&mut self) -> bool {
        self.clear_c1();
        self.raise(status::INVALID | status::STACK_FAULT);
        self.control & status::INVALID != 0
    }

    /// Notes that a register in use was to be pushed to; says whether the indefinite NaN takes the value's place.
    #[cold]
    pub(super) fn overflow(&mut self) -> bool {
        self.raise(status::INVALID | status::STACK_FAULT | status::C1);
        self.control & status::INVALID != 0
    }

    /// Whether there is room for one more.
    #[inline(always)]
    pub(super) fn has_room(&self) -> bool {
        !self.is_valid(7)
    }

    /// Pushes, unless an unmasked exception prevents it. (Being denormal does not.)
    #[inline(always)]
    pub(super) fn push(&mut self, new: Rounded) {
        self.clear_c1();
        let value = if self.has_room() {
            self.raise(new.flags);
            if new.flags & !self.control & status::INVALID != 0 {
                return;
            }
            new.value
        } else if self.overflow() {
            INDEFINITE
        } else {
            return;
        };
        self.push_anyway(value);
    }

    /// Pushes even onto a register in use.
    #[inline(always)]
    pub(super) fn push_anyway(&mut self, value: F80) {
        self.top = self.top.wrapping_sub(1) & 7;
        self.set_st(0, value);
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) {
        self.valid &= !(1 << self.physical(0));
        self.top = (self.top + 1) & 7;
    }

    #[inline(always)]
    pub(super) fn pops(&mut self, count: u8) {
        for _ in 0..count {
            self.pop();
        }
    }

    /// Puts a result into ST(i), unless an unmasked exception prevents it: then it says no.
    #[inline(always)]
    pub(super) fn settle(&mut self, i: u8, result: Rounded) -> bool {
        self.clear_c1();
        let before = result.flags & !self.control & status::BEFORE;
        if before != 0 {
            self.raise(before);
            return false;
        }
        self.raise(result.flags);
        self.set_st(i, result.value);
        true
    }

    /// ST(0) becomes a function of itself.
    #[inline(always)]
    pub(super) fn replace(&mut self, function: impl FnOnce(&Fpu, F80) -> Rounded) {
        if self.is_valid(0) {
            let result = function(self, self.st(0));
            self.settle(0, result);
        } else if self.underflow() {
            self.set_st(0, INDEFINITE);
        }
    }

    /// ST(0) and ST(1), if both hold something. Otherwise the stack fault is noted, and answered in ST(`to`), where
    /// the result would have gone, by the indefinite NaN; `true` then if it was.
    pub(super) fn two_operands(&mut self, to: u8) -> Result<(F80, F80), bool> {
        if self.is_valid(0) && self.is_valid(1) {
            return Ok((self.st(0), self.st(1)));
        }
        let masked = self.underflow();
        if masked {
            self.set_st(to, INDEFINITE);
        }
        Err(masked)
    }
}
