//! Names as numbers that mean the same in every module.
//!
//! A [`Sym`] is the 64-bit hash of an identifier and a [`Qual`] that of a dotted name, both computable at compile
//! time: models and rules compare numbers, modules need no common interner, and nothing depends on the order in
//! which threads met a name. Two of a million identifiers collide with a probability below 10⁻⁷.
//!
//! *Invariant:* the hash of a text never depends on anything but the text.

use std::collections::hash_map::Entry;
use std::fmt;

use rustc_hash::FxHashMap;

use super::table::fit;

/// An identifier.
// Four bytes of alignment, here and below: a term with a name in it takes 16 bytes instead of 24.
#[repr(Rust, packed(4))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sym(u64);

impl Sym {
    /// The symbol of `text`.
    pub const fn new(text: &str) -> Self {
        Self::of_bytes(text.as_bytes(), 0, text.len())
    }

    /// Eight bytes at a time: there is a symbol to make for every name in the program.
    const fn of_bytes(bytes: &[u8], from: usize, to: usize) -> Self {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ ((to - from) as u64).wrapping_mul(MULTIPLIER);
        let mut at = from;
        while at + 8 <= to {
            hash = (hash.rotate_left(29) ^ u64::from_le_bytes(chunk(bytes, at))).wrapping_mul(MULTIPLIER);
            at += 8;
        }
        Self(mix((hash.rotate_left(29) ^ rest(bytes, at, to)).wrapping_mul(MULTIPLIER)))
    }
}

/// The bytes from `at` on, as an array.
const fn chunk<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match bytes.split_at(at).1.first_chunk() {
        Some(chunk) => *chunk,
        None => panic!("the text is long enough"),
    }
}

/// Up to seven bytes as a number, the first the least. What is read twice lands in the same place twice.
const fn rest(bytes: &[u8], from: usize, to: usize) -> u64 {
    let len = to - from;
    if len >= 4 {
        let low = u32::from_le_bytes(chunk(bytes, from)) as u64;
        let high = u32::from_le_bytes(chunk(bytes, to - 4)) as u64;
        return low | (high << (8 * (len - 4)));
    }
    if len == 0 {
        return 0;
    }
    let middle = len / 2;
    bytes[from] as u64 | ((bytes[from + middle] as u64) << (8 * middle)) | ((bytes[to - 1] as u64) << (8 * (len - 1)))
}

impl fmt::Debug for Sym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sym({:016x})", { self.0 })
    }
}

/// A dotted name of something outside the program: `threading.Lock`, or `threading.Lock.acquire` for a method.
#[repr(Rust, packed(4))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qual(u64);

impl Qual {
    /// The empty name.
    pub const ROOT: Self = Self(0);

    /// The dotted name `text`.
    pub const fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let (mut name, mut from, mut at) = (Self::ROOT, 0, 0);
        while at <= bytes.len() {
            if at == bytes.len() || bytes[at] == b'.' {
                name = name.child(Sym::of_bytes(bytes, from, at));
                from = at + 1;
            }
            at += 1;
        }
        name
    }

    /// The name `self.member`.
    #[must_use]
    pub const fn child(self, member: Sym) -> Self {
        Self(mix(self.0.rotate_left(23) ^ member.0))
    }
}

impl fmt::Debug for Qual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Qual({:016x})", { self.0 })
    }
}

/// The texts of a module's identifiers, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct Names {
    known: FxHashMap<Sym, (u32, u32)>,
    text: String,
}

impl Names {
    /// The symbol of `text`, whose text is known from now on.
    pub(super) fn add(&mut self, text: &str) -> Sym {
        let sym = Sym::new(text);
        if let Entry::Vacant(entry) = self.known.entry(sym) {
            entry.insert((self.text.len() as u32, text.len() as u32));
            self.text.push_str(text);
        }
        sym
    }

    /// The text of a symbol, if the module mentions it.
    pub fn get(&self, name: Sym) -> Option<&str> {
        let &(start, len) = self.known.get(&name)?;
        self.text.get(start as usize..(start + len) as usize)
    }

    /// Whether the module mentions a symbol: as an identifier, in an import, or as a short string.
    pub fn contains(&self, name: Sym) -> bool {
        self.known.contains_key(&name)
    }

    /// Whether a name has `part` in it, in small or capital letters; two names side by side may make one up.
    pub(super) fn contain_part(&self, part: &str) -> bool {
        self.text.to_ascii_lowercase().contains(part)
    }

    /// Whether a name has `part` in it; two names side by side may make one up.
    pub(crate) fn contain(&self, part: &str) -> bool {
        memchr::memmem::find(self.text.as_bytes(), part.as_bytes()).is_some()
    }

    /// The names, in memory of just the right size.
    #[expect(clippy::iter_over_hash_type, reason = "from one table into another")]
    pub(super) fn finish(&self) -> Self {
        let mut known = FxHashMap::with_capacity_and_hasher(self.known.len(), rustc_hash::FxBuildHasher);
        for (&name, &at) in &self.known {
            known.insert(name, at);
        }
        Self { known, text: self.text.as_str().to_owned() }
    }

    /// Makes room for about `expected` names.
    pub(super) fn fit(&mut self, expected: usize) {
        fit(&mut self.known, expected);
    }

    /// Forgets all names, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.text.clear();
    }
}

/// Spreads every input bit over the word (the finalizer of MurmurHash3).
const fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A symbol known at compile time, usable in patterns through `const`.
#[macro_export]
macro_rules! sym {
    ($text:literal) => {
        const { $crate::facts::Sym::new($text) }
    };
}

/// A dotted name known at compile time.
#[macro_export]
macro_rules! qual {
    ($text:literal) => {
        const { $crate::facts::Qual::of($text) }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_and_counts_where_it_stands() {
        let text = "abcdefghijklmnopqrstuvw";
        for to in 0..text.len() {
            for from in to.saturating_sub(7)..=to {
                let mut bytes = [0; 8];
                bytes[..to - from].copy_from_slice(&text.as_bytes()[from..to]);
                assert_eq!(rest(text.as_bytes(), from, to), u64::from_le_bytes(bytes), "{from}..{to}");
            }
        }
    }

    #[test]
    fn a_dotted_name_is_its_parts() {
        let threading = Qual::ROOT.child(Sym::new("threading"));
        assert_eq!(threading.child(Sym::new("Lock")), Qual::of("threading.Lock"));
        assert_ne!(Qual::of("a.b"), Qual::of("b.a"));
        assert_eq!(sym!("acquire"), Sym::new("acquire"));
    }
}
