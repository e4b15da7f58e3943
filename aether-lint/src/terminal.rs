//! The one place that writes to standard output and standard error.
//!
//! *Invariant:* a reader that goes away (`| head`) ends the writing quietly: it is neither a panic nor an error.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use annotate_snippets::Renderer;
use anstream::AutoStream;
use clap::ColorChoice;

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings and the summary.
    Normal,
    /// What was read and how long it took.
    Verbose,
}

/// Whether a text carries colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Styling {
    /// Escape sequences welcome.
    Colored,
    /// Text only.
    Plain,
}

impl Styling {
    /// The snippet renderer in this styling.
    pub(crate) const fn renderer(self) -> Renderer {
        match self {
            Self::Colored => Renderer::styled(),
            Self::Plain => Renderer::plain(),
        }
    }

    /// `text` in `style`, if styles are welcome.
    pub(crate) fn paint(self, style: anstyle::Style, text: impl Display) -> String {
        match self {
            Self::Colored => format!("{style}{text}{style:#}"),
            Self::Plain => text.to_string(),
        }
    }
}

/// Where the command speaks.
#[derive(Debug)]
pub(crate) struct Terminal {
    verbosity: Verbosity,
    output: Styling,
    messages: Styling,
}

impl Terminal {
    /// A terminal that speaks this much, in colour if the streams and the user want it.
    pub(crate) fn new(verbosity: Verbosity, color: ColorChoice) -> Self {
        let styling = |auto: anstream::ColorChoice| match color {
            ColorChoice::Never => Styling::Plain,
            ColorChoice::Auto if auto == anstream::ColorChoice::Never => Styling::Plain,
            ColorChoice::Auto | ColorChoice::Always => Styling::Colored,
        };
        Self {
            verbosity,
            output: styling(AutoStream::choice(&io::stdout())),
            messages: styling(AutoStream::choice(&io::stderr())),
        }
    }

    /// The styling of standard output.
    pub(crate) fn output_styling(&self) -> Styling {
        self.output
    }

    /// The styling of standard error.
    pub(crate) fn message_styling(&self) -> Styling {
        self.messages
    }

    /// Whether a progress bar may be drawn.
    pub(crate) fn may_animate(&self) -> bool {
        self.verbosity > Verbosity::Quiet && io::stderr().is_terminal()
    }

    /// Whether as much as this is said.
    pub(crate) fn speaks(&self, needed: Verbosity) -> bool {
        self.verbosity >= needed
    }

    /// Shows a passing state in place of the one before, where it may be animated; an empty text clears it.
    pub(crate) fn pass(&self, text: impl Display) {
        if self.may_animate() {
            let shown: String = text.to_string().chars().take(100).collect();
            let mut err = io::stderr().lock();
            // Nobody is left to be told that standard error is gone.
            let _ = write!(err, "\r\x1b[K{shown}").and_then(|()| err.flush());
        }
    }

    /// Says something unless the user asked for quiet.
    pub(crate) fn say(&self, text: impl Display) {
        self.write(Verbosity::Normal, text);
    }

    /// Says something only when asked to be verbose.
    pub(crate) fn detail(&self, text: impl Display) {
        self.write(Verbosity::Verbose, text);
    }

    /// Warns, unless the user asked for quiet.
    pub(crate) fn warn(&self, text: impl Display) {
        let style = anstyle::AnsiColor::Yellow.on_default().bold();
        self.say(format_args!("{}: {text}", self.messages.paint(style, "warning")));
    }

    /// Reports a failure of the run, always.
    pub(crate) fn fail(&self, text: impl Display) {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        self.write(Verbosity::Quiet, format_args!("{}: {text}", self.messages.paint(style, "error")));
    }

    /// Writes a text that brings its own heading, always.
    pub(crate) fn fail_rendered(&self, text: &str) {
        self.write(Verbosity::Quiet, text);
    }

    fn write(&self, needed: Verbosity, text: impl Display) {
        if self.verbosity >= needed {
            // Nobody is left to be told that standard error is gone.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }
}

/// Writes to standard output through `write`, buffered; a closed pipe counts as written.
pub(crate) fn print<F>(write: F) -> io::Result<()>
where
    F: FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
{
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = write(&mut out).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // What is still buffered has no reader; dropping the writer would try again.
            let _ = out.into_parts();
            Ok(())
        }
        other => other,
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
