//! The alignment: which of all matches are used, each word at most once.
//!
//! Here: METEOR's beam search and its counts. Not here: finding matches (`matches.rs`), the score
//! (`statistics.rs`).
//!
//! Denkowski & Lavie 2014, section 2: most words covered (weighted), then fewest chunks, then least distance. The
//! beam keeps 40 partial alignments and goes through the reference from left to right. Kept from METEOR 1.5, because
//! scores must agree: weighted counts are cut to whole numbers after every match, so that a single word that matches
//! by stem counts nothing; and the distance of a match is added to the alignments that *don't* use it.

use super::matches::{EXACT, Match};

/// Alignments that survive each reference word.
const BEAM: usize = 40;
/// A candidate end that no match has: the last reference word is unmatched.
const NO_END: usize = usize::MAX;
const NO_STEP: u32 = u32::MAX;

/// A set of word positions.
trait Positions: Clone {
    fn empty(words: usize) -> Self;
    fn contains_any(&self, positions: std::ops::Range<usize>) -> bool;
    fn insert_all(&mut self, positions: std::ops::Range<usize>);
}

/// Sentences of up to 64 words: nearly all.
impl Positions for u64 {
    fn empty(_: usize) -> Self {
        0
    }

    fn contains_any(&self, positions: std::ops::Range<usize>) -> bool {
        self & bits(positions) != 0
    }

    fn insert_all(&mut self, positions: std::ops::Range<usize>) {
        *self |= bits(positions);
    }
}

/// A bit for each position below 64.
fn bits(positions: std::ops::Range<usize>) -> u64 {
    match positions.len() {
        0 => 0,
        length => u64::MAX >> (64 - length) << positions.start,
    }
}

/// Any sentence.
impl Positions for Vec<bool> {
    fn empty(words: usize) -> Self {
        vec![false; words]
    }

    fn contains_any(&self, positions: std::ops::Range<usize>) -> bool {
        self[positions].contains(&true)
    }

    fn insert_all(&mut self, positions: std::ops::Range<usize>) {
        self[positions].fill(true);
    }
}

/// The chosen matches in the order of the reference.
///
/// `matches` are sorted by their start in the reference, as [`all`](super::matches::all) returns them.
pub(super) fn align(
    candidate_words: usize,
    reference_words: usize,
    matches: &[Match],
) -> Vec<Match> {
    if candidate_words.max(reference_words) <= 64 {
        search::<u64>(candidate_words, reference_words, matches)
    } else {
        search::<Vec<bool>>(candidate_words, reference_words, matches)
    }
}

/// A partial alignment.
#[derive(Clone)]
struct Path<P> {
    /// Words covered in both sentences, weighted.
    covered: usize,
    chunks: usize,
    distance: usize,
    /// First candidate word behind the last match, or [`NO_END`].
    end: usize,
    candidate: P,
    reference: P,
    /// The last chosen match in the list of steps.
    step: u32,
}

impl<P: Positions> Path<P> {
    /// Better first: more words, fewer chunks, less distance.
    fn rank(&self) -> (std::cmp::Reverse<usize>, usize, usize) {
        (std::cmp::Reverse(self.covered), self.chunks, self.distance)
    }

    fn take(&mut self, m: &Match) {
        self.covered +=
            weighted(m.candidate.length, m.module) + weighted(m.reference.length, m.module);
        if self.end != NO_END && m.candidate.start != self.end {
            self.chunks += 1;
        }
        self.end = m.candidate.end();
    }

    fn is_used(&self, m: &Match) -> bool {
        self.reference.contains_any(m.reference.range())
            || self.candidate.contains_any(m.candidate.range())
    }

    fn set_used(&mut self, m: &Match) {
        self.reference.insert_all(m.reference.range());
        self.candidate.insert_all(m.candidate.range());
    }
}

/// Words of a match for the search: all of an exact one, half of any other, rounded down.
fn weighted(words: usize, module: usize) -> usize {
    if module == EXACT { words } else { words / 2 }
}

/// How far apart the two sides of a match are.
fn distance(m: &Match) -> usize {
    m.reference.start.abs_diff(m.candidate.start)
}

fn search<P: Positions>(
    candidate_words: usize,
    reference_words: usize,
    matches: &[Match],
) -> Vec<Match> {
    let starts = starts(reference_words, matches);
    let at = |word: usize| &matches[starts[word]..starts[word + 1]];
    let fixed = without_rival::<P>(candidate_words, reference_words, matches, &starts);
    let mut first = Path {
        covered: 0,
        chunks: 0,
        distance: 0,
        end: NO_END,
        candidate: P::empty(candidate_words),
        reference: P::empty(reference_words),
        step: NO_STEP,
    };
    fixed
        .iter()
        .flatten()
        .for_each(|&m| first.set_used(&matches[m]));
    let (mut paths, mut next_paths) = (vec![first], Vec::new());
    // Chosen matches, each with the step before it.
    let mut steps: Vec<(u32, usize)> = Vec::new();
    for word in 0..reference_words {
        paths.sort_by_key(Path::rank);
        paths.truncate(BEAM);
        for mut path in paths.drain(..) {
            if path.reference.contains_any(word..word + 1) {
                if let Some(m) = fixed[word].map(|m| &matches[m]) {
                    path.take(m);
                    path.distance += distance(m);
                }
                next_paths.push(path);
                continue;
            }
            for (m, index) in at(word).iter().zip(starts[word]..) {
                if path.is_used(m) {
                    continue;
                }
                let mut with = path.clone();
                with.set_used(m);
                with.take(m);
                steps.push((path.step, index));
                with.step = u32::try_from(steps.len() - 1).expect("fewer than 2^32 steps");
                // To the alignments without this match, not to the one with it.
                path.distance += distance(m);
                next_paths.push(with);
            }
            close_chunk(&mut path);
            next_paths.push(path);
        }
        std::mem::swap(&mut paths, &mut next_paths);
    }
    paths.sort_by_key(Path::rank);
    paths.truncate(BEAM);
    paths.iter_mut().for_each(close_chunk);
    paths.sort_by_key(Path::rank);
    let mut chosen: Vec<_> = fixed.into_iter().flatten().collect();
    let mut step = paths[0].step;
    while let Some(&(before, index)) = steps.get(step as usize) {
        chosen.push(index);
        step = before;
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|index| matches[index]).collect()
}

fn close_chunk<P>(path: &mut Path<P>) {
    if path.end != NO_END {
        path.chunks += 1;
        path.end = NO_END;
    }
}

/// `matches[starts[w]..starts[w + 1]]` start at reference word w.
fn starts(reference_words: usize, matches: &[Match]) -> Vec<usize> {
    let mut starts = Vec::with_capacity(reference_words + 1);
    let mut at = 0;
    for word in 0..=reference_words {
        at += matches[at..]
            .iter()
            .take_while(|m| m.reference.start < word)
            .count();
        starts.push(at);
    }
    starts
}

/// For each reference word the match that starts there, if it is the only one to touch any of its words.
fn without_rival<P: Positions>(
    candidate_words: usize,
    reference_words: usize,
    matches: &[Match],
    starts: &[usize],
) -> Vec<Option<usize>> {
    let mut candidate = Touched::<P>::new(candidate_words);
    let mut reference = Touched::<P>::new(reference_words);
    for m in matches {
        candidate.touch(m.candidate.range());
        reference.touch(m.reference.range());
    }
    (0..reference_words)
        .map(|word| {
            let only = (starts[word + 1] - starts[word] == 1).then_some(starts[word])?;
            let m = &matches[only];
            let rivals = candidate.twice.contains_any(m.candidate.range())
                || reference.twice.contains_any(m.reference.range());
            (!rivals).then_some(only)
        })
        .collect()
}

/// Words that matches touch.
struct Touched<P> {
    once: P,
    twice: P,
}

impl<P: Positions> Touched<P> {
    fn new(words: usize) -> Self {
        Self {
            once: P::empty(words),
            twice: P::empty(words),
        }
    }

    fn touch(&mut self, words: std::ops::Range<usize>) {
        for word in words {
            if self.once.contains_any(word..word + 1) {
                self.twice.insert_all(word..word + 1);
            }
            self.once.insert_all(word..word + 1);
        }
    }
}

/// Runs of matches that are contiguous in both sentences.
pub(super) fn chunks(chosen: &[Match]) -> usize {
    let breaks = chosen.windows(2).filter(|pair| {
        pair[0].reference.end() != pair[1].reference.start
            || pair[0].candidate.end() != pair[1].candidate.start
    });
    breaks.count() + usize::from(!chosen.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::matches::{PARAPHRASE, STEM, Span};
    use super::*;

    fn m(reference: (usize, usize), candidate: (usize, usize), module: usize) -> Match {
        let span = |(start, length)| Span { start, length };
        Match {
            reference: span(reference),
            candidate: span(candidate),
            module,
        }
    }

    fn word(reference: usize, candidate: usize) -> Match {
        m((reference, 1), (candidate, 1), EXACT)
    }

    /// The best rank of all choices that hold the fixed matches and use each word at most once.
    fn exhaustive(words: usize, matches: &[Match], fixed: &[Match]) -> Rank {
        let choices = (0_u32..1 << matches.len()).map(|choice| -> Vec<Match> {
            let chosen = (0..matches.len()).filter(|i| choice >> i & 1 == 1);
            chosen.map(|i| matches[i]).collect()
        });
        let possible = choices.filter(|chosen| {
            let clash = |(i, a): (usize, &Match)| chosen[..i].iter().any(|b| clashes(a, b));
            !chosen.iter().enumerate().any(clash) && fixed.iter().all(|m| chosen.contains(m))
        });
        let ranks = possible.map(|chosen| rank(words, matches, fixed, &chosen));
        ranks.min().expect("the fixed matches alone")
    }

    type Rank = (std::cmp::Reverse<usize>, usize, usize);

    /// A choice's rank, counted from nothing.
    fn rank(words: usize, matches: &[Match], fixed: &[Match], chosen: &[Match]) -> Rank {
        let mut used = fixed.to_vec();
        let mut apart = 0;
        for word in 0..words {
            if let Some(m) = fixed.iter().find(|m| m.reference.start == word) {
                apart += distance(m);
                continue;
            }
            // Matches that could be taken and are not, up to the one that is.
            for m in matches.iter().filter(|m| m.reference.start == word) {
                if used.iter().any(|other| clashes(m, other)) {
                    continue;
                }
                if chosen.contains(m) {
                    used.push(*m);
                    break;
                }
                apart += distance(m);
            }
        }
        (std::cmp::Reverse(covered(chosen)), chunks(chosen), apart)
    }

    fn clashes(a: &Match, b: &Match) -> bool {
        let overlap = |a: Span, b: Span| a.start < b.end() && b.start < a.end();
        overlap(a.reference, b.reference) || overlap(a.candidate, b.candidate)
    }

    fn covered(chosen: &[Match]) -> usize {
        let both = |m: &Match| {
            weighted(m.reference.length, m.module) + weighted(m.candidate.length, m.module)
        };
        chosen.iter().map(both).sum()
    }

    fn some_matches(words: usize, most: usize) -> impl Strategy<Value = Vec<Match>> {
        let span = move || {
            (0..words, 1..3_usize)
                .prop_map(move |(start, length)| (start, length.min(words - start)))
        };
        let any = (span(), span(), 0..4_usize).prop_map(|(r, c, module)| match module {
            PARAPHRASE => m(r, c, module),
            module => m((r.0, 1), (c.0, 1), module),
        });
        prop::collection::vec(any, 0..most).prop_map(|mut matches| {
            matches.sort_by_key(|m| m.reference.start);
            let mut seen = Vec::new();
            matches.retain(|m| {
                !seen.contains(m) && {
                    seen.push(*m);
                    true
                }
            });
            matches
        })
    }

    proptest! {
        /// At most 5 matches make fewer alignments than the beam holds.
        #[test]
        fn a_wide_enough_beam_is_exhaustive_search(matches in some_matches(6, 6)) {
            let chosen = align(6, 6, &matches);
            let fixed = without_rival::<u64>(6, 6, &matches, &starts(6, &matches));
            let fixed: Vec<_> = fixed.into_iter().flatten().map(|m| matches[m]).collect();
            prop_assert_eq!(rank(6, &matches, &fixed, &chosen), exhaustive(6, &matches, &fixed));
        }

        #[test]
        fn long_sentences_are_aligned_as_short_ones(matches in some_matches(12, 60)) {
            prop_assert_eq!(search::<u64>(12, 12, &matches), search::<Vec<bool>>(12, 12, &matches));
        }

        #[test]
        fn each_word_is_used_once(matches in some_matches(8, 40)) {
            let (mut reference, mut candidate) = ([0; 8], [0; 8]);
            for m in align(8, 8, &matches) {
                reference[m.reference.range()].iter_mut().for_each(|n| *n += 1);
                candidate[m.candidate.range()].iter_mut().for_each(|n| *n += 1);
            }
            prop_assert!(reference.iter().chain(&candidate).all(|&n| n <= 1));
        }
    }

    #[test]
    fn more_words_win_then_fewer_chunks() {
        // "a b" against "a x a b": the second a makes one chunk.
        let one_chunk = align(4, 2, &[word(0, 0), word(0, 2), word(1, 3)]);
        assert_eq!(one_chunk, [word(0, 2), word(1, 3)]);
        assert_eq!(chunks(&one_chunk), 1);
        // An exact word counts twice, a stem match not at all.
        let stem = m((0, 1), (0, 1), STEM);
        assert_eq!(align(1, 1, &[stem, word(0, 0)]), [word(0, 0)]);
    }

    /// Two reference words for one candidate word. METEOR adds a match's distance to the alignments without it, so
    /// that the farther match wins; of equals the one whose last chunk is still open comes first.
    #[test]
    fn distance_counts_against_the_alignments_without_the_match() {
        assert_eq!(align(4, 4, &[word(0, 3), word(3, 3)]), [word(0, 3)]);
        assert_eq!(align(4, 4, &[word(0, 0), word(3, 0)]), [word(3, 0)]);
        // A match without rival adds to all alignments: what went before still decides.
        let matches = [word(0, 2), word(3, 2), word(4, 4)];
        assert_eq!(align(5, 5, &matches), [word(0, 2), word(4, 4)]);
    }

    #[test]
    fn a_match_without_rival_stays_even_where_it_costs_chunks() {
        let matches = [word(0, 0), word(1, 3), word(2, 1)];
        assert_eq!(align(4, 3, &matches), matches);
        assert_eq!(chunks(&matches), 3);
        assert_eq!(align(0, 0, &[]), []);
        assert_eq!(chunks(&[]), 0);
    }

    /// 64 and 65 words take different ways.
    #[test]
    fn sentences_of_any_length() {
        for words in [63, 64, 65, 200] {
            let matches: Vec<_> = (0..words).map(|i| word(i, i)).collect();
            assert_eq!(align(words, words, &matches), matches, "{words}");
        }
    }
}
