//! Jumps, calls, conditions, system instructions.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{KnownFlags, Lifted, Lifter, RCX, RSP, Unknown};
use crate::exit::Exception;
use crate::flags::{Condition, FlagOp, Width};
use crate::helper::Helper;
use crate::ir::{Addr, Compare, Fork, Op, Slot, Unary, slot};
use crate::state::Mode;

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

    pub(super) fn trap(&mut self, exception: Exception) -> Lifted {
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
