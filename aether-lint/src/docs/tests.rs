//! `docs/` holds what the program says: generated, committed, compared.

use std::fs;
use std::path::{Path, PathBuf};

use aether_rules::registry;

use super::*;

/// Every generated document, by path below `docs/`.
fn documents() -> Vec<(PathBuf, String)> {
    let rules = registry::rules();
    let mut documents = vec![
        (PathBuf::from("aether.schema.json"), config_schema()),
        (PathBuf::from("configuration.md"), config_reference()),
        (PathBuf::from("rules.md"), index(rules)),
    ];
    for rule in rules {
        documents.push((Path::new("rules").join(format!("{}.md", rule.name)), rule_page(rule)));
    }
    documents
}

fn index(rules: &[&'static Rule]) -> String {
    let mut text =
        String::from("# Rules\n\nThe same list: `aether-lint rules`. One rule: `aether-lint explain CODE`.\n");
    for family in aether_rules::Family::ALL {
        let members: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.family == family).collect();
        if !members.is_empty() {
            let _ = write!(text, "\n## {family}\n\n{}", rules_table(&members));
        }
    }
    text
}

#[test]
fn docs_are_what_the_program_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let documents = documents();
    for (path, text) in &documents {
        let file = folder.join(path);
        if fs::read_to_string(&file).ok().as_deref() == Some(text) {
            continue;
        }
        if update {
            fs::create_dir_all(file.parent().expect("below docs/")).expect("a folder for the document");
            fs::write(&file, text).expect("the document is written");
        } else {
            wrong.push(path.display().to_string());
        }
    }
    let known = |name: &std::ffi::OsStr| documents.iter().any(|(path, _)| path.file_name() == Some(name));
    for entry in fs::read_dir(folder.join("rules")).into_iter().flatten().flatten() {
        if !known(&entry.file_name()) {
            if update {
                fs::remove_file(entry.path()).expect("the page of a rule that is gone is removed");
            } else {
                wrong.push(format!("{} (no such rule)", entry.file_name().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "out of date in docs/: {wrong:?}; run `UPDATE=1 cargo test -p aether-lint docs_are`");
}
