//! Cycles in the order in which locks are taken.
//!
//! *Invariant:* every edge of a [`LockCycle`] has a witness, and no lock outside the cycle is held by all of them: such
//! a gate lets only one thread into the cycle at a time.

use std::collections::{BTreeMap, VecDeque};

use super::holding::Owner;
use super::locks::LockId;
use super::nesting::Nested;
use super::places::PlaceRoot;
use super::program::Program;
use crate::facts::Qual;
use crate::model::{LockKind, Role};
use crate::sym;

/// How many witnesses are kept for one order of two locks.
const MAX_WITNESSES: usize = 6;

/// How long a cycle may be.
const MAX_LENGTH: usize = 5;

/// Locks that wait for each other: each edge holds one and takes the next.
#[derive(Clone, Debug)]
pub struct LockCycle {
    /// The edges in order, the first one in reading order in front.
    pub edges: Vec<Nested>,
}

type Graph<'a> = BTreeMap<LockId, BTreeMap<LockId, Vec<&'a Nested>>>;

/// Finds the shortest cycle through every edge.
pub(super) fn find(program: &Program, nested: &[Vec<Nested>]) -> Vec<LockCycle> {
    let mut graph = Graph::new();
    for one in nested.iter().flatten() {
        if is_edge(program, one) {
            let witnesses = graph.entry(one.held.lock).or_default().entry(one.taken.lock).or_default();
            witnesses.push(one);
        }
    }
    for witnesses in graph.values_mut().flat_map(BTreeMap::values_mut) {
        witnesses.sort_by_key(|one| (is_vague(one), one.taken.calls, one.span.order()));
        witnesses.truncate(MAX_WITNESSES);
    }
    let mut paths: Vec<Vec<LockId>> = Vec::new();
    for (&from, targets) in &graph {
        for &to in targets.keys() {
            paths.extend(shortest_cycle(&graph, from, to));
        }
    }
    paths.sort_by_key(|path| (path.len(), path.clone()));
    paths.dedup();
    let mut used: Vec<(LockId, LockId)> = Vec::new();
    let mut cycles = Vec::new();
    for path in paths {
        let steps: Vec<(LockId, LockId)> =
            path.iter().enumerate().map(|(at, &lock)| (lock, path[(at + 1) % path.len()])).collect();
        if steps.iter().any(|step| used.contains(step)) {
            continue;
        }
        if let Some(cycle) = witnessed(&graph, &steps) {
            used.extend(steps);
            cycles.push(cycle);
        }
    }
    cycles.sort_by_key(|cycle| cycle.edges[0].span.order());
    cycles
}

/// Whether one lock under another says anything about order.
fn is_edge(program: &Program, one: &Nested) -> bool {
    let (outer, inner) = (one.held.lock, one.taken.lock);
    if outer == inner || one.all_held.holds(inner) || !excludes(program, outer) || !excludes(program, inner) {
        return false;
    }
    let is_attr = |lock: LockId| matches!(program.lock(lock).place.root, PlaceRoot::Attr(..));
    let name = program.function(one.function).name;
    let in_constructor = name == sym!("__init__") || name == sym!("__new__");
    if in_constructor
        && ((is_attr(outer) && one.held.owner == Owner::Own) || (is_attr(inner) && one.taken.owner == Owner::Own))
    {
        return false; // Nobody else knows the object yet.
    }
    // Every known caller holds the inner lock already: taking it again waits for nobody.
    let mut sites = program.callers(one.function).iter().peekable();
    let reentered = sites.peek().is_some()
        && sites.all(|site| {
            let (module, _) = program.func_local(site.caller);
            program.held(module, site.caller, site.event).holds(inner)
        });
    !reentered
}

/// Whether it is known to be one lock that one thread holds at a time.
fn excludes(program: &Program, lock: LockId) -> bool {
    let place = program.lock(lock).place;
    let Some(Role::Lock(kind)) = program.place_kind(place).role() else { return false };
    place.path == Qual::ROOT && matches!(kind, LockKind::Lock | LockKind::RLock | LockKind::Condition)
}

fn is_vague(one: &Nested) -> bool {
    one.held.owner == Owner::Unknown || one.taken.owner == Owner::Unknown
}

/// The shortest way from the end of an edge back to its start, as a cycle that begins with its smallest lock.
fn shortest_cycle(graph: &Graph<'_>, from: LockId, to: LockId) -> Option<Vec<LockId>> {
    let mut pending = VecDeque::from([vec![to]]);
    let mut seen = vec![to];
    while let Some(path) = pending.pop_front() {
        let &last = path.last()?;
        if last == from {
            let smallest = path.iter().enumerate().min_by_key(|(_, lock)| **lock).map_or(0, |(at, _)| at);
            let mut cycle = path;
            cycle.rotate_left(smallest);
            return Some(cycle);
        }
        if path.len() >= MAX_LENGTH {
            continue;
        }
        for &next in graph.get(&last).into_iter().flat_map(BTreeMap::keys) {
            if !seen.contains(&next) {
                seen.push(next);
                let mut longer = path.clone();
                longer.push(next);
                pending.push_back(longer);
            }
        }
    }
    None
}

/// One witness per step, such that no other lock is held by all of them.
fn witnessed(graph: &Graph<'_>, steps: &[(LockId, LockId)]) -> Option<LockCycle> {
    let witnesses: Vec<&[&Nested]> = steps.iter().map(|(from, to)| graph[from][to].as_slice()).collect();
    let locks: Vec<LockId> = steps.iter().map(|step| step.0).collect();
    let gates = |one: &Nested| one.all_held.iter().filter(|lock| !locks.contains(lock)).collect::<Vec<_>>();
    let mut choices: Vec<(Vec<&Nested>, Option<Vec<LockId>>)> = vec![(Vec::new(), None)];
    for step in witnesses {
        let mut longer = Vec::new();
        for (chosen, common) in &choices {
            for &one in step {
                let own = gates(one);
                let common = match common {
                    Some(common) => common.iter().copied().filter(|lock| own.contains(lock)).collect(),
                    None => own,
                };
                let mut chosen = chosen.clone();
                chosen.push(one);
                longer.push((chosen, Some(common)));
            }
        }
        longer.truncate(MAX_WITNESSES * MAX_WITNESSES);
        choices = longer;
    }
    let (chosen, _) = choices.into_iter().find(|(_, common)| common.as_ref().is_none_or(Vec::is_empty))?;
    let first = chosen.iter().enumerate().min_by_key(|(_, one)| one.span.order()).map_or(0, |(at, _)| at);
    let mut edges: Vec<Nested> = chosen.into_iter().cloned().collect();
    edges.rotate_left(first);
    Some(LockCycle { edges })
}

impl LockCycle {
    /// Whether it is not known that all edges mean the same objects.
    pub fn is_vague(&self) -> bool {
        self.edges.iter().any(is_vague)
    }
}
