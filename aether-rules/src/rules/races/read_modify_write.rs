//! `AET102`: `x = x + 1`, `d[k] = d.get(k, 0) + 1`, and the same split over statements.

use crate::check_then_act;
use crate::declare_rule;
use crate::evidence;
use crate::facts::{CtxIx, CtxKind, EventKind, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, Callee, Sharing, Touch};
use crate::qual;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports an assignment whose value was computed from the place it writes (`total = total + n`,
    /// `counts[word] = counts.get(word, 0) + 1`, or the read and the write in two statements), when another thread
    /// writes the place too and no lock is held in common.
    ///
    /// ## Why is this bad?
    /// What the other thread wrote between the read and the write is overwritten. On builds with the GIL 125 000 of
    /// 800 000 `d[k] = d.get(k, 0) + 1` were lost in a stress test (3.13); free-threaded builds lose more.
    ///
    /// ## Example
    /// ```python bad
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// counts = {}
    ///
    /// def count(word):
    ///     counts[word] = counts.get(word, 0) + 1
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(count, ["a", "b", "a"])
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    /// from concurrent.futures import ThreadPoolExecutor
    ///
    /// counts = {}
    /// lock = threading.Lock()
    ///
    /// def count(word):
    ///     with lock:
    ///         counts[word] = counts.get(word, 0) + 1
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(count, ["a", "b", "a"])
    /// ```
    ///
    /// ## Limits
    /// `x = x or default` is lazy initialisation and has a rule of its own. A value that travels through more than one
    /// local name, or through another function, is not followed. A copy put back untouched is no change. `self.x = f(self.x)`
    /// in a cached property is shown under `--all` only, where no thread is known: whoever comes second does the same. So is what a
    /// method does that makes the object ready (`connect`, `_setup_transport`), and what changes an element of a container
    /// that the same branch has just made and stored. What is documented as called with the lock held is believed until
    /// somebody is seen to call it without, where others hold one.
    ///
    /// ## References
    /// - [Python FAQ: what kinds of global value mutation are thread-safe?](https://docs.python.org/3/faq/library.html#what-kinds-of-global-value-mutation-are-thread-safe)
    pub(crate) static READ_MODIFY_WRITE = {
        code: "AET102", name: "read-modify-write", summary: "shared state is read, changed and written back in separate steps",
        family: Races, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let accesses = cx.program.accesses(place).iter();
        let candidates = accesses.filter(|access| cx.program.writes_back(access) && !puts_back(cx, access));
        let sharings = candidates.filter_map(|access| sharing(cx, access).map(|sharing| (access, sharing)));
        let sharings = sharings.map(|(access, sharing)| (access, confidence(cx, access, &sharing), sharing));
        let best = sharings.min_by_key(|(access, confidence, _)| {
            (std::cmp::Reverse(*confidence), access.module, access.range.start())
        });
        if let Some((access, confidence, sharing)) = best
            && findings.wants(confidence)
        {
            findings.report(describe(cx, access, confidence, &sharing));
        }
    }
}

/// As sure as the sharing; `self.x = f(self.x)` in a cached property comes out alike in whichever thread is second.
fn confidence(cx: &RuleContext<'_>, access: &Access, sharing: &Sharing<'_>) -> Confidence {
    let is_proven = matches!(sharing, Sharing::Proven(_));
    let is_apart = || is_cached(cx, access) || check_then_act::sets_up(cx, access);
    if (!is_proven && is_apart()) || fills_own_new(cx, access) { Confidence::Low } else { sharing.confidence() }
}

/// Whether an element is changed of a container that the same branch has just made and stored: whoever else comes there
/// makes one of its own, and that it is seen half filled is another rule's business.
fn fills_own_new(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let is_new = |value: TermId| match facts.terms.get(value) {
        Term::Display(_, list) => facts.terms.list(list).is_empty(),
        _ => false,
    };
    let is_asked = |ctx: CtxIx| facts.ctx_chain(ctx).any(|(_, ctx)| matches!(ctx.kind, CtxKind::Branch(..)));
    matches!(access.kind, AccessKind::Write(Touch::Element(_), _))
        && cx.program.accesses(access.place).iter().any(|other| {
            other.function == access.function
                && other.event < access.event
                && facts.ctx_within(access.ctx, other.ctx)
                && is_asked(other.ctx)
                && matches!(other.kind, AccessKind::Write(Touch::Whole, value) if is_new(value))
        })
}

/// Whether a decorator keeps what the function returns, so that it runs once for each thread that is first.
fn is_cached(cx: &RuleContext<'_>, access: &Access) -> bool {
    let (module, local) = cx.program.func_local(access.function);
    let facts = &cx.program.module(module).facts;
    let name = |decorator: TermId| match facts.terms.get(decorator) {
        Term::Attr(_, name) => facts.name(name).to_owned(),
        _ => facts.var_of(decorator).map_or(String::new(), |var| facts.name(facts.vars[var.index()].name).to_owned()),
    };
    facts.functions[local.index()].decorators.iter().any(|&decorator| name(decorator).contains("cached"))
}

/// `x = cast(T, x)`: the very object that was there.
fn is_cast(cx: &RuleContext<'_>, access: &Access, value: TermId) -> bool {
    let facts = &cx.program.module(access.module).facts;
    let Term::Call(call) = facts.terms.get(value) else { return false };
    cx.program.library_callee(access.module, call) == Some(qual!("typing.cast"))
        && facts.positional(call, 1).is_some_and(|arg| arg.value.same(access.term))
}

/// Whether what is written is a copy of what was there, taken earlier and not touched since: it is put back, not changed.
fn puts_back(cx: &RuleContext<'_>, access: &Access) -> bool {
    let AccessKind::Write(_, value) = access.kind else { return false };
    if is_cast(cx, access, value) {
        return true;
    }
    let (module, local) = cx.program.func_local(access.function);
    let facts = &cx.program.module(module).facts;
    let Some(var) = facts.var_of(value) else { return false };
    let [saved] = facts.vars[var.index()].values[..] else { return false };
    let Term::Call(copy) = facts.terms.get(saved) else { return false };
    let is_name = |term: TermId| facts.var_of(term) == Some(var);
    let is_copy = matches!(facts.args_of(copy), [of] if of.value.same(access.term))
        && matches!(cx.program.callee(module, copy), Callee::Lib(_));
    let is_touched = facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Store(target, _) | EventKind::Augment(target, _) | EventKind::Delete(target) => {
            matches!(facts.terms.get(target), Term::Item(base, _) | Term::Attr(base, _) if is_name(base))
        }
        EventKind::Call(call) => {
            is_name(facts.receiver_of(call)) || facts.args_of(call).iter().any(|arg| is_name(arg.value))
        }
        _ => false,
    });
    is_copy && !is_touched
}

/// How the place is shared, if nothing is held from the read to the write that the other side holds too.
fn sharing<'a>(cx: &RuleContext<'a>, access: &'a Access) -> Option<Sharing<'a>> {
    let held = cx.program.held_through(access);
    // Every update holds the lock; the bare access on the other side is what `AET103` reports.
    if !held.is_empty() && cx.program.updates_share_a_lock(access.place) {
        return None;
    }
    if let Some(conflict) = cx.program.conflict_holding(access, &held, |other| other.kind.writes()) {
        return Some(Sharing::Proven(conflict));
    }
    let sharing = cx.program.sharing(access, |other| other.kind.writes())?;
    let assumed = matches!(sharing, Sharing::Promised(_)) && evidence::assumes_lock(cx.program, access.function);
    (held.is_empty() && !assumed).then_some(sharing)
}

fn describe(cx: &RuleContext<'_>, access: &Access, confidence: Confidence, sharing: &Sharing<'_>) -> Finding {
    let name = cx.program.place_name(access.place);
    let message = format!("shared `{name}` is read, changed and written back without a lock");
    let finding = Finding::new(evidence::span_of(cx.program, access), confidence, message)
        .label("written from a value that may be stale by now");
    let mut finding = evidence::explain(cx.program, finding, access, sharing);
    if let Some(read) = cx.program.read_before(access)
        && !access.range.contains_range(read.range)
        && !finding.evidence.iter().any(|known| known.span == evidence::span_of(cx.program, read))
    {
        let text = format!("`{name}` is read here, and may change before it is written back");
        finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, evidence::span_of(cx.program, read), text));
    }
    let help = match evidence::lock_of_place(cx.program, access.place) {
        Some(lock) => format!("hold `{lock}` from the read to the write"),
        None => "hold one lock from the read to the write, and wherever else the place is written".to_owned(),
    };
    finding.note("all builds: the GIL may be handed over between any two bytecodes").help(help)
}
