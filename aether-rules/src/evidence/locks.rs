//! How a held lock and the way to the next one are shown.
//!
//! *Invariant:* no span is shown twice, and the way is shown in the order in which the thread goes it.

use crate::finding::{Evidence, EvidenceRole, Finding};
use crate::link::{Held, Program, Taken};
use crate::source::Span;

/// Adds one piece of evidence unless its span is shown already.
pub(crate) fn add(finding: Finding, role: EvidenceRole, span: Span, text: impl Into<String>) -> Finding {
    let known = finding.primary == span || finding.evidence.iter().any(|evidence| evidence.span == span);
    if known { finding } else { finding.evidence(Evidence::new(role, span, text)) }
}

/// Adds where a held lock was taken.
pub(crate) fn held(program: &Program, finding: Finding, held: &Held) -> Finding {
    let name = program.lock_name(held.lock);
    add(finding, EvidenceRole::Lock, held.span, format!("`{name}` is taken here, and held from here on"))
}

/// Adds the calls that lead to an acquisition, and the acquisition.
pub(crate) fn way(program: &Program, mut finding: Finding, taken: &Taken) -> Finding {
    let (calls, acquisition) = program.way_to(taken);
    for (span, callee) in calls {
        finding = add(finding, EvidenceRole::CallPath, span, format!("calls `{}`", program.function_name(callee)));
    }
    let name = program.lock_name(taken.lock);
    let function = program.function_name(acquisition.function);
    add(finding, EvidenceRole::Lock, acquisition.span, format!("`{function}` takes `{name}` here"))
}
