//! Races and waits that the source itself accepts: in a comment beside them, or in the documentation of the function
//! they are in.
//!
//! *Invariant:* what the source says only ever makes a finding less sure, and only one of races, shared state and state of the
//! process, or, where it speaks of waiting, of what waits on a loop.

use ruff_text_size::TextRange;

use crate::facts::{Comment, CommentKind, Function};
use crate::finding::{EvidenceRole, Finding};
use crate::rule::{Confidence, Family, Rule};

/// How far below a comment the code may stand that it speaks of, in lines.
const MAX_LINES: usize = 3;

/// Lowers what a comment beside it accepts. The findings and comments are those of the file with this text.
pub(crate) fn forgive(found: &mut [(&'static Rule, Finding)], comments: &[Comment], text: &str) {
    for (rule, finding) in found {
        let wanted = match rule.family {
            Family::Races | Family::State | Family::Globals => CommentKind::Accepted,
            Family::Asyncio => CommentKind::AcceptedWait,
            _ => continue,
        };
        let mut speaking = comments.iter().filter(|comment| comment.kind == wanted);
        if speaking.any(|comment| spans(finding).any(|range| speaks_of(comment, range, text))) {
            finding.confidence = Confidence::Low;
        }
    }
}

/// Lowers races in functions whose documentation says that they are not safe for several threads. State of the process is
/// another matter: who reads that page is not who is surprised by the change.
pub(crate) fn believe(found: &mut [(&'static Rule, Finding)], functions: &[Function]) {
    let is_told = |range: TextRange| {
        let told = functions.iter().filter(|function| function.flags.is_not_thread_safe);
        told.map(|function| function.range).any(|function| function.contains_range(range))
    };
    for (rule, finding) in found {
        if matches!(rule.family, Family::Races | Family::State) && is_told(finding.primary.range) {
            finding.confidence = Confidence::Low;
        }
    }
}

/// Where a finding and the other accesses it names stand in its file: whoever accepts what happens there accepts it here.
fn spans(finding: &Finding) -> impl Iterator<Item = TextRange> {
    let others = finding
        .evidence
        .iter()
        .filter(|evidence| evidence.role == EvidenceRole::OtherAccess && evidence.span.file == finding.primary.file);
    std::iter::once(finding.primary.range).chain(others.map(|evidence| evidence.span.range))
}

/// Whether a comment stands directly above some code, in its paragraph, or at the end of its line.
fn speaks_of(comment: &Comment, code: TextRange, text: &str) -> bool {
    let between = |from: ruff_text_size::TextSize, to: ruff_text_size::TextSize| {
        text.get(usize::from(from)..usize::from(to)).unwrap_or_default()
    };
    if comment.own_line {
        let gap = between(comment.range.end(), code.start());
        let lines = gap.matches('\n').count();
        // A blank line ends the paragraph.
        let is_one = gap.lines().skip(1).take(lines.saturating_sub(1)).all(|line| !line.trim().is_empty());
        return comment.range.end() <= code.start() && lines <= MAX_LINES && is_one;
    }
    comment.range.start() >= code.start() && !between(code.end(), comment.range.start()).contains('\n')
}

#[cfg(test)]
mod tests {
    use crate::{Confidence, MemorySources, Settings, analyze};

    /// How sure a lost update is in a function with this documentation.
    fn documented(text: &str) -> Vec<Confidence> {
        let source = format!(
            "import threading\n\ntotal = 0\n\ndef count():\n    \"\"\"{text}\"\"\"\n    global total\n    total += 1\n\n\
             for _ in range(2):\n    threading.Thread(target=count).start()\n"
        );
        let mut settings = Settings::default();
        settings.min_confidence = Confidence::Low;
        let report = analyze(&MemorySources::new(settings).with("app.py", &source));
        report.diagnostics.iter().filter(|one| one.rule.code == "AET101").map(|one| one.confidence).collect()
    }

    #[test]
    fn a_function_that_warns_of_threads_is_believed() {
        assert_eq!(documented("Counts."), [Confidence::High]);
        assert_eq!(documented("Counts. This is not thread-safe."), [Confidence::Low]);
    }
}
