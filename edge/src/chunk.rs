//! Chunks, index pages and packs: stored as brotli, sent as they are stored to whoever knows brotli.
//!
//! Nothing looks into a chunk that is passed through: the client has its digest and verifies it. Whoever wants it
//! decoded gets it verified, since it has to be looked into anyway.

use disk::layout::{CHUNK_BYTES_MAX, ROOT_BYTES_MAX};
use disk::pack::PACK_BYTES_MAX;
use disk::{ChunkDigest, Delivery, Encoding};

use crate::answer::{Answer, Body};
use crate::conditions::{self, Validators, Verdict};
use crate::encoding::negotiate;
use crate::headers::CACHE_FOREVER;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::storage::{Key, Storage};

/// Largest object, decoded.
const OBJECT_BYTES_MAX: u64 = ROOT_BYTES_MAX;
const _: () = assert!(PACK_BYTES_MAX as u64 <= OBJECT_BYTES_MAX && CHUNK_BYTES_MAX as u64 <= OBJECT_BYTES_MAX);

/// Answers a request for a chunk.
///
/// Its digest is its entity tag, a weak one for brotli: another effort gives other bytes.
///
/// # Errors
/// 404, 412; 502 for a chunk that can't be decoded, 503 if the storage fails.
pub async fn answer(storage: &dyn Storage, digest: &ChunkDigest, request: &Request<'_>) -> Result<Answer, Refusal> {
    let encoding = negotiate(request.header("accept-encoding").as_deref());
    let etag = match encoding {
        Encoding::Brotli => format!("W/\"{digest}\""),
        Encoding::Identity => format!("\"{digest}\""),
    };
    let head = [CACHE_FOREVER, ("etag", &etag), ("vary", "accept-encoding")];
    let verdict = conditions::evaluate(request, Validators { etag: &etag, modified: None });
    if verdict == Verdict::Failed {
        return Err(Refusal::PreconditionFailed);
    }
    let names_it = request.header("if-none-match").is_some_and(|tags| tags.trim() != "*");
    if verdict == Verdict::NotModified && names_it {
        // No need to ask the storage: what has this digest is this chunk.
        return Ok(Answer::with(304, &head));
    }
    let mut answer = Answer::with(200, &head);
    answer.add("content-type", "application/octet-stream");
    let answer = match encoding {
        Encoding::Brotli => pass_through(storage, digest, answer, request.is_head()).await?,
        Encoding::Identity => answer.with_bytes(content(storage, digest, OBJECT_BYTES_MAX).await?, request.is_head()),
    };
    Ok(if verdict == Verdict::NotModified { Answer::with(304, &head) } else { answer })
}

async fn pass_through(
    storage: &dyn Storage,
    digest: &ChunkDigest,
    mut answer: Answer,
    is_head: bool,
) -> Result<Answer, Refusal> {
    let key = Key::Chunk(digest);
    let meta = if is_head {
        storage.head(key).await?.ok_or_else(|| missing(digest))?
    } else {
        let object = storage.get(key).await?.ok_or_else(|| missing(digest))?;
        answer.body = Body::Stored(object.content);
        object.meta
    };
    answer.add("content-encoding", "br");
    if let Some(size) = meta.size_bytes {
        answer.add("content-length", &size.to_string());
    }
    Ok(answer)
}

/// The content of a chunk of at most `limit_bytes` bytes, decoded and verified.
///
/// # Errors
/// 404, 502 if what is stored is not the chunk, 503 if the storage fails.
pub async fn content(storage: &dyn Storage, digest: &ChunkDigest, limit_bytes: u64) -> Result<Vec<u8>, Refusal> {
    let key = Key::Chunk(digest);
    let object = storage.get(key).await?.ok_or_else(|| missing(digest))?;
    let bytes = object.decode(key, usize::try_from(limit_bytes).unwrap_or(usize::MAX)).await?;
    // All that is left to be done is to compare it with its name.
    let delivery = Delivery { encoding: Some(Encoding::Identity), bytes };
    delivery.open(digest, usize::MAX).map_err(|damage| Refusal::Damaged(format!("{key} is damaged: {damage}.")))
}

fn missing(digest: &ChunkDigest) -> Refusal {
    Refusal::NotFound(format!("There is no chunk {digest}."))
}
