//! `AET302`: a table of locks in which two threads may put two locks for one key.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, CtxKind, Event, EventIx, EventKind, FuncIx, Term, TermId};
use crate::link::{Access, Callee, FuncId, Kind, Place, PlaceRoot, Sharing, ThreadOf};
use crate::model::{Role, result_of, role_of};
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a lock that is made for a key after a look into a shared table, and then stored there
    /// (`if k not in locks: locks[k] = Lock()`), and `defaultdict(Lock)` that is read without a lock.
    ///
    /// ## Why is this bad?
    /// Two threads look, both find nothing, both make a lock. The second overwrites the first in the table: the two
    /// threads hold different locks for the same key and exclude nobody.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// locks = {}
    ///
    /// def lock_for(path):
    ///     if path not in locks:
    ///         locks[path] = threading.Lock()
    ///     return locks[path]
    ///
    /// def write(path):
    ///     with lock_for(path):
    ///         print(path)
    ///
    /// for _ in range(2):
    ///     threading.Thread(target=write, args=("a",)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// locks = {}
    ///
    /// def lock_for(path):
    ///     return locks.setdefault(path, threading.Lock())
    ///
    /// def write(path):
    ///     with lock_for(path):
    ///         print(path)
    ///
    /// for _ in range(2):
    ///     threading.Thread(target=write, args=("a",)).start()
    /// ```
    ///
    /// ## Limits
    /// `dict.setdefault` has one winner, always. A `defaultdict` whose factory is written in C has one winner with the
    /// GIL; without it the later lock replaces the earlier one up to Python 3.14. Objects that contain a lock are not
    /// looked into, and neither is `__missing__` of a subclass.
    ///
    /// ## References
    /// - [collections.defaultdict](https://docs.python.org/3/library/collections.html#collections.defaultdict)
    pub(crate) static LOCK_PER_KEY_RACE = {
        code: "AET302", name: "lock-per-key-race", summary: "two threads may make two locks for one key",
        family: Locks, level: Error, since: "0.1.0", versions: "all (`defaultdict`: free-threaded builds ≤ 3.14)",
        check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        for (at, event) in cx.events(local) {
            let EventKind::Store(target, value) = event.kind else { continue };
            inserted(cx, (local, function), (at, event), (target, value), findings);
            default_made(cx, local, target, value, findings);
        }
    }
}

/// `locks[key] = Lock()` after a look.
fn inserted(
    cx: &RuleContext<'_>,
    (local, function): (FuncIx, FuncId),
    (at, event): (EventIx, Event),
    (target, value): (TermId, TermId),
    findings: &mut Findings<'_>,
) {
    let facts = cx.facts();
    let Term::Item(table, _) = facts.terms.get(target) else { return };
    let Some(made) = lock_made(cx, value) else { return };
    let Some((place, _)) = cx.program.place(cx.module, local, table) else { return };
    let looked = facts.ctx_chain(event.ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, _) => mentions(cx, test, table, 0),
        CtxKind::Handler(_) => true,
        _ => false,
    });
    if !looked
        || is_setup(cx, function)
        || !cx.program.held(cx.module, function, at).is_empty()
        || evidence::assumes_lock(cx.program, function)
    {
        return;
    }
    let access = cx.program.accesses(place).iter().find(|access| access.module == cx.module && access.event == at);
    let Some(confidence) = confidence(cx, place, access) else { return };
    if !findings.wants(confidence) {
        return;
    }
    let name = cx.program.place_name(place);
    let message = format!("two threads may each put a lock of their own into `{name}` for the same key");
    let mut finding = Finding::new(cx.span(facts.calls[made.index()].range), confidence, message)
        .label("made after a look: the other thread looked too");
    finding = explain(cx, finding, access);
    findings.report(
        finding
            .help(format!("`{name}.setdefault(key, Lock())` has one winner; or look and store under one common lock")),
    );
}

/// `defaultdict(Lock)` that is indexed with no lock held.
fn default_made(cx: &RuleContext<'_>, local: FuncIx, target: TermId, value: TermId, findings: &mut Findings<'_>) {
    let facts = cx.facts();
    let Term::Call(call) = facts.terms.get(value) else { return };
    if cx.program.library_callee(cx.module, call) != Some(qual!("collections.defaultdict")) {
        return;
    }
    let Some(factory) = facts.positional(call, 0) else { return };
    if !makes_lock(cx, factory.value) {
        return;
    }
    let Some((place, _)) = cx.program.place(cx.module, local, target) else { return };
    let Some((function, at)) = bare_lookup(cx, place) else { return };
    let Some(confidence) = lookup_confidence(cx, place) else { return };
    if !findings.wants(confidence) {
        return;
    }
    let name = cx.program.place_name(place);
    let message =
        format!("`{name}` may make two locks for one key: a missing key is looked up and filled in two steps");
    let mut finding = Finding::new(cx.span(facts.calls[call.index()].range), confidence, message)
        .label("each miss calls the factory");
    let range = facts.events[at.index()].range;
    let text = format!("looked up in `{}` with no lock held", cx.program.function_name(function));
    finding = evidence::locks::add(finding, crate::finding::EvidenceRole::OtherAccess, cx.span(range), text);
    finding = explain(cx, finding, None);
    findings.report(
        finding.help(format!(
            "use a plain dict and `{name}.setdefault(key, Lock())`, or look it up under one common lock"
        )),
    );
}

fn explain(cx: &RuleContext<'_>, finding: Finding, access: Option<&Access>) -> Finding {
    let sharing = access.and_then(|access| Some((access, cx.program.sharing(access, |_| true)?)));
    match sharing {
        Some((access, sharing @ Sharing::Proven(_))) => evidence::explain(cx.program, finding, access, &sharing),
        _ => finding.note("a table of locks is there to be used by several threads"),
    }
}

/// How sure we are that two threads meet; nothing if they are known not to.
fn confidence(cx: &RuleContext<'_>, place: Place, access: Option<&Access>) -> Option<Confidence> {
    match access {
        Some(access) => match cx.program.sharing(access, |_| true)? {
            Sharing::Proven(_) => Some(Confidence::High),
            Sharing::Promised(_) | Sharing::Possible => Some(Confidence::Medium),
        },
        // Not worth remembering for other rules: no thread comes near it. A local table is one per call.
        None => (!matches!(place.root, PlaceRoot::Cell(..))).then_some(Confidence::Medium),
    }
}

/// How sure we are that two threads look up a missing key; nothing if only one thread ever does.
fn lookup_confidence(cx: &RuleContext<'_>, place: Place) -> Option<Confidence> {
    let bare = cx.program.accesses(place).iter().filter(|access| cx.program.held_at_access(access).is_empty());
    let mut threads: Vec<ThreadOf> = bare.flat_map(|access| cx.program.threads_of(access)).collect();
    threads.sort_unstable();
    threads.dedup();
    match threads[..] {
        [ThreadOf::Root(root)] => cx.program.overlaps_itself(root).then_some(Confidence::High),
        [] | [ThreadOf::Main] => (!matches!(place.root, PlaceRoot::Cell(..))).then_some(Confidence::Medium),
        _ => Some(Confidence::High),
    }
}

/// The call that makes the lock a term denotes.
fn lock_made(cx: &RuleContext<'_>, value: TermId) -> Option<CallIx> {
    let facts = cx.facts();
    let is_lock = |term: TermId| match facts.terms.get(term) {
        Term::Call(call) if matches!(cx.program.callee(cx.module, call), Callee::Lib(_)) => {
            matches!(cx.program.kind(cx.module, term).role(), Some(Role::Lock(_))).then_some(call)
        }
        _ => None,
    };
    match facts.terms.get(value) {
        Term::Name(_) => {
            let var = facts.var_of(value)?;
            facts.vars[var.index()].values.iter().find_map(|&value| is_lock(value))
        }
        _ => is_lock(value),
    }
}

fn makes_lock(cx: &RuleContext<'_>, factory: TermId) -> bool {
    match cx.program.kind(cx.module, factory) {
        Kind::Lib(name) => matches!(role_of(result_of(name)), Some(Role::Lock(_))),
        Kind::Function(function) => {
            let (module, local) = cx.program.func_local(function);
            cx.program.module(module).facts.events_of(local).iter().any(|event| match event.kind {
                EventKind::Return(value) => matches!(cx.program.kind(module, value).role(), Some(Role::Lock(_))),
                _ => false,
            })
        }
        _ => false,
    }
}

/// Where an element of a table is looked up with no lock held.
fn bare_lookup(cx: &RuleContext<'_>, place: Place) -> Option<(FuncId, EventIx)> {
    let facts = cx.facts();
    cx.functions().filter(|(_, function)| !is_setup(cx, *function)).find_map(|(local, function)| {
        let mut lookups = cx.events(local).filter(|(_, event)| match event.kind {
            EventKind::Load(term) => match facts.terms.get(term) {
                Term::Item(table, _) => {
                    cx.program.place(cx.module, local, table).is_some_and(|(other, _)| other == place)
                }
                _ => false,
            },
            _ => false,
        });
        lookups.find(|(at, _)| cx.program.held(cx.module, function, *at).is_empty()).map(|(at, _)| (function, at))
    })
}

/// Code that runs before anybody else can see the table.
fn is_setup(cx: &RuleContext<'_>, function: FuncId) -> bool {
    let is_constructor = |function: FuncId| {
        let name = cx.program.function(function).name;
        name == sym!("__init__") || name == sym!("__new__") || cx.program.func_local(function).1 == FuncIx(0)
    };
    let sites = cx.program.callers(function);
    is_constructor(function) || (!sites.is_empty() && sites.iter().all(|site| is_constructor(site.caller)))
}

/// Whether a test looks into the table, if only through a name for what was found there.
fn mentions(cx: &RuleContext<'_>, test: TermId, table: TermId, depth: usize) -> bool {
    const MAX_DEPTH: usize = 5;
    let facts = cx.facts();
    if depth > MAX_DEPTH || test.is_opaque() {
        return false;
    }
    if test.same(table) || facts.terms.children(test).any(|part| mentions(cx, part, table, depth + 1)) {
        return true;
    }
    match facts.terms.get(test) {
        Term::Call(call) => {
            mentions(cx, facts.calls[call.index()].callee, table, depth + 1)
                || facts.args_of(call).iter().any(|arg| mentions(cx, arg.value, table, depth + 1))
        }
        Term::Name(_) => facts.var_of(test).is_some_and(|var| {
            facts.vars[var.index()].values.iter().take(4).any(|&value| mentions(cx, value, table, depth + 1))
        }),
        _ => false,
    }
}
