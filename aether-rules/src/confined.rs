//! Objects that belong to the thread that made them, or to one thread at a time: who made them, who uses them.
//!
//! *Invariant:* an object whose maker is not seen is nobody's: silence, not suspicion.

use ruff_text_size::TextRange;

use crate::facts::{CallIx, CtxIx, CtxKind, EventIx, EventKind, FuncIx, Qual, Sym, Term, TermId};
use crate::link::{FuncId, Kind, ModuleId, Place, PlaceRoot, Receiver, Visit};
use crate::{RuleContext, sym};

/// One use of such an object: a method call, or a `with`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// The function.
    pub(crate) function: FuncId,
    /// The class of the object, or the function that made it.
    pub(crate) class: Qual,
    /// The object.
    pub(crate) place: Place,
    /// How the object was reached.
    pub(crate) receiver: Receiver,
    /// The method and its call; `None` for a `with`.
    pub(crate) call: Option<(Sym, CallIx)>,
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
pub(crate) fn uses(cx: &RuleContext<'_>, is_wanted: &dyn Fn(Qual) -> bool) -> Vec<Use> {
    let facts = cx.facts();
    let mut found = Vec::new();
    let mut add = |function: FuncIx, base: TermId, call: Option<(Sym, CallIx)>, event, range| {
        if let Some(class) = class_of(cx, base, call.map(|(method, _)| method)).filter(|&class| is_wanted(class))
            && let Some((place, receiver)) = cx.program.place(cx.module, function, base)
            && !cx.program.is_confined(place)
        {
            let function = cx.program.func_id(cx.module, function);
            found.push(Use { function, class, place, receiver, call, event, range });
        }
    };
    for (function, _) in cx.functions() {
        for (at, event) in cx.events(function) {
            if let EventKind::Call(call) = event.kind
                && let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee)
            {
                add(function, base, Some((method, call)), at, event.range);
            }
        }
    }
    for (index, ctx) in facts.ctxs.iter().enumerate() {
        let CtxKind::With(term, _) = ctx.kind else { continue };
        let inside = CtxIx::at(index);
        let function = facts.function_of_ctx(inside);
        if matches!(cx.program.kind(cx.module, term), Kind::Object(class) if is_wanted(class))
            && let Some((at, _)) = cx.events(function).find(|(_, event)| facts.ctx_within(event.ctx, inside))
        {
            add(function, term, None, at, ctx.range);
        }
    }
    found.sort_by_key(|one: &Use| one.range.start());
    found
}

/// The class of a library object, or the function whose result it is a part of.
fn class_of(cx: &RuleContext<'_>, term: TermId, method: Option<Sym>) -> Option<Qual> {
    const OF_PARTS: [Sym; 5] =
        [sym!("send"), sym!("recv"), sym!("send_bytes"), sym!("recv_bytes"), sym!("recv_bytes_into")];
    if let Kind::Object(class) = cx.program.kind(cx.module, term) {
        return Some(class);
    }
    // `receiving, sending = Pipe()`: only what has such methods is worth looking for.
    method.filter(|method| OF_PARTS.contains(method))?;
    cx.program.values_of(cx.module, term).into_iter().find_map(|(module, value)| {
        let facts = &cx.program.module(module).facts;
        let Term::Unpacked(whole, _) = facts.terms.get(value) else { return None };
        let Term::Call(call) = facts.terms.get(whole) else { return None };
        cx.program.library_callee(module, call)
    })
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
