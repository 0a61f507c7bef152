//! `ChunkSource`: where chunks come from. HTTP in the browser, files natively.

use std::fmt;

use crate::codec::{self, DecodeError, Encoding};
use crate::digest::ChunkDigest;

/// A chunk as it was delivered, not yet verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// How `bytes` are encoded. Whoever can't tell says nothing: a browser has decoded what a host labelled, and hands
    /// over what it did not.
    pub encoding: Option<Encoding>,
    /// The chunk.
    pub bytes: Vec<u8>,
}

impl Delivery {
    /// The chunk, if it is the one called `digest` and has at most `limit_bytes` bytes.
    ///
    /// # Errors
    /// What was delivered instead.
    pub fn open(self, digest: &ChunkDigest, limit_bytes: usize) -> Result<Vec<u8>, Damage> {
        let is_it = |bytes: &[u8]| bytes.len() <= limit_bytes && ChunkDigest::of(bytes) == *digest;
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None if is_it(&self.bytes) => return Ok(self.bytes),
            None => Encoding::Brotli,
        };
        let bytes = codec::decode(self.bytes, encoding, limit_bytes).map_err(Damage::Encoding)?;
        let found = ChunkDigest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(Damage::Content(found)) }
    }
}

/// Why a delivery is not the chunk that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// It can't be decoded.
    Encoding(DecodeError),
    /// It is something else, with this digest.
    Content(ChunkDigest),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Encoding(error) => write!(f, "{error}"),
            Damage::Content(found) => write!(f, "what came has the digest {found}"),
        }
    }
}

impl std::error::Error for Damage {}

/// Why a chunk was not delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchError {
    /// The server can't be reached or has trouble of its own. Temporary: whoever waits goes on waiting, the host
    /// tries again.
    Unreachable(String),
    /// The source answered that it has no such chunk.
    Missing(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Unreachable(why) => write!(f, "the server can't be reached ({why})"),
            FetchError::Missing(why) => write!(f, "the server does not have it ({why})"),
        }
    }
}

impl std::error::Error for FetchError {}

/// What becomes of a fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fetch {
    /// It is done already.
    Done(Result<Delivery, FetchError>),
    /// It has been started; `Disk::arrived` will be told.
    Started,
}

/// Gets chunks by digest.
pub trait ChunkSource {
    /// Fetches one chunk. With `refetch`, no cache on the way may answer: what one delivered was not the chunk.
    fn fetch(&mut self, digest: &ChunkDigest, refetch: bool) -> Fetch;
}

impl<S: ChunkSource + ?Sized> ChunkSource for Box<S> {
    fn fetch(&mut self, digest: &ChunkDigest, refetch: bool) -> Fetch {
        (**self).fetch(digest, refetch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Quality, encode};
    use proptest::prelude::*;

    #[test]
    fn a_chunk_is_known_by_its_digest_however_it_came() {
        let chunk: Vec<u8> = (0..5000u32).flat_map(u32::to_le_bytes).collect();
        let digest = ChunkDigest::of(&chunk);
        let stored = encode(&chunk, Quality::QUICK);
        let open = |encoding, bytes: &[u8]| Delivery { encoding, bytes: bytes.to_vec() }.open(&digest, chunk.len());
        for (encoding, bytes) in
            [(None, &chunk), (None, &stored), (Some(Encoding::Identity), &chunk), (Some(Encoding::Brotli), &stored)]
        {
            assert_eq!(open(encoding, bytes).as_ref(), Ok(&chunk), "{encoding:?}");
        }
        assert_eq!(open(Some(Encoding::Identity), &chunk[1..]), Err(Damage::Content(ChunkDigest::of(&chunk[1..]))));
        assert!(matches!(open(None, &chunk[1..]), Err(Damage::Encoding(_) | Damage::Content(_))));
        assert!(matches!(open(None, &stored[1..]), Err(Damage::Encoding(_) | Damage::Content(_))));
        assert!(Delivery { encoding: None, bytes: chunk.clone() }.open(&digest, chunk.len() - 1).is_err());
    }

    proptest! {
        /// Whatever comes, it is the chunk or an error, and never more than the chunk may have.
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000), limit in 0usize..3000) {
            for encoding in [None, Some(Encoding::Identity), Some(Encoding::Brotli)] {
                let delivery = Delivery { encoding, bytes: bytes.clone() };
                match delivery.open(&ChunkDigest::of(&bytes), limit) {
                    Ok(opened) => prop_assert!(opened == bytes && opened.len() <= limit),
                    Err(_) => prop_assert!(encoding == Some(Encoding::Brotli) || bytes.len() > limit),
                }
            }
        }
    }
}
