//! Data movement: copies, extensions, exchanges, addresses.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, RAX, Unknown};
use crate::flags::Width;
use crate::ir::{Mem, Op, Slot, Unary, slot};

impl Lifter<'_> {
    pub(super) fn mov(&mut self) -> Lifted {
        if self.inst.op0_kind() == OpKind::Register
            && let Some(dst) = self.direct(0)
        {
            return self.mov_direct(dst);
        }
        let value = self.read(1)?;
        self.write(0, value)
    }

    /// Into a 32- or 64-bit register without scratch between.
    fn mov_direct(&mut self, dst: Slot) -> Lifted {
        let width = self.width(0);
        match self.inst.op1_kind() {
            OpKind::Register => {
                let src = self.read(1)?;
                let operands = Unary { dst, src };
                self.emit(if width == Width::W64 { Op::Move(operands) } else { Op::Zext32(operands) });
            }
            OpKind::Memory => {
                let addr = self.address()?;
                self.load_to(dst, width, addr);
            }
            _ => {
                let value = self.inst.try_immediate(1).map_err(|_| Unknown)?;
                self.set_constant(dst, value & width.mask());
            }
        }
        Ok(())
    }

    pub(super) fn movzx(&mut self) -> Lifted {
        let value = self.read_zero_extended(1)?;
        self.write(0, value)
    }

    pub(super) fn movsx(&mut self) -> Lifted {
        let (from, to) = (self.width(1), self.width(0));
        let value = self.read(1)?;
        let op = match (from, to) {
            (Width::W8, Width::W64) => Op::Sext8To64,
            (Width::W16, Width::W64) => Op::Sext16To64,
            (Width::W32, Width::W64) => Op::Sext32To64,
            (Width::W8, _) => Op::Sext8To32,
            (Width::W16, _) => Op::Sext16To32,
            _ => Op::Zext32,
        };
        self.write_unary(0, op, value)
    }

    fn swap_bytes(&mut self, width: Width, value: Slot) -> Slot {
        match width {
            Width::W64 => self.unary(Op::Swap64, value),
            Width::W32 => self.unary(Op::Swap32, value),
            _ => {
                let swapped = self.unary(Op::Swap32, value);
                self.with_imm(Op::ShrImm32, swapped, 16)
            }
        }
    }

    pub(super) fn movbe(&mut self) -> Lifted {
        let value = self.read(1)?;
        let swapped = self.swap_bytes(self.width(0), value);
        self.write(0, swapped)
    }

    pub(super) fn bswap(&mut self) -> Lifted {
        let width = self.width(0);
        if width == Width::W16 {
            // Undefined; processors clear the register's low half.
            return self.write(0, slot::ZERO);
        }
        let value = self.read(0)?;
        let op = if width == Width::W64 { Op::Swap64 } else { Op::Swap32 };
        self.write_unary(0, op, value)
    }

    pub(super) fn lea(&mut self) -> Lifted {
        let width = self.width(0);
        let addr = self.offset()?;
        if let Some(value) = self.direct(0) {
            let mem = Mem { value, addr };
            self.emit(if width == Width::W64 { Op::Lea(mem) } else { Op::Lea32(mem) });
            return Ok(());
        }
        let value = self.scratch();
        self.emit(Op::Lea32(Mem { value, addr }));
        self.write(0, value)
    }

    pub(super) fn xchg(&mut self) -> Lifted {
        let (left, right) = (self.read(0)?, self.read(1)?);
        // Registers are read in place: take the first value out of the way.
        let left = if self.is_memory(0) { left } else { self.unary(Op::Move, left) };
        let right = if self.is_memory(1) { right } else { self.unary(Op::Move, right) };
        // Memory first: it may fault.
        if self.is_memory(1) {
            self.write(1, left)?;
            return self.write(0, right);
        }
        self.write(0, right)?;
        self.write(1, left)
    }

    pub(super) fn widen_accumulator(&mut self) -> Lifted {
        let (op, register): (fn(Unary) -> Op, _) = match self.mnemonic() {
            Mnemonic::Cbw => (Op::Sext8To32, Register::AX),
            Mnemonic::Cwde => (Op::Sext16To32, Register::EAX),
            _ => (Op::Sext32To64, Register::RAX),
        };
        let value = self.unary(op, RAX);
        self.write_register(register, value)
    }

    pub(super) fn sign_to_rdx(&mut self) -> Lifted {
        let (width, register) = match self.mnemonic() {
            Mnemonic::Cwd => (Width::W16, Register::DX),
            Mnemonic::Cdq => (Width::W32, Register::EDX),
            _ => (Width::W64, Register::RDX),
        };
        let value = self.sign_extend(width, RAX);
        let sign = self.with_imm(Op::SarImm64, value, 63);
        self.write_register(register, sign)
    }
}
