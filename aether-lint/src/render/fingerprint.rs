//! What stays the same about a finding when lines above it come and go.
//!
//! The line hash is the one GitHub's `upload-sarif` computes for tools that bring none: a rolling polynomial of base
//! 37, in 64-bit arithmetic, over the 100 UTF-16 units from the start of the line on.
//!
//! *Invariant:* spaces, tabs and the kind of line end change no hash.

use rustc_hash::FxHashMap;

const BLOCK: usize = 100;
const BASE: u64 = 37;
const SPACE: u16 = 0x20;
const TAB: u16 = 0x09;
const LF: u16 = 0x0A;
const CR: u16 = 0x0D;
/// Stands for the end of the file.
const EOF: u16 = 65535;

/// The hash of every line of `text`, rendered `hex:occurrence`.
pub(super) fn line_hashes(text: &str) -> Vec<String> {
    let mut rolling = Rolling::new();
    let mut after_cr = false;
    for unit in text.encode_utf16() {
        let skipped = unit == SPACE || unit == TAB || (after_cr && unit == LF);
        after_cr = unit == CR;
        if !skipped {
            rolling.push(if unit == CR { LF } else { unit });
        }
    }
    rolling.push(EOF);
    rolling.finish()
}

/// A number that stands for a finding: its parts, apart from each other.
pub(super) fn stable_hash(parts: &[&str]) -> u64 {
    // FNV-1a: short, fixed for all time, and spread well enough for names.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0xFF]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// The hash of the last [`BLOCK`] units, and which of them started a line.
struct Rolling {
    window: [u16; BLOCK],
    starts: [bool; BLOCK],
    at: usize,
    hash: u64,
    /// `BASE` to the power of [`BLOCK`]: the weight of the unit that leaves.
    leaving: u64,
    line_starts: bool,
    seen: FxHashMap<u64, usize>,
    hashes: Vec<String>,
}

impl Rolling {
    fn new() -> Self {
        Self {
            window: [0; BLOCK],
            starts: [false; BLOCK],
            at: 0,
            hash: 0,
            leaving: BASE.wrapping_pow(BLOCK as u32),
            line_starts: true,
            seen: FxHashMap::default(),
            hashes: Vec::new(),
        }
    }

    fn push(&mut self, unit: u16) {
        self.emit();
        self.starts[self.at] = self.line_starts;
        self.line_starts = unit == LF;
        self.roll(unit);
    }

    /// The unit about to leave started a line: the window holds exactly that line's block.
    fn emit(&mut self) {
        if std::mem::take(&mut self.starts[self.at]) {
            let times = self.seen.entry(self.hash).or_default();
            *times += 1;
            self.hashes.push(format!("{:x}:{times}", self.hash));
        }
    }

    fn roll(&mut self, unit: u16) {
        let left = std::mem::replace(&mut self.window[self.at], unit);
        let kept = self.hash.wrapping_mul(BASE).wrapping_add(u64::from(unit));
        self.hash = kept.wrapping_sub(self.leaving.wrapping_mul(u64::from(left)));
        self.at = (self.at + 1) % BLOCK;
    }

    fn finish(mut self) -> Vec<String> {
        for _ in 0..BLOCK {
            self.emit();
            self.roll(0);
        }
        self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hash_as_github_hashes_them() {
        assert_eq!(line_hashes(""), ["c129715d7a2bc9a3:1"]);
        let expected = ["271789c17abda88f:1", "54703d4cd895b18:1", "180aee12dab6264:1", "a23a3dc5e078b07b:1"];
        assert_eq!(line_hashes(" a\nb\n  \t\tc\n d"), expected);
        assert_eq!(line_hashes(" a\r\nb\r  \t\tc\r\n d"), expected);
    }

    #[test]
    fn equal_lines_are_told_apart_by_their_number() {
        let text = "x\n".repeat(200);
        let hashes = line_hashes(&text);
        assert_eq!(hashes.len(), 201);
        assert!(hashes[0].ends_with(":1") && hashes[1].ends_with(":2"));
        assert_eq!(hashes[0].split(':').next(), hashes[1].split(':').next());
    }
}
