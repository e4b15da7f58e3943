//! `AET602`: the working directory changed on a thread.

use crate::declare_rule;
use crate::facts::{CallIx, Const, Event, Qual, Term};
use crate::process_state::{self, Change, Subject};
use crate::{Confidence, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports `os.chdir`, `os.fchdir`, `os.chroot`, `contextlib.chdir`, and `shutil.make_archive` with an archiver of
    /// one's own (which changes the directory inside), in functions that run on a thread.
    ///
    /// ## Why is this bad?
    /// The working directory belongs to the process. Every relative path that another thread opens meanwhile means
    /// another file, and when two threads go there and back, the second one goes "back" to where the first one was.
    ///
    /// ## Example
    /// ```python bad
    /// import os
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def list_folder(folder):
    ///     before = os.getcwd()
    ///     os.chdir(folder)
    ///     try:
    ///         return os.listdir()
    ///     finally:
    ///         os.chdir(before)
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(list_folder, ["a", "b"])
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import os
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// def list_folder(folder):
    ///     return os.listdir(folder)
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(list_folder, ["a", "b"])
    /// ```
    ///
    /// ## Limits
    /// A context manager that a library (not its tests, scripts, imports, or a program in it without threads) enters itself and that goes there and back around
    /// its callers' code has medium confidence; any other function that no known thread reaches has low (`--all`). A
    /// directory changed by a library or by C code is not seen.
    /// What comes after a fork whose parent has left is the child's.
    ///
    /// ## References
    /// - [contextlib.chdir: "not thread-safe"](https://docs.python.org/3/library/contextlib.html#contextlib.chdir)
    /// - [shutil.make_archive](https://docs.python.org/3/library/shutil.html#shutil.make_archive)
    pub(crate) static CHDIR = {
        code: "AET602", name: "chdir", summary: "the working directory is changed on a thread",
        mentions: &[Sym::new("chdir"), Sym::new("fchdir"), Sym::new("chroot"), Sym::new("make_archive")],
        family: Globals, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const SUBJECT: Subject = Subject {
    consequence: "relative paths of all other threads now mean other files",
    builds: "all builds and versions: the operating system keeps one working directory per process",
    help: "use absolute paths, `cwd=` for a child process, or `dir_fd=`",
    lasting: Confidence::High,
    mild: &[],
};

const CALLS: &[(Qual, &str)] = &[
    (Qual::of("os.chdir"), "os.chdir"),
    (Qual::of("os.fchdir"), "os.fchdir"),
    (Qual::of("os.chroot"), "os.chroot"),
    (Qual::of("contextlib.chdir"), "contextlib.chdir"),
    (Qual::of("shutil.make_archive"), "shutil.make_archive"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    process_state::report(cx, findings, &SUBJECT, &change);
}

fn change(cx: &RuleContext<'_>, event: &Event) -> Option<Change> {
    let (call, name) = process_state::called(cx, event, CALLS)?;
    let applies = *name != "shutil.make_archive" || enters_root(cx, call);
    applies.then(|| Change::call("the working directory", name))
}

/// Whether `make_archive` changes the directory: an archiver that is not built in cannot be told the root.
fn enters_root(cx: &RuleContext<'_>, call: CallIx) -> bool {
    const BUILT_IN: [&str; 6] = ["zip", "tar", "gztar", "bztar", "xztar", "zstdtar"];
    let facts = cx.facts();
    let has_root = facts.arg(call, 2, sym!("root_dir")).is_some();
    let format = facts.arg(call, 1, sym!("format")).map(|arg| facts.terms.get(arg.value));
    match format {
        Some(Term::Const(Const::Str(format))) => has_root && !BUILT_IN.contains(&facts.name(format)),
        _ => false,
    }
}
