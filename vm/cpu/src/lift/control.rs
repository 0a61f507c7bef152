//! Jumps, calls, conditions, the stack, string instructions, system instructions.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{KnownFlags, Lifted, Lifter, Unknown};
use crate::exit::Exception;
use crate::flags::{Condition, FlagKind, FlagOp, Width};
use crate::helper::Helper;
use crate::helper::string::{Kind, Repeat, Spec};
use crate::ir::{Addr, Compare, Fork, Op, Slot, Unary, WithImm, slot};
use crate::state::{Mode, reg};

const RAX: Slot = Slot(reg::RAX as u8);
const RCX: Slot = Slot(reg::RCX as u8);
const RSP: Slot = Slot(reg::RSP as u8);
const RBP: Slot = Slot(reg::RBP as u8);

/// A comparison of two slots, perhaps to be negated.
struct Test {
    compare: Compare,
    a: Slot,
    b: Slot,
    negated: bool,
}

impl Lifter<'_> {
    /// Lifts the instruction if it belongs here.
    pub(super) fn control(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        let inst = self.inst;
        if inst.is_jcc_short_or_near() {
            return Some(self.jcc());
        }
        if inst.is_string_instruction() {
            return self.string();
        }
        Some(match self.mnemonic() {
            M::Jmp => self.jmp(),
            M::Call => self.call(),
            M::Ret => self.ret(),
            M::Jrcxz | M::Jecxz | M::Jcxz => self.jump_if_count_zero(),
            M::Loop | M::Loope | M::Loopne => self.loop_count(),
            M::Push => self.push(),
            M::Pop => self.pop(),
            M::Leave => self.leave(),
            M::Pushfq | M::Pushfd | M::Pushf => self.push_flags(),
            M::Popfq | M::Popfd | M::Popf => self.pop_flags(),
            M::Lahf => self.lahf(),
            M::Sahf => self.sahf(),
            M::Clc => self.carry(|_, _| slot::ZERO),
            M::Stc => self.carry(|lifter, _| lifter.constant(1)),
            M::Cmc => self.carry(|lifter, old| {
                let one = lifter.constant(1);
                lifter.binary(Op::Xor32, old, one)
            }),
            M::Cld => self.direction(0),
            M::Std => self.direction(1),
            M::Xlatb => self.xlat(),
            M::Cpuid => self.helper(Helper::Cpuid, 0),
            M::Rdfsbase => self.read_base(slot::FS_BASE),
            M::Rdgsbase => self.read_base(slot::GS_BASE),
            M::Wrfsbase => self.write_base(slot::FS_BASE),
            M::Wrgsbase => self.write_base(slot::GS_BASE),
            M::Rdtsc => self.helper(Helper::TimeStamp, 0),
            M::Rdtscp => self.helper(Helper::TimeStamp, 1),
            M::Nop
            | M::Reservednop
            | M::Pause
            | M::Endbr64
            | M::Endbr32
            | M::Lfence
            | M::Sfence
            | M::Mfence
            | M::Prefetchnta
            | M::Prefetcht0
            | M::Prefetcht1
            | M::Prefetcht2
            | M::Prefetchw
            | M::Prefetch
            | M::Rdsspd
            | M::Rdsspq => Ok(()),
            // There is nothing to flush, but it may fault.
            M::Clflush | M::Clflushopt | M::Clwb => self.address().map(|addr| {
                self.load(Width::W8, addr);
            }),
            M::Syscall if self.mode == Mode::Long => {
                self.end(Op::Syscall);
                Ok(())
            }
            M::Sysenter => {
                self.end(Op::Sysenter);
                Ok(())
            }
            M::Int3 => self.trap(Exception::Breakpoint),
            M::Int => {
                let vector = inst.immediate8();
                self.end(Op::Interrupt { vector });
                Ok(())
            }
            _ => return self.by_condition(),
        })
    }

    fn trap(&mut self, exception: Exception) -> Lifted {
        self.raise(exception);
        Ok(())
    }

    pub(super) fn helper(&mut self, helper: Helper, imm: u32) -> Lifted {
        self.emit(Op::Helper { helper, a: 0, b: 0, c: 0, imm });
        Ok(())
    }

    fn read_base(&mut self, base: Slot) -> Lifted {
        let op = if self.width(0) == Width::W64 { Op::Move } else { Op::Zext32 };
        self.write_unary(0, op, base)
    }

    fn write_base(&mut self, base: Slot) -> Lifted {
        let value = self.read_zero_extended(0)?;
        self.emit(Op::Helper { helper: Helper::Canonical, a: value.0, b: 0, c: 0, imm: 0 });
        self.emit(Op::Move(Unary { dst: base, src: value }));
        Ok(())
    }

    /// SETcc and CMOVcc.
    fn by_condition(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        let condition = condition(self.inst.condition_code())?;
        match self.mnemonic() {
            M::Seto
            | M::Setno
            | M::Setb
            | M::Setae
            | M::Sete
            | M::Setne
            | M::Setbe
            | M::Seta
            | M::Sets
            | M::Setns
            | M::Setp
            | M::Setnp
            | M::Setl
            | M::Setge
            | M::Setle
            | M::Setg => Some(self.setcc(condition)),
            M::Cmovo
            | M::Cmovno
            | M::Cmovb
            | M::Cmovae
            | M::Cmove
            | M::Cmovne
            | M::Cmovbe
            | M::Cmova
            | M::Cmovs
            | M::Cmovns
            | M::Cmovp
            | M::Cmovnp
            | M::Cmovl
            | M::Cmovge
            | M::Cmovle
            | M::Cmovg => Some(self.cmov(condition)),
            _ => None,
        }
    }

    // ---- conditions ----

    /// The comparison a condition amounts to, if the slots the flags come from still have their values.
    fn test_for(&self, condition: Condition) -> Option<Test> {
        let KnownFlags { kind, a, b, operands, result } = self.known?;
        let wide = kind.width == Width::W64;
        if !wide && kind.width != Width::W32 {
            return None;
        }
        let pick = |narrow: Compare, full: Compare| if wide { full } else { narrow };
        let negated = condition.is_negated();
        let class = condition as u8 >> 1;
        let zero = |compare| result.map(|a| Test { compare, a, b: slot::ZERO, negated });
        match (kind.op, class) {
            (FlagOp::Sub, 1..=3 | 6 | 7) if operands => {
                let compare = match class {
                    1 => pick(Compare::LtU32, Compare::LtU64),
                    2 => pick(Compare::Eq32, Compare::Eq64),
                    3 => pick(Compare::LeU32, Compare::LeU64),
                    6 => pick(Compare::LtS32, Compare::LtS64),
                    _ => pick(Compare::LeS32, Compare::LeS64),
                };
                Some(Test { compare, a, b, negated })
            }
            // Overflow and carry are clear after AND, OR, XOR: signed conditions look at the result alone.
            (FlagOp::Logic, 6) => zero(pick(Compare::LtS32, Compare::LtS64)),
            (FlagOp::Logic, 7) => zero(pick(Compare::LeS32, Compare::LeS64)),
            (FlagOp::Bits | FlagOp::Mul, _) => None,
            (_, 2) => zero(pick(Compare::Eq32, Compare::Eq64)),
            (_, 4) => zero(pick(Compare::LtS32, Compare::LtS64)),
            _ => None,
        }
    }

    /// 1 or 0 in a slot.
    fn condition_value(&mut self, condition: Condition) -> Slot {
        let dst = self.scratch();
        let Some(Test { compare, a, b, negated }) = self.test_for(condition) else {
            self.emit(Op::Condition { dst, condition });
            return dst;
        };
        let (compare, a, b) = if negated { negate(compare, a, b) } else { (compare, a, b) };
        self.emit(Op::Compare { compare, dst, a, b });
        dst
    }

    fn setcc(&mut self, condition: Condition) -> Lifted {
        if self.is_memory(0) {
            // The store may fault, and the instruction begin anew: the flags themselves must still be there then.
            let dst = self.scratch();
            self.emit(Op::Condition { dst, condition });
            return self.write(0, dst);
        }
        let value = self.condition_value(condition);
        self.write(0, value)
    }

    fn cmov(&mut self, condition: Condition) -> Lifted {
        let src = self.read(1)?;
        let condition = self.condition_value(condition);
        match self.direct(0) {
            Some(dst) if self.width(0) == Width::W64 => self.emit(Op::MoveIf { dst, src, condition }),
            Some(dst) => {
                // The upper half is cleared either way.
                self.emit(Op::MoveIf { dst, src, condition });
                self.emit(Op::Zext32(Unary { dst, src: dst }));
            }
            None => {
                let old = self.read(0)?;
                let value = self.unary(Op::Move, old);
                self.emit(Op::MoveIf { dst: value, src, condition });
                self.write(0, value)?;
            }
        }
        Ok(())
    }

    // ---- jumps ----

    /// Two exits, the second taken when `op` says so.
    fn fork(&mut self, taken: u64, op: impl FnOnce(u32) -> Op) -> Lifted {
        let exit = self.exit(self.inst.next_ip());
        self.exit(taken);
        self.end(op(exit));
        Ok(())
    }

    fn jcc(&mut self) -> Lifted {
        let condition = condition(self.inst.condition_code()).ok_or(Unknown)?;
        let (next, target) = (self.inst.next_ip(), self.inst.near_branch_target());
        let Some(Test { compare, a, b, negated }) = self.test_for(condition) else {
            return self.fork(target, |exit| Op::BranchFlags { condition, exit });
        };
        // A negated comparison has its exits exchanged.
        let (no, yes) = if negated { (target, next) } else { (next, target) };
        let exit = self.exit(no);
        self.exit(yes);
        self.end(branch(compare, Fork { a, b, exit }));
        Ok(())
    }

    fn jmp(&mut self) -> Lifted {
        match self.inst.op0_kind() {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                self.jump(self.inst.near_branch_target());
            }
            OpKind::Register | OpKind::Memory => {
                let src = self.read_zero_extended(0)?;
                self.end(Op::JumpIndirect { src });
            }
            _ => return Err(Unknown),
        }
        Ok(())
    }

    fn call(&mut self) -> Lifted {
        let direct = match self.inst.op0_kind() {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => Some(self.inst.near_branch_target()),
            _ => None,
        };
        // Read before the push moves RSP; copied because the target may be RSP itself.
        let indirect = match direct {
            Some(_) => slot::ZERO,
            None => {
                let target = self.read_zero_extended(0)?;
                self.unary(Op::Move, target)
            }
        };
        self.returns_to = Some(self.inst.next_ip());
        let back = self.constant(self.inst.next_ip());
        self.push_value(self.return_width(), back);
        match direct {
            Some(target) => self.jump(target),
            None => self.end(Op::JumpIndirect { src: indirect }),
        }
        Ok(())
    }

    fn ret(&mut self) -> Lifted {
        let width = self.return_width();
        let src = self.load(width, Addr::at(RSP));
        let extra = if self.inst.op_count() == 1 { i32::from(self.inst.immediate16()) } else { 0 };
        self.move_stack(i32::from(width.bytes()) + extra);
        self.is_return = true;
        self.end(Op::JumpIndirect { src });
        Ok(())
    }

    /// Width of a return address: 32-bit code can have it cut to 16 bits.
    fn return_width(&self) -> Width {
        use iced_x86::Code::*;
        match self.code() {
            Call_rel16 | Call_rm16 | Retnw | Retnw_imm16 if self.mode == Mode::Compat => Width::W16,
            _ => self.stack_width(),
        }
    }

    /// Width of the count register of JCXZ and LOOP.
    fn count_width(&self) -> Width {
        use iced_x86::Code::*;
        match self.code() {
            Jrcxz_rel8_16 | Jrcxz_rel8_64 | Loop_rel8_16_RCX | Loop_rel8_64_RCX | Loope_rel8_16_RCX
            | Loope_rel8_64_RCX | Loopne_rel8_16_RCX | Loopne_rel8_64_RCX => Width::W64,
            Jecxz_rel8_16 | Jecxz_rel8_32 | Jecxz_rel8_64 | Loop_rel8_16_ECX | Loop_rel8_32_ECX | Loop_rel8_64_ECX
            | Loope_rel8_16_ECX | Loope_rel8_32_ECX | Loope_rel8_64_ECX | Loopne_rel8_16_ECX | Loopne_rel8_32_ECX
            | Loopne_rel8_64_ECX => Width::W32,
            _ => Width::W16,
        }
    }

    fn jump_if_count_zero(&mut self) -> Lifted {
        let count = self.zero_extend(self.count_width(), RCX);
        self.fork(self.inst.near_branch_target(), |exit| Op::BranchEq64(Fork { a: count, b: slot::ZERO, exit }))
    }

    fn loop_count(&mut self) -> Lifted {
        let width = self.count_width();
        let reduced = self.with_imm(Op::AddImm64, RCX, -1);
        let register = match width {
            Width::W64 => Register::RCX,
            Width::W32 => Register::ECX,
            _ => Register::CX,
        };
        self.write_register(register, reduced)?;
        let count = self.zero_extend(width, RCX);
        let mut more = self.scratch();
        self.emit(Op::Compare { compare: Compare::Ne64, dst: more, a: count, b: slot::ZERO });
        let also = match self.mnemonic() {
            Mnemonic::Loope => Some(Condition::E),
            Mnemonic::Loopne => Some(Condition::Ne),
            _ => None,
        };
        if let Some(condition) = also {
            let holds = self.condition_value(condition);
            more = self.binary(Op::And32, more, holds);
        }
        // Equal to zero means "go on": exits in that order.
        let exit = self.exit(self.inst.near_branch_target());
        self.exit(self.inst.next_ip());
        self.end(Op::BranchEq64(Fork { a: more, b: slot::ZERO, exit }));
        Ok(())
    }

    // ---- stack ----

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

    fn push(&mut self) -> Lifted {
        let width = self.push_width();
        let value = self.read(0)?;
        self.push_value(width, value);
        Ok(())
    }

    fn pop(&mut self) -> Lifted {
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

    fn leave(&mut self) -> Lifted {
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

    fn push_flags(&mut self) -> Lifted {
        let flags = self.scratch();
        self.emit(Op::Helper { helper: Helper::ReadFlags, a: flags.0, b: 0, c: 0, imm: 0 });
        self.push_value(self.push_width(), flags);
        Ok(())
    }

    fn pop_flags(&mut self) -> Lifted {
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

    fn lahf(&mut self) -> Lifted {
        let flags = self.scratch();
        self.emit(Op::GetFlags { dst: flags });
        let fixed = self.constant(2);
        // All status flags but OF lie in the low byte; bit 1 is always set.
        let low = self.binary(Op::Or32, flags, fixed);
        self.write_register(Register::AH, low)
    }

    fn sahf(&mut self) -> Lifted {
        let ah = self.unary(Op::High8, RAX);
        let old = self.scratch();
        self.emit(Op::GetFlags { dst: old });
        let overflow = self.with_imm(Op::AndImm64, old, crate::state::rflags::OF as i32);
        let flags = self.binary(Op::Or64, ah, overflow);
        self.set_flags(FlagKind::BITS, flags, slot::ZERO, None);
        Ok(())
    }

    fn carry(&mut self, new: impl FnOnce(&mut Self, Slot) -> Slot) -> Lifted {
        let old = self.scratch();
        self.emit(Op::Condition { dst: old, condition: Condition::B });
        let bit = new(self, old);
        self.set_carry(bit);
        Ok(())
    }

    fn direction(&mut self, value: i32) -> Lifted {
        self.emit(Op::Const { dst: slot::DIRECTION, value });
        Ok(())
    }

    // ---- strings ----

    fn xlat(&mut self) -> Lifted {
        let base = Slot(reg::RBX as u8);
        let index = self.unary(Op::Zext8, RAX);
        let mut addr = Addr { base, index, shift: 0, disp: 0 };
        if self.mode == Mode::Compat {
            addr = self.wrap32(addr);
        }
        if let Some(segment) = self.segment_base() {
            let at = self.flat(addr);
            addr = Addr { base: segment, index: at, shift: 0, disp: 0 };
        }
        let value = self.load(Width::W8, addr);
        self.write_register(Register::AL, value)
    }

    fn string(&mut self) -> Option<Lifted> {
        use Mnemonic as M;
        let (kind, width) = match self.mnemonic() {
            M::Movsb => (Kind::Move, Width::W8),
            M::Movsw => (Kind::Move, Width::W16),
            M::Movsd => (Kind::Move, Width::W32),
            M::Movsq => (Kind::Move, Width::W64),
            M::Stosb => (Kind::Store, Width::W8),
            M::Stosw => (Kind::Store, Width::W16),
            M::Stosd => (Kind::Store, Width::W32),
            M::Stosq => (Kind::Store, Width::W64),
            M::Lodsb => (Kind::Load, Width::W8),
            M::Lodsw => (Kind::Load, Width::W16),
            M::Lodsd => (Kind::Load, Width::W32),
            M::Lodsq => (Kind::Load, Width::W64),
            M::Scasb => (Kind::Scan, Width::W8),
            M::Scasw => (Kind::Scan, Width::W16),
            M::Scasd => (Kind::Scan, Width::W32),
            M::Scasq => (Kind::Scan, Width::W64),
            M::Cmpsb => (Kind::Compare, Width::W8),
            M::Cmpsw => (Kind::Compare, Width::W16),
            M::Cmpsd => (Kind::Compare, Width::W32),
            M::Cmpsq => (Kind::Compare, Width::W64),
            _ => return Some(self.trap(Exception::GeneralProtection(0))),
        };
        let repeat = match () {
            () if self.inst.has_repne_prefix() => Repeat::WhileNotEqual,
            () if self.inst.has_rep_prefix() => Repeat::WhileEqual,
            () => Repeat::Once,
        };
        let pointer = |operand: u32| {
            matches!(self.inst.op_kind(operand), OpKind::MemorySegESI | OpKind::MemoryESEDI | OpKind::MemorySegEDI)
        };
        let addr32 = (0..self.inst.op_count()).any(pointer);
        let spec = Spec { kind, width, repeat, addr32 };
        let base = self.segment_base().unwrap_or(slot::ZERO);
        self.emit(Op::Helper { helper: Helper::String, a: base.0, b: 0, c: 0, imm: spec.encode() });
        // Index registers move too, which the operation's operand list has no room for.
        self.known = None;
        if matches!(kind, Kind::Scan | Kind::Compare) {
            self.take_new_flags();
        }
        Some(Ok(()))
    }
}

/// The condition of Jcc, SETcc and CMOVcc.
fn condition(code: iced_x86::ConditionCode) -> Option<Condition> {
    use iced_x86::ConditionCode as C;
    Some(match code {
        C::o => Condition::O,
        C::no => Condition::No,
        C::b => Condition::B,
        C::ae => Condition::Ae,
        C::e => Condition::E,
        C::ne => Condition::Ne,
        C::be => Condition::Be,
        C::a => Condition::A,
        C::s => Condition::S,
        C::ns => Condition::Ns,
        C::p => Condition::P,
        C::np => Condition::Np,
        C::l => Condition::L,
        C::ge => Condition::Ge,
        C::le => Condition::Le,
        C::g => Condition::G,
        _ => return None,
    })
}

/// The opposite comparison; orders turn round by exchanging the operands.
fn negate(compare: Compare, a: Slot, b: Slot) -> (Compare, Slot, Slot) {
    use Compare::*;
    match compare {
        Eq32 => (Ne32, a, b),
        Ne32 => (Eq32, a, b),
        LtU32 => (LeU32, b, a),
        LeU32 => (LtU32, b, a),
        LtS32 => (LeS32, b, a),
        LeS32 => (LtS32, b, a),
        Eq64 => (Ne64, a, b),
        Ne64 => (Eq64, a, b),
        LtU64 => (LeU64, b, a),
        LeU64 => (LtU64, b, a),
        LtS64 => (LeS64, b, a),
        LeS64 => (LtS64, b, a),
    }
}

fn branch(compare: Compare, fork: Fork) -> Op {
    match compare {
        Compare::Eq32 | Compare::Ne32 => Op::BranchEq32(fork),
        Compare::LtU32 => Op::BranchLtU32(fork),
        Compare::LeU32 => Op::BranchLeU32(fork),
        Compare::LtS32 => Op::BranchLtS32(fork),
        Compare::LeS32 => Op::BranchLeS32(fork),
        Compare::Eq64 | Compare::Ne64 => Op::BranchEq64(fork),
        Compare::LtU64 => Op::BranchLtU64(fork),
        Compare::LeU64 => Op::BranchLeU64(fork),
        Compare::LtS64 => Op::BranchLtS64(fork),
        Compare::LeS64 => Op::BranchLeS64(fork),
    }
}
