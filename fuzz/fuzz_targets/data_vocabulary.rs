//! Any bytes as a stored vocabulary: an error, or one that is written and read back equal.
#![no_main]

use data::Vocabulary;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(vocabulary) = serde_json::from_slice::<Vocabulary>(bytes) {
        let text = serde_json::to_vec(&vocabulary).expect("words and counts");
        let again: Vocabulary = serde_json::from_slice(&text).expect("our own text");
        assert_eq!(again, vocabulary);
        vocabulary.initial_bias();
        let ids = vocabulary.encode(vocabulary.words());
        assert!(ids.iter().all(|&id| id != Vocabulary::END));
    }
});
