//! What a handler uses that takes locks inside: queues, logging, buffered streams.
//!
//! *Invariant:* printing is only sure to clash where code near the handler prints, too; everybody logs.

use crate::RuleContext;
use crate::facts::{CallIx, EventKind, FuncIx, ModuleFacts, Qual, ScopeKind, Term, TermId};
use crate::link::{FuncId, ModuleId, Program, RootId};
use crate::messages::{is_logging, takes_queue_lock};
use crate::qual;
use crate::source::Span;

/// What a handler uses that takes locks or writes to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misuse {
    /// A `queue.Queue`.
    Queue,
    /// A logger.
    Logging,
    /// A buffered stream.
    Printing,
}

impl Misuse {
    fn of(name: Qual) -> Option<Self> {
        const PRINT: &[Qual] = &[
            qual!("builtins.print"),
            qual!("sys.stdout.write"),
            qual!("sys.stderr.write"),
            qual!("sys.stdout.flush"),
            qual!("sys.stderr.flush"),
            qual!("io.TextIOWrapper.write"),
        ];
        if takes_queue_lock(name) {
            Some(Self::Queue)
        } else if is_logging(name) {
            Some(Self::Logging)
        } else {
            PRINT.contains(&name).then_some(Self::Printing)
        }
    }

    /// Message and label.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Queue => (
                "signal handler uses a `queue.Queue`, whose lock the interrupted code may hold",
                "deadlock; `queue.SimpleQueue.put` is safe here",
            ),
            Self::Logging => (
                "signal handler logs",
                "logging takes locks and writes to buffered streams: it may block or fail when re-entered",
            ),
            Self::Printing => (
                "signal handler writes to a buffered stream",
                "RuntimeError: reentrant call, when it interrupts another write",
            ),
        }
    }
}

/// The uses of a function, each with where it is.
pub(super) fn misuses(program: &Program, function: FuncId) -> impl Iterator<Item = (Span, Misuse)> {
    let (module, local) = program.func_local(function);
    program.module(module).facts.events_of(local).iter().filter_map(move |event| {
        let EventKind::Call(call) = event.kind else { return None };
        let misuse = Misuse::of(program.library_callee(module, call)?)?;
        if misuse == Misuse::Printing && is_own_stream(&program.module(module).facts, local, call) {
            return None;
        }
        Some((program.span(module, event.range), misuse))
    })
}

/// Whether a function on the way from the handler does the same: one cure for both.
pub(super) fn is_misused_above(cx: &RuleContext<'_>, id: FuncId, root: RootId, misuse: Misuse) -> bool {
    let way = cx.program.path_from_root(id, root);
    way.iter().any(|(_, site)| misuses(cx.program, site.caller).any(|(_, other)| other == misuse))
}

/// Whether a function writes to a stream that it has opened itself: nobody is interrupted in that.
fn is_own_stream(facts: &ModuleFacts, function: FuncIx, call: CallIx) -> bool {
    let is_opened = |value: TermId| matches!(facts.terms.get(value), Term::Entered(_) | Term::Call(_));
    facts.var_of(facts.receiver_of(call)).is_some_and(|var| {
        facts.var_scope(var) == ScopeKind::Function(function)
            && facts.vars[var.index()].values.iter().all(|&value| is_opened(value))
    })
}

/// Where code that a handler may interrupt does the same, in the modules of the function, of the handler, and of what
/// installs it.
pub(super) fn interrupted(cx: &RuleContext<'_>, id: FuncId, root: RootId, misuse: Misuse) -> Option<Span> {
    let program = cx.program;
    let handler = program.root(root);
    let functions = [Some(id), Some(handler.function), handler.started.map(|started| started.by)];
    let mut modules: Vec<ModuleId> = functions.into_iter().flatten().map(|id| program.func_local(id).0).collect();
    modules.dedup();
    modules.into_iter().find_map(|module| {
        let all = (0..program.module(module).facts.functions.len()).map(|at| program.func_id(module, FuncIx::at(at)));
        let mut others = all.filter(|&other| !super::in_handler(cx, other, root));
        others.find_map(|other| misuses(program, other).find(|(_, found)| *found == misuse).map(|(span, _)| span))
    })
}
