//! How deep a text would nest, judged from its tokens, before any recursive code sees it.
//!
//! Two scans: one over the bytes, cheap enough for every file, that can only overestimate; and one over the tokens,
//! exact about strings and comments, for the few files the first one suspects.
//!
//! *Invariant:* a text that passes has no more than [`MAX_BRACKETS`] open brackets, [`MAX_INDENTS`] open blocks and
//! [`MAX_CHAIN`] chained operators at any point.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};
use ruff_text_size::{TextRange, TextSize};

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

/// Whether, and where, `text` nests past a limit.
pub(crate) fn check(text: &str) -> Option<TooDeep> {
    let offset = suspicious(text.as_bytes())?;
    measure(text, TextRange::empty(TextSize::try_from(offset).unwrap_or_default()))
}

/// Where a limit might be passed first. Brackets in strings count too: an overestimate costs one more scan, no more.
fn suspicious(text: &[u8]) -> Option<usize> {
    const PLAIN: u8 = 0;
    const OPEN: u8 = 1;
    const CLOSE: u8 = 2;
    const NEWLINE: u8 = 3;
    const OTHER: u8 = 4;
    static CLASS: [u8; 256] = {
        let mut class = [OTHER; 256];
        let mut byte = 0;
        while byte < 256 {
            if (byte as u8).is_ascii_alphanumeric() || byte == b'_' as usize || byte >= 128 {
                class[byte] = PLAIN;
            }
            byte += 1;
        }
        class[b'(' as usize] = OPEN;
        class[b'[' as usize] = OPEN;
        class[b'{' as usize] = OPEN;
        class[b')' as usize] = CLOSE;
        class[b']' as usize] = CLOSE;
        class[b'}' as usize] = CLOSE;
        class[b'\n' as usize] = NEWLINE;
        class[b'\r' as usize] = NEWLINE;
        class
    };
    let (mut brackets, mut separators, mut indent_run) = (0_usize, 0_usize, 0_usize);
    let mut at_line_start = true;
    for (offset, &byte) in text.iter().enumerate() {
        match CLASS[byte as usize] {
            PLAIN => at_line_start = false,
            OPEN => {
                brackets += 1;
                separators += 1;
                at_line_start = false;
                if brackets > MAX_BRACKETS || separators > MAX_CHAIN {
                    return Some(offset);
                }
            }
            CLOSE => {
                brackets = brackets.saturating_sub(1);
                separators += 1;
            }
            NEWLINE => {
                at_line_start = true;
                indent_run = 0;
                if brackets == 0 {
                    separators = 0;
                }
            }
            _ => {
                separators += 1;
                // One column of indentation per block is the least Python accepts.
                indent_run += usize::from(at_line_start);
                if indent_run > MAX_INDENTS || separators > MAX_CHAIN {
                    return Some(offset);
                }
            }
        }
    }
    None
}

/// The exact depth of each construct, token by token. The lexer tells kinds only: `near` is where the bytes looked deep.
fn measure(text: &str, near: TextRange) -> Option<TooDeep> {
    let mut lexer = lexer::lex(text, Mode::Ipython);
    // One counter of chained operators per open bracket; the expression nests as deep as their sum.
    let mut chains = vec![0_usize];
    let (mut chained, mut indents) = (0_usize, 0_usize);
    loop {
        let kind = lexer.next_token();
        let deep = |what, limit| Some(TooDeep { what, limit, range: near });
        match kind {
            TokenKind::EndOfFile => return None,
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => {
                // A call or subscript is a link of the chain it continues.
                count(&mut chains, &mut chained);
                chains.push(0);
                if chains.len() > MAX_BRACKETS {
                    return deep("brackets nest", MAX_BRACKETS);
                }
            }
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace if chains.len() > 1 => {
                chained -= chains.pop().unwrap_or_default();
            }
            TokenKind::Comma | TokenKind::Newline | TokenKind::Semi => {
                if let Some(top) = chains.last_mut() {
                    chained -= std::mem::take(top);
                }
            }
            TokenKind::Indent => {
                indents += 1;
                if indents > MAX_INDENTS {
                    return deep("blocks nest", MAX_INDENTS);
                }
            }
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            kind if links(kind) => count(&mut chains, &mut chained),
            _ => {}
        }
        if chained > MAX_CHAIN {
            return deep("operators chain", MAX_CHAIN);
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
    use super::*;

    fn depth_of(text: &str) -> Option<&'static str> {
        check(text).map(|deep| deep.what)
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
    fn deep_blocks_are_refused() {
        let mut text = String::new();
        for depth in 0..200 {
            text.push_str(&" ".repeat(depth));
            text.push_str("if x:\n");
        }
        assert_eq!(depth_of(&text), Some("blocks nest"));
    }
}
