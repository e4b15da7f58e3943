//! How deep a text may nest, judged from its bytes alone: cheap enough for every file.
//!
//! The scan follows brackets, strings and comments as the lexer does, and counts every word and every byte that could be
//! an operator. Where it is not sure to see what the lexer sees (an unclosed string, a string inside the braces of another
//! one), it gives up.
//!
//! *Invariant:* what it says is never less than what the tokens are; giving up is always right, and only slower.

use memchr::{memchr, memchr2, memchr3};

use super::{MAX_BRACKETS, MAX_CHAIN, MAX_INDENTS};

/// The most of each kind that a text has at one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) brackets: usize,
    pub(super) chained: usize,
    pub(super) indents: usize,
}

/// A place where a limit may be passed, or where the bytes do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) offset: usize,
}

/// No less than what the tokens of `text` nest.
pub(super) fn scan(text: &str) -> Result<Depth, Doubt> {
    let mut scan =
        Scan { text: text.as_bytes(), at: 0, links: [0; MAX_BRACKETS], level: 0, chained: 0, most: Depth::default() };
    scan.indent()?;
    while scan.at < scan.text.len() {
        scan.step()?;
    }
    Ok(scan.most)
}

/// What a byte may be in code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    Word,
    Open,
    Close,
    Separator,
    Newline,
    Quote,
    Hash,
    Backslash,
    Operator,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Operator; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => Class::Word,
            b' ' | b'\t' | b'\x0c' => Class::Blank,
            b'(' | b'[' | b'{' => Class::Open,
            b')' | b']' | b'}' => Class::Close,
            b',' | b';' => Class::Separator,
            b'\n' | b'\r' => Class::Newline,
            b'\'' | b'"' => Class::Quote,
            b'#' => Class::Hash,
            b'\\' => Class::Backslash,
            // Letters beyond ASCII too: not every one of them is a letter to the lexer.
            _ => Class::Operator,
        };
        byte += 1;
    }
    classes
};

/// A scan on its way.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// By open bracket: what is chained since the last comma in it.
    links: [u32; MAX_BRACKETS],
    /// How many brackets are open.
    level: usize,
    /// The sum of all links.
    chained: usize,
    most: Depth,
}

impl Scan<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or_default()
    }

    fn doubt<T>(&self) -> Result<T, Doubt> {
        Err(Doubt { offset: self.at })
    }

    /// Takes one token, or what is between two.
    #[inline]
    fn step(&mut self) -> Result<(), Doubt> {
        match CLASSES[usize::from(self.text[self.at])] {
            Class::Blank => self.at += 1,
            Class::Word => return self.word(),
            Class::Open => return self.open(),
            Class::Close => return self.close(),
            Class::Separator => {
                self.separate();
                self.at += 1;
            }
            Class::Newline => {
                self.at += 1;
                if self.level == 0 {
                    self.separate();
                    return self.indent();
                }
                self.at += run(&self.text[self.at..], Class::Blank);
            }
            Class::Quote => return self.string(),
            Class::Hash => {
                let rest = &self.text[self.at..];
                self.at += memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            }
            Class::Backslash => return self.continuation(),
            Class::Operator => {
                self.link()?;
                self.at += 1;
            }
        }
        Ok(())
    }

    /// A line that goes on in the next one, whose white space counts if nothing stood before.
    fn continuation(&mut self) -> Result<(), Doubt> {
        match (self.byte(self.at + 1), self.byte(self.at + 2)) {
            (b'\r', b'\n') => self.at += 3,
            (b'\r' | b'\n', _) => self.at += 2,
            _ => return self.doubt(),
        }
        if self.level == 0 { self.indent() } else { Ok(()) }
    }

    fn link(&mut self) -> Result<(), Doubt> {
        self.links[self.level] += 1;
        self.chained += 1;
        self.most.chained = self.most.chained.max(self.chained);
        if self.chained > MAX_CHAIN { self.doubt() } else { Ok(()) }
    }

    /// Ends what is chained in the innermost bracket.
    fn separate(&mut self) {
        self.chained -= std::mem::take(&mut self.links[self.level]) as usize;
    }

    fn open(&mut self) -> Result<(), Doubt> {
        self.link()?;
        self.level += 1;
        self.most.brackets = self.most.brackets.max(self.level);
        if self.level >= MAX_BRACKETS {
            return self.doubt();
        }
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Doubt> {
        if self.level == 0 {
            // One too many: a token like any other.
            self.link()?;
        } else {
            self.separate();
            self.level -= 1;
        }
        self.at += 1;
        Ok(())
    }

    /// The white space a line begins with. One column per block is the least Python accepts.
    fn indent(&mut self) -> Result<(), Doubt> {
        let width = run(&self.text[self.at..], Class::Blank);
        self.at += width;
        // A line without a statement begins no block.
        if matches!(self.byte(self.at), b'\n' | b'\r' | b'#') {
            return Ok(());
        }
        self.most.indents = self.most.indents.max(width);
        if width > MAX_INDENTS { self.doubt() } else { Ok(()) }
    }

    /// A name, keyword or number, or a number and the keyword it runs into: `1if x else 2`.
    fn word(&mut self) -> Result<(), Doubt> {
        self.at += run(&self.text[self.at..], Class::Word);
        self.link()
    }

    /// A string from its first quote to its last.
    fn string(&mut self) -> Result<(), Doubt> {
        let start = self.at;
        let quote = self.text[start];
        let is_triple = self.byte(start + 1) == quote && self.byte(start + 2) == quote;
        let width = if is_triple { 3 } else { 1 };
        let Some(end) = self.end_of_string(start + width, quote, is_triple) else { return self.doubt() };
        if self.is_interpolated(start) && memchr(b'{', &self.text[start + width..end]).is_some() {
            self.at = start + width;
            self.interpolations(end)?;
        }
        self.at = end + width;
        Ok(())
    }

    /// Where the closing quotes of a string stand whose contents begin at `from`.
    fn end_of_string(&self, mut from: usize, quote: u8, is_triple: bool) -> Option<usize> {
        loop {
            let rest = self.text.get(from..)?;
            let found = if is_triple { memchr(quote, rest)? } else { memchr3(quote, b'\n', b'\r', rest)? };
            let backslashes = rest[..found].iter().rev().take_while(|&&byte| byte == b'\\').count();
            let at = from + found;
            if backslashes % 2 == 1 {
                let is_pair = self.text[at] == b'\r' && self.byte(at + 1) == b'\n';
                from = at + if is_pair { 2 } else { 1 };
            } else if is_triple && (self.byte(at + 1) != quote || self.byte(at + 2) != quote) {
                from = at + 1;
            } else {
                return (self.text[at] == quote).then_some(at);
            }
        }
    }

    /// Whether the string at `quote` may have code in braces, judged by the letters before it.
    fn is_interpolated(&self, quote: usize) -> bool {
        let letter = |back: usize| quote.checked_sub(back).map(|at| self.text[at].to_ascii_lowercase());
        let is_mark = |letter: Option<u8>| matches!(letter, Some(b'f' | b't'));
        is_mark(letter(1)) || (letter(1) == Some(b'r') && is_mark(letter(2)))
    }

    /// The code in the braces of a string whose contents end at `end`, if every quote is sure to be what it looks like.
    fn interpolations(&mut self, end: usize) -> Result<(), Doubt> {
        while self.at < end {
            match self.text[self.at] {
                b'{' if self.byte(self.at + 1) == b'{' => self.at += 2,
                b'{' => self.interpolation(end)?,
                b'\\' => match self.byte(self.at + 1) {
                    b'N' => return self.doubt(),
                    b'{' | b'}' => self.at += 1,
                    _ => self.at += 2,
                },
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// One pair of braces, and what is in it.
    fn interpolation(&mut self, end: usize) -> Result<(), Doubt> {
        let outer = self.level;
        let mut in_format = false;
        self.open()?;
        while self.level > outer {
            if self.at >= end {
                return self.doubt();
            }
            let class = CLASSES[usize::from(self.text[self.at])];
            if in_format && self.level == outer + 1 {
                self.format(class)?;
                continue;
            }
            match class {
                Class::Quote if self.is_interpolated(self.at) => return self.doubt(),
                Class::Quote => self.plain_string(end)?,
                Class::Hash | Class::Backslash => return self.doubt(),
                Class::Newline => self.at += 1,
                Class::Operator => {
                    in_format |= self.text[self.at] == b':' && self.level == outer + 1;
                    self.step()?;
                }
                _ => self.step()?,
            }
        }
        Ok(())
    }

    /// One character of a format: as good as any other, but for braces.
    fn format(&mut self, class: Class) -> Result<(), Doubt> {
        match (class, self.text[self.at]) {
            (_, b'{') => self.open(),
            (_, b'}') => self.close(),
            (Class::Quote | Class::Newline | Class::Backslash, _) => self.doubt(),
            _ => {
                self.at += 1;
                Ok(())
            }
        }
    }

    /// A string on one line, without escapes, inside the braces of another one.
    fn plain_string(&mut self, end: usize) -> Result<(), Doubt> {
        let quote = self.text[self.at];
        if self.byte(self.at + 1) == quote && self.byte(self.at + 2) == quote {
            return self.doubt();
        }
        let contents = &self.text[self.at + 1..end];
        let Some(length) = memchr(quote, contents) else { return self.doubt() };
        if memchr3(b'\\', b'\n', b'\r', &contents[..length]).is_some() {
            return self.doubt();
        }
        self.at += length + 2;
        Ok(())
    }
}

/// How many bytes of one class a text begins with.
fn run(text: &[u8], class: Class) -> usize {
    text.iter().position(|&byte| CLASSES[usize::from(byte)] != class).unwrap_or(text.len())
}
