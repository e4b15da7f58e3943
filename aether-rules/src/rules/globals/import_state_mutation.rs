//! `AET607`: the import state changed on a thread.

use crate::declare_rule;
use crate::facts::{Event, Qual};
use crate::process_state::{self, Change, Subject};
use crate::{Confidence, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports, in functions that run on a thread, changes of `sys.path`, `sys.modules`, `sys.argv`, `sys.meta_path`,
    /// `sys.path_hooks` and `sys.path_importer_cache`, `importlib.reload`, and `runpy.run_path` and `run_module`.
    ///
    /// ## Why is this bad?
    /// Other threads import meanwhile: they find modules where there should be none, miss those that were forgotten for a
    /// moment, or see a module half executed by `reload`. `runpy` swaps `sys.argv` and `sys.modules` and is documented as
    /// not thread-safe.
    ///
    /// ## Example
    /// ```python bad
    /// import importlib
    /// import sys
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def load(folder):
    ///     sys.path.insert(0, folder)
    ///     try:
    ///         return importlib.import_module("plugin")
    ///     finally:
    ///         sys.path.pop(0)
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(load, ["a", "b"])
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import importlib.util
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def load(folder):
    ///     spec = importlib.util.spec_from_file_location("plugin", folder + "/plugin.py")
    ///     module = importlib.util.module_from_spec(spec)
    ///     spec.loader.exec_module(module)
    ///     return module
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(load, ["a", "b"])
    /// ```
    ///
    /// ## Limits
    /// A context manager that a library (not its tests, scripts, imports, or a program in it without threads) enters itself and that changes and restores the
    /// state around its callers' code has medium confidence; any other function that no known thread reaches has low
    /// (`--all`). Functions of libraries that change the state inside (`site.addsitedir`) are not seen; that a new name
    /// in `sys.modules` is nobody else's cannot be proven.
    /// Low, too: one entry of `sys.path` put in and taken out unconditionally, an empty module, and what a context manager
    /// only takes back where its block has failed.
    ///
    /// ## References
    /// - [runpy: "not thread-safe"](https://docs.python.org/3/library/runpy.html)
    /// - [importlib.reload](https://docs.python.org/3/library/importlib.html#importlib.reload)
    pub(crate) static IMPORT_STATE_MUTATION = {
        code: "AET607", name: "import-state-mutation", summary: "the import state of the process is changed on a thread",
        mentions: &[Sym::new("reload"), Sym::new("run_path"), Sym::new("run_module"), Sym::new("path"), Sym::new("modules"), Sym::new("argv"), Sym::new("meta_path"), Sym::new("path_hooks"), Sym::new("path_importer_cache")],
        family: Globals, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const SUBJECT: Subject = Subject {
    consequence: "other threads import with it, or see it half changed",
    builds: "all builds and versions: the import state belongs to the interpreter",
    help: "change it once, before threads start; load single files with `importlib.util.spec_from_file_location`; run scripts in a child process",
    lasting: Confidence::High,
    mild: &[],
};

const CALLS: &[(Qual, (&str, &str))] = &[
    (Qual::of("importlib.reload"), ("a loaded module", "importlib.reload")),
    (Qual::of("imp.reload"), ("a loaded module", "imp.reload")),
    (Qual::of("runpy.run_path"), ("`sys.argv` and `sys.modules`", "runpy.run_path")),
    (Qual::of("runpy.run_module"), ("`sys.argv` and `sys.modules`", "runpy.run_module")),
];

const VARIABLES: &[(Qual, &str)] = &[
    (Qual::of("sys.path"), "sys.path"),
    (Qual::of("sys.modules"), "sys.modules"),
    (Qual::of("sys.argv"), "sys.argv"),
    (Qual::of("sys.meta_path"), "sys.meta_path"),
    (Qual::of("sys.path_hooks"), "sys.path_hooks"),
    (Qual::of("sys.path_importer_cache"), "sys.path_importer_cache"),
];

/// The same names, as the settings of messages.
const SETTINGS: [&str; 6] =
    ["`sys.path`", "`sys.modules`", "`sys.argv`", "`sys.meta_path`", "`sys.path_hooks`", "`sys.path_importer_cache`"];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    process_state::report(cx, findings, &SUBJECT, &change);
}

fn change(cx: &RuleContext<'_>, event: &Event) -> Option<Change> {
    if let Some((_, &(setting, name))) = process_state::called(cx, event, CALLS) {
        return Some(Change::call(setting, name));
    }
    let (variable, action) = process_state::changed_variable(cx, event, VARIABLES)?;
    let at = VARIABLES.iter().position(|(_, name)| *name == variable)?;
    Some(Change { setting: SETTINGS[at], action })
}
