//! Registers, immediates and memory operands as slots and addresses.

use iced_x86::{OpKind, Register};

use super::{Lifted, Lifter, Unknown};
use crate::flags::Width;
use crate::ir::{Addr, Mem, Op, Slot, Unary, VMem, VSlot, slot};
use crate::state::Mode;

impl Lifter<'_> {
    /// Width of an integer operand.
    pub(super) fn width(&self, operand: u32) -> Width {
        let bytes = match self.inst.op_kind(operand) {
            OpKind::Register => self.inst.op_register(operand).size(),
            OpKind::Memory => self.inst.memory_size().size(),
            _ => return self.width(0),
        };
        Width::from_bytes(bytes)
    }

    pub(super) fn is_memory(&self, operand: u32) -> bool {
        self.inst.op_kind(operand) == OpKind::Memory
    }

    /// Slot of a general register, whatever part of it is meant.
    pub(super) fn gpr(&self, register: Register) -> Result<Slot, Unknown> {
        let full = register.full_register();
        if full.is_gpr64() { Ok(Slot(full.number() as u8)) } else { Err(Unknown) }
    }

    /// Value of an integer operand; only the bits of its width mean anything.
    pub(super) fn read(&mut self, operand: u32) -> Result<Slot, Unknown> {
        match self.inst.op_kind(operand) {
            OpKind::Register => self.read_register(self.inst.op_register(operand)),
            OpKind::Memory => {
                let addr = self.address()?;
                let width = self.width(operand);
                Ok(self.load(width, addr))
            }
            _ => {
                let value = self.inst.try_immediate(operand).map_err(|_| Unknown)?;
                Ok(self.constant(value))
            }
        }
    }

    pub(super) fn read_register(&mut self, register: Register) -> Result<Slot, Unknown> {
        let slot = self.gpr(register)?;
        Ok(if is_high8(register) { self.unary(Op::High8, slot) } else { slot })
    }

    /// The operand's value with the bits above its width zero.
    pub(super) fn read_zero_extended(&mut self, operand: u32) -> Result<Slot, Unknown> {
        let value = self.read(operand)?;
        // Loads and high bytes come extended.
        let from_register = self.inst.op_kind(operand) == OpKind::Register;
        let extended = !from_register || is_high8(self.inst.op_register(operand));
        let width = self.width(operand);
        Ok(if extended && !self.is_immediate(operand) { value } else { self.zero_extend(width, value) })
    }

    fn is_immediate(&self, operand: u32) -> bool {
        !matches!(self.inst.op_kind(operand), OpKind::Register | OpKind::Memory)
    }

    pub(super) fn read_sign_extended(&mut self, operand: u32) -> Result<Slot, Unknown> {
        let value = self.read(operand)?;
        let width = self.width(operand);
        Ok(if self.is_immediate(operand) { value } else { self.sign_extend(width, value) })
    }

    pub(super) fn zero_extend(&mut self, width: Width, value: Slot) -> Slot {
        match width {
            Width::W8 => self.unary(Op::Zext8, value),
            Width::W16 => self.unary(Op::Zext16, value),
            Width::W32 => self.unary(Op::Zext32, value),
            Width::W64 => value,
        }
    }

    pub(super) fn sign_extend(&mut self, width: Width, value: Slot) -> Slot {
        match width {
            Width::W8 => self.unary(Op::Sext8To64, value),
            Width::W16 => self.unary(Op::Sext16To64, value),
            Width::W32 => self.unary(Op::Sext32To64, value),
            Width::W64 => value,
        }
    }

    /// Writes a register or memory operand.
    pub(super) fn write(&mut self, operand: u32, value: Slot) -> Lifted {
        let width = self.width(operand);
        match self.inst.op_kind(operand) {
            OpKind::Register => self.write_register(self.inst.op_register(operand), value),
            OpKind::Memory => {
                let addr = self.address()?;
                self.store(width, addr, value);
                Ok(())
            }
            _ => Err(Unknown),
        }
    }

    pub(super) fn write_register(&mut self, register: Register, src: Slot) -> Lifted {
        let dst = self.gpr(register)?;
        let operands = Unary { dst, src };
        self.emit(match register.size() {
            _ if is_high8(register) => Op::InsertHigh8(operands),
            1 => Op::Insert8(operands),
            2 => Op::Insert16(operands),
            4 => Op::Zext32(operands),
            _ => Op::Move(operands),
        });
        Ok(())
    }

    /// The register slot a result of 32 or 64 bits can go to directly.
    pub(super) fn direct(&self, operand: u32) -> Option<Slot> {
        if self.inst.op_kind(operand) != OpKind::Register {
            return None;
        }
        let register = self.inst.op_register(operand);
        (register.size() >= 4).then(|| self.gpr(register).ok()).flatten()
    }

    /// Writes a result that `op` computes: straight into the destination where it has 32 or 64 bits.
    pub(super) fn write_unary(&mut self, operand: u32, op: fn(Unary) -> Op, src: Slot) -> Lifted {
        if let Some(dst) = self.direct(operand) {
            self.emit(op(Unary { dst, src }));
            return Ok(());
        }
        let value = self.unary(op, src);
        self.write(operand, value)
    }

    pub(super) fn load(&mut self, width: Width, addr: Addr) -> Slot {
        let value = self.scratch();
        self.load_to(value, width, addr);
        value
    }

    pub(super) fn load_to(&mut self, value: Slot, width: Width, addr: Addr) {
        let mem = Mem { value, addr };
        self.emit(match width {
            Width::W8 => Op::Load8(mem),
            Width::W16 => Op::Load16(mem),
            Width::W32 => Op::Load32(mem),
            Width::W64 => Op::Load64(mem),
        });
    }

    pub(super) fn store(&mut self, width: Width, addr: Addr, value: Slot) {
        let mem = Mem { value, addr };
        self.emit(match width {
            Width::W8 => Op::Store8(mem),
            Width::W16 => Op::Store16(mem),
            Width::W32 => Op::Store32(mem),
            Width::W64 => Op::Store64(mem),
        });
    }

    /// Address of the instruction's memory operand, segment base included; computed once.
    pub(super) fn address(&mut self) -> Result<Addr, Unknown> {
        if let Some(addr) = self.addr {
            return Ok(addr);
        }
        let offset = self.offset()?;
        let addr = match self.segment_base() {
            None => offset,
            Some(base) => self.add_segment(base, offset),
        };
        self.addr = Some(addr);
        Ok(addr)
    }

    /// Slot of the segment base, for the two segments that have one.
    pub(super) fn segment_base(&self) -> Option<Slot> {
        match self.inst.memory_segment() {
            Register::FS => Some(slot::FS_BASE),
            Register::GS => Some(slot::GS_BASE),
            _ => None,
        }
    }

    fn add_segment(&mut self, base: Slot, offset: Addr) -> Addr {
        if self.mode == Mode::Long {
            if offset.base == slot::ZERO {
                return Addr { base, ..offset };
            }
            if offset.index == slot::ZERO {
                return Addr { base, index: offset.base, shift: 0, disp: offset.disp };
            }
        }
        let flat = self.scratch();
        self.emit(Op::Lea(Mem { value: flat, addr: offset }));
        let sum = Addr { base, index: flat, shift: 0, disp: 0 };
        if self.mode == Mode::Long { sum } else { self.wrap32(sum) }
    }

    /// The memory operand's offset within its segment (what LEA computes).
    pub(super) fn offset(&mut self) -> Result<Addr, Unknown> {
        let inst = self.inst;
        let part = |register: Register| match register {
            Register::None | Register::RIP | Register::EIP => Ok(slot::ZERO),
            register => self.gpr(register),
        };
        let (base, index) = (part(inst.memory_base())?, part(inst.memory_index())?);
        let shift = inst.memory_index_scale().trailing_zeros() as u8;
        // Relative to rip, iced gives the absolute address.
        let displacement = inst.memory_displacement64();
        let narrow = base != slot::ZERO || index != slot::ZERO;
        let size = self.address_bytes();
        let addr = match i32::try_from(displacement as i64) {
            Ok(disp) => Addr { base, index, shift, disp },
            // A 32-bit displacement reads as a large positive number: the wrap below puts it right.
            Err(_) if narrow && size <= 4 => Addr { base, index, shift, disp: displacement as u32 as i32 },
            Err(_) => {
                let disp = self.constant(displacement);
                match (base, index) {
                    (slot::ZERO, _) => Addr { base: disp, index, shift, disp: 0 },
                    (_, slot::ZERO) => Addr { base, index: disp, shift: 0, disp: 0 },
                    _ => Addr { base: self.binary(Op::Add64, base, disp), index, shift, disp: 0 },
                }
            }
        };
        match size {
            2 => Ok(self.wrap16(addr)),
            4 if narrow => Ok(self.wrap32(addr)),
            _ => Ok(addr),
        }
    }

    /// Bytes of the memory operand's addresses.
    pub(super) fn address_bytes(&self) -> usize {
        let default = if self.mode == Mode::Long { 8 } else { 4 };
        match self.inst.memory_base().size().max(self.inst.memory_index().size()) {
            0 => default,
            bytes => bytes,
        }
    }

    /// An address modulo 2^32.
    pub(super) fn wrap32(&mut self, addr: Addr) -> Addr {
        let value = self.scratch();
        self.emit(Op::Lea32(Mem { value, addr }));
        Addr::at(value)
    }

    /// An address modulo 2^16 (16-bit addressing in 32-bit code).
    pub(super) fn wrap16(&mut self, addr: Addr) -> Addr {
        let value = self.scratch();
        self.emit(Op::Lea(Mem { value, addr }));
        let low = self.unary(Op::Zext16, value);
        Addr::at(low)
    }

    // ---- vectors ----

    /// Slot of an XMM register.
    pub(super) fn xmm(&self, register: Register) -> Result<VSlot, Unknown> {
        if register.is_xmm() && register.number() < 16 { Ok(VSlot(register.number() as u8)) } else { Err(Unknown) }
    }

    /// Value of a vector operand; memory of fewer than 16 bytes comes zero-extended.
    pub(super) fn read_vector(&mut self, operand: u32, aligned: bool) -> Result<VSlot, Unknown> {
        match self.inst.op_kind(operand) {
            OpKind::Register => {
                let register = self.inst.op_register(operand);
                if !register.is_mm() {
                    return self.xmm(register);
                }
                let dst = self.vector_scratch();
                self.emit(Op::VFromMmx { dst, index: register.number() as u8 });
                Ok(dst)
            }
            OpKind::Memory => {
                let addr = self.address()?;
                let value = self.vector_scratch();
                let mem = VMem { value, addr };
                let op = match self.inst.memory_size().size() {
                    2 => Op::VFromSlot64 { dst: value, src: self.load(Width::W16, addr) },
                    4 => Op::VLoad32(mem),
                    8 => Op::VLoad64(mem),
                    16 if aligned => Op::VLoad128Aligned(mem),
                    16 => Op::VLoad128(mem),
                    _ => return Err(Unknown),
                };
                self.emit(op);
                Ok(value)
            }
            _ => Err(Unknown),
        }
    }

    /// Writes a vector register.
    pub(super) fn write_vector(&mut self, operand: u32, src: VSlot) -> Lifted {
        let register = self.inst.op_register(operand);
        if register.is_mm() {
            self.emit(Op::VToMmx { index: register.number() as u8, src });
        } else {
            let dst = self.xmm(register)?;
            self.emit(Op::VMove { dst, src });
        }
        Ok(())
    }
}

/// AH, CH, DH, BH.
pub(super) fn is_high8(register: Register) -> bool {
    matches!(register, Register::AH | Register::CH | Register::DH | Register::BH)
}
