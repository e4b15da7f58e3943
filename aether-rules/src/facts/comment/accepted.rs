//! Comments that accept a race, or that something waits: whoever wrote the code knew of it, and said why it may stay.
//!
//! *Invariant:* what is marked as work to be done (`TODO`, `FIXME`, `XXX`) accepts nothing.

use ruff_text_size::TextRange;

use super::super::letters::Found;
use super::{ACCEPTING, Comment, CommentKind, Written};

/// What such a comment is about.
const SUBJECTS: &[&str] = &["race", "racy", "lost", "losing", "thread", "concurren", "atomic", "increment"];

/// How it says that this may be.
const VERDICTS: &[&str] = &[
    "best effort",
    "best-effort",
    "don't care",
    "do not care",
    "doesn't matter",
    "does not matter",
    "don't matter",
    "do not matter",
    "not exact",
    "not be exact",
    "harmless",
    "benign",
    "acceptable",
    "is ok",
    "is okay",
    "is fine",
    "are ok",
    "are okay",
    "are fine",
    "tolerable",
    "tolerated",
];

/// Words that take it back.
const DENIALS: &[&str] =
    &["todo", "fixme", "xxx", "not ok", "not fine", "not harmless", "not benign", "not acceptable", "not tolera"];

/// How a comment says that a wait is meant.
const MEANT: &[&str] = &["on purpose", "deliberate", "intentional", "we block "];

/// Words by which a comment speaks against waiting.
const AGAINST: &[&str] =
    &["not block", "n't block", "never block", "avoid", "without blocking", "non-block", "nonblock"];

/// Finds the blocks of comment lines, and the comments at the end of a line, that accept a race or a wait.
pub(super) fn collect(text: &str, comments: &[Written<'_>]) -> Vec<Comment> {
    let mut found = Vec::new();
    let mut block: Option<(TextRange, Found)> = None;
    let mut close = |block: Option<(TextRange, Found)>, own_line: bool| {
        // Most comments fail this test.
        let Some((range, _)) = block.filter(|(_, hints)| hints & ACCEPTING != 0) else { return };
        let Some(words) = text.get(std::ops::Range::<usize>::from(range)) else { return };
        let kinds = [(CommentKind::Accepted, accepts(words)), (CommentKind::AcceptedWait, accepts_wait(words))];
        let kinds = kinds.into_iter().filter_map(|(kind, is_said)| is_said.then_some(kind));
        found.extend(kinds.map(|kind| Comment { range, own_line, kind }));
    };
    for &Written { range, hints, .. } in comments {
        let before = text[..usize::from(range.start())].rsplit('\n').next().unwrap_or_default();
        if !before.trim().is_empty() {
            close(block.take(), true);
            close(Some((range, hints)), false);
            continue;
        }
        block = match block {
            Some((open, before)) if follows(text, open, range) => Some((open.cover(range), before | hints)),
            open => {
                close(open, true);
                Some((range, hints))
            }
        };
    }
    close(block, true);
    found
}

/// Whether a comment begins on the line after another one.
fn follows(text: &str, block: TextRange, next: TextRange) -> bool {
    let between = &text[usize::from(block.end())..usize::from(next.start())];
    between.trim().is_empty() && between.matches('\n').count() == 1
}

fn accepts(block: &str) -> bool {
    // "increment" and "race" are parts of many words.
    hinted(block, &["rac", "los", "hread", "ncurren", "tomic", "ncrement"])
        .is_some_and(|words| has(&words, SUBJECTS) && has(&words, VERDICTS) && !has(&words, DENIALS))
}

fn accepts_wait(block: &str) -> bool {
    // "lock" alone is in many comments.
    hinted(block, &["block", "Block"]).is_some_and(|words| {
        let is_meant = has(&words, VERDICTS) || has(&words, MEANT);
        words.contains("block") && is_meant && !has(&words, DENIALS) && !has(&words, AGAINST)
    })
}

fn has(words: &str, some: &[&str]) -> bool {
    some.iter().any(|word| words.contains(word))
}

/// The words of a comment in which one of these stands as it is.
fn hinted(block: &str, hints: &[&str]) -> Option<String> {
    hints.iter().any(|hint| memchr::memmem::find(block.as_bytes(), hint.as_bytes()).is_some()).then(|| prose(block))
}

/// The words of a comment, in lower case and on one line.
fn prose(block: &str) -> String {
    let lines = block.lines().map(|line| line.trim().trim_start_matches('#').trim());
    lines.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::{ACCEPTING, HINTS};
    use super::{accepts, accepts_wait};

    #[test]
    fn the_cheap_test_lets_every_subject_through() {
        let subjects = super::SUBJECTS.iter().chain(&["block"]);
        assert!(subjects.into_iter().all(|subject| HINTS.find(subject.as_bytes()) & ACCEPTING != 0));
        assert_eq!(HINTS.find(b"# the next line"), 0);
    }

    #[test]
    fn what_is_accepted_is_told_from_what_is_not() {
        assert!(accepts("# not thread-safe, but we do not care about\n    # lost increments"));
        assert!(accepts("# best effort: races may underestimate it"));
        assert!(accepts("# a benign race"));
        assert!(!accepts("# TODO: the race is benign on most days only"));
        assert!(!accepts("# lost increments"));
        assert!(!accepts("# best effort"));
    }

    #[test]
    fn a_wait_is_accepted_where_it_is_meant() {
        assert!(accepts_wait("# wait for the answer (blocking is OK in a worker thread)"));
        assert!(accepts_wait("# Here we block the loop's thread\n    # until the debugger resumes."));
        assert!(!accepts_wait("# so that we do not block the loop, which is fine"));
        assert!(!accepts_wait("# TODO: blocking is fine for now"));
        assert!(!accepts_wait("# the next block"));
    }
}
