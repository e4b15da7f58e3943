//! `AET606`: the warning filters changed for good, on a thread.

use crate::declare_rule;
use crate::facts::{CtxIx, CtxKind, Event, EventKind, FuncIx, Qual, Term};
use crate::finding::{Evidence, EvidenceRole};
use crate::library;
use crate::link::{FuncId, Kind};
use crate::process_state::{self, Change, Subject};
use crate::settings::{PythonVersion, TargetBuilds};
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports `warnings.simplefilter`, `filterwarnings`, `resetwarnings`, `logging.captureWarnings`, changes of the list
    /// `warnings.filters`, and assignments to `warnings.showwarning` in functions that run on a thread. In a library, a
    /// function that takes its filter back by position (`warnings.filters.pop(0)`) is reported in any case.
    ///
    /// ## Why is this bad?
    /// There is one list of filters for the process. A filter added by one thread silences, or turns into exceptions, the
    /// warnings of all others, for good; and the filter that stands first when it is to be taken back may be another
    /// thread's.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    /// import warnings
    ///
    /// def parse(text):
    ///     warnings.simplefilter("ignore")
    ///     return float(text)
    ///
    /// threading.Thread(target=parse, args=("1",)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    /// import warnings
    ///
    /// warnings.filterwarnings("ignore", category=DeprecationWarning)
    ///
    /// def parse(text):
    ///     return float(text)
    ///
    /// threading.Thread(target=parse, args=("1",)).start()
    /// ```
    ///
    /// ## Limits
    /// Inside `with warnings.catch_warnings():` the change is undone, and the context manager itself is for
    /// `AET002`. Functions that no known thread reaches have low confidence (`--all`), but for context managers of
    /// libraries and filters taken back by position (medium). So has what a thread does last, before it stops the loop of the
    /// program. Silent when only free-threaded builds of 3.14 and later are
    /// the target: filters are context-local there.
    ///
    /// ## References
    /// - [warnings: concurrent safety of context managers](https://docs.python.org/3/library/warnings.html#concurrent-safety-of-context-managers)
    pub(crate) static WARNING_FILTER_MUTATION = {
        code: "AET606", name: "warning-filter-mutation", summary: "the process-wide warning filters are changed on a thread",
        mentions: &[Sym::new("simplefilter"), Sym::new("filterwarnings"), Sym::new("resetwarnings"), Sym::new("captureWarnings"), Sym::new("filters"), Sym::new("showwarning"), Sym::new("formatwarning")],
        family: Globals, level: Info, since: "0.1.0",
        versions: "up to 3.13 on all builds; 3.14 and later with the GIL", check: Some(check),
    }
}

const SUBJECT: Subject = Subject {
    consequence: "the filters of every thread, from now on",
    builds: "up to 3.13: all builds; 3.14 and later: builds with the GIL (free-threaded ones keep the filters per context)",
    help: "set filters once, before threads start; a library gives warnings and leaves the filters to the program",
    lasting: Confidence::Low,
    mild: &[],
};

const SETTING: &str = "the warning filters";

const CALLS: &[(Qual, &str)] = &[
    (Qual::of("warnings.simplefilter"), "warnings.simplefilter"),
    (Qual::of("warnings.filterwarnings"), "warnings.filterwarnings"),
    (Qual::of("warnings.resetwarnings"), "warnings.resetwarnings"),
    (Qual::of("logging.captureWarnings"), "logging.captureWarnings"),
];

const VARIABLES: &[(Qual, &str)] = &[
    (Qual::of("warnings.filters"), "warnings.filters"),
    (Qual::of("warnings.showwarning"), "warnings.showwarning"),
    (Qual::of("warnings.formatwarning"), "warnings.formatwarning"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let context_aware = cx.settings().target_version >= PythonVersion::three(14);
    if context_aware && cx.settings().target_builds == TargetBuilds::FreeThreaded {
        return;
    }
    process_state::report(cx, findings, &SUBJECT, &|cx, event| {
        // What is taken back by position is told below, with the filter it meant.
        change(cx, event).filter(|_| !taken_back_in_public(cx, event))
    });
    for (function, id) in cx.functions().skip(1) {
        by_position(cx, findings, function, id);
    }
}

fn change(cx: &RuleContext<'_>, event: &Event) -> Option<Change> {
    let action = match process_state::called(cx, event, CALLS) {
        Some((_, name)) => Change::call(SETTING, name).action,
        None => process_state::changed_variable(cx, event, VARIABLES)?.1,
    };
    (!is_restored(cx, event.ctx)).then_some(Change { setting: SETTING, action })
}

/// Whether an event stands inside `with warnings.catch_warnings():`.
fn is_restored(cx: &RuleContext<'_>, ctx: CtxIx) -> bool {
    let facts = cx.facts();
    facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::With(term, _) => cx.program.kind(cx.module, term) == Kind::Object(Qual::of("warnings.catch_warnings")),
        _ => false,
    })
}

/// `warnings.filters.pop(0)`, `del warnings.filters[0]`.
fn takes_first(cx: &RuleContext<'_>, event: &Event) -> bool {
    let facts = cx.facts();
    let is_filters = |term| cx.program.kind(cx.module, term) == Kind::Lib(Qual::of("warnings.filters"));
    match event.kind {
        EventKind::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(base, method) => method == sym!("pop") && is_filters(base) && !is_restored(cx, event.ctx),
            _ => false,
        },
        EventKind::Delete(term) => match facts.terms.get(term) {
            Term::Item(base, _) => is_filters(base) && !is_restored(cx, event.ctx),
            _ => false,
        },
        _ => false,
    }
}

fn taken_back_in_public(cx: &RuleContext<'_>, event: &Event) -> bool {
    let function = cx.facts().function_of_ctx(event.ctx);
    takes_first_somewhere(cx, function) && is_silent_library(cx, cx.program.func_id(cx.module, function))
}

fn takes_first_somewhere(cx: &RuleContext<'_>, function: FuncIx) -> bool {
    cx.events(function).any(|(_, event)| takes_first(cx, &event))
}

/// A public function of a library that no known thread reaches.
fn is_silent_library(cx: &RuleContext<'_>, id: FuncId) -> bool {
    process_state::thread_of(cx, id).is_none() && library::is_public(cx.program, id)
}

/// Reports a library function that adds a filter and takes back whichever stands first.
fn by_position(cx: &RuleContext<'_>, findings: &mut Findings<'_>, function: FuncIx, id: FuncId) {
    if !findings.wants(Confidence::Medium) || !takes_first_somewhere(cx, function) || !is_silent_library(cx, id) {
        return;
    }
    let Some((_, removal)) = cx.events(function).find(|(_, event)| takes_first(cx, event)) else { return };
    let added = cx.events(function).find(|(_, event)| change(cx, event).is_some() && !takes_first(cx, event));
    let message = "the filter taken back by position may be another thread's";
    let mut finding = Finding::new(cx.span(removal.range), Confidence::Medium, message)
        .label("removes whichever filter stands first in the process-wide list");
    if let Some((_, added)) = added {
        finding = finding.evidence(Evidence::new(
            EvidenceRole::OtherAccess,
            cx.span(added.range),
            "adds the filter it means",
        ));
    }
    let name = cx.program.function_name(id);
    findings.report(
        finding
            .note(format!("`{name}` is a library function: two threads that call it, or set filters meanwhile, meet here"))
            .note(SUBJECT.builds)
            .help("do not touch the filters; read the value without triggering the warning, or compare against `warnings.filters` under a lock"),
    );
}
