//! Where results and notes go.
//!
//! *Invariant:* a closed pipe ends the output quietly; a file that cannot be written is an error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Writes a result to the file, or to standard output.
pub(crate) fn result(text: &str, file: Option<&Path>) -> io::Result<()> {
    if let Some(path) = file {
        return std::fs::write(path, text)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot write `{}`: {error}", path.display())));
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Says something that is not a result.
pub(crate) fn note(text: &str) {
    // Nobody can be told that standard error is closed.
    writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
}

/// Shows a passing state on a terminal, over the one before; nothing elsewhere.
pub(crate) fn progress(text: &str) {
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        let shown: String = text.chars().take(100).collect();
        write!(err, "\r{shown:<100}\r").and_then(|()| err.flush()).unwrap_or_default();
    }
}
