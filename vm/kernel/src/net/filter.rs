//! Filters on what sockets receive (`socket(7)`, `SO_ATTACH_FILTER`; Linux's `networking/filter.rst`).

use abi::Errno;

use super::interface;
use crate::bpf::{self, Instruction};

/// Where loads find something that is not in the packet (`SKF_AD_*`, `linux/filter.h`).
mod elsewhere {
    pub const START: u32 = -0x1000_i32 as u32;
    pub const PROTOCOL: u32 = START;
    pub const KIND: u32 = START + 4;
    pub const INTERFACE: u32 = START + 8;
    pub const MARK: u32 = START + 20;
    pub const QUEUE: u32 = START + 24;
    pub const HARDWARE: u32 = START + 28;
    pub const HASH: u32 = START + 32;
    pub const PROCESSOR: u32 = START + 36;
    pub const XOR_X: u32 = START + 40;
    pub const LAST: u32 = START + 60;
}

/// Offsets from here on are from the network's header; before that, from the device's (`SKF_NET_OFF`, `SKF_LL_OFF`).
const FROM_NETWORK: u32 = -0x10_0000_i32 as u32;
const FROM_DEVICE: u32 = -0x20_0000_i32 as u32;

/// A filter.
#[derive(Debug)]
pub struct Filter {
    program: Vec<Instruction>,
}

/// What a filter looks at.
#[derive(Clone, Copy, Default, Debug)]
pub struct Packet<'a> {
    /// All of it, in one or two parts.
    pub head: &'a [u8],
    #[allow(missing_docs)]
    pub body: &'a [u8],
    /// Where in it the part begins that offsets count from: what is before are headers that have been read.
    pub start: usize,
    /// Its protocol, as on an Ethernet (`ETH_P_*`); 0 if it has not come over the interface.
    pub protocol: u16,
}

impl Packet<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.head.get(at).or_else(|| self.body.get(at.checked_sub(self.head.len())?)).copied()
    }
}

impl bpf::Data for Packet<'_> {
    fn length(&self) -> u32 {
        (self.head.len() + self.body.len() - self.start) as u32
    }

    fn load(&self, at: u32, bytes: usize) -> Option<u32> {
        let at = match at {
            FROM_NETWORK.. => (at - FROM_NETWORK) as usize,
            FROM_DEVICE.. => return None,
            _ => self.start + at as usize,
        };
        (at..at + bytes).try_fold(0, |value, at| Some(value << 8 | u32::from(self.byte(at)?)))
    }

    fn load_elsewhere(&self, at: u32, a: u32, x: u32) -> Option<u32> {
        let has_come = self.protocol != 0;
        Some(match at {
            elsewhere::PROTOCOL => self.protocol.into(),
            elsewhere::INTERFACE if has_come => interface::INDEX,
            elsewhere::HARDWARE if has_come => abi::socket::ARPHRD_LOOPBACK,
            elsewhere::INTERFACE | elsewhere::HARDWARE => return None,
            elsewhere::XOR_X => a ^ x,
            elsewhere::KIND | elsewhere::MARK | elsewhere::QUEUE | elsewhere::HASH | elsewhere::PROCESSOR => 0,
            _ => 0,
        })
    }
}

impl Filter {
    /// A filter, if the program is one.
    ///
    /// # Errors
    /// `EINVAL` if it is not.
    pub fn new(program: Vec<Instruction>) -> Result<Self, Errno> {
        bpf::check(&program, |at| (elsewhere::START..=elsewhere::LAST).contains(&at) && at.is_multiple_of(4))?;
        Ok(Self { program })
    }

    /// Its program.
    pub fn program(&self) -> &[Instruction] {
        &self.program
    }

    /// How many bytes of a packet are received, of which at least `least` are if any; `None` if it is not received at all.
    pub fn judge(&self, packet: &Packet<'_>, least: usize) -> Option<usize> {
        match bpf::run(&self.program, packet) as usize {
            0 => None,
            kept => Some(kept.max(least)),
        }
    }
}
