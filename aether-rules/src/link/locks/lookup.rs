//! Which lock an expression denotes.
//!
//! *Invariant:* a name is trusted to be a lock's only where nothing else is known of it, and then only silences.

use super::{Lock, LockId};
use crate::facts::{CallIx, EventKind, FuncIx, Qual, Term, TermId, VarIx};
use crate::link::calls::{Callee, Receiver};
use crate::link::kind::{Kind, ModuleId};
use crate::link::places::{Place, PlaceRoot};
use crate::link::program::Program;
use crate::model::{LockKind, Role};
use crate::{qual, sym};

impl Program {
    /// The lock a term denotes.
    pub fn lock_of(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<LockId> {
        self.find_lock(module, function, term).and_then(|lock| self.lock_at(lock.place))
    }

    pub(super) fn find_lock(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<Lock> {
        let facts = &self.modules[module.index()].facts;
        let kind = match self.kind(module, term).role() {
            Some(Role::Lock(kind)) => kind,
            Some(_) => return None,
            None if self.kind(module, term).is_known()
                && !matches!(self.kind(module, term), Kind::Lib(_) | Kind::None) =>
            {
                return None;
            }
            // Handed in from elsewhere: its name is the only hint, and it only ever silences.
            None if self.named_like_a_lock(module, term) || self.is_guard_call(module, term) => LockKind::Unknown,
            None => return None,
        };
        if let Term::Call(call) = facts.terms.get(term) {
            return self.returned_lock(module, call, kind).or_else(|| self.lock_like_call(module, function, call));
        }
        let (place, _) = self.place(module, function, term)?;
        Some(Lock { place: self.wrapped_lock(place), kind })
    }

    fn named_like_a_lock(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        let name = match facts.terms.get(term) {
            Term::Attr(_, name) => name,
            Term::Item(base, _) => return self.named_like_a_lock(module, base),
            Term::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
                Term::Attr(_, name) => name,
                Term::Name(_) => return self.named_like_a_lock(module, facts.calls[call.index()].callee),
                _ => return false,
            },
            Term::Name(_) => match facts.var_of(term) {
                Some(var) => facts.vars[var.index()].name,
                None => return false,
            },
            _ => return false,
        };
        let name = facts.name(name).to_ascii_lowercase();
        ["lock", "mutex", "cond", "sem", "guard"].iter().any(|hint| name.contains(hint))
    }

    /// `with self._guard.write():` a context manager of an object that has a lock inside is a lock of its own making.
    fn is_guard_call(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Term::Call(call) = facts.terms.get(term) else { return false };
        let Term::Attr(base, _) = facts.terms.get(facts.calls[call.index()].callee) else { return false };
        match self.kind(module, base) {
            Kind::Instance(class) => {
                let mro = self.classes[class.index()].mro.iter();
                let mut attrs = mro.flat_map(|ancestor| self.classes[ancestor.index()].attrs.values());
                attrs.any(|attr| matches!(attr.kind.role(), Some(Role::Lock(_))))
            }
            kind => !kind.is_known() && self.named_like_a_lock(module, base),
        }
    }

    /// The object such a call is made on stands for the lock.
    fn lock_like_call(&self, module: ModuleId, function: FuncIx, call: CallIx) -> Option<Lock> {
        let facts = &self.modules[module.index()].facts;
        let callee = facts.calls[call.index()].callee;
        let of = match facts.terms.get(callee) {
            // On `self` the method is the guard; on another object the object is.
            Term::Attr(base, _) if !matches!(self.receiver(module, function, base), Receiver::Own) => base,
            _ => return None,
        };
        let (place, _) = self.place(module, function, of)?;
        Some(Lock { place, kind: LockKind::Unknown })
    }

    /// Whether a thread that holds a lock may take it again.
    pub fn is_reentrant(&self, lock: LockId) -> bool {
        let mut lock = self.lock(lock);
        if let Some(Role::Lock(kind)) = self.place_kind(lock.place).role() {
            // What the place holds, not the condition that was made over it.
            lock.kind = kind;
        }
        match lock.kind {
            LockKind::RLock | LockKind::Unknown => true,
            LockKind::Lock | LockKind::Semaphore => false,
            // A condition makes an `RLock` unless it is given something else.
            LockKind::Condition => self.stored_values(lock.place).into_iter().all(|(module, value, _)| {
                let facts = &self.modules[module.index()].facts;
                let Term::Call(call) = facts.terms.get(value) else { return true };
                let given = facts.arg(call, 0, sym!("lock")).map(|arg| self.kind(module, arg.value));
                given != Some(Kind::Object(qual!("threading.Lock")))
            }),
        }
    }

    /// `with self._lock_for(key):` the lock a function returns.
    fn returned_lock(&self, module: ModuleId, call: CallIx, kind: LockKind) -> Option<Lock> {
        let Callee::Function(function, _) = self.callee_now(module, call) else { return None };
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let returned = facts.events_of(local).iter().find_map(|event| match event.kind {
            EventKind::Return(value) if !value.is_opaque() => Some(value),
            _ => None,
        })?;
        let (place, _) = self.place(module, local, returned)?;
        Some(Lock { place: self.wrapped_lock(place), kind })
    }

    /// The callee of a call, also before all calls are resolved.
    fn callee_now(&self, module: ModuleId, call: CallIx) -> Callee {
        self.callees.get(module.index()).and_then(|calls| calls.get(call.index())).copied().unwrap_or_default()
    }

    /// The lock under a condition: `Condition(self._lock)` is `self._lock`.
    pub(super) fn wrapped_lock(&self, place: Place) -> Place {
        if self.place_kind(place) != Kind::Object(qual!("threading.Condition")) {
            return place;
        }
        for (module, value, function) in self.stored_values(place) {
            let facts = &self.modules[module.index()].facts;
            if let Term::Call(call) = facts.terms.get(value)
                && let Some(arg) = facts.arg(call, 0, sym!("lock"))
                && let Some((inner, _)) = self.place(module, function, arg.value)
            {
                return inner;
            }
        }
        place
    }

    /// What is assigned to a place, where, as far as it is known by name.
    pub fn stored_values(&self, place: Place) -> Vec<(ModuleId, TermId, FuncIx)> {
        if place.path != Qual::ROOT {
            return Vec::new();
        }
        let of_var = |module: ModuleId, var: VarIx| {
            let values = self.modules[module.index()].facts.vars[var.index()].values.iter();
            values.map(|&value| (module, value, FuncIx(0))).collect::<Vec<_>>()
        };
        match place.root {
            PlaceRoot::Global(module, name) => {
                self.globals[module.index()].get(&name).map(|&var| of_var(module, var)).unwrap_or_default()
            }
            PlaceRoot::Cell(module, var) => of_var(module, var),
            PlaceRoot::ClassAttr(class, name) | PlaceRoot::Attr(class, name) => {
                let Some(attr) = self.classes[class.index()].attrs.get(&name) else { return Vec::new() };
                let (module, _) = self.class_local(class);
                let stores = attr.stores.iter().map(|&(function, value)| (module, value, self.func_local(function).1));
                let class_var = attr.class_var.into_iter().flat_map(|var| of_var(module, var));
                stores.chain(class_var).collect()
            }
        }
    }
}
