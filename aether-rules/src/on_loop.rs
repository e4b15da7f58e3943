//! What the thread of an event loop runs: coroutines, loop callbacks, and the functions they call.
//!
//! *Invariant:* a call counts as made on the loop only if every function on the way is an ordinary one: a coroutine
//! function below answers for itself, a generator runs when somebody iterates it, a callback where it is handed to.

use ruff_text_size::TextRange;
use rustc_hash::FxHashMap;

use crate::facts::{Arm, CallIx, CtxIx, CtxKind, EventKind, FuncIx, ModuleFacts, Qual, Sym, Term, TermId};
use crate::finding::{Evidence, EvidenceRole, Finding};
use crate::link::{Callee, FuncId, Kind, ModuleId, Program};
use crate::model::RunsOn;
use crate::{Confidence, RuleContext, naming, qual, sym};

/// How many functions may lie between the loop and the call.
const MAX_DEPTH: usize = 5;

/// How many functions may lie below a test before it is anybody's guess whether this caller passes it.
const MAX_CONDITIONAL: usize = 1;

/// A call somewhere in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// The module it stands in.
    pub(crate) module: ModuleId,
    /// The function it stands in.
    pub(crate) function: FuncId,
    /// The call.
    pub(crate) call: CallIx,
}

/// Whether everything below is sure to be reached, as far as tests tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// Nothing on the way asks where it runs or whether it may wait.
    Plain,
    /// A flag, a mode or the question for a running loop decides.
    Optional,
}

/// A wanted call that a coroutine or loop callback makes, itself or through functions.
#[derive(Clone, Debug)]
pub(crate) struct OnLoop {
    /// The call in the coroutine or callback.
    pub(crate) entry: Site,
    /// The wanted call: the same, or one further down.
    pub(crate) site: Site,
    /// The calls from the entry's down to the wanted one, both left out.
    pub(crate) path: Vec<Site>,
    /// Whether something on the way decides.
    pub(crate) certainty: Certainty,
    /// How many more coroutines of the module reach the same call through functions.
    pub(crate) others: usize,
}

impl OnLoop {
    /// Whether the coroutine makes the call itself.
    pub(crate) fn is_direct(&self) -> bool {
        self.entry == self.site
    }

    /// The functions on the way, the coroutine's first.
    pub(crate) fn functions(&self) -> impl Iterator<Item = FuncId> + '_ {
        let sites = [self.entry].into_iter().chain(self.path.iter().copied()).chain([self.site]);
        sites.map(|site| site.function)
    }

    /// High for what the coroutine does itself, medium for what it calls, low where a mode decides.
    pub(crate) fn confidence(&self) -> Confidence {
        match self.certainty {
            Certainty::Optional => Confidence::Low,
            Certainty::Plain if self.is_direct() => Confidence::High,
            Certainty::Plain => Confidence::Medium,
        }
    }

    /// Adds the way from the coroutine down to the call.
    pub(crate) fn explain(&self, program: &Program, mut finding: Finding, what: &str) -> Finding {
        if !self.is_direct() {
            let below = self.path.iter().map(|site| (site, "called from here"));
            for (site, text) in below.chain([(&self.site, what)]) {
                let range = program.module(site.module).facts.calls[site.call.index()].range;
                let text = format!("in `{}`: {text}", program.function_name(site.function));
                finding =
                    finding.evidence(Evidence::new(EvidenceRole::CallPath, program.span(site.module, range), text));
            }
        }
        if let Some(root) = callback_root(program, self.entry.function) {
            let text = "handed to the event loop as a callback here";
            finding = finding.evidence(Evidence::new(EvidenceRole::RootStarts, root, text));
        }
        if self.others > 0 {
            finding = finding.note(format!("{} more calls in this module lead there from coroutines", self.others));
        }
        if self.certainty == Certainty::Optional {
            finding = finding.note("only if the test on the way there lets it: the caller may have chosen otherwise");
        }
        finding
    }
}

/// Whether a function is a coroutine function, or a callback that the loop calls.
pub(crate) fn runs_on_loop(program: &Program, function: FuncId) -> bool {
    program.function(function).flags.is_async || callback_root(program, function).is_some()
}

/// Whether a coroutine is all that its loop has to run: threads of the program run it to its end, and nothing in the
/// module starts a task or hands the loop anything else.
pub(crate) fn has_loop_to_itself(program: &Program, coroutine: FuncId) -> bool {
    const OTHERS: &[Sym] = &[
        Sym::new("create_task"),
        Sym::new("ensure_future"),
        Sym::new("gather"),
        Sym::new("TaskGroup"),
        Sym::new("as_completed"),
        Sym::new("call_soon"),
        Sym::new("call_later"),
        Sym::new("call_soon_threadsafe"),
        Sym::new("run_coroutine_threadsafe"),
    ];
    let (module, _) = program.func_local(coroutine);
    let facts = &program.module(module).facts;
    let is_thread =
        |function: FuncId| program.roots().any(|(_, root)| root.function == function && root.runs_on.is_thread());
    let sites = program.callers(coroutine);
    program.function(coroutine).flags.is_async
        && !sites.is_empty()
        && !OTHERS.iter().any(|&other| facts.mentions(other))
        && sites.iter().all(|site| is_thread(site.caller) && program.is_run_to_end(site))
}

fn callback_root(program: &Program, function: FuncId) -> Option<crate::Span> {
    let own = program.visits(function).iter().filter(|visit| visit.through.is_none());
    let mut roots = own.map(|visit| program.root(visit.root)).filter(|root| root.runs_on == RunsOn::Loop);
    roots.next().map(|root| root.span)
}

/// The wanted calls that coroutines and loop callbacks of the module make, in source order. A call further down is
/// given once, for the first coroutine that leads to it.
pub(crate) fn calls_on_loop(cx: &RuleContext<'_>, wanted: &dyn Fn(Site) -> bool) -> Vec<OnLoop> {
    let mut search = Search { program: cx.program, wanted, known: FxHashMap::default() };
    let mut found: Vec<OnLoop> = Vec::new();
    for (function, id) in cx.functions() {
        if !runs_on_loop(cx.program, id) {
            continue;
        }
        for (_, event) in cx.events(function) {
            let EventKind::Call(call) = event.kind else { continue };
            let entry = Site { module: cx.module, function: id, call };
            if wanted(entry) {
                let is_other_mode = is_other_mode(cx.facts(), function, event.ctx);
                let certainty = if is_other_mode { Certainty::Optional } else { Certainty::Plain };
                found.push(OnLoop { entry, site: entry, path: Vec::new(), certainty, others: 0 });
            } else if let Some(below) = search.below_call(entry, 0) {
                match found.iter_mut().find(|known| known.site == below.site && !known.is_direct()) {
                    Some(known) => known.others += 1,
                    None => found.push(OnLoop {
                        entry,
                        site: below.site,
                        path: below.path,
                        certainty: below.certainty,
                        others: 0,
                    }),
                }
            }
        }
    }
    found
}

/// A wanted call below a function.
#[derive(Clone, Debug)]
struct Below {
    site: Site,
    path: Vec<Site>,
    certainty: Certainty,
}

struct Search<'a> {
    program: &'a Program,
    wanted: &'a dyn Fn(Site) -> bool,
    known: FxHashMap<FuncId, Option<Below>>,
}

impl Search<'_> {
    /// The wanted call that a call leads to, if its callee runs then and there.
    fn below_call(&mut self, at: Site, depth: usize) -> Option<Below> {
        let function = match self.program.callee(at.module, at.call) {
            Callee::Function(function, _) => function,
            Callee::Class(class) => match self.program.member(Kind::Instance(class), sym!("__init__")) {
                Kind::Method(init) => init,
                _ => return None,
            },
            Callee::Opaque | Callee::Lib(_) => return None,
        };
        self.below(function, depth)
    }

    fn below(&mut self, function: FuncId, depth: usize) -> Option<Below> {
        let flags = self.program.function(function).flags;
        if flags.is_async || flags.is_generator || depth >= MAX_DEPTH || self.is_decorated(function) {
            return None;
        }
        if let Some(known) = self.known.get(&function) {
            return known.clone();
        }
        self.known.insert(function, None); // A recursive call leads nowhere new.
        let found = self.search(function, depth);
        self.known.insert(function, found.clone());
        found
    }

    fn search(&mut self, function: FuncId, depth: usize) -> Option<Below> {
        let (module, local) = self.program.func_local(function);
        let facts = &self.program.module(module).facts;
        let asks = asks_where_it_runs(self.program, module, local);
        let mut best: Option<Below> = None;
        for event in facts.events_of(local) {
            let EventKind::Call(call) = event.kind else { continue };
            let site = Site { module, function, call };
            let mut below = if (self.wanted)(site) {
                Below { site, path: Vec::new(), certainty: Certainty::Plain }
            } else {
                let Some(mut below) = self.below_call(site, depth + 1) else { continue };
                below.path.insert(0, site);
                below
            };
            let is_far = below.path.len() > MAX_CONDITIONAL && is_conditional(facts, event.ctx);
            if asks || is_far || is_optional(facts, local, event.ctx) {
                below.certainty = Certainty::Optional;
            }
            if best.as_ref().is_none_or(|best| below.certainty < best.certainty) {
                best = Some(below);
            }
        }
        best
    }

    /// A decorator may run the function elsewhere: in a pool, on another loop, with a lock that is not what it seems.
    fn is_decorated(&self, function: FuncId) -> bool {
        let function = self.program.function(function);
        let flags = function.flags;
        !function.decorators.is_empty() && !flags.is_static && !flags.is_classmethod && !flags.is_property
    }
}

/// Functions that answer "is there a loop here, and which thread is this?".
const QUESTIONS: &[Qual] = &[
    Qual::of("asyncio.get_running_loop"),
    Qual::of("asyncio._get_running_loop"),
    Qual::of("asyncio.events._get_running_loop"),
    Qual::of("asyncio.current_task"),
    Qual::of("asyncio.AbstractEventLoop.is_running"),
    Qual::of("sniffio.current_async_library"),
    Qual::of("threading.current_thread"),
    Qual::of("threading.get_ident"),
    Qual::of("_thread.get_ident"),
];

/// Whether a function finds out where it runs before it does anything.
fn asks_where_it_runs(program: &Program, module: ModuleId, function: FuncIx) -> bool {
    let facts = &program.module(module).facts;
    facts.events_of(function).iter().any(|event| match event.kind {
        EventKind::Call(call) => match program.library_callee(module, call) {
            Some(name) => QUESTIONS.contains(&name),
            None => facts.callee_name(call) == Some(sym!("is_running")),
        },
        _ => false,
    })
}

/// Whether any test decides; the one of a `while` loop counts as passed.
fn is_conditional(facts: &ModuleFacts, ctx: CtxIx) -> bool {
    facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(..) => facts.ctxs[ctx.parent.index()].kind != CtxKind::While,
        CtxKind::Handler(_) | CtxKind::Maybe => true,
        _ => false,
    })
}

/// Whether a test decides that is about the mode of a call: a parameter, or a name that speaks of waiting.
pub(crate) fn is_optional(facts: &ModuleFacts, function: FuncIx, ctx: CtxIx) -> bool {
    facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, _) => decides_mode(facts, function, test),
        _ => false,
    })
}

/// Whether a test about the mode stands between a call and an `await`: `if self.is_async: await … else: …`.
fn is_other_mode(facts: &ModuleFacts, function: FuncIx, ctx: CtxIx) -> bool {
    let awaits_under = |wanted: TermId, other: Arm| {
        let mut awaits = facts.events_of(function).iter().filter(|event| event.kind == EventKind::Await);
        awaits.any(|event| {
            let mut around = facts.ctx_chain(event.ctx);
            around.any(|(_, ctx)| matches!(ctx.kind, CtxKind::Branch(test, arm) if test.same(wanted) && arm == other))
        })
    };
    facts.ctx_chain(ctx).any(|(_, ctx)| match ctx.kind {
        CtxKind::Branch(test, arm) => {
            let other = if arm == Arm::Then { Arm::Else } else { Arm::Then };
            decides_mode(facts, function, test) && awaits_under(test, other)
        }
        _ => false,
    })
}

fn decides_mode(facts: &ModuleFacts, function: FuncIx, test: TermId) -> bool {
    const WORDS: &[&str] = &["async", "sync", "loop", "thread", "block", "wait", "timeout", "background", "daemon"];
    let is_parameter = |term: TermId| {
        let Some(var) = facts.var_of(term) else { return false };
        let mut values = facts.vars[var.index()].values.iter();
        values.any(|&value| matches!(facts.terms.get(value), Term::Param(of, _) if of == function))
    };
    let speaks = |term: TermId| {
        let name = naming::readable(facts, term).to_ascii_lowercase();
        WORDS.iter().any(|word| name.contains(word))
    };
    match facts.terms.get(test) {
        Term::Name(_) => is_parameter(test) || speaks(test),
        Term::Attr(..) | Term::Call(_) => speaks(test),
        Term::Not(inner) => decides_mode(facts, function, inner),
        Term::And(a, b) | Term::Or(a, b) | Term::Compare(_, a, b) => {
            decides_mode(facts, function, a) || decides_mode(facts, function, b)
        }
        _ => false,
    }
}

/// The range of a call.
pub(crate) fn range_of(program: &Program, site: Site) -> TextRange {
    program.module(site.module).facts.calls[site.call.index()].range
}

/// How a reader would name the kind of code that makes a call on the loop.
pub(crate) fn describe_entry(program: &Program, function: FuncId) -> &'static str {
    if program.function(function).flags.is_async { "coroutine" } else { "loop callback" }
}

/// Whether a call of `asyncio.run_coroutine_threadsafe` is what a term holds.
pub(crate) fn threadsafe_calls(program: &Program, module: ModuleId, term: TermId) -> Vec<(ModuleId, CallIx)> {
    let values = program.values_of(module, term).into_iter();
    let calls = values.filter_map(|(module, value)| match program.module(module).facts.terms.get(value) {
        Term::Call(call) => Some((module, call)),
        _ => None,
    });
    calls
        .filter(|&(module, call)| {
            program.library_callee(module, call) == Some(qual!("asyncio.run_coroutine_threadsafe"))
        })
        .collect()
}
