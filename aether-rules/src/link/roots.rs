//! Concurrency roots: functions that may start on another thread, or between any two bytecodes of this one.
//!
//! *Invariant:* a root has a place in the code that starts it; nothing is a root because of its name alone.

use super::calls::Callee;
use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::offload::Handed;
use super::program::Program;
use crate::facts::{Arm, CallIx, Const, CtxIx, CtxKind, EventIx, EventKind, FuncIx, Qual, Term, TermId, Usage};
use crate::model::{RunsOn, objects, spawns};
use crate::source::Span;
use crate::{qual, sym};

/// A root, by position in [`Program::roots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub(crate) u32);

/// A function that may start on another thread.
#[derive(Clone, Debug)]
pub struct Root {
    /// What runs.
    pub function: FuncId,
    /// Where it runs.
    pub runs_on: RunsOn,
    /// Whether two runs may overlap.
    pub self_parallel: bool,
    /// Whether its `self` is known to others too.
    pub shares_self: bool,
    /// Whether every run has a `self` of its own, as thread objects do.
    pub own_self: bool,
    /// Who waits for it.
    pub handed: Handed,
    /// Where it is started.
    pub span: Span,
    /// The call that starts it, if it is one.
    pub started: Option<Started>,
}

/// The call that makes a thread.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// The function that makes it.
    pub by: FuncId,
    /// The event of the call, in the module of `by`.
    pub event: EventIx,
    /// The call.
    pub call: CallIx,
    /// The conditions of the call.
    pub ctx: CtxIx,
}

impl Root {
    /// A root of one object that others know, started by nobody in particular: what most are, or nearly.
    pub(super) fn new(function: FuncId, runs_on: RunsOn, span: Span) -> Self {
        Self {
            function,
            runs_on,
            self_parallel: runs_on.is_self_parallel(),
            shares_self: true,
            own_self: false,
            handed: Handed::Over,
            span,
            started: None,
        }
    }
}

/// Finds every root of the program.
pub(super) fn find(program: &mut Program) {
    let snapshot: &Program = program;
    let found: Vec<Vec<Root>> = snapshot.each_module(|module| {
        let mut roots = Vec::new();
        from_calls(snapshot, module, &mut roots);
        from_definitions(snapshot, module, &mut roots);
        roots
    });
    let mut roots: Vec<Root> = found.into_iter().flatten().collect();
    drop_declared(program, &mut roots);
    roots.sort_by_key(|root: &Root| (root.span.order(), root.function));
    roots.dedup_by_key(|root| (root.span.order(), root.function));
    program.roots = roots;
}

/// A thread class that is made somewhere here is started there: its definition is no second start.
fn drop_declared(program: &Program, roots: &mut Vec<Root>) {
    let is_run = |root: &Root| root.own_self && program.function(root.function).name == sym!("run");
    let made = roots.iter().filter(|root| root.started.is_some() && is_run(root)).map(|root| root.function);
    let made: rustc_hash::FxHashSet<FuncId> = made.collect();
    roots.retain(|root| root.started.is_some() || !is_run(root) || !made.contains(&root.function));
}

fn from_calls(program: &Program, module: ModuleId, roots: &mut Vec<Root>) {
    let facts = &program.modules[module.index()].facts;
    let registers = super::declared::names_servicers(facts);
    for index in 0..facts.functions.len() {
        let by = FuncIx::at(index);
        let first = facts.functions[index].events.start;
        for (position, event) in facts.events_of(by).iter().enumerate() {
            let event_ix = EventIx(first + position as u32);
            let call = match event.kind {
                EventKind::Call(call) => call,
                EventKind::Store(target, value) => {
                    super::declared::assigned(program, module, target, value, event.range, roots);
                    continue;
                }
                _ => continue,
            };
            let started = Started { by: program.func_id(module, by), event: event_ix, call, ctx: event.ctx };
            spawned_by(program, module, started, roots);
            if registers {
                super::declared::servicer(program, module, call, roots);
            }
        }
    }
}

fn spawned_by(program: &Program, module: ModuleId, started: Started, roots: &mut Vec<Root>) {
    let facts = &program.modules[module.index()].facts;
    let call = started.call;
    let span = program.span(module, facts.calls[call.index()].range);
    match program.callee(module, call) {
        Callee::Lib(name) => {
            if let Some(spawn) = program.models.spawn_of(name) {
                let Some(arg) = facts.arg(call, spawn.position, spawn.keyword) else { return };
                if spawn.runs_on == RunsOn::Pool && program.runs_in_process(module, call) {
                    return;
                }
                given_to_library(program, module, (started, spawn.runs_on), arg.value, roots);
            } else if spawns::is_threading_server(name) {
                handlers(program, module, call, span, roots);
            }
        }
        Callee::Class(class) => {
            if program.lib_bases(class).iter().any(|&base| spawns::is_threading_server(base)) {
                handlers(program, module, call, span, roots);
            }
            made_thread(program, module, (class, started), span, roots);
        }
        Callee::Function(init, _) if facts.keyword(call, sym!("target")).is_some() => {
            // `super().__init__(target=self._loop)` in a thread class.
            let is_init = program.function(init).name == sym!("__init__");
            let class = program.class_of(init);
            if is_init && class.is_some_and(|class| program.is_thread_class(class)) {
                super_target(program, module, started, span, roots);
            }
        }
        _ => {}
    }
    super::declared::threaded_parallel(program, module, call, span, roots);
    if program.library_callee(module, call) == Some(qual!("threading.Thread.__init__")) {
        super_target(program, module, started, span, roots);
    }
}

/// What an object of a thread class of the program runs: its `run`, or a target it is given like a plain thread.
fn made_thread(
    program: &Program,
    module: ModuleId,
    (class, started): (ClassId, Started),
    span: Span,
    roots: &mut Vec<Root>,
) {
    let thread = |function, own_self| Root {
        self_parallel: program.in_loop(module, started.ctx),
        own_self,
        started: Some(started),
        ..Root::new(function, RunsOn::Thread, span)
    };
    if let Some(run) = program.thread_run(class) {
        roots.push(thread(run, true));
    } else if program.is_thread_class(class)
        && let Some(arg) = program.modules[module.index()].facts.keyword(started.call, sym!("target"))
    {
        roots.extend(program.callbacks(module, arg.value).into_iter().map(|function| thread(function, false)));
    }
}

/// The functions that a library call runs on another thread.
fn given_to_library(
    program: &Program,
    module: ModuleId,
    (started, runs_on): (Started, RunsOn),
    callback: TermId,
    roots: &mut Vec<Root>,
) {
    let facts = &program.modules[module.index()].facts;
    let span = program.span(module, facts.calls[started.call.index()].range);
    let self_parallel = match runs_on {
        RunsOn::Pool => !program.single_worker(module, started.call),
        runs_on => runs_on.is_self_parallel() || (program.in_loop(module, started.ctx) && runs_on.is_thread()),
    };
    let functions = program.callbacks(module, callback).into_iter();
    for function in functions.filter(|&function| !program.runs_on_loop(function, runs_on)) {
        let root = Root { self_parallel, started: Some(started), ..Root::new(function, runs_on, span) };
        roots.push(super::offload::settle(program, module, started, callback, root));
    }
}

fn super_target(program: &Program, module: ModuleId, started: Started, span: Span, roots: &mut Vec<Root>) {
    let facts = &program.modules[module.index()].facts;
    let Some(arg) = facts.keyword(started.call, sym!("target")) else { return };
    for function in program.callbacks(module, arg.value) {
        roots.push(Root { own_self: true, started: Some(started), ..Root::new(function, RunsOn::Thread, span) });
    }
}

/// The methods of the handler class given to a threaded server: each request has an object of its own.
fn handlers(program: &Program, module: ModuleId, call: CallIx, span: Span, roots: &mut Vec<Root>) {
    let facts = &program.modules[module.index()].facts;
    let Some(arg) = facts.arg(call, 1, sym!("RequestHandlerClass")) else { return };
    let Kind::Class(class) = program.kind(module, arg.value) else { return };
    for &ancestor in &program.class(class).mro {
        let (owner, local) = program.class_local(ancestor);
        let owner_facts = &program.modules[owner.index()].facts;
        for &method in &owner_facts.classes[local.index()].methods {
            let name = owner_facts.name(owner_facts.functions[method.index()].name);
            if name.starts_with("do_") || matches!(name, "handle" | "setup" | "finish") {
                let function = program.func_id(owner, method);
                roots.push(Root { shares_self: false, own_self: true, ..Root::new(function, RunsOn::Server, span) });
            }
        }
    }
}

/// Roots that are declared rather than started: thread classes nobody here makes, finalizers, request handlers.
fn from_definitions(program: &Program, module: ModuleId, roots: &mut Vec<Root>) {
    let facts = &program.modules[module.index()].facts;
    for (index, function) in facts.functions.iter().enumerate() {
        let id = program.func_id(module, FuncIx::at(index));
        let span = program.span(module, function.name_range);
        let mut add = |runs_on: RunsOn| roots.push(Root { own_self: true, ..Root::new(id, runs_on, span) });
        if let Some(class) = function.class {
            let class = program.class_id(module, class);
            if function.name == sym!("run") && program.is_thread_class(class) {
                add(RunsOn::Thread);
            }
            if function.name == sym!("__del__") {
                add(RunsOn::Finalizer);
            }
        }
        roots.extend(super::declared::method(program, id));
        for &decorator in &function.decorators {
            let callee = match facts.terms.get(decorator) {
                Term::Call(call) => facts.calls[call.index()].callee,
                _ => decorator,
            };
            if let Some(name) = program.modelled_name(program.kind(module, callee))
                && let Some(runs_on) = program.models.decorator(name)
                && !program.runs_on_loop(id, runs_on)
            {
                roots.push(Root { shares_self: false, own_self: true, ..Root::new(id, runs_on, span) });
            }
        }
    }
}

impl Program {
    /// Every root, by where it is started.
    pub fn roots(&self) -> impl Iterator<Item = (RootId, &Root)> {
        self.roots.iter().enumerate().map(|(index, root)| (RootId(index as u32), root))
    }

    /// One root.
    pub fn root(&self, id: RootId) -> &Root {
        &self.roots[id.0 as usize]
    }

    /// How a reader would name the thread of a root.
    pub fn root_name(&self, id: RootId) -> String {
        let root = self.root(id);
        let function = self.function_name(root.function);
        match root.runs_on {
            RunsOn::Thread => format!("thread running `{function}`"),
            RunsOn::Pool => format!("worker thread running `{function}`"),
            RunsOn::Server => format!("request thread running `{function}`"),
            RunsOn::Timer => format!("timer thread running `{function}`"),
            RunsOn::Finalizer => format!("finalizer `{function}`"),
            RunsOn::Signal => format!("signal handler `{function}`"),
            RunsOn::Loop => format!("event loop running `{function}`"),
        }
    }

    /// The library bases of a class, inherited ones included.
    pub fn lib_bases(&self, class: ClassId) -> &[Qual] {
        self.inherited_lib_bases.get(class.index()).map_or(&[], Vec::as_slice)
    }

    /// Whether a class derives from `threading.Thread`.
    pub fn is_thread_class(&self, class: ClassId) -> bool {
        self.lib_bases(class).iter().any(|&base| objects::role_of(base) == Some(objects::Role::Thread))
    }

    /// The `run` method of a thread class of the program.
    pub(super) fn thread_run(&self, class: ClassId) -> Option<FuncId> {
        if !self.is_thread_class(class) {
            return None;
        }
        match self.member(Kind::Instance(class), sym!("run")) {
            Kind::Method(run) => Some(run),
            _ => None,
        }
    }

    /// Whether code runs more than once: inside a loop or comprehension.
    pub fn in_loop(&self, module: ModuleId, ctx: CtxIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
            CtxKind::For(_) => true,
            CtxKind::Branch(test, Arm::Then) => {
                matches!(facts.ctxs[ctx.parent.index()].kind, CtxKind::While)
                    && facts.ctxs[ctx.parent.index()].range == ctx.range
                    && !test.is_opaque()
            }
            _ => false,
        })
    }

    /// Whether the executor a call is made on has one worker.
    fn single_worker(&self, module: ModuleId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Term::Attr(executor, _) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        let one = |(module, term): (ModuleId, TermId)| {
            let facts = &self.modules[module.index()].facts;
            let Term::Call(made) = facts.terms.get(term) else { return false };
            let workers = facts.arg(made, 0, sym!("max_workers")).or_else(|| facts.keyword(made, sym!("processes")));
            workers.is_some_and(|arg| facts.terms.get(arg.value) == Term::Const(Const::Int(1)))
        };
        // `self.pool = None` before there is one, and after.
        let is_none = |(module, term): &(ModuleId, TermId)| {
            self.modules[module.index()].facts.terms.get(*term) == Term::Const(Const::None)
        };
        let mut values = self.values_of(module, executor);
        values.retain(|value| !is_none(value));
        !values.is_empty() && values.into_iter().all(one)
    }

    /// Whether a callback is handed to another process: nothing is shared there.
    fn runs_in_process(&self, module: ModuleId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        if self.library_callee(module, call) == Some(qual!("asyncio.AbstractEventLoop.run_in_executor")) {
            let executor = facts.positional(call, 0).map(|arg| self.kind(module, arg.value));
            return executor == Some(Kind::Object(qual!("concurrent.futures.ProcessPoolExecutor")));
        }
        false
    }

    /// Whether the result of a call is thrown away.
    pub fn is_discarded(&self, module: ModuleId, call: CallIx) -> bool {
        self.modules[module.index()].facts.calls[call.index()].usage == Usage::Discarded
    }
}
