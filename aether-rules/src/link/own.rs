//! What every run of a thread has for itself: the variables of the call it runs, the object that started it, and the
//! parts that its object made.
//!
//! *Invariant:* "own" is only said where the making is seen: what was handed in may be anybody's.

use super::access::Access;
use super::calls::Receiver;
use super::kind::{ClassId, Kind, ModuleId};
use super::places::PlaceRoot;
use super::program::Program;
use super::roots::RootId;
use super::sharing::{Step, ThreadOf};
use crate::facts::{EventKind, Sym, Term, TermId};
use crate::sym;

/// Calls that run what they are given once, where a `map` runs it for every element.
const ONCE: [Sym; 5] =
    [sym!("submit"), sym!("apply_async"), sym!("run_in_executor"), sym!("to_thread"), sym!("add_done_callback")];

impl Program {
    /// Whether two steps are on a variable that every run of the thread has for itself: the thread runs the very
    /// function the variable belongs to.
    pub(super) fn in_own_calls(&self, a: Step<'_>, b: Step<'_>) -> bool {
        let Some((module, owner)) = self.cell_owner(a.0.place) else { return false };
        let owner = self.func_id(module, owner);
        let runs_owner = |thread| match thread {
            ThreadOf::Main => true,
            ThreadOf::Root(root) => self.root(root).function == owner,
        };
        runs_owner(a.1) && runs_owner(b.1)
    }

    /// Whether two steps of runs of one function are on the objects that started them: `__init__` starts it once, so
    /// there is one run for each object.
    pub(super) fn on_own_starters(&self, a: Step<'_>, b: Step<'_>) -> bool {
        let (ThreadOf::Root(root), PlaceRoot::Attr(class, _)) = (a.1, a.0.place.root) else { return false };
        let through_self = |step: Step<'_>| matches!(step.0.receiver, Receiver::Own | Receiver::OfOwn);
        a.1 == b.1 && through_self(a) && through_self(b) && self.starts_once_per_object(root, class)
    }

    /// Whether two threads, each the method of a class of its own, get to a step through a part that each object made for
    /// itself: `self._screen.write(…)`, where both classes say `self._screen = Screen()`.
    pub(super) fn in_own_parts(&self, a: Step<'_>, b: Step<'_>) -> bool {
        let (ThreadOf::Root(x), ThreadOf::Root(y), PlaceRoot::Attr(..)) = (a.1, b.1, a.0.place.root) else {
            return false;
        };
        let class_of = |root: RootId| {
            let (module, local) = self.func_local(self.root(root).function);
            self.enclosing_class(module, local)
        };
        let (Some(one), Some(other)) = (class_of(x), class_of(y)) else { return false };
        !self.have_common_objects(one, other)
            && self.is_part_made_by(one, a.0, x)
            && self.is_part_made_by(other, b.0, y)
    }

    /// Whether a thread gets from `self` to a step through an attribute that only ever holds what its class made.
    fn is_part_made_by(&self, class: ClassId, access: &Access, root: RootId) -> bool {
        for (module, site) in self.path_from_root(access.function, root) {
            let facts = &self.module(module).facts;
            match (site.receiver, facts.events[site.event.index()].kind) {
                (Receiver::Own, _) => {}
                (Receiver::OfOwn, EventKind::Call(call)) => {
                    return self.made_by_class(class, module, facts.receiver_of(call));
                }
                _ => return false,
            }
        }
        false
    }

    /// Whether a term is an attribute of `self`, and every store of it in the class makes an object on the spot.
    fn made_by_class(&self, class: ClassId, module: ModuleId, term: TermId) -> bool {
        let Term::Attr(_, name) = self.module(module).facts.terms.get(term) else { return false };
        let mro = &self.class(class).mro;
        let mut attrs =
            mro.iter().filter_map(|ancestor| Some((ancestor, self.class(*ancestor).attrs.get(&name)?))).peekable();
        attrs.peek().is_some()
            && attrs.all(|(&owner, attr)| {
                let (home, _) = self.class_local(owner);
                let facts = &self.module(home).facts;
                attr.stores.iter().all(|&(_, value)| match facts.terms.get(value) {
                    Term::Const(_) => true,
                    Term::Call(call) => matches!(self.kind(home, facts.calls[call.index()].callee), Kind::Class(_)),
                    _ => false,
                })
            })
    }

    /// Whether a constructor of a class starts a root, and once.
    fn starts_once_per_object(&self, root: RootId, class: ClassId) -> bool {
        let Some(started) = self.root(root).started else { return false };
        let (module, by) = self.func_local(started.by);
        let facts = &self.module(module).facts;
        let is_constructor = self.function(started.by).name == sym!("__init__");
        let makes = self.enclosing_class(module, by);
        let of_class =
            makes.is_some_and(|makes| self.class(makes).mro.contains(&class) || self.class(class).mro.contains(&makes));
        let runs = self.root(root).function;
        let (home, local) = self.func_local(runs);
        let is_own = self.enclosing_class(home, local) == makes
            && !matches!(self.kind(module, facts.calls[started.call.index()].callee), Kind::Unknown);
        is_constructor
            && of_class
            && is_own
            && !self.in_loop(module, started.ctx)
            && facts.callee_name(started.call).is_some_and(|name| ONCE.contains(&name))
    }
}
