//! Headers that whole kinds of answers have in common.

use std::time::SystemTime;

use crate::answer::Answer;

/// Sent with everything: without the first two a page may not share memory between its threads, the third lets a page
/// that is isolated in this way load what is sent, and with the fourth nobody takes a guest's file for a page of ours.
pub const ISOLATION: [(&str, &str); 4] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "cross-origin"),
    ("x-content-type-options", "nosniff"),
];

/// A name that says what the content is never has to be asked for again. `no-transform`: nobody on the way may
/// compress it anew.
pub const CACHE_FOREVER: (&str, &str) = ("cache-control", "public, max-age=31536000, immutable, no-transform");

/// A name whose content changes may be kept but must be asked for again.
pub const CACHE_REVALIDATED: (&str, &str) = ("cache-control", "public, no-cache, no-transform");

/// Failures may be gone in a moment.
pub const CACHE_NEVER: (&str, &str) = ("cache-control", "no-store");

/// Adds `Last-Modified`, if it is known.
pub fn add_modified(answer: &mut Answer, modified: Option<SystemTime>) {
    if let Some(modified) = modified {
        answer.add("last-modified", &httpdate::fmt_http_date(modified));
    }
}
