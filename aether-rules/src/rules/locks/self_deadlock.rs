//! `AET305`: a lock that is not reentrant is taken again by the thread that holds it.

use crate::declare_rule;
use crate::evidence::locks as show;
use crate::facts::{CtxIx, CtxKind, Term, TermId};
use crate::link::{FuncId, Nested, Owner, Place, Via};
use crate::model::{LockKind, Role};
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports a `threading.Lock` (or a semaphore of one, or a condition over a `Lock`) that is taken while the same
    /// thread holds it: directly, or by a function, method or property it calls, however far down.
    ///
    /// ## Why is this bad?
    /// A `Lock` does not know who holds it. The second acquisition waits for the first to end, which waits for the
    /// second: the thread hangs for good, and so does everybody who needs the lock after it.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Account:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._balance = 0
    ///
    ///     def deposit(self, amount):
    ///         with self._lock:
    ///             self._balance += amount
    ///
    ///     def move_all(self, other):
    ///         with self._lock:
    ///             other.deposit(self._balance)
    ///             self.deposit(-self._balance)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Account:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._balance = 0
    ///
    ///     def deposit(self, amount):
    ///         with self._lock:
    ///             self._deposit_locked(amount)
    ///
    ///     def _deposit_locked(self, amount):
    ///         self._balance += amount
    ///
    ///     def move_all(self, other):
    ///         with self._lock:
    ///             amount = self._balance
    ///             self._deposit_locked(-amount)
    ///         other.deposit(amount)
    /// ```
    ///
    /// ## Limits
    /// The lock of another instance of the same class is another lock, so a cycle of objects that leads back to the
    /// first is not seen. What stored callbacks do is unknown. An acquisition that can fail (`blocking=False`, a
    /// timeout) does not hang, and one that first asks who holds the lock is trusted, as is a function that gives the lock
    /// back before it takes it again. Where functions on the way take the lock only while something global is missing
    /// (`if cls._instance is None`), the finding has low confidence (`--all`).
    ///
    /// ## References
    /// - [threading: lock objects](https://docs.python.org/3/library/threading.html#lock-objects)
    pub(crate) static SELF_DEADLOCK = {
        code: "AET305", name: "self-deadlock", summary: "lock is taken again by the thread that holds it",
        family: Locks, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let mut reported = None;
    for nested in cx.program.nested_locks(cx.module) {
        if reported == Some(nested.span) || !is_same_lock(cx, nested) || cx.program.is_reentrant(nested.taken.lock) {
            continue;
        }
        let Some(confidence) = confidence(cx, nested) else { continue };
        if findings.wants(confidence) {
            findings.report(describe(cx, nested, confidence));
        }
        reported = Some(nested.span);
    }
}

/// Whether inner and outer lock are the same object, not only the same attribute.
fn is_same_lock(cx: &RuleContext<'_>, nested: &Nested) -> bool {
    if nested.held.lock != nested.taken.lock {
        return false;
    }
    match (nested.held.owner, nested.taken.owner) {
        (Owner::Own, Owner::Own) | (Owner::Everybody, Owner::Everybody) | (Owner::Closure, Owner::Closure) => true,
        _ => match nested.taken.via {
            // `with peer.lock: … with peer.lock:`
            Via::Here(inner) => {
                inner.term.same(nested.held.term) && matches!(cx.facts().terms.get(inner.term), Term::Attr(..))
            }
            Via::Call(..) => false,
        },
    }
}

/// How sure we are that the second acquisition hangs; nothing if the lock has room for two, or is free by then.
fn confidence(cx: &RuleContext<'_>, nested: &Nested) -> Option<Confidence> {
    if is_given_back(cx, nested) {
        return None;
    }
    if !cx.program.is_surely_plain(nested.taken.lock) {
        let kind = cx.program.place_kind(cx.program.lock(nested.taken.lock).place).role();
        return (kind != Some(Role::Lock(LockKind::Semaphore))).then_some(Confidence::Low);
    }
    Some(match nested.taken.via {
        Via::Here(_) => Confidence::High,
        Via::Call(..) if is_tested_on_both_sides(cx, nested) => Confidence::Low,
        Via::Call(..) if is_lazy(cx, nested) => Confidence::Low,
        Via::Call(..) if nested.taken.conditional => Confidence::Medium,
        Via::Call(..) => Confidence::High,
    })
}

/// Whether the call depends on what the acquisition depends on: `if cls._instance: get()`, where `get` takes the lock
/// only if there is no instance yet.
fn is_tested_on_both_sides(cx: &RuleContext<'_>, nested: &Nested) -> bool {
    let mut at = nested.taken;
    let mut tested: Vec<Vec<Place>> = Vec::new();
    loop {
        match at.via {
            Via::Here(acquisition) => {
                tested.push(tested_places(cx, acquisition.function, acquisition.ctx));
                break;
            }
            Via::Call(site, callee, index) => {
                tested.push(tested_places(cx, site.caller, site.ctx));
                at = cx.program.taken_by(callee)[index as usize];
            }
        }
    }
    let Some((callers, below)) = tested.split_first() else { return false };
    callers.iter().any(|place| below.iter().flatten().any(|other| other == place))
}

/// Whether the lock is only taken to make what everybody finds there afterwards: `if _instance is None: create()`. Who
/// gets there with the lock held has it made, or would hang on the very first call.
fn is_lazy(cx: &RuleContext<'_>, nested: &Nested) -> bool {
    let mut at = nested.taken;
    while let Via::Call(_, callee, index) = at.via {
        let below = cx.program.taken_by(callee)[index as usize];
        let (function, ctx) = match below.via {
            Via::Here(acquisition) => (acquisition.function, acquisition.ctx),
            Via::Call(site, ..) => (site.caller, site.ctx),
        };
        let (module, local) = cx.program.func_local(function);
        if cx.program.missing_at(module, local, ctx).next().is_some() {
            return true;
        }
        at = below;
    }
    false
}

/// Whether a function on the way gives the lock back before it takes it again: it expects its caller to hold it.
fn is_given_back(cx: &RuleContext<'_>, nested: &Nested) -> bool {
    let (calls, _) = cx.program.way_to(&nested.taken);
    calls.iter().any(|&(_, callee)| cx.program.given_up(callee).contains(&nested.taken.lock))
}

/// The places that the tests around a step read.
fn tested_places(cx: &RuleContext<'_>, function: FuncId, ctx: CtxIx) -> Vec<Place> {
    let (module, local) = cx.program.func_local(function);
    let facts = &cx.program.module(module).facts;
    let mut pending: Vec<TermId> = Vec::new();
    pending.extend(facts.ctx_chain(ctx).filter_map(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, _) => Some(test),
        _ => None,
    }));
    let mut places = Vec::new();
    while let Some(term) = pending.pop() {
        match facts.terms.get(term) {
            Term::Not(inner) => pending.push(inner),
            Term::And(a, b) | Term::Or(a, b) | Term::Compare(_, a, b) => pending.extend([a, b]),
            Term::Name(_) | Term::Attr(..) => {
                places.extend(cx.program.place(module, local, term).map(|(place, _)| place));
            }
            _ => {}
        }
    }
    places
}

fn describe(cx: &RuleContext<'_>, nested: &Nested, confidence: Confidence) -> Finding {
    let name = cx.program.lock_name(nested.taken.lock);
    let (calls, _) = cx.program.way_to(&nested.taken);
    let (message, label) = match calls.first() {
        None => (format!("`{name}` is taken again while it is held"), "waits for itself for ever".to_owned()),
        Some(&(_, callee)) => {
            let callee = cx.program.function_name(callee);
            (
                format!("`{callee}` takes `{name}`, which is held by its caller here"),
                "the call never returns".to_owned(),
            )
        }
    };
    let finding = Finding::new(nested.span, confidence, message).label(label);
    let finding = show::way(cx.program, show::held(cx.program, finding, &nested.held), &nested.taken);
    finding
        .note("all builds: a `Lock` does not know its holder, so the thread waits for itself")
        .help(format!("release `{name}` first, split off a helper that expects it to be held, or make it an `RLock`"))
}
