//! Commands that check nothing: help, explanations, lists, completions.

use insta::assert_snapshot;
use serde_json::Value;

use crate::project::{Project, streams};

#[test]
fn help() {
    assert_snapshot!(Project::new().run(&["--help"]));
    assert_snapshot!(Project::new().run(&["check", "--help"]));
    assert_snapshot!(Project::new().run(&["profile", "--help"]));
    assert_snapshot!(Project::new().run(&["status", "--help"]));
}

#[test]
fn rules_are_explained_by_code_and_by_name() {
    let project = Project::new();
    assert_snapshot!(project.run(&["explain", "AETX01"]));
    let explained = |args: &[&str]| project.output(args).stdout;
    assert_eq!(explained(&["explain", "AETX01"]), explained(&["explain", "syntax_error"]));
    let markdown = String::from_utf8(explained(&["explain", "AETX01", "--output-format", "markdown"])).expect("a text");
    assert!(markdown.starts_with("# AETX01 syntax-error\n") && markdown.contains("\n## What it does\n"), "{markdown}");
    let objects: Value =
        serde_json::from_slice(&explained(&["explain", "AETX01", "AETX02", "--output-format", "json"])).expect("JSON");
    assert_eq!((&objects[0]["code"], &objects[1]["name"]), (&"AETX01".into(), &"unreadable-file".into()));
}

#[test]
fn rules_are_listed() {
    let project = Project::new();
    assert_snapshot!(project.run(&["rules", "run"]));
    assert_snapshot!(project.run(&["rules", "AETX01", "too_complex", "--output-format", "markdown"]));
    let output = project.output(&["rules", "--output-format", "json"]);
    let rules: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let lines = streams(&project.output(&["rules"])).1;
    assert_eq!(rules.len(), lines.lines().count());
    for (rule, line) in rules.iter().zip(lines.lines()) {
        assert!(line.starts_with(rule["code"].as_str().expect("a code")), "{line}");
    }
}

#[test]
fn the_schema_is_the_one_in_the_documentation() {
    let output = Project::new().output(&["config", "schema"]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/aether.schema.json");
    let committed = std::fs::read(path).expect("a schema");
    // Not `assert_eq`, which would print both.
    assert!(
        output.stdout == committed,
        "out of date: docs/aether.schema.json; run `UPDATE=1 cargo test -p aether-lint`"
    );
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, err) = streams(&Project::new().output(&["completions", shell]));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{shell}");
        assert!(out.contains("aether-lint") && out.contains("output-format"), "{shell}");
    }
}
