//! `AET802`: an object whose library says that it is not thread-safe, used by several threads.

use crate::confined::{self, Use};
use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, EventIx, EventKind, FuncIx, Qual, ScopeKind, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, Kind, Place, PlaceRoot, ThreadOf, Visit};
use crate::model::{self, Threads};
use crate::process_state;
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports objects that several threads use without a common lock, although their library documents them as not
    /// thread-safe: boto3 sessions and resources (and the default session behind `boto3.client`), SQLAlchemy sessions,
    /// `matplotlib.pyplot`, tkinter widgets off the main thread, element trees that change, Picklers, ends of a
    /// `multiprocessing.Pipe`, arrays given to numpy as `out=`.
    ///
    /// ## Why is this bad?
    /// What happens is up to the library: a half-registered service, rows flushed in another thread's transaction, a plot
    /// drawn into another figure, a message torn in two, a crash.
    ///
    /// ## Example
    /// ```python bad
    /// from concurrent.futures import ThreadPoolExecutor
    /// from sqlalchemy.orm import Session
    ///
    /// session = Session()
    ///
    /// def save(row):
    ///     session.add(row)
    ///     session.commit()
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(save, [1, 2])
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// from concurrent.futures import ThreadPoolExecutor
    /// from sqlalchemy.orm import Session
    ///
    /// def save(row):
    ///     with Session() as session:
    ///         session.add(row)
    ///         session.commit()
    ///
    /// with ThreadPoolExecutor() as pool:
    ///     pool.map(save, [1, 2])
    /// ```
    ///
    /// ## Limits
    /// Only known threads count, and only libraries with a model. Objects handed to a thread as arguments are not followed,
    /// nor are views that share an array's memory. That several threads write to different parts of an array is not
    /// told from writing to the same part.
    ///
    /// ## References
    /// - [boto3: resources and multithreading](https://boto3.amazonaws.com/v1/documentation/api/latest/guide/resources.html#multithreading-or-multiprocessing-with-resources)
    /// - [SQLAlchemy: is the Session thread-safe?](https://docs.sqlalchemy.org/en/20/orm/session_basics.html#is-the-session-thread-safe-is-asyncsession-safe-to-share-in-concurrent-tasks)
    /// - [Matplotlib: working with threads](https://matplotlib.org/stable/users/faq.html#work-with-threads)
    /// - [tkinter: threading model](https://docs.python.org/3/library/tkinter.html#threading-model)
    pub(crate) static THREAD_UNSAFE_OBJECT = {
        code: "AET802", name: "thread-unsafe-object", summary: "an object that is not thread-safe is used by several threads",
        family: Ecosystem, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const BOTO: &str = "make a `boto3.Session()` in every thread, or one client before threads start";
const PYPLOT: &str = "make a `matplotlib.figure.Figure` of one's own and draw with its methods";
const NUMPY: &str = "give every thread an array of its own, or hold one lock around the operation";

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    if !findings.wants(Confidence::Medium) {
        return;
    }
    let mut uses = confined::uses(cx, &|class| model::confined(class).is_some());
    uses.retain(|one| counts(cx, one) && !is_local(cx, one));
    uses.extend(changed_arguments(cx));
    uses.sort_by_key(|one| one.range.start());
    let mut reported: Vec<Place> = Vec::new();
    for one in &uses {
        if !reported.contains(&one.place)
            && let Some(finding) = shared(cx, one, &uses)
        {
            reported.push(one.place);
            findings.report(finding);
        }
    }
    for (function, id) in cx.functions().skip(1) {
        if let Some(finding) = global_state(cx, function, id) {
            findings.report(finding);
        }
    }
}

/// Whether the method is one that matters.
fn counts(cx: &RuleContext<'_>, one: &Use) -> bool {
    let Some(row) = model::confined(one.class) else { return false };
    let Some((method, _)) = one.call else { return row.methods.is_empty() };
    row.methods.is_empty() || row.methods.contains(&cx.facts().name(method))
}

/// A function's own variable, or its argument: who else has the object, nobody knows.
fn is_local(cx: &RuleContext<'_>, one: &Use) -> bool {
    let PlaceRoot::Cell(module, var) = one.place.root else { return false };
    let facts = &cx.program.module(module).facts;
    let ScopeKind::Function(owner) = facts.var_scope(var) else { return true };
    !facts.vars[var.index()].captured || cx.program.func_id(module, owner) == one.function
}

/// Objects changed as arguments: `SubElement(tree, …)`, `np.add(…, out=totals)`.
fn changed_arguments(cx: &RuleContext<'_>) -> Vec<Use> {
    let facts = cx.facts();
    let mut found = Vec::new();
    for (function, id) in cx.functions() {
        for (event, step) in cx.events(function) {
            let EventKind::Call(call) = step.kind else { continue };
            let Some((term, class)) = changed_argument(cx, call) else { continue };
            let Some((place, receiver)) = cx.program.place(cx.module, function, term) else { continue };
            let range = facts.calls[call.index()].range;
            let one = Use { function: id, class, place, receiver, call: None, event, range };
            if !is_local(cx, &one) && !cx.program.is_confined(place) {
                found.push(one);
            }
        }
    }
    found
}

fn changed_argument(cx: &RuleContext<'_>, call: CallIx) -> Option<(TermId, Qual)> {
    const SUB_ELEMENT: Qual = qual!("xml.etree.ElementTree.SubElement");
    let facts = cx.facts();
    if cx.program.library_callee(cx.module, call) == Some(SUB_ELEMENT) {
        return facts.positional(call, 0).map(|arg| (arg.value, SUB_ELEMENT));
    }
    let Term::Attr(base, _) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
    let is_numpy = cx.program.kind(cx.module, base) == Kind::Lib(qual!("numpy"));
    let out = facts.keyword(call, sym!("out")).filter(|_| is_numpy)?;
    matches!(facts.terms.get(out.value), Term::Name(_) | Term::Attr(..)).then_some((out.value, qual!("numpy.ndarray")))
}

/// A use on a thread while another thread may use the object too.
fn shared(cx: &RuleContext<'_>, one: &Use, uses: &[Use]) -> Option<Finding> {
    let visit = confined::visits(cx, one).next()?;
    let row = model::confined(one.class);
    let (name, advice) = row.map_or(("an array", NUMPY), |row| (row.name, row.advice));
    let place = cx.program.place_name(one.place);
    if row.is_some_and(|row| row.threads == Threads::Main) {
        let message = format!("`{place}`, {name}, is used off the main thread");
        return Some(describe(
            cx,
            Finding::new(cx.span(one.range), Confidence::Medium, message),
            one.function,
            visit,
            advice,
        ));
    }
    let held = cx.program.held(cx.module, one.function, one.event);
    let clashes = |other: &&Use| {
        let bare = !cx.program.held(cx.module, other.function, other.event).meets(&held);
        let elsewhere = confined::visits(cx, other).any(|visited| visited.root != visit.root || overlaps(cx, visited));
        let on_main = other.function != one.function
            && cx.program.on_main(other.function)
            && !cx.program.is_setup(other.function);
        other.place == one.place && bare && (elsewhere || on_main)
    };
    let other = uses.iter().find(clashes)?;
    let message = format!("`{place}`, {name}, is used by several threads and is not thread-safe");
    let mut finding = Finding::new(cx.span(one.range), Confidence::Medium, message);
    if other.function != one.function {
        finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, cx.span(other.range), "also used here"));
    }
    Some(describe(cx, finding, one.function, visit, advice))
}

/// Whether runs of a thread's function overlap, each on the same object.
fn overlaps(cx: &RuleContext<'_>, visit: &Visit) -> bool {
    cx.program.overlaps_itself(visit.root) && !cx.program.root(visit.root).own_self
}

/// A module-level function of a library that keeps one state for the process.
fn global_state(cx: &RuleContext<'_>, function: FuncIx, id: FuncId) -> Option<Finding> {
    let visit = process_state::thread_of(cx, id)?;
    let mut calls =
        cx.events(function).filter_map(|(at, event)| Some((event.range, stateful_call(cx, id, at, event.kind)?)));
    let (range, (message, threads, advice)) = calls.next()?;
    let is_hazard = threads == Threads::Main || cx.program.overlaps_itself(visit.root);
    is_hazard.then(|| describe(cx, Finding::new(cx.span(range), Confidence::Medium, message), id, &visit, advice))
}

/// What such a call is, which threads may make it, and what to do instead.
type Stateful = (&'static str, Threads, &'static str);

fn stateful_call(cx: &RuleContext<'_>, id: FuncId, at: EventIx, kind: EventKind) -> Option<Stateful> {
    let EventKind::Call(call) = kind else { return None };
    if !cx.program.held(cx.module, id, at).is_empty() {
        return None;
    }
    let name = cx.program.library_callee(cx.module, call)?;
    if name == qual!("boto3.client") || name == qual!("boto3.resource") {
        return Some((
            "the default session of boto3 is used by several threads and is not thread-safe",
            Threads::One,
            BOTO,
        ));
    }
    let Term::Attr(base, method) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else { return None };
    let is_pyplot = cx.program.kind(cx.module, base) == Kind::Lib(qual!("matplotlib.pyplot"));
    // Switching the backend, or closing what one has, is no drawing.
    let is_drawing = !["switch_backend", "ioff", "get_cmap"].contains(&cx.facts().name(method));
    let message = "`matplotlib.pyplot` is used on a thread: it has one current figure for all of them";
    (is_pyplot && is_drawing).then_some((message, Threads::Main, PYPLOT))
}

fn describe(cx: &RuleContext<'_>, finding: Finding, function: FuncId, visit: &Visit, advice: &'static str) -> Finding {
    let thread = cx.program.root_name(visit.root);
    let finding = finding.label("not thread-safe, says its documentation").on_thread(thread.clone());
    evidence::on_thread(cx.program, finding, function, ThreadOf::Root(visit.root))
        .note(format!("the {thread} runs this"))
        .note("all builds: the library's own steps interleave, with the GIL too")
        .help(advice)
}
