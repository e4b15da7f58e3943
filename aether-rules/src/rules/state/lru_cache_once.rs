//! `AET205`: `@cache` on a factory whose result must exist once.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{EventKind, FuncIx, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, Kind, ThreadOf, Worth};
use crate::model::Role;
use crate::qual;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Reports `functools.cache` or `lru_cache` on a function that makes a lock, a pool, a queue or a file, or (without
    /// arguments) any object or container, when several threads may call it first.
    ///
    /// ## Why is this bad?
    /// The cache is consistent, but the function runs outside its lock: two threads that miss both call it, and each
    /// gets an object of its own. Two locks guard nothing; one of two connections is never closed.
    ///
    /// ## Example
    /// ```python bad
    /// import functools
    /// import threading
    ///
    /// @functools.cache
    /// def lock_of(name):
    ///     return threading.Lock()
    ///
    /// def work():
    ///     with lock_of("a"):
    ///         print("alone?")
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=work).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// locks = {}
    ///
    /// def lock_of(name):
    ///     return locks.setdefault(name, threading.Lock())
    ///
    /// def work():
    ///     with lock_of("a"):
    ///         print("alone?")
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=work).start()
    /// ```
    ///
    /// ## Limits
    /// Reported only where known threads call it. A list or dict that the function fills itself comes out alike every time
    /// and is shown under `--all` only; so is an object of a class of the program that never changes once it is made. An object
    /// made by another function is not recognised.
    ///
    /// ## References
    /// - [gh-103475](https://github.com/python/cpython/issues/103475)
    pub(crate) static LRU_CACHE_ONCE = {
        code: "AET205", name: "lru-cache-once", summary: "a cached factory may run once per thread",
        family: State, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (local, function) in cx.functions() {
        let Some(decorator) = cache_decorator(cx, local) else { continue };
        let worth = made_worth(cx, local);
        let declaration = &cx.facts().functions[local.index()];
        let takes_nothing = declaration.params.len() == usize::from(declaration.flags.is_classmethod);
        let confidence = match worth {
            Some(Worth::Object) if makes_value(cx, local) => Confidence::Low,
            Some(Worth::Object) if takes_nothing || makes_synchronizer(cx, local) => Confidence::High,
            Some(Worth::Container) if takes_nothing && returns_empty(cx, local) => Confidence::Medium,
            // Made and filled alike by whoever comes second.
            Some(Worth::Container) if takes_nothing => Confidence::Low,
            _ => continue,
        };
        if !findings.wants(confidence) || !cx.program.held_on_entry(function).is_empty() || is_warmed_up(cx, function) {
            continue;
        }
        if let Some(thread) = parallel_thread(cx, function) {
            findings.report(describe(cx, (local, function), decorator, (thread, confidence)));
        }
    }
}

/// `@functools.cache`, `@lru_cache(maxsize=None)`: the decorator's term.
fn cache_decorator(cx: &RuleContext<'_>, function: FuncIx) -> Option<TermId> {
    let decorators = &cx.facts().functions[function.index()].decorators;
    decorators.iter().copied().find(|&decorator| {
        let callee = match cx.facts().terms.get(decorator) {
            Term::Call(call) => cx.facts().calls[call.index()].callee,
            _ => decorator,
        };
        matches!(cx.program.kind(cx.module, callee), Kind::Lib(name)
            if name == qual!("functools.cache") || name == qual!("functools.lru_cache"))
    })
}

/// Whether a function makes a lock, pool, queue, thread or file: one per key is meant, and each must exist once.
fn makes_synchronizer(cx: &RuleContext<'_>, function: FuncIx) -> bool {
    cx.events(function).any(|(_, event)| match event.kind {
        EventKind::Return(value) => matches!(
            cx.program.kind(cx.module, value).role(),
            Some(Role::Lock(_) | Role::Executor(_) | Role::Queue | Role::Thread | Role::File | Role::Signal)
        ),
        _ => false,
    })
}

/// Whether a function returns a new container with nothing in it: a registry, which others fill.
fn returns_empty(cx: &RuleContext<'_>, function: FuncIx) -> bool {
    cx.events(function).any(|(_, event)| match event.kind {
        EventKind::Return(value) => match cx.facts().terms.get(value) {
            Term::Display(_, list) => cx.facts().terms.list(list).is_empty(),
            Term::Call(call) => cx.facts().args_of(call).is_empty(),
            _ => false,
        },
        _ => false,
    })
}

/// How much it matters that what a function makes exists twice; `None` when it does not make it itself.
pub(super) fn made_worth(cx: &RuleContext<'_>, function: FuncIx) -> Option<Worth> {
    let returned = cx.events(function).filter_map(|(_, event)| match event.kind {
        EventKind::Return(value) => Some(value),
        _ => None,
    });
    returned.filter_map(|value| made_here(cx, value, 0)).max()
}

fn made_here(cx: &RuleContext<'_>, value: TermId, depth: usize) -> Option<Worth> {
    const MAX_HOPS: usize = 2;
    match cx.facts().terms.get(value) {
        Term::Display(..) | Term::Comp(..) => Some(cx.program.worth(cx.module, value)),
        Term::Call(call) => match cx.program.kind(cx.module, cx.facts().calls[call.index()].callee) {
            Kind::Lib(_) | Kind::Class(_) => Some(cx.program.worth(cx.module, value)),
            _ => None,
        },
        Term::Name(_) if depth < MAX_HOPS => {
            let var = cx.facts().var_of(value)?;
            let values = cx.facts().vars[var.index()].values.iter();
            values.filter_map(|&value| made_here(cx, value, depth + 1)).max()
        }
        _ => None,
    }
}

/// Whether all that a function makes are objects which never change once they are made: one is as good as the other.
pub(super) fn makes_value(cx: &RuleContext<'_>, function: FuncIx) -> bool {
    let mut made = cx.events(function).filter_map(|(_, event)| match event.kind {
        EventKind::Return(value) => Some(cx.program.kind(cx.module, value)),
        _ => None,
    });
    made.all(|kind| match kind {
        Kind::Instance(class) => cx.program.is_plain_value_class(class),
        _ => false,
    })
}

/// Whether the starter of its threads called it before it started them.
pub(super) fn is_warmed_up(cx: &RuleContext<'_>, function: FuncId) -> bool {
    cx.program.thread_visits(function).any(|visit| {
        let Some(lifetime) = cx.program.lifetime(visit.root) else { return false };
        cx.program.callers(function).iter().any(|site| site.caller == lifetime.by && site.event < lifetime.from)
    })
}

fn parallel_thread(cx: &RuleContext<'_>, function: FuncId) -> Option<ThreadOf> {
    let all_locked = {
        let sites = cx.program.callers(function);
        !sites.is_empty()
            && sites.iter().all(|site| {
                let (module, _) = cx.program.func_local(site.caller);
                !cx.program.held(module, site.caller, site.event).is_empty()
            })
    };
    if all_locked { None } else { cx.program.parallel_thread(function) }
}

fn describe(
    cx: &RuleContext<'_>,
    (local, function): (FuncIx, FuncId),
    decorator: TermId,
    (thread, confidence): (ThreadOf, Confidence),
) -> Finding {
    let name = cx.program.function_name(function);
    let header = cx.program.function_span(function);
    let span = cx.program.read_span(cx.module, local, decorator).unwrap_or(header);
    let finding = Finding::new(span, confidence, format!("`{name}` may run once per thread, and make one object each"))
        .label("the cache's lock is not held while the function runs")
        .evidence(Evidence::new(EvidenceRole::Definition, header, "made here"))
        .on_thread(cx.program.thread_name(thread));
    evidence::on_thread(cx.program, finding, function, thread)
        .note("all builds: threads that miss the cache at the same time all call the function")
        .help("make the object at import, or hold a lock around the call that may be the first")
}
