//! By which door a user's thread comes to a step that a known thread takes too.
//!
//! A door is a public function which the thread does not run itself. Behind it the calls are followed as they are
//! resolved; what an object does while it is made, stopped or started is no meeting, and neither is a second way to
//! drive the same loop.
//!
//! *Invariant:* without a door, or a call by the starter once the thread runs, "main" is not one of two threads.

use super::access::Access;
use super::calls::{CallSite, Receiver};
use super::kind::{ClassId, FuncId, ModuleId};
use super::places::{Place, PlaceRoot};
use super::program::Program;
use super::reach::is_entry;
use super::roots::RootId;
use super::sharing::{Step, ThreadOf};
use crate::facts::{Arm, Comparison, CtxIx, CtxKind, EventIx, FuncIx, Term};

/// How many functions are looked at, at most, on the way up; what is further away counts as reachable.
const MAX_SEEN: usize = 64;

/// The search for a door.
struct Search<'a> {
    program: &'a Program,
    root: RootId,
    /// The class of the object that is shared.
    class: ClassId,
    /// From which step on the starter's calls happen beside the thread.
    started: Option<(FuncId, EventIx)>,
    seen: Vec<FuncId>,
    /// The classes whose objects have the shared one as a part.
    holders: Vec<ClassId>,
}

impl Program {
    /// Whether two threads plausibly take two steps beside each other.
    pub(super) fn come_together(&self, a: Step<'_>, b: Step<'_>) -> bool {
        let comes = |(access, thread): Step<'_>, other: Step<'_>| match (thread, other.1) {
            (ThreadOf::Main, ThreadOf::Root(root)) => {
                self.is_users_side(access, root) && !self.are_of_one_loop(access, other.0)
            }
            _ => true,
        };
        let is_for_one = |(access, thread): Step<'_>| match thread {
            ThreadOf::Main => self.is_one_threads(access.module, access.ctx),
            ThreadOf::Root(root) => self.is_for_one_thread(access, root),
        };
        let is_elsewhere = || {
            self.are_siblings(a, b)
                || self.is_of_unrelated(a.0, a.1)
                || self.is_of_unrelated(b.0, b.1)
                || self.is_staged(a.1, b.1)
                || self.comes_by_start_up(a)
                || self.comes_by_start_up(b)
        };
        comes(a, b) && comes(b, a) && !(is_for_one(a) && is_for_one(b)) && !is_elsewhere()
    }

    /// Whether two threads each work on an object of their own class, with an attribute that both have from one base.
    fn are_siblings(&self, a: Step<'_>, b: Step<'_>) -> bool {
        let (ThreadOf::Root(x), ThreadOf::Root(y), PlaceRoot::Attr(class, _)) = (a.1, b.1, a.0.place.root) else {
            return false;
        };
        let own = |root: RootId| {
            let own = self.class_of_self(self.root(root).function);
            own.filter(|&own| self.class(own).mro.contains(&class))
        };
        let through_self = |access: &Access| access.receiver == Receiver::Own;
        matches!((own(x), own(y)), (Some(x), Some(y)) if !self.have_common_objects(x, y))
            && through_self(a.0)
            && through_self(b.0)
    }

    /// The class whose `self` a function works on, a nested one that of the method around it.
    fn class_of_self(&self, function: FuncId) -> Option<ClassId> {
        let (module, local) = self.func_local(function);
        self.enclosing_class(module, local)
    }

    /// Whether a user's thread meets the thread of a root on an object: the object is meant for several threads, or it
    /// starts the thread itself, which leaves its other methods to its user; and there is a door to this step.
    fn is_users_side(&self, access: &Access, root: RootId) -> bool {
        if access.function == self.root(root).function {
            return self.calls_own_root(root);
        }
        if self.only_decorates(access.function) {
            return false;
        }
        let is_meant = self.promise_of(access.place).is_some()
            || self.is_near(access.place, root)
            || self.is_run_by_a_program(access.function)
            || self.is_run_beside(access.function, root);
        let PlaceRoot::Attr(class, _) = access.place.root else { return is_meant };
        if !is_meant || self.is_while_stopped(access) || self.is_before_own_start(access) || self.is_after_join(access)
        {
            return false;
        }
        let started = self.lifetime(root).map(|lifetime| (lifetime.by, lifetime.from));
        Search { program: self, root, class, started, seen: Vec::new(), holders: Vec::new() }.leads_to(access.function)
    }

    /// Whether a place and the thread of a root belong together: the place's class runs or starts the thread, or its
    /// module does.
    fn is_near(&self, place: Place, root: RootId) -> bool {
        let known = self.root(root);
        let mut functions = [Some(known.function), known.started.map(|started| started.by)].into_iter().flatten();
        match place.root {
            PlaceRoot::Attr(class, _) | PlaceRoot::ClassAttr(class, _) => {
                functions.any(|function| self.is_of_family(function, class))
            }
            PlaceRoot::Global(module, _) | PlaceRoot::Cell(module, _) => {
                functions.any(|function| self.func_local(function).0 == module)
            }
        }
    }

    /// Whether the starter of a thread takes a function's steps, itself or by a call, once the thread runs.
    fn is_run_beside(&self, function: FuncId, root: RootId) -> bool {
        let Some(lifetime) = self.lifetime(root) else { return false };
        function == lifetime.by
            || self.is_reached_by(function, &|site| site.caller == lifetime.by && site.event > lifetime.from)
    }

    /// Whether a function's methods work on objects of a class, or of one related to it.
    fn is_of_family(&self, function: FuncId, class: ClassId) -> bool {
        let (module, local) = self.func_local(function);
        let other = self.enclosing_class(module, local);
        other.is_some_and(|other| self.are_related(other, class))
    }

    fn are_related(&self, a: ClassId, b: ClassId) -> bool {
        self.class(a).mro.contains(&b) || self.class(b).mro.contains(&a)
    }

    /// Whether the starter of a thread also runs the thread's function itself, once the thread is on its way.
    fn calls_own_root(&self, root: RootId) -> bool {
        let function = self.root(root).function;
        let Some(lifetime) = self.lifetime(root) else { return true };
        self.callers(function).iter().any(|site| site.caller == lifetime.by && site.event > lifetime.from)
    }

    /// Whether a root only gets to a step where it has found out that it is one certain thread, which may be another:
    /// `if threading.current_thread() is self.reader: …`.
    fn is_for_one_thread(&self, access: &Access, root: RootId) -> bool {
        self.is_one_threads(access.module, access.ctx)
            || self
                .path_from_root(access.function, root)
                .into_iter()
                .any(|(module, site)| self.is_one_threads(module, site.ctx))
    }

    /// Whether a step is only taken by one certain thread.
    fn is_one_threads(&self, module: ModuleId, ctx: CtxIx) -> bool {
        let facts = &self.module(module).facts;
        facts.ctx_chain(ctx).any(|(_, ctx)| {
            let CtxKind::Branch(test, arm) = ctx.kind else { return false };
            let Term::Compare(comparison, a, b) = facts.terms.get(test) else { return false };
            let wanted = match comparison {
                Comparison::Is | Comparison::Eq => Arm::Then,
                Comparison::IsNot | Comparison::NotEq => Arm::Else,
                _ => return false,
            };
            arm == wanted && (self.asks_who_runs(module, a) || self.asks_who_runs(module, b))
        })
    }

    /// Whether an object hands out a method for others to call when something happens: `link.register(self.on_connect)`.
    fn is_callback(&self, function: FuncId) -> bool {
        let (module, _) = self.func_local(function);
        let name = self.module(module).facts.name(self.function(function).name);
        let says = name.starts_with("on_") || ["_callback", "_cb", "_handler"].iter().any(|end| name.ends_with(end));
        says && self.escapes(function)
    }

    /// Whether an access prepares a thread that the same function starts afterwards.
    fn is_before_own_start(&self, access: &Access) -> bool {
        let of_own = matches!(access.receiver, Receiver::Own | Receiver::OfOwn);
        of_own && self.starts_of(access.function).any(|start| access.event <= start)
    }
}

impl Search<'_> {
    fn leads_to(&mut self, function: FuncId) -> bool {
        if self.seen.contains(&function) {
            return false;
        }
        self.seen.push(function);
        if function == self.program.root(self.root).function {
            return self.program.calls_own_root(self.root);
        }
        let is_starter = self.started.is_some_and(|(by, _)| by == function);
        if is_starter || self.seen.len() > MAX_SEEN || self.is_door(function) {
            return true;
        }
        let program = self.program;
        let is_loops = program.is_of_handmade_loop(function, self.root);
        program.callers(function).iter().filter(|site| !is_loops || site.receiver == Receiver::Own).any(|site| {
            let is_started = self.started.is_some_and(|(by, from)| site.caller == by && site.event > from);
            is_started || (self.passes(function, site) && self.leads_from(function, site))
        })
    }

    fn leads_from(&mut self, callee: FuncId, site: &CallSite) -> bool {
        let (module, local) = self.program.func_local(site.caller);
        if site.receiver == Receiver::OfOwn && self.program.is_of_family(callee, self.class) {
            self.holders.extend(self.program.enclosing_class(module, local));
        }
        self.leads_to(site.caller)
    }

    /// Whether users come in here: by a module's body, or by a public function that the thread does not run.
    fn is_door(&self, function: FuncId) -> bool {
        let program = self.program;
        let (module, local) = program.func_local(function);
        if local == FuncIx(0) {
            return true;
        }
        let is_inside = self.is_visited(function)
            || program.is_setup(function)
            || program.is_callback(function)
            || program.is_of_handmade_loop(function, self.root);
        if is_inside || !is_entry(program, function) {
            return false;
        }
        let Some(class) = program.enclosing_class(module, local) else { return true };
        if self.is_only_prepared(function, class) || self.is_part(function) {
            return false;
        }
        let root = program.root(self.root);
        if self.is_of_sibling(class) {
            return false;
        }
        program.are_related(class, self.class)
            || self.holders.iter().any(|&holder| program.are_related(class, holder))
            || program.class_promise(class).is_some()
            || program.is_of_family(root.function, class)
            || root.started.is_some_and(|started| program.is_of_family(started.by, class))
    }

    /// Whether a class and the thread's own have the shared attribute from one base, and no objects in common.
    fn is_of_sibling(&self, class: ClassId) -> bool {
        let own = self.program.class_of_self(self.program.root(self.root).function);
        own.is_some_and(|own| {
            self.program.class(class).mro.contains(&self.class)
                && self.program.class(own).mro.contains(&self.class)
                && !self.program.have_common_objects(class, own)
        })
    }

    /// Whether a method of a thread is one that only its constructor calls.
    fn is_only_prepared(&self, function: FuncId, class: ClassId) -> bool {
        let sites = self.program.callers(function);
        self.program.is_thread_class(class)
            && !sites.is_empty()
            && sites.iter().all(|site| self.program.is_setup(site.caller) || self.is_visited(site.caller))
            && sites.iter().any(|site| self.program.is_setup(site.caller))
    }

    /// Whether a method belongs to a part of some other object: everybody who calls it has the object as an attribute,
    /// and users come through those.
    fn is_part(&self, function: FuncId) -> bool {
        let sites = self.program.callers(function);
        !sites.is_empty() && sites.iter().all(|site| site.receiver == Receiver::OfOwn)
    }

    /// Whether the thread runs a function, and on the object that is shared.
    fn is_visited(&self, function: FuncId) -> bool {
        self.program.visits(function).iter().any(|visit| visit.root == self.root && visit.shares_self)
    }

    /// Whether a user who got to the caller gets on to the callee, beside the thread.
    fn passes(&self, callee: FuncId, site: &CallSite) -> bool {
        let program = self.program;
        let (module, _) = program.func_local(site.caller);
        !(site.receiver == Receiver::Fresh
            || program.is_setup(site.caller)
            || self.started.is_some_and(|(by, from)| site.caller == by && site.event <= from)
            || program.is_one_threads(module, site.ctx)
            || self.is_other_loop(callee, site, module))
    }

    /// Whether a call in a loop drives what the thread drives in its own: the way to run the object without the thread.
    fn is_other_loop(&self, callee: FuncId, site: &CallSite, module: ModuleId) -> bool {
        let program = self.program;
        site.receiver == Receiver::Own
            && !program.is_private(callee)
            && program.in_loop(module, site.ctx)
            && self.is_visited(callee)
            && program.path_from_root(callee, self.root).iter().any(|(module, site)| program.in_loop(*module, site.ctx))
    }
}
