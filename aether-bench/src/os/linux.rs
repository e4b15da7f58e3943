//! Linux: the CPU clock of a thread and its files below `/proc/self/task`.
//!
//! *Invariant:* descriptors are opened once, by the thread itself; a reading is one `pread` (0.6 µs
//! measured), so that a controller can afford it for every worker.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::time::{ClockId, clock_gettime};

use super::{Doing, ThreadProbe, ThreadUsage};

/// `futex(2)` and `futex_waitv(2)` by machine; elsewhere waits are not told apart.
#[cfg(target_arch = "x86_64")]
const FUTEX_CALLS: &[&[u8]] = &[b"202", b"449"];
#[cfg(target_arch = "aarch64")]
const FUTEX_CALLS: &[&[u8]] = &[b"98", b"449"];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FUTEX_CALLS: &[&[u8]] = &[];

pub(super) struct ProcProbe {
    clock: ClockId,
    schedstat: Option<File>,
    syscall: Option<File>,
}

impl ProcProbe {
    pub(super) fn of_current() -> Self {
        let tid = nix::unistd::gettid().as_raw();
        let open = |name: &str| File::open(format!("/proc/self/task/{tid}/{name}")).ok();
        Self {
            // What pthread_getcpuclockid() returns on Linux: the inverted id, per-thread (4), scheduler clock (2).
            clock: ClockId::from_raw((!tid << 3) | 0b110),
            schedstat: open("schedstat"),
            syscall: open("syscall"),
        }
    }

    /// Both numbers in one call. The kernel brings a running thread's up to date at its tick only, 4 ms late at most:
    /// a tenth of the shortest window, and half the price of asking the clock too.
    fn schedstat_usage(&self) -> Option<ThreadUsage> {
        let mut buffer = [0; 96];
        let length = self.schedstat.as_ref()?.read_at(&mut buffer, 0).ok()?;
        parse_schedstat(&buffer[..length])
    }

    fn clock_usage(&self) -> Option<ThreadUsage> {
        let time = clock_gettime(self.clock).ok()?;
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        let cpu_ns = seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?;
        Some(ThreadUsage { cpu_ns, run_delay_ns: None })
    }
}

impl ThreadProbe for ProcProbe {
    fn usage(&self) -> Option<ThreadUsage> {
        self.schedstat_usage().or_else(|| self.clock_usage())
    }

    fn doing(&self) -> Doing {
        let mut buffer = [0; 192];
        match self.syscall.as_ref().map(|file| file.read_at(&mut buffer, 0)) {
            Some(Ok(length)) => classify_syscall(&buffer[..length]),
            _ => Doing::Unknown,
        }
    }

    fn publish(&self) {}
}

/// `schedstat` reads "on-cpu-ns run-delay-ns timeslices".
fn parse_schedstat(text: &[u8]) -> Option<ThreadUsage> {
    let text = std::str::from_utf8(text).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let cpu_ns = fields.next()?.parse().ok()?;
    let run_delay_ns = Some(fields.next()?.parse().ok()?);
    Some(ThreadUsage { cpu_ns, run_delay_ns })
}

/// `syscall` reads "running", "-1 sp pc" (blocked, in no call) or "number arguments… sp pc".
pub(crate) fn classify_syscall(text: &[u8]) -> Doing {
    let first = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    match first {
        b"" => Doing::Unknown,
        b"running" => Doing::Running,
        _ if FUTEX_CALLS.is_empty() => Doing::Unknown,
        number if FUTEX_CALLS.contains(&number) => Doing::Futex,
        _ => Doing::OtherWait,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_forms_of_the_syscall_file_are_told_apart() {
        assert_eq!(classify_syscall(b"running\n"), Doing::Running);
        assert_eq!(classify_syscall(b"-1 0x7ffd 0x7f12\n"), Doing::OtherWait);
        assert_eq!(classify_syscall(b""), Doing::Unknown);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(classify_syscall(b"202 0x1 0x80 0x0 0x7f\n"), Doing::Futex);
            assert_eq!(classify_syscall(b"230 0x1 0x0 0x7f 0x0\n"), Doing::OtherWait);
        }
        let usage = ThreadUsage { cpu_ns: 81_050, run_delay_ns: Some(50_385) };
        assert_eq!(parse_schedstat(b"81050 50385 2\n"), Some(usage));
        assert_eq!(parse_schedstat(b"81050"), None);
    }

    /// The clock id is computed, not asked for: it must show the other thread's time and not ours.
    #[test]
    fn the_clock_of_another_thread_stands_still_while_that_thread_sleeps() {
        let (send_probe, receive_probe) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<()>();
        let worker = std::thread::spawn(move || {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
            send_probe.send(ProcProbe::of_current()).expect("the test listens");
            finished.recv().ok();
        });
        let probe = receive_probe.recv().expect("the worker sends its probe");
        let cpu = || probe.clock_usage().expect("the thread lives").cpu_ns;
        loop {
            let before = cpu();
            std::thread::sleep(Duration::from_millis(20));
            if cpu() == before && before > 1_000_000 {
                break;
            }
        }
        assert!(matches!(probe.doing(), Doing::Futex | Doing::Unknown));
        drop(finish);
        worker.join().expect("the worker ends");
    }
}
