//! The paraphrase table in memory.
//!
//! Here: phrases as nodes of a tree over words, which phrase paraphrases which, and which phrases of a sentence
//! the table knows. Not here: the file (`paraphrase_table.rs`), and which matches follow (`matches.rs`).
//!
//! Memory: an entry takes 20 bytes, a word of a phrase that no other phrase starts with at most 48; that is below
//! twice the unpacked file. Where the captions are known, only phrases are kept whose neighbouring words are
//! neighbours in some caption too: no other phrase can occur. That leaves a fiftieth of METEOR's table.

use hashbrown::{HashMap, HashSet};

use super::paraphrase_table::Entries;

/// A phrase, as a place in the tree of all phrases.
pub(super) type Node = u32;
const ROOT: Node = 0;

/// A phrase of a sentence that the table knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    /// Index of its first word.
    pub start: usize,
    /// Number of words.
    pub length: usize,
    pub node: Node,
}

/// `from` may be said as `to`. METEOR tries a phrase's paraphrases in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub from: Node,
    /// Position among the paraphrases of `from`.
    order: u32,
    pub to: Node,
}

/// The table, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Paraphrases {
    words: HashMap<Box<[u8]>, u32>,
    /// Words that follow each other in the captions, if it is known which captions there are.
    neighbours: Option<HashSet<(u32, u32)>>,
    children: HashMap<(Node, u32), Node>,
    /// What a sentence's phrases are looked up by, once the table is complete: the node of each word's own phrase, or
    /// [`ROOT`].
    first: Vec<Node>,
    /// Whether node n has a part in some entry.
    is_phrase: Vec<bool>,
    /// Whether longer phrases start with node n.
    goes_on: Vec<bool>,
    /// The paraphrases of node n are `forward[forward_ends[n - 1]..forward_ends[n]]`.
    forward: Grouped<Node>,
    /// Who is paraphrased by node n, and at which position in its list.
    backward: Grouped<(Node, u32)>,
}

/// Lists of items, one after another.
#[derive(Debug)]
struct Grouped<T> {
    ends: Vec<u32>,
    items: Vec<T>,
}

impl<T> Default for Grouped<T> {
    fn default() -> Self {
        Self {
            ends: Vec::new(),
            items: Vec::new(),
        }
    }
}

impl<T: Copy + Default> Grouped<T> {
    /// Groups items by their node, each group in the order of arrival.
    fn new(nodes: usize, items: &[(Node, T)]) -> Self {
        let mut starts = vec![0_u32; nodes + 1];
        for (node, _) in items {
            starts[*node as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        // Each start moves to its end while its group is filled.
        let mut grouped = vec![T::default(); items.len()];
        for &(node, item) in items {
            let at = &mut starts[node as usize];
            grouped[*at as usize] = item;
            *at += 1;
        }
        starts.truncate(nodes);
        Self {
            ends: starts,
            items: grouped,
        }
    }

    fn of(&self, node: Node) -> &[T] {
        let node = node as usize;
        let end = self.ends.get(node).copied().unwrap_or_default();
        let start = if node == 0 {
            0
        } else {
            self.ends.get(node - 1).copied().unwrap_or_default()
        };
        &self.items[start as usize..end as usize]
    }
}

/// Collects a table while it is read.
pub(super) struct Collector {
    paraphrases: Paraphrases,
    nodes: u32,
    from: Node,
    entries: Vec<(Node, Node)>,
    /// Words of the phrase at hand.
    phrase: Vec<u32>,
}

impl Collector {
    /// Keeps every entry.
    pub(super) fn all() -> Self {
        Self {
            paraphrases: Paraphrases::default(),
            nodes: 1,
            from: ROOT,
            entries: Vec::new(),
            phrase: Vec::new(),
        }
    }

    /// Keeps the entries that captions need; [`Self::see`] must get all their words first.
    pub(super) fn for_captions() -> Self {
        let mut this = Self::all();
        this.paraphrases.neighbours = Some(HashSet::new());
        this
    }

    /// A word of a caption and the one before it; returns the word's number for the next call.
    pub(super) fn see(&mut self, before: Option<u32>, word: &str) -> u32 {
        let word = self.intern(word.as_bytes());
        self.see_known(before, word);
        word
    }

    /// The same for a word that has its number.
    pub(super) fn see_known(&mut self, before: Option<u32>, word: u32) {
        if let (Some(neighbours), Some(before)) = (&mut self.paraphrases.neighbours, before) {
            neighbours.insert((before, word));
        }
    }

    /// The words seen and their numbers.
    pub(super) fn words(&self) -> impl Iterator<Item = (&str, u32)> {
        let text = |word| std::str::from_utf8(word).expect("words of captions are UTF-8");
        let words = self.paraphrases.words.iter();
        words.map(move |(word, &number)| (text(word), number))
    }

    /// The number of a word, new or not.
    pub(super) fn intern(&mut self, word: &[u8]) -> u32 {
        let next = u32::try_from(self.paraphrases.words.len()).expect("fewer than 2^32 words");
        *self.paraphrases.words.entry_ref(word).or_insert(next)
    }

    /// The node of a phrase, new or not; none if a word isn't wanted.
    fn node(&mut self, phrase: &[u8]) -> Option<Node> {
        let mut words = std::mem::take(&mut self.phrase);
        words.clear();
        let all_wanted = split(phrase).all(|word| {
            let Some(neighbours) = &self.paraphrases.neighbours else {
                let word = self.intern(word);
                words.push(word);
                return true;
            };
            let Some(&word) = self.paraphrases.words.get(word) else {
                return false;
            };
            let fits = words
                .last()
                .is_none_or(|&before| neighbours.contains(&(before, word)));
            words.push(word);
            fits
        });
        let node = all_wanted.then(|| {
            words.iter().fold(ROOT, |node, &word| {
                *self
                    .paraphrases
                    .children
                    .entry((node, word))
                    .or_insert_with(|| {
                        self.nodes = self.nodes.checked_add(1).expect("fewer than 2^32 phrases");
                        self.nodes - 1
                    })
            })
        });
        self.phrase = words;
        node
    }

    /// The table, once all entries were seen.
    pub(super) fn finish(self) -> Paraphrases {
        let Self {
            mut paraphrases,
            nodes,
            mut entries,
            ..
        } = self;
        let nodes = nodes as usize;
        paraphrases.forward = Grouped::new(nodes, &entries);
        // Stable: the entries of a phrase stay in the order of the table, wherever they stood.
        entries.sort_by_key(|&(from, _)| from);
        let mut backward = Vec::with_capacity(entries.len());
        for group in entries.chunk_by(|a, b| a.0 == b.0) {
            backward.extend(
                (0..)
                    .zip(group)
                    .map(|(order, &(from, to))| (to, (from, order))),
            );
        }
        paraphrases.backward = Grouped::new(nodes, &backward);
        paraphrases.first = vec![ROOT; paraphrases.words.len()];
        paraphrases.is_phrase = vec![false; nodes];
        paraphrases.goes_on = vec![false; nodes];
        for (&(before, word), &node) in &paraphrases.children {
            match before {
                ROOT => paraphrases.first[word as usize] = node,
                _ => paraphrases.goes_on[before as usize] = true,
            }
        }
        for (from, to) in entries {
            paraphrases.is_phrase[from as usize] = true;
            paraphrases.is_phrase[to as usize] = true;
        }
        paraphrases
    }
}

impl Entries for Collector {
    fn phrase(&mut self, phrase: &[u8]) -> bool {
        let node = self.node(phrase);
        self.from = node.unwrap_or(ROOT);
        node.is_some()
    }

    fn paraphrase(&mut self, phrase: &[u8]) {
        if let Some(to) = self.node(phrase) {
            self.entries.push((self.from, to));
        }
    }
}

/// The words of a phrase: METEOR splits at blanks, tabs, line ends and form feeds.
fn split(phrase: &[u8]) -> impl Iterator<Item = &[u8]> {
    phrase
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

impl Paraphrases {
    /// Number of entries kept.
    pub(super) fn len(&self) -> usize {
        self.forward.items.len()
    }

    /// Whether a word may follow another in a sentence that this table was made for.
    pub(super) fn covers(&self, before: Option<u32>, word: Option<u32>) -> bool {
        match (&self.neighbours, before, word) {
            (None, ..) => true,
            (Some(_), None, word) => word.is_some(),
            (Some(neighbours), Some(before), Some(word)) => neighbours.contains(&(before, word)),
            (Some(_), Some(_), None) => false,
        }
    }

    /// The table's number of a word.
    pub(super) fn word(&self, word: &str) -> Option<u32> {
        self.words.get(word.as_bytes()).copied()
    }

    /// The phrases of a sentence that have a part in some entry, by start, then by length.
    pub(super) fn occurrences(&self, words: &[Option<u32>]) -> Vec<Occurrence> {
        let mut found = Vec::with_capacity(2 * words.len());
        for start in 0..words.len() {
            let first = words[start].and_then(|word| self.first.get(word as usize));
            let Some(&first) = first.filter(|&&node| node != ROOT) else {
                continue;
            };
            let mut node = first;
            let mut length = 1;
            loop {
                if self.is_phrase[node as usize] {
                    found.push(Occurrence {
                        start,
                        length,
                        node,
                    });
                }
                if !self.goes_on[node as usize] {
                    break;
                }
                let next = words.get(start + length).copied().flatten();
                let child = next.and_then(|word| self.children.get(&(node, word)));
                let Some(&child) = child else { break };
                node = child;
                length += 1;
            }
        }
        found
    }

    /// All entries between the phrases of a candidate and those of its references: first those from a
    /// reference's phrase to a candidate's, then those the other way, each sorted.
    ///
    /// Asked once for all references of a candidate, because it walks through the candidate's lists.
    pub(super) fn pairs(
        &self,
        candidate: &[Occurrence],
        references: &[Vec<Occurrence>],
    ) -> (Vec<Pair>, Vec<Pair>) {
        let wanted = NodeSet::new(
            references
                .iter()
                .flatten()
                .map(|occurrence| occurrence.node),
        );
        let mut nodes: Vec<_> = candidate.iter().map(|occurrence| occurrence.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let (mut to_candidate, mut from_candidate) = (Vec::new(), Vec::new());
        for node in nodes {
            for (order, &to) in (0..).zip(self.forward.of(node)) {
                if wanted.contains(to) {
                    from_candidate.push(Pair {
                        from: node,
                        order,
                        to,
                    });
                }
            }
            for &(from, order) in self.backward.of(node) {
                if wanted.contains(from) {
                    to_candidate.push(Pair {
                        from,
                        order,
                        to: node,
                    });
                }
            }
        }
        to_candidate.sort_unstable();
        (to_candidate, from_candidate)
    }
}

/// A few nodes: a bit for each remainder rules most others out before the search.
struct NodeSet {
    bits: [u64; 64],
    sorted: Vec<Node>,
}

impl NodeSet {
    fn new(nodes: impl Iterator<Item = Node>) -> Self {
        let mut sorted: Vec<_> = nodes.collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut bits = [0; 64];
        for &node in &sorted {
            bits[(node >> 6) as usize % 64] |= 1 << (node % 64);
        }
        Self { bits, sorted }
    }

    fn contains(&self, node: Node) -> bool {
        let bit = self.bits[(node >> 6) as usize % 64] >> (node % 64) & 1;
        bit == 1 && self.sorted.binary_search(&node).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::matches::{self, Candidate, Match, PARAPHRASE, Pairs, Sentence, Span};
    use super::super::vocabulary::{Knowledge, Word};
    use super::*;

    type Table = Vec<(Vec<char>, Vec<char>)>;

    fn text(phrase: &[char]) -> Vec<u8> {
        phrase.iter().flat_map(|&c| [c as u8, b' ']).collect()
    }

    fn collect(mut collector: Collector, table: &Table) -> Paraphrases {
        for (from, to) in table {
            if collector.phrase(&text(from)) {
                collector.paraphrase(&text(to));
            }
        }
        collector.finish()
    }

    /// METEOR's way: each phrase of one sentence, each entry of the table in order, each place in the other.
    fn slow(table: &Table, candidate: &[char], reference: &[char]) -> Vec<Match> {
        let mut found = Vec::new();
        for (from_reference, from, to) in
            [(true, reference, candidate), (false, candidate, reference)]
        {
            for start in 0..from.len() {
                for length in 1..=from.len() - start {
                    for (_, paraphrase) in table
                        .iter()
                        .filter(|(a, _)| *a == from[start..start + length])
                    {
                        for at in 0..to.len() {
                            if to[at..].starts_with(paraphrase) {
                                let here = Span { start, length };
                                let there = Span {
                                    start: at,
                                    length: paraphrase.len(),
                                };
                                let (reference, candidate) = if from_reference {
                                    (here, there)
                                } else {
                                    (there, here)
                                };
                                found.push(Match {
                                    reference,
                                    candidate,
                                    module: PARAPHRASE,
                                });
                            }
                        }
                    }
                }
            }
        }
        found.sort_by_key(|m| m.reference.start);
        found
    }

    fn fast(
        paraphrases: &Paraphrases,
        candidate: &[char],
        references: &[Vec<char>],
        which: usize,
    ) -> Vec<Match> {
        // Keys that never agree: only paraphrases match.
        let words = |sentence: &[char], first: i32| -> Vec<Word> {
            let plain = Knowledge::new().word("x", None);
            (first..)
                .zip(sentence)
                .map(|(key, _)| Word {
                    key,
                    stem: key,
                    ..plain.clone()
                })
                .collect()
        };
        let phrases = |sentence: &[char]| {
            let numbers: Vec<_> = sentence
                .iter()
                .map(|c| paraphrases.word(&c.to_string()))
                .collect();
            paraphrases.occurrences(&numbers)
        };
        let in_candidate = phrases(candidate);
        let in_references: Vec<_> = references
            .iter()
            .map(|reference| phrases(reference))
            .collect();
        let (to_candidate, from_candidate) = paraphrases.pairs(&in_candidate, &in_references);
        let (a, b) = (words(candidate, 0), words(&references[which], 1000));
        let (a, b): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
        matches::all(
            &Candidate::new(Sentence {
                words: &a,
                phrases: &in_candidate,
            }),
            Sentence {
                words: &b,
                phrases: &in_references[which],
            },
            Pairs {
                to_candidate: &to_candidate,
                from_candidate: &from_candidate,
            },
        )
    }

    fn phrase() -> impl Strategy<Value = Vec<char>> {
        prop::collection::vec(prop::char::range('a', 'c'), 1..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn matches_are_those_of_a_plain_search_in_the_same_order(
            table in prop::collection::vec((phrase(), phrase()), 0..30),
            candidate in prop::collection::vec(prop::char::range('a', 'd'), 0..7),
            references in prop::collection::vec(prop::collection::vec(prop::char::range('a', 'd'), 0..7), 1..4),
        ) {
            let all = collect(Collector::all(), &table);
            let mut collector = Collector::for_captions();
            for sentence in references.iter().chain([&candidate]) {
                let mut before = None;
                for word in sentence {
                    before = Some(collector.see(before, &word.to_string()));
                }
            }
            let few = collect(collector, &table);
            prop_assert_eq!(all.len(), table.len());
            prop_assert!(few.len() <= all.len());
            for (which, reference) in references.iter().enumerate() {
                let wanted = slow(&table, &candidate, reference);
                prop_assert_eq!(&fast(&all, &candidate, &references, which), &wanted);
                prop_assert_eq!(&fast(&few, &candidate, &references, which), &wanted);
            }
        }
    }

    #[test]
    fn only_phrases_that_can_occur_are_kept() {
        let mut collector = Collector::for_captions();
        let a = collector.see(None, "a");
        let b = collector.see(Some(a), "b");
        assert_ne!(a, b);
        let kept = collect(
            collector,
            &vec![
                (vec!['a', 'b'], vec!['b']),
                (vec!['b', 'a'], vec!['b']),
                (vec!['a'], vec!['c']),
                (vec!['a'], vec!['b', 'a']),
            ],
        );
        assert_eq!(kept.len(), 1);
        let (a, b, c) = (kept.word("a"), kept.word("b"), kept.word("c"));
        assert!(kept.covers(None, a) && kept.covers(None, b) && kept.covers(a, b));
        assert!(!kept.covers(b, a) && !kept.covers(None, c) && !kept.covers(a, c));
        let all = collect(Collector::all(), &Vec::new());
        assert!(all.covers(None, None) && all.covers(Some(1), None));
    }

    #[test]
    fn a_set_of_nodes_holds_these_and_no_others() {
        // 5 and 4101 have the same bit; 70 has another word's.
        let nodes: [Node; 4] = [70, 5, 12_289, 5];
        let set = NodeSet::new(nodes.into_iter());
        for node in 0..20_000 {
            assert_eq!(set.contains(node), nodes.contains(&node), "{node}");
        }
    }
}
