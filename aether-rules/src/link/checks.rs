//! Check-then-act: which test decided that an access happens, and whether test and access are one step.
//!
//! A test counts whatever its shape: `if` in both arms, the early return, `while`, `and`/`or`, a conditional expression,
//! a local name that keeps the answer, `try` with a handler for what is missing.
//!
//! *Invariant:* a [`Check`] was evaluated before the access it decides, in the same function, and asks about the very
//! place the access acts on.

use ruff_text_size::{TextRange, TextSize};

use super::access::{Access, AccessKind, Touch};
use super::kind::{FuncId, Kind, ModuleId};
use super::locks::LockSet;
use super::places::PlaceRoot;
use super::program::Program;
use super::sharing::{Conflict, Sharing, ThreadOf};
use crate::facts::{
    Arm, CallIx, Comparison, Const, CtxIx, CtxKind, EventIx, EventKind, FuncIx, ModuleFacts, Qual, ScopeKind, Sym, Term,
    TermId,
};
use crate::model::Role;
use crate::{qual, sym};

/// How deep a test may nest, and how many local names may stand between it and the place.
const MAX_DEPTH: usize = 6;

/// A test that decided that an access happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was asked.
    pub asked: Asked,
    /// What the answer was, where the access stands.
    pub answer: Answer,
    /// The step that read the place.
    pub event: EventIx,
    /// Where it was read.
    pub range: TextRange,
    /// The condition it decides: the access stands in it.
    pub branch: CtxIx,
    /// Whether the test alone decided, or was one of several that may have.
    pub certainty: Certainty,
}

/// Whether a test alone decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The access only happens if it answered so.
    Alone,
    /// `if a and b: … else: <here>`: perhaps it was the other.
    OneOfSeveral,
}

/// What a test asks about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Whether there is an element under this key.
    Key(TermId),
    /// Whether there is a value: `is None`, `is MISSING`, `hasattr`, a handler for `AttributeError`.
    Value,
    /// Whether it is true: there is a value, or the container is not empty.
    Truth,
    /// How many elements there are.
    Size,
    /// `empty()`, `full()` or `qsize()` of a queue.
    State,
}

/// What a test answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Present,
    /// It is not.
    Absent,
}

impl Answer {
    fn when(arm: Arm) -> Self {
        match arm {
            Arm::Then => Self::Present,
            Arm::Else => Self::Absent,
        }
    }
}

/// How much it matters that a value was made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// It is `None`.
    Nothing,
    /// One is as good as the other: an immutable value, a function, a module.
    Same,
    /// Nothing is known of it.
    Unknown,
    /// A built-in container: what is put into the lost one is lost.
    Container,
    /// An object with an identity.
    Object,
}

/// What a test is about, before it is matched with a place.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Term(TermId),
    Attribute(TermId, Sym),
}

/// One function, and the access whose tests are looked for.
struct Search<'a> {
    program: &'a Program,
    facts: &'a ModuleFacts,
    module: ModuleId,
    function: FuncIx,
    act: &'a Access,
    /// The condition under examination.
    branch: CtxIx,
    certainty: Certainty,
    found: Vec<Check>,
}

/// One part of a test: the expression, which way it went, and where it is read.
#[derive(Clone, Copy)]
struct Probe {
    term: TermId,
    arm: Arm,
    within: TextRange,
    depth: usize,
}

impl Search<'_> {
    /// What a test that went one way says about the place.
    fn test(&mut self, probe: Probe) {
        if probe.depth > MAX_DEPTH {
            return;
        }
        let inner = |term, arm| Probe { term, arm, depth: probe.depth + 1, ..probe };
        match self.facts.terms.get(probe.term) {
            Term::Not(operand) => {
                let arm = if probe.arm == Arm::Then { Arm::Else } else { Arm::Then };
                self.test(inner(operand, arm));
            }
            joined @ (Term::And(a, b) | Term::Or(a, b)) => {
                let outer = self.certainty;
                if matches!(joined, Term::And(..)) == (probe.arm == Arm::Else) {
                    self.certainty = Certainty::OneOfSeveral;
                }
                self.test(inner(a, probe.arm));
                self.test(inner(b, probe.arm));
                self.certainty = outer;
            }
            Term::Compare(comparison, left, right) => self.comparison(probe, (comparison, left, right)),
            Term::Call(call) => self.call(probe, call),
            Term::Item(container, key) => {
                self.add(Subject::Term(container), Asked::Key(key), Answer::when(probe.arm), probe.within);
            }
            Term::Name(_) if self.is_plain_local(probe.term) && !self.names_container(probe.term) => {
                self.through_local(probe, Search::test);
            }
            _ => self.add(Subject::Term(probe.term), Asked::Truth, Answer::when(probe.arm), probe.within),
        }
    }

    fn comparison(&mut self, probe: Probe, (comparison, left, right): (Comparison, TermId, TermId)) {
        let held = Answer::when(probe.arm);
        let failed = if held == Answer::Present { Answer::Absent } else { Answer::Present };
        match comparison {
            Comparison::In => self.add(Subject::Term(self.viewed(right)), Asked::Key(left), held, probe.within),
            Comparison::NotIn => self.add(Subject::Term(self.viewed(right)), Asked::Key(left), failed, probe.within),
            _ if self.size_of(left).is_some() || self.size_of(right).is_some() => {
                let subject = self.size_of(left).or_else(|| self.size_of(right));
                let answer = if comparison == Comparison::Eq { failed } else { Answer::Present };
                if let Some((subject, asked)) = subject {
                    self.add(Subject::Term(subject), asked, answer, probe.within);
                }
            }
            Comparison::Is | Comparison::Eq if self.is_missing(right) => self.value(probe, left, failed),
            Comparison::IsNot | Comparison::NotEq if self.is_missing(right) => self.value(probe, left, held),
            _ => {}
        }
    }

    /// Whether an expression has a value, as asked by a comparison with `None` or a sentinel.
    fn value(&mut self, probe: Probe, term: TermId, answer: Answer) {
        if probe.depth > MAX_DEPTH {
            return;
        }
        match self.facts.terms.get(term) {
            Term::Call(call) => match self.looked_up(call) {
                Some((subject, Some(key))) => self.add(subject, Asked::Key(key), answer, probe.within),
                Some((subject, None)) => self.add(subject, Asked::Value, answer, probe.within),
                None => {}
            },
            Term::Item(container, key) => self.add(Subject::Term(container), Asked::Key(key), answer, probe.within),
            Term::Name(_) if self.is_plain_local(term) => {
                let arm = if answer == Answer::Present { Arm::Then } else { Arm::Else };
                self.through_local(Probe { term, arm, ..probe }, |search, probe| {
                    search.value(probe, probe.term, Answer::when(probe.arm));
                });
            }
            _ => self.add(Subject::Term(term), Asked::Value, answer, probe.within),
        }
    }

    fn call(&mut self, probe: Probe, call: CallIx) {
        let answer = Answer::when(probe.arm);
        let first = self.facts.positional(call, 0).map(|arg| arg.value);
        let library = self.program.library_callee(self.module, call);
        if library == Some(qual!("builtins.hasattr")) {
            let name = self.facts.positional(call, 1).map(|arg| self.facts.terms.get(arg.value));
            if let (Some(object), Some(Term::Const(Const::Str(name)))) = (first, name) {
                self.add(Subject::Attribute(object, name), Asked::Value, answer, probe.within);
            }
        } else if library == Some(qual!("builtins.bool")) {
            if let Some(term) = first {
                self.test(Probe { term, depth: probe.depth + 1, ..probe });
            }
        } else if let Some((subject, asked)) = self.size_of_call(call) {
            self.add(Subject::Term(subject), asked, answer, probe.within);
        } else if let Some((subject, key)) = self.looked_up(call) {
            self.add(subject, key.map_or(Asked::Truth, Asked::Key), answer, probe.within);
        }
    }

    /// Looks through a local name at what it was given last before the test.
    fn through_local(&mut self, probe: Probe, next: impl Fn(&mut Self, Probe)) {
        let Some(var) = self.facts.var_of(probe.term) else { return };
        let values = &self.facts.vars[var.index()].values;
        let reads = values.iter().filter_map(|&value| {
            let event = self.program.last_read_of_value(self.act, value, probe.within.start())?;
            Some((event, value))
        });
        if let Some((event, value)) = reads.max_by_key(|(event, _)| *event) {
            let within = self.facts.events[event.index()].range;
            next(self, Probe { term: value, arm: probe.arm, within, depth: probe.depth + 1 });
        }
    }

    /// Notes a question, if it is about the place of the access.
    fn add(&mut self, subject: Subject, asked: Asked, answer: Answer, within: TextRange) {
        let Some(event) = self.read_of(subject, within) else { return };
        let read = self.facts.events[event.index()].range;
        let range = if within.contains_range(read) { read } else { within };
        let check = Check { asked, answer, event, range, branch: self.branch, certainty: self.certainty };
        if self.denotes(subject) && !self.found.contains(&check) {
            self.found.push(check);
        }
    }

    /// Whether the subject of a question is what the access acts on: of the same object, too.
    fn denotes(&self, subject: Subject) -> bool {
        match subject {
            Subject::Term(term) => self.program.same_target(self.act, term),
            Subject::Attribute(object, name) => match self.facts.terms.get(self.act.term) {
                Term::Attr(base, attr) => attr == name && base.same(object),
                _ => false,
            },
        }
    }

    /// The last step of a test that reads the subject.
    fn read_of(&self, subject: Subject, within: TextRange) -> Option<EventIx> {
        let reads = |kind: EventKind| match (kind, subject) {
            (EventKind::Load(read), Subject::Term(term)) => {
                read.same(term) || matches!(self.facts.terms.get(read), Term::Item(base, _) if base.same(term))
            }
            (EventKind::Call(call), Subject::Term(term)) => match self.facts.terms.get(self.facts.calls[call.index()].callee) {
                Term::Attr(base, _) => base.same(term),
                _ => false,
            },
            (EventKind::Call(call), Subject::Attribute(object, _)) => {
                self.facts.positional(call, 0).is_some_and(|arg| arg.value.same(object))
            }
            _ => false,
        };
        let read = self.program.last_event(self.act, within, reads);
        read.or_else(|| match subject {
            // Reading a plain local leaves no event: the first step under the test stands for it.
            Subject::Term(term) if self.is_plain_local(term) => self.first_step_after(within),
            _ => None,
        })
    }

    /// The first step of the access's branch after a test.
    fn first_step_after(&self, test: TextRange) -> Option<EventIx> {
        let first = self.facts.functions[self.function.index()].events.start;
        let mut steps = (first..self.act.event.0).map(EventIx);
        steps.find(|at| {
            let event = self.facts.events[at.index()];
            event.range.start() >= test.start() && self.facts.ctx_within(event.ctx, self.branch)
        })
    }

    /// `d.keys()` is `d`.
    fn viewed(&self, container: TermId) -> TermId {
        super::access::through_view(self.program, self.module, container)
    }

    /// `None`, or a name that stands for "nothing here yet".
    fn is_missing(&self, term: TermId) -> bool {
        let name = match self.facts.terms.get(term) {
            Term::Const(Const::None) => return true,
            Term::Attr(_, name) => name,
            Term::Name(_) => match self.facts.var_of(term) {
                Some(var) => self.facts.vars[var.index()].name,
                None => return false,
            },
            _ => return false,
        };
        let name = self.facts.name(name).to_ascii_lowercase();
        ["missing", "notset", "not_set", "unset", "undefined", "sentinel", "notfound", "not_found", "no_value", "novalue", "marker"]
            .iter()
            .any(|hint| name.contains(hint))
    }

    /// The container whose size an expression is.
    fn size_of(&self, term: TermId) -> Option<(TermId, Asked)> {
        match self.facts.terms.get(term) {
            Term::Call(call) => self.size_of_call(call),
            _ => None,
        }
    }

    fn size_of_call(&self, call: CallIx) -> Option<(TermId, Asked)> {
        if self.program.library_callee(self.module, call) == Some(qual!("builtins.len")) {
            return self.facts.positional(call, 0).map(|arg| (self.viewed(arg.value), Asked::Size));
        }
        let Term::Attr(base, method) = self.facts.terms.get(self.facts.calls[call.index()].callee) else { return None };
        let asks = [sym!("empty"), sym!("full"), sym!("qsize")].contains(&method);
        let is_queue = self.program.kind(self.module, base).role() == Some(Role::Queue);
        (asks && is_queue).then_some((base, Asked::State))
    }

    /// `d.get(k)`, `getattr(x, "name", None)`: what is looked up, and under which key.
    fn looked_up(&self, call: CallIx) -> Option<(Subject, Option<TermId>)> {
        let first = self.facts.positional(call, 0)?.value;
        if self.program.library_callee(self.module, call) == Some(qual!("builtins.getattr")) {
            let name = self.facts.terms.get(self.facts.positional(call, 1)?.value);
            let Term::Const(Const::Str(name)) = name else { return None };
            return Some((Subject::Attribute(first, name), None));
        }
        let Term::Attr(base, method) = self.facts.terms.get(self.facts.calls[call.index()].callee) else { return None };
        let looks = [sym!("get"), sym!("__contains__"), sym!("has_key")].contains(&method);
        let is_queue = self.program.kind(self.module, base).role() == Some(Role::Queue);
        (looks && !is_queue).then_some((Subject::Term(base), Some(first)))
    }

    /// A local name for the container an attribute holds: testing it looks into the container, then and there.
    fn names_container(&self, term: TermId) -> bool {
        let is_container = matches!(self.program.kind(self.module, term).role(), Some(Role::Container(_)));
        is_container && !self.program.unaliased(self.module, term).same(term)
    }

    /// A name only this function sees.
    fn is_plain_local(&self, term: TermId) -> bool {
        let Some(var) = self.facts.var_of(term) else { return false };
        match self.facts.var_scope(var) {
            ScopeKind::Function(owner) => owner == self.function && !self.facts.vars[var.index()].captured,
            _ => false,
        }
    }

    /// `x = x or make()`, `x = make() if x is None else x`: the test is in the value.
    fn own_value(&mut self) {
        let AccessKind::Write(Touch::Whole, value) = self.act.kind else { return };
        let (Term::Or(a, b) | Term::Either(a, b)) = self.facts.terms.get(value) else { return };
        self.branch = self.act.ctx;
        for part in [a, b] {
            if self.program.same_target(self.act, part) {
                // The value is evaluated after its target's name begins: look at the whole statement.
                let before = self.program.last_read_before(self.act, part);
                if let Some(event) = before {
                    let range = self.facts.events[event.index()].range;
                    let check = Check { asked: Asked::Truth, answer: Answer::Absent, event, range, branch: self.branch, certainty: self.certainty };
                    self.found.push(check);
                }
            }
        }
    }

    /// What the `try` of a handler read: the handler runs because it was not there.
    fn handled(&mut self, attempt: CtxIx) {
        let events = self.facts.functions[self.function.index()].events.clone();
        for index in events {
            let event = self.facts.events[index as usize];
            let EventKind::Load(read) = event.kind else { continue };
            if !self.facts.ctx_within(event.ctx, attempt) || EventIx(index) >= self.act.event {
                continue;
            }
            let (subject, asked) = match (self.act.kind.touch(), self.facts.terms.get(read)) {
                (Some(Touch::Element(_)), Term::Item(container, key)) => (container, Asked::Key(key)),
                (Some(Touch::Whole), _) => (read, Asked::Value),
                _ => continue,
            };
            if self.program.same_target(self.act, subject) {
                let event_ix = EventIx(index);
                let check = Check { asked, answer: Answer::Absent, event: event_ix, range: event.range, branch: self.branch, certainty: self.certainty };
                self.found.push(check);
            }
        }
    }
}

impl AccessKind {
    /// Whether the place or an element is acted on.
    fn touch(self) -> Option<Touch> {
        match self {
            Self::Touch(touch) | Self::Write(touch, _) | Self::Augment(touch, _) | Self::Delete(touch) => Some(touch),
            Self::Method(..) | Self::Iterate => None,
        }
    }
}

impl Program {
    /// The tests that decided that an access happens, innermost first.
    pub fn checks(&self, act: &Access) -> Vec<Check> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let mut search = Search { program: self, facts, module: act.module, function, act, branch: act.ctx, certainty: Certainty::Alone, found: Vec::new() };
        for (at, ctx) in facts.ctx_chain(act.ctx) {
            search.branch = at;
            match ctx.kind {
                CtxKind::Branch(term, arm) => search.test(Probe { term, arm, within: ctx.range, depth: 0 }),
                CtxKind::Handler(types) if self.catches(act.module, types, LOOKUP_ERRORS) => {
                    if let Some(attempt) = attempt_of(facts, at) {
                        search.handled(attempt);
                    }
                }
                _ => {}
            }
        }
        for attempt in self.left_attempts(act) {
            search.branch = facts.ctxs[attempt.index()].parent;
            search.handled(attempt);
        }
        search.own_value();
        search.found
    }

    /// The test an access relies on although it may be out of date; `None` when there is none, or one of them cannot
    /// be out of date because a lock is held from it to the access.
    pub fn stale_check(&self, act: &Access, relevant: impl Fn(&Check) -> bool) -> Option<Check> {
        let checks: Vec<Check> = self.checks(act).into_iter().filter(relevant).collect();
        if checks.iter().any(|check| self.is_one_step(act, check)) {
            return None;
        }
        checks.last().copied()
    }

    /// Whether a lock is held from a test to the access it decides, without a gap.
    pub fn is_one_step(&self, act: &Access, check: &Check) -> bool {
        !self.held_across(act.module, act.function, check.event, act.event).is_empty()
            || self.in_guarded_block(act, check)
            || self.is_synchronized(act.function)
    }

    /// How the stretch between a stale test and its access is shared; `None` when it is known not to be.
    pub fn stale_sharing<'a>(&'a self, act: &'a Access, matters: impl Fn(&Access) -> bool) -> Option<Sharing<'a>> {
        if let Some(conflict) = self.conflict_holding(act, &LockSet::default(), &matters) {
            return Some(Sharing::Proven(conflict));
        }
        match self.sharing(act, &matters) {
            Some(Sharing::Proven(_)) | None => None,
            other => other,
        }
    }

    /// Whether a term denotes what an access acts on: the same place of the same object.
    pub fn same_target(&self, act: &Access, term: TermId) -> bool {
        let (_, function) = self.func_local(act.function);
        if term.same(act.term) || self.unaliased(act.module, term).same(self.unaliased(act.module, act.term)) {
            return true;
        }
        if matches!(act.place.root, PlaceRoot::Attr(..)) {
            return false;
        }
        self.place(act.module, function, term).is_some_and(|(place, _)| place == act.place)
    }

    /// What a local name for one attribute stands for.
    fn unaliased(&self, module: ModuleId, term: TermId) -> TermId {
        let facts = &self.modules[module.index()].facts;
        let Some(var) = facts.var_of(term) else { return term };
        match facts.vars[var.index()].values[..] {
            [value] if matches!(facts.terms.get(value), Term::Attr(..)) => value,
            _ => term,
        }
    }

    /// How much it matters that a value was made twice.
    pub fn worth(&self, module: ModuleId, value: TermId) -> Worth {
        self.worth_within(module, value, 0)
    }

    fn worth_within(&self, module: ModuleId, value: TermId, depth: usize) -> Worth {
        let facts = &self.modules[module.index()].facts;
        let known = match self.kind(module, value) {
            Kind::None => return Worth::Nothing,
            Kind::Immutable | Kind::Lib(_) | Kind::Module(_) | Kind::Class(_) | Kind::Function(_) | Kind::Method(_) => {
                Worth::Same
            }
            Kind::Object(class) => match crate::model::role_of(class) {
                Some(Role::Container(_)) => Worth::Container,
                Some(Role::Immutable) => Worth::Same,
                _ if is_interchangeable(class) => Worth::Same,
                _ => Worth::Object,
            },
            Kind::Instance(_) => Worth::Object,
            Kind::Unknown | Kind::Mixed | Kind::Super(_) => Worth::Unknown,
        };
        if known != Worth::Unknown || depth >= MAX_DEPTH {
            return known;
        }
        match facts.terms.get(value) {
            Term::Name(_) => {
                let Some(var) = facts.var_of(value) else { return Worth::Unknown };
                let values = facts.vars[var.index()].values.iter();
                values.map(|&value| self.worth_within(module, value, depth + 1)).max().unwrap_or(Worth::Unknown)
            }
            Term::Or(a, b) | Term::Either(a, b) => {
                self.worth_within(module, a, depth + 1).max(self.worth_within(module, b, depth + 1))
            }
            _ => known,
        }
    }

    /// Whether one of these errors is expected where an access stands: a handler or `suppress` is around it.
    pub fn tolerates(&self, module: ModuleId, ctx: CtxIx, errors: &[Qual]) -> bool {
        let facts = &self.modules[module.index()].facts;
        facts.ctx_chain(ctx).any(|(at, ctx)| match ctx.kind {
            CtxKind::Try => handlers_of(facts, at).any(|types| self.catches(module, types, errors)),
            CtxKind::With(term, _) => {
                let Term::Call(call) = facts.terms.get(term) else { return false };
                self.library_callee(module, call) == Some(qual!("contextlib.suppress"))
                    && facts.args_of(call).iter().any(|arg| self.catches(module, arg.value, errors))
            }
            _ => false,
        })
    }

    /// Whether a handler for these types catches one of the named builtin errors.
    fn catches(&self, module: ModuleId, types: TermId, errors: &[Qual]) -> bool {
        let facts = &self.modules[module.index()].facts;
        if types.is_opaque() {
            return true;
        }
        if let Term::Display(_, list) = facts.terms.get(types) {
            return facts.terms.list(list).iter().any(|&one| self.catches(module, one, errors));
        }
        let Kind::Lib(name) = self.kind(module, types) else { return false };
        errors.contains(&name) || [qual!("builtins.Exception"), qual!("builtins.BaseException")].contains(&name)
    }

    /// Earlier `try` blocks that would have returned, had they not failed: the access follows them.
    fn left_attempts(&self, act: &Access) -> Vec<CtxIx> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let around: Vec<CtxIx> = facts.ctx_chain(act.ctx).map(|(at, _)| at).collect();
        let mut found: Vec<CtxIx> = Vec::new();
        for event in facts.events_of(function) {
            if !matches!(event.kind, EventKind::Return(_)) || event.range.start() >= act.range.start() {
                continue;
            }
            let attempt = facts.ctx_chain(event.ctx).find(|(_, ctx)| ctx.kind == CtxKind::Try);
            let Some((at, ctx)) = attempt else { continue };
            let fails_over = handlers_of(facts, at).any(|types| self.catches(act.module, types, LOOKUP_ERRORS));
            if fails_over && around.contains(&ctx.parent) && !around.contains(&at) && !found.contains(&at) {
                found.push(at);
            }
        }
        found
    }

    /// The last step before an access, in a stretch of its function, that is wanted.
    fn last_event(&self, act: &Access, within: TextRange, wanted: impl Fn(EventKind) -> bool) -> Option<EventIx> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let first = facts.functions[function.index()].events.start;
        let is_it = |at: &u32| {
            let event = facts.events[*at as usize];
            within.contains_range(event.range) && wanted(event.kind)
        };
        (first..act.event.0).rev().find(is_it).map(EventIx)
    }

    /// The last step before an access that reads a term.
    fn last_read_before(&self, act: &Access, term: TermId) -> Option<EventIx> {
        let facts = &self.modules[act.module.index()].facts;
        let (_, function) = self.func_local(act.function);
        let first = facts.functions[function.index()].events.start;
        let reads = |at: &u32| matches!(facts.events[*at as usize].kind, EventKind::Load(read) if read.same(term));
        (first..act.event.0).rev().find(reads).map(EventIx)
    }

    /// The step that made the value a local name was given, before `limit`.
    fn last_read_of_value(&self, act: &Access, value: TermId, limit: TextSize) -> Option<EventIx> {
        let facts = &self.modules[act.module.index()].facts;
        let within = TextRange::up_to(limit);
        self.last_event(act, within, |kind| match (kind, facts.terms.get(value)) {
            (EventKind::Call(call), Term::Call(made)) => call == made,
            (EventKind::Load(read), Term::Compare(_, left, right)) => read.same(left) || read.same(right),
            (EventKind::Load(read), Term::Not(inner)) => read.same(inner),
            (EventKind::Load(read), _) => read.same(value),
            _ => false,
        })
    }

    /// Whether test and access stand in one block of something that is a lock by its name.
    fn in_guarded_block(&self, act: &Access, check: &Check) -> bool {
        let facts = &self.modules[act.module.index()].facts;
        let from = facts.events[check.event.index()].ctx;
        facts.ctx_chain(act.ctx).any(|(at, ctx)| match ctx.kind {
            CtxKind::With(term, _) => facts.ctx_within(from, at) && self.sounds_like_a_lock(act.module, term),
            _ => false,
        })
    }

    fn sounds_like_a_lock(&self, module: ModuleId, term: TermId) -> bool {
        let facts = &self.modules[module.index()].facts;
        let name = match facts.terms.get(term) {
            Term::Call(call) => return self.sounds_like_a_lock(module, facts.calls[call.index()].callee),
            Term::Attr(_, name) => facts.name(name),
            Term::Name(_) => match facts.var_of(term) {
                Some(var) => facts.name(facts.vars[var.index()].name),
                None => return false,
            },
            _ => return false,
        };
        let name = name.to_ascii_lowercase();
        ["lock", "mutex", "synchron", "critical", "exclusive"].iter().any(|hint| name.contains(hint))
    }

    /// Whether a decorator says that calls exclude each other.
    fn is_synchronized(&self, function: FuncId) -> bool {
        let (module, local) = self.func_local(function);
        let decorators = &self.modules[module.index()].facts.functions[local.index()].decorators;
        decorators.iter().any(|&decorator| self.sounds_like_a_lock(module, decorator))
    }
}

/// What a missing element, attribute or name raises.
const LOOKUP_ERRORS: &[Qual] = &[
    qual!("builtins.KeyError"),
    qual!("builtins.LookupError"),
    qual!("builtins.IndexError"),
    qual!("builtins.AttributeError"),
    qual!("builtins.NameError"),
];

/// Library calls whose results are as good as each other.
fn is_interchangeable(class: Qual) -> bool {
    const NAMES: &[Qual] = &[
        qual!("re.compile"), qual!("regex.compile"), qual!("struct.Struct"), qual!("logging.getLogger"),
        qual!("logging.Logger"), qual!("importlib.import_module"), qual!("builtins.__import__"),
        qual!("socket.gethostname"), qual!("socket.getfqdn"), qual!("os.getpid"), qual!("os.getcwd"),
        qual!("shutil.which"), qual!("pathlib.Path"), qual!("decimal.Decimal"), qual!("uuid.UUID"),
        qual!("builtins.property"), qual!("operator.attrgetter"), qual!("operator.itemgetter"),
        qual!("inspect.signature"), qual!("typing.get_type_hints"), qual!("types.MappingProxyType"),
        qual!("datetime.datetime"), qual!("datetime.timedelta"), qual!("builtins.slice"), qual!("builtins.type"), qual!("builtins.str.maketrans"), qual!("str.maketrans"),
    ];
    NAMES.contains(&class)
}

/// The `try` body whose failure a handler handles: the nearest before it, under the same condition.
fn attempt_of(facts: &ModuleFacts, handler: CtxIx) -> Option<CtxIx> {
    let parent = facts.ctxs[handler.index()].parent;
    let before = (0..handler.index()).rev();
    let mut attempts = before.filter(|&at| facts.ctxs[at].kind == CtxKind::Try && facts.ctxs[at].parent == parent);
    attempts.next().map(CtxIx::at)
}

/// The types that the handlers of a `try` body handle. Its `finally`, empty or not, comes after them.
fn handlers_of(facts: &ModuleFacts, attempt: CtxIx) -> impl Iterator<Item = TermId> + '_ {
    let parent = facts.ctxs[attempt.index()].parent;
    let header = facts.ctxs[attempt.index()].range;
    let after = facts.ctxs[attempt.index() + 1..].iter().filter(move |ctx| ctx.parent == parent);
    let mine = after.take_while(move |ctx| !(ctx.kind == CtxKind::Finally && ctx.range == header));
    mine.filter_map(|ctx| match ctx.kind {
        CtxKind::Handler(types) => Some(types),
        _ => None,
    })
}

impl Program {
    /// The n-th positional argument of the call that an access is.
    pub fn call_argument(&self, access: &Access, position: usize) -> Option<TermId> {
        let facts = &self.modules[access.module.index()].facts;
        match facts.events[access.event.index()].kind {
            EventKind::Call(call) => facts.positional(call, position).map(|arg| arg.value),
            _ => None,
        }
    }
}

impl Program {
    /// Where a class body makes an attribute.
    pub fn class_variable_span(&self, place: super::places::Place) -> Option<crate::source::Span> {
        let (PlaceRoot::ClassAttr(class, name) | PlaceRoot::Attr(class, name)) = place.root else { return None };
        let var = self.class(class).attrs.get(&name)?.class_var?;
        let (module, _) = self.class_local(class);
        Some(self.span(module, self.modules[module.index()].facts.vars[var.index()].range))
    }
}

impl Program {
    /// Another access that matters and may happen on another thread at the same time, whether or not either writes.
    pub fn overlap<'a>(&'a self, act: &'a Access, matters: impl Fn(&Access) -> bool) -> Option<Conflict<'a>> {
        let threads = self.threads_of(act);
        let others = self.accesses(act.place).iter().filter(|other| matters(other));
        for other in others {
            for &other_thread in &self.threads_of(other) {
                for &thread in &threads {
                    if !self.ordered((act, thread), (other, other_thread)) {
                        return Some(Conflict { access: act, thread, other, other_thread });
                    }
                }
            }
        }
        None
    }
}

impl Program {
    /// A thread that runs a function while another thread may run it, too.
    pub fn parallel_thread(&self, function: FuncId) -> Option<ThreadOf> {
        let mut visits = self.thread_visits(function);
        let first = visits.next()?;
        let others = visits.any(|other| other.root != first.root);
        (others || self.overlaps_itself(first.root)).then_some(ThreadOf::Root(first.root))
    }

    /// Where a function's decorator is read, just before its header.
    pub fn read_span(&self, module: ModuleId, function: FuncIx, decorator: TermId) -> Option<crate::source::Span> {
        let facts = &self.modules[module.index()].facts;
        let declaration = &facts.functions[function.index()];
        let callee = match facts.terms.get(decorator) {
            Term::Call(call) => return Some(self.span(module, facts.calls[call.index()].range)),
            _ => decorator,
        };
        let before = facts.events.iter().filter(|event| {
            matches!(event.kind, EventKind::Load(read) if read.same(callee))
                && declaration.range.contains_range(event.range)
                && event.range.start() < declaration.name_range.start()
        });
        let by_name = || {
            // A plain imported name leaves no event: an only decorator stands where the definition begins.
            let var = facts.var_of(callee).filter(|_| declaration.decorators.len() == 1)?;
            let length = TextSize::of(facts.name(facts.vars[var.index()].name));
            let start = declaration.range.start();
            Some(self.span(module, TextRange::new(start, start + TextSize::of('@') + length)))
        };
        before.map(|event| self.span(module, event.range)).next().or_else(by_name)
    }
}
