//! Comments that silence findings, and the findings about such comments.
//!
//! A comment at the end of a line covers what is reported on that line; one on a line of its own covers the next
//! line of code; `ignore-file` covers the file. Codes of other tools in a `noqa` comment are left alone.
//!
//! *Invariant:* a suppression never hides a finding about suppressions.

use ruff_source_file::{LineIndex, OneIndexed};
use ruff_text_size::{TextRange, TextSize};

use crate::diagnostic::Diagnostic;
use crate::facts::{Comment, CommentKind};
use crate::finding::Finding;
use crate::registry::{self, Selector};
use crate::rule::{Confidence, Level, Rule};
use crate::rules::run::unknown_rule_in_suppression::UNKNOWN_RULE_IN_SUPPRESSION;
use crate::rules::run::unused_suppression::UNUSED_SUPPRESSION;
use crate::settings::Settings;
use crate::source::{FileId, Span};

/// The suppressions of one file.
pub(crate) struct Suppressions<'a> {
    file: FileId,
    settings: &'a Settings,
    lines: LineIndex,
    text: &'a str,
    entries: Vec<Entry>,
}

/// One word of a suppression comment, or a comment without words.
struct Entry {
    scope: Scope,
    rules: Option<Vec<usize>>,
    word: Option<(String, TextRange)>,
    comment: TextRange,
    /// Whether it is ours to call unused: a bare `noqa` is not.
    accountable: bool,
    used: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    File,
    Line(OneIndexed),
}

impl<'a> Suppressions<'a> {
    /// Reads the suppressions among a file's comments; `None` when there are none.
    pub(crate) fn new(file: FileId, settings: &'a Settings, text: &'a str, comments: &[Comment]) -> Option<Self> {
        let is_suppression =
            |comment: &&Comment| !matches!(comment.kind, CommentKind::GuardedBy { .. } | CommentKind::Gil { .. });
        comments.iter().find(is_suppression)?;
        let lines = LineIndex::from_source_text(text);
        let mut suppressions = Self { file, settings, lines, text, entries: Vec::new() };
        for comment in comments.iter().filter(is_suppression) {
            suppressions.add(comment);
        }
        Some(suppressions)
    }

    fn add(&mut self, comment: &Comment) {
        let line = self.lines.line_index(comment.range.start());
        let scope = if comment.own_line { Scope::Line(self.next_code_line(line)) } else { Scope::Line(line) };
        let (scope, codes, accountable) = match &comment.kind {
            CommentKind::Ignore { codes } => (scope, codes, true),
            CommentKind::IgnoreFile { codes } => (Scope::File, codes, true),
            CommentKind::Noqa { codes } => (Scope::Line(line), codes, codes.is_some()),
            CommentKind::GuardedBy { .. }
            | CommentKind::Gil { .. }
            | CommentKind::Accepted
            | CommentKind::AcceptedWait => return,
        };
        let is_noqa = matches!(comment.kind, CommentKind::Noqa { .. });
        let Some(codes) = codes else {
            self.entries.push(Entry {
                scope,
                rules: None,
                word: None,
                comment: comment.range,
                accountable,
                used: false,
            });
            return;
        };
        for (word, range) in codes {
            let foreign = is_noqa && !word.to_ascii_uppercase().starts_with("AET") && registry::find(word).is_none();
            if !foreign {
                let rules = Selector::parse(word).ok().map(|selector| selector.rules().to_vec());
                let rules = Some(rules.unwrap_or_default());
                let word = Some((word.clone(), *range));
                self.entries.push(Entry { scope, rules, word, comment: comment.range, accountable, used: false });
            }
        }
    }

    /// The line of code that a comment on a line of its own stands above.
    fn next_code_line(&self, mut line: OneIndexed) -> OneIndexed {
        for text in self.text.lines().skip(line.get()) {
            line = line.saturating_add(1);
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                break;
            }
        }
        line
    }

    /// Whether a diagnostic is silenced; remembers which comment did it.
    pub(crate) fn silences(&mut self, diagnostic: &Diagnostic) -> bool {
        let rule = registry::index_of(diagnostic.rule);
        let range = diagnostic.primary.range;
        let first = self.lines.line_index(range.start());
        let last = self.lines.line_index(range.end().min(TextSize::of(self.text)));
        let mut silenced = false;
        for entry in &mut self.entries {
            let here = match entry.scope {
                Scope::File => true,
                Scope::Line(line) => (first..=last).contains(&line),
            };
            if here && entry.rules.as_ref().is_none_or(|rules| rules.contains(&rule)) {
                entry.used = true;
                silenced = true;
            }
        }
        silenced
    }

    /// What is wrong with the comments themselves.
    pub(crate) fn findings(&self) -> Vec<(&'static Rule, Finding)> {
        let mut found: Vec<(&'static Rule, Finding)> = Vec::new();
        for entry in &self.entries {
            match (&entry.word, &entry.rules) {
                (Some((word, range)), Some(rules)) if rules.is_empty() => {
                    let help = match registry::suggest(word) {
                        Some(known) => format!("did you mean `{known}`? `aether-lint rules` lists them all"),
                        None => "`aether-lint rules` lists them all".to_owned(),
                    };
                    let finding =
                        Finding::new(self.span(*range), Confidence::High, format!("no rule is called `{word}`"));
                    found.push((&UNKNOWN_RULE_IN_SUPPRESSION, finding.label("suppresses nothing").help(help)));
                }
                (word, rules) if !entry.used && entry.accountable && self.could_fire(rules.as_deref()) => {
                    let (range, message) = match word {
                        Some((word, range)) => (*range, format!("nothing here is reported as `{word}`")),
                        None => (entry.comment, "nothing here is reported".to_owned()),
                    };
                    let finding = Finding::new(self.span(range), Confidence::High, message);
                    found.push((&UNUSED_SUPPRESSION, finding.label("suppresses nothing").help("remove the comment")));
                }
                _ => {}
            }
        }
        found
    }

    fn span(&self, range: TextRange) -> Span {
        Span::new(self.file, range)
    }

    /// Whether one of the rules ran: a comment for a rule that is off is not unused, only early.
    fn could_fire(&self, rules: Option<&[usize]>) -> bool {
        let on = |rule: &'static Rule| rule.check.is_some() && self.settings.level(rule) != Level::Off;
        match rules {
            Some(rules) => rules.iter().any(|&index| on(registry::rules()[index])),
            None => registry::rules().iter().any(|rule| on(rule)),
        }
    }
}
