//! The linter for programs that carry it inside: the words of the command line, findings as values.
//!
//! *Invariant:* nothing here prints or decides an exit code; the same words and files find what the command finds.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use aether_rules::{Cell, Report, SourceError, SourceKind, SourceText, analyze_on};
use ruff_text_size::{TextRange, TextSize};
use thiserror::Error;

use crate::args::{self, CheckArgs, Cli, Command, GlobalArgs};
use crate::command::{CommandError, Shown, flags, hierarchy, repository_root};
use crate::config::ConfigError;
use crate::discover::{Content, DiscoverError, Discovery, FoundFile, Request, discover, display};
use crate::files::Files;
use crate::read;
use crate::render::{OutputFormat, Scene};
use crate::terminal::{Styling, chain};

/// Why nothing was checked. Every message says what is wrong and where; the kinds say whose fault it is.
#[derive(Debug, Error)]
pub enum EmbedError {
    /// The words make no sense: an unknown rule, option or format.
    #[error("{0}")]
    Usage(String),
    /// A configuration file is wrong.
    #[error("{0}")]
    Config(String),
    /// A path does not exist.
    #[error("`{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The system said no.
    #[error("{0}")]
    System(String),
}

/// A text that is not, or not yet, in a file.
#[derive(Clone, Debug)]
pub enum Text {
    /// A module.
    Module(String),
    /// Code cells in the order they ran, `IPython` syntax welcome; numbered from 1.
    Cells(Vec<String>),
}

/// What was found.
#[derive(Debug)]
pub struct Checked {
    report: Report,
    paths: Vec<PathBuf>,
    root: PathBuf,
    skipped: Vec<String>,
}

impl Checked {
    /// Files, diagnostics, statistics.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What was left out and why, one sentence each.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The findings in one of the command's output formats, without colours.
    ///
    /// # Errors
    /// [`EmbedError::Usage`] for a format that does not exist.
    pub fn render(&self, format: &str) -> Result<String, EmbedError> {
        let Some(known) = OutputFormat::named(format) else {
            let names = OutputFormat::names().join(", ");
            return Err(EmbedError::Usage(format!("there is no output format `{format}`; there are {names}")));
        };
        let paths = self.paths.iter().map(PathBuf::as_path).collect();
        let scene = Scene::new(&self.report, Styling::Plain, &self.root, paths);
        let mut bytes = Vec::new();
        known.renderer().render(&scene, &mut bytes).map_err(|error| EmbedError::System(chain(&error)))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What `aether-lint check WORDS…` finds.
///
/// # Errors
/// Whatever makes the command exit with 2.
pub fn check(words: impl IntoIterator<Item = OsString>) -> Result<Checked, EmbedError> {
    let words = Words::parse(words)?;
    let scope = words.hierarchy.for_folder(&words.cwd).map_err(DiscoverError::Config)?;
    let request = Request {
        roots: &words.check.paths,
        stdin_filename: None,
        cwd: &words.cwd,
        gitignore: scope.config().layer.gitignore.unwrap_or_default(),
        threads: words.threads(),
    };
    let Discovery { files, skipped } = discover(&request, &words.hierarchy)?;
    Ok(words.analyze(files, skipped))
}

/// What the same words find in a text that would lie at `name`, which decides how it is reported and, unless the words
/// say otherwise, which configuration governs it.
///
/// # Errors
/// Whatever makes the command exit with 2.
pub fn check_text(text: Text, name: &Path, words: impl IntoIterator<Item = OsString>) -> Result<Checked, EmbedError> {
    let words = Words::parse(words)?;
    let path = words.cwd.join(name);
    let folder = path.parent().unwrap_or(&words.cwd);
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let scope = words.hierarchy.for_folder(&folder).map_err(DiscoverError::Config)?;
    let file = FoundFile {
        display: display(&path, &words.cwd, name),
        settings: scope.settings(&path, None),
        path,
        content: Content::Given(source(text)),
    };
    Ok(words.analyze(vec![file], Vec::new()))
}

/// The command line, understood.
struct Words {
    check: Box<CheckArgs>,
    hierarchy: crate::config::Hierarchy,
    cwd: PathBuf,
}

impl Words {
    fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, EmbedError> {
        let line = ["aether-lint", "check"].map(OsString::from).into_iter().chain(words);
        let cli = args::parse(line).map_err(|usage| EmbedError::Usage(usage.to_string().trim_end().to_owned()))?;
        let Cli { command: Command::Check(check), global } = cli else {
            return Err(EmbedError::Usage("expected the options of `check`".to_owned()));
        };
        Self::resolve(check, &global)
    }

    fn resolve(check: Box<CheckArgs>, global: &GlobalArgs) -> Result<Self, EmbedError> {
        let cwd = env::current_dir().map_err(CommandError::WorkingDirectory)?;
        let flags = flags(&check, Shown::AsConfigured, &cwd).map_err(CommandError::Config)?;
        let hierarchy = hierarchy(global, flags, &cwd)?;
        Ok(Self { check, hierarchy, cwd })
    }

    fn threads(&self) -> usize {
        self.check.threads.map_or(0, std::num::NonZeroUsize::get)
    }

    fn analyze(&self, files: Vec<FoundFile>, skipped: Vec<String>) -> Checked {
        let files = Files::new(files);
        let report = analyze_on(&files, self.threads());
        let paths = files.all().iter().map(|file| file.path.clone()).collect();
        Checked { report, paths, root: repository_root(&self.cwd).to_owned(), skipped }
    }
}

/// A text as the engine wants it: no byte-order mark, cells joined, no larger than a file may be.
fn source(text: Text) -> Result<SourceText, SourceError> {
    let source = match text {
        Text::Module(text) => {
            SourceText { text: text.strip_prefix('\u{feff}').unwrap_or(&text).into(), kind: SourceKind::Module }
        }
        Text::Cells(cells) => joined(&cells),
    };
    let size = source.text.len() as u64;
    if size > read::SIZE_LIMIT { Err(read::ReadError::TooLarge { size }.into()) } else { Ok(source) }
}

fn joined(cells: &[String]) -> SourceText {
    let mut text = String::new();
    let mut ranges = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let start = TextSize::try_from(text.len()).unwrap_or_default();
        text.push_str(cell);
        let range = TextRange::new(start, TextSize::try_from(text.len()).unwrap_or(start));
        text.push('\n');
        ranges.push(Cell { number: index + 1, range });
    }
    SourceText { text: text.into(), kind: SourceKind::Notebook(ranges) }
}

impl From<CommandError> for EmbedError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Config(error) => error.into(),
            CommandError::Discover(error) => error.into(),
            other => Self::System(chain(&other)),
        }
    }
}

impl From<DiscoverError> for EmbedError {
    fn from(error: DiscoverError) -> Self {
        match error {
            DiscoverError::Missing { path } => Self::Missing(path),
            DiscoverError::Config(error) => Self::Config(error.render(Styling::Plain)),
            DiscoverError::StandardInputAndPaths => Self::Usage(error.to_string()),
            DiscoverError::Unreachable { .. } => Self::System(chain(&error)),
        }
    }
}

impl From<ConfigError> for EmbedError {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Exclude { .. } | ConfigError::NeitherFileNorSetting(_) | ConfigError::TwoFiles(..) => {
                Self::Usage(chain(&error))
            }
            other => Self::Config(other.render(Styling::Plain)),
        }
    }
}

impl From<io::Error> for EmbedError {
    fn from(error: io::Error) -> Self {
        Self::System(chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RACE: &str = "import threading\n\ncount = 0\n\ndef work():\n    global count\n    count += 1\n\n\
                        for _ in range(4):\n    threading.Thread(target=work).start()\n";

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_text_is_checked_under_its_name() {
        let checked = check_text(Text::Module(RACE.to_owned()), Path::new("job.py"), words(&["--isolated"]));
        let checked = checked.expect("checked");
        let text = checked.render("concise").expect("a known format");
        assert!(text.starts_with("job.py:7:5: "), "{text}");
        assert!(matches!(checked.render("poem"), Err(EmbedError::Usage(message)) if message.contains("sarif")));
    }

    #[test]
    fn cells_are_one_program_and_keep_their_numbers() {
        let (first, second) = RACE.split_at(RACE.find("for").expect("the loop"));
        let cells = Text::Cells(vec![first.to_owned(), format!("%time 1\n{second}")]);
        let checked = check_text(cells, Path::new("notebook"), words(&["--isolated"])).expect("checked");
        let text = checked.render("json").expect("a known format");
        assert!(text.contains("\"cell\":1,\"location\":{\"line\":7,"), "{text}");
    }

    #[test]
    fn mistakes_are_told_apart_by_whose_they_are() {
        assert!(matches!(check(words(&["--select", "AET999"])), Err(EmbedError::Usage(_))));
        assert!(matches!(check(words(&["no/such/folder"])), Err(EmbedError::Missing(_))));
        let config = check(words(&["--config", "no-such-key = 1"]));
        assert!(matches!(config, Err(EmbedError::Config(message)) if message.contains("no-such-key")));
    }
}
