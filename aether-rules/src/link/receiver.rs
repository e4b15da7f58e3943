//! Whose object an expression denotes, as seen from the function that uses it.
//!
//! *Invariant:* an object handed in by callers that disagree, or that nobody knows, is [`Receiver::Unknown`].

use super::calls::Receiver;
use super::kind::{Kind, ModuleId};
use super::program::Program;
use crate::facts::{CallIx, EventKind, FuncIx, ScopeKind, Term, TermId};

impl Program {
    /// How the object a term denotes relates to the function that uses it.
    pub fn receiver(&self, module: ModuleId, function: FuncIx, term: TermId) -> Receiver {
        self.receiver_within(module, function, term, 0)
    }

    /// A parameter is everybody's if every caller passes something that is.
    fn receiver_of_param(&self, module: ModuleId, of: FuncIx, position: u16, depth: usize) -> Receiver {
        const MAX_CALLERS: usize = 8;
        let id = self.func_id(module, of);
        let declaration = &self.modules[module.index()].facts.functions[of.index()];
        let sites = self.callers(id);
        let bound = usize::from(declaration.class.is_some() && !declaration.flags.is_static);
        let (Some(param), Some(position)) =
            (declaration.params.get(usize::from(position)), usize::from(position).checked_sub(bound))
        else {
            return Receiver::Unknown;
        };
        if sites.is_empty() || sites.len() > MAX_CALLERS {
            return Receiver::Unknown;
        }
        let all_global = sites.iter().all(|site| {
            let (caller_module, caller) = self.func_local(site.caller);
            let facts = &self.modules[caller_module.index()].facts;
            let EventKind::Call(call) = facts.events[site.event.index()].kind else { return false };
            let Some(arg) = facts.arg(call, position, param.name) else { return false };
            self.receiver_within(caller_module, caller, arg.value, depth + 3) == Receiver::Global
        });
        if all_global { Receiver::Global } else { Receiver::Unknown }
    }

    #[expect(clippy::only_used_in_recursion, reason = "whose `self` a term means is asked of one function")]
    fn receiver_within(&self, module: ModuleId, function: FuncIx, term: TermId, depth: usize) -> Receiver {
        const MAX_DEPTH: usize = 8;
        let facts = &self.modules[module.index()].facts;
        if depth > MAX_DEPTH {
            return Receiver::Unknown;
        }
        let inner = |term| self.receiver_within(module, function, term, depth + 1);
        match facts.terms.get(term) {
            Term::Name(_) => {
                let Some(var) = facts.var_of(term) else { return Receiver::Global };
                match facts.var_scope(var) {
                    ScopeKind::Module | ScopeKind::Class(_) => Receiver::Global,
                    ScopeKind::Function(_) | ScopeKind::Comprehension => {
                        let values = &facts.vars[var.index()].values;
                        let known = values.iter().filter(|value| !value.is_opaque()).take(4);
                        let receivers = known.map(|&value| inner(value));
                        receivers.reduce(|a, b| if a == b { a } else { Receiver::Unknown }).unwrap_or(Receiver::Unknown)
                    }
                }
            }
            Term::Param(of, position) if self.handed_to(module, of, position).is_some_and(|arg| arg.shared) => {
                Receiver::Global
            }
            Term::Param(of, 0) => {
                let owner = &facts.functions[of.index()];
                let is_self = owner.class.is_some() && !owner.flags.is_static;
                match (is_self, owner.flags.is_classmethod) {
                    (true, false) => Receiver::Own,
                    (true, true) => Receiver::Global,
                    _ => self.receiver_of_param(module, of, 0, depth),
                }
            }
            Term::Param(of, position) => self.receiver_of_param(module, of, position, depth),
            Term::Attr(base, _) | Term::Item(base, _) | Term::Element(base) | Term::Unpacked(base, _) => {
                match inner(base) {
                    Receiver::Own | Receiver::OfOwn => Receiver::OfOwn,
                    other => other,
                }
            }
            Term::Entered(base) | Term::Awaited(base) => inner(base),
            Term::Call(call) => self.receiver_of_call(module, call, depth, &inner),
            Term::Class(_) | Term::Import(_) | Term::Function(_) => Receiver::Global,
            Term::Display(..) | Term::Comp(..) | Term::Const(_) | Term::Operation(..) => Receiver::Fresh,
            Term::Or(a, b) | Term::And(a, b) | Term::Either(a, b) => {
                let (a, b) = (inner(a), inner(b));
                if a == b { a } else { a.max(b) }
            }
            _ => Receiver::Unknown,
        }
    }

    /// Whose the result of a call is; `inner` says so of a part of it.
    fn receiver_of_call(
        &self,
        module: ModuleId,
        call: CallIx,
        depth: usize,
        inner: &dyn Fn(TermId) -> Receiver,
    ) -> Receiver {
        let facts = &self.modules[module.index()].facts;
        match self.kind(module, facts.calls[call.index()].callee) {
            // Its own thread knows a thread object, however local the name.
            Kind::Class(class) if self.is_thread_class(class) && depth <= 1 => Receiver::Global,
            Kind::Class(_) => Receiver::Fresh,
            Kind::Lib(name) if name == crate::qual!("builtins.super") => Receiver::Own,
            Kind::Lib(_) => match facts.terms.get(facts.calls[call.index()].callee) {
                // `self.things.get(key)`, `self.things.values()`: parts of what they are called on.
                Term::Attr(base, _) => match inner(base) {
                    Receiver::Own | Receiver::OfOwn => Receiver::OfOwn,
                    Receiver::Global
                        if self.kind(module, base).is_known() && !matches!(self.kind(module, base), Kind::Lib(_)) =>
                    {
                        Receiver::Global
                    }
                    _ => Receiver::Fresh,
                },
                _ => Receiver::Fresh,
            },
            _ => Receiver::Unknown,
        }
    }
}
