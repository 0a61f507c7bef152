//! Lifting: x86 instructions to IR, one basic block at a time.
//!
//! | module | subject |
//! |---|---|
//! | [`operand`] | registers, immediates and memory operands as slots and addresses |
//! | [`arith`] | integer arithmetic and logic |
//! | [`moves`], [`shift`], [`multiply`] | data movement; shifts and rotates; multiplication and division |
//! | [`bits`] | tests, scans and counts of bits; BMI and ADX |
//! | [`control`] | jumps, calls, conditions, system |
//! | [`stack`] | the stack, and flags |
//! | [`string`](mod@string) | string instructions |
//! | [`legacy`] | what 32-bit code has from earlier days |
//! | [`sse`] | MMX and SSE |
//! | [`x87`] | the floating-point stack |
//!
//! Source: Intel SDM vol. 2. Decoding is `iced-x86`'s.

mod arith;
mod bits;
mod control;
mod legacy;
mod moves;
mod multiply;
mod operand;
pub(crate) mod segment;
mod shift;
mod sse;
mod stack;
mod string;
mod x87;

use iced_x86::{Code, CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, RflagsBits};

use memory::PAGE_SIZE;

use crate::exit::Exception;
use crate::flags::{FlagKind, Width};
use crate::helper::Helper;
use crate::ir::{self, Addr, BLOCK_INSTRUCTIONS_MAX, Block, Mark, Op, Slot, VSlot, VectorOp, slot};
use crate::state::{Mode, SLOT_COUNT, VECTOR_COUNT, reg};

// Registers that instructions use without naming them.
const RAX: Slot = Slot(reg::RAX as u8);
const RCX: Slot = Slot(reg::RCX as u8);
const RDX: Slot = Slot(reg::RDX as u8);
const RSP: Slot = Slot(reg::RSP as u8);
const RBP: Slot = Slot(reg::RBP as u8);

/// Bytes looked at for one block: its instructions at their longest.
pub const WINDOW_BYTES: usize = BLOCK_INSTRUCTIONS_MAX * INSTRUCTION_BYTES_MAX;

/// Bytes of the longest instruction (Intel SDM vol. 2, 2.3.11).
const INSTRUCTION_BYTES_MAX: usize = 15;

/// Operations after which a block ends early; keeps every index in a [`Mark`] and all limits small.
const BLOCK_OPS_MAX: usize = 1024;

/// Instructions followed past a block's end to see whether its last flags matter.
const LOOK_AHEAD_MAX: usize = 8;

/// An operand or a form we don't know: the instruction raises #UD.
struct Unknown;

type Lifted = Result<(), Unknown>;

/// Lifts the block at `rip`, whose bytes (and those that follow) are `window`.
///
/// An instruction nobody knows becomes an exit that raises #UD. `None`: the first instruction goes on past the window.
pub fn lift(window: &[u8], rip: u64, mode: Mode) -> Option<Block> {
    let mut lifter = Lifter::new(window, rip, mode);
    lifter.run();
    (!lifter.marks.is_empty()).then(|| lifter.finish())
}

/// The same for a block of a larger piece of code: it keeps operations that look dead, since only who sees the whole can
/// tell.
pub fn lift_part(window: &[u8], rip: u64, mode: Mode) -> Option<Block> {
    let mut lifter = Lifter::new(window, rip, mode);
    lifter.run();
    (!lifter.marks.is_empty()).then(|| {
        let depends_on = lifter.length() as u16;
        lifter.into_block(depends_on)
    })
}

/// The same for the first instruction alone.
pub fn lift_one(window: &[u8], rip: u64, mode: Mode) -> Option<Block> {
    let bitness = if mode == Mode::Long { 64 } else { 32 };
    let inst = Decoder::with_ip(bitness, window, rip, DecoderOptions::NONE).decode();
    let len = if inst.is_invalid() { window.len() } else { inst.len() };
    lift_part(&window[..len], rip, mode)
}

/// Whether an instruction listed as setting flags may also leave them: a shift whose count may be 0, a repeated
/// comparison of nothing.
fn may_leave_flags(inst: &Instruction) -> bool {
    use Mnemonic::*;
    let shift = matches!(inst.mnemonic(), Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr | Shld | Shrd);
    shift || inst.has_rep_prefix() || inst.has_repne_prefix()
}

/// What the flags hold, while the slots they are computed from still have their values.
#[derive(Clone, Copy)]
struct KnownFlags {
    kind: FlagKind,
    a: Slot,
    b: Slot,
    /// `a` and `b` are unchanged.
    operands: bool,
    /// The result, if a slot has it.
    result: Option<Slot>,
}

/// A unit of floating point.
#[derive(Clone, Copy)]
enum Unit {
    X87,
    Sse,
}

/// A block being lifted.
struct Lifter<'a> {
    window: &'a [u8],
    start: u64,
    mode: Mode,
    decoder: Decoder<'a>,
    ops: Vec<Op>,
    marks: Vec<Mark>,
    exits: Vec<u64>,
    returns_to: Option<u64>,
    is_return: bool,
    next_scratch: u8,
    next_vector: u8,
    known: Option<KnownFlags>,
    /// Units of floating point whose status the block has asked for.
    looks: [bool; 2],
    /// The block has its exit.
    ended: bool,
    /// The instruction at hand.
    inst: Instruction,
    /// Its memory operand, once computed.
    addr: Option<Addr>,
}

impl<'a> Lifter<'a> {
    fn new(window: &'a [u8], rip: u64, mode: Mode) -> Self {
        let bitness = if mode == Mode::Long { 64 } else { 32 };
        Self {
            window,
            start: rip,
            mode,
            decoder: Decoder::with_ip(bitness, window, rip, DecoderOptions::NONE),
            ops: Vec::with_capacity(32),
            marks: Vec::with_capacity(8),
            exits: Vec::new(),
            returns_to: None,
            is_return: false,
            next_scratch: slot::SCRATCH,
            next_vector: slot::VECTOR_SCRATCH,
            known: None,
            looks: [false; 2],
            ended: false,
            inst: Instruction::default(),
            addr: None,
        }
    }

    fn run(&mut self) {
        while !self.ended {
            let offset = self.decoder.position();
            let rip = self.decoder.ip();
            let full = self.marks.len() >= BLOCK_INSTRUCTIONS_MAX || self.ops.len() >= BLOCK_OPS_MAX;
            let inst = self.decoder.decode();
            // Out of bytes: what follows is on a page that isn't there (yet), or the window is full.
            let cut = inst.is_invalid() && self.decoder.last_error() == iced_x86::DecoderError::NoMoreBytes;
            if full || cut {
                if !self.marks.is_empty() {
                    self.jump(rip);
                }
                return;
            }
            self.marks.push(Mark { op: self.ops.len() as u16, offset: offset as u16 });
            self.inst = inst;
            self.addr = None;
            let before = self.ops.len();
            let known = self.known;
            if inst.is_invalid() || self.instruction().is_err() {
                self.ops.truncate(before);
                self.known = known;
                // One that does not end in as many bytes as any may have is another fault than one that is none.
                let is_endless = inst.is_invalid() && inst.len() == INSTRUCTION_BYTES_MAX;
                self.raise(if is_endless { Exception::GeneralProtection(0) } else { Exception::InvalidOpcode });
            }
        }
    }

    /// Bytes of instructions lifted.
    fn length(&self) -> usize {
        let end = if self.ops.last().is_some_and(|op| matches!(op, Op::Raise { .. })) {
            // All of an instruction that may not even decode.
            self.marks.last().map_or(0, |mark| usize::from(mark.offset) + INSTRUCTION_BYTES_MAX)
        } else {
            (self.inst.next_ip().wrapping_sub(self.start)) as usize
        };
        end.min(self.window.len())
    }

    fn finish(mut self) -> Block {
        let dead = self.flags_dead_after();
        ir::dead::remove(&mut self.ops, &mut self.marks, dead.is_none());
        let depends_on = self.length().max(dead.unwrap_or(0)) as u16;
        self.into_block(depends_on)
    }

    fn into_block(self, depends_on: u16) -> Block {
        let Self { start: rip, ops, marks, exits, returns_to, is_return, .. } = self;
        Block { rip, ops, marks, exits, depends_on, returns_to, is_return }
    }

    /// Whether, on every way out, the flags are overwritten before anything looks at them; if so, how many bytes were
    /// looked at to know. Only ways that lie on the block's own page count, because a store there makes this block
    /// stale too.
    fn flags_dead_after(&self) -> Option<usize> {
        let indirect = matches!(
            self.ops.last(),
            None | Some(
                Op::JumpIndirect { .. }
                    | Op::JumpFar { .. }
                    | Op::Syscall
                    | Op::Sysenter
                    | Op::Interrupt { .. }
                    | Op::Raise { .. }
            )
        );
        if indirect {
            return None;
        }
        self.exits.iter().try_fold(0, |examined, exit| Some(self.flags_dead_at(*exit)?.max(examined)))
    }

    fn flags_dead_at(&self, rip: u64) -> Option<usize> {
        const STATUS: u32 =
            RflagsBits::OF | RflagsBits::SF | RflagsBits::ZF | RflagsBits::AF | RflagsBits::CF | RflagsBits::PF;
        let offset = rip.checked_sub(self.start).filter(|offset| *offset < self.window.len() as u64)? as usize;
        let bitness = if self.mode == Mode::Long { 64 } else { 32 };
        let mut decoder = Decoder::with_ip(bitness, &self.window[offset..], rip, DecoderOptions::NONE);
        let mut pending = STATUS;
        for _ in 0..LOOK_AHEAD_MAX {
            let inst = decoder.decode();
            let same_page = inst.next_ip().wrapping_sub(1) / PAGE_SIZE == self.start / PAGE_SIZE;
            if inst.is_invalid() || !same_page || inst.rflags_read() & pending != 0 {
                return None;
            }
            if !may_leave_flags(&inst) {
                pending &= !inst.rflags_modified();
            }
            if pending == 0 {
                return Some(offset + decoder.position());
            }
            if inst.flow_control() != FlowControl::Next {
                return None;
            }
        }
        None
    }

    // ---- emission ----

    fn emit(&mut self, op: Op) {
        if let Some(known) = &mut self.known {
            for written in op.operands().writes {
                if written == slot::ZERO {
                    continue;
                }
                known.operands &= written != known.a && written != known.b;
                known.result = known.result.filter(|result| *result != written);
            }
        }
        self.ops.push(op);
    }

    /// The program asks for a unit's status. Who asks both at once wants to know of exceptions; 32-bit code asks in
    /// blocks of their own.
    fn note_look(&mut self, unit: Unit) {
        self.looks[unit as usize] = true;
        if self.looks == [true; 2] || self.mode == Mode::Compat && matches!(unit, Unit::Sse) {
            self.emit(Op::Helper { helper: Helper::WatchFloats, a: 0, b: 0, c: 0, imm: 0 });
        }
    }

    /// A fresh scratch slot. They go round, so the last instruction's are still there for this one.
    fn scratch(&mut self) -> Slot {
        let fresh = Slot(self.next_scratch);
        self.next_scratch += 1;
        if usize::from(self.next_scratch) >= SLOT_COUNT {
            self.next_scratch = slot::SCRATCH;
        }
        fresh
    }

    fn vector_scratch(&mut self) -> VSlot {
        let fresh = VSlot(self.next_vector);
        self.next_vector += 1;
        // The last one is for whoever compiles.
        if usize::from(self.next_vector) >= VECTOR_COUNT - 1 {
            self.next_vector = slot::VECTOR_SCRATCH;
        }
        fresh
    }

    fn constant(&mut self, value: u64) -> Slot {
        if value == 0 {
            return slot::ZERO;
        }
        let dst = self.scratch();
        self.set_constant(dst, value);
        dst
    }

    fn set_constant(&mut self, dst: Slot, value: u64) {
        match i32::try_from(value as i64) {
            Ok(value) => self.emit(Op::Const { dst, value }),
            Err(_) => self.emit(Op::Const64 { dst, low: value as u32, high: (value >> 32) as u32 }),
        }
    }

    /// Emits an operation with one input into scratch.
    fn unary(&mut self, op: fn(ir::Unary) -> Op, src: Slot) -> Slot {
        let dst = self.scratch();
        self.emit(op(ir::Unary { dst, src }));
        dst
    }

    /// Emits an operation with two inputs into scratch.
    fn binary(&mut self, op: fn(ir::Binary) -> Op, a: Slot, b: Slot) -> Slot {
        let dst = self.scratch();
        self.emit(op(ir::Binary { dst, a, b }));
        dst
    }

    /// Emits an operation with a constant into scratch.
    fn with_imm(&mut self, op: fn(ir::WithImm) -> Op, a: Slot, imm: i32) -> Slot {
        let dst = self.scratch();
        self.emit(op(ir::WithImm { dst, a, imm }));
        dst
    }

    fn vector(&mut self, op: VectorOp, a: VSlot, b: VSlot, imm: u8) -> VSlot {
        let dst = self.vector_scratch();
        self.emit(Op::Vector { op, dst, a, b, imm });
        dst
    }

    fn set_flags(&mut self, kind: FlagKind, a: Slot, b: Slot, result: Option<Slot>) {
        self.emit(Op::SetFlags { kind, a, b });
        self.known = Some(KnownFlags { kind, a, b, operands: true, result });
    }

    /// The flags a helper left in `NEW_FLAGS`.
    fn take_new_flags(&mut self) {
        self.emit(Op::SetFlags { kind: FlagKind::BITS, a: slot::NEW_FLAGS, b: slot::ZERO });
        self.known = None;
    }

    fn raise(&mut self, exception: Exception) {
        self.end(Op::Raise { exception });
    }

    fn end(&mut self, op: Op) {
        self.emit(op);
        self.ended = true;
    }

    /// Ends the block with a jump to a known address.
    fn jump(&mut self, to: u64) {
        let exit = self.exit(to);
        self.end(Op::Jump { exit });
    }

    fn exit(&mut self, to: u64) -> u32 {
        self.exits.push(to);
        self.exits.len() as u32 - 1
    }

    // ---- dispatch ----

    fn instruction(&mut self) -> Lifted {
        if self.inst.has_lock_prefix() && !self.may_lock() {
            return Err(Unknown);
        }
        if self.is_mmx_instruction() {
            self.wait();
        }
        if self.is_privileged() {
            self.raise(Exception::GeneralProtection(0));
            return Ok(());
        }
        let known = self
            .segment()
            .or_else(|| self.arith())
            .or_else(|| self.bits())
            .or_else(|| self.legacy())
            .or_else(|| self.control());
        known.or_else(|| self.sse()).or_else(|| self.x87()).unwrap_or(Err(Unknown))
    }

    /// An instruction for kernels that every processor has; others raise #UD.
    fn is_privileged(&self) -> bool {
        use CpuidFeature::*;
        let old = |feature: &CpuidFeature| {
            matches!(feature, INTEL8086 | INTEL286 | INTEL386 | INTEL486 | X64 | MSR | SEP | SYSCALL | XSAVE)
        };
        // Linux lets only those count events who have asked for it (`perf_event_open(2)`).
        self.code() == Code::Rdpmc || self.inst.is_privileged() && self.code().cpuid_features().iter().all(old)
    }

    /// LOCK is allowed on read-modify-write of memory alone; elsewhere it raises #UD. One worker runs every task for
    /// now, so a locked operation needs nothing more to be atomic.
    fn may_lock(&self) -> bool {
        use Mnemonic::*;
        let memory_destination = self.inst.op0_kind() == iced_x86::OpKind::Memory;
        memory_destination
            && matches!(
                self.inst.mnemonic(),
                Add | Adc
                    | And
                    | Btc
                    | Btr
                    | Bts
                    | Cmpxchg
                    | Cmpxchg8b
                    | Cmpxchg16b
                    | Dec
                    | Inc
                    | Neg
                    | Not
                    | Or
                    | Sbb
                    | Sub
                    | Xadd
                    | Xchg
                    | Xor
            )
    }

    fn code(&self) -> Code {
        self.inst.code()
    }

    fn mnemonic(&self) -> Mnemonic {
        self.inst.mnemonic()
    }

    /// Width of addresses: registers in string instructions and the stack.
    fn stack_width(&self) -> Width {
        if self.mode == Mode::Long { Width::W64 } else { Width::W32 }
    }
}
