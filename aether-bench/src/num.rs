//! The few conversions between floats and integers, in one place so that each says what it does at the edges.
//!
//! *Invariant:* no conversion here panics; NaN becomes zero, and what does not fit is clamped.

/// The largest integer not above `value`, as an index.
#[expect(clippy::cast_sign_loss, reason = "clamped to zero first; float casts saturate")]
pub(crate) fn floor_index(value: f64) -> usize {
    value.max(0.0) as usize
}

/// Seconds as whole nanoseconds.
#[expect(clippy::cast_sign_loss, reason = "clamped to zero first; float casts saturate")]
pub(crate) fn seconds_to_ns(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

/// Nanoseconds as seconds.
pub(crate) fn ns_to_seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A duration as nanoseconds; five centuries is the most it can say.
pub(crate) fn duration_ns(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
