//! How far a lock with a purpose speaks: for what is seen under it, not for all that stands beside that.
//!
//! *Invariant:* only ever narrows a promise; a lock that is just the object's lock, and a word of the documentation, speak
//! for the whole object.

use super::Promise;
use crate::link::access::Access;
use crate::link::calls::Receiver;
use crate::link::kind::ClassId;
use crate::link::places::{Place, PlaceRoot};
use crate::link::program::Program;
use crate::model::Role;

/// Whether the name of a thread-local says no more than that it is one.
fn is_just_a_local(name: &str) -> bool {
    let name = name.trim_matches('_').to_ascii_lowercase().replace('_', "");
    ["local", "locals", "tls", "threadlocal", "threadlocals", "threaddata", "threadstate"].contains(&name.as_str())
}

impl Program {
    /// Whether a promise is about the place of an access itself: a lock of the object is held at one of the accesses to
    /// it, or taken by the very function; or the promise is made for the object as a whole.
    pub fn is_promised_itself(&self, access: &Access, promise: Promise) -> bool {
        let (PlaceRoot::Attr(class, _), Promise::OwnsLock(_) | Promise::OwnsThreadLocal(_)) =
            (access.place.root, promise)
        else {
            return true;
        };
        self.speaks_for_whole(class)
            || self.accesses(access.place).iter().any(|other| !self.held_at_access(other).is_empty())
            || self.acquisitions().any(|taken| taken.function == access.function)
    }

    /// Whether a lock or a thread-local of a class is called no more than that.
    fn speaks_for_whole(&self, class: ClassId) -> bool {
        self.class(class).mro.iter().any(|&ancestor| {
            let (module, _) = self.class_local(ancestor);
            let facts = &self.modules[module.index()].facts;
            self.class(ancestor).attrs.iter().any(|(&name, attr)| {
                let is_plain = match self.role(attr.kind) {
                    Some(Role::Lock(_)) => super::is_just_a_lock(facts.name(name)),
                    Some(Role::ThreadLocal) => is_just_a_local(facts.name(name)),
                    _ => false,
                };
                is_plain && !super::is_made_in_body(self, ancestor, name)
            })
        })
    }

    /// Whether a class has to do with an attribute of its objects. What only others put there is theirs to keep.
    pub(in crate::link) fn is_own_attribute(&self, class: ClassId, place: Place) -> bool {
        let PlaceRoot::Attr(_, name) = place.root else { return true };
        let info = self.class(class);
        let of_class = |function| {
            self.class_of(function)
                .is_some_and(|owner| info.mro.contains(&owner) || self.class(owner).mro.contains(&class))
        };
        let is_stored = info.attrs.get(&name).is_some_and(|attr| {
            attr.class_var.is_some() || attr.stores.iter().any(|&(function, _)| of_class(function))
        });
        is_stored
            || self.accesses(place).iter().any(|access| access.receiver == Receiver::Own || of_class(access.function))
    }
}
