//! Classes: bases across modules, method resolution order, and the attributes their methods assign.
//!
//! *Invariant:* an attribute belongs to the class whose methods assign it; [`Program::attr_owner`] finds the topmost
//! such class, so that base and subclass mean the same place.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{ClassIx, EventKind, FuncIx, Qual, Sym, Term, TermId, VarIx};
use crate::sym;

/// What is known of one class of the program.
#[derive(Clone, Debug, Default)]
pub struct ClassInfo {
    /// The bases that are classes of the program, in order.
    pub bases: Vec<ClassId>,
    /// The bases that are not.
    pub lib_bases: Vec<Qual>,
    /// Itself, then its ancestors in the order attributes are looked up.
    pub mro: Vec<ClassId>,
    /// The classes directly derived from it.
    pub subclasses: Vec<ClassId>,
    /// Methods by name.
    pub methods: FxHashMap<Sym, FuncId>,
    /// Attributes: class variables, and what methods assign to `self`.
    pub attrs: FxHashMap<Sym, Attr>,
}

/// One attribute of a class.
#[derive(Clone, Debug, Default)]
pub struct Attr {
    /// What methods assign to it, and where.
    pub stores: SmallVec<[(FuncId, TermId); 2]>,
    /// Whether a method changes it by `op=`, which gives the object an attribute of its own.
    pub augmented: bool,
    /// The class variable of the same name.
    pub class_var: Option<VarIx>,
    /// What is put into it, if it is a container.
    pub elements: SmallVec<[TermId; 1]>,
    /// What it holds.
    pub kind: Kind,
    pub(super) stands: super::settled::Stands,
}

/// What is put into the containers that variables hold: `threads.append(thread)`.
pub(super) type Elements = FxHashMap<VarIx, Vec<TermId>>;

/// The methods and attributes of one module's classes, before bases are known.
pub(super) fn collect(program: &Program, module: ModuleId) -> (Vec<ClassInfo>, Elements) {
    let facts = &program.module(module).facts;
    let mut classes = bodies(program, module);
    let mut elements = Elements::default();
    for (index, _) in facts.functions.iter().enumerate() {
        let function = FuncIx::at(index);
        for event in facts.events_of(function) {
            match event.kind {
                EventKind::Store(target, value) => match facts.terms.get(target) {
                    Term::Attr(base, name) => {
                        if let Some(class) = self_class(program, module, base) {
                            let attr = classes[class.index()].attrs.entry(name).or_default();
                            attr.stores.push((program.func_id(module, function), value));
                        }
                    }
                    Term::Item(container, _) => {
                        put(program, module, container, value, &mut classes, &mut elements);
                    }
                    _ => {}
                },
                EventKind::Augment(target, _) => {
                    if let Term::Attr(base, name) = facts.terms.get(target)
                        && let Some(class) = self_class(program, module, base)
                        && !facts.functions[index].flags.is_classmethod
                    {
                        classes[class.index()].attrs.entry(name).or_default().augmented = true;
                    }
                }
                EventKind::Call(call) => {
                    let facts_call = &facts.calls[call.index()];
                    if let Term::Attr(container, method) = facts.terms.get(facts_call.callee)
                        && crate::model::methods::adds_last_argument(method)
                        && let Some(value) = facts.args_of(call).last()
                    {
                        put(program, module, container, value.value, &mut classes, &mut elements);
                    }
                }
                _ => {}
            }
        }
    }
    (classes, elements)
}

/// What the class bodies of a module define.
fn bodies(program: &Program, module: ModuleId) -> Vec<ClassInfo> {
    let facts = &program.module(module).facts;
    let mut classes: Vec<ClassInfo> = vec![ClassInfo::default(); facts.classes.len()];
    for (info, class) in classes.iter_mut().zip(&facts.classes) {
        for &method in &class.methods {
            let function = &facts.functions[method.index()];
            // `@size.setter` has the name of the getter, which is what a read runs.
            let is_setter = function.decorators.iter().any(|&decorator| {
                matches!(facts.terms.get(decorator), Term::Attr(_, name) if name == sym!("setter") || name == sym!("deleter"))
            });
            if !is_setter || !info.methods.contains_key(&function.name) {
                info.methods.insert(function.name, program.func_id(module, method));
            }
        }
    }
    for (index, var) in facts.vars.iter().enumerate() {
        if let crate::facts::ScopeKind::Class(class) = facts.scopes[var.scope.index()].kind
            && !var.values.iter().all(|&value| matches!(facts.terms.get(value), Term::Function(_)))
        {
            classes[class.index()].attrs.entry(var.name).or_default().class_var = Some(VarIx::at(index));
        }
    }
    classes
}

fn put(
    program: &Program,
    module: ModuleId,
    container: TermId,
    value: TermId,
    classes: &mut [ClassInfo],
    elements: &mut Elements,
) {
    let facts = &program.module(module).facts;
    if value.is_opaque() {
        return;
    }
    if let Some(var) = facts.var_of(container) {
        elements.entry(var).or_default().push(value);
    } else if let Term::Attr(base, name) = facts.terms.get(container)
        && let Some(class) = self_class(program, module, base)
    {
        classes[class.index()].attrs.entry(name).or_default().elements.push(value);
    }
}

/// The class a term is `self` (or `cls`) of, judged from the module alone.
pub(super) fn self_class(program: &Program, module: ModuleId, term: TermId) -> Option<ClassIx> {
    let facts = &program.module(module).facts;
    let var = facts.var_of(term)?;
    let &first = facts.vars[var.index()].values.first()?;
    let Term::Param(function, 0) = facts.terms.get(first) else { return None };
    let function = &facts.functions[function.index()];
    if function.flags.is_static { None } else { function.class }
}

/// Bases, resolution order and subclasses of all classes.
pub(super) fn link_bases(program: &mut Program) {
    for index in 0..program.classes.len() {
        let class = ClassId::at(index);
        let (module, local) = program.class_local(class);
        let bases = program.module(module).facts.classes[local.index()].bases.clone();
        for base in bases {
            match program.kind(module, base) {
                Kind::Class(base) if base != class => program.classes[index].bases.push(base),
                Kind::Lib(name) => program.classes[index].lib_bases.push(name),
                _ => {
                    let name = program.thread_local_base(module, base);
                    program.classes[index].lib_bases.extend(name);
                }
            }
        }
    }
    for index in 0..program.classes.len() {
        let mut order = Vec::new();
        linearize(program, ClassId::at(index), &mut order, (0, &mut 0));
        let mut lib_bases = Vec::new();
        for &class in &order {
            for &base in &program.classes[class.index()].lib_bases {
                if !lib_bases.contains(&base) {
                    lib_bases.push(base);
                }
            }
        }
        program.classes[index].mro = order;
        program.inherited_lib_bases.push(lib_bases);
        for base in program.classes[index].bases.clone() {
            program.classes[base.index()].subclasses.push(ClassId::at(index));
        }
    }
}

/// Depth first, the last mention of a class counts: Python's order for every hierarchy without cross edges.
fn linearize(program: &Program, class: ClassId, order: &mut Vec<ClassId>, (depth, visits): (usize, &mut usize)) {
    const MAX_DEPTH: usize = 24;
    const MAX_VISITS: usize = 2_000;
    *visits += 1;
    if depth > MAX_DEPTH || *visits > MAX_VISITS || (depth > 0 && order.first() == Some(&class)) {
        return;
    }
    order.retain(|&seen| seen != class);
    order.push(class);
    for &base in &program.classes[class.index()].bases {
        linearize(program, base, order, (depth + 1, visits));
    }
}
