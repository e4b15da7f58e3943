//! The rounds of type inference: variables, attributes and results from what the last round knew.
//!
//! Each round reads a snapshot of the last: deterministic and parallel, and enough for what code does in practice (a
//! lock made in a base class, returned by a helper, stored under another name).
//!
//! *Invariant:* the number of rounds is fixed; what is not known after the last one stays unknown. A round asks again
//! only what rests on something that may have changed.

use rustc_hash::FxHashMap;

use super::classes;
use super::imports::{self, ModuleIndex};
use super::kind::{ClassId, Kind, ModuleId};
use super::kinds::{MAX_VALUES, Within};
use super::program::{ImportTarget, Program};
use super::settled::{Ground, Settled, Stands};
use crate::facts::{EventKind, FuncIx, Function, Sym, TermId, VarIx};
use crate::model::objects;
use crate::parallel::of_small;
use crate::{qual, sym};

/// How often facts may travel one more assignment, call or import.
const ROUNDS: usize = 3;

/// Fills imports, classes and kinds.
pub(super) fn infer(program: &mut Program) -> Returned {
    link_imports(program);
    program.var_kinds = program.modules.iter().map(|module| vec![Kind::Unknown; module.facts.vars.len()]).collect();
    program.returns = vec![Kind::Unknown; program.function_modules.len()];
    program.settled = Settled {
        vars: program.var_kinds.iter().map(|kinds| vec![Stands::Once; kinds.len()]).collect(),
        returns: vec![Stands::Once; program.returns.len()],
    };
    let collected: Vec<_> = program.each_module(|module| classes::collect(program, module));
    for (infos, elements) in collected {
        program.classes.extend(infos);
        program.elements.push(elements);
    }
    let returned = returned(program);
    // The first round knows classes and imports by name, which is what bases are made of.
    round(program, &returned, Stands::Always);
    classes::link_bases(program);
    for _ in 1..ROUNDS {
        round(program, &returned, Stands::UntilPassed);
    }
    returned
}

/// One more round, with what is known of parameters.
pub(super) fn refine(program: &mut Program, returned: &Returned) {
    round(program, returned, Stands::Always);
    // Nothing changes any more: from now on terms are looked up.
    program.term_kinds = program.each_module(|module| terms(program, module));
}

/// What every term of a module denotes. A term comes after its parts, so one pass does.
fn terms(program: &Program, module: ModuleId) -> Box<[Kind]> {
    let count = program.modules[module.index()].facts.terms.len();
    let mut known = Vec::with_capacity(count);
    for index in 0..count {
        known.push(program.kind_within(module, TermId::at(index), Within { known: &known, ..Within::default() }));
    }
    known.into()
}

/// By module: what its functions return, in order.
pub(super) type Returned = Vec<Vec<(FuncIx, TermId)>>;

fn returned(program: &Program) -> Returned {
    program.each_module(|module| {
        let facts = &program.modules[module.index()].facts;
        let returns = facts.functions.iter().enumerate().flat_map(|(index, _)| {
            let events = facts.events_of(FuncIx::at(index)).iter();
            events.filter_map(move |event| match event.kind {
                EventKind::Return(value) if !value.is_opaque() => Some((FuncIx::at(index), value)),
                _ => None,
            })
        });
        returns.collect()
    })
}

fn link_imports(program: &mut Program) {
    program.index = ModuleIndex::new(program.modules.iter().map(|module| &*module.path));
    super::declared::find_modelled(program);
    program.globals = program.each_module(|module| {
        let vars = program.modules[module.index()].facts.vars.iter().enumerate();
        let globals = vars.filter(|(_, var)| var.scope.0 == 0);
        globals.map(|(index, var)| (var.name, VarIx::at(index))).collect::<FxHashMap<_, _>>()
    });
    let resolved: Vec<(Vec<ImportTarget>, Vec<ModuleId>)> = program.each_module(|importer| {
        let mut stars = Vec::new();
        let imports = &program.modules[importer.index()].facts.imports;
        let targets = imports.iter().map(|import| {
            let module = program.index.resolve(importer, import);
            match (module, import.member) {
                (Some(module), Some(member)) if member == sym!("*") => {
                    stars.push(module);
                    ImportTarget::Module(module)
                }
                (Some(module), Some(member)) => {
                    let has_name = program.globals[module.index()].contains_key(&member);
                    match program.index.submodule(module, member) {
                        Some(submodule) if !has_name => ImportTarget::Module(submodule),
                        _ => ImportTarget::Member(module, member),
                    }
                }
                (Some(module), None) => ImportTarget::Module(module),
                (None, member) => {
                    let base = imports::library_name(import);
                    let name = member.map_or(base, |member| base.child(member));
                    ImportTarget::Lib(program.models.canonical(objects::canonical(name)))
                }
            }
        });
        let targets = targets.collect();
        (targets, stars)
    });
    (program.imports, program.star_imports) = resolved.into_iter().unzip();
}

/// One step: every variable, attribute and result from the kinds of the last step, but for what stands so long.
fn round(program: &mut Program, returned: &Returned, settled: Stands) {
    let snapshot: &Program = program;
    let vars: Vec<(Vec<Kind>, Vec<Stands>)> = snapshot.each_module(|module| variables(snapshot, module, settled));
    let attrs: Vec<Vec<(Sym, Kind, Stands)>> =
        of_small(snapshot.classes.len(), |index| attributes(snapshot, ClassId::at(index), settled));
    let returns: Vec<Vec<(Kind, Stands)>> =
        snapshot.each_module(|module| results(snapshot, module, &returned[module.index()], settled));
    (program.var_kinds, program.settled.vars) = vars.into_iter().unzip();
    (program.returns, program.settled.returns) = returns.into_iter().flatten().unzip();
    for (info, kinds) in program.classes.iter_mut().zip(attrs) {
        for (name, kind, stands) in kinds {
            if let Some(attr) = info.attrs.get_mut(&name) {
                (attr.kind, attr.stands) = (kind, stands);
            }
        }
    }
}

fn variables(program: &Program, module: ModuleId, settled: Stands) -> (Vec<Kind>, Vec<Stands>) {
    let count = program.var_kinds[module.index()].len();
    let of_variable = |index| {
        let stands = program.settled.vars[module.index()][index];
        if stands <= settled {
            return (program.var_kinds[module.index()][index], stands);
        }
        variable(program, module, VarIx::at(index))
    };
    (0..count).map(of_variable).unzip()
}

fn variable(program: &Program, module: ModuleId, var: VarIx) -> (Kind, Stands) {
    let facts = &program.modules[module.index()].facts;
    let variable = &facts.vars[var.index()];
    let declared = program.annotated(module, variable.annotation);
    if declared.is_known() {
        return (declared, Stands::Once);
    }
    let ground = Ground::firm();
    if !variable.annotation.is_opaque() {
        ground.weaken(Stands::Once);
    }
    let values = variable.values.iter().take(MAX_VALUES);
    let kinds = values.map(|&value| program.kind_within(module, value, Within::on(&ground)));
    (kinds.fold(Kind::Unknown, Kind::join), ground.stands())
}

#[expect(clippy::iter_over_hash_type, reason = "the result is written back by name, in no order")]
fn attributes(program: &Program, class: ClassId, settled: Stands) -> Vec<(Sym, Kind, Stands)> {
    let (module, _) = program.class_local(class);
    let mut kinds = Vec::new();
    for (&name, attr) in &program.classes[class.index()].attrs {
        if attr.stands <= settled {
            continue;
        }
        let ground = Ground::firm();
        let stores = attr.stores.iter().map(|&(_, value)| program.kind_within(module, value, Within::on(&ground)));
        let stored = stores.fold(Kind::Unknown, Kind::join);
        let class_var = attr.class_var.map_or(Kind::Unknown, |var| {
            ground.weaken(program.variable_stands(module, var));
            program.var_kinds[module.index()][var.index()]
        });
        kinds.push((name, stored.join(class_var), ground.stands()));
    }
    kinds
}

/// What the functions of a module give, in order; `returned` is what their `return` statements say.
fn results(program: &Program, module: ModuleId, returned: &[(FuncIx, TermId)], settled: Stands) -> Vec<(Kind, Stands)> {
    let facts = &program.modules[module.index()].facts;
    let mut rest = returned;
    let of_function = |(index, declaration): (usize, &Function)| {
        let count = rest.iter().take_while(|(function, _)| function.index() == index).count();
        let (own, others) = rest.split_at(count);
        rest = others;
        let function = program.func_id(module, FuncIx::at(index));
        let stands = program.result_stands(function);
        if stands <= settled {
            return (program.returns[function.index()], stands);
        }
        if let Some(declared) = declared_result(program, module, declaration) {
            return (declared, Stands::Once);
        }
        let ground = Ground::firm();
        if !declaration.returns.is_opaque() {
            ground.weaken(Stands::Once);
        }
        let kinds = own.iter().map(|&(_, value)| program.kind_within(module, value, Within::on(&ground)));
        (kinds.fold(Kind::Unknown, Kind::join), ground.stands())
    };
    facts.functions.iter().enumerate().map(of_function).collect()
}

/// What a function gives, whatever its `return` statements say.
fn declared_result(program: &Program, module: ModuleId, declaration: &Function) -> Option<Kind> {
    if declaration.flags.is_generator {
        // A decorator makes something else of it: a context manager, a serialised iterator, a fixture.
        let is_plain =
            declaration.decorators.is_empty() || declaration.flags.is_static || declaration.flags.is_classmethod;
        return Some(if is_plain { Kind::Object(qual!("builtins.generator")) } else { Kind::Unknown });
    }
    let declared = program.annotated(module, declaration.returns);
    declared.is_known().then_some(declared)
}
