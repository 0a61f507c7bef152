//! Helpers: Rust functions that carry out what is too rare or too long for IR operations. Interpreter and JIT call the
//! same ones.
//!
//! | module | subject |
//! |---|---|
//! | [`arith`] | carries, rotates, division |
//! | [`bits`] | checksums, scattered and gathered bits |
//! | [`legacy`] | decimal adjustment, bounds, descriptors |
//! | [`string`] | MOVS, STOS, LODS, SCAS, CMPS and their repetition |
//! | [`system`] | CPUID, time stamp, flags, FXSAVE, XSAVE |
//! | [`vector`] | vector operations that touch flags or memory |

pub mod arith;
pub mod bits;
pub mod legacy;
pub mod string;
pub mod system;
pub mod vector;

use memory::{AddressSpace, Fault};

use crate::exit::Exception;
use crate::flags::Width;
use crate::ir::operands::Operands;
use crate::ir::{Op, Slot, VSlot, slot};
use crate::segment::Segment;
use crate::state::{CpuState, reg};
use crate::vector::exact::Unmasked;

/// Which helper; the comment gives its operands `a`, `b`, `c`, `imm`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Helper {
    /// dst, a, b; width. dst = a + b + CF, flags to `NEW_FLAGS`.
    AddCarry,
    /// dst, a, b; width. dst = a - b - CF, flags to `NEW_FLAGS`.
    SubBorrow,
    /// dst, value, count; width | [`LEFT`]. Rotates; flags to `NEW_FLAGS`.
    Rotate,
    /// dst, value, count; width | [`LEFT`]. Rotates through CF; flags to `NEW_FLAGS`.
    RotateCarry,
    /// dst, value, filler; width | [`LEFT`] | count slot << 8. SHLD, SHRD; flags to `NEW_FLAGS`.
    DoubleShift,
    /// divisor; width. RDX:RAX (AX for bytes) divided.
    DivideU,
    /// The same, signed.
    DivideS,
    /// source segment base; see [`string::Spec`]. Flags to `NEW_FLAGS` where the instruction sets them.
    String,
    /// address slot; 8 or 16 bytes. CMPXCHG8B, CMPXCHG16B; flags to `NEW_FLAGS`.
    CompareExchangeWide,
    /// Leaf in EAX, ECX; result in EAX to EDX.
    Cpuid,
    /// Time stamp to EDX:EAX; imm 1: processor number to ECX too (RDTSCP).
    TimeStamp,
    /// address slot. #GP unless its upper bits are all the same.
    Canonical,
    /// dst. RFLAGS as PUSHF has them.
    ReadFlags,
    /// src. DF and the other system flags from it; the status flags by a `SetFlags` that follows.
    WriteFlags,
    /// address slot; [`WIDE`].
    FxSave,
    /// address slot; [`WIDE`].
    FxRestore,
    /// address slot; [`WIDE`], [`COMPACT`]. Components in EDX:EAX.
    XSave,
    /// address slot; [`WIDE`]. Components in EDX:EAX.
    XRestore,
    /// Number in ECX; extended control register to EDX:EAX.
    ReadControl,
    /// dst.
    ReadMxcsr,
    /// The program looks at what exceptions have happened: from now on they are noted.
    WatchFloats,
    /// src; #GP for reserved bits.
    WriteMxcsr,
    /// operand, operand (both changed); [`SINGLE`], [`SIGNALING`]. COMISS and its relatives: what MXCSR has to say before
    /// they are compared.
    FloatOperands,
    /// vector a, vector b. PTEST: flags to `NEW_FLAGS`.
    TestVector,
    /// vector a, vector b; see [`vector::Strings`]. PCMPESTRI and its relatives: index to RCX or mask to XMM0, flags to
    /// `NEW_FLAGS`.
    CompareStrings,
    /// vector state (changed), vector other state, vector words. SHA256RNDS2.
    Sha256Rounds,
    /// vector mask, vector data, address slot; bytes. MASKMOVDQU, MASKMOVQ.
    MaskedStore,
    /// dst, crc, data; width. CRC32.
    Crc32,
    /// see [`legacy::Decimal`]; AL and AH are adjusted, flags to `NEW_FLAGS`.
    Decimal,
    /// index, lower, upper; width. #BR if the index is out of bounds.
    Bound,
    /// #OF if the overflow flag is set.
    Overflow,
    /// dst, selector; see [`legacy::Query`]. Flags to `NEW_FLAGS`.
    Describe,
    /// selector; 1 for a return. #GP if code can't go there.
    FarTransfer,
    /// dst, source, mask. PDEP.
    DepositBits,
    /// dst, source, mask. PEXT.
    ExtractBits,
    /// dst; segment register's number.
    ReadSelector,
    /// selector slot; segment register's number. #GP if it stands for nothing.
    LoadSelector,
    /// operand slot; see [`crate::x87::spec`]. FCOMI's flags to `NEW_FLAGS`.
    X87,
}

/// Bit of `imm`: pointers in an image have 64 bits.
pub const WIDE: u32 = 1;
/// Bit of `imm`: an area leaves out components that are not wanted.
pub const COMPACT: u32 = 2;

/// Bit of `imm`: single precision.
pub const SINGLE: u32 = 1;
/// Bit of `imm`: no NaN will do.
pub const SIGNALING: u32 = 2;

/// Bit of `imm`: towards the top.
pub const LEFT: u32 = 4;

/// Why a helper did not finish. Nothing of the instruction has taken effect, or whole iterations of a repeated one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// A memory access faulted.
    Fault(Fault),
    /// The processor raises an exception.
    Exception(Exception),
    /// A long repetition makes a pause: run the same instruction again.
    Again,
}

impl From<Fault> for Trap {
    fn from(fault: Fault) -> Self {
        Trap::Fault(fault)
    }
}

impl From<Exception> for Trap {
    fn from(exception: Exception) -> Self {
        Trap::Exception(exception)
    }
}

impl From<Unmasked> for Trap {
    fn from(_: Unmasked) -> Self {
        Trap::Exception(Exception::Simd)
    }
}

/// What a helper works on.
pub struct Context<'a> {
    /// The registers.
    pub cpu: &'a mut CpuState,
    /// The memory.
    pub space: &'a mut AddressSpace,
    /// Time stamp counter.
    pub time_stamp: &'a dyn Fn() -> u64,
}

impl Context<'_> {
    fn get(&self, slot: u8) -> u64 {
        self.cpu.slots[usize::from(slot) % crate::state::SLOT_COUNT]
    }

    fn set(&mut self, slot: u8, value: u64) {
        self.cpu.slots[usize::from(slot) % crate::state::SLOT_COUNT] = value;
    }

    /// Value of an operand slot.
    pub(crate) fn operand(&self, slot: u8) -> u64 {
        self.get(slot)
    }

    /// Sets a slot.
    pub(crate) fn set_slot(&mut self, slot: Slot, value: u64) {
        self.set(slot.0, value);
    }

    fn set_new_flags(&mut self, flags: u64) {
        self.set(slot::NEW_FLAGS.0, flags);
    }

    fn vector(&self, vslot: u8) -> u128 {
        self.cpu.vectors[usize::from(vslot) % crate::state::VECTOR_COUNT]
    }
}

impl Context<'_> {
    /// Carries out an operation that computes (not a load, store, exit, or note of flags): whatever a JIT has no code
    /// of its own for.
    ///
    /// # Errors
    /// The fault or exception it ran into.
    pub fn perform(&mut self, op: &Op) -> Result<(), Trap> {
        match *op {
            Op::Helper { helper, a, b, c, imm } => return helper.call(self, a, b, c, imm),
            Op::Vector { op, dst, a, b, imm } => {
                let (a, b) = (self.vector(a.0), self.vector(b.0));
                let value = self.cpu.compute(op, a, b, imm)?;
                self.set_vector(dst, value);
            }
            Op::VFromMmx { dst, index } => {
                let value = self.cpu.fpu.mmx(index);
                self.set_vector(dst, value.into());
            }
            Op::VToMmx { index, src } => {
                let value = self.vector(src.0);
                self.cpu.fpu.set_mmx(index, value as u64);
            }
            // Engines have code of their own for the others.
            _ => return Err(Exception::InvalidOpcode.into()),
        }
        Ok(())
    }

    fn set_vector(&mut self, slot: VSlot, value: u128) {
        self.cpu.vectors[usize::from(slot.0) % crate::state::VECTOR_COUNT] = value;
    }
}

/// Width from the low two bits of `imm`.
fn width(imm: u32) -> Width {
    Width::from_bytes(1 << (imm & 3))
}

const Z: Slot = slot::ZERO;

impl Helper {
    /// Whether it looks at the lazy flags.
    pub fn reads_flags(self) -> bool {
        use Helper::*;
        matches!(
            self,
            AddCarry
                | SubBorrow
                | Rotate
                | RotateCarry
                | DoubleShift
                | String
                | ReadFlags
                | CompareExchangeWide
                | Decimal
                | Overflow
                | Describe
        )
    }

    /// The integer slots it touches.
    pub fn operands(self, a: u8, b: u8, c: u8, imm: u32) -> Operands {
        use Helper::*;
        let (a, b, c) = (Slot(a), Slot(b), Slot(c));
        let (rax, rcx, rdx) = (Slot(reg::RAX as u8), Slot(reg::RCX as u8), Slot(reg::RDX as u8));
        let new_flags = slot::NEW_FLAGS;
        let effect = |reads, writes| Operands { reads, writes, pure_value: false };
        let value = |reads, writes| Operands { reads, writes, pure_value: true };
        match self {
            AddCarry | SubBorrow | Rotate | RotateCarry => value([b, c, Z], [a, new_flags, Z]),
            DoubleShift => value([b, c, Slot((imm >> 8) as u8)], [a, new_flags, Z]),
            DivideU | DivideS => effect([a, rax, rdx], [rax, rdx, Z]),
            String => effect([a, rax, rcx], [rax, rcx, new_flags]),
            CompareExchangeWide => effect([a, rax, rdx], [rax, rdx, new_flags]),
            Cpuid => effect([rax, rcx, Z], [rax, rcx, rdx]),
            TimeStamp => effect([Z; 3], [rax, rcx, rdx]),
            ReadFlags => value([slot::DIRECTION, Z, Z], [a, Z, Z]),
            WriteFlags => effect([a, Z, Z], [slot::DIRECTION, Z, Z]),
            ReadMxcsr => effect([Z; 3], [a, Z, Z]),
            WatchFloats => effect([Z; 3], [Z; 3]),
            FloatOperands => effect([a, b, Z], [a, b, Z]),
            XSave | XRestore => effect([a, rax, rdx], [Z; 3]),
            ReadControl => effect([rcx, Z, Z], [rax, rdx, Z]),
            Canonical | FxSave | FxRestore | WriteMxcsr => effect([a, Z, Z], [Z; 3]),
            Decimal => effect([rax, Z, Z], [rax, new_flags, Z]),
            Bound => effect([a, b, c], [Z; 3]),
            Overflow => effect([Z; 3], [Z; 3]),
            Describe => value([b, Z, Z], [a, new_flags, Z]),
            FarTransfer => effect([a, Z, Z], [Z; 3]),
            CompareStrings => effect([rax, rdx, rcx], [rcx, new_flags, Z]),
            Sha256Rounds => effect([Z; 3], [Z; 3]),
            TestVector => value([Z; 3], [new_flags, Z, Z]),
            MaskedStore => effect([c, Z, Z], [Z; 3]),
            Crc32 | DepositBits | ExtractBits => value([b, c, Z], [a, Z, Z]),
            ReadSelector => effect([Z; 3], [a, Z, Z]),
            LoadSelector => effect([a, Z, Z], [crate::lift::segment::base_slot(imm), Z, Z]),
            X87 => {
                let spec = crate::x87::spec::Spec::decode(imm);
                let is_ax = spec.operation == crate::x87::spec::Operation::StoreStatusAx;
                let ax = if is_ax { rax } else { Z };
                let flags = if spec.sets_flags() { new_flags } else { Z };
                // Environments hold where the last instruction was.
                let pointer = if spec.is_environment() { slot::X87_INSTRUCTION } else { Z };
                effect([a, ax, pointer], [ax, flags, pointer])
            }
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// The fault or exception it ran into.
    pub fn call(self, cx: &mut Context<'_>, a: u8, b: u8, c: u8, imm: u32) -> Result<(), Trap> {
        use Helper::*;
        match self {
            AddCarry => arith::add_carry(cx, a, b, c, imm),
            SubBorrow => arith::sub_borrow(cx, a, b, c, imm),
            Rotate => arith::rotate(cx, a, b, c, imm),
            RotateCarry => arith::rotate_carry(cx, a, b, c, imm),
            DoubleShift => arith::double_shift(cx, a, b, c, imm),
            DivideU => arith::divide_unsigned(cx, a, imm)?,
            DivideS => arith::divide_signed(cx, a, imm)?,
            CompareExchangeWide => arith::compare_exchange_wide(cx, a, imm)?,
            String => string::run(cx, a, string::Spec::decode(imm))?,
            Cpuid => system::cpuid(cx),
            TimeStamp => system::time_stamp(cx, imm != 0),
            Canonical => system::check_canonical(cx.get(a))?,
            ReadFlags => {
                let flags = cx.cpu.rflags();
                cx.set(a, flags);
            }
            WriteFlags => {
                let flags = cx.get(a);
                cx.cpu.set_system_flags(flags);
            }
            FxSave => system::fxsave(cx, a, imm)?,
            FxRestore => system::fxrestore(cx, a, imm)?,
            XSave => system::xsave(cx, a, imm)?,
            XRestore => system::xrestore(cx, a, imm)?,
            ReadControl => system::read_control(cx)?,
            FloatOperands => system::float_operands(cx, a, b, imm)?,
            WatchFloats => cx.cpu.looks_at_mxcsr = true,
            ReadMxcsr => {
                let mxcsr = cx.cpu.mxcsr;
                cx.set(a, mxcsr.into());
            }
            WriteMxcsr => system::write_mxcsr(cx, a)?,
            TestVector => vector::test(cx, a, b),
            CompareStrings => vector::compare_strings(cx, a, b, vector::Strings::decode(imm)),
            Sha256Rounds => {
                let value = crate::vector::crypto::sha256_rounds(cx.vector(a), cx.vector(b), cx.vector(c));
                cx.set_vector(VSlot(a), value);
            }
            MaskedStore => vector::masked_store(cx, a, b, c, imm)?,
            Crc32 => bits::crc32(cx, a, b, c, imm),
            Decimal => legacy::decimal(cx, imm)?,
            Bound => legacy::bound(cx, a, b, c, imm)?,
            Overflow => legacy::overflow(cx)?,
            Describe => legacy::describe(cx, a, b, imm),
            FarTransfer => legacy::far_transfer(cx, a, imm != 0)?,
            DepositBits => bits::deposit(cx, a, b, c),
            ExtractBits => bits::extract(cx, a, b, c),
            ReadSelector => {
                let selector = cx.cpu.selector(Segment::numbered(imm));
                cx.set(a, selector.into());
            }
            LoadSelector => {
                let selector = cx.get(a) as u16;
                cx.cpu.load_selector(Segment::numbered(imm), selector)?;
            }
            X87 => crate::x87::run(cx, a, imm)?,
        }
        Ok(())
    }
}
