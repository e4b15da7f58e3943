//! `HOUSE001`: in this house, what runs on a thread says so in its name.

use aether_rules::{Confidence, Evidence, EvidenceRole, Finding, Findings, RuleContext, declare_rule};
use schemars::JsonSchema;
use serde::Deserialize;

/// How functions that run on threads are called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
struct Options {
    /// What their names end in.
    suffix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { suffix: "_worker".to_owned() }
    }
}

declare_rule! {
    /// ## What it does
    /// Reports functions that are started as threads and do not say so in their name.
    ///
    /// ## Why is this bad?
    /// Whoever changes the function must know that it runs beside others.
    ///
    /// ```python bad
    /// import threading
    ///
    /// def refresh():
    ///     pass
    ///
    /// threading.Thread(target=refresh).start()
    /// ```
    pub static THREAD_FUNCTION_NAME = {
        code: "HOUSE001", name: "thread-function-name", summary: "function of a thread that does not say so",
        family: Threads, level: Warning, since: "0.1.0",
        options: Some(OptionsSpec::of::<Options>()), check: Some(check),
    }
}

fn check(cx: &RuleContext<'_>, findings: &mut Findings<'_>) {
    let suffix = &cx.options::<Options>().suffix;
    for (_, root) in cx.program.roots() {
        let span = cx.program.function_span(root.function);
        let name = cx.program.function_name(root.function);
        let is_here = cx.program.func_local(root.function).0 == cx.module;
        if is_here && root.runs_on.is_thread() && !name.ends_with(suffix.as_str()) {
            let message = format!("`{name}` runs on a thread of its own and is not called `…{suffix}`");
            let started = Evidence::new(EvidenceRole::RootStarts, root.span, "started here");
            findings.report(Finding::new(span, Confidence::High, message).evidence(started));
        }
    }
}
