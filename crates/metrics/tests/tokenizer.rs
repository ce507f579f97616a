//! The tokenizer on cases written for its rules; their tokens were printed by Stanford CoreNLP 3.4.1.
//!
//! `ptb_cases.jsonl` holds text and tokens, `"\n"` for a line end. Any other text: no panic, and captions of a list
//! are those of the list's pieces.

use metrics::Tokenizer;
use metrics::tokenizer::captions;
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn every_rule_gives_the_original_tokens() {
    let mut tokenizer = Tokenizer::new();
    let cases = include_str!("ptb_cases.jsonl");
    for case in cases.lines() {
        let case: Value = serde_json::from_str(case).expect("JSON");
        let text = case["text"].as_str().expect("text");
        let want: Vec<_> = case["tokens"]
            .as_array()
            .expect("tokens")
            .iter()
            .map(|t| t.as_str().expect("text"))
            .collect();
        assert_eq!(tokenizer.tokenize(text), want, "{text:?}");
    }
}

#[test]
fn captions_lose_punctuation_and_case() {
    let mut tokenizer = Tokenizer::default();
    let cases = [
        ("A Dog, (left) RUNS!?  ", "a dog -lrb- left -rrb- runs !?"),
        ("'' ' `` ` . ? ! , : - -- ... ;", ""),
        ("\"Stop\", it's 'x'", "stop it 's x"),
        ("two\nlines", "two lines"),
        ("a\r\u{85}b", "a b"),
        ("smile :(", "smile :-lrb-"),
        ("\u{1e9e} \u{130}", "\u{df} i\u{307}"),
        ("http://a.b/\u{2003}", "http://a.b/"),
        ("", ""),
    ];
    for (caption, want) in cases {
        assert_eq!(tokenizer.caption(caption), want, "{caption:?}");
    }
}

#[test]
fn the_next_caption_decides_what_a_last_full_stop_is() {
    assert_eq!(captions(&["plan B.", "The end"]), ["plan b", "the end"]);
    assert_eq!(captions(&["plan B.", "the end"]), ["plan b.", "the end"]);
    assert_eq!(captions(&["plan B.", "", "It is"]), ["plan b", "", "it is"]);
    // A list's last caption has no line behind it.
    assert_eq!(captions(&["x :(", "x :("]), ["x :-lrb-", "x -lrb-"]);
    assert_eq!(captions::<&str>(&[]), [""; 0]);
}

#[test]
fn long_lists_are_cut_into_blocks_without_a_trace() {
    let list: Vec<String> = (0..40_000)
        .map(|i| {
            format!(
                "{i} dogs sit in plan {}.",
                char::from(b'A' + (i % 26) as u8)
            )
        })
        .collect();
    let found = captions(&list);
    assert_eq!(found.len(), list.len());
    for (i, line) in found.iter().enumerate() {
        assert_eq!(
            *line,
            format!(
                "{i} dogs sit in plan {}.",
                char::from(b'a' + (i % 26) as u8)
            )
        );
    }
    // Next captions matter across blocks, too.
    let list: Vec<&str> = (0..40_000)
        .map(|i| if i % 2 == 0 { "plan B." } else { "The end" })
        .collect();
    assert!(
        captions(&list)
            .iter()
            .step_by(2)
            .all(|line| line == "plan b")
    );
}

proptest! {
    #[test]
    fn any_text_has_tokens(text in ".{0,80}") {
        let mut tokenizer = Tokenizer::new();
        tokenizer.tokenize(&text);
        let caption = tokenizer.caption(&text);
        prop_assert!(!caption.starts_with(' ') && !caption.ends_with(' ') && !caption.contains("  "), "{caption:?}");
    }

    #[test]
    fn marks_and_words_in_any_order(pieces in prop::collection::vec("[a-zA-Z]{1,3}|[-'.,!?:;<>&$()\\[\\]\"/0-9 ]{1,3}|[’“”…½é]", 0..12)) {
        let text = pieces.concat();
        let tokens = Tokenizer::new().tokenize(&text);
        prop_assert!(tokens.iter().all(|token| !token.is_empty() && !token.contains(' ')), "{tokens:?}");
    }
}
