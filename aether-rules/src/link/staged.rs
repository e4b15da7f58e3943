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
        self.index.is_in_package(module, &HELPERS)
    }

    /// Whether code is there for tests: it stands in such a package, or only functions that do call it.
    pub fn is_for_tests(&self, module: ModuleId, range: TextRange) -> bool {
        if self.helps_tests(module) {
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
        let of_test = |root| starter(root).is_some_and(|by| is_test_file(&self.module(self.func_local(by).0).path));
        x != y && (of_test(x) || of_test(y)) && starter(x) != starter(y)
    }
}

/// Whether a file holds tests, by its folder or name.
fn is_test_file(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let stem = parts.next().unwrap_or_default().split('.').next().unwrap_or_default();
    let is_named = stem.starts_with("test_") || stem.ends_with("_test") || stem == "conftest";
    is_named || parts.any(|folder| folder == "tests" || folder == "test")
}
