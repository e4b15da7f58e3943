//! The messages between this process and the driver: one JSON object a line.
//!
//! *Invariant:* the driver's `python/driver.py` is the only other speaker; both are of the same version, always.

use serde::{Deserialize, Serialize};

use super::error::{Misdeed, PythonError};
use crate::profile::latency::Durations;
use crate::profile::trace::{Mark, WorkerTrace};
use crate::profile::workload::{Pace, Sample, Shot};

/// How many times its planned length a run may take so that every worker notes its windows.
const STRETCH: u64 = 8;

/// One measurement to make.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Order {
    pub(super) threads: usize,
    pub(super) warm_ns: u64,
    pub(super) measure_ns: u64,
    pub(super) window_ns: u64,
    pub(super) hard_ns: u64,
    pub(super) rate: Option<f64>,
}

impl Order {
    pub(super) fn new(shot: &Shot) -> Self {
        let (warm_ns, measure_ns) = (crate::num::duration_ns(shot.warm), crate::num::duration_ns(shot.measure));
        Self {
            threads: shot.threads,
            warm_ns,
            measure_ns,
            window_ns: crate::num::duration_ns(shot.window()),
            hard_ns: (warm_ns + measure_ns) * STRETCH,
            rate: match shot.pace {
                Pace::Closed => None,
                Pace::Open(rate) => Some(rate),
            },
        }
    }
}

/// What the driver says.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Reply {
    Hello { version: String, path: String, free_threaded_build: bool, gil: bool },
    Ready { tids: Vec<u32> },
    Result { workers: Vec<Worker>, gil: bool },
    Error { what: Misdeed, traceback: String },
}

/// What one worker counted.
#[derive(Debug, Deserialize)]
pub(super) struct Worker {
    marks: Vec<(u64, u64, u64)>,
    service: Vec<u64>,
    sojourn: Vec<u64>,
}

impl Reply {
    pub(super) fn parse(line: &str) -> Result<Self, PythonError> {
        serde_json::from_str(line).map_err(|error| {
            let start: String = line.chars().take(200).collect();
            PythonError::Protocol(format!("{error} in `{start}`"))
        })
    }
}

/// Turns the driver's counts into what threads of this process would have recorded.
pub(super) fn sample(workers: &[Worker]) -> Sample {
    let mut sample = Sample::default();
    let (mut service, mut sojourn) = (Durations::default(), Durations::default());
    for worker in workers {
        let mark =
            |&(at_ns, count, cpu_ns): &(u64, u64, u64)| Mark { at_ns, count, cpu_ns: Some(cpu_ns), run_delay_ns: None };
        sample.traces.push(WorkerTrace { marks: worker.marks.iter().map(mark).collect() });
        worker.service.iter().for_each(|&ns| service.record(ns));
        worker.sojourn.iter().for_each(|&ns| sojourn.record(ns));
    }
    Sample { service, sojourn, ..sample }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_becomes_traces() {
        let line = r#"{"kind":"result","gil":true,"workers":[
            {"marks":[[10,0,1],[1010,5,400]],"service":[200,210],"sojourn":[]}]}"#;
        let Ok(Reply::Result { workers, gil: true }) = Reply::parse(line) else {
            panic!("not a result");
        };
        let sample = sample(&workers);
        assert_eq!(sample.traces[0].marks[1].count, 5);
        assert_eq!(sample.service.len(), 2);
    }

    #[test]
    fn nonsense_is_quoted_in_the_error() {
        let error = Reply::parse("hello from print").expect_err("not JSON");
        assert!(error.to_string().contains("hello from print"));
    }
}
