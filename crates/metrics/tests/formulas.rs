//! Every formula once more, slowly, from its definition; and values worked out by hand.
//!
//! Here: BLEU and CIDEr against plain versions on random corpora, saved document frequencies, the standard BLEU.

use std::collections::{BTreeMap, BTreeSet};

use metrics::bleu::{BleuCounts, bleu_counts};
use metrics::document_frequency::{DocumentFrequencies, FrequencyError};
use metrics::{Corpus, MAX_ORDER, Metric, Options, score};
use proptest::prelude::*;

type Caption = Vec<String>;
type Images = Vec<(Caption, Vec<Caption>)>;

fn corpus(images: &Images) -> Corpus {
    let mut corpus = Corpus::new();
    for (i, (candidate, references)) in images.iter().enumerate() {
        let references: Vec<_> = references.iter().map(|r| r.join(" ")).collect();
        corpus.push(i.to_string(), &candidate.join(" "), &references);
    }
    corpus
}

fn ngrams(caption: &Caption, order: usize) -> BTreeMap<Caption, f64> {
    let mut counts = BTreeMap::new();
    caption
        .windows(order)
        .for_each(|ngram| *counts.entry(ngram.to_vec()).or_insert(0.0) += 1.0);
    counts
}

/// Papineni's counts, image by image.
fn plain_bleu(images: &Images) -> Vec<BleuCounts> {
    let image = |(candidate, references): &(Caption, Vec<Caption>)| {
        let mut counts = BleuCounts {
            candidate_length: candidate.len() as u64,
            ..BleuCounts::default()
        };
        let closest = |r: &Caption| (r.len().abs_diff(candidate.len()), r.len());
        counts.reference_length =
            references.iter().map(closest).min().expect("references").1 as u64;
        for order in 1..=MAX_ORDER {
            let references: Vec<_> = references.iter().map(|r| ngrams(r, order)).collect();
            for (ngram, times) in ngrams(candidate, order) {
                let most = references
                    .iter()
                    .filter_map(|r| r.get(&ngram))
                    .fold(0.0, |a: f64, b| a.max(*b));
                counts.ngrams[order - 1] += times as u64;
                counts.matches[order - 1] += times.min(most) as u64;
            }
        }
        counts
    };
    images.iter().map(image).collect()
}

/// CIDEr-D times 10 or plain CIDEr, from the equations.
fn plain_cider(images: &Images, clipped: bool) -> Vec<f64> {
    let mut df: BTreeMap<Caption, f64> = BTreeMap::new();
    for (_, references) in images {
        let mine: BTreeSet<_> = references
            .iter()
            .flat_map(|r| (1..=4).flat_map(|n| ngrams(r, n).into_keys()))
            .collect();
        mine.into_iter()
            .for_each(|ngram| *df.entry(ngram).or_default() += 1.0);
    }
    let weigh = |caption: &Caption, order| -> BTreeMap<Caption, f64> {
        let weight =
            |ngram: &Caption| (images.len() as f64).ln() - df.get(ngram).map_or(0.0, |df| df.ln());
        ngrams(caption, order)
            .into_iter()
            .map(|(ngram, times)| (ngram.clone(), times * weight(&ngram)))
            .collect()
    };
    let norm = |g: &BTreeMap<Caption, f64>| g.values().map(|x| x * x).sum::<f64>().sqrt();
    let image = |(candidate, references): &(Caption, Vec<Caption>)| {
        let mut total = 0.0;
        for reference in references {
            for order in 1..=4 {
                let (c, r) = (weigh(candidate, order), weigh(reference, order));
                let product = |(ngram, x): (&Caption, &f64)| {
                    let y = r.get(ngram).copied().unwrap_or(0.0);
                    if clipped { x.min(y) * y } else { x * y }
                };
                let norms = norm(&c) * norm(&r);
                let cosine =
                    c.iter().map(product).sum::<f64>() / if norms == 0.0 { 1.0 } else { norms };
                let bigrams = |caption: &Caption| caption.len().max(1) as f64;
                let gauss = (-(bigrams(candidate) - bigrams(reference)).powi(2) / 72.0).exp();
                total += if clipped {
                    10.0 * cosine * gauss
                } else {
                    cosine
                };
            }
        }
        total / 4.0 / references.len() as f64
    };
    images.iter().map(image).collect()
}

fn caption() -> impl Strategy<Value = Caption> {
    prop::collection::vec("[abcde]", 0..12)
}

fn images() -> impl Strategy<Value = Images> {
    prop::collection::vec((caption(), prop::collection::vec(caption(), 1..5)), 1..7)
}

fn close(found: &[f64], want: &[f64]) -> bool {
    found.len() == want.len() && found.iter().zip(want).all(|(f, w)| (f - w).abs() < 1e-10)
}

proptest! {
    #[test]
    fn bleu_counts_are_papinenis(images in images()) {
        prop_assert_eq!(bleu_counts(&corpus(&images)), plain_bleu(&images));
    }

    #[test]
    fn cider_is_the_papers(images in images()) {
        let metrics = vec![Metric::Cider, Metric::PlainCider];
        let scores = score(&corpus(&images), &Options { metrics, ..Options::default() });
        prop_assert!(close(&scores.scores[0].images, &plain_cider(&images, true)), "clipped");
        prop_assert!(close(&scores.scores[1].images, &plain_cider(&images, false)), "plain");
    }

    #[test]
    fn saved_document_frequencies_score_as_the_references_do(images in images()) {
        let corpus = corpus(&images);
        let mut file = Vec::new();
        DocumentFrequencies::count(&corpus).write(&mut file).expect("memory");
        let saved = DocumentFrequencies::read(file.as_slice()).expect("what was written");
        prop_assert_eq!(&saved, &DocumentFrequencies::count(&corpus));
        let options = Options { metrics: vec![Metric::Cider, Metric::PlainCider], ..Options::default() };
        let (own, with) = (score(&corpus, &options), score(&corpus, &Options { document_frequencies: Some(&saved), ..options.clone() }));
        for (own, with) in own.scores.iter().zip(&with.scores) {
            prop_assert_eq!(&own.images, &with.images);
        }
    }

    #[test]
    fn any_text_scores_without_a_panic(lines in prop::collection::vec(".{0,20}", 3)) {
        let mut corpus = Corpus::new();
        corpus.push("1", &lines[0], &lines[1..]);
        let scores = score(&corpus, &Options { metrics: Metric::ALL.to_vec(), ..Options::default() });
        prop_assert!(scores.scores.iter().all(|s| s.corpus.is_finite() && s.images.iter().all(|x| x.is_finite())));
    }
}

#[test]
fn standard_bleu_by_hand() {
    // Papineni et al. 2002, section 2.1, example 2: 2 of 7; the candidate has 7 words, the references 6 and 7.
    let counts = |candidate: &str, references: &[&str]| {
        let mut corpus = Corpus::new();
        corpus.push("", candidate, references);
        bleu_counts(&corpus)[0]
    };
    let the = counts(
        "the the the the the the the",
        &["the cat is on the mat", "there is a cat on the mat"],
    );
    assert_eq!(
        (the.matches[0], the.ngrams[0], the.reference_length),
        (2, 7, 7)
    );
    assert!((the.standard()[0] - 2.0 / 7.0).abs() < 1e-15);
    assert_eq!(the.standard()[1..], [0.0; 3]);
    // 3 words against 4: the penalty is exp(1 - 4/3); all n-grams match, and there is no 4-gram.
    let short = counts("a b c", &["a b c d"]).standard();
    let penalty = (-1.0f64 / 3.0).exp();
    assert!(
        short[..3].iter().all(|b| (b - penalty).abs() < 1e-15) && short[3] == 0.0,
        "{short:?}"
    );
    // No penalty at equal and at greater length: 4 of 5, 3 of 4, 2 of 3, 1 of 2.
    let long = counts("a b c d x", &["a b c d"]).standard();
    let want = [0.8, 0.6f64.sqrt(), 0.4f64.cbrt(), 0.2f64.powf(0.25)];
    assert!(close(&long, &want), "{long:?}");
    assert!(close(
        &counts("a b c d", &["a b c d"]).standard(),
        &[1.0; 4]
    ));
    assert_eq!(counts("", &["a"]).standard(), [0.0; 4]);
}

#[test]
fn an_image_without_references_scores_nothing() {
    let mut corpus = Corpus::new();
    corpus.push::<&str>("1", "a b", &[]);
    corpus.push("2", "a b", &["a b"]);
    let scores = score(
        &corpus,
        &Options {
            metrics: Metric::ALL.to_vec(),
            ..Options::default()
        },
    );
    let of = |name: &str| {
        scores
            .scores
            .iter()
            .find(|s| s.name == name)
            .expect("the score")
            .images[0]
    };
    assert_eq!(
        (of("ROUGE-L"), of("CIDEr"), of("plain CIDEr (0 to 1)")),
        (0.0, 0.0, 0.0)
    );
    assert_eq!(bleu_counts(&corpus)[0].reference_length, 0);
}

#[test]
fn frequencies_are_of_references_only() {
    let mut corpus = Corpus::new();
    assert!(DocumentFrequencies::count(&corpus).is_empty());
    corpus.push("1", "cat", &["a dog", "a a"]);
    corpus.push("2", "cat", &["dog"]);
    let counted = DocumentFrequencies::count(&corpus);
    // a, dog, "a dog", "a a".
    assert_eq!(
        (counted.images(), counted.len(), counted.is_empty()),
        (2, 4, false)
    );
    let of = |ngram| counted.get(ngram);
    assert_eq!([of("a"), of("dog"), of("a a"), of("cat")], [1, 2, 1, 0]);
}

#[test]
fn frequency_files_that_are_refused() {
    let read = |text: &str| DocumentFrequencies::read(text.as_bytes()).expect_err("refused");
    let head = r#""format":"neuraltalk document frequencies","version":1"#;
    assert!(matches!(read("{"), FrequencyError::Json(_)));
    assert!(matches!(
        read(r#"{"format":"x","version":1,"images":1,"counts":{}}"#),
        FrequencyError::Format { version: 1, .. }
    ));
    let newer = head.replace(":1", ":2");
    assert!(matches!(
        read(&format!("{{{newer},\"images\":1,\"counts\":{{}}}}")),
        FrequencyError::Format { version: 2, .. }
    ));
    for count in ["0", "3"] {
        let error = read(&format!(
            "{{{head},\"images\":2,\"counts\":{{\"a\":1,\"a dog\":{count}}}}}"
        ));
        assert_eq!(
            error.to_string(),
            format!("\"a dog\" occurs in {count} of 2 images")
        );
        assert!(error.hint().expect("a hint").contains("again"));
    }
    let good = format!("{{{head},\"images\":2,\"counts\":{{\"a\":1,\"a dog\":2}}}}");
    let good = DocumentFrequencies::read(good.as_bytes()).expect("good");
    assert_eq!(
        (
            good.images(),
            good.get("a"),
            good.get("a dog"),
            good.get("cat")
        ),
        (2, 1, 2, 0)
    );
}

#[test]
fn cider_worked_out_by_hand() {
    let mut corpus = Corpus::new();
    corpus.push("1", "a b", &["a b c"]);
    corpus.push("2", "c", &["c d"]);
    let options = |metric| Options {
        metrics: vec![metric],
        ..Options::default()
    };
    // Two images: a, b, a b, b c, a b c weigh ln 2; c is in both and weighs nothing. Order 1: (a b) with (a b): 1;
    // order 2: (a b) with (a b, b c): 1/√2; orders 3 and 4: none. Lengths differ by one bigram.
    let penalty = (-1.0 / 72.0_f64).exp();
    let mean = (1.0 + 0.5_f64.sqrt()) / 4.0;
    let coco = &score(&corpus, &options(Metric::Cider)).scores[0].images;
    assert!((coco[0] - 10.0 * mean * penalty).abs() < 1e-12, "{coco:?}");
    let plain = &score(&corpus, &options(Metric::PlainCider)).scores[0].images;
    assert!((plain[0] - mean).abs() < 1e-12, "{plain:?}");
    assert_eq!((coco[1], plain[1]), (0.0, 0.0));
}
