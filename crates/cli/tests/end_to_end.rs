//! The whole way on a small made-up dataset: check, train, resume, evaluate, predict, export,
//! import; and that the same seed gives the same weights.

mod program;

use std::fs;
use std::path::Path;

use program::{Ran, run_in};
use serde_json::{Value, json};

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
    run_in(
        dir,
        "export run/best.safetensors mean.safetensors --average run/last.safetensors",
    )
    .ok();
    run_in(dir, "inspect mean.safetensors").ok();
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

/// Two systems on the same pictures: the better one is found to be better; missing pictures are
/// listed and change the exit code.
#[test]
fn score_compares_and_lists_what_is_missing() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let lines = |name: &str, captions: &[(usize, &str)]| {
        let line = |(id, caption): &(usize, &str)| {
            format!("{{\"image_id\": {id}, \"caption\": \"{caption}\"}}\n")
        };
        fs::write(
            dir.join(name),
            captions.iter().map(line).collect::<String>(),
        )
        .unwrap();
    };
    let all: Vec<(usize, &str)> = (0..20).map(|id| (id, "a dog runs on the grass")).collect();
    let bad: Vec<(usize, &str)> = (0..20).map(|id| (id, "a cat sits on the roof")).collect();
    lines("references.jsonl", &all);
    lines("good.jsonl", &all);
    lines("bad.jsonl", &bad);
    lines("half.jsonl", &all[..10]);
    let line = "score good.jsonl references.jsonl --metrics bleu,rouge --json --against bad.jsonl";
    let found: Value = serde_json::from_str(&run_in(dir, line).ok()).unwrap();
    assert!(
        (found["scores"]["BLEU-4"].as_f64().unwrap() - 1.0).abs() < 1e-6,
        "{found}"
    );
    let difference = &found["differences"]["ROUGE-L"];
    assert!(
        difference["difference"]["low"].as_f64().unwrap() > 0.0,
        "{found}"
    );
    assert!(difference["p"].as_f64().unwrap() < 0.05, "{found}");
    let ran = run_in(
        dir,
        "score half.jsonl references.jsonl --metrics bleu --per-image each.csv",
    );
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert_eq!(
        ran.err.matches(": no candidate").count(),
        10,
        "{}",
        ran.all()
    );
    let csv = fs::read_to_string(dir.join("each.csv")).unwrap();
    assert_eq!(csv.lines().count(), 11);
    assert!(
        csv.starts_with("image,BLEU-1,BLEU-2,BLEU-3,BLEU-4\n0,"),
        "{csv}"
    );
    let ran = run_in(
        dir,
        "score half.jsonl references.jsonl --metrics bleu --strict",
    );
    assert_eq!(ran.code, 3, "{}", ran.all());
    // All of them are listed, not only the first.
    assert!(
        9 < ran.err.matches(": no candidate").count(),
        "{}",
        ran.all()
    );
    assert_eq!(run_in(dir, "score half.jsonl").code, 2);
    assert_eq!(run_in(dir, "score nothing.json references.jsonl").code, 4);
}

/// The second system's file may have another order; other pictures are refused with their number.
/// References from a dataset: only the split that was captioned, by whichever name the captions use.
#[test]
fn score_takes_a_dataset_as_references() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let image = |id: usize, split: &str, raw: &str| {
        let tokens = raw.to_lowercase().replace('.', "");
        let tokens: Vec<&str> = tokens.split(' ').collect();
        json!({"imgid": id, "filename": format!("{id}.jpg"), "split": split,
               "sentences": [{"raw": raw, "tokens": tokens, "sentid": id}]})
    };
    let images = [
        image(0, "train", "A cat sits on a mat."),
        image(1, "test", "A dog runs on the grass."),
        image(2, "test", "Two men sit on a bench."),
    ];
    fs::create_dir(dir.join("set")).unwrap();
    let dataset = json!({"dataset": "set", "images": images}).to_string();
    fs::write(dir.join("set/dataset.json"), dataset).unwrap();
    let line = |file: &str, caption: &str| {
        let ranked = [json!({"caption": caption}), json!({"caption": "a"})];
        json!({"file": file, "caption": caption, "captions": ranked}).to_string()
    };
    let ours = [
        line("1.jpg", "a dog runs on the grass"),
        line("2.jpg", "two men sit on a bench"),
    ];
    fs::write(dir.join("ours.jsonl"), ours.join("\n")).unwrap();
    for references in ["set", "set/dataset.json"] {
        let line = format!("score ours.jsonl {references} --metrics bleu,rouge --json");
        let found: Value = serde_json::from_str(&run_in(dir, &line).ok()).unwrap();
        assert_eq!(found["scores"]["ROUGE-L"], 1.0, "{references}: {found}");
        assert_eq!(found["images"], 2, "{references}: {found}");
    }
    fs::write(dir.join("one.jsonl"), &ours[0]).unwrap();
    let ran = run_in(dir, "score one.jsonl set --metrics bleu");
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert_eq!(
        ran.err.matches(": no candidate").count(),
        1,
        "{}",
        ran.all()
    );
    // A damaged dataset is told by its own reader.
    fs::write(
        dir.join("set/dataset.json"),
        "{\"images\": [{\"imgid\": 1}]}",
    )
    .unwrap();
    let ran = run_in(dir, "score ours.jsonl set/dataset.json --metrics bleu");
    assert!(
        ran.err.contains("missing field `filename`"),
        "{}",
        ran.all()
    );
}

#[test]
fn score_compares_pictures_by_name() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let lines = |name: &str, ids: &mut dyn Iterator<Item = usize>| {
        let line = |id| format!("{{\"image_id\": {id}, \"caption\": \"dog number {id}\"}}\n");
        fs::write(dir.join(name), ids.map(line).collect::<String>()).unwrap();
    };
    lines("references.jsonl", &mut (0..9));
    lines("forth.jsonl", &mut (0..9));
    lines("back.jsonl", &mut (0..9).rev());
    lines("few.jsonl", &mut (0..7));
    let score = "score forth.jsonl references.jsonl --metrics bleu";
    let out = run_in(dir, &format!("{score} --against back.jsonl --draws 99")).ok();
    assert!(
        out.contains("BLEU-1   1.0000   1.0000     +0.0000   +0.0000 to  +0.0000  1.0000"),
        "{out}"
    );
    assert!(
        out.ends_with("9 pictures; intervals and p (two-sided) from 99 bootstrap samples\n"),
        "{out}"
    );
    let ran = run_in(dir, &format!("{score} --against few.jsonl"));
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(
        ran.err
            .contains("of 9 pictures and `few.jsonl` of 7, 7 of them the same"),
        "{}",
        ran.all()
    );
}

/// Variety, novelty and document frequencies; an empty reference is said but changes no exit code.
#[test]
fn score_measures_variety_and_takes_saved_frequencies() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write(
        "nbest.jsonl",
        "{\"id\": 1, \"captions\": [\"a dog runs\", \"the cat sits\"]}\n{\"id\": 2, \"captions\": [\"two birds\", \"two birds\"]}\n{\"id\": 3, \"caption\": \"a dog\"}\n",
    );
    write(
        "references.jsonl",
        "{\"id\": 1, \"captions\": [\"a dog runs\", \"\"]}\n{\"id\": 2, \"caption\": \"two birds\"}\n{\"id\": 3, \"caption\": \"the cat sits\"}\n",
    );
    write("training.txt", "Two birds.\nA dog\n");
    let line = "score nbest.jsonl references.jsonl --metrics cider --training training.txt --json";
    let ran = run_in(dir, line);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let kinds: Vec<_> = found["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["problem"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "duplicate-candidate",
            "empty-reference",
            "duplicate-candidate"
        ]
    );
    let variety = &found["diversity"];
    // a dog runs, two birds, a dog: 5 of 7 words; 3 of 4 bigrams.
    assert_eq!(variety["distinct"][0].as_f64().unwrap(), 5.0 / 7.0);
    assert_eq!(variety["distinct"][1].as_f64().unwrap(), 3.0 / 4.0);
    assert_eq!(variety["novel"].as_f64().unwrap(), 1.0 / 3.0);
    // Strangers 1, the same caption twice 0.
    assert!(
        (variety["self_cider"].as_f64().unwrap() - 0.5).abs() < 1e-6,
        "{found}"
    );
    assert_eq!(variety["several"], 2);
    let table = run_in(
        dir,
        "score nbest.jsonl references.jsonl --metrics bleu --diversity",
    )
    .ok();
    assert!(table.contains("\nvocabulary               5\n"), "{table}");

    let said = run_in(dir, "document-frequencies references.jsonl counts.json");
    assert_eq!(said.code, 0, "{}", said.all());
    assert_eq!(said.out, "15 n-grams of 3 pictures in counts.json\n");
    assert!(said.err.contains("few"), "{}", said.all());
    let cider = |line: &str| -> f64 {
        let found: Value = serde_json::from_str(&run_in(dir, line).ok()).unwrap();
        found["scores"]["CIDEr"].as_f64().unwrap()
    };
    write("one.jsonl", "{\"id\": 1, \"caption\": \"a dog runs\"}\n");
    write(
        "reference.jsonl",
        "{\"id\": 1, \"caption\": \"a dog runs\"}\n",
    );
    let one = "score one.jsonl reference.jsonl --metrics cider --json";
    assert_eq!(cider(one), 0.0);
    // Three orders of equal n-grams that all weigh something.
    let saved = cider(&format!("{one} --document-frequencies counts.json"));
    assert!((saved - 7.5).abs() < 1e-9, "{saved}");
    let ran = run_in(dir, &format!("{one} --document-frequencies one.jsonl"));
    assert_eq!(ran.code, 3, "{}", ran.all());
    assert!(
        ran.err.contains("hint: make the file again"),
        "{}",
        ran.all()
    );
}

/// Ctrl-C saves and is exit code 130; the run can be resumed.
#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_is_exit_code_130() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    demo_data(dir);
    let line = format!("train shapes {SMALL} --run run --max-epochs 100000");
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("neuraltalk"))
        .args(line.split_whitespace())
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains(" val ppl ") {
        assert_ne!(out.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    out.read_to_string(&mut seen).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{seen}");
    assert!(seen.ends_with("next    neuraltalk resume run\n"), "{seen}");
    assert!(dir.join("run/last.safetensors").exists());
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

/// An encoder and a decoder that both begin with random weights learn to read made-up pictures: captions of pictures
/// that they have never seen are ones that were written of them.
#[test]
fn from_pixels_to_captions() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    run_in(dir, "demo-data shapes --images 1000").ok();
    fs::remove_file(dir.join("shapes/vgg_feats.mat")).unwrap();
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/shapes.toml");
    let line =
        format!("train shapes --encoder shapes/encoder.safetensors --config {recipe} --run run -q");
    run_in(dir, &line).ok();
    // No features are named: the encoder inside looks at the pictures.
    run_in(
        dir,
        "eval run/best.safetensors --result-struct-filename out.json",
    )
    .ok();
    let result: Value = serde_json::from_slice(&fs::read(dir.join("out.json")).unwrap()).unwrap();
    let blobs = result["imgblobs"].as_array().unwrap();
    let right = blobs.iter().filter(|blob| {
        let mut references = blob["references"].as_array().unwrap().iter();
        references.any(|r| r["text"] == blob["candidate"]["text"])
    });
    let (right, all) = (right.count(), blobs.len());
    assert_eq!(all, 100);
    assert!(right >= 95, "{right} of {all} captions are true");
}
