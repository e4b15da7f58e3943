//! The driver against real interpreters: what a workload must not do, and what it may.
//!
//! No test asserts how fast anything is. Interpreters beside the one on PATH are used where they are installed.
#![cfg(unix)]

use std::path::PathBuf;
use std::time::Duration;

use aether_bench::profile::workload::{Pace, Shot, Subject};
use aether_bench::profile::{CancelToken, OpenLoop, ProfileError, SaturationCliffProfiler};
use aether_bench::python::{Misdeed, PythonError, PythonScript};
use tempfile::TempDir;

const PYTHON: &str = "python3";

fn subject(folder: &TempDir, code: &str) -> PythonScript {
    let script = folder.path().join("work.py");
    std::fs::write(&script, code).expect("the folder is ours");
    PythonScript::new(PYTHON, script).expect("the driver can be written")
}

fn shot(threads: usize) -> Shot {
    Shot {
        threads,
        warm: Duration::from_millis(20),
        measure: Duration::from_millis(100),
        pace: Pace::Closed,
        hang_after: Duration::from_mins(1),
    }
}

fn measure(code: &str, shot: &Shot) -> Result<usize, ProfileError> {
    let folder = TempDir::new().expect("a temporary folder");
    let mut subject = subject(&folder, code);
    let cancel = CancelToken::default();
    subject.begin_block(&cancel)?;
    subject.measure(shot, &cancel).map(|sample| sample.traces.len())
}

fn misdeed(code: &str) -> (Misdeed, String) {
    match measure(code, &shot(2)) {
        Err(ProfileError::Python(PythonError::Misdeed { what, traceback })) => (what, traceback),
        other => panic!("{code:?} gave {other:?}"),
    }
}

#[test]
fn a_workload_that_raises_is_shown_with_its_traceback() {
    let (what, traceback) = misdeed("def workload():\n    1 / 0\n");
    assert_eq!(what, Misdeed::Raise);
    assert!(traceback.contains("ZeroDivisionError") && traceback.contains("work.py"), "{traceback}");
}

#[test]
fn a_workload_that_exits_is_not_a_result() {
    assert_eq!(misdeed("import sys\ndef workload():\n    sys.exit(0)\n").0, Misdeed::Exit);
    match measure("import os\ndef workload():\n    os._exit(7)\n", &shot(2)) {
        Err(ProfileError::Python(PythonError::Died { status, .. })) => {
            assert_eq!(status.code(), Some(7));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_workload_that_prints_is_refused_even_if_it_catches_everything() {
    let (what, traceback) = misdeed("def workload():\n    print('hello')\n");
    assert_eq!(what, Misdeed::Print);
    assert!(traceback.contains("print('hello')"), "{traceback}");
    let swallowed = "def workload():\n    try:\n        print('x')\n    except BaseException:\n        pass\n";
    assert_eq!(misdeed(swallowed).0, Misdeed::Print);
    assert_eq!(misdeed("import os\ndef workload():\n    os.write(1, b'x')\n").0, Misdeed::Print);
}

#[test]
fn a_workload_that_forks_is_refused_and_leaves_no_second_driver() {
    let code = "import os\ndef workload():\n    pid = os.fork()\n    if pid:\n        os.waitpid(pid, 0)\n";
    let (what, traceback) = misdeed(code);
    assert_eq!(what, Misdeed::Fork);
    assert!(traceback.contains("os.fork()"), "{traceback}");
}

#[test]
fn a_workload_that_hangs_is_ended_and_says_where() {
    let code = "import threading\nlock = threading.Lock()\nlock.acquire()\ndef workload():\n    lock.acquire()\n";
    let impatient = Shot { hang_after: Duration::from_millis(200), ..shot(2) };
    match measure(code, &impatient) {
        Err(ProfileError::Python(PythonError::Hung { stderr, threads: 2, .. })) => {
            assert!(stderr.contains("in workload"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_script_that_cannot_be_loaded_says_why() {
    for (code, hint) in [
        ("def workload(:\n", "SyntaxError"),
        ("import no_such_module_here\ndef workload(): pass\n", "ModuleNotFoundError"),
        ("async def workload():\n    pass\n", "coroutine"),
        ("def workload():\n    yield 1\n", "generator"),
    ] {
        let (what, traceback) = misdeed(code);
        assert_eq!(what, Misdeed::Load);
        assert!(traceback.contains(hint), "{traceback}");
    }
    let nowhere = PythonScript::new("/no/such/python", "work.py");
    let error = nowhere.expect("the driver can be written").begin_block(&CancelToken::default());
    assert!(matches!(error, Err(ProfileError::Python(PythonError::Script { .. }))));
}

#[test]
#[cfg(unix)]
fn an_interpreter_that_is_too_old_says_so() {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for version in ["2.7.18", "3.6.15", "3.7.16"] {
        let python = home.join(".pyenv/versions").join(version).join("bin/python");
        if !python.exists() {
            continue;
        }
        let folder = TempDir::new().expect("a temporary folder");
        let mut subject = subject(&folder, "def workload(): pass\n");
        subject.python = python;
        match subject.begin_block(&CancelToken::default()) {
            Err(ProfileError::Python(PythonError::Died { stderr, .. })) => {
                assert!(stderr.contains("3.8 or later"), "{stderr}");
            }
            other => panic!("{version}: {other:?}"),
        }
    }
}

#[test]
fn printing_before_the_measurement_and_a_body_without_a_function_are_fine() {
    let code = "print('loaded')\ndef workload():\n    sum(range(100))\n";
    assert_eq!(measure(code, &shot(3)).expect("nothing wrong"), 3);
    assert_eq!(measure("sum(range(1000))\n", &shot(2)).expect("the body is run"), 2);
}

/// Threads that never let go of the GIL: timers in a coordinator would starve, deadlines in the workers do not.
#[test]
fn many_threads_that_compute_come_to_an_end() {
    let code = "def workload():\n    sum(range(20_000))\n";
    assert_eq!(measure(code, &shot(32)).expect("nothing wrong"), 32);
}

#[test]
fn a_cancelled_run_leaves_no_process_behind() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut subject = subject(&folder, "import time\ndef workload():\n    time.sleep(0.01)\n");
    let cancel = CancelToken::default();
    subject.begin_block(&cancel).expect("nothing wrong");
    cancel.cancel();
    let outcome = subject.measure(&shot(2), &cancel);
    assert!(matches!(outcome, Err(ProfileError::Cancelled)), "{outcome:?}");
    assert!(format!("{subject:?}").contains("interpreter: None"));
}

#[test]
fn a_whole_profile_of_sleeping_threads_scales() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut subject = subject(&folder, "import time\ndef workload():\n    time.sleep(0.02)\n");
    let profiler = SaturationCliffProfiler {
        duration_per_run: Duration::from_millis(120),
        warm_up: Duration::from_millis(40),
        max_threads: 4,
        min_rounds: 2,
        max_rounds: 2,
        open_loop: OpenLoop::Measure,
        ..SaturationCliffProfiler::default()
    };
    let analysis = profiler.profile_subject(&mut subject, &CancelToken::default(), &mut |_| {}).expect("nothing wrong");
    let rate = |n| analysis.point(n).expect("measured").ops_s.est;
    assert!(rate(4) > 1.5 * rate(1), "{} and {}", rate(1), rate(4));
    assert!(analysis.workload.interpreter.expect("it is Python").version.contains("Python 3"));
    let recommended = analysis.points.iter().find(|point| point.n == analysis.recommended.n);
    assert!(recommended.expect("measured").sojourn_ns.is_some());
}

/// The driver promises Python 3.8; every interpreter that is installed here must agree.
#[test]
fn every_installed_interpreter_runs_the_driver() {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions"));
    let folders = versions.into_iter().flatten().filter_map(Result::ok);
    for folder in folders {
        let name = folder.file_name().to_string_lossy().into_owned();
        let minor = name.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
        let python = folder.path().join("bin/python3");
        if minor.is_none_or(|minor: u32| minor < 8) || !python.exists() {
            continue;
        }
        let scratch = TempDir::new().expect("a temporary folder");
        let mut subject = subject(&scratch, "def workload():\n    sum(range(100))\n");
        subject.python = python;
        let cancel = CancelToken::default();
        let identity = subject.begin_block(&cancel).expect("the interpreter starts");
        let runtime = identity.interpreter.expect("it is Python");
        assert!(runtime.version.contains(&name), "{runtime:?} is not {name}");
        assert_eq!(subject.measure(&shot(2), &cancel).expect("it runs").traces.len(), 2);
    }
}
