//! Recorded output of pycocoevalcap 1.2 and `multi-bleu.perl`: the same numbers, the same tokens, the same lines.
//!
//! The recordings are not in the repository; `NEURALTALK_SHARED` names the folder that has them.

use std::fs;
use std::path::PathBuf;

use metrics::multi_bleu::{multi_bleu, read_references};
use metrics::{Corpus, Metric, Options, Scores, Tokenizer, score};
use serde_json::Value;

/// The folder of recordings, or `None` and a word on standard error.
fn oracle(part: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("NEURALTALK_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("oracle").join(part);
    if !path.exists() {
        eprintln!("skipped: {} does not exist", path.display());
        return None;
    }
    Some(path)
}

fn json(path: &PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

const NAMES: [(&str, &str); 6] = [
    ("Bleu_1", "BLEU-1"),
    ("Bleu_2", "BLEU-2"),
    ("Bleu_3", "BLEU-3"),
    ("Bleu_4", "BLEU-4"),
    ("ROUGE_L", "ROUGE-L"),
    ("CIDEr", "CIDEr"),
];

fn scores(corpus: &Corpus) -> Scores {
    let metrics = vec![Metric::Bleu, Metric::Rouge, Metric::Cider];
    score(
        corpus,
        &Options {
            metrics,
            ..Options::default()
        },
    )
}

fn close(found: f64, want: &Value, what: &str) {
    let want = want.as_f64().expect("a number");
    assert!(
        (found - want).abs() <= 1e-9,
        "{what}: {found}, pycocoevalcap {want}"
    );
}

/// A caption split at white space, in lower case, as the recordings' second column.
fn lower_split(caption: &str) -> String {
    caption
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn compare_corpus(file: &str) {
    let Some(path) = oracle(file) else { return };
    let recording = json(&path);
    let items = recording["items"].as_array().expect("items");
    let mut tokenizer = Tokenizer::new();
    for (column, of_corpus) in [("scores_ptb", "corpus_ptb"), ("scores_ws", "corpus_ws")] {
        let mut tokens = |caption: &str| match column {
            "scores_ptb" => tokenizer.caption(caption),
            _ => lower_split(caption),
        };
        let mut corpus = Corpus::new();
        for item in items {
            let candidate = tokens(text(&item["cand"]));
            let references: Vec<_> = item["refs"]
                .as_array()
                .expect("references")
                .iter()
                .map(|r| tokens(text(r)))
                .collect();
            if column == "scores_ptb" {
                assert_eq!(candidate, text(&item["ptb_cand"]), "{}", item["id"]);
                let want: Vec<_> = item["ptb_refs"]
                    .as_array()
                    .expect("references")
                    .iter()
                    .map(text)
                    .collect();
                assert_eq!(references, want, "{}", item["id"]);
            }
            corpus.push(text(&item["id"]), &candidate, &references);
        }
        let scores = scores(&corpus);
        for (theirs, ours) in NAMES {
            let score = scores
                .scores
                .iter()
                .find(|score| score.name == ours)
                .expect("the score");
            close(
                score.corpus,
                &recording[of_corpus][theirs],
                &format!("{file} {of_corpus} {ours}"),
            );
            for (item, found) in items.iter().zip(&score.images) {
                close(
                    *found,
                    &item[column][theirs],
                    &format!("{file} {column} {ours} {}", item["id"]),
                );
            }
        }
    }
}

#[test]
fn edge_cases_as_one_corpus() {
    compare_corpus("metrics/edge/edge_cases.json");
}

#[test]
fn sixty_synthetic_images() {
    compare_corpus("metrics/synthetic/set60.json");
}

#[test]
fn edge_cases_each_alone() {
    let Some(path) = oracle("metrics/edge/edge_single_corpora.json") else {
        return;
    };
    let cases = json(&path.with_file_name("edge_cases.json"));
    let alone = json(&path);
    let items = cases["items"].as_array().expect("items");
    assert!(!items.is_empty());
    for item in items {
        let id = text(&item["id"]);
        let mut corpus = Corpus::new();
        let references: Vec<_> = item["ptb_refs"]
            .as_array()
            .expect("references")
            .iter()
            .map(text)
            .collect();
        corpus.push(id, text(&item["ptb_cand"]), &references);
        let scores = scores(&corpus);
        for (theirs, ours) in NAMES {
            close(
                scores.get(ours).expect("the score"),
                &alone[id]["scores"][theirs],
                &format!("{id} {ours}"),
            );
        }
        assert_eq!(
            scores.warnings.len(),
            1,
            "CIDEr of one image says why it is 0"
        );
    }
}

#[test]
fn tricky_tokens() {
    let Some(path) = oracle("metrics/tokenizer/ptb_tricky.json") else {
        return;
    };
    let rows = json(&path);
    let rows = rows["rows"].as_array().expect("rows");
    assert!(!rows.is_empty());
    let mut tokenizer = Tokenizer::new();
    for (i, row) in rows.iter().enumerate() {
        let input = text(&row["input"]);
        // They were lines of one file: what follows a line can matter, and some lines were not recorded.
        let follows = |next: &&Value| next["i"].as_u64() == row["i"].as_u64().map(|i| i + 1);
        if let Some(next) = rows.get(i + 1).filter(follows) {
            let tokens = tokenizer.tokenize(&format!("{input}\n{}", text(&next["input"])));
            let line: Vec<_> = tokens
                .iter()
                .take_while(|token| *token != "\n")
                .cloned()
                .collect();
            assert_eq!(line.join(" "), text(&row["cased"]), "{input:?}");
        }
        assert_eq!(tokenizer.caption(input), text(&row["pycoco"]), "{input:?}");
    }
}

#[test]
fn multi_bleu_character_for_character() {
    let Some(path) = oracle("nt1/multibleu") else {
        return;
    };
    let expected = json(&path.join("expected.json"));
    let expected = expected.as_object().expect("cases");
    assert!(!expected.is_empty());
    for (case, runs) in expected {
        let folder = path.join(case);
        let candidates = fs::read(folder.join("output")).expect("output");
        let references = read_references(&folder.join("reference")).expect("references");
        for (run, lowercase) in [("plain", false), ("lc", true)] {
            let result = multi_bleu(&candidates, &references, lowercase);
            assert_eq!(
                format!("{result}\n"),
                text(&runs[run]["stdout"]),
                "{case} {run}"
            );
            assert_eq!(
                u64::from(result.exit_code()),
                runs[run]["rc"],
                "{case} {run}"
            );
        }
    }
}
