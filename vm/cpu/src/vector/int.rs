//! Integer lanes, shuffles and masks.

use super::{join, lanes};
use crate::ir::{Lane, VectorOp};
use std::array::from_fn;

/// Applies a function to each pair of lanes of the width that `lane` names, `signed` or not.
macro_rules! each {
    ($lane:expr, $a:expr, $b:expr, [$($l:ident: $ty:ty),*], |$x:ident, $y:ident| $body:expr) => {
        match $lane {
            $( Lane::$l => {
                let (a, b) = (lanes!($ty, $a), lanes!($ty, $b));
                join::<[$ty; 16 / size_of::<$ty>()]>(from_fn(|i| { let ($x, $y) = (a[i], b[i]); $body }))
            } )*
            #[allow(unreachable_patterns)]
            _ => $a,
        }
    };
}

macro_rules! unsigned {
    ($lane:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $body:expr) => {
        each!($lane, $a, $b, [L8: u8, L16: u16, L32: u32, L64: u64], |$x, $y| $body)
    };
}

macro_rules! signed {
    ($lane:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $body:expr) => {
        each!($lane, $a, $b, [L8: i8, L16: i16, L32: i32, L64: i64], |$x, $y| $body)
    };
}

/// Computes one integer operation.
pub fn eval(op: VectorOp, a: u128, b: u128, imm: u8) -> u128 {
    use VectorOp as V;
    match op {
        V::Add(lane) => unsigned!(lane, a, b, |x, y| x.wrapping_add(y)),
        V::Sub(lane) => unsigned!(lane, a, b, |x, y| x.wrapping_sub(y)),
        V::AddSatS(lane) => signed!(lane, a, b, |x, y| x.saturating_add(y)),
        V::AddSatU(lane) => unsigned!(lane, a, b, |x, y| x.saturating_add(y)),
        V::SubSatS(lane) => signed!(lane, a, b, |x, y| x.saturating_sub(y)),
        V::SubSatU(lane) => unsigned!(lane, a, b, |x, y| x.saturating_sub(y)),
        V::MinS(lane) => signed!(lane, a, b, |x, y| x.min(y)),
        V::MinU(lane) => unsigned!(lane, a, b, |x, y| x.min(y)),
        V::MaxS(lane) => signed!(lane, a, b, |x, y| x.max(y)),
        V::MaxU(lane) => unsigned!(lane, a, b, |x, y| x.max(y)),
        V::Average(lane) => {
            each!(lane, a, b, [L8: u8, L16: u16], |x, y| ((u32::from(x) + u32::from(y) + 1) >> 1) as _)
        }
        V::CompareEq(lane) => signed!(lane, a, b, |x, y| -((x == y) as i8) as _),
        V::CompareGtS(lane) => signed!(lane, a, b, |x, y| -((x > y) as i8) as _),
        V::Abs(lane) => signed!(lane, a, b, |_x, y| y.wrapping_abs()),
        V::Sign(lane) => signed!(lane, a, b, |x, y| x.wrapping_mul(y.signum())),
        V::Shl(_) | V::Shr(_) | V::Sar(_) => shift(op, a, b as u64),
        V::ShlImm(lane) => shift(V::Shl(lane), a, u64::from(imm)),
        V::ShrImm(lane) => shift(V::Shr(lane), a, u64::from(imm)),
        V::SarImm(lane) => shift(V::Sar(lane), a, u64::from(imm)),
        V::ShlBytes => a.checked_shl(u32::from(imm) * 8).unwrap_or(0),
        V::ShrBytes => a.checked_shr(u32::from(imm) * 8).unwrap_or(0),
        V::MoveMask(lane) => move_mask(lane, b),
        V::Extract(lane) => extract(lane, b, imm),
        V::Insert(lane) => insert(lane, a, b, imm),
        V::InsertFloat => insert_float(a, b, imm),
        V::Blend(lane) => blend(lane, a, b, imm),
        V::SignMask(lane) => signed!(lane, b, b, |x, _y| x >> (size_of_val(&x) * 8 - 1)),
        V::MinPosition16 => min_position(b),
        V::SumDiffs8 => sum_differences(a, b, imm),
        _ => multiply(op, a, b).or_else(|| shuffle(op, a, b, imm)).or_else(|| horizontal(op, a, b)).unwrap_or(a),
    }
}

/// Shifts of every lane; counts of the lane's width or more shift everything out.
fn shift(op: VectorOp, a: u128, count: u64) -> u128 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    match op {
        VectorOp::Shl(lane) => unsigned!(lane, a, a, |x, _y| x.checked_shl(count).unwrap_or(0)),
        VectorOp::Shr(lane) => unsigned!(lane, a, a, |x, _y| x.checked_shr(count).unwrap_or(0)),
        VectorOp::Sar(lane) => signed!(lane, a, a, |x, _y| x >> count.min(size_of_val(&x) as u32 * 8 - 1)),
        _ => a,
    }
}

fn multiply(op: VectorOp, a: u128, b: u128) -> Option<u128> {
    use VectorOp as V;
    let (a16, b16) = (lanes!(i16, a), lanes!(i16, b));
    let (a32, b32) = (lanes!(u32, a), lanes!(u32, b));
    let product = |i: usize| i32::from(a16[i]) * i32::from(b16[i]);
    Some(match op {
        V::MulLow16 => join::<[i16; 8]>(from_fn(|i| product(i) as i16)),
        V::MulLow32 => join::<[u32; 4]>(from_fn(|i| a32[i].wrapping_mul(b32[i]))),
        V::MulHighS16 => join::<[i16; 8]>(from_fn(|i| (product(i) >> 16) as i16)),
        V::MulHighU16 => {
            join::<[u16; 8]>(from_fn(|i| ((u32::from(a16[i] as u16) * u32::from(b16[i] as u16)) >> 16) as u16))
        }
        V::MulHighRound16 => join::<[i16; 8]>(from_fn(|i| (((product(i) >> 14) + 1) >> 1) as i16)),
        V::MulEvenU32 => join::<[u64; 2]>(from_fn(|i| u64::from(a32[2 * i]) * u64::from(b32[2 * i]))),
        V::MulEvenS32 => join::<[i64; 2]>(from_fn(|i| i64::from(a32[2 * i] as i32) * i64::from(b32[2 * i] as i32))),
        V::MulAdd16 => join::<[i32; 4]>(from_fn(|i| product(2 * i).wrapping_add(product(2 * i + 1)))),
        V::MulAddU8S8 => {
            let (a8, b8) = (lanes!(u8, a), lanes!(i8, b));
            let product = |i: usize| i32::from(a8[i]) * i32::from(b8[i]);
            join::<[i16; 8]>(from_fn(|i| saturate16(product(2 * i) + product(2 * i + 1))))
        }
        V::SumDiff8 => {
            let (a8, b8) = (lanes!(u8, a), lanes!(u8, b));
            join::<[u64; 2]>(from_fn(|i| (8 * i..8 * i + 8).map(|k| u64::from(a8[k].abs_diff(b8[k]))).sum()))
        }
        _ => return None,
    })
}

fn saturate16(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

fn shuffle(op: VectorOp, a: u128, b: u128, imm: u8) -> Option<u128> {
    use VectorOp as V;
    let select = |i: usize| usize::from(imm >> (2 * i) & 3);
    let (a16, b16) = (lanes!(u16, a), lanes!(u16, b));
    let (a32, b32) = (lanes!(u32, a), lanes!(u32, b));
    let (a64, b64) = (lanes!(u64, a), lanes!(u64, b));
    Some(match op {
        V::Shuffle32 => join([a32[select(0)], a32[select(1)], b32[select(2)], b32[select(3)]]),
        V::Shuffle64 => join([a64[usize::from(imm & 1)], b64[usize::from(imm >> 1 & 1)]]),
        V::Permute32 => join::<[u32; 4]>(from_fn(|i| b32[select(i)])),
        V::PermuteLow16 => join::<[u16; 8]>(from_fn(|i| if i < 4 { b16[select(i)] } else { b16[i] })),
        V::PermuteHigh16 => join::<[u16; 8]>(from_fn(|i| if i < 4 { b16[i] } else { b16[4 + select(i - 4)] })),
        V::Permute8 => {
            let (a8, b8) = (lanes!(u8, a), lanes!(u8, b));
            join::<[u8; 16]>(from_fn(|i| if b8[i] & 0x80 != 0 { 0 } else { a8[usize::from(b8[i] & 15)] }))
        }
        V::Align => {
            let both = |i: usize| if i < 16 { lanes!(u8, b)[i] } else { lanes!(u8, a)[i - 16] };
            join::<[u8; 16]>(from_fn(|i| Some(i + usize::from(imm)).filter(|at| *at < 32).map_or(0, both)))
        }
        V::DupLow64 => join([b64[0], b64[0]]),
        V::DupOdd32 => join([b32[1], b32[1], b32[3], b32[3]]),
        V::DupEven32 => join([b32[0], b32[0], b32[2], b32[2]]),
        V::UnpackLow(lane) => unpack(lane, a, b, 0),
        V::UnpackHigh(lane) => unpack(lane, a, b, 1),
        V::PackS(Lane::L16) => {
            join::<[i8; 16]>(from_fn(|i| pair(i, 8, &a16, &b16).cast_signed().clamp(-128, 127) as i8))
        }
        V::PackU(Lane::L16) => join::<[u8; 16]>(from_fn(|i| pair(i, 8, &a16, &b16).cast_signed().clamp(0, 255) as u8)),
        V::PackS(_) => join::<[i16; 8]>(from_fn(|i| saturate16(pair(i, 4, &a32, &b32).cast_signed()))),
        V::PackU(_) => join::<[u16; 8]>(from_fn(|i| pair(i, 4, &a32, &b32).cast_signed().clamp(0, 0xffff) as u16)),
        V::ExtendS(from, to) => extend(from, to, b, true),
        V::ExtendU(from, to) => extend(from, to, b, false),
        _ => return None,
    })
}

/// Lane `i` of `a` followed by `b`, `count` lanes each.
fn pair<T: Copy>(i: usize, count: usize, a: &[T], b: &[T]) -> T {
    if i < count { a[i] } else { b[i - count] }
}

/// Interleaves the low (`half` 0) or high (1) halves.
fn unpack(lane: Lane, a: u128, b: u128, half: usize) -> u128 {
    macro_rules! interleave {
        ($ty:ty) => {{
            const COUNT: usize = 16 / size_of::<$ty>();
            let (a, b) = (lanes!($ty, a), lanes!($ty, b));
            join::<[$ty; COUNT]>(from_fn(|i| {
                let from = half * COUNT / 2 + i / 2;
                if i % 2 == 0 { a[from] } else { b[from] }
            }))
        }};
    }
    match lane {
        Lane::L8 => interleave!(u8),
        Lane::L16 => interleave!(u16),
        Lane::L32 => interleave!(u32),
        Lane::L64 => interleave!(u64),
    }
}

/// Bits in a lane.
fn bits(lane: Lane) -> u32 {
    match lane {
        Lane::L8 => 8,
        Lane::L16 => 16,
        Lane::L32 => 32,
        Lane::L64 => 64,
    }
}

/// Low lanes of `b` of width `from`, widened to `to`.
fn extend(from: Lane, to: Lane, b: u128, signed: bool) -> u128 {
    let (from, to) = (bits(from), bits(to));
    let unused = 128 - from;
    (0..128 / to).fold(0, |sum, i| {
        let raised = (b >> (from * i)) << unused;
        let wide = if signed { ((raised as i128) >> unused) as u128 } else { raised >> unused };
        sum | (wide & (u128::MAX >> (128 - to))) << (to * i)
    })
}

fn insert(lane: Lane, a: u128, b: u128, imm: u8) -> u128 {
    let bits = bits(lane);
    let at = u32::from(imm) % (128 / bits) * bits;
    let mask = (u128::MAX >> (128 - bits)) << at;
    a & !mask | b << at & mask
}

fn extract(lane: Lane, b: u128, imm: u8) -> u128 {
    let bits = bits(lane);
    b >> (u32::from(imm) % (128 / bits) * bits) & u128::MAX >> (128 - bits)
}

fn insert_float(a: u128, b: u128, imm: u8) -> u128 {
    let mut lanes = lanes!(u32, a);
    lanes[usize::from(imm >> 4 & 3)] = lanes!(u32, b)[usize::from(imm >> 6)];
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = if imm >> i & 1 != 0 { 0 } else { *lane };
    }
    join(lanes)
}

fn min_position(b: u128) -> u128 {
    let least = lanes!(u16, b).into_iter().zip(0u8..).min().unwrap_or((0, 0));
    u128::from(least.0) | u128::from(least.1) << 16
}

/// MPSADBW: eight neighbouring groups of four bytes of `a` against one group of `b`.
fn sum_differences(a: u128, b: u128, imm: u8) -> u128 {
    let (a, b) = (lanes!(u8, a), lanes!(u8, b));
    let (first, group) = (usize::from(imm >> 2 & 1) * 4, usize::from(imm & 3) * 4);
    join::<[u16; 8]>(from_fn(|i| (0..4).map(|k| u16::from(a[first + i + k].abs_diff(b[group + k]))).sum()))
}

fn blend(lane: Lane, a: u128, b: u128, imm: u8) -> u128 {
    let bits = bits(lane);
    let mask = (0..128 / bits)
        .filter(|i| imm >> i & 1 != 0)
        .fold(0, |mask, i| mask | (u128::MAX >> (128 - bits)) << (bits * i));
    a & !mask | b & mask
}

fn move_mask(lane: Lane, b: u128) -> u128 {
    let bits = bits(lane);
    (0..128 / bits).fold(0, |mask, i| mask | (b >> (bits * (i + 1) - 1) & 1) << i)
}

fn horizontal(op: VectorOp, a: u128, b: u128) -> Option<u128> {
    use VectorOp as V;
    let (a16, b16) = (lanes!(i16, a), lanes!(i16, b));
    let (a32, b32) = (lanes!(i32, a), lanes!(i32, b));
    let two16 = |i: usize| (pair(2 * i, 8, &a16, &b16), pair(2 * i + 1, 8, &a16, &b16));
    let two32 = |i: usize| (pair(2 * i, 4, &a32, &b32), pair(2 * i + 1, 4, &a32, &b32));
    Some(match op {
        V::HorizontalAdd(Lane::L16) => join::<[i16; 8]>(from_fn(|i| two16(i).0.wrapping_add(two16(i).1))),
        V::HorizontalSub(Lane::L16) => join::<[i16; 8]>(from_fn(|i| two16(i).0.wrapping_sub(two16(i).1))),
        V::HorizontalAdd(_) => join::<[i32; 4]>(from_fn(|i| two32(i).0.wrapping_add(two32(i).1))),
        V::HorizontalSub(_) => join::<[i32; 4]>(from_fn(|i| two32(i).0.wrapping_sub(two32(i).1))),
        V::HorizontalAddSat16 => join::<[i16; 8]>(from_fn(|i| two16(i).0.saturating_add(two16(i).1))),
        V::HorizontalSubSat16 => join::<[i16; 8]>(from_fn(|i| two16(i).0.saturating_sub(two16(i).1))),
        _ => return None,
    })
}
