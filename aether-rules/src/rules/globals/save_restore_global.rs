//! `AET612`: a context manager that changes a global for a while.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{Const, EventIx, EventKind, FuncIx, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::global_change::{self, GlobalChange, How};
use crate::library;
use crate::link::{FuncId, Place, PlaceRoot, ThreadOf, Visit};
use crate::process_state;
use crate::{Confidence, Finding, Findings, RuleContext, sym, usage};

declare_rule! {
    /// ## What it does
    /// Reports context managers that save a global, change it, and put it back: a module's variable or dict of options,
    /// a class attribute, an attribute of a module-level object. A flag that is set and reset, and a stack that is pushed
    /// and popped, are the same thing.
    ///
    /// ## Why is this bad?
    /// The caller asks for other options for a block of its own and changes them for every thread. And the last to leave
    /// restores what was there when it came: a second thread's temporary value, which then stays for good.
    ///
    /// ## Example
    /// ```python bad
    /// from contextlib import contextmanager
    ///
    /// options = {"precision": 8}
    ///
    /// @contextmanager
    /// def option_context(**changes):
    ///     saved = options.copy()
    ///     options.update(changes)
    ///     try:
    ///         yield
    ///     finally:
    ///         options.update(saved)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// from contextlib import contextmanager
    /// from contextvars import ContextVar
    ///
    /// options = ContextVar("options", default={"precision": 8})
    ///
    /// @contextmanager
    /// def option_context(**changes):
    ///     token = options.set({**options.get(), **changes})
    ///     try:
    ///         yield
    ///     finally:
    ///         options.reset(token)
    /// ```
    ///
    /// ## Limits
    /// Medium confidence in a library's public context managers, high where a known thread enters it, low elsewhere
    /// (`--all`), as for an element whose key is made on the spot (a pair with a descriptor). Counters (`depth += 1` … `depth -= 1`) restore nothing of another thread's and are for `AET101`. A global
    /// changed more than two calls away is not seen. Low, too, is one that only tests or imports enter, and one that
    /// nobody enters while the rest of the library uses its module without naming it.
    ///
    /// ## References
    /// - [PEP 567: context variables](https://peps.python.org/pep-0567/)
    pub(crate) static SAVE_RESTORE_GLOBAL = {
        code: "AET612", name: "save-restore-global", summary: "a context manager changes a global for a while",
        family: Globals, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// A global changed on the way in and on the way out.
struct Swap {
    function: FuncId,
    before: GlobalChange,
    after: GlobalChange,
    exit: FuncId,
    manner: Manner,
}

/// How the global comes back.
#[derive(Clone, Copy)]
enum Manner {
    Saved,
    Reset,
    Popped,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (function, id) in cx.functions().skip(1) {
        for swap in swaps(cx, function, id) {
            let visit = process_state::thread_of(cx, id);
            let confidence = match visit {
                Some(_) => Confidence::High,
                None if is_offered(cx, id) && !has_own_key(cx, &swap) => Confidence::Medium,
                None => Confidence::Low,
            };
            if findings.wants(confidence) && is_seen_elsewhere(cx, &swap) {
                findings.report(describe(cx, &swap, visit, confidence));
            }
        }
    }
}

/// Whether anybody may enter the context manager at any time: a library offers it, and not only its own modules enter
/// it while they are imported, or its tests.
fn is_offered(cx: &RuleContext<'_>, id: FuncId) -> bool {
    library::is_public(cx.program, id) && is_entered_at_large(cx, id, 0)
}

fn is_entered_at_large(cx: &RuleContext<'_>, id: FuncId, depth: usize) -> bool {
    const MAX_DEPTH: usize = 3;
    let program = cx.program;
    let sites = program.callers(id);
    if sites.is_empty() {
        return !usage::is_unused(program, id);
    }
    sites.iter().any(|site| {
        let (module, function) = program.func_local(site.caller);
        // One that another one is made of is offered as far as that is.
        let is_part = module == cx.module && process_state::is_context_manager(cx, function);
        library::is_library(program, module)
            && !usage::is_import_time(program, site.caller)
            && (!is_part || depth >= MAX_DEPTH || is_entered_at_large(cx, site.caller, depth + 1))
    })
}

fn swaps(cx: &RuleContext<'_>, function: FuncIx, id: FuncId) -> Vec<Swap> {
    let (before, after, exit) = if process_state::is_context_manager(cx, function) {
        let Some((first, last)) = yields(cx, function) else { return Vec::new() };
        let changes = global_change::changes(cx.program, id);
        let before: Vec<_> = changes.iter().filter(|change| change.event < first).copied().collect();
        let after: Vec<_> = changes.into_iter().filter(|change| change.event > last).collect();
        (before, after, id)
    } else {
        let Some(exit) = process_state::exit_of(cx, function) else { return Vec::new() };
        let exit = cx.program.func_id(cx.module, exit);
        (global_change::changes(cx.program, id), global_change::changes(cx.program, exit), exit)
    };
    let mut found: Vec<Swap> = Vec::new();
    for before in before {
        if found.iter().any(|known| known.before.place == before.place) || is_exclusive(cx, id, &before, function) {
            continue;
        }
        let back = after.iter().filter(|after| after.place == before.place);
        let back = back.filter_map(|after| manner(cx, exit, &before, after).map(|manner| (*after, manner)));
        if let Some((after, manner)) = back.into_iter().next() {
            found.push(Swap { function: id, before, after, exit, manner });
        }
    }
    found.truncate(1);
    found
}

/// Whether the element that is changed is found by a key made here, such as a pair with a file descriptor: others have
/// keys of their own. Names of settings are constants, parameters, or come out of a loop.
fn has_own_key(cx: &RuleContext<'_>, swap: &Swap) -> bool {
    let facts = cx.facts();
    let EventKind::Store(target, _) = facts.events[swap.before.event.index()].kind else { return false };
    let Term::Item(_, key) = facts.terms.get(target) else { return false };
    let is_made = |term: TermId| matches!(facts.terms.get(term), Term::Display(..) | Term::Call(_));
    match facts.var_of(key) {
        Some(var) => facts.vars[var.index()].values.iter().any(|&value| is_made(value)),
        None => is_made(key),
    }
}

/// The first and the last `yield` of a generator.
fn yields(cx: &RuleContext<'_>, function: FuncIx) -> Option<(EventIx, EventIx)> {
    let mut yields =
        cx.events(function).filter(|(_, event)| matches!(event.kind, EventKind::Yield(_))).map(|(at, _)| at);
    let first = yields.next()?;
    Some((first, yields.last().unwrap_or(first)))
}

/// Whether a lock is held from the change on, over the `yield` too.
fn is_exclusive(cx: &RuleContext<'_>, id: FuncId, before: &GlobalChange, function: FuncIx) -> bool {
    let held = cx.program.held(cx.module, id, before.event);
    match yields(cx, function) {
        Some((first, _)) => cx.program.held(cx.module, id, first).meets(&held),
        None => !held.is_empty(),
    }
}

/// How a later change takes an earlier one back, if it does.
fn manner(cx: &RuleContext<'_>, exit: FuncId, before: &GlobalChange, after: &GlobalChange) -> Option<Manner> {
    let facts = cx.facts();
    let (_, in_exit) = cx.program.func_local(exit);
    let saved = |term: TermId| {
        !is_place(cx, exit, term, before.place)
            && global_change::reads(cx.program, (cx.module, in_exit), term, before.place)
    };
    let any_argument = |call| facts.args_of(call).iter().any(|arg| saved(arg.value));
    let restored = match after.how {
        How::Bound(value) => saved(value),
        How::Method(_, call) | How::Called(call) => any_argument(call),
        How::Other => false,
    };
    if restored {
        return Some(Manner::Saved);
    }
    match (before.how, after.how) {
        (How::Bound(on), How::Bound(off)) => is_toggle(cx, on, off).then_some(Manner::Reset),
        (How::Method(push, _), How::Method(pop, _)) => {
            let pushes = [sym!("append"), sym!("appendleft"), sym!("insert")].contains(&push);
            (pushes && [sym!("pop"), sym!("popleft")].contains(&pop)).then_some(Manner::Popped)
        }
        _ => None,
    }
}

/// Whether a term is the global itself, read anew.
fn is_place(cx: &RuleContext<'_>, function: FuncId, term: TermId, place: Place) -> bool {
    let (module, function) = cx.program.func_local(function);
    matches!(cx.facts().terms.get(term), Term::Name(_) | Term::Attr(..))
        && global_change::global_place(cx.program, module, function, term) == Some(place)
}

/// Two different constants: on and off.
fn is_toggle(cx: &RuleContext<'_>, on: TermId, off: TermId) -> bool {
    let terms = &cx.facts().terms;
    let constant =
        |term| matches!(terms.get(term), Term::Const(Const::True | Const::False | Const::None | Const::Int(_)));
    constant(off) && !on.same(off) && !on.is_opaque()
}

/// Whether anybody but the context manager looks: a public name, or a read in another function of the module.
fn is_seen_elsewhere(cx: &RuleContext<'_>, swap: &Swap) -> bool {
    let place = swap.before.place;
    let name = cx.program.place_name(place);
    let own = name.rsplit('.').next().unwrap_or(&name);
    if !own.starts_with('_') {
        return true;
    }
    cx.functions().any(|(_, id)| id != swap.function && id != swap.exit && global_change::loads(cx.program, id, place))
}

fn describe(cx: &RuleContext<'_>, swap: &Swap, visit: Option<Visit>, confidence: Confidence) -> Finding {
    let name = cx.program.place_name(swap.before.place);
    let manager = cx.program.function_name(swap.function);
    let (done, undone) = match swap.manner {
        Manner::Saved => (
            "saves, changes and restores",
            "restored here: what another thread had set meanwhile is lost, or comes back",
        ),
        Manner::Reset => ("sets and resets", "reset here, for threads that are still inside too"),
        Manner::Popped => ("pushes to and pops from", "popped here: the top may be another thread's"),
    };
    let what = match swap.before.place.root {
        PlaceRoot::Global(..) => "the global",
        PlaceRoot::ClassAttr(..) => "the class attribute",
        _ => "the process-wide",
    };
    let mut finding =
        Finding::new(cx.span(swap.before.range), confidence, format!("`{manager}` {done} {what} `{name}`"))
            .label("changed for every thread until the block ends");
    if let Some((module, range)) = swap.before.inside {
        finding = finding.evidence(Evidence::new(
            EvidenceRole::CallPath,
            cx.program.span(module, range),
            format!("`{name}` is changed here"),
        ));
    }
    finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, cx.span(swap.after.range), undone));
    finding = match visit {
        Some(visit) => {
            let thread = cx.program.root_name(visit.root);
            evidence::on_thread(cx.program, finding.on_thread(thread.clone()), swap.function, ThreadOf::Root(visit.root))
                .note(format!("the {thread} enters it while others run"))
        }
        None => finding.note("inferred: a context manager of a library is entered on its callers' threads, and blocks of two threads overlap"),
    };
    finding
        .note(
            "all builds: the block lasts as long as the caller wants, so other threads run inside it with the GIL too",
        )
        .help("keep the value in a `contextvars.ContextVar` (or `threading.local`), or hand it to those who need it")
}
