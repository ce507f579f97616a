//! Where captions go: lines on standard output or in a file, sidecars beside pictures; and what an earlier run has written.
//!
//! Here: the three forms of a line, sidecars, and going on with a file that a stopped run left. Not here: which pictures
//! there are (`pictures.rs`), pictures of attention (`attention_svg.rs`).

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

use generate::Sentence;
use serde_json::{Value, json};

use crate::exit::{Failure, cannot};

/// How captions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Name, tab, caption.
    Plain,
    /// An object a picture.
    Json,
    /// A row a caption: file, rank, caption, log probability.
    Csv,
}

/// First line of a table.
pub(crate) const CSV_HEAD: &str = "file,rank,caption,log_prob\n";

/// What becomes of a sidecar that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Existing {
    /// Leave it, and don't caption its picture: what a stopped run has done is not done again.
    Skip,
    /// Replace it.
    Overwrite,
    /// The caption on a new line at its end.
    Append,
    /// The caption on a new line at its beginning.
    Prepend,
}

impl Form {
    /// All captions of one picture.
    pub(crate) fn render(self, name: &str, captions: &[Sentence]) -> String {
        match self {
            Self::Plain => plain(name, captions),
            Self::Json => json_line(name, captions),
            Self::Csv => rows_of_csv(name, captions),
        }
    }

    /// The name that a line is about; none if the line is no line of ours.
    fn name_in(self, line: &str) -> Option<String> {
        match self {
            Self::Plain => Some(line.split_once('\t')?.0.to_owned()),
            Self::Json => {
                let value: Value = serde_json::from_str(line).ok()?;
                Some(value.get("file")?.as_str()?.to_owned())
            }
            // Names are always quoted.
            Self::Csv => {
                let quoted = line.strip_prefix('"')?;
                let end = quoted.replace("\"\"", "\0\0").find('"')?;
                Some(quoted[..end].replace("\"\"", "\""))
            }
        }
    }

    /// A name as a line has it.
    pub(crate) fn shown(self, name: &str) -> String {
        match self {
            Self::Plain => name.replace(['\t', '\n', '\r'], " "),
            // A line break in a name would break the table's lines too.
            Self::Csv => name.replace(['\n', '\r'], " "),
            Self::Json => name.to_owned(),
        }
    }
}

/// A file of captions that an earlier run may have begun.
pub(crate) struct Begun {
    /// Where to go on.
    pub(crate) file: BufWriter<File>,
    /// Names that are done, as lines have them.
    pub(crate) done: HashSet<String>,
    /// Whether the file was empty.
    pub(crate) fresh: bool,
}

impl Begun {
    /// Opens `path` for captions. With `resume` what is in it stays, but for what a stopped run left unfinished: a line
    /// without its end, and fewer than `captions` lines about the last picture. Without it the file must not be there.
    pub(crate) fn open(
        path: &Path,
        form: Form,
        captions: usize,
        resume: bool,
    ) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match resume {
            true => options.create(true).truncate(false),
            false => options.create_new(true),
        };
        let mut file = options.open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                let message = format!("`{}` is there already", path.display());
                let hint = "--resume goes on with it; another name or removing it begins anew";
                return Failure::usage(message).hint(hint).into();
            }
            cannot("write", path)(error)
        })?;
        // Bytes, because a run may have been stopped within a letter.
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(cannot("read", path))?;
        let (mut done, mut last) = (HashSet::new(), (String::new(), 0, 0));
        let mut whole = 0;
        let lines = bytes.split_inclusive(|&byte| byte == b'\n');
        for (number, line) in lines.enumerate() {
            let Some(content) = line.strip_suffix(b"\n") else {
                break;
            };
            if !(form == Form::Csv && line == CSV_HEAD.as_bytes()) {
                let content = std::str::from_utf8(content).ok();
                let Some(name) = content.and_then(|line| form.name_in(line)) else {
                    let (place, number) = (path.display(), number + 1);
                    let message = format!("`{place}`, line {number}: not a caption of this form");
                    let hint = "was it written with another of --json, --csv or neither?";
                    return Err(Failure::data(message).hint(hint).into());
                };
                last = match last.0 == name {
                    true => (name, last.1, last.2 + 1),
                    false => (name, whole, 1),
                };
                done.insert(last.0.clone());
            }
            whole += line.len();
        }
        if form != Form::Json && 0 < last.2 && last.2 < captions {
            done.remove(&last.0);
            whole = last.1;
        }
        file.set_len(whole as u64).map_err(cannot("write", path))?;
        file.seek(SeekFrom::Start(whole as u64))
            .map_err(cannot("write", path))?;
        Ok(Self {
            file: BufWriter::new(file),
            done,
            fresh: whole == 0,
        })
    }
}

/// A name with a tab or newline in it would break the line.
fn plain(name: &str, captions: &[Sentence]) -> String {
    let name = Form::Plain.shown(name);
    captions
        .iter()
        .map(|caption| format!("{name}\t{}\n", caption.text))
        .collect()
}

fn json_line(name: &str, captions: &[Sentence]) -> String {
    let all: Vec<_> = captions
        .iter()
        .map(|c| json!({"caption": c.text, "log_prob": c.log_prob, "finished": c.finished}))
        .collect();
    let best = &captions[0];
    format!(
        "{}\n",
        json!({"file": name, "caption": best.text, "log_prob": best.log_prob, "captions": all})
    )
}

fn rows_of_csv(name: &str, captions: &[Sentence]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let name = quoted(&Form::Csv.shown(name));
    (1..)
        .zip(captions)
        .map(|(rank, c)| format!("{name},{rank},{},{}\n", quoted(&c.text), c.log_prob))
        .collect()
}

/// Writes `caption` into the sidecar at `path`.
pub(crate) fn write_sidecar(path: &Path, existing: Existing, caption: &str) -> anyhow::Result<()> {
    let old = match (existing, path.exists()) {
        (Existing::Append | Existing::Prepend, true) => {
            fs::read_to_string(path).map_err(cannot("read", path))?
        }
        _ => String::new(),
    };
    let old = old.trim_end_matches('\n');
    let text = match (existing, old) {
        (_, "") => format!("{caption}\n"),
        (Existing::Prepend, old) => format!("{caption}\n{old}\n"),
        (_, old) => format!("{old}\n{caption}\n"),
    };
    checkpoint::replace(&mut checkpoint::LocalDisk, path, |out| {
        out.write_all(text.as_bytes())
    })
    .map_err(cannot("write", path))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sentence(text: &str) -> Sentence {
        Sentence {
            text: text.into(),
            words: vec![],
            log_prob: -1.5,
            word_log_probs: vec![],
            finished: true,
            attention: None,
        }
    }

    #[test]
    fn names_come_back_out_of_every_form() {
        for form in [Form::Plain, Form::Json, Form::Csv] {
            for name in [
                "a.jpg",
                "a \"b\",c.png",
                "x\ty\nz",
                "\"",
                "\"\"",
                "é/東京.gif",
                "",
            ] {
                let text = form.render(name, &[sentence("a \"dog\""), sentence("two")]);
                for line in text.lines() {
                    let found = form.name_in(line);
                    assert_eq!(
                        found.as_deref(),
                        Some(&form.shown(name)[..]),
                        "{form:?} {line}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_run_goes_on_after_every_place_where_it_can_be_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for (form, head) in [(Form::Plain, ""), (Form::Json, ""), (Form::Csv, CSV_HEAD)] {
            let captions = [sentence("a dog"), sentence("a cat, é")];
            let names = ["a.jpg", "b\"é\".jpg", "c.jpg"];
            let parts: Vec<String> = names.iter().map(|n| form.render(n, &captions)).collect();
            let text = head.to_owned() + &parts.concat();
            for cut in 0..=text.len() {
                fs::write(&path, &text.as_bytes()[..cut]).unwrap();
                let mut begun = Begun::open(&path, form, 2, true).unwrap();
                if begun.fresh {
                    begun.file.write_all(head.as_bytes()).unwrap();
                }
                for (name, part) in names.iter().zip(&parts) {
                    if !begun.done.contains(&form.shown(name)) {
                        begun.file.write_all(part.as_bytes()).unwrap();
                    }
                }
                drop(begun);
                assert_eq!(fs::read_to_string(&path).unwrap(), text, "{form:?} {cut}");
            }
            fs::write(&path, "something else\n").unwrap();
            let error = Begun::open(&path, form, 2, true).err().unwrap().to_string();
            assert!(
                error.ends_with("line 1: not a caption of this form"),
                "{error}"
            );
            assert!(Begun::open(&path, form, 2, false).is_err(), "it is there");
            fs::remove_file(&path).unwrap();
            assert!(Begun::open(&path, form, 2, false).unwrap().fresh);
        }
    }
}
