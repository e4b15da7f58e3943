//! Code that tests run: packages that help others to test, and threads that only tests start.
//!
//! *Invariant:* judged by folders and file names; what is staged only ever makes a finding less sure.

use super::kind::{FuncId, ModuleId};
use super::program::Program;
use super::sharing::ThreadOf;
use crate::facts::{FuncIx, Sym};
use crate::sym;
use ruff_text_size::TextRange;

/// Packages that offer help for tests.
const HELPERS: [Sym; 4] = [sym!("testing"), sym!("_testing"), sym!("test_utils"), sym!("testutils")];

/// How many callers are followed upwards.
const MAX_DEPTH: usize = 3;

impl Program {
    /// Whether a module belongs to a package that offers help for tests.
    pub fn helps_tests(&self, module: ModuleId) -> bool {
        self.index.is_in_package(module, self.common_folders(), &HELPERS)
    }

    /// Whether code is there for tests: it stands in such a package or in a stand-in, or only functions that do call it.
    pub fn is_for_tests(&self, module: ModuleId, range: TextRange) -> bool {
        let facts = &self.module(module).facts;
        let mut around = facts.classes.iter().filter(|class| class.range.contains_range(range));
        if self.helps_tests(module) || around.any(|class| class.is_stand_in || is_stand_in(facts.name(class.name))) {
            return true;
        }
        let functions = self.module(module).facts.functions.iter().enumerate().skip(1);
        let around = functions.filter(|(_, function)| function.range.contains_range(range));
        let innermost = around.min_by_key(|(_, function)| function.range.len());
        innermost.is_some_and(|(at, _)| self.only_helps_tests(self.func_id(module, FuncIx::at(at)), 0))
    }

    fn only_helps_tests(&self, function: FuncId, depth: usize) -> bool {
        let mut sites = self.callers(function).iter().filter(|site| site.caller != function).peekable();
        depth < MAX_DEPTH
            && sites.peek().is_some()
            && sites.all(|site| {
                let (module, _) = self.func_local(site.caller);
                self.helps_tests(module) || self.only_helps_tests(site.caller, depth + 1)
            })
    }

    /// Whether of two threads one is started by a test, and the other by what is tested or by another test.
    pub(super) fn is_staged(&self, a: ThreadOf, b: ThreadOf) -> bool {
        let (ThreadOf::Root(x), ThreadOf::Root(y)) = (a, b) else { return false };
        let starter = |root| self.root(root).started.map(|started| started.by);
        let skip = self.common_folders();
        let of_test =
            |root| starter(root).is_some_and(|by| is_test_file(&self.module(self.func_local(by).0).path, skip));
        x != y && (of_test(x) || of_test(y)) && starter(x) != starter(y)
    }

    /// How many folders all modules have in common: where a program lies says nothing of what is in it.
    fn common_folders(&self) -> usize {
        let (Some(first), Some(last)) = (self.modules.first(), self.modules.last()) else { return 0 };
        // In path order, what the first and the last have in common all have.
        let pairs = folders(&first.path).zip(folders(&last.path));
        pairs.take_while(|(a, b)| a == b).count()
    }
}

/// `MockServer`, `_FakeClient`: a class that stands in for another one while tests run.
fn is_stand_in(class: &str) -> bool {
    let name = class.trim_start_matches('_');
    let ends = |rest: &str| rest.is_empty() || rest.starts_with(char::is_uppercase);
    // A stub at the end of a name is the client's half of a remote call.
    let is_led = |word: &str| name.strip_prefix(word).is_some_and(ends);
    let has = |word: &str| name.match_indices(word).any(|(at, _)| ends(&name[at + word.len()..]));
    is_led("Stub") || has("Mock") || has("Fake")
}

/// The folders of a path, outermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    let inside = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    inside.split('/').filter(|part| !matches!(*part, "" | "."))
}

/// Whether a file holds tests, by its name or one of its folders but the first few.
fn is_test_file(path: &str, skip: usize) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let is_named = stem.starts_with("test_") || stem.ends_with("_test") || stem == "conftest";
    is_named || folders(path).skip(skip).any(|folder| folder == "tests" || folder == "test")
}

#[cfg(test)]
mod tests {
    use super::{is_stand_in, is_test_file};

    #[test]
    fn stand_ins_are_told_by_a_whole_word() {
        assert!(is_stand_in("MockServer") && is_stand_in("_Fake") && is_stand_in("StubRPC"));
        assert!(is_stand_in("ServerMock") && is_stand_in("GrpcMockServer"));
        assert!(!is_stand_in("Mockingbird") && !is_stand_in("Fakes") && !is_stand_in("GreeterStub"));
    }

    #[test]
    fn where_a_program_lies_says_nothing() {
        assert!(is_test_file("src/app/tests/server.py", 1));
        assert!(is_test_file("src/test_app.py", 1));
        assert!(!is_test_file("test/app/server.py", 2));
        assert!(!is_test_file("src/testing/server.py", 0));
    }
}
