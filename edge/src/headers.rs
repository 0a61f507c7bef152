//! Headers of every kind of answer, and conditional requests (RFC 9110, section 13).

/// Sent with everything: without the first two a page may not share memory between its threads, and the third lets a
/// page that is isolated in this way load what is sent.
pub const ISOLATION: [(&str, &str); 3] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "cross-origin"),
];

/// A name that says what the content is never has to be asked for again. `no-transform`: nobody on the way may
/// compress it anew.
pub const CACHE_FOREVER: (&str, &str) = ("cache-control", "public, max-age=31536000, immutable, no-transform");

/// A name whose content changes may be kept but must be asked for again.
pub const CACHE_REVALIDATED: (&str, &str) = ("cache-control", "public, no-cache");

/// Failures may be gone in a moment.
pub const CACHE_NEVER: (&str, &str) = ("cache-control", "no-store");

/// Whether an `If-None-Match` header names `etag`, so that 304 is the answer. The comparison is weak.
#[must_use]
pub fn is_unchanged(if_none_match: Option<&str>, etag: &str) -> bool {
    let Some(header) = if_none_match else { return false };
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    header.trim() == "*" || header.split(',').any(|tag| opaque(tag.trim()) == opaque(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditional_requests() {
        for (header, expected) in [
            (None, false),
            (Some(""), false),
            (Some("\"a\""), true),
            (Some("W/\"a\""), true),
            (Some("\"b\", \"a\""), true),
            (Some("\"b\""), false),
            (Some("a"), false),
            (Some(" * "), true),
        ] {
            assert_eq!(is_unchanged(header, "\"a\""), expected, "{header:?}");
        }
    }
}
