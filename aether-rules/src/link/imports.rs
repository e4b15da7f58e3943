//! Which import means which module.
//!
//! A module's name is its path: `src/pkg/mod.py` answers to `pkg.mod` and, where no package is in the way, to any
//! longer suffix. No search path is configured and no file is looked up.
//!
//! *Invariant:* among several candidates the one nearest to the importer wins, then the one first in path order.

use rustc_hash::{FxHashMap, FxHashSet};

use super::kind::ModuleId;
use crate::facts::{Import, Qual, Sym};

/// The modules of the program by name.
#[derive(Debug, Default)]
pub(super) struct ModuleIndex {
    /// Dotted path parts of each module, without `__init__`.
    parts: Vec<Vec<Sym>>,
    is_package: Vec<bool>,
    by_path: FxHashMap<Qual, ModuleId>,
    by_last: FxHashMap<Sym, Vec<ModuleId>>,
    packages: FxHashSet<Qual>,
}

fn qual(parts: &[Sym]) -> Qual {
    parts.iter().fold(Qual::ROOT, |name, &part| name.child(part))
}

impl ModuleIndex {
    /// Indexes the modules by their display paths.
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut index = Self::default();
        for (position, path) in paths.enumerate() {
            let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
            let mut parts: Vec<Sym> = stem.split('/').filter(|part| !matches!(*part, "" | ".")).map(Sym::new).collect();
            let is_package = parts.last() == Some(&Sym::new("__init__"));
            if is_package {
                parts.pop();
                index.packages.insert(qual(&parts));
            }
            let id = ModuleId::at(position);
            index.by_path.entry(qual(&parts)).or_insert(id);
            if let Some(&last) = parts.last() {
                index.by_last.entry(last).or_default().push(id);
            }
            index.parts.push(parts);
            index.is_package.push(is_package);
        }
        index
    }

    /// The module an import statement names.
    pub(super) fn resolve(&self, importer: ModuleId, import: &Import) -> Option<ModuleId> {
        if import.level > 0 {
            return self.by_path.get(&qual(&self.relative(importer, import)?)).copied();
        }
        self.absolute(importer, &import.module)
    }

    /// Whether a module answers to a dotted name.
    pub(super) fn is_called(&self, module: ModuleId, name: &[Sym]) -> bool {
        self.parts[module.index()].ends_with(name)
    }

    /// Whether a module belongs to a package, or to a part of one, that has one of some names; the outermost few folders
    /// do not count.
    pub(super) fn is_in_package(&self, module: ModuleId, skip: usize, names: &[Sym]) -> bool {
        let mut at = Qual::ROOT;
        self.parts[module.index()].iter().enumerate().any(|(depth, &part)| {
            at = at.child(part);
            depth >= skip && names.contains(&part) && self.packages.contains(&at)
        })
    }

    /// The module `base.name`.
    pub(super) fn submodule(&self, base: ModuleId, name: Sym) -> Option<ModuleId> {
        let path = qual(&self.parts[base.index()]).child(name);
        self.by_path.get(&path).copied().filter(|_| self.is_package[base.index()])
    }

    fn relative(&self, importer: ModuleId, import: &Import) -> Option<Vec<Sym>> {
        let own = &self.parts[importer.index()];
        let up = import.level as usize - usize::from(self.is_package[importer.index()]);
        let keep = own.len().checked_sub(up)?;
        Some(own[..keep].iter().chain(&import.module).copied().collect())
    }

    fn absolute(&self, importer: ModuleId, name: &[Sym]) -> Option<ModuleId> {
        let (&first, &last) = (name.first()?, name.last()?);
        if is_library_root(first) {
            return None;
        }
        let own = &self.parts[importer.index()];
        let nearness = |candidate: ModuleId| {
            let parts = &self.parts[candidate.index()];
            own.iter().zip(parts).take_while(|(a, b)| a == b).count()
        };
        let candidates = self.by_last.get(&last)?.iter().copied().filter(|&candidate| {
            let parts = &self.parts[candidate.index()];
            let Some(root) = parts.len().checked_sub(name.len()) else { return false };
            // A module inside a package is only importable through the package.
            parts[root..] == *name && !self.packages.contains(&qual(&parts[..root])) && candidate != importer
        });
        candidates.max_by_key(|&candidate| (nearness(candidate), std::cmp::Reverse(candidate)))
    }
}

/// The library name of what could not be resolved.
pub(super) fn library_name(import: &Import) -> Qual {
    let root = (0..import.level).fold(Qual::ROOT, |name, _| name.child(Sym::new(".")));
    import.module.iter().fold(root, |name, &part| name.child(part))
}

/// Top-level modules that always mean the library, even when the program under analysis contains them: whoever lints
/// the standard library itself wants `threading.Lock` to be a lock all the same.
fn is_library_root(module: Sym) -> bool {
    const ROOTS: &[&str] = &[
        "threading",
        "_thread",
        "queue",
        "_queue",
        "asyncio",
        "concurrent",
        "multiprocessing",
        "contextvars",
        "weakref",
        "warnings",
        "_warnings",
        "signal",
        "collections",
        "itertools",
        "functools",
        "contextlib",
        "sys",
        "os",
        "time",
        "typing",
        "socketserver",
        "subprocess",
        "builtins",
        "copy",
        "atexit",
        "inspect",
        "logging",
    ];
    static SET: std::sync::LazyLock<FxHashSet<Sym>> =
        std::sync::LazyLock::new(|| ROOTS.iter().map(|name| Sym::new(name)).collect());
    SET.contains(&module)
}
