//! States of the unit that tend to find mistakes.

use cpu::fpu::F80;

use crate::host::Image;

/// A small generator (xorshift64*).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn significand(&mut self) -> u64 {
        let bits = match self.below(6) {
            0 => 0,
            1 => self.next() << self.below(64),
            2 => (1u64 << self.below(63)).wrapping_sub(self.below(3)),
            3 => u64::MAX << self.below(64),
            _ => self.next(),
        };
        1 << 63 | bits
    }

    pub fn number(&mut self) -> F80 {
        let sign = (self.next() as u16) & 0x8000;
        let of = |mantissa: u64, exponent: u64| F80 { mantissa, sign_exponent: sign | exponent as u16 };
        match self.below(40) {
            0 => of(0, 0),
            1 => of(self.next() >> self.below(64), 0),
            2 => of(1 << 63 | self.next(), 0),
            3 => of(1 << 63, 0x7fff),
            4 => of(3 << 62 | self.next(), 0x7fff),
            5 => of((2 << 62 | self.next() >> 2).max(2 << 62 | 1), 0x7fff),
            6 => of(self.next() >> 1, 1 + self.below(0x7fff)),
            // Close to the ends of the range, of doubles' and of singles'.
            7 => of(self.significand(), 1 + self.below(70)),
            8 => of(self.significand(), 0x7ffe - self.below(70)),
            9 => of(self.significand(), 0x3fff - 1023 - 60 + self.below(70)),
            10 => of(self.significand(), 0x3fff + 1023 - 2 + self.below(5)),
            11 => of(self.significand(), 0x3fff - 127 - 30 + self.below(40)),
            12 => of(self.significand(), 0x3fff + 127 - 2 + self.below(5)),
            13 => of(self.significand(), 1 + self.below(0x7ffe)),
            14..=20 => of(self.significand(), 0x3fff + self.below(70)),
            21..=24 => of(self.significand(), 0x3fff - 2 + self.below(5)),
            _ => of(self.significand(), 0x3fff - 64 + self.below(128)),
        }
    }

    /// Arguments that functions are meant for.
    pub fn argument(&mut self) -> F80 {
        let sign = (self.next() as u16) & 0x8000;
        let exponent = match self.below(4) {
            0 => 0x3fff - self.below(70),
            1 => 0x3fff + self.below(63),
            _ => 0x3ff8 + self.below(12),
        };
        F80 { mantissa: self.significand(), sign_exponent: sign | exponent as u16 }
    }

    pub fn control(&mut self) -> u16 {
        match self.below(4) {
            0 => 0x037f,
            1 => 0x0040 | (self.next() as u16) & 0x0f3f,
            _ => 0x007f | (self.next() as u16) & 0x0f00,
        }
    }

    /// Nothing pending: the next instruction would end in a signal.
    pub fn image(&mut self) -> Image {
        let control = self.control();
        let flags = (self.next() as u16) & if self.below(2) == 0 { 0x7f } else { 0 };
        let status = flags & (control | 0x40) | (self.next() as u16) & 0x7f00;
        let valid = if self.below(4) == 0 {
            self.next() as u8
        } else if self.below(2) == 0 {
            0xff
        } else {
            0
        };
        let mut registers = [F80::default(); 8];
        for i in 0..8 {
            registers[i] = match self.below(8) {
                // Nearly the one before, so that digits cancel out.
                0 if i > 0 => F80 {
                    mantissa: registers[i - 1].mantissa ^ self.below(16),
                    sign_exponent: registers[i - 1].sign_exponent ^ (self.next() as u16 & 0x8001),
                },
                _ => self.number(),
            };
        }
        // Most often what is popped is there and what is pushed to is not.
        let top = status >> 11 & 7;
        let near = if self.below(2) == 0 { 1u8 << top | 1 << ((top + 1) & 7) | 1 << ((top + 3) & 7) } else { 0 };
        let free = if self.below(2) == 0 { 1u8 << ((top + 7) & 7) } else { 0 };
        Image::new(control, status, (valid | near) & !free, registers)
    }

    /// A memory operand of any kind.
    pub fn memory(&mut self) -> [u8; 16] {
        let F80 { mantissa, sign_exponent } = self.number();
        let sign = u64::from(sign_exponent >> 15);
        let value: u128 = match self.below(6) {
            0 => u128::from(mantissa) | u128::from(sign_exponent) << 64,
            1 => u128::from(self.next() >> self.below(64)),
            // Doubles and singles, special ones among them.
            2 => u128::from(sign << 63 | (1023 - 20 + self.below(40)) << 52 | mantissa << 1 >> 12),
            3 => u128::from(sign << 31 | (127 - 20 + self.below(40)) << 23 | mantissa << 1 >> 41),
            4 => {
                let double = sign << 63 | [0, 0x7ff, 1, 0x7fe][self.below(4) as usize] << 52;
                let single = sign << 31 | [0, 0xff, 1, 0xfe][self.below(4) as usize] << 23;
                let fraction = [0, 1 << 51, self.next() >> 12][self.below(3) as usize];
                u128::from(if self.below(2) == 0 { double | fraction } else { single | fraction >> 29 })
            }
            // Decimal digits.
            _ => (0..18).fold(u128::from(sign) << 79, |sum, i| sum | u128::from(self.below(10)) << (4 * i)),
        };
        value.to_le_bytes()
    }
}
