//! Light type inference: what every variable, attribute and function result holds.
//!
//! Rounds over the whole program, each from a snapshot of the last: deterministic and parallel, and enough for what
//! code does in practice (a lock made in a base class, returned by a helper, stored under another name).
//!
//! *Invariant:* [`Program::kind`] reads tables and recurses only into the parts of its term, so it ends.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::classes;
use super::imports::{self, ModuleIndex};
use super::kind::{ClassId, Kind, ModuleId};
use super::program::{ImportTarget, Module, Program};
use crate::facts::{CallIx, Const, Container, EventKind, FuncIx, Function, NameTarget, Qual, Sym, Term, TermId, VarIx};
use crate::model::objects;
use crate::{qual, sym};

/// How often facts may travel one more assignment, call or import.
const ROUNDS: usize = 3;

/// How many assignments to one name are looked at: generated code assigns thousands of times.
pub(super) const MAX_VALUES: usize = 32;

/// Fills imports, classes and kinds.
pub(super) fn infer(program: &mut Program) {
    link_imports(program);
    program.var_kinds = program.modules.iter().map(|module| vec![Kind::Unknown; module.facts.vars.len()]).collect();
    program.returns = vec![Kind::Unknown; program.function_modules.len()];
    let collected: Vec<_> = (0..program.modules.len())
        .into_par_iter()
        .map(|index| classes::collect(program, ModuleId::at(index)))
        .collect();
    for (infos, elements) in collected {
        program.classes.extend(infos);
        program.elements.push(elements);
    }
    let returned = returned(program);
    // The first round knows classes and imports by name, which is what bases are made of.
    round(program, &returned);
    classes::link_bases(program);
    for _ in 1..ROUNDS {
        round(program, &returned);
    }
}

/// One more round, with what is known of parameters.
pub(super) fn refine(program: &mut Program) {
    let returned = returned(program);
    round(program, &returned);
}

/// By module: what its functions return, in order.
type Returned = Vec<Vec<(FuncIx, TermId)>>;

fn returned(program: &Program) -> Returned {
    let of_module = |module: &Module| {
        let functions = module.facts.functions.iter().enumerate();
        let returns = functions.flat_map(|(index, _)| {
            let events = module.facts.events_of(FuncIx::at(index)).iter();
            events.filter_map(move |event| match event.kind {
                EventKind::Return(value) if !value.is_opaque() => Some((FuncIx::at(index), value)),
                _ => None,
            })
        });
        returns.collect()
    };
    program.modules.par_iter().map(of_module).collect()
}

fn link_imports(program: &mut Program) {
    program.index = ModuleIndex::new(program.modules.iter().map(|module| &*module.path));
    super::declared::find_modelled(program);
    program.globals = program
        .modules
        .par_iter()
        .map(|module| {
            let vars = module.facts.vars.iter().enumerate();
            let globals = vars.filter(|(_, var)| var.scope.0 == 0);
            globals.map(|(index, var)| (var.name, VarIx::at(index))).collect::<FxHashMap<_, _>>()
        })
        .collect();
    let resolved: Vec<(Vec<ImportTarget>, Vec<ModuleId>)> = (0..program.modules.len())
        .into_par_iter()
        .map(|index| {
            let importer = ModuleId::at(index);
            let mut stars = Vec::new();
            let imports = &program.modules[index].facts.imports;
            let targets = imports.iter().map(|import| {
                let module = program.index.resolve(importer, import);
                match (module, import.member) {
                    (Some(module), Some(member)) if member == sym!("*") => {
                        stars.push(module);
                        ImportTarget::Module(module)
                    }
                    (Some(module), Some(member)) => {
                        let has_name = program.globals[module.index()].contains_key(&member);
                        match program.index.submodule(module, member) {
                            Some(submodule) if !has_name => ImportTarget::Module(submodule),
                            _ => ImportTarget::Member(module, member),
                        }
                    }
                    (Some(module), None) => ImportTarget::Module(module),
                    (None, member) => {
                        let base = imports::library_name(import);
                        let name = member.map_or(base, |member| base.child(member));
                        ImportTarget::Lib(program.models.canonical(objects::canonical(name)))
                    }
                }
            });
            let targets = targets.collect();
            (targets, stars)
        })
        .collect();
    (program.imports, program.star_imports) = resolved.into_iter().unzip();
}

/// One step: every variable, attribute and result from the kinds of the last step.
fn round(program: &mut Program, returned: &Returned) {
    let snapshot: &Program = program;
    let var_kinds: Vec<Vec<Kind>> = (0..snapshot.modules.len())
        .into_par_iter()
        .map(|index| {
            let module = ModuleId::at(index);
            let vars = &snapshot.modules[index].facts.vars;
            (0..vars.len()).map(|var| variable(snapshot, module, VarIx::at(var))).collect()
        })
        .collect();
    let attr_kinds: Vec<Vec<(Sym, Kind)>> =
        (0..snapshot.classes.len()).into_par_iter().map(|index| attributes(snapshot, ClassId::at(index))).collect();
    let returns: Vec<Vec<Kind>> = (0..snapshot.modules.len())
        .into_par_iter()
        .map(|index| results(snapshot, ModuleId::at(index), &returned[index]))
        .collect();
    program.var_kinds = var_kinds;
    program.returns = returns.into_iter().flatten().collect();
    for (info, kinds) in program.classes.iter_mut().zip(attr_kinds) {
        for (name, kind) in kinds {
            if let Some(attr) = info.attrs.get_mut(&name) {
                attr.kind = kind;
            }
        }
    }
}

fn variable(program: &Program, module: ModuleId, var: VarIx) -> Kind {
    let facts = &program.modules[module.index()].facts;
    let variable = &facts.vars[var.index()];
    let declared = program.annotated(module, variable.annotation);
    if declared.is_known() {
        return declared;
    }
    let values = variable.values.iter().take(MAX_VALUES).map(|&value| program.kind(module, value));
    values.fold(Kind::Unknown, Kind::join)
}

#[expect(clippy::iter_over_hash_type, reason = "the result is written back by name, in no order")]
fn attributes(program: &Program, class: ClassId) -> Vec<(Sym, Kind)> {
    let (module, _) = program.class_local(class);
    let mut kinds = Vec::new();
    for (&name, attr) in &program.classes[class.index()].attrs {
        let stores = attr.stores.iter().map(|&(_, value)| program.kind(module, value));
        let stored = stores.fold(Kind::Unknown, Kind::join);
        let class_var = attr.class_var.map_or(Kind::Unknown, |var| program.var_kinds[module.index()][var.index()]);
        kinds.push((name, stored.join(class_var)));
    }
    kinds
}

/// What the functions of a module give, in order; `returned` is what their `return` statements say.
fn results(program: &Program, module: ModuleId, returned: &[(FuncIx, TermId)]) -> Vec<Kind> {
    let facts = &program.modules[module.index()].facts;
    let mut rest = returned;
    let of_function = |(index, declaration): (usize, &Function)| {
        let count = rest.iter().take_while(|(function, _)| function.index() == index).count();
        let (own, others) = rest.split_at(count);
        rest = others;
        if let Some(declared) = declared_result(program, module, declaration) {
            return declared;
        }
        own.iter().fold(Kind::Unknown, |kind, &(_, value)| kind.join(program.kind(module, value)))
    };
    facts.functions.iter().enumerate().map(of_function).collect()
}

/// What a function gives, whatever its `return` statements say.
fn declared_result(program: &Program, module: ModuleId, declaration: &Function) -> Option<Kind> {
    if declaration.flags.is_generator {
        // A decorator makes something else of it: a context manager, a serialised iterator, a fixture.
        let is_plain =
            declaration.decorators.is_empty() || declaration.flags.is_static || declaration.flags.is_classmethod;
        return Some(if is_plain { Kind::Object(qual!("builtins.generator")) } else { Kind::Unknown });
    }
    let declared = program.annotated(module, declaration.returns);
    declared.is_known().then_some(declared)
}

impl Program {
    /// What a term of a module evaluates to.
    pub fn kind(&self, module: ModuleId, term: TermId) -> Kind {
        self.kind_within(module, term, 0)
    }

    /// The same, `depth` containers deep: what a container holds may be an element of the container itself.
    pub(super) fn kind_within(&self, module: ModuleId, term: TermId, depth: usize) -> Kind {
        let facts = &self.modules[module.index()].facts;
        match facts.terms.get(term) {
            Term::Opaque | Term::Item(..) => Kind::Unknown,
            Term::Name(name) => match facts.name_targets[name.index()] {
                NameTarget::Var(var) => self.var_kinds[module.index()][var.index()],
                NameTarget::Free(name) => self.free_name(module, name),
            },
            Term::Attr(base, name) => self.member(self.kind_within(module, base, depth), name),
            Term::Call(call) => self.call_result(module, call, depth),
            Term::Const(Const::None) => Kind::None,
            Term::Const(_) | Term::Not(_) | Term::Compare(..) => Kind::Immutable,
            Term::Display(container, _) | Term::Comp(container, _) => container_kind(container),
            Term::Function(function) => Kind::Function(self.func_id(module, function)),
            Term::Class(class) => Kind::Class(self.class_id(module, class)),
            Term::Param(function, position) => self.parameter(module, function, position),
            Term::Import(import) => self.imported(module, import.index()),
            Term::Element(iterable) => self.element_kind(module, iterable, depth),
            Term::Entered(inner) => self.entered(module, inner, depth),
            Term::Awaited(inner) => self.kind_within(module, inner, depth),
            Term::Unpacked(..) => Kind::Unknown,
            Term::And(a, b) | Term::Or(a, b) | Term::Either(a, b) => {
                self.kind_within(module, a, depth).join(self.kind_within(module, b, depth))
            }
            Term::Operation(a, b) => match (self.kind_within(module, a, depth), self.kind_within(module, b, depth)) {
                (Kind::Immutable, _) | (_, Kind::Immutable) => Kind::Immutable,
                (Kind::Object(class), _) if objects::role_of(class).is_some() => Kind::Object(class),
                _ => Kind::Unknown,
            },
            Term::Caught(_) => Kind::Object(qual!("builtins.exception")),
        }
    }

    fn free_name(&self, module: ModuleId, name: Sym) -> Kind {
        for &star in &self.star_imports[module.index()] {
            if let Some(&var) = self.globals[star.index()].get(&name) {
                return self.var_kinds[star.index()][var.index()];
            }
        }
        Kind::Lib(qual!("builtins").child(name))
    }

    fn imported(&self, module: ModuleId, import: usize) -> Kind {
        match self.imports[module.index()][import] {
            ImportTarget::Module(target) => Kind::Module(target),
            ImportTarget::Member(target, name) => self.global(target, name),
            ImportTarget::Lib(name) => Kind::Lib(name),
        }
    }

    pub(super) fn global(&self, module: ModuleId, name: Sym) -> Kind {
        match self.globals[module.index()].get(&name) {
            Some(var) => self.var_kinds[module.index()][var.index()],
            None => match self.index.submodule(module, name) {
                Some(submodule) => Kind::Module(submodule),
                None => match self.free_name(module, name) {
                    Kind::Lib(_) => Kind::Unknown,
                    known => known,
                },
            },
        }
    }

    fn parameter(&self, module: ModuleId, function: FuncIx, position: u16) -> Kind {
        if let Some(&kind) = self.passed.kinds.get(&(self.func_id(module, function), position)) {
            return kind;
        }
        let function = &self.modules[module.index()].facts.functions[function.index()];
        match function.class {
            Some(class) if position == 0 && !function.flags.is_static => {
                let class = self.class_id(module, class);
                if function.flags.is_classmethod { Kind::Class(class) } else { Kind::Instance(class) }
            }
            _ => Kind::Unknown,
        }
    }

    /// What `base.name` evaluates to.
    pub fn member(&self, base: Kind, name: Sym) -> Kind {
        match base {
            Kind::Lib(library) => Kind::Lib(self.models.canonical(objects::canonical(library.child(name)))),
            Kind::Module(module) => self.global(module, name),
            Kind::Object(class) => Kind::Lib(objects::method_owner(class).child(name)),
            Kind::Class(class) => self.class_member(class, name, base),
            Kind::Instance(class) => self.class_member(class, name, base),
            Kind::Super(class) => {
                let ancestors = self.classes[class.index()].mro.iter().skip(1);
                let found = ancestors.filter_map(|ancestor| self.own_member(*ancestor, name, Kind::Instance(class)));
                found.into_iter().next().unwrap_or_else(|| self.lib_member(class, name))
            }
            _ => Kind::Unknown,
        }
    }

    fn class_member(&self, class: ClassId, name: Sym, base: Kind) -> Kind {
        let mro = &self.classes[class.index()].mro;
        let own = [class];
        let order: &[ClassId] = if mro.is_empty() { &own } else { mro };
        let mut found = Kind::Unknown;
        for &ancestor in order {
            if let Some(kind) = self.own_member(ancestor, name, base) {
                found = found.join(kind);
                if found.is_known() {
                    return found;
                }
            }
        }
        if name == sym!("__class__") { Kind::Class(class) } else { self.lib_member(class, name) }
    }

    fn own_member(&self, class: ClassId, name: Sym, base: Kind) -> Option<Kind> {
        let info = &self.classes[class.index()];
        if let Some(&method) = info.methods.get(&name) {
            let function = self.function(method);
            return Some(match base {
                _ if function.flags.is_property => self.returns[method.index()],
                _ if function.flags.is_static => Kind::Function(method),
                Kind::Class(_) if !function.flags.is_classmethod => Kind::Function(method),
                _ => Kind::Method(method),
            });
        }
        info.attrs.get(&name).map(|attr| attr.kind)
    }

    fn lib_member(&self, class: ClassId, name: Sym) -> Kind {
        let bases = self.inherited_lib_bases.get(class.index());
        let modelled = bases.into_iter().flatten().find(|&&base| objects::role_of(base).is_some());
        let base = modelled.or_else(|| bases.and_then(|bases| bases.first()));
        base.map_or(Kind::Unknown, |&base| Kind::Lib(objects::method_owner(base).child(name)))
    }

    fn call_result(&self, module: ModuleId, call: CallIx, depth: usize) -> Kind {
        let facts = &self.modules[module.index()].facts;
        let callee = facts.calls[call.index()].callee;
        match self.kind_within(module, callee, depth) {
            Kind::Class(class) => Kind::Instance(class),
            Kind::Function(function) | Kind::Method(function) => self.returns[function.index()],
            Kind::Lib(name) => self.library_result(module, call, name, depth),
            _ => Kind::Unknown,
        }
    }

    fn library_result(&self, module: ModuleId, call: CallIx, name: Qual, depth: usize) -> Kind {
        let facts = &self.modules[module.index()].facts;
        let first =
            || facts.positional(call, 0).map_or(Kind::Unknown, |arg| self.kind_within(module, arg.value, depth));
        if name == qual!("builtins.super") {
            let function = facts.function_of_ctx(facts.calls[call.index()].ctx);
            return match self.enclosing_class(module, function) {
                Some(class) => Kind::Super(class),
                None => Kind::Unknown,
            };
        }
        if name == qual!("functools.partial") || name == qual!("weakref.proxy") || name == qual!("copy.copy") {
            return first();
        }
        if name == qual!("builtins.type") {
            return match first() {
                Kind::Instance(class) => Kind::Class(class),
                Kind::Object(class) => Kind::Lib(class),
                _ => Kind::Unknown,
            };
        }
        if name == qual!("builtins.getattr") {
            let attribute = facts.positional(call, 1).map(|arg| facts.terms.get(arg.value));
            return match attribute {
                Some(Term::Const(Const::Str(attribute))) => self.member(first(), attribute),
                _ => Kind::Unknown,
            };
        }
        if name == qual!("itertools.count") {
            // Integers from a C counter are handed out atomically; other steps are computed.
            let fast =
                facts.args_of(call).iter().all(|arg| matches!(facts.terms.get(arg.value), Term::Const(Const::Int(_))));
            return Kind::Object(if fast { name } else { qual!("builtins.iterator") });
        }
        let made = objects::result_of(name);
        if objects::role_of(made) == Some(objects::Role::Immutable) { Kind::Immutable } else { Kind::Object(made) }
    }

    /// The class whose method a function is, or is nested in.
    pub fn enclosing_class(&self, module: ModuleId, function: FuncIx) -> Option<ClassId> {
        let facts = &self.modules[module.index()].facts;
        let mut at = Some(function);
        while let Some(function) = at {
            let function = &facts.functions[function.index()];
            if let Some(class) = function.class {
                return Some(self.class_id(module, class));
            }
            at = function.parent;
        }
        None
    }

    fn entered(&self, module: ModuleId, inner: TermId, depth: usize) -> Kind {
        match self.kind_within(module, inner, depth) {
            Kind::Instance(class) => match self.class_member(class, sym!("__enter__"), Kind::Instance(class)) {
                Kind::Method(enter) => match self.returns[enter.index()] {
                    Kind::Unknown => Kind::Instance(class),
                    known => known,
                },
                _ => Kind::Unknown,
            },
            other => other,
        }
    }
}

fn container_kind(container: Container) -> Kind {
    Kind::Object(match container {
        Container::List => qual!("builtins.list"),
        Container::Tuple => return Kind::Immutable,
        Container::Set => qual!("builtins.set"),
        Container::Dict => qual!("builtins.dict"),
        Container::Generator => qual!("builtins.generator"),
    })
}
