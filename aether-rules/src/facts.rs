//! What one module says about shared state, before anyone asks who calls whom.
//!
//! Facts are **owned** (the tree is dropped file by file), **local** (nothing here needed another module) and **total**:
//! what we cannot model becomes [`Term::Opaque`], never a panic and never a silent "safe".
//!
//! *Invariant:* nothing in this module names a rule.

use std::sync::{Arc, LazyLock};

use ruff_text_size::TextRange;

use crate::source::{SourceKind, SourceText};

mod build;
mod comment;
mod contract;
mod event;
mod letters;
mod promise;
mod scope;
mod symbol;
mod table;
mod term;

pub(crate) use build::build;
pub use comment::{Comment, CommentKind};
pub use event::{Arm, Ctx, CtxKind, Event, EventKind, WithKind};
pub use promise::ThreadSafety;
pub use scope::{NameTarget, Scope, ScopeKind, Variable};
pub use symbol::{Names, Qual, Sym};
pub use term::{
    CallIx, ClassIx, Comparison, Const, Container, CtxIx, EventIx, FuncIx, ImportIx, NameIx, ScopeIx, Term, TermId,
    TermList, Terms, VarIx,
};

/// Everything known of one module alone.
#[derive(Clone, Debug)]
pub struct ModuleFacts {
    /// The text of every identifier in the module.
    pub names: Names,
    /// Scopes; the first is the module's.
    pub scopes: Vec<Scope>,
    /// Variables of all scopes.
    pub vars: Vec<Variable>,
    /// For each [`NameIx`]: what the name means there.
    pub name_targets: Vec<NameTarget>,
    /// Expressions.
    pub terms: Terms,
    /// Functions; the first is the module's body.
    pub functions: Vec<Function>,
    /// Classes.
    pub classes: Vec<Class>,
    /// Calls.
    pub calls: Vec<Call>,
    /// Arguments of all calls.
    pub args: Vec<Argument>,
    /// Control contexts.
    pub ctxs: Vec<Ctx>,
    /// Steps of all functions.
    pub events: Vec<Event>,
    /// Imports.
    pub imports: Vec<Import>,
    /// Comments that mean something to Aether.
    pub comments: Vec<Comment>,
    /// Places whose assignment carries a `guarded-by` comment.
    pub guards: Vec<DeclaredGuard>,
    /// What the module's documentation says about threads.
    pub thread_safety: ThreadSafety,
    /// Whether a name of the module has to do with forked processes: `fork`, `after_fork`, `getpid`.
    pub forks: bool,
}

/// A function, method, lambda, or the module's body.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name; of `<module>` and `<lambda>` too.
    pub name: Sym,
    /// The name in its header.
    pub name_range: TextRange,
    /// All of it.
    pub range: TextRange,
    /// Its scope.
    pub scope: ScopeIx,
    /// The function it is nested in, through classes too.
    pub parent: Option<FuncIx>,
    /// The class it is a method of.
    pub class: Option<ClassIx>,
    /// Async, generator, and so on.
    pub flags: FunctionFlags,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// Decorators, outermost first.
    pub decorators: Vec<TermId>,
    /// Its steps, as a range of [`ModuleFacts::events`].
    pub events: std::ops::Range<u32>,
    /// The annotation of its result, or the opaque term.
    pub returns: TermId,
    /// The context of its body.
    pub body: CtxIx,
    /// The variable a `def` binds.
    pub var: Option<VarIx>,
}

/// Yes/no facts about a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of the grammar, not a state machine")]
pub struct FunctionFlags {
    /// `async def`.
    pub is_async: bool,
    /// Contains `yield`.
    pub is_generator: bool,
    /// `lambda`.
    pub is_lambda: bool,
    /// By its name nobody else's business: `_name`, but not `__name__`.
    pub is_private: bool,
    /// Under `@staticmethod`.
    pub is_static: bool,
    /// Under `@classmethod`, or `__new__`, `__init_subclass__`.
    pub is_classmethod: bool,
    /// Under a decorator that makes a property.
    pub is_property: bool,
    /// Documented as called with a lock held.
    pub is_under_lock: bool,
    /// Documented or decorated as deprecated.
    pub is_deprecated: bool,
    /// Documented or named as there for tests only.
    pub is_for_tests: bool,
    /// Its documentation says that it is not safe for several threads.
    pub is_not_thread_safe: bool,
    /// Its documentation promises that something happens only once.
    pub is_once: bool,
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: Sym,
    /// Its variable.
    pub var: VarIx,
    /// How an argument finds it.
    pub kind: ParamKind,
    /// Its default, or the opaque term.
    pub default: TermId,
}

/// How an argument finds its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// By position, or by name.
    Positional,
    /// By name only.
    Keyword,
    /// `*args`.
    Args,
    /// `**kwargs`.
    Kwargs,
}

/// A class.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: Sym,
    /// The name in its header.
    pub name_range: TextRange,
    /// All of it.
    pub range: TextRange,
    /// Its scope.
    pub scope: ScopeIx,
    /// Bases, in order.
    pub bases: Vec<TermId>,
    /// `metaclass=`, or the opaque term.
    pub metaclass: TermId,
    /// Decorators.
    pub decorators: Vec<TermId>,
    /// Methods, in source order.
    pub methods: Vec<FuncIx>,
    /// The function its body runs in.
    pub owner: FuncIx,
    /// What its documentation says about threads.
    pub thread_safety: ThreadSafety,
    /// Whether its documentation promises that something happens only once.
    pub is_once: bool,
    /// Whether its documentation says that it stands in for something while tests run.
    pub is_stand_in: bool,
}

/// A call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What is called.
    pub callee: TermId,
    /// Where.
    pub range: TextRange,
    /// Its arguments: start and count in [`ModuleFacts::args`].
    pub args: (u32, u16),
    /// What becomes of the result.
    pub usage: Usage,
    /// The context of the call.
    pub ctx: CtxIx,
}

/// One argument of a call.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// How it is passed.
    pub name: ArgumentName,
    /// What is passed.
    pub value: TermId,
    /// Where.
    pub range: TextRange,
}

/// How an argument is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentName {
    /// By position.
    Positional,
    /// By name.
    Keyword(Sym),
    /// `*value`.
    Starred,
    /// `**value`.
    DoubleStarred,
}

/// What becomes of the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// An expression statement: thrown away.
    Discarded,
    /// Awaited.
    Awaited,
    /// The context expression of a `with`.
    Entered,
    /// Anything else.
    Used,
}

/// A place whose assignment carries a `guarded-by` comment.
#[derive(Clone, Debug)]
pub struct DeclaredGuard {
    /// The place.
    pub target: TermId,
    /// The lock's own name, without `self.`.
    pub lock: Sym,
    /// The lock as written.
    pub text: Arc<str>,
    /// The comment.
    pub range: TextRange,
}

/// An import.
#[derive(Clone, Debug)]
pub struct Import {
    /// Leading dots.
    pub level: u32,
    /// The dotted module, without the dots.
    pub module: Vec<Sym>,
    /// `from module import name`; `None` for `import module`.
    pub member: Option<Sym>,
    /// Where.
    pub range: TextRange,
}

impl ModuleFacts {
    /// The facts of a module that says nothing.
    pub(crate) fn empty() -> Self {
        static EMPTY: LazyLock<ModuleFacts> = LazyLock::new(|| {
            let source = SourceText { text: "".into(), kind: SourceKind::Module };
            match crate::parse::parse(&source) {
                crate::parse::ParsedModule::Tree { parsed, .. } => build(&source, parsed),
                crate::parse::ParsedModule::TooComplex(_) => unreachable!("the empty text does not nest"),
            }
        });
        EMPTY.clone()
    }

    /// The text of an identifier of this module.
    pub fn name(&self, name: Sym) -> &str {
        self.names.get(name).unwrap_or("?")
    }

    /// Whether the module mentions an identifier anywhere, in an import too.
    pub fn mentions(&self, name: Sym) -> bool {
        self.names.contains(name)
    }

    /// The function's steps.
    pub fn events_of(&self, function: FuncIx) -> &[Event] {
        let range = &self.functions[function.index()].events;
        &self.events[range.start as usize..range.end as usize]
    }

    /// The arguments of a call.
    pub fn args_of(&self, call: CallIx) -> &[Argument] {
        let (start, count) = self.calls[call.index()].args;
        &self.args[start as usize..start as usize + usize::from(count)]
    }

    /// The n-th positional argument, or the argument called `name`.
    pub fn arg(&self, call: CallIx, position: usize, name: Sym) -> Option<&Argument> {
        self.keyword(call, name).or_else(|| self.positional(call, position))
    }

    /// The n-th positional argument, unless a `*args` comes before it.
    pub fn positional(&self, call: CallIx, position: usize) -> Option<&Argument> {
        self.args_of(call).iter().take_while(|arg| arg.name == ArgumentName::Positional).nth(position)
    }

    /// The argument called `name`.
    pub fn keyword(&self, call: CallIx, name: Sym) -> Option<&Argument> {
        self.args_of(call).iter().find(|arg| arg.name == ArgumentName::Keyword(name))
    }

    /// The method or attribute a call calls: `append` in `names.append(x)`.
    pub fn callee_name(&self, call: CallIx) -> Option<Sym> {
        match self.terms.get(self.calls[call.index()].callee) {
            Term::Attr(_, name) => Some(name),
            _ => None,
        }
    }

    /// What a method is called on: `names` in `names.append(x)`; opaque for a plain function.
    pub fn receiver_of(&self, call: CallIx) -> TermId {
        match self.terms.get(self.calls[call.index()].callee) {
            Term::Attr(base, _) => base,
            _ => TermId::OPAQUE,
        }
    }

    /// The contexts around `ctx`, innermost first, itself included.
    pub fn ctx_chain(&self, ctx: CtxIx) -> impl Iterator<Item = (CtxIx, &Ctx)> {
        let mut next = Some(ctx);
        std::iter::from_fn(move || {
            let at = next?;
            let ctx = &self.ctxs[at.index()];
            next = (ctx.parent != at).then_some(ctx.parent);
            Some((at, ctx))
        })
    }

    /// The function whose body `ctx` lies in.
    pub fn function_of_ctx(&self, ctx: CtxIx) -> FuncIx {
        self.ctxs[ctx.index()].function
    }

    /// Whether `inner` lies in `outer`, or is it.
    pub fn ctx_within(&self, inner: CtxIx, outer: CtxIx) -> bool {
        self.ctx_chain(inner).any(|(at, _)| at == outer)
    }

    /// The variable a name term means, if it is one of this module.
    pub fn var_of(&self, term: TermId) -> Option<VarIx> {
        let Term::Name(name) = self.terms.get(term) else { return None };
        match self.name_targets[name.index()] {
            NameTarget::Var(var) => Some(var),
            NameTarget::Free(_) => None,
        }
    }

    /// The scope kind a variable lives in.
    pub fn var_scope(&self, var: VarIx) -> ScopeKind {
        self.scopes[self.vars[var.index()].scope.index()].kind
    }
}
