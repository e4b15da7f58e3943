//! Context managers that change a setting around the code of whoever enters them, and change it back.
//!
//! *Invariant:* what is only taken back after a failure counts as meant to stay.

use super::{Change, Step};
use crate::facts::{CtxKind, Event, EventKind, FuncIx, Qual};
use crate::link::{Kind, ModuleId, Program};
use crate::{RuleContext, qual, sym};

/// Whether the function is a `@contextmanager` that changes the setting, yields, and changes it again; what only happens
/// where the block has failed takes back what was meant to stay.
pub(super) fn yields_between(cx: &RuleContext<'_>, function: FuncIx, first: &Step, again: &[&Step]) -> bool {
    let facts = cx.facts();
    let in_handler = |step: &Step| {
        let mut around = facts.ctx_chain(facts.events[step.event.index()].ctx);
        around.any(|(_, ctx)| matches!(ctx.kind, CtxKind::Handler(_)))
    };
    is_context_manager(cx, function)
        && cx.events(function).any(|(at, event)| {
            matches!(event.kind, EventKind::Yield(_))
                && at > first.event
                && again.iter().any(|step| step.event > at && !in_handler(step))
        })
}

/// Whether a generator is made a context manager by its decorator.
pub(crate) fn is_context_manager(cx: &RuleContext<'_>, function: FuncIx) -> bool {
    is_generator_manager(cx.program, cx.module, function)
}

pub(super) fn is_generator_manager(program: &Program, module: ModuleId, function: FuncIx) -> bool {
    const DECORATORS: [Qual; 2] = [qual!("contextlib.contextmanager"), qual!("contextlib.asynccontextmanager")];
    let decorators = &program.module(module).facts.functions[function.index()].decorators;
    decorators
        .iter()
        .any(|&decorator| matches!(program.kind(module, decorator), Kind::Lib(name) if DECORATORS.contains(&name)))
}

/// Whether `__enter__` changes what `__exit__` of the same class changes back.
pub(super) fn left_to_exit(
    cx: &RuleContext<'_>,
    function: FuncIx,
    first: &Step,
    change: &dyn Fn(&RuleContext<'_>, &Event) -> Option<Change>,
) -> bool {
    let Some(exit) = exit_of(cx, function) else { return false };
    cx.events(exit).any(|(_, event)| change(cx, &event).is_some_and(|change| change.setting == first.change.setting))
}

/// The `__exit__` that belongs to an `__enter__`.
pub(crate) fn exit_of(cx: &RuleContext<'_>, enter: FuncIx) -> Option<FuncIx> {
    let facts = cx.facts();
    let declaration = &facts.functions[enter.index()];
    let exit = match declaration.name {
        name if name == sym!("__enter__") => sym!("__exit__"),
        name if name == sym!("__aenter__") => sym!("__aexit__"),
        _ => return None,
    };
    let class = &facts.classes[declaration.class?.index()];
    class.methods.iter().copied().find(|method| facts.functions[method.index()].name == exit)
}
