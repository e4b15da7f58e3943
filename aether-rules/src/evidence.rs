//! How a shared place is explained: both sides, where their threads start, the calls in between, and why we believe it.
//!
//! *Invariant:* evidence is given in the order a reader should follow it, and never repeats a span.

pub(crate) mod locks;

use crate::finding::{Evidence, EvidenceRole, Finding};
use crate::link::{Access, CallSite, Conflict, FuncId, Program, RootId, Sharing, ThreadOf};
use crate::source::Span;

/// How many calls between a root and an access are shown.
const MAX_PATH: usize = 3;

/// Adds to a finding about `access` how the place is shared.
pub(crate) fn explain(program: &Program, finding: Finding, access: &Access, sharing: &Sharing<'_>) -> Finding {
    let name = program.place_name(access.place);
    match sharing {
        Sharing::Proven(conflict) => explain_conflict(program, finding, conflict),
        Sharing::Promised(promise) => {
            let mut finding = finding.evidence(Evidence::new(EvidenceRole::Lock, promise.span(), promise.text()));
            if let Some(other) = other_side(program, access) {
                let text = format!("`{name}` is also {} here", other.kind.verb());
                finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, span_of(program, other), text));
            }
            finding.note(format!("inferred: what owns `{name}` {}, and no common lock is held", promise.text()))
        }
        Sharing::Possible => finding
            .note(format!("no two threads are known to reach `{name}` at the same time; it is real once they do")),
    }
}

fn explain_conflict(program: &Program, finding: Finding, conflict: &Conflict<'_>) -> Finding {
    let name = program.place_name(conflict.access.place);
    let (thread, other_thread) = (program.thread_name(conflict.thread), program.thread_name(conflict.other_thread));
    let mut finding = on_thread(program, finding.on_thread(thread.clone()), conflict.access.function, conflict.thread);
    if std::ptr::eq(conflict.access, conflict.other) && conflict.thread == conflict.other_thread {
        return finding.note(format!(
            "`{name}` is shared: several threads are in `{}` at once",
            thread_function(program, conflict)
        ));
    }
    if conflict.other_thread != conflict.thread {
        finding = on_thread(program, finding, conflict.other.function, conflict.other_thread);
    }
    if !std::ptr::eq(conflict.access, conflict.other) {
        let text = format!("`{name}` is {} here on the {other_thread}", conflict.other.kind.verb());
        let evidence = Evidence::new(EvidenceRole::OtherAccess, span_of(program, conflict.other), text);
        finding = finding.evidence(evidence.on_thread(other_thread.clone()));
    }
    if thread == other_thread {
        let function = thread_function(program, conflict);
        return finding
            .note(format!("`{name}` is shared: several threads are in `{function}` at once, with no common lock"));
    }
    finding.note(format!("`{name}` is shared: the {thread} and the {other_thread} both reach it, with no common lock"))
}

fn thread_function(program: &Program, conflict: &Conflict<'_>) -> String {
    match conflict.thread {
        ThreadOf::Root(root) => program.function_name(program.root(root).function),
        ThreadOf::Main => program.function_name(conflict.access.function),
    }
}

/// Adds where the thread starts, and the calls from there to `function`.
pub(crate) fn on_thread(program: &Program, finding: Finding, function: FuncId, thread: ThreadOf) -> Finding {
    let ThreadOf::Root(root) = thread else { return finding };
    with_root(program, finding, function, root)
}

/// Adds where a root starts, and the calls from there to `function`.
pub(crate) fn with_root(program: &Program, mut finding: Finding, function: FuncId, root: RootId) -> Finding {
    let name = program.root_name(root);
    let start = program.root(root).span;
    let add = |finding: Finding, role, span: Span, text: String| {
        let known = finding.primary == span || finding.evidence.iter().any(|evidence| evidence.span == span);
        if known { finding } else { finding.evidence(Evidence::new(role, span, text).on_thread(name.clone())) }
    };
    finding = add(finding, EvidenceRole::RootStarts, start, format!("the {name} starts here"));
    let path = program.path_from_root(function, root);
    let skipped = path.len().saturating_sub(MAX_PATH);
    for (module, site) in path.into_iter().skip(skipped) {
        let callee = program.function_name(site.caller);
        finding =
            add(finding, EvidenceRole::CallPath, program.span(module, site.range), format!("called from `{callee}`"));
    }
    finding
}

/// Where an access stands.
pub(crate) fn span_of(program: &Program, access: &Access) -> Span {
    program.span(access.module, access.range)
}

/// Another access worth showing: one that no lock keeps apart, a write if there is one, in another function if possible.
fn other_side<'a>(program: &'a Program, access: &Access) -> Option<&'a Access> {
    let held = program.held_at_access(access);
    let others = program
        .accesses(access.place)
        .iter()
        .filter(|other| other.event != access.event || other.module != access.module);
    others.min_by_key(|other| {
        let is_excluded = program.held_at_access(other).meets(&held);
        (is_excluded, !other.kind.writes(), other.function == access.function, other.module, other.event)
    })
}

/// A lock under which a place is accessed somewhere, by the name a reader would use.
pub(crate) fn lock_of_place(program: &Program, place: crate::link::Place) -> Option<String> {
    let locks = program.accesses(place).iter().filter_map(|access| program.held_at_access(access).iter().next());
    locks.min().map(|lock| program.lock_name(lock))
}

/// Whether a function says that its caller holds the lock: `_flush_locked`, `_pop_unlocked`, or in its docstring.
///
/// A convention, not a proof: it only ever silences findings that were inferred.
pub(crate) fn assumes_lock(program: &Program, function: FuncId) -> bool {
    says_lock_held(program, function) && !is_called_without(program, function)
}

/// Whether some are seen to call a function with a lock held, and somebody else without any: then what it says is broken.
fn is_called_without(program: &Program, function: FuncId) -> bool {
    let sites = program.callers(function).iter();
    let sites = sites.filter(|site| site.caller != function && !program.is_setup(site.caller));
    let (with, without): (Vec<&CallSite>, Vec<&CallSite>) = sites.partition(|site| {
        let (module, _) = program.func_local(site.caller);
        let is_held = !program.held(module, site.caller, site.event).is_empty();
        is_held || !program.probably_held_on_entry(site.caller).is_empty() || says_lock_held(program, site.caller)
    });
    !with.is_empty() && !without.is_empty()
}

fn says_lock_held(program: &Program, function: FuncId) -> bool {
    let (module, _) = program.func_local(function);
    let declaration = program.function(function);
    let name = program.module(module).facts.name(declaration.name).to_ascii_lowercase();
    let hints = ["locked", "nolock", "no_lock", "lock_held", "holding_lock", "with_lock", "unsafe"];
    declaration.flags.is_under_lock || hints.iter().any(|hint| name.contains(hint))
}

/// Adds the place where a container is changed, unless it is shown already.
pub(crate) fn changed_at(program: &Program, finding: Finding, other: &Access) -> Finding {
    let span = span_of(program, other);
    if finding.primary == span || finding.evidence.iter().any(|evidence| evidence.span == span) {
        return finding;
    }
    let text = format!("`{}` is {} here", program.place_name(other.place), other.kind.verb());
    finding.evidence(Evidence::new(EvidenceRole::OtherAccess, span, text))
}
