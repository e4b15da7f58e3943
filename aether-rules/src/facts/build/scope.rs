//! Scopes, and what a name means from where.
//!
//! *Invariant:* until [`Scopes::resolve`] a name is a pair of scope and identifier; afterwards every pair has one
//! meaning, by Python's rules: own scope, enclosing functions (never classes), module, builtins.

use ruff_text_size::TextRange;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::facts::table::fit;
use crate::facts::{NameIx, NameTarget, Scope, ScopeIx, ScopeKind, Sym, TermId, VarIx, Variable};

/// The scopes of a module in the making.
pub(super) struct Scopes {
    all: Vec<Scope>,
    bound: FxHashMap<(ScopeIx, Sym), VarIx>,
    declared: FxHashMap<(ScopeIx, Sym), Declared>,
    vars: Vec<Variable>,
    names: Vec<(ScopeIx, Sym)>,
    /// By name: whether it is already known to be a plain local here.
    local: Vec<bool>,
    name_of: FxHashMap<(ScopeIx, Sym), NameIx>,
    comprehension_targets: FxHashSet<(ScopeIx, Sym)>,
}

/// A name moved to another scope by a declaration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Global,
    Nonlocal,
}

impl Scopes {
    pub(super) fn new() -> Self {
        Self {
            all: vec![Scope { kind: ScopeKind::Module, parent: ScopeIx(0) }],
            bound: FxHashMap::default(),
            declared: FxHashMap::default(),
            vars: Vec::new(),
            names: Vec::new(),
            local: Vec::new(),
            name_of: FxHashMap::default(),
            comprehension_targets: FxHashSet::default(),
        }
    }

    /// Makes room for about `expected` names.
    pub(super) fn fit(&mut self, expected: usize) {
        fit(&mut self.bound, expected);
        fit(&mut self.name_of, expected);
    }

    /// Forgets all but the module's scope, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.all.push(Scope { kind: ScopeKind::Module, parent: ScopeIx(0) });
        self.bound.clear();
        self.declared.clear();
        self.vars.clear();
        self.names.clear();
        self.local.clear();
        self.name_of.clear();
        self.comprehension_targets.clear();
    }

    pub(super) fn open(&mut self, kind: ScopeKind, parent: ScopeIx) -> ScopeIx {
        self.all.push(Scope { kind, parent });
        ScopeIx::at(self.all.len() - 1)
    }

    pub(super) fn kind(&self, scope: ScopeIx) -> ScopeKind {
        self.all[scope.index()].kind
    }

    pub(super) fn declare(&mut self, scope: ScopeIx, name: Sym, declared: Declared) {
        self.declared.insert((self.plain(scope), name), declared);
    }

    /// Announces the targets of a comprehension before its element is walked.
    pub(super) fn announce(&mut self, scope: ScopeIx, name: Sym) {
        self.comprehension_targets.insert((scope, name));
    }

    /// The name as seen from `scope`. Inside a comprehension everything but its targets is seen from outside it, so
    /// that equal expressions inside and outside are equal terms.
    pub(super) fn name(&mut self, mut scope: ScopeIx, name: Sym) -> NameIx {
        while self.kind(scope) == ScopeKind::Comprehension && !self.comprehension_targets.contains(&(scope, name)) {
            scope = self.all[scope.index()].parent;
        }
        if let Some(&known) = self.name_of.get(&(scope, name)) {
            return known;
        }
        let at = NameIx::at(self.names.len());
        self.names.push((scope, name));
        self.local.push(self.has_locals(scope) && self.bound.contains_key(&(scope, name)));
        self.name_of.insert((scope, name), at);
        at
    }

    fn has_locals(&self, scope: ScopeIx) -> bool {
        matches!(self.kind(scope), ScopeKind::Function(_) | ScopeKind::Comprehension)
    }

    /// Whether the name is already known to be a plain local of this very scope: its reads interest nobody.
    pub(super) fn is_local(&self, scope: ScopeIx, name: NameIx) -> bool {
        self.local[name.index()] && self.names[name.index()].0 == scope
    }

    /// The variable that binding `name` in `scope` binds.
    pub(super) fn bind(&mut self, scope: ScopeIx, name: Sym, range: TextRange) -> VarIx {
        let scope = match self.declared.get(&(scope, name)) {
            Some(Declared::Global) => ScopeIx(0),
            Some(Declared::Nonlocal) => self.enclosing_with(scope, name),
            None => scope,
        };
        if let Some(&known) = self.bound.get(&(scope, name)) {
            return known;
        }
        if self.has_locals(scope)
            && let Some(&seen) = self.name_of.get(&(scope, name))
        {
            self.local[seen.index()] = true;
        }
        let var = VarIx::at(self.vars.len());
        self.bound.insert((scope, name), var);
        self.vars.push(Variable {
            name,
            scope,
            values: SmallVec::new(),
            annotation: TermId::OPAQUE,
            captured: false,
            range,
        });
        var
    }

    pub(super) fn var_mut(&mut self, var: VarIx) -> &mut Variable {
        &mut self.vars[var.index()]
    }

    /// The nearest scope that is no comprehension: where a walrus binds.
    pub(super) fn plain(&self, mut scope: ScopeIx) -> ScopeIx {
        while self.kind(scope) == ScopeKind::Comprehension {
            scope = self.all[scope.index()].parent;
        }
        scope
    }

    fn enclosing_with(&self, scope: ScopeIx, name: Sym) -> ScopeIx {
        let functions = self.ancestors(scope).filter(|&at| matches!(self.kind(at), ScopeKind::Function(_)));
        let functions: Vec<ScopeIx> = functions.collect();
        let bound = functions.iter().copied().find(|&at| self.bound.contains_key(&(at, name)));
        bound.or_else(|| functions.first().copied()).unwrap_or(scope)
    }

    fn ancestors(&self, scope: ScopeIx) -> impl Iterator<Item = ScopeIx> + '_ {
        let mut at = scope;
        std::iter::from_fn(move || {
            let parent = self.all[at.index()].parent;
            let more = parent != at;
            at = parent;
            more.then_some(parent)
        })
    }

    /// The meaning of every name, by [`NameIx`]; marks the variables that nested functions use.
    pub(super) fn resolve(&mut self) -> Vec<NameTarget> {
        let names = std::mem::take(&mut self.names);
        let targets = names.iter().map(|&(scope, name)| self.meaning(scope, name)).collect();
        self.names = names;
        targets
    }

    fn meaning(&mut self, scope: ScopeIx, name: Sym) -> NameTarget {
        match self.declared.get(&(scope, name)) {
            Some(Declared::Global) => return self.in_scope(ScopeIx(0), name),
            Some(Declared::Nonlocal) => {
                let outer = self.enclosing_with(scope, name);
                return self.captured(outer, name);
            }
            None => {}
        }
        if let Some(&var) = self.bound.get(&(scope, name)) {
            return NameTarget::Var(var);
        }
        let outer: Vec<ScopeIx> = self.ancestors(scope).collect();
        for at in outer {
            match self.kind(at) {
                ScopeKind::Class(_) => {}
                ScopeKind::Module => return self.in_scope(at, name),
                ScopeKind::Comprehension | ScopeKind::Function(_) => {
                    match self.declared.get(&(at, name)) {
                        Some(Declared::Global) => return self.in_scope(ScopeIx(0), name),
                        Some(Declared::Nonlocal) => continue,
                        None => {}
                    }
                    if self.bound.contains_key(&(at, name)) {
                        return self.captured(at, name);
                    }
                }
            }
        }
        NameTarget::Free(name)
    }

    fn in_scope(&self, scope: ScopeIx, name: Sym) -> NameTarget {
        self.bound.get(&(scope, name)).map_or(NameTarget::Free(name), |&var| NameTarget::Var(var))
    }

    fn captured(&mut self, scope: ScopeIx, name: Sym) -> NameTarget {
        let Some(&var) = self.bound.get(&(scope, name)) else { return NameTarget::Free(name) };
        self.vars[var.index()].captured = true;
        NameTarget::Var(var)
    }

    pub(super) fn take_vars(&mut self) -> Vec<Variable> {
        self.vars.drain(..).collect()
    }

    pub(super) fn take_scopes(&mut self) -> Vec<Scope> {
        self.all.as_slice().to_vec()
    }
}
