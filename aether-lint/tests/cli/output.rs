//! Every format through the real program.

use insta::assert_snapshot;
use serde_json::Value;

use crate::project::{Project, streams};

fn broken() -> Project {
    Project::new().file("src/a b.py", "x = (\n").file("src/c.py", "# coding: klingon\n")
}

fn rendered(format: &str) -> String {
    let project = broken();
    let (code, out, err) = streams(&project.output(&["check", "--output-format", format]));
    assert_eq!(code, Some(1), "{err}");
    out
}

#[test]
fn formats_for_people() {
    assert_snapshot!(rendered("full"));
    assert_snapshot!(rendered("concise"));
    assert_snapshot!(rendered("grouped"));
}

#[test]
fn formats_for_programs() {
    assert_snapshot!(rendered("json"));
    assert_snapshot!(rendered("json-lines"));
    assert_snapshot!(rendered("json_lines"));
    assert_snapshot!(rendered("github"));
    assert_snapshot!(rendered("gitlab"));
    assert_snapshot!(rendered("junit"));
}

#[test]
fn sarif_is_relative_to_the_repository_wherever_it_is_run() {
    let project = broken();
    let mut command = project.command(&["check", "--output-format", "sarif"]);
    let output = command.current_dir(project.path("src")).output().expect("the program runs");
    let log: Value = serde_json::from_slice(&output.stdout).expect("a SARIF log is JSON");
    let run = &log["runs"][0];
    let uris = run["results"].as_array().expect("results").iter().map(|result| {
        let artifact = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        assert_eq!(artifact["uriBaseId"], "%SRCROOT%");
        artifact["uri"].clone()
    });
    assert_eq!(uris.collect::<Vec<_>>(), ["src/a%20b.py", "src/c.py"]);
    let base = run["originalUriBaseIds"]["%SRCROOT%"]["uri"].as_str().expect("a base");
    assert!(base.starts_with("file:///") && base.ends_with('/'), "{base}");
    assert_eq!(run["columnKind"], "utf16CodeUnits");
    assert_eq!(run["automationDetails"]["id"], "aether-lint/");
}

#[test]
fn sarif_results_know_their_rules() {
    let log: Value = serde_json::from_str(&rendered("sarif")).expect("a SARIF log is JSON");
    let run = &log["runs"][0];
    for result in run["results"].as_array().expect("results") {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("a small index");
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
}

#[test]
fn programs_get_a_document_when_there_is_nothing_to_report() {
    let project = Project::new().file("a.py", "x = 1\n");
    for (format, expected) in [("json", "[]\n"), ("gitlab", "[]\n"), ("json-lines", ""), ("github", "")] {
        let (code, out, _) = streams(&project.output(&["check", "--output-format", format]));
        assert_eq!((code, out.as_str()), (Some(0), expected), "{format}");
    }
}
