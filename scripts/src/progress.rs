//! Progress bars on a terminal; quiet elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// One line of progress, reused by the steps of a job.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub fn new() -> Self {
        Progress { bar: ProgressBar::hidden() }
    }

    /// Begins a step of `total_bytes`.
    pub fn start(&self, what: &'static str, total_bytes: u64) {
        let style = "{msg:26} {bar:30} {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12} {eta:>4}";
        self.bar.set_length(total_bytes);
        self.bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message(what);
        // Only now: everything above would draw what there is so far.
        self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        self.bar.reset();
    }

    /// Notes that `bytes` more are done. Callable from several threads.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Ends the step and removes its line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A line that shows that something of unknown length goes on; it goes when the returned value does.
pub fn spinner(what: &str) -> Spinner {
    let bar = ProgressBar::new_spinner();
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    Spinner(bar)
}

/// See [`spinner`].
pub struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
