//! `AET006`: one exception object raised by several threads, or a group built while workers still add to it.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{EventIx, EventKind, FuncIx, Qual, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Access, ClassId, FuncId, Kind, ModuleId, Place, PlaceRoot, Program, ThreadOf};
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, sym};

declare_rule! {
    /// ## What it does
    /// Reports raising an exception *instance* that is kept at module or class level, and building an
    /// `ExceptionGroup` from a list that other threads may still append to.
    ///
    /// ## Why is this bad?
    /// Raising sets `__traceback__` and `__context__` on the object. Several threads raising the same object mix their
    /// tracebacks and let them grow without bound (5 400 frames in a stress test). A group built before the workers are
    /// joined misses errors, or sees the list change under it.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// CLOSED = RuntimeError("connection is closed")
    ///
    /// def read():
    ///     raise CLOSED
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=read).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Closed(RuntimeError):
    ///     pass
    ///
    /// def read():
    ///     raise Closed("connection is closed")
    ///
    /// for _ in range(4):
    ///     threading.Thread(target=read).start()
    /// ```
    ///
    /// ## Limits
    /// An exception kept in an attribute and raised again by whoever asks (as futures do) is reported only when two
    /// known threads raise it.
    ///
    /// ## References
    /// - [Built-in exceptions: tracebacks](https://docs.python.org/3/library/exceptions.html#BaseException.with_traceback)
    pub(crate) static EXCEPTION_GROUP_RACE = {
        code: "AET006", name: "exception-group-race", summary: "exception object or group shared between threads",
        family: FreeThreading, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for (function, id) in cx.functions() {
        for (at, event) in cx.events(function) {
            match event.kind {
                EventKind::Raise(term) if function != FuncIx(0) => {
                    if let Some(finding) = raised(cx, function, id, term, cx.span(event.range)) {
                        findings.report(finding);
                    }
                }
                EventKind::Call(call) => {
                    let name = cx.program.library_callee(cx.module, call);
                    let groups = [
                        const { Qual::of("builtins.ExceptionGroup") },
                        const { Qual::of("builtins.BaseExceptionGroup") },
                    ];
                    if name.is_some_and(|name| groups.contains(&name))
                        && let Some(members) = cx.facts().arg(call, 1, sym!("excs"))
                        && let Some(finding) = grouped(cx, (function, id, at), members.value, cx.span(event.range))
                    {
                        findings.report(finding);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The object a `raise` raises, if it is kept where several threads find it.
fn raised(cx: &RuleContext<'_>, function: FuncIx, id: FuncId, term: TermId, span: Span) -> Option<Finding> {
    let (place, _) = cx.program.place(cx.module, function, term)?;
    let definition = definition(cx.program, place, 0)?;
    let is_kept = matches!(place.root, PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..));
    let threads: Vec<ThreadOf> = cx.program.thread_visits(id).map(|visit| ThreadOf::Root(visit.root)).collect();
    let overlaps_any = threads.iter().any(|&thread| overlaps(cx, thread));
    let several = threads.len() > 1 || overlaps_any || !threads.is_empty() && cx.program.on_main(id);
    let confidence = match (is_kept, several) {
        (true, true) => Confidence::High,
        (true, false) if cx.program.promise_of(place).is_some() => Confidence::Medium,
        (true, false) => Confidence::Low,
        // What failed once says so to each of its users: two tracebacks in one object, no more.
        (false, true) if matches!(place.root, PlaceRoot::Attr(..)) && !(overlaps_any || threads.len() > 1) => {
            Confidence::Low
        }
        (false, true) if !matches!(place.root, PlaceRoot::Cell(..)) || is_captured(cx, function, term) => {
            Confidence::High
        }
        (false, false) if matches!(place.root, PlaceRoot::Attr(..)) && is_seen_by_threads(cx, place) => Confidence::Low,
        (false, _) => return None,
    };
    let name = cx.program.place_name(place);
    let mut finding =
        Finding::new(span, confidence, format!("`{name}` is one exception object, raised by several threads"))
            .label("each raise writes its traceback into the same object")
            .evidence(Evidence::new(EvidenceRole::Definition, definition, "one object, from here"));
    if let Some(&thread) = threads.first() {
        finding = finding.on_thread(cx.program.thread_name(thread));
        finding = evidence::on_thread(cx.program, finding, id, thread);
    }
    if confidence == Confidence::Low {
        finding =
            finding.note("no thread that raises it is started in the analysed code; it is real once two threads do");
    }
    Some(
        finding
            .note("all builds: `__traceback__` and `__context__` are set on every raise")
            .help("raise the class, or make a new instance where it is raised"),
    )
}

/// Where the exception object in a place is made, or caught and kept.
fn definition(program: &Program, place: Place, depth: usize) -> Option<Span> {
    const MAX_DEPTH: usize = 2;
    program.stored_values(place).into_iter().find_map(|(module, value, function)| {
        let facts = &program.module(module).facts;
        match facts.terms.get(value) {
            Term::Call(call) if is_exception_instance(program, module, value) => {
                Some(program.span(module, facts.calls[call.index()].range))
            }
            Term::Name(_) if depth < MAX_DEPTH => {
                let var = facts.var_of(value)?;
                let caught = facts.vars[var.index()]
                    .values
                    .iter()
                    .any(|&value| matches!(facts.terms.get(value), Term::Caught(_)));
                if caught {
                    return Some(program.span(module, facts.vars[var.index()].range));
                }
                let (place, _) = program.place(module, function, value)?;
                definition(program, place, depth + 1)
            }
            _ => None,
        }
    })
}

/// Whether the raised name belongs to an enclosing function.
fn is_captured(cx: &RuleContext<'_>, function: FuncIx, term: TermId) -> bool {
    let facts = cx.facts();
    facts.var_of(term).is_some_and(|var| facts.var_scope(var) != crate::facts::ScopeKind::Function(function))
}

fn is_seen_by_threads(cx: &RuleContext<'_>, place: Place) -> bool {
    let on_thread = |access: &Access| cx.program.thread_visits(access.function).next().is_some();
    cx.program.promise_of(place).is_some() || cx.program.accesses(place).iter().any(on_thread)
}

fn overlaps(cx: &RuleContext<'_>, thread: ThreadOf) -> bool {
    matches!(thread, ThreadOf::Root(root) if cx.program.overlaps_itself(root))
}

/// Whether a value is a call that makes an exception.
fn is_exception_instance(program: &Program, module: ModuleId, value: TermId) -> bool {
    let facts = &program.module(module).facts;
    let Term::Call(call) = facts.terms.get(value) else { return false };
    match program.kind(module, facts.calls[call.index()].callee) {
        Kind::Lib(name) => is_builtin_exception(name),
        Kind::Class(class) => is_exception_class(program, class),
        _ => false,
    }
}

fn is_exception_class(program: &Program, class: ClassId) -> bool {
    program.lib_bases(class).iter().any(|&base| is_builtin_exception(base))
}

fn is_builtin_exception(name: Qual) -> bool {
    const NAMES: &[Qual] = &[
        Qual::of("builtins.BaseException"),
        Qual::of("builtins.Exception"),
        Qual::of("builtins.ArithmeticError"),
        Qual::of("builtins.AssertionError"),
        Qual::of("builtins.AttributeError"),
        Qual::of("builtins.BufferError"),
        Qual::of("builtins.EOFError"),
        Qual::of("builtins.ConnectionError"),
        Qual::of("builtins.ConnectionResetError"),
        Qual::of("builtins.BrokenPipeError"),
        Qual::of("builtins.FileNotFoundError"),
        Qual::of("builtins.FileExistsError"),
        Qual::of("builtins.ImportError"),
        Qual::of("builtins.IndexError"),
        Qual::of("builtins.InterruptedError"),
        Qual::of("builtins.IOError"),
        Qual::of("builtins.KeyError"),
        Qual::of("builtins.KeyboardInterrupt"),
        Qual::of("builtins.LookupError"),
        Qual::of("builtins.MemoryError"),
        Qual::of("builtins.NotImplementedError"),
        Qual::of("builtins.OSError"),
        Qual::of("builtins.OverflowError"),
        Qual::of("builtins.PermissionError"),
        Qual::of("builtins.ReferenceError"),
        Qual::of("builtins.RuntimeError"),
        Qual::of("builtins.StopAsyncIteration"),
        Qual::of("builtins.StopIteration"),
        Qual::of("builtins.SystemError"),
        Qual::of("builtins.SystemExit"),
        Qual::of("builtins.TimeoutError"),
        Qual::of("builtins.TypeError"),
        Qual::of("builtins.ValueError"),
        Qual::of("builtins.UnicodeError"),
        Qual::of("builtins.Warning"),
        Qual::of("builtins.UserWarning"),
        Qual::of("builtins.RuntimeWarning"),
        Qual::of("builtins.DeprecationWarning"),
        Qual::of("builtins.ExceptionGroup"),
        Qual::of("builtins.BaseExceptionGroup"),
        Qual::of("builtins.ZeroDivisionError"),
        Qual::of("builtins.ConnectionAbortedError"),
        Qual::of("builtins.ConnectionRefusedError"),
    ];
    NAMES.contains(&name)
}

/// A group built from a list that a thread may still append to.
fn grouped(
    cx: &RuleContext<'_>,
    (function, id, at): (FuncIx, FuncId, EventIx),
    members: TermId,
    span: Span,
) -> Option<Finding> {
    let members = copied(cx, members);
    let (place, receiver) = cx.program.place(cx.module, function, members)?;
    let reader = Access {
        place,
        kind: crate::link::AccessKind::Iterate,
        module: cx.module,
        function: id,
        event: at,
        ctx: cx.facts().events[at.index()].ctx,
        range: span.range,
        receiver,
        term: members,
    };
    let (writer, thread) = concurrent_writer(cx, place, &reader)?;
    let name = cx.program.place_name(place);
    let other = evidence::span_of(cx.program, writer);
    let thread_name = cx.program.thread_name(thread);
    let finding = Finding::new(
        span,
        Confidence::High,
        format!("exception group is built from `{name}` while workers may still add to it"),
    )
    .label("errors that arrive later are lost")
    .on_thread("main thread");
    let finding = evidence::on_thread(cx.program, finding, writer.function, thread);
    let evidence =
        Evidence::new(EvidenceRole::OtherAccess, other, format!("`{name}` is changed here on the {thread_name}"));
    Some(
        finding
            .evidence(evidence.on_thread(thread_name))
            .note("all builds")
            .help("join the workers (or leave the executor's `with` block) before building the group"),
    )
}

/// `list(errors)`, `tuple(errors)`, `errors[:]`: what they are made from.
fn copied(cx: &RuleContext<'_>, term: TermId) -> TermId {
    let facts = cx.facts();
    match facts.terms.get(term) {
        Term::Call(call) if cx.program.library_callee(cx.module, call).is_some() => {
            facts.positional(call, 0).map_or(term, |arg| arg.value)
        }
        Term::Item(base, key) if key.is_opaque() => base,
        _ => term,
    }
}

fn concurrent_writer<'a>(cx: &RuleContext<'a>, place: Place, reader: &Access) -> Option<(&'a Access, ThreadOf)> {
    let held = cx.program.held(reader.module, reader.function, reader.event);
    let writers = cx.program.accesses(place).iter().filter(|access| access.kind.resizes());
    for writer in writers {
        if cx.program.held_at_access(writer).meets(&held) {
            continue;
        }
        let threads = cx.program.threads_of(writer);
        let found = threads.into_iter().find(|&thread| {
            thread != ThreadOf::Main && !cx.program.ordered((reader, ThreadOf::Main), (writer, thread))
        });
        if let Some(thread) = found {
            return Some((writer, thread));
        }
    }
    None
}
