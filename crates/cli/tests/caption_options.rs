//! Options of `caption` with a made model: patterns, demands on the words, drawing, files of captions and going on with them.

mod made;
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use made::{WORDS, write_model, write_picture};
use program::{Ran, run_in, run_words};

/// Ten pictures in two folders and two models.
fn folder() -> tempfile::TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_model(&dir.join("m.safetensors"), 1);
    write_model(&dir.join("n.safetensors"), 2);
    fs::create_dir_all(dir.join("p/deep")).unwrap();
    for n in 0..10 {
        let name = match n % 2 {
            0 => format!("p/{n}.png"),
            _ => format!("p/deep/{n}.jpg"),
        };
        write_picture(&dir.join(name), n);
    }
    temporary
}

fn caption(dir: &Path, words: &str) -> Ran {
    run_in(dir, &format!("caption -c m.safetensors {words}"))
}

fn texts(out: &str) -> Vec<&str> {
    out.lines()
        .map(|line| line.split_once('\t').unwrap().1)
        .collect()
}

#[test]
fn patterns_name_what_they_match() {
    let temporary = folder();
    let dir = temporary.path();
    let named = |pattern: &str| -> Vec<String> {
        let ran = run_words(dir, &["caption", "-c", "m.safetensors", pattern], "").ok();
        ran.lines()
            .map(|l| l.split('\t').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        named("p/*.png"),
        ["p/0.png", "p/2.png", "p/4.png", "p/6.png", "p/8.png"]
    );
    assert_eq!(named("p/**/[13].jpg"), ["p/deep/1.jpg", "p/deep/3.jpg"]);
    assert_eq!(named("p/?.png").len(), 5);
    // A file of that very name is itself.
    fs::copy(dir.join("p/0.png"), dir.join("p/[x].png")).unwrap();
    assert_eq!(named("p/[x].png"), ["p/[x].png"]);
    for pattern in ["p/*.gif", "p/[", "p/***"] {
        let ran = run_words(dir, &["caption", "-c", "m.safetensors", pattern], "");
        assert_eq!(ran.code, 2, "{pattern}: {}", ran.err);
    }
}

#[test]
fn demands_on_words_are_kept() {
    let temporary = folder();
    let dir = temporary.path();
    let out = caption(dir, "p -r --require below --require blue --forbid a").ok();
    let all = texts(&out);
    assert_eq!(all.len(), 10);
    for text in &all {
        let words: Vec<&str> = text.split(' ').collect();
        assert!(
            words.contains(&"below") && words.contains(&"blue"),
            "{text}"
        );
        assert!(!words.contains(&"a"), "{text}");
    }
    let words = [
        "caption",
        "-c",
        "m.safetensors",
        "p",
        "--start-with",
        "A red",
        "--require",
        "circle above",
        "-b",
        "1",
    ];
    let out = run_words(dir, &words, "").ok();
    for text in texts(&out) {
        assert!(
            text.starts_with("a red ") && text.contains("circle above"),
            "{text}"
        );
    }
    let ran = caption(dir, "p --require dog");
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("`dog` (a required word) is no word of the model"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("hint: "), "{}", ran.err);
    let ran = caption(dir, "p --require red --forbid red");
    assert_eq!(ran.code, 2, "{}", ran.err);
    let length = |penalty: &str| {
        let out = caption(dir, &format!("p -r -b 5 --length-penalty {penalty}")).ok();
        texts(&out).join(" ").len()
    };
    assert!(length("0") <= length("3"));
    assert_eq!(caption(dir, "p --length-penalty nan").code, 2);
    let out = caption(dir, "p -r --max-words 3").ok();
    assert!(texts(&out).iter().all(|text| text.split(' ').count() <= 3));
}

#[test]
fn draws_depend_on_the_seed_and_the_picture() {
    let temporary = folder();
    let dir = temporary.path();
    let draw = |words: &str| caption(dir, &format!("{words} --temperature 1.5 -n 6")).ok();
    let all = draw("p");
    assert_eq!(all.lines().count(), 30);
    assert_eq!(draw("p"), all);
    assert_ne!(draw("p --seed 2"), all);
    assert_ne!(draw("p --top-k 1"), all);
    let one = draw("p/4.png");
    assert!(all.contains(&one), "alone as among others");
    assert!(texts(&one).iter().collect::<BTreeSet<_>>().len() > 1);
    assert_eq!(caption(dir, "p --temperature 1 --require a").code, 2);
    assert_eq!(caption(dir, "p --top-k 3").code, 2);
    assert_eq!(caption(dir, "p --temperature 0").code, 2);
}

#[test]
fn an_ensemble_is_asked_together() {
    let temporary = folder();
    let dir = temporary.path();
    let both = caption(dir, "-c n.safetensors p").ok();
    let twice = caption(dir, "-c m.safetensors p").ok();
    let one = caption(dir, "p").ok();
    assert_eq!(twice, one);
    assert_ne!(both, one);
}

/// Lines without their numbers: other pictures in the same batch may change the last digit.
fn wordings(text: &str) -> Vec<String> {
    let digits = |c: char| c.is_ascii_digit() || ".-".contains(c);
    let line = |line: &str| line.split(digits).collect::<Vec<_>>().concat();
    text.lines().map(line).collect()
}

#[test]
fn a_file_of_captions_is_gone_on_with() {
    let temporary = folder();
    let dir = temporary.path();
    for form in ["", "--json", "--csv"] {
        let words = format!("p -r -n 2 {form} --out o --resume");
        let ran = caption(dir, &words);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
        let whole = fs::read_to_string(dir.join("o")).unwrap();
        let printed = caption(dir, &format!("p -r -n 2 {form}")).ok();
        assert_eq!(wordings(&whole), wordings(&printed));
        for cut in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
            fs::write(dir.join("o"), &whole[..cut]).unwrap();
            let ran = caption(dir, &words);
            assert_eq!(ran.code, 0, "{}", ran.err);
            let again = fs::read_to_string(dir.join("o")).unwrap();
            assert_eq!(wordings(&again), wordings(&whole), "{form} {cut}");
        }
        assert!(
            caption(dir, &words)
                .err
                .contains("10 of 10 pictures are done already")
        );
        let ran = caption(dir, &format!("p {form} --out o"));
        assert_eq!(ran.code, 2, "never overwritten: {}", ran.err);
        fs::remove_file(dir.join("o")).unwrap();
    }
    assert_eq!(caption(dir, "p --resume").code, 2);
}

#[test]
fn attention_is_drawn_for_every_word() {
    let temporary = folder();
    let dir = temporary.path();
    fs::copy(dir.join("p/0.png"), dir.join("p/deep/0.png")).unwrap();
    let out = caption(dir, "p -r -n 2 --attention looked").ok();
    let files = fs::read_dir(dir.join("looked")).unwrap();
    assert_eq!(files.count(), out.lines().count(), "one a caption");
    let svg = fs::read_to_string(dir.join("looked/0.png.svg")).unwrap();
    let words = texts(&out)[0].split(' ').count();
    assert_eq!(svg.matches("data:image/png").count(), words);
    assert!(
        svg.contains(">square</text>")
            || WORDS.iter().any(|w| svg.contains(&format!(">{w}</text>")))
    );
    let ran = run_words(dir, &["caption", "-", "-c", "m.safetensors"], "no picture");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`-`: not a picture"), "{}", ran.err);
}

#[test]
fn sidecars_never_write_over_pictures_or_one_another() {
    let temporary = folder();
    let dir = temporary.path();
    let before = fs::read(dir.join("p/0.png")).unwrap();
    for ending in ["png", ".JPG", "tiff", "", ".", "a/b", "a\\b"] {
        let ending = format!("--sidecar={ending}");
        let command = ["caption", "-c", "m.safetensors", "p", &ending];
        let ran = run_words(dir, &[&command[..], &["--existing=overwrite"]].concat(), "");
        assert_eq!(ran.code, 2, "{ending}: {}", ran.err);
    }
    assert_eq!(fs::read(dir.join("p/0.png")).unwrap(), before);
    // A dot before the ending is the same ending.
    caption(dir, "p --sidecar .txt").ok();
    let first = fs::read_to_string(dir.join("p/0.txt")).unwrap();
    fs::remove_file(dir.join("p/0.txt")).unwrap();
    fs::copy(dir.join("p/deep/1.jpg"), dir.join("p/0.jpg")).unwrap();
    // `0.jpg` comes before `0.png` and has their sidecar.
    let ran = caption(dir, "p --sidecar txt");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.err
            .contains("`p/0.png`: its sidecar `p/0.txt` is that of `p/0.jpg` already"),
        "{}",
        ran.err
    );
    let out = caption(dir, "p/0.jpg p/0.png").ok();
    assert_eq!(
        fs::read_to_string(dir.join("p/0.txt")).unwrap().trim_end(),
        texts(&out)[0]
    );
    assert_eq!(first.trim_end(), texts(&out)[1]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_done() {
    let temporary = folder();
    let dir = temporary.path();
    fs::copy(dir.join("m.safetensors"), dir.join("encoder.safetensors")).unwrap();
    for (words, said) in [
        ("p --min-words 20", "--min-words 20 with --max-words 20"),
        ("p --max-words 0", "--min-words 0 with --max-words 0"),
        (
            "p --require blue --forbid blue",
            "`blue` is both required and forbidden",
        ),
        ("p --threads 100000", "100000 is not in 0..=512"),
        (
            "p --encoder encoder.safetensors",
            "`encoder.safetensors` isn't used",
        ),
        ("p --failures nowhere/list", "cannot write `nowhere/list`"),
    ] {
        let ran = caption(dir, words);
        assert!(ran.code != 0 && ran.out.is_empty(), "{words}");
        assert!(ran.err.contains(said), "{words}: {}", ran.err);
    }
    // A list of failures that an earlier run left stays if this one doesn't begin.
    fs::write(dir.join("failed.tsv"), "a.jpg\tbroken\n").unwrap();
    fs::write(dir.join("done.tsv"), "").unwrap();
    assert_eq!(
        caption(dir, "p --failures failed.tsv --out done.tsv").code,
        2
    );
    let list = fs::read_to_string(dir.join("failed.tsv")).unwrap();
    assert_eq!(list, "a.jpg\tbroken\n");
    // A picture that two words mean is captioned once, on standard output too.
    let out = caption(dir, "p/0.png p p/ --out -").ok();
    assert_eq!(out.lines().count(), 5);
    assert!(!dir.join("-").exists());
    // Sentences that are cut off are marked.
    let line = caption(dir, "p/0.png --max-words 1 --json").ok();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["captions"][0]["finished"], false);
}
