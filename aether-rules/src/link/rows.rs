//! Lists by number, all in one piece of memory: who calls which function, what a function calls.
//!
//! *Invariant:* the items of a list keep the order in which they came.

/// A list for every number from 0; past the last one, lists are empty.
#[derive(Debug)]
pub(super) struct Rows<T> {
    /// Where each list starts; one more than there are lists.
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { starts: vec![0], items: Vec::new() }
    }
}

impl<T: Copy> Rows<T> {
    /// `count` lists of what `items` gives, each with the number of its list. It is asked twice.
    pub(super) fn new(count: usize, items: impl Iterator<Item = (usize, T)> + Clone) -> Self {
        let mut starts = vec![0; count + 1];
        for (list, _) in items.clone() {
            starts[list + 1] += 1;
        }
        for list in 0..count {
            starts[list + 1] += starts[list];
        }
        let Some((_, first)) = items.clone().next() else { return Self { starts, items: Vec::new() } };
        let mut sorted = vec![first; starts[count] as usize];
        let mut next = starts.clone();
        for (list, item) in items {
            sorted[next[list] as usize] = item;
            next[list] += 1;
        }
        Self { starts, items: sorted }
    }
}

impl<T> Rows<T> {
    /// One list.
    pub(super) fn get(&self, list: usize) -> &[T] {
        match self.starts.get(list..list + 2) {
            Some(&[from, to]) => &self.items[from as usize..to as usize],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn lists_keep_their_order_and_end() {
        let rows = Rows::new(4, [(2, 'a'), (0, 'b'), (2, 'c'), (2, 'd')].into_iter());
        let lists: Vec<&[char]> = (0..6).map(|list| rows.get(list)).collect();
        assert_eq!(lists, [&['b'][..], &[], &['a', 'c', 'd'], &[], &[], &[]]);
        assert_eq!(Rows::<u8>::default().get(0), [0; 0]);
        assert_eq!(Rows::<u8>::new(2, std::iter::empty()).get(1), [0; 0]);
    }
}
