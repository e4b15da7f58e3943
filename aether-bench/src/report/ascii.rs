//! The curve in a terminal, and the text around it.
//!
//! *Invariant:* as wide as the number of sizes needs and no wider than 120 columns; no colour, no control characters.

use std::fmt::Write as _;

use crate::profile::SaturationAnalysis;
use crate::profile::migration::Migration;
use crate::profile::point::Point;
use crate::profile::words::{Rounded, nanoseconds, threads};
use crate::stats::Estimate;

const HEIGHT: usize = 14;
/// Columns left of the axis.
const MARGIN: usize = 9;

impl SaturationAnalysis {
    /// Throughput over threads: `●` measured, `│` its 95 % interval, `·` between; below, the size to use and the cliff.
    pub fn plot_ascii_chart(&self) -> String {
        Chart::new(self).render()
    }

    /// The chart, the findings, what to do, and a table of the points.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let runtime = self.workload.interpreter.as_ref();
        let gil = runtime.map_or("", |found| if found.gil { ", with the GIL" } else { ", without the GIL" });
        let version = runtime.map_or(String::new(), |found| format!(" · {}{gil}", found.version));
        line(&mut text, format_args!("{}{version}", self.workload.id));
        let machine = &self.env.machine;
        line(&mut text, format_args!("{} cores · {} · {}\n", machine.cores, machine.cpu, machine.kernel));
        text.push_str(&self.plot_ascii_chart());
        text.push('\n');
        for finding in &self.findings {
            line(&mut text, format_args!("{finding}"));
        }
        text.push('\n');
        for advice in &self.recommendations {
            line(&mut text, format_args!("→ {advice}"));
        }
        text.push('\n');
        text.push_str(&self.table());
        text
    }

    fn table(&self) -> String {
        let mut text = String::new();
        let head = ["threads", "tasks/s", "± %", "p50", "p99", "cpu", "run queue", "futex"];
        let row = |text: &mut String, cells: [String; 8]| {
            let [n, rate, spread, p50, p99, cpu, queue, futex] = cells;
            let cells = format!("{n:>7} {rate:>11} {spread:>6} {p50:>9} {p99:>9} {cpu:>5} {queue:>9} {futex:>6}");
            line(text, format_args!("{}", cells.trim_end()));
        };
        row(&mut text, head.map(str::to_owned));
        for point in &self.points {
            row(&mut text, cells(point));
        }
        text
    }
}

fn cells(point: &Point) -> [String; 8] {
    let share = |value: Option<f64>| value.map_or("–".to_owned(), |share| format!("{share:.2}"));
    let time = |ns: Option<u64>| ns.map_or("–".to_owned(), nanoseconds);
    let spread = 100.0 * point.ops_s.relative_half_width();
    [
        point.n.to_string(),
        format!("{:.4}", Rounded(point.ops_s.est)),
        if spread.is_finite() { format!("{spread:.1}") } else { "–".to_owned() },
        time(point.service_ns.map(|latency| latency.p50)),
        time(point.service_ns.and_then(|latency| latency.p99)),
        share(point.signals.cpu),
        share(point.signals.run_queue),
        share(point.signals.futex),
    ]
}

/// The migration table as text.
pub fn migration(table: &Migration) -> String {
    format!("{} → {}\n{}", table.from, table.to, migration_rows(table))
}

/// The migration table without its heading.
pub(super) fn migration_rows(table: &Migration) -> String {
    let mut text = String::new();
    if let Some(single) = &table.single_thread {
        line(&mut text, format_args!("one thread: {}", times(single)));
    }
    for step in &table.steps {
        let threads = threads(step.n);
        line(&mut text, format_args!("{threads:>10}: {} the best of the former", times(&step.ratio)));
    }
    match table.wins_from {
        Some(n) => line(&mut text, format_args!("It pays from {} on.", threads(n))),
        None => line(&mut text, format_args!("At no measured size is it shown to pay.")),
    }
    text
}

/// "1.84 × [1.80, 1.88]".
pub(super) fn times(ratio: &Estimate) -> String {
    if ratio.is_bounded() {
        format!("{:.2} × [{:.2}, {:.2}]", ratio.est, ratio.lo, ratio.hi)
    } else {
        format!("{:.2} × (one round: no interval)", ratio.est)
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(text, "{content}").unwrap_or_default();
}

struct Chart<'a> {
    analysis: &'a SaturationAnalysis,
    grid: Vec<Vec<char>>,
    top: f64,
    step: usize,
}

impl<'a> Chart<'a> {
    fn new(analysis: &'a SaturationAnalysis) -> Self {
        let points = &analysis.points;
        let step = (110 / points.len().max(1)).clamp(4, 8);
        let highest = points.iter().map(|point| finite(point.ops_s.hi, point.ops_s.est));
        let top = highest.fold(0.0, f64::max).max(1e-9);
        Self { analysis, grid: vec![vec![' '; points.len() * step]; HEIGHT], top, step }
    }

    fn render(mut self) -> String {
        self.draw_line();
        self.draw_points();
        let mut text = String::new();
        for (index, cells) in self.grid.iter().enumerate() {
            let value = self.top * (1.0 - index as f64 / (HEIGHT - 1) as f64);
            let label = if index % 4 == 0 || index == HEIGHT - 1 { short(value) } else { String::new() };
            let cells: String = cells.iter().collect();
            line(&mut text, format_args!("{label:>MARGIN$} ┤{}", cells.trim_end()));
        }
        let axis = "─".repeat(self.grid[0].len());
        line(&mut text, format_args!("{:>MARGIN$} └{axis}", ""));
        self.write_axis(&mut text);
        text
    }

    fn row(&self, value: f64) -> usize {
        let share = (value / self.top).clamp(0.0, 1.0);
        HEIGHT - 1 - crate::num::floor_index(share * (HEIGHT - 1) as f64 + 0.5)
    }

    fn column(&self, index: usize) -> usize {
        index * self.step + (self.step - 1) / 2
    }

    fn draw_line(&mut self) {
        for (index, pair) in self.analysis.points.windows(2).enumerate() {
            let (from, to) = (self.column(index), self.column(index + 1));
            for column in from..to {
                let share = (column - from) as f64 / (to - from) as f64;
                let value = pair[0].ops_s.est * (1.0 - share) + pair[1].ops_s.est * share;
                let row = self.row(value);
                self.grid[row][column] = '·';
            }
        }
    }

    fn draw_points(&mut self) {
        for (index, point) in self.analysis.points.iter().enumerate() {
            let column = self.column(index);
            let rate = point.ops_s;
            let (low, high) = (finite(rate.lo, rate.est), finite(rate.hi, rate.est));
            for row in self.row(high)..=self.row(low) {
                self.grid[row][column] = '│';
            }
            let row = self.row(rate.est);
            self.grid[row][column] = '●';
        }
    }

    fn write_axis(&self, text: &mut String) {
        let labels: String = self
            .analysis
            .points
            .iter()
            .map(|point| format!("{:^width$}", point.n, width = self.step))
            .collect::<Vec<_>>()
            .concat();
        line(text, format_args!("{:>MARGIN$}  {}", "threads", labels.trim_end()));
        let mark = |n: usize| {
            let cliff = self.analysis.cliff.is_some_and(|cliff| cliff.n == n);
            match (n == self.analysis.recommended.n, cliff) {
                (true, _) => "▲",
                (false, true) => "✗",
                (false, false) => "",
            }
        };
        let marks: String = self
            .analysis
            .points
            .iter()
            .map(|point| format!("{:^width$}", mark(point.n), width = self.step))
            .collect::<Vec<_>>()
            .concat();
        let cliff = if self.analysis.cliff.is_some() { " · ✗ cliff" } else { "" };
        line(text, format_args!("{:>MARGIN$}  {}   ▲ use{cliff}", "", marks.trim_end()));
    }
}

fn finite(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value } else { otherwise }
}

/// A number that fits the margin.
pub(super) fn short(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{:.2}G", v / 1e9),
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e4 => format!("{:.1}k", v / 1e3),
        v => format!("{:.3}", Rounded(v)),
    }
}
