//! Loads and stores.
//!
//! Before an access the state bytes of the pages it touches are looked at, and the instruction is left to the
//! interpreter where they don't allow it. Accesses of a block whose addresses differ by constants share one look: a
//! *group* is checked as a whole before its first access, from the lowest byte any of them touches to the highest,
//! which is at most two pages. All of a block's accesses happen unless something leaves it, so checking early refuses
//! nothing that would have worked, and whoever is refused goes on in the interpreter, which is exact.

use cpu::ir::{Addr, Mem, Op, Slot, VMem, slot};
use cpu::state::SLOT_COUNT;
use memory::{HOST_BASE, PageState};
use rustc_hash::FxHashMap as HashMap;
use wasm_encoder::{MemArg, MemArgTarget, ValType};

use super::{Emitter, GUEST};

/// Most bytes from a group's first to its last: more than this could lie on three pages.
const GROUP_BYTES_MAX: i64 = 4096;

/// What an address is made of: the numbers of its base's and index's values, and the shift.
type Key = (u32, u32, u8);

/// Accesses whose addresses differ by constants.
#[derive(Clone, Debug)]
struct Group {
    key: Key,
    /// Displacements of the first byte and past the last, from the group's anchor.
    start: i64,
    end: i64,
    writes: bool,
    /// Local with the guest address of `start`, once checked.
    base: Option<u32>,
    /// Displacements whose 16-byte alignment has been checked, modulo 16.
    aligned: u16,
}

/// An access of a block.
#[derive(Clone, Copy, Debug)]
struct Access {
    group: usize,
    /// Displacement from the group's anchor.
    at: i64,
}

/// What is known about addresses at a place in the code: handed on from a block to those that only it leads to.
#[derive(Clone)]
pub(super) struct Accesses {
    values: Values,
    groups: Vec<Group>,
    /// The accesses of the block at hand, by index of their operations.
    by_op: HashMap<usize, Access>,
}

impl Default for Accesses {
    fn default() -> Self {
        Self { values: Values::new(), groups: Vec::new(), by_op: HashMap::default() }
    }
}

/// What a slot holds: the value with a number, plus a constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Value {
    number: u32,
    plus: i64,
}

/// Follows what slots hold.
#[derive(Clone)]
struct Values {
    slots: [Value; SLOT_COUNT],
    next: u32,
}

impl Values {
    fn new() -> Self {
        let slots = std::array::from_fn(|index| Value { number: index as u32, plus: 0 });
        Self { slots, next: SLOT_COUNT as u32 }
    }

    fn of(&self, slot: Slot) -> Value {
        self.slots[usize::from(slot.0) % SLOT_COUNT]
    }

    fn after(&mut self, op: &Op) {
        let sum = match op {
            Op::AddImm64(o) => Some((o.dst, self.of(o.a), i64::from(o.imm))),
            Op::Move(o) => Some((o.dst, self.of(o.src), 0)),
            Op::Lea(o) if o.addr.index == slot::ZERO => Some((o.value, self.of(o.addr.base), i64::from(o.addr.disp))),
            _ => None,
        };
        if let Some((dst, value, more)) = sum {
            self.slots[usize::from(dst.0) % SLOT_COUNT] =
                Value { number: value.number, plus: value.plus.wrapping_add(more) };
            return;
        }
        let mut writes = super::call::touched(op).writes;
        while writes != 0 {
            let index = writes.trailing_zeros() as usize;
            writes &= writes - 1;
            self.slots[index] = Value { number: self.next, plus: 0 };
            self.next += 1;
        }
    }
}

/// Address, bytes, and whether it is a store.
fn access_of(op: &Op) -> Option<(Addr, i64, bool)> {
    use Op::*;
    Some(match op {
        Load8(m) => (m.addr, 1, false),
        Load16(m) => (m.addr, 2, false),
        Load32(m) => (m.addr, 4, false),
        Load64(m) => (m.addr, 8, false),
        Store8(m) => (m.addr, 1, true),
        Store16(m) => (m.addr, 2, true),
        Store32(m) => (m.addr, 4, true),
        Store64(m) => (m.addr, 8, true),
        VLoad32(m) => (m.addr, 4, false),
        VLoad64(m) => (m.addr, 8, false),
        VLoad128(m) | VLoad128Aligned(m) => (m.addr, 16, false),
        VStore32(m) => (m.addr, 4, true),
        VStore64(m) => (m.addr, 8, true),
        VStore128(m) | VStore128Aligned(m) => (m.addr, 16, true),
        _ => return None,
    })
}

fn guest(offset: i64) -> MemArg {
    // Alignment is a hint; guests align as they like.
    MemArg { offset: HOST_BASE + offset as u64, align: 0, target: MemArgTarget::Memory(GUEST), ordering: None }
}

impl Emitter<'_> {
    /// Sorts a block's accesses into groups: those checked before where they cover them, otherwise new ones.
    pub(super) fn plan_accesses(&mut self, ops: &[Op]) {
        let Accesses { values, groups, by_op } = &mut self.facts.accesses;
        by_op.clear();
        let old = groups.len();
        for (index, op) in ops.iter().enumerate() {
            if let Some((addr, bytes, writes)) = access_of(op) {
                let (base, scaled) = (values.of(addr.base), values.of(addr.index));
                let at = base.plus.wrapping_add(scaled.plus << addr.shift).wrapping_add(addr.disp.into());
                let key = (base.number, scaled.number, addr.shift);
                let checked =
                    groups[..old].iter().rposition(|group| group.key == key && group.covers(at, bytes, writes));
                let open = || groups[old..].iter().rposition(|group| group.key == key && group.admits(at, bytes));
                let group = checked.or_else(|| open().map(|at| at + old)).unwrap_or_else(|| {
                    groups.push(Group { key, start: at, end: at + bytes, writes, base: None, aligned: 0 });
                    groups.len() - 1
                });
                if group >= old {
                    groups[group].add(at, bytes, writes);
                }
                by_op.insert(index, Access { group, at });
            }
            values.after(op);
        }
    }

    /// Gives the temporaries of groups after the first `keep` back.
    pub(super) fn release_accesses(&mut self, keep: usize) {
        let count = self.facts.accesses.groups.len();
        for group in self.facts.accesses.groups.split_off(keep.min(count)) {
            if let Some(local) = group.base {
                self.locals.give(ValType::I32, local);
            }
        }
    }

    /// How many groups there are.
    pub(super) fn groups(&self) -> usize {
        self.facts.accesses.groups.len()
    }

    /// Pushes an operand's address, an i64.
    pub(super) fn address(&mut self, addr: Addr) {
        let mut pushed = false;
        if addr.base != slot::ZERO {
            self.get(addr.base);
            pushed = true;
        }
        if addr.index != slot::ZERO {
            self.get(addr.index);
            if addr.shift != 0 {
                self.s().i64_const(addr.shift.into()).i64_shl();
            }
            if pushed {
                self.s().i64_add();
            }
            pushed = true;
        }
        if addr.disp != 0 || !pushed {
            self.s().i64_const(addr.disp.into());
            if pushed {
                self.s().i64_add();
            }
        }
    }

    /// Makes sure the access, of 16 bytes that are aligned if `is_aligned`, may happen; returns the local and the offset that make up its host address.
    fn checked(&mut self, index: usize, addr: Addr, is_aligned: bool) -> (u32, MemArg) {
        let access = self.facts.accesses.by_op[&index];
        let group = self.facts.accesses.groups[access.group].clone();
        let base = match group.base {
            Some(base) => base,
            None => {
                let base = self.check_group(&group, access, addr, is_aligned && group.end - group.start == 16);
                self.facts.accesses.groups[access.group].base = Some(base);
                base
            }
        };
        (base, guest(access.at - group.start))
    }

    /// Emits a group's check; returns the local with its lowest guest address.
    fn check_group(&mut self, group: &Group, access: Access, addr: Addr, is_aligned: bool) -> u32 {
        let base = self.locals.take(ValType::I32);
        let full = self.locals.take(ValType::I64);
        let to_start = group.start - access.at;
        let bytes = group.end - group.start;
        let need = if group.writes { PageState::WRITE } else { PageState::READ };
        // Below 2^32 by itself: no need to look at the upper half.
        let alone = addr.index == slot::ZERO && addr.disp == 0 && to_start == 0;
        let narrow = alone && (self.facts.is_narrow >> addr.base.0 & 1 != 0 || addr.base == slot::ZERO);
        self.address(addr);
        if to_start != 0 {
            self.s().i64_const(to_start).i64_add();
        }
        self.s().local_tee(full).i32_wrap_i64().local_set(base);
        let state = MemArg { offset: 0, align: 0, target: MemArgTarget::Memory(GUEST), ordering: None };
        self.s().local_get(base).i32_const(12).i32_shr_u().i32_load8_u(state);
        // What is aligned to its size lies on one page.
        if bytes > 1 && !is_aligned {
            self.s().local_get(base).i32_const(bytes as i32 - 1).i32_add();
            self.s().i32_const(12).i32_shr_u().i32_load8_u(state).i32_and();
        }
        // Two branches rather than one condition: compilers make each a single comparison with memory or a flag.
        self.s().i32_const(need.0.into()).i32_and().i32_eqz();
        self.side_exit_if();
        if !narrow {
            self.s().local_get(full).i64_const(32).i64_shr_u().i32_wrap_i64();
            self.side_exit_if();
        }
        self.locals.give(ValType::I64, full);
        base
    }

    /// Leaves the instruction to the interpreter, which raises #GP, if a 16-byte operand is not aligned.
    fn check_alignment(&mut self, index: usize, addr: Addr) {
        let access = self.facts.accesses.by_op[&index];
        let bit = 1 << access.at.rem_euclid(16);
        if self.facts.accesses.groups[access.group].aligned & bit != 0 {
            return;
        }
        self.facts.accesses.groups[access.group].aligned |= bit;
        self.address(addr);
        self.s().i32_wrap_i64().i32_const(15).i32_and();
        self.side_exit_if();
    }

    pub(super) fn load(&mut self, index: usize, mem: Mem, bytes: u8) {
        let (base, at) = self.checked(index, mem.addr, false);
        self.s().local_get(base);
        match bytes {
            1 => self.s().i64_load8_u(at),
            2 => self.s().i64_load16_u(at),
            4 => self.s().i64_load32_u(at),
            _ => self.s().i64_load(at),
        };
        if bytes < 8 { self.set_narrow(mem.value) } else { self.set(mem.value) }
    }

    pub(super) fn store(&mut self, index: usize, mem: Mem, bytes: u8) {
        let (base, at) = self.checked(index, mem.addr, false);
        self.s().local_get(base);
        self.get(mem.value);
        match bytes {
            1 => self.s().i64_store8(at),
            2 => self.s().i64_store16(at),
            4 => self.s().i64_store32(at),
            _ => self.s().i64_store(at),
        };
    }

    pub(super) fn vector_load(&mut self, index: usize, mem: VMem, bytes: u8, aligned: bool) {
        if aligned {
            self.check_alignment(index, mem.addr);
        }
        let (base, at) = self.checked(index, mem.addr, aligned);
        self.s().local_get(base);
        match bytes {
            4 => self.s().v128_load32_zero(at),
            8 => self.s().v128_load64_zero(at),
            _ => self.s().v128_load(at),
        };
        self.vset(mem.value);
    }

    pub(super) fn vector_store(&mut self, index: usize, mem: VMem, bytes: u8, aligned: bool) {
        if aligned {
            self.check_alignment(index, mem.addr);
        }
        let (base, at) = self.checked(index, mem.addr, aligned);
        self.s().local_get(base);
        self.vget(mem.value);
        match bytes {
            4 => self.s().v128_store32_lane(at, 0),
            8 => self.s().v128_store64_lane(at, 0),
            _ => self.s().v128_store(at),
        };
    }
}

impl Group {
    /// Whether an access fits in.
    fn admits(&self, at: i64, bytes: i64) -> bool {
        self.end.max(at + bytes) - self.start.min(at) <= GROUP_BYTES_MAX
    }

    /// Whether a check of the group is one of an access too.
    fn covers(&self, at: i64, bytes: i64, writes: bool) -> bool {
        self.base.is_some() && self.start <= at && at + bytes <= self.end && self.writes >= writes
    }

    fn add(&mut self, at: i64, bytes: i64, writes: bool) {
        self.start = self.start.min(at);
        self.end = self.end.max(at + bytes);
        self.writes |= writes;
    }
}
