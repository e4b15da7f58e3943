//! `AET310`: a finalizer takes a lock that the code it interrupts may hold.

use crate::declare_rule;
use crate::evidence::{self, locks as show};
use crate::facts::{CallIx, EventKind, Term, TermId};
use crate::finding::EvidenceRole;
use crate::link::{CallSite, ClassId, FuncId, Kind, Owner, PlaceRoot, Receiver, RootId, Taken, Via};
use crate::messages;
use crate::model::RunsOn;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

/// How many functions between a lock and the object it belongs to are looked at.
const MAX_FUNCTIONS: usize = 64;

declare_rule! {
    /// ## What it does
    /// Reports a `__del__` method, weak reference callback or `weakref.finalize` function that takes a lock which is
    /// not reentrant and is taken elsewhere too, itself or by calls; or that uses a `queue.Queue`.
    ///
    /// ## Why is this bad?
    /// A finalizer runs on whichever thread drops the last reference, or happens to trigger the garbage collector:
    /// possibly one that is inside the critical section of that very lock. It then waits for itself.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// lock = threading.Lock()
    /// alive = set()
    ///
    /// class Handle:
    ///     def __init__(self):
    ///         with lock:
    ///             alive.add(id(self))
    ///
    ///     def __del__(self):
    ///         with lock:
    ///             alive.discard(id(self))
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import queue
    /// import threading
    ///
    /// lock = threading.Lock()
    /// alive = set()
    /// dead = queue.SimpleQueue()
    ///
    /// class Handle:
    ///     def __init__(self):
    ///         with lock:
    ///             while not dead.empty():
    ///                 alive.discard(dead.get())
    ///             alive.add(id(self))
    ///
    ///     def __del__(self):
    ///         dead.put(id(self))
    /// ```
    ///
    /// ## Limits
    /// The dying object's own lock is free: whoever held it would hold a reference to the object too. So are, as far as
    /// can be seen (`--all`), the lock of a part that only the object's methods use, or that was given one of them to call
    /// back, and its queue if no thread was given it. Whether the holder
    /// of another lock can drop such an object, or trigger the collector, is not proven: allocations do. Logging in
    /// a finalizer is of low confidence.
    ///
    /// ## References
    /// - [object.\_\_del\_\_](https://docs.python.org/3/reference/datamodel.html#object.__del__)
    /// - [queue.SimpleQueue: reentrancy](https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put)
    pub(crate) static LOCK_IN_FINALIZER = {
        code: "AET310", name: "lock-in-finalizer", summary: "finalizer takes a lock that the interrupted code may hold",
        family: Locks, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let is_here = |function: FuncId| cx.program.func_local(function).0 == cx.module;
    let finalizers = cx.program.roots().filter(|(_, root)| root.runs_on == RunsOn::Finalizer && is_here(root.function));
    let mut seen: Vec<FuncId> = Vec::new();
    for (root, function) in finalizers.map(|(id, root)| (id, root.function)) {
        if seen.contains(&function) {
            continue;
        }
        seen.push(function);
        let mut reported: Vec<Span> = Vec::new();
        for taken in cx.program.taken_by(function) {
            let Some(confidence) = danger(cx, function, taken) else { continue };
            let span = match taken.via {
                Via::Here(acquisition) => acquisition.span,
                Via::Call(site, ..) => cx.span(site.range),
            };
            if findings.wants(confidence) && !reported.contains(&span) {
                reported.push(span);
                findings.report(describe(cx, (function, root), taken, span, confidence));
            }
        }
        library_calls(cx, function, root, findings);
    }
}

/// How dangerous it is that a finalizer takes a lock; nothing if it is not.
fn danger(cx: &RuleContext<'_>, function: FuncId, taken: &Taken) -> Option<Confidence> {
    let is_del = cx.program.function(function).name == sym!("__del__");
    if cx.program.is_reentrant(taken.lock) || (is_del && taken.owner == Owner::Own) {
        return None;
    }
    if is_del && (belongs_to_the_dying(cx, function, taken) || knows_the_dying(cx, function, taken)) {
        return Some(Confidence::Low);
    }
    let (calls, acquisition) = cx.program.way_to(taken);
    let (module, _) = cx.program.func_local(acquisition.function);
    if calls.iter().any(|&(span, callee)| is_siblings(cx, function, (span, callee))) {
        return None;
    }
    if taken.conditional || cx.program.asks_for_holder(module, acquisition.ctx) {
        return Some(Confidence::Low);
    }
    if taken_elsewhere(cx, function, taken).is_none() {
        return Some(Confidence::Low);
    }
    Some(match (taken.owner, taken.calls) {
        _ if !cx.program.is_surely_plain(taken.lock) => Confidence::Low,
        (Owner::Unknown, _) => Confidence::Low,
        (_, 0) => Confidence::High,
        _ => Confidence::Medium,
    })
}

/// Whether a call on `self` is taken to be of a class beside the dying object's: both derive from one that calls it, but
/// this object is not of that kind.
fn is_siblings(cx: &RuleContext<'_>, finalizer: FuncId, (call, function): (Span, FuncId)) -> bool {
    let is_here = |site: &CallSite| cx.program.span(cx.program.func_local(site.caller).0, site.range) == call;
    if !cx.program.callers(function).iter().any(|site| site.receiver == Receiver::Own && is_here(site)) {
        return false;
    }
    let (Some(dying), Some(other)) = (cx.program.class_of(finalizer), cx.program.class_of(function)) else {
        return false;
    };
    let (own, others) = (&cx.program.class(dying).mro, &cx.program.class(other).mro);
    !own.contains(&other) && !others.contains(&dying) && own.iter().any(|ancestor| others.contains(ancestor))
}

/// Whether the lock is a part's of the dying object, and only the object's own methods ever get to it: whoever holds it
/// has the object on its stack, and keeps it alive.
fn belongs_to_the_dying(cx: &RuleContext<'_>, finalizer: FuncId, taken: &Taken) -> bool {
    let Some(dying) = cx.program.class_of(finalizer).filter(|_| taken.owner == Owner::Part) else { return false };
    let PlaceRoot::Attr(part, _) = cx.program.lock(taken.lock).place.root else { return false };
    let is_kin =
        |class: ClassId| cx.program.class(class).mro.contains(&dying) || cx.program.class(dying).mro.contains(&class);
    let (calls, _) = cx.program.way_to(taken);
    let on_the_way =
        calls.into_iter().filter_map(|(_, callee)| cx.program.class_of(callee)).filter(|&class| is_kin(class));
    if !on_the_way.chain([dying]).any(|class| makes_its_part(cx, class, part)) {
        return false;
    }
    let takers = cx.program.acquisitions().filter(|other| other.lock == taken.lock).map(|other| other.function);
    let mut pending: Vec<FuncId> = takers.collect();
    let mut seen = pending.clone();
    // Its own threads are the part's, and what they call back is the object's.
    let is_parts =
        |function: FuncId| class_around(cx, function).is_some_and(|class| cx.program.class(class).mro.contains(&part));
    let is_thread = |function: FuncId| {
        cx.program.roots().any(|(_, root)| root.function == function && root.runs_on != RunsOn::Finalizer)
    };
    while let Some(function) = pending.pop() {
        // Another class that makes such a part for itself uses that one.
        if class_around(cx, function).is_some_and(|class| is_kin(class) || makes_its_part(cx, class, part)) {
            continue;
        }
        let callers = cx.program.callers(function);
        let is_foreign =
            !is_parts(function) && (callers.is_empty() || class_around(cx, function).is_none() || is_thread(function));
        if seen.len() > MAX_FUNCTIONS || is_foreign {
            return false;
        }
        for site in callers {
            if !seen.contains(&site.caller) {
                seen.push(site.caller);
                pending.push(site.caller);
            }
        }
    }
    true
}

/// Whether the lock is a part's of the dying object which was given one of the object's methods to call: whoever holds it
/// has the part on its stack, and that keeps the object alive.
fn knows_the_dying(cx: &RuleContext<'_>, finalizer: FuncId, taken: &Taken) -> bool {
    let program = cx.program;
    let Some(dying) = program.class_of(finalizer).filter(|_| taken.owner == Owner::Part) else { return false };
    let PlaceRoot::Attr(part, _) = program.lock(taken.lock).place.root else { return false };
    program.class(dying).mro.iter().flat_map(|&class| program.class(class).methods.values()).any(|&method| {
        let (module, local) = program.func_local(method);
        let facts = &program.module(module).facts;
        let is_part = |term: TermId| {
            matches!(program.kind(module, term), Kind::Instance(class) if program.class(class).mro.contains(&part))
        };
        let is_own = |term: TermId| match facts.terms.get(term) {
            Term::Attr(base, name) => {
                let is_self = facts.var_of(base).is_some_and(|var| {
                    facts.functions[local.index()].params.first().is_some_and(|first| first.var == var)
                });
                is_self && program.class(dying).methods.contains_key(&name)
            }
            _ => false,
        };
        facts.events_of(local).iter().any(|event| match event.kind {
            EventKind::Call(call) => {
                is_part(facts.receiver_of(call)) && facts.args_of(call).iter().any(|arg| is_own(arg.value))
            }
            _ => false,
        })
    })
}

/// The class whose method a function is, or is nested in.
fn class_around(cx: &RuleContext<'_>, function: FuncId) -> Option<ClassId> {
    let (module, local) = cx.program.func_local(function);
    let functions = &cx.program.module(module).facts.functions;
    let mut around = std::iter::successors(Some(local), |inner| functions[inner.index()].parent);
    around.find_map(|function| cx.program.class_of(cx.program.func_id(module, function)))
}

/// Whether objects of a class make every part of that kind that they have, rather than be handed one.
fn makes_its_part(cx: &RuleContext<'_>, owner: ClassId, part: ClassId) -> bool {
    let program = cx.program;
    let is_part = |kind: Kind| matches!(kind, Kind::Instance(class) | Kind::Class(class) if program.class(class).mro.contains(&part));
    let mut parts = program
        .class(owner)
        .mro
        .iter()
        .flat_map(|ancestor| program.class(*ancestor).attrs.values().map(|attr| (*ancestor, attr)));
    let mut found = false;
    let made = parts.all(|(class, attr)| {
        let (module, _) = program.class_local(class);
        let facts = &program.module(module).facts;
        !is_part(attr.kind)
            || attr.stores.iter().all(|&(_, value)| match facts.terms.get(value) {
                Term::Call(call) => {
                    found = true;
                    is_part(program.kind(module, facts.calls[call.index()].callee))
                }
                Term::Const(_) => true,
                _ => false,
            })
    });
    made && found
}

/// Whether a queue that a finalizer was handed is an attribute of the dying object which no thread was handed: whoever
/// uses it does so through the object, and keeps it alive.
fn is_queue_of_the_dying(cx: &RuleContext<'_>, function: FuncId, call: CallIx) -> bool {
    let facts = cx.facts();
    let (module, local) = cx.program.func_local(function);
    let queue = facts.var_of(facts.receiver_of(call));
    let handed = |function: FuncId| {
        let (module, local) = cx.program.func_local(function);
        let count = cx.program.function(function).params.len() as u16;
        (0..count).filter_map(move |position| {
            let (module, starter, term, _) = cx.program.started_with(module, local, position)?;
            let (place, _) = cx.program.place(module, starter, cx.program.unaliased(module, term))?;
            Some((position, place))
        })
    };
    let position = queue.and_then(|queue| {
        let params = &cx.program.module(module).facts.functions[local.index()].params;
        params.iter().position(|param| param.var == queue)
    });
    let place = handed(function).find(|&(at, _)| Some(usize::from(at)) == position).map(|(_, place)| place);
    let Some(place) = place.filter(|place| matches!(place.root, PlaceRoot::Attr(..))) else { return false };
    let threads = cx.program.roots().filter(|(_, root)| root.runs_on != RunsOn::Finalizer);
    !threads.map(|(_, root)| root.function).any(|thread| handed(thread).any(|(_, other)| other == place))
}

/// Another function that takes the lock, and may be interrupted.
fn taken_elsewhere(cx: &RuleContext<'_>, function: FuncId, taken: &Taken) -> Option<Span> {
    let (_, own) = cx.program.way_to(taken);
    cx.program
        .acquisitions()
        .filter(|other| other.lock == taken.lock && other.function != function && other.span != own.span)
        .map(|other| other.span)
        .next()
}

/// Queues and logging, which have locks of their own.
fn library_calls(cx: &RuleContext<'_>, function: FuncId, root: RootId, findings: &mut Findings<'_>) {
    let (_, local) = cx.program.func_local(function);
    for (_, event) in cx.events(local) {
        let EventKind::Call(call) = event.kind else { continue };
        let Some(name) = cx.program.library_callee(cx.module, call) else { continue };
        let (confidence, message, help) = if messages::takes_queue_lock(name) {
            let confidence = if is_queue_of_the_dying(cx, function, call) { Confidence::Low } else { Confidence::High };
            (
                confidence,
                "finalizer uses a `queue.Queue`, whose lock the interrupted code may hold",
                "`queue.SimpleQueue.put` may be called from finalizers",
            )
        } else if messages::is_logging(name) {
            (
                Confidence::Low,
                "finalizer logs: the handlers take locks and write to streams that the interrupted code may be using",
                "log where the resource is closed explicitly",
            )
        } else {
            continue;
        };
        if findings.wants(confidence) {
            let finding =
                Finding::new(cx.span(event.range), confidence, message).label("runs wherever the last reference dies");
            let finding = evidence::with_root(cx.program, finding, function, root);
            findings.report(finding.note(NOTE).help(help));
            break;
        }
    }
}

const NOTE: &str = "all builds: the collector runs finalizers between any two bytecodes of any thread";

fn describe(
    cx: &RuleContext<'_>,
    (function, root): (FuncId, RootId),
    taken: &Taken,
    span: Span,
    confidence: Confidence,
) -> Finding {
    let name = cx.program.lock_name(taken.lock);
    let finding =
        Finding::new(span, confidence, format!("finalizer takes `{name}`, which the code it interrupts may hold"))
            .label("waits for itself if the last reference dies under the lock")
            .on_thread(cx.program.root_name(root));
    let mut finding = show::way(cx.program, evidence::with_root(cx.program, finding, function, root), taken);
    if let Some(other) = taken_elsewhere(cx, function, taken) {
        finding = show::add(
            finding,
            EvidenceRole::Lock,
            other,
            format!("`{name}` is held from here on, and a finalizer may run meanwhile"),
        );
    }
    finding.note(NOTE).help("put the work aside without a lock (`deque.append`, `SimpleQueue.put`) and do it later, or make the lock reentrant")
}
