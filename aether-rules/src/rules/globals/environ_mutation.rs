//! `AET603`: the environment changed on a thread.

use crate::declare_rule;
use crate::facts::{Event, Qual};
use crate::process_state::{self, Change, Subject};
use crate::{Confidence, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports writes to `os.environ` and `os.environb`, `os.putenv`, `os.unsetenv` and `os.reload_environ` in functions
    /// that run on a thread.
    ///
    /// ## Why is this bad?
    /// The environment belongs to the process. The C library lets nobody read it while it changes: `getenv` in another
    /// thread (the resolver, `localtime`, a database driver) may crash. In Python, threads that set and restore a variable
    /// restore each other's value, and children started meanwhile inherit it.
    ///
    /// ## Example
    /// ```python bad
    /// import os
    /// import subprocess
    /// import threading
    ///
    /// def build(target):
    ///     os.environ["TARGET"] = target
    ///     subprocess.run(["make"], check=True)
    ///
    /// for name in ("a", "b"):
    ///     threading.Thread(target=build, args=(name,)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import os
    /// import subprocess
    /// import threading
    ///
    /// def build(target):
    ///     subprocess.run(["make"], env={**os.environ, "TARGET": target}, check=True)
    ///
    /// for name in ("a", "b"):
    ///     threading.Thread(target=build, args=(name,)).start()
    /// ```
    ///
    /// ## Limits
    /// A context manager that a library (not its tests, scripts, imports, or a program in it without threads) enters itself and that sets and restores variables
    /// around its callers' code has medium confidence; any other function that no known thread reaches has low
    /// (`--all`). `os.environ` handed to another function as a plain dict is not followed. A lock around the change is
    /// accepted, although C code that reads the environment does not take it.
    /// A copy of one variable to another name is low, too, and so is what a thread does that is started and waited for before anything else runs.
    ///
    /// ## References
    /// - [gh-127081: environment functions are not thread-safe](https://github.com/python/cpython/issues/127081)
    /// - [getenv(3): MT-Safe env](https://man7.org/linux/man-pages/man3/getenv.3.html)
    pub(crate) static ENVIRON_MUTATION = {
        code: "AET603", name: "environ-mutation", summary: "the environment is changed on a thread",
        mentions: &[Sym::new("putenv"), Sym::new("unsetenv"), Sym::new("reload_environ"), Sym::new("environ"), Sym::new("environb")],
        family: Globals, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const SUBJECT: Subject = Subject {
    consequence: "other threads and their children see it at once, and C code may be reading it",
    builds: "all builds and versions; C code that reads the environment does not hold the GIL",
    help: "give the variables to those who need them: `env={**os.environ, …}` for a child process, a parameter for a function",
    lasting: Confidence::Low,
    mild: &[],
};

const SETTING: &str = "the environment";

const CALLS: &[(Qual, &str)] = &[
    (Qual::of("os.putenv"), "os.putenv"),
    (Qual::of("os.unsetenv"), "os.unsetenv"),
    (Qual::of("os.reload_environ"), "os.reload_environ"),
];

const VARIABLES: &[(Qual, &str)] = &[(Qual::of("os.environ"), "os.environ"), (Qual::of("os.environb"), "os.environb")];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    process_state::report(cx, findings, &SUBJECT, &change);
}

fn change(cx: &RuleContext<'_>, event: &Event) -> Option<Change> {
    if let Some((_, name)) = process_state::called(cx, event, CALLS) {
        return Some(Change::call(SETTING, name));
    }
    process_state::changed_variable(cx, event, VARIABLES).map(|(_, action)| Change { setting: SETTING, action })
}
