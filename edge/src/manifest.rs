//! Manifests: small JSON files that change when an image is built anew.

use std::time::SystemTime;

use disk::ChunkDigest;
use disk::manifest::MANIFEST_BYTES_MAX;

use crate::answer::Answer;
use crate::conditions::{self, Validators, Verdict};
use crate::headers::{CACHE_REVALIDATED, add_modified};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::storage::{Key, Storage};

/// Answers a request for the manifest of image `name`. It is sent as it is: a client may be newer than this Worker.
///
/// # Errors
/// 404, 412; 502 for what can't be a manifest, 503 if the storage fails.
pub async fn answer(storage: &dyn Storage, name: &str, request: &Request<'_>) -> Result<Answer, Refusal> {
    let (bytes, modified) = read(storage, name).await?;
    let etag = format!("\"{}\"", ChunkDigest::of(&bytes));
    let mut head = Answer::with(200, &[CACHE_REVALIDATED, ("etag", &etag)]);
    add_modified(&mut head, modified);
    match conditions::evaluate(request, Validators { etag: &etag, modified }) {
        Verdict::Failed => Err(Refusal::PreconditionFailed),
        Verdict::NotModified => Ok(Answer { status: 304, ..head }),
        Verdict::Proceed => {
            head.add("content-type", "application/json");
            Ok(head.with_bytes(bytes, request.is_head()))
        }
    }
}

/// The manifest of image `name`, and when it was stored.
///
/// # Errors
/// As [`answer`].
pub async fn read(storage: &dyn Storage, name: &str) -> Result<(Vec<u8>, Option<SystemTime>), Refusal> {
    let key = Key::Manifest(name);
    let object = storage.get(key).await?;
    let object = object.ok_or_else(|| Refusal::NotFound(format!("There is no image {name}.")))?;
    let modified = object.meta.modified;
    Ok((object.read(key, MANIFEST_BYTES_MAX as u64).await?, modified))
}
