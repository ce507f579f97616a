//! `eval` and `predict` against what NeuralTalk's own scripts printed and wrote.
//!
//! Source: `oracle/nt1/eval` and `oracle/nt1/predict`, made by the unmodified Python 2 programs
//! with NeuralTalk's `.p` checkpoints. Captions word for word, BLEU lines character for character,
//! log probabilities and perplexities within 1e-5 relative (ours are f32).

mod program;

use std::path::Path;

use program::{run_in, shared};
use serde_json::Value;

const VARIANTS: [&str; 4] = [
    "lstm_tanhC1",
    "rnn_relu0_once0",
    "rnn_relu0_once1",
    "rnn_relu1_once1",
];

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn close(found: &Value, expected: &Value, what: &str) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    let error = (found - expected).abs() / expected.abs();
    assert!(error < 1e-5, "{what}: {found}, expected {expected}");
}

/// The checkpoint in each protocol that is there.
fn checkpoints(oracle: &Path, variant: &str) -> Vec<std::path::PathBuf> {
    let folder = oracle.join("nt1/checkpoints");
    let both = ["p", "p2"].map(|ending| folder.join(format!("{variant}.{ending}")));
    both.into_iter().filter(|path| path.exists()).collect()
}

/// Blobs without what depends on the folder: references, caption; log probabilities by `close`.
fn compare_blobs(found: &Value, expected: &Value, what: &str) {
    let (found, expected) = (
        found["imgblobs"].as_array(),
        expected["imgblobs"].as_array(),
    );
    let (found, expected) = (found.unwrap(), expected.unwrap());
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found["imgid"], expected["imgid"], "{what}");
        assert_eq!(found["references"], expected["references"], "{what}");
        assert_eq!(
            found["candidate"]["text"], expected["candidate"]["text"],
            "{what}"
        );
        close(
            &found["candidate"]["logprob"],
            &expected["candidate"]["logprob"],
            what,
        );
        let name = |blob: &Value| {
            let path = blob["img_path"].as_str().unwrap();
            path.rsplit('/').next().unwrap().to_owned()
        };
        assert_eq!(name(found), name(expected), "{what}");
    }
}

#[test]
fn eval_is_eval_sentence_predictions() {
    let Some(oracle) = shared("oracle") else {
        return;
    };
    let dataset = oracle.join("data/flickr8k");
    let temporary = tempfile::tempdir().unwrap();
    for variant in VARIANTS {
        for beam in [1, 5, 20] {
            let golden = oracle.join(format!("nt1/eval/{variant}_beam{beam}"));
            let expected = json(&golden.with_extension("result_struct.json"));
            let printed = std::fs::read_to_string(golden.with_extension("stdout.txt")).unwrap();
            for checkpoint in checkpoints(&oracle, variant) {
                let what = format!("{} beam {beam}", checkpoint.display());
                let out = run_in(
                    temporary.path(),
                    &format!(
                        "eval {} --dataset {} --beam_size {beam} --verbose --threads 1",
                        checkpoint.display(),
                        dataset.display()
                    ),
                )
                .ok();
                let found = json(&temporary.path().join("result_struct.json"));
                compare_blobs(&found, &expected, &what);
                close(&found["gtppl"], &expected["gtppl"], &what);
                assert_eq!(
                    found["checkpoint_params"]["hidden_size"],
                    expected["checkpoint_params"]["hidden_size"]
                );
                // The BLEU line, and each picture's block but for the digits of f32.
                let bleu = |text: &str| -> Vec<String> {
                    let lines = text.lines().filter(|line| line.starts_with("BLEU = "));
                    lines.map(str::to_owned).collect()
                };
                assert_eq!(bleu(&out), bleu(&printed), "{what}");
                assert_eq!(blocks(&out), blocks(&printed), "{what}");
            }
        }
    }
}

/// `image`, `GT:` and `PRED:` lines, log probabilities cut to four digits.
fn blocks(text: &str) -> Vec<String> {
    let cut = |line: &str| match line.strip_prefix("PRED: (") {
        None => line.to_owned(),
        Some(rest) => {
            let (number, words) = rest.split_once(") ").unwrap_or((rest, ""));
            let number: f64 = number.trim_end_matches(')').parse().unwrap();
            format!("PRED: ({number:.3}) {words}")
        }
    };
    let wanted = |line: &&str| {
        ["image ", "GT: ", "PRED: "]
            .iter()
            .any(|p| line.starts_with(p))
    };
    text.lines().filter(wanted).map(cut).collect()
}

#[test]
fn eval_of_the_first_three_pictures() {
    let Some(oracle) = shared("oracle") else {
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let out = run_in(
        temporary.path(),
        &format!(
            "eval {} --dataset {} -b 5 -m 3 --result-struct-filename three.json",
            oracle.join("nt1/checkpoints/lstm_tanhC1.p2").display(),
            oracle.join("data/flickr8k").display()
        ),
    )
    .ok();
    let line = "BLEU = 38.2/22.2/15.2/10.9 (BP=1.000, ratio=0.944, hyp_len=34, ref_len=36)\n";
    assert!(out.starts_with(line), "{out}");
    let expected = json(&oracle.join("nt1/eval/lstm_tanhC1_beam5_m3.result_struct.json"));
    let found = json(&temporary.path().join("three.json"));
    compare_blobs(&found, &expected, "-m 3");
    close(&found["gtppl"], &expected["gtppl"], "-m 3");
    assert_eq!(found["params"]["max_images"], 3);
}

#[test]
fn perplexity_of_every_split() {
    let Some(oracle) = shared("oracle") else {
        return;
    };
    let expected = json(&oracle.join("nt1/eval/perplexity.json"));
    let temporary = tempfile::tempdir().unwrap();
    for variant in VARIANTS {
        for split in ["train", "val", "test"] {
            let line = format!(
                "eval {} --dataset {} --split {split} --json",
                oracle
                    .join(format!("nt1/checkpoints/{variant}.p2"))
                    .display(),
                oracle.join("data/flickr8k").display()
            );
            let out = run_in(temporary.path(), &line).ok();
            let found: Value = serde_json::from_str(&out).unwrap();
            let what = format!("{variant} {split}");
            close(
                &found["perplexity"],
                &expected[variant]["ppl2"][split],
                &what,
            );
        }
    }
}

#[test]
fn predict_is_predict_on_images() {
    let Some(oracle) = shared("oracle") else {
        return;
    };
    let Some(examples) = shared("data/example_images") else {
        return;
    };
    for variant in ["lstm_tanhC1", "rnn_relu1_once1"] {
        for beam in [1, 5] {
            let temporary = tempfile::tempdir().unwrap();
            let root = temporary.path();
            for name in ["tasks.txt", "vgg_feats.mat"] {
                std::fs::copy(examples.join(name), root.join(name)).unwrap();
            }
            let golden = oracle.join(format!("nt1/predict/{variant}_beam{beam}"));
            let out = run_in(
                root,
                &format!(
                    "predict {} --root_path . -b {beam} --verbose",
                    oracle
                        .join(format!("nt1/checkpoints/{variant}.p2"))
                        .display()
                ),
            )
            .ok();
            let what = format!("{variant} beam {beam}");
            let expected = json(&golden.with_extension("result_struct.json"));
            compare_blobs(&json(&root.join("result_struct.json")), &expected, &what);
            let printed = std::fs::read_to_string(golden.with_extension("stdout.txt")).unwrap();
            assert_eq!(blocks(&out), blocks(&printed), "{what}");
            let words = |html: &str| -> Vec<String> {
                let parts = html.split("<br>").filter(|part| part.contains(") "));
                parts
                    .map(|part| part.split_once(") ").unwrap().1.to_owned())
                    .collect()
            };
            let expected = std::fs::read_to_string(golden.with_extension("result.html")).unwrap();
            let found = std::fs::read_to_string(root.join("result.html")).unwrap();
            assert_eq!(words(&found), words(&expected), "{what}");
        }
    }
}

#[test]
fn multi_bleu_is_the_perl_script() {
    let Some(folder) = shared("oracle/nt1/multibleu") else {
        return;
    };
    let expected = json(&folder.join("expected.json"));
    for (case, expected) in expected.as_object().unwrap() {
        for (mode, flag) in [("plain", None), ("lc", Some("-lc"))] {
            let dir = folder.join(case);
            let input = std::fs::read_to_string(dir.join("output")).unwrap();
            let words: Vec<&str> = ["multi-bleu"]
                .into_iter()
                .chain(flag)
                .chain(["reference"])
                .collect();
            let ran = program::run_words(&dir, &words, &input);
            let want = &expected[mode];
            assert_eq!(ran.out, want["stdout"].as_str().unwrap(), "{case} {mode}");
            assert_eq!(
                i64::from(ran.code),
                want["rc"].as_i64().unwrap(),
                "{case} {mode}"
            );
        }
    }
}
