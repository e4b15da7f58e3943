//! `status`: what an interpreter is, and which of its packages can do without the GIL.

use aether_bench::report::ReportError;
use aether_bench::status::{self, Detail, Imports};

use super::{CommandError, Outcome, deliver};
use crate::args::{StatusArgs, StatusFormat};
use crate::terminal::{Terminal, Verbosity};

/// Asks an interpreter and prints what it says.
pub(super) fn run(args: &StatusArgs, terminal: &Terminal) -> Result<Outcome, CommandError> {
    let python = match &args.python {
        Some(path) => path.clone(),
        None => status::default_interpreter()?,
    };
    let imports = if args.no_import { Imports::Skipped } else { Imports::Tried };
    let status = status::probe(&python, imports)?;
    let full = args.full || terminal.speaks(Verbosity::Verbose);
    let detail = if full { Detail::Full } else { Detail::Brief };
    let text = match args.format {
        StatusFormat::Text => status.to_text(detail),
        StatusFormat::Json => status.to_json().map_err(ReportError::from)? + "\n",
    };
    deliver(&text, None)?;
    Ok(Outcome::Clean)
}
