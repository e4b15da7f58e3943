//! `AET107`: a container is iterated while another thread changes its size.

use crate::check_then_act;
use crate::declare_rule;
use crate::evidence;
use crate::facts::{CtxIx, CtxKind, EventKind, Sym, Term};
use crate::link::{Access, AccessKind, ClassId, FuncId, Kind, Place, PlaceRoot, Sharing, Touch};
use crate::model::{ContainerKind, Role};
use crate::{Applicability, Confidence, Edit, Finding, Findings, Fix, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a loop, comprehension or `sum`/`min`/`max`/`any`/`all` over a shared dict, set, deque or list (or a
    /// view of one) that another thread adds to or removes from.
    ///
    /// ## Why is this bad?
    /// The loop runs Python code between two elements; a change in between raises `RuntimeError: dictionary changed
    /// size during iteration` (dict, set, deque) or silently skips and repeats elements (list). It happens on every
    /// build, with the GIL or without.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// sessions = {}
    ///
    /// def expire():
    ///     for key, session in sessions.items():
    ///         session.check()
    ///
    /// def login(key, session):
    ///     sessions[key] = session
    ///
    /// threading.Thread(target=expire).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// sessions = {}
    ///
    /// def expire():
    ///     for key, session in list(sessions.items()):
    ///         session.check()
    ///
    /// def login(key, session):
    ///     sessions[key] = session
    ///
    /// threading.Thread(target=expire).start()
    /// ```
    ///
    /// ## Limits
    /// `list(d)`, `tuple(d)`, `sorted(d)`, `d.copy()`, `{**d}` of a built-in container copy in one step and are safe. A list
    /// that others only append to is iterated safely: the loop may or may not see the new elements. Where no thread is
    /// known, a registry that is only added to, and never under a lock, is shown under `--all` only: it is taken to be
    /// filled while the program is set up. A container in a class body is everybody's: where objects of the class walk
    /// through it and others take elements out in the course of things, no thread need be known. Classes that install
    /// signal handlers, which live on the main thread, and those of graphical user interfaces are left out of that.
    /// A list from which others only ever take everything (`xs.clear()`) ends a loop early, as if it had come later: shown
    /// under `--all` only, as is, where no thread is known, a loop over a list in a method that closes the object or over
    /// anything in a hook of the interpreter's end (`@atexit.register`), and a loop over what the function has just replaced by
    /// an empty container. A variable of the function a thread runs is one for each run.
    /// A loop after
    /// `self.closed = True`, set under the lock under which everybody tests it before adding, or after the join of the one
    /// thread the object starts, is shown under `--all` only. A method that every class with the thread overrides does not
    /// loop over their objects.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static ITERATE_SHARED_MUTABLE = {
        code: "AET107", name: "iterate-shared-mutable", summary: "container is iterated while another thread changes it",
        family: Races, level: Error, since: "0.1.0", versions: "all", fix: Unsafe, check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let Some(container) = container(cx, cx.program.place_kind(place)) else { continue };
        let accesses = cx.program.accesses(place);
        let disturbs = |other: &Access| disturbs(container, other) && !replaces_element(cx, other);
        if !accesses.iter().any(disturbs) {
            continue;
        }
        let loops = accesses.iter().filter(|access| access.kind == AccessKind::Iterate);
        let sharings = loops.filter_map(|access| {
            let sharing = cx.program.sharing(access, disturbs)?;
            let plausible = match &sharing {
                Sharing::Proven(_) => true,
                Sharing::Promised(_) => {
                    unguarded(cx, access, disturbs) && !evidence::assumes_lock(cx.program, access.function)
                }
                Sharing::Possible => cx.program.held_at_access(access).is_empty(),
            };
            plausible.then_some((access, sharing))
        });
        let best = sharings.min_by_key(|(access, sharing)| {
            (std::cmp::Reverse(sharing.confidence()), access.module, access.range.start())
        });
        let Some((access, sharing)) = best else { continue };
        let is_setup = !matches!(sharing, Sharing::Proven(_)) && check_then_act::is_filled_at_setup(cx, place);
        let is_skipped_at_end = matches!(sharing, Sharing::Promised(_)) && check_then_act::is_on_way_out(cx, access);
        let is_at_exit = matches!(sharing, Sharing::Promised(_)) && runs_at_exit(cx, access.function);
        let is_harmless = is_setup
            || is_at_exit
            || is_just_emptied(cx, access)
            || (container == ContainerKind::List && (only_emptied(cx, place) || is_skipped_at_end));
        let confidence = match &sharing {
            _ if is_harmless => Confidence::Low,
            Sharing::Possible if is_everybodys(cx, access, disturbs) => Confidence::Medium,
            sharing => sharing.confidence(),
        };
        if findings.wants(confidence) {
            findings.report(describe(cx, access, (&sharing, confidence), container, disturbs));
        }
    }
}

/// Whether the interpreter runs a function when it ends, and nobody else does: `@atexit.register`. The threads that are
/// waited for have ended by then.
fn runs_at_exit(cx: &RuleContext<'_>, function: FuncId) -> bool {
    let (module, _) = cx.program.func_local(function);
    let mut decorators = cx.program.function(function).decorators.iter();
    cx.program.callers(function).is_empty()
        && decorators.any(|&decorator| cx.program.kind(module, decorator) == Kind::Lib(qual!("atexit.register")))
}

/// The container a place holds; one of unknown type counts when something resizes it by an unmistakable name.
fn container(cx: &RuleContext<'_>, kind: Kind) -> Option<ContainerKind> {
    match kind {
        Kind::Instance(class) => {
            cx.program.lib_bases(class).iter().find_map(|&base| match crate::model::role_of(base) {
                Some(Role::Container(container)) => Some(container),
                _ => None,
            })
        }
        kind => match kind.role() {
            Some(Role::Container(container)) => Some(container),
            _ => None,
        },
    }
}

/// Whether an access breaks a loop over the container.
fn disturbs(container: ContainerKind, access: &Access) -> bool {
    const APPEND: Sym = sym!("append");
    const EXTEND: Sym = sym!("extend");
    match (container, access.kind) {
        (
            ContainerKind::List,
            AccessKind::Method(APPEND | EXTEND, _) | AccessKind::Write(..) | AccessKind::Augment(..),
        ) => false,
        (_, AccessKind::Augment(crate::link::Touch::Element(_), _)) => true,
        (_, kind) => kind.resizes(),
    }
}

/// Whether an access stores under a key that the function has read the element of before: it is there, and the size
/// stays what it is.
fn replaces_element(cx: &RuleContext<'_>, act: &Access) -> bool {
    let AccessKind::Write(Touch::Element(key), _) = act.kind else { return false };
    let facts = &cx.program.module(act.module).facts;
    // Where the look-up failed, there was none: neither in the handler nor after it.
    let is_tried = |ctx: CtxIx| {
        let mut tries = facts.ctx_chain(ctx).filter(|(_, ctx)| ctx.kind == CtxKind::Try);
        tries.any(|(at, _)| !facts.ctx_within(act.ctx, at))
    };
    let (_, function) = cx.program.func_local(act.function);
    let first = facts.functions[function.index()].events.start;
    let mut before = facts.events[first as usize..act.event.index()].iter();
    let may_make = matches!(cx.program.kind_at(act), Kind::Object(class) if class == qual!("collections.defaultdict"));
    !may_make
        && before.any(|event| match event.kind {
            EventKind::Load(read) => {
                matches!(facts.terms.get(read), Term::Item(base, of) if base.same(act.term) && of.same(key))
                    && !is_tried(event.ctx)
            }
            _ => false,
        })
}

/// Whether all that ever takes elements out of a list takes them all: a loop meanwhile ends early, as if it had come later.
fn only_emptied(cx: &RuleContext<'_>, place: Place) -> bool {
    let mut others = cx.program.accesses(place).iter().filter(|other| disturbs(ContainerKind::List, other));
    others.all(|other| match other.kind {
        AccessKind::Method(method, _) => method == sym!("clear"),
        // `del xs[:]`: a slice is no key that has a term.
        AccessKind::Delete(Touch::Element(key)) => key.is_opaque(),
        _ => false,
    })
}

/// Whether a method of a class installs signal handlers: its object lives on the main thread, which alone may.
fn takes_signals(cx: &RuleContext<'_>, class: ClassId) -> bool {
    cx.program.class(class).methods.values().any(|&method| {
        let (module, local) = cx.program.func_local(method);
        let facts = &cx.program.module(module).facts;
        facts.events_of(local).iter().any(|event| match event.kind {
            EventKind::Call(call) => cx.program.library_callee(module, call) == Some(qual!("signal.signal")),
            _ => false,
        })
    })
}

/// Whether all objects of a class work on one container, some of them walking through it while others take elements out:
/// two threads need not even know of one object to meet.
fn is_everybodys(cx: &RuleContext<'_>, access: &Access, disturbs: impl Fn(&Access) -> bool) -> bool {
    let PlaceRoot::ClassAttr(class, _) = access.place.root else { return false };
    if cx.program.is_graphical(access.module) || takes_signals(cx, class) {
        return false;
    }
    let is_daily = |other: &Access| {
        !cx.program.runs_at_import(other.function)
            && !cx.program.is_setup(other.function)
            && !cx.program.function(other.function).flags.is_classmethod
            && !check_then_act::is_lifecycle(cx, other)
            && !check_then_act::is_on_way_out(cx, other)
            && cx.program.class_of(other.function).is_some_and(|of| cx.program.class(of).mro.contains(&class))
    };
    let mut others = cx.program.accesses(access.place).iter().filter(|other| other.function != access.function);
    is_daily(access) && others.any(|other| disturbs(other) && check_then_act::removes(other) && is_daily(other))
}

/// Whether the function has just put an empty container there: between that and the loop, nothing is called that could
/// fill it.
fn is_just_emptied(cx: &RuleContext<'_>, access: &Access) -> bool {
    let facts = &cx.program.module(access.module).facts;
    // Of the function's own accesses alone: terms are the module's.
    let mut own = cx.program.accesses(access.place).iter().filter(|other| other.function == access.function);
    own.any(|other| {
        let between = || &facts.events[other.event.index() + 1..access.event.index()];
        other.event < access.event
            && check_then_act::empties(cx, other)
            && !between()
                .iter()
                .any(|event| matches!(event.kind, EventKind::Call(_) | EventKind::Await | EventKind::Yield(_)))
    })
}

/// Whether somebody in another function changes the container with no lock in common.
fn unguarded(cx: &RuleContext<'_>, access: &Access, disturbs: impl Fn(&Access) -> bool) -> bool {
    let held = cx.program.held_at_access(access);
    let others = cx.program.accesses(access.place).iter();
    let mut others = others.filter(|other| other.function != access.function && disturbs(other));
    others.any(|other| !cx.program.held_at_access(other).meets(&held))
}

fn describe(
    cx: &RuleContext<'_>,
    access: &Access,
    (sharing, confidence): (&Sharing<'_>, Confidence),
    container: ContainerKind,
    disturbs: impl Fn(&Access) -> bool,
) -> Finding {
    let name = cx.program.place_name(access.place);
    let span = evidence::span_of(cx.program, access);
    let message = format!("`{name}` is iterated while another thread changes it");
    let consequence = match container {
        ContainerKind::List => "elements are skipped or seen twice",
        _ => "raises RuntimeError when the size changes between two elements",
    };
    let mut finding = Finding::new(span, confidence, message).label(consequence);
    finding = evidence::explain(cx.program, finding, access, sharing);
    if !matches!(sharing, Sharing::Proven(_)) {
        let others = cx.program.accesses(access.place).iter();
        let held = cx.program.held_at_access(access);
        let others = others.filter(|other| other.function != access.function && disturbs(other));
        if let Some(other) = others.min_by_key(|other| cx.program.held_at_access(other).meets(&held)) {
            finding = evidence::changed_at(cx.program, finding, other);
        }
    }
    finding
        .note("all builds, with the GIL or without")
        .help("iterate a copy: `list(…)`, or hold the lock that the writers hold")
        .fix(Fix {
            title: "iterate a copy".to_owned(),
            edits: vec![
                Edit { range: ruff_text_size::TextRange::empty(access.range.start()), text: "list(".to_owned() },
                Edit { range: ruff_text_size::TextRange::empty(access.range.end()), text: ")".to_owned() },
            ],
            applicability: Applicability::Unsafe,
        })
}

#[cfg(test)]
mod tests {
    use crate::{MemorySources, Settings, analyze};

    /// The accesses to one list stand in two files, of which one is small and one large.
    #[test]
    fn a_container_is_looked_at_in_the_file_it_is_stored_in() {
        let padding = "print(1)\n".repeat(200);
        let base = "jobs = {}\n\ndef drop():\n    global jobs\n    jobs = {}\n";
        let user = "import threading\nimport base\n\ndef run():\n    base.jobs.pop(1)\n\ndef page():\n\
                    \x20   for job in base.jobs:\n        print(job)\n\nthreading.Thread(target=run).start()\npage()\n";
        let sources =
            MemorySources::new(Settings::default()).with("base.py", &format!("{padding}{base}")).with("user.py", user);
        let report = analyze(&sources);
        assert_eq!(report.diagnostics.iter().filter(|one| one.rule.code == "AET107").count(), 1);
    }
}
