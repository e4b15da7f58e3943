//! `AET605`: a setting of the interpreter changed on a thread.

use crate::declare_rule;
use crate::facts::{Event, EventKind, Qual, Term};
use crate::link::Kind;
use crate::process_state::{self, Change, Subject};
use crate::{Confidence, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports, in functions that run on a thread, changes to settings of the whole interpreter:
    /// `sys.setrecursionlimit`, `sys.setswitchinterval`, `gc.disable`, `gc.freeze`, `gc.set_threshold`,
    /// `threading.stack_size(n)`, and attributes of `decimal.DefaultContext`, `BasicContext` and `ExtendedContext`.
    ///
    /// ## Why is this bad?
    /// The knob turns for all threads. A limit raised around one deep call is lowered by another thread that finished
    /// its own; the collector switched off "for a moment" is switched on in the middle of somebody else's moment, or never.
    ///
    /// ## Example
    /// ```python bad
    /// import sys
    /// import threading
    ///
    /// def parse(function):
    ///     before = sys.getrecursionlimit()
    ///     sys.setrecursionlimit(100_000)
    ///     try:
    ///         return function()
    ///     finally:
    ///         sys.setrecursionlimit(before)
    ///
    /// for _ in range(2):
    ///     threading.Thread(target=parse, args=(print,)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import sys
    /// import threading
    ///
    /// sys.setrecursionlimit(100_000)
    ///
    /// def parse(function):
    ///     return function()
    ///
    /// for _ in range(2):
    ///     threading.Thread(target=parse, args=(print,)).start()
    /// ```
    ///
    /// ## Limits
    /// A context manager that a library (not its tests, scripts, imports, or a program in it without threads) enters itself and that turns a knob and turns it
    /// back around its callers' code has medium confidence; any other function that no known thread reaches has low
    /// (`--all`). So has a pause of the collector: an overlap ends it early, no more. A `decimal.Context` of one's own that is installed in several threads is not seen.
    ///
    /// ## References
    /// - [sys.setrecursionlimit](https://docs.python.org/3/library/sys.html#sys.setrecursionlimit)
    /// - [decimal: working with threads](https://docs.python.org/3/library/decimal.html#working-with-threads)
    pub(crate) static INTERPRETER_KNOB = {
        code: "AET605", name: "interpreter-knob", summary: "an interpreter-wide setting is changed on a thread",
        mentions: &[Sym::new("setrecursionlimit"), Sym::new("setswitchinterval"), Sym::new("setcheckinterval"), Sym::new("set_int_max_str_digits"), Sym::new("gc"), Sym::new("stack_size"), Sym::new("DefaultContext"), Sym::new("BasicContext"), Sym::new("ExtendedContext")],
        family: Globals, level: Info, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const SUBJECT: Subject = Subject {
    consequence: "turns for every thread of the interpreter",
    builds: "all builds and versions: the setting belongs to the interpreter",
    help: "set it once, before threads start",
    lasting: Confidence::Low,
    mild: &["the garbage collector"],
};

const CALLS: &[(Qual, (&str, &str))] = &[
    (Qual::of("sys.setrecursionlimit"), ("the recursion limit", "sys.setrecursionlimit")),
    (Qual::of("sys.setswitchinterval"), ("the switch interval", "sys.setswitchinterval")),
    (Qual::of("sys.setcheckinterval"), ("the switch interval", "sys.setcheckinterval")),
    (Qual::of("sys.set_int_max_str_digits"), ("the integer digit limit", "sys.set_int_max_str_digits")),
    (Qual::of("gc.disable"), ("the garbage collector", "gc.disable")),
    (Qual::of("gc.enable"), ("the garbage collector", "gc.enable")),
    (Qual::of("gc.freeze"), ("the garbage collector", "gc.freeze")),
    (Qual::of("gc.unfreeze"), ("the garbage collector", "gc.unfreeze")),
    (Qual::of("gc.set_threshold"), ("the garbage collector", "gc.set_threshold")),
    (Qual::of("gc.set_debug"), ("the garbage collector", "gc.set_debug")),
    (Qual::of("threading.stack_size"), ("the stack size of new threads", "threading.stack_size")),
];

/// Contexts that other contexts are copied from.
const TEMPLATES: &[(Qual, &str)] = &[
    (Qual::of("decimal.DefaultContext"), "decimal.DefaultContext"),
    (Qual::of("decimal.BasicContext"), "decimal.BasicContext"),
    (Qual::of("decimal.ExtendedContext"), "decimal.ExtendedContext"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    process_state::report(cx, findings, &SUBJECT, &change);
}

fn change(cx: &RuleContext<'_>, event: &Event) -> Option<Change> {
    if let Some((call, &(setting, name))) = process_state::called(cx, event, CALLS) {
        // Without an argument `stack_size` only asks.
        let sets = name != "threading.stack_size" || !cx.facts().args_of(call).is_empty();
        return sets.then(|| Change::call(setting, name));
    }
    let (EventKind::Store(term, _) | EventKind::Augment(term, _)) = event.kind else { return None };
    let Term::Attr(base, attribute) = cx.facts().terms.get(term) else { return None };
    let Kind::Lib(name) = cx.program.kind(cx.module, base) else { return None };
    let (_, template) = TEMPLATES.iter().find(|(known, _)| *known == name)?;
    let action = format!("`{template}.{} = …`", cx.facts().name(attribute));
    Some(Change { setting: "the template of decimal contexts", action })
}
