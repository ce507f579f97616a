//! The Penn Treebank tokenizer on any text: no panic, no empty token, and a caption's tokens are never padded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics::Tokenizer;
use metrics::tokenizer::captions;

fuzz_target!(|text: &str| {
    let mut tokenizer = Tokenizer::new();
    assert!(
        tokenizer
            .tokenize(text)
            .iter()
            .all(|token| !token.is_empty()),
        "{text:?}"
    );
    let caption = tokenizer.caption(text);
    assert!(
        !caption.starts_with(' ') && !caption.ends_with(' '),
        "{caption:?}"
    );
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(captions(&lines).len(), lines.len());
});
