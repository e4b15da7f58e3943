//! The pipeline: sources in, report out.
//!
//! *Invariant:* the result depends on texts, paths and settings alone. Files are put into path order before anything
//! is numbered, every parallel step collects in that order, and the last step sorts.

use std::sync::Arc;

use rayon::prelude::*;
use ruff_text_size::TextRange;

use crate::accepted;
use crate::context::RuleContext;
use crate::diagnostic::{AnalyzedFile, Diagnostic, Report, Statistics};
use crate::excerpt;
use crate::facts::{self, CommentKind, ModuleFacts};
use crate::finding::{Finding, Findings};
use crate::link::{Callee, ModuleId, Program};
use crate::parallel::of_each;
use crate::parse::{self, ParsedModule};
use crate::registry;
use crate::rule::{Confidence, Level, Rule};
use crate::rules::run::syntax_error::SYNTAX_ERROR;
use crate::rules::run::too_complex::TOO_COMPLEX;
use crate::rules::run::unreadable_file::UNREADABLE_FILE;
use crate::source::{FileId, SourceKind, SourceText, Sources, Span};
use crate::staged;
use crate::suppression::Suppressions;

/// Analyses every file of `sources` as one program.
///
/// Runs on a thread pool of its own, with stacks deep enough for any tree the parser lets through;
/// `RAYON_NUM_THREADS` bounds its size.
pub fn analyze(sources: &dyn Sources) -> Report {
    analyze_on(sources, 0)
}

/// [`analyze`] on at most this many threads; 0 lets `RAYON_NUM_THREADS` or the number of cores decide.
pub fn analyze_on(sources: &dyn Sources, threads: usize) -> Report {
    on_deep_stacks(threads, || run(sources))
}

/// Runs on threads with stacks deep enough for any tree the parser lets through.
fn on_deep_stacks<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().stack_size(parse::STACK_SIZE).num_threads(threads).build();
    match pool {
        Ok(pool) => pool.install(work),
        // No threads to be had: the caller's own pool is better than no answer.
        Err(_) => work(),
    }
}

/// What is known of one file before the program is linked.
struct Loaded {
    file: AnalyzedFile,
    facts: ModuleFacts,
    findings: Vec<(&'static Rule, Finding)>,
    lines: usize,
    depth: Depth,
}

/// How far a file was looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Analyzed,
    /// Its findings are off and it names no thread: only searched for such names.
    Skimmed,
}

/// A linked program and its files: what rules run on.
///
/// [`analyze`] makes one and runs all rules over it. Whoever wants them one at a time, as a benchmark does, makes it
/// here.
#[derive(Debug)]
pub struct Linked {
    program: Program,
    files: Vec<AnalyzedFile>,
    /// By file: what was found while it was read.
    found: Vec<Vec<RuleFinding>>,
    lines: usize,
    skimmed: usize,
}

impl Linked {
    /// Reads, parses and links every file of `sources`.
    pub fn new(sources: &dyn Sources) -> Self {
        on_deep_stacks(0, || Self::link(sources))
    }

    fn link(sources: &dyn Sources) -> Self {
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by(|&a, &b| sources.path(a).cmp(sources.path(b)));
        let loaded = of_each(order.len(), |position| load(sources, order[position], FileId(position as u32)));
        let skimmed = loaded.iter().filter(|one| one.depth == Depth::Skimmed).count();
        let lines = loaded.iter().map(|one| one.lines).sum();
        let (mut files, mut found, mut modules) = (Vec::new(), Vec::new(), Vec::with_capacity(loaded.len()));
        for (one, &index) in loaded.into_iter().zip(&order) {
            modules.push((Arc::clone(&one.file.path), Arc::clone(sources.settings(index)), one.facts));
            files.push(one.file);
            found.push(one.findings);
        }
        Self { program: Program::link(modules), files, found, lines, skimmed }
    }

    /// Runs one rule over all files, one after the other: how often it has something to say, whatever the settings show.
    pub fn run(&self, rule: &'static Rule) -> usize {
        let count = |(index, file): (usize, &AnalyzedFile)| {
            let mut found = Vec::new();
            run_rule(&self.program, ModuleId::at(index), file, rule, Confidence::Low, &mut found);
            found.len()
        };
        self.files.iter().enumerate().map(count).sum()
    }
}

fn run(sources: &dyn Sources) -> Report {
    let Linked { program, files, mut found, lines, skimmed } = Linked::link(sources);
    let statistics = Statistics { skimmed, lines, ..statistics(&program) };
    let mut report = Report { files, statistics, ..Report::default() };
    let reported = of_each(report.files.len(), |index| report_on(&program, ModuleId::at(index), &report.files[index]));
    // What a rule says of one module's state may stand in another file, whose settings and comments then hold.
    for (rule, finding) in reported.into_iter().flatten() {
        found[finding.primary.file.index()].push((rule, finding));
    }
    let checked: Vec<(Vec<Diagnostic>, usize)> = found
        .into_par_iter()
        .enumerate()
        .map(|(index, mut findings)| {
            let (module, file) = (ModuleId::at(index), &report.files[index]);
            let facts = &program.module(module).facts;
            accepted::forgive(&mut findings, &facts.comments, &file.text);
            accepted::believe(&mut findings, &facts.functions);
            staged::doubt(&mut findings, &program);
            settle(&program, module, file, &findings)
        })
        .collect();
    for (diagnostics, suppressed) in checked {
        report.diagnostics.extend(diagnostics);
        report.statistics.suppressed += suppressed;
    }
    // Facts are many small pieces: they are given back while the report is rendered.
    rayon::spawn(move || drop(program));
    report
}

fn load(sources: &dyn Sources, index: usize, id: FileId) -> Loaded {
    let path: Arc<str> = sources.path(index).into();
    let source = match sources.load(index) {
        Ok(source) => source,
        Err(error) => {
            let mut finding = about_file(id, TextRange::default(), error.message);
            finding.help = error.help;
            let file = AnalyzedFile { path, text: "".into(), kind: SourceKind::Module };
            let findings = vec![(&UNREADABLE_FILE, finding)];
            return Loaded { file, facts: ModuleFacts::empty(), findings, lines: 0, depth: Depth::Analyzed };
        }
    };
    let lines = lines(&source.text);
    if sources.settings(index).ceiling == Level::Off && !excerpt::names_threads(&source.text) {
        // Nothing will be said of it, so nobody needs its text.
        let file = AnalyzedFile { path, text: "".into(), kind: source.kind };
        return Loaded { file, facts: ModuleFacts::empty(), findings: Vec::new(), lines, depth: Depth::Skimmed };
    }
    let mut findings = Vec::new();
    let (read, parsed) = parse(&source, sources.settings(index).ceiling);
    let facts = match parsed {
        ParsedModule::TooComplex(deep) => {
            let message = format!("{} deeper than {}: the file was not analysed", deep.what, deep.limit);
            let finding = about_file(id, deep.range, message)
                .help("exclude the file if it is generated: `exclude = [\"…\"]` in aether.toml");
            findings.push((&TOO_COMPLEX, finding));
            ModuleFacts::empty()
        }
        ParsedModule::Tree { parsed, error } => {
            if let Some(error) = error {
                let mut finding = about_file(id, error.range, error.message);
                if error.more > 0 {
                    finding = finding.note(format!("{} more follow; they may be echoes of this one", error.more));
                }
                findings.push((&SYNTAX_ERROR, finding));
            }
            facts::build(&read, parsed)
        }
    };
    let SourceText { text, kind } = source;
    Loaded { file: AnalyzedFile { path, text, kind }, facts, findings, lines, depth: Depth::Analyzed }
}

/// Parses a text, or what of it concerns threads where no more is asked for; and what was parsed.
fn parse(source: &SourceText, ceiling: Level) -> (SourceText, ParsedModule) {
    if ceiling == Level::Off
        && source.kind == SourceKind::Module
        && let Some(text) = excerpt::of_threads(&source.text)
    {
        let excerpt = SourceText { text: text.into(), kind: SourceKind::Module };
        let parsed = parse::parse(&excerpt);
        if matches!(parsed, ParsedModule::Tree { error: None, .. }) {
            return (excerpt, parsed);
        }
    }
    (source.clone(), parse::parse(source))
}

fn about_file(file: FileId, range: TextRange, message: String) -> Finding {
    Finding::new(Span::new(file, range), Confidence::High, message)
}

/// A finding and the rule that made it.
type RuleFinding = (&'static Rule, Finding);

/// Runs the rules over one module.
fn report_on(program: &Program, module: ModuleId, file: &AnalyzedFile) -> Vec<RuleFinding> {
    let mut found = Vec::new();
    let (settings, facts) = (&program.module(module).settings, &program.module(module).facts);
    // A comment for a finding below the shown confidence is not unused: find them all where comments are.
    let threshold = if has_suppressions(facts) { Confidence::Low } else { settings.min_confidence };
    for (index, &rule) in registry::rules().iter().enumerate() {
        if settings.level_at(index, rule) != Level::Off {
            run_rule(program, module, file, rule, threshold, &mut found);
        }
    }
    found
}

/// Runs one rule over one module, unless the module cannot have what the rule looks for.
fn run_rule(
    program: &Program,
    module: ModuleId,
    file: &AnalyzedFile,
    rule: &'static Rule,
    threshold: Confidence,
    found: &mut Vec<RuleFinding>,
) {
    let facts = &program.module(module).facts;
    let is_mentioned = || rule.mentions.is_empty() || rule.mentions.iter().any(|&name| facts.mentions(name));
    if let Some(check) = rule.check
        && file.kind != SourceKind::Stub
        && is_mentioned()
    {
        let cx = RuleContext::new(program, module, rule);
        check(&cx, &mut Findings::new(rule, threshold, found));
    }
}

/// Gives the findings of one file their levels, applies its suppressions, and sorts what is left.
fn settle(program: &Program, module: ModuleId, file: &AnalyzedFile, found: &[RuleFinding]) -> (Vec<Diagnostic>, usize) {
    let (settings, facts) = (&program.module(module).settings, &program.module(module).facts);
    let mut suppressions = Suppressions::new(FileId(module.0), settings, &file.text, &facts.comments);
    let mut diagnostics = judge(found, settings);
    let mut suppressed = 0;
    if let Some(suppressions) = &mut suppressions {
        let before = diagnostics.len();
        diagnostics.retain(|diagnostic| !suppressions.silences(diagnostic));
        suppressed = before - diagnostics.len();
        diagnostics.extend(judge(&suppressions.findings(), settings));
    }
    diagnostics.retain(|diagnostic| diagnostic.confidence >= settings.min_confidence);
    diagnostics.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    diagnostics.dedup_by(|a, b| sort_key(a) == sort_key(b));
    (diagnostics, suppressed)
}

fn sort_key(diagnostic: &Diagnostic) -> ((FileId, ruff_text_size::TextSize, ruff_text_size::TextSize), &str, &str) {
    (diagnostic.primary.order(), diagnostic.rule.code, &diagnostic.message)
}

/// Gives findings their levels, and drops those that a more specific rule says better in the same place.
fn judge(found: &[RuleFinding], settings: &crate::settings::Settings) -> Vec<Diagnostic> {
    let said: Vec<(&'static str, Span, Confidence)> =
        found.iter().map(|(rule, finding)| (rule.code, finding.primary, finding.confidence)).collect();
    let better = |rule: &'static Rule, finding: &Finding| {
        said.iter().any(|&(code, span, confidence)| {
            rule.yields_to.contains(&code)
                && span.range.intersect(finding.primary.range).is_some()
                && confidence >= finding.confidence
        })
    };
    let kept = found.iter().filter(|(rule, finding)| !better(rule, finding));
    kept.filter_map(|(rule, finding)| {
        let level = settings.level(rule);
        (level != Level::Off).then(|| diagnose(rule, level, finding.clone()))
    })
    .collect()
}

fn diagnose(rule: &'static Rule, level: Level, finding: Finding) -> Diagnostic {
    Diagnostic {
        rule,
        level,
        confidence: finding.confidence,
        message: finding.message,
        primary: finding.primary,
        label: finding.label,
        thread: finding.thread,
        evidence: finding.evidence,
        notes: finding.notes,
        help: finding.help,
        fix: finding.fix,
    }
}

/// How many lines a text has, the last one with or without its end.
fn lines(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count() + usize::from(!text.is_empty() && !text.ends_with('\n'))
}

fn statistics(program: &Program) -> Statistics {
    let mut statistics = Statistics {
        files: program.modules().count(),
        roots: program.roots().count(),
        shared_places: program.place_count(),
        ..Statistics::default()
    };
    for (id, module) in program.modules() {
        statistics.functions += module.facts.functions.len() - 1;
        statistics.calls += module.facts.calls.len();
        let calls = (0..module.facts.calls.len()).map(crate::facts::CallIx::at);
        statistics.opaque_calls += calls.filter(|&call| program.callee(id, call) == Callee::Opaque).count();
    }
    statistics
}

/// Whether a module has comments that suppress.
pub(crate) fn has_suppressions(facts: &ModuleFacts) -> bool {
    facts
        .comments
        .iter()
        .any(|comment| matches!(comment.kind, CommentKind::Ignore { .. } | CommentKind::IgnoreFile { .. }))
}
