//! What is said about a run as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aether_rules::{Level, Report};

/// One line: how much was found, in how many files, and what is not shown.
pub(super) fn summary(report: &Report) -> String {
    let files = counted(report.files.len(), "file");
    let statistics = &report.statistics;
    let mut text = match report.diagnostics.as_slice() {
        [] => format!("No problems found in {files}"),
        found => {
            let count = |level| found.iter().filter(|diagnostic| diagnostic.level == level).count();
            let levels = [(Level::Error, "error"), (Level::Warning, "warning"), (Level::Info, "info")];
            let levels = levels.into_iter().map(|(level, name)| (count(level), name)).filter(|(count, _)| *count > 0);
            let levels: Vec<_> = levels.map(|(count, name)| counted(count, name)).collect();
            let mut touched: Vec<_> = found.iter().map(|diagnostic| diagnostic.primary.file).collect();
            touched.dedup();
            format!("Found {} in {} of {files}", levels.join(", "), touched.len())
        }
    };
    if statistics.suppressed > 0 {
        let _ = write!(text, "; {} suppressed", statistics.suppressed);
    }
    if statistics.hidden_by_confidence > 0 {
        let _ = write!(text, "; {} more below the confidence shown: --all", statistics.hidden_by_confidence);
    }
    if statistics.skimmed > 0 {
        let _ = write!(text, "; {} without threads skipped: `test-level`", counted(statistics.skimmed, "test file"));
    }
    text
}

/// A table: findings per rule, then what the run saw.
pub(super) fn statistics(report: &Report) -> String {
    let mut rules: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for diagnostic in &report.diagnostics {
        *rules.entry((diagnostic.rule.code, diagnostic.rule.name)).or_default() += 1;
    }
    let mut rules: Vec<_> = rules.into_iter().collect();
    rules.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut text = String::new();
    for ((code, name), count) in rules {
        let _ = writeln!(text, "{count:>8}  {code}  {name}");
    }
    let seen = &report.statistics;
    let rows = [
        (seen.files, "files"),
        (seen.skimmed, "test files without threads, skipped while `test-level` is off"),
        (seen.lines, "lines"),
        (seen.functions, "functions"),
        (seen.roots, "functions that may start on another thread"),
        (seen.calls, "calls"),
        (seen.opaque_calls, "calls to what is not modelled"),
        (seen.shared_places, "places reachable from two threads"),
        (seen.suppressed, "findings suppressed by a comment"),
        (seen.hidden_by_confidence, "findings below the confidence shown"),
    ];
    for (count, name) in rows {
        let _ = writeln!(text, "{count:>8}  {name}");
    }
    text.truncate(text.trim_end().len());
    text
}

fn counted(count: usize, name: &str) -> String {
    let plural = if count == 1 || name == "info" { "" } else { "s" };
    format!("{count} {name}{plural}")
}
