//! Whether two accesses to one attribute can be to one object.
//!
//! An attribute of a base class is one place for all its subclasses, but an object is of one class only: siblings do
//! not meet, and a method that a class overrides does not run on its objects.
//!
//! *Invariant:* "not one object" is only said where the classes of both objects are known.

use super::access::Access;
use super::calls::Receiver;
use super::kind::{ClassId, Kind};
use super::places::PlaceRoot;
use super::program::Program;
use super::sharing::ThreadOf;
use crate::facts::{EventKind, Qual, Term};

/// How many subclasses are looked at, at most.
const MAX_CLASSES: usize = 256;

impl Program {
    /// Whether some class of the program can have both accesses made to one object of its own.
    pub(super) fn may_be_one_object(&self, a: &Access, b: &Access) -> bool {
        let (Some(x), Some(y)) = (self.object_class(a), self.object_class(b)) else { return true };
        if x == y {
            return true;
        }
        let mut pending = vec![if self.class(y).mro.contains(&x) { y } else { x }];
        let mut seen = 0;
        while let Some(class) = pending.pop() {
            seen += 1;
            let mro = &self.class(class).mro;
            let is_both = mro.contains(&x) && mro.contains(&y);
            if seen > MAX_CLASSES || (is_both && self.runs_on(a, class) && self.runs_on(b, class)) {
                return true;
            }
            pending.extend(&self.class(class).subclasses);
        }
        false
    }

    /// Whether an object can be of both of two classes.
    pub(super) fn have_common_objects(&self, x: ClassId, y: ClassId) -> bool {
        self.class(x).mro.contains(&y)
            || self.class(y).mro.contains(&x)
            || self.classes.iter().any(|info| info.mro.contains(&x) && info.mro.contains(&y))
    }

    /// The class of the object whose attribute is accessed, as far as the expression says it.
    fn object_class(&self, access: &Access) -> Option<ClassId> {
        if !matches!(access.place.root, PlaceRoot::Attr(..)) || access.place.path != Qual::ROOT {
            return None;
        }
        let facts = &self.module(access.module).facts;
        let Term::Attr(base, _) = facts.terms.get(self.unaliased(access.module, access.term)) else { return None };
        match self.kind(access.module, base) {
            Kind::Instance(class) => Some(class),
            _ => None,
        }
    }

    /// Whether a method runs on objects of a class: it is the one they have, or the one they have calls it.
    fn runs_on(&self, access: &Access, class: ClassId) -> bool {
        let declaration = self.function(access.function);
        let Some(owner) = self.class_of(access.function).filter(|_| access.receiver == Receiver::Own) else {
            return true;
        };
        let mro = &self.class(class).mro;
        let found = mro.iter().copied().find(|&ancestor| self.class(ancestor).methods.contains_key(&declaration.name));
        found.is_none_or(|found| found == owner)
            || self.callers(access.function).iter().any(|site| {
                let (module, local) = self.func_local(site.caller);
                let EventKind::Call(call) = self.module(module).facts.events[site.event.index()].kind else {
                    return true;
                };
                self.enclosing_class(module, local).is_some_and(|caller| mro.contains(&caller))
                    && self.names_method(module, call)
            })
    }
}

impl Program {
    /// Whether a thread gets to a step only by calling, on objects of one class, a method that an unrelated class has:
    /// `self.push()` in a client is not the `push` of a server, though both derive from one base.
    pub(super) fn is_of_unrelated(&self, access: &Access, thread: ThreadOf) -> bool {
        let (ThreadOf::Root(root), PlaceRoot::Attr(..)) = (thread, access.place.root) else { return false };
        if access.receiver != Receiver::Own {
            return false;
        }
        let mut classes: Vec<ClassId> = self.class_of(access.function).into_iter().collect();
        // From the step outwards, as long as one method calls another on the same object.
        for (module, site) in self.path_from_root(access.function, root).iter().rev() {
            let (_, local) = self.func_local(site.caller);
            let facts = &self.module(*module).facts;
            let is_through_self = site.receiver == Receiver::Own
                && match facts.events[site.event.index()].kind {
                    EventKind::Call(call) => {
                        matches!(self.kind(*module, facts.receiver_of(call)), Kind::Instance(_) | Kind::Super(_))
                    }
                    _ => false,
                };
            let Some(class) = self.enclosing_class(*module, local).filter(|_| is_through_self) else { break };
            if classes.iter().any(|&other| !self.have_common_objects(class, other)) {
                return true;
            }
            classes.push(class);
        }
        false
    }
}
