//! `AET001`: the locals of a frame that another thread may be executing.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, EventKind, FuncIx, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Kind, ModuleId, PlaceRoot, Program, ThreadOf};
use crate::settings::TargetBuilds;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports reading `f_locals` of a frame that another thread may be executing: one taken from
    /// `sys._current_frames()`, reached from such a frame through `f_back`, or stored by one thread and read by
    /// another.
    ///
    /// ## Why is this bad?
    /// On a free-threaded build the frame's thread keeps running while its locals are read. Creating the snapshot or
    /// proxy of a running frame's locals is not synchronised with it and can crash the interpreter.
    ///
    /// ## Example
    /// ```python bad
    /// import sys
    /// import threading
    ///
    /// def watch():
    ///     for frame in sys._current_frames().values():
    ///         print(frame.f_locals)
    ///
    /// threading.Thread(target=watch).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import faulthandler
    /// import threading
    ///
    /// def watch():
    ///     faulthandler.dump_traceback(all_threads=True)
    ///
    /// threading.Thread(target=watch).start()
    /// ```
    ///
    /// ## Limits
    /// The locals of the function's own frame (`sys._getframe()`, `inspect.currentframe()`) are safe unless the frame
    /// is handed to another thread: shown with low confidence under `--all`. Frames out of containers are not followed.
    ///
    /// ## References
    /// - [Free-threading how-to: frame objects](https://docs.python.org/3/howto/free-threading-python.html#frame-objects)
    /// - [gh-118680](https://github.com/python/cpython/issues/118680)
    pub(crate) static FRAME_LOCALS_ACCESS = {
        code: "AET001", name: "frame-locals-access", summary: "locals of a frame that another thread may be executing",
        mentions: &[Sym::new("f_locals")],
        family: FreeThreading, level: Error, since: "0.1.0", builds: FreeThreaded, versions: "3.13t and later", check: Some(check),
    }
}

/// Whose frame an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    /// The function that asks.
    Own,
    /// Another thread, or any of them: where it was taken, and how we know.
    Other(Span, &'static str, Option<ThreadOf>),
    /// Nobody knows.
    Unknown,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    if cx.settings().target_builds == TargetBuilds::Gil {
        return;
    }
    for (function, id) in cx.functions() {
        for (_, event) in cx.events(function) {
            let EventKind::Load(term) = event.kind else { continue };
            let Term::Attr(frame, name) = cx.facts().terms.get(term) else { continue };
            if name != sym!("f_locals") || !may_be_frame(cx, frame) {
                continue;
            }
            let owner = Origin { program: cx.program }.of(cx.module, function, frame, 0);
            if owner == Owner::Unknown && !is_called_frame(cx, frame) {
                continue;
            }
            let finding = describe(cx, cx.span(event.range), owner);
            let thread = cx.program.thread_visits(id).next();
            findings.report(match thread {
                Some(visit) => evidence::with_root(cx.program, finding, id, visit.root),
                None => finding,
            });
        }
    }
}

/// Whether the code itself calls it a frame: the only hint about a value of unknown origin.
fn is_called_frame(cx: &RuleContext<'_>, frame: TermId) -> bool {
    let facts = cx.facts();
    facts.var_of(frame).is_some_and(|var| facts.name(facts.vars[var.index()].name).contains("frame"))
}

fn may_be_frame(cx: &RuleContext<'_>, frame: TermId) -> bool {
    match cx.program.kind(cx.module, frame) {
        // A project class with an attribute of that name is a frame's stand-in, as in `traceback` and Jinja.
        Kind::Instance(_) | Kind::Class(_) | Kind::Module(_) | Kind::Immutable => false,
        Kind::Object(class) => class != qual!("builtins.dict"),
        _ => true,
    }
}

/// The search for where a frame comes from.
struct Origin<'a> {
    program: &'a Program,
}

impl Origin<'_> {
    fn of(&self, module: ModuleId, function: FuncIx, term: TermId, depth: usize) -> Owner {
        const MAX_DEPTH: usize = 8;
        if depth > MAX_DEPTH {
            return Owner::Unknown;
        }
        let facts = &self.program.module(module).facts;
        match facts.terms.get(term) {
            Term::Call(call) => self.given_by(module, function, call, depth),
            Term::Attr(base, name) if name == sym!("f_back") => self.of(module, function, base, depth + 1),
            Term::Attr(_, name) if name == sym!("tb_frame") => Owner::Own,
            Term::Attr(base, name) if name == sym!("frame") && self.program.place(module, function, term).is_none() => {
                self.of(module, function, base, depth + 1)
            }
            Term::Attr(..) => self.stored(module, function, term, depth),
            Term::Item(base, _) | Term::Element(base) | Term::Unpacked(base, _) | Term::Entered(base) => {
                self.of(module, function, base, depth + 1)
            }
            Term::Or(a, b) | Term::And(a, b) | Term::Either(a, b) => {
                worst(self.of(module, function, a, depth + 1), self.of(module, function, b, depth + 1))
            }
            Term::Name(_) => self.named(module, function, term, depth),
            Term::Param(of, position) => self.passed(module, of, position, depth),
            _ => Owner::Unknown,
        }
    }

    fn given_by(&self, module: ModuleId, function: FuncIx, call: CallIx, depth: usize) -> Owner {
        let facts = &self.program.module(module).facts;
        let crate::facts::Call { range, ctx, callee, .. } = facts.calls[call.index()];
        let library = self.program.library_callee(module, call);
        match library {
            // The threads they belonged to are not in a forked child.
            Some(name) if name == qual!("sys._current_frames") && self.program.is_in_child(module, ctx) => {
                Owner::Unknown
            }
            Some(name) if name == qual!("sys._current_frames") => {
                Owner::Other(self.program.span(module, range), "the frames of all threads are taken here", None)
            }
            Some(name) if name == qual!("sys._getframe") || name == qual!("inspect.currentframe") => Owner::Own,
            Some(name) if name == qual!("inspect.stack") || name == qual!("sys.exc_info") => Owner::Own,
            // `frames.get(ident)`, `frames.values()`, `list(frames)`: what frames holds.
            _ => match (facts.terms.get(callee), facts.positional(call, 0)) {
                (Term::Attr(base, _), _) => self.of(module, function, base, depth + 1),
                (_, Some(arg)) if library.is_some() => self.of(module, function, arg.value, depth + 1),
                _ => Owner::Unknown,
            },
        }
    }

    fn named(&self, module: ModuleId, function: FuncIx, term: TermId, depth: usize) -> Owner {
        let facts = &self.program.module(module).facts;
        let Some(var) = facts.var_of(term) else { return Owner::Unknown };
        let is_shared = facts.vars[var.index()].captured || facts.vars[var.index()].scope.index() == 0;
        if is_shared {
            let stored = self.stored(module, function, term, depth);
            if matches!(stored, Owner::Other(..)) {
                return stored;
            }
        }
        let values = facts.vars[var.index()].values.iter().take(8);
        values.map(|&value| self.of(module, function, value, depth + 1)).fold(Owner::Unknown, worst)
    }

    /// A frame stored in a shared place: somebody else's if another thread put it there.
    fn stored(&self, module: ModuleId, function: FuncIx, term: TermId, depth: usize) -> Owner {
        let Some((place, _)) = self.program.place(module, function, term) else { return Owner::Unknown };
        let reader = self.program.func_id(module, function);
        let reads =
            self.program.accesses(place).iter().filter(|access| access.function == reader && !access.kind.writes());
        for access in reads {
            if let Some(conflict) =
                self.program.conflict(access, |other| matches!(other.kind, crate::link::AccessKind::Write(..)))
            {
                let span = self.program.span(conflict.other.module, conflict.other.range);
                return Owner::Other(span, "another thread stores its frame here", Some(conflict.other_thread));
            }
        }
        let stored = self.program.stored_values(place);
        if matches!(place.root, PlaceRoot::Cell(..)) {
            return Owner::Unknown;
        }
        stored
            .into_iter()
            .map(|(module, value, function)| self.of(module, function, value, depth + 2))
            .fold(Owner::Unknown, worst)
    }

    /// A frame handed in: by callers, or by whoever starts the thread.
    fn passed(&self, module: ModuleId, function: FuncIx, position: u16, depth: usize) -> Owner {
        let program = self.program;
        if let Some((from, starter, term, span)) = program.started_with(module, function, position) {
            return match self.of(from, starter, term, depth + 1) {
                Owner::Own => Owner::Other(span, "the starter hands its own frame to the thread here", None),
                other => other,
            };
        }
        let id = program.func_id(module, function);
        let declaration = program.function(id);
        let Some(param) = declaration.params.get(usize::from(position)) else { return Owner::Unknown };
        let bound = usize::from(declaration.class.is_some() && !declaration.flags.is_static);
        let mut owner = Owner::Unknown;
        for site in program.callers(id).iter().take(16) {
            let (caller_module, caller) = program.func_local(site.caller);
            let facts = &program.module(caller_module).facts;
            let EventKind::Call(call) = facts.events[site.event.index()].kind else { continue };
            let Some(position) = usize::from(position).checked_sub(bound) else { continue };
            if let Some(arg) = facts.arg(call, position, param.name) {
                owner = worst(owner, self.of(caller_module, caller, arg.value, depth + 1));
            }
        }
        owner
    }
}

fn worst(a: Owner, b: Owner) -> Owner {
    match (a, b) {
        (other @ Owner::Other(..), _) | (_, other @ Owner::Other(..)) => other,
        (Owner::Own, _) | (_, Owner::Own) => Owner::Own,
        _ => Owner::Unknown,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the answer is used up by its description")]
fn describe(cx: &RuleContext<'_>, span: Span, owner: Owner) -> Finding {
    let builds = "free-threaded builds, 3.13t and later: reading the locals of a running frame can crash (gh-118680)";
    let help =
        "use `faulthandler.dump_traceback()`, `traceback.format_stack(frame)`, or have the thread report its own state";
    let finding = match owner {
        Owner::Other(origin, why, thread) => {
            let message = "locals are read of a frame that another thread may be executing";
            let mut evidence = Evidence::new(EvidenceRole::Definition, origin, why);
            if let Some(thread) = thread {
                evidence = evidence.on_thread(cx.program.thread_name(thread));
            }
            let finding = Finding::new(span, Confidence::High, message).label("the frame may be running");
            if origin == span { finding } else { finding.evidence(evidence) }
        }
        Owner::Own => Finding::new(span, Confidence::Low, "locals of a frame are read").label("safe on the frame's own thread").note(
            "the frame is the reading thread's own as far as the code shows; it is real once the frame reaches another thread",
        ),
        Owner::Unknown => Finding::new(span, Confidence::Low, "locals of a frame of unknown origin are read")
            .label("unsafe if another thread executes it")
            .note("where the frame comes from is not known; it is real if that is another thread"),
    };
    finding.note(builds).help(help)
}
