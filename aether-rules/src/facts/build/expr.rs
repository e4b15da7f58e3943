//! Expressions: each becomes a term, and leaves the events of its evaluation behind.

use ruff_python_ast::{self as ast, CmpOp, Expr, Number, UnaryOp};
use ruff_text_size::{Ranged, TextRange};
use smallvec::SmallVec;

use super::{Builder, Mode};
use crate::facts::{
    Argument, ArgumentName, Arm, Call, Comparison, Const, Container, CtxKind, EventKind, Sym, Term, TermId, Usage,
};

/// How many elements of a display are remembered: dispatch tables are short, data tables are not.
const MAX_ELEMENTS: usize = 16;

impl Builder {
    /// Walks an expression whose value is used.
    pub(super) fn expr(&mut self, expr: &Expr) -> TermId {
        self.expr_used(expr, Usage::Used)
    }

    /// Walks an expression that is not evaluated, such as an annotation.
    pub(super) fn quietly<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.mode, Mode::Quiet);
        let result = walk(self);
        self.mode = outer;
        result
    }

    /// Walks an expression; `usage` says what becomes of a call's result.
    pub(super) fn expr_used(&mut self, expr: &Expr, usage: Usage) -> TermId {
        match expr {
            Expr::Name(name) => self.load_name(name),
            Expr::Attribute(attribute) => {
                let term = self.target(expr);
                self.emit(EventKind::Load(term), attribute.range);
                term
            }
            Expr::Subscript(subscript) => {
                let term = self.target(expr);
                self.emit(EventKind::Load(term), subscript.range);
                term
            }
            Expr::Call(call) => self.call(call, usage),
            Expr::Await(_) | Expr::Yield(_) | Expr::YieldFrom(_) => self.suspension(expr),
            Expr::Named(named) => {
                let value = self.expr(&named.value);
                self.walrus(&named.target, value);
                value
            }
            Expr::BoolOp(op) => self.bool_op(op),
            Expr::BinOp(_) | Expr::UnaryOp(_) => self.operation(expr),
            Expr::Compare(compare) => self.compare(compare),
            Expr::If(ternary) => self.ternary(ternary),
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::Generator(_) | Expr::DictComp(_) => self.comprehended(expr),
            Expr::List(list) => self.display(Container::List, &list.elts),
            Expr::Tuple(tuple) => self.display(Container::Tuple, &tuple.elts),
            Expr::Set(set) => self.display(Container::Set, &set.elts),
            Expr::Dict(dict) => self.dict(dict),
            Expr::Starred(starred) => {
                let value = self.expr(&starred.value);
                self.emit(EventKind::Iterate(value), starred.value.range());
                self.element(value)
            }
            Expr::Slice(slice) => {
                for part in [&slice.lower, &slice.upper, &slice.step].into_iter().flatten() {
                    self.expr(part);
                }
                TermId::OPAQUE
            }
            Expr::FString(_) | Expr::TString(_) => self.formatted(expr),
            _ => self.literal(expr),
        }
    }

    /// Where others run before the value is there.
    fn suspension(&mut self, expr: &Expr) -> TermId {
        match expr {
            Expr::Await(inner) => {
                let value = self.expr_used(&inner.value, Usage::Awaited);
                self.emit(EventKind::Await, inner.range);
                self.wrap(value, Term::Awaited)
            }
            Expr::Yield(inner) => {
                let value = inner.value.as_deref().map_or(TermId::OPAQUE, |value| self.expr(value));
                self.yields(value, inner.range)
            }
            Expr::YieldFrom(inner) => {
                let value = self.expr(&inner.value);
                self.emit(EventKind::Iterate(value), inner.value.range());
                let element = self.element(value);
                self.yields(element, inner.range)
            }
            _ => TermId::OPAQUE,
        }
    }

    /// A comprehension or generator expression.
    fn comprehended(&mut self, expr: &Expr) -> TermId {
        match expr {
            Expr::ListComp(comp) => self.comprehension(Container::List, &[&comp.elt], &comp.generators),
            Expr::SetComp(comp) => self.comprehension(Container::Set, &[&comp.elt], &comp.generators),
            Expr::Generator(comp) => self.comprehension(Container::Generator, &[&comp.elt], &comp.generators),
            Expr::DictComp(comp) => {
                let mut parts: Vec<&Expr> = comp.key.as_deref().into_iter().collect();
                parts.push(&comp.value);
                self.comprehension(Container::Dict, &parts, &comp.generators)
            }
            _ => TermId::OPAQUE,
        }
    }

    /// A string with code in braces.
    fn formatted(&mut self, expr: &Expr) -> TermId {
        match expr {
            Expr::FString(string) => {
                for part in string.value.elements() {
                    self.interpolated(part);
                }
                self.constant(Const::Other)
            }
            Expr::TString(string) => {
                for part in string.value.elements() {
                    self.interpolated(part);
                }
                TermId::OPAQUE
            }
            _ => TermId::OPAQUE,
        }
    }

    /// `a + b`, `not a`, and their kind.
    fn operation(&mut self, expr: &Expr) -> TermId {
        match expr {
            Expr::BinOp(op) => {
                let left = self.expr(&op.left);
                let right = self.expr(&op.right);
                self.term(Term::Operation(left, right))
            }
            Expr::UnaryOp(op) => {
                let operand = self.expr(&op.operand);
                match op.op {
                    UnaryOp::Not => self.wrap(operand, Term::Not),
                    _ => self.term(Term::Operation(operand, TermId::OPAQUE)),
                }
            }
            _ => TermId::OPAQUE,
        }
    }

    fn literal(&mut self, expr: &Expr) -> TermId {
        let constant = match expr {
            Expr::NoneLiteral(_) => Const::None,
            Expr::BooleanLiteral(literal) if literal.value => Const::True,
            Expr::BooleanLiteral(_) => Const::False,
            Expr::NumberLiteral(literal) => match &literal.value {
                Number::Int(int) => int.as_i32().map_or(Const::Other, Const::Int),
                _ => Const::Other,
            },
            Expr::StringLiteral(literal) => {
                let text = literal.value.to_str();
                Const::Str(if text.len() <= 64 { self.sym(text) } else { Sym::new(text) })
            }
            Expr::BytesLiteral(_) => Const::Other,
            _ => return TermId::OPAQUE,
        };
        self.constant(constant)
    }

    fn wrap(&mut self, inner: TermId, wrap: impl FnOnce(TermId) -> Term) -> TermId {
        if inner.is_opaque() { inner } else { self.term(wrap(inner)) }
    }

    pub(super) fn name_term(&mut self, name: &ast::ExprName) -> TermId {
        let sym = self.sym(&name.id);
        self.sym_term(sym)
    }

    pub(super) fn sym_term(&mut self, sym: Sym) -> TermId {
        let at = self.scopes.name(self.scope, sym);
        self.term(Term::Name(at))
    }

    fn load_name(&mut self, name: &ast::ExprName) -> TermId {
        let sym = self.sym(&name.id);
        let at = self.scopes.name(self.scope, sym);
        let term = self.term(Term::Name(at));
        if !self.scopes.is_local(self.scope, at) {
            self.emit(EventKind::Load(term), name.range);
        }
        term
    }

    /// The place an expression denotes: walks its parts, but does not read it.
    pub(super) fn target(&mut self, expr: &Expr) -> TermId {
        match expr {
            Expr::Name(name) => self.name_term(name),
            Expr::Attribute(attribute) => {
                let base = self.expr(&attribute.value);
                let attr = self.sym(&attribute.attr.id);
                self.wrap(base, |base| Term::Attr(base, attr))
            }
            Expr::Subscript(subscript) => {
                let base = self.expr(&subscript.value);
                let key = self.expr(&subscript.slice);
                self.wrap(base, |base| Term::Item(base, key))
            }
            _ => self.expr(expr),
        }
    }

    fn walrus(&mut self, target: &Expr, value: TermId) {
        let inner = self.scope;
        self.scope = self.scopes.plain(inner);
        self.assign(target, value);
        self.scope = inner;
    }

    fn yields(&mut self, value: TermId, range: TextRange) -> TermId {
        self.emit(EventKind::Yield(value), range);
        let function = self.current_function();
        self.functions[function.index()].flags.is_generator = true;
        TermId::OPAQUE
    }

    fn call(&mut self, call: &ast::ExprCall, usage: Usage) -> TermId {
        let callee = self.target(&call.func);
        // The calls among the arguments add theirs first: this one's wait here, on the stack unless they are many.
        let mut args: SmallVec<[Argument; 6]> = SmallVec::with_capacity(call.arguments.len());
        for arg in &call.arguments.args {
            let (name, expr) = match arg {
                Expr::Starred(starred) => (ArgumentName::Starred, &*starred.value),
                other => (ArgumentName::Positional, other),
            };
            args.push(Argument { name, value: self.expr(expr), range: arg.range() });
        }
        for keyword in &call.arguments.keywords {
            let name = match &keyword.arg {
                Some(name) => ArgumentName::Keyword(self.sym(&name.id)),
                None => ArgumentName::DoubleStarred,
            };
            args.push(Argument { name, value: self.expr(&keyword.value), range: keyword.range });
        }
        let range = call.range();
        let start = self.args.len() as u32;
        let count = args.len() as u16;
        self.args.extend(args);
        let at = self.add_call(Call { callee, range, args: (start, count), usage, ctx: self.ctx });
        self.emit(EventKind::Call(at), range);
        self.term(Term::Call(at))
    }

    fn bool_op(&mut self, op: &ast::ExprBoolOp) -> TermId {
        let (arm, join): (Arm, fn(TermId, TermId) -> Term) = match op.op {
            ast::BoolOp::And => (Arm::Then, Term::And),
            ast::BoolOp::Or => (Arm::Else, Term::Or),
        };
        let outer = self.ctx;
        let mut result = None;
        for value in &op.values {
            let term = self.expr(value);
            result = Some(match result {
                None => term,
                Some(before) => self.term(join(before, term)),
            });
            self.ctx = self.push_ctx(CtxKind::Branch(term, arm), value.range());
        }
        self.ctx = outer;
        result.unwrap_or(TermId::OPAQUE)
    }

    fn compare(&mut self, compare: &ast::ExprCompare) -> TermId {
        let mut left = self.expr(&compare.left);
        let mut result = None;
        for (op, right) in compare.ops.iter().zip(&compare.comparators) {
            let right = self.expr(right);
            let comparison = match op {
                CmpOp::Eq => Comparison::Eq,
                CmpOp::NotEq => Comparison::NotEq,
                CmpOp::Lt | CmpOp::LtE | CmpOp::Gt | CmpOp::GtE => Comparison::Order,
                CmpOp::Is => Comparison::Is,
                CmpOp::IsNot => Comparison::IsNot,
                CmpOp::In => Comparison::In,
                CmpOp::NotIn => Comparison::NotIn,
            };
            let term = self.term(Term::Compare(comparison, left, right));
            result = Some(match result {
                None => term,
                Some(before) => self.term(Term::And(before, term)),
            });
            left = right;
        }
        result.unwrap_or(TermId::OPAQUE)
    }

    fn ternary(&mut self, ternary: &ast::ExprIf) -> TermId {
        let test = self.expr(&ternary.test);
        let range = ternary.test.range();
        let then = self.within(CtxKind::Branch(test, Arm::Then), range, |builder| builder.expr(&ternary.body));
        let other = self.within(CtxKind::Branch(test, Arm::Else), range, |builder| builder.expr(&ternary.orelse));
        self.term(Term::Either(then, other))
    }

    fn display(&mut self, container: Container, elements: &[Expr]) -> TermId {
        let mut terms: SmallVec<[TermId; MAX_ELEMENTS]> = SmallVec::new();
        for element in elements {
            let term = self.expr(element);
            if terms.len() < MAX_ELEMENTS {
                terms.push(term);
            }
        }
        let list = self.terms.list(&terms);
        self.term(Term::Display(container, list))
    }

    fn dict(&mut self, dict: &ast::ExprDict) -> TermId {
        let mut terms: SmallVec<[TermId; MAX_ELEMENTS]> = SmallVec::new();
        for item in &dict.items {
            let Some(key) = &item.key else {
                let merged = self.expr(&item.value);
                // Copied in one step, as by `dict(merged)`: no iteration.
                let element = self.element(merged);
                if terms.len() < MAX_ELEMENTS {
                    terms.push(element);
                }
                continue;
            };
            self.expr(key);
            let value = self.expr(&item.value);
            if terms.len() < MAX_ELEMENTS {
                terms.push(value);
            }
        }
        let list = self.terms.list(&terms);
        self.term(Term::Display(Container::Dict, list))
    }

    fn interpolated(&mut self, element: &ast::InterpolatedStringElement) {
        let ast::InterpolatedStringElement::Interpolation(inner) = element else { return };
        self.expr(&inner.expression);
        if let Some(spec) = &inner.format_spec {
            for part in &spec.elements {
                self.interpolated(part);
            }
        }
    }
}
