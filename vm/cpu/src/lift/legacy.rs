//! What 32-bit code has from earlier days: decimal adjustment, all registers at once, far control flow, nested frames,
//! checks of bounds and descriptors.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, RAX, RBP, RSP, Unknown};
use crate::flags::{Condition, Width};
use crate::helper::Helper;
use crate::helper::legacy::{Decimal, Query};
use crate::ir::{Addr, Compare, Op, Slot, Unary, slot};
use crate::segment::{USER_CODE_32, USER_CODE_64};
use crate::state::{Mode, reg, rflags};

impl Lifter<'_> {
    /// Lifts the instruction if it belongs here.
    pub(super) fn legacy(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        Some(match self.mnemonic() {
            M::Daa => self.decimal(Decimal::AdjustAfterAdd),
            M::Das => self.decimal(Decimal::AdjustAfterSub),
            M::Aaa => self.decimal(Decimal::UnpackAfterAdd),
            M::Aas => self.decimal(Decimal::UnpackAfterSub),
            M::Aam => self.decimal(Decimal::Split),
            M::Aad => self.decimal(Decimal::Join),
            M::Salc => self.set_al_from_carry(),
            M::Pusha | M::Pushad => self.push_all(),
            M::Popa | M::Popad => self.pop_all(),
            M::Enter => self.enter(),
            M::Bound => self.bound(),
            M::Into => self.helper(Helper::Overflow, 0),
            M::Arpl => self.adjust_privilege(),
            M::Lar => self.describe(Query::Rights),
            M::Lsl => self.describe(Query::Limit),
            M::Verr => self.verify(Query::Readable),
            M::Verw => self.verify(Query::Writable),
            M::Jmp if self.is_far() => self.far_jump(),
            M::Call if self.is_far() => self.far_call(),
            M::Retf => self.far_return(),
            _ => return None,
        })
    }

    fn decimal(&mut self, what: Decimal) -> Lifted {
        let base = if self.inst.op_count() == 1 { self.inst.immediate8() } else { 0 };
        self.emit(Op::Helper { helper: Helper::Decimal, a: 0, b: 0, c: 0, imm: what as u32 | u32::from(base) << 8 });
        self.take_new_flags();
        Ok(())
    }

    fn set_al_from_carry(&mut self) -> Lifted {
        let carry = self.scratch();
        self.emit(Op::Condition { dst: carry, condition: Condition::B });
        let ones = self.binary(Op::Sub32, slot::ZERO, carry);
        self.emit(Op::Insert8(Unary { dst: RAX, src: ones }));
        Ok(())
    }

    // ---- stack ----

    /// Width of the instruction's pushes, of which there are `count`.
    fn each_push(&self, count: i32) -> Width {
        Width::from_bytes((self.inst.stack_pointer_increment() / count).unsigned_abs() as usize)
    }

    /// PUSHA: EAX to EDI in order, ESP as it was.
    fn push_all(&mut self) -> Lifted {
        let width = self.each_push(8);
        for index in 0..8u8 {
            let addr = self.stack_addr(-i32::from(width.bytes()) * (i32::from(index) + 1));
            self.store(width, addr, Slot(index));
        }
        self.move_stack(-8 * i32::from(width.bytes()));
        Ok(())
    }

    /// POPA, which skips ESP.
    fn pop_all(&mut self) -> Lifted {
        let width = self.each_push(8);
        let mut values = [slot::ZERO; 8];
        for index in (0..8).filter(|index| *index != reg::RSP) {
            let addr = self.stack_addr(i32::from(width.bytes()) * (7 - index as i32));
            values[index] = self.load(width, addr);
        }
        for index in (0..8).filter(|index| *index != reg::RSP) {
            let operands = Unary { dst: Slot(index as u8), src: values[index] };
            self.emit(if width == Width::W16 { Op::Insert16(operands) } else { Op::Zext32(operands) });
        }
        self.move_stack(8 * i32::from(width.bytes()));
        Ok(())
    }

    /// ENTER: pushes the frame pointer, those of enclosing procedures from the enclosing frame, and the new one.
    fn enter(&mut self) -> Lifted {
        let size = i32::from(self.inst.immediate16());
        let level = i32::from(self.inst.immediate8_2nd() & 31);
        let width = match self.code() {
            iced_x86::Code::Enterw_imm16_imm8 => Width::W16,
            _ => self.stack_width(),
        };
        let bytes = i32::from(width.bytes());
        let frame = self.stack_addr(-bytes);
        self.store(width, frame, RBP);
        for outer in 1..=level {
            let value = if outer == level { self.new_frame(bytes) } else { self.outer_frame(width, outer) };
            let addr = self.stack_addr(-bytes * (outer + 1));
            self.store(width, addr, value);
        }
        let frame = self.new_frame(bytes);
        let register = match width {
            Width::W16 => Register::BP,
            Width::W32 => Register::EBP,
            _ => Register::RBP,
        };
        self.write_register(register, frame)?;
        self.move_stack(-bytes * (level + 1) - size);
        Ok(())
    }

    fn new_frame(&mut self, bytes: i32) -> Slot {
        let addr = self.stack_addr(-bytes);
        self.flat(addr)
    }

    fn outer_frame(&mut self, width: Width, outer: i32) -> Slot {
        let mut addr = Addr::at(RBP).plus(-i32::from(width.bytes()) * outer);
        if self.mode == Mode::Compat {
            addr = self.wrap32(addr);
        }
        self.load(width, addr)
    }

    // ---- checks ----

    fn bound(&mut self) -> Lifted {
        let width = self.width(0);
        let index = self.read(0)?;
        let addr = self.address()?;
        let lower = self.load(width, addr);
        let upper = self.load(width, addr.plus(width.bytes().into()));
        self.emit(Op::Helper { helper: Helper::Bound, a: index.0, b: lower.0, c: upper.0, imm: width as u32 });
        Ok(())
    }

    /// ARPL: the destination's privilege level becomes at least the source's.
    fn adjust_privilege(&mut self) -> Lifted {
        let (old, other) = (self.read(0)?, self.read(1)?);
        let level = self.with_imm(Op::AndImm32, old, 3);
        let wanted = self.with_imm(Op::AndImm32, other, 3);
        let raised = self.scratch();
        self.emit(Op::Compare { compare: Compare::LtU32, dst: raised, a: level, b: wanted });
        let cleared = self.with_imm(Op::AndImm32, old, !3);
        let changed = self.binary(Op::Or32, cleared, wanted);
        let value = self.unary(Op::Move, old);
        self.emit(Op::MoveIf { dst: value, src: changed, condition: raised });
        self.write(0, value)?;
        self.set_flag(rflags::ZF, raised);
        Ok(())
    }

    /// LAR, LSL: the destination stays as it is, and ZF is clear, if there is nothing to tell.
    fn describe(&mut self, what: Query) -> Lifted {
        let selector = self.read(1)?;
        let value = self.query(what, selector);
        let found = self.with_imm(Op::AndImm32, slot::NEW_FLAGS, rflags::ZF as i32);
        let nothing = self.scratch();
        self.emit(Op::Compare { compare: Compare::Eq64, dst: nothing, a: found, b: slot::ZERO });
        let dst = self.gpr(self.inst.op0_register())?;
        let before = self.unary(Op::Move, dst);
        self.write(0, value)?;
        self.emit(Op::MoveIf { dst, src: before, condition: nothing });
        self.take_new_flags();
        Ok(())
    }

    fn verify(&mut self, what: Query) -> Lifted {
        let selector = self.read(0)?;
        self.query(what, selector);
        self.take_new_flags();
        Ok(())
    }

    fn query(&mut self, what: Query, selector: Slot) -> Slot {
        let dst = self.scratch();
        self.emit(Op::Helper { helper: Helper::Describe, a: dst.0, b: selector.0, c: 0, imm: what as u32 });
        dst
    }

    // ---- far control flow ----

    pub(super) fn is_far(&self) -> bool {
        let code = self.code();
        code.is_jmp_far_indirect() || code.is_call_far_indirect() || code.is_jmp_far() || code.is_call_far()
    }

    /// Offset and selector of a far jump or call, and their width on the stack. The selector has been checked.
    fn far_target(&mut self) -> Result<(Slot, Slot, Width), Unknown> {
        let (offset, selector, width) = match self.inst.op0_kind() {
            OpKind::FarBranch32 => {
                let offset = self.constant(self.inst.far_branch32().into());
                (offset, self.constant(self.inst.far_branch_selector().into()), Width::W32)
            }
            OpKind::FarBranch16 => {
                let offset = self.constant(self.inst.far_branch16().into());
                (offset, self.constant(self.inst.far_branch_selector().into()), Width::W16)
            }
            _ => {
                let width = Width::from_bytes(self.inst.memory_size().size() - 2);
                let addr = self.address()?;
                let offset = self.load(width, addr);
                (offset, self.load(Width::W16, addr.plus(width.bytes().into())), width)
            }
        };
        self.check_code_selector(selector);
        Ok((offset, selector, width))
    }

    fn check_code_selector(&mut self, selector: Slot) {
        self.emit(Op::Helper { helper: Helper::FarTransfer, a: selector.0, b: 0, c: 0, imm: 0 });
    }

    fn far_jump(&mut self) -> Lifted {
        let (src, selector, _) = self.far_target()?;
        self.end(Op::JumpFar { src, selector });
        Ok(())
    }

    fn far_call(&mut self) -> Lifted {
        let (src, to, width) = self.far_target()?;
        let bytes = i32::from(width.bytes());
        let selector = if self.mode == Mode::Long { USER_CODE_64 } else { USER_CODE_32 }.into();
        for (place, value) in [(1, selector), (2, self.inst.next_ip())] {
            let value = self.constant(value);
            let addr = self.stack_addr(-bytes * place);
            self.store(width, addr, value);
        }
        self.move_stack(-2 * bytes);
        self.end(Op::JumpFar { src, selector: to });
        Ok(())
    }

    fn far_return(&mut self) -> Lifted {
        let extra = if self.inst.op_count() == 1 { i32::from(self.inst.immediate16()) } else { 0 };
        let width = match self.code() {
            iced_x86::Code::Retfw | iced_x86::Code::Retfw_imm16 => Width::W16,
            iced_x86::Code::Retfd | iced_x86::Code::Retfd_imm16 => Width::W32,
            _ => Width::W64,
        };
        let bytes = i32::from(width.bytes());
        let src = self.load(width, Addr::at(RSP));
        let addr = self.stack_addr(bytes);
        let selector = self.load(Width::W16, addr);
        self.emit(Op::Helper { helper: Helper::FarTransfer, a: selector.0, b: 0, c: 0, imm: 1 });
        self.move_stack(2 * bytes + extra);
        self.end(Op::JumpFar { src, selector });
        Ok(())
    }
}
