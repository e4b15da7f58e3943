//! Which interpreter is meant when none is named.
//!
//! *Invariant:* looks, and starts nothing.

use std::env;
use std::path::{Path, PathBuf};

use super::error::StatusError;

const NAME: &str = if cfg!(windows) { "python" } else { "python3" };

/// The interpreter that the Python package's scripts run in, which they name to us.
const OWN: &str = "AETHER_PYTHON";

/// The interpreter of the active virtual environment (`VIRTUAL_ENV`, then `CONDA_PREFIX`), else the one this command was
/// installed for (`AETHER_PYTHON`, set by the scripts of the Python package), else the first `python3` (on Windows
/// `python`) on `PATH`.
pub fn default_interpreter() -> Result<PathBuf, StatusError> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os);
    let of_environment = active.map(|root| within(Path::new(&root)));
    let own = env::var_os(OWN).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join(NAME).with_extension(env::consts::EXE_EXTENSION));
    of_environment.chain(own).chain(on_path).find(|path| path.is_file()).ok_or(StatusError::NotFound { wanted: NAME })
}

fn within(root: &Path) -> PathBuf {
    if cfg!(windows) {
        // Virtual environments have a folder for it, conda environments do not.
        let of_venv = root.join("Scripts").join("python.exe");
        if of_venv.is_file() { of_venv } else { root.join("python.exe") }
    } else {
        root.join("bin").join("python3")
    }
}
