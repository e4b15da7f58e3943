//! `AET206`: a module-level container changed in several steps that belong together.

use crate::check_then_act;
use crate::declare_rule;
use crate::evidence;
use crate::facts::{Arm, Container, CtxIx, CtxKind, FuncIx, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, AccessKind, FuncId, Place, PlaceRoot, Sharing, Touch};
use crate::model::{Effect, Role};
use crate::{Confidence, Finding, Findings, RuleContext};
use crate::{qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a module-level (or class-level) container that a function changes in steps that belong together,
    /// without a lock: evict and store, take out and put back, `setdefault` and overwrite, two dicts that are each other's
    /// inverse; and `extend`/`update` from a generator, which runs code between two elements.
    ///
    /// ## Why is this bad?
    /// Each step may be atomic; the two together are not. Another thread sees the cache emptied, the entry gone, the
    /// name without its number; or evicts what was stored a moment ago.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// pages = {}
    ///
    /// def remember(url, page):
    ///     if len(pages) > 100:
    ///         pages.clear()
    ///     pages[url] = page
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=remember, args=("/", "text")).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// pages = {}
    /// lock = threading.Lock()
    ///
    /// def remember(url, page):
    ///     with lock:
    ///         if len(pages) > 100:
    ///             pages.clear()
    ///         pages[url] = page
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=remember, args=("/", "text")).start()
    /// ```
    ///
    /// ## Limits
    /// A single atomic operation (`d[k] = v`, `append`, `pop(k, None)`) is never reported. Steps in different functions
    /// are not put together, and that two threads may use different keys is not known.
    ///
    /// ## References
    /// - [Thread safety guarantees](https://docs.python.org/3/library/threadsafety.html)
    pub(crate) static MODULE_CACHE_UNLOCKED = {
        code: "AET206", name: "module-cache-unlocked", summary: "a global container is changed in several steps without a lock",
        family: State, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// Why emptying and refilling belong together.
const EMPTIED: &str = "others see it emptied";

/// Steps that belong together.
struct Steps<'a> {
    first: &'a Access,
    second: Option<&'a Access>,
    why: &'static str,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for place in cx.program.places_of(cx.module) {
        let is_global = matches!(place.root, PlaceRoot::Global(..)) || cx.program.is_class_level(place);
        if !is_global || !matches!(cx.program.place_kind(place).role(), Some(Role::Container(_))) {
            continue;
        }
        let changes: Vec<&Access> = cx.program.accesses(place).iter().filter(|access| is_change(access)).collect();
        let steps = changes.iter().filter_map(|first| steps(cx, first, &changes));
        let shared = steps.filter_map(|steps| {
            let sharing = cx.program.stale_sharing(steps.first, |_| true)?;
            let confidence = confidence(cx, &steps, &sharing);
            Some((steps, sharing, confidence))
        });
        let best = shared.min_by_key(|(steps, _, confidence)| {
            (std::cmp::Reverse(*confidence), steps.first.module, steps.first.range.start())
        });
        if let Some((steps, sharing, confidence)) = best
            && findings.wants(confidence)
        {
            findings.report(describe(cx, place, &steps, (&sharing, confidence)));
        }
    }
}

/// Whether the container's contents change.
fn is_change(access: &Access) -> bool {
    access.kind.writes() && !access.kind.is_whole()
}

/// The steps an access begins, if they are more than one and no lock keeps them together.
fn steps<'a>(cx: &RuleContext<'a>, first: &'a Access, changes: &[&'a Access]) -> Option<Steps<'a>> {
    let is_held = |last: &Access| {
        cx.program.are_one_step(first.module, first.function, first.event.min(last.event), first.event.max(last.event))
    };
    if takes_generator(cx, first) && !is_held(first) {
        return Some(Steps { first, second: None, why: "the generator's code runs between two elements" });
    }
    let mine = |other: &&&Access| other.function == first.function && other.event > first.event;
    for second in changes.iter().filter(mine) {
        if is_held(second) || exclusive(cx, first, second) {
            continue;
        }
        if let Some(why) = belong_together(cx, first, second) {
            return Some(Steps { first, second: Some(second), why });
        }
    }
    let second = inverse(cx, first)?;
    (!is_held(second)).then_some(Steps { first, second: Some(second), why: "each is the inverse of the other" })
}

/// Why two changes of one container are one change.
fn belong_together(cx: &RuleContext<'_>, first: &Access, second: &Access) -> Option<&'static str> {
    let keys = (key(cx, first), key(cx, second));
    let same_key = matches!(keys, (Some(a), Some(b)) if a.same(b));
    let empties = |access: &Access| matches!(access.kind, AccessKind::Method(method, _) if method == sym!("clear"));
    let evicts = |access: &Access| matches!(access.kind, AccessKind::Method(method, _) if [sym!("popitem"), sym!("popleft")].contains(&method));
    if empties(first) && adds(second) {
        return Some(EMPTIED);
    }
    if same_key && takes_out(first) && adds(second) {
        return Some("others miss the entry in between");
    }
    if same_key && is_setdefault(first) && matches!(second.kind, AccessKind::Write(Touch::Element(_), _)) {
        return Some("what another thread put there in between is overwritten");
    }
    if (evicts(first) && adds(second)) || (adds(first) && evicts(second)) {
        return Some("the store and the eviction belong together");
    }
    None
}

fn adds(access: &Access) -> bool {
    match access.kind {
        AccessKind::Write(Touch::Element(_), _) => true,
        AccessKind::Method(method, Effect::Resize) => {
            [sym!("append"), sym!("add"), sym!("extend"), sym!("update"), sym!("insert"), sym!("setdefault")]
                .contains(&method)
        }
        _ => false,
    }
}

fn takes_out(access: &Access) -> bool {
    match access.kind {
        AccessKind::Delete(Touch::Element(_)) => true,
        AccessKind::Method(method, _) => [sym!("pop"), sym!("remove"), sym!("discard")].contains(&method),
        _ => false,
    }
}

fn is_setdefault(access: &Access) -> bool {
    matches!(access.kind, AccessKind::Method(method, _) if method == sym!("setdefault"))
}

/// The key or element that a change names.
fn key(cx: &RuleContext<'_>, access: &Access) -> Option<TermId> {
    match access.kind {
        AccessKind::Write(Touch::Element(key), _) | AccessKind::Delete(Touch::Element(key)) => Some(key),
        AccessKind::Method(..) => cx.program.call_argument(access, 0),
        _ => None,
    }
}

fn takes_generator(cx: &RuleContext<'_>, access: &Access) -> bool {
    let AccessKind::Method(method, _) = access.kind else { return false };
    if ![sym!("extend"), sym!("update")].contains(&method) {
        return false;
    }
    let facts = &cx.program.module(access.module).facts;
    cx.program.call_argument(access, 0).is_some_and(|argument| {
        matches!(facts.terms.get(argument), Term::Comp(Container::Generator, _))
            || cx.program.kind(access.module, argument).object() == Some(qual!("builtins.generator"))
    })
}

/// Whether two steps stand in different arms of one test.
fn exclusive(cx: &RuleContext<'_>, a: &Access, b: &Access) -> bool {
    let facts = &cx.program.module(a.module).facts;
    let arms = |ctx: CtxIx| {
        facts.ctx_chain(ctx).filter_map(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => Some((test, arm, ctx.range)),
            _ => None,
        })
    };
    arms(a.ctx).any(|(test, arm, range)| {
        let other = if arm == Arm::Then { Arm::Else } else { Arm::Then };
        arms(b.ctx).any(|found| found == (test, other, range))
    })
}

/// The store into another module-level dict whose key is this value and whose value is this key.
fn inverse<'a>(cx: &RuleContext<'a>, first: &Access) -> Option<&'a Access> {
    let AccessKind::Write(Touch::Element(key), value) = first.kind else { return None };
    let (module, local): (_, FuncIx) = cx.program.func_local(first.function);
    let same_function = |id: FuncId| cx.program.func_local(id) == (module, local);
    cx.program
        .places_of(cx.module)
        .filter(|&place| place != first.place && matches!(place.root, PlaceRoot::Global(..)))
        .find_map(|place| {
            cx.program.accesses(place).iter().find(|other| {
                same_function(other.function)
                    && other.event > first.event
                    && matches!(other.kind, AccessKind::Write(Touch::Element(k), v) if k.same(value) && v.same(key))
            })
        })
}

/// Where instances are made, every thread that makes one is a user.
fn confidence(cx: &RuleContext<'_>, steps: &Steps<'_>, sharing: &Sharing<'_>) -> Confidence {
    let function = cx.program.function(steps.first.function);
    let makes_instances = match cx.program.class_of(steps.first.function) {
        Some(class) => {
            function.name == sym!("__new__") || (cx.program.is_metaclass(class) && function.name == sym!("__call__"))
        }
        None => false,
    };
    match sharing {
        Sharing::Promised(_) if evidence::assumes_lock(cx.program, steps.first.function) => Confidence::Low,
        // An emptied cache is filled again; an entry that vanishes, or is evicted twice, is another matter.
        Sharing::Possible if makes_instances && steps.why != EMPTIED => Confidence::Medium,
        sharing => sharing.confidence(),
    }
}

fn describe(
    cx: &RuleContext<'_>,
    place: Place,
    steps: &Steps<'_>,
    (sharing, confidence): (&Sharing<'_>, Confidence),
) -> Finding {
    let name = cx.program.place_name(place);
    let span = evidence::span_of(cx.program, steps.first);
    let message = format!("`{name}` is changed in several steps, and another thread may come in between");
    let mut finding = Finding::new(span, confidence, message).label(steps.why);
    if let Some(second) = steps.second {
        let span = evidence::span_of(cx.program, second);
        if span != finding.primary {
            let name = cx.program.place_name(second.place);
            finding = finding.evidence(Evidence::new(
                EvidenceRole::OtherAccess,
                span,
                format!("the change of `{name}` that belongs to it"),
            ));
        }
    }
    evidence::explain(cx.program, finding, steps.first, sharing)
        .note("all builds: the GIL may be handed over between two steps")
        .help(check_then_act::lock_advice(
            cx,
            place,
            "hold one lock around the steps, or build the new contents aside and rebind the name once",
        ))
}
