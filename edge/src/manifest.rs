//! Manifests: small JSON files that change when an image is built anew.

use worker::{Response, ResponseBuilder};

use crate::headers::{CACHE_REVALIDATED, ISOLATION, is_unchanged};
use crate::refusal::Refusal;
use crate::storage::{self, Storage};

/// Answers a request for the manifest of image `name`.
///
/// # Errors
/// What the storage refuses.
pub async fn answer(storage: &Storage<'_>, name: &str, if_none_match: Option<&str>) -> Result<Response, Refusal> {
    let object = storage.manifest(name).await?;
    let etag = object.http_etag();
    let head = head(&etag)?;
    if is_unchanged(if_none_match, &etag) {
        return Ok(head.with_status(304).empty());
    }
    storage::respond(head, &object)
}

fn head(etag: &str) -> worker::Result<ResponseBuilder> {
    let own = [CACHE_REVALIDATED, ("content-type", "application/json"), ("etag", etag)];
    let mut head = Response::builder();
    for (name, value) in ISOLATION.into_iter().chain(own) {
        head = head.with_header(name, value)?;
    }
    Ok(head)
}
