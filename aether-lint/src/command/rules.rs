//! `rules`: what this program checks, third-party rules included.

use std::io::Write as _;

use aether_rules::{Rule, registry};

use super::{CommandError, Outcome};
use crate::args::{ListFormat, RulesArgs};
use crate::docs;
use crate::terminal::print;

/// Lists the rules asked for, or all.
pub(super) fn run(args: &RulesArgs) -> Result<Outcome, CommandError> {
    let wanted = |index: &usize| args.rules.is_empty() || args.rules.iter().any(|word| word.rules().contains(index));
    let all = registry::rules().iter().enumerate();
    let rules: Vec<&Rule> = all.filter(|(index, _)| wanted(index)).map(|(_, rule)| *rule).collect();
    let text = match args.output_format {
        ListFormat::Text => docs::rules_text(&rules),
        ListFormat::Markdown => docs::rules_table(&rules),
        ListFormat::Json => docs::rules_json(&rules),
    };
    print(|out| out.write_all(text.as_bytes())).map_err(CommandError::Print)?;
    Ok(Outcome::Clean)
}
