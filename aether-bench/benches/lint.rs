//! The linter's speed, as ratios within one run: against parsing alone, and over one, two and four times the tree.
//!
//! The corpus is the standard library of `python3`, or the folder that `AETHER_CORPUS` names. `parse` reads and
//! parses the same files with the same parser and the same threads, and does nothing else. `rule/…` is each rule alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aether_rules::{Linked, Settings, SourceError, SourceKind, SourceText, Sources, analyze, registry};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;

mod corpus;

/// The linter's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A tree on disk, possibly several times under different names.
struct Tree {
    files: Vec<(String, PathBuf)>,
    settings: Arc<Settings>,
}

impl Tree {
    fn new(folder: &Path, copies: usize, settings: Settings) -> Self {
        let found = corpus::files(folder);
        let files = (0..copies).flat_map(|copy| {
            found.iter().map(move |path| (format!("{copy}/{}", path.display()), path.clone())).collect::<Vec<_>>()
        });
        Self { files: files.collect(), settings: Arc::new(settings) }
    }

    fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|(_, path)| fs::metadata(path).ok()).map(|data| data.len()).sum()
    }

    fn parse(&self) {
        corpus::parse(self.files.par_iter().map(|(_, path)| path));
    }
}

impl Sources for Tree {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn path(&self, index: usize) -> &str {
        &self.files[index].0
    }

    fn settings(&self, _index: usize) -> &Arc<Settings> {
        &self.settings
    }

    fn load(&self, index: usize) -> Result<SourceText, SourceError> {
        let text = fs::read_to_string(&self.files[index].1)
            .map_err(|error| SourceError { message: error.to_string(), help: None })?;
        Ok(SourceText { text: text.into(), kind: SourceKind::Module })
    }
}

fn corpus_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("AETHER_CORPUS") {
        return Some(folder.into());
    }
    let code = "import sysconfig; print(sysconfig.get_paths()['stdlib'])";
    let output = Command::new("python3").args(["-c", code]).output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

#[expect(clippy::print_stderr, reason = "says what was not run")]
fn benches(criterion: &mut Criterion) {
    let Some(folder) = corpus_folder() else {
        eprintln!("no corpus: name a folder of Python files in AETHER_CORPUS");
        return;
    };
    let whole = Tree::new(&folder, 1, Settings::default());
    let mut group = criterion.benchmark_group("lint");
    group.sample_size(10).throughput(Throughput::Bytes(whole.bytes()));
    group.bench_function("parse", |bencher| bencher.iter(|| whole.parse()));
    group.bench_function("all rules", |bencher| bencher.iter(|| analyze(&whole)));
    let mut none = Settings::default();
    for rule in registry::rules() {
        none.deselect(rule);
    }
    let unruled = Tree::new(&folder, 1, none.clone());
    group.bench_function("no rules", |bencher| bencher.iter(|| analyze(&unruled)));
    group.finish();
    rule_by_rule(criterion, &whole);
    let mut group = criterion.benchmark_group("scaling");
    group.sample_size(10);
    for copies in [1, 2, 4] {
        let tree = Tree::new(&folder, copies, Settings::default());
        group.throughput(Throughput::Bytes(tree.bytes()));
        group.bench_function(BenchmarkId::from_parameter(copies), |bencher| bencher.iter(|| analyze(&tree)));
    }
    group.finish();
}

/// What each rule costs by itself, on a program that is linked already: one thread, every confidence.
fn rule_by_rule(criterion: &mut Criterion, tree: &Tree) {
    let linked = Linked::new(tree);
    let mut group = criterion.benchmark_group("rule");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    for rule in registry::rules().iter().filter(|rule| rule.check.is_some()) {
        group.bench_function(rule.code, |bencher| bencher.iter(|| linked.run(rule)));
    }
    group.finish();
}

criterion_group!(lint, benches);
criterion_main!(lint);
