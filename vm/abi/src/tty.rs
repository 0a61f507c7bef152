//! Terminals: `termios(3)` and the `ioctl`s of `ioctl_tty(2)`, with a few others that programs try on any file.

use crate::layout::{Reader, Writer};

constants! { termios_flags: u32 {
    IGNBRK = 1; BRKINT = 2; IGNPAR = 4; PARMRK = 8; INPCK = 16; ISTRIP = 32; INLCR = 64; IGNCR = 128; ICRNL = 256;
    IUCLC = 512; IXON = 1024; IXANY = 2048; IXOFF = 4096; IMAXBEL = 8192; IUTF8 = 16384;
    OPOST = 1; OLCUC = 2; ONLCR = 4; OCRNL = 8; ONOCR = 16; ONLRET = 32; TABDLY = 0o14000; XTABS = 0o14000;
    B38400 = 15; CSIZE = 48; CS8 = 48; CREAD = 128; PARENB = 256; HUPCL = 1024; CLOCAL = 2048; CBAUDEX = 0o10000;
    CBAUD = 0o10017;
    ISIG = 1; ICANON = 2; ECHO = 8; ECHOE = 16; ECHOK = 32; ECHONL = 64; NOFLSH = 128; TOSTOP = 256; ECHOCTL = 512;
    ECHOPRT = 1024; ECHOKE = 2048; FLUSHO = 4096; PENDIN = 16384; IEXTEN = 32768; EXTPROC = 65536;
} }

constants! { control_characters: usize {
    VINTR = 0; VQUIT = 1; VERASE = 2; VKILL = 3; VEOF = 4; VTIME = 5; VMIN = 6; VSWTC = 7; VSTART = 8; VSTOP = 9;
    VSUSP = 10; VEOL = 11; VREPRINT = 12; VDISCARD = 13; VWERASE = 14; VLNEXT = 15; VEOL2 = 16;
} }

constants! { requests: u32 {
    TCGETS = 0x5401; TCSETS = 0x5402; TCSETSW = 0x5403; TCSETSF = 0x5404; TCGETA = 0x5405; TCSETA = 0x5406;
    TCSETAW = 0x5407; TCSETAF = 0x5408; TCSBRK = 0x5409; TCXONC = 0x540a; TCFLSH = 0x540b; TIOCEXCL = 0x540c;
    TIOCNXCL = 0x540d; TIOCSCTTY = 0x540e; TIOCGPGRP = 0x540f; TIOCSPGRP = 0x5410; TIOCOUTQ = 0x5411;
    TIOCSTI = 0x5412; TIOCGWINSZ = 0x5413; TIOCSWINSZ = 0x5414; TIOCGSOFTCAR = 0x5419; TIOCSSOFTCAR = 0x541a;
    FIONREAD = 0x541b; TIOCSSERIAL = 0x541f; TIOCCONS = 0x541d; TIOCPKT = 0x5420; FIONBIO = 0x5421; TIOCNOTTY = 0x5422;
    TIOCSETD = 0x5423; TIOCGETD = 0x5424; TCSBRKP = 0x5425; TIOCSBRK = 0x5427; TIOCCBRK = 0x5428;
    TIOCGSID = 0x5429; TIOCGPTN = 0x8004_5430; TIOCSPTLCK = 0x4004_5431; TIOCGDEV = 0x8004_5432;
    TIOCSIG = 0x4004_5436; TIOCVHANGUP = 0x5437; TIOCGPKT = 0x8004_5438; TIOCGPTLCK = 0x8004_5439;
    TIOCGEXCL = 0x8004_5440; TIOCGPTPEER = 0x5441; FIONCLEX = 0x5450; FIOCLEX = 0x5451; FIOASYNC = 0x5452;
    TIOCGLCKTRMIOS = 0x5456; TIOCSLCKTRMIOS = 0x5457;
    TCIFLUSH = 0; TCOFLUSH = 1; TCIOFLUSH = 2; TCOOFF = 0; TCOON = 1; TCIOFF = 2; TCION = 3;
} }

/// What the other side of a pseudo-terminal reads in packet mode before anything else (`asm-generic/ioctls.h`).
#[allow(missing_docs)]
mod packet_status {
    pub const TIOCPKT_DATA: u8 = 0;
    pub const TIOCPKT_FLUSHREAD: u8 = 1;
    pub const TIOCPKT_FLUSHWRITE: u8 = 2;
    pub const TIOCPKT_STOP: u8 = 4;
    pub const TIOCPKT_START: u8 = 8;
    pub const TIOCPKT_NOSTOP: u8 = 16;
    pub const TIOCPKT_DOSTOP: u8 = 32;
    pub const TIOCPKT_IOCTL: u8 = 64;
}
pub use packet_status::*;

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
/// Number of them in `struct termio`.
const TERMIO_CHARACTERS: usize = 8;
/// A control character that is switched off.
pub const DISABLED: u8 = 0;
/// The line discipline of terminals.
pub const N_TTY: u32 = 0;
/// How far the input speed lies above the output speed in `c_cflag`.
const IBSHIFT: u32 = 16;
/// Speed of a terminal that has none.
const SPEED: u32 = 38400;

/// Bits a second, by the number in `c_cflag`; `CBAUDEX` goes on at 16.
const SPEEDS: [u32; 31] = [
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115_200, 230_400,
    460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000,
    4_000_000,
];

/// The structs in which settings pass between programs and the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TermiosForm {
    /// `struct termio`: System V's, with flags of 16 bits.
    Termio,
    /// The kernel's `struct termios`.
    Termios,
    /// `struct termios2`, which adds two speeds.
    Termios2,
}

impl TermiosForm {
    /// Bytes of the struct.
    pub fn size(self) -> usize {
        match self {
            Self::Termio => 18,
            Self::Termios => 36,
            Self::Termios2 => 44,
        }
    }
}

/// A terminal's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Named as in termios(3).
pub struct Termios {
    pub iflag: u32,
    pub oflag: u32,
    pub cflag: u32,
    pub lflag: u32,
    pub line: u8,
    pub cc: [u8; CONTROL_CHARACTERS],
    pub ispeed: u32,
    pub ospeed: u32,
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
            ispeed: SPEED,
            ospeed: SPEED,
        }
    }
}

impl Termios {
    /// Nothing set: as a mask of what is locked, nothing is (`TIOCSLCKTRMIOS`).
    pub const NONE: Self =
        Self { iflag: 0, oflag: 0, cflag: 0, lflag: 0, line: 0, cc: [0; CONTROL_CHARACTERS], ispeed: 0, ospeed: 0 };

    /// The struct's bytes.
    pub fn encode(&self, form: TermiosForm) -> Vec<u8> {
        let flags = [self.iflag, self.oflag, self.cflag, self.lflag];
        if form == TermiosForm::Termio {
            let writer = flags.iter().fold(Writer::new(), |writer, flags| writer.u16(*flags as u16));
            return writer.u8(self.line).raw(&self.cc[..TERMIO_CHARACTERS]).u8(0).finish();
        }
        let writer = flags.iter().fold(Writer::new(), |writer, flags| writer.u32(*flags));
        let writer = writer.u8(self.line).raw(&self.cc);
        match form {
            TermiosForm::Termios2 => writer.u32(self.ispeed).u32(self.ospeed).finish(),
            _ => writer.finish(),
        }
    }

    /// These settings with all that the struct has replaced by what is in `bytes`.
    #[must_use]
    pub fn updated(mut self, form: TermiosForm, bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let flags = [&mut self.iflag, &mut self.oflag, &mut self.cflag, &mut self.lflag];
        let is_short = form == TermiosForm::Termio;
        for flags in flags {
            *flags = if is_short { *flags & !0xffff | u32::from(reader.u16()) } else { reader.u32() };
        }
        self.line = reader.u8();
        let characters = if is_short { TERMIO_CHARACTERS } else { CONTROL_CHARACTERS };
        self.cc[..characters].iter_mut().for_each(|character| *character = reader.u8());
        if form == TermiosForm::Termios2 {
            (self.ispeed, self.ospeed) = (reader.u32(), reader.u32());
        }
        self
    }

    /// These settings with speeds that agree with the numbers in `c_cflag`.
    #[must_use]
    pub fn with_speeds(mut self) -> Self {
        let output = speed(self.cflag & CBAUD, self.ospeed);
        self.ispeed = match self.cflag >> IBSHIFT & CBAUD {
            0 => output,
            number => speed(number, self.ispeed),
        };
        self.ospeed = output;
        self
    }

    /// These settings, but those of `old` where `locked` has bits set.
    #[must_use]
    pub fn keeping(mut self, old: &Self, locked: &Self) -> Self {
        let keep = |new: u32, old: u32, locked: u32| new & !locked | old & locked;
        self.iflag = keep(self.iflag, old.iflag, locked.iflag);
        self.oflag = keep(self.oflag, old.oflag, locked.oflag);
        self.cflag = keep(self.cflag, old.cflag, locked.cflag);
        self.lflag = keep(self.lflag, old.lflag, locked.lflag);
        if locked.line != 0 {
            self.line = old.line;
        }
        for (index, character) in self.cc.iter_mut().enumerate().filter(|(index, _)| locked.cc[*index] != 0) {
            *character = old.cc[index];
        }
        self
    }
}

/// The speed of a number in `c_cflag`; `BOTHER`, which is `CBAUDEX` alone, stands for the one in the struct.
fn speed(number: u32, other: u32) -> u32 {
    match number {
        CBAUDEX => other,
        extended if extended & CBAUDEX != 0 => {
            SPEEDS.get((extended & !CBAUDEX) as usize + 15).copied().unwrap_or_default()
        }
        number => SPEEDS[number as usize],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_round_trip() {
        let termios = Termios::default();
        for form in [TermiosForm::Termio, TermiosForm::Termios, TermiosForm::Termios2] {
            let bytes = termios.encode(form);
            assert_eq!(bytes.len(), form.size());
            assert_eq!(termios.updated(form, &bytes), termios);
        }
        assert_eq!(Termios::NONE.updated(TermiosForm::Termios2, &termios.encode(TermiosForm::Termios2)), termios);
    }

    #[test]
    fn speeds_are_those_of_the_numbers() {
        let at = |cflag: u32| {
            let speeds = Termios { cflag, ispeed: 7, ospeed: 8, ..Termios::NONE }.with_speeds();
            (speeds.ispeed, speeds.ospeed)
        };
        assert_eq!(at(B38400), (38400, 38400));
        assert_eq!(at(CBAUDEX | 2), (115_200, 115_200));
        assert_eq!(at(CBAUDEX), (8, 8));
        assert_eq!(at(CBAUDEX << IBSHIFT | 13), (7, 9600));
    }
}
