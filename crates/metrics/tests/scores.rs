//! The table of scores: names, order, warnings, text, comparisons.

use metrics::bleu::BleuCounts;
use metrics::document_frequency::DocumentFrequencies;
use metrics::meteor::Meteor;
use metrics::significance::Bootstrap;
use metrics::{Corpus, Metric, Options, Scores, score, score_while_loading};

fn corpus(candidates: &[&str]) -> Corpus {
    let references = [
        ["a dog runs on grass", "the dog is running"],
        ["two men sit", "men sitting on a bench"],
    ];
    let mut corpus = Corpus::new();
    for (i, candidate) in candidates.iter().enumerate() {
        corpus.push(format!("img{i}"), candidate, &references[i % 2]);
    }
    corpus
}

fn all(meteor: Option<&Meteor>) -> Options<'_> {
    Options {
        metrics: Metric::ALL.to_vec(),
        meteor,
        ..Options::default()
    }
}

#[test]
fn names_lead_back_to_metrics() {
    for metric in Metric::ALL {
        assert_eq!(metric.name().parse(), Ok(metric));
    }
    let error = "spice".parse::<Metric>().expect_err("there is none");
    assert_eq!(
        error,
        "there is no metric `spice`; there are bleu, standard-bleu, meteor, rouge, cider, plain-cider"
    );
}

#[test]
fn the_table_as_text() {
    let meteor = Meteor::open(None).expect("no data");
    let scores = score(
        &corpus(&["a dog runs on grass", "two men"]),
        &all(Some(&meteor)),
    );
    let names: Vec<_> = scores.scores.iter().map(|s| s.name.as_str()).collect();
    let want = [
        "BLEU-1",
        "BLEU-2",
        "BLEU-3",
        "BLEU-4",
        "BLEU-1 (standard)",
        "BLEU-2 (standard)",
        "BLEU-3 (standard)",
        "BLEU-4 (standard)",
        "METEOR (exact, stem)",
        "ROUGE-L",
        "CIDEr",
        "plain CIDEr (0 to 1)",
    ];
    assert_eq!(names, want);
    let text = scores.to_string();
    assert_eq!(text.lines().count(), 12);
    // 7 of 7 words, 7 against 8: exp(1 - 8/7).
    assert_eq!(text.lines().next(), Some("BLEU-1                0.8669"));
    assert!(
        (scores.get("BLEU-1 (standard)").expect("BLEU") - (1.0f64 - 8.0 / 7.0).exp()).abs() < 1e-12
    );
    assert_eq!(
        (scores.ids.as_slice(), scores.get("SPICE")),
        (&["img0".to_owned(), "img1".to_owned()][..], None)
    );
    assert_eq!(scores.scores[8].images[0], 1.0);
}

#[test]
fn coco_captions_four_are_the_default() {
    let scores = score(&corpus(&["a dog", "men"]), &Options::default());
    let names: Vec<_> = scores.scores.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"]
    );
    assert_eq!(scores.warnings.len(), 2, "{:?}", scores.warnings);
    assert!(
        scores
            .warnings
            .iter()
            .any(|w| w.contains("METEOR was not computed"))
    );
}

#[test]
fn a_meteor_that_is_still_loading_gives_the_same_tables() {
    let corpora = [corpus(&["a dog runs", "two men"]), corpus(&["dog", "men"])];
    let loaded = Meteor::open(None).expect("no data");
    for meteor in [Some(&loaded), None] {
        let load = || match meteor {
            Some(_) => Meteor::open(None).map(Some),
            None => Ok(None),
        };
        let loading = score_while_loading(&corpora, &all(None), load).expect("no data");
        let want = corpora.each_ref().map(|c| score(c, &all(meteor)));
        assert_eq!(
            serde_json::to_value(&loading).expect("JSON"),
            serde_json::to_value(want).expect("JSON")
        );
    }
    let failed = score_while_loading(&corpora, &all(None), || Err("damaged"));
    assert_eq!(failed.expect_err("a METEOR is wanted"), "damaged");
}

#[test]
fn small_corpora_are_warned_about() {
    let warnings = |images: usize, metric| {
        let corpus = corpus(&vec!["a dog"; images]);
        score(
            &corpus,
            &Options {
                metrics: vec![metric],
                ..Options::default()
            },
        )
        .warnings
        .concat()
    };
    assert!(warnings(0, Metric::Cider).contains("0 by definition"));
    assert!(warnings(1, Metric::PlainCider).contains("0 by definition"));
    assert!(warnings(2, Metric::Cider).contains("only 2 images"));
    assert!(warnings(99, Metric::Cider).contains("only 99 images"));
    assert_eq!(warnings(100, Metric::Cider), "");
    assert_eq!(warnings(1, Metric::Bleu), "");
    let saved = DocumentFrequencies::count(&corpus(&vec!["a"; 100]));
    let options = Options {
        metrics: vec![Metric::Cider],
        document_frequencies: Some(&saved),
        ..Options::default()
    };
    assert_eq!(score(&corpus(&["a dog"]), &options).warnings.len(), 0);
}

#[test]
fn statistics_score_as_the_table_does() {
    let meteor = Meteor::open(None).expect("no data");
    let scores = score(
        &corpus(&["a dog runs", "two men sit", "dogs running", "a bench"]),
        &all(Some(&meteor)),
    );
    for score in &scores.scores {
        let statistics = score.statistics.as_ref().expect("statistics");
        assert_eq!(statistics.images(), 4);
        assert!(
            (statistics.score() - score.corpus).abs() < 1e-12,
            "{}",
            score.name
        );
    }
}

#[test]
fn two_systems_are_compared_by_name() {
    let meteor = Meteor::open(None).expect("no data");
    let good = ["a dog runs on grass", "two men sit"].repeat(20);
    let bad = ["a dog", "a cat sits"].repeat(20);
    let (good, bad) = (
        score(&corpus(&good), &all(Some(&meteor))),
        score(&corpus(&bad), &all(Some(&meteor))),
    );
    let compared = bad.compare(
        &good,
        &Bootstrap {
            draws: 200,
            seed: 1,
        },
    );
    assert_eq!(compared.len(), 12);
    for (name, comparison) in &compared {
        let difference = good.get(name).expect("the score") - bad.get(name).expect("the score");
        assert!(
            (comparison.difference.value - difference).abs() < 1e-12,
            "{name}"
        );
        assert!(
            comparison.difference.low > 0.0 && comparison.p < 0.02,
            "{name} {comparison:?}"
        );
    }
    let rouge = score(
        &corpus(&["a"; 40]),
        &Options {
            metrics: vec![Metric::Rouge],
            ..Options::default()
        },
    );
    assert_eq!(bad.compare(&rouge, &Bootstrap::default()).len(), 1);
    let fewer = score(
        &corpus(&["a"; 39]),
        &Options {
            metrics: vec![Metric::Rouge],
            ..Options::default()
        },
    );
    assert_eq!(bad.compare(&fewer, &Bootstrap::default()).len(), 0);
}

#[test]
fn tables_survive_json() {
    let scores = score(&corpus(&["a dog", "men"]), &all(None));
    let json = serde_json::to_string(&scores).expect("JSON");
    let back: Scores = serde_json::from_str(&json).expect("a table");
    assert_eq!(back.to_string(), scores.to_string());
    assert!(back.scores.iter().all(|s| s.statistics.is_none()));
}

#[test]
fn nothing_scores_zero() {
    let scores = score(&Corpus::new(), &all(None));
    assert!(
        scores
            .scores
            .iter()
            .all(|s| s.corpus == 0.0 && s.images.is_empty()),
        "{scores}"
    );
    let sum = [BleuCounts {
        candidate_length: 2,
        ..BleuCounts::default()
    }; 2]
        .into_iter()
        .sum::<BleuCounts>();
    assert_eq!(sum.candidate_length, 4);
}
