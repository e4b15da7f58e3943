//! Which files are checked.

use insta::assert_snapshot;

use crate::project::{Project, streams};

/// The names of the files that are checked: every one holds a syntax error.
fn checked(project: &Project, args: &[&str]) -> String {
    let mut all = vec!["check", "--output-format", "concise"];
    all.extend(args);
    let (_, out, _) = streams(&project.output(&all));
    let names: Vec<_> = out.lines().filter_map(|line| line.split(':').next()).collect();
    names.join(" ")
}

/// Broken files, with the word without which test code is not looked into.
fn files(paths: &[&str]) -> Project {
    paths.iter().fold(Project::new(), |project, path| project.file(path, "Thread = (\n"))
}

#[test]
fn python_files_are_found_and_generated_folders_are_not() {
    let project = files(&[
        "a.py",
        "b.pyi",
        "c.pyw",
        "d.txt",
        "e",
        ".hidden.py",
        ".hidden/f.py",
        ".venv/g.py",
        "venv/g.py",
        "build/h.py",
        "src/dist/i.py",
        "__pycache__/j.py",
        "node_modules/k/l.py",
        ".tox/m.py",
        "src/n.py",
        "lib/site-packages/o.py",
    ]);
    assert_eq!(checked(&project, &[]), ".hidden.py .hidden/f.py a.py b.pyi c.pyw src/n.py");
}

#[test]
fn what_is_named_is_checked() {
    let project = files(&["script", "venv/g.py", "notes.txt"]);
    assert_eq!(checked(&project, &["script", "venv", "notes.txt"]), "notes.txt script venv/g.py");
    assert_eq!(checked(&project, &["venv/g.py"]), "venv/g.py");
    assert_eq!(checked(&project, &["venv/g.py", "--force-exclude"]), "");
    assert_eq!(checked(&project, &["venv", "--force-exclude"]), "");
}

#[test]
fn git_ignored_files_are_left_out() {
    let project = files(&["a.py", "generated/b.py", "c_pb2.py"]).file(".gitignore", "generated/\n*_pb2.py\n");
    assert_eq!(checked(&project, &[]), "a.py");
    assert_eq!(checked(&project, &["--no-respect-gitignore"]), "a.py c_pb2.py generated/b.py");
    assert_eq!(checked(&project, &["--config", "respect-gitignore = false"]), "a.py c_pb2.py generated/b.py");
    assert_eq!(checked(&project, &["c_pb2.py"]), "c_pb2.py");
}

#[test]
fn includes_and_excludes() {
    let project = files(&["a.py", "tests/b.py", "tests/data/c.py", "src/tests/d.py", "e.cgi"]);
    assert_eq!(checked(&project, &["--exclude", "tests"]), "a.py");
    assert_eq!(checked(&project, &["--exclude", "tests/data,a.py"]), "src/tests/d.py tests/b.py");
    assert_eq!(checked(&project, &["--config", "include = ['*.cgi']"]), "e.cgi");
    assert_eq!(checked(&project, &["--config", "extend-exclude = ['src/**']"]), "a.py tests/b.py tests/data/c.py");
    assert_eq!(checked(&project, &["--config", "exclude = []"]), "a.py src/tests/d.py tests/b.py tests/data/c.py");
}

#[test]
fn exclusions_are_relative_to_the_configuration_that_states_them() {
    let project = files(&["a/data/x.py", "b/data/x.py"]).file("a/aether.toml", "extend-exclude = ['data/x.py']\n");
    assert_eq!(checked(&project, &[]), "b/data/x.py");
}

#[test]
fn paths_are_shown_relative_to_the_working_directory() {
    let project = files(&["work/a.py", "other/b.py"]);
    let mut command = project.command(&["check", "--output-format", "concise", "../other", "."]);
    command.current_dir(project.path("work"));
    let (_, out, _) = streams(&command.output().expect("the program runs"));
    let names: Vec<_> = out.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, ["../other/b.py", "a.py"]);
    let absolute = project.path("work");
    assert_eq!(checked(&project, &[absolute.to_str().expect("a text")]), "work/a.py");
}

#[test]
fn paths_that_do_not_exist_are_an_error() {
    assert_snapshot!(files(&["a.py"]).run(&["check", "a.py", "gone", "gone/too.py"]));
}

#[test]
fn no_python_files_are_a_warning() {
    let project = Project::new().file("readme.txt", "");
    assert_snapshot!(project.run(&["check"]));
    assert_snapshot!(project.run(&["check", "--output-format", "json", "."]));
}

#[test]
fn standard_input_is_checked_under_the_name_it_is_given() {
    let project = Project::new().file("src/aether.toml", "ignore = ['AETX01']\n");
    assert_snapshot!(project.run_with_input(&["check", "-"], b"x = (\n"));
    let named = |path| project.run_with_input(&["check", "--stdin-filename", path, "-"], b"x = (\n");
    assert_snapshot!(named("lib/a.py"));
    assert_snapshot!(named("src/a.py"));
    assert_snapshot!(project.run_with_input(&["check", "--stdin-filename", "a.py"], b"x = '\xE9'\n"));
    assert_snapshot!(project.run_with_input(&["check", "-", "src"], b""));
}
