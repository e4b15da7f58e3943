//! Objects that live on the one thread of a graphical user interface.
//!
//! *Invariant:* a class counts only where one of its own methods calls the toolkit.

use crate::facts::{EventKind, FuncIx, ModuleFacts, Sym, Term, TermId};
use crate::link::kind::ModuleId;
use crate::link::program::Program;
use crate::sym;

/// Toolkits whose objects may be used on one thread only.
const TOOLKITS: [Sym; 10] = [
    sym!("tkinter"),
    sym!("Tkinter"),
    sym!("customtkinter"),
    sym!("PyQt5"),
    sym!("PyQt6"),
    sym!("PySide2"),
    sym!("PySide6"),
    sym!("qtpy"),
    sym!("wx"),
    sym!("gi"),
];

/// Whether a method of a class makes widgets: the class then belongs to the thread of the toolkit, and a lock of its own
/// guards what it shares with a worker, not the object.
pub(super) fn makes_widgets(facts: &ModuleFacts, methods: &[FuncIx]) -> bool {
    let is_import = |import: &crate::facts::Import| import.module.first().is_some_and(|name| TOOLKITS.contains(name));
    facts.imports.iter().any(is_import)
        && methods.iter().flat_map(|&method| facts.events_of(method)).any(|event| match event.kind {
            EventKind::Call(call) => is_of_toolkit(facts, facts.calls[call.index()].callee, &is_import),
            _ => false,
        })
}

/// `tkinter.Tk`, `Tk` after `from tkinter import Tk`.
fn is_of_toolkit(facts: &ModuleFacts, callee: TermId, is_import: &dyn Fn(&crate::facts::Import) -> bool) -> bool {
    match facts.terms.get(callee) {
        Term::Attr(base, _) => is_of_toolkit(facts, base, is_import),
        Term::Name(_) => facts.var_of(callee).is_some_and(|var| {
            facts.vars[var.index()].values.iter().any(|&value| match facts.terms.get(value) {
                Term::Import(import) => is_import(&facts.imports[import.index()]),
                _ => false,
            })
        }),
        _ => false,
    }
}

impl Program {
    /// Whether a module has to do with a toolkit of which all objects live on one thread.
    pub fn is_graphical(&self, module: ModuleId) -> bool {
        const PARTS: [Sym; 3] = [sym!("QtCore"), sym!("QtGui"), sym!("QtWidgets")];
        let facts = &self.modules[module.index()].facts;
        let is_import =
            |import: &crate::facts::Import| import.module.first().is_some_and(|name| TOOLKITS.contains(name));
        PARTS.iter().any(|&part| facts.mentions(part)) || facts.imports.iter().any(is_import)
    }
}
