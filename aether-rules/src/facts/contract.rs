//! What the docstring of a function demands of its callers.
//!
//! *Invariant:* what a sentence denies ("the lock must not be held") is no demand.

use ruff_python_ast::Stmt;

use super::promise::docstring;

/// Whether the docstring of a function says that its caller holds a lock: "Call this with the lock held."
pub(super) fn is_called_under_lock(body: &[Stmt]) -> bool {
    docstring(body).is_some_and(demands_lock)
}

/// Whether the docstring of a class says that its users hold a lock: "Used only from the pool while its lock is held."
pub(super) fn is_used_under_lock(body: &[Stmt]) -> bool {
    const USERS: &[&str] = &["used only", "only used", "only be used", "only from", "caller"];
    docstring(body).is_some_and(|text| demands(text, &|words| USERS.iter().any(|user| words.contains(user))))
}

/// Whether the docstring of a function says that it is only there for old callers.
pub(super) fn is_deprecated(body: &[Stmt]) -> bool {
    docstring(body).is_some_and(says_deprecated)
}

/// Whether a function is there for tests only, as its docstring or its name says.
pub(super) fn is_for_tests(name: &str, body: &[Stmt]) -> bool {
    let says_test = || name.as_bytes().windows(4).any(|four| four.eq_ignore_ascii_case(b"test"));
    let is_for_reset = || {
        let name = name.to_ascii_lowercase();
        let hints = ["for_test", "for_unittest", "for_unit_test", "in_test"];
        name.contains("reset") && hints.iter().any(|hint| name.contains(hint))
    };
    (says_test() && is_for_reset()) || docstring(body).is_some_and(says_for_tests)
}

/// Whether a docstring promises that something happens only once: "The value is computed only once."
pub(super) fn is_once(body: &[Stmt]) -> bool {
    docstring(body).is_some_and(says_once)
}

/// What can be done only once.
const DONE: &[&str] = &[
    "done",
    "called",
    "calls",
    "set",
    "computed",
    "computes",
    "compute",
    "evaluated",
    "evaluates",
    "created",
    "creates",
    "made",
    "built",
    "builds",
    "loaded",
    "loads",
    "initialized",
    "initialised",
    "executed",
    "executes",
    "run",
    "runs",
    "instantiated",
    "imported",
    "fetched",
    "parsed",
    "generated",
    "invoked",
    "performed",
    "constructed",
    "opened",
];

/// Words that make of a promise a demand on the caller, or a condition.
const ASKED: &[&str] = &["must", "should", "shall", "if", "you", "caller", "callers", "unless", "not"];

/// How many words may stand between "once" and what is done once.
const NEAR: usize = 9;

/// "computes the value only once", "can only be done once", "is called exactly once".
fn says_once(text: &str) -> bool {
    // Most docstrings never do, and need no second look.
    if !text.contains("once") {
        return false;
    }
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is = |word: &str, list: &[&str]| list.contains(&word.trim_matches(|mark: char| !mark.is_alphanumeric()));
    words.iter().enumerate().any(|(at, word)| {
        let ends_sentence = |word: &&&str| word.ends_with(['.', ';', ':']);
        let near: Vec<&str> =
            words[at.saturating_sub(NEAR)..at].iter().rev().take_while(|word| !ends_sentence(word)).copied().collect();
        let any = |list: &[&str]| near.iter().any(|word| is(word, list));
        is(word, &["once"]) && any(&["only", "exactly", "most", "just"]) && any(DONE) && !any(ASKED)
    })
}

/// How a docstring says that a function is there for tests.
const FOR_TESTS: &[&str] = &[
    "for testing purposes only",
    "for test purposes only",
    "for testing only",
    "for tests only",
    "for unit tests only",
    "only for testing",
    "only for tests",
    "only for use in tests",
    "only for unit tests",
    "only be used for testing",
    "only be used for tests",
    "only be used in tests",
    "only be used by tests",
    "only used for testing",
    "only used in tests",
    "only used by tests",
    "only intended for testing",
    "intended for testing only",
    "exclusively for testing",
];

/// Whether the docstring of a class says that it stands in for something while tests run: "A mock of the server for tests."
pub(super) fn is_stand_in(body: &[Stmt]) -> bool {
    docstring(body).is_some_and(says_stand_in)
}

fn says_stand_in(text: &str) -> bool {
    const NAMES: &[&str] = &["mock", "fake", "dummy", "stub"];
    // Most docstrings never speak of tests, and need no second look.
    if !text.contains("test") {
        return false;
    }
    let text = text.to_ascii_lowercase();
    let first = text.split_once("\n\n").map_or(&*text, |(first, _)| first);
    let mut words = first.split(|letter: char| !letter.is_alphanumeric());
    says_for_tests(first)
        || (words.clone().any(|word| NAMES.contains(&word)) && words.any(|word| TESTS.contains(&word)))
}

/// What is done with a stand-in.
const TESTS: &[&str] = &["test", "tests", "testing", "unittest", "unittests"];

fn says_for_tests(text: &str) -> bool {
    // Most docstrings never speak of tests, and need no second look.
    if !text.contains("test") {
        return false;
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    FOR_TESTS.iter().any(|words| text.contains(words))
}

fn says_deprecated(text: &str) -> bool {
    let first = text.trim_start();
    first.get(..10).is_some_and(|word| word.eq_ignore_ascii_case("deprecated")) || text.contains(".. deprecated::")
}

/// What a lock is called, without its first letter: that may be a capital.
const LOCKS: [&str; 2] = ["ock", "utex"];

/// How a docstring says that the caller holds it.
const DEMANDS: &[&str] = &[
    "must hold",
    "must be held",
    "must already hold",
    "must have",
    "should hold",
    "should be held",
    "is held",
    "is already held",
    "held by the caller",
    "held when call",
    "hold the lock when",
    "hold the lock before",
    "has acquired",
    "have acquired",
    "caller holds",
    "callers hold",
    "called with",
    "call with",
    "call this with",
    "call it with",
    "called while holding",
    "called under",
    "assumes the lock",
    "assumes that the lock",
    "while holding",
    "with lock held",
    "with the lock held",
];

fn demands_lock(text: &str) -> bool {
    demands(text, &|_| true)
}

/// Whether a sentence that speaks of the right ones demands that a lock is held.
fn demands(text: &str, speaks_of: &dyn Fn(&str) -> bool) -> bool {
    // Most docstrings never speak of one, and need no second look.
    if !LOCKS.iter().any(|lock| text.contains(lock)) {
        return false;
    }
    let text = text.to_ascii_lowercase();
    // What a lock is called may stand between quotes or dots; the words around it decide.
    text.split(". ").flat_map(|part| part.split("\n\n")).any(|sentence| {
        let words = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_denied = ["must not", "not be held", "without", "never", "n't"].iter().any(|word| words.contains(word));
        ["lock", "mutex"].iter().any(|lock| words.contains(lock))
            && DEMANDS.iter().any(|demand| words.contains(demand))
            && speaks_of(&words)
            && !is_denied
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_demanded_of_the_caller() {
        let demanded = [
            "Call this with `self.lock` held.",
            "This must be called while self._lock is held.",
            "Start the monitors.\n\n    Hold the lock when calling this.",
            "Remove one entry; the caller must hold the mutex.",
        ];
        for text in demanded {
            assert!(demands_lock(text), "{text}");
        }
        let other = [
            "Takes the lock and removes one entry.",
            "The lock must not be held by the caller.",
            "Removes what is held by the table.",
            "Blocks until the door is open.",
        ];
        for text in other {
            assert!(!demands_lock(text), "{text}");
        }
    }

    #[test]
    fn what_is_for_tests_says_so() {
        assert!(says_for_tests("Clear everything. This should only be used for testing."));
        assert!(says_for_tests("Resets the cache\n    (for testing\n    purposes only)."));
        assert!(!says_for_tests("Tests whether the cache is empty."));
        assert!(says_stand_in("A mock database that can be used\n    for testing the client."));
        assert!(!says_stand_in("Asks the stub.") && !says_stand_in("Tests the table."));
        assert!(is_for_tests("_reset_cache_for_testing", &[]));
        assert!(!is_for_tests("reset", &[]));
    }

    #[test]
    fn what_is_deprecated_says_so() {
        assert!(says_deprecated("Deprecated, use :meth:`event`."));
        assert!(says_deprecated("Sends it.\n\n    .. deprecated:: 2.0\n"));
        assert!(!says_deprecated("Warns about deprecated names."));
    }

    #[test]
    fn a_promise_of_once_is_told_from_a_demand() {
        let promised = [
            "This can only be done once, a warning is logged afterwards.",
            "Works like property(), but computes the value only once.",
            "The engine. It is created exactly once.",
        ];
        assert!(promised.iter().all(|text| says_once(text)));
        let unsaid = [
            "You must call this only once.",
            "Should only be called once.",
            "A document that holds every term exactly once.",
            "Looks at all of them at once.",
            "It is loaded. Only then, once all are there, it starts.",
        ];
        assert!(unsaid.iter().all(|text| !says_once(text)));
    }
}
