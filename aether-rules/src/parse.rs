//! Text to tree: never fails, never overflows the stack.
//!
//! The parser and everything that walks its tree recurse, and so does the tree's own destructor. A file nested past
//! what CPython itself accepts is therefore refused *before* it is parsed ([`depth`]) and reported as `AETX05`.
//!
//! *Invariant:* every tree that leaves this room can be walked and dropped on a stack of [`STACK_SIZE`] bytes.

use ruff_python_ast::{ModModule, PySourceType, PythonVersion as AstVersion};
use ruff_python_parser::{ParseOptions, Parsed, parse_cells_unchecked, parse_unchecked};
use ruff_text_size::{Ranged, TextRange};

use crate::source::{SourceKind, SourceText};

pub(crate) mod depth;

/// The stack of the threads that parse, in bytes: room for [`depth::MAX_CHAIN`] frames of an unoptimised build.
pub(crate) const STACK_SIZE: usize = 64 << 20;

/// What one text became.
#[derive(Debug)]
pub(crate) enum ParsedModule {
    /// A tree, complete unless there is an error.
    Tree { parsed: Box<Parsed<ModModule>>, error: Option<SyntaxError> },
    /// Nested deeper than the parser can follow.
    TooComplex(depth::TooDeep),
}

/// The first syntax error of a file, and how many more there are (recovery makes the later ones less sure).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) range: TextRange,
    pub(crate) more: usize,
}

/// Parses a text, whatever it holds.
pub(crate) fn parse(source: &SourceText) -> ParsedModule {
    if let Some(too_deep) = depth::check(&source.text, &source.kind) {
        return ParsedModule::TooComplex(too_deep);
    }
    let source_type = match source.kind {
        SourceKind::Module => PySourceType::Python,
        SourceKind::Stub => PySourceType::Stub,
        SourceKind::Notebook(_) => PySourceType::Ipynb,
    };
    let options = ParseOptions::from(source_type).with_target_version(AstVersion::latest());
    let parsed = match &source.kind {
        SourceKind::Notebook(cells) if !cells.is_empty() => {
            parse_cells_unchecked(&source.text, cells.iter().map(|cell| cell.range), &options)
        }
        _ => match parse_unchecked(&source.text, options).try_into_module() {
            Some(module) => module,
            None => unreachable!("module options parse into a module"),
        },
    };
    let error = parsed.errors().first().map(|first| SyntaxError {
        message: first.error.to_string(),
        range: first.range(),
        more: parsed.errors().len() - 1,
    });
    ParsedModule::Tree { parsed: Box::new(parsed), error }
}
