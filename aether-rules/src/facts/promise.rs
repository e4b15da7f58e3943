//! What documentation says about threads, sentence by sentence.
//!
//! *Invariant:* a promise is only heard where the class or module itself is what the sentence is about; a denial
//! anywhere in the text outweighs every promise.

use ruff_python_ast::Stmt;

use super::contract;
use super::letters::Letters;

/// What documentation says about threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThreadSafety {
    /// Nothing that is about the class or module itself.
    #[default]
    Unsaid,
    /// It may be used from several threads.
    Promised,
    /// It may not.
    Denied,
}

/// Words that speak of thread safety; what stands before them decides what is said.
const WORDS: &[&str] = &["thread-safe", "thread safe", "threadsafe", "safe for threading"];

/// Sentences that promise without those words.
const PROMISES: &[&str] = &[
    "can be shared between threads",
    "can be shared among threads",
    "can be shared across threads",
    "may be shared between threads",
    "can be used from any thread",
    "can be used from multiple threads",
    "can be used from several threads",
    "can be called from any thread",
    "safe to use from multiple threads",
    "safe to use from several threads",
    "safe for use by multiple threads",
    "safe for use in multiple threads",
    "safe for concurrent use",
];

/// Sentences that deny without those words.
const DENIALS: &[&str] = &[
    "not safe for use in concurrent threads",
    "not safe for concurrent",
    "not safe to use from multiple threads",
    "not be shared between threads",
    "not be shared across threads",
    "not be shared among threads",
    "not share it between threads",
    "not be used from multiple threads",
    "not be used from different threads",
    "not be used by multiple threads",
    "only be used by one thread",
    "only be used from one thread",
    "only be used from the thread",
    "used by only one thread",
    "used by a single thread",
    "in a single thread only",
    "no thread safety",
    "not provide thread safety",
    "thread-unsafe",
    "thread unsafe",
    "non-thread-safe",
    "non thread-safe",
    "non-threadsafe",
];

/// What may be the subject of a promise.
const SUBJECTS: &[&str] = &[
    "this",
    "it",
    "they",
    "class",
    "module",
    "instance",
    "instances",
    "object",
    "objects",
    "methods",
    "method",
    "which",
    "that",
    "everything",
    "all",
    "both",
    "operations",
    "implementation",
    "access",
    "use",
    "itself",
];

/// Words that make of a promise a demand, a wish or a condition.
const CONDITIONS: &[&str] = &[
    "must",
    "should",
    "if",
    "unless",
    "when",
    "verify",
    "verifying",
    "ensure",
    "expected",
    "avoid",
    "care",
    "needed",
    "may",
    "might",
    "sure",
    "your",
    "callable",
    "callback",
    "function",
    "because",
    "since",
    "legacy",
];

/// What the docstring of a body says.
pub(super) fn thread_safety(body: &[Stmt], own_name: &str) -> ThreadSafety {
    docstring(body).map_or(ThreadSafety::Unsaid, |text| read(text, own_name))
}

/// What the docstring of a class says, or one of a method about all the others.
pub(super) fn of_class(body: &[Stmt], own_name: &str) -> ThreadSafety {
    let said = thread_safety(body, own_name);
    let is_exception = |stmt: &Stmt| match stmt {
        Stmt::FunctionDef(def) => docstring(&def.body).is_some_and(says_only_one),
        _ => false,
    };
    if contract::is_used_under_lock(body) || (said == ThreadSafety::Unsaid && body.iter().any(is_exception)) {
        return ThreadSafety::Denied;
    }
    said
}

/// "This is the only thread-safe method": so no other is.
fn says_only_one(text: &str) -> bool {
    mentions_threads(text) && {
        let text = prose(text).split_whitespace().collect::<Vec<_>>().join(" ");
        WORDS.iter().any(|words| text.contains(&format!("the only {words} method")))
    }
}

/// The text of a docstring.
pub(super) fn docstring(body: &[Stmt]) -> Option<&str> {
    let Some(Stmt::Expr(first)) = body.first() else { return None };
    first.value.as_string_literal_expr().map(|docstring| docstring.value.to_str())
}

fn read(text: &str, own_name: &str) -> ThreadSafety {
    if !mentions_threads(text) {
        return ThreadSafety::Unsaid;
    }
    let own_name = own_name.to_ascii_lowercase();
    let mut said = ThreadSafety::Unsaid;
    for sentence in sentences(&prose(text)) {
        match judge(&sentence, &own_name) {
            ThreadSafety::Denied => return ThreadSafety::Denied,
            ThreadSafety::Promised => said = ThreadSafety::Promised,
            ThreadSafety::Unsaid => {}
        }
    }
    said
}

/// Most docstrings never do, and need no second look.
fn mentions_threads(text: &str) -> bool {
    static HINTS: Letters = Letters::new(&[b"hre", b"Hre", b"HRE", b"ncu", b"NCU"]);
    let bytes = text.as_bytes();
    if HINTS.find(bytes) == 0 {
        return false;
    }
    bytes.windows(6).any(|six| six.eq_ignore_ascii_case(b"thread"))
        || bytes.windows(10).any(|ten| ten.eq_ignore_ascii_case(b"concurrent"))
}

/// The text without what describes parameters, code, and directives, in lower case.
fn prose(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    // The indent of the field, directive or section that is left out.
    let mut skipped: Option<usize> = None;
    for line in text.lines() {
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        if content.is_empty() {
            kept.push('\n');
            continue;
        }
        if skipped.is_some_and(|outer| indent > outer) {
            continue;
        }
        skipped = starts_aside(content).then_some(indent);
        if skipped.is_none() {
            kept.push_str(&content.to_ascii_lowercase());
            kept.push(if content.ends_with("::") { '\n' } else { ' ' });
        }
    }
    kept
}

/// Whether a line begins something that is not about the class: a field, an index entry, a section of parameters.
fn starts_aside(line: &str) -> bool {
    const SECTIONS: &[&str] =
        &["args:", "arguments:", "keyword arguments:", "parameters:", "returns:", "raises:", "example:", "examples:"];
    const FIELDS: &[&str] = &[
        ":param", ":type", ":arg", ":keyword", ":return", ":raise", ":rtype", ":ivar", ":var", ".. index", ".. code",
        ".. _",
    ];
    let lower = line.to_ascii_lowercase();
    SECTIONS.contains(&lower.as_str()) || FIELDS.iter().any(|field| lower.starts_with(field)) || line.starts_with(">>>")
}

/// The sentences of a text, without markup: roles, literals and quotes are names, not words.
fn sentences(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['`', '*', '\'', '"', '{']) {
        let (before, marked) = rest.split_at(start);
        plain.push_str(before);
        let mut chars = marked.chars();
        let mark = chars.next().unwrap_or(' ');
        rest = match mark {
            '`' => {
                let inner = marked.trim_start_matches('`');
                let end = inner.find('`').unwrap_or(inner.len());
                plain.push_str("<name>");
                inner[end..].trim_start_matches('`')
            }
            '{' => marked.split_once('}').map_or("", |(_, after)| after),
            // An apostrophe, or emphasis: the words stay.
            _ => chars.as_str(),
        };
    }
    plain.push_str(rest);
    let ends = plain.replace(".\n", "\n").replace(". ", "\n").replace(['!', ';'], "\n");
    // Prose runs on over a line; an empty line ends it.
    ends.split('\n')
        .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|one| !one.is_empty())
        .collect()
}

fn judge(sentence: &str, own_name: &str) -> ThreadSafety {
    if DENIALS.iter().any(|words| sentence.contains(words)) {
        return ThreadSafety::Denied;
    }
    if PROMISES.iter().any(|words| sentence.contains(words)) && !is_conditional(sentence, own_name) {
        return ThreadSafety::Promised;
    }
    let mut said = ThreadSafety::Unsaid;
    for (at, words) in WORDS.iter().flat_map(|words| sentence.match_indices(words)) {
        let (before, after) = (sentence[..at].trim_end(), sentence[at + words.len()..].trim_start());
        if is_denied(before) {
            return ThreadSafety::Denied;
        }
        let is_promised = (is_attribute(before) && is_noun(after)) || is_predicate(before, own_name);
        if is_promised && !is_conditional(before, own_name) {
            said = ThreadSafety::Promised;
        }
    }
    said
}

/// `is not`, `isn't guaranteed to be`, `not necessarily`.
fn is_denied(before: &str) -> bool {
    let words: Vec<&str> = before.split_whitespace().collect();
    let near = &words[words.len().saturating_sub(5)..];
    near.iter().any(|word| ["not", "never", "non", "isnt", "arent", "neither", "nor", "cannot"].contains(word))
}

/// Whether an adjective stands before its noun at the beginning: "Thread-safe pool of …", "A small thread-safe …".
fn is_attribute(before: &str) -> bool {
    const VERBS: &[&str] =
        &["a", "an", "the", "implements", "provides", "implement", "provide", "represents", "simple", "is"];
    let words: Vec<&str> = before.split_whitespace().collect();
    words.is_empty() || (words.len() <= 3 && VERBS.contains(&words[0]))
}

/// "Thread-safe pool", not "Thread-safe." nor "thread-safe because …".
fn is_noun(after: &str) -> bool {
    after.is_empty()
        || after.starts_with(|first: char| first.is_alphabetic() || first == '<' || first == ',' || first == '-')
}

/// "This class is thread-safe": a subject that is the class, a verb, and the words.
fn is_predicate(before: &str, own_name: &str) -> bool {
    let words: Vec<&str> = before.split_whitespace().collect();
    let verbs = ["is", "are", "be"];
    let Some(verb) = words.iter().rposition(|word| verbs.contains(word)) else { return false };
    if words.len() - verb > 3 {
        return false;
    }
    let subject = &words[..verb];
    subject.last().is_some_and(|last| is_subject(last, own_name))
        || subject.iter().rev().take(4).any(|word| is_subject(word, own_name))
}

fn is_subject(word: &str, own_name: &str) -> bool {
    let word = word.trim_matches(|mark: char| !mark.is_alphanumeric() && mark != '_');
    !word.is_empty() && (SUBJECTS.contains(&word) || word == "name" || word == own_name)
        || (word.len() > 3 && own_name.ends_with(word))
}

fn is_conditional(before: &str, own_name: &str) -> bool {
    before.split_whitespace().any(|word| CONDITIONS.contains(&word) && word != own_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_class_is_said_to_be_counts() {
        let promised = [
            "Thread-safe connection pool for one host.",
            "Provides a thread-safe dict-like container which maintains up to\n    ``maxsize`` keys.",
            "A pool.\n\n    This class is thread-safe.",
            "The producer is thread safe and sharing a single instance across threads will be faster.",
            "A counter. It can be shared between threads.",
            "Threadsafe list of ids.",
        ];
        for text in promised {
            assert_eq!(read(text, "KafkaProducer"), ThreadSafety::Promised, "{text}");
        }
        let denied = [
            "The Session is **not safe for use in concurrent threads.**; see :ref:`session_faq_threadsafe`.",
            "Reads one file. Not thread-safe: use one reader in each thread.",
            ".. warning:: Cursors are **not thread-safe or fork-safe**. They can only be used by one thread.",
            "It should not be shared between threads; open one for each.",
            "This class is pickleable, but not necessarily thread-safe",
            "A single-reader, non-threadsafe queue.",
            "This implementation isn't thread-safe.",
            "A thread-safe registry, but adding to it may not be completely thread-safe.",
        ];
        for text in denied {
            assert_eq!(read(text, "Session"), ThreadSafety::Denied, "{text}");
        }
        let unsaid = [
            "Talks to the database; see :ref:`session_faq_threadsafe`.",
            "A connection.\n\n    :param credentials: a callable that returns the password. The callable must be\n        thread-safe if used in a multi-threaded program.\n",
            "Known directives: {'threadsafe': '', 'usercode': <code>}",
            "To avoid potential thread safety issues for imports, all of them are imported once.",
            "Implementations of this class must be thread-safe.",
            "If the underlying object is known to be thread-safe itself, no lock is needed.",
            "Your app must be thread-safe.",
            "A plain class.",
        ];
        for text in unsaid {
            assert_eq!(read(text, "Thing"), ThreadSafety::Unsaid, "{text}");
        }
    }
}
