//! Mutated real files through the whole pipeline: never a panic, never a hang, every format a document.
//!
//! The files are the fixtures: real Python with threads in it. Mutations are what editors and merges do to a text:
//! pieces cut, doubled, swapped, bytes changed.

use std::fs;
use std::path::{Path, PathBuf};

use aether_rules::{Confidence, MemorySources, Report, Settings, analyze_on};
use proptest::prelude::*;

/// One change to a text; positions are fractions of its length.
#[derive(Clone, Debug)]
enum Mutation {
    Cut(f64, f64),
    Double(f64, f64),
    Move(f64, f64, f64),
    Insert(f64, &'static str),
}

/// What breaks parsers: openers without closers, odd line ends, odd spaces, keywords out of place.
const PIECES: &[&str] = &[
    "(",
    "]",
    "{",
    "'''",
    "\"",
    "\\\n",
    "\r",
    "\r\n",
    "\u{c}",
    "\u{feff}",
    "\u{0}",
    "\u{2028}",
    "\t",
    "    ",
    "é",
    "😀",
    "lambda: ",
    "async ",
    "await ",
    "yield ",
    "with a as b, c:\n",
    "except* E:\n",
    "global x\n",
    "nonlocal x\n",
    "@",
    ":=",
    "**",
    "f'{",
    "}'",
    "match x:\n  case ",
    "type X = ",
    "del ",
    "import threading as t\n",
    "from . import *\n",
    "# aether: ignore[",
    "# noqa: AET",
    "class C(C): ",
    "if 0:\n",
    "self.self.self",
    "…",
];

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = || 0.0..1.0f64;
    prop_oneof![
        (at(), at()).prop_map(|(from, to)| Mutation::Cut(from, to)),
        (at(), at()).prop_map(|(from, to)| Mutation::Double(from, to)),
        (at(), at(), at()).prop_map(|(from, to, target)| Mutation::Move(from, to, target)),
        (at(), proptest::sample::select(PIECES)).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
    ]
}

fn offset(text: &str, fraction: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a small text; any will do"
    )]
    let offset = (text.len() as f64 * fraction) as usize;
    text.floor_char_boundary(offset)
}

fn range(text: &str, from: f64, to: f64) -> std::ops::Range<usize> {
    let (a, b) = (offset(text, from), offset(text, to));
    a.min(b)..a.max(b)
}

fn apply(text: &mut String, mutation: &Mutation) {
    match *mutation {
        Mutation::Cut(from, to) => drop(text.drain(range(text, from, to))),
        Mutation::Double(from, to) => {
            let piece = text[range(text, from, to)].to_owned();
            text.insert_str(offset(text, to), &piece);
        }
        Mutation::Move(from, to, target) => {
            let piece: String = text.drain(range(text, from, to)).collect();
            text.insert_str(offset(text, target), &piece);
        }
        Mutation::Insert(at, piece) => text.insert_str(offset(text, at), piece),
    }
}

fn analyzed(text: &str) -> Report {
    let mut settings = Settings::default();
    settings.min_confidence = Confidence::Low;
    let sources =
        MemorySources::new(settings).with("package/one.py", text).with("package/two.py", "from .one import *\n");
    analyze_on(&sources, 1)
}

/// Every Python file of the fixtures.
fn fixtures() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the fixtures can be listed").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_real_files(
        file in proptest::sample::select(fixtures()),
        mutations in proptest::collection::vec(mutation(), 1..6),
    ) {
        let mut text = fs::read_to_string(&file).expect("a fixture can be read");
        for mutation in &mutations {
            apply(&mut text, mutation);
        }
        let report = analyzed(&text);
        for diagnostic in &report.diagnostics {
            let range = std::ops::Range::<usize>::from(diagnostic.primary.range);
            let text = &report.file(diagnostic.primary.file).text;
            prop_assert!(text.get(range).is_some(), "a span outside its text: {diagnostic:?}");
        }
    }

    #[test]
    fn arbitrary_text(text in "\\PC*|[ -~\n\r\t]{0,400}") {
        analyzed(&text);
    }
}
