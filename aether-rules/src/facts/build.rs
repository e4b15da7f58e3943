//! One walk over the tree; afterwards the tree is not needed.
//!
//! *Invariant:* the walk emits events in evaluation order, and names are only resolved once the whole module has been
//! seen: in Python a later assignment decides what an earlier name means.

use ruff_python_ast::ModModule;
use ruff_python_parser::Parsed;
use ruff_text_size::TextRange;

use super::comment;
use super::promise;
use super::term::TermTable;
use super::{
    Argument, Call, CallIx, Class, ClassIx, Comment, CommentKind, Ctx, CtxIx, CtxKind, DeclaredGuard, Event, EventKind,
    FuncIx, Function, FunctionFlags, Import, ModuleFacts, NameTarget, Names, ScopeIx, ScopeKind, Sym, Term, TermId,
    ThreadSafety, Variable,
};
use crate::source::SourceText;

mod class;
mod comprehension;
mod constant;
mod expr;
mod function;
mod guard;
mod scope;
mod stmt;

use scope::Scopes;

/// The facts of one module.
pub(crate) fn build(source: &SourceText, parsed: &Parsed<ModModule>) -> ModuleFacts {
    let module = parsed.syntax();
    let mut builder = Builder::new();
    let body_ctx = builder.push_ctx(CtxKind::Body(FuncIx(0)), TextRange::empty(module.range.start()));
    builder.ctx = body_ctx;
    let name = builder.sym("<module>");
    builder.functions.push(Function {
        name,
        name_range: TextRange::empty(module.range.start()),
        range: module.range,
        scope: ScopeIx(0),
        parent: None,
        class: None,
        flags: FunctionFlags::default(),
        params: Vec::new(),
        decorators: Vec::new(),
        events: 0..0,
        returns: TermId::OPAQUE,
        body: body_ctx,
        var: None,
    });
    builder.frames.push(Frame { function: FuncIx(0), events: Vec::new() });
    builder.block(&module.body);
    builder.finish_frame();
    let comments = comment::collect(&source.text, parsed.tokens());
    builder.finish(comments, source, promise::thread_safety(&module.body, ""))
}

/// The facts in the making.
struct Builder {
    names: Names,
    scopes: Scopes,
    terms: TermTable,
    functions: Vec<Function>,
    classes: Vec<Class>,
    calls: Vec<Call>,
    args: Vec<Argument>,
    ctxs: Vec<Ctx>,
    events: Vec<Event>,
    imports: Vec<Import>,
    /// Declared by annotations so far.
    guards: Vec<DeclaredGuard>,
    frames: Vec<Frame>,
    scope: ScopeIx,
    ctx: CtxIx,
    mode: Mode,
}

/// A function whose body is being walked.
struct Frame {
    function: FuncIx,
    events: Vec<Event>,
}

/// Whether what is walked runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Code.
    Live,
    /// An annotation: terms matter, events do not happen.
    Quiet,
}

impl Builder {
    fn new() -> Self {
        Self {
            names: Names::default(),
            scopes: Scopes::new(),
            terms: TermTable::new(),
            functions: Vec::new(),
            classes: Vec::new(),
            calls: Vec::new(),
            args: Vec::new(),
            ctxs: Vec::new(),
            events: Vec::new(),
            imports: Vec::new(),
            guards: Vec::new(),
            frames: Vec::new(),
            scope: ScopeIx(0),
            ctx: CtxIx(0),
            mode: Mode::Live,
        }
    }

    fn sym(&mut self, text: &str) -> Sym {
        self.names.add(text)
    }

    fn term(&mut self, term: Term) -> TermId {
        self.terms.intern(term)
    }

    fn emit(&mut self, kind: EventKind, range: TextRange) {
        if self.mode == Mode::Live
            && let Some(frame) = self.frames.last_mut()
        {
            frame.events.push(Event { kind, range, ctx: self.ctx });
        }
    }

    fn push_ctx(&mut self, kind: CtxKind, range: TextRange) -> CtxIx {
        let at = CtxIx::at(self.ctxs.len());
        let (parent, function) = match kind {
            CtxKind::Body(function) => (at, function),
            _ => (self.ctx, self.ctxs[self.ctx.index()].function),
        };
        self.ctxs.push(Ctx { parent, function, kind, range });
        at
    }

    /// Runs `walk` inside one more condition.
    fn within<T>(&mut self, kind: CtxKind, range: TextRange, walk: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.ctx;
        self.ctx = self.push_ctx(kind, range);
        let result = walk(self);
        self.ctx = outer;
        result
    }

    fn current_function(&self) -> FuncIx {
        self.frames.last().map_or(FuncIx(0), |frame| frame.function)
    }

    fn finish_frame(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let start = self.events.len() as u32;
        self.events.extend(frame.events);
        self.functions[frame.function.index()].events = start..self.events.len() as u32;
    }

    fn finish(mut self, comments: Vec<Comment>, source: &SourceText, thread_safety: ThreadSafety) -> ModuleFacts {
        let name_targets = self.scopes.resolve();
        let vars = self.scopes.take_vars();
        let scopes = self.scopes.take_scopes();
        self.drop_dead_branches(&name_targets, &vars, |scope| scopes[scope.index()].kind);
        self.drop_private_events(&name_targets, &vars, |scope| scopes[scope.index()].kind);
        let guards = self.declared_guards(&comments, &source.text);
        self.names.shrink_to_fit();
        self.calls.shrink_to_fit();
        self.args.shrink_to_fit();
        self.ctxs.shrink_to_fit();
        ModuleFacts {
            names: self.names,
            scopes,
            vars,
            name_targets,
            terms: self.terms.finish(),
            functions: self.functions,
            classes: self.classes,
            calls: self.calls,
            args: self.args,
            ctxs: self.ctxs,
            events: self.events,
            imports: self.imports,
            comments,
            guards,
            thread_safety,
        }
    }

    /// Drops reads and writes of names nobody else can see: plain locals, functions, imports.
    fn drop_private_events(
        &mut self,
        targets: &[NameTarget],
        vars: &[Variable],
        scope_kind: impl Fn(ScopeIx) -> ScopeKind,
    ) {
        let is_private = |term: TermId, terms: &TermTable, is_load: bool| {
            let Term::Name(name) = terms.get(term) else { return false };
            let NameTarget::Var(var) = targets[name.index()] else { return true };
            let var = &vars[var.index()];
            match scope_kind(var.scope) {
                ScopeKind::Comprehension | ScopeKind::Function(_) => !var.captured,
                ScopeKind::Module | ScopeKind::Class(_) => {
                    let fixed = |value: &TermId| {
                        matches!(terms.get(*value), Term::Import(_) | Term::Function(_) | Term::Class(_))
                    };
                    is_load && !var.values.is_empty() && var.values.iter().all(fixed)
                }
            }
        };
        let mut kept = Vec::with_capacity(self.events.len() / 2);
        let mut by_start: Vec<usize> = (0..self.functions.len()).collect();
        by_start.sort_by_key(|&index| self.functions[index].events.start);
        for index in by_start {
            let range = self.functions[index].events.clone();
            let start = kept.len() as u32;
            for event in &self.events[range.start as usize..range.end as usize] {
                let private = match event.kind {
                    EventKind::Load(term) => is_private(term, &self.terms, true),
                    EventKind::Store(term, _) | EventKind::Augment(term, _) | EventKind::Delete(term) => {
                        is_private(term, &self.terms, false)
                    }
                    _ => false,
                };
                if !private {
                    kept.push(*event);
                }
            }
            self.functions[index].events = start..kept.len() as u32;
        }
        kept.shrink_to_fit();
        self.events = kept;
    }

    /// Pairs `guarded-by` comments with the assignment on their line, or on the line after a comment of its own.
    fn declared_guards(&self, comments: &[Comment], text: &str) -> Vec<DeclaredGuard> {
        let mut guards = self.guards.clone();
        for comment in comments {
            let CommentKind::GuardedBy { lock, text: written } = &comment.kind else { continue };
            let line = if comment.own_line {
                let end = usize::from(comment.range.end());
                let next = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
                next..text[next..].find('\n').map_or(text.len(), |at| next + at)
            } else {
                let start = usize::from(comment.range.start());
                text[..start].rfind('\n').map_or(0, |at| at + 1)..start
            };
            let stores = self.events.iter().filter_map(|event| match event.kind {
                EventKind::Store(target, _) if line.contains(&usize::from(event.range.start())) => Some(target),
                _ => None,
            });
            guards.extend(stores.map(|target| DeclaredGuard {
                target,
                lock: *lock,
                text: written.as_str().into(),
                range: comment.range,
            }));
        }
        guards
    }

    fn add_class(&mut self, class: Class) -> ClassIx {
        self.classes.push(class);
        ClassIx::at(self.classes.len() - 1)
    }

    fn add_call(&mut self, call: Call) -> CallIx {
        self.calls.push(call);
        CallIx::at(self.calls.len() - 1)
    }
}
