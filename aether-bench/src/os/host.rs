//! The machine: how many cores we may use, what it is, and how busy others keep it.
//!
//! *Invariant:* the number of cores is never below one and honours affinity and the control group's quota.

use std::fs;
use std::num::NonZero;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// The kernel counts `/proc/stat` in hundredths of a second, whatever its own tick is.
const JIFFY_NS: u64 = 10_000_000;

/// Where a measurement was taken; two curves compare only if these agree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores this process may run on (affinity and quota included).
    pub cores: usize,
    /// The control group's limit in cores, where there is one.
    pub quota: Option<f64>,
    /// The processor's name.
    pub cpu: String,
    /// Operating system and kernel release.
    pub kernel: String,
}

impl Machine {
    /// The machine this process runs on.
    pub fn current() -> Self {
        Self { cores: cores(), quota: quota(), cpu: cpu_name(), kernel: kernel() }
    }
}

/// Cores this process may use: affinity and quota are honoured by the standard library.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn quota() -> Option<f64> {
    let unified = fs::read_to_string("/sys/fs/cgroup/cpu.max").ok();
    if let Some(limit) = unified.as_deref().and_then(parse_cpu_max) {
        return Some(limit);
    }
    let number = |name: &str| -> Option<f64> {
        fs::read_to_string(format!("/sys/fs/cgroup/cpu/{name}")).ok()?.trim().parse().ok()
    };
    let limit = number("cpu.cfs_quota_us")? / number("cpu.cfs_period_us")?;
    (limit > 0.0).then_some(limit)
}

/// `cpu.max` reads "max 100000" or "150000 100000".
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (limit, period) = text.trim().split_once(' ')?;
    Some(limit.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

fn cpu_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

/// What all processes together have used since boot, in nanoseconds of core time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostUsage {
    /// Cores busy with anybody's work.
    pub busy_ns: u64,
    /// Cores the hypervisor gave to somebody else.
    pub steal_ns: u64,
}

impl HostUsage {
    /// The counters now; `None` where the system does not tell.
    pub fn read() -> Option<Self> {
        parse_stat(&fs::read_to_string("/proc/stat").ok()?)
    }
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`, guest being part of user.
fn parse_stat(text: &str) -> Option<HostUsage> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    let busy = field(0) + field(1) + field(2) + field(5) + field(6);
    Some(HostUsage { busy_ns: busy * JIFFY_NS, steal_ns: field(7) * JIFFY_NS })
}

/// CPU time of this process so far, in nanoseconds.
pub fn own_cpu_ns() -> Option<u64> {
    #[cfg(unix)]
    {
        let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
        let seconds = u64::try_from(time.tv_sec()).ok()?;
        Some(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).ok()?)
    }
    #[cfg(not(unix))]
    {
        let time = cpu_time::ProcessTime::try_now().ok()?;
        u64::try_from(time.as_duration().as_nanos()).ok()
    }
}

/// The load of others between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Foreign {
    /// Cores kept busy by other processes.
    pub cores: f64,
    /// Cores taken away by the hypervisor.
    pub steal: f64,
}

/// Measures what others use while we measure ourselves.
#[derive(Clone, Copy, Debug)]
pub struct ForeignMeter {
    since: Instant,
    host: Option<HostUsage>,
    own_ns: Option<u64>,
}

impl ForeignMeter {
    /// Starts now. `own_ns` is the CPU time of whatever is *not* foreign.
    pub fn start(own_ns: Option<u64>) -> Self {
        Self { since: Instant::now(), host: HostUsage::read(), own_ns }
    }

    /// The load since the start, given the CPU time that is ours by now.
    pub fn stop(&self, own_ns: Option<u64>) -> Option<Foreign> {
        let elapsed = crate::num::duration_ns(self.since.elapsed());
        let (before, after) = (self.host?, HostUsage::read()?);
        let own = own_ns?.saturating_sub(self.own_ns?);
        Some(foreign(before, after, own, elapsed))
    }
}

fn foreign(before: HostUsage, after: HostUsage, own_ns: u64, elapsed_ns: u64) -> Foreign {
    let elapsed = elapsed_ns.max(1) as f64;
    let busy = after.busy_ns.saturating_sub(before.busy_ns).saturating_sub(own_ns);
    let steal = after.steal_ns.saturating_sub(before.steal_ns);
    Foreign { cores: busy as f64 / elapsed, steal: steal as f64 / elapsed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_first_line_of_stat() {
        let usage = parse_stat("cpu  100 1 20 3000 7 2 3 5 0 0\ncpu0 1 1 1 1\n");
        let expected = HostUsage { busy_ns: 126 * JIFFY_NS, steal_ns: 5 * JIFFY_NS };
        assert_eq!(usage, Some(expected));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_quota_is_a_share_of_its_period() {
        assert_eq!(parse_cpu_max("150000 100000\n"), Some(1.5));
        assert_eq!(parse_cpu_max("max 100000\n"), None);
    }

    #[test]
    fn what_is_ours_is_not_foreign() {
        let after = HostUsage { busy_ns: 1_500, steal_ns: 100 };
        let load = foreign(HostUsage::default(), after, 1_000, 1_000);
        assert!((load.cores - 0.5).abs() < 1e-9 && (load.steal - 0.1).abs() < 1e-9);
    }

    #[test]
    fn this_machine_has_a_core() {
        assert!(Machine::current().cores >= 1);
        assert!(!Machine::current().kernel.is_empty());
    }
}
