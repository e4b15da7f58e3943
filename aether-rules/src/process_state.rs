//! State of the whole process changed by one of its threads: what the rules of the family `globals` have in common.
//!
//! A rule says which events change which setting; here it is decided who else is affected. A thread that makes the
//! change affects all others (high); a context manager that a library enters itself does it around code of whoever calls,
//! on whatever thread (medium), unless its documentation says that it is not for several threads; any other function may
//! be called before threads start, and a context manager that is only offered does what its user asks for (low).
//!
//! *Invariant:* one finding for each function and setting; what changes the setting again, to put it back or not, is
//! evidence.

use ruff_text_size::TextRange;

use crate::evidence;
use crate::facts::{CallIx, ClassIx, Event, EventIx, EventKind, FuncIx, Qual, Sym, Term, TermId, ThreadSafety};
use crate::finding::{Evidence, EvidenceRole};
use crate::library;
use crate::link::{Callee, ClassId, FuncId, Kind, Program, ThreadOf, Visit};
use crate::model::RunsOn;
use crate::usage;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

mod around;
mod harmless;

pub(crate) use around::{exit_of, is_context_manager};
use around::{is_generator_manager, left_to_exit, yields_between};

/// What a rule watches.
pub(crate) struct Subject {
    /// What follows for other threads: the label of the finding.
    pub(crate) consequence: &'static str,
    /// Which builds and versions.
    pub(crate) builds: &'static str,
    /// What to do instead.
    pub(crate) help: &'static str,
    /// How sure a change is that lasts and is made far below the thread's own function: most settings get the value
    /// they already have.
    pub(crate) lasting: Confidence,
    /// Settings whose overlap costs time at most: a pause of the collector that ends early.
    pub(crate) mild: &'static [&'static str],
}

/// One event changes one setting.
pub(crate) struct Change {
    /// The setting: "the working directory".
    pub(crate) setting: &'static str,
    /// How it is changed, as code: "`os.chdir(…)`".
    pub(crate) action: String,
}

impl Change {
    /// A call that changes a setting.
    pub(crate) fn call(setting: &'static str, name: &str) -> Self {
        Self { setting, action: format!("`{name}(…)`") }
    }
}

/// A change and where it happens.
struct Step {
    change: Change,
    range: TextRange,
    event: EventIx,
}

/// Who else is affected.
enum Hazard {
    Thread(Visit, Confidence),
    AroundCallers,
    Unproven,
}

/// Reports every function that changes a setting.
pub(crate) fn report(
    cx: &RuleContext<'_>,
    findings: &mut Findings<'_>,
    subject: &Subject,
    change: &dyn Fn(&RuleContext<'_>, &Event) -> Option<Change>,
) {
    for (function, id) in cx.functions().skip(1) {
        let mut steps: Vec<Step> = Vec::new();
        for (at, event) in cx.events(function) {
            let Some(change) = change(cx, &event) else { continue };
            let is_childs =
                cx.program.is_in_child(cx.module, event.ctx) || cx.program.is_after_fork(cx.module, function, at);
            if !is_childs && cx.program.held(cx.module, id, at).is_empty() {
                steps.push(Step { change, range: event.range, event: at });
            }
        }
        let mut reported: Vec<&'static str> = Vec::new();
        for step in &steps {
            let setting = step.change.setting;
            if reported.contains(&setting) {
                continue;
            }
            reported.push(setting);
            let again: Vec<&Step> =
                steps.iter().filter(|other| other.change.setting == setting && other.event > step.event).collect();
            let hazard = hazard(cx, (function, id), subject, step, &again, change);
            let confidence = hazard.confidence();
            if findings.wants(confidence) {
                findings.report(describe(cx, id, subject, step, &again, &hazard));
            }
        }
    }
}

impl Hazard {
    fn confidence(&self) -> Confidence {
        match self {
            Self::Thread(_, confidence) => *confidence,
            Self::AroundCallers => Confidence::Medium,
            Self::Unproven => Confidence::Low,
        }
    }
}

fn hazard(
    cx: &RuleContext<'_>,
    (function, id): (FuncIx, FuncId),
    subject: &Subject,
    first: &Step,
    again: &[&Step],
    change: &dyn Fn(&RuleContext<'_>, &Event) -> Option<Change>,
) -> Hazard {
    let event = &cx.facts().events[first.event.index()];
    let is_balanced = harmless::is_balanced(cx, function, event);
    if let Some(visit) = thread_of(cx, id) {
        let is_mild = is_balanced || subject.mild.contains(&first.change.setting);
        let confidence = if is_mild { Confidence::Low } else { confidence_on(cx, id, subject, &visit, event, again) };
        return Hazard::Thread(visit, confidence);
    }
    let spans_callers = yields_between(cx, function, first, again) || left_to_exit(cx, function, first, change);
    let is_meant = is_balanced || is_disclaimed(cx, function) || !is_entered_in_library(cx, id);
    if spans_callers && !is_meant && library::is_public(cx.program, id) {
        Hazard::AroundCallers
    } else {
        Hazard::Unproven
    }
}

/// How sure it is that a thread's change harms others.
fn confidence_on(
    cx: &RuleContext<'_>,
    id: FuncId,
    subject: &Subject,
    visit: &Visit,
    change: &Event,
    again: &[&Step],
) -> Confidence {
    const FAR: usize = 2;
    if !again.is_empty() {
        return Confidence::High;
    }
    if harmless::is_made_of_the_old(cx, change)
        || harmless::is_blank_module(cx, change)
        || (cx.program.root(visit.root).function == id && harmless::is_last_act(cx, id, change))
    {
        return Confidence::Low;
    }
    let is_far = cx.program.path_from_root(id, visit.root).len() >= FAR;
    if is_far { subject.lasting } else { Confidence::High }
}

/// Whether the library enters a context manager itself, behind its users' backs. Who enters one that is only offered
/// asks for the change, and while modules are imported there is one thread.
fn is_entered_in_library(cx: &RuleContext<'_>, id: FuncId) -> bool {
    if let Some(class) = cx.program.class_of(id) {
        return is_made_in_library(cx, class);
    }
    let mut offered = vec![id];
    let mut next = 0;
    while let Some(&manager) = offered.get(next) {
        next += 1;
        for site in cx.program.callers(manager) {
            let (module, function) = cx.program.func_local(site.caller);
            if !library::is_library(cx.program, module) || is_nobodys(cx.program, site.caller) {
                continue;
            }
            // One that another one is made of is offered as far as that is.
            if !is_generator_manager(cx.program, module, function) {
                return true;
            }
            if !offered.contains(&site.caller) {
                offered.push(site.caller);
            }
        }
    }
    false
}

fn is_made_in_library(cx: &RuleContext<'_>, class: ClassId) -> bool {
    cx.program.modules().filter(|(id, _)| library::is_library(cx.program, *id)).any(|(id, module)| {
        let mut calls = (0..module.facts.calls.len()).map(CallIx::at);
        calls.any(|call| {
            let by = || module.facts.function_of_ctx(module.facts.calls[call.index()].ctx);
            cx.program.callee(id, call) == Callee::Class(class) && !is_nobodys(cx.program, cx.program.func_id(id, by()))
        })
    })
}

/// Whether no thread of a user gets to a function: it runs on import, in a program without threads, or not at all.
fn is_nobodys(program: &Program, function: FuncId) -> bool {
    usage::is_import_time(program, function)
        || usage::is_unused(program, function)
        || usage::is_in_single_threaded_program(program, function)
}

/// Whether the documentation of the context manager says that it is not for several threads: whoever uses it was told.
fn is_disclaimed(cx: &RuleContext<'_>, function: FuncIx) -> bool {
    let facts = cx.facts();
    let declaration = &facts.functions[function.index()];
    let is_denied = |class: ClassIx| facts.classes[class.index()].thread_safety == ThreadSafety::Denied;
    declaration.flags.is_not_thread_safe || declaration.class.is_some_and(is_denied)
}

/// A thread that runs a function while others run too.
pub(crate) fn thread_of(cx: &RuleContext<'_>, function: FuncId) -> Option<Visit> {
    cx.program.thread_visits(function).find(|visit| !is_alone(cx, visit)).copied()
}

/// Whether the thread is waited for at once, so that nothing else runs meanwhile: the next step of its starter joins it,
/// or all the steps before that wait for it, too.
fn is_alone(cx: &RuleContext<'_>, visit: &Visit) -> bool {
    let Some(lifetime) = cx.program.lifetime(visit.root) else { return false };
    let Some(until) = lifetime.until else { return false };
    let root = cx.program.root(visit.root);
    let (module, _) = cx.program.func_local(lifetime.by);
    let facts = &cx.program.module(module).facts;
    if !root.self_parallel && until.index() <= lifetime.from.index() + 1 {
        return true;
    }
    let waits = |event: &Event| match event.kind {
        EventKind::Call(call) => {
            facts.callee_name(call).is_some_and(|name| [sym!("wait"), sym!("join")].contains(&name))
        }
        EventKind::Load(_) => true,
        _ => false,
    };
    // One round of a loop starts it and waits for it.
    let ctx_of = |at: EventIx| facts.events.get(at.index()).map(|event| event.ctx);
    let between = facts.events.get(lifetime.from.index() + 1..until.index());
    root.runs_on == RunsOn::Thread
        && ctx_of(until).is_some_and(|ctx| ctx_of(lifetime.from) == Some(ctx))
        && between.is_some_and(|steps| steps.iter().all(waits))
}

fn describe(
    cx: &RuleContext<'_>,
    id: FuncId,
    subject: &Subject,
    step: &Step,
    again: &[&Step],
    hazard: &Hazard,
) -> Finding {
    let Change { setting, action } = &step.change;
    let span = cx.span(step.range);
    let confidence = hazard.confidence();
    let mut finding = match hazard {
        Hazard::Thread(visit, _) => {
            let thread = cx.program.root_name(visit.root);
            let message = format!("{action} changes {setting} of the whole process on a thread");
            let finding = Finding::new(span, confidence, message).label(subject.consequence).on_thread(thread.clone());
            evidence::on_thread(cx.program, finding, id, ThreadOf::Root(visit.root))
                .note(format!("the {thread} runs this while others do too"))
        }
        Hazard::AroundCallers => {
            let name = cx.program.function_name(id);
            let message = format!("`{name}` changes {setting} of the whole process around its callers' code");
            Finding::new(span, confidence, message).label(subject.consequence).note(
                "a context manager of a library runs on its callers' threads: two that overlap see each other's change, and the last to leave restores what the other had set",
            )
        }
        Hazard::Unproven => {
            let message = format!("{action} changes {setting} of the whole process");
            Finding::new(span, confidence, message)
                .label(subject.consequence)
                .note("no thread that reaches this is started in the analysed code; it is real once two threads do")
        }
    };
    for other in again.iter().take(2) {
        let text =
            format!("{} changes it again: two threads that overlap restore each other's value", other.change.action);
        finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, cx.span(other.range), text));
    }
    finding.note(subject.builds).help(subject.help)
}

/// How an event changes one of some variables of libraries: which one, and how a reader would write it.
pub(crate) fn changed_variable(
    cx: &RuleContext<'_>,
    event: &Event,
    variables: &[(Qual, &'static str)],
) -> Option<(&'static str, String)> {
    let find = |term: TermId| match cx.program.kind(cx.module, term) {
        Kind::Lib(name) => variables.iter().find(|(known, _)| *known == name).map(|(_, text)| *text),
        _ => None,
    };
    let target = |term: TermId, whole: &str, element: &str| match cx.facts().terms.get(term) {
        // A bare name is a local one, whatever it was imported as; so is a field that once held the stream.
        Term::Attr(base, name) if is_member_of(cx, base, name, term) => {
            find(term).map(|text| (text, format!("`{}`", whole.replace('@', text))))
        }
        Term::Item(base, _) => find(base).map(|text| (text, format!("`{}`", element.replace('@', text)))),
        _ => None,
    };
    match event.kind {
        EventKind::Store(term, _) => target(term, "@ = …", "@[…] = …"),
        EventKind::Augment(term, _) => target(term, "@ += …", "@[…] += …"),
        EventKind::Delete(term) => target(term, "del @", "del @[…]"),
        EventKind::Call(call) => {
            let Term::Attr(base, method) = cx.facts().terms.get(cx.facts().calls[call.index()].callee) else {
                return None;
            };
            if !is_mutator(method) {
                return None;
            }
            let text = find(base)?;
            Some((text, format!("`{text}.{}(…)`", cx.facts().name(method))))
        }
        _ => None,
    }
}

/// Whether an attribute is the library's own variable, not a field with the same value.
fn is_member_of(cx: &RuleContext<'_>, base: TermId, name: Sym, term: TermId) -> bool {
    match (cx.program.kind(cx.module, base), cx.program.kind(cx.module, term)) {
        (Kind::Lib(module), Kind::Lib(variable)) => module.child(name) == variable,
        _ => false,
    }
}

/// Whether a method changes the list or dict it is called on.
fn is_mutator(method: Sym) -> bool {
    const NAMES: &[Sym] = &[
        Sym::new("append"),
        Sym::new("insert"),
        Sym::new("extend"),
        Sym::new("remove"),
        Sym::new("pop"),
        Sym::new("clear"),
        Sym::new("sort"),
        Sym::new("reverse"),
        Sym::new("update"),
        Sym::new("setdefault"),
        Sym::new("popitem"),
        Sym::new("__setitem__"),
        Sym::new("__delitem__"),
    ];
    NAMES.contains(&method)
}

/// The row of a table that names the library function an event calls.
pub(crate) fn called<'t, T>(
    cx: &RuleContext<'_>,
    event: &Event,
    table: &'t [(Qual, T)],
) -> Option<(crate::facts::CallIx, &'t T)> {
    let EventKind::Call(call) = event.kind else { return None };
    let name = cx.program.library_callee(cx.module, call)?;
    table.iter().find(|(known, _)| *known == name).map(|(_, row)| (call, row))
}
