//! Which functions run on which threads.
//!
//! A visit says: this root reaches this function, and the function's `self` is (or is not) an object that others
//! know too. An object made on the way is fresh, and so is everything its methods touch through `self`.
//!
//! *Invariant:* a function keeps at most [`MAX_VISITS`] visits, the ones of the first roots in order: enough to tell
//! "one thread" from "several", and a bound on the work.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::calls::{CallSite, Receiver};
use super::kind::{FuncId, ModuleId};
use super::program::Program;
use super::roots::{Root, RootId};
use super::rows::Rows;
use crate::facts::{Event, EventKind, FuncIx, Term, Usage};

/// How many roots are remembered per function.
const MAX_VISITS: usize = 6;

/// One root reaches one function.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The root.
    pub root: RootId,
    /// Whether the function's `self` is known to other threads.
    pub shares_self: bool,
    /// The call it came through; `None` for the root's own function.
    pub through: Option<CallSite>,
}

/// Which functions run on which threads.
#[derive(Debug, Default)]
pub(super) struct Reach {
    visits: Vec<SmallVec<[Visit; 1]>>,
    main: Vec<bool>,
    maybe_main: Vec<bool>,
}

/// Spreads every root over the call graph.
pub(super) fn propagate(program: &mut Program) {
    let count = program.function_modules.len();
    let functions = (0..count).map(FuncId::at);
    let runs: Vec<(FuncId, CallSite)> = functions
        .flat_map(|callee| program.callers(callee).iter().map(move |site| (callee, *site)))
        .filter(|(callee, site)| !makes_coroutine_only(program, *callee, site))
        .collect();
    let callees = Rows::new(count, runs.iter().map(|&(callee, site)| (site.caller.index(), (callee, site))));
    let mut reach =
        Reach { visits: vec![SmallVec::new(); count], main: vec![false; count], maybe_main: vec![false; count] };
    let mut is_root = vec![false; count];
    for (id, root) in program.roots() {
        is_root[root.function.index()] |= root.runs_on.is_thread();
        spread(program, &mut reach, &callees, root.function, id);
    }
    main_thread(program, &mut reach, &callees, &is_root);
    program.reach = reach;
}

/// Whether a call of a coroutine function does not run it: it is thrown away, or given back to whoever awaits it.
fn makes_coroutine_only(program: &Program, callee: FuncId, site: &CallSite) -> bool {
    if !program.function(callee).flags.is_async || program.function(site.caller).flags.is_async {
        return false;
    }
    let (module, local) = program.func_local(site.caller);
    let facts = &program.module(module).facts;
    let EventKind::Call(call) = facts.events[site.event.index()].kind else { return false };
    let gives_back = |event: &Event| match event.kind {
        EventKind::Return(value) => facts.terms.get(value) == Term::Call(call),
        _ => false,
    };
    facts.calls[call.index()].usage == Usage::Discarded || facts.events_of(local).iter().any(gives_back)
}

fn spread(program: &Program, reach: &mut Reach, callees: &Rows<(FuncId, CallSite)>, start: FuncId, root: RootId) {
    let Root { shares_self, runs_on, .. } = *program.root(root);
    let mut pending = vec![(start, Visit { root, shares_self, through: None })];
    let mut next = Vec::new();
    // By function: the calls that no way of entering it so far allows.
    let mut left_out: FxHashMap<FuncId, Vec<usize>> = FxHashMap::default();
    while !pending.is_empty() {
        for (function, visit) in pending.drain(..) {
            let known = &mut reach.visits[function.index()];
            let seen = known.iter().any(|seen| seen.root == root && (seen.shares_self || !visit.shares_self));
            let edges = callees.get(function.index());
            let open = if !seen && known.len() < MAX_VISITS {
                known.push(visit);
                (0..edges.len()).collect()
            } else {
                left_out.remove(&function).unwrap_or_default()
            };
            for at in open {
                let (callee, site) = &edges[at];
                if program.is_left_to_a_loop(*callee, site, runs_on) {
                    continue;
                }
                if visit.through.is_some_and(|entered| !program.can_reach(function, site.ctx, &entered)) {
                    left_out.entry(function).or_default().push(at);
                    continue;
                }
                let shares_self = match site.receiver {
                    Receiver::Own | Receiver::OfOwn => visit.shares_self,
                    Receiver::Global => true,
                    Receiver::Fresh | Receiver::Unknown => false,
                };
                next.push((*callee, Visit { root, shares_self, through: Some(*site) }));
            }
        }
        std::mem::swap(&mut pending, &mut next);
    }
}

/// The main thread runs module bodies, what is public and nobody in the program calls, and what these call.
///
/// A public function whose known callers all run on other threads is theirs: that a user could call it, too, is only
/// remembered as a possibility.
fn main_thread(program: &Program, reach: &mut Reach, callees: &Rows<(FuncId, CallSite)>, is_root: &[bool]) {
    let ids = (0..program.function_modules.len()).map(FuncId::at);
    let entries: Vec<FuncId> = ids.filter(|&id| !is_root[id.index()] && is_entry(program, id)).collect();
    let called = |id: FuncId| program.callers(id).iter().any(|site| site.caller != id);
    let uncalled = entries.iter().copied().filter(|&id| !called(id));
    run_on(&mut reach.main, callees, uncalled.collect());
    // Whose callers are themselves of unknown origin: as good as uncalled.
    let is_free = |reach: &Reach, id: FuncId| {
        let mut visits = reach.visits[id.index()].iter();
        !visits.any(|visit| program.root(visit.root).runs_on.is_thread())
    };
    let unclaimed = entries.iter().copied().filter(|&id| is_free(reach, id)).collect();
    run_on(&mut reach.main, callees, unclaimed);
    run_on(&mut reach.maybe_main, callees, entries);
    // A body that starts a thread goes on beside it; any other is over before there are threads.
    let is_body = |function: FuncId| program.func_local(function).1 == FuncIx(0);
    let started = program.roots.iter().filter_map(|root| root.started).map(|started| started.by);
    for body in started.filter(|by| is_body(*by)) {
        reach.main[body.index()] = true;
    }
}

/// Marks functions, and whatever they call.
fn run_on(marked: &mut [bool], callees: &Rows<(FuncId, CallSite)>, mut pending: Vec<FuncId>) {
    while let Some(function) = pending.pop() {
        if std::mem::replace(&mut marked[function.index()], true) {
            continue;
        }
        pending.extend(callees.get(function.index()).iter().map(|(callee, _)| *callee));
    }
}

/// Whether users may call a function: it is public, and at the top of its module or class.
pub(super) fn is_entry(program: &Program, function: FuncId) -> bool {
    let (module, local) = program.func_local(function);
    if local == FuncIx(0) {
        return true;
    }
    let facts = &program.modules[module.index()].facts;
    let declaration = &facts.functions[local.index()];
    let name = facts.name(declaration.name);
    let top_level = declaration.parent == Some(FuncIx(0));
    let is_dunder = name.starts_with("__") && name.ends_with("__") && name != "__del__";
    top_level && !declaration.flags.is_lambda && (!name.starts_with('_') || is_dunder)
}

impl Program {
    /// The roots that reach a function.
    pub fn visits(&self, function: FuncId) -> &[Visit] {
        &self.reach.visits[function.index()]
    }

    /// Whether the main thread, or a user's, may run a function.
    pub fn on_main(&self, function: FuncId) -> bool {
        self.reach.main[function.index()]
    }

    /// Whether a user might run a function on the main thread because its name is public.
    pub(super) fn may_be_on_main(&self, function: FuncId) -> bool {
        self.reach.maybe_main[function.index()]
    }

    /// The roots that reach a function and run on a thread other than the main one.
    pub fn thread_visits(&self, function: FuncId) -> impl Iterator<Item = &Visit> {
        self.visits(function).iter().filter(|visit| self.root(visit.root).runs_on.is_thread())
    }

    /// The calls from a root's own function down to `function`, outermost first.
    pub fn path_from_root(&self, function: FuncId, root: RootId) -> Vec<(ModuleId, CallSite)> {
        const MAX_PATH: usize = 12;
        let mut path = Vec::new();
        let mut at = function;
        while path.len() < MAX_PATH {
            let Some(visit) = self.visits(at).iter().find(|visit| visit.root == root) else { break };
            let Some(site) = visit.through else { break };
            path.push((self.func_local(site.caller).0, site));
            at = site.caller;
        }
        path.reverse();
        path
    }
}
