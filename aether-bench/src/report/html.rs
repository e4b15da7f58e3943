//! One HTML page for one or several curves: pictures, findings, tables, and the JSON they were made from.
//!
//! *Invariant:* one file that needs no other and runs no script; every text that came from outside is escaped.

use std::fmt::Write as _;

use super::{ascii, svg, verdict};
use crate::profile::SaturationAnalysis;
use crate::profile::migration::Migration;
use crate::profile::words::{Rounded, nanoseconds};
use crate::regress::curves::CurveComparison;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h1,h2{line-height:1.2}\
svg{width:100%;height:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
.wide{overflow-x:auto}th,td{padding:.25rem .75rem;text-align:right;border-bottom:1px solid var(--line)}\
.env{color:#777;font-size:.9rem}pre{overflow:auto;max-height:24rem;font-size:.8rem}";

/// The page.
pub fn page(analyses: &[SaturationAnalysis], migrations: &[Migration], regression: Option<&CurveComparison>) -> String {
    let title = analyses.first().map_or("profile", |first| first.workload.id.as_str());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0} · saturation profile</title>\
         <style>{STYLE}</style></head><body><h1>{0}: how many threads?</h1>",
        escape(title)
    );
    for table in migrations {
        let title = format!("{} → {}", table.from, table.to);
        preformatted(&mut page, &title, &ascii::migration_rows(table));
    }
    if let Some(comparison) = regression {
        preformatted(&mut page, "Against the baseline", &verdict::curves(comparison));
    }
    for analysis in analyses {
        section(&mut page, analysis);
    }
    page.push_str("</body></html>\n");
    page
}

fn preformatted(page: &mut String, title: &str, text: &str) {
    push(page, format_args!("<h2>{}</h2><pre>{}</pre>", escape(title), escape(text)));
}

fn section(page: &mut String, analysis: &SaturationAnalysis) {
    let machine = &analysis.env.machine;
    if let Some(runtime) = &analysis.workload.interpreter {
        push(page, format_args!("<h2>{}</h2>", escape(&runtime.mode())));
    }
    push(
        page,
        format_args!(
            "<p class=\"env\">{} cores · {} · {}</p>",
            machine.cores,
            escape(&machine.cpu),
            escape(&machine.kernel)
        ),
    );
    page.push_str(&svg::throughput(analysis));
    list(page, "Findings", &analysis.findings);
    list(page, "What to do", &analysis.recommendations);
    let latency = svg::latency(analysis);
    if !latency.is_empty() {
        push(page, format_args!("<h3>Time of a task</h3>{latency}"));
    }
    table(page, analysis);
    let json = serde_json::to_string_pretty(analysis).unwrap_or_default();
    push(page, format_args!("<details><summary>JSON</summary><pre>{}</pre></details>", escape(&json)));
}

fn list(page: &mut String, title: &str, items: &[String]) {
    push(page, format_args!("<h3>{title}</h3><ul>"));
    for item in items {
        push(page, format_args!("<li>{}</li>", escape(item)));
    }
    page.push_str("</ul>");
}

fn table(page: &mut String, analysis: &SaturationAnalysis) {
    page.push_str(
        "<h3>Points</h3><div class=\"wide\"><table><tr><th>threads<th>tasks/s<th>95 % interval<th>median<th>99 %<th>CPU<th>run queue<th>futex</tr>",
    );
    for point in &analysis.points {
        let share = |value: Option<f64>| value.map_or("–".to_owned(), |share| format!("{share:.2}"));
        let time = |ns: Option<u64>| ns.map_or("–".to_owned(), nanoseconds);
        push(
            page,
            format_args!(
                "<tr><td>{}<td>{:.4}<td>{:.4} – {:.4}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                point.n,
                Rounded(point.ops_s.est),
                Rounded(point.ops_s.lo),
                Rounded(point.ops_s.hi),
                time(point.service_ns.map(|latency| latency.p50)),
                time(point.service_ns.and_then(|latency| latency.p99)),
                share(point.signals.cpu),
                share(point.signals.run_queue),
                share(point.signals.futex),
            ),
        );
    }
    page.push_str("</table></div>");
}

fn push(page: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(page, "{content}").unwrap_or_default();
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
