//! Whatever lies in a project: a diagnostic for that file, the rest goes on.

use insta::assert_snapshot;

use crate::project::{Project, streams};

/// A file after all the others that shows that the run went on.
fn with_last(project: Project) -> Project {
    project.file("zz_last.py", "x = (\n")
}

#[test]
fn texts_python_would_refuse() {
    let project = Project::new()
        .file("syntax.py", "def f(:\n    pass\n")
        .file("bytes.py", b"ok = 1\nname = 'caf\xE9'\n")
        .file("unknown_encoding.py", "# -*- coding: klingon -*-\n")
        .file("not_as_declared.py", b"# coding: shift_jis\nx = '\xFF\xFF'\n")
        .file("mark_and_cookie.py", b"\xEF\xBB\xBF# coding: latin-1\n")
        .file("utf16.py", b"\xFF\xFEx\0 \0=\0 \x001\0")
        .file("null.py", b"x = 1\0\n")
        .file("python2.py", "print 'hello'\n")
        .file("broken.ipynb", "{")
        .file("not_a_notebook.ipynb", "[]");
    assert_snapshot!(with_last(project).run(&["check", "--output-format", "concise"]));
}

#[test]
fn texts_python_accepts() {
    let project = Project::new()
        .file("empty.py", "")
        .file("blank.py", "\n\n")
        .file("no_line_end.py", "x = 1")
        .file("mark.py", b"\xEF\xBB\xBFx = 1\n")
        .file("latin1.py", b"# -*- coding: latin-1 -*-\nx = 'caf\xE9'\n")
        .file("cp1252.py", b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\nx = '\x80'\n")
        .file("euc_jp.py", b"# coding: euc-jp\nx = '\xA4\xA2'\n")
        .file("cr.py", "x = 1\ry = 2\r")
        .file("crlf.py", "if x:\r\n    y = 2\r\n")
        .file("form_feed.py", "x = 1\n\x0c\ny = 2\n")
        .file("stub.pyi", "def f() -> int: ...\n")
        .file("windows.pyw", "x = 1\n")
        .file(
            "julia.ipynb",
            r#"{"cells": [], "metadata": {"language_info": {"name": "julia"}}, "nbformat": 4, "nbformat_minor": 4}"#,
        );
    assert_snapshot!(project.run(&["check"]));
}

#[test]
fn texts_too_deep_for_any_parser() {
    let project = Project::new()
        .file("brackets.py", format!("x = {}", "(".repeat(5_000)))
        .file("operators.py", format!("x = 1{}\n", " + 1".repeat(50_000)))
        .file("attributes.py", format!("x = a{}\n", ".b".repeat(50_000)));
    assert_snapshot!(with_last(project).run(&["check", "--output-format", "concise"]));
}

#[test]
fn a_file_past_the_size_limit_is_not_read() {
    let project = Project::new();
    let file = std::fs::File::create(project.path("huge.py")).expect("a file");
    file.set_len(100_000_000).expect("a sparse file");
    assert_snapshot!(with_last(project).run(&["check"]));
}

#[test]
fn notebooks_are_reported_by_cell() {
    let cell = |text: &str| {
        format!(
            r#"{{"cell_type": "code", "execution_count": null, "metadata": {{}}, "outputs": [], "source": [{text}]}}"#
        )
    };
    let cells = [cell(r#""%matplotlib inline\n", "x = 1""#), cell(r#""y = 1\n", "def f(:""#)].join(",");
    let notebook = format!(r#"{{"cells": [{cells}], "metadata": {{}}, "nbformat": 4, "nbformat_minor": 4}}"#);
    let project = Project::new().file("a.ipynb", notebook);
    assert_snapshot!(project.run(&["check"]));
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    fn mkfifo(path: &std::path::Path) {
        assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
    }

    #[test]
    fn what_is_no_file_is_reported_and_never_waited_for() {
        let project = Project::new().file("folder.py/inside.py", "x = 1\n");
        mkfifo(&project.path("pipe.py"));
        symlink("/dev/zero", project.path("device.py")).expect("a link");
        symlink("nowhere", project.path("dangling.py")).expect("a link");
        symlink("loop.py", project.path("loop.py")).expect("a link");
        assert_snapshot!(with_last(project).run(&["check", "--output-format", "concise"]));
    }

    #[test]
    fn a_pipe_named_on_the_command_line_is_reported_too() {
        let project = Project::new();
        mkfifo(&project.path("pipe"));
        assert_snapshot!(project.run(&["check", "pipe", "--output-format", "concise"]));
    }

    #[test]
    fn links_make_no_loops_and_no_file_is_checked_twice() {
        let project = Project::new().file("a/x.py", "x = (\n").file("b.py", "y = (\n");
        symlink("..", project.path("a/up")).expect("a link");
        symlink("a", project.path("other")).expect("a link");
        symlink("b.py", project.path("alias.py")).expect("a link");
        let args = ["check", "--output-format", "concise", ".", "a", "./a/x.py", "other", "alias.py", "b.py"];
        assert_snapshot!(project.run(&args));
    }

    #[test]
    fn names_that_are_no_text_are_escaped_and_their_files_checked() {
        let project = Project::new();
        for name in [&b"caf\xE9.py"[..], b"line\nbreak.py", b"\x1b[31m.py"] {
            fs::write(project.root().join(OsStr::from_bytes(name)), "x = (\n").expect("a file");
        }
        assert_snapshot!(project.run(&["check", "--output-format", "concise"]));
        let log = streams(&project.output(&["check", "--output-format", "sarif"])).1;
        assert!(log.contains(r#""uri": "caf%E9.py""#) && log.contains(r#""uri": "line%0Abreak.py""#));
    }

    #[test]
    fn what_may_not_be_read_is_reported() {
        let project = Project::new().file("secret.py", "x = 1\n").file("locked/x.py", "x = 1\n");
        // The built program may lie where only its builder can go.
        let program = project.path("aether-lint");
        fs::copy(env!("CARGO_BIN_EXE_aether-lint"), &program).expect("a copy");
        let allow = |path: &str, mode| {
            fs::set_permissions(project.path(path), fs::Permissions::from_mode(mode)).expect("permissions");
        };
        allow("", 0o755);
        allow("secret.py", 0o000);
        allow("locked", 0o000);
        let mut command = project.program(&program, &["check", "--output-format", "concise"]);
        // Root may read everything, so it has to become somebody else.
        if fs::read(project.path("secret.py")).is_ok() {
            command.uid(65_534).gid(65_534);
        }
        let shown = project.shown(&command.output().expect("the program runs"));
        allow("locked", 0o755);
        assert_snapshot!(shown);
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let mut project = Project::new();
        for index in 0..300 {
            project = project.file(&format!("a_rather_long_file_name_{index:04}.py"), "x = (\n".repeat(10));
        }
        for format in ["full", "concise", "json", "sarif", "junit"] {
            let script = r#""$0" check --output-format "$1" | head -n 1 >/dev/null; echo "${PIPESTATUS[0]}""#;
            let args = ["-c", script, env!("CARGO_BIN_EXE_aether-lint"), format];
            let output = project.program("bash", &args).output().expect("bash runs");
            let (_, out, err) = streams(&output);
            assert_eq!(out, "1\n", "{format}");
            assert!(!err.contains("panic") && !err.contains("error:"), "{format}: {err}");
        }
    }
}
