//! METEOR against the original program, live: thousands of freshly perturbed captions.
//!
//! Here: the statistics line of `meteor-1.5.jar` and ours must be the same for every caption, scores within 1e-12.
//! Not here: recorded answers (`meteor_golden.rs`). Needs Java, pycocoevalcap in the interpreter that
//! `NEURALTALK_PYTHON` names (default `python3`), and Flickr8k's captions; says what is missing otherwise.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use metrics::meteor::{Meteor, Statistics};

/// xorshift64*: the same captions on every run with the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// pycocoevalcap's folder `meteor/`, or why there is none.
fn installed() -> Result<PathBuf, String> {
    let python = std::env::var("NEURALTALK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let code = "import pycocoevalcap.meteor as m; print(list(m.__path__)[0])";
    let output = Command::new(&python)
        .args(["-c", code])
        .output()
        .map_err(|error| format!("{python} doesn't start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{python} has no pycocoevalcap"));
    }
    Command::new("java")
        .arg("-version")
        .output()
        .map_err(|error| format!("java doesn't start: {error}"))?;
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

/// Flickr8k: five tokenized captions a picture.
fn flickr8k() -> Result<Vec<Vec<String>>, String> {
    let shared = std::env::var_os("NEURALTALK_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data/flickr8k/dataset.json");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let captions = |image: &serde_json::Value| {
        let sentences = image["sentences"].as_array().expect("sentences");
        sentences
            .iter()
            .map(|s| {
                let tokens = s["tokens"].as_array().expect("tokens");
                let tokens: Vec<_> = tokens.iter().map(|t| t.as_str().expect("token")).collect();
                tokens.join(" ")
            })
            .collect()
    };
    Ok(json["images"]
        .as_array()
        .expect("images")
        .iter()
        .map(captions)
        .collect())
}

/// Some paraphrases of phrases that occur in captions, to put them into candidates.
fn some_paraphrases(folder: &Path, captions: &[Vec<String>]) -> HashMap<String, Vec<String>> {
    let mut phrases = HashMap::<String, Vec<String>>::new();
    for caption in captions.iter().flatten() {
        let words: Vec<_> = caption.split(' ').collect();
        for length in 1..=4 {
            for phrase in words.windows(length) {
                phrases.entry(phrase.join(" ")).or_default();
            }
        }
    }
    let file = std::fs::File::open(folder.join("data/paraphrase-en.gz")).expect("table");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("table");
    let mut lines = text.lines();
    while let (Some(_), Some(from), Some(to)) = (lines.next(), lines.next(), lines.next()) {
        if let Some(list) = phrases.get_mut(from) {
            list.push(to.to_owned());
        }
    }
    phrases.retain(|_, list| !list.is_empty());
    phrases
}

/// What the program says: a statistics line for each case, a score for each, the score of all.
fn original(folder: &Path, cases: &[(String, Vec<String>)]) -> (Vec<String>, Vec<f64>, f64) {
    // As pycocoevalcap's meteor.py calls it, with more memory for long sentences.
    let mut child = Command::new("java")
        .args([
            "-jar",
            "-Xmx2G",
            "meteor-1.5.jar",
            "-",
            "-",
            "-stdio",
            "-l",
            "en",
            "-norm",
        ])
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("java");
    let mut input = child.stdin.take().expect("stdin");
    let mut output = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let lines: Vec<_> = cases
        .iter()
        .map(|(candidate, references)| {
            let candidate = candidate.replace("|||", "").replace("  ", " ");
            format!("SCORE ||| {} ||| {candidate}\n", references.join(" ||| "))
        })
        .collect();
    let (send, receive) = std::sync::mpsc::channel::<String>();
    let writer = std::thread::spawn(move || {
        for line in lines.into_iter().chain(receive) {
            input.write_all(line.as_bytes()).expect("write to java");
        }
    });
    let mut next = || output.next().expect("an answer").expect("UTF-8");
    let statistics: Vec<_> = cases.iter().map(|_| next()).collect();
    send.send(format!("EVAL ||| {}\n", statistics.join(" ||| ")))
        .expect("writer");
    drop(send);
    let scores = cases
        .iter()
        .map(|_| next().parse().expect("score"))
        .collect();
    let all = next().parse().expect("score");
    writer.join().expect("writer");
    assert!(child.wait().expect("java").success());
    (statistics, scores, all)
}

/// Words and marks that the normaliser, the stemmer or Java treat in a special way.
const ODD: &[&str] = &[
    "u.s.",
    "U.S.A.",
    "mr.",
    "Mr.",
    "no.",
    "No.",
    "3.5",
    "3,000",
    "3,a",
    "a,b",
    ",",
    ".",
    "..",
    "...",
    "....",
    ".5",
    "dog's",
    "dogs'",
    "'s",
    "''",
    "'''",
    "`",
    "``x",
    "‘quoted’",
    "“so”",
    "1980's",
    "can't",
    "rock'n'roll",
    "'tis",
    "-",
    "--",
    "---",
    "t-shirt",
    "black-and-white",
    "a-b-c-d",
    "–",
    "—",
    "$5",
    "50%",
    "#1",
    "&",
    "(x)",
    "[y]",
    "a/b",
    "é",
    "café",
    "naïve",
    "voilà",
    "東京",
    "Ünïcödé",
    "İstanbul",
    "ŒUVRE",
    "ΑΣ",
    "Σ",
    "ДОМ",
    "ß",
    "ǅ",
    "😀",
    "a😀b",
    "𝒳",
    "\u{a0}",
    "a\u{a0}b",
    "\u{3000}",
    "\u{2009}",
    "\u{200b}",
    "\u{301}e",
    "e\u{301}",
    "\t",
    "\u{b}",
    "a\u{b}b",
    "\u{c}",
    "\u{1}",
    "\u{85}",
    "\u{feff}",
    "\u{2028}",
    "DOTMULTI",
    "DOTDOTMULTI",
    "MULTI",
    "DOTMULTI.",
    "DOTMULTI..x",
    "xDOTMULTI.DOTMULTI.y",
    "|",
    "||",
    "righto",
    "buzzards",
    "hierarch",
    "crinolines",
    "running",
    "runs",
    "ran",
    "geese",
    "men",
    "people",
    "ful",
    "ss",
    "s",
    "e.g.",
    "i.e.",
    "etc.",
    "St.",
    "pp. 7",
    "pp.",
    "art. 3",
    "Art. 3",
    "No. 7",
    "x.y.",
    "7.",
    "7. the",
    "x. y",
    "x. Y",
    "...a",
    "a...",
    "'.",
    ".'",
    ",'",
    "',",
    "-.",
    ".-a",
    "a.-b",
    "3-4",
    "$1",
    "\\",
    "\"",
    "<p>",
    "&amp;",
    "&quot;",
    "?!",
    "????",
    "???",
];

fn perturbed(
    random: &mut Random,
    captions: &[Vec<String>],
    vocabulary: &[String],
    paraphrases: &HashMap<String, Vec<String>>,
) -> (String, Vec<String>) {
    let image = random.pick(captions);
    let mut references = image.clone();
    let mut words: Vec<String> = match random.below(10) {
        0 => Vec::new(),
        1 => {
            let other = random.pick(captions);
            random.pick(other).split(' ').map(str::to_owned).collect()
        }
        _ => random.pick(image).split(' ').map(str::to_owned).collect(),
    };
    for _ in 0..random.below(8) {
        perturb(&mut words, random, vocabulary, paraphrases);
    }
    // Up to 400 words: several captions in a row, with many repetitions.
    if random.below(40) == 0 {
        for _ in 0..random.below(40) {
            words.extend(random.pick(image).split(' ').map(str::to_owned));
        }
        let long = references.join(" ");
        references[0] = long;
    }
    if random.below(4) == 0 {
        let at = random.below(references.len());
        let mut reference: Vec<_> = references[at].split(' ').map(str::to_owned).collect();
        for _ in 0..random.below(5) {
            perturb(&mut reference, random, vocabulary, paraphrases);
        }
        references[at] = reference.join(" ");
    }
    references.truncate(1 + random.below(5));
    if random.below(100) == 0 {
        references[0] = format!("{}||| x |||", references[0]);
    }
    (words.join(" "), references)
}

fn perturb(
    words: &mut Vec<String>,
    random: &mut Random,
    vocabulary: &[String],
    paraphrases: &HashMap<String, Vec<String>>,
) {
    let at = if words.is_empty() {
        0
    } else {
        random.below(words.len())
    };
    match random.below(12) {
        0 => words.insert(at, (*random.pick::<&str>(ODD)).to_owned()),
        1 => words.insert(at, random.pick(vocabulary).clone()),
        _ if words.is_empty() => {}
        2 => {
            let other = random.below(words.len());
            words.swap(at, other);
        }
        3 => drop(words.remove(at)),
        4 => {
            let copy = words[at].clone();
            words.insert(at, copy);
        }
        5 => words[at] = random.pick(vocabulary).clone(),
        6 => match words[at].strip_suffix('s') {
            Some(singular) => words[at] = singular.to_owned(),
            None => words[at].push('s'),
        },
        7 => words[at] = words[at].to_uppercase(),
        8 => words[at].push_str(random.pick::<&str>(ODD)),
        9 => {
            let ending = ["ing", "ed", "es", "er", "est", "'s", ".", ",", "ful", "men"];
            let ending = random.pick(&ending);
            words[at].push_str(ending);
        }
        _ => {
            let length = 1 + random.below(4.min(words.len() - at));
            if let Some(list) = paraphrases.get(&words[at..at + length].join(" ")) {
                let paraphrase = random.pick(list).split(' ').map(str::to_owned);
                words.splice(at..at + length, paraphrase);
            }
        }
    }
}

fn check(meteor: &Meteor, folder: &Path, cases: &[(String, Vec<String>)]) {
    let (lines, scores, all) = original(folder, cases);
    let mut sum = Statistics::default();
    let mut wrong = 0;
    for (((candidate, references), line), score) in cases.iter().zip(&lines).zip(&scores) {
        let references: Vec<_> = references.iter().map(String::as_str).collect();
        let ours = meteor.statistics(candidate, &references);
        sum += ours;
        if ours.to_string() != *line || (ours.score() - score).abs() > 1e-12 {
            wrong += 1;
            if wrong <= 10 {
                println!(
                    "{candidate:?} {references:?}\n  METEOR {line} {score}\n  ours   {ours} {}",
                    ours.score()
                );
            }
        }
    }
    assert_eq!(wrong, 0, "of {} captions differ", cases.len());
    assert!(
        (sum.score() - all).abs() < 1e-12,
        "corpus: METEOR {all}, ours {}",
        sum.score()
    );
}

#[test]
fn perturbed_captions_score_as_in_the_original_program() {
    let (folder, captions) = match (installed(), flickr8k()) {
        (Ok(folder), Ok(captions)) => (folder, captions),
        (folder, captions) => {
            println!("skipped: {:?} {:?}", folder.err(), captions.err());
            return;
        }
    };
    let count: usize = std::env::var("NEURALTALK_LIVE_CASES")
        .map_or(4000, |value| value.parse().expect("a number"));
    let seed =
        std::env::var("NEURALTALK_LIVE_SEED").map_or(1, |value| value.parse().expect("a number"));
    let paraphrases = some_paraphrases(&folder, &captions);
    let mut vocabulary: Vec<_> = captions
        .iter()
        .flatten()
        .flat_map(|caption| caption.split(' '))
        .map(str::to_owned)
        .collect();
    vocabulary.sort();
    vocabulary.dedup();
    let mut random = Random(seed);
    let cases: Vec<_> = (0..count)
        .map(|_| perturbed(&mut random, &captions, &vocabulary, &paraphrases))
        .collect();
    let texts = cases
        .iter()
        .flat_map(|(c, r)| std::iter::once(c).chain(r))
        .map(String::as_str);
    let meteor = Meteor::open_for(Some(&folder), texts).expect("METEOR's data");
    check(&meteor, &folder, &cases);
}
