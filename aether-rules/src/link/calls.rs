//! The call graph: what each call calls, on whose behalf, and who calls whom.
//!
//! *Invariant:* an unresolved call is [`Callee::Opaque`]; it ends the reach and is counted, never guessed by name.

use ruff_text_size::TextRange;

use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::program::Program;
use super::rows::Rows;
use crate::facts::{ArgumentName, CallIx, CtxIx, CtxKind, EventIx, EventKind, FuncIx, Qual, Term, TermId};
use crate::{qual, sym};

/// What a call calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callee {
    /// Not modelled.
    #[default]
    Opaque,
    /// Something outside the program.
    Lib(Qual),
    /// A function of the program, and how its `self` relates to the caller.
    Function(FuncId, Receiver),
    /// A class of the program: its `__init__` on a new object.
    Class(ClassId),
}

/// How an object relates to the function that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Receiver {
    /// The function's own `self`, or its closure.
    Own,
    /// Reached through the function's own `self`: as shared as that is.
    OfOwn,
    /// Reached through a module or class: everybody's.
    Global,
    /// Made here and not yet seen by anybody.
    Fresh,
    /// Handed in, or out of an unknown call.
    Unknown,
}

/// One place from which a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// Who calls.
    pub caller: FuncId,
    /// Whose `self` the callee gets.
    pub receiver: Receiver,
    /// Where.
    pub range: TextRange,
    /// Under which conditions.
    pub ctx: CtxIx,
    /// The event of the call in the caller's module.
    pub event: EventIx,
}

/// The calls of library functions, by name.
pub(super) type CallsByName = rustc_hash::FxHashMap<Qual, Vec<(ModuleId, CallIx)>>;

/// What a module's functions call, each from where.
type Edges = Vec<(FuncId, CallSite)>;

/// Resolves every call of the program.
pub(super) fn resolve(program: &mut Program) {
    let snapshot: &Program = program;
    let resolved: Vec<(Vec<Callee>, Edges)> = snapshot.each_module(|module| module_calls(snapshot, module));
    let (callees, edges): (Vec<_>, Vec<Edges>) = resolved.into_iter().unzip();
    let sites = edges.iter().flatten().map(|&(callee, site)| (callee.index(), site));
    program.callers = Rows::new(program.function_modules.len(), sites);
    program.callees = callees;
}

fn module_calls(program: &Program, module: ModuleId) -> (Vec<Callee>, Vec<(FuncId, CallSite)>) {
    let facts = &program.modules[module.index()].facts;
    let callees: Vec<Callee> =
        (0..facts.calls.len()).map(|call| callee_of(program, module, CallIx::at(call))).collect();
    let mut edges = Vec::new();
    for index in 0..facts.functions.len() {
        let function = FuncIx::at(index);
        let caller = program.func_id(module, function);
        let first = facts.functions[index].events.start;
        for (position, event) in facts.events_of(function).iter().enumerate() {
            let site = |receiver| CallSite {
                caller,
                receiver,
                range: event.range,
                ctx: event.ctx,
                event: EventIx(first + position as u32),
            };
            match event.kind {
                EventKind::Call(call) => {
                    let targets = program.expand(callees[call.index()]);
                    // `super().close()` and `Base.close(self)` mean that very method.
                    let count = if program.names_method(module, call) { 1 } else { targets.len() };
                    for (target, receiver) in targets.into_iter().take(count) {
                        edges.push((target, site(receiver)));
                    }
                    if callees[call.index()] == Callee::Opaque {
                        let targets = super::dispatch::targets(program, module, function, call);
                        edges.extend(targets.into_iter().map(|(target, receiver)| (target, site(receiver))));
                    }
                    inline_callbacks(program, module, call, callees[call.index()], &mut |target| {
                        edges.push((target, site(Receiver::Own)));
                    });
                }
                EventKind::Load(term) => {
                    if let Some(getter) = program.property(module, term) {
                        let Term::Attr(base, _) = facts.terms.get(term) else { continue };
                        edges.push((getter, site(program.receiver(module, function, base))));
                    }
                }
                _ => {}
            }
        }
    }
    context_managers(program, module, &mut edges);
    (callees, edges)
}

/// `with thing:` enters and leaves an object of the program.
fn context_managers(program: &Program, module: ModuleId, edges: &mut Vec<(FuncId, CallSite)>) {
    let facts = &program.modules[module.index()].facts;
    for (index, ctx) in facts.ctxs.iter().enumerate() {
        let CtxKind::With(term, _) = ctx.kind else { continue };
        let Kind::Instance(class) = program.kind(module, term) else { continue };
        let function = facts.function_of_ctx(CtxIx::at(index));
        for name in [sym!("__enter__"), sym!("__exit__")] {
            if let Kind::Method(method) = program.member(Kind::Instance(class), name) {
                let receiver = program.receiver(module, function, term);
                let caller = program.func_id(module, function);
                let event = EventIx(facts.functions[function.index()].events.start);
                edges.push((method, CallSite { caller, receiver, range: ctx.range, ctx: ctx.parent, event }));
            }
        }
    }
}

fn callee_of(program: &Program, module: ModuleId, call: CallIx) -> Callee {
    let facts = &program.modules[module.index()].facts;
    let call = &facts.calls[call.index()];
    let function = facts.function_of_ctx(call.ctx);
    let receiver = || match facts.terms.get(call.callee) {
        Term::Attr(base, _) => program.receiver(module, function, base),
        Term::Name(_) => receiver_of_bound(program, module, function, call.callee),
        _ => Receiver::Own,
    };
    // `Base.close(self)`: the object is the first argument.
    let first_argument = |method: FuncId| {
        let declaration = program.function(method);
        let is_method = declaration.class.is_some() && !declaration.flags.is_static;
        let given =
            facts.args.get(call.args.0 as usize).filter(|arg| call.args.1 > 0 && arg.name == ArgumentName::Positional);
        given.filter(|_| is_method).map(|arg| program.receiver(module, function, arg.value))
    };
    match program.kind(module, call.callee) {
        Kind::Lib(name) => Callee::Lib(name),
        Kind::Function(function) | Kind::Method(function) if program.modelled_callee(function).is_some() => {
            program.modelled_callee(function).unwrap_or_default()
        }
        Kind::Function(method) => Callee::Function(method, first_argument(method).unwrap_or_else(receiver)),
        Kind::Method(function) => Callee::Function(function, receiver()),
        Kind::Class(class) => Callee::Class(class),
        Kind::Instance(class) => match program.member(Kind::Instance(class), sym!("__call__")) {
            Kind::Method(function) => {
                Callee::Function(function, program.receiver(module, function_ix(facts, call.ctx), call.callee))
            }
            _ => Callee::Opaque,
        },
        _ => Callee::Opaque,
    }
}

/// Whose a method is that a name holds: `append = text.append`.
fn receiver_of_bound(program: &Program, module: ModuleId, function: FuncIx, name: TermId) -> Receiver {
    let facts = &program.modules[module.index()].facts;
    let values = facts.var_of(name).map_or(&[][..], |var| &facts.vars[var.index()].values[..]);
    let of_value = |&value: &TermId| match facts.terms.get(value) {
        Term::Attr(base, _) => Some(program.receiver(module, function, base)),
        _ => None,
    };
    let receivers: Option<Vec<Receiver>> = values.iter().map(of_value).collect();
    match receivers.as_deref() {
        Some([first, rest @ ..]) if rest.iter().all(|other| other == first) => *first,
        _ => Receiver::Own,
    }
}

fn function_ix(facts: &crate::facts::ModuleFacts, ctx: CtxIx) -> FuncIx {
    facts.function_of_ctx(ctx)
}

/// Lambdas handed to a builtin such as `sorted` run then and there.
fn inline_callbacks(program: &Program, module: ModuleId, call: CallIx, callee: Callee, run: &mut dyn FnMut(FuncId)) {
    const IMMEDIATE: [Qual; 8] = [
        qual!("builtins.sorted"),
        qual!("builtins.min"),
        qual!("builtins.max"),
        qual!("builtins.map"),
        qual!("builtins.filter"),
        qual!("builtins.any"),
        qual!("builtins.all"),
        qual!("builtins.sum"),
    ];
    let Callee::Lib(name) = callee else { return };
    if !IMMEDIATE.contains(&name) {
        return;
    }
    for arg in program.modules[module.index()].facts.args_of(call) {
        if let Kind::Function(function) | Kind::Method(function) = program.kind(module, arg.value) {
            run(function);
        }
    }
}

impl Program {
    /// What a call calls.
    pub fn callee(&self, module: ModuleId, call: CallIx) -> Callee {
        self.callees[module.index()][call.index()]
    }

    /// The dotted name of the library function or method a call calls.
    pub fn library_callee(&self, module: ModuleId, call: CallIx) -> Option<Qual> {
        match self.callee(module, call) {
            Callee::Lib(name) => Some(name),
            _ => None,
        }
    }

    /// Every call of a library function or method, in module order.
    pub fn calls_of(&self, name: Qual) -> &[(ModuleId, CallIx)] {
        let index = self.calls_by_name.get_or_init(|| {
            let mut index = CallsByName::default();
            for (module, callees) in self.callees.iter().enumerate() {
                for (call, callee) in callees.iter().enumerate() {
                    if let Callee::Lib(name) = callee {
                        index.entry(*name).or_default().push((ModuleId::at(module), CallIx::at(call)));
                    }
                }
            }
            index
        });
        index.get(&name).map_or(&[], Vec::as_slice)
    }

    /// From where a function is called.
    pub fn callers(&self, function: FuncId) -> &[CallSite] {
        self.callers.get(function.index())
    }

    /// The functions a call may run: a method and its overrides, or the `__init__` of a class.
    pub fn expand(&self, callee: Callee) -> Vec<(FuncId, Receiver)> {
        match callee {
            Callee::Opaque | Callee::Lib(_) => Vec::new(),
            Callee::Class(class) => {
                let init = match self.member(Kind::Instance(class), sym!("__init__")) {
                    Kind::Method(init) => Some((init, Receiver::Fresh)),
                    _ => None,
                };
                init.into_iter().chain(self.constructors(class)).collect()
            }
            Callee::Function(function, receiver) => {
                let mut targets = vec![(function, receiver)];
                if receiver != Receiver::Fresh {
                    targets.extend(self.overrides(function).into_iter().map(|target| (target, receiver)));
                }
                targets
            }
        }
    }

    /// The functions a call may run; `super().close()` means that very method.
    pub(crate) fn run_by(&self, module: ModuleId, call: CallIx) -> Vec<FuncId> {
        let all = self.expand(self.callee(module, call));
        let count = if self.names_method(module, call) { 1 } else { all.len() };
        all.into_iter().take(count).map(|(target, _)| target).collect()
    }

    /// What runs before `__init__`: the class's `__new__`, and the `__call__` of its metaclass.
    pub(super) fn constructors(&self, class: ClassId) -> impl Iterator<Item = (FuncId, Receiver)> {
        let new = match self.member(Kind::Instance(class), sym!("__new__")) {
            Kind::Method(new) => Some(new),
            _ => None,
        };
        let mro = self.classes[class.index()].mro.iter();
        let metaclass = mro.filter_map(|&ancestor| {
            let (module, local) = self.class_local(ancestor);
            match self.kind(module, self.modules[module.index()].facts.classes[local.index()].metaclass) {
                Kind::Class(metaclass) => self.classes[metaclass.index()].methods.get(&sym!("__call__")).copied(),
                _ => None,
            }
        });
        let call = metaclass.into_iter().next();
        new.into_iter().chain(call).map(|maker| (maker, Receiver::Global))
    }

    /// Whether a call names the class whose method it means, so that no override replaces it.
    pub(super) fn names_method(&self, module: ModuleId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Term::Attr(base, _) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        match self.kind(module, base) {
            Kind::Super(_) => true,
            Kind::Class(_) => matches!(self.kind(module, facts.calls[call.index()].callee), Kind::Function(_)),
            _ => false,
        }
    }

    /// The methods that replace `method` in objects of subclasses, a mixin's among them.
    fn overrides(&self, method: FuncId) -> Vec<FuncId> {
        const MAX_OVERRIDES: usize = 16;
        let Some(class) = self.class_of(method) else { return Vec::new() };
        let name = self.function(method).name;
        let mut found = Vec::new();
        let mut pending = self.classes[class.index()].subclasses.clone();
        let mut seen = 0;
        while let Some(subclass) = pending.pop() {
            seen += 1;
            if found.len() >= MAX_OVERRIDES || seen > 256 {
                break;
            }
            let mut mro = self.classes[subclass.index()].mro.iter();
            let replacement = mro.find_map(|ancestor| self.classes[ancestor.index()].methods.get(&name));
            found.extend(replacement.copied().filter(|&replacement| replacement != method));
            pending.extend(&self.classes[subclass.index()].subclasses);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The getter a load runs, if the attribute is a property of the program.
    pub(super) fn property(&self, module: ModuleId, term: TermId) -> Option<FuncId> {
        let Term::Attr(base, name) = self.modules[module.index()].facts.terms.get(term) else { return None };
        let Kind::Instance(class) = self.kind(module, base) else { return None };
        let mut mro = self.classes[class.index()].mro.iter();
        let method = mro.find_map(|ancestor| self.classes[ancestor.index()].methods.get(&name))?;
        self.function(*method).flags.is_property.then_some(*method)
    }
}
