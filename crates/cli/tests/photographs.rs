//! From picture files to features, to a trained model, to captions: `features`, `train`, `caption`.
//!
//! The encoder's weights are read from `$NEURALTALK_SHARED/data/encoders`; without them: skipped, with the reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn encoder() -> Option<PathBuf> {
    let shared = match std::env::var_os("NEURALTALK_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let file = shared.join("data/encoders/efficientnet-lite0.safetensors");
    match file.canonicalize() {
        Ok(file) => Some(file),
        Err(error) => {
            println!("skipped: `{}`: {error}", file.display());
            None
        }
    }
}

fn run(dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neuraltalk"));
    let ran = command.current_dir(dir).args(words).output();
    ran.expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs, demands exit code 0, returns standard output.
fn ok(dir: &Path, words: &[&str]) -> String {
    let ran = run(dir, words);
    assert!(ran.status.success(), "{words:?}: {}", text(&ran.stderr));
    text(&ran.stdout)
}

#[test]
fn photographs_become_features_a_model_and_captions() {
    let Some(encoder) = encoder() else { return };
    let encoder = encoder.to_str().expect("a path in UTF-8");
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    ok(dir, &["demo-data", "shapes", "--images", "40"]);
    let extract = |out: &str, threads: &str| {
        let words = [
            "features",
            "shapes",
            "--encoder",
            encoder,
            "--out",
            out,
            "--threads",
            threads,
        ];
        ok(dir, &words)
    };
    assert_eq!(
        extract("a.mat", "1"),
        "40 pictures, 1280 numbers each, written to a.mat\n"
    );
    extract("b.mat", "2");
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    assert_eq!(read("a.mat"), read("b.mat"), "threads change nothing");

    // A run that was stopped goes on: three rows, not as computed, and a torn one are there.
    let features = data::Features::open(dir.join("a.mat")).unwrap();
    let mut images = data::Dataset::open(dir.join("shapes")).unwrap().images;
    images.sort_by_key(|image| image.imgid);
    let names: Vec<String> = images
        .iter()
        .map(|i| format!("shapes/imgs/{}", i.path))
        .collect();
    let description = serde_json::json!({
        "encoder": encoder,
        "encoder_bytes": fs::metadata(encoder).unwrap().len(),
        "regions": false,
        "pictures": names,
    });
    fs::write(
        dir.join("c.npy.partial.json"),
        format!("1280\n{description}"),
    )
    .unwrap();
    fs::write(dir.join("c.npy.partial"), vec![0; 3 * 1280 * 4 + 17]).unwrap();
    extract("c.npy", "2");
    assert!(!dir.join("c.npy.partial").exists() && !dir.join("c.npy.partial.json").exists());
    let resumed = data::Features::open(dir.join("c.npy")).unwrap();
    for imgid in 0..40 {
        let computed = features.row(imgid).unwrap();
        let kept = [0.0; 1280];
        let want = if imgid < 3 { &kept[..] } else { computed };
        assert_eq!(resumed.row(imgid).unwrap(), want, "row {imgid}");
    }
    let failed = run(
        dir,
        &[
            "features",
            "shapes",
            "--encoder",
            encoder,
            "--out",
            "no/d.npy",
        ],
    );
    assert_eq!(failed.status.code(), Some(4), "{}", text(&failed.stderr));

    ok(
        dir,
        &[
            "train",
            "shapes",
            "--features",
            "a.mat",
            "--run",
            "run",
            "--hidden-size",
            "16",
            "--image-encoding-size",
            "16",
            "--word-encoding-size",
            "16",
            "--max-epochs",
            "2",
            "--batch-size",
            "20",
            "--threads",
            "1",
            "-q",
        ],
    );
    let model = ["--checkpoint", "run/last.safetensors", "--encoder", encoder];
    let caption = |words: &[&str]| run(dir, &[&["caption"], words, &model].concat());
    let all = caption(&["shapes/imgs", "--beam-size", "2"]);
    assert!(all.status.success(), "{}", text(&all.stderr));
    let lines: Vec<String> = text(&all.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 40);
    assert!(lines.is_sorted(), "in the order of their names");

    // One file with both: no encoder needs to be named, and the model can be named once for all.
    let bundle = [
        "run/last.safetensors",
        "bundle.safetensors",
        "--encoder",
        encoder,
    ];
    ok(dir, &[&["export"], &bundle[..], &["--f16"]].concat());
    let about = ok(dir, &["inspect", "bundle.safetensors"]);
    let line = "encoder      efficientnet-lite0 (3413024 numbers), pictures of 224 pixels\n";
    assert!(about.contains(line), "{about}");
    let named = ok(
        dir,
        &[
            "caption",
            "shapes/imgs",
            "--checkpoint",
            "bundle.safetensors",
        ],
    );
    let ran = Command::new(env!("CARGO_BIN_EXE_neuraltalk"))
        .current_dir(dir)
        .args(["caption", "shapes/imgs"])
        .env("NEURALTALK_MODEL", "bundle.safetensors")
        .output()
        .expect("the program starts");
    assert_eq!(text(&ran.stdout), named, "{}", text(&ran.stderr));
    let usual = ok(dir, &[&["caption", "shapes/imgs"], &model[..]].concat());
    let same = usual.lines().zip(named.lines()).filter(|(a, b)| a == b);
    assert!(same.count() >= 36, "16 bits are enough:\n{usual}\n{named}");
    let twice = ["-c", "bundle.safetensors", "-c", "run/last.safetensors"];
    let ran = run(
        dir,
        &[&["caption", "shapes/imgs", "--json"], &twice[..]].concat(),
    );
    assert_eq!(ran.status.code(), Some(3), "the second holds no encoder");
    let said = text(&ran.stderr);
    assert!(
        said.contains("`run/last.safetensors` holds no encoder"),
        "{said}"
    );
    let both = [&["caption", "shapes/imgs", "-e", encoder], &twice[..]].concat();
    assert_eq!(ok(dir, &both).lines().count(), 40);
    let nothing = ["export", "run/last.safetensors", "m.p", "--f16"];
    assert_eq!(run(dir, &nothing).status.code(), Some(2));

    // Bad pictures are reported and listed, and stop nothing.
    let first = fs::read_dir(dir.join("shapes/imgs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let bytes = fs::read(&first).unwrap();
    fs::create_dir(dir.join("mixed")).unwrap();
    fs::write(dir.join("mixed/a.png"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(dir.join("mixed/b.png"), &bytes).unwrap();
    fs::write(dir.join("mixed/c.jpg"), "no picture").unwrap();
    fs::write(dir.join("mixed/notes.doc"), "not looked at").unwrap();
    let mixed = caption(&[
        "mixed",
        "--json",
        "--failures",
        "bad.tsv",
        "--sidecar",
        "txt",
    ]);
    assert_eq!(mixed.status.code(), Some(1));
    let line: serde_json::Value = serde_json::from_slice(&mixed.stdout).expect("one line of JSON");
    assert_eq!(line["file"], "mixed/b.png");
    let said = line["caption"].as_str().unwrap();
    let bad = fs::read_to_string(dir.join("bad.tsv")).unwrap();
    let names: Vec<&str> = bad.lines().filter_map(|l| l.split('\t').next()).collect();
    assert_eq!(names, ["mixed/a.png", "mixed/c.jpg"]);

    // Sidecars: never replaced unless asked.
    let sidecar = dir.join("mixed/b.txt");
    assert_eq!(fs::read_to_string(&sidecar).unwrap(), format!("{said}\n"));
    fs::write(&sidecar, "mine\n").unwrap();
    let skipped = caption(&["mixed/b.png", "--sidecar", "txt"]);
    assert!(skipped.status.success() && skipped.stdout.is_empty());
    assert_eq!(fs::read_to_string(&sidecar).unwrap(), "mine\n");
    for (existing, want) in [
        ("append", format!("mine\n{said}\n")),
        ("prepend", format!("{said}\nmine\n{said}\n")),
        ("overwrite", format!("{said}\n")),
    ] {
        let ran = caption(&["mixed/b.png", "--sidecar", "txt", "--existing", existing]);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        assert_eq!(fs::read_to_string(&sidecar).unwrap(), want, "{existing}");
    }

    // A forbidden word is in no caption; n-best lists are sorted.
    let word = said.split(' ').next().unwrap();
    let ran = caption(&["shapes/imgs", "--forbid", word, "--n-best", "3", "--csv"]);
    let table = text(&ran.stdout);
    assert_eq!(table.lines().next(), Some("file,rank,caption,log_prob"));
    for line in table.lines().skip(1) {
        let caption = line.split(',').nth(2).unwrap().trim_matches('"');
        assert!(caption.split(' ').all(|w| w != word), "{line}");
    }
    let ran = caption(&["shapes/imgs", "--n-best", "4"]);
    assert_eq!(ran.status.code(), Some(2), "more captions than beams");
    let ran = caption(&["mixed/notes.doc"]);
    assert_eq!(ran.status.code(), Some(1));
    let ran = caption(&["run"]);
    assert_eq!(ran.status.code(), Some(2), "a folder without pictures");
}
