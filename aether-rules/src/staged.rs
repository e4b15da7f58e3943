//! What is there for tests: nobody runs it beside other threads but on purpose.
//!
//! *Invariant:* only ever makes a finding less sure, and only one of races and shared state.

use crate::finding::Finding;
use crate::link::{ModuleId, Program};
use crate::rule::{Confidence, Family, Rule};

/// Lowers what is found in packages that help with tests, and in functions that only those call.
pub(crate) fn doubt(found: &mut [(&'static Rule, Finding)], program: &Program) {
    for (rule, finding) in found {
        let is_shared = matches!(rule.family, Family::Races | Family::State | Family::Globals);
        if is_shared && finding.confidence > Confidence::Low {
            let module = ModuleId::at(finding.primary.file.index());
            if program.is_for_tests(module, finding.primary.range) {
                finding.confidence = Confidence::Low;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Confidence, MemorySources, Settings, analyze};

    const COUNTS: &str = "
import threading

total = 0

def count():
    global total
    total += 1

def start():
    for _ in range(2):
        threading.Thread(target=count).start()
";

    /// How sure the findings in a file are, beside other files.
    fn in_file(path: &str, others: &[(&str, &str)]) -> Vec<Confidence> {
        let mut settings = Settings::default();
        settings.min_confidence = Confidence::Low;
        let sources = others
            .iter()
            .fold(MemorySources::new(settings).with(path, COUNTS), |sources, (path, text)| sources.with(path, text));
        let report = analyze(&sources);
        let own = report.diagnostics.iter().filter(|one| &*report.files[one.primary.file.index()].path == path);
        own.filter(|one| one.rule.code == "AET101").map(|one| one.confidence).collect()
    }

    #[test]
    fn a_package_for_tests_is_told_from_the_package_it_belongs_to() {
        let packages = [("app/__init__.py", ""), ("app/testing/__init__.py", ""), ("app/core.py", "")];
        assert_eq!(in_file("app/testing/server.py", &packages), [Confidence::Low]);
        assert_eq!(in_file("app/server.py", &packages), [Confidence::High]);
        // Alone, it is the program.
        assert_eq!(in_file("app/testing/server.py", &packages[1..2]), [Confidence::High]);
    }
}
