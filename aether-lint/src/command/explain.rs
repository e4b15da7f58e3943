//! `explain`: the documentation of a rule, from its declaration.

use std::io::Write as _;

use aether_rules::{Rule, registry};
use anstyle::Style;

use super::{CommandError, Outcome};
use crate::args::{DocFormat, ExplainArgs};
use crate::docs;
use crate::terminal::{Styling, Terminal, print};

/// Explains every rule asked for.
pub(super) fn run(args: &ExplainArgs, terminal: &Terminal) -> Result<Outcome, CommandError> {
    let rules: Vec<_> = args.rules.iter().map(|word| find(word)).collect::<Result<_, _>>()?;
    let text = match args.output_format {
        DocFormat::Json => docs::rules_json(&rules),
        DocFormat::Markdown => pages(&rules),
        DocFormat::Text => styled(&pages(&rules), terminal.output_styling()),
    };
    print(|out| out.write_all(text.as_bytes())).map_err(CommandError::Print)?;
    Ok(Outcome::Clean)
}

fn find(word: &str) -> Result<&'static Rule, CommandError> {
    registry::find(word).ok_or_else(|| {
        let advice = match registry::suggest(word) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`aether-lint rules` lists them".to_owned(),
        };
        CommandError::UnknownRule { message: format!("unknown rule `{word}`; {advice}") }
    })
}

fn pages(rules: &[&Rule]) -> String {
    let pages: Vec<_> = rules.iter().map(|rule| docs::rule_page(rule)).collect();
    pages.join("\n")
}

/// Markdown reads well as it is; headings and code are set apart where colours are welcome.
fn styled(markdown: &str, styling: Styling) -> String {
    let heading = Style::new().bold().underline();
    let code = anstyle::AnsiColor::Cyan.on_default();
    let mut text = String::new();
    let mut in_code = false;
    for line in markdown.lines() {
        let fence = line.starts_with("```");
        in_code ^= fence;
        let shown = match line.trim_start_matches('#') {
            title if title.len() < line.len() && !in_code => styling.paint(heading, title.trim_start()),
            // The fences themselves say nothing to a reader; what is between them is indented instead.
            _ if fence => line.strip_prefix("```python ").map_or_else(String::new, |kind| format!("  # {kind}")),
            _ if in_code => format!("  {}", styling.paint(code, line)),
            _ => line.to_owned(),
        };
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}
