//! When something came: `SO_TIMESTAMP` and its relatives, `SIOCGSTAMP` (`socket(7)`; Linux's
//! `networking/timestamping.rst`). All stamps are software's; there is no device that has a clock.

use std::cell::Cell;

use abi::socket::*;
use abi::{Errno, Layout, Writer};

use super::control::Control;
use crate::stop::Outcome;

/// Flags of `SO_TIMESTAMPING` that there are (`linux/net_tstamp.h`), and those that matter here: report software's
/// stamps, name packets, name a stream's bytes, use a certain clock.
const FLAGS: u32 = (1 << 19) - 1;
const SOFTWARE: u32 = 1 << 4;
const OPT_ID: u32 = 1 << 7;
const BIND_CLOCK: u32 = 1 << 15;
const OPT_ID_TCP: u32 = 1 << 16;

/// The unit of the stamps that each message has.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Unit {
    #[default]
    None,
    Micros,
    Nanos,
}

/// What a socket is told of times. Stamps in words of the program and in 64 bits exclude each other: what was asked
/// for last counts, for all of them.
#[derive(Clone, Default)]
pub struct Stamps {
    unit: Cell<Unit>,
    is_wide: Cell<bool>,
    /// `SOF_TIMESTAMPING_*`.
    flags: Cell<u32>,
    /// When the message that was received last had come.
    last_ns: Cell<Option<u64>>,
}

/// Whether an option is about times of messages.
pub fn is_about_stamps(option: u32) -> bool {
    matches!(
        option,
        SO_TIMESTAMP | SO_TIMESTAMP_NEW | SO_TIMESTAMPNS | SO_TIMESTAMPNS_NEW | SO_TIMESTAMPING | SO_TIMESTAMPING_NEW
    )
}

impl Stamps {
    /// The value of an option [about stamps](is_about_stamps).
    pub fn get(&self, option: u32) -> Vec<u8> {
        let is_on = |unit: Unit, wide: bool| self.unit.get() == unit && self.is_wide.get() == wide;
        let number = match option {
            SO_TIMESTAMP => is_on(Unit::Micros, false).into(),
            // Linux says so for either unit.
            SO_TIMESTAMP_NEW => u32::from(self.unit.get() != Unit::None && self.is_wide.get()),
            SO_TIMESTAMPNS => is_on(Unit::Nanos, false).into(),
            SO_TIMESTAMPNS_NEW => is_on(Unit::Nanos, true).into(),
            _ => {
                let shown = option == SO_TIMESTAMPING || self.is_wide.get();
                return Writer::new().u32(if shown { self.flags.get() } else { 0 }).u32(0).finish();
            }
        };
        number.to_le_bytes().to_vec()
    }

    /// Sets an option [about stamps](is_about_stamps).
    ///
    /// # Errors
    /// `EINVAL` for flags that there are not, or that need others; `EOPNOTSUPP` for a clock, as there is none.
    pub fn set(&self, option: u32, value: i32) -> Outcome<()> {
        let is_wide = matches!(option, SO_TIMESTAMP_NEW | SO_TIMESTAMPNS_NEW | SO_TIMESTAMPING_NEW);
        if matches!(option, SO_TIMESTAMPING | SO_TIMESTAMPING_NEW) {
            let flags = value as u32;
            if flags & !FLAGS != 0 || flags & (OPT_ID | OPT_ID_TCP) == OPT_ID_TCP {
                return Err(Errno::EINVAL.into());
            }
            if flags & BIND_CLOCK != 0 {
                return Err(Errno::EOPNOTSUPP.into());
            }
            self.flags.set(flags);
            self.is_wide.set(is_wide);
        } else if value == 0 {
            self.unit.set(Unit::None);
        } else {
            let is_nanos = matches!(option, SO_TIMESTAMPNS | SO_TIMESTAMPNS_NEW);
            self.unit.set(if is_nanos { Unit::Nanos } else { Unit::Micros });
            self.is_wide.set(is_wide);
        }
        Ok(())
    }

    /// Takes over another socket's.
    pub fn inherit(&self, other: &Stamps) {
        self.unit.set(other.unit.get());
        self.is_wide.set(other.is_wide.get());
        self.flags.set(other.flags.get());
    }

    /// What is told of a message that has come at `time_ns`. Of some sockets (`on_demand`) messages are stamped only if
    /// each is to have a stamp.
    pub fn told(&self, layout: Layout, time_ns: u64, on_demand: bool) -> Vec<Control> {
        let (unit, is_wide) = (self.unit.get(), self.is_wide.get());
        let words = if is_wide { Layout::X86_64 } else { Layout { time_bytes: layout.word_bytes, ..layout } };
        let mut told = Vec::new();
        if time_ns == 0 {
            return told;
        }
        match unit {
            Unit::None => {}
            Unit::Micros => {
                let option = if is_wide { SO_TIMESTAMP_NEW } else { SO_TIMESTAMP };
                told.push((SOL_SOCKET, option, words.writer().timeval(time_ns).finish()));
            }
            Unit::Nanos => {
                let option = if is_wide { SO_TIMESTAMPNS_NEW } else { SO_TIMESTAMPNS };
                told.push((SOL_SOCKET, option, words.writer().timespec(time_ns).finish()));
            }
        }
        if self.flags.get() & SOFTWARE != 0 && (unit != Unit::None || !on_demand) {
            // Software's, one that is not used any more, hardware's.
            let option = if is_wide { SO_TIMESTAMPING_NEW } else { SO_TIMESTAMPING };
            let stamps = words.writer().timespec(time_ns).timespec(0).timespec(0);
            told.push((SOL_SOCKET, option, stamps.finish()));
        }
        told
    }

    /// A message has been received that came at `time_ns`.
    pub fn remember(&self, time_ns: u64) {
        self.last_ns.set(Some(time_ns));
    }

    /// `SIOCGSTAMP` and its relatives: when the last message came. `None` for other requests.
    ///
    /// # Errors
    /// `ENOENT` if none has come.
    pub fn answer(&self, layout: Layout, request: u32) -> Option<Outcome<Vec<u8>>> {
        let (is_wide, is_nanos) = match request {
            SIOCGSTAMP => (false, false),
            SIOCGSTAMPNS => (false, true),
            SIOCGSTAMP_NEW => (true, false),
            SIOCGSTAMPNS_NEW => (true, true),
            _ => return None,
        };
        let words = if is_wide { Layout::X86_64 } else { Layout { time_bytes: layout.word_bytes, ..layout } };
        let written = |ns: u64| match is_nanos {
            true => words.writer().timespec(ns).finish(),
            false => words.writer().timeval(ns).finish(),
        };
        Some(self.last_ns.get().map(written).ok_or(Errno::ENOENT.into()))
    }
}
