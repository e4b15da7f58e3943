//! `AET415`: an object starts its thread before it has set what the thread reads.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, CtxKind, EventIx, EventKind, FuncIx, Qual, Sym, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, Callee, ClassId, FuncId, Kind, ModuleId, Place, PlaceRoot, RootId};
use crate::model::{RunsOn, waiting};
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports an `__init__` that starts a thread and sets an attribute afterwards that the thread reads. The start may
    /// be hidden in the `__init__` of a base class.
    ///
    /// ## Why is this bad?
    /// The new thread runs at once. Where it comes to the attribute first, it raises `AttributeError`, or sees an object
    /// that is half built: rarely under the GIL, whose switch interval often lets `__init__` finish, and much more often
    /// without it.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Poller:
    ///     def __init__(self, source):
    ///         self._thread = threading.Thread(target=self._poll)
    ///         self._thread.start()
    ///         self._source = source
    ///
    ///     def _poll(self):
    ///         while True:
    ///             self._source.read()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Poller:
    ///     def __init__(self, source):
    ///         self._source = source
    ///         self._thread = threading.Thread(target=self._poll)
    ///         self._thread.start()
    ///
    ///     def _poll(self):
    ///         while True:
    ///             self._source.read()
    /// ```
    ///
    /// ## Limits
    /// A thread that first waits for something (an event, an item of a queue, a lock) is trusted to wait for the rest of
    /// `__init__`. Attributes with a value in the class body, or set earlier too, are not reported, nor those the thread
    /// asks for with `getattr` or `hasattr`. Timers are left out: they wait by nature.
    ///
    /// ## References
    /// - [threading.Thread.start](https://docs.python.org/3/library/threading.html#threading.Thread.start)
    pub(crate) static STARTED_BEFORE_READY = {
        code: "AET415", name: "started-before-ready", summary: "thread starts before the attributes it reads are set",
        mentions: &[Sym::new("start"), Sym::new("submit"), Sym::new("start_new_thread"), Sym::new("super")],
        family: Threads, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// A thread that runs while an `__init__` does.
struct Start {
    /// The `__init__`.
    init: FuncIx,
    /// The step that starts it.
    event: EventIx,
    root: RootId,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (init, id) in cx.functions() {
        if cx.program.function(id).name != sym!("__init__") {
            continue;
        }
        let Some(class) = cx.program.class_of(id) else { continue };
        let Some(start) = start_in(cx, class, init, id) else { continue };
        if let Some((store, read)) = late(cx, class, &start)
            && findings.wants(Confidence::High)
        {
            findings.report(describe(cx, &start, store, read));
        }
    }
}

/// The first step of an `__init__` that starts a thread on the object.
fn start_in(cx: &RuleContext<'_>, class: ClassId, init: FuncIx, id: FuncId) -> Option<Start> {
    let by_target = cx.program.roots().filter_map(|(root, data)| {
        let is_here = data.started.is_some_and(|started| started.by == id) && data.runs_on != RunsOn::Timer;
        // First whether the root is this function's: its lifetime is a look at every step of its starter.
        let lifetime = (is_here && data.runs_on.is_thread()).then(|| cx.program.lifetime(root)).flatten()?;
        let starts = starts_at(cx, init, lifetime.from);
        (starts && lifetime.until.is_none()).then_some((lifetime.from, root))
    });
    let own = own_run(cx, class).and_then(|root| self_start(cx, init, id).map(|event| (event, root)));
    let (event, root) = by_target.chain(own).min_by_key(|(event, _)| *event)?;
    Some(Start { init, event, root })
}

/// Whether a step really starts something: `start()`, or a call that needs none.
fn starts_at(cx: &RuleContext<'_>, init: FuncIx, at: EventIx) -> bool {
    const AT_ONCE: [Qual; 4] = [
        qual!("_thread.start_new_thread"),
        qual!("concurrent.futures.Executor.submit"),
        qual!("concurrent.futures.Executor.map"),
        qual!("multiprocessing.pool.ThreadPool.apply_async"),
    ];
    let event = cx.events(init).find(|(event, _)| *event == at).map(|(_, event)| event.kind);
    let Some(EventKind::Call(call)) = event else { return false };
    cx.facts().callee_name(call) == Some(sym!("start"))
        || cx.program.library_callee(cx.module, call).is_some_and(|name| AT_ONCE.contains(&name))
}

/// The root of a thread class's own `run`.
fn own_run(cx: &RuleContext<'_>, class: ClassId) -> Option<RootId> {
    if !cx.program.is_thread_class(class) {
        return None;
    }
    let Kind::Method(run) = cx.program.member(Kind::Instance(class), sym!("run")) else { return None };
    cx.program.roots().find(|(_, root)| root.function == run && root.runs_on == RunsOn::Thread).map(|(id, _)| id)
}

/// `self.start()` in the `__init__` of a thread class, or in the base `__init__` it calls.
fn self_start(cx: &RuleContext<'_>, init: FuncIx, id: FuncId) -> Option<EventIx> {
    cx.events(init).find_map(|(at, event)| {
        let EventKind::Call(call) = event.kind else { return None };
        let starts = match cx.program.callee(cx.module, call) {
            Callee::Lib(name) => name == qual!("threading.Thread.start"),
            Callee::Function(base, _) => base != id && base_starts(cx, base),
            _ => false,
        };
        let is_on_self = is_self(cx, cx.facts().receiver_of(call), init) || is_super(cx, call);
        (starts && is_on_self && is_certain(cx, event.ctx)).then_some(at)
    })
}

/// Whether the `__init__` of a base class starts the thread.
fn base_starts(cx: &RuleContext<'_>, base: FuncId) -> bool {
    if cx.program.function(base).name != sym!("__init__") {
        return false;
    }
    let (module, local) = cx.program.func_local(base);
    let facts = &cx.program.module(module).facts;
    facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Call(call) => {
            let on_self = matches!(facts.terms.get(facts.receiver_of(call)), Term::Name(_));
            on_self && cx.program.library_callee(module, call) == Some(qual!("threading.Thread.start"))
        }
        _ => false,
    })
}

fn is_super(cx: &RuleContext<'_>, call: crate::facts::CallIx) -> bool {
    matches!(cx.program.kind(cx.module, cx.facts().receiver_of(call)), Kind::Super(_) | Kind::Class(_))
}

fn is_self(cx: &RuleContext<'_>, term: TermId, function: FuncIx) -> bool {
    let facts = cx.facts();
    let Some(var) = facts.var_of(term) else { return false };
    facts.vars[var.index()].values.iter().all(|&value| facts.terms.get(value) == Term::Param(function, 0))
}

/// Whether nothing decides that a step happens.
fn is_certain(cx: &RuleContext<'_>, ctx: crate::facts::CtxIx) -> bool {
    !cx.facts()
        .ctx_chain(ctx)
        .any(|(_, ctx)| matches!(ctx.kind, CtxKind::Branch(..) | CtxKind::Handler(_) | CtxKind::Maybe))
}

/// The first attribute set after the start that the thread reads, and where it does.
fn late<'a>(cx: &RuleContext<'a>, class: ClassId, start: &Start) -> Option<(crate::facts::Event, &'a Access)> {
    let facts = cx.facts();
    let stored = |event: &crate::facts::Event| match event.kind {
        EventKind::Store(target, _) => match facts.terms.get(target) {
            Term::Attr(base, name) if is_self(cx, base, start.init) => Some(name),
            _ => None,
        },
        _ => None,
    };
    let before: Vec<Sym> =
        cx.events(start.init).filter(|(at, _)| *at < start.event).filter_map(|(_, event)| stored(&event)).collect();
    let mut after = cx.events(start.init).filter(|(at, _)| *at > start.event);
    after.find_map(|(_, event)| {
        let name = stored(&event).filter(|name| !before.contains(name))?;
        if has_other_value(cx, class, name, start.init) {
            return None;
        }
        let owner = cx.program.attr_owner(class, name);
        let place = Place { root: PlaceRoot::Attr(owner, name), path: Qual::ROOT };
        read_at_once(cx, place, start.root).map(|read| (event, read))
    })
}

/// Whether the attribute has a value before this `__init__` sets it.
fn has_other_value(cx: &RuleContext<'_>, class: ClassId, name: Sym, init: FuncIx) -> bool {
    let this = cx.program.func_id(cx.module, init);
    cx.program.class(class).mro.iter().any(|&ancestor| {
        let info = cx.program.class(ancestor);
        let by_others = |attr: &crate::link::Attr| {
            attr.class_var.is_some()
                || attr.stores.iter().any(|&(by, _)| {
                    by != this && (cx.program.is_setup(by) || cx.program.thread_visits(by).next().is_some())
                })
        };
        info.methods.contains_key(&name) || info.attrs.get(&name).is_some_and(by_others)
    })
}

/// Where the thread reads a place without having waited for anything.
fn read_at_once<'a>(cx: &RuleContext<'a>, place: Place, root: RootId) -> Option<&'a Access> {
    let runs = cx.program.root(root).function;
    cx.program.accesses(place).iter().find(|access| {
        let reached = cx.program.visits(access.function).iter().any(|visit| visit.root == root);
        reached
            && access.receiver != crate::link::Receiver::Fresh
            && !has_waited(cx, access, runs)
            && !is_whole_write(access)
    })
}

fn is_whole_write(access: &Access) -> bool {
    access.kind.is_whole() && access.kind.writes()
}

/// Whether the thread waits before it comes to an access, or holds a lock there.
fn has_waited(cx: &RuleContext<'_>, access: &Access, runs: FuncId) -> bool {
    if !cx.program.held_at_access(access).is_empty() {
        return true;
    }
    let waits = |function: FuncId, until: EventIx| {
        let (module, local) = cx.program.func_local(function);
        let facts = &cx.program.module(module).facts;
        let first = facts.functions[local.index()].events.start;
        facts.events_of(local).iter().enumerate().any(|(position, event)| {
            let at = EventIx(first + position as u32);
            at < until
                && match event.kind {
                    EventKind::Call(call) => is_wait(cx, module, call, 0),
                    _ => false,
                }
        })
    };
    if access.function == runs {
        return waits(runs, access.event);
    }
    // Somewhere down the calls: anything that waits in the thread's own function may come first.
    waits(runs, EventIx(u32::MAX)) || waits(access.function, access.event)
}

/// Whether a call waits for something, itself or in the function of the program that it runs.
fn is_wait(cx: &RuleContext<'_>, module: ModuleId, call: CallIx, depth: usize) -> bool {
    const MAX_DEPTH: usize = 2;
    if cx.program.library_callee(module, call).is_some_and(|name| waiting(name).is_some()) {
        return true;
    }
    let Callee::Function(callee, _) = cx.program.callee(module, call) else { return false };
    let (module, local) = cx.program.func_local(callee);
    depth < MAX_DEPTH
        && cx.program.module(module).facts.events_of(local).iter().any(|event| match event.kind {
            EventKind::Call(call) => is_wait(cx, module, call, depth + 1),
            _ => false,
        })
}

fn describe(cx: &RuleContext<'_>, start: &Start, store: crate::facts::Event, read: &Access) -> Finding {
    let name = cx.program.place_name(read.place);
    let thread = cx.program.root_name(start.root);
    let started = cx.facts().events[start.event.index()].range;
    Finding::new(
        cx.span(store.range),
        Confidence::High,
        format!("`{name}` is set after the thread that reads it has started"),
    )
    .label("the thread may be there first")
    .evidence(Evidence::new(EvidenceRole::RootStarts, cx.span(started), format!("the {thread} starts here")))
    .evidence(Evidence::new(
        EvidenceRole::OtherAccess,
        evidence::span_of(cx.program, read),
        format!("{} here, by that thread", read.kind.verb()),
    ))
    .note("all builds; much more often without the GIL, whose switch interval mostly lets `__init__` finish")
    .help("start the thread in the last line of `__init__`, or in a `start()` method of its own")
}
