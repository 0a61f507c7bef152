//! Raw images: `/disk/images/NAME.img` is the uncompressed file system, for every HTTP client that knows ranges only.
//!
//! | module | subject |
//! |---|---|
//! | [`opened`] | an image's manifest, and what an isolate remembers of images |
//! | [`plan`] | from ranges to status, headers and what the body consists of |
//! | [`body`] | the body, piece by piece as it is sent |
//!
//! Nothing is held in memory but a few chunks, so an image may have any size. Zeros are never fetched.

pub mod body;
pub mod opened;
pub mod plan;

use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::stream;

use crate::answer::{Answer, Body};
use crate::conditions::{self, Validators, Verdict};
use crate::headers::{CACHE_REVALIDATED, add_modified};
use crate::range::{self, Selection};
use crate::refusal::Refusal;
use crate::request::Request;
use crate::storage::Storage;

use opened::{Memory, Opened};
use plan::Plan;

/// Answers a request for the raw image `name`.
///
/// The first piece of the body is read before the head is sent, so that what is wrong from the start has a status of
/// its own. What goes wrong later breaks the body off.
///
/// # Errors
/// 404, 412, 416; 502 for an image with missing or damaged chunks, 503 if the storage fails.
pub async fn answer(
    storage: &Rc<dyn Storage>,
    memory: &Rc<Memory>,
    name: &str,
    request: &Request<'_>,
) -> Result<Answer, Refusal> {
    let opened = memory.open(storage, name, request.now).await?;
    let Opened { ref manifest, modified, .. } = *opened;
    let etag = opened.etag();
    let validators = Validators { etag: &etag, modified };
    let mut head = Answer::with(200, &[CACHE_REVALIDATED, ("etag", &etag), ("accept-ranges", "bytes")]);
    add_modified(&mut head, modified);
    match conditions::evaluate(request, validators) {
        Verdict::Failed => return Err(Refusal::PreconditionFailed),
        Verdict::NotModified => return Ok(Answer { status: 304, ..head }),
        Verdict::Proceed => {}
    }
    let size_bytes = manifest.layout.size_bytes();
    // Ranges are defined for GET only.
    let header = request.header("range").filter(|_| !request.is_head());
    let header = header.filter(|_| conditions::is_range_wanted(request, validators));
    let selection = range::select(header.as_deref(), size_bytes);
    if selection == Selection::Unsatisfiable {
        return Err(Refusal::RangeNotSatisfiable { size_bytes });
    }
    let plan = Plan::new(&selection, size_bytes, &manifest.index_root.to_string());
    plan.add_to(&mut head);
    if request.is_head() {
        return Ok(head);
    }
    let length = plan.length();
    let mut pieces = body::pieces(Rc::clone(storage), Rc::clone(memory), manifest, plan.segments);
    let first = pieces.next().await.transpose()?;
    let pieces = stream::iter(first.map(Ok)).chain(pieces).boxed_local();
    Ok(Answer { body: Body::Image { pieces, length }, ..head })
}
