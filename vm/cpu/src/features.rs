//! What the processor says it is and can do: the one list behind CPUID, `/proc/cpuinfo` and the auxiliary vector.
//!
//! It claims exactly what works, and to be of a kind that had just that: an Atom without AVX. C libraries choose string
//! functions by it; for this one they prefer unaligned SSE2 loads to SSE4.2's string instructions, which are slow here.
//!
//! Source: Intel SDM vol. 2, CPUID; names are those of Linux (arch/x86/include/asm/cpufeatures.h).

use crate::saved;

/// Which register of which leaf, in Linux's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Word {
    Leaf1Edx,
    Extended1Edx,
    Leaf1Ecx,
    Extended1Ecx,
    Leaf7Ebx,
    LeafDEax,
}

/// Everything claimed: where, which bit, and Linux's name. Ordered as `/proc/cpuinfo` lists them.
pub const FEATURES: &[(Word, u32, &str)] = &[
    (Word::Leaf1Edx, 0, "fpu"),
    (Word::Leaf1Edx, 4, "tsc"),
    (Word::Leaf1Edx, 8, "cx8"),
    (Word::Leaf1Edx, 15, "cmov"),
    (Word::Leaf1Edx, 19, "clflush"),
    (Word::Leaf1Edx, 23, "mmx"),
    (Word::Leaf1Edx, 24, "fxsr"),
    (Word::Leaf1Edx, 25, "sse"),
    (Word::Leaf1Edx, 26, "sse2"),
    (Word::Extended1Edx, 11, "syscall"),
    (Word::Extended1Edx, 20, "nx"),
    (Word::Extended1Edx, 27, "rdtscp"),
    (Word::Extended1Edx, 29, "lm"),
    (Word::Leaf1Ecx, 0, "pni"),
    (Word::Leaf1Ecx, 1, "pclmulqdq"),
    (Word::Leaf1Ecx, 9, "ssse3"),
    (Word::Leaf1Ecx, 13, "cx16"),
    (Word::Leaf1Ecx, 19, "sse4_1"),
    (Word::Leaf1Ecx, 20, "sse4_2"),
    (Word::Leaf1Ecx, 22, "movbe"),
    (Word::Leaf1Ecx, 23, "popcnt"),
    (Word::Leaf1Ecx, 25, "aes"),
    (Word::Leaf1Ecx, 26, "xsave"),
    (Word::Leaf1Ecx, 31, "hypervisor"),
    (Word::Extended1Ecx, 0, "lahf_lm"),
    (Word::Extended1Ecx, 5, "abm"),
    (Word::Extended1Ecx, 8, "3dnowprefetch"),
    (Word::Leaf7Ebx, 0, "fsgsbase"),
    (Word::Leaf7Ebx, 3, "bmi1"),
    (Word::Leaf7Ebx, 8, "bmi2"),
    // REP MOVSB and STOSB are fast.
    (Word::Leaf7Ebx, 9, "erms"),
    (Word::Leaf7Ebx, 19, "adx"),
    (Word::Leaf7Ebx, 23, "clflushopt"),
    (Word::Leaf7Ebx, 24, "clwb"),
    (Word::Leaf7Ebx, 29, "sha_ni"),
    (Word::LeafDEax, 0, "xsaveopt"),
    (Word::LeafDEax, 1, "xsavec"),
    (Word::LeafDEax, 2, "xgetbv1"),
];

/// `AT_HWCAP2`: programs may set segment bases themselves.
pub const HARDWARE_CAPABILITIES_2: u64 = 1 << 1;

/// The vendor, whose undefined corners we follow.
pub const VENDOR: &str = "GenuineIntel";
/// The model's name.
pub const NAME: &str = "edgebox virtual CPU";
/// All recent ones are of this family.
pub const FAMILY: u32 = 6;
/// Jasper Lake.
pub const MODEL: u32 = 0x9c;
/// Its first version.
pub const STEPPING: u32 = 0;
/// Highest basic leaf.
pub const LEAF_MAX: u32 = 13;
/// The kernel has enabled XSAVE: a feature without a name of Linux's.
const OSXSAVE: u32 = 1 << 27;
/// Nor have these a name: x87 operand pointers and opcodes are those of exceptions only, segments there are 0.
const X87_POINTERS: u32 = 1 << 6 | 1 << 13;
/// Width of physical and virtual addresses.
pub const ADDRESS_BITS: (u32, u32) = (32, 48);
/// Bytes in a line of the cache.
pub const LINE_BYTES: u32 = 64;
/// Size of the second cache, the last: larger copies by C libraries go past it.
pub const CACHE_BYTES: u32 = 4 << 20;

/// The register's bits that are set.
pub const fn word(wanted: Word) -> u32 {
    let mut bits = 0;
    let mut i = 0;
    while i < FEATURES.len() {
        let (word, bit, _) = FEATURES[i];
        if word as u32 == wanted as u32 {
            bits |= 1 << bit;
        }
        i += 1;
    }
    bits
}

/// A cache as leaf 4 describes it: type (1 data, 2 instructions, 3 both), level, bytes, ways.
const CACHES: [(u32, u32, u32, u32); 3] = [(1, 1, 32 << 10, 8), (2, 1, 32 << 10, 8), (3, 2, CACHE_BYTES, 16)];

fn cache(index: u32) -> [u32; 4] {
    const SELF_INITIALIZING: u32 = 1 << 8;
    let Some((kind, level, bytes, ways)) = CACHES.get(index as usize).copied() else { return [0; 4] };
    let sets = bytes / (LINE_BYTES * ways);
    [kind | level << 5 | SELF_INITIALIZING, (LINE_BYTES - 1) | (ways - 1) << 22, sets - 1, 0]
}

/// Four characters as a register holds them.
fn text(string: &str, at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| string.as_bytes().get(at + i).copied().unwrap_or(0)))
}

/// EAX, EBX, ECX, EDX for a leaf and subleaf.
pub fn leaf(eax: u32, ecx: u32) -> [u32; 4] {
    match eax {
        0 => [LEAF_MAX, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)],
        1 => {
            let signature = FAMILY << 8 | (MODEL & 15) << 4 | (MODEL >> 4) << 16 | STEPPING;
            // Lines flushed are counted in 8 bytes; one logical processor.
            [signature, (LINE_BYTES / 8) << 8 | 1 << 16, word(Word::Leaf1Ecx) | OSXSAVE, word(Word::Leaf1Edx)]
        }
        // Ask leaf 4.
        2 => [0x00ff_0001, 0, 0, 0],
        4 => cache(ecx),
        7 if ecx == 0 => [0, word(Word::Leaf7Ebx) | X87_POINTERS, 0, 0],
        13 if ecx == 0 => [saved::ENABLED as u32, saved::XSAVE_BYTES as u32, saved::XSAVE_BYTES as u32, 0],
        13 if ecx == 1 => [word(Word::LeafDEax), saved::XSAVE_BYTES as u32, 0, 0],
        0x4000_0000 => {
            let signature = "edgebox wasm";
            [0x4000_0000, text(signature, 0), text(signature, 4), text(signature, 8)]
        }
        0x8000_0000 => [0x8000_0008, 0, 0, 0],
        0x8000_0001 => [0, 0, word(Word::Extended1Ecx), word(Word::Extended1Edx)],
        0x8000_0002..=0x8000_0004 => {
            let first = 16 * (eax as usize - 0x8000_0002);
            std::array::from_fn(|i| text(NAME, first + 4 * i))
        }
        0x8000_0006 => [0, 0, (CACHE_BYTES >> 10) << 16 | LINE_BYTES, 0],
        0x8000_0008 => [ADDRESS_BITS.0 | ADDRESS_BITS.1 << 8, 0, 0, 0],
        _ => [0; 4],
    }
}
