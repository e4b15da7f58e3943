//! What one event loop runs: coroutines, callbacks of the loop, and what only they call.
//!
//! All of it is one thread, even where the analysis cannot say which. A loop made by hand counts as well: a class whose
//! thread runs the loop and which has a way in for other threads (`call_soon_threadsafe`) keeps its other methods to
//! itself.
//!
//! *Invariant:* a function that a known thread other than a loop's runs is not the loop's.

use rustc_hash::FxHashSet;

use super::access::Access;
use super::calls::CallSite;
use super::kind::{ClassId, FuncId, ModuleId};
use super::program::Program;
use super::roots::RootId;
use crate::facts::{Arm, Comparison, CtxIx, CtxKind, FuncIx, NameTarget, Term};
use crate::model::RunsOn;
use crate::sym;

/// How many calls are followed upwards.
const MAX_DEPTH: usize = 3;
/// How many functions are looked at, at most, on the way up to a program's main part.
const MAX_SEEN: usize = 512;

impl Program {
    /// Whether two accesses, one of a thread and one of the main thread, are steps of one event loop as far as anybody
    /// can see: both in coroutines, and nothing shows that the main thread runs a loop of its own.
    pub(super) fn are_of_one_loop(&self, main: &Access, other: &Access) -> bool {
        self.is_in_coroutine(other.function, 0)
            && self.is_in_coroutine(main.function, 0)
            && !self.is_run_by_a_program(main.function)
    }

    /// Whether a program's main part runs a function: `if __name__ == "__main__": asyncio.run(main())`. What a module
    /// does while it is imported comes before anybody starts a thread.
    pub(crate) fn is_run_by_a_program(&self, function: FuncId) -> bool {
        self.is_reached_by(function, &|site| {
            let (module, local) = self.func_local(site.caller);
            local == FuncIx(0) && self.is_programs(module, site.ctx)
        })
    }

    /// Whether some call of one sort leads to a function, directly or not, as far as calls are resolved.
    pub(crate) fn is_reached_by(&self, function: FuncId, is_sort: &dyn Fn(&CallSite) -> bool) -> bool {
        let mut seen: FxHashSet<FuncId> = [function].into_iter().collect();
        let mut pending = vec![function];
        while let Some(at) = pending.pop() {
            for site in self.callers(at) {
                if is_sort(site) {
                    return true;
                }
                if seen.len() < MAX_SEEN && seen.insert(site.caller) {
                    pending.push(site.caller);
                }
            }
        }
        false
    }

    /// Whether a step of a module's body is only taken when the module is run as a program.
    fn is_programs(&self, module: ModuleId, ctx: CtxIx) -> bool {
        let facts = &self.module(module).facts;
        let is_name = |term| {
            let Term::Name(name) = facts.terms.get(term) else { return false };
            facts.name_targets[name.index()] == NameTarget::Free(sym!("__name__"))
        };
        self.module(module).path.ends_with("__main__.py")
            || facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
                CtxKind::Branch(test, Arm::Then) => {
                    matches!(facts.terms.get(test), Term::Compare(Comparison::Eq, a, b) if is_name(a) || is_name(b))
                }
                _ => false,
            })
    }

    /// Whether a function is a coroutine, or is called by coroutines alone.
    fn is_in_coroutine(&self, function: FuncId, depth: usize) -> bool {
        self.function(function).flags.is_async
            || self.all_call_it(function, depth, &|caller| self.is_in_coroutine(caller, depth + 1))
    }

    /// Whether only an event loop is known to run a function, be it as a coroutine or as a callback.
    pub(super) fn is_loops_own(&self, function: FuncId) -> bool {
        self.thread_visits(function).next().is_none() && self.is_on_loop(function, 0)
    }

    fn is_on_loop(&self, function: FuncId, depth: usize) -> bool {
        let is_callback = || {
            let mut visits = self.visits(function).iter();
            visits.any(|visit| visit.through.is_none() && self.root(visit.root).runs_on == RunsOn::Loop)
        };
        self.function(function).flags.is_async
            || (self.callers(function).is_empty() && is_callback())
            || self.all_call_it(function, depth, &|caller| self.is_on_loop(caller, depth + 1))
    }

    /// Whether a function has callers, and all of them are of one sort; what happens before anything is shared aside.
    fn all_call_it(&self, function: FuncId, depth: usize, is_sort: &dyn Fn(FuncId) -> bool) -> bool {
        if depth >= MAX_DEPTH || self.escapes(function) {
            return false;
        }
        let sites = self.callers(function).iter();
        let mut callers = sites.map(|site| site.caller).filter(|&caller| caller != function && !self.is_setup(caller));
        callers.next().is_some_and(|first| is_sort(first) && callers.all(is_sort))
    }

    /// Whether a method belongs to the thread of a loop made by hand: its class has a door for other threads, and this is
    /// not it.
    pub(super) fn is_of_handmade_loop(&self, function: FuncId, root: RootId) -> bool {
        let Some(class) = self.class_of(function) else { return false };
        let own = self.class_of(self.root(root).function);
        own.is_some_and(|own| self.class(own).mro.contains(&class) || self.class(class).mro.contains(&own))
            && self.has_thread_door(class)
            && !self.is_thread_door(function)
    }

    /// Whether a class says of one of its methods that other threads may call it.
    fn has_thread_door(&self, class: ClassId) -> bool {
        let classes = self.class(class).mro.iter();
        let mut methods = classes.flat_map(|base| self.class(*base).methods.values());
        methods.any(|&method| self.is_thread_door(method))
    }

    fn is_thread_door(&self, function: FuncId) -> bool {
        let (module, _) = self.func_local(function);
        let name = self.module(module).facts.name(self.function(function).name);
        name.contains("threadsafe") || name.contains("thread_safe")
    }
}
