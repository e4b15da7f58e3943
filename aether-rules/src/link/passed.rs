//! What parameters receive: from calls, and from whoever starts a thread with arguments.
//!
//! An object handed to several threads, or kept by the one who hands it over, is as shared as a global. One made for
//! the thread that gets it is not.
//!
//! *Invariant:* a parameter has a kind here only if the callers that are known agree on it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::calls::{Callee, Receiver};
use super::kind::{FuncId, Kind, ModuleId};
use super::offload::Handed;
use super::program::Program;
use super::roots::{Root, Started};
use crate::facts::{ArgumentName, CallIx, Container, EventKind, FuncIx, ParamKind, Qual, Term, TermId, VarIx};
use crate::{qual, sym};

/// What is handed to one parameter of a thread's function.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassedArg {
    /// The module of the starter.
    pub(super) module: ModuleId,
    /// The starter.
    pub(super) function: FuncIx,
    /// What it passes.
    pub(super) term: TermId,
    /// Whether somebody else knows the object.
    pub(super) shared: bool,
}

/// What parameters receive.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// By function and position: what a starter hands over.
    pub(super) to_roots: FxHashMap<(FuncId, u16), PassedArg>,
    /// By function and position: what all known callers agree on.
    pub(super) kinds: ParamKinds,
    /// The expressions handed over, by the function they stand in.
    handed: FxHashSet<(ModuleId, FuncIx, TermId)>,
    /// The variables whose object a thread was given and somebody else knows, by module.
    shared: FxHashSet<(ModuleId, VarIx)>,
}

/// What all known callers agree on, by function and position.
#[derive(Debug, Default)]
pub(super) struct ParamKinds {
    /// By function: where its parameters start; one more than there are functions.
    starts: Vec<u32>,
    all: Vec<Kind>,
}

impl ParamKinds {
    fn new(program: &Program) -> Self {
        let functions = program.modules.iter().flat_map(|module| &module.facts.functions);
        let mut end = 0;
        let ends = functions.map(|function| {
            end += function.params.len() as u32;
            end
        });
        let starts: Vec<u32> = std::iter::once(0).chain(ends).collect();
        Self { starts, all: vec![Kind::Unknown; end as usize] }
    }

    fn at(&self, (function, position): (FuncId, u16)) -> Option<usize> {
        let &[from, to] = self.starts.get(function.index()..function.index() + 2)? else { return None };
        let at = from as usize + usize::from(position);
        (at < to as usize).then_some(at)
    }

    fn add(&mut self, param: (FuncId, u16), kind: Kind) {
        if let Some(at) = self.at(param) {
            self.all[at] = self.all[at].join(kind);
        }
    }

    /// What a parameter receives from all who are known to pass something, if it is one sort of object.
    pub(super) fn get(&self, param: (FuncId, u16)) -> Option<Kind> {
        let kind = self.all[self.at(param)?];
        matches!(kind, Kind::Instance(_) | Kind::Object(_) | Kind::Function(_) | Kind::Method(_)).then_some(kind)
    }
}

/// Looks at every call and every root.
pub(super) fn collect(program: &Program) -> Passed {
    let mut kinds = ParamKinds::new(program);
    let from_calls: Vec<Vec<((FuncId, u16), Kind)>> = program.each_module(|module| called(program, module));
    for (key, kind) in from_calls.into_iter().flatten() {
        kinds.add(key, kind);
    }
    let mut to_roots: FxHashMap<(FuncId, u16), PassedArg> = FxHashMap::default();
    let mut handed = FxHashSet::default();
    let mut shared = FxHashSet::default();
    for root in &program.roots {
        for (position, arg) in handed_over(program, root) {
            let var = program.modules[arg.module.index()].facts.var_of(arg.term);
            shared.extend(var.filter(|_| arg.shared).map(|var| (arg.module, var)));
            let key = (root.function, position);
            kinds.add(key, program.kind(arg.module, arg.term));
            let first = to_roots.entry(key).or_insert(arg);
            // The same object given to two threads is shared whoever made it.
            let given_before = !handed.insert((arg.module, arg.function, arg.term));
            first.shared |= arg.shared || (given_before && first.term == arg.term);
        }
    }
    Passed { to_roots, kinds, handed, shared }
}

/// The kinds of arguments of every resolved call of a module.
fn called(program: &Program, module: ModuleId) -> Vec<((FuncId, u16), Kind)> {
    let facts = &program.modules[module.index()].facts;
    let mut found = Vec::new();
    for index in 0..facts.calls.len() {
        let call = CallIx::at(index);
        let callee = program.callee(module, call);
        let (target, bound) = match callee {
            Callee::Function(target, _) => {
                let is_bound =
                    matches!(program.kind(module, facts.calls[index].callee), Kind::Method(_) | Kind::Instance(_));
                (target, usize::from(is_bound))
            }
            Callee::Class(_) => match program.expand(callee).first() {
                Some(&(init, _)) => (init, 1),
                None => continue,
            },
            _ => continue,
        };
        let params = &program.function(target).params;
        for (position, arg) in facts.args_of(call).iter().enumerate() {
            let at = match arg.name {
                ArgumentName::Positional => Some(position + bound),
                ArgumentName::Keyword(name) => params.iter().position(|param| param.name == name),
                ArgumentName::Starred | ArgumentName::DoubleStarred => break,
            };
            let Some(at) = at.filter(|&at| {
                params.get(at).is_some_and(|param| matches!(param.kind, ParamKind::Positional | ParamKind::Keyword))
            }) else {
                continue;
            };
            let kind = program.kind(module, arg.value);
            if kind != Kind::Unknown && kind != Kind::None {
                found.push(((target, at as u16), kind));
            }
        }
    }
    found
}

/// The arguments a starter gives its thread, by parameter position.
fn handed_over(program: &Program, root: &Root) -> Vec<(u16, PassedArg)> {
    let Some(started) = root.started else { return Vec::new() };
    let (module, function) = program.func_local(started.by);
    let target = program.function(root.function);
    let bound = usize::from(target.class.is_some() && !target.flags.is_static);
    let Some(name) = program.library_callee(module, started.call) else { return Vec::new() };
    let mut terms = bound_by_partial(program, module, started.call, name);
    terms.extend(argument_terms(program, module, started.call, name));
    let arg = |term| PassedArg {
        module,
        function,
        term,
        shared: match root.handed {
            Handed::Over => is_shared(program, started, term),
            Handed::Lent => program.receiver(module, function, term) == Receiver::Global,
        },
    };
    let positions = terms.into_iter().enumerate();
    positions.filter(|(_, term)| !term.is_opaque()).map(|(at, term)| ((at + bound) as u16, arg(term))).collect()
}

/// The arguments that `partial(f, a, b)` puts before those of the call.
fn bound_by_partial(program: &Program, module: ModuleId, call: CallIx, name: Qual) -> Vec<TermId> {
    let facts = &program.modules[module.index()].facts;
    let callback = program.models.spawn_of(name).and_then(|spawn| facts.arg(call, spawn.position, spawn.keyword));
    let Some(callback) = callback else { return Vec::new() };
    let Term::Call(partial) = facts.terms.get(callback.value) else { return Vec::new() };
    if program.library_callee(module, partial) != Some(qual!("functools.partial")) {
        return Vec::new();
    }
    let args = facts.args_of(partial).iter().take_while(|arg| arg.name == ArgumentName::Positional);
    args.skip(1).map(|arg| arg.value).collect()
}

fn argument_terms(program: &Program, module: ModuleId, call: CallIx, name: Qual) -> Vec<TermId> {
    let facts = &program.modules[module.index()].facts;
    let tuple = |position| {
        let arg = facts.arg(call, position, sym!("args")).map(|arg| facts.terms.get(arg.value));
        match arg {
            Some(Term::Display(Container::Tuple | Container::List, list)) => facts.terms.list(list).to_vec(),
            _ => Vec::new(),
        }
    };
    if name == qual!("threading.Thread") {
        return tuple(3);
    }
    if name == qual!("threading.Timer") {
        return tuple(2);
    }
    if name == qual!("_thread.start_new_thread") {
        return tuple(1);
    }
    if name == qual!("concurrent.futures.Executor.map") {
        return Vec::new();
    }
    let Some(spawn) = program.models.spawn_of(name) else { return Vec::new() };
    let args = facts.args_of(call).iter().take_while(|arg| arg.name == ArgumentName::Positional);
    args.skip(spawn.position.saturating_add(1)).map(|arg| arg.value).collect()
}

/// Whether somebody besides the new thread knows the object: it is nobody's local, a local made outside the loop that
/// starts the threads, or one that the starter goes on to use.
fn is_shared(program: &Program, started: Started, term: TermId) -> bool {
    let (module, function) = program.func_local(started.by);
    let facts = &program.modules[module.index()].facts;
    match program.receiver(module, function, term) {
        Receiver::Global | Receiver::Own | Receiver::OfOwn => return true,
        Receiver::Fresh | Receiver::Unknown => {}
    }
    let ctx = facts.calls[started.call.index()].ctx;
    if !program.in_loop(module, ctx) {
        return is_used_afterwards(program, started, term);
    }
    let Some(var) = facts.var_of(term) else { return false };
    let is_loop_target = facts.vars[var.index()]
        .values
        .iter()
        .any(|&value| matches!(facts.terms.get(value), Term::Element(_) | Term::Unpacked(..)));
    let made_inside = facts.vars[var.index()].values.iter().any(|&value| match facts.terms.get(value) {
        Term::Call(made) => {
            let made_ctx = facts.calls[made.index()].ctx;
            program.in_loop(module, made_ctx) && facts.function_of_ctx(made_ctx) == function
        }
        _ => false,
    });
    !is_loop_target && !made_inside
}

/// Whether the starter calls a method of an object it has handed over, or changes an attribute of it.
fn is_used_afterwards(program: &Program, started: Started, term: TermId) -> bool {
    let (module, function) = program.func_local(started.by);
    let facts = &program.modules[module.index()].facts;
    let Some(var) = facts.var_of(term) else { return false };
    let is_its = |term: TermId| match facts.terms.get(term) {
        Term::Attr(base, _) | Term::Item(base, _) => facts.var_of(base) == Some(var),
        _ => false,
    };
    let end = facts.functions[function.index()].events.end as usize;
    let mut later = facts.events[started.event.index() + 1..end].iter();
    matches!(program.kind(module, term), Kind::Instance(_))
        && later.any(|event| match event.kind {
            EventKind::Call(call) => is_its(facts.calls[call.index()].callee),
            EventKind::Store(target, _) | EventKind::Augment(target, _) => is_its(target),
            _ => false,
        })
}

impl Program {
    /// What the starter of a thread hands to a parameter of the thread's function.
    pub(super) fn handed_to(&self, module: ModuleId, function: FuncIx, position: u16) -> Option<&PassedArg> {
        self.passed.to_roots.get(&(self.func_id(module, function), position))
    }

    /// Whether an attribute belongs to an object that is a thread's as well as this function's.
    pub(super) fn is_of_shared_local(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Term::Attr(base, _) = facts.terms.get(term) else { return false };
        facts.var_of(base).is_some_and(|var| self.passed.shared.contains(&(module, var)))
    }

    /// Whether a local variable is handed to a thread by the function it belongs to.
    pub(super) fn is_handed_over(&self, module: ModuleId, function: FuncIx, term: TermId) -> bool {
        self.passed.handed.contains(&(module, function, term))
    }
}

impl Program {
    /// What the starter of a thread hands to a parameter: the starter's module, function, expression and call.
    pub fn started_with(
        &self,
        module: ModuleId,
        function: FuncIx,
        position: u16,
    ) -> Option<(ModuleId, FuncIx, TermId, crate::source::Span)> {
        let arg = self.handed_to(module, function, position)?;
        let target = self.func_id(module, function);
        let root = self.roots.iter().find(|root| root.function == target)?;
        Some((arg.module, arg.function, arg.term, root.span))
    }
}
