//! What a rule is handed: the program, the module under check, the user's decisions about this rule.
//!
//! *Invariant:* everything a rule can reach from here is immutable.

use crate::facts::{EventIx, FuncIx, ModuleFacts};
use crate::link::{FuncId, ModuleId, Program};
use crate::rule::Rule;
use crate::settings::Settings;
use crate::source::Span;
use ruff_text_size::TextRange;

/// Everything a rule may look at.
#[derive(Debug)]
pub struct RuleContext<'a> {
    /// The whole program.
    pub program: &'a Program,
    /// The module under check: a rule reports what has its primary span here.
    pub module: ModuleId,
    pub(crate) rule: &'static Rule,
}

impl<'a> RuleContext<'a> {
    pub(crate) fn new(program: &'a Program, module: ModuleId, rule: &'static Rule) -> Self {
        Self { program, module, rule }
    }

    /// What the module under check says.
    pub fn facts(&self) -> &'a ModuleFacts {
        &self.program.module(self.module).facts
    }

    /// The settings of the module under check.
    pub fn settings(&self) -> &'a Settings {
        &self.program.module(self.module).settings
    }

    /// A stretch of the module under check.
    pub fn span(&self, range: TextRange) -> Span {
        self.program.span(self.module, range)
    }

    /// The functions of the module under check, its body first.
    pub fn functions(&self) -> impl Iterator<Item = (FuncIx, FuncId)> + use<'a> {
        let (program, module) = (self.program, self.module);
        (0..self.facts().functions.len()).map(move |index| {
            let function = FuncIx::at(index);
            (function, program.func_id(module, function))
        })
    }

    /// The steps of one function with their numbers.
    pub fn events(&self, function: FuncIx) -> impl Iterator<Item = (EventIx, crate::facts::Event)> + use<'a> {
        let facts = self.facts();
        let first = facts.functions[function.index()].events.start;
        let events = facts.events_of(function).iter().enumerate();
        events.map(move |(position, event)| (EventIx(first + position as u32), *event))
    }

    /// The options of the rule, as its declaration types them.
    ///
    /// # Panics
    /// When `T` is not the type the rule declared with [`OptionsSpec::of`](crate::rule::OptionsSpec::of).
    pub fn options<T: 'static>(&self) -> &'a T {
        match self.settings().options(self.rule) {
            Some(options) => options,
            None => panic!("rule {} did not declare options of this type", self.rule.code),
        }
    }
}
