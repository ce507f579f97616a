//! The k likeliest words of a row without sorting the row.
//!
//! A threshold scan: the row is read in blocks, a block with nothing above the k-th best so far
//! costs one vectorised comparison, and the few survivors are thinned out by partial selection
//! whenever there are twice as many as needed. O(V + k log k) for random rows.
//! Its oracle, a stable sort of the whole row, is in the tests.

use std::cmp::Ordering;

use crate::rows::Row;

/// A word and its log probability.
pub(crate) type Scored = (u32, f32);

/// Reusable memory for [`TopK::select`].
#[derive(Default)]
pub(crate) struct TopK {
    survivors: Vec<Scored>,
}

/// Words per block: one comparison decides about all of them.
const BLOCK: usize = 64;

impl TopK {
    /// [`TopK::select`], also from the likeliest words that a device has chosen, at least `k` or all that there are.
    pub fn of(&mut self, row: Row<'_>, k: usize, floor: f32) -> &[Scored] {
        match row {
            Row::LogProbs(log_probs) => self.select(log_probs, k, floor),
            Row::Chosen(words) => {
                let floor = floor.max(f32::MIN);
                let enough = words.iter().take(k).take_while(|&&(_, v)| floor <= v);
                self.survivors.clear();
                self.survivors.extend(enough);
                &self.survivors
            }
        }
    }

    /// The at most `k` largest values of `row` (V) that are at least `floor`, largest first, equal
    /// ones by ascending index, which is what a stable `argsort(-row)` gives. Values of -∞ are
    /// never taken; values above 0 (rounding) count as 0. `row` holds no NaN.
    pub fn select(&mut self, row: &[f32], k: usize, floor: f32) -> &[Scored] {
        self.survivors.clear();
        if k == 0 {
            return &self.survivors;
        }
        // The least finite number, so that -∞ always falls through.
        let mut floor = floor.max(f32::MIN);
        for (block, values) in row.chunks(BLOCK).enumerate() {
            // No early exit, so that the loop runs on whole vectors.
            if !values.iter().fold(false, |any, &v| any | (floor <= v)) {
                continue;
            }
            for (at, &v) in values.iter().enumerate() {
                if floor <= v {
                    // Adding 0 turns -0 into 0: they are equal and must compare so.
                    self.survivors
                        .push(((block * BLOCK + at) as u32, v.min(0.0) + 0.0));
                }
            }
            if k.saturating_mul(2) <= self.survivors.len() {
                // Later words that only equal the k-th lose by their index, so the next
                // candidate must be strictly above it.
                floor = self.keep(k).next_up();
            }
        }
        if k < self.survivors.len() {
            self.keep(k);
        }
        self.survivors.sort_unstable_by(likelier);
        &self.survivors
    }

    /// Keeps the best `k` of at least as many survivors; returns the value of the k-th.
    fn keep(&mut self, k: usize) -> f32 {
        let (_, kth, _) = self.survivors.select_nth_unstable_by(k - 1, likelier);
        let kth = kth.1;
        self.survivors.truncate(k);
        kth
    }
}

/// Larger value first, then smaller index.
fn likelier(a: &Scored, b: &Scored) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain way: a stable sort of everything.
    fn oracle(row: &[f32], k: usize, floor: f32) -> Vec<Scored> {
        let mut all: Vec<Scored> = (0u32..).zip(row.iter().map(|v| v.min(0.0) + 0.0)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.retain(|&(_, v)| floor <= v && v != f32::NEG_INFINITY);
        all.truncate(k);
        all
    }

    /// Values on a coarse grid, so that ties are everywhere, and some -∞, -0 and rounding above 0.
    fn value() -> impl Strategy<Value = f32> {
        prop_oneof![
            8 => (-40i32..=0).prop_map(|v| v as f32 / 4.0),
            2 => -50.0f32..0.0,
            1 => Just(f32::NEG_INFINITY),
            1 => Just(-0.0f32),
            1 => Just(1e-7f32),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_stable_sort(
            row in prop::collection::vec(value(), 1..700),
            k in 0usize..90,
            floor in prop_oneof![Just(f32::NEG_INFINITY), -12.0f32..0.5],
        ) {
            let mut top = TopK::default();
            prop_assert_eq!(top.select(&row, k, floor), oracle(&row, k, floor));
            // The memory of the row before must not show.
            prop_assert_eq!(top.select(&row, 3, floor), oracle(&row, 3, floor));
        }
    }

    #[test]
    fn equal_words_come_by_index_and_k_may_exceed_the_row() {
        let mut top = TopK::default();
        assert_eq!(
            top.select(&[-1.0; 200], 3, f32::NEG_INFINITY),
            [(0, -1.0), (1, -1.0), (2, -1.0)]
        );
        assert_eq!(
            top.select(&[-2.0, -1.0], usize::MAX, f32::NEG_INFINITY),
            [(1, -1.0), (0, -2.0)]
        );
        assert!(
            top.select(&[f32::NEG_INFINITY; 5], 2, f32::NEG_INFINITY)
                .is_empty()
        );
    }

    #[test]
    fn rising_rows_are_the_worst_case_and_still_right() {
        let row: Vec<f32> = (0..5000).map(|i| -5000.0 + i as f32).collect();
        let want: Vec<Scored> = (0..20).map(|i| (4999 - i, -1.0 - i as f32)).collect();
        assert_eq!(TopK::default().select(&row, 20, f32::NEG_INFINITY), want);
    }
}
