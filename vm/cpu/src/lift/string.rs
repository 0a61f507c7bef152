//! String instructions.

use iced_x86::{Mnemonic, OpKind, Register};

use super::{Lifted, Lifter, RAX};
use crate::exit::Exception;
use crate::flags::Width;
use crate::helper::Helper;
use crate::helper::string::{Kind, Repeat, Spec};
use crate::ir::{Addr, Op, Slot, slot};
use crate::state::{Mode, reg};

impl Lifter<'_> {
    pub(super) fn xlat(&mut self) -> Lifted {
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

    pub(super) fn string(&mut self) -> Option<Lifted> {
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
