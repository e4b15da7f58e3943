//! The options of `check` and `scan`.

use insta::assert_snapshot;

use crate::project::{Project, streams};

fn broken() -> Project {
    Project::new().file("a.py", "x = (\n").file("b.py", "def f(:\n    pass\n").file("c.py", "x = 1\n")
}

#[test]
fn findings_go_to_standard_output_and_the_rest_to_standard_error() {
    assert_snapshot!(broken().run(&["check"]));
    assert_snapshot!(broken().run(&["scan"]));
    assert_snapshot!(broken().run(&["check", "c.py"]));
    assert_snapshot!(broken().run(&["check", "--quiet"]));
}

#[test]
fn verbose_says_what_was_read_and_takes_its_time() {
    let project = broken().file("aether.toml", "");
    let (_, _, err) = streams(&project.output(&["check", "--verbose"]));
    assert!(err.contains("configuration: aether.toml\n") && err.contains("times: discovery "), "{err}");
}

#[test]
fn rules_are_chosen_by_code_prefix_name_and_family() {
    let project = broken();
    let count = |args: &[&str]| {
        let mut all = vec!["check", "--output-format", "json-lines"];
        all.extend(args);
        streams(&project.output(&all)).1.lines().count()
    };
    assert_eq!(count(&[]), 2);
    for word in ["AETX01", "aetx01", "AETX", "syntax-error", "syntax_error", "run", "ALL"] {
        assert_eq!(count(&["--ignore", word]), 0, "{word}");
        assert_eq!(count(&["--select", word]), 2, "{word}");
    }
    assert_eq!(count(&["--ignore", "AETX02,AETX05"]), 2);
    assert_eq!(count(&["--ignore", "AETX", "--extend-select", "AETX01"]), 2);
}

#[test]
fn exit_zero_reports_and_forgives() {
    assert_snapshot!(broken().run(&["check", "--exit-zero", "--output-format", "concise"]));
}

#[test]
fn findings_of_level_info_do_not_fail_the_run() {
    let project = broken();
    let code = |level: &str| project.output(&["check", "--config", level]).status.code();
    assert_eq!(code("levels.AETX01 = 'info'"), Some(0));
    assert_eq!(code("levels.AETX01 = 'warning'"), Some(1));
}

#[test]
fn statistics_count_rules_and_say_what_was_seen() {
    let (code, out, err) = streams(&broken().output(&["check", "--statistics", "--output-format", "concise"]));
    assert_eq!((code, out.lines().count()), (Some(1), 2));
    assert!(err.contains("       2  AETX01  syntax-error\n       3  files\n"), "{err}");
}

#[test]
fn findings_can_go_to_a_file() {
    let project = broken();
    let args = ["check", "--output-format", "concise", "--output-file", "out.txt", "--color", "always"];
    assert_snapshot!(project.run(&args));
    assert_snapshot!(std::fs::read_to_string(project.path("out.txt")).expect("the file is written"));
}

#[test]
fn colours_are_used_when_asked_for() {
    let project = broken();
    let colored = |args: &[&str]| streams(&project.output(args)).1.contains('\u{1b}');
    assert!(!colored(&["check"]));
    assert!(colored(&["check", "--color", "always"]));
    assert!(!colored(&["check", "--color", "never"]));
    assert!(!colored(&["check", "--color", "always", "--output-format", "json"]));
    let forced = project.command(&["check"]).env("CLICOLOR_FORCE", "1").output().expect("the program runs");
    assert!(streams(&forced).1.contains('\u{1b}'));
}

#[test]
fn targets_are_accepted_in_every_spelling() {
    let project = broken();
    for args in [
        &["--target-version", "3.13"][..],
        &["--target-version", "py313"],
        &["--target-version", "3.14t"],
        &["--free-threaded"],
        &["--no-free-threaded"],
        &["--free-threaded", "--no-free-threaded"],
        &["--min-confidence", "HIGH"],
        &["--all"],
    ] {
        let mut all = vec!["check", "c.py"];
        all.extend(args);
        assert_eq!(streams(&project.output(&all)).0, Some(0), "{args:?}");
    }
}

#[test]
fn one_thread_or_many_the_same_bytes() {
    let mut project = Project::new();
    for index in 0..120 {
        let text = if index % 3 == 0 { "x = (\n" } else { "def f(:\n    pass\n" };
        project = project.file(&format!("d{}/m{index}.py", index % 7), text);
    }
    for format in ["full", "concise", "grouped", "json", "json-lines", "sarif", "github", "gitlab", "junit"] {
        let run = |threads: &str| project.output(&["check", "--output-format", format, "--threads", threads]);
        let (one, many) = (run("1"), run("8"));
        assert_eq!((one.stdout, one.stderr), (many.stdout, many.stderr), "{format}");
    }
}

#[test]
fn both_names_are_the_same_program() {
    let project = broken();
    for args in [&["check"][..], &["--help"], &["check", "--help"], &["--version"], &["rules"], &["nonsense"]] {
        let short = project.program(env!("CARGO_BIN_EXE_aether"), args).output().expect("the program runs");
        let long = project.output(args);
        assert_eq!(streams(&short), streams(&long), "{args:?}");
    }
}
