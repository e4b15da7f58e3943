//! `AET401`: the function meant for a thread is called by the caller.

use crate::declare_rule;
use crate::facts::{CallIx, EventKind, FuncIx, Term};
use crate::finding::{Applicability, Edit, Evidence, EvidenceRole, Fix};
use crate::link::{Callee, FuncId, Kind, ModuleId, Program};
use crate::model::Role;
use crate::{Confidence, Finding, Findings, RuleContext, naming, qual, spawning};
use ruff_text_size::{TextRange, TextSize};

declare_rule! {
    /// ## What it does
    /// Reports a call in the place of the callable of a thread, timer or pool, as in `Thread(target=work())`, when the
    /// called function does not return a callable.
    ///
    /// ## Why is this bad?
    /// The function runs in the caller, to its end, before the thread is even made. The thread then gets its result,
    /// usually `None`, and does nothing, or raises TypeError where nobody sees it.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// def work():
    ///     print("working")
    ///
    /// threading.Thread(target=work()).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// def work():
    ///     print("working")
    ///
    /// threading.Thread(target=work).start()
    /// ```
    ///
    /// ## Limits
    /// Only functions whose every result is known are reported: none that is decorated, that a subclass replaces, or
    /// that returns something unknown. A result that was stored under a name first is not followed.
    ///
    /// ## References
    /// - [threading.Thread](https://docs.python.org/3/library/threading.html#threading.Thread)
    pub(crate) static THREAD_TARGET_CALLED = {
        code: "AET401", name: "thread-target-called", summary: "function called where a thread expects a callable",
        family: Threads, level: Error, since: "0.1.0", versions: "all", fix: Unsafe, check: Some(check),
    }
}

/// What the called function hands to the thread instead of a callable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    Nothing,
    Value,
    Coroutine,
    Generator,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for index in 0..cx.facts().calls.len() {
        let spawn = CallIx::at(index);
        let Some(target) = spawning::callable_argument(cx, spawn) else { continue };
        let Term::Call(called) = cx.facts().terms.get(target.value) else { continue };
        if let Some(gives) = gives(cx.program, cx.module, called) {
            findings.report(describe(cx, spawn, called, gives));
        }
    }
}

/// What a call returns, if it is known to be no callable.
fn gives(program: &Program, module: ModuleId, called: CallIx) -> Option<Gives> {
    match program.callee(module, called) {
        Callee::Function(..) => {
            let targets = program.expand(program.callee(module, called));
            let mut results = targets.into_iter().map(|(function, _)| result_of(program, function));
            let first = results.next().flatten()?;
            results.all(|result| result.is_some()).then_some(first)
        }
        Callee::Lib(name) => {
            let nothing = [qual!("builtins.print"), qual!("time.sleep"), qual!("builtins.exec"), qual!("builtins.setattr")];
            nothing.contains(&name).then_some(Gives::Nothing)
        }
        Callee::Class(_) | Callee::Opaque => None,
    }
}

fn result_of(program: &Program, function: FuncId) -> Option<Gives> {
    let (module, local) = program.func_local(function);
    let declaration = program.function(function);
    let flags = declaration.flags;
    let is_plain = declaration.decorators.is_empty() || flags.is_static || flags.is_classmethod;
    if !is_plain || flags.is_lambda || is_abstract(program, module, local) {
        return None;
    }
    if flags.is_async {
        return Some(if flags.is_generator { Gives::Generator } else { Gives::Coroutine });
    }
    if flags.is_generator {
        return Some(Gives::Generator);
    }
    let annotated = program.annotated(module, declaration.returns);
    if is_no_callable(annotated) {
        return Some(Gives::Value);
    }
    let facts = &program.module(module).facts;
    let mut gives = Gives::Nothing;
    for event in facts.events_of(local) {
        let EventKind::Return(value) = event.kind else { continue };
        let bare = event.range.len() == TextSize::of("return");
        match program.kind(module, value) {
            Kind::None => {}
            _ if bare => {}
            kind if is_no_callable(kind) => gives = Gives::Value,
            _ => return None,
        }
    }
    Some(gives)
}

/// A method that subclasses elsewhere are to replace.
fn is_abstract(program: &Program, module: ModuleId, function: FuncIx) -> bool {
    let facts = &program.module(module).facts;
    let events = facts.events_of(function);
    let raises = |event: &crate::facts::Event| match event.kind {
        EventKind::Raise(exception) => {
            let class = match facts.terms.get(exception) {
                Term::Call(call) => facts.calls[call.index()].callee,
                _ => exception,
            };
            program.kind(module, class) == Kind::Lib(qual!("builtins.NotImplementedError"))
        }
        _ => false,
    };
    let is_stub = events.is_empty() && facts.functions[function.index()].class.is_some();
    is_stub || events.iter().any(raises)
}

fn is_no_callable(kind: Kind) -> bool {
    match kind {
        Kind::None | Kind::Immutable => true,
        kind => matches!(kind.role(), Some(Role::Container(_) | Role::Thread | Role::Future | Role::Queue | Role::File)),
    }
}

fn describe(cx: &RuleContext<'_>, spawn: CallIx, called: CallIx, gives: Gives) -> Finding {
    let facts = cx.facts();
    let (name, spawner) = (naming::callee(facts, called), naming::callee(facts, spawn));
    let range = facts.calls[called.index()].range;
    let message = format!("`{name}(…)` is called here, by the caller; `{spawner}` gets its result");
    let label = match gives {
        Gives::Nothing => "returns None: the thread has nothing to run",
        Gives::Value => "returns no callable: the thread has nothing to run",
        Gives::Coroutine => "makes a coroutine, which no thread can call and nobody awaits",
        Gives::Generator => "makes a generator, which no thread can call",
    };
    let mut finding = Finding::new(cx.span(range), Confidence::High, message).label(label).note("all builds");
    if let Callee::Function(function, _) = cx.program.callee(cx.module, called) {
        let text = format!("`{}` is defined here", cx.program.function_name(function));
        finding = finding.evidence(Evidence::new(EvidenceRole::Definition, cx.program.function_span(function), text));
    }
    if gives == Gives::Coroutine {
        return finding.help(format!("give the thread a function that runs it: `lambda: asyncio.run({name}(…))`"));
    }
    if let Some(end) = naming::end_of_bare_callee(facts, called) {
        let edit = Edit { range: TextRange::new(end, range.end()), text: String::new() };
        finding = finding.fix(Fix {
            title: "hand over the function itself".to_owned(),
            edits: vec![edit],
            applicability: Applicability::Unsafe,
        });
        return finding.help(format!("hand over the function itself: `{name}`"));
    }
    finding.help(format!("hand over `{name}` and its arguments separately, as the spawner's `args`"))
}
