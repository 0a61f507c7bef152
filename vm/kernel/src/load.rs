//! Load averages: how many tasks wanted the processor of late (`proc_loadavg(5)`).

use crate::kernel::SECOND_NS;

/// How often tasks are counted, as Linux does (`LOAD_FREQ`).
const SAMPLE_NS: u64 = 5 * SECOND_NS;
/// What the averages are over, in seconds.
const SPANS_SECONDS: [f64; 3] = [60.0, 300.0, 900.0];

/// Averages over one, five and fifteen minutes, older samples counting ever less.
#[derive(Default)]
pub struct LoadAverages {
    averages: [f64; 3],
    next_ns: u64,
}

impl LoadAverages {
    /// Counts `tasks` if it is time. Nobody calls while there are none, so what has been missed is zero.
    pub fn advance(&mut self, now_ns: u64, tasks: usize) {
        let Some(late_ns) = now_ns.checked_sub(self.next_ns) else { return };
        let missed = late_ns / SAMPLE_NS;
        self.next_ns += (missed + 1) * SAMPLE_NS;
        for (average, seconds) in self.averages.iter_mut().zip(SPANS_SECONDS) {
            let decay = (-5.0 / seconds).exp();
            let faded = *average * decay.powf(missed as f64);
            *average = faded * decay + tasks as f64 * (1.0 - decay);
        }
    }

    /// The averages now.
    pub fn averages(&self) -> [f64; 3] {
        self.averages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(load: &LoadAverages) -> [String; 3] {
        load.averages().map(|average| format!("{average:.2}"))
    }

    #[test]
    fn a_minute_of_work_counts_most_in_the_first() {
        let mut load = LoadAverages::default();
        for second in 0..60 {
            load.advance(second * SECOND_NS, 2);
        }
        // 2 (1 - e^(-60/span))
        assert_eq!(rounded(&load), ["1.26", "0.36", "0.13"]);
    }

    #[test]
    fn what_has_been_done_fades_while_nothing_is() {
        let mut load = LoadAverages::default();
        for second in 0..60 {
            load.advance(second * SECOND_NS, 2);
        }
        load.advance(660 * SECOND_NS, 0);
        assert_eq!(rounded(&load), ["0.00", "0.05", "0.07"]);
    }
}
