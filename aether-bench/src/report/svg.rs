//! The curve as an SVG picture: throughput with its confidence band, the models, the size to use and the cliff; and the
//! latency percentiles beside it.
//!
//! *Invariant:* self-contained and static: no script, no font, no address; colours come from CSS classes that the page
//! defines, with fallbacks inside the picture.

use std::fmt::Write as _;

use super::ascii::short;
use crate::profile::SaturationAnalysis;
use crate::profile::fits::Model;
use crate::profile::words::nanoseconds;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;

const STYLE: &str = "<style>\
.axis{stroke:#888;stroke-width:1}.grid{stroke:#8883;stroke-width:1}\
.curve{fill:none;stroke:#2563eb;stroke-width:2}.band{fill:#2563eb33}.dot{fill:#2563eb}\
.model{fill:none;stroke:#888;stroke-width:1.5;stroke-dasharray:5 4}\
.use{stroke:#16a34a;stroke-width:1.5}.cliff{stroke:#dc2626;stroke-width:1.5}\
.tail{fill:none;stroke:#d97706;stroke-width:2}.taildot{fill:#d97706}\
text{font:12px system-ui,sans-serif;fill:#777}.usetext{fill:#16a34a}.clifftext{fill:#dc2626}\
</style>";

/// Maps sizes (logarithmic) and values to the picture.
struct Scale {
    last: f64,
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    fn x(&self, n: f64) -> f64 {
        let span = self.last.log2().max(1e-9);
        LEFT + (WIDTH - LEFT - RIGHT) * (n.max(1.0).log2() / span).min(1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln().max(1e-9)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share.clamp(0.0, 1.0)
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        points.map(|(n, value)| format!("{:.1},{:.1}", self.x(n), self.y(value))).collect::<Vec<_>>().join(" ")
    }
}

/// Throughput over threads.
pub fn throughput(analysis: &SaturationAnalysis) -> String {
    let highest = analysis.points.iter().map(|point| finite(point.ops_s.hi, point.ops_s.est));
    let scale =
        Scale { last: last_size(analysis), low: 0.0, high: 1.08 * highest.fold(1e-9, f64::max), logarithmic: false };
    let mut svg = open("tasks per second over threads");
    axes(&mut svg, analysis, &scale);
    caption(&mut svg, "tasks/s · band: 95 % interval · dashed: the model that explains it best");
    for step in 0..=4 {
        let value = scale.high * f64::from(step) / 4.0;
        y_label(&mut svg, &scale, value, &short(value));
    }
    let upper = analysis.points.iter().map(|p| (p.n as f64, finite(p.ops_s.hi, p.ops_s.est)));
    let lower = analysis.points.iter().rev().map(|p| (p.n as f64, finite(p.ops_s.lo, p.ops_s.est)));
    push(&mut svg, format_args!("<polygon class=\"band\" points=\"{}\"/>", scale.path(upper.chain(lower))));
    model(&mut svg, analysis, &scale);
    let middle = analysis.points.iter().map(|p| (p.n as f64, p.ops_s.est));
    push(&mut svg, format_args!("<polyline class=\"curve\" points=\"{}\"/>", scale.path(middle)));
    dots(&mut svg, analysis, &scale);
    mark(&mut svg, &scale, analysis.recommended.n, "use");
    if let Some(cliff) = analysis.cliff {
        mark(&mut svg, &scale, cliff.n, "cliff");
    }
    svg.push_str("</svg>");
    svg
}

/// Median and 99th percentile of the tasks' own time; empty if nothing was timed.
pub fn latency(analysis: &SaturationAnalysis) -> String {
    let timed: Vec<(f64, f64, Option<f64>)> = analysis
        .points
        .iter()
        .filter_map(|point| Some((point.n as f64, point.service_ns?)))
        .map(|(n, latency)| (n, latency.p50 as f64, latency.p99.map(|ns| ns as f64)))
        .collect();
    if timed.is_empty() {
        return String::new();
    }
    let values = timed.iter().flat_map(|&(_, p50, p99)| [p50, p99.unwrap_or(p50)]);
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let scale = Scale { last: last_size(analysis), low: low / 1.5, high: high * 1.5, logarithmic: true };
    let mut svg = open("time of a task over threads");
    axes(&mut svg, analysis, &scale);
    latency_labels(&mut svg, &scale);
    let tails = timed.iter().filter_map(|&(n, _, p99)| Some((n, p99?)));
    push(&mut svg, format_args!("<polyline class=\"tail\" points=\"{}\"/>", scale.path(tails)));
    let medians = timed.iter().map(|&(n, p50, _)| (n, p50));
    push(&mut svg, format_args!("<polyline class=\"curve\" points=\"{}\"/>", scale.path(medians)));
    caption(&mut svg, "blue: median · amber: 99th percentile");
    svg.push_str("</svg>");
    svg
}

fn dots(svg: &mut String, analysis: &SaturationAnalysis, scale: &Scale) {
    for point in &analysis.points {
        let (x, y) = (scale.x(point.n as f64), scale.y(point.ops_s.est));
        let title = format!("{} threads: {} tasks/s", point.n, short(point.ops_s.est));
        push(
            svg,
            format_args!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{title}</title></circle>"),
        );
    }
}

fn latency_labels(svg: &mut String, scale: &Scale) {
    for step in 0..=4 {
        let value = scale.low * (scale.high / scale.low).powf(f64::from(step) / 4.0);
        y_label(svg, scale, value, &nanoseconds(crate::num::seconds_to_ns(value / 1e9)));
    }
}

fn last_size(analysis: &SaturationAnalysis) -> f64 {
    analysis.points.last().map_or(2.0, |point| point.n.max(2) as f64)
}

fn open(label: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{label}\">{STYLE}"
    )
}

fn push(svg: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(svg, "{content}").unwrap_or_default();
}

fn axes(svg: &mut String, analysis: &SaturationAnalysis, scale: &Scale) {
    let (base, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    push(svg, format_args!("<path class=\"axis\" d=\"M{LEFT},{TOP}V{base}H{right}\" fill=\"none\"/>"));
    let mut end = f64::NEG_INFINITY;
    for point in &analysis.points {
        let x = scale.x(point.n as f64);
        // Refined sizes lie close together: a label that would touch its neighbour is left out.
        if x - end >= 18.0 {
            push(
                svg,
                format_args!("<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", base + 18.0, point.n),
            );
            end = x;
        }
    }
    push(
        svg,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">threads</text>",
            f64::midpoint(LEFT, right),
            HEIGHT - 6.0
        ),
    );
}

/// Says above the picture what its lines are.
fn caption(svg: &mut String, text: &str) {
    push(svg, format_args!("<text x=\"{LEFT}\" y=\"12\">{text}</text>"));
}

fn y_label(svg: &mut String, scale: &Scale, value: f64, label: &str) {
    let y = scale.y(value);
    let right = WIDTH - RIGHT;
    push(svg, format_args!("<path class=\"grid\" d=\"M{LEFT},{y:.1}H{right}\"/>"));
    push(svg, format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0));
}

fn model(svg: &mut String, analysis: &SaturationAnalysis, scale: &Scale) {
    let Some(fits) = analysis.fits else { return };
    let steps = 80_u32;
    let curve = (0..=steps).map(|step| {
        let n = scale.last.powf(f64::from(step) / f64::from(steps));
        let value = match fits.chosen {
            Model::Usl => fits.usl.at(n),
            Model::Ceiling => fits.ceiling.at(n),
        };
        (n, value)
    });
    push(svg, format_args!("<polyline class=\"model\" points=\"{}\"/>", scale.path(curve)));
}

/// A vertical line with its name on top.
fn mark(svg: &mut String, scale: &Scale, n: usize, name: &str) {
    let x = scale.x(n as f64);
    let base = HEIGHT - BOTTOM;
    push(svg, format_args!("<path class=\"{name}\" d=\"M{x:.1},{TOP}V{base}\"/>"));
    push(
        svg,
        format_args!(
            "<text class=\"{name}text\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name} {n}</text>",
            TOP - 6.0
        ),
    );
}

fn finite(value: f64, otherwise: f64) -> f64 {
    if value.is_finite() { value } else { otherwise }
}
