//! Objects that belong to the thread that made them, or to one thread at a time: who made them, who uses them.
//!
//! *Invariant:* an object whose maker is not seen is nobody's: silence, not suspicion.

use ruff_text_size::TextRange;

use crate::RuleContext;
use crate::facts::{CtxIx, CtxKind, EventIx, EventKind, FuncIx, Qual, Sym, Term, TermId};
use crate::link::{FuncId, Kind, ModuleId, Place, PlaceRoot, Receiver, Visit};

/// One use of such an object: a method call, or a `with`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// The function.
    pub(crate) function: FuncId,
    /// The module of the function.
    pub(crate) module: ModuleId,
    /// The object.
    pub(crate) place: Place,
    /// How the object was reached.
    pub(crate) receiver: Receiver,
    /// The method and its call; `None` for a `with`.
    pub(crate) call: Option<(Sym, crate::facts::CallIx)>,
    /// The step, if it is one: a `with` has the step of its first event.
    pub(crate) event: EventIx,
    /// Where.
    pub(crate) range: TextRange,
}

/// Where an object is made and put into its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maker {
    /// The function.
    pub(crate) function: FuncId,
    /// The module of the function.
    pub(crate) module: ModuleId,
    /// What is stored.
    pub(crate) value: TermId,
    /// Where.
    pub(crate) range: TextRange,
}

/// Every use, in the module under check, of objects of some library classes, in source order.
pub(crate) fn uses(cx: &RuleContext<'_>, classes: &[Qual]) -> Vec<Use> {
    let facts = cx.facts();
    let is_one = |term| matches!(cx.program.kind(cx.module, term), Kind::Object(class) if classes.contains(&class));
    let mut found = Vec::new();
    for (function, id) in cx.functions() {
        let mut add = |base: TermId, call, event, range| {
            if let Some((place, receiver)) = cx.program.place(cx.module, function, base)
                && !cx.program.is_confined(place)
            {
                found.push(Use { function: id, module: cx.module, place, receiver, call, event, range });
            }
        };
        for (at, event) in cx.events(function) {
            if let EventKind::Call(call) = event.kind
                && let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee)
                && is_one(base)
            {
                add(base, Some((method, call)), at, event.range);
            }
        }
        for (index, ctx) in facts.ctxs.iter().enumerate() {
            let CtxKind::With(term, _) = ctx.kind else { continue };
            let inside = CtxIx::at(index);
            if facts.function_of_ctx(inside) == function
                && is_one(term)
                && let Some((at, _)) = cx.events(function).find(|(_, event)| facts.ctx_within(event.ctx, inside))
            {
                add(term, None, at, ctx.range);
            }
        }
    }
    found.sort_by_key(|one: &Use| one.range.start());
    found
}

/// Who makes the objects that a place holds.
pub(crate) fn makers(cx: &RuleContext<'_>, place: Place, classes: &[Qual]) -> Vec<Maker> {
    let module = cx.program.place_module(place);
    let facts = &cx.program.module(module).facts;
    let is_one = |value| matches!(cx.program.kind(module, value), Kind::Object(class) if classes.contains(&class));
    if let PlaceRoot::Cell(_, var) = place.root {
        let crate::facts::ScopeKind::Function(owner) = facts.var_scope(var) else { return Vec::new() };
        let function = cx.program.func_id(module, owner);
        let variable = &facts.vars[var.index()];
        let values = variable.values.iter().copied().filter(|&value| is_made(facts.terms.get(value)) && is_one(value));
        return values.map(|value| Maker { function, module, value, range: variable.range }).collect();
    }
    let mut found = Vec::new();
    for index in 0..facts.functions.len() {
        let function = FuncIx::at(index);
        for event in facts.events_of(function) {
            let EventKind::Store(target, value) = event.kind else { continue };
            if is_one(value) && cx.program.place(module, function, target).is_some_and(|(stored, _)| stored == place) {
                found.push(Maker { function: cx.program.func_id(module, function), module, value, range: event.range });
            }
        }
    }
    found
}

/// Whether a value is made on the spot, rather than handed in.
fn is_made(term: Term) -> bool {
    matches!(term, Term::Call(_) | Term::Entered(_))
}

/// The threads on which a use meets an object that others know too.
pub(crate) fn visits<'a>(cx: &RuleContext<'a>, one: &Use) -> impl Iterator<Item = &'a Visit> + use<'a> {
    let (receiver, place) = (one.receiver, one.place);
    cx.program.thread_visits(one.function).filter(move |visit| match receiver {
        Receiver::Global => true,
        Receiver::Own | Receiver::OfOwn => visit.shares_self || matches!(place.root, PlaceRoot::Cell(..)),
        Receiver::Fresh | Receiver::Unknown => false,
    })
}

/// Whether a thread runs a function.
pub(crate) fn runs(cx: &RuleContext<'_>, visit: &Visit, function: FuncId) -> bool {
    cx.program.visits(function).iter().any(|other| other.root == visit.root)
}
