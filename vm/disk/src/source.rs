//! `ChunkSource`: where chunks come from. HTTP in the browser, files natively.

use std::fmt;

use crate::codec::{self, DecodeError, Encoding};
use crate::digest::ChunkDigest;

/// A chunk as it was delivered, not yet verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// How `bytes` are encoded.
    pub encoding: Encoding,
    /// The chunk.
    pub bytes: Vec<u8>,
}

impl Delivery {
    /// The chunk, if it is the one called `digest` and has at most `limit_bytes` bytes.
    ///
    /// # Errors
    /// What was delivered instead.
    pub fn open(self, digest: &ChunkDigest, limit_bytes: usize) -> Result<Vec<u8>, Damage> {
        let bytes = codec::decode(self.bytes, self.encoding, limit_bytes).map_err(Damage::Encoding)?;
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
