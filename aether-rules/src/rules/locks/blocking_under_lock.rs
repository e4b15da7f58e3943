//! `AET309`: a wait without limit while a lock is held.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::declare_rule;
use crate::evidence::{self, locks as show};
use crate::facts::{CtxIx, CtxKind, EventIx, EventKind, TermId};
use crate::finding::EvidenceRole;
use crate::link::{Callee, FuncId, Held, LockId, Owner, RootId, Wait};
use crate::model::{Awaits, LockKind, Role};
use crate::source::Span;
use crate::{Finding, Findings, RuleContext};

use reason::{Reason, confidence, needs, rank, reason};

mod reason;

declare_rule! {
    /// ## What it does
    /// Reports a call that waits without limit while the thread holds a lock: certain where the thread that is waited
    /// for takes that very lock (`join()`, `result()`, `shutdown()`), likely where every `put`, `set` or `notify` that
    /// would end the wait is done under it, and shown on request for `sleep`, subprocesses and the network.
    ///
    /// ## Why is this bad?
    /// Who waits for a thread that waits for the lock one holds waits for ever. Where it does not deadlock, everybody
    /// who needs the lock waits as long as the slowest.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Refresher:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._stopped = threading.Event()
    ///         self._thread = threading.Thread(target=self._loop)
    ///         self._thread.start()
    ///
    ///     def _loop(self):
    ///         while not self._stopped.wait(1):
    ///             with self._lock:
    ///                 print("refresh")
    ///
    ///     def stop(self):
    ///         with self._lock:
    ///             self._stopped.set()
    ///             self._thread.join()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Refresher:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._stopped = threading.Event()
    ///         self._thread = threading.Thread(target=self._loop)
    ///         self._thread.start()
    ///
    ///     def _loop(self):
    ///         while not self._stopped.wait(1):
    ///             with self._lock:
    ///                 print("refresh")
    ///
    ///     def stop(self):
    ///         with self._lock:
    ///             self._stopped.set()
    ///         self._thread.join()
    /// ```
    ///
    /// ## Limits
    /// A lock whose purpose is to make a slow device slow for one at a time is held while waiting on purpose: waits
    /// for time, processes and the network are therefore of low confidence. What methods of unknown objects wait for
    /// is unknown. Waits with a timeout are not reported. Of the calls that lead from one lock to one wait the first is
    /// reported.
    ///
    /// ## References
    /// - [threading.Thread.join](https://docs.python.org/3/library/threading.html#threading.Thread.join)
    pub(crate) static BLOCKING_UNDER_LOCK = {
        code: "AET309", name: "blocking-under-lock", summary: "wait without limit while a lock is held",
        family: Locks, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// How many calls may lie between the lock and the wait.
const MAX_CALLS: usize = 3;

/// What is known of the module so far.
#[derive(Default)]
struct Known {
    /// The endless waits of functions that were looked at.
    waits: FxHashMap<FuncId, Vec<Wait>>,
    /// What has been said: lock, and wait below a call.
    reported: Vec<(LockId, Span)>,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let mut known = Known::default();
    for (_, function) in cx.functions() {
        for wait in cx.program.endless_waits(function) {
            let held = match wait.awaits {
                // Where a caller holds the lock, its call is what is reported.
                Awaits::Thread | Awaits::Future | Awaits::Executor => {
                    cx.program.holding(function, Some(wait.event), wait.ctx)
                }
                _ => held_at(cx, function, wait.event, wait.ctx),
            };
            let held: Vec<Held> = held.into_iter().filter(|one| excludes(cx, one.lock)).collect();
            if !held.is_empty() {
                report(cx, &held, (&wait, wait.span, &[]), findings);
            }
        }
        if cx.program.may_hold(function) {
            through_calls(cx, function, &mut known, findings);
        }
    }
    pools(cx, findings);
}

/// The locks a function holds at a step, itself or because all its callers do.
fn held_at(cx: &RuleContext<'_>, function: FuncId, event: EventIx, ctx: CtxIx) -> Vec<Held> {
    let mut held = cx.program.holding(function, Some(event), ctx);
    for lock in cx.program.held_on_entry(function).iter() {
        if held.iter().all(|one| one.lock != lock) {
            let term = TermId::OPAQUE;
            held.push(Held { lock, owner: Owner::Own, term, span: cx.program.function_span(function) });
        }
    }
    held
}

fn excludes(cx: &RuleContext<'_>, lock: LockId) -> bool {
    let kind = cx.program.place_kind(cx.program.lock(lock).place).role();
    matches!(kind, Some(Role::Lock(LockKind::Lock | LockKind::RLock | LockKind::Condition)))
}

/// Waits for threads in functions that are called with a lock held.
fn through_calls(cx: &RuleContext<'_>, function: FuncId, known: &mut Known, findings: &mut Findings<'_>) {
    let (_, local) = cx.program.func_local(function);
    for (at, event) in cx.events(local) {
        let EventKind::Call(call) = event.kind else { continue };
        if matches!(cx.program.callee(cx.module, call), Callee::Opaque | Callee::Lib(_)) {
            continue;
        }
        let held: Vec<Held> = cx
            .program
            .holding(function, Some(at), event.ctx)
            .into_iter()
            .filter(|one| excludes(cx, one.lock))
            .collect();
        if held.is_empty() {
            continue;
        }
        let targets = cx.program.run_by(cx.module, call).into_iter();
        let mut pending: Vec<(FuncId, Vec<(Span, FuncId)>)> =
            targets.map(|target| (target, vec![(cx.span(event.range), target)])).collect();
        let mut seen: FxHashSet<FuncId> = FxHashSet::default();
        while let Some((callee, path)) = pending.pop() {
            let flags = cx.program.function(callee).flags;
            if !seen.insert(callee) || flags.is_async || flags.is_generator {
                continue;
            }
            for wait in known.waits.entry(callee).or_insert_with(|| cx.program.endless_waits(callee)).iter() {
                let of_threads = matches!(wait.awaits, Awaits::Thread | Awaits::Executor | Awaits::Future);
                // One lock and one wait are one deadlock, however many calls lead from the one to the other.
                let pair = (held[0].lock, wait.span);
                if of_threads
                    && !known.reported.contains(&pair)
                    && report(cx, &held, (wait, cx.span(event.range), &path), findings)
                {
                    known.reported.push(pair);
                }
            }
            if path.len() < MAX_CALLS {
                pending.extend(callees(cx, callee, &path));
            }
        }
    }
}

/// The functions a function calls, each with the way to it.
fn callees(cx: &RuleContext<'_>, function: FuncId, path: &[(Span, FuncId)]) -> Vec<(FuncId, Vec<(Span, FuncId)>)> {
    let (module, local) = cx.program.func_local(function);
    let facts = &cx.program.module(module).facts;
    let mut found = Vec::new();
    for event in facts.events_of(local) {
        let EventKind::Call(call) = event.kind else { continue };
        for target in cx.program.run_by(module, call) {
            let mut longer = path.to_vec();
            longer.push((cx.program.span(module, event.range), target));
            found.push((target, longer));
        }
    }
    found
}

/// `with lock:` around a whole `with ThreadPoolExecutor()`, whose end waits for tasks that take the lock.
fn pools(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let facts = cx.facts();
    for (index, ctx) in facts.ctxs.iter().enumerate() {
        let CtxKind::With(term, _) = ctx.kind else { continue };
        let at = CtxIx::at(index);
        if !cx.program.is_thread_pool(cx.module, term) {
            continue;
        }
        let function = cx.program.func_id(cx.module, ctx.function);
        let held: Vec<Held> =
            cx.program.holding(function, None, ctx.parent).into_iter().filter(|one| excludes(cx, one.lock)).collect();
        let inside = cx.program.roots().filter(|(_, root)| {
            root.started.is_some_and(|started| started.by == function && facts.ctx_within(started.ctx, at))
        });
        let roots: Vec<RootId> = inside.map(|(id, _)| id).collect();
        for one in &held {
            if let Some((root, taken)) = needs(cx, one, &roots) {
                let reason = Reason::Needs { root, taken, exact: true };
                let finding = describe(cx, one, cx.span(ctx.range), "the end of this block", &reason);
                findings.report(finding);
                break;
            }
        }
    }
}

/// Whether there was anything to report.
fn report(
    cx: &RuleContext<'_>,
    held: &[Held],
    at: (&Wait, Span, &[(Span, FuncId)]),
    findings: &mut Findings<'_>,
) -> bool {
    let (wait, span, path) = at;
    let own = own_lock(cx, wait);
    let others: Vec<&Held> = held.iter().filter(|one| Some(one.lock) != own).collect();
    let best =
        others.iter().filter_map(|one| Some((*one, reason(cx, one, wait)?))).min_by_key(|(_, reason)| rank(reason));
    let Some((one, reason)) = best else { return false };
    if (!path.is_empty() && matches!(reason, Reason::Slow)) || !findings.wants(confidence(&reason)) {
        return false;
    }
    let what = match path.first() {
        Some(&(_, callee)) => format!("`{}`", cx.program.function_name(callee)),
        None => "the call".to_owned(),
    };
    let mut finding = describe(cx, one, span, &what, &reason);
    for &(span, callee) in path {
        finding =
            show::add(finding, EvidenceRole::CallPath, span, format!("calls `{}`", cx.program.function_name(callee)));
    }
    if !path.is_empty() {
        finding = show::add(finding, EvidenceRole::OtherAccess, wait.span, "waits here");
    }
    findings.report(finding);
    true
}

/// The lock that a condition gives away while it waits.
fn own_lock(cx: &RuleContext<'_>, wait: &Wait) -> Option<LockId> {
    if wait.awaits != Awaits::Notification {
        return None;
    }
    let (module, function) = cx.program.func_local(wait.function);
    cx.program.lock_and_owner(module, function, wait.on).map(|(lock, _)| lock)
}

fn describe(cx: &RuleContext<'_>, held: &Held, span: Span, what: &str, reason: &Reason) -> Finding {
    let lock = cx.program.lock_name(held.lock);
    let message = match reason {
        Reason::Needs { root, .. } => {
            format!("waits for the {} with `{lock}` held, which that thread takes", cx.program.root_name(*root))
        }
        Reason::Starves { .. } => format!("waits with `{lock}` held, which whoever could end the wait needs"),
        Reason::Slow => format!("waits without limit with `{lock}` held"),
    };
    let label = match reason {
        Reason::Slow => "everybody who needs the lock waits too".to_owned(),
        _ => format!("{what} never returns if the other thread is waiting for the lock"),
    };
    let finding = show::held(cx.program, Finding::new(span, confidence(reason), message).label(label), held);
    let finding = match reason {
        Reason::Needs { root, taken, .. } => {
            let function = cx.program.root(*root).function;
            show::way(cx.program, evidence::with_root(cx.program, finding, function, *root), taken)
        }
        Reason::Starves { who } => show::add(
            finding,
            EvidenceRole::OtherAccess,
            *who,
            format!("would end the wait, but only with `{lock}` held"),
        ),
        Reason::Slow => finding,
    };
    finding
        .note("all builds: a lock is not given back while its holder waits for something else")
        .help(format!("decide under `{lock}` what to wait for, and wait after the block; or give the wait a timeout"))
}
