//! `try` and its handlers: which errors are expected where, and what follows from a failure.
//!
//! *Invariant:* an error counts as expected only where a handler names it, or one of its bases.

use super::access::Access;
use super::kind::{Kind, ModuleId};
use super::program::Program;
use crate::facts::{CtxIx, CtxKind, EventKind, ModuleFacts, Qual, Term, TermId};
use crate::qual;

/// What a missing element, attribute or name raises.
pub(super) const LOOKUP_ERRORS: &[Qual] = &[
    qual!("builtins.KeyError"),
    qual!("builtins.LookupError"),
    qual!("builtins.IndexError"),
    qual!("builtins.AttributeError"),
    qual!("builtins.NameError"),
];

impl Program {
    /// Whether one of these errors is expected where an access stands: a handler or `suppress` is around it.
    pub fn tolerates(&self, module: ModuleId, ctx: CtxIx, errors: &[Qual]) -> bool {
        let facts = &self.modules[module.index()].facts;
        facts.ctx_chain(ctx).any(|(at, ctx)| match ctx.kind {
            CtxKind::Try => handlers_of(facts, at).any(|types| self.catches(module, types, errors)),
            CtxKind::With(term, _) => {
                let Term::Call(call) = facts.terms.get(term) else { return false };
                self.library_callee(module, call) == Some(qual!("contextlib.suppress"))
                    && facts.args_of(call).iter().any(|arg| self.catches(module, arg.value, errors))
            }
            _ => false,
        })
    }

    /// Whether a handler for these types catches one of the named builtin errors.
    pub(super) fn catches(&self, module: ModuleId, types: TermId, errors: &[Qual]) -> bool {
        let facts = &self.modules[module.index()].facts;
        if types.is_opaque() {
            return true;
        }
        if let Term::Display(_, list) = facts.terms.get(types) {
            return facts.terms.list(list).iter().any(|&one| self.catches(module, one, errors));
        }
        let Kind::Lib(name) = self.kind(module, types) else { return false };
        errors.contains(&name) || [qual!("builtins.Exception"), qual!("builtins.BaseException")].contains(&name)
    }

    /// Earlier `try` blocks that would have returned, had they not failed: the access follows them.
    pub(super) fn left_attempts(&self, act: &Access) -> Vec<CtxIx> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let around: Vec<CtxIx> = facts.ctx_chain(act.ctx).map(|(at, _)| at).collect();
        let mut found: Vec<CtxIx> = Vec::new();
        for event in facts.events_of(function) {
            if !matches!(event.kind, EventKind::Return(_)) || event.range.start() >= act.range.start() {
                continue;
            }
            let attempt = facts.ctx_chain(event.ctx).find(|(_, ctx)| ctx.kind == CtxKind::Try);
            let Some((at, ctx)) = attempt else { continue };
            let fails_over = handlers_of(facts, at).any(|types| self.catches(act.module, types, LOOKUP_ERRORS));
            if fails_over && around.contains(&ctx.parent) && !around.contains(&at) && !found.contains(&at) {
                found.push(at);
            }
        }
        found
    }
}

/// The `try` body whose failure a handler handles: the nearest before it, under the same condition.
pub(super) fn attempt_of(facts: &ModuleFacts, handler: CtxIx) -> Option<CtxIx> {
    let parent = facts.ctxs[handler.index()].parent;
    let before = (0..handler.index()).rev();
    let mut attempts = before.filter(|&at| facts.ctxs[at].kind == CtxKind::Try && facts.ctxs[at].parent == parent);
    attempts.next().map(CtxIx::at)
}

/// The types that the handlers of a `try` body handle. Its `finally`, empty or not, comes after them.
fn handlers_of(facts: &ModuleFacts, attempt: CtxIx) -> impl Iterator<Item = TermId> + '_ {
    let parent = facts.ctxs[attempt.index()].parent;
    let header = facts.ctxs[attempt.index()].range;
    let after = facts.ctxs[attempt.index() + 1..].iter().filter(move |ctx| ctx.parent == parent);
    let mine = after.take_while(move |ctx| !(ctx.kind == CtxKind::Finally && ctx.range == header));
    mine.filter_map(|ctx| match ctx.kind {
        CtxKind::Handler(types) => Some(types),
        _ => None,
    })
}
