//! The pipeline: sources in, report out.
//!
//! *Invariant:* the result depends on texts, paths and settings alone. Files are put into path order before anything
//! is numbered, every parallel step collects in that order, and the last step sorts.

use std::sync::Arc;

use rayon::prelude::*;
use ruff_text_size::{TextRange, TextSize};

use crate::diagnostic::{AnalyzedFile, Diagnostic, Report};
use crate::finding::Finding;
use crate::parse::{self, ParsedModule};
use crate::rule::{Confidence, Level, Rule};
use crate::rules::run::syntax_error::SYNTAX_ERROR;
use crate::rules::run::too_complex::TOO_COMPLEX;
use crate::rules::run::unreadable_file::UNREADABLE_FILE;
use crate::settings::Settings;
use crate::source::{FileId, SourceKind, SourceText, Sources, Span};

/// Analyses every file of `sources` as one program.
///
/// Runs on a thread pool of its own, with stacks deep enough for any tree the parser lets through;
/// `RAYON_NUM_THREADS` bounds its size.
pub fn analyze(sources: &dyn Sources) -> Report {
    analyze_on(sources, 0)
}

/// [`analyze`] on at most this many threads; 0 lets `RAYON_NUM_THREADS` or the number of cores decide.
pub fn analyze_on(sources: &dyn Sources, threads: usize) -> Report {
    let pool = rayon::ThreadPoolBuilder::new().stack_size(parse::STACK_SIZE).num_threads(threads).build();
    match pool {
        Ok(pool) => pool.install(|| run(sources)),
        // No threads to be had: the caller's own pool is better than no answer.
        Err(_) => run(sources),
    }
}

/// What is known of one file before the program is linked.
struct Loaded {
    file: AnalyzedFile,
    findings: Vec<(&'static Rule, Finding)>,
}

fn run(sources: &dyn Sources) -> Report {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by(|&a, &b| sources.path(a).cmp(sources.path(b)));
    let loaded: Vec<Loaded> = order
        .par_iter()
        .enumerate()
        .map(|(position, &index)| load(sources, index, FileId(position as u32)))
        .collect();
    let settings: Vec<&Arc<Settings>> = order.iter().map(|&index| sources.settings(index)).collect();
    let mut report = Report::default();
    for one in loaded {
        report.statistics.files += 1;
        report.statistics.lines += one.file.text.lines().count();
        report.files.push(one.file);
        for (rule, finding) in one.findings {
            let level = settings[finding.primary.file.index()].level(rule);
            if level != Level::Off {
                report.diagnostics.push(diagnose(rule, level, finding));
            }
        }
    }
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
            return Loaded { file, findings: vec![(&UNREADABLE_FILE, finding)] };
        }
    };
    let mut findings = Vec::new();
    match parse::parse(&source) {
        ParsedModule::TooComplex(deep) => {
            let message = format!("{} deeper than {}: the file was not analysed", deep.what, deep.limit);
            let finding = about_file(id, deep.range, message)
                .help("exclude the file if it is generated: `exclude = [\"…\"]` in aether.toml");
            findings.push((&TOO_COMPLEX, finding));
        }
        ParsedModule::Tree { error, .. } => {
            if let Some(error) = error {
                findings.push((&SYNTAX_ERROR, about_file(id, error.range, error.message)));
            }
        }
    }
    let SourceText { text, kind } = source;
    Loaded { file: AnalyzedFile { path, text, kind }, findings }
}

fn about_file(file: FileId, range: TextRange, message: String) -> Finding {
    let range = if range.is_empty() { TextRange::new(range.start(), range.start() + TextSize::new(0)) } else { range };
    Finding::new(Span::new(file, range), Confidence::High, message)
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
