//! `AET801`: a sqlite3 connection used by a thread that did not make it.

use crate::confined::{self, Maker, Use};
use crate::declare_rule;
use crate::evidence;
use crate::facts::{Const, Qual, Term, TermId};
use crate::finding::{Evidence, EvidenceRole};
use crate::link::{Place, PlaceRoot, ThreadOf, Visit};
use crate::{Confidence, Finding, Findings, RuleContext, qual, sym};

declare_rule! {
    /// ## What it does
    /// Reports a `sqlite3` connection or cursor that is made by one thread and used by another. With
    /// `check_same_thread=False`: writes from several threads without a common lock.
    ///
    /// ## Why is this bad?
    /// The module checks the thread: `ProgrammingError: SQLite objects created in a thread can only be used in that same
    /// thread`. With the check off there is one transaction for all threads: the `commit` of one commits half of another's
    /// work, and a `rollback` undoes it.
    ///
    /// ## Example
    /// ```python bad
    /// import sqlite3
    /// import threading
    ///
    /// database = sqlite3.connect("log.db")
    ///
    /// def log(text):
    ///     database.execute("insert into log values (?)", (text,))
    ///
    /// threading.Thread(target=log, args=("started",)).start()
    /// ```
    ///
    /// Use instead:
    /// ```python ok
    /// import contextlib
    /// import sqlite3
    /// import threading
    ///
    /// def log(text):
    ///     with contextlib.closing(sqlite3.connect("log.db")) as database, database:
    ///         database.execute("insert into log values (?)", (text,))
    ///
    /// threading.Thread(target=log, args=("started",)).start()
    /// ```
    ///
    /// ## Limits
    /// A connection in a container, or behind an argument of unknown type, is not followed. With the check switched off,
    /// reads and statements whose text is not a short literal do not count as writes.
    ///
    /// ## References
    /// - [sqlite3.connect: check_same_thread](https://docs.python.org/3/library/sqlite3.html#sqlite3.connect)
    pub(crate) static SQLITE_CROSS_THREAD = {
        code: "AET801", name: "sqlite-cross-thread", summary: "a sqlite3 connection is used by a thread that did not make it",
        family: Ecosystem, level: Error, since: "0.1.0", versions: "all", check: Some(check),
    }
}

const CLASSES: &[Qual] = &[Qual::of("sqlite3.Connection"), Qual::of("sqlite3.Cursor")];

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let uses = confined::uses(cx, &|class| CLASSES.contains(&class));
    let mut reported: Vec<(crate::link::FuncId, Place)> = Vec::new();
    for one in &uses {
        if reported.contains(&(one.function, one.place)) || confined::visits(cx, one).next().is_none() {
            continue;
        }
        let makers = confined::makers(cx, one.place, CLASSES);
        let finding = if makers.is_empty() {
            None
        } else if makers.iter().any(|maker| is_unchecked(cx, maker.module, maker.value, 0)) {
            unserialised(cx, one, &uses, &makers)
        } else {
            foreign(cx, one, &makers)
        };
        if let Some(finding) = finding {
            reported.push((one.function, one.place));
            findings.report(finding);
        }
    }
}

/// A use on a thread that did not make the connection.
fn foreign(cx: &RuleContext<'_>, one: &Use, makers: &[Maker]) -> Option<Finding> {
    let visit = confined::visits(cx, one).find(|visit| {
        let makes = makers.iter().any(|maker| confined::runs(cx, visit, maker.function));
        // Made by whichever thread comes first, used by its siblings.
        let is_one_for_all = matches!(one.place.root, PlaceRoot::Global(..) | PlaceRoot::ClassAttr(..));
        !makes || (is_one_for_all && cx.program.overlaps_itself(visit.root))
    })?;
    let name = cx.program.place_name(one.place);
    let message = format!("`{name}` is used by a thread that did not make it");
    let finding =
        Finding::new(cx.span(one.range), Confidence::High, message).label("raises `sqlite3.ProgrammingError`");
    let finding = describe(cx, finding, one, makers, visit);
    Some(
        finding
            .note("all builds and versions: the module checks the thread on every use")
            .help("connect in the thread that uses it (`threading.local` for one connection per thread), or hand statements to the one thread that owns it"),
    )
}

/// A write, the check switched off, while another thread uses the connection too.
fn unserialised(cx: &RuleContext<'_>, one: &Use, uses: &[Use], makers: &[Maker]) -> Option<Finding> {
    let held = cx.program.held(cx.module, one.function, one.event);
    let visit = confined::visits(cx, one).next()?;
    let clashes = |other: &&Use| {
        let is_writing = writes(cx, one) || writes(cx, other);
        let elsewhere = confined::visits(cx, other)
            .any(|visited| visited.root != visit.root || cx.program.overlaps_itself(visited.root));
        let on_main = other.function != one.function
            && cx.program.on_main(other.function)
            && !cx.program.is_setup(other.function);
        let bare = !cx.program.held(cx.module, other.function, other.event).meets(&held);
        other.place == one.place && is_writing && bare && (elsewhere || on_main)
    };
    let other = uses.iter().find(clashes)?;
    let name = cx.program.place_name(one.place);
    let message = format!("`{name}` is used by several threads with the check switched off and no common lock");
    let finding = Finding::new(cx.span(one.range), Confidence::High, message)
        .label("one transaction for all threads: they commit and roll back each other's work");
    let mut finding = describe(cx, finding, one, makers, visit);
    if other.range != one.range && other.function != one.function {
        finding = finding.evidence(Evidence::new(EvidenceRole::OtherAccess, cx.span(other.range), "also used here"));
    }
    Some(
        finding
            .note("all builds: SQLite serialises single calls, not transactions")
            .help("hold one lock from the first statement to `commit`, or open a connection for every thread"),
    )
}

fn describe(cx: &RuleContext<'_>, finding: Finding, one: &Use, makers: &[Maker], visit: &Visit) -> Finding {
    let thread = cx.program.root_name(visit.root);
    let mut finding = finding.on_thread(thread.clone());
    if let Some(maker) = makers.first() {
        let text = format!("made here, in `{}`", cx.program.function_name(maker.function));
        finding =
            finding.evidence(Evidence::new(EvidenceRole::Definition, cx.program.span(maker.module, maker.range), text));
    }
    evidence::on_thread(cx.program, finding, one.function, ThreadOf::Root(visit.root))
        .note(format!("the {thread} runs this"))
}

/// Whether a connection, or the one a cursor comes from, is made with the check switched off, or may be.
fn is_unchecked(cx: &RuleContext<'_>, module: crate::link::ModuleId, value: TermId, depth: usize) -> bool {
    const MAX_DEPTH: usize = 4;
    let facts = &cx.program.module(module).facts;
    if depth > MAX_DEPTH {
        return true;
    }
    match facts.terms.get(value) {
        Term::Entered(inner) => is_unchecked(cx, module, inner, depth + 1),
        Term::Either(a, b) | Term::Or(a, b) => {
            is_unchecked(cx, module, a, depth + 1) || is_unchecked(cx, module, b, depth + 1)
        }
        Term::Name(_) => match facts.var_of(value) {
            Some(var) => facts.vars[var.index()].values.iter().any(|&value| is_unchecked(cx, module, value, depth + 1)),
            None => true,
        },
        Term::Call(call) if cx.program.library_callee(module, call) == Some(qual!("sqlite3.connect")) => {
            let starred = facts.args_of(call).iter().any(|arg| {
                matches!(arg.name, crate::facts::ArgumentName::Starred | crate::facts::ArgumentName::DoubleStarred)
            });
            let flag = facts.arg(call, 4, sym!("check_same_thread")).map(|arg| facts.terms.get(arg.value));
            starred || flag.is_some_and(|flag| flag != Term::Const(Const::True))
        }
        Term::Call(call) => match facts.terms.get(facts.calls[call.index()].callee) {
            Term::Attr(base, _) => is_unchecked(cx, module, base, depth + 1),
            _ => true,
        },
        _ => true,
    }
}

/// Whether a use plainly changes the database or ends a transaction.
fn writes(cx: &RuleContext<'_>, one: &Use) -> bool {
    const WRITES: [&str; 6] = ["insert", "update", "delete", "replace", "create", "drop"];
    let Some((method, call)) = one.call else { return true };
    let facts = cx.facts();
    match facts.name(method) {
        "commit" | "rollback" | "executemany" | "executescript" => true,
        "execute" => match facts.positional(call, 0).map(|arg| facts.terms.get(arg.value)) {
            Some(Term::Const(Const::Str(text))) => {
                let statement = facts.name(text).trim_start().to_ascii_lowercase();
                WRITES.iter().any(|word| statement.starts_with(word))
            }
            _ => false,
        },
        _ => false,
    }
}
