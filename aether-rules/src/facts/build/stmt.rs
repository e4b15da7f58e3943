//! Statements: what binds, what branches, what ends a block.

use ruff_python_ast::{self as ast, Expr, Stmt};
use ruff_text_size::{Ranged, TextRange};

use super::Builder;
use super::scope::Declared;
use crate::facts::{Arm, Comparison, Const, CtxKind, EventKind, Import, Sym, Term, TermId, Usage, VarIx, WithKind};

/// Whether control reaches what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continues,
    Ends,
}

impl Flow {
    fn both(self, other: Self) -> Self {
        if self == Self::Ends && other == Self::Ends { Self::Ends } else { Self::Continues }
    }
}

impl Builder {
    /// Walks statements in order. What a leading `if …: return` proves holds until the end of the block.
    pub(super) fn block(&mut self, body: &[Stmt]) -> Flow {
        let outer = self.ctx;
        let mut flow = Flow::Continues;
        for stmt in body {
            if self.stmt(stmt) == Flow::Ends {
                flow = Flow::Ends;
            }
        }
        self.ctx = outer;
        flow
    }

    fn stmt(&mut self, stmt: &Stmt) -> Flow {
        match stmt {
            Stmt::FunctionDef(def) => self.function_def(def),
            Stmt::ClassDef(def) => self.class_def(def),
            Stmt::Return(stmt) => {
                let value = stmt.value.as_deref().map_or(TermId::OPAQUE, |value| self.expr(value));
                self.emit(EventKind::Return(value), stmt.range);
                return Flow::Ends;
            }
            Stmt::Raise(stmt) => {
                let exception = stmt.exc.as_deref().map_or(TermId::OPAQUE, |value| self.expr(value));
                self.optional(stmt.cause.as_deref());
                self.emit(EventKind::Raise(exception), stmt.range);
                return Flow::Ends;
            }
            Stmt::Break(_) | Stmt::Continue(_) => return Flow::Ends,
            Stmt::Delete(stmt) => stmt.targets.iter().for_each(|target| self.delete(target)),
            Stmt::Assign(stmt) => {
                let value = self.expr(&stmt.value);
                for target in &stmt.targets {
                    self.assign(target, value);
                }
            }
            Stmt::AugAssign(stmt) => self.augment(stmt),
            Stmt::AnnAssign(stmt) => self.annotated(stmt),
            Stmt::For(stmt) => self.for_loop(stmt),
            Stmt::While(stmt) => self.while_loop(stmt),
            Stmt::If(stmt) => return self.branch(stmt),
            Stmt::With(stmt) => return self.with(stmt, 0),
            Stmt::Match(stmt) => self.match_cases(stmt),
            Stmt::Try(stmt) => return self.try_block(stmt),
            Stmt::Assert(stmt) => self.assert(stmt),
            Stmt::Import(stmt) => self.import(stmt),
            Stmt::ImportFrom(stmt) => self.import_from(stmt),
            Stmt::Global(stmt) => self.declare(&stmt.names, Declared::Global),
            Stmt::Nonlocal(stmt) => self.declare(&stmt.names, Declared::Nonlocal),
            Stmt::Expr(stmt) => {
                self.expr_used(&stmt.value, Usage::Discarded);
            }
            Stmt::TypeAlias(stmt) => {
                let value = self.quietly(|builder| builder.expr(&stmt.value));
                self.assign(&stmt.name, value);
            }
            Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => {}
        }
        Flow::Continues
    }

    fn assert(&mut self, stmt: &ast::StmtAssert) {
        let test = self.expr(&stmt.test);
        self.optional(stmt.msg.as_deref());
        // `assert x is not None` tells a type checker, and decides nothing.
        if !matches!(self.terms.get(test), Term::Compare(Comparison::IsNot, ..)) {
            self.imply(test, Arm::Then, stmt.test.range());
        }
    }

    fn optional(&mut self, expr: Option<&Expr>) {
        if let Some(expr) = expr {
            self.expr(expr);
        }
    }

    /// From here to the end of the block `test` is known to have gone one way.
    fn imply(&mut self, test: TermId, arm: Arm, range: TextRange) {
        if !test.is_opaque() {
            self.ctx = self.push_ctx(CtxKind::Branch(test, arm), range);
        }
    }

    fn declare(&mut self, names: &[ast::Identifier], declared: Declared) {
        for name in names {
            let sym = self.sym(&name.id);
            self.scopes.declare(self.scope, sym, declared);
        }
    }

    fn delete(&mut self, target: &Expr) {
        match target {
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|part| self.delete(part)),
            Expr::List(list) => list.elts.iter().for_each(|part| self.delete(part)),
            _ => {
                let term = self.target(target);
                self.emit(EventKind::Delete(term), target.range());
            }
        }
    }

    fn augment(&mut self, stmt: &ast::StmtAugAssign) {
        let target = self.target(&stmt.target);
        let mut value = self.expr(&stmt.value);
        if stmt.op != ast::Operator::Add {
            // `x -= 1` counts down: told from `x += 1` by an operation with nothing on the other side.
            value = self.term(Term::Operation(value, TermId::OPAQUE));
        }
        if let Expr::Name(name) = &*stmt.target {
            let result = self.term(Term::Operation(target, value));
            self.bind(&name.id, name.range, result);
        }
        self.emit(EventKind::Augment(target, value), stmt.range);
    }

    fn annotated(&mut self, stmt: &ast::StmtAnnAssign) {
        let annotation = self.quietly(|builder| builder.expr(&stmt.annotation));
        let value = stmt.value.as_deref().map(|value| self.expr(value));
        if let Expr::Name(name) = &*stmt.target {
            let sym = self.sym(&name.id);
            let var = self.scopes.bind(self.scope, sym, name.range);
            self.scopes.var_mut(var).annotation = annotation;
        }
        match value {
            Some(value) if !matches!(&*stmt.target, Expr::Name(_)) => {
                // An attribute has no variable to carry its annotation: its values do.
                let hinted = self.term(Term::Either(value, annotation));
                self.assign(&stmt.target, if value.is_opaque() { hinted } else { value });
                self.note_guard(&stmt.annotation);
            }
            Some(value) => self.assign(&stmt.target, value),
            None => {}
        }
    }

    fn for_loop(&mut self, stmt: &ast::StmtFor) {
        let iterable = self.expr(&stmt.iter);
        if stmt.is_async {
            self.emit(EventKind::Await, stmt.iter.range());
        } else {
            self.emit(EventKind::Iterate(iterable), stmt.iter.range());
        }
        self.within(CtxKind::For(iterable), stmt.iter.range(), |builder| {
            let element = builder.element(iterable);
            builder.assign(&stmt.target, element);
            builder.block(&stmt.body);
        });
        self.block(&stmt.orelse);
    }

    pub(super) fn element(&mut self, iterable: TermId) -> TermId {
        if iterable.is_opaque() { TermId::OPAQUE } else { self.term(Term::Element(iterable)) }
    }

    fn while_loop(&mut self, stmt: &ast::StmtWhile) {
        let range = stmt.test.range();
        self.within(CtxKind::While, range, |builder| {
            let test = builder.expr(&stmt.test);
            builder.within(CtxKind::Branch(test, Arm::Then), range, |builder| builder.block(&stmt.body));
        });
        self.block(&stmt.orelse);
    }

    fn branch(&mut self, stmt: &ast::StmtIf) -> Flow {
        let test = self.expr(&stmt.test);
        let range = stmt.test.range();
        let then = self.within(CtxKind::Branch(test, Arm::Then), range, |builder| builder.block(&stmt.body));
        let other =
            self.within(CtxKind::Branch(test, Arm::Else), range, |builder| builder.clauses(&stmt.elif_else_clauses));
        if then == Flow::Ends && other == Flow::Continues {
            self.imply(test, Arm::Else, range);
        } else if then == Flow::Continues && other == Flow::Ends {
            self.imply(test, Arm::Then, range);
        }
        then.both(other)
    }

    fn clauses(&mut self, clauses: &[ast::ElifElseClause]) -> Flow {
        let Some((clause, rest)) = clauses.split_first() else { return Flow::Continues };
        let Some(test) = &clause.test else { return self.block(&clause.body) };
        let range = test.range();
        let test = self.expr(test);
        let then = self.within(CtxKind::Branch(test, Arm::Then), range, |builder| builder.block(&clause.body));
        let other = self.within(CtxKind::Branch(test, Arm::Else), range, |builder| builder.clauses(rest));
        then.both(other)
    }

    /// The items of a `with` from the n-th on, then its body: each item is entered inside the ones before it.
    fn with(&mut self, stmt: &ast::StmtWith, item: usize) -> Flow {
        let Some(with_item) = stmt.items.get(item) else { return self.block(&stmt.body) };
        let range = with_item.context_expr.range();
        let entered = self.expr_used(&with_item.context_expr, Usage::Entered);
        let kind = if stmt.is_async { WithKind::Async } else { WithKind::Plain };
        if stmt.is_async {
            self.emit(EventKind::Await, range);
        }
        self.within(CtxKind::With(entered, kind), range, |builder| {
            if let Some(target) = with_item.optional_vars.as_deref() {
                let value = if entered.is_opaque() { entered } else { builder.term(Term::Entered(entered)) };
                builder.assign(target, value);
            }
            builder.with(stmt, item + 1)
        })
    }

    fn match_cases(&mut self, stmt: &ast::StmtMatch) {
        self.expr(&stmt.subject);
        for case in &stmt.cases {
            self.within(CtxKind::Maybe, case.pattern.range(), |builder| {
                builder.pattern(&case.pattern);
                builder.optional(case.guard.as_deref());
                builder.block(&case.body);
            });
        }
    }

    fn pattern(&mut self, pattern: &ast::Pattern) {
        match pattern {
            ast::Pattern::MatchAs(inner) => {
                self.capture(inner.name.as_ref());
                if let Some(inner) = &inner.pattern {
                    self.pattern(inner);
                }
            }
            ast::Pattern::MatchStar(inner) => self.capture(inner.name.as_ref()),
            ast::Pattern::MatchMapping(inner) => {
                self.capture(inner.rest.as_ref());
                inner.patterns.iter().for_each(|part| self.pattern(part));
            }
            ast::Pattern::MatchSequence(inner) => inner.patterns.iter().for_each(|part| self.pattern(part)),
            ast::Pattern::MatchOr(inner) => inner.patterns.iter().for_each(|part| self.pattern(part)),
            ast::Pattern::MatchClass(inner) => {
                inner.arguments.patterns.iter().for_each(|part| self.pattern(part));
                inner.arguments.keywords.iter().for_each(|keyword| self.pattern(&keyword.pattern));
            }
            ast::Pattern::MatchValue(_) | ast::Pattern::MatchSingleton(_) => {}
        }
    }

    fn capture(&mut self, name: Option<&ast::Identifier>) {
        if let Some(name) = name {
            self.bind(&name.id, name.range, TermId::OPAQUE);
        }
    }

    fn try_block(&mut self, stmt: &ast::StmtTry) -> Flow {
        let header = TextRange::at(stmt.range.start(), ruff_text_size::TextSize::new(3));
        let mut flow = self.within(CtxKind::Try, header, |builder| builder.block(&stmt.body));
        if flow == Flow::Continues {
            flow = self.block(&stmt.orelse);
        } else {
            self.block(&stmt.orelse);
        }
        for ast::ExceptHandler::ExceptHandler(handler) in &stmt.handlers {
            let types = handler.type_.as_deref().map_or(TermId::OPAQUE, |types| self.expr(types));
            let range = handler.type_.as_deref().map_or(handler.range, Ranged::range);
            let handled = self.within(CtxKind::Handler(types), range, |builder| {
                if let Some(name) = &handler.name {
                    let caught = builder.term(Term::Caught(types));
                    builder.bind(&name.id, name.range, caught);
                }
                builder.block(&handler.body)
            });
            flow = flow.both(handled);
        }
        let last = self.within(CtxKind::Finally, header, |builder| builder.block(&stmt.finalbody));
        if last == Flow::Ends { Flow::Ends } else { flow }
    }

    fn import(&mut self, stmt: &ast::StmtImport) {
        for alias in &stmt.names {
            let parts: Vec<_> = alias.name.id.split('.').map(|part| self.sym(part)).collect();
            let (bound, module) = match &alias.asname {
                Some(name) => (name.id.as_str(), parts),
                None => (alias.name.id.split('.').next().unwrap_or_default(), parts[..1].to_vec()),
            };
            self.bind_import(bound, alias.range, Import { level: 0, module, member: None, range: alias.range });
            if alias.asname.is_none() && alias.name.id.contains('.') {
                // `import a.b` binds `a`, but it is `a.b` that gets imported.
                let module = alias.name.id.split('.').map(|part| self.sym(part)).collect();
                self.imports.push(Import { level: 0, module, member: None, range: alias.range });
            }
        }
    }

    fn import_from(&mut self, stmt: &ast::StmtImportFrom) {
        let module = stmt.module.as_ref().map_or("", |module| module.id.as_str());
        let parts: Vec<_> = module.split('.').filter(|part| !part.is_empty()).map(|part| self.sym(part)).collect();
        for alias in &stmt.names {
            let member = Some(self.sym(&alias.name.id));
            let import = Import { level: stmt.level, module: parts.clone(), member, range: alias.range };
            if alias.name.id == "*" {
                self.imports.push(import);
            } else {
                let bound = alias.asname.as_ref().unwrap_or(&alias.name).id.clone();
                self.bind_import(&bound, alias.range, import);
            }
        }
    }

    fn bind_import(&mut self, name: &str, range: TextRange, import: Import) {
        let at = crate::facts::ImportIx::at(self.imports.len());
        self.imports.push(import);
        let value = self.term(Term::Import(at));
        self.bind(name, range, value);
    }

    /// Gives a name one more value.
    pub(super) fn bind(&mut self, name: &str, range: TextRange, value: TermId) {
        let sym = self.sym(name);
        self.bind_sym(sym, range, value);
    }

    /// The same for a name that is known; the variable it has become.
    pub(super) fn bind_sym(&mut self, sym: Sym, range: TextRange, value: TermId) -> VarIx {
        let var = self.scopes.bind(self.scope, sym, range);
        self.scopes.var_mut(var).values.push(value);
        var
    }

    /// Walks an assignment target and emits its store.
    pub(super) fn assign(&mut self, target: &Expr, value: TermId) {
        match target {
            Expr::Tuple(ast::ExprTuple { elts, .. }) | Expr::List(ast::ExprList { elts, .. }) => {
                for (position, part) in elts.iter().enumerate() {
                    let value = self.part(value, position);
                    self.assign(part, value);
                }
            }
            Expr::Starred(starred) => self.assign(&starred.value, TermId::OPAQUE),
            Expr::Name(name) => {
                let sym = self.sym(&name.id);
                self.bind_sym(sym, name.range, value);
                let term = self.sym_term(sym);
                self.emit(EventKind::Store(term, value), name.range);
            }
            _ => {
                let term = self.target(target);
                self.emit(EventKind::Store(term, value), target.range());
            }
        }
    }

    fn part(&mut self, value: TermId, position: usize) -> TermId {
        match self.terms.get(value) {
            Term::Opaque => TermId::OPAQUE,
            Term::Display(_, list) => self.terms.item(list, position),
            _ => self.term(Term::Unpacked(value, position as u16)),
        }
    }

    pub(super) fn constant(&mut self, constant: Const) -> TermId {
        self.term(Term::Const(constant))
    }
}
