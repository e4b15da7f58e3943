//! `config`: what holds for a path, and what may be written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{CommandError, Outcome, hierarchy, working_directory};
use crate::args::{ConfigAction, ConfigArgs, GlobalArgs};
use crate::config::{Layer, show};
use crate::discover::DiscoverError;
use crate::docs;
use crate::terminal::print;

/// Shows settings or the schema.
pub(super) fn run(args: &ConfigArgs, global: &GlobalArgs) -> Result<Outcome, CommandError> {
    let text = match args.action {
        Some(ConfigAction::Schema) => docs::config_schema(),
        Some(ConfigAction::Reference) => docs::config_reference(),
        None => settings(&args.path, global)?,
    };
    print(|out| out.write_all(text.as_bytes())).map_err(CommandError::Print)?;
    Ok(Outcome::Clean)
}

fn settings(path: &Path, global: &GlobalArgs) -> Result<String, CommandError> {
    let cwd = working_directory()?;
    let absolute = absolute(path)?;
    let folder = if absolute.is_dir() { &absolute } else { absolute.parent().unwrap_or(&absolute) };
    let hierarchy = hierarchy(global, Layer::default(), &cwd)?;
    let scope = hierarchy.for_folder(folder).map_err(DiscoverError::Config)?;
    Ok(show(&scope, &absolute, &cwd))
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    path.canonicalize().map_err(|source| {
        let path = path.to_owned();
        let error = match source.kind() {
            std::io::ErrorKind::NotFound => DiscoverError::Missing { path },
            _ => DiscoverError::Unreachable { path, source },
        };
        CommandError::Discover(error)
    })
}
