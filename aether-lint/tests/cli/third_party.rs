//! A rule in a crate outside the workspace, with a three-line `main`: built here as its author would build it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;

use crate::project::Project;

/// Builds a copy of `tests/third-party` in `folder`, against this source tree; returns the program.
fn build(folder: &Path) -> PathBuf {
    let lint = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = lint.parent().expect("the workspace");
    let original = lint.join("tests/third-party");
    fs::create_dir(folder.join("src")).expect("a folder");
    for file in ["src/main.rs", "src/thread_function_name.rs"] {
        fs::copy(original.join(file), folder.join(file)).expect("a copy");
    }
    let manifest = fs::read_to_string(original.join("Cargo.toml")).expect("a manifest");
    let manifest = manifest
        .replace("\"../../../aether-rules\"", &format!("\"{}\"", workspace.join("aether-rules").display()))
        .replace("\"../..\"", &format!("\"{}\"", lint.display()));
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    // The same versions, so that the dependencies are built already.
    fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    let target = Path::new(env!("CARGO_BIN_EXE_aether-lint")).ancestors().nth(2).expect("a target folder");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--target-dir"])
        .arg(target)
        .current_dir(folder)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug/house-rules")
}

#[test]
fn a_rule_of_another_crate_is_listed_configured_and_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = build(folder.path());
    let service = "import threading\n\ndef refresh():\n    pass\n\nthreading.Thread(target=refresh).start()\n";
    let project = Project::new().file("service.py", service);
    let run = |args: &[&str]| {
        let output = project.program(&program, args).output().expect("the program runs");
        project.shown(&output)
    };
    assert_snapshot!(run(&["rules", "HOUSE"]));
    assert_snapshot!(run(&["explain", "HOUSE001"]));
    assert_snapshot!(run(&["check", "--select", "HOUSE001"]));
    assert_snapshot!(run(&["check", "--select", "thread_function_name", "--config", "rules.HOUSE001.sufix = 'sh'"]));
    assert_snapshot!(run(&["check", "--select", "HOUSE", "--config", "rules.thread-function-name.suffix = 3"]));
    assert_snapshot!(run(&["check", "--select", "HOUSE", "--config", "rules.thread-function-name.suffix = 'sh'"]));
}
