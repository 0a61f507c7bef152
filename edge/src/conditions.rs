//! Conditional requests: whether a client has already what it asks for (RFC 9110, section 13).

use std::time::{Duration, SystemTime};

use crate::request::Request;

/// What identifies a version of something.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag, in its quotes, with `W/` before them if it is weak.
    pub etag: &'a str,
    /// When it last changed, in whole seconds, if anybody knows.
    pub modified: Option<SystemTime>,
}

/// What a request's conditions come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// The client has it: 304.
    NotModified,
    /// It wanted another version: 412.
    Failed,
}

/// Evaluates a GET's or HEAD's conditions in the order of section 13.2.2. Dates count only where there is no tag to
/// compare, and dates that are none do not count at all.
#[must_use]
pub fn evaluate(request: &Request<'_>, validators: Validators<'_>) -> Verdict {
    let Validators { etag, modified } = validators;
    if let Some(tags) = request.header("if-match") {
        if !has_tag(&tags, etag, is_same_strongly) {
            return Verdict::Failed;
        }
    } else if let Some(modified) = modified
        && date(request.header("if-unmodified-since")).is_some_and(|limit| modified > limit)
    {
        return Verdict::Failed;
    }
    let is_unchanged = match request.header("if-none-match") {
        Some(tags) => has_tag(&tags, etag, is_same_weakly),
        None => modified
            .is_some_and(|modified| date(request.header("if-modified-since")).is_some_and(|had| modified <= had)),
    };
    if is_unchanged { Verdict::NotModified } else { Verdict::Proceed }
}

/// Whether a request's `Range` counts: its `If-Range`, if there is one, names exactly this version (section 13.1.5).
///
/// A date does so only if the version is older than a second, since a second one could have followed within the first.
#[must_use]
pub fn is_range_wanted(request: &Request<'_>, validators: Validators<'_>) -> bool {
    let Some(version) = request.header("if-range") else { return true };
    let version = version.trim();
    if version.starts_with('"') || version.starts_with("W/") {
        return is_same_strongly(version, validators.etag);
    }
    let is_old =
        |modified: SystemTime| request.now.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1));
    validators.modified.is_some_and(|modified| date(Some(version.into())) == Some(modified) && is_old(modified))
}

/// Whether a list of tags, or `*`, has `etag`. None of our tags has a comma, so that a list can be cut at commas.
fn has_tag(list: &str, etag: &str, is_same: impl Fn(&str, &str) -> bool) -> bool {
    list.trim() == "*" || list.split(',').any(|tag| is_same(tag.trim(), etag))
}

/// Strong comparison: same bytes.
fn is_same_strongly(a: &str, b: &str) -> bool {
    a == b && !a.starts_with("W/")
}

/// Weak comparison: as good as the same.
fn is_same_weakly(a: &str, b: &str) -> bool {
    let opaque = |tag| str::strip_prefix(tag, "W/").unwrap_or(tag);
    opaque(a) == opaque(b)
}

fn date(text: Option<String>) -> Option<SystemTime> {
    httpdate::parse_http_date(text?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn evaluate_headers(etag: &str, headers: &[(&str, &str)]) -> Verdict {
        let modified = httpdate::parse_http_date(CHANGED).ok();
        evaluate(&Request::of("GET", "/", headers), Validators { etag, modified })
    }

    #[test]
    fn tags() {
        use Verdict::{Failed, NotModified, Proceed};
        for (name, value, strong, weak) in [
            ("if-none-match", "", Proceed, Proceed),
            ("if-none-match", "\"a\"", NotModified, NotModified),
            ("if-none-match", "W/\"a\"", NotModified, NotModified),
            ("if-none-match", "\"b\", \"a\"", NotModified, NotModified),
            ("if-none-match", "\"b\"", Proceed, Proceed),
            ("if-none-match", "a", Proceed, Proceed),
            ("if-none-match", " * ", NotModified, NotModified),
            ("if-match", "\"a\"", Proceed, Failed),
            ("if-match", "W/\"a\"", Failed, Failed),
            ("if-match", "\"b\",\"a\"", Proceed, Failed),
            ("if-match", "\"b\"", Failed, Failed),
            ("if-match", "*", Proceed, Proceed),
        ] {
            assert_eq!(evaluate_headers("\"a\"", &[(name, value)]), strong, "{name}: {value}");
            assert_eq!(evaluate_headers("W/\"a\"", &[(name, value)]), weak, "{name}: {value}, weak");
        }
    }

    #[test]
    fn dates() {
        use Verdict::{Failed, NotModified, Proceed};
        for (name, value, expected) in [
            ("if-modified-since", BEFORE, Proceed),
            ("if-modified-since", CHANGED, NotModified),
            ("if-modified-since", AFTER, NotModified),
            ("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
            ("if-modified-since", "yesterday", Proceed),
            ("if-unmodified-since", BEFORE, Failed),
            ("if-unmodified-since", CHANGED, Proceed),
            ("if-unmodified-since", "tomorrow", Proceed),
        ] {
            assert_eq!(evaluate_headers("\"a\"", &[(name, value)]), expected, "{name}: {value}");
        }
        let unknown = Validators { etag: "\"a\"", modified: None };
        assert_eq!(evaluate(&Request::of("GET", "/", &[("if-modified-since", AFTER)]), unknown), Proceed);
    }

    #[test]
    fn tags_come_before_dates() {
        let verdict = |headers: &[(&str, &str)]| evaluate_headers("\"a\"", headers);
        assert_eq!(verdict(&[("if-none-match", "\"b\""), ("if-modified-since", AFTER)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-match", "\"a\""), ("if-unmodified-since", BEFORE)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-match", "\"b\""), ("if-none-match", "\"a\"")]), Verdict::Failed);
    }

    #[test]
    fn if_range_is_strong() {
        let modified = httpdate::parse_http_date(CHANGED).ok();
        let is_wanted = |etag, value: &str, age_s| {
            let headers = [("if-range", value)];
            let mut request = Request::of("GET", "/", &headers);
            request.now = modified.expect("a date") + Duration::from_secs(age_s);
            is_range_wanted(&request, Validators { etag, modified })
        };
        assert!(is_wanted("\"a\"", "\"a\"", 9));
        assert!(!is_wanted("\"a\"", "\"b\"", 9));
        assert!(!is_wanted("\"a\"", "W/\"a\"", 9));
        assert!(!is_wanted("W/\"a\"", "W/\"a\"", 9));
        assert!(is_wanted("\"a\"", CHANGED, 9));
        assert!(!is_wanted("\"a\"", CHANGED, 0));
        assert!(!is_wanted("\"a\"", BEFORE, 9));
        assert!(!is_wanted("\"a\"", AFTER, 9));
        assert!(!is_wanted("\"a\"", "nonsense", 9));
        assert!(is_range_wanted(&Request::of("GET", "/", &[]), Validators { etag: "\"a\"", modified }));
    }
}
