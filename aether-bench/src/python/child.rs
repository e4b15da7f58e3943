//! One interpreter that runs a program of ours: the driver, or the questions of [`crate::status`].
//!
//! Standard error goes to a file, not a pipe: a workload that writes a lot of it must not stop when a pipe is full. The
//! child leads a process group of its own, so that what it started is killed with it.
//!
//! *Invariant:* dropping the handle ends the child and everything it started.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::PythonError;
use super::protocol::Reply;

/// How much of standard error is shown.
const SHOWN: u64 = 8_000;
/// How long `faulthandler` gets to write down where the threads are.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(crate) struct Interpreter {
    child: Child,
    commands: ChildStdin,
    replies: Receiver<String>,
    stderr: File,
}

impl Interpreter {
    pub(crate) fn start(mut command: Command) -> Result<Self, PythonError> {
        let path = || command.get_program().into();
        let stderr = tempfile::tempfile().map_err(PythonError::Driver)?;
        let theirs = stderr.try_clone().map_err(PythonError::Driver)?;
        let failed = |path, source| PythonError::Start { path, source };
        let program = path();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(theirs);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|source| failed(program, source))?;
        let (Some(commands), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(PythonError::Protocol("the pipes are missing".to_owned()));
        };
        let (send, replies) = mpsc::channel();
        // Ends with the child: its end of the pipe closes.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, commands, replies, stderr })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still there to take orders.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn send(&mut self, message: &impl Serialize) -> Result<(), PythonError> {
        let mut line = serde_json::to_string(message).map_err(|error| PythonError::Protocol(error.to_string()))?;
        line.push('\n');
        self.commands.write_all(line.as_bytes()).map_err(|_| self.obituary())
    }

    /// The next reply; `None` if there was none within the time.
    pub(super) fn receive(&mut self, within: Duration) -> Result<Option<Reply>, PythonError> {
        self.receive_line(within)?.as_deref().map(Reply::parse).transpose()
    }

    /// The next line it wrote; `None` if there was none within the time.
    pub(crate) fn receive_line(&mut self, within: Duration) -> Result<Option<String>, PythonError> {
        match self.replies.recv_timeout(within) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.obituary()),
        }
    }

    /// CPU time of the interpreter so far.
    pub(crate) fn cpu_ns(&self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        {
            use nix::time::{clock_getcpuclockid, clock_gettime};
            let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).ok()?);
            let time = clock_gettime(clock_getcpuclockid(pid).ok()?).ok()?;
            let seconds = u64::try_from(time.tv_sec()).ok()?;
            Some(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
        }
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Makes it say where its threads are, and ends it.
    pub(crate) fn abort(&mut self) -> String {
        self.signal(Signal::Abort);
        let deadline = Instant::now() + LAST_WORDS;
        while self.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        self.last_words()
    }

    fn obituary(&mut self) -> PythonError {
        // It closed its pipe, so it is gone or going; one that stays is helped.
        let deadline = Instant::now() + LAST_WORDS;
        while self.is_alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.kill();
        PythonError::Died { status: status.unwrap_or_default(), stderr: self.last_words() }
    }

    fn last_words(&mut self) -> String {
        let mut text = Vec::new();
        let length = self.stderr.seek(SeekFrom::End(0)).unwrap_or(0);
        let begin = self.stderr.seek(SeekFrom::Start(length.saturating_sub(SHOWN)));
        if begin.is_ok() {
            self.stderr.read_to_end(&mut text).unwrap_or_default();
        }
        String::from_utf8_lossy(&text).trim_end().to_owned()
    }

    fn kill(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::Kill);
        self.child.kill().unwrap_or_default(); // The group may be unknown to the system; the child is not.
        self.child.wait().ok()
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) {
        use nix::sys::signal::{Signal as Unix, killpg};
        let Ok(group) = i32::try_from(self.pid()) else {
            return;
        };
        let number = match signal {
            Signal::Abort => Unix::SIGABRT,
            Signal::Kill => Unix::SIGKILL,
        };
        // An error means that nobody is left to be signalled.
        killpg(nix::unistd::Pid::from_raw(group), number).unwrap_or_default();
    }

    #[cfg(not(unix))]
    fn signal(&self, _signal: Signal) {}
}

#[derive(Clone, Copy)]
enum Signal {
    Abort,
    Kill,
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        self.kill();
    }
}
