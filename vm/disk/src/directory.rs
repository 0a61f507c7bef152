//! Chunks and manifests as files: what the tool writes and the native host reads.
//!
//! ```text
//! chunks/ab/ab34…   a chunk, index page or pack, brotli, named by its digest, in 256 directories
//! manifests/NAME.json
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::codec::{ENCODED_BYTES_MAX, Encoding};
use crate::digest::ChunkDigest;
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};
use crate::source::{ChunkSource, Delivery, Fetch, FetchError};

/// Where chunk `digest` lies below a store's root.
#[must_use]
pub fn chunk_path(digest: &ChunkDigest) -> PathBuf {
    let hex = digest.to_string();
    Path::new("chunks").join(&hex[..2]).join(hex)
}

/// Where the manifest of image `name` lies below a store's root.
#[must_use]
pub fn manifest_path(name: &str) -> PathBuf {
    Path::new("manifests").join(format!("{name}.json"))
}

/// A store of chunks in a directory.
#[derive(Clone, Debug)]
pub struct DirectorySource {
    root: PathBuf,
}

impl DirectorySource {
    /// A store below `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        DirectorySource { root: root.into() }
    }

    /// Reads the manifest of image `name`.
    ///
    /// # Errors
    /// The file's, or `InvalidData` with the manifest's own message.
    pub fn manifest(&self, name: &str) -> io::Result<Manifest> {
        let json = read_bounded(&self.root.join(manifest_path(name)), MANIFEST_BYTES_MAX as u64 + 1)?;
        Manifest::parse(&json).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl ChunkSource for DirectorySource {
    fn fetch(&mut self, digest: &ChunkDigest, _refetch: bool) -> Fetch {
        let path = self.root.join(chunk_path(digest));
        let bytes = read_bounded(&path, ENCODED_BYTES_MAX);
        Fetch::Done(match bytes {
            Ok(bytes) => Ok(Delivery { encoding: Some(Encoding::Brotli), bytes }),
            Err(error) => Err(FetchError::Missing(format!("{}: {error}", path.display()))),
        })
    }
}

fn read_bounded(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}
