//! Chunks as they are stored and sent: brotli (RFC 7932), one stream per chunk.

use std::fmt;
use std::io::Read;

use crate::layout::ROOT_BYTES_MAX;

/// How the bytes of a delivered chunk are encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// As they are, which is what a browser hands over that has undone `Content-Encoding: br`.
    Identity,
    /// Brotli, as a chunk's file has it.
    Brotli,
}

/// Compression effort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quality(u32);

impl Quality {
    /// Quick, for images that are rebuilt while somebody waits.
    pub const QUICK: Quality = Quality(5);
    /// Nearly as small as can be, in a fraction of the time.
    pub const GOOD: Quality = Quality(9);
    /// Smallest, for images that are deployed.
    pub const BEST: Quality = Quality(11);

    /// Brotli's levels, 0 to 11.
    #[must_use]
    pub fn new(level: u32) -> Option<Self> {
        (level <= Self::BEST.0).then_some(Quality(level))
    }
}

/// log2 of the window: no larger than the largest chunk, so that a decoder allocates no more than that.
const WINDOW_BITS: u32 = 20;
/// What the codec hands its reader or writer at a time.
const BUFFER_BYTES: usize = 16 << 10;

/// Longest stored chunk or page: brotli never expands by more than a few bytes, so no good one is longer than the
/// longest page and a little.
pub const ENCODED_BYTES_MAX: u64 = ROOT_BYTES_MAX + (64 << 10);

/// Compresses one chunk.
#[must_use]
pub fn encode(bytes: &[u8], quality: Quality) -> Vec<u8> {
    let window_bits = bytes.len().max(1).next_power_of_two().ilog2().clamp(10, WINDOW_BITS);
    let mut encoded = Vec::with_capacity(bytes.len() / 2);
    let mut reader = brotli::CompressorReader::new(bytes, BUFFER_BYTES, quality.0, window_bits);
    // Memory to memory: there is nothing that could fail.
    reader.read_to_end(&mut encoded).unwrap_or_default();
    encoded
}

/// Why stored bytes are no chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// Not brotli, or cut short.
    Corrupt,
    /// More than the chunk may have: a decompression bomb or the wrong object.
    TooLong {
        /// The bound, in bytes.
        limit_bytes: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Corrupt => f.write_str("not a complete brotli stream"),
            DecodeError::TooLong { limit_bytes } => write!(f, "it decodes to more than {limit_bytes} bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Undoes `encoding`, never producing more than `limit_bytes`.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: Vec<u8>, encoding: Encoding, limit_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let decoded = match encoding {
        Encoding::Identity => bytes,
        Encoding::Brotli => {
            let mut decoded = Vec::with_capacity(limit_bytes.min(1 << 20));
            brotli::Decompressor::new(bytes.as_slice(), BUFFER_BYTES)
                // One more than allowed tells "exactly the limit" from "beyond it".
                .take((limit_bytes as u64).saturating_add(1))
                .read_to_end(&mut decoded)
                .map_err(|_| DecodeError::Corrupt)?;
            decoded
        }
    };
    if decoded.len() > limit_bytes { Err(DecodeError::TooLong { limit_bytes }) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(bytes in proptest::collection::vec(0u8..8, 0..20_000), level in 0u32..=11) {
            let quality = Quality::new(level).expect("a level");
            let encoded = encode(&bytes, quality);
            let limit = bytes.len();
            prop_assert_eq!(decode(encoded, Encoding::Brotli, limit), Ok(bytes));
        }

        #[test]
        fn anything_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if let Ok(decoded) = decode(bytes, Encoding::Brotli, 4096) {
                prop_assert!(decoded.len() <= 4096);
            }
        }
    }

    #[test]
    fn cut_short_is_corrupt() {
        let encoded =
            encode(&vec![7; 5000].into_iter().enumerate().map(|(i, b)| b ^ i as u8).collect::<Vec<_>>(), Quality::BEST);
        for len in 0..encoded.len() {
            assert_eq!(decode(encoded[..len].to_vec(), Encoding::Brotli, 5000), Err(DecodeError::Corrupt), "{len}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = encode(&vec![0; 50 << 20], Quality::QUICK);
        assert!(bomb.len() < 1000, "{} bytes", bomb.len());
        let too_long = Err(DecodeError::TooLong { limit_bytes: 131_072 });
        assert_eq!(decode(bomb, Encoding::Brotli, 131_072), too_long);
        assert_eq!(decode(vec![0; 131_073], Encoding::Identity, 131_072), too_long);
    }
}
