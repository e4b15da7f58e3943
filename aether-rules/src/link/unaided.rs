//! Places that matter although no thread is seen near them: what is wrong there is wrong whoever starts the second thread.
//!
//! *Invariant:* what is asked of every access is looked up, not worked out.

use rustc_hash::FxHashSet;

use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::locks::LockId;
use super::places::{Place, PlaceRoot};
use super::program::{Module, Program};
use crate::facts::{Const, Qual, Term, TermId};

/// What makes such a place.
pub(super) struct Unaided {
    /// Classes of which a method promises that something happens only once.
    once: FxHashSet<ClassId>,
}

impl Unaided {
    /// Looks at every class of the program.
    pub(super) fn new(program: &Program) -> Self {
        let classes = (0..program.class_modules.len()).map(ClassId::at);
        let promises =
            |class: &ClassId| program.class(*class).methods.values().any(|&method| program.promises_once(method));
        Self { once: classes.filter(promises).collect() }
    }

    /// Whether a place is one.
    pub(super) fn holds(&self, program: &Program, place: Place) -> bool {
        let is_of_owner = match place.root {
            PlaceRoot::Global(..) => program.is_given_later(place),
            PlaceRoot::ClassAttr(class, _) => self.once.contains(&class),
            PlaceRoot::Attr(class, _) => {
                self.once.contains(&class) || (program.has_global_object(class) && program.starts_empty(place))
            }
            PlaceRoot::Cell(..) => false,
        };
        is_of_owner || program.named_lock(place).is_some()
    }
}

impl Program {
    /// Whether a class's own module makes an object of it, and keeps it for everybody who imports it.
    pub fn has_global_object(&self, class: ClassId) -> bool {
        let find = || {
            let of_module = |(index, module): (usize, &Module)| {
                let vars = module.facts.vars.iter().zip(&self.var_kinds[index]);
                let globals = vars.filter(|(var, _)| var.scope.index() == 0).map(|(_, &kind)| kind);
                let own = globals.filter_map(move |kind| match kind {
                    Kind::Instance(class) if self.class_local(class).0 == ModuleId::at(index) => Some(class),
                    _ => None,
                });
                own.collect::<Vec<_>>()
            };
            self.modules.iter().enumerate().flat_map(of_module).collect()
        };
        self.global_objects.get_or_init(find).contains(&class)
    }

    /// Whether a global of a module starts without a value and is given one later.
    fn is_given_later(&self, place: Place) -> bool {
        let PlaceRoot::Global(module, name) = place.root else { return false };
        if place.path != Qual::ROOT {
            return false;
        }
        let facts = &self.modules[module.index()].facts;
        self.globals[module.index()].get(&name).is_some_and(|var| {
            let is_none = |value: TermId| matches!(facts.terms.get(value), Term::Const(Const::None | Const::False));
            let values = &facts.vars[var.index()].values;
            values.iter().any(|&value| is_none(value)) && values.iter().any(|&value| !is_none(value))
        })
    }

    /// Whether an attribute of a class's objects is `None` at first, or at times.
    fn starts_empty(&self, place: Place) -> bool {
        let PlaceRoot::Attr(class, name) = place.root else { return false };
        let is_none = |&(function, value): &(FuncId, TermId)| {
            let (module, _) = self.func_local(function);
            self.modules[module.index()].facts.terms.get(value) == Term::Const(Const::None)
        };
        self.class(class).attrs.get(&name).is_some_and(|attr| attr.stores.iter().any(is_none))
    }

    /// The place of the same owner that a lock is named after: `_clients` of `_clients_lock`.
    fn named_after(&self, lock: LockId) -> Option<Place> {
        const ENDS: [&str; 4] = ["_lock", "_rlock", "_mutex", "_LOCK"];
        let place = self.lock(lock).place;
        let (module, name) = match place.root {
            PlaceRoot::Attr(class, name) | PlaceRoot::ClassAttr(class, name) => (self.class_local(class).0, name),
            PlaceRoot::Global(module, name) => (module, name),
            PlaceRoot::Cell(..) => return None,
        };
        let facts = &self.modules[module.index()].facts;
        let text = facts.names.get(name)?;
        let base = ENDS.iter().find_map(|end| text.strip_suffix(end)).filter(|base| !base.is_empty())?;
        let base = crate::facts::Sym::new(base);
        let root = match place.root {
            PlaceRoot::Global(module, _) => PlaceRoot::Global(module, base),
            PlaceRoot::Attr(class, _) | PlaceRoot::ClassAttr(class, _) => {
                let owner = self.attr_owner(class, base);
                let attr = self.class(owner).attrs.get(&base)?;
                if attr.stores.is_empty() { PlaceRoot::ClassAttr(owner, base) } else { PlaceRoot::Attr(owner, base) }
            }
            PlaceRoot::Cell(..) => return None,
        };
        (place.path == Qual::ROOT).then_some(Place { root, path: Qual::ROOT })
    }

    /// The lock that is named after a place.
    pub fn named_lock(&self, place: Place) -> Option<LockId> {
        let find = || {
            let pairs = self.lock_ids().filter_map(|lock| Some((self.named_after(lock)?, lock)));
            // The first lock of two wins.
            pairs.collect::<Vec<_>>().into_iter().rev().collect()
        };
        self.named.get_or_init(find).get(&place).copied()
    }
}
