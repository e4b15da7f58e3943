//! Comments that accept a race: whoever wrote the code knew of it, and said why it may stay.
//!
//! *Invariant:* what is marked as work to be done (`TODO`, `FIXME`, `XXX`) accepts nothing.

use ruff_text_size::TextRange;

use super::{Comment, CommentKind};

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

/// Finds the blocks of comment lines, and the comments at the end of a line, that accept a race.
pub(super) fn collect(text: &str, comments: &[TextRange]) -> Vec<Comment> {
    let mut found = Vec::new();
    let mut block: Option<TextRange> = None;
    let mut close = |block: Option<TextRange>, own_line: bool| {
        if let Some(range) = block
            && text.get(std::ops::Range::<usize>::from(range)).is_some_and(accepts)
        {
            found.push(Comment { range, own_line, kind: CommentKind::Accepted });
        }
    };
    for &range in comments {
        let before = text[..usize::from(range.start())].rsplit('\n').next().unwrap_or_default();
        if !before.trim().is_empty() {
            close(block.take(), true);
            close(Some(range), false);
            continue;
        }
        block = match block {
            Some(open) if follows(text, open, range) => Some(open.cover(range)),
            open => {
                close(open, true);
                Some(range)
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
    // The cheap test first: nearly every comment fails it.
    const HINTS: [&str; 6] = ["rac", "los", "hread", "ncurren", "tomic", "ncrement"];
    if !HINTS.iter().any(|hint| memchr::memmem::find(block.as_bytes(), hint.as_bytes()).is_some()) {
        return false;
    }
    let words = block.lines().map(|line| line.trim().trim_start_matches('#').trim()).collect::<Vec<_>>().join(" ");
    let words = words.to_ascii_lowercase();
    let has = |some: &[&str]| some.iter().any(|word| words.contains(word));
    has(SUBJECTS) && has(VERDICTS) && !has(DENIALS)
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn what_is_accepted_is_told_from_what_is_not() {
        assert!(accepts("# not thread-safe, but we do not care about\n    # lost increments"));
        assert!(accepts("# best effort: races may underestimate it"));
        assert!(accepts("# a benign race"));
        assert!(!accepts("# TODO: the race is benign on most days only"));
        assert!(!accepts("# lost increments"));
        assert!(!accepts("# best effort"));
    }
}
