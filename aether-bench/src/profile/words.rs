//! Findings and recommendations as sentences, each with the numbers it rests on.
//!
//! *Invariant:* no sentence claims more than the analysis it is given: what is inconclusive reads so.

use super::analysis::SaturationAnalysis;
use super::cause::Cause;
use super::fits::{Model, TRUSTED_ERROR};
use super::point::Doubt;
use super::shape::{Confirmation, Status};

/// What was seen.
pub(super) fn findings(analysis: &SaturationAnalysis) -> Vec<String> {
    let mut found = vec![peak(analysis), cliff(analysis), cause(analysis)];
    found.extend(model(analysis));
    found.extend(tail(analysis));
    found.extend(doubts(analysis));
    found
}

fn peak(analysis: &SaturationAnalysis) -> String {
    let peak = analysis.peak;
    let speedup = analysis.point(1).map_or(1.0, |one| peak.ops_s.est / one.ops_s.est);
    format!("The peak is {:.4} tasks/s at {} ({speedup:.2} × one thread).", Rounded(peak.ops_s.est), threads(peak.n))
}

fn cliff(analysis: &SaturationAnalysis) -> String {
    let largest = analysis.points.last().map_or(0, |point| point.n);
    let Some(cliff) = analysis.cliff else {
        return format!("No cliff up to {}.", threads(largest));
    };
    let sure = match cliff.confirmation {
        Confirmation::Confirmed => "",
        Confirmation::Suspected => " (the largest size measured: not confirmed by a larger one)",
    };
    format!(
        "Cliff at {}: throughput is {:.0} % of the peak there and falls by up to {:.0} %{sure}.",
        threads(cliff.n),
        100.0 * cliff.ratio.est,
        100.0 * cliff.severity,
    )
}

fn cause(analysis: &SaturationAnalysis) -> String {
    let text = match analysis.cause {
        Cause::NotReached => "Throughput was still growing at the largest size: no limit was reached.",
        Cause::Io => "The limit is what the tasks wait for: workers sleep in sockets, files or timers.",
        Cause::Cpu => "The limit is the cores: this workload keeps them busy.",
        Cause::RunQueue => "The limit is the run queue: runnable threads wait for a core.",
        Cause::Lock => "The limit is a lock: workers sleep on it.",
        Cause::Gil => "The limit is the GIL: one core's worth of Python, the other workers wait for the interpreter.",
        Cause::Unknown => "What limits it cannot be told from the signals.",
    };
    text.to_owned()
}

fn model(analysis: &SaturationAnalysis) -> Option<String> {
    let fits = analysis.fits?;
    let usl = fits.usl;
    let error = match fits.chosen {
        Model::Ceiling => fits.ceiling.error,
        Model::Usl => usl.error,
    };
    if error > TRUSTED_ERROR {
        let percent = 100.0 * error;
        return Some(format!("Neither model explains the curve (error {percent:.1} %)."));
    }
    Some(match fits.chosen {
        Model::Ceiling => format!(
            "A ceiling explains the curve: {:.4} tasks/s a thread up to {:.4} tasks/s (error {:.1} %).",
            Rounded(fits.ceiling.per_thread),
            Rounded(fits.ceiling.cap),
            100.0 * fits.ceiling.error,
        ),
        Model::Usl => format!(
            "Universal Scalability Law: contention σ = {:.3} [{:.3}, {:.3}], coherency κ = {:.5} [{:.5}, {:.5}] (error {:.1} %).",
            usl.sigma.est,
            usl.sigma.lo,
            usl.sigma.hi,
            usl.kappa.est,
            usl.kappa.lo,
            usl.kappa.hi,
            100.0 * usl.error,
        ),
    })
}

fn tail(analysis: &SaturationAnalysis) -> Option<String> {
    let point = analysis.point(analysis.recommended.n)?;
    let (service, sojourn) = (point.service_ns?, point.sojourn_ns?);
    Some(format!(
        "At {} and 70 % of the peak rate a task takes {} (median) from the moment it is due; at full rate its own work takes {}.",
        threads(point.n),
        nanoseconds(sojourn.p50),
        nanoseconds(service.p50),
    ))
}

fn doubts(analysis: &SaturationAnalysis) -> Vec<String> {
    let sizes = |matching: fn(&Doubt) -> bool| -> Vec<String> {
        let doubtful = analysis.points.iter().filter(|point| point.doubts.iter().any(matching));
        doubtful.map(|point| point.n.to_string()).collect()
    };
    let line = |text: &str, matching: fn(&Doubt) -> bool| {
        let sizes = sizes(matching);
        let all = sizes.len() == analysis.points.len();
        let where_ = if all { "every size".to_owned() } else { sizes.join(", ") };
        (!sizes.is_empty()).then(|| format!("Doubt: {text} (at {where_})."))
    };
    let lines = [
        line("not settled when the warm-up ended", |d| matches!(d, Doubt::NotSettled { .. })),
        line("others used the cores meanwhile", |d| matches!(d, Doubt::ForeignLoad { .. })),
        line("known to no better than ± 2 %", |d| matches!(d, Doubt::Wide { .. })),
        line("few tasks to go by", |d| matches!(d, Doubt::FewCompletions { .. })),
    ];
    lines.into_iter().flatten().collect()
}

/// What to do.
pub(super) fn recommendations(analysis: &SaturationAnalysis) -> Vec<String> {
    let mut advice = vec![format!("Use {}.", threads(analysis.recommended.n))];
    if analysis.recommended.status == Status::Inconclusive {
        advice.push(
            "Fewer may do as well: the rounds could not tell. Measure longer, or on a quieter machine.".to_owned(),
        );
    }
    if let Some(cliff) = analysis.cliff {
        advice.push(format!("Never let a pool grow to {}.", threads(cliff.n)));
    }
    let of_cause = match analysis.cause {
        Cause::NotReached => "Measure with a larger maximum: the best size may lie beyond it.",
        Cause::Io => "More threads do not help past this size: widen what they wait for (connections, bandwidth).",
        Cause::Cpu => "More threads do not help: make the work cheaper, or give it more cores.",
        Cause::RunQueue => "Keep the threads near the number of cores, and heavy neighbours off them.",
        Cause::Lock => "Hold the lock for less time, or split what it guards.",
        Cause::Gil => "Run it on a free-threaded build, or in processes; measure both with two interpreters.",
        Cause::Unknown => return advice,
    };
    advice.push(of_cause.to_owned());
    advice
}

/// "1 thread", "8 threads".
pub(crate) fn threads(n: usize) -> String {
    if n == 1 { "1 thread".to_owned() } else { format!("{n} threads") }
}

/// A duration with the unit that suits it.
pub(crate) fn nanoseconds(ns: u64) -> String {
    let value = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

/// A number with as many digits as its precision asks for: `{:.3}` prints three significant digits.
pub(crate) struct Rounded(pub(crate) f64);

impl std::fmt::Display for Rounded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = out.precision().unwrap_or(4);
        let before_point = if self.0 == 0.0 { 1 } else { crate::num::floor_index(self.0.abs().log10()) + 1 };
        write!(out, "{:.*}", digits.saturating_sub(before_point), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_significant_digits() {
        assert_eq!(format!("{:.4}", Rounded(6_400.123)), "6400");
        assert_eq!(format!("{:.4}", Rounded(98.765)), "98.77");
        assert_eq!(format!("{:.3}", Rounded(1_234_567.0)), "1234567");
        assert_eq!(nanoseconds(1_500), "1.5 µs");
        assert_eq!(nanoseconds(12_300_000), "12.3 ms");
        assert_eq!(threads(1), "1 thread");
    }
}
