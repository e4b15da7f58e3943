//! `AET214`: the state of one call kept on an object that all calls share.

use crate::declare_rule;
use crate::evidence;
use crate::facts::{
    CallIx, ClassIx, Const, CtxIx, CtxKind, Event, EventIx, EventKind, FuncIx, ScopeKind, Sym, Term, TermId,
};
use crate::finding::{Evidence, EvidenceRole};
use crate::library;
use crate::link::{Callee, ClassId, FuncId, Kind, Receiver, ThreadOf};
use crate::process_state;
use crate::source::Span;
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports state of one call that is stored where all calls meet: on a context manager that also serves as a
    /// decorator and enters itself (`with self:` in the wrapper, or `contextlib.ContextDecorator`); on a context manager
    /// that is a global; on a decorator object whose `__call__` stores it before it runs the function; in a `nonlocal`
    /// of a decorator's wrapper.
    ///
    /// ## Why is this bad?
    /// A decorator is made once, when the function is defined. Every call on every thread enters the same object, and the
    /// second one overwrites what the first one needs on its way out: the wrong time is measured, the wrong transaction
    /// rolled back, the wrong value restored. Recursion does it without threads.
    ///
    /// ## Example
    /// ```python bad
    /// import functools
    /// import time
    ///
    /// class timed:
    ///     def __call__(self, function):
    ///         @functools.wraps(function)
    ///         def wrapper(*args):
    ///             with self:
    ///                 return function(*args)
    ///         return wrapper
    ///
    ///     def __enter__(self):
    ///         self.start = time.monotonic()
    ///
    ///     def __exit__(self, *exc):
    ///         print(time.monotonic() - self.start)
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import functools
    /// import time
    ///
    /// class timed:
    ///     def __call__(self, function):
    ///         @functools.wraps(function)
    ///         def wrapper(*args):
    ///             with timed():
    ///                 return function(*args)
    ///         return wrapper
    ///
    ///     def __enter__(self):
    ///         self.start = time.monotonic()
    ///
    ///     def __exit__(self, *exc):
    ///         print(time.monotonic() - self.start)
    /// ```
    ///
    /// ## Limits
    /// Constants (`self.active = True`) are no state of a call. A stack that is pushed and popped is accepted, although
    /// two threads may pop each other's entry. A context manager that is entered through a global has medium confidence
    /// only if its class or module promises thread safety; in tests and scripts everything is low (`--all`).
    ///
    /// ## References
    /// - [contextlib: single use, reusable and reentrant context managers](https://docs.python.org/3/library/contextlib.html#single-use-reusable-and-reentrant-context-managers)
    pub(crate) static SHARED_CALL_STATE = {
        code: "AET214", name: "shared-call-state", summary: "state of one call is kept on an object that all calls share",
        family: State, level: Warning, since: "0.1.0", versions: "all", check: Some(check),
    }
}

/// State of one call, and where all calls meet.
struct Shared {
    function: FuncId,
    store: Span,
    name: String,
    back: Span,
    meeting: Option<(Span, String)>,
    why: &'static str,
    base: Confidence,
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let mut found = Vec::new();
    for index in 0..cx.facts().classes.len() {
        let class = ClassIx::at(index);
        found.extend(context_manager(cx, class).or_else(|| decorator_object(cx, class)));
    }
    for (function, id) in cx.functions().skip(1) {
        found.extend(wrapper(cx, function, id));
    }
    for shared in found {
        let visit = process_state::thread_of(cx, shared.function);
        let confidence = match visit {
            Some(_) => Confidence::High,
            None if library::is_library(cx.program, cx.module) => shared.base,
            None => Confidence::Low,
        };
        if !findings.wants(confidence) {
            continue;
        }
        let mut finding = Finding::new(
            shared.store,
            confidence,
            format!("`{}` is the state of one call, on an object that all calls share", shared.name),
        )
        .label("a second call overwrites it before the first has used it");
        finding =
            finding.evidence(Evidence::new(EvidenceRole::OtherAccess, shared.back, "used here, when the call ends"));
        if let Some((span, text)) = shared.meeting {
            finding = finding.evidence(Evidence::new(EvidenceRole::CallPath, span, text));
        }
        if let Some(visit) = visit {
            finding = finding.on_thread(cx.program.root_name(visit.root));
            finding = evidence::on_thread(cx.program, finding, shared.function, ThreadOf::Root(visit.root));
        }
        findings.report(
            finding.note(shared.why).note("all builds: the calls overlap as long as they last, with the GIL too").help(
                "keep it in a local variable of the wrapper, or make a new object for every call (`_recreate_cm`)",
            ),
        );
    }
}

/// A context manager with state between `__enter__` and `__exit__`, entered by several calls.
fn context_manager(cx: &RuleContext<'_>, class: ClassIx) -> Option<Shared> {
    let id = cx.program.class_id(cx.module, class);
    let own = |name| cx.program.class(id).methods.get(&name).copied();
    let (enter, exit) = [(sym!("__enter__"), sym!("__exit__")), (sym!("__aenter__"), sym!("__aexit__"))]
        .into_iter()
        .find_map(|(enter, exit)| Some((own(enter)?, method(cx, id, exit)?)))?;
    let (why, base, meeting) = meeting(cx, id)?;
    let (_, function) = cx.program.func_local(enter);
    let first = cx.facts().functions[function.index()].events.start;
    let events = cx.facts().events_of(function).iter().enumerate();
    events.into_iter().find_map(|(position, event)| {
        let EventKind::Store(target, value) = event.kind else { return None };
        let attr = own_attribute(cx, function, target)?;
        let at = EventIx(first + position as u32);
        if is_constant(cx, value) || !cx.program.held(cx.module, enter, at).is_empty() {
            return None;
        }
        let back = used_on_self(cx, exit, attr, 0)?;
        let name = format!("self.{}", cx.facts().name(attr));
        Some(Shared {
            function: enter,
            store: cx.span(event.range),
            name,
            back,
            meeting: Some(meeting.clone()),
            why,
            base,
        })
    })
}

/// The method an instance of a class has.
fn method(cx: &RuleContext<'_>, class: ClassId, name: Sym) -> Option<FuncId> {
    match cx.program.member(Kind::Instance(class), name) {
        Kind::Method(method) => Some(method),
        _ => None,
    }
}

/// Where several calls enter one object of a class, and how sure that is.
fn meeting(cx: &RuleContext<'_>, class: ClassId) -> Option<(&'static str, Confidence, (Span, String))> {
    if let Some(call) = method(cx, class, sym!("__call__")) {
        let span = enters_self(cx, call)?;
        let why = "the decorator enters itself: one object for all calls of the decorated function";
        return Some((
            why,
            Confidence::Medium,
            (span, "every call of the decorated function enters the same object".to_owned()),
        ));
    }
    if is_context_decorator(cx, class) {
        let (module, local) = cx.program.class_local(class);
        let range = cx.program.module(module).facts.classes[local.index()].name_range;
        let why = "`ContextDecorator` enters the decorator itself on every call, unless `_recreate_cm` makes a new one";
        return Some((
            why,
            Confidence::Medium,
            (cx.program.span(module, range), "usable as a decorator: every call enters the same object".to_owned()),
        ));
    }
    let span = entered_global(cx, class)?;
    let promised = cx.program.module_promise(cx.module).is_some() || cx.program.class_promise(class).is_some();
    let base = if promised { Confidence::Medium } else { Confidence::Low };
    Some((
        "the context manager is a global: whoever runs the function enters the same object",
        base,
        (span, "every call enters the same object".to_owned()),
    ))
}

/// `with self:` in a function nested in a method whose first parameter that `self` is.
fn enters_self(cx: &RuleContext<'_>, method: FuncId) -> Option<Span> {
    let (module, local) = cx.program.func_local(method);
    let facts = &cx.program.module(module).facts;
    facts.ctxs.iter().enumerate().find_map(|(index, ctx)| {
        let CtxKind::With(term, _) = ctx.kind else { return None };
        let function = facts.function_of_ctx(CtxIx::at(index));
        let var = facts.var_of(term)?;
        let [value] = facts.vars[var.index()].values[..] else { return None };
        let is_self = facts.terms.get(value) == Term::Param(local, 0);
        (function != local && is_self).then(|| cx.program.span(module, ctx.range))
    })
}

fn is_context_decorator(cx: &RuleContext<'_>, class: ClassId) -> bool {
    let bases = [qual!("contextlib.ContextDecorator"), qual!("contextlib.AsyncContextDecorator")];
    let recreates = cx
        .program
        .class(class)
        .mro
        .iter()
        .any(|&ancestor| cx.program.class(ancestor).methods.contains_key(&sym!("_recreate_cm")));
    !recreates && cx.program.lib_bases(class).iter().any(|base| bases.contains(base))
}

/// Where a function of the module enters a global object of a class.
fn entered_global(cx: &RuleContext<'_>, class: ClassId) -> Option<Span> {
    let facts = cx.facts();
    facts.ctxs.iter().enumerate().find_map(|(index, ctx)| {
        let CtxKind::With(term, _) = ctx.kind else { return None };
        if cx.program.kind(cx.module, term) != Kind::Instance(class)
            || !matches!(facts.terms.get(term), Term::Name(_) | Term::Attr(..))
        {
            return None;
        }
        let function = facts.function_of_ctx(CtxIx::at(index));
        let in_function = function != FuncIx(0);
        let is_global = cx.program.receiver(cx.module, function, term) == Receiver::Global;
        (in_function && is_global).then(|| cx.span(ctx.range))
    })
}

/// `self.name` as a target, where `self` is the method's own object and not confined to a thread.
fn own_attribute(cx: &RuleContext<'_>, function: FuncIx, target: TermId) -> Option<Sym> {
    let Term::Attr(base, name) = cx.facts().terms.get(target) else { return None };
    is_self(cx, function, base).then_some(())?;
    let (place, receiver) = cx.program.place(cx.module, function, target)?;
    (matches!(receiver, Receiver::Own) && !cx.program.is_confined(place)).then_some(name)
}

fn is_self(cx: &RuleContext<'_>, function: FuncIx, term: TermId) -> bool {
    let facts = cx.facts();
    let var = facts.var_of(term);
    var.is_some_and(|var| matches!(facts.vars[var.index()].values[..], [value] if facts.terms.get(value) == Term::Param(function, 0)))
}

fn is_constant(cx: &RuleContext<'_>, value: TermId) -> bool {
    matches!(
        cx.facts().terms.get(value),
        Term::Const(Const::None | Const::True | Const::False | Const::Int(_) | Const::Str(_))
    )
}

/// Where a method, or one it calls on the same object, reads `self.name`.
fn used_on_self(cx: &RuleContext<'_>, id: FuncId, name: Sym, depth: usize) -> Option<Span> {
    let (module, function) = cx.program.func_local(id);
    let facts = &cx.program.module(module).facts;
    let reads = |event: &Event| match event.kind {
        EventKind::Load(term) => match facts.terms.get(term) {
            Term::Attr(base, attr) => attr == name && cx.program.receiver(module, function, base) == Receiver::Own,
            _ => false,
        },
        _ => false,
    };
    if let Some(event) = facts.events_of(function).iter().find(|event| reads(event)) {
        return Some(cx.program.span(module, event.range));
    }
    if depth > 0 {
        return None;
    }
    facts.events_of(function).iter().find_map(|event| {
        let EventKind::Call(call) = event.kind else { return None };
        match cx.program.callee(module, call) {
            Callee::Function(helper, Receiver::Own) => used_on_self(cx, helper, name, depth + 1),
            _ => None,
        }
    })
}

/// A decorator that is an object: `__init__` keeps the function, `__call__` stores something, runs it, and reads that.
fn decorator_object(cx: &RuleContext<'_>, class: ClassIx) -> Option<Shared> {
    let facts = cx.facts();
    let id = cx.program.class_id(cx.module, class);
    let call = *cx.program.class(id).methods.get(&sym!("__call__"))?;
    let (_, function) = cx.program.func_local(call);
    let runs = |call: CallIx| match facts.terms.get(facts.calls[call.index()].callee) {
        Term::Attr(base, name) => is_self(cx, function, base) && keeps_function(cx, id, name),
        _ => false,
    };
    let (store, attr, back) = around_call(cx, function, &runs, &|target| own_attribute(cx, function, target))?;
    Some(Shared {
        function: call,
        store,
        name: format!("self.{}", facts.name(attr)),
        back,
        meeting: None,
        why: "the decorator is one object for all calls of the decorated function",
        base: Confidence::Medium,
    })
}

/// Whether `__init__` stores a parameter that is plainly a function in `self.name`.
fn keeps_function(cx: &RuleContext<'_>, class: ClassId, name: Sym) -> bool {
    const NAMES: [&str; 8] = ["f", "fn", "func", "function", "method", "wrapped", "decorated", "callable"];
    let facts = cx.facts();
    let Some(attr) = cx.program.class(class).attrs.get(&name) else { return false };
    attr.stores.iter().any(|&(by, value)| {
        let (module, init) = cx.program.func_local(by);
        let is_init = facts.functions[init.index()].name == sym!("__init__") && module == cx.module;
        let params = &facts.functions[init.index()].params;
        is_init
            && params.iter().any(|param| {
                let var = facts.var_of(value);
                var == Some(param.var) && NAMES.contains(&facts.name(param.name))
            })
    })
}

/// A decorator's wrapper that keeps the state of a call in a variable of the decorator.
fn wrapper(cx: &RuleContext<'_>, function: FuncIx, id: FuncId) -> Option<Shared> {
    let facts = cx.facts();
    let decorator = facts.functions[function.index()].parent.filter(|parent| *parent != FuncIx(0))?;
    let runs = |call: CallIx| {
        let var = facts.var_of(facts.calls[call.index()].callee);
        var.is_some_and(|var| facts.functions[decorator.index()].params.iter().any(|param| param.var == var))
    };
    let of_decorator = |target: TermId| {
        let var = facts.var_of(target)?;
        let is_outer = facts.var_scope(var) == ScopeKind::Function(decorator);
        is_outer.then(|| facts.vars[var.index()].name)
    };
    if !returns(cx, decorator, function) {
        return None;
    }
    let (store, name, back) = around_call(cx, function, &runs, &of_decorator)?;
    Some(Shared {
        function: id,
        store,
        name: facts.name(name).to_owned(),
        back,
        meeting: None,
        why: "the variable belongs to the decorator: one for all calls of the decorated function",
        base: Confidence::Medium,
    })
}

/// Whether a decorator returns its nested function.
fn returns(cx: &RuleContext<'_>, decorator: FuncIx, nested: FuncIx) -> bool {
    let id = cx.program.func_id(cx.module, nested);
    cx.events(decorator).any(|(_, event)| match event.kind {
        EventKind::Return(value) => cx.program.kind(cx.module, value) == Kind::Function(id),
        _ => false,
    })
}

/// A store before the wrapped function runs, of what is read after it has run.
fn around_call(
    cx: &RuleContext<'_>,
    function: FuncIx,
    runs: &dyn Fn(CallIx) -> bool,
    name_of: &dyn Fn(TermId) -> Option<Sym>,
) -> Option<(Span, Sym, Span)> {
    let events: Vec<Event> = cx.events(function).map(|(_, event)| event).collect();
    let id = cx.program.func_id(cx.module, function);
    let first = cx.facts().functions[function.index()].events.start;
    let run = events.iter().position(|event| matches!(event.kind, EventKind::Call(call) if runs(call)))?;
    let stores = events[..run].iter().enumerate().filter_map(|(at, event)| match event.kind {
        EventKind::Store(target, value) if !is_constant(cx, value) => {
            name_of(target).map(|name| (at, name, event.range))
        }
        _ => None,
    });
    for (at, name, range) in stores {
        if !cx.program.held(cx.module, id, EventIx(first + at as u32)).is_empty() {
            continue;
        }
        let back = events[run + 1..].iter().find(|event| match event.kind {
            EventKind::Load(term) => name_of(term) == Some(name),
            _ => false,
        });
        if let Some(back) = back {
            return Some((cx.span(range), name, cx.span(back.range)));
        }
    }
    None
}
