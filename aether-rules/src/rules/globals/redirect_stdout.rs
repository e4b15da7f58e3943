//! `AET601`: standard output redirected on a thread.

use crate::declare_rule;
use crate::facts::{Event, Qual};
use crate::process_state::{self, Change, Subject};
use crate::{Confidence, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports `contextlib.redirect_stdout` and `redirect_stderr`, and assignments to `sys.stdout`, `sys.stderr` and
    /// `sys.stdin`, in functions that run on a thread.
    ///
    /// ## Why is this bad?
    /// There is one `sys.stdout` for all threads. While one thread captures its output, whatever the others print lands
    /// in the same buffer; and when two captures overlap, the one that leaves last "restores" the buffer of the other:
    /// the process prints into the void for the rest of its life.
    ///
    /// ## Example
    /// ```python bad
    /// import contextlib
    /// import io
    /// import threading
    ///
    /// def run(function):
    ///     with contextlib.redirect_stdout(io.StringIO()) as out:
    ///         function()
    ///     return out.getvalue()
    ///
    /// threading.Thread(target=run, args=(print,)).start()
    /// threading.Thread(target=run, args=(print,)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import io
    /// import threading
    ///
    /// def run(function):
    ///     out = io.StringIO()
    ///     function(file=out)
    ///     return out.getvalue()
    ///
    /// threading.Thread(target=run, args=(print,)).start()
    /// threading.Thread(target=run, args=(print,)).start()
    /// ```
    ///
    /// ## Limits
    /// A context manager that a library (not its tests, scripts, imports, or a program in it without threads) enters itself and that redirects and restores around
    /// its callers' code has medium confidence; any other function that no known thread reaches has low (`--all`).
    /// Replacing the file descriptor (`os.dup2`) is not seen. That nothing else prints meanwhile cannot be proven.
    /// A stream wrapped once, for good, is low, too.
    ///
    /// ## References
    /// - [contextlib.redirect_stdout: "not suitable for use in library code and most threaded applications"](https://docs.python.org/3/library/contextlib.html#contextlib.redirect_stdout)
    pub(crate) static REDIRECT_STDOUT = {
        code: "AET601", name: "redirect-stdout", summary: "standard streams are replaced on a thread",
        mentions: &[Sym::new("redirect_stdout"), Sym::new("redirect_stderr"), Sym::new("stdout"), Sym::new("stderr"), Sym::new("stdin")],
        family: Globals, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const SUBJECT: Subject = Subject {
    consequence: "what other threads print goes there too, and overlapping redirections are not undone",
    builds: "all builds and versions: `sys.stdout` and its kin are attributes of one module",
    help: "write to the stream you mean: `print(…, file=out)`, a logger, or `capture_output=` for a child process",
    lasting: Confidence::Low,
    mild: &[],
};

const CONTEXTS: &[(Qual, (&str, &str))] = &[
    (Qual::of("contextlib.redirect_stdout"), ("`sys.stdout`", "redirect_stdout")),
    (Qual::of("contextlib.redirect_stderr"), ("`sys.stderr`", "redirect_stderr")),
];

const STREAMS: &[(Qual, &str)] = &[
    (Qual::of("sys.stdout"), "sys.stdout"),
    (Qual::of("sys.stderr"), "sys.stderr"),
    (Qual::of("sys.stdin"), "sys.stdin"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    process_state::report(cx, findings, &SUBJECT, &change);
}

fn change(cx: &RuleContext<'_>, event: &Event) -> Option<Change> {
    if let Some((_, &(setting, name))) = process_state::called(cx, event, CONTEXTS) {
        return Some(Change::call(setting, name));
    }
    let (stream, action) = process_state::changed_variable(cx, event, STREAMS)?;
    let setting = match stream {
        "sys.stdout" => "`sys.stdout`",
        "sys.stderr" => "`sys.stderr`",
        _ => "`sys.stdin`",
    };
    Some(Change { setting, action })
}
