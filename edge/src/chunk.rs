//! Chunks: stored as brotli, sent as they are stored.

use disk::ChunkDigest;
use worker::{EncodeBody, Response, ResponseBuilder};

use crate::headers::{CACHE_FOREVER, ISOLATION, is_unchanged};
use crate::refusal::Refusal;
use crate::storage::{self, Storage};

/// Answers a request for a chunk. Its digest is its entity tag.
///
/// # Errors
/// What the storage refuses.
pub async fn answer(
    storage: &Storage<'_>,
    digest: &ChunkDigest,
    if_none_match: Option<&str>,
) -> Result<Response, Refusal> {
    let etag = format!("\"{digest}\"");
    let head = head(&etag)?;
    if is_unchanged(if_none_match, &etag) {
        return Ok(head.with_status(304).empty());
    }
    let object = storage.chunk(digest).await?;
    // Manual: the runtime must not compress once more what is labelled as compressed.
    let head = head.with_header("content-encoding", "br")?.with_encode_body(EncodeBody::Manual);
    storage::respond(head, &object)
}

fn head(etag: &str) -> worker::Result<ResponseBuilder> {
    let own = [CACHE_FOREVER, ("content-type", "application/octet-stream"), ("etag", etag)];
    let mut head = Response::builder();
    for (name, value) in ISOLATION.into_iter().chain(own) {
        head = head.with_header(name, value)?;
    }
    Ok(head)
}
