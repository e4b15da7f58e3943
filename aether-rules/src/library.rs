//! Whether code is part of a library's public face: anybody may call it, from any thread.
//!
//! *Invariant:* judged by names and paths alone; what looks like a test, a script or a build file is nobody's library.

use crate::link::{FuncId, ModuleId, Program};
use crate::sym;

/// Folders whose modules no user imports.
const PRIVATE_FOLDERS: &[&str] = &[
    "test",
    "tests",
    "testing",
    "_testing",
    "test_utils",
    "testsuite",
    "doc",
    "docs",
    "example",
    "examples",
    "demo",
    "demos",
    "samples",
    "bench",
    "benchmarks",
    "scripts",
    "script",
    "tools",
    "bin",
    "build_tools",
    "distutils",
    "setuptools",
    "idlelib",
];

/// Modules that are run, not imported.
const SCRIPTS: &[&str] =
    &["conftest", "setup", "__main__", "noxfile", "fabfile", "tasks", "manage", "runtests", "testing", "test"];

/// Whether other people's programs import a module.
pub(crate) fn is_library(program: &Program, module: ModuleId) -> bool {
    let all =
        program.libraries.get_or_init(|| program.modules().map(|(_, module)| is_imported(&module.path)).collect());
    all[module.index()]
}

fn is_imported(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let is_test = stem.starts_with("test_") || stem.ends_with("_test") || stem.ends_with("_tests");
    !is_test && !SCRIPTS.contains(&stem) && !parts.any(|folder| PRIVATE_FOLDERS.contains(&folder))
}

/// Whether a library's users can reach a function: it is public itself, or a public function calls it.
pub(crate) fn is_public(program: &Program, function: FuncId) -> bool {
    let (module, _) = program.func_local(function);
    if !is_library(program, module) {
        return false;
    }
    let called_in_public = |function: FuncId| {
        program.callers(function).iter().any(|site| {
            let (caller, _) = program.func_local(site.caller);
            is_library(program, caller) && has_public_name(program, site.caller)
        })
    };
    if has_public_name(program, function) || called_in_public(function) {
        return true;
    }
    // A private class is public when a public function makes one.
    let Some(class) = program.class_of(function) else { return false };
    let init = program.class(class).methods.get(&sym!("__init__"));
    init.is_some_and(|&init| called_in_public(init))
}

/// Whether a function and all it is nested in have public names.
fn has_public_name(program: &Program, function: FuncId) -> bool {
    let (module, local) = program.func_local(function);
    let facts = &program.module(module).facts;
    let is_hidden = |name: &str| name.starts_with('_') && !(name.starts_with("__") && name.ends_with("__"));
    let mut at = Some(local);
    while let Some(function) = at.filter(|function| function.index() != 0) {
        let declaration = &facts.functions[function.index()];
        let class = declaration.class.map(|class| facts.name(facts.classes[class.index()].name));
        if is_hidden(facts.name(declaration.name)) || class.is_some_and(is_hidden) || declaration.flags.is_lambda {
            return false;
        }
        at = declaration.parent;
    }
    true
}
