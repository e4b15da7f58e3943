//! Positions and snippets where texts are not plain ASCII lines.

use std::fmt::Write as _;

use super::*;

/// One finding at `range` of `text`.
fn at(text: &str, start: usize, end: usize) -> Stage {
    let mut found = diagnostic(Stage::range(0, start, end), "here");
    found.label = "this".to_owned();
    Stage::default().with("a.py", text).finds(found)
}

/// One finding at the first `needle` of `text`.
fn on(text: &str, needle: &str) -> Stage {
    let start = text.find(needle).expect("the needle is in the text");
    at(text, start, start + needle.len())
}

/// Line and column of start and end, in characters and in UTF-16 units.
fn position(stage: &Stage) -> [(usize, usize); 4] {
    let scene = Scene::new(&stage.report, Styling::Plain, Path::new("/"), Vec::new());
    let span = stage.report.diagnostics[0].primary;
    let (chars, units) = (scene.place(span), scene.place_utf16(span));
    [chars.start, chars.end, units.start, units.end].map(|position| (position.line, position.column))
}

#[test]
fn columns_count_characters_and_in_sarif_utf16_units() {
    assert_eq!(position(&on("x = '😀é' + y", "y")), [(1, 12), (1, 13), (1, 13), (1, 14)]);
    assert_eq!(position(&on("\tx", "x")), [(1, 2), (1, 3), (1, 2), (1, 3)]);
}

#[test]
fn lines_end_as_in_python() {
    assert_eq!(position(&on("a\r\nb\rc\nd", "b"))[0], (2, 1));
    assert_eq!(position(&on("a\r\nb\rc\nd", "c"))[0], (3, 1));
    assert_eq!(position(&on("a\r\nb\rc\nd", "d"))[0], (4, 1));
    assert_eq!(position(&on("a\u{c}\u{2028}b", "b"))[0], (1, 4));
}

#[test]
fn every_range_has_a_position() {
    assert_eq!(position(&at("", 0, 0)), [(1, 1); 4]);
    assert_eq!(position(&at("x\n", 2, 2)), [(2, 1); 4]);
    assert_eq!(position(&at("x", 1, 1)), [(1, 2); 4]);
    // Past the end, and inside a character: moved to the nearest place that exists.
    assert_eq!(position(&at("x", 7, 9)), [(1, 2); 4]);
    assert_eq!(position(&at("é", 1, 2))[..2], [(1, 1), (1, 2)]);
}

#[test]
fn snippets() {
    let long = format!("data = [{}]\n", "1, ".repeat(200));
    let many_lines = format!("first = 1\n{}last = 2\n", "pass\n".repeat(500));
    let cases = [
        ("wide characters", on("名前 = '日本'; x = 1\n", "x")),
        ("tabs", on("\tif\ty:\n\t\tx = 1\n", "x")),
        ("crlf", on("a = 1\r\nb = 2\r\nc = 3\r\n", "b")),
        ("lone carriage returns", on("a = 1\rb = 2\rc = 3\r", "b")),
        ("an empty range", at("a = 1\nb = 2\n", 6, 6)),
        ("the end of a file", at("a = 1\n", 6, 6)),
        ("the end of a file without a line end", at("a = 1", 5, 5)),
        ("an empty file", at("", 0, 0)),
        ("a blank file", at("\n\n", 1, 1)),
        ("several lines", on("x = [\n    1,\n    2,\n]\ny = 1\n", "[\n    1,\n    2,\n]")),
        ("a range up to a line end", on("a = 1\r\nb = 2\r\n", "a = 1\r\n")),
        ("a long line", on(&long, "]")),
        ("a control character", on("x = '\u{1b}[31m\u{c}\u{0}'\n", "x")),
        ("far down", on(&many_lines, "last")),
    ];
    let mut text = String::new();
    for (name, stage) in &cases {
        let _ = write!(text, "--- {name}\n{}", stage.render(OutputFormat::Full));
    }
    assert_snapshot!(text);
}

#[test]
fn two_distant_places_of_one_file_share_a_snippet() {
    let text = format!("first = 1\n{}last = 2\n", "pass\n".repeat(500));
    let mut stage = on(&text, "last");
    let evidence = Evidence::new(EvidenceRole::Definition, stage.span(0, "first"), "that");
    stage.report.diagnostics[0].evidence.push(evidence);
    assert_snapshot!(stage.render(OutputFormat::Full));
}

fn notebook() -> Stage {
    let stage = Stage::default().with_notebook("a b.ipynb", &[(1, "import os\nx = 1"), (4, "y = 2\nz = '😀' + x")]);
    let mut found = diagnostic(stage.span(0, "+ x"), "here");
    found.evidence = vec![Evidence::new(EvidenceRole::Definition, stage.span(0, "x = 1"), "from another cell")];
    stage.finds(found)
}

#[test]
fn notebooks_count_lines_within_their_cells() {
    assert_eq!(position(&notebook())[..2], [(2, 9), (2, 12)]);
    let text: String = [OutputFormat::Full, OutputFormat::Concise, OutputFormat::Grouped, OutputFormat::Github]
        .into_iter()
        .chain([OutputFormat::Json, OutputFormat::Gitlab, OutputFormat::Junit])
        .map(|format| notebook().render(format))
        .collect();
    assert_snapshot!(text);
}

#[test]
fn notebooks_in_sarif_point_at_the_file_and_name_the_cell() {
    let log: serde_json::Value = serde_json::from_str(&notebook().render(OutputFormat::Sarif)).expect("JSON");
    assert_json_snapshot!(log["runs"][0]["results"]);
}
