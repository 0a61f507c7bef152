//! Operations that Rust carries out.

use cpu::helper::Helper;
use cpu::ir::{Op, Slot, VSlot, slot};
use cpu::state::Floats;
use cpu::vector::exact;
use wasm_encoder::ValType;

use super::{Emitter, ExitPoint, PERFORM, STATUS, performed};
use crate::area::offset;
use crate::touched::touched;

/// Whether an operation may store to guest memory.
fn may_store(op: &Op) -> bool {
    use Helper::*;
    matches!(op, Op::Helper { helper: String | CompareExchangeWide | FxSave | XSave | MaskedStore | X87, .. })
}

/// Whether an operation works on the x87 unit.
fn touches_fpu(op: &Op) -> bool {
    use Helper::*;
    let is_saved = matches!(op, Op::Helper { helper: FxSave | FxRestore | XSave | XRestore, .. });
    is_saved || matches!(op, Op::VFromMmx { .. } | Op::VToMmx { .. } | Op::Helper { helper: X87, .. })
}

/// Whether an operation may trap. Vectors' arithmetic gets here if it is exact.
fn may_trap(op: &Op) -> bool {
    match op {
        Op::Vector { op, .. } => exact::depends_on_control(*op),
        _ => matches!(op, Op::Helper { .. }) && !op.operands().pure_value,
    }
}

impl Emitter<'_> {
    /// Whether floating-point arithmetic may have to be exact after an operation: what comes after it is other code then.
    /// Exact code serves in any case.
    fn may_become_exact(&self, op: &Op) -> bool {
        use Helper::*;
        let is_about_mxcsr = matches!(op, Op::Helper { helper: WatchFloats | WriteMxcsr | FxRestore | XRestore, .. });
        is_about_mxcsr && self.settings.floats == Floats::Plain
    }

    /// Has Rust carry out an operation.
    pub(super) fn perform(&mut self, op: &Op) {
        if touches_fpu(op) {
            self.leave_stack();
        }
        let touched = touched(op);
        self.spill_some(touched.reads | touched.writes, touched.vector_reads | touched.vector_writes, touched.flags);
        let number = self.table.number(op);
        self.s().i32_const(number as i32).call(PERFORM);
        if may_trap(op) {
            let result = self.locals.take(ValType::I32);
            let rip = self.rip;
            self.s().local_tee(result).i32_const(performed::TRAP as i32).i32_eq();
            self.if_unlikely();
            // A repeated string instruction has moved its registers before it trapped.
            self.reload(touched.writes, touched.vector_writes);
            self.leave(ExitPoint::Trap { rip });
            self.end_if();
            let becomes_exact = self.may_become_exact(op);
            if may_store(op) || becomes_exact {
                let stale = self.locals.take(ValType::I32);
                self.s().local_get(result).i32_const(performed::STALE as i32).i32_eq();
                self.s().i32_const(becomes_exact.into()).i32_or().local_set(stale);
                self.stale = Some(stale);
            }
            self.locals.give(ValType::I32, result);
        } else {
            self.s().drop();
        }
        self.reload(touched.writes, touched.vector_writes);
    }

    /// Writes slots to the area.
    fn spill_some(&mut self, slots: u64, vectors: u32, flags: bool) {
        let flag_slots = if flags { 1 << slot::FLAG_A.0 | 1 << slot::FLAG_B.0 } else { 0 };
        for slot in each(slots | flag_slots) {
            let at = self.area(offset::slot(slot));
            self.s().i32_const(0);
            self.get(slot);
            self.s().i64_store(at);
        }
        for slot in each(vectors.into()).map(|slot| VSlot(slot.0)) {
            let at = self.area(offset::vector(slot));
            self.s().i32_const(0);
            self.vget(slot);
            self.s().v128_store(at);
        }
        if flags {
            let (at, local) = (self.area(offset::FLAG_KIND), self.locals.flag_kind());
            self.s().i32_const(0).local_get(local).i32_store16(at);
        }
    }

    /// Reads slots from the area.
    fn reload(&mut self, slots: u64, vectors: u32) {
        for slot in each(slots) {
            let at = self.area(offset::slot(slot));
            self.s().i32_const(0).i64_load(at);
            self.set(slot);
        }
        for slot in each(vectors.into()).map(|slot| VSlot(slot.0)) {
            let at = self.area(offset::vector(slot));
            self.s().i32_const(0).v128_load(at);
            self.vset(slot);
        }
    }

    /// Pushes the status flags, an i32, whatever their kind.
    pub(super) fn status_by_call(&mut self) {
        let kind = self.locals.flag_kind();
        self.s().local_get(kind);
        self.get(slot::FLAG_A);
        self.get(slot::FLAG_B);
        self.s().call(STATUS);
    }
}

fn each(mut bits: u64) -> impl Iterator<Item = Slot> {
    std::iter::from_fn(move || {
        let index = bits.trailing_zeros();
        (bits != 0).then(|| {
            bits &= bits - 1;
            Slot(index as u8)
        })
    })
}
