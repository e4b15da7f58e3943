//! The status in words, for a terminal.
//!
//! *Invariant:* reads a status and decides nothing.

use std::fmt::Write as _;

use super::{GilStatus, InterpreterStatus, Package, Verdict};

/// How many packages are named before the rest is counted.
const NAMED: usize = 3;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The GIL, and the packages that are not known to be ready.
    Brief,
    /// Everything.
    Full,
}

impl InterpreterStatus {
    /// The status for a terminal, lines of at most some 120 columns where names allow.
    pub fn to_text(&self, detail: Detail) -> String {
        let mut text = String::new();
        let state = match self.gil_status {
            GilStatus::Disabled => "off",
            GilStatus::Enabled | GilStatus::Forced => "on",
        };
        let build = if self.is_free_threaded_build { "free-threaded build" } else { "build with the GIL" };
        let _ = writeln!(text, "{}, {build}: {}", self.python, self.interpreter.executable);
        let _ = writeln!(text, "GIL: {state}, {}", self.gil_explanation);
        if detail == Detail::Full {
            text.push_str(&self.settings());
        }
        text.push('\n');
        text.push_str(&self.packages_text(detail));
        text
    }

    fn settings(&self) -> String {
        let interpreter = &self.interpreter;
        let yes_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
        let since_3_14 = |value: Option<bool>| value.map_or_else(|| "not in this version".to_owned(), yes_no);
        let interval =
            interpreter.switch_interval.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds} s"));
        let rows = [
            ("Build", interpreter.build.replace('\n', " ")),
            ("Debug build", yes_no(interpreter.debug_build)),
            ("Configured with", interpreter.configured.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("ABI", interpreter.abi.clone()),
            ("Platform", interpreter.platform.clone()),
            ("Prefix", interpreter.prefix.clone()),
            ("Virtual environment", yes_no(interpreter.virtual_environment)),
            ("Switch interval", interval),
            ("Threads inherit the context", since_3_14(interpreter.thread_inherit_context)),
            ("Warning filters per context", since_3_14(interpreter.context_aware_warnings)),
        ];
        rows.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "  {name:<28} {value}");
            text
        })
    }

    fn packages_text(&self, detail: Detail) -> String {
        let (ready, open): (Vec<&Package>, Vec<&Package>) =
            self.packages.iter().partition(|package| package.verdict == Verdict::Ready);
        let mut text = format!(
            "{} ready for free threading, {} not known to be; {} of Python code alone\n",
            counted(ready.len(), "package"),
            open.len(),
            self.pure_python_packages,
        );
        let mut shown = open;
        if detail == Detail::Full {
            shown.extend(ready);
        }
        shown.sort_by(|a, b| a.verdict.cmp(&b.verdict).then_with(|| a.name.cmp(&b.name)));
        let width = shown.iter().map(|package| package.title().chars().count()).max().unwrap_or_default();
        for package in &shown {
            let _ = writeln!(text, "  {:<width$}  {}: {}", package.title(), package.verdict, package.because);
        }
        text.push_str(&advice(&shown));
        if self.is_free_threaded_build && !self.imports_tried && !self.packages.is_empty() {
            text.push_str("Nothing was imported: what modules do to the GIL was not observed.\n");
        }
        text
    }
}

/// What to do, each thing once, with the packages it is for.
fn advice(packages: &[&Package]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for package in packages {
        let Some(advice) = package.advice.as_deref() else { continue };
        match groups.iter_mut().find(|(text, _)| *text == advice) {
            Some((_, names)) => names.push(&package.name),
            None => groups.push((advice, vec![&package.name])),
        }
    }
    groups.iter().fold(String::new(), |mut text, (advice, names)| {
        let (shown, others) = names.split_at(names.len().min(NAMED));
        let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        let _ = writeln!(text, "→ {}{others}: {advice}.", shown.join(", "));
        text
    })
}

impl Package {
    fn title(&self) -> String {
        format!("{} {}", self.name, self.version).trim_end().to_owned()
    }
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
