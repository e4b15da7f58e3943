//! `AET403`: a thread class whose `__init__` leaves out, or comes before, `Thread.__init__`.

use crate::declare_rule;
use crate::facts::{Arm, CallIx, CtxIx, CtxKind, Event, EventKind, FuncIx, ModuleFacts, Sym, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Callee, ClassId, FuncId, Kind, ModuleId, Program};
use crate::model::{Role, role_of};
use crate::{Confidence, Finding, Findings, RuleContext, sym};
use ruff_text_size::TextRange;

declare_rule! {
    /// ## What it does
    /// Reports a subclass of `threading.Thread` (or `Timer`) whose `__init__` does not call the base's, calls it on some
    /// paths only, or uses what the base sets up (`daemon`, `name`, `start()`) before it does.
    ///
    /// ## Why is this bad?
    /// `start()`, `join()`, `name` and `daemon` raise "Thread.__init__() not called". What the class wanted to set before
    /// is lost.
    ///
    /// ## Example
    /// ```python bad
    /// import threading
    ///
    /// class Poller(threading.Thread):
    ///     def __init__(self, interval):
    ///         self.interval = interval
    ///
    ///     def run(self):
    ///         print(self.interval)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import threading
    ///
    /// class Poller(threading.Thread):
    ///     def __init__(self, interval):
    ///         super().__init__(daemon=True)
    ///         self.interval = interval
    ///
    ///     def run(self):
    ///         print(self.interval)
    /// ```
    ///
    /// ## Limits
    /// Attributes of the class's own may be set before the base is initialised. A base class that may be anything, a base
    /// `__init__` called from another method, and a decorated `__init__` are not judged.
    ///
    /// ## References
    /// - [threading.Thread](https://docs.python.org/3/library/threading.html#threading.Thread)
    pub(crate) static THREAD_INIT_MISSING = {
        code: "AET403", name: "thread-init-missing", summary: "thread class does not initialise its base first",
        family: Threads, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// How deep helpers that initialise the base may be nested.
const MAX_DEPTH: usize = 4;

/// What is wrong with an `__init__`.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The base is never initialised.
    Missing,
    /// The base is initialised only where a test went one way.
    OnOnePath(TextRange),
    /// The base is needed before it is initialised.
    TooLate { used: TextRange, initialised: TextRange },
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    for index in 0..cx.facts().classes.len() {
        let class = cx.program.class_id(cx.module, crate::facts::ClassIx::at(index));
        if !cx.program.is_thread_class(class) {
            continue;
        }
        let Some(&init) = cx.program.class(class).methods.get(&sym!("__init__")) else { continue };
        if let Some(fault) = fault(cx.program, class, init) {
            findings.report(describe(cx, class, init, fault));
        }
    }
}

fn fault(program: &Program, class: ClassId, init: FuncId) -> Option<Fault> {
    let declaration = program.function(init);
    if !declaration.decorators.is_empty() || program.class(class).methods.contains_key(&sym!("start")) {
        return None;
    }
    let (module, function) = program.func_local(init);
    let facts = &program.module(module).facts;
    let events = facts.events_of(function);
    let initialises = |event: &Event| match event.kind {
        EventKind::Call(call) => call_initialises(program, (class, init), module, call, 0),
        _ => false,
    };
    let calls: Vec<&Event> = events.iter().filter(|event| initialises(event)).collect();
    let Some(first) = calls.first() else {
        return (!is_initialised_elsewhere(program, class, init)).then_some(Fault::Missing);
    };
    let before = events.iter().take_while(|event| event.range != first.range);
    let mut uses = before.filter(|event| uses_base(program, class, module, event));
    if let Some(used) = uses.next() {
        return Some(Fault::TooLate { used: used.range, initialised: first.range });
    }
    let covered = calls.iter().any(|call| is_certain(facts, function, call.ctx, &calls));
    (!covered).then_some(Fault::OnOnePath(first.range))
}

/// Whether a call in `init` initialises the thread object, itself or through another `__init__` or helper.
fn call_initialises(
    program: &Program,
    (class, from): (ClassId, FuncId),
    module: ModuleId,
    call: CallIx,
    depth: usize,
) -> bool {
    if depth > MAX_DEPTH {
        return true; // Too deep to say.
    }
    let facts = &program.module(module).facts;
    if let Some(base) = init_of(facts, call) {
        return match program.kind(module, base) {
            Kind::Super(_) => next_init(program, class, from, depth),
            Kind::Class(base) => match program.member(Kind::Class(base), sym!("__init__")) {
                Kind::Function(init) => body_initialises(program, class, init, depth),
                _ => program.is_thread_class(base) || has_unknown_base(program, base),
            },
            // A library class that is no thread initialises something else, unless it is not known at all.
            Kind::Lib(name) => role_of(name).is_none_or(|role| role == Role::Thread),
            _ => true,
        };
    }
    match program.callee(module, call) {
        Callee::Function(helper, crate::link::Receiver::Own) if program.function(helper).class.is_some() => {
            helper != from && body_initialises(program, class, helper, depth)
        }
        _ => false,
    }
}

/// Whose `__init__` a call calls: by attribute, or by a name for one (`thread_init = Thread.__init__`).
fn init_of(facts: &ModuleFacts, call: CallIx) -> Option<TermId> {
    let own = |callee: TermId| match facts.terms.get(callee) {
        Term::Attr(base, name) if name == sym!("__init__") => Some(base),
        _ => None,
    };
    let callee = facts.calls[call.index()].callee;
    own(callee).or_else(|| match facts.vars[facts.var_of(callee)?.index()].values[..] {
        [value] => own(value),
        _ => None,
    })
}

fn body_initialises(program: &Program, class: ClassId, function: FuncId, depth: usize) -> bool {
    let (module, local) = program.func_local(function);
    program.module(module).facts.events_of(local).iter().any(|event| match event.kind {
        EventKind::Call(call) => call_initialises(program, (class, function), module, call, depth + 1),
        _ => false,
    })
}

/// The `__init__` that `super()` means in `from`, for an object of `class`.
fn next_init(program: &Program, class: ClassId, from: FuncId, depth: usize) -> bool {
    let owner = program.class_of(from);
    let after = program.class(class).mro.iter().skip_while(|&&ancestor| Some(ancestor) != owner).skip(1);
    let mut inits = after.filter_map(|&ancestor| program.class(ancestor).methods.get(&sym!("__init__")));
    match inits.next() {
        Some(&init) => body_initialises(program, class, init, depth),
        None => true, // What is left of the order is the library's.
    }
}

/// Whether a base of the class is known to be none of the program's and none that has a model.
fn has_unknown_base(program: &Program, class: ClassId) -> bool {
    program.class(class).mro.iter().any(|&ancestor| {
        let (module, local) = program.class_local(ancestor);
        let known = program.class(ancestor).bases.len() + program.class(ancestor).lib_bases.len();
        program.module(module).facts.classes[local.index()].bases.len() > known
    })
}

/// Whether another method initialises the base, or nothing can be said about where the object comes from.
fn is_initialised_elsewhere(program: &Program, class: ClassId, init: FuncId) -> bool {
    let mro = program.class(class).mro.iter();
    let mut methods: Vec<FuncId> = mro.flat_map(|&owner| own_methods(program, owner)).collect();
    methods.retain(|&method| method != init && program.function(method).name != sym!("__init__"));
    methods.into_iter().any(|method| body_initialises(program, class, method, 0))
}

fn own_methods(program: &Program, class: ClassId) -> Vec<FuncId> {
    let (module, local) = program.class_local(class);
    let methods = program.module(module).facts.classes[local.index()].methods.iter();
    methods.map(|&method| program.func_id(module, method)).collect()
}

/// Whether an event needs what `Thread.__init__` sets up.
fn uses_base(program: &Program, class: ClassId, module: ModuleId, event: &Event) -> bool {
    const PROPERTIES: &[Sym] = &[Sym::new("daemon"), Sym::new("name"), Sym::new("ident")];
    const METHODS: &[Sym] =
        &[Sym::new("start"), Sym::new("join"), Sym::new("is_alive"), Sym::new("setDaemon"), Sym::new("setName")];
    let facts = &program.module(module).facts;
    let of_self = |base: TermId, name: Sym| {
        let is_self = program.kind(module, base) == Kind::Instance(class);
        is_self && program.class(class).mro.iter().all(|&owner| !redefines(program, owner, name))
    };
    match event.kind {
        EventKind::Store(target, _) => match facts.terms.get(target) {
            Term::Attr(base, name) => PROPERTIES.contains(&name) && of_self(base, name),
            _ => false,
        },
        EventKind::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(base, name) => METHODS.contains(&name) && of_self(base, name),
            _ => false,
        },
        _ => false,
    }
}

fn redefines(program: &Program, class: ClassId, name: Sym) -> bool {
    let info = program.class(class);
    info.methods.contains_key(&name) || info.attrs.get(&name).is_some_and(|attr| attr.class_var.is_some())
}

/// Whether a call is reached on every path that does not raise, together with the calls of the other branches.
fn is_certain(facts: &ModuleFacts, function: FuncIx, ctx: CtxIx, calls: &[&Event]) -> bool {
    facts.ctx_chain(ctx).all(|(at, branch)| match branch.kind {
        CtxKind::Branch(_, arm) => {
            let opposite = match arm {
                Arm::Then => Arm::Else,
                Arm::Else => Arm::Then,
            };
            let is_opposite = |other: CtxIx| is_arm(facts, other, at, opposite);
            // An `assert` has no other arm.
            let is_assert = !(0..facts.ctxs.len()).map(CtxIx::at).any(is_opposite);
            let ends = facts.events_of(function).iter().filter(|event| matches!(event.kind, EventKind::Raise(_)));
            let mut ways = calls.iter().copied().chain(ends);
            is_assert || ways.any(|event| facts.ctx_chain(event.ctx).any(|(ctx, _)| is_opposite(ctx)))
        }
        CtxKind::Handler(_) => false,
        _ => true,
    })
}

/// Whether `other` is the arm of the same test that `at` is not.
fn is_arm(facts: &ModuleFacts, other: CtxIx, at: CtxIx, arm: Arm) -> bool {
    let (other, at) = (&facts.ctxs[other.index()], &facts.ctxs[at.index()]);
    matches!(other.kind, CtxKind::Branch(_, other) if other == arm)
        && other.range == at.range
        && other.parent == at.parent
}

fn describe(cx: &RuleContext<'_>, class: ClassId, init: FuncId, fault: Fault) -> Finding {
    let name = cx.program.class_name(class);
    let span = cx.program.function_span(init);
    let show = |range, text: &str| Evidence::new(EvidenceRole::OtherAccess, cx.span(range), text);
    let finding = match fault {
        Fault::Missing => {
            let message = format!("`{name}.__init__` does not call `Thread.__init__`");
            Finding::new(span, Confidence::High, message)
                .label("`start()` raises RuntimeError: Thread.__init__() not called")
        }
        Fault::OnOnePath(range) => {
            let message = format!("`{name}.__init__` calls `Thread.__init__` on some paths only");
            Finding::new(span, Confidence::Medium, message)
                .label("on the others `start()` raises RuntimeError")
                .evidence(show(range, "called here, under a condition"))
        }
        Fault::TooLate { used, initialised } => {
            let message = format!("`{name}.__init__` uses the thread before it calls `Thread.__init__`");
            Finding::new(span, Confidence::High, message)
                .label("raises: Thread.__init__() not called")
                .evidence(show(used, "needs an initialised thread"))
                .evidence(show(initialised, "initialised here, too late"))
        }
    };
    finding.note("all builds").help("call `super().__init__(…)` first")
}
