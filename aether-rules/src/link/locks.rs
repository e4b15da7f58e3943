//! Which locks are held where.
//!
//! A lock is known by the place of its object; a condition by the lock it wraps. What holds at an event is what
//! the enclosing `with` blocks take, what `acquire` took and `release` did not give back, and what every caller of a
//! private helper holds when it calls.
//!
//! *Invariant:* a [`LockSet`] is a *must* set: empty means "none proven", not "none held".

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::calls::Callee;
use super::kind::{FuncId, Kind, ModuleId};
use super::places::Place;
use super::program::Program;
use crate::facts::{
    ArgumentName, Arm, CallIx, Const, CtxIx, CtxKind, EventIx, EventKind, FuncIx, Qual, Sym, Term, TermId, Usage,
};
use crate::model::{LockKind, Role};
use crate::{qual, sym};

mod atomic;

/// A lock of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The place of the lock object.
    pub place: Place,
    /// Which lock.
    pub kind: LockKind,
}

/// A lock, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockId(pub(crate) u32);

/// The locks *proven* held on every path to a point.
///
/// The order is inverted: joining two paths keeps only what both hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockSet(SmallVec<[LockId; 2]>);

impl LockSet {
    /// Whether no lock is proven held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `lock` is proven held.
    pub fn holds(&self, lock: LockId) -> bool {
        self.0.binary_search(&lock).is_ok()
    }

    /// The locks, in order.
    pub fn iter(&self) -> impl Iterator<Item = LockId> + '_ {
        self.0.iter().copied()
    }

    /// Whether some lock is in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.iter().any(|lock| other.holds(lock))
    }

    fn add(&mut self, lock: LockId) {
        if let Err(at) = self.0.binary_search(&lock) {
            self.0.insert(at, lock);
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for lock in other.iter() {
            self.add(lock);
        }
    }

    fn keep(&mut self, other: &Self) {
        self.0.retain(|lock| other.holds(*lock));
    }
}

/// What is known of the program's locks.
#[derive(Debug, Default)]
pub(super) struct Locks {
    all: Vec<Lock>,
    ids: FxHashMap<Place, LockId>,
    /// By module, then context: what the enclosing `with` blocks hold, where that is anything.
    contexts: Vec<FxHashMap<CtxIx, LockSet>>,
    /// By module, then event: what `acquire` calls hold; only functions that make such calls are in it.
    acquired: Vec<FxHashMap<EventIx, LockSet>>,
    /// By function: what every caller holds, or a decorator takes.
    entry: Vec<LockSet>,
    /// By function: whether any lock may be held in it.
    holding: Vec<bool>,
    /// By function: whether it calls `acquire` or `release` itself.
    steps_itself: Vec<bool>,
}

/// What a call does to locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Acquire(LockId, CtxIx),
    Release(LockId, CtxIx),
}

/// Finds all locks and what is held where.
pub(super) fn compute(program: &mut Program) {
    enumerate(program);
    let snapshot: &Program = program;
    let computed: Vec<(FxHashMap<CtxIx, LockSet>, FxHashMap<EventIx, LockSet>)> = (0..snapshot.modules.len())
        .into_par_iter()
        .map(|index| {
            let module = ModuleId::at(index);
            (contexts(snapshot, module), acquired(snapshot, module))
        })
        .collect();
    (program.locks.contexts, program.locks.acquired) = computed.into_iter().unzip();
    program.locks.entry = vec![LockSet::default(); program.function_modules.len()];
    decorated(program);
    helpers(program);
    program.locks.holding = holding(program);
}

/// By function: whether any lock may be held in it.
#[expect(clippy::iter_over_hash_type, reason = "sets flags, in no order")]
fn holding(program: &Program) -> Vec<bool> {
    let mut holding: Vec<bool> = program.locks.entry.iter().map(|entry| !entry.is_empty()).collect();
    for (id, module) in program.modules() {
        let inside = program.locks.contexts[id.index()].keys().copied();
        let after = program.locks.acquired[id.index()].keys().map(|event| module.facts.events[event.index()].ctx);
        for ctx in inside.chain(after) {
            holding[program.func_id(id, module.facts.function_of_ctx(ctx)).index()] = true;
        }
    }
    holding
}

/// Numbers every place that holds a lock, in order of first mention.
fn enumerate(program: &mut Program) {
    let snapshot: &Program = program;
    let found: Vec<Vec<Lock>> = (0..snapshot.modules.len())
        .into_par_iter()
        .map(|index| {
            let module = ModuleId::at(index);
            let facts = &snapshot.modules[index].facts;
            let mut found = Vec::new();
            for (at, ctx) in facts.ctxs.iter().enumerate() {
                if let CtxKind::With(term, _) = ctx.kind {
                    let function = facts.function_of_ctx(CtxIx::at(at));
                    found.extend(snapshot.find_lock(module, function, term));
                }
            }
            for call in &facts.calls {
                if let Term::Attr(base, name) = facts.terms.get(call.callee)
                    && (name == sym!("acquire") || name == sym!("release") || name == sym!("enter_context"))
                {
                    let function = facts.function_of_ctx(call.ctx);
                    found.extend(snapshot.find_lock(module, function, base));
                }
            }
            for at in 0..facts.args.len() {
                let arg = &facts.args[at];
                if arg.name == ArgumentName::Positional && matches!(facts.terms.get(arg.value), Term::Attr(..)) {
                    let is_lock = matches!(snapshot.kind(module, arg.value).role(), Some(Role::Lock(_)));
                    if is_lock {
                        found.extend(snapshot.find_lock(module, FuncIx(0), arg.value));
                    }
                }
            }
            found
        })
        .collect();
    let mut declared = declared_locks(program);
    declared.extend(atomic::locks(program));
    declared.sort_by_key(|lock| lock.place);
    for lock in found.into_iter().flatten().chain(declared) {
        let next = LockId(program.locks.all.len() as u32);
        if let std::collections::hash_map::Entry::Vacant(entry) = program.locks.ids.entry(lock.place) {
            entry.insert(next);
            program.locks.all.push(lock);
        }
    }
    program.locks.steps_itself = vec![false; program.function_modules.len()];
    for index in 0..program.modules.len() {
        let module = ModuleId::at(index);
        let facts = &program.modules[index].facts;
        let steps = facts.calls.iter().filter(|call| match facts.terms.get(call.callee) {
            Term::Attr(_, name) => {
                [sym!("acquire"), sym!("release"), sym!("__enter__"), sym!("__exit__")].contains(&name)
            }
            _ => false,
        });
        let functions: Vec<FuncIx> = steps.map(|call| facts.function_of_ctx(call.ctx)).collect();
        for function in functions {
            let function = program.func_id(module, function);
            program.locks.steps_itself[function.index()] = true;
        }
    }
}

/// Every attribute and global that holds a lock, whether or not anybody here takes it.
#[expect(clippy::iter_over_hash_type, reason = "sorted by the caller")]
fn declared_locks(program: &Program) -> Vec<Lock> {
    use super::places::PlaceRoot;
    let mut found = Vec::new();
    let mut add = |root, kind: Kind| {
        if let Some(Role::Lock(kind)) = kind.role() {
            let place = program.wrapped_lock(Place { root, path: Qual::ROOT });
            found.push(Lock { place, kind });
        }
    };
    for index in 0..program.classes.len() {
        let class = super::kind::ClassId::at(index);
        for (&name, attr) in &program.classes[index].attrs {
            let owner = program.attr_owner(class, name);
            add(PlaceRoot::Attr(owner, name), attr.kind);
        }
    }
    for (module, _) in program.modules() {
        for (&name, &var) in &program.globals[module.index()] {
            add(PlaceRoot::Global(module, name), program.var_kinds[module.index()][var.index()]);
        }
    }
    found
}

/// What the `with` blocks around each context hold. A context comes after its parent, so one pass does.
fn contexts(program: &Program, module: ModuleId) -> FxHashMap<CtxIx, LockSet> {
    let facts = &program.modules[module.index()].facts;
    let mut held: FxHashMap<CtxIx, LockSet> = FxHashMap::default();
    for (index, ctx) in facts.ctxs.iter().enumerate() {
        let mut own = match ctx.kind {
            CtxKind::Body(_) => LockSet::default(),
            _ => held.get(&ctx.parent).cloned().unwrap_or_default(),
        };
        if let CtxKind::With(term, _) = ctx.kind {
            let function = facts.function_of_ctx(CtxIx::at(index));
            for lock in program.locks_entered(module, function, term, 0) {
                own.add(lock);
            }
        }
        if !own.is_empty() {
            held.insert(CtxIx::at(index), own);
        }
    }
    held
}

/// What `acquire` and `release` calls, and `ExitStack.enter_context`, leave held at each event.
fn acquired(program: &Program, module: ModuleId) -> FxHashMap<EventIx, LockSet> {
    let facts = &program.modules[module.index()].facts;
    let mut result = FxHashMap::default();
    for index in 0..facts.functions.len() {
        let function = FuncIx::at(index);
        let first = facts.functions[index].events.start;
        let mut steps: Vec<(usize, Step)> = Vec::new();
        let events = facts.events_of(function);
        for (position, event) in events.iter().enumerate() {
            if let EventKind::Call(call) = event.kind {
                steps.extend(program.steps(module, function, call).into_iter().map(|step| (position, step)));
            }
        }
        if steps.is_empty() {
            continue;
        }
        for (position, event) in events.iter().enumerate() {
            let mut held = LockSet::default();
            for &(at, step) in &steps {
                let Step::Acquire(lock, scope) = step else { continue };
                if at < position && facts.ctx_within(event.ctx, scope) && !given_back(facts, &steps, lock, at, position, event.ctx) {
                    held.add(lock);
                }
            }
            if !held.is_empty() {
                result.insert(EventIx(first + position as u32), held);
            }
        }
    }
    result
}

/// Whether a release between two events covers the later one: it stands on the way, not in a branch of its own.
fn given_back(
    facts: &crate::facts::ModuleFacts,
    steps: &[(usize, Step)],
    lock: LockId,
    from: usize,
    to: usize,
    ctx: CtxIx,
) -> bool {
    steps.iter().any(|&(at, step)| match step {
        Step::Release(released, scope) if released == lock && at > from && at < to => {
            let scope = match facts.ctxs[scope.index()].kind {
                CtxKind::Finally | CtxKind::Try => facts.ctxs[scope.index()].parent,
                _ => scope,
            };
            facts.ctx_within(ctx, scope)
        }
        _ => false,
    })
}

/// Decorators that take a lock around the function.
fn decorated(program: &mut Program) {
    for index in 0..program.function_modules.len() {
        let function = FuncId::at(index);
        if program.function(function).decorators.is_empty() {
            continue;
        }
        let unseen = atomic::taken(program, function).and_then(|place| program.lock_at(place));
        for lock in program.locks_of_decorators(function).into_iter().chain(unseen) {
            program.locks.entry[index].add(lock);
        }
    }
}

/// Pushes what every caller holds into private helpers, until nothing changes.
fn helpers(program: &mut Program) {
    const ROUNDS: usize = 6;
    let is_root: rustc_hash::FxHashSet<FuncId> = program.roots.iter().map(|root| root.function).collect();
    let escaping = program.escaping_functions();
    let candidates: Vec<FuncId> = (0..program.function_modules.len())
        .map(FuncId::at)
        .filter(|&function| {
            let (module, _) = program.func_local(function);
            let declaration = program.function(function);
            let name = program.modules[module.index()].facts.name(declaration.name);
            let is_private = name.starts_with('_') && !name.ends_with("__");
            let is_nested = declaration.class.is_none() && declaration.parent.is_some_and(|parent| parent != FuncIx(0));
            (is_private || is_nested)
                && !program.callers[function.index()].is_empty()
                && !is_root.contains(&function)
                && !escaping.contains(&function)
        })
        .collect();
    let mut pushed: FxHashMap<FuncId, Option<LockSet>> = candidates.iter().map(|&function| (function, None)).collect();
    for _ in 0..ROUNDS {
        let mut changed = false;
        for &function in &candidates {
            let mut held: Option<LockSet> = None;
            for site in program.callers(function) {
                let caller = program.function(site.caller);
                if caller.name == sym!("__init__") || site.caller == function {
                    continue; // Not shared yet; or the recursion decides nothing.
                }
                let (module, _) = program.func_local(site.caller);
                let mut at_site = program.held_locally(module, site.event, site.ctx);
                at_site.add_all(&program.locks.entry[site.caller.index()]);
                match pushed.get(&site.caller) {
                    Some(Some(entry)) => at_site.add_all(entry),
                    // Not known yet: optimistic, corrected in the next round.
                    Some(None) => continue,
                    None => {}
                }
                match &mut held {
                    Some(held) => held.keep(&at_site),
                    None => held = Some(at_site),
                }
            }
            if held.is_some() && pushed.get(&function) != Some(&held) {
                pushed.insert(function, held);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    for function in candidates {
        if let Some(Some(held)) = pushed.get(&function) {
            program.locks.entry[function.index()].add_all(held);
        }
    }
}

impl Program {
    /// A lock.
    pub fn lock(&self, id: LockId) -> Lock {
        self.locks.all[id.0 as usize]
    }

    /// How a reader would name a lock.
    pub fn lock_name(&self, id: LockId) -> String {
        self.place_name(self.lock(id).place)
    }

    /// The lock a place is, if it is one that something takes.
    pub fn lock_at(&self, place: Place) -> Option<LockId> {
        self.locks.ids.get(&place).copied()
    }

    /// The lock a term denotes.
    pub fn lock_of(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<LockId> {
        self.find_lock(module, function, term).and_then(|lock| self.lock_at(lock.place))
    }

    /// The locks proven held when an event happens.
    pub fn held(&self, module: ModuleId, function: FuncId, event: EventIx) -> LockSet {
        let ctx = self.modules[module.index()].facts.events[event.index()].ctx;
        let mut held = self.held_locally(module, event, ctx);
        held.add_all(&self.locks.entry[function.index()]);
        held
    }

    /// What the `with` blocks around a context hold.
    fn held_by_context(&self, module: ModuleId, ctx: CtxIx) -> LockSet {
        self.locks.contexts[module.index()].get(&ctx).cloned().unwrap_or_default()
    }

    /// Whether any lock may be held in a function: a quick answer before a thorough one.
    pub fn may_hold(&self, function: FuncId) -> bool {
        self.locks.holding[function.index()]
    }

    /// The locks every caller of a function holds.
    pub fn held_on_entry(&self, function: FuncId) -> &LockSet {
        &self.locks.entry[function.index()]
    }

    /// The locks taken by the function itself around an event.
    pub fn held_locally(&self, module: ModuleId, event: EventIx, ctx: CtxIx) -> LockSet {
        let mut held = self.held_by_context(module, ctx);
        if let Some(acquired) = self.locks.acquired[module.index()].get(&event) {
            held.add_all(acquired);
        }
        held
    }

    fn find_lock(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<Lock> {
        let facts = &self.modules[module.index()].facts;
        let kind = match self.kind(module, term).role() {
            Some(Role::Lock(kind)) => kind,
            Some(_) => return None,
            None if self.kind(module, term).is_known() && !matches!(self.kind(module, term), Kind::Lib(_) | Kind::None) => {
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
            Term::Attr(base, _) if !matches!(self.receiver(module, function, base), super::calls::Receiver::Own) => base,
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

    /// The locks held without interruption from one event to a later one of the same function.
    pub fn held_across(&self, module: ModuleId, function: FuncId, first: EventIx, last: EventIx) -> LockSet {
        let facts = &self.modules[module.index()].facts;
        let (from, to) = (facts.events[first.index()].ctx, facts.events[last.index()].ctx);
        let common = facts.ctx_chain(to).find(|(ctx, _)| facts.ctx_within(from, *ctx));
        let mut held = common.map(|(ctx, _)| self.held_by_context(module, ctx)).unwrap_or_default();
        let acquired = &self.locks.acquired[module.index()];
        if let Some(at_start) = acquired.get(&first) {
            let mut throughout = at_start.clone();
            for event in first.0..=last.0 {
                throughout.keep(acquired.get(&EventIx(event)).unwrap_or(&LockSet::default()));
            }
            held.add_all(&throughout);
        }
        held.add_all(&self.locks.entry[function.index()]);
        held
    }

    /// Where the `with` that holds a lock around an event stands.
    pub fn lock_taken_at(&self, module: ModuleId, ctx: CtxIx, lock: LockId) -> Option<crate::source::Span> {
        let facts = &self.modules[module.index()].facts;
        let mut taken = facts.ctx_chain(ctx).filter(|(at, ctx)| {
            self.held_by_context(module, *at).holds(lock) && !self.held_by_context(module, ctx.parent).holds(lock)
        });
        taken.next().map(|(_, ctx)| self.span(module, ctx.range))
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
    fn wrapped_lock(&self, place: Place) -> Place {
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
        use super::places::PlaceRoot;
        if place.path != Qual::ROOT {
            return Vec::new();
        }
        let of_var = |module: ModuleId, var: crate::facts::VarIx| {
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

    /// The locks that `with term` holds inside its block.
    pub(super) fn locks_entered(&self, module: ModuleId, function: FuncIx, term: TermId, depth: usize) -> Vec<LockId> {
        const MAX_DEPTH: usize = 3;
        if let Some(lock) = self.lock_of(module, function, term) {
            return vec![lock];
        }
        if depth > MAX_DEPTH {
            return Vec::new();
        }
        let facts = &self.modules[module.index()].facts;
        if let Term::Call(call) = facts.terms.get(term)
            && let Callee::Function(callee, _) = self.callee(module, call)
            && self.function(callee).flags.is_generator
        {
            // `@contextmanager`: what is held where it yields.
            return self.held_at(callee, depth, |kind| matches!(kind, EventKind::Yield(_)));
        }
        if let Kind::Instance(class) = self.kind(module, term)
            && let Kind::Method(enter) = self.member(Kind::Instance(class), sym!("__enter__"))
        {
            return self.left_held(enter, depth);
        }
        Vec::new()
    }

    /// The locks held at the first event of a kind in another function.
    fn held_at(&self, function: FuncId, depth: usize, wanted: impl Fn(EventKind) -> bool) -> Vec<LockId> {
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let events = facts.events_of(local);
        let Some(at) = events.iter().position(|event| wanted(event.kind)) else { return Vec::new() };
        let mut found = Vec::new();
        for (_, ctx) in facts.ctx_chain(events[at].ctx) {
            if let CtxKind::With(term, _) = ctx.kind {
                found.extend(self.locks_entered(module, local, term, depth + 1));
            }
        }
        let steps = events[..at].iter().filter_map(|event| match event.kind {
            EventKind::Call(call) => self.step(module, local, call),
            _ => None,
        });
        for step in steps {
            match step {
                Step::Acquire(lock, _) => found.push(lock),
                Step::Release(lock, _) => found.retain(|&held| held != lock),
            }
        }
        found
    }

    /// The locks a function has taken and not given back when it ends.
    fn left_held(&self, function: FuncId, depth: usize) -> Vec<LockId> {
        const MAX_DEPTH: usize = 3;
        if depth > MAX_DEPTH || !self.locks.steps_itself[function.index()] {
            return Vec::new();
        }
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let mut found = Vec::new();
        for event in facts.events_of(local) {
            let EventKind::Call(call) = event.kind else { continue };
            match self.step(module, local, call) {
                Some(Step::Acquire(lock, _)) => found.push(lock),
                Some(Step::Release(lock, _)) => found.retain(|&held| held != lock),
                None => {
                    // `self._lock.__enter__()` spelt out, or a helper that acquires.
                    if let Callee::Function(callee, _) = self.callee(module, call)
                        && callee != function
                    {
                        found.extend(self.left_held(callee, depth + 1));
                    }
                }
            }
        }
        found
    }

    /// The locks a function has given back without having taken them.
    fn given_up(&self, function: FuncId) -> Vec<LockId> {
        if !self.locks.steps_itself[function.index()] {
            return Vec::new();
        }
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let mut taken = Vec::new();
        let mut given = Vec::new();
        for event in facts.events_of(local) {
            let EventKind::Call(call) = event.kind else { continue };
            match self.step(module, local, call) {
                Some(Step::Acquire(lock, _)) => taken.push(lock),
                Some(Step::Release(lock, _)) if !taken.contains(&lock) => given.push(lock),
                _ => {}
            }
        }
        given
    }

    /// What one call does to locks, through helpers too.
    fn steps(&self, module: ModuleId, function: FuncIx, call: CallIx) -> Vec<Step> {
        if let Some(step) = self.step(module, function, call) {
            return vec![step];
        }
        let Callee::Function(callee, _) = self.callee(module, call) else { return Vec::new() };
        let ctx = self.modules[module.index()].facts.calls[call.index()].ctx;
        let taken = self.left_held(callee, 1).into_iter().map(|lock| Step::Acquire(lock, ctx));
        let given = self.given_up(callee).into_iter().map(|lock| Step::Release(lock, ctx));
        taken.chain(given).collect()
    }

    fn step(&self, module: ModuleId, function: FuncIx, call: CallIx) -> Option<Step> {
        const ACQUIRE: Sym = sym!("acquire");
        const ENTER: Sym = sym!("__enter__");
        const RELEASE: Sym = sym!("release");
        const EXIT: Sym = sym!("__exit__");
        const ENTER_CONTEXT: Sym = sym!("enter_context");
        let facts = &self.modules[module.index()].facts;
        let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
        let ctx = facts.calls[call.index()].ctx;
        match name {
            ACQUIRE | ENTER => {
                let lock = self.lock_of(module, function, base)?;
                let scope = self.scope_of_acquire(module, call, ctx)?;
                Some(Step::Acquire(lock, scope))
            }
            RELEASE | EXIT => Some(Step::Release(self.lock_of(module, function, base)?, ctx)),
            ENTER_CONTEXT => {
                let lock = self.lock_of(module, function, facts.positional(call, 0)?.value)?;
                // Held until the stack unwinds: the block of the `with` that entered it, if it is one.
                Some(Step::Acquire(lock, ctx))
            }
            _ => None,
        }
    }

    /// Where the lock is held after an `acquire`: from there on, or only where its result was tested.
    fn scope_of_acquire(&self, module: ModuleId, call: CallIx, ctx: CtxIx) -> Option<CtxIx> {
        let facts = &self.modules[module.index()].facts;
        if facts.calls[call.index()].usage == Usage::Discarded || !self.may_fail(module, call) {
            return Some(ctx);
        }
        let tested = |test: TermId| -> Option<Arm> {
            match facts.terms.get(test) {
                Term::Call(tested) if tested == call => Some(Arm::Then),
                Term::Not(inner) => match facts.terms.get(inner) {
                    Term::Call(tested) if tested == call => Some(Arm::Else),
                    Term::Name(_) => self.holds_result(module, inner, call).then_some(Arm::Else),
                    _ => None,
                },
                Term::Name(_) => self.holds_result(module, test, call).then_some(Arm::Then),
                _ => None,
            }
        };
        let contexts = facts.ctxs.iter().enumerate().skip(ctx.index());
        let mut arms = contexts.filter_map(|(at, ctx)| match ctx.kind {
            CtxKind::Branch(test, arm) if tested(test) == Some(arm) => Some(CtxIx::at(at)),
            _ => None,
        });
        arms.next()
    }

    fn holds_result(&self, module: ModuleId, name: TermId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Some(var) = facts.var_of(name) else { return false };
        facts.vars[var.index()].values.iter().any(|&value| facts.terms.get(value) == Term::Call(call))
    }

    /// Whether an `acquire` may return without the lock: non-blocking, or with a timeout.
    pub fn may_fail(&self, module: ModuleId, call: CallIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        facts.args_of(call).iter().enumerate().any(|(position, arg)| match (arg.name, facts.terms.get(arg.value)) {
            (ArgumentName::Starred | ArgumentName::DoubleStarred, _) => true,
            // No limit: `None` for a semaphore, -1 for a lock.
            (_, Term::Const(Const::True | Const::None)) => false,
            (_, Term::Operation(one, TermId::OPAQUE)) if facts.terms.get(one) == Term::Const(Const::Int(1)) => false,
            (ArgumentName::Positional, Term::Const(Const::Int(flag))) if position == 0 => flag == 0,
            _ => true,
        })
    }

    /// The locks that a function's decorators take around it.
    pub(super) fn locks_of_decorators(&self, function: FuncId) -> Vec<LockId> {
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let mut found = Vec::new();
        for &decorator in &facts.functions[local.index()].decorators {
            let callee = match facts.terms.get(decorator) {
                Term::Call(call) => facts.calls[call.index()].callee,
                _ => decorator,
            };
            if let Term::Call(call) = facts.terms.get(decorator) {
                for arg in facts.args_of(call) {
                    found.extend(self.lock_of(module, local, arg.value));
                }
            }
            if let Kind::Function(decorator) = self.kind(module, callee) {
                found.extend(self.locks_around_call(decorator, function));
            }
        }
        found
    }

    /// The locks a decorator's wrapper holds around the call of the function it wraps.
    fn locks_around_call(&self, decorator: FuncId, decorated: FuncId) -> Vec<LockId> {
        let (module, local) = self.func_local(decorator);
        let facts = &self.modules[module.index()].facts;
        let mut found = Vec::new();
        for (index, wrapper) in facts.functions.iter().enumerate() {
            if wrapper.parent != Some(local) {
                continue;
            }
            let wrapper_ix = FuncIx::at(index);
            let calls = facts.events_of(wrapper_ix).iter().filter_map(|event| match event.kind {
                EventKind::Call(call) => Some((call, event.ctx)),
                _ => None,
            });
            for (call, ctx) in calls {
                if !self.is_parameter_of(module, facts.calls[call.index()].callee, local) {
                    continue;
                }
                for (_, ctx) in facts.ctx_chain(ctx) {
                    let CtxKind::With(term, _) = ctx.kind else { continue };
                    found.extend(self.lock_of(module, wrapper_ix, term).filter(|&lock| {
                        !matches!(self.lock(lock).place.root, super::places::PlaceRoot::Cell(..))
                    }));
                    if let Term::Attr(_, name) = facts.terms.get(term)
                        && let Some(class) = self.class_of(decorated)
                    {
                        let owner = self.attr_owner(class, name);
                        let place = Place { root: super::places::PlaceRoot::Attr(owner, name), path: Qual::ROOT };
                        found.extend(self.lock_at(self.wrapped_lock(place)));
                    }
                }
            }
        }
        found
    }

    fn is_parameter_of(&self, module: ModuleId, callee: TermId, function: FuncIx) -> bool {
        let facts = &self.modules[module.index()].facts;
        let Some(var) = facts.var_of(callee) else { return false };
        let mut values = facts.vars[var.index()].values.iter();
        values.any(|&value| matches!(facts.terms.get(value), Term::Param(of, _) if of == function))
    }

    /// Functions used as values: somebody unknown may call them, with no lock held.
    fn escaping_functions(&self) -> rustc_hash::FxHashSet<FuncId> {
        let escaping: Vec<Vec<FuncId>> = (0..self.modules.len())
            .into_par_iter()
            .map(|index| {
                let module = ModuleId::at(index);
                let facts = &self.modules[index].facts;
                let args = facts.args.iter().map(|arg| arg.value);
                let stored = facts.events.iter().filter_map(|event| match event.kind {
                    EventKind::Store(_, value) | EventKind::Return(value) => Some(value),
                    _ => None,
                });
                let functions = args.chain(stored).filter_map(|term| match facts.terms.get(term) {
                    Term::Name(_) | Term::Attr(..) | Term::Function(_) => match self.kind(module, term) {
                        Kind::Function(function) | Kind::Method(function) => Some(function),
                        _ => None,
                    },
                    _ => None,
                });
                functions.collect()
            })
            .collect();
        escaping.into_iter().flatten().collect()
    }
}
