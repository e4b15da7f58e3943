//! What is read of test code whose findings are off: what starts threads, and what that names.
//!
//! A test suite is often larger than what it tests, and most of it runs on one thread. On which threads the tested code
//! runs is said by those functions alone that start a thread, hand work to one, or are named by one that does.
//!
//! *Invariant:* an excerpt is as long as its text, so a span of the one is a span of the other. What is cut out is told
//! from how lines are indented; where that goes wrong, the excerpt is no Python, and the whole text is to be read.

use std::ops::Range;

use memchr::memmem;
use rustc_hash::FxHashMap;

mod outline;

use outline::{Block, Outline, Shape, words};

/// Words without which no code starts a thread or hands work to one, be it through a helper whose name says so
/// (`run_threaded`, `start_threads(…)`); `threading` alone does not. Without their first letter where it may be small or
/// capital: `ThreadPoolExecutor` and `run_in_executor`.
const WORDS: [&str; 8] = ["Thread", "xecutor", "Timer", "to_thread", "new_thread", "in_thread", "threaded", "threads("];

/// What a blanked block is to Python, up to the end of its line.
const FILLER: &str = "pass#";

/// What it is in a class that is blanked itself. Readers get over a comment faster than over white space.
const COMMENT: &str = "#";

/// Whether a text has a word without which no code runs on several threads.
pub(crate) fn names_threads(text: &str) -> bool {
    WORDS.iter().any(|word| memmem::find(text.as_bytes(), word.as_bytes()).is_some())
}

/// A text with every function blanked that neither names threads nor is named by what does; nothing if all is needed.
pub(crate) fn of_threads(text: &str) -> Option<String> {
    let mut mentions: Vec<usize> =
        WORDS.iter().flat_map(|word| memmem::find_iter(text.as_bytes(), word.as_bytes())).collect();
    mentions.sort_unstable();
    let mut excerpt = Excerpt { text, mentions, parts: Vec::new(), named: FxHashMap::default(), waiting: Vec::new() };
    let outline = Outline::new(text);
    for block in outline.blocks(0..text.len(), 0) {
        excerpt.lay_out(&outline, block);
    }
    excerpt.keep_what_is_named();
    excerpt.parts.iter().any(|part| !part.is_kept).then(|| excerpt.write())
}

/// A piece of the text that is kept or blanked as a whole.
struct Part<'a> {
    range: Range<usize>,
    shape: Shape<'a>,
    /// Of a member: the part that its class begins with, kept where this one is and blanked only with it.
    head: Option<usize>,
    is_kept: bool,
}

struct Excerpt<'a> {
    text: &'a str,
    /// Where words stand that name threads, in order.
    mentions: Vec<usize>,
    /// In the order of the text; the head of a class comes before its members.
    parts: Vec<Part<'a>>,
    /// What is kept once a name is met.
    named: FxHashMap<&'a str, Vec<Range<usize>>>,
    /// Parts that are kept and whose words are still to be looked at.
    waiting: Vec<usize>,
}

impl<'a> Excerpt<'a> {
    fn names_threads(&self, range: &Range<usize>) -> bool {
        let next = self.mentions.partition_point(|&at| at < range.start);
        self.mentions.get(next).is_some_and(|&at| at < range.end)
    }

    fn lay_out(&mut self, outline: &Outline<'a>, block: Block<'a>) {
        if let Shape::Class(name) = block.shape {
            return self.lay_out_class(outline, block.range, name);
        }
        let names_threads = self.names_threads(&block.range);
        let part = self.add(block.range, block.shape, None);
        if names_threads {
            self.keep(part);
        }
        match block.shape {
            Shape::Function(name) => self.name(name, part..part + 1),
            // Imports and tables are read, but do not call what they name.
            _ => self.parts[part].is_kept = true,
        }
    }

    /// A class is kept if it is named, or if its own statements name threads; else the methods that do, with what makes
    /// its objects ready for them.
    fn lay_out_class(&mut self, outline: &Outline<'a>, class: Range<usize>, name: &'a str) {
        let (body, indent) = outline.body(&class);
        let mut is_whole = self.names_threads(&(class.start..body));
        let head = self.add(class.start..body, Shape::Class(name), None);
        for member in outline.blocks(body..class.end, indent) {
            let names_threads = self.names_threads(&member.range);
            let part = self.add(member.range, member.shape, Some(head));
            match member.shape {
                Shape::Function(_) if names_threads => self.keep(part),
                Shape::Function(name) if !member.shape.comes_with_class() => self.name(name, part..part + 1),
                Shape::Function(_) => {}
                _ => is_whole |= names_threads,
            }
        }
        let all = head..self.parts.len();
        if is_whole {
            self.keep_all(all);
        } else {
            self.name(name, all);
        }
    }

    fn add(&mut self, range: Range<usize>, shape: Shape<'a>, head: Option<usize>) -> usize {
        self.parts.push(Part { range, shape, head, is_kept: false });
        self.parts.len() - 1
    }

    /// Keeps these parts once the name is met.
    fn name(&mut self, name: &'a str, parts: Range<usize>) {
        self.named.entry(name).or_default().push(parts);
    }

    fn keep(&mut self, part: usize) {
        if !std::mem::replace(&mut self.parts[part].is_kept, true) {
            self.waiting.push(part);
        }
    }

    fn keep_all(&mut self, parts: Range<usize>) {
        for part in parts {
            if !self.parts[part].shape.is_test() {
                self.keep(part);
            }
        }
    }

    fn keep_what_is_named(&mut self) {
        while let Some(part) = self.waiting.pop() {
            if let Some(head) = self.parts[part].head {
                self.keep(head);
            }
            let members = (part + 1..self.parts.len()).take_while(|&at| self.parts[at].head == Some(part));
            let ready: Vec<usize> = members.filter(|&at| self.parts[at].shape.comes_with_class()).collect();
            for part in ready {
                self.keep(part);
            }
            for word in words(&self.text[self.parts[part].range.clone()]) {
                for parts in self.named.remove(word).into_iter().flatten() {
                    self.keep_all(parts);
                }
            }
        }
    }

    fn write(&self) -> String {
        let mut excerpt = String::with_capacity(self.text.len());
        for part in &self.parts {
            let text = &self.text[part.range.clone()];
            if part.is_kept {
                excerpt.push_str(text);
                continue;
            }
            let (text, line_end) = text.strip_suffix('\n').map_or((text, ""), |text| (text, "\n"));
            let width = text.trim_start().len();
            let is_in_blank = part.head.is_some_and(|head| !self.parts[head].is_kept);
            let filler = if is_in_blank { COMMENT } else { FILLER };
            let filler = &filler[..width.min(filler.len())];
            excerpt.push_str(&text[..text.len() - width]);
            excerpt.push_str(filler);
            excerpt.push_str(&" ".repeat(width - filler.len()));
            excerpt.push_str(line_end);
        }
        excerpt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: &str = r#"import product, threading


def fill(box):
    box.put(1)


def alone():
    """
def not_a_statement(): Thread
"""


class Mixin:
    kind = product.Box

    def setUp(self):
        self.box = self.kind()

    def helper(self):
        pass

    def test_plain(self):
        self.helper()


class BoxTest(Mixin):
    def test_threads(self):
        threading.Thread(target=fill, args=[self.box]).start()

    @decorated(
        1,
    )
    def test_decorated(self):
        fill(None)


class Other:
    def test(self):
        alone()
"#;

    /// The lines of an excerpt that say something, without their indentation.
    fn lines(text: &str) -> Vec<String> {
        let excerpt = of_threads(text).unwrap_or_else(|| text.to_owned());
        assert_eq!(excerpt.len(), text.len());
        let lines = excerpt.lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn what_names_threads_is_kept_with_what_it_names() {
        let suite = SUITE.replace("Thread\n\"\"\"", "nothing\n\"\"\"");
        let kept = [
            "import product, threading",
            "def fill(box):",
            "box.put(1)",
            "pass#",
            "class Mixin:",
            "kind = product.Box",
            "def setUp(self):",
            "self.box = self.kind()",
            "def helper(self):",
            "pass",
            "pass#",
            "class BoxTest(Mixin):",
            "def test_threads(self):",
            "threading.Thread(target=fill, args=[self.box]).start()",
            "pass#",
            "pass#",
            "#",
        ];
        assert_eq!(lines(&suite), kept);
    }

    #[test]
    fn a_line_of_a_string_begins_no_statement() {
        let kept = lines(SUITE);
        assert!(
            kept.contains(&"def alone():".to_owned()) && kept.contains(&"def not_a_statement(): Thread".to_owned())
        );
        assert!(!kept.contains(&"alone()".to_owned()));
    }

    #[test]
    fn what_is_no_python_is_cut_as_well_as_can_be() {
        for text in [
            "def",
            "def ",
            "def f",
            "class ",
            "@",
            "@x\n",
            "class A:\n\tdef ",
            " \u{a0}def f",
            "'''",
            "class\u{85}:\n ä\n",
        ] {
            assert!(of_threads(text).is_none_or(|excerpt| excerpt.len() == text.len()), "{text:?}");
        }
    }
}
