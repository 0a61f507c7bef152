//! Loads and stores.
//!
//! Before an access the state bytes of the pages it touches are looked at, and the instruction is left to the
//! interpreter where they don't allow it. Accesses of a block whose addresses differ by constants share one look: a
//! *group* is checked as a whole before its first access, from the lowest byte any of them touches to the highest,
//! which is at most two pages. All of a block's accesses happen unless something leaves it, so checking early refuses
//! nothing that would have worked, and whoever is refused goes on in the interpreter, which is exact.
//!
//! A check holds in all blocks that its block dominates: page states that compiled code relies on don't change while it
//! runs. So what a whole region touches of a stack frame or of a structure is checked at once. That may refuse an access
//! because of another that never comes, if the two are on different pages; both are nearly always there.
//!
//! Addresses from 4 GiB on are left to the interpreter, unless the program has shown that it uses such: then their blocks are
//! looked up in the lookaside ([`memory::high`]).

use cpu::Mode;
use cpu::ir::{Addr, Mem, VMem, slot};
use memory::high::{BLOCK_BITS, BLOCK_BYTES, HASH_SHIFT, LOOKASIDE, LOOKASIDE_ENTRIES};
use memory::{HOST_BASE, PageState};
use wasm_encoder::{MemArg, MemArgTarget, ValType};

use super::{Emitter, GUEST};
use crate::region::NodeId;
use crate::region::values::{self, Accesses, Key};

/// Most bytes from a group's first to its last: more than this could lie on three pages.
const GROUP_BYTES_MAX: i64 = 4096;

/// Most bytes of a group for the sake of other blocks, unless it is the stack's.
const STRUCTURE_BYTES_MAX: i64 = 256;

/// Less than what is never mapped at the address space's start and its end: what lies below 4 GiB, on a page that is
/// there, is still there or on no page that far away.
const NEAR_BYTES: i64 = 1 << 15;

/// Accesses whose addresses differ by constants.
#[derive(Clone, Debug)]
struct Group {
    key: Key,
    /// The first byte and past the last, as accesses of this key count.
    start: i64,
    end: i64,
    writes: bool,
    /// Local with the guest address of `start`, once checked.
    base: Option<u32>,
    /// Whether the local is another group's too.
    shares_base: bool,
    /// Bytes whose 16-byte alignment has been checked, modulo 16.
    aligned: u16,
}

/// What has been checked at the place at hand, and the accesses of the block at hand.
pub(super) struct Checks {
    accesses: Accesses,
    /// Those of the blocks that dominate this one first.
    groups: Vec<Group>,
    node: NodeId,
    /// Group of each access of the block, in order.
    planned: Vec<usize>,
    /// The first group that is the block's own.
    own: usize,
}

impl Checks {
    pub fn new(accesses: Accesses) -> Self {
        Self { accesses, groups: Vec::new(), node: 0, planned: Vec::new(), own: 0 }
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.groups.len()
    }

    /// Sorts a block's accesses into groups: those checked before where they cover them, otherwise new ones.
    pub fn plan(&mut self, node: NodeId) {
        let Self { accesses, groups, planned, .. } = self;
        planned.clear();
        let old = groups.len();
        (self.node, self.own) = (node, old);
        for access in &accesses.by_node[node] {
            let checked = groups[..old].iter().rposition(|group| group.covers(access));
            let open = || groups[old..].iter().rposition(|group| group.admits(access)).map(|at| at + old);
            let group = checked.or_else(open).unwrap_or_else(|| {
                let mut group = Group::of(access);
                let span = accesses.spans[&access.key];
                let limit = if span.is_stack { GROUP_BYTES_MAX } else { STRUCTURE_BYTES_MAX };
                if span.end - span.start <= limit {
                    (group.start, group.end) = (span.start, span.end);
                }
                groups.push(group);
                groups.len() - 1
            });
            if group >= old {
                groups[group].add(access);
            }
            planned.push(group);
        }
    }

    /// The access that an operation of the block makes, and its group.
    fn access(&self, op: usize) -> (values::Access, usize) {
        let accesses = &self.accesses.by_node[self.node];
        let at = accesses.partition_point(|access| access.op < op);
        (accesses[at], self.planned[at])
    }

    /// Notes that a group is aligned at some bytes. What is known in blocks that don't dominate others is not for those,
    /// so a group of another block gets a double here.
    fn align(&mut self, number: usize, aligned: u16) {
        if number >= self.own {
            self.groups[number].aligned |= aligned;
            return;
        }
        let mut double = Group { shares_base: true, ..self.groups[number].clone() };
        double.aligned |= aligned;
        self.groups.push(double);
        let double = self.groups.len() - 1;
        self.planned.iter_mut().filter(|group| **group == number).for_each(|group| *group = double);
    }

    /// Whether an address so close to this one has been checked that this one is below 4 GiB, or on no page.
    fn is_near_checked(&self, key: Key, start: i64) -> bool {
        let is_near = |group: &&Group| group.key == key && (group.start - start).abs() <= NEAR_BYTES;
        self.groups.iter().filter(|group| group.base.is_some()).any(|group| is_near(&group))
    }
}

fn guest(offset: i64) -> MemArg {
    // Alignment is a hint; guests align as they like.
    MemArg { offset: HOST_BASE + offset as u64, align: 0, target: MemArgTarget::Memory(GUEST), ordering: None }
}

impl Emitter<'_> {
    /// Gives the temporaries of groups after the first `keep` back.
    pub(super) fn release_checks(&mut self, keep: usize) {
        for group in self.checks.groups.split_off(keep) {
            if let Some(local) = group.base.filter(|_| !group.shares_base) {
                self.locals.give(ValType::I32, local);
            }
        }
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

    /// Makes sure the access of an operation, of 16 bytes that are aligned if `is_aligned`, may happen; returns the local
    /// and the offset that make up its host address.
    pub(super) fn checked(&mut self, op: usize, addr: Addr, is_aligned: bool) -> (u32, MemArg) {
        let (access, number) = self.checks.access(op);
        let group = self.checks.groups[number].clone();
        let base = match group.base {
            Some(base) => base,
            None => {
                let base = self.check_group(&group, access.at, addr, is_aligned && group.end - group.start == 16);
                self.checks.groups[number].base = Some(base);
                base
            }
        };
        (base, guest(access.at - group.start))
    }

    /// Emits a group's check, before the access of `addr`, which the group counts as `at`; returns the local with its
    /// lowest guest address.
    fn check_group(&mut self, group: &Group, at: i64, addr: Addr, is_aligned: bool) -> u32 {
        let base = self.locals.take(ValType::I32);
        let full = self.locals.take(ValType::I64);
        let to_start = group.start - at;
        let bytes = group.end - group.start;
        let need = if group.writes { PageState::WRITE } else { PageState::READ };
        let narrow = self.is_below_4g(group, to_start, addr);
        self.address(addr);
        if to_start != 0 {
            self.s().i64_const(to_start).i64_add();
        }
        if !narrow {
            self.s().local_tee(full);
        }
        self.s().i32_wrap_i64().local_set(base);
        self.begin_checks();
        if !narrow {
            let spans_blocks = bytes > 1 && !is_aligned;
            self.check_upper(full, base, if spans_blocks { bytes as u64 } else { 1 });
        }
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
        self.end_checks();
        self.locals.give(ValType::I64, full);
        base
    }

    /// Leaves if an address is too high, or makes `base`, its lower half, the place in its block of the first of `bytes` bytes,
    /// if they have all the same.
    fn check_upper(&mut self, full: u32, base: u32, bytes: u64) {
        self.s().local_get(full).i64_const(32).i64_shr_u();
        if !self.settings.reaches_high {
            self.s().i32_wrap_i64();
            self.side_exit_if();
            return;
        }
        let is_low = self.locals.take(ValType::I32);
        let entry = self.locals.take(ValType::I64);
        self.s().i64_eqz().local_set(is_low);
        let block_bits = i64::from(BLOCK_BITS);
        self.s().local_get(full).i64_const(block_bits).i64_shr_u();
        self.s().local_get(full).i64_const(block_bits + i64::from(HASH_SHIFT)).i64_shr_u().i64_xor();
        self.s().i32_wrap_i64().i32_const(LOOKASIDE_ENTRIES as i32 - 1).i32_and().i32_const(3).i32_shl();
        let lookaside = MemArg { offset: LOOKASIDE, align: 3, target: MemArgTarget::Memory(GUEST), ordering: None };
        self.s().i64_load(lookaside).local_tee(entry);
        self.s().local_get(full).i64_xor().i64_const(block_bits).i64_shr_u().i64_const(0).i64_ne();
        if bytes > 1 {
            self.s().local_get(base).i32_const(BLOCK_BYTES as i32 - 1).i32_and();
            self.s().i32_const((BLOCK_BYTES - bytes) as i32).i32_gt_u().i32_or();
        }
        self.s().local_get(is_low).i32_eqz().i32_and();
        self.side_exit_if();
        self.s().local_get(base);
        self.s().local_get(entry).i32_wrap_i64().i32_const(BLOCK_BITS as i32).i32_shl();
        self.s().local_get(base).i32_const(BLOCK_BYTES as i32 - 1).i32_and().i32_or();
        self.s().local_get(is_low).select().local_set(base);
        self.locals.give(ValType::I64, entry);
        self.locals.give(ValType::I32, is_low);
    }

    /// Whether there is no need to look at the upper half of the address where a group begins.
    fn is_below_4g(&self, group: &Group, to_start: i64, addr: Addr) -> bool {
        let alone = addr.index == slot::ZERO && addr.disp == 0 && to_start == 0;
        self.region.mode == Mode::Compat
            || alone && (self.facts.is_narrow >> addr.base.0 & 1 != 0 || addr.base == slot::ZERO)
            || group.key.is_constant() && group.start >> 32 == 0
            // Next to a high address may be one that has its place elsewhere.
            || !self.settings.reaches_high && self.checks.is_near_checked(group.key, group.start)
    }

    /// Leaves the instruction to the interpreter, which raises #GP, if a 16-byte operand is not aligned.
    fn check_alignment(&mut self, op: usize, addr: Addr) {
        let (access, number) = self.checks.access(op);
        let bit = 1 << access.at.rem_euclid(16);
        if self.checks.groups[number].aligned & bit != 0 {
            return;
        }
        self.checks.align(number, bit);
        self.begin_checks();
        self.address(addr);
        self.s().i32_wrap_i64().i32_const(15).i32_and();
        self.side_exit_if();
        self.end_checks();
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
    fn of(access: &values::Access) -> Self {
        let values::Access { key, at, bytes, writes, .. } = *access;
        Self { key, start: at, end: at + bytes, writes, base: None, shares_base: false, aligned: 0 }
    }

    /// Whether an access fits in.
    fn admits(&self, access: &values::Access) -> bool {
        let (start, end) = (self.start.min(access.at), self.end.max(access.at + access.bytes));
        self.key == access.key && end - start <= GROUP_BYTES_MAX
    }

    /// Whether a check of the group is one of an access too.
    fn covers(&self, access: &values::Access) -> bool {
        let inside = self.start <= access.at && access.at + access.bytes <= self.end;
        self.key == access.key && self.base.is_some() && inside && self.writes >= access.writes
    }

    fn add(&mut self, access: &values::Access) {
        self.start = self.start.min(access.at);
        self.end = self.end.max(access.at + access.bytes);
        self.writes |= access.writes;
    }
}
