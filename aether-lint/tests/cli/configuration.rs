//! Configuration: where it is found, what wins, and what mistakes look like.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::project::{Project, streams};

fn broken() -> Project {
    Project::new().file("a.py", "x = (\n")
}

/// What a check says under this `aether.toml`.
fn under(config: &str) -> String {
    broken().file("aether.toml", config).run(&["check", "--output-format", "concise"])
}

#[test]
fn mistakes_point_into_the_file() {
    let cases = [
        "selct = ['AETX01']\n",
        "# comment\nselect = ['AETX01', 'AETX0l']\n",
        "ignore = ['syntax_eror']\n",
        "select = 'AETX01'\n",
        "select = ['AETX01', 3]\n",
        "[levels]\nAETX01 = 'fatal'\n",
        "[levels]\nAETX1 = 'error'\n",
        "levels = 'error'\n",
        "[per-file-ignores]\n'tests/[' = ['ALL']\n",
        "exclude = ['a[']\n",
        "target-version = '2.7'\n",
        "target-version = 3.13\n",
        "free-threaded = 'yes'\n",
        "min-confidence = 'certain'\n",
        "output-format = 'xml'\n",
        "respect-gitignore = 1\n",
        "[rules.syntax-eror]\nx = 1\n",
        "[rules.syntax-error]\nx = 1\n",
        "select = [\n",
        "select = ['AETX01']\nselect = ['AETX02']\n",
        "extend = 'gone.toml'\n",
        "extend = 'aether.toml'\n",
    ];
    let mut text = String::new();
    for case in cases {
        let output = broken().file("aether.toml", case).output(&["check"]);
        let (code, out, err) = streams(&output);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{case}");
        text.push_str(&err);
        text.push('\n');
    }
    assert_snapshot!(text);
}

#[test]
fn mistakes_on_the_command_line() {
    let project = broken();
    let mut text = String::new();
    for args in [
        &["check", "--select", "AETX0l"][..],
        &["check", "--ignore", "syntax-eror"],
        &["check", "--min-confidence", "certain"],
        &["check", "--target-version", "2.7"],
        &["check", "--output-format", "xml"],
        &["check", "--threads", "0"],
        &["check", "--exclude", "a["],
        &["check", "--config", "gone.toml"],
        &["check", "--config", "selct = []"],
        &["check", "--config", "a.py"],
        &["check", "--all", "--min-confidence", "high"],
        &["check", "--output-file", "gone/out.json"],
        &["explain", "AETX0l"],
        &["config", "gone"],
        &["a.py"],
        &[],
    ] {
        let output = project.output(args);
        let (code, out, err) = streams(&output);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        let _ = writeln!(text, "$ aether-lint {}\n{err}", args.join(" "));
    }
    assert_snapshot!(text);
}

#[test]
fn snake_case_and_names_are_welcome() {
    assert_snapshot!(under("extend_exclude = []\nignore = ['Syntax_Error']\n"));
}

#[test]
fn a_rule_can_be_ignored_and_its_level_set() {
    assert_snapshot!(under("[levels]\nALL = 'off'\nAETX = 'error'\nsyntax-error = 'info'\n"));
    assert_snapshot!(under("ignore = ['AETX01']\n"));
    assert_snapshot!(under("[per-file-ignores]\n'a.*' = ['run']\n"));
    assert_snapshot!(under("[per-file-ignores]\n'b.*' = ['run']\n"));
}

#[test]
fn the_nearest_configuration_governs_alone() {
    let project = broken()
        .file("aether.toml", "ignore = ['AETX01']\n")
        .file("one/aether.toml", "")
        .file("one/x.py", "x = (\n")
        .file("two/.aether.toml", "levels = { AETX01 = 'info' }\n")
        .file("two/deep/x.py", "x = (\n")
        .file("three/pyproject.toml", "[project]\nname = 'three'\n")
        .file("three/x.py", "x = (\n")
        .file("four/pyproject.toml", "[tool.aether]\nlevels = { AETX01 = 'warning' }\n")
        .file("four/x.py", "x = (\n")
        .file("five/aether.toml", "extend = '../two/.aether.toml'\n")
        .file("five/x.py", "x = (\n");
    assert_snapshot!(project.run(&["check", "--output-format", "concise"]));
    assert_snapshot!(project.run(&["check", "--output-format", "concise", "--isolated"]));
    assert_snapshot!(project.run(&["check", "--output-format", "concise", "--config", "five/aether.toml"]));
}

#[test]
fn flags_lie_on_top() {
    let project = broken().file("aether.toml", "ignore = ['AETX01']\noutput-format = 'concise'\n");
    assert_snapshot!(project.run(&["check", "--select", "AETX01"]));
    assert_snapshot!(project.run(&["check", "--extend-select", "AETX01", "--output-format", "grouped"]));
    assert_snapshot!(project.run(&["check", "--config", "select = ['AETX']", "--config", "output_format = 'json'"]));
}

#[test]
fn a_broken_pyproject_that_is_not_ours_does_not_stop_the_run() {
    let project = broken().file("data/pyproject.toml", "[tool.poetry\n").file("data/b.py", "x = (\n");
    assert_snapshot!(project.run(&["check", "--output-format", "concise"]));
}

#[test]
fn extending_in_a_circle_is_an_error() {
    let project = broken()
        .file("aether.toml", "extend = 'base/aether.toml'\n")
        .file("base/aether.toml", "extend = '../aether.toml'\n");
    assert_snapshot!(project.run(&["check"]));
}

#[test]
fn config_shows_what_holds() {
    let project = broken()
        .file("pyproject.toml", "[project]\nrequires-python = '>=3.10,<4'\n")
        .file("lib/aether.toml", "target-version = '3.14t'\nmin-confidence = 'high'\nextend-exclude = ['data']\n");
    let head = |args: &[&str]| -> String {
        let (code, out, err) = streams(&project.output(args));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        out.lines()
            .filter(|line| !line.starts_with("exclude") && !line.starts_with("select"))
            .take(9)
            .fold(String::new(), |text, line| text + line + "\n")
    };
    assert_snapshot!(head(&["config"]));
    assert_snapshot!(head(&["config", "lib"]));
    assert_snapshot!(head(&["config", "lib", "--config", "free-threaded = false"]));
    assert_snapshot!(head(&["config", "lib", "--isolated"]));
}

/// Two threads count without a lock, in the program and in its tests.
fn racing() -> Project {
    let race = "import threading\n\ncount = 0\n\n\ndef work():\n    global count\n    count += 1\n\n\nfor _ in range(2):\n    threading.Thread(target=work).start()\n";
    Project::new().file("app.py", race).file("tests/helper.py", race).file("pkg/test_app.py", race)
}

#[test]
fn test_code_has_a_level_of_its_own() {
    let check = |args: &[&str], config: &str| {
        let mut all = vec!["check", "--quiet", "--select", "AET101", "--output-format", "concise"];
        all.extend(args);
        let (code, out, err) = streams(&racing().file("aether.toml", config).output(&all));
        assert_eq!(err, "");
        let found =
            out.lines().filter_map(|line| line.split_once(':').map(|(path, _)| path)).collect::<Vec<_>>().join(" ");
        format!("{} {found}", code.unwrap_or(-1))
    };
    assert_eq!(check(&[], ""), "1 app.py");
    assert_eq!(check(&["--all"], ""), "1 app.py pkg/test_app.py tests/helper.py");
    assert_eq!(check(&["--all", "--exclude", "app.py"], ""), "0 pkg/test_app.py tests/helper.py");
    assert_eq!(check(&["tests"], ""), "0 ");
    assert_eq!(check(&["tests/helper.py"], ""), "1 tests/helper.py");
    assert_eq!(check(&["tests/helper.py", "--force-exclude"], ""), "0 ");
    assert_eq!(check(&[], "test-level = 'error'\n"), "1 app.py pkg/test_app.py tests/helper.py");
    assert_eq!(check(&["tests"], "test-level = 'info'\n"), "0 tests/helper.py");
    assert_eq!(check(&[], "test-files = ['pkg/*']\n"), "1 app.py tests/helper.py");
    assert_eq!(check(&["--all"], "test-level = 'off'\n"), "1 app.py");
}

#[test]
fn test_code_without_threads_is_skipped_and_the_summary_says_so() {
    let project = || Project::new().file("app.py", "").file("tests/broken.py", "x = (\n");
    let run = |project: Project, args: &[&str]| {
        let (_, out, err) = streams(&project.output(args));
        (out.contains("AETX01"), err.contains("1 test file without threads skipped: `test-level`"))
    };
    assert_eq!(run(project(), &["check"]), (false, true));
    assert_eq!(run(project(), &["check", "--all"]), (true, false));
    assert_eq!(run(project(), &["check", "tests/broken.py"]), (true, false));
    let threaded = project().file("tests/broken.py", "from threading import Thread\nx = (\n");
    assert_eq!(run(threaded, &["check"]), (true, false));
}

#[test]
fn of_test_code_what_starts_threads_is_read() {
    let product = "count = 0\n\n\ndef work():\n    global count\n    count += 1\n";
    let started = "from threading import Thread\n\nimport app\n\n\ndef test_alone():\n    app.work()\n\n\ndef run(job):\n    for _ in range(2):\n        Thread(target=job).start()\n\n\ndef test_threads():\n    run_threaded(app.work)\n    run(app.work)\n";
    let run = |test: &str, config: &str| {
        let project =
            Project::new().file("app.py", product).file("tests/test_app.py", test).file("aether.toml", config);
        streams(&project.output(&["check", "--quiet", "--select", "AET101"])).1
    };
    let out = run(started, "");
    assert!(out.contains("tests/test_app.py:12:"), "{out}");
    assert_eq!(out, run(started, "test-level = 'info'\n"));
    assert_eq!(run(&started.replace("Thread(target=job).start()", "job()"), ""), "");
}

/// Helpers and libraries that nothing is known of, until the user says what they do.
fn modelled() -> Project {
    let counted = |name: &str, uses: &str| {
        format!("from acme.jobs import every\nfrom corp import web, work\n\ncount = 0\n\n\n{uses}\n\n# {name}\n")
    };
    Project::new()
        .file("acme/__init__.py", "")
        .file("acme/jobs.py", "import importlib\n\n\ndef every(seconds, job):\n    importlib.import_module('x').go(job)\n")
        .file("callback.py", counted("callback", "def job():\n    global count\n    count += 1\n\n\nevery(1, job)\nevery(1, job=job)"))
        .file("decorated.py", counted("decorated", "@web.route('/')\ndef page():\n    global count\n    count += 1"))
        .file("methods.py", counted("methods", "class Page(web.Page):\n    def show(self):\n        global count\n        count += 1"))
        .file("like.py", counted("like", "def job():\n    global count\n    count += 1\n\n\nfor _ in range(2):\n    work.Worker(target=job).start()"))
        .file("mutex.py", counted("mutex", "lock = work.Mutex()\n\n\ndef job():\n    global count\n    with lock:\n        count += 1\n\n\nfor _ in range(2):\n    work.Worker(target=job).start()"))
}

const MODELS: &str = "
[[model]]
name = 'acme.jobs.every'
callback = 'job'
runs-on = 'pool'

[[model]]
name = 'corp.web.route'
runs-on = 'server'

[[model]]
name = 'corp.web.Page'
methods = ['show']
runs-on = 'server'

[[model]]
name = 'corp.work.Worker'
like = 'threading.Thread'

[[model]]
name = 'corp.work.Mutex'
like = 'threading.Lock'
";

#[test]
fn models_say_what_libraries_and_helpers_do() {
    let check = |config: &str| {
        let output = modelled().file("aether.toml", config).output(&["check", "--quiet", "--output-format", "concise"]);
        let (code, out, err) = streams(&output);
        assert_eq!(err, "");
        let found =
            out.lines().filter_map(|line| line.split_once(':').map(|(path, _)| path)).collect::<Vec<_>>().join(" ");
        format!("{} {found}", code.unwrap_or(-1))
    };
    assert_eq!(check(""), "0 ");
    assert_eq!(check(MODELS), "1 callback.py decorated.py like.py methods.py");
}

#[test]
fn mistakes_in_models_point_into_the_file() {
    let cases = [
        "model = 1\n",
        "[[model]]\nlike = 'threading.Thread'\n",
        "[[model]]\nname = 'a.b'\n",
        "[[model]]\nname = 'a.b'\nlike = 'threading.Thred'\n",
        "[[model]]\nname = 'a.b'\nlike = 'threading.Thread'\nruns-on = 'pool'\n",
        "[[model]]\nname = 'a.b'\nruns-on = 'thraed'\n",
        "[[model]]\nname = 'a.b'\nruns-on = 'pool'\ncallback = 'f'\nmethods = ['g']\n",
        "[[model]]\nname = 'a.b'\nruns-on = 'pool'\ncallback = -1\n",
        "[[model]]\nname = 'ab'\nruns-on = 'pool'\n",
        "[[model]]\nname = 'a.b'\nrun-on = 'pool'\n",
    ];
    let mut text = String::new();
    for case in cases {
        let (code, out, err) = streams(&broken().file("aether.toml", case).output(&["check"]));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{case}");
        text.push_str(&err);
        text.push('\n');
    }
    assert_snapshot!(text);
}
