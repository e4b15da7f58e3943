//! Definitions: what belongs to a class rather than its objects, where decorators stand, what runs in parallel.
//!
//! *Invariant:* every answer is about one definition of the program, whoever uses it.

use ruff_text_size::{TextRange, TextSize};

use super::kind::{ClassId, FuncId, ModuleId};
use super::places::{Place, PlaceRoot};
use super::program::Program;
use super::sharing::ThreadOf;
use crate::facts::{EventKind, FuncIx, Sym, Term, TermId};
use crate::model::Role;
use crate::source::Span;
use crate::{qual, sym};

impl Program {
    /// Whether a place belongs to a class rather than to its objects: a class attribute, or what a metaclass keeps.
    pub fn is_class_level(&self, place: Place) -> bool {
        match place.root {
            PlaceRoot::ClassAttr(..) => true,
            PlaceRoot::Attr(class, _) => self.is_metaclass(class),
            PlaceRoot::Global(..) | PlaceRoot::Cell(..) => false,
        }
    }

    /// Whether a class-level place may change after the class was made: methods assign it, or it holds a container.
    pub(super) fn is_class_state(&self, place: Place) -> bool {
        let (PlaceRoot::ClassAttr(class, name) | PlaceRoot::Attr(class, name)) = place.root else { return false };
        self.is_class_level(place)
            && self
                .class(class)
                .attrs
                .get(&name)
                .is_some_and(|attr| !attr.stores.is_empty() || matches!(attr.kind.role(), Some(Role::Container(_))))
    }

    /// Whether the documentation of a function promises that something happens only once. That of a class speaks of what
    /// its objects do when they are used: as a descriptor, by a call, by being made.
    pub fn promises_once(&self, function: FuncId) -> bool {
        const USES: [Sym; 4] = [sym!("__get__"), sym!("__call__"), sym!("__new__"), sym!("__getattr__")];
        let declaration = self.function(function);
        let is_once = |class| {
            let (module, local) = self.class_local(class);
            self.modules[module.index()].facts.classes[local.index()].is_once
        };
        let by_class = || USES.contains(&declaration.name) && self.class_of(function).is_some_and(is_once);
        declaration.flags.is_once || by_class()
    }

    /// Whether the objects of a class are classes.
    pub fn is_metaclass(&self, class: ClassId) -> bool {
        self.lib_bases(class).contains(&qual!("builtins.type"))
    }

    /// Where a class body makes an attribute.
    pub fn class_variable_span(&self, place: Place) -> Option<Span> {
        let (PlaceRoot::ClassAttr(class, name) | PlaceRoot::Attr(class, name)) = place.root else { return None };
        let var = self.class(class).attrs.get(&name)?.class_var?;
        let (module, _) = self.class_local(class);
        Some(self.span(module, self.modules[module.index()].facts.vars[var.index()].range))
    }

    /// A thread that runs a function while another thread may run it, too.
    pub fn parallel_thread(&self, function: FuncId) -> Option<ThreadOf> {
        let mut visits = self.thread_visits(function);
        let first = visits.next()?;
        let others = visits.any(|other| other.root != first.root);
        (others || self.overlaps_itself(first.root)).then_some(ThreadOf::Root(first.root))
    }

    /// Where a function's decorator is read, just before its header.
    pub fn read_span(&self, module: ModuleId, function: FuncIx, decorator: TermId) -> Option<Span> {
        let facts = &self.modules[module.index()].facts;
        let declaration = &facts.functions[function.index()];
        let callee = match facts.terms.get(decorator) {
            Term::Call(call) => return Some(self.span(module, facts.calls[call.index()].range)),
            _ => decorator,
        };
        let before = facts.events.iter().filter(|event| {
            matches!(event.kind, EventKind::Load(read) if read.same(callee))
                && declaration.range.contains_range(event.range)
                && event.range.start() < declaration.name_range.start()
        });
        let by_name = || {
            // A plain imported name leaves no event: an only decorator stands where the definition begins.
            let var = facts.var_of(callee).filter(|_| declaration.decorators.len() == 1)?;
            let length = TextSize::of(facts.name(facts.vars[var.index()].name));
            let start = declaration.range.start();
            Some(self.span(module, TextRange::new(start, start + TextSize::of('@') + length)))
        };
        before.map(|event| self.span(module, event.range)).next().or_else(by_name)
    }
}
