//! The linked program, and what a rule may ask of it.
//!
//! *Invariant:* once linked it never changes; every answer is a pure function of the question.

use std::sync::{Arc, OnceLock};

use super::access::Accesses;
use super::calls::Callee;
use super::classes::{ClassInfo, Elements};
use super::imports::ModuleIndex;
use super::kind::{ClassId, FuncId, Kind, ModuleId};
use super::locks::Locks;
use super::promise::Promises;
use super::reach::Reach;
use super::roots::Root;
use crate::facts::{ClassIx, FuncIx, Function, ModuleFacts, Qual, Sym};
use crate::model::custom::ModelIndex;
use crate::parallel::of_each;
use crate::settings::Settings;
use crate::source::{FileId, Span};
use ruff_text_size::TextRange;

/// One module of the program.
#[derive(Debug)]
pub struct Module {
    /// The display path.
    pub path: Arc<str>,
    /// What the module says.
    pub facts: ModuleFacts,
    /// The settings that hold for it.
    pub settings: Arc<Settings>,
    pub(super) first_function: u32,
    pub(super) first_class: u32,
}

/// What an import statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImportTarget {
    /// A module of the program.
    Module(ModuleId),
    /// A name in a module of the program.
    Member(ModuleId, Sym),
    /// Something outside.
    Lib(Qual),
}

/// Everything known of the files under analysis, together.
#[derive(Debug, Default)]
pub struct Program {
    pub(super) modules: Vec<Module>,
    pub(super) index: ModuleIndex,
    pub(super) function_modules: Vec<ModuleId>,
    pub(super) class_modules: Vec<ModuleId>,
    pub(super) imports: Vec<Vec<ImportTarget>>,
    pub(super) star_imports: Vec<Vec<ModuleId>>,
    pub(super) classes: Vec<ClassInfo>,
    pub(super) inherited_lib_bases: Vec<Vec<Qual>>,
    pub(super) elements: Vec<Elements>,
    pub(super) globals: Vec<rustc_hash::FxHashMap<Sym, crate::facts::VarIx>>,
    pub(super) var_kinds: Vec<Vec<Kind>>,
    pub(super) returns: Vec<Kind>,
    pub(super) settled: super::settled::Settled,
    /// By module, then term: what it denotes, once nothing changes any more.
    pub(super) term_kinds: Vec<Box<[Kind]>>,
    pub(super) callees: Vec<Vec<Callee>>,
    pub(super) calls_by_name: OnceLock<super::calls::CallsByName>,
    pub(super) callers: super::rows::Rows<super::calls::CallSite>,
    /// What libraries do, by the tables and the user's own rows.
    pub(crate) models: ModelIndex,
    /// Functions of the program that the user's rows name, and the names they are to be read as.
    pub(super) modelled: rustc_hash::FxHashMap<FuncId, Qual>,
    pub(super) passed: super::passed::Passed,
    pub(super) roots: Vec<Root>,
    pub(super) reach: Reach,
    /// By function: whether it runs before anything is shared, or when nobody else is there.
    pub(super) setup: Vec<bool>,
    pub(super) locks: Locks,
    pub(super) accesses: Accesses,
    pub(super) promises: Promises,
    /// By module: whether other people's programs import it.
    pub(crate) libraries: OnceLock<Vec<bool>>,
    /// The functions that are only applied to definitions at the top of modules.
    pub(super) decorators: OnceLock<rustc_hash::FxHashSet<FuncId>>,
    pub(super) by_name: OnceLock<super::by_name::ByName>,
    pub(super) nesting: std::sync::OnceLock<super::nesting::Nesting>,
    /// Classes of which their own module makes an object.
    pub(super) global_objects: OnceLock<rustc_hash::FxHashSet<ClassId>>,
    /// The places that a lock is named after.
    pub(super) named: OnceLock<rustc_hash::FxHashMap<super::places::Place, super::locks::LockId>>,
}

impl Program {
    /// Links modules, given in path order.
    pub(crate) fn link(modules: Vec<(Arc<str>, Arc<Settings>, ModuleFacts)>) -> Self {
        let mut program = Self::default();
        for (path, settings, facts) in modules {
            let id = ModuleId::at(program.modules.len());
            let first_function = program.function_modules.len() as u32;
            let first_class = program.class_modules.len() as u32;
            program.function_modules.extend(facts.functions.iter().map(|_| id));
            program.class_modules.extend(facts.classes.iter().map(|_| id));
            program.modules.push(Module { path, facts, settings, first_function, first_class });
        }
        let returned = super::infer::infer(&mut program);
        super::calls::resolve(&mut program);
        super::roots::find(&mut program);
        // Now that calls and roots are known, parameters get kinds, and what depends on them is settled once more.
        program.passed = super::passed::collect(&program);
        super::infer::refine(&mut program, &returned);
        super::calls::resolve(&mut program);
        super::roots::find(&mut program);
        program.passed = super::passed::collect(&program);
        super::reach::propagate(&mut program);
        program.setup = super::setup::find(&program);
        super::locks::compute(&mut program);
        super::access::collect(&mut program);
        super::promise::cover(&mut program);
        program
    }

    /// What a link step makes of each module, on all threads, in path order.
    pub(super) fn each_module<T: Send>(&self, step: impl Fn(ModuleId) -> T + Sync) -> Vec<T> {
        of_each(self.modules.len(), |index| step(ModuleId::at(index)))
    }

    /// Every module, in path order.
    pub fn modules(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.modules.iter().enumerate().map(|(index, module)| (ModuleId::at(index), module))
    }

    /// One module.
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.index()]
    }

    /// How many functions the program has, module bodies included.
    pub fn function_count(&self) -> usize {
        self.function_modules.len()
    }

    /// The number of a module's function in the program.
    pub fn func_id(&self, module: ModuleId, function: FuncIx) -> FuncId {
        FuncId(self.modules[module.index()].first_function + function.0)
    }

    /// The number of a module's class in the program.
    pub fn class_id(&self, module: ModuleId, class: ClassIx) -> ClassId {
        ClassId(self.modules[module.index()].first_class + class.0)
    }

    /// The module a function is in, and its number there.
    pub fn func_local(&self, function: FuncId) -> (ModuleId, FuncIx) {
        let module = self.function_modules[function.index()];
        (module, FuncIx(function.0 - self.modules[module.index()].first_function))
    }

    /// The module a class is in, and its number there.
    pub fn class_local(&self, class: ClassId) -> (ModuleId, ClassIx) {
        let module = self.class_modules[class.index()];
        (module, ClassIx(class.0 - self.modules[module.index()].first_class))
    }

    /// A function.
    pub fn function(&self, function: FuncId) -> &Function {
        let (module, local) = self.func_local(function);
        &self.modules[module.index()].facts.functions[local.index()]
    }

    /// A class.
    pub fn class(&self, class: ClassId) -> &ClassInfo {
        &self.classes[class.index()]
    }

    /// The class a function is a method of, directly or as a function nested in one.
    pub fn class_of(&self, function: FuncId) -> Option<ClassId> {
        let (module, local) = self.func_local(function);
        let facts = &self.modules[module.index()].facts;
        let class = facts.functions[local.index()].class?;
        Some(self.class_id(module, class))
    }

    /// The name of a class.
    pub fn class_name(&self, class: ClassId) -> &str {
        let (module, local) = self.class_local(class);
        let facts = &self.module(module).facts;
        facts.name(facts.classes[local.index()].name)
    }

    /// `Class.method`, `function`, `outer.inner`: how a reader would name it.
    pub fn function_name(&self, function: FuncId) -> String {
        let (module, local) = self.func_local(function);
        let facts = &self.module(module).facts;
        let function = &facts.functions[local.index()];
        let name = facts.name(function.name);
        match (function.class, function.parent) {
            (Some(class), _) => format!("{}.{name}", facts.name(facts.classes[class.index()].name)),
            (None, Some(parent)) if parent.0 != 0 => {
                format!("{}.{name}", self.function_name(self.func_id(module, parent)))
            }
            _ => name.to_owned(),
        }
    }

    /// A stretch of a module.
    pub fn span(&self, module: ModuleId, range: TextRange) -> Span {
        Span::new(FileId(module.0), range)
    }

    /// The header of a function.
    pub fn function_span(&self, function: FuncId) -> Span {
        let (module, local) = self.func_local(function);
        self.span(module, self.module(module).facts.functions[local.index()].name_range)
    }
}
