//! Expressions, reduced to what can denote an object: symbolic, deduplicated, comparable by number.
//!
//! Two expressions of one scope that read the same get the same [`TermId`]; that is how `if k not in d` meets
//! `d[k] = …`. What has no model becomes [`Term::Opaque`].
//!
//! *Invariant:* a term only refers to terms made before it, so every walk over terms ends.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::symbol::Sym;
use super::table::fit;

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The position in its table.
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The index of a position.
            pub const fn at(index: usize) -> Self {
                Self(index as u32)
            }
        }
    )+};
}

index! {
    /// A term of a module.
    TermId,
    /// A name as seen from a scope.
    NameIx,
    /// A variable of a module.
    VarIx,
    /// A call of a module.
    CallIx,
    /// A function of a module; 0 is the module's own body.
    FuncIx,
    /// A class of a module.
    ClassIx,
    /// A scope of a module; 0 is the module's own.
    ScopeIx,
    /// A control context of a module.
    CtxIx,
    /// An import of a module.
    ImportIx,
    /// An event of a module.
    EventIx,
}

impl TermId {
    /// The term of everything that is not modelled. Not equal to anything, itself included.
    pub const OPAQUE: Self = Self(0);

    /// Whether nothing is known of it.
    pub fn is_opaque(self) -> bool {
        self == Self::OPAQUE
    }

    /// Whether both are known to be the same expression.
    pub fn same(self, other: Self) -> bool {
        self == other && !self.is_opaque()
    }
}

/// What an expression denotes, as far as one module tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// Not modelled.
    Opaque,
    /// A name, looked up from the scope it stands in.
    Name(NameIx),
    /// `base.attr`.
    Attr(TermId, Sym),
    /// `base[key]`.
    Item(TermId, TermId),
    /// The result of a call. Every call is its own term.
    Call(CallIx),
    /// A literal.
    Const(Const),
    /// A list, tuple, set or dict display, and its first elements (values, for a dict).
    Display(Container, TermList),
    /// A comprehension or generator expression, and its element.
    Comp(Container, TermId),
    /// A `def` or `lambda`.
    Function(FuncIx),
    /// A `class`.
    Class(ClassIx),
    /// The value a parameter has on entry.
    Param(FuncIx, u16),
    /// What an import binds.
    Import(ImportIx),
    /// One element of an iterable.
    Element(TermId),
    /// What `with expr as x` binds.
    Entered(TermId),
    /// The n-th part of an unpacked value.
    Unpacked(TermId, u16),
    /// `await expr`.
    Awaited(TermId),
    /// `not expr`.
    Not(TermId),
    /// `a < b` and its kind.
    Compare(Comparison, TermId, TermId),
    /// `a and b`.
    And(TermId, TermId),
    /// `a or b`.
    Or(TermId, TermId),
    /// `a if test else b`, without the test.
    Either(TermId, TermId),
    /// `a + b` and its kind; unary operators have an opaque right side.
    Operation(TermId, TermId),
    /// The exception a handler binds.
    Caught(TermId),
}

/// A literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Const {
    /// `None`.
    None,
    /// `True`.
    True,
    /// `False`.
    False,
    /// A small integer.
    Int(i32),
    /// A string.
    Str(Sym),
    /// Another immutable literal.
    Other,
}

/// A built-in container a literal or comprehension makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// `[]`
    List,
    /// `()`
    Tuple,
    /// `{1}`
    Set,
    /// `{}`
    Dict,
    /// `(x for x in …)`
    Generator,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `==`
    Eq,
    /// `!=`
    NotEq,
    /// `<`, `<=`, `>`, `>=`
    Order,
    /// `is`
    Is,
    /// `is not`
    IsNot,
    /// `in`
    In,
    /// `not in`
    NotIn,
}

/// Terms in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TermList {
    start: u32,
    len: u16,
}

/// The terms of a module.
#[derive(Clone, Debug)]
pub struct Terms {
    all: Vec<Term>,
    lists: Vec<TermId>,
}

impl Terms {
    /// What `id` stands for.
    pub fn get(&self, id: TermId) -> Term {
        self.all[id.index()]
    }

    /// The terms of a list.
    pub fn list(&self, list: TermList) -> &[TermId] {
        &self.lists[list.start as usize..list.start as usize + usize::from(list.len)]
    }

    /// How many terms there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Never: the opaque term always exists.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The direct parts of a term.
    pub fn children(&self, id: TermId) -> impl Iterator<Item = TermId> + '_ {
        let (pair, list): ([TermId; 2], &[TermId]) = match self.get(id) {
            Term::Attr(a, _)
            | Term::Comp(_, a)
            | Term::Element(a)
            | Term::Entered(a)
            | Term::Unpacked(a, _)
            | Term::Awaited(a)
            | Term::Not(a)
            | Term::Caught(a) => ([a, TermId::OPAQUE], &[]),
            Term::Item(a, b)
            | Term::Compare(_, a, b)
            | Term::And(a, b)
            | Term::Or(a, b)
            | Term::Either(a, b)
            | Term::Operation(a, b) => ([a, b], &[]),
            Term::Display(_, list) => ([TermId::OPAQUE; 2], self.list(list)),
            _ => ([TermId::OPAQUE; 2], &[]),
        };
        pair.into_iter().chain(list.iter().copied()).filter(|term| !term.is_opaque())
    }
}

/// Terms in the making.
#[derive(Debug)]
pub(super) struct TermTable {
    terms: Terms,
    known: FxHashMap<Term, TermId>,
    /// By name: names are terms too often to hash them.
    names: Vec<TermId>,
}

impl TermTable {
    pub(super) fn new() -> Self {
        let terms = Terms { all: vec![Term::Opaque], lists: Vec::new() };
        Self { terms, known: FxHashMap::default(), names: Vec::new() }
    }

    pub(super) fn get(&self, id: TermId) -> Term {
        self.terms.get(id)
    }

    /// The number of `term`: the same for the same term.
    pub(super) fn intern(&mut self, term: Term) -> TermId {
        if term == Term::Opaque {
            return TermId::OPAQUE;
        }
        if let Term::Call(_) = term {
            return self.push(term);
        }
        if let Term::Name(name) = term {
            return self.name(name);
        }
        if let Term::Display(_, list) = term
            && list.len > 0
        {
            // Its elements have a place of their own, so no other term is like it.
            return self.push(term);
        }
        match self.known.entry(term) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(entry) => {
                let id = TermId::at(self.terms.all.len());
                entry.insert(id);
                self.terms.all.push(term);
                id
            }
        }
    }

    fn name(&mut self, name: NameIx) -> TermId {
        if self.names.len() <= name.index() {
            self.names.resize(name.index() + 1, TermId::OPAQUE);
        }
        if self.names[name.index()].is_opaque() {
            self.names[name.index()] = self.push(Term::Name(name));
        }
        self.names[name.index()]
    }

    /// The n-th term of a list, opaque past its end.
    pub(super) fn item(&self, list: TermList, position: usize) -> TermId {
        self.terms.list(list).get(position).copied().unwrap_or(TermId::OPAQUE)
    }

    fn push(&mut self, term: Term) -> TermId {
        let id = TermId::at(self.terms.all.len());
        self.terms.all.push(term);
        id
    }

    pub(super) fn list(&mut self, items: &[TermId]) -> TermList {
        let list = TermList { start: self.terms.lists.len() as u32, len: items.len() as u16 };
        self.terms.lists.extend_from_slice(items);
        list
    }

    /// The terms, in lists of just the right length.
    pub(super) fn finish(&self) -> Terms {
        Terms { all: self.terms.all.as_slice().to_vec(), lists: self.terms.lists.as_slice().to_vec() }
    }

    /// Makes room for about `expected` terms that are looked up by their parts.
    pub(super) fn fit(&mut self, expected: usize) {
        fit(&mut self.known, expected);
    }

    /// Forgets all terms but the opaque one, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.terms.all.truncate(1);
        self.terms.lists.clear();
        self.known.clear();
        self.names.clear();
    }
}
