//! `VectorOp`: what an [`Op::Vector`](super::Op::Vector) computes from two 128-bit values. `a` is what the x86
//! destination held, `b` the source. [`crate::vector::eval`] is the meaning of each.

/// Width of an integer lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Lane {
    L8,
    L16,
    L32,
    L64,
}

/// Which floating-point lanes an operation touches; scalar ones take the others from `a`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Shape {
    Scalar32,
    Scalar64,
    Packed32,
    Packed64,
}

/// Floating-point arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    /// Of `b`.
    Sqrt,
    /// 1 / b, at least the 12 bits the processor promises.
    Reciprocal,
    /// 1 / sqrt(b), likewise.
    ReciprocalSqrt,
    /// All ones where the predicate in `imm` (CMPPS's) holds.
    Compare,
    /// To an integral value, mode in `imm` (ROUNDPS's).
    Round,
}

/// Conversions, all of `b`. Scalar ones named `Merge…` take the other lanes from `a`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Conversion {
    I32x4ToF32x4,
    I32x2ToF64x2,
    F32x4ToI32x4,
    F32x4ToI32x4Truncated,
    F64x2ToI32x2,
    F64x2ToI32x2Truncated,
    F32x2ToF64x2,
    F64x2ToF32x2,
    MergeF32ToF64,
    MergeF64ToF32,
    MergeI32ToF32,
    MergeI64ToF32,
    MergeI32ToF64,
    MergeI64ToF64,
    /// Results in the low bits, the rest 0.
    F32ToI32,
    F32ToI64,
    F32ToI32Truncated,
    F32ToI64Truncated,
    F64ToI32,
    F64ToI64,
    F64ToI32Truncated,
    F64ToI64Truncated,
    /// The low two of `b` replace the low two of `a`.
    MergeI32x2ToF32x2,
    F32x2ToI32x2,
    F32x2ToI32x2Truncated,
}

/// AES's instructions. What they call a round key is `b`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Aes {
    Encrypt,
    EncryptLast,
    Decrypt,
    DecryptLast,
    /// AESIMC, of `b`.
    InverseMixColumns,
    /// AESKEYGENASSIST, of `b`; the round constant is `imm`.
    KeyAssist,
}

/// SHA's instructions, except SHA256RNDS2, which has a third operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Sha {
    /// Four rounds of SHA-1, with the function that `imm` says.
    Sha1Rounds,
    Sha1NextE,
    Sha1Message1,
    Sha1Message2,
    Sha256Message1,
    Sha256Message2,
}

/// An operation on 128-bit values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum VectorOp {
    Float(FloatOp, Shape),
    Convert(Conversion),

    And,
    AndNot,
    Or,
    Xor,

    Add(Lane),
    Sub(Lane),
    AddSatS(Lane),
    AddSatU(Lane),
    SubSatS(Lane),
    SubSatU(Lane),
    MinS(Lane),
    MinU(Lane),
    MaxS(Lane),
    MaxU(Lane),
    Average(Lane),
    CompareEq(Lane),
    CompareGtS(Lane),
    Abs(Lane),
    Sign(Lane),
    /// Shifts of every lane by `b`'s low 64 bits, or by `imm`.
    Shl(Lane),
    Shr(Lane),
    Sar(Lane),
    ShlImm(Lane),
    ShrImm(Lane),
    SarImm(Lane),
    /// Of the whole value, in bytes.
    ShlBytes,
    ShrBytes,

    MulLow16,
    MulLow32,
    MulHighS16,
    MulHighU16,
    MulHighRound16,
    /// Even 32-bit lanes to 64-bit products.
    MulEvenU32,
    MulEvenS32,
    /// Products of 16-bit lanes, neighbours added.
    MulAdd16,
    /// Unsigned bytes of `a` times signed bytes of `b`, neighbours added with saturation.
    MulAddU8S8,
    /// Sums of absolute differences of bytes.
    SumDiff8,

    /// Interleave the low (high) halves.
    UnpackLow(Lane),
    UnpackHigh(Lane),
    /// `a`'s lanes, then `b`'s, to half the width with saturation. The lane is the source's.
    PackS(Lane),
    PackU(Lane),
    /// SHUFPS, SHUFPD, PSHUFD, PSHUFHW, PSHUFLW: `imm` selects.
    Shuffle32,
    Shuffle64,
    Permute32,
    PermuteHigh16,
    PermuteLow16,
    /// PSHUFB.
    Permute8,
    /// PALIGNR.
    Align,
    /// `b`'s low lane, the rest of `a`.
    MoveLow32,
    MoveLow64,
    /// `b`'s low lane alone.
    Low32,
    Low64,
    /// `b`'s high half in the low one, `a`'s high half.
    HighToLow,
    /// The low 64-bit lane twice; odd or even 32-bit lanes twice.
    DupLow64,
    DupOdd32,
    DupEven32,
    /// Sign bits of `b`'s lanes as an integer.
    MoveMask(Lane),
    /// The lane `imm` of `b`, the rest 0.
    Extract(Lane),
    /// `b`'s low bits replace lane `imm`.
    Insert(Lane),
    /// INSERTPS: a lane of `b` replaces one of `a`, others become 0, as `imm` says.
    InsertFloat,
    /// Neighbours added or subtracted.
    HorizontalAdd(Lane),
    HorizontalSub(Lane),
    HorizontalAddSat16,
    HorizontalSubSat16,
    HorizontalAddFloat(Shape),
    HorizontalSubFloat(Shape),
    /// Even lanes subtracted, odd ones added.
    AddSubFloat(Shape),
    /// Low lanes of `b` widened from the lane given, to the second.
    ExtendS(Lane, Lane),
    ExtendU(Lane, Lane),
    /// Lanes of `b` where `imm` has ones (PBLENDW, BLENDPS, BLENDPD by lane).
    Blend(Lane),
    /// All ones in lanes of `b` whose top bit is set.
    SignMask(Lane),
    /// DPPS, DPPD: `imm` says which products are summed, and where the sum goes.
    DotProduct(Shape),
    /// MPSADBW: sums of absolute differences of four bytes, `imm` says of which.
    SumDiffs8,
    /// PHMINPOSUW: the least 16-bit lane of `b`, and which one it is.
    MinPosition16,
    /// PCLMULQDQ: `imm` says of which halves.
    CarrylessMultiply,
    Aes(Aes),
    Sha(Sha),
}
