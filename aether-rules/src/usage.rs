//! Who uses what a library offers: nobody, only its own imports, only a program that has no threads, or anybody.
//!
//! *Invariant:* "nobody" is only said where other modules of the program could have used it.

use crate::facts::{FuncIx, ModuleFacts, Sym};
use crate::library;
use crate::link::{FuncId, ModuleId, Program};

/// How many calls are followed upwards.
const MAX_DEPTH: usize = 4;

/// Whether a function runs only while modules are imported: module bodies call it, directly or not, and nobody else.
pub(crate) fn is_import_time(program: &Program, function: FuncId) -> bool {
    is_import_time_within(program, function, 0)
}

fn is_import_time_within(program: &Program, function: FuncId, depth: usize) -> bool {
    let is_body = program.function(function).parent.is_none();
    let sites = program.callers(function);
    is_body
        || depth < MAX_DEPTH
            && !sites.is_empty()
            && sites.iter().all(|site| is_import_time_within(program, site.caller, depth + 1))
}

/// Whether a function is nobody's: no code calls it but what is nobody's itself, and the rest of the library uses its
/// module without naming it, or does not use its module, which is a private one.
pub(crate) fn is_unused(program: &Program, function: FuncId) -> bool {
    is_unused_within(program, function, 0)
}

fn is_unused_within(program: &Program, function: FuncId, depth: usize) -> bool {
    let (module, local) = program.func_local(function);
    if depth >= MAX_DEPTH || local == FuncIx(0) || program.escapes(function) {
        return false;
    }
    let sites = program.callers(function);
    if !sites.is_empty() {
        return sites.iter().all(|site| is_unused_within(program, site.caller, depth + 1));
    }
    let facts = &program.module(module).facts;
    let declaration = &facts.functions[local.index()];
    let name = declaration.class.map_or(declaration.name, |class| facts.classes[class.index()].name);
    let own = stem(&program.module(module).path);
    let imports = |facts: &ModuleFacts, member: Option<Sym>| {
        facts.imports.iter().filter(|import| member.is_none_or(|member| import.member == Some(member))).any(|import| {
            let mut parts = import.module.iter().chain(import.member.iter());
            parts.any(|&part| facts.name(part) == own)
        })
    };
    let others = || program.modules().filter(|(id, _)| *id != module && library::is_library(program, *id));
    let names = |facts: &ModuleFacts| facts.mentions(name) || imports(facts, Some(Sym::new("*")));
    let is_private = own.starts_with('_') && !own.starts_with("__");
    let is_used = is_private && others().next().is_some() || others().any(|(_, other)| imports(&other.facts, None));
    is_used && !others().any(|(_, other)| names(&other.facts))
}

/// The name by which a module is imported: its file's, or its folder's.
fn stem(path: &str) -> &str {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    match file.split('.').next().unwrap_or_default() {
        "__init__" => parts.next().unwrap_or_default(),
        stem => stem,
    }
}

/// Whether a function belongs to a program that is run by itself and has one thread: its main part leads there, and no
/// module on the way starts a thread.
pub(crate) fn is_in_single_threaded_program(program: &Program, function: FuncId) -> bool {
    let starts_thread = |function: FuncId| {
        let (module, _) = program.func_local(function);
        program.roots().any(|(_, root)| {
            let by = root.started.map_or(root.function, |started| started.by);
            root.runs_on.is_thread() && program.func_local(by).0 == module
        })
    };
    program.is_run_by_a_program(function)
        && !starts_thread(function)
        && !program.is_reached_by(function, &|site| starts_thread(site.caller))
}

/// Whether a module is part of a command line: whoever typed the command waits for it, and nobody else.
pub(crate) fn is_command_line(program: &Program, module: ModuleId) -> bool {
    const NAMES: &[&str] = &["cli", "commands", "command_line", "console"];
    const MAX_FOLDERS: usize = 3;
    let path = program.module(module).path.to_ascii_lowercase();
    let mut parts = path.rsplit('/');
    let stem = parts.next().unwrap_or_default().split('.').next().unwrap_or_default();
    stem == "__main__" || NAMES.contains(&stem) || parts.take(MAX_FOLDERS).any(|folder| NAMES.contains(&folder))
}
