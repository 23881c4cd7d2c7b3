//! The progress bar of long work, and Ctrl-C, which stops it between batches.

use crate::output::{Ui, duration, size};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C ask work to stop at its next safe point; a second one ends the process.
pub(crate) fn catch_interrupts() {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(3);
        }
    };
    // Without a handler Ctrl-C ends the process at once, which is safe as well.
    let _ = ctrlc::set_handler(handler);
}

/// Whether Ctrl-C was pressed.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A bar with rate and time left.
pub(crate) struct Bar {
    bar: ProgressBar,
    started: Instant,
    wanted: bool,
    bytes: bool,
    what: &'static str,
}

impl Bar {
    /// Of work that is counted; `what` says what is done.
    pub(crate) fn items(ui: &Ui, what: &'static str) -> Self {
        Self::new(ui, what, false)
    }

    pub(crate) fn bytes(ui: &Ui, what: &'static str) -> Self {
        Self::new(ui, what, true)
    }

    fn new(ui: &Ui, what: &'static str, bytes: bool) -> Self {
        Self { bar: ProgressBar::hidden(), started: Instant::now(), wanted: ui.shows_progress(), bytes, what }
    }

    /// Shows how far the work is; says whether it should go on.
    pub(crate) fn update(&mut self, done: u64, total: Option<u64>) -> ControlFlow<()> {
        if self.wanted && self.started.elapsed() > PATIENCE {
            if self.bar.is_hidden() {
                self.show(total);
            }
            self.bar.set_position(done);
            self.bar.set_message(self.pace(done, total));
        }
        if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Rate since the start, and the time that the rest takes at it.
    fn pace(&self, done: u64, total: Option<u64>) -> String {
        let rate = (done as f64 / self.started.elapsed().as_secs_f64()).max(1e-9);
        let rate_text = if self.bytes { size(rate as u64) } else { format!("{rate:.0}") };
        match total {
            Some(total) => {
                let left = total.saturating_sub(done) as f64 / rate;
                format!("{rate_text} a second, {} left", duration(left * 1e6))
            }
            None => format!("{rate_text} a second"),
        }
    }

    fn show(&mut self, total: Option<u64>) {
        self.bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let template = match (self.bytes, total) {
            (true, _) => "{prefix} {bar:32} {bytes}/{total_bytes}  {msg}",
            (false, Some(_)) => "{prefix} {bar:32} {human_pos}/{human_len}  {msg}",
            (false, None) => "{prefix} {spinner} {human_pos}  {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
            self.bar.set_prefix(self.what);
        }
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
