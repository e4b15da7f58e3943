//! What a term denotes: a lock, a list, an object of a class of the program.
//!
//! *Invariant:* [`Program::kind`] reads tables and recurses only into the parts of its term, so it ends.

use super::kind::{ClassId, Kind, ModuleId};
use super::program::{ImportTarget, Program};
use super::settled::{Ground, Stands};
use crate::facts::{CallIx, Const, Container, FuncIx, NameTarget, Qual, Sym, Term, TermId};
use crate::model::objects;
use crate::{qual, sym};

/// How many assignments to one name are looked at: generated code assigns thousands of times.
pub(super) const MAX_VALUES: usize = 32;

/// How a term is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Within<'a> {
    /// How many containers deep: what a container holds may be an element of the container itself.
    pub(super) depth: usize,
    /// What the module's first terms are known to denote.
    pub(super) known: &'a [Kind],
    /// What the answer rests on, if somebody asks.
    pub(super) ground: Option<&'a Ground>,
}

impl<'a> Within<'a> {
    /// So many containers deep, where a term may denote less.
    pub(super) fn containers(depth: usize) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Notes what the answer rests on.
    pub(super) fn on(ground: &'a Ground) -> Self {
        Self { ground: Some(ground), ..Self::default() }
    }

    fn rests_on(self, stands: impl FnOnce() -> Stands) {
        if let Some(ground) = self.ground {
            ground.weaken(stands());
        }
    }
}

impl Program {
    /// What a term of a module evaluates to.
    pub fn kind(&self, module: ModuleId, term: TermId) -> Kind {
        match self.term_kinds.get(module.index()) {
            Some(known) => known[term.index()],
            None => self.kind_within(module, term, Within::default()),
        }
    }

    pub(super) fn kind_within(&self, module: ModuleId, term: TermId, within: Within<'_>) -> Kind {
        if let Some(&known) = within.known.get(term.index()) {
            return known;
        }
        let facts = &self.modules[module.index()].facts;
        match facts.terms.get(term) {
            Term::Opaque | Term::Item(..) => Kind::Unknown,
            Term::Name(name) => self.named(module, facts.name_targets[name.index()], within),
            Term::Attr(base, name) => {
                let base = self.kind_within(module, base, within);
                within.rests_on(|| self.member_stands(base, name));
                self.member(base, name)
            }
            Term::Call(call) => self.call_result(module, call, within),
            Term::Const(Const::None) => Kind::None,
            Term::Const(_) | Term::Not(_) | Term::Compare(..) => Kind::Immutable,
            Term::Display(container, _) | Term::Comp(container, _) => container_kind(container),
            Term::Function(function) => Kind::Function(self.func_id(module, function)),
            Term::Class(class) => Kind::Class(self.class_id(module, class)),
            Term::Param(function, position) => {
                within.rests_on(|| Stands::UntilPassed);
                self.parameter(module, function, position)
            }
            Term::Import(import) => self.imported(module, import.index(), within),
            Term::Element(iterable) => {
                within.rests_on(|| Stands::Once);
                self.element_kind(module, iterable, within.depth)
            }
            Term::Entered(inner) => self.entered(module, inner, within),
            Term::Awaited(inner) => self.kind_within(module, inner, within),
            Term::Unpacked(..) => Kind::Unknown,
            Term::And(a, b) | Term::Or(a, b) | Term::Either(a, b) => {
                self.kind_within(module, a, within).join(self.kind_within(module, b, within))
            }
            Term::Operation(a, b) => match (self.kind_within(module, a, within), self.kind_within(module, b, within)) {
                (Kind::Immutable, _) | (_, Kind::Immutable) => Kind::Immutable,
                (Kind::Object(class), _) if objects::role_of(class).is_some() => Kind::Object(class),
                _ => Kind::Unknown,
            },
            Term::Caught(_) => Kind::Object(qual!("builtins.exception")),
        }
    }

    fn named(&self, module: ModuleId, target: NameTarget, within: Within<'_>) -> Kind {
        match target {
            NameTarget::Var(var) => {
                within.rests_on(|| self.variable_stands(module, var));
                self.var_kinds[module.index()][var.index()]
            }
            NameTarget::Free(name) => {
                within.rests_on(|| self.free_name_stands(module));
                self.free_name(module, name)
            }
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

    fn imported(&self, module: ModuleId, import: usize, within: Within<'_>) -> Kind {
        match self.imports[module.index()][import] {
            ImportTarget::Module(target) => Kind::Module(target),
            ImportTarget::Member(target, name) => {
                within.rests_on(|| self.global_stands(target, name));
                self.global(target, name)
            }
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
        if let Some(kind) = self.passed.kinds.get((self.func_id(module, function), position)) {
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

    fn call_result(&self, module: ModuleId, call: CallIx, within: Within<'_>) -> Kind {
        let facts = &self.modules[module.index()].facts;
        let callee = facts.calls[call.index()].callee;
        match self.kind_within(module, callee, within) {
            Kind::Class(class) => Kind::Instance(class),
            Kind::Function(function) | Kind::Method(function) => {
                within.rests_on(|| self.result_stands(function));
                self.returns[function.index()]
            }
            Kind::Lib(name) => self.library_result(module, call, name, within),
            _ => Kind::Unknown,
        }
    }

    fn library_result(&self, module: ModuleId, call: CallIx, name: Qual, within: Within<'_>) -> Kind {
        let facts = &self.modules[module.index()].facts;
        let first =
            || facts.positional(call, 0).map_or(Kind::Unknown, |arg| self.kind_within(module, arg.value, within));
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
                Some(Term::Const(Const::Str(attribute))) => {
                    let base = first();
                    within.rests_on(|| self.member_stands(base, attribute));
                    self.member(base, attribute)
                }
                _ => Kind::Unknown,
            };
        }
        if name == qual!("itertools.count") {
            // Integers from a C counter are handed out atomically; other steps are computed. Where it starts may be
            // computed, too: hardly ever with a fraction.
            let is_int = |term| match facts.terms.get(term) {
                Term::Const(Const::Int(_)) => true,
                Term::Call(_) | Term::Name(_) | Term::Attr(..) => facts.args_of(call).len() == 1,
                _ => false,
            };
            let fast = facts.args_of(call).iter().all(|arg| is_int(arg.value));
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

    fn entered(&self, module: ModuleId, inner: TermId, within: Within<'_>) -> Kind {
        match self.kind_within(module, inner, within) {
            Kind::Instance(class) => {
                within.rests_on(|| Stands::Once);
                self.on_entry(class)
            }
            other => other,
        }
    }

    /// What `with` gives for an object of a class.
    fn on_entry(&self, class: ClassId) -> Kind {
        match self.class_member(class, sym!("__enter__"), Kind::Instance(class)) {
            Kind::Method(enter) => match self.returns[enter.index()] {
                Kind::Unknown => Kind::Instance(class),
                known => known,
            },
            _ => Kind::Unknown,
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
