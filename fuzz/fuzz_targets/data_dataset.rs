//! Any bytes as a dataset of each form: an error with a hint, or pictures that can be checked, encoded and packed.
#![no_main]

use std::path::Path;

use data::check::{CheckOptions, check};
use data::{Dataset, Encoded, Packed, Split, SplitRule, Vocabulary};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["f.json", "f.csv", "f.jsonl", "f.token.txt"];

fuzz_target!(|bytes: &[u8]| {
    // Each form, so that any dataset file is a seed as it is.
    NAMES
        .into_iter()
        .for_each(|name| read(bytes, Path::new(name)));
});

fn read(bytes: &[u8], path: &Path) {
    match Dataset::parse(bytes.to_vec(), path, SplitRule::default()) {
        Err(error) => {
            assert!(!error.is_io());
            error.to_string();
            error.hint();
        }
        Ok(dataset) => {
            check(&dataset, None, &CheckOptions::default());
            let captions = dataset.captions(Split::Train).map(|(_, c)| &c.tokens);
            let vocabulary = Vocabulary::from_captions(captions, 1);
            let encoded = Encoded::new(&dataset, &vocabulary, &Split::ALL);
            let sentences = encoded.images.into_iter().flat_map(|i| i.sentences);
            let mut sentences: Vec<Vec<u32>> = sentences.collect();
            sentences.sort_by_key(|s| std::cmp::Reverse(s.len()));
            Packed::new(&sentences);
        }
    }
}
