//! `AET306`: locks are taken in one order here and in another order there.

use crate::declare_rule;
use crate::evidence::locks as show;
use crate::finding::EvidenceRole;
use crate::link::{FuncId, LockCycle, Nested, RootId, ThreadOf};
use crate::source::FileId;
use crate::{Confidence, Finding, Findings, RuleContext};

declare_rule! {
    /// ## What it does
    /// Builds the graph of all locks of the project, with an edge wherever one is taken while another is held (by
    /// calls too, across files), and reports the cycles in it.
    ///
    /// ## Why is this bad?
    /// One thread holds the first lock and waits for the second; another holds the second and waits for the first.
    /// Neither goes on. It takes a rare timing, so tests pass, and production hangs.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// users_lock = threading.Lock()
    /// orders_lock = threading.Lock()
    ///
    /// def add_order(order):
    ///     with users_lock:
    ///         with orders_lock:
    ///             order.save()
    ///
    /// def remove_user(user):
    ///     with orders_lock:
    ///         with users_lock:
    ///             user.delete()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// users_lock = threading.Lock()
    /// orders_lock = threading.Lock()
    ///
    /// def add_order(order):
    ///     with users_lock:
    ///         with orders_lock:
    ///             order.save()
    ///
    /// def remove_user(user):
    ///     with users_lock:
    ///         with orders_lock:
    ///             user.delete()
    /// ```
    ///
    /// ## Limits
    /// Two instances of one class are not told apart, so `with a.lock, b.lock` in the order of the arguments is not
    /// seen, and locks in containers have no identity. A third lock held on both paths makes the order harmless, and
    /// so does an attempt with a timeout: neither is reported. Where no thread is known and a parameter decides whether
    /// one of the locks is taken, the finding has low confidence (`--all`).
    ///
    /// ## References
    /// - [Deadlock: circular wait](https://en.wikipedia.org/wiki/Deadlock_(computer_science)#Individually_necessary_and_jointly_sufficient_conditions_for_deadlock)
    pub(crate) static LOCK_ORDER_INVERSION = {
        code: "AET306", name: "lock-order-inversion", summary: "locks are taken in different orders",
        family: Locks, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for cycle in cx.program.lock_cycles() {
        if cycle.edges[0].span.file != FileId(cx.module.index() as u32) {
            continue;
        }
        if let Some(confidence) = confidence(cx, cycle)
            && findings.wants(confidence)
        {
            findings.report(describe(cx, cycle, confidence));
        }
    }
}

/// How sure we are that two threads meet in the cycle; nothing if only one thread is ever in it.
fn confidence(cx: &RuleContext<'_>, cycle: &LockCycle) -> Option<Confidence> {
    let mut threads: Vec<ThreadOf> = cycle.edges.iter().flat_map(|edge| threads(cx, edge.function)).collect();
    threads.sort_unstable();
    threads.dedup();
    let is_parallel = |root: RootId| cx.program.root(root).self_parallel;
    match threads[..] {
        _ if cycle.is_vague() => Some(Confidence::Low),
        [ThreadOf::Root(root)] if !is_parallel(root) => None,
        // No thread is known, and a parameter decides whether the lock is taken: the caller may know better.
        [] | [ThreadOf::Main] if cycle.edges.iter().any(|edge| edge.taken.conditional) => Some(Confidence::Low),
        [] | [ThreadOf::Main] => Some(Confidence::Medium),
        _ => Some(Confidence::High),
    }
}

fn threads(cx: &RuleContext<'_>, function: FuncId) -> Vec<ThreadOf> {
    let mut threads: Vec<ThreadOf> =
        cx.program.thread_visits(function).map(|visit| ThreadOf::Root(visit.root)).collect();
    if cx.program.on_main(function) {
        threads.push(ThreadOf::Main);
    }
    threads
}

fn describe(cx: &RuleContext<'_>, cycle: &LockCycle, confidence: Confidence) -> Finding {
    let first = &cycle.edges[0];
    let name = |edge: &Nested| cx.program.lock_name(edge.held.lock);
    let inner = cx.program.lock_name(first.taken.lock);
    let message = if let [_, other] = &cycle.edges[..] {
        let function = cx.program.function_name(other.function);
        format!("`{inner}` is taken while `{}` is held, and `{function}` takes them the other way round", name(first))
    } else {
        let order: Vec<String> = cycle.edges.iter().chain([first]).map(|edge| format!("`{}`", name(edge))).collect();
        format!("locks are taken in a circle: {}", order.join(" → "))
    };
    let mut finding =
        Finding::new(first.span, confidence, message).label(format!("waits for `{inner}` with `{}` held", name(first)));
    finding = show::way(cx.program, show::held(cx.program, finding, &first.held), &first.taken);
    for edge in &cycle.edges[1..] {
        let (outer, inner) = (name(edge), cx.program.lock_name(edge.taken.lock));
        finding = show::held(cx.program, finding, &edge.held);
        finding = show::add(
            finding,
            EvidenceRole::OtherAccess,
            edge.span,
            format!("waits for `{inner}` with `{outer}` held"),
        );
        finding = show::way(cx.program, finding, &edge.taken);
    }
    finding
        .note("all builds: two threads that are each halfway wait for each other for ever")
        .help("take the locks in the same order everywhere, or release the first before taking the second")
}
