//! Lazy flags: instead of computing the six status flags after every instruction, the last one that set them is
//! remembered as a kind and two operands, and a flag is computed when something looks at it.
//!
//! Source: Intel SDM vol. 2, each instruction's "Flags Affected"; flags it leaves undefined are as real processors
//! have them where that costs nothing.

use std::cmp::Ordering;

use crate::state::rflags::{AF, CF, OF, PF, SF, STATUS, ZF};

/// Width of an operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Width {
    W8,
    W16,
    W32,
    W64,
}

impl Width {
    /// From a size in bytes: 1, 2, 4 or 8.
    pub fn from_bytes(bytes: usize) -> Width {
        match bytes {
            1 => Width::W8,
            2 => Width::W16,
            4 => Width::W32,
            _ => Width::W64,
        }
    }

    /// Width in bits.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        8 << self as u32
    }

    /// Width in bytes.
    #[inline(always)]
    pub fn bytes(self) -> u8 {
        1 << self as u8
    }

    /// All value bits.
    #[inline(always)]
    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The value as a signed number.
    #[inline(always)]
    pub fn sign_extend(self, value: u64) -> i64 {
        let unused = 64 - self.bits();
        ((value << unused) as i64) >> unused
    }

    /// Whether the value's top bit is set.
    #[inline(always)]
    pub fn is_negative(self, value: u64) -> bool {
        value >> (self.bits() - 1) & 1 != 0
    }
}

/// What kind of operation the flags are of. `a` and `b` are its operands before it ran unless noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FlagOp {
    /// `a` holds the flags themselves, as in RFLAGS.
    Bits,
    /// a + b
    Add,
    /// a - b
    Sub,
    /// `a` is the result of AND, OR, XOR.
    Logic,
    /// `a` is the result of such an operation that also sets the carry flag, to `b`.
    LogicCarry,
    /// `a` is the result, `b` the carry flag from before.
    Inc,
    /// `a` is the result, `b` the carry flag from before.
    Dec,
    /// a << b, b not 0
    Shl,
    /// a >> b, b not 0
    Shr,
    /// a >> b with sign, b not 0
    Sar,
    /// `a` is the low half of a product, `b` 1 if the high half matters.
    Mul,
    /// `a` and `b` are the bits of floating-point numbers that were compared (COMISS, COMISD).
    Float,
}

/// A [`FlagOp`] and its width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct FlagKind {
    /// What.
    pub op: FlagOp,
    /// How wide.
    pub width: Width,
}

impl Default for FlagKind {
    fn default() -> Self {
        FlagKind::BITS
    }
}

impl FlagKind {
    /// The flags themselves.
    pub const BITS: FlagKind = FlagKind { op: FlagOp::Bits, width: Width::W64 };

    /// An operation of a width.
    pub const fn new(op: FlagOp, width: Width) -> Self {
        Self { op, width }
    }

    /// The number that stands for it in memory: the two bytes of the structure.
    pub const fn code(self) -> u16 {
        self.op as u16 | (self.width as u16) << 8
    }

    /// The kind that [`Self::code`] gave this number for.
    pub fn from_code(code: u16) -> Self {
        use FlagOp::*;
        const OPS: [FlagOp; 12] = [Bits, Add, Sub, Logic, LogicCarry, Inc, Dec, Shl, Shr, Sar, Mul, Float];
        let op = OPS[usize::from(code & 0xff) % OPS.len()];
        Self { op, width: Width::from_bytes(1 << (code >> 8 & 3)) }
    }
}

/// The sixteen conditions of Jcc, SETcc and CMOVcc, in encoding order (odd ones negate even ones).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Condition {
    O,
    No,
    B,
    Ae,
    E,
    Ne,
    Be,
    A,
    S,
    Ns,
    P,
    Np,
    L,
    Ge,
    Le,
    G,
}

fn parity(value: u64) -> u64 {
    if (value as u8).count_ones().is_multiple_of(2) { PF } else { 0 }
}

/// ZF, SF and PF of a result.
fn of_result(width: Width, result: u64) -> u64 {
    let zero = if result & width.mask() == 0 { ZF } else { 0 };
    let sign = if width.is_negative(result) { SF } else { 0 };
    zero | sign | parity(result)
}

fn bit(condition: bool, flag: u64) -> u64 {
    if condition { flag } else { 0 }
}

/// The status flags in RFLAGS' places.
pub fn status(kind: FlagKind, a: u64, b: u64) -> u64 {
    let width = kind.width;
    match kind.op {
        FlagOp::Bits => a & STATUS,
        FlagOp::Add => add_with_carry(width, a, b, 0).1,
        FlagOp::Sub => sub_with_borrow(width, a, b, 0).1,
        FlagOp::Logic => of_result(width, a),
        FlagOp::LogicCarry => of_result(width, a) | b & CF,
        FlagOp::Inc => {
            let overflow = a & width.mask() == 1 << (width.bits() - 1);
            of_result(width, a) | b & CF | bit(overflow, OF) | bit(a & 15 == 0, AF)
        }
        FlagOp::Dec => {
            let overflow = a & width.mask() == width.mask() >> 1;
            of_result(width, a) | b & CF | bit(overflow, OF) | bit(a & 15 == 15, AF)
        }
        FlagOp::Shl | FlagOp::Shr | FlagOp::Sar => shift_status(kind, a & width.mask(), b as u32),
        FlagOp::Mul => of_result(width, a) | bit(b != 0, CF | OF),
        FlagOp::Float => float_status(width, a, b),
    }
}

/// Flags of comparing floating-point numbers given by their bits.
fn float_status(width: Width, a: u64, b: u64) -> u64 {
    let order = if width == Width::W32 {
        f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32))
    } else {
        f64::from_bits(a).partial_cmp(&f64::from_bits(b))
    };
    order_status(order)
}

/// Flags of a comparison of floating-point numbers; `None` is unordered (Intel SDM vol. 2, COMISD).
pub fn order_status(order: Option<Ordering>) -> u64 {
    match order {
        None => ZF | PF | CF,
        Some(Ordering::Less) => CF,
        Some(Ordering::Equal) => ZF,
        Some(Ordering::Greater) => 0,
    }
}

/// Flags of a shift by `count`, 1 to 63.
fn shift_status(kind: FlagKind, a: u64, count: u32) -> u64 {
    let width = kind.width;
    let bits = width.bits();
    let (result, carry, overflow);
    match kind.op {
        FlagOp::Shl => {
            result = a << count;
            carry = count <= bits && a >> (bits - count) & 1 != 0;
            overflow = width.is_negative(result) != carry;
        }
        FlagOp::Shr => {
            result = a >> count;
            carry = a >> (count - 1) & 1 != 0;
            overflow = width.is_negative(a);
        }
        _ => {
            let signed = width.sign_extend(a);
            result = (signed >> count) as u64;
            carry = signed >> (count - 1) & 1 != 0;
            overflow = false;
        }
    }
    of_result(width, result) | bit(carry, CF) | bit(overflow, OF)
}

/// a + b + carry: the result (not cut to width) and its status flags.
pub fn add_with_carry(width: Width, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let result = a.wrapping_add(b).wrapping_add(carry);
    let carries = (a & b) | ((a | b) & !result);
    let flags = of_result(width, result)
        | bit(width.is_negative(carries), CF)
        | (a ^ b ^ result) & AF
        | bit(width.is_negative((a ^ result) & (b ^ result)), OF);
    (result, flags)
}

/// a - b - borrow: the result (not cut to width) and its status flags.
pub fn sub_with_borrow(width: Width, a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let result = a.wrapping_sub(b).wrapping_sub(borrow);
    let borrows = (!a & b) | ((!a | b) & result);
    let flags = of_result(width, result)
        | bit(width.is_negative(borrows), CF)
        | (a ^ b ^ result) & AF
        | bit(width.is_negative((a ^ b) & (a ^ result)), OF);
    (result, flags)
}

impl Condition {
    /// From the low four bits of an opcode.
    pub fn from_code(code: u8) -> Condition {
        use Condition::*;
        [O, No, B, Ae, E, Ne, Be, A, S, Ns, P, Np, L, Ge, Le, G][usize::from(code & 15)]
    }

    /// Whether this condition is the negation of the one before it.
    pub fn is_negated(self) -> bool {
        self as u8 & 1 != 0
    }

    /// Whether it holds for flags in RFLAGS' places.
    pub fn holds_for_bits(self, flags: u64) -> bool {
        let less = (flags & SF != 0) != (flags & OF != 0);
        let plain = match self as u8 >> 1 {
            0 => flags & OF != 0,
            1 => flags & CF != 0,
            2 => flags & ZF != 0,
            3 => flags & (CF | ZF) != 0,
            4 => flags & SF != 0,
            5 => flags & PF != 0,
            6 => less,
            _ => less || flags & ZF != 0,
        };
        plain != self.is_negated()
    }

    /// Whether it holds, computing no more flags than it must.
    pub fn holds(self, kind: FlagKind, a: u64, b: u64) -> bool {
        let width = kind.width;
        let plain = match (kind.op, self as u8 >> 1) {
            (FlagOp::Sub, 1) => a & width.mask() < b & width.mask(),
            (FlagOp::Sub, 2) => (a ^ b) & width.mask() == 0,
            (FlagOp::Sub, 3) => a & width.mask() <= b & width.mask(),
            (FlagOp::Sub, 6) => width.sign_extend(a) < width.sign_extend(b),
            (FlagOp::Sub, 7) => width.sign_extend(a) <= width.sign_extend(b),
            (FlagOp::Logic | FlagOp::LogicCarry | FlagOp::Inc | FlagOp::Dec, 2) => a & width.mask() == 0,
            (FlagOp::Logic | FlagOp::LogicCarry | FlagOp::Inc | FlagOp::Dec, 4) | (FlagOp::Logic, 6) => {
                width.is_negative(a)
            }
            (FlagOp::Logic, 0 | 1) => false,
            _ => return self.holds_for_bits(status(kind, a, b)),
        };
        plain != self.is_negated()
    }
}
