//! x87 and MMX state: eight 80-bit registers in a stack, control, status and tag words.
//!
//! Source: Intel SDM vol. 1, chapter 8; the FXSAVE image, 10.5.1.

use crate::x87::status;

/// An 80-bit register as its bytes lie in memory.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct F80 {
    /// Integer bit and fraction.
    pub mantissa: u64,
    /// Sign (bit 15) and biased exponent.
    pub sign_exponent: u16,
}

/// The x87 unit. Registers are kept by physical number; `ST(i)` is number `(top + i) % 8`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Fpu {
    /// Physical registers.
    pub registers: [F80; 8],
    /// Control word: exception masks, precision, rounding.
    pub control: u16,
    /// Status word without `top` and without what follows from control word and exceptions.
    pub status: u16,
    /// Number of the register that is ST(0).
    pub top: u8,
    /// Bit i: physical register i holds a value (the abridged tag word).
    pub valid: u8,
    /// FOP: the last instruction with an exception that was not masked; 11 bits of its opcode and ModRM.
    pub last_opcode: u16,
    /// FDP: where that instruction had its operand. FIP is in a slot, [`crate::ir::slot::X87_INSTRUCTION`].
    pub last_operand: u64,
    /// For compiled code: what comes with the result of [`crate::x87::compiled`]'s functions.
    pub outcome: i32,
}

/// FNINIT's control word: all exceptions masked, 64-bit precision, round to nearest.
pub const CONTROL_DEFAULT: u16 = 0x037f;

/// Bits of the control word that can be set, and one that always is.
pub const CONTROL_BITS: u16 = 0x1f3f;
/// See [`CONTROL_BITS`].
pub const CONTROL_FIXED: u16 = 0x40;

/// Bits of the status word that are not kept in [`Fpu::status`].
const DERIVED: u16 = 7 << 11 | status::SUMMARY | status::BUSY;

/// Exponent of an MMX value's register: all ones.
const MMX_EXPONENT: u16 = 0xffff;

impl Default for Fpu {
    fn default() -> Self {
        Self {
            registers: [F80::default(); 8],
            control: CONTROL_DEFAULT,
            status: 0,
            top: 0,
            valid: 0,
            last_opcode: 0,
            last_operand: 0,
            outcome: 0,
        }
    }
}

impl Fpu {
    /// As FNINIT does; registers keep their bits. FIP is the lifter's to clear.
    pub(crate) fn init(&mut self) {
        (self.control, self.status, self.top, self.valid) = (CONTROL_DEFAULT, 0, 0, 0);
        (self.last_opcode, self.last_operand) = (0, 0);
    }

    /// Physical number of ST(i).
    pub fn physical(&self, i: u8) -> usize {
        usize::from(self.top.wrapping_add(i) & 7)
    }

    /// Unmasked exceptions that have happened: the next instruction that waits for them raises #MF.
    #[inline(always)]
    pub fn pending(&self) -> u16 {
        self.status & !self.control & status::EXCEPTIONS
    }

    /// The status word as FNSTSW stores it.
    pub fn status_word(&self) -> u16 {
        let summary = if self.pending() != 0 { status::SUMMARY | status::BUSY } else { 0 };
        self.status & !DERIVED | summary | u16::from(self.top & 7) << 11
    }

    /// Sets status and top from a stored status word.
    pub fn set_status_word(&mut self, word: u16) {
        self.status = word & !DERIVED;
        self.top = (word >> 11 & 7) as u8;
    }

    /// Sets the control word; reserved bits are as they always are.
    pub fn set_control(&mut self, word: u16) {
        self.control = word & CONTROL_BITS | CONTROL_FIXED;
    }

    /// Value of an MMX register. Any MMX instruction resets the stack and marks every register valid.
    pub fn mmx(&mut self, index: u8) -> u64 {
        self.enter_mmx();
        self.registers[usize::from(index & 7)].mantissa
    }

    /// Sets an MMX register.
    pub fn set_mmx(&mut self, index: u8, value: u64) {
        self.enter_mmx();
        self.registers[usize::from(index & 7)] = F80 { mantissa: value, sign_exponent: MMX_EXPONENT };
    }

    fn enter_mmx(&mut self) {
        self.top = 0;
        self.valid = 0xff;
    }

    /// The full tag word: two bits a register (0 valid, 1 zero, 2 special, 3 empty).
    pub fn tag_word(&self) -> u16 {
        (0..8).fold(0, |word, i| {
            let F80 { mantissa, sign_exponent } = self.registers[i];
            let tag = match sign_exponent & 0x7fff {
                _ if self.valid >> i & 1 == 0 => 3,
                0 if mantissa == 0 => 1,
                0 | 0x7fff => 2,
                _ if mantissa >> 63 == 0 => 2,
                _ => 0,
            };
            word | tag << (2 * i)
        })
    }

    /// Sets which registers are valid from a full tag word.
    pub fn set_tag_word(&mut self, word: u16) {
        self.valid = (0..8).fold(0, |valid, i| valid | u8::from(word >> (2 * i) & 3 != 3) << i);
    }
}
