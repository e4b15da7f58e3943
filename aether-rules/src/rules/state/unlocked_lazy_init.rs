//! `AET201`: `if X is None: X = …`

use crate::check_then_act::{self, Hazard, Lazy};
use crate::declare_rule;
use crate::facts::{Arm, Const, Ctx, CtxKind, EventKind, ModuleFacts, Sym, Term, TermId};
use crate::link::{Access, AccessKind, CallSite, Certainty, Kind, Place, PlaceRoot, Receiver, Sharing, Touch, Worth};
use crate::model::Role;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports a shared name or attribute that is set because it was found unset (`is None`, falsy, `hasattr`,
    /// `except AttributeError`), with no lock around test and assignment.
    ///
    /// ## Why is this bad?
    /// Two threads find it unset and make two objects. Each works with its own: one connection is never closed, one
    /// of two caches is filled in vain, a lock protects nothing because the other thread holds another one.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Client:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._session = None
    ///
    ///     def session(self):
    ///         if self._session is None:
    ///             self._session = object()
    ///         return self._session
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Client:
    ///     def __init__(self):
    ///         self._lock = threading.Lock()
    ///         self._session = None
    ///
    ///     def session(self):
    ///         with self._lock:
    ///             if self._session is None:
    ///                 self._session = object()
    ///             return self._session
    /// ```
    ///
    /// ## Limits
    /// Making an immutable value, a module or a compiled pattern twice does no harm: shown under `--all` only. So are,
    /// where no thread is known, containers that are never changed once made (with threads known too, if they are filled before they are stored), flags, and values that may be computed alike;
    /// and so are flags that collapse requests (somebody else puts them back), and what module level makes at import.
    /// Two kinds of lazy values are reported without any sign of threads, as they are wrong for every second thread, whoever
    /// starts it: a global, or an attribute of an object that its module makes for everybody, that is visible before what it
    /// announces is complete, in a function that goes on to rely on it; and what the documentation promises to be made
    /// "only once". Functions that set up a program (`configure`, `patch`, `init…`) and modules of a graphical user interface
    /// are left out of that.
    /// Where the other thread sets the value in any case, without a test, nothing is made twice: `--all` only.
    /// What is set up once for the whole process, its flag set first, and nobody relies on there and then (`if patched:
    /// return`) is for whoever starts the program, and so is what a thread only reaches where something else of the process
    /// was found missing (`if not cls.main: cls.init()`): `--all` only.
    /// A flag that only keeps a message or an `atexit` hook from being repeated, a value that is also replaced for other reasons (expired,
    /// closed), objects that never change once made, and functions whose callers all hold a lock: `--all` only.
    /// A lock for one purpose (`_ready_lock`) says nothing of attributes that are never used under it, in functions that
    /// do not take it; no lock of a class speaks for attributes that only others store in its objects. Which of two
    /// exceptions is kept does not matter, and what the constructor has made, and only the end takes away, is not made
    /// twice: `--all` only.
    /// A test whose store is in the function it calls is not seen.
    ///
    /// ## References
    /// - [Python FAQ: thread-safe mutations](https://docs.python.org/3/faq/library.html#what-kinds-of-global-value-mutation-are-thread-safe)
    pub(crate) static UNLOCKED_LAZY_INIT = {
        code: "AET201", name: "unlocked-lazy-init", summary: "a value is made on first use without a lock",
        family: State, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let acts = cx.program.accesses(place).iter();
        let hazards = acts.filter_map(|act| hazard(cx, act));
        check_then_act::report(cx, findings, hazards, |hazard| describe(cx, place, hazard));
    }
}

fn hazard<'a>(cx: &RuleContext<'a>, act: &'a Access) -> Option<Hazard<'a>> {
    let lazy = check_then_act::lazy(cx, act)?;
    // Under a lock it is a double check that lacks its second half, and singletons have a rule of their own.
    if !cx.program.held_at_access(act).is_empty() || check_then_act::is_singleton(cx, act) {
        return None;
    }
    // `while not stopped: … stopped = True` ends a loop, it makes nothing.
    if cx.program.is_loop_test(act.module, lazy.check.branch) {
        return None;
    }
    let sharing = cx.program.stale_sharing(act, |other| check_then_act::stores_value(cx, other))?;
    let mut hazard = Hazard::new(cx, act, lazy.check, sharing);
    let is_wrong_alone = is_shown_half_made(cx, act, &lazy) || check_then_act::is_promised_once(cx, act);
    if matches!(hazard.sharing, Sharing::Possible) && is_wrong_alone {
        hazard.confidence = Confidence::Medium;
    }
    let most = believable(cx, act, &lazy, &hazard.sharing)?;
    // One thread sets what is missing, the other sets it in any case: nothing is made twice.
    let both_test = |other: &Access| cx.program.checks(other).iter().any(check_then_act::asks_for_value);
    let is_proven = matches!(hazard.sharing, Sharing::Proven(_));
    let most = match cx.program.stale_sharing(act, both_test) {
        Some(Sharing::Proven(_)) => most,
        _ if is_proven => Confidence::Low,
        _ => most,
    };
    let is_global = !matches!(act.place.root, PlaceRoot::Attr(..));
    let at_import =
        check_then_act::is_made_at_import(cx, act) || (!is_proven && check_then_act::is_called_at_import(cx, act));
    let is_beside =
        matches!(hazard.sharing, Sharing::Promised(promise) if !cx.program.is_promised_itself(act, promise));
    let most = if is_global && at_import || is_beside { Confidence::Low } else { most };
    Some(hazard.at_most(most))
}

/// Whether a global of the module is there for everybody before the work it announces is done: every second thread goes
/// on without it, whoever starts that thread. What configures a program is called once, before there are any.
fn is_shown_half_made(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy) -> bool {
    let is_everybodys = match act.place.root {
        PlaceRoot::Global(..) => true,
        PlaceRoot::Attr(class, _) => cx.program.has_global_object(class),
        _ => false,
    };
    is_everybodys
        && !cx.program.is_graphical(act.module)
        && !check_then_act::is_lifecycle(cx, act)
        && !check_then_act::sets_up(cx, act)
        && check_then_act::built_afterwards(cx, act, lazy).is_some()
        && goes_on(cx, act, lazy)
        && !is_taken_back(cx, act)
}

/// Whether a function goes on, where it finds the value there, to something that relies on it: it returns a value, or
/// calls something. One that only sets up (`if patched: return`) is called for that, and by whoever starts the program.
fn goes_on(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let (_, local) = cx.program.func_local(act.function);
    let events = facts.functions[local.index()].events.clone();
    let mut later = (lazy.check.event.0 + 1..events.end).map(|index| facts.events[index as usize]);
    later.any(|event| match event.kind {
        EventKind::Return(value) => {
            let gives = !value.is_opaque() && !matches!(facts.terms.get(value), Term::Const(_));
            gives && !facts.ctx_within(event.ctx, lazy.check.branch)
        }
        // After what is done once, not instead of it.
        EventKind::Call(call) => {
            event.ctx != lazy.check.branch
                && facts.ctx_within(lazy.check.branch, event.ctx)
                && !check_then_act::tells(cx, act, call)
        }
        _ => false,
    })
}

/// Whether the function that stores a value takes it back later: a mark that it is at work.
fn is_taken_back(cx: &RuleContext<'_>, act: &Access) -> bool {
    cx.program.accesses(act.place).iter().any(|other| {
        let is_after = other.function == act.function && other.event > act.event;
        is_after && matches!(other.kind, AccessKind::Write(Touch::Whole, _) | AccessKind::Delete(Touch::Whole))
    })
}

/// Whether a flag asks for work rather than say that it was done: somebody else puts it back in the course of things.
/// Two threads that both find it unset ask twice.
fn is_request(cx: &RuleContext<'_>, act: &Access) -> bool {
    cx.program.accesses(act.place).iter().any(|other| {
        let AccessKind::Write(Touch::Whole, value) = other.kind else { return false };
        let facts = &cx.program.module(other.module).facts;
        facts.terms.get(value) == Term::Const(Const::False)
            && other.function != act.function
            && !check_then_act::is_lifecycle(cx, other)
    })
}

/// How sure a finding can be, by what is stored and what is done on the way.
fn believable(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy, sharing: &Sharing<'_>) -> Option<Confidence> {
    let is_proven = matches!(sharing, Sharing::Proven(_));
    let facts = &cx.program.module(act.module).facts;
    if facts.terms.get(lazy.value) == Term::Const(Const::True) {
        // A flag: what matters is what it announces.
        if !check_then_act::does_work(cx, act, &lazy.check) {
            return None;
        }
        let is_everybodys = !matches!(act.place.root, PlaceRoot::Attr(..));
        // Set before the work, it keeps all but those apart that come between two neighbouring steps.
        let is_first = check_then_act::built_afterwards(cx, act, lazy).is_some();
        let only_sets_up = is_everybodys && is_first && !goes_on(cx, act, lazy);
        if is_request(cx, act) || only_sets_up || !check_then_act::does_harm(cx, act, &lazy.check) {
            return Some(Confidence::Low);
        }
        return Some(if is_proven || (is_first && matches!(act.place.root, PlaceRoot::Global(..))) {
            Confidence::High
        } else {
            Confidence::Low
        });
    }
    // Which of two errors is kept does not matter: each is why it failed.
    if check_then_act::is_error(cx, act, lazy.value) || is_made_at_setup(cx, act) {
        return Some(Confidence::Low);
    }
    // Whoever replaces it for other reasons, too, keeps nothing that must be the only one.
    if lazy.check.certainty == Certainty::OneOfSeveral || registers_itself(cx, act, lazy) {
        return Some(Confidence::Low);
    }
    let harmless = match cx.program.worth(act.module, lazy.value) {
        // What is computed twice is computed alike, as far as anybody knows.
        Worth::Unknown => is_proven || !check_then_act::is_promised_once(cx, act),
        Worth::Nothing | Worth::Same => true,
        Worth::Container => {
            !(is_changed(cx, act.place) || (is_proven && is_shown(cx, act) && !is_filled_before(cx, act, lazy)))
        }
        Worth::Object => is_alike(cx, act, lazy) || !is_proven && is_async_primitive(cx, act, lazy),
    };
    Some(if harmless { Confidence::Low } else { Confidence::High })
}

/// Whether the constructor has called the function by the time anybody else can, and only the end of the object takes the
/// value away again.
fn is_made_at_setup(cx: &RuleContext<'_>, act: &Access) -> bool {
    let is_certain = |site: &CallSite| {
        let (module, _) = cx.program.func_local(site.caller);
        let facts = &cx.program.module(module).facts;
        let decides = |ctx: &Ctx| match ctx.kind {
            CtxKind::Body(_) | CtxKind::Try | CtxKind::With(..) => false,
            // Where the constructor has not called it, the function makes nothing either, or there is no object.
            CtxKind::Branch(test, arm) => !is_asked_again(cx, facts, test, act) && !raises_otherwise(facts, test, arm),
            _ => true,
        };
        cx.program.function(site.caller).name == sym!("__init__")
            && site.receiver == Receiver::Own
            && !facts.ctx_chain(site.ctx).any(|(_, ctx)| decides(ctx))
    };
    let is_emptied = |other: &Access| match other.kind {
        AccessKind::Write(Touch::Whole, value) => cx.program.worth(other.module, value) == Worth::Nothing,
        AccessKind::Delete(_) => true,
        _ => false,
    };
    let mut emptied = cx.program.accesses(act.place).iter().filter(|other| is_emptied(other));
    matches!(act.place.root, PlaceRoot::Attr(..))
        && cx.program.callers(act.function).iter().any(is_certain)
        && emptied.all(|other| check_then_act::is_ending(cx, other) || cx.program.is_setup(other.function))
}

/// Whether the store stands under a test of every attribute that another test asks for.
fn is_asked_again(cx: &RuleContext<'_>, facts: &ModuleFacts, test: TermId, act: &Access) -> bool {
    let own = &cx.program.module(act.module).facts;
    let mut asked = Vec::new();
    for (_, ctx) in own.ctx_chain(act.ctx) {
        if let CtxKind::Branch(test, _) = ctx.kind {
            attributes_in(own, test, &mut asked);
        }
    }
    let mut wanted = Vec::new();
    attributes_in(facts, test, &mut wanted);
    !wanted.is_empty() && wanted.iter().all(|name| asked.contains(name))
}

/// Whether the other arm of a test raises.
fn raises_otherwise(facts: &ModuleFacts, test: TermId, arm: Arm) -> bool {
    let is_other = |ctx: &Ctx| matches!(ctx.kind, CtxKind::Branch(same, other) if same.same(test) && other != arm);
    let mut raised = facts.events.iter().filter(|event| matches!(event.kind, EventKind::Raise(_)));
    raised.any(|event| facts.ctx_chain(event.ctx).any(|(_, ctx)| is_other(ctx)))
}

/// The names of the attributes in a term.
fn attributes_in(facts: &ModuleFacts, term: TermId, found: &mut Vec<Sym>) {
    if let Term::Attr(_, name) = facts.terms.get(term) {
        found.push(name);
    }
    for part in facts.terms.children(term) {
        attributes_in(facts, part, found);
    }
}

/// Whether the objects two threads make differ in nothing: of a class whose objects never change once they are made.
fn is_alike(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy) -> bool {
    matches!(cx.program.kind(act.module, lazy.value), Kind::Instance(class)
        if !cx.program.class(class).attrs.is_empty()
            && cx.program.is_value_class(class)
            && cx.program.lib_bases(class).is_empty()
            && !check_then_act::changes_once_made(cx, class, act.function))
}

/// Whether an object makes itself the default while it is made ready: it exists either way.
fn registers_itself(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy) -> bool {
    let facts = &cx.program.module(act.module).facts;
    let is_self = facts.var_of(lazy.value).is_some_and(|var| {
        let values = &facts.vars[var.index()].values;
        matches!(values[..], [value] if matches!(facts.terms.get(value), Term::Param(_, 0)))
    });
    is_self
        && cx.program.class_of(act.function).is_some()
        && cx.program.callers(act.function).iter().any(|site| cx.program.is_setup(site.caller))
}

/// Locks and events of asyncio belong to the thread of their loop.
fn is_async_primitive(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy) -> bool {
    cx.program.kind(act.module, lazy.value).role() == Some(Role::AsyncPrimitive)
}

/// Whether a container was filled under a local name before it is stored: two threads fill two of them alike.
fn is_filled_before(cx: &RuleContext<'_>, act: &Access, lazy: &Lazy) -> bool {
    let (_, local) = cx.program.func_local(act.function);
    let facts = &cx.program.module(act.module).facts;
    let Some(var) = facts.var_of(lazy.value) else { return false };
    let mut filled = facts
        .events_of(local)
        .iter()
        .filter(|event| match event.kind {
            EventKind::Store(target, _) => {
                matches!(facts.terms.get(target), Term::Item(base, _) if facts.var_of(base) == Some(var))
            }
            EventKind::Call(call) => facts.var_of(facts.receiver_of(call)) == Some(var),
            _ => false,
        })
        .peekable();
    filled.peek().is_some() && filled.all(|event| event.range.end() <= act.range.start())
}

/// Whether the function hands out what the place holds: whoever gets it may change it.
fn is_shown(cx: &RuleContext<'_>, act: &Access) -> bool {
    let (module, local) = cx.program.func_local(act.function);
    let facts = &cx.program.module(module).facts;
    facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Return(value) | EventKind::Yield(value) => cx.program.same_target(act, value),
        EventKind::Call(call) => facts.args_of(call).iter().any(|arg| cx.program.same_target(act, arg.value)),
        _ => false,
    })
}

/// Whether what the place holds is changed after it was made.
fn is_changed(cx: &RuleContext<'_>, place: Place) -> bool {
    cx.program.accesses(place).iter().any(|access| access.kind.writes() && !access.kind.is_whole())
}

fn describe(cx: &RuleContext<'_>, place: Place, hazard: &Hazard<'_>) -> Finding {
    let name = cx.program.place_name(place);
    let message = format!("two threads may both find `{name}` unset and both set it");
    let mut finding = hazard.finding(cx, message, "whether it is set may be out of date when it is set", "set here");
    if let Some(lazy) = check_then_act::lazy(cx, hazard.act)
        && let Some(later) = check_then_act::built_afterwards(cx, hazard.act, &lazy)
    {
        finding = check_then_act::published_early(finding, later);
    }
    finding
        .note("all builds: the GIL may be handed over between the test and the assignment")
        .help(check_then_act::lock_advice(cx, place, "make it eagerly, or hold one lock around test and assignment"))
}
