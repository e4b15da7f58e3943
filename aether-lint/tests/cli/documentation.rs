//! `docs/command.md` and `docs/measuring.md` show what the program really says.
//!
//! `<!-- file: PATH -->` before a block makes it a file; `<!-- run: ARGS -->` before a block makes it the output of the
//! program on the files so far. `UPDATE=1` rewrites the outputs.

use std::fs;
use std::path::Path;

use crate::project::{Project, streams};

/// What the block under a marker is.
enum Block {
    File(String),
    Run(String),
}

fn marker(line: &str) -> Option<Block> {
    let inner = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    match inner.split_once(": ")? {
        ("file", path) => Some(Block::File(path.to_owned())),
        ("run", args) => Some(Block::Run(args.to_owned())),
        _ => None,
    }
}

/// The words of a command line in which `'` quotes nothing but belongs to the word.
fn output(project: &Project, args: &str) -> String {
    let args: Vec<&str> = args.split(' ').collect();
    let (_, out, err) = streams(&project.output(&args));
    let lines = out.lines().chain(err.lines()).map(str::trim_end);
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// The page with every output as it is today.
fn rewritten(page: &str) -> String {
    let mut project = Project::new();
    let mut text = String::new();
    let mut lines = page.lines();
    let mut next: Option<Block> = None;
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        if !line.starts_with("```") {
            next = marker(line).or(next);
            continue;
        }
        let body: String =
            lines.by_ref().take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect();
        match next.take() {
            Some(Block::Run(args)) => text.push_str(&output(&project, &args)),
            Some(Block::File(path)) => {
                project = project.file(&path, &body);
                text.push_str(&body);
            }
            None => text.push_str(&body),
        }
        text.push_str("```\n");
    }
    text
}

#[test]
fn the_pages_show_what_the_program_says() {
    for name in ["command.md", "measuring.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let page = fs::read_to_string(&path).expect("the page");
        let today = rewritten(&page);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, today).expect("the page is written");
        } else {
            assert_eq!(page, today, "out of date: docs/{name}; run `UPDATE=1 cargo test -p aether-lint`");
        }
    }
}
