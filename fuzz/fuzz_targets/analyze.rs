//! Any text, as one module or split at NUL into several, must be analysed without a panic, and the same way twice.
#![no_main]

use aether_rules::settings::TargetBuilds;
use aether_rules::{Confidence, MemorySources, Settings, analyze_on};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut settings = Settings::default();
    settings.min_confidence = Confidence::Low;
    settings.target_builds = TargetBuilds::Both;
    let modules = text.split('\0').enumerate();
    let sources = modules.fold(MemorySources::new(settings), |sources, (index, text)| {
        sources.with(&format!("package/module{index}.py"), text)
    });
    let report = analyze_on(&sources, 1);
    let again = analyze_on(&sources, 1);
    assert_eq!(report.diagnostics.len(), again.diagnostics.len());
    for diagnostic in &report.diagnostics {
        for span in std::iter::once(diagnostic.primary).chain(diagnostic.evidence.iter().map(|evidence| evidence.span)) {
            let text = &report.file(span.file).text;
            assert!(text.get(std::ops::Range::<usize>::from(span.range)).is_some(), "a span outside its text");
        }
    }
});
