//! Why a configuration cannot be used: whose line it is, and what was meant.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Snippet};
use thiserror::Error;

use crate::terminal::Styling;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file named by `--config` or `extend`, or one that was found, cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file says something that is not so.
    #[error("{0}")]
    Invalid(Box<Mistake>),
    /// Inheritance goes in a circle.
    #[error("`extend` of the configuration `{}` leads back to it", path.display())]
    Cycle { path: PathBuf },
    /// `--config` is neither a file nor a setting.
    #[error("`--config {0}` is neither a file that exists nor a `key = value` setting")]
    NeitherFileNorSetting(String),
    /// Two files were named.
    #[error("`--config` names two files, `{0}` and `{1}`; a file can take over from another with `extend`")]
    TwoFiles(String, String),
    /// Options of one rule that are each allowed, but not together.
    #[error("the options of `{rule}` do not go together: {reason}")]
    Options { rule: &'static str, reason: String },
    /// A glob on the command line.
    #[error("`--exclude {glob}` is not a glob pattern: {reason}")]
    Exclude { glob: String, reason: String },
}

/// A mistake at one place of a configuration.
#[derive(Debug, Error)]
#[error("{message}")]
pub(crate) struct Mistake {
    /// The file as the user knows it, or `--config`.
    pub(crate) origin: String,
    /// Its text.
    pub(crate) text: Arc<str>,
    /// Where, in bytes.
    pub(crate) span: Range<usize>,
    /// What is wrong, lower case, no full stop.
    pub(crate) message: String,
    /// What stands beside the place; may be empty.
    pub(crate) label: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

impl ConfigError {
    /// The error as the user sees it, with its heading.
    pub(crate) fn render(&self, styling: Styling) -> String {
        let renderer = styling.renderer();
        match self {
            Self::Invalid(mistake) => renderer.render(&[mistake.group()]),
            other => {
                let title = Level::ERROR.primary_title(crate::terminal::chain(other));
                renderer.render(&[Group::with_title(title)])
            }
        }
    }
}

impl Mistake {
    fn group(&self) -> Group<'_> {
        let end = self.span.end.min(self.text.len());
        let span = self.span.start.min(end)..end;
        let annotation = AnnotationKind::Primary.span(span).label(self.label.as_str());
        let snippet = Snippet::source(&*self.text).path(self.origin.as_str()).annotation(annotation);
        let group = Level::ERROR.primary_title(self.message.as_str()).element(snippet);
        match &self.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}
