//! NeuralTalk's `multi-bleu.perl`, on bytes: the same line, the same exit code.
//!
//! Here: the script's counting, formula and output. Not here: BLEU as papers define it (`bleu.rs`).
//!
//! Quirks that are kept, because published NeuralTalk scores contain them:
//! - there is no brevity penalty: `BP=1.000` is always printed;
//! - the four numbers are BLEU-1 to BLEU-4, not the four precisions;
//! - `chop` takes the last byte of every line, also of a last line that does not end in a line end;
//! - a line without a reference counts reference length 9999; candidates behind the last byte don't exist;
//! - words are split at ASCII white space and `-lc` lowers ASCII letters only;
//! - if the references have no word (or there is no candidate), a line of zeros is printed and the exit code is 1.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

const MAX_ORDER: usize = 4;

/// What the script calls the length of a reference that is missing.
const NO_REFERENCE: u64 = 9999;

/// The script's sums; its output is the `Display` form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultiBleu {
    /// Clipped matches, orders 1 to 4.
    pub matches: [u64; MAX_ORDER],
    /// N-grams of the candidates.
    pub ngrams: [u64; MAX_ORDER],
    /// Words of the candidates (`hyp_len`).
    pub candidate_length: u64,
    /// Words of the closest references (`ref_len`).
    pub reference_length: u64,
}

/// Why the script's references can't be read.
#[derive(Debug, Error)]
pub enum MultiBleuError {
    /// Neither the name nor the name with a number exists.
    #[error("ERROR: could not find reference file {}", stem.display())]
    NoReference {
        /// The name that was asked for.
        stem: PathBuf,
    },
    /// A file exists but can't be read.
    #[error("Can't read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl MultiBleuError {
    /// Perl's `die` exits with the operating system's error number, here ENOENT or the file's own.
    pub fn exit_code(&self) -> u8 {
        let number = match self {
            Self::NoReference { .. } => Some(2),
            Self::Unreadable { source, .. } => source.raw_os_error(),
        };
        number
            .and_then(|n| u8::try_from(n).ok())
            .filter(|&n| n != 0)
            .unwrap_or(255)
    }

    /// What to try next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoReference { stem } => Some(format!(
                "the references are read from `{0}`, or `{0}0`, `{0}1` …",
                stem.display()
            )),
            Self::Unreadable { .. } => None,
        }
    }
}

/// The reference files of a name, read: `name0`, `name1` …, then `name` itself, or those of `name.ref`.
///
/// # Errors
/// If there are none or one can't be read.
pub fn read_references(stem: &Path) -> Result<Vec<Vec<u8>>, MultiBleuError> {
    let with = |stem: &Path, suffix: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut stem = stem.to_owned();
    if !stem.exists() && !with(&stem, "0").exists() && with(&stem, ".ref0").exists() {
        stem = with(&stem, ".ref");
    }
    let numbered = (0..)
        .map(|n| with(&stem, &n.to_string()))
        .take_while(|path| path.exists());
    let paths: Vec<PathBuf> = numbered
        .chain(Some(stem.clone()).filter(|path| path.exists()))
        .collect();
    let read = |path: PathBuf| {
        std::fs::read(&path).map_err(|source| MultiBleuError::Unreadable { path, source })
    };
    let references = paths.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if references.iter().all(Vec::is_empty) {
        return Err(MultiBleuError::NoReference { stem });
    }
    Ok(references)
}

/// Scores candidates, one a line, against reference files with one line for each.
pub fn multi_bleu<R: AsRef<[u8]>>(
    candidates: &[u8],
    references: &[R],
    lowercase: bool,
) -> MultiBleu {
    let text = |bytes: &[u8]| {
        if lowercase {
            bytes.to_ascii_lowercase()
        } else {
            bytes.to_vec()
        }
    };
    let candidates = text(candidates);
    let references: Vec<Vec<u8>> = references.iter().map(|r| text(r.as_ref())).collect();
    let mut references: Vec<_> = references.iter().map(|file| lines(file)).collect();
    let mut sums = MultiBleu::default();
    for candidate in lines(&candidates) {
        let references: Vec<_> = references
            .iter_mut()
            .filter_map(Iterator::next)
            .map(words)
            .collect();
        sums.add(&words(candidate), &references);
    }
    sums
}

/// Lines as `while (<FILE>) { chop; }` sees them: the last byte is gone, whatever it is.
fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split_inclusive(|&b| b == b'\n')
        .map(|line| &line[..line.len() - 1])
}

/// Perl's `split`: ASCII white space, vertical tab included.
fn words(line: &[u8]) -> Vec<&[u8]> {
    line.split(|b| matches!(b, b'\t'..=b'\r' | b' '))
        .filter(|word| !word.is_empty())
        .collect()
}

impl MultiBleu {
    fn add(&mut self, candidate: &[&[u8]], references: &[Vec<&[u8]>]) {
        let length = |words: &[&[u8]]| words.len() as u64;
        let closest = references
            .iter()
            .map(|r| length(r))
            .map(|r| (r.abs_diff(length(candidate)), r))
            .min();
        self.candidate_length += length(candidate);
        // The script's search starts with a difference of 9999 and a length of 9999.
        self.reference_length += match closest {
            Some((difference, length)) if difference < NO_REFERENCE => length,
            Some((NO_REFERENCE, length)) => length.min(NO_REFERENCE),
            _ => NO_REFERENCE,
        };
        for order in 1..=MAX_ORDER {
            let mut allowed: HashMap<&[&[u8]], u64> = HashMap::new();
            for reference in references {
                for (ngram, times) in count(reference, order) {
                    let most = allowed.entry(ngram).or_default();
                    *most = times.max(*most);
                }
            }
            for (ngram, times) in count(candidate, order) {
                self.ngrams[order - 1] += times;
                self.matches[order - 1] += times.min(allowed.get(ngram).copied().unwrap_or(0));
            }
        }
    }

    /// BLEU-1 to BLEU-4 in percent, without brevity penalty.
    pub fn bleu(&self) -> [f64; MAX_ORDER] {
        // The script's logarithm of 0.
        let log = |p: f64| if p == 0.0 { -9_999_999_999.0 } else { p.ln() };
        let mut logs = 0.0;
        std::array::from_fn(|n| {
            let total = self.ngrams[n] as f64;
            logs += log(if total == 0.0 {
                0.0
            } else {
                self.matches[n] as f64 / total
            });
            100.0 * (logs / (n + 1) as f64).exp()
        })
    }

    /// The script's exit code.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.reference_length == 0)
    }
}

fn count<'w>(words: &'w [&'w [u8]], order: usize) -> HashMap<&'w [&'w [u8]], u64> {
    let mut counts = HashMap::new();
    for ngram in words.windows(order) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

impl fmt::Display for MultiBleu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reference_length == 0 {
            return f.write_str("BLEU = 0, 0/0/0/0 (BP=0, ratio=0, hyp_len=0, ref_len=0)");
        }
        let [b1, b2, b3, b4] = self.bleu();
        let (c, r) = (self.candidate_length, self.reference_length);
        let ratio = c as f64 / r as f64;
        write!(
            f,
            "BLEU = {b1:.1}/{b2:.1}/{b3:.1}/{b4:.1} (BP=1.000, ratio={ratio:.3}, hyp_len={c}, ref_len={r})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirks_one_by_one() {
        let line = |candidates: &str, references: &[&str], lowercase| {
            multi_bleu(candidates.as_bytes(), references, lowercase).to_string()
        };
        // The last byte of a line that does not end is lost: `dogs` is `dog`.
        let cut = "BLEU = 100.0/100.0/0.0/0.0 (BP=1.000, ratio=1.000, hyp_len=2, ref_len=2)";
        assert_eq!(line("a dogs", &["a dog\n"], false), cut);
        assert_eq!(line("a dog\n", &["a dogs"], false), cut);
        // White space is ASCII's, vertical tab included; a no-break space is part of a word.
        assert_eq!(line(" a\x0bdog\t\r\n", &["a dog\n"], false), cut);
        assert_eq!(
            line("a\u{a0}dog\n", &["a dog\n"], false),
            "BLEU = 0.0/0.0/0.0/0.0 (BP=1.000, ratio=0.500, hyp_len=1, ref_len=2)"
        );
        // `-lc` lowers ASCII only.
        let upper = |lowercase| multi_bleu("A \u{c9}\n".as_bytes(), &["a \u{e9}\n"], lowercase);
        assert_eq!((upper(false).matches[0], upper(true).matches[0]), (0, 1));
        // No brevity penalty; a second line without reference counts 9999.
        assert_eq!(
            line("a\na\n", &["a b c\n"], false),
            "BLEU = 50.0/0.0/0.0/0.0 (BP=1.000, ratio=0.000, hyp_len=2, ref_len=10002)"
        );
        // Geometric means: 3/5, √(3/5 · 2/4), ∛(3/5 · 2/4 · 1/3).
        assert_eq!(
            line("a b c x y\n", &["a b c d e\n"], false),
            "BLEU = 60.0/54.8/46.4/0.0 (BP=1.000, ratio=1.000, hyp_len=5, ref_len=5)"
        );
        // Nothing to score.
        for (candidates, references) in [("", "a\n"), ("\n", "\n")] {
            let nothing = multi_bleu(candidates.as_bytes(), &[references], false);
            assert_eq!(
                nothing.to_string(),
                "BLEU = 0, 0/0/0/0 (BP=0, ratio=0, hyp_len=0, ref_len=0)"
            );
            assert_eq!(nothing.exit_code(), 1);
        }
        assert_eq!(multi_bleu(b"a\n", &["a\n"], false).exit_code(), 0);
    }

    #[test]
    fn the_closest_reference_is_the_shorter_of_two_and_never_9999_off() {
        let length = |candidate: usize, references: &[usize]| {
            let words = |n: usize| format!("{}\n", "a ".repeat(n));
            let references: Vec<String> = references.iter().map(|&n| words(n)).collect();
            multi_bleu(words(candidate).as_bytes(), &references, false).reference_length
        };
        assert_eq!(
            [
                length(5, &[6, 4]),
                length(5, &[4, 6]),
                length(5, &[7, 4]),
                length(5, &[2, 6])
            ],
            [4, 4, 4, 6]
        );
        assert_eq!(
            [
                length(0, &[9998]),
                length(10_000, &[1]),
                length(0, &[9999]),
                length(1, &[10_000])
            ],
            [9998, 1, 9999, 9999]
        );
        assert_eq!([length(10_001, &[1]), length(0, &[10_001])], [9999, 9999]);
    }

    #[test]
    fn clipping_takes_the_reference_with_most() {
        let sums = multi_bleu(b"the the the cat\n", &["the cat the\n", "the\n"], false);
        assert_eq!((sums.matches, sums.ngrams), ([3, 1, 0, 0], [4, 3, 2, 1]));
        assert_eq!((sums.candidate_length, sums.reference_length), (4, 3));
    }

    #[test]
    fn references_are_found_by_number_by_name_and_by_suffix() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str| std::fs::write(path(name), name).expect("written");
        ["r0", "r1", "r3", "r", "s.ref0", "one", "one.ref0"]
            .into_iter()
            .for_each(write);
        let read = |name: &str| read_references(&path(name)).expect("references");
        assert_eq!(read("r"), [b"r0".to_vec(), b"r1".to_vec(), b"r".to_vec()]);
        assert_eq!(read("s"), [b"s.ref0".to_vec()]);
        assert_eq!(read("one"), [b"one".to_vec()]);
        let error = read_references(&path("none")).expect_err("there are none");
        assert_eq!(
            error.to_string(),
            format!(
                "ERROR: could not find reference file {}",
                path("none").display()
            )
        );
        assert_eq!(error.exit_code(), 2);
        assert!(error.hint().expect("a hint").contains("none0"));
        std::fs::create_dir(path("folder")).expect("a folder");
        let error = read_references(&path("folder")).expect_err("a folder");
        assert_eq!((error.exit_code(), error.hint()), (21, None));
        assert!(error.to_string().starts_with("Can't read "));
        std::fs::write(path("empty0"), "").expect("written");
        assert!(matches!(
            read_references(&path("empty")),
            Err(MultiBleuError::NoReference { .. })
        ));
        let unknown = MultiBleuError::Unreadable {
            path: path("x"),
            source: io::Error::other("no number"),
        };
        assert_eq!(unknown.exit_code(), 255);
    }
}
