//! `AET604`: a setting of the process changed on a thread.

use crate::declare_rule;
use crate::facts::{CallIx, Const, Event, Qual, Term};
use crate::process_state::{self, Change, Subject};
use crate::{Confidence, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports, in functions that run on a thread, calls that change a setting of the whole process: `locale.setlocale`,
    /// `time.tzset`, `os.umask`, `os.nice`, `os.setuid` and its kin, `resource.setrlimit`, `socket.setdefaulttimeout`,
    /// `urllib.request.install_opener`, and assignments to `ssl._create_default_https_context`.
    ///
    /// ## Why is this bad?
    /// Every thread sees the new value, from one instruction to the next: numbers are formatted for another country, files
    /// get another mode, sockets another timeout. Setting it back afterwards makes it worse: two threads that overlap
    /// restore each other's temporary value for good.
    ///
    /// ## Example
    /// ```python bad
    /// import os
    /// import threading
    ///
    /// def write_private(path):
    ///     before = os.umask(0o077)
    ///     try:
    ///         open(path, "w").close()
    ///     finally:
    ///         os.umask(before)
    ///
    /// threading.Thread(target=write_private, args=("a",)).start()
    /// threading.Thread(target=write_private, args=("b",)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import os
    /// import threading
    ///
    /// def write_private(path):
    ///     os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    ///
    /// threading.Thread(target=write_private, args=("a",)).start()
    /// threading.Thread(target=write_private, args=("b",)).start()
    /// ```
    ///
    /// ## Limits
    /// A context manager that a library (not its tests, scripts, imports, or a program in it without threads) enters itself and that changes and restores a
    /// setting around its callers' code has medium confidence; any other function that no known thread reaches has low
    /// (`--all`), and so has one that is documented as not thread-safe. That the new value is the old one is not seen. Globals of the program's own modules are for `AET612`.
    ///
    /// ## References
    /// - [locale: "it is generally a bad idea to call setlocale() in some library routine"](https://docs.python.org/3/library/locale.html#background-details-hints-tips-and-caveats)
    /// - [umask(2)](https://man7.org/linux/man-pages/man2/umask.2.html)
    pub(crate) static PROCESS_SETTING = {
        code: "AET604", name: "process-setting", summary: "a process-wide setting is changed on a thread",
        mentions: &[Sym::new("setlocale"), Sym::new("resetlocale"), Sym::new("tzset"), Sym::new("umask"), Sym::new("nice"), Sym::new("setuid"), Sym::new("seteuid"), Sym::new("setreuid"), Sym::new("setresuid"), Sym::new("setgid"), Sym::new("setegid"), Sym::new("setregid"), Sym::new("setresgid"), Sym::new("setgroups"), Sym::new("initgroups"), Sym::new("setrlimit"), Sym::new("setdefaulttimeout"), Sym::new("install_opener"), Sym::new("_create_default_https_context")],
        family: Globals, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const SUBJECT: Subject = Subject {
    consequence: "every thread sees the new value at once",
    builds: "all builds and versions: the setting belongs to the process",
    help: "set it once before threads start, or use a setting of the single object: `sock.settimeout`, `os.open(…, mode)`, `ZoneInfo`, a formatter with its own locale",
    lasting: Confidence::Low,
    mild: &[],
};

/// Function, what it sets.
const CALLS: &[(Qual, (&str, &str))] = &[
    (Qual::of("locale.setlocale"), ("the locale", "locale.setlocale")),
    (Qual::of("locale.resetlocale"), ("the locale", "locale.resetlocale")),
    (Qual::of("time.tzset"), ("the time zone", "time.tzset")),
    (Qual::of("os.umask"), ("the file mode mask", "os.umask")),
    (Qual::of("os.nice"), ("the priority", "os.nice")),
    (Qual::of("os.setuid"), ("the user", "os.setuid")),
    (Qual::of("os.seteuid"), ("the user", "os.seteuid")),
    (Qual::of("os.setreuid"), ("the user", "os.setreuid")),
    (Qual::of("os.setresuid"), ("the user", "os.setresuid")),
    (Qual::of("os.setgid"), ("the user", "os.setgid")),
    (Qual::of("os.setegid"), ("the user", "os.setegid")),
    (Qual::of("os.setregid"), ("the user", "os.setregid")),
    (Qual::of("os.setresgid"), ("the user", "os.setresgid")),
    (Qual::of("os.setgroups"), ("the user", "os.setgroups")),
    (Qual::of("os.initgroups"), ("the user", "os.initgroups")),
    (Qual::of("resource.setrlimit"), ("a resource limit", "resource.setrlimit")),
    (Qual::of("socket.setdefaulttimeout"), ("the default socket timeout", "socket.setdefaulttimeout")),
    (Qual::of("urllib.request.install_opener"), ("the default URL opener", "urllib.request.install_opener")),
];

const VARIABLES: &[(Qual, &str)] =
    &[(Qual::of("ssl._create_default_https_context"), "ssl._create_default_https_context")];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    process_state::report(cx, findings, &SUBJECT, &change);
}

fn change(cx: &RuleContext<'_>, event: &Event) -> Option<Change> {
    if let Some((call, &(setting, name))) = process_state::called(cx, event, CALLS) {
        let sets = name != "locale.setlocale" || sets_locale(cx, call);
        return sets.then(|| Change::call(setting, name));
    }
    let (_, action) = process_state::changed_variable(cx, event, VARIABLES)?;
    Some(Change { setting: "the default TLS context", action })
}

/// `setlocale(category)` and `setlocale(category, None)` only ask.
fn sets_locale(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let facts = cx.facts();
    let locale = facts.arg(call, 1, sym!("locale"));
    locale.is_some_and(|arg| facts.terms.get(arg.value) != Term::Const(Const::None))
}
