//! The loop over operations.

use memory::AddressSpace;

use super::cache::{BlockId, TAIL_LINK, TAIL_OPS};
use super::{Interpreter, Next};
use crate::exit::{Exception, Exit};
use crate::helper::{Context, Trap};
use crate::ir::{Addr, Compare, Op, Slot, VSlot, slot};
use crate::state::{CpuState, SLOT_COUNT, VECTOR_COUNT};
use crate::vector::exact::Unmasked;

#[inline(always)]
fn get(cpu: &CpuState, slot: Slot) -> u64 {
    cpu.slots[usize::from(slot.0) % SLOT_COUNT]
}

#[inline(always)]
fn get32(cpu: &CpuState, slot: Slot) -> u32 {
    get(cpu, slot) as u32
}

#[inline(always)]
fn set(cpu: &mut CpuState, slot: Slot, value: u64) {
    cpu.slots[usize::from(slot.0) % SLOT_COUNT] = value;
}

#[inline(always)]
fn address(cpu: &CpuState, addr: Addr) -> u64 {
    let index = get(cpu, addr.index) << (addr.shift & 3);
    get(cpu, addr.base).wrapping_add(index).wrapping_add(addr.disp as u64)
}

#[inline(always)]
fn vget(cpu: &CpuState, slot: VSlot) -> u128 {
    cpu.vectors[usize::from(slot.0) % VECTOR_COUNT]
}

#[inline(always)]
fn vset(cpu: &mut CpuState, slot: VSlot, value: u128) {
    cpu.vectors[usize::from(slot.0) % VECTOR_COUNT] = value;
}

fn compare(cpu: &CpuState, compare: Compare, a: Slot, b: Slot) -> bool {
    let (a, b) = (get(cpu, a), get(cpu, b));
    match compare {
        Compare::Eq32 => a as u32 == b as u32,
        Compare::Ne32 => a as u32 != b as u32,
        Compare::LtU32 => (a as u32) < b as u32,
        Compare::LeU32 => a as u32 <= b as u32,
        Compare::LtS32 => (a as i32) < b as i32,
        Compare::LeS32 => a as i32 <= b as i32,
        Compare::Eq64 => a == b,
        Compare::Ne64 => a != b,
        Compare::LtU64 => a < b,
        Compare::LeU64 => a <= b,
        Compare::LtS64 => (a as i64) < b as i64,
        Compare::LeS64 => a as i64 <= b as i64,
    }
}

impl Interpreter {
    /// Runs from the start of `block` until the kernel layer or the block cache is needed. rip is set on return.
    pub(super) fn execute(
        &mut self,
        block: BlockId,
        cpu: &mut CpuState,
        space: &mut AddressSpace,
        fuel: &mut i64,
    ) -> Next {
        let mut block = block;
        let stored = &self.cache.blocks[block as usize];
        let mut pc = stored.start as usize;
        let mut left = *fuel - i64::from(stored.instructions);

        // Binary and unary operations in 32 and 64 bits.
        macro_rules! op32 {
            ($o:expr, |$a:ident, $b:ident| $value:expr) => {{
                let ($a, $b) = (get32(cpu, $o.a), get32(cpu, $o.b));
                let value: u32 = $value;
                set(cpu, $o.dst, value.into());
            }};
            ($o:expr, |$a:ident| $value:expr) => {{
                let $a = get32(cpu, $o.a);
                let value: u32 = $value;
                set(cpu, $o.dst, value.into());
            }};
        }
        macro_rules! op64 {
            ($o:expr, |$a:ident, $b:ident| $value:expr) => {{
                let ($a, $b) = (get(cpu, $o.a), get(cpu, $o.b));
                set(cpu, $o.dst, $value);
            }};
            ($o:expr, |$a:ident| $value:expr) => {{
                let $a = get(cpu, $o.a);
                set(cpu, $o.dst, $value);
            }};
        }
        macro_rules! unary {
            ($o:expr, |$x:ident| $value:expr) => {{
                let $x = get(cpu, $o.src);
                set(cpu, $o.dst, $value);
            }};
        }
        // Leaves with rip at the instruction at hand, or so many bytes past its start.
        macro_rules! leave {
            ($exit:expr) => {
                leave!($exit, 0)
            };
            ($exit:expr, $past:expr) => {{
                cpu.rip = self.rip_of(block, pc - 1) + $past;
                *fuel = left;
                return Next::Exit($exit);
            }};
        }
        macro_rules! access {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(fault) => leave!(Exit::Fault(fault)),
                }
            };
        }
        macro_rules! load {
            ($m:expr, $load:ident) => {{
                let value = access!(space.$load(address(cpu, $m.addr)));
                set(cpu, $m.value, value.into());
            }};
        }
        // A store may hit translated code, even this block's own.
        macro_rules! stored {
            ($result:expr) => {{
                access!($result);
                if space.has_stale_code() {
                    pc = self.after_stale(block, pc, space);
                }
            }};
        }
        macro_rules! vload {
            ($m:expr, $load:ident) => {{
                let value = access!(space.$load(address(cpu, $m.addr)));
                vset(cpu, $m.value, value.into());
            }};
        }
        macro_rules! aligned {
            ($m:expr) => {
                if address(cpu, $m.addr) & 15 != 0 {
                    leave!(Exit::Exception(Exception::GeneralProtection(0)));
                }
            };
        }
        macro_rules! enter {
            ($next:expr, $start:expr, $instructions:expr, $rip:expr) => {{
                left -= i64::from($instructions);
                if left <= 0 {
                    cpu.rip = $rip;
                    *fuel = left;
                    return Next::Exit(Exit::Interrupted);
                }
                if self.cache.is_hot($next) {
                    // Not run, so not counted.
                    cpu.rip = $rip;
                    *fuel = left + i64::from($instructions);
                    return Next::Hot;
                }
                block = $next;
                pc = $start as usize;
            }};
        }
        macro_rules! follow {
            ($exit:expr) => {{
                let exit = $exit;
                let link = self.cache.links[exit as usize];
                if !self.cache.is_valid(link.block) {
                    cpu.rip = link.rip;
                    *fuel = left;
                    return Next::Block { link: (exit != TAIL_LINK).then_some(exit) };
                }
                enter!(link.block, link.start, link.instructions, link.rip);
            }};
        }
        macro_rules! fork32 {
            ($f:expr, |$a:ident, $b:ident| $test:expr) => {{
                let ($a, $b) = (get32(cpu, $f.a), get32(cpu, $f.b));
                follow!($f.exit + u32::from($test))
            }};
        }
        macro_rules! fork64 {
            ($f:expr, |$a:ident, $b:ident| $test:expr) => {{
                let ($a, $b) = (get(cpu, $f.a), get(cpu, $f.b));
                follow!($f.exit + u32::from($test))
            }};
        }

        loop {
            let at = pc;
            pc += 1;
            match self.cache.ops[at] {
                Op::Const { dst, value } => set(cpu, dst, value as u64),
                Op::Const64 { dst, low, high } => set(cpu, dst, u64::from(low) | u64::from(high) << 32),
                Op::Move(o) => unary!(o, |x| x),
                Op::Zext8(o) => unary!(o, |x| u64::from(x as u8)),
                Op::Zext16(o) => unary!(o, |x| u64::from(x as u16)),
                Op::Zext32(o) => unary!(o, |x| u64::from(x as u32)),
                Op::Sext8To32(o) => unary!(o, |x| u64::from(x as i8 as u32)),
                Op::Sext8To64(o) => unary!(o, |x| x as i8 as u64),
                Op::Sext16To32(o) => unary!(o, |x| u64::from(x as i16 as u32)),
                Op::Sext16To64(o) => unary!(o, |x| x as i16 as u64),
                Op::Sext32To64(o) => unary!(o, |x| x as i32 as u64),
                Op::High8(o) => unary!(o, |x| x >> 8 & 0xff),
                Op::Insert8(o) => unary!(o, |x| get(cpu, o.dst) & !0xff | x & 0xff),
                Op::InsertHigh8(o) => unary!(o, |x| get(cpu, o.dst) & !0xff00 | (x & 0xff) << 8),
                Op::Insert16(o) => unary!(o, |x| get(cpu, o.dst) & !0xffff | x & 0xffff),
                Op::MoveIf { dst, src, condition } => {
                    if get(cpu, condition) != 0 {
                        let value = get(cpu, src);
                        set(cpu, dst, value);
                    }
                }

                Op::Add32(o) => op32!(o, |a, b| a.wrapping_add(b)),
                Op::Add64(o) => op64!(o, |a, b| a.wrapping_add(b)),
                Op::Sub32(o) => op32!(o, |a, b| a.wrapping_sub(b)),
                Op::Sub64(o) => op64!(o, |a, b| a.wrapping_sub(b)),
                Op::And32(o) => op32!(o, |a, b| a & b),
                Op::And64(o) => op64!(o, |a, b| a & b),
                Op::Or32(o) => op32!(o, |a, b| a | b),
                Op::Or64(o) => op64!(o, |a, b| a | b),
                Op::Xor32(o) => op32!(o, |a, b| a ^ b),
                Op::Xor64(o) => op64!(o, |a, b| a ^ b),
                Op::Mul32(o) => op32!(o, |a, b| a.wrapping_mul(b)),
                Op::Mul64(o) => op64!(o, |a, b| a.wrapping_mul(b)),
                Op::MulHighU64(o) => op64!(o, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
                Op::MulHighS64(o) => {
                    op64!(o, |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64)
                }
                Op::Shl32(o) => op32!(o, |a, b| a.wrapping_shl(b)),
                Op::Shl64(o) => op64!(o, |a, b| a.wrapping_shl(b as u32)),
                Op::Shr32(o) => op32!(o, |a, b| a.wrapping_shr(b)),
                Op::Shr64(o) => op64!(o, |a, b| a.wrapping_shr(b as u32)),
                Op::Sar32(o) => op32!(o, |a, b| (a as i32).wrapping_shr(b) as u32),
                Op::Sar64(o) => op64!(o, |a, b| (a as i64).wrapping_shr(b as u32) as u64),
                Op::Rotl32(o) => op32!(o, |a, b| a.rotate_left(b & 31)),
                Op::Rotl64(o) => op64!(o, |a, b| a.rotate_left(b as u32 & 63)),
                Op::AddImm32(o) => op32!(o, |a| a.wrapping_add(o.imm as u32)),
                Op::AddImm64(o) => op64!(o, |a| a.wrapping_add(o.imm as u64)),
                Op::AndImm32(o) => op32!(o, |a| a & o.imm as u32),
                Op::AndImm64(o) => op64!(o, |a| a & o.imm as u64),
                Op::ShlImm32(o) => op32!(o, |a| a.wrapping_shl(o.imm as u32)),
                Op::ShlImm64(o) => op64!(o, |a| a.wrapping_shl(o.imm as u32)),
                Op::ShrImm32(o) => op32!(o, |a| a.wrapping_shr(o.imm as u32)),
                Op::ShrImm64(o) => op64!(o, |a| a.wrapping_shr(o.imm as u32)),
                Op::SarImm32(o) => op32!(o, |a| (a as i32).wrapping_shr(o.imm as u32) as u32),
                Op::SarImm64(o) => op64!(o, |a| (a as i64).wrapping_shr(o.imm as u32) as u64),
                Op::Not32(o) => unary!(o, |x| u64::from(!x as u32)),
                Op::Not64(o) => unary!(o, |x| !x),
                Op::Swap32(o) => unary!(o, |x| (x as u32).swap_bytes().into()),
                Op::Swap64(o) => unary!(o, |x| x.swap_bytes()),
                Op::Clz32(o) => unary!(o, |x| (x as u32).leading_zeros().into()),
                Op::Clz64(o) => unary!(o, |x| x.leading_zeros().into()),
                Op::Ctz32(o) => unary!(o, |x| (x as u32).trailing_zeros().into()),
                Op::Ctz64(o) => unary!(o, |x| x.trailing_zeros().into()),
                Op::Popcnt64(o) => unary!(o, |x| x.count_ones().into()),
                Op::Lea(m) => {
                    let value = address(cpu, m.addr);
                    set(cpu, m.value, value);
                }
                Op::Lea32(m) => {
                    let value = address(cpu, m.addr);
                    set(cpu, m.value, u64::from(value as u32));
                }

                Op::Load8(m) => load!(m, load8),
                Op::Load16(m) => load!(m, load16),
                Op::Load32(m) => load!(m, load32),
                Op::Load64(m) => load!(m, load64),
                Op::Store8(m) => stored!(space.store8(address(cpu, m.addr), get(cpu, m.value) as u8)),
                Op::Store16(m) => stored!(space.store16(address(cpu, m.addr), get(cpu, m.value) as u16)),
                Op::Store32(m) => stored!(space.store32(address(cpu, m.addr), get32(cpu, m.value))),
                Op::Store64(m) => stored!(space.store64(address(cpu, m.addr), get(cpu, m.value))),

                Op::SetFlags { kind, a, b } => {
                    let (a, b) = (get(cpu, a), get(cpu, b));
                    cpu.flag_kind = kind;
                    set(cpu, slot::FLAG_A, a);
                    set(cpu, slot::FLAG_B, b);
                }
                Op::SetShiftFlags { kind, a, b } => {
                    let (a, b) = (get(cpu, a), get(cpu, b));
                    if b != 0 {
                        cpu.flag_kind = kind;
                        set(cpu, slot::FLAG_A, a);
                        set(cpu, slot::FLAG_B, b);
                    }
                }
                Op::GetFlags { dst } => {
                    let flags = cpu.status_flags();
                    set(cpu, dst, flags);
                }
                Op::Condition { dst, condition } => {
                    let holds = condition.holds(cpu.flag_kind, get(cpu, slot::FLAG_A), get(cpu, slot::FLAG_B));
                    set(cpu, dst, holds.into());
                }
                Op::Compare { compare: how, dst, a, b } => {
                    let holds = compare(cpu, how, a, b);
                    set(cpu, dst, holds.into());
                }

                Op::VLoad32(m) => vload!(m, load32),
                Op::VLoad64(m) => vload!(m, load64),
                Op::VLoad128(m) => vload!(m, load128),
                Op::VLoad128Aligned(m) => {
                    aligned!(m);
                    vload!(m, load128);
                }
                Op::VStore32(m) => stored!(space.store32(address(cpu, m.addr), vget(cpu, m.value) as u32)),
                Op::VStore64(m) => stored!(space.store64(address(cpu, m.addr), vget(cpu, m.value) as u64)),
                Op::VStore128(m) => stored!(space.store128(address(cpu, m.addr), vget(cpu, m.value))),
                Op::VStore128Aligned(m) => {
                    aligned!(m);
                    stored!(space.store128(address(cpu, m.addr), vget(cpu, m.value)));
                }
                Op::VMove { dst, src } => {
                    let value = vget(cpu, src);
                    vset(cpu, dst, value);
                }
                Op::VFromSlot32 { dst, src } => {
                    let value = get32(cpu, src);
                    vset(cpu, dst, value.into());
                }
                Op::VFromSlot64 { dst, src } => {
                    let value = get(cpu, src);
                    vset(cpu, dst, value.into());
                }
                Op::VToSlot32 { dst, src } => {
                    let value = vget(cpu, src);
                    set(cpu, dst, u64::from(value as u32));
                }
                Op::VToSlot64 { dst, src } => {
                    let value = vget(cpu, src);
                    set(cpu, dst, value as u64);
                }
                Op::Vector { op, dst, a, b, imm } => {
                    let (a, b) = (vget(cpu, a), vget(cpu, b));
                    match cpu.compute(op, a, b, imm) {
                        Ok(value) => vset(cpu, dst, value),
                        Err(Unmasked) => leave!(Exit::Exception(Exception::Simd)),
                    }
                }
                Op::VFromMmx { dst, index } => {
                    let value = cpu.fpu.mmx(index);
                    vset(cpu, dst, value.into());
                }
                Op::VToMmx { index, src } => {
                    let value = vget(cpu, src);
                    cpu.fpu.set_mmx(index, value as u64);
                }

                Op::Helper { helper, a, b, c, imm } => {
                    let time_stamp = &*self.time_stamp;
                    match helper.call(&mut Context { cpu, space, time_stamp }, a, b, c, imm) {
                        Ok(()) => {}
                        Err(Trap::Fault(fault)) => leave!(Exit::Fault(fault)),
                        Err(Trap::Exception(exception)) => {
                            leave!(Exit::Exception(exception), exception.bytes_past())
                        }
                        Err(Trap::Again) => leave!(Exit::Interrupted),
                    }
                    if space.has_stale_code() {
                        pc = self.after_stale(block, pc, space);
                    }
                }

                Op::Jump { exit } => follow!(exit),
                Op::JumpFar { src, selector } => {
                    // What is remembered of this address may be of the other mode.
                    cpu.rip = get(cpu, src);
                    cpu.enter_code_segment(get(cpu, selector) as u16);
                    *fuel = left;
                    return Next::Block { link: None };
                }
                Op::JumpIndirect { src } => {
                    let rip = get(cpu, src);
                    let Some(next) = self.cache.recent(rip) else {
                        self.cache.note_target(block, rip);
                        cpu.rip = rip;
                        *fuel = left;
                        return Next::Block { link: None };
                    };
                    self.cache.note_next(block, next, rip);
                    let stored = &self.cache.blocks[next as usize];
                    let (start, instructions) = (stored.start, stored.instructions);
                    enter!(next, start, instructions, rip);
                }
                Op::BranchEq32(f) => fork32!(f, |a, b| a == b),
                Op::BranchLtU32(f) => fork32!(f, |a, b| a < b),
                Op::BranchLeU32(f) => fork32!(f, |a, b| a <= b),
                Op::BranchLtS32(f) => fork32!(f, |a, b| (a as i32) < b as i32),
                Op::BranchLeS32(f) => fork32!(f, |a, b| a as i32 <= b as i32),
                Op::BranchEq64(f) => fork64!(f, |a, b| a == b),
                Op::BranchLtU64(f) => fork64!(f, |a, b| a < b),
                Op::BranchLeU64(f) => fork64!(f, |a, b| a <= b),
                Op::BranchLtS64(f) => fork64!(f, |a, b| (a as i64) < b as i64),
                Op::BranchLeS64(f) => fork64!(f, |a, b| a as i64 <= b as i64),
                Op::BranchFlags { condition, exit } => {
                    let holds = condition.holds(cpu.flag_kind, get(cpu, slot::FLAG_A), get(cpu, slot::FLAG_B));
                    follow!(exit + u32::from(holds));
                }

                Op::Syscall => {
                    let rip = self.rip_of(block, pc - 1);
                    cpu.enter_syscall(rip);
                    *fuel = left;
                    return Next::Exit(Exit::Syscall);
                }
                Op::Sysenter => leave!(Exit::Sysenter),
                Op::Interrupt { vector } => leave!(Exit::Interrupt(vector), 2),
                Op::Raise { exception } => leave!(Exit::Exception(exception), exception.bytes_past()),
            }
        }
    }

    /// Address of the instruction an operation belongs to.
    #[cold]
    fn rip_of(&self, block: BlockId, op: usize) -> u64 {
        if op < TAIL_OPS { self.tail_rip } else { self.cache.locate(block, op).0 }
    }

    /// Code changed under a store. If the running block is still valid, or ends with this instruction, it goes on at
    /// `pc`; otherwise the rest of the instruction is set apart and left for the next one's new translation.
    #[cold]
    fn after_stale(&mut self, block: BlockId, pc: usize, space: &mut AddressSpace) -> usize {
        self.cache.drop_stale(space);
        if pc <= TAIL_OPS || self.cache.is_valid(block) {
            return pc;
        }
        let (rip, next) = self.cache.locate(block, pc - 1);
        let Some((next_rip, end)) = next else { return pc };
        let rest = end - pc;
        assert!(rest < TAIL_OPS, "an instruction of {rest} operations");
        self.tail_rip = rip;
        self.cache.ops.copy_within(pc..end, 0);
        self.cache.ops[rest] = Op::Jump { exit: TAIL_LINK };
        self.cache.links[TAIL_LINK as usize].rip = next_rip;
        0
    }
}
