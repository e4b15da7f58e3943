//! What type inference need not ask again: conclusions from what stands already.
//!
//! *Invariant:* what is settled would come out the same in every later round, so leaving it out changes nothing.

use std::cell::Cell;

use super::kind::{FuncId, Kind, ModuleId};
use super::program::Program;
use crate::facts::{Sym, VarIx};

/// For how long a conclusion stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stands {
    /// Whatever later rounds learn.
    Always,
    /// Until it is known what calls hand to parameters.
    UntilPassed,
    /// Until the next round.
    #[default]
    Once,
}

/// How long what was concluded last stands.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// By module and variable.
    pub(super) vars: Vec<Vec<Stands>>,
    /// By function: what it returns.
    pub(super) returns: Vec<Stands>,
}

/// The weakest of what a conclusion rests on.
#[derive(Debug, Default)]
pub(super) struct Ground(Cell<Stands>);

impl Ground {
    pub(super) fn firm() -> Self {
        Self(Cell::new(Stands::Always))
    }

    pub(super) fn weaken(&self, stands: Stands) {
        self.0.set(self.0.get().max(stands));
    }

    pub(super) fn stands(&self) -> Stands {
        self.0.get()
    }
}

impl Program {
    pub(super) fn variable_stands(&self, module: ModuleId, var: VarIx) -> Stands {
        self.settled.vars[module.index()][var.index()]
    }

    pub(super) fn result_stands(&self, function: FuncId) -> Stands {
        self.settled.returns[function.index()]
    }

    /// How long it is known what a name of a module denotes.
    pub(super) fn global_stands(&self, module: ModuleId, name: Sym) -> Stands {
        match self.globals[module.index()].get(&name) {
            Some(&var) => self.variable_stands(module, var),
            None if self.index.submodule(module, name).is_some() => Stands::Always,
            None => self.free_name_stands(module),
        }
    }

    /// How long it is known what a name denotes that the module does not define.
    pub(super) fn free_name_stands(&self, module: ModuleId) -> Stands {
        if self.star_imports[module.index()].is_empty() { Stands::Always } else { Stands::Once }
    }

    /// How long it is known what `base.name` denotes, the base being this.
    pub(super) fn member_stands(&self, base: Kind, name: Sym) -> Stands {
        match base {
            Kind::Module(module) => self.global_stands(module, name),
            Kind::Class(class) | Kind::Instance(class) => match self.classes[class.index()].methods.get(&name) {
                Some(&method) if !self.function(method).flags.is_property => Stands::Always,
                _ => Stands::Once,
            },
            Kind::Super(_) => Stands::Once,
            _ => Stands::Always,
        }
    }
}
