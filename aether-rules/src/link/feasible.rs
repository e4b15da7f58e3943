//! Whether a step of a function can be reached by one given call of it.
//!
//! `def get(self, locked=False): if not locked: …` called with `locked=True` does not take the branch: a constant
//! argument decides a test on its parameter.
//!
//! *Invariant:* "unreachable" is only said when the argument, or the default, is a literal.

use super::calls::CallSite;
use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{ArgumentName, Arm, CallIx, Comparison, Const, CtxIx, CtxKind, EventKind, FuncIx, Term, TermId};
use crate::{qual, sym};

/// How deep a test may be built.
const MAX_DEPTH: usize = 4;

impl Program {
    /// Whether a call of `function` can get to a step that stands in `ctx`.
    pub(super) fn can_reach(&self, function: FuncId, ctx: CtxIx, site: &CallSite) -> bool {
        let (caller_module, _) = self.func_local(site.caller);
        let EventKind::Call(call) = self.module(caller_module).facts.events[site.event.index()].kind else {
            return true;
        };
        let (module, local) = self.func_local(function);
        let facts = &self.module(module).facts;
        facts.ctx_chain(ctx).all(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => {
                let known = self.decided(module, local, test, (caller_module, call), 0);
                known.is_none_or(|holds| holds == (arm == Arm::Then))
            }
            _ => true,
        })
    }

    /// Whether a step of a function depends on one of its parameters.
    pub(super) fn depends_on_parameter(&self, function: FuncId, ctx: CtxIx) -> bool {
        let (module, local) = self.func_local(function);
        let facts = &self.module(module).facts;
        facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, _) => {
                self.mentions(module, test, 0, &|term| self.parameter_of(module, local, term).is_some())
            }
            _ => false,
        })
    }

    /// Whether a step is only taken after asking who holds the lock, or whether anybody does.
    pub fn asks_for_holder(&self, module: ModuleId, ctx: CtxIx) -> bool {
        let facts = &self.module(module).facts;
        facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, _) => self.mentions(module, test, 0, &|term| self.is_holder_question(module, term)),
            _ => false,
        })
    }

    fn is_holder_question(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.module(module).facts;
        let Term::Call(call) = facts.terms.get(term) else { return false };
        let asks_the_lock = match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(_, name) => [sym!("locked"), sym!("_is_owned")].contains(&name),
            _ => false,
        };
        asks_the_lock || self.is_current_thread(module, term)
    }

    /// Whether a term has to do with which thread this is.
    pub(super) fn asks_who_runs(&self, module: ModuleId, term: TermId) -> bool {
        self.mentions(module, term, 0, &|term| self.is_current_thread(module, term))
    }

    fn is_current_thread(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.module(module).facts;
        let Term::Call(call) = facts.terms.get(term) else { return false };
        let callee = facts.calls[call.index()].callee;
        let names = [
            qual!("threading.get_ident"),
            qual!("_thread.get_ident"),
            qual!("threading.current_thread"),
            qual!("threading.currentThread"),
        ];
        match (self.kind(module, callee), facts.terms.get(callee)) {
            (Kind::Lib(name), _) if names.contains(&name) => true,
            (_, Term::Attr(_, name)) => [sym!("get_ident"), sym!("current_thread")].contains(&name),
            _ => false,
        }
    }

    fn mentions(&self, module: ModuleId, term: TermId, depth: usize, wanted: &dyn Fn(TermId) -> bool) -> bool {
        let facts = &self.module(module).facts;
        if depth > MAX_DEPTH || term.is_opaque() {
            return false;
        }
        if wanted(term) || facts.terms.children(term).any(|part| self.mentions(module, part, depth + 1, wanted)) {
            return true;
        }
        match facts.terms.get(term) {
            Term::Call(call) => {
                facts.args_of(call).iter().any(|arg| self.mentions(module, arg.value, depth + 1, wanted))
            }
            // `me = get_ident()` two lines earlier.
            Term::Name(_) => {
                let values = facts.var_of(term).map(|var| &facts.vars[var.index()].values[..]).unwrap_or_default();
                matches!(values, [value] if self.mentions(module, *value, depth + 1, wanted))
            }
            _ => false,
        }
    }

    /// The position of the parameter a name stands for, unless it is assigned something else.
    fn parameter_of(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<u16> {
        let facts = &self.module(module).facts;
        let var = facts.var_of(term)?;
        let (&first, rest) = facts.vars[var.index()].values.split_first()?;
        let Term::Param(of, position) = facts.terms.get(first) else { return None };
        let declaration = &facts.functions[of.index()];
        let default = declaration.params.get(usize::from(position))?.default;
        let is_self = position == 0 && declaration.class.is_some() && !declaration.flags.is_static;
        (of == function && !is_self && rest.iter().all(|&value| value == default)).then_some(position)
    }

    fn decided(
        &self,
        module: ModuleId,
        function: FuncIx,
        test: TermId,
        call: (ModuleId, CallIx),
        depth: usize,
    ) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        let facts = &self.module(module).facts;
        let inner = |term| self.decided(module, function, term, call, depth + 1);
        match facts.terms.get(test) {
            Term::Not(term) => inner(term).map(|holds| !holds),
            Term::And(a, b) => match (inner(a), inner(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Term::Or(a, b) => match (inner(a), inner(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Term::Compare(Comparison::Is, term, other) if self.is_none(module, other) => {
                self.passed(module, function, term, call).map(|value| value == Const::None)
            }
            Term::Compare(Comparison::IsNot, term, other) if self.is_none(module, other) => {
                self.passed(module, function, term, call).map(|value| value != Const::None)
            }
            Term::Name(_) => match self.passed(module, function, test, call)? {
                Const::True => Some(true),
                Const::False | Const::None => Some(false),
                Const::Int(number) => Some(number != 0),
                Const::Str(_) | Const::Other => None,
            },
            _ => None,
        }
    }

    fn is_none(&self, module: ModuleId, term: TermId) -> bool {
        self.module(module).facts.terms.get(term) == Term::Const(Const::None)
    }

    /// The literal that a call gives to the parameter a name stands for.
    fn passed(
        &self,
        module: ModuleId,
        function: FuncIx,
        name: TermId,
        (caller, call): (ModuleId, CallIx),
    ) -> Option<Const> {
        let position = usize::from(self.parameter_of(module, function, name)?);
        let declaration = &self.module(module).facts.functions[function.index()];
        let param = declaration.params.get(position)?;
        let facts = &self.module(caller).facts;
        let is_bound = declaration.class.is_some() && !declaration.flags.is_static;
        let at = position.checked_sub(usize::from(is_bound))?;
        let args = facts.args_of(call);
        if args.iter().any(|arg| matches!(arg.name, ArgumentName::Starred | ArgumentName::DoubleStarred)) {
            return None;
        }
        let (owner, value) = match facts.arg(call, at, param.name) {
            Some(arg) => (caller, arg.value),
            None => (module, param.default),
        };
        match self.module(owner).facts.terms.get(value) {
            Term::Const(value) => Some(value),
            _ => None,
        }
    }
}
