//! `AET102`: `x = x + 1`, `d[k] = d.get(k, 0) + 1`, and the same split over statements.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, Term, TermId};
use crate::link::{Access, AccessKind, Place, Sharing, Touch};
use crate::sym;
use crate::{Finding, Findings, RuleContext};

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
    /// local name, or through another function, is not followed.
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
        let candidates = accesses.filter(|access| writes_back(cx, access));
        let unlocked = candidates.filter(|access| cx.program.held_at_access(access).is_empty());
        let sharings = unlocked.map(|access| (access, cx.program.sharing(access, |other| other.kind.writes())));
        let best = sharings.min_by_key(|(access, sharing)| (std::cmp::Reverse(sharing.confidence()), access.module, access.range.start()));
        let Some((access, sharing)) = best else { continue };
        let assumed = matches!(sharing, Sharing::Promised(_)) && evidence::assumes_lock(cx.program, access.function);
        if findings.wants(sharing.confidence()) && !assumed {
            findings.report(describe(cx, access, &sharing));
        }
    }
}

/// Whether an assignment writes a value computed from the place itself.
fn writes_back(cx: &RuleContext<'_>, access: &Access) -> bool {
    let AccessKind::Write(touch, value) = access.kind else { return false };
    let search = Search { cx, access, place: access.place, touch };
    search.computes_from_place(value, 0)
}

/// The question whether a term reads a place.
struct Search<'a> {
    cx: &'a RuleContext<'a>,
    access: &'a Access,
    place: Place,
    touch: Touch,
}

impl Search<'_> {
    /// Whether a value is an operation or call over what the place held.
    fn computes_from_place(&self, value: TermId, depth: usize) -> bool {
        let facts = &self.cx.program.module(self.access.module).facts;
        match facts.terms.get(value) {
            Term::Operation(a, b) => self.mentions(a, depth) || self.mentions(b, depth),
            Term::Call(call) => self.call_over_place(call, depth),
            Term::Name(_) if depth == 0 => self.local_value(value).is_some_and(|value| self.computes_from_place(value, 1)),
            _ => false,
        }
    }

    fn call_over_place(&self, call: CallIx, depth: usize) -> bool {
        let facts = &self.cx.program.module(self.access.module).facts;
        // `d[k] = f(d[k])`; a method of the old value may well be `copy`, which is copy-on-write.
        facts.args_of(call).iter().any(|arg| self.mentions(arg.value, depth))
    }

    /// Whether a term is, or is an operation over, the old value.
    fn mentions(&self, term: TermId, depth: usize) -> bool {
        if self.is_place(term) {
            return true;
        }
        let facts = &self.cx.program.module(self.access.module).facts;
        match facts.terms.get(term) {
            Term::Operation(a, b) => self.mentions(a, depth) || self.mentions(b, depth),
            Term::Call(call) => self.reads_element(call),
            Term::Name(_) if depth < 2 => {
                self.local_value(term).is_some_and(|value| self.mentions(value, depth + 1))
            }
            _ => false,
        }
    }

    /// Whether a term denotes the written place, or the written element of it.
    fn is_place(&self, term: TermId) -> bool {
        let facts = &self.cx.program.module(self.access.module).facts;
        let (container, key) = match facts.terms.get(term) {
            Term::Item(base, key) => (base, Some(key)),
            Term::Name(_) | Term::Attr(..) => (term, None),
            _ => return false,
        };
        let same_part = match (self.touch, key) {
            (Touch::Whole, None) => true,
            (Touch::Element(written), Some(read)) => written.same(read),
            _ => false,
        };
        same_part && (container.same(self.access.term) || self.denotes(container))
    }

    fn denotes(&self, term: TermId) -> bool {
        let (_, function) = self.cx.program.func_local(self.access.function);
        let place = self.cx.program.place(self.access.module, function, term);
        place.is_some_and(|(place, _)| place == self.place)
    }

    /// `counts.get(key, 0)`, of the key that is written.
    fn reads_element(&self, call: CallIx) -> bool {
        let facts = &self.cx.program.module(self.access.module).facts;
        let Touch::Element(key) = self.touch else { return false };
        let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        let reads = [sym!("get"), sym!("setdefault"), sym!("pop")].contains(&method);
        let same_key = facts.positional(call, 0).is_some_and(|arg| arg.value.same(key));
        reads && same_key && (base.same(self.access.term) || self.denotes(base))
    }

    /// The one value of a local name of the same function.
    fn local_value(&self, term: TermId) -> Option<TermId> {
        let facts = &self.cx.program.module(self.access.module).facts;
        let var = facts.var_of(term)?;
        let (_, function) = self.cx.program.func_local(self.access.function);
        let owner = facts.var_scope(var);
        if owner != crate::facts::ScopeKind::Function(function) || facts.vars[var.index()].captured {
            return None;
        }
        // Several values are several reads; any of them makes the write stale, the last one is the nearest.
        facts.vars[var.index()].values.first().copied()
    }
}

fn describe(cx: &RuleContext<'_>, access: &Access, sharing: &Sharing<'_>) -> Finding {
    let name = cx.program.place_name(access.place);
    let message = format!("shared `{name}` is read, changed and written back without a lock");
    let finding = Finding::new(evidence::span_of(cx.program, access), sharing.confidence(), message)
        .label("written from a value that may be stale by now");
    let finding = evidence::explain(cx.program, finding, access, sharing);
    let help = match evidence::lock_of_place(cx.program, access.place) {
        Some(lock) => format!("hold `{lock}` from the read to the write"),
        None => "hold one lock from the read to the write, and wherever else the place is written".to_owned(),
    };
    finding.note("all builds: the GIL may be handed over between any two bytecodes").help(help)
}
