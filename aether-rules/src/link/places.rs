//! Places: what can be read or written by more than one function.
//!
//! *Invariant:* two expressions with the same [`Place`] may denote the same object's field; instances of one class are
//! not told apart here, but by how the object was reached ([`Receiver`]).

use super::calls::Receiver;
use super::kind::{ClassId, Kind, ModuleId};
use super::program::{ImportTarget, Program};
use crate::facts::{FuncIx, NameTarget, Qual, ScopeKind, Sym, Term, TermId, VarIx};
use crate::model::Role;
use crate::qual;

/// Something that can be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Where it hangs.
    pub root: PlaceRoot,
    /// Further attributes through objects of unknown class; [`Qual::ROOT`] for none.
    pub path: Qual,
}

/// Where a place hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlaceRoot {
    /// A global of a module.
    Global(ModuleId, Sym),
    /// An attribute of a class itself.
    ClassAttr(ClassId, Sym),
    /// An attribute of the objects of a class.
    Attr(ClassId, Sym),
    /// A variable of a function, seen by functions nested in it.
    Cell(ModuleId, VarIx),
}

/// A place by position in the list of shared places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub(crate) u32);

impl Place {
    const fn whole(root: PlaceRoot) -> Self {
        Self { root, path: Qual::ROOT }
    }

    fn member(self, name: Sym) -> Self {
        Self { root: self.root, path: self.path.child(name) }
    }
}

impl Program {
    /// The place a term denotes, and how its object relates to the function that uses it. The elements of a container
    /// share the container's place.
    pub fn place(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<(Place, Receiver)> {
        self.place_within(module, function, term, 0)
    }

    fn place_within(
        &self,
        module: ModuleId,
        function: FuncIx,
        term: TermId,
        depth: usize,
    ) -> Option<(Place, Receiver)> {
        const MAX_DEPTH: usize = 4;
        if depth > MAX_DEPTH {
            return None;
        }
        let facts = &self.modules[module.index()].facts;
        match facts.terms.get(term) {
            Term::Name(name) => match facts.name_targets[name.index()] {
                NameTarget::Var(var) => self.variable_place(module, var),
                NameTarget::Free(name) => {
                    let stars = self.star_imports[module.index()].iter();
                    let mut stars = stars.filter(|star| self.globals[star.index()].contains_key(&name));
                    let &star = stars.next()?;
                    Some((Place::whole(PlaceRoot::Global(star, name)), Receiver::Global))
                }
            },
            Term::Attr(base, name) => self.attribute_place(module, function, base, name, depth),
            Term::Item(base, _) => self.container_place(module, function, base, depth),
            _ => None,
        }
    }

    fn variable_place(&self, module: ModuleId, var: VarIx) -> Option<(Place, Receiver)> {
        let facts = &self.modules[module.index()].facts;
        let variable = &facts.vars[var.index()];
        match facts.var_scope(var) {
            ScopeKind::Module => {
                if let [value] = variable.values[..]
                    && let Term::Import(import) = facts.terms.get(value)
                {
                    return match self.imports[module.index()][import.index()] {
                        ImportTarget::Member(target, name) => {
                            Some((Place::whole(PlaceRoot::Global(target, name)), Receiver::Global))
                        }
                        _ => None,
                    };
                }
                Some((Place::whole(PlaceRoot::Global(module, variable.name)), Receiver::Global))
            }
            ScopeKind::Class(class) => {
                let class = self.class_id(module, class);
                Some((Place::whole(PlaceRoot::ClassAttr(class, variable.name)), Receiver::Global))
            }
            ScopeKind::Function(_) => {
                // A parameter of a thread's function is what its starter handed over.
                if let [value] = variable.values[..]
                    && let Term::Param(function, position) = facts.terms.get(value)
                    && let Some(arg) = self.handed_to(module, function, position)
                    && let Some(var) = self.modules[arg.module.index()].facts.var_of(arg.term)
                {
                    let facts = &self.modules[arg.module.index()].facts;
                    return match facts.var_scope(var) {
                        ScopeKind::Function(_) => Some((Place::whole(PlaceRoot::Cell(arg.module, var)), Receiver::Own)),
                        _ => self.variable_place(arg.module, var),
                    };
                }
                Some((Place::whole(PlaceRoot::Cell(module, var)), Receiver::Own))
            }
            ScopeKind::Comprehension => None,
        }
    }

    fn attribute_place(
        &self,
        module: ModuleId,
        function: FuncIx,
        base: TermId,
        name: Sym,
        depth: usize,
    ) -> Option<(Place, Receiver)> {
        match self.kind(module, base) {
            Kind::Module(target) => {
                let var = self.globals[target.index()].get(&name)?;
                self.variable_place(target, *var)
            }
            Kind::Class(class) => {
                Some((Place::whole(PlaceRoot::ClassAttr(self.attr_owner(class, name), name)), Receiver::Global))
            }
            Kind::Instance(class) | Kind::Super(class) => {
                let place = self.object_place(class, name)?;
                let is_global = matches!(place.root, PlaceRoot::ClassAttr(..));
                let receiver = if is_global { Receiver::Global } else { self.receiver(module, function, base) };
                Some((place, receiver))
            }
            Kind::Object(class)
                if matches!(crate::model::role_of(class), Some(Role::ThreadLocal | Role::ContextVar)) =>
            {
                None
            }
            Kind::Lib(_) => None,
            _ => {
                let (place, receiver) = self.container_place(module, function, base, depth)?;
                let is_local = matches!(place.root, PlaceRoot::Cell(..));
                let receiver = match receiver {
                    Receiver::Own => Receiver::OfOwn,
                    other => other,
                };
                (!is_local).then(|| (place.member(name), receiver))
            }
        }
    }

    /// Where an attribute of an object lives: in the object, or in its class as long as nothing stores another one.
    fn object_place(&self, class: ClassId, name: Sym) -> Option<Place> {
        if self.is_threads_own(class, name) || self.is_method(class, name) {
            return None;
        }
        let owner = self.attr_owner(class, name);
        let is_stored = self.classes[class.index()].mro.iter().any(|ancestor| {
            self.classes[ancestor.index()].attrs.get(&name).is_some_and(|attr| {
                !attr.stores.is_empty() || (attr.augmented && !matches!(attr.kind.role(), Some(Role::Container(_))))
            })
        });
        let class_var = self.classes[owner.index()].attrs.get(&name).and_then(|attr| attr.class_var);
        let is_class_state = !is_stored && class_var.is_some_and(|var| !self.is_field(owner, var));
        let root = if is_class_state { PlaceRoot::ClassAttr(owner, name) } else { PlaceRoot::Attr(owner, name) };
        Some(Place::whole(root))
    }

    /// Whether a class variable only declares what each object gets one of: `children: dict = field(default_factory=dict)`.
    fn is_field(&self, class: ClassId, var: VarIx) -> bool {
        const MAKERS: [Qual; 4] =
            [qual!("dataclasses.field"), qual!("attr.ib"), qual!("attr.field"), qual!("attrs.field")];
        let (module, _) = self.class_local(class);
        let facts = &self.modules[module.index()].facts;
        facts.vars[var.index()].values.iter().any(|&value| match facts.terms.get(value) {
            Term::Call(call) => {
                matches!(self.kind(module, facts.calls[call.index()].callee), Kind::Lib(name) if MAKERS.contains(&name))
            }
            _ => false,
        })
    }

    /// The place of a container, looking through a local name for it: `cache = self._cache`.
    fn container_place(
        &self,
        module: ModuleId,
        function: FuncIx,
        base: TermId,
        depth: usize,
    ) -> Option<(Place, Receiver)> {
        let facts = &self.modules[module.index()].facts;
        if let Some(var) = facts.var_of(base)
            && matches!(facts.var_scope(var), ScopeKind::Function(_))
        {
            let variable = &facts.vars[var.index()];
            if let [value] = variable.values[..] {
                match facts.terms.get(value) {
                    Term::Attr(..) => return self.place_within(module, function, value, depth + 1),
                    Term::Name(_) if facts.var_of(value).is_some_and(|var| facts.vars[var.index()].scope.0 == 0) => {
                        return self.place_within(module, function, value, depth + 1);
                    }
                    _ => {}
                }
            }
        }
        if let Term::Item(..) = facts.terms.get(base) {
            // An element is another object; which one, nobody knows.
            return None;
        }
        self.place_within(module, function, base, depth + 1)
    }

    /// The topmost class that assigns an attribute.
    pub fn attr_owner(&self, class: ClassId, name: Sym) -> ClassId {
        let mro = self.classes[class.index()].mro.iter().rev();
        let mut owners = mro.filter(|ancestor| self.classes[ancestor.index()].attrs.contains_key(&name));
        owners.next().copied().unwrap_or(class)
    }

    /// Whether a name is a method of a class.
    pub fn is_method(&self, class: ClassId, name: Sym) -> bool {
        let mro = self.classes[class.index()].mro.iter();
        let mut methods = mro.filter_map(|ancestor| self.classes[ancestor.index()].methods.get(&name));
        methods.next().is_some()
    }

    /// What a place holds.
    pub fn place_kind(&self, place: Place) -> Kind {
        if place.path != Qual::ROOT {
            return Kind::Unknown;
        }
        match place.root {
            PlaceRoot::Global(module, name) => {
                let var = self.globals[module.index()].get(&name);
                var.map_or(Kind::Unknown, |var| self.var_kinds[module.index()][var.index()])
            }
            PlaceRoot::ClassAttr(class, name) | PlaceRoot::Attr(class, name) => {
                let base =
                    if matches!(place.root, PlaceRoot::Attr(..)) { Kind::Instance(class) } else { Kind::Class(class) };
                self.member(base, name)
            }
            PlaceRoot::Cell(module, var) => self.var_kinds[module.index()][var.index()],
        }
    }

    /// How a reader would name a place.
    pub fn place_name(&self, place: Place) -> String {
        let root = self.root_name_of(place.root);
        if place.path == Qual::ROOT { root } else { format!("{root}{}", self.path_text(place)) }
    }

    /// The attributes between a place's root and the place, as an access spells them: `._pending.total`.
    fn path_text(&self, place: Place) -> String {
        let Some(access) = self.accesses(place).first() else { return String::new() };
        let facts = &self.modules[access.module.index()].facts;
        let (_, function) = self.func_local(access.function);
        let mut names = Vec::new();
        let mut at = access.term;
        loop {
            let term = self.unaliased(access.module, at);
            let Term::Attr(base, name) = facts.terms.get(term) else { break };
            let is_root = self.place(access.module, function, term).is_some_and(|(here, _)| here.path == Qual::ROOT);
            if is_root {
                break;
            }
            names.push(facts.name(name));
            at = base;
        }
        names.iter().rev().fold(String::new(), |path, name| path + "." + name)
    }

    fn root_name_of(&self, root: PlaceRoot) -> String {
        match root {
            PlaceRoot::Global(module, name) => self.name_in(module, name),
            PlaceRoot::ClassAttr(class, name) | PlaceRoot::Attr(class, name) => {
                let (module, _) = self.class_local(class);
                format!("{}.{}", self.class_name(class), self.name_in(module, name))
            }
            PlaceRoot::Cell(module, var) => {
                let name = self.modules[module.index()].facts.vars[var.index()].name;
                self.name_in(module, name)
            }
        }
    }

    fn name_in(&self, module: ModuleId, name: Sym) -> String {
        let own = self.modules[module.index()].facts.names.get(name);
        let any = || self.modules.iter().find_map(|module| module.facts.names.get(name));
        own.or_else(any).map_or_else(|| "?".to_owned(), str::to_owned)
    }

    /// Whether a place is confined to one thread by what it holds.
    pub fn is_confined(&self, place: Place) -> bool {
        matches!(self.role(self.place_kind(place)), Some(Role::ThreadLocal | Role::ContextVar))
    }

    /// The scope function of a closure cell.
    pub(super) fn cell_owner(&self, place: Place) -> Option<(ModuleId, FuncIx)> {
        let PlaceRoot::Cell(module, var) = place.root else { return None };
        self.is_function_var(module, var).map(|function| (module, function))
    }

    /// Whether a variable lives in a function's own scope.
    pub(super) fn is_function_var(&self, module: ModuleId, var: VarIx) -> Option<FuncIx> {
        match self.modules[module.index()].facts.var_scope(var) {
            ScopeKind::Function(function) => Some(function),
            _ => None,
        }
    }
}
