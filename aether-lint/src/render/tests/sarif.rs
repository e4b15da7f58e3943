//! SARIF: structure, limits, threads.

use serde_json::{Value, json};

use super::*;

fn log(stage: &Stage) -> Value {
    serde_json::from_str(&stage.render(OutputFormat::Sarif)).expect("a SARIF log is JSON")
}

#[test]
fn results_carry_both_sides_of_a_race() {
    assert_json_snapshot!(log(&race())["runs"][0]["results"]);
}

#[test]
fn the_run_says_what_it_is_relative_to_and_how_it_counts() {
    let mut run = log(&race())["runs"][0].clone();
    run["results"] = json!([]);
    run["tool"]["driver"]["rules"] = json!([]);
    assert_json_snapshot!(run);
}

#[test]
fn rules_stay_within_the_limits_of_code_scanning() {
    let log = log(&Stage::default());
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), aether_rules::registry::rules().len());
    for rule in rules {
        let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let id = text("/id");
        assert!(!text("/name").is_empty() && !text("/shortDescription/text").is_empty(), "{id}");
        assert!((1..=1024).contains(&text("/fullDescription/text").chars().count()), "{id}");
        assert!(!text("/help/text").is_empty() && !text("/help/markdown").is_empty(), "{id}");
        assert!(["very-high", "high", "medium", "low"].contains(&text("/properties/precision")), "{id}");
        assert!(["error", "warning", "recommendation"].contains(&text("/properties/problem.severity")), "{id}");
        assert!(rule["properties"]["tags"].as_array().is_some_and(|tags| (1..=10).contains(&tags.len())), "{id}");
    }
}

#[test]
fn only_the_gravest_five_thousand_are_kept_and_in_reading_order() {
    let mut stage = Stage::default().with("a.py", "x = 1\n");
    for index in 0..6_000 {
        let mut found = diagnostic(Stage::range(0, 0, 1), &format!("number {index}"));
        found.level = if index % 2 == 0 { Level::Info } else { Level::Error };
        found.confidence = if index < 3_000 { Confidence::Low } else { Confidence::High };
        stage = stage.finds(found);
    }
    let log = log(&stage);
    let results = log["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), 5_000);
    let count = |level: &str, rank: f64| {
        results.iter().filter(|result| result["level"] == level && result["rank"] == rank).count()
    };
    let counts = [count("error", 90.0), count("error", 30.0), count("note", 90.0), count("note", 30.0)];
    assert_eq!(counts, [1_500, 1_500, 1_500, 500]);
    let number = |result: &Value| -> usize {
        let text = result["message"]["text"].as_str().unwrap_or_default();
        text.trim_matches(|character: char| !character.is_ascii_digit()).parse().expect("a number")
    };
    assert!(results.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])));
}

#[test]
fn a_file_outside_the_repository_has_an_absolute_address() {
    let stage = Stage::default().with("x.py", "x = 1\n").finds(diagnostic(Stage::range(0, 0, 1), "here"));
    let outside = Path::new("/elsewhere/x y.py");
    let scene = Scene::new(&stage.report, Styling::Plain, Path::new("/repo"), vec![outside]);
    let mut out = Vec::new();
    OutputFormat::Sarif.renderer().render(&scene, &mut out).expect("memory takes everything");
    let log: Value = serde_json::from_slice(&out).expect("a SARIF log is JSON");
    let location = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(*location, json!({ "uri": "file:///elsewhere/x%20y.py" }));
}
