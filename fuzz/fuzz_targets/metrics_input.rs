//! Every reader of caption files on any bytes: an answer; what is read is paired with itself and scored.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics::input::{
    Tokenization, pair, parse_annotations, parse_candidates, parse_json_lines, parse_references,
    parse_result_struct, parse_results,
};
use metrics::{Metric, Options, score};

fuzz_target!(|bytes: &[u8]| {
    let halves = bytes.split_at(bytes.len() / 2);
    let read = [
        parse_results(bytes),
        parse_annotations(bytes),
        parse_json_lines(bytes),
        parse_result_struct(bytes).map(|both| both.0),
        parse_candidates(bytes),
        parse_references(&[halves.0, halves.1]),
    ];
    for captions in read.into_iter().flatten() {
        let pairs = pair(&captions, &captions, false).expect("not strict");
        let corpus = pairs.corpus(Tokenization::Ptb);
        let scores = score(
            &corpus,
            &Options {
                metrics: Metric::ALL.to_vec(),
                ..Options::default()
            },
        );
        assert!(scores.scores.iter().all(|score| score.corpus.is_finite()));
    }
});
