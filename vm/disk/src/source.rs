//! `ChunkSource`: where chunks come from. HTTP in the browser, files natively.

use std::fmt;

use crate::codec::Encoding;
use crate::digest::ChunkDigest;

/// A chunk as it was delivered, not yet verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// How `bytes` are encoded.
    pub encoding: Encoding,
    /// The chunk.
    pub bytes: Vec<u8>,
}

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
