//! Estimates and how far to trust them.
//!
//! Everything here is a pure function of the numbers it is given: no clock, no thread, and a random generator whose
//! seed is fixed, so that the same rounds give the same interval on every machine and in every run.
//!
//! *Invariant:* an [`Estimate`] never claims less doubt than its data: one observation gives an interval without end.

pub mod bootstrap;
pub mod holm;
pub mod rng;
pub mod sample;
pub mod student;

use serde::{Deserialize, Serialize};

/// A value with its two-sided 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best single guess.
    pub est: f64,
    /// Lower end of the 95 % interval.
    #[serde(with = "open_end")]
    pub lo: f64,
    /// Upper end of the 95 % interval.
    #[serde(with = "open_end")]
    pub hi: f64,
}

impl Estimate {
    /// A value seen once: nothing is known about its spread.
    pub fn unbounded(est: f64) -> Self {
        Self { est, lo: f64::NEG_INFINITY, hi: f64::INFINITY }
    }

    /// A value known exactly.
    pub fn exact(est: f64) -> Self {
        Self { est, lo: est, hi: est }
    }

    /// Half the interval's width over the value: 0.02 reads "± 2 %".
    pub fn relative_half_width(&self) -> f64 {
        (self.hi - self.lo) / 2.0 / self.est.abs()
    }

    /// Whether both ends are finite.
    pub fn is_bounded(&self) -> bool {
        self.lo.is_finite() && self.hi.is_finite()
    }

    /// The estimate of a monotonically growing function of the value.
    #[must_use]
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self { est: function(self.est), lo: function(self.lo), hi: function(self.hi) }
    }
}

/// JSON knows no infinity: an end that is not bounded is written as `null`.
mod open_end {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        // The sign is lost and not needed: whoever compares with NaN gets "not proven" for both ends.
        Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}
