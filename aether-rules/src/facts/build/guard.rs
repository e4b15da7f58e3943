//! Guards declared where an attribute is assigned: `self.items: Annotated[dict, GuardedBy("_lock")] = {}`.
//!
//! *Invariant:* read off the annotation as it is written; whether `GuardedBy` is ours is not asked, since no other reading
//! of that name beside `Annotated` is known.

use ruff_python_ast::{self as ast, Expr};
use ruff_text_size::Ranged as _;

use super::Builder;
use crate::facts::{DeclaredGuard, EventKind, Sym};

impl Builder {
    /// Notes the guard an annotation declares for what was stored last.
    pub(super) fn note_guard(&mut self, annotation: &Expr) {
        let Some(lock) = declared_lock(annotation) else { return };
        let stored = self.frames.last().and_then(|frame| frame.events.last());
        let Some(EventKind::Store(target, _)) = stored.map(|event| event.kind) else { return };
        self.sym(lock); // So that the lock can be named.
        self.guards.push(DeclaredGuard { target, lock: Sym::new(lock), text: lock.into(), range: annotation.range() });
    }
}

/// The lock named by `Annotated[T, …, GuardedBy("lock"), …]`, without `self.`.
fn declared_lock(annotation: &Expr) -> Option<&str> {
    let Expr::Subscript(ast::ExprSubscript { value, slice, .. }) = annotation else { return None };
    let Expr::Tuple(parts) = &**slice else { return None };
    if last_name(value) != Some("Annotated") {
        return None;
    }
    parts.elts.iter().find_map(|part| {
        let Expr::Call(call) = part else { return None };
        let written = call.arguments.args.first()?.as_string_literal_expr()?.value.to_str();
        let is_guard = last_name(&call.func) == Some("GuardedBy");
        is_guard.then(|| written.strip_prefix("self.").unwrap_or(written))
    })
}

fn last_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        _ => None,
    }
}
