//! Functions that run before anything is shared, or when nobody else is there any more.
//!
//! Module bodies (S3), constructors and what only they call (S5), what is called on an object that nobody else knows
//! yet, and what runs in a forked child: it has one thread, and its locks are made again.
//!
//! *Invariant:* a function that some other known code calls is none of these.

use rustc_hash::FxHashSet;

use super::calls::{CallSite, Callee};
use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{Arm, Comparison, Const, CtxIx, CtxKind, EventKind, FuncIx, ModuleFacts, Qual, Sym, Term, TermId};
use crate::model::Role;
use crate::parallel::of_small;
use crate::{qual, sym};

/// Why a function runs alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Alone {
    /// It does not.
    #[default]
    No,
    /// Nothing is shared yet.
    Setup,
    /// It runs in a forked child.
    Child,
}

/// By function: whether it runs alone.
pub(super) fn find(program: &Program) -> Vec<bool> {
    const ROUNDS: usize = 4;
    let count = program.function_modules.len();
    let roots: FxHashSet<FuncId> = program.roots.iter().map(|root| root.function).collect();
    let hooks = fork_hooks(program);
    let mut alone: Vec<Alone> = of_small(count, |index| by_itself(program, FuncId::at(index), &hooks));
    for _ in 0..ROUNDS {
        let mut changed = false;
        for index in 0..count {
            let function = FuncId::at(index);
            if alone[index] == Alone::No && !roots.contains(&function) {
                alone[index] = by_callers(program, function, &alone);
                changed |= alone[index] != Alone::No;
            }
        }
        if !changed {
            break;
        }
    }
    alone.into_iter().map(|alone| alone != Alone::No).collect()
}

fn by_itself(program: &Program, function: FuncId, hooks: &FxHashSet<FuncId>) -> Alone {
    let (module, local) = program.func_local(function);
    let declaration = program.function(function);
    let constructs = [
        sym!("__setstate__"),
        sym!("__init__"),
        sym!("__new__"),
        sym!("__init_subclass__"),
        sym!("__post_init__"),
        sym!("__set_name__"),
    ];
    // What is there for tests runs between two of them.
    if declaration.flags.is_for_tests
        || local == FuncIx(0)
        || (declaration.class.is_some() && constructs.contains(&declaration.name))
    {
        return Alone::Setup;
    }
    let facts = &program.modules[module.index()].facts;
    let is_child = hooks.contains(&function)
        || facts.forks
            && (named_after_fork(facts.name(declaration.name))
                || (mentions_fork(facts) && remakes_lock(program, module, local)));
    if is_child { Alone::Child } else { Alone::No }
}

/// A function whose callers all run alone. One that everybody may call counts only as part of what a child does.
fn by_callers(program: &Program, function: FuncId, alone: &[Alone]) -> Alone {
    let is_private = program.function(function).flags.is_private;
    let sites = program.callers(function);
    let mut result = if is_private && !sites.is_empty() { Alone::Setup } else { Alone::No };
    for site in sites {
        match alone[site.caller.index()] {
            Alone::Child => result = Alone::Child,
            Alone::No if is_in_child(program, site) => result = Alone::Child,
            Alone::Setup => {}
            Alone::No if is_private && program.works_on_fresh(site) => {}
            Alone::No => return Alone::No,
        }
    }
    result
}

/// What is registered to run in a forked child.
fn fork_hooks(program: &Program) -> FxHashSet<FuncId> {
    let mut hooks = FxHashSet::default();
    for &(module, call) in program.calls_of(qual!("os.register_at_fork")) {
        let facts = &program.modules[module.index()].facts;
        if let Some(hook) = facts.keyword(call, sym!("after_in_child")) {
            hooks.extend(program.callbacks(module, hook.value));
        }
    }
    for (module, at) in program.modules() {
        if !at.facts.mentions(sym!("register_after_fork")) {
            continue;
        }
        for index in 0..at.facts.calls.len() {
            let call = crate::facts::CallIx::at(index);
            let registers = match program.callee(module, call) {
                Callee::Lib(name) => name == qual!("multiprocessing.util.register_after_fork"),
                Callee::Function(function, _) => program.function(function).name == sym!("register_after_fork"),
                _ => false,
            };
            if let Some(hook) = at.facts.positional(call, 1).filter(|_| registers) {
                hooks.extend(program.callbacks(module, hook.value));
            }
        }
    }
    hooks
}

/// `_after_fork`, `reset_postfork_child`: the child's, as opposed to the parent's `before_fork`.
fn named_after_fork(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["after_fork", "afterfork", "post_fork", "postfork", "at_fork_reinit", "on_fork"]
        .iter()
        .any(|hint| name.contains(hint))
        && !name.contains("parent")
        && !name.contains("register")
}

fn mentions_fork(facts: &ModuleFacts) -> bool {
    const WORDS: [Sym; 4] = [sym!("getpid"), sym!("fork"), sym!("register_at_fork"), sym!("register_after_fork")];
    WORDS.iter().any(|&word| facts.mentions(word))
}

/// Whether a method replaces a lock that its object already has.
fn remakes_lock(program: &Program, module: ModuleId, function: FuncIx) -> bool {
    let facts = &program.modules[module.index()].facts;
    facts.events_of(function).iter().any(|event| {
        let EventKind::Store(target, value) = event.kind else { return false };
        let Term::Attr(base, name) = facts.terms.get(target) else { return false };
        let makes = matches!(facts.terms.get(value), Term::Call(_))
            && matches!(program.kind(module, value).role(), Some(Role::Lock(_)));
        let Kind::Instance(class) = program.kind(module, base) else { return false };
        let owner = program.class(program.attr_owner(class, name));
        makes && owner.attrs.get(&name).is_some_and(|attr| attr.stores.len() > 1)
    })
}

fn is_in_child(program: &Program, site: &CallSite) -> bool {
    let (module, _) = program.func_local(site.caller);
    program.is_in_child(module, site.ctx)
}

impl Program {
    /// Whether a step is only taken in a forked child: `if self.pid != getpid()`, `if fork() == 0`.
    pub fn is_in_child(&self, module: ModuleId, ctx: CtxIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        if !facts.forks {
            return false;
        }
        facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) => self.is_childs(module, test, arm == Arm::Then),
            _ => false,
        })
    }

    /// Whether the outcome of a test says that this is a forked child.
    pub(super) fn is_childs(&self, module: ModuleId, test: TermId, holds: bool) -> bool {
        let facts = &self.modules[module.index()].facts;
        let is_own = |term: TermId| {
            let values = facts.var_of(term).map(|var| &facts.vars[var.index()].values[..]).unwrap_or_default();
            let is_it = |term| self.is_call(module, term, qual!("os.getpid"));
            is_it(term) || matches!(values, [value] if is_it(*value))
        };
        let is_forked = |term| match facts.var_of(term) {
            // The name may hold the number of some child that has ended, too: that is never 0 either.
            Some(var) => {
                let mut values = facts.vars[var.index()].values.iter();
                values.any(|&value| self.is_call(module, value, qual!("os.fork")))
            }
            None => self.is_call(module, term, qual!("os.fork")) || self.holds_fork(module, term),
        };
        let is_zero = |term: TermId| facts.terms.get(term) == Term::Const(Const::Int(0));
        match facts.terms.get(test) {
            Term::Compare(Comparison::Eq, a, b) if is_forked(a) => holds && is_zero(b),
            Term::Compare(Comparison::NotEq | Comparison::Order, a, b) if is_forked(a) => !holds && is_zero(b),
            Term::Compare(Comparison::NotEq, a, b) => holds && (is_own(a) || is_own(b)),
            Term::Compare(Comparison::Eq, a, b) => !holds && (is_own(a) || is_own(b)),
            Term::Not(inner) => self.is_childs(module, inner, !holds),
            Term::Name(_) | Term::Attr(..) | Term::Call(_) => !holds && is_forked(test),
            _ => false,
        }
    }

    /// Whether the outcome of a fork is stored in an attribute: `cls.child = os.fork()`.
    fn holds_fork(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        matches!(facts.terms.get(term), Term::Attr(..))
            && facts.events.iter().any(|event| match event.kind {
                EventKind::Store(target, value) => target.same(term) && self.is_call(module, value, qual!("os.fork")),
                _ => false,
            })
    }

    fn is_call(&self, module: ModuleId, term: TermId, name: Qual) -> bool {
        match self.modules[module.index()].facts.terms.get(term) {
            Term::Call(call) => self.library_callee(module, call) == Some(name),
            _ => false,
        }
    }
}
