//! A progress bar for runs that take a while, on a terminal only.
//!
//! *Invariant:* a run that is over within [`PATIENCE`] draws nothing, and nothing of the bar is left behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How long people wait without wondering.
const PATIENCE: Duration = Duration::from_secs(1);

const REDRAW: Duration = Duration::from_millis(100);

/// Runs `work` and shows on standard error how much of `total` is counted in `done`.
pub(crate) fn shown<T>(total: usize, done: &AtomicUsize, work: impl FnOnce() -> T) -> T {
    let (finished, is_finished) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if is_finished.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                draw(total, done, &is_finished);
            }
        });
        let result = work();
        drop(finished);
        result
    })
}

fn draw(total: usize, done: &AtomicUsize, is_finished: &mpsc::Receiver<()>) {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} files") {
        bar.set_style(style);
    }
    while is_finished.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
        bar.set_position(done.load(Ordering::Relaxed) as u64);
    }
    bar.finish_and_clear();
}
