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
