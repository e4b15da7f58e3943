//! `AET408`: a fork in a program that has threads.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{CallIx, Const, EventIx, EventKind, FuncIx, Qual, Sym, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{FuncId, ModuleId, Program, RootId};
use crate::{Confidence, Finding, Findings, PythonVersion, RuleContext, naming, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports `os.fork`, `os.forkpty`, `pty.fork`, and `multiprocessing` processes, pools and executors whose start method
    /// is fork (the default on Linux up to 3.13), in a program that runs threads at the time.
    ///
    /// ## Why is this bad?
    /// The child gets a copy of the memory and one thread. A lock that another thread held at that moment, in Python, in
    /// `logging`, in the C library, stays held in the child for ever: it hangs, sometimes.
    ///
    /// ## Example
    /// ```python bad
    /// import os
    /// import threading
    ///
    /// def work():
    ///     print("working")
    ///
    /// def main():
    ///     threading.Thread(target=work).start()
    ///     if os.fork() == 0:
    ///         print("child")
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import subprocess
    /// import sys
    /// import threading
    ///
    /// def work():
    ///     print("working")
    ///
    /// def main():
    ///     threading.Thread(target=work).start()
    ///     subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    /// ```
    ///
    /// ## Limits
    /// Reported by default where the fork runs on a thread, or after a thread was started in the same function and not
    /// joined. Where threads are merely started elsewhere in the program it is shown with `--all`. A start method that is
    /// computed is unknown.
    ///
    /// ## References
    /// - [os.fork](https://docs.python.org/3/library/os.html#os.fork)
    /// - [multiprocessing: contexts and start methods](https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods)
    pub(crate) static FORK_WITH_THREADS = {
        code: "AET408", name: "fork-with-threads", summary: "fork in a program that has threads",
        mentions: &[Sym::new("multiprocessing"), Sym::new("fork"), Sym::new("forkpty"), Sym::new("ProcessPoolExecutor"), Sym::new("Process"), Sym::new("Pool")],
        family: Threads, level: Error, since: "0.1.0",
        versions: "all; default start methods on Linux up to 3.13", check: Some(check),
    }
}

const FORKS: &[Qual] = &[Qual::of("os.fork"), Qual::of("os.forkpty"), Qual::of("pty.fork"), Qual::of("posix.fork")];

/// Constructors that fork if the start method says so; methods of a context, of the same names.
const MAKERS: &[&str] = &["Process", "Pool"];

/// How the children of a program come to be, unless a call says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Fork,
    Other,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let threads: Vec<RootId> = cx
        .program
        .roots()
        .filter(|(_, root)| root.runs_on.is_thread() && root.started.is_some())
        .map(|(id, _)| id)
        .collect();
    if threads.is_empty() {
        return;
    }
    let mut default = None; // It takes a look at the whole program, which few modules are worth.
    for (function, id) in cx.functions() {
        for (at, event) in cx.events(function) {
            let EventKind::Call(call) = event.kind else { continue };
            let Some(maker) = maker(cx, call) else { continue };
            if !forks(cx, call, maker, *default.get_or_insert_with(|| default_method(cx))) {
                continue;
            }
            if let Some((confidence, root)) = threads_then(cx.program, (function, id), at, &threads)
                && findings.wants(confidence)
            {
                findings.report(describe(cx, id, call, confidence, root));
            }
        }
    }
}

/// The start method of processes that do not name one.
fn default_method(cx: &RuleContext<'_>) -> Method {
    let calls = cx.program.calls_of(qual!("multiprocessing.set_start_method"));
    let chosen = calls.iter().find_map(|&(module, call)| named_method(cx.program, module, call));
    let forked = cx.settings().target_version < PythonVersion::three(14);
    chosen.unwrap_or(if forked { Method::Fork } else { Method::Other })
}

/// The start method that is the first argument of a call.
fn named_method(program: &Program, module: ModuleId, call: CallIx) -> Option<Method> {
    let facts = &program.module(module).facts;
    let name = facts.arg(call, 0, sym!("method"))?;
    match facts.terms.get(name.value) {
        Term::Const(Const::Str(name)) if name == sym!("fork") => Some(Method::Fork),
        Term::Const(Const::None) => None,
        _ => Some(Method::Other),
    }
}

/// Calls that make a child, by what decides how.
#[derive(Clone, Copy, Debug)]
enum Maker {
    /// It forks, whatever the settings.
    Fork,
    /// The program's start method decides.
    Default,
    /// A context may be given as this argument.
    Given(usize, Sym),
    /// The context it is called on decides.
    OfContext,
}

fn maker(cx: &RuleContext<'_>, call: CallIx) -> Option<Maker> {
    let name = cx.program.library_callee(cx.module, call)?;
    if FORKS.contains(&name) {
        Some(Maker::Fork)
    } else if name == qual!("concurrent.futures.ProcessPoolExecutor") {
        Some(Maker::Given(1, sym!("mp_context")))
    } else if name == qual!("multiprocessing.pool.Pool") {
        Some(Maker::Given(4, sym!("context")))
    } else if is_maker(name, qual!("multiprocessing")) {
        Some(Maker::Default)
    } else {
        is_maker(name, qual!("multiprocessing.get_context")).then_some(Maker::OfContext)
    }
}

/// Whether a call forks this process.
fn forks(cx: &RuleContext<'_>, call: CallIx, maker: Maker, default: Method) -> bool {
    let method = match maker {
        Maker::Fork => Some(Method::Fork),
        Maker::Default => Some(default),
        Maker::Given(position, name) => context_argument(cx, call, (position, name), default),
        Maker::OfContext => context_method(cx, cx.facts().receiver_of(call), default),
    };
    method == Some(Method::Fork)
}

fn is_maker(name: Qual, of: Qual) -> bool {
    MAKERS.iter().any(|maker| of.child(Sym::new(maker)) == name)
}

/// The start method of the context given to a call.
fn context_argument(
    cx: &RuleContext<'_>,
    call: CallIx,
    (position, name): (usize, Sym),
    default: Method,
) -> Option<Method> {
    match cx.facts().arg(call, position, name) {
        Some(context) => context_method(cx, context.value, default),
        None => Some(default),
    }
}

/// The start method of a context, if it is one that `get_context` made.
fn context_method(cx: &RuleContext<'_>, context: TermId, default: Method) -> Option<Method> {
    let values = cx.program.values_of(cx.module, context);
    let methods = values.into_iter().map(|(module, value)| {
        let Term::Call(made) = cx.program.module(module).facts.terms.get(value) else { return None };
        let is_context = cx.program.library_callee(module, made) == Some(qual!("multiprocessing.get_context"));
        let given = cx.program.module(module).facts.arg(made, 0, sym!("method")).is_some();
        is_context.then(|| if given { named_method(cx.program, module, made) } else { Some(default) }).flatten()
    });
    methods.reduce(|a, b| if a == b { a } else { None }).flatten()
}

/// A thread that may run at the time of the fork, and how sure that is.
fn threads_then(
    program: &Program,
    (function, id): (FuncIx, FuncId),
    at: EventIx,
    threads: &[RootId],
) -> Option<(Confidence, RootId)> {
    if let Some(visit) = program.thread_visits(id).next() {
        return Some((Confidence::High, visit.root));
    }
    let lifetimes = threads.iter().filter_map(|&root| Some((root, program.lifetime(root)?)));
    let mut elsewhere = None;
    for (root, lifetime) in lifetimes {
        if lifetime.by != id {
            let ends = lifetime.until.is_some();
            elsewhere = elsewhere.or((!ends).then_some(root));
        } else if at > lifetime.from && lifetime.until.is_none_or(|until| at < until) {
            return Some((Confidence::High, root));
        }
    }
    // Module level comes before everything that functions start, unless it starts it itself.
    let is_module_level = function == FuncIx(0);
    let starts_here = threads.iter().any(|&root| program.root(root).started.is_some_and(|started| started.by == id));
    elsewhere.filter(|_| !is_module_level && !starts_here).map(|root| (Confidence::Low, root))
}

fn describe(cx: &RuleContext<'_>, function: FuncId, call: CallIx, confidence: Confidence, root: RootId) -> Finding {
    let called = naming::callee(cx.facts(), call);
    let name = cx.program.library_callee(cx.module, call);
    let by_hand = name.is_some_and(|name| FORKS.contains(&name));
    let message = format!("`{called}` forks while other threads run");
    let mut finding = Finding::new(cx.span(cx.facts().calls[call.index()].range), confidence, message)
        .label("locks that other threads hold stay held in the child");
    if cx.program.visits(function).iter().any(|visit| visit.root == root) {
        finding = evidence::with_root(cx.program, finding.on_thread(cx.program.root_name(root)), function, root);
    } else {
        let text = format!("the {} starts here", cx.program.root_name(root));
        finding = finding.evidence(Evidence::new(EvidenceRole::RootStarts, cx.program.root(root).span, text));
    }
    if confidence == Confidence::Low {
        finding = finding.note("whether a thread runs at the time of the fork is not known");
    }
    if by_hand {
        return finding
            .note("all versions; 3.12+ warns")
            .help("use `subprocess`, or fork before the first thread starts");
    }
    finding
        .note("fork is the default start method on Linux up to 3.13")
        .help("use `multiprocessing.get_context(\"spawn\")` or `\"forkserver\"`")
}
