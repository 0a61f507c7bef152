//! Lazy flags: conditions computed from the operands of the operation that set them, where its kind is known.

use cpu::flags::{Condition, FlagKind, FlagOp, Width};
use cpu::ir::{Slot, slot};
use cpu::rflags::{CF, OF, PF, SF, ZF};
use wasm_encoder::{BlockType, InstructionSink};

use super::{Emitter, one};
use crate::region::flags::Kind;

/// The condition classes, an even condition each (the odd one negates it).
mod class {
    pub const OVERFLOW: u8 = 0;
    pub const BELOW: u8 = 1;
    pub const EQUAL: u8 = 2;
    pub const BELOW_EQUAL: u8 = 3;
    pub const SIGN: u8 = 4;
    pub const PARITY: u8 = 5;
    pub const LESS: u8 = 6;
    pub const LESS_EQUAL: u8 = 7;
}

type Comparison32 = for<'a, 'b> fn(&'b mut InstructionSink<'a>) -> &'b mut InstructionSink<'a>;

impl Emitter<'_> {
    /// Notes what the flags follow from.
    pub(super) fn set_flags(&mut self, kind: FlagKind, a: Slot, b: Slot) {
        let local = self.locals.flag_kind();
        self.get(a);
        self.get(b);
        self.set(slot::FLAG_B);
        self.set(slot::FLAG_A);
        self.s().i32_const(kind.code().into()).local_set(local);
    }

    /// The same unless the count `b` is 0.
    pub(super) fn set_shift_flags(&mut self, kind: FlagKind, a: Slot, b: Slot) {
        self.get(b);
        self.s().i64_eqz().i32_eqz().if_(BlockType::Empty);
        self.set_flags(kind, a, b);
        self.s().end();
    }

    /// Pushes the status flags as RFLAGS has them, an i32.
    pub(super) fn status(&mut self) {
        if self.facts.kind == Kind::Known(FlagKind::BITS) {
            self.get32(slot::FLAG_A);
            self.s().i32_const(cpu::rflags::STATUS as i32).i32_and();
        } else {
            self.status_by_call();
        }
    }

    /// Pushes 1 if the condition holds, else 0, an i32.
    pub(super) fn condition(&mut self, condition: Condition) {
        let class = condition as u8 >> 1;
        let done = self.facts.kind.known().is_some_and(|kind| self.direct(kind, class));
        if !done {
            self.status();
            self.of_bits(class);
        }
        if condition.is_negated() {
            self.s().i32_eqz();
        }
    }

    /// Pops status flags as RFLAGS has them; pushes whether a class's condition holds.
    fn of_bits(&mut self, class: u8) {
        let mask = match class {
            class::OVERFLOW => OF,
            class::BELOW => CF,
            class::EQUAL => ZF,
            class::BELOW_EQUAL => CF | ZF,
            class::SIGN => SF,
            class::PARITY => PF,
            _ => return self.of_signed_bits(class),
        };
        self.s().i32_const(mask as i32).i32_and().i32_const(0).i32_ne();
    }

    fn of_signed_bits(&mut self, class: u8) {
        // SF is bit 7, OF bit 11, ZF bit 6.
        let bits = self.locals.take(wasm_encoder::ValType::I32);
        self.s().local_tee(bits).i32_const(4).i32_shl().local_get(bits).i32_xor();
        self.s().i32_const(OF as i32).i32_and().i32_const(0).i32_ne();
        if class == class::LESS_EQUAL {
            self.s().local_get(bits).i32_const(ZF as i32).i32_and().i32_const(0).i32_ne().i32_or();
        }
        self.locals.give(wasm_encoder::ValType::I32, bits);
    }

    /// Computes a class's condition from the operands, if that is short. Returns whether it did.
    fn direct(&mut self, kind: FlagKind, class: u8) -> bool {
        match (kind.op, class) {
            (FlagOp::Sub, class::BELOW | class::EQUAL | class::BELOW_EQUAL | class::LESS | class::LESS_EQUAL) => {
                self.compare_operands(kind.width, class);
            }
            (FlagOp::Sub, class::SIGN) => self.sign_of_difference(kind.width),
            (FlagOp::Add, class::EQUAL | class::SIGN | class::BELOW) => self.of_sum(kind.width, class),
            (
                FlagOp::Logic | FlagOp::LogicCarry | FlagOp::Inc | FlagOp::Dec | FlagOp::Mul,
                class::EQUAL | class::SIGN,
            )
            | (FlagOp::Logic | FlagOp::LogicCarry, class::LESS) => self.of_result(kind.width, class),
            (FlagOp::Logic, class::OVERFLOW | class::BELOW) => {
                self.s().i32_const(0);
            }
            (FlagOp::Logic, class::BELOW_EQUAL) => self.of_result(kind.width, class::EQUAL),
            (FlagOp::Logic, class::LESS_EQUAL) => self.not_positive(kind.width),
            (FlagOp::LogicCarry | FlagOp::Inc | FlagOp::Dec, class::BELOW) => {
                self.get32(slot::FLAG_B);
                self.s().i32_const(CF as i32).i32_and();
            }
            (FlagOp::Mul, class::OVERFLOW | class::BELOW) => {
                self.get(slot::FLAG_B);
                self.s().i64_eqz().i32_eqz();
            }
            (FlagOp::Float, _) => self.of_floats(kind.width, class),
            _ => return false,
        }
        true
    }

    /// Pushes an operand so that comparing it at 32 (or 64) bits compares it at its width: narrow ones lie at the top.
    fn at_top(&mut self, slot: Slot, width: Width) {
        match width {
            Width::W64 => self.get(slot),
            Width::W32 => self.get32(slot),
            narrow => {
                self.get32(slot);
                self.s().i32_const(32 - narrow.bits() as i32).i32_shl();
            }
        }
    }

    fn compare_operands(&mut self, width: Width, class: u8) {
        self.at_top(slot::FLAG_A, width);
        self.at_top(slot::FLAG_B, width);
        let wide = width == Width::W64;
        let mut sink = self.s();
        match class {
            class::BELOW if wide => sink.i64_lt_u(),
            class::BELOW => sink.i32_lt_u(),
            class::EQUAL if wide => sink.i64_eq(),
            class::EQUAL => sink.i32_eq(),
            class::BELOW_EQUAL if wide => sink.i64_le_u(),
            class::BELOW_EQUAL => sink.i32_le_u(),
            class::LESS if wide => sink.i64_lt_s(),
            class::LESS => sink.i32_lt_s(),
            _ if wide => sink.i64_le_s(),
            _ => sink.i32_le_s(),
        };
    }

    /// Pops a value that [`Self::at_top`] pushed (or a sum or difference of such); pushes a comparison with 0.
    fn compare_zero(&mut self, width: Width, narrow: Comparison32, wide: Comparison32) {
        if width == Width::W64 {
            wide(self.s().i64_const(0));
        } else {
            narrow(self.s().i32_const(0));
        }
    }

    fn sign_of_difference(&mut self, width: Width) {
        self.at_top(slot::FLAG_A, width);
        self.at_top(slot::FLAG_B, width);
        if width == Width::W64 {
            self.s().i64_sub();
        } else {
            self.s().i32_sub();
        }
        self.compare_zero(width, |s| s.i32_lt_s(), |s| s.i64_lt_s());
    }

    fn of_sum(&mut self, width: Width, class: u8) {
        self.at_top(slot::FLAG_A, width);
        self.at_top(slot::FLAG_B, width);
        if width == Width::W64 {
            self.s().i64_add();
        } else {
            self.s().i32_add();
        }
        match class {
            class::EQUAL => self.compare_zero(width, |s| s.i32_eq(), |s| s.i64_eq()),
            class::SIGN => self.compare_zero(width, |s| s.i32_lt_s(), |s| s.i64_lt_s()),
            _ => {
                // The sum is below an operand if it has wrapped.
                self.at_top(slot::FLAG_A, width);
                if width == Width::W64 {
                    self.s().i64_lt_u();
                } else {
                    self.s().i32_lt_u();
                }
            }
        }
    }

    fn of_result(&mut self, width: Width, class: u8) {
        self.at_top(slot::FLAG_A, width);
        if class == class::EQUAL {
            self.compare_zero(width, |s| s.i32_eq(), |s| s.i64_eq());
        } else {
            self.compare_zero(width, |s| s.i32_lt_s(), |s| s.i64_lt_s());
        }
    }

    fn not_positive(&mut self, width: Width) {
        self.at_top(slot::FLAG_A, width);
        self.compare_zero(width, |s| s.i32_le_s(), |s| s.i64_le_s());
    }

    fn float_operand(&mut self, slot: Slot, width: Width) {
        if width == Width::W32 {
            self.get32(slot);
            self.s().f32_reinterpret_i32();
        } else {
            self.get(slot);
            self.s().f64_reinterpret_i64();
        }
    }

    /// Conditions after COMISS and its relatives: unordered sets ZF, PF and CF; OF and SF are clear.
    fn of_floats(&mut self, width: Width, class: u8) {
        let (a, b) = (slot::FLAG_A, slot::FLAG_B);
        let narrow = width == Width::W32;
        match class {
            class::OVERFLOW | class::SIGN | class::LESS => {
                self.s().i32_const(0);
            }
            class::PARITY => {
                for (index, operand) in [a, b].into_iter().enumerate() {
                    self.float_operand(operand, width);
                    self.float_operand(operand, width);
                    self.pick(narrow, one!(f32_ne), one!(f64_ne));
                    if index == 1 {
                        self.s().i32_or();
                    }
                }
            }
            class::BELOW | class::BELOW_EQUAL => {
                self.float_operand(a, width);
                self.float_operand(b, width);
                match (class, narrow) {
                    (class::BELOW, true) => self.s().f32_ge(),
                    (class::BELOW, false) => self.s().f64_ge(),
                    (_, true) => self.s().f32_gt(),
                    (_, false) => self.s().f64_gt(),
                };
                self.s().i32_eqz();
            }
            // Equal or unordered: neither less nor greater. LESS_EQUAL is ZF alone here.
            _ => {
                self.float_operand(a, width);
                self.float_operand(b, width);
                self.pick(narrow, one!(f32_lt), one!(f64_lt));
                self.float_operand(a, width);
                self.float_operand(b, width);
                self.pick(narrow, one!(f32_gt), one!(f64_gt));
                self.s().i32_or().i32_eqz();
            }
        }
    }
}
