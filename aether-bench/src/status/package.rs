//! What is known about one installed package, and how.
//!
//! *Invariant:* a verdict follows from its basis alone; observations in the interpreter go before declarations, and
//! declarations before tags.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::facts::{Distribution, Extension, Import, ImportOutcome, Interpreter};

/// Whether a package can be used without the GIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Importing it enables the GIL for the whole process.
    ForcesGil,
    /// What is installed cannot do it; a newer version may.
    NeedsNewer,
    /// Nothing says that it can, and nothing that it cannot.
    Unknown,
    /// It says, or shows, that it can.
    Ready,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::ForcesGil => "forces the GIL",
            Self::NeedsNewer => "needs a newer version",
            Self::Unknown => "unknown",
            Self::Ready => "ready",
        })
    }
}

/// What a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Basis {
    /// It was imported, and the GIL came on.
    EnabledGil {
        /// The module that was imported.
        module: String,
        /// The module of another package that it pulled in, if that one enabled it.
        through: Option<String>,
    },
    /// Its files are of an ABI that this free-threaded interpreter does not load.
    OtherAbi {
        /// The ABI.
        abi: String,
    },
    /// Its extension modules were imported, and the GIL stayed off: they declare `Py_mod_gil`.
    Imported {
        /// How many.
        modules: usize,
    },
    /// A trove classifier in its metadata.
    Classifier {
        /// The classifier's last part, as in "3 - Stable".
        stage: String,
    },
    /// It was installed from a wheel built for the free-threaded ABI.
    WheelTag {
        /// The tag.
        tag: String,
    },
    /// One of its modules could not be imported.
    ImportFailed {
        /// The module.
        module: String,
        /// Why.
        problem: String,
    },
    /// Its installation could not be read.
    Unreadable {
        /// Why.
        problem: String,
    },
    /// There are extension modules, and no word about free threading.
    NothingDeclared,
}

impl Basis {
    /// What follows from it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::EnabledGil { .. } => Verdict::ForcesGil,
            Self::OtherAbi { .. } => Verdict::NeedsNewer,
            Self::Classifier { stage } if stage.starts_with('1') => Verdict::NeedsNewer,
            Self::Imported { .. } | Self::Classifier { .. } | Self::WheelTag { .. } => Verdict::Ready,
            Self::ImportFailed { .. } | Self::Unreadable { .. } | Self::NothingDeclared => Verdict::Unknown,
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnabledGil { module, through: None } => write!(out, "importing `{module}` enabled the GIL here"),
            Self::EnabledGil { module, through: Some(other) } => {
                write!(out, "importing `{module}` enabled the GIL here, through `{other}`")
            }
            Self::OtherAbi { abi } => {
                write!(out, "built for {abi}, which this free-threaded interpreter does not load")
            }
            Self::Imported { modules: 1 } => {
                out.write_str("its extension module was imported here, the GIL stayed off")
            }
            Self::Imported { modules } => {
                write!(out, "its {modules} extension modules were imported here, the GIL stayed off")
            }
            Self::Classifier { stage } => write!(out, "its metadata declares Free Threading :: {stage}"),
            Self::WheelTag { tag } => write!(out, "installed from a wheel for the free-threaded ABI ({tag})"),
            Self::ImportFailed { module, problem } => write!(out, "`{module}` could not be imported: {problem}"),
            Self::Unreadable { problem } => write!(out, "its installation cannot be read: {problem}"),
            Self::NothingDeclared => out.write_str("extension modules, and no word about free threading"),
        }
    }
}

/// One installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it can be used without the GIL.
    pub verdict: Verdict,
    /// What the verdict rests on.
    pub basis: Basis,
    /// The basis in words.
    pub because: String,
    /// What to do, unless there is nothing to do.
    pub advice: Option<String>,
    /// Its extension modules.
    pub extension_modules: Vec<String>,
}

impl Package {
    pub(super) fn judge(found: &Distribution, interpreter: &Interpreter, imports: &[Import]) -> Self {
        let basis = basis(found, interpreter, imports);
        let verdict = basis.verdict();
        Self {
            name: found.name.clone(),
            version: found.version.clone(),
            verdict,
            because: basis.to_string(),
            advice: advice(&found.name, &basis, interpreter),
            basis,
            extension_modules: found.extensions.iter().map(|extension| extension.module.clone()).collect(),
        }
    }
}

fn basis(found: &Distribution, interpreter: &Interpreter, imports: &[Import]) -> Basis {
    if let Some(problem) = &found.problem {
        return Basis::Unreadable { problem: problem.clone() };
    }
    let of_package = |module: &str| found.extensions.iter().any(|extension| extension.module == module);
    if let Some(basis) = enabled_gil(imports, of_package) {
        return basis;
    }
    if let Some(abi) = foreign_abi(found, interpreter) {
        return Basis::OtherAbi { abi };
    }
    let tried: Vec<&Import> = imports.iter().filter(|import| of_package(&import.module)).collect();
    let fine = tried.iter().filter(|import| import.outcome == ImportOutcome::Imported).count();
    if fine > 0 && fine == tried.len() {
        return Basis::Imported { modules: fine };
    }
    declared(found).unwrap_or_else(|| failed(&tried).unwrap_or(Basis::NothingDeclared))
}

/// The import that enabled the GIL: one that is its own fault goes before one that is not.
fn enabled_gil(imports: &[Import], of_package: impl Fn(&str) -> bool) -> Option<Basis> {
    let enabling = || imports.iter().filter(|import| import.outcome == ImportOutcome::EnabledGil);
    let culprit = |import: &Import| import.culprit.clone().unwrap_or_else(|| import.module.clone());
    let own = enabling().map(culprit).find(|module| of_package(module));
    let borrowed = || {
        let import = enabling().find(|import| of_package(&import.module))?;
        Some(Basis::EnabledGil { module: import.module.clone(), through: Some(culprit(import)) })
    };
    own.map(|module| Basis::EnabledGil { module, through: None }).or_else(borrowed)
}

/// The ABI of its extension modules, if this interpreter has no GIL to offer and loads none of them.
fn foreign_abi(found: &Distribution, interpreter: &Interpreter) -> Option<String> {
    let strange = |extension: &&Extension| !interpreter.loads(extension);
    let all = interpreter.free_threaded_build && found.extensions.iter().all(|extension| strange(&extension));
    found.extensions.first().filter(|_| all).map(|extension| extension.tag.clone())
}

fn declared(found: &Distribution) -> Option<Basis> {
    let classifier = found.classifiers.iter().max().map(|line| {
        let stage = line.rsplit(" :: ").next().unwrap_or(line);
        let stage = if stage == "Free Threading" { "(no stage)" } else { stage };
        Basis::Classifier { stage: stage.to_owned() }
    });
    let free_threaded = |tag: &&String| {
        let abis = tag.split('-').nth(1).unwrap_or_default();
        abis.split('.').any(|abi| abi == "abi3t" || (abi.starts_with("cp3") && abi.ends_with('t')))
    };
    let tag = || found.tags.iter().find(free_threaded).map(|tag| Basis::WheelTag { tag: tag.clone() });
    classifier.or_else(tag)
}

fn failed(tried: &[&Import]) -> Option<Basis> {
    let import = tried.iter().find(|import| import.outcome == ImportOutcome::Failed)?;
    let problem = import.problem.clone().unwrap_or_default();
    Some(Basis::ImportFailed { module: import.module.clone(), problem })
}

fn advice(name: &str, basis: &Basis, interpreter: &Interpreter) -> Option<String> {
    let tag = wheel_tag(interpreter);
    Some(match basis {
        Basis::EnabledGil { through: Some(other), .. } => format!("upgrade the package of `{other}`"),
        Basis::EnabledGil { .. } => format!(
            "upgrade it if a newer version supports free threading; until then all threads share the GIL \
             (`-X gil=0` keeps it off at your own risk) or `{name}` moves to a process of its own"
        ),
        Basis::OtherAbi { .. } => format!("install a version that has a wheel for {tag}, or build it from source"),
        Basis::Classifier { .. } if basis.verdict() == Verdict::NeedsNewer => {
            "its authors call the support unstable: look for a newer version before sharing its objects between threads"
                .to_owned()
        }
        Basis::ImportFailed { .. } => "make it importable in this interpreter, and ask again".to_owned(),
        Basis::Unreadable { .. } => format!("reinstall it: `pip install --force-reinstall {name}`"),
        Basis::NothingDeclared if interpreter.free_threaded_build => {
            format!("look for a version with a wheel for {tag}, or ask its maintainers")
        }
        Basis::NothingDeclared => "look for a release with wheels for cp313t, cp314t or abi3t; \
             `aether-lint status --python python3.14t` imports it and sees what it does"
            .to_owned(),
        Basis::Imported { .. } | Basis::Classifier { .. } | Basis::WheelTag { .. } => return None,
    })
}

/// The wheel tag of this interpreter, as in "cp314t".
fn wheel_tag(interpreter: &Interpreter) -> String {
    let mut numbers = interpreter.version.split('.');
    let (major, minor) = (numbers.next().unwrap_or("3"), numbers.next().unwrap_or_default());
    format!("cp{major}{minor}t")
}
