//! The stack, and flags, which go there and into AH.

use iced_x86::Register;

use super::{Lifted, Lifter, RAX, RBP, RSP};
use crate::flags::{Condition, FlagKind, Width};
use crate::helper::Helper;
use crate::ir::{Addr, Op, Slot, Unary, WithImm, slot};
use crate::state::Mode;

impl Lifter<'_> {
    pub(super) fn move_stack(&mut self, bytes: i32) {
        let op = if self.stack_width() == Width::W64 { Op::AddImm64 } else { Op::AddImm32 };
        self.emit(op(WithImm { dst: RSP, a: RSP, imm: bytes }));
    }

    /// Address of what lies `bytes` from the stack pointer.
    pub(super) fn stack_addr(&mut self, bytes: i32) -> Addr {
        let addr = Addr::at(RSP).plus(bytes);
        if self.mode == Mode::Long || bytes == 0 { addr } else { self.wrap32(addr) }
    }

    pub(super) fn push_value(&mut self, width: Width, value: Slot) {
        let bytes = i32::from(width.bytes());
        let addr = self.stack_addr(-bytes);
        self.store(width, addr, value);
        self.move_stack(-bytes);
    }

    /// Width of a push or pop: 64 bits by default in 64-bit code, 16 with a prefix.
    pub(super) fn push_width(&self) -> Width {
        match self.inst.stack_pointer_increment().unsigned_abs() {
            2 => Width::W16,
            4 => Width::W32,
            _ => Width::W64,
        }
    }

    pub(super) fn push(&mut self) -> Lifted {
        let width = self.push_width();
        let value = self.read(0)?;
        self.push_value(width, value);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Lifted {
        let width = self.push_width();
        let bytes = i32::from(width.bytes());
        let value = self.load(width, Addr::at(RSP));
        if !self.is_memory(0) {
            self.move_stack(bytes);
            return self.write(0, value);
        }
        // A memory operand relative to RSP is computed with the new RSP, but a fault must not have moved it.
        let mut addr = self.address()?;
        if self.inst.memory_base() == Register::RSP || self.inst.memory_base() == Register::ESP {
            addr = addr.plus(bytes);
        }
        self.store(width, addr, value);
        self.move_stack(bytes);
        Ok(())
    }

    pub(super) fn leave(&mut self) -> Lifted {
        let width = self.push_width_of_leave();
        let saved = self.load(width, Addr::at(RBP));
        let bytes = i32::from(width.bytes());
        let op = if self.stack_width() == Width::W64 { Op::AddImm64 } else { Op::AddImm32 };
        self.emit(op(WithImm { dst: RSP, a: RBP, imm: bytes }));
        let register = if width == Width::W16 { Register::BP } else { Register::RBP };
        self.write_register(register, saved)
    }

    fn push_width_of_leave(&self) -> Width {
        if self.code() == iced_x86::Code::Leavew { Width::W16 } else { self.stack_width() }
    }

    // ---- flags ----

    pub(super) fn push_flags(&mut self) -> Lifted {
        let flags = self.scratch();
        self.emit(Op::Helper { helper: Helper::ReadFlags, a: flags.0, b: 0, c: 0, imm: 0 });
        self.push_value(self.push_width(), flags);
        Ok(())
    }

    pub(super) fn pop_flags(&mut self) -> Lifted {
        let width = self.push_width();
        let mut flags = self.load(width, Addr::at(RSP));
        if width == Width::W16 {
            let old = self.scratch();
            self.emit(Op::Helper { helper: Helper::ReadFlags, a: old.0, b: 0, c: 0, imm: 0 });
            self.emit(Op::Insert16(Unary { dst: old, src: flags }));
            flags = old;
        }
        self.move_stack(i32::from(width.bytes()));
        self.emit(Op::Helper { helper: Helper::WriteFlags, a: flags.0, b: 0, c: 0, imm: 0 });
        self.set_flags(FlagKind::BITS, flags, slot::ZERO, None);
        Ok(())
    }

    pub(super) fn lahf(&mut self) -> Lifted {
        let flags = self.scratch();
        self.emit(Op::GetFlags { dst: flags });
        let fixed = self.constant(2);
        // All status flags but OF lie in the low byte; bit 1 is always set.
        let low = self.binary(Op::Or32, flags, fixed);
        self.write_register(Register::AH, low)
    }

    pub(super) fn sahf(&mut self) -> Lifted {
        let ah = self.unary(Op::High8, RAX);
        let old = self.scratch();
        self.emit(Op::GetFlags { dst: old });
        let overflow = self.with_imm(Op::AndImm64, old, crate::state::rflags::OF as i32);
        let flags = self.binary(Op::Or64, ah, overflow);
        self.set_flags(FlagKind::BITS, flags, slot::ZERO, None);
        Ok(())
    }

    pub(super) fn carry(&mut self, new: impl FnOnce(&mut Self, Slot) -> Slot) -> Lifted {
        let old = self.scratch();
        self.emit(Op::Condition { dst: old, condition: Condition::B });
        let bit = new(self, old);
        self.set_carry(bit);
        Ok(())
    }

    pub(super) fn direction(&mut self, value: i32) -> Lifted {
        self.emit(Op::Const { dst: slot::DIRECTION, value });
        Ok(())
    }
}
