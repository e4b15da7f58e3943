//! `AET216`: `_poller.register(sock); _poller.poll(0); _poller.unregister(sock)`

use crate::declare_rule;
use crate::facts::{CallIx, EventIx, EventKind, FuncIx, Qual, Sym, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, Kind, Place, PlaceRoot};
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports an object that belongs to a module or class and that a function sets up, uses and puts back for the length
    /// of one call: a `select.poll` object that a socket is registered with and unregistered from again, a `StringIO` that
    /// is emptied, written to and read, a random generator that is seeded before it is used.
    ///
    /// ## Why is this bad?
    /// The object is one for all threads, but what it holds is meant for one call. Two calls at a time work on each other's
    /// state: a poll object raises `RuntimeError: concurrent poll() invocation` or tells of a socket that the other thread
    /// asked about, a buffer holds the text of both, a seed is not followed by its own numbers.
    ///
    /// ## Example
    /// ```python bad
    /// import select
    ///
    /// _poller = select.poll()
    ///
    /// def is_closed(sock):
    ///     _poller.register(sock, select.POLLIN)
    ///     ready = _poller.poll(0)
    ///     _poller.unregister(sock)
    ///     return bool(ready)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import select
    ///
    /// def is_closed(sock):
    ///     poller = select.poll()
    ///     poller.register(sock, select.POLLIN)
    ///     return bool(poller.poll(0))
    /// ```
    ///
    /// ## Limits
    /// Only objects of the libraries named above count, only where all steps stand in one function, and only without a lock.
    /// What runs while modules are imported is left out.
    ///
    /// ## References
    /// - [select.poll](https://docs.python.org/3/library/select.html#polling-objects)
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static SHARED_SCRATCH = {
        code: "AET216", name: "shared-scratch", summary: "an object of all threads is set up for one call",
        mentions: &[
            Sym::new("register"), Sym::new("truncate"), Sym::new("seek"), Sym::new("seed"), Sym::new("setstate"),
            Sym::new("set_seqs"), Sym::new("set_seq1"), Sym::new("set_seq2"),
        ],
        family: State, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// What sets an object up for one call, what uses it then, and what to say of it.
struct Row {
    class: Qual,
    sets: &'static [Sym],
    uses: &'static [Sym],
    harm: &'static str,
}

const BUFFER: (&[Sym], &[Sym], &str) = (
    &[sym!("truncate"), sym!("seek")],
    &[sym!("write"), sym!("writelines")],
    "another call empties it, or writes in between",
);
const SELECTOR: (&[Sym], &[Sym], &str) =
    (&[sym!("register")], &[sym!("unregister")], "another call waits with it, or finds what this one registered");

const ROWS: &[Row] = &[
    row(qual!("select.poll"), SELECTOR),
    row(qual!("select.epoll"), SELECTOR),
    row(qual!("select.kqueue"), SELECTOR),
    row(qual!("selectors.DefaultSelector"), SELECTOR),
    row(qual!("selectors.PollSelector"), SELECTOR),
    row(qual!("selectors.SelectSelector"), SELECTOR),
    row(qual!("selectors.EpollSelector"), SELECTOR),
    row(qual!("io.StringIO"), BUFFER),
    row(qual!("io.BytesIO"), BUFFER),
    row(
        qual!("random.Random"),
        (
            &[sym!("seed"), sym!("setstate")],
            &[
                sym!("random"),
                sym!("randint"),
                sym!("choice"),
                sym!("choices"),
                sym!("sample"),
                sym!("shuffle"),
                sym!("uniform"),
                sym!("gauss"),
                sym!("getrandbits"),
                sym!("randrange"),
            ],
            "another call takes some of the numbers that follow",
        ),
    ),
    row(
        qual!("difflib.SequenceMatcher"),
        (
            &[sym!("set_seqs"), sym!("set_seq1"), sym!("set_seq2")],
            &[
                sym!("ratio"),
                sym!("quick_ratio"),
                sym!("get_opcodes"),
                sym!("get_matching_blocks"),
                sym!("find_longest_match"),
            ],
            "another call gives it other sequences",
        ),
    ),
];

const fn row(class: Qual, (sets, uses, harm): (&'static [Sym], &'static [Sym], &'static str)) -> Row {
    Row { class, sets, uses, harm }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    if !findings.wants(Confidence::Medium) {
        return;
    }
    let mut reported: Vec<Place> = Vec::new();
    for (local, function) in cx.functions().skip(1) {
        for (at, event) in cx.events(local) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some((place, base, row)) = scratch(cx, local, call) else { continue };
            if reported.contains(&place) || !cx.program.held(cx.module, function, at).is_empty() {
                continue;
            }
            if let Some(finding) = used_after(cx, (local, function), (at, call), (place, base), row) {
                reported.push(place);
                findings.report(finding);
            }
        }
    }
}

/// A call that sets up an object of a module or class.
fn scratch(cx: &RuleContext<'_>, local: FuncIx, call: CallIx) -> Option<(Place, TermId, &'static Row)> {
    let facts = cx.facts();
    let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
    let mut rows = ROWS.iter().filter(|row| row.sets.contains(&method)).peekable();
    rows.peek()?;
    let Kind::Object(class) = cx.program.kind(cx.module, base) else { return None };
    let row = rows.find(|row| row.class == class)?;
    let (place, _) = cx.program.place(cx.module, local, base)?;
    matches!(place.root, PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..)).then_some((place, base, row))
}

/// The use of an object after it was set up, in the same function.
fn used_after(
    cx: &RuleContext<'_>,
    (local, function): (FuncIx, FuncId),
    (at, call): (EventIx, CallIx),
    (place, base): (Place, TermId),
    row: &Row,
) -> Option<Finding> {
    let facts = cx.facts();
    if cx.program.runs_at_import(function) || cx.program.is_setup(function) {
        return None;
    }
    let (_, later) = cx.events(local).find(|(later, event)| match event.kind {
        EventKind::Call(used) if *later > at => {
            let Term::Attr(of, method) = facts.terms.get(facts.calls[used.index()].callee) else { return false };
            of.same(base) && row.uses.contains(&method)
        }
        _ => false,
    })?;
    let name = cx.program.place_name(place);
    let span = cx.span(facts.calls[call.index()].range);
    let made = format!("`{name}` is one for all threads, and is set up for one call here");
    Some(
        Finding::new(span, Confidence::Medium, made)
            .label(row.harm)
            .evidence(Evidence::new(EvidenceRole::OtherAccess, cx.span(later.range), "the same call relies on it here"))
            .note("all builds: the GIL may be handed over between the steps")
            .help("make one in every call, keep one for each thread (`threading.local`), or hold one lock around the steps"),
    )
}
