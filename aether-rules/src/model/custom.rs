//! What the user says of libraries and of helpers of their own: `[[model]]` in the configuration.
//!
//! A model gives a dotted name the meaning of another name, or says where a callback, a decorated function, or the
//! methods of a class run. Names outside the program are looked up as written; functions and methods of the program
//! are found by module and name.
//!
//! *Invariant:* these rows win over the built-in tables; without any, nothing here costs a look-up.

use rustc_hash::FxHashMap;

use super::spawns::{RunsOn, Spawn};
use crate::facts::{Qual, Sym};

/// The user's own rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    rows: Vec<Model>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The dotted name.
    pub name: String,
    /// What it means.
    pub meaning: Meaning,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The same as this name of a library.
    Like(String),
    /// A call that hands on a callback: its position, or the name of its parameter.
    Callback(Parameter, RunsOn),
    /// A decorator whose functions run there.
    Decorator(RunsOn),
    /// A base class whose methods of these names run there, on an object of each call's own.
    Methods(Vec<String>, RunsOn),
}

/// Which parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// By position, from 0; `self` does not count.
    At(usize),
    /// By name.
    Named(String),
}

impl Models {
    /// The rows, in the order in which they win.
    pub fn new(rows: Vec<Model>) -> Self {
        Self { rows }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows.
    pub fn rows(&self) -> &[Model] {
        &self.rows
    }
}

/// The rows of a whole program, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelIndex {
    aliases: FxHashMap<Qual, Qual>,
    spawns: FxHashMap<Qual, Spawn>,
    decorators: FxHashMap<Qual, RunsOn>,
    bases: FxHashMap<Qual, (Vec<Sym>, RunsOn)>,
}

impl ModelIndex {
    /// Adds rows; a name that is known already keeps its meaning.
    pub(crate) fn add(&mut self, models: &Models) {
        for model in &models.rows {
            let name = Qual::of(&model.name);
            match &model.meaning {
                Meaning::Like(other) => {
                    self.aliases.entry(name).or_insert_with(|| Qual::of(other));
                }
                Meaning::Callback(parameter, runs_on) => {
                    let (position, keyword) = match parameter {
                        Parameter::At(position) => (*position, Sym::new("")),
                        Parameter::Named(name) => (usize::MAX, Sym::new(name)),
                    };
                    self.spawns.entry(name).or_insert(Spawn { position, keyword, runs_on: *runs_on });
                }
                Meaning::Decorator(runs_on) => {
                    self.decorators.entry(name).or_insert(*runs_on);
                }
                Meaning::Methods(methods, runs_on) => {
                    let methods = methods.iter().map(|method| Sym::new(method)).collect();
                    self.bases.entry(name).or_insert((methods, *runs_on));
                }
            }
        }
    }

    /// The name that `name` is to be read as.
    pub(crate) fn canonical(&self, name: Qual) -> Qual {
        if self.aliases.is_empty() { name } else { self.aliases.get(&name).copied().unwrap_or(name) }
    }

    /// What calling `name` does with a callback.
    pub(crate) fn spawn_of(&self, name: Qual) -> Option<Spawn> {
        self.spawns.get(&name).copied().or_else(|| super::spawns::spawn_of(name))
    }

    /// Where a function under the decorator `name` runs.
    pub(crate) fn decorator(&self, name: Qual) -> Option<RunsOn> {
        self.decorators.get(&name).copied().or_else(|| super::spawns::handler_decorator(name))
    }

    /// Where a method of a class with the base `name` runs.
    pub(crate) fn method(&self, base: Qual, method: Sym) -> Option<RunsOn> {
        match self.bases.get(&base) {
            Some((methods, runs_on)) => methods.contains(&method).then_some(*runs_on),
            None => super::spawns::handler_method(base, method),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_wins_over_later_ones_and_over_the_tables() {
        let row = |name: &str, meaning| Model { name: name.to_owned(), meaning };
        let mut index = ModelIndex::default();
        let to = |runs_on| Meaning::Callback(Parameter::At(2), runs_on);
        index.add(&Models::new(vec![row("a.go", to(RunsOn::Timer)), row("threading.Thread", to(RunsOn::Loop))]));
        index.add(&Models::new(vec![row("a.go", to(RunsOn::Pool))]));
        assert_eq!(index.spawn_of(Qual::of("a.go")).map(|spawn| spawn.runs_on), Some(RunsOn::Timer));
        assert_eq!(index.spawn_of(Qual::of("threading.Thread")).map(|spawn| spawn.position), Some(2));
        assert_eq!(index.spawn_of(Qual::of("threading.Timer")).map(|spawn| spawn.runs_on), Some(RunsOn::Timer));
        assert_eq!(index.canonical(Qual::of("a.go")), Qual::of("a.go"));
    }
}
