//! The search for the tests that decide one access.
//!
//! *Invariant:* a test is found only where it was evaluated before the access, and a local name stands for what it was
//! given last before the test.

use ruff_text_size::TextRange;

use super::{Answer, Asked, Certainty, Check};
use crate::facts::{
    Arm, CallIx, Comparison, Const, CtxIx, EventIx, EventKind, FuncIx, ModuleFacts, ScopeKind, Sym, Term, TermId,
};
use crate::link::access::{Access, AccessKind, Touch, through_view};
use crate::link::kind::ModuleId;
use crate::link::program::Program;
use crate::model::Role;
use crate::{qual, sym};

/// How deep a test may nest, and how many local names may stand between it and the place.
const MAX_DEPTH: usize = 6;

/// What a test is about, before it is matched with a place.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Term(TermId),
    Attribute(TermId, Sym),
}

/// One function, and the access whose tests are looked for.
pub(super) struct Search<'a> {
    pub(super) program: &'a Program,
    pub(super) facts: &'a ModuleFacts,
    pub(super) module: ModuleId,
    pub(super) function: FuncIx,
    pub(super) act: &'a Access,
    /// The condition under examination.
    pub(super) branch: CtxIx,
    pub(super) certainty: Certainty,
    pub(super) found: Vec<Check>,
}

/// One part of a test: the expression, which way it went, and where it is read.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    pub(super) term: TermId,
    pub(super) arm: Arm,
    pub(super) within: TextRange,
    pub(super) depth: usize,
}

impl Search<'_> {
    /// What a test that went one way says about the place.
    pub(super) fn test(&mut self, probe: Probe) {
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
            (EventKind::Call(call), Subject::Term(term)) => {
                match self.facts.terms.get(self.facts.calls[call.index()].callee) {
                    Term::Attr(base, _) => base.same(term),
                    _ => false,
                }
            }
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
        through_view(self.program, self.module, container)
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
        [
            "missing",
            "notset",
            "not_set",
            "unset",
            "undefined",
            "sentinel",
            "notfound",
            "not_found",
            "no_value",
            "novalue",
            "marker",
        ]
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
    pub(super) fn own_value(&mut self) {
        let AccessKind::Write(Touch::Whole, value) = self.act.kind else { return };
        let (Term::Or(a, b) | Term::Either(a, b)) = self.facts.terms.get(value) else { return };
        self.branch = self.act.ctx;
        for part in [a, b] {
            if self.program.same_target(self.act, part) {
                // The value is evaluated after its target's name begins: look at the whole statement.
                let before = self.program.last_read_before(self.act, part);
                if let Some(event) = before {
                    let range = self.facts.events[event.index()].range;
                    let check = Check {
                        asked: Asked::Truth,
                        answer: Answer::Absent,
                        event,
                        range,
                        branch: self.branch,
                        certainty: self.certainty,
                    };
                    self.found.push(check);
                }
            }
        }
    }

    /// What the `try` of a handler read: the handler runs because it was not there.
    pub(super) fn handled(&mut self, attempt: CtxIx) {
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
                let check = Check {
                    asked,
                    answer: Answer::Absent,
                    event: event_ix,
                    range: event.range,
                    branch: self.branch,
                    certainty: self.certainty,
                };
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
