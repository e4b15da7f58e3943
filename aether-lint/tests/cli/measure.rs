//! `profile` and `status`: real interpreters, real threads, and workloads that must not give a number.
//!
//! No test asserts how fast anything is.

use std::process::Command;

use serde_json::Value;

use crate::project::{Project, streams};

/// As little as a curve can be made of.
const QUICK: [&str; 8] = ["--max-threads", "2", "--rounds", "2", "--duration", "0.05", "--budget", "0.1"];

const SLEEPS: &str = "import time\n\ndef workload():\n    time.sleep(0.002)\n";

/// Exit code and both streams of a quick profile of `work.py`.
fn profile(project: &Project, more: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<&str> = ["profile", "work.py"].iter().chain(&QUICK).chain(more).copied().collect();
    streams(&project.output(&args))
}

#[test]
fn a_profile_shows_the_curve_and_says_what_to_do() {
    let project = Project::new().file("work.py", SLEEPS);
    let (code, out, err) = profile(&project, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for part in ["work.py · CPython 3.", "with the GIL", "● ", "▲ use", "The peak is", "→ Use", "threads     tasks/s"]
    {
        assert!(out.contains(part.trim()), "{part}: {out}");
    }
}

#[test]
fn a_profile_for_programs_carries_its_rounds() {
    let project = Project::new().file("work.py", SLEEPS);
    let (code, out, err) = profile(&project, &["--format", "json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let curve: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(curve["schema"], "aether-bench/scaling/1");
    assert_eq!(curve["points"][1]["n"], 2);
    assert!(curve["points"][0]["rounds"].as_array().is_some_and(|rounds| rounds.len() >= 2), "{curve}");
}

#[test]
fn several_interpreters_are_compared_in_one_page() {
    let project = Project::new().file("work.py", SLEEPS);
    let two = ["--python", "python3", "--python", "python3", "--format", "html", "--output", "curve.html"];
    let (code, out, err) = profile(&project, &two);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", "wrote `curve.html`\n"));
    let page = std::fs::read_to_string(project.path("curve.html")).expect("the page");
    assert_eq!(page.matches("<h3>Points</h3>").count(), 2);
    assert!(page.contains("the best of the former") && page.contains("<svg") && !page.contains("<script"));
}

#[test]
fn curves_are_saved_and_later_ones_held_against_them() {
    let project = Project::new().file("work.py", SLEEPS);
    let (code, _, err) = profile(&project, &["--save-baseline", "base.json"]);
    assert_eq!((code, err.as_str()), (Some(0), "saved the curves to `base.json`\n"));
    // A baseline five times as fast: what is measured now is a loss, both times.
    let saved = std::fs::read_to_string(project.path("base.json")).expect("a baseline");
    let mut baseline: Value = serde_json::from_str(&saved).expect("JSON");
    for point in baseline["points"].as_array_mut().expect("points") {
        for round in point["rounds"].as_array_mut().expect("rounds") {
            round["ops_s"] = (5.0 * round["ops_s"].as_f64().expect("a number")).into();
        }
        // Enough rounds to be sure.
        let rounds = point["rounds"].as_array().expect("rounds").clone();
        point["rounds"] = rounds.iter().cycle().take(4).cloned().collect();
    }
    let project = project.file("fast.json", baseline.to_string());
    let against = ["--baseline", "fast.json", "--rounds", "3"];
    let args: Vec<&str> = ["profile", "work.py", "--max-threads", "2", "--duration", "0.05", "--budget", "0.1"]
        .into_iter()
        .chain(against)
        .collect();
    let strict: Vec<&str> = args.iter().copied().chain(["--fail-on-regression"]).collect();
    let (code, out, err) = streams(&project.output(&strict));
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("FAIL: a significant and material loss") && out.contains("measured again:"), "{out}");
    assert!(err.contains("measuring again"), "{err}");
    assert_eq!(streams(&project.output(&args)).0, Some(0), "without --fail-on-regression it is said, not judged");
    let changed = project.file("work.py", format!("{SLEEPS}\n# changed\n"));
    let (code, out, _) = streams(&changed.output(&strict));
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("The script has changed") && out.contains("INCONCLUSIVE"), "{out}");
}

#[test]
fn a_baseline_of_something_else_is_an_error() {
    let project = Project::new().file("work.py", SLEEPS).file("base.json", "{}").file("other.py", SLEEPS);
    let (code, out, err) = profile(&project, &["--baseline", "base.json"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("`base.json` is no baseline"), "{err}");
    let (_, _, err) = profile(&project, &["--baseline", "none.json"]);
    assert!(err.contains("cannot read `none.json`"), "{err}");
    profile(&project, &["--save-baseline", "base.json"]);
    let args: Vec<&str> = ["profile", "other.py"].into_iter().chain(QUICK).chain(["--baseline", "base.json"]).collect();
    let (code, _, err) = streams(&project.output(&args));
    assert_eq!(code, Some(2));
    assert!(err.contains("no curve of other.py") && err.contains("it has work.py on"), "{err}");
}

#[test]
fn a_workload_that_misbehaves_gives_its_traceback_and_no_number() {
    let cases = [
        ("def workload():\n    {}['missing']\n", "raised an exception", "KeyError: 'missing'"),
        ("import sys\ndef workload():\n    sys.exit(0)\n", "called sys.exit()", "SystemExit: 0"),
        ("def workload():\n    print('hello')\n", "wrote to standard output", "print('hello')"),
        ("import os\ndef workload():\n    os.fork()\n", "forked", "os.fork()"),
        ("import os\ndef workload():\n    os._exit(7)\n", "the interpreter ended", "exit status: 7"),
        ("def workload(:\n    pass\n", "could not be loaded", "SyntaxError"),
        (
            "import threading\nlock = threading.Lock()\nlock.acquire()\ndef workload():\n    lock.acquire()\n",
            "hung",
            "in workload",
        ),
    ];
    for (code, what, where_) in cases {
        let project = Project::new().file("work.py", code);
        let (code, out, err) = profile(&project, &["--hang-after", "0.2"]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.starts_with("error: ") && err.contains(what) && err.contains(where_), "{err}");
        assert!(what == "hung" || !err.contains("aether_driver"), "{err}");
    }
}

#[test]
fn mistakes_are_found_before_anything_is_measured() {
    let project = Project::new().file("work.py", SLEEPS);
    let cases: [(&[&str], &str); 7] = [
        (&["profile", "nowhere.py"], "cannot read `nowhere.py`"),
        (&["profile", "."], "cannot read `.`"),
        (&["profile", "work.py", "--python", "/no/such/python"], "cannot start `/no/such/python`"),
        (&["profile", "work.py", "--function", "nothing"], "work.py defines no function 'nothing'"),
        (&["profile", "work.py", "--output", "no/such/folder/x.html"], "cannot write `no/such/folder/x.html`"),
        (&["profile", "work.py", "--fail-on-regression"], "--baseline <FILE>"),
        (&["profile", "work.py", "--duration", "soon"], "expected a number of seconds"),
    ];
    for (args, expected) in cases {
        let (code, out, err) = streams(&project.output(args));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(expected), "{args:?}: {err}");
    }
}

#[test]
fn setup_runs_before_the_function_and_the_body_serves_without_one() {
    let code = "ready = False\ndef prepare():\n    global ready\n    ready = True\n\ndef job():\n    assert ready\n    sum(range(999))\n";
    let project = Project::new().file("work.py", code);
    let (code, out, err) = profile(&project, &["--function", "job", "--setup", "prepare"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("work.py::job · "), "{out}");
    assert_eq!(profile(&project, &["--function", "job"]).0, Some(2), "without the setup it fails");
    assert_eq!(profile(&Project::new().file("work.py", "sum(range(9_999))\n"), &[]).0, Some(0));
}

/// Whether the Python on PATH can run without its GIL.
fn python_is_free_threaded(project: &Project) -> bool {
    let (_, out, _) = streams(&project.output(&["status", "--format", "json", "--no-import"]));
    serde_json::from_str::<Value>(&out).expect("JSON")["is_free_threaded_build"] == true
}

#[test]
fn a_build_with_the_gil_is_not_measured_without_it() {
    let project = Project::new().file("work.py", SLEEPS);
    if python_is_free_threaded(&project) {
        return;
    }
    for mode in ["off", "both"] {
        let (code, _, err) = profile(&project, &["--gil", mode]);
        assert_eq!(code, Some(2));
        assert!(err.contains("cannot run without the GIL") && err.contains("python3.14t"), "{err}");
    }
    let (code, out, _) = profile(&project, &["--gil", "on"]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
#[expect(clippy::print_stderr, reason = "says what was not run")]
fn a_free_threaded_build_is_measured_both_ways() {
    let Some(python) = std::env::var("AETHER_FT_PYTHON").ok() else {
        eprintln!("not run: AETHER_FT_PYTHON names no free-threaded interpreter");
        return;
    };
    let project = Project::new().file("work.py", SLEEPS);
    let (code, out, err) = profile(&project, &["--python", &python, "--gil", "both"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("with the GIL") && out.contains("without the GIL") && out.contains("one thread:"), "{out}");
}

#[test]
fn the_status_names_the_gil_and_what_is_installed() {
    let project = Project::new();
    let (code, out, err) = streams(&project.output(&["status"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("GIL: o") && out.contains("ready for free threading"), "{out}");
    let (_, full, _) = streams(&project.output(&["status", "--full"]));
    assert!(full.contains("Switch interval") && full.len() > out.len(), "{full}");
    assert_eq!(streams(&project.output(&["status", "--verbose"])).1, full);
    let (_, json, _) = streams(&project.output(&["status", "--format", "json"]));
    let status: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(status["schema"], "aether-bench/status/1");
    let packages = status["packages"].as_array().expect("packages");
    let ready = packages.iter().filter(|package| package["verdict"] == "ready").count();
    assert_eq!(status["free_threaded_packages"].as_array().map(Vec::len), Some(ready));
    assert!(packages.iter().all(|package| package["because"].as_str().is_some_and(|text| !text.is_empty())));
}

/// A virtual environment's interpreter is a link to another one: what counts is which of the two is asked.
#[test]
fn the_active_virtual_environment_is_asked_first() {
    let project = Project::new().file(".venv/bin/script", "#!/bin/sh\necho 'I was asked' >&2\nexit 3\n");
    let (script, python) = (project.path(".venv/bin/script"), project.path(".venv/bin/python3"));
    // Written by another process: what a test beside forks while this one writes could not be started (`ETXTBSY`).
    let written = Command::new("install").args(["-m", "755"]).arg(script).arg(python).status();
    assert!(written.expect("`install` is part of every Unix").success());
    let output = project.command(&["status"]).env("VIRTUAL_ENV", project.path(".venv")).output().expect("it runs");
    let (code, out, err) = streams(&output);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains(".venv/bin/python3` gave no answer") && err.contains("I was asked"), "{err}");
    let nowhere =
        project.command(&["status"]).env("PATH", "").env_remove("VIRTUAL_ENV").env_remove("CONDA_PREFIX").output();
    let (code, _, err) = streams(&nowhere.expect("it runs"));
    assert_eq!(code, Some(2));
    assert!(err.contains("--python"), "{err}");
}
