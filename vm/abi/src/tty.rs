//! Terminals: `termios(3)` and the `ioctl`s of `ioctl_tty(2)`, with a few others that programs try on any file.

use crate::layout::{Reader, Writer};

constants! { termios_flags: u32 {
    IGNBRK = 1; BRKINT = 2; IGNPAR = 4; PARMRK = 8; INPCK = 16; ISTRIP = 32; INLCR = 64; IGNCR = 128; ICRNL = 256;
    IXON = 1024; IXANY = 2048; IXOFF = 4096; IMAXBEL = 8192; IUTF8 = 16384;
    OPOST = 1; OLCUC = 2; ONLCR = 4; OCRNL = 8; ONOCR = 16; ONLRET = 32; TABDLY = 0o14000; XTABS = 0o14000;
    B38400 = 15; CS8 = 48; CREAD = 128; HUPCL = 1024; CLOCAL = 2048;
    ISIG = 1; ICANON = 2; ECHO = 8; ECHOE = 16; ECHOK = 32; ECHONL = 64; NOFLSH = 128; TOSTOP = 256; ECHOCTL = 512;
    ECHOPRT = 1024; ECHOKE = 2048; FLUSHO = 4096; PENDIN = 16384; IEXTEN = 32768;
} }

constants! { control_characters: usize {
    VINTR = 0; VQUIT = 1; VERASE = 2; VKILL = 3; VEOF = 4; VTIME = 5; VMIN = 6; VSWTC = 7; VSTART = 8; VSTOP = 9;
    VSUSP = 10; VEOL = 11; VREPRINT = 12; VDISCARD = 13; VWERASE = 14; VLNEXT = 15; VEOL2 = 16;
} }

constants! { requests: u32 {
    TCGETS = 0x5401; TCSETS = 0x5402; TCSETSW = 0x5403; TCSETSF = 0x5404; TCGETA = 0x5405; TCSETA = 0x5406;
    TCSETAW = 0x5407; TCSETAF = 0x5408; TCSBRK = 0x5409; TCXONC = 0x540a;
    TCFLSH = 0x540b; TIOCEXCL = 0x540c; TIOCNXCL = 0x540d; TIOCSCTTY = 0x540e; TIOCGPGRP = 0x540f;
    TIOCSPGRP = 0x5410; TIOCOUTQ = 0x5411; TIOCSTI = 0x5412; TIOCGWINSZ = 0x5413; TIOCSWINSZ = 0x5414;
    TIOCGSOFTCAR = 0x5419; TIOCSSOFTCAR = 0x541a; FIONREAD = 0x541b; TIOCPKT = 0x5420; FIONBIO = 0x5421;
    TIOCNOTTY = 0x5422; TIOCSETD = 0x5423; TIOCGETD = 0x5424; TCSBRKP = 0x5425; TIOCSBRK = 0x5427; TIOCCBRK = 0x5428;
    TIOCGSID = 0x5429; TIOCGPTN = 0x8004_5430; TIOCSPTLCK = 0x4004_5431; TIOCSIG = 0x4004_5436;
    TIOCGPKT = 0x8004_5438; TIOCGPTLCK = 0x8004_5439; TIOCGEXCL = 0x8004_5440; TIOCGPTPEER = 0x5441;
    TIOCGLCKTRMIOS = 0x5456; TIOCSLCKTRMIOS = 0x5457; FIONCLEX = 0x5450; FIOCLEX = 0x5451; FIOASYNC = 0x5452;
    TCIFLUSH = 0; TCOFLUSH = 1; TCIOFLUSH = 2; TCOOFF = 0; TCOON = 1; TCIOFF = 2; TCION = 3;
} }

/// `TCGETS2` and its setters carry `struct termios2` (`asm-generic/ioctls.h`).
#[allow(missing_docs)]
mod requests2 {
    pub const TCGETS2: u32 = 0x802c_542a;
    pub const TCSETS2: u32 = 0x402c_542b;
    pub const TCSETSW2: u32 = 0x402c_542c;
    pub const TCSETSF2: u32 = 0x402c_542d;
}
pub use requests2::*;

/// Number of control characters in the kernel's `struct termios`.
pub const CONTROL_CHARACTERS: usize = 19;
/// Those of them that System V's `struct termio` has.
const OLD_CONTROL_CHARACTERS: usize = 8;
/// A control character that is switched off.
pub const DISABLED: u8 = 0;

/// `struct termios` as the kernel has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Named as in termios(3).
pub struct Termios {
    pub iflag: u32,
    pub oflag: u32,
    pub cflag: u32,
    pub lflag: u32,
    pub line: u8,
    pub cc: [u8; CONTROL_CHARACTERS],
}

impl Default for Termios {
    /// A fresh pseudo-terminal's settings (`tty_std_termios`).
    fn default() -> Self {
        let mut cc = [DISABLED; CONTROL_CHARACTERS];
        let set = [
            (VINTR, 3),
            (VQUIT, 0x1c),
            (VERASE, 0x7f),
            (VKILL, 0x15),
            (VEOF, 4),
            (VMIN, 1),
            (VSTART, 0x11),
            (VSTOP, 0x13),
            (VSUSP, 0x1a),
            (VREPRINT, 0x12),
            (VDISCARD, 0x0f),
            (VWERASE, 0x17),
            (VLNEXT, 0x16),
        ];
        set.iter().for_each(|(index, value)| cc[*index] = *value);
        Self {
            iflag: ICRNL | IXON,
            oflag: OPOST | ONLCR,
            cflag: B38400 | CS8 | CREAD,
            lflag: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
            line: 0,
            cc,
        }
    }
}

impl Termios {
    /// Bytes of the kernel's `struct termios`.
    pub const SIZE: usize = 36;
    /// Bytes of System V's `struct termio`.
    pub const SIZE_OLD: usize = 18;
    /// Bytes of `struct termios2`, which adds two speeds.
    pub const SIZE2: usize = 44;

    /// The struct's bytes; `termios2` when `with_speeds`.
    pub fn encode(&self, with_speeds: bool) -> Vec<u8> {
        const SPEED: u32 = 38400;
        let writer = Writer::new().u32(self.iflag).u32(self.oflag).u32(self.cflag).u32(self.lflag);
        let writer = writer.u8(self.line).raw(&self.cc);
        if with_speeds { writer.u32(SPEED).u32(SPEED).finish() } else { writer.finish() }
    }

    /// System V's `struct termio`: the lower halves of the flags, and the first characters.
    pub fn encode_old(&self) -> Vec<u8> {
        let flags = [self.iflag, self.oflag, self.cflag, self.lflag];
        let writer = flags.iter().fold(Writer::new(), |writer, flags| writer.u16(*flags as u16));
        // Its length is a multiple of two.
        writer.u8(self.line).raw(&self.cc[..OLD_CONTROL_CHARACTERS]).u8(0).finish()
    }

    /// These settings with what `struct termio` has replaced.
    pub fn with_old(mut self, bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        for flags in [&mut self.iflag, &mut self.oflag, &mut self.cflag, &mut self.lflag] {
            *flags = *flags & !0xffff | u32::from(reader.u16());
        }
        self.line = reader.u8();
        self.cc[..OLD_CONTROL_CHARACTERS].iter_mut().for_each(|character| *character = reader.u8());
        self
    }

    /// These settings, but those of `old` wherever `locks` has a bit, or a character, that is not 0 (`TIOCSLCKTRMIOS`).
    pub fn except_locked(mut self, old: &Self, locks: &Self) -> Self {
        let keep = |new: u32, old: u32, locks: u32| new & !locks | old & locks;
        self.iflag = keep(self.iflag, old.iflag, locks.iflag);
        self.oflag = keep(self.oflag, old.oflag, locks.oflag);
        self.cflag = keep(self.cflag, old.cflag, locks.cflag);
        self.lflag = keep(self.lflag, old.lflag, locks.lflag);
        if locks.line != 0 {
            self.line = old.line;
        }
        for (index, _) in locks.cc.iter().enumerate().filter(|(_, lock)| **lock != 0) {
            self.cc[index] = old.cc[index];
        }
        self
    }

    /// No setting at all: as locks, that everything may be changed.
    pub fn none() -> Self {
        Self { iflag: 0, oflag: 0, cflag: 0, lflag: 0, line: 0, cc: [0; CONTROL_CHARACTERS] }
    }

    /// Reads either struct; speeds mean nothing here.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let (iflag, oflag, cflag, lflag) = (reader.u32(), reader.u32(), reader.u32(), reader.u32());
        let line = reader.u8();
        let mut cc = [0; CONTROL_CHARACTERS];
        cc.iter_mut().for_each(|character| *character = reader.u8());
        Self { iflag, oflag, cflag, lflag, line, cc }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn termios_survives_a_round_trip() {
        let termios = Termios::default();
        assert_eq!(termios.encode(false).len(), Termios::SIZE);
        assert_eq!(termios.encode(true).len(), Termios::SIZE2);
        assert_eq!(Termios::decode(&termios.encode(true)), termios);
        assert_eq!(termios.encode_old().len(), Termios::SIZE_OLD);
        assert_eq!(termios.with_old(&termios.encode_old()), termios);
    }
}
