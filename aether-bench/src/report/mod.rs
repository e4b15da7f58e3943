//! What a profile looks like: text and chart for a terminal, SVG and HTML for a page, JSON for programs.
//!
//! *Invariant:* reports read an analysis and decide nothing.

pub mod ascii;
pub mod document;
pub mod html;
pub mod svg;
pub mod verdict;

use thiserror::Error;

pub use document::Document;

use crate::profile::SaturationAnalysis;
use crate::profile::analysis::SCHEMA;

/// Why a saved curve cannot be used.
#[derive(Debug, Error)]
pub enum ReportError {
    /// It is not what this crate writes.
    #[error("not a saved curve")]
    Json(#[from] serde_json::Error),
    /// It was written by another version.
    #[error("the curve has the format `{found}`, and `{SCHEMA}` is what can be read")]
    Schema {
        /// What it says it is.
        found: String,
    },
}

/// The analysis as JSON, format [`SCHEMA`].
pub fn json(analysis: &SaturationAnalysis) -> Result<String, ReportError> {
    Ok(serde_json::to_string_pretty(analysis)?)
}

/// Reads what [`json`] wrote.
pub fn parse(text: &str) -> Result<SaturationAnalysis, ReportError> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    let found = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or("(none)");
    if found != SCHEMA {
        return Err(ReportError::Schema { found: found.to_owned() });
    }
    Ok(serde_json::from_value(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::host::Machine;
    use crate::profile::latency::Latency;
    use crate::profile::point::synthetic::{LADDER, curve};
    use crate::profile::workload::{Identity, Interpreter};

    fn sample() -> SaturationAnalysis {
        let truth = |n: f64| {
            if n <= 8.0 { 100.0 * n } else { 800.0 * (8.0 / n).powf(0.8) }
        };
        let mut points = curve(&LADDER, 0.01, 3, truth);
        for point in &mut points {
            let p50 = 10_000_000 * point.n as u64;
            point.service_ns = Some(Latency { p50, p99: Some(2 * p50), p999: None, n: 2_000 });
        }
        let workload = Identity {
            id: "work.py::<b>".to_owned(),
            hash: "0".to_owned(),
            interpreter: Some(Interpreter {
                version: "CPython 3.13.0".to_owned(),
                gil: true,
                ..Interpreter::default()
            }),
        };
        let machine = Machine { cores: 8, quota: None, cpu: "a processor".to_owned(), kernel: "linux 6".to_owned() };
        SaturationAnalysis::new(machine, workload, points).expect("ten points")
    }

    #[test]
    fn json_comes_back_as_it_went() {
        let analysis = sample();
        let text = json(&analysis).expect("it can be written");
        assert!(text.contains("\"schema\": \"aether-bench/scaling/1\""));
        assert_eq!(parse(&text).expect("it can be read"), analysis);
        assert!(matches!(parse("{\"schema\":\"other/9\"}"), Err(ReportError::Schema { .. })));
        assert!(matches!(parse("nonsense"), Err(ReportError::Json(_))));
    }

    #[test]
    fn documents_come_back_as_they_went_whether_of_one_curve_or_more() {
        let one = Document::new(vec![sample()]);
        assert_eq!(Document::parse(&one.to_json().expect("it can be written")).expect("it can be read"), one);
        let mut two = Document::new(vec![sample(), sample()]);
        assert_eq!(two.migrations.len(), 1);
        two.regression = crate::regress::curves::compare(&one.curves, &two.curves).ok();
        assert!(two.regression.is_some());
        assert_eq!(Document::parse(&two.to_json().expect("it can be written")).expect("it can be read"), two);
        let (text, page) = (two.to_text(), two.to_html());
        assert!(text.contains("one thread: 1.00 ×") && text.contains("PASS"), "{text}");
        assert!(page.contains("Against the baseline") && page.contains("one thread: 1.00 ×"));
        assert!(matches!(Document::parse("{}"), Err(ReportError::Schema { .. })));
    }

    #[test]
    fn json_keeps_unbounded_intervals_readable() {
        let points =
            vec![crate::profile::point::Point::new(1, vec![crate::profile::point::Round { block: 0, ops_s: 5.0 }])];
        let analysis = SaturationAnalysis::new(Machine::default(), Identity::default(), points).expect("one point");
        let text = json(&analysis).expect("it can be written");
        assert!(text.contains("\"lo\": null"), "{text}");
        assert!(!parse(&text).expect("it can be read").points[0].ops_s.is_bounded());
    }

    #[test]
    fn the_chart_shows_peak_cliff_and_scale() {
        let analysis = sample();
        let chart = analysis.plot_ascii_chart();
        assert_eq!(chart.matches('●').count(), LADDER.len(), "{chart}");
        assert!(chart.contains("▲ use") && chart.contains('✗'), "{chart}");
        assert!(chart.lines().all(|line| line.chars().count() <= 120), "{chart}");
        let marks = chart.lines().last().expect("there is a last line");
        let axis = chart.lines().rev().nth(1).expect("and one before");
        let under = |mark: char| marks.chars().position(|c| c == mark).expect("marked");
        let label: String = axis.chars().skip(under('▲')).take(1).collect();
        assert_eq!(label, analysis.recommended.n.to_string());
    }

    #[test]
    fn text_and_pages_carry_the_findings_and_escape_names() {
        let analysis = sample();
        let text = analysis.to_text();
        assert!(text.contains("Cliff at 12 threads") && text.contains("→ Use 8 threads."), "{text}");
        let page = html::page(std::slice::from_ref(&analysis), &[], None);
        assert!(page.contains("work.py::&lt;b&gt;") && !page.contains("<b>"));
        assert!(page.contains("<polygon class=\"band\"") && page.contains("cliff 12"));
        assert!(!page.contains("<script") && !page.contains("src="));
    }
}
