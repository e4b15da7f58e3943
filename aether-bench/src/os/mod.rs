//! What the operating system says about threads and about the machine.
//!
//! Linux answers everything, for any thread, from `/proc` and the per-thread CPU clocks. Elsewhere a thread publishes
//! its own CPU time and the rest is unknown; what is unknown is `None`, never zero.
//!
//! *Invariant:* reading never fails the caller and never blocks: these are signals, not results.

pub mod host;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod published;

use std::sync::Arc;

/// What a thread has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// Time on a core, in nanoseconds.
    pub cpu_ns: u64,
    /// Time runnable without a core, in nanoseconds.
    pub run_delay_ns: Option<u64>,
}

/// What a thread is doing at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// On a core or waiting for one.
    Running,
    /// Asleep in the call that locks, condition variables and the GIL are made of.
    Futex,
    /// Asleep in any other call: a socket, a file, a timer.
    OtherWait,
    /// The system does not tell.
    Unknown,
}

/// A view of one thread that any other thread can take.
pub trait ThreadProbe: Send + Sync {
    /// What the thread has used so far.
    fn usage(&self) -> Option<ThreadUsage>;
    /// What it is doing now.
    fn doing(&self) -> Doing;
    /// Called on the thread itself now and then, for systems where others cannot read its clock.
    fn publish(&self);
}

/// A probe of the calling thread.
pub fn probe_current() -> Arc<dyn ThreadProbe> {
    #[cfg(target_os = "linux")]
    return Arc::new(linux::ProcProbe::of_current());
    #[cfg(not(target_os = "linux"))]
    return Arc::new(published::Published::new(published::cpu_ns_of_current));
}
