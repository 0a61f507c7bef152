//! `Runs`: a set of numbers as ascending ranges, in the notation of Linux's CPU lists: `0-3,7,9-12`.

use std::fmt;
use std::ops::Range;

/// Ascending, disjoint, non-empty ranges of numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Runs(Vec<Range<u64>>);

/// Why a text is no list of numbers this code accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunsError {
    /// Something else than numbers, `-` and `,`; names the part.
    NotARange(String),
    /// A range that begins before the previous one ends, or is empty; names the part.
    Order(String),
    /// A number that is not below the limit; names the part.
    OutOfRange(String),
    /// More ranges than are allowed.
    TooMany(usize),
}

impl fmt::Display for RunsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunsError::NotARange(part) => write!(f, "{part:?} is neither a number nor a range of numbers"),
            RunsError::Order(part) => write!(f, "{part:?} does not follow what is before it"),
            RunsError::OutOfRange(part) => write!(f, "{part:?} goes too far"),
            RunsError::TooMany(limit) => write!(f, "it lists more than {limit} ranges"),
        }
    }
}

impl std::error::Error for RunsError {}

impl Runs {
    /// The set of `numbers`, which may come in any order and more than once.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut numbers: Vec<u64> = numbers.into_iter().collect();
        numbers.sort_unstable();
        let mut runs: Vec<Range<u64>> = Vec::new();
        for number in numbers {
            match runs.last_mut() {
                Some(last) if number < last.end => {}
                Some(last) if number == last.end => last.end = number + 1,
                _ => runs.push(number..number + 1),
            }
        }
        Runs(runs)
    }

    /// Reads at most `runs_max` ranges of numbers below `limit`; an empty text is the empty set.
    ///
    /// # Errors
    /// See [`RunsError`].
    pub fn parse(text: &str, limit: u64, runs_max: usize) -> Result<Self, RunsError> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            if runs.len() == runs_max {
                return Err(RunsError::TooMany(runs_max));
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(RunsError::NotARange(part.into()));
            };
            if last >= limit {
                return Err(RunsError::OutOfRange(part.into()));
            }
            if first > last || runs.last().is_some_and(|before| first < before.end) {
                return Err(RunsError::Order(part.into()));
            }
            runs.push(first..last + 1);
        }
        Ok(Runs(runs))
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().cloned()
    }

    /// Whether a number is among them.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|run| run.start <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|run| run.contains(&number))
    }

    /// How many ranges there are.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.0.len()
    }

    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|run| run.end - run.start).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Digits only: `u64::from_str` would take a `+` too.
fn number(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, run) in self.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            match run.end - run.start {
                1 => write!(f, "{comma}{}", run.start)?,
                _ => write!(f, "{comma}{}-{}", run.start, run.end - 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_linux_writes_cpu_lists() {
        let runs = Runs::of([9, 7, 0, 1, 3, 2, 10, 7]);
        assert_eq!(runs.to_string(), "0-3,7,9-10");
        assert_eq!((runs.range_count(), runs.count()), (3, 7));
        assert_eq!(Runs::parse("0-3,7,9-10", 11, 3), Ok(runs));
        assert_eq!(Runs::parse("", 0, 0), Ok(Runs::default()));
    }

    #[test]
    fn what_is_refused() {
        let parse = |text| Runs::parse(text, 100, 4).map_err(|error| error.to_string());
        for (text, why) in [
            (",", "neither"),
            ("1,", "neither"),
            ("+1", "neither"),
            ("1--2", "neither"),
            ("1-", "neither"),
            (" 1", "neither"),
            ("18446744073709551616", "neither"),
            ("18446744073709551615", "too far"),
            ("5-100", "too far"),
            ("5-4", "follow"),
            ("5,5", "follow"),
            ("5-9,8", "follow"),
            ("9,5", "follow"),
            ("1,3,5,7,9", "more than 4"),
        ] {
            assert!(parse(text).is_err_and(|error| error.contains(why)), "{text:?}: {:?}", parse(text));
        }
    }

    proptest! {
        #[test]
        fn round_trip(numbers in proptest::collection::vec(0u64..500, 0..100)) {
            let runs = Runs::of(numbers.iter().copied());
            let expected: std::collections::BTreeSet<_> = numbers.into_iter().collect();
            prop_assert!((0..501).all(|number| runs.contains(number) == expected.contains(&number)));
            prop_assert!(runs.iter().flatten().eq(expected));
            prop_assert_eq!(Runs::parse(&runs.to_string(), 500, 100), Ok(runs));
        }

        /// Whatever is read is ascending, disjoint and below the limit.
        #[test]
        fn any_text_is_survived(text in "[0-9,-]{0,30}", limit: u64) {
            if let Ok(runs) = Runs::parse(&text, limit, 10) {
                let mut end = 0;
                for run in runs.iter() {
                    prop_assert!(run.start >= end && run.start < run.end && run.end <= limit);
                    end = run.end;
                }
                prop_assert!(runs.range_count() <= 10);
            }
        }
    }
}
