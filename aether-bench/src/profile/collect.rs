//! The measurements of one size as they come in.
//!
//! *Invariant:* a doubt is raised by the data alone; it never changes a number.

use super::latency::Durations;
use super::point::{Doubt, Point, Round};
use super::signals::Signals;
use super::trace::Rate;
use super::workload::Sample;
use crate::stats::sample::median;

/// Fewer completions than this in a round: one more or less is a percent.
const FEW: u64 = 100;
/// An interval wider than ± 2 % is flagged.
const WIDE: f64 = 0.02;

/// Everything measured at one thread count.
pub(super) struct Collected {
    threads: usize,
    rounds: Vec<Round>,
    signals: Vec<Signals>,
    service: Durations,
    sojourn: Durations,
    unsettled: usize,
    disturbed: Vec<f64>,
    completions: u64,
}

impl Collected {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            rounds: Vec::new(),
            signals: Vec::new(),
            service: Durations::default(),
            sojourn: Durations::default(),
            unsettled: 0,
            disturbed: Vec::new(),
            completions: u64::MAX,
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn add(&mut self, block: u32, rate: &Rate, sample: &Sample, tolerable: f64) {
        self.rounds.push(Round { block, ops_s: rate.ops_s });
        let futex = sample.futex.map(|(on_futex, asleep)| on_futex as f64 / asleep.max(1) as f64);
        self.signals.push(Signals {
            futex,
            run_queue: sample.run_queue.or(rate.signals.run_queue),
            foreign_cores: sample.foreign.map(|foreign| foreign.cores),
            steal: sample.foreign.map(|foreign| foreign.steal),
            ..rate.signals
        });
        self.service.merge(&sample.service);
        self.unsettled += usize::from(!rate.settled);
        self.completions = self.completions.min(rate.completions);
        let load = sample.foreign.map_or(0.0, |foreign| foreign.cores + foreign.steal);
        if load > tolerable {
            self.disturbed.push(load);
        }
    }

    pub(super) fn add_sojourn(&mut self, sojourn: &Durations) {
        self.sojourn.merge(sojourn);
    }

    /// The throughput alone: what the plan decides on.
    pub(super) fn point(&self) -> Point {
        Point::new(self.threads, self.rounds.clone())
    }

    /// The point with all that is known about it.
    pub(super) fn finished(&self) -> Point {
        let mut point = self.point();
        point.service_ns = self.service.summary();
        point.sojourn_ns = self.sojourn.summary();
        point.signals = Signals::typical(&self.signals);
        point.doubts = self.doubts(&point);
        point
    }

    fn doubts(&self, point: &Point) -> Vec<Doubt> {
        // One round in five may be unlucky; more say something about the workload or the machine.
        let many = self.rounds.len() / 3;
        let half_width = point.ops_s.relative_half_width();
        let doubts = [
            (self.unsettled > many).then_some(Doubt::NotSettled { rounds: self.unsettled }),
            (self.disturbed.len() > many).then(|| Doubt::ForeignLoad { cores: median(&self.disturbed) }),
            (half_width.is_nan() || half_width > WIDE).then_some(Doubt::Wide { half_width }),
            (self.completions < FEW).then_some(Doubt::FewCompletions { completions: self.completions }),
        ];
        doubts.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(ops_s: f64, completions: u64, settled: bool) -> Rate {
        Rate { ops_s, completions, signals: Signals::default(), settled }
    }

    #[test]
    fn good_rounds_raise_no_doubt_and_bad_ones_say_why() {
        let mut good = Collected::new(2);
        let mut bad = Collected::new(2);
        for block in 0..5 {
            let ops_s = 100.0 + f64::from(block) * 0.1;
            good.add(block, &rate(ops_s, 1_000, true), &Sample::default(), 0.2);
            bad.add(block, &rate(ops_s * f64::from(block + 1), 10, false), &Sample::default(), 0.2);
        }
        assert!(good.finished().doubts.is_empty());
        let doubts = bad.finished().doubts;
        assert!(doubts.contains(&Doubt::NotSettled { rounds: 5 }));
        assert!(doubts.contains(&Doubt::FewCompletions { completions: 10 }));
        assert!(doubts.iter().any(|doubt| matches!(doubt, Doubt::Wide { .. })));
    }
}
