//! The queue core under thread schedules that a scheduler of ours chooses, thousands of them.
//!
//! `gate.rs` is compiled a second time, with primitives whose every operation is a point where another thread may run.
//! `AETHER_STRESS=1` explores twenty times as many schedules.
#![expect(dead_code, reason = "the schedules below use a part of the gate")]

#[path = "../src/pool/gate.rs"]
mod gate;

mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

use std::time::Duration;

use gate::{Close, Gate, Next, Seat, Start};
use shuttle::thread::{self, JoinHandle};
use sync::{Arc, Mutex};

/// A pool as small as can be: threads that record which jobs they were handed.
struct Small {
    gate: Gate<usize>,
    ran: Mutex<Vec<usize>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Small {
    fn new(workers: usize) -> Arc<Self> {
        let small =
            Arc::new(Self { gate: Gate::new(workers, workers), ran: Mutex::default(), threads: Mutex::default() });
        small.start(&Start::Threads(workers));
        small
    }

    fn start(self: &Arc<Self>, start: &Start) {
        let Start::Threads(count) = *start else {
            return;
        };
        for _ in 0..count {
            let small = Arc::clone(self);
            let thread = thread::spawn(move || {
                let seat = Arc::new(Seat::default());
                while let Next::Run(job) = small.gate.next(&seat, Duration::from_secs(1)) {
                    small.run(job);
                }
            });
            self.threads.lock().expect("not poisoned").push(thread);
        }
    }

    /// Odd jobs declare that they block.
    fn run(self: &Arc<Self>, job: usize) {
        if job % 2 == 1 {
            self.start(&self.gate.begin_blocking());
            thread::yield_now();
            self.gate.end_blocking();
        }
        self.ran.lock().expect("not poisoned").push(job);
    }

    fn join(&self) {
        loop {
            let Some(thread) = self.threads.lock().expect("not poisoned").pop() else {
                return;
            };
            thread.join().expect("workers do not panic");
        }
    }
}

fn schedules() -> usize {
    let factor = if std::env::var_os("AETHER_STRESS").is_some() { 20 } else { 1 };
    10_000 * factor
}

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    // Depth 3: bugs that need three preemptions in the wrong places are found with a known probability.
    shuttle::check_pct(scenario, schedules(), 3);
}

#[test]
fn draining_runs_every_job_once_whatever_is_resized() {
    explore(|| {
        let small = Small::new(2);
        let submitter = {
            let small = Arc::clone(&small);
            thread::spawn(move || {
                for job in 0..4 {
                    let start = small.gate.push(job).expect("open until the end of this thread");
                    small.start(&start);
                }
            })
        };
        small.start(&small.gate.set_target(1));
        small.start(&small.gate.set_target(3));
        submitter.join().expect("the submitter does not panic");
        assert!(small.gate.close(Close::Drain).is_empty());
        small.join();
        let mut ran = small.ran.lock().expect("not poisoned").clone();
        ran.sort_unstable();
        assert_eq!(ran, [0, 1, 2, 3]);
        assert_eq!(small.gate.occupancy().live, 0);
        assert_eq!(small.gate.occupancy().active, 0);
    });
}

#[test]
fn abandoning_under_load_runs_or_returns_every_job() {
    explore(|| {
        let small = Small::new(2);
        let submitter = {
            let small = Arc::clone(&small);
            thread::spawn(move || {
                let mut refused = Vec::new();
                for job in 0..4 {
                    match small.gate.push(job) {
                        Ok(start) => small.start(&start),
                        Err(job) => refused.push(job),
                    }
                }
                refused
            })
        };
        let mut accounted = small.gate.close(Close::Abandon);
        accounted.extend(submitter.join().expect("the submitter does not panic"));
        small.join();
        accounted.extend(small.ran.lock().expect("not poisoned").iter());
        accounted.sort_unstable();
        assert_eq!(accounted, [0, 1, 2, 3]);
        assert_eq!(small.gate.occupancy().live, 0);
    });
}

#[test]
fn jobs_that_arrive_one_by_one_always_find_somebody_awake() {
    explore(|| {
        let small = Small::new(1);
        for job in [0, 2] {
            small.start(&small.gate.push(job).expect("open"));
            // Nothing else happens until the job has run: a lost wake-up is a deadlock, which the scheduler reports.
            while !small.ran.lock().expect("not poisoned").contains(&job) {
                thread::yield_now();
            }
        }
        small.gate.close(Close::Drain);
        small.join();
    });
}
