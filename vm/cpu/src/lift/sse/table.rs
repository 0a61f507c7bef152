//! Which [`VectorOp`] a mnemonic is, where its operands are two vectors and perhaps a constant.

use iced_x86::Mnemonic;

use crate::ir::Lane::{L8, L16, L32, L64};
use crate::ir::{Aes, Conversion, FloatOp, Sha, Shape, VectorOp};

pub(super) fn float_op(mnemonic: Mnemonic) -> Option<(FloatOp, Shape)> {
    use FloatOp as F;
    use Mnemonic as M;
    use Shape::{Packed32 as Ps, Packed64 as Pd, Scalar32 as Ss, Scalar64 as Sd};
    Some(match mnemonic {
        M::Addps => (F::Add, Ps),
        M::Addpd => (F::Add, Pd),
        M::Addss => (F::Add, Ss),
        M::Addsd => (F::Add, Sd),
        M::Subps => (F::Sub, Ps),
        M::Subpd => (F::Sub, Pd),
        M::Subss => (F::Sub, Ss),
        M::Subsd => (F::Sub, Sd),
        M::Mulps => (F::Mul, Ps),
        M::Mulpd => (F::Mul, Pd),
        M::Mulss => (F::Mul, Ss),
        M::Mulsd => (F::Mul, Sd),
        M::Divps => (F::Div, Ps),
        M::Divpd => (F::Div, Pd),
        M::Divss => (F::Div, Ss),
        M::Divsd => (F::Div, Sd),
        M::Minps => (F::Min, Ps),
        M::Minpd => (F::Min, Pd),
        M::Minss => (F::Min, Ss),
        M::Minsd => (F::Min, Sd),
        M::Maxps => (F::Max, Ps),
        M::Maxpd => (F::Max, Pd),
        M::Maxss => (F::Max, Ss),
        M::Maxsd => (F::Max, Sd),
        M::Sqrtps => (F::Sqrt, Ps),
        M::Sqrtpd => (F::Sqrt, Pd),
        M::Sqrtss => (F::Sqrt, Ss),
        M::Sqrtsd => (F::Sqrt, Sd),
        M::Rcpps => (F::Reciprocal, Ps),
        M::Rcpss => (F::Reciprocal, Ss),
        M::Rsqrtps => (F::ReciprocalSqrt, Ps),
        M::Rsqrtss => (F::ReciprocalSqrt, Ss),
        M::Cmpps => (F::Compare, Ps),
        M::Cmppd => (F::Compare, Pd),
        M::Cmpss => (F::Compare, Ss),
        M::Cmpsd => (F::Compare, Sd),
        _ => return None,
    })
}

/// All that is not floating-point arithmetic.
pub(super) fn vector_op(mnemonic: Mnemonic) -> Option<VectorOp> {
    integer_op(mnemonic).or_else(|| sse3_op(mnemonic)).or_else(|| sse4_op(mnemonic)).or_else(|| crypto_op(mnemonic))
}

/// SSE2's integer operations (and MMX's), logic and shuffles.
fn integer_op(mnemonic: Mnemonic) -> Option<VectorOp> {
    use Mnemonic as M;
    use VectorOp as V;
    Some(match mnemonic {
        M::Andps | M::Andpd | M::Pand => V::And,
        M::Andnps | M::Andnpd | M::Pandn => V::AndNot,
        M::Orps | M::Orpd | M::Por => V::Or,
        M::Xorps | M::Xorpd | M::Pxor => V::Xor,
        M::Paddb => V::Add(L8),
        M::Paddw => V::Add(L16),
        M::Paddd => V::Add(L32),
        M::Paddq => V::Add(L64),
        M::Psubb => V::Sub(L8),
        M::Psubw => V::Sub(L16),
        M::Psubd => V::Sub(L32),
        M::Psubq => V::Sub(L64),
        M::Paddsb => V::AddSatS(L8),
        M::Paddsw => V::AddSatS(L16),
        M::Paddusb => V::AddSatU(L8),
        M::Paddusw => V::AddSatU(L16),
        M::Psubsb => V::SubSatS(L8),
        M::Psubsw => V::SubSatS(L16),
        M::Psubusb => V::SubSatU(L8),
        M::Psubusw => V::SubSatU(L16),
        M::Pminub => V::MinU(L8),
        M::Pminsw => V::MinS(L16),
        M::Pmaxub => V::MaxU(L8),
        M::Pmaxsw => V::MaxS(L16),
        M::Pavgb => V::Average(L8),
        M::Pavgw => V::Average(L16),
        M::Pcmpeqb => V::CompareEq(L8),
        M::Pcmpeqw => V::CompareEq(L16),
        M::Pcmpeqd => V::CompareEq(L32),
        M::Pcmpgtb => V::CompareGtS(L8),
        M::Pcmpgtw => V::CompareGtS(L16),
        M::Pcmpgtd => V::CompareGtS(L32),
        M::Psllw => V::Shl(L16),
        M::Pslld => V::Shl(L32),
        M::Psllq => V::Shl(L64),
        M::Psrlw => V::Shr(L16),
        M::Psrld => V::Shr(L32),
        M::Psrlq => V::Shr(L64),
        M::Psraw => V::Sar(L16),
        M::Psrad => V::Sar(L32),
        M::Pmullw => V::MulLow16,
        M::Pmulhw => V::MulHighS16,
        M::Pmulhuw => V::MulHighU16,
        M::Pmuludq => V::MulEvenU32,
        M::Pmaddwd => V::MulAdd16,
        M::Psadbw => V::SumDiff8,
        M::Punpcklbw => V::UnpackLow(L8),
        M::Punpcklwd => V::UnpackLow(L16),
        M::Punpckldq | M::Unpcklps => V::UnpackLow(L32),
        M::Punpcklqdq | M::Unpcklpd => V::UnpackLow(L64),
        M::Punpckhbw => V::UnpackHigh(L8),
        M::Punpckhwd => V::UnpackHigh(L16),
        M::Punpckhdq | M::Unpckhps => V::UnpackHigh(L32),
        M::Punpckhqdq | M::Unpckhpd => V::UnpackHigh(L64),
        M::Packsswb => V::PackS(L16),
        M::Packssdw => V::PackS(L32),
        M::Packuswb => V::PackU(L16),
        M::Shufps => V::Shuffle32,
        M::Shufpd => V::Shuffle64,
        M::Pshufd => V::Permute32,
        M::Pshufhw => V::PermuteHigh16,
        M::Pshuflw | M::Pshufw => V::PermuteLow16,
        _ => return None,
    })
}

/// SSE3 and SSSE3.
fn sse3_op(mnemonic: Mnemonic) -> Option<VectorOp> {
    use Mnemonic as M;
    use VectorOp as V;
    Some(match mnemonic {
        M::Movddup => V::DupLow64,
        M::Movshdup => V::DupOdd32,
        M::Movsldup => V::DupEven32,
        M::Haddps => V::HorizontalAddFloat(Shape::Packed32),
        M::Haddpd => V::HorizontalAddFloat(Shape::Packed64),
        M::Hsubps => V::HorizontalSubFloat(Shape::Packed32),
        M::Hsubpd => V::HorizontalSubFloat(Shape::Packed64),
        M::Addsubps => V::AddSubFloat(Shape::Packed32),
        M::Addsubpd => V::AddSubFloat(Shape::Packed64),
        M::Pshufb => V::Permute8,
        M::Palignr => V::Align,
        M::Pabsb => V::Abs(L8),
        M::Pabsw => V::Abs(L16),
        M::Pabsd => V::Abs(L32),
        M::Psignb => V::Sign(L8),
        M::Psignw => V::Sign(L16),
        M::Psignd => V::Sign(L32),
        M::Phaddw => V::HorizontalAdd(L16),
        M::Phaddd => V::HorizontalAdd(L32),
        M::Phsubw => V::HorizontalSub(L16),
        M::Phsubd => V::HorizontalSub(L32),
        M::Phaddsw => V::HorizontalAddSat16,
        M::Phsubsw => V::HorizontalSubSat16,
        M::Pmaddubsw => V::MulAddU8S8,
        M::Pmulhrsw => V::MulHighRound16,
        _ => return None,
    })
}

/// SSE4.1 and SSE4.2.
fn sse4_op(mnemonic: Mnemonic) -> Option<VectorOp> {
    use Mnemonic as M;
    use VectorOp as V;
    Some(match mnemonic {
        M::Pminsb => V::MinS(L8),
        M::Pminsd => V::MinS(L32),
        M::Pminuw => V::MinU(L16),
        M::Pminud => V::MinU(L32),
        M::Pmaxsb => V::MaxS(L8),
        M::Pmaxsd => V::MaxS(L32),
        M::Pmaxuw => V::MaxU(L16),
        M::Pmaxud => V::MaxU(L32),
        M::Pmulld => V::MulLow32,
        M::Pmuldq => V::MulEvenS32,
        M::Pcmpeqq => V::CompareEq(L64),
        M::Pcmpgtq => V::CompareGtS(L64),
        M::Packusdw => V::PackU(L32),
        M::Pblendw => V::Blend(L16),
        M::Blendps => V::Blend(L32),
        M::Blendpd => V::Blend(L64),
        M::Roundps => V::Float(FloatOp::Round, Shape::Packed32),
        M::Roundpd => V::Float(FloatOp::Round, Shape::Packed64),
        M::Roundss => V::Float(FloatOp::Round, Shape::Scalar32),
        M::Roundsd => V::Float(FloatOp::Round, Shape::Scalar64),
        M::Pmovsxbw => V::ExtendS(L8, L16),
        M::Pmovsxbd => V::ExtendS(L8, L32),
        M::Pmovsxbq => V::ExtendS(L8, L64),
        M::Pmovsxwd => V::ExtendS(L16, L32),
        M::Pmovsxwq => V::ExtendS(L16, L64),
        M::Pmovsxdq => V::ExtendS(L32, L64),
        M::Pmovzxbw => V::ExtendU(L8, L16),
        M::Pmovzxbd => V::ExtendU(L8, L32),
        M::Pmovzxbq => V::ExtendU(L8, L64),
        M::Pmovzxwd => V::ExtendU(L16, L32),
        M::Pmovzxwq => V::ExtendU(L16, L64),
        M::Pmovzxdq => V::ExtendU(L32, L64),
        M::Insertps => V::InsertFloat,
        M::Dpps => V::DotProduct(Shape::Packed32),
        M::Dppd => V::DotProduct(Shape::Packed64),
        M::Mpsadbw => V::SumDiffs8,
        M::Phminposuw => V::MinPosition16,
        _ => return None,
    })
}

fn crypto_op(mnemonic: Mnemonic) -> Option<VectorOp> {
    use Mnemonic as M;
    use VectorOp as V;
    Some(match mnemonic {
        M::Aesenc => V::Aes(Aes::Encrypt),
        M::Aesenclast => V::Aes(Aes::EncryptLast),
        M::Aesdec => V::Aes(Aes::Decrypt),
        M::Aesdeclast => V::Aes(Aes::DecryptLast),
        M::Aesimc => V::Aes(Aes::InverseMixColumns),
        M::Aeskeygenassist => V::Aes(Aes::KeyAssist),
        M::Pclmulqdq => V::CarrylessMultiply,
        M::Sha1rnds4 => V::Sha(Sha::Sha1Rounds),
        M::Sha1nexte => V::Sha(Sha::Sha1NextE),
        M::Sha1msg1 => V::Sha(Sha::Sha1Message1),
        M::Sha1msg2 => V::Sha(Sha::Sha1Message2),
        M::Sha256msg1 => V::Sha(Sha::Sha256Message1),
        M::Sha256msg2 => V::Sha(Sha::Sha256Message2),
        _ => return None,
    })
}

pub(super) fn conversion(mnemonic: Mnemonic) -> Option<Conversion> {
    use Conversion as C;
    use Mnemonic as M;
    Some(match mnemonic {
        M::Cvtdq2ps => C::I32x4ToF32x4,
        M::Cvtdq2pd | M::Cvtpi2pd => C::I32x2ToF64x2,
        M::Cvtps2dq => C::F32x4ToI32x4,
        M::Cvttps2dq => C::F32x4ToI32x4Truncated,
        M::Cvtpd2dq | M::Cvtpd2pi => C::F64x2ToI32x2,
        M::Cvttpd2dq | M::Cvttpd2pi => C::F64x2ToI32x2Truncated,
        M::Cvtps2pd => C::F32x2ToF64x2,
        M::Cvtpd2ps => C::F64x2ToF32x2,
        M::Cvtss2sd => C::MergeF32ToF64,
        M::Cvtsd2ss => C::MergeF64ToF32,
        M::Cvtsi2ss => C::MergeI32ToF32,
        M::Cvtsi2sd => C::MergeI32ToF64,
        M::Cvtss2si => C::F32ToI32,
        M::Cvttss2si => C::F32ToI32Truncated,
        M::Cvtsd2si => C::F64ToI32,
        M::Cvttsd2si => C::F64ToI32Truncated,
        M::Cvtpi2ps => C::MergeI32x2ToF32x2,
        M::Cvtps2pi => C::F32x2ToI32x2,
        M::Cvttps2pi => C::F32x2ToI32x2Truncated,
        _ => return None,
    })
}
