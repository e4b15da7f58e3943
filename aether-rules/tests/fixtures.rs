//! Every rule against its fixtures: what is marked is found, nothing else is, and what we miss is asserted.
//!
//! Markers: `# expect: CODE [confidence]` where the primary span starts, `# evidence: CODE` on a line an evidence span
//! touches, `# missed: CODE why` for a hazard we do not see, `# false-positive: CODE why` for noise we make.
//! `# aether-fixture: target-version = "3.14"` and `free-threaded = true|false` in the first lines set the target.

#![expect(clippy::disallowed_methods, reason = "fixtures are files; it is the engine that reads none")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use aether_rules::rule::ExampleKind;
use aether_rules::{Confidence, Linked, MemorySources, Report, Rule, Settings, TargetBuilds, analyze, registry};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// Settings under which only `rule` runs, and everything is shown.
fn only(rule: &'static Rule) -> Settings {
    let mut settings = Settings::default();
    for other in registry::rules() {
        if other.code != rule.code && other.check.is_some() {
            settings.deselect(other);
        }
    }
    settings.min_confidence = Confidence::Low;
    settings
}

fn configure(settings: &mut Settings, text: &str) {
    for line in text.lines().take(5) {
        let Some(directive) = line.strip_prefix("# aether-fixture:") else { continue };
        for part in directive.split(',') {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match key.trim() {
                "target-version" => settings.target_version = value.parse().expect("a version"),
                "free-threaded" if value == "true" => settings.target_builds = TargetBuilds::FreeThreaded,
                "free-threaded" => settings.target_builds = TargetBuilds::Gil,
                key => panic!("unknown fixture directive `{key}`"),
            }
        }
    }
}

/// One marked or found line: its number, and the confidence if the mark names one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    line: usize,
    confidence: Option<Confidence>,
}

fn marks(text: &str, kinds: &[&str], code: &str) -> Vec<Mark> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for kind in kinds {
            let marker = format!("{kind}: {code}");
            let Some(at) = line.find(&marker) else { continue };
            let rest = &line[at + marker.len()..];
            let confidence = match rest.split_whitespace().next().map(|word| word.trim_end_matches(',')) {
                Some("high") => Some(Confidence::High),
                Some("medium") => Some(Confidence::Medium),
                Some("low") => Some(Confidence::Low),
                _ => None,
            };
            found.push(Mark { line: index + 1, confidence });
        }
    }
    found
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn run(rule: &'static Rule, name: &str, text: &str) -> Report {
    let mut settings = only(rule);
    configure(&mut settings, text);
    analyze(&MemorySources::new(settings).with(name, text))
}

/// What is wrong between the marks of a file and the findings of a rule.
fn compare(rule: &'static Rule, path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a readable fixture");
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let report = run(rule, &name, &text);
    let mut found: BTreeMap<usize, Vec<Confidence>> = BTreeMap::new();
    let mut evidence = BTreeSet::new();
    for diagnostic in &report.diagnostics {
        assert_eq!(diagnostic.rule.code, rule.code, "{}: {}", path.display(), diagnostic.message);
        found.entry(line_of(&text, diagnostic.primary.range.start().into())).or_default().push(diagnostic.confidence);
        for one in &diagnostic.evidence {
            let (start, end) =
                (line_of(&text, one.span.range.start().into()), line_of(&text, one.span.range.end().into()));
            evidence.extend(start..=end);
        }
    }
    let mut wrong = Vec::new();
    for mark in marks(&text, &["expect", "false-positive"], rule.code) {
        match found.get_mut(&mark.line).and_then(Vec::pop) {
            None => wrong.push(format!("{}:{}: {} not found", path.display(), mark.line, rule.code)),
            Some(confidence) if mark.confidence.is_some_and(|wanted| wanted != confidence) => {
                wrong.push(format!(
                    "{}:{}: {} found with {confidence} confidence",
                    path.display(),
                    mark.line,
                    rule.code
                ));
            }
            Some(_) => {}
        }
    }
    for (line, rest) in found {
        for confidence in rest {
            wrong.push(format!("{}:{line}: {} found ({confidence}) but not marked", path.display(), rule.code));
        }
    }
    for mark in marks(&text, &["evidence"], rule.code) {
        if !evidence.contains(&mark.line) {
            wrong.push(format!("{}:{}: no evidence here", path.display(), mark.line));
        }
    }
    wrong
}

fn files_of(rule: &Rule) -> Vec<PathBuf> {
    let folder = fixtures().join("rules").join(rule.name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} needs fixtures in {}: {error}", rule.code, folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    files.sort();
    files
}

fn checked_rules() -> impl Iterator<Item = &'static Rule> {
    registry::rules().iter().copied().filter(|rule| rule.check.is_some())
}

#[test]
fn findings_are_exactly_the_marks() {
    let mut wrong = Vec::new();
    for rule in checked_rules() {
        for file in files_of(rule) {
            wrong.extend(compare(rule, &file));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// What libraries do with callbacks: every finding of the marked files is marked, whichever rule makes it.
#[test]
fn a_rule_alone_says_at_least_what_is_reported() {
    for rule in checked_rules() {
        let bad = fixtures().join("rules").join(rule.name).join("bad.py");
        let text = fs::read_to_string(bad).expect("a readable fixture");
        let reported = run(rule, "bad.py", &text).diagnostics.len();
        let mut settings = only(rule);
        configure(&mut settings, &text);
        let said = Linked::new(&MemorySources::new(settings).with("bad.py", &text)).run(rule);
        assert!(0 < reported && reported <= said, "{}: {said} said, {reported} reported", rule.code);
    }
}

#[test]
fn models_run_callbacks_where_the_libraries_do() {
    let mut wrong = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures().join("models"))
        .expect("the folder of models")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a fixture");
        let codes: Vec<&Rule> =
            checked_rules().filter(|rule| text.contains(&format!("expect: {}", rule.code))).collect();
        assert!(!codes.is_empty(), "{}", file.display());
        wrong.extend(codes.into_iter().flat_map(|rule| compare(rule, &file)));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// A run that shows everything looks at every place; one that does not must look at those, too, that no thread is seen at.
#[test]
fn what_a_library_does_wrong_is_shown_without_asking_for_all() {
    let mut files = 0;
    for rule in checked_rules() {
        for name in ["bad_library.py", "bad_everybodys.py"] {
            let Ok(text) = fs::read_to_string(fixtures().join("rules").join(rule.name).join(name)) else { continue };
            let mut settings = only(rule);
            settings.min_confidence = Confidence::Medium;
            let shown = analyze(&MemorySources::new(settings).with(name, &text)).diagnostics.len();
            let mut marked = marks(&text, &["expect"], rule.code);
            marked.retain(|mark| mark.confidence != Some(Confidence::Low));
            assert_eq!(shown, marked.len(), "{} {name}", rule.code);
            files += 1;
        }
    }
    assert!(files > 0, "no rule has a library");
}

#[test]
fn every_rule_has_bad_ok_and_limits() {
    for rule in checked_rules() {
        let names: Vec<String> = files_of(rule)
            .iter()
            .map(|path| path.file_name().expect("a file").to_string_lossy().into_owned())
            .collect();
        for needed in ["bad.py", "ok.py", "limits.py"] {
            assert!(names.iter().any(|name| name == needed), "{} has no {needed}", rule.code);
        }
        let folder = fixtures().join("rules").join(rule.name);
        let bad = fs::read_to_string(folder.join("bad.py")).expect("bad.py");
        assert!(!marks(&bad, &["expect"], rule.code).is_empty(), "{} never fires on bad.py", rule.code);
        for name in names.iter().filter(|name| name.starts_with("ok")) {
            let ok = fs::read_to_string(folder.join(name)).expect("an ok file");
            let loud = marks(&ok, &["expect", "false-positive"], rule.code);
            assert!(
                loud.iter().all(|mark| mark.confidence == Some(Confidence::Low)),
                "{}: {name} expects a shown finding",
                rule.code
            );
        }
    }
}

#[test]
fn every_fixture_folder_belongs_to_a_rule() {
    for entry in fs::read_dir(fixtures().join("rules")).expect("the fixture folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(
            registry::find(&name).is_some_and(|rule| rule.name == name),
            "fixtures/rules/{name} belongs to no rule"
        );
    }
}

#[test]
fn documented_examples_do_what_they_say() {
    for rule in checked_rules() {
        let bad = rule.examples(ExampleKind::Bad);
        let ok = rule.examples(ExampleKind::Ok);
        assert!(!bad.is_empty() && !ok.is_empty(), "{} documents no bad or no ok example", rule.code);
        for text in bad {
            let report = run(rule, "example.py", &text);
            let shown =
                report.diagnostics.iter().any(|one| one.rule.code == rule.code && one.confidence >= Confidence::Medium);
            assert!(shown, "{}: the bad example is not reported:\n{text}", rule.code);
        }
        for text in ok {
            let report = run(rule, "example.py", &text);
            let loud: Vec<_> = report.diagnostics.iter().filter(|one| one.confidence >= Confidence::Medium).collect();
            assert!(loud.is_empty(), "{}: the ok example is reported: {}\n{text}", rule.code, loud[0].message);
        }
    }
}

#[test]
fn correct_programs_are_clean() {
    let mut wrong = Vec::new();
    let folder = fixtures().join("programs/correct");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("correct programs").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "py")) {
        let text = fs::read_to_string(path).expect("a readable program");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let report = analyze(&MemorySources::new(Settings::default()).with(&name, &text));
        for one in &report.diagnostics {
            wrong.push(format!(
                "{name}:{}: {} {}",
                line_of(&text, one.primary.range.start().into()),
                one.rule.code,
                one.message
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_demonstration_gives_what_its_list_says() {
    let folder = fixtures().join("programs");
    let mut sources = MemorySources::new(Settings::default());
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(folder.join("webcounter")).expect("the demonstration") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "py") {
            let name = format!("webcounter/{}", path.file_name().expect("a file").to_string_lossy());
            let text = fs::read_to_string(&path).expect("a readable program");
            sources = sources.with(&name, &text);
            texts.insert(name, text);
        }
    }
    let report = analyze(&sources);
    let found: BTreeSet<String> = report
        .diagnostics
        .iter()
        .map(|one| {
            let path = report.file(one.primary.file).path.to_string();
            format!("{path}:{} {}", line_of(&texts[&path], one.primary.range.start().into()), one.rule.code)
        })
        .collect();
    let wanted = fs::read_to_string(folder.join("webcounter.expected")).expect("the list");
    let wanted: BTreeSet<String> = wanted.lines().map(str::to_owned).collect();
    assert_eq!(found, wanted);
}

/// Folders of `fixtures/programs` whose files carry marks: every finding, whatever its confidence, has one.
#[test]
fn programs_of_several_files_give_what_their_marks_say() {
    for program in ["offered"] {
        let folder = fixtures().join("programs").join(program);
        let mut settings = Settings::default();
        settings.min_confidence = Confidence::Low;
        let codes = ["AET002", "AET501", "AET601", "AET612"];
        for rule in registry::rules().iter().filter(|rule| rule.check.is_some() && !codes.contains(&rule.code)) {
            settings.deselect(rule);
        }
        let mut sources = MemorySources::new(settings);
        let mut wanted = BTreeSet::new();
        let mut texts = BTreeMap::new();
        for path in python_files(&folder) {
            let name = path.strip_prefix(&folder).expect("a file of the folder").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a readable program");
            sources = sources.with(&name, &text);
            for code in codes {
                for mark in marks(&text, &["expect"], code) {
                    let confidence = mark.confidence.expect("a mark with a confidence");
                    wanted.insert(format!("{name}:{} {code} {confidence:?}", mark.line));
                }
            }
            texts.insert(name, text);
        }
        let report = analyze(&sources);
        let found = report.diagnostics.iter().map(|one| {
            let path = report.file(one.primary.file).path.to_string();
            let line = line_of(&texts[&path], one.primary.range.start().into());
            format!("{path}:{line} {} {:?}", one.rule.code, one.confidence)
        });
        assert_eq!(found.collect::<BTreeSet<String>>(), wanted);
    }
}

fn python_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of programs") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(python_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "py") {
            found.push(path);
        }
    }
    found.sort();
    found
}
