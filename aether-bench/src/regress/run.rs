//! Runs a process and measures all of it: time, CPU time, and how long its threads waited for a core.
//!
//! A process may report its own numbers, so that its start-up does not drown them: its last line on standard output is
//! then `{"ops": …, "wall_ns": …}`, with `cpu_ns` and `run_delay_ns` if it has them.
//!
//! *Invariant:* a process that fails gives an error, never a number.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::case::ProcessRun;
use crate::profile::workload::CancelToken;

/// Why a run gave no number.
#[derive(Debug, Error)]
pub enum RunError {
    /// The command is empty.
    #[error("the command is empty")]
    Empty,
    /// It could not be started.
    #[error("cannot start `{command}`")]
    Start {
        /// The command.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("`{command}` failed ({status})\n{stderr}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// Its output could not be kept.
    #[error("cannot keep the output of `{command}`")]
    Output {
        /// The command.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// What a process reports about itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfReport {
    /// Work done.
    pub ops: f64,
    /// Time it took.
    pub wall_ns: u64,
    /// CPU time it took.
    #[serde(default)]
    pub cpu_ns: Option<u64>,
    /// Time its threads were runnable without a core, summed.
    #[serde(default)]
    pub run_delay_ns: Option<u64>,
}

/// Runs the command once.
pub fn run(words: &[String], cancel: &CancelToken) -> Result<ProcessRun, RunError> {
    if cancel.is_cancelled() {
        return Err(RunError::Cancelled);
    }
    let (program, arguments) = words.split_first().ok_or(RunError::Empty)?;
    let command = words.join(" ");
    let keep = |source| RunError::Output { command: command.clone(), source };
    // Files, not pipes: nobody has to read along while the process is measured.
    let (mut stdout, mut stderr) = (tempfile::tempfile().map_err(keep)?, tempfile::tempfile().map_err(keep)?);
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(keep)?)
        .stderr(stderr.try_clone().map_err(keep)?)
        .spawn()
        .map_err(|source| RunError::Start { command: command.clone(), source })?;
    let usage = watch::until_exit(&mut child, cancel)?;
    let wall_s = started.elapsed().as_secs_f64();
    let status = child.wait().map_err(keep)?;
    if !status.success() {
        let stderr = contents(&mut stderr).map_err(keep)?;
        return Err(RunError::Failed { command, status, stderr });
    }
    let output = contents(&mut stdout).map_err(keep)?;
    let whole = ProcessRun {
        ops: 1.0,
        wall_s,
        cpu_s: usage.cpu_ns.map(crate::num::ns_to_seconds),
        run_delay_s: usage.run_delay_ns.map(crate::num::ns_to_seconds),
    };
    Ok(self_reported(&output).unwrap_or(whole))
}

fn contents(file: &mut std::fs::File) -> std::io::Result<String> {
    use std::io::Seek;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn self_reported(output: &str) -> Option<ProcessRun> {
    let report: SelfReport = serde_json::from_str(output.trim_end().lines().last()?).ok()?;
    Some(ProcessRun {
        ops: report.ops,
        wall_s: crate::num::ns_to_seconds(report.wall_ns),
        cpu_s: report.cpu_ns.map(crate::num::ns_to_seconds),
        run_delay_s: report.run_delay_ns.map(crate::num::ns_to_seconds),
    })
}

#[derive(Clone, Copy, Default)]
struct Usage {
    cpu_ns: Option<u64>,
    run_delay_ns: Option<u64>,
}

#[cfg(target_os = "linux")]
mod watch {
    //! Looks at the process while it runs, and once more between its end and its burial.

    use std::collections::BTreeMap;
    use std::time::Duration;

    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    use nix::time::{clock_getcpuclockid, clock_gettime};
    use nix::unistd::Pid;

    use super::{CancelToken, Child, RunError, Usage};

    /// Threads that end between two looks take the delay of their last moments with them.
    const LOOK: Duration = Duration::from_millis(5);

    pub(super) fn until_exit(child: &mut Child, cancel: &CancelToken) -> Result<Usage, RunError> {
        let Ok(raw) = i32::try_from(child.id()) else {
            return Ok(Usage::default());
        };
        let pid = Pid::from_raw(raw);
        let mut delays = BTreeMap::new();
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        while matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive)) {
            if cancel.is_cancelled() {
                child.kill().unwrap_or_default();
                child.wait().map(drop).unwrap_or_default();
                return Err(RunError::Cancelled);
            }
            look(raw, &mut delays);
            std::thread::sleep(LOOK);
        }
        // Ended, but not yet waited for: its clock still stands where it stopped.
        look(raw, &mut delays);
        let cpu_ns = clock_getcpuclockid(pid).and_then(clock_gettime).ok().and_then(|time| {
            let seconds = u64::try_from(time.tv_sec()).ok()?;
            Some(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
        });
        let known = !delays.is_empty();
        Ok(Usage { cpu_ns, run_delay_ns: known.then(|| delays.values().sum()) })
    }

    fn look(pid: i32, delays: &mut BTreeMap<String, u64>) {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            return;
        };
        for task in tasks.filter_map(Result::ok) {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let delay = text.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok());
            if let Some(delay) = delay {
                delays.insert(task.file_name().to_string_lossy().into_owned(), delay);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod watch {
    //! Elsewhere only the time is known, unless the process reports more.

    use std::time::Duration;

    use super::{CancelToken, Child, RunError, Usage};

    pub(super) fn until_exit(child: &mut Child, cancel: &CancelToken) -> Result<Usage, RunError> {
        while matches!(child.try_wait(), Ok(None)) {
            if cancel.is_cancelled() {
                child.kill().unwrap_or_default();
                return Err(RunError::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Usage::default())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<ProcessRun, RunError> {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words, &CancelToken::default())
    }

    #[test]
    fn a_process_is_timed_or_reports_itself() {
        let whole = shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").expect("it succeeds");
        assert!(whole.wall_s > 0.0 && (whole.ops - 1.0).abs() < 1e-9);
        if cfg!(target_os = "linux") {
            let cpu = whole.cpu_s.expect("Linux tells");
            assert!(cpu > 0.0 && cpu <= whole.wall_s * 1.5, "{whole:?}");
        }
        let reported = shell(r#"echo noise; echo '{"ops": 50, "wall_ns": 2000000000}'"#);
        let reported = reported.expect("it succeeds");
        assert!((reported.ops - 50.0).abs() < 1e-9 && (reported.wall_s - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_process_that_fails_gives_no_number() {
        let error = shell("echo no good >&2; exit 3").expect_err("it fails");
        assert!(error.to_string().contains("no good"), "{error}");
        assert!(matches!(run(&[], &CancelToken::default()), Err(RunError::Empty)));
        let missing = ["/no/such/program".to_owned()];
        assert!(matches!(run(&missing, &CancelToken::default()), Err(RunError::Start { .. })));
    }

    #[test]
    fn a_cancelled_run_does_not_start() {
        let cancel = CancelToken::default();
        cancel.cancel();
        let words = ["true".to_owned()];
        assert!(matches!(run(&words, &cancel), Err(RunError::Cancelled)));
    }
}
