//! pycocoevalcap itself, live, on freshly perturbed captions of real photographs.
//!
//! Needs Java, Flickr8k's captions and pycocoevalcap in the interpreter that `NEURALTALK_PYTHON` names (default
//! `python3`); says what is missing otherwise. `NEURALTALK_LIVE_SEED` draws other captions.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use metrics::tokenizer::captions;
use metrics::{Corpus, Metric, Options, score};
use serde_json::{Value, json};

/// Stretches that the tokenizer's rules are about, put into captions.
const PIECES: &[&str] = &[
    "'s",
    "n't",
    "can't",
    "cannot",
    "gonna",
    "'tis",
    "y'all",
    "O'Brien",
    "d'oh",
    "dogs'",
    "'em",
    "'90s",
    "rock'n'roll",
    "“",
    "”",
    "‘",
    "’",
    "\"",
    "''",
    "``",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<b>",
    "</b>",
    "<",
    ">",
    "-",
    "--",
    "---",
    "—",
    "–",
    "...",
    ". . .",
    "…",
    "!",
    "?!",
    ";",
    ":",
    ",",
    ".",
    "Mr.",
    "Dr.",
    "Inc.",
    "U.S.",
    "U.K.",
    "p.m.",
    "No. 5",
    "Jan.",
    "etc.",
    "Ph.D.",
    "$5",
    "£10",
    "€",
    "50¢",
    "US$",
    "#1",
    "@user",
    "#tag",
    "10%",
    "1/2",
    "3 1/2",
    "½",
    "1,000.50",
    "-3",
    "+4",
    "555-1234",
    "(555) 555-1234",
    "12/25/2010",
    "http://a.b/c?d=e",
    "www.x.com",
    "a@b.com",
    ":-)",
    ";)",
    "<3",
    "^_^",
    "AT&T",
    "R&B",
    "&amp;",
    "&lt;",
    "a&b",
    "and/or",
    "C++",
    "C#",
    "t-shirt",
    "well-known-x",
    "café",
    "naïve",
    "東京",
    "İstanbul",
    "ΣΑΣ",
    "😀",
    "👍🏽",
    "\u{ad}",
    "so\u{ad}ft",
    "\u{a0}",
    "\u{200b}",
    "\t",
    "_",
    "*",
    "**",
    "~",
    "|",
    "|||",
    "\\",
    "/",
    "=",
    "+",
    "e.g.",
    "x.y",
    "file.txt",
    "2nd",
    "4x4",
    "'",
    "`",
    "&",
    "%",
    "°",
    "½-inch",
    "A.",
    "I.",
];

/// Numerical Recipes' generator: any will do, as long as it gives the same captions again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// A real caption with a few of its words dropped, doubled, moved or replaced, and pieces put in.
fn perturb(caption: &str, random: &mut Random) -> String {
    let mut words: Vec<String> = caption.split(' ').map(str::to_owned).collect();
    for _ in 0..random.below(5) {
        let at = random
            .below(words.len().max(1))
            .min(words.len().saturating_sub(1));
        match random.below(7) {
            _ if words.is_empty() => words.push("dog".into()),
            0 => drop(words.remove(at)),
            1 => words.insert(at, words[at].clone()),
            2 => words.swap(at, 0),
            3 => words[at] = words[at].to_uppercase(),
            4 => words[at].push_str(PIECES[random.below(PIECES.len())]),
            _ => words.insert(at, PIECES[random.below(PIECES.len())].into()),
        }
    }
    words.join(" ")
}

const SCRIPT: &str = r#"
import io, contextlib, json, sys
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.cider.cider import Cider
data = json.load(open(sys.argv[1]))
names = ("candidates", "references")
tokens = [PTBTokenizer().tokenize({k: [{"caption": c} for c in v] for k, v in data[n].items()}) for n in names]
out = {"tokens": tokens, "corpus": {}, "images": {}}
with contextlib.redirect_stdout(io.StringIO()):
    res, gts = tokens
    for name, metric in (("BLEU", Bleu(4)), ("ROUGE-L", Rouge()), ("CIDEr", Cider())):
        corpus, images = metric.compute_score(gts, res)
        if name == "BLEU":
            for n in range(4):
                out["corpus"]["BLEU-%d" % (n + 1)] = corpus[n]
                out["images"]["BLEU-%d" % (n + 1)] = images[n]
        else:
            out["corpus"][name], out["images"][name] = float(corpus), [float(x) for x in images]
json.dump(out, open(sys.argv[2], "w"))
"#;

fn missing(python: &str) -> Option<String> {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !works(python, &["-c", "import numpy, pycocoevalcap"]) {
        return Some(format!(
            "{python} has no pycocoevalcap (NEURALTALK_PYTHON names another)"
        ));
    }
    (!works("java", &["-version"])).then(|| "there is no java".into())
}

fn flickr8k() -> Result<Vec<Vec<String>>, String> {
    let shared = std::env::var_os("NEURALTALK_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data/flickr8k/dataset.json");
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let dataset: Value = serde_json::from_slice(&bytes).expect("JSON");
    let captions = |image: &Value| {
        let sentences = image["sentences"].as_array().expect("sentences");
        sentences
            .iter()
            .map(|s| s["raw"].as_str().expect("text").to_owned())
            .collect()
    };
    Ok(dataset["images"]
        .as_array()
        .expect("images")
        .iter()
        .map(captions)
        .collect())
}

#[test]
fn tokens_and_scores_are_pycocoevalcaps() {
    let python = std::env::var("NEURALTALK_PYTHON").unwrap_or_else(|_| "python3".into());
    if let Some(reason) = missing(&python) {
        eprintln!("skipped: {reason}");
        return;
    }
    let images = match flickr8k() {
        Ok(images) => images,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let seed = std::env::var("NEURALTALK_LIVE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let mut random = Random(seed);
    let (mut candidates, mut references) = (serde_json::Map::new(), serde_json::Map::new());
    for i in 0..1500 {
        let image = &images[random.below(images.len())];
        // A candidate is one of the references, perturbed, or a stranger.
        let source = if random.below(4) == 0 {
            &images[random.below(images.len())]
        } else {
            image
        };
        let candidate = perturb(&source[random.below(source.len())], &mut random);
        let few = 1 + random.below(image.len());
        let perturbed: Vec<_> = image[..few]
            .iter()
            .map(|c| perturb(c, &mut random))
            .collect();
        candidates.insert(i.to_string(), json!([candidate]));
        references.insert(i.to_string(), json!(perturbed));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (
        folder.path().join("in.json"),
        folder.path().join("out.json"),
    );
    let data = json!({ "candidates": candidates, "references": references });
    std::fs::write(&input, data.to_string()).expect("written");
    let run = Command::new(&python)
        .arg("-c")
        .arg(SCRIPT)
        .arg(&input)
        .arg(&output)
        .output()
        .expect("python runs");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let theirs: Value =
        serde_json::from_slice(&std::fs::read(&output).expect("output")).expect("JSON");

    let raw = |map: &serde_json::Map<String, Value>| -> Vec<String> {
        let captions = map
            .values()
            .flat_map(|captions| captions.as_array().expect("captions"));
        captions
            .map(|caption| caption.as_str().expect("text").to_owned())
            .collect()
    };
    let mut wrong = String::new();
    let mut ours = [&candidates, &references].map(|map| {
        let raw = raw(map);
        captions(&raw).into_iter().zip(raw)
    });
    let mut corpus = Corpus::new();
    for id in candidates.keys() {
        let [candidate, references] = [0, 1].map(|part: usize| {
            let theirs = theirs["tokens"][part][id].as_array().expect("tokens");
            let tokens = theirs.iter().map(|theirs| {
                let (tokens, raw) = ours[part].next().expect("as many captions");
                if tokens != *theirs {
                    writeln!(wrong, "{raw:?}\n  ours   {tokens:?}\n  theirs {theirs}")
                        .expect("a string grows");
                }
                tokens
            });
            tokens.collect::<Vec<_>>()
        });
        corpus.push(id, &candidate[0], &references);
    }
    assert!(wrong.is_empty(), "tokens differ:\n{wrong}");
    let metrics = vec![Metric::Bleu, Metric::Rouge, Metric::Cider];
    let scores = score(
        &corpus,
        &Options {
            metrics,
            ..Options::default()
        },
    );
    assert_eq!(scores.scores.len(), 6);
    for score in &scores.scores {
        let want = |value: &Value| value.as_f64().expect("a number");
        let close = |found: f64, want: f64| (found - want).abs() <= 1e-9;
        assert!(
            close(score.corpus, want(&theirs["corpus"][&score.name])),
            "{}",
            score.name
        );
        let images = theirs["images"][&score.name].as_array().expect("scores");
        assert_eq!(images.len(), score.images.len());
        for (i, (found, theirs)) in score.images.iter().zip(images).enumerate() {
            assert!(
                close(*found, want(theirs)),
                "{} of image {i}: {found}, pycocoevalcap {theirs}",
                score.name
            );
        }
    }
    println!(
        "{} images, seed {seed}: tokens equal, scores within 1e-9",
        corpus.len()
    );
}
