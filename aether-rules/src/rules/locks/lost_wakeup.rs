//! `AET317`: `while not items: with cond: cond.wait()`

use rustc_hash::FxHashSet;

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, Const, CtxIx, CtxKind, EventKind, FuncIx, Sym, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Callee, FuncId, LockId, Place, Touch};
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports `Condition.wait()` whose condition is tested before the lock is taken, and not again under it.
    ///
    /// ## Why is this bad?
    /// Between the test and the lock another thread may change what was tested and notify: nobody waits yet, so the
    /// notification is lost. The wait that follows lasts until the next one, or for all of its timeout, although what it
    /// waits for is there. It happens on every build.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Inbox:
    ///     def __init__(self):
    ///         self._changed = threading.Condition()
    ///         self._letters = []
    ///
    ///     def put(self, letter):
    ///         with self._changed:
    ///             self._letters.append(letter)
    ///             self._changed.notify()
    ///
    ///     def take(self):
    ///         while not self._letters:
    ///             with self._changed:
    ///                 self._changed.wait()
    ///         return self._letters.pop()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Inbox:
    ///     def __init__(self):
    ///         self._changed = threading.Condition()
    ///         self._letters = []
    ///
    ///     def put(self, letter):
    ///         with self._changed:
    ///             self._letters.append(letter)
    ///             self._changed.notify()
    ///
    ///     def take(self):
    ///         with self._changed:
    ///             while not self._letters:
    ///                 self._changed.wait()
    ///             return self._letters.pop()
    /// ```
    ///
    /// ## Limits
    /// Only a test of something that a notifier changes under the condition's lock counts: read directly, by a method that
    /// is called, or kept in a local variable. A lock taken by `acquire()` is not followed. Where a timeout limits the harm
    /// to a delay, a flag that is only ever `True` or `False`, and a timeout of a second or less, are shown under `--all`
    /// only.
    ///
    /// ## References
    /// - [threading: condition objects](https://docs.python.org/3/library/threading.html#condition-objects)
    pub(crate) static LOST_WAKEUP = {
        code: "AET317", name: "lost-wakeup", summary: "what `Condition.wait()` waits for is tested before the lock is taken",
        mentions: &[Sym::new("wait")],
        family: Locks, level: Error, since: "0.1.0", versions: "all",
        yields_to: &["AET308"], check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        for (_, event) in cx.events(local) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(lock) = called_on(cx, local, call, &[sym!("wait")]) else { continue };
            if let Some(finding) = lost(cx, (local, function), call, event.ctx, lock)
                && findings.wants(finding.confidence)
            {
                findings.report(finding);
            }
        }
    }
}

/// The lock of the condition of which one of these methods is called.
fn called_on(cx: &RuleContext<'_>, local: FuncIx, call: CallIx, methods: &[Sym]) -> Option<LockId> {
    let facts = cx.facts();
    let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
    if !methods.contains(&method) {
        return None;
    }
    let name = cx.program.library_callee(cx.module, call)?;
    let is_conditions = name == qual!("threading.Condition").child(method);
    is_conditions.then(|| cx.program.lock_of(cx.module, local, base)).flatten()
}

/// A wait whose condition was tested before the lock was taken.
fn lost(
    cx: &RuleContext<'_>,
    (local, function): (FuncIx, FuncId),
    call: CallIx,
    ctx: CtxIx,
    lock: LockId,
) -> Option<Finding> {
    let facts = cx.facts();
    let takes = |kind: CtxKind| matches!(kind, CtxKind::With(term, _) if cx.program.lock_of(cx.module, local, term) == Some(lock));
    let mut around = facts.ctx_chain(ctx);
    let inside = around.by_ref().map(|(_, ctx)| ctx.kind).take_while(|&kind| !takes(kind));
    // Any condition under the lock is taken for a second look.
    let mut inside = inside.peekable();
    let looks_again = inside.any(|kind| !matches!(kind, CtxKind::Try | CtxKind::With(..)));
    if looks_again || cx.program.held_on_entry(function).holds(lock) {
        return None;
    }
    let outside: Vec<_> = facts.ctx_chain(ctx).skip_while(|(_, ctx)| !takes(ctx.kind)).skip(1).collect();
    if outside.is_empty() || outside.iter().any(|(_, ctx)| takes(ctx.kind)) {
        return None;
    }
    let notifiers = notifiers(cx, lock);
    let places = cx.program.places_of(cx.module).collect::<Vec<_>>();
    outside.into_iter().find_map(|(_, ctx)| {
        let CtxKind::Branch(test, _) = ctx.kind else { return None };
        places.iter().find_map(|&place| {
            let change = announced(cx, place, lock, &notifiers)?;
            let asks = reads(cx, local, test, place, 0);
            asks.then(|| describe(cx, call, cx.span(ctx.range), change, lock))
        })
    })
}

/// The functions that notify those who wait with a lock.
fn notifiers(cx: &RuleContext<'_>, lock: LockId) -> FxHashSet<FuncId> {
    let names = [sym!("notify"), sym!("notify_all"), sym!("notifyAll")];
    let notifies = |local: FuncIx| {
        cx.events(local).any(|(_, event)| match event.kind {
            EventKind::Call(call) => called_on(cx, local, call, &names) == Some(lock),
            _ => false,
        })
    };
    cx.functions().filter(|&(local, _)| notifies(local)).map(|(_, function)| function).collect()
}

/// The change of a place, under the lock, by somebody who then notifies.
fn announced<'a>(
    cx: &RuleContext<'a>,
    place: Place,
    lock: LockId,
    notifiers: &FxHashSet<FuncId>,
) -> Option<&'a Access> {
    cx.program.accesses(place).iter().find(|access| {
        access.kind.writes() && notifiers.contains(&access.function) && cx.program.held_at_access(access).holds(lock)
    })
}

/// Whether what a test asks was read from a place: there, by a method it calls, or before, into a local variable.
fn reads(cx: &RuleContext<'_>, local: FuncIx, term: TermId, place: Place, depth: usize) -> bool {
    const MAX_DEPTH: usize = 6;
    let facts = cx.facts();
    if depth > MAX_DEPTH {
        return false;
    }
    let part = |term: TermId| reads(cx, local, term, place, depth + 1);
    match facts.terms.get(term) {
        Term::Not(one) => part(one),
        Term::And(a, b) | Term::Or(a, b) | Term::Compare(_, a, b) => part(a) || part(b),
        Term::Attr(..) => is_at(cx, local, term, place),
        Term::Name(_) => {
            let kept = facts.var_of(term).filter(|var| facts.vars[var.index()].scope.0 != 0);
            match kept.map(|var| &facts.vars[var.index()].values[..]) {
                Some(&[value]) => part(value),
                Some(_) => false,
                None => is_at(cx, local, term, place),
            }
        }
        Term::Call(call) => {
            let asked = facts.args_of(call).iter().any(|arg| part(arg.value)) || part(facts.receiver_of(call));
            asked || is_read_by(cx, call, place)
        }
        _ => false,
    }
}

fn is_at(cx: &RuleContext<'_>, local: FuncIx, term: TermId, place: Place) -> bool {
    cx.program.place(cx.module, local, term).is_some_and(|(here, _)| here == place)
}

/// Whether a function that is called reads a place.
fn is_read_by(cx: &RuleContext<'_>, call: CallIx, place: Place) -> bool {
    let Callee::Function(called, _) = cx.program.callee(cx.module, call) else { return false };
    cx.program.accesses(place).iter().any(|access| access.function == called && !access.kind.writes())
}

/// Whether a place only ever holds `True` or `False`.
fn is_flag(cx: &RuleContext<'_>, place: Place) -> bool {
    let mut writes = cx.program.accesses(place).iter().filter(|access| access.kind.writes());
    writes.all(|access| match access.kind {
        AccessKind::Write(Touch::Whole, value) => {
            let facts = &cx.program.module(access.module).facts;
            matches!(facts.terms.get(value), Term::Const(Const::True | Const::False))
        }
        _ => false,
    })
}

/// Whether a wait is over after a second at most.
fn is_short(cx: &RuleContext<'_>, call: CallIx) -> bool {
    let facts = cx.facts();
    let limit = facts.arg(call, 0, sym!("timeout")).map(|arg| facts.terms.get(arg.value));
    matches!(limit, Some(Term::Const(Const::Int(0 | 1) | Const::Other)))
}

fn describe(cx: &RuleContext<'_>, call: CallIx, test: crate::source::Span, change: &Access, lock: LockId) -> Finding {
    let facts = cx.facts();
    let place = cx.program.place_name(change.place);
    let name = cx.program.lock_name(lock);
    let is_limited = !facts.args_of(call).is_empty();
    let confidence = if is_limited && (is_flag(cx, change.place) || is_short(cx, call)) {
        Confidence::Low
    } else {
        Confidence::Medium
    };
    let consequence = if is_limited {
        "all builds: the notification is lost, and the wait lasts for all of its timeout"
    } else {
        "all builds: the notification is lost, and the wait may never end"
    };
    let span = cx.span(facts.calls[call.index()].range);
    Finding::new(span, confidence, format!("waits for `{place}`, which was tested before `{name}` was taken"))
        .label("the notification may have come already")
        .evidence(Evidence::new(EvidenceRole::OtherAccess, test, "tested here, without the lock"))
        .evidence(Evidence::new(
            EvidenceRole::OtherAccess,
            evidence::span_of(cx.program, change),
            "another thread may change it and notify in between",
        ))
        .note(consequence)
        .help(format!("take `{name}` first, and test under it: `with {name}: while …: {name}.wait()`"))
}
