//! Every access to a place that more than one function can see.
//!
//! Left out, because they cannot race: module level before anything starts (S3), `__init__` and what only it calls
//! (S5), and objects made by the function itself (S4).
//!
//! *Invariant:* accesses of one place stand together, by module, function and event.

mod touch;

use rayon::prelude::*;
use ruff_text_size::TextRange;
use rustc_hash::FxHashMap;

pub(crate) use touch::through_view;

use super::calls::Receiver;
use super::kind::{FuncId, Kind, ModuleId};
use super::locks::LockSet;
use super::places::{Place, PlaceId, PlaceRoot};
use super::program::Program;
use crate::facts::{Comparison, CtxIx, Event, EventIx, EventKind, FuncIx, Sym, Term, TermId};
use crate::model::{Effect, Role};
use crate::rule::Confidence;
use crate::sym;

/// One access to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What is accessed.
    pub place: Place,
    /// What is done to it.
    pub kind: AccessKind,
    /// The module.
    pub module: ModuleId,
    /// The function.
    pub function: FuncId,
    /// The step, in the module's events.
    pub event: EventIx,
    /// Under which conditions.
    pub ctx: CtxIx,
    /// Where.
    pub range: TextRange,
    /// How the object was reached.
    pub receiver: Receiver,
    /// The expression that denotes the place (the container, for an element).
    pub term: TermId,
}

/// What is done to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// The place, or one element of it, is touched.
    Touch(Touch),
    /// The place, or an element, is rebound to a value.
    Write(Touch, TermId),
    /// `op=`
    Augment(Touch, TermId),
    /// `del`
    Delete(Touch),
    /// A method of the container.
    Method(Sym, Effect),
    /// All elements, one after the other, while others may change them.
    Iterate,
}

/// Whether an access is to the place itself or to an element of the container it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// The place.
    Whole,
    /// An element, with the key's term.
    Element(TermId),
}

impl AccessKind {
    /// Whether the place or what it holds is different afterwards.
    pub fn writes(self) -> bool {
        match self {
            Self::Write(..) | Self::Augment(..) | Self::Delete(_) => true,
            Self::Method(_, effect) => effect.writes(),
            Self::Touch(_) | Self::Iterate => false,
        }
    }

    /// Whether an iteration of the container elsewhere would notice: the size may change.
    pub fn resizes(self) -> bool {
        match self {
            Self::Write(Touch::Element(_), _) | Self::Delete(Touch::Element(_)) => true,
            Self::Method(_, effect) => effect == Effect::Resize,
            _ => false,
        }
    }

    /// Whether the access is to the place itself rather than to what it holds.
    pub fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Touch(Touch::Whole)
                | Self::Write(Touch::Whole, _)
                | Self::Augment(Touch::Whole, _)
                | Self::Delete(Touch::Whole)
        )
    }

    /// How a reader would say it: "written here".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Touch(_) => "read",
            Self::Write(..) => "written",
            Self::Augment(..) => "updated",
            Self::Delete(_) => "deleted",
            Self::Method(_, Effect::Resize | Effect::Modify) => "changed",
            Self::Method(_, Effect::Iterate | Effect::Snapshot) => "copied",
            Self::Method(_, Effect::Consume) => "consumed",
            Self::Method(..) => "read",
            Self::Iterate => "iterated",
        }
    }
}

/// The accesses of the program, place by place.
#[derive(Debug, Default)]
pub(super) struct Accesses {
    all: Vec<Access>,
    ranges: Vec<(Place, std::ops::Range<u32>)>,
    ids: FxHashMap<Place, PlaceId>,
    by_module: Vec<Vec<PlaceId>>,
}

/// Collects the accesses worth asking about.
pub(super) fn collect(program: &mut Program) {
    super::promise::promise(program);
    let snapshot: &Program = program;
    let keep = worth_asking(snapshot);
    let kept: Vec<Vec<Access>> = snapshot.each_module(|module| {
        let mut kept = Vec::new();
        for_each(snapshot, module, &|_| true, &mut |access| {
            if keep(&access.place) {
                kept.push(access);
            }
        });
        kept
    });
    drop(keep);
    let mut all: Vec<Access> = kept.into_iter().flatten().collect();
    all.par_sort_by_key(|access| (access.place, access.module, access.function, access.event));
    let mut ranges: Vec<(Place, std::ops::Range<u32>)> = Vec::new();
    for (index, access) in all.iter().enumerate() {
        match ranges.last_mut() {
            Some((place, range)) if *place == access.place => range.end = index as u32 + 1,
            _ => ranges.push((access.place, index as u32..index as u32 + 1)),
        }
    }
    let ids = ranges.iter().enumerate().map(|(index, (place, _))| (*place, PlaceId(index as u32))).collect();
    let mut by_module = vec![Vec::new(); program.modules.len()];
    for (index, (place, _)) in ranges.iter().enumerate() {
        by_module[program.place_module(*place).index()].push(PlaceId(index as u32));
    }
    program.accesses.by_module = by_module;
    program.accesses.all = all;
    program.accesses.ranges = ranges;
    program.accesses.ids = ids;
}

/// First which places matter, then all their accesses: whether a place is worth asking about.
fn worth_asking(program: &Program) -> impl Fn(&Place) -> bool {
    let show_all = program.modules.iter().any(|module| {
        module.settings.min_confidence == Confidence::Low || crate::analyze::has_suppressions(&module.facts)
    });
    // Most attributes of most programs never meet a thread.
    let relevant: rustc_hash::FxHashSet<Place> = if show_all {
        rustc_hash::FxHashSet::default()
    } else {
        let found: Vec<Vec<Place>> = program.each_module(|module| {
            let mut places = Vec::new();
            for_each(program, module, &|function| meets_others(program, function), &mut |access| {
                places.push(access.place);
            });
            places
        });
        found.into_iter().flatten().collect()
    };
    let unaided = super::unaided::Unaided::new(program);
    move |place| {
        show_all
            || relevant.contains(place)
            || program.owner_promise(*place).is_some()
            || program.declared_guard(*place).is_some()
            || program.is_class_state(*place)
            || unaided.holds(program, *place)
    }
}

/// Whether another thread, or a finalizer in the middle of this one, may run a function.
fn meets_others(program: &Program, function: FuncId) -> bool {
    program.visits(function).iter().any(|visit| {
        let runs_on = program.root(visit.root).runs_on;
        runs_on.is_thread() || runs_on == crate::model::RunsOn::Finalizer
    })
}

fn for_each(program: &Program, module: ModuleId, wanted: &dyn Fn(FuncId) -> bool, found: &mut dyn FnMut(Access)) {
    let facts = &program.modules[module.index()].facts;
    for index in 0..facts.functions.len() {
        let function = FuncIx::at(index);
        let id = program.func_id(module, function);
        // While modules are imported there is one thread; a body that starts another one goes on beside it.
        let alone_until = match index {
            0 if program.on_main(id) => program.starts_of(id).min(),
            0 => None,
            _ => Some(EventIx(0)),
        };
        let Some(alone_until) = alone_until else { continue };
        // `__new__` runs before its object is shared, but what it finds in the class is everybody's.
        let makes = facts.functions[index].name == sym!("__new__");
        // Nobody else has an object that is being finalised.
        let dies = facts.functions[index].name == sym!("__del__");
        if (index != 0 && program.is_setup(id) && !makes) || !wanted(id) {
            continue;
        }
        let first = facts.functions[index].events.start;
        for (position, event) in facts.events_of(function).iter().enumerate() {
            let at = EventIx(first + position as u32);
            if at < alone_until || program.is_in_child(module, event.ctx) {
                continue;
            }
            let body = Body { module, function, makes, dies };
            for touched in touch::touches(program, module, event) {
                if let Some(access) = body.access(program, at, event.ctx, touched) {
                    found(access);
                }
            }
        }
    }
}

/// A function whose steps are looked at.
struct Body {
    module: ModuleId,
    function: FuncIx,
    /// Whether it makes its object.
    makes: bool,
    /// Whether its object is at its end.
    dies: bool,
}

impl Body {
    /// What a step does to an expression, as an access to a place that somebody else can see.
    fn access(
        &self,
        program: &Program,
        event: EventIx,
        ctx: CtxIx,
        (term, kind, range): (TermId, AccessKind, TextRange),
    ) -> Option<Access> {
        let &Self { module, function, makes, dies } = self;
        // What happens inside a container that a local names happens to the attribute it came from.
        let alias = if kind.is_whole() { None } else { program.aliased(module, function, term) };
        let (place, receiver) = alias.or_else(|| program.place(module, function, term))?;
        // `self.names += more` changes the class's list first.
        let is_container = || matches!(program.place_kind(place).role(), Some(Role::Container(_)));
        let binds = match kind {
            AccessKind::Write(Touch::Whole, _) => true,
            AccessKind::Augment(Touch::Whole, _) => !is_container(),
            _ => false,
        };
        let own = binds.then(|| own_attribute(program, (module, function), term, place)).flatten();
        let (place, receiver) = own.unwrap_or((place, receiver));
        let is_threads_too = receiver == Receiver::Fresh && program.is_of_shared_local(module, term);
        let receiver = if is_threads_too { Receiver::Global } else { receiver };
        let is_nobodys = is_private_cell(program, place, (module, function, term))
            || receiver == Receiver::Fresh
            || program.is_confined(place)
            || (makes && receiver != Receiver::Global)
            || (dies && receiver == Receiver::Own);
        let id = program.func_id(module, function);
        (!is_nobodys).then_some(Access { place, kind, module, function: id, event, ctx, range, receiver, term })
    }
}

/// The attribute of its own that an object gets when a class attribute is assigned through it.
fn own_attribute(
    program: &Program,
    (module, function): (ModuleId, FuncIx),
    term: TermId,
    place: Place,
) -> Option<(Place, Receiver)> {
    let PlaceRoot::ClassAttr(class, name) = place.root else { return None };
    let Term::Attr(base, _) = program.modules[module.index()].facts.terms.get(term) else { return None };
    matches!(program.kind(module, base), Kind::Instance(_)).then(|| {
        (Place { root: PlaceRoot::Attr(class, name), path: place.path }, program.receiver(module, function, base))
    })
}

/// A local that no nested function sees, and no thread was given.
fn is_private_cell(program: &Program, place: Place, (module, function, term): (ModuleId, FuncIx, TermId)) -> bool {
    match place.root {
        PlaceRoot::Cell(owner, var) => {
            let is_captured = program.modules[owner.index()].facts.vars[var.index()].captured;
            let was_handed_here = program.modules[module.index()].facts.var_of(term) != Some(var) || owner != module;
            !is_captured && !was_handed_here && !program.is_handed_over(module, function, term)
        }
        _ => false,
    }
}

impl Program {
    /// The places worth asking about that a module owns, in order.
    pub fn places_of(&self, module: ModuleId) -> impl Iterator<Item = Place> + '_ {
        self.accesses.by_module[module.index()].iter().map(|id| self.accesses.ranges[id.0 as usize].0)
    }

    /// Every place worth asking about, in order.
    pub fn all_places(&self) -> impl Iterator<Item = Place> + '_ {
        self.accesses.ranges.iter().map(|(place, _)| *place)
    }

    /// How many places are worth asking about.
    pub fn place_count(&self) -> usize {
        self.accesses.ranges.len()
    }

    /// The module a place belongs to.
    pub fn place_module(&self, place: Place) -> ModuleId {
        match place.root {
            PlaceRoot::Global(module, _) | PlaceRoot::Cell(module, _) => module,
            PlaceRoot::ClassAttr(class, _) | PlaceRoot::Attr(class, _) => self.class_local(class).0,
        }
    }

    /// All accesses to a place, by module, function and event.
    pub fn accesses(&self, place: Place) -> &[Access] {
        match self.accesses.ids.get(&place) {
            Some(id) => {
                let range = &self.accesses.ranges[id.0 as usize].1;
                &self.accesses.all[range.start as usize..range.end as usize]
            }
            None => &[],
        }
    }

    /// Whether a function only runs before anything is shared.
    pub fn is_setup(&self, function: FuncId) -> bool {
        self.setup[function.index()]
    }

    /// The locks held at an access, one handed over by the function that took it among them.
    pub fn held_at_access(&self, access: &Access) -> LockSet {
        self.held_or_handed(access.module, access.function, access.event)
    }

    /// The place behind a local name for a container: `cache = self._cache`.
    ///
    /// Where the function rebinds the attribute (`old, self._cache = self._cache, {}`), the name keeps the old object,
    /// which nobody else has.
    fn aliased(&self, module: ModuleId, function: FuncIx, term: TermId) -> Option<(Place, Receiver)> {
        let facts = &self.modules[module.index()].facts;
        let var = facts.var_of(term)?;
        let [value] = facts.vars[var.index()].values[..] else { return None };
        let is_attribute = matches!(facts.terms.get(value), Term::Attr(..));
        // A nested function sees the name that the one around it bound.
        let function = self.is_function_var(module, var).unwrap_or(function);
        let rebinds = |event: &Event| matches!(event.kind, EventKind::Store(target, _) if target.same(value));
        if !is_attribute || facts.events_of(function).iter().any(rebinds) {
            return None;
        }
        self.place(module, function, value)
    }

    /// Whether a term is tested to be in the container: `key in place`.
    pub fn is_membership(&self, module: ModuleId, test: TermId) -> Option<(TermId, TermId)> {
        match self.modules[module.index()].facts.terms.get(test) {
            Term::Compare(Comparison::In | Comparison::NotIn, key, container) => Some((key, container)),
            _ => None,
        }
    }

    /// What the place an access touches holds.
    pub fn kind_at(&self, access: &Access) -> Kind {
        self.kind(access.module, access.term)
    }
}
