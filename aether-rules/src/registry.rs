//! The set of rules linked into this program, and the words users choose them by.
//!
//! Rules submit themselves at link time (`inventory`), whose order is unspecified: everything here is sorted by
//! code. *Invariant:* codes and names are unique, and the registry is never empty; a program that lost its rules
//! to the linker must not report "all clean".

use std::sync::OnceLock;

use thiserror::Error;

use crate::rule::{Family, Rule, normalize_name};

/// What [`declare_rule!`](crate::declare_rule) submits.
#[derive(Debug)]
pub struct RuleEntry(pub &'static Rule);

inventory::collect!(RuleEntry);

/// Declares a rule and registers it. The doc comment is the rule's documentation; a field left out takes its value
/// from [`Rule::DEFAULTS`].
///
/// ```
/// use aether_rules::{RuleContext, Findings, declare_rule};
///
/// declare_rule! {
///     /// ## What it does
///     /// Nothing, slowly.
///     pub static NOTHING = {
///         code: "XYZ001", name: "nothing", summary: "nothing is wrong",
///         family: Threads, level: Warning, since: "1.0.0", check: Some(check),
///     }
/// }
///
/// fn check(_cx: &RuleContext<'_>, _findings: &mut Findings<'_>) {}
/// ```
#[macro_export]
macro_rules! declare_rule {
    ($(#[doc = $doc:literal])+ $vis:vis static $NAME:ident = { $($field:ident : $value:expr),+ $(,)? }) => {
        $(#[doc = $doc])+
        $vis static $NAME: $crate::Rule = {
            use $crate::rule::prelude::*;
            $crate::Rule { docs: concat!($($doc, "\n"),+), $($field: $value,)+ ..$crate::Rule::DEFAULTS }.validated()
        };
        $crate::inventory::submit! { $crate::registry::RuleEntry(&$NAME) }
    };
}

/// Every registered rule, by code.
///
/// # Panics
/// When no rule is linked in, or two rules share a code or a name: both are mistakes of whoever built the program.
pub fn rules() -> &'static [&'static Rule] {
    static RULES: OnceLock<Vec<&'static Rule>> = OnceLock::new();
    RULES.get_or_init(|| {
        let mut rules: Vec<_> = inventory::iter::<RuleEntry>.into_iter().map(|entry| entry.0).collect();
        rules.sort_by_key(|rule| (rule.code, rule.name));
        assert!(!rules.is_empty(), "no rules are linked into this program");
        for pair in rules.windows(2) {
            assert_ne!(pair[0].code, pair[1].code, "two rules share a code");
        }
        rules
    })
}

/// The rule called `text` (code or name), if there is one.
pub fn find(text: &str) -> Option<&'static Rule> {
    rules().iter().copied().find(|rule| rule.is_called(text))
}

/// The position of `rule` in [`rules`].
pub(crate) fn index_of(rule: &'static Rule) -> usize {
    rules().binary_search_by_key(&rule.code, |known| known.code).unwrap_or(usize::MAX)
}

/// One word of `select` or `ignore`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    rules: Vec<usize>,
    specificity: u8,
}

/// Why a word selects nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown rule or family `{word}`")]
pub struct UnknownSelector {
    /// The word as written.
    pub word: String,
    /// A known word that looks like it.
    pub suggestion: Option<String>,
}

impl Selector {
    /// Resolves a code, a code prefix (`AET1`), a rule's name, a family's name, or `ALL`.
    pub fn parse(word: &str) -> Result<Self, UnknownSelector> {
        let name = normalize_name(word);
        let matching = |test: &dyn Fn(&Rule) -> bool| -> Vec<usize> {
            let all = rules().iter().enumerate();
            all.filter(|(_, rule)| test(rule)).map(|(index, _)| index).collect()
        };
        if name == "all" {
            return Ok(Self { rules: matching(&|_| true), specificity: 0 });
        }
        let exact = matching(&|rule| rule.is_called(word));
        if !exact.is_empty() {
            return Ok(Self { rules: exact, specificity: u8::MAX });
        }
        if let Some(family) = Family::ALL.into_iter().find(|family| family.name() == name) {
            return Ok(Self { rules: matching(&|rule| rule.family == family), specificity: 4 });
        }
        let upper = word.trim().to_ascii_uppercase();
        let prefixed = matching(&|rule| rule.code.starts_with(&upper));
        if upper.len() >= 3 && !prefixed.is_empty() {
            return Ok(Self { rules: prefixed, specificity: upper.len().min(254) as u8 });
        }
        Err(UnknownSelector { word: word.to_owned(), suggestion: suggest(&name) })
    }

    /// The selected rules, as indices into [`rules`].
    pub fn rules(&self) -> &[usize] {
        &self.rules
    }

    /// How narrow the word is: an exact rule beats a longer prefix beats a shorter one beats `ALL`.
    pub fn specificity(&self) -> u8 {
        self.specificity
    }
}

/// The known code, rule name or family name nearest to `name`, if one is near.
pub fn suggest(name: &str) -> Option<String> {
    let words = rules().iter().flat_map(|rule| [rule.code, rule.name]);
    let words = words.chain(Family::ALL.into_iter().map(Family::name));
    let score = |word: &str| strsim::jaro_winkler(&normalize_name(name), &word.to_ascii_lowercase());
    words
        .map(|word| (score(word), word))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, word)| word.to_owned())
}
