//! How much is said at a time: what programs can cause must not drown the rest (`lib/ratelimit.c` does the same).

use crate::kernel::SECOND_NS;

/// So many in so much time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// The period, in seconds; 0 is no limit.
    pub interval_s: i32,
    /// How many may pass in one.
    pub burst: i32,
}

impl Rate {
    /// Linux's usual one.
    pub const USUAL: Rate = Rate { interval_s: 5, burst: 10 };
}

/// Counts what passes in a period.
#[derive(Default)]
pub struct RateLimit {
    /// When the period began; `None` before the first.
    began_ns: Option<u64>,
    passed: i32,
    refused: u32,
}

impl RateLimit {
    /// Begins another period if the last one is over; returns whether it was.
    pub fn renew(&mut self, now_ns: u64, rate: Rate) -> bool {
        let began_ns = *self.began_ns.get_or_insert(now_ns);
        let is_over = now_ns.saturating_sub(began_ns) > rate.interval_s.max(0) as u64 * SECOND_NS;
        if is_over {
            self.began_ns = Some(now_ns);
            self.passed = 0;
        }
        is_over
    }

    /// Whether one more may pass in this period.
    pub fn admits(&mut self, rate: Rate) -> bool {
        if rate.interval_s == 0 {
            return true;
        }
        let admits = self.passed < rate.burst;
        match admits {
            true => self.passed += 1,
            false => self.refused = self.refused.saturating_add(1),
        }
        admits
    }

    /// How many have been refused since this was last asked.
    pub fn take_refused(&mut self) -> u32 {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_in_each_period() {
        let rate = Rate { interval_s: 5, burst: 2 };
        let mut limit = RateLimit::default();
        let mut at = |seconds: u64| (limit.renew(seconds * SECOND_NS, rate), limit.admits(rate));
        assert_eq!(
            [0, 1, 5, 6, 7].map(&mut at),
            [(false, true), (false, true), (false, false), (true, true), (false, true)]
        );
        assert_eq!(limit.take_refused(), 1);
        assert_eq!(limit.take_refused(), 0);
        assert!(!limit.admits(Rate { interval_s: 5, burst: 0 }));
        assert!(limit.admits(Rate { interval_s: 0, burst: 0 }));
    }
}
