//! One walk over the tree; afterwards the tree is not needed.
//!
//! *Invariant:* the walk emits events in evaluation order, and names are only resolved once the whole module has been
//! seen: in Python a later assignment decides what an earlier name means.

use std::cell::Cell;

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

thread_local! {
    /// The tables of the last module this thread walked: as large as they had to become, and empty again.
    static SPARE: Cell<Option<Box<Builder>>> = const { Cell::new(None) };
}

/// Texts longer than this, in bytes, leave no tables behind: nothing as large may ever come again.
const MAX_KEPT: usize = 1 << 20;

/// Bytes of Python for each distinct name, and for each term that is looked up by its parts (measured).
const BYTES_PER_NAME: usize = 100;
const BYTES_PER_TERM: usize = 50;

/// The facts of one module. The tree is gone before they are put into their final place, which may be where it was.
pub(crate) fn build(source: &SourceText, parsed: Box<Parsed<ModModule>>) -> ModuleFacts {
    let mut builder = SPARE.take().unwrap_or_else(|| Box::new(Builder::new()));
    builder.fit(source.text.len());
    builder.walk(parsed.syntax());
    let comments = comment::collect(&source.text, parsed.tokens());
    let thread_safety = promise::thread_safety(&parsed.syntax().body, "");
    drop(parsed);
    let facts = builder.finish(comments, source, thread_safety);
    if source.text.len() <= MAX_KEPT {
        builder.clear();
        SPARE.set(Some(builder));
    }
    facts
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
    /// Lists of frames that are done.
    spare_events: Vec<Vec<Event>>,
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
            spare_events: Vec::new(),
            scope: ScopeIx(0),
            ctx: CtxIx(0),
            mode: Mode::Live,
        }
    }

    /// Makes the tables as large as a text of this many bytes is likely to need: what is far too large is cold.
    fn fit(&mut self, bytes: usize) {
        self.names.fit(bytes / BYTES_PER_NAME);
        self.scopes.fit(bytes / BYTES_PER_NAME);
        self.terms.fit(bytes / BYTES_PER_TERM);
    }

    /// Forgets the module, and keeps the memory.
    fn clear(&mut self) {
        self.names.clear();
        self.scopes.clear();
        self.terms.clear();
        self.functions.clear();
        self.classes.clear();
        self.calls.clear();
        self.args.clear();
        self.ctxs.clear();
        self.events.clear();
        self.imports.clear();
        self.guards.clear();
        self.frames.clear();
        (self.scope, self.ctx, self.mode) = (ScopeIx(0), CtxIx(0), Mode::Live);
    }

    /// Walks a whole module.
    fn walk(&mut self, module: &ModModule) {
        let body = self.push_ctx(CtxKind::Body(FuncIx(0)), TextRange::empty(module.range.start()));
        self.ctx = body;
        let name = self.sym("<module>");
        self.functions.push(Function {
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
            body,
            var: None,
        });
        self.open_frame(FuncIx(0));
        self.block(&module.body);
        self.finish_frame();
    }

    fn open_frame(&mut self, function: FuncIx) {
        let events = self.spare_events.pop().unwrap_or_default();
        self.frames.push(Frame { function, events });
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
        let Some(mut frame) = self.frames.pop() else { return };
        let start = self.events.len() as u32;
        self.events.append(&mut frame.events);
        self.functions[frame.function.index()].events = start..self.events.len() as u32;
        self.spare_events.push(frame.events);
    }

    /// What is known, in lists of just the right length.
    fn finish(&mut self, comments: Vec<Comment>, source: &SourceText, thread_safety: ThreadSafety) -> ModuleFacts {
        let name_targets = self.scopes.resolve();
        let vars = self.scopes.take_vars();
        let scopes = self.scopes.take_scopes();
        self.drop_dead_branches(&name_targets, &vars, |scope| scopes[scope.index()].kind);
        self.drop_private_events(&name_targets, &vars, |scope| scopes[scope.index()].kind);
        let guards = self.declared_guards(&comments, &source.text);
        let names = self.names.finish();
        ModuleFacts {
            forks: names.contains(crate::sym!("getpid")) || names.contain_part("fork"),
            names,
            scopes,
            vars,
            name_targets,
            terms: self.terms.finish(),
            functions: self.functions.drain(..).collect(),
            classes: self.classes.drain(..).collect(),
            calls: self.calls.as_slice().to_vec(),
            args: self.args.as_slice().to_vec(),
            ctxs: self.ctxs.as_slice().to_vec(),
            events: self.events.as_slice().to_vec(),
            imports: self.imports.drain(..).collect(),
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
        let mut by_start: Vec<usize> = (0..self.functions.len()).collect();
        by_start.sort_by_key(|&index| self.functions[index].events.start);
        let mut kept = 0;
        for index in by_start {
            let range = self.functions[index].events.clone();
            let start = kept as u32;
            for at in range.start as usize..range.end as usize {
                let event = self.events[at];
                let private = match event.kind {
                    EventKind::Load(term) => is_private(term, &self.terms, true),
                    EventKind::Store(term, _) | EventKind::Augment(term, _) | EventKind::Delete(term) => {
                        is_private(term, &self.terms, false)
                    }
                    _ => false,
                };
                if !private {
                    // What is kept moves up; it never overtakes what is still to be looked at.
                    self.events[kept] = event;
                    kept += 1;
                }
            }
            self.functions[index].events = start..kept as u32;
        }
        self.events.truncate(kept);
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
