//! What `python/status.py` says, before anything is made of it.
//!
//! *Invariant:* mirrors that file's answers field by field, and judges nothing.

use serde::{Deserialize, Serialize};

/// The answer to `facts`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Facts {
    /// How the interpreter was built and is set.
    #[serde(flatten)]
    pub interpreter: Interpreter,
    /// Whether the GIL was in force when asked.
    pub gil_enabled: bool,
    /// The value of `-X gil`, if given.
    pub gil_option: Option<String>,
    /// The value of `PYTHON_GIL`, if set and heeded.
    pub gil_variable: Option<String>,
    /// Extension modules in memory that are not the standard library's.
    pub loaded_extensions: Vec<String>,
    /// What is installed.
    pub distributions: Vec<Distribution>,
}

/// How an interpreter was built and is set. What a version does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The executable.
    pub executable: String,
    /// Where it is installed.
    pub prefix: String,
    /// Whether that is a virtual environment.
    pub virtual_environment: bool,
    /// As in "`CPython`".
    pub implementation: String,
    /// As in "3.14.0".
    pub version: String,
    /// Version, date and compiler of the build.
    pub build: String,
    /// The ABI extension modules are built for.
    pub abi: String,
    /// As in "linux-x86_64".
    pub platform: String,
    /// The options it was configured with, where known.
    pub configured: Option<String>,
    /// Whether it is a debug build.
    pub debug_build: bool,
    /// Whether the build can run without a GIL.
    pub free_threaded_build: bool,
    /// Seconds after which a thread is asked to hand over the GIL.
    pub switch_interval: Option<f64>,
    /// Whether new threads start with a copy of their starter's context.
    pub thread_inherit_context: Option<bool>,
    /// Whether `warnings.catch_warnings` keeps to its own context.
    pub context_aware_warnings: Option<bool>,
    /// Endings of the file names of extension modules it can load.
    pub extension_suffixes: Vec<String>,
}

/// One installed distribution, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Distribution {
    /// Its normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its trove classifiers about free threading.
    #[serde(default)]
    pub classifiers: Vec<String>,
    /// The tags of the wheel it was installed from.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Its extension modules.
    #[serde(default)]
    pub extensions: Vec<Extension>,
    /// Whether it came with a list of its files.
    #[serde(default)]
    pub files_listed: bool,
    /// Why it could not be read.
    #[serde(default)]
    pub problem: Option<String>,
}

/// One extension module.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Extension {
    /// Its dotted name.
    pub module: String,
    /// The ABI in its file name; empty if there is none.
    pub tag: String,
}

/// What came of importing one module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Import {
    /// The module.
    pub module: String,
    /// What came of it.
    pub outcome: ImportOutcome,
    /// The module that enabled the GIL, as `CPython` names it.
    #[serde(default)]
    pub culprit: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub problem: Option<String>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportOutcome {
    /// It began, and nothing more is known: if this is the last word, the interpreter ended or hung in it.
    Started,
    /// It is in memory and the GIL is still off.
    Imported,
    /// It raised, and the GIL is still off.
    Failed,
    /// It enabled the GIL.
    EnabledGil,
}

impl Facts {
    /// Reads the answer of `status.py facts`.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The extension modules worth importing: loadable here, and not parts of a package's own tests.
    pub fn modules_to_try(&self) -> Vec<String> {
        let extensions = self.distributions.iter().flat_map(|found| &found.extensions);
        extensions
            .filter(|found| self.interpreter.loads(found) && !found.is_of_tests())
            .map(|found| found.module.clone())
            .collect()
    }
}

impl Interpreter {
    /// Whether a file of this ABI can be loaded; the interpreter itself says which endings it knows.
    pub(super) fn loads(&self, extension: &Extension) -> bool {
        let dotted = if extension.tag.is_empty() { String::new() } else { format!(".{}", extension.tag) };
        self.extension_suffixes.iter().any(|suffix| {
            let known = suffix.rsplit_once('.').map_or("", |(known, _)| known);
            known == dotted
        })
    }
}

impl Distribution {
    /// Whether anything about it bears on the GIL.
    pub(super) fn matters(&self) -> bool {
        !self.extensions.is_empty() || !self.classifiers.is_empty() || self.problem.is_some()
    }
}

impl Extension {
    /// Whether the package's users never import it.
    pub(super) fn is_of_tests(&self) -> bool {
        let is_test = |part: &str| {
            matches!(part.trim_matches('_'), "test" | "tests" | "testing")
                || part.starts_with("_test")
                || part.ends_with("_tests")
        };
        self.module.split('.').any(is_test)
    }
}
