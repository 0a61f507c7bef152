//! `Storage`: where chunks and manifests are kept.
//!
//! | module | a store in |
//! |---|---|
//! | `r2` | an R2 bucket: images of any size |
//! | `assets` | the Worker's own static assets: nothing but a deployment, up to 20,000 files |
//!
//! A preview of a branch is one of these with some manifests of its own (`preview`).
//!
//! Keys are the same in both, and what the tool writes into a directory (`disk::directory`), but for the directories it
//! spreads chunks over.

use std::fmt;
use std::time::SystemTime;

use disk::codec::{self, ENCODED_BYTES_MAX};
use disk::{ChunkDigest, Encoding};
use futures_util::future::LocalBoxFuture;

use crate::refusal::Refusal;

#[cfg(target_arch = "wasm32")]
mod assets;
#[cfg(test)]
pub mod memory;
#[cfg(target_arch = "wasm32")]
mod platform;
pub mod preview;
#[cfg(target_arch = "wasm32")]
mod r2;

#[cfg(target_arch = "wasm32")]
pub use platform::of_environment;

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key<'a> {
    /// A chunk, index page or pack.
    Chunk(&'a ChunkDigest),
    /// An image's manifest.
    Manifest(&'a str),
    /// The manifest of the image that a preview has instead of everybody's.
    PreviewManifest {
        /// The preview's name.
        preview: &'a str,
        /// The image's name.
        image: &'a str,
    },
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Chunk(digest) => write!(f, "chunks/{digest}"),
            Key::Manifest(name) => write!(f, "manifests/{name}.json"),
            Key::PreviewManifest { preview, image } => write!(f, "previews/{preview}/{image}.json"),
        }
    }
}

/// What is known of an object without its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Bytes of its content; not every storage tells.
    pub size_bytes: Option<u64>,
    /// When it was stored, in whole seconds; not every storage tells.
    pub modified: Option<SystemTime>,
}

/// An object.
pub struct Object {
    /// What is known of it.
    pub meta: Meta,
    /// Its content.
    pub content: Content,
}

/// What an object consists of.
pub enum Content {
    /// Here already.
    Bytes(Vec<u8>),
    /// Still on its way.
    #[cfg(target_arch = "wasm32")]
    Stream(worker::web_sys::ReadableStream),
}

/// Why a storage has not answered, for those who run it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure(pub String);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal::Storage(failure.0)
    }
}

/// What a storage returns in a while; `None` if there is no such object.
pub type Fetched<'a, T> = LocalBoxFuture<'a, Result<Option<T>, Failure>>;

/// A place that keeps objects.
pub trait Storage {
    /// An object.
    fn get<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Object>;

    /// What is known of an object.
    fn head<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Meta>;
}

impl Object {
    /// Reads all of it, at most `limit_bytes`.
    ///
    /// # Errors
    /// 502 if there is more, 503 if the storage fails meanwhile.
    pub async fn read(self, key: Key<'_>, limit_bytes: u64) -> Result<Vec<u8>, Refusal> {
        self.check_size(key, limit_bytes)?;
        let bytes = self.content.read().await?;
        if bytes.len() as u64 > limit_bytes { Err(too_long(key)) } else { Ok(bytes) }
    }

    /// Reads all of it and decodes it to at most `limit_bytes`.
    ///
    /// # Errors
    /// 502 if it is longer than a chunk can be or no brotli, 503 if the storage fails meanwhile.
    pub async fn decode(self, key: Key<'_>, limit_bytes: usize) -> Result<Vec<u8>, Refusal> {
        self.check_size(key, ENCODED_BYTES_MAX)?;
        let decoded = match self.content {
            Content::Bytes(bytes) => codec::decode(bytes, Encoding::Brotli, limit_bytes),
            #[cfg(target_arch = "wasm32")]
            Content::Stream(stream) => platform::decode(&stream, ENCODED_BYTES_MAX, limit_bytes).await?,
        };
        decoded.map_err(|error| Refusal::Damaged(format!("{key} is damaged: {error}.")))
    }

    fn check_size(&self, key: Key<'_>, limit_bytes: u64) -> Result<(), Refusal> {
        let is_too_long = self.meta.size_bytes.is_some_and(|size| size > limit_bytes);
        if is_too_long { Err(too_long(key)) } else { Ok(()) }
    }
}

fn too_long(key: Key<'_>) -> Refusal {
    Refusal::Damaged(format!("{key} is longer than such a thing can be."))
}

impl Content {
    /// Reads all of it.
    ///
    /// # Errors
    /// The storage's.
    pub async fn read(self) -> Result<Vec<u8>, Failure> {
        match self {
            Content::Bytes(bytes) => Ok(bytes),
            #[cfg(target_arch = "wasm32")]
            Content::Stream(stream) => platform::read(&stream).await,
        }
    }
}
