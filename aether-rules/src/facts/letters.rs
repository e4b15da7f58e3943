//! A cheap look for a few letters in a row, before anything is read word by word: nearly every text fails it.
//!
//! *Invariant:* a text that has one of the sequences is never said to have none.

/// Up to thirty-two sequences of two or three letters, all looked for in one pass.
pub(super) struct Letters {
    /// By letter: the sequences, a bit each, that have it in first, second and third place.
    places: [[u32; 256]; 3],
    /// Those of two letters.
    pairs: u32,
}

/// Which sequences a text has, a bit each, in the order they were given.
pub(super) type Found = u32;

impl Letters {
    pub(super) const fn new(sequences: &[&[u8]]) -> Self {
        assert!(sequences.len() <= 32, "one bit per sequence");
        let mut letters = Self { places: [[0; 256]; 3], pairs: 0 };
        let mut index = 0;
        while index < sequences.len() {
            let (sequence, bit) = (sequences[index], 1 << index);
            assert!(sequence.len() == 2 || sequence.len() == 3, "two or three letters");
            letters.places[0][sequence[0] as usize] |= bit;
            letters.places[1][sequence[1] as usize] |= bit;
            if sequence.len() == 3 {
                letters.places[2][sequence[2] as usize] |= bit;
            } else {
                letters.pairs |= bit;
            }
            index += 1;
        }
        letters
    }

    /// Which of them stand in a text.
    pub(super) fn find(&self, text: &[u8]) -> Found {
        let [first, second, third] = &self.places;
        let pair = |a: u8, b: u8| first[usize::from(a)] & second[usize::from(b)];
        let last = text.last_chunk().map_or(0, |&[a, b]| pair(a, b) & self.pairs);
        text.array_windows().fold(last, |found, &[a, b, c]| found | pair(a, b) & (third[usize::from(c)] | self.pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::Letters;

    #[test]
    fn each_sequence_has_its_bit() {
        let letters = Letters::new(&[b"ab", b"bcd", b"xy"]);
        assert_eq!(letters.find(b"abcd"), 0b011);
        assert_eq!(letters.find(b"_bc_bd_xy"), 0b100);
        assert_eq!(letters.find(b"xy"), 0b100);
        assert_eq!(letters.find(b"ba dcb yx a"), 0);
        assert_eq!(letters.find(b"x"), 0);
        assert_eq!(letters.find(b""), 0);
    }
}
