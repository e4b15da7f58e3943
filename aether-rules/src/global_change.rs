//! Which globals a function changes, itself or through what it calls.
//!
//! A global is what every thread sees under the same name: a module's variable, a class's attribute, an attribute of
//! a module-level object. Thread-locals and context variables are none.
//!
//! *Invariant:* works on the events of single functions, not on the table of shared accesses: in a library nobody
//! may have started a thread yet, and the table leaves such places out.

use ruff_text_size::TextRange;

use crate::facts::{CallIx, Event, EventIx, EventKind, FuncIx, Qual, ScopeKind, Sym, Term, TermId};
use crate::link::{Callee, FuncId, Kind, ModuleId, Place, PlaceRoot, Program, Receiver};
use crate::model::{Role, effect_of};

/// How many calls away a change may be.
const MAX_CALLS: usize = 2;

/// One step of a function that changes a global.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GlobalChange {
    /// What is changed.
    pub(crate) place: Place,
    /// How.
    pub(crate) how: How,
    /// The step, in the function asked about.
    pub(crate) event: EventIx,
    /// Where.
    pub(crate) range: TextRange,
    /// Where it really happens, if a called function does it.
    pub(crate) inside: Option<(ModuleId, TextRange)>,
}

/// How a global is changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// Bound to a value, as a whole or in part.
    Bound(TermId),
    /// By a method of the container.
    Method(Sym, CallIx),
    /// By a called function.
    Called(CallIx),
    /// `op=`, `del`.
    Other,
}

/// Every change a function makes to globals, in order.
pub(crate) fn changes(program: &Program, function: FuncId) -> Vec<GlobalChange> {
    within(program, function, 0)
}

fn within(program: &Program, id: FuncId, depth: usize) -> Vec<GlobalChange> {
    let (module, function) = program.func_local(id);
    let facts = &program.module(module).facts;
    let first = facts.functions[function.index()].events.start;
    let mut found = Vec::new();
    for (position, event) in facts.events_of(function).iter().enumerate() {
        let at = EventIx(first + position as u32);
        if let Some((place, how)) = direct(program, module, function, event) {
            found.push(GlobalChange { place, how, event: at, range: event.range, inside: None });
        }
        if depth < MAX_CALLS
            && let EventKind::Call(call) = event.kind
            && let Some(callee) = called_function(program, module, call).filter(|&callee| callee != id)
        {
            let (owner, _) = program.func_local(callee);
            found.extend(within(program, callee, depth + 1).into_iter().map(|change| GlobalChange {
                place: change.place,
                how: How::Called(call),
                event: at,
                range: event.range,
                inside: change.inside.or(Some((owner, change.range))),
            }));
        }
    }
    found
}

/// The global an event itself changes.
fn direct(program: &Program, module: ModuleId, function: FuncIx, event: &Event) -> Option<(Place, How)> {
    let facts = &program.module(module).facts;
    let container = |term: TermId| match facts.terms.get(term) {
        Term::Item(base, _) => base,
        _ => term,
    };
    let (term, how) = match event.kind {
        EventKind::Store(term, _) | EventKind::Augment(term, _) | EventKind::Delete(term)
            if is_instance_attribute(program, module, function, term) =>
        {
            return None;
        }
        EventKind::Store(term, value) => (container(term), How::Bound(value)),
        EventKind::Augment(term, _) | EventKind::Delete(term) => (container(term), How::Other),
        EventKind::Call(call) => {
            let Term::Attr(base, method) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
            let Some(Role::Container(kind)) = program.kind(module, base).role() else { return None };
            effect_of(kind, method).filter(|effect| effect.writes())?;
            (base, How::Method(method, call))
        }
        _ => return None,
    };
    global_place(program, module, function, term).map(|place| (place, how))
}

/// Whether a term is an attribute of one object that some name of the function holds: what is stored there is this
/// object's own, even where the class has an attribute of that name.
fn is_instance_attribute(program: &Program, module: ModuleId, function: FuncIx, term: TermId) -> bool {
    let facts = &program.module(module).facts;
    let Term::Attr(base, _) = facts.terms.get(term) else { return false };
    let is_local = facts.var_of(base).is_some_and(|var| matches!(facts.var_scope(var), ScopeKind::Function(_)));
    is_local
        && matches!(program.kind(module, base), Kind::Instance(_))
        && global_place(program, module, function, base).is_none()
}

/// The global a term denotes, unless it is confined to a thread.
pub(crate) fn global_place(program: &Program, module: ModuleId, function: FuncIx, term: TermId) -> Option<Place> {
    let (place, receiver) = program.place(module, function, term)?;
    let is_global = matches!(place.root, PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..) | PlaceRoot::Attr(..));
    (is_global && receiver == Receiver::Global && place.path == Qual::ROOT && !program.is_confined(place))
        .then_some(place)
}

/// The function of the program a call runs, through the package that re-exports it too.
pub(crate) fn called_function(program: &Program, module: ModuleId, call: CallIx) -> Option<FuncId> {
    match program.callee(module, call) {
        Callee::Function(function, _) => Some(function),
        Callee::Class(_) => None,
        Callee::Lib(_) | Callee::Opaque => re_exported(program, module, call),
    }
}

/// `package.name(…)` in a module of the package that defines `name`: packages re-export what their modules define, in
/// ways (star imports, `__all__`, decorators) that are not all followed.
fn re_exported(program: &Program, module: ModuleId, call: CallIx) -> Option<FuncId> {
    let owner = program.module(module);
    let facts = &owner.facts;
    let Term::Attr(base, name) = facts.terms.get(facts.calls[call.index()].callee) else { return None };
    let is_own_package = match program.kind(module, base) {
        Kind::Module(package) => owner.path.starts_with(program.module(package).path.strip_suffix("__init__.py")?),
        Kind::Lib(library) => owner.path.split('/').any(|folder| Qual::ROOT.child(Sym::new(folder)) == library),
        _ => false,
    };
    if !is_own_package {
        return None;
    }
    let functions = facts.functions.iter().enumerate().skip(1);
    let mut defined = functions.filter(|(_, function)| {
        function.name == name && function.parent == Some(FuncIx(0)) && function.class.is_none()
    });
    defined.next().map(|(index, _)| program.func_id(module, FuncIx::at(index)))
}

/// Whether a term is, or is made of, what a global held: `old`, `_options.copy()`, `get_options()`.
pub(crate) fn reads(program: &Program, (module, function): (ModuleId, FuncIx), term: TermId, place: Place) -> bool {
    reads_within(program, (module, function), term, place, 0)
}

fn reads_within(program: &Program, at: (ModuleId, FuncIx), term: TermId, place: Place, depth: usize) -> bool {
    const MAX_DEPTH: usize = 6;
    let (module, function) = at;
    let facts = &program.module(module).facts;
    if depth > MAX_DEPTH || term.is_opaque() {
        return false;
    }
    let inner = |term| reads_within(program, at, term, place, depth + 1);
    match facts.terms.get(term) {
        Term::Name(_) | Term::Attr(..) | Term::Item(..)
            if global_place(program, module, function, term) == Some(place) =>
        {
            true
        }
        Term::Name(_) => {
            let Some(var) = facts.var_of(term) else { return false };
            let is_local = matches!(facts.var_scope(var), ScopeKind::Function(_));
            is_local && facts.vars[var.index()].values.iter().take(4).any(|&value| value != term && inner(value))
        }
        Term::Attr(base, name) => stored_in_self(program, module, base, name, place, depth),
        Term::Item(base, _) | Term::Unpacked(base, _) | Term::Element(base) | Term::Entered(base) => inner(base),
        Term::Or(a, b) | Term::And(a, b) | Term::Either(a, b) => inner(a) || inner(b),
        Term::Display(_, list) => facts.terms.list(list).iter().any(|&part| inner(part)),
        Term::Call(call) => {
            let of_receiver = match facts.terms.get(facts.calls[call.index()].callee) {
                Term::Attr(base, _) => inner(base),
                _ => false,
            };
            of_receiver
                || facts.args_of(call).iter().any(|arg| inner(arg.value))
                || called_function(program, module, call).is_some_and(|callee| loads(program, callee, place))
        }
        _ => false,
    }
}

/// Whether a method put what a global held into `self.name`.
fn stored_in_self(program: &Program, module: ModuleId, base: TermId, name: Sym, place: Place, depth: usize) -> bool {
    let Kind::Instance(class) = program.kind(module, base) else { return false };
    program.class(class).mro.iter().any(|&ancestor| {
        let Some(attr) = program.class(ancestor).attrs.get(&name) else { return false };
        attr.stores.iter().any(|&(by, value)| reads_within(program, program.func_local(by), value, place, depth + 1))
    })
}

/// Whether a function reads a global.
pub(crate) fn loads(program: &Program, id: FuncId, place: Place) -> bool {
    let (module, function) = program.func_local(id);
    program.module(module).facts.events_of(function).iter().any(|event| match event.kind {
        EventKind::Load(term) => global_place(program, module, function, term) == Some(place),
        _ => false,
    })
}
