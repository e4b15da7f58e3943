//! `AET102`: `x = x + 1`, `d[k] = d.get(k, 0) + 1`, and the same split over statements.

use crate::declare_rule;
use crate::evidence;
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, Sharing};
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
        let candidates = accesses.filter(|access| cx.program.writes_back(access));
        let sharings = candidates.filter_map(|access| sharing(cx, access).map(|sharing| (access, sharing)));
        let best = sharings.min_by_key(|(access, sharing)| {
            (std::cmp::Reverse(sharing.confidence()), access.module, access.range.start())
        });
        if let Some((access, sharing)) = best
            && findings.wants(sharing.confidence())
        {
            findings.report(describe(cx, access, &sharing));
        }
    }
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

fn describe(cx: &RuleContext<'_>, access: &Access, sharing: &Sharing<'_>) -> Finding {
    let name = cx.program.place_name(access.place);
    let message = format!("shared `{name}` is read, changed and written back without a lock");
    let finding = Finding::new(evidence::span_of(cx.program, access), sharing.confidence(), message)
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
