//! METEOR's distribution on disk: where its data files are, and where an installed one is.
//!
//! Here: a folder or a jar to the text of its small files and the path of the paraphrase table; the search in
//! Python installations. Not here: what the files mean.
//!
//! pycocoevalcap's folder `meteor/` and METEOR's own release both hold `meteor-1.5.jar` and
//! `data/paraphrase-en.gz`; the small files are inside the jar, or beside it where somebody unpacked it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::MeteorError;

const FUNCTION_WORDS: &str = "function/english.words";
const PREFIXES: &str = "nonbreaking/english.prefixes";
const EXCEPTIONS: &str = "synonym/english.exceptions";
const SYNSETS: &str = "synonym/english.synsets";
const PARAPHRASES: &str = "data/paraphrase-en.gz";
const JAR: &str = "meteor-1.5.jar";
/// Bytes; the largest real file has 3.7 million.
const TEXT_LIMIT: u64 = 64 << 20;

/// The small files about single words, read.
pub(super) struct Texts {
    pub function_words: Text,
    pub exceptions: Text,
    pub synsets: Text,
}

/// One file's text and what errors call it.
pub(super) struct Text {
    pub name: String,
    pub text: String,
}

/// The folder or jar that holds METEOR's data.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    texts: PathBuf,
    texts_in_jar: bool,
    pub paraphrases: PathBuf,
}

impl Distribution {
    /// Finds the files of a folder or of a jar; none is read.
    pub(super) fn find(path: &Path) -> Result<Self, MeteorError> {
        let read = |source| MeteorError::Read {
            path: path.to_owned(),
            source,
        };
        let is_folder = std::fs::metadata(path).map_err(read)?.is_dir();
        let folder = if is_folder {
            path
        } else {
            path.parent().unwrap_or(Path::new(""))
        };
        let jar = if is_folder {
            path.join(JAR)
        } else {
            path.to_owned()
        };
        let unpacked = is_folder && path.join(FUNCTION_WORDS).is_file();
        if !unpacked && !jar.is_file() {
            return Err(MeteorError::Missing {
                path: path.to_owned(),
                entry: JAR.to_owned(),
            });
        }
        let paraphrases = folder.join(PARAPHRASES);
        if !paraphrases.is_file() {
            return Err(MeteorError::Missing {
                path: folder.to_owned(),
                entry: PARAPHRASES.to_owned(),
            });
        }
        let texts = if unpacked { folder.to_owned() } else { jar };
        Ok(Self {
            texts,
            texts_in_jar: !unpacked,
            paraphrases,
        })
    }

    /// Reads the list of abbreviations.
    pub(super) fn prefixes(&self) -> Result<Text, MeteorError> {
        self.text(&mut self.open_jar()?, PREFIXES)
    }

    /// Reads the other small files.
    pub(super) fn words(&self) -> Result<Texts, MeteorError> {
        let mut jar = self.open_jar()?;
        let mut text = |entry| self.text(&mut jar, entry);
        Ok(Texts {
            function_words: text(FUNCTION_WORDS)?,
            exceptions: text(EXCEPTIONS)?,
            synsets: text(SYNSETS)?,
        })
    }

    fn text(
        &self,
        jar: &mut Option<zip::ZipArchive<File>>,
        entry: &str,
    ) -> Result<Text, MeteorError> {
        match jar {
            Some(jar) => self.unpack(jar, entry),
            None => self.read(entry),
        }
    }

    /// The jar, if the small files are in one.
    fn open_jar(&self) -> Result<Option<zip::ZipArchive<File>>, MeteorError> {
        if !self.texts_in_jar {
            return Ok(None);
        }
        let path = self.texts.clone();
        match File::open(&path) {
            Err(source) => Err(MeteorError::Read { path, source }),
            Ok(file) => match zip::ZipArchive::new(file) {
                Ok(jar) => Ok(Some(jar)),
                Err(source) => Err(MeteorError::Archive { path, source }),
            },
        }
    }

    fn unpack(&self, jar: &mut zip::ZipArchive<File>, entry: &str) -> Result<Text, MeteorError> {
        let path = self.texts.clone();
        let file = match jar.by_name(entry) {
            Ok(file) => file,
            Err(zip::result::ZipError::FileNotFound) => {
                return Err(MeteorError::Missing {
                    path,
                    entry: entry.to_owned(),
                });
            }
            Err(source) => return Err(MeteorError::Archive { path, source }),
        };
        let name = format!("{}: {entry}", path.display());
        read_text(name, file, |source| MeteorError::Archive {
            path,
            source: source.into(),
        })
    }

    fn read(&self, entry: &str) -> Result<Text, MeteorError> {
        let path = self.texts.join(entry);
        let name = path.display().to_string();
        match File::open(&path) {
            Ok(file) => read_text(name, file, |source| MeteorError::Read { path, source }),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(MeteorError::Missing {
                    path: self.texts.clone(),
                    entry: entry.to_owned(),
                })
            }
            Err(source) => Err(MeteorError::Read { path, source }),
        }
    }
}

fn read_text(
    name: String,
    file: impl Read,
    error: impl FnOnce(std::io::Error) -> MeteorError,
) -> Result<Text, MeteorError> {
    let mut bytes = Vec::new();
    // A jar's stated size may lie: what comes out counts.
    if let Err(source) = file.take(TEXT_LIMIT + 1).read_to_end(&mut bytes) {
        return Err(error(source));
    }
    if TEXT_LIMIT < bytes.len() as u64 {
        return Err(MeteorError::TooLarge {
            file: name,
            limit: TEXT_LIMIT,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Text { name, text }),
        Err(error) => {
            let position = error.utf8_error().valid_up_to();
            Err(MeteorError::NotText {
                file: name,
                position,
                found: error.as_bytes()[position],
            })
        }
    }
}

/// Where to look for an installed METEOR; the caller reads the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchPlaces<'a> {
    /// Value of `NEURALTALK_METEOR_DATA`: a folder or jar, taken as it is if it exists.
    pub meteor_data: Option<&'a OsStr>,
    /// Value of `VIRTUAL_ENV`: the folder of a Python environment.
    pub virtual_env: Option<&'a OsStr>,
    /// Value of `PATH`: each folder with a `python3` names a Python installation.
    pub path: Option<&'a OsStr>,
}

/// The first installed METEOR: the folder or jar to give to [`Meteor::open`](super::Meteor::open).
pub fn find_installed(places: SearchPlaces<'_>) -> Option<PathBuf> {
    let named = places
        .meteor_data
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    if let Some(path) = named.filter(|path| path.exists()) {
        return Some(path);
    }
    let environment = places
        .virtual_env
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    let on_path = places
        .path
        .into_iter()
        .flat_map(std::env::split_paths)
        .flat_map(prefixes_of);
    environment
        .into_iter()
        .chain(on_path)
        .find_map(|prefix| in_prefix(&prefix))
}

/// The installations that a folder of programs belongs to: its own, and the one behind its `python3`.
fn prefixes_of(programs: PathBuf) -> Vec<PathBuf> {
    let python = programs.join("python3");
    let Ok(real) = python.canonicalize() else {
        return Vec::new();
    };
    let above = |program: &Path| program.parent()?.parent().map(Path::to_owned);
    [above(&python), above(&real)]
        .into_iter()
        .flatten()
        .collect()
}

/// pycocoevalcap's METEOR in an installation: `lib/python3*/{site,dist}-packages` or `Lib/site-packages`.
fn in_prefix(prefix: &Path) -> Option<PathBuf> {
    let mut packages = vec![prefix.join("Lib/site-packages")];
    for libraries in [prefix.join("lib"), prefix.join("local/lib")] {
        let Ok(entries) = std::fs::read_dir(libraries) else {
            continue;
        };
        let mut pythons: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("python3"))
            })
            .collect();
        // The same answer on every file system.
        pythons.sort();
        for python in pythons {
            packages.extend([python.join("site-packages"), python.join("dist-packages")]);
        }
    }
    packages
        .into_iter()
        .map(|folder| folder.join("pycocoevalcap/meteor"))
        .find(|folder| folder.join(JAR).is_file() && folder.join(PARAPHRASES).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_be_as_long_as_the_limit() {
        let read = |bytes| {
            let text = std::io::repeat(b' ').take(bytes);
            let read = read_text("jar: entry".to_owned(), text, |_| unreachable!());
            read.map(|text| text.text.len() as u64)
        };
        assert_eq!(read(TEXT_LIMIT).expect("not too large"), TEXT_LIMIT);
        let error = read(TEXT_LIMIT + 1).expect_err("too large");
        assert!(matches!(error, MeteorError::TooLarge { .. }), "{error}");
    }
}
