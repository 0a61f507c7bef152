//! Chunks, fetched by JavaScript: the browser's own decoder has undone the compression.

use disk::{ChunkDigest, ChunkSource, Fetch};

use super::world::Callbacks;

/// Asks the worker for chunks; they come back through `Machine.chunkArrived`.
pub struct BrowserChunks {
    /// The worker.
    pub callbacks: Callbacks,
}

impl ChunkSource for BrowserChunks {
    fn fetch(&mut self, digest: &ChunkDigest, refetch: bool) -> Fetch {
        self.callbacks.fetch_chunk(&digest.to_string(), refetch);
        Fetch::Started
    }
}
