//! Comprehensions: a scope for the targets, a loop per generator.

use ruff_python_ast::{self as ast, Expr};
use ruff_text_size::Ranged;

use super::Builder;
use crate::facts::{Arm, Container, CtxKind, EventKind, ScopeKind, Term, TermId};

impl Builder {
    pub(super) fn comprehension(
        &mut self,
        container: Container,
        parts: &[&Expr],
        generators: &[ast::Comprehension],
    ) -> TermId {
        let (scope, ctx) = (self.scope, self.ctx);
        for (position, generator) in generators.iter().enumerate() {
            // The first iterable is evaluated outside; a generator expression only reads it there.
            let iterable = self.expr(&generator.iter);
            let range = generator.iter.range();
            if position == 0 {
                self.scope = self.scopes.open(ScopeKind::Comprehension, scope);
            }
            if generator.is_async {
                self.emit(EventKind::Await, range);
            } else {
                self.emit(EventKind::Iterate(iterable), range);
            }
            self.announce_targets(&generator.target);
            self.ctx = self.push_ctx(CtxKind::For(iterable), range);
            let element = self.element(iterable);
            self.assign(&generator.target, element);
            for test in &generator.ifs {
                let term = self.expr(test);
                self.ctx = self.push_ctx(CtxKind::Branch(term, Arm::Then), test.range());
            }
        }
        let mut element = TermId::OPAQUE;
        for part in parts {
            element = self.expr(part);
        }
        (self.scope, self.ctx) = (scope, ctx);
        self.term(Term::Comp(container, element))
    }

    fn announce_targets(&mut self, target: &Expr) {
        match target {
            Expr::Name(name) => {
                let sym = self.sym(&name.id);
                self.scopes.announce(self.scope, sym);
            }
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                for part in elts {
                    self.announce_targets(part);
                }
            }
            Expr::Starred(starred) => self.announce_targets(&starred.value),
            _ => {}
        }
    }
}
