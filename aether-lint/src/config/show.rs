//! The resolved settings of one path, as the TOML that would say the same.

use std::fmt::Write as _;
use std::path::Path;

use aether_rules::{Level, TargetBuilds, registry};

use super::hierarchy::Scope;
use super::layer::{Exclusions, Gitignore};
use super::resolve::{DEFAULT_EXCLUDE, DEFAULT_INCLUDE, DEFAULT_TEST_FILES};
use crate::render::OutputFormat;

/// What governs `path`, and every decision in it.
pub(crate) fn show(scope: &Scope, path: &Path, cwd: &Path) -> String {
    let relative = |path: &Path| path.strip_prefix(cwd).unwrap_or(path).display().to_string();
    let from = scope.source.file.as_deref().map_or_else(|| "the defaults".to_owned(), relative);
    let shown = relative(path);
    let mut text = format!("# settings of {}, from {from}\n", if shown.is_empty() { "." } else { &shown });
    write_into(&mut text, scope, path).unwrap_or_default();
    text
}

fn write_into(text: &mut String, scope: &Scope, path: &Path) -> std::fmt::Result {
    let settings = scope.settings(path, path.parent());
    let layer = &scope.config().layer;
    writeln!(text, "target-version = \"{}\"", settings.target_version)?;
    match settings.target_builds {
        TargetBuilds::Both => writeln!(text, "# free-threaded: not set, both kinds of build are meant")?,
        builds => writeln!(text, "free-threaded = {}", builds == TargetBuilds::FreeThreaded)?,
    }
    writeln!(text, "min-confidence = \"{}\"", settings.min_confidence)?;
    let format = layer.output_format.unwrap_or_default();
    writeln!(text, "output-format = \"{}\"", OutputFormat::name(format))?;
    writeln!(text, "respect-gitignore = {}", layer.gitignore.unwrap_or_default() == Gitignore::Respected)?;
    writeln!(text, "force-exclude = {}", scope.config().exclusions() == Exclusions::Always)?;
    let written = |globs: &Option<Vec<super::GlobPattern>>, defaults: &[&str]| match globs {
        Some(globs) => list(globs.iter().map(super::GlobPattern::text)),
        None => list(defaults.iter().copied()),
    };
    writeln!(text, "include = {}", written(&layer.include, DEFAULT_INCLUDE))?;
    writeln!(text, "exclude = {}", written(&layer.exclude, DEFAULT_EXCLUDE))?;
    writeln!(text, "test-files = {}", written(&layer.test_files, DEFAULT_TEST_FILES))?;
    writeln!(text, "# test-level: {}", layer.test_level.map_or("by confidence".to_owned(), |level| level.to_string()))?;
    writeln!(text, "extend-exclude = {}", list(layer.extend_exclude.iter().map(super::GlobPattern::text)))?;
    let running = registry::rules().iter().filter(|rule| settings.level(rule) != Level::Off);
    writeln!(text, "select = {}", list(running.map(|rule| rule.code)))?;
    writeln!(text, "\n[levels]")?;
    for rule in registry::rules() {
        writeln!(text, "{} = \"{}\" # {}", rule.code, settings.level(rule), rule.name)?;
    }
    for (code, table) in &layer.options {
        let name = registry::find(code).map_or(*code, |rule| rule.name);
        write!(text, "\n[rules.{name}]\n{}", toml::to_string(&table.value()).unwrap_or_default())?;
    }
    Ok(())
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.map(|word| toml::Value::from(word).to_string()).collect();
    format!("[{}]", quoted.join(", "))
}
