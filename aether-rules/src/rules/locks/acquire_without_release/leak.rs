//! How a lock may be left behind.
//!
//! *Invariant:* every leak but [`Leak::Never`] knows the step to show beside it.

use crate::facts::EventIx;

/// How a lock may be left behind.
pub(super) enum Leak {
    /// Nobody releases it, anywhere.
    Never,
    /// The function is left here.
    Return(EventIx),
    /// Only what follows this is released.
    Skip(EventIx),
    /// Something raises here.
    Raise(EventIx),
    /// It is released when something fails, and only then.
    OnlyOnError(EventIx),
}

impl Leak {
    /// Message and label.
    pub(super) fn words(&self, name: &str) -> (String, &'static str) {
        match self {
            Leak::Never => (
                format!("`{name}` is acquired, and nobody ever releases it"),
                "the next thread that needs it waits for ever",
            ),
            Leak::Return(_) => {
                (format!("`{name}` is not released on every way out"), "stays held when the function is left early")
            }
            Leak::Skip(_) => {
                (format!("`{name}` is not released on every way out"), "stays held where the `finally` is not reached")
            }
            Leak::Raise(_) => {
                (format!("`{name}` is not released when something raises"), "stays held after an exception")
            }
            Leak::OnlyOnError(_) => {
                (format!("`{name}` is only released when something raises"), "stays held when all goes well")
            }
        }
    }
}
