//! The whole way on a small made-up dataset: check, train, resume, evaluate, predict, export,
//! import; and that the same seed gives the same weights.

mod program;

use std::fs;
use std::path::Path;

use program::{Ran, run_in};
use serde_json::Value;

/// Options of a model that trains in about a second.
const SMALL: &str = "--hidden-size 24 --image-encoding-size 24 --word-encoding-size 24 --solver adam \
                     --learning-rate 0.01 --batch-size 40 --drop-prob-encoder 0 --drop-prob-decoder 0 \
                     --threads 1 --quiet";

fn demo_data(dir: &Path) {
    run_in(dir, "demo-data shapes --images 80").ok();
}

fn train(dir: &Path, more: &str) -> Ran {
    run_in(dir, &format!("train shapes {SMALL} {more}"))
}

#[test]
fn from_data_to_captions() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    let checked = run_in(dir, "check-data shapes").ok();
    assert!(checked.contains("\ntraining would work\n"), "{checked}");
    assert!(
        checked.contains("problems    0 errors, 0 warnings"),
        "{checked}"
    );

    let out = train(dir, "--run run --max-epochs 12").ok();
    assert!(out.starts_with("run     run\n"), "{out}");
    assert_eq!(out.matches(" val ppl ").count(), 12, "{out}");
    assert!(
        out.ends_with("next    neuraltalk eval run/best.safetensors\n"),
        "{out}"
    );

    // The dataset is the one that the run was trained on.
    let scores = run_in(dir, "eval run/best.safetensors --json --beam-size 3").ok();
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert_eq!(scores["images"], 8);
    let bleu1 = scores["scores"]["bleu1"].as_f64().unwrap();
    assert!(bleu1 > 0.5, "a trained model says something: {scores}");
    let perplexity = scores["perplexity"].as_f64().unwrap();
    assert!(perplexity < 8.0, "33 words, structured sentences: {scores}");

    let captions = run_in(
        dir,
        "predict run/best.safetensors --root-path shapes/new --json",
    )
    .ok();
    assert_eq!(captions.lines().count(), 12);
    let html = fs::read_to_string(dir.join("shapes/new/result.html")).unwrap();
    assert_eq!(html.matches("<img ").count(), 12);

    // Out to NeuralTalk's form and back: the same captions.
    run_in(dir, "export run/best.safetensors model.p").ok();
    run_in(dir, "import model.p back.safetensors").ok();
    for checkpoint in ["model.p", "back.safetensors"] {
        let line = format!("predict {checkpoint} --root-path shapes/new --json");
        assert_eq!(run_in(dir, &line).ok(), captions, "{checkpoint}");
    }
    let about = run_in(dir, "inspect back.safetensors --json").ok();
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!(about["decoder"]["hidden"], 24);
    assert_eq!(about["features"]["dimension"], 64);
    let words = run_in(dir, "inspect run/last.safetensors --words").ok();
    assert_eq!(words.lines().next(), Some("."));
    assert_eq!(
        words.lines().count() as u64,
        about["vocabulary_size"].as_u64().unwrap()
    );
}

/// Every option that was given is in the run's config, and the config alone repeats the run.
#[test]
fn the_same_seed_gives_the_same_weights() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    train(dir, "--run a --max-epochs 2 --seed 7 --solver adagrad").ok();
    run_in(dir, "train --config a/config.toml --run b --threads 2 -q").ok();
    train(dir, "--run c --max-epochs 2 --seed 8 --solver adagrad").ok();
    let weights = |run: &str| {
        run_in(dir, &format!("export {run}/best.safetensors {run}.p")).ok();
        run_in(dir, &format!("inspect {run}.p --json")).ok()
    };
    let parameters = |run: &str| -> Value {
        let about: Value = serde_json::from_str(&weights(run)).unwrap();
        about["parameters"].clone()
    };
    assert_eq!(parameters("a"), parameters("b"));
    assert_ne!(parameters("a"), parameters("c"));
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    train(dir, "--run run --max-epochs 2").ok();
    let before = fs::read(dir.join("run/best.safetensors")).unwrap();
    let out = run_in(dir, "resume run -q").ok();
    assert!(
        out.contains("next    neuraltalk eval run/best.safetensors"),
        "{out}"
    );
    assert_eq!(fs::read(dir.join("run/best.safetensors")).unwrap(), before);
}

#[test]
fn divergence_is_exit_code_5_and_says_what_to_try() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    let ran = train(
        dir,
        "--run run --solver vanilla --learning-rate 1e6 --max-epochs 3 --grad-clip 0",
    );
    assert_eq!(ran.code, 5, "{}", ran.all());
    assert!(ran.err.contains("diverged"), "{}", ran.all());
}

#[test]
fn the_demo_runs_every_step() {
    let temporary = tempfile::tempdir().unwrap();
    let out = run_in(
        temporary.path(),
        "demo here --images 60 --epochs 2 --threads 1",
    )
    .ok();
    for step in ["demo-data", "check-data", "train", "eval", "predict"] {
        assert!(
            out.contains(&format!("\n$ neuraltalk {step} ")),
            "{step}: {out}"
        );
    }
    assert!(out.contains("BLEU = "), "{out}");
    assert!(
        temporary
            .path()
            .join("here/shapes/new/result.html")
            .exists()
    );
    let again = run_in(temporary.path(), "demo here");
    assert_eq!(again.code, 2);
    assert!(again.err.contains("is not empty"), "{}", again.err);
}

#[test]
fn the_same_seed_makes_the_same_data() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    run_in(dir, "demo-data a --images 10").ok();
    run_in(dir, "demo-data b --images 12").ok();
    run_in(dir, "demo-data c --images 10 --seed 2").ok();
    let read = |path: &str| fs::read(dir.join(path)).unwrap();
    // More pictures leave the first ones as they are.
    assert_eq!(read("a/imgs/0009.png"), read("b/imgs/0009.png"));
    let (a, b) = (read("a/vgg_feats.mat"), read("b/vgg_feats.mat"));
    assert_eq!(a[26..], b[26..a.len()]);
    assert_ne!(read("a/dataset.json"), read("c/dataset.json"));
}
