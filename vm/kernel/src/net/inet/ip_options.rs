//! Options in the header of an IPv4 packet (RFC 791, 3.1; `ip(7)`, `IP_OPTIONS`): which are accepted, what is written into
//! them on the way.
//!
//! Source routes are accepted from the sender and by no receiver, as Linux does unless it is told otherwise
//! (`net.ipv4.conf.all.accept_source_route`).

use std::net::Ipv4Addr;

use abi::Errno;

use crate::stop::Outcome;

/// Kinds of options.
const END: u8 = 0;
const NOTHING: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const STAMPS: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// What stamps have beside them: nothing, the address of who has stamped, of who is to stamp.
const STAMPS_ALONE: u8 = 0;
const STAMPS_OF_ANYONE: u8 = 1;
const STAMPS_OF_CERTAIN: u8 = 3;

/// Milliseconds of a day, which stamps begin to count anew with.
const DAY_MS: u64 = 86_400_000;
const MILLI_NS: u64 = 1_000_000;

/// Valid options, padded to whole words.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct IpOptions {
    bytes: Vec<u8>,
}

/// Where an option is, what it is, and how many bytes it has.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    kind: u8,
    len: usize,
}

impl IpOptions {
    /// Bytes that a header has room for.
    pub const BYTES_MAX: usize = 40;

    /// Checks what a program wants to be sent (`ip_options_compile`).
    ///
    /// # Errors
    /// `EINVAL` for what is none, for what only privileged programs may send, and for what appears twice.
    pub fn parse(wanted: &[u8], is_privileged: bool) -> Outcome<Self> {
        if wanted.len() > Self::BYTES_MAX {
            return Err(Errno::EINVAL.into());
        }
        let mut bytes = wanted.to_vec();
        bytes.resize(wanted.len().next_multiple_of(4), END);
        let places = Self::places(&bytes).ok_or(Errno::EINVAL)?;
        let mut seen = Vec::new();
        for place in &places {
            let option = &bytes[place.at..place.at + place.len];
            let kind = if place.kind == LOOSE_ROUTE { STRICT_ROUTE } else { place.kind };
            let is_known = matches!(kind, STRICT_ROUTE | RECORD_ROUTE | STAMPS | ROUTER_ALERT);
            if !is_valid(option, kind, is_privileged) || (is_known && kind != ROUTER_ALERT && seen.contains(&kind)) {
                return Err(Errno::EINVAL.into());
            }
            seen.push(kind);
        }
        let end = places.last().map_or(0, |last| last.at + last.len);
        let end = bytes[end..].iter().position(|byte| *byte == END).map_or(bytes.len(), |at| end + at);
        bytes[end..].fill(END);
        Ok(Self { bytes })
    }

    /// The options one after the other, but for those of a single byte. `None` if one does not fit.
    fn places(bytes: &[u8]) -> Option<Vec<Place>> {
        let (mut at, mut places) = (0, Vec::new());
        while let Some(kind) = bytes.get(at).copied() {
            match kind {
                END => break,
                NOTHING => at += 1,
                _ => {
                    let len = usize::from(*bytes.get(at + 1)?);
                    bytes.get(at..at + len).filter(|_| len >= 2)?;
                    places.push(Place { at, kind, len });
                    at += len;
                }
            }
        }
        Some(places)
    }

    /// As they are in the header.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether they say which way the packet takes.
    pub fn has_route(&self) -> bool {
        let places = Self::places(&self.bytes).unwrap_or_default();
        places.iter().any(|place| matches!(place.kind, LOOSE_ROUTE | STRICT_ROUTE))
    }

    /// What a host with an address writes into them as the packet passes: on this network it passes twice, when it is
    /// sent and when it is received.
    pub fn pass(&mut self, ip: Ipv4Addr, time_ns: u64) {
        let stamp = ((time_ns / MILLI_NS % DAY_MS) as u32).to_be_bytes();
        for place in Self::places(&self.bytes).unwrap_or_default() {
            let option = &mut self.bytes[place.at..place.at + place.len];
            match place.kind {
                RECORD_ROUTE => write_next(option, &ip.octets()),
                STAMPS => match option[3] & 0xf {
                    STAMPS_ALONE => write_next(option, &stamp),
                    STAMPS_OF_ANYONE => write_next(option, &[ip.octets(), stamp].concat()),
                    _ => {
                        let next = usize::from(option[2]) - 1;
                        let Some(wanted) = option.get(next..next + 4) else { continue };
                        if wanted[0] == 127 {
                            let wanted = wanted.to_vec();
                            write_next(option, &[&wanted[..], &stamp].concat());
                        }
                    }
                },
                _ => {}
            }
        }
    }

    /// Those of an answer (`IP_RETOPTS`): routes and stamps go on where they are (`ip_options_echo`).
    pub fn answer(&self) -> Self {
        let mut bytes = Vec::new();
        for place in Self::places(&self.bytes).unwrap_or_default() {
            if matches!(place.kind, RECORD_ROUTE | STAMPS) {
                bytes.extend_from_slice(&self.bytes[place.at..place.at + place.len]);
            }
        }
        bytes.resize(bytes.len().next_multiple_of(4), END);
        Self { bytes }
    }
}

/// Writes what is next where the option's pointer says, and moves that on. What has no room is not written.
fn write_next(option: &mut [u8], bytes: &[u8]) {
    let at = usize::from(option[2]) - 1;
    if let Some(place) = option.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
        option[2] += bytes.len() as u8;
    }
}

/// Whether an option is well made.
fn is_valid(option: &[u8], kind: u8, is_privileged: bool) -> bool {
    let len = option.len();
    let pointer = || usize::from(option[2]);
    match kind {
        STRICT_ROUTE => len >= 7 && pointer() == 4 && (len - 3).is_multiple_of(4),
        RECORD_ROUTE => len >= 3 && pointer() >= 4 && (pointer() > len || pointer() + 3 <= len),
        STAMPS if len < 4 || pointer() < 5 => false,
        STAMPS if pointer() > len => option[3] >> 4 != 15,
        STAMPS => match option[3] & 0xf {
            STAMPS_ALONE => pointer() + 3 <= len,
            STAMPS_OF_ANYONE | STAMPS_OF_CERTAIN => pointer() + 7 <= len,
            _ => is_privileged,
        },
        ROUTER_ALERT => len >= 4,
        _ => is_privileged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_recorded_as_far_as_there_is_room() {
        let mut options = IpOptions::parse(&[RECORD_ROUTE, 7, 4, 0, 0, 0, 0], true).unwrap();
        for _ in 0..2 {
            options.pass(Ipv4Addr::LOCALHOST, 0);
        }
        assert_eq!(options.bytes(), [RECORD_ROUTE, 7, 8, 127, 0, 0, 1, END]);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for bad in [&[RECORD_ROUTE, 2][..], &[RECORD_ROUTE, 9, 4], &[RECORD_ROUTE], &[STAMPS, 3, 5], &[NOTHING; 41]] {
            assert!(IpOptions::parse(bad, true).is_err(), "{bad:?}");
        }
        assert!(IpOptions::parse(&[0x99, 4, 1, 2], true).is_ok());
        assert!(IpOptions::parse(&[0x99, 4, 1, 2], false).is_err());
    }
}
