//! METEOR of any captions: no panic, a score between 0 and 1, the same for a METEOR made for just these captions,
//! and as a corpus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics::Corpus;
use metrics::meteor::Meteor;

fuzz_target!(|captions: Vec<String>| {
    let Some((candidate, references)) = captions.split_first() else {
        return;
    };
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    let any = Meteor::open(None).expect("no data");
    let these = Meteor::open_for(None, captions.iter().map(String::as_str)).expect("no data");
    let statistics = any.statistics(candidate, &references);
    assert!((0.0..=1.0).contains(&statistics.score()), "{statistics}");
    assert_eq!(statistics, these.statistics(candidate, &references));
    let mut corpus = Corpus::new();
    corpus.push("image", candidate, &references);
    assert_eq!([statistics], *any.corpus_statistics(&corpus));
});
