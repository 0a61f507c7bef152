//! The floating-point stack: every instruction is one call of the x87 helper.

use iced_x86::{MemorySize, Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, Unit, Unknown};
use crate::flags::Condition;
use crate::helper::Helper;
use crate::ir::{Op, Slot, slot};
use crate::x87::spec::{Constant, Operand, Operation, Spec};

impl Lifter<'_> {
    /// Lifts the instruction if it belongs here.
    pub(super) fn x87(&mut self) -> Option<Lifted> {
        let mnemonic = self.mnemonic();
        if let Some(operation) = alone(mnemonic) {
            return Some(self.emit_x87(Spec::new(operation), slot::ZERO));
        }
        if let Some(constant) = constant(mnemonic) {
            let spec = Spec { st: constant as u8, ..Spec::new(Operation::Constant) };
            return Some(self.emit_x87(spec, slot::ZERO));
        }
        if let Some(condition) = move_condition(mnemonic) {
            return Some(self.move_if(condition));
        }
        let (operation, pops) = with_operand(mnemonic)?;
        Some(self.x87_operand(operation, pops))
    }

    /// Whether an MMX register is among the operands: then pending exceptions are raised first.
    pub(super) fn is_mmx_instruction(&self) -> bool {
        (0..self.inst.op_count()).any(|i| self.inst.op_register(i).is_mm())
    }

    pub(super) fn wait(&mut self) {
        let imm = Spec::new(Operation::Wait).encode();
        self.emit(Op::Helper { helper: Helper::X87, a: slot::ZERO.0, b: 0, c: 0, imm });
    }

    fn emit_x87(&mut self, spec: Spec, operand: Slot) -> Lifted {
        if matches!(spec.operation, Operation::StoreStatus | Operation::StoreStatusAx | Operation::StoreEnvironment) {
            self.note_look(Unit::X87);
        }
        let imm = Spec { opcode: self.x87_opcode(), ..spec }.encode();
        self.emit(Op::Helper { helper: Helper::X87, a: operand.0, b: 0, c: 0, imm });
        match spec.operation {
            Operation::Init | Operation::Save => self.set_constant(slot::X87_INSTRUCTION, 0),
            operation if !operation.is_control() || self.mnemonic() == Mnemonic::Fnop => {
                self.set_constant(slot::X87_INSTRUCTION, self.inst.ip());
            }
            _ => {}
        }
        if spec.sets_flags() {
            self.take_new_flags();
        }
        Ok(())
    }

    /// The instruction at hand as FOP has it.
    fn x87_opcode(&self) -> u16 {
        let end = self.decoder.position();
        let bytes = &self.window[end - self.inst.len()..end];
        let escape = bytes.windows(2).find(|pair| (0xd8..=0xdf).contains(&pair[0]));
        escape.map_or(0, |pair| u16::from(pair[0] & 7) << 8 | u16::from(pair[1]))
    }

    fn move_if(&mut self, condition: Condition) -> Lifted {
        let dst = self.scratch();
        self.emit(Op::Condition { dst, condition });
        let st = st_index(self.inst.op1_register());
        self.emit_x87(Spec { st, ..Spec::new(Operation::MoveIf) }, dst)
    }

    fn x87_operand(&mut self, operation: Operation, pops: u8) -> Lifted {
        let memory = (0..self.inst.op_count()).any(|i| self.inst.op_kind(i) == OpKind::Memory);
        if operation == Operation::StoreStatus && !memory {
            return self.emit_x87(Spec::new(Operation::StoreStatusAx), slot::ZERO);
        }
        if memory {
            let addr = self.address()?;
            let at = self.flat(addr);
            let size = self.inst.memory_size();
            let operand = memory_operand(size).unwrap_or(Operand::Register);
            let narrow = matches!(size, MemorySize::FpuEnv14 | MemorySize::FpuState94);
            return self.emit_x87(Spec { operand, pops, narrow, ..Spec::new(operation) }, at);
        }
        let registers = [self.inst.op0_register(), self.inst.op1_register()];
        if !registers.iter().all(|register| *register == Register::None || register.is_st()) {
            return Err(Unknown);
        }
        let two = registers[1] != Register::None;
        let arithmetic = matches!(
            operation,
            Operation::Add
                | Operation::Sub
                | Operation::SubReversed
                | Operation::Mul
                | Operation::Div
                | Operation::DivReversed
        );
        // "ST(i), ST(0)" has ST(i) as destination; "ST(0), ST(i)" and a lone register name the other operand. FADD
        // ST(0), ST(0) is both.
        let to_register = arithmetic && two && registers[1] == Register::ST0 && !is_top_first(self.code());
        let other = if two && !to_register { registers[1] } else { registers[0] };
        let implicit = matches!(self.mnemonic(), Mnemonic::Fcompp | Mnemonic::Fucompp);
        let st = if implicit { 1 } else { st_index(other) };
        self.emit_x87(Spec { st, to_register, pops, ..Spec::new(operation) }, slot::ZERO)
    }
}

/// Forms whose first operand is always ST(0).
fn is_top_first(code: iced_x86::Code) -> bool {
    use iced_x86::Code::*;
    matches!(code, Fadd_st0_sti | Fmul_st0_sti | Fsub_st0_sti | Fsubr_st0_sti | Fdiv_st0_sti | Fdivr_st0_sti)
}

fn st_index(register: Register) -> u8 {
    if register.is_st() { register.number() as u8 } else { 0 }
}

fn memory_operand(size: MemorySize) -> Option<Operand> {
    Some(match size {
        MemorySize::Float32 => Operand::F32,
        MemorySize::Float64 => Operand::F64,
        MemorySize::Float80 => Operand::F80,
        MemorySize::Int16 => Operand::I16,
        MemorySize::Int32 => Operand::I32,
        MemorySize::Int64 => Operand::I64,
        MemorySize::Bcd => Operand::Bcd,
        _ => return None,
    })
}

/// Instructions without operands.
fn alone(mnemonic: Mnemonic) -> Option<Operation> {
    use Mnemonic as M;
    use Operation as O;
    Some(match mnemonic {
        M::Fchs => O::ChangeSign,
        M::Fabs => O::Absolute,
        M::Ftst => O::Test,
        M::Fxam => O::Examine,
        M::Fsqrt => O::SquareRoot,
        M::Frndint => O::RoundToInt,
        M::Fincstp => O::IncrementTop,
        M::Fdecstp => O::DecrementTop,
        M::Fninit | M::Finit => O::Init,
        M::Fnclex | M::Fclex => O::ClearExceptions,
        M::Wait | M::Fnop => O::Wait,
        M::Emms => O::Empty,
        M::Fscale => O::Scale,
        M::Fprem => O::Remainder,
        M::Fprem1 => O::RemainderNearest,
        M::Fxtract => O::Extract,
        M::Fsin => O::Sine,
        M::Fcos => O::Cosine,
        M::Fsincos => O::SineCosine,
        M::Fptan => O::Tangent,
        M::Fpatan => O::ArcTangent,
        M::F2xm1 => O::PowerMinusOne,
        M::Fyl2x => O::YLog2X,
        M::Fyl2xp1 => O::YLog2XPlusOne,
        _ => return None,
    })
}

fn constant(mnemonic: Mnemonic) -> Option<Constant> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Fld1 => Constant::One,
        M::Fldl2t => Constant::Log2Of10,
        M::Fldl2e => Constant::Log2OfE,
        M::Fldpi => Constant::Pi,
        M::Fldlg2 => Constant::Log10Of2,
        M::Fldln2 => Constant::LnOf2,
        M::Fldz => Constant::Zero,
        _ => return None,
    })
}

fn move_condition(mnemonic: Mnemonic) -> Option<Condition> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Fcmovb => Condition::B,
        M::Fcmovnb => Condition::Ae,
        M::Fcmove => Condition::E,
        M::Fcmovne => Condition::Ne,
        M::Fcmovbe => Condition::Be,
        M::Fcmovnbe => Condition::A,
        M::Fcmovu => Condition::P,
        M::Fcmovnu => Condition::Np,
        _ => return None,
    })
}

/// The operation, and how many registers it pops.
fn with_operand(mnemonic: Mnemonic) -> Option<(Operation, u8)> {
    use Mnemonic as M;
    use Operation as O;
    Some(match mnemonic {
        M::Fld | M::Fild | M::Fbld => (O::Load, 0),
        M::Fst | M::Fist => (O::Store, 0),
        M::Fstp | M::Fistp | M::Fbstp | M::Fstpnce => (O::Store, 1),
        M::Fisttp => (O::StoreTruncated, 1),
        M::Fadd | M::Fiadd => (O::Add, 0),
        M::Faddp => (O::Add, 1),
        M::Fsub | M::Fisub => (O::Sub, 0),
        M::Fsubp => (O::Sub, 1),
        M::Fsubr | M::Fisubr => (O::SubReversed, 0),
        M::Fsubrp => (O::SubReversed, 1),
        M::Fmul | M::Fimul => (O::Mul, 0),
        M::Fmulp => (O::Mul, 1),
        M::Fdiv | M::Fidiv => (O::Div, 0),
        M::Fdivp => (O::Div, 1),
        M::Fdivr | M::Fidivr => (O::DivReversed, 0),
        M::Fdivrp => (O::DivReversed, 1),
        M::Fcom | M::Ficom => (O::Compare, 0),
        M::Fcomp | M::Ficomp => (O::Compare, 1),
        M::Fcompp => (O::Compare, 2),
        M::Fucom => (O::CompareUnordered, 0),
        M::Fucomp => (O::CompareUnordered, 1),
        M::Fucompp => (O::CompareUnordered, 2),
        M::Fcomi => (O::CompareToFlags, 0),
        M::Fcomip => (O::CompareToFlags, 1),
        M::Fucomi => (O::CompareUnorderedToFlags, 0),
        M::Fucomip => (O::CompareUnorderedToFlags, 1),
        M::Fxch => (O::Exchange, 0),
        M::Ffree => (O::Free, 0),
        M::Ffreep => (O::Free, 1),
        M::Fldcw => (O::LoadControl, 0),
        M::Fnstcw | M::Fstcw => (O::StoreControl, 0),
        M::Fnstsw | M::Fstsw => (O::StoreStatus, 0),
        M::Fnstenv | M::Fstenv => (O::StoreEnvironment, 0),
        M::Fldenv => (O::LoadEnvironment, 0),
        M::Fnsave | M::Fsave => (O::Save, 0),
        M::Frstor => (O::Restore, 0),
        _ => return None,
    })
}
