//! Who promises thread safety, and for what.
//!
//! A lock of every object says that these objects are meant for several threads. One with a purpose (`_ready_lock`)
//! says so as far as it reaches: for the places accessed under it, and those used together with them; one that is just
//! the object's `lock` says so for all, unless it is only ever tried: then one thread does some work, and the others go
//! on without. A lock of a class or module speaks of what there is one of.
//!
//! *Invariant:* a promise is read off what the owner has or says, never off the owner's name.

mod guard;
mod gui;
mod purpose;
mod tries;

use rustc_hash::{FxHashMap, FxHashSet};

use super::access::Access;
use super::calls::Receiver;
use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::locks::LockId;
use super::places::{Place, PlaceRoot};
use super::program::Program;
use crate::facts::{ClassIx, EventKind, Sym, Term, ThreadSafety};
use crate::model::{LockKind, Role};
use crate::parallel::of_small;
use crate::source::Span;
use crate::sym;

/// Why a class or module is taken to promise thread safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It owns a lock.
    OwnsLock(Span),
    /// It owns a thread-local.
    OwnsThreadLocal(Span),
    /// Its documentation says so.
    Documented(Span),
}

impl Promise {
    /// Where the promise is seen.
    pub fn span(self) -> Span {
        match self {
            Self::OwnsLock(span) | Self::OwnsThreadLocal(span) | Self::Documented(span) => span,
        }
    }

    /// What is seen there.
    pub fn text(self) -> &'static str {
        match self {
            Self::OwnsLock(_) => "owns a lock: it is meant to be used from several threads",
            Self::OwnsThreadLocal(_) => "owns a thread-local: it is meant to be used from several threads",
            Self::Documented(_) => "is documented as thread-safe",
        }
    }
}

/// Who promises what.
#[derive(Debug, Default)]
pub(super) struct Promises {
    classes: Vec<ClassPromise>,
    modules: Vec<Option<Promise>>,
    guards: FxHashMap<Place, Guard>,
    /// The attributes that a lock of their object has to do with.
    covered: FxHashSet<Place>,
}

/// What a class promises.
#[derive(Clone, Copy, Debug, Default)]
struct ClassPromise {
    /// For its objects, by a lock or word of theirs.
    objects: Option<Promise>,
    /// The same, where no lock is needed to say so.
    objects_whole: Option<Promise>,
    /// For what there is one of: the attributes of the class.
    class: Option<Promise>,
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

/// Finds every promise and declared guard.
pub(super) fn promise(program: &mut Program) {
    let snapshot: &Program = program;
    let own: Vec<ClassPromise> =
        of_small(snapshot.class_modules.len(), |index| class_promise(snapshot, ClassId::at(index)));
    let classes = snapshot.classes.iter().map(|info| {
        if let Some(said) = documented(snapshot, &info.mro) {
            return ClassPromise { objects: said, objects_whole: said, class: said };
        }
        let inherited =
            |part: fn(&ClassPromise) -> Option<Promise>| info.mro.iter().find_map(|class| part(&own[class.index()]));
        ClassPromise {
            objects: inherited(|promise| promise.objects),
            objects_whole: inherited(|promise| promise.objects_whole),
            class: inherited(|promise| promise.class),
        }
    });
    let classes = classes.collect();
    let modules = snapshot.each_module(|module| module_promise(snapshot, module));
    let mut guards = FxHashMap::default();
    for index in 0..snapshot.modules.len() {
        guard::declared(snapshot, ModuleId::at(index), &mut guards);
    }
    program.promises = Promises { classes, modules, guards, covered: FxHashSet::default() };
}

#[expect(clippy::option_option, reason = "silent, denied and promised are three answers")]
/// What the documentation of a class, of its bases or of their modules says; `None` when it is silent. What is written
/// down outweighs what a lock seems to promise.
fn documented(program: &Program, mro: &[ClassId]) -> Option<Option<Promise>> {
    mro.iter().find_map(|&class| {
        let (module, local) = program.class_local(class);
        let facts = &program.modules[module.index()].facts;
        let declaration = &facts.classes[local.index()];
        match (declaration.thread_safety, facts.thread_safety) {
            (ThreadSafety::Promised, _) => {
                Some(Some(Promise::Documented(program.span(module, declaration.name_range))))
            }
            (ThreadSafety::Denied, _) | (ThreadSafety::Unsaid, ThreadSafety::Denied) => Some(None),
            (ThreadSafety::Unsaid, _) => None,
        }
    })
}

#[expect(clippy::iter_over_hash_type, reason = "the minimum over all attributes, whatever their order")]
fn class_promise(program: &Program, class: ClassId) -> ClassPromise {
    let (module, local) = program.class_local(class);
    let facts = &program.modules[module.index()].facts;
    let declaration = &facts.classes[local.index()];
    // A class of coroutines lives on its loop's thread; the lock it owns guards one corner of it.
    let methods = &declaration.methods;
    let coroutines = methods.iter().filter(|method| facts.functions[method.index()].flags.is_async).count();
    if coroutines * 4 > methods.len() || is_lock_itself(program, class) || gui::makes_widgets(facts, methods) {
        return ClassPromise::default();
    }
    let mut found = ClassPromise::default();
    let keep = |first: &mut Option<Promise>, promise: Promise| {
        if first.is_none_or(|first| rank(promise) < rank(first)) {
            *first = Some(promise);
        }
    };
    for (&name, attr) in &program.class(class).attrs {
        let role = program.role(attr.kind);
        let Some(span) = attribute_span(program, class, name) else { continue };
        let promise = match role {
            Some(Role::Lock(_)) => Promise::OwnsLock(span),
            Some(Role::ThreadLocal) => Promise::OwnsThreadLocal(span),
            _ => continue,
        };
        keep(&mut found.class, promise);
        if !is_made_in_body(program, class, name) {
            keep(&mut found.objects, promise);
        }
        let is_lock = || is_just_a_lock(facts.name(name)) && !tries::is_only_tried(facts, name);
        let is_whole = matches!(promise, Promise::OwnsThreadLocal(_)) || is_lock();
        if is_whole && !is_made_in_body(program, class, name) {
            keep(&mut found.objects_whole, promise);
        }
    }
    found
}

/// Whether the name of a lock says no more than that it is one.
fn is_just_a_lock(name: &str) -> bool {
    let name = name.trim_matches('_').to_ascii_lowercase();
    let plain =
        ["lock", "rlock", "mutex", "cond", "condition", "cv", "guard", "thread_lock", "state_lock", "instance_lock"];
    plain.contains(&name.as_str())
}

/// Whether the class body makes an attribute, and no method does: there is one for all objects.
fn is_made_in_body(program: &Program, class: ClassId, name: Sym) -> bool {
    let Some(attr) = program.class(class).attrs.get(&name) else { return false };
    let (module, _) = program.class_local(class);
    let made = attr.class_var.is_some_and(|var| {
        let values = program.modules[module.index()].facts.vars[var.index()].values.iter();
        let mut roles = values.map(|&value| program.role(program.kind(module, value)));
        roles.any(|role| matches!(role, Some(Role::Lock(_) | Role::ThreadLocal)))
    });
    made && attr.stores.is_empty()
}

/// Whether a class *is* a lock: its `acquire` returns with another one taken, and keeps account of who has it.
fn is_lock_itself(program: &Program, class: ClassId) -> bool {
    let methods = &program.class(class).methods;
    let (Some(&acquire), Some(&release)) = (methods.get(&sym!("acquire")), methods.get(&sym!("release"))) else {
        return false;
    };
    let (module, local) = program.func_local(acquire);
    let facts = &program.modules[module.index()].facts;
    let keeps_account = |event: &crate::facts::Event| match event.kind {
        EventKind::Store(target, _) | EventKind::Augment(target, _) => {
            matches!(facts.terms.get(target), Term::Attr(..))
        }
        _ => false,
    };
    // One that tries, and takes several steps, is known by what its `release` gives back.
    let is_exclusive = |&lock: &LockId| program.lock(lock).kind != LockKind::Semaphore;
    let takes = !program.left_held(acquire, 0).is_empty() || program.given_up(release).iter().any(is_exclusive);
    takes && facts.events_of(local).iter().any(keeps_account)
}

/// Finds the attributes that a lock has to do with: they are changed under one, or used together with such an attribute.
pub(super) fn cover(program: &mut Program) {
    let of_self =
        |access: &Access| access.receiver == Receiver::Own && matches!(access.place.root, PlaceRoot::Attr(..));
    let places: Vec<Place> = program.all_places().collect();
    let is_guarded = |place: Place| {
        let mut writes = program.accesses(place).iter().filter(|access| access.kind.writes());
        writes.any(|access| !program.held_at_access(access).is_empty())
    };
    let guarded = of_small(places.len(), |index| is_guarded(places[index]).then_some(places[index]));
    let guarded: FxHashSet<Place> = guarded.into_iter().flatten().collect();
    let beside: FxHashSet<FuncId> = places
        .iter()
        .filter(|place| guarded.contains(place))
        .flat_map(|&place| program.accesses(place).iter().filter(|access| of_self(access)))
        .map(|access| access.function)
        .collect();
    let is_covered = |place: &Place| {
        guarded.contains(place) || program.accesses(*place).iter().any(|access| beside.contains(&access.function))
    };
    let mut covered: FxHashSet<Place> = places.iter().copied().filter(is_covered).collect();
    for function in called_under_lock(program) {
        let (module, local) = program.func_local(function);
        let facts = &program.modules[module.index()].facts;
        for event in facts.events_of(local) {
            if let EventKind::Store(target, _) | EventKind::Augment(target, _) = event.kind
                && let Some((place, Receiver::Own)) = program.place(module, local, target)
            {
                covered.insert(place);
            }
        }
    }
    program.promises.covered = covered;
}

/// The methods that another method of the object calls with a lock held.
fn called_under_lock(program: &Program) -> Vec<FuncId> {
    let functions = (0..program.function_modules.len()).map(FuncId::at);
    let is_called = |function: &FuncId| {
        program.callers(*function).iter().any(|site| {
            site.receiver == Receiver::Own
                && program.may_hold(site.caller)
                && !program.held(program.func_local(site.caller).0, site.caller, site.event).is_empty()
        })
    };
    functions.filter(|function| program.class_of(*function).is_some()).filter(is_called).collect()
}

fn rank(promise: Promise) -> (u8, ruff_text_size::TextSize) {
    let kind = match promise {
        Promise::OwnsLock(_) => 0,
        Promise::OwnsThreadLocal(_) => 1,
        Promise::Documented(_) => 2,
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
                _ => None,
            }
        })
        .collect();
    // A class of thread-locals, under whatever name its object goes.
    promises.extend(facts.classes.iter().enumerate().filter_map(|(index, class)| {
        let bases = program.lib_bases(program.class_id(module, ClassIx::at(index)));
        let is_local = bases.iter().any(|&base| crate::model::role_of(base) == Some(Role::ThreadLocal));
        is_local.then(|| Promise::OwnsThreadLocal(program.span(module, class.name_range)))
    }));
    promises.sort_by_key(|&promise| rank(promise));
    let documented = || Promise::Documented(program.span(module, facts.functions[0].name_range));
    match facts.thread_safety {
        ThreadSafety::Denied => None,
        ThreadSafety::Promised => promises.first().copied().or_else(|| Some(documented())),
        ThreadSafety::Unsaid => promises.first().copied(),
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

    /// Why the owner of a place is taken to promise thread safety for it, if it is.
    pub fn promise_of(&self, place: Place) -> Option<Promise> {
        match (place.root, self.owner_promise(place)) {
            (PlaceRoot::Attr(class, _), Some(Promise::OwnsLock(_))) if !self.is_own_attribute(class, place) => None,
            (PlaceRoot::Attr(class, _), Some(Promise::OwnsLock(_))) if !self.promises.covered.contains(&place) => {
                self.promises.classes.get(class.index()).and_then(|promise| promise.objects_whole)
            }
            (_, promise) => promise,
        }
    }

    /// What the owner of a place promises, whether or not it speaks of this place.
    pub(super) fn owner_promise(&self, place: Place) -> Option<Promise> {
        match place.root {
            PlaceRoot::Attr(class, _) => self.class_promise(class),
            PlaceRoot::ClassAttr(class, _) => {
                let own = self.promises.classes.get(class.index()).and_then(|promise| promise.class);
                own.or_else(|| self.module_promise(self.class_local(class).0))
            }
            PlaceRoot::Global(module, _) => self.module_promise(module),
            PlaceRoot::Cell(..) => None,
        }
    }

    /// Why the objects of a class are taken to be meant for several threads, if they are.
    pub fn class_promise(&self, class: ClassId) -> Option<Promise> {
        self.promises.classes.get(class.index()).and_then(|promise| promise.objects)
    }

    /// Why a module is taken to promise thread safety, if it is.
    pub fn module_promise(&self, module: ModuleId) -> Option<Promise> {
        self.promises.modules.get(module.index()).copied().flatten()
    }

    /// The guard declared for a place.
    pub fn declared_guard(&self, place: Place) -> Option<&Guard> {
        self.promises.guards.get(&place)
    }
}
