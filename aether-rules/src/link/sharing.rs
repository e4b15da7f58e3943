//! What is shared between threads, and how we know.
//!
//! *Invariant:* a [`Conflict`] names two accesses on two threads, at least one a write, with no lock in common and no
//! known order between them.

use super::access::{Access, AccessKind, Touch};
use super::calls::Receiver;
use super::kind::{FuncId, ModuleId};
use super::locks::LockSet;
use super::offload::Handed;
use super::places::{Place, PlaceRoot};
use super::program::Program;
use super::promise::Promise;
use super::roots::RootId;
use crate::model::RunsOn;
use crate::rule::Confidence;

/// Which thread runs an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThreadOf {
    /// The main thread, or whichever thread a user calls from.
    Main,
    /// The thread of a root.
    Root(RootId),
}

/// An access, and the thread that runs it.
pub(super) type Step<'a> = (&'a Access, ThreadOf);

/// Two accesses that may happen at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Conflict<'a> {
    /// The access asked about.
    pub access: &'a Access,
    /// The thread that runs it.
    pub thread: ThreadOf,
    /// The access on the other thread; the same one when a root overlaps itself.
    pub other: &'a Access,
    /// The thread that runs the other.
    pub other_thread: ThreadOf,
}

/// How a place is shared.
#[derive(Clone, Copy, Debug)]
pub enum Sharing<'a> {
    /// Two known threads meet.
    Proven(Conflict<'a>),
    /// Its owner promises thread safety.
    Promised(Promise),
    /// Nothing says so.
    Possible,
}

impl Sharing<'_> {
    /// How sure that makes a finding.
    pub fn confidence(&self) -> Confidence {
        match self {
            Self::Proven(_) => Confidence::High,
            Self::Promised(_) => Confidence::Medium,
            Self::Possible => Confidence::Low,
        }
    }
}

impl Program {
    /// The threads on which an access may happen to an object that others see too.
    pub fn threads_of(&self, access: &Access) -> Vec<ThreadOf> {
        self.threads_with(access, |function| self.on_main(function))
    }

    /// The same, given who is on the main thread.
    fn threads_with(&self, access: &Access, on_main: impl Fn(FuncId) -> bool) -> Vec<ThreadOf> {
        let mut threads = Vec::new();
        let seen_by_others = |shares_self: bool| match access.receiver {
            Receiver::Global => true,
            Receiver::Own | Receiver::OfOwn => shares_self || matches!(access.place.root, PlaceRoot::Cell(..)),
            Receiver::Fresh | Receiver::Unknown => false,
        };
        for visit in self.thread_visits(access.function) {
            let is_lent =
                self.root(visit.root).handed == Handed::Lent && matches!(access.place.root, PlaceRoot::Cell(..));
            if !is_lent
                && seen_by_others(visit.shares_self)
                && self.sees_cell(access.place, self.root(visit.root).function)
            {
                threads.push(ThreadOf::Root(visit.root));
            }
        }
        let on_main = match self.cell_owner(access.place) {
            // A variable of a function: its own body runs on the starter's thread, whichever that is.
            Some((module, owner)) => access.function == self.func_id(module, owner),
            None => on_main(access.function) && seen_by_others(true),
        };
        if on_main {
            threads.push(ThreadOf::Main);
        }
        threads
    }

    /// Whether a root's function shares a closure cell with the function that made it.
    fn sees_cell(&self, place: Place, function: FuncId) -> bool {
        let Some((module, owner)) = self.cell_owner(place) else { return true };
        let PlaceRoot::Cell(_, var) = place.root else { return true };
        if self.receives(function, module, var) {
            return true;
        }
        let owner = self.func_id(module, owner);
        let mut at = Some(function);
        while let Some(function) = at {
            if function == owner {
                return true;
            }
            let (module, _) = self.func_local(function);
            at = self.function(function).parent.map(|parent| self.func_id(module, parent));
        }
        false
    }

    /// Whether the starter of a root's function hands it a variable.
    fn receives(&self, function: FuncId, module: ModuleId, var: crate::facts::VarIx) -> bool {
        let positions = 0..self.function(function).params.len() as u16;
        let mut args = positions.filter_map(|position| self.passed.to_roots.get(&(function, position)));
        args.any(|arg| arg.module == module && self.modules[module.index()].facts.var_of(arg.term) == Some(var))
    }

    /// An access on another thread that may happen at the same time as this one, at least one of the two a write.
    pub fn conflict<'a>(&'a self, access: &'a Access, matters: impl Fn(&Access) -> bool) -> Option<Conflict<'a>> {
        self.conflict_holding(access, &self.held_at_access(access), matters)
    }

    /// The same, for something that spans several steps and holds only `held` all the way.
    pub fn conflict_holding<'a>(
        &'a self,
        access: &'a Access,
        held: &LockSet,
        matters: impl Fn(&Access) -> bool,
    ) -> Option<Conflict<'a>> {
        self.conflict_with(access, held, |other| matters(other) && !self.is_restart(access, other))
    }

    /// The same, where a store that only starts afresh matters as much as any other.
    pub(super) fn conflict_with<'a>(
        &'a self,
        access: &'a Access,
        held: &LockSet,
        matters: impl Fn(&Access) -> bool,
    ) -> Option<Conflict<'a>> {
        let credible = |a: (&Access, ThreadOf), b: (&Access, ThreadOf)| {
            !self.are_probably_apart((access, held), b.0) && self.come_together(a, b)
        };
        self.meeting((access, held), &matters, &|access| self.threads_of(access), &credible)
    }

    /// An access on another thread, given which threads run what.
    fn meeting<'a>(
        &'a self,
        (access, held): (&'a Access, &LockSet),
        matters: &dyn Fn(&Access) -> bool,
        threads_of: &dyn Fn(&Access) -> Vec<ThreadOf>,
        credible: &dyn Fn(Step<'_>, Step<'_>) -> bool,
    ) -> Option<Conflict<'a>> {
        let threads = threads_of(access);
        if threads.is_empty() {
            return None;
        }
        // Another access is better evidence than the same one on a second thread, and a write better than a read.
        let mut candidates: Vec<&Access> = self.accesses(access.place).iter().collect();
        candidates.sort_by_key(|other| {
            (std::ptr::eq(*other, access), other.function == access.function, !other.kind.writes())
        });
        for other in candidates {
            if !(other.kind.writes() || access.kind.writes()) || !matters(other) {
                continue;
            }
            if self.held_at_access(other).meets(held) {
                continue;
            }
            if self.is_after_closing(access, other)
                || self.is_after_closing(other, access)
                || !self.may_be_one_object(access, other)
            {
                continue;
            }
            for &other_thread in &threads_of(other) {
                for &thread in &threads {
                    let (one, two) = ((access, thread), (other, other_thread));
                    let is_own = self.on_own_objects(one, two)
                        || self.in_own_slots(one, two)
                        || self.in_own_calls(one, two)
                        || self.on_own_starters(one, two)
                        || self.in_own_parts(one, two);
                    if is_own || self.ordered(one, two) {
                        continue;
                    }
                    if credible(one, two) {
                        return Some(Conflict { access, thread, other, other_thread });
                    }
                }
            }
        }
        None
    }

    /// Whether two threads that each have an object of their own touch an attribute of it.
    fn on_own_objects(&self, a: (&Access, ThreadOf), b: (&Access, ThreadOf)) -> bool {
        let through_self = |access: &Access| matches!(access.receiver, Receiver::Own | Receiver::OfOwn);
        let own = |thread| matches!(thread, ThreadOf::Root(root) if self.root(root).own_self);
        let of_thread = |thread| match (thread, a.0.place.root) {
            (ThreadOf::Root(root), PlaceRoot::Attr(class, _)) => {
                let root = self.class_of(self.root(root).function);
                root.is_some_and(|root| self.class(root).mro.contains(&class) || self.class(class).mro.contains(&root))
            }
            _ => false,
        };
        of_thread(a.1) && of_thread(b.1) && own(a.1) && own(b.1) && through_self(a.0) && through_self(b.0)
    }

    /// How an access is shared; `None` when it is known not to be.
    ///
    /// Where known threads reach the place, they decide: a single writer, or a join in between, is an answer. Only a
    /// place no known thread reaches is judged by what its owner promises.
    pub fn sharing<'a>(&'a self, access: &'a Access, matters: impl Fn(&Access) -> bool) -> Option<Sharing<'a>> {
        let held = self.held_at_access(access);
        if let Some(conflict) = self.conflict_holding(access, &held, &matters) {
            return Some(Sharing::Proven(conflict));
        }
        if self.is_decided_by_threads(access.place) {
            // A user who calls what nobody here calls may still bring a second thread.
            let threads_of = |access: &Access| self.threads_with(access, |function| self.may_be_on_main(function));
            return self.meeting((access, &held), &matters, &threads_of, &|_, _| true).map(|_| Sharing::Possible);
        }
        let on_loop = self.is_loops_own(access.function);
        match self.promise_of(access.place) {
            Some(promise)
                if !on_loop
                    && !self.is_handed_out(access.function)
                    && !self.runs_at_import(access.function)
                    && !self.is_named_by_one_thread(access.function)
                    && !self.is_for_own_thread(access.place, promise)
                    && !self.is_in_quiet_phase(access, &held, &matters)
                    && !self.is_probably_guarded(access, &held, &matters)
                    && matches!(access.receiver, Receiver::Own | Receiver::OfOwn | Receiver::Global) =>
            {
                Some(Sharing::Promised(promise))
            }
            _ => Some(Sharing::Possible),
        }
    }

    /// Whether a lock is explained by a thread that the object starts itself: it says nothing of what that thread
    /// leaves alone.
    fn is_for_own_thread(&self, place: Place, promise: Promise) -> bool {
        let (PlaceRoot::Attr(class, _), Promise::OwnsLock(_)) = (place.root, promise) else { return false };
        self.roots().any(|(_, root)| {
            let starts = root.started.is_some_and(|started| self.class_of(started.by) == Some(class));
            starts && root.runs_on == RunsOn::Thread && self.class_of(root.function) == Some(class)
        })
    }

    /// Whether known threads reach a place other than by working on behalf of a coroutine that waits for them.
    fn is_decided_by_threads(&self, place: Place) -> bool {
        self.accesses(place).iter().any(|access| {
            let mut visits = self.thread_visits(access.function);
            visits.any(|visit| self.root(visit.root).handed == Handed::Over)
        })
    }

    /// Why an access is taken to be meant for several threads, if it is: its owner's promise, unless the other accesses
    /// that matter are known to belong to another phase of the object's life.
    pub fn promise_at(&self, access: &Access, matters: impl Fn(&Access) -> bool) -> Option<Promise> {
        let promise = self.promise_of(access.place).filter(|_| !self.runs_at_import(access.function))?;
        // A plain store that no other thread comes beside, where threads are known: their answer holds.
        let is_plain = matches!(access.kind, AccessKind::Write(Touch::Whole, _));
        if is_plain && self.is_decided_by_threads(access.place) {
            return None;
        }
        let held = self.held_at_access(access);
        let is_apart =
            self.is_in_quiet_phase(access, &held, &matters) || self.is_probably_guarded(access, &held, &matters);
        (!is_apart).then_some(promise)
    }

    /// How a reader would name a thread.
    pub fn thread_name(&self, thread: ThreadOf) -> String {
        match thread {
            ThreadOf::Main => "main thread".to_owned(),
            ThreadOf::Root(root) => self.root_name(root),
        }
    }
}
