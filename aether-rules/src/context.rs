//! What a rule is handed: the program, the module under check, the user's decisions about this rule.

use crate::rule::Rule;
use crate::settings::Settings;

/// Everything a rule may look at.
#[derive(Debug)]
pub struct RuleContext<'a> {
    pub(crate) rule: &'static Rule,
    pub(crate) settings: &'a Settings,
}

impl<'a> RuleContext<'a> {
    /// The settings of the module under check.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// The options of the rule, as its declaration types them.
    ///
    /// # Panics
    /// When `T` is not the type the rule declared with [`OptionsSpec::of`](crate::rule::OptionsSpec::of).
    pub fn options<T: 'static>(&self) -> &'a T {
        match self.settings.options(self.rule) {
            Some(options) => options,
            None => panic!("rule {} did not declare options of this type", self.rule.code),
        }
    }
}
