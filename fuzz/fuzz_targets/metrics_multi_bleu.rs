//! The Perl script's BLEU on any bytes: a line, and no score above 100.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics::multi_bleu::multi_bleu;

fuzz_target!(|input: (bool, &[u8], Vec<Vec<u8>>)| {
    let (lowercase, candidates, references) = input;
    let result = multi_bleu(candidates, &references, lowercase);
    assert!(result.to_string().starts_with("BLEU = "));
    assert!(
        result
            .bleu()
            .iter()
            .all(|bleu| (0.0..=100.0 + 1e-9).contains(bleu)),
        "{result}"
    );
});
