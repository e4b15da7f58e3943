//! How deep a text would nest, judged from its tokens, before any recursive code sees it.
//!
//! Two looks: one at the bytes ([`scan`]), cheap enough for every file, that can only overestimate; and one at the
//! tokens, exact, for the few files the first one has doubts about.
//!
//! *Invariant:* a text that passes has no more than [`MAX_BRACKETS`] open brackets, [`MAX_INDENTS`] open blocks and
//! [`MAX_CHAIN`] chained operators at any point.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};
use ruff_text_size::{TextRange, TextSize};

use crate::source::SourceKind;

mod scan;

use scan::Depth;

/// CPython's tokenizer refuses more (`MAXLEVEL` in `Parser/tokenizer`).
pub(crate) const MAX_BRACKETS: usize = 200;

/// CPython's tokenizer refuses more (`MAXINDENT`).
pub(crate) const MAX_INDENTS: usize = 100;

/// Operators, attribute accesses, calls and conditionals that nest in one expression. CPython's compiler gives up
/// at a few thousand; generated string concatenations in the wild stay below one thousand.
pub(crate) const MAX_CHAIN: usize = 3_000;

/// Where a text gets too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooDeep {
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
    pub(crate) range: TextRange,
}

/// Whether, and where, a text nests past a limit.
pub(crate) fn check(text: &str, kind: &SourceKind) -> Option<TooDeep> {
    let (mode, doubt) = match kind {
        // The lines of a shell are no Python.
        SourceKind::Notebook(_) => (Mode::Ipython, 0),
        SourceKind::Module | SourceKind::Stub => (Mode::Module, scan::scan(text).err()?.offset),
    };
    let (what, limit) = measure(text, mode).err()?;
    let near = TextSize::try_from(end_of_limit(text, mode, doubt)).unwrap_or_default();
    Some(TooDeep { what, limit, range: TextRange::empty(near) })
}

/// Where a text that nests too deep begins to do so, which is not before `doubt`. The lexer tells kinds only, so that the
/// place is found by cutting the text off.
fn end_of_limit(text: &str, mode: Mode, doubt: usize) -> usize {
    let (mut fits, mut deep, mut step) = (doubt, text.len(), 64);
    let nests = |end: usize| measure(&text[..text.floor_char_boundary(end)], mode).is_err();
    // The limit is seldom far from the doubt.
    while fits + step < deep && !nests(fits + step) {
        fits += step;
        step *= 2;
    }
    deep = deep.min(fits + step);
    while fits + 1 < deep {
        let middle = fits.midpoint(deep);
        if nests(middle) {
            deep = middle;
        } else {
            fits = middle;
        }
    }
    text.floor_char_boundary(fits)
}

/// The exact depth of each construct, token by token; or what nests too deep, and the limit of that.
fn measure(text: &str, mode: Mode) -> Result<Depth, (&'static str, usize)> {
    let mut lexer = lexer::lex(text, mode);
    // One counter of chained operators per open bracket; the expression nests as deep as their sum.
    let mut chains = vec![0_usize];
    let (mut chained, mut indents) = (0_usize, 0_usize);
    let mut most = Depth::default();
    loop {
        match lexer.next_token() {
            TokenKind::EndOfFile => return Ok(most),
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => {
                // A call or subscript is a link of the chain it continues.
                count(&mut chains, &mut chained);
                chains.push(0);
            }
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace if chains.len() > 1 => {
                chained -= chains.pop().unwrap_or_default();
            }
            TokenKind::Comma | TokenKind::Newline | TokenKind::Semi => {
                if let Some(top) = chains.last_mut() {
                    chained -= std::mem::take(top);
                }
            }
            TokenKind::Indent => indents += 1,
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            kind if links(kind) => count(&mut chains, &mut chained),
            _ => {}
        }
        most.brackets = most.brackets.max(chains.len() - 1);
        most.chained = most.chained.max(chained);
        most.indents = most.indents.max(indents);
        if chains.len() > MAX_BRACKETS {
            return Err(("brackets nest", MAX_BRACKETS));
        }
        if indents > MAX_INDENTS {
            return Err(("blocks nest", MAX_INDENTS));
        }
        if chained > MAX_CHAIN {
            return Err(("operators chain", MAX_CHAIN));
        }
    }
}

fn count(chains: &mut [usize], chained: &mut usize) {
    if let Some(top) = chains.last_mut() {
        *top += 1;
        *chained += 1;
    }
}

/// Tokens that make the tree one node deeper.
fn links(kind: TokenKind) -> bool {
    kind.is_operator()
        || matches!(
            kind,
            TokenKind::Not
                | TokenKind::Lambda
                | TokenKind::If
                | TokenKind::Else
                | TokenKind::Await
                | TokenKind::Yield
                | TokenKind::And
                | TokenKind::Or
                | TokenKind::In
                | TokenKind::Is
                | TokenKind::For
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn depth_of(text: &str) -> Option<&'static str> {
        check(text, &SourceKind::Module).map(|deep| deep.what)
    }

    #[test]
    fn deep_nesting_is_refused_and_deep_looking_text_is_not() {
        assert_eq!(depth_of(&"(".repeat(5_000)), Some("brackets nest"));
        assert_eq!(depth_of(&format!("x = {}1{}", "[".repeat(201), "]".repeat(201))), Some("brackets nest"));
        assert_eq!(depth_of(&format!("x = {}1{}", "[".repeat(199), "]".repeat(199))), None);
        assert_eq!(depth_of(&format!("x = '{}'", "(".repeat(5_000))), None);
        assert_eq!(depth_of(&format!("x = 1{}", " + 1".repeat(50_000))), Some("operators chain"));
        assert_eq!(depth_of(&format!("x = a{}", ".b".repeat(50_000))), Some("operators chain"));
        assert_eq!(depth_of(&format!("x = {}a", "not ".repeat(50_000))), Some("operators chain"));
        assert_eq!(depth_of(&format!("f{}", "()".repeat(50_000))), Some("operators chain"));
        assert_eq!(depth_of(&format!("x = [{}]", "-1, ".repeat(50_000))), None);
        assert_eq!(depth_of(&format!("x = [{}]", "(1, -2, a.b),\n".repeat(50_000))), None);
    }

    #[test]
    fn the_place_is_where_the_limit_is_passed() {
        let place = |text: &str| check(text, &SourceKind::Module).map(|deep| usize::from(deep.range.start()));
        assert_eq!(place(&format!("é = {}", "(".repeat(5_000))), Some(5 + MAX_BRACKETS - 1));
        // The equals sign is an operator too.
        assert_eq!(place(&format!("x = a{}", ".b".repeat(50_000))), Some(5 + 2 * (MAX_CHAIN - 1)));
    }

    #[test]
    fn strings_continuations_and_numbers_hide_nothing() {
        assert_eq!(depth_of(&format!("x = {}", "(\")\"\n".repeat(5_000))), Some("brackets nest"));
        assert_eq!(depth_of(&format!("x = 1{}", " + \\\n 1".repeat(50_000))), Some("operators chain"));
        assert_eq!(depth_of(&format!("x = 1{}", "or 1".repeat(50_000))), Some("operators chain"));
        assert_eq!(depth_of(&format!("x = f'{{{}1}}'", "(".repeat(300))), Some("brackets nest"));
        assert_eq!(depth_of(&format!("x = f'{{d[\"{}1\"]}}'", "(".repeat(300))), None);
    }

    /// Pieces that begin, end, contain and break what strings, comments and brackets are made of, one a space apart.
    const PIECES: &str = r#"( ) [ ] { } {{ }} ' " ''' """ f' rf" t' F""" b' r' xf' \ \' \N{DASH} # # it's( , ; : := !r ! . +
        = a 1if 1or 0x1f2else lambda: é × $ ? % f'{a}' f"{a['b']}" f'{a:{b}}' f'{a:#x}' f'{a:">3}' f'{(a,b)!r:>{w}}' '(' ")""#;

    /// The same for what has white space in it.
    const BLANKS: &[&str] =
        &[" ", "\n", "\r", "\r\n", "\\\n", "\\\r\n", "\n  if x:\n", " not ", " or ", "f'''{a\n}'''"];

    fn pieces() -> Vec<&'static str> {
        PIECES.split_whitespace().chain(BLANKS.iter().copied()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn the_bytes_never_say_less_than_the_tokens(
            picks in prop::collection::vec(prop::sample::select(pieces()), 0..24),
        ) {
            let text: String = picks.concat();
            if let (Ok(bytes), Ok(tokens)) = (scan::scan(&text), measure(&text, Mode::Module)) {
                prop_assert!(bytes.brackets >= tokens.brackets, "{text:?}: {bytes:?} {tokens:?}");
                prop_assert!(bytes.chained >= tokens.chained, "{text:?}: {bytes:?} {tokens:?}");
            }
        }
    }

    #[test]
    fn white_space_before_nothing_is_no_block() {
        let blank = " ".repeat(300);
        assert!(scan::scan(&format!("x = 1\n{blank}\n{blank}# why\ny = 2\n")).is_ok());
        assert!(scan::scan(&format!("if x:\n{blank}y = 2\n")).is_err());
    }

    #[test]
    fn deep_blocks_are_refused() {
        let mut text = String::new();
        for depth in 0..200 {
            text.push_str(&" ".repeat(depth));
            text.push_str("if x:\n");
        }
        assert_eq!(depth_of(&text), Some("blocks nest"));
    }
}
