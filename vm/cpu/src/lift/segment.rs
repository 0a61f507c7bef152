//! Instructions that move segment registers.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, RSP};
use crate::flags::Width;
use crate::helper::Helper;
use crate::ir::{Addr, Op, Slot, slot};
use crate::segment::Segment;

impl Lifter<'_> {
    /// `None` if no segment register is an operand.
    pub(super) fn segment(&mut self) -> Option<Lifted> {
        let is_segment = |operand: u32| {
            self.inst.op_kind(operand) == OpKind::Register && self.inst.op_register(operand).is_segment_register()
        };
        Some(match self.mnemonic() {
            Mnemonic::Mov if is_segment(1) => self.store_selector(),
            Mnemonic::Mov if is_segment(0) => self.mov_selector(),
            Mnemonic::Push if is_segment(0) => self.push_selector(),
            Mnemonic::Pop if is_segment(0) => self.pop_selector(),
            Mnemonic::Lds => self.load_far(Register::DS),
            Mnemonic::Les => self.load_far(Register::ES),
            Mnemonic::Lfs => self.load_far(Register::FS),
            Mnemonic::Lgs => self.load_far(Register::GS),
            Mnemonic::Lss => self.load_far(Register::SS),
            _ => return None,
        })
    }

    fn selector(&mut self, register: Register) -> Slot {
        let dst = self.scratch();
        self.emit(Op::Helper { helper: Helper::ReadSelector, a: dst.0, b: 0, c: 0, imm: number(register) });
        dst
    }

    fn load_selector(&mut self, register: Register, value: Slot) {
        self.emit(Op::Helper { helper: Helper::LoadSelector, a: value.0, b: 0, c: 0, imm: number(register) });
    }

    fn store_selector(&mut self) -> Lifted {
        let selector = self.selector(self.inst.op1_register());
        // A register takes the selector zero-extended, memory always 16 bits.
        if !self.is_memory(0) {
            return self.write(0, selector);
        }
        let addr = self.address()?;
        self.store(Width::W16, addr, selector);
        Ok(())
    }

    fn mov_selector(&mut self) -> Lifted {
        let value = match self.is_memory(1) {
            true => {
                let addr = self.address()?;
                self.load(Width::W16, addr)
            }
            false => self.read(1)?,
        };
        self.load_selector(self.inst.op0_register(), value);
        Ok(())
    }

    /// Recent processors write only 16 bits of a 32-bit slot (Intel SDM vol. 2, PUSH).
    fn push_selector(&mut self) -> Lifted {
        let selector = self.selector(self.inst.op0_register());
        let width = self.push_width();
        let bytes = -i32::from(width.bytes());
        let addr = self.stack_addr(bytes);
        self.store(if width == Width::W64 { width } else { Width::W16 }, addr, selector);
        self.move_stack(bytes);
        Ok(())
    }

    fn pop_selector(&mut self) -> Lifted {
        let bytes = i32::from(self.push_width().bytes());
        let value = self.load(Width::W16, Addr::at(RSP));
        self.load_selector(self.inst.op0_register(), value);
        self.move_stack(bytes);
        Ok(())
    }

    /// LDS and its relatives: an offset, then a selector.
    fn load_far(&mut self, register: Register) -> Lifted {
        let addr = self.address()?;
        let width = Width::from_bytes(self.inst.op0_register().size());
        let offset = self.load(width, addr);
        let selector = self.load(Width::W16, addr.plus(width.bytes().into()));
        self.load_selector(register, selector);
        self.write(0, offset)
    }
}

fn number(register: Register) -> u32 {
    (register as u32 - Register::ES as u32) % 6
}

/// The segment base that loading a register by number changes.
pub(crate) fn base_slot(number: u32) -> Slot {
    match Segment::numbered(number) {
        Segment::Fs => slot::FS_BASE,
        Segment::Gs => slot::GS_BASE,
        _ => slot::ZERO,
    }
}
