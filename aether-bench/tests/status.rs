//! The questions asked of real interpreters, and of one that only pretends to have no GIL.
//!
//! What only a free-threaded build shows is shown by the one that `AETHER_FT_PYTHON` names.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;

use aether_bench::status::{Basis, GilReason, GilStatus, Imports, StatusError, Verdict, probe};
use tempfile::TempDir;

/// A program that starts the Python on PATH with these folders in front of its own.
fn python_with(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("python");
    let script = format!("#!/bin/sh\nPYTHONPATH='{}' exec python3 \"$@\"\n", folder.path().display());
    program(&path, &script);
    path
}

/// Another process writes the program: while this one held it open, a test that forks beside would hand its
/// descriptor to a child, and what is open for writing cannot be started (`ETXTBSY`).
fn program(path: &Path, script: &str) {
    let text = path.with_extension("text");
    std::fs::write(&text, script).expect("the folder is ours");
    let written = Command::new("install").args(["-m", "755"]).arg(text).arg(path).status();
    assert!(written.expect("`install` is part of every Unix").success());
}

/// Lays out an installed package of this name whose files are these.
fn install(folder: &TempDir, name: &str, metadata: &str, files: &[&str]) {
    let info = folder.path().join(format!("{name}-1.0.dist-info"));
    std::fs::create_dir(&info).expect("a new name");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}");
    std::fs::write(info.join("METADATA"), metadata).expect("the folder is ours");
    let record = files.iter().fold(String::new(), |record, file| record + file + ",,\n");
    std::fs::write(info.join("RECORD"), record).expect("the folder is ours");
}

/// Makes the interpreter say that it has no GIL, until `forcing._c` is imported. Importing `deadly._c` ends it.
const PRETENCE: &str = r#"
import importlib.abc, importlib.machinery, os, sys, sysconfig, types, warnings

known = sysconfig.get_config_var
sysconfig.get_config_var = lambda name: 1 if name == "Py_GIL_DISABLED" else known(name)
sys._is_gil_enabled = lambda: "forcing._c" in sys.modules

class Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("forcing", "deadly", "quiet", "using"):
            return importlib.machinery.ModuleSpec(name, self, is_package="." not in name)

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        if module.__name__ == "forcing._c":
            warnings.warn("The global interpreter lock (GIL) has been enabled to load module 'forcing._c', which", RuntimeWarning)
        if module.__name__ == "using._c":
            import forcing._c
        if module.__name__ == "deadly._c":
            os._exit(7)
        print("imported", module.__name__)

sys.meta_path.insert(0, Modules())
"#;

#[test]
fn what_imports_do_to_the_gil_is_observed_in_processes_of_their_own() {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("sitecustomize.py"), PRETENCE).expect("the folder is ours");
    let python = python_with(&folder);
    let suffix = probe(&python, Imports::Skipped).expect("it answers").interpreter.extension_suffixes[0].clone();
    for name in ["forcing", "deadly", "quiet", "using"] {
        install(&folder, name, "", &[&format!("{name}/__init__.py"), &format!("{name}/_c{suffix}")]);
    }
    install(&folder, "ancient", "", &["ancient/_c.cpython-27m-nowhere.so"]);
    let status = probe(&python, Imports::Tried).expect("it answers");
    assert_eq!(status.gil_status, GilStatus::Disabled);
    let basis = |name: &str| {
        let found = status.packages.iter().find(|package| package.name == name);
        found.map(|package| package.basis.clone()).expect("it is installed")
    };
    assert_eq!(basis("quiet"), Basis::Imported { modules: 1 });
    assert_eq!(basis("forcing"), Basis::EnabledGil { module: "forcing._c".to_owned(), through: None });
    let through = Some("forcing._c".to_owned());
    assert_eq!(basis("using"), Basis::EnabledGil { module: "using._c".to_owned(), through });
    assert!(matches!(basis("deadly"), Basis::ImportFailed { problem, .. } if problem.contains("exit status: 7")));
    assert!(matches!(basis("ancient"), Basis::OtherAbi { abi } if abi == "cpython-27m-nowhere"));
}

#[test]
fn what_is_installed_is_read_from_its_metadata() {
    let folder = TempDir::new().expect("a temporary folder");
    let python = python_with(&folder);
    let declared = "Classifier: Programming Language :: Python :: Free Threading :: 3 - Stable\n";
    install(&folder, "Declared_Thing", declared, &["declared/_c.abi3.so"]);
    install(&folder, "silent", "", &["silent/_c.cpython-311-x86_64-linux-gnu.so", "silent.libs/libz.so"]);
    // A shared library without a tag is an extension module only if it has the function that makes it one.
    install(&folder, "wrapper", "", &["wrapper/libwrapped.so", "wrapper/_c.so"]);
    std::fs::create_dir(folder.path().join("wrapper")).expect("a new name");
    std::fs::write(folder.path().join("wrapper/libwrapped.so"), b"\x7fELF wrapped_open").expect("ours");
    std::fs::write(folder.path().join("wrapper/_c.so"), b"\x7fELF PyInit__c").expect("ours");
    let status = probe(&python, Imports::Tried).expect("it answers");
    let found = |name: &str| status.packages.iter().find(|package| package.name == name).expect("it is installed");
    assert_eq!(found("declared-thing").verdict, Verdict::Ready);
    assert_eq!(found("silent").basis, Basis::NothingDeclared);
    assert_eq!(found("silent").extension_modules, ["silent._c"]);
    assert_eq!(found("wrapper").extension_modules, ["wrapper._c"]);
    assert!(status.free_threaded_packages.contains(&"declared-thing".to_owned()));
    assert!(status.potentially_unsafe_packages.contains(&"silent".to_owned()));
}

#[test]
fn what_is_no_python_says_what_it_said() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("python");
    let error = probe(&path, Imports::Tried).expect_err("nothing is there");
    assert!(matches!(error, StatusError::Start { .. }) && error.to_string().contains("python"), "{error}");
    program(&path, "#!/bin/sh\necho 'not a snake' >&2\nexit 3\n");
    let error = probe(&path, Imports::Tried).expect_err("it is no Python").to_string();
    assert!(error.contains("exit status: 3") && error.contains("not a snake"), "{error}");
    program(&path, "#!/bin/sh\necho hello\n");
    let error = probe(&path, Imports::Tried).expect_err("it is no Python").to_string();
    assert!(error.contains("makes no sense") && error.contains("hello"), "{error}");
}

/// Python 3.8 is the oldest that is promised; every interpreter that is installed here must agree.
#[test]
fn every_installed_interpreter_answers() {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions"));
    for folder in versions.into_iter().flatten().filter_map(Result::ok) {
        let name = folder.file_name().to_string_lossy().into_owned();
        let minor = name.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
        let python = folder.path().join("bin/python3");
        let Some(minor) = minor.filter(|_: &u32| python.exists()) else { continue };
        match probe(&python, Imports::Tried) {
            Ok(status) => {
                assert!(minor >= 8 && status.python.ends_with(&name), "{name}: {}", status.python);
                assert_eq!((status.gil_status, status.gil_reason), (GilStatus::Enabled, GilReason::Build));
            }
            Err(error) => assert!(minor < 8 && error.to_string().contains("3.8 or later"), "{name}: {error}"),
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "says what was not run")]
fn a_free_threaded_interpreter_has_no_gil() {
    let Some(python) = std::env::var_os("AETHER_FT_PYTHON") else {
        eprintln!("not run: AETHER_FT_PYTHON names no free-threaded interpreter");
        return;
    };
    let status = probe(Path::new(&python), Imports::Tried).expect("it answers");
    assert!(status.is_free_threaded_build && status.imports_tried, "{status:?}");
    assert_eq!(status.is_free_threaded, status.gil_status == GilStatus::Disabled);
}
