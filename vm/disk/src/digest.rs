//! `ChunkDigest`: the name of a chunk, which is also the proof of its content.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes in a digest: BLAKE3's default output, collision-resistant at 128 bits.
pub const DIGEST_BYTES: usize = 32;

/// BLAKE3 of a chunk's uncompressed bytes, except that bytes which are all zero, however many, have the digest
/// [`ChunkDigest::ZERO`] and are stored nowhere.
///
/// One rule serves chunks and index pages alike: a page that lists only zero chunks is itself all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkDigest([u8; DIGEST_BYTES]);

impl ChunkDigest {
    /// Stands for zeros. BLAKE3 gives it to no input anybody can find.
    pub const ZERO: ChunkDigest = ChunkDigest([0; DIGEST_BYTES]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if is_all_zero(bytes) { Self::ZERO } else { ChunkDigest(*blake3::hash(bytes).as_bytes()) }
    }

    /// A digest as an index page stores it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; DIGEST_BYTES]) -> Self {
        ChunkDigest(bytes)
    }

    /// What an index page stores.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// Whether it stands for zeros, so that there is nothing to fetch.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// Whether there is nothing but zeros in `bytes`. Whole blocks are compared at the speed of `memcmp`.
fn is_all_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|part| part == &ZEROS[..part.len()])
}

impl fmt::Display for ChunkDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotADigest;

impl fmt::Display for NotADigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a digest has {} lower-case hexadecimal digits", DIGEST_BYTES * 2)
    }
}

impl std::error::Error for NotADigest {}

impl FromStr for ChunkDigest {
    type Err = NotADigest;

    /// Lower case only: a chunk has one name, hence one cache entry.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let text = text.as_bytes();
        if text.len() != DIGEST_BYTES * 2 {
            return Err(NotADigest);
        }
        let mut bytes = [0; DIGEST_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = hex_value(pair[0])? << 4 | hex_value(pair[1])?;
        }
        Ok(ChunkDigest(bytes))
    }
}

fn hex_value(digit: u8) -> Result<u8, NotADigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotADigest),
    }
}

impl Serialize for ChunkDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChunkDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("{error}, not {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip_and_known_answer() {
        // BLAKE3's published test vector for the one byte 0x00 can't serve here (zeros), so: input 0, 1, 2.
        let digest = ChunkDigest::of(&[0, 1, 2]);
        let hex = "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f";
        assert_eq!(digest.to_string(), hex);
        assert_eq!(hex.parse(), Ok(digest));
    }

    #[test]
    fn refuses_what_is_not_a_digest() {
        let hex = ChunkDigest::of(b"x").to_string();
        for bad in ["", "00", &hex[1..], &hex.to_uppercase(), &format!("{hex}0"), &hex.replace(&hex[..1], "g")] {
            assert_eq!(bad.parse::<ChunkDigest>(), Err(NotADigest), "{bad}");
        }
    }

    #[test]
    fn zeros_of_any_length_are_zero() {
        for len in [0, 1, 4095, 4096, 4097, 131_072] {
            let mut bytes = vec![0; len];
            assert!(ChunkDigest::of(&bytes).is_zero());
            if let Some(last) = bytes.last_mut() {
                *last = 1;
                assert!(!ChunkDigest::of(&bytes).is_zero());
            }
        }
    }
}
