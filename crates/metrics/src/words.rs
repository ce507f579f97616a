//! Words as numbers: each distinct word is stored once and compared as a `u32` afterwards.
//!
//! Here: the table. Not here: a model's vocabulary (`data::Vocabulary`), which drops rare words; this one
//! keeps every word that a corpus contains.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Distinct words in order of first appearance; a word's position is its id.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// All words, one after another.
    text: String,
    /// `text[ends[i - 1]..ends[i]]` is word i.
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Words {
    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no word has been seen yet.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All words, by id.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|id| self.word(id))
    }

    /// The word with this id.
    ///
    /// # Panics
    /// If the id did not come from this table.
    pub fn word(&self, id: u32) -> &str {
        word(&self.text, &self.ends, id)
    }

    /// The id of a word that was seen before.
    pub fn id(&self, word_: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(word_);
        self.table.find(hash, |&id| self.word(id) == word_).copied()
    }

    /// The id of a word, new or not.
    ///
    /// # Panics
    /// At the 2^32nd distinct word.
    pub fn intern(&mut self, word_: &str) -> u32 {
        let Self {
            text,
            ends,
            table,
            hasher,
        } = self;
        let hash = hasher.hash_one(word_);
        if let Some(&id) = table.find(hash, |&id| word(text, ends, id) == word_) {
            return id;
        }
        let id = u32::try_from(ends.len()).expect("fewer than 2^32 distinct words");
        text.push_str(word_);
        ends.push(text.len());
        table.insert_unique(hash, id, |&id| hasher.hash_one(word(text, ends, id)));
        id
    }
}

fn word<'t>(text: &'t str, ends: &[usize], id: u32) -> &'t str {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] };
    &text[start..ends[id]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_lead_back_to_the_word() {
        let mut words = Words::default();
        assert!(words.is_empty());
        let ids: Vec<u32> = ["a", "dog", "a", "", "chien", ""]
            .iter()
            .map(|w| words.intern(w))
            .collect();
        assert_eq!(ids, [0, 1, 0, 2, 3, 2]);
        assert_eq!(
            (0..4).map(|id| words.word(id)).collect::<Vec<_>>(),
            ["a", "dog", "", "chien"]
        );
        assert_eq!(
            (words.id("chien"), words.id("cat"), words.len()),
            (Some(3), None, 4)
        );
        assert!(!words.is_empty());
    }

    #[test]
    fn ten_thousand_words_survive_the_tables_growth() {
        let mut words = Words::default();
        for round in 0..2 {
            for i in 0..10_000u32 {
                assert_eq!(words.intern(&format!("word{i}")), i, "round {round}");
            }
        }
        assert_eq!(words.len(), 10_000);
    }
}
