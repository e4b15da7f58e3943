//! `AET308`: `notify()` or `wait()` of a condition that the thread does not hold.

use crate::declare_rule;
use crate::evidence::{self, locks as show};
use crate::facts::{CtxKind, EventIx, EventKind, Qual, Sym, Term};
use crate::finding::EvidenceRole;
use crate::link::{FuncId, Kind, LockId, PlaceRoot};
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports `notify()`, `notify_all()`, `wait()` and `wait_for()` of a `threading.Condition` where neither the function
    /// nor its callers hold the condition's lock.
    ///
    /// ## Why is this bad?
    /// It raises `RuntimeError: cannot notify on un-acquired lock`. Often it is only reached in the rare case that
    /// nobody has tried, such as shutdown, and then it hides the real error and leaves the others waiting.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// items = []
    /// changed = threading.Condition()
    ///
    /// def put(item):
    ///     with changed:
    ///         items.append(item)
    ///     changed.notify()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// items = []
    /// changed = threading.Condition()
    ///
    /// def put(item):
    ///     with changed:
    ///         items.append(item)
    ///         changed.notify()
    /// ```
    ///
    /// ## Limits
    /// A function may be meant to be called with the lock held. Where no caller is known, only a name such as
    /// `_notify_locked` says so; private functions without callers are of low confidence.
    ///
    /// ## References
    /// - [threading.Condition.notify](https://docs.python.org/3/library/threading.html#threading.Condition.notify)
    pub(crate) static NOTIFY_WITHOUT_LOCK = {
        code: "AET308", name: "notify-without-lock", summary: "`notify()` or `wait()` without the condition's lock",
        family: Locks, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const METHODS: &[(Qual, &str)] = &[
    (Qual::of("threading.Condition.notify"), "notify"),
    (Qual::of("threading.Condition.notify_all"), "notify_all"),
    (Qual::of("threading.Condition.notifyAll"), "notifyAll"),
    (Qual::of("threading.Condition.wait"), "wait"),
    (Qual::of("threading.Condition.wait_for"), "wait_for"),
];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        for (at, event) in cx.events(local) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(name) = cx.program.library_callee(cx.module, call) else { continue };
            let Some(&(_, method)) = METHODS.iter().find(|(method, _)| *method == name) else { continue };
            let Term::Attr(base, _) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else { continue };
            let Some((lock, _)) = cx.program.lock_and_owner(cx.module, local, base) else { continue };
            let use_of = Use { function, event: at, lock };
            if let Some(confidence) = use_of.confidence(cx)
                && findings.wants(confidence)
            {
                findings.report(use_of.describe(cx, cx.span(event.range), method, confidence));
            }
        }
    }
}

/// A method of a condition, called.
struct Use {
    function: FuncId,
    event: EventIx,
    lock: LockId,
}

impl Use {
    /// How sure we are that nobody holds the lock; nothing if somebody does, or may.
    fn confidence(&self, cx: &RuleContext<'_>) -> Option<Confidence> {
        let program = cx.program;
        let ctx = cx.facts().events[self.event.index()].ctx;
        let held = program.holding(self.function, Some(self.event), ctx);
        if held.iter().any(|held| held.lock == self.lock)
            || program.held(cx.module, self.function, self.event).holds(self.lock)
        {
            return None;
        }
        // A condition over a lock that was handed in: the lock has another name there.
        let is_foreign = matches!(program.lock(self.lock).place.root, PlaceRoot::Cell(..));
        let vague = held.iter().any(|held| program.place_kind(program.lock(held.lock).place).role().is_none());
        if (is_foreign && !held.is_empty())
            || vague
            || self.gives_back(cx)
            || evidence::assumes_lock(program, self.function)
        {
            return None;
        }
        if self.enters_something(cx) {
            return Some(Confidence::Low);
        }
        if self.takes_it_elsewhere(cx) {
            return Some(Confidence::High);
        }
        let sites = program.callers(self.function);
        let locked = sites.iter().any(|site| {
            let (module, _) = program.func_local(site.caller);
            program.held(module, site.caller, site.event).holds(self.lock)
                || program.holding(site.caller, Some(site.event), site.ctx).iter().any(|held| held.lock == self.lock)
        });
        let name = cx.facts().name(program.function(self.function).name);
        let is_root = program.roots().any(|(_, root)| root.function == self.function);
        Some(match () {
            () if locked => Confidence::Low,
            () if is_root || !sites.is_empty() => Confidence::High,
            () if name.starts_with('_') || program.function(self.function).flags.is_lambda => Confidence::Low,
            () => Confidence::Medium,
        })
    }

    /// Whether the function releases the lock later without having taken it: it was entered with the lock held.
    fn gives_back(&self, cx: &RuleContext<'_>) -> bool {
        self.steps(cx, sym!("release")).any(|event| event > self.event)
            && self.steps(cx, sym!("acquire")).all(|event| event > self.event)
    }

    /// Whether the function takes the lock itself, but not here.
    fn takes_it_elsewhere(&self, cx: &RuleContext<'_>) -> bool {
        cx.program.taken_by(self.function).iter().any(|taken| taken.lock == self.lock && taken.calls == 0)
    }

    /// Whether the call stands in a `with` of something unknown, which may take the lock.
    fn enters_something(&self, cx: &RuleContext<'_>) -> bool {
        let (_, local) = cx.program.func_local(self.function);
        let ctx = cx.facts().events[self.event.index()].ctx;
        cx.facts().ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
            CtxKind::With(term, _) => {
                let known = cx.program.lock_and_owner(cx.module, local, term).is_some();
                !known && matches!(cx.program.kind(cx.module, term), Kind::Unknown | Kind::Mixed | Kind::Instance(_))
            }
            _ => false,
        })
    }

    /// The calls of a method of the lock in the function.
    fn steps<'a>(&'a self, cx: &'a RuleContext<'_>, method: Sym) -> impl Iterator<Item = EventIx> + 'a {
        let (_, local) = cx.program.func_local(self.function);
        cx.events(local).filter_map(move |(at, event)| {
            let EventKind::Call(call) = event.kind else { return None };
            let Term::Attr(base, name) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else {
                return None;
            };
            let found = if name == method { cx.program.lock_and_owner(cx.module, local, base) } else { None };
            found.is_some_and(|(lock, _)| lock == self.lock).then_some(at)
        })
    }

    fn describe(&self, cx: &RuleContext<'_>, span: Span, method: &str, confidence: Confidence) -> Finding {
        let name = cx.program.lock_name(self.lock);
        let mut finding = Finding::new(span, confidence, format!("`{method}()` without holding `{name}`"))
            .label("raises RuntimeError");
        for taken in cx
            .program
            .taken_by(self.function)
            .iter()
            .filter(|taken| taken.lock == self.lock && taken.calls == 0)
            .take(1)
        {
            let (_, acquisition) = cx.program.way_to(taken);
            finding = show::add(
                finding,
                EvidenceRole::Lock,
                acquisition.span,
                format!("`{name}` is held here, but not any more (or not yet) at the call"),
            );
        }
        if let Some(site) = cx.program.callers(self.function).first() {
            let (module, _) = cx.program.func_local(site.caller);
            let caller = cx.program.function_name(site.caller);
            finding = show::add(
                finding,
                EvidenceRole::CallPath,
                cx.program.span(module, site.range),
                format!("called from `{caller}`"),
            );
        }
        finding
            .note("all builds: a condition checks that its lock is held")
            .help(format!("call it inside `with {}:`", name.rsplit('.').next().unwrap_or(&name)))
    }
}
