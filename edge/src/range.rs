//! Byte ranges: what a `Range` header selects (RFC 9110, section 14).
//!
//! The grammar is a screenful, while the crates that parse it differ from the RFC in what they refuse and where they
//! overflow, hence this one. nginx is the model where the RFC leaves the choice; the README lists where we differ.

use std::ops::Range;

/// Ranges answered in one response: each may need a chunk of its own, and a Worker of the free plan may ask its storage
/// 50 times a request, part of which goes to manifest and index.
pub const RANGES_MAX: usize = 40;

/// What of a representation is to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// All of it: nothing else was asked for, or in a unit nobody knows.
    Whole,
    /// These ranges, none of them empty or beyond the end, in the order they were asked for.
    Ranges(Vec<Range<u64>>),
    /// Nothing: no range lies within the representation, the header is malformed, or it asks for too many.
    Unsatisfiable,
}

/// One element of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spec {
    /// `first-last` or `first-`.
    From { first: u64, last: Option<u64> },
    /// `-len`: the last bytes.
    Suffix { len: u64 },
}

/// Selects from a representation of `size` bytes.
#[must_use]
pub fn select(header: Option<&str>, size: u64) -> Selection {
    let Some(set) = header.and_then(byte_range_set) else { return Selection::Whole };
    let mut ranges = Vec::new();
    let mut total: u64 = 0;
    for element in set.split(',').map(trim).filter(|element| !element.is_empty()) {
        let Some(spec) = Spec::parse(element) else { return Selection::Unsatisfiable };
        let Some(range) = spec.within(size) else { continue };
        if ranges.len() == RANGES_MAX {
            return Selection::Unsatisfiable;
        }
        total = total.saturating_add(range.end - range.start);
        ranges.push(range);
    }
    match ranges.len() {
        0 => Selection::Unsatisfiable,
        // Overlapping ranges that come to more than all there is: all there is serves the client as well.
        _ if total > size => Selection::Whole,
        _ => Selection::Ranges(ranges),
    }
}

/// What follows `bytes=`; `None` for other units.
fn byte_range_set(header: &str) -> Option<&str> {
    let (unit, set) = header.split_once('=')?;
    trim(unit).eq_ignore_ascii_case("bytes").then_some(set)
}

/// Without optional white space (RFC 9110, section 5.6.3).
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

impl Spec {
    fn parse(element: &str) -> Option<Self> {
        let (first, last) = element.split_once('-')?;
        match (trim(first), trim(last)) {
            ("", len) => Some(Spec::Suffix { len: number(len)? }),
            (first, "") => Some(Spec::From { first: number(first)?, last: None }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Spec::From { first, last: Some(last) })
            }
        }
    }

    /// The bytes it selects of `size`, if any.
    fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Spec::From { first, last } => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            Spec::Suffix { len } => size.saturating_sub(len)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// A number of digits only. One that is too large for us is larger than everything, which is all that matters.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expects ranges given by their first byte and their end.
    fn check(header: &str, size: u64, expected: &[(u64, u64)]) {
        let expected = expected.iter().map(|&(start, end)| start..end).collect();
        assert_eq!(select(Some(header), size), Selection::Ranges(expected), "{header}");
    }

    #[test]
    fn ranges() {
        check("bytes=0-0", 1000, &[(0, 1)]);
        check("bytes=0-999", 1000, &[(0, 1000)]);
        check("bytes=500-", 1000, &[(500, 1000)]);
        check("bytes=999-99999999999999999999999999", 1000, &[(999, 1000)]);
        check("bytes=-1", 1000, &[(999, 1000)]);
        check("bytes=-5000", 1000, &[(0, 1000)]);
        check("BYTES= 1-2 ,\t3 - 4", 1000, &[(1, 3), (3, 5)]);
        check("bytes=5-9,0-4", 1000, &[(5, 10), (0, 5)]);
        check("bytes=,,5-9,", 1000, &[(5, 10)]);
        check("bytes=1000-,2000-3000,-0,7-7", 1000, &[(7, 8)]);
        check("bytes=0-9,5-9", 1000, &[(0, 10), (5, 10)]);
    }

    #[test]
    fn all_of_it() {
        for header in ["", "items=0-5", "bytes", "bytes 0-5", "=0-5", "bytes=0-999,0-0"] {
            assert_eq!(select(Some(header), 1000), Selection::Whole, "{header}");
        }
        assert_eq!(select(None, 1000), Selection::Whole);
    }

    #[test]
    fn nothing() {
        let too_many = format!("bytes={}", "0-0,".repeat(RANGES_MAX + 1));
        for header in [
            "bytes=",
            "bytes=-",
            "bytes=-0",
            "bytes=a-b",
            "bytes=1000-",
            "bytes=18446744073709551616-",
            "bytes=5-2",
            "bytes=5-2,0-1",
            "bytes=0-1;2-3",
            "bytes=+1-2",
            "bytes=--1",
            "bytes=0x1-2",
            "bytes=1-2 3-4",
            "bytes=1-2-3",
            &too_many,
        ] {
            assert_eq!(select(Some(header), 1000), Selection::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn offsets_have_64_bits() {
        let (tib, eib) = (1 << 40, 1 << 60);
        check("bytes=1099511627775-", tib, &[(tib - 1, tib)]);
        check("bytes=-1", eib, &[(eib - 1, eib)]);
        check("bytes=0-", u64::MAX, &[(0, u64::MAX)]);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_is_bounded(header in "(bytes=)?[-0-9, x]{0,200}", size in 1u64..=u64::MAX) {
            if let Selection::Ranges(ranges) = select(Some(&header), size) {
                prop_assert!((1..=RANGES_MAX).contains(&ranges.len()));
                prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
                let total: u128 = ranges.iter().map(|range| u128::from(range.end - range.start)).sum();
                prop_assert!(total <= u128::from(size));
            }
        }

        #[test]
        fn what_is_written_is_read(first in 0u64..2000, len in 1u64..2000, size in 1u64..2000) {
            let last = first + len - 1;
            let expected = first..(last + 1).min(size);
            let selection = select(Some(&format!("bytes={first}-{last}")), size);
            if first < size {
                prop_assert_eq!(selection, Selection::Ranges([expected].into()));
            } else {
                prop_assert_eq!(selection, Selection::Unsatisfiable);
            }
        }

        #[test]
        fn any_text_is_survived(header in ".{0,300}") {
            let _ = select(Some(&header), 1 << 40);
        }
    }
}
