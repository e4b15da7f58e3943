//! Roots that a library makes of what it is given: methods of a base class, callbacks assigned to an attribute, objects
//! registered with a server, generators handed to a pool.
//!
//! *Invariant:* what runs where is said by a row of the models; here stands only how the row meets the code.

use std::sync::Arc;

use ruff_text_size::TextRange;

use super::calls::Callee;
use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use super::roots::Root;
use crate::facts::{CallIx, Const, FuncIx, Function, ModuleFacts, Qual, Sym, Term, TermId};
use crate::model::{Models, RunsOn, spawns};
use crate::source::Span;
use crate::{qual, sym};

/// A method that a library calls because of the class's base.
pub(super) fn method(program: &Program, function: FuncId) -> Option<Root> {
    let class = program.class_of(function)?;
    let declaration = program.function(function);
    declaration.class?;
    let mut bases = program.lib_bases(class).iter();
    let runs_on = bases.find_map(|&base| program.models.method(base, declaration.name))?;
    if program.runs_on_loop(function, runs_on) {
        return None;
    }
    // A request has an object of its own; what watches or listens is one object.
    let own_self = runs_on == RunsOn::Server;
    let span = program.function_span(function);
    Some(Root { shares_self: !own_self, own_self, ..Root::new(function, runs_on, span) })
}

/// `client.on_message = handler`.
pub(super) fn assigned(
    program: &Program,
    module: ModuleId,
    target: TermId,
    value: TermId,
    range: TextRange,
    roots: &mut Vec<Root>,
) {
    let facts = &program.module(module).facts;
    let Term::Attr(_, name) = facts.terms.get(target) else { return };
    if !spawns::is_callback_attribute(name) {
        return;
    }
    let Kind::Lib(attribute) = program.kind(module, target) else { return };
    let Some(runs_on) = spawns::callback_attribute(attribute) else { return };
    let span = program.span(module, range);
    roots.extend(program.callbacks(module, value).into_iter().map(|function| Root::new(function, runs_on, span)));
}

/// How the functions end that gRPC generates to register a servicer.
const REGISTERS: &str = "Servicer_to_server";

/// Whether a module names a function that registers a servicer: to look at the name of every call is dear.
pub(super) fn names_servicers(facts: &ModuleFacts) -> bool {
    facts.names.contain(REGISTERS)
}

/// `add_GreeterServicer_to_server(Greeter(), server)`, as generated for gRPC: one object serves every thread.
pub(super) fn servicer(program: &Program, module: ModuleId, call: CallIx, roots: &mut Vec<Root>) {
    let facts = &program.module(module).facts;
    let span = program.span(module, facts.calls[call.index()].range);
    let (Some(object), [_, _, ..]) = (facts.positional(call, 0), facts.args_of(call)) else { return };
    let name = match facts.terms.get(facts.calls[call.index()].callee) {
        Term::Attr(_, name) => name,
        Term::Name(_) => match facts.var_of(facts.calls[call.index()].callee) {
            Some(var) => facts.vars[var.index()].name,
            None => return,
        },
        _ => return,
    };
    let text = facts.name(name);
    if !text.starts_with("add_") || !text.ends_with(REGISTERS) {
        return;
    }
    let Kind::Instance(class) = program.kind(module, object.value) else { return };
    let (owner, local) = program.class_local(class);
    let owner_facts = &program.module(owner).facts;
    for &method in &owner_facts.classes[local.index()].methods {
        let declaration = &owner_facts.functions[method.index()];
        let is_public = !owner_facts.name(declaration.name).starts_with('_');
        if is_public && !declaration.flags.is_async {
            roots.push(Root::new(program.func_id(owner, method), RunsOn::Pool, span));
        }
    }
}

/// `Parallel(n_jobs=4, prefer="threads")(delayed(f)(x) for x in xs)`.
pub(super) fn threaded_parallel(program: &Program, module: ModuleId, call: CallIx, span: Span, roots: &mut Vec<Root>) {
    let facts = &program.module(module).facts;
    let Term::Call(pool) = facts.terms.get(facts.calls[call.index()].callee) else { return };
    if program.library_callee(module, pool) != Some(qual!("joblib.Parallel")) {
        return;
    }
    let says = |name, text| {
        facts.keyword(pool, name).is_some_and(|arg| facts.terms.get(arg.value) == Term::Const(Const::Str(text)))
    };
    let threads = says(sym!("backend"), sym!("threading"))
        || says(sym!("prefer"), sym!("threads"))
        || says(sym!("require"), sym!("sharedmem"));
    let Some(tasks) = facts.positional(call, 0).filter(|_| threads) else { return };
    let elements: Vec<TermId> = match facts.terms.get(tasks.value) {
        Term::Comp(_, element) => vec![element],
        Term::Display(_, list) => facts.terms.list(list).to_vec(),
        _ => return,
    };
    for element in elements {
        let Term::Call(task) = facts.terms.get(element) else { continue };
        let Term::Call(delayed) = facts.terms.get(facts.calls[task.index()].callee) else { continue };
        if program.library_callee(module, delayed) == Some(qual!("joblib.delayed"))
            && let Some(function) = facts.positional(delayed, 0)
        {
            let functions = program.callbacks(module, function.value).into_iter();
            roots.extend(functions.map(|function| Root::new(function, RunsOn::Pool, span)));
        }
    }
}

impl Program {
    /// Whether a function given to a server, pool or thread runs on the event loop instead, if at all: a coroutine does.
    pub(super) fn runs_on_loop(&self, function: FuncId, runs_on: RunsOn) -> bool {
        runs_on.is_thread() && self.function(function).flags.is_async
    }

    /// The dotted name under which the models know what a term denotes.
    pub(super) fn modelled_name(&self, kind: Kind) -> Option<Qual> {
        match kind {
            Kind::Lib(name) => Some(name),
            Kind::Function(function) | Kind::Method(function) => self.modelled.get(&function).copied(),
            _ => None,
        }
    }

    /// What the user says of a function of the program, as the callee it then is.
    pub(super) fn modelled_callee(&self, function: FuncId) -> Option<Callee> {
        if self.modelled.is_empty() { None } else { self.modelled.get(&function).map(|&name| Callee::Lib(name)) }
    }
}

/// The functions of the program that the user's models name: `package.module.function`, `package.module.Class.method`.
pub(super) fn find_modelled(program: &mut Program) {
    let mut rows: Vec<Arc<Models>> = Vec::new();
    for module in &program.modules {
        let models = &module.settings.models;
        if !models.is_empty() && !rows.contains(models) {
            program.models.add(models);
            rows.push(Arc::clone(models));
        }
    }
    for row in rows.iter().flat_map(|models| models.rows()) {
        let parts: Vec<Sym> = row.name.split('.').map(Sym::new).collect();
        let name = program.models.canonical(Qual::of(&row.name));
        for index in 0..program.modules.len() {
            if let Some(function) = named_function(program, ModuleId::at(index), &parts) {
                program.modelled.insert(function, name);
            }
        }
    }
}

/// The function or method of a module that has this dotted name.
fn named_function(program: &Program, module: ModuleId, name: &[Sym]) -> Option<FuncId> {
    let facts = &program.module(module).facts;
    let inside = |depth: usize| {
        let (path, inside) = name.split_at(name.len().checked_sub(depth)?);
        (!path.is_empty() && program.index.is_called(module, path)).then_some(inside)
    };
    let is_it = |function: &Function, wanted: &[Sym]| match *wanted {
        [name] => function.name == name && function.class.is_none() && function.parent == Some(FuncIx(0)),
        [class, name] => {
            function.name == name && function.class.is_some_and(|at| facts.classes[at.index()].name == class)
        }
        _ => false,
    };
    let mut wanted = [1, 2].into_iter().filter_map(inside);
    wanted
        .find_map(|wanted| facts.functions.iter().position(|function| is_it(function, wanted)))
        .map(|at| program.func_id(module, FuncIx::at(at)))
}
