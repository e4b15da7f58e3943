//! What statements a text has, told from how its lines are indented: no tokens, no tree.
//!
//! *Invariant:* the blocks of a part of a text are, one after the other, that part.

use std::ops::Range;

use memchr::{memchr, memmem};

/// A text, and where its lines mean nothing.
pub(super) struct Outline<'a> {
    text: &'a str,
    /// Strings of several lines, in order, as far as their quotes tell.
    strings: Vec<Range<usize>>,
}

/// A statement with its decorators and everything indented below it.
pub(super) struct Block<'a> {
    pub(super) range: Range<usize>,
    pub(super) shape: Shape<'a>,
}

/// What a statement is, as far as the line says that it begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    Function(&'a str),
    Class(&'a str),
    Decorator,
    Other,
}

impl<'a> Shape<'a> {
    fn of(line: &'a str) -> Self {
        let named = |rest: &'a str| words(rest).next().unwrap_or_default();
        let line = line.strip_prefix("async ").unwrap_or(line);
        match (line.strip_prefix("def "), line.strip_prefix("class ")) {
            (Some(rest), _) => Self::Function(named(rest)),
            (_, Some(rest)) => Self::Class(named(rest)),
            _ if line.starts_with('@') => Self::Decorator,
            _ => Self::Other,
        }
    }

    /// Whether it is a test: nobody calls it by its name.
    pub(super) fn is_test(self) -> bool {
        matches!(self, Self::Function(name) if name.starts_with("test"))
    }

    /// Whether it comes with its class: statements, and what makes objects ready for the other methods.
    pub(super) fn comes_with_class(self) -> bool {
        match self {
            Self::Function(name) => name.starts_with("__") || name.to_ascii_lowercase().contains("setup"),
            _ => true,
        }
    }
}

impl<'a> Outline<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let find = |quotes: &'static str| memmem::find_iter(text.as_bytes(), quotes).map(move |at| (at, quotes));
        let mut quotes: Vec<(usize, &str)> = find("\"\"\"").chain(find("'''")).collect();
        quotes.sort_unstable();
        let mut quotes = quotes.into_iter();
        let mut strings = Vec::new();
        while let Some((start, opening)) = quotes.next() {
            let end = quotes.find(|&(_, closing)| closing == opening);
            strings.push(start..end.map_or(text.len(), |(end, _)| end));
        }
        Self { text, strings }
    }

    /// The statements of this indentation in a part of the text.
    pub(super) fn blocks(&self, within: Range<usize>, indent: usize) -> Vec<Block<'a>> {
        let mut blocks: Vec<Block<'a>> = Vec::new();
        let mut start = within.start;
        while start < within.end {
            let rest = &self.text[start..within.end];
            let line = &rest[..memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1)];
            let end = start + line.len();
            match blocks.last_mut() {
                Some(last) if !begins_statement(line, indent) || self.is_in_string(start) => last.range.end = end,
                Some(last) if last.shape == Shape::Decorator => {
                    *last = Block { range: last.range.start..end, shape: Shape::of(&line[indent..]) };
                }
                _ => blocks.push(Block { range: start..end, shape: Shape::of(line.get(indent..).unwrap_or_default()) }),
            }
            start = end;
        }
        blocks
    }

    /// Where the first line below the head of a class begins, and how far it is indented; its end, if there is none.
    pub(super) fn body(&self, class: &Range<usize>) -> (usize, usize) {
        let mut at = class.start;
        for line in self.text[class.clone()].split_inclusive('\n') {
            let first = line.trim_start_matches([' ', '\t']);
            if first.len() < line.len() && !first.starts_with(['#', '\r', '\n', '\x0c']) {
                return (at, line.len() - first.len());
            }
            at += line.len();
        }
        (at, 0)
    }

    fn is_in_string(&self, at: usize) -> bool {
        let next = self.strings.partition_point(|string| string.end < at);
        self.strings.get(next).is_some_and(|string| string.start < at)
    }
}

/// Whether a line begins a statement of this indentation.
fn begins_statement(line: &str, indent: usize) -> bool {
    let (white, rest) = line.as_bytes().split_at(indent.min(line.len()));
    let goes_on = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'#' | b')' | b']' | b'}');
    white.iter().all(u8::is_ascii_whitespace) && rest.first().is_some_and(|&first| !goes_on(first))
}

/// The names in a text, and whatever else looks like one.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}
