//! What one step of a function does to which expressions.
//!
//! *Invariant:* what is done to an element as a whole is not done to the container it is in.

use ruff_text_size::TextRange;
use smallvec::SmallVec;

use super::{AccessKind, Touch};
use crate::facts::{CallIx, Event, EventKind, Term, TermId};
use crate::link::kind::{Kind, ModuleId};
use crate::link::program::Program;
use crate::model::{Effect, Role, methods};
use crate::sym;

/// The expressions one step touches, how, and where.
type Touches = SmallVec<[(TermId, AccessKind, TextRange); 2]>;

/// What one step does to which expression.
pub(super) fn touches(program: &Program, module: ModuleId, event: &Event) -> Touches {
    let facts = &program.modules[module.index()].facts;
    let split = |term: TermId| match facts.terms.get(term) {
        Term::Item(base, key) => (base, Touch::Element(key)),
        _ => (term, Touch::Whole),
    };
    let mut found: Touches = Touches::new();
    match event.kind {
        EventKind::Load(term) => {
            let (term, touch) = split(term);
            found.push((term, AccessKind::Touch(touch), event.range));
        }
        EventKind::Store(term, value) => {
            let (term, touch) = split(term);
            found.push((term, AccessKind::Write(touch, value), event.range));
        }
        EventKind::Augment(term, value) => {
            let (term, touch) = split(term);
            found.push((term, AccessKind::Augment(touch, value), event.range));
        }
        EventKind::Delete(term) => {
            let (term, touch) = split(term);
            found.push((term, AccessKind::Delete(touch), event.range));
        }
        EventKind::Iterate(term) => {
            let term = through_view(program, module, term);
            let kind = if is_iterator(program.kind(module, term)) {
                AccessKind::Method(sym!("__next__"), Effect::Consume)
            } else {
                AccessKind::Iterate
            };
            found.push((term, kind, event.range));
        }
        EventKind::Call(call) => of_call(program, module, (call, event.range), &mut found),
        _ => {}
    }
    // What is done to an element as a whole is not done to the container: `groups[k].append(x)`.
    found.retain(|(term, kind, _)| {
        let on_container = matches!(kind, AccessKind::Iterate | AccessKind::Method(..));
        !on_container || !matches!(facts.terms.get(*term), Term::Item(..))
    });
    found
}

/// What a call does to its receiver and arguments.
fn of_call(program: &Program, module: ModuleId, (call, range): (CallIx, TextRange), found: &mut Touches) {
    let facts = &program.modules[module.index()].facts;
    let callee = facts.calls[call.index()].callee;
    if let Term::Attr(base, method) = facts.terms.get(callee) {
        let effect = match program.kind(module, base).role() {
            Some(Role::Container(container)) => methods::effect_of(container, method),
            Some(Role::Generator | Role::Iterator) => methods::consumes(method).then_some(Effect::Consume),
            None if !program.kind(module, base).is_known() => methods::effect_by_name(method),
            _ => None,
        };
        match effect {
            Some(Effect::View) | None => {}
            Some(effect) => found.push((base, AccessKind::Method(method, effect), range)),
        }
    }
    if program.library_callee(module, call) == Some(crate::qual!("builtins.next"))
        && let Some(arg) = facts.positional(call, 0)
    {
        found.push((arg.value, AccessKind::Method(sym!("__next__"), Effect::Consume), range));
    }
    if let Some((iterated, range)) = consumed_argument(program, module, call) {
        let term = through_view(program, module, iterated);
        found.push((term, AccessKind::Iterate, range));
    }
}

/// Whether going through it uses it up.
fn is_iterator(kind: Kind) -> bool {
    matches!(kind.role(), Some(Role::Iterator | Role::Generator | Role::File))
}

/// `d.items()` is `d`, element by element.
pub(crate) fn through_view(program: &Program, module: ModuleId, term: TermId) -> TermId {
    let facts = &program.modules[module.index()].facts;
    if let Term::Call(call) = facts.terms.get(term) {
        if let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee)
            && [sym!("items"), sym!("keys"), sym!("values")].contains(&method)
            && facts.args_of(call).is_empty()
        {
            return base;
        }
        // `enumerate(xs)`, `zip(xs, ys)`, `reversed(xs)`: lazily over xs.
        let lazy = [sym!("enumerate"), sym!("reversed"), sym!("iter"), sym!("zip")];
        let builtins = crate::qual!("builtins");
        if let Some(name) = program.library_callee(module, call)
            && lazy.iter().any(|&lazy| builtins.child(lazy) == name)
            && let Some(arg) = facts.positional(call, 0)
        {
            return through_view(program, module, arg.value);
        }
    }
    term
}

/// The container a builtin walks element by element, running the elements' own code in between.
///
/// `list(d)`, `tuple(d)` and `sorted(xs)` of built-in containers copy in one step and are no iteration.
fn consumed_argument(program: &Program, module: ModuleId, call: CallIx) -> Option<(TermId, TextRange)> {
    let facts = &program.modules[module.index()].facts;
    let name = program.library_callee(module, call)?;
    let consuming = [sym!("sum"), sym!("max"), sym!("min"), sym!("any"), sym!("all")];
    let builtins = crate::qual!("builtins");
    if !consuming.iter().any(|&consuming| builtins.child(consuming) == name) || facts.positional(call, 1).is_some() {
        return None;
    }
    facts.positional(call, 0).map(|arg| (arg.value, arg.range))
}
