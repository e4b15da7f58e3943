//! A project in a temporary folder, and the program run in it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with files.
pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join(".git")).expect("a repository root");
        Self { folder }
    }

    /// Writes a file, with its folders.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("a file");
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// `aether-lint` with these arguments, in the root of the project.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_aether-lint"), args)
    }

    /// `program` with these arguments, in the root of the project.
    pub(crate) fn program(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.root()).stdin(Stdio::null());
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "RAYON_NUM_THREADS"] {
            command.env_remove(variable);
        }
        command
    }

    /// What the program says and how it exits, as one text to compare.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.shown(&self.output(args))
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program runs")
    }

    /// [`run`](Self::run) with `input` on standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> String {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(input).expect("the program reads");
        self.shown(&child.wait_with_output().expect("the program ends"))
    }

    /// Both streams and the exit code, without what differs from machine to machine.
    pub(crate) fn shown(&self, output: &Output) -> String {
        let code = output.status.code().map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let out = self.scrubbed(&output.stdout);
        let err = self.scrubbed(&output.stderr);
        format!("exit: {code}\n----- stdout\n{out}----- stderr\n{err}")
    }

    fn scrubbed(&self, bytes: &[u8]) -> String {
        let root = fs::canonicalize(self.root()).expect("the root exists");
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.replace(&*root.to_string_lossy(), "[ROOT]").replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
    }
}

/// Exit code, standard output and standard error of a run.
pub(crate) fn streams(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
