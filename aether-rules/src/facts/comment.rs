//! Comments that mean something to Aether: suppressions, declared guards, remarks about the GIL.
//!
//! *Invariant:* positions are those of the comment itself; what a suppression covers is decided where findings are
//! known.

use ruff_python_ast::token::{Token, TokenKind, Tokens};
use ruff_text_size::{Ranged, TextRange, TextSize};

use super::letters::{Found, Letters};
use super::symbol::Sym;

mod accepted;

/// A comment worth remembering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// From the `#` to the end of the line.
    pub range: TextRange,
    /// Whether nothing but white space precedes it on its line.
    pub own_line: bool,
    /// What it says.
    pub kind: CommentKind,
}

/// What a comment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentKind {
    /// `# aether: ignore[CODES] reason`, `# aether: ignore`.
    Ignore {
        /// The words in brackets with their ranges; `None` without brackets.
        codes: Option<Vec<(String, TextRange)>>,
    },
    /// `# aether: ignore-file` or `ignore-file[CODES]`.
    IgnoreFile {
        /// As for [`CommentKind::Ignore`].
        codes: Option<Vec<(String, TextRange)>>,
    },
    /// `# noqa: CODES`, `# noqa`.
    Noqa {
        /// The codes with their ranges; `None` for a bare `noqa`.
        codes: Option<Vec<(String, TextRange)>>,
    },
    /// `# guarded-by: self._lock`: the last identifier names the lock.
    GuardedBy {
        /// The lock's own name, without `self.`.
        lock: Sym,
        /// As written.
        text: String,
    },
    /// A remark that mentions the GIL.
    Gil {
        /// The sentence that does, in lower case, over several lines if need be.
        sentence: String,
    },
    /// A remark that a race, or what is lost in one, is accepted: "best effort, lost increments do not matter". The
    /// comment is then the whole block of lines.
    Accepted,
    /// A remark that something waits here, and why that may be: "blocking is fine on this thread". The whole block, too.
    AcceptedWait,
}

/// Finds the comments worth remembering, in order.
pub(super) fn collect(text: &str, tokens: &Tokens) -> Vec<Comment> {
    let mut comments = Vec::new();
    let is_comment = |token: &&Token| token.kind() == TokenKind::Comment;
    let written = tokens.iter().filter(is_comment).filter_map(|token| Written::new(text, token.range()));
    let written: Vec<Written<'_>> = written.collect();
    for &Written { range, words, hints } in &written {
        if let Some(kind) = parse(words, hints, range.start()) {
            let before = text[..usize::from(range.start())].rsplit(['\n', '\r']).next().unwrap_or("");
            let own_line = before.trim().is_empty();
            let kind = match kind {
                CommentKind::Gil { .. } if own_line => CommentKind::Gil { sentence: sentence(text, range) },
                kind => kind,
            };
            comments.push(Comment { range, own_line, kind });
        }
    }
    comments.extend(accepted::collect(text, &written));
    comments.sort_by_key(|comment| comment.range.start());
    comments
}

/// A comment as it is written.
struct Written<'a> {
    range: TextRange,
    words: &'a str,
    hints: Found,
}

impl<'a> Written<'a> {
    fn new(text: &'a str, range: TextRange) -> Option<Self> {
        let words = text.get(std::ops::Range::<usize>::from(range))?;
        let hints = if is_blank(words.as_bytes()) { 0 } else { HINTS.find(words.as_bytes()) };
        Some(Self { range, words, hints })
    }
}

/// Whether a comment says nothing, as those do that stand for what was cut out of a text, and that are long.
fn is_blank(comment: &[u8]) -> bool {
    let (chunks, rest) = comment.get(1..).unwrap_or_default().as_chunks::<32>();
    chunks.iter().all(|chunk| *chunk == [b' '; 32]) && rest.iter().all(|&byte| byte == b' ')
}

/// Letters of the words that may accept a race or a wait, [`ACCEPTING`]; then of those that are for Aether, and that name
/// the GIL: `aether:`, `by:`, `noqa`, GIL and `global`.
static HINTS: Letters = Letters::new(&[
    b"rac", b"los", b"hre", b"cur", b"omi", b"cre", b"loc", b"r:", b"R:", b"y:", b"Y:", b"oq", b"oQ", b"Oq", b"OQ",
    b"GI", b"gl", b"gL", b"Gl", b"GL",
]);
const ACCEPTING: Found = (1 << 7) - 1;

fn parse(comment: &str, hints: Found, start: TextSize) -> Option<CommentKind> {
    // Nearly every comment fails this test.
    if hints & !ACCEPTING == 0 {
        return None;
    }
    let lower = comment.to_ascii_lowercase();
    if let Some(at) = lower.find("aether:") {
        let directive = &comment[at + "aether:".len()..];
        let offset = at + "aether:".len() + (directive.len() - directive.trim_start().len());
        let directive = directive.trim_start();
        if let Some(rest) = directive.strip_prefix("ignore-file") {
            return Some(CommentKind::IgnoreFile { codes: bracketed(rest, start, offset + 11) });
        }
        if let Some(rest) = directive.strip_prefix("ignore") {
            return Some(CommentKind::Ignore { codes: bracketed(rest, start, offset + 6) });
        }
    }
    if let Some(at) = lower.find("noqa") {
        let after = &comment[at + 4..];
        let starts_comment = comment[..at].trim_end().ends_with('#');
        if starts_comment && (after.is_empty() || after.starts_with([':', ' ', ',', '\t'])) {
            let codes = after.strip_prefix(':').map(|rest| words(rest, start, at + 5));
            return Some(CommentKind::Noqa { codes });
        }
    }
    if let Some(at) = lower.find("guarded-by:").or_else(|| lower.find("guarded by:")) {
        let text = comment[at + 11..].split_whitespace().next()?.trim_end_matches(['.', ',', ')']).to_owned();
        let lock = text.rsplit('.').next().filter(|name| !name.is_empty())?;
        return Some(CommentKind::GuardedBy { lock: Sym::new(lock), text });
    }
    let mentions_gil = comment.contains("GIL") || lower.contains(INTERPRETER_LOCK);
    mentions_gil.then(|| CommentKind::Gil { sentence: sentence_with_gil(&lower) })
}

/// The GIL by its long name.
const INTERPRETER_LOCK: &str = "global interpreter lock";

/// The sentence about the GIL in a comment of its own, which may begin and end on neighbouring lines.
fn sentence(text: &str, range: TextRange) -> String {
    const MAX_LINES: usize = 6;
    let is_comment = |line: &&str| line.trim_start().starts_with('#');
    let line = text[..usize::from(range.start())].rfind('\n').map_or(0, |at| at + 1);
    let above: Vec<&str> = text[..line].lines().rev().take_while(is_comment).take(MAX_LINES).collect();
    let below = text[usize::from(range.end())..].lines().skip(1).take_while(is_comment).take(MAX_LINES);
    let own = &text[std::ops::Range::<usize>::from(range)];
    let words = |line: &str| line.trim().trim_start_matches('#').trim().to_ascii_lowercase();
    let before: Vec<String> = above.into_iter().rev().map(words).collect();
    let after: Vec<String> = below.map(words).collect();
    // From the sentence's first word on the lines above to its full stop on those below.
    let (own, mut lead, mut tail) = (words(own), before.join(" "), after.join(" "));
    lead = lead.rsplit(". ").next().unwrap_or_default().to_owned();
    if lead.ends_with('.') {
        lead.clear();
    }
    tail = tail.split(". ").next().unwrap_or_default().to_owned();
    if own.ends_with('.') {
        tail.clear();
    }
    sentence_with_gil(&format!("{lead} {own} {tail}"))
}

/// The first sentence of a text that mentions the GIL.
fn sentence_with_gil(text: &str) -> String {
    let mut sentences = text.split(". ");
    let found = sentences.find(|sentence| sentence.contains("gil") || sentence.contains(INTERPRETER_LOCK));
    found.unwrap_or(text).trim().to_owned()
}

/// The words between brackets, if brackets follow at once.
fn bracketed(rest: &str, start: TextSize, offset: usize) -> Option<Vec<(String, TextRange)>> {
    let inner = rest.strip_prefix('[')?;
    let end = inner.find(']').unwrap_or(inner.len());
    Some(split(&inner[..end], start, offset + 1, &|c| c == ','))
}

/// The codes after `noqa:`: separated by commas or spaces, ended by the first word that is no code.
fn words(rest: &str, start: TextSize, offset: usize) -> Vec<(String, TextRange)> {
    let all = split(rest, start, offset, &|c| c == ',' || c.is_whitespace());
    let is_code = |word: &str| {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        digits.len() < word.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
            || word.to_ascii_uppercase().starts_with("AET")
    };
    all.into_iter().take_while(|(word, _)| is_code(word)).collect()
}

fn split(text: &str, start: TextSize, offset: usize, is_separator: &dyn Fn(char) -> bool) -> Vec<(String, TextRange)> {
    let mut words = Vec::new();
    for part in text.split(is_separator) {
        let word = part.trim();
        if !word.is_empty() {
            let at = offset + (word.as_ptr() as usize - text.as_ptr() as usize);
            let from = start + TextSize::try_from(at).unwrap_or_default();
            words.push((word.to_owned(), TextRange::at(from, TextSize::of(word))));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(comment: &str) -> Option<CommentKind> {
        let hints = HINTS.find(comment.as_bytes());
        parse(comment, hints, TextSize::new(0))
    }

    fn codes(comment: &str) -> Vec<String> {
        match read(comment) {
            Some(
                CommentKind::Ignore { codes: Some(codes) }
                | CommentKind::IgnoreFile { codes: Some(codes) }
                | CommentKind::Noqa { codes: Some(codes) },
            ) => codes
                .into_iter()
                .map(|(word, range)| {
                    assert_eq!(&comment[std::ops::Range::<usize>::from(range)], word);
                    word
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn suppressions_are_read_with_their_positions() {
        assert_eq!(codes("# aether: ignore[AET101] single writer"), ["AET101"]);
        assert_eq!(codes("#aether:ignore[ AET101 , shared-iterator ]"), ["AET101", "shared-iterator"]);
        assert_eq!(codes("# noqa: AET101, E501 because"), ["AET101", "E501"]);
        assert_eq!(codes("# aether: ignore-file[AET1]"), ["AET1"]);
        assert_eq!(read("# aether: ignore"), Some(CommentKind::Ignore { codes: None }));
        assert_eq!(read("# about noqas"), None);
    }
}
