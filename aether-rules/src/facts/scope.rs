//! Scopes, and the variables that live in them.
//!
//! *Invariant:* a scope comes after the one around it.

use ruff_text_size::TextRange;
use smallvec::SmallVec;

use super::symbol::Sym;
use super::term::{ClassIx, FuncIx, ScopeIx, TermId, VarIx};

/// A scope.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// What opens it.
    pub kind: ScopeKind,
    /// The scope around it; itself for the module's.
    pub parent: ScopeIx,
}

/// What opens a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// The module.
    Module,
    /// A class body.
    Class(ClassIx),
    /// A function or lambda.
    Function(FuncIx),
    /// A comprehension.
    Comprehension,
}

/// A variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: Sym,
    /// Where it lives.
    pub scope: ScopeIx,
    /// What is assigned to it, in source order.
    pub values: SmallVec<[TermId; 4]>,
    /// Its annotation, or the opaque term.
    pub annotation: TermId,
    /// Whether a nested function uses it.
    pub captured: bool,
    /// Where it is first bound.
    pub range: TextRange,
}

/// What a name means in the scope it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTarget {
    /// A variable of this module.
    Var(VarIx),
    /// Bound nowhere in the module: a builtin, or from a star import.
    Free(Sym),
}
