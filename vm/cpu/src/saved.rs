//! State as instructions save it and signal frames hold it: FXSAVE images, and the area that XSAVE makes of one by a
//! header. There is nothing beyond x87 and SSE, so the area ends with the header.
//!
//! Both components always count as in use, as processors may have it.
//!
//! Source: Intel SDM vol. 1, 10.5 (FXSAVE), 13.4 to 13.10 (XSAVE).

use crate::fpu::F80;
use crate::state::{CpuState, Mode};
use crate::x87::spec::OPCODE_BITS;

/// Bytes of an FXSAVE image.
pub const FXSAVE_BYTES: usize = 512;
/// Bytes of an XSAVE area.
pub const XSAVE_BYTES: usize = FXSAVE_BYTES + HEADER_BYTES;
const HEADER_BYTES: usize = 64;

/// Bits of MXCSR that may be set (DAZ included).
pub const MXCSR_MASK: u32 = 0xffff;

/// The x87 component.
pub const X87: u64 = 1;
/// The SSE component.
pub const SSE: u64 = 2;
/// What XCR0 says: all there is.
pub const ENABLED: u64 = X87 | SSE;

/// Vector registers of 64-bit code.
pub const VECTORS: usize = 16;

/// Bit of XCOMP_BV: the area leaves out components that are not wanted.
pub const COMPACTED: u64 = 1 << 63;

/// Where MXCSR and its mask are in an image, and where the vectors begin.
const MXCSR_AT: usize = 24;
const VECTORS_AT: usize = 160;
/// Where an image has bytes that processors leave to programs: the last 48.
pub const FREE_AT: usize = 464;

/// An area that processors would not restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// An FXSAVE image's parts, as ranges of bytes: those of the x87 component, those of SSE, for this many vectors.
pub fn parts(component: u64, vectors: usize) -> [std::ops::Range<usize>; 2] {
    match component {
        X87 => [0..MXCSR_AT, 32..VECTORS_AT],
        _ => [MXCSR_AT..32, VECTORS_AT..VECTORS_AT + 16 * vectors],
    }
}

/// An image's MXCSR.
pub fn mxcsr(image: &[u8; FXSAVE_BYTES]) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| image[MXCSR_AT + i]))
}

/// Makes an image's instruction and operand pointers 32 bits wide, each followed by a selector, always 0: the layout
/// without REX.W.
pub fn narrow_pointers(image: &mut [u8]) {
    image[12..16].fill(0);
    image[20..24].fill(0);
}

/// A header's first two fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// XSTATE_BV: components that are there.
    pub present: u64,
    /// XCOMP_BV.
    pub compaction: u64,
}

impl Header {
    /// Reads and checks the header that follows an image.
    ///
    /// # Errors
    /// Reserved fields are not 0, or it has components nobody has heard of.
    pub fn read(header: &[u8; HEADER_BYTES]) -> Result<Self, Invalid> {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        let (present, compaction) = (word(0), word(8));
        let is_compacted = compaction & COMPACTED != 0;
        let (allowed, reserved) =
            if is_compacted { (compaction & !COMPACTED, &header[16..]) } else { (ENABLED, &header[8..24]) };
        let is_valid = allowed & !ENABLED == 0 && present & !allowed == 0 && reserved.iter().all(|byte| *byte == 0);
        if is_valid { Ok(Header { present, compaction }) } else { Err(Invalid) }
    }

    /// The bytes.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.present.to_le_bytes());
        bytes[8..].copy_from_slice(&self.compaction.to_le_bytes());
        bytes
    }
}

impl CpuState {
    /// Vector registers that the running code has.
    pub fn vector_count(&self) -> usize {
        if self.mode == Mode::Long { VECTORS } else { 8 }
    }

    /// Writes the 512-byte FXSAVE image: x87, with pointers of 64 bits, MXCSR, XMM.
    pub fn fxsave(&self, image: &mut [u8; FXSAVE_BYTES]) {
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.fpu.control.to_le_bytes());
        put(2, &self.fpu.status_word().to_le_bytes());
        put(4, &[self.fpu.valid, 0]);
        put(6, &self.fpu.last_opcode.to_le_bytes());
        put(8, &self.x87_instruction().to_le_bytes());
        put(16, &self.fpu.last_operand.to_le_bytes());
        put(MXCSR_AT, &self.mxcsr.to_le_bytes());
        put(28, &MXCSR_MASK.to_le_bytes());
        for i in 0..8 {
            let register = self.fpu.registers[self.fpu.physical(i)];
            let at = 32 + 16 * usize::from(i);
            put(at, &register.mantissa.to_le_bytes());
            put(at + 8, &register.sign_exponent.to_le_bytes());
            put(at + 10, &[0; 6]);
        }
        for (i, xmm) in self.vectors[..VECTORS].iter().enumerate() {
            put(VECTORS_AT + 16 * i, &xmm.to_le_bytes());
        }
    }

    /// Reads an FXSAVE image back, with this many vectors.
    pub fn fxrstor(&mut self, image: &[u8; FXSAVE_BYTES], vectors: usize) {
        fn take<const N: usize>(image: &[u8; FXSAVE_BYTES], at: usize) -> [u8; N] {
            std::array::from_fn(|i| image[at + i])
        }
        self.fpu.set_control(u16::from_le_bytes(take(image, 0)));
        self.fpu.set_status_word(u16::from_le_bytes(take(image, 2)));
        self.fpu.valid = image[4];
        self.fpu.last_opcode = u16::from_le_bytes(take(image, 6)) & OPCODE_BITS;
        self.set_x87_instruction(u64::from_le_bytes(take(image, 8)));
        self.fpu.last_operand = u64::from_le_bytes(take(image, 16));
        self.mxcsr = mxcsr(image) & MXCSR_MASK;
        for i in 0..8 {
            let at = 32 + 16 * usize::from(i);
            self.fpu.registers[self.fpu.physical(i)] = F80 {
                mantissa: u64::from_le_bytes(take(image, at)),
                sign_exponent: u16::from_le_bytes(take(image, at + 8)),
            };
        }
        for (i, xmm) in self.vectors[..vectors].iter_mut().enumerate() {
            *xmm = u128::from_le_bytes(take(image, VECTORS_AT + 16 * i));
        }
    }

    /// The area with everything in it, and a note of at most 48 bytes for whoever reads it.
    pub fn xsave(&self, note: &[u8]) -> [u8; XSAVE_BYTES] {
        let (mut area, mut image) = ([0; XSAVE_BYTES], [0; FXSAVE_BYTES]);
        self.fxsave(&mut image);
        area[..FXSAVE_BYTES].copy_from_slice(&image);
        area[FREE_AT..FREE_AT + note.len()].copy_from_slice(note);
        let header = Header { present: ENABLED, compaction: 0 }.bytes();
        area[FXSAVE_BYTES..FXSAVE_BYTES + header.len()].copy_from_slice(&header);
        area
    }

    /// Restores the `wanted` components from an image, or resets them where the image does not have them `present`.
    /// MXCSR is taken from the image in any case, unless the area is compacted. There are this many vectors.
    pub fn restore_components(&mut self, image: &[u8; FXSAVE_BYTES], wanted: u64, header: Header, vectors: usize) {
        let (mut merged, mut initial) = ([0; FXSAVE_BYTES], [0; FXSAVE_BYTES]);
        self.fxsave(&mut merged);
        CpuState::default().fxsave(&mut initial);
        for component in [X87, SSE].into_iter().filter(|component| wanted & component != 0) {
            let source = if header.present & component != 0 { image } else { &initial };
            for part in parts(component, vectors) {
                merged[part.clone()].copy_from_slice(&source[part]);
            }
        }
        if wanted & SSE != 0 && header.compaction & COMPACTED == 0 {
            merged[MXCSR_AT..28].copy_from_slice(&image[MXCSR_AT..28]);
        }
        self.fxrstor(&merged, vectors);
    }
}
