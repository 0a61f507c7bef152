//! `Opened`: an image ready to be read, and `Memory`: what an isolate remembers between requests.
//!
//! A client that reads an image by ranges asks thousands of times a minute. Without a memory, each request would fetch
//! manifest, two index pages and a chunk that the last one has fetched already.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use disk::cache::ChunkCache;
use disk::{ChunkDigest, Manifest};

use crate::chunk;
use crate::manifest;
use crate::refusal::Refusal;
use crate::storage::Storage;

/// Decoded chunks and index pages remembered: a quarter of what an isolate may use, the rest of which is for requests
/// under way.
const CHUNK_BYTES_MAX: usize = 32 << 20;

/// How long a manifest is believed. A client reads with one version's tag for as long; what it reads is of that version.
const MANIFEST_FRESH: Duration = Duration::from_secs(2);

/// Manifests remembered; each has a few kilobytes. Beyond that, all are forgotten.
const MANIFESTS_MAX: usize = 64;

/// An image.
#[derive(Debug)]
pub struct Opened {
    /// Its manifest.
    pub manifest: Manifest,
    /// When it was stored, if the storage knows.
    pub modified: Option<SystemTime>,
    /// When it was read.
    read: SystemTime,
}

impl Opened {
    /// Its entity tag: all that is in it follows from these two.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}-{:x}\"", self.manifest.index_root, self.manifest.layout.size_bytes())
    }
}

/// What an isolate remembers between requests.
pub struct Memory {
    images: RefCell<HashMap<String, Rc<Opened>>>,
    chunks: RefCell<ChunkCache>,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { images: RefCell::default(), chunks: RefCell::new(ChunkCache::new(CHUNK_BYTES_MAX)) }
    }
}

impl Memory {
    /// Opens the image `name`.
    ///
    /// # Errors
    /// 404, 502 for a damaged manifest, 503 if the storage fails.
    pub async fn open(&self, storage: &Rc<dyn Storage>, name: &str, now: SystemTime) -> Result<Rc<Opened>, Refusal> {
        let remembered = self.images.borrow().get(name).cloned();
        let is_fresh = |opened: &Rc<Opened>| now.duration_since(opened.read).is_ok_and(|age| age < MANIFEST_FRESH);
        if let Some(opened) = remembered.filter(is_fresh) {
            return Ok(opened);
        }
        let (bytes, modified) = manifest::read(&**storage, name).await?;
        let manifest = Manifest::parse(&bytes).map_err(|error| Refusal::Damaged(format!("Image {name}: {error}.")))?;
        let opened = Rc::new(Opened { manifest, modified, read: now });
        let mut images = self.images.borrow_mut();
        if images.len() >= MANIFESTS_MAX {
            images.clear();
        }
        images.insert(name.into(), Rc::clone(&opened));
        Ok(opened)
    }

    /// The `len` bytes called `digest`, a chunk or an index page; `None` for zeros.
    ///
    /// # Errors
    /// 502 if they are missing or damaged, 503 if the storage fails.
    pub async fn content(
        &self,
        storage: &dyn Storage,
        digest: &ChunkDigest,
        len: usize,
    ) -> Result<Option<Rc<[u8]>>, Refusal> {
        if digest.is_zero() {
            return Ok(None);
        }
        let remembered = self.chunks.borrow_mut().get(digest);
        let bytes = match remembered {
            Some(bytes) => bytes,
            None => {
                let bytes: Rc<[u8]> = chunk::content(storage, digest, len as u64).await.map_err(as_damage)?.into();
                self.chunks.borrow_mut().insert(*digest, Rc::clone(&bytes));
                bytes
            }
        };
        if bytes.len() == len {
            return Ok(Some(bytes));
        }
        Err(Refusal::Damaged(format!("Chunk {digest} has {} bytes where {len} belong.", bytes.len())))
    }
}

/// An image without one of its chunks is not the client's mistake.
fn as_damage(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NotFound(text) => Refusal::Damaged(format!("The image is damaged. {text}")),
        other => other,
    }
}
