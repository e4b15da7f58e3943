//! What is shared between threads, and how we know.
//!
//! *Invariant:* a [`Conflict`] names two accesses on two threads, at least one a write, with no lock in common and no
//! known order between them.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::access::Access;
use super::calls::Receiver;
use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::locks::LockId;
use super::places::{Place, PlaceRoot};
use super::program::Program;
use super::roots::RootId;
use crate::facts::{Container, FuncIx, Qual, Sym, Term, TermId, ThreadSafety};
use crate::model::Role;
use crate::rule::Confidence;
use crate::source::Span;
use crate::{qual, sym};

/// Which thread runs an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThreadOf {
    /// The main thread, or whichever thread a user calls from.
    Main,
    /// The thread of a root.
    Root(RootId),
}

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

/// Why a class or module is taken to promise thread safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It owns a lock.
    OwnsLock(Span),
    /// It owns a thread-local.
    OwnsThreadLocal(Span),
    /// It owns an executor.
    OwnsExecutor(Span),
    /// Its documentation says so.
    Documented(Span),
}

impl Promise {
    /// Where the promise is seen.
    pub fn span(self) -> Span {
        match self {
            Self::OwnsLock(span) | Self::OwnsThreadLocal(span) | Self::OwnsExecutor(span) | Self::Documented(span) => span,
        }
    }

    /// What is seen there.
    pub fn text(self) -> &'static str {
        match self {
            Self::OwnsLock(_) => "owns a lock: it is meant to be used from several threads",
            Self::OwnsThreadLocal(_) => "owns a thread-local: it is meant to be used from several threads",
            Self::OwnsExecutor(_) => "owns an executor: its functions run on several threads",
            Self::Documented(_) => "is documented as thread-safe",
        }
    }
}

/// Who promises what.
#[derive(Debug, Default)]
pub(super) struct Promises {
    classes: Vec<Option<Promise>>,
    modules: Vec<Option<Promise>>,
    guards: FxHashMap<Place, Guard>,
}

/// A lock declared to guard a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The lock, if it was found.
    pub lock: Option<LockId>,
    /// The lock's own name.
    pub name: Sym,
    /// The declaration.
    pub span: Span,
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

/// Finds every promise and declared guard.
pub(super) fn promise(program: &mut Program) {
    let snapshot: &Program = program;
    let own: Vec<Option<Promise>> = (0..snapshot.class_modules.len())
        .into_par_iter()
        .map(|index| class_promise(snapshot, ClassId::at(index)))
        .collect();
    let inherited = snapshot.classes.iter().map(|info| documented(snapshot, &info.mro).unwrap_or_else(|| info.mro.iter().find_map(|class| own[class.index()]))).collect();
    let modules = (0..snapshot.modules.len())
        .into_par_iter()
        .map(|index| module_promise(snapshot, ModuleId::at(index)))
        .collect();
    let mut guards = FxHashMap::default();
    for index in 0..snapshot.modules.len() {
        declared(snapshot, ModuleId::at(index), &mut guards);
    }
    program.promises = Promises { classes: inherited, modules, guards };
}

/// What the documentation of a class, of its bases or of their modules says; `None` when it is silent. What is written
/// down outweighs what a lock seems to promise.
fn documented(program: &Program, mro: &[ClassId]) -> Option<Option<Promise>> {
    mro.iter().find_map(|&class| {
        let (module, local) = program.class_local(class);
        let facts = &program.modules[module.index()].facts;
        let declaration = &facts.classes[local.index()];
        match (declaration.thread_safety, facts.thread_safety) {
            (ThreadSafety::Promised, _) => Some(Some(Promise::Documented(program.span(module, declaration.name_range)))),
            (ThreadSafety::Denied, _) | (ThreadSafety::Unsaid, ThreadSafety::Denied) => Some(None),
            (ThreadSafety::Unsaid, _) => None,
        }
    })
}

#[expect(clippy::iter_over_hash_type, reason = "the minimum over all attributes, whatever their order")]
fn class_promise(program: &Program, class: ClassId) -> Option<Promise> {
    let (module, local) = program.class_local(class);
    let facts = &program.modules[module.index()].facts;
    let declaration = &facts.classes[local.index()];
    // A class of coroutines lives on its loop's thread; the lock it owns guards one corner of it.
    let methods = &declaration.methods;
    let coroutines = methods.iter().filter(|method| facts.functions[method.index()].flags.is_async).count();
    if coroutines * 4 > methods.len() {
        return None;
    }
    let mut found: Option<Promise> = None;
    for (&name, attr) in &program.class(class).attrs {
        let role = program.role(attr.kind);
        let Some(span) = attribute_span(program, class, name) else { continue };
        let promise = match role {
            Some(Role::Lock(_)) => Promise::OwnsLock(span),
            Some(Role::ThreadLocal) => Promise::OwnsThreadLocal(span),
            _ => continue,
        };
        if found.is_none_or(|found| rank(promise) < rank(found)) {
            found = Some(promise);
        }
    }
    found
}

fn rank(promise: Promise) -> (u8, ruff_text_size::TextSize) {
    let kind = match promise {
        Promise::OwnsLock(_) => 0,
        Promise::OwnsThreadLocal(_) => 1,
        Promise::OwnsExecutor(_) => 2,
        Promise::Documented(_) => 3,
    };
    (kind, promise.span().range.start())
}

/// Where an attribute is first assigned.
fn attribute_span(program: &Program, class: ClassId, name: Sym) -> Option<Span> {
    let attr = program.class(class).attrs.get(&name)?;
    let (module, _) = program.class_local(class);
    let facts = &program.modules[module.index()].facts;
    if let Some(var) = attr.class_var {
        return Some(program.span(module, facts.vars[var.index()].range));
    }
    let &(function, value) = attr.stores.first()?;
    let (_, local) = program.func_local(function);
    let store = facts.events_of(local).iter().find(|event| match event.kind {
        crate::facts::EventKind::Store(target, stored) => {
            stored == value && matches!(facts.terms.get(target), Term::Attr(_, attr) if attr == name)
        }
        _ => false,
    })?;
    Some(program.span(module, store.range))
}

fn module_promise(program: &Program, module: ModuleId) -> Option<Promise> {
    let facts = &program.modules[module.index()].facts;
    let globals = facts.vars.iter().enumerate().filter(|(_, var)| var.scope.0 == 0);
    let mut promises: Vec<Promise> = globals
        .filter_map(|(index, var)| {
            let span = program.span(module, var.range);
            let imported = var.values.iter().all(|&value| matches!(facts.terms.get(value), Term::Import(_)));
            match program.role(program.var_kinds[module.index()][index]) {
                _ if imported => None,
                Some(Role::Lock(_)) => Some(Promise::OwnsLock(span)),
                Some(Role::ThreadLocal) => Some(Promise::OwnsThreadLocal(span)),
                Some(Role::Executor(crate::model::ExecutorKind::Thread)) => Some(Promise::OwnsExecutor(span)),
                _ => None,
            }
        })
        .collect();
    promises.sort_by_key(|&promise| rank(promise));
    let documented = || Promise::Documented(program.span(module, facts.functions[0].name_range));
    match facts.thread_safety {
        ThreadSafety::Denied => None,
        ThreadSafety::Promised => promises.first().copied().or_else(|| Some(documented())),
        ThreadSafety::Unsaid => promises.first().copied(),
    }
}

/// Guards declared by comments and annotations of one module.
fn declared(program: &Program, module: ModuleId, guards: &mut FxHashMap<Place, Guard>) {
    let facts = &program.modules[module.index()].facts;
    for guard in &facts.guards {
        let function = FuncIx(0);
        let Some((place, _)) = program.place(module, function, guard.target) else { continue };
        let span = program.span(module, guard.range);
        guards.insert(place, Guard { lock: guarding_lock(program, module, place, guard.lock), name: guard.lock, span });
    }
    for (index, var) in facts.vars.iter().enumerate() {
        let Some(name) = annotated_guard(program, module, var.annotation) else { continue };
        let place = match facts.var_scope(crate::facts::VarIx::at(index)) {
            crate::facts::ScopeKind::Module => Place { root: PlaceRoot::Global(module, var.name), path: Qual::ROOT },
            crate::facts::ScopeKind::Class(class) => {
                let class = program.class_id(module, class);
                let owner = program.attr_owner(class, var.name);
                let stored = program.class(owner).attrs.get(&var.name).is_some_and(|attr| !attr.stores.is_empty());
                let root = if stored { PlaceRoot::Attr(owner, var.name) } else { PlaceRoot::ClassAttr(owner, var.name) };
                Place { root, path: Qual::ROOT }
            }
            _ => continue,
        };
        let span = program.span(module, var.range);
        guards.insert(place, Guard { lock: guarding_lock(program, module, place, name), name, span });
    }
}

/// `Annotated[T, GuardedBy("_lock")]`
fn annotated_guard(program: &Program, module: ModuleId, annotation: TermId) -> Option<Sym> {
    let facts = &program.modules[module.index()].facts;
    let Term::Item(base, inner) = facts.terms.get(annotation) else { return None };
    let Kind::Lib(name) = program.kind(module, base) else { return None };
    if name != qual!("typing.Annotated") && name != qual!("typing_extensions.Annotated") {
        return None;
    }
    let Term::Display(Container::Tuple, list) = facts.terms.get(inner) else { return None };
    facts.terms.list(list).iter().find_map(|&part| {
        let Term::Call(call) = facts.terms.get(part) else { return None };
        let named = match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(_, name) => name == sym!("GuardedBy"),
            callee => {
                let is_guard = program.kind(module, facts.calls[call.index()].callee) == Kind::Lib(qual!("aether.GuardedBy"));
                is_guard || matches!(callee, Term::Name(_)) && facts.var_of(facts.calls[call.index()].callee)
                    .is_some_and(|var| facts.vars[var.index()].name == sym!("GuardedBy"))
            }
        };
        let Term::Const(crate::facts::Const::Str(lock)) = facts.terms.get(facts.positional(call, 0)?.value) else { return None };
        named.then_some(lock)
    })
}

/// The lock of that name beside a place.
fn guarding_lock(program: &Program, module: ModuleId, place: Place, name: Sym) -> Option<LockId> {
    let beside = |root| program.lock_at(Place { root, path: Qual::ROOT });
    match place.root {
        PlaceRoot::Attr(class, _) | PlaceRoot::ClassAttr(class, _) => {
            let owner = program.attr_owner(class, name);
            beside(PlaceRoot::Attr(owner, name))
                .or_else(|| beside(PlaceRoot::ClassAttr(owner, name)))
                .or_else(|| beside(PlaceRoot::Global(module, name)))
        }
        _ => beside(PlaceRoot::Global(module, name)),
    }
}

impl Program {
    /// What an object is for, its class's library bases included.
    pub fn role(&self, kind: Kind) -> Option<Role> {
        match kind {
            Kind::Instance(class) => self.lib_bases(class).iter().find_map(|&base| crate::model::role_of(base)),
            kind => kind.role(),
        }
    }

    /// Why the owner of a place is taken to promise thread safety, if it is.
    pub fn promise_of(&self, place: Place) -> Option<Promise> {
        match place.root {
            PlaceRoot::Attr(class, _) => self.promises.classes.get(class.index()).copied().flatten(),
            PlaceRoot::ClassAttr(class, _) => {
                let own = self.promises.classes.get(class.index()).copied().flatten();
                own.or_else(|| self.module_promise(self.class_local(class).0))
            }
            PlaceRoot::Global(module, _) => self.module_promise(module),
            PlaceRoot::Cell(..) => None,
        }
    }

    /// Why a class is taken to promise thread safety, if it is.
    pub fn class_promise(&self, class: ClassId) -> Option<Promise> {
        self.promises.classes.get(class.index()).copied().flatten()
    }

    /// Why a module is taken to promise thread safety, if it is.
    pub fn module_promise(&self, module: ModuleId) -> Option<Promise> {
        self.promises.modules.get(module.index()).copied().flatten()
    }

    /// The guard declared for a place.
    pub fn declared_guard(&self, place: Place) -> Option<&Guard> {
        self.promises.guards.get(&place)
    }

    /// The threads on which an access may happen to an object that others see too.
    pub fn threads_of(&self, access: &Access) -> Vec<ThreadOf> {
        let mut threads = Vec::new();
        let seen_by_others = |shares_self: bool| match access.receiver {
            Receiver::Global => true,
            Receiver::Own | Receiver::OfOwn => shares_self || matches!(access.place.root, PlaceRoot::Cell(..)),
            Receiver::Fresh | Receiver::Unknown => false,
        };
        for visit in self.thread_visits(access.function) {
            if seen_by_others(visit.shares_self) && self.sees_cell(access.place, self.root(visit.root).function) {
                threads.push(ThreadOf::Root(visit.root));
            }
        }
        let on_main = match self.cell_owner(access.place) {
            // A variable of a function: its own body runs on the starter's thread, whichever that is.
            Some((module, owner)) => access.function == self.func_id(module, owner),
            None => self.on_main(access.function) && seen_by_others(true),
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
        held: &super::locks::LockSet,
        matters: impl Fn(&Access) -> bool,
    ) -> Option<Conflict<'a>> {
        let threads = self.threads_of(access);
        if threads.is_empty() {
            return None;
        }
        // Another access is better evidence than the same one on a second thread, and a write better than a read.
        let mut candidates: Vec<&Access> = self.accesses(access.place).iter().collect();
        candidates.sort_by_key(|other| (std::ptr::eq(*other, access), other.function == access.function, !other.kind.writes()));
        for other in candidates {
            if !(other.kind.writes() || access.kind.writes()) || !matters(other) {
                continue;
            }
            if self.held_at_access(other).meets(held) {
                continue;
            }
            for &other_thread in &self.threads_of(other) {
                for &thread in &threads {
                    if self.on_own_objects((access, thread), (other, other_thread)) {
                        continue;
                    }
                    if !self.ordered((access, thread), (other, other_thread)) {
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
        let is_attr = matches!(a.0.place.root, PlaceRoot::Attr(..));
        is_attr && own(a.1) && own(b.1) && through_self(a.0) && through_self(b.0)
    }

    /// How an access is shared; `None` when it is known not to be.
    ///
    /// Where known threads reach the place, they decide: a single writer, or a join in between, is an answer. Only a
    /// place no known thread reaches is judged by what its owner promises.
    pub fn sharing<'a>(&'a self, access: &'a Access, matters: impl Fn(&Access) -> bool) -> Option<Sharing<'a>> {
        if let Some(conflict) = self.conflict(access, matters) {
            return Some(Sharing::Proven(conflict));
        }
        if self.accesses(access.place).iter().any(|other| self.thread_visits(other.function).next().is_some()) {
            return None;
        }
        let on_loop = self.function(access.function).flags.is_async;
        match self.promise_of(access.place) {
            Some(promise) if !on_loop && matches!(access.receiver, Receiver::Own | Receiver::OfOwn | Receiver::Global) => {
                Some(Sharing::Promised(promise))
            }
            _ => Some(Sharing::Possible),
        }
    }

    /// How a reader would name a thread.
    pub fn thread_name(&self, thread: ThreadOf) -> String {
        match thread {
            ThreadOf::Main => "main thread".to_owned(),
            ThreadOf::Root(root) => self.root_name(root),
        }
    }
}
